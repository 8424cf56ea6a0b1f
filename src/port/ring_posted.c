/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames to the guest in buffers that the VMM has posted: the body of a frame goes from the host's socket straight
 * into the guest's memory. See ring.h.
 *
 * A reservation takes as many of the oldest buffers as its largest frame needs: one, or several if the guest takes
 * frames in several. What the frame did not need is reserved next, so that buffers come back in order and, but
 * for a short frame between two others, all used.
 *
 * Small buffers are right, too: what is received can be longer than what is sent in the end (a datagram is cut into
 * fragments). Where the buffers hold what the guest can be sent, but not what could be received, the frame is
 * received in memory of our own and copied. Only one such reservation is open at a time.
 *
 * What is refused: a frame that does not fit into the buffers after all is lost and counted. That takes a guest
 * that has agreed to large frames and posts small buffers of which a frame may use only one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "port/ring_internal.h"

enum {
	SCRATCH_LEN = NIC_HEAD_MAX + NIC_BODY_MAX + 1 + ETH_MIN_FRAME,
};

int ring_posted_new(struct ring_posted **ret_posted)
{
	struct ring_posted *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->scratch = malloc(SCRATCH_LEN);
	if (!p->scratch) {
		free(p);
		return -ENOMEM;
	}
	*ret_posted = p;
	return 0;
}

void ring_posted_free(struct ring_posted *p)
{
	if (!p)
		return;
	free(p->scratch);
	free(p);
}

static struct queue_slot *buffer_at(struct ring *r, uint32_t index)
{
	return queue_peek(&r->post, index - r->post.cons_own);
}

static const struct iovec *pieces_of(const struct ring *r, const struct queue_slot *s)
{
	return (const struct iovec *)(const void *)queue_block(&r->post, s);
}

/* Takes buffers until there are need bytes. */
static struct ring_room take_buffers(struct ring *r, uint32_t need)
{
	struct ring_room room = {.first = r->posted->next, .iov_at = r->posted->iov_used};
	const struct queue_slot *s;

	while (room.len < need && room.count < (r->posted->is_mergeable ? RING_BUFFERS_MAX : 1U) &&
	       (s = buffer_at(r, room.first + room.count)) != NULL) {
		room.len += s->len;
		room.count++;
	}
	return room;
}

/* Lists the pieces of len bytes from off on. False: they are too many. */
static bool list_body(struct ring *r, const struct ring_room *room, uint32_t off, uint32_t len)
{
	struct ring_posted *p = r->posted;
	uint32_t used = room->iov_at;

	for (uint32_t i = 0; len > 0; i++) {
		const struct queue_slot *s = queue_at(&r->post, room->first + i);
		const struct iovec *iov = pieces_of(r, s);

		for (uint32_t k = 0; k < s->iov_count && len > 0; k++) {
			size_t skip = off < iov[k].iov_len ? off : iov[k].iov_len;
			size_t take = iov[k].iov_len - skip < len ? iov[k].iov_len - skip : len;

			off -= (uint32_t)skip;
			len -= (uint32_t)take;
			if (take == 0)
				continue;
			if (used == NIC_IOV_MAX)
				return false;
			p->iov[used++] = (struct iovec){
			    .iov_base = (uint8_t *)iov[k].iov_base + skip, .iov_len = take};
		}
	}
	p->iov_used = used;
	return true;
}

/* Whether a reservation whose buffers do not hold all that could be received is made all the same. */
static bool is_enough(const struct ring *r, const struct ring_room *room)
{
	const uint32_t large = NIC_F_TSO4 | NIC_F_TSO6 | NIC_F_USO;

	if (room->count == 0)
		return false;
	if (!r->posted->is_mergeable || room->count == RING_BUFFERS_MAX)
		return true;
	return (r->port.nic.features & large) == 0 &&
	       room->len >= VNET_HDR_SIZE + ETH_HDR_SIZE + (uint32_t)r->cfg.mtu;
}

static void place_head(struct ring *r, uint32_t id, uint32_t head_len, struct nic_slot *ret_slot)
{
	struct ring_posted *p = r->posted;
	struct ring_room *room = &p->rooms[id];
	const struct iovec *first = pieces_of(r, queue_at(&r->post, room->first));

	room->is_head_apart = first->iov_len < VNET_HDR_SIZE + head_len;
	ret_slot->head =
	    room->is_head_apart ? p->heads[id] : (uint8_t *)first->iov_base + VNET_HDR_SIZE;
	ret_slot->body = &p->iov[room->iov_at];
	ret_slot->body_count = p->iov_used - room->iov_at;
}

static void place_apart(
    struct ring *r, uint32_t id, uint32_t head_len, uint32_t body_len, struct nic_slot *ret_slot)
{
	struct ring_posted *p = r->posted;

	p->rooms[id].is_all_apart = true;
	p->is_scratch_used = true;
	p->iov[p->iov_used] =
	    (struct iovec){.iov_base = p->scratch + head_len, .iov_len = body_len};
	ret_slot->head = p->scratch;
	ret_slot->body = &p->iov[p->iov_used++];
	ret_slot->body_count = 1;
}

int ring_posted_reserve(
    struct ring *r, uint32_t head_len, uint32_t body_len, struct nic_slot *ret_slot)
{
	struct ring_posted *p = r->posted;
	uint32_t len = head_len + body_len > ETH_MIN_FRAME ? head_len + body_len : ETH_MIN_FRAME;
	uint32_t id = (p->first_room + p->open) % NIC_BATCH_MAX;
	struct ring_room room;

	if (p->open == NIC_BATCH_MAX)
		return -EAGAIN;
	room = take_buffers(r, VNET_HDR_SIZE + len);
	p->rooms[id] = room;
	*ret_slot = (struct nic_slot){.head_len = head_len, .id = id};
	if (room.len >= VNET_HDR_SIZE + len &&
	    list_body(r, &room, VNET_HDR_SIZE + head_len, body_len)) {
		place_head(r, id, head_len, ret_slot);
	} else if ((room.len >= VNET_HDR_SIZE + len || is_enough(r, &room)) &&
		   !p->is_scratch_used && p->iov_used < NIC_IOV_MAX) {
		place_apart(r, id, head_len, body_len, ret_slot);
	} else {
		p->short_of = r->post.prod_seen;
		return -EAGAIN;
	}
	p->next = room.first + room.count;
	p->open++;
	return 0;
}

/* Writes len bytes at off of the buffers of a reservation. */
static void write_at(
    struct ring *r, const struct ring_room *room, uint32_t off, const uint8_t *from, uint32_t len)
{
	for (uint32_t i = 0; len > 0; i++) {
		const struct queue_slot *s = queue_at(&r->post, room->first + i);
		const struct iovec *iov = pieces_of(r, s);

		for (uint32_t k = 0; k < s->iov_count && len > 0; k++) {
			size_t skip = off < iov[k].iov_len ? off : iov[k].iov_len;
			size_t take = iov[k].iov_len - skip < len ? iov[k].iov_len - skip : len;

			if (take > 0)
				memcpy((uint8_t *)iov[k].iov_base + skip, from, take);
			off -= (uint32_t)skip;
			from += take;
			len -= (uint32_t)take;
		}
	}
}

/* How many buffers a frame with its header needs. */
static uint32_t buffers_for(const struct ring *r, const struct ring_room *room, uint32_t len)
{
	uint32_t count = 0;

	for (uint32_t have = 0; have < len; count++)
		have += queue_at(&r->post, room->first + count)->len;
	return count;
}

/* Says in the slots what became of the buffers, and completes them. used: those of the frame, of len bytes. */
static void complete(struct ring *r, const struct ring_room *room, uint32_t used, uint32_t len)
{
	uint32_t count = r->posted->open == 1 ? used : room->count;

	for (uint32_t i = 0; i < count; i++) {
		struct queue_slot *s = queue_at(&r->post, room->first + i);
		uint32_t here = s->len < len ? s->len : len;

		s->len = here; /* 0 behind the used ones */
		s->buffers = i == 0 ? (uint16_t)used : 0;
		len -= here;
	}
	if (count < room->count)
		r->posted->next = room->first + count;
	queue_consume(&r->post, count);
}

/* Closes the oldest reservation, or the newest. */
static void close_room(struct ring_posted *p, const struct ring_room *room, bool is_oldest)
{
	if (room->is_all_apart)
		p->is_scratch_used = false;
	if (is_oldest)
		p->first_room = (p->first_room + 1) % NIC_BATCH_MAX;
	else
		p->iov_used = room->iov_at;
	if (--p->open == 0)
		p->iov_used = 0;
}

void ring_posted_commit(
    struct ring *r, struct nic_slot *slot, uint32_t body_len, const struct vnet_hdr *vnet)
{
	static const uint8_t padding[ETH_MIN_FRAME];
	const struct ring_room *room = &r->posted->rooms[slot->id];
	struct vnet_hdr h = vnet ? *vnet : (struct vnet_hdr){0};
	uint32_t len = slot->head_len + body_len;
	uint32_t padded = len > ETH_MIN_FRAME ? len : ETH_MIN_FRAME;
	uint8_t header[VNET_HDR_SIZE];
	uint32_t used;

	if (VNET_HDR_SIZE + padded > room->len) {
		r->port.nic.counters.rx_lost++;
		complete(r, room, 0, 0);
		close_room(r->posted, room, true);
		return;
	}
	if (room->is_all_apart)
		write_at(r, room, VNET_HDR_SIZE, slot->head, len);
	else if (room->is_head_apart)
		write_at(r, room, VNET_HDR_SIZE, slot->head, slot->head_len);
	write_at(r, room, VNET_HDR_SIZE + len, padding, padded - len);
	used = buffers_for(r, room, VNET_HDR_SIZE + padded);
	h.num_buffers = (uint16_t)used;
	vnet_build(&h, header);
	write_at(r, room, 0, header, VNET_HDR_SIZE);
	r->port.nic.counters.rx_frames++;
	r->port.nic.counters.rx_bytes += padded;
	complete(r, room, used, VNET_HDR_SIZE + padded);
	close_room(r->posted, room, true);
}

void ring_posted_cancel(struct ring *r)
{
	struct ring_posted *p = r->posted;
	const struct ring_room *room = &p->rooms[(p->first_room + p->open - 1) % NIC_BATCH_MAX];

	p->next = room->first;
	close_room(p, room, false);
}

bool ring_posted_has_more(struct ring *r)
{
	(void)queue_has(&r->post, 0);
	return r->post.prod_seen != r->posted->short_of;
}

void ring_posted_return_all(struct ring *r)
{
	struct queue_slot *s;

	while ((s = queue_peek(&r->post, 0)) != NULL) {
		s->len = 0;
		s->buffers = 0;
		queue_consume(&r->post, 1);
	}
	r->posted->next = r->post.cons_own;
	(void)queue_flush_cons(&r->post);
}
