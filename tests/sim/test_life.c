/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lives of connections and of the engine: tables come back to nothing, limits hold, floods and broken links end
 * nothing else (behaviours.md B10, B11, B24, B25; threats.md P11; design.md rules 2, 11).
 */
#include <errno.h>

#include "sim_test.h"

static struct sim_conn_spec short_transfer(const struct sim_config *cfg, uint32_t i)
{
	struct sim_conn_spec s = sim_conn_defaults(cfg, i % 2 == 0 ? 4 : 6);

	s.guest.send_len = 100;
	s.guest.close = i % 3 == 0 ? SIM_CLOSE_EOF : SIM_CLOSE_SENT;
	s.remote.app.send_len = 1000;
	s.remote.app.close = i % 3 == 1 ? SIM_CLOSE_EOF : SIM_CLOSE_SENT;
	return s;
}

/* B10: 300 connections one after the other, opened and closed by the guest; the next one works. */
static void table_is_empty_after_many_connections(void **state)
{
	struct sim_config cfg = sim_config_defaults(1);
	struct sim_world *w = sim_test_world(&cfg);

	(void)state;
	for (uint32_t i = 0; i < 301; i++) {
		struct sim_conn_spec spec = short_transfer(&cfg, i);
		struct sim_tcp *c = sim_world_connect(w, &spec);

		(void)sim_world_run(w, w->sim.now_ns + 10 * SIM_MS);
		sim_world_expect_complete(w, c);
		assert_int_equal(w->counters.tcp_active, 0);
	}
	(void)sim_world_run(w, w->sim.now_ns + 1000 * SIM_S);
	sim_world_expect_empty(w);
	assert_int_equal(w->ends[FLOW_END_CLOSED], 301);
	sim_test_end(w);
}

/* Ports are used again at once, over and over, in every order of closing. */
static void same_ports_are_used_again(void **state)
{
	struct sim_config cfg = sim_config_defaults(1);
	struct sim_world *w = sim_test_world(&cfg);

	(void)state;
	for (uint32_t i = 0; i < 50; i++) {
		struct sim_conn_spec spec = short_transfer(&cfg, 0);
		struct sim_tcp *c;

		w->next_remote = SIM_PORT_FIRST;
		spec.port = 33333;
		spec.tcp.iss = 1000 + i * 200000;
		spec.tcp.time_wait_ns = SIM_MS;
		spec.guest.close = i % 2 == 0 ? SIM_CLOSE_EOF : SIM_CLOSE_SENT;
		spec.remote.app.close = i % 2 == 0 ? SIM_CLOSE_SENT : SIM_CLOSE_EOF;
		c = sim_world_connect(w, &spec);
		(void)sim_world_run(w, w->sim.now_ns + 100 * SIM_MS);
		assert_true(sim_app_is_done(&c->app));
		assert_int_equal(c->app.received, 1000);
	}
	(void)sim_world_run(w, w->sim.now_ns + 1000 * SIM_S);
	sim_world_expect_empty(w);
	assert_int_equal(w->ends[FLOW_END_CLOSED], 50);
	sim_test_end(w);
}

/* B11: the SYN beyond the limit is refused, the others go on, and after one closes the next works. */
static void limit_refuses_and_recovers(void **state)
{
	struct sim_config cfg = sim_config_defaults(1);
	struct sim_tcp *held[20];
	struct sim_world *w;
	struct sim_conn_spec spec;
	struct sim_tcp *c;

	(void)state;
	cfg.tcp_limit = 20;
	w = sim_test_world(&cfg);
	for (uint32_t i = 0; i < 20; i++) {
		spec = sim_conn_defaults(&cfg, 4);
		spec.guest.send_len = 200000;
		spec.guest.send_chunk = 100;
		spec.guest.send_gap_ns = SIM_MS;
		spec.guest.close = SIM_CLOSE_SENT;
		spec.remote.app.send_len = i == 0 ? 0 : 1000;
		if (i == 0) { /* the first one leaves after a second */
			spec.guest.send_len = 1000;
			spec.guest.send_gap_ns = 100 * SIM_MS;
		}
		held[i] = sim_world_connect(w, &spec);
	}
	(void)sim_world_run(w, cfg.start_ns + 500 * SIM_MS);
	spec = short_transfer(&cfg, 0);
	c = sim_world_connect(w, &spec);
	(void)sim_world_run(w, cfg.start_ns + 600 * SIM_MS);
	assert_true(c->app.has_reset);
	assert_int_equal(c->app.error, ECONNREFUSED);
	assert_int_equal(w->refusals, 1);
	assert_int_equal(w->last_refusal.reason, DROP_TCP_LIMIT);
	(void)sim_world_run(w, cfg.start_ns + 1500 * SIM_MS);
	c = sim_world_connect(w, &spec);
	(void)sim_world_run(w, cfg.start_ns + 1600 * SIM_MS);
	sim_world_expect_complete(w, c);
	(void)sim_world_run(w, cfg.start_ns + 1000 * SIM_S);
	for (uint32_t i = 0; i < 20; i++)
		sim_world_expect_complete(w, held[i]);
	sim_world_expect_empty(w);
	sim_test_end(w);
}

/* threats.md P11: a flood of SYNs to nowhere displaces only itself. */
static void flood_of_syns_leaves_others_alone(void **state)
{
	struct sim_config cfg = sim_config_defaults(1);
	struct sim_world *w;
	struct sim_conn_spec busy;
	struct sim_tcp *c;
	uint32_t sent = 0;

	(void)state;
	cfg.tcp_limit = 300;
	cfg.tcp_backlog = 100;
	cfg.has_checks_off = true; /* the flood's own SYNs are repeated */
	cfg.check_every = 20;
	w = sim_test_world(&cfg);
	busy = sim_conn_defaults(&cfg, 4);
	busy.guest.send_len = 1 << 20;
	busy.remote.app.send_len = 1 << 20;
	busy.guest.close = SIM_CLOSE_SENT;
	c = sim_world_connect(w, &busy);
	for (int burst = 0; burst < 50; burst++) {
		for (int i = 0; i < 100; i++, sent++) {
			struct sim_packet p = sim_guest_packet(&w->guest,
			    &(struct ip_addr){.b = {0x20, 1, 0x0d, 0xb8, [15] = 9}}, 6, 6);

			p.src_port = (uint16_t)(1024 + sent);
			p.dst_port = 9999;
			p.flags = SIM_SYN;
			p.seq = sent;
			p.wnd = 65535;
			sim_world_inject(w, sim_build_tcp(&p, 0, 0, 0, false));
		}
		(void)sim_world_run(w, w->sim.now_ns + SIM_MS);
	}
	assert_true(w->counters.drops[DROP_TCP_BACKLOG] >= 5000 - 100 - 1);
	sim_world_expect_complete(w, c);
	busy.guest.send_len = 1000;
	c = sim_world_connect(w, &busy);
	(void)sim_world_run(w, w->sim.now_ns + 100 * SIM_S);
	sim_world_expect_complete(w, c);
	sim_world_expect_empty(w);
	sim_test_end(w);
}

/* B25: half-open connections are gone after 60 to 75 s. */
static void half_open_connections_go_away(void **state)
{
	struct sim_config cfg = sim_config_defaults(1);
	struct sim_remote remote = {.answer = SIM_ANSWER_ACCEPT};
	struct sim_world *w;

	(void)state;
	cfg.has_checks_off = true;
	cfg.rx.loss_permille = 1000; /* the guest hears nothing */
	w = sim_test_world(&cfg);
	sim_world_serve(w, 80, &remote);
	for (uint16_t i = 0; i < 200; i++) {
		struct sim_packet p = sim_guest_packet(&w->guest,
		    &(struct ip_addr){.b = {[10] = 0xff, [11] = 0xff, 203, 0, 113, 9}}, 4, 6);

		p.src_port = (uint16_t)(2000 + i);
		p.dst_port = i % 2 == 0 ? 80 : 81; /* one answers, one is silent */
		p.flags = SIM_SYN;
		p.wnd = 65535;
		sim_world_inject(w, sim_build_tcp(&p, 0, 0, 0, false));
	}
	(void)sim_world_run(w, cfg.start_ns + 55 * SIM_S);
	assert_int_equal(sim_world_flows(w), 200);
	(void)sim_world_run(w, cfg.start_ns + 75 * SIM_S);
	sim_world_expect_empty(w);
	sim_test_end(w);
}

/* B24: an idle connection of three hours is still there, and known by both sides to be. */
static void idle_for_hours_then_data(void **state)
{
	struct sim_config cfg = sim_config_defaults(1);
	struct sim_conn_spec spec = sim_conn_defaults(&cfg, 4);
	struct sim_world *w;
	struct sim_tcp *c;

	(void)state;
	spec.guest.send_len = 2000;
	spec.guest.send_chunk = 1000;
	spec.guest.send_gap_ns = 10800 * SIM_S;
	spec.guest.close = SIM_CLOSE_SENT;
	spec.remote.app.send_len = 2000;
	spec.remote.app.start = SIM_START_EOF;
	w = sim_test_world(&cfg);
	c = sim_world_connect(w, &spec);
	(void)sim_world_run(w, cfg.start_ns + 18000 * SIM_S);
	sim_world_expect_complete(w, c);
	sim_world_expect_empty(w);
	assert_int_equal(w->counters.tcp_zero_window_probes, 1); /* keepalive after two hours */
	sim_test_end(w);
}

/* The engine ends with connections in every state: each is reset, on both sides, and reported. */
static void end_of_the_engine_resets_all(void **state)
{
	(void)state;
	for (uint64_t us = 0; us < 400; us += 7) {
		struct sim_config cfg = sim_config_defaults(us);
		struct sim_world *w = sim_test_world(&cfg);
		uint64_t total = 0;

		for (uint32_t i = 0; i < 10; i++) {
			struct sim_conn_spec spec = short_transfer(&cfg, i);

			spec.guest.send_len = i * 20000ULL;
			if (i == 9)
				spec.remote.answer = SIM_ANSWER_SILENT;
			(void)sim_world_connect(w, &spec);
		}
		(void)sim_world_run(w, cfg.start_ns + us * SIM_US);
		engine_free(w->engine, w->sim.now_ns);
		w->engine = NULL;
		for (int i = 0; i < FLOW_END_COUNT; i++)
			total += w->ends[i];
		assert_int_equal(total, w->counters.tcp_flows);
		assert_int_equal(w->counters.tcp_active, 0);
		assert_int_equal(sim_host_open_count(&w->host), 0);
		sim_test_end(w);
	}
}

static bool is_sent(struct sim_world *w)
{
	return w->guest.conns[0]->app.is_shut;
}

/* The guest has sent everything, and its end, and is gone: the remote side still gets it all. */
static void what_a_gone_guest_has_sent_is_delivered(void **state)
{
	struct sim_config cfg = sim_config_defaults(1);
	struct sim_conn_spec spec = sim_conn_defaults(&cfg, 4);
	struct sim_world *w;
	struct sim_tcp *c;
	struct sim_sock *s;

	(void)state;
	spec.guest.send_len = 50000;
	spec.guest.close = SIM_CLOSE_SENT;
	spec.remote.sndbuf = 2000;
	spec.remote.app.read_chunk = 1000;
	spec.remote.app.read_gap_ns = SIM_MS;
	spec.remote.app.send_len = 10;
	cfg.has_checks_off = true;
	w = sim_test_world(&cfg);
	c = sim_world_connect(w, &spec);
	assert_true(sim_world_run_until(w, is_sent, cfg.start_ns + SIM_S));
	(void)sim_world_run(w, w->sim.now_ns + 100 * SIM_US);
	s = sim_world_sock(w, c);
	assert_true(s->app.received < 50000);
	assert_false(engine_is_delivered(w->engine));
	engine_on_link_gone(w->engine, w->sim.now_ns);
	(void)sim_world_run(w, w->sim.now_ns + SIM_S);
	assert_true(engine_is_delivered(w->engine));
	assert_int_equal(s->app.received, 50000);
	assert_true(s->app.has_eof);
	sim_test_end(w);
}

/* A broken frame device ends the engine's turn with an error, and nothing else. */
static void broken_link_is_told(void **state)
{
	struct sim_config cfg = sim_config_defaults(1);
	struct sim_world *w = sim_test_world(&cfg);

	(void)state;
	w->nic.is_broken = true;
	engine_on_frames(w->engine);
	assert_int_equal(engine_run(w->engine, w->sim.now_ns), -EPIPE);
	sim_test_end(w);
}

/* Configurations out of range are refused. */
static void wrong_limits_are_refused(void **state)
{
	struct sim_config cfg = sim_config_defaults(1);
	struct sim_world *w = sim_test_world(&cfg);
	struct engine_config good;
	struct engine_counters counters = {0};
	struct engine *e = NULL;

	(void)state;
	engine_config_defaults(&good);
	good.netif = w->netif;
	good.policy = &w->policy;
	for (int i = 0; i < 9; i++) {
		struct engine_config c = good;

		switch (i) {
		case 0:
			c.tcp_limit = 0; /* B12 */
			break;
		case 1:
			c.tcp_limit = 1000001;
			break;
		case 2:
			c.tcp_backlog = 0;
			break;
		case 3:
			c.udp_limit = 0;
			break;
		case 4:
			c.udp_limit = 1000001;
			break;
		case 5:
			c.resolver_count = ENGINE_RESOLVERS_MAX + 1;
			break;
		case 6:
			c.netif.mtu = 1279;
			break;
		case 7:
			c.netif.mtu = 65521;
			break;
		default:
			c.policy = NULL;
			break;
		}
		assert_int_equal(engine_new(&c, &w->nic.nic, &sim_sock_ops, &w->host, &counters,
				     w->sim.now_ns, &e),
		    -EINVAL);
		assert_null(e);
	}
	sim_test_end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(table_is_empty_after_many_connections),
	    cmocka_unit_test(same_ports_are_used_again),
	    cmocka_unit_test(limit_refuses_and_recovers),
	    cmocka_unit_test(flood_of_syns_leaves_others_alone),
	    cmocka_unit_test(half_open_connections_go_away),
	    cmocka_unit_test(idle_for_hours_then_data),
	    cmocka_unit_test(end_of_the_engine_resets_all),
	    cmocka_unit_test(what_a_gone_guest_has_sent_is_delivered),
	    cmocka_unit_test(broken_link_is_told),
	    cmocka_unit_test(wrong_limits_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
