/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's sockets as the flows see them. src/host implements these functions with the kernel's
 * sockets, the tests with a simulated world.
 *
 * A socket is named by a small number that open functions return (a file descriptor in src/host). All
 * functions are non-blocking; results are 0 or a count, or -errno. What happens to a socket is
 * told to the engine by engine_on_sock() with the owner given at opening: readiness is
 * edge-triggered, so a reader reads until a short count or -EAGAIN.
 */
#ifndef SLUICE_FLOW_SOCK_H
#define SLUICE_FLOW_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/addr.h"
#include "base/pool.h"

enum {
	SOCK_NONE = -1,

	SOCK_READABLE = 1, /* data, end of file, or a datagram */
	SOCK_WRITABLE = 2, /* room again, or connected */
	SOCK_HANGUP = 4,   /* the peer has closed its direction: all its data is in the queue */
	SOCK_ERROR = 8,    /* an error is pending, or an ICMP message (UDP, ping) */
	SOCK_URGENT =
	    16, /* urgent data is in the queue: a short read does not mean that it is empty */
};

/* Whose socket it is: comes back with each readiness. */
enum sock_kind {
	SOCK_TCP,
	SOCK_UDP,
	SOCK_PING,
	SOCK_DNS,       /* a datagram socket to a resolver */
	SOCK_DNS_TCP,   /* a connection to one */
	SOCK_LISTEN,    /* a published TCP port */
	SOCK_PUBLISHED, /* a published UDP port */
};

struct sock_owner {
	enum sock_kind kind;
	struct pool_ref ref; /* of the flow; ignored where there is one owner per kind */
};

/* An ICMP error about a datagram that the socket sent. */
struct sock_error {
	int error;      /* errno value it stands for */
	bool is_icmp;   /* from the network, with the next four; else of the host itself */
	uint8_t family; /* 4 or 6 */
	uint8_t type;
	uint8_t code;
	uint32_t mtu;       /* for EMSGSIZE: the path's MTU, else 0 */
	struct endpoint to; /* ping sockets: where the datagram went */
	uint16_t seq;       /* ping sockets: sequence number of the echo request */
	size_t len;         /* bytes of the datagram that came back, at the caller's buffer */
};

/* How a datagram leaves a socket that is not connected. */
struct sock_send {
	uint16_t gso_size; /* as of udp_send() */
	bool has_df;
	const struct endpoint *to;
	const struct ip_addr *from; /* an address of the host; unset: it chooses */
};

struct sock_ops {
	/* Starts to connect; SOCK_WRITABLE or SOCK_ERROR follows. */
	int (*tcp_connect)(
	    void *host, const struct endpoint *to, struct sock_owner owner, int *ret_sock);
	/* After an event: 0 connected, -EINPROGRESS, or why not. */
	int (*tcp_result)(void *host, int sock);
	ssize_t (*tcp_send)(void *host, int sock, const struct iovec *iov, size_t iov_count);
	/* Copies bytes from off bytes behind the head of the receive queue, without taking them.
	 * 0: end of file. With off > 0 the end may also look like -EAGAIN; then SOCK_HANGUP tells. */
	ssize_t (*tcp_peek)(
	    void *host, int sock, size_t off, const struct iovec *iov, size_t iov_count);
	/* Takes len bytes off the head of the receive queue, which are there. */
	int (*tcp_consume)(void *host, int sock, size_t len);
	/* No more data will be sent: FIN. */
	int (*tcp_shutdown)(void *host, int sock);

	/* The next client of a listening socket. The socket is not watched until sock_adopt(). -EAGAIN: nobody waits;
	 * -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: not now. */
	int (*tcp_accept)(void *host, int listener, int *ret_sock, struct endpoint *ret_peer);
	/* The address of the host that a client has come to. 0 or -errno. */
	int (*tcp_local)(void *host, int sock, struct endpoint *ret_local);
	/* From now on the engine is told of a socket that it has not opened itself: listening, accepted or bound. */
	int (*adopt)(void *host, int sock, struct sock_owner owner);

	/* A socket connected to a destination. family is that of the guest's packets. */
	int (*udp_open)(
	    void *host, const struct endpoint *to, struct sock_owner owner, int *ret_sock);
	/* Sends one datagram, or with gso_size > 0 several of that size (the last may be shorter).
	 * has_df: never fragment; -EMSGSIZE then, with the path's MTU from udp_mtu(). An error may be
	 * that of an earlier datagram, but -EMSGSIZE for several is their own: some may be sent. */
	ssize_t (*udp_send)(void *host, int sock, const struct iovec *iov, size_t iov_count,
	    uint16_t gso_size, bool has_df);
	/* One datagram, or several of equal size (the last may be shorter): *ret_gso_size > 0; of an owner
	 * SOCK_DNS always one. */
	ssize_t (*udp_recv)(void *host, int sock, const struct iovec *iov, size_t iov_count,
	    uint16_t *ret_gso_size);
	/* The same of a bound socket, with who has sent it, and to which address of the host (unset: unknown, or not one
	 * to answer from). */
	ssize_t (*udp_recv_from)(void *host, int sock, const struct iovec *iov, size_t iov_count,
	    uint16_t *ret_gso_size, struct endpoint *ret_from, struct ip_addr *ret_local);
	/* As udp_send(). */
	ssize_t (*udp_send_to)(void *host, int sock, const struct iovec *iov, size_t iov_count,
	    const struct sock_send *how);
	/* The path's MTU as the host knows it, or 0. */
	uint32_t (*udp_mtu)(void *host, int sock);
	/* The next error from the socket's error queue: 1 and an error, with the start of the datagram
	 * at buf; 0: none. Also for ping sockets. */
	int (*error_next)(
	    void *host, int sock, struct sock_error *ret_error, uint8_t *buf, size_t cap);

	/* Unprivileged echo sockets (Linux "ping" sockets), one per family. -EACCES: forbidden. */
	int (*ping_open)(void *host, uint8_t family, struct sock_owner owner, int *ret_sock);
	/* Sends an echo request; the host chooses the identifier. */
	ssize_t (*ping_send)(void *host, int sock, const struct ip_addr *to, uint16_t seq,
	    const struct iovec *payload, size_t iov_count);
	/* One echo reply: payload length, with sender and sequence number. */
	ssize_t (*ping_recv)(void *host, int sock, struct ip_addr *ret_from, uint16_t *ret_seq,
	    uint8_t *buf, size_t cap);

	/* Closes any socket. is_reset: a TCP peer gets RST instead of FIN. */
	void (*close)(void *host, int sock, bool is_reset);

	/* Random bytes for keys and identifiers. */
	void (*random)(void *host, void *buf, size_t len);
};

#endif
