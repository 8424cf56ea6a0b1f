/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DHCPv6 codec: RFC 8415 sections 8, 11.4, 21; RFC 3646 (resolvers).
 *
 * Options are read in one loop, those of an identity association in a second one inside it; each turn
 * takes at least four bytes of its own area, and areas do not nest deeper.
 */
#include "wire/dhcp6.h"

#include <errno.h>

#include "base/rd.h"

enum {
	OPT_CLIENT_ID = 1,
	OPT_SERVER_ID = 2,
	OPT_IA_ADDR = 5,
	OPT_STATUS = 13,
	OPT_RAPID_COMMIT = 14,
	OPT_DNS = 23,

	IA_ADDR_SIZE = 24,

	DUID_LL = 3,
	HTYPE_ETHERNET = 1,
};

static bool read_duid(struct rd *body, uint8_t *len, uint8_t duid[DHCP6_DUID_MAX])
{
	size_t n = rd_left(body);

	if (*len != 0 || n == 0 || n > DHCP6_DUID_MAX)
		return false;
	*len = (uint8_t)n;
	rd_copy(body, duid, n);
	return true;
}

/* The first address of an identity association. */
static bool parse_ia_options(struct rd *r, struct dhcp6_ia *ia)
{
	while (rd_left(r) > 0) {
		uint16_t code = rd_be16(r);
		struct rd body = rd_sub(r, rd_be16(r));

		if (code != OPT_IA_ADDR)
			continue;
		if (rd_left(&body) < IA_ADDR_SIZE)
			return false;
		if (ia->has_addr)
			continue;
		ia->has_addr = true;
		rd_copy(&body, ia->addr.b, sizeof(ia->addr.b));
	}
	return rd_ok(r);
}

static bool parse_ia(struct rd *body, uint16_t kind, struct dhcp6_msg *m)
{
	struct dhcp6_ia ia = {.kind = kind, .iaid = rd_be32(body)};

	if (kind != DHCP6_OPT_IA_TA)
		rd_skip(body, 8); /* T1, T2: hints of the client */
	if (!parse_ia_options(body, &ia))
		return false;
	if (m->ia_count < DHCP6_IA_MAX)
		m->ia[m->ia_count++] = ia;
	return true;
}

static bool parse_options(struct rd *r, struct dhcp6_msg *m)
{
	while (rd_left(r) > 0) {
		uint16_t code = rd_be16(r);
		struct rd body = rd_sub(r, rd_be16(r));
		bool is_good = true;

		if (!rd_ok(r))
			return false;
		switch (code) {
		case OPT_CLIENT_ID:
			is_good = read_duid(&body, &m->client_id_len, m->client_id);
			break;
		case OPT_SERVER_ID:
			is_good = read_duid(&body, &m->server_id_len, m->server_id);
			break;
		case DHCP6_OPT_IA_NA:
		case DHCP6_OPT_IA_TA:
		case DHCP6_OPT_IA_PD:
			is_good = parse_ia(&body, code, m);
			break;
		case OPT_RAPID_COMMIT:
			m->wants_rapid_commit = true;
			break;
		default:
			break;
		}
		if (!is_good)
			return false;
	}
	return rd_ok(r);
}

static bool is_client_type(uint8_t type)
{
	switch (type) {
	case DHCP6_SOLICIT:
	case DHCP6_REQUEST:
	case DHCP6_CONFIRM:
	case DHCP6_RENEW:
	case DHCP6_REBIND:
	case DHCP6_RELEASE:
	case DHCP6_DECLINE:
	case DHCP6_INFORMATION_REQUEST:
		return true;
	default:
		return false;
	}
}

int dhcp6_parse(const uint8_t *bytes, size_t len, struct dhcp6_msg *ret_msg)
{
	struct rd r = rd_init(bytes, len);
	uint32_t first = rd_be32(&r);
	struct dhcp6_msg m;

	/* Not the whole of it: identifiers are only read as far as they were written. */
	m.type = (uint8_t)(first >> 24);
	m.xid = first & 0xffffff;
	m.client_id_len = 0;
	m.server_id_len = 0;
	m.wants_rapid_commit = false;
	m.ia_count = 0;
	if (!is_client_type(m.type) || !parse_options(&r, &m))
		return -EBADMSG;
	*ret_msg = m;
	return 0;
}

void dhcp6_server_duid(const struct mac_addr *mac, uint8_t out[DHCP6_SERVER_DUID_SIZE])
{
	put_be16(out, DUID_LL);
	put_be16(out + 2, HTYPE_ETHERNET);
	memcpy(out + 4, mac->b, sizeof(mac->b));
}

static void build_option(struct wr *w, uint16_t code, uint16_t len)
{
	wr_be16(w, code);
	wr_be16(w, len);
}

static void build_status(struct wr *w, uint16_t status)
{
	build_option(w, OPT_STATUS, 2);
	wr_be16(w, status);
}

static void build_ia_addr(struct wr *w, const struct ip_addr *addr, uint32_t lifetime_s)
{
	build_option(w, OPT_IA_ADDR, IA_ADDR_SIZE);
	wr_copy(w, addr->b, sizeof(addr->b));
	wr_be32(w, lifetime_s); /* preferred */
	wr_be32(w, lifetime_s); /* valid */
}

static void build_ia(const struct dhcp6_ia_reply *ia, struct wr *w)
{
	uint8_t *len_field;
	size_t body_at;

	wr_be16(w, ia->kind);
	len_field = wr_room(w, 2);
	body_at = wr_len(w);
	wr_be32(w, ia->iaid);
	if (ia->kind != DHCP6_OPT_IA_TA) {
		/* RFC 8415 14.2: what never ends is never renewed. */
		wr_be32(w, ia->has_addr ? DHCP6_LIFETIME_INFINITE : 0);
		wr_be32(w, ia->has_addr ? DHCP6_LIFETIME_INFINITE : 0);
	}
	if (ia->has_addr)
		build_ia_addr(w, &ia->addr, DHCP6_LIFETIME_INFINITE);
	if (ia->has_withdrawn)
		build_ia_addr(w, &ia->withdrawn, 0);
	if (!ia->has_addr && ia->status != DHCP6_STATUS_SUCCESS)
		build_status(w, ia->status);
	if (len_field)
		put_be16(len_field, (uint16_t)(wr_len(w) - body_at));
}

void dhcp6_build_reply(const struct dhcp6_msg *msg, const struct dhcp6_reply *reply, struct wr *w)
{
	uint8_t duid[DHCP6_SERVER_DUID_SIZE];

	wr_be32(w, (uint32_t)reply->type << 24 | msg->xid);
	if (msg->client_id_len > 0) {
		build_option(w, OPT_CLIENT_ID, msg->client_id_len);
		wr_copy(w, msg->client_id, msg->client_id_len);
	}
	dhcp6_server_duid(&reply->server_mac, duid);
	build_option(w, OPT_SERVER_ID, sizeof(duid));
	wr_copy(w, duid, sizeof(duid));
	if (reply->has_status)
		build_status(w, reply->status);
	if (reply->is_rapid_commit)
		build_option(w, OPT_RAPID_COMMIT, 0);
	for (uint8_t i = 0; i < reply->ia_count; i++)
		build_ia(&reply->ia[i], w);
	if (reply->has_dns) {
		build_option(w, OPT_DNS, sizeof(reply->dns.b));
		wr_copy(w, reply->dns.b, sizeof(reply->dns.b));
	}
}
