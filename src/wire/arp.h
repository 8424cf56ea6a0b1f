/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ARP (RFC 826) for IPv4 over Ethernet, the only pair of address types that is read and written.
 */
#ifndef SLUICE_WIRE_ARP_H
#define SLUICE_WIRE_ARP_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/wr.h"

enum {
	ARP_SIZE = 28,
	ARP_REQUEST = 1,
	ARP_REPLY = 2,
};

struct arp {
	uint16_t op; /* ARP_REQUEST or ARP_REPLY */
	struct mac_addr sender_mac;
	struct ip_addr sender; /* 0.0.0.0 in a probe, RFC 5227 */
	struct mac_addr target_mac;
	struct ip_addr target;
};

/* bytes start behind the Ethernet header and may be followed by padding. 0 or -EBADMSG: too short,
 * other address types, or another operation. */
__attribute__((warn_unused_result)) int arp_parse(
    const uint8_t *bytes, size_t len, struct arp *ret_arp);

/* Writes ARP_SIZE bytes. */
void arp_build(const struct arp *a, struct wr *w);

#endif
