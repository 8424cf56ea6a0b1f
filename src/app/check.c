/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sluice check: what is wrong with documents, each mistake with its place, and rules that can never decide
 * anything. sluice config print: the effective document.
 *
 * Both look at nothing but the documents, so that they say the same on every machine.
 */
#include "app/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/complain.h"
#include "app/document.h"
#include "app/net_options.h"
#include "app/options.h"
#include "config/print.h"

enum {
	WARNING_MAX = 3 * POLICY_RULE_TEXT_MAX,
};

/* A document and its policy. */
struct reading {
	struct document document;
	struct policy_builder *builder;
	struct policy *policy;
};

/* Reads one. 0; 1: it has errors, which were shown; -1 after a sentence. */
static int read_document(struct reading *r, const char *path)
{
	int result;

	*r = (struct reading){.builder = policy_builder_new()};
	if (r->builder == NULL)
		return complain("there is no memory for the rules");
	result = document_load(&r->document, path, r->builder);
	if (result == 0 && policy_builder_compile(r->builder, &r->policy) != 0)
		return complain("there is no memory for the rules");
	return result;
}

static void reading_fini(struct reading *r)
{
	policy_free(r->policy);
	policy_builder_free(r->builder);
	document_fini(&r->document);
}

/* Addresses that do not fit together. 0 or 1. */
static int check_addresses(const struct document *d)
{
	struct addressing a = d->config.settings.addressing;
	char error[ADDRESSING_ERROR_MAX];
	struct netif_config netif;

	a.name_prefix = "interface: ";
	a.has_route_v4 = a.has_route_v6 = true;
	if (addressing_derive(&a, error, &netif) == 0)
		return 0;
	document_show(&(struct config_message){
	    .file = d->name, .place = {.line = 1, .column = 1}, .width = 1, .text = error});
	return 1;
}

static void check_rules(struct reading *r)
{
	struct config *c = &r->document.config;
	struct policy_warning w;
	char text[WARNING_MAX];
	uint32_t cursor = 0;

	while (policy_warning_next(r->policy, &cursor, &w)) {
		policy_warning_text(r->policy, &w, text, sizeof(text));
		if (w.rule < c->origin_count)
			document_warn(&r->document, &c->origins[w.rule], text);
	}
}

/* 0, 1, or EXIT_OWN_FAILURE. */
static int check_one(const char *path)
{
	struct reading r;
	int result = read_document(&r, path);

	if (result == 0)
		result = check_addresses(&r.document);
	if (result == 0) {
		check_rules(&r);
		if (printf("%s: good: %u rule%s, %u warning%s\n", r.document.name,
			policy_rule_count(r.policy), policy_rule_count(r.policy) == 1 ? "" : "s",
			r.document.warnings, r.document.warnings == 1 ? "" : "s") < 0)
			result = complain("standard output cannot be written: %s", strerror(errno));
	}
	reading_fini(&r);
	return result < 0 ? EXIT_OWN_FAILURE : result > 0 ? EXIT_NOT_GOOD : 0;
}

static error_t parse_paths(int key, char *arg, struct argp_state *state)
{
	struct string_list *paths = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		string_list_add(paths, arg);
		return 0;
	case ARGP_KEY_NO_ARGS:
		options_refuse("which document? name a file, or - for standard input");
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int check_main(int argc, char **argv)
{
	static const struct argp_option no_options[] = {{0}};
	static const struct argp parser = {
	    .options = no_options,
	    .parser = parse_paths,
	    .args_doc = "FILE...",
	    .doc = "Says what is wrong with configuration documents; - is standard input.\v"
		   "Exit status: 0 if all are good, 1 if one has errors, 125 if sluice fails.\n"
		   "See sluice-config(5) for what a document is.",
	};
	struct string_list paths = {0};
	int worst = 0;

	options_parse(&parser, argc, argv, &paths);
	for (size_t i = 0; i < paths.count; i++) {
		int result = check_one(paths.items[i]);

		worst = result > worst ? result : worst;
	}
	free((void *)paths.items);
	if (fflush(stdout) != 0) {
		complain("standard output cannot be written: %s", strerror(errno));
		return EXIT_OWN_FAILURE;
	}
	return worst;
}

/* ---- sluice config ---- */

struct print_options {
	const char *verb; /* NULL: not yet */
	const char *path;
};

static error_t parse_print(int key, char *arg, struct argp_state *state)
{
	struct print_options *o = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (o->verb == NULL && strcmp(arg, "print") != 0)
			options_refuse("there is no 'sluice config %s'; use print", arg);
		if (o->path != NULL)
			options_refuse("'%s' is one file too many; print takes one", arg);
		if (o->verb == NULL)
			o->verb = arg;
		else
			o->path = arg;
		return 0;
	case ARGP_KEY_END:
		if (o->verb == NULL)
			options_refuse("what is to be done? sluice config print FILE");
		if (o->path == NULL)
			options_refuse("which document? name a file, or - for standard input");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int config_main(int argc, char **argv)
{
	static const struct argp_option no_options[] = {{0}};
	static const struct argp parser = {
	    .options = no_options,
	    .parser = parse_print,
	    .args_doc = "print FILE",
	    .doc = "Prints what a configuration document says, as JSON that says the same.\v"
		   "Each value is in it, also those that are defaults; profiles are rules.\n"
		   "Exit status: 0; 125 if the document is not good, or sluice fails.\n"
		   "See sluice-config(5).",
	};
	struct print_options o = {0};
	struct reading r;
	int result;

	options_parse(&parser, argc, argv, &o);
	result = read_document(&r, o.path);
	if (result == 0 && config_print(&r.document.config, r.policy, stdout) < 0)
		result = complain("standard output cannot be written: %s", strerror(errno));
	reading_fini(&r);
	return result == 0 ? 0 : EXIT_OWN_FAILURE;
}
