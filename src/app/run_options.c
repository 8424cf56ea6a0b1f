/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of `sluice run`. Options end where the command begins: what stands behind it belongs
 * to it, with or without "--".
 */
#include "app/run_options.h"

#include <stdlib.h>
#include <string.h>

#include "app/options.h"

enum {
	KEY_KEEP_SOCKET = OPTION_KEY_OWN,
	KEY_KEEP_HOST_SOCKETS,

	GROUP_HOST = OPTION_GROUP_OWN,
};

static const struct argp_option option_table[] = {
    {NULL, 0, NULL, 0, "The host's services:", GROUP_HOST},
    {"keep-socket", KEY_KEEP_SOCKET, "PATH", 0,
	"Let the command reach this Unix socket of the host; may be repeated", 0},
    {"keep-host-sockets", KEY_KEEP_HOST_SOCKETS, NULL, 0, "Let the command reach all of them", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct run_options *o = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &o->net;
		return 0;
	case KEY_KEEP_SOCKET:
		string_list_add(&o->keep_sockets, arg);
		return 0;
	case KEY_KEEP_HOST_SOCKETS:
		o->keeps_all_sockets = true;
		return 0;
	case ARGP_KEY_ARG:
		/* The first word that is no option, and all behind it: the command. */
		o->command = &state->argv[state->next - 1];
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		options_refuse(
		    "there is no command to run; say it behind the options: sluice run -- "
		    "COMMAND");
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {{&net_options_argp, 0, NULL, 0}, {0}};

static const struct argp parser = {
    .options = option_table,
    .parser = parse,
    .children = children,
    .args_doc = "COMMAND [ARGUMENT...]",
    .doc = "Runs COMMAND behind its own network."
	   "\v"
	   "Exit status: the command's; 125 if sluice fails, 126 if COMMAND cannot be run, 127 if "
	   "it is "
	   "not found.\n"
	   "See sluice(1) for rules, profiles and examples.",
};

void run_options_parse(int argc, char **argv, struct run_options *ret_options)
{
	struct run_options o = {.net = net_options_default()};

	options_parse(&parser, argc, argv, &o);
	*ret_options = o;
}

void run_options_fini(struct run_options *o)
{
	net_options_fini(&o->net);
	free((void *)o->keep_sockets.items);
}
