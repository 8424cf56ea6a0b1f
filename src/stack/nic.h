/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame device as the stack sees it. Names are the guest's: tx comes from the guest, rx goes to it.
 * Every attachment (src/port, the tests' array port) implements struct nic_ops.
 *
 * tx: the engine stages one frame and works on it; frames are released in order, later ones may be
 * staged before. A staged frame stays valid until it is released.
 * rx: room is reserved first, then filled, then committed or cancelled. Without room nothing is
 * built; the port tells the engine when there is room again. Frames leave at commit or at the
 * latest at flush; flush wakes the guest once.
 *
 * All functions are called by the thread that owns the engine.
 */
#ifndef SLUICE_STACK_NIC_H
#define SLUICE_STACK_NIC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "wire/packet.h"
#include "wire/vnet.h"

enum nic_feature {
	NIC_F_CSUM = 1, /* the guest takes frames with unfinished TCP and UDP checksums */
	NIC_F_TSO4 = 2, /* the guest takes TCP frames above the MTU, with gso_size */
	NIC_F_TSO6 = 4,
	NIC_F_USO = 8, /* likewise UDP, each gso_size bytes one datagram */
};

enum {
	NIC_HEAD_MAX = 128, /* most bytes of headers that nic_reserve() is asked for */
	NIC_BODY_MAX = IP_PACKET_MAX,
	NIC_IOV_MAX = 256,  /* most pieces of the bodies of all open reservations */
	NIC_BATCH_MAX = 16, /* most reservations open at once, whatever the port allows */
};

/* Reserved room for one frame: head_len bytes in one piece, then the pieces of the body. */
struct nic_slot {
	uint8_t *head;
	struct iovec *body;
	uint32_t body_count;
	uint32_t head_len;
	uint32_t id; /* the port's */
};

struct nic;

struct nic_ops {
	/* The next frame from the guest: 1 and a frame; 0: none now; -ENOBUFS: release first; any
	 * other negative value: the link is broken for good (the guest has gone). */
	int (*stage)(struct nic *nic, struct frame *ret_frame);
	/* Gives back the oldest count frames. */
	void (*release)(struct nic *nic, uint32_t count);
	/* Room for a frame of head_len + at most body_len bytes. 0, or -EAGAIN: no room now. */
	int (*reserve)(
	    struct nic *nic, uint32_t head_len, uint32_t body_len, struct nic_slot *ret_slot);
	/* Sends the oldest reservation with the first body_len bytes of its body. A vnet of NULL is
	 * all zero. The port pads frames below 60 bytes. */
	void (*commit)(
	    struct nic *nic, struct nic_slot *slot, uint32_t body_len, const struct vnet_hdr *vnet);
	/* Gives back the newest reservation unused. */
	void (*cancel)(struct nic *nic, struct nic_slot *slot);
	void (*flush)(struct nic *nic);
};

/* What was really taken or delivered, at this boundary, without virtio-net headers. */
struct nic_counters {
	uint64_t tx_frames;
	uint64_t tx_bytes;
	uint64_t rx_frames;
	uint64_t rx_bytes;
	uint64_t rx_lost;   /* committed, but the guest's side refused the frame, or went away */
	uint64_t tx_broken; /* frames that the guest's side framed wrongly, or did not finish */
	uint64_t links;     /* connections of the guest's side, where it connects */
};

/* First member of each port. */
struct nic {
	const struct nic_ops *ops;
	uint32_t features; /* NIC_F_... towards the guest */
	bool is_level; /* a frame that was not staged is announced again before the owner sleeps */
	bool
	    is_held; /* set by the owner, who stages nothing for a while by himself: frames need not be announced */
	uint32_t batch_max; /* reservations that may be open at once, 1 .. NIC_BATCH_MAX */
	struct nic_counters counters;
};

#endif
