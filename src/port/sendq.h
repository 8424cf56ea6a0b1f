/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames on their way to a guest behind a socket: an arena in which room is reserved, filled and
 * committed in order, and from which committed frames are written in order, whole or in parts. Bounded;
 * nothing is copied. One behind the other they leave as one long piece.
 */
#ifndef SLUICE_PORT_SENDQ_H
#define SLUICE_PORT_SENDQ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "stack/nic.h"

enum {
	SENDQ_FRAMES = 1024,   /* frames in the queue, a power of two */
	SENDQ_BYTES = 1 << 19, /* of the arena */
};

struct sendq_frame {
	uint32_t at;  /* offset in the arena */
	uint32_t len; /* bytes: prefix, head and body; before the commit those reserved */
};

struct sendq {
	uint8_t *arena;
	uint32_t prefix_len; /* bytes in front of each frame, for the port's framing */
	uint32_t end;        /* where the newest frame ends */
	uint32_t first;      /* the oldest frame; counts up */
	uint32_t committed;  /* the oldest that is not committed */
	uint32_t next;       /* the next to be reserved */
	uint32_t sent;       /* bytes of the oldest frame that have left */
	struct sendq_frame frames[SENDQ_FRAMES];
	struct iovec bodies[NIC_BATCH_MAX]; /* of open reservations */
};

/* 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int sendq_init(struct sendq *q, uint32_t prefix_len);
void sendq_fini(struct sendq *q);

/* As in struct nic_ops. A frame's first byte is at slot->head, its prefix lies in front of that. */
__attribute__((warn_unused_result)) int sendq_reserve(
    struct sendq *q, uint32_t head_len, uint32_t body_len, struct nic_slot *ret_slot);
/* Commits the oldest reservation, padded to the smallest frame. Returns the frame's length without prefix. */
uint32_t sendq_commit(struct sendq *q, struct nic_slot *slot, uint32_t body_len);
void sendq_cancel(struct sendq *q);

/* Committed frames. */
static inline uint32_t sendq_count(const struct sendq *q)
{
	return q->committed - q->first;
}

/* Whether no more than half of the queue is taken. */
bool sendq_is_roomy(const struct sendq *q);

/* The bytes that leave next, as a stream: at most max pieces. Returns their number. */
uint32_t sendq_stream(const struct sendq *q, struct iovec *iov, uint32_t max);

/* So many bytes of sendq_stream() have left; frames that are through are counted. */
void sendq_stream_sent(struct sendq *q, uint64_t bytes, struct nic_counters *counters);

/* The frames that leave next, one piece each: at most max. Returns their number. */
uint32_t sendq_frames(const struct sendq *q, struct iovec *iov, uint32_t max);

/* So many of them have left, and are counted. */
void sendq_frames_sent(struct sendq *q, uint32_t count, struct nic_counters *counters);

/* Forgets the oldest committed frames, at most count, and counts them as lost. */
void sendq_lose(struct sendq *q, uint32_t count, struct nic_counters *counters);

#endif
