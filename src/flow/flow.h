/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all flows have in common: their key, their table, and the world that they live in.
 *
 * A flow is one conversation of the guest, bound to one socket of the host. It is made only with a
 * verdict that allows it (engine/admit.c), named by a pool_ref, and freed in one place at the end of
 * a step.
 */
#ifndef SLUICE_FLOW_FLOW_H
#define SLUICE_FLOW_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/bucket.h"
#include "base/htab.h"
#include "base/pool.h"
#include "base/siphash.h"
#include "base/wheel.h"
#include "flow/sock.h"
#include "policy/policy.h"
#include "stack/counters.h"
#include "stack/netif.h"

/* Both ends of a conversation as the guest's packets name them. No padding: it is hashed and compared
 * as bytes. */
struct flow_key {
	struct ip_addr guest;
	struct ip_addr remote;
	uint16_t guest_port;
	uint16_t remote_port;
	uint8_t family; /* of the packets: an IPv6 packet may name an IPv4-mapped address */
	uint8_t proto;
	uint8_t zero[2];
};

_Static_assert(sizeof(struct flow_key) == 40, "flow_key must not have padding");

static inline struct flow_key flow_key_of(
    const struct packet *p, uint16_t guest_port, uint16_t remote_port)
{
	return (struct flow_key){
	    .guest = p->src,
	    .remote = p->dst,
	    .guest_port = guest_port,
	    .remote_port = remote_port,
	    .family = p->family,
	    .proto = p->proto,
	};
}

/* What a timer in the engine's wheel belongs to. */
enum timer_kind {
	TIMER_TCP,        /* container: struct tcp_flow */
	TIMER_UDP_IDLE,   /* the UDP table's oldest flow */
	TIMER_LINK,       /* router advertisements */
	TIMER_REASSEMBLY, /* fragments that are too old */
	TIMER_DNS,        /* queries without an answer */
	TIMER_PUBLISH,    /* clients that could not be taken in */
};

/* The world of a flow; one per engine. */
struct flow_world {
	struct netif *netif;
	const struct sock_ops *ops;
	void *host; /* first argument of ops */
	struct wheel *wheel;
	struct engine_counters *counters;
	struct siphash_key hash_key;
	struct bucket challenges; /* challenge ACKs, RFC 5961 7 */
	uint64_t now_ns;          /* time of this pass */
	bool is_rx_blocked;       /* no room towards the guest: engine_on_room() is awaited */
};

static inline uint32_t flow_hash(const struct flow_world *w, const struct flow_key *key)
{
	return (uint32_t)siphash13(&w->hash_key, key, sizeof(*key));
}

#endif
