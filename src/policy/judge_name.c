/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verdicts by name: of connections (policy.h says when a rule by name matches), of names that are asked, and
 * of addresses in answers.
 *
 * Invariants: an allow rule by name never matches without a pin (test_policy_names:
 * a_name_alone_opens_no_address); where there is a claim, never against it (…: the_claim_decides_on_a_shared_address).
 */
#include "policy/judge.h"

enum {
	DNS_PORT = 53,
};

/* The first rules by name that match a query. */
struct named {
	uint32_t deny;
	uint32_t allow;
	uint32_t unpinned; /* allow, but for a pin */
	uint32_t unnamed;  /* allow, but for the claim */
};

static uint32_t lower_of(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* The first rule of a record, of a kind and an action, for the query; or RULE_NONE. */
static uint32_t record_find(const struct policy *p, const struct name_record *r,
    enum name_kind kind, enum policy_action action, const struct policy_query *q)
{
	unsigned int flags = (kind == NAME_SUFFIX ? NAME_RECORD_SUFFIX : 0) |
			     (action == POLICY_ALLOW ? NAME_RECORD_ALLOW : 0);

	if ((r->flags & NAME_RECORD_NODE) != 0)
		return match_find(p, p->names.nodes[r->ref].match[kind][action], q);
	if ((r->flags & (NAME_RECORD_SUFFIX | NAME_RECORD_ALLOW)) != flags ||
	    (r->directions >> q->direction & 1) == 0 || (r->protos >> q->proto & 1) == 0)
		return RULE_NONE;
	if ((r->flags & NAME_RECORD_PORTS) != 0)
		return packed_rule_matches(p, &p->rules[r->ref], q) ? r->ref : RULE_NONE;
	if (r->port_first > 0 &&
	    (!q->has_port || q->port < r->port_first || q->port > r->port_last))
		return RULE_NONE;
	return r->ref;
}

static bool is_pinned(
    const struct policy_query *q, const struct name_record *record, enum name_kind kind)
{
	for (uint32_t i = 0; i < q->pin_count; i++)
		if (name_record_has(record, kind, q->pins[i]))
			return true;
	return false;
}

static bool claims_a_pin(const struct policy_query *q)
{
	for (uint32_t i = 0; i < q->pin_count; i++)
		if (name_eq(q->pins[i], q->claim))
			return true;
	return false;
}

/* The rules about the claim; allow rules that would decide nothing are not looked into. */
static void find_by_claim(const struct policy *p, const struct policy_query *q, struct name_walk *w,
    uint32_t before, struct named *n)
{
	bool has_all = claims_a_pin(q); /* what has the claim has a pin */
	const struct name_record *r;
	bool is_whole;

	while ((r = name_walk_next(w, &is_whole))) {
		for (int k = is_whole ? NAME_EXACT : NAME_SUFFIX; k <= NAME_SUFFIX; k++) {
			enum name_kind kind = (enum name_kind)k;
			uint32_t allow = record_find(p, r, kind, POLICY_ALLOW, q);

			n->deny = lower_of(n->deny, record_find(p, r, kind, POLICY_DENY, q));
			if (allow >= before || allow >= n->allow)
				continue;
			if (has_all || is_pinned(q, r, kind))
				n->allow = allow;
			else
				n->unpinned = lower_of(n->unpinned, allow);
		}
	}
}

/* The rules about one pin, lowered into *ret_deny and *ret_allow. */
static void find_by_pin(const struct policy *p, const struct policy_query *q, struct name_walk *w,
    uint32_t *ret_deny, uint32_t *ret_allow)
{
	const struct name_record *r;
	bool is_whole;

	while ((r = name_walk_next(w, &is_whole))) {
		for (int k = is_whole ? NAME_EXACT : NAME_SUFFIX; k <= NAME_SUFFIX; k++) {
			enum name_kind kind = (enum name_kind)k;

			*ret_deny = lower_of(*ret_deny, record_find(p, r, kind, POLICY_DENY, q));
			*ret_allow = lower_of(*ret_allow, record_find(p, r, kind, POLICY_ALLOW, q));
		}
	}
}

/* The same of all pins. w: a walk over the first has begun; NULL: it has not. */
static void find_by_pins(const struct policy *p, const struct policy_query *q, struct name_walk *w,
    uint32_t *ret_deny, uint32_t *ret_allow)
{
	struct name_walk own;

	for (uint32_t i = 0; i < q->pin_count; i++) {
		if (i > 0 || !w) {
			w = &own;
			name_walk_init(w, &p->names, q->pins[i]);
		}
		find_by_pin(p, q, w, ret_deny, ret_allow);
	}
}

/* Says why a connection is denied though a rule by name is near to allowing it. `first` is the rule that
 * denies. */
static void explain_near(const struct policy *p, const struct policy_query *q, uint32_t first,
    struct named *n, struct policy_verdict *v)
{
	uint32_t deny = RULE_NONE;

	if (q->direction != POLICY_EGRESS)
		return;
	if (q->claim && n->unpinned >= first && (q->pin_count > 1 || !claims_a_pin(q)))
		find_by_pins(p, q, NULL, &deny, &n->unnamed);
	if (n->unpinned < first) {
		v->near = n->unpinned;
		v->why = POLICY_WHY_NOT_PINNED;
	} else if (n->unnamed < first) {
		v->near = n->unnamed;
		v->why = q->claim ? POLICY_WHY_OTHER_NAME : POLICY_WHY_NO_NAME;
	} else if (!q->claim && q->pin_count == 0 &&
		   match_find(p, p->named[POLICY_ALLOW], q) < first) {
		v->why = POLICY_WHY_NOT_PINNED;
	}
}

bool judge_is_final(const struct policy_query *q)
{
	return q->has_first_flight || q->claim || q->direction != POLICY_EGRESS ||
	       q->proto == POLICY_ICMP4 || q->proto == POLICY_ICMP6;
}

void judge_begin_names(const struct policy *p, const struct policy_query *q, struct name_walk *w)
{
	if (q->claim && q->direction == POLICY_EGRESS)
		name_walk_init(w, &p->names, q->claim);
	else if (q->pin_count > 0)
		name_walk_init(w, &p->names, q->pins[0]);
}

void judge_by_name(const struct policy *p, const struct policy_query *q, struct name_walk *w,
    struct policy_verdict *v)
{
	bool has_claim = q->claim && q->direction == POLICY_EGRESS;
	struct named n = {RULE_NONE, RULE_NONE, RULE_NONE, RULE_NONE};
	uint32_t first = v->rule;

	if (has_claim) {
		find_by_claim(p, q, w, first, &n);
	} else if (!judge_is_final(q)) {
		uint32_t unused = RULE_NONE;
		uint32_t change;

		find_by_pins(p, q, w, &unused, &n.allow);
		n.deny = match_find(p, p->named[POLICY_DENY], q);
		change = v->action == POLICY_ALLOW ? n.deny : n.allow;
		if (change < first) {
			v->action = POLICY_HOLD;
			v->rule = change;
			v->why = POLICY_WHY_RULE;
			return;
		}
		n.allow = RULE_NONE;
		n.deny = RULE_NONE;
	} else {
		find_by_pins(p, q, w, &n.deny, q->must_claim ? &n.unnamed : &n.allow);
	}
	if (n.deny < first || n.allow < first)
		judge_set_rule(p, v, q->direction, lower_of(n.deny, n.allow));
	if (v->action == POLICY_DENY && v->rule >= lower_of(first, n.deny))
		explain_near(p, q, lower_of(first, n.deny), &n, v);
}

uint32_t name_record_asked(const struct policy *p, const struct name_record *r, enum name_kind kind)
{
	enum name_kind own = (r->flags & NAME_RECORD_SUFFIX) != 0 ? NAME_SUFFIX : NAME_EXACT;

	if ((r->flags & NAME_RECORD_NODE) != 0)
		return p->names.nodes[r->ref].asked[kind];
	return own == kind && (r->directions & POLICY_DIR_EGRESS) != 0 ? r->ref : RULE_NONE;
}

/* The first rule for egress about a name, whatever its protocols and ports. */
static uint32_t find_asked(const struct policy *p, const struct name *name)
{
	uint32_t first = RULE_NONE;
	const struct name_record *r;
	struct name_walk w;
	bool is_whole;

	name_walk_init(&w, &p->names, name);
	while ((r = name_walk_next(&w, &is_whole)))
		for (int k = is_whole ? NAME_EXACT : NAME_SUFFIX; k <= NAME_SUFFIX; k++)
			first = lower_of(first, name_record_asked(p, r, (enum name_kind)k));
	return first;
}

/* The names under which cloud providers publish their metadata services (threats.md N17). */
static bool is_metadata_name(const struct name *name)
{
	static const struct name names[] = {
	    {.len = 24, .labels = 3, .text = "metadata.google.internal"},
	    {.len = 13, .labels = 2, .text = "metadata.goog"},
	    {.len = 8, .labels = 1, .text = "metadata"},
	    {.len = 13, .labels = 1, .text = "instance-data"},
	    {.len = 26, .labels = 3, .text = "instance-data.ec2.internal"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (name_is_under(name, &names[i]))
			return true;
	return false;
}

static struct policy_verdict judge_name_layer(
    const struct policy *p, const struct name *name, enum policy_proto proto)
{
	const struct policy_query q = {
	    .direction = POLICY_EGRESS, .proto = proto, .has_port = true, .port = DNS_PORT};
	bool is_metadata = is_metadata_name(name);
	uint32_t first = lower_of(match_find(p, p->any, &q),
	    match_find(p, p->groups[is_metadata ? ADDR_METADATA : ADDR_HOST], &q));
	struct policy_verdict v = {.near = RULE_NONE, .class = ADDR_PUBLIC};

	judge_set_rule(p, &v, POLICY_EGRESS, lower_of(first, find_asked(p, name)));
	if (is_metadata && v.rule == RULE_NONE && v.action == POLICY_DENY)
		v.why = POLICY_WHY_METADATA;
	judge_number(p, &v);
	return v;
}

struct policy_verdict policy_judge_name(
    const struct policy *p, const struct name *name, enum policy_proto proto)
{
	struct policy_verdict v = judge_name_layer(p, name, proto);

	for (p = p->next; p && v.action == POLICY_ALLOW; p = p->next) {
		struct policy_verdict floor = judge_name_layer(p, name, proto);

		v = floor.action == POLICY_ALLOW ? v : floor;
	}
	return v;
}

/* Whether a rule opens an address, as it stands, for answers. */
static bool is_exempt(
    const struct policy *p, const struct ip_addr *addr, uint32_t place, struct policy_verdict *v)
{
	struct policy_query q = {.direction = POLICY_EGRESS, .addr = *addr};
	enum policy_proto protos[] = {POLICY_TCP, POLICY_UDP};

	for (size_t i = 0; i < sizeof(protos) / sizeof(protos[0]); i++) {
		uint32_t rule;

		q.proto = protos[i];
		rule = judge_find_addr(p, &q, place);
		if (rule == RULE_NONE)
			continue;
		v->rule = rule;
		if (p->rules[rule].action == POLICY_ALLOW &&
		    p->rules[rule].target != POLICY_TARGET_ANY)
			return true;
	}
	return false;
}

static struct policy_verdict judge_answer_one(const struct policy *p, const struct ip_addr *addr)
{
	uint32_t place = policy_place(p, addr);
	struct policy_verdict v = {.action = POLICY_DENY,
	    .rule = POLICY_RULE_FLOOR,
	    .near = RULE_NONE,
	    .class = place_class(place),
	    .why = POLICY_WHY_REBIND};

	if (judge_is_floor(v.class, POLICY_EGRESS, addr))
		return v;
	v.rule = RULE_NONE;
	if (v.class == ADDR_PUBLIC || is_exempt(p, addr, place, &v))
		v.action = POLICY_ALLOW;
	return v;
}

static struct policy_verdict judge_answer_layer(const struct policy *p, const struct ip_addr *addr)
{
	struct policy_verdict v = judge_answer_one(p, addr);
	struct ip_addr embedded[JUDGE_EMBEDDED_MAX];
	bool is_known = true;
	size_t n = 0;

	if (v.action == POLICY_DENY)
		return v;
	if (!ip_addr_is_v4(addr))
		n = judge_embedded(p, addr, embedded, &is_known);
	if (!is_known) {
		v.action = POLICY_DENY;
		v.rule = POLICY_RULE_FLOOR;
	}
	for (size_t i = 0; i < n && v.action == POLICY_ALLOW; i++) {
		struct policy_verdict inner = judge_answer_one(p, &embedded[i]);

		if (inner.action == POLICY_DENY)
			return inner;
	}
	return v;
}

struct policy_verdict policy_judge_answer(
    const struct policy *p, const struct name *name, const struct ip_addr *addr)
{
	struct policy_verdict v = {.action = POLICY_ALLOW};

	(void)name; /* no rule opens an address for one name only */
	for (const struct policy *l = p; l && v.action == POLICY_ALLOW; l = l->next) {
		struct policy_verdict own = judge_answer_layer(l, addr);

		judge_number(l, &own);
		v = own.action == POLICY_DENY || l == p ? own : v;
	}
	return v;
}

const char *policy_why_name(enum policy_why why)
{
	static const char *const names[POLICY_WHY_COUNT] = {
	    [POLICY_WHY_RULE] = "rule",
	    [POLICY_WHY_DEFAULT] = "default",
	    [POLICY_WHY_FLOOR] = "floor",
	    [POLICY_WHY_NOT_PINNED] = "not_pinned",
	    [POLICY_WHY_OTHER_NAME] = "other_name",
	    [POLICY_WHY_NO_NAME] = "no_name",
	    [POLICY_WHY_METADATA] = "metadata",
	    [POLICY_WHY_REBIND] = "rebind",
	    [POLICY_WHY_UNREADABLE] = "unreadable",
	};

	return (unsigned int)why < POLICY_WHY_COUNT ? names[why] : "unknown";
}
