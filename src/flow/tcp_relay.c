/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data, acknowledgments, FIN and RST of a TCP flow, both ways.
 *
 * Nothing is lost inside (design.md rule 3): data of the guest was promised room before it came; data of
 * the remote side leaves the socket only when the guest has acknowledged it. What one side says, the
 * other hears: FIN as FIN, RST as RST, each when the data before it has been delivered (rule 2).
 */
#include "flow/tcp_flow.h"

#include <errno.h>

#include "flow/inbound.h"

enum {
	SPILL_IOV = 16,
	/* Largest wnd_target: what is under way should be in a cache when it is copied. */
	WND_MAX = 2 << 20,
	CONSUME_BYTES = 16 << 10, /* acknowledged bytes worth a system call of their own */
	CONSUME_ACKS = 16, /* ... or segments: small ones cost the queue more than their length */
};

static const uint64_t wnd_grow_ns =
    50000000; /* a window's worth within this time is a fast sender */

uint32_t tcp_flow_room(const struct tcp_flow *f)
{
	return f->wnd_target > f->spill.len ? f->wnd_target - (uint32_t)f->spill.len : 0;
}

static struct netif_ip ip_of(const struct tcp_flow *f, uint32_t l4_len)
{
	return (struct netif_ip){
	    .family = f->key.family,
	    .proto = PROTO_TCP,
	    .has_df = true,
	    .src = &f->key.remote,
	    .dst = &f->key.guest,
	    .l4_len = l4_len,
	};
}

/* Writes the TCP header of a segment into the head of a slot; it carries the newest ACK and window. */
static void build_header(
    struct tcp_flow *f, struct nic_slot *slot, uint32_t seq, uint16_t wnd, uint8_t flags)
{
	struct tcp_segment s = {
	    .src_port = f->key.remote_port,
	    .dst_port = f->key.guest_port,
	    .seq = seq,
	    .ack = f->conn.rcv_nxt,
	    .wnd = wnd,
	    .flags = flags,
	    .wscale = 0xff,
	};

	(void)tcp_build(&s, slot->head + netif_ip_head_len(f->key.family));
}

static uint16_t advertise(struct tcp_flow *f)
{
	list_remove(&f->delayed);
	return tcp_advertise(&f->conn, tcp_flow_room(f), f->wnd_target);
}

int tcp_flow_send_bare(struct flow_world *w, struct tcp_flow *f, uint32_t seq, uint8_t flags)
{
	struct nic *nic = w->netif->nic;
	struct netif_ip ip = ip_of(f, TCP_HDR_SIZE);
	struct nic_slot slot;
	int err = nic->ops->reserve(nic, netif_ip_head_len(f->key.family) + TCP_HDR_SIZE, 0, &slot);

	if (err)
		return err;
	build_header(f, &slot, seq, advertise(f), flags);
	netif_commit_l4(w->netif, &slot, &ip, TCP_HDR_SIZE, TCP_CSUM_OFF, VNET_GSO_NONE, 0);
	return 0;
}

int tcp_flow_send_bytes(
    struct flow_world *w, struct tcp_flow *f, const uint8_t *bytes, uint32_t len)
{
	struct nic *nic = w->netif->nic;
	struct netif_ip ip = ip_of(f, TCP_HDR_SIZE + len);
	struct nic_slot slot;
	int err =
	    nic->ops->reserve(nic, netif_ip_head_len(f->key.family) + TCP_HDR_SIZE, len, &slot);

	if (err)
		return err;
	for (uint32_t i = 0, at = 0; i < slot.body_count && at < len; i++) {
		uint32_t n =
		    slot.body[i].iov_len < len - at ? (uint32_t)slot.body[i].iov_len : len - at;

		memcpy(slot.body[i].iov_base, bytes + at, n);
		at += n;
	}
	build_header(f, &slot, f->conn.snd_nxt, advertise(f), TCP_ACK | TCP_PSH);
	netif_commit_l4(w->netif, &slot, &ip, TCP_HDR_SIZE, TCP_CSUM_OFF, VNET_GSO_NONE, 0);
	return 0;
}

/* A segment without data or state, about the ends of a packet or flow. */
static void send_reset(struct flow_world *w, uint8_t family, const struct ip_addr *from,
    const struct ip_addr *to, const struct tcp_segment *s)
{
	struct nic *nic = w->netif->nic;
	uint32_t head_len = netif_ip_head_len(family);
	struct netif_ip ip = {
	    .family = family,
	    .proto = PROTO_TCP,
	    .has_df = true,
	    .src = from,
	    .dst = to,
	    .l4_len = TCP_HDR_SIZE,
	};
	struct nic_slot slot;

	if (nic->ops->reserve(nic, head_len + TCP_HDR_SIZE, 0, &slot)) {
		netif_drop(w->netif, DROP_NO_ROOM);
		return;
	}
	(void)tcp_build(s, slot.head + head_len);
	netif_commit_l4(w->netif, &slot, &ip, TCP_HDR_SIZE, TCP_CSUM_OFF, VNET_GSO_NONE, 0);
	w->counters->tcp_resets_sent++;
}

void tcp_reply_reset(struct flow_world *w, const struct packet *p)
{
	struct tcp_segment s = {
	    .src_port = p->tcp.dst_port,
	    .dst_port = p->tcp.src_port,
	    .flags = TCP_RST,
	    .wscale = 0xff,
	};

	if ((p->tcp.flags & TCP_RST) != 0)
		return;
	if ((p->tcp.flags & TCP_ACK) != 0) {
		s.seq = p->tcp.ack;
	} else {
		s.flags |= TCP_ACK;
		s.ack = p->tcp.seq + p->payload_len + ((p->tcp.flags & TCP_SYN) != 0) +
			((p->tcp.flags & TCP_FIN) != 0);
	}
	send_reset(w, p->family, &p->dst, &p->src, &s);
}

void tcp_flow_refuse(struct flow_world *w, const struct tcp_flow *f)
{
	struct tcp_segment s = {
	    .src_port = f->key.remote_port,
	    .dst_port = f->key.guest_port,
	    .ack = f->conn.rcv_nxt,
	    .flags = TCP_RST | TCP_ACK,
	    .wscale = 0xff,
	};

	send_reset(w, f->key.family, &f->key.remote, &f->key.guest, &s);
}

/* ---- guest to host ---- */

void tcp_flow_on_dead(struct tcp_table *t, struct tcp_flow *f, int error)
{
	if (!f->is_remote_dead) {
		f->is_remote_dead = true;
		f->error = error;
	}
	f->is_readable = !f->is_eof;
	tcp_flow_mark(t, f);
}

/* A sender that fills a window's worth within a short time, while the socket keeps up, gets twice the
 * window, as long as the sum of all windows stays within its bound. */
static void grow_window(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f, uint32_t len)
{
	uint32_t max = f->conn.rcv_shift > 0 ? (uint32_t)WND_MAX : (uint32_t)TCP_WND_INITIAL;
	uint32_t step = f->wnd_target < max - f->wnd_target ? f->wnd_target : max - f->wnd_target;

	f->wnd_counted += len;
	if (f->wnd_counted < f->wnd_target)
		return;
	if (f->spill.len == 0 && w->now_ns - f->wnd_since_ns < wnd_grow_ns &&
	    step <= t->wnd_spare) {
		f->wnd_target += step;
		t->wnd_spare -= step;
	}
	f->wnd_counted = 0;
	f->wnd_since_ns = w->now_ns;
}

/* Appends data to what waits for the socket. */
static void spill(
    struct flow_world *w, struct tcp_flow *f, const struct frame *frame, uint32_t off, uint32_t len)
{
	struct iovec iov[FRAME_IOV_MAX];
	uint32_t count = frame_slice(frame, off, len, iov, FRAME_IOV_MAX);
	uint32_t stored = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (chain_append(&f->spill, iov[i].iov_base, iov[i].iov_len))
			break;
		stored += (uint32_t)iov[i].iov_len;
	}
	if (stored < len)
		netif_drop(w->netif, DROP_NO_MEMORY);
	tcp_received(&f->conn, stored, w->now_ns);
	f->tx_bytes += stored;
	w->counters->tcp_tx_bytes += stored;
	w->counters->tcp_spilled_bytes += stored;
}

/* Gives in-order data to the socket, by way of the burst, or behind what waits in the spill. */
static void take_data(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f,
    const struct packet *p, const struct tcp_in *in)
{
	uint32_t off = p->payload_off + in->data_off;

	if (t->burst.flow && t->burst.count + p->frame->iov_count > TCP_BURST_IOV)
		tcp_burst_flush(t, w); /* which may fill the spill */
	if (f->is_remote_dead)
		tcp_received(&f->conn, in->data_len, w->now_ns); /* nobody takes it; RST follows */
	else if (f->spill.len > 0 || f->flight)
		spill(w, f, p->frame, off, in->data_len);
	else
		tcp_burst_add(t, w, f, p->frame, off, in->data_len);
	grow_window(t, w, f, in->data_len);
}

/* Data that had waited behind a hole goes the same way, by way of the spill. True if there was some. */
static bool take_ooo(struct flow_world *w, struct tcp_flow *f)
{
	int64_t n = tcp_ooo_take(&f->conn.ooo, f->conn.rcv_nxt, &f->spill);

	if (n < 0) {
		/* It was never acknowledged. The guest sends it again, in order, which needs no memory. */
		tcp_ooo_clear(&f->conn.ooo);
		netif_drop(w->netif, DROP_NO_MEMORY);
		return false;
	}
	tcp_received(&f->conn, (uint32_t)n, w->now_ns);
	f->tx_bytes += (uint64_t)n;
	w->counters->tcp_tx_bytes += (uint64_t)n;
	return n > 0;
}

bool tcp_flow_take(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f,
    const struct packet *p, const struct tcp_in *in)
{
	uint32_t end = f->conn.rcv_nxt + in->data_len;
	bool has_filled_hole = false;

	if (in->data_len > 0)
		take_data(t, w, f, p, in);
	if (f->flight && f->conn.rcv_nxt != end) {
		/* What is held needs memory. Without it the guest would try again for ever. */
		tcp_flow_abort(t, w, f, FLOW_END_HOST_ERROR, true);
		return false;
	}
	if (f->conn.ooo.len > 0 && f->conn.rcv_nxt == end) {
		tcp_burst_flush(t, w); /* its bytes come first */
		has_filled_hole = take_ooo(w, f);
	}
	if (((in->flags & TCP_IN_FIN) != 0 && f->conn.rcv_nxt == end) ||
	    (f->conn.has_fin_ahead && f->conn.fin_seq == f->conn.rcv_nxt)) {
		tcp_received_fin(&f->conn, w->now_ns);
		f->has_guest_fin = true;
	}
	if (f->flight && !tcp_flow_look(t, w, f))
		return false;
	if (f->has_guest_fin || has_filled_hole) {
		tcp_burst_flush(t, w);
		return tcp_flow_drain(t, w, f);
	}
	/* Long sending is acknowledged before its end, so that the guest does not stand still. */
	if (f->conn.rcv_nxt - f->conn.rcv_acked >= f->wnd_target / 4) {
		tcp_burst_flush(t, w);
		(void)tcp_flow_send_bare(w, f, f->conn.snd_nxt, TCP_ACK);
	}
	return true;
}

bool tcp_flow_drain(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f)
{
	if (f->is_remote_dead)
		chain_clear(&f->spill);
	while (f->spill.len > 0 && !f->flight) {
		struct iovec iov[SPILL_IOV];
		size_t count = chain_peek(&f->spill, iov, SPILL_IOV);
		ssize_t n = w->ops->tcp_send(w->host, f->sock, iov, count);

		if (n == -EAGAIN)
			break;
		if (n < 0) {
			tcp_flow_on_dead(t, f, (int)-n);
			chain_clear(&f->spill);
			break;
		}
		chain_consume(&f->spill, (size_t)n);
		f->conn.active_ns = w->now_ns;
	}
	if (f->spill.len == 0 && f->has_guest_fin && !f->flight && !f->is_shut &&
	    !f->is_remote_dead) {
		int err = w->ops->tcp_shutdown(w->host, f->sock);

		f->is_shut = true;
		tcp_flow_delivered(t, f);
		if (err) /* ENOTCONN: it was reset */
			tcp_flow_on_dead(t, f, err == -ENOTCONN ? ECONNRESET : -err);
	}
	if (tcp_can_receive(&f->conn) &&
	    tcp_is_update_due(&f->conn, tcp_flow_room(f), f->wnd_target)) {
		f->conn.is_ack_due = true;
		tcp_flow_mark(t, f);
	}
	return !tcp_flow_finish(t, w, f);
}

/* ---- host to guest ---- */

/* Takes acknowledged bytes off the socket's queue, so that the remote side may send on. While more is
 * on its way to the guest this can wait a little. It cannot when nothing is: the last bytes of a
 * large buffer hold all of its memory, and with it the window, and no event would come again. False: the flow was
 * freed, because what the queue holds is not known any more. */
static bool consume(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f)
{
	bool is_worth = f->unconsumed >= CONSUME_BYTES || f->acks_unconsumed >= CONSUME_ACKS ||
			f->conn.snd_una == f->conn.snd_nxt;

	if (!is_worth || f->unconsumed == 0 || f->sock == SOCK_NONE)
		return true;
	if (w->ops->tcp_consume(w->host, f->sock, f->unconsumed)) {
		tcp_flow_abort(t, w, f, FLOW_END_HOST_ERROR, true);
		return false;
	}
	f->unconsumed = 0;
	f->acks_unconsumed = 0;
	return true;
}

/* Payload of one frame: a whole number of segments where the guest takes large ones. */
static uint32_t frame_payload(const struct flow_world *w, const struct tcp_flow *f)
{
	uint32_t feature = f->key.family == 4 ? NIC_F_TSO4 : NIC_F_TSO6;
	uint32_t mss = f->conn.mss;
	uint32_t max =
	    TCP_GSO_MAX - (netif_ip_head_len(f->key.family) - ETH_HDR_SIZE) - TCP_HDR_SIZE;

	return (w->netif->nic->features & feature) != 0 ? max / mss * mss : mss;
}

/* Reserves frames for up to len bytes; returns how many, with their bodies cut to len bytes in all. */
static uint32_t reserve_frames(const struct flow_world *w, const struct tcp_flow *f, uint32_t len,
    uint32_t per_frame, struct nic_slot slots[NIC_BATCH_MAX])
{
	struct nic *nic = w->netif->nic;
	uint32_t head_len = netif_ip_head_len(f->key.family) + TCP_HDR_SIZE;
	uint32_t count = 0;

	while (len > 0 && count < nic->batch_max) {
		uint32_t body = len < per_frame ? len : per_frame;

		if (nic->ops->reserve(nic, head_len, body, &slots[count]))
			break;
		count++;
		len -= body;
	}
	return count;
}

static uint32_t gather(const struct nic_slot *slots, uint32_t count, struct iovec *iov,
    uint32_t max, uint32_t *ret_len)
{
	uint32_t n = 0;

	*ret_len = 0;
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < slots[i].body_count && n < max; k++) {
			iov[n++] = slots[i].body[k];
			*ret_len += (uint32_t)slots[i].body[k].iov_len;
		}
	return n;
}

uint32_t tcp_flow_on_peeked(
    struct tcp_table *t, struct tcp_flow *f, uint32_t off, ssize_t got, uint32_t asked)
{
	/* Without SO_PEEK_OFF no peek reaches behind the urgent mark from before it: when the guest has
	 * acknowledged what was sent, and it has been taken, there may be more. */
	if (got == -EAGAIN && f->has_urgent && off > 0)
		return 0;
	if (got < 0) {
		if (got == -EAGAIN)
			f->is_eof = f->has_hangup;
		else
			tcp_flow_on_dead(t, f, (int)-got);
		f->is_readable = false;
		return 0;
	}
	if (got == 0) {
		f->is_readable = false;
		f->is_eof = true;
	} else if ((uint32_t)got < asked && !f->has_urgent) {
		f->is_readable = false;
		f->is_eof = f->has_hangup;
	}
	return (uint32_t)got;
}

/* Commits the frames that were filled and gives the others back. */
static void commit_frames(struct flow_world *w, struct tcp_flow *f, struct nic_slot *slots,
    uint32_t count, uint32_t got, uint32_t per_frame)
{
	struct nic *nic = w->netif->nic;
	uint8_t gso = f->key.family == 4 ? VNET_GSO_TCP4 : VNET_GSO_TCP6;
	uint32_t used = (got + per_frame - 1) / per_frame;
	uint32_t seq = f->conn.snd_nxt;
	bool has_fin = false;
	uint32_t left = got;
	uint16_t wnd;

	while (count > used)
		nic->ops->cancel(nic, &slots[--count]);
	if (got == 0)
		return;
	f->conn.is_fin_wanted = f->is_eof && !f->is_remote_dead;
	wnd = advertise(f);
	for (uint32_t i = 0; i < used; i++) {
		uint32_t len = left < per_frame ? left : per_frame;
		struct netif_ip ip = ip_of(f, TCP_HDR_SIZE + len);
		uint8_t flags = TCP_ACK;

		left -= len;
		if (left == 0 && !f->is_readable) {
			flags |= TCP_PSH;
			has_fin = f->conn.is_fin_wanted && !f->conn.is_fin_sent;
			flags |= has_fin ? TCP_FIN : 0;
		}
		build_header(f, &slots[i], seq, wnd, flags);
		netif_commit_l4(w->netif, &slots[i], &ip, TCP_HDR_SIZE, TCP_CSUM_OFF,
		    len > f->conn.mss ? gso : VNET_GSO_NONE, len > f->conn.mss ? f->conn.mss : 0);
		seq += len;
	}
	if (seq_lt(f->conn.snd_max, seq)) {
		f->rx_bytes += seq - f->conn.snd_max;
		inbound_sent(f, seq - f->conn.snd_max);
		w->counters->tcp_rx_bytes += seq - f->conn.snd_max;
	}
	tcp_sent(&f->conn, got, has_fin, w->now_ns);
}

/* Sends up to len bytes of the socket's queue. False: no room towards the guest. */
static bool send_data(
    struct tcp_table *t, struct flow_world *w, struct tcp_flow *f, uint32_t len, uint32_t *ret_sent)
{
	struct nic_slot slots[NIC_BATCH_MAX];
	struct iovec iov[NIC_IOV_MAX];
	uint32_t per_frame = frame_payload(w, f);
	uint32_t count = reserve_frames(w, f, len, per_frame, slots);
	uint32_t off = f->unconsumed + tcp_send_offset(&f->conn);
	uint32_t asked;
	uint32_t iov_count;
	ssize_t got;

	*ret_sent = 0;
	if (count == 0)
		return false;
	iov_count = gather(slots, count, iov, NIC_IOV_MAX, &asked);
	got = w->ops->tcp_peek(w->host, f->sock, off, iov, iov_count);
	*ret_sent = tcp_flow_on_peeked(t, f, off, got, asked);
	commit_frames(w, f, slots, count, *ret_sent, per_frame);
	return true;
}

/* Bytes that lie in the socket behind snd_nxt, as far as is known. */
static uint32_t available(const struct tcp_flow *f)
{
	if (f->is_readable)
		return UINT32_MAX;
	return f->conn.snd_max - f->conn.snd_nxt -
	       (f->conn.is_fin_sent && f->conn.snd_nxt != f->conn.snd_max);
}

static enum flow_end end_of_error(int error)
{
	switch (error) {
	case ECONNRESET:
	case EPIPE:
		return FLOW_END_REMOTE_RESET;
	case ETIMEDOUT:
		return FLOW_END_REMOTE_TIMEOUT;
	case ENETUNREACH: /* a timeout, of which the network has told the cause */
	case EHOSTUNREACH:
	case EHOSTDOWN:
		return FLOW_END_UNREACHABLE;
	default:
		return FLOW_END_HOST_ERROR;
	}
}

static bool send_ack(struct flow_world *w, struct tcp_flow *f)
{
	return !f->conn.is_ack_due || tcp_flow_send_bare(w, f, f->conn.snd_nxt, TCP_ACK) == 0;
}

/* FIN and ACK that no data frame has carried. False: no room towards the guest. */
static bool send_rest(struct flow_world *w, struct tcp_flow *f)
{
	bool is_drained = f->is_eof && !f->is_readable && f->conn.snd_nxt == f->conn.snd_max;

	f->conn.is_fin_wanted = f->is_eof && !f->is_remote_dead;
	if (tcp_is_fin_next(&f->conn, is_drained, w->now_ns)) {
		if (tcp_flow_send_bare(w, f, f->conn.snd_nxt, TCP_FIN | TCP_ACK))
			return false;
		tcp_sent(&f->conn, 0, true, w->now_ns);
	}
	return send_ack(w, f);
}

/* Everything of the remote side has been sent: its RST follows. A guest that only reads would never hear of
 * one that is lost, so it waits for room. */
static enum tcp_served pass_reset(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f)
{
	if (tcp_flow_send_bare(w, f, f->conn.snd_nxt, TCP_RST | TCP_ACK))
		return TCP_SERVED_NO_ROOM;
	w->counters->tcp_resets_sent++;
	tcp_flow_abort(t, w, f, end_of_error(f->error), false);
	return TCP_SERVED_GONE;
}

/* What was read last filled the guest's window: whether there is more is only known by looking. A closed window
 * without data behind it must not be probed for ever. */
static void look_behind(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f)
{
	uint8_t byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};

	if (f->is_readable && f->conn.snd_wnd == 0 && f->conn.snd_una == f->conn.snd_max &&
	    !f->conn.is_persist_timed)
		(void)tcp_flow_on_peeked(t, f, f->unconsumed,
		    w->ops->tcp_peek(w->host, f->sock, f->unconsumed, &iov, 1), 1);
}

/* The guest has closed in order, and the connection is nothing to it any more. */
static enum tcp_served end_unheard(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f)
{
	if (!f->is_remote_dead)
		return TCP_SERVED_IDLE;
	tcp_flow_abort(t, w, f, end_of_error(f->error), false);
	return TCP_SERVED_GONE;
}

enum tcp_served tcp_flow_serve(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f,
    uint32_t max_bytes, uint32_t *ret_bytes)
{
	*ret_bytes = 0;
	if (f->conn.state == TCPS_SYN_HELD)
		return TCP_SERVED_IDLE;
	if (f->conn.state == TCPS_CLOSED)
		return end_unheard(t, w, f);
	if (f->is_dialing)
		return inbound_serve_dialing(t, w, f);
	if (f->conn.state == TCPS_SYN_RECEIVED)
		return send_ack(w, f) ? TCP_SERVED_IDLE : TCP_SERVED_NO_ROOM;
	if (f->prologue_len > 0)
		return inbound_serve_prologue(w, f);
	if (!consume(t, w, f))
		return TCP_SERVED_GONE;
	if (f->sock != SOCK_NONE)
		look_behind(t, w, f);
	while (f->sock != SOCK_NONE) {
		uint32_t n = tcp_sendable(&f->conn, available(f), w->now_ns);
		uint32_t sent;

		if (n > 0 && f->guard && !inbound_limit(t, w, f, &n))
			return TCP_SERVED_GONE;
		if (n == 0)
			break;
		if (*ret_bytes >= max_bytes)
			return TCP_SERVED_MORE;
		if (n > max_bytes - *ret_bytes)
			n = max_bytes - *ret_bytes;
		if (!send_data(t, w, f, n, &sent))
			return TCP_SERVED_NO_ROOM;
		*ret_bytes += sent;
		if (sent == 0)
			break;
	}
	if (f->sock != SOCK_NONE && f->is_remote_dead && !f->is_readable &&
	    f->conn.snd_nxt == f->conn.snd_max)
		return pass_reset(t, w, f);
	return send_rest(w, f) ? TCP_SERVED_IDLE : TCP_SERVED_NO_ROOM;
}
