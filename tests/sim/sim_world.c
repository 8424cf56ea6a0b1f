/* SPDX-License-Identifier: Apache-2.0 */
/* A whole engine in a simulated world; see sim_world.h. */
#include "sim_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	EVENTS_MAX = 128,
	IDLE_TURNS_MAX = 100,
	GUEST_PORT_FIRST = 20000,
};

struct sim_config sim_config_defaults(uint64_t seed)
{
	return (struct sim_config){
	    .seed = seed,
	    .start_ns = 1000 * SIM_S,
	    .mtu = 1500,
	    .nic = {.features = NIC_F_CSUM | NIC_F_TSO4 | NIC_F_TSO6 | NIC_F_USO,
		.is_level = true,
		.batch_max = 4,
		.rx_depth = 256,
		.tx_depth = 256},
	    .tx = {.delay_ns = 5 * SIM_US},
	    .rx = {.delay_ns = 5 * SIM_US},
	    .guest_batch = 64,
	    .guest_poll_ns = 2 * SIM_US,
	    .wake_ns = 3 * SIM_US,
	    .pass_ns = 2 * SIM_US,
	};
}

struct sim_conn_spec sim_conn_defaults(const struct sim_config *cfg, uint8_t family)
{
	return (struct sim_conn_spec){
	    .family = family,
	    .tcp = sim_tcp_defaults(cfg->mtu, family),
	    .guest = {.seed = 1, .close = SIM_CLOSE_EOF},
	    .remote = {.answer_ns = 50 * SIM_US,
		.delay_ns = 20 * SIM_US,
		.app = {.seed = 2, .close = SIM_CLOSE_EOF}},
	};
}

/* ---- between the parts ---- */

/* Something happened: the engine has its turn soon. */
static void wake(void *ctx)
{
	struct sim_world *w = ctx;
	uint64_t at = w->sim.now_ns + w->cfg.wake_ns;

	if (at < w->busy_until_ns)
		at = w->busy_until_ns;
	if (at < w->turn_ns)
		w->turn_ns = at;
}

static void push_waiting(void *ctx)
{
	struct sim_world *w = ctx;

	while (w->waiting.first && w->nic.tx.count < w->nic.cfg.tx_depth)
		(void)sim_nic_push(&w->nic, sim_queue_take(&w->waiting));
	w->nic.is_tx_full = w->waiting.first != NULL;
	wake(w);
}

static void arrive_at_nic(void *ctx, struct sim_frame *f)
{
	struct sim_world *w = ctx;

	if (w->waiting.first || !sim_nic_push(&w->nic, f)) {
		w->nic.is_tx_full = true;
		sim_queue_put(&w->waiting, f);
	}
	wake(w);
}

void sim_world_inject(struct sim_world *w, struct sim_frame *f)
{
	arrive_at_nic(w, f);
}

static void guest_sends(void *ctx, struct sim_frame *f)
{
	struct sim_world *w = ctx;

	if (w->sim.is_tracing) {
		struct sim_packet p;
		char text[256];

		(void)sim_parse(f->bytes, f->len, &p);
		fprintf(stderr, "%12.6f < %s\n", (double)w->sim.now_ns / 1e9,
		    sim_describe(&p, text, sizeof(text)));
	}
	sim_dir_send(&w->tx, f);
}

static void arrive_at_guest(void *ctx, struct sim_frame *f)
{
	struct sim_world *w = ctx;

	sim_guest_receive(&w->guest, f);
	free(f);
}

static void send_piece(void *ctx, struct sim_frame *piece)
{
	struct sim_world *w = ctx;

	sim_dir_send(&w->rx, piece);
}

static void on_commit(void *ctx, const struct sim_frame *f)
{
	sim_watch_frame(ctx, f);
}

static void on_rx(void *ctx)
{
	struct sim_world *w = ctx;

	if (!sim_timer_is_set(&w->poll_timer))
		sim_timer_set(&w->sim, &w->poll_timer, w->sim.now_ns + w->cfg.guest_poll_ns);
}

/* The guest takes frames off the device. */
static void on_poll(void *arg)
{
	struct sim_world *w = arg;
	const struct sim_impair *i = &w->cfg.rx;
	struct sim_frame *f;

	if (i->stall_to_ns > 0 && w->sim.now_ns >= i->stall_from_ns &&
	    w->sim.now_ns < i->stall_to_ns) {
		sim_timer_set(&w->sim, &w->poll_timer, i->stall_to_ns);
		return;
	}
	for (uint32_t n = 0; n < w->cfg.guest_batch; n++) {
		f = sim_nic_take(&w->nic);
		if (!f)
			break;
		if (w->cfg.is_segmented && f->vnet.gso_type != SIM_GSO_NONE) {
			sim_segment(f, send_piece, w);
			free(f);
		} else {
			sim_dir_send(&w->rx, f);
		}
	}
	if (w->nic.rx.count > 0)
		on_rx(w);
	if (w->nic.has_room)
		wake(w);
}

static bool find_remote(void *ctx, const struct endpoint *to, struct sim_remote *ret_remote)
{
	struct sim_world *w = ctx;
	const struct sim_remote *r = *sim_ports_at(&w->remotes, to->port);

	if (!r)
		return false;
	*ret_remote = *r;
	return true;
}

static void check_bytes(struct sim_world *w, const struct engine_event *e)
{
	struct sim_tcp *c = *sim_ports_at(&w->guest.by_port, e->guest.port);
	struct sim_sock *s = c ? sim_world_sock(w, c) : NULL;

	if (e->is_inbound || !s || e->end != FLOW_END_CLOSED || c->remote_port != e->remote.port)
		return;
	if (e->tx_bytes != c->queued || e->rx_bytes != s->app.sent)
		sim_fail(&w->sim, "event: port %u: %llu and %llu bytes instead of %llu and %llu",
		    c->port, (unsigned long long)e->tx_bytes, (unsigned long long)e->rx_bytes,
		    (unsigned long long)c->queued, (unsigned long long)s->app.sent);
}

static void on_event(void *ctx, const struct engine_event *e)
{
	struct sim_world *w = ctx;

	switch (e->kind) {
	case EVENT_FLOW_END:
		w->ends[e->end]++;
		w->last_end = *e;
		if (e->proto == POLICY_TCP)
			check_bytes(w, e);
		if (w->on_flow_end)
			w->on_flow_end(w->ctx, e);
		break;
	case EVENT_DENIED:
		w->denials += e->count;
		w->last_refusal = *e;
		w->last_name = e->name ? *e->name : (struct name){0};
		break;
	case EVENT_REFUSED:
		w->refusals += e->count;
		w->last_refusal = *e;
		break;
	case EVENT_QUERY:
		w->queries += e->count;
		break;
	case EVENT_PUBLISHED:
		w->published++;
		break;
	case EVENT_FLOW_ENDS_LIMITED:
		w->ends_limited += e->count;
		w->limit_events++;
		break;
	}
}

/* ---- life ---- */

static void init_netif(struct sim_world *w)
{
	struct netif_config *n = &w->netif;

	n->guest_mac = (struct mac_addr){{0x02, 0x6d, 0x73, 0, 0, 2}};
	n->gateway_mac = (struct mac_addr){{0x02, 0x6d, 0x73, 0, 0, 1}};
	n->has_v4 = !w->cfg.has_no_v4;
	n->has_v6 = !w->cfg.has_no_v6;
	n->guest_v4 = ip_addr_v4(0x64600002);
	n->gateway_v4 = ip_addr_v4(0x64600001);
	n->prefix_len_v4 = 30;
	if (ip_addr_parse("fd42:6d73:62::2", &n->guest_v6) ||
	    ip_addr_parse("fd42:6d73:62::1", &n->gateway_v6) ||
	    ip_addr_parse("fe80::6d:73ff:fe00:1", &n->gateway_ll))
		sim_fail(&w->sim, "world: addresses");
	n->prefix_len_v6 = 64;
	n->mtu = w->cfg.mtu;
	w->facts = (struct sim_link_facts){
	    .guest_mac = n->guest_mac,
	    .gateway_mac = n->gateway_mac,
	    .features = w->cfg.nic.features,
	    .mtu = n->mtu,
	};
}

static void init_engine(struct sim_world *w)
{
	const struct sim_config *c = &w->cfg;
	struct engine_config e;

	engine_config_defaults(&e);
	e.netif = w->netif;
	if (c->learns_mac) {
		e.netif.learns_guest_mac = true;
		e.netif.guest_mac = (struct mac_addr){{0x02, 0, 0, 0, 0, 1}};
	}
	e.policy = &w->policy;
	if (c->tcp_limit > 0)
		e.tcp_limit = c->tcp_limit;
	if (c->tcp_backlog > 0)
		e.tcp_backlog = c->tcp_backlog;
	if (c->keepalive_ns > 0)
		e.tcp_keepalive_ns = c->keepalive_ns == SIM_NEVER ? 0 : c->keepalive_ns;
	e.tcp_idle_ns = c->idle_ns;
	if (c->udp_limit > 0)
		e.udp_limit = c->udp_limit;
	if (c->udp_idle_ns > 0)
		e.udp_idle_ns = c->udp_idle_ns;
	for (uint32_t i = 0; i < c->resolver_count; i++)
		e.resolvers[i] = (struct endpoint){.addr = ip_addr_v4(0x09090900 + i), .port = 53};
	e.resolver_count = c->resolver_count;
	e.on_event = on_event;
	e.event_ctx = w;
	if (engine_new(
		&e, &w->nic.nic, &sim_sock_ops, &w->host, &w->counters, w->sim.now_ns, &w->engine))
		sim_fail(&w->sim, "world: no engine");
}

void sim_world_init(struct sim_world *w, const struct sim_config *cfg)
{
	memset(w, 0, sizeof(*w));
	w->cfg = *cfg;
	sim_init(&w->sim, cfg->seed, cfg->start_ns);
	init_netif(w);
	w->is_lossless = !sim_impair_is_lossy(&cfg->tx) && !sim_impair_is_lossy(&cfg->rx) &&
			 !cfg->has_checks_off;
	w->next_port = GUEST_PORT_FIRST;
	w->next_remote = SIM_PORT_FIRST;
	w->turn_ns = SIM_NEVER;
	sim_queue_init(&w->waiting);
	sim_timer_init(&w->poll_timer, on_poll, w);

	sim_nic_init(&w->nic, &w->sim, &cfg->nic);
	w->nic.on_commit = on_commit;
	w->nic.on_rx = on_rx;
	w->nic.on_tx_room = push_waiting;
	w->nic.ctx = w;
	sim_dir_init(&w->tx, &w->sim, &cfg->tx);
	w->tx.deliver = arrive_at_nic;
	w->tx.ctx = w;
	sim_dir_init(&w->rx, &w->sim, &cfg->rx);
	w->rx.deliver = arrive_at_guest;
	w->rx.ctx = w;
	sim_host_init(&w->host, &w->sim);
	w->host.find = find_remote;
	w->host.on_event = wake;
	w->host.ctx = w;
	w->host.batch = cfg->host_batch;
	w->host.has_no_peek_offset = cfg->has_no_peek_offset;
	sim_guest_init(&w->guest, &w->sim);
	w->guest.mac = w->netif.guest_mac;
	w->guest.gateway_mac = w->netif.gateway_mac;
	w->guest.addr4 = w->netif.guest_v4;
	w->guest.addr6 = w->netif.guest_v6;
	w->guest.send = guest_sends;
	w->guest.ctx = w;
	init_engine(w);
}

void sim_world_fini(struct sim_world *w)
{
	engine_free(w->engine, w->sim.now_ns);
	if (sim_host_open_count(&w->host) > 0 && !w->sim.has_failed)
		sim_fail(&w->sim, "engine: left %u sockets open", sim_host_open_count(&w->host));
	sim_guest_fini(&w->guest);
	sim_dir_fini(&w->tx);
	sim_dir_fini(&w->rx);
	sim_host_fini(&w->host);
	sim_nic_fini(&w->nic);
	sim_queue_clear(&w->waiting);
	sim_ports_fini(&w->remotes, true);
	sim_ports_fini(&w->watches, true);
	sim_fini(&w->sim);
}

void sim_world_serve(struct sim_world *w, uint16_t port, const struct sim_remote *remote)
{
	void **slot = sim_ports_at(&w->remotes, port);

	if (!*slot)
		*slot = sim_alloc(sizeof(*remote));
	memcpy(*slot, remote, sizeof(*remote));
}

struct sim_sock *sim_world_publish(
    struct sim_world *w, const struct publish_spec *spec, struct pool_ref *ret_port)
{
	struct sim_sock *s = sim_host_listen(&w->host, &spec->host);
	struct pool_ref port;

	if (engine_publish_add(w->engine, spec, s->number, &port))
		sim_fail(&w->sim, "world: port %u is not published", spec->guest_port);
	if (ret_port)
		*ret_port = port;
	return s;
}

struct sim_tcp *sim_world_connect(struct sim_world *w, const struct sim_conn_spec *spec)
{
	struct endpoint to = {.addr = ip_addr_v4(0xcb007107), .port = w->next_remote++};
	struct sim_remote remote = spec->remote;
	struct sim_tcp_config tcp = spec->tcp;

	if (spec->family == 6 && ip_addr_parse("2001:db8::7", &to.addr))
		sim_fail(&w->sim, "world: address");
	if (tcp.iss == 0)
		tcp.iss = (uint32_t)sim_random(&w->sim);
	tcp.from_seed = remote.app.seed;
	remote.from_seed = spec->guest.seed;
	sim_world_serve(w, to.port, &remote);
	return sim_guest_connect(&w->guest, &tcp, &spec->guest, &to, spec->family,
	    spec->port > 0 ? spec->port : w->next_port++);
}

struct sim_sock *sim_world_sock(struct sim_world *w, const struct sim_tcp *c)
{
	return sim_host_find(&w->host, c->remote_port);
}

/* ---- the loop ---- */

static void note_idle_turn(struct sim_world *w, bool is_idle)
{
	w->idle_turns = is_idle ? w->idle_turns + 1 : 0;
	if (w->idle_turns > IDLE_TURNS_MAX)
		sim_fail(&w->sim, "engine: spins");
}

/* As src/host/loop.c turns it. */
static void turn(struct sim_world *w)
{
	struct sim_event events[EVENTS_MAX];
	uint64_t frames = w->nic.nic.counters.tx_frames + w->nic.nic.counters.rx_frames;
	uint32_t n = sim_host_fetch(&w->host, events, EVENTS_MAX);
	uint32_t every = w->cfg.check_every;
	int more;

	w->turn_ns = SIM_NEVER;
	if (sim_nic_has_frames(&w->nic))
		engine_on_frames(w->engine);
	if (sim_nic_has_room(&w->nic))
		engine_on_room(w->engine);
	for (uint32_t i = 0; i < n; i++)
		engine_on_sock(w->engine, events[i].owner, events[i].events, w->sim.now_ns);
	more = engine_run(w->engine, w->sim.now_ns);
	w->turns++;
	w->busy_until_ns = w->sim.now_ns + w->cfg.pass_ns;
	if (more < 0)
		sim_fail(&w->sim, "engine: engine_run() returned %d", more);
	if (more > 0 || sim_host_has_events(&w->host) ||
	    (w->cfg.nic.is_level && w->nic.tx.count > 0) || w->nic.is_tx_new || w->nic.has_room)
		w->turn_ns = w->busy_until_ns;
	note_idle_turn(
	    w, more > 0 && n == 0 &&
		   frames == w->nic.nic.counters.tx_frames + w->nic.nic.counters.rx_frames);
	if (every <= 1 || w->turns % every == 0)
		sim_check_engine(w);
}

static uint64_t next_turn(struct sim_world *w)
{
	uint64_t timer = engine_next_ns(w->engine);

	if (timer != SIM_NEVER && timer < w->busy_until_ns)
		timer = w->busy_until_ns;
	return timer < w->turn_ns ? timer : w->turn_ns;
}

/* The next thing happens; false where nothing will until then. */
static bool step(struct sim_world *w, uint64_t until_ns)
{
	uint64_t engine = next_turn(w);
	uint64_t other = sim_next_ns(&w->sim);

	if (engine > until_ns && other > until_ns)
		return false;
	if (other <= engine) {
		sim_fire_next(&w->sim);
	} else {
		if (engine > w->sim.now_ns)
			w->sim.now_ns = engine;
		turn(w);
	}
	return true;
}

bool sim_world_run(struct sim_world *w, uint64_t until_ns)
{
	while (!w->sim.has_failed && !sim_world_is_idle(w))
		if (!step(w, until_ns)) {
			w->sim.now_ns = until_ns;
			break;
		}
	return !w->sim.has_failed;
}

bool sim_world_run_until(struct sim_world *w, bool (*done)(struct sim_world *w), uint64_t until_ns)
{
	while (!w->sim.has_failed && !done(w))
		if (sim_world_is_idle(w) || !step(w, until_ns))
			return false;
	return !w->sim.has_failed;
}

bool sim_world_is_idle(struct sim_world *w)
{
	return next_turn(w) == SIM_NEVER && sim_next_ns(&w->sim) == SIM_NEVER;
}

/* ---- expectations ---- */

static void expect_program(struct sim_world *w, const struct sim_tcp *c, const char *side,
    const struct sim_app *a, uint64_t sent_by_other)
{
	if (a->has_reset)
		sim_fail(&w->sim, "port %u: the %s's connection was reset (%d) after %llu bytes",
		    c->port, side, a->error, (unsigned long long)a->received);
	if (a->received != sent_by_other)
		sim_fail(&w->sim, "port %u: the %s has %llu bytes of %llu", c->port, side,
		    (unsigned long long)a->received, (unsigned long long)sent_by_other);
	if (!sim_app_is_done(a))
		sim_fail(&w->sim, "port %u: the %s has not come to its end (eof %d, shut %d)",
		    c->port, side, a->has_eof, a->is_shut);
}

void sim_world_expect_complete(struct sim_world *w, const struct sim_tcp *c)
{
	struct sim_sock *s = sim_world_sock(w, c);

	if (!s) {
		sim_fail(&w->sim, "port %u: was not dialed", c->port);
		return;
	}
	expect_program(w, c, "guest", &c->app, s->app.plan.send_len);
	expect_program(w, c, "remote side", &s->app, c->app.plan.send_len);
	if (s->end != SIM_END_FIN)
		sim_fail(&w->sim, "port %u: the socket was not closed in order", c->port);
	if (w->is_lossless && (c->retransmits > 0 || c->duplicates > 0))
		sim_fail(&w->sim, "port %u: the guest sent %u segments again, got %u again",
		    c->port, c->retransmits, c->duplicates);
}

void sim_world_expect_empty(struct sim_world *w)
{
	uint64_t next = engine_next_ns(w->engine);

	if (sim_world_flows(w) != 0)
		sim_fail(&w->sim, "engine: %u flows are left", sim_world_flows(w));
	if (sim_host_open_count(&w->host) != 0)
		sim_fail(&w->sim, "engine: %u sockets are left", sim_host_open_count(&w->host));
	if (next != ENGINE_NEVER)
		sim_fail(&w->sim, "engine: wants to be woken at %.6f s", (double)next / 1e9);
}
