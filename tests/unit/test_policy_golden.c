/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rule texts and what becomes of them, from tests/golden/policy/: R8, and threats.md N2 to N8, N11, N12,
 * N16, N20, N23.
 *
 * A file has blocks with an empty line between them, and comments (#). A block begins with what is given:
 *
 *	rules TEXT                a list of rules; \t, \n and \xNN stand for bytes
 *	net TEXT                  a profile
 *	default DIRECTION ACTION
 *	floor TEXT                rules of a second layer
 *	edit ...                  one of the above for the policy after an edit
 *	explain DIRECTION PROTO ADDRESS PORT PINS CLAIM
 *	                          a query; PORT, PINS and CLAIM may be -, CLAIM ? if it is not known yet
 *
 * and goes on with what is expected:
 *
 *	! COLUMN SENTENCE         the last line given was refused
 *	= RULE                    the rules in order
 *	= otherwise: ...          the defaults, if a profile or a default was given
 *	? SENTENCE                the warnings
 *	~ SENTENCE                what the edit changes
 *	> SENTENCE                the verdict of the query, and why
 *
 * With -p behind the file the program prints the file as it should be, for a person to read.
 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "policy/policy.h"
#include "policy/rule.h"

enum {
	LINE_MAX_LEN = 4096,
	BLOCK_MAX_LEN = 16384,
};

static FILE *golden;
static bool is_printing;

struct block {
	struct policy_builder *builder;
	struct policy_builder *floor; /* of the builder; NULL: none */
	struct policy_builder *edit;  /* NULL: none */
	char query[LINE_MAX_LEN];     /* empty: none */
	struct policy_error err;
	bool is_refused;
	bool has_defaults;
	bool has_comment;
	char given_text[BLOCK_MAX_LEN];
	char expected_text[BLOCK_MAX_LEN];
	struct text given;
	struct text expected;
	int line; /* of its first line */
};

/* \t, \n and \xNN; returns the length. The result is a string: NUL is not among them. */
static void unescape(char *s)
{
	char *out = s;

	while (*s) {
		if (s[0] == '\\' && (s[1] == 't' || s[1] == 'n')) {
			*out++ = s[1] == 't' ? '\t' : '\n';
			s += 2;
		} else if (s[0] == '\\' && s[1] == 'x' && s[2] && s[3]) {
			char digits[3] = {s[2], s[3], '\0'};

			*out++ = (char)strtoul(digits, NULL, 16);
			s += 4;
		} else {
			*out++ = *s++;
		}
	}
	*out = '\0';
}

static bool take_prefix(char **line, const char *prefix)
{
	if (strncmp(*line, prefix, strlen(prefix)) != 0)
		return false;
	*line += strlen(prefix);
	return true;
}

static int give_rules(struct block *b, struct policy_builder *to, const char *text)
{
	char *exact = (char *)exact_copy(text, strlen(text) + 1);
	int ret = policy_builder_add_rules(to, exact, &b->err);

	free(exact);
	return ret;
}

static struct policy_builder *new_builder(void)
{
	static const uint32_t gateway_v4 = 0x64600001; /* 100.96.0.1 */
	struct policy_builder *b = policy_builder_new();
	struct ip_addr host = ip_addr_v4(gateway_v4);

	assert_non_null(b);
	assert_int_equal(policy_builder_add_host(b, &host), 0);
	return b;
}

/* Does what one line gives. */
static void give(struct block *b, char *line)
{
	char *copy = (char *)exact_copy(line, strlen(line) + 1);
	struct policy_builder *to = b->builder;
	char *text = copy;
	int ret = 0;

	unescape(text);
	if (take_prefix(&text, "edit ")) {
		b->edit = b->edit ? b->edit : new_builder();
		to = b->edit;
	}
	if (take_prefix(&text, "rules ") || take_prefix(&text, "rules")) {
		ret = give_rules(b, to, text);
	} else if (take_prefix(&text, "net ") || take_prefix(&text, "net")) {
		ret = policy_builder_add_profile(to, text, &b->err);
		b->has_defaults = true;
	} else if (take_prefix(&text, "default ")) {
		policy_builder_set_default(to,
		    strncmp(text, "egress", 6) == 0 ? POLICY_EGRESS : POLICY_INGRESS,
		    strstr(text, "allow") ? POLICY_ALLOW : POLICY_DENY);
		b->has_defaults = true;
	} else if (take_prefix(&text, "floor ")) {
		b->floor = b->floor ? b->floor : policy_builder_add_layer(b->builder);
		ret = give_rules(b, b->floor, text);
	} else if (take_prefix(&text, "explain ")) {
		memcpy(b->query, text, strlen(text) + 1);
	} else {
		fail_msg("unknown line: %s", line);
	}
	assert_true(ret == 0 || ret == -EINVAL);
	b->is_refused = ret < 0;
	free(copy);
}

struct telling {
	struct text *t;
	const struct policy *before;
	const struct policy *after;
	const struct policy_query *query;
};

static void tell_change(void *ctx, const struct policy_change *change)
{
	struct telling *to = ctx;
	char line[3 * POLICY_RULE_TEXT_MAX];

	text_printf(
	    to->t, "~ %s\n", policy_change_text(to->before, to->after, change, line, sizeof(line)));
}

static void tell_reason(void *ctx, const struct policy_reason *reason)
{
	struct telling *to = ctx;
	char line[3 * POLICY_RULE_TEXT_MAX];

	text_printf(
	    to->t, "> %s\n", policy_reason_text(to->after, to->query, reason, line, sizeof(line)));
}

/* Finds a word in a list; its number. */
static unsigned int number_of(const char *word, const char *const *words, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (strcmp(word, words[i]) == 0)
			return i;
	fail_msg("unknown word: %s", word);
	return 0;
}

static struct name read_name(const char *text)
{
	struct name n;

	assert_int_equal(name_read(text, strlen(text), &n, NULL), NAME_OK);
	return n;
}

static void tell_explanation(const struct policy *p, const char *text, struct text *t)
{
	static const char *const directions[] = {"egress", "ingress"};
	static const char *const protos[] = {"tcp", "udp", "icmp", "icmpv6"};
	static const char *const actions[] = {"deny", "allow", "hold"};
	char words[6][64];
	struct name pin;
	struct name claim;
	const struct name *pins = &pin;
	struct policy_query q = {.pins = &pins};
	struct telling to = {.t = t, .after = p, .query = &q};
	struct policy_verdict v;

	assert_int_equal(sscanf(text, "%63s %63s %63s %63s %63s %63s", words[0], words[1], words[2],
			     words[3], words[4], words[5]),
	    6);
	q.direction = (enum policy_direction)number_of(words[0], directions, 2);
	q.proto = (enum policy_proto)number_of(words[1], protos, POLICY_PROTO_COUNT);
	if (strcmp(words[2], "other") == 0)
		q.addr = policy_other_addr(p);
	else
		assert_int_equal(ip_addr_parse(words[2], &q.addr), 0);
	q.has_port = words[3][0] != '-';
	q.port = (uint16_t)strtoul(words[3], NULL, 10);
	if (strcmp(words[4], "-") != 0) {
		pin = read_name(words[4]);
		q.pin_count = 1;
	}
	q.has_first_flight = strcmp(words[5], "?") != 0;
	if (strcmp(words[5], "-") != 0 && q.has_first_flight) {
		claim = read_name(words[5]);
		q.claim = &claim;
	}
	v = policy_explain(p, &q, tell_reason, &to);
	text_printf(t, "> %s, %s\n", actions[v.action], policy_why_name(v.why));
}

/* What became of the block. */
static void tell_block(const struct block *b, struct text *t)
{
	static const char *const actions[] = {"deny", "allow"};
	char line[3 * POLICY_RULE_TEXT_MAX];
	struct policy_warning w;
	uint32_t cursor = 0;
	struct policy *p;

	if (b->is_refused) {
		text_printf(t, "! %zu %s\n", b->err.column, b->err.text);
		return;
	}
	assert_int_equal(policy_builder_compile(b->builder, &p), 0);
	for (uint32_t i = 0; i < policy_rule_count(p); i++)
		text_printf(t, "= %s\n", policy_rule_text(p, i, line, sizeof(line)));
	if (b->has_defaults)
		text_printf(t, "= otherwise: egress %s, ingress %s\n",
		    actions[policy_default(p, POLICY_EGRESS)],
		    actions[policy_default(p, POLICY_INGRESS)]);
	while (policy_warning_next(p, &cursor, &w))
		text_printf(t, "? %s\n", policy_warning_text(p, &w, line, sizeof(line)));
	if (b->query[0] != '\0')
		tell_explanation(p, b->query, t);
	if (b->edit) {
		struct telling to = {.t = t, .before = p};
		struct policy *after;
		bool is_whole;

		assert_int_equal(policy_builder_compile(b->edit, &after), 0);
		to.after = after;
		assert_int_equal(policy_diff(p, after, tell_change, &to, &is_whole), 0);
		assert_true(is_whole);
		policy_free(after);
	}
	policy_free(p);
}

static void begin_block(struct block *b, int line)
{
	memset(b, 0, sizeof(*b));
	b->builder = new_builder();
	b->given = text_init(b->given_text, sizeof(b->given_text));
	b->expected = text_init(b->expected_text, sizeof(b->expected_text));
	b->line = line;
}

static void end_block(struct block *b)
{
	static char got[BLOCK_MAX_LEN];
	struct text t = text_init(got, sizeof(got));

	if (b->given.len > 0) {
		tell_block(b, &t);
		assert_false(t.is_cut);
		if (is_printing)
			printf("%s%s\n", b->given_text, got);
		else if (strcmp(got, b->expected_text) != 0)
			fail_msg("line %d:\n%sgave\n%sexpected\n%s", b->line, b->given_text, got,
			    b->expected_text);
	}
	if (is_printing && b->given.len == 0 && b->has_comment)
		puts("");
	policy_builder_free(b->builder);
	policy_builder_free(b->edit);
}

static void every_text_becomes_what_the_file_says(void **state)
{
	static char line[LINE_MAX_LEN];
	struct block *b = malloc(sizeof(*b));
	int blocks = 0;
	int number = 1;

	(void)state;
	assert_non_null(b);
	begin_block(b, number);
	while (fgets(line, sizeof(line), golden)) {
		size_t len = strcspn(line, "\n");

		assert_int_equal(line[len], '\n'); /* no line is longer than the buffer */
		line[len] = '\0';
		number++;
		if (len == 0) {
			blocks += b->given.len > 0;
			end_block(b);
			begin_block(b, number);
		} else if (line[0] == '#') {
			b->has_comment = true;
			if (is_printing)
				puts(line);
		} else if (strchr("!=?~>", line[0])) {
			text_printf(&b->expected, "%s\n", line);
		} else {
			assert_false(b->is_refused); /* nothing is given after a refusal */
			text_printf(&b->given, "%s\n", line);
			give(b, line);
		}
	}
	blocks += b->given.len > 0;
	end_block(b);
	free(b);
	assert_true(blocks > 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_text_becomes_what_the_file_says),
	};
	int failed = 0;

	is_printing = argc > 2 && strcmp(argv[argc - 1], "-p") == 0;
	for (int i = 1; i < argc - (is_printing ? 1 : 0); i++) {
		golden = fopen(argv[i], "r");
		if (!golden) {
			fprintf(stderr, "cannot open %s: %s\n", argv[i], strerror(errno));
			return 1;
		}
		if (is_printing)
			every_text_becomes_what_the_file_says(NULL);
		else
			failed += cmocka_run_group_tests_name(argv[i], tests, NULL, NULL);
		if (fclose(golden) != 0)
			failed++;
	}
	return failed > 0 || argc < 2;
}
