/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invariants of the engine's structures, as the head comments of src/flow/tcp_flow.c, src/flow/tcp_relay.c
 * and src/stack/tcp*.c state them. Looks inside on purpose.
 */
#include "engine/internal.h"
#include "sim_world.h"

static const char *check_conn(const struct tcp_conn *c)
{
	uint32_t grain = (1U << c->rcv_shift) - 1;

	if (seq_lt(c->snd_nxt, c->snd_una) || seq_lt(c->snd_max, c->snd_nxt))
		return "SND.UNA <= SND.NXT <= highest sent";
	if (c->is_fin_sent && c->state != TCPS_CLOSED && c->state < TCPS_FIN_WAIT_1)
		return "a FIN that was sent has a state";
	if (seq_lt(c->rcv_adv, c->rcv_nxt))
		return "RCV.NXT <= right edge";
	if (seq_lt(c->rcv_nxt, c->rcv_acked))
		return "acknowledged <= RCV.NXT";
	if (c->ooo.len > c->rcv_adv - c->rcv_nxt)
		return "data behind a hole lies within the window";
	if ((c->ooo.len == 0) != (c->ooo.pieces == 0))
		return "pieces behind a hole are counted";
	if (c->rcv_adv - c->rcv_nxt > (65535U << c->rcv_shift) + grain)
		return "a window that the header can tell";
	return NULL;
}

/* What may wait in sluice is what the guest was promised, up to one unit of its window. */
static const char *check_memory(const struct tcp_flow *f)
{
	uint64_t promised = (uint64_t)f->wnd_target + (1U << f->conn.rcv_shift) - 1;

	if (f->spill.len + (f->conn.rcv_adv - f->conn.rcv_nxt) > promised && f->is_counted)
		return "what waits and what is promised is within wnd_target";
	return NULL;
}

static bool owes_ack(const struct tcp_flow *f)
{
	return f->conn.rcv_nxt != f->conn.rcv_acked && f->conn.state >= TCPS_ESTABLISHED;
}

static bool is_on_embryos(const struct tcp_flow *f)
{
	return !f->is_inbound &&
	       (f->conn.state == TCPS_SYN_HELD || f->conn.state == TCPS_SYN_RECEIVED);
}

/* Until the guest has answered, and not longer. */
static bool is_dialing_right(const struct tcp_flow *f)
{
	return f->is_dialing == (f->is_inbound && (f->conn.state == TCPS_SYN_SENT ||
						      f->conn.state == TCPS_SYN_RECEIVED));
}

static const char *check_flow(const struct sim_world *w, struct tcp_flow *f)
{
	bool is_embryo = is_on_embryos(f);
	uint64_t due = tcp_next_ns(&f->conn, &w->engine->tcp.limits.times);
	const char *wrong = check_conn(&f->conn);

	if (!wrong)
		wrong = check_memory(f);
	if (wrong)
		return wrong;
	if (is_embryo && !list_is_linked(&f->life))
		return "an embryo is on the list of embryos";
	if (!is_dialing_right(f))
		return "a flow to the guest is being opened until the guest has answered";
	if (!is_embryo && f->conn.state != TCPS_TIME_WAIT && list_is_linked(&f->life))
		return "only embryos and TIME-WAIT are on a list of their life";
	if (f->is_detached && f->conn.state != TCPS_CLOSED)
		return "a flow that is not in the index is closed for the guest";
	if (f->is_counted != (f->sock != SOCK_NONE))
		return "a flow holds a socket while it counts";
	/* Streams of DNS messages end in the engine. */
	if (f->sock != SOCK_NONE && f->sock < NAME_STREAM_SOCK_FIRST &&
	    w->host.socks[f->sock]->is_closed)
		return "the socket of a flow is open";
	if (due != UINT64_MAX && (!timer_is_set(&f->timer) || f->timer.due_ns > due))
		return "the timer is set for what the connection waits for";
	if (f->conn.is_ack_due && !list_is_linked(&f->dirty))
		return "a flow that has to acknowledge now is served";
	if (owes_ack(f) && !list_is_linked(&f->dirty) && !list_is_linked(&f->delayed))
		return "no acknowledgment is forgotten";
	return NULL;
}

void sim_check_engine(struct sim_world *w)
{
	const struct engine *e = w->engine;
	const struct tcp_table *t = &e->tcp;
	uint32_t in_use = 0;
	uint32_t active = 0;
	uint32_t detached = 0;
	uint32_t embryos = 0;
	uint32_t dialing = 0;
	uint64_t spare = t->wnd_spare;

	for (uint32_t i = 0; i < t->pool.made; i++) {
		struct tcp_flow *f = (struct tcp_flow *)(void *)pool_at(&t->pool, i);
		const char *wrong;

		if (f->head.gen % 2 == 0)
			continue;
		in_use++;
		active += f->is_counted;
		detached += f->is_detached;
		embryos += is_on_embryos(f);
		dialing += f->is_dialing;
		spare += f->wnd_target - t->wnd_base;
		wrong = check_flow(w, f);
		if (wrong)
			sim_fail(&w->sim, "engine: port %u in %s breaks: %s", f->key.guest_port,
			    tcp_state_name(f->conn.state), wrong);
	}
	if (in_use != t->pool.in_use || in_use != t->index.count + detached)
		sim_fail(&w->sim, "engine: %u flows, pool says %u, index says %u, detached are %u",
		    in_use, t->pool.in_use, t->index.count, detached);
	if (active != t->active || active != w->counters.tcp_active || active > t->limits.flows)
		sim_fail(&w->sim, "engine: %u active flows, table says %u, limit is %u", active,
		    t->active, t->limits.flows);
	if (embryos != t->embryo_count || embryos > t->limits.embryos)
		sim_fail(&w->sim, "engine: %u embryos, table says %u", embryos, t->embryo_count);
	for (uint32_t i = 0; i < e->publish.ports.made; i++) {
		const struct publish_port *port =
		    (const struct publish_port *)(void *)pool_at(&e->publish.ports, i);

		dialing -= port->head.gen % 2 == 1 ? port->dialing : 0;
	}
	if (dialing != 0 && e->publish.ports.in_use > 0)
		sim_fail(
		    &w->sim, "engine: %d flows to the guest too many or too few", (int)dialing);
	if (spare != 64ULL << 20)
		sim_fail(&w->sim, "engine: windows and what is spare add up to %llu",
		    (unsigned long long)spare);
}

uint32_t sim_world_flows(const struct sim_world *w)
{
	return w->engine->tcp.pool.in_use;
}
