/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a verdict is as it is: rule by rule, without the indexes that judging uses.
 *
 * Invariant: no rule before the one that decides is said to match, and the first that is said to match
 * decides (test_policy_diff: reasons_agree_with_verdicts).
 */
#include <assert.h>

#include "base/text.h"
#include "policy/judge.h"

enum {
	NEAR_LABELS = 2,    /* names with that many labels in common at their ends are near */
	NEAR_BITS_V4 = 112, /* prefixes of the same /16, or the same /32, are */
	NEAR_BITS_V6 = 32,
};

/* How near a rule is to a query: what is told first. */
enum nearness {
	NEAR_DECIDES,
	NEAR_MATCHES,   /* but for the order */
	NEAR_BY_NAME,   /* but for a pin or the claim */
	NEAR_BUT_ONE,   /* but for the direction, the protocol or the port */
	NEAR_NEIGHBOUR, /* about a neighbour */
	NEAR_OTHER,     /* about something else */
	NEAR_COUNT
};

static bool has_pin(const struct policy_query *q, const struct name_record *r, enum name_kind kind)
{
	for (uint32_t i = 0; i < q->pin_count; i++)
		if (name_record_has(r, kind, q->pins[i]))
			return true;
	return false;
}

/* Why a rule by name does not match, its direction, protocol and ports left aside; LATER: it does. */
static enum policy_miss miss_of_name(
    const struct policy *p, const struct packed_rule *r, const struct policy_query *q)
{
	const struct name_record *record = name_record_at(&p->names, packed_rule_name(r));
	enum name_kind kind = r->target == POLICY_TARGET_SUFFIX ? NAME_SUFFIX : NAME_EXACT;
	const struct name *claim = q->direction == POLICY_EGRESS ? q->claim : NULL;
	bool is_claimed = claim && name_record_has(record, kind, claim);
	bool is_pinned = has_pin(q, record, kind);

	if (!judge_is_final(q)) {
		if (r->action == POLICY_ALLOW && !is_pinned)
			return q->pin_count > 0 ? POLICY_MISS_TARGET : POLICY_MISS_PIN;
		return POLICY_MISS_HELD;
	}
	if (r->action == POLICY_DENY && claim)
		return is_claimed  ? POLICY_MISS_LATER
		       : is_pinned ? POLICY_MISS_CLAIM
				   : POLICY_MISS_TARGET;
	if (!is_claimed && !is_pinned)
		return claim || q->pin_count > 0 ? POLICY_MISS_TARGET : POLICY_MISS_PIN;
	if (!is_pinned)
		return POLICY_MISS_PIN;
	if (claim ? !is_claimed : q->must_claim && r->action == POLICY_ALLOW)
		return POLICY_MISS_CLAIM;
	return POLICY_MISS_LATER;
}

static enum policy_miss miss_of_target(const struct policy *p, const struct packed_rule *r,
    const struct policy_query *q, enum addr_class class)
{
	bool is_hit = true;

	switch ((enum policy_target)r->target) {
	case POLICY_TARGET_NAME:
	case POLICY_TARGET_SUFFIX:
		return miss_of_name(p, r, q);
	case POLICY_TARGET_PREFIX:
		is_hit = ip_addr_is_v4(&q->addr) == ip_addr_is_v4(&r->prefix) &&
			 ip_addr_in_prefix(&q->addr, &r->prefix, r->prefix_len);
		break;
	case POLICY_TARGET_GROUP:
		is_hit = r->group == class;
		break;
	case POLICY_TARGET_ANY:
		break;
	}
	return is_hit ? POLICY_MISS_LATER : POLICY_MISS_TARGET;
}

static enum policy_miss miss_of(const struct policy *p, const struct packed_rule *r,
    const struct policy_query *q, enum addr_class class)
{
	enum policy_miss miss = miss_of_target(p, r, q, class);

	if (miss == POLICY_MISS_TARGET || packed_rule_matches(p, r, q))
		return miss;
	if ((r->directions >> q->direction & 1) == 0)
		return POLICY_MISS_DIRECTION;
	if ((r->protos >> q->proto & 1) == 0)
		return POLICY_MISS_PROTO;
	return POLICY_MISS_PORT;
}

/* Whether the names have their last labels in common. */
static bool are_near(const struct name_record *r, const struct name *name)
{
	size_t labels = 0;

	for (size_t i = 1; i <= r->len && i <= name->len; i++) {
		char a = r->text[r->len - i];

		if (a != name->text[name->len - i])
			return false;
		labels += a == '.';
		if (labels == NEAR_LABELS || (i == r->len && labels > 0))
			return true;
	}
	return false;
}

static bool is_neighbour(
    const struct policy *p, const struct packed_rule *r, const struct policy_query *q)
{
	const struct name_record *record;

	if (r->target == POLICY_TARGET_PREFIX) {
		unsigned int bits = ip_addr_is_v4(&q->addr) ? NEAR_BITS_V4 : NEAR_BITS_V6;

		return r->prefix_len >= bits && ip_addr_in_prefix(&q->addr, &r->prefix, bits);
	}
	if (!packed_rule_has_name(r))
		return false;
	record = name_record_at(&p->names, packed_rule_name(r));
	if (q->claim && are_near(record, q->claim))
		return true;
	for (uint32_t i = 0; i < q->pin_count; i++)
		if (are_near(record, q->pins[i]))
			return true;
	return false;
}

static enum nearness nearness_of(const struct policy *p, const struct packed_rule *r,
    const struct policy_query *q, enum policy_miss miss)
{
	switch (miss) {
	case POLICY_MISS_NONE:
		return NEAR_DECIDES;
	case POLICY_MISS_HELD:
	case POLICY_MISS_LATER:
	case POLICY_MISS_LAYER:
	case POLICY_MISS_FLOOR:
		return NEAR_MATCHES;
	case POLICY_MISS_PIN:
		return q->claim ? NEAR_BY_NAME : NEAR_OTHER;
	case POLICY_MISS_CLAIM:
		return NEAR_BY_NAME;
	case POLICY_MISS_DIRECTION:
	case POLICY_MISS_PROTO:
	case POLICY_MISS_PORT:
		return NEAR_BUT_ONE;
	case POLICY_MISS_TARGET:
		break;
	}
	return is_neighbour(p, r, q) ? NEAR_NEIGHBOUR : NEAR_OTHER;
}

/* Goes through all rules: counts them by nearness, or tells of as many as `left` says of each. */
struct explaining {
	const struct policy_query *query;
	const struct policy_verdict *verdict;
	uint32_t left[NEAR_COUNT]; /* rules still to be told of */
	bool is_telling;
	void (*tell)(void *ctx, const struct policy_reason *reason);
	void *ctx;
};

static void walk_layer(struct explaining *e, const struct policy *p)
{
	struct policy_query q = *e->query;
	enum addr_class class = place_class(policy_place(p, &q.addr));

	if (ip_addr_is_v4(&q.addr) && q.proto == POLICY_ICMP6)
		q.proto = POLICY_ICMP4;
	for (uint32_t i = 0; i < p->rule_count; i++) {
		struct policy_reason reason = {.rule = p->rule_base + i};
		enum nearness near;

		reason.miss = miss_of(p, &p->rules[i], &q, class);
		if (reason.rule == e->verdict->rule)
			reason.miss =
			    e->verdict->action == POLICY_HOLD ? POLICY_MISS_HELD : POLICY_MISS_NONE;
		else if (reason.miss == POLICY_MISS_LATER && p->layer != e->verdict->layer)
			reason.miss = POLICY_MISS_LAYER;
		else if (reason.miss == POLICY_MISS_LATER && e->verdict->rule == POLICY_RULE_FLOOR)
			reason.miss = POLICY_MISS_FLOOR;
		near = nearness_of(p, &p->rules[i], &q, reason.miss);
		if (!e->is_telling) {
			e->left[near]++;
		} else if (e->left[near] > 0) {
			e->left[near]--;
			e->tell(e->ctx, &reason);
		}
	}
}

struct policy_verdict policy_explain(const struct policy *p, const struct policy_query *q,
    void (*tell)(void *ctx, const struct policy_reason *reason), void *ctx)
{
	struct policy_verdict v = policy_judge(p, q);
	struct explaining e = {.query = q, .verdict = &v, .tell = tell, .ctx = ctx};
	uint32_t room = POLICY_REASONS_MAX;

	for (const struct policy *l = p; l; l = l->next)
		walk_layer(&e, l);
	for (int near = 0; near < NEAR_COUNT; near++) {
		if (e.left[near] > room)
			e.left[near] = room;
		room -= e.left[near];
	}
	e.is_telling = true;
	for (const struct policy *l = p; l; l = l->next)
		walk_layer(&e, l);
	return v;
}

static const char *proto_text(enum policy_proto proto)
{
	static const char *const names[POLICY_PROTO_COUNT] = {"TCP", "UDP", "ICMP", "ICMPv6"};

	return names[proto];
}

static void put_reason(
    struct text *t, const struct policy_query *q, bool has_name, enum policy_miss miss)
{
	switch (miss) {
	case POLICY_MISS_NONE:
		text_str(t, "decides");
		break;
	case POLICY_MISS_HELD:
		text_str(t, "matches if the first bytes name one of its names");
		break;
	case POLICY_MISS_LATER:
		text_str(t, "matches too, but comes later");
		break;
	case POLICY_MISS_LAYER:
		text_str(t, "matches, but another layer decides");
		break;
	case POLICY_MISS_FLOOR:
		text_str(t, "matches, but this destination is never allowed");
		break;
	case POLICY_MISS_PIN:
		text_str(t, "none of its names led to this address");
		break;
	case POLICY_MISS_CLAIM:
		if (q->claim)
			text_printf(t, "the connection says %s", q->claim->text);
		else
			text_str(t, "the connection says no name");
		break;
	case POLICY_MISS_DIRECTION:
		text_printf(
		    t, "is not for %s", q->direction == POLICY_EGRESS ? "egress" : "ingress");
		break;
	case POLICY_MISS_PROTO:
		text_printf(t, "is not for %s", proto_text(q->proto));
		break;
	case POLICY_MISS_PORT:
		if (q->has_port)
			text_printf(t, "is not for port %u", (unsigned int)q->port);
		else
			text_str(t, "is for certain ports only");
		break;
	case POLICY_MISS_TARGET:
		text_str(t, has_name ? "is about other names" : "is about other addresses");
		break;
	}
}

const char *policy_reason_text(const struct policy *p, const struct policy_query *q,
    const struct policy_reason *reason, char *out, size_t cap)
{
	char rule_text[POLICY_RULE_TEXT_MAX];
	struct text t = text_init(out, cap);
	uint32_t number = reason->rule;
	const struct policy *layer = policy_layer_of(p, &number);

	assert(layer);
	if (layer->layer > 0)
		text_printf(&t, "layer %u, ", layer->layer);
	text_printf(&t, "rule %u, %s: ", number + 1,
	    policy_rule_text(p, reason->rule, rule_text, sizeof(rule_text)));
	put_reason(&t, q, packed_rule_has_name(&layer->rules[number]), reason->miss);
	return out;
}

struct ip_addr policy_other_addr(const struct policy *p)
{
	const struct range_table *t = &p->places[ADDR_IPV4];
	struct ip_addr found = ip_addr_v4(0x08080808);
	unsigned int shortest = UINT8_MAX;

	for (uint32_t i = 0; i < t->count; i++) {
		uint32_t node = place_node(t->places[i]);
		unsigned int len = node == NODE_NONE ? 0 : p->nodes[node].prefix_len;

		if (place_class(t->places[i]) != ADDR_PUBLIC || len >= shortest)
			continue;
		found = ip_addr_v4((uint32_t)(t->keys[i] >> 32));
		shortest = len;
	}
	return found;
}
