/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy: ordered rules, compiled to an immutable snapshot that is judged in a time that does not
 * depend on the number of rules.
 *
 * policy_judge() is the one function that computes verdicts. A snapshot is read by any number of
 * threads; it changes only by being replaced.
 */
#ifndef SLUICE_POLICY_POLICY_H
#define SLUICE_POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "policy/addr_class.h"

struct policy;

enum policy_action {
	POLICY_DENY,
	POLICY_ALLOW,
};

enum policy_direction {
	POLICY_EGRESS,  /* the guest opens; the address is the destination */
	POLICY_INGRESS, /* the outside opens; the address is the peer's */
};

enum policy_proto {
	POLICY_TCP,
	POLICY_UDP,
	POLICY_ICMP4,
	POLICY_ICMP6,
	POLICY_PROTO_COUNT
};

#define POLICY_RULE_DEFAULT 0xffffffffU /* no rule matched: the direction's default */
#define POLICY_RULE_FLOOR                                                                          \
	0xfffffffeU /* refused whatever the rules say (unspecified address, ...) */

struct policy_query {
	enum policy_direction direction;
	enum policy_proto proto;
	bool has_port; /* false for ICMP: a rule with ports does not match */
	uint16_t port; /* egress: destination port; ingress: the guest's port. Host order */
	struct ip_addr addr;
};

struct policy_verdict {
	enum policy_action action;
	uint32_t rule;         /* number of the deciding rule from 0, or POLICY_RULE_... */
	enum addr_class class; /* of the address as the policy sees it, unwrapped */
};

struct policy_verdict policy_judge(const struct policy *p, const struct policy_query *q);

/* Writes the deciding rule as one line of the rule grammar ("default", "floor" where there is none),
 * cut to cap bytes; returns out. */
const char *policy_rule_text(const struct policy *p, uint32_t rule, char *out, size_t cap);

void policy_free(struct policy *p);

#endif
