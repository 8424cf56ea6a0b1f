/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host whose servers, routes and resolvers disappear in mid flow, and come back: the guest is told what has happened
 * (design.md rules 1, 2; behaviours.md B5, D11, D12, E9), what it does elsewhere goes on, and so does everything
 * when the host is well again.
 */
#include <errno.h>

#include "sim_test.h"

enum {
	RESOLVERS = 2,
	NAME_PORT = 5000,
	DGRAM_PORT = 5001,
	TIMES_MAX = 16,
};

struct gone {
	struct sim_world *w;
	struct sim_tcp *busy;
	uint16_t next_id;
	bool is_alive[RESOLVERS];    /* ... and answers */
	bool is_refusing[RESOLVERS]; /* ... else it says so */
	uint32_t asked[RESOLVERS];   /* queries that reached it */
	uint32_t answers;            /* NOERROR */
	uint32_t failures;           /* SERVFAIL */
	uint64_t answer_ns;          /* when the last one came */
	uint32_t datagrams;          /* to the guest */
	uint32_t unreachable;        /* ICMP: network unreachable */
};

static void on_datagram(void *ctx, struct sim_sock *s, const struct sim_sent_datagram *d)
{
	struct gone *g = ((struct sim_world *)ctx)->ctx;
	uint32_t n = ip_addr_to_v4(&s->to.addr) & 0xff; /* see sim_world.c */
	uint8_t buf[512];

	if (s->owner.kind != SOCK_DNS) {
		sim_peer_datagram(s, NULL, 0, d->bytes, d->len, 0);
		return;
	}
	assert_true(n < RESOLVERS && d->len >= 12 && d->len <= sizeof(buf));
	g->asked[n]++;
	if (g->is_refusing[n]) {
		s->error = ECONNREFUSED;
		sim_sock_wake(s);
	}
	if (!g->is_alive[n])
		return;
	memcpy(buf, d->bytes, d->len);
	buf[2] |= 0x80;
	sim_peer_datagram(s, NULL, 0, buf, d->len, 0);
}

static void on_packet(void *ctx, const struct sim_packet *p)
{
	struct gone *g = ((struct sim_world *)ctx)->ctx;

	if (p->family == 4 && p->proto == 1 && p->icmp_type == 3 && p->icmp_code == 0)
		g->unreachable++;
	if (p->family == 0 || p->proto != 17)
		return;
	if (p->dst_port != NAME_PORT) {
		g->datagrams++;
		return;
	}
	if ((p->payload[3] & 15) == 0)
		g->answers++;
	else if ((p->payload[3] & 15) == 2)
		g->failures++;
	g->answer_ns = g->w->sim.now_ns;
}

static void begin(struct gone *g)
{
	struct sim_config cfg = sim_config_defaults(5);
	struct sim_conn_spec spec = sim_conn_defaults(&cfg, 4);

	cfg.resolver_count = RESOLVERS;
	*g = (struct gone){.w = sim_test_world(&cfg), .is_alive = {true, true}};
	g->w->ctx = g;
	g->w->host.on_datagram = on_datagram;
	g->w->guest.on_packet = on_packet;
	spec.guest.send_len = spec.remote.app.send_len = 60000;
	spec.guest.send_chunk = spec.remote.app.send_chunk = 1000;
	spec.guest.send_gap_ns = spec.remote.app.send_gap_ns = SIM_S;
	spec.guest.close = SIM_CLOSE_SENT;
	g->busy = sim_world_connect(g->w, &spec);
}

static void wait_ns(struct gone *g, uint64_t span_ns)
{
	if (!sim_world_run(g->w, g->w->sim.now_ns + span_ns))
		fail_msg("%s", g->w->sim.failure);
}

static void end(struct gone *g)
{
	(void)sim_world_run(g->w, g->w->sim.now_ns + 1000 * SIM_S);
	sim_world_expect_complete(g->w, g->busy);
	sim_test_end(g->w);
}

/* ---- servers ---- */

static void lose_server(int error, enum flow_end want)
{
	struct gone g;
	struct sim_conn_spec spec;
	struct sim_tcp *c;
	struct sim_sock *s;
	uint64_t waiting;

	begin(&g);
	spec = sim_conn_defaults(&g.w->cfg, 6);
	spec.remote.app.send_len = 10 << 20;
	spec.guest.send_len = 10 << 20;
	spec.guest.send_chunk = spec.remote.app.send_chunk = 10000;
	spec.guest.send_gap_ns = spec.remote.app.send_gap_ns = 100 * SIM_US;
	c = sim_world_connect(g.w, &spec);
	wait_ns(&g, 5 * SIM_MS);
	s = sim_world_sock(g.w, c);
	assert_non_null(s);
	assert_true(c->app.received > 0 && c->app.received < spec.remote.app.send_len);
	waiting = s->app.sent;
	sim_peer_fail(s, error);
	wait_ns(&g, SIM_S);
	/* All that came before, then the reset. */
	assert_true(c->app.has_reset);
	assert_int_equal(c->app.received, waiting);
	assert_int_equal(g.w->ends[want], 1);
	assert_int_equal(g.w->counters.tcp_active, 1);
	end(&g);
}

static void server_that_disappears_is_told_as_reset(void **state)
{
	(void)state;
	lose_server(ETIMEDOUT, FLOW_END_REMOTE_TIMEOUT);
	lose_server(EHOSTUNREACH, FLOW_END_UNREACHABLE);
	lose_server(ENETUNREACH, FLOW_END_UNREACHABLE);
	lose_server(ENETDOWN, FLOW_END_HOST_ERROR);
	lose_server(ECONNRESET, FLOW_END_REMOTE_RESET);
}

/* ---- routes ---- */

static void send_datagram(struct gone *g)
{
	struct ip_addr to = ip_addr_v4(0xcb007107);
	struct sim_packet p = sim_guest_packet(&g->w->guest, &to, 4, 17);

	p.src_port = DGRAM_PORT;
	p.dst_port = 7000;
	p.payload_len = 100;
	sim_world_inject(g->w, sim_build_udp(&p, 3, 0));
	wait_ns(g, 100 * SIM_MS);
}

/* B5: each datagram is told as unreachable. It ends its flow, so that the next one leaves from a socket that knows
 * the routes and addresses of then. */
static void route_that_disappears_is_told_and_comes_back(void **state)
{
	struct gone g;

	(void)state;
	begin(&g);
	send_datagram(&g);
	assert_int_equal(g.datagrams, 1);
	g.w->host.fail_op = SIM_OP_UDP_SEND;
	g.w->host.fail_error = ENETUNREACH;
	g.w->host.fails_on = true;
	g.w->host.fail_nth = 1;
	for (uint32_t i = 1; i <= 3; i++) {
		send_datagram(&g);
		assert_int_equal(g.unreachable, i);
		assert_int_equal(g.w->counters.drops[DROP_UDP_SEND], i);
	}
	g.w->host.fail_nth = 0;
	send_datagram(&g);
	assert_int_equal(g.datagrams, 2);
	assert_int_equal(g.w->counters.udp_flows, 4);
	end(&g);
}

static void connections_without_a_route_fail_at_once_and_then_work(void **state)
{
	struct gone g;
	struct sim_conn_spec spec;
	struct sim_tcp *c;

	(void)state;
	begin(&g);
	spec = sim_conn_defaults(&g.w->cfg, 4);
	spec.guest.close = SIM_CLOSE_SENT;
	spec.guest.send_len = 1000;
	spec.remote.answer = SIM_ANSWER_ERROR;
	spec.remote.error = ENETUNREACH;
	spec.remote.is_sync = true;
	c = sim_world_connect(g.w, &spec);
	wait_ns(&g, 100 * SIM_MS);
	assert_true(c->app.has_reset);
	assert_int_equal(g.w->ends[FLOW_END_UNREACHABLE], 1);
	spec.remote.answer = SIM_ANSWER_ACCEPT;
	c = sim_world_connect(g.w, &spec);
	wait_ns(&g, 100 * SIM_MS);
	sim_world_expect_complete(g.w, c);
	end(&g);
}

/* ---- resolvers ---- */

static void send_question(struct gone *g)
{
	static const uint8_t question[] = {
	    1, 'a', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 1, 0, 1};
	struct sim_packet p = sim_guest_packet(&g->w->guest, &g->w->netif.gateway_v4, 4, 17);
	uint8_t l4[8 + 12 + sizeof(question)] = {0};

	sim_put16(l4, NAME_PORT);
	sim_put16(l4 + 2, 53);
	sim_put16(l4 + 4, sizeof(l4));
	sim_put16(l4 + 8, g->next_id++);
	sim_put16(l4 + 10, 0x0100);
	sim_put16(l4 + 12, 1);
	memcpy(l4 + 20, question, sizeof(question));
	sim_fill_csum(&p, l4, sizeof(l4), 6);
	sim_world_inject(g->w, sim_build_ip(&p, l4, sizeof(l4)));
}

/* Asks, and waits for the answer; returns how long it took. */
static uint64_t ask(struct gone *g)
{
	uint32_t heard = g->answers + g->failures;
	uint64_t from = g->w->sim.now_ns;

	send_question(g);
	wait_ns(g, 30 * SIM_S);
	assert_int_equal(g->answers + g->failures, heard + 1);
	return g->answer_ns - from;
}

/* D11: the other one is asked: at once where the first refuses, after one timeout where it is silent; and the
 * next question does not wait again. */
static void resolver_that_disappears_is_replaced(void **state)
{
	(void)state;
	for (int refuses = 0; refuses < 2; refuses++) {
		struct gone g;

		begin(&g);
		assert_true(ask(&g) < 10 * SIM_MS);
		assert_int_equal(g.asked[0], 1);
		g.is_alive[0] = false;
		g.is_refusing[0] = refuses != 0;
		assert_true(ask(&g) < (refuses ? 10 * SIM_MS : 6 * SIM_S));
		assert_true(ask(&g) < 10 * SIM_MS);
		/* It is tried again after some time, beside the other one. */
		assert_int_equal(g.asked[0], 3);
		assert_int_equal(g.asked[1], 2);
		assert_int_equal(g.answers, 3);
		end(&g);
	}
}

/* D12: SERVFAIL, and answers again when one is back. */
static void resolvers_that_all_disappear_are_told_and_come_back(void **state)
{
	(void)state;
	for (int refuses = 0; refuses < 2; refuses++) {
		struct gone g;

		begin(&g);
		g.is_alive[0] = g.is_alive[1] = false;
		g.is_refusing[0] = g.is_refusing[1] = refuses != 0;
		for (uint32_t i = 1; i <= 3; i++) {
			assert_true(ask(&g) < (refuses ? 10 * SIM_MS : 12 * SIM_S));
			assert_int_equal(g.failures, i);
		}
		g.is_alive[0] = true;
		g.is_refusing[0] = false;
		assert_true(ask(&g) < (refuses ? 10 * SIM_MS : 6 * SIM_S));
		assert_int_equal(g.answers, 1);
		assert_true(ask(&g) < 10 * SIM_MS);
		end(&g);
	}
}

/* Thousands of questions that nobody answers: the next ones are dropped and counted; then all are told. */
static void questions_that_nobody_answers_are_bounded(void **state)
{
	struct gone g;

	(void)state;
	begin(&g);
	g.is_alive[0] = g.is_alive[1] = false;
	for (uint32_t i = 0; i < 4200; i++) {
		send_question(&g);
		wait_ns(&g, 10 * SIM_US);
	}
	assert_int_equal(g.w->counters.drops[DROP_DNS_LIMIT], 4200 - 4096);
	wait_ns(&g, 30 * SIM_S);
	/* They are told all at once: for some there is no room. */
	assert_int_equal(g.failures + g.w->counters.drops[DROP_NO_ROOM], 4096);
	g.failures = 0;
	g.is_alive[0] = g.is_alive[1] = true;
	assert_true(ask(&g) < 10 * SIM_MS);
	end(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(server_that_disappears_is_told_as_reset),
	    cmocka_unit_test(route_that_disappears_is_told_and_comes_back),
	    cmocka_unit_test(connections_without_a_route_fail_at_once_and_then_work),
	    cmocka_unit_test(resolver_that_disappears_is_replaced),
	    cmocka_unit_test(resolvers_that_all_disappear_are_told_and_come_back),
	    cmocka_unit_test(questions_that_nobody_answers_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
