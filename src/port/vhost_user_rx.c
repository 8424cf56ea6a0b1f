/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames to the guest.
 *
 * Room is whole chains of the guest, taken ahead of need and given out in order. The body of a reservation is the
 * guest's own buffers, into which recvmsg writes; its head is ours and is copied when the frame is complete, so that
 * nothing that the guest can write is read again. With mergeable buffers a frame takes as many chains as it needs,
 * else one. What a reservation did not use is given out again: the driver never sees a chain come back empty.
 *
 * A guest that does not take large frames posts buffers of one MTU, while the engine asks for room for the largest
 * datagram there is, because it does not know what will come. There the end of the body is memory of our own (the
 * overflow): a frame that reaches into it cannot be delivered and is counted as lost; the engine does not commit one, as
 * such a guest has not agreed to it. The same holds for a queue that is too short for large frames.
 *
 * No wake is lost: reserve() says -EAGAIN for want of chains only after the queue was armed and found empty again
 * (virtqueue_arm()), so that the driver notifies when it makes more available, and on_ready() says PORT_HAS_ROOM. If no
 * queue is live, the message that makes one live says so.
 *
 * Frames are published at commit, in order; flush() calls the driver once. A chain that is left over in the middle
 * of open reservations, which the engine has no way to cause, goes back with a length of 0.
 */
#include <assert.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>

#include "port/vhost_user_internal.h"

void vu_rx_drop(struct vu_queue *q)
{
	struct vu_rx *rx = q->rx;
	uint16_t avail = 0;
	uint16_t replay = 0;

	if (!rx)
		return;
	for (uint32_t i = rx->chain_begin; i < rx->chain_end; i++) {
		if (rx->chains[i].is_replay)
			replay++;
		else
			avail++;
	}
	virtqueue_untake(&q->vq, avail, replay);
	rx->chain_begin = rx->chain_next = rx->chain_end = 0;
	rx->piece_begin = rx->piece_next = rx->piece_end = 0;
}

/* Moves what is left to the start, while nothing is reserved. */
static void compact(struct vu_rx *rx)
{
	uint32_t pieces = rx->piece_end - rx->piece_begin;
	uint32_t chains = rx->chain_end - rx->chain_begin;

	memmove(rx->iov, rx->iov + rx->piece_begin, pieces * sizeof(rx->iov[0]));
	memmove(rx->gpa, rx->gpa + rx->piece_begin, pieces * sizeof(rx->gpa[0]));
	memmove(rx->chains, rx->chains + rx->chain_begin, chains * sizeof(rx->chains[0]));
	rx->piece_begin = 0;
	rx->piece_next = 0;
	rx->piece_end = pieces;
	rx->chain_begin = 0;
	rx->chain_next = 0;
	rx->chain_end = chains;
}

/* Takes one more chain ahead. 1; 0: there is none, and the driver will tell of the next; -ENOBUFS: no place for it
 * while so much is reserved; -EPROTO. */
static int fetch(struct vhost_user_port *p, uint32_t queue)
{
	struct vu_queue *q = &p->queues[queue];
	struct vu_rx *rx = q->rx;
	int n;

	if (rx->chain_end == VU_RX_CHAINS || rx->piece_end > VU_RX_PIECES - NIC_IOV_MAX)
		return -ENOBUFS;
	do {
		n = virtqueue_take(&q->vq, &p->memory, true, rx->iov + rx->piece_end,
		    rx->gpa + rx->piece_end, NIC_IOV_MAX, &rx->chains[rx->chain_end]);
	} while (n == 0 && virtqueue_arm(&q->vq, &p->memory));
	if (n < 0)
		vu_queue_broken(p, queue);
	if (n > 0)
		rx->piece_end += rx->chains[rx->chain_end++].count;
	return n;
}

/* The queue for the next frame, or VU_QUEUES_MAX: none is live. It is the first one always: frames of a flow that are
 * spread over queues arrive in another order, and whose frame it will be is not known when room is reserved. */
static uint32_t choose(const struct vhost_user_port *p)
{
	for (uint32_t i = 0; i < p->queue_end; i += 2)
		if (p->queues[i].is_live)
			return i;
	return VU_QUEUES_MAX;
}

/* No chain is left. A queue whose every entry we hold, and which still has no room, never will have. */
static int out_of_chains(struct vhost_user_port *p, uint32_t queue, uint32_t held)
{
	struct vu_queue *q = &p->queues[queue];

	if (p->rx_open > 0 || held < q->vq.num)
		return -EAGAIN;
	if (!q->is_short) {
		q->is_short = true;
		vu_note(p, "queue %u is too short for large frames", queue);
		vu_update_features(p);
		return 1;
	}
	virtqueue_break(&q->vq, VIRTQUEUE_FAULT_PIECES);
	vu_queue_broken(p, queue);
	return -EAGAIN;
}

/* A reservation among others can wait for them; one by itself would wait for ever. */
static int too_many_pieces(struct vhost_user_port *p, uint32_t queue)
{
	if (p->rx_open == 0) {
		virtqueue_break(&p->queues[queue].vq, VIRTQUEUE_FAULT_PIECES);
		vu_queue_broken(p, queue);
	}
	return -EAGAIN;
}

/* Bytes that must be in the guest's chains, of need in all. */
static uint32_t least_room(const struct vhost_user_port *p, const struct vu_queue *q, uint32_t need)
{
	uint32_t least = p->hdr_len + ETH_HDR_SIZE + p->cfg.mtu;

	if (!vu_has(p, VIRTIO_NET_F_MRG_RXBUF))
		return 1; /* one chain, whatever it holds */
	return q->is_short && need > least ? least : need;
}

/* Reserves chains with room for least bytes, or one. 0, -EAGAIN, or 1: try again. */
static int reserve_chains(
    struct vhost_user_port *p, uint32_t queue, uint32_t need, struct vu_rx_slot *s)
{
	struct vu_queue *q = &p->queues[queue];
	struct vu_rx *rx = q->rx;
	uint32_t least = least_room(p, q, need);
	uint32_t next = rx->chain_next;
	uint32_t pieces = 0;
	uint32_t room = 0;

	while (room < least) {
		int n = next < rx->chain_end ? 1 : fetch(p, queue);

		if (n == 0)
			return out_of_chains(p, queue, next - rx->chain_begin);
		if (n < 0)
			return -EAGAIN;
		if (p->body_count + pieces + rx->chains[next].count > NIC_IOV_MAX)
			return too_many_pieces(p, queue);
		pieces += rx->chains[next].count;
		/* Lengths of buffers are the guest's: the sum is bounded, not trusted. */
		room += rx->chains[next].len < need ? rx->chains[next].len : need;
		next++;
	}
	*s = (struct vu_rx_slot){
	    .queue = (uint8_t)queue,
	    .chain_count = next - rx->chain_next,
	    .piece_first = rx->piece_next,
	    .piece_count = pieces,
	    .room = room,
	};
	rx->chain_next = next;
	rx->piece_next += pieces;
	return 0;
}

/* Memory for the end of a body that the chains cannot hold. One reservation at a time has it. */
static int add_overflow(struct vhost_user_port *p, struct vu_rx_slot *s, uint32_t len)
{
	for (uint32_t i = 0; i < p->rx_open; i++)
		if (p->rx_slots[(p->rx_first + i) % VU_RX_SLOTS].has_overflow)
			return -EAGAIN;
	s->has_overflow = true;
	p->body_iov[p->body_count++] = (struct iovec){.iov_base = p->rx_overflow, .iov_len = len};
	return 0;
}

/* The pieces behind the first skip bytes, up to len bytes. */
static int build_body(struct vhost_user_port *p, struct vu_rx_slot *s, uint32_t skip, uint32_t len)
{
	const struct iovec *from = p->queues[s->queue].rx->iov + s->piece_first;

	s->body_first = p->body_count;
	for (uint32_t i = 0; i < s->piece_count && len > 0; i++) {
		struct iovec v = from[i];

		if (v.iov_len <= skip) {
			skip -= (uint32_t)v.iov_len;
			continue;
		}
		v.iov_base = (uint8_t *)v.iov_base + skip;
		v.iov_len -= skip;
		skip = 0;
		if (v.iov_len > len)
			v.iov_len = len;
		len -= (uint32_t)v.iov_len;
		p->body_iov[p->body_count++] = v;
	}
	return len > 0 ? add_overflow(p, s, len) : 0;
}

/* The newest reservation goes back to where it was taken from, but for the first keep chains. */
static void unreserve(struct vhost_user_port *p, struct vu_rx_slot *s, uint32_t keep)
{
	struct vu_rx *rx = p->queues[s->queue].rx;

	while (s->chain_count > keep) {
		s->chain_count--;
		rx->chain_next--;
		rx->piece_next -= rx->chains[rx->chain_next].count;
	}
}

static int reserve(struct vhost_user_port *p, uint32_t queue, uint32_t head_len, uint32_t body_len,
    struct nic_slot *ret_slot)
{
	uint32_t id = (p->rx_first + p->rx_open) % VU_RX_SLOTS;
	struct vu_rx_slot *s = &p->rx_slots[id];
	uint32_t len = head_len + body_len;
	uint32_t need = p->hdr_len + (len < ETH_MIN_FRAME ? (uint32_t)ETH_MIN_FRAME : len);
	int err = reserve_chains(p, queue, need, s);

	if (err)
		return err;
	if (build_body(p, s, p->hdr_len + head_len, body_len)) {
		p->body_count = s->body_first;
		unreserve(p, s, 0);
		return -EAGAIN;
	}
	p->rx_open++;
	*ret_slot = (struct nic_slot){
	    .head = s->head + VNET_HDR_SIZE,
	    .body = p->body_iov + s->body_first,
	    .body_count = p->body_count - s->body_first,
	    .head_len = head_len,
	    .id = id,
	};
	return 0;
}

int vu_reserve(struct nic *nic, uint32_t head_len, uint32_t body_len, struct nic_slot *ret_slot)
{
	struct vhost_user_port *p = vu_of(nic);
	int result;

	guest_memory_enter(&p->memory);
	if (p->memory.is_lost || p->rx_open == VU_RX_SLOTS)
		return -EAGAIN;
	/* Each turn after the first comes of a queue that broke or turned out to be short. */
	for (uint32_t tries = 0; tries <= 2 * VU_QUEUES_MAX; tries++) {
		uint32_t queue = choose(p);
		struct vu_rx *rx;

		if (queue == VU_QUEUES_MAX)
			return -EAGAIN;
		rx = p->queues[queue].rx;
		if (p->rx_open == 0 && rx->piece_end > VU_RX_PIECES / 2)
			compact(rx);
		result = reserve(p, queue, head_len, body_len, ret_slot);
		if (result <= 0 && p->queues[queue].is_live)
			return result;
	}
	return -EAGAIN;
}

/* Writes len bytes from an offset of the reservation's pieces on; they have the room. NULL: zeros. */
static void scatter(struct vhost_user_port *p, const struct vu_rx_slot *s, uint32_t off,
    const uint8_t *from, uint32_t len)
{
	const struct iovec *iov = p->queues[s->queue].rx->iov + s->piece_first;

	for (; len > 0; iov++) {
		uint32_t take;

		if (off >= iov->iov_len) {
			off -= (uint32_t)iov->iov_len;
			continue;
		}
		take = iov->iov_len - off < len ? (uint32_t)(iov->iov_len - off) : len;
		if (from) {
			memcpy((uint8_t *)iov->iov_base + off, from, take);
			from += take;
		} else {
			memset((uint8_t *)iov->iov_base + off, 0, take);
		}
		off = 0;
		len -= take;
	}
}

static void log_pages(struct vhost_user_port *p, const struct vu_rx_slot *s, uint32_t len)
{
	const struct vu_rx *rx = p->queues[s->queue].rx;

	for (uint32_t i = s->piece_first; len > 0; i++) {
		uint32_t take = rx->iov[i].iov_len < len ? (uint32_t)rx->iov[i].iov_len : len;

		guest_memory_mark(&p->memory, rx->gpa[i], take);
		len -= take;
	}
}

/* Chains that hold len bytes. */
static uint32_t chains_for(
    const struct vhost_user_port *p, const struct vu_rx_slot *s, uint32_t len)
{
	const struct vu_rx *rx = p->queues[s->queue].rx;
	uint32_t n = 1;

	for (uint32_t i = rx->chain_begin; len > rx->chains[i].len; i++, n++)
		len -= rx->chains[i].len;
	return n;
}

/* Gives the oldest chains back, count of them, with len bytes in them. */
static void put(struct vhost_user_port *p, struct vu_queue *q, uint32_t count, uint32_t len)
{
	struct vu_rx *rx = q->rx;

	for (; count > 0; count--) {
		const struct virtqueue_chain *c = &rx->chains[rx->chain_begin++];
		uint32_t take = c->len < len ? c->len : len;

		virtqueue_put(&q->vq, &p->memory, c->head, take);
		rx->piece_begin += c->count;
		len -= take;
	}
}

static void build_header(
    const struct vnet_hdr *vnet, uint32_t num_buffers, uint8_t out[VNET_HDR_SIZE])
{
	struct vnet_hdr h = vnet ? *vnet : (struct vnet_hdr){0};

	h.num_buffers = (uint16_t)num_buffers;
	vnet_build(&h, out);
}

/* The frame of the oldest reservation is complete: len bytes with the virtio-net header. */
static void deliver(struct vhost_user_port *p, struct vu_rx_slot *s, uint32_t head_len,
    uint32_t len, uint32_t pad, const struct vnet_hdr *vnet)
{
	struct vu_queue *q = &p->queues[s->queue];
	uint32_t used = chains_for(p, s, len);
	uint8_t *start = s->head + VNET_HDR_SIZE - p->hdr_len;

	/* The header of a driver of old is shorter by its last field. */
	build_header(vnet, used, s->head);
	memmove(start, s->head, p->hdr_len);
	scatter(p, s, 0, start, p->hdr_len + head_len);
	if (pad > 0)
		scatter(p, s, len - pad, NULL, pad);
	log_pages(p, s, len);
	if (p->rx_open == 1)
		unreserve(p, s, used);
	put(p, q, s->chain_count, len);
	virtqueue_publish(&q->vq, &p->memory);
	p->put |= 1U << s->queue;
}

/* The oldest reservation, which cannot be delivered, goes back: into the queue if it is the only one. */
static void lose(struct vhost_user_port *p, struct vu_rx_slot *s)
{
	struct vu_queue *q = &p->queues[s->queue];

	if (p->rx_open == 1) {
		unreserve(p, s, 0);
		return;
	}
	put(p, q, s->chain_count, 0);
	p->put |= 1U << s->queue;
}

void vu_commit(
    struct nic *nic, struct nic_slot *slot, uint32_t body_len, const struct vnet_hdr *vnet)
{
	struct vhost_user_port *p = vu_of(nic);
	struct vu_rx_slot *s = &p->rx_slots[slot->id];
	uint32_t frame_len = slot->head_len + body_len;
	uint32_t pad = frame_len < ETH_MIN_FRAME ? ETH_MIN_FRAME - frame_len : 0;
	uint32_t len = p->hdr_len + frame_len + pad;

	assert(slot->id == p->rx_first && p->rx_open > 0);
	guest_memory_enter(&p->memory);
	frame_len += pad;
	if (!p->queues[s->queue].is_live) {
		nic->counters.rx_lost++; /* it broke meanwhile */
	} else if (len > s->room) {
		nic->counters.rx_lost++;
		lose(p, s);
	} else {
		deliver(p, s, slot->head_len, len, pad, vnet);
		nic->counters.rx_frames++;
		nic->counters.rx_bytes += frame_len;
	}
	p->rx_first = (p->rx_first + 1) % VU_RX_SLOTS;
	p->rx_open--;
	if (p->rx_open == 0)
		p->body_count = 0;
}

void vu_cancel(struct nic *nic, struct nic_slot *slot)
{
	struct vhost_user_port *p = vu_of(nic);
	struct vu_rx_slot *s = &p->rx_slots[slot->id];

	assert(p->rx_open > 0 && slot->id == (p->rx_first + p->rx_open - 1) % VU_RX_SLOTS);
	unreserve(p, s, 0);
	p->rx_open--;
	p->body_count = s->body_first;
}
