/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets of published ports; see listen.h.
 *
 * The kernel completes the handshake of a client before anybody can ask the guest. So that few clients stand there
 * with a connection of which the guest does not know, the queue is short; the engine takes them out of it as fast
 * as the guest answers.
 */
#include "host/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "host/host_internal.h"

enum {
	BACKLOG = 128, /* clients that the engine has not seen: a burst between two of its turns */
	KEEPALIVE_DEFAULT_S = 7200, /* net.ipv4.tcp_keepalive_time */
	RCVBUF_LEN = 1 << 20, /* of a UDP socket: a burst waits here until the engine's turn */
};

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) ? -errno : 0;
}

/* What an accepted socket has from its listener. */
static int set_tcp(int fd, uint32_t keepalive_s)
{
	int err = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);

	if (!err)
		err = set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (!err)
		err = set_int(fd, SOL_SOCKET, SO_OOBINLINE, 1);
	if (!err && keepalive_s > 0)
		err = set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	if (!err && keepalive_s > 0 && keepalive_s != KEEPALIVE_DEFAULT_S)
		err = set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)keepalive_s);
	return err;
}

/* To whom a datagram was sent is told with it, so that the answer can come from there. */
static int set_udp(int fd, bool is_v4)
{
	int err = is_v4 ? set_int(fd, IPPROTO_IP, IP_PKTINFO, 1)
			: set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);

	if (!err)
		err = is_v4 ? set_int(fd, IPPROTO_IP, IP_RECVERR, 1)
			    : set_int(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
	/* The kernel gives less where net.core.rmem_max says so. */
	(void)set_int(fd, SOL_SOCKET, SO_RCVBUF, RCVBUF_LEN);
	return err;
}

static int bind_to(int fd, struct publish_spec *spec)
{
	struct sockaddr_storage addr;
	socklen_t len = host_sockaddr(&spec->host, &addr);

	if (bind(fd, (struct sockaddr *)&addr, len) < 0)
		return -errno;
	if (spec->proto == POLICY_TCP && listen(fd, BACKLOG) < 0)
		return -errno;
	len = sizeof(addr);
	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		return -errno;
	host_endpoint(&addr, &spec->host);
	return 0;
}

int host_listen(struct publish_spec *spec, uint32_t keepalive_s, int *ret_fd)
{
	bool is_v4 = ip_addr_is_v4(&spec->host.addr);
	int type = spec->proto == POLICY_TCP ? SOCK_STREAM : SOCK_DGRAM;
	int fd = socket(is_v4 ? AF_INET : AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err = 0;

	if (fd < 0)
		return -errno;
	/* What is published in one family is not published in the other. */
	if (!is_v4)
		err = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (!err)
		err = spec->proto == POLICY_TCP ? set_tcp(fd, keepalive_s) : set_udp(fd, is_v4);
	if (!err)
		err = bind_to(fd, spec);
	if (err) {
		(void)close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

const char *host_listen_reason(int err)
{
	switch (-err) {
	case EADDRINUSE:
		return "the port is in use already; choose another one, or 0 to have one picked";
	case EADDRNOTAVAIL:
		return "the host has no such address; use one of its own, or 0.0.0.0 or [::] for "
		       "all";
	case EACCES:
		return "the host reserves low ports (net.ipv4.ip_unprivileged_port_start); choose "
		       "a "
		       "higher one";
	case EAFNOSUPPORT:
		return "the host does not know this address family; use an address of the other "
		       "one";
	default:
		return strerrordesc_np(-err);
	}
}
