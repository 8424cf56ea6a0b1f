/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `sluice run`. */
#ifndef SLUICE_APP_RUN_OPTIONS_H
#define SLUICE_APP_RUN_OPTIONS_H

#include <stdbool.h>

#include "app/net_options.h"

struct run_options {
	struct net_options net;
	struct string_list keep_sockets; /* --keep-socket */
	bool keeps_all_sockets;          /* --keep-host-sockets */
	char **command;                  /* NULL-terminated, at least one; borrowed from argv */
};

/* Reads argv (argv[0] is the name for messages). Ends the program for --help and --usage, and with
 * EXIT_OWN_FAILURE and one sentence on standard error for what cannot be understood. */
void run_options_parse(int argc, char **argv, struct run_options *ret_options);

void run_options_fini(struct run_options *o);

#endif
