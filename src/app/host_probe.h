/* SPDX-License-Identifier: Apache-2.0 */
/* What was inherited, asked at the start. */
#ifndef SLUICE_APP_HOST_PROBE_H
#define SLUICE_APP_HOST_PROBE_H

/* A standard descriptor that is closed would be taken by the next file that is opened, which would then be read
 * or written as the terminal: its place is kept. 0, or -1 with one sentence printed. */
__attribute__((warn_unused_result)) int host_probe_keep_places(void);

/* Checks the descriptors that were inherited: one that leads to the host's network or around the mount
 * namespace (a socket other than a Unix socket, a directory) is closed when the command
 * starts, or, being standard input, output or error, is refused. 0, or -1 with one sentence printed. */
__attribute__((warn_unused_result)) int host_probe_inherited_fds(void);

#endif
