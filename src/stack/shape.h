/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rate limits of the guest's card: a frame device (nic.h) in front of another.
 *
 * Each direction has a limit of bytes and one of frames; a frame passes if both can pay (base/limit.h). What does not
 * pass waits where it is, and nothing is dropped: from the guest, in the frame device, behind the frame that is held; to the
 * guest, in the sockets, as without room. Bytes are those of the Ethernet frame; a frame with segmentation offload counts as many frames
 * as its segments. Segments of TCP that only acknowledge are not charged: a limit of one direction does not
 * hold back the other.
 *
 * The frame that is held is copied and given back to the device, which may lose its link between two passes.
 *
 * To the guest, the length of a frame is not known before it is received: one passes as soon as nothing is owed and
 * there is something in the bucket, and may leave a debt of one frame. Answers of the link itself (ARP, DHCP, names, ICMP) are
 * charged, and not held.
 */
#ifndef SLUICE_STACK_SHAPE_H
#define SLUICE_STACK_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limit.h"
#include "stack/nic.h"

enum shape_direction {
	SHAPE_EGRESS,  /* from the guest */
	SHAPE_INGRESS, /* to the guest */
	SHAPE_DIRECTION_COUNT
};

struct shape_config {
	struct limit_config bytes[SHAPE_DIRECTION_COUNT];
	struct limit_config frames[SHAPE_DIRECTION_COUNT];
};

#define SHAPE_NEVER UINT64_MAX

struct shape {
	struct nic nic;    /* what the stack uses */
	struct nic *inner; /* the frame device; borrowed */
	struct limit bytes[SHAPE_DIRECTION_COUNT];
	struct limit frames[SHAPE_DIRECTION_COUNT];
	uint64_t now_ns; /* of this pass */
	uint64_t
	    due_ns[SHAPE_DIRECTION_COUNT]; /* when what is held may pass; SHAPE_NEVER: nothing is */
	uint8_t *held;                     /* room for the largest frame */
	struct iovec held_iov; /* what is held there, while due_ns[SHAPE_EGRESS] is set */
	struct vnet_hdr held_vnet;
	uint32_t staged;     /* frames of the device that the stack has not released */
	bool is_lent;        /* the stack has the one that was held, too */
	bool is_to_release;  /* behind the staged ones: the one that was copied */
	uint64_t seen_bytes; /* to the guest, of the inner counters: charged */
	uint64_t seen_frames;
};

/* Whether anything is limited. */
bool shape_is_wanted(const struct shape_config *cfg);

/* Whether the values are possible (limit.h). */
bool shape_is_right(const struct shape_config *cfg);

/* 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int shape_init(
    struct shape *s, const struct shape_config *cfg, struct nic *inner, uint64_t now_ns);
void shape_fini(struct shape *s);

/* Other limits from now on, with full buckets. What is held is looked at again. */
void shape_set(struct shape *s, const struct shape_config *cfg, uint64_t now_ns);

/* Begins a pass at this time. True: frames that were held may pass, in one direction or the other. */
bool shape_begin(struct shape *s, uint64_t now_ns);

/* Ends a pass: its frames have been flushed. */
void shape_end(struct shape *s);

/* When shape_begin() is needed again, or SHAPE_NEVER. */
uint64_t shape_next_ns(const struct shape *s);

/* Whether a frame of the guest is held, so that there is no use in more of them. */
static inline bool shape_is_holding(const struct shape *s)
{
	return s->due_ns[SHAPE_EGRESS] != SHAPE_NEVER;
}

#endif
