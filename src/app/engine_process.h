/* SPDX-License-Identifier: Apache-2.0 */
/* The process in which the engine runs. */
#ifndef SLUICE_APP_ENGINE_PROCESS_H
#define SLUICE_APP_ENGINE_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

#include "app/published.h"
#include "engine/engine.h"
#include "port/port_open.h"

struct engine_params {
	struct port_config port; /* of the guest; its descriptor is non-blocking */
	int control_fd;   /* a byte: enum host_stop, deliver what the guest has sent, then exit;
	                 * end of file: exit at once */
	int ready_fd;     /* a byte is written here when the guest may begin */
	int events_fd;    /* pipe for events, non-blocking; -1: none */
	int addresses_fd; /* of host_follow_open() */
	const struct published *published; /* ports; the engine closes their sockets */
	struct policy_builder *builder;    /* of config.policy */
	struct engine_counters *counters;  /* shared memory, zeroed */
	struct engine_config config;       /* on_event is set by engine_loop() */
	uint32_t sock_limit; /* descriptors that may be open; set by engine_process() */
	pid_t launcher;      /* parent process */
};

/* Confines the calling process, which has just been forked, and runs the engine in it. Of its
 * descriptors only those of params and standard error are kept. Exit status 0: asked to end. */
_Noreturn void engine_process(const struct engine_params *params);

#endif
