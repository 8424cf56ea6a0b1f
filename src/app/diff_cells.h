/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What two policies can tell apart: targets, of which all addresses, or names, are the same to both, and
 * ports likewise. So one of each stands for all of it.
 */
#ifndef SLUICE_APP_DIFF_CELLS_H
#define SLUICE_APP_DIFF_CELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/name.h"
#include "policy/policy.h"

enum cell_kind {
	CELL_PREFIX, /* what a prefix of a rule has that no longer prefix has */
	CELL_CLASS,  /* the same of a prefix of the registries */
	CELL_HOST,
	CELL_NAME,
	CELL_SUFFIX,
	CELL_OTHER_NAME, /* of which no rule knows */
};

struct cell {
	enum cell_kind kind;
	enum addr_class class; /* CLASS */
	struct ip_addr prefix; /* PREFIX, CLASS */
	uint8_t len;
	struct ip_addr addr; /* one of its addresses; of names, one that they may lead to */
	struct name name;    /* NAME, SUFFIX: as in the rule */
	struct name example; /* one of its names */
};

struct cells {
	struct cell *cell;
	size_t count;
	size_t cap;
	uint16_t *ports; /* from each on to the next, all are the same; the first is 1 */
	size_t port_count;
	size_t port_cap;
};

/* The address that stands for the host, to be given to both builders. */
struct ip_addr cells_host(void);

/* Finds the cells of both policies. 0 or -ENOMEM; to be given to cells_fini() in any case. */
__attribute__((warn_unused_result)) int cells_find(
    const struct policy *a, const struct policy *b, struct cells *ret_cells);
void cells_fini(struct cells *c);

enum {
	CELL_TEXT_MAX = NAME_TEXT_MAX + 64,
};

/* What the cell is called; returns out. */
const char *cell_text(const struct cell *c, char out[CELL_TEXT_MAX]);

#endif
