/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the simulation share: worlds under cmocka. */
#ifndef SLUICE_TESTS_SIM_TEST_H
#define SLUICE_TESTS_SIM_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sim_world.h"

static inline struct sim_world *sim_test_world(const struct sim_config *cfg)
{
	struct sim_world *w = sim_alloc(sizeof(*w));

	sim_world_init(w, cfg);
	return w;
}

/* Ends the world, and the test if anything was wrong in it. */
static inline void sim_test_end(struct sim_world *w)
{
	char failure[SIM_FAILURE_LEN];

	sim_world_fini(w);
	(void)memcpy(failure, w->sim.failure, sizeof(failure));
	free(w);
	if (failure[0] != '\0')
		fail_msg("%s", failure);
}

#endif
