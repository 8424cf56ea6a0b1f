/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated guest: its interface and its connections; see sim_guest.h. */
#include "sim_guest.h"

#include <stdlib.h>
#include <string.h>

void sim_guest_init(struct sim_guest *g, struct sim *sim)
{
	*g = (struct sim_guest){.sim = sim};
}

void sim_guest_fini(struct sim_guest *g)
{
	for (uint32_t i = 0; i < g->count; i++) {
		sim_tcp_fini(g->conns[i]);
		free(g->conns[i]);
	}
	free(g->conns);
	sim_ports_fini(&g->by_port, false);
	sim_ports_fini(&g->services, true);
}

struct sim_packet sim_guest_packet(
    struct sim_guest *g, const struct ip_addr *to, uint8_t family, uint8_t proto)
{
	return (struct sim_packet){
	    .eth_dst = g->gateway_mac,
	    .eth_src = g->mac,
	    .family = family,
	    .proto = proto,
	    .has_df = proto == 6,
	    .ip_id = g->ip_id++,
	    .src = family == 4 ? g->addr4 : g->addr6,
	    .dst = *to,
	    .wscale = -1,
	};
}

struct sim_tcp_config sim_tcp_defaults(uint32_t mtu, uint8_t family)
{
	return (struct sim_tcp_config){
	    .mss = (uint16_t)(mtu - (family == 4 ? 40 : 60)),
	    .wscale = 7,
	    .rcvbuf = 1 << 20,
	    .sndbuf = 1 << 20,
	    .tso_max = 65000,
	    .is_partial = true,
	    .delack_ns = 40 * SIM_MS,
	    .rto_ns = 200 * SIM_MS,
	    .time_wait_ns = 60 * SIM_S,
	    .has_sack = true,
	};
}

static struct sim_tcp *new_conn(struct sim_guest *g, const struct sim_tcp_config *cfg,
    const struct sim_app_plan *plan, const struct endpoint *to, uint8_t family, uint16_t port)
{
	struct sim_tcp *c = sim_alloc(sizeof(*c));

	g->conns = sim_grow(g->conns, g->count, &g->cap, sizeof(struct sim_tcp *));
	c->guest = g;
	c->cfg = *cfg;
	c->family = family;
	c->remote = to->addr;
	c->remote_port = to->port;
	c->port = port;
	sim_app_init(&c->app, g->sim, plan, &sim_tcp_stream_ops, c);
	g->conns[g->count++] = c;
	return c;
}

struct sim_tcp *sim_guest_connect(struct sim_guest *g, const struct sim_tcp_config *cfg,
    const struct sim_app_plan *plan, const struct endpoint *to, uint8_t family, uint16_t port)
{
	struct sim_tcp *c = new_conn(g, cfg, plan, to, family, port);

	*sim_ports_at(&g->by_port, port) = c;
	sim_tcp_start(c);
	return c;
}

/* ---- servers ---- */

static void on_accept(void *arg)
{
	struct sim_service *s = arg;
	struct sim_tcp *oldest = NULL;

	for (struct sim_tcp *c = s->first; c; c = c->next)
		if (!c->is_accepted && c->state == SIM_TCP_OPEN)
			oldest = c;
	if (!oldest)
		return;
	oldest->is_accepted = true;
	s->waiting--;
	s->accepted++;
	sim_timer_set(s->guest->sim, &s->accept_timer, s->guest->sim->now_ns + s->accept_gap_ns);
	sim_app_on_open(&oldest->app);
}

struct sim_service *sim_guest_serve(
    struct sim_guest *g, uint16_t port, const struct sim_service *service)
{
	struct sim_service *s = sim_alloc(sizeof(*s));

	*s = *service;
	s->guest = g;
	sim_timer_init(&s->accept_timer, on_accept, s);
	*sim_ports_at(&g->services, port) = s;
	return s;
}

/* Linux does not answer a SYN that finds the queue full. */
static bool take_syn(struct sim_guest *g, const struct sim_packet *p)
{
	struct sim_service *s = *sim_ports_at(&g->services, p->dst_port);
	struct endpoint from = {.addr = p->src, .port = p->src_port};
	struct sim_tcp *c;

	if (!s || (p->flags & (SIM_SYN | SIM_ACK | SIM_RST)) != SIM_SYN)
		return false;
	if (s->waiting >= s->backlog) {
		s->syns_dropped++;
		return true;
	}
	c = new_conn(g, &s->tcp, &s->app, &from, p->family, p->dst_port);
	if (c->cfg.iss == 0)
		c->cfg.iss = (uint32_t)sim_random(g->sim);
	c->service = s;
	c->next = s->first;
	s->first = c;
	s->waiting++;
	sim_tcp_on_syn(c, p);
	return true;
}

/* RFC 9293 3.10.7.1: a segment of no connection. */
static void answer_reset(struct sim_guest *g, const struct sim_packet *p)
{
	struct sim_packet r = sim_guest_packet(g, &p->src, p->family, 6);

	if ((p->flags & SIM_RST) != 0)
		return;
	r.src_port = p->dst_port;
	r.dst_port = p->src_port;
	r.flags = SIM_RST;
	if ((p->flags & SIM_ACK) != 0) {
		r.seq = p->ack;
	} else {
		r.flags |= SIM_ACK;
		r.ack = p->seq + p->payload_len + ((p->flags & SIM_SYN) != 0) +
			((p->flags & SIM_FIN) != 0);
	}
	g->send(g->ctx, sim_build_tcp(&r, 0, 0, 0, false));
}

static struct sim_tcp *find(struct sim_guest *g, const struct sim_packet *p)
{
	struct sim_tcp *c = *sim_ports_at(&g->by_port, p->dst_port);
	const struct sim_service *s = *sim_ports_at(&g->services, p->dst_port);

	for (struct sim_tcp *at = s ? s->first : NULL; at; at = at->next)
		if (at->state != SIM_TCP_CLOSED && at->remote_port == p->src_port &&
		    ip_addr_eq(&at->remote, &p->src))
			return at;
	if (!c || c->state == SIM_TCP_CLOSED || c->remote_port != p->src_port ||
	    !ip_addr_eq(&c->remote, &p->src))
		return NULL;
	return c;
}

/* An ICMP message that a packet could not be delivered: a connection that is being opened ends, as in Linux. */
static void on_unreachable(struct sim_guest *g, const struct sim_packet *p)
{
	uint32_t ip = p->family == 4 ? SIM_IP4 : SIM_IP6;
	bool is_it = p->family == 4 ? p->proto == 1 && p->icmp_type == 3 && p->icmp_code != 4
				    : p->proto == 58 && p->icmp_type == 1;
	const uint8_t *quoted = p->l4 + 8;
	struct sim_tcp *c;

	if (!is_it || p->l4_len < 8 + ip + 8 || quoted[p->family == 4 ? 9 : 6] != 6)
		return;
	c = *sim_ports_at(&g->by_port, sim_get16(quoted + ip));
	if (c && c->state == SIM_TCP_SYN_SENT && c->remote_port == sim_get16(quoted + ip + 2))
		sim_tcp_unreachable(c);
}

void sim_guest_receive(struct sim_guest *g, const struct sim_frame *f)
{
	struct sim_packet p;
	const char *wrong = sim_parse(f->bytes, f->len, &p);
	struct sim_tcp *c;

	if (wrong) {
		sim_fail(g->sim, "guest: frame with a wrong %s", wrong);
		return;
	}
	if (p.family == 0 || p.proto != 6 || p.has_frag) {
		on_unreachable(g, &p);
		if (g->on_packet)
			g->on_packet(g->ctx, &p);
		return;
	}
	c = find(g, &p);
	if (c)
		sim_tcp_receive(c, &p);
	else if (!take_syn(g, &p))
		answer_reset(g, &p);
}
