/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of the simulated guest; see sim_wire.h. */
#include "sim_wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

enum {
	PROTO_V4ICMP = 1,
	PROTO_V6FRAG = 44,
	PROTO_6TCP = 6,
	PROTO_17UDP = 17,
	PROTO_V6ICMP = 58,
};

uint16_t sim_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

uint32_t sim_get32(const uint8_t *at)
{
	return (uint32_t)sim_get16(at) << 16 | sim_get16(at + 2);
}

void sim_put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

void sim_put32(uint8_t *at, uint32_t v)
{
	sim_put16(at, v >> 16);
	sim_put16(at + 2, v);
}

struct sim_frame *sim_frame_new(uint32_t len)
{
	struct sim_frame *f = sim_alloc(sizeof(*f) + len);

	f->len = len;
	return f;
}

/* Four bytes at a time: the sum of 32-bit words folds to the same 16 bits. */
uint32_t sim_sum(uint32_t sum, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	uint64_t total = sum;

	for (; len >= 4; len -= 4, p += 4)
		total += sim_get32(p);
	for (; len >= 2; len -= 2, p += 2)
		total += sim_get16(p);
	if (len > 0)
		total += (uint32_t)p[0] << 8;
	while (total >> 16 != 0)
		total = (total & 0xffff) + (total >> 16);
	return (uint32_t)total;
}

static uint32_t pseudo_sum(const struct sim_packet *p, uint32_t len)
{
	size_t skip = p->family == 4 ? 12 : 0;
	uint8_t tail[8];
	uint32_t sum = sim_sum(0, p->src.b + skip, 16 - skip);

	sum = sim_sum(sum, p->dst.b + skip, 16 - skip);
	sim_put32(tail, len);
	sim_put32(tail + 4, p->proto);
	return sim_sum(sum, tail, sizeof(tail));
}

/* ---- reading ---- */

static const char *parse_ip4(const uint8_t *ip, uint32_t len, struct sim_packet *p)
{
	uint32_t hdr = (ip[0] & 15U) * 4U;
	uint32_t total;
	uint16_t frag;

	if (len < SIM_IP4 || ip[0] >> 4 != 4 || hdr < SIM_IP4 || hdr > len)
		return "IPv4 header";
	total = sim_get16(ip + 2);
	if (total < hdr || total > len)
		return "IPv4 total length";
	if (sim_sum(0, ip, hdr) != 0xffff)
		return "IPv4 header checksum";
	frag = sim_get16(ip + 6);
	p->family = 4;
	p->ip_id = sim_get16(ip + 4);
	p->has_df = (frag & 0x4000) != 0;
	p->has_more = (frag & 0x2000) != 0;
	p->frag_off = (frag & 0x1fffU) * 8U;
	p->has_frag = p->has_more || p->frag_off > 0;
	p->ttl = ip[8];
	p->proto = ip[9];
	p->src = ip_addr_v4_wire(ip + 12);
	p->dst = ip_addr_v4_wire(ip + 16);
	p->l4 = ip + hdr;
	p->l4_len = total - hdr;
	p->l4_off = SIM_ETH + hdr;
	return (frag & 0x8000) != 0 ? "IPv4 reserved flag" : NULL;
}

static const char *parse_ip6(const uint8_t *ip, uint32_t len, struct sim_packet *p)
{
	uint32_t payload;

	if (len < SIM_IP6 || ip[0] >> 4 != 6)
		return "IPv6 header";
	payload = sim_get16(ip + 4);
	if (payload > len - SIM_IP6)
		return "IPv6 payload length";
	p->family = 6;
	p->proto = ip[6];
	p->ttl = ip[7];
	memcpy(p->src.b, ip + 8, 16);
	memcpy(p->dst.b, ip + 24, 16);
	p->l4 = ip + SIM_IP6;
	p->l4_len = payload;
	p->l4_off = SIM_ETH + SIM_IP6;
	if (p->proto != PROTO_V6FRAG)
		return NULL;
	if (payload < 8)
		return "IPv6 fragment header";
	p->has_frag = true;
	p->proto = p->l4[0];
	p->frag_off = sim_get16(p->l4 + 2) & 0xfff8U;
	p->has_more = (p->l4[3] & 1) != 0;
	p->frag_id = sim_get32(p->l4 + 4);
	p->l4 += 8;
	p->l4_len -= 8;
	p->l4_off += 8;
	return NULL;
}

static const char *parse_tcp_options(const uint8_t *at, uint32_t len, struct sim_packet *p)
{
	while (len > 0) {
		if (at[0] == 0)
			return NULL;
		if (at[0] == 1) {
			at++;
			len--;
			continue;
		}
		if (len < 2 || at[1] < 2 || at[1] > len)
			return "TCP option length";
		if (at[0] == 2 && at[1] == 4)
			p->mss = sim_get16(at + 2);
		else if (at[0] == 3 && at[1] == 3)
			p->wscale = at[2];
		else if (at[0] == 4)
			p->has_sack = true;
		else if (at[0] == 8)
			p->has_timestamps = true;
		else
			return "TCP option that was not asked for";
		len -= at[1];
		at += at[1];
	}
	return NULL;
}

static const char *parse_tcp(struct sim_packet *p)
{
	uint32_t hdr;

	if (p->l4_len < SIM_TCP)
		return "TCP header";
	hdr = (p->l4[12] >> 4) * 4U;
	if (hdr < SIM_TCP || hdr > p->l4_len)
		return "TCP data offset";
	p->src_port = sim_get16(p->l4);
	p->dst_port = sim_get16(p->l4 + 2);
	p->seq = sim_get32(p->l4 + 4);
	p->ack = sim_get32(p->l4 + 8);
	p->flags = p->l4[13];
	p->wnd = sim_get16(p->l4 + 14);
	p->urgent = sim_get16(p->l4 + 18);
	p->payload = p->l4 + hdr;
	p->payload_len = p->l4_len - hdr;
	return parse_tcp_options(p->l4 + SIM_TCP, hdr - SIM_TCP, p);
}

static const char *parse_l4(struct sim_packet *p)
{
	if (p->has_frag)
		return NULL;
	switch (p->proto) {
	case PROTO_6TCP:
		return parse_tcp(p);
	case PROTO_17UDP:
		if (p->l4_len < SIM_UDP)
			return "UDP header";
		p->src_port = sim_get16(p->l4);
		p->dst_port = sim_get16(p->l4 + 2);
		break;
	case PROTO_V4ICMP:
	case PROTO_V6ICMP:
		if (p->l4_len < 8)
			return "ICMP header";
		p->icmp_type = p->l4[0];
		p->icmp_code = p->l4[1];
		break;
	default:
		return NULL;
	}
	p->payload = p->l4 + 8;
	p->payload_len = p->l4_len - 8;
	return NULL;
}

const char *sim_parse(const uint8_t *bytes, uint32_t len, struct sim_packet *ret_packet)
{
	struct sim_packet *p = ret_packet;
	const char *wrong = NULL;

	*p = (struct sim_packet){.wscale = -1};
	if (len < SIM_ETH)
		return "Ethernet header";
	memcpy(p->eth_dst.b, bytes, 6);
	memcpy(p->eth_src.b, bytes + 6, 6);
	p->ethertype = sim_get16(bytes + 12);
	if (p->ethertype == 0x0800)
		wrong = parse_ip4(bytes + SIM_ETH, len - SIM_ETH, p);
	else if (p->ethertype == 0x86dd)
		wrong = parse_ip6(bytes + SIM_ETH, len - SIM_ETH, p);
	else
		return NULL;
	return wrong ? wrong : parse_l4(p);
}

/* ---- checking ---- */

static const char *check_csum(const struct sim_frame *f, const struct sim_packet *p)
{
	uint32_t field = p->proto == PROTO_6TCP ? 16 : p->proto == PROTO_17UDP ? 6 : 2;
	uint32_t pseudo = p->proto == PROTO_V4ICMP ? 0 : pseudo_sum(p, p->l4_len);

	if (p->has_frag)
		return NULL; /* whoever reassembles checks it */
	if ((f->vnet.flags & SIM_VNET_NEEDS_CSUM) == 0) {
		if (p->proto == PROTO_17UDP && sim_get16(p->l4 + 6) == 0)
			return "UDP checksum of zero";
		return sim_sum(pseudo, p->l4, p->l4_len) == 0xffff ? NULL : "checksum";
	}
	if (p->proto != PROTO_6TCP && p->proto != PROTO_17UDP)
		return "unfinished checksum of neither TCP nor UDP";
	if (f->vnet.csum_start != p->l4_off || f->vnet.csum_offset != field)
		return "csum_start or csum_offset";
	return sim_get16(p->l4 + field) == pseudo ? NULL : "partial checksum";
}

static const char *check_size(const struct sim_frame *f, const struct sim_packet *p,
    const struct sim_link_facts *facts, uint32_t ip_len)
{
	bool is_tcp = p->proto == PROTO_6TCP && !p->has_frag;
	bool is_udp = p->proto == PROTO_17UDP && !p->has_frag;

	/* NIC_F_CSUM 1, NIC_F_TSO4 2, NIC_F_TSO6 4, NIC_F_USO 8 */
	if ((f->vnet.flags & SIM_VNET_NEEDS_CSUM) != 0 && (facts->features & 1) == 0)
		return "unfinished checksum that the guest does not take";
	switch (f->vnet.gso_type) {
	case SIM_GSO_NONE:
		return ip_len <= facts->mtu ? NULL : "larger than the MTU";
	case SIM_GSO_TCP4:
		if (!is_tcp || p->family != 4 || (facts->features & 2) == 0)
			return "TSO that the guest does not take";
		break;
	case SIM_GSO_TCP6:
		if (!is_tcp || p->family != 6 || (facts->features & 4) == 0)
			return "TSO that the guest does not take";
		break;
	case SIM_GSO_USO:
		if (!is_udp || (facts->features & 8) == 0)
			return "USO that the guest does not take";
		break;
	default:
		return "gso_type";
	}
	if ((f->vnet.flags & SIM_VNET_NEEDS_CSUM) == 0)
		return "segmentation without an unfinished checksum";
	if (f->vnet.gso_size == 0 || f->vnet.gso_size >= p->payload_len)
		return "gso_size";
	if (ip_len - p->payload_len + f->vnet.gso_size > facts->mtu)
		return "segments larger than the MTU";
	return NULL;
}

static const char *check_link(const struct sim_packet *p, const struct sim_link_facts *facts)
{
	bool is_ra = p->family == 6 && p->proto == PROTO_V6ICMP && p->icmp_type == 134;

	if (!mac_addr_eq(&p->eth_src, &facts->gateway_mac))
		return "source MAC";
	if (!mac_addr_eq(&p->eth_dst, &facts->guest_mac) &&
	    !(is_ra && p->eth_dst.b[0] == 0x33 && p->eth_dst.b[1] == 0x33))
		return "destination MAC";
	return NULL;
}

const char *sim_check_to_guest(
    const struct sim_frame *f, const struct sim_link_facts *facts, struct sim_packet *ret_packet)
{
	struct sim_packet *p = ret_packet;
	const char *wrong = sim_parse(f->bytes, f->len, p);
	uint32_t ip_len;

	if (!wrong)
		wrong = check_link(p, facts);
	if (wrong || p->family == 0)
		return wrong;
	ip_len = p->l4_off - SIM_ETH + p->l4_len;
	if (f->len != (SIM_ETH + ip_len < 60 ? 60 : SIM_ETH + ip_len))
		return "length of the frame";
	for (uint32_t i = SIM_ETH + ip_len; i < f->len; i++)
		if (f->bytes[i] != 0)
			return "padding is not zero";
	if (p->ttl == 0)
		return "TTL of zero";
	wrong = check_size(f, p, facts, ip_len);
	if (!wrong && p->proto == PROTO_17UDP && !p->has_frag && sim_get16(p->l4 + 4) != p->l4_len)
		wrong = "UDP length";
	return wrong ? wrong : check_csum(f, p);
}

/* ---- building ---- */

static uint32_t head_len(const struct sim_packet *p)
{
	uint32_t frag = p->family == 6 && p->has_frag ? 8 : 0;

	return SIM_ETH + (p->family == 4 ? (uint32_t)SIM_IP4 : (uint32_t)SIM_IP6) + frag;
}

static void put_head(const struct sim_packet *p, uint8_t *out, uint32_t l4_len)
{
	uint8_t *ip = out + SIM_ETH;

	memcpy(out, p->eth_dst.b, 6);
	memcpy(out + 6, p->eth_src.b, 6);
	sim_put16(out + 12, p->family == 4 ? 0x0800 : 0x86dd);
	if (p->family == 4) {
		ip[0] = 0x45;
		ip[1] = 0;
		sim_put16(ip + 2, SIM_IP4 + l4_len);
		sim_put16(ip + 4, p->ip_id);
		sim_put16(ip + 6,
		    p->frag_off / 8 | (p->has_more ? 0x2000U : 0U) | (p->has_df ? 0x4000U : 0U));
		ip[8] = p->ttl > 0 ? p->ttl : 64;
		ip[9] = p->proto;
		sim_put16(ip + 10, 0);
		memcpy(ip + 12, p->src.b + 12, 4);
		memcpy(ip + 16, p->dst.b + 12, 4);
		sim_put16(ip + 10, ~sim_sum(0, ip, SIM_IP4));
		return;
	}
	sim_put32(ip, 6U << 28);
	sim_put16(ip + 4, l4_len + (p->has_frag ? 8 : 0));
	ip[6] = p->has_frag ? PROTO_V6FRAG : p->proto;
	ip[7] = p->ttl > 0 ? p->ttl : 64;
	memcpy(ip + 8, p->src.b, 16);
	memcpy(ip + 24, p->dst.b, 16);
	if (p->has_frag) {
		ip[40] = p->proto;
		ip[41] = 0;
		sim_put16(ip + 42, p->frag_off | (p->has_more ? 1U : 0U));
		sim_put32(ip + 44, p->frag_id);
	}
}

void sim_fill_csum(const struct sim_packet *p, uint8_t *l4, uint32_t len, uint32_t off)
{
	uint32_t sum = p->proto == PROTO_V4ICMP ? 0 : pseudo_sum(p, len);
	uint16_t csum;

	sim_put16(l4 + off, 0);
	csum = (uint16_t)~sim_sum(sum, l4, len);
	sim_put16(l4 + off, csum == 0 && p->proto == PROTO_17UDP ? 0xffff : csum);
}

struct sim_frame *sim_build_ip(const struct sim_packet *p, const void *l4, uint32_t len)
{
	struct sim_frame *f = sim_frame_new(head_len(p) + len);

	put_head(p, f->bytes, len);
	memcpy(f->bytes + head_len(p), l4, len);
	return f;
}

static uint32_t put_tcp_options(const struct sim_packet *p, uint8_t *at)
{
	uint32_t n = 0;

	if (p->mss > 0) {
		sim_put16(at, 0x0204);
		sim_put16(at + 2, p->mss);
		n += 4;
	}
	if (p->has_sack) {
		sim_put32(at + n, 0x01010402);
		n += 4;
	}
	if (p->wscale >= 0) {
		sim_put32(at + n, 0x01030300 | (uint32_t)p->wscale);
		n += 4;
	}
	return n;
}

struct sim_frame *sim_build_tcp(
    const struct sim_packet *p, uint32_t seed, uint64_t off, uint16_t gso_size, bool is_partial)
{
	uint8_t options[12];
	uint32_t hdr = SIM_TCP + put_tcp_options(p, options);
	uint32_t l4_off = head_len(p);
	uint32_t len = hdr + p->payload_len;
	struct sim_frame *f = sim_frame_new(l4_off + len);
	uint8_t *l4 = f->bytes + l4_off;

	put_head(p, f->bytes, len);
	sim_put16(l4, p->src_port);
	sim_put16(l4 + 2, p->dst_port);
	sim_put32(l4 + 4, p->seq);
	sim_put32(l4 + 8, p->ack);
	l4[12] = (uint8_t)(hdr / 4 << 4);
	l4[13] = p->flags;
	sim_put16(l4 + 14, p->wnd);
	sim_put16(l4 + 16, 0);
	sim_put16(l4 + 18, p->urgent);
	memcpy(l4 + SIM_TCP, options, hdr - SIM_TCP);
	sim_pattern_fill(seed, off, l4 + hdr, p->payload_len);
	if (!is_partial && gso_size == 0) {
		sim_fill_csum(p, l4, len, 16);
		return f;
	}
	sim_put16(l4 + 16, pseudo_sum(p, len));
	f->vnet.flags = SIM_VNET_NEEDS_CSUM;
	f->vnet.csum_start = (uint16_t)l4_off;
	f->vnet.csum_offset = 16;
	if (gso_size > 0) {
		f->vnet.gso_type = p->family == 4 ? SIM_GSO_TCP4 : SIM_GSO_TCP6;
		f->vnet.gso_size = gso_size;
	}
	return f;
}

struct sim_frame *sim_build_udp(const struct sim_packet *p, uint32_t seed, uint64_t off)
{
	uint32_t l4_off = head_len(p);
	uint32_t len = SIM_UDP + p->payload_len;
	struct sim_frame *f = sim_frame_new(l4_off + len);
	uint8_t *l4 = f->bytes + l4_off;

	put_head(p, f->bytes, len);
	sim_put16(l4, p->src_port);
	sim_put16(l4 + 2, p->dst_port);
	sim_put16(l4 + 4, len);
	sim_pattern_fill(seed, off, l4 + SIM_UDP, p->payload_len);
	sim_fill_csum(p, l4, len, 6);
	return f;
}

/* ---- words ---- */

static void flag_text(uint8_t flags, char out[8])
{
	static const char letters[] = "FSRP.U";
	size_t n = 0;

	for (size_t i = 0; i < 6; i++)
		if ((flags >> i & 1) != 0)
			out[n++] = letters[i];
	if (n == 0)
		out[n++] = '-';
	out[n] = '\0';
}

const char *sim_describe(const struct sim_packet *p, char *out, size_t cap)
{
	char src[IP_ADDR_TEXT_MAX];
	char dst[IP_ADDR_TEXT_MAX];
	char flags[8];

	if (p->family == 0) {
		(void)snprintf(out, cap, "ethertype %04x", p->ethertype);
		return out;
	}
	(void)ip_addr_format(&p->src, src);
	(void)ip_addr_format(&p->dst, dst);
	if (p->has_frag) {
		(void)snprintf(out, cap, "%s > %s proto %u fragment %u+%u%s", src, dst, p->proto,
		    p->frag_off, p->l4_len, p->has_more ? "+" : "");
	} else if (p->proto == PROTO_6TCP) {
		flag_text(p->flags, flags);
		(void)snprintf(out, cap, "%s:%u > %s:%u %s seq %u len %u ack %u win %u", src,
		    p->src_port, dst, p->dst_port, flags, p->seq, p->payload_len, p->ack, p->wnd);
	} else if (p->proto == PROTO_17UDP) {
		(void)snprintf(out, cap, "%s:%u > %s:%u udp len %u", src, p->src_port, dst,
		    p->dst_port, p->payload_len);
	} else {
		(void)snprintf(out, cap, "%s > %s proto %u type %u code %u len %u", src, dst,
		    p->proto, p->icmp_type, p->icmp_code, p->payload_len);
	}
	return out;
}
