/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the judging, between judge.c, judge_name.c and explain.c. Internal to the policy layer. */
#ifndef SLUICE_POLICY_JUDGE_H
#define SLUICE_POLICY_JUDGE_H

#include "policy/snapshot.h"

enum {
	JUDGE_EMBEDDED_MAX = ADDR_EMBEDDED_MAX + POLICY_NAT64_MAX,
};

/* Lets a rule (or RULE_NONE: the default) decide the verdict. */
void judge_set_rule(const struct policy *p, struct policy_verdict *v,
    enum policy_direction direction, uint32_t rule);

/* Makes a layer's verdict one of the whole policy. */
void judge_number(const struct policy *layer, struct policy_verdict *v);

/* Destinations that are never right on a wire, and addresses that are none at all. */
bool judge_is_floor(
    enum addr_class class, enum policy_direction direction, const struct ip_addr *addr);

/* The first rule for the query that is not by name, or RULE_NONE. place: of the address. */
uint32_t judge_find_addr(const struct policy *p, const struct policy_query *q, uint32_t place);

/* Begins to look for the rules by name of a query, so that the memory comes in the meantime. */
void judge_begin_names(const struct policy *p, const struct policy_query *q, struct name_walk *w);

/* Whether the claim of a query is known, or will never be. */
bool judge_is_final(const struct policy_query *q);

/* Lets rules by name change the verdict that the others gave. */
void judge_by_name(const struct policy *p, const struct policy_query *q, struct name_walk *w,
    struct policy_verdict *v);

/* Writes all that an address embeds, and returns how many. *ret_is_known: it does not embed what only the
 * local network could tell. */
size_t judge_embedded(
    const struct policy *p, const struct ip_addr *addr, struct ip_addr *out, bool *ret_is_known);

#endif
