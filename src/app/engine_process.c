/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's process: confinement first, then the loop. From the moment it says that it is ready it
 * cannot open a file, start a program or signal a process; see confine.c.
 */
#include "app/engine_process.h"

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/complain.h"
#include "app/confine.h"
#include "app/engine_loop.h"
#include "app/process_title.h"

void engine_process(const struct engine_params *params)
{
	const struct confinement confinement = {
	    .fds = {params->port.fd, params->control_fd, params->ready_fd, params->events_fd,
		params->addresses_fd,
		params->port.kind == PORT_KIND_VHOST_USER ? params->port.inflight_fd : -1},
	    .listeners = params->published->fds,
	    .listener_count = params->published->count,
	    .port = params->port.kind,
	    .parent = params->launcher,
	};
	struct engine_params p = *params;
	struct rlimit files;
	int result;

	/* The limit cannot be asked for later; confinement raises it to the hard one. */
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		_exit(EXIT_OWN_FAILURE);
	p.sock_limit = files.rlim_max < 1U << 24 ? (uint32_t)files.rlim_max : 1U << 24;
	process_title_set("sluice-engine");
	if (confine_engine(&confinement) < 0)
		_exit(EXIT_OWN_FAILURE);
	result = engine_loop(&p);
	if (result < 0)
		complain("the engine cannot go on: %s", strerror(-result));
	_exit(result < 0 ? EXIT_OWN_FAILURE : 0);
}
