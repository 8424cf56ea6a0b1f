/* SPDX-License-Identifier: Apache-2.0 */
/* The inflight region: what a back end leaves is what its successor takes up, wherever it ended. */
#include "unit.h"

#include <errno.h>

#include "port/inflight.h"

enum {
	NUM = 8,
	/* Offsets in the region, as the specification has them. */
	AT_VERSION = 8,
	AT_NUM = 10,
	AT_LAST = 12,
	AT_USED = 14,
	AT_DESC = 16,
	DESC_LEN = 16,
	AT_NEXT = 6, /* in a descriptor */
	AT_COUNTER = 8,
};

struct fixture {
	uint8_t *at; /* exactly as long as the region */
	struct inflight_queue q;
};

static void start(struct fixture *f)
{
	f->at = calloc(1, inflight_size(NUM));
	assert_non_null(f->at);
	assert_int_equal(inflight_init(&f->q, f->at, NUM), 0);
}

static void set16(struct fixture *f, size_t at, uint16_t v)
{
	memcpy(f->at + at, &v, sizeof(v));
}

static uint16_t get16(const struct fixture *f, size_t at)
{
	uint16_t v;

	memcpy(&v, f->at + at, sizeof(v));
	return v;
}

/* Another back end on a copy of the region, as it is now: it must find these chains, in this order. */
static void expect_pending(
    const struct fixture *f, uint16_t used_idx, const uint16_t *heads, uint16_t count)
{
	uint8_t *copy = exact_copy(f->at, inflight_size(NUM));
	struct inflight_queue q;
	uint16_t *got = NULL;
	uint16_t got_count = 99;

	assert_int_equal(inflight_init(&q, copy, NUM), 0);
	assert_int_equal(inflight_resume(&q, used_idx, &got, &got_count), 0);
	assert_int_equal(got_count, count);
	for (uint16_t i = 0; i < count; i++)
		assert_int_equal(got[i], heads[i]);
	free(got);
	free(copy);
}

static void a_fresh_region_is_marked_with_version_and_size(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	assert_int_equal(get16(&f, AT_VERSION), 1);
	assert_int_equal(get16(&f, AT_NUM), NUM);
	expect_pending(&f, 0, NULL, 0);
	expect_pending(&f, 500, NULL, 0);
	free(f.at);
}

static void a_region_of_another_version_or_size_is_refused(void **state)
{
	struct inflight_queue q;
	struct fixture f;

	(void)state;
	start(&f);
	assert_int_equal(inflight_init(&q, f.at, NUM), 0);
	set16(&f, AT_VERSION, 2);
	assert_int_equal(inflight_init(&q, f.at, NUM), -EINVAL);
	set16(&f, AT_VERSION, 1);
	assert_int_equal(inflight_init(&q, f.at, 2 * NUM), -EINVAL);
	assert_int_equal(inflight_init(&q, f.at + 4, NUM), -EINVAL);
	free(f.at);
}

static void sizes_are_those_of_the_layout(void **state)
{
	(void)state;
	assert_int_equal(inflight_size(1), 64);
	assert_int_equal(inflight_size(3), 64);
	assert_int_equal(inflight_size(4), 128);
	assert_int_equal(inflight_size(256), (16 + 256 * 16 + 63) / 64 * 64);
}

static void chains_in_hand_come_again_in_their_order(void **state)
{
	static const uint16_t heads[] = {5, 0, 7, 2};
	struct fixture f;

	(void)state;
	start(&f);
	for (size_t i = 0; i < 4; i++)
		inflight_take(&f.q, heads[i]);
	expect_pending(&f, 0, heads, 4);
	free(f.at);
}

static void a_chain_counts_as_given_back_when_the_driver_sees_it(void **state)
{
	static const uint16_t heads[] = {5, 0, 7, 2};
	struct fixture f;

	(void)state;
	start(&f);
	for (size_t i = 0; i < 4; i++)
		inflight_take(&f.q, heads[i]);
	inflight_put(&f.q, 5);
	inflight_put(&f.q, 0);
	/* It ended before the driver's index, and between that and ours. */
	expect_pending(&f, 0, heads, 4);
	expect_pending(&f, 2, heads + 2, 2);
	inflight_publish(&f.q, 2);
	expect_pending(&f, 2, heads + 2, 2);
	inflight_put(&f.q, 7);
	expect_pending(&f, 2, heads + 2, 2);
	expect_pending(&f, 3, heads + 3, 1);
	inflight_publish(&f.q, 3);
	inflight_put(&f.q, 2);
	inflight_publish(&f.q, 4);
	expect_pending(&f, 4, NULL, 0);
	free(f.at);
}

static void a_successor_that_ends_as_well_leaves_no_gap(void **state)
{
	static const uint16_t heads[] = {5, 0, 7};
	struct fixture f;
	uint16_t *got;
	uint16_t count;

	(void)state;
	start(&f);
	for (size_t i = 0; i < 3; i++)
		inflight_take(&f.q, heads[i]);
	inflight_put(&f.q, 5);
	inflight_put(&f.q, 0);
	/* The driver has seen these two, we have not noted it. */
	assert_int_equal(inflight_init(&f.q, f.at, NUM), 0);
	assert_int_equal(inflight_resume(&f.q, 2, &got, &count), 0);
	assert_int_equal(count, 1);
	free(got);
	inflight_put(&f.q, 7);
	expect_pending(&f, 2, heads + 2, 1);
	expect_pending(&f, 3, NULL, 0);
	free(f.at);
}

static void order_holds_over_successors_and_wrapping_indexes(void **state)
{
	static const uint16_t later[] = {3, 1, 4};
	uint16_t used = 65530;
	struct fixture f;
	uint16_t *heads;
	uint16_t count;

	(void)state;
	start(&f);
	assert_int_equal(inflight_resume(&f.q, used, &heads, &count), 0);
	for (uint16_t i = 0; i < 20; i++) {
		inflight_take(&f.q, i % NUM);
		inflight_put(&f.q, i % NUM);
		inflight_publish(&f.q, ++used);
	}
	inflight_take(&f.q, 3);
	/* The successor's chains come behind it. */
	assert_int_equal(inflight_init(&f.q, f.at, NUM), 0);
	assert_int_equal(inflight_resume(&f.q, used, &heads, &count), 0);
	assert_int_equal(count, 1);
	free(heads);
	inflight_take(&f.q, 1);
	inflight_take(&f.q, 4);
	expect_pending(&f, used, later, 3);
	free(f.at);
}

static void chains_that_are_noted_only_when_they_are_given_back_leave_nothing(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	inflight_put(&f.q, 6);
	expect_pending(&f, 0, NULL, 0);
	expect_pending(&f, 1, NULL, 0);
	inflight_publish(&f.q, 1);
	expect_pending(&f, 1, NULL, 0);
	free(f.at);
}

static void whatever_stands_in_the_region_the_walk_ends_in_it(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	for (uint32_t seed = 1; seed < 5000; seed++) {
		uint32_t x = seed * 2654435761U;
		uint16_t *heads = NULL;
		uint16_t count = 0;

		for (size_t i = 0; i < inflight_size(NUM); i++) {
			x = x * 1664525U + 1013904223U;
			f.at[i] = (uint8_t)(x >> 24);
		}
		set16(&f, AT_VERSION, 1);
		set16(&f, AT_NUM, NUM);
		set16(&f, AT_USED, (uint16_t)(seed % NUM));
		set16(&f, AT_LAST, (uint16_t)(seed % (2 * NUM)));
		assert_int_equal(inflight_init(&f.q, f.at, NUM), 0);
		assert_int_equal(inflight_resume(&f.q, NUM, &heads, &count), 0);
		assert_true(count <= NUM);
		for (uint16_t i = 0; i < count; i++)
			assert_true(heads[i] < NUM);
		inflight_put(&f.q, 3);
		set16(&f, AT_DESC + 3 * DESC_LEN + AT_NEXT, (uint16_t)x);
		inflight_put(&f.q, 1);
		inflight_publish(&f.q, 2);
		free(heads);
	}
	free(f.at);
}

static void equal_counters_do_no_harm(void **state)
{
	static const uint64_t most = UINT64_MAX;
	struct fixture f;
	uint16_t *heads;
	uint16_t count;

	(void)state;
	start(&f);
	for (uint16_t i = 0; i < NUM; i++) {
		inflight_take(&f.q, i);
		memcpy(f.at + AT_DESC + i * DESC_LEN + AT_COUNTER, &most, sizeof(most));
	}
	assert_int_equal(inflight_resume(&f.q, 0, &heads, &count), 0);
	assert_int_equal(count, NUM);
	free(heads);
	free(f.at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_fresh_region_is_marked_with_version_and_size),
	    cmocka_unit_test(a_region_of_another_version_or_size_is_refused),
	    cmocka_unit_test(sizes_are_those_of_the_layout),
	    cmocka_unit_test(chains_in_hand_come_again_in_their_order),
	    cmocka_unit_test(a_chain_counts_as_given_back_when_the_driver_sees_it),
	    cmocka_unit_test(a_successor_that_ends_as_well_leaves_no_gap),
	    cmocka_unit_test(order_holds_over_successors_and_wrapping_indexes),
	    cmocka_unit_test(chains_that_are_noted_only_when_they_are_given_back_leave_nothing),
	    cmocka_unit_test(whatever_stands_in_the_region_the_walk_ends_in_it),
	    cmocka_unit_test(equal_counters_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
