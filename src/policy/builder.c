/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies before they are compiled: rules in order, profile, defaults, addresses of the host.
 *
 * A list of rules is added whole or not at all. The rules of a profile stand behind all others.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/snapshot.h"
#include "policy/words.h"

enum {
	PROFILE_PUBLIC = 1,
	PROFILE_PRIVATE = 2,
	PROFILE_HOST = 4,
	PROFILE_SET = PROFILE_PUBLIC | PROFILE_PRIVATE | PROFILE_HOST,
	PROFILE_ALL = 8,
	PROFILE_NONE = 16,
	PROFILE_RULES_MAX = 4, /* dns, public, private, host */
};

static const struct word profiles[] = {
    {"public", PROFILE_PUBLIC},
    {"private", PROFILE_PRIVATE},
    {"host", PROFILE_HOST},
    {"all", PROFILE_ALL},
    {"none", PROFILE_NONE},
};

enum {
	PROFILE_COUNT = sizeof(profiles) / sizeof(profiles[0])
};

struct policy_builder {
	struct packed_rule *rules;
	struct port_range *ranges;
	struct ip_addr *hosts;
	char *names;            /* of the rules that have one, one behind the other */
	struct siphash_key key; /* of the tables of names */
	size_t name_bytes;
	size_t name_cap;
	size_t rule_count;
	size_t rule_cap;
	size_t range_count;
	size_t range_cap;
	size_t host_count;
	size_t host_cap;

	unsigned int profile; /* PROFILE_... bits; 0: none was given */
	bool has_default[POLICY_DIRECTION_COUNT];
	enum policy_action defaults[POLICY_DIRECTION_COUNT];
	struct nat64_prefix nat64[POLICY_NAT64_MAX];
	uint32_t nat64_count;

	struct policy_builder *next; /* layer; owned */
};

struct policy_builder *policy_builder_new(void)
{
	return calloc(1, sizeof(struct policy_builder));
}

void policy_builder_free(struct policy_builder *b)
{
	while (b) {
		struct policy_builder *next = b->next;

		free(b->rules);
		free(b->ranges);
		free(b->hosts);
		free(b->names);
		free(b);
		b = next;
	}
}

struct policy_builder *policy_builder_add_layer(struct policy_builder *b)
{
	int layers = 1;

	for (; b->next; b = b->next)
		layers++;
	if (layers < POLICY_LAYERS_MAX)
		b->next = policy_builder_new();
	return layers < POLICY_LAYERS_MAX ? b->next : NULL;
}

/* Keeps the name of a rule. 0 or -ENOMEM. */
static int push_name(
    struct policy_builder *b, const struct policy_rule *rule, struct packed_rule *packed)
{
	size_t len = rule->name.len;
	char *grown;

	if (!packed_rule_has_name(packed))
		return 0;
	if (b->name_bytes + len > UINT32_MAX)
		return -ENOMEM;
	grown = array_grow(b->names, &b->name_cap, b->name_bytes + len, 1);
	if (!grown)
		return -ENOMEM;
	b->names = grown;
	memcpy(b->names + b->name_bytes, rule->name.text, len);
	packed_rule_set_name(packed, (uint32_t)b->name_bytes, (uint8_t)len);
	b->name_bytes += len;
	return 0;
}

/* Adds a rule in canonical form. 0, -EINVAL and *err, or -ENOMEM. */
static int push_rule(
    struct policy_builder *b, const struct policy_rule *rule, struct policy_error *err)
{
	struct packed_rule *rules =
	    array_grow(b->rules, &b->rule_cap, b->rule_count + 1, sizeof(*rules));
	struct port_range *ranges;
	struct packed_rule packed;

	if (!rules)
		return -ENOMEM;
	b->rules = rules;
	if (b->rule_count + PROFILE_RULES_MAX >= POLICY_RULES_MAX)
		return policy_error_set(err, 0, "more than %d rules: use fewer, or larger prefixes",
		    POLICY_RULES_MAX - PROFILE_RULES_MAX);
	ranges = array_grow(
	    b->ranges, &b->range_cap, b->range_count + rule->range_count, sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	b->ranges = ranges;
	packed = (struct packed_rule){
	    .prefix = rule->prefix,
	    .first_range = (uint32_t)b->range_count,
	    .range_count = (uint8_t)rule->range_count,
	    .prefix_len = rule->prefix_len,
	    .target = (uint8_t)rule->target,
	    .action = (uint8_t)rule->action,
	    .directions = rule->directions,
	    .group = (uint8_t)rule->group,
	    .protos = rule->protos,
	};
	if (push_name(b, rule, &packed) < 0)
		return -ENOMEM;
	memcpy(&ranges[b->range_count], rule->ranges, rule->range_count * sizeof(*ranges));
	b->range_count += rule->range_count;
	rules[b->rule_count++] = packed;
	return 0;
}

int policy_builder_add_rule(
    struct policy_builder *b, const struct policy_rule *rule, struct policy_error *err)
{
	struct policy_rule canonical = *rule;
	int ret = policy_rule_check(&canonical, err);

	return ret < 0 ? ret : push_rule(b, &canonical, err);
}

int policy_builder_add_rules(struct policy_builder *b, const char *text, struct policy_error *err)
{
	struct rule_reader r = rule_reader_init(text);
	size_t rule_count = b->rule_count;
	size_t range_count = b->range_count;
	size_t name_bytes = b->name_bytes;
	struct policy_rule rule;
	int ret;

	while ((ret = rule_reader_next(&r, &rule, err)) > 0) {
		ret = push_rule(b, &rule, err);
		if (ret < 0)
			break;
	}
	if (ret < 0) {
		b->rule_count = rule_count;
		b->range_count = range_count;
		b->name_bytes = name_bytes;
	}
	return ret;
}

/* Adds one word of a profile to *profile. */
static int add_profile_word(
    const char *text, struct span s, unsigned int *profile, struct policy_error *err)
{
	size_t column = (size_t)(s.at - text) + 1;
	const struct word *word = word_find(profiles, PROFILE_COUNT, s);
	const struct word *near = word ? NULL : word_suggest(profiles, PROFILE_COUNT, s);
	unsigned int bit = word ? (unsigned int)word->value : 0;
	char quoted[QUOTED_MAX];

	if (s.len == 0)
		return policy_error_set(err, column,
		    "empty profile: write public, private and host (one or several), all, or none");
	if (!word && near)
		return policy_error_set(err, column, "unknown profile %s: did you mean '%s'?",
		    span_quote(s, quoted), near->text);
	if (!word)
		return policy_error_set(err, column,
		    "unknown profile %s: write public, private and host (one or several), all, or "
		    "none",
		    span_quote(s, quoted));
	if ((*profile & ~bit) != 0 && ((*profile | bit) & ~(unsigned int)PROFILE_SET) != 0)
		return policy_error_set(err, column,
		    "profile '%s' beside another: 'all' and 'none' stand alone", word->text);
	*profile |= bit;
	return 0;
}

int policy_builder_add_profile(struct policy_builder *b, const char *text, struct policy_error *err)
{
	struct span s = {.at = text, .len = strlen(text)};
	unsigned int profile = b->profile;
	bool has_more = true;

	while (has_more) {
		struct span item = span_cut(s, span_until(s, ','));

		if (add_profile_word(text, item, &profile, err) < 0)
			return -EINVAL;
		has_more = item.len < s.len;
		s = span_from(s, item.len + has_more);
	}
	b->profile = profile;
	return 0;
}

void policy_builder_set_default(
    struct policy_builder *b, enum policy_direction direction, enum policy_action action)
{
	b->has_default[direction] = true;
	b->defaults[direction] = action;
}

void policy_builder_set_key(struct policy_builder *b, const struct siphash_key *key)
{
	b->key = *key;
}

void policy_builder_clear_hosts(struct policy_builder *b)
{
	b->host_count = 0;
}

int policy_builder_add_host(struct policy_builder *b, const struct ip_addr *addr)
{
	enum addr_class class = addr_class_own(addr);
	struct ip_addr *hosts;

	if (class == ADDR_UNSPECIFIED || class == ADDR_LOOPBACK || class == ADDR_MULTICAST ||
	    addr_is_limited_broadcast(addr))
		return 0;
	hosts = array_grow(b->hosts, &b->host_cap, b->host_count + 1, sizeof(*hosts));
	if (!hosts)
		return -ENOMEM;
	b->hosts = hosts;
	hosts[b->host_count++] = *addr;
	return 0;
}

int policy_builder_add_nat64(
    struct policy_builder *b, const struct ip_addr *prefix, unsigned int len)
{
	struct ip_addr base = policy_prefix_base(prefix, len);

	if (len != 96 && (len < 32 || len > 64 || len % 8 != 0))
		return -EINVAL;
	if (!ip_addr_eq(&base, prefix) || ip_addr_is_v4(prefix))
		return -EINVAL;
	if (b->nat64_count == POLICY_NAT64_MAX)
		return -ENOSPC;
	b->nat64[b->nat64_count++] = (struct nat64_prefix){.prefix = base, .len = len};
	return 0;
}

/* Appends the rules that the profile stands for. */
static void add_profile_rules(struct policy *p, unsigned int profile)
{
	static const struct {
		unsigned int bit;
		uint8_t group;
	} groups[] = {
	    {PROFILE_PUBLIC, ADDR_PUBLIC},
	    {PROFILE_PRIVATE, ADDR_PRIVATE},
	    {PROFILE_HOST, ADDR_HOST},
	};
	struct packed_rule rule = {
	    .target = POLICY_TARGET_GROUP,
	    .action = POLICY_ALLOW,
	    .directions = POLICY_DIR_EGRESS,
	};

	if ((profile & PROFILE_SET) == 0)
		return;
	rule.group = ADDR_HOST; /* allow@dns */
	rule.protos = POLICY_PROTO_HAS_PORTS;
	rule.first_range = (uint32_t)p->range_count;
	rule.range_count = 1;
	p->ranges[p->range_count++] = (struct port_range){.first = 53, .last = 53};
	p->rules[p->rule_count++] = rule;

	rule.protos = POLICY_PROTO_ANY;
	rule.range_count = 0;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if ((profile & groups[i].bit) == 0)
			continue;
		rule.group = groups[i].group;
		p->rules[p->rule_count++] = rule;
	}
}

static struct policy *new_policy(const struct policy_builder *b, unsigned int profile)
{
	struct policy *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->rules = calloc(b->rule_count + PROFILE_RULES_MAX, sizeof(*p->rules));
	p->ranges = calloc(b->range_count + 1, sizeof(*p->ranges));
	if (!p->rules || !p->ranges) {
		policy_free(p);
		return NULL;
	}
	if (b->rule_count > 0)
		memcpy(p->rules, b->rules, b->rule_count * sizeof(*p->rules));
	if (b->range_count > 0)
		memcpy(p->ranges, b->ranges, b->range_count * sizeof(*p->ranges));
	p->rule_count = (uint32_t)b->rule_count;
	p->own_count = p->rule_count;
	p->range_count = b->range_count;
	p->defaults[POLICY_EGRESS] = profile == PROFILE_ALL ? POLICY_ALLOW : POLICY_DENY;
	p->defaults[POLICY_INGRESS] = POLICY_ALLOW;
	for (int i = 0; i < POLICY_DIRECTION_COUNT; i++)
		if (b->has_default[i])
			p->defaults[i] = b->defaults[i];
	add_profile_rules(p, profile);
	return p;
}

/* Compiles one layer of the policy that `top` builds. 0 or -ENOMEM. */
static int compile_layer(
    const struct policy_builder *b, const struct policy_builder *top, struct policy **ret_policy)
{
	const struct compile_input in = {.hosts = top->hosts,
	    .host_count = top->host_count,
	    .name_text = b->names,
	    .key = &top->key};
	unsigned int profile = b->profile;
	struct policy *p;

	if (profile == 0 && b->rule_count == 0 && !b->has_default[POLICY_EGRESS])
		profile = PROFILE_PUBLIC;
	p = new_policy(b, profile);
	if (!p)
		return -ENOMEM;
	memcpy(p->nat64, top->nat64, sizeof(p->nat64));
	p->nat64_count = top->nat64_count;
	if (policy_compile(p, &in) < 0) {
		policy_free(p);
		return -ENOMEM;
	}
	*ret_policy = p;
	return 0;
}

int policy_builder_compile(const struct policy_builder *b, struct policy **ret_policy)
{
	struct policy *first = NULL;
	struct policy **end = &first;
	uint32_t rules = 0;
	uint32_t layers = 0;

	for (const struct policy_builder *l = b; l; l = l->next) {
		if (compile_layer(l, b, end) < 0) {
			policy_free(first);
			return -ENOMEM;
		}
		(*end)->layer = layers++;
		(*end)->rule_base = rules;
		rules += (*end)->rule_count;
		end = &(*end)->next;
	}
	*ret_policy = first;
	return 0;
}
