/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pins: which names an address was an answer for, and until when (behaviours.md 3, threats.md D9 and D12). A rule
 * about a name lets the guest reach an address only while the address is pinned to that name.
 *
 * A pin holds until its time is over, and as long as a flow to its address lives. Everything is bounded:
 * without room, the names that were set longest ago and lead to no living flow make place for newer ones. Each
 * function takes a time that does not depend on how many pins there are.
 */
#ifndef SLUICE_NAMES_PINS_H
#define SLUICE_NAMES_PINS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/htab.h"
#include "base/list.h"
#include "base/name.h"
#include "base/pool.h"
#include "base/siphash.h"

enum {
	PINS_PER_ADDR_MAX = 64, /* names of one address: the ones set last */
	PINS_PER_NAME_MAX = 64, /* addresses of one name, both families: the ones set last */

	PINS_NAMES_DEFAULT = 8192,
	PINS_DEFAULT = 32768,
};

struct pins_limits {
	uint32_t names; /* names with addresses */
	uint32_t pins;  /* pairs of name and address, >= PINS_PER_NAME_MAX */
};

struct pins {
	struct siphash_key key;
	struct pool names; /* struct pin_name */
	struct pool addrs; /* struct pin_addr */
	struct pool pins;  /* struct pin */
	struct htab by_name;
	struct htab by_addr;
	struct htab by_pair;  /* pins by name and address */
	struct list_node age; /* names without a living flow, the one set longest ago first */
	uint64_t evicted;     /* names that made place */
};

/* key is random and secret. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int pins_init(
    struct pins *p, const struct pins_limits *limits, const struct siphash_key *key);
/* Also for pins that pins_init() has refused, or that are all zero. */
void pins_fini(struct pins *p);

/* The name has these addresses, all of family 4 or 6, until valid_until_ns (> 0). Addresses that it had before keep
 * their own time: a program may still use them (C18). Of more than PINS_PER_NAME_MAX the last are kept. No
 * addresses (count 0): the name has none of this family any more, but for those with a living flow.
 * 0; -ENOSPC: every name leads to a living flow; -ENOMEM. Then some of the addresses may be set. */
__attribute__((warn_unused_result)) int pins_set(struct pins *p, const struct name *name,
    uint8_t family, const struct ip_addr *addrs, uint32_t count, uint64_t valid_until_ns);

/* Writes the names that hold for the address now, the last set first, at most cap, and returns their number. They are
 * borrowed until the next call of pins_set(). */
uint32_t pins_find(struct pins *p, const struct ip_addr *addr, uint64_t now_ns,
    const struct name **out, uint32_t cap);

/* A flow to the address lives: its pins hold until the flow is told to have ended. True: pins_release() is needed
 * then, once; false: the address has no pins, there is nothing to hold. */
__attribute__((warn_unused_result)) bool pins_hold(struct pins *p, const struct ip_addr *addr);
void pins_release(struct pins *p, const struct ip_addr *addr);

#endif
