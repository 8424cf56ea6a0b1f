/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timer wheel; see wheel.h.
 *
 * Level L has a granularity of 8^L ticks and takes timers that lie up to 63 * 8^L ticks ahead. A timer
 * is rounded up to the next slot of its level, so a slot is due exactly at the tick at which all its
 * timers have become due. What lies beyond the last level (more than 35 days) waits in
 * its last slot and is set again by wheel_expire().
 *
 * Invariants (tests/unit/test_wheel.c, random timers against a sorted list): never early; late by at
 * most an eighth of the span plus one tick; wheel_next_ns() is never later than a due timer.
 */
#include "base/wheel.h"

enum {
	LEVEL_SHIFT = 3, /* log2 of the ratio of two levels */
	SLOT_MASK = WHEEL_SLOTS - 1,
};

static uint64_t ticks_up(uint64_t ns)
{
	return (ns >> WHEEL_TICK_BITS) + ((ns & ((1ULL << WHEEL_TICK_BITS) - 1)) != 0);
}

void wheel_init(struct wheel *w, uint64_t now_ns)
{
	*w = (struct wheel){.tick = now_ns >> WHEEL_TICK_BITS};
	for (int i = 0; i < WHEEL_LEVELS * WHEEL_SLOTS; i++)
		list_init(&w->slots[i]);
	list_init(&w->expired);
}

void timer_init(struct timer *t, uint16_t kind)
{
	*t = (struct timer){.kind = kind};
	list_init(&t->node);
}

void wheel_set(struct wheel *w, struct timer *t, uint64_t due_ns)
{
	uint64_t due = ticks_up(due_ns);
	uint64_t slot_tick;
	unsigned int level = 0;
	unsigned int shift;

	wheel_cancel(w, t);
	if (due <= w->tick)
		due = w->tick + 1;
	while (level < WHEEL_LEVELS - 1 && due - w->tick > (uint64_t)SLOT_MASK
							       << (LEVEL_SHIFT * level))
		level++;
	shift = LEVEL_SHIFT * level;
	if (due - w->tick > (uint64_t)SLOT_MASK << shift)
		due = w->tick + ((uint64_t)SLOT_MASK << shift);
	slot_tick = (due + ((1ULL << shift) - 1)) >> shift;

	t->due_ns = due_ns;
	t->slot = (uint16_t)((uint64_t)level * WHEEL_SLOTS + (slot_tick & SLOT_MASK));
	list_append(&w->slots[t->slot], &t->node);
	w->pending[level] |= 1ULL << (slot_tick & SLOT_MASK);
	if (w->is_next_known && slot_tick << shift < w->next_tick)
		w->next_tick = slot_tick << shift;
}

void wheel_cancel(struct wheel *w, struct timer *t)
{
	struct list_node *slot;

	if (!timer_is_set(t))
		return;
	list_remove(&t->node);
	slot = &w->slots[t->slot];
	if (list_is_empty(slot)) {
		w->pending[t->slot / WHEEL_SLOTS] &= ~(1ULL << (t->slot % WHEEL_SLOTS));
		w->is_next_known = false;
	}
}

/* The first tick after w->tick at which a slot of this level is due; the level is not empty. */
static uint64_t level_next(const struct wheel *w, unsigned int level)
{
	unsigned int shift = LEVEL_SHIFT * level;
	uint64_t from = (w->tick >> shift) + 1; /* the first slot whose tick is after w->tick */
	unsigned int at = (unsigned int)(from & SLOT_MASK);
	uint64_t ring = w->pending[level] >> at;

	if (at > 0)
		ring |= w->pending[level] << (WHEEL_SLOTS - at);
	return (from + (uint64_t)__builtin_ctzll(ring)) << shift;
}

static uint64_t next_tick(struct wheel *w)
{
	if (!w->is_next_known) {
		w->next_tick = UINT64_MAX;
		for (unsigned int level = 0; level < WHEEL_LEVELS; level++) {
			uint64_t at = w->pending[level] ? level_next(w, level) : UINT64_MAX;

			if (at < w->next_tick)
				w->next_tick = at;
		}
		w->is_next_known = true;
	}
	return w->next_tick;
}

uint64_t wheel_next_ns(struct wheel *w)
{
	uint64_t at;

	if (!list_is_empty(&w->expired))
		return 0;
	at = next_tick(w);
	return at > UINT64_MAX >> WHEEL_TICK_BITS ? WHEEL_NEVER : at << WHEEL_TICK_BITS;
}

/* Moves the slots that are due at tick to the list of expired timers. */
static void collect(struct wheel *w, uint64_t tick)
{
	w->tick = tick;
	w->is_next_known = false;
	for (unsigned int level = 0; level < WHEEL_LEVELS; level++) {
		unsigned int shift = LEVEL_SHIFT * level;
		unsigned int slot = (unsigned int)(tick >> shift & SLOT_MASK);

		if ((tick & ((1ULL << shift) - 1)) != 0)
			return;
		w->pending[level] &= ~(1ULL << slot);
		list_splice_tail(&w->expired, &w->slots[(size_t)level * WHEEL_SLOTS + slot]);
	}
}

struct timer *wheel_expire(struct wheel *w, uint64_t now_ns)
{
	uint64_t now_tick = now_ns >> WHEEL_TICK_BITS;

	for (;;) {
		struct list_node *n = list_first(&w->expired);

		if (n) {
			struct timer *t = container_of(n, struct timer, node);

			list_remove(n);
			if (t->due_ns <= now_ns)
				return t;
			wheel_set(w, t, t->due_ns); /* beyond the last level */
			continue;
		}
		if (next_tick(w) > now_tick) {
			if (now_tick > w->tick)
				w->tick = now_tick;
			return NULL;
		}
		collect(w, next_tick(w));
	}
}
