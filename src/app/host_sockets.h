/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets in the file system by which services of the host can be asked to do something. */
#ifndef SLUICE_APP_HOST_SOCKETS_H
#define SLUICE_APP_HOST_SOCKETS_H

#include <stddef.h>

struct host_sockets {
	char **paths; /* absolute; not known to exist */
	size_t count;
	size_t cap;
};

/* Lists all sockets that processes of the caller's network namespace listen on, and the usual places
 * of services that may have been passed in from outside of it. Those in keep (paths; compared by
 * what they name) are left out. 0, or -1 with one sentence printed. */
__attribute__((warn_unused_result)) int host_sockets_list(
    const char *const *keep, size_t keep_count, struct host_sockets *ret_list);

void host_sockets_fini(struct host_sockets *list);

#endif
