/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is different in the UDP flow of a client of a published port: the socket is that of the port, which all its
 * clients share, so that a flow is also found by its client, and an answer is sent to that client alone
 * (threats.md P16). Such flows live in a table of their own: outsiders cannot displace what the guest has opened.
 */
#ifndef SLUICE_FLOW_UDP_INBOUND_H
#define SLUICE_FLOW_UDP_INBOUND_H

#include "flow/udp_flow.h"

/* A table of such flows. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int udp_inbound_init(
    struct udp_table *t, uint32_t limit, uint64_t idle_ns, struct icmp_out *icmp);

/* The flow of a client of this port, or NULL. */
struct udp_flow *udp_inbound_find(const struct udp_table *t, const struct flow_world *w,
    struct pool_ref publish, const struct endpoint *peer);

/* A flow with these ends towards the guest, or NULL without memory. */
struct udp_flow *udp_inbound_open(struct udp_table *t, struct flow_world *w,
    const struct flow_key *key, uint32_t hash, const struct udp_client *client);

/* Forgets who the client was: for udp_flow.c, when the flow ends. */
void udp_inbound_leave(struct udp_table *t, struct udp_flow *f);

#endif
