/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admission: the one place that judges what the guest opens, and the one place that dials
 * (design.md rule 5). dial_tcp() takes the verdict as its argument and does nothing without an
 * allowing one.
 *
 * The guest's SYN is answered only when the remote side stands (rule 1): refused becomes RST,
 * unreachable becomes ICMP, a black hole stays silence.
 */
#include <assert.h>
#include <errno.h>

#include "engine/internal.h"

enum {
	TLS_PORT = 443,
};

/* What is judged, but for the names. */
static struct policy_query query_of(
    enum policy_proto proto, const struct ip_addr *to, uint16_t port)
{
	return (struct policy_query){
	    .direction = POLICY_EGRESS,
	    .proto = proto,
	    .has_port = proto == POLICY_TCP || proto == POLICY_UDP,
	    .port = port,
	    .addr = *to,
	};
}

/* Judges with the names that the address is pinned to now, the last of which is *ret_name (NULL: none). ret_name may be
 * NULL. */
static struct policy_verdict judge_pinned(
    struct engine *e, const struct policy_query *query, const struct name **ret_name)
{
	const struct name *pins[PINS_PER_ADDR_MAX];
	struct policy_query q = *query;

	q.pins = pins;
	q.pin_count =
	    pins_find(&e->resolve.pins, &q.addr, e->world.now_ns, pins, PINS_PER_ADDR_MAX);
	if (ret_name)
		*ret_name = q.pin_count > 0 ? pins[0] : NULL;
	return policy_judge(e->cfg.policy, &q);
}

/* Judges what opens something, before its first flight is known. What has none to look at is judged at once. */
static struct policy_verdict judge(struct engine *e, enum policy_proto proto,
    const struct ip_addr *to, uint16_t port, const struct name **ret_name)
{
	struct policy_query q = query_of(proto, to, port);
	bool is_quic = proto == POLICY_UDP && port == QUIC_PORT;

	q.has_first_flight = proto != POLICY_TCP && !is_quic;
	return judge_pinned(e, &q, ret_name);
}

/*
 * Judges for good, with what the first flight was; claim NULL: it was never looked at.
 *
 * A name that can be read counts against the flow in any case. For it, only if it is the name that the server will see:
 * not beside an encrypted one (threats.md T6), nor in anything but TLS on TLS's own port (T17). What
 * contradicts itself is denied (T9).
 */
static struct policy_verdict judge_claim(struct engine *e, enum policy_proto proto,
    const struct ip_addr *to, uint16_t port, const struct flight_claim *claim)
{
	struct policy_query q = query_of(proto, to, port);
	enum hello_result result = claim ? claim->result : HELLO_NOT_TLS;
	bool is_strange = proto == POLICY_TCP && port == TLS_PORT && claim && !claim->is_tls;
	struct policy_verdict v;

	q.has_first_flight = true;
	q.claim = claim && claim->name.len > 0 ? &claim->name : NULL;
	q.must_claim = result != HELLO_NOT_TLS || is_strange;
	v = judge_pinned(e, &q, NULL);
	if (v.action != POLICY_DENY && q.claim && (result == HELLO_ECH || is_strange)) {
		q.claim = NULL;
		v = judge_pinned(e, &q, NULL);
	}
	if (v.action != POLICY_DENY && result == HELLO_BAD) {
		v.action = POLICY_DENY;
		v.why = POLICY_WHY_UNREADABLE;
	}
	return v;
}

/* Where a destination of the guest is on the host: the gateway stands for the host's loopback. */
static struct endpoint target_of(const struct engine *e, const struct ip_addr *to, uint16_t port)
{
	static const struct ip_addr loopback6 = {.b = {[15] = 1}};

	if (!netif_is_gateway_addr(&e->netif, to))
		return (struct endpoint){.addr = *to, .port = port};
	return (struct endpoint){
	    .addr = ip_addr_is_v4(to) ? ip_addr_v4(0x7f000001) : loopback6, .port = port};
}

static int dial_tcp(struct engine *e, struct tcp_flow *f, const struct policy_verdict *verdict,
    const struct endpoint *to)
{
	struct sock_owner owner = {.kind = SOCK_TCP, .ref = pool_ref_of(f)};

	assert(verdict->action != POLICY_DENY);
	return e->world.ops->tcp_connect(e->world.host, to, owner, &f->sock);
}

/* The family in which the host's loopback is tried after the first did not answer: some services
 * listen in one only. False where there is no other. */
static bool redial_loopback(struct engine *e, struct tcp_flow *f)
{
	static const struct ip_addr loopback6 = {.b = {[15] = 1}};
	struct endpoint to = {.port = f->key.remote_port};

	if (!f->is_loopback)
		return false;
	f->is_loopback = false;
	to.addr = ip_addr_is_v4(&f->key.remote) ? loopback6 : ip_addr_v4(0x7f000001);
	if (f->sock != SOCK_NONE)
		e->world.ops->close(e->world.host, f->sock, false);
	f->sock = SOCK_NONE;
	return dial_tcp(e, f, &f->verdict, &to) == 0;
}

/* ICMP unreachable for the SYN, which is gone but for its sequence number. */
static void tell_unreachable(struct engine *e, const struct tcp_flow *f, int err)
{
	struct icmp_quote q = {
	    .family = f->key.family,
	    .proto = PROTO_TCP,
	    .has_df = true,
	    .src = &f->key.guest,
	    .dst = &f->key.remote,
	    .l4_len = TCP_HDR_SIZE,
	};
	struct icmp_error error;

	icmp_quote_tcp(&q, f->key.guest_port, f->key.remote_port, f->conn.rcv_nxt - 1);
	if (!icmp_error_of(icmp_cause_of_errno(err), f->key.family, 0, &error) ||
	    !icmp_out_quote(&e->icmp, &q, &error, e->world.now_ns))
		/* Beyond the rate of ICMP errors; the guest must not wait for nothing. */
		tcp_flow_refuse(&e->world, f);
}

/* Tells the guest why there is no connection, and forgets the flow. */
static void fail_held(struct engine *e, struct tcp_flow *f, int err)
{
	enum flow_end end = FLOW_END_HOST_ERROR;

	switch (err) {
	case ETIMEDOUT: /* a black hole: silence */
		end = FLOW_END_CONNECT_TIMEOUT;
		break;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case EHOSTDOWN:
	case ENETDOWN:
	case EACCES:
	case EPERM:
		end = FLOW_END_UNREACHABLE;
		tell_unreachable(e, f, err);
		break;
	case ECONNREFUSED:
		end = FLOW_END_REFUSED;
		tcp_flow_refuse(&e->world, f);
		break;
	default:
		tcp_flow_refuse(&e->world, f);
		break;
	}
	tcp_flow_drop_held(&e->tcp, &e->world, f, end);
}

void admit_tcp_result(struct engine *e, struct tcp_flow *f, uint32_t events)
{
	uint32_t others = events & ~(uint32_t)(SOCK_WRITABLE | SOCK_ERROR);
	int err = 0;

	if ((events & (SOCK_ERROR | SOCK_HANGUP)) != 0)
		err = e->world.ops->tcp_result(e->world.host, f->sock);
	else if ((events & SOCK_WRITABLE) == 0)
		return;
	if (err == -EINPROGRESS)
		return;
	/* Connecting does not fail like this: it stood, and was reset before we looked. */
	if (err == 0 || err == -ECONNRESET || err == -EPIPE) {
		tcp_flow_connected(&e->tcp, &e->world, f);
		if (others != 0)
			tcp_flow_on_sock(&e->tcp, &e->world, f, others);
		if (err)
			tcp_flow_on_dead(&e->tcp, f, -err);
		return;
	}
	if (redial_loopback(e, f))
		return;
	fail_held(e, f, -err);
}

/* Names are asked here, whatever the address (threats.md D5): there is a connection to be had at once. */
static void admit_dns(
    struct engine *e, const struct packet *p, const struct flow_key *key, uint32_t hash)
{
	struct policy_verdict verdict = {.action = POLICY_ALLOW, .rule = POLICY_RULE_DEFAULT};
	enum drop_reason why = DROP_NONE;
	struct tcp_flow *f = tcp_flow_open(&e->tcp, &e->world, p, key, hash, &why);

	if (!f) {
		account_refused(e, p, &verdict, why);
		tcp_reply_reset(&e->world, p);
		return;
	}
	f->verdict = verdict;
	f->generation = e->generation;
	if (resolve_open_stream(e, f)) {
		account_refused(e, p, &verdict, DROP_DNS_LIMIT);
		fail_held(e, f, ENOSPC);
		return;
	}
	tcp_flow_connected(&e->tcp, &e->world, f);
}

void admit_tcp(struct engine *e, const struct packet *p, const struct flow_key *key, uint32_t hash)
{
	const struct name *name;
	struct policy_verdict verdict;
	struct endpoint to = target_of(e, &p->dst, p->tcp.dst_port);
	enum drop_reason why = DROP_NONE;
	struct tcp_flow *f;
	int err;

	if (p->tcp.dst_port == DNS_PORT) {
		admit_dns(e, p, key, hash);
		return;
	}
	verdict = judge(e, POLICY_TCP, &p->dst, p->tcp.dst_port, &name);
	if (dns_is_other_port(false, p->tcp.dst_port)) {
		/* Names are asked where policy can see them (behaviours.md D18). */
		account_refused(e, p, &verdict, DROP_NAME_PROTOCOL);
		tcp_reply_reset(&e->world, p);
		return;
	}
	if (verdict.action == POLICY_DENY) {
		account_denied_name(e, p, &verdict, name);
		tcp_reply_reset(&e->world, p);
		return;
	}
	f = tcp_flow_open(&e->tcp, &e->world, p, key, hash, &why);
	if (!f) {
		account_refused(e, p, &verdict, why);
		tcp_reply_reset(&e->world, p);
		return;
	}
	f->verdict = verdict;
	f->generation = e->generation;
	f->is_loopback = netif_is_gateway_addr(&e->netif, &p->dst);
	f->has_pins = pins_hold(&e->resolve.pins, &f->key.remote);
	err = verdict.action == POLICY_HOLD ? tcp_flow_hold(f) : 0;
	if (err) {
		fail_held(e, f, -err);
		return;
	}
	err = dial_tcp(e, f, &verdict, &to);
	if (err && !redial_loopback(e, f))
		fail_held(e, f, -err);
}

bool admit_tcp_flight(void *engine, struct tcp_flow *f)
{
	struct engine *e = engine;

	f->verdict = judge_claim(e, POLICY_TCP, &f->key.remote, f->key.remote_port, f->claim);
	f->generation = e->generation;
	if (f->verdict.action == POLICY_ALLOW)
		return true;
	account_flow_denied(
	    e, &f->key, &f->verdict, f->claim->name.len > 0 ? &f->claim->name : NULL);
	return false;
}

bool admit_tcp_again(struct engine *e, struct tcp_flow *f)
{
	bool is_fresh = f->tx_bytes == 0 && !f->has_guest_fin;
	struct policy_verdict v;

	if (f->is_inbound)
		return publish_judge_again(e, f);
	if (f->key.remote_port == DNS_PORT)
		return true; /* it ends here; each name is judged */

	/* What has not begun to speak can still be listened to. */
	if (f->flight || (is_fresh && !f->claim))
		v = judge(e, POLICY_TCP, &f->key.remote, f->key.remote_port, NULL);
	else
		v = judge_claim(e, POLICY_TCP, &f->key.remote, f->key.remote_port, f->claim);
	if (v.action == POLICY_HOLD && !f->flight)
		return tcp_flow_hold(f) == 0;
	return v.action != POLICY_DENY;
}

static int dial_udp(struct engine *e, struct udp_flow *f, const struct policy_verdict *verdict,
    const struct endpoint *to)
{
	struct sock_owner owner = {.kind = SOCK_UDP, .ref = pool_ref_of(f)};

	assert(verdict->action != POLICY_DENY);
	return e->world.ops->udp_open(e->world.host, to, owner, &f->sock);
}

void admit_udp(struct engine *e, const struct packet *p, const struct flow_key *key, uint32_t hash)
{
	const struct name *name;
	struct policy_verdict verdict = judge(e, POLICY_UDP, &p->dst, p->udp.dst_port, &name);
	struct endpoint to = target_of(e, &p->dst, p->udp.dst_port);
	enum drop_reason why;
	struct udp_flow *f;
	int err;

	if (dns_is_other_port(true, p->udp.dst_port)) {
		account_refused(e, p, &verdict, DROP_NAME_PROTOCOL);
		(void)icmp_out_packet(&e->icmp, p, ICMP_CAUSE_PROHIBITED, 0, e->world.now_ns);
		return;
	}
	if (verdict.action == POLICY_DENY) {
		account_denied_name(e, p, &verdict, name);
		(void)icmp_out_packet(&e->icmp, p, ICMP_CAUSE_PROHIBITED, 0, e->world.now_ns);
		return;
	}
	f = udp_flow_open(&e->udp, &e->world, key, hash);
	if (!f) {
		account_refused(e, p, &verdict, DROP_UDP_LIMIT);
		return;
	}
	f->verdict = verdict;
	f->generation = e->generation;
	f->has_pins = pins_hold(&e->resolve.pins, &f->key.remote);
	if (verdict.action == POLICY_HOLD && udp_flow_hold(&e->udp, f, true)) {
		netif_drop(&e->netif, DROP_UDP_LIMIT);
		udp_flow_close(&e->udp, &e->world, f, FLOW_END_EVICTED);
		return;
	}
	err = dial_udp(e, f, &verdict, &to);
	if (err) {
		netif_drop(&e->netif, DROP_UDP_SEND);
		(void)icmp_out_packet(&e->icmp, p, icmp_cause_of_errno(-err), 0, e->world.now_ns);
		udp_flow_fail(&e->udp, &e->world, f, -err);
		return;
	}
	why = f->flight ? udp_flight_send(&e->udp, &e->world, f, p)
			: udp_flow_send(&e->udp, &e->world, f, p);
	if (why != DROP_NONE)
		netif_drop(&e->netif, why);
}

bool admit_udp_flight(void *engine, struct udp_flow *f, const struct packet *p)
{
	struct engine *e = engine;

	f->verdict = judge_claim(e, POLICY_UDP, &f->key.remote, f->key.remote_port, f->claim);
	f->generation = e->generation;
	if (f->verdict.action == POLICY_ALLOW)
		return true;
	account_flow_denied(
	    e, &f->key, &f->verdict, f->claim->name.len > 0 ? &f->claim->name : NULL);
	(void)icmp_out_packet(&e->icmp, p, ICMP_CAUSE_PROHIBITED, 0, e->world.now_ns);
	return false;
}

bool admit_udp_again(struct engine *e, struct udp_flow *f)
{
	struct policy_verdict v = judge(e, POLICY_UDP, &f->key.remote, f->key.remote_port, NULL);

	if (v.action != POLICY_HOLD || udp_flow_is_held(f))
		return v.action != POLICY_DENY;
	/* It has passed; another connection that begins in it will be listened to. */
	v = judge_claim(e, POLICY_UDP, &f->key.remote, f->key.remote_port, f->claim);
	return v.action == POLICY_ALLOW && (f->flight || udp_flow_hold(&e->udp, f, false) == 0);
}

/* The echo socket of a family, opened when it is first needed. 0 or -errno. */
static int open_echo(struct engine *e, uint8_t family, const struct policy_verdict *verdict)
{
	struct sock_owner owner = {.kind = SOCK_PING, .ref = {.index = family}};
	bool is_v6 = family == 6;

	assert(verdict->action == POLICY_ALLOW);
	if (e->echo.socks[is_v6] != SOCK_NONE)
		return 0;
	return e->world.ops->ping_open(e->world.host, family, owner, &e->echo.socks[is_v6]);
}

void admit_echo(struct engine *e, const struct packet *p)
{
	const struct name *name;
	struct policy_verdict verdict =
	    judge(e, p->family == 4 ? POLICY_ICMP4 : POLICY_ICMP6, &p->dst, 0, &name);
	enum drop_reason why;
	int err;

	if (verdict.action != POLICY_ALLOW) {
		account_denied_name(e, p, &verdict, name);
		return;
	}
	if (netif_is_gateway_addr(&e->netif, &p->dst)) {
		echo_reply(&e->echo, &e->world, p);
		return;
	}
	err = open_echo(e, ip_addr_is_v4(&p->dst) ? 4 : 6, &verdict);
	if (err) {
		/* Said once in an event, then only counted. */
		if (e->has_told_echo)
			netif_drop(&e->netif, DROP_ICMP_UNAVAILABLE);
		else
			account_refused(e, p, &verdict, DROP_ICMP_UNAVAILABLE);
		e->has_told_echo = true;
		(void)icmp_out_packet(&e->icmp, p, ICMP_CAUSE_PROHIBITED, 0, e->world.now_ns);
		return;
	}
	why = echo_send(&e->echo, &e->world, p);
	if (why != DROP_NONE)
		netif_drop(&e->netif, why);
}

bool admit_is_own(const struct engine *e, const struct ip_addr *addr)
{
	struct policy_query q = query_of(POLICY_UDP, addr, DNS_PORT);

	q.has_first_flight = true;
	return netif_is_gateway_addr(&e->netif, addr) ||
	       policy_judge(e->cfg.policy, &q).class == ADDR_HOST;
}

struct policy_verdict admit_server(
    const struct engine *e, enum policy_proto proto, const struct endpoint *server)
{
	struct policy_query q = {
	    .direction = POLICY_EGRESS,
	    .proto = proto,
	    .has_port = true,
	    .port = server->port,
	    .addr = server->addr,
	    .has_first_flight = true,
	};

	return policy_judge(e->cfg.policy, &q);
}

struct policy_verdict admit_name(const struct engine *e, const struct name *name, bool is_tcp)
{
	return policy_judge_name(e->cfg.policy, name, is_tcp ? POLICY_TCP : POLICY_UDP);
}

struct policy_verdict admit_answer(
    const struct engine *e, const struct name *name, const struct ip_addr *addr)
{
	static const struct policy_verdict any = {
	    .action = POLICY_ALLOW, .rule = POLICY_RULE_DEFAULT};

	if (!e->cfg.dns_rebind_protection)
		return any;
	return policy_judge_answer(e->cfg.policy, name, addr);
}

static bool is_configured(const struct engine *e, const struct endpoint *to)
{
	const struct forward *f = &e->resolve.forward;

	for (uint32_t i = 0; i < f->server_count; i++) {
		if (ip_addr_eq(&f->servers[i].to.addr, &to->addr) &&
		    f->servers[i].to.port == to->port)
			return true;
	}
	return false;
}

bool admit_makes_pins(const struct engine *e, const struct endpoint *server)
{
	return ip_addr_is_unset(&server->addr) || is_configured(e, server);
}

int admit_resolver(
    struct engine *e, const struct endpoint *to, struct sock_owner owner, int *ret_sock)
{
	bool is_tcp = owner.kind == SOCK_DNS_TCP;

	if (!is_configured(e, to) &&
	    admit_server(e, is_tcp ? POLICY_TCP : POLICY_UDP, to).action != POLICY_ALLOW)
		return -EACCES;
	if (is_tcp)
		return e->world.ops->tcp_connect(e->world.host, to, owner, ret_sock);
	return e->world.ops->udp_open(e->world.host, to, owner, ret_sock);
}
