/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queues and wakes of the in-process port, explored through all interleavings and all values that the memory
 * model allows (tests/model): nobody sleeps for ever. 1.1.6 and 1.1.8 of reference.md are such losses.
 *
 * Both sides do no more than they were told: the engine's stages only after PORT_HAS_FRAMES and reserves
 * again only after PORT_HAS_ROOM, the VMM's does again what was refused only after the event that was promised.
 */
#include <errno.h>
#include <stdbool.h>

#include "model.h"
#include "port/ring_internal.h"
#include "unit.h"
#include "wire/vnet.h"

enum {
	VMM,
	ENGINE,

	FRAME = ETH_MIN_FRAME,
	QUEUE = 2, /* frames that a queue holds */
};

/* What the two do. */
struct scenario {
	uint32_t pushed;    /* frames that the VMM sends by copy */
	uint32_t lent;      /* or lends */
	uint32_t sent;      /* frames that the engine sends */
	bool is_posted;     /* into posted buffers */
	bool detaches;      /* the VMM takes everything back in the end, whatever has passed */
	bool flushes_each;  /* the VMM flushes after each step, not only before it waits */
	uint32_t queue;     /* frames that a queue holds; 0: QUEUE */
	bool waits_by_edge; /* the VMM waits for edges */
};

struct world {
	struct scenario s;
	struct ring *initial;
	struct ring *copy[MODEL_THREADS];
	struct ring_posted *posted[MODEL_THREADS]; /* of the copies, if any */
};

static uint32_t queue_of(const struct scenario *s)
{
	return s->queue > 0 ? s->queue : (uint32_t)QUEUE;
}

/* ---- the VMM's thread ---- */

struct vmm {
	const struct scenario *s;
	struct ring *r;
	uint32_t queue;
	uint32_t pushed; /* or lent */
	uint32_t back;
	uint32_t got;
	uint32_t posted;
	uint32_t blocked; /* RING_EVENT_... that must come before what it is about is tried again */
};

static uint8_t vmm_frame[VNET_HDR_SIZE + FRAME];
static uint8_t vmm_buffer[VNET_HDR_SIZE + FRAME];

static void may_push(struct vmm *v)
{
	struct iovec iov[2] = {{.iov_base = vmm_frame, .iov_len = VNET_HDR_SIZE},
	    {.iov_base = vmm_frame + VNET_HDR_SIZE, .iov_len = FRAME}};
	int err;

	if ((v->blocked & RING_EVENT_ROOM) != 0 || v->pushed == v->s->pushed + v->s->lent)
		return;
	err = v->s->lent > 0 ? ring_tx_lend(v->r, iov, 2, v->pushed) : ring_tx_push(v->r, iov, 2);
	if (err == -EAGAIN)
		v->blocked |= RING_EVENT_ROOM;
	else if (err == -EBUSY)
		v->blocked &= ~(uint32_t)RING_EVENT_BACK; /* there is something to take back */
	else
		v->pushed++;
}

static void may_reclaim(struct vmm *v)
{
	uint64_t cookie;

	if ((v->blocked & RING_EVENT_BACK) != 0 || v->back == v->s->lent)
		return;
	if (ring_tx_reclaim(v->r, &cookie, 1) == 0) {
		v->blocked |= RING_EVENT_BACK;
		return;
	}
	assert_int_equal(cookie, v->back);
	v->back++;
}

static void may_post(struct vmm *v)
{
	struct iovec iov = {.iov_base = vmm_buffer, .iov_len = sizeof(vmm_buffer)};

	if (v->s->is_posted && v->posted < v->s->sent && v->posted - v->got < v->queue) {
		assert_int_equal(ring_rx_post(v->r, &iov, 1, v->posted), 0);
		v->posted++;
	}
}

static void may_receive(struct vmm *v)
{
	struct ring_frame f;
	struct ring_done done;

	if ((v->blocked & RING_EVENT_RX) != 0 || v->got == v->s->sent)
		return;
	if (v->s->is_posted ? ring_rx_take(v->r, &done, 1) == 0 : ring_rx_stage(v->r, &f) == 0) {
		v->blocked |= RING_EVENT_RX;
		return;
	}
	if (!v->s->is_posted)
		ring_rx_consume(v->r);
	v->got++;
}

static bool is_vmm_done(const struct vmm *v)
{
	return v->pushed == v->s->pushed + v->s->lent && v->got == v->s->sent &&
	       v->back == v->s->lent;
}

static bool is_vmm_blocked(const struct vmm *v)
{
	bool can_push = v->pushed < v->s->pushed + v->s->lent;
	bool can_get = v->got < v->s->sent;
	bool can_reclaim = v->back < v->s->lent;

	return !((can_push && (v->blocked & RING_EVENT_ROOM) == 0) ||
		 (can_get && (v->blocked & RING_EVENT_RX) == 0) ||
		 (can_reclaim && (v->blocked & RING_EVENT_BACK) == 0));
}

static void vmm_wait(struct vmm *v)
{
	ring_flush(v->r);
	model_wait(ring_fd(v->r), v->s->waits_by_edge);
	v->blocked &= ~ring_events(v->r);
}

static void vmm_detach(struct vmm *v)
{
	uint64_t cookie;

	ring_flush(v->r);
	while (ring_detach(v->r) == -EINPROGRESS) {
		v->blocked |= RING_EVENT_DOWN;
		while ((v->blocked & RING_EVENT_DOWN) != 0)
			vmm_wait(v);
	}
	while (v->back < v->pushed && v->s->lent > 0) {
		assert_int_equal(ring_tx_reclaim(v->r, &cookie, 1), 1);
		v->back++;
	}
}

static void run_vmm(void *object, const void *ctx)
{
	const struct world *w = ctx;
	struct vmm v = {.s = &w->s, .r = object, .queue = queue_of(&w->s)};

	while (!is_vmm_done(&v)) {
		may_push(&v);
		may_reclaim(&v);
		may_post(&v);
		may_receive(&v);
		if (v.s->flushes_each)
			ring_flush(v.r);
		if (v.s->detaches && v.pushed == v.s->pushed + v.s->lent)
			break;
		if (!is_vmm_done(&v) && is_vmm_blocked(&v))
			vmm_wait(&v);
	}
	ring_flush(v.r);
	if (v.s->detaches)
		vmm_detach(&v);
}

/* ---- the engine's thread: host/loop.c around an engine with frames to send ---- */

struct engine {
	const struct scenario *s;
	struct port *port;
	uint32_t got;
	uint32_t sent;
	bool has_frames;
	bool has_room;
};

static void listen_to(struct engine *e, uint32_t what)
{
	if ((what & PORT_HAS_FRAMES) != 0)
		e->has_frames = true;
	if ((what & PORT_HAS_ROOM) != 0)
		e->has_room = true;
}

/* A pass of the engine. True: there is more to do. */
static bool engine_pass(struct engine *e)
{
	struct nic *nic = &e->port->nic;
	struct nic_slot slot;
	struct frame f;

	if (e->has_frames) {
		e->has_frames = nic->ops->stage(nic, &f) == 1;
		if (e->has_frames) {
			assert_int_equal(f.len, FRAME);
			nic->ops->release(nic, 1);
			e->got++;
		}
	}
	if (e->has_room && e->sent < e->s->sent) {
		e->has_room =
		    nic->ops->reserve(nic, ETH_HDR_SIZE, FRAME - ETH_HDR_SIZE, &slot) == 0;
		if (e->has_room) {
			nic->ops->commit(nic, &slot, FRAME - ETH_HDR_SIZE, NULL);
			e->sent++;
		}
	}
	nic->ops->flush(nic);
	return e->has_frames || (e->has_room && e->sent < e->s->sent);
}

static bool is_engine_done(const struct engine *e)
{
	struct ring *r = ring_of(&e->port->nic);

	if (e->s->detaches)
		return !r->is_attached;
	return e->got == e->s->pushed + e->s->lent && e->sent == e->s->sent;
}

static void run_engine(void *object, const void *ctx)
{
	const struct world *w = ctx;
	struct ring *r = object;
	struct engine e = {.s = &w->s, .port = &r->port, .has_room = true};
	bool has_more = true;

	while (!is_engine_done(&e)) {
		if (!has_more) {
			uint32_t what = e.port->ops->poll(e.port, true);

			listen_to(&e, what);
			if (what == 0)
				model_wait(r->to_engine.fd, true);
		}
		listen_to(&e, e.port->ops->poll(e.port, false));
		has_more = engine_pass(&e);
	}
}

/* ---- both ---- */

static void reset(void *object, int thread, const void *ctx)
{
	const struct world *w = ctx;
	struct ring *r = object;

	memcpy(r, w->initial, sizeof(*r));
	if (w->posted[thread]) {
		memcpy(w->posted[thread], w->initial->posted, sizeof(*r->posted));
		r->posted = w->posted[thread];
	}
}

static struct world world_new(struct scenario s)
{
	uint32_t queue = queue_of(&s);
	struct ring_config cfg = {
	    .tx_frames = queue, .rx_frames = queue, .mtu = 1500, .is_rx_posted = s.is_posted};
	struct world w = {.s = s};
	struct port *p;

	assert_int_equal(ring_new(&cfg, &w.initial), 0);
	assert_int_equal(ring_attach(w.initial, 0, false), 0);
	p = ring_port(w.initial);
	(void)p->ops->poll(p, false);
	for (int i = 0; i < MODEL_THREADS; i++) {
		w.copy[i] = aligned_alloc(QUEUE_LINE, sizeof(struct ring));
		assert_non_null(w.copy[i]);
		if (w.initial->posted) {
			w.posted[i] = malloc(sizeof(struct ring_posted));
			assert_non_null(w.posted[i]);
		}
	}
	return w;
}

static void world_free(struct world *w)
{
	for (int i = 0; i < MODEL_THREADS; i++) {
		free(w->copy[i]);
		free(w->posted[i]);
	}
	port_free(ring_port(w->initial));
}

static struct model_result explore(struct scenario s, const char *weak_function)
{
	struct world w = world_new(s);
	struct model_program p = {
	    .run = {run_vmm, run_engine},
	    .reset = reset,
	    .object = {w.copy[VMM], w.copy[ENGINE]},
	    .object_size = sizeof(struct ring),
	    .ctx = &w,
	    .weak_function = weak_function,
	};
	struct model_result r = model_explore(&p);

	print_message("%u pushed, %u lent, %u sent: %llu states, %llu ends, at most %u wakes\n",
	    s.pushed, s.lent, s.sent, (unsigned long long)r.states, (unsigned long long)r.ends,
	    r.wakes);
	world_free(&w);
	return r;
}

static void assert_nobody_sleeps_for_ever(struct scenario s)
{
	struct model_result r = explore(s, NULL);

	assert_false(r.was_too_long);
	assert_false(r.is_stuck);
	assert_false(r.has_extra_wake);
	assert_true(r.ends > 0);
}

static const struct scenario tx = {.pushed = 2};
static const struct scenario tx_full = {.pushed = 2, .queue = 1};
static const struct scenario rx = {.sent = 2};
static const struct scenario rx_full = {.sent = 2, .queue = 1};
static const struct scenario lent = {.lent = 1};
static const struct scenario posted = {.sent = 2, .is_posted = true, .queue = 1};
static const struct scenario detached = {.pushed = 1, .detaches = true};

static void frames_from_the_guest_are_always_found(void **state)
{
	struct scenario each = tx;

	(void)state;
	each.flushes_each = true;
	assert_nobody_sleeps_for_ever(tx);
	assert_nobody_sleeps_for_ever(each);
}

/* 1.1.6: the VMM waits for room that is always told. */
static void a_vmm_that_waits_for_room_is_always_woken(void **state)
{
	(void)state;
	assert_nobody_sleeps_for_ever(tx_full);
}

static void frames_to_the_guest_are_always_found(void **state)
{
	struct scenario by_edge = rx;

	(void)state;
	by_edge.waits_by_edge = true;
	assert_nobody_sleeps_for_ever(rx);
	assert_nobody_sleeps_for_ever(by_edge);
}

static void an_engine_that_waits_for_room_is_always_woken(void **state)
{
	(void)state;
	assert_nobody_sleeps_for_ever(rx_full);
}

static void lent_memory_always_comes_back(void **state)
{
	(void)state;
	assert_nobody_sleeps_for_ever(lent);
}

static void posted_buffers_are_always_found_and_come_back(void **state)
{
	(void)state;
	assert_nobody_sleeps_for_ever(posted);
}

static void both_directions_at_once(void **state)
{
	struct scenario both = {.pushed = 2, .sent = 1};

	(void)state;
	assert_nobody_sleeps_for_ever(both);
}

static void a_detach_always_ends(void **state)
{
	(void)state;
	assert_nobody_sleeps_for_ever(detached);
}

/* The explorer finds a loss: with any one of the accesses weakened that the argument in wake.h names. */
static void each_access_of_the_argument_is_needed(void **state)
{
	static const struct {
		const char *function;
		const struct scenario *s;
	} needed[] = {
	    {"wake_want", &tx},
	    {"queue_has", &tx},
	    {"queue_flush_prod", &tx},
	    {"wake_send", &tx},
	    {"wake_want", &rx},
	    {"queue_has", &rx},
	    {"queue_flush_prod", &rx},
	    {"wake_send", &rx},
	    {"queue_has_room", &tx_full},
	    {"queue_flush_cons", &tx_full},
	    {"wake_wishes", &tx_full},
	    {"queue_returned_last", &lent},
	    {"request", &detached},
	    {"follow", &detached},
	    {"is_followed", &detached},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		print_message("without %s: ", needed[i].function);
		assert_true(explore(*needed[i].s, needed[i].function).is_stuck);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(frames_from_the_guest_are_always_found),
	    cmocka_unit_test(a_vmm_that_waits_for_room_is_always_woken),
	    cmocka_unit_test(frames_to_the_guest_are_always_found),
	    cmocka_unit_test(an_engine_that_waits_for_room_is_always_woken),
	    cmocka_unit_test(lent_memory_always_comes_back),
	    cmocka_unit_test(posted_buffers_are_always_found_and_come_back),
	    cmocka_unit_test(both_directions_at_once),
	    cmocka_unit_test(a_detach_always_ends),
	    cmocka_unit_test(each_access_of_the_argument_is_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
