/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In-process port: life, and the engine's side; see ring.h, and ring_vmm.c for the other side.
 *
 * Memory is what is used: a slot is 32 bytes, and bytes of frames lie behind one another in an arena, which is
 * touched from its start as far as frames have ever waited. bench/ring_bench.c measures it.
 *
 * The engine is woken by its eventfd, edge-triggered and never read. While it is awake it looks at the queues once
 * in each turn (ring_poll()); it asks to be woken only before it waits.
 *
 * A driver comes and goes (a guest reboots). The VMM asks, the engine follows at its next turn: until then it
 * may still use lent memory. Nothing is sent towards a guest without a driver: reservations find no room.
 */
#include "port/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "port/ring_internal.h"

enum {
	ARENA_PER_FRAME = 2048, /* a frame of the usual MTU, and some */
	ARENA_PER_BUFFER = 320, /* 20 pieces: 64 KiB in pages, and the header */
	ARENA_MIN = 4 * ((RING_FRAME_MAX + QUEUE_ALIGN - 1) / QUEUE_ALIGN * QUEUE_ALIGN),
};

/* ---- frames of the guest ---- */

/* Leaves the virtio-net header out of the pieces. */
static void skip_header(struct queue_slot *s, struct iovec *iov, struct frame *f)
{
	uint32_t left = VNET_HDR_SIZE;
	uint32_t at = 0;

	while (left > 0 && left >= iov[at].iov_len)
		left -= (uint32_t)iov[at++].iov_len;
	iov[at].iov_base = (uint8_t *)iov[at].iov_base + left;
	iov[at].iov_len -= left;
	f->iov = iov + at;
	f->iov_count = s->iov_count - at;
}

/* The guest may write a lent frame meanwhile: its headers are read once, into memory of our own. */
static void stage_lent(struct ring *r, struct queue_slot *s, uint32_t number, struct frame *f)
{
	struct iovec *iov = (struct iovec *)(void *)queue_block(&r->tx, s);
	uint8_t *head = r->heads[number % RING_STAGED_MAX];
	uint32_t len = s->len < RING_HEAD_LEN ? s->len : RING_HEAD_LEN;

	for (uint32_t i = 0, at = 0; at < len; i++) {
		uint32_t take = iov[i].iov_len < len - at ? (uint32_t)iov[i].iov_len : len - at;

		memcpy(head + at, iov[i].iov_base, take);
		at += take;
	}
	f->vnet = vnet_parse(head);
	f->head = head + VNET_HDR_SIZE;
	f->head_len = len - VNET_HDR_SIZE;
	skip_header(s, iov, f);
}

static void stage_copied(
    struct ring *r, const struct queue_slot *s, uint32_t number, struct frame *f)
{
	struct iovec *iov = &r->stage_iov[number % RING_STAGED_MAX];
	uint8_t *bytes = queue_block(&r->tx, s);

	f->vnet = vnet_parse(bytes);
	*iov = (struct iovec){.iov_base = bytes + VNET_HDR_SIZE, .iov_len = s->len - VNET_HDR_SIZE};
	f->head = iov->iov_base;
	f->head_len = f->len;
	f->iov = iov;
	f->iov_count = 1;
}

static int ring_stage(struct nic *nic, struct frame *ret_frame)
{
	struct ring *r = ring_of(nic);
	struct queue_slot *s = queue_peek(&r->tx, r->staged);
	uint32_t number = r->tx.cons_own + r->staged;

	if (!s)
		return 0;
	if (r->staged == RING_STAGED_MAX)
		return -ENOBUFS;
	*ret_frame = (struct frame){.len = s->len - VNET_HDR_SIZE};
	if (s->iov_count > 0)
		stage_lent(r, s, number, ret_frame);
	else
		stage_copied(r, s, number, ret_frame);
	r->staged++;
	nic->counters.tx_frames++;
	nic->counters.tx_bytes += ret_frame->len;
	return 1;
}

static void ring_release(struct nic *nic, uint32_t count)
{
	struct ring *r = ring_of(nic);

	r->staged -= count;
	queue_consume(&r->tx, count);
}

/* ---- frames to the guest ---- */

static int refuse(struct ring *r)
{
	r->wants_room = true;
	return -EAGAIN;
}

static int ring_reserve(
    struct nic *nic, uint32_t head_len, uint32_t body_len, struct nic_slot *ret_slot)
{
	struct ring *r = ring_of(nic);
	uint32_t len = head_len + body_len > ETH_MIN_FRAME ? head_len + body_len : ETH_MIN_FRAME;
	struct queue_slot *s;
	uint32_t id = r->rx.head % NIC_BATCH_MAX;

	if (!r->is_attached || r->rx_open == NIC_BATCH_MAX)
		return refuse(r);
	if (r->posted)
		return ring_posted_reserve(r, head_len, body_len, ret_slot) ? refuse(r) : 0;
	s = queue_alloc(&r->rx, VNET_HDR_SIZE + len);
	if (!s) {
		queue_want_room(&r->rx);
		return refuse(r);
	}
	r->rx_open++;
	r->rx_body[id] = (struct iovec){
	    .iov_base = queue_block(&r->rx, s) + VNET_HDR_SIZE + head_len, .iov_len = body_len};
	*ret_slot = (struct nic_slot){
	    .head = queue_block(&r->rx, s) + VNET_HDR_SIZE,
	    .body = &r->rx_body[id],
	    .body_count = 1,
	    .head_len = head_len,
	    .id = id,
	};
	return 0;
}

static void ring_commit(
    struct nic *nic, struct nic_slot *slot, uint32_t body_len, const struct vnet_hdr *vnet)
{
	struct ring *r = ring_of(nic);
	struct vnet_hdr h = vnet ? *vnet : (struct vnet_hdr){0};
	uint32_t len = slot->head_len + body_len;

	if (r->posted) {
		ring_posted_commit(r, slot, body_len, vnet);
		return;
	}
	h.num_buffers = 1; /* virtio 1.2, 5.1.6.4.1 */
	vnet_build(&h, slot->head - VNET_HDR_SIZE);
	if (len < ETH_MIN_FRAME) {
		memset(slot->head + len, 0, ETH_MIN_FRAME - len);
		len = ETH_MIN_FRAME;
	}
	nic->counters.rx_frames++;
	nic->counters.rx_bytes += len;
	queue_at(&r->rx, r->rx.prod_own)->len = VNET_HDR_SIZE + len;
	if (--r->rx_open == 0)
		queue_shrink(&r->rx, VNET_HDR_SIZE + len);
	queue_push(&r->rx);
}

static void ring_cancel(struct nic *nic, struct nic_slot *slot)
{
	struct ring *r = ring_of(nic);

	(void)slot;
	if (r->posted) {
		ring_posted_cancel(r);
		return;
	}
	queue_unalloc(&r->rx);
	/* Those before were committed while this one stood behind them. */
	if (--r->rx_open == 0 && r->rx.head != r->rx.tail)
		queue_shrink(&r->rx, queue_at(&r->rx, r->rx.head - 1)->len);
}

static void ring_nic_flush(struct nic *nic)
{
	struct ring *r = ring_of(nic);
	bool has_sent = r->posted ? queue_flush_cons(&r->post) : queue_flush_prod(&r->rx);
	uint32_t events = has_sent ? RING_EVENT_RX : 0;

	if (queue_flush_cons(&r->tx)) {
		events |= RING_EVENT_BACK;
		if ((wake_wishes(&r->to_vmm) & RING_EVENT_ROOM) != 0 && queue_is_room_due(&r->tx))
			events |= RING_EVENT_ROOM;
	}
	if (events != 0)
		(void)wake_send(&r->to_vmm, events);
}

static const struct nic_ops nic_ops = {
    .stage = ring_stage,
    .release = ring_release,
    .reserve = ring_reserve,
    .commit = ring_commit,
    .cancel = ring_cancel,
    .flush = ring_nic_flush,
};

/* ---- the port ---- */

/* Lets go of everything that the VMM has lent. */
static void let_go(struct ring *r)
{
	while (queue_peek(&r->tx, 0))
		queue_consume(&r->tx, 1);
	(void)queue_flush_cons(&r->tx);
	if (r->posted)
		ring_posted_return_all(r);
}

/* Does what the VMM has asked for about its driver. What that means for the engine. */
static uint32_t follow(struct ring *r)
{
	uint32_t request = atomic_load_explicit(&r->request, memory_order_seq_cst);
	uint32_t features;

	if (request == atomic_load_explicit(&r->followed, memory_order_relaxed))
		return 0;
	features = atomic_load_explicit(&r->request_features, memory_order_relaxed);
	r->is_attached = request % 2 == 1;
	r->port.nic.features = r->is_attached ? features & ~RING_IS_MERGEABLE : 0;
	if (r->posted)
		r->posted->is_mergeable = (features & RING_IS_MERGEABLE) != 0;
	if (r->is_attached && r->cfg.on_attach)
		r->cfg.on_attach(r->cfg.ctx, r->port.nic.features);
	else if (!r->is_attached)
		let_go(r);
	atomic_store_explicit(&r->followed, request, memory_order_seq_cst);
	(void)wake_send(&r->to_vmm, RING_EVENT_DOWN);
	r->wants_room = false;
	return PORT_HAS_FRAMES | PORT_HAS_ROOM | (r->is_attached ? (uint32_t)PORT_IS_NEW : 0);
}

static bool has_room(struct ring *r)
{
	if (!r->is_attached)
		return false;
	return r->posted ? ring_posted_has_more(r) : queue_has_room(&r->rx);
}

static uint32_t ring_poll(struct port *p, bool is_waiting)
{
	struct ring *r = ring_of(&p->nic);
	uint32_t wishes = (p->nic.is_held ? 0U : (uint32_t)RING_WISH_FRAMES) |
			  (r->wants_room ? (uint32_t)RING_WISH_ROOM : 0U);
	uint32_t what;

	if (is_waiting)
		wake_want(&r->to_engine, wishes);
	else
		wake_unwant(&r->to_engine, RING_WISH_FRAMES | RING_WISH_ROOM);
	what = follow(r);
	if (!p->nic.is_held && queue_has(&r->tx, r->staged))
		what |= PORT_HAS_FRAMES;
	if (r->wants_room && has_room(r)) {
		r->wants_room = false;
		what |= PORT_HAS_ROOM;
	}
	if (is_waiting && what != 0)
		wake_unwant(&r->to_engine, wishes);
	return what;
}

static int ring_start(struct port *p, struct port_loop *loop)
{
	struct ring *r = ring_of(&p->nic);

	r->loop = loop;
	return loop->watch(loop, r->to_engine.fd, PORT_READABLE | PORT_EDGE, 0);
}

/* It has ended the wait; ring_poll() says why. */
static uint32_t ring_on_ready(struct port *p, uint16_t token, uint32_t events)
{
	(void)p;
	(void)token;
	(void)events;
	return 0;
}

static void ring_stop(struct port *p)
{
	struct ring *r = ring_of(&p->nic);

	r->loop->unwatch(r->loop, r->to_engine.fd);
}

static void ring_free(struct port *p)
{
	struct ring *r = ring_of(&p->nic);

	wake_fini(&r->to_engine);
	wake_fini(&r->to_vmm);
	queue_fini(&r->tx);
	queue_fini(&r->rx);
	queue_fini(&r->post);
	ring_posted_free(r->posted);
	free(r->heads);
	free(r);
}

static const struct port_ops port_ops = {
    .start = ring_start,
    .on_ready = ring_on_ready,
    .poll = ring_poll,
    .stop = ring_stop,
    .free = ring_free,
};

/* ---- life ---- */

static uint32_t slots_of(uint32_t frames)
{
	uint32_t slots = 1;

	while (slots < (frames > 0 ? frames : (uint32_t)RING_FRAMES_DEFAULT))
		slots *= 2;
	return slots;
}

static uint32_t arena_of(uint32_t slots)
{
	uint32_t len = slots * ARENA_PER_FRAME;

	return len > ARENA_MIN ? len : ARENA_MIN;
}

static int init_rx(struct ring *r, uint32_t slots)
{
	int err;

	if (!r->cfg.is_rx_posted)
		return queue_init(&r->rx, slots, arena_of(slots));
	err = queue_init(&r->post, slots,
	    slots >= RING_IOV_MAX ? slots * ARENA_PER_BUFFER : RING_IOV_MAX * ARENA_PER_BUFFER);
	return err ? err : ring_posted_new(&r->posted);
}

static int init(struct ring *r)
{
	uint32_t tx_slots = slots_of(r->cfg.tx_frames);
	int err = wake_init(&r->to_engine);
	int err2 = wake_init(&r->to_vmm);

	if (err || err2)
		return err ? err : err2;
	r->heads = malloc(RING_STAGED_MAX * sizeof(*r->heads));
	if (!r->heads || queue_init(&r->tx, tx_slots, arena_of(tx_slots)) < 0)
		return -ENOMEM;
	return init_rx(r, slots_of(r->cfg.rx_frames));
}

int ring_new(const struct ring_config *cfg, struct ring **ret_ring)
{
	struct ring *r;
	int err;

	if (cfg->tx_frames > RING_FRAMES_MAX || cfg->rx_frames > RING_FRAMES_MAX)
		return -EINVAL;
	r = aligned_alloc(QUEUE_LINE, sizeof(*r));
	if (!r)
		return -ENOMEM;
	memset(r, 0, sizeof(*r));
	r->cfg = *cfg;
	r->port =
	    (struct port){.nic = {.ops = &nic_ops, .batch_max = NIC_BATCH_MAX}, .ops = &port_ops};
	err = init(r);
	if (err) {
		ring_free(&r->port);
		return err;
	}
	*ret_ring = r;
	return 0;
}

struct port *ring_port(struct ring *r)
{
	return &r->port;
}
