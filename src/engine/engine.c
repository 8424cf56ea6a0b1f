/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: life, one pass, timers.
 *
 * A pass takes frames of the guest, then what is due, then serves flows in turn, each in bounded amounts, so
 * that neither direction starves the other. Nothing here walks all flows.
 */
#include "engine/engine.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/internal.h"

enum {
	PASS_FRAMES = 64,       /* frames of the guest in one pass */
	PASS_BYTES = 512 << 10, /* bytes in one pass, each way */
	PASS_TIMERS = 256,
	PASSES_UNTIMED = 16, /* in which timers wait for frames: more than a card's queue holds */
};

#define SECOND_NS 1000000000ULL

void engine_config_defaults(struct engine_config *cfg)
{
	*cfg = (struct engine_config){
	    .tcp_limit = ENGINE_TCP_LIMIT_DEFAULT,
	    .tcp_backlog = ENGINE_TCP_BACKLOG_DEFAULT,
	    .tcp_keepalive_ns = 7200 * SECOND_NS,
	    .udp_limit = ENGINE_UDP_LIMIT_DEFAULT,
	    .udp_idle_ns = 120 * SECOND_NS,
	    .dns_timeout_ns = 5 * SECOND_NS,
	    .dns_grace_ns = 300 * SECOND_NS,
	    .dns_cache_bytes = CACHE_BYTES_DEFAULT,
	    .dns_rebind_protection = true,
	};
	cfg->netif.mtu = NETIF_MTU_DEFAULT;
}

static bool is_config_right(const struct engine_config *c)
{
	return c->tcp_limit > 0 && c->tcp_limit <= ENGINE_TCP_LIMIT_MAX && c->tcp_backlog > 0 &&
	       c->udp_limit > 0 && c->udp_limit <= ENGINE_UDP_LIMIT_MAX &&
	       c->resolver_count <= ENGINE_RESOLVERS_MAX &&
	       c->dns_route_count <= ENGINE_DNS_ROUTES_MAX && c->netif.mtu >= NETIF_MTU_MIN &&
	       c->netif.mtu <= NETIF_MTU_MAX && c->policy && shape_is_right(&c->shape);
}

static int init_world(struct engine *e, const struct sock_ops *ops, void *host, uint64_t now_ns)
{
	int err = name_streams_init(&e->resolve.streams, ops, host);

	e->world = (struct flow_world){
	    .netif = &e->netif,
	    .ops = &name_stream_ops,
	    .host = &e->resolve.streams,
	    .wheel = &e->wheel,
	    .counters = e->netif.counters,
	    .challenges = {.interval_ns = SECOND_NS / 1000, .burst = 1000},
	    .now_ns = now_ns,
	};
	ops->random(host, &e->world.hash_key, sizeof(e->world.hash_key));
	e->queries = (struct bucket){.interval_ns = SECOND_NS / 200, .burst = 1000};
	e->events = (struct bucket){.interval_ns = SECOND_NS / 100, .burst = 1000};
	e->ends = (struct bucket){.interval_ns = SECOND_NS / 200, .burst = 10000};
	e->ends_limited = (struct bucket){.interval_ns = SECOND_NS, .burst = 1};
	return err;
}

/* Without limits nothing stands before the port's frame device. 0 or -ENOMEM. */
static int set_limits(struct engine *e, const struct shape_config *limits, uint64_t now_ns)
{
	int err = 0;

	if (e->has_shape) {
		shape_set(&e->shape, limits, now_ns);
	} else if (shape_is_wanted(limits)) {
		err = shape_init(&e->shape, limits, e->nic, now_ns);
		if (!err) {
			e->netif.control = e->nic;
			e->nic = &e->shape.nic;
			e->has_shape = true;
		}
	}
	e->netif.nic = e->nic;
	return err;
}

static void init_link(struct engine *e)
{
	link_init(&e->link, &e->netif);
	icmp_out_init(&e->icmp, &e->netif);
	reassembly_init(&e->reassembly, &e->netif, &e->icmp);
	timer_init(&e->link_timer, TIMER_LINK);
	timer_init(&e->reassembly_timer, TIMER_REASSEMBLY);
}

int engine_new(const struct engine_config *cfg, struct nic *nic, const struct sock_ops *sock_ops,
    void *sock_ctx, struct engine_counters *counters, uint64_t now_ns, struct engine **ret_engine)
{
	struct tcp_limits limits = {
	    .flows = cfg->tcp_limit,
	    .embryos = cfg->tcp_backlog < cfg->tcp_limit ? cfg->tcp_backlog : cfg->tcp_limit,
	    .times = {.keepalive_ns = cfg->tcp_keepalive_ns, .idle_ns = cfg->tcp_idle_ns},
	};
	struct engine *e;
	int err;

	if (!is_config_right(cfg))
		return -EINVAL;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->cfg = *cfg;
	e->nic = nic;
	e->netif = (struct netif){.cfg = cfg->netif, .counters = counters};
	e->has_guest_mac = !cfg->netif.learns_guest_mac;
	wheel_init(&e->wheel, now_ns);
	/* Each of them, whatever became of the others: engine_free() needs all of them begun. */
	err = init_world(e, sock_ops, sock_ctx, now_ns);
	init_link(e);
	err |= set_limits(e, &cfg->shape, now_ns);
	err |= tcp_table_init(&e->tcp, &limits);
	err |= udp_table_init(&e->udp, cfg->udp_limit, cfg->udp_idle_ns, &e->icmp);
	err |= echo_init(&e->echo, &e->icmp);
	err |= resolve_init(e);
	err |= publish_init(e);
	if (err) {
		engine_free(e, now_ns);
		return -ENOMEM;
	}
	e->tcp.on_end = account_tcp_end;
	e->tcp.on_dialed = publish_on_dialed;
	e->tcp.ctx = e;
	e->tcp.on_flight = admit_tcp_flight;
	e->udp.on_end = account_udp_end;
	e->udp.on_flight = admit_udp_flight;
	e->udp.ctx = e;
	*ret_engine = e;
	return 0;
}

/* What was built leaves, and the guest is woken. */
static void flush(struct engine *e)
{
	e->nic->ops->flush(e->nic);
	if (e->has_shape)
		shape_end(&e->shape);
	e->netif.counters->nic = e->nic->counters;
}

void engine_free(struct engine *e, uint64_t now_ns)
{
	if (!e)
		return;
	e->world.now_ns = now_ns;
	tcp_table_reset_all(&e->tcp, &e->world);
	udp_table_close_all(&e->udp, &e->world);
	publish_fini(e);
	account_fini(e);
	flush(e);
	resolve_fini(e);
	echo_fini(&e->echo, &e->world);
	udp_table_fini(&e->udp);
	tcp_table_fini(&e->tcp);
	name_streams_fini(&e->resolve.streams);
	reassembly_fini(&e->reassembly);
	if (e->has_shape)
		shape_fini(&e->shape);
	free(e);
}

void engine_set_policy(struct engine *e, const struct policy *policy)
{
	e->cfg.policy = policy;
	e->generation++;
	cache_clear(&e->resolve.cache);
}

int engine_set_limits(struct engine *e, const struct shape_config *limits, uint64_t now_ns)
{
	return shape_is_right(limits) ? set_limits(e, limits, now_ns) : -EINVAL;
}

void engine_set_resolvers(struct engine *e, const struct endpoint *servers, uint32_t count)
{
	/* There is always place for so many in the first group. */
	if (forward_set_group(&e->resolve.forward, 0, servers, count) == 0)
		cache_clear(&e->resolve.cache);
}

void engine_arm(struct engine *e, struct timer *t, uint64_t due_ns)
{
	/* A timer that fires too early finds nothing to do and is set again. */
	if (due_ns != UINT64_MAX && (!timer_is_set(t) || due_ns < t->due_ns))
		wheel_set(&e->wheel, t, due_ns);
}

void engine_on_frames(struct engine *e)
{
	e->has_frames = true;
}

void engine_on_room(struct engine *e)
{
	e->world.is_rx_blocked = false;
}

void engine_on_link_new(struct engine *e)
{
	e->has_guest_mac = !e->cfg.netif.learns_guest_mac;
}

static void on_tcp_sock(struct engine *e, struct pool_ref ref, uint32_t events)
{
	struct tcp_flow *f = pool_find(&e->tcp.pool, ref);

	if (!f || f->sock == SOCK_NONE)
		return; /* closed in this very pass */
	if (f->conn.state == TCPS_SYN_HELD)
		admit_tcp_result(e, f, events);
	else
		tcp_flow_on_sock(&e->tcp, &e->world, f, events);
}

void engine_on_sock(struct engine *e, struct sock_owner owner, uint32_t events, uint64_t now_ns)
{
	struct udp_flow *u;

	e->world.now_ns = now_ns;
	switch (owner.kind) {
	case SOCK_TCP:
		on_tcp_sock(e, owner.ref, events);
		break;
	case SOCK_UDP:
		u = pool_find(&e->udp.pool, owner.ref);
		if (u)
			udp_flow_on_sock(&e->udp, &e->world, u, events);
		break;
	case SOCK_PING:
		echo_on_sock(&e->echo, &e->world, (uint8_t)owner.ref.index, events);
		e->has_more_echo = true;
		break;
	case SOCK_DNS:
	case SOCK_DNS_TCP:
		resolve_on_sock(e, owner.ref.index, events);
		e->has_more_answers = true;
		break;
	case SOCK_LISTEN:
	case SOCK_PUBLISHED:
		publish_on_sock(e, owner.ref, events);
		break;
	}
}

/* Everything that has been taken from frames is where it belongs: the port may have them back. */
static void release_frames(struct engine *e, uint32_t *held)
{
	tcp_burst_flush(&e->tcp, &e->world);
	if (*held > 0)
		e->nic->ops->release(e->nic, *held);
	*held = 0;
}

/* Whether a timer will fire in this pass. */
static bool is_timer_due(struct engine *e)
{
	return wheel_next_ns(&e->wheel) <= e->world.now_ns;
}

/* Takes frames until there are none, or enough for one pass. 0 or a broken link. */
static int take_frames(struct engine *e)
{
	const struct nic_ops *ops = e->nic->ops;
	uint32_t bytes = 0;
	uint32_t count = 0;
	uint32_t held = 0; /* staged, not yet released */
	int n = 0;

	while (count < PASS_FRAMES && bytes < PASS_BYTES) {
		struct frame frame;

		n = ops->stage(e->nic, &frame);
		if (n == -ENOBUFS && held > 0) {
			release_frames(e, &held);
			continue;
		}
		if (n <= 0) {
			e->has_frames = false;
			break;
		}
		engine_input(e, &frame);
		held++;
		if (!e->tcp.burst.flow)
			release_frames(e, &held);
		count++;
		bytes += frame.len;
		/* One small frame by itself is a request or an ACK: asking for another would mostly
		 * be a system call for nothing. A port that tells again is asked when it does. */
		if (count == 1 && e->nic->is_level && !e->was_burst &&
		    frame.len <= e->netif.cfg.mtu && !is_timer_due(e)) {
			e->has_frames = false;
			break;
		}
	}
	release_frames(e, &held);
	e->was_burst = count > 1;
	return n < 0 ? n : 0;
}

/* At most PASS_TIMERS; what is left is due in the next pass, which follows at once (wheel_next_ns()). */
static void expire_timers(struct engine *e)
{
	struct timer *t;

	for (int i = 0; i < PASS_TIMERS; i++) {
		t = wheel_expire(&e->wheel, e->world.now_ns);
		if (!t)
			return;
		switch ((enum timer_kind)t->kind) {
		case TIMER_TCP:
			tcp_flow_on_timer(
			    &e->tcp, &e->world, container_of(t, struct tcp_flow, timer));
			break;
		case TIMER_UDP_IDLE:
			e->has_more_idle = true;
			break;
		case TIMER_LINK:
			link_on_time(&e->link, e->world.now_ns);
			engine_arm(e, t, link_next_ns(&e->link));
			break;
		case TIMER_REASSEMBLY:
			reassembly_on_time(&e->reassembly, e->world.now_ns);
			engine_arm(e, t, reassembly_next_ns(&e->reassembly));
			break;
		case TIMER_DNS:
			resolve_on_timer(e);
			break;
		case TIMER_PUBLISH:
			publish_on_timer(e);
			break;
		}
	}
}

/* Who wants room towards the guest. */
enum flow_kind {
	FLOW_TCP,
	FLOW_UDP,
	FLOW_UDP_INBOUND,
};

static bool serve_kind(struct engine *e, uint8_t kind)
{
	if (kind == FLOW_TCP)
		return tcp_table_serve(&e->tcp, &e->world, PASS_BYTES);
	if (kind == FLOW_UDP)
		return udp_table_serve(&e->udp, &e->world, PASS_BYTES);
	return publish_udp_serve(e);
}

/* All kinds of flows. One that has filled all the room that there is comes last the next time. False: no room
 * towards the guest. */
static bool serve_flows(struct engine *e)
{
	static const unsigned int kinds = FLOW_UDP_INBOUND + 1;

	for (unsigned int i = 0; i < kinds; i++) {
		uint8_t kind = (uint8_t)((e->first_kind + i) % kinds);

		if (!serve_kind(e, kind)) {
			e->first_kind = (uint8_t)((kind + 1U) % kinds);
			return false;
		}
	}
	return true;
}

/* Delivers what waits for the guest. True if there is more to do at once. */
static bool serve(struct engine *e)
{
	if (e->world.is_rx_blocked)
		return false;
	if (e->has_more_answers)
		e->has_more_answers = resolve_serve(e);
	resolve_serve_streams(e);
	if (!serve_flows(e)) {
		e->world.is_rx_blocked = true;
		return false;
	}
	if (e->has_more_echo)
		e->has_more_echo = echo_serve(&e->echo, &e->world);
	return e->has_more_echo || e->has_more_answers ||
	       !list_is_empty(&e->resolve.streams.ready) || !list_is_empty(&e->tcp.dirty) ||
	       !list_is_empty(&e->udp.dirty) || !list_is_empty(&e->publish.udp_ready);
}

/* Datagram flows that have been silent for too long. True: there are more. */
static bool end_idle(struct engine *e)
{
	bool has_more = udp_table_on_timer(&e->udp, &e->world);

	if (e->publish.udp_guest_ports)
		has_more |= udp_table_on_timer(&e->publish.udp, &e->world);
	return has_more;
}

int engine_run(struct engine *e, uint64_t now_ns)
{
	bool has_more;
	bool has_clients;

	e->world.now_ns = now_ns;
	e->world.counters->passes++;
	if (e->has_shape && shape_begin(&e->shape, now_ns)) {
		e->has_frames = true;
		e->world.is_rx_blocked = false;
	}
	if (e->has_frames && take_frames(e))
		return -EPIPE;
	/* An acknowledgment that is still to be read must not find its data sent again. */
	if (!e->has_frames || ++e->passes_untimed == PASSES_UNTIMED) {
		expire_timers(e);
		e->passes_untimed = 0;
	}
	if (e->has_more_idle)
		e->has_more_idle = end_idle(e);
	tcp_table_delayed(&e->tcp, &e->world);
	has_clients = publish_serve(e);
	has_more = serve(e);
	flush(e);
	return e->has_frames || has_more || has_clients || e->has_more_idle;
}

void engine_on_link_gone(struct engine *e, uint64_t now_ns)
{
	e->world.now_ns = now_ns;
	e->has_frames = false;
	tcp_table_reset_unfinished(&e->tcp, &e->world, FLOW_END_GUEST_TIMEOUT, false);
}

void engine_dismiss_guest(struct engine *e, uint64_t now_ns)
{
	e->world.now_ns = now_ns;
	tcp_table_reset_unfinished(&e->tcp, &e->world, FLOW_END_SHUTDOWN, true);
	e->nic->ops->flush(e->nic);
	e->has_frames = false;
}

bool engine_is_delivered(const struct engine *e)
{
	return e->tcp.undelivered == 0;
}

uint64_t engine_next_ns(struct engine *e)
{
	uint64_t wheel = wheel_next_ns(&e->wheel);
	uint64_t delayed = tcp_table_next_ns(&e->tcp);
	uint64_t next = wheel < delayed ? wheel : delayed;
	uint64_t shaped = e->has_shape ? shape_next_ns(&e->shape) : SHAPE_NEVER;

	return next < shaped ? next : shaped;
}
