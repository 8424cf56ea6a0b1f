/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a guest's connection comes from; see gate.h.
 *
 * Our copy of the connection serves to see whether a guest has left when the next one is there already, before the
 * port has said so.
 *
 * A datagram socket has no connections: the sender of its first message is the guest, and the socket is connected to
 * it, so that nobody else can send (and the kernel tells others so). Nothing says when it is over either, unless
 * something is sent; so its process, which the kernel names with the first message, is watched. Then a new socket takes
 * the old one's place.
 *
 * Others can make us tell something again and again, so such sentences are rationed.
 */
#include "app/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/clock.h"
#include "app/complain.h"
#include "port/supply.h"

enum {
	RETRY_MS = 200,
	ACCEPT_MAX = 16, /* in one turn */
	TELL_BURST = 10,
	TELL_INTERVAL_S = 5,
	SENTENCE_MAX = 400,

	POLL_SUPPLY = 0,
	POLL_LISTENER,
	POLL_PROCESS,
};

#define NS_PER_S 1000000000ULL

__attribute__((format(printf, 2, 3))) static void tell(struct gate *g, const char *format, ...)
{
	char sentence[SENTENCE_MAX];
	va_list args;

	if (!bucket_take(&g->tellings, clock_monotonic_ns()))
		return;
	va_start(args, format);
	(void)vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	complain("%s", sentence);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void retry_later(struct gate *g)
{
	g->retry_ms = (int64_t)(clock_monotonic_ns() / 1000000) + RETRY_MS;
}

static const char *place(const struct gate *g)
{
	return g->cfg.path != NULL ? g->cfg.path : "the descriptor";
}

static void note_guest(int fd)
{
	struct ucred peer = {.pid = 0};
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid > 0)
		note("a guest is connected, process %d", (int)peer.pid);
	else
		note("a guest is connected");
}

/* Hands a connection over; it becomes our copy. 0 or -1. */
static int give(struct gate *g, int fd)
{
	int err = supply_give(g->supply, fd);

	if (err) {
		tell(g, "the engine does not take a guest's connection: %s", strerror(-err));
		close(fd);
		return -1;
	}
	close_fd(&g->link);
	g->link = fd;
	g->given++;
	note_guest(fd);
	return 0;
}

/* ---- listening ---- */

static bool has_left(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0;
}

static bool is_busy(const struct gate *g)
{
	return g->link >= 0 && !has_left(g->link);
}

static bool takes_guests(const struct gate *g)
{
	return !g->cfg.is_once || g->given == 0;
}

static void on_guest(struct gate *g, int fd)
{
	if (is_busy(g) || !takes_guests(g)) {
		tell(g, "another guest was turned away at %s: one is connected", place(g));
		close(fd);
		return;
	}
	(void)give(g, fd);
}

static void accept_guests(struct gate *g)
{
	for (int i = 0; i < ACCEPT_MAX; i++) {
		int fd = accept4(g->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			on_guest(g, fd);
		} else if (errno == EAGAIN) {
			return;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			tell(g, "a guest cannot be let in at %s: %s", place(g), strerror(errno));
			retry_later(g);
			return;
		}
	}
}

/* ---- datagrams ---- */

/* Room for the sender's identity, aligned as a control message must be. */
union credentials {
	struct cmsghdr head; /* for its alignment */
	char room[CMSG_SPACE(sizeof(struct ucred))];
};

static pid_t sender_of(struct msghdr *head)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(head);
	struct ucred sender;

	if (c == NULL || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS ||
	    c->cmsg_len != CMSG_LEN(sizeof(sender)))
		return 0;
	memcpy(&sender, CMSG_DATA(c), sizeof(sender));
	return sender.pid;
}

/* Connects the socket to the sender of its first message. 1; 0: there is none; -1: it was thrown away. */
static int connect_to_sender(struct gate *g, pid_t *ret_sender)
{
	static const int off = 0;
	struct sockaddr_un from;
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	union credentials control = {.room = {0}};
	struct msghdr head = {
	    .msg_name = &from,
	    .msg_namelen = sizeof(from),
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control),
	};

	if (recvmsg(g->listener, &head, MSG_PEEK | MSG_DONTWAIT) < 0)
		return 0;
	*ret_sender = sender_of(&head);
	if (head.msg_namelen <= sizeof(from.sun_family)) {
		tell(g,
		    "a message at %s comes from a socket without a name, which cannot be "
		    "answered; bind the guest's end to a path",
		    place(g));
	} else if (connect(g->listener, (const struct sockaddr *)(const void *)&from,
		       head.msg_namelen) < 0) {
		tell(g, "the sender of a message at %s cannot be answered: %s", place(g),
		    strerror(errno));
	} else {
		/* Not needed any more, and each read would pay for it. */
		(void)setsockopt(g->listener, SOL_SOCKET, SO_PASSCRED, &off, sizeof(off));
		return 1;
	}
	return recv(g->listener, &byte, 1, MSG_DONTWAIT) < 0 ? 0 : -1;
}

static void on_message(struct gate *g)
{
	pid_t sender = 0;
	int result = connect_to_sender(g, &sender);
	int fd = g->listener;

	if (result <= 0)
		return;
	g->listener = -1;
	if (give(g, fd) < 0)
		return;
	close_fd(&g->process);
	/* Not known in another PID namespace, or gone already: then the next message to it tells. */
	if (sender > 0)
		g->process = (int)syscall(SYS_pidfd_open, sender, 0);
}

static int bind_path(struct gate *g)
{
	static const int on = 1;

	g->listener = unix_socket_bind(g->cfg.path, g->type, &g->file);
	if (g->listener < 0)
		return -1;
	if (g->type == SOCK_DGRAM &&
	    setsockopt(g->listener, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return complain("the socket %s cannot be used: %s", g->cfg.path, strerror(errno));
	return 0;
}

/* ---- connecting ---- */

/* 0, also if nobody listens yet; -1: it will never do, and that has been told. */
static int try_connect(struct gate *g)
{
	int fd = unix_socket_connect(g->cfg.path, g->type);

	if (fd >= 0)
		return give(g, fd);
	if (fd != -EAGAIN)
		return -1;
	if (!g->is_waiting_told)
		note("nobody listens at %s yet", g->cfg.path);
	g->is_waiting_told = true;
	retry_later(g);
	return 0;
}

/* ---- what the port reports ---- */

static void tell_bad_length(struct gate *g, uint32_t length)
{
	char text[5] = {
	    (char)(length >> 24), (char)(length >> 16), (char)(length >> 8), (char)length, '\0'};
	const char *what = NULL;

	if (strcmp(text, "VMN3") == 0)
		what = "it speaks the protocol of vpnkit";
	else if (strcmp(text, "GET ") == 0 || strcmp(text, "POST") == 0)
		what = "it speaks HTTP";
	else if ((length & 0x00ffffff) == 0 && length != 0)
		what = "it seems to speak vhost-user; use --port vhost-user:PATH";
	if (what != NULL)
		tell(g, "the guest at %s was disconnected: %s", place(g), what);
	else
		tell(g,
		    "the guest at %s was disconnected: it announced a frame of %u bytes, which "
		    "none can have",
		    place(g), length);
}

static void tell_end(struct gate *g, const struct supply_report *r)
{
	switch ((enum supply_end)r->end) {
	case SUPPLY_CLOSED:
		note("the guest has disconnected%s%s", r->value != 0 ? ": " : "",
		    r->value != 0 ? strerror((int)r->value) : "");
		break;
	case SUPPLY_CUT:
		tell(g, "the guest at %s went away in the middle of a frame", place(g));
		break;
	case SUPPLY_BAD_LENGTH:
		tell_bad_length(g, r->value);
		break;
	case SUPPLY_BROKEN:
		tell(g, "the guest at %s was disconnected: it broke the protocol", place(g));
		break;
	}
}

/* All connections that were handed over have ended. */
static void on_all_ended(struct gate *g)
{
	close_fd(&g->link);
	close_fd(&g->process);
	if (g->cfg.is_once || (g->cfg.path == NULL && g->listener < 0))
		supply_finish(g->supply);
	else if (g->cfg.is_connecting)
		retry_later(g);
	else if (g->listener < 0 && bind_path(g) < 0)
		g->has_failed = true;
}

static void hear(struct gate *g)
{
	struct supply_report r;
	int result;

	while ((result = supply_hear(g->supply, &r)) == 1) {
		g->ended++;
		tell_end(g, &r);
		if (g->ended == g->given)
			on_all_ended(g);
	}
	if (result == 0)
		close_fd(&g->supply);
}

/* ---- descriptors that were inherited ---- */

static const char *type_name(int type)
{
	switch (type) {
	case SOCK_STREAM:
		return "a stream socket";
	case SOCK_DGRAM:
		return "a datagram socket";
	case SOCK_SEQPACKET:
		return "a socket of type SOCK_SEQPACKET";
	default:
		return "no socket";
	}
}

/* Whether a Unix socket has a name that others can send to. */
static bool is_bound(int fd)
{
	struct sockaddr_storage own;
	socklen_t len = sizeof(own);

	return getsockname(fd, (struct sockaddr *)(void *)&own, &len) == 0 &&
	       len > sizeof(own.ss_family);
}

static int adopt(struct gate *g, int fd)
{
	struct sockaddr_storage peer;
	socklen_t peer_len = sizeof(peer);
	int type = -1;
	int is_listening = 0;
	socklen_t len = sizeof(type);
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return complain("descriptor %d is not open", fd);
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		type = -1;
	else if (unix_socket_type(fd) < 0)
		return complain("descriptor %d is no Unix socket, but one of another family", fd);
	if (type != g->type)
		return complain("descriptor %d is %s, and that kind of port needs %s", fd,
		    type_name(type), type_name(g->type));
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return complain("descriptor %d cannot be used: %s", fd, strerror(errno));
	len = sizeof(is_listening);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &len) == 0 && is_listening) {
		g->listener = fd;
		return 0;
	}
	if (getpeername(fd, (struct sockaddr *)(void *)&peer, &peer_len) == 0)
		return give(g, fd);
	if (type != SOCK_DGRAM)
		return complain("descriptor %d is neither connected nor listening", fd);
	if (!is_bound(fd))
		return complain("descriptor %d is neither connected nor bound", fd);
	g->listener = fd;
	return 0;
}

/* ---- all together ---- */

static int type_of(enum port_kind kind)
{
	if (kind == PORT_KIND_DGRAM)
		return SOCK_DGRAM;
	return kind == PORT_KIND_BESS ? SOCK_SEQPACKET : SOCK_STREAM;
}

int gate_open(struct gate *g, const struct gate_config *cfg, int *ret_port_end)
{
	int ends[2];
	int err;

	*g = (struct gate){
	    .cfg = *cfg,
	    .type = type_of(cfg->kind),
	    .supply = -1,
	    .listener = -1,
	    .link = -1,
	    .process = -1,
	    .retry_ms = INT64_MAX,
	    .tellings = {.interval_ns = TELL_INTERVAL_S * NS_PER_S, .burst = TELL_BURST},
	};
	err = supply_pair(ends);
	if (err)
		return complain("no channel can be made: %s", strerror(-err));
	g->supply = ends[0];
	if (cfg->path == NULL)
		err = adopt(g, cfg->fd);
	else
		err = cfg->is_connecting ? try_connect(g) : bind_path(g);
	if (err) {
		close(ends[1]);
		return -1;
	}
	*ret_port_end = ends[1];
	return 0;
}

/* Whether the listener is left alone for a while. */
static bool is_muted(const struct gate *g)
{
	return !g->cfg.is_connecting && g->retry_ms != INT64_MAX;
}

void gate_poll(const struct gate *g, struct pollfd fds[GATE_FDS])
{
	fds[POLL_SUPPLY] = (struct pollfd){.fd = g->supply, .events = POLLIN};
	fds[POLL_LISTENER] =
	    (struct pollfd){.fd = is_muted(g) ? -1 : g->listener, .events = POLLIN};
	fds[POLL_PROCESS] = (struct pollfd){.fd = g->process, .events = POLLIN};
}

int64_t gate_next_ms(const struct gate *g)
{
	return g->retry_ms;
}

static bool is_ready(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return fd >= 0 && poll(&p, 1, 0) > 0;
}

bool gate_run(struct gate *g)
{
	if (g->supply >= 0)
		hear(g);
	if (g->supply < 0)
		return !g->has_failed; /* the engine's end tells the rest */
	if (is_ready(g->process)) {
		note("the guest's process has ended");
		close_fd(&g->process);
		supply_hang_up(g->supply);
	}
	if (g->retry_ms <= (int64_t)(clock_monotonic_ns() / 1000000)) {
		g->retry_ms = INT64_MAX;
		if (g->cfg.is_connecting && try_connect(g) < 0)
			g->has_failed = true;
	}
	if (is_ready(g->listener) && !is_muted(g)) {
		if (g->type == SOCK_DGRAM)
			on_message(g);
		else
			accept_guests(g);
	}
	return !g->has_failed;
}

void gate_fini(struct gate *g)
{
	close_fd(&g->supply);
	close_fd(&g->listener);
	close_fd(&g->link);
	close_fd(&g->process);
	unix_socket_remove(&g->file);
}
