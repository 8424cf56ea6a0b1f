/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated host: struct sock_ops over sockets in memory, with remote programs behind them.
 *
 * Sockets behave as Linux's do where a relay depends on it (checked against the kernel's net/ipv4/tcp.c and
 * fs/eventpoll.c): readiness is edge-triggered, an event tells all that is true at the time when it is
 * fetched, the writable edge comes when a third of the send buffer is free and only after a send had
 * found none; a receive buffer keeps its memory until its last byte is taken, and the remote side
 * sends only into free memory; data is readable behind a reset; an error is told once; the end of
 * file is told again and again; a read stops at the urgent mark.
 *
 * Numbers of sockets are never used again, so that the use of a closed one is seen.
 */
#ifndef SLUICE_TESTS_SIM_HOST_H
#define SLUICE_TESTS_SIM_HOST_H

#include "flow/sock.h"
#include "sim.h"
#include "sim_app.h"

enum sim_answer {
	SIM_ANSWER_ACCEPT,
	SIM_ANSWER_ERROR,  /* connecting ends with .error */
	SIM_ANSWER_SILENT, /* nothing is heard */
};

/* What is at a remote address. */
struct sim_remote {
	enum sim_answer answer;
	int error;          /* errno, positive */
	bool is_sync;       /* connect() itself returns the error */
	uint64_t answer_ns; /* time until the answer */
	uint64_t delay_ns;  /* one way, of data */
	uint32_t rcvbuf;    /* memory for received data; 0: 256 KiB */
	uint32_t sndbuf;    /* bytes that wait to be taken; 0: 256 KiB */
	uint32_t skb_len;   /* most bytes in one receive buffer; 0: 16 KiB */
	uint64_t urgent_at; /* an urgent mark stands before this byte of the stream; 0: none */
	bool is_manual;     /* no program: the test calls sim_peer_...() */
	uint32_t from_seed; /* what the guest will send */
	struct sim_app_plan app;
};

enum sim_sock_state {
	SIM_SOCK_CONNECTING,
	SIM_SOCK_OPEN,
	SIM_SOCK_DEAD, /* refused, timed out or reset */
};

enum sim_sock_end {
	SIM_END_NONE,
	SIM_END_FIN,   /* closed in order */
	SIM_END_RESET, /* closed with a reset */
};

struct sim_skb {
	struct sim_skb *next;
	uint32_t len;  /* bytes not taken yet */
	uint32_t size; /* bytes that it held at first: memory */
};

struct sim_datagram {
	struct sim_datagram *next;
	struct endpoint from; /* ping sockets: the address */
	uint16_t seq;         /* ping sockets */
	uint16_t gso_size;    /* > 0: several */
	uint32_t len;
	uint8_t bytes[];
};

struct sim_errno {
	struct sim_errno *next;
	struct sock_error error;
	uint8_t bytes[1500];
};

struct sim_sock {
	struct sim_host *host;
	int number;
	struct sock_owner owner;
	struct endpoint to;
	uint8_t family; /* ping sockets */
	struct sim_remote remote;

	/* published ports */
	struct endpoint local;         /* that the client has come to */
	struct sim_sock *pending;      /* of a listening socket: clients that nobody has taken in */
	struct sim_sock **pending_end; /* NULL: there are none */
	struct sim_sock *next_pending;

	/* what epoll knows */
	bool is_unwatched; /* the engine has not adopted it yet */
	bool is_listed;    /* on the ready list */
	bool is_new;       /* a new event since it was last fetched */

	enum sim_sock_state state;
	bool is_closed; /* by the engine */
	enum sim_sock_end end;
	int error;     /* pending */
	bool has_fin;  /* the remote side has ended */
	bool was_shut; /* the engine has ended its direction */

	/* to the engine */
	struct sim_skb *rx_first;
	struct sim_skb **rx_end;
	uint64_t rx_base; /* stream offset of the first byte */
	uint64_t rx_len;
	uint64_t rx_memory;

	/* from the engine */
	uint64_t tx_total; /* bytes taken from the engine */
	uint64_t tx_read;  /* ... and read by the remote side */
	bool has_no_space;

	/* UDP and ping */
	struct sim_datagram *dg_first;
	struct sim_datagram **dg_end;
	struct sim_errno *err_first;
	struct sim_errno **err_end;
	uint32_t mtu;   /* of the path, 0: unknown */
	int send_error; /* each datagram is refused with this; 0: none */

	struct sim_app app;
	struct sim_timer answer_timer;
	struct sim_timer ready_timer; /* tells the program */
};

/* What is called by the engine, to be counted and to be made to fail. */
enum sim_op {
	SIM_OP_CONNECT,
	SIM_OP_RESULT,
	SIM_OP_SEND,
	SIM_OP_PEEK,
	SIM_OP_CONSUME,
	SIM_OP_SHUTDOWN,
	SIM_OP_ACCEPT,
	SIM_OP_ADOPT,
	SIM_OP_UDP_OPEN,
	SIM_OP_UDP_SEND,
	SIM_OP_UDP_RECV,
	SIM_OP_ERROR_NEXT,
	SIM_OP_PING_OPEN,
	SIM_OP_PING_SEND,
	SIM_OP_PING_RECV,
	SIM_OP_COUNT
};

struct sim_sent_datagram {
	struct endpoint to;
	uint32_t len;
	uint16_t gso_size;
	uint16_t seq; /* ping */
	bool has_df;
	const uint8_t *bytes;
};

struct sim_host {
	struct sim *sim;
	struct sim_sock **socks;
	uint32_t count;
	uint32_t cap;
	int *ready; /* numbers, oldest first */
	uint32_t ready_count;
	uint32_t ready_cap;
	uint32_t batch; /* events fetched at once; 0: 128 */
	bool
	    has_no_peek_offset; /* as kernels before 6.9: a peek behind the end looks like -EAGAIN */
	bool has_no_ping;       /* ping sockets are forbidden */
	bool is_unchecked;      /* what the guest sends is not the pattern of its stream */

	uint32_t accepted; /* clients that the engine has taken in */
	uint64_t calls[SIM_OP_COUNT];
	enum sim_op fail_op; /* the fail_nth call (from 1) of this returns -fail_error */
	uint64_t fail_nth;   /* 0: none fails */
	bool fails_on;       /* ... and all behind it do too */
	int fail_error;
	bool has_failed_call;

	/* What is at an address; false: nothing answers. */
	bool (*find)(void *ctx, const struct endpoint *to, struct sim_remote *ret_remote);
	/* A datagram or echo request of the engine; NULL: lost. */
	void (*on_datagram)(void *ctx, struct sim_sock *s, const struct sim_sent_datagram *d);
	/* The loop has something to do. */
	void (*on_event)(void *ctx);
	void *ctx;
};

extern const struct sock_ops sim_sock_ops;

void sim_host_init(struct sim_host *h, struct sim *sim);
void sim_host_fini(struct sim_host *h);

struct sim_event {
	struct sock_owner owner;
	uint32_t events;
};

/* epoll_wait(): fills up to max events, returns how many. */
uint32_t sim_host_fetch(struct sim_host *h, struct sim_event *ret_events, uint32_t max);
bool sim_host_has_events(const struct sim_host *h);

/* The sockets that the engine has not closed. */
uint32_t sim_host_open_count(const struct sim_host *h);

/* The first socket to this port (any address) that was not reset, else the last one, or NULL: a SYN that
 * the link has doubled may be dialed twice. */
struct sim_sock *sim_host_find(const struct sim_host *h, uint16_t port);

/* ---- the remote side of a TCP socket ---- */

void sim_peer_accept(struct sim_sock *s);
void sim_peer_fail(struct sim_sock *s, int error); /* while connecting, or later */
/* How many bytes the host has taken; none where its memory is in use. */
size_t sim_peer_write(struct sim_sock *s, size_t len);
void sim_peer_fin(struct sim_sock *s);
void sim_peer_reset(struct sim_sock *s);
size_t sim_peer_readable(const struct sim_sock *s);
void sim_peer_read(struct sim_sock *s, size_t len);
bool sim_peer_is_at_eof(const struct sim_sock *s);

/* ---- the remote side of UDP and ping sockets ---- */

void sim_peer_datagram(struct sim_sock *s, const struct endpoint *from, uint16_t seq,
    const void *bytes, uint32_t len, uint16_t gso_size);
void sim_peer_error(struct sim_sock *s, const struct sock_error *error, const void *bytes);

/* ---- published ports ---- */

/* A socket that is bound, which the engine is to be given; for UDP datagrams come by sim_peer_datagram(). */
struct sim_sock *sim_host_listen(struct sim_host *h, const struct endpoint *at);

/* A client connects: its program begins at once. */
struct sim_sock *sim_host_client(struct sim_sock *listener, const struct endpoint *peer,
    const struct endpoint *local, const struct sim_remote *remote);

/* ---- for sim_host_udp.c and sim_host_listen.c ---- */

struct sim_sock *sim_tcp_new(struct sim_host *h, struct sock_owner owner, const struct endpoint *to,
    const struct sim_remote *remote);
uint32_t sim_listen_events(const struct sim_sock *s);
void sim_listen_close(struct sim_sock *s);
int sim_tcp_accept(void *host, int listener, int *ret_sock, struct endpoint *ret_peer);
int sim_tcp_local(void *host, int sock, struct endpoint *ret_local);
int sim_adopt(void *host, int sock, struct sock_owner owner);
ssize_t sim_udp_recv_from(void *host, int sock, const struct iovec *iov, size_t iov_count,
    uint16_t *ret_gso_size, struct endpoint *ret_from, struct ip_addr *ret_local);
ssize_t sim_udp_send_to(
    void *host, int sock, const struct iovec *iov, size_t iov_count, const struct sock_send *how);

struct sim_sock *sim_sock_new(
    struct sim_host *h, struct sock_owner owner, const struct endpoint *to);
struct sim_sock *sim_sock_get(struct sim_host *h, int number, enum sock_kind kind);
int sim_sock_fault(struct sim_host *h, enum sim_op op);
void sim_sock_wake(struct sim_sock *s);
void sim_udp_free(struct sim_sock *s);
uint32_t sim_udp_events(const struct sim_sock *s);

int sim_udp_open(void *host, const struct endpoint *to, struct sock_owner owner, int *ret_sock);
ssize_t sim_udp_send(void *host, int sock, const struct iovec *iov, size_t iov_count,
    uint16_t gso_size, bool has_df);
ssize_t sim_udp_recv(
    void *host, int sock, const struct iovec *iov, size_t iov_count, uint16_t *ret_gso_size);
uint32_t sim_udp_mtu(void *host, int sock);
int sim_error_next(void *host, int sock, struct sock_error *ret_error, uint8_t *buf, size_t cap);
int sim_ping_open(void *host, uint8_t family, struct sock_owner owner, int *ret_sock);
ssize_t sim_ping_send(void *host, int sock, const struct ip_addr *to, uint16_t seq,
    const struct iovec *payload, size_t iov_count);
ssize_t sim_ping_recv(
    void *host, int sock, struct ip_addr *ret_from, uint16_t *ret_seq, uint8_t *buf, size_t cap);

#endif
