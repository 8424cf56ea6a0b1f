/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's sockets behind struct sock_ops: what all kinds share. See host_tcp.c, host_udp.c.
 */
#include "host/host.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "host/host_internal.h"

enum {
	SOCKS_MIN = 64,
};

uint64_t host_pack_owner(struct sock_owner owner)
{
	return (uint64_t)owner.kind << 60 | (uint64_t)owner.ref.index << 32 | owner.ref.gen;
}

struct sock_owner host_unpack_owner(uint64_t data)
{
	return (struct sock_owner){
	    .kind = (enum sock_kind)(data >> 60),
	    .ref = {.index = (uint32_t)(data >> 32) & 0x0fffffff, .gen = (uint32_t)data},
	};
}

socklen_t host_sockaddr(const struct endpoint *e, struct sockaddr_storage *ret_addr)
{
	if (ip_addr_is_v4(&e->addr)) {
		struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(e->port)};

		memcpy(&a.sin_addr, e->addr.b + 12, 4);
		memcpy(ret_addr, &a, sizeof(a));
		return sizeof(a);
	}
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(e->port)};

	memcpy(&a.sin6_addr, e->addr.b, 16);
	memcpy(ret_addr, &a, sizeof(a));
	return sizeof(a);
}

void host_endpoint(const struct sockaddr_storage *addr, struct endpoint *ret_endpoint)
{
	if (addr->ss_family == AF_INET) {
		struct sockaddr_in a;

		memcpy(&a, addr, sizeof(a));
		*ret_endpoint = (struct endpoint){
		    .addr = ip_addr_v4(ntohl(a.sin_addr.s_addr)), .port = ntohs(a.sin_port)};
	} else {
		struct sockaddr_in6 a;

		memcpy(&a, addr, sizeof(a));
		ret_endpoint->port = ntohs(a.sin6_port);
		memcpy(ret_endpoint->addr.b, &a.sin6_addr, 16);
	}
}

bool host_is_self_connected(int fd, const struct endpoint *to)
{
	struct sockaddr_storage addr = {0};
	struct endpoint here = {0};
	socklen_t len = sizeof(addr);

	if (getsockname(fd, (struct sockaddr *)&addr, &len))
		return false;
	host_endpoint(&addr, &here);
	return here.port == to->port && ip_addr_eq(&here.addr, &to->addr);
}

int host_sock_add(struct host *h, int fd, struct host_sock sock)
{
	uint32_t index = (uint32_t)fd;

	if (index >= h->cfg.sock_limit)
		return -EMFILE;
	if (index >= h->sock_count) {
		uint32_t count = h->sock_count > 0 ? h->sock_count : SOCKS_MIN;
		struct host_sock *socks;

		while (count <= index)
			count *= 2;
		socks = reallocarray(h->socks, count, sizeof(*socks));
		if (!socks)
			return -ENOMEM;
		h->socks = socks;
		h->sock_count = count;
	}
	h->socks[index] = sock;
	return 0;
}

int host_watch(struct host *h, int fd, struct sock_owner owner, uint32_t events)
{
	struct epoll_event ev = {.events = events | EPOLLET, .data.u64 = host_pack_owner(owner)};

	return epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static void host_close(void *host, int sock, bool is_reset)
{
	(void)host;
	if (is_reset) {
		struct linger now = {.l_onoff = 1};

		(void)setsockopt(sock, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	}
	(void)close(sock); /* which also takes it out of the epoll set */
}

static void host_random(void *host, void *buf, size_t len)
{
	uint8_t *to = buf;

	(void)host;
	while (len > 0) {
		ssize_t n = getrandom(to, len, 0);

		if (n < 0 && errno != EINTR)
			abort(); /* never on Linux; without it no key would be secret */
		if (n > 0) {
			to += n;
			len -= (size_t)n;
		}
	}
}

const struct sock_ops host_sock_ops = {
    .tcp_connect = host_tcp_connect,
    .tcp_result = host_tcp_result,
    .tcp_send = host_tcp_send,
    .tcp_peek = host_tcp_peek,
    .tcp_consume = host_tcp_consume,
    .tcp_shutdown = host_tcp_shutdown,
    .tcp_accept = host_tcp_accept,
    .tcp_local = host_tcp_local,
    .adopt = host_adopt,
    .udp_open = host_udp_open,
    .udp_send = host_udp_send,
    .udp_recv = host_udp_recv,
    .udp_recv_from = host_udp_recv_from,
    .udp_send_to = host_udp_send_to,
    .udp_mtu = host_udp_mtu,
    .error_next = host_error_next,
    .ping_open = host_ping_open,
    .ping_send = host_ping_send,
    .ping_recv = host_ping_recv,
    .close = host_close,
    .random = host_random,
};

static bool kernel_has_peek_offset(int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int zero = 0;
	bool has = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &zero, sizeof(zero)) == 0;

	if (fd >= 0)
		(void)close(fd);
	return has;
}

int host_new(const struct host_config *cfg, struct host **ret_host)
{
	struct host *h = calloc(1, sizeof(*h));
	int err;

	if (!h)
		return -ENOMEM;
	h->cfg = *cfg;
	h->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (h->epoll_fd < 0) {
		err = -errno;
		host_free(h);
		return err;
	}
	if (!cfg->no_peek_offset) {
		h->has_peek_offset[0] = kernel_has_peek_offset(AF_INET);
		h->has_peek_offset[1] = kernel_has_peek_offset(AF_INET6);
	}
	*ret_host = h;
	return 0;
}

void host_free(struct host *h)
{
	if (!h)
		return;
	if (h->epoll_fd >= 0)
		(void)close(h->epoll_fd);
	free(h->socks);
	free(h->discard);
	free(h);
}

void host_set_follow(struct host *h, struct host_follow *f)
{
	h->follow = f;
}

void host_set_udp_gro(struct host *h, bool has_udp_gro)
{
	h->cfg.has_udp_gro = has_udp_gro;
}

uint64_t host_now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}
