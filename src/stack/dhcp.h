/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DHCP servers with one lease that never ends: the guest's own, fixed address, the gateway as router and
 * resolver, the MTU. No search list and no domain is given (threats.md D18).
 */
#ifndef SLUICE_STACK_DHCP_H
#define SLUICE_STACK_DHCP_H

#include "stack/netif.h"

/* A UDP datagram to port 67 that was broadcast or sent to the gateway. Its source address counts for
 * nothing: it may be unset, or one of an old lease which is refused here with a NAK. DROP_NONE: answered,
 * or one that needs no answer. */
enum drop_reason dhcp4_serve(struct netif *n, const struct packet *p);

/* A UDP datagram to port 547, for all servers or the gateway. */
enum drop_reason dhcp6_serve(struct netif *n, const struct packet *p);

#endif
