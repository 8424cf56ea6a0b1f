/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges of addresses of one family, each with a place: which range holds an address?
 *
 * An address is a 128-bit number in two halves; IPv4 addresses are the first 32 bits of one, so that
 * their second half is always zero. The first halves of the starts are searched in blocks of one
 * cache line, from a small index to the starts themselves (a B-tree without pointers); the second half
 * is looked at only where the first is the same. Internal to the policy layer.
 */
#ifndef SLUICE_POLICY_RANGE_TABLE_H
#define SLUICE_POLICY_RANGE_TABLE_H

#include <stddef.h>
#include <stdint.h>

enum {
	RANGE_BLOCK = 8,      /* keys of 8 bytes in a cache line */
	RANGE_LEVELS_MAX = 9, /* 8^9 ranges */
};

struct addr_key {
	uint64_t hi;
	uint64_t lo;
};

struct range_table {
	uint64_t
	    *keys; /* all levels: [0] the first halves of the starts, [n + 1] each 8th of [n] */
	uint64_t *lows; /* second halves of the starts; NULL: all are zero */
	uint32_t *places;
	uint32_t count;                          /* ranges, >= 1; the first starts at zero */
	uint32_t level_count;                    /* levels in keys */
	uint32_t level_starts[RANGE_LEVELS_MAX]; /* where they begin */
	uint32_t level_sizes[RANGE_LEVELS_MAX];  /* keys in them, without padding */
};

/* Makes a table of count ranges, by ascending start, the first of them zero. Copies what it keeps. 0
 * or -ENOMEM, which leaves a table that range_table_fini() takes. */
__attribute__((warn_unused_result)) int range_table_init(
    struct range_table *t, const struct addr_key *starts, const uint32_t *places, uint32_t count);
void range_table_fini(struct range_table *t);

/* The place of the range that holds the address. */
uint32_t range_table_find(const struct range_table *t, struct addr_key key);

/* Bytes of memory that it holds, without struct range_table. */
size_t range_table_memory(const struct range_table *t);

#endif
