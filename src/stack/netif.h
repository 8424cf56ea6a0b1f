/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's network interface: who is on the link, and how a frame to the guest is built.
 *
 * One guest is on the link. Its MAC and its IPv4 address are fixed; in IPv6 it owns its /64 but
 * for the gateway's address, and any link-local address.
 */
#ifndef SLUICE_STACK_NETIF_H
#define SLUICE_STACK_NETIF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "stack/counters.h"
#include "stack/nic.h"
#include "wire/drop.h"
#include "wire/packet.h"

enum {
	NETIF_MTU_MIN = 1280, /* RFC 8200 5 */
	NETIF_MTU_MAX = 65520,
	NETIF_MTU_DEFAULT = 1500,
	NETIF_TTL = 64,
};

struct netif_config {
	struct mac_addr guest_mac;
	bool learns_guest_mac; /* the first frame of each link tells it; guest_mac until then */
	struct mac_addr gateway_mac;
	bool has_v4; /* family in use */
	bool has_v6;
	struct ip_addr guest_v4;
	struct ip_addr gateway_v4;
	uint8_t prefix_len_v4; /* 30 */
	struct ip_addr guest_v6;
	struct ip_addr gateway_v6;
	struct ip_addr gateway_ll; /* fe80::/64 address of the gateway, from its MAC (RFC 4291 A) */
	uint8_t prefix_len_v6;     /* 64 */
	uint16_t mtu;              /* of the guest's link, bytes of IP packet */
};

struct netif {
	struct netif_config cfg;
	struct nic *nic;     /* for data */
	struct nic *control; /* for the link's own answers, if these take another way; or NULL */
	struct engine_counters *counters; /* owned by the engine */
	uint16_t next_ip4_id;             /* of packets that may be fragmented */
	uint32_t next_ip6_frag_id;
};

/* Counts a refused frame. */
static inline void netif_drop(struct netif *n, enum drop_reason why)
{
	n->counters->drops[why]++;
}

/* Whether src may be the source of a packet of the guest. */
bool netif_is_guest_addr(const struct netif *n, const struct ip_addr *src, uint8_t family);

/* Whether addr is one of the gateway's, link-local included. */
bool netif_is_gateway_addr(const struct netif *n, const struct ip_addr *addr);

/* Describes an IP packet to the guest. */
struct netif_ip {
	uint8_t family; /* 4 or 6 */
	uint8_t proto;
	uint8_t ttl; /* or hop limit; 0: NETIF_TTL */
	bool has_df; /* IPv4 only */
	const struct ip_addr *src;
	const struct ip_addr *dst;
	uint32_t l4_len; /* bytes behind the IP header */
};

/* Bytes of Ethernet and IP header: 34 or 54. */
static inline uint32_t netif_ip_head_len(uint8_t family)
{
	return ETH_HDR_SIZE + (family == 4 ? (uint32_t)IP4_HDR_SIZE : (uint32_t)IP6_HDR_SIZE);
}

/* Writes Ethernet and IP header at out, netif_ip_head_len() bytes, with checksum. */
void netif_build_ip(struct netif *n, const struct netif_ip *ip, uint8_t *out);

/* Completes and commits a reserved frame whose head holds, behind netif_ip_head_len() bytes of room,
 * an l4_hdr_len bytes long TCP or UDP header with a checksum field of zero at csum_off, and whose
 * body holds the payload: ip->l4_len - l4_hdr_len bytes. Writes the Ethernet and IP headers; the
 * checksum is left to the guest where it takes that, else computed. gso_type and gso_size as in
 * struct vnet_hdr, 0 for a frame within the MTU. */
void netif_commit_l4(struct netif *n, struct nic_slot *slot, const struct netif_ip *ip,
    uint32_t l4_hdr_len, uint32_t csum_off, uint8_t gso_type, uint16_t gso_size);

/* Sends one whole frame that lies in memory (control traffic: ARP, NDP, DHCP, ICMP). 0, or -EAGAIN:
 * no room towards the guest, which is counted as DROP_NO_ROOM. */
int netif_send_frame(struct netif *n, const uint8_t *frame, uint32_t len);

/* Builds and sends an ICMP or UDP packet whose upper-layer bytes are at l4 with a checksum field of
 * zero at csum_off: fills the checksum in (in l4), adds the headers, fragments to the MTU where it
 * is larger. As netif_send_frame() otherwise. */
int netif_send_l4(struct netif *n, const struct netif_ip *ip, uint8_t *l4, uint32_t csum_off);

#endif
