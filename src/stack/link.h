/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What guest and gateway say to each other on the link: ARP, neighbour discovery, router
 * advertisements, DHCP. One struct link per engine; its owner calls all functions from one thread.
 */
#ifndef SLUICE_STACK_LINK_H
#define SLUICE_STACK_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/netif.h"
#include "stack/ra.h"

#define LINK_NEVER RA_NEVER

struct link {
	struct netif *netif; /* borrowed */
	struct ra ra;
};

void link_init(struct link *l, struct netif *n);

/* Offers a packet: ARP, or one that packet_parse_l4() has parsed. To be called before the packet's
 * source and destination addresses are judged (they may be unset or multicast here), after its
 * MAC addresses. True if it was the link's business: *ret_why is then DROP_NONE, if it was
 * answered or needs no answer, or says why it was refused. */
__attribute__((warn_unused_result)) bool link_on_packet(
    struct link *l, const struct packet *p, uint64_t now_ns, enum drop_reason *ret_why);

/* When link_on_time() is needed next, or LINK_NEVER. Changes in link_on_packet() and link_on_time()
 * only. */
static inline uint64_t link_next_ns(const struct link *l)
{
	return l->ra.due_ns;
}

void link_on_time(struct link *l, uint64_t now_ns);

#endif
