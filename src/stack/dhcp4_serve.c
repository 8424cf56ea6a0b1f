/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DHCPv4 server: RFC 2131 section 4.3.
 *
 * Refused: other clients than the guest (by the hardware address in the message), relayed messages,
 * requests to other servers, informs from other addresses. Where a client wants another address
 * than its own, it is told so at once, and starts again. Tests: tests/unit/test_dhcp.c.
 */
#include "stack/dhcp.h"
#include "wire/dhcp4.h"

enum {
	MSG_SIZE_MAX = 1500, /* of a client's message: an Ethernet packet */
};

static bool is_unset(const struct ip_addr *a)
{
	return ip_addr_to_v4(a) == 0;
}

/* The answer to a DHCPREQUEST: DHCP4_ACK, DHCP4_NAK, or 0 for none (RFC 2131 4.3.2). */
static uint8_t judge_request(const struct netif_config *c, const struct dhcp4_msg *m)
{
	const struct ip_addr *wanted = m->has_requested ? &m->requested : &m->client;

	if (m->has_server && !ip_addr_eq(&m->server, &c->gateway_v4))
		return 0; /* the client has chosen another server */
	if (is_unset(wanted))
		return 0;
	return ip_addr_eq(wanted, &c->guest_v4) ? DHCP4_ACK : DHCP4_NAK;
}

static uint8_t judge(const struct netif_config *c, const struct dhcp4_msg *m)
{
	switch (m->type) {
	case DHCP4_DISCOVER:
		return DHCP4_OFFER;
	case DHCP4_REQUEST:
		return judge_request(c, m);
	case DHCP4_INFORM:
		return ip_addr_eq(&m->client, &c->guest_v4) ? DHCP4_ACK : 0;
	default:
		return 0;
	}
}

/* RFC 2131 4.1: where the answer goes. */
static struct ip_addr reply_to(
    const struct netif_config *c, const struct dhcp4_msg *m, uint8_t answer)
{
	if (answer != DHCP4_NAK && ip_addr_eq(&m->client, &c->guest_v4))
		return m->client;
	if (answer == DHCP4_NAK || m->wants_broadcast)
		return ip_addr_v4(UINT32_MAX);
	return c->guest_v4;
}

static void send_reply(struct netif *n, const struct dhcp4_msg *m, uint8_t answer)
{
	const struct netif_config *c = &n->cfg;
	const struct ip_addr to = reply_to(c, m, answer);
	const struct dhcp4_reply reply = {
	    .type = answer,
	    .has_lease = m->type != DHCP4_INFORM,
	    .address = c->guest_v4,
	    .lease_s = DHCP4_LEASE_INFINITE,
	    .server = c->gateway_v4,
	    .prefix_len = c->prefix_len_v4,
	    .router = c->gateway_v4,
	    .dns = c->gateway_v4,
	    .mtu_bytes = c->mtu,
	};
	uint8_t udp[UDP_HDR_SIZE + DHCP4_REPLY_SIZE_MAX];
	struct wr w = wr_init(udp, sizeof(udp));
	struct netif_ip ip = {.family = 4, .proto = PROTO_UDP, .src = &c->gateway_v4, .dst = &to};

	wr_be16(&w, DHCP4_SERVER_PORT);
	wr_be16(&w, DHCP4_CLIENT_PORT);
	wr_zero(&w, 4);
	dhcp4_build_reply(m, &reply, &w);
	ip.l4_len = (uint32_t)wr_len(&w);
	put_be16(udp + UDP_LEN_OFF, (uint16_t)ip.l4_len);
	if (netif_send_l4(n, &ip, udp, UDP_CSUM_OFF) == 0)
		n->counters->dhcp4_replies++;
}

enum drop_reason dhcp4_serve(struct netif *n, const struct packet *p)
{
	uint8_t bytes[MSG_SIZE_MAX];
	struct dhcp4_msg m;
	uint8_t answer;

	if (!n->cfg.has_v4)
		return DROP_FAMILY_OFF;
	if (p->payload_len > sizeof(bytes))
		return DROP_DHCP;
	frame_copy(p->frame, p->payload_off, bytes, p->payload_len);
	if (dhcp4_parse(bytes, p->payload_len, &m) != 0 || !is_unset(&m.relay))
		return DROP_DHCP;
	if (!mac_addr_eq(&m.mac, &n->cfg.guest_mac))
		return DROP_SRC_MAC;
	if (m.type == DHCP4_DECLINE || m.type == DHCP4_RELEASE)
		return DROP_NONE; /* the address stays the guest's, whatever it does */
	answer = judge(&n->cfg, &m);
	if (answer == 0)
		return DROP_DHCP;
	send_reply(n, &m, answer);
	return DROP_NONE;
}
