/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP and ping sockets of the host.
 *
 * Every socket is connected, or bound to a published port, or, for ping, one per family; errors that the network reports come back through
 * the error queue (IP_RECVERR), with the ICMP type and code that the guest is to see.
 */
#include <netinet/in.h>

#include "host/host_internal.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <netinet/udp.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/rd.h"
#include "base/wr.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum {
	ECHO_HDR_LEN = 8,
	GSO_IOV_MAX = 64,
	RCVBUF_LEN = 1 << 20, /* of a UDP socket: a burst waits here until the engine's turn */
};

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) ? -errno : 0;
}

static int open_dgram(struct host *h, bool is_v4, int proto)
{
	int fd =
	    socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, proto);
	int err;

	if (fd < 0)
		return -errno;
	err = is_v4 ? set_int(fd, IPPROTO_IP, IP_RECVERR, 1)
		    : set_int(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
	if (!err)
		err = host_sock_add(
		    h, fd, (struct host_sock){.peek_off = -1, .family = is_v4 ? 4 : 6});
	if (err) {
		(void)close(fd);
		return err;
	}
	return fd;
}

int host_udp_open(void *host, const struct endpoint *to, struct sock_owner owner, int *ret_sock)
{
	struct host *h = host;
	struct sockaddr_storage addr;
	socklen_t len = host_sockaddr(to, &addr);
	int fd = open_dgram(h, ip_addr_is_v4(&to->addr), 0);
	int err = 0;

	if (fd < 0)
		return fd;
	/* The kernel gives less where net.core.rmem_max says so. */
	(void)set_int(fd, SOL_SOCKET, SO_RCVBUF, RCVBUF_LEN);
	/* What joined answers of a resolver need to be told apart is not worth it. */
	if (h->cfg.has_udp_gro && owner.kind != SOCK_DNS)
		(void)set_int(
		    fd, IPPROTO_UDP, UDP_GRO, 1); /* without it datagrams come one by one */
	if (connect(fd, (struct sockaddr *)&addr, len))
		err = -errno;
	if (!err && host_is_self_connected(fd, to))
		err = -ECONNREFUSED;
	if (!err)
		err = host_watch(h, fd, owner, EPOLLIN);
	if (err) {
		(void)close(fd);
		return err;
	}
	*ret_sock = fd;
	return 0;
}

/* What is set for all sockets of datagrams; without it they come one by one. */
void host_udp_adopt(struct host *h, int sock)
{
	if (h->cfg.has_udp_gro)
		(void)set_int(sock, IPPROTO_UDP, UDP_GRO, 1);
}

/* Lets the kernel fragment, or forbids it, as the guest's own packet did. */
static void set_fragmentation(struct host_sock *s, int sock, bool has_df)
{
	int mode = has_df ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT;

	if (s->pmtu_mode == mode + 1)
		return;
	if (s->family == 4)
		(void)set_int(sock, IPPROTO_IP, IP_MTU_DISCOVER, mode);
	else
		(void)set_int(sock, IPPROTO_IPV6, IPV6_MTU_DISCOVER, mode);
	s->pmtu_mode = (uint8_t)(mode + 1);
}

/* Appends a control message behind those that msg has. */
static void add_control(struct msghdr *msg, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *c =
	    (struct cmsghdr *)(void *)((char *)msg->msg_control + msg->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	msg->msg_controllen += CMSG_SPACE(len);
}

static void add_source(struct msghdr *msg, const struct ip_addr *from)
{
	struct in_pktinfo v4 = {0};
	struct in6_pktinfo v6 = {0};

	if (ip_addr_is_unset(from))
		return;
	if (ip_addr_is_v4(from)) {
		memcpy(&v4.ipi_spec_dst, from->b + 12, sizeof(v4.ipi_spec_dst));
		add_control(msg, IPPROTO_IP, IP_PKTINFO, &v4, sizeof(v4));
	} else {
		memcpy(&v6.ipi6_addr, from->b, sizeof(v6.ipi6_addr));
		add_control(msg, IPPROTO_IPV6, IPV6_PKTINFO, &v6, sizeof(v6));
	}
}

/* how: to whom and from where, or NULL for a connected socket. */
static ssize_t send_one(int sock, const struct iovec *iov, size_t iov_count, uint16_t gso_size,
    const struct sock_send *how)
{
	union {
		char bytes[CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(struct in6_pktinfo))];
		struct cmsghdr align;
	} control;
	struct sockaddr_storage name;
	struct msghdr msg = {.msg_iov = host_msg_iov(iov), .msg_iovlen = iov_count};

	if (gso_size > 0 || how) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = control.bytes;
	}
	if (gso_size > 0)
		add_control(&msg, IPPROTO_UDP, UDP_SEGMENT, &gso_size, sizeof(gso_size));
	if (how) {
		msg.msg_namelen = host_sockaddr(how->to, &name);
		msg.msg_name = &name;
		add_source(&msg, how->from);
	}
	return sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Sends datagram by datagram what the kernel or the path does not take in one piece. */
static ssize_t send_split(int sock, const struct iovec *iov, size_t iov_count, uint16_t gso_size,
    const struct sock_send *how)
{
	size_t i = 0;
	size_t at = 0;
	ssize_t result = 0;

	while (i < iov_count) {
		struct iovec piece[GSO_IOV_MAX];
		size_t n = 0;
		size_t left = gso_size;

		while (left > 0 && i < iov_count && n < GSO_IOV_MAX) {
			size_t step = iov[i].iov_len - at < left ? iov[i].iov_len - at : left;

			if (step > 0)
				piece[n++] = (struct iovec){
				    .iov_base = (char *)iov[i].iov_base + at, .iov_len = step};
			left -= step;
			at += step;
			if (at == iov[i].iov_len) {
				i++;
				at = 0;
			}
		}
		if (n > 0) {
			ssize_t err = send_one(sock, piece, n, 0, how);

			/* It may be that of an earlier one, which is gone with this. */
			if (err && err != -EAGAIN)
				err = send_one(sock, piece, n, 0, how);
			result = err ? err : result;
		}
	}
	return result;
}

static ssize_t send_dgram(struct host *h, int sock, const struct iovec *iov, size_t iov_count,
    uint16_t gso_size, bool has_df, const struct sock_send *how)
{
	struct host_sock *s = &h->socks[sock];
	ssize_t err;

	set_fragmentation(s, sock, has_df);
	if (gso_size > 0 && s->gso_refused > 0)
		return send_split(sock, iov, iov_count, gso_size, how);
	err = send_one(sock, iov, iov_count, gso_size, how);
	if (gso_size > 0 &&
	    (err == -EINVAL || err == -EIO || err == -EMSGSIZE || err == -ENOPROTOOPT)) {
		/* An old kernel, a device without checksum offload, or a path with a smaller MTU. */
		s->gso_refused = 1;
		err = send_split(sock, iov, iov_count, gso_size, how);
	}
	return err;
}

ssize_t host_udp_send(
    void *host, int sock, const struct iovec *iov, size_t iov_count, uint16_t gso_size, bool has_df)
{
	return send_dgram(host, sock, iov, iov_count, gso_size, has_df, NULL);
}

ssize_t host_udp_send_to(
    void *host, int sock, const struct iovec *iov, size_t iov_count, const struct sock_send *how)
{
	return send_dgram(host, sock, iov, iov_count, how->gso_size, how->has_df, how);
}

/* What came with a datagram: gso_size and, if it was asked for, the address that it was sent to. */
static void read_control(
    struct msghdr *msg, ssize_t n, uint16_t *ret_gso_size, struct ip_addr *ret_local)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		struct in_pktinfo v4;
		struct in6_pktinfo v6;
		int size;

		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			memcpy(&size, CMSG_DATA(c), sizeof(size));
			if (size > 0 && size < n)
				*ret_gso_size = (uint16_t)size;
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&v4, CMSG_DATA(c), sizeof(v4));
			*ret_local = ip_addr_v4(ntohl(v4.ipi_spec_dst.s_addr));
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&v6, CMSG_DATA(c), sizeof(v6));
			memcpy(ret_local->b, &v6.ipi6_addr, sizeof(ret_local->b));
			/* Sent to a group: no address to answer from. */
			if (ip_addr_is_multicast(ret_local))
				*ret_local = (struct ip_addr){{0}};
		}
	}
}

static ssize_t receive(
    int sock, struct msghdr *msg, uint16_t *ret_gso_size, struct ip_addr *ret_local)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct in6_pktinfo))];
		struct cmsghdr align;
	} control;
	ssize_t n;

	msg->msg_control = control.bytes;
	msg->msg_controllen = sizeof(control.bytes);
	n = recvmsg(sock, msg, MSG_DONTWAIT);
	*ret_gso_size = 0;
	if (n < 0)
		return -errno;
	read_control(msg, n, ret_gso_size, ret_local);
	return n;
}

ssize_t host_udp_recv_from(void *host, int sock, const struct iovec *iov, size_t iov_count,
    uint16_t *ret_gso_size, struct endpoint *ret_from, struct ip_addr *ret_local)
{
	struct sockaddr_storage name;
	struct msghdr msg = {.msg_name = &name,
	    .msg_namelen = sizeof(name),
	    .msg_iov = host_msg_iov(iov),
	    .msg_iovlen = iov_count};
	ssize_t n;

	(void)host;
	*ret_local = (struct ip_addr){{0}};
	n = receive(sock, &msg, ret_gso_size, ret_local);
	if (n >= 0)
		host_endpoint(&name, ret_from);
	return n;
}

ssize_t host_udp_recv(
    void *host, int sock, const struct iovec *iov, size_t iov_count, uint16_t *ret_gso_size)
{
	struct msghdr msg = {.msg_iov = host_msg_iov(iov), .msg_iovlen = iov_count};
	struct ip_addr local;

	(void)host;
	return receive(sock, &msg, ret_gso_size, &local);
}

uint32_t host_udp_mtu(void *host, int sock)
{
	struct host *h = host;
	bool is_v4 = h->socks[sock].family == 4;
	int mtu = 0;
	socklen_t len = sizeof(mtu);

	if (getsockopt(
		sock, is_v4 ? IPPROTO_IP : IPPROTO_IPV6, is_v4 ? IP_MTU : IPV6_MTU, &mtu, &len))
		return 0;
	return mtu > 0 ? (uint32_t)mtu : 0;
}

static void read_extended_error(const struct msghdr *msg, struct sock_error *err)
{
	struct msghdr copy = *msg;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&copy); c; c = CMSG_NXTHDR(&copy, c)) {
		struct sock_extended_err e;
		bool is_v4 = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR;
		bool is_v6 = c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR;

		if ((!is_v4 && !is_v6) || c->cmsg_len < CMSG_LEN(sizeof(e)))
			continue;
		memcpy(&e, CMSG_DATA(c), sizeof(e));
		err->error = (int)e.ee_errno;
		err->is_icmp =
		    e.ee_origin == SO_EE_ORIGIN_ICMP || e.ee_origin == SO_EE_ORIGIN_ICMP6;
		err->family = is_v4 ? 4 : 6;
		err->type = e.ee_type;
		err->code = e.ee_code;
		err->mtu = e.ee_errno == EMSGSIZE ? e.ee_info : 0;
	}
}

int host_error_next(void *host, int sock, struct sock_error *ret_error, uint8_t *buf, size_t cap)
{
	union {
		char bytes[512];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = buf, .iov_len = cap};
	struct sockaddr_storage name;
	struct msghdr msg = {
	    .msg_name = &name,
	    .msg_namelen = sizeof(name),
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(sock, &msg, MSG_ERRQUEUE | MSG_DONTWAIT);
	struct rd r;

	(void)host;
	if (n < 0)
		return 0;
	*ret_error = (struct sock_error){.len = (size_t)n};
	if (msg.msg_namelen > 0)
		host_endpoint(&name, &ret_error->to);
	read_extended_error(&msg, ret_error);
	r = rd_init(buf, (size_t)n); /* of a ping socket: the echo request from its type on */
	rd_skip(&r, 6);
	ret_error->seq = rd_be16(&r);
	return 1;
}

int host_ping_open(void *host, uint8_t family, struct sock_owner owner, int *ret_sock)
{
	struct host *h = host;
	int fd = open_dgram(h, family == 4, family == 4 ? (int)IPPROTO_ICMP : (int)IPPROTO_ICMPV6);
	int err;

	if (fd < 0)
		return fd;
	err = host_watch(h, fd, owner, EPOLLIN);
	if (err) {
		(void)close(fd);
		return err;
	}
	*ret_sock = fd;
	return 0;
}

ssize_t host_ping_send(void *host, int sock, const struct ip_addr *to, uint16_t seq,
    const struct iovec *payload, size_t iov_count)
{
	struct host *h = host;
	struct endpoint e = {.addr = *to};
	struct sockaddr_storage addr;
	uint8_t header[ECHO_HDR_LEN] = {
	    h->socks[sock].family == 4 ? (uint8_t)ICMP_ECHO : (uint8_t)ICMPV6_ECHO_REQUEST};
	struct iovec iov[GSO_IOV_MAX];
	struct msghdr msg = {.msg_name = &addr, .msg_iov = iov, .msg_iovlen = iov_count + 1};

	if (iov_count >= GSO_IOV_MAX)
		return -EMSGSIZE;
	msg.msg_namelen = host_sockaddr(&e, &addr);
	put_be16(header + 6, seq);
	iov[0] = (struct iovec){.iov_base = header, .iov_len = sizeof(header)};
	memcpy(iov + 1, payload, iov_count * sizeof(*iov));
	return sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

ssize_t host_ping_recv(
    void *host, int sock, struct ip_addr *ret_from, uint16_t *ret_seq, uint8_t *buf, size_t cap)
{
	uint8_t header[ECHO_HDR_LEN];
	struct iovec iov[2] = {
	    {.iov_base = header, .iov_len = sizeof(header)}, {.iov_base = buf, .iov_len = cap}};
	struct sockaddr_storage addr;
	struct endpoint from;
	struct msghdr msg = {
	    .msg_name = &addr, .msg_namelen = sizeof(addr), .msg_iov = iov, .msg_iovlen = 2};
	ssize_t n = recvmsg(sock, &msg, MSG_DONTWAIT);

	(void)host;
	if (n < 0)
		return -errno;
	if (n < ECHO_HDR_LEN)
		return -EBADMSG;
	host_endpoint(&addr, &from);
	*ret_from = from.addr;
	*ret_seq = (uint16_t)(header[6] << 8 | header[7]);
	return n - ECHO_HDR_LEN;
}
