/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sluice diff OLD NEW: what the edit opens and closes, by policy_diff(), and where the rules that decide stand. The
 * group `host` is an address that stands for the machine, so that the answer is the same on every one.
 */
#include "app/diff.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app/complain.h"
#include "app/document.h"
#include "app/net_options.h"
#include "app/options.h"

#define HOST "198.51.100.254"

enum {
	CHANGE_TEXT_MAX = 4 * POLICY_RULE_TEXT_MAX,
};

struct side {
	const char *path;
	struct document document;
	struct policy_builder *builder;
	struct policy *policy;
};

struct diff {
	struct side sides[2]; /* old, new */
	size_t path_count;
	uint32_t changes;
};

/* A document without a network allows nothing. 0, or -1 after a sentence. */
static int deny_all(struct side *s)
{
	policy_builder_free(s->builder);
	s->builder = policy_builder_new();
	if (s->builder == NULL)
		return complain("there is no memory for the rules");
	policy_builder_set_default(s->builder, POLICY_EGRESS, POLICY_DENY);
	policy_builder_set_default(s->builder, POLICY_INGRESS, POLICY_DENY);
	return 0;
}

static int read_side(struct side *s)
{
	struct ip_addr host;
	int result;

	s->document.is_quiet = true;
	s->builder = policy_builder_new();
	if (s->builder == NULL)
		return complain("there is no memory for the rules");
	result = document_load(&s->document, s->path, s->builder);
	if (result > 0)
		return complain("the document %s cannot be used", s->document.name);
	if (result < 0 || (!s->document.config.is_enabled && deny_all(s) < 0))
		return -1;
	if (ip_addr_parse(HOST, &host) != 0 || policy_builder_add_host(s->builder, &host) != 0 ||
	    policy_builder_compile(s->builder, &s->policy) != 0)
		return complain("there is no memory for the rules");
	return 0;
}

static void side_fini(struct side *s)
{
	policy_free(s->policy);
	policy_builder_free(s->builder);
	document_fini(&s->document);
}

/* Where the rule that decides stands, if it is one of the document. */
static void print_place(const char *what, const struct side *s, const struct policy_verdict *v)
{
	const struct config *c = &s->document.config;

	if (v->rule < c->origin_count)
		(void)printf("  %s: %s:%u:%u\n", what, c->files[c->origins[v->rule].file],
		    c->origins[v->rule].place.line, c->origins[v->rule].place.column);
}

static void on_change(void *ctx, const struct policy_change *change)
{
	struct diff *d = ctx;
	char text[CHANGE_TEXT_MAX];

	d->changes++;
	(void)printf("%s\n",
	    policy_change_text(d->sides[0].policy, d->sides[1].policy, change, text, sizeof(text)));
	print_place("now", &d->sides[1], &change->after);
	print_place("before", &d->sides[0], &change->before);
}

static int compare(struct diff *d)
{
	bool is_whole;

	if (policy_diff(d->sides[0].policy, d->sides[1].policy, on_change, d, &is_whole) != 0)
		return complain("there is no memory for the comparison");
	return is_whole ? 0
			: complain("the documents are too different, or too large, to tell all "
				   "that changes; compare them in steps");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct diff *d = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (d->path_count == 2)
			options_refuse("'%s' is one file too many; diff takes two", arg);
		d->sides[d->path_count++].path = arg;
		return 0;
	case ARGP_KEY_END:
		if (d->path_count < 2)
			options_refuse("which documents? sluice diff OLD NEW");
		if (strcmp(d->sides[0].path, "-") == 0 && strcmp(d->sides[1].path, "-") == 0)
			options_refuse("standard input can be one of the documents, not both");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int diff_main(int argc, char **argv)
{
	static const struct argp_option no_options[] = {{0}};
	static const struct argp parser = {
	    .options = no_options,
	    .parser = parse,
	    .args_doc = "OLD NEW",
	    .doc = "Says what the document NEW opens that OLD does not, and what it closes.\v"
		   "Exit status: 0 nothing, 1 something, 125 if sluice fails.\n"
		   "See sluice-diff(1).",
	};
	struct diff d = {0};
	int result = EXIT_OWN_FAILURE;

	options_parse(&parser, argc, argv, &d);
	if (read_side(&d.sides[0]) == 0 && read_side(&d.sides[1]) == 0 && compare(&d) == 0)
		result = d.changes > 0 ? EXIT_DIFFERENT : 0;
	if (fflush(stdout) != 0 || ferror(stdout) != 0) {
		complain("standard output cannot be written: %s", strerror(errno));
		result = EXIT_OWN_FAILURE;
	}
	side_fini(&d.sides[0]);
	side_fini(&d.sides[1]);
	return result;
}
