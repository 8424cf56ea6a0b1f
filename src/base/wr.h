/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded writer, the counterpart of rd.h: a write past the end writes nothing and makes the writer
 * bad for good. Integers go out in network byte order. The caller owns the buffer.
 */
#ifndef SLUICE_BASE_WR_H
#define SLUICE_BASE_WR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct wr {
	uint8_t *start; /* first byte of the buffer */
	uint8_t *pos;   /* where the next byte goes */
	uint8_t *end;   /* one past the last byte */
	bool is_bad;    /* a write went past the end; sticky */
};

static inline struct wr wr_init(void *buf, size_t cap)
{
	uint8_t *start = buf;

	return (struct wr){.start = start, .pos = start, .end = start + cap, .is_bad = false};
}

static inline bool wr_ok(const struct wr *w)
{
	return !w->is_bad;
}

/* Bytes written so far. */
static inline size_t wr_len(const struct wr *w)
{
	return (size_t)(w->pos - w->start);
}

/* Room for len bytes, which the caller fills, or NULL (and a bad writer). */
static inline uint8_t *wr_room(struct wr *w, size_t len)
{
	uint8_t *at = w->pos;

	if (w->is_bad || (size_t)(w->end - w->pos) < len) {
		w->is_bad = true;
		return NULL;
	}
	w->pos += len;
	return at;
}

static inline void wr_u8(struct wr *w, uint8_t v)
{
	uint8_t *at = wr_room(w, 1);

	if (at)
		at[0] = v;
}

static inline void put_be16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static inline void put_be32(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 24);
	at[1] = (uint8_t)(v >> 16);
	at[2] = (uint8_t)(v >> 8);
	at[3] = (uint8_t)v;
}

static inline void wr_be16(struct wr *w, uint16_t v)
{
	uint8_t *at = wr_room(w, 2);

	if (at)
		put_be16(at, v);
}

static inline void wr_be32(struct wr *w, uint32_t v)
{
	uint8_t *at = wr_room(w, 4);

	if (at)
		put_be32(at, v);
}

static inline void wr_copy(struct wr *w, const void *from, size_t len)
{
	uint8_t *at = wr_room(w, len);

	if (at && len > 0)
		memcpy(at, from, len);
}

static inline void wr_zero(struct wr *w, size_t len)
{
	uint8_t *at = wr_room(w, len);

	if (at && len > 0)
		memset(at, 0, len);
}

#endif
