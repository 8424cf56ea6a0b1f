/* SPDX-License-Identifier: Apache-2.0 */
/* All kinds of ports, by name of the kind. */
#ifndef SLUICE_PORT_PORT_OPEN_H
#define SLUICE_PORT_PORT_OPEN_H

#include <stdbool.h>
#include <stdint.h>

#include "port/port.h"

enum port_kind {
	PORT_KIND_TAP,
	PORT_KIND_STREAM,
	PORT_KIND_DGRAM,
	PORT_KIND_BESS,
	PORT_KIND_VHOST_USER,
};

struct port_config {
	enum port_kind kind;
	int fd;            /* TAP: the device; else the port's end of a supply (supply.h) */
	uint32_t features; /* NIC_F_... that the guest's side takes */
	bool has_vnet;     /* sockets: a virtio-net header stands before each frame */

	/* vhost-user, see vhost_user.h; features and has_vnet are its own business. */
	int inflight_fd;
	uint16_t mtu;
	void (*on_note)(void *ctx, const char *text);
	void *note_ctx;
};

/* Takes the descriptors over when it succeeds. 0 or -errno. */
__attribute__((warn_unused_result)) int port_open(
    const struct port_config *cfg, struct port **ret_port);

#endif
