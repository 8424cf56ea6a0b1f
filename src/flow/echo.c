/* SPDX-License-Identifier: Apache-2.0 */
/* Echo relay (RFC 792, RFC 4443 4); see echo.h. */
#include "flow/echo.h"

#include <errno.h>
#include <stdlib.h>

#include "base/wr.h"

enum {
	TURN_REPLIES = 64,
	ERRORS_MAX = 16,
	MESSAGE_MAX = IP_PACKET_MAX - IP4_HDR_SIZE,
};

int echo_init(struct echo *e, struct icmp_out *icmp)
{
	*e = (struct echo){.socks = {SOCK_NONE, SOCK_NONE}, .icmp = icmp};
	e->ring = calloc(ECHO_PENDING_MAX, sizeof(*e->ring));
	return e->ring ? 0 : -ENOMEM;
}

void echo_fini(struct echo *e, struct flow_world *w)
{
	for (int i = 0; i < 2; i++)
		if (e->socks[i] != SOCK_NONE)
			w->ops->close(w->host, e->socks[i], false);
	free(e->ring);
	free(e->scratch);
	*e = (struct echo){.socks = {SOCK_NONE, SOCK_NONE}};
}

static uint8_t *scratch(struct echo *e, struct flow_world *w)
{
	if (!e->scratch)
		e->scratch = malloc(MESSAGE_MAX);
	if (!e->scratch)
		netif_drop(w->netif, DROP_NO_MEMORY);
	return e->scratch;
}

/* An echo reply to the guest, whose payload is at scratch behind the header. */
static void send_reply(struct echo *e, struct flow_world *w, const struct echo_pending *p,
    const struct ip_addr *from, uint32_t payload_len)
{
	struct netif_ip ip = {
	    .family = p->family,
	    .proto = p->family == 4 ? PROTO_ICMP4 : PROTO_ICMP6,
	    .src = from,
	    .dst = &p->guest,
	    .l4_len = ICMP_HDR_SIZE + payload_len,
	};

	e->scratch[0] = p->family == 4 ? ICMP4_ECHO_REPLY : ICMP6_ECHO_REPLY;
	e->scratch[1] = 0;
	put_be16(e->scratch + 2, 0);
	put_be16(e->scratch + 4, p->guest_id);
	put_be16(e->scratch + 6, p->guest_seq);
	(void)netif_send_l4(w->netif, &ip, e->scratch, ICMP_CSUM_OFF);
}

void echo_reply(struct echo *e, struct flow_world *w, const struct packet *p)
{
	struct echo_pending pending = {
	    .guest = p->src,
	    .guest_id = p->icmp.id,
	    .guest_seq = p->icmp.seq,
	    .family = p->family,
	};

	if (!scratch(e, w))
		return;
	frame_copy(p->frame, p->payload_off, e->scratch + ICMP_HDR_SIZE, p->payload_len);
	send_reply(e, w, &pending, &p->dst, p->payload_len);
	w->counters->icmp_echo_gateway++;
}

/* What is known of one of our sequence numbers, if it is still worth knowing. */
static struct echo_pending *find(const struct echo *e, const struct flow_world *w, uint16_t seq)
{
	struct echo_pending *p = &e->ring[seq % ECHO_PENDING_MAX];

	return p->family != 0 && p->seq == seq && w->now_ns - p->sent_ns < ECHO_TIME_NS ? p : NULL;
}

static void tell_errors(struct echo *e, struct flow_world *w, int sock)
{
	uint8_t back[64];
	struct sock_error err;

	for (int i = 0; i < ERRORS_MAX; i++) {
		struct icmp_error from;
		struct icmp_error to;
		struct echo_pending *p;
		struct icmp_quote q;

		if (w->ops->error_next(w->host, sock, &err, back, sizeof(back)) != 1)
			return;
		p = find(e, w, err.seq);
		from = (struct icmp_error){.type = err.type, .code = err.code, .info = err.mtu};
		if (!p || !err.is_icmp || !ip_addr_eq(&p->remote, &err.to.addr) ||
		    !icmp_error_translate(err.family, &from, p->family, &to))
			continue;
		q = (struct icmp_quote){
		    .family = p->family,
		    .proto = p->family == 4 ? PROTO_ICMP4 : PROTO_ICMP6,
		    .src = &p->guest,
		    .dst = &p->remote,
		    .l4_len = ICMP_HDR_SIZE + p->payload_len,
		};
		icmp_quote_echo(&q, p->guest_id, p->guest_seq);
		(void)icmp_out_quote(e->icmp, &q, &to, w->now_ns);
		p->family = 0;
	}
}

enum drop_reason echo_send(struct echo *e, struct flow_world *w, const struct packet *p)
{
	int sock = e->socks[!ip_addr_is_v4(&p->dst)];
	uint16_t seq = e->next_seq++;
	struct echo_pending *pending = &e->ring[seq % ECHO_PENDING_MAX];
	struct iovec iov[FRAME_IOV_MAX];
	uint32_t count = frame_slice(p->frame, p->payload_off, p->payload_len, iov, FRAME_IOV_MAX);
	ssize_t err = -EAGAIN;

	*pending = (struct echo_pending){
	    .guest = p->src,
	    .remote = p->dst,
	    .sent_ns = w->now_ns,
	    .payload_len = p->payload_len,
	    .guest_id = p->icmp.id,
	    .guest_seq = p->icmp.seq,
	    .seq = seq,
	    .family = p->family,
	};
	/* An error of an earlier request is reported in place of sending this one. */
	for (int tries = 0; tries < 2 && err; tries++) {
		err = w->ops->ping_send(w->host, sock, &p->dst, seq, iov, count);
		if (err)
			tell_errors(e, w, sock);
	}
	if (err) {
		pending->family = 0;
		(void)icmp_out_packet(e->icmp, p, icmp_cause_of_errno((int)-err),
		    err == -EMSGSIZE ? w->ops->udp_mtu(w->host, sock) : 0, w->now_ns);
		return DROP_UDP_SEND;
	}
	w->counters->icmp_echo_tx++;
	return DROP_NONE;
}

void echo_on_sock(struct echo *e, struct flow_world *w, uint8_t family, uint32_t events)
{
	bool is_v6 = family == 6;

	if (e->socks[is_v6] == SOCK_NONE)
		return;
	if ((events & SOCK_ERROR) != 0)
		tell_errors(e, w, e->socks[is_v6]);
	e->is_dirty[is_v6] = true;
}

/* True if the socket has nothing more, or nothing but errors. */
static bool serve_one(struct echo *e, struct flow_world *w, int sock)
{
	int errors = 0;

	for (int i = 0; i < TURN_REPLIES; i++) {
		struct ip_addr from;
		uint16_t seq;
		struct echo_pending *p;
		ssize_t n = w->ops->ping_recv(w->host, sock, &from, &seq,
		    e->scratch + ICMP_HDR_SIZE, MESSAGE_MAX - ICMP_HDR_SIZE);

		if (n == -EAGAIN)
			return true;
		if (n < 0 && ++errors > ERRORS_MAX)
			return true;
		if (n < 0)
			continue;
		p = find(e, w, seq);
		if (!p || !ip_addr_eq(&from, &p->remote))
			continue;
		send_reply(e, w, p, &from, (uint32_t)n);
		p->family = 0;
		w->counters->icmp_echo_rx++;
	}
	return false;
}

bool echo_serve(struct echo *e, struct flow_world *w)
{
	for (int i = 0; i < 2; i++)
		if (e->is_dirty[i] && scratch(e, w))
			e->is_dirty[i] = !serve_one(e, w, e->socks[i]);
	return (e->is_dirty[0] || e->is_dirty[1]) && e->scratch;
}
