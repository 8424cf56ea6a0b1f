/* SPDX-License-Identifier: Apache-2.0 */
/* ARP codec (RFC 826); refuses every address type but Ethernet and IPv4. No loops. */
#include "wire/arp.h"

#include <errno.h>

#include "base/rd.h"

enum {
	HTYPE_ETHERNET = 1,
	PTYPE_IP4 = 0x0800,
	MAC_LEN = 6,
	IP4_LEN = 4,
};

static struct ip_addr read_ip4(struct rd *r)
{
	uint8_t wire[IP4_LEN];

	rd_copy(r, wire, sizeof(wire));
	return ip_addr_v4_wire(wire);
}

int arp_parse(const uint8_t *bytes, size_t len, struct arp *ret_arp)
{
	struct rd r = rd_init(bytes, len);
	uint16_t htype = rd_be16(&r);
	uint16_t ptype = rd_be16(&r);
	uint8_t mac_len = rd_u8(&r);
	uint8_t ip_len = rd_u8(&r);
	struct arp a;

	if (htype != HTYPE_ETHERNET || ptype != PTYPE_IP4 || mac_len != MAC_LEN ||
	    ip_len != IP4_LEN)
		return -EBADMSG;
	a.op = rd_be16(&r);
	rd_copy(&r, a.sender_mac.b, sizeof(a.sender_mac.b));
	a.sender = read_ip4(&r);
	rd_copy(&r, a.target_mac.b, sizeof(a.target_mac.b));
	a.target = read_ip4(&r);
	if (!rd_ok(&r) || (a.op != ARP_REQUEST && a.op != ARP_REPLY))
		return -EBADMSG;
	*ret_arp = a;
	return 0;
}

void arp_build(const struct arp *a, struct wr *w)
{
	wr_be16(w, HTYPE_ETHERNET);
	wr_be16(w, PTYPE_IP4);
	wr_u8(w, MAC_LEN);
	wr_u8(w, IP4_LEN);
	wr_be16(w, a->op);
	wr_copy(w, a->sender_mac.b, sizeof(a->sender_mac.b));
	wr_copy(w, a->sender.b + 12, IP4_LEN);
	wr_copy(w, a->target_mac.b, sizeof(a->target_mac.b));
	wr_copy(w, a->target.b + 12, IP4_LEN);
}
