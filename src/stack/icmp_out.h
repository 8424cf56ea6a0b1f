/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ICMP errors to the guest: about a packet that is at hand, or about one that was sent a while ago and
 * is known by its flow only. One struct icmp_out per engine.
 *
 * A refusal by the destination, or on the path to it (port and protocol unreachable, too big), comes from
 * the address that the guest dialed (behaviours.md E5, E9); everything else is said by the gateway.
 * So nothing is told of the networks between.
 */
#ifndef SLUICE_STACK_ICMP_OUT_H
#define SLUICE_STACK_ICMP_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bucket.h"
#include "stack/netif.h"
#include "wire/icmp.h"

struct icmp_out {
	struct netif *netif; /* borrowed */
	struct bucket bucket;
};

void icmp_out_init(struct icmp_out *o, struct netif *n);

/* Tells the guest why its packet p, parsed by packet_parse_l4(), is not delivered. mtu_bytes: for
 * ICMP_CAUSE_TOO_BIG, else 0. True if the error was sent. False, and nothing is sent: about a
 * packet that must not be answered (RFC 1122 3.2.2, RFC 4443 2.4(e)), for an MTU that must not be
 * reported, beyond the rate limit, or without room. */
bool icmp_out_packet(struct icmp_out *o, const struct packet *p, enum icmp_cause cause,
    uint32_t mtu_bytes, uint64_t now_ns);

/* The same for a packet that is gone: q says what it was, e what became of it. */
bool icmp_out_quote(
    struct icmp_out *o, const struct icmp_quote *q, const struct icmp_error *e, uint64_t now_ns);

#endif
