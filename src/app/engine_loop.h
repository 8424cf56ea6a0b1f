/* SPDX-License-Identifier: Apache-2.0 */
/* The engine over a TAP and the host's sockets. */
#ifndef SLUICE_APP_ENGINE_LOOP_H
#define SLUICE_APP_ENGINE_LOOP_H

#include "app/engine_process.h"

/* Makes the engine, tells ready_fd, and runs it until control_fd asks it to end, or the guest's link is
 * gone, and everything that the guest has sent has been delivered. Called in the confined process. 0 or
 * -errno. */
int engine_loop(const struct engine_params *params);

#endif
