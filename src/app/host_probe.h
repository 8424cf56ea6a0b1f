/* SPDX-License-Identifier: Apache-2.0 */
/* What the host can do, asked at the start; nothing is sent and nothing is changed. */
#ifndef SLUICE_APP_HOST_PROBE_H
#define SLUICE_APP_HOST_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

/* Whether the host has a route to the internet in a family (A5): asked with an address of the
 * documentation range, by connecting a UDP socket, which sends nothing. */
bool host_probe_has_route(int family);

/* Reads the resolvers of the host; 127.0.0.1 where it names none, as libc does. At most cap; their
 * number. */
uint32_t host_probe_resolvers(struct endpoint *out, uint32_t cap);

/* Checks the descriptors that were inherited: one that leads to the host's network or around the mount
 * namespace (a socket other than a Unix socket, a directory) is closed when the command
 * starts, or, being standard input, output or error, is refused. 0, or -1 with one sentence printed. */
__attribute__((warn_unused_result)) int host_probe_inherited_fds(void);

#endif
