/* SPDX-License-Identifier: Apache-2.0 */
/* UDP flows of clients of published ports; see udp_inbound.h. */
#include "flow/udp_inbound.h"

#include <errno.h>

/* Hashed as bytes: no padding. */
struct peer_key {
	struct ip_addr addr;
	uint32_t publish;
	uint32_t port;
};

_Static_assert(sizeof(struct peer_key) == 24, "peer_key must not have padding");

static uint32_t hash_of(
    const struct flow_world *w, struct pool_ref publish, const struct endpoint *peer)
{
	struct peer_key k = {.addr = peer->addr, .publish = publish.index, .port = peer->port};

	return (uint32_t)siphash13(&w->hash_key, &k, sizeof(k));
}

int udp_inbound_init(struct udp_table *t, uint32_t limit, uint64_t idle_ns, struct icmp_out *icmp)
{
	int err = udp_table_init(t, limit, idle_ns, icmp);

	if (!err && htab_init(&t->by_peer, limit)) {
		udp_table_fini(t);
		err = -ENOMEM;
	}
	return err;
}

struct udp_flow *udp_inbound_find(const struct udp_table *t, const struct flow_world *w,
    struct pool_ref publish, const struct endpoint *peer)
{
	uint32_t hash = hash_of(w, publish, peer);
	uint32_t pos = htab_start(&t->by_peer, hash);
	uint32_t i;

	while ((i = htab_next(&t->by_peer, hash, &pos)) != HTAB_NONE) {
		struct udp_flow *f = (struct udp_flow *)(void *)pool_at(&t->pool, i);

		if (f->client.publish.index == publish.index &&
		    f->client.publish.gen == publish.gen && f->client.peer.port == peer->port &&
		    ip_addr_eq(&f->client.peer.addr, &peer->addr))
			return f;
	}
	return NULL;
}

struct udp_flow *udp_inbound_open(struct udp_table *t, struct flow_world *w,
    const struct flow_key *key, uint32_t hash, const struct udp_client *client)
{
	struct udp_flow *f = udp_flow_open(t, w, key, hash);

	if (!f)
		return NULL;
	f->is_inbound = true;
	f->client = *client;
	f->peer_hash = hash_of(w, client->publish, &client->peer);
	f->sock = client->sock;
	if (htab_insert(&t->by_peer, f->peer_hash, f->head.index)) {
		f->is_inbound = false; /* cannot be: the table has as many places as the pool */
		f->sock = SOCK_NONE;
		udp_flow_close(t, w, f, FLOW_END_HOST_ERROR);
		return NULL;
	}
	return f;
}

void udp_inbound_leave(struct udp_table *t, struct udp_flow *f)
{
	if (!f->is_inbound || f->sock == SOCK_NONE)
		return;
	htab_remove(&t->by_peer, f->peer_hash, f->head.index);
	f->sock = SOCK_NONE;
}
