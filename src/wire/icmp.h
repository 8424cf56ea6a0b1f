/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ICMP errors (RFC 792, RFC 1191, RFC 4443): what they say, in both families, and their bytes.
 */
#ifndef SLUICE_WIRE_ICMP_H
#define SLUICE_WIRE_ICMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/wr.h"

enum {
	ICMP4_ECHO_REPLY = 0,
	ICMP4_UNREACHABLE = 3,
	ICMP4_ECHO_REQUEST = 8,
	ICMP4_TIME_EXCEEDED = 11,
	ICMP4_PARAMETER = 12,

	ICMP6_UNREACHABLE = 1,
	ICMP6_TOO_BIG = 2,
	ICMP6_TIME_EXCEEDED = 3,
	ICMP6_PARAMETER = 4,
	ICMP6_ECHO_REQUEST = 128,
	ICMP6_ECHO_REPLY = 129,

	ICMP_CSUM_OFF = 2,

	ICMP4_MTU_MIN = 68,   /* RFC 791: every link carries that much; less is a lie */
	ICMP6_MTU_MIN = 1280, /* RFC 8200 5 */

	/* An error to the guest: with its IP header at most this long. IPv4: header, 8 bytes, the
	 * quoted header with options and 8 bytes (RFC 792). IPv6: RFC 4443 2.4(c). */
	ICMP4_ERROR_MAX = 20 + 8 + 60 + 8,
	ICMP6_ERROR_MAX = 1280,
};

/* Why a packet was not delivered, whatever the family. */
enum icmp_cause {
	ICMP_CAUSE_NO_ROUTE,
	ICMP_CAUSE_HOST,       /* the destination, or its address, does not answer */
	ICMP_CAUSE_PROTOCOL,   /* it does not speak the protocol */
	ICMP_CAUSE_PORT,       /* nobody listens */
	ICMP_CAUSE_TOO_BIG,    /* larger than the path's MTU */
	ICMP_CAUSE_PROHIBITED, /* denied by policy */
	ICMP_CAUSE_HOP_LIMIT,  /* TTL used up */
	ICMP_CAUSE_REASSEMBLY, /* fragments missing */
};

/* The first words of an error message. */
struct icmp_error {
	uint8_t type;
	uint8_t code;
	uint32_t
	    info; /* second word: the MTU of TOO_BIG, the pointer of an ICMPv6 parameter problem */
};

/* The error of that family that says so. mtu_bytes counts for ICMP_CAUSE_TOO_BIG only, where less
 * than the family's minimum is not to be reported: false (behaviours.md E6). */
__attribute__((warn_unused_result)) bool icmp_error_of(
    enum icmp_cause cause, uint8_t family, uint32_t mtu_bytes, struct icmp_error *ret_error);

/* The cause that errno stands for after the host refused to deliver. */
enum icmp_cause icmp_cause_of_errno(int error);

/* The error to_family's guest is told for an error that the host received in from_family: the same
 * type and code within one family, else what RFC 7915 makes of them. mtu_bytes as received, 0 if
 * there was none. False if it must not be told: no error about delivery, or a lying MTU. */
__attribute__((warn_unused_result)) bool icmp_error_translate(uint8_t from_family,
    const struct icmp_error *from, uint8_t to_family, struct icmp_error *ret_error);

/* Whether type is that of an error message (about which no error may be sent). */
bool icmp_is_error(uint8_t family, uint8_t type);

/* Whether the error speaks for the destination itself or for the path to it, not for a router: port or
 * protocol unreachable, too big. */
bool icmp_is_of_destination(uint8_t family, const struct icmp_error *e);

/* Writes the 8 bytes of an error's header with a checksum of zero; the quote follows. */
void icmp_build_error(const struct icmp_error *e, struct wr *w);

/* What was sent, as far as it is remembered, to be quoted when the packet itself is gone. */
struct icmp_quote {
	uint8_t family; /* 4 or 6: of the packet */
	uint8_t proto;
	bool has_df; /* IPv4: don't fragment was set */
	const struct ip_addr *src;
	const struct ip_addr *dst;
	uint8_t l4[8];   /* first bytes of the upper layer: icmp_quote_udp() and its sisters */
	uint32_t l4_len; /* bytes behind the IP header of the whole packet, >= 8 */
	const uint8_t *payload; /* what followed l4, as far as it is known; may be NULL */
	uint32_t payload_len;   /* bytes at payload, at most l4_len - 8 */
};

/* Fill l4 in. Checksums are zero: they are not remembered. q->l4_len is set before. */
void icmp_quote_udp(struct icmp_quote *q, uint16_t src_port, uint16_t dst_port);
void icmp_quote_tcp(struct icmp_quote *q, uint16_t src_port, uint16_t dst_port, uint32_t seq);
void icmp_quote_echo(struct icmp_quote *q, uint16_t id, uint16_t seq);

/* Writes IP header, l4 and, of an IPv6 packet, as much of the payload as w has room for. */
void icmp_build_quote(const struct icmp_quote *q, struct wr *w);

#endif
