/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is as much as the guest likes is done in bounded amounts: timers that are due at once (design.md rule 8), ends
 * of flows that are told (threats.md C16).
 */
#include <errno.h>

#include "sim_test.h"

enum {
	FLOWS = 3000,
	IDLE_S = 30,
	TURN_MAX = 256, /* timers, and flows of one timer, in one pass */
	ENDS_BURST = 10000,
	ENDS_PER_S = 200,
};

/* One datagram of a new flow. */
static void send_datagram(struct sim_world *w, uint32_t number)
{
	struct ip_addr to = ip_addr_v4(0xcb007107);
	struct sim_packet p = sim_guest_packet(&w->guest, &to, 4, 17);

	p.src_port = (uint16_t)(1024 + number % 60000);
	p.dst_port = (uint16_t)(10000 + number / 60000);
	p.payload_len = 4;
	sim_world_inject(w, sim_build_udp(&p, 3, 0));
}

static void run(struct sim_world *w, uint64_t span_ns)
{
	if (!sim_world_run(w, w->sim.now_ns + span_ns))
		fail_msg("%s", w->sim.failure);
}

static void idle_flows_end_in_bounded_passes(void **state)
{
	struct sim_config cfg = sim_config_defaults(3);
	struct sim_world *w;
	uint64_t before;

	(void)state;
	cfg.udp_limit = FLOWS;
	cfg.udp_idle_ns = IDLE_S * SIM_S;
	w = sim_test_world(&cfg);
	for (uint32_t i = 0; i < FLOWS; i++) {
		send_datagram(w, i);
		if (i % 64 == 63)
			run(w, SIM_US);
	}
	run(w, SIM_S);
	assert_int_equal(w->counters.udp_active, FLOWS);
	/* All of them are due; one pass, then the others follow without a wait. */
	w->sim.now_ns += 2 * IDLE_S * SIM_S;
	before = w->counters.udp_active;
	assert_int_equal(engine_run(w->engine, w->sim.now_ns), 1);
	assert_in_range(before - w->counters.udp_active, 1, TURN_MAX);
	assert_int_equal(engine_run(w->engine, w->sim.now_ns), 1);
	assert_in_range(before - w->counters.udp_active, TURN_MAX, 2 * TURN_MAX);
	w->turn_ns = w->sim.now_ns; /* as its loop would do now */
	run(w, SIM_S);
	assert_int_equal(w->counters.udp_active, 0);
	assert_int_equal(w->ends[FLOW_END_IDLE], FLOWS);
	assert_true(engine_next_ns(w->engine) == ENGINE_NEVER);
	sim_test_end(w);
}

static void timers_that_are_due_at_once_are_served_in_bounded_passes(void **state)
{
	struct sim_config cfg = sim_config_defaults(3);
	struct sim_conn_spec spec;
	struct sim_world *w;
	uint64_t before;

	(void)state;
	cfg.idle_ns = 3600 * SIM_S;
	cfg.keepalive_ns = SIM_NEVER;
	w = sim_test_world(&cfg);
	spec = sim_conn_defaults(&cfg, 4);
	for (int i = 0; i < 1000; i++)
		(void)sim_world_connect(w, &spec);
	run(w, 10 * SIM_S);
	assert_int_equal(w->counters.tcp_active, 1000);
	w->sim.now_ns += 5000 * SIM_S;
	before = w->counters.tcp_active;
	assert_true(engine_run(w->engine, w->sim.now_ns) >= 0);
	assert_in_range(before - w->counters.tcp_active, 1, TURN_MAX);
	assert_true(engine_next_ns(w->engine) <= w->sim.now_ns + SIM_MS);
	run(w, SIM_S);
	assert_int_equal(w->counters.tcp_active, 0);
	sim_test_end(w);
}

static void c16_ends_of_flows_are_told_at_a_bounded_rate(void **state)
{
	struct sim_config cfg = sim_config_defaults(3);
	struct sim_world *w;
	uint64_t ended;
	uint64_t told;

	(void)state;
	cfg.udp_limit = 2;
	w = sim_test_world(&cfg);
	for (uint32_t i = 0; i < ENDS_BURST + 5000; i++) {
		send_datagram(w, i);
		if (i % 64 == 63)
			run(w, SIM_MS);
	}
	run(w, 10 * SIM_MS);
	ended = w->counters.udp_flows - 2;
	told = w->ends[FLOW_END_EVICTED];
	assert_in_range(told, ENDS_BURST, ENDS_BURST + ENDS_PER_S);
	assert_int_equal(told + w->counters.flow_ends_limited, ended);
	/* The flood is over: one event says how many are missing. */
	run(w, 10 * SIM_S);
	send_datagram(w, 60000);
	run(w, SIM_MS);
	assert_int_equal(w->limit_events, 2);
	assert_int_equal(w->ends_limited, w->counters.flow_ends_limited);
	assert_int_equal(w->ends[FLOW_END_EVICTED] + w->ends_limited, w->counters.udp_flows - 2);
	sim_test_end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(idle_flows_end_in_bounded_passes),
	    cmocka_unit_test(timers_that_are_due_at_once_are_served_in_bounded_passes),
	    cmocka_unit_test(c16_ends_of_flows_are_told_at_a_bounded_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
