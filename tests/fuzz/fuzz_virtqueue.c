/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's side of a virtqueue in memory that the input is: rings, chains, tables and the inflight region. All pieces
 * of a chain must lie in memory and add up to its length, and are read or written to their last byte. Memory is two
 * blocks of the heap, so that a sanitizer sees one byte too far.
 *
 * Input: 16 bytes of set-up, the inflight region if there is one, then memory.
 */
#include "fuzz.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "port/guest_memory.h"
#include "port/inflight.h"
#include "port/virtqueue.h"

enum {
	HAS_EVENT_IDX = 1,
	HAS_INDIRECT = 2,
	IS_WRITABLE = 4,
	HAS_INFLIGHT = 8,
	HAS_GAP = 16,
	IS_UNTAKEN = 32, /* sometimes what was taken goes back */
	NUM_LOG_END = 9,
	PIECES = 256,
	SETUP_SIZE = 16,
};

#define GPA 0x10000ULL
#define UVA 0x7f0000000000ULL

struct world {
	struct guest_memory m;
	struct virtqueue vq;
	struct inflight_queue inflight;
	uint8_t *inflight_bytes;
	uint8_t *blocks[2];
	uint8_t options;
	uint64_t checksum;
};

static void require(bool claim)
{
	if (!claim)
		abort();
}

/* A region that is the next bytes of the input. */
static void add_region(struct world *w, struct rd *r, size_t size, uint64_t at)
{
	uint32_t i = w->m.count;
	const uint8_t *bytes = rd_bytes(r, size);

	if (size == 0)
		return;
	w->blocks[i] = malloc(size);
	require(w->blocks[i] && bytes);
	memcpy(w->blocks[i], bytes, size);
	w->m.regions[w->m.count++] = (struct guest_region){
	    .gpa = GPA + at, .uva = UVA + at, .size = size, .at = w->blocks[i]};
}

static void set_up(struct world *w, struct rd *r)
{
	uint32_t num_log;
	size_t first;
	size_t size;

	w->options = rd_u8(r);
	num_log = rd_u8(r) % NUM_LOG_END;
	w->vq.num = 1U << num_log;
	w->vq.next_avail = rd_be16(r);
	w->vq.addr.desc_uva = UVA + rd_be16(r);
	w->vq.addr.avail_uva = UVA + rd_be16(r);
	w->vq.addr.used_uva = UVA + rd_be16(r);
	first = rd_be16(r);
	rd_skip(r, 4); /* of the set-up: for more options */
	w->vq.has_event_idx = (w->options & HAS_EVENT_IDX) != 0;
	w->vq.has_indirect = (w->options & HAS_INDIRECT) != 0;
	if ((w->options & HAS_INFLIGHT) != 0) {
		size = inflight_size(w->vq.num);
		w->inflight_bytes = calloc(1, size);
		require(w->inflight_bytes != NULL);
		rd_copy(r, w->inflight_bytes, size < rd_left(r) ? size : rd_left(r));
	}
	if (first > rd_left(r))
		first = rd_left(r);
	add_region(w, r, first, 0);
	add_region(w, r, rd_left(r), first + ((w->options & HAS_GAP) != 0 ? 64 : 0));
}

static bool lies_in(const struct world *w, const struct iovec *v)
{
	for (uint32_t i = 0; i < w->m.count; i++) {
		const struct guest_region *r = &w->m.regions[i];
		const uint8_t *at = v->iov_base;

		if (at >= r->at && at - r->at + (ptrdiff_t)v->iov_len <= (ptrdiff_t)r->size)
			return true;
	}
	return false;
}

static void use_chain(struct world *w, const struct virtqueue_chain *c, const struct iovec *iov)
{
	uint64_t len = 0;

	require(c->count > 0 && c->count <= PIECES && c->len > 0);
	for (uint32_t i = 0; i < c->count; i++) {
		volatile uint8_t *at = iov[i].iov_base;

		require(iov[i].iov_len > 0 && lies_in(w, &iov[i]));
		len += iov[i].iov_len;
		w->checksum += (uint64_t)at[0] + at[iov[i].iov_len - 1];
		if ((w->options & IS_WRITABLE) != 0)
			at[0] = at[iov[i].iov_len - 1] = (uint8_t)i;
	}
	require(len == c->len);
}

static void run(struct world *w)
{
	static struct iovec iov[PIECES];
	static uint64_t gpa[PIECES];
	bool is_writable = (w->options & IS_WRITABLE) != 0;

	for (uint32_t i = 0; i < 2 * w->vq.num + 4; i++) {
		struct virtqueue_chain chain;
		int n = virtqueue_take(&w->vq, &w->m, is_writable, iov, gpa, PIECES, &chain);

		require((n < 0) == (w->vq.fault != VIRTQUEUE_FAULT_NONE));
		require(virtqueue_fault_text(w->vq.fault) != NULL);
		if (n < 0)
			return;
		if (n == 0 && !virtqueue_arm(&w->vq, &w->m))
			return;
		if (n == 0)
			continue;
		use_chain(w, &chain, iov);
		if ((w->options & IS_UNTAKEN) != 0 && i % 4 == 3) {
			virtqueue_untake(&w->vq, chain.is_replay ? 0 : 1, chain.is_replay ? 1 : 0);
			continue;
		}
		virtqueue_put(&w->vq, &w->m, chain.head, chain.len);
		if (i % 3 == 0) {
			virtqueue_publish(&w->vq, &w->m);
			(void)virtqueue_wants_call(&w->vq);
		}
	}
}

static void begin_inflight(struct world *w)
{
	uint16_t *heads;
	uint16_t count;

	if (!w->inflight_bytes || inflight_init(&w->inflight, w->inflight_bytes, w->vq.num) ||
	    inflight_resume(&w->inflight, w->vq.used_idx, &heads, &count))
		return;
	require(count <= w->vq.num);
	w->vq.inflight = &w->inflight;
	virtqueue_replay(&w->vq, heads, count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);
	struct world w = {.options = 0};

	if (size < SETUP_SIZE)
		return 0;
	require(guest_memory_init(&w.m) == 0);
	guest_memory_enter(&w.m);
	set_up(&w, &r);
	if (virtqueue_resolve(&w.vq, &w.m)) {
		virtqueue_start(&w.vq);
		begin_inflight(&w);
		run(&w);
		if (w.vq.fault == VIRTQUEUE_FAULT_NONE)
			virtqueue_publish(&w.vq, &w.m);
	}
	virtqueue_stop(&w.vq);
	w.m.count = 0;
	guest_memory_fini(&w.m);
	free(w.inflight_bytes);
	free(w.blocks[0]);
	free(w.blocks[1]);
	return 0;
}
