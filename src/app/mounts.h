/* SPDX-License-Identifier: Apache-2.0 */
/* The mount namespace of the command: what it sees instead of the host's files. */
#ifndef SLUICE_APP_MOUNTS_H
#define SLUICE_APP_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>

#include "app/covers.h"

struct mounts_plan {
	const char *resolv_conf; /* text of /etc/resolv.conf */
	const char *hosts;       /* text of /etc/hosts */
	char *const *sockets;    /* paths of sockets to cover; those that cannot be reached are
	                                * passed over */
	size_t socket_count;
	bool is_root; /* the command runs as uid 0: kernel settings become read-only */
};

/* Changes the mount namespace of the calling process, which must have been made together with its
 * user, network and PID namespace. ret_covers: what is to be kept in place from then on, until the process
 * ends; it refers to plan. 0, or -1 with one sentence printed. */
__attribute__((warn_unused_result)) int mounts_set_up(
    const struct mounts_plan *plan, struct covers *ret_covers);

#endif
