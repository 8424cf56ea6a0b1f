/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's process: confinement first, then the loop. From the moment it says that it is ready it
 * cannot open a file, start a program or signal a process; see confine.c.
 */
#include "app/engine_process.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "app/complain.h"
#include "app/confine.h"

/* Takes frames off the TAP and forgets them, until the launcher wants the process to end. */
static int engine_loop(const struct engine_params *params)
{
	struct pollfd fds[] = {
	    {.fd = params->tap_fd, .events = POLLIN},
	    {.fd = params->control_fd, .events = POLLIN},
	};
	static uint8_t frame[VNET_HDR_SIZE + NIC_HEAD_MAX + NIC_BODY_MAX];

	while (fds[1].revents == 0) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return -errno;
		while (read(params->tap_fd, frame, sizeof(frame)) > 0)
			params->counters->nic.tx_frames++;
	}
	return 0;
}

void engine_process(const struct engine_params *params)
{
	const struct confinement confinement = {
	    .fds = {params->tap_fd, params->control_fd, params->ready_fd, params->events_fd},
	    .parent = params->launcher,
	};
	int result;

	if (confine_engine(&confinement) < 0)
		_exit(EXIT_OWN_FAILURE);
	if (write(params->ready_fd, "", 1) != 1)
		_exit(EXIT_OWN_FAILURE);
	close(params->ready_fd);
	result = engine_loop(params);
	if (result < 0)
		complain("the engine cannot go on: error %d", -result);
	_exit(result < 0 ? EXIT_OWN_FAILURE : 0);
}
