/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TAP as the processor of a machine: what the kernel of its network namespace sends goes into the queues, what comes
 * out of them goes to the kernel. The TAP has the offloads that the back end has agreed to.
 *
 * It is made to be fast, so that what is measured with it is the back end: nothing is copied but by the kernel, frames
 * go in bursts, notifications are asked for only before sleeping.
 */
#ifndef SLUICE_TESTS_PUMP_H
#define SLUICE_TESTS_PUMP_H

#include "machine.h"

struct pump_stats {
	uint64_t tx_frames; /* from the guest's kernel */
	uint64_t tx_bytes;
	uint64_t rx_frames; /* to it */
	uint64_t rx_bytes;
	uint64_t rx_refused; /* that it did not take */
	uint64_t kicks;
	uint64_t calls; /* seen; several may be one */
	uint64_t sleeps;
};

struct pump_pair {
	int tap_fd;
	uint32_t free_count; /* entries of the queue from the guest */
	uint16_t *free_list; /* the one that was used last is used first */
};

struct pump {
	struct machine *machine;
	bool is_linked;  /* the back end is there */
	uint32_t pieces; /* that a frame from the guest is cut into, of a page each; 0: not */
	struct pump_pair pairs[MACHINE_PAIRS_MAX];
	struct pump_stats stats;
};

/* Opens the queues of a TAP in this network namespace; the interface is made if it is not there. 0 or -errno. */
int pump_init(struct pump *p, struct machine *m, const char *name);
void pump_fini(struct pump *p);

/* Sets the TAP's header and offloads to what has been negotiated. 0 or -errno. */
int pump_negotiated(struct pump *p);

/* Moves what is there, in bounded amounts. True if there was something. */
bool pump_turn(struct pump *p);

/* Takes back the buffers of frames from the guest that have been used. */
void pump_recycle(struct pump *p, uint32_t pair);

/* Before sleeping on the call descriptors and the TAP: asks to be woken. True if there is something already. */
bool pump_arm(struct pump *p);

/* Behind that: wants no wakes again. */
void pump_woken(struct pump *p);

#endif
