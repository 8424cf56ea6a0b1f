/* SPDX-License-Identifier: Apache-2.0 */
/* Puts port, host and engine together. */
#include "app/engine_loop.h"

#include <errno.h>
#include <unistd.h>

#include "host/host.h"
#include "port/tap.h"

static int run(const struct engine_params *params, struct host *h, struct tap_port *tap)
{
	struct engine *e;
	int err = engine_new(&params->config, tap_port_nic(tap), &host_sock_ops, h,
	    params->counters, host_now_ns(), &e);

	if (err)
		return err;
	err = host_loop(h, e, tap, params->control_fd, NULL, NULL);
	engine_free(e, host_now_ns());
	return err;
}

int engine_loop(const struct engine_params *params)
{
	struct host_config cfg = {
	    .sock_limit = params->sock_limit,
	    .keepalive_s = (uint32_t)(params->config.tcp_keepalive_ns / 1000000000),
	    .has_udp_gro = (params->nic_features & NIC_F_USO) != 0,
	};
	struct tap_port *tap;
	struct host *h;
	int err = host_new(&cfg, &h);

	if (err)
		return err;
	err = tap_port_new(params->tap_fd, params->nic_features, &tap);
	if (!err) {
		err = run(params, h, tap);
		tap_port_free(tap);
	}
	host_free(h);
	return err;
}
