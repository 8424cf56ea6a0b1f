/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagram port: one Ethernet frame per message, over a connected socket of type SOCK_DGRAM (QEMU's
 * `-netdev dgram`, libkrun's unixgram, vfkit) or SOCK_SEQPACKET ("bess": User-mode Linux).
 */
#ifndef SLUICE_PORT_DGRAM_H
#define SLUICE_PORT_DGRAM_H

#include "port/sock_port.h"

/* is_seqpacket: the end of the connection is an empty message. Takes the supply over when it succeeds. 0
 * or -ENOMEM. */
__attribute__((warn_unused_result)) int dgram_port_new(
    const struct sock_port_config *cfg, bool is_seqpacket, struct port **ret_port);

#endif
