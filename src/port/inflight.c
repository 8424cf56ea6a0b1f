/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inflight region; see inflight.h. The layout is the one that the specification proposes, so that a successor of
 * another make can read it.
 *
 * A back end may end between any two stores. What was given back is therefore linked into a list (next,
 * last_batch_head) before the driver sees it, and unmarked afterwards: if used_idx here and in the ring differ, the
 * difference is the length of the list that had not been unmarked. Stores are in program order.
 */
#include "port/inflight.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

enum {
	VERSION = 1,
	PART_ALIGN = 64,
};

struct region_head {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t last_batch_head;
	uint16_t used_idx;
};

struct region_desc {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next;
	uint64_t counter;
};

_Static_assert(sizeof(struct region_head) == 16, "as the specification has it");
_Static_assert(sizeof(struct region_desc) == 16, "as the specification has it");

size_t inflight_size(uint32_t num)
{
	size_t size = sizeof(struct region_head) + num * sizeof(struct region_desc);

	return (size + PART_ALIGN - 1) / PART_ALIGN * PART_ALIGN;
}

static struct region_head *head_of(const struct inflight_queue *q)
{
	void *at = q->at;

	return at;
}

static struct region_desc *desc_of(const struct inflight_queue *q, uint16_t i)
{
	void *at = q->at + sizeof(struct region_head) + i * sizeof(struct region_desc);

	return at;
}

static uint16_t load16(const uint16_t *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void store16(uint16_t *at, uint16_t v)
{
	__atomic_store_n(at, v, __ATOMIC_RELEASE);
}

static void set_inflight(struct region_desc *d, bool is_inflight)
{
	__atomic_store_n(&d->inflight, (uint8_t)is_inflight, __ATOMIC_RELEASE);
}

int inflight_init(struct inflight_queue *q, uint8_t *at, uint32_t num)
{
	struct region_head *h;
	uint16_t version;

	*q = (struct inflight_queue){.at = at, .num = num};
	if (((uintptr_t)at & (sizeof(uint64_t) - 1)) != 0)
		return -EINVAL;
	h = head_of(q);
	version = load16(&h->version);
	if (version == 0) {
		store16(&h->desc_num, (uint16_t)num);
		store16(&h->version, VERSION);
		return 0;
	}
	return version == VERSION && load16(&h->desc_num) == (uint16_t)num ? 0 : -EINVAL;
}

/* Takes the marks off the last count chains that were put. */
static void unmark_batch(struct inflight_queue *q, uint16_t count)
{
	uint16_t i = load16(&head_of(q)->last_batch_head);

	while (count-- > 0 && i < q->num) {
		struct region_desc *d = desc_of(q, i);

		set_inflight(d, false);
		i = load16(&d->next);
	}
}

struct pending {
	uint64_t counter;
	uint16_t head;
};

static int by_counter(const void *a, const void *b)
{
	const struct pending *x = a;
	const struct pending *y = b;

	return (x->counter > y->counter) - (x->counter < y->counter);
}

static uint32_t collect(struct inflight_queue *q, struct pending *out)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < q->num; i++) {
		const struct region_desc *d = desc_of(q, (uint16_t)i);
		uint64_t counter = __atomic_load_n(&d->counter, __ATOMIC_RELAXED);

		if (__atomic_load_n(&d->inflight, __ATOMIC_RELAXED) == 0)
			continue;
		out[n++] = (struct pending){.counter = counter, .head = (uint16_t)i};
		if (counter >= q->counter)
			q->counter = counter + 1;
	}
	return n;
}

int inflight_resume(
    struct inflight_queue *q, uint16_t used_idx, uint16_t **ret_heads, uint16_t *ret_count)
{
	struct region_head *h = head_of(q);
	uint16_t behind = (uint16_t)(used_idx - load16(&h->used_idx));
	struct pending *pending = calloc(q->num, sizeof(*pending));
	uint16_t *heads = NULL;
	uint32_t count;

	if (!pending)
		return -ENOMEM;
	if (behind <= q->num)
		unmark_batch(q, behind);
	store16(&h->used_idx, used_idx);
	count = collect(q, pending);
	qsort(pending, count, sizeof(*pending), by_counter);
	if (count > 0) {
		heads = calloc(count, sizeof(*heads));
		if (!heads) {
			free(pending);
			return -ENOMEM;
		}
	}
	for (uint32_t i = 0; i < count; i++)
		heads[i] = pending[i].head;
	free(pending);
	*ret_heads = heads;
	*ret_count = (uint16_t)count;
	return 0;
}

void inflight_take(struct inflight_queue *q, uint16_t head)
{
	struct region_desc *d = desc_of(q, head);

	__atomic_store_n(&d->counter, q->counter++, __ATOMIC_RELAXED);
	set_inflight(d, true);
}

void inflight_put(struct inflight_queue *q, uint16_t head)
{
	struct region_head *h = head_of(q);
	struct region_desc *d = desc_of(q, head);

	store16(&d->next, load16(&h->last_batch_head));
	store16(&h->last_batch_head, head);
	q->batch++;
}

void inflight_publish(struct inflight_queue *q, uint16_t used_idx)
{
	unmark_batch(q, q->batch);
	q->batch = 0;
	store16(&head_of(q)->used_idx, used_idx);
}
