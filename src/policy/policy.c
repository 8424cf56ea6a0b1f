/* SPDX-License-Identifier: Apache-2.0 */
/* What a compiled policy tells about itself: its rules as text, its size, its useless rules. */
#include "policy/policy.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "policy/snapshot.h"

void policy_free(struct policy *p)
{
	if (!p)
		return;
	free(p->rules);
	free(p->ranges);
	free(p->allows);
	for (int i = 0; i < ADDR_FAMILY_COUNT; i++)
		range_table_fini(&p->places[i]);
	name_index_fini(&p->names);
	free(p->nodes);
	free(p->maps);
	free(p->cells);
	free(p->segments);
	free(p);
}

uint32_t policy_rule_count(const struct policy *p)
{
	return p->rule_count;
}

enum policy_action policy_default(const struct policy *p, enum policy_direction direction)
{
	return p->defaults[direction];
}

size_t policy_memory(const struct policy *p)
{
	size_t places = 0;

	for (int i = 0; i < ADDR_FAMILY_COUNT; i++)
		places += range_table_memory(&p->places[i]);
	return sizeof(*p) + p->rule_count * sizeof(*p->rules) + p->rule_count / 8 + 1 +
	       p->range_count * sizeof(*p->ranges) + places + p->node_count * sizeof(*p->nodes) +
	       p->map_count * sizeof(*p->maps) + p->cell_count * sizeof(*p->cells) +
	       p->segment_count * sizeof(*p->segments) + name_index_memory(&p->names);
}

static void expand_name(
    const struct policy *p, const struct packed_rule *packed, struct name *ret_name)
{
	const struct name_record *record = name_record_at(&p->names, packed_rule_name(packed));
	enum name_fault fault = name_read(record->text, record->len, ret_name, NULL);

	assert(fault == NAME_OK);
}

void packed_rule_expand(
    const struct policy *p, const struct packed_rule *packed, struct policy_rule *ret_rule)
{
	memset(ret_rule, 0, sizeof(*ret_rule));
	ret_rule->action = (enum policy_action)packed->action;
	ret_rule->target = (enum policy_target)packed->target;
	ret_rule->directions = packed->directions;
	ret_rule->protos = packed->protos;
	if (packed_rule_has_name(packed)) {
		expand_name(p, packed, &ret_rule->name);
	} else {
		ret_rule->prefix_len = packed->prefix_len;
		ret_rule->prefix = packed->prefix;
	}
	ret_rule->group = (enum addr_class)packed->group;
	ret_rule->range_count = packed->range_count;
	memcpy(ret_rule->ranges, &p->ranges[packed->first_range],
	    packed->range_count * sizeof(ret_rule->ranges[0]));
}

const char *policy_rule_text(const struct policy *p, uint32_t rule, char *out, size_t cap)
{
	struct policy_rule expanded;
	struct text t;

	if (rule < p->rule_count) {
		packed_rule_expand(p, &p->rules[rule], &expanded);
		return policy_rule_format(&expanded, out, cap);
	}
	t = text_init(out, cap);
	text_str(&t, rule == POLICY_RULE_FLOOR ? "floor" : "default");
	return out;
}

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

bool policy_warning_next(
    const struct policy *p, uint32_t *cursor, struct policy_warning *ret_warning)
{
	while (*cursor < p->own_count) {
		uint32_t rule = (*cursor)++;
		const struct packed_rule *r = &p->rules[rule];
		uint32_t by = is_below_floor(p, r) ? POLICY_RULE_FLOOR : find_cover(p, rule);

		if (by == RULE_NONE)
			continue;
		*ret_warning = (struct policy_warning){
		    .rule = rule,
		    .by = by,
		    .is_alone = by == POLICY_RULE_FLOOR || packed_rule_covers(p, &p->rules[by], r),
		};
		return true;
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
	char rule[POLICY_RULE_TEXT_MAX];
	char by[POLICY_RULE_TEXT_MAX];
	struct text t = text_init(out, cap);

	policy_rule_text(p, w->rule, rule, sizeof(rule));
	if (w->by == POLICY_RULE_FLOOR) {
		text_printf(&t, "rule %u, %s, has no effect: %s", w->rule + 1, rule,
		    floor_reason(class_of(p, &p->rules[w->rule])));
		return out;
	}
	policy_rule_text(p, w->by, by, sizeof(by));
	text_printf(&t,
	    "rule %u, %s, has no effect: rule %u, %s,%s matches all that it does before",
	    w->rule + 1, rule, w->by + 1, by, w->is_alone ? "" : " together with those before it,");
	return out;
}
