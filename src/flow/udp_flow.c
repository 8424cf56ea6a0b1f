/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP flows; see udp_flow.h.
 *
 * The table is kept in order of age by moving a flow to the end with each datagram, so that the longest idle
 * is always first, one timer serves all flows, and an idle table has none.
 *
 * Towards the host a frame with segmentation offload stays one system call; towards the guest what
 * the host's kernel has joined stays one frame, where the guest takes that. A datagram larger than the
 * link is cut into fragments (E2).
 */
#include "flow/udp_flow.h"

#include <errno.h>
#include <stdlib.h>

#include "base/wr.h"
#include "flow/udp_inbound.h"

enum {
	TURN_DATAGRAMS = 32, /* system calls for one flow before the next has its turn */
	TURN_EXPIRED = 256,  /* idle flows that end in one pass */
	ERRORS_MAX = 16,     /* errors read from one socket in one go */
	QUOTE_MAX = 1280,    /* bytes of a datagram that an ICMPv6 error may quote */
	UDP_PAYLOAD_MAX = IP_PACKET_MAX - UDP_HDR_SIZE,
};

static const uint64_t down_ns = 10000000;

int udp_table_init(struct udp_table *t, uint32_t limit, uint64_t idle_ns, struct icmp_out *icmp)
{
	*t = (struct udp_table){.idle_ns = idle_ns, .icmp = icmp};
	list_init(&t->dirty);
	list_init(&t->age);
	timer_init(&t->timer, TIMER_UDP_IDLE);
	if (pool_init(&t->pool, sizeof(struct udp_flow), limit) || htab_init(&t->index, limit)) {
		udp_table_fini(t);
		return -ENOMEM;
	}
	return 0;
}

void udp_table_fini(struct udp_table *t)
{
	pool_fini(&t->pool);
	htab_fini(&t->index);
	htab_fini(&t->by_peer);
	free(t->scratch);
	t->scratch = NULL;
}

uint8_t *udp_table_scratch(struct udp_table *t)
{
	if (!t->scratch)
		t->scratch = malloc(UDP_HDR_SIZE + NIC_BODY_MAX);
	return t->scratch;
}

struct udp_flow *udp_flow_find(const struct udp_table *t, const struct flow_key *key, uint32_t hash)
{
	uint32_t pos = htab_start(&t->index, hash);
	uint32_t i;

	while ((i = htab_next(&t->index, hash, &pos)) != HTAB_NONE) {
		struct udp_flow *f = (struct udp_flow *)(void *)pool_at(&t->pool, i);

		if (memcmp(&f->key, key, sizeof(*key)) == 0)
			return f;
	}
	return NULL;
}

struct udp_flow *udp_flow_find_for_guest(
    struct udp_table *t, struct flow_world *w, const struct flow_key *key, uint32_t hash)
{
	struct udp_flow *f = udp_flow_find(t, key, hash);

	if (!f || f->down_error == 0 || w->now_ns < f->down_until_ns)
		return f;
	udp_flow_close(t, w, f, FLOW_END_UNREACHABLE);
	return NULL;
}

static struct udp_flow *oldest(struct udp_table *t)
{
	struct list_node *n = list_first(&t->age);

	return n ? container_of(n, struct udp_flow, age) : NULL;
}

void udp_flow_touch(struct udp_table *t, struct flow_world *w, struct udp_flow *f)
{
	f->heard_ns = w->now_ns;
	list_move_tail(&t->age, &f->age);
}

struct udp_flow *udp_flow_open(
    struct udp_table *t, struct flow_world *w, const struct flow_key *key, uint32_t hash)
{
	struct udp_flow *f;

	if (t->pool.in_use == t->pool.limit)
		udp_flow_close(t, w, oldest(t), FLOW_END_EVICTED);
	f = pool_take(&t->pool);
	if (!f)
		return NULL;
	if (htab_insert(&t->index, hash, f->head.index)) {
		pool_put(&t->pool, f);
		return NULL;
	}
	f->sock = SOCK_NONE;
	f->key = *key;
	f->hash = hash;
	f->start_ns = w->now_ns;
	list_init(&f->dirty);
	list_init(&f->age);
	udp_flow_touch(t, w, f);
	if (!timer_is_set(&t->timer))
		wheel_set(w->wheel, &t->timer, w->now_ns + t->idle_ns);
	w->counters->udp_flows++;
	w->counters->udp_active++;
	return f;
}

/* What the flow held is given back, and its end is told. */
static void end(struct udp_table *t, struct flow_world *w, struct udp_flow *f, enum flow_end why)
{
	udp_inbound_leave(t, f);
	if (f->sock != SOCK_NONE)
		w->ops->close(w->host, f->sock, false);
	f->sock = SOCK_NONE;
	t->on_end(t->ctx, f, why);
	udp_flow_forget_flight(t, f);
	list_remove(&f->dirty);
	w->counters->udp_active--;
}

void udp_flow_close(
    struct udp_table *t, struct flow_world *w, struct udp_flow *f, enum flow_end why)
{
	if (f->down_error == 0)
		end(t, w, f, why);
	list_remove(&f->age);
	htab_remove(&t->index, f->hash, f->head.index);
	pool_put(&t->pool, f);
}

/* Whether a socket that says so has lost its way for good: it is bound to the address that the host had. */
static bool is_way_lost(int err)
{
	return err == EINVAL || err == ENETUNREACH || err == EADDRNOTAVAIL;
}

void udp_flow_fail(struct udp_table *t, struct flow_world *w, struct udp_flow *f, int err)
{
	if (!is_way_lost(err)) {
		udp_flow_close(t, w, f, FLOW_END_UNREACHABLE);
		return;
	}
	end(t, w, f, FLOW_END_UNREACHABLE);
	f->down_error = err == EINVAL ? EADDRNOTAVAIL : err; /* IPv4 says so */
	f->down_until_ns = w->now_ns + down_ns;
}

bool udp_table_on_timer(struct udp_table *t, struct flow_world *w)
{
	struct udp_flow *f;

	for (int i = 0; i < TURN_EXPIRED; i++) {
		f = oldest(t);
		if (!f)
			return false;
		if (f->heard_ns + t->idle_ns > w->now_ns) {
			wheel_set(w->wheel, &t->timer, f->heard_ns + t->idle_ns);
			return false;
		}
		udp_flow_close(t, w, f, FLOW_END_IDLE);
	}
	return true;
}

void udp_table_close_all(struct udp_table *t, struct flow_world *w)
{
	struct udp_flow *f;

	while ((f = oldest(t)) != NULL)
		udp_flow_close(t, w, f, FLOW_END_SHUTDOWN);
	wheel_cancel(w->wheel, &t->timer);
}

/* ---- what the network reports ---- */

/* Tells the guest about one of its datagrams that is gone, of which payload is what came back. */
static void tell_error(struct udp_table *t, struct flow_world *w, const struct udp_flow *f,
    const struct sock_error *err, const uint8_t *payload)
{
	struct icmp_error from = {.type = err->type, .code = err->code, .info = err->mtu};
	struct icmp_error e;
	struct icmp_quote q = {
	    .family = f->key.family,
	    .proto = PROTO_UDP,
	    .has_df = true,
	    .src = &f->key.guest,
	    .dst = &f->key.remote,
	    .l4_len = UDP_HDR_SIZE + (uint32_t)err->len,
	    .payload = payload,
	    .payload_len = (uint32_t)err->len,
	};

	/* What the host itself refuses is in the result of udp_send(), too. */
	if (!err->is_icmp || !icmp_error_translate(err->family, &from, f->key.family, &e))
		return;
	icmp_quote_udp(&q, f->key.guest_port, f->key.remote_port);
	(void)icmp_out_quote(t->icmp, &q, &e, w->now_ns);
}

void udp_flow_drain_shared(
    struct udp_table *t, struct flow_world *w, struct pool_ref publish, int sock)
{
	uint8_t payload[QUOTE_MAX];
	struct sock_error err;

	for (int i = 0; i < ERRORS_MAX; i++) {
		const struct udp_flow *f;

		if (w->ops->error_next(w->host, sock, &err, payload, sizeof(payload)) != 1)
			return;
		f = udp_inbound_find(t, w, publish, &err.to);
		if (f)
			tell_error(t, w, f, &err, payload);
	}
}

static void drain_errors(struct udp_table *t, struct flow_world *w, struct udp_flow *f)
{
	uint8_t payload[QUOTE_MAX];
	struct sock_error err;

	if (f->is_inbound) {
		udp_flow_drain_shared(t, w, f->client.publish, f->sock);
		return;
	}
	for (int i = 0; i < ERRORS_MAX; i++) {
		if (w->ops->error_next(w->host, f->sock, &err, payload, sizeof(payload)) != 1)
			return;
		tell_error(t, w, f, &err, payload);
	}
}

/* ---- guest to host ---- */

/* The datagram is larger than the path. */
static enum drop_reason too_big(
    struct udp_table *t, struct flow_world *w, struct udp_flow *f, const struct packet *p)
{
	uint32_t mtu = w->ops->udp_mtu(w->host, f->sock);

	drain_errors(t, w, f);
	(void)icmp_out_packet(t->icmp, p, ICMP_CAUSE_TOO_BIG, mtu, w->now_ns);
	return DROP_UDP_TOO_BIG;
}

static enum drop_reason refuse(
    struct udp_table *t, struct flow_world *w, const struct packet *p, int err)
{
	(void)icmp_out_packet(t->icmp, p, icmp_cause_of_errno(err), 0, w->now_ns);
	return DROP_UDP_SEND;
}

static ssize_t send(struct flow_world *w, const struct udp_flow *f, const struct iovec *iov,
    uint32_t count, uint16_t gso, bool has_df)
{
	if (!f->is_inbound)
		return w->ops->udp_send(w->host, f->sock, iov, count, gso, has_df);
	return w->ops->udp_send_to(w->host, f->sock, iov, count,
	    &(struct sock_send){.gso_size = gso,
		.has_df = has_df,
		.to = &f->client.peer,
		.from = &f->client.local});
}

enum drop_reason udp_flow_send(
    struct udp_table *t, struct flow_world *w, struct udp_flow *f, const struct packet *p)
{
	struct iovec iov[FRAME_IOV_MAX];
	uint32_t count = frame_slice(p->frame, p->payload_off, p->payload_len, iov, FRAME_IOV_MAX);
	uint16_t gso = (p->frame->vnet.gso_type & (uint8_t)~VNET_GSO_ECN) == VNET_GSO_USO
			   ? p->frame->vnet.gso_size
			   : 0;
	ssize_t err = 0;

	if (f->down_error != 0)
		return refuse(t, w, p, f->down_error);
	udp_flow_touch(t, w, f);
	/* An error of an earlier datagram is reported in place of sending this one: told, then again. Of
	 * several datagrams some may have gone out. */
	for (int tries = 0; tries < 2; tries++) {
		err = send(w, f, iov, count, gso, p->has_df);
		if (err == -EMSGSIZE && (tries > 0 || gso > 0))
			return too_big(t, w, f, p);
		if (err == 0 || err == -EAGAIN || err == -ENOBUFS || err == -ENOMEM)
			break;
		drain_errors(t, w, f);
	}
	if (err == -EAGAIN || err == -ENOBUFS || err == -ENOMEM)
		return DROP_UDP_SEND;
	if (is_way_lost((int)-err) && !f->is_inbound) {
		udp_flow_fail(t, w, f, (int)-err);
		err = -f->down_error;
	}
	if (err)
		return refuse(t, w, p, (int)-err);
	f->tx_bytes += p->payload_len;
	w->counters->udp_tx_bytes += p->payload_len;
	w->counters->udp_tx_datagrams += gso > 0 ? (p->payload_len + gso - 1) / gso : 1;
	return DROP_NONE;
}

/* ---- host to guest ---- */

static struct netif_ip ip_of(const struct udp_flow *f, uint32_t payload_len)
{
	return (struct netif_ip){
	    .family = f->key.family,
	    .proto = PROTO_UDP,
	    .has_df = true,
	    .src = &f->key.remote,
	    .dst = &f->key.guest,
	    .l4_len = UDP_HDR_SIZE + payload_len,
	};
}

static void build_header(const struct udp_flow *f, uint32_t payload_len, uint8_t *out)
{
	put_be16(out, f->key.remote_port);
	put_be16(out + 2, f->key.guest_port);
	put_be16(out + 4, (uint16_t)(UDP_HDR_SIZE + payload_len));
	put_be16(out + 6, 0);
}

/* One datagram that does not fit the link, or that was not joined for this guest: the bytes are at
 * scratch + UDP_HDR_SIZE. */
static void send_from_scratch(
    struct udp_table *t, struct flow_world *w, const struct udp_flow *f, uint8_t *l4, uint32_t len)
{
	struct netif_ip ip = ip_of(f, len);

	(void)t;
	ip.has_df =
	    netif_ip_head_len(f->key.family) - ETH_HDR_SIZE + ip.l4_len <= w->netif->cfg.mtu;
	build_header(f, len, l4);
	(void)netif_send_l4(w->netif, &ip, l4, UDP_CSUM_OFF);
}

/* Copies a body of which every gso_size bytes are one datagram, and sends them one by one. The eight
 * bytes before each datagram are overwritten by its header after they have been sent. */
static void send_copied(struct udp_table *t, struct flow_world *w, const struct udp_flow *f,
    struct nic_slot *slot, uint32_t len, uint32_t gso_size)
{
	uint8_t *body;
	uint32_t at = 0;

	if (!udp_table_scratch(t)) {
		w->netif->nic->ops->cancel(w->netif->nic, slot);
		netif_drop(w->netif, DROP_NO_MEMORY);
		return;
	}
	body = t->scratch + UDP_HDR_SIZE;
	for (uint32_t i = 0; i < slot->body_count && at < len; i++) {
		uint32_t take =
		    slot->body[i].iov_len < len - at ? (uint32_t)slot->body[i].iov_len : len - at;

		memcpy(body + at, slot->body[i].iov_base, take);
		at += take;
	}
	w->netif->nic->ops->cancel(w->netif->nic, slot);
	for (at = 0; at < len || len == 0; at += gso_size) {
		uint32_t piece = len - at < gso_size ? len - at : gso_size;

		send_from_scratch(t, w, f, body + at - UDP_HDR_SIZE, piece);
		if (len == 0)
			break;
	}
}

/* A filled slot becomes a frame. */
static void deliver(struct udp_table *t, struct flow_world *w, struct udp_flow *f,
    struct nic_slot *slot, uint32_t len, uint16_t gso_size)
{
	uint32_t head = netif_ip_head_len(f->key.family);
	uint32_t unit = gso_size > 0 ? gso_size : len;
	bool fits = head - ETH_HDR_SIZE + UDP_HDR_SIZE + unit <= w->netif->cfg.mtu;
	struct netif_ip ip = ip_of(f, len);

	f->rx_bytes += len;
	w->counters->udp_rx_bytes += len;
	w->counters->udp_rx_datagrams += gso_size > 0 ? (len + gso_size - 1) / gso_size : 1;
	if (!fits || (gso_size > 0 && (w->netif->nic->features & NIC_F_USO) == 0)) {
		send_copied(t, w, f, slot, len, unit > 0 ? unit : 1);
		return;
	}
	build_header(f, len, slot->head + head);
	netif_commit_l4(w->netif, slot, &ip, UDP_HDR_SIZE, UDP_CSUM_OFF,
	    gso_size > 0 ? VNET_GSO_USO : VNET_GSO_NONE, gso_size);
}

void udp_flow_deliver(struct udp_table *t, struct flow_world *w, struct udp_flow *f,
    struct nic_slot *slot, uint32_t n, uint16_t gso_size)
{
	udp_flow_touch(t, w, f);
	deliver(t, w, f, slot, n, gso_size);
}

enum served {
	SERVED_IDLE,
	SERVED_MORE,
	SERVED_NO_ROOM,
};

static enum served serve(struct udp_table *t, struct flow_world *w, struct udp_flow *f,
    uint32_t max_bytes, uint32_t *ret_bytes)
{
	struct nic *nic = w->netif->nic;
	uint32_t head_len = netif_ip_head_len(f->key.family) + UDP_HDR_SIZE;

	*ret_bytes = 0;
	for (int i = 0; i < TURN_DATAGRAMS && *ret_bytes < max_bytes; i++) {
		struct nic_slot slot;
		uint16_t gso_size;
		ssize_t n;

		if (nic->ops->reserve(nic, head_len, UDP_PAYLOAD_MAX, &slot))
			return SERVED_NO_ROOM;
		n = w->ops->udp_recv(w->host, f->sock, slot.body, slot.body_count, &gso_size);
		if (n < 0) {
			nic->ops->cancel(nic, &slot);
			if (n == -EAGAIN || ++f->error_count > ERRORS_MAX) {
				f->error_count = 0;
				return SERVED_IDLE;
			}
			drain_errors(t, w, f);
			continue;
		}
		f->error_count = 0;
		udp_flow_touch(t, w, f);
		deliver(t, w, f, &slot, (uint32_t)n, gso_size);
		*ret_bytes += (uint32_t)n + head_len;
	}
	return SERVED_MORE;
}

void udp_flow_on_sock(
    struct udp_table *t, struct flow_world *w, struct udp_flow *f, uint32_t events)
{
	if (f->sock == SOCK_NONE)
		return; /* it went down in this very pass */
	if ((events & SOCK_ERROR) != 0)
		drain_errors(t, w, f);
	if (!list_is_linked(&f->dirty))
		list_append(&t->dirty, &f->dirty);
}

bool udp_table_serve(struct udp_table *t, struct flow_world *w, uint32_t max_bytes)
{
	struct list_node *n;

	while (max_bytes > 0 && (n = list_first(&t->dirty)) != NULL) {
		struct udp_flow *f = container_of(n, struct udp_flow, dirty);
		uint32_t bytes;

		list_remove(n);
		switch (serve(t, w, f, max_bytes, &bytes)) {
		case SERVED_IDLE:
			break;
		case SERVED_MORE:
			list_append(&t->dirty, n);
			break;
		case SERVED_NO_ROOM:
			list_append(&t->dirty, n);
			return false;
		}
		max_bytes -= bytes < max_bytes ? bytes : max_bytes;
	}
	return true;
}
