/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token bucket for things that must stay rare (ICMP errors, challenge ACKs): at most burst at once,
 * refilled evenly. Times are nanoseconds of the caller's monotonic clock.
 */
#ifndef SLUICE_BASE_BUCKET_H
#define SLUICE_BASE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
	uint64_t full_at_ns;  /* when the bucket will be full again */
	uint64_t interval_ns; /* time to earn one token */
	uint64_t burst;       /* tokens of a full bucket, >= 1 */
};

/* Takes one token if there is one. */
static inline bool bucket_take(struct bucket *b, uint64_t now_ns)
{
	uint64_t full_at = b->full_at_ns > now_ns ? b->full_at_ns : now_ns;

	if (full_at + b->interval_ns > now_ns + b->burst * b->interval_ns)
		return false;
	b->full_at_ns = full_at + b->interval_ns;
	return true;
}

#endif
