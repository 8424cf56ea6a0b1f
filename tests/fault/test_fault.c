/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that can fail fails in turn, as SQLite's tests do it: the n-th allocation of the engine, and the n-th call
 * of each of the host's functions with each errno that it may return, for every n until a run ends before the
 * failure comes; once for one failure, once for all calls from the n-th on.
 *
 * Whatever fails: the engine's structures agree, no byte is lost or wrong in a stream, no socket is left or used
 * after it was closed (sim_world.h); a single failure costs at most one conversation, whose ends hear of it;
 * a counter or an event names it; and afterwards everything works again. A sanitizer sees what leaks.
 */
#include <errno.h>
#include <stdio.h>

#include "fault_alloc.h"
#include "scenario.h"
#include "sim_test.h"

struct totals {
	uint64_t drops;
	uint64_t refusals;
	uint64_t ends;     /* other than closed and idle */
	uint64_t failures; /* questions that no resolver and no echo has answered */
};

static struct totals totals_of(const struct sim_world *w)
{
	struct totals t = {.refusals = w->refusals + w->denials};

	for (int i = 0; i < DROP_REASON_COUNT; i++)
		t.drops += w->counters.drops[i];
	for (int i = 0; i < FLOW_END_COUNT; i++)
		t.ends += i == FLOW_END_CLOSED || i == FLOW_END_IDLE ? 0 : w->ends[i];
	t.failures = w->counters.dns_failures + w->counters.icmp_echo_tx - w->counters.icmp_echo_rx;
	return t;
}

static bool is_named(const struct totals *t)
{
	return t->drops + t->refusals + t->ends + t->failures > 0;
}

/* What one failure may cost. */
struct cost {
	uint32_t conns;
	uint32_t answers;
};

/* The first run had a failure in it; the second one has none. */
static bool check(struct scenario *s, const struct cost *most)
{
	uint32_t conns = SCENARIO_CONNS - scenario_complete(s);
	uint32_t answers = scenario_unanswered(s);
	struct totals totals = totals_of(s->w);
	struct sim *sim = &s->w->sim;

	if (!scenario_is_over(s))
		sim_fail(sim, "a connection hangs");
	if (conns > most->conns || answers > most->answers)
		sim_fail(sim, "%u connections and %u answers are lost", conns, answers);
	if (conns + answers > 0 && !is_named(&totals))
		sim_fail(sim, "no counter tells of %u connections, %u answers", conns, answers);
	if (sim->has_failed)
		return false;
	scenario_run(s);
	if (scenario_complete(s) != SCENARIO_CONNS || scenario_unanswered(s) > 0)
		sim_fail(sim, "afterwards %u connections and %u answers are lost",
		    SCENARIO_CONNS - scenario_complete(s), scenario_unanswered(s));
	return !sim->has_failed;
}

static void finish(struct scenario *s, const char *what, uint64_t n, int error)
{
	struct sim_world *w = s->w;

	scenario_end(s);
	if (!sim_test_free(w)) {
		print_error("%s: call %llu, %s\n", what, (unsigned long long)n, strerror(error));
		fail();
	}
}

/* ---- nothing fails ---- */

static void scenario_is_right_when_nothing_fails(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct sim_config cfg = scenario_config(i == 1);
		struct cost none = {0};
		struct scenario s;

		scenario_begin(&s, sim_test_world(&cfg));
		scenario_run(&s);
		(void)check(&s, &none);
		assert_true(s.w->counters.tcp_spilled_bytes > 0);
		assert_true(s.w->counters.reassembled > 0);
		assert_true(s.w->counters.tcp_out_of_order > 0 || i == 0);
		finish(&s, "nothing", 0, 0);
	}
}

/* ---- allocations ---- */

static bool run_without_memory(uint64_t n, bool lasts, bool is_disordered)
{
	static const struct cost once = {.conns = 1, .answers = 3};
	static const struct cost any = {.conns = UINT32_MAX, .answers = UINT32_MAX};
	struct sim_config cfg = scenario_config(is_disordered);
	struct scenario s;
	struct sim_world *w = sim_test_world(&cfg);
	bool has_failed;

	scenario_begin(&s, w);
	fault_alloc_set(n, lasts);
	scenario_run(&s);
	has_failed = fault_alloc_has_failed();
	fault_alloc_set(0, false);
	(void)check(&s, lasts ? &any : &once);
	finish(&s, lasts ? "memory from there on" : "memory", n, ENOMEM);
	return has_failed;
}

static void each_allocation_fails(void **state)
{
	uint64_t n = 1;

	(void)state;
	while (run_without_memory(n, false, true))
		n++;
	assert_true(n > 15);
	print_message("%llu allocations\n", (unsigned long long)n - 1);
}

static void all_allocations_fail_from_one_on(void **state)
{
	uint64_t n = 1;

	(void)state;
	while (run_without_memory(n, true, true))
		n++;
	assert_true(n > 15);
}

/* The engine itself does without memory: it is not made, and nothing is left. */
static void engine_is_not_made_without_memory(void **state)
{
	uint64_t n;

	(void)state;
	for (n = 1;; n++) {
		struct sim_config cfg = scenario_config(false);
		struct sim_world *w = sim_alloc(sizeof(*w));
		bool has_failed;

		fault_alloc_set(n, false);
		sim_world_init(w, &cfg);
		has_failed = fault_alloc_has_failed();
		fault_alloc_set(0, false);
		assert_true(has_failed == !w->engine);
		sim_world_fini(w);
		free(w);
		if (!has_failed)
			break;
	}
	assert_true(n > 8);
}

/* ---- calls of the host ---- */

struct op_case {
	enum sim_op op;
	const char *name;
	struct cost cost;
	int errors[12]; /* up to the first 0 */
};

/* Not error_next(): it has no failure of its own. */
static const struct op_case op_cases[] = {
    {SIM_OP_CONNECT, "connect", {1, 0},
	{EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL, ENETUNREACH, EHOSTUNREACH, EACCES, EPERM,
	    ECONNREFUSED, ETIMEDOUT}},
    {SIM_OP_RESULT, "result", {1, 0}, {ECONNREFUSED, EHOSTUNREACH, ETIMEDOUT, ECONNRESET, ENOBUFS}},
    {SIM_OP_SEND, "send", {1, 0}, {EAGAIN, EPIPE, ECONNRESET, ETIMEDOUT, EHOSTUNREACH, ENETDOWN}},
    {SIM_OP_PEEK, "peek", {1, 0}, {ECONNRESET, ETIMEDOUT, EHOSTUNREACH, ENOMEM}},
    {SIM_OP_CONSUME, "consume", {1, 0}, {ECONNRESET, EAGAIN, ENOMEM}},
    {SIM_OP_SHUTDOWN, "shutdown", {1, 0}, {ENOTCONN, ECONNRESET}},
    {SIM_OP_UDP_OPEN, "udp_open", {0, 3},
	{EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL, ENETUNREACH, EACCES, EPERM}},
    {SIM_OP_UDP_SEND, "udp_send", {0, 3},
	{EAGAIN, EINTR, ENOBUFS, ENOMEM, ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EMSGSIZE, EPERM,
	    EINVAL, ENETDOWN}},
    {SIM_OP_UDP_RECV, "udp_recv", {0, 3},
	{EINTR, ENOMEM, ECONNREFUSED, EHOSTUNREACH, ENETDOWN, EMSGSIZE}},
    {SIM_OP_PING_OPEN, "ping_open", {0, 1}, {EACCES, EPERM, EMFILE, ENOBUFS, ENOMEM}},
    {SIM_OP_PING_SEND, "ping_send", {0, 1},
	{EAGAIN, EINTR, ENOBUFS, ENETUNREACH, EHOSTUNREACH, EMSGSIZE, ECONNREFUSED, EPERM}},
    {SIM_OP_PING_RECV, "ping_recv", {0, 1}, {EINTR, EHOSTUNREACH, ECONNREFUSED, EBADMSG, ENOMEM}},
};

/* True if there were so many calls. */
static bool run_failing(const struct op_case *c, uint64_t n, int error, bool lasts)
{
	static const struct cost any = {.conns = UINT32_MAX, .answers = UINT32_MAX};
	struct sim_config cfg = scenario_config(false);
	struct scenario s;
	struct sim_world *w = sim_test_world(&cfg);
	bool has_failed;

	w->is_lossless = false; /* what is given back for want of memory is sent again */
	scenario_begin(&s, w);
	w->host.fail_op = c->op;
	w->host.fail_nth = n;
	w->host.fail_error = error;
	w->host.fails_on = lasts;
	scenario_run(&s);
	has_failed = w->host.has_failed_call;
	w->host.fail_nth = 0;
	(void)check(&s, lasts ? &any : &c->cost);
	finish(&s, c->name, n, error);
	return has_failed;
}

static void each_call_of_the_host_fails(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(op_cases) / sizeof(op_cases[0]); i++) {
		const struct op_case *c = &op_cases[i];
		uint64_t most = 0;

		for (int k = 0; c->errors[k] != 0; k++) {
			uint64_t n = 1;

			while (run_failing(c, n, c->errors[k], false))
				n++;
			most = n > most ? n : most;
		}
		print_message("%s: %llu calls\n", c->name, (unsigned long long)most - 1);
	}
}

/* A host that is out of order from some time on, and then is well again. */
static void all_calls_of_the_host_fail_from_one_on(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(op_cases) / sizeof(op_cases[0]); i++) {
		const struct op_case *c = &op_cases[i];

		for (int k = 0; c->errors[k] != 0; k++) {
			if (c->errors[k] == EAGAIN && c->op == SIM_OP_SEND)
				continue; /* for ever: a remote side that does not read */
			for (uint64_t n = 1; run_failing(c, n, c->errors[k], true);)
				n += 1 + n / 4;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(scenario_is_right_when_nothing_fails),
	    cmocka_unit_test(engine_is_not_made_without_memory),
	    cmocka_unit_test(each_allocation_fails),
	    cmocka_unit_test(all_allocations_fail_from_one_on),
	    cmocka_unit_test(each_call_of_the_host_fails),
	    cmocka_unit_test(all_calls_of_the_host_fail_from_one_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
