/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated host: published ports. A client's connection stands when the kernel has it, whether or not the
 * engine has taken it in: what the client sends then waits in the socket.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim_host.h"

struct sim_sock *sim_host_listen(struct sim_host *h, const struct endpoint *at)
{
	struct sim_sock *s = sim_sock_new(h, (struct sock_owner){.kind = SOCK_LISTEN}, at);

	s->is_unwatched = true;
	s->state = SIM_SOCK_OPEN;
	return s;
}

struct sim_sock *sim_host_client(struct sim_sock *listener, const struct endpoint *peer,
    const struct endpoint *local, const struct sim_remote *remote)
{
	struct sim_host *h = listener->host;
	struct sim_sock *s = sim_tcp_new(h, (struct sock_owner){.kind = SOCK_TCP}, peer, remote);

	s->is_unwatched = true;
	s->local = *local;
	s->state = SIM_SOCK_OPEN;
	*(listener->pending_end ? listener->pending_end : &listener->pending) = s;
	listener->pending_end = &s->next_pending;
	sim_sock_wake(listener);
	if (!s->remote.is_manual)
		sim_app_on_open(&s->app);
	return s;
}

uint32_t sim_listen_events(const struct sim_sock *s)
{
	return s->pending ? (uint32_t)SOCK_READABLE : 0;
}

/* The kernel resets those that nobody has taken in. */
void sim_listen_close(struct sim_sock *s)
{
	while (s->pending) {
		struct sim_sock *c = s->pending;

		s->pending = c->next_pending;
		sim_sock_ops.close(c->host, c->number, true);
	}
}

int sim_tcp_accept(void *host, int listener, int *ret_sock, struct endpoint *ret_peer)
{
	struct sim_host *h = host;
	struct sim_sock *l = sim_sock_get(h, listener, SOCK_LISTEN);
	int err = sim_sock_fault(h, SIM_OP_ACCEPT);
	struct sim_sock *s;

	if (!l)
		return -EBADF;
	if (err)
		return err;
	s = l->pending;
	if (!s)
		return -EAGAIN;
	l->pending = s->next_pending;
	if (!l->pending)
		l->pending_end = NULL;
	h->accepted++;
	*ret_sock = s->number;
	*ret_peer = s->to;
	return 0;
}

int sim_tcp_local(void *host, int sock, struct endpoint *ret_local)
{
	struct sim_sock *s = sim_sock_get(host, sock, SOCK_TCP);

	if (!s)
		return -EBADF;
	*ret_local = s->local;
	return 0;
}

int sim_adopt(void *host, int sock, struct sock_owner owner)
{
	struct sim_host *h = host;
	struct sim_sock *s = h->socks[sock];
	int err = sim_sock_fault(h, SIM_OP_ADOPT);

	if (err)
		return err;
	if (!s->is_unwatched)
		sim_fail(h->sim, "host: socket %d is adopted twice", sock);
	s->owner = owner;
	s->is_unwatched = false;
	sim_sock_wake(s);
	return 0;
}
