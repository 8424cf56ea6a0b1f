/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the names of rules to their index.
 *
 * The rules of a name are linked while the names come in, the last of them first, and those of names that
 * have several become nodes at the end. Most names have one, of which the record tells all.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/snapshot.h"

enum {
	SHAPES_MAX = 16, /* rules that later ones are compared with */
};

struct linking {
	struct policy *policy;
	struct match_builder *matches;
	uint32_t *before; /* by rule: the rule of the same name before it, or RULE_NONE */
	uint32_t *group;  /* scratch: rules of one target */
};

static enum name_kind kind_of(const struct packed_rule *r)
{
	return r->target == POLICY_TARGET_SUFFIX ? NAME_SUFFIX : NAME_EXACT;
}

static void set_record(
    const struct policy *p, struct name_record *record, uint32_t rule, bool is_first)
{
	const struct packed_rule *r = &p->rules[rule];

	record->ref = rule;
	record->directions = r->directions;
	record->protos = r->protos;
	record->flags = is_first ? 0 : NAME_RECORD_NODE;
	if (r->target == POLICY_TARGET_SUFFIX)
		record->flags |= NAME_RECORD_SUFFIX;
	if (r->action == POLICY_ALLOW)
		record->flags |= NAME_RECORD_ALLOW;
	if (r->range_count > 1)
		record->flags |= NAME_RECORD_PORTS;
	if (r->range_count > 0) {
		record->port_first = p->ranges[r->first_range].first;
		record->port_last = p->ranges[r->first_range].last;
	}
}

/* Gives each name its record, which refers to its last rule. */
static void add_names(struct linking *l, const char *name_text)
{
	struct policy *p = l->policy;

	for (uint32_t i = 0; i < p->rule_count; i++) {
		struct packed_rule *r = &p->rules[i];
		struct name_record *record;

		if (!packed_rule_has_name(r))
			continue;
		record = name_index_add(&p->names, name_text + packed_rule_name(r), r->prefix_len);
		packed_rule_set_name(r, name_record_offset(&p->names, record), r->prefix_len);
		l->before[i] = record->ref;
		set_record(p, record, i, record->ref == RULE_NONE);
	}
}

/* Collects the rules of a name, that end at `last`, of one kind and action, or of both; returns how many. */
static size_t collect_rules(
    struct linking *l, uint32_t last, enum name_kind kind, enum policy_action action)
{
	const struct policy *p = l->policy;
	size_t n = 0;

	for (uint32_t i = last; i != RULE_NONE; i = l->before[i])
		if (kind_of(&p->rules[i]) == kind && p->rules[i].action == action)
			l->group[n++] = i;
	for (size_t i = 0; i < n / 2; i++) {
		uint32_t swapped = l->group[i];

		l->group[i] = l->group[n - 1 - i];
		l->group[n - 1 - i] = swapped;
	}
	return n;
}

static int make_node(struct linking *l, uint32_t last, struct name_node *ret_node)
{
	const struct policy *p = l->policy;

	for (int kind = 0; kind < NAME_KIND_COUNT; kind++) {
		ret_node->asked[kind] = RULE_NONE;
		for (int action = POLICY_DENY; action <= POLICY_ALLOW; action++) {
			size_t n = collect_rules(
			    l, last, (enum name_kind)kind, (enum policy_action)action);

			if (match_build(l->matches, l->group, n, &ret_node->match[kind][action]) <
			    0)
				return -ENOMEM;
			for (size_t i = 0; i < n; i++)
				if ((p->rules[l->group[i]].directions & POLICY_DIR_EGRESS) != 0 &&
				    l->group[i] < ret_node->asked[kind])
					ret_node->asked[kind] = l->group[i];
		}
	}
	return 0;
}

/* Makes nodes of the names with several rules. */
static int make_nodes(struct linking *l)
{
	struct policy *p = l->policy;
	struct name_index *x = &p->names;
	size_t cap = 0;

	for (uint32_t i = 0; x->slots && i <= x->slot_mask; i++) {
		struct name_record *record;
		struct name_node *grown;

		if (x->slots[i].record == 0)
			continue;
		record = (struct name_record *)(void *)(x->records + x->slots[i].record);
		if ((record->flags & NAME_RECORD_NODE) == 0)
			continue;
		grown = array_grow(x->nodes, &cap, x->node_count + 1U, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		x->nodes = grown;
		if (make_node(l, record->ref, &x->nodes[x->node_count]) < 0)
			return -ENOMEM;
		record->flags = NAME_RECORD_NODE;
		record->ref = x->node_count++;
	}
	return 0;
}

/* The match of all rules by name of an action. Most lists have the same ports in every rule: a rule that
 * one before it covers can be left out. */
static int make_named(struct linking *l, enum policy_action action)
{
	struct policy *p = l->policy;
	uint32_t shapes[SHAPES_MAX];
	size_t shape_count = 0;
	size_t n = 0;

	for (uint32_t i = 0; i < p->rule_count; i++) {
		const struct packed_rule *r = &p->rules[i];
		bool is_covered = false;

		if (!packed_rule_has_name(r) || r->action != action)
			continue;
		for (size_t k = 0; k < shape_count && !is_covered; k++)
			is_covered = packed_rule_covers(p, &p->rules[shapes[k]], r);
		if (is_covered)
			continue;
		l->group[n++] = i;
		if (shape_count < SHAPES_MAX)
			shapes[shape_count++] = i;
	}
	return match_build(l->matches, l->group, n, &p->named[action]);
}

int names_compile(
    struct policy *p, struct match_builder *b, const struct siphash_key *key, const char *name_text)
{
	struct linking l = {.policy = p, .matches = b};
	size_t text_bytes = 0;
	uint32_t count = 0;
	int ret = -ENOMEM;

	for (uint32_t i = 0; i < p->rule_count; i++) {
		if (!packed_rule_has_name(&p->rules[i]))
			continue;
		count++;
		text_bytes += p->rules[i].prefix_len;
	}
	p->named[POLICY_DENY] = MATCH_NONE;
	p->named[POLICY_ALLOW] = MATCH_NONE;
	if (name_index_init(&p->names, key, count, text_bytes) < 0)
		return -ENOMEM;
	if (count == 0)
		return 0;
	l.before = calloc(p->rule_count, sizeof(*l.before));
	l.group = calloc(p->rule_count, sizeof(*l.group));
	if (!l.before || !l.group)
		goto out;
	add_names(&l, name_text);
	if (make_nodes(&l) == 0 && make_named(&l, POLICY_DENY) == 0 &&
	    make_named(&l, POLICY_ALLOW) == 0)
		ret = 0;
out:
	free(l.before);
	free(l.group);
	return ret;
}
