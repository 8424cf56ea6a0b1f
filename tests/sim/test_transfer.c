/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transfers over a link that loses nothing: bytes are equal both ways, both ends come as FIN, nothing is
 * sent twice, nothing is left (behaviours.md B1, B6, B10; design.md rules 2 and 3).
 */
#include "sim_test.h"

enum {
	SIZE = 150000,
};

static struct sim_conn_spec both_ways(const struct sim_config *cfg, uint8_t family)
{
	struct sim_conn_spec spec = sim_conn_defaults(cfg, family);

	spec.guest.send_len = SIZE;
	spec.guest.close = SIM_CLOSE_SENT;
	spec.remote.app.send_len = SIZE + 1;
	spec.remote.app.close = SIM_CLOSE_SENT;
	return spec;
}

static const uint32_t features[] = {0, NIC_F_CSUM, NIC_F_CSUM | NIC_F_TSO4, NIC_F_CSUM | NIC_F_TSO6,
    NIC_F_CSUM | NIC_F_TSO4 | NIC_F_TSO6 | NIC_F_USO};
static const uint16_t mtus[] = {1280, 1500, 9000, 65520};

/* B1: whatever the frame device and its offloads are. */
static void bytes_are_equal_over_every_frame_device(void **state)
{
	(void)state;
	for (size_t i = 0; i < 320; i++) {
		struct sim_config cfg = sim_config_defaults(i);
		struct sim_conn_spec spec;

		cfg.nic.features = features[i % 5];
		cfg.mtu = mtus[i / 5 % 4];
		cfg.nic.is_level = (i / 20 & 1) != 0;
		cfg.nic.tx_piece = (i / 20 & 2) != 0 ? 1000 : 0;
		cfg.nic.rx_piece = (i / 20 & 2) != 0 ? 700 : 0;
		cfg.nic.batch_max = (i / 20 & 4) != 0 ? 16 : 1;
		cfg.is_segmented = (i / 20 & 8) != 0;
		spec = both_ways(&cfg, i % 2 == 0 ? 4 : 6);
		spec.tcp.tso_max = (i & 4) != 0 ? 0 : 65000;
		spec.tcp.is_partial = (i & 8) != 0;
		sim_test_end(sim_test_run_one(&cfg, &spec, NULL));
	}
}

/* B6: whoever ends first, and with whatever still to say. */
static void every_order_of_ends_is_kept(void **state)
{
	static const enum sim_close closes[][2] = {
	    {SIM_CLOSE_SENT, SIM_CLOSE_SENT},
	    {SIM_CLOSE_SENT, SIM_CLOSE_EOF},
	    {SIM_CLOSE_EOF, SIM_CLOSE_SENT},
	};

	(void)state;
	for (size_t i = 0; i < 54; i++) {
		struct sim_config cfg = sim_config_defaults(i);
		struct sim_conn_spec spec = both_ways(&cfg, 4);

		spec.guest.send_len = i / 3 % 3 * 5000;
		spec.remote.app.send_len = i / 9 % 3 * 5000;
		spec.guest.close = closes[i % 3][0];
		spec.remote.app.close = closes[i % 3][1];
		cfg.has_no_peek_offset = i / 27 != 0;
		if (closes[i % 3][1] == SIM_CLOSE_EOF)
			spec.remote.app.start = SIM_START_EOF;
		if (closes[i % 3][0] == SIM_CLOSE_EOF)
			spec.guest.start = SIM_START_EOF;
		sim_test_end(sim_test_run_one(&cfg, &spec, NULL));
	}
}

/* RFC 9293 3.4: sequence numbers wrap, the guest's and ours. Ours begin where a clock and a keyed hash
 * say; the clock can be chosen. */
static void sequence_numbers_wrap(void **state)
{
	(void)state;
	for (uint32_t before = 0; before < 100000; before += 777) {
		struct sim_config cfg = sim_config_defaults(7);
		struct sim_conn_spec spec = both_ways(&cfg, 4);
		struct sim_world *w;
		struct sim_tcp *c;
		uint32_t first;

		spec.tcp.iss = 0U - before - 1;
		w = sim_test_run_one(&cfg, &spec, &c);
		first = c->irs;
		sim_test_end(w);
		cfg.start_ns += (uint64_t)(0U - before - first) << 12;
		w = sim_test_run_one(&cfg, &spec, &c);
		assert_true(c->irs > 0U - before - 1000 || c->irs < 1000);
		sim_test_end(w);
	}
}

/* RFC 6528: the initial number of the same ends grows with time; other ends have another one. */
static void initial_sequence_numbers_follow_clock_and_ends(void **state)
{
	struct sim_config cfg = sim_config_defaults(3);
	struct sim_world *w = sim_test_world(&cfg);
	struct sim_conn_spec spec = sim_conn_defaults(&cfg, 4);
	uint32_t last = 0;

	(void)state;
	spec.guest.close = SIM_CLOSE_SENT;
	spec.tcp.time_wait_ns = SIM_S;
	for (int i = 0; i < 10; i++) {
		uint64_t then = w->sim.now_ns;
		struct sim_tcp *a;
		struct sim_tcp *b;

		w->next_remote = SIM_PORT_FIRST;
		spec.port = 30000;
		a = sim_world_connect(w, &spec);
		w->next_remote = SIM_PORT_FIRST;
		spec.port = 30001;
		b = sim_world_connect(w, &spec);
		(void)sim_world_run(w, then + 100 * SIM_S);
		w->sim.now_ns = then + 100 * SIM_S;
		assert_int_not_equal(a->irs, b->irs);
		if (i > 0) /* 100 s are 24.4 million steps */
			assert_in_range(a->irs - last, 20000000, 30000000);
		last = a->irs;
	}
	sim_test_end(w);
}

/* Many at once, each with its own end. */
static void connections_do_not_mix(void **state)
{
	struct sim_config cfg = sim_config_defaults(5);
	struct sim_world *w;
	struct sim_tcp *conns[100];

	(void)state;
	cfg.nic.rx_depth = 32;
	cfg.nic.tx_depth = 8;
	w = sim_test_world(&cfg);
	for (uint32_t i = 0; i < 100; i++) {
		struct sim_conn_spec spec = both_ways(&cfg, i % 2 == 0 ? 4 : 6);

		spec.guest.seed = 10 + i;
		spec.remote.app.seed = 1000 + i;
		spec.guest.send_len = 1000ULL * i;
		spec.remote.app.send_len = 100000 - 1000ULL * i;
		conns[i] = sim_world_connect(w, &spec);
	}
	(void)sim_world_run(w, cfg.start_ns + 7000 * SIM_S);
	for (uint32_t i = 0; i < 100; i++)
		sim_world_expect_complete(w, conns[i]);
	sim_world_expect_empty(w);
	assert_int_equal(w->ends[FLOW_END_CLOSED], 100);
	sim_test_end(w);
}

/* threats.md P9: an urgent mark anywhere in the remote side's stream changes nothing in it. */
static void urgent_marks_shift_nothing(void **state)
{
	(void)state;
	for (uint64_t at = 0; at < 60; at++) {
		struct sim_config cfg = sim_config_defaults(at);
		struct sim_conn_spec spec = both_ways(&cfg, 4);

		cfg.has_no_peek_offset = at % 2 != 0;
		spec.remote.urgent_at = 1 + at * 2500;
		sim_test_end(sim_test_run_one(&cfg, &spec, NULL));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bytes_are_equal_over_every_frame_device),
	    cmocka_unit_test(every_order_of_ends_is_kept),
	    cmocka_unit_test(sequence_numbers_wrap),
	    cmocka_unit_test(initial_sequence_numbers_follow_clock_and_ends),
	    cmocka_unit_test(connections_do_not_mix),
	    cmocka_unit_test(urgent_marks_shift_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
