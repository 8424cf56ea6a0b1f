/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers that come again with the same seed (splitmix64). */
#ifndef SLUICE_TESTS_DICE_H
#define SLUICE_TESTS_DICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dice {
	uint64_t state;
};

static inline uint64_t dice_u64(struct dice *d)
{
	uint64_t z = d->state += 0x9e3779b97f4a7c15U;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
	z = (z ^ z >> 27) * 0x94d049bb133111ebU;
	return z ^ z >> 31;
}

/* 0 .. end - 1 */
static inline uint32_t dice_below(struct dice *d, uint32_t end)
{
	return (uint32_t)(dice_u64(d) % end);
}

/* True once in so many times. */
static inline bool dice_one_in(struct dice *d, uint32_t times)
{
	return dice_below(d, times) == 0;
}

static inline void dice_fill(struct dice *d, void *to, size_t len)
{
	uint8_t *at = to;

	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)dice_u64(d);
}

#endif
