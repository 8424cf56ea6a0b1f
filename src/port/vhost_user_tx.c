/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames from the guest.
 *
 * The virtio-net header and the first bytes of a frame are copied once, before anything is judged, and the copy is
 * what the frame begins with; behind it the frame lies in the guest's own buffers, which go to the socket as they are
 * (threats.md P19). A chain in more pieces than a frame may have is copied from there on.
 *
 * No wake is lost: the engine forgets a port only when stage() returns 0. It does so when each live queue has been
 * armed and found empty after that (virtqueue_arm()), so that whatever a driver makes available later makes it notify:
 * the kick descriptor becomes ready, and on_ready() says PORT_HAS_FRAMES. As long as frames are found no notification is
 * asked for. A queue that becomes live by a message is announced by the answer of on_ready() to that message.
 */
#include <errno.h>
#include <string.h>

#include "port/vhost_user_internal.h"

enum {
	PUBLISH_EVERY = 16, /* chains given back, so that a driver that looks can go on */
};

/* Copies up to len bytes from the start of the pieces, and moves their start behind them. */
static uint32_t take_bytes(
    struct iovec *iov, uint32_t count, uint32_t *first, uint8_t *to, uint32_t len)
{
	uint32_t done = 0;

	while (done < len && *first < count) {
		struct iovec *v = &iov[*first];
		uint32_t left = len - done;
		uint32_t take = v->iov_len < left ? (uint32_t)v->iov_len : left;

		memcpy(to + done, v->iov_base, take);
		done += take;
		if (take == v->iov_len) {
			(*first)++;
		} else {
			v->iov_base = (uint8_t *)v->iov_base + take;
			v->iov_len -= take;
		}
	}
	return done;
}

static bool is_bounce_taken(const struct vhost_user_port *p)
{
	for (uint32_t i = 0; i < p->tx_staged; i++)
		if (p->tx_slots[(p->tx_first + i) % VU_TX_STAGED].has_bounce)
			return true;
	return false;
}

/* The pieces from first on become one. */
static struct iovec bounce(
    struct vhost_user_port *p, struct vu_tx_slot *s, uint32_t count, uint32_t first)
{
	s->has_bounce = true;
	return (struct iovec){
	    .iov_base = p->tx_bounce,
	    .iov_len = take_bytes(p->tx_iov, count, &first, p->tx_bounce, FRAME_LEN_MAX),
	};
}

/* The pieces of the frame: the copied head, then those of the chain from first on. Returns its length; what is beyond
 * the longest frame there is, is cut off (no packet reaches so far). */
static uint32_t lay_out(struct vhost_user_port *p, struct vu_tx_slot *s, uint32_t head_len,
    uint32_t count, uint32_t first, uint32_t *ret_iov_count)
{
	uint32_t len = head_len;
	uint32_t n = 0;

	s->has_bounce = false;
	s->iov[n++] = (struct iovec){.iov_base = s->bytes + VNET_HDR_SIZE, .iov_len = head_len};
	for (; first < count && len < FRAME_LEN_MAX; n++, first++) {
		struct iovec *v = &s->iov[n];

		*v = p->tx_iov[first];
		if (n == FRAME_IOV_MAX - 1 && first + 1 < count) {
			*v = bounce(p, s, count, first);
			first = count - 1;
		}
		if (v->iov_len > FRAME_LEN_MAX - len)
			v->iov_len = FRAME_LEN_MAX - len;
		len += (uint32_t)v->iov_len;
	}
	*ret_iov_count = n;
	return len;
}

static void fill_slot(struct vhost_user_port *p, uint32_t queue,
    const struct virtqueue_chain *chain, struct vu_tx_slot *s, struct frame *ret_frame)
{
	uint8_t *head = s->bytes + VNET_HDR_SIZE;
	uint32_t first = 0;
	uint32_t hdr_len;
	uint32_t head_len;
	uint32_t count;
	uint32_t len;

	memset(s->bytes, 0, VNET_HDR_SIZE);
	hdr_len = take_bytes(p->tx_iov, chain->count, &first, s->bytes, p->hdr_len);
	head_len = take_bytes(p->tx_iov, chain->count, &first, head, FRAME_HEAD_MIN);
	s->queue = (uint8_t)queue;
	s->head = chain->head;
	len = lay_out(p, s, head_len, chain->count, first, &count);
	*ret_frame = (struct frame){
	    .head = head,
	    .head_len = head_len,
	    .len = len,
	    .iov = s->iov,
	    .iov_count = count,
	    .vnet = hdr_len == p->hdr_len ? vnet_parse(s->bytes) : (struct vnet_hdr){0},
	};
}

/* One frame of this queue. 1, 0, or -ENOBUFS. */
static int stage_from(struct vhost_user_port *p, uint32_t queue, struct frame *ret_frame)
{
	struct vu_queue *q = &p->queues[queue];
	struct vu_tx_slot *s = &p->tx_slots[(p->tx_first + p->tx_staged) % VU_TX_STAGED];
	struct virtqueue_chain chain;
	int n;

	if (p->tx_staged == VU_TX_STAGED || is_bounce_taken(p))
		return virtqueue_has_more(&q->vq) ? -ENOBUFS : 0;
	n = virtqueue_take(
	    &q->vq, &p->memory, false, p->tx_iov, NULL, VIRTQUEUE_PIECES_MAX, &chain);
	if (n < 0)
		vu_queue_broken(p, queue);
	if (n <= 0)
		return 0;
	fill_slot(p, queue, &chain, s, ret_frame);
	p->tx_staged++;
	p->port.nic.counters.tx_frames++;
	p->port.nic.counters.tx_bytes += ret_frame->len;
	return 1;
}

/* The next queue from the guest, in turn. */
static void next_turn(struct vhost_user_port *p)
{
	p->tx_turn = VU_TX_TURN;
	p->tx_queue = p->tx_queue + 2 < p->queue_end ? p->tx_queue + 2 : 1;
}

/* Asks all queues to tell of their next frame. True if one has some already. */
static bool arm_all(struct vhost_user_port *p)
{
	bool has_more = false;

	for (uint32_t i = 1; i < p->queue_end; i += 2)
		if (p->queues[i].is_live && virtqueue_arm(&p->queues[i].vq, &p->memory))
			has_more = true;
	return has_more;
}

int vu_stage(struct nic *nic, struct frame *ret_frame)
{
	struct vhost_user_port *p = vu_of(nic);
	int n;

	guest_memory_enter(&p->memory);
	if (p->memory.is_lost)
		return 0;
	if (p->tx_turn == 0)
		next_turn(p);
	do {
		for (uint32_t tries = 0; tries < p->queue_end; tries += 2) {
			if (p->queues[p->tx_queue].is_live) {
				n = stage_from(p, p->tx_queue, ret_frame);
				if (n > 0)
					p->tx_turn--;
				if (n != 0)
					return n;
			}
			next_turn(p);
		}
	} while (arm_all(p));
	return 0;
}

void vu_release(struct nic *nic, uint32_t count)
{
	struct vhost_user_port *p = vu_of(nic);

	for (; count > 0; count--) {
		const struct vu_tx_slot *s = &p->tx_slots[p->tx_first];
		struct vu_queue *q = &p->queues[s->queue];

		p->tx_first = (p->tx_first + 1) % VU_TX_STAGED;
		p->tx_staged--;
		if (!q->is_live)
			continue; /* it broke while the engine held the frame */
		virtqueue_put(&q->vq, &p->memory, s->head, 0);
		if ((uint16_t)(q->vq.used_idx - q->vq.published) >= PUBLISH_EVERY)
			virtqueue_publish(&q->vq, &p->memory);
		p->put |= 1U << s->queue;
	}
}
