/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's side of a split virtqueue; see ring.h. */
#include "ring.h"

#include <string.h>

static size_t avail_offset(uint32_t num)
{
	return num * sizeof(struct vring_desc);
}

static size_t used_offset(uint32_t num)
{
	size_t end = avail_offset(num) + sizeof(struct vring_avail) + (num + 1) * sizeof(uint16_t);

	return (end + 63) / 64 * 64;
}

size_t ring_size(uint32_t num)
{
	size_t end = used_offset(num) + sizeof(struct vring_used) +
		     num * sizeof(struct vring_used_elem) + sizeof(uint16_t);

	return (end + 63) / 64 * 64;
}

void ring_init(struct ring *r, uint32_t num, void *at, bool has_event_idx)
{
	uint8_t *base = at;
	void *avail = base + avail_offset(num);
	void *used = base + used_offset(num);

	memset(at, 0, ring_size(num));
	*r = (struct ring){
	    .num = num, .desc = at, .avail = avail, .used = used, .has_event_idx = has_event_idx};
}

bool ring_publish(struct ring *r)
{
	uint16_t from = r->kicked;
	uint16_t event;

	if (from == r->avail_idx)
		return false;
	__atomic_store_n(&r->avail->idx, r->avail_idx, __ATOMIC_SEQ_CST);
	r->kicked = r->avail_idx;
	if (!r->has_event_idx)
		return (__atomic_load_n(&r->used->flags, __ATOMIC_SEQ_CST) &
			   VRING_USED_F_NO_NOTIFY) == 0;
	event = __atomic_load_n(
	    (const uint16_t *)(const void *)&r->used->ring[r->num], __ATOMIC_SEQ_CST);
	return vring_need_event(event, r->avail_idx, from) != 0;
}

bool ring_arm(struct ring *r, uint16_t after)
{
	if (r->has_event_idx)
		__atomic_store_n(&r->avail->ring[r->num], (uint16_t)(r->last_used + after - 1),
		    __ATOMIC_SEQ_CST);
	else
		__atomic_store_n(&r->avail->flags, 0, __ATOMIC_SEQ_CST);
	return (uint16_t)(__atomic_load_n(&r->used->idx, __ATOMIC_SEQ_CST) - r->last_used) >= after;
}

void ring_disarm(struct ring *r)
{
	if (!r->has_event_idx)
		__atomic_store_n(&r->avail->flags, VRING_AVAIL_F_NO_INTERRUPT, __ATOMIC_RELAXED);
}
