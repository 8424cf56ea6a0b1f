/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's network interface: headers of frames to the guest, checksums, fragmentation
 * (RFC 791, RFC 8200 4.5), and who may be the source of a frame (threats.md P13).
 *
 * Invariant: whatever is committed carries a right checksum, or a right partial sum where the guest
 * has agreed to finish it (tests/unit/test_netif.c).
 */
#include "stack/netif.h"

#include <errno.h>
#include <string.h>

#include "base/csum.h"
#include "base/wr.h"

enum {
	IP6_FRAG_HDR_SIZE = 8,
	IP6_NEXT_FRAGMENT = 44,
	IP4_DF = 0x4000,
	IP4_MF = 0x2000,
};

bool netif_is_gateway_addr(const struct netif *n, const struct ip_addr *addr)
{
	const struct netif_config *c = &n->cfg;

	if (ip_addr_is_v4(addr))
		return c->has_v4 && ip_addr_eq(addr, &c->gateway_v4);
	return c->has_v6 && (ip_addr_eq(addr, &c->gateway_v6) || ip_addr_eq(addr, &c->gateway_ll));
}

bool netif_is_guest_addr(const struct netif *n, const struct ip_addr *src, uint8_t family)
{
	static const struct ip_addr link_local = {.b = {0xfe, 0x80}};
	const struct netif_config *c = &n->cfg;

	if (family == 4)
		return c->has_v4 && ip_addr_eq(src, &c->guest_v4);
	if (!c->has_v6 || netif_is_gateway_addr(n, src))
		return false;
	return ip_addr_in_prefix(src, &c->guest_v6, c->prefix_len_v6) ||
	       ip_addr_in_prefix(src, &link_local, 64);
}

static void build_eth(const struct netif *n, uint16_t ethertype, uint8_t *out)
{
	memcpy(out, n->cfg.guest_mac.b, 6);
	memcpy(out + 6, n->cfg.gateway_mac.b, 6);
	put_be16(out + 12, ethertype);
}

static void build_ip4(const struct netif_ip *ip, uint16_t id, uint16_t frag, uint8_t *out)
{
	out[0] = 0x45;
	out[1] = 0;
	put_be16(out + 2, (uint16_t)(IP4_HDR_SIZE + ip->l4_len));
	put_be16(out + 4, id);
	put_be16(out + 6, frag);
	out[8] = ip->ttl > 0 ? ip->ttl : NETIF_TTL;
	out[9] = ip->proto;
	put_be16(out + 10, 0);
	memcpy(out + 12, ip->src->b + 12, 4);
	memcpy(out + 16, ip->dst->b + 12, 4);
	put_be16(out + 10, csum_of(out, IP4_HDR_SIZE));
}

static void build_ip6(const struct netif_ip *ip, uint8_t next, uint32_t len, uint8_t *out)
{
	put_be32(out, 6U << 28);
	put_be16(out + 4, (uint16_t)len);
	out[6] = next;
	out[7] = ip->ttl > 0 ? ip->ttl : NETIF_TTL;
	memcpy(out + 8, ip->src->b, 16);
	memcpy(out + 24, ip->dst->b, 16);
}

void netif_build_ip(struct netif *n, const struct netif_ip *ip, uint8_t *out)
{
	build_eth(n, ip->family == 4 ? ETHERTYPE_IP4 : ETHERTYPE_IP6, out);
	if (ip->family == 6)
		build_ip6(ip, ip->proto, ip->l4_len, out + ETH_HDR_SIZE);
	else if (ip->has_df)
		build_ip4(ip, 0, IP4_DF, out + ETH_HDR_SIZE); /* RFC 6864: atomic, needs no id */
	else
		build_ip4(ip, n->next_ip4_id++, 0, out + ETH_HDR_SIZE);
}

/* The pseudo-header follows the family of the packet, which may carry an IPv4-mapped address. */
static void add_pseudo(struct csum *c, const struct netif_ip *ip)
{
	size_t skip = ip->family == 4 ? 12 : 0;

	csum_add(c, ip->src->b + skip, 16 - skip);
	csum_add(c, ip->dst->b + skip, 16 - skip);
	csum_add_u16(c, (uint16_t)(ip->l4_len >> 16));
	csum_add_u16(c, (uint16_t)ip->l4_len);
	csum_add_u16(c, ip->proto);
}

static uint16_t finish_l4(const struct netif_ip *ip, const struct csum *c)
{
	uint16_t sum = csum_finish(c);

	return ip->proto == PROTO_UDP && sum == 0 ? 0xffff : sum; /* RFC 768: 0 means none */
}

void netif_commit_l4(struct netif *n, struct nic_slot *slot, const struct netif_ip *ip,
    uint32_t l4_hdr_len, uint32_t csum_off, uint8_t gso_type, uint16_t gso_size)
{
	uint32_t l4_off = netif_ip_head_len(ip->family);
	uint32_t body_len = ip->l4_len - l4_hdr_len;
	uint8_t *l4 = slot->head + l4_off;
	struct vnet_hdr vnet = {.gso_type = gso_type, .gso_size = gso_size};
	struct csum c = {0};

	netif_build_ip(n, ip, slot->head);
	add_pseudo(&c, ip);
	if ((n->nic->features & NIC_F_CSUM) != 0) {
		vnet.flags = VNET_F_NEEDS_CSUM;
		vnet.csum_start = (uint16_t)l4_off;
		vnet.csum_offset = (uint16_t)csum_off;
		vnet.hdr_len = (uint16_t)(l4_off + l4_hdr_len);
		put_be16(l4 + csum_off, csum_partial(&c));
	} else {
		uint32_t left = body_len;

		csum_add(&c, l4, l4_hdr_len);
		for (uint32_t i = 0; i < slot->body_count && left > 0; i++) {
			uint32_t take =
			    slot->body[i].iov_len < left ? (uint32_t)slot->body[i].iov_len : left;

			csum_add(&c, slot->body[i].iov_base, take);
			left -= take;
		}
		put_be16(l4 + csum_off, finish_l4(ip, &c));
	}
	n->nic->ops->commit(n->nic, slot, body_len, &vnet);
}

static void fill_body(const struct nic_slot *slot, const uint8_t *from, uint32_t len)
{
	for (uint32_t i = 0; len > 0; i++) {
		uint32_t take = slot->body[i].iov_len < len ? (uint32_t)slot->body[i].iov_len : len;

		memcpy(slot->body[i].iov_base, from, take);
		from += take;
		len -= take;
	}
}

static struct nic *control_of(const struct netif *n)
{
	return n->control ? n->control : n->nic;
}

static void commit_control(struct netif *n, struct nic_slot *slot, uint32_t body_len)
{
	struct nic *nic = control_of(n);

	nic->ops->commit(nic, slot, body_len, NULL);
}

/* Reserves a frame, copies the body in. 0 or -EAGAIN, which is counted. */
static int reserve_filled(struct netif *n, uint32_t head_len, const uint8_t *body,
    uint32_t body_len, struct nic_slot *ret_slot)
{
	struct nic *nic = control_of(n);
	int err = nic->ops->reserve(nic, head_len, body_len, ret_slot);

	if (err) {
		netif_drop(n, DROP_NO_ROOM);
		return err;
	}
	fill_body(ret_slot, body, body_len);
	return 0;
}

int netif_send_frame(struct netif *n, const uint8_t *frame, uint32_t len)
{
	struct nic_slot slot;
	int err = reserve_filled(n, ETH_HDR_SIZE, frame + ETH_HDR_SIZE, len - ETH_HDR_SIZE, &slot);

	if (err)
		return err;
	memcpy(slot.head, frame, ETH_HDR_SIZE);
	commit_control(n, &slot, len - ETH_HDR_SIZE);
	return 0;
}

static int send_fragment4(struct netif *n, const struct netif_ip *ip, uint16_t id, uint32_t off,
    const uint8_t *data, uint32_t len)
{
	struct netif_ip piece = *ip;
	struct nic_slot slot;
	bool is_last = off + len == ip->l4_len;
	int err = reserve_filled(n, ETH_HDR_SIZE + IP4_HDR_SIZE, data, len, &slot);

	if (err)
		return err;
	piece.l4_len = len;
	build_eth(n, ETHERTYPE_IP4, slot.head);
	build_ip4(&piece, id, (uint16_t)(off / 8 | (is_last ? 0U : (uint32_t)IP4_MF)),
	    slot.head + ETH_HDR_SIZE);
	commit_control(n, &slot, len);
	return 0;
}

static int send_fragment6(struct netif *n, const struct netif_ip *ip, uint32_t id, uint32_t off,
    const uint8_t *data, uint32_t len)
{
	enum {
		HEAD = ETH_HDR_SIZE + IP6_HDR_SIZE + IP6_FRAG_HDR_SIZE
	};
	struct nic_slot slot;
	bool is_last = off + len == ip->l4_len;
	uint8_t *frag;
	int err = reserve_filled(n, HEAD, data, len, &slot);

	if (err)
		return err;
	build_eth(n, ETHERTYPE_IP6, slot.head);
	build_ip6(ip, IP6_NEXT_FRAGMENT, IP6_FRAG_HDR_SIZE + len, slot.head + ETH_HDR_SIZE);
	frag = slot.head + ETH_HDR_SIZE + IP6_HDR_SIZE;
	frag[0] = ip->proto;
	frag[1] = 0;
	put_be16(frag + 2, (uint16_t)(off | (is_last ? 0U : 1U)));
	put_be32(frag + 4, id);
	commit_control(n, &slot, len);
	return 0;
}

/* Pieces of the largest multiple of eight bytes that fits the MTU. */
static int send_fragments(struct netif *n, const struct netif_ip *ip, const uint8_t *l4)
{
	uint32_t hdr = ip->family == 4 ? IP4_HDR_SIZE : IP6_HDR_SIZE + IP6_FRAG_HDR_SIZE;
	uint32_t step = (n->cfg.mtu - hdr) / 8 * 8;
	uint16_t id4 = n->next_ip4_id;
	uint32_t id6 = n->next_ip6_frag_id;

	if (ip->family == 4)
		n->next_ip4_id++;
	else
		n->next_ip6_frag_id++;
	for (uint32_t off = 0; off < ip->l4_len; off += step) {
		uint32_t len = ip->l4_len - off < step ? ip->l4_len - off : step;
		int err = ip->family == 4 ? send_fragment4(n, ip, id4, off, l4 + off, len)
					  : send_fragment6(n, ip, id6, off, l4 + off, len);

		if (err)
			return err;
	}
	return 0;
}

int netif_send_l4(struct netif *n, const struct netif_ip *ip, uint8_t *l4, uint32_t csum_off)
{
	uint32_t head_len = netif_ip_head_len(ip->family);
	struct csum c = {0};
	struct nic_slot slot;
	int err;

	if (ip->proto != PROTO_ICMP4)
		add_pseudo(&c, ip);
	csum_add(&c, l4, ip->l4_len);
	put_be16(l4 + csum_off, finish_l4(ip, &c));
	if (head_len - ETH_HDR_SIZE + ip->l4_len > n->cfg.mtu)
		return send_fragments(n, ip, l4);
	err = reserve_filled(n, head_len, l4, ip->l4_len, &slot);
	if (err)
		return err;
	netif_build_ip(n, ip, slot.head);
	commit_control(n, &slot, ip->l4_len);
	return 0;
}
