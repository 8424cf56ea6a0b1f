/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sides that are slow, that stop, that never read: pressure travels back to the sender, memory stays bounded, and
 * what moves again moves at once (behaviours.md B14, B15, B26; design.md rules 3, 6, 7).
 */
#include "engine/internal.h"
#include "sim_test.h"

/* Bytes of flows that wait in the engine. */
static uint64_t waiting_bytes(const struct sim_world *w)
{
	const struct tcp_table *t = &w->engine->tcp;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < t->pool.made; i++) {
		struct tcp_flow *f = (struct tcp_flow *)(void *)pool_at(&t->pool, i);

		if (f->head.gen % 2 == 1)
			sum += f->spill.memory + f->conn.ooo.len;
	}
	return sum;
}

/* The longest time without a read once reading had begun again, after the program's stall. */
struct pause {
	uint64_t last_ns;
	uint64_t longest_ns;
};

static struct pause pause_of_guest;

static void note_read(struct sim_app *a, size_t n)
{
	struct pause *p = &pause_of_guest;
	uint64_t now = a->sim->now_ns;

	(void)n;
	if (a->has_stalled && p->last_ns > 0 && now - p->last_ns > p->longest_ns)
		p->longest_ns = now - p->last_ns;
	if (a->has_stalled)
		p->last_ns = now;
}

/* B14: nothing of a download waits in the engine while the guest does not read, and it goes on without a pause. */
static void guest_that_stops_reading_is_waited_for(void **state)
{
	struct sim_config cfg = sim_config_defaults(1);
	struct sim_conn_spec spec = sim_conn_defaults(&cfg, 4);
	struct sim_world *w;
	struct sim_tcp *c;
	uint64_t stalled_at;

	(void)state;
	spec.remote.app.send_len = 64 << 20;
	spec.guest.stall_at = 10 << 20;
	spec.guest.stall_ns = 5 * SIM_S;
	spec.guest.close = SIM_CLOSE_SENT;
	cfg.check_every = 50;
	w = sim_test_world(&cfg);
	c = sim_world_connect(w, &spec);
	c->app.on_read = note_read;
	pause_of_guest = (struct pause){0};
	assert_true(sim_world_run(w, cfg.start_ns + 4 * SIM_S));
	assert_true(c->app.has_stalled);
	assert_int_equal(waiting_bytes(w), 0);
	/* The server is held back: what it has written is read, in the guest's buffer, or in the host's. */
	assert_true(sim_world_sock(w, c)->app.sent <= (10U << 20) + c->cfg.rcvbuf + (256U << 10));
	stalled_at = w->counters.passes;
	assert_true(sim_world_run(w, cfg.start_ns + 5 * SIM_S));
	assert_true(w->counters.passes - stalled_at <= 3); /* probes only */
	(void)sim_world_run(w, cfg.start_ns + 100 * SIM_S);
	sim_world_expect_complete(w, c);
	sim_world_expect_empty(w);
	assert_true(pause_of_guest.longest_ns < SIM_MS);
	sim_test_end(w);
}

/* Rule 3: of an upload no more waits in the engine than was promised, and it goes on at once. */
static void remote_side_that_stops_reading_is_waited_for(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 8; i++) {
		struct sim_config cfg = sim_config_defaults(i);
		struct sim_conn_spec spec = sim_conn_defaults(&cfg, 4);
		struct sim_world *w;
		struct sim_tcp *c;

		spec.guest.send_len = 8 << 20;
		spec.guest.close = SIM_CLOSE_SENT;
		spec.tcp.tso_max = (i & 1) != 0 ? 0 : 65000;
		spec.remote.sndbuf = (i & 2) != 0 ? 4096 : 256 << 10;
		spec.remote.app.stall_at = 4 << 20;
		spec.remote.app.stall_ns = 5 * SIM_S;
		cfg.nic.tx_depth = (i & 4) != 0 ? 2 : 256;
		cfg.check_every = 10;
		w = sim_test_world(&cfg);
		c = sim_world_connect(w, &spec);
		assert_true(sim_world_run(w, cfg.start_ns + 4 * SIM_S));
		assert_true(sim_world_sock(w, c)->app.has_stalled);
		assert_true(waiting_bytes(w) <= (4U << 20) + (64U << 10));
		(void)sim_world_run(w, cfg.start_ns + 100 * SIM_S);
		sim_world_expect_complete(w, c);
		sim_world_expect_empty(w);
		assert_true(c->app.end_ns < cfg.start_ns + 6 * SIM_S);
		sim_test_end(w);
	}
}

/* threats.md P11: any number of uploads that nobody takes. */
static void uploads_that_nobody_takes_stay_within_the_promise(void **state)
{
	struct sim_config cfg = sim_config_defaults(1);
	struct sim_world *w;
	uint64_t promised;

	(void)state;
	cfg.check_every = 200;
	w = sim_test_world(&cfg);
	for (uint32_t i = 0; i < 300; i++) {
		struct sim_conn_spec spec = sim_conn_defaults(&cfg, 4);

		spec.guest.send_len = 8 << 20;
		spec.guest.send_chunk = i % 3 == 0 ? 100 : 0;
		spec.tcp.tso_max = i % 2 == 0 ? 0 : 65000;
		spec.remote.sndbuf = 1 << 20; /* fast at first, so that windows grow */
		spec.remote.app.stall_ns = SIM_NEVER;
		spec.remote.app.stall_at = 1 << 20;
		(void)sim_world_connect(w, &spec);
	}
	(void)sim_world_run(w, cfg.start_ns + 10 * SIM_S);
	promised = 300ULL * w->engine->tcp.wnd_base + (64ULL << 20);
	assert_true(waiting_bytes(w) <= promised + 3000000);
	assert_true(waiting_bytes(w) > 300ULL * 60000); /* it did wait */
	sim_test_end(w);
}

/* The guest's side of the link stands still with its ring full: nothing is lost, nothing is sent twice. */
static void link_that_stands_still_loses_nothing(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 16; i++) {
		struct sim_config cfg = sim_config_defaults(i);
		struct sim_conn_spec spec = sim_conn_defaults(&cfg, i % 2 == 0 ? 4 : 6);

		cfg.nic.rx_depth = 1 + i % 4 * 5;
		cfg.nic.is_level = i % 3 == 0;
		cfg.rx.stall_from_ns = cfg.start_ns + 300 * SIM_US;
		cfg.rx.stall_to_ns =
		    cfg.start_ns + 100 * SIM_MS; /* below the times of both sides */
		spec.remote.app.send_len = 2 << 20;
		spec.guest.send_len = 2 << 20;
		spec.guest.close = SIM_CLOSE_SENT;
		sim_test_end(sim_test_run_one(&cfg, &spec, NULL));
	}
}

/* The kernel frees a receive buffer when its last byte is taken. Acknowledged bytes that are left in it hold all of
 * its memory, and with it the remote side's window, and no event would ever come. */
static void acknowledged_bytes_do_not_hold_the_window(void **state)
{
	(void)state;
	for (uint32_t skb = 1000; skb <= 65536; skb += 1009) {
		struct sim_config cfg = sim_config_defaults(skb);
		struct sim_conn_spec spec = sim_conn_defaults(&cfg, 4);
		struct sim_world *w;

		spec.remote.rcvbuf = skb + 500; /* one buffer fits, two do not */
		spec.remote.skb_len = skb;
		spec.remote.app.send_len = 1 << 20;
		spec.guest.close = SIM_CLOSE_SENT;
		spec.tcp.delack_ns = 0; /* else these are what takes time */
		if (skb % 2 == 0)
			spec.tcp.rcvbuf = 30000;
		w = sim_test_run_one(&cfg, &spec, NULL);
		if (w->sim.now_ns - 60 * SIM_S > cfg.start_ns + 5 * SIM_S) /* TIME-WAIT */
			sim_fail(&w->sim, "took too long, buffers of %u", skb);
		sim_test_end(w);
	}
}

/* B15: idle connections cost nothing beside busy ones. */
static void idle_connections_cost_no_time(void **state)
{
	uint64_t passes[2];

	(void)state;
	for (uint32_t idle = 0; idle <= 200; idle += 200) {
		struct sim_config cfg = sim_config_defaults(1);
		struct sim_world *w;

		cfg.keepalive_ns = SIM_NEVER;
		cfg.check_every = 100;
		w = sim_test_world(&cfg);
		for (uint32_t i = 0; i < idle; i++) {
			struct sim_conn_spec spec = sim_conn_defaults(&cfg, 4);

			spec.guest.close = SIM_CLOSE_NEVER;
			(void)sim_world_connect(w, &spec);
		}
		assert_true(sim_world_run(w, cfg.start_ns + SIM_S));
		passes[idle > 0] = w->counters.passes;
		for (uint32_t i = 0; i < 200; i++) {
			struct sim_conn_spec spec = sim_conn_defaults(&cfg, 4);

			spec.remote.app.send_len = 200000;
			spec.guest.close = SIM_CLOSE_SENT;
			(void)sim_world_connect(w, &spec);
		}
		(void)sim_world_run(w, cfg.start_ns + 1000 * SIM_S);
		assert_int_equal(w->ends[FLOW_END_CLOSED], 200);
		assert_int_equal(sim_world_flows(w), idle);
		passes[idle > 0] = w->counters.passes - passes[idle > 0];
		sim_test_end(w);
	}
	assert_true(passes[1] <= passes[0] + passes[0] / 20);
}

static uint64_t largest_delay_ns;
static const struct sim_app *writer_of[2];

/* Byte number k is written k gaps after the first. */
static void note_delay(struct sim_app *a, size_t n)
{
	const struct sim_app *from = writer_of[a == writer_of[0]];
	uint64_t written = from->first_write_ns + (a->received - n) * from->plan.send_gap_ns;

	if (a->sim->now_ns - written > largest_delay_ns)
		largest_delay_ns = a->sim->now_ns - written;
}

static bool is_dialed(struct sim_world *w)
{
	return w->host.count > 0;
}

/* B26: single bytes, a thousand in a second, both ways: nothing waits for a timer. */
static void interactive_bytes_do_not_wait(void **state)
{
	(void)state;
	for (int kind = 0; kind < 3; kind++) {
		struct sim_config cfg = sim_config_defaults(1);
		struct sim_conn_spec spec = sim_conn_defaults(&cfg, 4);
		struct sim_world *w = sim_test_world(&cfg);
		struct sim_tcp *c;
		struct sim_sock *s;

		spec.guest.send_len = spec.remote.app.send_len = 3000;
		spec.guest.send_chunk = spec.remote.app.send_chunk = 1;
		spec.guest.send_gap_ns = spec.remote.app.send_gap_ns = SIM_MS;
		if (kind == 1)
			spec.remote.app.send_len = 0;
		if (kind == 2)
			spec.guest.send_len = 0;
		spec.guest.close = SIM_CLOSE_SENT;
		c = sim_world_connect(w, &spec);
		assert_true(sim_world_run_until(w, is_dialed, SIM_NEVER - 1));
		s = sim_world_sock(w, c);
		writer_of[0] = &c->app;
		writer_of[1] = &s->app;
		c->app.on_read = note_delay;
		s->app.on_read = note_delay;
		largest_delay_ns = 0;
		(void)sim_world_run(w, cfg.start_ns + 1000 * SIM_S);
		sim_world_expect_complete(w, c);
		assert_true(largest_delay_ns < 200 * SIM_US);
		sim_test_end(w);
	}
}

/* Rule 7: an idle connection asks for no turn. */
static void idle_engine_is_not_woken(void **state)
{
	struct sim_config cfg = sim_config_defaults(1);
	struct sim_conn_spec spec = sim_conn_defaults(&cfg, 4);
	struct sim_world *w;
	uint64_t passes;

	(void)state;
	cfg.keepalive_ns = SIM_NEVER;
	spec.guest.send_len = 100000;
	spec.remote.app.send_len = 100000;
	spec.guest.close = SIM_CLOSE_NEVER;
	w = sim_test_world(&cfg);
	(void)sim_world_connect(w, &spec);
	assert_true(sim_world_run(w, cfg.start_ns + 10 * SIM_S));
	passes = w->counters.passes;
	assert_true(sim_world_is_idle(w));
	assert_true(sim_world_run(w, cfg.start_ns + 3600 * SIM_S));
	assert_int_equal(w->counters.passes, passes);
	assert_int_equal(w->counters.tcp_active, 1);
	sim_test_end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(guest_that_stops_reading_is_waited_for),
	    cmocka_unit_test(remote_side_that_stops_reading_is_waited_for),
	    cmocka_unit_test(uploads_that_nobody_takes_stay_within_the_promise),
	    cmocka_unit_test(link_that_stands_still_loses_nothing),
	    cmocka_unit_test(acknowledged_bytes_do_not_hold_the_window),
	    cmocka_unit_test(idle_connections_cost_no_time),
	    cmocka_unit_test(interactive_bytes_do_not_wait),
	    cmocka_unit_test(idle_engine_is_not_woken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
