/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TAP devices. All functions work on the network namespace of the calling process unless they are given
 * another, and print one sentence where they fail.
 */
#ifndef SLUICE_APP_TAP_DEVICE_H
#define SLUICE_APP_TAP_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

struct tap_device {
	int fd;            /* non-blocking, close-on-exec */
	uint32_t features; /* NIC_F_... that the kernel takes in both directions */
	bool has_vnet;     /* frames carry a little-endian virtio-net header of 12 bytes */
};

/* Opens the device of which TAPs are made. A descriptor, or -1. */
__attribute__((warn_unused_result)) int tap_device_open(void);

/* Sets up the headers of a TAP that has been made with IFF_VNET_HDR, and its offloads. 0 or -1. */
__attribute__((warn_unused_result)) int tap_device_set_up(int fd, uint32_t *ret_features);

/* Attaches to the TAP of this name, which is made if there is none and then ends with its descriptor. One that has
 * been made by others stays; of several queues that it may have, this is one. netns: the file of a
 * network namespace; NULL: ours. 0 or -1. */
__attribute__((warn_unused_result)) int tap_device_attach(
    const char *name, const char *netns, uint16_t mtu, struct tap_device *ret_tap);

/* A TAP that was inherited, with or without virtio-net headers. The descriptor stays the caller's and
 * becomes non-blocking. 0 or -1. */
__attribute__((warn_unused_result)) int tap_device_adopt(int fd, struct tap_device *ret_tap);

#endif
