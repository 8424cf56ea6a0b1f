/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte queue in blocks; see chain.h.
 *
 * A block is at least BLOCK_MIN long, so that a sender of single bytes fills blocks instead of
 * making one for each byte: memory held is at most len + two blocks' slack + headers.
 */
#include "base/chain.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	BLOCK_MIN =
	    4096 - 64, /* payload of the smallest block: with header and malloc's, one page */
};

struct chain_block {
	struct chain_block *next;
	size_t cap;  /* bytes of payload that fit */
	size_t from; /* first byte still queued */
	size_t to;   /* one past the last byte queued */
	uint8_t bytes[];
};

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

int chain_append(struct chain *c, const void *bytes, size_t len)
{
	const uint8_t *from = bytes;
	size_t room = c->last ? min_size(c->last->cap - c->last->to, len) : 0;
	struct chain_block *b = NULL;

	if (room < len) {
		size_t cap = len - room > BLOCK_MIN ? len - room : BLOCK_MIN;

		b = malloc(sizeof(*b) + cap);
		if (!b)
			return -ENOMEM;
		*b = (struct chain_block){.cap = cap};
		c->memory += sizeof(*b) + cap;
	}
	if (room > 0) {
		memcpy(c->last->bytes + c->last->to, from, room);
		c->last->to += room;
	}
	if (b) {
		memcpy(b->bytes, from + room, len - room);
		b->to = len - room;
		if (c->last)
			c->last->next = b;
		else
			c->first = b;
		c->last = b;
	}
	c->len += len;
	return 0;
}

size_t chain_peek(const struct chain *c, struct iovec *iov, size_t max)
{
	size_t n = 0;

	for (struct chain_block *b = c->first; b && n < max; b = b->next)
		iov[n++] =
		    (struct iovec){.iov_base = b->bytes + b->from, .iov_len = b->to - b->from};
	return n;
}

struct iovec chain_piece(const struct chain *c, size_t off)
{
	struct chain_block *b = c->first;

	assert(off < c->len);
	while (off >= b->to - b->from) {
		off -= b->to - b->from;
		b = b->next;
	}
	return (struct iovec){
	    .iov_base = b->bytes + b->from + off, .iov_len = b->to - b->from - off};
}

static void drop_first(struct chain *c)
{
	struct chain_block *b = c->first;

	c->first = b->next;
	if (!c->first)
		c->last = NULL;
	c->memory -= sizeof(*b) + b->cap;
	free(b);
}

void chain_consume(struct chain *c, size_t len)
{
	assert(len <= c->len);
	c->len -= len;
	while (len > 0) {
		size_t step = min_size(len, c->first->to - c->first->from);

		c->first->from += step;
		len -= step;
		if (c->first->from == c->first->to)
			drop_first(c);
	}
}

void chain_clear(struct chain *c)
{
	while (c->first)
		drop_first(c);
	c->len = 0;
}
