/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Echo relay: the guest's pings go out through one unprivileged echo socket per family.
 *
 * The host's kernel chooses the identifier that goes out, one per socket, so requests are told apart by a
 * sequence number of ours; the reply gets back the guest's identifier and number (behaviours.md A12). What
 * is remembered of a request lies in a ring that new requests overwrite: a reply that comes later
 * than ECHO_PENDING_MAX other requests, or than ECHO_TIME_NS, is not told. No timer is needed.
 */
#ifndef SLUICE_FLOW_ECHO_H
#define SLUICE_FLOW_ECHO_H

#include <stdbool.h>
#include <stdint.h>

#include "flow/flow.h"
#include "stack/icmp_out.h"

enum {
	ECHO_PENDING_MAX = 1024, /* requests without a reply; a power of two */
};

#define ECHO_TIME_NS 10000000000ULL

/* A request on its way. */
struct echo_pending {
	struct ip_addr guest;
	struct ip_addr remote;
	uint64_t sent_ns;
	uint32_t payload_len;
	uint16_t guest_id;
	uint16_t guest_seq;
	uint16_t seq;   /* ours */
	uint8_t family; /* of the guest's packet; 0: the place is free */
};

struct echo {
	int socks[2];         /* IPv4, IPv6 */
	bool is_dirty[2];     /* the socket may have replies */
	bool is_forbidden[2]; /* the host has no such sockets for us */
	uint16_t next_seq;
	struct echo_pending *ring; /* ECHO_PENDING_MAX places */
	uint8_t *scratch;          /* one message, header first; made when needed */
	struct icmp_out *icmp;     /* borrowed */
};

/* 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int echo_init(struct echo *e, struct icmp_out *icmp);
void echo_fini(struct echo *e, struct flow_world *w);

/* The gateway's own answer to an echo request. */
void echo_reply(struct echo *e, struct flow_world *w, const struct packet *p);

/* Sends an echo request on, through the socket of its destination's family, which the caller has
 * opened. DROP_NONE if the host has taken it. */
enum drop_reason echo_send(struct echo *e, struct flow_world *w, const struct packet *p);

/* The socket of a family (4 or 6) is ready. */
void echo_on_sock(struct echo *e, struct flow_world *w, uint8_t family, uint32_t events);

/* Delivers replies. True if there may be more. A reply for which there is no room is lost. */
bool echo_serve(struct echo *e, struct flow_world *w);

#endif
