/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash index with linear probing and backward-shift deletion (Knuth, TAOCP 3, 6.4 algorithm R), so
 * that there are no tombstones and a table that has been full is as fast as a new one.
 */
#include "base/htab.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int htab_init(struct htab *t, uint32_t limit)
{
	uint32_t size = 16;

	assert(limit > 0 && limit <= 1U << 30);
	while (size / 2 < limit)
		size *= 2;
	*t = (struct htab){.mask = size - 1, .limit = limit};
	t->slots = calloc(size, sizeof(*t->slots));
	return t->slots ? 0 : -ENOMEM;
}

void htab_fini(struct htab *t)
{
	free(t->slots);
	*t = (struct htab){0};
}

int htab_insert(struct htab *t, uint32_t hash, uint32_t entry)
{
	uint32_t i = hash & t->mask;

	assert(entry < HTAB_NONE);
	if (t->count >= t->limit)
		return -ENOSPC;
	while (t->slots[i].entry_plus_1 != 0)
		i = (i + 1) & t->mask;
	t->slots[i] = (struct htab_slot){.hash = hash, .entry_plus_1 = entry + 1};
	t->count++;
	return 0;
}

void htab_remove(struct htab *t, uint32_t hash, uint32_t entry)
{
	uint32_t hole = hash & t->mask;
	uint32_t i;

	while (t->slots[hole].entry_plus_1 != entry + 1) {
		assert(t->slots[hole].entry_plus_1 != 0);
		hole = (hole + 1) & t->mask;
	}
	/* Moves back each later slot of the run whose home is not between the hole and itself. */
	for (i = (hole + 1) & t->mask; t->slots[i].entry_plus_1 != 0; i = (i + 1) & t->mask) {
		uint32_t home = t->slots[i].hash & t->mask;

		if (((i - home) & t->mask) >= ((i - hole) & t->mask)) {
			t->slots[hole] = t->slots[i];
			hole = i;
		}
	}
	t->slots[hole] = (struct htab_slot){0};
	t->count--;
}
