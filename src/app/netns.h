/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's side of the network of `sluice run`: the TAP and its configuration. All functions work
 * on the network namespace of the calling process, which must have just been made for the guest,
 * and print one sentence where they fail.
 */
#ifndef SLUICE_APP_NETNS_H
#define SLUICE_APP_NETNS_H

#include <stdint.h>

#include "stack/netif.h"

/* The largest number of frames that wait in the TAP for the engine. A frame beyond is lost, and the
 * guest would have to send it again. */
enum {
	NETNS_TAP_QUEUE = 8192,
};

#define NETNS_NIC "eth0"

/* Makes the TAP NETNS_NIC. Its descriptor is non-blocking and close-on-exec, and carries frames with a
 * little-endian virtio-net header of 12 bytes. ret_features: NIC_F_... that the kernel takes in
 * both directions. A descriptor, or -1. */
__attribute__((warn_unused_result)) int netns_open_tap(uint32_t *ret_features);

/* Brings up lo and, unless c is NULL, NETNS_NIC with its addresses and default routes. 0 or -1. */
__attribute__((warn_unused_result)) int netns_configure(const struct netif_config *c);

#endif
