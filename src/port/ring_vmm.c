/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VMM's side of the in-process port; see ring.h.
 *
 * Whatever refuses does so in this order: it flushes (a sleeping engine makes no room), says what it waits for,
 * looks once more, and only then refuses. So a refusal is always followed by an event.
 */
#include <errno.h>
#include <string.h>

#include "port/ring_internal.h"

enum {
	BUFFER_MAX = 1 << 30, /* bytes of a posted buffer */
};

bool ring_is_posted(const struct ring *r)
{
	return r->cfg.is_rx_posted;
}

int ring_fd(const struct ring *r)
{
	return r->to_vmm.fd;
}

uint32_t ring_events(struct ring *r)
{
	return wake_events(&r->to_vmm);
}

const struct ring_counters *ring_counters(const struct ring *r)
{
	return &r->vmm;
}

static void wake_engine(struct ring *r, uint32_t wishes)
{
	if (wake_send(&r->to_engine, wishes))
		r->vmm.wakes++;
}

void ring_flush(struct ring *r)
{
	uint32_t wishes = queue_flush_prod(&r->tx) ? RING_WISH_FRAMES : 0;

	if (r->posted) {
		if (queue_flush_prod(&r->post))
			wishes |= RING_WISH_ROOM;
	} else if (queue_flush_cons(&r->rx)) {
		if ((wake_wishes(&r->to_engine) & RING_WISH_ROOM) != 0 && queue_is_room_due(&r->rx))
			wishes |= RING_WISH_ROOM;
	}
	if (wishes != 0)
		wake_engine(r, wishes);
}

/* ---- the driver ---- */

static void request(struct ring *r)
{
	uint32_t next = atomic_load_explicit(&r->request, memory_order_relaxed) + 1;

	atomic_store_explicit(&r->request, next, memory_order_seq_cst);
	wake_engine(r, RING_WISH_FRAMES);
}

static bool is_followed(const struct ring *r)
{
	return atomic_load_explicit(&r->followed, memory_order_seq_cst) ==
	       atomic_load_explicit(&r->request, memory_order_relaxed);
}

int ring_attach(struct ring *r, uint32_t features, bool is_mergeable)
{
	if (r->is_up)
		return -EISCONN;
	if (!is_followed(r))
		return -EBUSY;
	atomic_store_explicit(&r->request_features,
	    features | (is_mergeable ? RING_IS_MERGEABLE : 0), memory_order_relaxed);
	request(r);
	r->is_up = true;
	return 0;
}

/* Frames for the guest that is gone. */
static void drop_all(struct ring *r)
{
	while (queue_peek(&r->rx, 0))
		ring_rx_drop(r);
	(void)queue_flush_cons(&r->rx);
}

int ring_detach(struct ring *r)
{
	if (r->is_up) {
		r->is_up = false;
		r->tx.wants_room = false;
		request(r);
	}
	if (!is_followed(r)) {
		wake_want(&r->to_vmm, RING_EVENT_DOWN);
		if (!is_followed(r))
			return -EINPROGRESS;
	}
	wake_unwant(&r->to_vmm, RING_EVENT_DOWN | RING_EVENT_ROOM);
	if (!r->posted)
		drop_all(r);
	return 0;
}

/* ---- tx ---- */

static size_t length(const struct iovec *iov, size_t iov_count)
{
	size_t len = 0;

	for (size_t i = 0; i < iov_count; i++)
		if (__builtin_add_overflow(len, iov[i].iov_len, &len))
			return SIZE_MAX;
	return len;
}

/* A slot in a queue that the engine consumes. NULL: *ret_err says why. */
static struct queue_slot *alloc(struct ring *r, struct frame_queue *q, uint32_t len, int *ret_err)
{
	struct queue_slot *s;

	while ((s = queue_alloc(q, len)) == NULL) {
		if (q->tail != q->cons_seen) {
			*ret_err = -EBUSY;
			return NULL;
		}
		ring_flush(r);
		if (q != &r->tx) {
			*ret_err = -EAGAIN;
			return NULL;
		}
		queue_want_room(q);
		q->wants_room = true;
		wake_want(&r->to_vmm, RING_EVENT_ROOM);
		if (!queue_has_room(q)) {
			r->vmm.tx_refused++;
			*ret_err = -EAGAIN;
			return NULL;
		}
	}
	if (q->wants_room) {
		q->wants_room = false;
		wake_unwant(&r->to_vmm, RING_EVENT_ROOM);
	}
	return s;
}

static void push(struct ring *r, size_t len)
{
	r->vmm.tx_frames++;
	r->vmm.tx_bytes += len - VNET_HDR_SIZE;
	queue_push(&r->tx);
}

int ring_tx_push(struct ring *r, const struct iovec *iov, size_t iov_count)
{
	size_t len = length(iov, iov_count);
	struct queue_slot *s;
	uint8_t *to;
	int err;

	if (!r->is_up)
		return -ENOTCONN;
	if (len < RING_FRAME_MIN || len > RING_FRAME_MAX)
		return -EMSGSIZE;
	s = alloc(r, &r->tx, (uint32_t)len, &err);
	if (!s)
		return err;
	s->len = (uint32_t)len;
	s->iov_count = 0;
	to = queue_block(&r->tx, s);
	for (size_t i = 0; i < iov_count; i++) {
		if (iov[i].iov_len > 0)
			memcpy(to, iov[i].iov_base, iov[i].iov_len);
		to += iov[i].iov_len;
	}
	push(r, len);
	return 0;
}

/* A slot that holds pieces of the VMM's memory; those of no bytes are left out. 0 or why not. */
static int lend(struct ring *r, struct frame_queue *q, const struct iovec *iov, size_t iov_count,
    uint64_t cookie, size_t len)
{
	struct queue_slot *s;
	struct iovec *to;
	uint16_t count = 0;
	int err;

	s = alloc(r, q, (uint32_t)(iov_count * sizeof(*iov)), &err);
	if (!s)
		return err;
	to = (struct iovec *)(void *)queue_block(q, s);
	for (size_t i = 0; i < iov_count; i++)
		if (iov[i].iov_len > 0)
			to[count++] = iov[i];
	s->cookie = cookie;
	s->len = (uint32_t)len;
	s->iov_count = count;
	s->buffers = 0;
	q->lent++;
	return 0;
}

int ring_tx_lend(struct ring *r, const struct iovec *iov, size_t iov_count, uint64_t cookie)
{
	size_t len = length(iov, iov_count);
	int err;

	if (!r->is_up)
		return -ENOTCONN;
	if (iov_count < 1 || iov_count > RING_IOV_MAX)
		return -EINVAL;
	if (len < RING_FRAME_MIN || len > RING_FRAME_MAX)
		return -EMSGSIZE;
	err = lend(r, &r->tx, iov, iov_count, cookie, len);
	if (!err)
		push(r, len);
	return err;
}

/* The oldest lent buffer that the engine has done with; NULL: there is none, and event follows. */
static struct queue_slot *returned(struct ring *r, struct frame_queue *q, uint32_t event)
{
	struct queue_slot *s = queue_returned(q);

	if (!s) {
		ring_flush(r);
		wake_want(&r->to_vmm, event);
		s = queue_returned_last(q);
	}
	if (s)
		wake_unwant(&r->to_vmm, event);
	return s;
}

uint32_t ring_tx_reclaim(struct ring *r, uint64_t *cookies, uint32_t max)
{
	const struct queue_slot *s = max > 0 ? returned(r, &r->tx, RING_EVENT_BACK) : NULL;
	uint32_t count = 0;

	while (s && count < max) {
		cookies[count++] = s->cookie;
		queue_reclaim(&r->tx);
		s = queue_returned(&r->tx);
	}
	return count;
}

/* ---- rx ---- */

int ring_rx_stage(struct ring *r, struct ring_frame *ret_frame)
{
	struct queue_slot *s = queue_peek(&r->rx, 0);

	if (!s && r->posted)
		return -ENOTSUP;
	if (!s) {
		ring_flush(r);
		wake_want(&r->to_vmm, RING_EVENT_RX);
		if (!queue_has(&r->rx, 0))
			return 0;
		s = queue_peek(&r->rx, 0);
	}
	wake_unwant(&r->to_vmm, RING_EVENT_RX);
	*ret_frame = (struct ring_frame){.bytes = queue_block(&r->rx, s), .len = s->len};
	return 1;
}

void ring_rx_consume(struct ring *r)
{
	const struct queue_slot *s = queue_peek(&r->rx, 0);

	if (!s)
		return;
	r->vmm.rx_frames++;
	r->vmm.rx_bytes += s->len - VNET_HDR_SIZE;
	queue_consume(&r->rx, 1);
}

void ring_rx_drop(struct ring *r)
{
	if (!queue_peek(&r->rx, 0))
		return;
	r->vmm.rx_dropped++;
	queue_consume(&r->rx, 1);
}

int ring_rx_post(struct ring *r, const struct iovec *iov, size_t iov_count, uint64_t cookie)
{
	size_t len = length(iov, iov_count);
	int err;

	if (!r->posted)
		return -ENOTSUP;
	if (!r->is_up)
		return -ENOTCONN;
	if (iov_count < 1 || iov_count > RING_IOV_MAX)
		return -EINVAL;
	if (len < RING_BUFFER_MIN || len > BUFFER_MAX)
		return -EMSGSIZE;
	err = lend(r, &r->post, iov, iov_count, cookie, len);
	if (!err)
		queue_push(&r->post);
	return err;
}

uint32_t ring_rx_take(struct ring *r, struct ring_done *done, uint32_t max)
{
	const struct queue_slot *s = max > 0 ? returned(r, &r->post, RING_EVENT_RX) : NULL;
	uint32_t count = 0;

	while (s && count < max && (count == 0 || s->buffers <= max - count)) {
		done[count++] =
		    (struct ring_done){.cookie = s->cookie, .len = s->len, .buffers = s->buffers};
		if (s->buffers > 0) {
			r->vmm.rx_frames++;
			r->vmm.rx_bytes -= VNET_HDR_SIZE;
		}
		r->vmm.rx_bytes += s->len;
		queue_reclaim(&r->post);
		s = queue_returned(&r->post);
	}
	return count;
}
