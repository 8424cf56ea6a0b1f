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

static struct policy_verdict judge(
    const struct engine *e, enum policy_proto proto, const struct ip_addr *to, uint16_t port)
{
	struct policy_query q = {
	    .direction = POLICY_EGRESS,
	    .proto = proto,
	    .has_port = proto == POLICY_TCP || proto == POLICY_UDP,
	    .port = port,
	    .addr = *to,
	};

	return policy_judge(e->cfg.policy, &q);
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

	assert(verdict->action == POLICY_ALLOW);
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
	e->world.ops->close(e->world.host, f->sock, false);
	f->sock = SOCK_NONE;
	return dial_tcp(e, f, &f->verdict, &to) == 0;
}

/* RST for the SYN of a flow that never stood. */
static void refuse(struct engine *e, struct tcp_flow *f)
{
	(void)tcp_flow_send_bare(&e->world, f, 0, TCP_RST | TCP_ACK);
	e->world.counters->tcp_resets_sent++;
}

/* Tells the guest why there is no connection, and forgets the flow. */
static void fail_held(struct engine *e, struct tcp_flow *f, int err)
{
	enum flow_end end = FLOW_END_HOST_ERROR;

	switch (err) {
	case ETIMEDOUT:
		end = FLOW_END_CONNECT_TIMEOUT;
		break;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case EHOSTDOWN:
	case ENETDOWN:
	case EACCES:
	case EPERM:
		end = FLOW_END_UNREACHABLE;
		refuse(e, f);
		break;
	case ECONNREFUSED:
		end = FLOW_END_REFUSED;
		refuse(e, f);
		break;
	default:
		refuse(e, f);
		break;
	}
	tcp_flow_drop_held(&e->tcp, &e->world, f, end);
}

void admit_tcp_result(struct engine *e, struct tcp_flow *f, uint32_t events)
{
	int err = 0;

	if ((events & (SOCK_ERROR | SOCK_HANGUP)) != 0)
		err = e->world.ops->tcp_result(e->world.host, f->sock);
	else if ((events & SOCK_WRITABLE) == 0)
		return;
	if (err == -EINPROGRESS)
		return;
	if (err == 0) {
		tcp_flow_connected(&e->tcp, &e->world, f);
		if ((events & ~(uint32_t)SOCK_WRITABLE) != 0)
			tcp_flow_on_sock(&e->tcp, &e->world, f, events & ~(uint32_t)SOCK_WRITABLE);
		return;
	}
	if (redial_loopback(e, f))
		return;
	fail_held(e, f, -err);
}

void admit_tcp(struct engine *e, const struct packet *p, const struct flow_key *key, uint32_t hash)
{
	struct policy_verdict verdict = judge(e, POLICY_TCP, &p->dst, p->tcp.dst_port);
	struct endpoint to = target_of(e, &p->dst, p->tcp.dst_port);
	enum drop_reason why = DROP_NONE;
	struct tcp_flow *f;
	int err;

	if (verdict.action != POLICY_ALLOW) {
		account_denied(e, p, &verdict);
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
	f->is_loopback = netif_is_gateway_addr(&e->netif, &p->dst);
	err = dial_tcp(e, f, &verdict, &to);
	if (err)
		fail_held(e, f, -err);
}
