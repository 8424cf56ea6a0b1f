/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the in-process port.
 *
 *	ring.c         life, and the engine's side with copied rx
 *	ring_posted.c  the engine's side of rx with posted buffers
 *	ring_vmm.c     the VMM's side
 */
#ifndef SLUICE_PORT_RING_INTERNAL_H
#define SLUICE_PORT_RING_INTERNAL_H

#include "base/list.h"
#include "port/frame_queue.h"
#include "port/ring.h"
#include "port/wake.h"

enum {
	RING_STAGED_MAX = 16,                           /* frames that the engine stages at once */
	RING_HEAD_LEN = VNET_HDR_SIZE + FRAME_HEAD_MIN, /* copied of a lent frame */

	/* Wishes of the engine. Those of the VMM are RING_EVENT_... */
	RING_WISH_FRAMES = 1, /* also a driver that comes or goes */
	RING_WISH_ROOM = 2,   /* frames were consumed, or buffers posted */
};

/* A reservation of the engine in posted buffers. */
struct ring_room {
	uint32_t first;     /* index of the first buffer in the queue */
	uint32_t count;     /* buffers */
	uint32_t len;       /* bytes in them */
	uint32_t iov_at;    /* its pieces in ring_posted.iov begin here */
	bool is_head_apart; /* the head is written to heads[] first */
	bool is_all_apart;  /* head and body are written to scratch first */
};

struct ring_posted {
	bool is_mergeable;
	uint32_t next;       /* index of the first buffer that is in no open reservation */
	uint32_t short_of;   /* index behind the newest buffer when a reservation failed */
	uint32_t first_room; /* oldest open reservation in rooms */
	uint32_t open;       /* open reservations */
	uint32_t iov_used;
	bool is_scratch_used;
	struct ring_room rooms[NIC_BATCH_MAX];
	struct iovec iov[NIC_IOV_MAX]; /* pieces of the bodies of open reservations */
	uint8_t heads[NIC_BATCH_MAX][NIC_HEAD_MAX];
	uint8_t *scratch; /* head and body: SCRATCH_LEN */
};

/* Each side writes lines of its own. NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
struct ring {
	struct port port;
	struct ring_config cfg;

	/* The VMM's driver: odd, attached; even, not. The engine follows. */
	_Atomic uint32_t request;
	_Atomic uint32_t request_features; /* NIC_F_..., | RING_IS_MERGEABLE */
	_Atomic uint32_t followed;         /* last request that the engine has followed */

	struct frame_queue tx;   /* VMM to engine: frames */
	struct frame_queue rx;   /* engine to VMM: frames; unless posted */
	struct frame_queue post; /* VMM to engine: buffers; if posted */
	_Alignas(QUEUE_LINE) struct wake to_engine;
	_Alignas(QUEUE_LINE) struct wake to_vmm;

	/* the engine's */
	_Alignas(QUEUE_LINE) uint32_t staged; /* tx frames */
	bool is_attached;
	bool wants_room;  /* a reservation failed */
	uint32_t rx_open; /* reservations in rx */
	struct iovec rx_body[NIC_BATCH_MAX];
	uint8_t (*heads)[RING_HEAD_LEN]; /* of staged lent frames: RING_STAGED_MAX */
	struct iovec stage_iov[RING_STAGED_MAX];
	struct ring_posted *posted; /* NULL: rx is copied */
	struct port_loop *loop;     /* between start and stop */

	/* the VMM's */
	_Alignas(QUEUE_LINE) struct ring_counters vmm;
	bool is_up; /* attached, and no detach was asked for */
};

#define RING_IS_MERGEABLE (1U << 31)

static inline struct ring *ring_of(struct nic *nic)
{
	return container_of(nic, struct ring, port.nic);
}

/* ---- ring_posted.c ---- */

__attribute__((warn_unused_result)) int ring_posted_new(struct ring_posted **ret_posted);
void ring_posted_free(struct ring_posted *p);

int ring_posted_reserve(
    struct ring *r, uint32_t head_len, uint32_t body_len, struct nic_slot *ret_slot);
void ring_posted_commit(
    struct ring *r, struct nic_slot *slot, uint32_t body_len, const struct vnet_hdr *vnet);
void ring_posted_cancel(struct ring *r);

/* Whether buffers were posted since a reservation failed; for the last look before sleeping. */
bool ring_posted_has_more(struct ring *r);

/* Gives all buffers back unused. */
void ring_posted_return_all(struct ring *r);

#endif
