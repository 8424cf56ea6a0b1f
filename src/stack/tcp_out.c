/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may be sent to the guest, what it is told of our window, and headers.
 *
 * Invariants: rcv_adv never moves left, so a promise of window is never taken back (RFC 9293 3.8.6), and
 * lies by less than one unit of the window beyond the room; nothing is sent beyond the guest's window
 * but probes; neither side is led into silly windows (RFC 9293 3.8.6.2).
 */
#include "stack/tcp.h"

#include "base/wr.h"

uint32_t tcp_send_offset(const struct tcp_conn *c)
{
	return c->snd_nxt - c->snd_una;
}

bool tcp_is_fin_next(struct tcp_conn *c, bool is_drained, uint64_t now_ns)
{
	bool is_next = c->is_fin_sent
			   ? c->snd_nxt == c->snd_max - 1
			   : c->is_fin_wanted && is_drained &&
				 (c->state == TCPS_ESTABLISHED || c->state == TCPS_CLOSE_WAIT);

	if (!is_next || c->snd_wnd > c->snd_nxt - c->snd_una)
		return is_next;
	if (c->snd_una == c->snd_max && !c->is_persist_timed)
		tcp_time_persist(c, now_ns);
	return false;
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

uint32_t tcp_sendable(struct tcp_conn *c, uint32_t available, uint64_t now_ns)
{
	uint32_t in_flight = c->snd_nxt - c->snd_una;
	uint32_t wnd = min_u32(c->snd_wnd, c->cwnd);
	uint32_t room = wnd > in_flight ? wnd - in_flight : 0;
	uint32_t n;

	if (c->is_fin_sent) { /* only what was sent before is sent again */
		if (c->snd_nxt == c->snd_max)
			return 0;
		available = min_u32(available, c->snd_max - 1 - c->snd_nxt);
	} else if (c->state != TCPS_ESTABLISHED && c->state != TCPS_CLOSE_WAIT) {
		return 0;
	}
	n = min_u32(room, available);
	if (n == available && n > 0)
		return n;
	/* The window ends before the data. A piece worth sending: a full segment, or half of what the
	 * guest ever offered. */
	if (n > 0 && (n >= c->mss || n >= c->snd_wnd_max / 2 || c->is_small_allowed)) {
		c->is_small_allowed = false;
		return n;
	}
	/* What was sent before is sent again in whatever pieces: nothing else will come to fill them up. */
	if (n > 0 && c->snd_nxt != c->snd_max)
		return min_u32(n, c->snd_max - c->snd_nxt);
	if (available > 0 && c->snd_una == c->snd_max && !c->is_persist_timed)
		tcp_time_persist(c, now_ns);
	return 0;
}

void tcp_sent(struct tcp_conn *c, uint32_t len, bool has_fin, uint64_t now_ns)
{
	uint32_t end = c->snd_nxt + len + has_fin;
	bool is_first = c->is_unconfirmed && c->snd_una == c->snd_max;

	c->is_small_allowed = false;
	if (seq_lt(c->snd_max, end)) {
		if (!c->is_rtt_timed && c->snd_nxt == c->snd_max) {
			c->is_rtt_timed = true;
			c->rtt_seq = end;
			c->rtt_start_ns = now_ns;
		}
		c->snd_max = end;
	}
	c->snd_nxt = end;
	if (has_fin && !c->is_fin_sent) {
		c->is_fin_sent = true;
		tcp_set_state(
		    c, c->state == TCPS_ESTABLISHED ? TCPS_FIN_WAIT_1 : TCPS_LAST_ACK, now_ns);
	}
	if (is_first)
		c->backoff = 0; /* what was timed until now was the ACK of the handshake */
	if (!c->is_rexmit_timed || is_first)
		tcp_time_rexmit(c, now_ns);
}

uint16_t tcp_advertise(struct tcp_conn *c, uint32_t room, uint32_t buffer)
{
	uint32_t max = 65535U << c->rcv_shift;
	uint32_t grain = (1U << c->rcv_shift) - 1;
	uint32_t edge = c->rcv_nxt + min_u32(room, max);
	uint32_t field;

	/* RFC 9293 3.8.6.2.2: the edge moves by a segment or half of the buffer, or not at all. */
	if (seq_lt(c->rcv_adv, edge) && edge - c->rcv_adv >= min_u32(buffer / 2, c->mss))
		c->rcv_adv = edge;
	/* Rounded up: a promise made with finer grain is kept (RFC 7323 2.4). But once only beyond the
	 * room: else a guest of small segments would be let on and on. Then the header tells less
	 * than was promised; what was promised is still taken. */
	field = (c->rcv_adv - c->rcv_nxt + grain) >> c->rcv_shift;
	if (seq_lt(edge + grain, c->rcv_nxt + (field << c->rcv_shift)))
		field = (c->rcv_adv - c->rcv_nxt) >> c->rcv_shift;
	field = min_u32(field, 65535);
	if (seq_lt(c->rcv_adv, c->rcv_nxt + (field << c->rcv_shift)))
		c->rcv_adv = c->rcv_nxt + (field << c->rcv_shift);
	c->rcv_acked = c->rcv_nxt;
	c->is_ack_due = false;
	return (uint16_t)field;
}

bool tcp_is_update_due(const struct tcp_conn *c, uint32_t room, uint32_t buffer)
{
	uint32_t promised = c->rcv_adv - c->rcv_nxt;

	return room > promised && room - promised >= min_u32(buffer / 2, 2U * c->mss) &&
	       promised < room / 2;
}

uint32_t tcp_build(const struct tcp_segment *s, uint8_t out[TCP_HDR_MAX])
{
	struct wr w = wr_init(out, TCP_HDR_MAX);

	wr_be16(&w, s->src_port);
	wr_be16(&w, s->dst_port);
	wr_be32(&w, s->seq);
	wr_be32(&w, s->ack);
	wr_u8(&w, 0); /* data offset, below */
	wr_u8(&w, s->flags);
	wr_be16(&w, s->wnd);
	wr_zero(&w, 4); /* checksum, urgent pointer */
	if (s->mss > 0) {
		wr_be16(&w, 0x0204);
		wr_be16(&w, s->mss);
	}
	if (s->wscale != 0xff) {
		wr_be16(&w, 0x0103); /* NOP first, for alignment */
		wr_u8(&w, 3);
		wr_u8(&w, s->wscale);
	}
	out[12] = (uint8_t)(wr_len(&w) / 4 << 4);
	return (uint32_t)wr_len(&w);
}
