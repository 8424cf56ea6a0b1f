/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The framing of the stream port: what a peer sends is cut into pieces anywhere, staged frames are held and
 * released in any amounts, and what is staged must be what a plain reading of all bytes gives.
 * Input: one byte of options, then pieces: two bytes of length and how many frames may be held, the bytes.
 */
#include "fuzz.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "base/rd.h"
#include "port/port_open.h"
#include "port/supply.h"

enum {
	HELD_MAX = 16,
	IS_VNET = 1,
};

struct world {
	struct port_loop loop;
	struct port *port;
	int supply;
	int peer;
	bool has_vnet;
	bool is_over;    /* the connection must have ended */
	struct rd plain; /* the bytes that have been sent, as far as they were compared */
	struct frame held[HELD_MAX];
	uint32_t held_count;
	const uint8_t *held_plain[HELD_MAX];
};

static void require(bool claim)
{
	if (!claim)
		abort();
}

static int watch(struct port_loop *l, int fd, uint32_t events, uint16_t token)
{
	(void)l;
	(void)fd;
	(void)events;
	(void)token;
	return 0;
}

static void unwatch(struct port_loop *l, int fd)
{
	(void)l;
	(void)fd;
}

static void start(struct world *w, bool has_vnet)
{
	struct port_config cfg = {.kind = PORT_KIND_STREAM, .has_vnet = has_vnet};
	int supply[2];
	int ends[2];

	*w = (struct world){.loop = {.watch = watch, .unwatch = unwatch}, .has_vnet = has_vnet};
	require(supply_pair(supply) == 0);
	require(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	cfg.fd = supply[1];
	w->supply = supply[0];
	w->peer = ends[1];
	require(port_open(&cfg, &w->port) == 0);
	require(w->port->ops->start(w->port, &w->loop) == 0);
	require(supply_give(w->supply, ends[0]) == 0);
	(void)close(ends[0]);
	require(w->port->ops->on_ready(w->port, 0, PORT_READABLE) != 0);
}

/* Held frames have not changed; they are given back. */
static void release(struct world *w)
{
	for (uint32_t i = 0; i < w->held_count; i++)
		require(memcmp(w->held[i].head, w->held_plain[i], w->held[i].len) == 0);
	if (w->held_count > 0)
		w->port->nic.ops->release(&w->port->nic, w->held_count);
	w->held_count = 0;
}

/* A frame was staged: it is the next one of the plain bytes. */
static void compare(struct world *w, const struct frame *f)
{
	uint32_t skip = w->has_vnet ? (uint32_t)VNET_HDR_SIZE : 0U;
	uint32_t len = rd_be32(&w->plain);
	const uint8_t *bytes;

	require(!w->is_over && len == f->len + skip && len > skip && f->len <= FRAME_LEN_MAX);
	rd_skip(&w->plain, skip);
	bytes = rd_bytes(&w->plain, f->len);
	require(bytes != NULL && memcmp(bytes, f->head, f->len) == 0);
	w->held[w->held_count] = *f;
	w->held_plain[w->held_count++] = bytes;
}

/* Nothing more was staged: the plain bytes have no further whole frame, or a bad length. */
static void check_rest(struct world *w)
{
	uint32_t skip = w->has_vnet ? (uint32_t)VNET_HDR_SIZE : 0U;
	struct rd rest = w->plain;
	struct supply_report r;
	uint32_t len = rd_be32(&rest);

	if (!rd_ok(&rest))
		return;
	if (len <= skip || len > skip + FRAME_LEN_MAX) {
		w->is_over = true;
		require(supply_hear(w->supply, &r) == 1);
		require(r.end == SUPPLY_BAD_LENGTH && r.value == len);
		return;
	}
	require(rd_left(&rest) < len);
}

static void stage_all(struct world *w, uint32_t hold)
{
	for (;;) {
		struct frame f;
		int n = w->port->nic.ops->stage(&w->port->nic, &f);

		if (n == -ENOBUFS)
			require(w->held_count > 0);
		if (n == 1)
			compare(w, &f);
		if (n == -ENOBUFS || w->held_count >= hold)
			release(w);
		if (n == 0)
			break;
		require(n == 1 || n == -ENOBUFS);
	}
	check_rest(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);
	uint8_t options = rd_u8(&r);
	uint8_t *all = malloc(size + 1);
	size_t sent = 0;
	struct world w;

	require(all != NULL);
	start(&w, (options & IS_VNET) != 0);
	w.plain = rd_init(all, 0);
	while (!w.is_over && rd_left(&r) > 2) {
		uint16_t len = rd_be16(&r);
		uint32_t hold = rd_u8(&r) % HELD_MAX + 1U;
		size_t take = len < rd_left(&r) ? len : rd_left(&r);

		rd_copy(&r, all + sent, take);
		if (take == 0 || send(w.peer, all + sent, take, MSG_DONTWAIT) != (ssize_t)take)
			continue;
		sent += take;
		w.plain.end = all + sent;
		(void)w.port->ops->on_ready(w.port, 1, PORT_READABLE);
		stage_all(&w, hold);
	}
	release(&w);
	w.port->ops->stop(w.port);
	port_free(w.port);
	(void)close(w.peer);
	(void)close(w.supply);
	free(all);
	return 0;
}
