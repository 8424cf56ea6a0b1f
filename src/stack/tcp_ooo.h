/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Out-of-order data of one TCP connection: pieces behind a hole, sorted, without overlaps.
 *
 * The first copy of a byte wins; a later copy with another value is a conflict (threats.md P7).
 * Bounded by the window and by TCP_OOO_PIECES_MAX pieces.
 */
#ifndef SLUICE_STACK_TCP_OOO_H
#define SLUICE_STACK_TCP_OOO_H

#include <stdint.h>

#include "base/chain.h"
#include "wire/drop.h"
#include "wire/packet.h"

enum {
	TCP_OOO_PIECES_MAX = 256,
};

struct tcp_ooo_piece;

struct tcp_ooo {
	struct tcp_ooo_piece *first; /* lowest sequence number; NULL: empty */
	struct tcp_ooo_piece *last;  /* highest; NULL: empty */
	uint32_t len;                /* bytes of data */
	uint16_t pieces;
};

/* Stores a copy of what is new in len bytes at offset off of the frame, whose first byte has sequence
 * number seq. DROP_NONE, DROP_TCP_CONFLICT, DROP_TCP_OOO_LIMIT or DROP_NO_MEMORY; the bytes
 * stored before a failure stay. */
enum drop_reason tcp_ooo_insert(
    struct tcp_ooo *q, uint32_t seq, const struct frame *frame, uint32_t off, uint32_t len);

/* Moves the bytes that follow rcv_nxt without a hole to the end of a chain, and forgets what lies
 * before. Returns how many, or -ENOMEM after which nothing has been lost. */
int64_t tcp_ooo_take(struct tcp_ooo *q, uint32_t rcv_nxt, struct chain *to);

/* Sequence number of the lowest byte; only where len > 0. */
uint32_t tcp_ooo_first_seq(const struct tcp_ooo *q);

void tcp_ooo_clear(struct tcp_ooo *q);

#endif
