/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published ports, and the TCP ones of them; see publish.h.
 *
 * The truth about the handshake: the kernel has completed the client's before anybody could ask the guest. So a
 * client is taken in and the guest is asked at once; nothing of what the client sends is read, and nothing is
 * sent to it, before the guest has answered. A guest that refuses, or never answers, becomes a RST of the client's
 * connection: to the client it was open for the moment that the question took. While many questions are
 * open, further clients wait in the kernel's queue, which is short, and behind it with unanswered SYNs.
 *
 * The guest sees as peer an address of the gateway, with a port that no other connection to the same port of
 * the guest has. These are drawn at random: with n of 64512 in use a draw fails with n/64512, so
 * that the expected number is constant at any load that is let through, and the bound is never met in practice.
 */
#include "engine/publish.h"

#include <errno.h>

#include "base/wr.h"
#include "engine/internal.h"
#include "flow/inbound.h"

enum {
	DIALING_MAX = 256, /* of one port: behind them clients wait in the kernel's queue */
	TURN_CLIENTS = 64, /* taken in by one pass */
	DRAWS_MAX = 64,
	GATEWAY_PORT_FIRST = 1024,
	GATEWAY_PORTS = 65536 - GATEWAY_PORT_FIRST,
	PROXY_HEADER_MAX = 52,
};

static const uint64_t retry_ns = 100000000;

static struct publish_port *port_of(struct list_node *n)
{
	return container_of(n, struct publish_port, ready);
}

/* ---- life ---- */

int publish_init(struct engine *e)
{
	struct publish *p = &e->publish;

	list_init(&p->ready);
	list_init(&p->stalled);
	list_init(&p->udp_ready);
	timer_init(&p->retry, TIMER_PUBLISH);
	return pool_init(&p->ports, sizeof(struct publish_port), PUBLISH_MAX);
}

static void close_port(struct engine *e, struct publish_port *port)
{
	if (port->spec.proto == POLICY_UDP) {
		e->publish.udp_guest_ports[port->spec.guest_port]--;
		publish_udp_forget(e, pool_ref_of(port));
	}
	e->world.ops->close(e->world.host, port->sock, false);
	list_remove(&port->ready);
	pool_put(&e->publish.ports, port);
}

void publish_fini(struct engine *e)
{
	struct publish *p = &e->publish;

	for (uint32_t i = 0; i < p->ports.made; i++) {
		struct publish_port *port = (struct publish_port *)(void *)pool_at(&p->ports, i);

		if (port->head.gen % 2 == 1)
			close_port(e, port);
	}
	publish_udp_fini(e);
	wheel_cancel(&e->wheel, &p->retry);
	pool_fini(&p->ports);
}

int engine_publish_add(
    struct engine *e, const struct publish_spec *spec, int sock, struct pool_ref *ret_port)
{
	bool is_udp = spec->proto == POLICY_UDP;
	struct sock_owner owner = {.kind = is_udp ? SOCK_PUBLISHED : SOCK_LISTEN};
	struct publish_port *port;
	int err = is_udp ? publish_udp_init(e) : 0;

	if (err)
		return err;
	if (e->publish.ports.in_use == PUBLISH_MAX)
		return -ENOSPC;
	port = pool_take(&e->publish.ports);
	if (!port)
		return -ENOMEM;
	port->spec = *spec;
	port->sock = sock;
	list_init(&port->ready);
	owner.ref = pool_ref_of(port);
	err = e->world.ops->adopt(e->world.host, sock, owner);
	if (err) {
		pool_put(&e->publish.ports, port);
		return err;
	}
	if (is_udp)
		e->publish.udp_guest_ports[spec->guest_port]++;
	account_published(e, spec);
	*ret_port = owner.ref;
	return 0;
}

int engine_publish_remove(struct engine *e, struct pool_ref ref)
{
	struct publish_port *port = pool_find(&e->publish.ports, ref);

	if (!port)
		return -ENOENT;
	close_port(e, port);
	return 0;
}

/* ---- whom the guest sees ---- */

uint8_t publish_family(const struct engine *e, const struct publish_port *port)
{
	const struct netif_config *c = &e->netif.cfg;
	bool is_v4 = ip_addr_is_v4(&port->spec.host.addr);

	/* A client can only be shown in its own family. */
	if (port->spec.source == PUBLISH_SOURCE_CLIENT && (is_v4 ? c->has_v4 : c->has_v6))
		return is_v4 ? 4 : 6;
	return c->has_v4 ? 4 : 6;
}

static struct endpoint guest_end(const struct engine *e, const struct publish_port *port)
{
	return (struct endpoint){
	    .addr = publish_family(e, port) == 4 ? e->netif.cfg.guest_v4 : e->netif.cfg.guest_v6,
	    .port = port->spec.guest_port,
	};
}

/* Whether the guest's answers to the client itself would come this way: its route does not lead past the gateway. */
static bool is_routed(
    const struct engine *e, const struct ip_addr *peer, uint8_t family, enum addr_class class)
{
	const struct netif_config *c = &e->netif.cfg;

	if (class == ADDR_LOOPBACK || class == ADDR_LINK_LOCAL ||
	    ip_addr_is_v4(peer) != (family == 4))
		return false;
	return family == 4 ? !ip_addr_in_prefix(peer, &c->guest_v4, 96U + c->prefix_len_v4)
			   : !ip_addr_in_prefix(peer, &c->guest_v6, c->prefix_len_v6);
}

bool publish_draw_key(struct engine *e, const struct publish_port *port,
    const struct endpoint *peer, enum addr_class class,
    bool (*is_free)(const struct engine *e, const struct flow_key *key, uint32_t *ret_hash),
    struct flow_key *ret_key, uint32_t *ret_hash)
{
	struct endpoint guest = guest_end(e, port);
	uint8_t family = publish_family(e, port);

	*ret_key = (struct flow_key){
	    .guest = guest.addr,
	    .guest_port = guest.port,
	    .family = family,
	    .proto = port->spec.proto == POLICY_TCP ? PROTO_TCP : PROTO_UDP,
	    .remote = peer->addr,
	    .remote_port = peer->port,
	};
	if (port->spec.source == PUBLISH_SOURCE_CLIENT &&
	    is_routed(e, &peer->addr, family, class) && is_free(e, ret_key, ret_hash))
		return true;
	ret_key->remote = family == 4 ? e->netif.cfg.gateway_v4 : e->netif.cfg.gateway_v6;
	for (int i = 0; i < DRAWS_MAX; i++) {
		uint64_t draw =
		    siphash13(&e->world.hash_key, &e->publish.draws, sizeof(e->publish.draws));

		e->publish.draws++;
		ret_key->remote_port = (uint16_t)(GATEWAY_PORT_FIRST + draw % GATEWAY_PORTS);
		if (is_free(e, ret_key, ret_hash))
			return true;
	}
	return false;
}

static struct policy_verdict judge(const struct engine *e, enum policy_proto proto,
    uint16_t guest_port, const struct ip_addr *peer)
{
	struct policy_query q = {
	    .direction = POLICY_INGRESS,
	    .proto = proto,
	    .has_port = true,
	    .port = guest_port,
	    .addr = *peer,
	};

	return policy_judge(e->cfg.policy, &q);
}

struct policy_verdict publish_judge(
    const struct engine *e, const struct publish_port *port, const struct endpoint *peer)
{
	return judge(e, port->spec.proto, port->spec.guest_port, &peer->addr);
}

bool publish_judge_again(const struct engine *e, const struct tcp_flow *f)
{
	return judge(e, POLICY_TCP, f->key.guest_port, &f->peer.addr).action == POLICY_ALLOW;
}

void publish_refuse(struct engine *e, const struct publish_port *port, const struct endpoint *peer,
    const struct policy_verdict *verdict, enum drop_reason why)
{
	struct endpoint guest = guest_end(e, port);

	account_inbound_refused(e, port->spec.proto, &guest, peer, verdict, why);
}

/* ---- clients ---- */

/* The PROXY protocol, version 2 (2.2): a connection of client to the address of the host that it has come to. */
static int set_proxy_header(struct engine *e, struct tcp_flow *f)
{
	static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";
	bool is_v4 = ip_addr_is_v4(&f->peer.addr);
	uint32_t skip = is_v4 ? 12 : 0;
	uint8_t bytes[PROXY_HEADER_MAX];
	struct wr w = wr_init(bytes, sizeof(bytes));
	struct endpoint local;
	int err = e->world.ops->tcp_local(e->world.host, f->sock, &local);

	if (err)
		return err;
	wr_copy(&w, signature, sizeof(signature));
	wr_u8(&w, 0x21);                /* version 2, PROXY */
	wr_u8(&w, is_v4 ? 0x11 : 0x21); /* TCP over IPv4 or IPv6 */
	wr_be16(&w, is_v4 ? 12 : 36);
	wr_copy(&w, f->peer.addr.b + skip, 16 - skip);
	wr_copy(&w, local.addr.b + skip, 16 - skip);
	wr_be16(&w, f->peer.port);
	wr_be16(&w, local.port);
	return inbound_set_prologue(f, bytes, (uint16_t)wr_len(&w));
}

static bool is_free(const struct engine *e, const struct flow_key *key, uint32_t *ret_hash)
{
	*ret_hash = flow_hash(&e->world, key);
	return tcp_flow_find(&e->tcp, key, *ret_hash) == NULL;
}

/* Asks the guest. The socket belongs to the flow, or is closed. */
static void dial_guest(
    struct engine *e, struct publish_port *port, int sock, const struct endpoint *peer)
{
	struct policy_verdict verdict = publish_judge(e, port, peer);
	struct sock_owner owner = {.kind = SOCK_TCP};
	enum drop_reason why = DROP_TCP_LIMIT;
	struct flow_key key;
	struct tcp_flow *f = NULL;
	uint32_t hash;
	int err = 0;

	if (verdict.action != POLICY_ALLOW)
		why = DROP_POLICY;
	else if (!e->netif.cfg.has_v4 && !e->netif.cfg.has_v6)
		why = DROP_FAMILY_OFF;
	else if (publish_draw_key(e, port, peer, verdict.class, is_free, &key, &hash))
		f = tcp_flow_dial(&e->tcp, &e->world, &key, hash, sock, &why);
	if (!f) {
		e->world.ops->close(e->world.host, sock, true);
		publish_refuse(e, port, peer, &verdict, why);
		return;
	}
	f->verdict = verdict;
	f->generation = e->generation;
	f->peer = *peer;
	f->publish = pool_ref_of(port);
	port->dialing++;
	e->world.counters->inbound_tcp++;
	owner.ref = pool_ref_of(f);
	if (port->spec.has_proxy_header)
		err = set_proxy_header(e, f);
	if (!err && port->spec.checks_http)
		err = inbound_set_guard(f);
	if (!err)
		err = e->world.ops->adopt(e->world.host, sock, owner);
	if (err)
		tcp_flow_abort(&e->tcp, &e->world, f, FLOW_END_HOST_ERROR, true);
}

static bool is_shortage(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOMEM || err == -ENOBUFS;
}

/* The next client of a port. False: none can be taken in now. */
static bool take_client(struct engine *e, struct publish_port *port)
{
	struct endpoint peer;
	int sock;
	int err;

	if (!port->has_waiting || port->dialing >= DIALING_MAX)
		return false;
	err = e->world.ops->tcp_accept(e->world.host, port->sock, &sock, &peer);
	if (!err) {
		dial_guest(e, port, sock, &peer);
		return true;
	}
	/* All else is an error of one client, which has gone. */
	port->has_waiting = err != -EAGAIN;
	if (is_shortage(err)) {
		list_append(&e->publish.stalled, &port->ready);
		engine_arm(e, &e->publish.retry, e->world.now_ns + retry_ns);
	}
	return port->has_waiting && !is_shortage(err);
}

/* ---- turns ---- */

static void mark(struct engine *e, struct publish_port *port)
{
	struct list_node *ready =
	    port->spec.proto == POLICY_UDP ? &e->publish.udp_ready : &e->publish.ready;

	if (!list_is_linked(&port->ready))
		list_append(ready, &port->ready);
}

void publish_on_sock(struct engine *e, struct pool_ref ref, uint32_t events)
{
	struct publish_port *port = pool_find(&e->publish.ports, ref);

	if (!port)
		return;
	if (port->spec.proto == POLICY_UDP && (events & SOCK_ERROR) != 0)
		udp_flow_drain_shared(&e->publish.udp, &e->world, ref, port->sock);
	port->has_waiting = true;
	mark(e, port);
}

void publish_on_dialed(void *ctx, const struct tcp_flow *f)
{
	struct engine *e = ctx;
	struct publish_port *port = pool_find(&e->publish.ports, f->publish);

	if (!port)
		return;
	port->dialing--;
	if (port->has_waiting)
		mark(e, port);
}

void publish_on_timer(struct engine *e)
{
	list_splice_tail(&e->publish.ready, &e->publish.stalled);
}

bool publish_serve(struct engine *e)
{
	struct list_node *n;

	for (int i = 0; i < TURN_CLIENTS && (n = list_first(&e->publish.ready)) != NULL; i++) {
		struct publish_port *port = port_of(n);

		list_remove(n);
		if (take_client(e, port))
			mark(e, port);
	}
	return !list_is_empty(&e->publish.ready);
}
