/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rule text: any text is read or refused with a sentence; what is read has a canonical text which reads
 * back as the same rule; the same rules compile, and the compiled policy tells the same texts, judges the
 * names and the addresses of its rules, explains it, and is no edit of itself.
 */
#include "fuzz.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/policy.h"
#include "policy/rule.h"

enum {
	RULES_MAX = 64, /* kept for comparison */
	DIFF_MAX = 8,   /* rules of a policy that is compared with itself */
};

static void require(bool claim)
{
	if (!claim)
		abort();
}

/* An error can be printed anywhere, and says where in the text it is. */
static void check_error(const struct policy_error *err, size_t text_len)
{
	size_t len = strnlen(err->text, sizeof(err->text));

	require(len > 0 && len < sizeof(err->text) - 1); /* not cut */
	for (size_t i = 0; i < len; i++)
		require(err->text[i] >= 0x20 && err->text[i] <= 0x7e);
	require(err->column >= 1 && err->column <= text_len + 1);
}

static bool rules_equal(const struct policy_rule *a, const struct policy_rule *b)
{
	return a->action == b->action && a->target == b->target && a->directions == b->directions &&
	       a->protos == b->protos && a->prefix_len == b->prefix_len &&
	       ip_addr_eq(&a->prefix, &b->prefix) && a->group == b->group &&
	       name_eq(&a->name, &b->name) && a->range_count == b->range_count &&
	       memcmp(a->ranges, b->ranges, a->range_count * sizeof(a->ranges[0])) == 0;
}

static void check_round_trip(const struct policy_rule *rule, const char *text)
{
	char again[POLICY_RULE_TEXT_MAX];
	struct rule_reader r = rule_reader_init(text);
	struct policy_error err;
	struct policy_rule read;

	require(strlen(text) + 1 < POLICY_RULE_TEXT_MAX); /* not cut */
	require(rule_reader_next(&r, &read, &err) == 1);
	require(rules_equal(&read, rule));
	require(strcmp(policy_rule_format(&read, again, sizeof(again)), text) == 0);
	require(rule_reader_next(&r, &read, &err) == 0);
}

static void judge_around(const struct policy *p, const struct policy_rule *rule)
{
	struct policy_query q = {.proto = POLICY_TCP, .has_port = true, .addr = rule->prefix};

	for (int i = 0; i < 4; i++) {
		struct policy_verdict v;

		q.direction = i % 2 ? POLICY_INGRESS : POLICY_EGRESS;
		q.port = i / 2 ? rule->ranges[0].first : 443;
		v = policy_judge(p, &q);
		require(v.rule < policy_rule_count(p) || v.rule == POLICY_RULE_DEFAULT ||
			v.rule == POLICY_RULE_FLOOR);
	}
}

/* No name: the rule has none. */
static void judge_name(const struct policy *p, const struct policy_rule *rule)
{
	const struct name *pin = &rule->name;
	struct policy_query q = {.proto = POLICY_TCP,
	    .has_port = true,
	    .port = 443,
	    .addr = policy_other_addr(p),
	    .pins = &pin,
	    .pin_count = 1};
	struct policy_verdict v;

	if (rule->name.len == 0)
		return;
	require(policy_judge_name(p, pin, POLICY_UDP).action != POLICY_HOLD);
	require(policy_judge_answer(p, pin, &q.addr).action == POLICY_ALLOW);
	v = policy_judge(p, &q);
	require(v.action != POLICY_HOLD || v.rule < policy_rule_count(p));
	q.claim = pin;
	v = policy_judge(p, &q);
	require(v.action != POLICY_HOLD);
	require(v.action == POLICY_DENY || v.why <= POLICY_WHY_DEFAULT);
}

struct explained {
	const struct policy *policy;
	const struct policy_query *query;
	uint32_t count;
};

static void take_reason(void *ctx, const struct policy_reason *reason)
{
	struct explained *e = ctx;
	char line[2 * POLICY_RULE_TEXT_MAX];

	e->count++;
	require(policy_reason_text(e->policy, e->query, reason, line, sizeof(line))[0] != '\0');
}

static void refuse_change(void *ctx, const struct policy_change *change)
{
	(void)ctx;
	(void)change;
	abort();
}

static void check_whole(const struct policy *p)
{
	struct policy_query q = {
	    .proto = POLICY_TCP, .has_port = true, .port = 443, .addr = policy_other_addr(p)};
	struct explained e = {.policy = p, .query = &q};
	bool is_whole;

	(void)policy_explain(p, &q, take_reason, &e);
	require(e.count <= POLICY_REASONS_MAX);
	if (policy_rule_count(p) <= DIFF_MAX)
		require(policy_diff(p, p, refuse_change, NULL, &is_whole) == 0);
}

static void check_policy(const char *text, const struct policy_rule *rules, uint32_t count)
{
	struct policy_builder *b = policy_builder_new();
	char line[3 * POLICY_RULE_TEXT_MAX];
	char want[POLICY_RULE_TEXT_MAX];
	struct policy_warning w;
	struct policy_error err;
	struct policy *p = NULL;
	uint32_t cursor = 0;

	require(b && policy_builder_add_rules(b, text, &err) == 0);
	require(policy_builder_compile(b, &p) == 0);
	require(policy_rule_count(p) >= count);
	for (uint32_t i = 0; i < count; i++) {
		require(strcmp(policy_rule_text(p, i, line, sizeof(line)),
			    policy_rule_format(&rules[i], want, sizeof(want))) == 0);
		judge_around(p, &rules[i]);
		judge_name(p, &rules[i]);
	}
	while (policy_warning_next(p, &cursor, &w))
		require(policy_warning_text(p, &w, line, sizeof(line))[0] != '\0');
	check_whole(p);
	policy_free(p);
	policy_builder_free(b);
}

static void check_profile(const char *text)
{
	struct policy_builder *b = policy_builder_new();
	struct policy_error err;

	require(b != NULL);
	if (policy_builder_add_profile(b, text, &err) < 0)
		check_error(&err, strlen(text));
	policy_builder_free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct policy_rule rules[RULES_MAX];
	char *text = malloc(size + 1);
	struct policy_error err;
	struct policy_rule rule;
	struct rule_reader r;
	uint32_t count = 0;
	int ret;

	require(text != NULL);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	r = rule_reader_init(text);
	while ((ret = rule_reader_next(&r, &rule, &err)) > 0) {
		char canonical[POLICY_RULE_TEXT_MAX];

		check_round_trip(&rule, policy_rule_format(&rule, canonical, sizeof(canonical)));
		if (count < RULES_MAX)
			rules[count++] = rule;
	}
	if (ret < 0)
		check_error(&err, strlen(text));
	else
		check_policy(text, rules, count);
	check_profile(text);
	free(text);
	return 0;
}
