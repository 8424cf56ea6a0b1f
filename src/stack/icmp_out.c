/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ICMP errors to the guest: RFC 792, RFC 1122 3.2.2, RFC 1812 4.3.2, RFC 4443 2.4.
 *
 * Never about ICMP other than echo requests, about what was sent to many, or about a packet that is not
 * the guest's. Not more than RATE in a second. Tests: tests/unit/test_icmp_out.c.
 */
#include "stack/icmp_out.h"

enum {
	RATE = 1000, /* errors per second */
	BURST = 100, /* errors at once */
	ICMP_ERROR_HDR_SIZE = 8,
	QUOTED_L4_SIZE = 8, /* RFC 792: what is quoted behind the IPv4 header */
};

void icmp_out_init(struct icmp_out *o, struct netif *n)
{
	o->netif = n;
	o->bucket = (struct bucket){.interval_ns = 1000000000ULL / RATE, .burst = BURST};
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Who says so. */
static const struct ip_addr *source_of(const struct netif *n, uint8_t family,
    const struct icmp_error *e, const struct ip_addr *guest, const struct ip_addr *dialed)
{
	static const struct ip_addr link_local = {.b = {0xfe, 0x80}};

	if (icmp_is_of_destination(family, e))
		return dialed;
	if (family == 4)
		return &n->cfg.gateway_v4;
	return ip_addr_in_prefix(guest, &link_local, 64) ? &n->cfg.gateway_ll : &n->cfg.gateway_v6;
}

static bool take_token(struct icmp_out *o, uint64_t now_ns)
{
	if (bucket_take(&o->bucket, now_ns))
		return true;
	o->netif->counters->icmp_errors_limited++;
	return false;
}

/* Completes and sends the message at icmp, of which len bytes are there. */
static bool send_error(struct icmp_out *o, struct netif_ip *ip, uint8_t *icmp, uint32_t len)
{
	ip->proto = ip->family == 4 ? PROTO_ICMP4 : PROTO_ICMP6;
	ip->l4_len = len;
	if (netif_send_l4(o->netif, ip, icmp, ICMP_CSUM_OFF) != 0)
		return false;
	o->netif->counters->icmp_errors++;
	return true;
}

static bool is_unicast(const struct ip_addr *a)
{
	return !ip_addr_is_multicast(a) && !ip_addr_is_unset(a) &&
	       !(ip_addr_is_v4(a) &&
		   (ip_addr_to_v4(a) == UINT32_MAX || ip_addr_to_v4(a) >> 24 == 0));
}

static bool may_answer(const struct netif *n, const struct packet *p)
{
	if ((p->proto == PROTO_ICMP4 && p->icmp.type != ICMP4_ECHO_REQUEST) ||
	    (p->proto == PROTO_ICMP6 && p->icmp.type != ICMP6_ECHO_REQUEST))
		return false;
	if (p->is_fragment && p->frag_off != 0)
		return false;
	return (p->eth_dst.b[0] & 1) == 0 && is_unicast(&p->dst) &&
	       netif_is_guest_addr(n, &p->src, p->family);
}

bool icmp_out_packet(struct icmp_out *o, const struct packet *p, enum icmp_cause cause,
    uint32_t mtu_bytes, uint64_t now_ns)
{
	const uint32_t max =
	    p->family == 4 ? ICMP4_ERROR_MAX - IP4_HDR_SIZE : ICMP6_ERROR_MAX - IP6_HDR_SIZE;
	uint32_t quoted = p->l4_off - ETH_HDR_SIZE +
			  (p->family == 4 ? min_u32(QUOTED_L4_SIZE, p->l4_len) : p->l4_len);
	uint8_t icmp[ICMP6_ERROR_MAX];
	struct wr w = wr_init(icmp, max);
	struct netif_ip ip = {.family = p->family, .dst = &p->src};
	struct icmp_error e;

	if (!may_answer(o->netif, p) || !icmp_error_of(cause, p->family, mtu_bytes, &e) ||
	    !take_token(o, now_ns))
		return false;
	ip.src = source_of(o->netif, p->family, &e, &p->src, &p->dst);
	icmp_build_error(&e, &w);
	quoted = min_u32(quoted, max - ICMP_ERROR_HDR_SIZE);
	frame_copy(p->frame, ETH_HDR_SIZE, icmp + ICMP_ERROR_HDR_SIZE, quoted);
	return send_error(o, &ip, icmp, ICMP_ERROR_HDR_SIZE + quoted);
}

bool icmp_out_quote(
    struct icmp_out *o, const struct icmp_quote *q, const struct icmp_error *e, uint64_t now_ns)
{
	uint8_t icmp[ICMP6_ERROR_MAX];
	struct wr w = wr_init(icmp, ICMP6_ERROR_MAX - IP6_HDR_SIZE);
	struct netif_ip ip = {
	    .family = q->family,
	    .src = source_of(o->netif, q->family, e, q->src, q->dst),
	    .dst = q->src,
	};

	if (!is_unicast(q->dst) || !take_token(o, now_ns))
		return false;
	icmp_build_error(e, &w);
	icmp_build_quote(q, &w);
	return send_error(o, &ip, icmp, (uint32_t)wr_len(&w));
}
