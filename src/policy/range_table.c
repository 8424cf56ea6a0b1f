/* SPDX-License-Identifier: Apache-2.0 */
/* Which range holds an address; see range_table.h. */
#include "policy/range_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	CACHE_LINE = RANGE_BLOCK * sizeof(uint64_t),
};

static uint32_t padded(uint32_t count)
{
	return (count + RANGE_BLOCK - 1) / RANGE_BLOCK * RANGE_BLOCK;
}

static uint32_t key_count(const struct range_table *t)
{
	uint32_t top = t->level_count - 1;

	return t->level_starts[top] + padded(t->level_sizes[top]);
}

static void plan_levels(struct range_table *t)
{
	uint32_t size = t->count;
	uint32_t start = 0;

	do {
		t->level_starts[t->level_count] = start;
		t->level_sizes[t->level_count++] = size;
		start += padded(size);
		size = padded(size) / RANGE_BLOCK;
	} while (t->level_sizes[t->level_count - 1] > RANGE_BLOCK);
}

static void fill_levels(struct range_table *t, const struct addr_key *starts)
{
	memset(t->keys, 0xff, key_count(t) * sizeof(*t->keys));
	for (uint32_t i = 0; i < t->count; i++)
		t->keys[i] = starts[i].hi;
	for (uint32_t level = 1; level < t->level_count; level++) {
		const uint64_t *below = t->keys + t->level_starts[level - 1];
		uint64_t *keys = t->keys + t->level_starts[level];

		for (uint32_t i = 0; i < t->level_sizes[level]; i++)
			keys[i] = below[(size_t)i * RANGE_BLOCK];
	}
}

int range_table_init(
    struct range_table *t, const struct addr_key *starts, const uint32_t *places, uint32_t count)
{
	uint64_t any_low = 0;

	assert(count > 0);
	memset(t, 0, sizeof(*t));
	t->count = count;
	plan_levels(t);
	for (uint32_t i = 0; i < count; i++)
		any_low |= starts[i].lo;
	t->keys = aligned_alloc(CACHE_LINE, key_count(t) * sizeof(*t->keys));
	t->places = calloc(count, sizeof(*t->places));
	t->lows = any_low != 0 ? calloc(count, sizeof(*t->lows)) : NULL;
	if (!t->keys || !t->places || (any_low != 0 && !t->lows))
		return -ENOMEM;
	fill_levels(t, starts);
	memcpy(t->places, places, count * sizeof(*places));
	for (uint32_t i = 0; t->lows && i < count; i++)
		t->lows[i] = starts[i].lo;
	return 0;
}

void range_table_fini(struct range_table *t)
{
	free(t->keys);
	free(t->places);
	free(t->lows);
	memset(t, 0, sizeof(*t));
}

size_t range_table_memory(const struct range_table *t)
{
	return key_count(t) * sizeof(*t->keys) + t->count * sizeof(*t->places) +
	       (t->lows ? t->count * sizeof(*t->lows) : 0);
}

/* The last range whose start has a first half of at most hi. */
static uint32_t find_hi(const struct range_table *t, uint64_t hi)
{
	uint32_t at = 0;

	for (uint32_t level = t->level_count; level-- > 0;) {
		const uint64_t *block;
		uint32_t smaller = 0;

		at *= level + 1 < t->level_count ? RANGE_BLOCK : 1;
		block = t->keys + t->level_starts[level] + at;
		if (level == 0)
			__builtin_prefetch(&t->places[at]);
		for (int i = 1; i < RANGE_BLOCK; i++)
			smaller += block[i] <= hi;
		at += smaller;
		/* The padding compares as smaller with the largest address only. */
		at = at < t->level_sizes[level] ? at : t->level_sizes[level] - 1;
	}
	return at;
}

/* The range of a key that is before the start of range `at`, which has the same first half. */
static uint32_t find_lo(const struct range_table *t, struct addr_key key, uint32_t at)
{
	uint32_t before = key.hi > 0 ? find_hi(t, key.hi - 1) : 0; /* is not behind the key */
	uint32_t after = at;

	while (after - before > 1) {
		uint32_t mid = before + (after - before) / 2;

		if (t->lows[mid] <= key.lo)
			before = mid;
		else
			after = mid;
	}
	return before;
}

uint32_t range_table_find(const struct range_table *t, struct addr_key key)
{
	uint32_t at = find_hi(t, key.hi);

	if (t->lows && t->keys[at] == key.hi && t->lows[at] > key.lo)
		at = find_lo(t, key, at);
	return t->places[at];
}
