/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Router advertisements.
 *
 * The prefix and the resolver are given for ever. A default route cannot be (RFC 4861 6.2.1): it is
 * renewed three times in its life, so that one lost frame does no harm (kubevirt 13191). Answers go out
 * at once: the delays of RFC 4861 6.2.6 spread the answers of many routers to many hosts, and
 * there is one of each here. Tests: tests/unit/test_link.c.
 */
#include "stack/ra.h"

#include "wire/ndp.h"

enum {
	RS_SIZE_MAX = 256,
	ROUTER_LIFETIME_S = 9000, /* RFC 4861 6.2.1: the most */
};

static const uint64_t interval_ns = ROUTER_LIFETIME_S / 3 * 1000000000ULL;
static const uint64_t retry_ns = 1000000000; /* after there was no room */

static const struct ip_addr all_nodes = {.b = {0xff, 0x02, [15] = 1}};
static const struct ip_addr all_routers = {.b = {0xff, 0x02, [15] = 2}};

void ra_init(struct ra *ra)
{
	ra->due_ns = RA_NEVER;
}

static void send_advert(struct ra *ra, struct netif *n, const struct ip_addr *to, uint64_t now_ns)
{
	const struct ndp_ra advert = {
	    .hop_limit = NETIF_TTL,
	    .is_other_config = true,
	    .router_lifetime_s = ROUTER_LIFETIME_S,
	    .source_mac = n->cfg.gateway_mac,
	    .mtu_bytes = n->cfg.mtu,
	    .prefix = n->cfg.guest_v6,
	    .prefix_len = n->cfg.prefix_len_v6,
	    .prefix_valid_s = NDP_LIFETIME_INFINITE,
	    .prefix_preferred_s = NDP_LIFETIME_INFINITE,
	    .dns = n->cfg.gateway_v6,
	    .dns_lifetime_s = NDP_LIFETIME_INFINITE,
	};
	uint8_t icmp[NDP_RA_SIZE_MAX];
	struct wr w = wr_init(icmp, sizeof(icmp));
	struct netif_ip ip = {
	    .family = 6,
	    .proto = PROTO_ICMP6,
	    .ttl = NDP_HOP_LIMIT,
	    .src = &n->cfg.gateway_ll,
	    .dst = to,
	};

	ndp_build_ra(&advert, &w);
	ip.l4_len = (uint32_t)wr_len(&w);
	if (netif_send_l4(n, &ip, icmp, NDP_CSUM_OFF) == 0) {
		n->counters->ra_sent++;
		ra->due_ns = now_ns + interval_ns;
	} else {
		ra->due_ns = now_ns + retry_ns;
	}
}

enum drop_reason ra_on_solicit(
    struct ra *ra, struct netif *n, const struct packet *p, uint64_t now_ns)
{
	const bool is_from_unset = ip_addr_is_unset(&p->src);
	uint8_t bytes[RS_SIZE_MAX];
	struct ndp_msg m;

	if (!n->cfg.has_v6)
		return DROP_FAMILY_OFF;
	/* RFC 4861 6.1.1 */
	if (p->ttl != NDP_HOP_LIMIT || p->l4_len > sizeof(bytes))
		return DROP_NDP;
	frame_copy(p->frame, p->l4_off, bytes, p->l4_len);
	if (ndp_parse(bytes, p->l4_len, &m) != 0 || m.type != NDP_ROUTER_SOLICIT ||
	    (is_from_unset && m.has_source_mac))
		return DROP_NDP;
	if (m.has_source_mac && !mac_addr_eq(&m.source_mac, &n->cfg.guest_mac))
		return DROP_SRC_MAC;
	if (!is_from_unset && !netif_is_guest_addr(n, &p->src, 6))
		return DROP_SRC_ADDR;
	if (!ip_addr_eq(&p->dst, &all_routers) && !ip_addr_eq(&p->dst, &n->cfg.gateway_ll))
		return DROP_NDP;
	send_advert(ra, n, is_from_unset ? &all_nodes : &p->src, now_ns);
	return DROP_NONE;
}

void ra_on_time(struct ra *ra, struct netif *n, uint64_t now_ns)
{
	if (now_ns >= ra->due_ns)
		send_advert(ra, n, &all_nodes, now_ns);
}
