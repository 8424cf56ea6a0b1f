/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published UDP ports: each client of a port gets a port of the gateway of its own, so that the guest can tell them
 * apart, and the guest's answers go to the client that this port stands for and to nobody else (behaviours.md F11,
 * F12; threats.md P16).
 *
 * What the guest sends from a published port to a port of the gateway that stands for nobody (any more) is dropped:
 * it is a late answer, and must not reach what listens there on the host.
 */
#include <errno.h>
#include <stdlib.h>

#include "engine/internal.h"
#include "flow/udp_inbound.h"

enum {
	TURN_DATAGRAMS = 32, /* system calls for one port before the next has its turn */
	ERRORS_MAX = 16,     /* errors of one socket in a row */
	PORT_BITS = 65536,
	UDP_PAYLOAD_MAX = IP_PACKET_MAX - UDP_HDR_SIZE,
};

int publish_udp_init(struct engine *e)
{
	struct publish *p = &e->publish;
	int err;

	if (p->udp_guest_ports)
		return 0;
	p->udp_guest_ports = calloc(PORT_BITS, sizeof(*p->udp_guest_ports));
	if (!p->udp_guest_ports)
		return -ENOMEM;
	err = udp_inbound_init(&p->udp, e->cfg.udp_limit, e->cfg.udp_idle_ns, &e->icmp);
	if (err) {
		free(p->udp_guest_ports);
		p->udp_guest_ports = NULL;
		return err;
	}
	p->udp.on_end = account_udp_end;
	p->udp.ctx = e;
	return 0;
}

void publish_udp_fini(struct engine *e)
{
	struct publish *p = &e->publish;

	if (!p->udp_guest_ports)
		return;
	udp_table_close_all(&p->udp, &e->world);
	udp_table_fini(&p->udp);
	free(p->udp_guest_ports);
	p->udp_guest_ports = NULL;
}

/* Ends the flows of a port that is not published any more. It is rare, and may look at all of them. */
void publish_udp_forget(struct engine *e, struct pool_ref ref)
{
	struct udp_table *t = &e->publish.udp;

	for (uint32_t i = 0; i < t->pool.made; i++) {
		struct udp_flow *f = (struct udp_flow *)(void *)pool_at(&t->pool, i);

		if (f->head.gen % 2 == 1 && f->client.publish.index == ref.index &&
		    f->client.publish.gen == ref.gen)
			udp_flow_close(t, &e->world, f, FLOW_END_SHUTDOWN);
	}
}

/* ---- client to guest ---- */

static bool is_free(const struct engine *e, const struct flow_key *key, uint32_t *ret_hash)
{
	*ret_hash = flow_hash(&e->world, key);
	return udp_flow_find(&e->publish.udp, key, *ret_hash) == NULL;
}

/* The flow of a client that has none, or NULL. */
static struct udp_flow *open_flow(struct engine *e, const struct publish_port *port,
    const struct udp_client *client, const struct policy_verdict *verdict)
{
	struct flow_key key;
	struct udp_flow *f = NULL;
	uint32_t hash;

	if (publish_draw_key(e, port, &client->peer, verdict->class, is_free, &key, &hash))
		f = udp_inbound_open(&e->publish.udp, &e->world, &key, hash, client);
	if (!f)
		publish_refuse(e, port, &client->peer, verdict, DROP_UDP_LIMIT);
	return f;
}

/* The flow that a datagram belongs to, or NULL: denied, or no place. */
static struct udp_flow *admit(
    struct engine *e, const struct publish_port *port, const struct udp_client *client)
{
	struct udp_flow *f =
	    udp_inbound_find(&e->publish.udp, &e->world, client->publish, &client->peer);
	struct policy_verdict verdict;

	if (f && f->generation == e->generation)
		return f;
	verdict = publish_judge(e, port, &client->peer);
	if (verdict.action != POLICY_ALLOW) {
		publish_refuse(e, port, &client->peer, &verdict, DROP_POLICY);
		if (f)
			udp_flow_close(&e->publish.udp, &e->world, f, FLOW_END_POLICY);
		return NULL;
	}
	if (!f)
		f = open_flow(e, port, client, &verdict);
	if (f) {
		f->verdict = verdict;
		f->generation = e->generation;
	}
	return f;
}

/* Takes in datagrams of one port. False: no room towards the guest. */
static bool serve_port(struct engine *e, struct publish_port *port)
{
	struct nic *nic = e->nic;
	uint32_t head_len = netif_ip_head_len(publish_family(e, port)) + UDP_HDR_SIZE;
	int errors = 0;

	for (int i = 0; i < TURN_DATAGRAMS; i++) {
		struct udp_client client = {.publish = pool_ref_of(port), .sock = port->sock};
		struct nic_slot slot;
		struct udp_flow *f;
		uint16_t gso_size;
		ssize_t n;

		if (nic->ops->reserve(nic, head_len, UDP_PAYLOAD_MAX, &slot))
			return false;
		n = e->world.ops->udp_recv_from(e->world.host, port->sock, slot.body,
		    slot.body_count, &gso_size, &client.peer, &client.local);
		f = n >= 0 ? admit(e, port, &client) : NULL;
		if (f) {
			udp_flow_deliver(
			    &e->publish.udp, &e->world, f, &slot, (uint32_t)n, gso_size);
			continue;
		}
		nic->ops->cancel(nic, &slot);
		if (n == -EAGAIN || (n < 0 && ++errors > ERRORS_MAX)) {
			port->has_waiting = false;
			return true;
		}
		if (n < 0)
			udp_flow_drain_shared(
			    &e->publish.udp, &e->world, client.publish, port->sock);
	}
	return true;
}

bool publish_udp_serve(struct engine *e)
{
	struct list_node last = {0};
	struct list_node *n;

	list_init(&last);
	while ((n = list_first(&e->publish.udp_ready)) != NULL) {
		struct publish_port *port = container_of(n, struct publish_port, ready);
		bool has_room = serve_port(e, port);

		list_remove(n);
		if (port->has_waiting)
			list_append(&last, n);
		if (!has_room) {
			list_splice_tail(&e->publish.udp_ready, &last);
			return false;
		}
	}
	list_splice_tail(&e->publish.udp_ready, &last);
	return true;
}

/* ---- guest to client ---- */

bool publish_on_datagram(struct engine *e, const struct packet *p, enum drop_reason *ret_why)
{
	struct publish *pub = &e->publish;
	struct flow_key key;
	struct udp_flow *f;

	if (!pub->udp_guest_ports || pub->udp_guest_ports[p->udp.src_port] == 0)
		return false;
	key = flow_key_of(p, p->udp.src_port, p->udp.dst_port);
	f = udp_flow_find_for_guest(&pub->udp, &e->world, &key, flow_hash(&e->world, &key));
	if (f)
		*ret_why = udp_flow_send(&pub->udp, &e->world, f, p);
	else if (netif_is_gateway_addr(&e->netif, &p->dst) && p->udp.dst_port != DNS_PORT)
		*ret_why = DROP_UDP_NO_PEER;
	else
		return false;
	return true;
}
