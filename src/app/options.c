/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading of command lines; see options.h. argp reads them, but does not tell what is wrong: its own
 * messages are two lines without the program's name, and its --help does not notice that nobody gets it.
 */
#include "app/options.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/net_options.h"

enum {
	KEY_HELP = '?',
	KEY_USAGE = 0x80, /* no character, and below the keys of all commands */
};

static const struct argp_option help_table[] = {
    {"help", KEY_HELP, NULL, 0, "Give this help list", -1},
    {"usage", KEY_USAGE, NULL, 0, "Give a short usage message", 0},
    {0},
};

_Noreturn static void print_help(struct argp_state *state, unsigned int what)
{
	state->flags &= ~(unsigned int)ARGP_NO_ERRS; /* which would silence it */
	argp_state_help(state, stdout, what & ~(unsigned int)ARGP_HELP_EXIT_OK);
	if (fflush(stdout) != 0 || ferror(stdout) != 0)
		options_refuse("the help cannot be written: %s", strerror(errno));
	exit(EXIT_SUCCESS);
}

/* An option as it was written. */
struct word {
	const char *name; /* behind the hyphens; not terminated */
	size_t len;
	char key; /* of a short option; 0: a long one */
};

struct match {
	const struct argp_option *option; /* one that fits; NULL: none */
	bool is_exact;
	bool is_unclear; /* others fit as well */
};

static void match_table(struct match *m, const struct argp_option *table, const struct word *w)
{
	for (const struct argp_option *o = table; o->name != NULL || o->group != 0; o++) {
		if (o->name == NULL || m->is_exact)
			continue;
		if (w->key != 0 ? o->key != w->key : strncmp(o->name, w->name, w->len) != 0)
			continue;
		m->is_exact = w->key != 0 || strlen(o->name) == w->len;
		m->is_unclear = !m->is_exact && m->option != NULL;
		m->option = o;
	}
}

static struct match match(const struct argp *parser, const struct word *w)
{
	struct match m = {0};

	match_table(&m, parser->options, w);
	for (const struct argp_child *c = parser->children; c != NULL && c->argp != NULL; c++)
		match_table(&m, c->argp->options, w);
	match_table(&m, help_table, w);
	return m;
}

static void check_long(const struct argp *parser, const char *command, const char *arg)
{
	struct word w = {.name = arg + 2, .len = strcspn(arg + 2, "=")};
	struct match m = match(parser, &w);
	int len = (int)w.len + 2;

	if (m.option == NULL)
		options_refuse(
		    "there is no option %.*s; `%s --help` lists them", len, arg, command);
	if (m.is_unclear)
		options_refuse("%.*s could be one of several options; `%s --help` lists them", len,
		    arg, command);
	if (m.option->arg == NULL && arg[len] == '=')
		options_refuse("--%s takes no value; leave %s away", m.option->name, arg + len);
	if (m.option->arg != NULL && arg[len] == '\0')
		options_refuse("--%s needs a value: %s", m.option->name, m.option->arg);
}

static void check_short(const struct argp *parser, const char *command, const char *arg)
{
	for (const char *at = arg + 1; *at != '\0'; at++) {
		struct word w = {.key = *at};

		if (match(parser, &w).option == NULL)
			options_refuse(
			    "there is no option -%c; `%s --help` lists them", *at, command);
	}
}

/* Ends the program if arg is an option that is wrong. */
static void check(const struct argp *parser, const char *command, const char *arg)
{
	if (arg[0] != '-' || arg[1] == '\0')
		return;
	if (arg[1] == '-')
		check_long(parser, command, arg);
	else
		check_short(parser, command, arg);
}

/* Tells what argp has refused: the word before the next one, unless it is in a row of short options, which
 * argp has not passed yet. */
static void tell_error(const struct argp_state *state)
{
	const struct argp *parser = state->root_argp->children[0].argp;

	if (state->next > 1)
		check(parser, state->argv[0], state->argv[state->next - 1]);
	if (state->next < state->argc)
		check(parser, state->argv[0], state->argv[state->next]);
}

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
	(void)arg;
	switch (key) {
	case KEY_HELP:
		print_help(state, ARGP_HELP_STD_HELP);
	case KEY_USAGE:
		print_help(state, ARGP_HELP_USAGE);
	case ARGP_KEY_ERROR:
		tell_error(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp common = {.options = help_table, .parser = parse_common};

void options_parse(const struct argp *parser, int argc, char **argv, void *input)
{
	static const unsigned int flags =
	    ARGP_IN_ORDER | ARGP_NO_HELP | ARGP_NO_ERRS | ARGP_NO_EXIT;
	const struct argp_child children[] = {{parser, 0, NULL, 0}, {&common, 0, NULL, 0}, {0}};
	const struct argp all = {.children = children};
	error_t failed = argp_parse(&all, argc, argv, flags, NULL, input);

	if (failed != 0)
		options_refuse("the command line cannot be read: %s", strerror(failed));
}
