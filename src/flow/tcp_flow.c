/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life of a TCP flow: table, opening, timers, end.
 *
 * Memory (threats.md P11): a flow is admitted only below its limit. What the guest may have waiting here is
 * promised to it as window, so the sum of all promises is bounded: wnd_base for each flow, and
 * WND_SPARE for all that grow beyond. Flows in TIME-WAIT hold no socket, do not count, and the
 * oldest gives way.
 *
 * Invariants (tests/sim/sim_check.c, in every run of the simulation): active counts exactly the flows that
 * hold a place; a flow is on embryos while and only while it is in SYN-HELD or SYN-RECEIVED; on_end is
 * called exactly once for each.
 */
#include "flow/tcp_flow.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/wr.h"
#include "flow/inbound.h"

enum {
	WND_BASE_MIN = 8192,
	TIME_WAIT_MAX = 4096,
	ISN_CLOCK_BITS = 12, /* RFC 6528: one step of the clock is about four microseconds */
};

static const uint64_t wnd_base_total = 256ULL << 20; /* shared by as many flows as may be */
static const uint64_t wnd_spare_total = 64ULL << 20;

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

int tcp_table_init(struct tcp_table *t, const struct tcp_limits *limits)
{
	uint32_t places = limits->flows + min_u32(limits->flows, TIME_WAIT_MAX);
	uint64_t base = wnd_base_total / limits->flows;

	*t = (struct tcp_table){.limits = *limits, .wnd_spare = wnd_spare_total};
	t->wnd_base = base > TCP_WND_INITIAL ? TCP_WND_INITIAL
		      : base < WND_BASE_MIN  ? WND_BASE_MIN
					     : (uint32_t)base;
	list_init(&t->dirty);
	list_init(&t->delayed);
	list_init(&t->embryos);
	list_init(&t->time_wait);
	if (pool_init(&t->pool, sizeof(struct tcp_flow), places) || htab_init(&t->index, places)) {
		tcp_table_fini(t);
		return -ENOMEM;
	}
	return 0;
}

void tcp_table_fini(struct tcp_table *t)
{
	pool_fini(&t->pool);
	htab_fini(&t->index);
	free(t->look);
}

struct tcp_flow *tcp_flow_find(const struct tcp_table *t, const struct flow_key *key, uint32_t hash)
{
	uint32_t pos = htab_start(&t->index, hash);
	uint32_t i;

	while ((i = htab_next(&t->index, hash, &pos)) != HTAB_NONE) {
		struct tcp_flow *f = (struct tcp_flow *)(void *)pool_at(&t->pool, i);

		if (memcmp(&f->key, key, sizeof(*key)) == 0)
			return f;
	}
	return NULL;
}

void tcp_flow_mark(struct tcp_table *t, struct tcp_flow *f)
{
	if (!list_is_linked(&f->dirty))
		list_append(&t->dirty, &f->dirty);
}

void tcp_flow_arm(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f)
{
	uint64_t due = tcp_next_ns(&f->conn, &t->limits.times);

	/* A timer that is set too early fires for nothing once, which is cheaper than moving it with
	 * every segment. */
	if (due != UINT64_MAX && (!timer_is_set(&f->timer) || due < f->timer.due_ns))
		wheel_set(w->wheel, &f->timer, due);
}

void tcp_flow_delivered(struct tcp_table *t, struct tcp_flow *f)
{
	t->undelivered -= f->is_undelivered;
	f->is_undelivered = false;
}

/* Leaves the places that only a living flow holds. */
static void uncount(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f)
{
	if (!f->is_counted)
		return;
	f->is_counted = false;
	tcp_flow_delivered(t, f);
	t->active--;
	w->counters->tcp_active--;
	t->wnd_spare += f->wnd_target - t->wnd_base;
	f->wnd_target = t->wnd_base;
}

static void leave_embryos(struct tcp_table *t, struct tcp_flow *f)
{
	if (list_is_linked(&f->life)) {
		list_remove(&f->life);
		t->embryo_count--;
	}
}

static void leave_index(struct tcp_table *t, struct tcp_flow *f)
{
	if (!f->is_detached)
		htab_remove(&t->index, f->hash, f->head.index);
	f->is_detached = true;
}

/* The one place where a flow is freed. */
static void release(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f)
{
	assert(f->sock == SOCK_NONE && t->burst.flow != f);
	inbound_dialed(t, f);
	inbound_fini(f);
	if (f->conn.state == TCPS_SYN_HELD || f->conn.state == TCPS_SYN_RECEIVED)
		leave_embryos(t, f);
	uncount(t, w, f);
	wheel_cancel(w->wheel, &f->timer);
	list_remove(&f->dirty);
	list_remove(&f->delayed);
	list_remove(&f->life);
	leave_index(t, f);
	chain_clear(&f->spill);
	free(f->flight);
	free(f->claim);
	tcp_fini(&f->conn);
	pool_put(&t->pool, f);
}

/* False: it was to be closed in order, and that was not possible. */
static bool close_sock(struct flow_world *w, struct tcp_flow *f, bool is_reset)
{
	bool has_failed = false;

	if (f->sock == SOCK_NONE)
		return true;
	/* Data that the guest has acknowledged must be off the queue: closing a socket with unread
	 * data resets the connection. */
	if (!is_reset && f->unconsumed > 0)
		has_failed = w->ops->tcp_consume(w->host, f->sock, f->unconsumed) != 0;
	w->ops->close(w->host, f->sock, is_reset);
	f->sock = SOCK_NONE;
	return !has_failed;
}

void tcp_flow_abort(
    struct tcp_table *t, struct flow_world *w, struct tcp_flow *f, enum flow_end end, bool to_guest)
{
	bool is_known = f->conn.state != TCPS_SYN_HELD && f->conn.state != TCPS_CLOSED &&
			f->conn.state != TCPS_TIME_WAIT;

	if (to_guest && is_known) {
		/* A frame that finds no room is lost like any other; the guest asks again and is
		 * answered by tcp_reply_reset(). */
		(void)tcp_flow_send_bare(w, f, f->conn.snd_nxt,
		    f->conn.state == TCPS_SYN_SENT ? TCP_RST : TCP_RST | TCP_ACK);
		w->counters->tcp_resets_sent++;
	}
	(void)close_sock(w, f, true);
	if (f->is_counted)
		t->on_end(t->ctx, f, end);
	release(t, w, f);
}

void tcp_flow_drop_held(
    struct tcp_table *t, struct flow_world *w, struct tcp_flow *f, enum flow_end end)
{
	assert(f->conn.state == TCPS_SYN_HELD);
	tcp_flow_abort(t, w, f, end, false);
}

bool tcp_flow_finish(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f)
{
	bool is_over = f->conn.state == TCPS_CLOSED || f->conn.state == TCPS_TIME_WAIT;

	if (!is_over || (f->spill.len > 0 && !f->is_remote_dead))
		return false;
	if (f->is_counted) {
		enum flow_end end = f->is_remote_dead ? FLOW_END_REMOTE_RESET : FLOW_END_CLOSED;

		if (!close_sock(w, f, f->is_remote_dead))
			end = FLOW_END_HOST_ERROR;
		t->on_end(t->ctx, f, end);
		uncount(t, w, f);
	}
	if (f->conn.state == TCPS_CLOSED) {
		release(t, w, f);
		return true;
	}
	if (!list_is_linked(&f->life))
		list_append(&t->time_wait, &f->life);
	return false;
}

static struct tcp_flow *flow_of_life(struct list_node *n)
{
	return container_of(n, struct tcp_flow, life);
}

/* A place in the pool, if need be that of the oldest flow in TIME-WAIT. */
static struct tcp_flow *take_place(struct tcp_table *t, struct flow_world *w)
{
	struct tcp_flow *f = pool_take(&t->pool);
	struct list_node *oldest = list_first(&t->time_wait);

	if (!f && oldest) {
		release(t, w, flow_of_life(oldest));
		f = pool_take(&t->pool);
	}
	return f;
}

/* RFC 6528: a clock plus a keyed hash of the connection's ends. */
static uint32_t initial_seq(const struct flow_world *w, const struct flow_key *key)
{
	struct siphash_key other = {.k = {w->hash_key.k[1], ~w->hash_key.k[0]}};

	return (uint32_t)(siphash13(&other, key, sizeof(*key)) >> 32) +
	       (uint32_t)(w->now_ns >> ISN_CLOCK_BITS);
}

static uint16_t mss_max(const struct netif *n, uint8_t family)
{
	uint32_t ip = family == 4 ? IP4_HDR_SIZE : IP6_HDR_SIZE;

	return (uint16_t)(n->cfg.mtu - ip - TCP_HDR_SIZE);
}

/* A flow that is counted, without a connection yet. NULL and a reason. */
static struct tcp_flow *new_flow(struct tcp_table *t, struct flow_world *w,
    const struct flow_key *key, uint32_t hash, enum drop_reason *ret_why)
{
	struct tcp_flow *f;

	if (t->active >= t->limits.flows) {
		*ret_why = DROP_TCP_LIMIT;
		return NULL;
	}
	f = take_place(t, w);
	if (!f || htab_insert(&t->index, hash, f->head.index)) {
		if (f)
			pool_put(&t->pool, f);
		*ret_why = DROP_NO_MEMORY;
		return NULL;
	}
	f->sock = SOCK_NONE;
	f->key = *key;
	f->hash = hash;
	f->start_ns = w->now_ns;
	f->wnd_target = t->wnd_base;
	f->is_counted = true;
	timer_init(&f->timer, TIMER_TCP);
	list_init(&f->dirty);
	list_init(&f->delayed);
	list_init(&f->life);
	t->active++;
	w->counters->tcp_flows++;
	w->counters->tcp_active++;
	return f;
}

struct tcp_flow *tcp_flow_open(struct tcp_table *t, struct flow_world *w, const struct packet *syn,
    const struct flow_key *key, uint32_t hash, enum drop_reason *ret_why)
{
	struct tcp_flow *f;

	if (t->embryo_count >= t->limits.embryos) {
		/* A flood of SYNs displaces its own oldest, so that a connection which opens quickly
		 * still finds a place. The guest repeats the SYN of one that was displaced. */
		netif_drop(w->netif, DROP_TCP_BACKLOG);
		tcp_flow_abort(t, w, flow_of_life(list_first(&t->embryos)), FLOW_END_EVICTED, true);
	}
	f = new_flow(t, w, key, hash, ret_why);
	if (!f)
		return NULL;
	tcp_open(&f->conn, syn, initial_seq(w, key), mss_max(w->netif, key->family), w->now_ns);
	list_append(&t->embryos, &f->life);
	t->embryo_count++;
	tcp_flow_arm(t, w, f);
	return f;
}

/* The SYN-ACK, or in SYN-SENT the SYN. 0, or -EAGAIN: no room towards the guest. */
static int send_synack(struct flow_world *w, struct tcp_flow *f)
{
	uint32_t head_len = netif_ip_head_len(f->key.family);
	struct netif_ip ip = {
	    .family = f->key.family,
	    .proto = PROTO_TCP,
	    .has_df = true,
	    .src = &f->key.remote,
	    .dst = &f->key.guest,
	};
	struct tcp_segment s = {
	    .src_port = f->key.remote_port,
	    .dst_port = f->key.guest_port,
	    .seq = f->conn.snd_una,
	    .ack = f->conn.rcv_nxt,
	    .wnd = (uint16_t)(f->conn.rcv_adv - f->conn.rcv_nxt),
	    .flags = f->conn.state == TCPS_SYN_SENT ? TCP_SYN : TCP_SYN | TCP_ACK,
	    .mss = mss_max(w->netif, f->key.family),
	    .wscale = f->conn.rcv_shift > 0 ? f->conn.rcv_shift : 0xff,
	};
	struct nic_slot slot;
	uint8_t header[TCP_HDR_MAX];
	uint32_t len = tcp_build(&s, header);
	int err = w->netif->nic->ops->reserve(w->netif->nic, head_len + len, 0, &slot);

	if (err)
		return err;
	memcpy(slot.head + head_len, header, len);
	ip.l4_len = len;
	netif_commit_l4(w->netif, &slot, &ip, len, TCP_CSUM_OFF, VNET_GSO_NONE, 0);
	f->is_synack_due = false;
	return 0;
}

/* Without room it waits for its turn like everything else: the guest would ask again after a second. False then. */
static bool answer_syn(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f)
{
	if (send_synack(w, f) == 0)
		return true;
	f->is_synack_due = true;
	tcp_flow_mark(t, f);
	return false;
}

void tcp_flow_connected(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f)
{
	tcp_accept(&f->conn, f->wnd_target, w->now_ns);
	(void)answer_syn(t, w, f);
	tcp_flow_arm(t, w, f);
}

struct tcp_flow *tcp_flow_dial(struct tcp_table *t, struct flow_world *w,
    const struct flow_key *key, uint32_t hash, int sock, enum drop_reason *ret_why)
{
	struct tcp_flow *f = new_flow(t, w, key, hash, ret_why);

	if (!f)
		return NULL;
	f->sock = sock;
	f->is_inbound = true;
	f->is_dialing = true;
	tcp_dial(&f->conn, initial_seq(w, key), mss_max(w->netif, key->family), f->wnd_target,
	    w->now_ns);
	(void)answer_syn(t, w, f);
	tcp_flow_arm(t, w, f);
	return f;
}

static void on_established(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f)
{
	leave_embryos(t, f);
	inbound_dialed(t, f);
	f->is_undelivered = true;
	t->undelivered++;
	w->counters->tcp_established++;
	tcp_flow_mark(t, f);
}

/* What is due is sent when it is the flow's turn, which does not come while there is no room. */
static void send_later(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f)
{
	tcp_flow_mark(t, f);
	if (w->is_rx_blocked)
		tcp_unsent(&f->conn);
}

void tcp_flow_on_timer(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f)
{
	switch (tcp_on_time(&f->conn, &t->limits.times, w->now_ns)) {
	case TCP_DUE_NONE:
		break;
	case TCP_DUE_SYNACK:
		if (!answer_syn(t, w, f))
			tcp_unsent(&f->conn);
		break;
	case TCP_DUE_ACK:
		(void)tcp_flow_send_bare(w, f, f->conn.snd_nxt, TCP_ACK);
		break;
	case TCP_DUE_PROBE:
		w->counters->tcp_zero_window_probes++;
		if (tcp_flow_send_bare(w, f, f->conn.snd_una - 1, TCP_ACK))
			tcp_unsent(&f->conn);
		break;
	case TCP_DUE_REXMIT:
		w->counters->tcp_retransmits++;
		send_later(t, w, f);
		break;
	case TCP_DUE_SEND:
		send_later(t, w, f);
		break;
	case TCP_DUE_GIVE_UP:
		tcp_flow_abort(t, w, f, FLOW_END_GUEST_TIMEOUT, true);
		return;
	case TCP_DUE_EXPIRED:
		if (f->conn.state == TCPS_SYN_HELD)
			tcp_flow_drop_held(t, w, f, FLOW_END_CONNECT_TIMEOUT);
		else
			tcp_flow_abort(t, w, f, FLOW_END_IDLE, true);
		return;
	case TCP_DUE_DONE:
		if (!f->is_counted) {
			release(t, w, f);
			return;
		}
		/* The remote side still has to take what the guest has sent. */
		tcp_set_state(&f->conn, TCPS_CLOSED, w->now_ns);
		break;
	}
	tcp_flow_arm(t, w, f);
}

static bool on_challenge(struct flow_world *w, struct tcp_flow *f);

/* What does not carry data or acknowledge: true if the flow is gone. */
static bool on_control(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f,
    const struct packet *p, const struct tcp_in *in)
{
	if ((in->flags & TCP_IN_RESET) != 0) {
		tcp_flow_abort(
		    t, w, f, f->is_dialing ? FLOW_END_REFUSED : FLOW_END_GUEST_RESET, false);
		return true;
	}
	if (in->drop == DROP_TCP_CONFLICT) {
		tcp_flow_abort(t, w, f, FLOW_END_CONFLICT, true);
		return true;
	}
	if ((in->flags & TCP_IN_SEND_SYNACK) != 0)
		(void)answer_syn(t, w, f);
	if ((in->flags & TCP_IN_SEND_RESET) != 0)
		tcp_reply_reset(w, p);
	if ((in->flags & TCP_IN_CHALLENGE) != 0 && on_challenge(w, f))
		tcp_flow_mark(t, f);
	if ((in->flags & TCP_IN_OLD) != 0)
		w->counters->tcp_guest_retransmits++;
	if ((in->flags & TCP_IN_REORDERED) != 0)
		w->counters->tcp_out_of_order++;
	if ((in->flags & TCP_IN_REXMIT) != 0) {
		w->counters->tcp_retransmits++;
		tcp_flow_mark(t, f);
	}
	return false;
}

/* RFC 5961 7: challenge ACKs are limited, per engine. */
static bool on_challenge(struct flow_world *w, struct tcp_flow *f)
{
	if (!bucket_take(&w->challenges, w->now_ns))
		return false;
	w->counters->tcp_challenge_acks++;
	f->conn.is_ack_due = true;
	return true;
}

/* Leaves its ends to a new connection of the guest. One that the guest has closed in order goes on until the
 * remote side has taken everything; the guest hears no more of it. */
static void give_way(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f)
{
	if (f->conn.state == TCPS_SYN_HELD) {
		tcp_flow_abort(t, w, f, FLOW_END_GUEST_RESET, false);
	} else if (!f->is_counted) {
		release(t, w, f);
	} else {
		leave_index(t, f);
		if (f->conn.state != TCPS_CLOSED)
			tcp_set_state(&f->conn, TCPS_CLOSED, w->now_ns);
		f->conn.is_ack_due = false;
		list_remove(&f->delayed);
		tcp_flow_arm(t, w, f);
	}
}

bool tcp_flow_on_segment(
    struct tcp_table *t, struct flow_world *w, struct tcp_flow *f, const struct packet *p)
{
	struct tcp_in in;

	if (t->burst.flow && (t->burst.flow != f || !tcp_is_plain_data(&f->conn, p)))
		tcp_burst_flush(t, w);
	tcp_input(&f->conn, p, w->now_ns, &in);
	if (in.drop != DROP_NONE)
		netif_drop(w->netif, in.drop);
	if ((in.flags & TCP_IN_NEW_SYN) != 0) {
		give_way(t, w, f);
		return true;
	}
	if (on_control(t, w, f, p, &in))
		return false;
	if ((in.flags & TCP_IN_ESTABLISHED) != 0)
		on_established(t, w, f);
	if (in.acked > 0) {
		f->unconsumed += inbound_acked(f, in.acked);
		f->acks_unconsumed++;
	}
	if (!tcp_flow_take(t, w, f, p, &in))
		return false;
	if ((in.flags & TCP_IN_CLOSED) != 0 && tcp_flow_finish(t, w, f))
		return false;
	if ((in.flags & TCP_IN_ACKED) != 0 || f->conn.is_ack_due)
		tcp_flow_mark(t, f);
	/* Also where it is served now: it may have nothing to send that carries the ACK. */
	if (f->conn.rcv_nxt != f->conn.rcv_acked && !f->conn.is_ack_due &&
	    !list_is_linked(&f->delayed)) {
		f->ack_due_ns = w->now_ns + TCP_ACK_DELAY_NS;
		list_append(&t->delayed, &f->delayed);
	}
	tcp_flow_arm(t, w, f);
	return false;
}

void tcp_flow_on_sock(
    struct tcp_table *t, struct flow_world *w, struct tcp_flow *f, uint32_t events)
{
	if ((events & SOCK_ERROR) != 0 && !f->is_remote_dead) {
		f->error = -w->ops->tcp_result(w->host, f->sock);
		f->is_remote_dead = f->error != 0;
	}
	f->has_hangup |= (events & SOCK_HANGUP) != 0;
	f->has_urgent |= (events & SOCK_URGENT) != 0;
	if ((events & (SOCK_READABLE | SOCK_HANGUP | SOCK_ERROR)) != 0) {
		f->is_readable = !f->is_eof;
		if ((f->conn.state != TCPS_SYN_RECEIVED && f->conn.state != TCPS_SYN_SENT) ||
		    (f->is_dialing && f->is_remote_dead))
			tcp_flow_mark(t, f);
	}
	if (((events & SOCK_WRITABLE) != 0 || f->is_remote_dead) && f->spill.len > 0 &&
	    tcp_flow_drain(t, w, f))
		tcp_flow_arm(t, w, f);
}

void tcp_table_delayed(struct tcp_table *t, struct flow_world *w)
{
	struct list_node *n;

	while ((n = list_first(&t->delayed)) != NULL) {
		struct tcp_flow *f = container_of(n, struct tcp_flow, delayed);

		if (f->ack_due_ns > w->now_ns)
			return;
		list_remove(n);
		f->conn.is_ack_due = true;
		tcp_flow_mark(t, f);
	}
}

uint64_t tcp_table_next_ns(struct tcp_table *t)
{
	struct list_node *n = list_first(&t->delayed);

	return n ? container_of(n, struct tcp_flow, delayed)->ack_due_ns : UINT64_MAX;
}

bool tcp_table_serve(struct tcp_table *t, struct flow_world *w, uint32_t max_bytes)
{
	struct list_node *n;

	while (max_bytes > 0 && (n = list_first(&t->dirty)) != NULL) {
		struct tcp_flow *f = container_of(n, struct tcp_flow, dirty);
		uint32_t bytes = 0;

		if (f->is_synack_due &&
		    (f->conn.state == TCPS_SYN_RECEIVED || f->conn.state == TCPS_SYN_SENT) &&
		    send_synack(w, f))
			return false;
		list_remove(n);
		switch (tcp_flow_serve(t, w, f, min_u32(max_bytes, TCP_TURN_BYTES), &bytes)) {
		case TCP_SERVED_MORE:
			tcp_flow_mark(t, f);
			tcp_flow_arm(t, w, f);
			break;
		case TCP_SERVED_NO_ROOM:
			tcp_flow_mark(t, f);
			tcp_flow_arm(t, w, f);
			return false;
		case TCP_SERVED_IDLE:
			tcp_flow_arm(t, w, f);
			break;
		case TCP_SERVED_GONE:
			break;
		}
		max_bytes -= min_u32(bytes, max_bytes);
	}
	return true;
}

void tcp_table_reset_unfinished(
    struct tcp_table *t, struct flow_world *w, enum flow_end end, bool tells_guest)
{
	for (uint32_t i = 0; i < t->pool.made; i++) {
		struct tcp_flow *f = (struct tcp_flow *)(void *)pool_at(&t->pool, i);

		if (f->head.gen % 2 == 1 && f->is_counted && !f->is_shut &&
		    (!f->has_guest_fin || f->is_remote_dead))
			tcp_flow_abort(t, w, f, end, tells_guest);
	}
}

void tcp_table_reset_all(struct tcp_table *t, struct flow_world *w)
{
	for (uint32_t i = 0; i < t->pool.made; i++) {
		struct tcp_flow *f = (struct tcp_flow *)(void *)pool_at(&t->pool, i);

		if (f->head.gen % 2 == 0)
			continue;
		/* What the guest has sent up to its FIN may still lie in the host's kernel, which would
		 * throw it away with a reset. */
		if (f->is_shut)
			(void)close_sock(w, f, false);
		tcp_flow_abort(t, w, f, FLOW_END_SHUTDOWN, true);
	}
}
