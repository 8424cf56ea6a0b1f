/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rate limit: a bucket of tokens that is refilled evenly and without rounding, and tokens that are there once.
 *
 * A charge is admitted if the bucket can pay for it. One that is larger than the whole bucket is admitted
 * if nothing is owed, and leaves a debt, which must be paid before anything else is admitted: so it passes, and the rate
 * holds. Times are nanoseconds of the caller's monotonic clock.
 */
#ifndef SLUICE_BASE_LIMIT_H
#define SLUICE_BASE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

enum {
	LIMIT_MS_MAX = 86400000, /* longest time of refill: a day */
};

#define LIMIT_SIZE_MAX (1ULL << 40)

struct limit_config {
	uint64_t size;      /* tokens of a full bucket, up to LIMIT_SIZE_MAX; 0: no limit */
	uint64_t refill_ns; /* time to refill an empty one; > 0 */
	uint64_t burst; /* further tokens, spent first and never refilled; up to LIMIT_SIZE_MAX */
};

/* Shares of a token: refill_ns of them are one, and size of them come in each nanosecond. Up to 2^87. */
__extension__ typedef __int128 limit_shares;

struct limit {
	struct limit_config cfg;
	limit_shares balance; /* at since_ns; below 0: a debt */
	uint64_t burst;       /* left */
	uint64_t since_ns;
};

static inline struct limit limit_init(const struct limit_config *cfg, uint64_t now_ns)
{
	return (struct limit){
	    .cfg = *cfg,
	    .balance = (limit_shares)cfg->size * (limit_shares)cfg->refill_ns,
	    .burst = cfg->burst,
	    .since_ns = now_ns,
	};
}

static inline void limit_refill(struct limit *l, uint64_t now_ns)
{
	limit_shares full = (limit_shares)l->cfg.size * (limit_shares)l->cfg.refill_ns;

	l->balance += (limit_shares)l->cfg.size * (limit_shares)(now_ns - l->since_ns);
	if (l->balance > full)
		l->balance = full;
	l->since_ns = now_ns;
}

/* When n tokens may be charged: now_ns, or later. */
static inline uint64_t limit_due_ns(struct limit *l, uint64_t n, uint64_t now_ns)
{
	limit_shares need = 0;

	if (l->cfg.size == 0)
		return now_ns;
	limit_refill(l, now_ns);
	if (n <= l->burst + l->cfg.size)
		need = n > l->burst ? (limit_shares)(n - l->burst) * (limit_shares)l->cfg.refill_ns
				    : 0;
	if (l->balance >= need)
		return now_ns;
	return now_ns + (uint64_t)((need - l->balance + (limit_shares)l->cfg.size - 1) /
				   (limit_shares)l->cfg.size);
}

/* Takes n tokens, whatever is there; up to 2^32. */
static inline void limit_charge(struct limit *l, uint64_t n, uint64_t now_ns)
{
	uint64_t from_burst = n < l->burst ? n : l->burst;

	if (l->cfg.size == 0)
		return;
	limit_refill(l, now_ns);
	l->burst -= from_burst;
	l->balance -= (limit_shares)(n - from_burst) * (limit_shares)l->cfg.refill_ns;
}

#endif
