/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated guest: a small TCP of its own (RFC 9293, with window scaling, delayed ACKs, NewReno
 * without SACK, probes of a closed window), which checks what it receives: bytes, windows, order.
 * It shares no code with src/stack.
 *
 * Positions in a stream are 64-bit offsets of its data; the FIN stands at the offset behind the last byte.
 */
#ifndef SLUICE_TESTS_SIM_GUEST_H
#define SLUICE_TESTS_SIM_GUEST_H

#include "base/addr.h"
#include "sim.h"
#include "sim_app.h"
#include "sim_wire.h"

enum {
	SIM_RANGES_MAX = 128,
};

struct sim_tcp_config {
	uint16_t mss;          /* offered; 0: no option */
	int wscale;            /* offered; -1: no option */
	uint32_t rcvbuf;       /* most bytes not read by the program */
	uint32_t sndbuf;       /* most bytes not acknowledged */
	uint32_t tso_max;      /* payload of the largest frame; 0: the MSS */
	bool is_partial;       /* leaves checksums to the device */
	uint64_t delack_ns;    /* 0: each segment is acknowledged at once */
	uint64_t rto_ns;       /* smallest retransmission time */
	uint64_t time_wait_ns; /* of a connection that it closed first */
	uint64_t keepalive_ns; /* probe after this silence; 0: never */
	uint32_t iss;
	uint32_t from_seed; /* what the remote side will send */
	bool has_sack;      /* offers SACK, which nobody takes */
};

enum sim_tcp_state {
	SIM_TCP_CLOSED,
	SIM_TCP_SYN_SENT,
	SIM_TCP_SYN_RECEIVED,
	SIM_TCP_OPEN, /* until both FINs have been acknowledged */
	SIM_TCP_TIME_WAIT,
};

struct sim_range {
	uint64_t from;
	uint64_t to;
};

struct sim_guest;

/* A server of the guest. */
struct sim_service {
	struct sim_tcp_config tcp;
	struct sim_app_plan app;
	uint32_t backlog; /* connections that wait to be accepted; beyond, SYNs are not answered */
	uint64_t accept_gap_ns; /* between two accept()s */
	uint8_t skip[52];       /* bytes that come before the stream of from_seed */
	uint32_t skip_len;

	uint32_t waiting; /* SYN seen, not accepted */
	uint32_t accepted;
	uint32_t syns_dropped;
	struct sim_tcp *first; /* newest connection first, by sim_tcp.next */
	struct sim_guest *guest;
	struct sim_timer accept_timer;
};

struct sim_tcp {
	struct sim_guest *guest;
	struct sim_tcp_config cfg;
	uint8_t family;
	struct ip_addr remote;
	uint16_t port; /* the guest's */
	uint16_t remote_port;
	enum sim_tcp_state state;
	struct sim_service *service; /* NULL: the guest has opened it */
	struct sim_tcp *next;        /* of the service */
	bool is_accepted;

	/* sending */
	uint64_t una;
	uint64_t nxt;
	uint64_t max;
	uint64_t queued;  /* end of what the program has written */
	uint64_t edge;    /* what the remote side lets it send */
	uint64_t wnd_max; /* largest window seen */
	uint64_t recover; /* end of what was sent when a loss was seen */
	uint32_t wnd_seq; /* segment that set the edge */
	uint32_t wnd_ack;
	uint32_t seg; /* payload of a segment */
	uint8_t snd_shift;
	uint8_t dup_acks;
	uint8_t tries; /* retransmissions in a row */
	bool is_recovering;
	bool has_fin;    /* the program has ended: the FIN stands at queued */
	bool is_passive; /* ... after the remote side had */

	/* receiving */
	uint32_t irs;
	uint64_t rcv_nxt;
	uint64_t rcv_edge; /* what it lets the remote side send */
	uint64_t app_read;
	uint64_t fin_at; /* of the remote side, if has_remote_fin */
	uint8_t rcv_shift;
	bool has_remote_fin; /* seen */
	bool has_all;        /* ... and everything before it received */
	struct sim_range ooo[SIM_RANGES_MAX];
	uint32_t ooo_count;
	uint32_t unacked; /* bytes since the last ACK */

	/* what happened */
	uint32_t retransmits;
	uint32_t duplicates; /* segments with nothing but old data */
	uint32_t probes;
	uint32_t resets_sent;
	uint64_t heard_ns;

	struct sim_app app;
	struct sim_timer rto_timer; /* also SYN, probes, TIME-WAIT */
	struct sim_timer ack_timer;
	struct sim_timer keepalive_timer;
};

struct sim_guest {
	struct sim *sim;
	struct mac_addr mac;
	struct mac_addr gateway_mac;
	struct ip_addr addr4;
	struct ip_addr addr6;
	uint16_t ip_id;
	struct sim_tcp **conns;
	uint32_t count;
	uint32_t cap;
	struct sim_ports by_port;  /* the newest connection from a port */
	struct sim_ports services; /* struct sim_service, owned */

	void (*send)(void *ctx, struct sim_frame *f); /* takes the frame over */
	/* Packets of no connection of TCP. */
	void (*on_packet)(void *ctx, const struct sim_packet *p);
	void *ctx;
};

void sim_guest_init(struct sim_guest *g, struct sim *sim);
void sim_guest_fini(struct sim_guest *g);

/* Sends a SYN. The port must not be in use by an open connection. */
struct sim_tcp *sim_guest_connect(struct sim_guest *g, const struct sim_tcp_config *cfg,
    const struct sim_app_plan *plan, const struct endpoint *to, uint8_t family, uint16_t port);

/* A server at a port; what it was given can still be changed. */
struct sim_service *sim_guest_serve(
    struct sim_guest *g, uint16_t port, const struct sim_service *service);

/* A frame from the engine, which is borrowed. */
void sim_guest_receive(struct sim_guest *g, const struct sim_frame *f);

/* A packet to the gateway with addresses filled in. */
struct sim_packet sim_guest_packet(
    struct sim_guest *g, const struct ip_addr *to, uint8_t family, uint8_t proto);

void sim_tcp_receive(struct sim_tcp *c, const struct sim_packet *p);
void sim_tcp_start(struct sim_tcp *c);
/* A SYN for a server. */
void sim_tcp_on_syn(struct sim_tcp *c, const struct sim_packet *p);
void sim_tcp_unreachable(struct sim_tcp *c);
void sim_tcp_fini(struct sim_tcp *c);
extern const struct sim_stream_ops sim_tcp_stream_ops;

/* An ordinary Linux guest on a link with this MTU. */
struct sim_tcp_config sim_tcp_defaults(uint32_t mtu, uint8_t family);

#endif
