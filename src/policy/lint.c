/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules that decide nothing, or less than it seems.
 *
 * Invariant: a rule that is called covered never decides a verdict (test_policy:
 * rules_that_are_warned_about_decide_nothing; test_policy_names: the same for names).
 */
#include "base/text.h"
#include "policy/snapshot.h"

/* The node of a rule's prefix. */
static uint32_t node_of(const struct policy *p, const struct packed_rule *r)
{
	uint32_t node = place_node(policy_place(p, &r->prefix));

	/* A longer prefix may begin at the same address. */
	while (p->nodes[node].prefix_len > r->prefix_len)
		node = p->nodes[node].parent;
	return node;
}

/* The class of all addresses of a rule, or CLASS_MIXED. */
static unsigned int class_of(const struct policy *p, const struct packed_rule *r)
{
	switch ((enum policy_target)r->target) {
	case POLICY_TARGET_GROUP:
		return r->group;
	case POLICY_TARGET_PREFIX:
		return p->nodes[node_of(p, r)].class;
	case POLICY_TARGET_ANY:
	case POLICY_TARGET_NAME:
	case POLICY_TARGET_SUFFIX:
		break;
	}
	return CLASS_MIXED;
}

/* An allow rule about nothing but what policy_judge() never allows. */
static bool is_below_floor(const struct policy *p, const struct packed_rule *r)
{
	unsigned int class = class_of(p, r);

	if (r->action == POLICY_DENY)
		return false;
	if (class == ADDR_UNSPECIFIED)
		return true;
	return r->directions == POLICY_DIR_EGRESS &&
	       (class == ADDR_LOOPBACK || class == ADDR_MULTICAST ||
		   (r->target == POLICY_TARGET_PREFIX && r->prefix_len == 128 &&
		       addr_is_limited_broadcast(&r->prefix)));
}

/* The first rule of a target `any` that lets names be asked or not, by UDP and by TCP. */
static bool asks_before(const struct policy *p, uint32_t rule)
{
	struct policy_query q = {.has_port = true, .port = 53};
	uint32_t udp;

	q.proto = POLICY_UDP;
	udp = match_find(p, p->any, &q);
	q.proto = POLICY_TCP;
	return udp < rule && match_find(p, p->any, &q) < rule;
}

static uint32_t lower_of(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* The earlier rule of a kind and an action that a name record has, and that covers a rule; or RULE_NONE. */
static uint32_t record_covers(const struct policy *p, const struct name_record *r,
    enum name_kind kind, enum policy_action action, uint32_t rule)
{
	enum policy_action own = (r->flags & NAME_RECORD_ALLOW) != 0 ? POLICY_ALLOW : POLICY_DENY;
	enum name_kind own_kind = (r->flags & NAME_RECORD_SUFFIX) != 0 ? NAME_SUFFIX : NAME_EXACT;

	if ((r->flags & NAME_RECORD_NODE) != 0)
		return match_covers(p, p->names.nodes[r->ref].match[kind][action], rule);
	return own == action && own_kind == kind ? match_covers(p, r->ref, rule) : RULE_NONE;
}

/* What earlier rules about the same names, or about more, do to a rule. */
struct named_cover {
	uint32_t by[2]; /* covers it, by action */
	uint32_t asked; /* decides before it whether its names are asked */
};

static struct named_cover find_named_cover(const struct policy *p, uint32_t rule)
{
	struct named_cover c = {{RULE_NONE, RULE_NONE}, RULE_NONE};
	bool is_suffix = p->rules[rule].target == POLICY_TARGET_SUFFIX;
	const struct name_record *r;
	struct policy_rule expanded;
	struct name_walk w;
	bool is_whole;

	packed_rule_expand(p, &p->rules[rule], &expanded);
	name_walk_init(&w, &p->names, &expanded.name);
	while ((r = name_walk_next(&w, &is_whole))) {
		for (int k = is_whole && !is_suffix ? NAME_EXACT : NAME_SUFFIX; k <= NAME_SUFFIX;
		     k++) {
			enum name_kind kind = (enum name_kind)k;

			for (int a = POLICY_DENY; a <= POLICY_ALLOW; a++)
				c.by[a] = lower_of(c.by[a],
				    record_covers(p, r, kind, (enum policy_action)a, rule));
			c.asked = lower_of(c.asked, name_record_asked(p, r, kind));
		}
	}
	return c;
}

/* The earlier rule that opens most addresses for all that a rule by name would end; or RULE_NONE. */
static uint32_t find_broad(const struct policy *p, uint32_t rule)
{
	static const struct ip_addr zero;
	const struct ip_addr zeros[] = {ip_addr_v4(0), zero};
	uint32_t by = match_covers(p, p->groups[ADDR_PUBLIC], rule);

	for (size_t i = 0; i < sizeof(zeros) / sizeof(zeros[0]) && by == RULE_NONE; i++) {
		uint32_t node = place_node(policy_place(p, &zeros[i]));
		unsigned int len = ip_addr_is_v4(&zeros[i]) ? 96 : 0;

		while (node != NODE_NONE && p->nodes[node].prefix_len > len)
			node = p->nodes[node].parent;
		if (node != NODE_NONE)
			by = match_covers(p, p->nodes[node].match, rule);
	}
	return by != RULE_NONE && p->rules[by].action == POLICY_ALLOW ? by : RULE_NONE;
}

/* A rule by name: a deny needs no pin, so that no allow covers it; and names are asked whatever the protocols
 * and ports. */
static bool find_named(const struct policy *p, uint32_t rule, struct policy_warning *w)
{
	const struct packed_rule *r = &p->rules[rule];
	bool is_egress = (r->directions & POLICY_DIR_EGRESS) != 0;
	struct named_cover c = find_named_cover(p, rule);
	uint32_t any = match_covers(p, p->any, rule);

	w->kind = POLICY_WARN_COVERED;
	w->by = c.by[POLICY_DENY];
	if (r->action == POLICY_ALLOW)
		w->by = lower_of(w->by, c.by[POLICY_ALLOW]);
	if (w->by == RULE_NONE && (!is_egress || asks_before(p, rule)))
		w->by = any;
	if (w->by != RULE_NONE)
		return true;
	if (r->action == POLICY_DENY) {
		w->kind = POLICY_WARN_PINNED;
		w->by = c.by[POLICY_ALLOW];
		if (w->by == RULE_NONE) {
			w->kind = POLICY_WARN_ADDRESSES;
			w->by = find_broad(p, rule);
		}
	} else if (is_egress && c.asked < rule && p->rules[c.asked].action == POLICY_DENY) {
		w->kind = POLICY_WARN_UNASKED;
		w->by = c.asked;
	}
	return w->by != RULE_NONE;
}

/* The earlier rule that, alone or with some before it, covers a rule; or RULE_NONE. */
static uint32_t find_cover(const struct policy *p, uint32_t rule)
{
	const struct packed_rule *r = &p->rules[rule];
	unsigned int class = class_of(p, r);
	uint32_t by = match_covers(p, p->any, rule);
	uint32_t node;

	if (by == RULE_NONE && class != CLASS_MIXED)
		by = match_covers(p, p->groups[class], rule);
	if (r->target != POLICY_TARGET_PREFIX)
		return by;
	for (node = node_of(p, r); by == RULE_NONE && node != NODE_NONE;
	     node = p->nodes[node].parent)
		by = match_covers(p, p->nodes[node].match, rule);
	return by;
}

/* The warning about a rule of a layer, in the layer's numbers; false: there is none. */
static bool find_warning(const struct policy *p, uint32_t rule, struct policy_warning *w)
{
	const struct packed_rule *r = &p->rules[rule];

	*w = (struct policy_warning){.rule = rule, .kind = POLICY_WARN_COVERED};
	if (packed_rule_has_name(r)) {
		if (!find_named(p, rule, w))
			return false;
	} else if (is_below_floor(p, r)) {
		w->kind = POLICY_WARN_FLOOR;
		w->by = POLICY_RULE_FLOOR;
	} else {
		w->by = find_cover(p, rule);
	}
	if (w->by == RULE_NONE)
		return false;
	w->is_alone = w->by == POLICY_RULE_FLOOR || packed_rule_covers(p, &p->rules[w->by], r);
	return true;
}

bool policy_warning_next(
    const struct policy *p, uint32_t *cursor, struct policy_warning *ret_warning)
{
	for (; p; p = p->next) {
		uint32_t end = p->rule_base + p->own_count;

		if (*cursor < p->rule_base)
			*cursor = p->rule_base;
		while (*cursor < end) {
			if (!find_warning(p, (*cursor)++ - p->rule_base, ret_warning))
				continue;
			ret_warning->rule += p->rule_base;
			if (ret_warning->by != POLICY_RULE_FLOOR)
				ret_warning->by += p->rule_base;
			return true;
		}
	}
	return false;
}

static const char *floor_reason(unsigned int class)
{
	if (class == ADDR_UNSPECIFIED)
		return "the unspecified address is no destination";
	if (class == ADDR_LOOPBACK)
		return "loopback is never reached through a network; the host is target 'host'";
	return "multicast and broadcast never leave";
}

const char *policy_warning_text(
    const struct policy *p, const struct policy_warning *w, char *out, size_t cap)
{
	char rule_text[POLICY_RULE_TEXT_MAX];
	char by_text[POLICY_RULE_TEXT_MAX];
	struct text t = text_init(out, cap);
	uint32_t rule = w->rule;
	uint32_t by = w->by;
	const struct policy *layer = policy_layer_of(p, &rule);

	policy_rule_text(p, w->rule, rule_text, sizeof(rule_text));
	policy_rule_text(p, w->by, by_text, sizeof(by_text));
	(void)policy_layer_of(p, &by);
	if (layer->layer > 0)
		text_printf(&t, "layer %u: ", layer->layer);
	text_printf(&t, "rule %u, %s, ", rule + 1, rule_text);
	switch (w->kind) {
	case POLICY_WARN_FLOOR:
		text_printf(
		    &t, "has no effect: %s", floor_reason(class_of(layer, &layer->rules[rule])));
		break;
	case POLICY_WARN_COVERED:
		text_printf(&t, "has no effect: rule %u, %s,%s matches all that it does before",
		    by + 1, by_text, w->is_alone ? "" : " together with those before it,");
		break;
	case POLICY_WARN_PINNED:
		text_printf(&t,
		    "ends no connection to an address that its names led to: rule %u, %s, allows "
		    "these before",
		    by + 1, by_text);
		break;
	case POLICY_WARN_ADDRESSES:
		text_printf(&t,
		    "ends no connection to an address of rule %u, %s, which allows these before: "
		    "write it before that",
		    by + 1, by_text);
		break;
	case POLICY_WARN_UNASKED:
		text_printf(&t,
		    "opens nothing: its names are never asked, for rule %u, %s, denies them "
		    "before, and ports do not matter for that",
		    by + 1, by_text);
		break;
	}
	return out;
}
