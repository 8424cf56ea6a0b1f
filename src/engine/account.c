/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of the engine.
 *
 * What a guest can make as many of as it likes is told at a bounded rate, and the counters count it all
 * (threats.md C16). The next refusal that is told carries the count of those that were not; of the ends of flows
 * that were not told, an event of its own tells how many.
 */
#include "engine/internal.h"

static void tell(struct engine *e, const struct engine_event *event)
{
	if (e->cfg.on_event)
		e->cfg.on_event(e->cfg.event_ctx, event);
}

static void tell_limited(struct engine *e)
{
	struct engine_event event = {
	    .kind = EVENT_FLOW_ENDS_LIMITED,
	    .start_ns = e->world.now_ns,
	    .end_ns = e->world.now_ns,
	    .count = e->ends_suppressed,
	};

	if (e->ends_suppressed > 0)
		tell(e, &event);
	e->ends_suppressed = 0;
}

static void tell_end(struct engine *e, const struct engine_event *event)
{
	if (!bucket_take(&e->ends, e->world.now_ns)) {
		e->world.counters->flow_ends_limited++;
		e->ends_suppressed++;
		return;
	}
	/* Rarely too: in a flood there would be one before each end that is told. */
	if (e->ends_suppressed > 0 && bucket_take(&e->ends_limited, e->world.now_ns))
		tell_limited(e);
	tell(e, event);
}

void account_fini(struct engine *e)
{
	tell_limited(e);
}

void account_tcp_end(void *engine, const struct tcp_flow *f, enum flow_end end)
{
	struct engine *e = engine;
	struct engine_event event = {
	    .kind = EVENT_FLOW_END,
	    .proto = POLICY_TCP,
	    .guest = {.addr = f->key.guest, .port = f->key.guest_port},
	    .remote = {.addr = f->key.remote, .port = f->key.remote_port},
	    .verdict = f->verdict,
	    .end = end,
	    .start_ns = f->start_ns,
	    .end_ns = e->world.now_ns,
	    .tx_bytes = f->tx_bytes,
	    .rx_bytes = f->rx_bytes,
	    .count = 1,
	};

	tell_end(e, &event);
}

void account_udp_end(void *engine, const struct udp_flow *f, enum flow_end end)
{
	struct engine *e = engine;
	struct engine_event event = {
	    .kind = EVENT_FLOW_END,
	    .proto = POLICY_UDP,
	    .guest = {.addr = f->key.guest, .port = f->key.guest_port},
	    .remote = {.addr = f->key.remote, .port = f->key.remote_port},
	    .verdict = f->verdict,
	    .end = end,
	    .start_ns = f->start_ns,
	    .end_ns = e->world.now_ns,
	    .tx_bytes = f->tx_bytes,
	    .rx_bytes = f->rx_bytes,
	    .count = 1,
	};

	tell_end(e, &event);
}

static void tell_refusal(struct engine *e, const struct packet *p, struct engine_event *event)
{
	event->guest.addr = p->src;
	event->remote.addr = p->dst;
	event->start_ns = e->world.now_ns;
	event->end_ns = e->world.now_ns;
	if (p->proto == PROTO_TCP) {
		event->proto = POLICY_TCP;
		event->guest.port = p->tcp.src_port;
		event->remote.port = p->tcp.dst_port;
	} else if (p->proto == PROTO_UDP) {
		event->proto = POLICY_UDP;
		event->guest.port = p->udp.src_port;
		event->remote.port = p->udp.dst_port;
	} else {
		event->proto = p->family == 4 ? POLICY_ICMP4 : POLICY_ICMP6;
	}
	if (!bucket_take(&e->events, e->world.now_ns)) {
		e->events_suppressed++;
		return;
	}
	event->count = 1 + e->events_suppressed;
	e->events_suppressed = 0;
	tell(e, event);
}

void account_denied(struct engine *e, const struct packet *p, const struct policy_verdict *v)
{
	struct engine_event event = {.kind = EVENT_DENIED, .verdict = *v, .reason = DROP_POLICY};

	if (p->proto == PROTO_TCP)
		e->world.counters->denied_tcp++;
	else if (p->proto == PROTO_UDP)
		e->world.counters->denied_udp++;
	else
		e->world.counters->denied_icmp++;
	netif_drop(&e->netif, DROP_POLICY);
	tell_refusal(e, p, &event);
}

void account_refused(struct engine *e, const struct packet *p, const struct policy_verdict *v,
    enum drop_reason reason)
{
	struct engine_event event = {.kind = EVENT_REFUSED, .verdict = *v, .reason = reason};

	netif_drop(&e->netif, reason);
	tell_refusal(e, p, &event);
}

void account_query(
    struct engine *e, const struct resolve_client *client, const struct event_query *query)
{
	struct engine_event event = {
	    .kind = EVENT_QUERY,
	    .proto = client->kind == RESOLVE_STREAM ? POLICY_TCP : POLICY_UDP,
	    .guest = client->guest,
	    .remote = client->asked,
	    .verdict = client->verdict,
	    .query = query,
	    .start_ns = client->start_ns,
	    .end_ns = e->world.now_ns,
	};

	if (!e->cfg.on_event)
		return;
	if (!bucket_take(&e->queries, e->world.now_ns)) {
		e->queries_suppressed++;
		return;
	}
	event.count = 1 + e->queries_suppressed;
	e->queries_suppressed = 0;
	tell(e, &event);
}
