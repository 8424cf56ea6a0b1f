/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In-process port: the guest's NIC for a virtual machine monitor (VMM) that runs the engine in its own process.
 *
 * Names are the guest's: tx comes from it, rx goes to it. Each direction is one frame_queue.h, so that the VMM
 * and the engine may run on different threads and never take a lock. The VMM's side is this header; it
 * belongs to one thread at a time. The engine's side is the port (port.h).
 *
 * A frame is a virtio-net header of 12 bytes (virtio 1.2, 5.1.6, little-endian, with num_buffers) and the
 * Ethernet frame behind it. Either the bytes are copied in and out, or the VMM lends memory:
 *
 *	tx copied	ring_tx_push()
 *	tx lent		ring_tx_lend(), and ring_tx_reclaim() when the engine has done with it
 *	rx copied	ring_rx_stage() and ring_rx_consume() or ring_rx_drop()
 *	rx lent		ring_rx_post(), and ring_rx_take() when the engine has filled it (cfg.is_rx_posted)
 *
 * Nothing is dropped: a full queue refuses, the refusal is counted, and the VMM is woken when there is room.
 * What the VMM has done becomes known to the engine at once if that is awake, and at the latest with
 * ring_flush(), which wakes it.
 *
 * The VMM waits for ring_fd() to be readable (poll, epoll level- or edge-triggered), asks ring_events() what has
 * happened, and does what was refused before. Whatever was refused (a full queue, an empty queue, nothing to
 * take back) makes the descriptor readable when it is possible; see wake.h for why no wake is lost.
 *
 * Lent memory is the guest's, which may write it at any time. The engine copies the headers of tx before it looks
 * at them, and reads of rx only what a checksum needs.
 */
#ifndef SLUICE_PORT_RING_H
#define SLUICE_PORT_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "port/port.h"

enum {
	RING_FRAMES_DEFAULT = 1024, /* of each direction */
	RING_FRAMES_MAX = 32768,
	RING_IOV_MAX = 64,     /* pieces of a lent frame or of a posted buffer */
	RING_BUFFERS_MAX = 64, /* posted buffers in one frame */
	RING_FRAME_MIN = VNET_HDR_SIZE + ETH_HDR_SIZE,
	RING_FRAME_MAX = VNET_HDR_SIZE + FRAME_LEN_MAX,
	RING_BUFFER_MIN = VNET_HDR_SIZE + ETH_MIN_FRAME, /* of a posted buffer */

	/* What ring_events() tells. */
	RING_EVENT_RX = 1,   /* there are frames to stage, or buffers to take */
	RING_EVENT_ROOM = 2, /* a push or lend that was refused may succeed */
	RING_EVENT_BACK = 4, /* lent frames can be taken back */
	RING_EVENT_DOWN = 8, /* the engine has let go of everything: ring_detach() is done */
};

struct ring_config {
	uint32_t tx_frames; /* 0: RING_FRAMES_DEFAULT; rounded up to a power of two */
	uint32_t rx_frames; /* likewise: frames, or posted buffers */
	uint16_t mtu;       /* IP MTU of the link */
	bool is_rx_posted;  /* the VMM posts buffers; else it stages frames */
	/* The engine's thread has begun to serve a guest that takes features (NIC_F_...). May be NULL. */
	void (*on_attach)(void *ctx, uint32_t features);
	void *ctx;
};

struct ring;

/* 0, -EINVAL for a number of frames above RING_FRAMES_MAX, -ENOMEM, or another -errno: no eventfd. */
__attribute__((warn_unused_result)) int ring_new(
    const struct ring_config *cfg, struct ring **ret_ring);

/* The engine's side. port_free() frees the ring; the VMM must have ended before. */
struct port *ring_port(struct ring *r);

/* ---- the VMM's side ---- */

/* Whether the VMM posts buffers. */
bool ring_is_posted(const struct ring *r);

/* What has really passed, frames without their virtio-net headers. Written by the VMM's thread. */
struct ring_counters {
	uint64_t tx_frames;  /* accepted */
	uint64_t tx_bytes;   /* of them */
	uint64_t tx_refused; /* times that a full queue was told */
	uint64_t rx_frames;  /* consumed, or taken in posted buffers */
	uint64_t rx_bytes;   /* of them */
	uint64_t rx_dropped; /* dropped by the VMM, or waiting when it detached */
	uint64_t wakes;      /* of the engine, by the VMM */
};

/* Readable when ring_events() has something to tell. */
int ring_fd(const struct ring *r);

/* RING_EVENT_... since the last call; makes the descriptor unreadable unless there is more. */
uint32_t ring_events(struct ring *r);

/* A guest's driver is ready. features: NIC_F_... that it takes; is_mergeable: a frame to it may use several posted
 * buffers. 0; -EISCONN: it was already; -EBUSY: ring_detach() is not done. */
__attribute__((warn_unused_result)) int ring_attach(
    struct ring *r, uint32_t features, bool is_mergeable);

/* The driver has been reset: asks the engine to let go of all memory that was lent. 0: it has done so, everything
 * lent can be taken back, and frames that waited are dropped; -EINPROGRESS: call again after
 * RING_EVENT_DOWN. Without a driver: 0. */
__attribute__((warn_unused_result)) int ring_detach(struct ring *r);

/* Copies one frame with its header in. 0; -EAGAIN: the queue is full, RING_EVENT_ROOM follows; -EBUSY: it is full
 * of frames that ring_tx_reclaim() would give back; -EMSGSIZE: not RING_FRAME_MIN to RING_FRAME_MAX bytes;
 * -ENOTCONN: no driver is attached. */
__attribute__((warn_unused_result)) int ring_tx_push(
    struct ring *r, const struct iovec *iov, size_t iov_count);

/* The same without a copy: the memory is the engine's until ring_tx_reclaim() returns the cookie. Also -EINVAL:
 * not 1 to RING_IOV_MAX pieces. */
__attribute__((warn_unused_result)) int ring_tx_lend(
    struct ring *r, const struct iovec *iov, size_t iov_count, uint64_t cookie);

/* Cookies of lent frames that the engine has done with, in the order of lending; their number. 0: there are none,
 * and RING_EVENT_BACK follows when there are. */
uint32_t ring_tx_reclaim(struct ring *r, uint64_t *cookies, uint32_t max);

/* A frame for the guest, with its header, in one piece. */
struct ring_frame {
	const uint8_t *bytes;
	uint32_t len;
};

/* The next frame for the guest, the same one until it is consumed or dropped. 1; 0: there is none, and
 * RING_EVENT_RX follows when there is; -ENOTSUP: buffers are posted. */
__attribute__((warn_unused_result)) int ring_rx_stage(struct ring *r, struct ring_frame *ret_frame);

/* The staged frame has been delivered, or cannot be. */
void ring_rx_consume(struct ring *r);
void ring_rx_drop(struct ring *r);

/* Lends a buffer for frames to the guest until ring_rx_take() returns the cookie. 0; -EAGAIN: as many are
 * posted already as fit; -EBUSY: ring_rx_take() would make room; -EINVAL: not 1 to RING_IOV_MAX pieces; -EMSGSIZE:
 * less than RING_BUFFER_MIN or more than 2^30 bytes; -ENOTCONN; -ENOTSUP: frames are staged. */
__attribute__((warn_unused_result)) int ring_rx_post(
    struct ring *r, const struct iovec *iov, size_t iov_count, uint64_t cookie);

/* A posted buffer that comes back. */
struct ring_done {
	uint64_t cookie;
	uint32_t len; /* bytes written, header included; 0: not used */
	uint16_t
	    buffers; /* of the frame that begins here; 0: the frame began before, or there is none */
};

/* Buffers that come back, in the order of posting; their number. Frames are not divided if max is at least
 * RING_BUFFERS_MAX. 0: there are none, and RING_EVENT_RX follows when there are. */
uint32_t ring_rx_take(struct ring *r, struct ring_done *done, uint32_t max);

/* Makes what was done known to the engine, and wakes it if it sleeps. Before the VMM waits. Whatever
 * refuses, or returns 0 because there is nothing, does the same. */
void ring_flush(struct ring *r);

const struct ring_counters *ring_counters(const struct ring *r);

#endif
