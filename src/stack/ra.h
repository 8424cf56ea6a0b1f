/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Router advertisements (RFC 4861 6.2, RFC 8106): to a guest that asks, and again in time for its
 * default route not to expire; a guest that never asks never causes a timer.
 */
#ifndef SLUICE_STACK_RA_H
#define SLUICE_STACK_RA_H

#include "stack/netif.h"

#define RA_NEVER UINT64_MAX

struct ra {
	uint64_t due_ns; /* of the next advertisement; RA_NEVER until the guest has asked */
};

void ra_init(struct ra *ra);

/* A router solicitation (ICMPv6 type 133), parsed by packet_parse_l4(). */
enum drop_reason ra_on_solicit(
    struct ra *ra, struct netif *n, const struct packet *p, uint64_t now_ns);

/* Sends the advertisement that is due; does nothing before ra->due_ns. */
void ra_on_time(struct ra *ra, struct netif *n, uint64_t now_ns);

#endif
