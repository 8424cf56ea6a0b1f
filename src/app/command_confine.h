/* SPDX-License-Identifier: Apache-2.0 */
/* What the command may not do, besides what its namespaces keep from it. */
#ifndef SLUICE_APP_COMMAND_CONFINE_H
#define SLUICE_APP_COMMAND_CONFINE_H

#include <stdbool.h>

/* Confines the calling process, which is to be init, and its descendants: no capability (is_root:
 * only those that a container has by default, within the user namespace) but CAP_SYS_ADMIN over the
 * namespaces, no system call that leads around the network namespace, and no signal to outside;
 * is_group_shared: processes outside are in the same process group. Called as the owner of a user
 * namespace. 0, or -1 with one sentence printed. */
__attribute__((warn_unused_result)) int command_confine(bool is_root, bool is_group_shared);

/* Takes CAP_SYS_ADMIN from the calling process, which is to be the command. 0, or -1 with one sentence
 * printed. */
__attribute__((warn_unused_result)) int command_drop_caps(bool is_root);

#endif
