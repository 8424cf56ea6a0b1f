/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One rule, and its text.
 *
 *	rules   = rule *("," rule)
 *	rule    = action [":" direction] "@" target [":" proto [":" ports]]
 *	action  = "allow" / "deny"
 *	direction = "egress" / "ingress" / "any"                    ; egress where there is none
 *	target  = "any" / group / "dns" / ipv4 ["/" len] / "[" ipv6 "]" ["/" len] / "[" ipv6 "/" len "]"
 *	        / name / "domain=" name / "*." name / "suffix=" name
 *	group   = "public" / "private" / "loopback" / "link_local" / "link-local" / "metadata" / "meta"
 *	        / "multicast" / "host"
 *	proto   = "any" / protocol *("+" protocol)
 *	protocol = "tcp" / "udp" / "icmp" / "icmpv4" / "icmpv6"     ; icmp: both
 *	ports   = "any" / range *("+" range)
 *	range   = port ["-" port]
 *
 * `dns` is group host, TCP and UDP, port 53, egress; a protocol (any, tcp, udp) and the port (any, 53)
 * may be given. A name stands for itself; without "domain=" it has two labels or more. `*.name` and
 * `suffix=name` are the name and all below it, at any depth, and have two labels or more. Blanks are
 * allowed before a rule and nowhere else.
 *
 * Each rule has one canonical text, which reads back as the same rule.
 */
#ifndef SLUICE_POLICY_RULE_H
#define SLUICE_POLICY_RULE_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/name.h"
#include "policy/addr_class.h"
#include "policy/policy.h"

enum {
	POLICY_DIR_EGRESS = 1 << POLICY_EGRESS,
	POLICY_DIR_INGRESS = 1 << POLICY_INGRESS,
	POLICY_DIR_ANY = POLICY_DIR_EGRESS | POLICY_DIR_INGRESS,

	POLICY_PROTO_HAS_PORTS = 1 << POLICY_TCP | 1 << POLICY_UDP,
	POLICY_PROTO_ICMP = 1 << POLICY_ICMP4 | 1 << POLICY_ICMP6,
	POLICY_PROTO_ANY = POLICY_PROTO_HAS_PORTS | POLICY_PROTO_ICMP,

	POLICY_PORT_RANGES_MAX = 64, /* per rule */
};

enum policy_target {
	POLICY_TARGET_ANY,    /* every address of both families */
	POLICY_TARGET_PREFIX, /* the addresses of one family under a prefix */
	POLICY_TARGET_GROUP,  /* the addresses of a class */
	POLICY_TARGET_NAME,   /* one name */
	POLICY_TARGET_SUFFIX, /* a name and all below it */
};

struct policy_rule {
	enum policy_action action;
	enum policy_target target;
	uint8_t directions;    /* POLICY_DIR_... bits, not 0 */
	uint8_t protos;        /* bits 1 << enum policy_proto, not 0 */
	uint8_t prefix_len;    /* PREFIX: bits of the 16-byte form, 96 and more for IPv4 */
	struct ip_addr prefix; /* PREFIX: with no bit set behind prefix_len */
	enum addr_class group; /* GROUP: a class that has a group of its own */
	struct name name;      /* NAME, SUFFIX */
	uint32_t range_count;  /* 0: any port, and protocols without ports */
	struct port_range ranges[POLICY_PORT_RANGES_MAX];
};

/* The address with all bits behind the first len (0..128) cleared. */
static inline struct ip_addr policy_prefix_base(const struct ip_addr *a, unsigned int len)
{
	struct ip_addr base = *a;

	for (unsigned int i = 0; i < sizeof(base.b); i++) {
		unsigned int bits = len > 8 * i ? len - 8 * i : 0;

		if (bits < 8)
			base.b[i] &= (uint8_t)(0xff00U >> bits);
	}
	return base;
}

/* Checks a rule from elsewhere (the configuration document) and gives it its canonical form: ranges
 * sorted and merged, and no ICMP where there are ports, which never match it. 0, or -EINVAL and *err
 * with column 0. */
__attribute__((warn_unused_result)) int policy_rule_check(
    struct policy_rule *rule, struct policy_error *err);

/* Writes the canonical text, cut to cap bytes, and returns out. */
char *policy_rule_format(const struct policy_rule *rule, char *out, size_t cap);

/* Reads a list of rules, one after the other. Borrows the text. */
struct rule_reader {
	const char *text; /* the whole list */
	const char *next; /* first byte of the next rule; NULL behind the last */
};

static inline struct rule_reader rule_reader_init(const char *text)
{
	return (struct rule_reader){.text = text, .next = text};
}

/* 1 and a rule in canonical form, 0 behind the last rule, or -EINVAL and *err: what is wrong, with
 * which words, what to do, and where. There is nothing more to read after an error. */
__attribute__((warn_unused_result)) int rule_reader_next(
    struct rule_reader *r, struct policy_rule *ret_rule, struct policy_error *err);

#endif
