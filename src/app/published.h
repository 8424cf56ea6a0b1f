/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets of published ports, from the launcher's start until the engine has them. */
#ifndef SLUICE_APP_PUBLISHED_H
#define SLUICE_APP_PUBLISHED_H

#include <stddef.h>

#include "engine/publish_spec.h"

struct published {
	struct publish_spec *specs; /* owned; port 0 has become the one that was picked */
	int *fds;                   /* owned; -1: closed */
	size_t count;
};

/* What --publish and its companions say. */
struct publish_options {
	struct publish_spec *specs; /* owned */
	const char **texts;         /* owned array of borrowed texts, as they were given; NULL: not
				       by options */
	size_t count;
	enum publish_source source;
	bool has_proxy_header;
};

/* Binds these ports too; tells of those that were picked, and warns of those that others than the host can reach. 0,
 * or -1 with one sentence printed. */
__attribute__((warn_unused_result)) int published_add(
    struct published *p, const struct publish_options *o, uint32_t keepalive_s);

/* Closes the sockets that are left. */
void published_close(struct published *p);
void published_fini(struct published *p);

#endif
