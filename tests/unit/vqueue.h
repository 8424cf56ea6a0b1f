/* SPDX-License-Identifier: Apache-2.0 */
/* A virtqueue in memory of a guest, both of its sides, for tests. */
#ifndef SLUICE_TESTS_VQUEUE_H
#define SLUICE_TESTS_VQUEUE_H

#include "unit.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "frontend/ring.h"
#include "port/guest_memory.h"
#include "port/inflight.h"
#include "port/virtqueue.h"

enum {
	VQ_NUM = 16,
	VQ_PAGE = 4096,
	VQ_PAGES = 64,
	VQ_DATA = 16 * VQ_PAGE, /* rings are before it */
	VQ_SPLIT = 40 * VQ_PAGE /* where one region ends and the next begins */
};

#define VQ_GPA 0x40000000ULL
#define VQ_UVA 0x7f1234560000ULL

struct vqueue {
	struct guest_memory m;
	uint8_t *at; /* the guest's view */
	int fd;
	struct ring ring;
	struct virtqueue vq;
	uint64_t gpa[VIRTQUEUE_PIECES_MAX];
	struct iovec iov[VIRTQUEUE_PIECES_MAX];
	struct virtqueue_chain chain;
};

static inline void vqueue_add_region(struct vqueue *t, uint64_t from, uint64_t to)
{
	const struct vhost_user_region r = {
	    .gpa = VQ_GPA + from, .size = to - from, .uva = VQ_UVA + from, .mmap_offset = from};

	assert_int_equal(guest_memory_add(&t->m, &r, t->fd), 0);
}

static inline void vqueue_start(struct vqueue *t, uint32_t num, bool has_event_idx)
{
	*t = (struct vqueue){.fd = memfd_create("guest", MFD_CLOEXEC)};
	assert_int_equal(ftruncate(t->fd, VQ_PAGES * VQ_PAGE), 0);
	t->at = mmap(NULL, VQ_PAGES * VQ_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
	assert_true(t->at != MAP_FAILED);
	assert_int_equal(guest_memory_init(&t->m), 0);
	guest_memory_enter(&t->m);
	vqueue_add_region(t, 0, VQ_SPLIT);
	vqueue_add_region(t, VQ_SPLIT, VQ_PAGES * VQ_PAGE);
	ring_init(&t->ring, num, t->at, has_event_idx);
	t->vq = (struct virtqueue){
	    .num = num,
	    .addr =
		{
		    .desc_uva = VQ_UVA,
		    .avail_uva = VQ_UVA + (uint64_t)((uint8_t *)t->ring.avail - t->at),
		    .used_uva = VQ_UVA + (uint64_t)((uint8_t *)t->ring.used - t->at),
		},
	    .has_event_idx = has_event_idx,
	    .has_indirect = true,
	};
	assert_true(virtqueue_resolve(&t->vq, &t->m));
	virtqueue_start(&t->vq);
}

static inline void vqueue_end(struct vqueue *t)
{
	virtqueue_stop(&t->vq);
	guest_memory_fini(&t->m);
	assert_int_equal(munmap(t->at, VQ_PAGES * VQ_PAGE), 0);
	(void)close(t->fd);
}

/* Descriptor i; at: offset in memory. */
static inline void vqueue_desc(
    struct vqueue *t, uint16_t i, uint64_t at, uint32_t len, uint16_t flags, uint16_t next)
{
	t->ring.desc[i] =
	    (struct vring_desc){.addr = VQ_GPA + at, .len = len, .flags = flags, .next = next};
}

/* Makes a chain available, and shows it. */
static inline bool vqueue_show(struct vqueue *t, uint16_t head)
{
	ring_add(&t->ring, head);
	return ring_publish(&t->ring);
}

static inline int vqueue_take(struct vqueue *t, bool is_writable)
{
	return virtqueue_take(
	    &t->vq, &t->m, is_writable, t->iov, t->gpa, VIRTQUEUE_PIECES_MAX, &t->chain);
}

/* Piece i is len bytes at this offset in memory. */
static inline void vqueue_expect_piece(struct vqueue *t, uint32_t i, uint64_t at, size_t len)
{
	assert_true(i < t->chain.count);
	assert_int_equal(t->iov[i].iov_len, len);
	assert_int_equal(t->gpa[i], VQ_GPA + at);
	/* Not the same address, but the same memory. */
	t->at[at] ^= 0xff;
	assert_int_equal(*(uint8_t *)t->iov[i].iov_base, t->at[at]);
}

/* The driver gets a chain back. */
static inline void vqueue_expect_used(struct vqueue *t, uint32_t head, uint32_t len)
{
	uint32_t got_head;
	uint32_t got_len;

	assert_true(ring_take(&t->ring, &got_head, &got_len));
	assert_int_equal(got_head, head);
	assert_int_equal(got_len, len);
}

static inline void vqueue_expect_none_used(struct vqueue *t)
{
	assert_int_equal(ring_used(&t->ring), 0);
}

#endif
