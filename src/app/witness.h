/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which signals were sent to a whole process group. Two members of the group, a witness and a messenger, each
 * get a copy of such a signal; a signal that only the messenger gets was meant for him alone.
 *
 * The two read their copies at different times, and copies that one of them has not read yet are merged by
 * the kernel, but only those. So the messenger tells with each signal when he had read the one of the
 * same number before: a copy that the witness read earlier than that belongs to an earlier message. What
 * cannot be told any more: two signals that were merged for the witness only are taken for one to the
 * group and one to the messenger.
 */
#ifndef SLUICE_APP_WITNESS_H
#define SLUICE_APP_WITNESS_H

#include <stdbool.h>
#include <stdint.h>

enum {
	WITNESS_SIGNALS = 65, /* numbers 1 .. 64 */
};

struct witness {
	struct {
		uint32_t count;   /* copies read and not matched by a message */
		uint64_t last_ns; /* when the last of them was read */
	} seen[WITNESS_SIGNALS];
};

/* The witness has read a copy of a signal. Numbers that are none are ignored. */
void witness_see(struct witness *w, uint32_t signal, uint64_t now_ns);

/* The messenger has got a signal, and had got the one before at before_ns (0: never). True if it was sent
 * to the group. All copies that the witness can read must have been told before. */
bool witness_match(struct witness *w, uint32_t signal, uint64_t before_ns);

#endif
