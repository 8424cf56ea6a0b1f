/* SPDX-License-Identifier: Apache-2.0 */
/* User and group ids of the sandbox's user namespace. */
#ifndef SLUICE_APP_ID_MAP_H
#define SLUICE_APP_ID_MAP_H

#include <stdbool.h>
#include <sys/types.h>

/* Writes the id maps of a process that has just been made in a new user namespace: as root the
 * identity of all ids, so that programs which change to another user work; else, or when the caller
 * may not do that, of the caller's own user and group only. 0, or -1 with one sentence printed. */
__attribute__((warn_unused_result)) int id_map_write(pid_t pid);

#endif
