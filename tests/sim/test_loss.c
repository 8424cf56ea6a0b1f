/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link that loses, doubles and reorders frames: every transfer ends, with equal bytes, whichever frames are
 * lost. All single and all double losses of short transfers are tried, frame by frame.
 */
#include "sim_test.h"

struct scene {
	const char *name;
	struct sim_conn_spec spec;
};

static struct sim_config plain_config(void)
{
	struct sim_config cfg = sim_config_defaults(1);

	cfg.nic.features = NIC_F_CSUM; /* a frame is a segment */
	return cfg;
}

/* Guest and remote side ask and answer; the guest ends first. */
static struct sim_conn_spec ask_and_answer(const struct sim_config *cfg)
{
	struct sim_conn_spec s = sim_conn_defaults(cfg, 4);

	s.tcp.tso_max = 0;
	s.guest.send_len = 4000;
	s.guest.close = SIM_CLOSE_SENT;
	s.remote.app.start = SIM_START_RECEIVED;
	s.remote.app.start_at = 4000;
	s.remote.app.send_len = 7000;
	return s;
}

/* Both speak at once; the remote side ends first. */
static struct sim_conn_spec crossing(const struct sim_config *cfg)
{
	struct sim_conn_spec s = sim_conn_defaults(cfg, 6);

	s.tcp.tso_max = 0;
	s.guest.send_len = 6000;
	s.remote.app.send_len = 6000;
	s.remote.app.close = SIM_CLOSE_SENT;
	return s;
}

/* The guest's window is small and closes. */
static struct sim_conn_spec slow_guest(const struct sim_config *cfg)
{
	struct sim_conn_spec s = sim_conn_defaults(cfg, 4);

	s.tcp.tso_max = 0;
	s.tcp.rcvbuf = 4000;
	s.guest.read_chunk = 2000;
	s.guest.read_gap_ns = 10 * SIM_MS;
	s.guest.send_len = 100;
	s.guest.close = SIM_CLOSE_SENT;
	s.remote.app.send_len = 12000;
	s.remote.app.close = SIM_CLOSE_SENT;
	return s;
}

/* The remote side is slow, so that the guest's data waits here. */
static struct sim_conn_spec slow_remote(const struct sim_config *cfg)
{
	struct sim_conn_spec s = sim_conn_defaults(cfg, 4);

	s.tcp.tso_max = 0;
	s.remote.sndbuf = 2000;
	s.remote.app.read_chunk = 1000;
	s.remote.app.read_gap_ns = 5 * SIM_MS;
	s.guest.send_len = 12000;
	s.guest.close = SIM_CLOSE_SENT;
	return s;
}

/* How many frames go in each direction where none is lost. */
static void count_frames(const struct sim_config *cfg, const struct sim_conn_spec *spec,
    uint32_t *ret_tx, uint32_t *ret_rx)
{
	struct sim_world *w = sim_test_run_one(cfg, spec, NULL);

	*ret_tx = (uint32_t)w->tx.count;
	*ret_rx = (uint32_t)w->rx.count;
	sim_test_end(w);
}

static bool run_losing(const struct sim_config *plain, const struct sim_conn_spec *spec,
    uint32_t tx, uint32_t a, uint32_t b)
{
	struct sim_config cfg = *plain;
	uint32_t tx_lost = 0;
	uint32_t rx_lost = 0;
	struct sim_world *w;

	/* Frames 1 .. tx are the guest's, the others ours; 0: none. */
	for (int i = 0; i < 2; i++) {
		uint32_t n = i == 0 ? a : b;

		if (n > tx)
			cfg.rx.lose[rx_lost++] = n - tx;
		else if (n > 0)
			cfg.tx.lose[tx_lost++] = n;
	}
	w = sim_test_run_one(&cfg, spec, NULL);
	if (w->sim.now_ns > cfg.start_ns + 200 * SIM_S)
		sim_fail(&w->sim, "took too long");
	if (w->sim.has_failed)
		print_error("frames %u and %u lost (1 to %u are the guest's):\n", a, b, tx);
	return sim_test_free(w);
}

static void lose_all(struct sim_conn_spec (*make)(const struct sim_config *cfg))
{
	struct sim_config cfg = plain_config();
	struct sim_conn_spec spec = make(&cfg);
	uint32_t tx;
	uint32_t rx;
	uint32_t failed = 0;

	count_frames(&cfg, &spec, &tx, &rx);
	assert_in_range(tx + rx, 15, 200);
	for (uint32_t a = 1; a <= tx + rx && failed < 10; a++)
		for (uint32_t b = 0; b < a && failed < 10; b++)
			failed += !run_losing(&cfg, &spec, tx, a, b);
	assert_int_equal(failed, 0);
}

static void any_two_frames_of_a_question_and_its_answer(void **state)
{
	(void)state;
	lose_all(ask_and_answer);
}

static void any_two_frames_of_crossing_transfers(void **state)
{
	(void)state;
	lose_all(crossing);
}

static void any_two_frames_around_a_closed_window_of_the_guest(void **state)
{
	(void)state;
	lose_all(slow_guest);
}

static void any_two_frames_while_data_waits_here(void **state)
{
	(void)state;
	lose_all(slow_remote);
}

/* All kinds at once, for longer, with and without offloads. */
static void run_random(uint32_t loss, uint32_t dup, uint32_t reorder)
{
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct sim_config cfg = sim_config_defaults(seed);
		struct sim_conn_spec spec;

		if (seed % 2 == 0)
			cfg.nic.features = NIC_F_CSUM;
		cfg.is_segmented = seed % 4 == 1;
		cfg.tx.loss_permille = cfg.rx.loss_permille = loss;
		cfg.tx.dup_permille = cfg.rx.dup_permille = dup;
		cfg.tx.reorder_permille = cfg.rx.reorder_permille = reorder;
		cfg.tx.reorder_ns = cfg.rx.reorder_ns = 30 * SIM_US;
		spec = sim_conn_defaults(&cfg, seed % 3 == 0 ? 6 : 4);
		spec.tcp.tso_max = seed % 2 == 0 ? 0 : 20000;
		spec.guest.send_len = 60000;
		spec.remote.app.send_len = 100000;
		spec.guest.close = SIM_CLOSE_SENT;
		if (seed % 5 == 0)
			spec.remote.app.close = SIM_CLOSE_SENT;
		sim_test_end(sim_test_run_one(&cfg, &spec, NULL));
	}
}

static void one_frame_of_a_hundred_lost(void **state)
{
	(void)state;
	run_random(10, 0, 0);
}

static void one_frame_of_ten_lost(void **state)
{
	(void)state;
	run_random(100, 0, 0);
}

static void one_frame_of_five_lost(void **state)
{
	(void)state;
	run_random(200, 0, 0);
}

static void frames_doubled(void **state)
{
	(void)state;
	run_random(0, 200, 0);
}

static void frames_reordered(void **state)
{
	(void)state;
	run_random(0, 0, 200);
}

static void frames_lost_doubled_and_reordered(void **state)
{
	(void)state;
	run_random(50, 50, 100);
}

/* RFC 6582: what was sent again, and answered with duplicate ACKs, is not taken for another loss. */
static void doubled_frames_cause_no_retransmission_for_ever(void **state)
{
	struct sim_config cfg = plain_config();
	struct sim_conn_spec spec = crossing(&cfg);
	struct sim_world *w;

	(void)state;
	spec.remote.app.send_len = 200000;
	cfg.rx.lose[0] = 40;
	w = sim_test_run_one(&cfg, &spec, NULL);
	assert_in_range(w->counters.tcp_retransmits, 1, 2);
	sim_test_end(w);
}

/* A machine so busy that the engine does not run for a second: what the guest has said meanwhile is heard before its
 * silence counts. */
static void acknowledgments_that_wait_to_be_read_are_no_loss(void **state)
{
	(void)state;
	for (uint64_t us = 1000; us <= 2000; us += 3) {
		struct sim_config cfg = plain_config();
		struct sim_conn_spec spec = sim_conn_defaults(&cfg, 4);
		struct sim_world *w = sim_test_world(&cfg);
		struct sim_tcp *c;
		struct sim_tcp *d;

		spec.tcp.tso_max = 0;
		spec.tcp.rto_ns = 5 * SIM_S; /* the guest waits */
		spec.remote.app.send_len = 300000;
		spec.remote.app.send_chunk = 4000;
		spec.remote.app.send_gap_ns = 200 * SIM_US; /* each pass finds little */
		spec.remote.app.close = SIM_CLOSE_SENT;
		c = sim_world_connect(w, &spec);
		d = sim_world_connect(w, &spec);
		(void)sim_world_run(w, cfg.start_ns + us * SIM_US);
		w->busy_until_ns = w->sim.now_ns + 900 * SIM_MS;
		if (w->turn_ns < w->busy_until_ns)
			w->turn_ns = w->busy_until_ns;
		(void)sim_world_run(w, cfg.start_ns + 100 * SIM_S);
		sim_world_expect_complete(w, c);
		sim_world_expect_complete(w, d);
		assert_int_equal(w->counters.tcp_retransmits, 0);
		sim_test_end(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(any_two_frames_of_a_question_and_its_answer),
	    cmocka_unit_test(any_two_frames_of_crossing_transfers),
	    cmocka_unit_test(any_two_frames_around_a_closed_window_of_the_guest),
	    cmocka_unit_test(any_two_frames_while_data_waits_here),
	    cmocka_unit_test(one_frame_of_a_hundred_lost),
	    cmocka_unit_test(one_frame_of_ten_lost),
	    cmocka_unit_test(one_frame_of_five_lost),
	    cmocka_unit_test(frames_doubled),
	    cmocka_unit_test(frames_reordered),
	    cmocka_unit_test(frames_lost_doubled_and_reordered),
	    cmocka_unit_test(acknowledgments_that_wait_to_be_read_are_no_loss),
	    cmocka_unit_test(doubled_frames_cause_no_retransmission_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
