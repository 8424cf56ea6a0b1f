/* SPDX-License-Identifier: Apache-2.0 */
/* TCP of the simulated guest; see sim_guest.h. */
#include <errno.h>
#include <string.h>

#include "sim_guest.h"

enum {
	TRIES_MAX = 15,
};

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* ---- sequence numbers ---- */

static uint32_t seq_of(const struct sim_tcp *c, uint64_t off)
{
	return c->cfg.iss + 1 + (uint32_t)off;
}

static uint32_t ack_of(const struct sim_tcp *c, uint64_t off)
{
	return c->irs + 1 + (uint32_t)off;
}

/* Offset of a sequence number near a known one; may be before the start of the stream (negative). */
static int64_t off_near(uint32_t seq, uint32_t known_seq, uint64_t known_off)
{
	return (int64_t)known_off + (int32_t)(seq - known_seq);
}

static uint64_t end_of_data(const struct sim_tcp *c)
{
	return c->queued + c->has_fin;
}

/* ---- sending ---- */

static uint16_t window(struct sim_tcp *c)
{
	uint64_t used = c->rcv_nxt - c->app_read - c->has_all;
	uint64_t room = used < c->cfg.rcvbuf ? c->cfg.rcvbuf - used : 0;
	uint64_t edge = c->rcv_nxt + min_u64(room, 65535ULL << c->rcv_shift);
	uint64_t field;

	if (edge > c->rcv_edge && edge - c->rcv_edge >= min_u64(c->seg, c->cfg.rcvbuf / 2))
		c->rcv_edge = edge;
	if (c->rcv_edge < c->rcv_nxt)
		c->rcv_edge = c->rcv_nxt; /* the FIN */
	field = (c->rcv_edge - c->rcv_nxt + (1ULL << c->rcv_shift) - 1) >> c->rcv_shift;
	field = min_u64(field, 65535);
	if (c->rcv_nxt + (field << c->rcv_shift) > c->rcv_edge)
		c->rcv_edge = c->rcv_nxt + (field << c->rcv_shift);
	return (uint16_t)field;
}

static struct sim_packet segment(struct sim_tcp *c, uint64_t off, uint8_t flags)
{
	struct sim_packet p = sim_guest_packet(c->guest, &c->remote, c->family, 6);

	p.src_port = c->port;
	p.dst_port = c->remote_port;
	p.seq = seq_of(c, off);
	p.ack = ack_of(c, c->rcv_nxt);
	p.wnd = window(c);
	p.flags = flags;
	return p;
}

static void emit(struct sim_tcp *c, const struct sim_packet *p, uint64_t off)
{
	uint16_t gso = p->payload_len > c->seg ? (uint16_t)c->seg : 0;

	c->unacked = 0;
	sim_timer_cancel(c->guest->sim, &c->ack_timer);
	c->guest->send(
	    c->guest->ctx, sim_build_tcp(p, c->app.plan.seed, off, gso, c->cfg.is_partial));
}

static void send_ack(struct sim_tcp *c)
{
	struct sim_packet p = segment(c, c->nxt, SIM_ACK);

	emit(c, &p, 0);
}

static uint64_t rto_ns(const struct sim_tcp *c)
{
	uint64_t rto = c->state == SIM_TCP_SYN_SENT || c->state == SIM_TCP_SYN_RECEIVED
			   ? SIM_S
			   : c->cfg.rto_ns;

	return min_u64(rto << min_u64(c->tries, 10), 60 * SIM_S);
}

static void arm(struct sim_tcp *c)
{
	sim_timer_set(c->guest->sim, &c->rto_timer, c->guest->sim->now_ns + rto_ns(c));
}

static void send_syn(struct sim_tcp *c)
{
	bool is_answer = c->state == SIM_TCP_SYN_RECEIVED;
	struct sim_packet p = segment(c, 0, is_answer ? SIM_SYN | SIM_ACK : SIM_SYN);

	p.seq = c->cfg.iss;
	p.ack = is_answer ? c->irs + 1 : 0;
	p.wnd = (uint16_t)min_u64(c->cfg.rcvbuf, 65535);
	p.mss = c->cfg.mss;
	p.wscale = c->cfg.wscale;
	p.has_sack = c->cfg.has_sack;
	emit(c, &p, 0);
	arm(c);
}

/* Sends len bytes from off on, with what follows them. */
static void send_data(struct sim_tcp *c, uint64_t off, uint64_t len)
{
	bool has_fin =
	    c->has_fin && off + len == c->queued && (c->edge > c->queued || c->max > c->queued);
	uint8_t flags = SIM_ACK;
	struct sim_packet p;

	if (off + len == c->queued && len > 0)
		flags |= SIM_PSH;
	if (has_fin)
		flags |= SIM_FIN;
	p = segment(c, off, flags);
	p.payload_len = (uint32_t)len;
	if (off + len + has_fin <= c->max)
		c->retransmits++;
	emit(c, &p, off);
	off += len + has_fin;
	if (off > c->nxt)
		c->nxt = off;
	if (off > c->max)
		c->max = off;
	if (!sim_timer_is_set(&c->rto_timer))
		arm(c);
}

/* Sends again from the oldest byte that is not acknowledged. */
static void resend(struct sim_tcp *c)
{
	uint64_t data_end = min_u64(c->max, c->queued);
	uint64_t len = data_end > c->una ? min_u64(data_end - c->una, c->seg) : 0;

	if (c->una < c->max)
		send_data(c, c->una, len);
}

static void output(struct sim_tcp *c)
{
	if (c->state != SIM_TCP_OPEN)
		return;
	for (;;) {
		uint64_t left = c->queued > c->nxt ? c->queued - c->nxt : 0;
		uint64_t room = c->edge > c->nxt ? c->edge - c->nxt : 0;
		uint64_t most = c->cfg.tso_max > c->seg ? c->cfg.tso_max / c->seg * c->seg : c->seg;
		uint64_t n = min_u64(min_u64(left, room), most);

		if (left == 0 && c->has_fin && c->nxt == c->queued && room > 0) {
			send_data(c, c->nxt, 0);
			break;
		}
		/* RFC 9293 3.8.6.2.1, without the Nagle algorithm. */
		if (n == 0 || (n < left && n < c->seg && n < c->wnd_max / 2))
			break;
		if (n > c->seg && n < left)
			n = n / c->seg * c->seg;
		send_data(c, c->nxt, n);
	}
	if (c->una == c->max && c->max < end_of_data(c) && !sim_timer_is_set(&c->rto_timer))
		arm(c); /* to probe */
}

static void die(struct sim_tcp *c, int error)
{
	struct sim *s = c->guest->sim;

	c->state = SIM_TCP_CLOSED;
	sim_timer_cancel(s, &c->rto_timer);
	sim_timer_cancel(s, &c->ack_timer);
	sim_timer_cancel(s, &c->keepalive_timer);
	if (error != 0)
		sim_app_on_reset(&c->app, error);
}

void sim_tcp_unreachable(struct sim_tcp *c)
{
	die(c, EHOSTUNREACH);
}

/* A byte beyond the window, or the override of RFC 9293 3.8.6.2.1 where a small one is open. */
static void probe(struct sim_tcp *c)
{
	uint64_t room = c->edge > c->nxt ? c->edge - c->nxt : 0;
	struct sim_packet p;

	if (room > 0 && c->queued > c->nxt) {
		send_data(c, c->nxt, min_u64(min_u64(room, c->queued - c->nxt), c->seg));
		return;
	}
	c->probes++;
	p = segment(c, c->una, SIM_ACK);
	p.seq--; /* as Linux probes */
	emit(c, &p, 0);
}

static void on_rto(void *arg)
{
	struct sim_tcp *c = arg;

	if (c->state == SIM_TCP_TIME_WAIT) {
		die(c, 0);
		return;
	}
	if (c->tries++ >= TRIES_MAX) {
		die(c, ETIMEDOUT);
		return;
	}
	if (c->state == SIM_TCP_SYN_SENT || c->state == SIM_TCP_SYN_RECEIVED) {
		c->retransmits++;
		send_syn(c);
		return;
	}
	arm(c);
	if (c->una == c->max) {
		if (c->max < end_of_data(c))
			probe(c);
		else
			sim_timer_cancel(c->guest->sim, &c->rto_timer);
		return;
	}
	c->is_recovering = true;
	c->recover = c->max;
	resend(c);
}

static void on_ack_timer(void *arg)
{
	send_ack(arg);
}

static void on_keepalive(void *arg)
{
	struct sim_tcp *c = arg;
	uint64_t now = c->guest->sim->now_ns;
	struct sim_packet p;

	if (now >= c->heard_ns + c->cfg.keepalive_ns) {
		c->probes++;
		p = segment(c, c->nxt, SIM_ACK);
		p.seq--;
		emit(c, &p, 0);
		c->heard_ns = now;
	}
	sim_timer_set(c->guest->sim, &c->keepalive_timer, c->heard_ns + c->cfg.keepalive_ns);
}

/* ---- receiving ---- */

static void on_synack(struct sim_tcp *c, const struct sim_packet *p)
{
	struct sim *s = c->guest->sim;

	if ((p->flags & SIM_ACK) == 0 || p->ack != c->cfg.iss + 1) {
		sim_fail(s, "guest: port %u: the SYN is answered with a wrong ACK", c->port);
		return;
	}
	if ((p->flags & SIM_RST) != 0) {
		die(c, ECONNREFUSED);
		return;
	}
	if ((p->flags & SIM_SYN) == 0 || p->payload_len > 0 || (p->flags & SIM_FIN) != 0) {
		sim_fail(s, "guest: port %u: the SYN is not answered with SYN-ACK", c->port);
		return;
	}
	if (p->has_sack || p->has_timestamps || (p->wscale >= 0 && c->cfg.wscale < 0))
		sim_fail(s, "guest: port %u: SYN-ACK with options that were not agreed", c->port);
	c->irs = p->seq;
	c->seg = p->mss > 0 && p->mss < c->cfg.mss ? p->mss : c->cfg.mss;
	if (c->seg == 0)
		c->seg = 536;
	if (p->wscale >= 0) {
		c->snd_shift = (uint8_t)p->wscale;
		c->rcv_shift = (uint8_t)c->cfg.wscale;
	}
	c->state = SIM_TCP_OPEN;
	c->tries = 0;
	c->edge = p->wnd;
	c->wnd_max = p->wnd;
	c->wnd_seq = p->seq;
	c->wnd_ack = p->ack;
	c->rcv_edge = min_u64(c->cfg.rcvbuf, 65535);
	sim_timer_cancel(s, &c->rto_timer);
	if (c->cfg.keepalive_ns > 0)
		sim_timer_set(s, &c->keepalive_timer, s->now_ns + c->cfg.keepalive_ns);
	send_ack(c);
	sim_app_on_open(&c->app);
	output(c);
}

/* The ACK of our SYN-ACK, or none. True: the connection stands. */
static bool on_answer(struct sim_tcp *c, const struct sim_packet *p)
{
	if ((p->flags & SIM_RST) != 0) {
		c->service->waiting--;
		die(c, 0);
		return false;
	}
	if ((p->flags & SIM_SYN) != 0 || (p->flags & SIM_ACK) == 0) {
		send_syn(c);
		return false;
	}
	if (p->ack != c->cfg.iss + 1) {
		sim_fail(c->guest->sim, "guest: port %u: the SYN-ACK is answered with a wrong ACK",
		    c->port);
		return false;
	}
	c->state = SIM_TCP_OPEN;
	c->tries = 0;
	sim_timer_cancel(c->guest->sim, &c->rto_timer);
	if (!sim_timer_is_set(&c->service->accept_timer))
		sim_timer_set(c->guest->sim, &c->service->accept_timer,
		    c->guest->sim->now_ns + c->service->accept_gap_ns);
	return true;
}

static void init_timers(struct sim_tcp *c)
{
	sim_timer_init(&c->rto_timer, on_rto, c);
	sim_timer_init(&c->ack_timer, on_ack_timer, c);
	sim_timer_init(&c->keepalive_timer, on_keepalive, c);
}

void sim_tcp_on_syn(struct sim_tcp *c, const struct sim_packet *p)
{
	init_timers(c);
	if (p->payload_len > 0 || p->has_sack || p->has_timestamps)
		sim_fail(c->guest->sim, "guest: port %u: SYN with data or options", c->port);
	c->irs = p->seq;
	c->seg = p->mss > 0 && p->mss < c->cfg.mss ? p->mss : c->cfg.mss;
	if (c->seg == 0)
		c->seg = 536;
	if (p->wscale >= 0 && c->cfg.wscale >= 0) {
		c->snd_shift = (uint8_t)p->wscale;
		c->rcv_shift = (uint8_t)c->cfg.wscale;
	} else {
		c->cfg.wscale = -1;
	}
	c->state = SIM_TCP_SYN_RECEIVED;
	c->edge = p->wnd;
	c->wnd_max = p->wnd;
	c->wnd_seq = p->seq;
	c->rcv_edge = min_u64(c->cfg.rcvbuf, 65535);
	send_syn(c);
}

static bool is_finished(const struct sim_tcp *c)
{
	return c->has_all && c->has_fin && c->una > c->queued;
}

static void on_new_ack(struct sim_tcp *c, uint64_t off)
{
	struct sim *s = c->guest->sim;

	c->una = off;
	if (c->nxt < off)
		c->nxt = off;
	c->dup_acks = 0;
	c->tries = 0;
	sim_timer_cancel(s, &c->rto_timer);
	if (c->una < c->max)
		arm(c);
	if (c->is_recovering && c->una >= c->recover)
		c->is_recovering = false;
	if (c->is_recovering)
		resend(c); /* RFC 6582 3.2: a partial acknowledgment */
}

static void take_ack(struct sim_tcp *c, const struct sim_packet *p)
{
	int64_t off = off_near(p->ack, seq_of(c, c->una), c->una);
	uint64_t wnd = (uint64_t)p->wnd << c->snd_shift;
	uint64_t edge;

	if (off > (int64_t)c->max) {
		sim_fail(c->guest->sim, "guest: port %u: ACK of what was not sent", c->port);
		return;
	}
	if (off < (int64_t)c->una)
		return;
	edge = (uint64_t)off + wnd;
	if ((uint64_t)off > c->una) {
		on_new_ack(c, (uint64_t)off);
	} else if (p->payload_len == 0 && (p->flags & SIM_FIN) == 0 && c->una < c->max &&
		   edge == c->edge && ++c->dup_acks == 3 && !c->is_recovering) {
		c->is_recovering = true;
		c->recover = c->max;
		resend(c);
	}
	if ((int32_t)(p->seq - c->wnd_seq) > 0 ||
	    (p->seq == c->wnd_seq && (int32_t)(p->ack - c->wnd_ack) >= 0)) {
		if (edge > c->edge)
			c->tries = 0;
		if (edge > c->edge && c->una == c->max)
			sim_timer_cancel(c->guest->sim, &c->rto_timer);
		c->edge = edge;
		c->wnd_seq = p->seq;
		c->wnd_ack = p->ack;
		if (wnd > c->wnd_max)
			c->wnd_max = wnd;
	}
}

/* Remembers bytes behind a hole. */
static void add_range(struct sim_tcp *c, uint64_t from, uint64_t to)
{
	uint32_t i = 0;

	while (i < c->ooo_count) {
		struct sim_range *r = &c->ooo[i];

		if (from > r->to || to < r->from) {
			i++;
			continue;
		}
		if (r->from < from)
			from = r->from;
		if (r->to > to)
			to = r->to;
		*r = c->ooo[--c->ooo_count];
		i = 0;
	}
	if (c->ooo_count < SIM_RANGES_MAX)
		c->ooo[c->ooo_count++] = (struct sim_range){.from = from, .to = to};
}

static void advance(struct sim_tcp *c)
{
	for (uint32_t i = 0; i < c->ooo_count;) {
		if (c->ooo[i].from > c->rcv_nxt) {
			i++;
			continue;
		}
		if (c->ooo[i].to > c->rcv_nxt)
			c->rcv_nxt = c->ooo[i].to;
		c->ooo[i] = c->ooo[--c->ooo_count];
		i = 0;
	}
	if (c->has_remote_fin && !c->has_all && c->rcv_nxt == c->fin_at) {
		c->has_all = true;
		c->rcv_nxt++;
	}
}

/* First the bytes that a service expects, then the stream. */
static bool check_bytes(const struct sim_tcp *c, const struct sim_packet *p, uint64_t off)
{
	uint32_t skip = c->service ? c->service->skip_len : 0;
	uint32_t own = off < skip ? (uint32_t)(skip - off) : 0;

	if (own > p->payload_len)
		own = p->payload_len;
	if (own > 0 && memcmp(p->payload, c->service->skip + off, own) != 0)
		return false;
	return sim_pattern_check(
	    c->cfg.from_seed, off + own - skip, p->payload + own, p->payload_len - own);
}

static void take_data(struct sim_tcp *c, const struct sim_packet *p, int64_t off)
{
	struct sim *s = c->guest->sim;
	int64_t end = off + p->payload_len;
	bool has_fin = (p->flags & SIM_FIN) != 0;
	uint64_t was = c->rcv_nxt;

	if (off < 0) {
		sim_fail(s, "guest: port %u: data before the start of the stream", c->port);
		return;
	}
	if (end + has_fin > (int64_t)c->rcv_edge)
		sim_fail(s, "guest: port %u: %lld bytes beyond its window", c->port,
		    (long long)(end + has_fin - (int64_t)c->rcv_edge));
	if (!check_bytes(c, p, (uint64_t)off))
		sim_fail(s, "guest: port %u: wrong bytes at %lld", c->port, (long long)off);
	if (has_fin && c->has_remote_fin && c->fin_at != (uint64_t)end)
		sim_fail(s, "guest: port %u: FIN at two places", c->port);
	if (c->has_remote_fin && (uint64_t)end > c->fin_at)
		sim_fail(s, "guest: port %u: data behind the FIN", c->port);
	if (has_fin && !c->has_remote_fin) {
		c->has_remote_fin = true;
		c->fin_at = (uint64_t)end;
	}
	if (p->payload_len > 0)
		add_range(c, (uint64_t)off, (uint64_t)end);
	advance(c);
	if (end + has_fin <= (int64_t)was)
		c->duplicates++;
	c->unacked += p->payload_len;
	if (c->rcv_nxt == was || c->ooo_count > 0 || has_fin || c->cfg.delack_ns == 0 ||
	    c->unacked >= 2 * c->seg)
		send_ack(c);
	else if (!sim_timer_is_set(&c->ack_timer))
		sim_timer_set(s, &c->ack_timer, s->now_ns + c->cfg.delack_ns);
}

/* RST, SYN and segments that are outside of the window; true if the segment is done with. */
static bool take_control(struct sim_tcp *c, const struct sim_packet *p, int64_t off)
{
	if ((p->flags & SIM_RST) != 0) {
		if (off == (int64_t)c->rcv_nxt) /* in TIME-WAIT no program hears of it */
			die(c, c->state == SIM_TCP_OPEN ? ECONNRESET : 0);
		else if (off > (int64_t)c->rcv_nxt && off < (int64_t)c->rcv_edge)
			send_ack(c); /* RFC 5961 3.2 */
		return true;
	}
	if ((p->flags & SIM_SYN) != 0 || (p->flags & SIM_ACK) == 0) {
		send_ack(c);
		return true;
	}
	/* A probe, or a keepalive. */
	if (p->payload_len == 0 && (p->flags & SIM_FIN) == 0 && off < (int64_t)c->rcv_nxt)
		send_ack(c);
	return false;
}

static void enter_time_wait(struct sim_tcp *c)
{
	struct sim *s = c->guest->sim;

	if (c->is_passive) {
		die(c, 0);
		return;
	}
	c->state = SIM_TCP_TIME_WAIT;
	sim_timer_cancel(s, &c->ack_timer);
	sim_timer_cancel(s, &c->keepalive_timer);
	sim_timer_set(s, &c->rto_timer, s->now_ns + c->cfg.time_wait_ns);
}

void sim_tcp_receive(struct sim_tcp *c, const struct sim_packet *p)
{
	int64_t off;

	if (c->state == SIM_TCP_SYN_SENT) {
		on_synack(c, p);
		return;
	}
	if (c->state == SIM_TCP_SYN_RECEIVED && !on_answer(c, p))
		return;
	c->heard_ns = c->guest->sim->now_ns;
	off = off_near(p->seq, ack_of(c, c->rcv_nxt), c->rcv_nxt);
	if (take_control(c, p, off))
		return;
	take_ack(c, p);
	if (p->payload_len > 0 || (p->flags & SIM_FIN) != 0)
		take_data(c, p, off);
	if (c->state == SIM_TCP_TIME_WAIT && (p->flags & SIM_FIN) != 0)
		enter_time_wait(c); /* once more, RFC 9293 3.10.7.4 */
	if (c->state != SIM_TCP_OPEN)
		return;
	sim_app_on_ready(&c->app);
	output(c);
	if (c->state == SIM_TCP_OPEN && is_finished(c))
		enter_time_wait(c);
}

/* ---- the program's view ---- */

static size_t tcp_write(void *stream, size_t len)
{
	struct sim_tcp *c = stream;
	uint64_t used = c->queued - min_u64(c->una, c->queued);
	size_t n;

	if (c->state != SIM_TCP_OPEN || c->has_fin || used >= c->cfg.sndbuf)
		return 0;
	n = (size_t)min_u64(len, c->cfg.sndbuf - used);
	c->queued += n;
	output(c);
	return n;
}

static size_t tcp_readable(void *stream)
{
	const struct sim_tcp *c = stream;

	return (size_t)(c->rcv_nxt - c->has_all - c->app_read);
}

/* Like Linux, it tells of the window when that has doubled. */
static void tcp_read(void *stream, size_t len)
{
	struct sim_tcp *c = stream;
	uint64_t used;
	uint64_t room;
	uint64_t told;

	c->app_read += len;
	if (c->state != SIM_TCP_OPEN || c->has_remote_fin)
		return;
	used = c->rcv_nxt - c->app_read;
	room = used < c->cfg.rcvbuf ? c->cfg.rcvbuf - used : 0;
	room = min_u64(room, 65535ULL << c->rcv_shift);
	told = c->rcv_edge - c->rcv_nxt;
	if (room >= 2 * told && room - told >= min_u64(c->seg, c->cfg.rcvbuf / 2))
		send_ack(c);
}

static bool tcp_is_at_eof(void *stream)
{
	const struct sim_tcp *c = stream;

	return c->has_all && c->app_read == c->rcv_nxt - 1;
}

static void tcp_shutdown(void *stream)
{
	struct sim_tcp *c = stream;

	c->has_fin = true;
	c->is_passive = c->has_all;
	output(c);
}

static void tcp_reset(void *stream)
{
	struct sim_tcp *c = stream;
	struct sim_packet p = segment(c, c->nxt, SIM_RST | SIM_ACK);

	c->resets_sent++;
	emit(c, &p, 0);
	die(c, 0);
}

const struct sim_stream_ops sim_tcp_stream_ops = {
    .write = tcp_write,
    .readable = tcp_readable,
    .read = tcp_read,
    .is_at_eof = tcp_is_at_eof,
    .shutdown = tcp_shutdown,
    .reset = tcp_reset,
};

void sim_tcp_start(struct sim_tcp *c)
{
	init_timers(c);
	c->state = SIM_TCP_SYN_SENT;
	c->seg = c->cfg.mss > 0 ? c->cfg.mss : 536;
	send_syn(c);
}

void sim_tcp_fini(struct sim_tcp *c)
{
	struct sim *s = c->guest->sim;

	sim_timer_cancel(s, &c->rto_timer);
	sim_timer_cancel(s, &c->ack_timer);
	sim_timer_cancel(s, &c->keepalive_timer);
	sim_app_fini(&c->app);
}
