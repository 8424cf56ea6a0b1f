/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP flows that clients of the host open; see inbound.h.
 *
 * The prologue is sent before the first byte of the client and alone: the client's follow when the guest has
 * acknowledged it, so that positions in the stream and in the socket's queue never differ.
 *
 * What a guard has to see is peeked once more, into memory of our own: as much as a head may be long, while a frame
 * may be shorter. A body passes without being seen.
 */
#include "flow/inbound.h"

#include <errno.h>
#include <stdlib.h>

#include "wire/http1_guard.h"

void inbound_dialed(struct tcp_table *t, struct tcp_flow *f)
{
	if (!f->is_dialing)
		return;
	f->is_dialing = false;
	t->on_dialed(t->ctx, f);
}

enum tcp_served inbound_serve_dialing(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f)
{
	if (!f->is_remote_dead)
		return TCP_SERVED_IDLE;
	/* The client has gone again: what it may have sent, nobody waits for the answer to. */
	tcp_flow_abort(t, w, f, FLOW_END_REMOTE_RESET, true);
	return TCP_SERVED_GONE;
}

int inbound_set_prologue(struct tcp_flow *f, const uint8_t *bytes, uint16_t len)
{
	f->prologue = malloc(len);
	if (!f->prologue)
		return -ENOMEM;
	memcpy(f->prologue, bytes, len);
	f->prologue_len = f->prologue_size = len;
	return 0;
}

static void drop_prologue(struct tcp_flow *f)
{
	free(f->prologue);
	f->prologue = NULL;
	f->prologue_len = 0;
}

uint32_t inbound_acked(struct tcp_flow *f, uint32_t acked)
{
	uint32_t own = acked < f->prologue_len ? acked : f->prologue_len;

	if (own == 0)
		return acked;
	f->prologue_len = (uint16_t)(f->prologue_len - own);
	if (f->prologue_len == 0)
		drop_prologue(f);
	return acked - own;
}

enum tcp_served inbound_serve_prologue(struct flow_world *w, struct tcp_flow *f)
{
	uint32_t off = tcp_send_offset(&f->conn);
	uint32_t left = f->prologue_len > off ? f->prologue_len - off : 0;
	uint32_t n = tcp_sendable(&f->conn, left, w->now_ns);

	if (n > f->conn.mss)
		n = f->conn.mss;
	if (left > 0 && n > 0) {
		const uint8_t *from = f->prologue + f->prologue_size - left;

		if (tcp_flow_send_bytes(w, f, from, n))
			return TCP_SERVED_NO_ROOM;
		tcp_sent(&f->conn, n, false, w->now_ns);
		return n < left ? TCP_SERVED_MORE : TCP_SERVED_IDLE;
	}
	if (f->conn.is_ack_due && tcp_flow_send_bare(w, f, f->conn.snd_nxt, TCP_ACK))
		return TCP_SERVED_NO_ROOM;
	return TCP_SERVED_IDLE;
}

/* ---- the guard ---- */

struct inbound_guard {
	struct http1_guard http;
	uint64_t ahead; /* bytes behind the last one sent that pass */
};

int inbound_set_guard(struct tcp_flow *f)
{
	f->guard = calloc(1, sizeof(*f->guard));
	return f->guard ? 0 : -ENOMEM;
}

static void drop_guard(struct tcp_flow *f)
{
	free(f->guard);
	f->guard = NULL;
}

/* Shows the guard what waits in the socket. False: it does not pass. */
static bool look(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f)
{
	uint32_t off = f->unconsumed + tcp_send_offset(&f->conn);
	struct iovec iov = {.iov_base = t->look, .iov_len = HTTP1_GUARD_HEAD_MAX};
	ssize_t got = w->ops->tcp_peek(w->host, f->sock, off, &iov, 1);
	uint32_t n = tcp_flow_on_peeked(t, f, off, got, HTTP1_GUARD_HEAD_MAX);
	int64_t passed = http1_guard_pass(&f->guard->http, t->look, n);

	if (passed < 0)
		return false;
	if (passed == HTTP1_GUARD_ALL)
		drop_guard(f);
	else
		f->guard->ahead = (uint64_t)passed;
	if (passed > 0) { /* it is still to be read */
		f->is_readable = true;
		f->is_eof = false;
	}
	return true;
}

bool inbound_limit(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f, uint32_t *n)
{
	uint64_t may = f->conn.snd_max - f->conn.snd_nxt; /* sent before */
	bool is_right = true;

	if (!t->look)
		t->look = malloc(HTTP1_GUARD_HEAD_MAX);
	if (may == 0 && f->guard->ahead == 0)
		is_right = t->look && look(t, w, f);
	if (!is_right) {
		netif_drop(w->netif, t->look ? DROP_HTTP_FOREIGN : DROP_NO_MEMORY);
		tcp_flow_abort(t, w, f, t->look ? FLOW_END_POLICY : FLOW_END_HOST_ERROR, true);
		return false;
	}
	if (f->guard && *n > may + f->guard->ahead)
		*n = (uint32_t)(may + f->guard->ahead);
	return true;
}

void inbound_sent(struct tcp_flow *f, uint32_t n)
{
	if (f->guard)
		f->guard->ahead -= n;
}

void inbound_fini(struct tcp_flow *f)
{
	drop_prologue(f);
	drop_guard(f);
}
