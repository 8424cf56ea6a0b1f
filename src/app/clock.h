/* SPDX-License-Identifier: Apache-2.0 */
/* The clock of the launcher and of init. */
#ifndef SLUICE_APP_CLOCK_H
#define SLUICE_APP_CLOCK_H

#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC, the same for all processes of the machine. */
static inline uint64_t clock_monotonic_ns(void)
{
	struct timespec t;

	/* Cannot fail for this clock. */
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

#endif
