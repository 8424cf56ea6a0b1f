/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DHCPv4 codec: RFC 2131 section 2, RFC 2132, RFC 3396 (split options), RFC 6842 (the client
 * identifier is echoed).
 *
 * Three option areas are read at most, each byte once, and each turn of the loop takes at least one:
 * that is why it ends. Option 52 counts in the options field only, so that areas cannot nest.
 */
#include "wire/dhcp4.h"

#include <errno.h>

#include "base/rd.h"

enum {
	OP_REQUEST = 1,
	OP_REPLY = 2,
	HTYPE_ETHERNET = 1,
	FLAG_BROADCAST = 0x8000,
	CHADDR_SIZE = 16,
	SNAME_SIZE = 64,
	FILE_SIZE = 128,
	BOOTP_SIZE_MIN = 300, /* RFC 951: vendor area of 64 bytes */

	OPT_PAD = 0,
	OPT_SUBNET_MASK = 1,
	OPT_ROUTER = 3,
	OPT_DNS = 6,
	OPT_MTU = 26,
	OPT_REQUESTED = 50,
	OPT_LEASE_TIME = 51,
	OPT_OVERLOAD = 52,
	OPT_TYPE = 53,
	OPT_SERVER_ID = 54,
	OPT_RENEWAL_TIME = 58,
	OPT_REBINDING_TIME = 59,
	OPT_CLIENT_ID = 61,
	OPT_END = 255,

	OVERLOAD_FILE = 1,
	OVERLOAD_SNAME = 2,
};

static const uint32_t magic_cookie = 0x63825363;

static struct ip_addr read_addr(struct rd *r)
{
	uint8_t wire[4];

	rd_copy(r, wire, sizeof(wire));
	return ip_addr_v4_wire(wire);
}

/* Four bytes, once: another value under the same option is a contradiction. */
static bool read_addr_option(struct rd *body, bool *has, struct ip_addr *addr)
{
	struct ip_addr a;

	if (rd_left(body) != 4)
		return false;
	a = read_addr(body);
	if (*has && !ip_addr_eq(addr, &a))
		return false;
	*has = true;
	*addr = a;
	return true;
}

/* One byte, once. */
static bool read_u8_option(struct rd *body, uint8_t *value)
{
	uint8_t v;

	if (rd_left(body) != 1)
		return false;
	v = rd_u8(body);
	if (v == 0 || (*value != 0 && *value != v))
		return false;
	*value = v;
	return true;
}

static bool read_client_id(struct rd *body, struct dhcp4_msg *m)
{
	size_t len = rd_left(body);

	if (len > (size_t)DHCP4_CLIENT_ID_MAX - m->client_id_len)
		return false;
	rd_copy(body, m->client_id + m->client_id_len, len);
	m->client_id_len = (uint8_t)(m->client_id_len + len);
	return true;
}

static bool parse_options(struct rd area, struct dhcp4_msg *m, uint8_t *overload)
{
	while (rd_left(&area) > 0) {
		uint8_t code = rd_u8(&area);
		struct rd body;
		bool is_good = true;

		if (code == OPT_END)
			break;
		if (code == OPT_PAD)
			continue;
		body = rd_sub(&area, rd_u8(&area));
		if (!rd_ok(&area))
			return false;
		switch (code) {
		case OPT_REQUESTED:
			is_good = read_addr_option(&body, &m->has_requested, &m->requested);
			break;
		case OPT_SERVER_ID:
			is_good = read_addr_option(&body, &m->has_server, &m->server);
			break;
		case OPT_TYPE:
			is_good = read_u8_option(&body, &m->type);
			break;
		case OPT_OVERLOAD:
			is_good = !overload || read_u8_option(&body, overload);
			break;
		case OPT_CLIENT_ID:
			is_good = read_client_id(&body, m);
			break;
		default:
			break;
		}
		if (!is_good)
			return false;
	}
	return rd_ok(&area);
}

static bool is_client_type(uint8_t type)
{
	return type == DHCP4_DISCOVER || type == DHCP4_REQUEST || type == DHCP4_DECLINE ||
	       type == DHCP4_RELEASE || type == DHCP4_INFORM;
}

int dhcp4_parse(const uint8_t *bytes, size_t len, struct dhcp4_msg *ret_msg)
{
	struct rd r = rd_init(bytes, len);
	struct dhcp4_msg m;
	uint8_t op;
	uint8_t htype;
	uint8_t mac_len;
	uint8_t overload = 0;
	struct rd sname;
	struct rd file;

	/* Not the whole of it: the client identifier is only read as far as it was written. */
	m.type = 0;
	m.has_requested = false;
	m.has_server = false;
	m.client_id_len = 0;
	m.requested = ip_addr_v4(0);
	m.server = ip_addr_v4(0);

	op = rd_u8(&r);
	htype = rd_u8(&r);
	mac_len = rd_u8(&r);
	if (op != OP_REQUEST || htype != HTYPE_ETHERNET || mac_len != sizeof(m.mac.b))
		return -EBADMSG;
	rd_skip(&r, 1); /* hops */
	m.xid = rd_be32(&r);
	rd_skip(&r, 2); /* seconds */
	m.wants_broadcast = (rd_be16(&r) & FLAG_BROADCAST) != 0;
	m.client = read_addr(&r);
	rd_skip(&r, 8); /* yiaddr, siaddr: the server's to say */
	m.relay = read_addr(&r);
	rd_copy(&r, m.mac.b, sizeof(m.mac.b));
	rd_skip(&r, CHADDR_SIZE - sizeof(m.mac.b));
	sname = rd_sub(&r, SNAME_SIZE);
	file = rd_sub(&r, FILE_SIZE);
	if (rd_be32(&r) != magic_cookie)
		return -EBADMSG;
	/* The order of RFC 2131 4.1: options, file, sname. */
	if (!parse_options(r, &m, &overload) || overload > (OVERLOAD_FILE | OVERLOAD_SNAME) ||
	    ((overload & OVERLOAD_FILE) != 0 && !parse_options(file, &m, NULL)) ||
	    ((overload & OVERLOAD_SNAME) != 0 && !parse_options(sname, &m, NULL)) ||
	    !is_client_type(m.type))
		return -EBADMSG;
	*ret_msg = m;
	return 0;
}

static void build_addr(struct wr *w, const struct ip_addr *a)
{
	wr_copy(w, a->b + 12, 4);
}

static void build_addr_option(struct wr *w, uint8_t code, const struct ip_addr *a)
{
	wr_u8(w, code);
	wr_u8(w, 4);
	build_addr(w, a);
}

static void build_u32_option(struct wr *w, uint8_t code, uint32_t v)
{
	wr_u8(w, code);
	wr_u8(w, 4);
	wr_be32(w, v);
}

static void build_lease(const struct dhcp4_reply *reply, struct wr *w)
{
	build_u32_option(w, OPT_LEASE_TIME, reply->lease_s);
	if (reply->lease_s == DHCP4_LEASE_INFINITE)
		return; /* never renewed */
	/* RFC 2131 4.4.5: one half and seven eighths. */
	build_u32_option(w, OPT_RENEWAL_TIME, reply->lease_s / 2);
	build_u32_option(w, OPT_REBINDING_TIME, reply->lease_s - reply->lease_s / 8);
}

static void build_options(
    const struct dhcp4_msg *msg, const struct dhcp4_reply *reply, struct wr *w)
{
	wr_u8(w, OPT_TYPE);
	wr_u8(w, 1);
	wr_u8(w, reply->type);
	build_addr_option(w, OPT_SERVER_ID, &reply->server);
	if (msg->client_id_len > 0) {
		wr_u8(w, OPT_CLIENT_ID);
		wr_u8(w, msg->client_id_len);
		wr_copy(w, msg->client_id, msg->client_id_len);
	}
	if (reply->type != DHCP4_NAK) {
		if (reply->has_lease)
			build_lease(reply, w);
		/* RFC 2132 3.3: the mask stands before the router. */
		build_u32_option(w, OPT_SUBNET_MASK,
		    reply->prefix_len == 0 ? 0 : UINT32_MAX << (32 - reply->prefix_len));
		build_addr_option(w, OPT_ROUTER, &reply->router);
		build_addr_option(w, OPT_DNS, &reply->dns);
		wr_u8(w, OPT_MTU);
		wr_u8(w, 2);
		wr_be16(w, reply->mtu_bytes);
	}
	wr_u8(w, OPT_END);
}

void dhcp4_build_reply(const struct dhcp4_msg *msg, const struct dhcp4_reply *reply, struct wr *w)
{
	size_t before = wr_len(w);
	size_t len;

	wr_u8(w, OP_REPLY);
	wr_u8(w, HTYPE_ETHERNET);
	wr_u8(w, sizeof(msg->mac.b));
	wr_u8(w, 0); /* hops */
	wr_be32(w, msg->xid);
	wr_be16(w, 0); /* seconds */
	wr_be16(w, msg->wants_broadcast ? FLAG_BROADCAST : 0);
	if (reply->type == DHCP4_ACK)
		build_addr(w, &msg->client);
	else
		wr_be32(w, 0);
	if (reply->has_lease && reply->type != DHCP4_NAK)
		build_addr(w, &reply->address);
	else
		wr_be32(w, 0);
	wr_be32(w, 0); /* siaddr: no boot server */
	build_addr(w, &msg->relay);
	wr_copy(w, msg->mac.b, sizeof(msg->mac.b));
	wr_zero(w, CHADDR_SIZE - sizeof(msg->mac.b) + SNAME_SIZE + FILE_SIZE);
	wr_be32(w, magic_cookie);
	build_options(msg, reply, w);
	len = wr_len(w) - before;
	if (len < BOOTP_SIZE_MIN)
		wr_zero(w, BOOTP_SIZE_MIN - len);
}
