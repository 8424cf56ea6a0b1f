/* SPDX-License-Identifier: Apache-2.0 */
/* The mount namespace of the command: what it sees instead of the host's files. */
#ifndef SLUICE_APP_MOUNTS_H
#define SLUICE_APP_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>

struct mounts_plan {
	const char *resolv_conf; /* text of /etc/resolv.conf */
	const char *hosts;       /* text of /etc/hosts */
	char *const *sockets;    /* paths of sockets to cover; those that cannot be reached are
	                                * passed over */
	size_t socket_count;
	bool is_root; /* the command runs as uid 0: kernel settings become read-only */
};

/* Changes the mount namespace of the calling process, which must have been made together with its
 * user, network and PID namespace. 0, or -1 with one sentence printed. */
__attribute__((warn_unused_result)) int mounts_set_up(const struct mounts_plan *plan);

#endif
