/* SPDX-License-Identifier: Apache-2.0 */
/* Confinement of the process that reads what the guest sends. */
#ifndef SLUICE_APP_CONFINE_H
#define SLUICE_APP_CONFINE_H

#include <stddef.h>
#include <sys/types.h>

#include "port/port_open.h"

enum {
	CONFINE_FDS_MAX = 6,
};

struct confinement {
	int fds[CONFINE_FDS_MAX]; /* kept besides standard error; -1: unused */
	const int *listeners;     /* kept too: sockets of published ports */
	size_t listener_count;
	enum port_kind port; /* of the engine; others need other system calls */
	pid_t parent;        /* the process ends when this one, its parent, does */
};

/* Gives up, for good, all that an engine does not need: the terminal, the file system, capabilities,
 * root's identity, other processes, and all system calls but those in the list of confine.c. A
 * forbidden call then ends the process with SIGSYS. What stays: the host's network namespace. 0, or
 * -1 with one sentence printed: the process must then end. */
__attribute__((warn_unused_result)) int confine_engine(const struct confinement *c);

#endif
