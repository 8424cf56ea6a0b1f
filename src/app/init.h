/* SPDX-License-Identifier: Apache-2.0 */
/* The first process of the sandbox: sets its namespaces up, runs the command, reaps what is left. */
#ifndef SLUICE_APP_INIT_H
#define SLUICE_APP_INIT_H

#include <signal.h>
#include <stdbool.h>

#include "app/mounts.h"
#include "stack/netif.h"

/* How the launcher was started, for the command to get the same. */
struct caller_state {
	sigset_t mask;        /* blocked signals */
	bool is_chld_ignored; /* SIGCHLD */
	char *directory;      /* working directory; NULL: it has no path */
};

struct init_plan {
	const struct netif_config *netif; /* NULL: the command gets no network card */
	struct mounts_plan mounts;
	struct caller_state caller;
	bool has_own_group; /* the sandbox is to be a process group, in the terminal's foreground */
	char *const *command; /* NULL-terminated, at least one */
	int channel;          /* init's end of the channel to the launcher */
};

/* The body of process 1 of new user, network, mount and PID namespaces; all signals are blocked.
 * Everything that it cannot do is told in one sentence on standard error, with exit status 125. */
_Noreturn void init_process(const struct init_plan *plan);

#endif
