/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte queue in blocks: bytes that wait because the place where they go has no room.
 *
 * What a chain really occupies (blocks and their headers, not only the bytes in them) is counted in
 * a budget that many chains share. The caller promises no more room than the budget has; see
 * flow/tcp_flow.c.
 */
#ifndef SLUICE_BASE_CHAIN_H
#define SLUICE_BASE_CHAIN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct chain_block;

struct chain {
	struct chain_block *first; /* NULL: empty */
	struct chain_block *last;
	size_t len;    /* bytes queued */
	size_t memory; /* bytes of memory held */
};

/* Appends a copy of len bytes. 0 or -ENOMEM, which leaves the chain as it was. */
__attribute__((warn_unused_result)) int chain_append(
    struct chain *c, const void *bytes, size_t len);

/* Fills up to max pieces with the first bytes, without taking them; returns how many. */
size_t chain_peek(const struct chain *c, struct iovec *iov, size_t max);

/* The first bytes that lie in one piece from off on; off is below c->len. */
struct iovec chain_piece(const struct chain *c, size_t off);

/* Removes the first len bytes; len is at most c->len. */
void chain_consume(struct chain *c, size_t len);

/* Removes everything. */
void chain_clear(struct chain *c);

#endif
