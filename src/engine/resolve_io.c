/* SPDX-License-Identifier: Apache-2.0 */
/* DNS: the sockets to the resolvers; see resolve.h. What is sent, and when, names/forward.h decides. */
#include <errno.h>

#include "engine/internal.h"

enum {
	ANSWERS_TURN = 64, /* of one socket */
	ERRORS_MAX = 16,   /* in a row from one socket: then it waits for its next event */
	TIMERS_TURN = 256,
};

static bool is_tcp(uint32_t slot)
{
	return slot >= FORWARD_UDP_SLOTS;
}

static int op_open(void *engine, uint32_t slot, const struct endpoint *to, bool by_tcp)
{
	struct engine *e = engine;
	struct sock_owner owner = {
	    .kind = by_tcp ? SOCK_DNS_TCP : SOCK_DNS, .ref = {.index = slot}};

	return admit_resolver(e, to, owner, &e->resolve.socks[slot]);
}

static ssize_t op_send(void *engine, uint32_t slot, uint8_t *bytes, size_t len)
{
	struct engine *e = engine;
	struct iovec iov = {.iov_base = bytes, .iov_len = len};
	int sock = e->resolve.socks[slot];

	if (is_tcp(slot))
		return e->world.ops->tcp_send(e->world.host, sock, &iov, 1);
	return e->world.ops->udp_send(e->world.host, sock, &iov, 1, 0, false);
}

static void op_close(void *engine, uint32_t slot)
{
	struct engine *e = engine;

	e->world.ops->close(e->world.host, e->resolve.socks[slot], false);
	e->resolve.socks[slot] = SOCK_NONE;
}

static void op_random(void *engine, void *buf, size_t len)
{
	struct engine *e = engine;

	e->world.ops->random(e->world.host, buf, len);
}

const struct forward_ops resolve_forward_ops = {
    .open = op_open,
    .send = op_send,
    .close = op_close,
    .random = op_random,
    .done = resolve_on_done,
};

static void mark(struct resolve *r, uint32_t slot)
{
	if (r->is_dirty[slot])
		return;
	r->is_dirty[slot] = true;
	r->dirty[r->dirty_count++] = slot;
}

static void drain_errors(struct engine *e, uint32_t slot)
{
	uint8_t back[64];
	struct sock_error err;

	for (int i = 0; i < ANSWERS_TURN && e->resolve.socks[slot] != SOCK_NONE; i++) {
		if (e->world.ops->error_next(
			e->world.host, e->resolve.socks[slot], &err, back, sizeof(back)) != 1)
			return;
		forward_on_error(&e->resolve.forward, slot, e->world.now_ns);
	}
}

void resolve_on_sock(struct engine *e, uint32_t slot, uint32_t events)
{
	struct resolve *r = &e->resolve;

	if (slot >= FORWARD_SLOTS || r->socks[slot] == SOCK_NONE)
		return;
	mark(r, slot);
	if (!is_tcp(slot) && (events & SOCK_ERROR) != 0)
		drain_errors(e, slot);
	if (is_tcp(slot) && (events & SOCK_ERROR) != 0 &&
	    e->world.ops->tcp_result(e->world.host, r->socks[slot]) != 0)
		forward_on_error(&r->forward, slot, e->world.now_ns);
	else if (is_tcp(slot) && (events & SOCK_WRITABLE) != 0)
		forward_on_writable(&r->forward, slot, e->world.now_ns);
}

/* True if the socket has nothing more, or nothing but errors. */
static bool take_datagrams(struct engine *e, uint32_t slot)
{
	uint8_t msg[FORWARD_UDP_RECV];
	struct iovec iov = {.iov_base = msg, .iov_len = sizeof(msg)};
	struct resolve *r = &e->resolve;
	int errors = 0;

	for (int i = 0; i < ANSWERS_TURN && errors < ERRORS_MAX; i++) {
		uint16_t gso_size;
		ssize_t n;

		if (r->socks[slot] == SOCK_NONE)
			return true;
		n = e->world.ops->udp_recv(e->world.host, r->socks[slot], &iov, 1, &gso_size);
		if (n == -EAGAIN)
			return true;
		if (n < 0) {
			errors++;
			forward_on_error(&r->forward, slot, e->world.now_ns);
			continue;
		}
		errors = 0;
		forward_on_datagram(&r->forward, slot, msg, (size_t)n, e->world.now_ns);
	}
	return errors == ERRORS_MAX;
}

static bool take_bytes(struct engine *e, uint32_t slot)
{
	struct resolve *r = &e->resolve;

	for (int i = 0; i < ANSWERS_TURN; i++) {
		struct iovec iov;
		size_t room = 0;
		ssize_t n;

		iov.iov_base = forward_room(&r->forward, slot, &room);
		iov.iov_len = room;
		if (!iov.iov_base)
			return true;
		n = e->world.ops->tcp_peek(e->world.host, r->socks[slot], 0, &iov, 1);
		if (n == -EAGAIN)
			return true;
		if (n < 0 || (n > 0 && e->world.ops->tcp_consume(
					   e->world.host, r->socks[slot], (size_t)n) != 0)) {
			forward_on_error(&r->forward, slot, e->world.now_ns);
			return true;
		}
		if (!forward_on_bytes(&r->forward, slot, (size_t)n, e->world.now_ns))
			return true;
	}
	return false;
}

bool resolve_serve(struct engine *e)
{
	struct resolve *r = &e->resolve;
	uint32_t count = r->dirty_count;
	uint32_t left = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t slot = r->dirty[i];
		bool is_done = is_tcp(slot) ? take_bytes(e, slot) : take_datagrams(e, slot);

		r->is_dirty[slot] = !is_done;
		if (!is_done)
			r->dirty[left++] = slot;
	}
	r->dirty_count = left;
	resolve_on_timer(e);
	return left > 0;
}

void resolve_on_timer(struct engine *e)
{
	struct resolve *r = &e->resolve;

	(void)forward_on_time(&r->forward, e->world.now_ns, TIMERS_TURN);
	if (forward_is_idle(&r->forward))
		forward_rest(&r->forward);
	else
		engine_arm(e, &r->timer, forward_next_ns(&r->forward));
}

void resolve_serve_streams(struct engine *e)
{
	struct sock_owner owner;
	uint32_t events;

	while (name_streams_next(&e->resolve.streams, &owner, &events)) {
		struct tcp_flow *f = pool_find(&e->tcp.pool, owner.ref);

		if (f)
			tcp_flow_on_sock(&e->tcp, &e->world, f, events);
	}
}
