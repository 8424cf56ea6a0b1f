/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verdicts: the only place where they are computed.
 *
 * Cost: one binary search for the address, then one look-up each for `any`, for the class and for the
 * prefixes that hold the address, of which those that cannot decide any more are left out; for rules by
 * name one look-up per label of the claim and of each pin (judge_name.c). An address that embeds others
 * costs as much again for each (at most four).
 */
#include "policy/judge.h"

#include "policy/snapshot.h"

void judge_set_rule(const struct policy *p, struct policy_verdict *v,
    enum policy_direction direction, uint32_t rule)
{
	bool is_allowed = rule == RULE_NONE ? p->defaults[direction] == POLICY_ALLOW
					    : (p->allows[rule / 8] >> rule % 8 & 1) != 0;

	v->rule = rule;
	v->action = is_allowed ? POLICY_ALLOW : POLICY_DENY;
	v->why = rule == RULE_NONE ? POLICY_WHY_DEFAULT : POLICY_WHY_RULE;
}

/* Destinations that are never right on a wire, and addresses that are none at all. */
bool judge_is_floor(
    enum addr_class class, enum policy_direction direction, const struct ip_addr *addr)
{
	if (class == ADDR_UNSPECIFIED)
		return true;
	return direction == POLICY_EGRESS &&
	       (class == ADDR_LOOPBACK || class == ADDR_MULTICAST ||
		   (class == ADDR_RESERVED && addr_is_limited_broadcast(addr)));
}

/* The first rule of a node for the query, or RULE_NONE. */
static uint32_t node_find(
    const struct policy *p, const struct policy_node *node, const struct policy_query *q)
{
	if ((node->directions >> q->direction & 1) == 0 || (node->protos >> q->proto & 1) == 0)
		return RULE_NONE;
	if ((node->directions & NODE_IS_PLAIN) == 0)
		return match_find(p, node->match, q);
	if (node->port_first == 0)
		return node->match;
	return q->has_port && node->port_first <= q->port && q->port <= node->port_last
		   ? node->match
		   : RULE_NONE;
}

uint32_t judge_find_addr(const struct policy *p, const struct policy_query *q, uint32_t place)
{
	uint32_t first = match_find(p, p->any, q);
	uint32_t found = match_find(p, p->groups[place_class(place)], q);
	uint32_t node = place_node(place);

	first = found < first ? found : first;
	while (node != NODE_NONE && p->nodes[node].first_up < first) {
		found = node_find(p, &p->nodes[node], q);
		first = found < first ? found : first;
		node = p->nodes[node].parent;
	}
	return first;
}

/* Judges the address of the query as it stands, whatever it embeds. */
static struct policy_verdict judge_one(const struct policy *p, const struct policy_query *q)
{
	struct policy_verdict v = {.action = POLICY_DENY,
	    .rule = POLICY_RULE_FLOOR,
	    .near = RULE_NONE,
	    .why = POLICY_WHY_FLOOR};
	bool has_names = p->names.slots != NULL;
	struct name_walk w = {.place_count = 0};
	uint32_t place;

	if (has_names)
		judge_begin_names(p, q, &w);
	place = policy_place(p, &q->addr);
	name_walk_fetch(&w);
	v.class = place_class(place);
	if (judge_is_floor(v.class, q->direction, &q->addr))
		return v;
	judge_set_rule(p, &v, q->direction, judge_find_addr(p, q, place));
	if (has_names)
		judge_by_name(p, q, &w, &v);
	return v;
}

/* The addresses that a NAT64 prefix of the local network embeds; returns how many. */
static size_t find_local_nat64(
    const struct policy *p, const struct ip_addr *addr, struct ip_addr *ret_embedded)
{
	size_t n = 0;

	for (uint32_t i = 0; i < p->nat64_count; i++)
		if (ip_addr_in_prefix(addr, &p->nat64[i].prefix, p->nat64[i].len))
			ret_embedded[n++] = addr_nat64_embedded(addr, p->nat64[i].len);
	return n;
}

/* Writes all that an address embeds, and returns how many. *ret_is_known: it does not embed what only the
 * local network could tell. */
size_t judge_embedded(
    const struct policy *p, const struct ip_addr *addr, struct ip_addr *out, bool *ret_is_known)
{
	size_t n = addr_embedded(addr, out);
	size_t local = find_local_nat64(p, addr, out + n);

	*ret_is_known = local > 0 || !addr_embeds_unknown(addr);
	return n + local;
}

/* Whether a rule is about a part of 64:ff9b:1::/48 and nothing else: a shorter prefix has zeros where
 * the third group is 1. */
static bool names_local_translation(const struct policy *p, uint32_t rule)
{
	return rule < p->rule_count && p->rules[rule].target == POLICY_TARGET_PREFIX &&
	       addr_embeds_unknown(&p->rules[rule].prefix);
}

static struct policy_verdict judge_layer(const struct policy *p, const struct policy_query *q)
{
	struct policy_query inner = *q;
	struct policy_verdict v;
	struct ip_addr embedded[JUDGE_EMBEDDED_MAX];
	bool is_known;
	size_t n;

	if (ip_addr_is_v4(&q->addr) && q->proto == POLICY_ICMP6)
		inner.proto = POLICY_ICMP4;
	v = judge_one(p, &inner);
	if (v.action == POLICY_DENY || ip_addr_is_v4(&q->addr))
		return v;

	n = judge_embedded(p, &q->addr, embedded, &is_known);
	if (!is_known && !names_local_translation(p, v.rule)) {
		v.action = POLICY_DENY;
		v.rule = POLICY_RULE_FLOOR;
		v.why = POLICY_WHY_FLOOR;
		return v;
	}
	if (q->proto == POLICY_ICMP6)
		inner.proto = POLICY_ICMP4;
	for (size_t i = 0; i < n; i++) {
		struct policy_verdict inner_verdict;

		inner.addr = embedded[i];
		inner_verdict = judge_one(p, &inner);
		if (inner_verdict.action == POLICY_DENY)
			return inner_verdict;
		if (inner_verdict.action == POLICY_HOLD)
			v = inner_verdict;
	}
	return v;
}

void judge_number(const struct policy *layer, struct policy_verdict *v)
{
	v->layer = layer->layer;
	if (v->rule < layer->rule_count)
		v->rule += layer->rule_base;
	if (v->near < layer->rule_count)
		v->near += layer->rule_base;
}

struct policy_verdict policy_judge(const struct policy *p, const struct policy_query *q)
{
	struct policy_verdict v = judge_layer(p, q);

	for (p = p->next; p && v.action != POLICY_DENY; p = p->next) {
		struct policy_verdict floor = judge_layer(p, q);

		if (floor.action == POLICY_ALLOW ||
		    (floor.action == POLICY_HOLD && v.action == POLICY_HOLD))
			continue;
		judge_number(p, &floor);
		v = floor;
	}
	return v;
}
