/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's side of a split virtqueue (virtio 1.2, 2.7) that lies in memory of the guest.
 *
 * Chains of buffers are taken in the order in which the driver made them available, are used, and are given back with
 * virtqueue_put(); virtqueue_publish() shows the driver all that were put since the last time. Notifications by the
 * driver are off until virtqueue_arm() asks for one.
 *
 * Each field that the driver can write is read once and checked. What contradicts virtio breaks the queue: from then
 * on nothing of it is touched until it is set up anew.
 *
 * Used by one thread at a time, after guest_memory_enter().
 */
#ifndef SLUICE_PORT_VIRTQUEUE_H
#define SLUICE_PORT_VIRTQUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "port/guest_memory.h"

struct inflight_queue;
struct vring_avail;
struct vring_desc;
struct vring_used;

enum {
	VIRTQUEUE_NUM_MAX = 32768,   /* entries of a queue */
	VIRTQUEUE_PIECES_MAX = 1024, /* pieces of one chain */
};

/* Why a queue broke. */
enum virtqueue_fault {
	VIRTQUEUE_FAULT_NONE,
	VIRTQUEUE_FAULT_AVAIL, /* more entries were made available than the queue has */
	VIRTQUEUE_FAULT_HEAD,  /* index of a descriptor beyond the table */
	VIRTQUEUE_FAULT_LOOP,  /* a chain longer than its table */
	VIRTQUEUE_FAULT_INDIRECT, /* not negotiated, nested, chained, empty or no multiple of a descriptor */
	VIRTQUEUE_FAULT_ADDRESS,   /* not in the guest's memory */
	VIRTQUEUE_FAULT_DIRECTION, /* readable where it must be writable, or the other way round */
	VIRTQUEUE_FAULT_PIECES,    /* too many pieces, or no byte at all */
};

struct virtqueue_addr {
	uint64_t desc_uva; /* addresses in the front end */
	uint64_t avail_uva;
	uint64_t used_uva;
	uint64_t log_gpa; /* of the used ring */
	bool has_log;
};

struct virtqueue {
	/* Set by the owner while the queue stands still. */
	uint32_t num; /* entries, a power of two */
	struct virtqueue_addr addr;
	bool has_event_idx;
	bool has_indirect;
	struct inflight_queue *inflight; /* where chains in hand are noted; NULL: nowhere */
	uint16_t next_avail;             /* entry of the available ring that is taken next */

	/* This module's. */
	const struct vring_desc *desc; /* NULL: the addresses are not in memory */
	const struct vring_avail *avail;
	struct vring_used *used;
	uint16_t avail_idx; /* as last read, entries before it can be taken */
	uint16_t used_idx;  /* entry of the used ring that is written next */
	uint16_t published; /* used->idx as the driver sees it */
	uint16_t signalled; /* used->idx when the driver was last considered for a call */
	bool is_armed;      /* the driver notifies of the next entry */
	enum virtqueue_fault fault;
	uint16_t replay_next;  /* of the chains that were in hand before: the next one */
	uint16_t replay_count; /* and how many they are */
	uint16_t *replay;      /* heads; NULL: none */
};

/* A chain in hand. */
struct virtqueue_chain {
	uint16_t head;
	uint16_t count; /* pieces */
	bool is_replay; /* it came from virtqueue_replay() */
	uint32_t len;   /* bytes in all of them */
};

/* Finds the rings in memory: addresses and num must be set. False if they are not there, not aligned, or num is no
 * size of a queue. To be repeated whenever the memory changes. */
bool virtqueue_resolve(struct virtqueue *vq, struct guest_memory *m);

/* Begins, behind virtqueue_resolve(): next_avail is where to go on, the driver's used index stays what it is. */
void virtqueue_start(struct virtqueue *vq);

/* Ends; what was put must have been published. Of a zeroed struct, too. */
void virtqueue_stop(struct virtqueue *vq);

/* Chains that had been taken but not used when an earlier back end ended (inflight.h) come again first. Takes the
 * heads, count > 0 of them, from malloc(3). */
void virtqueue_replay(struct virtqueue *vq, uint16_t *heads, uint16_t count);

/* Takes the next chain, whose pieces are all writable (for the device) or all readable. gpa, with a place for each of
 * iov, is set to the pieces' guest physical addresses; NULL: not wanted. 1 and a chain; 0: none now; -EPROTO: the queue
 * is broken, vq->fault says why. More than max pieces break it, too. */
int virtqueue_take(struct virtqueue *vq, struct guest_memory *m, bool is_writable,
    struct iovec *iov, uint64_t *gpa, uint32_t max, struct virtqueue_chain *ret_chain);

/* Leaves the newest of the chains that were taken where they were: avail_count of the available ring, and before them
 * replay_count that had come from virtqueue_replay(). For writable chains only. */
void virtqueue_untake(struct virtqueue *vq, uint16_t avail_count, uint16_t replay_count);

/* Gives a chain back of which len bytes were written. */
void virtqueue_put(struct virtqueue *vq, struct guest_memory *m, uint16_t head, uint32_t len);

/* Shows the driver what was put. */
void virtqueue_publish(struct virtqueue *vq, struct guest_memory *m);

/* Behind virtqueue_publish(): whether the driver wants to be called for what it has not been called for yet. */
bool virtqueue_wants_call(struct virtqueue *vq);

/* Asks the driver to notify of the next chain that it makes available. True if there is one already: it must be
 * taken, as no notification may come. */
bool virtqueue_arm(struct virtqueue *vq, struct guest_memory *m);

/* Chains that could be taken right now, as far as has been read. */
bool virtqueue_has_more(struct virtqueue *vq);

/* Marks it broken. */
static inline void virtqueue_break(struct virtqueue *vq, enum virtqueue_fault fault)
{
	vq->fault = fault;
}

/* A few words. */
const char *virtqueue_fault_text(enum virtqueue_fault fault);

#endif
