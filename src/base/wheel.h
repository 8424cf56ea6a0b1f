/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timer wheel: any number of timers, O(1) to set, to cancel and to expire, and no tick: the next
 * expiry is known, so that an idle owner can sleep until then.
 *
 * Levels of 64 slots, each eight times coarser than the one before (the shape of Linux's timer wheel
 * since 4.8): a timer is never moved again, never fires early, and fires late by at most one eighth
 * of its span or 66 us, whichever is more. Times are nanoseconds of one monotonic clock that the
 * caller owns. Not thread-safe.
 */
#ifndef SLUICE_BASE_WHEEL_H
#define SLUICE_BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

enum {
	WHEEL_LEVELS = 9,
	WHEEL_SLOTS = 64,     /* per level */
	WHEEL_TICK_BITS = 16, /* one tick is 65.536 us */
};

#define WHEEL_NEVER UINT64_MAX

struct timer {
	struct list_node node;
	uint64_t due_ns; /* when it was asked to fire; meaningful while linked */
	uint16_t slot;   /* level * WHEEL_SLOTS + slot, while in the wheel */
	uint16_t kind;   /* the owner's: what fires */
};

struct wheel {
	uint64_t tick;                  /* all slots due up to this tick have been collected */
	uint64_t next_tick;             /* first tick with a timer, if is_next_known */
	bool is_next_known;             /* next_tick is right */
	uint64_t pending[WHEEL_LEVELS]; /* per level, a bit for each slot that is not empty */
	struct list_node slots[WHEEL_LEVELS * WHEEL_SLOTS];
	struct list_node expired; /* collected, not yet taken */
};

void wheel_init(struct wheel *w, uint64_t now_ns);
void timer_init(struct timer *t, uint16_t kind);

static inline bool timer_is_set(const struct timer *t)
{
	return list_is_linked(&t->node);
}

/* Sets t, set or not, to fire at due_ns or later. A time in the past fires at the next tick. */
void wheel_set(struct wheel *w, struct timer *t, uint64_t due_ns);

/* Does nothing if t is not set. */
void wheel_cancel(struct wheel *w, struct timer *t);

/* When the wheel needs wheel_expire() next, or WHEEL_NEVER. */
uint64_t wheel_next_ns(struct wheel *w);

/* Takes one timer that is due at now_ns, or NULL when there is none (left). Call until NULL. */
struct timer *wheel_expire(struct wheel *w, uint64_t now_ns);

#endif
