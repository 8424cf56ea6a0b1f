/* SPDX-License-Identifier: Apache-2.0 */
/* New namespaces. */
#ifndef SLUICE_APP_SANDBOX_H
#define SLUICE_APP_SANDBOX_H

#include <sys/types.h>

/* Like fork(2): the child is process 1 of a new PID namespace, in a new user, mount and network
 * namespace, and has no ids until the parent has written its maps. 0 in the child; in the parent its pid,
 * or -1 with one sentence printed. */
__attribute__((warn_unused_result)) pid_t sandbox_clone(void);

/* Says why namespaces cannot be made, by the error of the kernel (errno) and by its settings, and what to do. -1. */
int sandbox_complain(int error);

/* What to do when a process in new namespaces may not do what it has a capability for: the end of a
 * sentence, behind a semicolon. errno is kept. */
const char *sandbox_denial_remedy(void);

#endif
