/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Neighbour discovery messages (RFC 4861) and their options, RDNSS (RFC 8106) included.
 *
 * What a guest may send to its router is read: solicitations and neighbour advertisements. What the
 * router sends is written: router advertisements too. All bytes start at the ICMPv6 header; the
 * checksum is somebody else's (read: verified before; written: zero, filled in later), and so is the
 * hop limit of 255.
 */
#ifndef SLUICE_WIRE_NDP_H
#define SLUICE_WIRE_NDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/wr.h"

enum {
	NDP_ROUTER_SOLICIT = 133,
	NDP_ROUTER_ADVERT = 134,
	NDP_NEIGHBOUR_SOLICIT = 135,
	NDP_NEIGHBOUR_ADVERT = 136,
	NDP_REDIRECT = 137,

	NDP_HOP_LIMIT = 255,
	NDP_CSUM_OFF = 2,

	NDP_MSG_SIZE_MAX = 32, /* what ndp_build() writes at most */
	NDP_RA_SIZE_MAX = 96,  /* what ndp_build_ra() writes at most */
};

#define NDP_LIFETIME_INFINITE UINT32_MAX

struct ndp_msg {
	uint8_t type;          /* NDP_ROUTER_SOLICIT, _NEIGHBOUR_SOLICIT or _NEIGHBOUR_ADVERT */
	bool is_router;        /* flags of a neighbour advertisement */
	bool is_solicited;     /* ... */
	bool is_override;      /* ... */
	bool has_source_mac;   /* source link-layer address option */
	bool has_target_mac;   /* target link-layer address option */
	struct ip_addr target; /* ::, for a router solicitation */
	struct mac_addr source_mac; /* if has_source_mac */
	struct mac_addr target_mac; /* if has_target_mac */
};

struct ndp_ra {
	uint8_t hop_limit;          /* for the guest's packets; 0: unspecified */
	bool is_other_config;       /* O: more than the address comes by DHCPv6 */
	uint16_t router_lifetime_s; /* 0: no default router */
	struct mac_addr source_mac; /* of the router */
	uint32_t mtu_bytes;
	struct ip_addr prefix; /* on-link prefix; bits behind prefix_len are written as zero */
	uint8_t prefix_len;    /* bits; SLAAC is offered for 64 only */
	uint32_t prefix_valid_s;
	uint32_t prefix_preferred_s;
	struct ip_addr dns; /* recursive resolver */
	uint32_t dns_lifetime_s;
};

/* 0 or -EBADMSG: another type, too short, code not 0, a target that is multicast, an option that is
 * empty, cut off, given twice or not of Ethernet's length (RFC 4861 6.1.1, 7.1.1, 7.1.2). */
__attribute__((warn_unused_result)) int ndp_parse(
    const uint8_t *icmp, size_t len, struct ndp_msg *ret_msg);

/* Writes a solicitation or a neighbour advertisement. */
void ndp_build(const struct ndp_msg *m, struct wr *w);

/* Writes a router advertisement with link-layer address, MTU, prefix and resolver options. */
void ndp_build_ra(const struct ndp_ra *ra, struct wr *w);

#endif
