/* SPDX-License-Identifier: Apache-2.0 */
/* One of everything that a guest does; see scenario.h. */
#include "scenario.h"

#include <errno.h>
#include <string.h>

enum {
	PORT_FIRST = 5000,   /* of the guest's questions */
	REMOTE_FIRST = 7000, /* of what answers them: REMOTE_FIRST + kind */
	LARGE_LEN = 5000,
	JOINED_LEN = 3000,
	JOINED_SIZE = 1000,
	SMALL_LEN = 100,
	NAME_LEN = 12 + 11 + 4,
};

#define ROUND_GAP_NS  (20 * SIM_MS)
#define SCENARIO_TIME (400 * SIM_S) /* idle times and TIME-WAIT included */

struct sim_config scenario_config(bool is_disordered)
{
	struct sim_config c = sim_config_defaults(7);

	c.check_every = 16;
	c.tcp_limit = 64;
	c.udp_limit = 64;
	c.resolver_count = 2;
	c.nic.features &= ~(uint32_t)NIC_F_USO; /* so that joined datagrams are cut here */
	c.udp_idle_ns = 30 * SIM_S;
	if (is_disordered) {
		c.tx.reorder_permille = 200;
		c.tx.reorder_ns = 300 * SIM_US;
	}
	return c;
}

/* ---- what answers ---- */

static void answer_name(struct sim_sock *sock, const struct sim_sent_datagram *d)
{
	uint8_t buf[512];

	if (d->len < 12 || d->len > sizeof(buf))
		return;
	memcpy(buf, d->bytes, d->len);
	buf[2] |= 0x80;
	sim_peer_datagram(sock, NULL, 0, buf, d->len, 0);
}

static void on_datagram(void *ctx, struct sim_sock *sock, const struct sim_sent_datagram *d)
{
	static const uint8_t zeros[LARGE_LEN];
	uint16_t port = d->to.port;

	(void)ctx;
	if (sock->owner.kind == SOCK_DNS)
		answer_name(sock, d);
	else if (sock->owner.kind == SOCK_PING)
		sim_peer_datagram(sock, &d->to, d->seq, d->bytes, d->len, 0);
	else if (port == REMOTE_FIRST + SCENARIO_CLOSED)
		sim_peer_error(sock,
		    &(struct sock_error){.error = ECONNREFUSED,
			.is_icmp = true,
			.family = 4,
			.type = 3,
			.code = 3,
			.to = d->to,
			.len = d->len},
		    d->bytes);
	else if (port == REMOTE_FIRST + SCENARIO_LARGE)
		sim_peer_datagram(sock, NULL, 0, zeros, LARGE_LEN, 0);
	else if (port == REMOTE_FIRST + SCENARIO_JOINED)
		sim_peer_datagram(sock, NULL, 0, zeros, JOINED_LEN, JOINED_SIZE);
	else
		sim_peer_datagram(sock, NULL, 0, d->bytes, d->len, 0);
}

/* ---- what the guest asks ---- */

static struct sim_packet packet_to(
    struct scenario *s, enum scenario_kind kind, uint8_t family, uint8_t proto, bool is_gateway)
{
	const struct netif_config *n = &s->w->netif;
	struct ip_addr to = ip_addr_v4(0xcb007107);
	struct sim_packet p;

	if (is_gateway)
		to = family == 4 ? n->gateway_v4 : n->gateway_v6;
	else if (family == 6 && ip_addr_parse("2001:db8::7", &to))
		sim_fail(&s->w->sim, "scenario: address");
	p = sim_guest_packet(&s->w->guest, &to, family, proto);
	p.src_port = (uint16_t)(PORT_FIRST + kind);
	p.dst_port = (uint16_t)(REMOTE_FIRST + kind);
	return p;
}

static void ask_udp(struct scenario *s, enum scenario_kind kind, uint8_t family)
{
	struct sim_packet p = packet_to(s, kind, family, 17, false);

	p.payload_len = SMALL_LEN;
	sim_world_inject(s->w, sim_build_udp(&p, 3, 0));
}

/* A datagram of LARGE_LEN bytes in four pieces. */
static void ask_fragments(struct scenario *s)
{
	struct sim_packet p = packet_to(s, SCENARIO_FRAGMENT, 6, 17, false);
	uint8_t l4[8 + LARGE_LEN] = {0};
	uint32_t step;

	sim_put16(l4, p.src_port);
	sim_put16(l4 + 2, p.dst_port);
	sim_put16(l4 + 4, sizeof(l4));
	sim_fill_csum(&p, l4, sizeof(l4), 6);
	p.has_frag = true;
	p.frag_id = s->rounds;
	for (uint32_t off = 0; off < sizeof(l4); off += step) {
		step = sizeof(l4) - off < 1400 ? (uint32_t)sizeof(l4) - off : 1400;
		p.frag_off = off;
		p.has_more = off + step < sizeof(l4);
		sim_world_inject(s->w, sim_build_ip(&p, l4 + off, step));
	}
}

static void ask_echo(struct scenario *s, enum scenario_kind kind, uint8_t family)
{
	uint8_t proto = family == 4 ? 1 : 58;
	struct sim_packet p = packet_to(s, kind, family, proto, kind == SCENARIO_GATEWAY);
	uint8_t l4[64] = {family == 4 ? 8 : 128};

	sim_put16(l4 + 4, kind);
	sim_put16(l4 + 6, s->rounds);
	sim_fill_csum(&p, l4, sizeof(l4), 2);
	sim_world_inject(s->w, sim_build_ip(&p, l4, sizeof(l4)));
}

static void ask_name(struct scenario *s)
{
	static const uint8_t question[] = {
	    1, 'a', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 1, 0, 1};
	struct sim_packet p = packet_to(s, SCENARIO_NAME, 4, 17, true);
	uint8_t l4[8 + NAME_LEN] = {0};

	sim_put16(l4, p.src_port);
	sim_put16(l4 + 2, 53);
	sim_put16(l4 + 4, sizeof(l4));
	sim_put16(l4 + 8, s->rounds);
	sim_put16(l4 + 10, 0x0100);
	sim_put16(l4 + 12, 1);
	memcpy(l4 + 20, question, sizeof(question));
	sim_fill_csum(&p, l4, sizeof(l4), 6);
	sim_world_inject(s->w, sim_build_ip(&p, l4, sizeof(l4)));
}

static void ask_all(void *arg)
{
	struct scenario *s = arg;

	if (s->rounds == SCENARIO_ASKED)
		return;
	s->rounds++;
	ask_udp(s, SCENARIO_SMALL, 4);
	ask_udp(s, SCENARIO_LARGE, 4);
	ask_udp(s, SCENARIO_JOINED, 6);
	ask_udp(s, SCENARIO_CLOSED, 4);
	ask_fragments(s);
	ask_echo(s, SCENARIO_GATEWAY, 4);
	ask_echo(s, SCENARIO_ECHO, 4);
	ask_echo(s, SCENARIO_ECHO6, 6);
	ask_name(s);
	sim_timer_set(&s->w->sim, &s->timer, s->w->sim.now_ns + ROUND_GAP_NS);
}

/* ---- what the guest hears ---- */

/* The echo's identifier, or the port of the datagram that an error quotes, is the question. */
static void on_icmp(struct scenario *s, const struct sim_packet *p)
{
	bool is_reply = p->icmp_type == (p->family == 4 ? 0 : 129);
	bool is_closed = p->family == 4 && p->icmp_type == 3 && p->icmp_code == 3;
	uint32_t kind = sim_get16(p->l4 + 4);

	if (is_closed && sim_get16(p->l4 + 8 + SIM_IP4) == PORT_FIRST + SCENARIO_CLOSED)
		s->answers[SCENARIO_CLOSED]++;
	else if (is_reply && kind < SCENARIO_KINDS)
		s->answers[kind]++;
}

/* The last piece of an answer stands for all of it: sim_watch.c has looked at each. */
static void on_packet(void *ctx, const struct sim_packet *p)
{
	struct scenario *s = ((struct sim_world *)ctx)->ctx;
	uint32_t kind;

	if (p->family == 0)
		return;
	if (p->has_frag || p->frag_off > 0 || p->has_more) {
		s->answers[p->family == 4 ? SCENARIO_LARGE : SCENARIO_FRAGMENT] += !p->has_more;
		return;
	}
	if (p->proto != 17) {
		on_icmp(s, p);
		return;
	}
	kind = (uint32_t)p->dst_port - PORT_FIRST;
	if (kind == SCENARIO_NAME)
		s->answers[kind] += (p->payload[3] & 15) == 0;
	else if (kind == SCENARIO_JOINED)
		s->answers[kind] += p->payload_len == JOINED_SIZE;
	else if (kind < SCENARIO_KINDS)
		s->answers[kind]++;
}

/* ---- connections ---- */

static void connect_all(struct scenario *s)
{
	for (uint32_t i = 0; i < SCENARIO_CONNS; i++) {
		struct sim_conn_spec c = sim_conn_defaults(&s->w->cfg, i % 2 == 0 ? 4 : 6);

		c.guest.close = SIM_CLOSE_SENT;
		c.tcp.delack_ns = SIM_MS;
		if (s->w->cfg.tx.reorder_permille > 0)
			c.tcp.tso_max = 0;
		c.guest.send_len = i == 1 ? 1000 : 60000;
		c.remote.app.send_len = i == 0 ? 1000 : 60000;
		if (i == 2) { /* what waits here */
			c.remote.sndbuf = 4000;
			c.remote.app.read_chunk = 3000;
			c.remote.app.read_gap_ns = 500 * SIM_US;
		}
		if (i == 3) { /* the guest's window closes */
			c.tcp.rcvbuf = 8000;
			c.tcp.wscale = -1;
			c.guest.read_gap_ns = 500 * SIM_US;
		}
		if (i == 4) { /* the remote side ends first, the guest takes its time */
			c.guest.start = SIM_START_EOF;
			c.remote.app.close = SIM_CLOSE_SENT;
			c.guest.send_chunk = 700;
			c.guest.send_gap_ns = 100 * SIM_US;
			c.tcp.tso_max = 0;
		}
		s->conns[i] = sim_world_connect(s->w, &c);
	}
}

/* ---- life ---- */

/* Everything is allowed, connections when their first flight is known. */
static struct policy_verdict judge_held(const void *ctx, const struct policy_query *q)
{
	bool is_known = q->has_first_flight || q->claim || q->proto != POLICY_TCP;

	(void)ctx;
	return (struct policy_verdict){
	    .action = is_known ? POLICY_ALLOW : POLICY_HOLD, .rule = POLICY_RULE_DEFAULT};
}

void scenario_begin(struct scenario *s, struct sim_world *w)
{
	*s = (struct scenario){.w = w};
	w->host.on_datagram = on_datagram;
	w->guest.on_packet = on_packet;
	w->ctx = s;
	if (w->cfg.tx.reorder_permille > 0)
		w->policy.judge = judge_held;
	sim_timer_init(&s->timer, ask_all, s);
}

void scenario_run(struct scenario *s)
{
	s->rounds = 0;
	memset(s->answers, 0, sizeof(s->answers));
	sim_timer_set(&s->w->sim, &s->timer, s->w->sim.now_ns);
	connect_all(s);
	(void)sim_world_run(s->w, s->w->sim.now_ns + SCENARIO_TIME);
}

static bool is_complete(const struct scenario *s, const struct sim_tcp *c)
{
	const struct sim_sock *sock = sim_world_sock(s->w, c);

	return sock && !c->app.has_reset && !sock->app.has_reset && sim_app_is_done(&c->app) &&
	       sim_app_is_done(&sock->app) && c->app.received == sock->app.plan.send_len &&
	       sock->app.received == c->app.plan.send_len;
}

uint32_t scenario_complete(const struct scenario *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < SCENARIO_CONNS; i++)
		n += is_complete(s, s->conns[i]);
	return n;
}

/* Whoever has not got all knows that. A SYN that nobody answers is sent again for minutes. */
static bool is_over(const struct scenario *s, const struct sim_tcp *c)
{
	const struct sim_sock *sock = sim_world_sock(s->w, c);

	if (c->state == SIM_TCP_SYN_SENT)
		return true;
	if (sock && sock->app.received < c->app.plan.send_len && sock->state == SIM_SOCK_OPEN &&
	    sock->end != SIM_END_RESET)
		return false;
	return sim_app_is_done(&c->app) &&
	       (c->app.has_reset || (sock && c->app.received == sock->app.plan.send_len));
}

bool scenario_is_over(const struct scenario *s)
{
	for (uint32_t i = 0; i < SCENARIO_CONNS; i++)
		if (!is_over(s, s->conns[i]))
			return false;
	return sim_world_flows(s->w) == 0 && s->w->counters.udp_active == 0;
}

uint32_t scenario_unanswered(const struct scenario *s)
{
	uint32_t n = 0;

	for (int i = 0; i < SCENARIO_KINDS; i++) {
		uint32_t want =
		    SCENARIO_ASKED * (i == SCENARIO_JOINED ? JOINED_LEN / JOINED_SIZE : 1);

		n += s->answers[i] < want ? want - s->answers[i] : 0;
	}
	return n;
}

void scenario_end(struct scenario *s)
{
	sim_timer_cancel(&s->w->sim, &s->timer);
}
