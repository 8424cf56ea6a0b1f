/* SPDX-License-Identifier: Apache-2.0 */
/* Range table: the range of an address is the last that starts at or before it, for tables of every
 * number of levels and every filling of their last blocks. */
#include "unit.h"

#include <stdbool.h>

#include "policy/range_table.h"

static uint64_t rng_state = 88172645463325252ULL;

static uint64_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

static int compare(const void *a, const void *b)
{
	const struct addr_key *x = a;
	const struct addr_key *y = b;

	if (x->hi != y->hi)
		return x->hi < y->hi ? -1 : 1;
	return (x->lo > y->lo) - (x->lo < y->lo);
}

/* The definition. */
static uint32_t slow_find(const struct addr_key *starts, uint32_t count, struct addr_key key)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < count; i++)
		if (compare(&starts[i], &key) <= 0)
			at = i;
	return at;
}

/* halves: how many different first halves there are, so that second halves matter; has_lows: false for
 * a table like that of IPv4. */
static struct addr_key random_key(uint64_t halves, bool has_lows)
{
	struct addr_key key = {.hi = rng() % halves, .lo = has_lows ? rng() % 5 : 0};

	if (rng() % 16 == 0)
		key.hi = UINT64_MAX - rng() % 2;
	if (has_lows && rng() % 8 == 0)
		key.lo = UINT64_MAX - rng() % 2;
	return key;
}

static void check_table(uint32_t want, uint64_t halves, bool has_lows)
{
	struct addr_key *starts = calloc(want, sizeof(*starts));
	uint32_t *places = calloc(want, sizeof(*places));
	struct range_table t;
	uint32_t count = 1;

	assert_non_null(starts);
	assert_non_null(places);
	for (uint32_t i = 1; i < want; i++)
		starts[i] = random_key(halves, has_lows);
	qsort(starts, want, sizeof(*starts), compare);
	for (uint32_t i = 1; i < want; i++)
		if (compare(&starts[i], &starts[count - 1]) != 0)
			starts[count++] = starts[i];
	for (uint32_t i = 0; i < count; i++)
		places[i] = i;
	assert_int_equal(range_table_init(&t, starts, places, count), 0);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(range_table_find(&t, starts[i]), i);
	for (int i = 0; i < 300; i++) {
		struct addr_key key = random_key(halves, true);

		assert_int_equal(range_table_find(&t, key), slow_find(starts, count, key));
	}
	range_table_fini(&t);
	free(starts);
	free(places);
}

static void an_address_is_in_the_last_range_before_it(void **state)
{
	(void)state;
	for (uint32_t count = 1; count < 100; count++) {
		check_table(count, 3, true);
		check_table(count, 1000, true);
		check_table(count, 1000, false);
	}
	for (uint32_t count = 500; count < 5000; count = count * 5 / 4) {
		check_table(count, 20, true);
		check_table(count, UINT64_MAX, true);
		check_table(count, UINT64_MAX, false);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_address_is_in_the_last_range_before_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
