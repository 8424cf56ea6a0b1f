/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Discrete-event simulation: a virtual clock that jumps from event to event, seeded random numbers, and
 * the first thing that went wrong.
 *
 * Nothing here waits, reads a clock or depends on the machine: the same seed gives the same run.
 */
#ifndef SLUICE_TESTS_SIM_H
#define SLUICE_TESTS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_NEVER UINT64_MAX
#define SIM_US    1000ULL
#define SIM_MS    1000000ULL
#define SIM_S     1000000000ULL

enum {
	SIM_FAILURE_LEN = 512,
};

struct sim_timer {
	uint64_t due_ns;
	uint64_t order; /* equal times fire in the order in which they were set */
	size_t pos;     /* in the heap, from 1; 0: not set */
	void (*fire)(void *arg);
	void *arg;
};

struct sim {
	uint64_t now_ns;
	uint64_t seed;  /* as given, for messages */
	uint64_t rng;   /* state of sim_random() */
	uint64_t order; /* of the next timer */
	struct sim_timer **heap;
	uint32_t count; /* timers that are set */
	uint32_t cap;
	bool has_failed;
	bool is_tracing;               /* frames go to standard error; SIM_TRACE=1 */
	char failure[SIM_FAILURE_LEN]; /* the first one */
};

void sim_init(struct sim *s, uint64_t seed, uint64_t now_ns);
void sim_fini(struct sim *s);

/* Uniform 64 bits, 0 .. below - 1, and true in permille cases of a thousand. */
uint64_t sim_random(struct sim *s);
uint64_t sim_random_below(struct sim *s, uint64_t below);
bool sim_chance(struct sim *s, uint32_t permille);

void sim_timer_init(struct sim_timer *t, void (*fire)(void *arg), void *arg);
/* Sets t, set or not, to fire at due_ns (now, if that has passed). */
void sim_timer_set(struct sim *s, struct sim_timer *t, uint64_t due_ns);
void sim_timer_cancel(struct sim *s, struct sim_timer *t);

static inline bool sim_timer_is_set(const struct sim_timer *t)
{
	return t->pos != 0;
}

/* When the next timer fires, or SIM_NEVER. */
uint64_t sim_next_ns(const struct sim *s);
/* Fires the next timer, and moves the clock to its time. */
void sim_fire_next(struct sim *s);

/* Notes a failure; only the first one counts. */
__attribute__((format(printf, 2, 3))) void sim_fail(struct sim *s, const char *format, ...);

/* What a stream holds: byte number off of the stream seed. */
void sim_pattern_fill(uint32_t seed, uint64_t off, void *to, size_t len);
bool sim_pattern_check(uint32_t seed, uint64_t off, const void *bytes, size_t len);

/* From now on the stream seed begins with these bytes (borrowed), and the pattern follows at its place; len 0: no stream
 * does. Of the process, for tests whose guest says something that has a meaning. */
void sim_pattern_begin(uint32_t seed, const uint8_t *bytes, size_t len);

/* Zeroed memory for the simulation itself, to be freed with free(). Never NULL: tests that let
 * allocations fail (tests/fault) leave these out, by sim_is_allocating. */
void *sim_alloc(size_t len);
/* Makes room for one more than count in an array of *cap elements, which doubles where it is full. */
void *sim_grow(void *array, uint32_t count, uint32_t *cap, size_t size);
/* Volatile: compilers know that calloc() does not look at it. */
extern volatile bool sim_is_allocating;

/* Something for each of the 65536 ports, in pages that are made when they are first asked for. */
struct sim_ports {
	void **pages[256];
};

/* Where the pointer for a port is; NULL at first. */
void **sim_ports_at(struct sim_ports *m, uint16_t port);
/* Frees the pages, and where has_values what the pointers point to. */
void sim_ports_fini(struct sim_ports *m, bool has_values);

#endif
