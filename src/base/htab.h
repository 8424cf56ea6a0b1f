/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash index: maps a hash to the numbers of the entries that have it. Keys stay with the entries; the
 * caller compares them:
 *
 *	uint32_t pos = htab_start(&t, hash);
 *	while ((i = htab_next(&t, hash, &pos)) != HTAB_NONE)
 *		if (key of entry i is the wanted one)
 *			return i;
 *
 * Linear probing at a load of at most one half; 8 bytes a slot. The table has its final size from the
 * start: nothing is ever rehashed, so no operation is slower than another. Memory that is never
 * touched costs nothing, as large tables come from zeroed pages. Not thread-safe.
 */
#ifndef SLUICE_BASE_HTAB_H
#define SLUICE_BASE_HTAB_H

#include <stdbool.h>
#include <stdint.h>

#define HTAB_NONE 0x7fffffffU /* no entry; also one more than the largest legal entry number */

struct htab_slot {
	uint32_t hash;
	uint32_t entry_plus_1; /* 0: empty */
};

struct htab {
	struct htab_slot *slots;
	uint32_t mask;  /* number of slots minus one */
	uint32_t count; /* entries in the table */
	uint32_t limit; /* most entries */
};

/* Room for limit entries (1 .. 2^30). 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int htab_init(struct htab *t, uint32_t limit);
void htab_fini(struct htab *t);

/* The caller makes sure that the entry is not in the table yet. 0, or -ENOSPC at the limit. */
__attribute__((warn_unused_result)) int htab_insert(struct htab *t, uint32_t hash, uint32_t entry);

/* Removes the entry, which must be in the table under this hash. */
void htab_remove(struct htab *t, uint32_t hash, uint32_t entry);

static inline uint32_t htab_start(const struct htab *t, uint32_t hash)
{
	return hash & t->mask;
}

/* The next entry with this hash from *pos on, or HTAB_NONE. Ends because at least half of the slots
 * are empty. */
static inline uint32_t htab_next(const struct htab *t, uint32_t hash, uint32_t *pos)
{
	for (uint32_t i = *pos;; i = (i + 1) & t->mask) {
		const struct htab_slot *s = &t->slots[i];

		if (s->entry_plus_1 == 0) {
			*pos = i;
			return HTAB_NONE;
		}
		if (s->hash == hash) {
			*pos = (i + 1) & t->mask;
			return s->entry_plus_1 - 1;
		}
	}
}

#endif
