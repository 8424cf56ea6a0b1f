/* SPDX-License-Identifier: Apache-2.0 */
/* Rules as data and as text: canonical form, round trip, suggestions. The texts themselves are in
 * tests/golden/policy/. */
#include "unit.h"

#include <errno.h>

#include "policy/rule.h"
#include "policy/words.h"

static uint32_t rng_state = 2463534242U;

static uint32_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 17;
	rng_state ^= rng_state << 5;
	return rng_state;
}

static struct policy_rule random_rule(void)
{
	struct policy_rule r = {.action = rng() % 2 ? POLICY_ALLOW : POLICY_DENY,
	    .target = (enum policy_target)(rng() % 3),
	    .directions = (uint8_t)(1 + rng() % 3),
	    .protos = (uint8_t)(1 + rng() % POLICY_PROTO_ANY)};

	if (r.target == POLICY_TARGET_GROUP) {
		r.group = (enum addr_class)(rng() % ADDR_UNSPECIFIED);
	} else if (r.target == POLICY_TARGET_PREFIX) {
		struct ip_addr a = ip_addr_v4(rng());
		unsigned int len = 96 + rng() % 33;

		if (rng() % 2) {
			for (int i = 0; i < 16; i++)
				a.b[i] = (uint8_t)(rng() % 3 ? 0 : rng());
			len = ip_addr_is_v4(&a) ? len : rng() % 129;
		}
		r.prefix = policy_prefix_base(&a, len);
		r.prefix_len = (uint8_t)len;
	}
	if (r.directions != POLICY_DIR_EGRESS && r.protos != POLICY_PROTO_ANY)
		r.protos = (uint8_t)(1 + rng() % POLICY_PROTO_HAS_PORTS);
	if ((r.protos & POLICY_PROTO_HAS_PORTS) != 0 && rng() % 2)
		r.range_count = rng() % (POLICY_PORT_RANGES_MAX + 1);
	for (uint32_t i = 0; i < r.range_count; i++) {
		uint16_t first = (uint16_t)(1 + rng() % (rng() % 2 ? 100 : 65535));
		uint32_t last = first + (rng() % 2 ? 0 : rng() % 30);

		r.ranges[i].first = first;
		r.ranges[i].last = last > UINT16_MAX ? UINT16_MAX : (uint16_t)last;
	}
	return r;
}

static bool rules_equal(const struct policy_rule *a, const struct policy_rule *b)
{
	return a->action == b->action && a->target == b->target && a->directions == b->directions &&
	       a->protos == b->protos && a->prefix_len == b->prefix_len &&
	       ip_addr_eq(&a->prefix, &b->prefix) && a->group == b->group &&
	       a->range_count == b->range_count &&
	       memcmp(a->ranges, b->ranges, a->range_count * sizeof(a->ranges[0])) == 0;
}

static void canonical_text_reads_back_as_the_same_rule(void **state)
{
	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct policy_rule rule = random_rule();
		char text[POLICY_RULE_TEXT_MAX];
		char again[POLICY_RULE_TEXT_MAX];
		struct policy_error err;
		struct policy_rule read;
		struct rule_reader r;

		if (policy_rule_check(&rule, &err) < 0)
			fail_msg("%s", err.text);
		r = rule_reader_init(policy_rule_format(&rule, text, sizeof(text)));
		if (rule_reader_next(&r, &read, &err) < 0)
			fail_msg("%s: %s", text, err.text);
		assert_int_equal(rule_reader_next(&r, &read, &err), 0);
		assert_string_equal(policy_rule_format(&read, again, sizeof(again)), text);
		assert_true(rules_equal(&rule, &read));
	}
}

static bool has_port(const struct policy_rule *r, uint32_t port)
{
	for (uint32_t i = 0; i < r->range_count; i++)
		if (r->ranges[i].first <= port && port <= r->ranges[i].last)
			return true;
	return false;
}

static void canonical_ranges_are_the_same_ports_apart_and_in_order(void **state)
{
	(void)state;
	for (int round = 0; round < 300; round++) {
		struct policy_rule before = random_rule();
		struct policy_rule after = before;
		struct policy_error err;

		assert_int_equal(policy_rule_check(&after, &err), 0);
		for (uint32_t port = 0; port <= UINT16_MAX; port += round % 7 ? 97 : 1)
			assert_int_equal(has_port(&before, port), has_port(&after, port));
		for (uint32_t i = 1; i < after.range_count; i++)
			assert_true(after.ranges[i].first > after.ranges[i - 1].last + 1);
	}
}

/* Rules that come as data have no parser before them. */
static void impossible_rules_are_refused(void **state)
{
	static const struct policy_rule good = {.action = POLICY_ALLOW,
	    .target = POLICY_TARGET_PREFIX,
	    .directions = POLICY_DIR_EGRESS,
	    .protos = POLICY_PROTO_ANY,
	    .prefix_len = 104,
	    .prefix = {{[10] = 0xff, [11] = 0xff, [12] = 10}}};
	struct policy_rule bad[13];
	struct policy_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		bad[i] = good;
	assert_int_equal(policy_rule_check(&bad[0], &err), 0);
	bad[0].prefix.b[13] = 1;
	bad[1].prefix_len = 129;
	bad[2].target = (enum policy_target)3;
	bad[3].target = POLICY_TARGET_GROUP;
	bad[3].group = ADDR_RESERVED;
	bad[4].directions = 0;
	bad[5].directions = 4;
	bad[6].protos = 0;
	bad[7].protos = 16;
	bad[8].directions = POLICY_DIR_INGRESS;
	bad[8].protos = 1 << POLICY_ICMP4;
	bad[9].range_count = POLICY_PORT_RANGES_MAX + 1;
	bad[10].range_count = 1; /* 0-0 */
	bad[11].range_count = 1;
	bad[11].ranges[0] = (struct port_range){.first = 2, .last = 1};
	bad[12].protos = POLICY_PROTO_ICMP;
	bad[12].range_count = 1;
	bad[12].ranges[0] = (struct port_range){.first = 1, .last = 1};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err.text[0] = '\0';
		if (policy_rule_check(&bad[i], &err) != -EINVAL)
			fail_msg("rule %zu", i);
		assert_int_not_equal(err.text[0], '\0');
		assert_int_equal(err.column, 0);
	}
}

/* 1.9.8: as a document of the reference may have them. */
static void ports_leave_icmp_out(void **state)
{
	struct policy_rule r = {.target = POLICY_TARGET_ANY,
	    .directions = POLICY_DIR_EGRESS,
	    .protos = 1 << POLICY_TCP | 1 << POLICY_ICMP4,
	    .range_count = 1,
	    .ranges = {{80, 80}}};
	struct policy_error err;

	(void)state;
	assert_int_equal(policy_rule_check(&r, &err), 0);
	assert_int_equal(r.protos, 1 << POLICY_TCP);
}

static void longest_rule_fits_its_buffer(void **state)
{
	struct policy_rule r = {.action = POLICY_ALLOW,
	    .target = POLICY_TARGET_PREFIX,
	    .directions = POLICY_DIR_INGRESS,
	    .protos = 1 << POLICY_TCP,
	    .prefix_len = 127,
	    .range_count = POLICY_PORT_RANGES_MAX};
	char *exact = (char *)exact_copy("", 1);
	char text[POLICY_RULE_TEXT_MAX];
	struct policy_error err;
	struct policy_rule read;
	struct rule_reader reader;

	(void)state;
	memset(r.prefix.b, 0xde, sizeof(r.prefix.b));
	for (uint32_t i = 0; i < POLICY_PORT_RANGES_MAX; i++)
		r.ranges[i] = (struct port_range){
		    .first = (uint16_t)(10000 + 10 * i), .last = (uint16_t)(10005 + 10 * i)};
	assert_int_equal(policy_rule_check(&r, &err), 0);
	reader = rule_reader_init(policy_rule_format(&r, text, sizeof(text)));
	assert_int_equal(rule_reader_next(&reader, &read, &err), 1);
	assert_true(rules_equal(&r, &read));
	assert_string_equal(policy_rule_format(&r, exact, 1), "");
	free(exact);
}

static void prefix_base_clears_what_is_behind(void **state)
{
	struct ip_addr ones;
	struct ip_addr a;

	(void)state;
	memset(ones.b, 0xff, sizeof(ones.b));
	for (unsigned int len = 0; len <= 128; len++) {
		a = policy_prefix_base(&ones, len);
		for (unsigned int bit = 0; bit < 128; bit++)
			assert_int_equal((a.b[bit / 8] >> (7 - bit % 8)) & 1, bit < len);
	}
}

static struct span span_of(const char *s)
{
	return (struct span){.at = s, .len = strlen(s)};
}

static void suggestions_are_near_and_never_far(void **state)
{
	static const struct word words[] = {{"any", 0}, {"public", 1}, {"private", 2}, {"host", 3}};
	static const char *const cases[][2] = {{"publc", "public"}, {"pbulic", "public"},
	    {"pubbliic", "public"}, {"PUBLIC", "public"}, {"privat", "private"},
	    {"prvte", "private"}, {"ani", "any"}, {"nay", "any"}, {"hst", "host"}, {"hsot", "host"},
	    {"hsto", NULL}, {"lan", NULL}, {"", NULL}, {"a", NULL}, {"pub", NULL},
	    {"publications", NULL}, {"privateprivateprivate", NULL}, {"hhosts", NULL}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct word *w = word_suggest(words, 4, span_of(cases[i][0]));

		if (!w != !cases[i][1] || (w && strcmp(w->text, cases[i][1]) != 0))
			fail_msg("%s gave %s", cases[i][0], w ? w->text : "nothing");
	}
}

/* C15: foreign text can neither leave the quotation nor control a terminal. */
static void quotations_are_short_and_printable(void **state)
{
	char quoted[QUOTED_MAX];
	char longest[200];

	(void)state;
	assert_string_equal(
	    span_quote(span_of("a\x1b[31m\n\x7f\xff"), quoted), "'a\\x1b[31m\\x0a\\x7f\\xff'");
	assert_string_equal(span_quote(span_of(""), quoted), "''");
	for (size_t len = 0; len < sizeof(longest); len++) {
		char *exact;
		struct span s;

		memset(longest, len % 2 ? 'x' : '\n', len);
		exact = (char *)exact_copy(longest, len);
		s = (struct span){.at = exact, .len = len};
		span_quote(s, quoted);
		assert_true(strlen(quoted) < QUOTED_MAX);
		assert_int_equal(quoted[strlen(quoted) - 1], '\'');
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(canonical_text_reads_back_as_the_same_rule),
	    cmocka_unit_test(canonical_ranges_are_the_same_ports_apart_and_in_order),
	    cmocka_unit_test(impossible_rules_are_refused),
	    cmocka_unit_test(ports_leave_icmp_out),
	    cmocka_unit_test(longest_rule_fits_its_buffer),
	    cmocka_unit_test(prefix_base_clears_what_is_behind),
	    cmocka_unit_test(suggestions_are_near_and_never_far),
	    cmocka_unit_test(quotations_are_short_and_printable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
