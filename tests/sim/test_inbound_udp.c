/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published UDP ports: clients of the host reach servers of the guest, each gets its own answers (behaviours.md F11,
 * F12; threats.md P16), large datagrams go both ways (E2).
 */
#include <errno.h>

#include "engine/internal.h"
#include "sim_test.h"

enum {
	GUEST_PORT = 53,
	CLIENT_PORT = 30000,
	SEED = 3,
	LARGE = 8000,
};

struct inbound {
	struct sim_world *w;
	struct publish_spec spec;
	struct sim_sock *sock;
	struct pool_ref port;

	/* at the guest */
	uint32_t in;
	uint32_t in_len; /* of the last datagram, or of all fragments with their UDP header */
	uint16_t from_port;
	struct ip_addr from;
	uint32_t unreachable; /* ICMP */
	bool is_mute;         /* it does not answer */

	/* at the clients */
	uint32_t out;
	uint32_t out_len;
	struct endpoint to;
};

static void send_from_guest(
    struct inbound *t, const struct ip_addr *to, uint16_t port, uint32_t len)
{
	struct sim_packet p = sim_guest_packet(&t->w->guest, to, 4, 17);

	p.src_port = GUEST_PORT;
	p.dst_port = port;
	p.payload_len = len;
	sim_world_inject(t->w, sim_build_udp(&p, SEED, 0));
}

static void on_packet(void *ctx, const struct sim_packet *p)
{
	struct inbound *t = ((struct sim_world *)ctx)->ctx;

	if (p->family == 4 && p->proto == 1 && p->icmp_type == 3)
		t->unreachable++;
	if (p->family == 0 || p->proto != 17)
		return;
	if (p->has_frag) {
		assert_int_equal(p->frag_off, t->in_len);
		t->in_len += p->l4_len;
		t->in += !p->has_more;
		return;
	}
	assert_int_equal(p->dst_port, GUEST_PORT);
	t->in++;
	t->in_len = p->payload_len;
	t->from = p->src;
	t->from_port = p->src_port;
	if (!t->is_mute)
		send_from_guest(t, &p->src, p->src_port, p->payload_len);
}

static void on_datagram(void *ctx, struct sim_sock *s, const struct sim_sent_datagram *d)
{
	struct inbound *t = ((struct sim_world *)ctx)->ctx;

	assert_int_equal(s->owner.kind, SOCK_PUBLISHED);
	assert_true(sim_pattern_check(SEED, 0, d->bytes, d->len));
	t->out++;
	t->out_len = d->len;
	t->to = d->to;
}

static void begin(struct inbound *t, const struct sim_config *cfg, enum publish_source source)
{
	*t = (struct inbound){.w = sim_test_world(cfg)};
	t->w->ctx = t;
	t->w->guest.on_packet = on_packet;
	t->w->host.on_datagram = on_datagram;
	t->spec = (struct publish_spec){
	    .proto = POLICY_UDP,
	    .host = {.addr = ip_addr_v4(0x7f000001), .port = 5353},
	    .guest_port = GUEST_PORT,
	    .source = source,
	};
	t->sock = sim_world_publish(t->w, &t->spec, &t->port);
}

static void run_ns(struct inbound *t, uint64_t span_ns)
{
	if (!sim_world_run(t->w, t->w->sim.now_ns + span_ns))
		fail_msg("%s", t->w->sim.failure);
}

static void send_from(struct inbound *t, uint32_t addr, uint16_t port, uint32_t len)
{
	struct endpoint peer = {.addr = ip_addr_v4(addr), .port = port};
	uint8_t bytes[LARGE];

	sim_pattern_fill(SEED, 0, bytes, len);
	sim_peer_datagram(t->sock, &peer, 0, bytes, len, 0);
	run_ns(t, 10 * SIM_MS);
}

static void ask(struct inbound *t, uint16_t port, uint32_t len)
{
	send_from(t, 0x7f000001, port, len);
}

static void end(struct inbound *t)
{
	assert_int_equal(engine_publish_remove(t->w->engine, t->port), 0);
	assert_int_equal(t->w->counters.udp_active, 0);
	sim_test_end(t->w);
}

/* F11: the guest tells clients apart, and each gets its own answers. */
static void each_client_gets_its_own_answers(void **state)
{
	struct sim_config cfg = sim_config_defaults(1);
	struct inbound t;
	uint16_t ports[2];

	(void)state;
	begin(&t, &cfg, PUBLISH_SOURCE_GATEWAY);
	for (uint16_t i = 0; i < 6; i++) {
		ask(&t, CLIENT_PORT + i % 2, 100U + i);
		assert_int_equal(t.in, i + 1);
		assert_int_equal(t.out, i + 1);
		assert_int_equal(t.out_len, 100 + i);
		assert_int_equal(t.to.port, CLIENT_PORT + i % 2);
		assert_true(ip_addr_eq(&t.from, &t.w->netif.gateway_v4));
		if (i < 2)
			ports[i] = t.from_port;
		assert_int_equal(t.from_port, ports[i % 2]);
	}
	assert_int_not_equal(ports[0], ports[1]);
	assert_int_equal(t.w->counters.udp_active, 2);
	end(&t);
}

/* F12, P16: what stands for nobody reaches nobody, least of all what listens on the host. */
static void answer_to_nobody_is_dropped(void **state)
{
	struct sim_config cfg = sim_config_defaults(2);
	struct inbound t;

	(void)state;
	begin(&t, &cfg, PUBLISH_SOURCE_GATEWAY);
	t.is_mute = true;
	ask(&t, CLIENT_PORT, 10);
	send_from_guest(&t, &t.w->netif.gateway_v4, t.from_port ^ 1, 10);
	run_ns(&t, 10 * SIM_MS);
	assert_int_equal(t.out, 0);
	assert_int_equal(t.w->counters.drops[DROP_UDP_NO_PEER], 1);
	assert_int_equal(t.w->host.calls[SIM_OP_UDP_OPEN], 0);
	/* To others than the gateway it is an ordinary datagram. */
	t.w->policy.denies_all = true;
	send_from_guest(&t, &(struct ip_addr){.b = {[10] = 0xff, 0xff, 192, 0, 2, 9}}, 7, 10);
	run_ns(&t, 10 * SIM_MS);
	assert_int_equal(t.w->denials, 1);
	end(&t);
}

/* E2: in fragments to the guest, and from it. */
static void large_datagrams_go_both_ways(void **state)
{
	struct sim_config cfg = sim_config_defaults(3);
	struct inbound t;

	(void)state;
	begin(&t, &cfg, PUBLISH_SOURCE_GATEWAY);
	t.is_mute = true;
	ask(&t, CLIENT_PORT, 10);
	t.in = t.in_len = 0;
	ask(&t, CLIENT_PORT, LARGE);
	assert_int_equal(t.in, 1);
	assert_int_equal(t.in_len, LARGE + 8);
	end(&t);
}

/* Idle time is counted from the last datagram, either way. */
static void flow_lives_while_datagrams_pass_either_way(void **state)
{
	struct sim_config cfg = sim_config_defaults(4);
	struct inbound t;

	(void)state;
	cfg.udp_idle_ns = 60 * SIM_S;
	begin(&t, &cfg, PUBLISH_SOURCE_GATEWAY);
	t.is_mute = true;
	ask(&t, CLIENT_PORT, 10);
	for (uint32_t i = 1; i <= 3; i++) {
		run_ns(&t, 50 * SIM_S);
		send_from_guest(&t, &t.from, t.from_port, 10);
		run_ns(&t, 10 * SIM_MS);
		assert_int_equal(t.out, i);
	}
	run_ns(&t, 65 * SIM_S);
	assert_int_equal(t.w->counters.udp_active, 0);
	assert_int_equal(t.w->ends[FLOW_END_IDLE], 1);
	assert_true(t.w->last_end.is_inbound);
	assert_int_equal(t.w->last_end.remote.port, CLIENT_PORT);
	send_from_guest(&t, &t.from, t.from_port, 10);
	run_ns(&t, 10 * SIM_MS);
	assert_int_equal(t.out, 3);
	end(&t);
}

/* Ingress is judged for each datagram, also under a policy that has changed. */
static void denied_datagrams_do_not_reach_the_guest(void **state)
{
	struct sim_config cfg = sim_config_defaults(5);
	struct inbound t;

	(void)state;
	begin(&t, &cfg, PUBLISH_SOURCE_GATEWAY);
	ask(&t, CLIENT_PORT, 10);
	assert_int_equal(t.in, 1);
	t.w->policy.denied_port = GUEST_PORT;
	engine_set_policy(t.w->engine, &t.w->policy);
	ask(&t, CLIENT_PORT, 10);
	assert_int_equal(t.in, 1);
	assert_int_equal(t.w->counters.inbound_denied, 1);
	assert_int_equal(t.w->ends[FLOW_END_POLICY], 1);
	assert_int_equal(t.w->counters.udp_active, 0);
	end(&t);
}

/* The longest silent gives way; what the guest has opened itself does not. */
static void clients_beyond_the_limit_displace_each_other_only(void **state)
{
	struct sim_config cfg = sim_config_defaults(6);
	struct inbound t;

	(void)state;
	cfg.udp_limit = 8;
	begin(&t, &cfg, PUBLISH_SOURCE_GATEWAY);
	t.w->host.on_datagram = NULL;
	for (uint16_t i = 0; i < 8; i++) {
		struct ip_addr to = ip_addr_v4(0xcb007101U + i);
		struct sim_packet p = sim_guest_packet(&t.w->guest, &to, 4, 17);

		p.src_port = 9999;
		p.dst_port = 7000;
		p.payload_len = 10;
		sim_world_inject(t.w, sim_build_udp(&p, SEED, 0));
	}
	run_ns(&t, SIM_MS);
	assert_int_equal(t.w->counters.udp_active, 8);
	for (uint16_t i = 0; i < 100; i++)
		ask(&t, CLIENT_PORT + i, 10);
	assert_int_equal(t.in, 100);
	assert_int_equal(t.w->counters.udp_active, 16);
	assert_int_equal(t.w->ends[FLOW_END_EVICTED], 92);
	assert_int_equal(engine_publish_remove(t.w->engine, t.port), 0);
	sim_test_end(t.w);
}

/* E9: a client that has gone is told to the guest, and only about that client. */
static void client_that_is_gone_is_told(void **state)
{
	struct sim_config cfg = sim_config_defaults(7);
	struct inbound t;
	struct sock_error gone = {.error = ECONNREFUSED,
	    .is_icmp = true,
	    .family = 4,
	    .type = 3,
	    .code = 3,
	    .to = {.addr = ip_addr_v4(0x7f000001), .port = CLIENT_PORT},
	    .len = 4};

	(void)state;
	begin(&t, &cfg, PUBLISH_SOURCE_GATEWAY);
	ask(&t, CLIENT_PORT, 10);
	ask(&t, CLIENT_PORT + 1, 10);
	sim_peer_error(t.sock, &gone, "gone");
	run_ns(&t, 10 * SIM_MS);
	assert_int_equal(t.unreachable, 1);
	gone.to.port = 1;
	sim_peer_error(t.sock, &gone, "gone");
	run_ns(&t, 10 * SIM_MS);
	assert_int_equal(t.unreachable, 1);
	end(&t);
}

static void client_is_shown_where_its_answers_find_back(void **state)
{
	struct sim_config cfg = sim_config_defaults(8);
	struct inbound t;

	(void)state;
	begin(&t, &cfg, PUBLISH_SOURCE_CLIENT);
	send_from(&t, 0xc0000209, 4000, 10);
	assert_int_equal(t.from_port, 4000);
	assert_int_equal(t.out, 1);
	assert_int_equal(t.to.port, 4000);
	ask(&t, CLIENT_PORT, 10);
	assert_true(ip_addr_eq(&t.from, &t.w->netif.gateway_v4));
	assert_int_equal(t.out, 2);
	end(&t);
}

/* No room towards the guest: the rest waits in the host's socket. */
static void burst_waits_for_room(void **state)
{
	struct sim_config cfg = sim_config_defaults(9);
	struct inbound t;
	uint8_t bytes[100];
	struct endpoint peer = {.addr = ip_addr_v4(0x7f000001), .port = CLIENT_PORT};

	(void)state;
	cfg.nic.rx_depth = 16;
	cfg.guest_batch = 4;
	begin(&t, &cfg, PUBLISH_SOURCE_GATEWAY);
	t.is_mute = true;
	sim_pattern_fill(SEED, 0, bytes, sizeof(bytes));
	for (int i = 0; i < 500; i++)
		sim_peer_datagram(t.sock, &peer, 0, bytes, sizeof(bytes), 0);
	run_ns(&t, SIM_S);
	assert_int_equal(t.in, 500);
	end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_client_gets_its_own_answers),
	    cmocka_unit_test(answer_to_nobody_is_dropped),
	    cmocka_unit_test(large_datagrams_go_both_ways),
	    cmocka_unit_test(flow_lives_while_datagrams_pass_either_way),
	    cmocka_unit_test(denied_datagrams_do_not_reach_the_guest),
	    cmocka_unit_test(clients_beyond_the_limit_displace_each_other_only),
	    cmocka_unit_test(client_that_is_gone_is_told),
	    cmocka_unit_test(client_is_shown_where_its_answers_find_back),
	    cmocka_unit_test(burst_waits_for_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
