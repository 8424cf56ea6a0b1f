/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a frame: parsed once, checked, given to exactly one part of the engine, or dropped with
 * a reason (design.md 6).
 */
#include "engine/internal.h"

/* Who may send what on this link (threats.md P13, A15). */
static enum drop_reason check_link(const struct engine *e, const struct packet *p)
{
	const struct netif_config *c = &e->netif.cfg;

	if (!mac_addr_eq(&p->eth_src, &c->guest_mac))
		return DROP_SRC_MAC;
	if (p->ethertype == ETHERTYPE_ARP)
		return DROP_NONE;
	if ((p->eth_dst.b[0] & 1) != 0)
		return DROP_MULTICAST;
	if (!mac_addr_eq(&p->eth_dst, &c->gateway_mac))
		return DROP_DST_MAC;
	if (p->family == 4 ? !c->has_v4 : !c->has_v6)
		return DROP_FAMILY_OFF;
	if (!netif_is_guest_addr(&e->netif, &p->src, p->family))
		return DROP_SRC_ADDR;
	return DROP_NONE;
}

static enum drop_reason input_tcp(struct engine *e, const struct packet *p)
{
	struct flow_key key = flow_key_of(p, p->tcp.src_port, p->tcp.dst_port);
	uint32_t hash = flow_hash(&e->world, &key);
	struct tcp_flow *f = tcp_flow_find(&e->tcp, &key, hash);
	const uint8_t kind = p->tcp.flags & (TCP_SYN | TCP_ACK | TCP_FIN | TCP_RST);

	if ((kind & TCP_SYN) != 0 && (kind & (TCP_FIN | TCP_RST)) != 0)
		return DROP_TCP_FLAGS;
	if (f && !tcp_flow_on_segment(&e->tcp, &e->world, f, p))
		return DROP_NONE;
	if (kind == TCP_SYN) {
		admit_tcp(e, p, &key, hash);
		return DROP_NONE;
	}
	tcp_reply_reset(&e->world, p);
	return DROP_TCP_NO_FLOW;
}

static enum drop_reason input(struct engine *e, const struct frame *frame)
{
	struct packet p;
	enum drop_reason why = packet_parse(frame, &p);

	if (why == DROP_NONE)
		why = check_link(e, &p);
	if (why != DROP_NONE)
		return why;
	if (p.is_fragment)
		return DROP_FRAGMENT;
	why = packet_parse_l4(&p);
	if (why != DROP_NONE)
		return why;
	if (p.proto == PROTO_TCP)
		return input_tcp(e, &p);
	return DROP_PROTOCOL;
}

void engine_input(struct engine *e, const struct frame *frame)
{
	enum drop_reason why = input(e, frame);

	if (why != DROP_NONE)
		netif_drop(&e->netif, why);
}
