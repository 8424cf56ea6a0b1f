/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of DNS messages; see name_stream.h (behaviours.md D16, D17, D19; threats.md D19). Tests:
 * sim/test_names.c.
 *
 * A message is collected byte by byte, however it comes; of one that is longer than any question only the start is
 * kept, so that it can be refused. One without bytes is passed over.
 */
#include "engine/name_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/wr.h"

enum {
	PEEK_PIECES = 64,
};

int name_streams_init(struct name_streams *t, const struct sock_ops *ops, void *host)
{
	*t = (struct name_streams){.ops = ops, .host = host};
	list_init(&t->ready);
	return pool_init(&t->pool, sizeof(struct name_stream), NAME_STREAMS_MAX);
}

static void close_stream(struct name_streams *t, struct name_stream *s)
{
	t->out_bytes -= s->out.len;
	chain_clear(&s->out);
	free(s->in);
	list_remove(&s->ready);
	pool_put(&t->pool, s);
}

void name_streams_fini(struct name_streams *t)
{
	for (uint32_t i = 0; i < t->pool.made; i++) {
		struct pool_head *h = pool_at(&t->pool, i);

		if (h->gen % 2 == 1)
			close_stream(t, (struct name_stream *)(void *)h);
	}
	pool_fini(&t->pool);
}

int name_stream_open(
    struct name_streams *t, struct sock_owner owner, struct name_stream **ret_stream, int *ret_sock)
{
	struct name_stream *s;

	if (t->pool.in_use == t->pool.limit)
		return -ENOSPC;
	s = pool_take(&t->pool);
	if (!s)
		return -ENOMEM;
	s->owner = owner;
	list_init(&s->ready);
	*ret_stream = s;
	*ret_sock = NAME_STREAM_SOCK_FIRST + (int)s->head.index;
	return 0;
}

struct name_stream *name_stream_find(const struct name_streams *t, struct pool_ref ref)
{
	return pool_find(&t->pool, ref);
}

static bool is_stream(int sock)
{
	return sock >= NAME_STREAM_SOCK_FIRST;
}

static struct name_stream *stream_of(const struct name_streams *t, int sock)
{
	return (struct name_stream *)(void *)pool_at(
	    &t->pool, (uint32_t)(sock - NAME_STREAM_SOCK_FIRST));
}

static void tell(struct name_streams *t, struct name_stream *s, uint32_t events)
{
	s->events |= events;
	if (!list_is_linked(&s->ready))
		list_append(&t->ready, &s->ready);
}

bool name_streams_next(struct name_streams *t, struct sock_owner *ret_owner, uint32_t *ret_events)
{
	struct list_node *n = list_first(&t->ready);
	struct name_stream *s;

	if (!n)
		return false;
	s = container_of(n, struct name_stream, ready);
	list_remove(n);
	*ret_owner = s->owner;
	*ret_events = s->events;
	s->events = 0;
	return true;
}

/* Nothing more will ever be read from it than what waits. */
static bool is_at_end(const struct name_stream *s)
{
	return s->has_eof && s->pending == 0;
}

static bool has_room(const struct name_stream *s)
{
	return s->pending < NAME_STREAM_PENDING_MAX && s->out.len < NAME_STREAM_OUT_MAX;
}

static void unblock(struct name_streams *t, struct name_stream *s)
{
	if (!s->is_blocked || !has_room(s))
		return;
	s->is_blocked = false;
	tell(t, s, SOCK_WRITABLE);
}

bool name_streams_are_full(const struct name_streams *t)
{
	return t->out_bytes >= NAME_STREAMS_OUT_MAX;
}

void name_stream_answer(struct name_streams *t, struct name_stream *s, uint8_t *framed, size_t len)
{
	s->pending--;
	if (framed && len > 0) {
		put_be16(framed, (uint16_t)len);
		/* Without memory it is an answer that was lost. */
		if (chain_append(&s->out, framed, NAME_STREAM_FRAME_SIZE + len) == 0)
			t->out_bytes += NAME_STREAM_FRAME_SIZE + len;
		tell(t, s, SOCK_READABLE);
	}
	if (is_at_end(s))
		tell(t, s, SOCK_READABLE | SOCK_HANGUP);
	unblock(t, s);
}

/* The message is complete. */
static void finish_message(struct name_streams *t, struct name_stream *s)
{
	size_t len = s->size < NAME_STREAM_QUERY_MAX ? s->size : (size_t)NAME_STREAM_QUERY_MAX;
	uint8_t *in = s->in;

	s->has_size = false;
	s->got = 0;
	s->in = NULL;
	s->pending++;
	if (!t->on_message(t->ctx, s, in, len))
		name_stream_answer(t, s, NULL, 0);
	free(in);
}

/* Takes bytes up to the end of a message. How many, or -ENOMEM. */
static ssize_t take(struct name_streams *t, struct name_stream *s, const uint8_t *bytes, size_t len)
{
	size_t n;

	if (!s->has_size) {
		s->size = s->size << 8 | bytes[0];
		if (++s->got < NAME_STREAM_FRAME_SIZE)
			return 1;
		s->got = 0;
		s->has_size = s->size > 0;
		return 1;
	}
	if (!s->in)
		s->in = malloc(NAME_STREAM_QUERY_MAX);
	if (!s->in)
		return -ENOMEM;
	n = len < s->size - s->got ? len : s->size - s->got;
	if (s->got < NAME_STREAM_QUERY_MAX) {
		size_t room = NAME_STREAM_QUERY_MAX - s->got;

		memcpy(s->in + s->got, bytes, n < room ? n : room);
	}
	s->got += (uint32_t)n;
	if (s->got == s->size) {
		finish_message(t, s);
		s->size = 0;
	}
	return (ssize_t)n;
}

static ssize_t stream_send(
    struct name_streams *t, struct name_stream *s, const struct iovec *iov, size_t iov_count)
{
	ssize_t total = 0;

	for (size_t i = 0; i < iov_count; i++) {
		const uint8_t *bytes = iov[i].iov_base;
		size_t done = 0;

		while (done < iov[i].iov_len) {
			ssize_t n =
			    has_room(s) ? take(t, s, bytes + done, iov[i].iov_len - done) : -EAGAIN;

			if (n < 0) {
				s->is_blocked = true;
				return total > 0 ? total : n;
			}
			done += (size_t)n;
			total += n;
		}
	}
	return total;
}

static ssize_t stream_peek(
    const struct name_stream *s, size_t off, const struct iovec *iov, size_t iov_count)
{
	struct iovec from[PEEK_PIECES];
	size_t pieces = chain_peek(&s->out, from, PEEK_PIECES);
	size_t at = 0; /* in the piece of iov */
	size_t to = 0;
	ssize_t total = 0;

	for (size_t i = 0; i < pieces && to < iov_count; i++) {
		const uint8_t *bytes = from[i].iov_base;
		size_t skip = off < from[i].iov_len ? off : from[i].iov_len;

		off -= skip;
		/* Each turn fills a piece of iov, or empties one of the chain. */
		while (skip < from[i].iov_len && to < iov_count) {
			size_t room = iov[to].iov_len - at;
			size_t left = from[i].iov_len - skip;
			size_t n = room < left ? room : left;

			memcpy((uint8_t *)iov[to].iov_base + at, bytes + skip, n);
			skip += n;
			at += n;
			total += (ssize_t)n;
			if (at == iov[to].iov_len) {
				at = 0;
				to++;
			}
		}
	}
	if (total > 0)
		return total;
	return is_at_end(s) ? 0 : -EAGAIN;
}

/* ---- struct sock_ops ---- */

static int op_tcp_connect(
    void *host, const struct endpoint *to, struct sock_owner owner, int *ret_sock)
{
	struct name_streams *t = host;

	return t->ops->tcp_connect(t->host, to, owner, ret_sock);
}

static int op_tcp_result(void *host, int sock)
{
	struct name_streams *t = host;

	return is_stream(sock) ? 0 : t->ops->tcp_result(t->host, sock);
}

static ssize_t op_tcp_send(void *host, int sock, const struct iovec *iov, size_t iov_count)
{
	struct name_streams *t = host;

	if (is_stream(sock))
		return stream_send(t, stream_of(t, sock), iov, iov_count);
	return t->ops->tcp_send(t->host, sock, iov, iov_count);
}

static ssize_t op_tcp_peek(
    void *host, int sock, size_t off, const struct iovec *iov, size_t iov_count)
{
	struct name_streams *t = host;

	if (is_stream(sock))
		return stream_peek(stream_of(t, sock), off, iov, iov_count);
	return t->ops->tcp_peek(t->host, sock, off, iov, iov_count);
}

static int op_tcp_consume(void *host, int sock, size_t len)
{
	struct name_streams *t = host;
	struct name_stream *s;

	if (!is_stream(sock))
		return t->ops->tcp_consume(t->host, sock, len);
	s = stream_of(t, sock);
	chain_consume(&s->out, len);
	t->out_bytes -= len;
	unblock(t, s);
	return 0;
}

static int op_tcp_shutdown(void *host, int sock)
{
	struct name_streams *t = host;
	struct name_stream *s;

	if (!is_stream(sock))
		return t->ops->tcp_shutdown(t->host, sock);
	s = stream_of(t, sock);
	s->has_eof = true;
	if (is_at_end(s))
		tell(t, s, SOCK_READABLE | SOCK_HANGUP);
	return 0;
}

static int op_tcp_accept(void *host, int listener, int *ret_sock, struct endpoint *ret_peer)
{
	struct name_streams *t = host;

	return t->ops->tcp_accept(t->host, listener, ret_sock, ret_peer);
}

static int op_tcp_local(void *host, int sock, struct endpoint *ret_local)
{
	struct name_streams *t = host;

	return t->ops->tcp_local(t->host, sock, ret_local);
}

static int op_adopt(void *host, int sock, struct sock_owner owner)
{
	struct name_streams *t = host;

	return t->ops->adopt(t->host, sock, owner);
}

static int op_udp_open(
    void *host, const struct endpoint *to, struct sock_owner owner, int *ret_sock)
{
	struct name_streams *t = host;

	return t->ops->udp_open(t->host, to, owner, ret_sock);
}

static ssize_t op_udp_send(
    void *host, int sock, const struct iovec *iov, size_t iov_count, uint16_t gso_size, bool has_df)
{
	struct name_streams *t = host;

	return t->ops->udp_send(t->host, sock, iov, iov_count, gso_size, has_df);
}

static ssize_t op_udp_recv(
    void *host, int sock, const struct iovec *iov, size_t iov_count, uint16_t *ret_gso_size)
{
	struct name_streams *t = host;

	return t->ops->udp_recv(t->host, sock, iov, iov_count, ret_gso_size);
}

static ssize_t op_udp_recv_from(void *host, int sock, const struct iovec *iov, size_t iov_count,
    uint16_t *ret_gso_size, struct endpoint *ret_from, struct ip_addr *ret_local)
{
	struct name_streams *t = host;

	return t->ops->udp_recv_from(
	    t->host, sock, iov, iov_count, ret_gso_size, ret_from, ret_local);
}

static ssize_t op_udp_send_to(
    void *host, int sock, const struct iovec *iov, size_t iov_count, const struct sock_send *how)
{
	struct name_streams *t = host;

	return t->ops->udp_send_to(t->host, sock, iov, iov_count, how);
}

static uint32_t op_udp_mtu(void *host, int sock)
{
	struct name_streams *t = host;

	return t->ops->udp_mtu(t->host, sock);
}

static int op_error_next(
    void *host, int sock, struct sock_error *ret_error, uint8_t *buf, size_t cap)
{
	struct name_streams *t = host;

	return t->ops->error_next(t->host, sock, ret_error, buf, cap);
}

static int op_ping_open(void *host, uint8_t family, struct sock_owner owner, int *ret_sock)
{
	struct name_streams *t = host;

	return t->ops->ping_open(t->host, family, owner, ret_sock);
}

static ssize_t op_ping_send(void *host, int sock, const struct ip_addr *to, uint16_t seq,
    const struct iovec *payload, size_t iov_count)
{
	struct name_streams *t = host;

	return t->ops->ping_send(t->host, sock, to, seq, payload, iov_count);
}

static ssize_t op_ping_recv(
    void *host, int sock, struct ip_addr *ret_from, uint16_t *ret_seq, uint8_t *buf, size_t cap)
{
	struct name_streams *t = host;

	return t->ops->ping_recv(t->host, sock, ret_from, ret_seq, buf, cap);
}

static void op_close(void *host, int sock, bool is_reset)
{
	struct name_streams *t = host;

	if (is_stream(sock))
		close_stream(t, stream_of(t, sock));
	else
		t->ops->close(t->host, sock, is_reset);
}

static void op_random(void *host, void *buf, size_t len)
{
	struct name_streams *t = host;

	t->ops->random(t->host, buf, len);
}

const struct sock_ops name_stream_ops = {
    .tcp_connect = op_tcp_connect,
    .tcp_result = op_tcp_result,
    .tcp_send = op_tcp_send,
    .tcp_peek = op_tcp_peek,
    .tcp_consume = op_tcp_consume,
    .tcp_shutdown = op_tcp_shutdown,
    .tcp_accept = op_tcp_accept,
    .tcp_local = op_tcp_local,
    .adopt = op_adopt,
    .udp_open = op_udp_open,
    .udp_send = op_udp_send,
    .udp_recv = op_udp_recv,
    .udp_recv_from = op_udp_recv_from,
    .udp_send_to = op_udp_send_to,
    .udp_mtu = op_udp_mtu,
    .error_next = op_error_next,
    .ping_open = op_ping_open,
    .ping_send = op_ping_send,
    .ping_recv = op_ping_recv,
    .close = op_close,
    .random = op_random,
};
