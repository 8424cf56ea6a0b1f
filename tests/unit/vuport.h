/* SPDX-License-Identifier: Apache-2.0 */
/* A vhost-user port, its loop, its supply, and a machine without a processor in front of it, for tests. */
#ifndef SLUICE_TESTS_VUPORT_H
#define SLUICE_TESTS_VUPORT_H

#include "unit.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "frontend/machine.h"
#include "port/supply.h"
#include "port/vhost_user.h"
#include "wire/packet.h"

enum {
	VU_NOTES_MAX = 64,
	VU_NOTE_LEN = 160,
	VU_MTU = 1500,
};

struct vuport {
	struct port_loop loop;
	int epoll_fd;
	int watched;   /* descriptors */
	int supply;    /* the launcher's end */
	uint32_t what; /* all that the port has answered since vuport_turn() was asked */
	struct port *port;
	struct machine machine;
	char notes[VU_NOTES_MAX][VU_NOTE_LEN];
	uint32_t note_count;
};

static inline int vuport_watch(struct port_loop *l, int fd, uint32_t events, uint16_t token)
{
	struct vuport *t = container_of(l, struct vuport, loop);
	struct epoll_event ev = {.data.u64 = token};

	ev.events |= (events & PORT_READABLE) != 0 ? EPOLLIN : 0;
	ev.events |= (events & PORT_EDGE) != 0 ? EPOLLET : 0;
	if (epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, fd, &ev))
		return -errno;
	t->watched++;
	return 0;
}

static inline void vuport_unwatch(struct port_loop *l, int fd)
{
	struct vuport *t = container_of(l, struct vuport, loop);

	/* Descriptors for calls and errors are none that it has watched. */
	if (epoll_ctl(t->epoll_fd, EPOLL_CTL_DEL, fd, NULL) == 0)
		t->watched--;
}

static inline void vuport_note(void *ctx, const char *text)
{
	struct vuport *t = ctx;

	if (t->note_count < VU_NOTES_MAX)
		(void)snprintf(t->notes[t->note_count], VU_NOTE_LEN, "%s", text);
	t->note_count++;
}

/* Lets the port do what has come. */
static inline void vuport_run(void *ctx)
{
	struct vuport *t = ctx;
	struct epoll_event ev[8];
	int n;

	while ((n = epoll_wait(t->epoll_fd, ev, 8, 0)) > 0)
		for (int i = 0; i < n; i++)
			t->what |= t->port->ops->on_ready(
			    t->port, (uint16_t)ev[i].data.u64, PORT_READABLE);
}

/* The same; its answers since the last time. */
static inline uint32_t vuport_turn(struct vuport *t)
{
	uint32_t what;

	vuport_run(t);
	what = t->what;
	t->what = 0;
	return what;
}

/* Gives the port a connection, whose other end becomes the machine's. */
static inline void vuport_connect(struct vuport *t)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(supply_give(t->supply, ends[0]), 0);
	assert_int_equal(close(ends[0]), 0);
	t->machine.vmm = (struct vmm){.fd = ends[1], .turn = vuport_run, .turn_ctx = t};
	assert_int_equal(vuport_turn(t) & PORT_IS_NEW, PORT_IS_NEW);
}

static inline void vuport_begin(
    struct vuport *t, const struct machine_config *machine, bool has_inflight)
{
	struct vhost_user_config cfg = {
	    .inflight_fd = -1, .mtu = VU_MTU, .on_note = vuport_note, .note_ctx = t};
	int ends[2];

	*t = (struct vuport){.loop = {.watch = vuport_watch, .unwatch = vuport_unwatch}};
	t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	assert_true(t->epoll_fd >= 0);
	assert_int_equal(supply_pair(ends), 0);
	t->supply = ends[0];
	cfg.supply = ends[1];
	if (has_inflight)
		assert_int_equal(vhost_user_inflight_new(&cfg.inflight_fd), 0);
	assert_int_equal(vhost_user_port_new(&cfg, &t->port), 0);
	assert_int_equal(t->port->ops->start(t->port, &t->loop), 0);
	assert_int_equal(machine_init(&t->machine, machine), 0);
	vuport_connect(t);
}

/* All up to frames that flow. */
static inline void vuport_start(struct vuport *t, const struct machine_config *machine)
{
	vuport_begin(t, machine, true);
	assert_int_equal(machine_start(&t->machine), 0);
}

/* The port must leave nothing watched. */
static inline void vuport_end(struct vuport *t)
{
	t->port->ops->stop(t->port);
	assert_int_equal(t->watched, 0);
	port_free(t->port);
	machine_fini(&t->machine);
	(void)close(t->supply);
	(void)close(t->epoll_fd);
}

/* The last thing that was told begins like this, and nothing else was told since the last time. */
static inline void vuport_expect_note(struct vuport *t, const char *start)
{
	assert_int_equal(t->note_count, 1);
	if (strncmp(t->notes[0], start, strlen(start)) != 0)
		fail_msg("it says '%s' and not '%s'", t->notes[0], start);
	t->note_count = 0;
}

/* How the connection has ended. */
static inline void vuport_hear(struct vuport *t, enum supply_end how)
{
	struct supply_report r;

	assert_int_equal(supply_hear(t->supply, &r), 1);
	assert_int_equal(r.end, how);
	assert_int_equal(supply_hear(t->supply, &r), -EAGAIN);
}

static inline bool vuport_is_open(struct vuport *t)
{
	char byte;

	return recv(t->machine.vmm.fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* Takes what an eventfd has counted. */
static inline uint64_t vuport_count(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

#endif
