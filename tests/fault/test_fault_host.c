/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's calls fail in turn below src/host: whatever step of opening a socket fails, with whatever errno, the caller
 * is told and no descriptor is left; a call on a socket that fails leaves what the host knows of it right.
 *
 * The linker puts functions of ours in place of the C library's. Sockets are on loopback.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/host.h"
#include "host/host_internal.h"

static uint64_t calls;    /* since fail() */
static uint64_t fail_nth; /* 0: none fails */
static int fail_error;
static bool has_failed;

static void set_failure(uint64_t nth, int error)
{
	calls = 0;
	fail_nth = nth;
	fail_error = error;
	has_failed = false;
}

static bool fails(void)
{
	if (fail_nth == 0 || ++calls != fail_nth)
		return false;
	has_failed = true;
	errno = fail_error;
	return true;
}

/* NOLINTBEGIN(readability-identifier-naming): the linker's names */
#define WRAP(type, name, parameters, arguments, failure)                                           \
	type __real_##name parameters;                                                             \
	type __wrap_##name parameters;                                                             \
	type __wrap_##name parameters                                                              \
	{                                                                                          \
		return fails() ? (failure) : __real_##name arguments;                              \
	}

WRAP(int, socket, (int a, int b, int c), (a, b, c), -1)
WRAP(int, connect, (int a, const struct sockaddr *b, socklen_t c), (a, b, c), -1)
WRAP(int, setsockopt, (int a, int b, int c, const void *d, socklen_t e), (a, b, c, d, e), -1)
WRAP(int, getsockopt, (int a, int b, int c, void *d, socklen_t *e), (a, b, c, d, e), -1)
WRAP(int, epoll_create1, (int a), (a), -1)
WRAP(int, epoll_ctl, (int a, int b, int c, struct epoll_event *d), (a, b, c, d), -1)
WRAP(int, timerfd_create, (int a, int b), (a, b), -1)
WRAP(ssize_t, send, (int a, const void *b, size_t c, int d), (a, b, c, d), -1)
WRAP(ssize_t, sendmsg, (int a, const struct msghdr *b, int c), (a, b, c), -1)
WRAP(ssize_t, recv, (int a, void *b, size_t c, int d), (a, b, c, d), -1)
WRAP(ssize_t, recvmsg, (int a, struct msghdr *b, int c), (a, b, c), -1)
WRAP(int, shutdown, (int a, int b), (a, b), -1)
WRAP(void *, calloc, (size_t a, size_t b), (a, b), NULL)
WRAP(void *, malloc, (size_t a), (a), NULL)
WRAP(void *, reallocarray, (void *a, size_t b, size_t c), (a, b, c), NULL)
/* NOLINTEND(readability-identifier-naming) */

static int count_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static struct host *new_host(bool no_peek_offset)
{
	struct host_config cfg = {.sock_limit = 1024,
	    .keepalive_s = 100,
	    .has_udp_gro = true,
	    .no_peek_offset = no_peek_offset};
	struct host *h;

	assert_int_equal(host_new(&cfg, &h), 0);
	return h;
}

/* ---- opening ---- */

static const struct sock_owner owner = {.kind = SOCK_TCP};

/* A listener on loopback, whose address is *ret_to. */
static int open_listener(int family, int type, struct endpoint *ret_to)
{
	struct sockaddr_in addr4 = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 addr6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_storage addr = {0};
	socklen_t len = sizeof(addr);
	int fd = socket(family, type, 0);

	if (family == AF_INET)
		memcpy(&addr, &addr4, sizeof(addr4));
	else
		memcpy(&addr, &addr6, sizeof(addr6));
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len)) {
		(void)close(fd);
		return -1;
	}
	if (type == SOCK_STREAM)
		assert_return_code(listen(fd, 64), errno);
	assert_return_code(getsockname(fd, (struct sockaddr *)&addr, &len), errno);
	host_endpoint(&addr, ret_to);
	return fd;
}

static int open_tcp(struct host *h, const struct endpoint *to, int *ret_sock)
{
	return host_tcp_connect(h, to, owner, ret_sock);
}

static int open_udp(struct host *h, const struct endpoint *to, int *ret_sock)
{
	return host_udp_open(h, to, owner, ret_sock);
}

static int open_ping(struct host *h, const struct endpoint *to, int *ret_sock)
{
	return host_ping_open(h, ip_addr_is_v4(&to->addr) ? 4 : 6, owner, ret_sock);
}

static bool can_open(int (*open_sock)(struct host *h, const struct endpoint *to, int *ret_sock),
    const struct endpoint *to)
{
	struct host *h = new_host(false);
	int sock;
	bool can = open_sock(h, to, &sock) == 0;

	if (can)
		host_sock_ops.close(h, sock, true);
	host_free(h);
	return can;
}

/* Opens with each call failing in turn; most of them are needed. */
static void check_open(int (*open_sock)(struct host *h, const struct endpoint *to, int *ret_sock),
    int type, int family)
{
	static const int errors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM, EACCES, EPERM, ENOSPC, EINVAL,
	    ENOPROTOOPT, EADDRNOTAVAIL, ENETUNREACH};
	struct endpoint to;
	int listener = open_listener(family, type, &to);

	if (listener < 0 || !can_open(open_sock, &to)) {
		(void)close(listener);
		return; /* no IPv6 here, or no echo sockets for us */
	}
	for (size_t e = 0; e < sizeof(errors) / sizeof(errors[0]); e++) {
		bool is_reached = true;
		uint64_t told = 0;

		for (uint64_t n = 1; is_reached; n++) {
			struct host *h = new_host(false);
			int before = count_descriptors();
			int sock = -1;
			int err;

			set_failure(n, errors[e]);
			err = open_sock(h, &to, &sock);
			is_reached = has_failed;
			set_failure(0, 0);
			assert_true(
			    err == 0 || err == -errors[e] || err == -ENOMEM || err == -EACCES);
			assert_true((err == 0) == (sock >= 0));
			told += err != 0;
			if (err == 0)
				host_sock_ops.close(h, sock, true);
			assert_int_equal(count_descriptors(), before);
			host_free(h);
		}
		assert_true(told >= 3);
	}
	(void)close(listener);
}

static void sockets_that_cannot_be_opened_leave_no_descriptor(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		int family = i == 0 ? AF_INET : AF_INET6;

		check_open(open_tcp, SOCK_STREAM, family);
		check_open(open_udp, SOCK_DGRAM, family);
		check_open(open_ping, SOCK_DGRAM, family);
	}
}

static void host_that_cannot_be_made_leaves_no_descriptor(void **state)
{
	struct host_config cfg = {.sock_limit = 1024};
	int before = count_descriptors();
	uint32_t told = 0;

	(void)state;
	for (uint64_t n = 1; n < 10; n++) {
		struct host *h = NULL;
		int err;

		set_failure(n, EMFILE);
		err = host_new(&cfg, &h);
		set_failure(0, 0);
		told += err != 0;
		if (!err)
			host_free(h); /* what the kernel can do is asked, and need not be told */
		assert_int_equal(count_descriptors(), before);
	}
	assert_int_equal(told, 2);
}

/* ---- turns ---- */

static int start(struct port *p, struct port_loop *loop)
{
	(void)p;
	return loop->watch(loop, STDIN_FILENO, PORT_READABLE | PORT_EDGE, 0);
}

static void stop(struct port *p)
{
	(void)p;
}

/* The port cannot be watched, the timer not be made. */
static void turn_that_cannot_be_made_leaves_no_descriptor(void **state)
{
	static const struct port_ops ops = {.start = start, .stop = stop};
	struct port port = {.ops = &ops};
	struct host *h = new_host(false);
	int before = count_descriptors();
	int ends[2];
	uint32_t told = 0;

	(void)state;
	assert_return_code(pipe(ends), errno);
	assert_return_code(dup2(ends[0], STDIN_FILENO), errno); /* which epoll may watch */
	before = count_descriptors();
	for (uint64_t n = 1; n < 8; n++) {
		struct host_turn *t = NULL;
		int err;

		set_failure(n, ENOMEM);
		err = host_turn_new(h, NULL, &port, &t);
		set_failure(0, 0);
		told += err != 0;
		assert_true(err == 0 || err == -ENOMEM);
		if (!err)
			host_turn_free(t);
		assert_int_equal(count_descriptors(), before);
	}
	assert_int_equal(told, 4); /* memory, timer, watching the timer and the port */
	(void)close(ends[0]);
	(void)close(ends[1]);
	host_free(h);
}

/* ---- calls on sockets ---- */

struct pair {
	struct host *host;
	int sock;
	int remote;
};

static struct pair connect_pair(bool no_peek_offset)
{
	struct pair p = {.host = new_host(no_peek_offset)};
	struct pollfd ready = {.events = POLLOUT};
	struct endpoint to;
	int listener = open_listener(AF_INET, SOCK_STREAM, &to);

	assert_int_equal(host_tcp_connect(p.host, &to, owner, &p.sock), 0);
	p.remote = accept(listener, NULL, NULL);
	assert_return_code(p.remote, errno);
	ready.fd = p.sock;
	assert_int_equal(poll(&ready, 1, -1), 1);
	(void)close(listener);
	return p;
}

static void close_pair(struct pair *p)
{
	host_sock_ops.close(p->host, p->sock, false);
	(void)close(p->remote);
	host_free(p->host);
}

/* A want of memory is a pause, everything else an end. */
static void failed_send_is_told(void **state)
{
	static const struct {
		int error;
		int want;
	} rows[] = {{EINTR, EAGAIN}, {ENOBUFS, EAGAIN}, {ENOMEM, EAGAIN}, {EAGAIN, EAGAIN},
	    {EPIPE, EPIPE}, {ECONNRESET, ECONNRESET}, {ETIMEDOUT, ETIMEDOUT},
	    {EHOSTUNREACH, EHOSTUNREACH}};
	struct pair p = connect_pair(false);
	char bytes[2] = "ab";
	struct iovec iov[2] = {{bytes, 1}, {bytes + 1, 1}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t pieces = 1; pieces <= 2; pieces++) {
			set_failure(1, rows[i].error);
			assert_int_equal(host_tcp_send(p.host, p.sock, iov, pieces), -rows[i].want);
			assert_true(has_failed);
			set_failure(0, 0);
		}
	assert_int_equal(host_tcp_send(p.host, p.sock, iov, 2), 2);
	set_failure(1, ENOTCONN);
	assert_int_equal(host_tcp_shutdown(p.host, p.sock), -ENOTCONN);
	set_failure(1, ENOBUFS);
	assert_int_equal(host_tcp_result(p.host, p.sock), -ENOBUFS);
	set_failure(0, 0);
	close_pair(&p);
}

static void expect_peek(struct pair *p, size_t off, const char *want)
{
	char buf[16] = {0};
	struct iovec iov = {buf, strlen(want)};

	assert_int_equal(host_tcp_peek(p->host, p->sock, off, &iov, 1), strlen(want));
	assert_string_equal(buf, want);
}

/* Whatever part of it fails, the next peek finds what it should: the mirror of SO_PEEK_OFF stays right. */
static void failed_peek_leaves_the_offset_right(void **state)
{
	(void)state;
	for (int mode = 0; mode < 2; mode++) {
		struct pair p = connect_pair(mode != 0);
		struct pollfd ready = {.fd = p.sock, .events = POLLIN};
		char buf[16];
		struct iovec iov = {buf, 4};

		assert_int_equal(send(p.remote, "0123456789", 10, 0), 10);
		assert_int_equal(poll(&ready, 1, -1), 1);
		expect_peek(&p, 0, "0123");
		for (uint64_t n = 1; n <= 3; n++) {
			ssize_t got;

			set_failure(n, ENOMEM);
			got = host_tcp_peek(p.host, p.sock, 2, &iov, 1);
			set_failure(0, 0);
			assert_true(got == 4 || got == -ENOMEM);
			expect_peek(&p, 0, "0123");
			expect_peek(&p, 4, "4567");
		}
		set_failure(1, ENOMEM);
		assert_int_equal(host_tcp_consume(p.host, p.sock, 3), -ENOMEM);
		set_failure(0, 0);
		expect_peek(&p, 4, "4567");
		assert_int_equal(host_tcp_consume(p.host, p.sock, 3), 0);
		expect_peek(&p, 1, "4567");
		close_pair(&p);
	}
}

/* Segmentation that the kernel refuses is done here, datagram by datagram; other errors are told. */
static void failed_datagram_is_told_or_sent_otherwise(void **state)
{
	static const int refused[] = {EINVAL, EIO, EMSGSIZE, ENOPROTOOPT};
	static const int told[] = {EAGAIN, ENOBUFS, ECONNREFUSED, ENETUNREACH, EPERM};
	struct endpoint to;
	int listener = open_listener(AF_INET, SOCK_DGRAM, &to);
	char bytes[250] = {0};
	struct iovec iov = {bytes, sizeof(bytes)};

	(void)state;
	for (size_t i = 0;
	     i < sizeof(told) / sizeof(told[0]) + sizeof(refused) / sizeof(refused[0]); i++) {
		bool is_told = i < sizeof(told) / sizeof(told[0]);
		int error = is_told ? told[i] : refused[i - sizeof(told) / sizeof(told[0])];
		struct host *h = new_host(false);
		uint16_t gso;
		int sock;

		assert_int_equal(host_udp_open(h, &to, owner, &sock), 0);
		assert_int_equal(
		    host_udp_send(h, sock, &iov, 1, 0, false), 0); /* sets all options */
		assert_int_equal(recv(listener, bytes, sizeof(bytes), 0), 250);
		set_failure(1, error);
		assert_int_equal(host_udp_send(h, sock, &iov, 1, 100, false), is_told ? -error : 0);
		set_failure(1, error);
		assert_int_equal(host_udp_recv(h, sock, &iov, 1, &gso), -error);
		set_failure(0, 0);
		for (int n = 0; n < 3 && !is_told; n++)
			assert_int_equal(recv(listener, bytes, sizeof(bytes), 0), n < 2 ? 100 : 50);
		host_sock_ops.close(h, sock, false);
		host_free(h);
	}
	(void)close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sockets_that_cannot_be_opened_leave_no_descriptor),
	    cmocka_unit_test(host_that_cannot_be_made_leaves_no_descriptor),
	    cmocka_unit_test(turn_that_cannot_be_made_leaves_no_descriptor),
	    cmocka_unit_test(failed_send_is_told),
	    cmocka_unit_test(failed_peek_leaves_the_offset_right),
	    cmocka_unit_test(failed_datagram_is_told_or_sent_otherwise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
