/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows the host's resolver configuration: the file that resolv.conf(5) describes, the symbolic links through which it is
 * reached, and the directories in which these stand, so that it is seen to appear, to be replaced and to go.
 */
#ifndef SLUICE_HOST_RESOLV_WATCH_H
#define SLUICE_HOST_RESOLV_WATCH_H

#include <stdbool.h>

/* A descriptor that is readable when the file may be another one. -errno. */
__attribute__((warn_unused_result)) int resolv_watch_open(const char *path);

/* The descriptor is readable: takes what it tells, and watches what is to be watched now. True: the file wants to be
 * read again. */
__attribute__((warn_unused_result)) bool resolv_watch_on_ready(int fd, const char *path);

#endif
