/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key `policy`: defaults, profiles, rules. A rule is one line of the rule language (policy/rule.h), or a
 * mapping as in the reference; that is put into one line too, so that there is one reader of rules.
 *
 * A policy without profiles denies by default, in both directions (behaviours.md R7).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/name.h"
#include "base/text.h"
#include "config/load.h"
#include "config/reader_internal.h"
#include "policy/rule.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

enum {
	TARGET_MAX = NAME_TEXT_MAX + 16,
	RULE_KEYS = 5, /* of a rule as a mapping; behind them are those of an include */
	PORTS_MAX = POLICY_PORT_RANGES_MAX * 12,
	LINE_MAX_LEN = TARGET_MAX + PORTS_MAX + 64,
};

/* A rule as a mapping. */
struct rule_parts {
	int action;                       /* index of action_words; -1: none */
	int direction;                    /* of direction_words; -1: none */
	char target[TARGET_MAX];          /* "": none */
	struct config_token target_token; /* its place */
	unsigned int protos;              /* bits of proto_words; 0: any */
	char ports[PORTS_MAX];            /* "": any */
	uint32_t port_count;
	struct include include;
	bool is_wrong; /* which was told */
};

static const char *const action_words[] = {"allow", "deny"};
static const char *const direction_words[] = {"egress", "ingress", "any"};
static const char *const proto_words[] = {"tcp", "udp", "icmpv4", "icmpv6"};
static const char *const group_words[] = {
    "public", "private", "host", "loopback", "link_local", "metadata", "multicast"};

/* ---- rules into the builder ---- */

static bool add_origin(struct loading *l, struct config_place place)
{
	struct config *c = l->config;

	if (c->origin_count == c->origin_cap) {
		size_t cap = c->origin_cap > 0 ? 2 * c->origin_cap : 16;
		struct config_origin *origins = reallocarray(c->origins, cap, sizeof(*origins));

		if (!origins)
			return false;
		c->origins = origins;
		c->origin_cap = cap;
	}
	c->origins[c->origin_count++] =
	    (struct config_origin){.file = l->file_index, .place = place};
	return true;
}

/* Adds the rules of a list in the rule language, of which all are at the place. 0, or -EINVAL and *err; without
 * memory the loading fails. */
static int add_rules(
    struct loading *l, const char *text, struct config_place place, struct policy_error *err)
{
	struct rule_reader r = rule_reader_init(text);
	struct policy_rule rule;
	int ret;

	while ((ret = rule_reader_next(&r, &rule, err)) > 0) {
		ret = policy_builder_add_rule(l->config->builder, &rule, err);
		if (ret == -ENOMEM || (ret == 0 && !add_origin(l, place))) {
			load_fail(l);
			return 0;
		}
		if (ret < 0)
			break;
	}
	return ret;
}

void load_rule_text(struct loading *l)
{
	struct config_place place = l->token.place;
	struct policy_error err;

	if (add_rules(l, l->token.text, place, &err) == 0)
		return;
	if (err.column > 0 && l->token.is_exact)
		place.column = l->token.text_column + (uint32_t)err.column - 1;
	load_refuse(l, place, 1, "%s", err.text);
}

/* ---- targets ---- */

static void set_target(struct rule_parts *p, const struct config_token *t, const char *kind,
    const char *value, const char *end)
{
	struct text target = text_init(p->target, sizeof(p->target));

	text_printf(&target, "%s%s%s", kind, value, end);
	p->target_token = *t;
}

/* A name without the dots around it; dots before it were always taken away. */
static void read_name(struct loading *l, const struct load_key *key, void *ctx)
{
	struct rule_parts *p = ctx;
	struct name name;
	size_t at;
	size_t skipped;
	size_t len;
	enum name_fault fault;

	p->is_wrong = true;
	if (!load_text(l))
		return;
	skipped = strspn(l->token.text, ".");
	len = l->token.len - skipped;
	while (len > 0 && l->token.text[skipped + len - 1] == '.')
		len--;
	fault = name_read(l->token.text + skipped, len, &name, &at);
	if (fault != NAME_OK) {
		struct config_place place = l->token.place;

		if (l->token.is_exact)
			place.column = l->token.text_column + (uint32_t)(skipped + at);
		load_refuse(l, place, 1, "this is no name: %s", name_fault_text(fault));
		return;
	}
	set_target(p, &l->token, key->detail, name.text, "");
	p->is_wrong = false;
}

static bool parse_len(const char *text, unsigned int max, unsigned int *ret_len)
{
	size_t n = strlen(text);
	unsigned int v = 0;

	if (n == 0 || n > 3 || strspn(text, "0123456789") != n || (n > 1 && text[0] == '0'))
		return false;
	for (size_t i = 0; i < n; i++)
		v = v * 10 + (unsigned int)(text[i] - '0');
	*ret_len = v;
	return v <= max;
}

/* ADDRESS or ADDRESS/LENGTH; len counts in the 16-byte form. */
static bool parse_cidr(const char *text, struct ip_addr *ret_addr, unsigned int *ret_len)
{
	char addr[IP_ADDR_TEXT_MAX];
	size_t n = strcspn(text, "/");
	bool is_v6 = strchr(text, ':') != NULL;
	unsigned int max = is_v6 ? 128 : 32;
	unsigned int len = max;

	if (n >= sizeof(addr))
		return false;
	memcpy(addr, text, n);
	addr[n] = '\0';
	if (ip_addr_parse(addr, ret_addr) < 0)
		return false;
	if (text[n] == '/' && !parse_len(text + n + 1, max, &len))
		return false;
	*ret_len = is_v6 ? len : 96 + len;
	return !ip_addr_is_v4(ret_addr) || *ret_len >= 96;
}

static void read_cidr(struct loading *l, const struct load_key *key, void *ctx)
{
	struct rule_parts *p = ctx;
	char quoted[CONFIG_QUOTED_MAX];
	char text[IP_ADDR_TEXT_MAX];
	char end[8];
	struct text t = text_init(end, sizeof(end));
	struct ip_addr addr;
	struct ip_addr base;
	unsigned int len;

	(void)key;
	p->is_wrong = true;
	if (!load_text(l))
		return;
	if (!parse_cidr(l->token.text, &addr, &len)) {
		load_refuse_value(l,
		    "%s is no address and no prefix: write one like 192.0.2.0/24 or 2001:db8::/32",
		    config_quote(l->token.text, l->token.len, quoted));
		return;
	}
	base = policy_prefix_base(&addr, len);
	if (!ip_addr_eq(&base, &addr))
		load_warn(l, l->token.place, l->token.width,
		    "%s has bits set behind its prefix, which mean nothing: write %s/%u",
		    config_quote(l->token.text, l->token.len, quoted), ip_addr_format(&base, text),
		    ip_addr_is_v4(&base) ? len - 96 : len);
	text_printf(
	    &t, ip_addr_is_v4(&base) ? "/%u" : "]/%u", ip_addr_is_v4(&base) ? len - 96 : len);
	set_target(p, &l->token, ip_addr_is_v4(&base) ? "" : "[", ip_addr_format(&base, text), end);
	p->is_wrong = false;
}

static void read_group(struct loading *l, const struct load_key *key, void *ctx)
{
	struct rule_parts *p = ctx;
	struct config_token t = l->token;
	int i = load_word(l, group_words, COUNT(group_words));

	(void)key;
	p->is_wrong = p->is_wrong || i < 0;
	if (i >= 0)
		set_target(p, &t, "", group_words[i], "");
}

static void read_any(struct loading *l, const struct load_key *key, void *ctx)
{
	struct rule_parts *p = ctx;

	set_target(p, &l->token, "", "any", "");
	load_only_null(l, key, ctx);
}

static void read_destination(struct loading *l, const struct load_key *key, void *ctx)
{
	static const struct load_key keys[] = {
	    {"cidr", read_cidr, NULL},
	    {"domain", read_name, "domain="},
	    {"domain_suffix", read_name, "suffix="},
	    {"group", read_group, NULL},
	    {"any", read_any, "'any' has no value"},
	};
	struct rule_parts *p = ctx;
	struct config_token first = l->token;
	uint32_t errors = l->errors;
	uint64_t seen = 0;

	(void)key;
	if (first.kind == CONFIG_TEXT && strcmp(first.text, "any") == 0) {
		set_target(p, &first, "", "any", "");
		return;
	}
	if (first.kind != CONFIG_MAP) {
		load_refuse_value(l, "\"any\" or a mapping must stand here, as {cidr: "
				     "\"192.0.2.0/24\"} or {domain: \"example.com\"}");
		p->is_wrong = true;
		return;
	}
	(void)load_map(l, keys, COUNT(keys), p, &seen);
	if (l->errors == errors && __builtin_popcountll(seen) != 1)
		load_refuse(l, first.place, first.width,
		    "a destination is one of cidr, domain, domain_suffix, group and any: write %s",
		    seen == 0 ? "one" : "only one");
	p->is_wrong = l->errors > errors;
}

/* ---- the other parts of a rule ---- */

static void read_action(struct loading *l, const struct load_key *key, void *ctx)
{
	struct rule_parts *p = ctx;

	(void)key;
	p->action = load_word(l, action_words, COUNT(action_words));
	p->is_wrong = p->is_wrong || p->action < 0;
}

static void read_direction(struct loading *l, const struct load_key *key, void *ctx)
{
	struct rule_parts *p = ctx;

	(void)key;
	p->direction = load_word(l, direction_words, COUNT(direction_words));
	p->is_wrong = p->is_wrong || p->direction < 0;
}

static void read_proto(struct loading *l, void *ctx)
{
	struct rule_parts *p = ctx;
	int i = load_word(l, proto_words, COUNT(proto_words));

	if (i >= 0)
		p->protos |= 1U << i;
	else
		p->is_wrong = true;
}

static void read_protos(struct loading *l, const struct load_key *key, void *ctx)
{
	struct rule_parts *p = ctx;

	(void)key;
	if (!load_list(l, read_proto, ctx))
		p->is_wrong = true;
}

struct range_ends {
	uint64_t start;
	uint64_t end;
};

static void read_port(struct loading *l, const struct load_key *key, void *ctx)
{
	struct range_ends *range = ctx;

	(void)load_number(l, 1, UINT16_MAX, key->detail ? &range->end : &range->start);
}

/* {start, end}, or one number. */
static void read_range(struct loading *l, void *ctx)
{
	static const struct load_key keys[] = {
	    {"start", read_port, NULL}, {"end", read_port, "end"}};
	struct rule_parts *p = ctx;
	struct config_token first = l->token;
	struct range_ends range = {0, 0};
	uint32_t errors = l->errors;
	size_t len = strlen(p->ports);
	struct text t;

	if (first.kind == CONFIG_NUMBER) {
		(void)load_number(l, 1, UINT16_MAX, &range.start);
		range.end = range.start;
	} else {
		(void)load_map(l, keys, COUNT(keys), &range, NULL);
	}
	if (l->errors == errors && (range.start == 0 || range.end == 0))
		load_refuse(l, first.place, first.width,
		    "half a port range: write start and end, as {start: 8000, end: 8080}");
	else if (l->errors == errors && range.start > range.end)
		load_refuse(l, first.place, first.width,
		    "a port range with its end before its start: swap them");
	else if (l->errors == errors && p->port_count == POLICY_PORT_RANGES_MAX)
		load_refuse(l, first.place, first.width,
		    "more than %d port ranges in a rule: make several rules of it",
		    POLICY_PORT_RANGES_MAX);
	if (l->errors > errors) {
		p->is_wrong = true;
		return;
	}
	t = text_init(p->ports + len, sizeof(p->ports) - len);
	text_printf(
	    &t, "%s%u-%u", len > 0 ? "+" : "", (unsigned int)range.start, (unsigned int)range.end);
	p->port_count++;
}

static void read_ports(struct loading *l, const struct load_key *key, void *ctx)
{
	struct rule_parts *p = ctx;

	(void)key;
	if (!load_list(l, read_range, ctx))
		p->is_wrong = true;
}

/* Adds the rule that the parts are. */
static void add_parts(
    struct loading *l, const struct rule_parts *p, const struct config_token *rule)
{
	char line[LINE_MAX_LEN];
	struct text t = text_init(line, sizeof(line));
	struct policy_error err;
	size_t target_at;
	bool is_target;
	const char *sep = ":";

	text_printf(&t, "%s:%s@", action_words[p->action], direction_words[p->direction]);
	target_at = t.len;
	text_str(&t, p->target);
	for (size_t i = 0; i < COUNT(proto_words); i++) {
		if ((p->protos & 1U << i) == 0)
			continue;
		text_printf(&t, "%s%s", sep, proto_words[i]);
		sep = "+";
	}
	if (p->protos == 0 && p->port_count > 0)
		text_str(&t, ":any");
	if (p->port_count > 0)
		text_printf(&t, ":%s", p->ports);
	if (add_rules(l, line, rule->place, &err) == 0)
		return;
	is_target = err.column > target_at && err.column <= target_at + strlen(p->target);
	load_refuse(l, is_target ? p->target_token.place : rule->place,
	    is_target ? p->target_token.width : rule->width, "%s", err.text);
}

static void read_include(struct loading *l, const struct load_key *key, void *ctx)
{
	struct rule_parts *p = ctx;

	load_include_key(l, key, &p->include);
}

static void read_rule_map(struct loading *l)
{
	static const struct load_key keys[] = {
	    {"direction", read_direction, NULL},
	    {"destination", read_destination, NULL},
	    {"protocols", read_protos, NULL},
	    {"ports", read_ports, NULL},
	    {"action", read_action, NULL},
	    {"include", read_include, NULL},
	    {"version", read_include, "version"},
	};
	struct rule_parts p = {.action = -1, .direction = -1};
	struct config_token first = l->token;
	uint32_t errors = l->errors;
	uint64_t seen = 0;

	(void)load_map(l, keys, COUNT(keys), &p, &seen);
	if (l->token.kind == CONFIG_END || l->errors > errors || p.is_wrong)
		return;
	if (seen >> RULE_KEYS != 0 &&
	    (p.include.name[0] == '\0' || (seen & ((1U << RULE_KEYS) - 1)) != 0))
		load_refuse(l, first.place, first.width,
		    "include and version stand alone, as {include: NAME, version: 1}");
	else if (p.include.name[0] != '\0')
		load_include(l, &first, &p.include);
	else if (p.action < 0 || p.direction < 0 || p.target[0] == '\0')
		load_refuse(l, first.place, first.width, "a rule without %s: write one",
		    p.action < 0      ? "action"
		    : p.direction < 0 ? "direction"
				      : "destination");
	else
		add_parts(l, &p, &first);
}

static void read_rule(struct loading *l, void *ctx)
{
	(void)ctx;
	if (l->token.kind == CONFIG_TEXT)
		load_rule_text(l);
	else if (l->token.kind == CONFIG_MAP)
		read_rule_map(l);
	else
		load_refuse_value(l, "a rule must stand here, as \"allow@example.com:tcp:443\"");
}

/* ---- the policy ---- */

struct policy_facts {
	bool has_profile;
	bool has_default[2];
};

static void read_rules(struct loading *l, const struct load_key *key, void *ctx)
{
	(void)key;
	(void)load_list(l, read_rule, ctx);
}

static void read_profile(struct loading *l, void *ctx)
{
	struct policy_facts *facts = ctx;
	struct policy_error err;

	facts->has_profile = true;
	if (load_text(l) && policy_builder_add_profile(l->config->builder, l->token.text, &err) < 0)
		load_refuse_value(l, "%s", err.text);
}

static void read_profiles(struct loading *l, const struct load_key *key, void *ctx)
{
	(void)key;
	(void)load_list(l, read_profile, ctx);
}

static void read_default(struct loading *l, struct policy_facts *facts, enum policy_direction d)
{
	int i = load_word(l, action_words, COUNT(action_words));

	facts->has_default[d] = true;
	if (i >= 0)
		policy_builder_set_default(
		    l->config->builder, d, i == 0 ? POLICY_ALLOW : POLICY_DENY);
}

static void read_default_egress(struct loading *l, const struct load_key *key, void *ctx)
{
	(void)key;
	read_default(l, ctx, POLICY_EGRESS);
}

static void read_default_ingress(struct loading *l, const struct load_key *key, void *ctx)
{
	(void)key;
	read_default(l, ctx, POLICY_INGRESS);
}

void load_policy(struct loading *l, const struct load_key *key, void *ctx)
{
	static const struct load_key keys[] = {
	    {"default_egress", read_default_egress, NULL},
	    {"default_ingress", read_default_ingress, NULL},
	    {"rules", read_rules, NULL},
	    {"profiles", read_profiles, NULL},
	};
	struct policy_facts facts = {0};

	(void)key;
	(void)ctx;
	l->config->has_policy = true;
	if (!load_map(l, keys, COUNT(keys), &facts, NULL) || facts.has_profile)
		return;
	for (int d = POLICY_EGRESS; d <= POLICY_INGRESS; d++)
		if (!facts.has_default[d])
			policy_builder_set_default(
			    l->config->builder, (enum policy_direction)d, POLICY_DENY);
}

/* ---- names that 0.4.0 kept beside its rules ---- */

static void read_blocked_name(struct loading *l, void *ctx)
{
	const struct load_key *key = ctx;
	struct load_key with = {.detail = key->detail};
	struct rule_parts p = {.is_wrong = false};
	char line[TARGET_MAX + 8];
	struct text t = text_init(line, sizeof(line));
	struct rule_reader r;
	struct policy_rule rule;
	struct policy_error err;
	struct config_token token = l->token;

	read_name(l, &with, &p);
	if (p.is_wrong)
		return;
	text_printf(&t, "deny@%s", p.target);
	if (l->is_scan) {
		(void)add_rules(l, line, token.place, &err);
		return;
	}
	r = rule_reader_init(line);
	if (rule_reader_next(&r, &rule, &err) < 0)
		load_refuse_value(l, "%s", err.text);
}

void load_blocked(struct loading *l, const struct load_key *key, void *ctx)
{
	struct load_key copy = *key;

	(void)ctx;
	(void)load_list(l, read_blocked_name, &copy);
}
