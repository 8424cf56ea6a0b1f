/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rule texts and what becomes of them, from tests/golden/policy/: R8, and threats.md N4 to N8, N11, N12,
 * N16, N20.
 *
 * A file has blocks with an empty line between them, and comments (#). A block begins with what is given:
 *
 *	rules TEXT                a list of rules; \t, \n and \xNN stand for bytes
 *	net TEXT                  a profile
 *	default DIRECTION ACTION
 *
 * and goes on with what is expected:
 *
 *	! COLUMN SENTENCE         the last line given was refused
 *	= RULE                    the rules in order
 *	= otherwise: ...          the defaults, if a profile or a default was given
 *	? SENTENCE                the warnings
 *
 * With -p behind the file the program prints the file as it should be, for a person to read.
 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "policy/policy.h"

enum {
	LINE_MAX_LEN = 4096,
	BLOCK_MAX_LEN = 16384,
};

static FILE *golden;
static bool is_printing;

struct block {
	struct policy_builder *builder;
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

/* Does what one line gives. */
static void give(struct block *b, char *line)
{
	char *copy = (char *)exact_copy(line, strlen(line) + 1);
	char *text = copy;
	int ret = 0;

	unescape(text);
	if (take_prefix(&text, "rules ") || take_prefix(&text, "rules")) {
		char *exact = (char *)exact_copy(text, strlen(text) + 1);

		ret = policy_builder_add_rules(b->builder, exact, &b->err);
		free(exact);
	} else if (take_prefix(&text, "net ") || take_prefix(&text, "net")) {
		ret = policy_builder_add_profile(b->builder, text, &b->err);
		b->has_defaults = true;
	} else if (take_prefix(&text, "default ")) {
		policy_builder_set_default(b->builder,
		    strncmp(text, "egress", 6) == 0 ? POLICY_EGRESS : POLICY_INGRESS,
		    strstr(text, "allow") ? POLICY_ALLOW : POLICY_DENY);
		b->has_defaults = true;
	} else {
		fail_msg("unknown line: %s", line);
	}
	assert_true(ret == 0 || ret == -EINVAL);
	b->is_refused = ret < 0;
	free(copy);
}

/* What became of the block. */
static void tell(const struct block *b, struct text *t)
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
	policy_free(p);
}

static void begin_block(struct block *b, int line)
{
	static const uint32_t gateway_v4 = 0x64600001; /* 100.96.0.1 */
	struct ip_addr host = ip_addr_v4(gateway_v4);

	memset(b, 0, sizeof(*b));
	b->builder = policy_builder_new();
	assert_non_null(b->builder);
	assert_int_equal(policy_builder_add_host(b->builder, &host), 0);
	b->given = text_init(b->given_text, sizeof(b->given_text));
	b->expected = text_init(b->expected_text, sizeof(b->expected_text));
	b->line = line;
}

static void end_block(struct block *b)
{
	static char got[BLOCK_MAX_LEN];
	struct text t = text_init(got, sizeof(got));

	if (b->given.len > 0) {
		tell(b, &t);
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
		} else if (strchr("!=?", line[0])) {
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
