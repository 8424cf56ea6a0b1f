/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canonical form of a rule and its text.
 *
 * Invariant: rules of equal meaning have equal text, and the text reads back as the same rule
 * (test_policy_rule: canonical_text_reads_back_as_the_same_rule; tests/fuzz/fuzz_rule.c).
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "policy/rule_parse.h"

static int compare_ranges(const void *a, const void *b)
{
	const struct port_range *x = a;
	const struct port_range *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return (x->last > y->last) - (x->last < y->last);
}

static void merge_ranges(struct policy_rule *rule)
{
	struct port_range *ranges = rule->ranges;
	uint32_t n = 0;

	if (rule->range_count == 0)
		return;
	qsort(ranges, rule->range_count, sizeof(ranges[0]), compare_ranges);
	for (uint32_t i = 1; i < rule->range_count; i++) {
		if (ranges[i].first > ranges[n].last + 1U)
			ranges[++n] = ranges[i];
		else if (ranges[i].last > ranges[n].last)
			ranges[n].last = ranges[i].last;
	}
	rule->range_count = n + 1;
}

/* A name in the form that the text of a rule can have. */
static int check_name(const struct policy_rule *rule, struct policy_error *err)
{
	const struct name *name = &rule->name;
	struct name canonical;

	if (name->len >= NAME_TEXT_MAX ||
	    name_read(name->text, name->len, &canonical, NULL) != NAME_OK ||
	    !name_eq(name, &canonical) || name->text[name->len] != '\0' ||
	    name->labels != canonical.labels)
		return policy_error_set(err, 0, "a rule has a name that is not in canonical form");
	for (size_t i = 0; i < name->len; i++)
		if (name->text[i] == '-' && (i == 0 || name->text[i - 1] == '.' ||
						i + 1U == name->len || name->text[i + 1] == '.'))
			return policy_error_set(
			    err, 0, "a label of the name begins or ends with '-'");
	if (rule->target == POLICY_TARGET_SUFFIX && name->labels < 2)
		return policy_error_set(
		    err, 0, "a whole top-level domain: name one with two labels or more");
	return 0;
}

static int check_target(const struct policy_rule *rule, struct policy_error *err)
{
	struct ip_addr base;

	switch (rule->target) {
	case POLICY_TARGET_ANY:
		return 0;
	case POLICY_TARGET_GROUP:
		if ((unsigned int)rule->group < ADDR_UNSPECIFIED)
			return 0;
		return policy_error_set(err, 0, "a rule names a class of addresses without group");
	case POLICY_TARGET_PREFIX:
		if (rule->prefix_len > 128)
			return policy_error_set(
			    err, 0, "a rule has a prefix of more than 128 bits");
		base = policy_prefix_base(&rule->prefix, rule->prefix_len);
		if (!ip_addr_eq(&base, &rule->prefix))
			return policy_error_set(
			    err, 0, "a rule has a prefix with bits set behind its length");
		return 0;
	case POLICY_TARGET_NAME:
	case POLICY_TARGET_SUFFIX:
		return check_name(rule, err);
	}
	return policy_error_set(err, 0, "a rule has an unknown kind of target");
}

int rule_settle(struct policy_rule *rule, struct policy_error *err)
{
	if (rule->directions == 0 || (rule->directions & ~POLICY_DIR_ANY) != 0)
		return policy_error_set(err, 0, "a rule needs a direction: egress, ingress or any");
	if (rule->protos == 0 || (rule->protos & ~POLICY_PROTO_ANY) != 0)
		return policy_error_set(err, 0, "a rule needs a protocol that exists");
	if (rule->directions != POLICY_DIR_EGRESS && rule->protos != POLICY_PROTO_ANY &&
	    (rule->protos & POLICY_PROTO_ICMP) != 0)
		return policy_error_set(err, 0,
		    "ICMP rules are for egress only: no echo request reaches the guest from "
		    "outside");
	if (rule->range_count > POLICY_PORT_RANGES_MAX)
		return policy_error_set(err, 0,
		    "a rule has more than %d port ranges: make several rules of it",
		    POLICY_PORT_RANGES_MAX);
	if (rule->range_count > 0) {
		rule->protos &= POLICY_PROTO_HAS_PORTS;
		if (rule->protos == 0)
			return policy_error_set(
			    err, 0, "ICMP has no ports: remove the ports, or use tcp or udp");
	}
	for (uint32_t i = 0; i < rule->range_count; i++)
		if (rule->ranges[i].first == 0 || rule->ranges[i].first > rule->ranges[i].last)
			return policy_error_set(err, 0,
			    "port range %u-%u is none: ports are 1 to 65535, the lower first",
			    (unsigned int)rule->ranges[i].first,
			    (unsigned int)rule->ranges[i].last);
	merge_ranges(rule);
	return 0;
}

int policy_rule_check(struct policy_rule *rule, struct policy_error *err)
{
	int ret = check_target(rule, err);

	return ret < 0 ? ret : rule_settle(rule, err);
}

static void put_prefix(struct text *t, const struct policy_rule *rule)
{
	char addr[IP_ADDR_TEXT_MAX];
	bool is_v4 = ip_addr_is_v4(&rule->prefix);

	text_printf(t, is_v4 ? "%s" : "[%s]", ip_addr_format(&rule->prefix, addr));
	if (rule->prefix_len < 128)
		text_printf(t, "/%d", rule->prefix_len - (is_v4 ? 96 : 0));
}

static void put_target(struct text *t, const struct policy_rule *rule)
{
	switch (rule->target) {
	case POLICY_TARGET_ANY:
		text_str(t, "any");
		break;
	case POLICY_TARGET_GROUP:
		text_str(t, addr_class_name(rule->group));
		break;
	case POLICY_TARGET_PREFIX:
		put_prefix(t, rule);
		break;
	case POLICY_TARGET_NAME:
		text_str(t, rule->name.labels < 2 ? "domain=" : "");
		text_str(t, rule->name.text);
		break;
	case POLICY_TARGET_SUFFIX:
		text_str(t, "*.");
		text_str(t, rule->name.text);
		break;
	}
}

static void put_protos(struct text *t, uint8_t protos)
{
	static const struct word names[] = {
	    {"tcp", 1 << POLICY_TCP},
	    {"udp", 1 << POLICY_UDP},
	    {"icmp", POLICY_PROTO_ICMP},
	    {"icmpv4", 1 << POLICY_ICMP4},
	    {"icmpv6", 1 << POLICY_ICMP6},
	};
	const char *sep = "";

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if ((protos & names[i].value) != names[i].value)
			continue;
		text_printf(t, "%s%s", sep, names[i].text);
		protos &= (uint8_t)~names[i].value;
		sep = "+";
	}
}

static void put_ports(struct text *t, const struct policy_rule *rule)
{
	for (uint32_t i = 0; i < rule->range_count; i++) {
		const struct port_range *r = &rule->ranges[i];

		text_char(t, i > 0 ? '+' : ':');
		text_u64(t, r->first);
		if (r->last > r->first) {
			text_char(t, '-');
			text_u64(t, r->last);
		}
	}
}

static bool is_dns(const struct policy_rule *rule)
{
	return rule->target == POLICY_TARGET_GROUP && rule->group == ADDR_HOST &&
	       rule->directions == POLICY_DIR_EGRESS && rule->protos == POLICY_PROTO_HAS_PORTS &&
	       rule->range_count == 1 && rule->ranges[0].first == 53 && rule->ranges[0].last == 53;
}

char *policy_rule_format(const struct policy_rule *rule, char *out, size_t cap)
{
	struct text t = text_init(out, cap);

	text_str(&t, rule->action == POLICY_ALLOW ? "allow" : "deny");
	if (rule->directions == POLICY_DIR_INGRESS)
		text_str(&t, ":ingress");
	else if (rule->directions == POLICY_DIR_ANY)
		text_str(&t, ":any");
	text_char(&t, '@');
	if (is_dns(rule)) {
		text_str(&t, "dns");
		return out;
	}
	put_target(&t, rule);
	if (rule->protos == POLICY_PROTO_ANY)
		return out;
	text_char(&t, ':');
	if (rule->protos == POLICY_PROTO_HAS_PORTS && rule->range_count > 0)
		text_str(&t, "any");
	else
		put_protos(&t, rule->protos);
	put_ports(&t, rule);
	return out;
}
