/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The framing of the datagram and the packet port: which messages are frames, which are the greeting, which are dropped,
 * and that frames are held unchanged until they are released, whatever amounts that is done in.
 * Input: one byte of options, then messages: how many frames may be held, two bytes of length, the first
 * TAKEN_MAX bytes (zeros behind).
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
	IS_VNET = 1,
	IS_BESS = 2,
	HELD_MAX = 16,
	SENT_MAX = 64,
	LENGTH_MAX = 66000,
	TAKEN_MAX = 64, /* bytes of a message that are the input's */
};

/* A message that must become a frame. */
struct sent {
	uint8_t *bytes;
	uint32_t len; /* of the frame */
};

struct world {
	struct port_loop loop;
	struct port *port;
	int supply;
	int peer;
	uint32_t skip; /* bytes in front of the frame */
	bool is_bess;
	bool is_greeted;
	bool is_over; /* the connection has ended */
	uint64_t broken;
	uint32_t sent_count;
	uint32_t staged;
	uint32_t released;
	struct sent sent[SENT_MAX];
	struct frame held[SENT_MAX];
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

static void start(struct world *w, uint8_t options)
{
	struct port_config cfg = {.kind = PORT_KIND_DGRAM, .has_vnet = (options & IS_VNET) != 0};
	int supply[2];
	int ends[2];

	*w = (struct world){.loop = {.watch = watch, .unwatch = unwatch}};
	w->is_bess = w->is_greeted = (options & IS_BESS) != 0;
	w->skip = cfg.has_vnet ? (uint32_t)VNET_HDR_SIZE : 0U;
	if (w->is_bess)
		cfg.kind = PORT_KIND_BESS;
	require(supply_pair(supply) == 0);
	require(socketpair(AF_UNIX, w->is_bess ? SOCK_SEQPACKET : SOCK_DGRAM, 0, ends) == 0);
	cfg.fd = supply[1];
	w->supply = supply[0];
	w->peer = ends[1];
	require(port_open(&cfg, &w->port) == 0);
	require(w->port->ops->start(w->port, &w->loop) == 0);
	require(supply_give(w->supply, ends[0]) == 0);
	(void)close(ends[0]);
	require(w->port->ops->on_ready(w->port, 0, PORT_READABLE) != 0);
}

/* Notes what must become of a message of len bytes. Takes them. */
static void expect(struct world *w, uint8_t *bytes, uint32_t len)
{
	bool is_first = !w->is_greeted;

	w->is_greeted = true;
	if (w->is_bess && len == 0) {
		w->is_over = true;
	} else if (is_first && len == 4 && memcmp(bytes, "VFKT", 4) == 0) {
		/* passed over */
	} else if (len < w->skip || len > w->skip + FRAME_LEN_MAX) {
		w->broken++;
	} else {
		w->sent[w->sent_count++] = (struct sent){.bytes = bytes, .len = len - w->skip};
		return;
	}
	free(bytes);
}

/* Held frames have not changed; the oldest count of them are given back. */
static void release(struct world *w, uint32_t count)
{
	for (uint32_t i = w->released; i < w->staged; i++)
		require(memcmp(w->held[i].head, w->sent[i].bytes + w->skip, w->sent[i].len) == 0);
	if (count > 0)
		w->port->nic.ops->release(&w->port->nic, count);
	w->released += count;
}

static void stage_all(struct world *w, uint32_t hold)
{
	for (;;) {
		struct frame f;
		int n = w->port->nic.ops->stage(&w->port->nic, &f);

		if (n == 0)
			break;
		if (n == -ENOBUFS) {
			require(w->staged > w->released);
			release(w, 1);
			continue;
		}
		require(n == 1 && w->staged < w->sent_count);
		require(f.len == w->sent[w->staged].len && f.head_len == f.len);
		w->held[w->staged++] = f;
		if (w->staged - w->released > hold)
			release(w, (w->staged - w->released + 1) / 2);
	}
	require(w->staged == w->sent_count);
	require(w->port->nic.counters.tx_broken == w->broken);
}

static void send_one(struct world *w, struct rd *r)
{
	uint32_t len = rd_be16(r) * 2U % (LENGTH_MAX + 1U);
	size_t take = len < TAKEN_MAX ? len : (uint32_t)TAKEN_MAX;
	uint8_t *bytes = calloc(1, len + 1U);

	require(bytes != NULL);
	if (take > rd_left(r))
		take = rd_left(r);
	rd_copy(r, bytes, take);
	if (send(w->peer, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len)
		expect(w, bytes, len);
	else
		free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);
	struct supply_report report;
	struct world w;

	start(&w, rd_u8(&r));
	while (!w.is_over && rd_left(&r) > 2 && w.sent_count < SENT_MAX) {
		uint8_t hold = rd_u8(&r);

		send_one(&w, &r);
		if (hold % 4 == 3 && !w.is_over)
			continue; /* several at once */
		(void)w.port->ops->on_ready(w.port, 1, PORT_READABLE);
		stage_all(&w, hold % HELD_MAX);
	}
	(void)w.port->ops->on_ready(w.port, 1, PORT_READABLE);
	stage_all(&w, HELD_MAX);
	if (w.is_over) {
		require(supply_hear(w.supply, &report) == 1);
		require(report.end == SUPPLY_CLOSED);
	}
	release(&w, w.staged - w.released);
	w.port->ops->stop(w.port);
	port_free(w.port);
	for (uint32_t i = 0; i < w.sent_count; i++)
		free(w.sent[i].bytes);
	(void)close(w.peer);
	(void)close(w.supply);
	return 0;
}
