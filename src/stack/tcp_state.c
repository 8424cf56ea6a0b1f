/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States of a connection with the guest (RFC 9293 3.3.2), and how one is opened.
 *
 * TCPS_SYN_HELD is ours: the guest's SYN has been judged, the remote side is being dialed, and the guest
 * hears nothing until that has succeeded (design.md rule 1). TCPS_SYN_SENT is the other way round: a client
 * of the host has come to a published port, and the guest is asked.
 */
#include "stack/tcp.h"

#include <assert.h>
#include <string.h>

const char *tcp_state_name(enum tcp_state state)
{
	static const char *const names[] = {
	    [TCPS_CLOSED] = "CLOSED",
	    [TCPS_SYN_HELD] = "SYN-HELD",
	    [TCPS_SYN_SENT] = "SYN-SENT",
	    [TCPS_SYN_RECEIVED] = "SYN-RECEIVED",
	    [TCPS_ESTABLISHED] = "ESTABLISHED",
	    [TCPS_FIN_WAIT_1] = "FIN-WAIT-1",
	    [TCPS_FIN_WAIT_2] = "FIN-WAIT-2",
	    [TCPS_CLOSE_WAIT] = "CLOSE-WAIT",
	    [TCPS_CLOSING] = "CLOSING",
	    [TCPS_LAST_ACK] = "LAST-ACK",
	    [TCPS_TIME_WAIT] = "TIME-WAIT",
	};

	return names[state];
}

void tcp_set_state(struct tcp_conn *c, enum tcp_state state, uint64_t now_ns)
{
	static const uint16_t from[] = {
	    [TCPS_CLOSED] = 0xffff,
	    [TCPS_SYN_HELD] = 1U << TCPS_CLOSED,
	    [TCPS_SYN_SENT] = 1U << TCPS_CLOSED,
	    [TCPS_SYN_RECEIVED] = 1U << TCPS_SYN_HELD | 1U << TCPS_SYN_SENT,
	    [TCPS_ESTABLISHED] = 1U << TCPS_SYN_RECEIVED | 1U << TCPS_SYN_SENT,
	    [TCPS_FIN_WAIT_1] = 1U << TCPS_ESTABLISHED,
	    [TCPS_FIN_WAIT_2] = 1U << TCPS_FIN_WAIT_1,
	    [TCPS_CLOSE_WAIT] = 1U << TCPS_ESTABLISHED,
	    [TCPS_CLOSING] = 1U << TCPS_FIN_WAIT_1,
	    [TCPS_LAST_ACK] = 1U << TCPS_CLOSE_WAIT,
	    [TCPS_TIME_WAIT] = 1U << TCPS_FIN_WAIT_2 | 1U << TCPS_CLOSING,
	};

	assert((from[state] >> c->state & 1) != 0);
	c->state = (uint8_t)state;
	c->since_ns = now_ns;
}

bool tcp_can_receive(const struct tcp_conn *c)
{
	return c->state == TCPS_ESTABLISHED || c->state == TCPS_FIN_WAIT_1 ||
	       c->state == TCPS_FIN_WAIT_2;
}

bool tcp_can_send(const struct tcp_conn *c)
{
	return (c->state == TCPS_ESTABLISHED || c->state == TCPS_CLOSE_WAIT) && !c->is_fin_sent;
}

static void begin(struct tcp_conn *c, uint32_t iss, uint16_t mss_max, uint64_t now_ns)
{
	memset(c, 0, sizeof(*c));
	c->state = TCPS_CLOSED;
	c->mss = mss_max;
	c->snd_una = iss;
	c->snd_nxt = iss;
	c->snd_max = iss;
	c->recover = iss;
	c->cwnd = TCP_CWND_NONE;
	c->heard_ns = now_ns;
	c->active_ns = now_ns;
}

void tcp_take_syn(struct tcp_conn *c, const struct packet *syn, uint64_t now_ns)
{
	uint32_t wnd = c->rcv_adv - c->rcv_nxt; /* promised by our own SYN */
	uint32_t mss = syn->tcp.opt_mss;

	if (mss == 0)
		mss = syn->family == 4 ? TCP_MSS_DEFAULT4 : TCP_MSS_DEFAULT6;
	if (mss > c->mss)
		mss = c->mss;
	if (mss < TCP_MSS_MIN)
		mss = TCP_MSS_MIN;
	c->mss = (uint16_t)mss;
	c->snd_shift = syn->tcp.has_wscale ? syn->tcp.opt_wscale : 0;
	c->rcv_shift = syn->tcp.has_wscale ? TCP_RCV_SHIFT : 0;
	c->snd_wnd = syn->tcp.wnd; /* never scaled in a SYN, RFC 7323 2.2 */
	c->snd_wnd_max = c->snd_wnd;
	c->snd_wl1 = syn->tcp.seq;
	c->snd_wl2 = c->snd_max;
	c->rcv_nxt = syn->tcp.seq + 1;
	c->rcv_adv = c->rcv_nxt + wnd;
	c->rcv_acked = c->rcv_nxt;
	c->heard_ns = now_ns;
}

void tcp_open(
    struct tcp_conn *c, const struct packet *syn, uint32_t iss, uint16_t mss_max, uint64_t now_ns)
{
	begin(c, iss, mss_max, now_ns);
	tcp_take_syn(c, syn, now_ns);
	tcp_set_state(c, TCPS_SYN_HELD, now_ns);
}

/* The SYN is out, in sequence and in time. */
static void send_syn(struct tcp_conn *c, uint64_t now_ns)
{
	c->snd_nxt = c->snd_una + 1;
	c->snd_max = c->snd_nxt;
	c->is_rtt_timed = true;
	c->rtt_seq = c->snd_nxt;
	c->rtt_start_ns = now_ns;
	tcp_time_rexmit(c, now_ns);
}

void tcp_dial(struct tcp_conn *c, uint32_t iss, uint16_t mss_max, uint32_t wnd, uint64_t now_ns)
{
	assert(wnd <= TCP_WND_INITIAL);
	begin(c, iss, mss_max, now_ns);
	c->rcv_shift = TCP_RCV_SHIFT; /* offered */
	c->rcv_adv = wnd;
	tcp_set_state(c, TCPS_SYN_SENT, now_ns);
	send_syn(c, now_ns);
}

void tcp_accept(struct tcp_conn *c, uint32_t wnd, uint64_t now_ns)
{
	assert(wnd <= TCP_WND_INITIAL);
	tcp_set_state(c, TCPS_SYN_RECEIVED, now_ns);
	c->rcv_adv = c->rcv_nxt + wnd;
	send_syn(c, now_ns);
}

void tcp_fini(struct tcp_conn *c)
{
	tcp_ooo_clear(&c->ooo);
}
