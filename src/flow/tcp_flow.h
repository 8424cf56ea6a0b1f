/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCP flow: one connection of the guest (stack/tcp.h) bound to one stream socket of the host.
 *
 * Guest to host: in-order data goes from the frame straight into the socket; what the socket does not
 * take waits in the spill, for which room was promised before (wnd_target). Host to guest: data
 * is peeked from the socket into frames and taken off the socket when the guest has
 * acknowledged it. Each direction ends by itself.
 *
 * Where rules by name decide, what the guest says first is held in the spill until it is known what it names; the remote
 * side is heard meanwhile.
 *
 *	tcp_flow.c   life: table, opening, timers, end
 *	tcp_relay.c  data, acknowledgments, FIN and RST, both ways
 *	tcp_hold.c   the first flight, while it is held
 */
#ifndef SLUICE_FLOW_TCP_FLOW_H
#define SLUICE_FLOW_TCP_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/chain.h"
#include "base/list.h"
#include "flow/first_flight.h"
#include "flow/flow.h"
#include "flow/flow_end.h"
#include "stack/tcp.h"

struct tcp_flow {
	struct pool_head head;
	int sock; /* SOCK_NONE once closed */
	struct flow_key key;
	uint32_t hash;

	uint32_t wnd_target;     /* bytes of the guest that may wait here at once */
	uint32_t wnd_counted;    /* bytes received since wnd_since_ns, for growing wnd_target */
	uint32_t unconsumed;     /* acknowledged by the guest, still in the socket's queue */
	uint8_t acks_unconsumed; /* how many acknowledgments these are */
	bool is_readable;        /* the socket may have more behind what was peeked */
	bool has_hangup;         /* the remote side's FIN is in: a short peek is the end */
	bool has_urgent;         /* a short peek does not mean that the queue is empty */
	bool is_eof;             /* everything of the remote side has been peeked */
	bool is_remote_dead;     /* the socket has an error: what is in its queue, then RST */
	bool has_guest_fin;      /* the guest will send no more */
	bool is_shut;            /* ... and the remote side has been told */
	bool is_loopback;    /* dialed as the host: the other family is tried when this one fails */
	bool is_undelivered; /* the remote side has not been told of the guest's end yet */
	bool is_synack_due;  /* the SYN-ACK has found no room towards the guest */
	bool is_counted;     /* among the active flows: not in TIME-WAIT */
	bool is_detached;    /* not in the index: its ends belong to a newer connection */
	bool is_inbound;     /* a client of the host has opened it (inbound.h) */
	bool is_dialing;     /* ... and the guest has not yet answered */
	int error;           /* errno of the socket, when is_remote_dead */

	struct tcp_conn conn;
	struct chain spill; /* received, acknowledged, not yet taken by the socket */
	struct timer timer;
	struct list_node dirty;   /* has something to send; tcp_table.dirty */
	struct list_node delayed; /* owes an ACK; tcp_table.delayed */
	struct list_node life;    /* tcp_table.embryos, .time_wait or none */
	uint64_t ack_due_ns;      /* while on delayed */
	uint64_t wnd_since_ns;

	struct first_flight
	    *flight; /* what the guest says is held until this is known; NULL: it is not held */
	struct flight_claim *claim; /* what the first flight was; NULL: it was never looked at */
	struct endpoint peer;       /* inbound: the client */
	struct pool_ref publish;    /* inbound: the published port */
	uint16_t
	    prologue_len; /* inbound: bytes to the guest before the client's, not yet acknowledged */
	uint8_t *prologue; /* owned; the last prologue_len of prologue_size bytes are left */
	uint16_t prologue_size;
	struct inbound_guard *guard;   /* inbound, owned: what it lets pass; NULL: everything */
	struct policy_verdict verdict; /* that admitted it */
	uint32_t generation;           /* of the policy by which it was judged last */
	bool has_pins;                 /* names/pins.h: the flow holds those of its address */
	uint64_t start_ns;
	uint64_t tx_bytes; /* guest to remote */
	uint64_t rx_bytes;
};

enum {
	TCP_BURST_IOV = 2 * FRAME_IOV_MAX,
	TCP_BURST_BYTES = 64 << 10, /* more at once is no cheaper, and leaves the cache */
};

/* In-order data of one flow on its way from frames to the socket; see tcp_burst.c. */
struct tcp_burst {
	struct tcp_flow *flow; /* NULL: none */
	uint32_t count;
	uint32_t len;
	struct iovec iov[TCP_BURST_IOV]; /* into frames that are not released */
};

struct tcp_limits {
	uint32_t flows;   /* connections at once */
	uint32_t embryos; /* of these, being opened */
	struct tcp_times times;
};

struct tcp_table {
	struct pool pool;
	struct htab index;
	struct tcp_limits limits;
	uint32_t active; /* flows but for those in TIME-WAIT */
	uint32_t embryo_count;
	uint32_t undelivered; /* flows with is_undelivered */
	uint32_t wnd_base;    /* wnd_target of a new flow */
	struct tcp_burst burst;
	uint8_t *look;      /* HTTP1_GUARD_HEAD_MAX bytes for inbound_limit(); NULL until needed */
	uint64_t wnd_spare; /* bytes that wnd_targets may still grow by, in total */
	struct list_node dirty;     /* flows with something to send, in order of service */
	struct list_node delayed;   /* flows that owe an ACK, oldest first */
	struct list_node embryos;   /* SYN-HELD and SYN-RECEIVED, oldest first */
	struct list_node time_wait; /* oldest first */
	/* The flow ends now; called once for each, for accounting. */
	void (*on_end)(void *ctx, const struct tcp_flow *f, enum flow_end end);
	/* What a held flow's first flight is has been found, in f->claim. True: it may pass; false: the flow ends. */
	bool (*on_flight)(void *ctx, struct tcp_flow *f);
	/* A flow to the guest has got its answer, or has ended without; once for each. */
	void (*on_dialed)(void *ctx, const struct tcp_flow *f);
	void *ctx;
};

/* 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int tcp_table_init(
    struct tcp_table *t, const struct tcp_limits *limits);
void tcp_table_fini(struct tcp_table *t);

/* The flow of these ends, or NULL. */
struct tcp_flow *tcp_flow_find(
    const struct tcp_table *t, const struct flow_key *key, uint32_t hash);

/* A flow for the guest's SYN, in SYN-HELD, without a socket yet. NULL and a reason: TCP_LIMIT,
 * NO_MEMORY. The oldest embryo is given up where there are too many. */
struct tcp_flow *tcp_flow_open(struct tcp_table *t, struct flow_world *w, const struct packet *syn,
    const struct flow_key *key, uint32_t hash, enum drop_reason *ret_why);

/* What the guest will say is held until t->on_flight() lets it pass; before anything has been sent to the remote
 * side. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int tcp_flow_hold(struct tcp_flow *f);

/* Lets a held flow pass: what has come goes to the socket at once. False if the flow was freed. */
bool tcp_flow_let_pass(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f);

/* A flow to the guest in SYN-SENT, whose SYN is sent or waits for room. It takes sock over. NULL and a reason, as
 * above; sock is then still the caller's. */
struct tcp_flow *tcp_flow_dial(struct tcp_table *t, struct flow_world *w,
    const struct flow_key *key, uint32_t hash, int sock, enum drop_reason *ret_why);

/* Ends a flow in SYN-HELD without a word to the guest. */
void tcp_flow_drop_held(
    struct tcp_table *t, struct flow_world *w, struct tcp_flow *f, enum flow_end end);

/* RST in answer to the SYN of a flow in SYN-HELD. */
void tcp_flow_refuse(struct flow_world *w, const struct tcp_flow *f);

/* The socket is connected: answers the SYN. */
void tcp_flow_connected(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f);

/* A segment of this flow. May free the flow. True: the guest opens another connection with these
 * ends (TCP_IN_NEW_SYN): the flow is gone, or goes on without being found until the remote side has
 * everything, and the segment wants to be treated as new. */
bool tcp_flow_on_segment(
    struct tcp_table *t, struct flow_world *w, struct tcp_flow *f, const struct packet *p);

/* Gives the socket what has been taken from frames; before these are released. */
void tcp_burst_flush(struct tcp_table *t, struct flow_world *w);

/* The socket of an opened flow is ready (SOCK_...). May free the flow. */
void tcp_flow_on_sock(
    struct tcp_table *t, struct flow_world *w, struct tcp_flow *f, uint32_t events);

/* The socket of an opened flow has failed with this errno: what is in its queue goes to the guest, then RST. */
void tcp_flow_on_dead(struct tcp_table *t, struct tcp_flow *f, int error);

/* Its timer has fired. May free the flow. */
void tcp_flow_on_timer(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f);

/* Serves the flows that have something to send, each in turn, up to max_bytes in all. Stops early, and
 * returns false, when there is no room towards the guest. */
bool tcp_table_serve(struct tcp_table *t, struct flow_world *w, uint32_t max_bytes);

/* ACKs that have waited long enough become due. */
void tcp_table_delayed(struct tcp_table *t, struct flow_world *w);

/* When the next of them is due, or UINT64_MAX. */
uint64_t tcp_table_next_ns(struct tcp_table *t);

/* Resets the flows whose end the guest has not told, towards the guest too if that is to be told. The others go on
 * until the remote side has everything. */
void tcp_table_reset_unfinished(
    struct tcp_table *t, struct flow_world *w, enum flow_end end, bool tells_guest);

/* Everything that the guest has sent, and its FIN, has been given to the remote side. */
void tcp_flow_delivered(struct tcp_table *t, struct tcp_flow *f);

/* Ends all flows: RST to the guest, and to a remote side that has not got all from the guest. */
void tcp_table_reset_all(struct tcp_table *t, struct flow_world *w);

/* RST to the guest for a segment that belongs to no flow, or to a flow that answers so (RFC 9293
 * 3.10.7.1). Nothing for a RST. */
void tcp_reply_reset(struct flow_world *w, const struct packet *p);

/* ---- between tcp_flow.c and tcp_relay.c ---- */

enum {
	TCP_TURN_BYTES = 256 << 10, /* data that one flow may send before the next has its turn */
	TCP_ACK_DELAY_NS = 250000,  /* for an ACK that data may still carry */
};

enum tcp_served {
	TCP_SERVED_IDLE,    /* nothing more to send now */
	TCP_SERVED_MORE,    /* there is more */
	TCP_SERVED_NO_ROOM, /* no room towards the guest */
	TCP_SERVED_GONE,    /* the flow has been freed */
};

/* Sends what may be sent: data, FIN, ACK; at most max_bytes of data, *ret_bytes of which were sent. */
enum tcp_served tcp_flow_serve(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f,
    uint32_t max_bytes, uint32_t *ret_bytes);

/* Adds len bytes of in-order data, at off in the frame, of a flow without a spill, as received. The burst is
 * of this flow or none, and has place for the frame's pieces. */
void tcp_burst_add(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f,
    const struct frame *frame, uint32_t off, uint32_t len);

/* Takes the data and the FIN of a segment that tcp_input() has described. False if the flow was freed. */
bool tcp_flow_take(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f,
    const struct packet *p, const struct tcp_in *in);

/* Puts the flow on the list of those to be served. */
void tcp_flow_mark(struct tcp_table *t, struct tcp_flow *f);

/* Sets the timer for what the connection waits for. */
void tcp_flow_arm(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f);

/* Ends the flow at once: RST to the guest if to_guest and it has been answered before, RST to the remote
 * side. Frees it. */
void tcp_flow_abort(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f,
    enum flow_end end, bool to_guest);

/* Both directions may have ended: closes the socket, and frees the flow unless it is in TIME-WAIT. True
 * if it was freed. */
bool tcp_flow_finish(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f);

/* What a peek of asked bytes at off says of the socket's queue. Returns the bytes that came. */
uint32_t tcp_flow_on_peeked(
    struct tcp_table *t, struct tcp_flow *f, uint32_t off, ssize_t got, uint32_t asked);

/* Sends a segment without data. 0 or -EAGAIN. */
int tcp_flow_send_bare(struct flow_world *w, struct tcp_flow *f, uint32_t seq, uint8_t flags);

/* Sends len bytes of data, at most the MSS, at snd_nxt, which it leaves where it is. 0 or -EAGAIN. */
int tcp_flow_send_bytes(
    struct flow_world *w, struct tcp_flow *f, const uint8_t *bytes, uint32_t len);

/* Bytes that the guest may send now beyond what was received. */
uint32_t tcp_flow_room(const struct tcp_flow *f);

/* Looks at what a held flow has. False if the flow was freed. */
bool tcp_flow_look(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f);

/* Writes what waits in the spill, unless it is held, then the FIN. False if the flow was freed. */
bool tcp_flow_drain(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f);

#endif
