/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated frame device: two bounded queues in memory behind struct nic_ops, as strict as a port
 * may be. Staged frames are exact-size copies in as many pieces as asked for, freed at release;
 * reservations are exact-size blocks, so that a sanitizer sees one byte too far either way. The rules of
 * stack/nic.h (order of commit and cancel, lengths, limits) are checked.
 */
#ifndef SLUICE_TESTS_SIM_NIC_H
#define SLUICE_TESTS_SIM_NIC_H

#include "sim.h"
#include "sim_wire.h"
#include "stack/nic.h"

enum {
	SIM_STAGED_MAX = 64,
};

struct sim_nic_config {
	uint32_t features;  /* NIC_F_... */
	bool is_level;      /* frames that were not staged are announced again */
	uint32_t batch_max; /* open reservations, 1 .. NIC_BATCH_MAX */
	uint32_t rx_depth;  /* frames that wait for the guest, open reservations included */
	uint32_t rx_piece;  /* bytes of a piece of a body; 0: one piece */
	uint32_t tx_depth;  /* frames that wait for the engine */
	uint32_t tx_piece;  /* bytes of a piece of a staged frame; 0: one piece */
};

struct sim_room {
	uint8_t *head;
	struct iovec *body;
	uint32_t body_count;
	uint32_t head_len;
	uint32_t body_len;
};

struct sim_staged {
	struct sim_frame *frame;
	uint8_t *head;
	struct iovec *iov;
	uint32_t iov_count;
};

struct sim_queue {
	struct sim_frame *first;
	struct sim_frame **end;
	uint32_t count;
};

struct sim_nic {
	struct nic nic;
	struct sim *sim;
	struct sim_nic_config cfg;

	struct sim_queue tx; /* not staged yet */
	bool is_tx_new;      /* pushed since the engine was last told */
	bool is_tx_full;     /* a push was refused: on_tx_room() is owed */
	struct sim_staged staged[SIM_STAGED_MAX];
	uint32_t staged_first;
	uint32_t staged_count;

	struct sim_queue built; /* committed, not flushed */
	struct sim_queue rx;    /* flushed, not taken */
	struct sim_room rooms[NIC_BATCH_MAX];
	uint32_t room_first;
	uint32_t room_count;
	bool is_rx_full; /* a reservation was refused: the engine is owed engine_on_room() */
	bool has_room;   /* ... and now there is room */
	bool is_broken;  /* staging fails */

	/* Each frame at commit, before anything can happen to it. */
	void (*on_commit)(void *ctx, const struct sim_frame *f);
	/* There are frames for the guest. */
	void (*on_rx)(void *ctx);
	/* A frame of the guest has been released after a push was refused. */
	void (*on_tx_room)(void *ctx);
	void *ctx;
};

void sim_nic_init(struct sim_nic *n, struct sim *sim, const struct sim_nic_config *cfg);
void sim_nic_fini(struct sim_nic *n);

void sim_queue_init(struct sim_queue *q);
void sim_queue_put(struct sim_queue *q, struct sim_frame *f);
struct sim_frame *sim_queue_take(struct sim_queue *q); /* NULL: empty */
void sim_queue_clear(struct sim_queue *q);

/* From the guest: true if there was room; then the frame is taken over. */
bool sim_nic_push(struct sim_nic *n, struct sim_frame *f);

/* To the guest: the caller owns the frame. NULL: none. */
struct sim_frame *sim_nic_take(struct sim_nic *n);

/* What the loop asks before it sleeps: whether engine_on_frames(), engine_on_room() are due. */
bool sim_nic_has_frames(struct sim_nic *n);
bool sim_nic_has_room(struct sim_nic *n);

#endif
