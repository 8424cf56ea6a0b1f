/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile front end of vhost-user, monitor and driver: one attack is the life of one connection. It is set up by
 * messages, of which any may be missing, doubled, out of order, malformed, cut into pieces or beside the wrong
 * descriptors; then its rings, chains, tables and frames are corrupted while they are in use, memory is taken away, and
 * it ends anywhere. The seed says which.
 *
 * Threats P18 (headers that lie), P19 (rings that lie), P20 (framing).
 */
#ifndef SLUICE_TESTS_ATTACK_H
#define SLUICE_TESTS_ATTACK_H

#include "dice.h"
#include "frontend/machine.h"

enum {
	ATTACK_SCRIPT_MAX = 128,
	ATTACK_PAYLOAD_MAX = 320,
	ATTACK_JUNK = 6,
};

struct attack_message {
	uint32_t request;
	uint32_t flags;
	uint32_t len; /* that the header says; bytes beyond the payload are zeros */
	uint32_t fd_count;
	int fds[VHOST_USER_TABLE_MAX + 1];
	uint8_t payload[ATTACK_PAYLOAD_MAX];
};

struct attack {
	struct dice dice;
	struct machine *machine;
	bool is_spoilt;        /* the messages were not those of a front end in its right mind */
	bool is_over;          /* the back end has left, or we have */
	bool is_shrunk;        /* memory must not be touched any more */
	int junk[ATTACK_JUNK]; /* descriptors of all kinds */
	int log_fd;
	int inflight_fd;
	uint32_t count;
	struct attack_message script[ATTACK_SCRIPT_MAX];
};

/* What the machine of this seed is like. */
struct machine_config attack_machine(uint64_t seed);

/* Attacks the back end that the machine's vmm is connected to, and disconnects. If the back end runs by itself, an
 * attack is over when it has answered a last time, where it still can be expected to. */
void attack_run(struct machine *m, uint64_t seed);

/* Corrupts something in the memory of a machine that is set up. Also while the back end reads it. */
void attack_corrupt(struct machine *m, struct dice *d);

#endif
