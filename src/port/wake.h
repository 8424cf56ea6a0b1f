/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How one side of a ring sleeps and the other one wakes it: one word and one eventfd for each direction.
 *
 * The sleeper says what it waits for (its wishes), looks once more, and sleeps on the eventfd. The waker first
 * publishes, then looks at the wishes, and only where it finds one takes it off and writes the eventfd. So
 * nothing is written while the sleeper is awake, and one pass that fulfils several wishes writes once.
 *
 * A wake cannot be lost:
 *
 * 1. The sleeper sets its wish (read-modify-write of the word) and then loads the index of the queue; the waker
 *    stores the index and then loads the word. All four are sequentially consistent, so they have one order
 *    that both sides agree on. If the wish comes before the waker's load, the waker sees it and writes.
 *    Else the waker's store comes before the sleeper's load, and the sleeper sees what was published.
 * 2. An eventfd counts. A write is kept until somebody reads it, and only the sleeper does, in wake_events():
 *    it reads first and looks at the word afterwards. As the waker changes the word before it
 *    writes, the word tells of every write that was read. What the word tells is returned to the caller.
 * 3. wake_events() reads only if the word counts more wakes than were read. If the waker stands between the
 *    word and the write, there is nothing to read yet; the eventfd becomes readable afterwards, and the
 *    next wake_events() finds the count still ahead and reads. So the descriptor stays readable neither
 *    too short nor for ever.
 *
 * A sleeper that waits with edge-triggered epoll need never read: each write is an edge.
 *
 * tests/unit/test_ring_model.c runs this code through all interleavings with all delays that a store buffer can
 * cause, and finds the loss when one of the four operations of 1. is weakened.
 */
#ifndef SLUICE_PORT_WAKE_H
#define SLUICE_PORT_WAKE_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
	WAKE_WISHES = 8, /* bits for wishes; above them the wakes sent are counted */
};

#define WAKE_WISH_MASK ((1U << WAKE_WISHES) - 1)
#define WAKE_ONE_SENT  (1U << WAKE_WISHES)

struct wake {
	_Atomic uint32_t word; /* wishes, and above them the number of wakes sent, modulo */
	int fd;                /* eventfd, non-blocking */
	/* the sleeper's */
	uint32_t wanted; /* wishes that were not told by wake_events() yet */
	uint32_t seen;   /* wakes read off the eventfd, in units of WAKE_ONE_SENT, modulo */
};

/* 0 or -errno. */
static inline int wake_init(struct wake *w)
{
	*w = (struct wake){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
	return w->fd < 0 ? -errno : 0;
}

static inline void wake_fini(struct wake *w)
{
	if (w->fd >= 0)
		(void)close(w->fd);
	w->fd = -1;
}

/* ---- the sleeper ---- */

/* Adds wishes. The caller then looks once more, by a sequentially consistent load, before it sleeps. */
static inline void wake_want(struct wake *w, uint32_t wishes)
{
	w->wanted |= wishes;
	(void)atomic_fetch_or_explicit(&w->word, wishes, memory_order_seq_cst);
}

/* Takes wishes back: what was waited for is there. */
static inline void wake_unwant(struct wake *w, uint32_t wishes)
{
	if ((w->wanted & wishes) == 0)
		return;
	w->wanted &= ~wishes;
	(void)atomic_fetch_and_explicit(&w->word, ~wishes, memory_order_relaxed);
}

/* The wishes that were fulfilled since the last call; makes the eventfd unreadable, unless there is more. */
static inline uint32_t wake_events(struct wake *w)
{
	uint32_t word = atomic_load_explicit(&w->word, memory_order_acquire);
	uint32_t told;
	uint64_t count;

	if ((word & ~WAKE_WISH_MASK) != w->seen && read(w->fd, &count, sizeof(count)) > 0)
		w->seen += (uint32_t)count * WAKE_ONE_SENT;
	word = atomic_load_explicit(&w->word, memory_order_acquire);
	told = w->wanted & ~word;
	w->wanted &= ~told;
	return told;
}

/* ---- the waker ---- */

/* What the sleeper waits for; after a sequentially consistent store of what it would wait for. */
static inline uint32_t wake_wishes(const struct wake *w)
{
	return atomic_load_explicit(&w->word, memory_order_seq_cst) & WAKE_WISH_MASK;
}

/* Wakes the sleeper if it waits for one of these. True: it was woken. */
static inline bool wake_send(struct wake *w, uint32_t wishes)
{
	static const uint64_t one = 1;
	uint32_t word = atomic_load_explicit(&w->word, memory_order_seq_cst);

	do {
		if ((word & wishes) == 0)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&w->word, &word,
	    (word & ~wishes) + WAKE_ONE_SENT, memory_order_acq_rel, memory_order_relaxed));
	/* It cannot fail: the count is far from its limit. */
	return write(w->fd, &one, sizeof(one)) > 0;
}

#endif
