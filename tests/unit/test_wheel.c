/* SPDX-License-Identifier: Apache-2.0 */
/* Timer wheel: never early, late by a bounded amount, next expiry never missed. */
#include "unit.h"

#include "base/wheel.h"

enum {
	TIMERS = 300,
	STEPS = 20000,
};

static const uint64_t tick_ns = 1ULL << WHEEL_TICK_BITS;

static uint64_t rng_state = 88172645463325252ULL;

static uint64_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

/* A span between nothing and half a year, every order of magnitude equally likely. */
static uint64_t random_span(void)
{
	return rng() >> (10 + rng() % 54);
}

static uint64_t latest_allowed(uint64_t set_at, uint64_t due)
{
	uint64_t span = due > set_at ? due - set_at : 0;

	return (due > set_at ? due : set_at) + span / 7 + 2 * tick_ns;
}

static void fires_in_time_and_never_early(void **state)
{
	struct timer timers[TIMERS];
	uint64_t set_at[TIMERS];
	struct wheel w;
	uint64_t now = 1234567;
	int fired = 0;

	(void)state;
	wheel_init(&w, now);
	for (int i = 0; i < TIMERS; i++)
		timer_init(&timers[i], (uint16_t)i);
	for (int step = 0; step < STEPS; step++) {
		size_t i = rng() % TIMERS;
		struct timer *t;
		uint64_t next;

		if (rng() % 4 == 0) {
			wheel_cancel(&w, &timers[i]);
		} else {
			set_at[i] = now;
			wheel_set(&w, &timers[i], now + random_span());
		}
		next = wheel_next_ns(&w);
		if (rng() % 2 == 0)
			now += random_span() >> 20;
		else if (next != WHEEL_NEVER && next > now)
			now = next;
		while ((t = wheel_expire(&w, now)) != NULL) {
			assert_false(timer_is_set(t));
			assert_true(t->due_ns <= now);
			fired++;
		}
		next = wheel_next_ns(&w);
		assert_true(next > now);
		for (int k = 0; k < TIMERS; k++) {
			if (!timer_is_set(&timers[k]))
				continue;
			/* Still set: not overdue, and the wheel will be asked in time. */
			assert_true(now <= latest_allowed(set_at[k], timers[k].due_ns));
			assert_true(next <= latest_allowed(set_at[k], timers[k].due_ns));
		}
	}
	assert_true(fired > 1000);
}

static void empty_wheel_never_wakes(void **state)
{
	struct timer t;
	struct wheel w;

	(void)state;
	wheel_init(&w, 5);
	timer_init(&t, 0);
	assert_true(wheel_next_ns(&w) == WHEEL_NEVER);
	wheel_set(&w, &t, 1000000000);
	assert_true(wheel_next_ns(&w) != WHEEL_NEVER);
	wheel_cancel(&w, &t);
	assert_true(wheel_next_ns(&w) == WHEEL_NEVER);
	assert_null(wheel_expire(&w, UINT64_MAX / 2));
}

static void expired_timer_can_be_cancelled_before_it_is_taken(void **state)
{
	struct timer a;
	struct timer b;
	struct wheel w;
	struct timer *first;

	(void)state;
	wheel_init(&w, 0);
	timer_init(&a, 1);
	timer_init(&b, 2);
	wheel_set(&w, &a, 10 * tick_ns);
	wheel_set(&w, &b, 10 * tick_ns);
	first = wheel_expire(&w, 20 * tick_ns);
	assert_ptr_equal(first, &a);
	wheel_cancel(&w, &b);
	assert_null(wheel_expire(&w, 20 * tick_ns));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fires_in_time_and_never_early),
	    cmocka_unit_test(empty_wheel_never_wakes),
	    cmocka_unit_test(expired_timer_can_be_cancelled_before_it_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
