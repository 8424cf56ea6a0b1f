/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transfers over a link that loses nothing: bytes are equal both ways, both ends come as FIN, nothing is
 * sent twice, nothing is left (behaviours.md B1, B6, B10).
 */
#include "sim_test.h"

static void echo(void **state)
{
	(void)state;
	struct sim_config cfg = sim_config_defaults(1);
	struct sim_world *w = sim_test_world(&cfg);
	struct sim_conn_spec spec = sim_conn_defaults(&cfg, 4);
	struct sim_tcp *c;

	spec.guest.send_len = 100000;
	spec.guest.close = SIM_CLOSE_SENT;
	spec.remote.app.send_len = 300000;
	c = sim_world_connect(w, &spec);
	(void)sim_world_run(w, SIM_NEVER - 1);
	sim_world_expect_complete(w, c);
	sim_world_expect_empty(w);
	sim_test_end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(echo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
