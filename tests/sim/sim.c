/* SPDX-License-Identifier: Apache-2.0 */
/* Clock, random numbers, failures, contents of streams; see sim.h. */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

volatile bool sim_is_allocating;

void *sim_alloc(size_t len)
{
	void *p;

	sim_is_allocating = true;
	p = calloc(1, len > 0 ? len : 1);
	sim_is_allocating = false;
	if (!p)
		abort();
	return p;
}

void *sim_grow(void *array, uint32_t count, uint32_t *cap, size_t size)
{
	if (count < *cap)
		return array;
	*cap = *cap > 0 ? 2 * *cap : 64;
	sim_is_allocating = true;
	array = realloc(array, *cap * size);
	sim_is_allocating = false;
	if (!array)
		abort();
	return array;
}

void sim_init(struct sim *s, uint64_t seed, uint64_t now_ns)
{
	*s = (struct sim){.now_ns = now_ns, .seed = seed, .rng = seed};
	s->is_tracing = getenv("SIM_TRACE") != NULL;
}

void sim_fini(struct sim *s)
{
	free(s->heap);
	s->heap = NULL;
}

/* splitmix64 */
uint64_t sim_random(struct sim *s)
{
	uint64_t z = s->rng += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

uint64_t sim_random_below(struct sim *s, uint64_t below)
{
	return sim_random(s) % below;
}

bool sim_chance(struct sim *s, uint32_t permille)
{
	return permille > 0 && sim_random_below(s, 1000) < permille;
}

void sim_timer_init(struct sim_timer *t, void (*fire)(void *arg), void *arg)
{
	*t = (struct sim_timer){.fire = fire, .arg = arg};
}

static bool is_sooner(const struct sim_timer *a, const struct sim_timer *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void put(struct sim *s, size_t pos, struct sim_timer *t)
{
	s->heap[pos] = t;
	t->pos = pos;
}

static void sift_up(struct sim *s, size_t pos, struct sim_timer *t)
{
	while (pos > 1 && is_sooner(t, s->heap[pos / 2])) {
		put(s, pos, s->heap[pos / 2]);
		pos /= 2;
	}
	put(s, pos, t);
}

static void sift_down(struct sim *s, size_t pos, struct sim_timer *t)
{
	for (;;) {
		size_t child = 2 * pos;

		if (child > s->count)
			break;
		if (child < s->count && is_sooner(s->heap[child + 1], s->heap[child]))
			child++;
		if (!is_sooner(s->heap[child], t))
			break;
		put(s, pos, s->heap[child]);
		pos = child;
	}
	put(s, pos, t);
}

void sim_timer_set(struct sim *s, struct sim_timer *t, uint64_t due_ns)
{
	sim_timer_cancel(s, t);
	s->heap = sim_grow(s->heap, s->count + 1, &s->cap, sizeof(struct sim_timer *));
	t->due_ns = due_ns > s->now_ns ? due_ns : s->now_ns;
	t->order = s->order++;
	sift_up(s, ++s->count, t);
}

void sim_timer_cancel(struct sim *s, struct sim_timer *t)
{
	size_t pos = t->pos;
	struct sim_timer *last;

	if (pos == 0)
		return;
	t->pos = 0;
	last = s->heap[s->count--];
	if (last == t)
		return;
	if (pos > 1 && is_sooner(last, s->heap[pos / 2]))
		sift_up(s, pos, last);
	else
		sift_down(s, pos, last);
}

uint64_t sim_next_ns(const struct sim *s)
{
	return s->count > 0 ? s->heap[1]->due_ns : SIM_NEVER;
}

void sim_fire_next(struct sim *s)
{
	struct sim_timer *t = s->heap[1];

	sim_timer_cancel(s, t);
	s->now_ns = t->due_ns;
	t->fire(t->arg);
}

void sim_fail(struct sim *s, const char *format, ...)
{
	va_list args;
	int n;

	if (s->has_failed)
		return;
	s->has_failed = true;
	n = snprintf(s->failure, sizeof(s->failure),
	    "seed %llu, %.6f s: ", (unsigned long long)s->seed, (double)s->now_ns / 1e9);
	va_start(args, format);
	if (n > 0 && (size_t)n < sizeof(s->failure))
		(void)vsnprintf(s->failure + n, sizeof(s->failure) - (size_t)n, format, args);
	va_end(args);
}

enum {
	/* A prime: no window, segment or block length is a multiple, so that a stream that is
	 * shifted by any of these does not look right. */
	PATTERN_PERIOD = 65521,
};

static const uint8_t *pattern(void)
{
	static uint8_t table[2 * PATTERN_PERIOD];

	if (table[0] == 0) {
		struct sim s = {.rng = 1};

		for (size_t i = 0; i < PATTERN_PERIOD; i++)
			table[i] = (uint8_t)(sim_random(&s) | (i == 0));
		memcpy(table + PATTERN_PERIOD, table, PATTERN_PERIOD);
	}
	return table;
}

/* Position in the table, and how many bytes of it may be used from there. */
static size_t pattern_at(uint32_t seed, uint64_t off, size_t len, size_t *ret_len)
{
	*ret_len = len < PATTERN_PERIOD ? len : PATTERN_PERIOD;
	return (size_t)((off + seed * 7919ULL) % PATTERN_PERIOD);
}

/* What a stream begins with instead of the pattern. */
static struct {
	uint32_t seed;
	const uint8_t *bytes;
	size_t len;
} beginning;

void sim_pattern_begin(uint32_t seed, const uint8_t *bytes, size_t len)
{
	beginning.seed = seed;
	beginning.bytes = bytes;
	beginning.len = len;
}

/* Bytes of the stream from off on that lie in one piece; *ret_len of the len that are asked for. */
static const uint8_t *piece_at(uint32_t seed, uint64_t off, size_t len, size_t *ret_len)
{
	size_t at = pattern_at(seed, off, len, ret_len);

	if (beginning.len == 0 || seed != beginning.seed || off >= beginning.len)
		return pattern() + at;
	if (*ret_len > beginning.len - off)
		*ret_len = (size_t)(beginning.len - off);
	return beginning.bytes + off;
}

void sim_pattern_fill(uint32_t seed, uint64_t off, void *to, size_t len)
{
	uint8_t *out = to;

	while (len > 0) {
		size_t step;
		const uint8_t *piece = piece_at(seed, off, len, &step);

		memcpy(out, piece, step);
		out += step;
		off += step;
		len -= step;
	}
}

bool sim_pattern_check(uint32_t seed, uint64_t off, const void *bytes, size_t len)
{
	const uint8_t *in = bytes;

	while (len > 0) {
		size_t step;
		const uint8_t *piece = piece_at(seed, off, len, &step);

		if (memcmp(in, piece, step) != 0)
			return false;
		in += step;
		off += step;
		len -= step;
	}
	return true;
}

void **sim_ports_at(struct sim_ports *m, uint16_t port)
{
	void ***page = &m->pages[port >> 8];

	if (!*page)
		*page = sim_alloc(256 * sizeof(void *));
	return &(*page)[port & 0xff];
}

void sim_ports_fini(struct sim_ports *m, bool has_values)
{
	for (int i = 0; i < 256; i++) {
		for (int k = 0; m->pages[i] && has_values && k < 256; k++)
			free(m->pages[i][k]);
		free(m->pages[i]);
	}
}
