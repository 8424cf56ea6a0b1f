/* SPDX-License-Identifier: Apache-2.0 */
/* All kinds of ports; see port_open.h. */
#include "port/port_open.h"

#include <errno.h>

#include "port/dgram.h"
#include "port/stream.h"
#include "port/tap.h"
#include "port/vhost_user.h"

int port_open(const struct port_config *cfg, struct port **ret_port)
{
	const struct sock_port_config sock = {
	    .supply = cfg->fd, .features = cfg->features, .has_vnet = cfg->has_vnet};

	const struct vhost_user_config vhost_user = {
	    .supply = cfg->fd,
	    .inflight_fd = cfg->inflight_fd,
	    .mtu = cfg->mtu,
	    .on_note = cfg->on_note,
	    .note_ctx = cfg->note_ctx,
	};

	switch (cfg->kind) {
	case PORT_KIND_TAP:
		return tap_port_new(cfg->fd, cfg->features, cfg->has_vnet, ret_port);
	case PORT_KIND_STREAM:
		return stream_port_new(&sock, ret_port);
	case PORT_KIND_DGRAM:
		return dgram_port_new(&sock, false, ret_port);
	case PORT_KIND_BESS:
		return dgram_port_new(&sock, true, ret_port);
	case PORT_KIND_VHOST_USER:
		return vhost_user_port_new(&vhost_user, ret_port);
	}
	return -EINVAL;
}
