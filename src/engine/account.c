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

/* The name that a first flight had. */
static const struct name *name_of(const struct flight_claim *claim)
{
	return claim && claim->name.len > 0 ? &claim->name : NULL;
}

void account_tcp_end(void *engine, const struct tcp_flow *f, enum flow_end end)
{
	struct engine *e = engine;
	struct engine_event event = {
	    .kind = EVENT_FLOW_END,
	    .proto = POLICY_TCP,
	    .guest = {.addr = f->key.guest, .port = f->key.guest_port},
	    .remote = {.addr = f->key.remote, .port = f->key.remote_port},
	    .is_inbound = f->is_inbound,
	    .verdict = f->verdict,
	    .name = name_of(f->claim),
	    .end = end,
	    .start_ns = f->start_ns,
	    .end_ns = e->world.now_ns,
	    .tx_bytes = f->tx_bytes,
	    .rx_bytes = f->rx_bytes,
	    .count = 1,
	};

	if (f->has_pins)
		pins_release(&e->resolve.pins, &f->key.remote);
	if (f->is_inbound)
		event.remote = f->peer;
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
	    .is_inbound = f->is_inbound,
	    .verdict = f->verdict,
	    .name = name_of(f->claim),
	    .end = end,
	    .start_ns = f->start_ns,
	    .end_ns = e->world.now_ns,
	    .tx_bytes = f->tx_bytes,
	    .rx_bytes = f->rx_bytes,
	    .count = 1,
	};

	if (f->has_pins)
		pins_release(&e->resolve.pins, &f->key.remote);
	if (f->is_inbound)
		event.remote = f->client.peer;
	tell_end(e, &event);
}

static void tell_bounded(struct engine *e, struct engine_event *event)
{
	event->start_ns = e->world.now_ns;
	event->end_ns = e->world.now_ns;
	if (!bucket_take(&e->events, e->world.now_ns)) {
		e->events_suppressed++;
		return;
	}
	event->count = 1 + e->events_suppressed;
	e->events_suppressed = 0;
	tell(e, event);
}

void account_inbound_refused(struct engine *e, enum policy_proto proto,
    const struct endpoint *guest, const struct endpoint *peer, const struct policy_verdict *v,
    enum drop_reason reason)
{
	struct engine_event event = {
	    .kind = reason == DROP_POLICY ? EVENT_DENIED : EVENT_REFUSED,
	    .proto = proto,
	    .guest = *guest,
	    .remote = *peer,
	    .is_inbound = true,
	    .verdict = *v,
	    .reason = reason,
	};

	if (reason == DROP_POLICY)
		e->world.counters->inbound_denied++;
	else
		e->world.counters->inbound_refused++;
	tell_bounded(e, &event);
}

void account_published(struct engine *e, const struct publish_spec *spec)
{
	const struct netif_config *c = &e->netif.cfg;
	struct engine_event event = {
	    .kind = EVENT_PUBLISHED,
	    .proto = spec->proto,
	    .guest = {.addr = c->has_v4 ? c->guest_v4 : c->guest_v6, .port = spec->guest_port},
	    .remote = spec->host,
	    .is_inbound = true,
	    .verdict = {.action = POLICY_ALLOW, .rule = POLICY_RULE_DEFAULT},
	    .start_ns = e->world.now_ns,
	    .end_ns = e->world.now_ns,
	    .count = 1,
	};

	tell(e, &event);
}

static void set_ends(struct engine_event *event, const struct packet *p)
{
	event->guest.addr = p->src;
	event->remote.addr = p->dst;
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
}

static void count_denied(struct engine *e, uint8_t proto)
{
	if (proto == PROTO_TCP)
		e->world.counters->denied_tcp++;
	else if (proto == PROTO_UDP)
		e->world.counters->denied_udp++;
	else
		e->world.counters->denied_icmp++;
	netif_drop(&e->netif, DROP_POLICY);
}

void account_denied_name(struct engine *e, const struct packet *p, const struct policy_verdict *v,
    const struct name *name)
{
	struct engine_event event = {
	    .kind = EVENT_DENIED, .verdict = *v, .name = name, .reason = DROP_POLICY};

	count_denied(e, p->proto);
	set_ends(&event, p);
	tell_bounded(e, &event);
}

void account_denied(struct engine *e, const struct packet *p, const struct policy_verdict *v)
{
	account_denied_name(e, p, v, NULL);
}

void account_flow_denied(struct engine *e, const struct flow_key *key,
    const struct policy_verdict *v, const struct name *name)
{
	struct engine_event event = {
	    .kind = EVENT_DENIED,
	    .proto = key->proto == PROTO_TCP ? POLICY_TCP : POLICY_UDP,
	    .guest = {.addr = key->guest, .port = key->guest_port},
	    .remote = {.addr = key->remote, .port = key->remote_port},
	    .verdict = *v,
	    .name = name,
	    .reason = DROP_POLICY,
	};

	count_denied(e, key->proto);
	tell_bounded(e, &event);
}

void account_refused(struct engine *e, const struct packet *p, const struct policy_verdict *v,
    enum drop_reason reason)
{
	struct engine_event event = {.kind = EVENT_REFUSED, .verdict = *v, .reason = reason};

	netif_drop(&e->netif, reason);
	set_ends(&event, p);
	tell_bounded(e, &event);
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
