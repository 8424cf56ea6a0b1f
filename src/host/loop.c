/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop that turns an engine: one wait, then what has happened, then one pass, again without waiting
 * while there is more to do. The wait ends at an event or at the engine's next timer, never on a tick.
 *
 * The TAP descriptor is level-triggered, so that its frames need not be read until there are none; sockets
 * are edge-triggered and registered once.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "host/host.h"
#include "host/host_internal.h"

enum {
	EVENTS_MAX = 128,
};

/* epoll_event.data of the two descriptors that are no sockets: kinds that no owner has. */
static const uint64_t data_tap = 15ULL << 60;
static const uint64_t data_stop = 14ULL << 60;

static int wait_events(struct host *h, struct epoll_event *events, struct engine *e, bool has_more)
{
	uint64_t next = has_more ? 0 : engine_next_ns(e);
	struct timespec timeout = {0};
	int n;

	if (next == ENGINE_NEVER) {
		n = epoll_wait(h->epoll_fd, events, EVENTS_MAX, -1);
	} else {
		uint64_t now = has_more ? 0 : host_now_ns();
		uint64_t left = next > now ? next - now : 0;

		if (left == 0) {
			n = epoll_wait(h->epoll_fd, events, EVENTS_MAX, 0);
		} else {
			timeout.tv_sec = (time_t)(left / 1000000000);
			timeout.tv_nsec = (long)(left % 1000000000);
			n = epoll_pwait2(h->epoll_fd, events, EVENTS_MAX, &timeout, NULL);
		}
	}
	return n < 0 && errno != EINTR ? -errno : n < 0 ? 0 : n;
}

static uint32_t sock_events(uint32_t events)
{
	uint32_t out = 0;

	if ((events & EPOLLIN) != 0)
		out |= SOCK_READABLE;
	if ((events & EPOLLOUT) != 0)
		out |= SOCK_WRITABLE;
	if ((events & (EPOLLRDHUP | EPOLLHUP)) != 0)
		out |= SOCK_HANGUP;
	if ((events & EPOLLERR) != 0)
		out |= SOCK_ERROR;
	if ((events & EPOLLPRI) != 0)
		out |= SOCK_URGENT;
	return out;
}

static int watch_level(struct host *h, int fd, uint64_t data)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = data};

	return epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static int turn(
    struct host *h, struct engine *e, int stop_fd, void (*on_idle)(void *ctx), void *ctx)
{
	struct epoll_event events[EVENTS_MAX];
	bool has_more = true;

	(void)stop_fd;
	for (;;) {
		uint64_t now;
		int n;
		int more;

		if (!has_more && on_idle)
			on_idle(ctx);
		n = wait_events(h, events, e, has_more);
		if (n < 0)
			return n;
		now = host_now_ns();
		for (int i = 0; i < n; i++) {
			uint64_t data = events[i].data.u64;

			if (data == data_stop)
				return 0;
			if (data == data_tap)
				engine_on_frames(e);
			else
				engine_on_sock(
				    e, host_unpack_owner(data), sock_events(events[i].events), now);
		}
		more = engine_run(e, now);
		if (more < 0)
			return more;
		has_more = more > 0;
	}
}

int host_loop(struct host *h, struct engine *e, struct tap_port *tap, int stop_fd,
    void (*on_idle)(void *ctx), void *ctx)
{
	int err = watch_level(h, tap_port_fd(tap), data_tap);

	if (!err)
		err = watch_level(h, stop_fd, data_stop);
	return err ? err : turn(h, e, stop_fd, on_idle, ctx);
}
