/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time in a connection: round-trip time and retransmission (RFC 6298, with a smallest time of 300 ms,
 * above the delayed ACKs of every system, as the link itself loses nothing), probes of a closed
 * window (RFC 9293 3.8.6.1), keepalive (3.8.4), limits of life.
 *
 * A connection needs at most one timer: tcp_next_ns() says for when. It may be set early and asked
 * again, so that its owner need not move it with each segment.
 *
 * A guest whose queue of accepted connections is full drops the ACK of the handshake, and may even forget the
 * connection (SYN cookies). So a connection that sluice has opened repeats this ACK until the guest is heard, and
 * its first data more often than others.
 */
#include "stack/tcp.h"

#define MS 1000000ULL
#define S  1000000000ULL

static const uint64_t rto_initial_ns = 1 * S;
static const uint64_t rto_min_ns = 300 * MS;
static const uint64_t rto_max_ns = 60 * S;
static const uint64_t syn_first_ns = 100 * MS;
static const uint64_t ack_first_ns = 200 * MS;
static const uint64_t syn_step_ns = 25 * MS; /* longer with each SYN that was not answered */
static const uint64_t held_ns = 60 * S;      /* a SYN that the guest does not repeat */
static const uint64_t time_wait_ns = 10 * S; /* the link's own segments live microseconds */
static const uint64_t keepalive_repeat_ns = 75 * S;
static const uint64_t drain_ns = 600 * S; /* a remote side that takes nothing of what is left */

enum {
	SYNACK_TRIES = 5,  /* 1 + 2 + 4 + 8 + 16 + 32 s: gone after 63 s */
	SYN_TRIES = 64,    /* 0.1 + 0.125 + ... + 1.7 s, and a little: gone after about a minute */
	ACK_TRIES = 7,     /* of a handshake: 0.2 + 0.4 + ... + 12.8 s */
	REXMIT_TRIES = 10, /* some 200 s */
	KEEPALIVE_TRIES = 9,
};

static uint64_t rto_ns(const struct tcp_conn *c)
{
	uint64_t rto = rto_initial_ns;

	/* No network is spared by doubling this time: the guest is asked again soon, as its queue of
	 * connections may have been full for a moment (F7). Each connection has a time of its own, so
	 * that not all of them ask at once. */
	if (c->is_unconfirmed && c->snd_una == c->snd_max)
		return (ack_first_ns << c->backoff) + c->snd_una % 64 * MS;
	if (c->state == TCPS_SYN_SENT || c->is_unconfirmed)
		return syn_first_ns + c->backoff * syn_step_ns + c->snd_una % 64 * MS;
	if (c->srtt_us > 0) {
		rto = ((uint64_t)c->srtt_us + 4ULL * c->rttvar_us) * 1000;
		if (rto < rto_min_ns)
			rto = rto_min_ns;
	}
	if (c->backoff > 20)
		return rto_max_ns;
	rto <<= c->backoff;
	return rto < rto_max_ns ? rto : rto_max_ns;
}

void tcp_time_rexmit(struct tcp_conn *c, uint64_t now_ns)
{
	c->is_rexmit_timed = true;
	c->is_persist_timed = false;
	c->due_ns = now_ns + rto_ns(c);
}

void tcp_time_persist(struct tcp_conn *c, uint64_t now_ns)
{
	c->is_persist_timed = true;
	c->is_rexmit_timed = false;
	c->due_ns = now_ns + rto_ns(c);
}

void tcp_time_stop(struct tcp_conn *c)
{
	c->is_persist_timed = false;
	c->is_rexmit_timed = false;
	c->backoff = 0;
}

/* RFC 6298 2. A segment that was sent again is never measured (Karn): tcp_on_loss() sees to that. */
void tcp_rtt_sample(struct tcp_conn *c, uint64_t now_ns)
{
	uint64_t us = (now_ns - c->rtt_start_ns) / 1000;
	uint32_t rtt = us < 1 ? 1 : us > 60000000 ? 60000000 : (uint32_t)us;

	if (!c->is_rtt_timed)
		return;
	c->is_rtt_timed = false;
	if (c->srtt_us == 0) {
		c->srtt_us = rtt;
		c->rttvar_us = rtt / 2;
		return;
	}
	c->rttvar_us =
	    (3 * c->rttvar_us + (rtt > c->srtt_us ? rtt - c->srtt_us : c->srtt_us - rtt)) / 4;
	c->srtt_us = (7 * c->srtt_us + rtt) / 8;
	if (c->srtt_us == 0)
		c->srtt_us = 1;
}

/* RFC 5681 3.1 (4), RFC 6582 3.2: everything from snd_una on is sent again, as far as the congestion
 * window lets it. Over memory this costs little, and needs no record of what was sent. */
void tcp_on_loss(struct tcp_conn *c, bool is_timeout)
{
	uint32_t in_flight = c->snd_max - c->snd_una;
	uint32_t half = in_flight / 2;

	c->ssthresh = half > 2U * c->mss ? half : 2U * c->mss;
	c->cwnd = is_timeout ? c->mss : c->ssthresh;
	c->recover = c->snd_max;
	c->snd_nxt = c->snd_una;
	c->dup_acks = 0;
	c->is_rtt_timed = false;
}

static bool is_alive_by_keepalive(const struct tcp_conn *c)
{
	return c->state == TCPS_ESTABLISHED || c->state == TCPS_CLOSE_WAIT ||
	       c->state == TCPS_FIN_WAIT_2;
}

static uint64_t keepalive_due(const struct tcp_conn *c, const struct tcp_times *t)
{
	if (t->keepalive_ns == 0 || !is_alive_by_keepalive(c))
		return UINT64_MAX;
	return c->heard_ns + t->keepalive_ns + c->unanswered * keepalive_repeat_ns;
}

static uint64_t idle_due(const struct tcp_conn *c, const struct tcp_times *t)
{
	return t->idle_ns == 0 || !is_alive_by_keepalive(c) ? UINT64_MAX
							    : c->active_ns + t->idle_ns;
}

uint64_t tcp_next_ns(const struct tcp_conn *c, const struct tcp_times *t)
{
	uint64_t next = UINT64_MAX;
	uint64_t idle = idle_due(c, t);

	if (c->state == TCPS_SYN_HELD)
		return c->since_ns + held_ns;
	if (c->state == TCPS_TIME_WAIT)
		return c->since_ns + time_wait_ns;
	if (c->state == TCPS_CLOSED)
		return c->active_ns + drain_ns;
	if (c->is_rexmit_timed || c->is_persist_timed)
		next = c->due_ns;
	else
		next = keepalive_due(c, t);
	return idle < next ? idle : next;
}

static enum tcp_due on_rexmit_time(struct tcp_conn *c, uint64_t now)
{
	if (c->state == TCPS_SYN_RECEIVED || c->state == TCPS_SYN_SENT) {
		if (c->unanswered >= (c->state == TCPS_SYN_SENT ? SYN_TRIES : SYNACK_TRIES))
			return TCP_DUE_GIVE_UP;
		c->unanswered++;
		c->backoff++;
		c->is_rtt_timed = false;
		tcp_time_rexmit(c, now);
		return TCP_DUE_SYNACK;
	}
	if (c->is_unconfirmed && c->snd_una == c->snd_max && !c->is_persist_timed) {
		if (c->backoff >= ACK_TRIES) { /* it may well have taken it, and be silent */
			tcp_time_stop(c);
			return TCP_DUE_NONE;
		}
		c->backoff++;
		tcp_time_rexmit(c, now);
		return TCP_DUE_ACK;
	}
	if (c->unanswered >= (c->is_unconfirmed ? SYN_TRIES : REXMIT_TRIES))
		return TCP_DUE_GIVE_UP;
	c->unanswered++;
	c->backoff++;
	if (c->is_persist_timed || c->snd_wnd == 0) {
		bool is_closed = c->snd_wnd == 0;

		if (c->is_persist_timed)
			tcp_time_persist(c, now);
		else
			tcp_time_rexmit(c, now);
		c->is_small_allowed = !is_closed;
		return is_closed ? TCP_DUE_PROBE : TCP_DUE_SEND;
	}
	tcp_on_loss(c, true);
	tcp_time_rexmit(c, now);
	return TCP_DUE_REXMIT;
}

void tcp_unsent(struct tcp_conn *c)
{
	c->unanswered--;
	if (!c->is_rexmit_timed && !c->is_persist_timed)
		c->heard_ns += keepalive_repeat_ns; /* else the probe would be due at once again */
}

enum tcp_due tcp_on_time(struct tcp_conn *c, const struct tcp_times *t, uint64_t now_ns)
{
	if (c->state == TCPS_SYN_HELD)
		return now_ns >= c->since_ns + held_ns ? TCP_DUE_EXPIRED : TCP_DUE_NONE;
	if (c->state == TCPS_TIME_WAIT)
		return now_ns >= c->since_ns + time_wait_ns ? TCP_DUE_DONE : TCP_DUE_NONE;
	if (c->state == TCPS_CLOSED)
		return now_ns >= c->active_ns + drain_ns ? TCP_DUE_EXPIRED : TCP_DUE_NONE;
	if (now_ns >= idle_due(c, t))
		return TCP_DUE_EXPIRED;
	if (c->is_rexmit_timed || c->is_persist_timed)
		return now_ns >= c->due_ns ? on_rexmit_time(c, now_ns) : TCP_DUE_NONE;
	if (now_ns < keepalive_due(c, t))
		return TCP_DUE_NONE;
	if (c->unanswered >= KEEPALIVE_TRIES)
		return TCP_DUE_GIVE_UP;
	c->unanswered++;
	return TCP_DUE_PROBE;
}
