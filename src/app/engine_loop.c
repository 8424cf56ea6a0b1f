/* SPDX-License-Identifier: Apache-2.0 */
/* Puts port, host, engine and event log together. */
#include "app/engine_loop.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include "app/complain.h"
#include "app/events.h"
#include "base/bucket.h"
#include "host/facts.h"
#include "host/follow.h"
#include "host/host.h"
#include "port/port_open.h"

enum {
	NOTE_BURST = 10,
};

#define NOTE_INTERVAL_NS 5000000000ULL

static int tell_ready(int fd)
{
	ssize_t n = write(fd, "", 1);

	(void)close(fd);
	return n == 1 ? 0 : -EPIPE;
}

/* What the host's addresses make of the policy. */
struct addresses {
	const struct engine_params *params;
	struct engine *engine;
	struct policy *policy; /* owned; NULL: still that of params */
};

/* The host has other addresses: group host of the policy is another one. */
static void on_addresses(void *ctx, const struct ip_addr *addrs, size_t count)
{
	struct addresses *a = ctx;
	struct policy_builder *b = a->params->builder;
	struct policy *policy;

	if (host_change_policy(b, &a->params->config.netif, addrs, count) ||
	    policy_builder_compile(b, &policy)) {
		complain("there is no memory for the rules: addresses that the host has got are "
			 "not judged as the host's");
		return;
	}
	engine_set_policy(a->engine, policy);
	policy_free(a->policy);
	a->policy = policy;
}

/* From here on the engine owns their sockets. */
static int publish(const struct published *p, struct engine *e)
{
	struct pool_ref ref;
	int err = 0;

	for (size_t i = 0; i < p->count && !err; i++)
		err = engine_publish_add(e, &p->specs[i], p->fds[i], &ref);
	return err;
}

/* Until the end. */
static int turn(const struct engine_params *params, struct host *h, struct engine *e,
    struct port *port, struct event_log *log)
{
	struct addresses addresses = {.params = params, .engine = e};
	struct host_follow *follow;
	int err = host_follow_new(params->addresses_fd, on_addresses, &addresses, &follow);

	if (err)
		return err;
	host_set_follow(h, follow);
	err = tell_ready(params->ready_fd);
	if (!err)
		err = host_loop(
		    h, e, port, params->control_fd, log != NULL ? event_log_flush : NULL, log);
	engine_set_policy(e, params->config.policy);
	policy_free(addresses.policy);
	host_set_follow(h, NULL);
	host_follow_free(follow);
	return err;
}

/* log: NULL where no events are wanted. */
static int run(
    const struct engine_params *params, struct host *h, struct port *port, struct event_log *log)
{
	struct engine_config cfg = params->config;
	struct engine *e;
	int err;

	cfg.on_event = log != NULL ? event_log_add : NULL;
	cfg.event_ctx = log;
	err = engine_new(&cfg, &port->nic, &host_sock_ops, h, params->counters, host_now_ns(), &e);
	if (err)
		return err;
	err = publish(params->published, e);
	if (!err)
		err = turn(params, h, e, port, log);
	engine_free(e, host_now_ns());
	return err;
}

/* A front end can cause any number. */
static void on_note(void *bucket, const char *text)
{
	if (bucket_take(bucket, host_now_ns()))
		complain("the guest's monitor: %s", text);
}

static int run_with_port(const struct engine_params *params, struct host *h, struct event_log *log)
{
	struct bucket notes = {.interval_ns = NOTE_INTERVAL_NS, .burst = NOTE_BURST};
	struct port_config cfg = params->port;
	struct port *port;
	int err;

	cfg.on_note = on_note;
	cfg.note_ctx = &notes;
	err = port_open(&cfg, &port);

	if (err)
		return err;
	err = run(params, h, port, log);
	port_free(port);
	return err;
}

int engine_loop(const struct engine_params *params)
{
	struct host_config cfg = {
	    .sock_limit = params->sock_limit,
	    .keepalive_s = (uint32_t)(params->config.tcp_keepalive_ns / 1000000000),
	    /* What a monitor agrees to is not known yet. */
	    .has_udp_gro = (params->port.features & NIC_F_USO) != 0 ||
			   params->port.kind == PORT_KIND_VHOST_USER,
	};
	bool has_events = params->events_fd >= 0;
	struct event_log log;
	struct host *h;
	int err = host_new(&cfg, &h);

	if (err)
		return err;
	if (has_events)
		err = event_log_init(&log, params->events_fd, params->config.policy);
	if (!err) {
		err = run_with_port(params, h, has_events ? &log : NULL);
		if (has_events)
			event_log_fini(&log);
	}
	host_free(h);
	return err;
}
