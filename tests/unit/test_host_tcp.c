/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP sockets of the host against the kernel's own, on loopback: what the relay builds upon, with and without
 * SO_PEEK_OFF.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/host.h"
#include "host/host_internal.h"

struct pair {
	struct host *host;
	int sock;   /* ours */
	int remote; /* the other side's, blocking */
	size_t consumed;
};

static void wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	assert_int_equal(poll(&p, 1, -1), 1);
}

static struct pair connect_pair(bool no_peek_offset)
{
	struct host_config cfg = {.sock_limit = 1024, .no_peek_offset = no_peek_offset};
	struct sockaddr_in addr = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct endpoint to = {.addr = ip_addr_v4(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	struct pair p = {0};

	assert_return_code(bind(listener, (struct sockaddr *)&addr, len), errno);
	assert_return_code(listen(listener, 1), errno);
	assert_return_code(getsockname(listener, (struct sockaddr *)&addr, &len), errno);
	to.port = ntohs(addr.sin_port);
	assert_int_equal(host_new(&cfg, &p.host), 0);
	assert_int_equal(host_tcp_connect(p.host, &to, (struct sock_owner){0}, &p.sock), 0);
	p.remote = accept(listener, NULL, NULL);
	assert_return_code(p.remote, errno);
	wait_for(p.sock, POLLOUT);
	assert_int_equal(host_tcp_result(p.host, p.sock), 0);
	(void)close(listener);
	return p;
}

/* A network namespace in which the kernel has but one port to give. */
static bool enter_narrow_namespace(void)
{
	static const char range[] = "40000 40000";
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd;
	bool is_up;

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	is_up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &lo) == 0;
	(void)close(fd);
	fd = open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY);
	is_up = is_up && fd >= 0 && write(fd, range, sizeof(range) - 1) == sizeof(range) - 1;
	(void)close(fd);
	return is_up;
}

/* 0: refused; 1: not; 2: there are no namespaces here. */
static int connect_to_nobody(void)
{
	struct host_config cfg = {.sock_limit = 1024};
	struct endpoint to = {.addr = ip_addr_v4(INADDR_LOOPBACK), .port = 40000};
	struct host *h;
	int sock;

	if (!enter_narrow_namespace() || host_new(&cfg, &h))
		return 2;
	if (host_tcp_connect(h, &to, (struct sock_owner){0}, &sock) != -ECONNREFUSED)
		return 1;
	if (host_udp_open(h, &to, (struct sock_owner){0}, &sock) != -ECONNREFUSED)
		return 1;
	to.addr = (struct ip_addr){.b = {[15] = 1}};
	if (host_tcp_connect(h, &to, (struct sock_owner){0}, &sock) != -ECONNREFUSED)
		return 1;
	host_free(h);
	return 0;
}

static void p10_socket_that_would_connect_to_itself_is_refused(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_return_code(pid, errno);
	if (pid == 0)
		_exit(connect_to_nobody());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 2)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void close_pair(struct pair *p)
{
	host_sock_ops.close(p->host, p->sock, false);
	(void)close(p->remote);
	host_free(p->host);
}

static uint8_t byte_at(size_t off)
{
	return (uint8_t)(off * 7 + off / 256);
}

/* The remote side sends bytes off .. off + len - 1 of the stream, and they arrive. */
static void remote_sends(struct pair *p, size_t off, size_t len, int flags)
{
	uint8_t buf[4096];
	int queued = (int)(off + len - p->consumed);

	for (size_t i = 0; i < len; i++)
		buf[i] = byte_at(off + i);
	assert_int_equal(send(p->remote, buf, len, flags), len);
	assert_return_code(
	    setsockopt(p->sock, SOL_SOCKET, SO_RCVLOWAT, &queued, sizeof(queued)), errno);
	wait_for(p->sock, POLLIN);
}

static void consume(struct pair *p, size_t len)
{
	assert_int_equal(host_tcp_consume(p->host, p->sock, len), 0);
	p->consumed += len;
}

/* Peeks at off behind what was consumed; what comes must be right. Returns as host_tcp_peek(). */
static ssize_t peek_at(struct pair *p, size_t off, size_t len)
{
	uint8_t *buf = malloc(len);
	struct iovec iov = {.iov_base = buf, .iov_len = len};
	ssize_t n;

	assert_non_null(buf);
	n = host_tcp_peek(p->host, p->sock, off, &iov, 1);
	for (ssize_t i = 0; i < n; i++)
		assert_int_equal(buf[i], byte_at(p->consumed + off + (size_t)i));
	free(buf);
	return n;
}

static void check_peek(bool no_peek_offset)
{
	struct pair p = connect_pair(no_peek_offset);

	remote_sends(&p, 0, 1000, 0);
	assert_int_equal(peek_at(&p, 0, 400), 400);
	assert_int_equal(peek_at(&p, 400, 400), 400);
	assert_int_equal(peek_at(&p, 100, 2000), 900); /* sent again */
	assert_int_equal(peek_at(&p, 1000, 10), -EAGAIN);
	consume(&p, 300);
	assert_int_equal(peek_at(&p, 0, 2000), 700);
	assert_int_equal(peek_at(&p, 650, 2000), 50);
	consume(&p, 700);
	remote_sends(&p, 1000, 10, 0);
	assert_int_equal(peek_at(&p, 0, 2000), 10);
	assert_return_code(shutdown(p.remote, SHUT_WR), errno);
	wait_for(p.sock, POLLRDHUP);
	if (no_peek_offset)
		assert_int_equal(peek_at(&p, 10, 10), -EAGAIN); /* sock.h says so */
	else
		assert_int_equal(peek_at(&p, 10, 10), 0);
	consume(&p, 10);
	assert_int_equal(peek_at(&p, 0, 10), 0);
	close_pair(&p);
}

static void peek_finds_any_offset(void **state)
{
	(void)state;
	check_peek(false);
	check_peek(true);
}

/* threats.md P9: the kernel ends each read at the urgent mark, also one that takes bytes off. */
static void check_urgent(bool no_peek_offset)
{
	struct pair p = connect_pair(no_peek_offset);

	remote_sends(&p, 0, 500, 0);
	remote_sends(&p, 500, 1, MSG_OOB);
	remote_sends(&p, 501, 499, 0);
	wait_for(p.sock, POLLPRI);
	assert_int_equal(peek_at(&p, 0, 2000), 500);
	if (!no_peek_offset) {
		assert_int_equal(peek_at(&p, 500, 2000), 500);
		consume(&p, 700);
		assert_int_equal(peek_at(&p, 0, 2000), 300);
	} else {
		assert_int_equal(peek_at(&p, 500, 2000), -EAGAIN);
		consume(&p, 500);
		assert_int_equal(peek_at(&p, 0, 2000), 500);
		consume(&p, 200);
		assert_int_equal(peek_at(&p, 0, 2000), 300);
	}
	close_pair(&p);
}

static void urgent_mark_loses_no_byte(void **state)
{
	(void)state;
	check_urgent(false);
	check_urgent(true);
}

/* B8: what came before a reset is still there, and the reset is told. */
static void reset_leaves_what_came_before_it(void **state)
{
	struct pair p = connect_pair(false);
	struct linger now = {.l_onoff = 1};

	(void)state;
	remote_sends(&p, 0, 100, 0);
	assert_return_code(setsockopt(p.remote, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), errno);
	(void)close(p.remote);
	wait_for(p.sock, POLLERR);
	assert_int_equal(host_tcp_result(p.host, p.sock), -ECONNRESET);
	assert_int_equal(peek_at(&p, 0, 2000), 100);
	p.remote = -1;
	close_pair(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(peek_finds_any_offset),
	    cmocka_unit_test(urgent_mark_loses_no_byte),
	    cmocka_unit_test(reset_leaves_what_came_before_it),
	    cmocka_unit_test(p10_socket_that_would_connect_to_itself_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
