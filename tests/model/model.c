/* SPDX-License-Identifier: Apache-2.0 */
/* Explores two threads; see model.h. */
#include "model.h"

#include <assert.h>
#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "model_atomics.h"

enum {
	WORDS = 10,   /* 32-bit words in use */
	VALUES = 40,  /* that a word has in one run */
	FDS = 2,      /* eventfds */
	STEPS = 100,  /* accesses of one thread */
	NO_WAIT = -1, /* the next access does not wait */
};

/* What is known to be old: of each word the values before this one. */
struct view {
	uint8_t at[WORDS];
};

struct value {
	uint32_t value;
	struct view view; /* what an acquire load learns that reads this */
};

struct word {
	uint32_t count;
	struct value values[VALUES];
};

struct eventfd {
	uint8_t count;
	uint8_t has_edge; /* written since somebody waited for an edge */
	struct view view; /* of all that have written */
};

struct step {
	uint32_t result;
	uint8_t word; /* or WORDS + eventfd: to notice a program that is not the same each time */
	uint8_t at;   /* value of the word */
};

struct thread {
	struct step steps[STEPS];
	uint32_t count;
	struct view view;
	int8_t waits_for; /* eventfd, or NO_WAIT */
	bool waits_for_edge;
	bool has_ended;
	uint8_t wishes; /* bits set by model_or() */
	uint8_t wakes;  /* eventfds written */
};

struct state {
	struct word words[WORDS];
	struct eventfd fds[FDS];
	struct view sc; /* newest sequentially consistent stores */
	struct thread threads[MODEL_THREADS];
};

/* The state that is gone on from, and what may be done next there. */
struct level {
	struct state state;
	int thread;
	uint32_t choice;
};

struct set {
	uint64_t *hashes; /* 0: free */
	size_t cap;
	size_t count;
};

/* One thread at a time runs the code under test, which knows nothing of us. */
static struct {
	const struct model_program *program; /* NULL: nothing is explored, words are words */
	struct state *state;
	int thread;
	uint32_t replayed; /* steps that were handed out again */
	bool has_stepped;
	uint32_t choice;  /* which of the possible values the step gets */
	uint32_t choices; /* how many there were */
	bool was_too_long;
	size_t offsets[WORDS]; /* of the words in the object */
	uint32_t word_count;
	int fd_numbers[FDS];
	uint32_t fd_count;
	jmp_buf end;
} now;

/* ---- one access ---- */

static void join(struct view *v, const struct view *other)
{
	for (int i = 0; i < WORDS; i++)
		if (other->at[i] > v->at[i])
			v->at[i] = other->at[i];
}

static bool is_weak(const char *function)
{
	return now.program->weak_function && strcmp(now.program->weak_function, function) == 0;
}

static memory_order weaken(memory_order order, const char *function)
{
	return order == memory_order_seq_cst && is_weak(function) ? memory_order_acq_rel : order;
}

static bool is_acquire(memory_order o)
{
	return o == memory_order_acquire || o == memory_order_acq_rel || o == memory_order_seq_cst;
}

static bool is_release(memory_order o)
{
	return o == memory_order_release || o == memory_order_acq_rel || o == memory_order_seq_cst;
}

static uint32_t word_at(const _Atomic uint32_t *at)
{
	const char *object = now.program->object[now.thread];
	size_t offset = (size_t)((uintptr_t)at - (uintptr_t)object);

	assert(offset < now.program->object_size);
	for (uint32_t i = 0; i < now.word_count; i++)
		if (now.offsets[i] == offset)
			return i;
	assert(now.word_count < WORDS);
	now.offsets[now.word_count] = offset;
	return now.word_count++;
}

static uint32_t fd_at(int fd)
{
	for (uint32_t i = 0; i < now.fd_count; i++)
		if (now.fd_numbers[i] == fd)
			return i;
	assert(now.fd_count < FDS);
	now.fd_numbers[now.fd_count] = fd;
	return now.fd_count++;
}

/* The step that is handed out again, or NULL: it is to be done now. Does not come back when one was done. */
static const struct step *again(uint32_t word)
{
	struct thread *t = &now.state->threads[now.thread];

	if (now.replayed < t->count) {
		assert(t->steps[now.replayed].word == word);
		return &t->steps[now.replayed++];
	}
	if (now.has_stepped)
		longjmp(now.end, 1);
	if (t->count == STEPS) {
		now.was_too_long = true;
		longjmp(now.end, 1);
	}
	return NULL;
}

static void record(uint32_t word, uint32_t at, uint32_t result)
{
	struct thread *t = &now.state->threads[now.thread];

	t->steps[t->count++] =
	    (struct step){.result = result, .word = (uint8_t)word, .at = (uint8_t)at};
	now.replayed++;
	now.has_stepped = true;
}

/* The word with its first value, which is in the memory of the object. */
static struct word *word_of(uint32_t number, const _Atomic uint32_t *at)
{
	struct word *w = &now.state->words[number];

	if (w->count == 0) {
		w->count = 1;
		w->values[0] = (struct value){.value = *at};
	}
	return w;
}

static void see(const struct value *v, uint32_t number, uint32_t at, memory_order order)
{
	struct view *view = &now.state->threads[now.thread].view;

	view->at[number] = (uint8_t)at;
	if (is_acquire(order))
		join(view, &v->view);
}

static void append(
    uint32_t number, uint32_t value, memory_order order, const struct view *passed_on)
{
	struct word *w = &now.state->words[number];
	struct view *view = &now.state->threads[now.thread].view;
	struct value *v = &w->values[w->count];

	if (w->count == VALUES) {
		now.was_too_long = true;
		longjmp(now.end, 1);
	}
	view->at[number] = (uint8_t)w->count++;
	*v = (struct value){.value = value};
	v->view.at[number] = view->at[number];
	if (is_release(order))
		v->view = *view;
	if (passed_on)
		join(&v->view, passed_on);
	if (order == memory_order_seq_cst)
		now.state->sc.at[number] = view->at[number];
}

uint32_t model_load(const _Atomic uint32_t *at, memory_order order, const char *function)
{
	uint32_t number;
	uint32_t oldest;
	uint32_t newest;
	const struct step *step;
	struct word *w;

	if (!now.program)
		return *at;
	order = weaken(order, function);
	number = word_at(at);
	step = again(number);
	if (step)
		return step->result;
	w = word_of(number, at);
	oldest = now.state->threads[now.thread].view.at[number];
	if (order == memory_order_seq_cst && now.state->sc.at[number] > oldest)
		oldest = now.state->sc.at[number];
	newest = w->count - 1;
	now.choices = newest - oldest + 1;
	see(&w->values[newest - now.choice], number, newest - now.choice, order);
	record(number, newest - now.choice, w->values[newest - now.choice].value);
	return w->values[newest - now.choice].value;
}

void model_store(_Atomic uint32_t *at, uint32_t value, memory_order order, const char *function)
{
	uint32_t number;

	if (!now.program) {
		*at = value;
		return;
	}
	number = word_at(at);
	if (again(number))
		return;
	(void)word_of(number, at);
	append(number, value, weaken(order, function), NULL);
	record(number, 0, 0);
}

enum change {
	CHANGE_OR,
	CHANGE_AND,
	CHANGE_SET,
};

/* Returns the old value; sets only if that is expected. */
static uint32_t change(
    _Atomic uint32_t *at, enum change how, uint32_t operand, uint32_t expected, memory_order order)
{
	uint32_t number = word_at(at);
	const struct step *step = again(number);
	const struct value *newest;
	struct view passed_on;
	struct word *w;

	if (step)
		return step->result;
	w = word_of(number, at);
	newest = &w->values[w->count - 1];
	passed_on = newest->view;
	see(newest, number, w->count - 1, order);
	if (how == CHANGE_OR)
		append(number, newest->value | operand, order, &passed_on);
	else if (how == CHANGE_AND)
		append(number, newest->value & operand, order, &passed_on);
	else if (newest->value == expected)
		append(number, operand, order, &passed_on);
	record(number, w->count - 1, newest->value);
	return newest->value;
}

uint32_t model_or(_Atomic uint32_t *at, uint32_t bits, memory_order order, const char *function)
{
	uint32_t old = *at;

	if (now.program) {
		bool is_new = now.replayed == now.state->threads[now.thread].count;

		old = change(at, CHANGE_OR, bits, 0, weaken(order, function));
		if (is_new)
			now.state->threads[now.thread].wishes +=
			    (uint8_t)__builtin_popcount(bits & ~old);
	} else {
		*at = old | bits;
	}
	return old;
}

uint32_t model_and(_Atomic uint32_t *at, uint32_t bits, memory_order order, const char *function)
{
	uint32_t old = *at;

	if (now.program)
		old = change(at, CHANGE_AND, bits, 0, weaken(order, function));
	else
		*at = old & bits;
	return old;
}

bool model_exchange(_Atomic uint32_t *at, uint32_t *expected, uint32_t value, memory_order order,
    const char *function)
{
	uint32_t old = *at;
	uint32_t wanted = *expected;

	if (now.program)
		old = change(at, CHANGE_SET, value, wanted, weaken(order, function));
	else if (old == wanted)
		*at = value;
	*expected = old;
	return old == wanted;
}

/* ---- eventfds ---- */

ssize_t model_read(int fd, void *count, size_t len)
{
	uint32_t number;
	uint64_t result;
	const struct step *step;

	if (!now.program)
		return (read)(fd, count, len);
	number = fd_at(fd);
	step = again(WORDS + number);
	if (step) {
		result = step->result;
	} else {
		struct eventfd *e = &now.state->fds[number];

		result = e->count;
		e->count = 0;
		join(&now.state->threads[now.thread].view, &e->view);
		record(WORDS + number, 0, (uint32_t)result);
	}
	memcpy(count, &result, sizeof(result));
	errno = EAGAIN;
	return result > 0 ? (ssize_t)len : -1;
}

ssize_t model_write(int fd, const void *count, size_t len)
{
	uint32_t number;

	if (!now.program)
		return (write)(fd, count, len);
	number = fd_at(fd);
	if (!again(WORDS + number)) {
		struct eventfd *e = &now.state->fds[number];

		e->count++;
		e->has_edge = 1;
		join(&e->view, &now.state->threads[now.thread].view);
		now.state->threads[now.thread].wakes++;
		record(WORDS + number, 0, 0);
	}
	return (ssize_t)len;
}

void model_wait(int fd, bool is_edge)
{
	uint32_t number = fd_at(fd);
	struct thread *t = &now.state->threads[now.thread];
	struct eventfd *e = &now.state->fds[number];

	if (now.replayed == t->count) {
		t->waits_for = (int8_t)number;
		t->waits_for_edge = is_edge;
	}
	if (again(WORDS + number))
		return;
	t->waits_for = NO_WAIT;
	e->has_edge = 0;
	join(&t->view, &e->view);
	record(WORDS + number, 0, 0);
}

/* ---- all states ---- */

static bool can_go_on(const struct state *s, int thread)
{
	const struct thread *t = &s->threads[thread];

	if (t->has_ended)
		return false;
	if (t->waits_for == NO_WAIT)
		return true;
	return t->waits_for_edge ? s->fds[t->waits_for].has_edge > 0
				 : s->fds[t->waits_for].count > 0;
}

/* Lets a thread do one access more, with one of its choices. How many there are. */
static uint32_t step(struct state *s, int thread, uint32_t choice)
{
	const struct model_program *p = now.program;
	struct thread *t = &s->threads[thread];

	now.state = s;
	now.thread = thread;
	now.replayed = 0;
	now.has_stepped = false;
	now.choice = choice;
	now.choices = 1;
	p->reset(p->object[thread], thread, p->ctx);
	if (setjmp(now.end) == 0) {
		p->run[thread](p->object[thread], p->ctx);
		t->has_ended = true;
	}
	return now.choices;
}

static uint64_t mix(uint64_t h, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	uint64_t chunk;

	for (; len >= sizeof(chunk); len -= sizeof(chunk), at += sizeof(chunk)) {
		memcpy(&chunk, at, sizeof(chunk));
		h = (h ^ chunk) * 0x9e3779b97f4a7c15ULL;
		h ^= h >> 29;
	}
	chunk = len;
	memcpy(&chunk, at, len);
	h = (h ^ chunk) * 0xff51afd7ed558ccdULL;
	return h ^ h >> 32;
}

static uint64_t hash(const struct state *s)
{
	uint64_t h = mix(0, &s->sc, sizeof(s->sc));

	for (int i = 0; i < WORDS; i++)
		h = mix(h, s->words[i].values, s->words[i].count * sizeof(s->words[i].values[0]));
	h = mix(h, s->fds, sizeof(s->fds));
	for (int i = 0; i < MODEL_THREADS; i++) {
		const struct thread *t = &s->threads[i];

		h = mix(h, t->steps, t->count * sizeof(t->steps[0]));
		h = mix(h, &t->view, sizeof(t->view));
		h = mix(h, &t->has_ended, 1);
	}
	return h > 0 ? h : 1;
}

static void set_insert(struct set *set, uint64_t h)
{
	size_t at = h & (set->cap - 1);

	while (set->hashes[at] != 0)
		at = (at + 1) & (set->cap - 1);
	set->hashes[at] = h;
}

/* False: it is there already. */
static bool set_add(struct set *set, uint64_t h)
{
	if (2 * set->count >= set->cap) {
		struct set larger = {.cap = set->cap > 0 ? 2 * set->cap : 1024};

		larger.hashes = calloc(larger.cap, sizeof(*larger.hashes));
		assert(larger.hashes);
		for (size_t i = 0; i < set->cap; i++)
			if (set->hashes[i] != 0)
				set_insert(&larger, set->hashes[i]);
		larger.count = set->count;
		free(set->hashes);
		*set = larger;
	}
	for (size_t at = h & (set->cap - 1); set->hashes[at] != 0; at = (at + 1) & (set->cap - 1))
		if (set->hashes[at] == h)
			return false;
	set_insert(set, h);
	set->count++;
	return true;
}

static void look_at(const struct state *s, struct model_result *r)
{
	const struct thread *a = &s->threads[0];
	const struct thread *b = &s->threads[1];
	uint32_t wakes = (uint32_t)a->wakes + b->wakes;

	if (wakes > r->wakes)
		r->wakes = wakes;
	if (a->wakes > b->wishes || b->wakes > a->wishes)
		r->has_extra_wake = true;
	if (a->has_ended && b->has_ended)
		r->ends++;
	else if (!can_go_on(s, 0) && !can_go_on(s, 1))
		r->is_stuck = true;
}

/* Goes to the next state that was not visited before; false: there is none from here. */
static bool descend(struct level *l, struct set *visited)
{
	while (l->thread < MODEL_THREADS) {
		uint32_t choices = 0;

		if (can_go_on(&l->state, l->thread)) {
			l[1].state = l->state;
			choices = step(&l[1].state, l->thread, l->choice);
		}
		if (++l->choice >= choices) {
			l->thread++;
			l->choice = 0;
		}
		if (choices > 0 && set_add(visited, hash(&l[1].state))) {
			l[1].thread = 0;
			l[1].choice = 0;
			return true;
		}
	}
	return false;
}

struct model_result model_explore(const struct model_program *p)
{
	struct level *levels = calloc(MODEL_THREADS * STEPS + 2, sizeof(*levels));
	struct model_result r = {0};
	struct set visited = {0};
	int depth = 0;

	assert(levels);
	for (int i = 0; i < MODEL_THREADS; i++)
		levels[0].state.threads[i].waits_for = NO_WAIT;
	now.program = p;
	now.was_too_long = false;
	now.word_count = 0;
	now.fd_count = 0;
	while (depth >= 0 && !r.is_stuck && !now.was_too_long) {
		if (!descend(&levels[depth], &visited)) {
			depth--;
			continue;
		}
		depth++;
		look_at(&levels[depth].state, &r);
	}
	now.program = NULL;
	r.was_too_long = now.was_too_long;
	r.states = visited.count;
	free(visited.hashes);
	free(levels);
	return r;
}
