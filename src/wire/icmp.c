/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ICMP errors: the table of causes (RFC 1812 5.2.7, RFC 4443 3, translated as in RFC 7915 4.2 and
 * 5.2), error headers, and quotes of packets that are gone.
 *
 * Refused: to tell the guest of source quench and redirects, which are no errors of delivery, and
 * of an MTU below what each link of the family carries (threats.md P17). No loops.
 */
#include "wire/icmp.h"

#include <errno.h>

#include "base/csum.h"
#include "wire/packet.h"

enum {
	CODE4_NET = 0,
	CODE4_HOST = 1,
	CODE4_PROTOCOL = 2,
	CODE4_PORT = 3,
	CODE4_FRAG_NEEDED = 4,
	CODE4_SOURCE_ROUTE = 5,
	CODE4_NET_UNKNOWN = 6,
	CODE4_NET_PROHIBITED = 9,
	CODE4_HOST_PROHIBITED = 10,
	CODE4_NET_TOS = 11,
	CODE4_PROHIBITED = 13,
	CODE4_PRECEDENCE_CUTOFF = 15,

	CODE6_NO_ROUTE = 0,
	CODE6_PROHIBITED = 1,
	CODE6_SCOPE = 2,
	CODE6_ADDRESS = 3,
	CODE6_PORT = 4,
	CODE6_POLICY = 5,
	CODE6_REJECT = 6,
	CODE6_NEXT_HEADER = 1,    /* of a parameter problem */
	NEXT_HEADER_POINTER = 6,  /* where the IPv6 header says what follows */
	ERRORS6_END = 128,        /* RFC 4443 2.1: below are errors */
	TRANSLATED_HDR_DIFF = 20, /* bytes that an IPv6 header is longer than an IPv4 header */

	QUOTE_L4_SIZE = 8,
	QUOTE_TTL = 64,
	IP4_DF = 0x4000,
};

/* Per cause: type and code in IPv4, in IPv6. */
static const struct {
	uint8_t type4;
	uint8_t code4;
	uint8_t type6;
	uint8_t code6;
} causes[] = {
    [ICMP_CAUSE_NO_ROUTE] = {ICMP4_UNREACHABLE, CODE4_NET, ICMP6_UNREACHABLE, CODE6_NO_ROUTE},
    [ICMP_CAUSE_HOST] = {ICMP4_UNREACHABLE, CODE4_HOST, ICMP6_UNREACHABLE, CODE6_ADDRESS},
    [ICMP_CAUSE_PROTOCOL] = {ICMP4_UNREACHABLE, CODE4_PROTOCOL, ICMP6_PARAMETER, CODE6_NEXT_HEADER},
    [ICMP_CAUSE_PORT] = {ICMP4_UNREACHABLE, CODE4_PORT, ICMP6_UNREACHABLE, CODE6_PORT},
    [ICMP_CAUSE_TOO_BIG] = {ICMP4_UNREACHABLE, CODE4_FRAG_NEEDED, ICMP6_TOO_BIG, 0},
    [ICMP_CAUSE_PROHIBITED] = {ICMP4_UNREACHABLE, CODE4_PROHIBITED, ICMP6_UNREACHABLE,
	CODE6_PROHIBITED},
    [ICMP_CAUSE_HOP_LIMIT] = {ICMP4_TIME_EXCEEDED, 0, ICMP6_TIME_EXCEEDED, 0},
    [ICMP_CAUSE_REASSEMBLY] = {ICMP4_TIME_EXCEEDED, 1, ICMP6_TIME_EXCEEDED, 1},
};

bool icmp_error_of(
    enum icmp_cause cause, uint8_t family, uint32_t mtu_bytes, struct icmp_error *ret_error)
{
	struct icmp_error e = {
	    .type = family == 4 ? causes[cause].type4 : causes[cause].type6,
	    .code = family == 4 ? causes[cause].code4 : causes[cause].code6,
	};

	if (cause == ICMP_CAUSE_TOO_BIG) {
		if (mtu_bytes < (family == 4 ? (uint32_t)ICMP4_MTU_MIN : (uint32_t)ICMP6_MTU_MIN))
			return false;
		/* RFC 1191 4: sixteen bits in IPv4. */
		e.info = family == 4 && mtu_bytes > IP_PACKET_MAX ? IP_PACKET_MAX : mtu_bytes;
	} else if (cause == ICMP_CAUSE_PROTOCOL && family == 6) {
		e.info = NEXT_HEADER_POINTER;
	}
	*ret_error = e;
	return true;
}

enum icmp_cause icmp_cause_of_errno(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return ICMP_CAUSE_PORT;
	case ENOPROTOOPT:
	case EPROTONOSUPPORT:
		return ICMP_CAUSE_PROTOCOL;
	case EMSGSIZE:
		return ICMP_CAUSE_TOO_BIG;
	case EACCES:
	case EPERM:
		return ICMP_CAUSE_PROHIBITED;
	case ENETUNREACH:
	case ENETDOWN:
	case EADDRNOTAVAIL:
		return ICMP_CAUSE_NO_ROUTE;
	default:
		return ICMP_CAUSE_HOST;
	}
}

bool icmp_is_error(uint8_t family, uint8_t type)
{
	enum {
		ICMP4_SOURCE_QUENCH = 4,
		ICMP4_REDIRECT = 5,
	};

	if (family == 6)
		return type < ERRORS6_END;
	return type == ICMP4_UNREACHABLE || type == ICMP4_SOURCE_QUENCH || type == ICMP4_REDIRECT ||
	       type == ICMP4_TIME_EXCEEDED || type == ICMP4_PARAMETER;
}

bool icmp_is_of_destination(uint8_t family, const struct icmp_error *e)
{
	if (family == 4)
		return e->type == ICMP4_UNREACHABLE &&
		       (e->code == CODE4_PROTOCOL || e->code == CODE4_PORT ||
			   e->code == CODE4_FRAG_NEEDED);
	return e->type == ICMP6_TOO_BIG || e->type == ICMP6_PARAMETER ||
	       (e->type == ICMP6_UNREACHABLE && e->code == CODE6_PORT);
}

static bool cause_of_4(const struct icmp_error *e, enum icmp_cause *ret_cause)
{
	enum icmp_cause cause = ICMP_CAUSE_HOST;

	if (e->type == ICMP4_TIME_EXCEEDED) {
		*ret_cause = e->code == 1 ? ICMP_CAUSE_REASSEMBLY : ICMP_CAUSE_HOP_LIMIT;
		return e->code <= 1;
	}
	if (e->type != ICMP4_UNREACHABLE || e->code > CODE4_PRECEDENCE_CUTOFF)
		return false;
	switch (e->code) {
	case CODE4_PROTOCOL:
		cause = ICMP_CAUSE_PROTOCOL;
		break;
	case CODE4_PORT:
		cause = ICMP_CAUSE_PORT;
		break;
	case CODE4_FRAG_NEEDED:
		cause = ICMP_CAUSE_TOO_BIG;
		break;
	case CODE4_NET:
	case CODE4_SOURCE_ROUTE:
	case CODE4_NET_UNKNOWN:
	case CODE4_NET_TOS:
		cause = ICMP_CAUSE_NO_ROUTE;
		break;
	case CODE4_NET_PROHIBITED:
	case CODE4_HOST_PROHIBITED:
	case CODE4_PROHIBITED:
	case CODE4_PRECEDENCE_CUTOFF:
		cause = ICMP_CAUSE_PROHIBITED;
		break;
	default:
		break;
	}
	*ret_cause = cause;
	return true;
}

static bool cause_of_6(const struct icmp_error *e, enum icmp_cause *ret_cause)
{
	switch (e->type) {
	case ICMP6_TOO_BIG:
		*ret_cause = ICMP_CAUSE_TOO_BIG;
		return true;
	case ICMP6_TIME_EXCEEDED:
		*ret_cause = e->code == 1 ? ICMP_CAUSE_REASSEMBLY : ICMP_CAUSE_HOP_LIMIT;
		return e->code <= 1;
	case ICMP6_PARAMETER:
		*ret_cause = ICMP_CAUSE_PROTOCOL;
		return e->code == CODE6_NEXT_HEADER;
	case ICMP6_UNREACHABLE:
		break;
	default:
		return false;
	}
	switch (e->code) {
	case CODE6_NO_ROUTE:
		*ret_cause = ICMP_CAUSE_NO_ROUTE;
		return true;
	case CODE6_PROHIBITED:
	case CODE6_POLICY:
	case CODE6_REJECT:
		*ret_cause = ICMP_CAUSE_PROHIBITED;
		return true;
	case CODE6_PORT:
		*ret_cause = ICMP_CAUSE_PORT;
		return true;
	case CODE6_SCOPE:
	case CODE6_ADDRESS:
		*ret_cause = ICMP_CAUSE_HOST;
		return true;
	default:
		return false;
	}
}

bool icmp_error_translate(uint8_t from_family, const struct icmp_error *from, uint8_t to_family,
    struct icmp_error *ret_error)
{
	enum icmp_cause cause;
	uint32_t mtu = from->info;
	struct icmp_error e;

	if (from_family == 4 ? !cause_of_4(from, &cause) : !cause_of_6(from, &cause))
		return false;
	if (cause == ICMP_CAUSE_TOO_BIG && from_family != to_family) {
		/* RFC 7915 4.2, 5.2: the same packet is 20 bytes longer in IPv6. */
		if (to_family == 4)
			mtu = mtu > TRANSLATED_HDR_DIFF ? mtu - TRANSLATED_HDR_DIFF : 0;
		else
			mtu += TRANSLATED_HDR_DIFF;
	}
	if (!icmp_error_of(cause, to_family, mtu, &e))
		return false;
	if (from_family == to_family)
		e.code = from->code;
	*ret_error = e;
	return true;
}

void icmp_build_error(const struct icmp_error *e, struct wr *w)
{
	wr_u8(w, e->type);
	wr_u8(w, e->code);
	wr_be16(w, 0);
	wr_be32(w, e->info);
}

void icmp_quote_udp(struct icmp_quote *q, uint16_t src_port, uint16_t dst_port)
{
	q->proto = PROTO_UDP;
	put_be16(q->l4, src_port);
	put_be16(q->l4 + 2, dst_port);
	put_be16(q->l4 + 4, (uint16_t)q->l4_len);
	put_be16(q->l4 + 6, 0);
}

void icmp_quote_tcp(struct icmp_quote *q, uint16_t src_port, uint16_t dst_port, uint32_t seq)
{
	q->proto = PROTO_TCP;
	put_be16(q->l4, src_port);
	put_be16(q->l4 + 2, dst_port);
	put_be32(q->l4 + 4, seq);
}

void icmp_quote_echo(struct icmp_quote *q, uint16_t id, uint16_t seq)
{
	q->proto = q->family == 4 ? PROTO_ICMP4 : PROTO_ICMP6;
	put_be32(q->l4, 0);
	q->l4[0] = q->family == 4 ? ICMP4_ECHO_REQUEST : ICMP6_ECHO_REQUEST;
	put_be16(q->l4 + 4, id);
	put_be16(q->l4 + 6, seq);
}

void icmp_build_quote(const struct icmp_quote *q, struct wr *w)
{
	uint8_t *ip4;

	if (q->family == 4) {
		ip4 = wr_room(w, IP4_HDR_SIZE);
		if (!ip4)
			return;
		memset(ip4, 0, IP4_HDR_SIZE);
		ip4[0] = 0x45;
		put_be16(ip4 + 2, (uint16_t)(IP4_HDR_SIZE + q->l4_len));
		put_be16(ip4 + 6, q->has_df ? IP4_DF : 0);
		ip4[8] = QUOTE_TTL;
		ip4[9] = q->proto;
		memcpy(ip4 + 12, q->src->b + 12, 4);
		memcpy(ip4 + 16, q->dst->b + 12, 4);
		put_be16(ip4 + 10, csum_of(ip4, IP4_HDR_SIZE));
		wr_copy(w, q->l4, QUOTE_L4_SIZE);
		return;
	}
	wr_be32(w, 6U << 28);
	wr_be16(w, (uint16_t)q->l4_len);
	wr_u8(w, q->proto);
	wr_u8(w, QUOTE_TTL);
	wr_copy(w, q->src->b, sizeof(q->src->b));
	wr_copy(w, q->dst->b, sizeof(q->dst->b));
	wr_copy(w, q->l4, QUOTE_L4_SIZE);
	if (wr_ok(w)) {
		size_t room = (size_t)(w->end - w->pos);

		wr_copy(w, q->payload, q->payload_len < room ? q->payload_len : room);
	}
}
