/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user port: the frame device over the virtqueues of a virtual machine, which its monitor (QEMU,
 * cloud-hypervisor, crosvm) shares over a Unix socket. The monitor is the front end, this is the back end.
 *
 * One front end at a time. It may go and come back, or another may come: meanwhile there are no frames and no room,
 * and what the engine has goes on.
 */
#ifndef SLUICE_PORT_VHOST_USER_H
#define SLUICE_PORT_VHOST_USER_H

#include <stdint.h>

#include "port/port.h"

enum vhost_user_source {
	VHOST_USER_LISTENING, /* fd listens; front ends connect to it, one after the other */
	VHOST_USER_CONNECTED, /* fd is the connection; when it ends, the port is gone */
};

struct vhost_user_config {
	enum vhost_user_source source;
	int fd; /* Unix stream socket, non-blocking; taken over */
	int inflight_fd; /* from vhost_user_inflight_new(), taken over; -1: front ends cannot keep what is in flight */
	uint16_t mtu; /* of the guest's link */
	/* Told what happens to the connection, a sentence without a full stop. May be NULL. */
	void (*on_note)(void *ctx, const char *text);
	void *note_ctx;
};

/* Listens at a path. A socket that nobody listens at any more is replaced. 0; -EADDRINUSE: somebody listens there, or
 * it is something else; -ENAMETOOLONG; other -errno. */
__attribute__((warn_unused_result)) int vhost_user_listen(const char *path, int *ret_fd);

/* Connects to a front end that listens at a path. 0 or -errno. */
__attribute__((warn_unused_result)) int vhost_user_connect(const char *path, int *ret_fd);

/* A memory file for chains in flight. To be called before the process is confined, which can make none. 0 or -errno. */
__attribute__((warn_unused_result)) int vhost_user_inflight_new(int *ret_fd);

/* Takes the descriptors over when it succeeds. 0, -ENOMEM or -errno of the memory file. */
__attribute__((warn_unused_result)) int vhost_user_port_new(
    const struct vhost_user_config *cfg, struct port **ret_port);

#endif
