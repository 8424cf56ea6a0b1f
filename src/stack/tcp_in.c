/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a segment of the guest means: RFC 9293 3.10.7.4, with RFC 5961 (blind resets, SYNs and
 * acknowledgments get a challenge ACK), RFC 6528 and RFC 6191 (a new SYN ends TIME-WAIT).
 *
 * Refused: segments outside the window, acknowledgments of what was never sent, data after the FIN,
 * a second copy of a byte with another value. Urgent data stays in the stream (RFC 6093).
 *
 * Nothing is stored here but out-of-order data; tcp_input() only describes the rest, so that a
 * caller without room for the data simply does not call tcp_received().
 */
#include "stack/tcp.h"

static bool is_in_window(const struct tcp_conn *c, uint32_t seq)
{
	return seq_le(c->rcv_nxt, seq) && seq_lt(seq, c->rcv_adv);
}

/* RFC 9293 3.10.7.4, first check; a bare ACK on the right edge is accepted too, as a guest that has
 * filled the window sends its ACKs there. */
static bool is_acceptable(const struct tcp_conn *c, uint32_t seq, uint32_t len)
{
	if (len == 0)
		return seq_le(c->rcv_nxt, seq) && seq_le(seq, c->rcv_adv);
	return is_in_window(c, seq) || is_in_window(c, seq + len - 1);
}

static void input_held(struct tcp_conn *c, const struct packet *p, uint64_t now, struct tcp_in *in)
{
	if ((p->tcp.flags & TCP_RST) != 0) {
		if (p->tcp.seq == c->rcv_nxt)
			in->flags |= TCP_IN_RESET;
		else
			in->drop = DROP_TCP_SEQUENCE;
	} else if ((p->tcp.flags & (TCP_SYN | TCP_ACK)) != TCP_SYN) {
		in->drop = DROP_TCP_FLAGS;
	} else if (p->tcp.seq + 1 == c->rcv_nxt) {
		c->since_ns = now; /* sent again: the guest is still waiting */
		in->flags |= TCP_IN_OLD;
	} else {
		in->flags |= TCP_IN_NEW_SYN;
	}
}

static void open_established(struct tcp_conn *c, uint32_t ack, uint64_t now, struct tcp_in *in)
{
	c->snd_una = ack;
	c->backoff = 0;
	tcp_rtt_sample(c, now);
	tcp_time_stop(c);
	tcp_set_state(c, TCPS_ESTABLISHED, now);
	in->flags |= TCP_IN_ESTABLISHED | TCP_IN_ACKED;
}

/* RFC 9293 3.10.7.3. Data with the SYN is not taken: the guest sends it again. */
static void input_syn_sent(
    struct tcp_conn *c, const struct packet *p, uint64_t now, struct tcp_in *in)
{
	bool has_ack = (p->tcp.flags & TCP_ACK) != 0;

	if (has_ack && p->tcp.ack != c->snd_max) {
		/* Of an older connection with these ends, which the reset ends; our SYN is repeated. */
		in->drop = DROP_TCP_ACK;
		if ((p->tcp.flags & TCP_RST) == 0)
			in->flags |= TCP_IN_SEND_RESET;
	} else if ((p->tcp.flags & TCP_RST) != 0) {
		if (has_ack)
			in->flags |= TCP_IN_RESET;
		else
			in->drop = DROP_TCP_SEQUENCE;
	} else if ((p->tcp.flags & TCP_SYN) == 0) {
		in->drop = DROP_TCP_FLAGS;
	} else {
		tcp_take_syn(c, p, now);
		c->unanswered = 0;
		if (has_ack) {
			c->is_ack_due = true;
			open_established(c, p->tcp.ack, now, in);
			c->is_unconfirmed = true;
			tcp_time_rexmit(c, now);
		} else { /* both open at once, RFC 9293 3.5 */
			tcp_set_state(c, TCPS_SYN_RECEIVED, now);
			in->flags |= TCP_IN_SEND_SYNACK;
		}
	}
}

/* The guest has been heard: it has taken the ACK of the handshake. */
static void confirm(struct tcp_conn *c)
{
	c->is_unconfirmed = false;
	if (c->snd_una == c->snd_max && c->is_rexmit_timed)
		tcp_time_stop(c);
}

/* The guest's answer to our SYN-ACK where both have opened at once. */
static bool is_simultaneous_answer(const struct tcp_conn *c, const struct packet *p)
{
	return c->state == TCPS_SYN_RECEIVED && p->tcp.seq + 1 == c->rcv_nxt &&
	       (p->tcp.flags & (TCP_SYN | TCP_ACK | TCP_RST)) == (TCP_SYN | TCP_ACK) &&
	       p->tcp.ack == c->snd_max;
}

/* A segment that is_acceptable() refuses. */
static void input_unacceptable(
    struct tcp_conn *c, const struct packet *p, uint32_t len, uint64_t now, struct tcp_in *in)
{
	bool is_syn = (p->tcp.flags & TCP_SYN) != 0;

	in->drop = DROP_TCP_SEQUENCE;
	if ((p->tcp.flags & TCP_RST) != 0)
		return;
	if (is_syn && c->state == TCPS_SYN_RECEIVED && p->tcp.seq + 1 == c->rcv_nxt) {
		in->flags |= TCP_IN_SEND_SYNACK;
	} else if (is_syn && c->state == TCPS_TIME_WAIT && seq_lt(c->rcv_nxt, p->tcp.seq)) {
		in->flags |= TCP_IN_NEW_SYN;
		in->drop = DROP_NONE;
	} else if (p->payload_len > 0 || (p->tcp.flags & TCP_FIN) != 0 ||
		   p->tcp.seq + 1 == c->rcv_nxt) {
		/* Sent again, or a probe of our window or of our life: answered every time. */
		c->is_ack_due = true;
		if (seq_le(p->tcp.seq + len, c->rcv_nxt) && p->payload_len > 0)
			in->flags |= TCP_IN_OLD;
		if (c->state == TCPS_TIME_WAIT)
			c->since_ns = now;
	} else {
		in->flags |= TCP_IN_CHALLENGE;
	}
}

static void grow_cwnd(struct tcp_conn *c, uint32_t acked)
{
	uint64_t cwnd = c->cwnd;

	if (c->cwnd == TCP_CWND_NONE)
		return;
	cwnd += cwnd < c->ssthresh ? acked : ((uint64_t)c->mss * acked + cwnd - 1) / cwnd;
	/* Once the guest's window is the limit again, the loss is history. */
	c->cwnd = cwnd > c->snd_wnd_max && cwnd > TCP_GSO_MAX ? TCP_CWND_NONE : (uint32_t)cwnd;
}

/* Our FIN has been acknowledged. */
static void on_fin_acked(struct tcp_conn *c, uint64_t now, struct tcp_in *in)
{
	if (c->state == TCPS_FIN_WAIT_1) {
		tcp_set_state(c, TCPS_FIN_WAIT_2, now);
	} else if (c->state == TCPS_CLOSING) {
		tcp_set_state(c, TCPS_TIME_WAIT, now);
		in->flags |= TCP_IN_CLOSED;
	} else if (c->state == TCPS_LAST_ACK) {
		tcp_set_state(c, TCPS_CLOSED, now);
		in->flags |= TCP_IN_CLOSED;
	}
}

static void input_new_ack(struct tcp_conn *c, uint32_t ack, uint64_t now, struct tcp_in *in)
{
	bool is_fin_acked = c->is_fin_sent && ack == c->snd_max;

	in->acked = ack - c->snd_una - is_fin_acked;
	in->flags |= TCP_IN_ACKED;
	if (in->acked > 0)
		c->active_ns = now;
	c->snd_una = ack;
	if (seq_lt(c->recover, ack))
		c->recover =
		    ack; /* stays near: half of all numbers behind it would be ahead of it */
	if (seq_lt(c->snd_nxt, ack))
		c->snd_nxt = ack; /* what was sent again had only been late */
	c->dup_acks = 0;
	c->backoff = 0;
	if (c->is_rtt_timed && seq_le(c->rtt_seq, ack))
		tcp_rtt_sample(c, now);
	grow_cwnd(c, in->acked);
	if (c->snd_una == c->snd_max)
		tcp_time_stop(c);
	else
		tcp_time_rexmit(c, now);
	if (is_fin_acked)
		on_fin_acked(c, now, in);
}

static uint32_t window_of(const struct tcp_conn *c, const struct packet *p)
{
	uint32_t wnd = (uint32_t)p->tcp.wnd << c->snd_shift;

	return wnd < TCP_SND_WND_MAX ? wnd : TCP_SND_WND_MAX;
}

/* RFC 5681 2: a duplicate acknowledgment, of which three in a row mean a loss (RFC 6582 3.2). */
static void input_dup_ack(struct tcp_conn *c, const struct packet *p, struct tcp_in *in)
{
	bool is_dup = c->snd_una != c->snd_max && p->payload_len == 0 &&
		      (p->tcp.flags & TCP_FIN) == 0 && window_of(c, p) == c->snd_wnd &&
		      c->snd_wnd > 0;

	if (!is_dup) {
		if (p->payload_len == 0)
			c->dup_acks = 0;
		return;
	}
	if (c->dup_acks < 3 && ++c->dup_acks == 3 && seq_le(c->recover, c->snd_una)) {
		tcp_on_loss(c, false);
		in->flags |= TCP_IN_REXMIT;
	}
}

/* The guest had closed its window and not taken what was under way, for which the time to ask had grown with each
 * probe. Its window is open again: it is sent now. */
static void resume(struct tcp_conn *c, uint64_t now, struct tcp_in *in)
{
	c->snd_nxt = c->snd_una;
	c->backoff = 0;
	c->is_rtt_timed = false;
	tcp_time_rexmit(c, now);
	in->flags |= TCP_IN_REXMIT;
}

static void input_window(
    struct tcp_conn *c, const struct packet *p, uint64_t now, struct tcp_in *in)
{
	uint32_t wnd = window_of(c, p);

	/* RFC 9293 3.10.7.4 asks for a newer SEQ first. But what was sent again has an old one: its newer ACK
	 * with the older window would let us send beyond the guest's right edge. */
	if (p->tcp.ack == c->snd_wl2 && seq_lt(p->tcp.seq, c->snd_wl1))
		return;
	if (wnd > c->snd_wnd) {
		in->flags |= TCP_IN_ACKED;
		if (c->is_persist_timed)
			tcp_time_stop(c);
		else if (c->snd_wnd == 0 && c->backoff > 0 && c->snd_una != c->snd_max)
			resume(c, now, in);
	}
	c->snd_wnd = wnd;
	if (wnd > c->snd_wnd_max)
		c->snd_wnd_max = wnd;
	c->snd_wl1 = p->tcp.seq;
	c->snd_wl2 = p->tcp.ack;
}

/* False if the segment must not be looked at further. */
static bool input_ack(struct tcp_conn *c, const struct packet *p, uint64_t now, struct tcp_in *in)
{
	uint32_t ack = p->tcp.ack;

	if (c->state == TCPS_SYN_RECEIVED) {
		if (ack != c->snd_max) {
			in->flags |= TCP_IN_SEND_RESET;
			in->drop = DROP_TCP_ACK;
			return false;
		}
		c->snd_wl1 = p->tcp.seq;
		c->snd_wl2 = ack;
		c->snd_wnd = window_of(c, p);
		c->snd_wnd_max = c->snd_wnd;
		open_established(c, ack, now, in);
		return true;
	}
	/* RFC 5961 5.2 */
	if (seq_lt(c->snd_max, ack) || seq_lt(ack, c->snd_una - c->snd_wnd_max)) {
		in->flags |= TCP_IN_CHALLENGE;
		in->drop = DROP_TCP_ACK;
		return false;
	}
	if (seq_lt(c->snd_una, ack))
		input_new_ack(c, ack, now, in);
	else if (ack == c->snd_una)
		input_dup_ack(c, p, in);
	if (!seq_lt(ack, c->snd_una))
		input_window(c, p, now, in);
	return true;
}

/* Data behind a hole, or data that meets pieces which came earlier. */
static void input_ooo(
    struct tcp_conn *c, const struct packet *p, uint32_t off, uint32_t len, struct tcp_in *in)
{
	enum drop_reason why =
	    tcp_ooo_insert(&c->ooo, p->tcp.seq + off, p->frame, p->payload_off + off, len);

	if (why != DROP_NONE)
		in->drop = why;
	else
		in->flags |= TCP_IN_REORDERED;
}

static void input_data(struct tcp_conn *c, const struct packet *p, struct tcp_in *in)
{
	uint32_t seq = p->tcp.seq;
	uint32_t end = seq + p->payload_len;
	uint32_t start = seq_lt(seq, c->rcv_nxt) ? c->rcv_nxt : seq;
	uint32_t off = start - seq;
	uint32_t len;
	bool has_fin = (p->tcp.flags & TCP_FIN) != 0;

	if (!tcp_can_receive(c)) {
		c->is_ack_due = true;
		return;
	}
	if (seq_lt(c->rcv_adv, end)) {
		end = c->rcv_adv; /* beyond what was promised: not taken, sent again later */
		has_fin = false;
	}
	len = seq_lt(start, end) ? end - start : 0;
	if (off > 0 && p->payload_len > 0)
		in->flags |= TCP_IN_OLD;
	if (has_fin && start != c->rcv_nxt) {
		c->has_fin_ahead = true;
		c->fin_seq = end;
	} else if (has_fin) {
		in->flags |= TCP_IN_FIN;
	}
	if (start != c->rcv_nxt) {
		c->is_ack_due = true; /* RFC 5681 4.2: at once */
		if (len > 0)
			input_ooo(c, p, off, len, in);
		return;
	}
	if (c->ooo.len > 0) {
		uint32_t hole = tcp_ooo_first_seq(&c->ooo) - start;

		c->is_ack_due = true;
		if (len > hole) {
			input_ooo(c, p, off + hole, len - hole, in);
			len = hole;
			/* The FIN stands behind bytes that are taken from the pieces. */
			if ((in->flags & TCP_IN_FIN) != 0) {
				in->flags &= ~(uint32_t)TCP_IN_FIN;
				c->has_fin_ahead = true;
				c->fin_seq = end;
			}
		}
	}
	in->data_off = off;
	in->data_len = len;
}

void tcp_input(struct tcp_conn *c, const struct packet *p, uint64_t now_ns, struct tcp_in *ret_in)
{
	struct tcp_in *in = ret_in;
	uint8_t flags = p->tcp.flags;
	uint32_t len = p->payload_len + ((flags & TCP_SYN) != 0) + ((flags & TCP_FIN) != 0);

	*in = (struct tcp_in){.drop = DROP_NONE};
	if (c->state == TCPS_SYN_HELD) {
		input_held(c, p, now_ns, in);
		return;
	}
	if (c->state == TCPS_SYN_SENT) {
		input_syn_sent(c, p, now_ns, in);
		return;
	}
	if (c->state == TCPS_CLOSED) {
		/* The remote side has not taken everything yet; for the guest the connection is gone. */
		if ((flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN)
			in->flags |= TCP_IN_NEW_SYN;
		else
			in->drop = DROP_TCP_NO_FLOW;
		return;
	}
	if (c->state == TCPS_TIME_WAIT && (flags & TCP_RST) != 0) {
		/* RFC 1337: the guest has closed in order and may have forgotten the connection. The remote
		 * side must not hear of a reset. */
		in->drop = DROP_TCP_NO_FLOW;
		return;
	}
	c->heard_ns = now_ns;
	if (is_simultaneous_answer(c, p)) {
		c->is_ack_due = true;
		open_established(c, p->tcp.ack, now_ns, in);
		return;
	}
	if (!is_acceptable(c, p->tcp.seq, len)) {
		input_unacceptable(c, p, len, now_ns, in);
		/* RFC 9293 3.10.7.4: with a closed window, ACKs at its edge are still valid. */
		if (c->rcv_adv != c->rcv_nxt || p->tcp.seq != c->rcv_nxt ||
		    (flags & (TCP_SYN | TCP_RST | TCP_ACK)) != TCP_ACK ||
		    c->state == TCPS_SYN_RECEIVED)
			return;
		if (input_ack(c, p, now_ns, in))
			c->unanswered = 0;
		return;
	}
	if ((flags & TCP_RST) != 0) {
		if (p->tcp.seq == c->rcv_nxt)
			in->flags |= TCP_IN_RESET;
		else
			in->flags |= TCP_IN_CHALLENGE; /* RFC 5961 3.2 */
		return;
	}
	if ((flags & TCP_SYN) != 0) {
		in->flags |=
		    c->state == TCPS_TIME_WAIT ? TCP_IN_NEW_SYN : TCP_IN_CHALLENGE; /* 4.2 */
		return;
	}
	if ((flags & TCP_ACK) == 0) {
		in->drop = DROP_TCP_FLAGS;
		return;
	}
	if (!input_ack(c, p, now_ns, in))
		return;
	c->unanswered = 0;
	if (c->is_unconfirmed)
		confirm(c);
	if ((in->flags & TCP_IN_CLOSED) == 0 && (p->payload_len > 0 || (flags & TCP_FIN) != 0))
		input_data(c, p, in);
}

void tcp_received(struct tcp_conn *c, uint32_t len, uint64_t now_ns)
{
	c->rcv_nxt += len;
	c->active_ns = now_ns;
	/* RFC 9293 3.8.6.3: an ACK at least for every second full segment. */
	if (c->rcv_nxt - c->rcv_acked >= 2U * c->mss)
		c->is_ack_due = true;
}

void tcp_unreceived(struct tcp_conn *c, uint32_t len)
{
	c->rcv_nxt -= len;
	if (c->rcv_nxt == c->rcv_acked)
		c->is_ack_due = false;
}

bool tcp_is_plain_data(const struct tcp_conn *c, const struct packet *p)
{
	return (p->tcp.flags & ~(TCP_PSH | TCP_URG)) == TCP_ACK && p->payload_len > 0 &&
	       p->tcp.seq == c->rcv_nxt && seq_le(p->tcp.seq + p->payload_len, c->rcv_adv) &&
	       c->ooo.len == 0 && !c->has_fin_ahead && tcp_can_receive(c);
}

void tcp_received_fin(struct tcp_conn *c, uint64_t now_ns)
{
	c->rcv_nxt++;
	if (seq_lt(c->rcv_adv, c->rcv_nxt))
		c->rcv_adv = c->rcv_nxt; /* a FIN needs no room */
	c->has_fin_ahead = false;
	c->is_ack_due = true;
	tcp_ooo_clear(&c->ooo);
	if (c->state == TCPS_ESTABLISHED)
		tcp_set_state(c, TCPS_CLOSE_WAIT, now_ns);
	else if (c->state == TCPS_FIN_WAIT_1)
		tcp_set_state(c, TCPS_CLOSING, now_ns);
	else
		tcp_set_state(c, TCPS_TIME_WAIT, now_ns);
}
