/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated host: UDP and ping sockets; see sim_host.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim_host.h"

uint32_t sim_udp_events(const struct sim_sock *s)
{
	return (s->dg_first ? (uint32_t)SOCK_READABLE : 0) |
	       (s->err_first ? (uint32_t)SOCK_ERROR : 0) | SOCK_WRITABLE;
}

void sim_udp_free(struct sim_sock *s)
{
	struct sim_datagram *d;
	struct sim_errno *e;

	while ((d = s->dg_first) != NULL) {
		s->dg_first = d->next;
		free(d);
	}
	while ((e = s->err_first) != NULL) {
		s->err_first = e->next;
		free(e);
	}
}

/* The pieces as one block, which the caller frees. */
static uint8_t *flatten(const struct iovec *iov, size_t iov_count, size_t *ret_len)
{
	size_t len = 0;
	uint8_t *bytes;
	uint8_t *out;

	for (size_t i = 0; i < iov_count; i++)
		len += iov[i].iov_len;
	bytes = sim_alloc(len);
	out = bytes;
	for (size_t i = 0; i < iov_count; i++) {
		memcpy(out, iov[i].iov_base, iov[i].iov_len);
		out += iov[i].iov_len;
	}
	*ret_len = len;
	return bytes;
}

/* Copies as much as fits; returns how many bytes. */
static size_t scatter(const uint8_t *bytes, size_t len, const struct iovec *iov, size_t iov_count)
{
	size_t done = 0;

	for (size_t i = 0; i < iov_count && done < len; i++) {
		size_t take = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

		memcpy(iov[i].iov_base, bytes + done, take);
		done += take;
	}
	return done;
}

int sim_udp_open(void *host, const struct endpoint *to, struct sock_owner owner, int *ret_sock)
{
	struct sim_host *h = host;
	struct sim_remote remote = {.answer = SIM_ANSWER_SILENT};
	int err = sim_sock_fault(h, SIM_OP_UDP_OPEN);
	struct sim_sock *s;

	if (err)
		return err;
	if (h->find && h->find(h->ctx, to, &remote) && remote.answer == SIM_ANSWER_ERROR &&
	    remote.is_sync)
		return -remote.error;
	s = sim_sock_new(h, owner, to);
	s->remote = remote;
	s->state = SIM_SOCK_OPEN;
	*ret_sock = s->number;
	return 0;
}

ssize_t sim_udp_send(
    void *host, int sock, const struct iovec *iov, size_t iov_count, uint16_t gso_size, bool has_df)
{
	struct sim_host *h = host;
	struct sim_sock *s = sim_sock_get(h, sock, SOCK_UDP);
	int err = sim_sock_fault(h, SIM_OP_UDP_SEND);
	size_t len;
	uint8_t *bytes;
	uint32_t head;

	if (!s)
		return -EBADF;
	if (err)
		return err;
	if (s->error != 0) { /* told once, then the next datagram goes */
		err = -s->error;
		s->error = 0;
		return err;
	}
	if (s->send_error != 0)
		return -s->send_error;
	bytes = flatten(iov, iov_count, &len);
	head = ip_addr_is_v4(&s->to.addr) ? 28 : 48;
	if (has_df && s->mtu > 0 && (gso_size > 0 ? gso_size : len) + head > s->mtu) {
		free(bytes);
		return -EMSGSIZE;
	}
	s->tx_total += len;
	if (h->on_datagram)
		h->on_datagram(h->ctx, s,
		    &(struct sim_sent_datagram){.to = s->to,
			.len = (uint32_t)len,
			.gso_size = gso_size,
			.has_df = has_df,
			.bytes = bytes});
	free(bytes);
	return 0;
}

ssize_t sim_udp_recv(
    void *host, int sock, const struct iovec *iov, size_t iov_count, uint16_t *ret_gso_size)
{
	struct sim_host *h = host;
	struct sim_sock *s = sim_sock_get(h, sock, SOCK_UDP);
	int err = sim_sock_fault(h, SIM_OP_UDP_RECV);
	struct sim_datagram *d;
	size_t n;

	if (!s)
		return -EBADF;
	if (err)
		return err;
	if (s->error != 0) {
		err = -s->error;
		s->error = 0;
		return err;
	}
	d = s->dg_first;
	if (!d)
		return -EAGAIN;
	n = scatter(d->bytes, d->len, iov, iov_count);
	*ret_gso_size = d->gso_size;
	s->dg_first = d->next;
	if (!s->dg_first)
		s->dg_end = &s->dg_first;
	free(d);
	return (ssize_t)n;
}

uint32_t sim_udp_mtu(void *host, int sock)
{
	struct sim_sock *s = sim_sock_get(host, sock, SOCK_UDP);

	return s ? s->mtu : 0;
}

int sim_error_next(void *host, int sock, struct sock_error *ret_error, uint8_t *buf, size_t cap)
{
	struct sim_host *h = host;
	struct sim_sock *s = sim_sock_get(h, sock, SOCK_UDP);
	struct sim_errno *e;
	int err = sim_sock_fault(h, SIM_OP_ERROR_NEXT);

	if (!s)
		return -EBADF;
	if (err)
		return err;
	e = s->err_first;
	if (!e)
		return 0;
	*ret_error = e->error;
	if (ret_error->len > cap)
		ret_error->len = cap;
	memcpy(buf, e->bytes, ret_error->len);
	s->err_first = e->next;
	if (!s->err_first)
		s->err_end = &s->err_first;
	free(e);
	return 1;
}

int sim_ping_open(void *host, uint8_t family, struct sock_owner owner, int *ret_sock)
{
	struct sim_host *h = host;
	int err = sim_sock_fault(h, SIM_OP_PING_OPEN);
	struct sim_sock *s;

	if (err)
		return err;
	if (h->has_no_ping)
		return -EACCES;
	s = sim_sock_new(h, owner, NULL);
	s->family = family;
	s->state = SIM_SOCK_OPEN;
	*ret_sock = s->number;
	return 0;
}

ssize_t sim_ping_send(void *host, int sock, const struct ip_addr *to, uint16_t seq,
    const struct iovec *payload, size_t iov_count)
{
	struct sim_host *h = host;
	struct sim_sock *s = sim_sock_get(h, sock, SOCK_PING);
	int err = sim_sock_fault(h, SIM_OP_PING_SEND);
	size_t len;
	uint8_t *bytes;

	if (!s)
		return -EBADF;
	if (err)
		return err;
	bytes = flatten(payload, iov_count, &len);
	if (h->on_datagram)
		h->on_datagram(h->ctx, s,
		    &(struct sim_sent_datagram){
			.to = {.addr = *to}, .len = (uint32_t)len, .seq = seq, .bytes = bytes});
	free(bytes);
	return 0;
}

ssize_t sim_ping_recv(
    void *host, int sock, struct ip_addr *ret_from, uint16_t *ret_seq, uint8_t *buf, size_t cap)
{
	struct sim_host *h = host;
	struct sim_sock *s = sim_sock_get(h, sock, SOCK_PING);
	int err = sim_sock_fault(h, SIM_OP_PING_RECV);
	struct sim_datagram *d;
	size_t n;

	if (!s)
		return -EBADF;
	if (err)
		return err;
	d = s->dg_first;
	if (!d)
		return -EAGAIN;
	n = d->len < cap ? d->len : cap;
	memcpy(buf, d->bytes, n);
	*ret_from = d->from.addr;
	*ret_seq = d->seq;
	s->dg_first = d->next;
	if (!s->dg_first)
		s->dg_end = &s->dg_first;
	free(d);
	return (ssize_t)n;
}

void sim_peer_datagram(struct sim_sock *s, const struct endpoint *from, uint16_t seq,
    const void *bytes, uint32_t len, uint16_t gso_size)
{
	struct sim_datagram *d = sim_alloc(sizeof(*d) + len);

	if (from)
		d->from = *from;
	d->seq = seq;
	d->len = len;
	d->gso_size = gso_size;
	memcpy(d->bytes, bytes, len);
	*s->dg_end = d;
	s->dg_end = &d->next;
	sim_sock_wake(s);
}

void sim_peer_error(struct sim_sock *s, const struct sock_error *error, const void *bytes)
{
	struct sim_errno *e = sim_alloc(sizeof(*e));

	e->error = *error;
	if (e->error.len > sizeof(e->bytes))
		e->error.len = sizeof(e->bytes);
	if (e->error.len > 0)
		memcpy(e->bytes, bytes, e->error.len);
	*s->err_end = e;
	s->err_end = &e->next;
	sim_sock_wake(s);
}

ssize_t sim_udp_recv_from(void *host, int sock, const struct iovec *iov, size_t iov_count,
    uint16_t *ret_gso_size, struct endpoint *ret_from, struct ip_addr *ret_local)
{
	struct sim_sock *s = sim_sock_get(host, sock, SOCK_PUBLISHED);

	if (s && s->dg_first)
		*ret_from = s->dg_first->from;
	if (s)
		*ret_local = s->to.addr;
	return sim_udp_recv(host, sock, iov, iov_count, ret_gso_size);
}

ssize_t sim_udp_send_to(
    void *host, int sock, const struct iovec *iov, size_t iov_count, const struct sock_send *how)
{
	struct sim_host *h = host;
	struct sim_sock *s = sim_sock_get(h, sock, SOCK_PUBLISHED);
	struct endpoint at;
	ssize_t result;

	if (!s)
		return -EBADF;
	if (!ip_addr_eq(how->from, &s->to.addr))
		sim_fail(h->sim,
		    "host: an answer leaves from another address than the question came to");
	at = s->to;
	s->to = *how->to;
	result = sim_udp_send(host, sock, iov, iov_count, how->gso_size, how->has_df);
	s->to = at;
	return result;
}
