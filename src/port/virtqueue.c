/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split virtqueue, the device's side; see virtqueue.h.
 *
 * The driver may be malicious and write while we read. So every field is loaded once, atomically, into a variable,
 * and only that is judged and used (threats.md P19). A walk along a chain visits at most as many descriptors as the
 * table has, and an indirect table is entered once, so it ends whatever the chain says. At most num chains can be
 * taken before the driver's index is read again.
 *
 * The order of memory: an index is loaded with acquire before the entries that it covers, and stored with release behind
 * them. Where each side writes one thing and then reads what the other writes (our event index, then the driver's
 * index; our used index, then the driver's event index) both accesses are sequentially consistent, so that at least
 * one side sees what the other wrote: no wake is lost (virtio 1.2, 2.7.7.2 and 2.7.10.1).
 *
 * Tests: tests/unit/test_virtqueue.c, tests/fuzz/fuzz_virtqueue.c.
 */
#include "port/virtqueue.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>

#include "port/inflight.h"

enum {
	DESC_ALIGN = 16,
	AVAIL_ALIGN = 2,
	USED_ALIGN = 4,
};

struct desc {
	uint64_t gpa;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

/* Where a walk is: in the queue's own table or in an indirect one. */
struct walk {
	struct guest_memory *m;
	const struct vring_desc *table; /* NULL: not in one piece, each is looked up by itself */
	uint64_t gpa;                   /* of an indirect table */
	uint32_t size;                  /* descriptors in the table */
	uint32_t left;                  /* how many may still be visited */
	bool is_indirect;
};

static uint16_t load_avail_idx(const struct virtqueue *vq, int order)
{
	uint16_t idx = order == __ATOMIC_SEQ_CST
			   ? __atomic_load_n(&vq->avail->idx, __ATOMIC_SEQ_CST)
			   : __atomic_load_n(&vq->avail->idx, __ATOMIC_ACQUIRE);

	return le16toh(idx);
}

static bool is_aligned(const void *at, uintptr_t to)
{
	return ((uintptr_t)at & (to - 1)) == 0;
}

bool virtqueue_resolve(struct virtqueue *vq, struct guest_memory *m)
{
	uint64_t num = vq->num;

	vq->desc = NULL;
	if (num == 0 || num > VIRTQUEUE_NUM_MAX || (num & (num - 1)) != 0)
		return false;
	/* Each ring has an event index behind its entries, used or not. */
	vq->avail = guest_memory_at_uva(
	    m, vq->addr.avail_uva, sizeof(struct vring_avail) + (num + 1) * sizeof(__virtio16));
	vq->used = guest_memory_at_uva(m, vq->addr.used_uva,
	    sizeof(struct vring_used) + num * sizeof(struct vring_used_elem) + sizeof(__virtio16));
	if (!vq->avail || !vq->used || !is_aligned(vq->avail, AVAIL_ALIGN) ||
	    !is_aligned(vq->used, USED_ALIGN))
		return false;
	vq->desc = guest_memory_at_uva(m, vq->addr.desc_uva, num * sizeof(struct vring_desc));
	if (vq->desc && !is_aligned(vq->desc, DESC_ALIGN))
		vq->desc = NULL;
	return vq->desc != NULL;
}

static uint16_t *avail_event(struct virtqueue *vq)
{
	void *behind = &vq->used->ring[vq->num];

	return behind;
}

void virtqueue_start(struct virtqueue *vq)
{
	vq->fault = VIRTQUEUE_FAULT_NONE;
	vq->avail_idx = vq->next_avail;
	vq->used_idx = le16toh(__atomic_load_n(&vq->used->idx, __ATOMIC_ACQUIRE));
	vq->published = vq->used_idx;
	vq->signalled = vq->used_idx;
	vq->is_armed = false; /* whatever a predecessor has left in the ring */
}

void virtqueue_stop(struct virtqueue *vq)
{
	free(vq->replay);
	vq->replay = NULL;
	vq->replay_count = 0;
	vq->replay_next = 0;
	vq->desc = NULL;
}

void virtqueue_replay(struct virtqueue *vq, uint16_t *heads, uint16_t count)
{
	free(vq->replay);
	vq->replay = heads;
	vq->replay_count = count;
	vq->replay_next = 0;
}

static bool fail(struct virtqueue *vq, enum virtqueue_fault fault)
{
	virtqueue_break(vq, fault);
	return false;
}

/* What is written into the used ring is logged at an address of its own. */
static void mark_used(struct virtqueue *vq, struct guest_memory *m, const void *at, uint64_t len)
{
	if (vq->addr.has_log)
		guest_memory_mark(m,
		    vq->addr.log_gpa + (uint64_t)((const uint8_t *)at - (const uint8_t *)vq->used),
		    len);
}

/* ---- taking ---- */

/* Turns notifications off, in so far as the driver has to be told. With event indexes it notifies when it passes the
 * index that was last asked for, and then no more. */
static void disarm(struct virtqueue *vq, struct guest_memory *m)
{
	vq->is_armed = false;
	if (vq->has_event_idx)
		return;
	__atomic_store_n(&vq->used->flags, htole16(VRING_USED_F_NO_NOTIFY), __ATOMIC_RELAXED);
	mark_used(vq, m, &vq->used->flags, sizeof(vq->used->flags));
}

bool virtqueue_has_more(struct virtqueue *vq)
{
	if (vq->replay_count > 0 || vq->avail_idx != vq->next_avail)
		return true;
	vq->avail_idx = load_avail_idx(vq, __ATOMIC_ACQUIRE);
	return vq->avail_idx != vq->next_avail;
}

bool virtqueue_arm(struct virtqueue *vq, struct guest_memory *m)
{
	if (!vq->is_armed) {
		uint16_t *at = vq->has_event_idx ? avail_event(vq) : &vq->used->flags;

		vq->is_armed = true;
		__atomic_store_n(
		    at, vq->has_event_idx ? htole16(vq->next_avail) : 0, __ATOMIC_SEQ_CST);
		mark_used(vq, m, at, sizeof(*at));
	}
	vq->avail_idx = load_avail_idx(vq, __ATOMIC_SEQ_CST);
	return vq->avail_idx != vq->next_avail;
}

/* The head of the next chain. 1; 0: there is none; -EPROTO. */
static int next_head(struct virtqueue *vq, struct guest_memory *m, uint32_t *ret_head)
{
	if (vq->replay_count > 0) {
		*ret_head = vq->replay[vq->replay_next++];
		vq->replay_count--;
		return 1;
	}
	if (!virtqueue_has_more(vq))
		return 0;
	if ((uint16_t)(vq->avail_idx - vq->next_avail) > vq->num) {
		virtqueue_break(vq, VIRTQUEUE_FAULT_AVAIL);
		return -EPROTO;
	}
	*ret_head = le16toh(
	    __atomic_load_n(&vq->avail->ring[vq->next_avail & (vq->num - 1)], __ATOMIC_RELAXED));
	if (vq->is_armed)
		disarm(vq, m);
	vq->next_avail++;
	return 1;
}

/* The place of descriptor i of the table; NULL: it is not in memory. */
static const struct vring_desc *find_desc(const struct walk *w, uint32_t i)
{
	struct iovec one;

	if (w->table)
		return &w->table[i];
	if (guest_memory_slice(w->m, w->gpa + (uint64_t)i * sizeof(struct vring_desc),
		sizeof(struct vring_desc), &one, 1) != 1 ||
	    !is_aligned(one.iov_base, sizeof(uint64_t)))
		return NULL;
	return one.iov_base;
}

static bool read_desc(struct virtqueue *vq, struct walk *w, uint32_t i, struct desc *ret_desc)
{
	const struct vring_desc *d;

	if (i >= w->size)
		return fail(vq, VIRTQUEUE_FAULT_HEAD);
	if (w->left-- == 0)
		return fail(vq, VIRTQUEUE_FAULT_LOOP);
	d = find_desc(w, i);
	if (!d)
		return fail(vq, VIRTQUEUE_FAULT_ADDRESS);
	*ret_desc = (struct desc){
	    .gpa = le64toh(__atomic_load_n(&d->addr, __ATOMIC_RELAXED)),
	    .len = le32toh(__atomic_load_n(&d->len, __ATOMIC_RELAXED)),
	    .flags = le16toh(__atomic_load_n(&d->flags, __ATOMIC_RELAXED)),
	    .next = le16toh(__atomic_load_n(&d->next, __ATOMIC_RELAXED)),
	};
	return true;
}

/* The rest of the chain is in a table of its own. */
static bool enter_indirect(struct virtqueue *vq, struct walk *w, const struct desc *d)
{
	struct iovec one;

	if (!vq->has_indirect || w->is_indirect || (d->flags & VRING_DESC_F_NEXT) != 0 ||
	    d->len == 0 || d->len % sizeof(struct vring_desc) != 0)
		return fail(vq, VIRTQUEUE_FAULT_INDIRECT);
	w->is_indirect = true;
	w->gpa = d->gpa;
	w->size = d->len / (uint32_t)sizeof(struct vring_desc);
	w->left = w->size;
	w->table = NULL;
	if (guest_memory_slice(w->m, d->gpa, d->len, &one, 1) == 1 &&
	    is_aligned(one.iov_base, sizeof(uint64_t)))
		w->table = one.iov_base;
	return true;
}

/* Where the pieces of a chain go. */
struct sink {
	struct iovec *iov;
	uint64_t *gpa; /* NULL: not wanted */
	uint32_t max;
	uint32_t count;
	uint64_t len;
};

static bool add_pieces(
    struct virtqueue *vq, struct guest_memory *m, const struct desc *d, struct sink *s)
{
	uint64_t gpa = d->gpa;
	uint32_t n;

	if (d->len == 0)
		return true;
	if (s->count == s->max)
		return fail(vq, VIRTQUEUE_FAULT_PIECES);
	n = guest_memory_slice(m, gpa, d->len, s->iov + s->count, s->max - s->count);
	if (n == 0)
		return fail(vq, VIRTQUEUE_FAULT_ADDRESS);
	for (uint32_t i = 0; s->gpa && i < n; i++) {
		s->gpa[s->count + i] = gpa;
		gpa += s->iov[s->count + i].iov_len;
	}
	s->count += n;
	s->len += d->len;
	return s->len <= UINT32_MAX ? true : fail(vq, VIRTQUEUE_FAULT_PIECES);
}

static bool walk_chain(
    struct virtqueue *vq, struct walk *w, uint32_t head, bool is_writable, struct sink *s)
{
	uint32_t i = head;
	struct desc d;

	do {
		if (!read_desc(vq, w, i, &d))
			return false;
		if ((d.flags & VRING_DESC_F_INDIRECT) != 0) {
			if (!enter_indirect(vq, w, &d))
				return false;
			i = 0;
			d.flags = VRING_DESC_F_NEXT;
			continue;
		}
		if (((d.flags & VRING_DESC_F_WRITE) != 0) != is_writable)
			return fail(vq, VIRTQUEUE_FAULT_DIRECTION);
		if (!add_pieces(vq, w->m, &d, s))
			return false;
		i = d.next;
	} while ((d.flags & VRING_DESC_F_NEXT) != 0);
	return s->len > 0 ? true : fail(vq, VIRTQUEUE_FAULT_PIECES);
}

int virtqueue_take(struct virtqueue *vq, struct guest_memory *m, bool is_writable,
    struct iovec *iov, uint64_t *gpa, uint32_t max, struct virtqueue_chain *ret_chain)
{
	struct walk w = {.m = m, .table = vq->desc, .size = vq->num, .left = vq->num};
	struct sink s = {.iov = iov, .gpa = gpa, .max = max};
	bool is_replay = vq->replay_count > 0;
	uint32_t head;
	int n = next_head(vq, m, &head);

	if (n <= 0)
		return n;
	if (!walk_chain(vq, &w, head, is_writable, &s))
		return -EPROTO;
	/* Chains to be written are taken ahead of need and noted only when they are given back: a successor finds
	 * those that were not used where they are, in the available ring. */
	if (!is_writable && vq->inflight)
		inflight_take(vq->inflight, (uint16_t)head);
	*ret_chain = (struct virtqueue_chain){
	    .head = (uint16_t)head,
	    .count = (uint16_t)s.count,
	    .is_replay = is_replay,
	    .len = (uint32_t)s.len,
	};
	return 1;
}

void virtqueue_untake(struct virtqueue *vq, uint16_t avail_count, uint16_t replay_count)
{
	vq->next_avail = (uint16_t)(vq->next_avail - avail_count);
	vq->replay_next = (uint16_t)(vq->replay_next - replay_count);
	vq->replay_count = (uint16_t)(vq->replay_count + replay_count);
	vq->is_armed = false; /* for another entry */
}

/* ---- giving back ---- */

void virtqueue_put(struct virtqueue *vq, struct guest_memory *m, uint16_t head, uint32_t len)
{
	struct vring_used_elem *e = &vq->used->ring[vq->used_idx & (vq->num - 1)];

	__atomic_store_n(&e->id, htole32(head), __ATOMIC_RELAXED);
	__atomic_store_n(&e->len, htole32(len), __ATOMIC_RELAXED);
	mark_used(vq, m, e, sizeof(*e));
	vq->used_idx++;
	if (vq->inflight)
		inflight_put(vq->inflight, head);
}

void virtqueue_publish(struct virtqueue *vq, struct guest_memory *m)
{
	if (vq->published == vq->used_idx)
		return;
	__atomic_store_n(&vq->used->idx, htole16(vq->used_idx), __ATOMIC_SEQ_CST);
	mark_used(vq, m, &vq->used->idx, sizeof(vq->used->idx));
	if (vq->inflight)
		inflight_publish(vq->inflight, vq->used_idx);
	vq->published = vq->used_idx;
}

bool virtqueue_wants_call(struct virtqueue *vq)
{
	uint16_t from = vq->signalled;
	uint16_t event;

	if (from == vq->published)
		return false;
	vq->signalled = vq->published;
	if (!vq->has_event_idx)
		return (le16toh(__atomic_load_n(&vq->avail->flags, __ATOMIC_SEQ_CST)) &
			   VRING_AVAIL_F_NO_INTERRUPT) == 0;
	event = le16toh(__atomic_load_n(&vq->avail->ring[vq->num], __ATOMIC_SEQ_CST));
	return vring_need_event(event, vq->published, from) != 0;
}

const char *virtqueue_fault_text(enum virtqueue_fault fault)
{
	switch (fault) {
	case VIRTQUEUE_FAULT_NONE:
		break;
	case VIRTQUEUE_FAULT_AVAIL:
		return "more is available than the queue holds";
	case VIRTQUEUE_FAULT_HEAD:
		return "a descriptor is beyond its table";
	case VIRTQUEUE_FAULT_LOOP:
		return "a chain has no end";
	case VIRTQUEUE_FAULT_INDIRECT:
		return "an indirect table is not as it must be";
	case VIRTQUEUE_FAULT_ADDRESS:
		return "an address is not in the guest's memory";
	case VIRTQUEUE_FAULT_DIRECTION:
		return "a buffer has the wrong direction";
	case VIRTQUEUE_FAULT_PIECES:
		return "a chain is empty or has too many pieces";
	}
	return "nothing";
}
