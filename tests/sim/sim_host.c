/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated host: sockets, readiness, TCP; see sim_host.h. */
#include "sim_host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	BUF_DEFAULT = 256 << 10,
	SKB_DEFAULT = 16 << 10,
};

/* ---- sockets and readiness ---- */

static bool is_datagram(const struct sim_sock *s)
{
	return s->owner.kind != SOCK_TCP && s->owner.kind != SOCK_DNS_TCP;
}

void sim_sock_wake(struct sim_sock *s)
{
	struct sim_host *h = s->host;

	s->is_new = true;
	if (s->is_closed || s->is_listed || s->is_unwatched)
		return;
	h->ready = sim_grow(h->ready, h->ready_count, &h->ready_cap, sizeof(*h->ready));
	s->is_listed = true;
	h->ready[h->ready_count++] = s->number;
	if (h->on_event)
		h->on_event(h->ctx);
}

static uint64_t tx_used(const struct sim_sock *s)
{
	return s->tx_total - s->tx_read;
}

/* sk_stream_is_writeable() */
static bool is_writable(const struct sim_sock *s)
{
	uint64_t used = tx_used(s);

	return s->remote.sndbuf > used && s->remote.sndbuf - used >= used / 2;
}

/* tcp_poll() */
static uint32_t tcp_events(struct sim_sock *s)
{
	uint64_t urgent = s->remote.urgent_at;
	uint32_t events = 0;

	if (s->state == SIM_SOCK_CONNECTING)
		return 0;
	if (s->error != 0)
		events |= SOCK_ERROR;
	if (urgent > 0 && s->rx_base <= urgent && urgent < s->rx_base + s->rx_len)
		events |= SOCK_URGENT;
	if (s->state == SIM_SOCK_DEAD)
		return events | SOCK_HANGUP | SOCK_READABLE | SOCK_WRITABLE;
	if (s->has_fin)
		events |= SOCK_HANGUP | SOCK_READABLE;
	if (s->rx_len > 0)
		events |= SOCK_READABLE;
	if (s->was_shut || is_writable(s))
		events |= SOCK_WRITABLE;
	else
		s->has_no_space = true;
	return events;
}

uint32_t sim_host_fetch(struct sim_host *h, struct sim_event *ret_events, uint32_t max)
{
	uint32_t count = 0;
	uint32_t i;

	if (h->batch > 0 && max > h->batch)
		max = h->batch;
	for (i = 0; i < h->ready_count && count < max; i++) {
		struct sim_sock *s = h->socks[h->ready[i]];
		uint32_t events;

		s->is_listed = false;
		s->is_new = false;
		if (s->is_closed)
			continue;
		if (s->owner.kind == SOCK_LISTEN)
			events = sim_listen_events(s);
		else
			events = is_datagram(s) ? sim_udp_events(s) : tcp_events(s);
		if (events != 0)
			ret_events[count++] =
			    (struct sim_event){.owner = s->owner, .events = events};
	}
	h->ready_count -= i;
	if (h->ready_count > 0)
		memmove(h->ready, h->ready + i, h->ready_count * sizeof(*h->ready));
	return count;
}

bool sim_host_has_events(const struct sim_host *h)
{
	return h->ready_count > 0;
}

int sim_sock_fault(struct sim_host *h, enum sim_op op)
{
	h->calls[op]++;
	if (h->fail_nth == 0 || h->fail_op != op || h->calls[op] < h->fail_nth ||
	    (h->calls[op] > h->fail_nth && !h->fails_on))
		return 0;
	h->has_failed_call = true;
	return -h->fail_error;
}

struct sim_sock *sim_sock_get(struct sim_host *h, int number, enum sock_kind kind)
{
	struct sim_sock *s;

	if (number < 0 || (uint32_t)number >= h->count) {
		sim_fail(h->sim, "host: no socket %d", number);
		return NULL;
	}
	s = h->socks[number];
	if (s->is_closed ||
	    (s->owner.kind != kind && kind == SOCK_TCP && s->owner.kind != SOCK_DNS_TCP)) {
		sim_fail(h->sim, "host: socket %d is closed or of another kind", number);
		return NULL;
	}
	return s;
}

uint32_t sim_host_open_count(const struct sim_host *h)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < h->count; i++)
		n += !h->socks[i]->is_closed;
	return n;
}

struct sim_sock *sim_host_find(const struct sim_host *h, uint16_t port)
{
	struct sim_sock *last = NULL;

	for (uint32_t i = 0; i < h->count; i++) {
		if (h->socks[i]->to.port != port)
			continue;
		last = h->socks[i];
		if (last->end != SIM_END_RESET)
			break;
	}
	return last;
}

/* ---- the remote side ---- */

/* The program hears of something, after its distance. */
static void tell_program(struct sim_sock *s)
{
	if (!s->remote.is_manual && !sim_timer_is_set(&s->ready_timer))
		sim_timer_set(
		    s->host->sim, &s->ready_timer, s->host->sim->now_ns + s->remote.delay_ns);
}

static void on_ready_timer(void *arg)
{
	struct sim_sock *s = arg;

	if (s->end == SIM_END_RESET)
		sim_app_on_reset(&s->app, ECONNRESET);
	else if (s->state == SIM_SOCK_OPEN)
		sim_app_on_ready(&s->app);
}

void sim_peer_accept(struct sim_sock *s)
{
	if (s->is_closed || s->state != SIM_SOCK_CONNECTING)
		return;
	s->state = SIM_SOCK_OPEN;
	sim_sock_wake(s);
	if (!s->remote.is_manual)
		sim_app_on_open(&s->app);
}

void sim_peer_fail(struct sim_sock *s, int error)
{
	if (s->is_closed || s->state == SIM_SOCK_DEAD)
		return;
	s->state = SIM_SOCK_DEAD;
	s->error = error;
	s->tx_read = s->tx_total;
	sim_sock_wake(s);
}

static void on_answer_timer(void *arg)
{
	struct sim_sock *s = arg;

	if (s->remote.answer == SIM_ANSWER_ACCEPT)
		sim_peer_accept(s);
	else if (s->remote.answer == SIM_ANSWER_ERROR)
		sim_peer_fail(s, s->remote.error);
}

/* The memory of a receive buffer is free when its last byte has been taken. The remote side sends a
 * small piece only where that is all it has (RFC 9293 3.8.6.2). */
size_t sim_peer_write(struct sim_sock *s, size_t len)
{
	uint64_t room = s->remote.rcvbuf > s->rx_memory ? s->remote.rcvbuf - s->rx_memory : 0;
	uint32_t skb = s->remote.skb_len;
	size_t done = 0;

	if (s->is_closed && s->end == SIM_END_FIN) {
		s->end = SIM_END_RESET; /* nobody is there any more */
		tell_program(s);
	}
	if (s->is_closed || s->state != SIM_SOCK_OPEN || s->has_fin)
		return 0;
	while (done < len) {
		uint64_t want = len - done < skb ? len - done : skb;
		struct sim_skb *b;

		if (room < want && room < s->remote.rcvbuf / 4)
			break;
		if (room < want)
			want = room;
		b = sim_alloc(sizeof(*b));
		b->len = (uint32_t)want;
		b->size = b->len;
		*s->rx_end = b;
		s->rx_end = &b->next;
		s->rx_len += want;
		s->rx_memory += want;
		room -= want;
		done += want;
	}
	if (done > 0)
		sim_sock_wake(s);
	return done;
}

void sim_peer_fin(struct sim_sock *s)
{
	if (s->has_fin || s->state != SIM_SOCK_OPEN)
		return;
	s->has_fin = true;
	sim_sock_wake(s);
}

/* tcp_reset(): what the engine has not read yet stays readable. */
void sim_peer_reset(struct sim_sock *s)
{
	sim_peer_fail(s, s->has_fin ? EPIPE : ECONNRESET);
}

size_t sim_peer_readable(const struct sim_sock *s)
{
	return (size_t)tx_used(s);
}

void sim_peer_read(struct sim_sock *s, size_t len)
{
	s->tx_read += len;
	if (!s->is_closed && s->has_no_space && is_writable(s)) {
		s->has_no_space = false;
		sim_sock_wake(s);
	}
}

bool sim_peer_is_at_eof(const struct sim_sock *s)
{
	return tx_used(s) == 0 && (s->was_shut || s->end == SIM_END_FIN);
}

/* The program's view of its end. */

static size_t app_write(void *stream, size_t len)
{
	return sim_peer_write(stream, len);
}

static size_t app_readable(void *stream)
{
	return sim_peer_readable(stream);
}

static void app_read(void *stream, size_t len)
{
	sim_peer_read(stream, len);
}

static bool app_is_at_eof(void *stream)
{
	return sim_peer_is_at_eof(stream);
}

static void app_shutdown(void *stream)
{
	sim_peer_fin(stream);
}

static void app_reset(void *stream)
{
	sim_peer_reset(stream);
}

static const struct sim_stream_ops peer_ops = {
    .write = app_write,
    .readable = app_readable,
    .read = app_read,
    .is_at_eof = app_is_at_eof,
    .shutdown = app_shutdown,
    .reset = app_reset,
};

/* ---- the engine's side ---- */

struct sim_sock *sim_sock_new(
    struct sim_host *h, struct sock_owner owner, const struct endpoint *to)
{
	struct sim_sock *s = sim_alloc(sizeof(*s));

	h->socks = sim_grow(h->socks, h->count, &h->cap, sizeof(struct sim_sock *));
	s->host = h;
	s->number = (int)h->count;
	s->owner = owner;
	if (to)
		s->to = *to;
	s->rx_end = &s->rx_first;
	s->dg_end = &s->dg_first;
	s->err_end = &s->err_first;
	sim_timer_init(&s->answer_timer, on_answer_timer, s);
	sim_timer_init(&s->ready_timer, on_ready_timer, s);
	h->socks[h->count++] = s;
	return s;
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
	return value > 0 ? value : otherwise;
}

struct sim_sock *sim_tcp_new(struct sim_host *h, struct sock_owner owner, const struct endpoint *to,
    const struct sim_remote *remote)
{
	struct sim_sock *s = sim_sock_new(h, owner, to);

	s->remote = *remote;
	s->remote.rcvbuf = or_default(remote->rcvbuf, BUF_DEFAULT);
	s->remote.sndbuf = or_default(remote->sndbuf, BUF_DEFAULT);
	s->remote.skb_len = or_default(remote->skb_len, SKB_DEFAULT);
	sim_app_init(&s->app, h->sim, &remote->app, &peer_ops, s);
	return s;
}

static int tcp_connect(
    void *host, const struct endpoint *to, struct sock_owner owner, int *ret_sock)
{
	struct sim_host *h = host;
	struct sim_remote remote = {.answer = SIM_ANSWER_SILENT};
	int err = sim_sock_fault(h, SIM_OP_CONNECT);
	struct sim_sock *s;

	if (err)
		return err;
	if (h->find && !h->find(h->ctx, to, &remote))
		remote.answer = SIM_ANSWER_SILENT;
	if (remote.answer == SIM_ANSWER_ERROR && remote.is_sync)
		return -remote.error;
	s = sim_tcp_new(h, owner, to, &remote);
	if (remote.answer != SIM_ANSWER_SILENT && !remote.is_manual)
		sim_timer_set(h->sim, &s->answer_timer, h->sim->now_ns + remote.answer_ns);
	*ret_sock = s->number;
	return 0;
}

static int tcp_result(void *host, int sock)
{
	struct sim_sock *s = sim_sock_get(host, sock, SOCK_TCP);
	int err = sim_sock_fault(host, SIM_OP_RESULT);
	int error;

	if (!s)
		return -EBADF;
	if (err)
		sim_peer_fail(s, -err);
	error = s->error;
	s->error = 0;
	return -error;
}

/* tcp_sendmsg() on a socket that can take no more */
static ssize_t send_error(struct sim_sock *s)
{
	int error = s->error != 0 ? s->error : EPIPE;

	s->error = 0;
	return -error;
}

static ssize_t tcp_send(void *host, int sock, const struct iovec *iov, size_t iov_count)
{
	struct sim_host *h = host;
	struct sim_sock *s = sim_sock_get(h, sock, SOCK_TCP);
	int err = sim_sock_fault(h, SIM_OP_SEND);
	uint64_t room;
	ssize_t done = 0;

	if (!s)
		return -EBADF;
	if (err == -EAGAIN) { /* no memory for now: the edge comes */
		s->has_no_space = true;
		sim_sock_wake(s);
	} else if (err) {
		sim_peer_fail(s, -err);
		s->error = 0;
	}
	if (err)
		return err;
	if (s->state == SIM_SOCK_CONNECTING)
		sim_fail(h->sim, "host: socket %d: sends before it is connected", sock);
	if (s->state != SIM_SOCK_OPEN || s->was_shut)
		return send_error(s);
	room = s->remote.sndbuf > tx_used(s) ? s->remote.sndbuf - tx_used(s) : 0;
	for (size_t i = 0; i < iov_count; i++) {
		size_t take = iov[i].iov_len < room ? iov[i].iov_len : (size_t)room;

		if (!h->is_unchecked &&
		    !sim_pattern_check(s->remote.from_seed, s->tx_total, iov[i].iov_base, take))
			sim_fail(h->sim, "host: socket %d: wrong bytes from the guest at %llu",
			    sock, (unsigned long long)s->tx_total);
		s->tx_total += take;
		room -= take;
		done += (ssize_t)take;
		if (take < iov[i].iov_len) {
			s->has_no_space = true;
			break;
		}
	}
	if (done == 0)
		return -EAGAIN;
	tell_program(s);
	return done;
}

static ssize_t tcp_peek(void *host, int sock, size_t off, const struct iovec *iov, size_t iov_count)
{
	struct sim_host *h = host;
	struct sim_sock *s = sim_sock_get(h, sock, SOCK_TCP);
	int err = sim_sock_fault(h, SIM_OP_PEEK);
	uint64_t at;
	uint64_t left;
	ssize_t done = 0;

	if (!s)
		return -EBADF;
	if (err && err != -ENOMEM) { /* else the socket lives */
		sim_peer_fail(s, -err);
		s->error = 0;
	}
	if (err)
		return err;
	at = s->rx_base + off;
	left = s->rx_len > off ? s->rx_len - off : 0;
	if (at < s->remote.urgent_at && s->remote.urgent_at < at + left)
		left = s->remote.urgent_at - at;
	/* Without an offset the kernel reads from the head, up to the mark. */
	if (h->has_no_peek_offset && s->rx_base < s->remote.urgent_at && s->remote.urgent_at <= at)
		left = 0;
	for (size_t i = 0; i < iov_count && left > 0; i++) {
		size_t take = iov[i].iov_len < left ? iov[i].iov_len : (size_t)left;

		sim_pattern_fill(s->app.plan.seed, at, iov[i].iov_base, take);
		at += take;
		left -= take;
		done += (ssize_t)take;
	}
	if (done > 0)
		return done;
	if (off > 0 && h->has_no_peek_offset && s->rx_len > 0)
		return -EAGAIN;
	if (s->has_fin)
		return 0;
	if (s->error != 0)
		return send_error(s);
	return s->state == SIM_SOCK_DEAD ? 0 : -EAGAIN;
}

static int tcp_consume(void *host, int sock, size_t len)
{
	struct sim_host *h = host;
	struct sim_sock *s = sim_sock_get(h, sock, SOCK_TCP);
	int err = sim_sock_fault(h, SIM_OP_CONSUME);
	bool has_freed = false;

	if (!s)
		return -EBADF;
	if (err)
		return err;
	if (len > s->rx_len) {
		sim_fail(h->sim, "host: socket %d: consumes %zu bytes of %llu", sock, len,
		    (unsigned long long)s->rx_len);
		return -EINVAL;
	}
	s->rx_base += len;
	s->rx_len -= len;
	for (struct sim_skb *b; len > 0 && (b = s->rx_first) != NULL;) {
		uint32_t take = b->len < len ? b->len : (uint32_t)len;

		b->len -= take;
		len -= take;
		if (b->len > 0)
			break;
		s->rx_memory -= b->size;
		s->rx_first = b->next;
		if (!s->rx_first)
			s->rx_end = &s->rx_first;
		free(b);
		has_freed = true;
	}
	if (has_freed)
		tell_program(s);
	return 0;
}

static int tcp_shutdown(void *host, int sock)
{
	struct sim_host *h = host;
	struct sim_sock *s = sim_sock_get(h, sock, SOCK_TCP);
	int err = sim_sock_fault(h, SIM_OP_SHUTDOWN);

	if (!s)
		return -EBADF;
	if (err) { /* it was dead already */
		sim_peer_fail(s, ECONNRESET);
		return err;
	}
	if (s->was_shut)
		sim_fail(h->sim, "host: socket %d: shut down twice", sock);
	if (s->state != SIM_SOCK_OPEN)
		return -ENOTCONN;
	s->was_shut = true;
	tell_program(s);
	return 0;
}

static void sock_close(void *host, int sock, bool is_reset)
{
	struct sim_host *h = host;
	struct sim_sock *s;

	if (sock < 0 || (uint32_t)sock >= h->count || h->socks[sock]->is_closed) {
		sim_fail(h->sim, "host: closes socket %d, which is not open", sock);
		return;
	}
	s = h->socks[sock];
	s->is_closed = true;
	s->owner.ref.gen = 0;
	if (s->owner.kind == SOCK_LISTEN)
		sim_listen_close(s);
	if (is_datagram(s))
		return;
	/* Closing with unread data resets the connection (RFC 2525 2.17). */
	s->end = is_reset || s->rx_len > 0 ? SIM_END_RESET : SIM_END_FIN;
	if (s->end == SIM_END_RESET)
		s->tx_read = s->tx_total;
	if (s->state == SIM_SOCK_OPEN)
		tell_program(s);
}

static void host_random(void *host, void *buf, size_t len)
{
	struct sim_host *h = host;
	uint8_t *out = buf;

	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)sim_random(h->sim);
}

const struct sock_ops sim_sock_ops = {
    .tcp_connect = tcp_connect,
    .tcp_result = tcp_result,
    .tcp_send = tcp_send,
    .tcp_peek = tcp_peek,
    .tcp_consume = tcp_consume,
    .tcp_shutdown = tcp_shutdown,
    .tcp_accept = sim_tcp_accept,
    .tcp_local = sim_tcp_local,
    .adopt = sim_adopt,
    .udp_open = sim_udp_open,
    .udp_send = sim_udp_send,
    .udp_recv = sim_udp_recv,
    .udp_recv_from = sim_udp_recv_from,
    .udp_send_to = sim_udp_send_to,
    .udp_mtu = sim_udp_mtu,
    .error_next = sim_error_next,
    .ping_open = sim_ping_open,
    .ping_send = sim_ping_send,
    .ping_recv = sim_ping_recv,
    .close = sock_close,
    .random = host_random,
};

void sim_host_init(struct sim_host *h, struct sim *sim)
{
	*h = (struct sim_host){.sim = sim};
}

void sim_host_fini(struct sim_host *h)
{
	for (uint32_t i = 0; i < h->count; i++) {
		struct sim_sock *s = h->socks[i];
		struct sim_skb *b;

		while ((b = s->rx_first) != NULL) {
			s->rx_first = b->next;
			free(b);
		}
		sim_udp_free(s);
		sim_timer_cancel(h->sim, &s->answer_timer);
		sim_timer_cancel(h->sim, &s->ready_timer);
		sim_app_fini(&s->app);
		free(s);
	}
	free(h->socks);
	free(h->ready);
}
