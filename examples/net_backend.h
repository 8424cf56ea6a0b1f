/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract that libkrun's network device has with its back ends (its NetBackend trait), on a ring of libsluice.
 * It is what an author of such a device writes, or, in another language, what he takes as a pattern.
 *
 * The device reads and writes one frame at a time, in one buffer, with hdr_len bytes of virtio-net header before it,
 * and waits for one descriptor with edge-triggered epoll for EPOLLIN | EPOLLOUT: then it reads until there is
 * nothing, and writes what was refused.
 */
#ifndef NET_BACKEND_H
#define NET_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/sluice.h>

/* Own results, besides lengths and 0. */
enum {
	NET_NOTHING_READ = -1,    /* no frame; the descriptor tells when there is one */
	NET_NOTHING_WRITTEN = -2, /* no room; the descriptor tells when there is */
	NET_NOT_RUNNING = -3,     /* no driver is attached */
	NET_INTERNAL = -4,        /* a header that the device itself has put wrongly */
};

struct net_backend {
	struct sluice_ring *ring;
	uint64_t too_long;  /* frames dropped because the device's buffer was shorter */
	uint64_t malformed; /* frames of the guest dropped because none has their length */
};

/* Copies the next frame with its header of 12 bytes to buf. Its length, or NET_NOTHING_READ. A frame that is longer
 * than len is dropped and counted, and the next one read. */
long net_read_frame(struct net_backend *b, uint8_t *buf, size_t len);

/* Sends len bytes at buf, of which the first hdr_len are the virtio-net header: 12; 10, without num_buffers; or 0,
 * for a frame that needs none. 0, or NET_... */
int net_write_frame(struct net_backend *b, size_t hdr_len, const uint8_t *buf, size_t len);

/* A frame is taken whole or not at all. */
bool net_has_unfinished_write(const struct net_backend *b);
int net_try_finish_write(struct net_backend *b, size_t hdr_len, const uint8_t *buf);

int net_raw_socket_fd(const struct net_backend *b);

/* Before the device waits: once for all frames that it has written. */
void net_flush(struct net_backend *b);

#endif
