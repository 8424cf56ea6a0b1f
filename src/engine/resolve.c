/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS at the gateway and the host's other addresses: queries of the guest by UDP go through the
 * forwarder (names/forward.h) to the host's resolvers. A query by TCP is a connection that admit.c
 * dials to a resolver.
 *
 * Every query gets an answer: denied by policy NXDOMAIN, without a resolver SERVFAIL, malformed
 * FORMERR; only what is no query at all is dropped.
 */
#include <errno.h>

#include "base/wr.h"
#include "engine/internal.h"

enum {
	QUERY_MAX = 4096, /* bytes of a query that are looked at */
	ANSWER_MAX = FORWARD_UDP_SIZE,
	ANSWERS_TURN = 64,
	ERRORS_MAX = 16, /* in a row from one socket: then it waits for its next event */
};

int resolve_init(struct engine *e)
{
	struct resolve *r = &e->resolve;

	timer_init(&r->timer, TIMER_DNS);
	for (int i = 0; i < ENGINE_RESOLVERS_MAX; i++)
		r->socks[i] = SOCK_NONE;
	return forward_init(&r->forward, e->cfg.resolver_count, e->cfg.dns_timeout_ns);
}

static void close_sock(struct engine *e, uint32_t resolver)
{
	struct resolve *r = &e->resolve;

	if (r->socks[resolver] != SOCK_NONE)
		e->world.ops->close(e->world.host, r->socks[resolver], false);
	r->socks[resolver] = SOCK_NONE;
	r->is_dirty[resolver] = false;
}

static void close_socks(struct engine *e)
{
	for (uint32_t i = 0; i < ENGINE_RESOLVERS_MAX; i++)
		close_sock(e, i);
}

/* Nobody waits for an answer: the next query leaves from another port, which a forger has to guess (RFC 5452
 * 9.2), and from the address that the host has then. */
static void rest(struct engine *e)
{
	if (forward_is_idle(&e->resolve.forward))
		close_socks(e);
}

void resolve_fini(struct engine *e)
{
	struct resolve *r = &e->resolve;

	close_socks(e);
	forward_fini(&r->forward);
}

/* Sends the len bytes of an answer that lie at l4 + UDP_HDR_SIZE. */
static void send_answer(
    struct engine *e, const struct forward_client *client, uint8_t *l4, size_t len)
{
	struct netif_ip ip = {
	    .family = client->family,
	    .proto = PROTO_UDP,
	    .src = &client->asked.addr,
	    .dst = &client->guest.addr,
	    .l4_len = (uint32_t)(UDP_HDR_SIZE + len),
	};

	put_be16(l4, client->asked.port);
	put_be16(l4 + 2, client->guest.port);
	put_be16(l4 + 4, (uint16_t)ip.l4_len);
	put_be16(l4 + 6, 0);
	(void)netif_send_l4(&e->netif, &ip, l4, UDP_CSUM_OFF);
}

/* Does what the forwarder wants; l4 holds the bytes behind room for a UDP header. */
static void act(struct engine *e, const struct forward_action *a, uint8_t *l4)
{
	struct iovec iov = {.iov_base = l4 + UDP_HDR_SIZE, .iov_len = a->len};

	if (a->what == FORWARD_ANSWER) {
		send_answer(e, &a->client, l4, a->len);
	} else if (a->what == FORWARD_ASK) {
		ssize_t err = admit_resolver(e, a->resolver);

		if (!err)
			err = e->world.ops->udp_send(
			    e->world.host, e->resolve.socks[a->resolver], &iov, 1, 0, false);
		if (err && err != -EAGAIN) {
			close_sock(e, a->resolver);
			forward_on_unreachable(&e->resolve.forward, a->resolver, e->world.now_ns);
		}
	}
	engine_arm(e, &e->resolve.timer, forward_next_ns(&e->resolve.forward));
}

static void reply(struct engine *e, const struct dns_query *q, uint16_t rcode,
    const struct forward_client *client)
{
	uint8_t l4[UDP_HDR_SIZE + DNS_REPLY_SIZE_MAX];
	struct wr w = wr_init(l4 + UDP_HDR_SIZE, sizeof(l4) - UDP_HDR_SIZE);

	dns_build_reply(q, rcode, false, &w);
	send_answer(e, client, l4, wr_len(&w));
}

/* An address of a family that the guest does not have is no help (behaviours.md A5, D24). */
static bool is_family_off(const struct engine *e, const struct dns_question *q)
{
	return (q->type == DNS_TYPE_A && !e->cfg.netif.has_v4) ||
	       (q->type == DNS_TYPE_AAAA && !e->cfg.netif.has_v6);
}

enum drop_reason resolve_on_query(
    struct engine *e, const struct packet *p, const struct policy_verdict *verdict)
{
	struct forward_client client = {
	    .guest = {.addr = p->src, .port = p->udp.src_port},
	    .asked = {.addr = p->dst, .port = p->udp.dst_port},
	    .family = p->family,
	};
	uint8_t l4[UDP_HDR_SIZE + QUERY_MAX];
	uint8_t *msg = l4 + UDP_HDR_SIZE;
	uint32_t len = p->payload_len < QUERY_MAX ? p->payload_len : (uint32_t)QUERY_MAX;
	struct dns_query q;
	struct forward_action a;
	uint16_t id;

	frame_copy(p->frame, p->payload_off, msg, len);
	if (dns_parse_query(msg, len, &q))
		return DROP_DNS;
	if (verdict->action != POLICY_ALLOW) {
		account_denied(e, p, verdict);
		reply(e, &q, DNS_RCODE_NXDOMAIN, &client);
		return DROP_NONE;
	}
	if (q.problem_rcode != DNS_RCODE_NOERROR || is_family_off(e, &q.head.question)) {
		reply(e, &q, q.problem_rcode, &client);
		return DROP_NONE;
	}
	e->world.ops->random(e->world.host, &id, sizeof(id));
	a = forward_ask(&e->resolve.forward, &q, &client, id, e->world.now_ns, msg, QUERY_MAX);
	if (a.what == FORWARD_NOTHING)
		return DROP_DNS_LIMIT;
	e->world.counters->dns_queries++;
	act(e, &a, l4);
	return DROP_NONE;
}

static void drain_errors(struct engine *e, uint32_t resolver)
{
	uint8_t back[64];
	struct sock_error err;

	for (int i = 0; i < ANSWERS_TURN; i++) {
		if (e->world.ops->error_next(
			e->world.host, e->resolve.socks[resolver], &err, back, sizeof(back)) != 1)
			return;
		forward_on_unreachable(&e->resolve.forward, resolver, e->world.now_ns);
	}
}

/* True if the socket has nothing more, or nothing but errors. */
static bool take_answers(struct engine *e, uint32_t resolver)
{
	uint8_t l4[UDP_HDR_SIZE + ANSWER_MAX];
	struct iovec iov = {.iov_base = l4 + UDP_HDR_SIZE, .iov_len = ANSWER_MAX};
	int errors = 0;

	for (int i = 0; i < ANSWERS_TURN && errors < ERRORS_MAX; i++) {
		struct forward_action a;
		uint16_t gso_size;
		ssize_t n = e->world.ops->udp_recv(
		    e->world.host, e->resolve.socks[resolver], &iov, 1, &gso_size);

		if (n == -EAGAIN)
			return true;
		if (n < 0) {
			errors++;
			forward_on_unreachable(&e->resolve.forward, resolver, e->world.now_ns);
			continue;
		}
		errors = 0;
		a = forward_on_answer(&e->resolve.forward, resolver, l4 + UDP_HDR_SIZE, (size_t)n,
		    l4 + UDP_HDR_SIZE, ANSWER_MAX);
		if (a.what == FORWARD_ANSWER)
			e->world.counters->dns_answers++;
		act(e, &a, l4);
	}
	return errors == ERRORS_MAX;
}

void resolve_on_sock(struct engine *e, uint32_t resolver, uint32_t events)
{
	if (resolver >= e->cfg.resolver_count || e->resolve.socks[resolver] == SOCK_NONE)
		return;
	e->resolve.is_dirty[resolver] = true;
	if ((events & SOCK_ERROR) != 0)
		drain_errors(e, resolver);
}

bool resolve_serve(struct engine *e)
{
	struct resolve *r = &e->resolve;
	bool has_more = false;

	for (uint32_t i = 0; i < e->cfg.resolver_count; i++) {
		if (r->is_dirty[i])
			r->is_dirty[i] = !take_answers(e, i);
		has_more |= r->is_dirty[i];
	}
	resolve_on_timer(e);
	return has_more;
}

void resolve_on_timer(struct engine *e)
{
	uint8_t l4[UDP_HDR_SIZE + DNS_QUERY_SIZE_MAX];
	struct forward_action a;

	while ((a = forward_on_time(&e->resolve.forward, e->world.now_ns, l4 + UDP_HDR_SIZE,
		    sizeof(l4) - UDP_HDR_SIZE))
		   .what != FORWARD_NOTHING)
		act(e, &a, l4);
	e->world.counters->dns_failures = e->resolve.forward.counters.failures;
	engine_arm(e, &e->resolve.timer, forward_next_ns(&e->resolve.forward));
	rest(e);
}
