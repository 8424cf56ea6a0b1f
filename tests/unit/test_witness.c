/* SPDX-License-Identifier: Apache-2.0 */
/* Signals to a process group, told from those to one process: a signal is neither doubled nor lost. */
#include "app/witness.h"
#include "unit.h"

enum {
	SIG = 15,
	OTHER = 1,
};

static void a_signal_without_a_copy_is_for_the_messenger(void **state)
{
	struct witness w = {0};

	(void)state;
	assert_false(witness_match(&w, SIG, 0));
	witness_see(&w, OTHER, 10);
	assert_false(witness_match(&w, SIG, 0));
	assert_true(witness_match(&w, OTHER, 0));
	assert_false(witness_match(&w, OTHER, 20));
}

static void a_slow_witness_matches_each(void **state)
{
	struct witness w = {0};

	(void)state;
	/* The messenger read one at 100 and one at 200, and the witness sees both before the messages. */
	witness_see(&w, SIG, 150);
	witness_see(&w, SIG, 250);
	assert_true(witness_match(&w, SIG, 0));
	assert_true(witness_match(&w, SIG, 100));
	assert_false(witness_match(&w, SIG, 200));
}

static void a_slow_messenger_leaves_nothing_behind(void **state)
{
	struct witness w = {0};

	(void)state;
	/* Two signals, merged into one for the messenger, who reads it at 300. */
	witness_see(&w, SIG, 100);
	witness_see(&w, SIG, 200);
	assert_true(witness_match(&w, SIG, 0));
	/* The next one is for him alone. */
	assert_false(witness_match(&w, SIG, 300));
	/* And then one for the group again. */
	witness_see(&w, SIG, 400);
	assert_true(witness_match(&w, SIG, 350));
	assert_false(witness_match(&w, SIG, 450));
}

static void a_slow_messenger_and_then_one_for_the_group(void **state)
{
	struct witness w = {0};

	(void)state;
	witness_see(&w, SIG, 100);
	witness_see(&w, SIG, 200);
	assert_true(witness_match(&w, SIG, 0));
	witness_see(&w, SIG, 400);
	assert_true(witness_match(&w, SIG, 300));
	assert_false(witness_match(&w, SIG, 500));
}

static void numbers_that_are_no_signals_are_ignored(void **state)
{
	struct witness w = {0};

	(void)state;
	witness_see(&w, 0, 1);
	witness_see(&w, WITNESS_SIGNALS, 1);
	witness_see(&w, UINT32_MAX, 1);
	assert_false(witness_match(&w, 0, 0));
	assert_false(witness_match(&w, WITNESS_SIGNALS, 0));
	assert_false(witness_match(&w, UINT32_MAX, 0));
	witness_see(&w, WITNESS_SIGNALS - 1, 1);
	assert_true(witness_match(&w, WITNESS_SIGNALS - 1, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_signal_without_a_copy_is_for_the_messenger),
	    cmocka_unit_test(a_slow_witness_matches_each),
	    cmocka_unit_test(a_slow_messenger_leaves_nothing_behind),
	    cmocka_unit_test(a_slow_messenger_and_then_one_for_the_group),
	    cmocka_unit_test(numbers_that_are_no_signals_are_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
