/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user port: the frame device over the virtqueues of a virtual machine, which its monitor (QEMU,
 * cloud-hypervisor, crosvm) shares over a Unix socket. The monitor is the front end, this is the back end.
 *
 * Connections come from a supply (port/supply.h), one at a time. A front end may go and come back, or another may come:
 * meanwhile there are no frames and no room, and what the engine has goes on.
 */
#ifndef SLUICE_PORT_VHOST_USER_H
#define SLUICE_PORT_VHOST_USER_H

#include <stdint.h>

#include "port/port.h"

struct vhost_user_config {
	int supply; /* the port's end, taken over; of connected Unix stream sockets */
	int inflight_fd; /* from vhost_user_inflight_new(), taken over; -1: front ends cannot keep what is in flight */
	uint16_t mtu; /* of the guest's link */
	/* Told why a queue or the connection is of no use, a sentence without a full stop; the front end can cause
	 * any number. May be NULL. */
	void (*on_note)(void *ctx, const char *text);
	void *note_ctx;
};

/* A memory file for chains in flight. To be called before the process is confined, which can make none. 0 or -errno. */
__attribute__((warn_unused_result)) int vhost_user_inflight_new(int *ret_fd);

/* Takes the descriptors over when it succeeds. 0 or -errno. */
__attribute__((warn_unused_result)) int vhost_user_port_new(
    const struct vhost_user_config *cfg, struct port **ret_port);

#endif
