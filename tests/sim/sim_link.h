/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link between the guest and the frame device, and what may go wrong on it: one struct sim_dir for
 * each direction. Frames stay in order unless reordering is asked for.
 */
#ifndef SLUICE_TESTS_SIM_LINK_H
#define SLUICE_TESTS_SIM_LINK_H

#include "sim.h"
#include "sim_nic.h"

enum {
	SIM_LOSE_MAX = 4,
};

struct sim_impair {
	uint32_t lose[SIM_LOSE_MAX]; /* loses exactly these frames, counted from 1 */
	uint32_t loss_permille;
	uint32_t dup_permille;
	uint32_t reorder_permille; /* ... of frames are reorder_ns late */
	uint64_t reorder_ns;
	uint64_t delay_ns;
	uint64_t jitter_ns; /* more delay, at random; order is kept */
	uint64_t stall_from_ns;
	uint64_t stall_to_ns; /* in between, nothing moves; 0: no stall */
};

struct sim_dir {
	struct sim *sim;
	struct sim_impair impair;
	uint64_t count; /* frames that came */
	uint64_t lost;
	uint64_t last_due_ns;
	struct sim_flight **flights; /* those on their way, in no order */
	uint32_t in_flight;
	uint32_t cap;
	void (*deliver)(void *ctx, struct sim_frame *f); /* takes the frame over */
	void *ctx;
};

/* True if the direction may lose, double or reorder. */
bool sim_impair_is_lossy(const struct sim_impair *i);

void sim_dir_init(struct sim_dir *d, struct sim *sim, const struct sim_impair *impair);
void sim_dir_fini(struct sim_dir *d);

/* Sends a frame, which is taken over. */
void sim_dir_send(struct sim_dir *d, struct sim_frame *f);

/* Cuts a frame with segmentation offload into those that a wire would carry, with right checksums. Calls
 * emit for each, in order; each is the callee's. The frame itself stays the caller's. */
void sim_segment(
    const struct sim_frame *f, void (*emit)(void *ctx, struct sim_frame *piece), void *ctx);

#endif
