/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stream port: Ethernet frames over a connected stream socket, each behind its length in four bytes,
 * big-endian, both ways. That is QEMU's `-netdev stream`, libkrun's unixstream, and what passt and gvproxy
 * speak to these.
 */
#ifndef SLUICE_PORT_STREAM_H
#define SLUICE_PORT_STREAM_H

#include "port/sock_port.h"

/* Takes the supply over when it succeeds. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int stream_port_new(
    const struct sock_port_config *cfg, struct port **ret_port);

#endif
