/* SPDX-License-Identifier: Apache-2.0 */
/* Rules by name: behaviours.md C1 to C21, D3 to D10; threats.md N7, N9, N17, N22, N23, T1, T2, T5. */
#include "unit.h"

#include "policy/policy.h"
#include "policy/rule.h"

enum {
	PINS_MAX = 4,
	RULES_MAX = 24,
};

static uint64_t rng_state = 88172645463325252ULL;

static uint32_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return (uint32_t)(rng_state >> 32);
}

/* A policy of a list of rules; public: with that profile behind them. */
static struct policy *policy_of(const char *rules, const char *profile)
{
	struct policy_builder *b = policy_builder_new();
	struct ip_addr gateway = ip_addr_v4(0x64600001); /* 100.96.0.1 */
	struct policy_error err = {.text = ""};
	struct policy *p = NULL;

	assert_non_null(b);
	if (rules && policy_builder_add_rules(b, rules, &err) < 0)
		fail_msg("%s: %zu: %s", rules, err.column, err.text);
	if (profile)
		assert_int_equal(policy_builder_add_profile(b, profile, &err), 0);
	assert_int_equal(policy_builder_add_host(b, &gateway), 0);
	assert_int_equal(policy_builder_compile(b, &p), 0);
	policy_builder_free(b);
	return p;
}

static struct name name_of(const char *text)
{
	struct name n;

	if (name_read(text, strlen(text), &n, NULL) != NAME_OK)
		fail_msg("no name: %s", text);
	return n;
}

static struct ip_addr addr_of(const char *text)
{
	struct ip_addr a;

	assert_int_equal(ip_addr_parse(text, &a), 0);
	return a;
}

/* What a connection is. Pins are separated by blanks. */
struct conn {
	const char *rules;
	const char *profile; /* NULL: none */
	const char *addr;
	const char *pins;      /* NULL: none */
	const char *claim;     /* NULL: none */
	uint16_t port;         /* 0: 443 */
	bool has_first_flight; /* a claim sets it too */
	bool must_claim;
	enum policy_proto proto;
	enum policy_direction direction;

	enum policy_action action;
	enum policy_why why; /* of a denial */
};

static struct policy_verdict judge_conn(const struct policy *p, const struct conn *c)
{
	struct name names[PINS_MAX];
	const struct name *pins[PINS_MAX];
	const char *next = c->pins;
	bool has_port = c->proto == POLICY_TCP || c->proto == POLICY_UDP;
	struct policy_query q = {.direction = c->direction,
	    .proto = c->proto,
	    .has_port = has_port,
	    .port = c->port ? c->port : 443,
	    .addr = addr_of(c->addr),
	    .has_first_flight = c->has_first_flight || c->claim,
	    .must_claim = c->must_claim};
	struct name claim;

	while (next && *next) {
		char text[NAME_TEXT_MAX];
		size_t len = strcspn(next, " ");

		assert_true(q.pin_count < PINS_MAX);
		memcpy(text, next, len);
		text[len] = '\0';
		names[q.pin_count] = name_of(text);
		pins[q.pin_count] = &names[q.pin_count];
		q.pin_count++;
		next += len + (next[len] == ' ');
	}
	q.pins = pins;
	if (c->claim) {
		claim = name_of(c->claim);
		q.claim = &claim;
	}
	return policy_judge(p, &q);
}

static void check_conns(const struct conn *conns, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct conn *c = &conns[i];
		struct policy *p = policy_of(c->rules, c->profile);
		struct policy_verdict v = judge_conn(p, c);

		if (v.action != c->action || (v.action == POLICY_DENY && v.why != c->why))
			fail_msg("line %zu: %s, %s port %u pins %s claim %s: action %d, why %s", i,
			    c->rules, c->addr, (unsigned int)c->port, c->pins ? c->pins : "-",
			    c->claim ? c->claim : "-", (int)v.action, policy_why_name(v.why));
		policy_free(p);
	}
}

#define CHECK_CONNS(conns) check_conns(conns, sizeof(conns) / sizeof((conns)[0]))

/* C1, C2, C8, C11; T1 */
static void a_name_alone_opens_no_address(void **state)
{
	static const struct conn conns[] = {
	    /* Held at the SYN, decided by the first flight. */
	    {"allow@a.example:tcp:443", NULL, "192.0.2.1", .pins = "a.example",
		.action = POLICY_HOLD},
	    {"allow@a.example:tcp:443", NULL, "192.0.2.1", .pins = "a.example",
		.claim = "a.example", .action = POLICY_ALLOW},
	    /* Another address: refused at the SYN, and whatever it claims. */
	    {"allow@a.example:tcp:443", NULL, "192.0.2.2", .action = POLICY_DENY,
		.why = POLICY_WHY_NOT_PINNED},
	    {"allow@a.example:tcp:443", NULL, "192.0.2.2", .claim = "a.example",
		.action = POLICY_DENY, .why = POLICY_WHY_NOT_PINNED},
	    {"allow@a.example:tcp:443", NULL, "192.0.2.2", .pins = "b.example",
		.claim = "a.example", .action = POLICY_DENY, .why = POLICY_WHY_NOT_PINNED},
	    {"allow@a.example:tcp:443", NULL, "192.0.2.2", .pins = "b.example",
		.action = POLICY_DENY, .why = POLICY_WHY_DEFAULT},
	    /* C11: no deferral for a domain rule that could only deny. */
	    {"deny@a.example", NULL, "192.0.2.1", .action = POLICY_DENY, .why = POLICY_WHY_DEFAULT},
	    {"deny@a.example,deny@any,allow@public", NULL, "1.2.3.4", .action = POLICY_DENY},
	};

	(void)state;
	CHECK_CONNS(conns);
}

/* C7, C9; T5 */
static void the_claim_decides_on_a_shared_address(void **state)
{
	static const char both[] = "deny@b.example,allow@a.example";
	static const struct conn conns[] = {
	    {both, NULL, "192.0.2.1", .pins = "a.example b.example", .action = POLICY_HOLD},
	    {both, NULL, "192.0.2.1", .pins = "a.example b.example", .claim = "a.example",
		.action = POLICY_ALLOW},
	    {both, NULL, "192.0.2.1", .pins = "a.example b.example", .claim = "b.example",
		.action = POLICY_DENY, .why = POLICY_WHY_RULE},
	    {"allow@a.example", NULL, "192.0.2.1", .pins = "a.example", .claim = "b.example",
		.action = POLICY_DENY, .why = POLICY_WHY_OTHER_NAME},
	    /* C9: a sibling under the suffix led here. */
	    {"allow@*.x.example", NULL, "192.0.2.1", .pins = "a.x.example", .claim = "b.x.example",
		.action = POLICY_ALLOW},
	    {"allow@*.x.example", NULL, "192.0.2.1", .pins = "a.y.example", .claim = "b.x.example",
		.action = POLICY_DENY, .why = POLICY_WHY_NOT_PINNED},
	    /* N7: borders are those of labels, of pins too. */
	    {"allow@*.x.example", NULL, "192.0.2.1", .pins = "evilx.example",
		.claim = "a.x.example", .action = POLICY_DENY, .why = POLICY_WHY_NOT_PINNED},
	    {"allow@a.x.example", NULL, "192.0.2.1", .pins = "b.x.example", .claim = "a.x.example",
		.action = POLICY_DENY, .why = POLICY_WHY_NOT_PINNED},
	};

	(void)state;
	CHECK_CONNS(conns);
}

/* C3, C4, C12, C13, C14; N23: a broad allow before a deny by name wins, by the documented order. */
static void a_denied_name_needs_no_pin(void **state)
{
	static const struct conn conns[] = {
	    {"deny@x.example", "public", "1.2.3.4", .action = POLICY_HOLD},
	    {"deny@x.example", "public", "1.2.3.4", .claim = "x.example", .action = POLICY_DENY,
		.why = POLICY_WHY_RULE},
	    {"deny@x.example", "public", "1.2.3.4", .claim = "y.example", .action = POLICY_ALLOW},
	    {"deny@x.example", "public", "1.2.3.4", .has_first_flight = true,
		.action = POLICY_ALLOW},
	    {"deny@x.example", "public", "1.2.3.4", .pins = "x.example", .has_first_flight = true,
		.action = POLICY_DENY, .why = POLICY_WHY_RULE},
	    {"deny@x.example,allow@192.0.2.0/24", NULL, "192.0.2.1", .action = POLICY_HOLD},
	    {"allow@192.0.2.0/24,deny@x.example", NULL, "192.0.2.1", .action = POLICY_ALLOW},
	    {"allow@192.0.2.0/24,deny@x.example", NULL, "192.0.2.1", .claim = "x.example",
		.action = POLICY_ALLOW},
	    {"deny@x.example:tcp:443", "public", "1.2.3.4", .port = 80, .action = POLICY_ALLOW},
	    {"allow@x.example:tcp:443", NULL, "192.0.2.1", .port = 80, .pins = "x.example",
		.action = POLICY_DENY, .why = POLICY_WHY_DEFAULT},
	};

	(void)state;
	CHECK_CONNS(conns);
}

/* C5; N7, N9 */
static void a_suffix_is_its_apex_and_all_below(void **state)
{
	static const char *const in[] = {"x.example", "a.x.example", "b.a.x.example"};
	static const char *const out[] = {
	    "evilx.example", "example", "x.example.org", "a.x.example.org", "y.example"};
	struct policy *suffix = policy_of("allow@*.x.example", NULL);
	struct policy *exact = policy_of("allow@x.example", NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++) {
		struct name n = name_of(in[i]);

		assert_int_equal(policy_judge_name(suffix, &n, POLICY_UDP).action, POLICY_ALLOW);
		assert_int_equal(policy_judge_name(exact, &n, POLICY_UDP).action,
		    i == 0 ? POLICY_ALLOW : POLICY_DENY);
	}
	for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++) {
		struct name n = name_of(out[i]);

		assert_int_equal(policy_judge_name(suffix, &n, POLICY_UDP).action, POLICY_DENY);
		assert_int_equal(policy_judge_name(exact, &n, POLICY_UDP).action, POLICY_DENY);
	}
	policy_free(suffix);
	policy_free(exact);
}

/* Names of as many labels as there can be. */
static void names_of_many_labels_are_found(void **state)
{
	char text[NAME_TEXT_MAX] = "";
	struct policy_error err;
	struct policy *p;

	(void)state;
	for (int labels = 1; labels < NAME_LABELS_MAX; labels++) {
		struct policy_rule r = {.action = POLICY_ALLOW,
		    .target = labels % 2 ? POLICY_TARGET_NAME : POLICY_TARGET_SUFFIX,
		    .directions = POLICY_DIR_EGRESS,
		    .protos = POLICY_PROTO_ANY};
		struct policy_builder *b = policy_builder_new();

		assert_non_null(b);
		if (labels > 1) {
			memmove(text + 2, text, strlen(text) + 1);
			text[1] = '.';
		}
		text[0] = (char)('a' + labels % 26);
		r.name = name_of(text);
		assert_int_equal(r.name.labels, labels);
		assert_int_equal(policy_builder_add_rule(b, &r, &err), 0);
		assert_int_equal(policy_builder_compile(b, &p), 0);
		assert_int_equal(policy_judge_name(p, &r.name, POLICY_UDP).action, POLICY_ALLOW);
		policy_free(p);
		policy_builder_free(b);
	}
}

/* C17 */
static void case_and_a_trailing_dot_change_nothing(void **state)
{
	static const struct conn conns[] = {
	    {"allow@A.Example.", NULL, "192.0.2.1", .pins = "a.EXAMPLE", .claim = "a.example.",
		.action = POLICY_ALLOW},
	    {"deny@*.Example.org.", "public", "1.2.3.4", .claim = "X.example.ORG.",
		.action = POLICY_DENY},
	};

	(void)state;
	CHECK_CONNS(conns);
}

/* C20, C21 */
static void without_first_flight_pins_decide(void **state)
{
	static const struct conn conns[] = {
	    {"allow@a.example", NULL, "192.0.2.1", .proto = POLICY_UDP, .pins = "a.example",
		.has_first_flight = true, .action = POLICY_ALLOW},
	    {"allow@a.example", NULL, "192.0.2.2", .proto = POLICY_UDP, .has_first_flight = true,
		.action = POLICY_DENY, .why = POLICY_WHY_NOT_PINNED},
	    {"allow@a.example", NULL, "192.0.2.1", .proto = POLICY_ICMP4, .pins = "a.example",
		.action = POLICY_ALLOW},
	    {"allow@a.example", NULL, "::ffff:192.0.2.1", .pins = "a.example",
		.has_first_flight = true, .action = POLICY_ALLOW},
	    /* A server that speaks first, SSH: no claim, and none needed. */
	    {"allow@a.example", NULL, "192.0.2.1", .port = 22, .pins = "a.example",
		.has_first_flight = true, .action = POLICY_ALLOW},
	    /* Ingress has no claim. */
	    {"deny:ingress@a.example", NULL, "192.0.2.1", .pins = "a.example",
		.direction = POLICY_INGRESS, .action = POLICY_DENY},
	    {"deny:ingress@a.example", NULL, "192.0.2.2", .direction = POLICY_INGRESS,
		.action = POLICY_ALLOW},
	};

	(void)state;
	CHECK_CONNS(conns);
}

/* T2 */
static void tls_without_a_name_needs_a_rule_by_address(void **state)
{
	static const struct conn conns[] = {
	    {"allow@a.example", NULL, "192.0.2.1", .pins = "a.example", .has_first_flight = true,
		.must_claim = true, .action = POLICY_DENY, .why = POLICY_WHY_NO_NAME},
	    {"allow@a.example,allow@192.0.2.1", NULL, "192.0.2.1", .pins = "a.example",
		.has_first_flight = true, .must_claim = true, .action = POLICY_ALLOW},
	    {"deny@a.example", "public", "1.2.3.4", .pins = "a.example", .has_first_flight = true,
		.must_claim = true, .action = POLICY_DENY},
	};

	(void)state;
	CHECK_CONNS(conns);
}

static bool may_ask(const char *rules, const char *profile, const char *name)
{
	struct policy *p = policy_of(rules, profile);
	struct name n = name_of(name);
	struct policy_verdict v = policy_judge_name(p, &n, POLICY_UDP);

	policy_free(p);
	assert_int_not_equal(v.action, POLICY_HOLD);
	return v.action == POLICY_ALLOW;
}

/* D4, D5, D6, C2, C3 (1.8.14) */
static void names_are_judged_before_they_are_asked(void **state)
{
	(void)state;
	assert_true(may_ask(NULL, "public", "a.example"));
	assert_false(may_ask(NULL, "none", "a.example"));
	assert_true(may_ask("allow@dns", NULL, "a.example"));
	assert_true(may_ask("allow@host", NULL, "a.example"));
	assert_true(may_ask("allow@any:udp:53", NULL, "a.example"));
	assert_false(may_ask("allow@any:udp:443", NULL, "a.example"));
	assert_false(may_ask("allow@any:tcp", NULL, "a.example"));
	assert_false(may_ask("allow@0.0.0.0/0,allow@public", NULL, "a.example"));
	assert_true(may_ask("allow@a.example:tcp:443", NULL, "a.example"));
	assert_false(may_ask("allow@a.example:tcp:443", NULL, "b.example"));
	assert_false(may_ask("deny@a.example:tcp:443", "public", "a.example"));
	assert_true(may_ask("allow:any@a.example", NULL, "a.example"));
	assert_false(may_ask("deny:any@a.example", "public", "a.example"));
	assert_true(may_ask("deny:ingress@a.example", "public", "a.example"));
	assert_false(may_ask("deny@*.example.org,allow@a.example.org", NULL, "a.example.org"));
	assert_true(may_ask("allow@a.example.org,deny@*.example.org", NULL, "a.example.org"));
	assert_false(may_ask("allow@a.example.org,deny@*.example.org", "public", "example.org"));
}

/* N17 */
static void metadata_has_names_too(void **state)
{
	(void)state;
	assert_false(may_ask(NULL, "public", "metadata.google.internal"));
	assert_false(may_ask("allow@dns", NULL, "METADATA.google.internal."));
	assert_false(may_ask(NULL, "public,private,host", "instance-data.ec2.internal"));
	assert_true(may_ask("allow@meta", "public", "metadata.google.internal"));
	assert_true(may_ask("allow@metadata.google.internal", NULL, "metadata.google.internal"));
	assert_true(may_ask(NULL, "all", "metadata.google.internal"));
	assert_false(may_ask("deny@meta", "all", "metadata.google.internal"));
	assert_true(may_ask("deny@meta", "all", "google.internal"));
}

static bool may_answer(const char *rules, const char *profile, const char *addr)
{
	struct policy *p = policy_of(rules, profile);
	struct name n = name_of("a.example");
	struct ip_addr a = addr_of(addr);
	struct policy_verdict v = policy_judge_answer(p, &n, &a);

	policy_free(p);
	return v.action == POLICY_ALLOW;
}

/* D7 to D10 (1.8.17, 1.8.18); N22 */
static void answers_lead_to_public_addresses_or_to_named_ones(void **state)
{
	static const char *const never[] = {"0.0.0.0", "::", "127.0.0.1", "::1", "224.0.0.1",
	    "ff02::1", "255.255.255.255", "64:ff9b:1::a00:1", "::ffff:127.0.0.1"};
	static const char *const refused[] = {"10.0.0.1", "::ffff:10.0.0.1", "192.168.1.1",
	    "100.64.0.1", "169.254.169.254", "169.254.1.1", "192.0.0.8", "192.0.2.1", "198.18.0.1",
	    "240.0.0.1", "fd00::1", "fe80::1", "fec0::1", "2001:db8::1", "3fff::1", "100::1",
	    "64:ff9b::10.0.0.1", "2002:a00:1::1", "100.96.0.1"};

	(void)state;
	assert_true(may_answer(NULL, "public", "1.2.3.4"));
	assert_true(may_answer(NULL, "none", "2606:4700::1111"));
	assert_true(may_answer(NULL, "public", "64:ff9b::1.2.3.4"));
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		assert_false(may_answer(NULL, "public", refused[i]));
		assert_false(may_answer(NULL, "all", refused[i]));
		assert_false(may_answer("allow@any", NULL, refused[i]));
		assert_false(may_answer("allow@a.example", NULL, refused[i]));
	}
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		assert_false(may_answer("allow@0.0.0.0/0,allow@[::]/0", "all", never[i]));
	assert_true(may_answer(NULL, "private", "10.0.0.1"));
	assert_true(may_answer(NULL, "private", "64:ff9b::10.0.0.1"));
	assert_true(may_answer("allow@10.0.0.0/8", NULL, "10.0.0.1"));
	assert_true(may_answer("allow@10.0.0.0/8:udp", NULL, "10.0.0.1"));
	assert_true(may_answer("allow@0.0.0.0/0", NULL, "192.168.1.1"));
	assert_false(may_answer("allow@10.0.0.0/8:tcp:443", NULL, "10.0.0.1"));
	assert_false(may_answer("allow@10.0.0.0/8:icmp", NULL, "10.0.0.1"));
	assert_false(may_answer("allow:ingress@10.0.0.0/8", NULL, "10.0.0.1"));
	assert_false(may_answer("deny@10.0.0.0/8", "private", "10.0.0.1")); /* D10 */
	assert_true(may_answer("deny@10.0.0.0/8:tcp:443", "private", "10.0.0.1"));
	assert_false(may_answer("allow@any,allow@10.0.0.0/8", NULL, "10.0.0.1"));
}

/* A14, B23: all layers must allow, and the verdict says which does not. */
static void no_rule_widens_a_platform_floor(void **state)
{
	static const struct {
		const char *addr;
		enum policy_action action;
		uint32_t layer;
	} pings[] = {
	    {"100.96.0.1", POLICY_DENY, 1}, /* A14: the gateway */
	    {"10.0.0.1", POLICY_DENY, 1},   /* B23 */
	    {"1.2.3.4", POLICY_ALLOW, 0},
	    {"5.6.7.8", POLICY_DENY, 0},
	};
	struct policy_builder *b = policy_builder_new();
	struct policy_builder *floor = b ? policy_builder_add_layer(b) : NULL;
	struct ip_addr gateway = addr_of("100.96.0.1");
	struct name name = name_of("a.example");
	struct name denied = name_of("b.example");
	struct policy_error err;
	struct policy *p;
	char text[POLICY_RULE_TEXT_MAX];
	uint32_t number;

	(void)state;
	assert_non_null(floor);
	assert_int_equal(
	    policy_builder_add_rules(b, "deny@5.6.7.8,allow@private,allow@any", &err), 0);
	assert_int_equal(policy_builder_add_rules(floor, "deny@b.example", &err), 0);
	assert_int_equal(policy_builder_add_profile(floor, "public", &err), 0);
	assert_int_equal(policy_builder_add_host(b, &gateway), 0);
	assert_int_equal(policy_builder_compile(b, &p), 0);
	for (size_t i = 0; i < sizeof(pings) / sizeof(pings[0]); i++) {
		struct policy_query q = {.proto = POLICY_ICMP4, .addr = addr_of(pings[i].addr)};
		struct policy_verdict v = policy_judge(p, &q);
		struct ip_addr a = addr_of(pings[i].addr);

		assert_int_equal(v.action, pings[i].action);
		assert_int_equal(v.layer, pings[i].layer);
		if (i < 2) /* the tenant allows the address for answers, the floor does not */
			assert_int_equal(policy_judge_answer(p, &name, &a).action, POLICY_DENY);
		q.proto = POLICY_TCP; /* the floor's deny by name holds what the tenant allows */
		q.has_port = true;
		q.port = 443;
		v = policy_judge(p, &q);
		assert_int_equal(v.action, i == 2 ? POLICY_HOLD : POLICY_DENY);
		q.claim = &denied;
		v = policy_judge(p, &q);
		assert_int_equal(v.action, POLICY_DENY);
		assert_int_equal(v.rule, i == 3 ? 0 : 3);
	}
	assert_int_equal(policy_judge_name(p, &name, POLICY_UDP).action, POLICY_ALLOW);
	assert_int_equal(policy_judge_name(p, &denied, POLICY_UDP).action, POLICY_DENY);
	assert_int_equal(policy_judge_name(p, &denied, POLICY_UDP).layer, 1);
	assert_int_equal(policy_rule_count(p), 6);
	assert_string_equal(policy_rule_text(p, 3, text, sizeof(text)), "deny@b.example");
	assert_int_equal(policy_rule_layer(p, 3, &number), 1);
	assert_int_equal(number, 0);
	assert_int_equal(policy_rule_layer(p, 2, &number), 0);
	assert_int_equal(number, 2);
	policy_free(p);
	for (int i = 2; i < POLICY_LAYERS_MAX; i++)
		assert_non_null(policy_builder_add_layer(b));
	assert_null(policy_builder_add_layer(b));
	policy_builder_free(b);
}

/*
 * The definition, rule by rule
 */

enum match {
	MATCHES_NOT,
	MATCHES,
	MAY_MATCH, /* the claim decides */
};

static bool has_name(const struct policy_rule *r, const struct name *name)
{
	return r->target == POLICY_TARGET_SUFFIX ? name_is_under(name, &r->name)
						 : name_eq(name, &r->name);
}

static bool has_pin(const struct policy_rule *r, const struct policy_query *q)
{
	for (uint32_t i = 0; i < q->pin_count; i++)
		if (has_name(r, q->pins[i]))
			return true;
	return false;
}

static enum match name_matches(const struct policy_rule *r, const struct policy_query *q)
{
	bool has_flight = q->direction == POLICY_EGRESS && q->proto <= POLICY_UDP;
	const struct name *claim = q->direction == POLICY_EGRESS ? q->claim : NULL;
	bool is_pinned = has_pin(r, q);

	if (has_flight && !q->has_first_flight && !claim) {
		if (r->action == POLICY_ALLOW)
			return is_pinned ? MAY_MATCH : MATCHES_NOT;
		return MAY_MATCH;
	}
	if (claim && r->action == POLICY_ALLOW)
		return is_pinned && has_name(r, claim) ? MATCHES : MATCHES_NOT;
	if (claim)
		return has_name(r, claim) ? MATCHES : MATCHES_NOT;
	if (r->action == POLICY_ALLOW && q->must_claim)
		return MATCHES_NOT;
	return is_pinned ? MATCHES : MATCHES_NOT;
}

static enum match rule_matches(const struct policy_rule *r, const struct policy_query *q)
{
	bool has_port = r->range_count == 0;

	for (uint32_t i = 0; q->has_port && i < r->range_count; i++)
		has_port |= r->ranges[i].first <= q->port && q->port <= r->ranges[i].last;
	if (!(r->directions & 1 << q->direction) || !(r->protos & 1 << q->proto) || !has_port)
		return MATCHES_NOT;
	switch (r->target) {
	case POLICY_TARGET_ANY:
		return MATCHES;
	case POLICY_TARGET_GROUP:
		return addr_class_own(&q->addr) == r->group ? MATCHES : MATCHES_NOT;
	case POLICY_TARGET_PREFIX:
		return ip_addr_in_prefix(&q->addr, &r->prefix, r->prefix_len) ? MATCHES
									      : MATCHES_NOT;
	case POLICY_TARGET_NAME:
	case POLICY_TARGET_SUFFIX:
		break;
	}
	return name_matches(r, q);
}

static struct policy_verdict naive_judge(
    const struct policy_rule *rules, uint32_t count, const struct policy_query *q)
{
	struct policy_verdict v = {.action = POLICY_DENY, .rule = POLICY_RULE_DEFAULT};

	for (uint32_t i = 0; i < count; i++) {
		if (rule_matches(&rules[i], q) != MATCHES)
			continue;
		v.rule = i;
		v.action = rules[i].action;
		break;
	}
	for (uint32_t i = 0; i < count && i < v.rule; i++) {
		if (rule_matches(&rules[i], q) != MAY_MATCH || rules[i].action == v.action)
			continue;
		v.rule = i;
		v.action = POLICY_HOLD;
		break;
	}
	return v;
}

static uint32_t naive_asked(
    const struct policy_rule *rules, uint32_t count, const struct name *name)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct policy_rule *r = &rules[i];

		if ((r->directions & POLICY_DIR_EGRESS) == 0)
			continue;
		if (r->target == POLICY_TARGET_ANY && r->range_count == 0 &&
		    (r->protos & 1 << POLICY_UDP) != 0)
			return i;
		if ((r->target == POLICY_TARGET_NAME || r->target == POLICY_TARGET_SUFFIX) &&
		    has_name(r, name))
			return i;
	}
	return POLICY_RULE_DEFAULT;
}

/* A name of one to four labels out of two letters, and seldom a long one. */
static struct name random_name(void)
{
	char text[NAME_TEXT_MAX];
	uint32_t labels = rng() % 50 == 0 ? 100 : 1 + rng() % 4;
	size_t len = 0;

	for (uint32_t i = 0; i < labels; i++) {
		text[len++] = (char)('a' + (int)(rng() % 2));
		text[len++] = '.';
	}
	text[len - 1] = '\0';
	return name_of(text);
}

static struct policy_rule random_rule(void)
{
	static const enum policy_target targets[] = {POLICY_TARGET_NAME, POLICY_TARGET_NAME,
	    POLICY_TARGET_SUFFIX, POLICY_TARGET_SUFFIX, POLICY_TARGET_SUFFIX, POLICY_TARGET_PREFIX,
	    POLICY_TARGET_ANY, POLICY_TARGET_GROUP};
	struct policy_rule r = {.action = rng() % 2 ? POLICY_ALLOW : POLICY_DENY,
	    .target = targets[rng() % (sizeof(targets) / sizeof(targets[0]))],
	    .directions = (uint8_t)(rng() % 4 ? POLICY_DIR_EGRESS : 1 + rng() % 3),
	    .protos = POLICY_PROTO_ANY,
	    .group = ADDR_PUBLIC};

	if (r.target == POLICY_TARGET_PREFIX) {
		r.prefix = ip_addr_v4(0x01020300);
		r.prefix_len = (uint8_t)(120 + rng() % 8);
	}
	do
		r.name = random_name();
	while (r.target == POLICY_TARGET_SUFFIX && r.name.labels < 2);
	for (uint32_t i = rng() % 4 == 0 ? 1 + rng() % 2 : 0; i > 0; i--)
		r.ranges[r.range_count++] = (struct port_range){
		    .first = (uint16_t)(443 + 2 * i), .last = (uint16_t)(443 + 2 * i)};
	if (rng() % 4 == 0)
		r.protos = rng() % 2 ? 1 << POLICY_TCP : 1 << POLICY_UDP;
	if (r.target == POLICY_TARGET_ANY && rng() % 2 == 0)
		r.target = POLICY_TARGET_NAME; /* seldom */
	return r;
}

struct random_query {
	struct name names[PINS_MAX];
	const struct name *pins[PINS_MAX];
	struct name claim;
	struct policy_query query;
};

static void make_query(struct random_query *r)
{
	struct policy_query *q = &r->query;

	*q = (struct policy_query){.direction = rng() % 8 ? POLICY_EGRESS : POLICY_INGRESS,
	    .proto = (enum policy_proto)(rng() % POLICY_ICMP6),
	    .port = (uint16_t)(443 + rng() % 5),
	    .addr = ip_addr_v4(0x01020300 + rng() % 300),
	    .pins = r->pins,
	    .pin_count = rng() % (PINS_MAX + 1)};
	q->has_port = q->proto <= POLICY_UDP;
	for (uint32_t i = 0; i < q->pin_count; i++) {
		r->names[i] = random_name();
		r->pins[i] = &r->names[i];
	}
	r->claim = rng() % 4 == 0 && q->pin_count > 0 ? r->names[0] : random_name();
	q->claim = rng() % 2 ? &r->claim : NULL;
	q->has_first_flight = q->claim || rng() % 2;
	q->must_claim = q->has_first_flight && rng() % 2;
}

/* What is said of rules is true of a verdict and of what was asked. */
static void check_warnings(
    const struct policy *p, const struct policy_query *q, const struct name *asked)
{
	struct policy_verdict v = policy_judge(p, q);
	struct policy_verdict asking = policy_judge_name(p, asked, POLICY_UDP);
	struct policy_warning w;
	uint32_t cursor = 0;

	while (policy_warning_next(p, &cursor, &w)) {
		bool decides = v.rule == w.rule && v.action != POLICY_HOLD;

		assert_int_not_equal(w.kind, POLICY_WARN_FLOOR);
		assert_true(w.by < w.rule);
		if (w.kind == POLICY_WARN_COVERED || w.kind == POLICY_WARN_UNASKED)
			assert_int_not_equal(asking.rule, w.rule);
		if (w.kind == POLICY_WARN_COVERED)
			assert_false(decides);
		if (w.kind == POLICY_WARN_PINNED && q->claim && q->pin_count > 0 &&
		    name_eq(q->claim, q->pins[0]))
			assert_false(decides);
	}
}

/* The compiled policy does what the definition says; and what is decided without the claim is decided the
 * same with any. Returns whether the query was held. */
static bool check_random_query(
    const struct policy *p, const struct policy_rule *rules, uint32_t count)
{
	struct random_query r;
	struct policy_verdict want;
	struct policy_verdict got;

	make_query(&r);
	want = naive_judge(rules, count, &r.query);
	got = policy_judge(p, &r.query);
	if (got.action != want.action || got.rule != want.rule) {
		char text[POLICY_RULE_TEXT_MAX];

		for (uint32_t i = 0; i < count; i++)
			print_message("%u %s\n", i, policy_rule_text(p, i, text, sizeof(text)));
		for (uint32_t i = 0; i < r.query.pin_count; i++)
			print_message("pin %s\n", r.names[i].text);
		fail_msg("direction %d proto %d port %u claim %s first flight %d: rule %d "
			 "action %d, expected %d %d",
		    (int)r.query.direction, (int)r.query.proto, (unsigned int)r.query.port,
		    r.query.claim ? r.claim.text : "-", r.query.has_first_flight, (int)got.rule,
		    (int)got.action, (int)want.rule, (int)want.action);
	}
	check_warnings(p, &r.query, &r.claim);
	if (r.query.has_first_flight || got.action == POLICY_HOLD)
		return got.action == POLICY_HOLD;
	r.query.has_first_flight = true;
	for (int i = 0; i < 4; i++) {
		r.claim = random_name();
		r.query.claim = i < 2 ? &r.claim : NULL;
		r.query.must_claim = i == 3;
		if (r.query.proto <= POLICY_UDP && r.query.direction == POLICY_EGRESS)
			assert_int_equal(policy_judge(p, &r.query).action, got.action);
	}
	return false;
}

static void compiled_names_judge_like_the_rules_one_by_one(void **state)
{
	static struct policy_rule rules[RULES_MAX];
	uint32_t held = 0;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct policy_builder *b = policy_builder_new();
		struct siphash_key key = {.k = {rng(), rng()}};
		uint32_t count = rng() % RULES_MAX;
		struct policy_error err;
		struct policy *p;

		assert_non_null(b);
		policy_builder_set_key(b, &key);
		policy_builder_set_default(b, POLICY_EGRESS, POLICY_DENY);
		policy_builder_set_default(b, POLICY_INGRESS, POLICY_DENY);
		for (uint32_t i = 0; i < count; i++) {
			rules[i] = random_rule();
			assert_int_equal(policy_builder_add_rule(b, &rules[i], &err), 0);
		}
		assert_int_equal(policy_builder_compile(b, &p), 0);
		policy_builder_free(b);
		for (int i = 0; i < 100; i++) {
			struct name n = random_name();

			held += check_random_query(p, rules, count);
			assert_int_equal(policy_judge_name(p, &n, POLICY_UDP).rule,
			    naive_asked(rules, count, &n));
		}
		policy_free(p);
	}
	assert_true(held > 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_name_alone_opens_no_address),
	    cmocka_unit_test(the_claim_decides_on_a_shared_address),
	    cmocka_unit_test(a_denied_name_needs_no_pin),
	    cmocka_unit_test(a_suffix_is_its_apex_and_all_below),
	    cmocka_unit_test(names_of_many_labels_are_found),
	    cmocka_unit_test(case_and_a_trailing_dot_change_nothing),
	    cmocka_unit_test(without_first_flight_pins_decide),
	    cmocka_unit_test(tls_without_a_name_needs_a_rule_by_address),
	    cmocka_unit_test(names_are_judged_before_they_are_asked),
	    cmocka_unit_test(metadata_has_names_too),
	    cmocka_unit_test(answers_lead_to_public_addresses_or_to_named_ones),
	    cmocka_unit_test(no_rule_widens_a_platform_floor),
	    cmocka_unit_test(compiled_names_judge_like_the_rules_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
