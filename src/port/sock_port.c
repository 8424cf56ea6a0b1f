/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ports over a socket have in common; see sock_port.h.
 *
 * Reading: the descriptor is watched level-triggered, and a read that got less than it asked for is not
 * repeated before the next event. Writing: frames leave at flush, or sooner when many wait; a
 * socket that is full is watched until it takes some again, and not tried before. So an idle
 * link costs nothing, and a slow one no vain calls. Tests: tests/unit/test_stream.c,
 * tests/unit/test_dgram.c.
 */
#include "port/sock_port.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
	TOKEN_SUPPLY = 0,
	TOKEN_PEER = 1,

	SEND_EARLY = 128 << 10, /* committed bytes that do not wait for the flush */
};

static struct sock_port *of_port(struct port *p)
{
	return container_of(p, struct sock_port, port);
}

static void watch_peer(struct sock_port *s)
{
	uint32_t events =
	    PORT_READABLE | PORT_PAUSES | (s->is_blocked ? (uint32_t)PORT_WRITABLE : 0U);

	/* Fails for lack of memory only; the connection is useless then. */
	if (s->loop && s->loop->watch(s->loop, s->fd, events, TOKEN_PEER))
		s->is_deaf = s->has_more = true;
}

void sock_port_lose(struct sock_port *s, enum supply_end how, uint32_t value)
{
	if (s->fd < 0)
		return;
	if (s->loop)
		s->loop->unwatch(s->loop, s->fd);
	(void)close(s->fd);
	s->fd = -1;
	s->has_more = s->is_blocked = s->is_deaf = false;
	sendq_lose(&s->out, UINT32_MAX, &s->port.nic.counters);
	s->framing.reset(s);
	supply_report(s->supply, how, value);
}

int sock_port_none(const struct sock_port *s)
{
	return s->fd < 0 && s->is_last ? -EPIPE : 0;
}

bool sock_port_read_failed(struct sock_port *s, int error, uint32_t bytes)
{
	if (error == EINTR)
		return false;
	s->has_more = false;
	if (error == EAGAIN && !s->is_deaf)
		return false;
	if (bytes > 0) {
		s->port.nic.counters.tx_broken++;
		sock_port_lose(s, SUPPLY_CUT, bytes);
	} else {
		sock_port_lose(s, SUPPLY_CLOSED, error == EAGAIN ? 0 : (uint32_t)error);
	}
	return true;
}

/* Nothing can be sent any more. What has come is read to the end, then the connection is closed. */
static void become_deaf(struct sock_port *s)
{
	if (s->fd < 0)
		return;
	sendq_lose(&s->out, UINT32_MAX, &s->port.nic.counters);
	s->is_deaf = s->has_more = true;
}

/* Sends what can be sent. */
static void send_out(struct sock_port *s)
{
	int err;

	s->unsent = 0;
	if (s->fd < 0 || s->is_deaf)
		return;
	err = s->framing.send(s);
	if (err && err != -EAGAIN) {
		become_deaf(s);
		err = 0;
	}
	if (s->is_blocked != (err == -EAGAIN)) {
		s->is_blocked = !s->is_blocked;
		watch_peer(s);
	}
}

static int sock_reserve(
    struct nic *nic, uint32_t head_len, uint32_t body_len, struct nic_slot *ret_slot)
{
	struct sock_port *s = sock_port_of(nic);
	int err = -EAGAIN;

	if (s->fd >= 0 && !s->is_deaf) {
		err = sendq_reserve(&s->out, head_len, body_len, ret_slot);
		if (err && !s->is_blocked && sendq_count(&s->out) > 0) {
			send_out(s);
			err = sendq_reserve(&s->out, head_len, body_len, ret_slot);
		}
	}
	s->wants_room = s->wants_room || err;
	return err;
}

static void sock_commit(
    struct nic *nic, struct nic_slot *slot, uint32_t body_len, const struct vnet_hdr *vnet)
{
	static const struct vnet_hdr none;
	struct sock_port *s = sock_port_of(nic);
	uint32_t len = sendq_commit(&s->out, slot, body_len);
	uint8_t *prefix = slot->head;

	if (s->has_vnet) {
		prefix -= VNET_HDR_SIZE;
		len += VNET_HDR_SIZE;
		vnet_build(vnet ? vnet : &none, prefix);
	}
	if (s->framing.build_prefix)
		s->framing.build_prefix(prefix, len);
	s->unsent += len;
	if (s->unsent >= SEND_EARLY && !s->is_blocked)
		send_out(s);
}

static void sock_cancel(struct nic *nic, struct nic_slot *slot)
{
	(void)slot;
	sendq_cancel(&sock_port_of(nic)->out);
}

static void sock_flush(struct nic *nic)
{
	struct sock_port *s = sock_port_of(nic);

	if (sendq_count(&s->out) > 0 && !s->is_blocked)
		send_out(s);
}

static int sock_start(struct port *p, struct port_loop *loop)
{
	struct sock_port *s = of_port(p);

	s->loop = loop;
	return loop->watch(loop, s->supply, PORT_READABLE, TOKEN_SUPPLY);
}

/* The next connection takes the place of one that is still there. */
static uint32_t on_supply(struct sock_port *s)
{
	int fd = supply_take(s->supply);

	if (fd == -EAGAIN)
		return 0;
	if (fd == -ENOTCONN) {
		become_deaf(s);
		return PORT_HAS_FRAMES;
	}
	if (fd < 0) {
		s->is_last = true;
		s->loop->unwatch(s->loop, s->supply);
		return s->fd < 0 ? PORT_IS_GONE : 0;
	}
	sock_port_lose(s, SUPPLY_CLOSED, 0);
	s->fd = fd;
	s->has_more = true;
	s->port.nic.counters.links++;
	watch_peer(s);
	s->wants_room = false;
	return PORT_IS_NEW | PORT_HAS_FRAMES | PORT_HAS_ROOM;
}

static uint32_t sock_on_ready(struct port *p, uint16_t token, uint32_t events)
{
	struct sock_port *s = of_port(p);
	uint32_t what = 0;

	if (token == TOKEN_SUPPLY)
		return on_supply(s);
	if (s->fd < 0)
		return 0; /* told in the same wait in which it was lost */
	if ((events & PORT_WRITABLE) != 0)
		send_out(s);
	if (s->wants_room && !s->is_deaf && sendq_is_roomy(&s->out)) {
		s->wants_room = false;
		what |= PORT_HAS_ROOM;
	}
	if ((events & PORT_READABLE) != 0) {
		s->has_more = true;
		what |= PORT_HAS_FRAMES;
	}
	return what;
}

/* A peer that was found deaf while frames were written has something to read: its end. */
static uint32_t sock_poll(struct port *p, bool is_waiting)
{
	struct sock_port *s = of_port(p);

	(void)is_waiting;
	return s->is_deaf && !p->nic.is_held ? PORT_HAS_FRAMES : 0;
}

static void sock_stop(struct port *p)
{
	struct sock_port *s = of_port(p);

	if (s->fd >= 0)
		s->loop->unwatch(s->loop, s->fd);
	if (!s->is_last)
		s->loop->unwatch(s->loop, s->supply);
	s->loop = NULL;
}

static void sock_free(struct port *p)
{
	struct sock_port *s = of_port(p);

	if (s->fd >= 0)
		(void)close(s->fd);
	(void)close(s->supply);
	sendq_fini(&s->out);
	s->framing.free(s);
}

static const struct port_ops sock_port_ops = {
    .start = sock_start,
    .on_ready = sock_on_ready,
    .poll = sock_poll,
    .stop = sock_stop,
    .free = sock_free,
};

int sock_port_init(struct sock_port *s, const struct sock_port_config *cfg,
    const struct sock_framing *framing, uint32_t prefix_len)
{
	/* Only the header says that a checksum is not finished. */
	uint32_t features = cfg->has_vnet ? cfg->features : cfg->features & ~(uint32_t)NIC_F_CSUM;

	s->framing = *framing;
	s->framing.nic.reserve = sock_reserve;
	s->framing.nic.commit = sock_commit;
	s->framing.nic.cancel = sock_cancel;
	s->framing.nic.flush = sock_flush;
	s->port = (struct port){
	    .ops = &sock_port_ops,
	    .nic = {.ops = &s->framing.nic, .features = features, .batch_max = NIC_BATCH_MAX},
	};
	s->supply = cfg->supply;
	s->fd = -1;
	s->has_vnet = cfg->has_vnet;
	return sendq_init(&s->out, prefix_len + (cfg->has_vnet ? (uint32_t)VNET_HDR_SIZE : 0U));
}
