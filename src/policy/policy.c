/* SPDX-License-Identifier: Apache-2.0 */
/* What a compiled policy tells about itself: its layers, its rules as text, its size. */
#include "policy/policy.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "policy/snapshot.h"

void policy_free(struct policy *p)
{
	while (p) {
		struct policy *next = p->next;

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
		p = next;
	}
}

const struct policy *policy_layer_of(const struct policy *p, uint32_t *rule)
{
	while (p && *rule - p->rule_base >= p->rule_count)
		p = p->next;
	if (p)
		*rule -= p->rule_base;
	return p;
}

uint32_t policy_rule_layer(const struct policy *p, uint32_t rule, uint32_t *ret_number)
{
	const struct policy *layer = policy_layer_of(p, &rule);

	*ret_number = rule;
	return layer ? layer->layer : 0;
}

uint32_t policy_rule_count(const struct policy *p)
{
	uint32_t count = 0;

	for (; p; p = p->next)
		count += p->rule_count;
	return count;
}

enum policy_action policy_default(const struct policy *p, enum policy_direction direction)
{
	return p->defaults[direction];
}

static size_t layer_memory(const struct policy *p)
{
	size_t places = 0;

	for (int i = 0; i < ADDR_FAMILY_COUNT; i++)
		places += range_table_memory(&p->places[i]);
	return sizeof(*p) + p->rule_count * sizeof(*p->rules) + p->rule_count / 8 + 1 +
	       p->range_count * sizeof(*p->ranges) + places + p->node_count * sizeof(*p->nodes) +
	       p->map_count * sizeof(*p->maps) + p->cell_count * sizeof(*p->cells) +
	       p->segment_count * sizeof(*p->segments) + name_index_memory(&p->names);
}

size_t policy_memory(const struct policy *p)
{
	size_t bytes = 0;

	for (; p; p = p->next)
		bytes += layer_memory(p);
	return bytes;
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
	uint32_t number = rule;
	const struct policy *layer = policy_layer_of(p, &number);
	struct policy_rule expanded;
	struct text t;

	if (layer) {
		packed_rule_expand(layer, &layer->rules[number], &expanded);
		return policy_rule_format(&expanded, out, cap);
	}
	t = text_init(out, cap);
	text_str(&t, rule == POLICY_RULE_FLOOR ? "floor" : "default");
	return out;
}
