/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded queue between one producer and one consumer on different threads, without locks.
 *
 * An element is a slot and a block of bytes in the arena. Blocks are allocated by the producer in order, each
 * in one piece, behind one another, and are free again in the same order; the consumer knows nothing of this.
 * When nothing is in the queue the arena is used from its start again, so that a queue which is never full
 * stays in a small part of it, and in the cache.
 *
 *	tail <= cons <= prod <= head	(modulo 2^32)
 *
 *	head .. 		free
 *	prod .. head-1		allocated, being filled in by the producer
 *	cons .. prod-1		the consumer's
 *	tail .. cons-1		consumed, not yet taken back by the producer
 *
 * Each index is written by one side only. A side keeps the last value that it has seen of the other's index and
 * looks again only when that one does not suffice.
 *
 * Publishing is a release store, which a side that is awake sees in time. Before a side looks whether the other
 * one sleeps it publishes once more with queue_flush_...(), sequentially consistent: see wake.h.
 */
#ifndef SLUICE_PORT_FRAME_QUEUE_H
#define SLUICE_PORT_FRAME_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	QUEUE_LINE = 128, /* two cache lines: they are fetched in pairs */
	QUEUE_ALIGN = 64, /* of blocks */
};

struct queue_slot {
	uint64_t cookie;    /* the lender's name of a lent buffer */
	uint32_t off;       /* block in the arena */
	uint32_t len;       /* bytes: see ring.h for what they are */
	uint16_t iov_count; /* > 0: lent; the block is an array of struct iovec */
	uint16_t buffers;   /* result of posted buffers: those of one frame, at the first of them */
	uint32_t pad;
};

/* Each side writes lines of its own. NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
struct frame_queue {
	/* never written after queue_init() */
	struct queue_slot *slots;
	uint8_t *arena;
	uint32_t mask;      /* slots - 1 */
	uint32_t arena_len; /* a multiple of QUEUE_ALIGN */

	_Alignas(QUEUE_LINE) _Atomic uint32_t prod;
	_Atomic uint32_t room_at; /* value of cons that the producer waits for */
	/* the producer's */
	uint32_t prod_own;  /* prod */
	uint32_t head;      /* next slot to allocate */
	uint32_t tail;      /* oldest slot that is not free */
	uint32_t cons_seen; /* cons, some time ago */
	uint32_t pos;       /* where the next block may begin in the arena */
	uint32_t lent;      /* slots of tail .. head - 1 with lent buffers */
	bool is_unflushed;  /* published since queue_flush_prod() */
	bool wants_room;    /* refused; room_at says when to tell */

	_Alignas(QUEUE_LINE) _Atomic uint32_t cons;
	/* the consumer's */
	uint32_t cons_own;      /* cons */
	uint32_t prod_seen;     /* prod, some time ago */
	bool is_cons_unflushed; /* published since queue_flush_cons() */
};

/* Room for slots (a power of two, at most 32768) elements and arena_len bytes. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int queue_init(
    struct frame_queue *q, uint32_t slots, uint32_t arena_len);
void queue_fini(struct frame_queue *q);

static inline struct queue_slot *queue_at(const struct frame_queue *q, uint32_t index)
{
	return &q->slots[index & q->mask];
}

static inline uint8_t *queue_block(const struct frame_queue *q, const struct queue_slot *s)
{
	return q->arena + s->off;
}

/* ---- the producer ---- */

/* Allocates the next slot with a block of len bytes; other fields of the slot are left as they are. NULL: no
 * room; then queue_want_room() says when there is. */
struct queue_slot *queue_alloc(struct frame_queue *q, uint32_t len);

/* Gives back the end of the newest block, which is used to len bytes. */
void queue_shrink(struct frame_queue *q, uint32_t len);

/* Gives back the newest slot, which was not published. */
void queue_unalloc(struct frame_queue *q);

/* Publishes the oldest allocated slot. */
static inline void queue_push(struct frame_queue *q)
{
	q->prod_own++;
	q->is_unflushed = true;
	atomic_store_explicit(&q->prod, q->prod_own, memory_order_release);
}

/* True: something was published since the last call. */
static inline bool queue_flush_prod(struct frame_queue *q)
{
	if (!q->is_unflushed)
		return false;
	q->is_unflushed = false;
	atomic_store_explicit(&q->prod, q->prod_own, memory_order_seq_cst);
	return true;
}

/* After queue_alloc() has failed: sets at what point the consumer is to tell. It is when half of what is in the
 * queue has been consumed, so that a full queue does not go to and fro frame by frame. */
void queue_want_room(struct frame_queue *q);

/* Whether that point was reached; for the last look before sleeping. */
static inline bool queue_has_room(struct frame_queue *q)
{
	uint32_t room_at = atomic_load_explicit(&q->room_at, memory_order_relaxed);

	q->cons_seen = atomic_load_explicit(&q->cons, memory_order_seq_cst);
	return (int32_t)(q->cons_seen - room_at) >= 0;
}

/* The oldest consumed slot that holds a lent buffer, or NULL. The second one is for the last look before
 * sleeping. */
struct queue_slot *queue_returned(struct frame_queue *q);
struct queue_slot *queue_returned_last(struct frame_queue *q);

/* Frees the slot that queue_returned() has found. */
void queue_reclaim(struct frame_queue *q);

/* ---- the consumer ---- */

/* The number-th element that was not consumed yet, or NULL. */
static inline struct queue_slot *queue_peek(struct frame_queue *q, uint32_t number)
{
	if (q->prod_seen - q->cons_own <= number) {
		q->prod_seen = atomic_load_explicit(&q->prod, memory_order_acquire);
		if (q->prod_seen - q->cons_own <= number)
			return NULL;
	}
	return queue_at(q, q->cons_own + number);
}

/* Whether there is something; for the last look before sleeping. */
static inline bool queue_has(struct frame_queue *q, uint32_t number)
{
	q->prod_seen = atomic_load_explicit(&q->prod, memory_order_seq_cst);
	return q->prod_seen - q->cons_own > number;
}

/* Consumes the oldest count elements. */
static inline void queue_consume(struct frame_queue *q, uint32_t count)
{
	q->cons_own += count;
	q->is_cons_unflushed = true;
	atomic_store_explicit(&q->cons, q->cons_own, memory_order_release);
}

/* True: something was consumed since the last call. */
static inline bool queue_flush_cons(struct frame_queue *q)
{
	if (!q->is_cons_unflushed)
		return false;
	q->is_cons_unflushed = false;
	atomic_store_explicit(&q->cons, q->cons_own, memory_order_seq_cst);
	return true;
}

/* Whether a producer that waits for room is to be told; after its wish was seen (wake_wishes()). */
static inline bool queue_is_room_due(const struct frame_queue *q)
{
	uint32_t room_at = atomic_load_explicit(&q->room_at, memory_order_relaxed);

	return (int32_t)(q->cons_own - room_at) >= 0;
}

#endif
