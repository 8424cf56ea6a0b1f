/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls of the engine. */
#ifndef SLUICE_APP_CONFINE_CALLS_H
#define SLUICE_APP_CONFINE_CALLS_H

#include <stdbool.h>

#include "port/port_open.h"

/* From now on, a system call that is not in the list of confine_calls.c, for an engine with this kind of port, and
 * with sockets of published ports or without, ends the process with SIGSYS. 0, or -1 with one sentence printed. */
__attribute__((warn_unused_result)) int confine_calls(enum port_kind kind, bool has_listeners);

#endif
