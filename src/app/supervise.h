/* SPDX-License-Identifier: Apache-2.0 */
/* The launcher while the command runs. */
#ifndef SLUICE_APP_SUPERVISE_H
#define SLUICE_APP_SUPERVISE_H

#include <stdbool.h>
#include <sys/types.h>

#include "app/network.h"

/* What the launcher holds. Its own descriptors are closed by supervise(). */
struct supervisor {
	struct network *net; /* borrowed */
	pid_t init;          /* process 1 of the sandbox */
	int channel;         /* to init */
	int signals;         /* signalfd of all signals, non-blocking */
	bool has_own_group;  /* the sandbox is a process group and has the terminal (init.c) */
};

/* Tells init to run the command, and serves it until the command has ended and all processes have
 * gone. Returns the command's wait status, or -1 when sluice has failed, with one sentence printed. */
__attribute__((warn_unused_result)) int supervise(struct supervisor *s);

#endif
