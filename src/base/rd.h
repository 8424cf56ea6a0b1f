/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded reader: the only way in which foreign bytes are read.
 *
 * A read past the end returns zero and makes the reader bad for good; every later read returns
 * zero too. A parser reads what it needs, checks values, and asks rd_ok() once at the end.
 * Multi-byte integers are in network byte order on the wire, in host order when returned.
 * The reader borrows its bytes; nothing is copied and nothing may outlive them.
 */
#ifndef SLUICE_BASE_RD_H
#define SLUICE_BASE_RD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rd {
	const uint8_t *pos; /* next byte */
	const uint8_t *end; /* one past the last byte */
	bool is_bad;        /* a read went past the end; sticky */
};

static inline struct rd rd_init(const void *bytes, size_t len)
{
	const uint8_t *pos = bytes;

	return (struct rd){.pos = pos, .end = pos + len, .is_bad = false};
}

static inline bool rd_ok(const struct rd *r)
{
	return !r->is_bad;
}

/* Bytes not read yet; 0 for a bad reader. */
static inline size_t rd_left(const struct rd *r)
{
	return r->is_bad ? 0 : (size_t)(r->end - r->pos);
}

/* Takes len bytes and returns their start, or NULL (and a bad reader) if there are fewer. */
static inline const uint8_t *rd_bytes(struct rd *r, size_t len)
{
	const uint8_t *at = r->pos;

	if (rd_left(r) < len || r->is_bad) {
		r->is_bad = true;
		return NULL;
	}
	r->pos += len;
	return at;
}

static inline void rd_skip(struct rd *r, size_t len)
{
	(void)rd_bytes(r, len);
}

static inline uint8_t rd_u8(struct rd *r)
{
	const uint8_t *at = rd_bytes(r, 1);

	return at ? at[0] : 0;
}

static inline uint16_t rd_be16(struct rd *r)
{
	const uint8_t *at = rd_bytes(r, 2);

	return at ? (uint16_t)(at[0] << 8 | at[1]) : 0;
}

static inline uint32_t rd_be32(struct rd *r)
{
	const uint8_t *at = rd_bytes(r, 4);

	return at ? (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]
		  : 0;
}

/* Copies len bytes out; fills with zero if there are fewer. */
static inline void rd_copy(struct rd *r, void *to, size_t len)
{
	const uint8_t *at = rd_bytes(r, len);

	if (at)
		memcpy(to, at, len);
	else
		memset(to, 0, len);
}

/* A reader of its own for the next len bytes, which this one skips: a length inside the body can
 * then never reach past it. Both are bad if there are fewer. */
static inline struct rd rd_sub(struct rd *r, size_t len)
{
	const uint8_t *at = rd_bytes(r, len);

	if (!at)
		return (struct rd){.pos = r->end, .end = r->end, .is_bad = true};
	return rd_init(at, len);
}

#endif
