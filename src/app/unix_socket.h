/* SPDX-License-Identifier: Apache-2.0 */
/* Unix sockets in the file system, as the launcher makes them for guests. All are non-blocking and close-on-exec. */
#ifndef SLUICE_APP_UNIX_SOCKET_H
#define SLUICE_APP_UNIX_SOCKET_H

#include <sys/types.h>

/* A socket in the file system that was made here. */
struct unix_socket {
	const char *path; /* borrowed; NULL: none */
	dev_t device;     /* of the file, by which it is known again */
	ino_t inode;
};

/* Makes a socket of this type (SOCK_...) at a path, for our user only; streams and SOCK_SEQPACKET listen. A socket that
 * nobody holds any more is replaced. A descriptor, or -1 with one sentence printed. */
__attribute__((warn_unused_result)) int unix_socket_bind(
    const char *path, int type, struct unix_socket *ret_socket);

/* Removes the file, unless another is in its place by now. */
void unix_socket_remove(struct unix_socket *s);

/* Connects. A descriptor; -EAGAIN: nobody listens there yet; -1 with one sentence printed. */
__attribute__((warn_unused_result)) int unix_socket_connect(const char *path, int type);

/* The type of an inherited Unix socket, or -1. */
__attribute__((warn_unused_result)) int unix_socket_type(int fd);

#endif
