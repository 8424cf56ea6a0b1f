/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of a split virtqueue (virtio 1.2, 2.7), as a guest's kernel has it. Rings lie in memory that is
 * shared with the back end.
 */
#ifndef SLUICE_TESTS_RING_H
#define SLUICE_TESTS_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_ring.h>

struct ring {
	uint32_t num;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	bool has_event_idx;
	uint16_t avail_idx; /* next entry that is made available; shown by ring_publish() */
	uint16_t kicked;    /* avail->idx when the device was last considered for a notification */
	uint16_t last_used; /* next entry of the used ring that is taken */
};

/* Bytes of the three rings together, each behind the other with what alignment needs. */
size_t ring_size(uint32_t num);

/* Lays the rings out at a place aligned to 16 bytes, which is zeroed. */
void ring_init(struct ring *r, uint32_t num, void *at, bool has_event_idx);

/* Makes a chain available, to be shown. */
static inline void ring_add(struct ring *r, uint16_t head)
{
	__atomic_store_n(&r->avail->ring[r->avail_idx & (r->num - 1)], head, __ATOMIC_RELAXED);
	r->avail_idx++;
}

/* Shows what was added; true if the device wants a notification. */
bool ring_publish(struct ring *r);

/* The next used chain. False: there is none. */
static inline bool ring_take(struct ring *r, uint32_t *ret_head, uint32_t *ret_len)
{
	const struct vring_used_elem *e;

	if (__atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE) == r->last_used)
		return false;
	e = &r->used->ring[r->last_used++ & (r->num - 1)];
	*ret_head = __atomic_load_n(&e->id, __ATOMIC_RELAXED);
	*ret_len = __atomic_load_n(&e->len, __ATOMIC_RELAXED);
	return true;
}

/* Chains that could be taken. */
static inline uint16_t ring_used(const struct ring *r)
{
	return (uint16_t)(__atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE) - r->last_used);
}

/* Asks for a call when after more chains have been used; true if they have been already. */
bool ring_arm(struct ring *r, uint16_t after);

/* Wants no calls. */
void ring_disarm(struct ring *r);

#endif
