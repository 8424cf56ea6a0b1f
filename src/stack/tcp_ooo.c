/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Out-of-order data; see tcp_ooo.h.
 *
 * The list is walked from its start, of at most TCP_OOO_PIECES_MAX pieces; but what follows the last piece, as the
 * segments behind one lost frame do, is put behind it at once.
 *
 * Invariants (tests/unit/test_tcp_ooo.c): pieces are sorted and do not overlap; len and pieces count them; last is
 * the one that no other follows.
 */
#include "stack/tcp_ooo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct tcp_ooo_piece {
	struct tcp_ooo_piece *next;
	uint32_t seq; /* of bytes[0] */
	uint32_t len;
	uint8_t bytes[];
};

static bool is_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

/* Whether len bytes of the frame at off equal those at bytes. */
static bool is_equal(const struct frame *frame, uint32_t off, const uint8_t *bytes, uint32_t len)
{
	uint8_t copy[256];

	while (len > 0) {
		uint32_t step = len < sizeof(copy) ? len : (uint32_t)sizeof(copy);

		frame_copy(frame, off, copy, step);
		if (memcmp(copy, bytes, step) != 0)
			return false;
		off += step;
		bytes += step;
		len -= step;
	}
	return true;
}

/* Puts a new piece behind *link. */
static enum drop_reason add_piece(struct tcp_ooo *q, struct tcp_ooo_piece **link, uint32_t seq,
    const struct frame *frame, uint32_t off, uint32_t len)
{
	struct tcp_ooo_piece *p;

	if (q->pieces >= TCP_OOO_PIECES_MAX)
		return DROP_TCP_OOO_LIMIT;
	p = malloc(sizeof(*p) + len);
	if (!p)
		return DROP_NO_MEMORY;
	*p = (struct tcp_ooo_piece){.next = *link, .seq = seq, .len = len};
	frame_copy(frame, off, p->bytes, len);
	*link = p;
	if (!p->next)
		q->last = p;
	q->pieces++;
	q->len += len;
	return DROP_NONE;
}

enum drop_reason tcp_ooo_insert(
    struct tcp_ooo *q, uint32_t seq, const struct frame *frame, uint32_t off, uint32_t len)
{
	struct tcp_ooo_piece **link = &q->first;

	if (q->last && !is_before(seq, q->last->seq + q->last->len))
		link = &q->last->next;
	/* Each turn passes one piece, or stores or compares what lies before or within it. */
	while (len > 0) {
		struct tcp_ooo_piece *p = *link;
		uint32_t step;

		if (p && !is_before(seq, p->seq + p->len)) {
			link = &p->next;
			continue;
		}
		if (!p || is_before(seq, p->seq)) {
			enum drop_reason why;

			step = p && p->seq - seq < len ? p->seq - seq : len;
			why = add_piece(q, link, seq, frame, off, step);
			if (why != DROP_NONE)
				return why;
		} else {
			uint32_t at = seq - p->seq;

			step = p->len - at < len ? p->len - at : len;
			if (!is_equal(frame, off, p->bytes + at, step))
				return DROP_TCP_CONFLICT;
		}
		seq += step;
		off += step;
		len -= step;
	}
	return DROP_NONE;
}

uint32_t tcp_ooo_first_seq(const struct tcp_ooo *q)
{
	return q->first->seq;
}

static void drop_first(struct tcp_ooo *q)
{
	struct tcp_ooo_piece *p = q->first;

	q->first = p->next;
	if (!q->first)
		q->last = NULL;
	q->len -= p->len;
	q->pieces--;
	free(p);
}

int64_t tcp_ooo_take(struct tcp_ooo *q, uint32_t rcv_nxt, struct chain *to)
{
	int64_t taken = 0;

	while (q->first && !is_before(rcv_nxt, q->first->seq)) {
		struct tcp_ooo_piece *p = q->first;
		uint32_t skip = rcv_nxt - p->seq;

		if (skip < p->len) {
			if (chain_append(to, p->bytes + skip, p->len - skip))
				return taken > 0 ? taken : -ENOMEM;
			taken += p->len - skip;
			rcv_nxt += p->len - skip;
		}
		drop_first(q);
	}
	return taken;
}

void tcp_ooo_clear(struct tcp_ooo *q)
{
	while (q->first)
		drop_first(q);
}
