/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the simulation share: worlds under cmocka. */
#ifndef SLUICE_TESTS_SIM_TEST_H
#define SLUICE_TESTS_SIM_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim_world.h"

static inline struct sim_world *sim_test_world(const struct sim_config *cfg)
{
	struct sim_world *w = sim_alloc(sizeof(*w));

	sim_world_init(w, cfg);
	return w;
}

/* Frees the world; true if nothing was wrong in it, else what is printed. */
static inline bool sim_test_free(struct sim_world *w)
{
	bool is_right;

	sim_world_fini(w);
	is_right = !w->sim.has_failed;
	if (!is_right)
		print_error("%s\n", w->sim.failure);
	free(w);
	return is_right;
}

/* Ends the world, and the test if anything was wrong in it. */
static inline void sim_test_end(struct sim_world *w)
{
	if (!sim_test_free(w))
		fail();
}

/* One connection from its start to rest, which must be complete and leave nothing. Returns the world, whose
 * counters may be looked at. */
static inline struct sim_world *sim_test_run_one(
    const struct sim_config *cfg, const struct sim_conn_spec *spec, struct sim_tcp **ret_conn)
{
	struct sim_world *w = sim_test_world(cfg);
	struct sim_tcp *c = sim_world_connect(w, spec);

	(void)sim_world_run(w, cfg->start_ns + 7000 * SIM_S);
	sim_world_expect_complete(w, c);
	sim_world_expect_empty(w);
	if (ret_conn)
		*ret_conn = c;
	return w;
}

#endif
