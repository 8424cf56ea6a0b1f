/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TAP port: the frame device over a Linux TAP descriptor (Documentation/networking/tuntap.rst) that was
 * opened with IFF_TAP | IFF_NO_PI, and is non-blocking. With IFF_VNET_HDR too, it has 12-byte little-endian
 * virtio-net headers. The guest is the kernel of the network namespace that holds the interface.
 */
#ifndef SLUICE_PORT_TAP_H
#define SLUICE_PORT_TAP_H

#include <stdbool.h>
#include <stdint.h>

#include "port/port.h"

/* features: NIC_F_... that TUNSETOFFLOAD accepted; none without virtio-net headers. Takes the descriptor over when it succeeds. 0 or
 * -ENOMEM. */
__attribute__((warn_unused_result)) int tap_port_new(
    int fd, uint32_t features, bool has_vnet, struct port **ret_port);

#endif
