/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Explores what two threads can do to each other that share nothing but atomic 32-bit words and eventfds.
 *
 * The code under test is compiled with model_atomics.h, so that each access to a word or an eventfd comes here.
 * Everything between two of them is private to the thread and always goes the same way, given the values that it
 * has read; so a thread's state is the list of these values, and the state of both with the memory is
 * small enough to be kept, compared and gone back to. A thread goes on by being run from its start, its
 * old values handed to it again, until it has done one access more (longjmp ends it there).
 *
 * The memory is that of C11 without cycles of "reads from" and program order: a word keeps the values that it has
 * had; a load may return any that the thread does not know to be old. What a thread knows to be old: what it
 * has overwritten or seen overwritten, what an acquire load has told it that read a release store, and, for a
 * sequentially consistent load, what stands before the newest sequentially consistent store. Each value that
 * is possible is tried. A read-modify-write reads the newest.
 *
 * Limits: each thread works on a copy of the object, plain memory that both copies point to is not modelled:
 * programs must write the same there each time. ThreadSanitizer sees to races on it (test_ring_threads.c).
 */
#ifndef SLUICE_TESTS_MODEL_H
#define SLUICE_TESTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	MODEL_THREADS = 2,
};

struct model_program {
	/* What a thread does; object is its own copy. */
	void (*run[MODEL_THREADS])(void *object, const void *ctx);
	/* Makes a thread's copy what it was at first. */
	void (*reset)(void *object, int thread, const void *ctx);
	void *object[MODEL_THREADS];
	size_t object_size;
	const void *ctx;
	/* Sequentially consistent accesses in this function are made weaker; NULL: none. */
	const char *weak_function;
};

struct model_result {
	uint64_t states;     /* different ones */
	uint64_t ends;       /* of them, both threads have ended */
	bool is_stuck;       /* in one a thread waits for ever */
	uint32_t wakes;      /* most writes to eventfds in one run */
	bool has_extra_wake; /* more writes of one thread than wishes of the other */
	bool was_too_long;   /* a thread did more than the model has room for */
};

/* Explores all; ends at the first state that is stuck or too long. */
struct model_result model_explore(const struct model_program *p);

/* For a thread that waits: until the eventfd is readable; is_edge: until it was written since the last time. */
void model_wait(int fd, bool is_edge);

#endif
