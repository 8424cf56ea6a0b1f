/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judging: the compiled policy against the definition (first match, rule by rule), floors, embedded
 * addresses, profiles, warnings.
 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "policy/policy.h"
#include "policy/rule.h"

enum {
	RULES_MAX = 400,
	HOSTS_MAX = 4,
};

static uint64_t rng_state = 88172645463325252ULL;

static uint32_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return (uint32_t)(rng_state >> 32);
}

static struct ip_addr addr_of(const char *text)
{
	struct ip_addr a;

	assert_int_equal(ip_addr_parse(text, &a), 0);
	return a;
}

/*
 * The definition
 */

struct naive {
	struct policy_rule rules[RULES_MAX];
	uint32_t rule_count;
	struct ip_addr hosts[HOSTS_MAX];
	size_t host_count;
	enum policy_action defaults[2];
	struct ip_addr nat64;
	unsigned int nat64_len; /* 0: none */
};

static enum addr_class naive_class(const struct naive *n, const struct ip_addr *a)
{
	for (size_t i = 0; i < n->host_count; i++)
		if (ip_addr_eq(a, &n->hosts[i]))
			return ADDR_HOST;
	return addr_class_own(a);
}

static bool naive_rule_matches(
    const struct policy_rule *r, const struct policy_query *q, enum addr_class class)
{
	if (!(r->directions & 1 << q->direction) || !(r->protos & 1 << q->proto))
		return false;
	if (r->target == POLICY_TARGET_GROUP && r->group != class)
		return false;
	if (r->target == POLICY_TARGET_PREFIX &&
	    (ip_addr_is_v4(&q->addr) != ip_addr_is_v4(&r->prefix) ||
		!ip_addr_in_prefix(&q->addr, &r->prefix, r->prefix_len)))
		return false;
	if (r->range_count == 0)
		return true;
	for (uint32_t i = 0; q->has_port && i < r->range_count; i++)
		if (r->ranges[i].first <= q->port && q->port <= r->ranges[i].last)
			return true;
	return false;
}

static struct policy_verdict naive_judge_one(const struct naive *n, struct policy_query q)
{
	enum addr_class class = naive_class(n, &q.addr);
	struct policy_verdict v = {
	    .action = POLICY_DENY, .rule = POLICY_RULE_FLOOR, .class = class};

	if (class == ADDR_UNSPECIFIED)
		return v;
	if (q.direction == POLICY_EGRESS && (class == ADDR_LOOPBACK || class == ADDR_MULTICAST ||
						addr_is_limited_broadcast(&q.addr)))
		return v;
	if (ip_addr_is_v4(&q.addr) && q.proto == POLICY_ICMP6)
		q.proto = POLICY_ICMP4;
	for (uint32_t i = 0; i < n->rule_count; i++)
		if (naive_rule_matches(&n->rules[i], &q, class))
			return (struct policy_verdict){
			    .action = n->rules[i].action, .rule = i, .class = class};
	return (struct policy_verdict){
	    .action = n->defaults[q.direction], .rule = POLICY_RULE_DEFAULT, .class = class};
}

static struct policy_verdict naive_judge(const struct naive *n, const struct policy_query *q)
{
	struct policy_verdict v = naive_judge_one(n, *q);
	struct ip_addr embedded[ADDR_EMBEDDED_MAX + 1];
	size_t count = addr_embedded(&q->addr, embedded);
	bool is_local = n->nat64_len > 0 && !ip_addr_is_v4(&q->addr) &&
			ip_addr_in_prefix(&q->addr, &n->nat64, n->nat64_len);

	if (v.action == POLICY_DENY)
		return v;
	if (is_local)
		embedded[count++] = addr_nat64_embedded(&q->addr, n->nat64_len);
	if (addr_embeds_unknown(&q->addr) && !is_local) {
		const struct policy_rule *r = v.rule < n->rule_count ? &n->rules[v.rule] : NULL;

		if (!r || r->target != POLICY_TARGET_PREFIX || r->prefix_len < 48 ||
		    !addr_embeds_unknown(&r->prefix))
			return (struct policy_verdict){
			    .action = POLICY_DENY, .rule = POLICY_RULE_FLOOR, .class = v.class};
	}
	for (size_t i = 0; i < count; i++) {
		struct policy_query inner = *q;
		struct policy_verdict inner_verdict;

		inner.addr = embedded[i];
		inner_verdict = naive_judge_one(n, inner);
		if (inner_verdict.action == POLICY_DENY)
			return inner_verdict;
	}
	return v;
}

/*
 * Random policies and queries, dense enough that rules meet
 */

static struct ip_addr random_addr(const struct naive *n)
{
	static const char *const bases[] = {"10.0.0.0", "10.1.2.3", "192.168.7.0", "8.8.8.8",
	    "8.8.0.0", "169.254.169.254", "127.0.0.1", "224.0.0.1", "0.0.0.0", "255.255.255.255",
	    "203.0.113.7", "2001:db8::", "2606:4700::1111", "2606:4700:0:1::", "fd00:ec2::254",
	    "fe80::1", "ff02::1", "::", "::1", "64:ff9b::8.8.8.8", "64:ff9b::10.1.2.3",
	    "64:ff9b:1::10.1.2.3", "2002:808:808::1", "2002:a01:203::1",
	    "2001:0:808:808::f7f7:f7f7", "fe80::5efe:8.8.8.8", "2606:4700::5efe:10.1.2.3",
	    "::8.8.8.8", "::ffff:0:8.8.8.8", "2a00:64::8.8.8.8", "2a00:64::10.1.2.3",
	    "::fffe:ffff:ffff", "::1:0:0:0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};
	struct ip_addr a = addr_of(bases[rng() % (sizeof(bases) / sizeof(bases[0]))]);
	uint32_t kind = rng() % 16;

	if (kind == 0 && n->host_count > 0)
		return n->hosts[rng() % n->host_count];
	if (kind < 3) { /* an edge of a line of the registries */
		const struct addr_class_prefix *p = &addr_class_table[rng() % addr_class_table_len];
		uint32_t which = rng();

		a = p->prefix;
		for (unsigned int bit = p->len; bit < 128 && which % 2 == 0; bit++)
			a.b[bit / 8] |= (uint8_t)(0x80U >> bit % 8);
	}
	if (kind < 8) { /* a few bits changed */
		for (uint32_t i = rng() % 3; i > 0; i--) {
			uint32_t bit = (ip_addr_is_v4(&a) ? 96 : 0) + rng() % 32 +
				       (ip_addr_is_v4(&a) ? 0 : rng() % 97);

			a.b[bit / 8] ^= (uint8_t)(0x80U >> bit % 8);
		}
	}
	return a;
}

/* One more or less: the neighbour of an edge. */
static void step_addr(struct ip_addr *a, int by)
{
	for (int i = 15; i >= 0; i--) {
		a->b[i] = (uint8_t)(a->b[i] + by);
		if (a->b[i] != (by > 0 ? 0 : 0xff))
			break;
	}
}

static uint16_t random_port(void)
{
	static const uint16_t ports[] = {1, 22, 53, 80, 81, 443, 1024, 8080, 65534, 65535};

	return (uint16_t)(ports[rng() % 10] + (rng() % 8 == 0 ? rng() % 3 : 0));
}

static void random_ranges(struct policy_rule *r)
{
	r->range_count = 1 + rng() % (rng() % 4 == 0 ? 6 : 2);
	for (uint32_t i = 0; i < r->range_count; i++) {
		uint16_t a = random_port();
		uint16_t b = rng() % 2 ? a : random_port();

		a = a > 0 ? a : 1;
		b = b > 0 ? b : 1;
		r->ranges[i] = a < b ? (struct port_range){a, b} : (struct port_range){b, a};
	}
}

static struct policy_rule random_rule(const struct naive *n)
{
	struct policy_rule r = {.action = rng() % 2 ? POLICY_ALLOW : POLICY_DENY,
	    .directions = (uint8_t)(rng() % 4 > 0 ? POLICY_DIR_EGRESS : 2 + rng() % 2),
	    .protos = POLICY_PROTO_ANY};
	uint32_t kind = rng() % 16;

	if (kind == 0) {
		r.target = POLICY_TARGET_ANY;
	} else if (kind < 4) {
		r.target = POLICY_TARGET_GROUP;
		r.group = (enum addr_class)(rng() % ADDR_UNSPECIFIED);
	} else {
		struct ip_addr a = random_addr(n);
		unsigned int len = rng() % 8 == 0 ? rng() % 129 : 128 - rng() % 40;

		r.target = POLICY_TARGET_PREFIX;
		if (ip_addr_is_v4(&a) && len < 96)
			len = 96 + rng() % 33;
		r.prefix = policy_prefix_base(&a, len);
		r.prefix_len = (uint8_t)len;
	}
	if (rng() % 3 == 0)
		r.protos = (uint8_t)(r.directions == POLICY_DIR_EGRESS
					 ? 1 + rng() % POLICY_PROTO_ANY
					 : 1 + rng() % POLICY_PROTO_HAS_PORTS);
	if (rng() % 3 == 0 && (r.protos & POLICY_PROTO_HAS_PORTS) != 0)
		random_ranges(&r);
	return r;
}

static struct policy *compile_naive(const struct naive *n)
{
	struct policy_builder *b = policy_builder_new();
	struct policy_error err;
	struct policy *p;

	assert_non_null(b);
	for (uint32_t i = 0; i < n->rule_count; i++)
		assert_int_equal(policy_builder_add_rule(b, &n->rules[i], &err), 0);
	for (size_t i = 0; i < n->host_count; i++)
		assert_int_equal(policy_builder_add_host(b, &n->hosts[i]), 0);
	if (n->nat64_len > 0)
		assert_int_equal(policy_builder_add_nat64(b, &n->nat64, n->nat64_len), 0);
	policy_builder_set_default(b, POLICY_EGRESS, n->defaults[POLICY_EGRESS]);
	policy_builder_set_default(b, POLICY_INGRESS, n->defaults[POLICY_INGRESS]);
	assert_int_equal(policy_builder_compile(b, &p), 0);
	policy_builder_free(b);
	assert_int_equal(policy_rule_count(p), n->rule_count);
	return p;
}

static struct policy_query random_query(const struct naive *n)
{
	struct policy_query q = {.direction = rng() % 4 ? POLICY_EGRESS : POLICY_INGRESS,
	    .proto = (enum policy_proto)(rng() % POLICY_PROTO_COUNT),
	    .addr = random_addr(n)};
	const struct policy_rule *r = n->rule_count > 0 ? &n->rules[rng() % n->rule_count] : NULL;

	if (r && r->target == POLICY_TARGET_PREFIX && rng() % 2 == 0) {
		uint32_t where = rng() % 5;

		q.addr = r->prefix;
		for (unsigned int bit = r->prefix_len; bit < 128; bit++)
			if (where < 2 || (where == 4 && rng() % 2))
				q.addr.b[bit / 8] |= (uint8_t)(0x80U >> bit % 8);
		if (where == 1 || where == 3)
			step_addr(&q.addr, where == 1 ? 1 : -1);
	}
	q.has_port = q.proto <= POLICY_UDP && rng() % 16 > 0;
	q.port = random_port(); /* must not matter if there is none */
	if (r && q.has_port && r->range_count > 0 && rng() % 2 == 0) {
		const struct port_range *range = &r->ranges[rng() % r->range_count];

		q.port = (uint16_t)((rng() % 2 ? range->first : range->last) + rng() % 3 - 1);
	}
	return q;
}

static void check_query(const struct naive *n, const struct policy *p, const struct policy_query *q)
{
	struct policy_verdict want = naive_judge(n, q);
	struct policy_verdict got = policy_judge(p, q);
	char addr[IP_ADDR_TEXT_MAX];
	char want_text[POLICY_RULE_TEXT_MAX];
	char got_text[POLICY_RULE_TEXT_MAX];

	if (got.action == want.action && got.rule == want.rule && got.class == want.class)
		return;
	fail_msg("%s direction %d proto %d port %d: rule %u %s, expected %u %s",
	    ip_addr_format(&q->addr, addr), q->direction, q->proto, q->has_port ? q->port : -1,
	    got.rule, policy_rule_text(p, got.rule, got_text, sizeof(got_text)), want.rule,
	    policy_rule_text(p, want.rule, want_text, sizeof(want_text)));
}

static void fill_random(struct naive *n, uint32_t rule_count)
{
	memset(n, 0, sizeof(*n));
	for (n->host_count = 0; n->host_count < rng() % (HOSTS_MAX + 1); n->host_count++) {
		struct ip_addr a = random_addr(n);
		enum addr_class class = addr_class_own(&a);

		if (class == ADDR_UNSPECIFIED || class == ADDR_LOOPBACK ||
		    class == ADDR_MULTICAST || addr_is_limited_broadcast(&a))
			break;
		n->hosts[n->host_count] = a;
	}
	n->defaults[0] = rng() % 2 ? POLICY_ALLOW : POLICY_DENY;
	n->defaults[1] = rng() % 2 ? POLICY_ALLOW : POLICY_DENY;
	if (rng() % 2) {
		n->nat64 = addr_of(rng() % 2 ? "2a00:64::" : "64:ff9b:1::");
		n->nat64_len = 96;
	}
	for (n->rule_count = 0; n->rule_count < rule_count; n->rule_count++)
		n->rules[n->rule_count] = random_rule(n);
}

static void compiled_policy_judges_like_the_rules_one_by_one(void **state)
{
	struct naive *n = malloc(sizeof(*n));
	uint32_t allowed = 0;
	uint32_t total = 0;

	(void)state;
	assert_non_null(n);
	for (int round = 0; round < 400; round++) {
		struct policy *p;

		fill_random(n, round < 50 ? (uint32_t)round % 5 : rng() % RULES_MAX);
		p = compile_naive(n);
		for (int i = 0; i < 1000; i++, total++) {
			struct policy_query q = random_query(n);

			check_query(n, p, &q);
			allowed += policy_judge(p, &q).action == POLICY_ALLOW;
		}
		policy_free(p);
	}
	assert_true(allowed > total / 8 && allowed < total * 7 / 8);
	free(n);
}

/* Every prefix length of both families, each with ports of its own, in random order of the rules. */
static void nested_prefixes_of_every_length_judge_like_the_rules(void **state)
{
	static const char *const inner[] = {"192.0.3.77", "2606:4700:1234:5678:9abc:def0:1357:9bdf",
	    "::ffff:0:1:0", "64:ff9b:1:2:3:4:506:708"};
	struct naive *n = malloc(sizeof(*n));

	(void)state;
	assert_non_null(n);
	for (uint32_t round = 0; round < 24; round++) {
		struct ip_addr a = addr_of(inner[round % 4]);
		struct policy *p;

		fill_random(n, 0);
		for (unsigned int len = ip_addr_is_v4(&a) ? 96 : 0; len <= 128; len++) {
			for (uint32_t k = rng() % 4; k > 0; k--) {
				struct policy_rule r = random_rule(n);

				r.target = POLICY_TARGET_PREFIX;
				r.prefix = policy_prefix_base(&a, len);
				r.prefix_len = (uint8_t)len;
				if (n->rule_count < RULES_MAX)
					n->rules[n->rule_count++] = r;
			}
		}
		for (uint32_t i = n->rule_count; i > 1; i--) {
			uint32_t k = rng() % i;
			struct policy_rule swap = n->rules[k];

			n->rules[k] = n->rules[i - 1];
			n->rules[i - 1] = swap;
		}
		p = compile_naive(n);
		for (int i = 0; i < 4000; i++) {
			struct policy_query q = random_query(n);

			if (rng() % 2) {
				uint32_t bit = rng() % 128;

				q.addr = a;
				if (rng() % 4 > 0)
					q.addr.b[bit / 8] ^= (uint8_t)(0x80U >> bit % 8);
			}
			check_query(n, p, &q);
		}
		policy_free(p);
	}
	free(n);
}

/* One target with thousands of port rules that overlap. */
static void many_port_rules_of_one_target_judge_like_the_rules(void **state)
{
	struct naive *n = malloc(sizeof(*n));

	(void)state;
	assert_non_null(n);
	for (int round = 0; round < 10; round++) {
		struct policy *p;

		fill_random(n, 0);
		for (n->rule_count = 0; n->rule_count < RULES_MAX; n->rule_count++) {
			uint16_t first = (uint16_t)(1 + rng() % 2000);
			struct policy_rule r = {.action = rng() % 2 ? POLICY_ALLOW : POLICY_DENY,
			    .directions = POLICY_DIR_ANY,
			    .protos = rng() % 2 ? POLICY_PROTO_HAS_PORTS : 1 << POLICY_TCP,
			    .target = POLICY_TARGET_ANY,
			    .range_count = 1};

			r.ranges[0].first = first;
			r.ranges[0].last = (uint16_t)(first + rng() % 50);
			n->rules[n->rule_count] = r;
		}
		p = compile_naive(n);
		for (uint32_t port = 0; port <= 2100; port++) {
			struct policy_query q = {.direction = POLICY_EGRESS,
			    .proto = port % 2 ? POLICY_TCP : POLICY_UDP,
			    .has_port = true,
			    .port = (uint16_t)port,
			    .addr = addr_of("8.8.8.8")};

			check_query(n, p, &q);
			q.proto = q.proto == POLICY_TCP ? POLICY_UDP : POLICY_TCP;
			check_query(n, p, &q);
		}
		policy_free(p);
	}
	free(n);
}

/*
 * Policies as text
 */

static struct policy *policy_of(const char *profile, const char *rules)
{
	static const char *const hosts[] = {"100.96.0.1", "fd42:6d73:62::1", "fe80::1"};
	struct policy_builder *b = policy_builder_new();
	struct policy_error err;
	struct policy *p;

	assert_non_null(b);
	if (rules && policy_builder_add_rules(b, rules, &err) < 0)
		fail_msg("%s: %zu: %s", rules, err.column, err.text);
	if (profile && policy_builder_add_profile(b, profile, &err) < 0)
		fail_msg("%s: %zu: %s", profile, err.column, err.text);
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		struct ip_addr a = addr_of(hosts[i]);

		assert_int_equal(policy_builder_add_host(b, &a), 0);
	}
	assert_int_equal(policy_builder_compile(b, &p), 0);
	policy_builder_free(b);
	return p;
}

static struct policy_verdict judge_tcp(
    const struct policy *p, enum policy_direction direction, const char *addr, uint16_t port)
{
	struct policy_query q = {.direction = direction,
	    .proto = POLICY_TCP,
	    .has_port = true,
	    .port = port,
	    .addr = addr_of(addr)};

	return policy_judge(p, &q);
}

static bool allows(const struct policy *p, const char *addr, uint16_t port)
{
	return judge_tcp(p, POLICY_EGRESS, addr, port).action == POLICY_ALLOW;
}

static bool allows_proto(const struct policy *p, const char *addr, enum policy_proto proto)
{
	struct policy_query q = {.direction = POLICY_EGRESS, .proto = proto, .addr = addr_of(addr)};

	return policy_judge(p, &q).action == POLICY_ALLOW;
}

static void the_default_is_the_public_internet_and_dns(void **state)
{
	struct policy *p = policy_of(NULL, NULL);
	char text[POLICY_RULE_TEXT_MAX];

	(void)state;
	assert_int_equal(policy_rule_count(p), 2);
	assert_string_equal(policy_rule_text(p, 0, text, sizeof(text)), "allow@dns");
	assert_string_equal(policy_rule_text(p, 1, text, sizeof(text)), "allow@public");
	assert_true(allows(p, "8.8.8.8", 443));
	assert_true(allows(p, "2606:4700::1111", 443));
	assert_true(allows(p, "100.96.0.1", 53));
	assert_false(allows(p, "100.96.0.1", 80)); /* the host: A11 */
	assert_false(allows_proto(p, "100.96.0.1", POLICY_ICMP4));
	assert_true(allows_proto(p, "8.8.8.8", POLICY_ICMP4));
	assert_false(allows(p, "192.168.1.1", 80)); /* N21 */
	assert_false(allows(p, "169.254.169.254", 80));
	assert_false(allows(p, "203.0.113.1", 80)); /* N18 */
	assert_int_equal(judge_tcp(p, POLICY_INGRESS, "127.0.0.1", 80).action, POLICY_ALLOW);
	policy_free(p);
}

static void profiles_are_sets_with_one_order(void **state)
{
	static const struct {
		const char *profile;
		const char *rules;
	} cases[] = {
	    {"public", "allow@dns allow@public "},
	    {"host", "allow@dns allow@host "},
	    {"host,private,public", "allow@dns allow@public allow@private allow@host "},
	    {"private,private", "allow@dns allow@private "},
	    {"none", ""},
	    {"all", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct policy *p = policy_of(cases[i].profile, NULL);
		bool is_all = strcmp(cases[i].profile, "all") == 0;
		char rules[200];
		struct text all = text_init(rules, sizeof(rules));
		char text[POLICY_RULE_TEXT_MAX];

		for (uint32_t k = 0; k < policy_rule_count(p); k++) {
			text_printf(&all, "%s ", policy_rule_text(p, k, text, sizeof(text)));
		}
		assert_string_equal(rules, cases[i].rules);
		assert_int_equal(
		    policy_default(p, POLICY_EGRESS), is_all ? POLICY_ALLOW : POLICY_DENY);
		assert_int_equal(policy_default(p, POLICY_INGRESS), POLICY_ALLOW);
		policy_free(p);
	}
}

static void explicit_rules_come_before_the_profile(void **state)
{
	struct policy *p = policy_of("public", "deny@8.8.8.8,allow@private:tcp:22");

	(void)state;
	assert_false(allows(p, "8.8.8.8", 443));
	assert_int_equal(judge_tcp(p, POLICY_EGRESS, "8.8.8.8", 443).rule, 0);
	assert_true(allows(p, "8.8.4.4", 443));
	assert_int_equal(judge_tcp(p, POLICY_EGRESS, "8.8.4.4", 443).rule, 3);
	assert_true(allows(p, "10.0.0.1", 22));
	assert_false(allows(p, "10.0.0.1", 23));
	policy_free(p);
}

/* C1: an empty list is not "everything". */
static void rules_without_profile_start_from_denial(void **state)
{
	struct policy *p = policy_of(NULL, "allow@203.0.113.0/24:tcp:80");

	(void)state;
	assert_int_equal(policy_rule_count(p), 1);
	assert_true(allows(p, "203.0.113.7", 80));
	assert_false(allows(p, "8.8.8.8", 80));
	assert_false(allows(p, "100.96.0.1", 53));
	policy_free(p);
}

static void a_default_that_was_set_wins(void **state)
{
	struct policy_builder *b = policy_builder_new();
	struct policy_error err;
	struct policy *p;

	(void)state;
	assert_int_equal(policy_builder_add_profile(b, "all", &err), 0);
	policy_builder_set_default(b, POLICY_EGRESS, POLICY_DENY);
	policy_builder_set_default(b, POLICY_INGRESS, POLICY_DENY);
	assert_int_equal(policy_builder_compile(b, &p), 0);
	assert_false(allows(p, "8.8.8.8", 80));
	assert_int_equal(judge_tcp(p, POLICY_INGRESS, "8.8.8.8", 80).action, POLICY_DENY);
	policy_free(p);
	policy_builder_free(b);

	/* A default for egress is enough said: no profile is added to it. */
	b = policy_builder_new();
	policy_builder_set_default(b, POLICY_EGRESS, POLICY_DENY);
	assert_int_equal(policy_builder_compile(b, &p), 0);
	assert_int_equal(policy_rule_count(p), 0);
	policy_free(p);
	policy_builder_free(b);

	/* One for ingress is not: the guest keeps its internet. */
	b = policy_builder_new();
	policy_builder_set_default(b, POLICY_INGRESS, POLICY_DENY);
	assert_int_equal(policy_builder_compile(b, &p), 0);
	assert_int_equal(policy_rule_count(p), 2);
	policy_free(p);
	policy_builder_free(b);
}

/* N13, D7, P14: whatever the rules say. */
static void nothing_opens_the_floor(void **state)
{
	static const char *const floor[] = {"0.0.0.0", "0.1.2.3", "::", "127.0.0.1", "127.9.9.9",
	    "::1", "224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1", "255.255.255.255",
	    "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::1",
	    "64:ff9b::255.255.255.255", "fe80::5efe:0.0.0.0", "64:ff9b:1::8.8.8.8"};
	struct policy *p = policy_of("all",
	    "allow:any@0.0.0.0/0,allow:any@[::]/0,allow:any@any,allow:any@loopback,"
	    "allow:any@multicast,allow:any@255.255.255.255,allow@[::1],allow@127.0.0.1,"
	    "allow@[64:ff9b::]/32");

	(void)state;
	for (size_t i = 0; i < sizeof(floor) / sizeof(floor[0]); i++) {
		struct policy_verdict v = judge_tcp(p, POLICY_EGRESS, floor[i], 80);

		if (v.action != POLICY_DENY || v.rule != POLICY_RULE_FLOOR)
			fail_msg("%s: rule %u", floor[i], v.rule);
	}
	assert_int_equal(judge_tcp(p, POLICY_INGRESS, "0.0.0.0", 80).rule, POLICY_RULE_FLOOR);
	assert_int_equal(judge_tcp(p, POLICY_INGRESS, "::", 80).rule, POLICY_RULE_FLOOR);
	assert_int_equal(judge_tcp(p, POLICY_INGRESS, "127.0.0.1", 80).action, POLICY_ALLOW);
	assert_int_equal(judge_tcp(p, POLICY_INGRESS, "::1", 80).action, POLICY_ALLOW);
	policy_free(p);
}

static void the_loopback_group_is_for_ingress_peers(void **state)
{
	struct policy *p = policy_of("none", "deny:ingress@loopback:tcp:22,deny:ingress@private");

	(void)state;
	assert_int_equal(judge_tcp(p, POLICY_INGRESS, "127.0.0.1", 22).rule, 0);
	assert_int_equal(judge_tcp(p, POLICY_INGRESS, "::1", 22).rule, 0);
	assert_int_equal(judge_tcp(p, POLICY_INGRESS, "::1", 23).action, POLICY_ALLOW);
	assert_int_equal(judge_tcp(p, POLICY_INGRESS, "192.168.1.1", 23).rule, 1);
	policy_free(p);
}

/* N16: a prefix over a special block does not reach what the floor or a group rule holds. */
static void broad_prefixes_do_not_open_blocked_ranges(void **state)
{
	struct policy *p = policy_of("none", "deny@private,deny@metadata,allow@0.0.0.0/0");

	(void)state;
	assert_true(allows(p, "11.0.0.1", 80));
	assert_false(allows(p, "10.0.0.1", 80));
	assert_false(allows(p, "169.254.169.254", 80));
	assert_false(allows(p, "127.0.0.1", 80));
	policy_free(p);
}

static void an_ipv6_prefix_never_matches_ipv4(void **state)
{
	struct policy *p = policy_of(
	    "none", "allow@[::]/0,allow@[::]/64,allow@[::fffe:0:0]/95,allow@[::8000:0:0]/81");

	(void)state;
	assert_true(allows(p, "2606:4700::1111", 80));
	assert_false(allows(p, "8.8.8.8", 80));
	assert_false(allows(p, "::ffff:8.8.8.8", 80));
	/* ... and what embeds IPv4 is allowed only if that is. */
	assert_false(allows(p, "64:ff9b::8.8.8.8", 80));
	policy_free(p);

	p = policy_of("none", "allow@0.0.0.0/0");
	assert_true(allows(p, "8.8.8.8", 80));
	assert_false(allows(p, "2606:4700::1111", 80));
	assert_false(allows(p, "::1:0:0:0", 80)); /* first address behind the IPv4-mapped */
	policy_free(p);
}

/* N14, N15: never wider than what is embedded. */
static void embedded_addresses_must_be_allowed_too(void **state)
{
	static const char *const no[] = {"64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254",
	    "64:ff9b::100.96.0.1", "64:ff9b::203.0.113.1", "2606:4700::5efe:192.168.0.1",
	    "2002:808:808::1", "2001:0:808:808::f7f7:f7f7", "::8.8.8.8", "::ffff:0:8.8.8.8",
	    "64:ff9b:1::8.8.8.8", "::ffff:10.0.0.1"};
	struct policy *p = policy_of("public", NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (allows(p, no[i], 80))
			fail_msg("%s is allowed", no[i]);
	assert_true(allows(p, "64:ff9b::8.8.8.8", 80));
	assert_true(allows(p, "2606:4700::5efe:8.8.8.8", 80));
	assert_true(allows(p, "::ffff:8.8.8.8", 80));
	assert_int_equal(judge_tcp(p, POLICY_EGRESS, "64:ff9b::10.0.0.1", 80).class, ADDR_PRIVATE);
	assert_int_equal(judge_tcp(p, POLICY_EGRESS, "64:ff9b::100.96.0.1", 80).class, ADDR_HOST);
	policy_free(p);

	/* A denial of the embedded address holds under `any` too; ports are looked at. */
	p = policy_of("all", "deny@8.8.8.8:tcp:80");
	assert_false(allows(p, "64:ff9b::8.8.8.8", 80));
	assert_false(allows(p, "2002:808:808::1", 80));
	assert_false(allows(p, "2001:0:808:808::fefe:fefe", 80));
	assert_false(allows(p, "2001:0:101:101::f7f7:f7f7", 80));
	assert_true(allows(p, "2002:808:808::1", 81));
	assert_true(allows(p, "2001:0:101:101::fefe:fefe", 80));
	policy_free(p);

	/* Allowed twice: by the prefix of the form, and as the embedded address. */
	p = policy_of("none", "allow@[2002::]/16,allow@8.8.8.0/24");
	assert_true(allows(p, "2002:808:808::1", 80));
	assert_false(allows(p, "2002:808:909::1", 80));
	assert_false(allows(p, "64:ff9b::8.8.8.8", 80));
	policy_free(p);
}

static void icmpv6_to_an_embedded_address_is_icmp_of_ipv4(void **state)
{
	struct policy *p = policy_of("all", "deny@private:icmpv4");

	(void)state;
	assert_false(allows_proto(p, "64:ff9b::10.0.0.1", POLICY_ICMP6));
	assert_true(allows_proto(p, "64:ff9b::8.8.8.8", POLICY_ICMP6));
	assert_false(allows_proto(p, "::ffff:10.0.0.1", POLICY_ICMP6));
	assert_true(allows_proto(p, "fd00::1", POLICY_ICMP6));
	policy_free(p);
}

static void the_local_translation_prefix_needs_a_rule_of_its_own(void **state)
{
	struct policy *p = policy_of("all", "allow@[64:ff9b:1:2::]/64,allow@[64:ff9b::]/32");

	(void)state;
	assert_true(allows(p, "64:ff9b:1:2::10.0.0.1", 80));
	assert_false(allows(p, "64:ff9b:1:3::10.0.0.1", 80));
	assert_false(allows(p, "64:ff9b:1:3::8.8.8.8", 80));
	policy_free(p);
}

static void a_known_translation_prefix_is_read(void **state)
{
	static const unsigned int bad[] = {0, 24, 33, 72, 95, 97, 128};
	struct policy_builder *b = policy_builder_new();
	struct ip_addr prefix = addr_of("64:ff9b:1:2::");
	struct ip_addr other = addr_of("2a00:64::");
	struct ip_addr v4 = addr_of("10.0.0.0");
	struct policy_error err;
	struct policy *p;

	(void)state;
	assert_int_equal(policy_builder_add_rules(b, "deny@private,allow@any", &err), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(policy_builder_add_nat64(b, &other, bad[i]), -EINVAL);
	assert_int_equal(policy_builder_add_nat64(b, &prefix, 48), -EINVAL); /* host bits */
	assert_int_equal(policy_builder_add_nat64(b, &v4, 96), -EINVAL);
	assert_int_equal(policy_builder_add_nat64(b, &prefix, 64), 0);
	assert_int_equal(policy_builder_add_nat64(b, &other, 96), 0);
	assert_int_equal(policy_builder_add_nat64(b, &other, 64), 0);
	assert_int_equal(policy_builder_add_nat64(b, &other, 56), 0);
	assert_int_equal(policy_builder_add_nat64(b, &other, 48), -ENOSPC);
	assert_int_equal(policy_builder_compile(b, &p), 0);
	/* 10.0.0.1 and 8.8.8.8 under a /64 */
	assert_false(allows(p, "64:ff9b:1:2:a:0:100:0", 80));
	assert_true(allows(p, "64:ff9b:1:2:8:808:800:0", 80));
	assert_false(allows(p, "64:ff9b:1:3:8:808:800:0", 80));
	policy_free(p);
	policy_builder_free(b);
}

/* B20, B21, B22, 1.9.4: the gateway's addresses are `host` and nothing else. */
static void host_is_a_group_of_its_own(void **state)
{
	struct policy *p = policy_of("none", "allow@private,allow@link_local,allow@host:tcp:8080");

	(void)state;
	assert_true(allows(p, "100.96.0.2", 80));
	assert_true(allows(p, "fe80::2", 80));
	assert_false(allows(p, "100.96.0.1", 80));
	assert_false(allows(p, "fd42:6d73:62::1", 80));
	assert_false(allows(p, "fe80::1", 80));
	assert_true(allows(p, "fe80::1", 8080));
	policy_free(p);

	p = policy_of("all", "deny@host");
	assert_false(allows(p, "100.96.0.1", 80));
	assert_true(allows(p, "8.8.8.8", 80));
	policy_free(p);

	p = policy_of("all", "deny@100.96.0.0/30");
	assert_false(allows(p, "100.96.0.1", 80));
	policy_free(p);
}

/* N19: a list of all addresses of the host has its loopback addresses too. */
static void addresses_of_the_floor_do_not_become_host(void **state)
{
	static const char *const addrs[] = {
	    "127.0.0.1", "::1", "0.0.0.0", "ff02::1", "255.255.255.255", "203.0.113.9"};
	struct policy_builder *b = policy_builder_new();
	struct policy_error err;
	struct policy *p;

	(void)state;
	for (size_t i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++) {
		struct ip_addr a = addr_of(addrs[i]);

		assert_int_equal(policy_builder_add_host(b, &a), 0);
	}
	assert_int_equal(policy_builder_add_rules(b, "allow:any@host", &err), 0);
	assert_int_equal(policy_builder_compile(b, &p), 0);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(judge_tcp(p, POLICY_EGRESS, addrs[i], 80).rule, POLICY_RULE_FLOOR);
	assert_true(allows(p, "203.0.113.9", 80));
	policy_free(p);
	policy_builder_free(b);
}

/* 1.9.4: host comes before metadata, also where both mean one address. */
static void host_comes_before_every_other_group(void **state)
{
	static const char *const addrs[] = {
	    "169.254.169.254", "fd00:ec2::254", "10.0.0.1", "fe80::7", "192.0.0.9", "2001:1::1"};

	(void)state;
	for (size_t i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++) {
		struct policy_builder *b = policy_builder_new();
		struct ip_addr a = addr_of(addrs[i]);
		struct policy *p;

		assert_int_equal(policy_builder_add_host(b, &a), 0);
		assert_int_equal(policy_builder_add_host(b, &a), 0);
		assert_int_equal(policy_builder_compile(b, &p), 0);
		assert_int_equal(judge_tcp(p, POLICY_EGRESS, addrs[i], 53).class, ADDR_HOST);
		policy_free(p);
		policy_builder_free(b);
	}
}

static void metadata_is_never_private_or_link_local(void **state)
{
	struct policy *p = policy_of("public,private", "allow@link_local");

	(void)state;
	assert_false(allows(p, "169.254.169.254", 80));
	assert_false(allows(p, "fd00:ec2::254", 80));
	assert_false(allows(p, "100.100.100.200", 80));
	assert_false(allows(p, "168.63.129.16", 80));
	assert_false(allows(p, "192.0.0.192", 80));
	assert_false(allows(p, "fd20:ce::254", 80));
	assert_false(allows(p, "fd00:c1::a9fe:a9fe", 80));
	policy_free(p);
}

/* 1.9.8 */
static void rules_with_ports_never_match_icmp(void **state)
{
	struct policy *p = policy_of("none", "allow@8.8.8.8:any:1-65535");
	struct policy_query q = {
	    .direction = POLICY_EGRESS, .proto = POLICY_TCP, .addr = addr_of("8.8.8.8")};

	(void)state;
	assert_true(allows(p, "8.8.8.8", 1));
	assert_true(allows(p, "8.8.8.8", 65535));
	assert_false(allows(p, "8.8.8.8", 0));
	assert_false(allows_proto(p, "8.8.8.8", POLICY_ICMP4));
	assert_int_equal(policy_judge(p, &q).action, POLICY_DENY); /* no port known */
	policy_free(p);
}

static void a_refused_list_adds_no_rule(void **state)
{
	struct policy_builder *b = policy_builder_new();
	struct policy_error err;
	struct policy *p;

	(void)state;
	assert_int_equal(policy_builder_add_rules(b, "deny@8.8.8.8:tcp:80+443", &err), 0);
	assert_int_equal(
	    policy_builder_add_rules(b, "allow@any:tcp:1+3,allow@public,allow@bogus", &err),
	    -EINVAL);
	assert_int_equal(err.column, 38);
	assert_int_equal(policy_builder_compile(b, &p), 0);
	assert_int_equal(policy_rule_count(p), 1);
	policy_free(p);
	assert_int_equal(policy_builder_add_rules(b, "allow@any:udp:9", &err), 0);
	assert_int_equal(policy_builder_compile(b, &p), 0);
	assert_int_equal(policy_rule_count(p), 2);
	assert_false(allows(p, "8.8.8.8", 443));
	policy_free(p);
	policy_builder_free(b);
}

static void texts_are_cut_to_their_buffer(void **state)
{
	struct policy *p = policy_of("public", NULL);
	char *buf = (char *)exact_copy("xxxxxx", 6);

	(void)state;
	assert_string_equal(policy_rule_text(p, 0, buf, 6), "allow");
	assert_string_equal(policy_rule_text(p, POLICY_RULE_FLOOR, buf, 6), "floor");
	assert_string_equal(policy_rule_text(p, POLICY_RULE_DEFAULT, buf, 1), "");
	free(buf);
	policy_free(p);
}

/* A warning must be right. */
static void rules_that_are_warned_about_decide_nothing(void **state)
{
	struct naive *n = malloc(sizeof(*n));
	uint32_t warned = 0;

	(void)state;
	assert_non_null(n);
	for (int round = 0; round < 200; round++) {
		bool is_warned[RULES_MAX] = {false};
		struct policy_warning w;
		uint32_t cursor = 0;
		struct policy *p;

		fill_random(n, 60);
		p = compile_naive(n);
		while (policy_warning_next(p, &cursor, &w)) {
			is_warned[w.rule] = true;
			assert_true(w.by < w.rule || w.by == POLICY_RULE_FLOOR);
			warned++;
		}
		for (int i = 0; i < 1000; i++) {
			struct policy_query q = random_query(n);
			struct policy_verdict v = policy_judge(p, &q);

			if (v.rule < n->rule_count)
				assert_false(is_warned[v.rule]);
		}
		policy_free(p);
	}
	assert_true(warned > 500);
	free(n);
}

static void an_empty_policy_denies_egress(void **state)
{
	struct policy *p = policy_of("none", NULL);
	uint32_t cursor = 0;
	struct policy_warning w;

	(void)state;
	assert_int_equal(judge_tcp(p, POLICY_EGRESS, "8.8.8.8", 80).rule, POLICY_RULE_DEFAULT);
	assert_false(allows(p, "100.96.0.1", 53));
	assert_false(policy_warning_next(p, &cursor, &w));
	policy_free(p);
	policy_free(NULL);
	policy_builder_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(compiled_policy_judges_like_the_rules_one_by_one),
	    cmocka_unit_test(nested_prefixes_of_every_length_judge_like_the_rules),
	    cmocka_unit_test(many_port_rules_of_one_target_judge_like_the_rules),
	    cmocka_unit_test(the_default_is_the_public_internet_and_dns),
	    cmocka_unit_test(profiles_are_sets_with_one_order),
	    cmocka_unit_test(explicit_rules_come_before_the_profile),
	    cmocka_unit_test(rules_without_profile_start_from_denial),
	    cmocka_unit_test(a_default_that_was_set_wins),
	    cmocka_unit_test(nothing_opens_the_floor),
	    cmocka_unit_test(the_loopback_group_is_for_ingress_peers),
	    cmocka_unit_test(broad_prefixes_do_not_open_blocked_ranges),
	    cmocka_unit_test(an_ipv6_prefix_never_matches_ipv4),
	    cmocka_unit_test(embedded_addresses_must_be_allowed_too),
	    cmocka_unit_test(icmpv6_to_an_embedded_address_is_icmp_of_ipv4),
	    cmocka_unit_test(the_local_translation_prefix_needs_a_rule_of_its_own),
	    cmocka_unit_test(a_known_translation_prefix_is_read),
	    cmocka_unit_test(host_is_a_group_of_its_own),
	    cmocka_unit_test(addresses_of_the_floor_do_not_become_host),
	    cmocka_unit_test(host_comes_before_every_other_group),
	    cmocka_unit_test(metadata_is_never_private_or_link_local),
	    cmocka_unit_test(rules_with_ports_never_match_icmp),
	    cmocka_unit_test(a_refused_list_adds_no_rule),
	    cmocka_unit_test(texts_are_cut_to_their_buffer),
	    cmocka_unit_test(rules_that_are_warned_about_decide_nothing),
	    cmocka_unit_test(an_empty_policy_denies_egress),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
