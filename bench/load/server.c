/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server: one thread, one epoll instance. PORT takes connections that begin with a struct hello,
 * and datagrams; PORT+1 echoes. "ready" is printed when both listen. It runs until it is killed.
 *
 * There is one UDP session at a time: the last OP_UDP_... that was said.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load.h"

enum {
	BACKLOG = 4096,
	EVENTS_MAX = 64,
};

enum kind {
	KIND_LISTENER, /* of PORT */
	KIND_LISTENER_ECHO,
	KIND_UDP,
	KIND_HELLO, /* a connection whose hello is not complete */
	KIND_SINK,
	KIND_SOURCE,
	KIND_CONTROL, /* of the UDP session */
	KIND_ECHO,
};

struct conn {
	enum kind kind;
	int fd;
	struct hello hello;
	size_t hello_len; /* bytes of it that are here */
	struct meter meter;
};

struct server {
	int epoll_fd;
	struct conn udp;         /* its hello is that of the session */
	bool is_udp_source;      /* the session sends */
	bool has_peer;           /* peer is known */
	bool has_gro;            /* UDP_GRO is on */
	struct sockaddr_in peer; /* where the session's datagrams go */
};

static char chunk[CHUNK_SIZE];

static int bind_socket(int type, uint16_t port)
{
	static const int on = 1;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		fail(true, "port %u cannot be bound", port);
	if (type == SOCK_STREAM && listen(fd, BACKLOG) < 0)
		fail(true, "port %u cannot be listened on", port);
	return fd;
}

static void conn_close(struct conn *c)
{
	close(c->fd);
	free(c);
}

static void on_listener(struct server *s, const struct conn *l)
{
	static const int on = 1;
	struct conn *c;
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		fail(true, "too many connections for the server");
	if (fd < 0)
		return;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0) {
		close(fd);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		fail(true, "no memory");
	c->fd = fd;
	c->kind = l->kind == KIND_LISTENER ? KIND_HELLO : KIND_ECHO;
	watch(s->epoll_fd, EPOLL_CTL_ADD, fd, EPOLLIN, c);
}

static void begin_udp(struct server *s, const struct conn *c)
{
	s->udp.hello = c->hello;
	s->udp.meter = meter_init(c->hello.start_ns, c->hello.end_ns);
	s->is_udp_source = c->hello.op == OP_UDP_SOURCE;
	s->has_peer = false;
	if (c->hello.segments > 0 && !s->has_gro) {
		udp_allow_gro(s->udp.fd);
		s->has_gro = true;
	}
}

static void on_hello(struct server *s, struct conn *c)
{
	ssize_t n =
	    recv(c->fd, (char *)&c->hello + c->hello_len, sizeof(c->hello) - c->hello_len, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		conn_close(c);
		return;
	}
	c->hello_len += (size_t)n;
	if (c->hello_len < sizeof(c->hello))
		return;
	c->meter = meter_init(c->hello.start_ns, c->hello.end_ns);
	if (c->hello.magic != HELLO_MAGIC) {
		conn_close(c);
	} else if (c->hello.op == OP_SINK) {
		c->kind = KIND_SINK;
	} else if (c->hello.op == OP_SOURCE) {
		c->kind = KIND_SOURCE;
		watch(s->epoll_fd, EPOLL_CTL_MOD, c->fd, EPOLLOUT, c);
	} else {
		c->kind = KIND_CONTROL;
		begin_udp(s, c);
	}
}

/* A result fits into any socket buffer that is empty, as this one's is. */
static void finish(struct conn *c, const struct meter *m)
{
	struct result r = meter_result(m);

	if (send(c->fd, &r, sizeof(r), MSG_NOSIGNAL) != (ssize_t)sizeof(r))
		(void)fprintf(stderr, "load server: a result is lost: %s\n", strerror(errno));
	conn_close(c);
}

static void on_sink(struct conn *c)
{
	ssize_t n = recv(c->fd, chunk, sizeof(chunk), 0);

	if (n > 0)
		meter_add(&c->meter, (size_t)n, 0);
	else if (n == 0)
		finish(c, &c->meter);
	else if (errno != EAGAIN && errno != EINTR)
		conn_close(c);
}

static void on_source(struct conn *c)
{
	ssize_t n;

	if (now_ns() >= c->hello.end_ns) {
		conn_close(c);
		return;
	}
	n = send(c->fd, chunk, sizeof(chunk), MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		conn_close(c);
}

static void on_control(struct server *s, struct conn *c)
{
	ssize_t n = recv(c->fd, chunk, sizeof(chunk), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		return;
	s->is_udp_source = false;
	if (c->hello.op == OP_UDP_SINK && n == 0)
		finish(c, &s->udp.meter);
	else
		conn_close(c);
}

static void on_echo(struct conn *c)
{
	char bytes[64];
	ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || send(c->fd, bytes, (size_t)n, MSG_NOSIGNAL) != n)
		conn_close(c);
}

static void on_udp(struct server *s)
{
	struct sockaddr_in from;

	if (udp_receive_batch(s->udp.fd, s->has_gro, &s->udp.meter, &from) > 0 && !s->has_peer) {
		s->peer = from;
		s->has_peer = true;
	}
}

static void on_event(struct server *s, struct conn *c)
{
	switch (c->kind) {
	case KIND_LISTENER:
	case KIND_LISTENER_ECHO:
		on_listener(s, c);
		break;
	case KIND_UDP:
		on_udp(s);
		break;
	case KIND_HELLO:
		on_hello(s, c);
		break;
	case KIND_SINK:
		on_sink(c);
		break;
	case KIND_SOURCE:
		on_source(c);
		break;
	case KIND_CONTROL:
		on_control(s, c);
		break;
	case KIND_ECHO:
		on_echo(c);
		break;
	}
}

static bool is_sending(const struct server *s)
{
	return s->is_udp_source && s->has_peer && now_ns() < s->udp.hello.end_ns;
}

static _Noreturn void serve(struct server *s)
{
	for (;;) {
		struct epoll_event events[EVENTS_MAX];
		bool sends = is_sending(s);
		int n = epoll_wait(s->epoll_fd, events, EVENTS_MAX, sends ? 0 : -1);

		for (int i = 0; i < n; i++)
			on_event(s, events[i].data.ptr);
		if (sends) {
			struct udp_sender sender = {.fd = s->udp.fd,
			    .size = s->udp.hello.size,
			    .segments = s->udp.hello.segments};

			(void)udp_send_batch(&sender, &s->peer);
		}
	}
}

int server_main(int argc, char **argv)
{
	struct server s = {.epoll_fd = epoll_create1(EPOLL_CLOEXEC), .udp = {.kind = KIND_UDP}};
	struct conn listener = {.kind = KIND_LISTENER};
	struct conn echo = {.kind = KIND_LISTENER_ECHO};
	uint16_t port;

	if (argc != 2)
		fail(false, "say the port");
	if (s.epoll_fd < 0)
		fail(true, "epoll_create1");
	port = (uint16_t)arg_number("port", argv[1], 1, 65534);
	listener.fd = bind_socket(SOCK_STREAM, port);
	echo.fd = bind_socket(SOCK_STREAM, (uint16_t)(port + 1));
	s.udp.fd = bind_socket(SOCK_DGRAM, port);
	set_buffers(s.udp.fd);
	watch(s.epoll_fd, EPOLL_CTL_ADD, listener.fd, EPOLLIN, &listener);
	watch(s.epoll_fd, EPOLL_CTL_ADD, echo.fd, EPOLLIN, &echo);
	watch(s.epoll_fd, EPOLL_CTL_ADD, s.udp.fd, EPOLLIN, &s.udp);
	printf("ready\n");
	if (fflush(stdout) != 0)
		fail(true, "standard output");
	serve(&s);
}
