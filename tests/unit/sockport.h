/* SPDX-License-Identifier: Apache-2.0 */
/* A port over a socket, its loop, its supply and its peer, for tests. */
#ifndef SLUICE_TESTS_SOCKPORT_H
#define SLUICE_TESTS_SOCKPORT_H

#include "unit.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "port/port_open.h"
#include "port/supply.h"

enum {
	WATCHES_MAX = 4,
};

struct sockport {
	struct port_loop loop;
	struct {
		int fd; /* -1: free */
		uint32_t events;
		uint16_t token;
	} watches[WATCHES_MAX];
	struct port *port;
	int supply; /* the launcher's end; -1: closed */
	int peer;   /* the guest's side of the connection; -1: none */
};

static inline int sockport_watch(struct port_loop *l, int fd, uint32_t events, uint16_t token)
{
	struct sockport *t = container_of(l, struct sockport, loop);
	int at = -1;

	for (int i = 0; i < WATCHES_MAX; i++) {
		if (t->watches[i].fd == fd || (at < 0 && t->watches[i].fd < 0))
			at = i;
		if (t->watches[i].fd == fd)
			break;
	}
	assert_true(at >= 0);
	t->watches[at].fd = fd;
	t->watches[at].events = events;
	t->watches[at].token = token;
	return 0;
}

static inline void sockport_unwatch(struct port_loop *l, int fd)
{
	struct sockport *t = container_of(l, struct sockport, loop);

	for (int i = 0; i < WATCHES_MAX; i++) {
		if (t->watches[i].fd == fd) {
			t->watches[i].fd = -1;
			return;
		}
	}
	fail_msg("descriptor %d is not watched", fd);
}

/* What the loop would tell now, without waiting. The answers of the port together. */
static inline uint32_t sockport_turn(struct sockport *t)
{
	uint32_t what = 0;

	for (int i = 0; i < WATCHES_MAX; i++) {
		struct pollfd p = {.fd = t->watches[i].fd, .events = 0};
		uint32_t ready = 0;

		if (p.fd < 0)
			continue;
		if ((t->watches[i].events & PORT_READABLE) != 0)
			p.events |= POLLIN;
		if ((t->watches[i].events & PORT_WRITABLE) != 0)
			p.events |= POLLOUT;
		if (poll(&p, 1, 0) <= 0)
			continue;
		if ((p.revents & POLLOUT) != 0)
			ready |= PORT_WRITABLE;
		if ((p.revents & (POLLIN | POLLHUP | POLLERR)) != 0)
			ready |= PORT_READABLE;
		what |= t->port->ops->on_ready(t->port, t->watches[i].token, ready);
	}
	return what | t->port->ops->poll(t->port, false);
}

static inline bool sockport_is_idle(struct sockport *t)
{
	return sockport_turn(t) == 0;
}

/* Gives the port a connection of this type; the peer's end becomes t->peer. */
static inline void sockport_connect(struct sockport *t, int type)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, type, 0, ends), 0);
	assert_int_equal(supply_give(t->supply, ends[0]), 0);
	assert_int_equal(close(ends[0]), 0);
	t->peer = ends[1];
	assert_int_equal(sockport_turn(t) & (PORT_IS_NEW | PORT_HAS_FRAMES | PORT_HAS_ROOM),
	    PORT_IS_NEW | PORT_HAS_FRAMES | PORT_HAS_ROOM);
}

static inline void sockport_start(struct sockport *t, struct port_config cfg)
{
	int ends[2];

	*t = (struct sockport){
	    .loop = {.watch = sockport_watch, .unwatch = sockport_unwatch}, .peer = -1};
	for (int i = 0; i < WATCHES_MAX; i++)
		t->watches[i].fd = -1;
	assert_int_equal(supply_pair(ends), 0);
	t->supply = ends[0];
	cfg.fd = ends[1];
	assert_int_equal(port_open(&cfg, &t->port), 0);
	assert_int_equal(t->port->ops->start(t->port, &t->loop), 0);
}

static inline void sockport_hang_up(struct sockport *t)
{
	assert_int_equal(close(t->peer), 0);
	t->peer = -1;
}

/* The port's own end must leave nothing watched. */
static inline void sockport_end(struct sockport *t)
{
	t->port->ops->stop(t->port);
	for (int i = 0; i < WATCHES_MAX; i++)
		assert_int_equal(t->watches[i].fd, -1);
	port_free(t->port);
	if (t->peer >= 0)
		(void)close(t->peer);
	(void)close(t->supply);
}

static inline int sockport_stage(struct sockport *t, struct frame *f)
{
	return t->port->nic.ops->stage(&t->port->nic, f);
}

static inline void sockport_release(struct sockport *t, uint32_t count)
{
	t->port->nic.ops->release(&t->port->nic, count);
}

/* The next frame is len bytes, all of them this one. It is released. */
static inline void sockport_expect(struct sockport *t, uint32_t len, uint8_t byte)
{
	struct frame f;

	assert_int_equal(sockport_stage(t, &f), 1);
	assert_int_equal(f.len, len);
	assert_int_equal(f.iov_count, 1);
	assert_int_equal(f.iov->iov_len, len);
	assert_ptr_equal(f.iov->iov_base, f.head);
	for (uint32_t i = 0; i < len; i++)
		assert_int_equal(f.head[i], byte);
	sockport_release(t, 1);
}

static inline void sockport_expect_none(struct sockport *t)
{
	struct frame f;

	assert_int_equal(sockport_stage(t, &f), 0);
}

/* A frame of len bytes, all of them this one, is built and committed. 0 or what reserve() says. */
static inline int sockport_commit(struct sockport *t, uint32_t len, uint8_t byte)
{
	struct nic *nic = &t->port->nic;
	uint32_t head_len = len < 54 ? len : 54;
	struct nic_slot slot;
	int err = nic->ops->reserve(nic, head_len, len - head_len, &slot);

	if (err)
		return err;
	memset(slot.head, byte, head_len);
	if (len > head_len)
		memset(slot.body->iov_base, byte, len - head_len);
	nic->ops->commit(nic, &slot, len - head_len, NULL);
	return 0;
}

static inline void sockport_flush(struct sockport *t)
{
	t->port->nic.ops->flush(&t->port->nic);
}

/* What the launcher hears. */
static inline void sockport_hear(struct sockport *t, enum supply_end end, uint32_t value)
{
	struct supply_report r;

	assert_int_equal(supply_hear(t->supply, &r), 1);
	assert_int_equal(r.end, end);
	assert_int_equal(r.value, value);
}

#endif
