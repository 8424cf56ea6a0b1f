/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP sockets of the host.
 *
 * Peeking: since Linux 6.9 a socket can keep a peek offset (SO_PEEK_OFF), so that each byte is copied
 * once although it stays in the queue. The kernel moves the offset with every peek and back with
 * every read; peek_off mirrors it, and it is only set when the wanted offset is another one (after a
 * retransmission). Before 6.9 the bytes before the wanted ones are peeked too, into one small buffer
 * that the pieces of the message name again and again.
 */
#include "host/host_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	KEEPALIVE_DEFAULT_S = 7200, /* net.ipv4.tcp_keepalive_time */
};

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) ? -errno : 0;
}

static int set_keepalive(int fd, int idle_s)
{
	int err = set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);

	/* The time that every Linux has from the start need not be said. */
	return !err && idle_s != KEEPALIVE_DEFAULT_S
		   ? set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle_s)
		   : err;
}

static int open_tcp(struct host *h, bool is_v4)
{
	int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool has_offset = h->has_peek_offset[!is_v4];
	int err;

	if (fd < 0)
		return -errno;
	/* The guest's own Nagle algorithm has decided what to send; urgent data stays in the stream. */
	err = set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (!err && h->cfg.keepalive_s > 0)
		err = set_keepalive(fd, (int)h->cfg.keepalive_s);
	if (!err)
		err = set_int(fd, SOL_SOCKET, SO_OOBINLINE, 1);
	if (!err && has_offset)
		err = set_int(fd, SOL_SOCKET, SO_PEEK_OFF, 0);
	if (!err)
		err = host_sock_add(h, fd,
		    (struct host_sock){.peek_off = has_offset ? 0 : -1, .family = is_v4 ? 4 : 6});
	if (err) {
		(void)close(fd);
		return err;
	}
	return fd;
}

int host_tcp_connect(void *host, const struct endpoint *to, struct sock_owner owner, int *ret_sock)
{
	struct host *h = host;
	struct sockaddr_storage addr;
	socklen_t len = host_sockaddr(to, &addr);
	int fd = open_tcp(h, ip_addr_is_v4(&to->addr));
	int err = 0;

	if (fd < 0)
		return fd;
	if (connect(fd, (struct sockaddr *)&addr, len) && errno != EINPROGRESS)
		err = -errno;
	if (!err && host_is_self_connected(fd, to))
		err = -ECONNREFUSED;
	if (!err)
		err = host_watch(h, fd, owner, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI);
	if (err) {
		(void)close(fd);
		return err;
	}
	*ret_sock = fd;
	return 0;
}

int host_tcp_result(void *host, int sock)
{
	int err = 0;
	socklen_t len = sizeof(err);

	(void)host;
	if (getsockopt(sock, SOL_SOCKET, SO_ERROR, &err, &len))
		return -errno;
	return -err;
}

ssize_t host_tcp_send(void *host, int sock, const struct iovec *iov, size_t iov_count)
{
	struct msghdr msg = {.msg_iov = host_msg_iov(iov), .msg_iovlen = iov_count};
	ssize_t n;

	(void)host;
	if (iov_count == 1)
		n = send(sock, iov->iov_base, iov->iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
	else
		n = sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == ENOBUFS || errno == ENOMEM || errno == EINTR ? -EAGAIN : -errno;
	return n;
}

static ssize_t peek(int sock, const struct iovec *iov, size_t iov_count)
{
	struct msghdr msg = {.msg_iov = host_msg_iov(iov), .msg_iovlen = iov_count};
	ssize_t n;

	if (iov_count == 1)
		n = recv(sock, iov->iov_base, iov->iov_len, MSG_PEEK | MSG_DONTWAIT);
	else
		n = recvmsg(sock, &msg, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	return n;
}

/* Peeks the skipped bytes into the discard buffer, once for each of its lengths. */
static ssize_t peek_behind(
    struct host *h, int sock, size_t off, const struct iovec *iov, size_t iov_count)
{
	struct iovec all[HOST_PEEK_IOV];
	size_t left = off;
	size_t n = 0;
	ssize_t got;

	if (!h->discard)
		h->discard = malloc(HOST_DISCARD_LEN);
	if (!h->discard || iov_count > HOST_PEEK_IOV / 2)
		return -ENOMEM;
	for (; left > 0; n++) {
		size_t step = left < HOST_DISCARD_LEN ? left : HOST_DISCARD_LEN;

		if (n == HOST_PEEK_IOV - iov_count)
			return -ENOBUFS; /* cannot be: windows are smaller, TCP_SND_WND_MAX */
		all[n] = (struct iovec){.iov_base = h->discard, .iov_len = step};
		left -= step;
	}
	for (size_t i = 0; i < iov_count; i++)
		all[n++] = iov[i];
	got = peek(sock, all, n);
	if (got < 0)
		return got;
	/* Only the skipped bytes are there. The end of file looks the same; SOCK_HANGUP tells it. */
	return (size_t)got > off ? got - (ssize_t)off : -EAGAIN;
}

ssize_t host_tcp_peek(void *host, int sock, size_t off, const struct iovec *iov, size_t iov_count)
{
	struct host *h = host;
	struct host_sock *s = &h->socks[sock];
	ssize_t n;

	if (s->peek_off < 0)
		return off > 0 ? peek_behind(h, sock, off, iov, iov_count)
			       : peek(sock, iov, iov_count);
	if ((size_t)s->peek_off != off) {
		int err = set_int(sock, SOL_SOCKET, SO_PEEK_OFF, (int)off);

		if (err)
			return err;
		s->peek_off = (int32_t)off;
	}
	n = peek(sock, iov, iov_count);
	if (n > 0)
		s->peek_off += (int32_t)n;
	return n;
}

int host_tcp_consume(void *host, int sock, size_t len)
{
	struct host *h = host;
	struct host_sock *s = &h->socks[sock];
	size_t left = len;

	/* More than one turn where an urgent mark lies between: each read ends there. */
	while (left > 0) {
		ssize_t n = recv(sock, NULL, left, MSG_TRUNC | MSG_DONTWAIT);

		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		left -= (size_t)n;
	}
	if (s->peek_off >= 0)
		s->peek_off = (size_t)s->peek_off > len ? s->peek_off - (int32_t)len : 0;
	return 0;
}

int host_tcp_shutdown(void *host, int sock)
{
	(void)host;
	return shutdown(sock, SHUT_WR) ? -errno : 0;
}

int host_tcp_accept(void *host, int listener, int *ret_sock, struct endpoint *ret_peer)
{
	struct host *h = host;
	struct sockaddr_storage addr = {0};
	socklen_t len = sizeof(addr);
	int fd = accept4(listener, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	bool is_v4 = addr.ss_family == AF_INET;
	int err = 0;

	if (fd < 0)
		return -errno;
	/* All other options are those of the listening socket, host_listen(). */
	if (h->has_peek_offset[!is_v4])
		err = set_int(fd, SOL_SOCKET, SO_PEEK_OFF, 0);
	if (!err)
		err = host_sock_add(h, fd,
		    (struct host_sock){
			.peek_off = h->has_peek_offset[!is_v4] ? 0 : -1, .family = is_v4 ? 4 : 6});
	if (err) {
		(void)close(fd);
		return err;
	}
	host_endpoint(&addr, ret_peer);
	*ret_sock = fd;
	return 0;
}

int host_tcp_local(void *host, int sock, struct endpoint *ret_local)
{
	struct sockaddr_storage addr = {0};
	socklen_t len = sizeof(addr);

	(void)host;
	if (getsockname(sock, (struct sockaddr *)&addr, &len))
		return -errno;
	host_endpoint(&addr, ret_local);
	return 0;
}

int host_adopt(void *host, int sock, struct sock_owner owner)
{
	struct host *h = host;
	uint32_t events = EPOLLIN;
	struct endpoint local;
	int err = 0;

	if (owner.kind == SOCK_TCP) {
		events |= EPOLLOUT | EPOLLRDHUP | EPOLLPRI;
	} else {
		err = host_tcp_local(h, sock, &local);
		if (!err)
			err = host_sock_add(h, sock,
			    (struct host_sock){
				.peek_off = -1, .family = ip_addr_is_v4(&local.addr) ? 4 : 6});
	}
	if (!err && owner.kind == SOCK_PUBLISHED)
		host_udp_adopt(h, sock);
	return err ? err : host_watch(h, sock, owner, events);
}
