/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP flows: each pair of ends that the guest uses is bound to one connected socket of the host, so that
 * only the remote side that the guest has addressed can answer (threats.md P16).
 *
 * A flow whose socket cannot send any more, as the host's own address has gone or there is no route, is over: the
 * next datagram but for those of the next few milliseconds is admitted anew, with a new socket. Until then
 * the flow's entry stands for the error that the guest gets, so that a network that is down does not
 * cost a socket per datagram.
 *
 * A flow lives while datagrams pass either way, and for an idle time after. At the limit the flow that has
 * been idle for longest gives way (behaviours.md E7). What the network reports about a datagram
 * reaches the guest as the ICMP error that it is (E5, E6, E9).
 *
 * Where rules by name decide, and it may be QUIC, the flow has a first flight: udp_flight.c.
 */
#ifndef SLUICE_FLOW_UDP_FLOW_H
#define SLUICE_FLOW_UDP_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "flow/first_flight.h"
#include "flow/flow.h"
#include "flow/flow_end.h"
#include "stack/icmp_out.h"
#include "wire/quic_initial.h"

struct udp_flight;

/* Who has come to which published port, and from where the answers are to leave. */
struct udp_client {
	struct pool_ref publish;
	struct endpoint peer;
	struct ip_addr local; /* unset: whatever the host chooses */
	int sock;             /* of the port, borrowed */
};

struct udp_flow {
	struct pool_head head;
	int sock; /* SOCK_NONE: not opened yet, or down. Inbound: the port's */
	struct flow_key key;
	uint32_t hash;
	int down_error;         /* errno by which it has ended; 0: it has not */
	uint64_t down_until_ns; /* until then datagrams are refused with that */
	uint8_t error_count;    /* socket errors in a row without a datagram */
	struct list_node dirty; /* the socket may have datagrams; udp_table.dirty */
	struct list_node age;   /* udp_table.age */
	uint64_t heard_ns;      /* last datagram, either way */

	struct udp_flight *flight;  /* rules by name decide by what it is; NULL: they do not */
	struct flight_claim *claim; /* what it was the last time; NULL: not known */
	bool has_pins;              /* names/pins.h: the flow holds those of its address */
	bool is_inbound;            /* a client of a published port has opened it (udp_inbound.h) */
	uint32_t peer_hash;         /* inbound: where it is in udp_table.by_peer */
	struct udp_client client;   /* inbound */

	struct policy_verdict verdict; /* that admitted it */
	uint32_t generation;           /* of the policy by which it was judged last */
	uint64_t start_ns;
	uint64_t tx_bytes; /* guest to remote */
	uint64_t rx_bytes;
};

struct udp_table {
	struct pool pool;
	struct htab index;
	struct htab by_peer; /* of a table of inbound flows */
	uint64_t idle_ns;
	struct list_node dirty; /* flows to be served, in order */
	struct list_node age;   /* all flows, the longest idle first */
	struct timer timer;     /* TIMER_UDP_IDLE: the first of age may have expired */
	uint8_t *scratch;      /* one datagram that must be cut to fit the link; made when needed */
	struct icmp_out *icmp; /* borrowed */
	uint32_t held;         /* flows whose datagrams are held */
	void (*on_end)(void *ctx, const struct udp_flow *f, enum flow_end end);
	/* What a flow's first flight is has been found, in f->claim, with this packet. True: it may pass; false: the
	 * flow ends. */
	bool (*on_flight)(void *ctx, struct udp_flow *f, const struct packet *p);
	void *ctx;
};

/* 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int udp_table_init(
    struct udp_table *t, uint32_t limit, uint64_t idle_ns, struct icmp_out *icmp);
void udp_table_fini(struct udp_table *t);

struct udp_flow *udp_flow_find(
    const struct udp_table *t, const struct flow_key *key, uint32_t hash);

/* The same for a datagram of the guest: a flow that has been down for long enough is freed instead. */
struct udp_flow *udp_flow_find_for_guest(
    struct udp_table *t, struct flow_world *w, const struct flow_key *key, uint32_t hash);

/* A flow without a socket yet, which the caller sets, or NULL without memory. */
struct udp_flow *udp_flow_open(
    struct udp_table *t, struct flow_world *w, const struct flow_key *key, uint32_t hash);

/* Ends and frees the flow. */
void udp_flow_close(
    struct udp_table *t, struct flow_world *w, struct udp_flow *f, enum flow_end why);

/* Ends the flow as unreachable, because its socket could not be opened or cannot send: errno err. Its entry stays for
 * a while if there is no way for any datagram, else it is freed. */
void udp_flow_fail(struct udp_table *t, struct flow_world *w, struct udp_flow *f, int err);

/* A datagram of the guest, or several in one frame. DROP_NONE if the host has taken it. */
enum drop_reason udp_flow_send(
    struct udp_table *t, struct flow_world *w, struct udp_flow *f, const struct packet *p);

/*
 * The flow gets a first flight, which is held until t->on_flight() lets it pass, or (is_held false) has passed, and
 * only another one that begins later will be held. 0, -ENOSPC (too many are held) or -ENOMEM.
 */
__attribute__((warn_unused_result)) int udp_flow_hold(
    struct udp_table *t, struct udp_flow *f, bool is_held);

bool udp_flow_is_held(const struct udp_flow *f);

/* As udp_flow_send(), for a flow with a first flight. May free the flow. */
enum drop_reason udp_flight_send(
    struct udp_table *t, struct flow_world *w, struct udp_flow *f, const struct packet *p);

/* n bytes that the socket of an inbound flow has received into a slot: the flow's datagram, or with gso_size > 0
 * several, to the guest. */
void udp_flow_deliver(struct udp_table *t, struct flow_world *w, struct udp_flow *f,
    struct nic_slot *slot, uint32_t n, uint16_t gso_size);

/* Tells the guest of errors that wait at the socket of inbound flows, whose port is publish. */
void udp_flow_drain_shared(
    struct udp_table *t, struct flow_world *w, struct pool_ref publish, int sock);

/* The socket is ready (SOCK_...). */
void udp_flow_on_sock(
    struct udp_table *t, struct flow_world *w, struct udp_flow *f, uint32_t events);

/* The timer has fired: ends flows that have been idle for too long, a bounded number. True: to be called again. */
bool udp_table_on_timer(struct udp_table *t, struct flow_world *w);

/* Delivers datagrams that wait in sockets, each flow in turn, up to max_bytes in all. False when there is no
 * room towards the guest. */
bool udp_table_serve(struct udp_table *t, struct flow_world *w, uint32_t max_bytes);

void udp_table_close_all(struct udp_table *t, struct flow_world *w);

/* ---- between udp_flow.c and udp_flight.c ---- */

/* Room for the largest datagram, or NULL. */
uint8_t *udp_table_scratch(struct udp_table *t);

/* The flow is in use. */
void udp_flow_touch(struct udp_table *t, struct flow_world *w, struct udp_flow *f);

void udp_flow_forget_flight(struct udp_table *t, struct udp_flow *f);

#endif
