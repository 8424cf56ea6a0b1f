/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `sluice run`. */
#ifndef SLUICE_APP_RUN_OPTIONS_H
#define SLUICE_APP_RUN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/settings.h"
#include "policy/policy.h"

/* A list of option values, in the order of the command line. */
struct string_list {
	const char **items; /* borrowed strings; the array is owned */
	size_t count;
};

struct run_options {
	/* what is allowed */
	struct string_list rules;    /* --net-rule */
	struct string_list profiles; /* --net */
	bool has_default[2];         /* --net-default-..., indexed by enum policy_direction */
	enum policy_action defaults[2];

	struct settings settings; /* addresses, limits, times, resolvers */

	/* the rest */
	struct string_list keep_sockets; /* --keep-socket */
	bool keeps_all_sockets;          /* --keep-host-sockets */
	const char *events;              /* --events: path, "-" for standard error, NULL: none */
	bool has_stats;
	char **command; /* NULL-terminated, at least one; borrowed from argv */
};

/* Reads argv (argv[0] is the name for messages). Ends the program for --help and --usage, and with
 * EXIT_OWN_FAILURE and one sentence on standard error for what cannot be understood. */
void run_options_parse(int argc, char **argv, struct run_options *ret_options);

void run_options_fini(struct run_options *o);

#endif
