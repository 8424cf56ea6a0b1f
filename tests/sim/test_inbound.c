/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published TCP ports: clients of the host reach servers of the guest (behaviours.md 6; threats.md P11, P12).
 */
#include <errno.h>

#include "engine/internal.h"
#include "sim_test.h"

enum {
	GUEST_PORT = 80,
	HOST_PORT = 8080,
	CLIENT_PORT = 30000,
	CLIENTS_MAX = 400,
};

struct inbound {
	struct sim_world *w;
	struct publish_spec spec;
	struct sim_sock *listener;
	struct pool_ref port;
	struct sim_service *service;
	struct sim_remote client; /* of the next client */
	uint16_t next_port;
};

static struct sim_service service_defaults(const struct sim_config *cfg, uint8_t family)
{
	return (struct sim_service){
	    .tcp = sim_tcp_defaults(cfg->mtu, family),
	    .app = {.seed = 1, .close = SIM_CLOSE_EOF},
	    .backlog = 128,
	    .accept_gap_ns = 10 * SIM_US,
	};
}

static struct inbound begin(const struct sim_config *cfg)
{
	struct inbound t = {.w = sim_test_world(cfg), .next_port = CLIENT_PORT};
	struct sim_service s = service_defaults(cfg, cfg->has_no_v4 ? 6 : 4);

	t.spec = (struct publish_spec){
	    .proto = POLICY_TCP,
	    .host = {.addr = ip_addr_v4(0x7f000001), .port = HOST_PORT},
	    .guest_port = GUEST_PORT,
	};
	t.client = (struct sim_remote){
	    .delay_ns = 20 * SIM_US, .app = {.seed = 2, .close = SIM_CLOSE_SENT}};
	s.tcp.from_seed = 2;
	t.client.from_seed = 1;
	t.service = sim_guest_serve(&t.w->guest, GUEST_PORT, &s);
	return t;
}

static void publish(struct inbound *t)
{
	t->listener = sim_world_publish(t->w, &t->spec, &t->port);
}

static struct sim_sock *connect_from(struct inbound *t, uint32_t addr)
{
	struct endpoint peer = {.addr = ip_addr_v4(addr), .port = t->next_port++};

	return sim_host_client(t->listener, &peer, &t->spec.host, &t->client);
}

static struct sim_sock *connect_client(struct inbound *t)
{
	return connect_from(t, 0x7f000001);
}

static void run_ns(struct inbound *t, uint64_t span_ns)
{
	if (!sim_world_run(t->w, t->w->sim.now_ns + span_ns))
		fail_msg("%s", t->w->sim.failure);
}

static void expect_complete(
    const struct inbound *t, const struct sim_sock *s, const struct sim_tcp *c)
{
	assert_non_null(c);
	assert_false(c->app.has_reset);
	assert_false(s->app.has_reset);
	assert_int_equal(s->app.received, c->app.plan.send_len);
	assert_int_equal(c->app.received - c->service->skip_len, s->app.plan.send_len);
	assert_true(sim_app_is_done(&c->app));
	assert_true(sim_app_is_done(&s->app));
	assert_int_equal(s->end, SIM_END_FIN);
	if (t->w->is_lossless)
		assert_int_equal(c->retransmits, 0);
}

static void finish(struct inbound *t)
{
	(void)sim_world_run(t->w, t->w->sim.now_ns + 9000 * SIM_S);
	sim_world_expect_empty(t->w);
}

static void end(struct inbound *t)
{
	assert_int_equal(engine_publish_remove(t->w->engine, t->port), 0);
	finish(t);
	sim_test_end(t->w);
}

/* ---- what works ---- */

/* What comes may, what goes may not. */
static struct policy_verdict inbound_only(const void *ctx, const struct policy_query *q)
{
	const bool *is_closed = ctx;
	bool is_denied = q->direction == POLICY_EGRESS || *is_closed;

	return (struct policy_verdict){
	    .action = is_denied ? POLICY_DENY : POLICY_ALLOW,
	    .rule = is_denied ? 0 : POLICY_RULE_DEFAULT,
	    .class = ADDR_HOST,
	};
}

/* Another policy judges a client as a client, before it is let in and afterwards. */
static void another_policy_judges_clients_as_such(void **state)
{
	struct sim_config cfg = sim_config_defaults(1);
	struct inbound t = begin(&cfg);
	bool is_closed = false;
	struct sim_sock *s;

	(void)state;
	publish(&t);
	t.w->policy.judge = inbound_only;
	t.w->policy.ctx = &is_closed;
	engine_set_policy(t.w->engine, &t.w->policy);
	t.client.app.send_len = 100000;
	s = connect_client(&t);
	run_ns(&t, 200 * SIM_US);
	engine_set_policy(t.w->engine, &t.w->policy);
	run_ns(&t, SIM_S);
	expect_complete(&t, s, t.service->first);
	t.client.app.send_gap_ns = SIM_MS;
	t.client.app.send_chunk = 1000;
	s = connect_client(&t);
	run_ns(&t, 20 * SIM_MS);
	engine_set_policy(t.w->engine, &t.w->policy);
	run_ns(&t, 20 * SIM_MS);
	assert_int_equal(s->end, SIM_END_NONE);
	is_closed = true;
	engine_set_policy(t.w->engine, &t.w->policy);
	run_ns(&t, SIM_S);
	assert_int_equal(s->end, SIM_END_RESET);
	end(&t);
}

/* F1, F3, F5: bytes both ways; the guest sees the gateway. */
static void client_reaches_the_guest(void **state)
{
	struct sim_config cfg = sim_config_defaults(1);
	struct inbound t = begin(&cfg);
	struct sim_sock *s;

	(void)state;
	t.service->app.send_len = 2 << 20;
	t.client.app.send_len = 3 << 20;
	publish(&t);
	assert_int_equal(t.w->published, 1);
	s = connect_client(&t);
	run_ns(&t, 100 * SIM_S);
	expect_complete(&t, s, t.service->first);
	assert_true(ip_addr_eq(&t.service->first->remote, &t.w->netif.gateway_v4));
	assert_int_equal(t.w->ends[FLOW_END_CLOSED], 1);
	assert_true(t.w->last_end.is_inbound);
	assert_int_equal(t.w->last_end.remote.port, CLIENT_PORT);
	assert_int_equal(t.w->last_end.guest.port, GUEST_PORT);
	assert_int_equal(t.w->last_end.rx_bytes, 3 << 20);
	assert_int_equal(t.w->last_end.tx_bytes, 2 << 20);
	end(&t);
}

/* F14. */
static void guest_with_only_v6_is_reached_by_v6(void **state)
{
	struct sim_config cfg = sim_config_defaults(2);
	struct inbound t;
	struct sim_sock *s;

	(void)state;
	cfg.has_no_v4 = true;
	t = begin(&cfg);
	t.service->app.send_len = t.client.app.send_len = 100000;
	publish(&t);
	s = connect_client(&t);
	run_ns(&t, 100 * SIM_S);
	expect_complete(&t, s, t.service->first);
	assert_int_equal(t.service->first->family, 6);
	assert_true(ip_addr_eq(&t.service->first->remote, &t.w->netif.gateway_v6));
	end(&t);
}

/* F7: the SYN is repeated while the guest's queue is full. */
static void fifty_clients_are_served_by_a_backlog_of_five(void **state)
{
	struct sim_config cfg = sim_config_defaults(3);
	struct inbound t = begin(&cfg);
	struct sim_sock *clients[50];

	(void)state;
	t.service->backlog = 5;
	t.service->accept_gap_ns = 2 * SIM_MS;
	t.service->app.send_len = 1000;
	t.client.app.send_len = 500;
	publish(&t);
	for (int i = 0; i < 50; i++)
		clients[i] = connect_client(&t);
	run_ns(&t, 30 * SIM_S);
	assert_int_equal(t.service->accepted, 50);
	assert_true(t.service->syns_dropped > 0);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(clients[i]->app.received, 1000);
		assert_true(sim_app_is_done(&clients[i]->app));
		assert_true(clients[i]->app.end_ns - cfg.start_ns < 2 * SIM_S);
	}
	end(&t);
}

/* F8. */
static void client_that_ends_first_gets_the_whole_answer(void **state)
{
	struct sim_config cfg = sim_config_defaults(4);
	struct inbound t = begin(&cfg);
	struct sim_sock *s;

	(void)state;
	t.client.app.send_len = 1000;
	t.client.app.close = SIM_CLOSE_SENT;
	t.service->app.send_len = 1 << 20;
	t.service->app.start = SIM_START_EOF;
	publish(&t);
	s = connect_client(&t);
	run_ns(&t, 100 * SIM_S);
	expect_complete(&t, s, t.service->first);
	end(&t);
}

/* F9. */
static void guest_that_ends_first_is_heard_at_once(void **state)
{
	struct sim_config cfg = sim_config_defaults(5);
	struct inbound t = begin(&cfg);
	struct sim_sock *s;

	(void)state;
	t.service->app.send_len = 1000;
	t.service->app.close = SIM_CLOSE_SENT;
	t.client.app.close = SIM_CLOSE_EOF;
	t.client.app.start = SIM_START_EOF;
	t.client.app.send_len = 70000;
	publish(&t);
	s = connect_client(&t);
	run_ns(&t, 100 * SIM_S);
	expect_complete(&t, s, t.service->first);
	assert_true(s->app.end_ns - cfg.start_ns < 2 * SIM_MS);
	end(&t);
}

static void resets_travel_both_ways(void **state)
{
	(void)state;
	for (int guest_resets = 0; guest_resets < 2; guest_resets++) {
		struct sim_config cfg = sim_config_defaults(6);
		struct inbound t = begin(&cfg);
		struct sim_sock *s;

		t.service->app.send_len = t.client.app.send_len = 1 << 20;
		if (guest_resets) {
			t.service->app.close = SIM_RESET_RECEIVED;
			t.service->app.close_at = 5000;
		} else {
			t.client.app.close = SIM_RESET_RECEIVED;
			t.client.app.close_at = 5000;
		}
		publish(&t);
		s = connect_client(&t);
		run_ns(&t, 100 * SIM_S);
		assert_true(guest_resets ? s->app.has_reset : t.service->first->app.has_reset);
		assert_int_equal(
		    t.w->ends[guest_resets ? FLOW_END_GUEST_RESET : FLOW_END_REMOTE_RESET], 1);
		end(&t);
	}
}

/* A reader that stops holds the writer, either way, and nothing is lost. */
static void pressure_travels_both_ways(void **state)
{
	(void)state;
	for (int guest_stalls = 0; guest_stalls < 2; guest_stalls++) {
		struct sim_config cfg = sim_config_defaults(7);
		struct inbound t = begin(&cfg);
		struct sim_app_plan *slow = guest_stalls ? &t.service->app : &t.client.app;
		struct sim_sock *s;

		t.service->app.send_len = t.client.app.send_len = 8 << 20;
		slow->stall_at = 100000;
		slow->stall_ns = 20 * SIM_S;
		publish(&t);
		s = connect_client(&t);
		run_ns(&t, 10 * SIM_S);
		assert_true((guest_stalls ? s->app.sent : t.service->first->app.sent) < 8 << 20);
		run_ns(&t, 100 * SIM_S);
		expect_complete(&t, s, t.service->first);
		end(&t);
	}
}

static void lossy_link_loses_nothing(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct sim_config cfg = sim_config_defaults(seed);
		struct inbound t;
		struct sim_sock *s;

		cfg.tx.loss_permille = cfg.rx.loss_permille = 30;
		cfg.tx.dup_permille = cfg.rx.dup_permille = 10;
		cfg.tx.reorder_permille = cfg.rx.reorder_permille = 20;
		cfg.tx.reorder_ns = cfg.rx.reorder_ns = 50 * SIM_US;
		cfg.is_segmented = true;
		t = begin(&cfg);
		t.service->app.send_len = 300000;
		t.client.app.send_len = 200000;
		t.spec.has_proxy_header = false;
		publish(&t);
		s = connect_client(&t);
		run_ns(&t, 2000 * SIM_S);
		assert_int_equal(s->app.received, 300000);
		end(&t);
	}
}

static void guest_without_options_is_understood(void **state)
{
	struct sim_config cfg = sim_config_defaults(8);
	struct inbound t = begin(&cfg);
	struct sim_sock *s;

	(void)state;
	t.service->tcp.mss = 0;
	t.service->tcp.wscale = -1;
	t.w->watch_no_shift = true;
	t.service->app.send_len = t.client.app.send_len = 300000;
	publish(&t);
	s = connect_client(&t);
	run_ns(&t, 100 * SIM_S);
	expect_complete(&t, s, t.service->first);
	end(&t);
}

/* ---- whom the guest sees ---- */

static void client_is_shown_where_its_answers_find_back(void **state)
{
	struct sim_config cfg = sim_config_defaults(9);
	struct inbound t = begin(&cfg);
	struct sim_sock *s;

	(void)state;
	t.spec.source = PUBLISH_SOURCE_CLIENT;
	t.service->app.send_len = t.client.app.send_len = 1000;
	publish(&t);
	s = connect_from(&t, 0xc0000207);
	run_ns(&t, SIM_S);
	expect_complete(&t, s, t.service->first);
	assert_int_equal(t.service->first->remote_port, CLIENT_PORT);
	assert_true(ip_addr_eq(&t.service->first->remote, &s->to.addr));
	/* Inside of the guest's own network there is no way back. */
	s = connect_from(&t, 0x64600001);
	run_ns(&t, SIM_S);
	expect_complete(&t, s, t.service->first);
	assert_true(ip_addr_eq(&t.service->first->remote, &t.w->netif.gateway_v4));
	assert_int_not_equal(t.service->first->remote_port, CLIENT_PORT + 1);
	end(&t);
}

/* PROXY protocol 2.2, before the first byte of the client, whatever is lost. */
static void proxy_header_comes_first(void **state)
{
	static const uint8_t header[28] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55,
	    0x49, 0x54, 0x0a, 0x21, 0x11, 0, 12, 192, 0, 2, 7, 127, 0, 0, 1, CLIENT_PORT >> 8,
	    CLIENT_PORT & 0xff, HOST_PORT >> 8, HOST_PORT & 0xff};

	(void)state;
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct sim_config cfg = sim_config_defaults(seed + 1);
		struct inbound t;
		struct sim_sock *s;

		if (seed > 0)
			cfg.tx.loss_permille = cfg.rx.loss_permille = 100;
		t = begin(&cfg);
		t.spec.has_proxy_header = true;
		memcpy(t.service->skip, header, sizeof(header));
		t.service->skip_len = sizeof(header);
		t.service->app.send_len = t.client.app.send_len = 5000;
		publish(&t);
		s = connect_from(&t, 0xc0000207);
		run_ns(&t, 500 * SIM_S);
		assert_int_equal(s->app.received, 5000);
		if (seed == 0)
			expect_complete(&t, s, t.service->first);
		end(&t);
	}
}

/* ---- what is refused ---- */

/* F10: the client is reset, the guest hears nothing. */
static void denied_client_is_reset(void **state)
{
	struct sim_config cfg = sim_config_defaults(10);
	struct inbound t = begin(&cfg);
	struct sim_sock *s;

	(void)state;
	t.w->policy.denied_port = GUEST_PORT;
	publish(&t);
	s = connect_client(&t);
	run_ns(&t, 10 * SIM_MS);
	assert_true(s->app.has_reset);
	assert_int_equal(s->end, SIM_END_RESET);
	assert_int_equal(t.w->counters.nic.rx_frames, 0);
	assert_int_equal(t.w->denials, 1);
	assert_int_equal(t.w->counters.inbound_denied, 1);
	assert_true(t.w->last_refusal.is_inbound);
	assert_int_equal(t.w->last_refusal.guest.port, GUEST_PORT);
	end(&t);
}

/* P12: the client hears of it at once, and nothing that it has sent was read. */
static void guest_that_refuses_resets_the_client(void **state)
{
	struct sim_config cfg = sim_config_defaults(11);
	struct inbound t = begin(&cfg);
	struct sim_sock *s;

	(void)state;
	t.spec.guest_port = 81;
	t.client.app.send_len = 1000;
	publish(&t);
	s = connect_client(&t);
	run_ns(&t, 2 * SIM_MS);
	assert_true(s->app.has_reset);
	assert_int_equal(s->rx_base, 0);
	assert_int_equal(s->tx_total, 0);
	assert_int_equal(t.w->ends[FLOW_END_REFUSED], 1);
	end(&t);
}

/* A guest that never answers: clients are held for a minute, the ones behind the first 256 by the kernel. */
static void silent_guest_holds_a_bounded_number(void **state)
{
	struct sim_config cfg = sim_config_defaults(12);
	struct inbound t = begin(&cfg);
	struct sim_sock *clients[CLIENTS_MAX];

	(void)state;
	t.service->backlog = 0;
	publish(&t);
	for (int i = 0; i < CLIENTS_MAX; i++)
		clients[i] = connect_client(&t);
	run_ns(&t, 50 * SIM_S);
	assert_int_equal(t.w->host.accepted, 256);
	assert_false(clients[0]->app.has_reset);
	run_ns(&t, 15 * SIM_S);
	assert_true(clients[0]->app.has_reset);
	assert_int_equal(t.w->ends[FLOW_END_GUEST_TIMEOUT], 256);
	assert_int_equal(t.w->host.accepted, CLIENTS_MAX);
	/* It answers again. */
	t.service->backlog = 128;
	t.service->app.close = SIM_CLOSE_SENT;
	run_ns(&t, 20 * SIM_S);
	assert_true(sim_app_is_done(&clients[CLIENTS_MAX - 1]->app));
	assert_false(clients[CLIENTS_MAX - 1]->app.has_reset);
	end(&t);
}

/* Nothing is sent, either way, and it costs no data; it ends when one side ends. */
static void client_that_says_nothing_is_kept(void **state)
{
	struct sim_config cfg = sim_config_defaults(13);
	struct inbound t = begin(&cfg);
	struct sim_sock *s;
	uint64_t turns;

	(void)state;
	t.client.is_manual = true;
	publish(&t);
	s = connect_client(&t);
	run_ns(&t, 60 * SIM_S);
	assert_int_equal(t.service->accepted, 1);
	turns = t.w->turns;
	run_ns(&t, 6900 * SIM_S);
	assert_int_equal(t.w->turns, turns);
	assert_int_equal(t.w->counters.tcp_active, 1);
	sim_peer_fin(s);
	end(&t);
}

static void client_that_leaves_while_the_guest_is_asked_is_forgotten(void **state)
{
	struct sim_config cfg = sim_config_defaults(14);
	struct inbound t = begin(&cfg);
	struct sim_sock *s;

	(void)state;
	t.service->backlog = 0;
	t.client.is_manual = true;
	publish(&t);
	s = connect_client(&t);
	run_ns(&t, 10 * SIM_MS);
	assert_int_equal(t.w->counters.tcp_active, 1);
	sim_peer_reset(s);
	run_ns(&t, 10 * SIM_MS);
	assert_int_equal(t.w->counters.tcp_active, 0);
	assert_int_equal(t.w->ends[FLOW_END_REMOTE_RESET], 1);
	end(&t);
}

/* P11: beyond the limit of connections the next client is reset, and told; one more when one has ended. */
static void clients_beyond_the_limit_are_reset(void **state)
{
	struct sim_config cfg = sim_config_defaults(15);
	struct inbound t;
	struct sim_sock *s[3];

	(void)state;
	cfg.tcp_limit = 2;
	t = begin(&cfg);
	t.client.is_manual = true;
	publish(&t);
	for (int i = 0; i < 3; i++) {
		s[i] = connect_client(&t);
		run_ns(&t, SIM_MS);
	}
	assert_int_equal(s[1]->is_closed, false);
	assert_int_equal(s[2]->end, SIM_END_RESET);
	assert_int_equal(t.w->refusals, 1);
	assert_int_equal(t.w->last_refusal.reason, DROP_TCP_LIMIT);
	sim_peer_fin(s[0]);
	run_ns(&t, SIM_S);
	s[2] = connect_client(&t);
	run_ns(&t, SIM_MS);
	assert_false(s[2]->is_closed);
	sim_peer_fin(s[1]);
	sim_peer_fin(s[2]);
	end(&t);
}

/* Without descriptors clients wait, and are taken in when there are some again, with no event to tell of that. */
static void shortage_of_descriptors_passes(void **state)
{
	struct sim_config cfg = sim_config_defaults(16);
	struct inbound t = begin(&cfg);
	struct sim_sock *s;

	(void)state;
	t.w->host.fail_op = SIM_OP_ACCEPT;
	t.w->host.fail_error = EMFILE;
	t.w->host.fail_nth = 1;
	t.w->host.fails_on = true;
	t.service->app.send_len = 1000;
	publish(&t);
	s = connect_client(&t);
	run_ns(&t, SIM_S);
	assert_int_equal(t.w->host.accepted, 0);
	assert_true(t.w->turns < 50);
	t.w->host.fail_nth = 0;
	run_ns(&t, SIM_S);
	expect_complete(&t, s, t.service->first);
	end(&t);
}

static void failure_to_watch_a_client_resets_it(void **state)
{
	struct sim_config cfg = sim_config_defaults(17);
	struct inbound t = begin(&cfg);
	struct sim_sock *s;

	(void)state;
	publish(&t);
	t.w->host.fail_op = SIM_OP_ADOPT;
	t.w->host.fail_error = ENOSPC;
	t.w->host.fail_nth = 2;
	s = connect_client(&t);
	run_ns(&t, SIM_S);
	assert_true(s->app.has_reset);
	assert_int_equal(t.w->ends[FLOW_END_HOST_ERROR], 1);
	end(&t);
}

/* ---- at run time ---- */

static void ports_come_and_go_while_connections_stay(void **state)
{
	struct sim_config cfg = sim_config_defaults(18);
	struct inbound t = begin(&cfg);
	struct sim_sock *s;
	struct sim_sock *late;

	(void)state;
	t.service->app.send_len = t.client.app.send_len = 100;
	t.service->app.close = SIM_CLOSE_EOF;
	t.client.app.send_chunk = 10;
	t.client.app.send_gap_ns = 100 * SIM_MS;
	publish(&t);
	s = connect_client(&t);
	run_ns(&t, 10 * SIM_MS);
	late = connect_client(&t);
	assert_int_equal(engine_publish_remove(t.w->engine, t.port), 0);
	assert_int_equal(engine_publish_remove(t.w->engine, t.port), -ENOENT);
	assert_int_equal(late->end, SIM_END_RESET);
	run_ns(&t, 100 * SIM_S);
	assert_int_equal(s->app.received, 100);
	assert_int_equal(t.service->first->app.received, 100);
	publish(&t);
	s = connect_client(&t);
	run_ns(&t, 100 * SIM_S);
	assert_int_equal(s->app.received, 100);
	end(&t);
}

/* Each connection has a port of the gateway that no other one has. */
static void gateway_ports_do_not_collide(void **state)
{
	struct sim_config cfg = sim_config_defaults(19);
	struct inbound t;
	struct sim_ports seen = {0};

	(void)state;
	cfg.check_every = 1000;
	t = begin(&cfg);
	t.client.is_manual = true;
	publish(&t);
	for (int i = 0; i < 2000; i++) {
		(void)connect_client(&t);
		if (i % 50 == 49)
			run_ns(&t, 5 * SIM_MS);
	}
	run_ns(&t, SIM_S);
	assert_int_equal(t.w->counters.tcp_active, 2000);
	assert_int_equal(t.service->accepted, 2000);
	for (struct sim_tcp *c = t.service->first; c; c = c->next) {
		assert_true(c->remote_port >= 1024);
		assert_null(*sim_ports_at(&seen, c->remote_port));
		*sim_ports_at(&seen, c->remote_port) = c;
	}
	sim_ports_fini(&seen, false);
	t.w->is_lossless = false;
	sim_test_end(t.w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(another_policy_judges_clients_as_such),
	    cmocka_unit_test(client_reaches_the_guest),
	    cmocka_unit_test(guest_with_only_v6_is_reached_by_v6),
	    cmocka_unit_test(fifty_clients_are_served_by_a_backlog_of_five),
	    cmocka_unit_test(client_that_ends_first_gets_the_whole_answer),
	    cmocka_unit_test(guest_that_ends_first_is_heard_at_once),
	    cmocka_unit_test(resets_travel_both_ways),
	    cmocka_unit_test(pressure_travels_both_ways),
	    cmocka_unit_test(lossy_link_loses_nothing),
	    cmocka_unit_test(guest_without_options_is_understood),
	    cmocka_unit_test(client_is_shown_where_its_answers_find_back),
	    cmocka_unit_test(proxy_header_comes_first),
	    cmocka_unit_test(denied_client_is_reset),
	    cmocka_unit_test(guest_that_refuses_resets_the_client),
	    cmocka_unit_test(silent_guest_holds_a_bounded_number),
	    cmocka_unit_test(client_that_says_nothing_is_kept),
	    cmocka_unit_test(client_that_leaves_while_the_guest_is_asked_is_forgotten),
	    cmocka_unit_test(clients_beyond_the_limit_are_reset),
	    cmocka_unit_test(shortage_of_descriptors_passes),
	    cmocka_unit_test(failure_to_watch_a_client_resets_it),
	    cmocka_unit_test(ports_come_and_go_while_connections_stay),
	    cmocka_unit_test(gateway_ports_do_not_collide),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
