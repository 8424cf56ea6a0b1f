/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocations that fail. The linker puts these in place of the C library's (-Wl,--wrap); what the simulation
 * allocates for itself (sim_alloc(), sim_grow()) is left out.
 */
#ifndef SLUICE_TESTS_FAULT_ALLOC_H
#define SLUICE_TESTS_FAULT_ALLOC_H

#include <stdbool.h>
#include <stdint.h>

/* From now on the nth allocation (from 1) fails, with lasts all behind it too. 0: none does. */
void fault_alloc_set(uint64_t nth, bool lasts);

/* Whether one has failed since. */
bool fault_alloc_has_failed(void);

#endif
