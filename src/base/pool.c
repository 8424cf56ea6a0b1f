/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded pool of objects; see pool.h. */
#include "base/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	CHUNK_OBJECTS = 1 << POOL_CHUNK_BITS,
};

int pool_init(struct pool *p, size_t object_size, uint32_t limit)
{
	const size_t align = _Alignof(max_align_t);

	assert(object_size >= sizeof(struct pool_head));
	assert(limit > 0 && limit < UINT32_MAX - CHUNK_OBJECTS);
	*p =
	    (struct pool){.object_size = (object_size + align - 1) / align * align, .limit = limit};
	p->chunks = calloc((limit + CHUNK_OBJECTS - 1) / CHUNK_OBJECTS, sizeof(*p->chunks));
	return p->chunks ? 0 : -ENOMEM;
}

void pool_fini(struct pool *p)
{
	for (uint32_t i = 0; p->chunks && i < (p->made + CHUNK_OBJECTS - 1) / CHUNK_OBJECTS; i++)
		free(p->chunks[i]);
	free(p->chunks);
	*p = (struct pool){0};
}

static struct pool_head *make_object(struct pool *p)
{
	uint32_t index = p->made;
	struct pool_head *h;

	if (index >= p->limit)
		return NULL;
	if (index % CHUNK_OBJECTS == 0) {
		uint8_t *chunk = calloc(CHUNK_OBJECTS, p->object_size);

		if (!chunk)
			return NULL;
		p->chunks[index >> POOL_CHUNK_BITS] = chunk;
	}
	p->made++;
	h = pool_at(p, index);
	h->index = index;
	return h;
}

void *pool_take(struct pool *p)
{
	struct pool_head *h;
	struct pool_head kept;

	if (p->free_plus_1 > 0) {
		h = pool_at(p, p->free_plus_1 - 1);
		p->free_plus_1 = h->next_free;
	} else {
		h = make_object(p);
		if (!h)
			return NULL;
	}
	kept = (struct pool_head){.index = h->index, .gen = h->gen + 1};
	memset(h, 0, p->object_size);
	*h = kept;
	p->in_use++;
	return h;
}

void pool_put(struct pool *p, void *object)
{
	struct pool_head *h = object;

	assert(h->gen % 2 == 1);
	h->gen++;
	h->next_free = p->free_plus_1;
	p->free_plus_1 = h->index + 1;
	p->in_use--;
}
