/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has which address on the guest's link: MAC, IPv4 and IPv6 addresses of the guest and of its
 * gateway, out of a slot number and two pools. Pure arithmetic; any number of guests may share a
 * slot, as each has a link of its own.
 */
#ifndef SLUICE_ENGINE_ADDRESSING_H
#define SLUICE_ENGINE_ADDRESSING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "stack/netif.h"

enum {
	ADDRESSING_SLOT_MAX = 65535,
	ADDRESSING_V4_LEN = 30, /* prefix of a guest's link */
	ADDRESSING_V6_LEN = 64,
	ADDRESSING_ERROR_MAX = 256,
};

#define ADDRESSING_POOL_V4 "100.96.0.0/11"
#define ADDRESSING_POOL_V6 "fd42:6d73:62::/48"

struct ip_prefix {
	struct ip_addr addr; /* bits behind the prefix are zero */
	uint8_t len;         /* as written: 0..32 for IPv4, 0..128 for IPv6 */
};

struct addressing {
	const char *name_prefix; /* before the names of settings in errors, as "--" */
	uint16_t slot;
	uint16_t mtu; /* NETIF_MTU_MIN .. NETIF_MTU_MAX */
	struct ip_prefix pool_v4;
	struct ip_prefix pool_v6;
	bool has_mac; /* given by the user; else from the slot */
	struct mac_addr mac;
	struct ip_addr v4; /* given by the user; unset: from the pool */
	struct ip_addr v6; /* likewise */
	bool has_route_v4; /* the host has a route for this family */
	bool has_route_v6;
};

/* Slot 0, the default pools and MTU, nothing given, no route, no prefix. */
struct addressing addressing_default(void);

/* Reads ADDRESS/LENGTH. 0; -EINVAL: no such text; -EDOM: bits are set behind the prefix. */
__attribute__((warn_unused_result)) int ip_prefix_parse(
    const char *text, struct ip_prefix *ret_prefix);

/* Fills in all addresses and the MTU. 0, or -EINVAL with a sentence in error (without a full stop or
 * a program name) that names the setting at fault. */
__attribute__((warn_unused_result)) int addressing_derive(
    const struct addressing *a, char error[ADDRESSING_ERROR_MAX], struct netif_config *ret_config);

#endif
