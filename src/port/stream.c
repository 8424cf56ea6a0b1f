/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stream port; see stream.h.
 *
 * Much is read at once and frames are staged where they lie. An unfinished frame at the end of the
 * buffer moves to its start when the frames before it have been released and the rest of the buffer has
 * become small.
 *
 * Refused: a length that no frame has (0, or more than FRAME_LEN_MAX; with a virtio-net header not more
 * than that header). There is no way to find the next frame then, so the connection is closed
 * (threat P20). Lengths below that of an Ethernet header are the engine's to refuse.
 *
 * Without a virtio-net header nobody says whether a checksum is finished, and guests of libkrun leave it
 * unfinished when they were offered VIRTIO_NET_F_CSUM. Memory does not garble bits: sums are not looked at.
 *
 * Invariants: staged frames do not move; there is always room for the rest of an unfinished frame
 * (tests/unit/test_stream.c, tests/fuzz/fuzz_stream.c).
 */
#include "port/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/rd.h"
#include "base/wr.h"

enum {
	PREFIX_LEN = 4,

	IN_BYTES = 512 << 10,
	IN_STAGED = 256,         /* frames staged at once */
	IN_READ_MIN = 256 << 10, /* bytes that a read has room for, as long as nothing is staged */
	OUT_IOV = 1024,          /* the most that sendmsg(2) takes */
};

struct stream_port {
	struct sock_port s;
	uint8_t *in;     /* IN_BYTES */
	uint32_t pos;    /* bytes of in that have been staged or skipped */
	uint32_t end;    /* bytes of in that have been read */
	uint32_t staged; /* frames that the engine holds */
	uint32_t first;  /* the oldest of them */
	struct iovec iov[IN_STAGED];
};

static struct stream_port *stream_of(struct sock_port *s)
{
	return container_of(s, struct stream_port, s);
}

/* The frame of len bytes at pos, its prefix included, is whole. */
static void give_frame(struct stream_port *t, uint32_t len, struct frame *ret_frame)
{
	struct iovec *iov = &t->iov[(t->first + t->staged) % IN_STAGED];
	uint32_t skip = PREFIX_LEN + (t->s.has_vnet ? (uint32_t)VNET_HDR_SIZE : 0U);
	uint8_t *at = t->in + t->pos + skip;

	*iov = (struct iovec){.iov_base = at, .iov_len = len - skip};
	*ret_frame = (struct frame){
	    .head = at,
	    .head_len = len - skip,
	    .len = len - skip,
	    .iov = iov,
	    .iov_count = 1,
	    .vnet = {.flags = VNET_F_DATA_VALID},
	};
	if (t->s.has_vnet)
		ret_frame->vnet = vnet_parse(at - VNET_HDR_SIZE);
	t->pos += len;
	t->staged++;
	t->s.port.nic.counters.tx_frames++;
	t->s.port.nic.counters.tx_bytes += len - skip;
}

/* Bytes from pos on that make the next frame, its prefix included; PREFIX_LEN while that is not known; 0: no
 * frame has the length that is announced there. */
static uint32_t next_len(const struct stream_port *t, uint32_t *ret_announced)
{
	uint32_t min = t->s.has_vnet ? (uint32_t)VNET_HDR_SIZE : 0U;
	struct rd r = rd_init(t->in + t->pos, t->end - t->pos);
	uint32_t len = rd_be32(&r);

	if (!rd_ok(&r))
		return PREFIX_LEN;
	*ret_announced = len;
	return len > min && len <= min + FRAME_LEN_MAX ? PREFIX_LEN + len : 0;
}

/* Makes room behind end for a large read. -ENOBUFS: when frames have been released. */
static int make_room(struct stream_port *t)
{
	if (t->pos == t->end && t->staged == 0)
		t->pos = t->end = 0;
	if (IN_BYTES - t->end >= IN_READ_MIN)
		return 0;
	if (t->staged > 0)
		return -ENOBUFS;
	memmove(t->in, t->in + t->pos, t->end - t->pos);
	t->end -= t->pos;
	t->pos = 0;
	return 0;
}

/* 0: something has been read, or nothing is there (has_more tells); else what stage() returns. */
static int read_more(struct stream_port *t)
{
	uint32_t room;
	ssize_t n;
	int err = make_room(t);

	if (err)
		return err;
	room = IN_BYTES - t->end;
	n = recv(t->s.fd, t->in + t->end, room, MSG_DONTWAIT);
	if (n <= 0) {
		(void)sock_port_read_failed(&t->s, n < 0 ? errno : 0, t->end - t->pos);
		return 0;
	}
	t->end += (uint32_t)n;
	/* The end of a deaf peer has to be read, too. */
	t->s.has_more = (uint32_t)n == room || t->s.is_deaf;
	return 0;
}

static int stream_stage(struct nic *nic, struct frame *ret_frame)
{
	struct stream_port *t = stream_of(sock_port_of(nic));

	for (;;) {
		uint32_t announced = 0;
		uint32_t len = next_len(t, &announced);
		int err;

		if (len == 0) {
			nic->counters.tx_broken++;
			sock_port_lose(&t->s, SUPPLY_BAD_LENGTH, announced);
			continue;
		}
		if (t->end - t->pos >= len && len > PREFIX_LEN) {
			if (t->staged == IN_STAGED)
				return -ENOBUFS;
			give_frame(t, len, ret_frame);
			return 1;
		}
		if (t->s.fd < 0 || !t->s.has_more)
			return sock_port_none(&t->s);
		err = read_more(t);
		if (err)
			return err;
	}
}

static void stream_release(struct nic *nic, uint32_t count)
{
	struct stream_port *t = stream_of(sock_port_of(nic));

	t->first = (t->first + count) % IN_STAGED;
	t->staged -= count;
}

static int stream_send(struct sock_port *s)
{
	struct iovec iov[OUT_IOV];

	while (sendq_count(&s->out) > 0) {
		struct msghdr head = {
		    .msg_iov = iov,
		    .msg_iovlen = sendq_stream(&s->out, iov, OUT_IOV),
		};
		ssize_t n = sendmsg(s->fd, &head, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n >= 0)
			sendq_stream_sent(&s->out, (uint64_t)n, &s->port.nic.counters);
		else if (errno != EINTR)
			return errno == ENOBUFS || errno == ENOMEM ? -EAGAIN : -errno;
	}
	return 0;
}

static void stream_build_prefix(uint8_t *at, uint32_t len)
{
	put_be32(at - PREFIX_LEN, len);
}

static void stream_reset(struct sock_port *s)
{
	struct stream_port *t = stream_of(s);

	t->pos = t->end;
}

static void stream_free(struct sock_port *s)
{
	struct stream_port *t = stream_of(s);

	free(t->in);
	free(t);
}

static const struct sock_framing stream_framing = {
    .nic = {.stage = stream_stage, .release = stream_release},
    .send = stream_send,
    .build_prefix = stream_build_prefix,
    .reset = stream_reset,
    .free = stream_free,
};

int stream_port_new(const struct sock_port_config *cfg, struct port **ret_port)
{
	struct stream_port *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->in = malloc(IN_BYTES);
	if (!t->in || sock_port_init(&t->s, cfg, &stream_framing, PREFIX_LEN)) {
		stream_free(&t->s);
		return -ENOMEM;
	}
	*ret_port = &t->s.port;
	return 0;
}
