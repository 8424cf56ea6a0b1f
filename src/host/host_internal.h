/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of src/host. */
#ifndef SLUICE_HOST_HOST_INTERNAL_H
#define SLUICE_HOST_HOST_INTERNAL_H

#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/list.h"
#include "host/host.h"

enum {
	HOST_DISCARD_LEN = 65536,
	HOST_PEEK_IOV = 1024, /* UIO_MAXIOV */
};

/* What is known of one descriptor. */
struct host_sock {
	int32_t peek_off;     /* SO_PEEK_OFF as the kernel has it; -1: not set on this socket */
	uint16_t gso_refused; /* the kernel refused segmentation offload on this socket */
	uint8_t pmtu_mode;    /* IP_PMTUDISC_... + 1 as last set; 0: never */
	uint8_t family;       /* 4 or 6 */
};

struct host {
	int epoll_fd;
	struct host_config cfg;
	bool has_peek_offset[2];    /* AF_INET, AF_INET6 */
	struct host_sock *socks;    /* by descriptor; grows with the highest one */
	uint32_t sock_count;        /* entries of socks */
	struct host_follow *follow; /* borrowed; NULL: the host's addresses are not followed */
	uint8_t *discard; /* where bytes are peeked to that were peeked before; NULL until needed */
};

/* What epoll_event.data holds. */
uint64_t host_pack_owner(struct sock_owner owner);
struct sock_owner host_unpack_owner(uint64_t data);

socklen_t host_sockaddr(const struct endpoint *e, struct sockaddr_storage *ret_addr);
void host_endpoint(const struct sockaddr_storage *addr, struct endpoint *ret_endpoint);

/* What a struct msghdr wants: it is used for both directions and has no const. */
static inline struct iovec *host_msg_iov(const struct iovec *iov)
{
	union {
		const struct iovec *in;
		struct iovec *out;
	} u = {.in = iov};

	return u.out;
}

/* Begins to know a socket that was just made. 0, -EMFILE behind the limit, or -ENOMEM. */
int host_sock_add(struct host *h, int fd, struct host_sock sock);

/* Where nobody listens on a port of the host's own, the kernel may give the socket this very port: then it has
 * connected to itself (threat P10). The port is given before connect() returns. */
bool host_is_self_connected(int fd, const struct endpoint *to);

/* Registers a socket, edge-triggered. 0 or -errno. */
int host_watch(struct host *h, int fd, struct sock_owner owner, uint32_t events);

/* host_tcp.c */
int host_tcp_connect(void *host, const struct endpoint *to, struct sock_owner owner, int *ret_sock);
int host_tcp_result(void *host, int sock);
int host_tcp_accept(void *host, int listener, int *ret_sock, struct endpoint *ret_peer);
int host_tcp_local(void *host, int sock, struct endpoint *ret_local);
int host_adopt(void *host, int sock, struct sock_owner owner);
ssize_t host_tcp_send(void *host, int sock, const struct iovec *iov, size_t iov_count);
ssize_t host_tcp_peek(void *host, int sock, size_t off, const struct iovec *iov, size_t iov_count);
int host_tcp_consume(void *host, int sock, size_t len);
int host_tcp_shutdown(void *host, int sock);

/* host_udp.c */
int host_udp_open(void *host, const struct endpoint *to, struct sock_owner owner, int *ret_sock);
ssize_t host_udp_send(void *host, int sock, const struct iovec *iov, size_t iov_count,
    uint16_t gso_size, bool has_df);
ssize_t host_udp_recv(
    void *host, int sock, const struct iovec *iov, size_t iov_count, uint16_t *ret_gso_size);
ssize_t host_udp_recv_from(void *host, int sock, const struct iovec *iov, size_t iov_count,
    uint16_t *ret_gso_size, struct endpoint *ret_from, struct ip_addr *ret_local);
ssize_t host_udp_send_to(
    void *host, int sock, const struct iovec *iov, size_t iov_count, const struct sock_send *how);
void host_udp_adopt(struct host *h, int sock);
uint32_t host_udp_mtu(void *host, int sock);
int host_error_next(void *host, int sock, struct sock_error *ret_error, uint8_t *buf, size_t cap);
int host_ping_open(void *host, uint8_t family, struct sock_owner owner, int *ret_sock);
ssize_t host_ping_send(void *host, int sock, const struct ip_addr *to, uint16_t seq,
    const struct iovec *payload, size_t iov_count);
ssize_t host_ping_recv(
    void *host, int sock, struct ip_addr *ret_from, uint16_t *ret_seq, uint8_t *buf, size_t cap);

#endif
