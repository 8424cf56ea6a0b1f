/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagram port; see dgram.h.
 *
 * Up to IN_SLOTS messages are read in one call, as a queue of Unix datagrams may hold only ten
 * (net.unix.max_dgram_qlen), and a full one blocks the peer. Written ones leave in one call, too.
 *
 * Skipped: the greeting "VFKT" as first message of a connection (vfkit, libkrun); messages longer than any
 * frame, and with virtio-net headers those too short for it. Checksums are as in the stream port.
 *
 * Invariant: staged frames do not move (tests/unit/test_dgram.c).
 */
#include "port/dgram.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	IN_SLOTS = 32, /* messages that are read and not yet released */
	SLOT_ALIGN = 64,
	SLOT_LEN = (VNET_HDR_SIZE + FRAME_LEN_MAX + SLOT_ALIGN - 1) / SLOT_ALIGN * SLOT_ALIGN,
	OUT_BATCH = 64, /* messages per call */
};

struct dgram_port {
	struct sock_port s;
	bool is_seqpacket;
	bool is_greeted;   /* the first message of this connection has come */
	uint8_t *in;       /* IN_SLOTS * SLOT_LEN */
	uint32_t released; /* slots counted up: before this one all are free, */
	uint32_t staged;   /* before this one the engine holds them, */
	uint32_t filled;   /* before this one they have been read */
	struct iovec read_iov[IN_SLOTS];
	struct iovec iov[IN_SLOTS]; /* of staged frames */
	struct mmsghdr messages[IN_SLOTS];
	bool is_skipped[IN_SLOTS]; /* staged, but no frame of the engine */
};

static const char greeting[4] = {'V', 'F', 'K', 'T'};

static struct dgram_port *dgram_of(struct sock_port *s)
{
	return container_of(s, struct dgram_port, s);
}

/* Reads into the free slots that lie in one piece. 0 or -ENOBUFS. */
static int read_more(struct dgram_port *d)
{
	uint32_t from = d->filled % IN_SLOTS;
	uint32_t room = IN_SLOTS - (d->filled - d->released);
	int n;

	if (room == 0)
		return -ENOBUFS;
	if (room > IN_SLOTS - from)
		room = IN_SLOTS - from;
	n = recvmmsg(d->s.fd, d->messages + from, room, MSG_DONTWAIT, NULL);
	if (n <= 0) {
		(void)sock_port_read_failed(&d->s, n < 0 ? errno : EAGAIN, 0);
		return 0;
	}
	d->filled += (uint32_t)n;
	d->s.has_more = (uint32_t)n == room || d->s.is_deaf;
	return 0;
}

/* Whether the message in slot i is a frame. */
static bool is_frame(struct dgram_port *d, uint32_t i)
{
	const struct mmsghdr *m = &d->messages[i];
	const uint8_t *at = d->in + (size_t)i * SLOT_LEN;
	uint32_t min = d->s.has_vnet ? (uint32_t)VNET_HDR_SIZE : 0U;
	bool is_first = !d->is_greeted;

	d->is_greeted = true;
	if (is_first && m->msg_len == sizeof(greeting) &&
	    memcmp(at, greeting, sizeof(greeting)) == 0)
		return false;
	if ((m->msg_hdr.msg_flags & MSG_TRUNC) == 0 && m->msg_len >= min &&
	    m->msg_len <= min + FRAME_LEN_MAX)
		return true;
	d->s.port.nic.counters.tx_broken++;
	return false;
}

/* Takes back slots from the oldest on that hold no frame of the engine. */
static void skip_released(struct dgram_port *d)
{
	while (d->released != d->staged && d->is_skipped[d->released % IN_SLOTS])
		d->released++;
}

/* The message in slot i is the next frame. */
static void give_frame(struct dgram_port *d, uint32_t i, struct frame *ret_frame)
{
	uint32_t skip = d->s.has_vnet ? (uint32_t)VNET_HDR_SIZE : 0U;
	uint32_t len = d->messages[i].msg_len - skip;
	uint8_t *at = d->in + (size_t)i * SLOT_LEN + skip;

	d->iov[i] = (struct iovec){.iov_base = at, .iov_len = len};
	*ret_frame = (struct frame){
	    .head = at,
	    .head_len = len,
	    .len = len,
	    .iov = &d->iov[i],
	    .iov_count = 1,
	    .vnet = {.flags = VNET_F_DATA_VALID},
	};
	if (d->s.has_vnet)
		ret_frame->vnet = vnet_parse(at - VNET_HDR_SIZE);
	d->s.port.nic.counters.tx_frames++;
	d->s.port.nic.counters.tx_bytes += len;
}

static int dgram_stage(struct nic *nic, struct frame *ret_frame)
{
	struct dgram_port *d = dgram_of(sock_port_of(nic));

	for (;;) {
		uint32_t i = d->staged % IN_SLOTS;

		if (d->staged == d->filled) {
			int err;

			if (d->s.fd < 0 || !d->s.has_more)
				return sock_port_none(&d->s);
			err = read_more(d);
			if (err)
				return err;
		} else if (d->is_seqpacket && d->messages[i].msg_len == 0) {
			sock_port_lose(&d->s, SUPPLY_CLOSED, 0);
		} else {
			d->is_skipped[i] = !is_frame(d, i);
			d->staged++;
			if (!d->is_skipped[i]) {
				give_frame(d, i, ret_frame);
				return 1;
			}
			skip_released(d);
		}
	}
}

static void dgram_release(struct nic *nic, uint32_t count)
{
	struct dgram_port *d = dgram_of(sock_port_of(nic));

	for (uint32_t i = 0; i < count; i++) {
		skip_released(d);
		d->released++;
	}
	skip_released(d);
}

/* What a message of ours met: -EAGAIN, 0 to go on behind it, else the peer is deaf. */
static int on_send_error(struct dgram_port *d, int error)
{
	switch (error) {
	case EAGAIN:
		return -EAGAIN;
	case EINTR:
		return 0;
	case EMSGSIZE: /* longer than the socket's buffer */
	case ENOBUFS:
	case ENOMEM:
		sendq_lose(&d->s.out, 1, &d->s.port.nic.counters);
		return 0;
	default:
		return -error;
	}
}

static int dgram_send(struct sock_port *s)
{
	struct iovec iov[OUT_BATCH];
	struct mmsghdr messages[OUT_BATCH];

	while (sendq_count(&s->out) > 0) {
		uint32_t count = sendq_frames(&s->out, iov, OUT_BATCH);
		int n;

		for (uint32_t i = 0; i < count; i++)
			messages[i] =
			    (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[i], .msg_iovlen = 1}};
		n = sendmmsg(s->fd, messages, count, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0) {
			sendq_frames_sent(&s->out, (uint32_t)n, &s->port.nic.counters);
		} else {
			int err = on_send_error(dgram_of(s), errno);

			if (err)
				return err;
		}
	}
	return 0;
}

static void dgram_reset(struct sock_port *s)
{
	struct dgram_port *d = dgram_of(s);

	d->filled = d->staged;
	d->is_greeted = d->is_seqpacket;
}

static void dgram_free(struct sock_port *s)
{
	struct dgram_port *d = dgram_of(s);

	free(d->in);
	free(d);
}

static const struct sock_framing dgram_framing = {
    .nic = {.stage = dgram_stage, .release = dgram_release},
    .send = dgram_send,
    .reset = dgram_reset,
    .free = dgram_free,
};

int dgram_port_new(const struct sock_port_config *cfg, bool is_seqpacket, struct port **ret_port)
{
	struct dgram_port *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->in = malloc((size_t)IN_SLOTS * SLOT_LEN);
	if (!d->in || sock_port_init(&d->s, cfg, &dgram_framing, 0)) {
		dgram_free(&d->s);
		return -ENOMEM;
	}
	d->is_seqpacket = d->is_greeted = is_seqpacket;
	for (uint32_t i = 0; i < IN_SLOTS; i++) {
		d->read_iov[i] =
		    (struct iovec){.iov_base = d->in + (size_t)i * SLOT_LEN, .iov_len = SLOT_LEN};
		d->messages[i].msg_hdr =
		    (struct msghdr){.msg_iov = &d->read_iov[i], .msg_iovlen = 1};
	}
	*ret_port = &d->s.port;
	return 0;
}
