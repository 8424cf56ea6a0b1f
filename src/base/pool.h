/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded pool of objects of one size, each with a number and a generation.
 *
 * A handle (struct pool_ref) names an object across layers and time: once the object has been put
 * back, its handle finds nothing, also when the place is used again. Objects never move. Memory
 * grows in chunks and is kept until pool_fini(); an object fresh from pool_take() is zeroed.
 */
#ifndef SLUICE_BASE_POOL_H
#define SLUICE_BASE_POOL_H

#include <stddef.h>
#include <stdint.h>

enum {
	POOL_CHUNK_BITS = 6, /* objects per chunk: 64 */
};

/* First member of each pooled object. */
struct pool_head {
	uint32_t index;     /* number of the object, 0 .. limit - 1 */
	uint32_t next_free; /* while free: number + 1 of the next free object */
	uint32_t gen;       /* odd while in use; grows with each take and put */
};

struct pool_ref {
	uint32_t index;
	uint32_t gen; /* 0: names nothing */
};

struct pool {
	size_t object_size;
	uint8_t **chunks; /* limit / 64 pointers, rounded up */
	uint32_t limit;   /* most objects in use at once */
	uint32_t made;    /* objects ever made: 0 .. made - 1 exist */
	uint32_t in_use;
	uint32_t free_plus_1; /* head of the free list; 0: empty */
};

/* object_size counts the pool_head. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int pool_init(
    struct pool *p, size_t object_size, uint32_t limit);
void pool_fini(struct pool *p);

/* A zeroed object with its head set, or NULL at the limit or without memory. */
void *pool_take(struct pool *p);
void pool_put(struct pool *p, void *object);

static inline struct pool_head *pool_at(const struct pool *p, uint32_t index)
{
	return (
	    struct pool_head *)(void *)(p->chunks[index >> POOL_CHUNK_BITS] +
					p->object_size * (index & ((1U << POOL_CHUNK_BITS) - 1)));
}

static inline struct pool_ref pool_ref_of(const void *object)
{
	const struct pool_head *h = object;

	return (struct pool_ref){.index = h->index, .gen = h->gen};
}

/* The object that ref names, or NULL if it has been put back. */
static inline void *pool_find(const struct pool *p, struct pool_ref ref)
{
	struct pool_head *h;

	if (ref.index >= p->made)
		return NULL;
	h = pool_at(p, ref.index);
	return h->gen == ref.gen && ref.gen % 2 == 1 ? h : NULL;
}

#endif
