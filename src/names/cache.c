/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cache of answers; see cache.h. Tests: unit/test_cache.c.
 *
 * Invariant: an entry is in the pool, in the index and on the list of ages; the sum of their bytes is at most
 * the limit.
 */
#include "names/cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/wr.h"

#define NS_PER_S 1000000000ULL

int cache_init(struct cache *c, size_t limit, const struct siphash_key *key)
{
	size_t entries = limit / CACHE_ENTRY_BYTES + 1;

	*c = (struct cache){.key = *key, .limit = limit};
	list_init(&c->age);
	if (entries > 1U << 24)
		entries = 1U << 24;
	if (pool_init(&c->pool, sizeof(struct cache_entry), (uint32_t)entries) ||
	    htab_init(&c->index, (uint32_t)entries)) {
		cache_fini(c);
		return -ENOMEM;
	}
	return 0;
}

static void drop(struct cache *c, struct cache_entry *e)
{
	htab_remove(&c->index, e->hash, e->head.index);
	list_remove(&e->age);
	c->bytes -= e->bytes;
	free(e->addrs);
	pool_put(&c->pool, e);
}

void cache_clear(struct cache *c)
{
	struct list_node *n;

	while (c->pool.in_use > 0 && (n = list_first(&c->age)) != NULL)
		drop(c, container_of(n, struct cache_entry, age));
}

void cache_fini(struct cache *c)
{
	cache_clear(c);
	pool_fini(&c->pool);
	htab_fini(&c->index);
}

static uint32_t hash_of(const struct cache *c, const struct cache_key *key)
{
	uint64_t hash = siphash13(&c->key, key->name->text, key->name->len);

	if (!ip_addr_is_unset(&key->server.addr))
		hash ^= siphash13(&c->key, &key->server, sizeof(key->server));
	/* There are few types and flags: many entries with the same hash would be slow to search. */
	return (uint32_t)hash ^ ((uint32_t)key->type << 2 | key->flags) * 2654435761U;
}

static bool is_same(const struct cache_entry *e, const struct cache_key *key)
{
	return e->type == key->type && e->flags == key->flags && e->name_len == key->name->len &&
	       memcmp(e->name, key->name->text, e->name_len) == 0 &&
	       ip_addr_eq(&e->server.addr, &key->server.addr) && e->server.port == key->server.port;
}

static struct cache_entry *find(const struct cache *c, const struct cache_key *key, uint32_t hash)
{
	uint32_t pos = htab_start(&c->index, hash);
	uint32_t i;

	while ((i = htab_next(&c->index, hash, &pos)) != HTAB_NONE) {
		struct cache_entry *e = (struct cache_entry *)(void *)pool_at(&c->pool, i);

		if (is_same(e, key))
			return e;
	}
	return NULL;
}

const struct cache_entry *cache_find(struct cache *c, const struct cache_key *key, uint64_t now_ns)
{
	struct cache_entry *e = find(c, key, hash_of(c, key));

	if (e && e->expiry_ns <= now_ns) {
		drop(c, e);
		e = NULL;
	}
	if (!e) {
		c->counters.misses++;
		return NULL;
	}
	c->counters.hits++;
	list_move_tail(&c->age, &e->age);
	return e;
}

/* Makes place for an entry. False: there is none. */
static bool make_place(struct cache *c, size_t bytes)
{
	if (bytes > c->limit)
		return false;
	while (c->bytes + bytes > c->limit || c->pool.in_use == c->pool.limit) {
		drop(c, container_of(c->age.next, struct cache_entry, age));
		c->counters.evicted++;
	}
	return true;
}

/* The parts of variable length. False: no memory. */
static bool fill(struct cache_entry *e, const struct cache_key *key, const struct answer *answer,
    const uint8_t *body)
{
	size_t addrs = answer->addr_count * sizeof(*e->addrs);
	size_t ttls = answer->ttl_count * sizeof(*e->ttl_offs);

	e->addrs = malloc(addrs + ttls + e->name_len + answer->body_len + 1);
	if (!e->addrs)
		return false;
	e->ttl_offs = (uint16_t *)(void *)(e->addrs + answer->addr_count);
	e->name = (char *)(e->ttl_offs + answer->ttl_count);
	e->body = (uint8_t *)e->name + e->name_len;
	if (addrs > 0)
		memcpy(e->addrs, answer->addrs, addrs);
	if (ttls > 0)
		memcpy(e->ttl_offs, answer->ttl_offs, ttls);
	memcpy(e->name, key->name->text, e->name_len);
	if (answer->body_len > 0)
		memcpy(e->body, body, answer->body_len);
	return true;
}

void cache_put(struct cache *c, const struct cache_key *key, const struct answer *answer,
    const uint8_t *body, uint64_t now_ns)
{
	uint32_t hash = hash_of(c, key);
	struct cache_entry *e = find(c, key, hash);
	size_t bytes = sizeof(*e) + answer->addr_count * sizeof(*e->addrs) +
		       answer->ttl_count * sizeof(*e->ttl_offs) + key->name->len + answer->body_len;

	if (e)
		drop(c, e);
	if (answer->ttl_s == 0 || !make_place(c, bytes))
		return;
	e = pool_take(&c->pool);
	if (!e)
		return;
	e->hash = hash;
	list_init(&e->age);
	e->stored_ns = now_ns;
	e->expiry_ns = now_ns + answer->ttl_s * NS_PER_S;
	e->bytes = (uint32_t)bytes;
	e->type = key->type;
	e->flags = key->flags;
	e->name_len = key->name->len;
	e->server = key->server;
	e->rcode = answer->rcode;
	e->is_authenticated = answer->is_authenticated;
	e->is_filtered = answer->is_filtered;
	e->answer_count = answer->answer_count;
	e->authority_count = answer->authority_count;
	e->addr_count = answer->addr_count;
	e->ttl_count = answer->ttl_count;
	e->body_len = (uint32_t)answer->body_len;
	if (!fill(e, key, answer, body) || htab_insert(&c->index, hash, e->head.index)) {
		free(e->addrs);
		pool_put(&c->pool, e);
		return;
	}
	list_append(&c->age, &e->age);
	c->bytes += bytes;
}

uint8_t *cache_copy_body(const struct cache_entry *entry, uint64_t now_ns, uint8_t *out)
{
	uint32_t age_s = (uint32_t)((now_ns - entry->stored_ns) / NS_PER_S);

	memcpy(out, entry->body, entry->body_len);
	for (uint32_t i = 0; age_s > 0 && i < entry->ttl_count; i++) {
		uint8_t *at = out + entry->ttl_offs[i];
		struct rd r = rd_init(at, 4);
		uint32_t ttl_s = rd_be32(&r);

		put_be32(at, ttl_s > age_s ? ttl_s - age_s : 0);
	}
	return out;
}
