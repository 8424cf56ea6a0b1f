/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cache of answers as the guest gets them: judged, and built behind a question (names/answer.h). An entry is found by
 * the question, what the query wants besides, and who was asked; it is kept for its time, or until newer ones need
 * the place. Finding and keeping take a time that does not depend on how many there are; a guest cannot choose where
 * its names fall. Pure.
 */
#ifndef SLUICE_NAMES_CACHE_H
#define SLUICE_NAMES_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/htab.h"
#include "base/list.h"
#include "base/name.h"
#include "base/pool.h"
#include "base/siphash.h"
#include "names/answer.h"

enum {
	CACHE_BYTES_DEFAULT = 4 << 20,
	CACHE_ENTRY_BYTES = 256, /* for each so many bytes of a cache there may be one entry */
};

enum cache_flag {
	CACHE_DNSSEC = 1,            /* DO */
	CACHE_CHECKING_DISABLED = 2, /* CD */
};

/* What an entry answers. */
struct cache_key {
	const struct name *name; /* borrowed */
	uint16_t type;
	uint8_t flags;          /* enum cache_flag */
	struct endpoint server; /* the one that the guest has asked; unset: the configured ones */
};

struct cache_entry {
	struct pool_head head;
	uint32_t hash;
	struct list_node age; /* the one used longest ago first */
	uint64_t stored_ns;
	uint64_t expiry_ns;
	uint32_t bytes; /* of memory, this struct included */
	uint16_t type;
	uint8_t flags;
	uint8_t name_len;
	struct endpoint server;
	uint16_t rcode;
	bool is_authenticated;
	bool is_filtered;
	uint16_t answer_count;
	uint16_t authority_count;
	uint32_t addr_count;
	uint32_t ttl_count;
	uint32_t body_len;
	struct ip_addr *addrs; /* one block of memory: these, then the rest */
	uint16_t *ttl_offs;
	char *name;
	uint8_t *body;
};

struct cache {
	struct siphash_key key;
	struct pool pool;
	struct htab index;
	struct list_node age;
	size_t bytes;
	size_t limit; /* 0: nothing is kept */
	struct cache_counters {
		uint64_t hits;
		uint64_t misses;
		uint64_t evicted;
	} counters;
};

/* limit in bytes. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int cache_init(
    struct cache *c, size_t limit, const struct siphash_key *key);
/* Also for a cache that cache_init() has refused, or that is all zero. */
void cache_fini(struct cache *c);

/* Forgets everything: the policy that has judged is another one. */
void cache_clear(struct cache *c);

/* The entry for a key that holds now, or NULL. Borrowed until the next call. */
const struct cache_entry *cache_find(struct cache *c, const struct cache_key *key, uint64_t now_ns);

/* Keeps an answer, in place of what was there for the key, if its time is not 0 and there is memory. */
void cache_put(struct cache *c, const struct cache_key *key, const struct answer *answer,
    const uint8_t *body, uint64_t now_ns);

/* Writes the body of an entry to out (entry->body_len bytes), with what is left of its times, and returns out. */
uint8_t *cache_copy_body(const struct cache_entry *entry, uint64_t now_ns, uint8_t *out);

#endif
