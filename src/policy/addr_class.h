/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address classes: what an address is, by the IANA special-purpose registries, as the groups of the
 * rule language see it.
 */
#ifndef SLUICE_POLICY_ADDR_CLASS_H
#define SLUICE_POLICY_ADDR_CLASS_H

#include "base/addr.h"

enum addr_class {
	ADDR_PUBLIC,   /* the rest: globally reachable unicast */
	ADDR_HOST,     /* the gateway's addresses: the host itself */
	ADDR_METADATA, /* cloud metadata services */
	ADDR_LOOPBACK,
	ADDR_PRIVATE,
	ADDR_LINK_LOCAL,
	ADDR_MULTICAST,
	ADDR_UNSPECIFIED, /* 0.0.0.0/8, ::  - never a destination */
	ADDR_RESERVED, /* documentation, benchmarking, broadcast, future use, protocol assignments */
	ADDR_CLASS_COUNT
};

const char *addr_class_name(enum addr_class class);

#endif
