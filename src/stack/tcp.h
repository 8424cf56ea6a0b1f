/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One TCP connection with the guest: the transmission control block and its rules (RFC 9293), without
 * input or output. The flow that owns it feeds segments and time in, and asks what may be sent.
 *
 *	tcp_in.c     what a segment means
 *	tcp_out.c    what may be sent, windows, headers
 *	tcp_timer.c  round-trip time, retransmission, probes, life times
 *	tcp_state.c  opening, closing, the one function that changes the state
 *	tcp_ooo.c    out-of-order data
 *
 * Names are those of RFC 9293, seen from sluice: SND is what goes to the guest, RCV what comes from
 * it. Where the bytes are: data for the guest stays in the host's socket until the guest has
 * acknowledged it; data of the guest goes to the socket at once, or waits in the flow's spill.
 *
 * The link to the guest is memory: it does not lose frames unless the guest itself drops them. There is
 * therefore no congestion control until the first loss; then NewReno (RFC 5681, RFC 6582)
 * until the window has grown past what the guest offers. No timestamps and no SACK are negotiated.
 */
#ifndef SLUICE_STACK_TCP_H
#define SLUICE_STACK_TCP_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/tcp_ooo.h"
#include "wire/drop.h"
#include "wire/packet.h"

enum tcp_state {
	TCPS_CLOSED,
	TCPS_SYN_HELD, /* ours: the guest's SYN waits for the remote side to stand */
	TCPS_SYN_SENT, /* sluice opens: a client of the host waits for the guest */
	TCPS_SYN_RECEIVED,
	TCPS_ESTABLISHED,
	TCPS_FIN_WAIT_1,
	TCPS_FIN_WAIT_2,
	TCPS_CLOSE_WAIT,
	TCPS_CLOSING,
	TCPS_LAST_ACK,
	TCPS_TIME_WAIT,
};

enum {
	TCP_MSS_MIN = 64,       /* smaller offers of the guest are raised: frames, not dust */
	TCP_MSS_DEFAULT4 = 536, /* RFC 9293 3.7.1 */
	TCP_MSS_DEFAULT6 = 1220,
	TCP_RCV_SHIFT = 7,          /* window scale that we announce: windows up to 8 MiB */
	TCP_SND_WND_MAX = 16 << 20, /* of a larger window of the guest only this much is used */
	TCP_HDR_MAX = 28,           /* header with the options of our SYN-ACK */
	TCP_WND_INITIAL = 65535,    /* most that a SYN-ACK can offer, as it is not scaled */
	TCP_GSO_MAX = 65535,        /* IP packet of the largest frame, headers included */
};

#define TCP_CWND_NONE UINT32_MAX /* no loss seen: the guest's window alone limits */

struct tcp_conn {
	/* to the guest */
	uint32_t snd_una;     /* oldest not acknowledged */
	uint32_t snd_nxt;     /* next to send; behind snd_max while sending again */
	uint32_t snd_max;     /* one past the highest ever sent */
	uint32_t snd_wnd;     /* the guest's window, bytes */
	uint32_t snd_wl1;     /* seq of the segment that set snd_wnd */
	uint32_t snd_wl2;     /* its ack */
	uint32_t snd_wnd_max; /* largest snd_wnd seen */
	uint32_t cwnd;        /* congestion window, bytes, or TCP_CWND_NONE */
	uint32_t ssthresh;
	uint32_t recover;  /* snd_max at the last loss (RFC 6582), or snd_una if that is beyond */
	uint16_t mss;      /* payload of a segment to the guest */
	uint8_t snd_shift; /* scale of the guest's windows */

	/* from the guest */
	uint8_t rcv_shift;  /* scale of our windows, 0 without agreement */
	uint32_t rcv_nxt;   /* next expected */
	uint32_t rcv_adv;   /* right edge that has been promised; never moves left */
	uint32_t rcv_acked; /* rcv_nxt as last told */
	uint32_t fin_seq;   /* of the guest's FIN, if has_fin_ahead */

	uint8_t state;         /* enum tcp_state; tcp_set_state() writes it */
	uint8_t dup_acks;      /* in a row */
	uint8_t unanswered;    /* retransmissions and probes since the guest was last heard */
	uint8_t backoff;       /* doublings of the retransmission time */
	bool is_fin_wanted;    /* no more data will come: FIN follows the last byte */
	bool is_fin_sent;      /* snd_max counts it */
	bool has_fin_ahead;    /* a FIN came out of order */
	bool is_ack_due;       /* answer at the end of this pass */
	bool is_rtt_timed;     /* rtt_seq is on its way */
	bool is_rexmit_timed;  /* due_ns holds for a retransmission */
	bool is_persist_timed; /* ... for a probe of a closed window */
	bool is_unconfirmed;   /* sluice has opened it; the guest may not have taken our ACK */
	bool is_small_allowed; /* the probe timer fired: send whatever fits */

	/* time */
	uint32_t rtt_seq; /* acknowledgment of this ends the measurement */
	uint32_t srtt_us; /* smoothed round-trip time, 0: none yet */
	uint32_t rttvar_us;
	uint64_t rtt_start_ns;
	uint64_t due_ns;    /* of retransmission or probe */
	uint64_t heard_ns;  /* last segment of the guest */
	uint64_t active_ns; /* data last moved, either way */
	uint64_t since_ns;  /* when the state was entered */

	struct tcp_ooo ooo; /* data behind a hole */
};

/* What tcp_input() found. */
enum tcp_in_flag {
	TCP_IN_ESTABLISHED = 1,  /* the handshake is complete */
	TCP_IN_RESET = 2,        /* the guest has reset the connection */
	TCP_IN_NEW_SYN = 4,      /* the guest opens another connection in this one's place */
	TCP_IN_SEND_SYNACK = 8,  /* send the SYN-ACK, again or as the first */
	TCP_IN_SEND_RESET = 16,  /* answer the segment with RST, the connection stays */
	TCP_IN_CHALLENGE = 32,   /* answer with an ACK, but rarely (RFC 5961) */
	TCP_IN_ACKED = 64,       /* something new was acknowledged, or the window moved */
	TCP_IN_REXMIT = 128,     /* a loss was seen: snd_nxt has moved back */
	TCP_IN_FIN = 256,        /* the guest's FIN follows the data of this segment */
	TCP_IN_CLOSED = 512,     /* nothing is left to be done but to wait (TIME-WAIT, CLOSED) */
	TCP_IN_OLD = 1024,       /* held data that had been received before */
	TCP_IN_REORDERED = 2048, /* data was put behind a hole */
};

struct tcp_in {
	uint32_t flags;    /* TCP_IN_... */
	uint32_t acked;    /* bytes of data that were newly acknowledged */
	uint32_t data_off; /* in-order data: offset in the payload */
	uint32_t data_len;
	enum drop_reason drop; /* why the segment, or its data, was not used */
};

/* Sequence arithmetic, RFC 9293 3.4. */
static inline bool seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool seq_le(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

/* ---- tcp_state.c ---- */

/* Begins a connection with the guest's SYN, in TCPS_SYN_HELD. mss_max: what fits the link. */
void tcp_open(
    struct tcp_conn *c, const struct packet *syn, uint32_t iss, uint16_t mss_max, uint64_t now_ns);

/* Begins a connection to the guest, in TCPS_SYN_SENT: the SYN may be sent, with a window of wnd bytes. */
void tcp_dial(struct tcp_conn *c, uint32_t iss, uint16_t mss_max, uint32_t wnd, uint64_t now_ns);

/* Takes from the guest's SYN, with or without ACK, what it offers: for a connection in TCPS_SYN_SENT. */
void tcp_take_syn(struct tcp_conn *c, const struct packet *syn, uint64_t now_ns);

/* The remote side stands: the SYN-ACK may be sent, with a window of wnd bytes. */
void tcp_accept(struct tcp_conn *c, uint32_t wnd, uint64_t now_ns);

/* The only writer of the state. */
void tcp_set_state(struct tcp_conn *c, enum tcp_state state, uint64_t now_ns);

const char *tcp_state_name(enum tcp_state state);

/* Frees what the connection holds. */
void tcp_fini(struct tcp_conn *c);

/* The guest's side is still open for data from the guest / to the guest. */
bool tcp_can_receive(const struct tcp_conn *c);
bool tcp_can_send(const struct tcp_conn *c);

/* ---- tcp_in.c ---- */

/* Processes one segment of this connection. Data in order is described, not taken: the caller stores
 * data_len bytes and then calls tcp_received(). */
void tcp_input(struct tcp_conn *c, const struct packet *p, uint64_t now_ns, struct tcp_in *ret_in);

/* len bytes of in-order data have found their place. */
void tcp_received(struct tcp_conn *c, uint32_t len, uint64_t now_ns);

/* The last len bytes of them have not, after all: the guest sends them again. Before any ACK of them. */
void tcp_unreceived(struct tcp_conn *c, uint32_t len);

/* Whether the segment is nothing but data in order, with an ACK. */
bool tcp_is_plain_data(const struct tcp_conn *c, const struct packet *p);

/* The FIN that follows the data has been taken: everything before it was received. */
void tcp_received_fin(struct tcp_conn *c, uint64_t now_ns);

/* ---- tcp_out.c ---- */

/* How many bytes of data may be sent now, not more than available (which may be a guess, UINT32_MAX).
 * 0 also where sending would make silly segments (RFC 9293 3.8.6.2.1); then, and if the
 * window is closed, the probe timer is set. */
uint32_t tcp_sendable(struct tcp_conn *c, uint32_t available, uint64_t now_ns);

/* len bytes of data, and the FIN if has_fin, have been sent from snd_nxt on. */
void tcp_sent(struct tcp_conn *c, uint32_t len, bool has_fin, uint64_t now_ns);

/* Whether the FIN is what comes next: wanted or sent before, everything before it has been sent, to
 * which is_drained says that the source holds nothing behind snd_nxt, and the guest's window has
 * room for it. Without room the probe timer is set. */
bool tcp_is_fin_next(struct tcp_conn *c, bool is_drained, uint64_t now_ns);

/* Offset of snd_nxt from the oldest byte of data that is not acknowledged. */
uint32_t tcp_send_offset(const struct tcp_conn *c);

/* Moves the promised right edge for room bytes behind rcv_nxt, of buffer bytes that there are in all, and
 * returns the window field. */
uint16_t tcp_advertise(struct tcp_conn *c, uint32_t room, uint32_t buffer);

/* Whether room bytes behind rcv_nxt are so much more than promised that the guest should hear. */
bool tcp_is_update_due(const struct tcp_conn *c, uint32_t room, uint32_t buffer);

/* What a header says. */
struct tcp_segment {
	uint16_t src_port; /* the remote side's */
	uint16_t dst_port; /* the guest's */
	uint32_t seq;
	uint32_t ack;
	uint16_t wnd;
	uint8_t flags;
	uint16_t mss;   /* option, 0: none */
	uint8_t wscale; /* option, 0xff: none */
};

enum {
	TCP_CSUM_OFF = 16
};

/* Writes a header with a checksum of zero; returns its length. */
uint32_t tcp_build(const struct tcp_segment *s, uint8_t out[TCP_HDR_MAX]);

/* ---- tcp_timer.c ---- */

struct tcp_times {
	uint64_t keepalive_ns; /* 0: never */
	uint64_t idle_ns;      /* 0: never */
};

/* What the passing of time asks for. */
enum tcp_due {
	TCP_DUE_NONE,
	TCP_DUE_SYNACK,  /* send the SYN-ACK, or in SYN-SENT the SYN, again */
	TCP_DUE_ACK,     /* send the ACK of the handshake again */
	TCP_DUE_REXMIT,  /* snd_nxt has moved back: send */
	TCP_DUE_PROBE,   /* send a probe (seq snd_una - 1, no data) */
	TCP_DUE_SEND,    /* send although the window is small */
	TCP_DUE_GIVE_UP, /* the guest does not answer */
	TCP_DUE_EXPIRED, /* an opening, idle or closing limit has passed */
	TCP_DUE_DONE,    /* TIME-WAIT is over */
};

/* When tcp_on_time() is needed next, or UINT64_MAX. */
uint64_t tcp_next_ns(const struct tcp_conn *c, const struct tcp_times *t);

/* What is due at now_ns. May be called early: then TCP_DUE_NONE. */
enum tcp_due tcp_on_time(struct tcp_conn *c, const struct tcp_times *t, uint64_t now_ns);

/* What TCP_DUE_SYNACK, _REXMIT, _PROBE or _SEND asked for could not be put on the link: that the guest does not answer
 * it means nothing. */
void tcp_unsent(struct tcp_conn *c);

/* For tcp_in.c and tcp_out.c. */
void tcp_time_rexmit(struct tcp_conn *c, uint64_t now_ns);
void tcp_time_persist(struct tcp_conn *c, uint64_t now_ns);
void tcp_time_stop(struct tcp_conn *c);
void tcp_rtt_sample(struct tcp_conn *c, uint64_t now_ns);
void tcp_on_loss(struct tcp_conn *c, bool is_timeout);

#endif
