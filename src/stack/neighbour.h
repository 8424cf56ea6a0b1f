/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has which address on the link: the gateway answers for its own addresses and for no others
 * (behaviours.md A8, A9), and believes nothing that the guest says (threats.md P13).
 */
#ifndef SLUICE_STACK_NEIGHBOUR_H
#define SLUICE_STACK_NEIGHBOUR_H

#include "stack/netif.h"

/* An ARP packet of the guest. DROP_NONE: answered, or one that needs no answer. */
enum drop_reason neighbour_on_arp(struct netif *n, const struct packet *p);

/* A neighbour solicitation or advertisement (ICMPv6 type 135 or 136), parsed by packet_parse_l4(). */
enum drop_reason neighbour_on_ndp(struct netif *n, const struct packet *p);

#endif
