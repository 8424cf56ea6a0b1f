/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop that turns an engine: one wait, then what has happened, then one pass, again without waiting
 * while there is more to do. The wait ends at an event or at the engine's next timer, never on a tick.
 *
 * Descriptors of the port are level-triggered unless it asks otherwise, so that frames need not be read until
 * there are none; sockets are edge-triggered and registered once.
 *
 * Where the owner waits himself (struct host_turn), he waits for the epoll instance, which is readable as long
 * as one of its descriptors has something to tell. The engine's next timer is then one of these: a
 * timerfd, set only when it would fire too late. One that fires too early costs one turn that finds nothing.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "host/follow.h"
#include "host/host.h"
#include "host/host_internal.h"

enum {
	EVENTS_MAX = 128,
	PASSES_MAX = 16, /* of the engine in one turn of an owner who waits himself */
};

/* epoll_event.data of the descriptors that are no sockets: kinds that no owner has. */
static const uint64_t data_port = 15ULL << 60; /* with the token in its low bits */
static const uint64_t data_stop = 14ULL << 60;
static const uint64_t data_timer = 13ULL << 60;
static const uint64_t data_follow = 12ULL << 60;

struct loop {
	struct port_loop port_loop;
	struct host *host;
	struct engine *engine;
	struct port *port;
	int stop_fd;
	bool is_delivering; /* return when everything has been delivered */
	bool has_stopped;   /* return at once */
	bool is_link_gone;  /* the port has nothing more to tell */
	bool is_paused;     /* of_frames is not told of what can be read */
	struct {
		int fd; /* -1: there is none */
		uint32_t events;
		uint64_t data;
	} of_frames;       /* the descriptor with PORT_PAUSES */
	uint64_t timer_ns; /* when the timerfd fires; ENGINE_NEVER: not set, or there is none */
};

struct host_turn {
	struct loop loop;
	int timer_fd;
};

/* Linux before 5.11 has no wait with nanoseconds; a millisecond too late is never too early. */
static int wait_until(int epoll_fd, struct epoll_event *events, uint64_t left_ns)
{
	struct timespec timeout = {
	    .tv_sec = (time_t)(left_ns / 1000000000), .tv_nsec = (long)(left_ns % 1000000000)};
	int n = epoll_pwait2(epoll_fd, events, EVENTS_MAX, &timeout, NULL);
	uint64_t left_ms = left_ns / 1000000 + 1;

	if (n >= 0 || errno != ENOSYS)
		return n;
	return epoll_wait(epoll_fd, events, EVENTS_MAX, left_ms < INT_MAX ? (int)left_ms : INT_MAX);
}

static int wait_events(struct host *h, struct epoll_event *events, struct engine *e, bool has_more)
{
	uint64_t next = has_more ? 0 : engine_next_ns(e);
	int n;

	if (next == 0 || next == ENGINE_NEVER) {
		n = epoll_wait(h->epoll_fd, events, EVENTS_MAX, next == 0 ? 0 : -1);
	} else {
		uint64_t now = host_now_ns();

		n = wait_until(h->epoll_fd, events, next > now ? next - now : 0);
	}
	if (n >= 0)
		return n;
	return errno == EINTR ? 0 : -errno;
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

static struct loop *loop_of(struct port_loop *p)
{
	return container_of(p, struct loop, port_loop);
}

static int watch(struct loop *l, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};
	int epoll_fd = l->host->epoll_fd;

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0)
		return 0;
	return errno == EEXIST && epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &ev) == 0 ? 0 : -errno;
}

/* As it is to be watched now: without anything to be told of not at all, as its end would be told for ever. */
static int watch_frames(struct loop *l)
{
	uint32_t events = l->of_frames.events;

	if (l->is_paused)
		events &= ~(uint32_t)EPOLLIN;
	if (events != 0)
		return watch(l, l->of_frames.fd, events, l->of_frames.data);
	(void)epoll_ctl(l->host->epoll_fd, EPOLL_CTL_DEL, l->of_frames.fd, NULL);
	return 0;
}

/* Before waiting: frames that the engine would not take must not wake it. */
static int pause_frames(struct loop *l)
{
	bool is_paused = l->port->nic.is_held;

	if (is_paused == l->is_paused)
		return 0;
	l->is_paused = is_paused;
	return l->of_frames.fd >= 0 && !l->is_link_gone ? watch_frames(l) : 0;
}

static int port_watch(struct port_loop *p, int fd, uint32_t events, uint16_t token)
{
	struct loop *l = loop_of(p);
	uint32_t wanted = (events & PORT_READABLE) != 0 ? EPOLLIN : 0;

	if ((events & PORT_WRITABLE) != 0)
		wanted |= EPOLLOUT;
	if ((events & PORT_EDGE) != 0)
		wanted |= EPOLLET;
	if ((events & PORT_PAUSES) == 0)
		return watch(l, fd, wanted, data_port | token);
	l->of_frames.fd = fd;
	l->of_frames.events = wanted;
	l->of_frames.data = data_port | token;
	return watch_frames(l);
}

static void port_unwatch(struct port_loop *p, int fd)
{
	struct loop *l = loop_of(p);

	if (l->of_frames.fd == fd)
		l->of_frames.fd = -1;
	(void)epoll_ctl(l->host->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

/* What the port has said to do. */
static void tell_engine(struct loop *l, uint32_t what)
{
	if ((what & PORT_IS_NEW) != 0)
		engine_on_link_new(l->engine);
	if ((what & PORT_HAS_FRAMES) != 0)
		engine_on_frames(l->engine);
	if ((what & PORT_HAS_ROOM) != 0)
		engine_on_room(l->engine);
	if ((what & PORT_IS_GONE) != 0)
		l->is_link_gone = true;
}

static void on_port(struct loop *l, const struct epoll_event *ev)
{
	uint32_t ready = (ev->events & EPOLLOUT) != 0 ? PORT_WRITABLE : 0;

	if ((ev->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
		ready |= PORT_READABLE;
	if (!l->is_link_gone)
		tell_engine(l, l->port->ops->on_ready(l->port, (uint16_t)ev->data.u64, ready));
}

/* Asks the port what no descriptor tells. True: something has come. */
static bool poll_port(struct loop *l, bool is_waiting)
{
	uint32_t what;

	if (!l->port->ops->poll || l->is_link_gone)
		return false;
	what = l->port->ops->poll(l->port, is_waiting);
	tell_engine(l, what);
	return what != 0;
}

/* The descriptors of a port that is gone are watched no more: they would be ready for ever. */
static void leave_link(struct loop *l)
{
	l->is_link_gone = true;
	l->is_delivering = true;
	l->port->ops->stop(l->port);
}

static void on_link_gone(struct loop *l, uint64_t now)
{
	leave_link(l);
	engine_on_link_gone(l->engine, now);
}

/* The rest of the message, which was written at once. */
static void on_resolvers(struct loop *l)
{
	struct host_resolvers_message m;
	ssize_t n = read(l->stop_fd, (uint8_t *)&m + 1, sizeof(m) - 1);

	if (n == (ssize_t)sizeof(m) - 1 && m.count <= ENGINE_RESOLVERS_MAX)
		engine_set_resolvers(l->engine, m.servers, m.count);
}

static void on_stop(struct loop *l, uint64_t now)
{
	uint8_t byte;
	ssize_t n = read(l->stop_fd, &byte, 1);

	if (n > 0 && byte == HOST_RESOLVERS) {
		on_resolvers(l);
	} else if (n > 0) {
		l->is_delivering = true;
		if (byte == HOST_STOP_DISMISS && !l->is_link_gone) {
			engine_dismiss_guest(l->engine, now);
			leave_link(l);
		}
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		l->has_stopped = true;
	}
}

static void dispatch(struct loop *l, const struct epoll_event *ev, uint64_t now)
{
	if (ev->data.u64 == data_stop)
		on_stop(l, now);
	else if (ev->data.u64 == data_timer)
		l->timer_ns = ENGINE_NEVER;
	else if (ev->data.u64 == data_follow)
		host_follow_on_ready(l->host->follow);
	else if (ev->data.u64 >= data_port)
		on_port(l, ev);
	else
		engine_on_sock(
		    l->engine, host_unpack_owner(ev->data.u64), sock_events(ev->events), now);
}

static bool has_ended(const struct loop *l)
{
	return l->has_stopped || (l->is_delivering && engine_is_delivered(l->engine));
}

/* What has happened, then one pass. True: there is more to do at once. */
static bool pass(struct loop *l, const struct epoll_event *events, int count)
{
	uint64_t now = host_now_ns();
	int more;

	for (int i = 0; i < count; i++)
		dispatch(l, &events[i], now);
	(void)poll_port(l, false);
	more = l->is_link_gone && !l->is_delivering ? -EPIPE : engine_run(l->engine, now);
	if (more < 0)
		on_link_gone(l, now);
	return more > 0;
}

static int turn(struct loop *l, void (*on_idle)(void *ctx), void *ctx)
{
	struct epoll_event events[EVENTS_MAX];
	bool has_more = true;

	while (!has_ended(l)) {
		int n;

		has_more = has_more || poll_port(l, true);
		if (!has_more && on_idle)
			on_idle(ctx);
		n = pause_frames(l);
		if (n < 0)
			return n;
		n = wait_events(l->host, events, l->engine, has_more);
		if (n < 0)
			return n;
		has_more = pass(l, events, n);
	}
	return 0;
}

/* The end of it is that of the descriptor, which its owner closes. */
static int watch_follow(struct loop *l)
{
	struct host_follow *f = l->host->follow;

	return f ? watch(l, host_follow_fd(f), EPOLLIN, data_follow) : 0;
}

static struct loop loop_of_parts(struct host *h, struct engine *e, struct port *port)
{
	return (struct loop){
	    .port_loop = {.watch = port_watch, .unwatch = port_unwatch},
	    .host = h,
	    .engine = e,
	    .port = port,
	    .stop_fd = -1,
	    .of_frames = {.fd = -1},
	    .timer_ns = ENGINE_NEVER,
	};
}

int host_loop(struct host *h, struct engine *e, struct port *port, int stop_fd,
    void (*on_idle)(void *ctx), void *ctx)
{
	struct loop l = loop_of_parts(h, e, port);
	int err = port->ops->start(port, &l.port_loop);

	if (err)
		return err;
	l.stop_fd = stop_fd;
	err = watch(&l, stop_fd, EPOLLIN, data_stop);
	if (!err)
		err = watch_follow(&l);
	if (!err)
		err = turn(&l, on_idle, ctx);
	if (!l.is_link_gone)
		port->ops->stop(port);
	(void)epoll_ctl(h->epoll_fd, EPOLL_CTL_DEL, stop_fd, NULL);
	return err;
}

/* ---- turns of an owner who waits himself ---- */

static const uint64_t at_once = 1; /* 0 would switch the timer off */

/* Makes the epoll instance readable at the latest at due_ns. */
static int set_timer(struct host_turn *t, uint64_t due_ns)
{
	struct itimerspec spec = {.it_value = {.tv_sec = (time_t)(due_ns / 1000000000),
				      .tv_nsec = (long)(due_ns % 1000000000)}};

	if (due_ns >= t->loop.timer_ns)
		return 0;
	if (timerfd_settime(t->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL) < 0)
		return -errno;
	t->loop.timer_ns = due_ns;
	return 0;
}

int host_turn_new(struct host *h, struct engine *e, struct port *port, struct host_turn **ret_turn)
{
	struct host_turn *t = calloc(1, sizeof(*t));
	int err = 0;

	if (!t)
		return -ENOMEM;
	t->loop = loop_of_parts(h, e, port);
	t->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (t->timer_fd < 0 || watch(&t->loop, t->timer_fd, EPOLLIN | EPOLLET, data_timer))
		err = -errno;
	if (!err)
		err = watch_follow(&t->loop);
	if (!err)
		err = set_timer(t, at_once); /* the engine may have timers already */
	if (!err)
		err = port->ops->start(port, &t->loop.port_loop);
	if (err) {
		if (t->timer_fd >= 0)
			(void)close(t->timer_fd);
		free(t);
		return err;
	}
	*ret_turn = t;
	return 0;
}

void host_turn_free(struct host_turn *t)
{
	if (!t)
		return;
	if (!t->loop.is_link_gone)
		t->loop.port->ops->stop(t->loop.port);
	(void)close(t->timer_fd);
	free(t);
}

int host_turn_fd(const struct host_turn *t)
{
	return t->loop.host->epoll_fd;
}

void host_turn_finish(struct host_turn *t)
{
	t->loop.is_delivering = true;
}

int host_turn_run(struct host_turn *t)
{
	struct loop *l = &t->loop;
	struct epoll_event events[EVENTS_MAX];
	uint64_t next_ns;

	for (int i = 0; i < PASSES_MAX; i++) {
		int n = epoll_wait(l->host->epoll_fd, events, EVENTS_MAX, 0);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (pass(l, events, n))
			continue;
		if (has_ended(l))
			return HOST_TURN_ENDED;
		if (poll_port(l, true))
			continue;
		n = pause_frames(l);
		if (n < 0)
			return n;
		next_ns = engine_next_ns(l->engine);
		return set_timer(t, next_ns > at_once ? next_ns : at_once);
	}
	return set_timer(t, at_once);
}
