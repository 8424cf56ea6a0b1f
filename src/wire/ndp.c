/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Neighbour discovery codec: RFC 4861 section 4, RFC 8106 section 5.1.
 *
 * The loop over options ends because each turn takes at least eight bytes: an option of length zero
 * is refused, as RFC 4861 4.6 demands.
 */
#include "wire/ndp.h"

#include <errno.h>

#include "base/rd.h"

enum {
	OPT_SOURCE_MAC = 1,
	OPT_TARGET_MAC = 2,
	OPT_PREFIX = 3,
	OPT_MTU = 5,
	OPT_RDNSS = 25,

	NA_ROUTER = 0x80,
	NA_SOLICITED = 0x40,
	NA_OVERRIDE = 0x20,

	RA_OTHER_CONFIG = 0x40,
	PREFIX_ON_LINK = 0x80,
	PREFIX_AUTONOMOUS = 0x40,
	SLAAC_PREFIX_LEN = 64,
};

/* Reads the address of an option of eight bytes. */
static bool read_mac(struct rd *body, bool *has, struct mac_addr *mac)
{
	if (*has || rd_left(body) != sizeof(mac->b))
		return false;
	*has = true;
	rd_copy(body, mac->b, sizeof(mac->b));
	return true;
}

static bool parse_options(struct rd *r, struct ndp_msg *m)
{
	while (rd_left(r) > 0) {
		uint8_t type = rd_u8(r);
		size_t len = (size_t)rd_u8(r) * 8;
		struct rd body;

		if (len == 0)
			return false;
		body = rd_sub(r, len - 2);
		if (type == OPT_SOURCE_MAC && !read_mac(&body, &m->has_source_mac, &m->source_mac))
			return false;
		if (type == OPT_TARGET_MAC && !read_mac(&body, &m->has_target_mac, &m->target_mac))
			return false;
	}
	return rd_ok(r);
}

int ndp_parse(const uint8_t *icmp, size_t len, struct ndp_msg *ret_msg)
{
	struct rd r = rd_init(icmp, len);
	struct ndp_msg m = {.type = rd_u8(&r)};
	uint8_t code = rd_u8(&r);
	uint8_t flags;

	rd_skip(&r, 2); /* checksum */
	flags = rd_u8(&r);
	rd_skip(&r, 3); /* reserved */
	if (m.type == NDP_NEIGHBOUR_ADVERT) {
		m.is_router = (flags & NA_ROUTER) != 0;
		m.is_solicited = (flags & NA_SOLICITED) != 0;
		m.is_override = (flags & NA_OVERRIDE) != 0;
	} else if (m.type != NDP_NEIGHBOUR_SOLICIT && m.type != NDP_ROUTER_SOLICIT) {
		return -EBADMSG;
	}
	if (m.type != NDP_ROUTER_SOLICIT)
		rd_copy(&r, m.target.b, sizeof(m.target.b));
	if (!rd_ok(&r) || code != 0 || m.target.b[0] == 0xff || !parse_options(&r, &m))
		return -EBADMSG;
	*ret_msg = m;
	return 0;
}

static void build_mac(struct wr *w, uint8_t type, const struct mac_addr *mac)
{
	wr_u8(w, type);
	wr_u8(w, 1);
	wr_copy(w, mac->b, sizeof(mac->b));
}

void ndp_build(const struct ndp_msg *m, struct wr *w)
{
	uint8_t flags = 0;

	if (m->type == NDP_NEIGHBOUR_ADVERT)
		flags = (uint8_t)((m->is_router ? NA_ROUTER : 0) |
				  (m->is_solicited ? NA_SOLICITED : 0) |
				  (m->is_override ? NA_OVERRIDE : 0));
	wr_u8(w, m->type);
	wr_zero(w, 3); /* code, checksum */
	wr_u8(w, flags);
	wr_zero(w, 3);
	if (m->type != NDP_ROUTER_SOLICIT)
		wr_copy(w, m->target.b, sizeof(m->target.b));
	if (m->has_source_mac)
		build_mac(w, OPT_SOURCE_MAC, &m->source_mac);
	if (m->has_target_mac)
		build_mac(w, OPT_TARGET_MAC, &m->target_mac);
}

static void build_prefix(const struct ndp_ra *ra, struct wr *w)
{
	struct ip_addr prefix = {{0}};
	unsigned int whole = ra->prefix_len / 8U;

	memcpy(prefix.b, ra->prefix.b, whole);
	if (ra->prefix_len % 8 != 0)
		prefix.b[whole] =
		    (uint8_t)(ra->prefix.b[whole] & (0xff00U >> (ra->prefix_len % 8U)));
	wr_u8(w, OPT_PREFIX);
	wr_u8(w, 4);
	wr_u8(w, ra->prefix_len);
	wr_u8(w, PREFIX_ON_LINK | (ra->prefix_len == SLAAC_PREFIX_LEN ? PREFIX_AUTONOMOUS : 0));
	wr_be32(w, ra->prefix_valid_s);
	wr_be32(w, ra->prefix_preferred_s);
	wr_zero(w, 4);
	wr_copy(w, prefix.b, sizeof(prefix.b));
}

void ndp_build_ra(const struct ndp_ra *ra, struct wr *w)
{
	wr_u8(w, NDP_ROUTER_ADVERT);
	wr_zero(w, 3); /* code, checksum */
	wr_u8(w, ra->hop_limit);
	wr_u8(w, ra->is_other_config ? RA_OTHER_CONFIG : 0);
	wr_be16(w, ra->router_lifetime_s);
	wr_zero(w, 8); /* reachable time and retransmission timer: unspecified */
	build_mac(w, OPT_SOURCE_MAC, &ra->source_mac);
	wr_u8(w, OPT_MTU);
	wr_u8(w, 1);
	wr_zero(w, 2);
	wr_be32(w, ra->mtu_bytes);
	build_prefix(ra, w);
	wr_u8(w, OPT_RDNSS);
	wr_u8(w, 3);
	wr_zero(w, 2);
	wr_be32(w, ra->dns_lifetime_s);
	wr_copy(w, ra->dns.b, sizeof(ra->dns.b));
}
