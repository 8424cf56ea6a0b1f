/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ARP (RFC 826, RFC 5227) and neighbour solicitation (RFC 4861 7.2, RFC 4862 5.4).
 *
 * The guest's addresses are fixed, so nothing is learned and nothing is asked. Refused: senders that are
 * not the guest, questions for others, claims of the gateway's addresses. What the guest says of its own
 * addresses (duplicate detection, announcements) is accepted in silence. Tests:
 * tests/unit/test_link.c.
 */
#include "stack/neighbour.h"

#include "wire/arp.h"
#include "wire/ndp.h"

enum {
	NDP_SIZE_MAX = 256, /* Linux sends at most 40 bytes */
};

static const struct ip_addr all_nodes = {.b = {0xff, 0x02, [15] = 1}};

static void send_arp_reply(struct netif *n, const struct arp *request)
{
	const struct arp reply = {
	    .op = ARP_REPLY,
	    .sender_mac = n->cfg.gateway_mac,
	    .sender = n->cfg.gateway_v4,
	    .target_mac = n->cfg.guest_mac,
	    .target = request->sender,
	};
	uint8_t frame[ETH_HDR_SIZE + ARP_SIZE];
	struct wr w = wr_init(frame, sizeof(frame));

	wr_copy(&w, n->cfg.guest_mac.b, sizeof(n->cfg.guest_mac.b));
	wr_copy(&w, n->cfg.gateway_mac.b, sizeof(n->cfg.gateway_mac.b));
	wr_be16(&w, ETHERTYPE_ARP);
	arp_build(&reply, &w);
	if (netif_send_frame(n, frame, (uint32_t)wr_len(&w)) == 0)
		n->counters->arp_replies++;
}

enum drop_reason neighbour_on_arp(struct netif *n, const struct packet *p)
{
	const struct ip_addr unset = ip_addr_v4(0);
	uint8_t bytes[ARP_SIZE];
	struct arp arp;

	if (!n->cfg.has_v4)
		return DROP_FAMILY_OFF;
	if (p->frame->len < ETH_HDR_SIZE + ARP_SIZE)
		return DROP_ARP;
	frame_copy(p->frame, ETH_HDR_SIZE, bytes, sizeof(bytes));
	if (arp_parse(bytes, sizeof(bytes), &arp) != 0)
		return DROP_ARP;
	if (!mac_addr_eq(&arp.sender_mac, &n->cfg.guest_mac))
		return DROP_SRC_MAC;
	if (!ip_addr_eq(&arp.sender, &n->cfg.guest_v4) && !ip_addr_eq(&arp.sender, &unset))
		return DROP_SRC_ADDR;
	if (arp.op == ARP_REPLY || ip_addr_eq(&arp.target, &n->cfg.guest_v4))
		return DROP_NONE; /* an announcement, or duplicate detection */
	if (!ip_addr_eq(&arp.target, &n->cfg.gateway_v4))
		return DROP_ARP;
	send_arp_reply(n, &arp);
	return DROP_NONE;
}

/* Not netif_is_gateway_addr(), which knows the IPv4-mapped address too. */
static bool is_gateway_v6(const struct netif *n, const struct ip_addr *a)
{
	return ip_addr_eq(a, &n->cfg.gateway_v6) || ip_addr_eq(a, &n->cfg.gateway_ll);
}

static bool is_solicited_node(const struct ip_addr *a)
{
	static const struct ip_addr prefix = {.b = {0xff, 0x02, [11] = 1, [12] = 0xff}};

	return ip_addr_in_prefix(a, &prefix, 104);
}

static void send_advert(struct netif *n, const struct ip_addr *target, const struct ip_addr *to)
{
	const bool is_duplicate_check = ip_addr_is_unset(to);
	const struct ndp_msg advert = {
	    .type = NDP_NEIGHBOUR_ADVERT,
	    .is_router = true,
	    .is_solicited = !is_duplicate_check,
	    .is_override = true,
	    .target = *target,
	    .has_target_mac = true,
	    .target_mac = n->cfg.gateway_mac,
	};
	uint8_t icmp[NDP_MSG_SIZE_MAX];
	struct wr w = wr_init(icmp, sizeof(icmp));
	struct netif_ip ip = {
	    .family = 6,
	    .proto = PROTO_ICMP6,
	    .ttl = NDP_HOP_LIMIT,
	    .src = target,
	    .dst = is_duplicate_check ? &all_nodes : to,
	};

	ndp_build(&advert, &w);
	ip.l4_len = (uint32_t)wr_len(&w);
	if (netif_send_l4(n, &ip, icmp, NDP_CSUM_OFF) == 0)
		n->counters->ndp_replies++;
}

/* RFC 4861 7.1.1: what a solicitation from :: must look like. */
static bool is_right_duplicate_check(const struct packet *p, const struct ndp_msg *m)
{
	return is_solicited_node(&p->dst) && !m->has_source_mac;
}

static enum drop_reason on_solicit(struct netif *n, const struct packet *p, const struct ndp_msg *m)
{
	if (m->has_source_mac && !mac_addr_eq(&m->source_mac, &n->cfg.guest_mac))
		return DROP_SRC_MAC;
	if (ip_addr_is_unset(&p->src)) {
		if (!is_right_duplicate_check(p, m))
			return DROP_NDP;
	} else if (!netif_is_guest_addr(n, &p->src, 6)) {
		return DROP_SRC_ADDR;
	}
	if (netif_is_guest_addr(n, &m->target, 6) && ip_addr_is_unset(&p->src))
		return DROP_NONE; /* duplicate detection: no other is on the link */
	if (!is_gateway_v6(n, &m->target))
		return DROP_NDP;
	send_advert(n, &m->target, &p->src);
	return DROP_NONE;
}

static enum drop_reason on_advert(
    const struct netif *n, const struct packet *p, const struct ndp_msg *m)
{
	if (m->has_target_mac && !mac_addr_eq(&m->target_mac, &n->cfg.guest_mac))
		return DROP_SRC_MAC;
	if (!netif_is_guest_addr(n, &p->src, 6) || !netif_is_guest_addr(n, &m->target, 6))
		return DROP_SRC_ADDR;
	return DROP_NONE;
}

enum drop_reason neighbour_on_ndp(struct netif *n, const struct packet *p)
{
	uint8_t bytes[NDP_SIZE_MAX];
	struct ndp_msg m;

	if (!n->cfg.has_v6)
		return DROP_FAMILY_OFF;
	/* RFC 4861 7.1: what has crossed a router is none of the link's. */
	if (p->ttl != NDP_HOP_LIMIT || p->l4_len > sizeof(bytes))
		return DROP_NDP;
	frame_copy(p->frame, p->l4_off, bytes, p->l4_len);
	if (ndp_parse(bytes, p->l4_len, &m) != 0)
		return DROP_NDP;
	if (m.type == NDP_NEIGHBOUR_SOLICIT)
		return on_solicit(n, p, &m);
	return m.type == NDP_NEIGHBOUR_ADVERT ? on_advert(n, p, &m) : DROP_NDP;
}
