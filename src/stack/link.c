/* SPDX-License-Identifier: Apache-2.0 */
/* Hands the link's own traffic to those whom it concerns; refuses what only a router may say. */
#include "stack/link.h"

#include "stack/dhcp.h"
#include "stack/neighbour.h"
#include "wire/dhcp4.h"
#include "wire/dhcp6.h"
#include "wire/ndp.h"

enum {
	MLD_QUERY = 130,
	MLD_REPORT = 131,
	MLD_DONE = 132,
	MLD2_REPORT = 143,
};

void link_init(struct link *l, struct netif *n)
{
	l->netif = n;
	ra_init(&l->ra);
}

static bool on_icmp6(
    struct link *l, const struct packet *p, uint64_t now_ns, enum drop_reason *ret_why)
{
	switch (p->icmp.type) {
	case NDP_ROUTER_SOLICIT:
		*ret_why = ra_on_solicit(&l->ra, l->netif, p, now_ns);
		return true;
	case NDP_NEIGHBOUR_SOLICIT:
	case NDP_NEIGHBOUR_ADVERT:
		*ret_why = neighbour_on_ndp(l->netif, p);
		return true;
	case NDP_ROUTER_ADVERT:
	case NDP_REDIRECT:
		*ret_why = DROP_NDP; /* threats.md P13: the guest is no router */
		return true;
	case MLD_QUERY:
	case MLD_REPORT:
	case MLD_DONE:
	case MLD2_REPORT:
		*ret_why = DROP_MULTICAST; /* no multicast is forwarded */
		return true;
	default:
		return false;
	}
}

static bool on_udp(struct link *l, const struct packet *p, enum drop_reason *ret_why)
{
	static const struct ip_addr all_servers = {
	    .b = {0xff, 0x02, [13] = 1, [15] = 2}}; /* RFC 8415 7.1 */
	const struct ip_addr broadcast = ip_addr_v4(UINT32_MAX);

	if (p->family == 4 && p->udp.dst_port == DHCP4_SERVER_PORT &&
	    (ip_addr_eq(&p->dst, &broadcast) || ip_addr_eq(&p->dst, &l->netif->cfg.gateway_v4))) {
		*ret_why = dhcp4_serve(l->netif, p);
		return true;
	}
	if (p->family == 6 && p->udp.dst_port == DHCP6_SERVER_PORT &&
	    (ip_addr_eq(&p->dst, &all_servers) || netif_is_gateway_addr(l->netif, &p->dst))) {
		*ret_why = dhcp6_serve(l->netif, p);
		return true;
	}
	return false;
}

bool link_on_packet(
    struct link *l, const struct packet *p, uint64_t now_ns, enum drop_reason *ret_why)
{
	if (p->ethertype == ETHERTYPE_ARP) {
		*ret_why = neighbour_on_arp(l->netif, p);
		return true;
	}
	if (p->is_fragment)
		return false;
	if (p->proto == PROTO_UDP)
		return on_udp(l, p, ret_why);
	return p->proto == PROTO_ICMP6 && p->family == 6 && on_icmp6(l, p, now_ns, ret_why);
}

void link_on_time(struct link *l, uint64_t now_ns)
{
	ra_on_time(&l->ra, l->netif, now_ns);
}
