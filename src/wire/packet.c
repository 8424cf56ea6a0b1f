/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parser of the guest's frames: Ethernet II, IPv4 (RFC 791), IPv6 (RFC 8200), TCP (RFC 9293),
 * UDP (RFC 768), ICMP (RFC 792, RFC 4443) headers.
 *
 * Refused: lengths that contradict each other, wrong checksums, IPv4 source routing (RFC 7126), IPv6
 * routing headers with segments left (RFC 5095), more than EXT_HEADERS_MAX extension headers,
 * jumbograms, headers longer than the frame's head. Every loop consumes input or counts up to a
 * constant.
 *
 * Invariant: after DROP_NONE, l4_off + l4_len and payload_off + payload_len lie within the frame, and
 * headers within its head (tests/unit/test_packet.c, tests/fuzz/fuzz_packet.c).
 */
#include "wire/packet.h"

#include <string.h>

#include "base/csum.h"
#include "base/rd.h"

enum {
	EXT_HEADERS_MAX = 8,

	IP6_EXT_HOP_BY_HOP = 0,
	IP6_EXT_ROUTING = 43,
	IP6_EXT_FRAGMENT = 44,
	IP6_EXT_DESTINATION = 60,

	IP4_FLAG_RESERVED = 0x8000,
	IP4_FLAG_DF = 0x4000,
	IP4_FLAG_MF = 0x2000,
	IP4_OFF_MASK = 0x1fff,

	IP4_OPT_END = 0,
	IP4_OPT_NOP = 1,
	IP4_OPT_LSRR = 131,
	IP4_OPT_SSRR = 137,

	TCP_OPT_END = 0,
	TCP_OPT_NOP = 1,
	TCP_OPT_MSS = 2,
	TCP_OPT_WSCALE = 3,
	TCP_OPT_SACK_PERMITTED = 4,
	TCP_WSCALE_MAX = 14, /* RFC 7323 2.3 */

	USO_SEGMENTS_MAX = 128, /* datagrams in one frame: as many as Linux ever makes */
};

uint32_t frame_slice(
    const struct frame *frame, uint32_t off, uint32_t len, struct iovec *iov, uint32_t max)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < frame->iov_count && len > 0; i++) {
		uint32_t here = (uint32_t)frame->iov[i].iov_len;
		uint32_t take;

		if (off >= here) {
			off -= here;
			continue;
		}
		if (n == max)
			return 0;
		take = here - off < len ? here - off : len;
		iov[n++] = (struct iovec){
		    .iov_base = (uint8_t *)frame->iov[i].iov_base + off, .iov_len = take};
		len -= take;
		off = 0;
	}
	return n;
}

void frame_copy(const struct frame *frame, uint32_t off, void *to, uint32_t len)
{
	uint8_t *out = to;

	for (uint32_t i = 0; i < frame->iov_count && len > 0; i++) {
		uint32_t here = (uint32_t)frame->iov[i].iov_len;
		uint32_t take;

		if (off >= here) {
			off -= here;
			continue;
		}
		take = here - off < len ? here - off : len;
		memcpy(out, (const uint8_t *)frame->iov[i].iov_base + off, take);
		out += take;
		len -= take;
		off = 0;
	}
}

static enum drop_reason parse_ip4_options(struct rd opts)
{
	while (rd_left(&opts) > 0) {
		uint8_t type = rd_u8(&opts);
		uint8_t len;

		if (type == IP4_OPT_END)
			break;
		if (type == IP4_OPT_NOP)
			continue;
		len = rd_u8(&opts);
		if (len < 2)
			return DROP_IP_HEADER;
		if (type == IP4_OPT_LSRR || type == IP4_OPT_SSRR)
			return DROP_IP_OPTION;
		rd_skip(&opts, len - 2U);
	}
	return rd_ok(&opts) ? DROP_NONE : DROP_IP_HEADER;
}

static enum drop_reason parse_ip4(struct packet *p, struct rd *r)
{
	const uint8_t *hdr = r->pos;
	uint8_t version_ihl = rd_u8(r);
	uint32_t hdr_len = (version_ihl & 0x0fU) * 4U;
	uint16_t frag;
	uint32_t total;
	struct rd opts;
	const uint8_t *src;
	const uint8_t *dst;

	rd_skip(r, 1); /* type of service */
	total = rd_be16(r);
	p->frag_id = rd_be16(r);
	frag = rd_be16(r);
	p->ttl = rd_u8(
	    r); /* whatever it is: for a guest's packets this is where they end (RFC 1122 3.2.1.7) */
	p->proto = rd_u8(r);
	rd_skip(r, 2); /* checksum */
	src = rd_bytes(r, 4);
	dst = rd_bytes(r, 4);
	if (!src || !dst)
		return DROP_RUNT;
	if (version_ihl >> 4 != 4 || hdr_len < IP4_HDR_SIZE || total < hdr_len)
		return DROP_IP_HEADER;
	if (total > p->frame->len - ETH_HDR_SIZE)
		return DROP_RUNT;
	opts = rd_sub(r, hdr_len - IP4_HDR_SIZE);
	if (!rd_ok(r))
		return DROP_RUNT;
	if (csum_of(hdr, hdr_len) != 0)
		return DROP_IP_CHECKSUM;

	p->family = 4;
	p->src = ip_addr_v4_wire(src);
	p->dst = ip_addr_v4_wire(dst);
	p->has_df = (frag & IP4_FLAG_DF) != 0;
	p->has_more = (frag & IP4_FLAG_MF) != 0;
	p->frag_off = (frag & IP4_OFF_MASK) * 8U;
	p->is_fragment = p->has_more || p->frag_off != 0;
	p->l4_off = ETH_HDR_SIZE + hdr_len;
	p->l4_len = total - hdr_len;
	if (p->is_fragment && (frag & IP4_FLAG_RESERVED) != 0)
		return DROP_FRAGMENT;
	return hdr_len > IP4_HDR_SIZE ? parse_ip4_options(opts) : DROP_NONE;
}

static enum drop_reason parse_ip6_fragment(struct packet *p, struct rd *r, uint8_t *next)
{
	uint16_t frag;

	*next = rd_u8(r);
	rd_skip(r, 1); /* reserved: ignored on receipt, RFC 8200 4.5 */
	frag = rd_be16(r);
	p->frag_id = rd_be32(r);
	p->has_more = (frag & 1) != 0;
	p->frag_off = frag & 0xfff8U;
	p->is_fragment = p->has_more || p->frag_off != 0; /* else atomic, RFC 6946 */
	return (frag & 6) != 0 ? DROP_FRAGMENT : DROP_NONE;
}

/* Walks the extension headers; each turn reads at least eight bytes, or ends. */
static enum drop_reason parse_ip6_extensions(struct packet *p, struct rd *r, uint8_t next)
{
	for (int count = 0; count <= EXT_HEADERS_MAX; count++) {
		uint32_t len;
		uint8_t routing_left = 0;

		if (next == IP6_EXT_FRAGMENT) {
			enum drop_reason why = parse_ip6_fragment(p, r, &next);

			if (why != DROP_NONE)
				return why;
			if (p->is_fragment) {
				p->proto = next;
				return rd_ok(r) ? DROP_NONE : DROP_IP_HEADER;
			}
			continue;
		}
		if (next != IP6_EXT_HOP_BY_HOP && next != IP6_EXT_ROUTING &&
		    next != IP6_EXT_DESTINATION) {
			p->proto = next;
			return rd_ok(r) ? DROP_NONE : DROP_IP_HEADER;
		}
		if (next == IP6_EXT_HOP_BY_HOP && count > 0)
			return DROP_IP_HEADER; /* RFC 8200 4.1: only directly behind the IPv6 header */
		if (next == IP6_EXT_ROUTING && rd_left(r) >= 4)
			routing_left = r->pos[3];
		next = rd_u8(r);
		len = rd_u8(r);
		rd_skip(r, len * 8 + 6);
		if (!rd_ok(r))
			return DROP_IP_HEADER;
		if (routing_left > 0)
			return DROP_IP_OPTION;
	}
	return DROP_IP_OPTION;
}

static enum drop_reason parse_ip6(struct packet *p, struct rd *r)
{
	uint32_t version = rd_be32(r) >> 28;
	uint32_t len = rd_be16(r);
	uint8_t next = rd_u8(r);
	struct rd body;
	uint32_t end;
	enum drop_reason why;

	p->ttl = rd_u8(r);
	rd_copy(r, p->src.b, sizeof(p->src.b));
	rd_copy(r, p->dst.b, sizeof(p->dst.b));
	if (!rd_ok(r))
		return DROP_RUNT;
	if (version != 6 || len == 0) /* length 0: a jumbogram (RFC 2675), or no upper layer */
		return DROP_IP_HEADER;
	end = ETH_HDR_SIZE + IP6_HDR_SIZE + len;
	if (end > p->frame->len)
		return DROP_RUNT;
	p->family = 6;
	p->has_df = true;

	/* Extension headers must lie within the packet and within the head. */
	body = rd_sub(r, rd_left(r) < len ? rd_left(r) : len);
	why = parse_ip6_extensions(p, &body, next);
	if (why != DROP_NONE)
		return why;
	p->l4_off = (uint32_t)(body.pos - p->frame->head);
	p->l4_len = end - p->l4_off;
	return DROP_NONE;
}

enum drop_reason packet_parse(const struct frame *frame, struct packet *ret_packet)
{
	struct packet *p = ret_packet;
	struct rd r = rd_init(frame->head, frame->head_len);

	/* Field by field: a packet is some 150 bytes, and clearing all of it is seen in profiles. */
	p->frame = frame;
	p->is_fragment = false;
	p->has_more = false;
	p->frag_off = 0;
	p->frag_id = 0;
	p->family = 0;
	p->payload_len = 0;
	rd_copy(&r, p->eth_dst.b, sizeof(p->eth_dst.b));
	rd_copy(&r, p->eth_src.b, sizeof(p->eth_src.b));
	p->ethertype = rd_be16(&r);
	if (!rd_ok(&r))
		return DROP_RUNT;
	switch (p->ethertype) {
	case ETHERTYPE_IP4:
		return parse_ip4(p, &r);
	case ETHERTYPE_IP6:
		return parse_ip6(p, &r);
	case ETHERTYPE_ARP:
		return DROP_NONE;
	default:
		return DROP_ETHERTYPE;
	}
}

/* Options of a SYN, RFC 9293 3.1; each turn consumes input. */
static bool parse_tcp_options(struct packet *p, struct rd opts)
{
	while (rd_left(&opts) > 0) {
		uint8_t kind = rd_u8(&opts);
		uint8_t len;
		struct rd body;

		if (kind == TCP_OPT_END)
			break;
		if (kind == TCP_OPT_NOP)
			continue;
		len = rd_u8(&opts);
		if (len < 2)
			return false;
		body = rd_sub(&opts, len - 2U);
		if (kind == TCP_OPT_MSS && len == 4) {
			p->tcp.opt_mss = rd_be16(&body);
		} else if (kind == TCP_OPT_WSCALE && len == 3) {
			uint8_t shift = rd_u8(&body);

			p->tcp.opt_wscale = shift < TCP_WSCALE_MAX ? shift : TCP_WSCALE_MAX;
			p->tcp.has_wscale = true;
		} else if (kind == TCP_OPT_SACK_PERMITTED && len == 2) {
			p->tcp.has_sack_permitted = true;
		}
	}
	return rd_ok(&opts);
}

static enum drop_reason parse_tcp(struct packet *p, struct rd *r)
{
	uint32_t hdr_len;

	p->tcp.src_port = rd_be16(r);
	p->tcp.dst_port = rd_be16(r);
	p->tcp.seq = rd_be32(r);
	p->tcp.ack = rd_be32(r);
	hdr_len = (rd_u8(r) >> 4) * 4U;
	p->tcp.flags = rd_u8(r);
	p->tcp.wnd = rd_be16(r);
	rd_skip(r, 4); /* checksum, urgent pointer: urgent data stays in the stream (RFC 6093) */
	p->tcp.opt_mss = 0;
	p->tcp.opt_wscale = 0;
	p->tcp.has_wscale = false;
	p->tcp.has_sack_permitted = false;
	if (!rd_ok(r) || hdr_len < TCP_HDR_SIZE || hdr_len > p->l4_len)
		return DROP_L4_HEADER;
	if (hdr_len > TCP_HDR_SIZE) {
		struct rd opts = rd_sub(r, hdr_len - TCP_HDR_SIZE);

		if (!rd_ok(r))
			return DROP_L4_HEADER;
		if ((p->tcp.flags & TCP_SYN) != 0 && !parse_tcp_options(p, opts))
			return DROP_L4_HEADER;
	}
	p->tcp.hdr_len = (uint8_t)hdr_len;
	p->payload_off = p->l4_off + hdr_len;
	p->payload_len = p->l4_len - hdr_len;
	return DROP_NONE;
}

static enum drop_reason parse_udp(struct packet *p, struct rd *r)
{
	uint32_t len;

	p->udp.src_port = rd_be16(r);
	p->udp.dst_port = rd_be16(r);
	len = rd_be16(r);
	rd_skip(r, 2); /* checksum */
	if (!rd_ok(r))
		return DROP_L4_HEADER;
	/* Of a frame with segmentation offload the length field may be that of one segment or, above
	 * 64 KiB, zero: there the IP length counts. */
	if (p->frame->vnet.gso_type != VNET_GSO_NONE)
		len = p->l4_len;
	if (len < UDP_HDR_SIZE || len > p->l4_len)
		return DROP_L4_HEADER;
	p->payload_off = p->l4_off + UDP_HDR_SIZE;
	p->payload_len = len - UDP_HDR_SIZE;
	return DROP_NONE;
}

static enum drop_reason parse_icmp(struct packet *p, struct rd *r)
{
	p->icmp.type = rd_u8(r);
	p->icmp.code = rd_u8(r);
	rd_skip(r, 2); /* checksum */
	p->icmp.id = rd_be16(r);
	p->icmp.seq = rd_be16(r);
	if (!rd_ok(r) || p->l4_len < ICMP_HDR_SIZE)
		return DROP_L4_HEADER;
	p->payload_off = p->l4_off + ICMP_HDR_SIZE;
	p->payload_len = p->l4_len - ICMP_HDR_SIZE;
	return DROP_NONE;
}

/* What the header claims of checksum and segmentation must fit the packet (threats.md P18). */
static enum drop_reason check_vnet(const struct packet *p)
{
	const struct vnet_hdr *v = &p->frame->vnet;
	uint8_t gso = v->gso_type & (uint8_t)~VNET_GSO_ECN;

	if ((v->flags & VNET_F_NEEDS_CSUM) != 0) {
		uint32_t field = p->proto == PROTO_TCP ? 16 : p->proto == PROTO_UDP ? 6 : 2;

		if (v->csum_start != p->l4_off || v->csum_offset != field)
			return DROP_VNET;
	}
	if (gso == VNET_GSO_NONE)
		return v->gso_type == VNET_GSO_NONE ? DROP_NONE : DROP_VNET;
	if (v->gso_size == 0 || (v->flags & VNET_F_NEEDS_CSUM) == 0)
		return DROP_VNET;
	switch (gso) {
	case VNET_GSO_TCP4:
		return p->family == 4 && p->proto == PROTO_TCP ? DROP_NONE : DROP_VNET;
	case VNET_GSO_TCP6:
		return p->family == 6 && p->proto == PROTO_TCP ? DROP_NONE : DROP_VNET;
	case VNET_GSO_UDP:
		return p->proto == PROTO_UDP && gso == v->gso_type ? DROP_NONE : DROP_VNET;
	case VNET_GSO_USO:
		/* Each segment may cost the host a system call. */
		return p->proto == PROTO_UDP && gso == v->gso_type &&
			       p->payload_len <= (uint32_t)v->gso_size * USO_SEGMENTS_MAX
			   ? DROP_NONE
			   : DROP_VNET;
	default:
		return DROP_VNET;
	}
}

static bool is_l4_csum_right(const struct packet *p)
{
	struct csum c = {0};
	uint32_t off = p->l4_off;
	uint32_t left = p->l4_len;

	if ((p->frame->vnet.flags & (VNET_F_NEEDS_CSUM | VNET_F_DATA_VALID)) != 0)
		return true;
	if (p->proto == PROTO_UDP) {
		const uint8_t *field = p->frame->head + p->l4_off + 6;

		if (field[0] == 0 && field[1] == 0)
			return p->family ==
			       4; /* RFC 768: not computed; RFC 8200 8.1: not for IPv6 */
		left = p->payload_len + UDP_HDR_SIZE;
	}
	if (p->proto != PROTO_ICMP4)
		csum_add_pseudo(&c, &p->src, &p->dst, p->proto, left);
	for (uint32_t i = 0; i < p->frame->iov_count && left > 0; i++) {
		const struct iovec *v = &p->frame->iov[i];
		uint32_t take;

		if (off >= v->iov_len) {
			off -= (uint32_t)v->iov_len;
			continue;
		}
		take = v->iov_len - off < left ? (uint32_t)v->iov_len - off : left;
		csum_add(&c, (const uint8_t *)v->iov_base + off, take);
		left -= take;
		off = 0;
	}
	return csum_finish(&c) == 0;
}

enum drop_reason packet_parse_l4(struct packet *packet)
{
	struct packet *p = packet;
	struct rd r = rd_init(p->frame->head, p->frame->head_len);
	enum drop_reason why;

	rd_skip(&r, p->l4_off);
	if (p->proto == PROTO_TCP)
		why = parse_tcp(p, &r);
	else if (p->proto == PROTO_UDP)
		why = parse_udp(p, &r);
	else if (p->proto == (p->family == 4 ? PROTO_ICMP4 : PROTO_ICMP6))
		why = parse_icmp(p, &r);
	else
		why = DROP_PROTOCOL;
	if (why == DROP_NONE)
		why = check_vnet(p);
	if (why == DROP_NONE && !is_l4_csum_right(p))
		why = DROP_L4_CHECKSUM;
	return why;
}
