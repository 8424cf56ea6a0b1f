/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiles rules into the structure of snapshot.h.
 *
 * Each family by itself: the prefixes of the rules, of the registries (addr_class_table) and the
 * addresses of the host are sorted by start and length, so that one pass with a stack of the
 * prefixes that hold the present one cuts the addresses into ranges.
 * Invariants: the stack is never deeper than there are prefix lengths; IPv6 prefixes that reach over
 * the IPv4-mapped block do not hold IPv4 addresses, so `[::]/0` is about IPv6 only
 * (test_policy: an_ipv6_prefix_never_matches_ipv4).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/snapshot.h"

enum {
	STACK_MAX = 1 + 129, /* everything, and a prefix of each length */
	CLASS_NONE = 0xff,
};

/* A prefix that a rule, a registry or the host has. */
struct entry {
	struct addr_key start;
	uint32_t rule; /* or RULE_NONE */
	uint8_t len;
	uint8_t class; /* or CLASS_NONE */
};

struct level {
	struct addr_key end; /* last address */
	uint32_t node;       /* most specific node here */
	uint8_t class;
};

struct sweep {
	struct policy *policy;
	struct match_builder *matches;
	struct entry *entries; /* prefixes of the present family */
	size_t entry_count;
	struct addr_key *starts; /* its ranges so far */
	uint32_t *places;
	uint32_t place_count;
	uint32_t *group; /* scratch: rules of one target */
	struct level stack[STACK_MAX];
	size_t depth;
	size_t node_cap;
};

static int compare_keys(const struct addr_key *a, const struct addr_key *b)
{
	if (a->hi != b->hi)
		return a->hi < b->hi ? -1 : 1;
	return (a->lo > b->lo) - (a->lo < b->lo);
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a;
	const struct entry *y = b;
	int order = compare_keys(&x->start, &y->start);

	if (order != 0)
		return order;
	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return (x->rule > y->rule) - (x->rule < y->rule);
}

/* The last address of a prefix. len is that of the 16-byte form. */
static struct addr_key last_of(struct addr_key start, unsigned int len, enum addr_family family)
{
	len -= family == ADDR_IPV4 ? 96 : 0;
	if (len < 64)
		start.hi |= UINT64_MAX >> len;
	if (len <= 64)
		start.lo = UINT64_MAX;
	else if (len < 128)
		start.lo |= UINT64_MAX >> (len - 64);
	return start;
}

static struct addr_key after(struct addr_key key)
{
	key.lo++;
	key.hi += key.lo == 0;
	return key;
}

static void add_entry(
    struct sweep *s, const struct ip_addr *prefix, uint8_t len, uint32_t rule, unsigned int class)
{
	s->entries[s->entry_count++] = (struct entry){
	    .start = addr_key_of(prefix), .rule = rule, .len = len, .class = (uint8_t) class};
}

static void collect_entries(
    struct sweep *s, enum addr_family family, const struct ip_addr *hosts, size_t host_count)
{
	const struct policy *p = s->policy;

	s->entry_count = 0;
	for (uint32_t i = 0; i < p->rule_count; i++) {
		const struct packed_rule *r = &p->rules[i];

		if (r->target == POLICY_TARGET_PREFIX && addr_family_of(&r->prefix) == family)
			add_entry(s, &r->prefix, r->prefix_len, i, CLASS_NONE);
	}
	for (size_t i = 0; i < addr_class_table_len; i++) {
		const struct addr_class_prefix *c = &addr_class_table[i];

		if (addr_family_of(&c->prefix) == family)
			add_entry(s, &c->prefix, c->len, RULE_NONE, c->class);
	}
	for (size_t i = 0; i < host_count; i++)
		if (addr_family_of(&hosts[i]) == family)
			add_entry(s, &hosts[i], 128, RULE_NONE, ADDR_HOST);
	qsort(s->entries, s->entry_count, sizeof(*s->entries), compare_entries);
}

/* A range begins. One with the same place as that before it is a part of that. */
static void emit(struct sweep *s, struct addr_key start, const struct level *level)
{
	uint32_t place = (uint32_t)level->class << 28 | level->node;
	uint32_t n = s->place_count;

	if (n > 0 && compare_keys(&s->starts[n - 1], &start) == 0)
		n--;
	if (n == 0 || s->places[n - 1] != place) {
		s->starts[n] = start;
		s->places[n] = place;
		n++;
	}
	s->place_count = n;
}

/* Leaves the prefixes that end before key. */
static void leave(struct sweep *s, const struct addr_key *key)
{
	while (s->depth > 1 && compare_keys(&s->stack[s->depth - 1].end, key) < 0) {
		struct addr_key next = after(s->stack[s->depth - 1].end);

		s->depth--;
		emit(s, next, &s->stack[s->depth - 1]);
	}
}

/* Adds the node of the rules in s->group. */
static int add_node(struct sweep *s, struct policy_node node, size_t rule_count, uint32_t *ret_node)
{
	struct policy *p = s->policy;
	struct policy_node *grown =
	    array_grow(p->nodes, &s->node_cap, p->node_count + 1U, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	p->nodes = grown;
	if (match_build(s->matches, s->group, rule_count, &node.match) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < rule_count; i++) {
		const struct packed_rule *r = &p->rules[s->group[i]];

		node.directions |= r->directions;
		node.protos |= r->protos;
	}
	if (rule_count == 1 && p->rules[s->group[0]].range_count <= 1) {
		const struct packed_rule *r = &p->rules[s->group[0]];

		node.directions |= NODE_IS_PLAIN;
		node.port_first = r->range_count > 0 ? p->ranges[r->first_range].first : 0;
		node.port_last = r->range_count > 0 ? p->ranges[r->first_range].last : 0;
	}
	node.first_up = s->group[0];
	if (node.parent != NODE_NONE && p->nodes[node.parent].first_up < node.first_up)
		node.first_up = p->nodes[node.parent].first_up;
	p->nodes[p->node_count] = node;
	*ret_node = p->node_count++;
	return 0;
}

/* Enters the prefix of count equal entries. */
static int enter(struct sweep *s, enum addr_family family, const struct entry *e, size_t count)
{
	struct policy *p = s->policy;
	const struct level *outer = &s->stack[s->depth - 1];
	struct level level = {
	    .end = last_of(e->start, e->len, family), .node = outer->node, .class = outer->class};
	struct policy_node node = {.parent = outer->node, .prefix_len = e->len};
	size_t rule_count = 0;

	for (size_t i = 0; i < count; i++) {
		if (e[i].rule != RULE_NONE)
			s->group[rule_count++] = e[i].rule;
		else if (level.class != ADDR_HOST || e[i].class == ADDR_HOST)
			level.class = e[i].class;
	}
	for (size_t i = 0; i < s->depth && level.class != outer->class; i++)
		if (s->stack[i].node != NODE_NONE)
			p->nodes[s->stack[i].node].class = CLASS_MIXED;
	node.class = level.class;
	if (rule_count > 0 && add_node(s, node, rule_count, &level.node) < 0)
		return -ENOMEM;
	s->stack[s->depth++] = level;
	emit(s, e->start, &level);
	return 0;
}

static int sweep_family(
    struct sweep *s, enum addr_family family, const struct ip_addr *hosts, size_t host_count)
{
	struct addr_key last = {UINT64_MAX, UINT64_MAX};
	size_t same;

	collect_entries(s, family, hosts, host_count);
	s->stack[0] = (struct level){.end = last, .node = NODE_NONE, .class = ADDR_RESERVED};
	s->depth = 1;
	s->place_count = 0;
	for (size_t i = 0; i < s->entry_count; i += same) {
		const struct entry *e = &s->entries[i];

		for (same = 1; i + same < s->entry_count && e[same].len == e->len &&
			       compare_keys(&e[same].start, &e->start) == 0;
		     same++)
			;
		leave(s, &e->start);
		if (enter(s, family, e, same) < 0)
			return -ENOMEM;
	}
	leave(s, &last);
	return range_table_init(&s->policy->places[family], s->starts, s->places, s->place_count);
}

/* The matches of `any` and of the groups. */
static int build_groups(struct sweep *s)
{
	struct policy *p = s->policy;

	for (int class = -1; class < ADDR_CLASS_COUNT; class ++) {
		uint32_t *match = class < 0 ? &p->any : &p->groups[class];
		size_t n = 0;

		for (uint32_t i = 0; i < p->rule_count; i++) {
			const struct packed_rule *r = &p->rules[i];

			if (class < 0 ? r->target == POLICY_TARGET_ANY
				      : r->target == POLICY_TARGET_GROUP && r->group == class)
				s->group[n++] = i;
		}
		if (match_build(s->matches, s->group, n, match) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Gives back what the growing arrays have too much. */
static void *shrink(void *array, size_t count, size_t size)
{
	void *smaller = count > 0 ? reallocarray(array, count, size) : NULL;

	return smaller ? smaller : array;
}

static void shrink_all(struct policy *p)
{
	p->nodes = shrink(p->nodes, p->node_count, sizeof(*p->nodes));
	p->maps = shrink(p->maps, p->map_count, sizeof(*p->maps));
	p->cells = shrink(p->cells, p->cell_count, sizeof(*p->cells));
	p->segments = shrink(p->segments, p->segment_count, sizeof(*p->segments));
}

static int alloc_scratch(struct sweep *s, size_t host_count)
{
	size_t max = addr_class_table_len + host_count;

	for (uint32_t i = 0; i < s->policy->rule_count; i++)
		max += s->policy->rules[i].target == POLICY_TARGET_PREFIX;
	s->matches = match_builder_new(s->policy);
	s->group = calloc(s->policy->rule_count + 1U, sizeof(*s->group));
	s->entries = calloc(max, sizeof(*s->entries));
	s->starts = calloc(2 * max + 1, sizeof(*s->starts));
	s->places = calloc(2 * max + 1, sizeof(*s->places));
	return s->matches && s->group && s->entries && s->starts && s->places ? 0 : -ENOMEM;
}

int policy_compile(struct policy *p, const struct compile_input *in)
{
	struct sweep s = {.policy = p};
	int ret = -ENOMEM;

	p->allows = calloc(p->rule_count / 8 + 1U, 1);
	if (!p->allows || alloc_scratch(&s, in->host_count) < 0)
		goto out;
	for (uint32_t i = 0; i < p->rule_count; i++)
		if (p->rules[i].action == POLICY_ALLOW)
			p->allows[i / 8] |= (uint8_t)(1U << i % 8);
	for (int family = 0; family < ADDR_FAMILY_COUNT; family++)
		if (sweep_family(&s, (enum addr_family)family, in->hosts, in->host_count) < 0)
			goto out;
	if (build_groups(&s) < 0 || names_compile(p, s.matches, in->key, in->name_text) < 0)
		goto out;
	shrink_all(p);
	ret = 0;
out:
	match_builder_free(s.matches);
	free(s.group);
	free(s.entries);
	free(s.starts);
	free(s.places);
	return ret;
}
