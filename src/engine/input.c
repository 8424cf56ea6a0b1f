/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a frame: parsed once, checked, given to exactly one part of the engine, or dropped with
 * a reason (design.md 6).
 */
#include "engine/internal.h"

/* The first frame of a link tells the guest's MAC address, which is then the only one. */
static void learn_mac(struct engine *e, const struct packet *p)
{
	static const struct mac_addr no_mac;

	if ((p->eth_src.b[0] & 1) != 0 || mac_addr_eq(&p->eth_src, &no_mac) ||
	    mac_addr_eq(&p->eth_src, &e->netif.cfg.gateway_mac))
		return;
	e->netif.cfg.guest_mac = p->eth_src;
	e->has_guest_mac = true;
}

/* Who may send what on this link (threats.md P13, behaviours.md A15). */
static enum drop_reason check_mac(const struct engine *e, const struct packet *p)
{
	if (!mac_addr_eq(&p->eth_src, &e->netif.cfg.guest_mac))
		return DROP_SRC_MAC;
	if ((p->eth_dst.b[0] & 1) == 0 && !mac_addr_eq(&p->eth_dst, &e->netif.cfg.gateway_mac))
		return DROP_DST_MAC;
	return DROP_NONE;
}

static enum drop_reason check_addr(const struct engine *e, const struct packet *p)
{
	if ((p->eth_dst.b[0] & 1) != 0 || ip_addr_is_multicast(&p->dst))
		return DROP_MULTICAST;
	if (p->family == 4 ? !e->netif.cfg.has_v4 : !e->netif.cfg.has_v6)
		return DROP_FAMILY_OFF;
	if (!netif_is_guest_addr(&e->netif, &p->src, p->family))
		return DROP_SRC_ADDR;
	return DROP_NONE;
}

/* The policy is another one than that by which the flow was judged last. False: the flow is over. */
static bool judge_tcp_again(struct engine *e, struct tcp_flow *f)
{
	tcp_burst_flush(&e->tcp, &e->world);
	f->generation = e->generation;
	if (f->conn.state == TCPS_TIME_WAIT || f->conn.state == TCPS_CLOSED ||
	    admit_tcp_again(e, f))
		return true;
	tcp_flow_abort(&e->tcp, &e->world, f, FLOW_END_POLICY, false);
	return false;
}

static enum drop_reason input_tcp(struct engine *e, const struct packet *p)
{
	struct flow_key key = flow_key_of(p, p->tcp.src_port, p->tcp.dst_port);
	uint32_t hash = flow_hash(&e->world, &key);
	struct tcp_flow *f = tcp_flow_find(&e->tcp, &key, hash);
	const uint8_t kind = p->tcp.flags & (TCP_SYN | TCP_ACK | TCP_FIN | TCP_RST);

	if ((kind & TCP_SYN) != 0 && (kind & (TCP_FIN | TCP_RST)) != 0)
		return DROP_TCP_FLAGS;
	if (f && f->generation != e->generation && !judge_tcp_again(e, f)) {
		tcp_reply_reset(&e->world, p);
		return DROP_NONE;
	}
	if (f && !tcp_flow_on_segment(&e->tcp, &e->world, f, p))
		return DROP_NONE;
	if (kind == TCP_SYN) {
		admit_tcp(e, p, &key, hash);
		return DROP_NONE;
	}
	tcp_reply_reset(&e->world, p);
	return DROP_TCP_NO_FLOW;
}

/* The policy is another one than that which let the flow through. False: the flow is over. */
static bool judge_udp_again(struct engine *e, struct udp_flow *f)
{
	if (f->generation == e->generation)
		return true;
	f->generation = e->generation;
	if (admit_udp_again(e, f))
		return true;
	udp_flow_close(&e->udp, &e->world, f, FLOW_END_POLICY);
	return false;
}

static enum drop_reason input_udp(struct engine *e, const struct packet *p)
{
	struct flow_key key = flow_key_of(p, p->udp.src_port, p->udp.dst_port);
	uint32_t hash;
	struct udp_flow *f;
	enum drop_reason why;

	if (publish_on_datagram(e, p, &why))
		return why;
	if (p->udp.dst_port == DNS_PORT)
		return resolve_on_query(e, p);
	hash = flow_hash(&e->world, &key);
	f = udp_flow_find_for_guest(&e->udp, &e->world, &key, hash);
	if (f && judge_udp_again(e, f))
		return f->flight ? udp_flight_send(&e->udp, &e->world, f, p)
				 : udp_flow_send(&e->udp, &e->world, f, p);
	admit_udp(e, p, &key, hash);
	return DROP_NONE;
}

static enum drop_reason input_icmp(struct engine *e, const struct packet *p)
{
	uint8_t request = p->family == 4 ? ICMP4_ECHO_REQUEST : ICMP6_ECHO_REQUEST;

	if (p->icmp.type != request || p->icmp.code != 0)
		return DROP_ICMP_TYPE;
	admit_echo(e, p);
	return DROP_NONE;
}

static enum drop_reason input_l4(struct engine *e, const struct packet *p)
{
	if (p->proto == PROTO_TCP)
		return p->tcp.dst_port == 0 ? DROP_L4_HEADER : input_tcp(e, p);
	if (p->proto == PROTO_UDP)
		return p->udp.dst_port == 0 ? DROP_L4_HEADER : input_udp(e, p);
	return input_icmp(e, p);
}

static enum drop_reason input_fragment(struct engine *e, const struct packet *p)
{
	const struct packet *whole;
	enum drop_reason why;

	why = reassembly_on_fragment(&e->reassembly, p, e->world.now_ns, &whole);
	if (why == DROP_NONE && whole) {
		why = input_l4(e, whole);
		reassembly_release(&e->reassembly);
	}
	engine_arm(e, &e->reassembly_timer, reassembly_next_ns(&e->reassembly));
	return why;
}

static enum drop_reason input(struct engine *e, const struct frame *frame)
{
	struct packet p;
	enum drop_reason why = packet_parse(frame, &p);
	bool is_link = false;

	if (why == DROP_NONE && !e->has_guest_mac)
		learn_mac(e, &p);
	if (why == DROP_NONE)
		why = check_mac(e, &p);
	if (why != DROP_NONE)
		return why;
	if (p.ethertype != ETHERTYPE_ARP && !p.is_fragment)
		why = packet_parse_l4(&p);
	if (why == DROP_NONE && !p.is_fragment)
		is_link = link_on_packet(&e->link, &p, e->world.now_ns, &why);
	if (is_link) {
		engine_arm(e, &e->link_timer, link_next_ns(&e->link));
		return why;
	}
	if (why == DROP_NONE || why == DROP_PROTOCOL) {
		enum drop_reason addr = check_addr(e, &p);

		why = addr != DROP_NONE ? addr : why;
	}
	if (why != DROP_NONE)
		return why;
	return p.is_fragment ? input_fragment(e, &p) : input_l4(e, &p);
}

void engine_input(struct engine *e, const struct frame *frame)
{
	enum drop_reason why = input(e, frame);

	if (why != DROP_NONE)
		netif_drop(&e->netif, why);
}
