/* SPDX-License-Identifier: Apache-2.0 */
/* What the command may not do, besides what its namespaces keep from it. */
#ifndef SLUICE_APP_COMMAND_CONFINE_H
#define SLUICE_APP_COMMAND_CONFINE_H

#include <stdbool.h>

/* Confines the calling process and its descendants: no capability (is_root: only those that
 * a container has by default, within the user namespace), no system call that leads around the
 * network namespace, and no signal to outside; is_group_shared: processes outside are in the same
 * process group. Called as the owner of a user namespace. 0, or -1 with one sentence printed. */
__attribute__((warn_unused_result)) int command_confine(bool is_root, bool is_group_shared);

#endif
