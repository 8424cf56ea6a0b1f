/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The producer's half of frame_queue.h that is not needed for each frame, and the arena.
 *
 * Blocks that are not free lie between the oldest one and pos, around the end of the arena if need be. One block
 * never goes around the end. pos never meets the oldest block from below, so that full and empty differ.
 */
#include "port/frame_queue.h"

#include <errno.h>
#include <stdlib.h>

int queue_init(struct frame_queue *q, uint32_t slots, uint32_t arena_len)
{
	*q = (struct frame_queue){.mask = slots - 1, .arena_len = arena_len};
	q->slots = calloc(slots, sizeof(*q->slots));
	q->arena = aligned_alloc(QUEUE_ALIGN, arena_len);
	if (q->slots && q->arena)
		return 0;
	queue_fini(q);
	return -ENOMEM;
}

void queue_fini(struct frame_queue *q)
{
	free(q->slots);
	free(q->arena);
	q->slots = NULL;
	q->arena = NULL;
}

/* Frees what has been consumed and need not be taken back. */
static void free_consumed(struct frame_queue *q)
{
	if (q->lent == 0)
		q->tail = q->cons_seen;
	while (q->tail != q->cons_seen && queue_at(q, q->tail)->iov_count == 0)
		q->tail++;
}

/* Learns what has been consumed. */
static void reap(struct frame_queue *q)
{
	q->cons_seen = atomic_load_explicit(&q->cons, memory_order_acquire);
	free_consumed(q);
}

/* Finds len bytes in the arena. False: there are none in one piece. */
static bool find_block(struct frame_queue *q, uint32_t len, uint32_t *ret_off)
{
	uint32_t oldest = queue_at(q, q->tail)->off;

	if (q->tail == q->head) {
		*ret_off = 0;
		return len <= q->arena_len;
	}
	*ret_off = q->pos;
	if (q->pos <= oldest)
		return len < oldest - q->pos;
	if (len <= q->arena_len - q->pos)
		return true;
	*ret_off = 0;
	return len < oldest;
}

static uint32_t round_up(uint32_t len)
{
	return (len + QUEUE_ALIGN - 1) / QUEUE_ALIGN * QUEUE_ALIGN;
}

struct queue_slot *queue_alloc(struct frame_queue *q, uint32_t len)
{
	uint32_t room = round_up(len);
	struct queue_slot *s;
	uint32_t off;

	if (q->head - q->tail > q->mask || !find_block(q, room, &off)) {
		reap(q);
		if (q->head - q->tail > q->mask || !find_block(q, room, &off))
			return NULL;
	}
	s = queue_at(q, q->head++);
	s->off = off;
	q->pos = off + room;
	return s;
}

void queue_shrink(struct frame_queue *q, uint32_t len)
{
	q->pos = queue_at(q, q->head - 1)->off + round_up(len);
}

void queue_unalloc(struct frame_queue *q)
{
	q->pos = queue_at(q, --q->head)->off;
}

void queue_want_room(struct frame_queue *q)
{
	uint32_t used = q->prod_own - q->cons_seen;

	atomic_store_explicit(
	    &q->room_at, q->cons_seen + used / 2 + used % 2, memory_order_relaxed);
}

struct queue_slot *queue_returned(struct frame_queue *q)
{
	free_consumed(q);
	if (q->tail == q->cons_seen)
		reap(q);
	return q->tail != q->cons_seen ? queue_at(q, q->tail) : NULL;
}

struct queue_slot *queue_returned_last(struct frame_queue *q)
{
	q->cons_seen = atomic_load_explicit(&q->cons, memory_order_seq_cst);
	return queue_returned(q);
}

void queue_reclaim(struct frame_queue *q)
{
	q->tail++;
	q->lent--;
}
