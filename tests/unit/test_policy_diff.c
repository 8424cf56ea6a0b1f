/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Explaining and comparing policies: what is said is what judging does. The words are in
 * tests/golden/policy/explain.txt and diff.txt.
 */
#include "unit.h"

#include <stdio.h>

#include "base/text.h"
#include "policy/policy.h"
#include "policy/rule.h"

enum {
	RULES_MAX = 12,
	TEXT_MAX = 1024,
	TOLD_MAX = POLICY_CHANGES_MAX,
};

static uint64_t rng_state = 88172645463325252ULL;

static uint32_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return (uint32_t)(rng_state >> 32);
}

static const char *pick(const char *const *words, size_t count)
{
	return words[rng() % count];
}

#define PICK(words) pick(words, sizeof(words) / sizeof((words)[0]))

static void put_rules(char *out, uint32_t count)
{
	static const char *const actions[] = {"allow", "deny"};
	static const char *const directions[] = {"", "", "", ":any", ":ingress"};
	static const char *const targets[] = {"a.b", "*.a.b", "b.b", "*.b.b", "c.a.b", "*.c.a.b",
	    "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "public", "private", "any", "[2001:db8::]/32",
	    "1.2.3.0/24", "meta", "host"};
	static const char *const ports[] = {
	    "", "", "", ":tcp", ":udp", ":tcp:80", ":any:80-90+443", ":udp:53", ":any:443"};
	struct text t = text_init(out, TEXT_MAX);

	for (uint32_t i = 0; i < count; i++) {
		text_str(&t, i > 0 ? "," : "");
		text_str(&t, PICK(actions));
		text_str(&t, PICK(directions));
		text_printf(&t, "@%s", PICK(targets));
		text_str(&t, PICK(ports));
	}
	assert_false(t.is_cut);
}

static struct policy *make_policy(const char *rules, const char *floor)
{
	struct policy_builder *b = policy_builder_new();
	struct ip_addr gateway = ip_addr_v4(0x64600001);
	struct policy_error err = {.text = ""};
	struct policy *p;

	assert_non_null(b);
	if (policy_builder_add_rules(b, rules, &err) < 0)
		fail_msg("%s: %s", rules, err.text);
	policy_builder_set_default(b, POLICY_EGRESS, rng() % 4 ? POLICY_DENY : POLICY_ALLOW);
	policy_builder_set_default(b, POLICY_INGRESS, rng() % 4 ? POLICY_ALLOW : POLICY_DENY);
	if (floor) {
		struct policy_builder *l = policy_builder_add_layer(b);

		assert_non_null(l);
		assert_int_equal(policy_builder_add_rules(l, floor, &err), 0);
	}
	assert_int_equal(policy_builder_add_host(b, &gateway), 0);
	assert_int_equal(policy_builder_compile(b, &p), 0);
	policy_builder_free(b);
	return p;
}

/* Two rule texts, the second an edit of the first or another one. */
static void make_pair(char *before, char *after)
{
	uint32_t count = 1 + rng() % RULES_MAX;

	put_rules(before, count);
	if (rng() % 2) {
		put_rules(after, 1 + rng() % RULES_MAX);
	} else {
		char first[TEXT_MAX];

		put_rules(first, 1);
		assert_in_range(snprintf(after, TEXT_MAX, "%s,%s", first, before), 1, TEXT_MAX - 1);
	}
}

struct asked {
	struct name name;
	const struct name *pin;
	struct policy_query query;
};

static void make_query(struct asked *a)
{
	static const char *const addrs[] = {"10.0.0.1", "10.1.0.1", "10.1.2.3", "10.1.2.4",
	    "1.2.3.4", "1.2.4.4", "9.9.9.9", "192.168.1.1", "100.96.0.1", "169.254.169.254",
	    "2001:db8::1", "2001:db9::1", "2600::1", "127.0.0.1", "192.0.2.1"};
	static const char *const names[] = {
	    "a.b", "x.a.b", "c.a.b", "d.c.a.b", "b.b", "x.b.b", "z.z", "e.d.c.a.b", "evila.b"};
	static const uint16_t ports[] = {1, 53, 79, 80, 85, 90, 91, 443, 444, 65535};
	const char *name = PICK(names);
	struct policy_query *q = &a->query;
	uint32_t how = rng() % 4;

	assert_int_equal(name_read(name, strlen(name), &a->name, NULL), NAME_OK);
	a->pin = &a->name;
	*q = (struct policy_query){.direction = rng() % 4 ? POLICY_EGRESS : POLICY_INGRESS,
	    .has_first_flight = true,
	    .pins = &a->pin};
	assert_int_equal(ip_addr_parse(PICK(addrs), &q->addr), 0);
	q->proto = (enum policy_proto)(rng() % 3);
	if (q->proto == POLICY_ICMP4 && !ip_addr_is_v4(&q->addr))
		q->proto = POLICY_ICMP6;
	q->has_port = q->proto <= POLICY_UDP;
	q->port = ports[rng() % (sizeof(ports) / sizeof(ports[0]))];
	if (q->direction == POLICY_EGRESS) {
		q->pin_count = how == 1 || how == 3;
		q->claim = how >= 2 ? &a->name : NULL;
	}
}

struct told {
	struct policy_change changes[TOLD_MAX];
	uint32_t count;
};

static void take_change(void *ctx, const struct policy_change *change)
{
	struct told *to = ctx;

	assert_true(to->count < TOLD_MAX);
	to->changes[to->count++] = *change;
}

static bool is_same(const struct policy_verdict *a, const struct policy_verdict *b)
{
	return a->action == b->action && a->rule == b->rule && a->layer == b->layer;
}

static bool has_change(const struct told *told, const struct policy_verdict *before,
    const struct policy_verdict *after, const struct policy_query *q)
{
	unsigned int column = q->proto == POLICY_ICMP6 ? POLICY_ICMP4 : q->proto;

	for (uint32_t i = 0; i < told->count; i++) {
		const struct policy_change *c = &told->changes[i];
		bool has_port = c->range_count == 0;

		for (uint32_t k = 0; k < c->range_count; k++)
			has_port |= c->ranges[k].first <= q->port && q->port <= c->ranges[k].last;
		assert_true(c->target_count > 0);
		assert_int_equal(c->is_opened, c->after.action == POLICY_ALLOW);
		if (is_same(&c->before, before) && is_same(&c->after, after) && !c->is_asking &&
		    c->direction == q->direction && (c->protos >> column & 1) != 0 &&
		    (has_port || !q->has_port))
			return true;
	}
	return false;
}

static bool has_asking(const struct told *told, const struct policy_verdict *before,
    const struct policy_verdict *after)
{
	for (uint32_t i = 0; i < told->count; i++)
		if (told->changes[i].is_asking && is_same(&told->changes[i].before, before) &&
		    is_same(&told->changes[i].after, after))
			return true;
	return false;
}

static void check_query(const struct policy *before, const struct policy *after,
    const struct told *told, const char *before_text, const char *after_text)
{
	struct asked a;
	struct policy_verdict was;
	struct policy_verdict is;

	make_query(&a);
	was = policy_judge(before, &a.query);
	is = policy_judge(after, &a.query);
	if (was.action != is.action && !has_change(told, &was, &is, &a.query))
		fail_msg("%s\n%s\nrule %d to %d, proto %d port %u name %s pins %u claim %d: "
			 "not told",
		    before_text, after_text, (int)was.rule, (int)is.rule, (int)a.query.proto,
		    (unsigned int)a.query.port, a.name.text, a.query.pin_count,
		    a.query.claim != NULL);
	was = policy_judge_name(before, &a.name, POLICY_UDP);
	is = policy_judge_name(after, &a.name, POLICY_UDP);
	if (was.action != is.action && !has_asking(told, &was, &is))
		fail_msg("%s\n%s\nasking for %s: not told", before_text, after_text, a.name.text);
}

static void what_is_not_told_has_not_changed(void **state)
{
	static struct told told;
	char before_text[TEXT_MAX];
	char after_text[TEXT_MAX];
	char floor_text[TEXT_MAX];
	uint32_t changes = 0;

	(void)state;
	for (int round = 0; round < 60; round++) {
		struct policy *before;
		struct policy *after;
		bool is_whole;

		make_pair(before_text, after_text);
		put_rules(floor_text, 3);
		before = make_policy(before_text, NULL);
		after = make_policy(after_text, round % 3 == 0 ? floor_text : NULL);
		told.count = 0;
		assert_int_equal(policy_diff(before, after, take_change, &told, &is_whole), 0);
		assert_true(is_whole);
		for (int i = 0; i < 2000; i++)
			check_query(before, after, &told, before_text, after_text);
		changes += told.count;
		/* And nothing changes between a policy and itself. */
		told.count = 0;
		assert_int_equal(policy_diff(after, after, take_change, &told, &is_whole), 0);
		assert_int_equal(told.count, 0);
		policy_free(before);
		policy_free(after);
	}
	assert_true(changes > 100);
}

struct reasons {
	struct policy_reason all[POLICY_REASONS_MAX];
	uint32_t count;
};

static void take_reason(void *ctx, const struct policy_reason *reason)
{
	struct reasons *to = ctx;

	assert_true(to->count < POLICY_REASONS_MAX);
	to->all[to->count++] = *reason;
}

static void check_reasons(const struct policy *p, const char *rules)
{
	struct reasons reasons = {.count = 0};
	char line[2 * POLICY_RULE_TEXT_MAX];
	struct policy_verdict v;
	struct asked a;
	uint32_t first = POLICY_RULE_DEFAULT;

	make_query(&a);
	v = policy_explain(p, &a.query, take_reason, &reasons);
	assert_int_equal(reasons.count, policy_rule_count(p)); /* few enough for all */
	for (uint32_t i = 0; i < reasons.count; i++) {
		const struct policy_reason *r = &reasons.all[i];

		assert_int_equal(r->rule, i);
		assert_true(policy_reason_text(p, &a.query, r, line, sizeof(line))[0] != '\0');
		if (first == POLICY_RULE_DEFAULT &&
		    (r->miss == POLICY_MISS_NONE || r->miss == POLICY_MISS_LATER))
			first = i;
	}
	if (v.rule != POLICY_RULE_FLOOR && first != v.rule)
		fail_msg("%s: rule %d decides, %d matches first", rules, (int)v.rule, (int)first);
}

static void reasons_agree_with_verdicts(void **state)
{
	char text[TEXT_MAX];

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct policy *p;

		put_rules(text, 1 + rng() % RULES_MAX);
		p = make_policy(text, NULL);
		for (int i = 0; i < 200; i++)
			check_reasons(p, text);
		policy_free(p);
	}
}

/* However many rules there are, what is told is bounded, and what decides is told. */
static void explanations_are_bounded(void **state)
{
	struct policy_builder *b = policy_builder_new();
	struct reasons reasons = {.count = 0};
	struct policy_query q = {.proto = POLICY_TCP,
	    .has_port = true,
	    .port = 1900,
	    .addr = ip_addr_v4(0x0a000001),
	    .has_first_flight = true};
	struct policy_verdict v;
	struct policy_error err;
	struct policy *p;
	bool is_told = false;

	(void)state;
	assert_non_null(b);
	for (int i = 1; i < 2000; i++) {
		char text[64];

		(void)snprintf(
		    text, sizeof(text), "allow@10.0.0.0/8:tcp:%d,deny@n%d.example", i, i);
		assert_int_equal(policy_builder_add_rules(b, text, &err), 0);
	}
	assert_int_equal(policy_builder_compile(b, &p), 0);
	v = policy_explain(p, &q, take_reason, &reasons);
	assert_int_equal(v.action, POLICY_ALLOW);
	assert_int_equal(reasons.count, POLICY_REASONS_MAX);
	for (uint32_t i = 0; i < reasons.count; i++)
		is_told |= reasons.all[i].rule == v.rule && reasons.all[i].miss == POLICY_MISS_NONE;
	assert_true(is_told);
	policy_free(p);
	policy_builder_free(b);
}

static void count_change(void *ctx, const struct policy_change *change)
{
	(void)change;
	++*(uint32_t *)ctx;
}

/* Too much to compare all of: said, and bounded. */
static void a_comparison_that_is_not_whole_says_so(void **state)
{
	struct policy_builder *b = policy_builder_new();
	struct policy_error err;
	struct policy *before;
	struct policy *after;
	bool is_whole = true;
	uint32_t count = 0;

	(void)state;
	assert_non_null(b);
	assert_int_equal(policy_builder_compile(b, &before), 0);
	for (int i = 1; i < 3000; i++) {
		char text[80];

		(void)snprintf(text, sizeof(text),
		    "allow@n%d.example:tcp:%d,deny@11.%d.%d.0/24:udp:%d", i, i, i / 256, i % 256,
		    2 * i);
		assert_int_equal(policy_builder_add_rules(b, text, &err), 0);
	}
	assert_int_equal(policy_builder_compile(b, &after), 0);
	assert_int_equal(policy_diff(before, after, count_change, &count, &is_whole), 0);
	assert_false(is_whole);
	assert_in_range(count, 1, POLICY_CHANGES_MAX);
	policy_free(before);
	policy_free(after);
	policy_builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_not_told_has_not_changed),
	    cmocka_unit_test(reasons_agree_with_verdicts),
	    cmocka_unit_test(explanations_are_bounded),
	    cmocka_unit_test(a_comparison_that_is_not_whole_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
