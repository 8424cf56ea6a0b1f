/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DHCPv6 server: RFC 8415 section 18.3.
 *
 * Mostly it tells the resolver to guests whose address came by router advertisement. A guest that asks
 * for an address gets its own, in its first identity association; more addresses, temporary
 * ones and prefixes are not available. Refused: what RFC 8415 section 16 says must be discarded.
 * Tests: tests/unit/test_dhcp.c.
 */
#include "stack/dhcp.h"
#include "wire/dhcp6.h"

enum {
	MSG_SIZE_MAX = 1500,
};

/* The server's identifier must be ours, or must not be there. */
static bool is_server_id_right(
    const struct netif_config *c, const struct dhcp6_msg *m, bool is_wanted)
{
	uint8_t duid[DHCP6_SERVER_DUID_SIZE];

	if (m->server_id_len == 0)
		return !is_wanted;
	dhcp6_server_duid(&c->gateway_mac, duid);
	return is_wanted && m->server_id_len == sizeof(duid) &&
	       memcmp(m->server_id, duid, sizeof(duid)) == 0;
}

/* RFC 8415 16.2 to 16.12 */
static bool is_valid(const struct netif_config *c, const struct dhcp6_msg *m)
{
	switch (m->type) {
	case DHCP6_SOLICIT:
	case DHCP6_CONFIRM:
	case DHCP6_REBIND:
		return m->client_id_len > 0 && is_server_id_right(c, m, false);
	case DHCP6_INFORMATION_REQUEST:
		return m->ia_count == 0 &&
		       (m->server_id_len == 0 || is_server_id_right(c, m, true));
	default:
		return m->client_id_len > 0 && is_server_id_right(c, m, true);
	}
}

/* What each identity association gets. */
static void answer_ias(
    const struct netif_config *c, const struct dhcp6_msg *m, struct dhcp6_reply *reply)
{
	bool is_given = false;

	for (uint8_t i = 0; i < m->ia_count; i++) {
		const struct dhcp6_ia *asked = &m->ia[i];
		struct dhcp6_ia_reply *ia = &reply->ia[i];

		*ia = (struct dhcp6_ia_reply){
		    .kind = asked->kind, .iaid = asked->iaid, .status = DHCP6_STATUS_NO_ADDRS};
		if (asked->kind == DHCP6_OPT_IA_PD) {
			ia->status = DHCP6_STATUS_NO_PREFIX;
			continue;
		}
		if (asked->kind == DHCP6_OPT_IA_NA && !is_given) {
			ia->has_addr = true;
			ia->addr = c->guest_v6;
			is_given = true;
		}
		if (asked->has_addr && !(ia->has_addr && ip_addr_eq(&asked->addr, &ia->addr))) {
			ia->has_withdrawn = true;
			ia->withdrawn = asked->addr;
		}
	}
	reply->ia_count = m->ia_count;
}

/* RFC 8415 18.3.3: whether all addresses are of this link. False if none is named: no answer. */
static bool confirm(
    const struct netif_config *c, const struct dhcp6_msg *m, struct dhcp6_reply *reply)
{
	bool has_addr = false;

	reply->has_status = true;
	reply->status = DHCP6_STATUS_SUCCESS;
	for (uint8_t i = 0; i < m->ia_count; i++) {
		if (!m->ia[i].has_addr)
			continue;
		has_addr = true;
		if (!ip_addr_in_prefix(&m->ia[i].addr, &c->guest_v6, c->prefix_len_v6))
			reply->status = DHCP6_STATUS_NOT_ON_LINK;
	}
	return has_addr;
}

/* Fills in the answer to a valid message. False if there is none. */
static bool answer(
    const struct netif_config *c, const struct dhcp6_msg *m, struct dhcp6_reply *reply)
{
	*reply = (struct dhcp6_reply){.type = DHCP6_REPLY,
	    .server_mac = c->gateway_mac,
	    .has_dns = true,
	    .dns = c->gateway_v6};
	switch (m->type) {
	case DHCP6_SOLICIT:
		reply->is_rapid_commit = m->wants_rapid_commit;
		if (!m->wants_rapid_commit)
			reply->type = DHCP6_ADVERTISE;
		answer_ias(c, m, reply);
		return true;
	case DHCP6_REQUEST:
	case DHCP6_RENEW:
	case DHCP6_REBIND:
		answer_ias(c, m, reply);
		return true;
	case DHCP6_CONFIRM:
		return confirm(c, m, reply);
	case DHCP6_RELEASE:
	case DHCP6_DECLINE:
		reply->has_status = true; /* success: the address stays the guest's all the same */
		return true;
	default:
		return true;
	}
}

static void send_reply(struct netif *n, const struct ip_addr *to, const struct dhcp6_msg *m,
    const struct dhcp6_reply *reply)
{
	uint8_t udp[UDP_HDR_SIZE + DHCP6_REPLY_SIZE_MAX];
	struct wr w = wr_init(udp, sizeof(udp));
	struct netif_ip ip = {
	    .family = 6, .proto = PROTO_UDP, .src = &n->cfg.gateway_ll, .dst = to};

	wr_be16(&w, DHCP6_SERVER_PORT);
	wr_be16(&w, DHCP6_CLIENT_PORT);
	wr_zero(&w, 4);
	dhcp6_build_reply(m, reply, &w);
	ip.l4_len = (uint32_t)wr_len(&w);
	put_be16(udp + UDP_LEN_OFF, (uint16_t)ip.l4_len);
	if (netif_send_l4(n, &ip, udp, UDP_CSUM_OFF) == 0)
		n->counters->dhcp6_replies++;
}

enum drop_reason dhcp6_serve(struct netif *n, const struct packet *p)
{
	uint8_t bytes[MSG_SIZE_MAX];
	struct dhcp6_msg m;
	struct dhcp6_reply reply;

	if (!n->cfg.has_v6)
		return DROP_FAMILY_OFF;
	if (!netif_is_guest_addr(n, &p->src, 6))
		return DROP_SRC_ADDR;
	/* RFC 8415 18.4: unicast was not offered. */
	if (!ip_addr_is_multicast(&p->dst) || p->payload_len > sizeof(bytes))
		return DROP_DHCP;
	frame_copy(p->frame, p->payload_off, bytes, p->payload_len);
	if (dhcp6_parse(bytes, p->payload_len, &m) != 0 || !is_valid(&n->cfg, &m) ||
	    !answer(&n->cfg, &m, &reply))
		return DROP_DHCP;
	send_reply(n, &p->src, &m, &reply);
	return DROP_NONE;
}
