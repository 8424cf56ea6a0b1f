/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address classes: what an address is, by the IANA special-purpose registries, as the groups of the
 * rule language see it; and which IPv4 addresses an IPv6 address embeds.
 */
#ifndef SLUICE_POLICY_ADDR_CLASS_H
#define SLUICE_POLICY_ADDR_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

enum {
	ADDR_EMBEDDED_MAX = 3, /* Teredo server and client, and an ISATAP interface identifier */
};

/* One line of the registries. The longest prefix that holds an address gives its class. */
struct addr_class_prefix {
	struct ip_addr prefix;
	uint8_t len;           /* bits of the 16-byte form: 96 and more for IPv4 */
	enum addr_class class; /* never ADDR_HOST, which no registry knows */
};

/* The registries as one table, in no order; it covers every address. */
extern const struct addr_class_prefix addr_class_table[];
extern const size_t addr_class_table_len;

/* "public", "link_local", ... */
const char *addr_class_name(enum addr_class class);

/* The class of the address itself, whatever it embeds. */
enum addr_class addr_class_own(const struct ip_addr *a);

/* The most special of the classes of the address and of those that it embeds: never ADDR_PUBLIC for
 * an address that leads to one that is not. ADDR_HOST is unknown here, see policy_judge(). */
enum addr_class addr_class_of(const struct ip_addr *a);

/* Writes the IPv4 addresses to which a packet for this IPv6 address may be carried on by a translator
 * or a tunnel, and returns how many: IPv4-compatible, IPv4-translated, NAT64 (64:ff9b::/96), 6to4,
 * Teredo, ISATAP. An IPv4-mapped address is IPv4 already and embeds nothing. */
size_t addr_embedded(const struct ip_addr *a, struct ip_addr ret_embedded[ADDR_EMBEDDED_MAX]);

/* True in 64:ff9b:1::/48 (RFC 8215): a translation prefix of local use, which embeds an IPv4 address at
 * a place that only the local translator knows. */
bool addr_embeds_unknown(const struct ip_addr *a);

/* The IPv4 address that an address under a NAT64 prefix of len bits embeds (RFC 6052 2.2); len is one
 * of 32, 40, 48, 56, 64, 96. */
struct ip_addr addr_nat64_embedded(const struct ip_addr *a, unsigned int len);

/* True for 255.255.255.255. */
bool addr_is_limited_broadcast(const struct ip_addr *a);

#endif
