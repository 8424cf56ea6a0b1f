/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the vhost-user port.
 *
 *	vhost_user.c          the port: life, descriptors, readiness
 *	vhost_user_conn.c     the connection: messages in, replies out
 *	vhost_user_message.c  what each message does
 *	vhost_user_tx.c       frames from the guest
 *	vhost_user_rx.c       frames to the guest
 *
 * Messages are handled between two passes of the engine, when no frame is staged and no room reserved; memory and
 * queues can therefore be exchanged in any of them.
 */
#ifndef SLUICE_PORT_VHOST_USER_INTERNAL_H
#define SLUICE_PORT_VHOST_USER_INTERNAL_H

#include <stdbool.h>

#include "base/list.h"
#include "port/guest_memory.h"
#include "port/inflight.h"
#include "port/vhost_user.h"
#include "port/virtqueue.h"
#include "wire/vhost_user.h"

/* Newer than the kernel headers that we build with. */
#define VU_F_GUEST_USO4 54
#define VU_F_GUEST_USO6 55
#define VU_F_HOST_USO   56

/* Of vhost-user, not of virtio. */
#define VU_F_PROTOCOL_FEATURES 30

#define VU_BIT(n) (1ULL << (n))

enum {
	VU_PAIRS_MAX = 16,
	VU_QUEUES_MAX = 2 * VU_PAIRS_MAX,
	VU_FDS_MAX = VHOST_USER_TABLE_MAX, /* descriptors with one message */

	VU_TX_STAGED = 16, /* frames staged at once */
	VU_TX_TURN = 16,   /* frames of one queue before the next */

	VU_RX_PIECES = 4 * NIC_IOV_MAX, /* pieces taken ahead of need */
	VU_RX_CHAINS = 1024,            /* chains likewise */
	VU_RX_SLOTS = NIC_BATCH_MAX,
	VU_RX_BATCH = 4, /* reservations that the engine makes at once */

	/* Queues with mergeable buffers and fewer entries might never hold a frame of 64 KiB. */
	VU_RX_NUM_LARGE = 64,
};

/* Chains of a queue to the guest, taken ahead and given out in order. */
struct vu_rx {
	uint32_t piece_begin; /* first piece of the chains below */
	uint32_t piece_end;
	uint32_t chain_begin; /* oldest chain that is not given back */
	uint32_t chain_next;  /* first one that is not reserved */
	uint32_t chain_end;
	uint32_t piece_next; /* first piece of chain_next */
	struct virtqueue_chain chains[VU_RX_CHAINS];
	struct iovec iov[VU_RX_PIECES];
	uint64_t gpa[VU_RX_PIECES]; /* of each */
};

struct vu_queue {
	struct virtqueue vq;
	struct inflight_queue inflight;
	struct vu_rx *rx; /* NULL: a queue from the guest, or not begun */
	int kick_fd;      /* -1: none */
	int call_fd;
	int err_fd;
	uint16_t base;     /* entry of the available ring to begin with */
	bool is_started;   /* by SET_VRING_KICK, until GET_VRING_BASE */
	bool is_enabled;   /* by SET_VRING_ENABLE, or from the start without protocol features */
	bool is_begun;     /* next_avail and all else in vq count, until the next stop */
	bool is_live;      /* frames flow */
	bool is_short;     /* to the guest: cannot hold frames of 64 KiB */
	bool is_announced; /* has been told that it cannot run */
};

/* A frame in the engine's hands. */
struct vu_tx_slot {
	uint8_t queue;
	uint16_t head; /* of the chain */
	bool has_bounce;
	struct iovec iov[FRAME_IOV_MAX];
	uint8_t bytes[VNET_HDR_SIZE + FRAME_HEAD_MIN]; /* the copy that is parsed */
};

/* Room in the engine's hands. */
struct vu_rx_slot {
	uint8_t queue;
	bool has_overflow; /* the end of the body is in the port's memory */
	uint32_t chain_count;
	uint32_t piece_first;
	uint32_t piece_count;
	uint32_t room;       /* bytes in its chains */
	uint32_t body_first; /* of body_iov */
	uint8_t head[VNET_HDR_SIZE + NIC_HEAD_MAX];
};

struct vu_conn {
	int fd; /* -1: no front end */
	uint32_t len;
	uint32_t fd_count;
	int fds[VU_FDS_MAX];
	uint8_t reply[VHOST_USER_REPLY_MAX];
	uint8_t buf[VHOST_USER_HDR_SIZE + VHOST_USER_PAYLOAD_MAX];
};

struct vhost_user_port {
	struct port port;
	struct port_loop *loop; /* while started */
	struct vhost_user_config cfg;
	bool is_last; /* no connection will come after this one */

	/* The front end. */
	struct vu_conn conn;
	uint64_t features;          /* that it has acknowledged */
	uint64_t protocol_features; /* likewise */
	uint8_t status;             /* of the device, as it was set */
	struct guest_memory memory;
	uint16_t inflight_num; /* entries of each queue in the inflight region; 0: there is none */
	uint16_t inflight_queues;
	uint8_t *inflight_at;
	struct vu_queue queues[VU_QUEUES_MAX]; /* even: to the guest, odd: from the guest */
	uint32_t queue_end;                    /* behind the last one that was named */
	uint32_t put;     /* queues with chains that were put and not published */
	uint32_t hdr_len; /* of the virtio-net header: 12, or 10 for a driver of old */

	/* Frames from the guest. */
	uint32_t tx_queue; /* whose turn it is */
	uint32_t tx_turn;  /* frames that it may still give */
	uint32_t tx_first; /* oldest staged frame */
	uint32_t tx_staged;
	struct vu_tx_slot tx_slots[VU_TX_STAGED];
	struct iovec tx_iov[VIRTQUEUE_PIECES_MAX];
	uint8_t *tx_bounce; /* the end of a frame in more pieces than fit; FRAME_LEN_MAX bytes */

	/* Frames to the guest. */
	uint32_t rx_first; /* oldest reservation */
	uint32_t rx_open;
	uint32_t body_count; /* of body_iov in use */
	struct vu_rx_slot rx_slots[VU_RX_SLOTS];
	struct iovec body_iov[NIC_IOV_MAX + VU_RX_SLOTS];
	uint8_t *rx_overflow; /* the end of a body that no chain holds; FRAME_LEN_MAX bytes */
};

static inline struct vhost_user_port *vu_of(struct nic *nic)
{
	return container_of(nic, struct vhost_user_port, port.nic);
}

static inline bool vu_has(const struct vhost_user_port *p, unsigned int feature)
{
	return (p->features & VU_BIT(feature)) != 0;
}

static inline bool vu_is_rx(uint32_t queue)
{
	return queue % 2 == 0;
}

/* ---- vhost_user.c ---- */

/* Tells a sentence. */
__attribute__((format(printf, 2, 3))) void vu_note(
    const struct vhost_user_port *p, const char *format, ...);

/* Closes a descriptor that the loop may watch, and forgets it. */
void vu_close_watched(struct vhost_user_port *p, int *fd);

/* The driver or the front end has broken this queue: it says so and stands still until it is set up anew. */
void vu_queue_broken(struct vhost_user_port *p, uint32_t queue);

/* Before memory or queues are exchanged: publishes what was used, leaves what was taken ahead. */
void vu_settle(struct vhost_user_port *p);

/* After anything was exchanged: which queues run, and what the guest takes. */
void vu_update(struct vhost_user_port *p);

/* What the guest takes, by what it has acknowledged and by its queues. */
void vu_update_features(struct vhost_user_port *p);

/* Stops a queue; returns where its successor has to go on. */
uint16_t vu_queue_stop(struct vhost_user_port *p, uint32_t queue);

/* Stops all queues, forgets their set-up. */
void vu_reset_queues(struct vhost_user_port *p);

/* ---- vhost_user_conn.c ---- */

/* Reads and handles what has come. 0; 1: the front end has left; negative: it must be left, a sentence was told. */
int vu_conn_read(struct vhost_user_port *p);

/* Sends a reply, with a descriptor unless that is -1. 0 or -errno. */
int vu_conn_reply(struct vhost_user_port *p, const uint8_t *reply, size_t len, int fd);

/* ---- vhost_user_message.c ---- */

/* What is offered. */
uint64_t vu_features(void);
uint64_t vu_protocol_features(const struct vhost_user_port *p);

/* Does what the message says. Descriptors of fds that it keeps become -1. Whether it has sent a reply of its own is
 * *ret_has_replied. 0 or -errno: it could not be done. */
int vu_message(
    struct vhost_user_port *p, const struct vhost_user_msg *m, int *fds, bool *ret_has_replied);

/* ---- vhost_user_tx.c ---- */

int vu_stage(struct nic *nic, struct frame *ret_frame);
void vu_release(struct nic *nic, uint32_t count);

/* ---- vhost_user_rx.c ---- */

int vu_reserve(struct nic *nic, uint32_t head_len, uint32_t body_len, struct nic_slot *ret_slot);
void vu_commit(
    struct nic *nic, struct nic_slot *slot, uint32_t body_len, const struct vnet_hdr *vnet);
void vu_cancel(struct nic *nic, struct nic_slot *slot);

/* Chains that were taken ahead of need; none are afterwards. Their heads are to be taken again first. */
void vu_rx_drop(struct vu_queue *q);

#endif
