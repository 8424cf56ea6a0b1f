/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-process port between two threads that really run at the same time: every frame arrives once, in order and
 * whole, and nobody sleeps for ever. Meant for ThreadSanitizer above all (./dev tsan).
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

#include "port/ring.h"
#include "unit.h"
#include "wire/vnet.h"

enum {
	FRAMES = 10000,
	QUEUE = 16, /* small, so that it is full and empty often */
	LEN_MAX = 3000,
	BUFFERS = 12,
	BUFFER_LEN = 2048,
};

/* What the VMM's side does with memory. */
enum way {
	COPIED,
	LENT, /* tx lent, rx posted */
};

struct pair {
	struct ring *ring;
	enum way way;
};

/* Length and bytes of the number-th frame of a direction. */
static uint32_t len_of(uint32_t number)
{
	return 64 + number * 2654435761U % (LEN_MAX - 64);
}

static void fill(uint8_t *frame, uint32_t number, uint32_t from, uint32_t len)
{
	for (uint32_t i = from; i < len; i++)
		frame[i] = (uint8_t)(number * 31 + i);
}

static bool is_right(const uint8_t *frame, uint32_t number, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		if (frame[i] != (uint8_t)(number * 31 + i))
			return false;
	return true;
}

static void wait_for(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (poll(&p, 1, -1) < 0)
		;
}

/* ---- the VMM's thread ---- */

struct vmm {
	struct ring *r;
	enum way way;
	uint32_t pushed;
	uint32_t back;
	uint32_t got;
	uint32_t blocked;
	uint8_t lent[QUEUE][VNET_HDR_SIZE + LEN_MAX];
	uint8_t posted[BUFFERS][BUFFER_LEN];
	uint8_t whole[VNET_HDR_SIZE + 2 * LEN_MAX];
};

/* One of the steps below. True: something was done. */
static bool push(struct vmm *v)
{
	uint32_t len = VNET_HDR_SIZE + len_of(v->pushed);
	uint8_t *bytes = v->lent[v->pushed % QUEUE];
	struct iovec iov[2] = {{.iov_base = bytes, .iov_len = 40}};
	int err;

	if (v->pushed == FRAMES || (v->blocked & RING_EVENT_ROOM) != 0)
		return false;
	if (v->way == LENT && v->pushed - v->back == QUEUE)
		return false;
	memset(bytes, 0, VNET_HDR_SIZE);
	fill(bytes + VNET_HDR_SIZE, v->pushed, 0, len - VNET_HDR_SIZE);
	iov[1] = (struct iovec){.iov_base = bytes + 40, .iov_len = len - 40};
	err = v->way == LENT ? ring_tx_lend(v->r, iov, 2, v->pushed) : ring_tx_push(v->r, iov, 2);
	if (err == -EAGAIN)
		v->blocked |= RING_EVENT_ROOM;
	if (err)
		return false;
	v->pushed++;
	return true;
}

static bool reclaim(struct vmm *v)
{
	uint64_t cookies[4];
	uint32_t count;

	if (v->way != LENT || v->back == v->pushed || (v->blocked & RING_EVENT_BACK) != 0)
		return false;
	count = ring_tx_reclaim(v->r, cookies, 4);
	if (count == 0)
		v->blocked |= RING_EVENT_BACK;
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(cookies[i], v->back++);
	return count > 0;
}

static void post(struct vmm *v, uint64_t cookie)
{
	struct iovec iov[2] = {{.iov_base = v->posted[cookie], .iov_len = 100},
	    {.iov_base = v->posted[cookie] + 100, .iov_len = BUFFER_LEN - 100}};

	assert_int_equal(ring_rx_post(v->r, iov, 2, cookie), 0);
}

static void assert_frame(struct vmm *v, const uint8_t *bytes, uint32_t len)
{
	assert_int_equal(len, VNET_HDR_SIZE + len_of(v->got));
	assert_true(is_right(bytes + VNET_HDR_SIZE, v->got, len - VNET_HDR_SIZE));
	v->got++;
}

static bool take(struct vmm *v)
{
	struct ring_done done[RING_BUFFERS_MAX];
	uint32_t count = ring_rx_take(v->r, done, RING_BUFFERS_MAX);
	uint32_t len = 0;

	if (count == 0)
		v->blocked |= RING_EVENT_RX;
	for (uint32_t i = 0; i < count; i++) {
		if (done[i].buffers > 0 && len > 0) {
			assert_frame(v, v->whole, len);
			len = 0;
		}
		memcpy(v->whole + len, v->posted[done[i].cookie], done[i].len);
		len += done[i].len;
	}
	if (len > 0)
		assert_frame(v, v->whole, len);
	for (uint32_t i = 0; i < count; i++)
		post(v, done[i].cookie);
	return count > 0;
}

static bool receive(struct vmm *v)
{
	struct ring_frame f;

	if (v->got == FRAMES || (v->blocked & RING_EVENT_RX) != 0)
		return false;
	if (v->way == LENT)
		return take(v);
	if (ring_rx_stage(v->r, &f) == 0) {
		v->blocked |= RING_EVENT_RX;
		return false;
	}
	assert_frame(v, f.bytes, f.len);
	ring_rx_consume(v->r);
	return true;
}

static void run_vmm(struct pair *p)
{
	struct vmm *v = calloc(1, sizeof(*v));

	assert_non_null(v);
	v->r = p->ring;
	v->way = p->way;
	assert_int_equal(ring_attach(v->r, NIC_F_CSUM | NIC_F_TSO4, true), 0);
	for (uint64_t i = 0; i < BUFFERS && v->way == LENT; i++)
		post(v, i);
	while (v->pushed < FRAMES || v->got < FRAMES || (v->way == LENT && v->back < FRAMES)) {
		bool has_done = push(v);

		has_done = reclaim(v) || has_done;
		has_done = receive(v) || has_done;
		if (has_done)
			continue;
		ring_flush(v->r);
		wait_for(ring_fd(v->r));
		v->blocked &= ~ring_events(v->r);
	}
	ring_flush(v->r);
	assert_int_equal(ring_counters(v->r)->tx_frames, FRAMES);
	assert_int_equal(ring_counters(v->r)->rx_frames, FRAMES);
	free(v);
}

/* ---- the engine's thread ---- */

struct engine {
	struct port_loop loop;
	struct port *port;
	int fd;
	uint32_t got;
	uint32_t sent;
	bool has_frames;
	bool has_room;
};

static int watch(struct port_loop *l, int fd, uint32_t events, uint16_t token)
{
	struct engine *e = (struct engine *)(void *)l;

	(void)events;
	(void)token;
	e->fd = fd;
	return 0;
}

static void unwatch(struct port_loop *l, int fd)
{
	(void)l;
	(void)fd;
}

/* The port asks for edges, and poll() has none: so the eventfd is read here. */
static void wait_for_edge(int fd)
{
	uint64_t count;

	wait_for(fd);
	assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
}

static bool take_frame(struct engine *e)
{
	struct nic *nic = &e->port->nic;
	uint8_t bytes[LEN_MAX];
	struct frame f;

	if (nic->ops->stage(nic, &f) != 1)
		return false;
	assert_int_equal(f.len, len_of(e->got));
	frame_copy(&f, 0, bytes, f.len);
	assert_true(is_right(bytes, e->got, f.len));
	e->got++;
	nic->ops->release(nic, 1);
	return true;
}

static bool send_frame(struct engine *e)
{
	struct nic *nic = &e->port->nic;
	uint32_t len = len_of(e->sent);
	uint8_t bytes[LEN_MAX];
	struct nic_slot slot;
	uint32_t at = 40;

	if (e->sent == FRAMES || nic->ops->reserve(nic, 40, len - 40, &slot) != 0)
		return false;
	fill(bytes, e->sent, 0, len);
	memcpy(slot.head, bytes, 40);
	for (uint32_t i = 0; i < slot.body_count; i++) {
		memcpy(slot.body[i].iov_base, bytes + at, slot.body[i].iov_len);
		at += (uint32_t)slot.body[i].iov_len;
	}
	assert_int_equal(at, len);
	nic->ops->commit(nic, &slot, len - 40, NULL);
	e->sent++;
	return true;
}

static void listen_to(struct engine *e, uint32_t what)
{
	e->has_frames = e->has_frames || (what & PORT_HAS_FRAMES) != 0;
	e->has_room = e->has_room || (what & PORT_HAS_ROOM) != 0;
}

static bool is_engine_done(const struct engine *e)
{
	return e->got == FRAMES && e->sent == FRAMES;
}

static void *run_engine(void *arg)
{
	struct engine e = {.loop = {.watch = watch, .unwatch = unwatch}, .port = arg};
	struct nic *nic = &e.port->nic;

	assert_int_equal(e.port->ops->start(e.port, &e.loop), 0);
	while (!is_engine_done(&e)) {
		uint32_t what = e.port->ops->poll(e.port, false);

		listen_to(&e, what);
		for (int i = 0; i < QUEUE && (e.has_frames || e.has_room); i++) {
			e.has_frames = e.has_frames && take_frame(&e);
			e.has_room = e.has_room && send_frame(&e);
		}
		nic->ops->flush(nic);
		if (e.has_frames || e.has_room)
			continue;
		what = e.port->ops->poll(e.port, true);
		listen_to(&e, what);
		if (what == 0 && !is_engine_done(&e))
			wait_for_edge(e.fd);
	}
	e.port->ops->stop(e.port);
	return NULL;
}

static void exchange(enum way way)
{
	struct ring_config cfg = {
	    .tx_frames = QUEUE, .rx_frames = QUEUE, .mtu = 1500, .is_rx_posted = way == LENT};
	struct pair p = {.way = way};
	pthread_t engine;

	assert_int_equal(ring_new(&cfg, &p.ring), 0);
	assert_int_equal(pthread_create(&engine, NULL, run_engine, ring_port(p.ring)), 0);
	run_vmm(&p);
	assert_int_equal(pthread_join(engine, NULL), 0);
	assert_int_equal(ring_port(p.ring)->nic.counters.tx_frames, FRAMES);
	assert_int_equal(ring_port(p.ring)->nic.counters.rx_frames, FRAMES);
	port_free(ring_port(p.ring));
}

static void copied_frames_pass_between_threads(void **state)
{
	(void)state;
	exchange(COPIED);
}

static void lent_memory_passes_between_threads(void **state)
{
	(void)state;
	exchange(LENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(copied_frames_pass_between_threads),
	    cmocka_unit_test(lent_memory_passes_between_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
