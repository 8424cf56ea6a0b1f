/* SPDX-License-Identifier: Apache-2.0 */
/* A back end of libkrun's network device; see net_backend.h. */
#include "net_backend.h"

#include <errno.h>
#include <string.h>

long net_read_frame(struct net_backend *b, uint8_t *buf, size_t len)
{
	struct sluice_frame f;

	while (sluice_ring_stage(b->ring, &f) == 1) {
		if (f.len <= len) {
			size_t frame_len = f.len;

			memcpy(buf, f.bytes, frame_len);
			sluice_ring_consume(b->ring);
			return (long)frame_len;
		}
		sluice_ring_drop(b->ring);
		b->too_long++;
	}
	/* Who waits for edges need not make the descriptor unreadable with sluice_ring_events(): each wake is an edge,
	 * and it means to try everything again. */
	return NET_NOTHING_READ;
}

int net_write_frame(struct net_backend *b, size_t hdr_len, const uint8_t *buf, size_t len)
{
	uint8_t header[SLUICE_HEADER_LEN] = {0};
	struct iovec iov[2] = {{.iov_base = header, .iov_len = sizeof(header)}};
	union {
		const uint8_t *in;
		uint8_t *out;
	} bytes = {.in = buf}; /* struct iovec has no const; the ring reads only */

	if (hdr_len > sizeof(header) || len < hdr_len)
		return NET_INTERNAL;
	memcpy(header, buf, hdr_len);
	iov[1] = (struct iovec){.iov_base = bytes.out + hdr_len, .iov_len = len - hdr_len};
	switch (sluice_ring_push(b->ring, iov, 2)) {
	case 0:
		return 0;
	case -EAGAIN:
		return NET_NOTHING_WRITTEN;
	case -EMSGSIZE: /* the guest's fault, which must not end its device */
		b->malformed++;
		return 0;
	case -ENOTCONN:
		return NET_NOT_RUNNING;
	default:
		return NET_INTERNAL;
	}
}

bool net_has_unfinished_write(const struct net_backend *b)
{
	(void)b;
	return false;
}

int net_try_finish_write(struct net_backend *b, size_t hdr_len, const uint8_t *buf)
{
	(void)b;
	(void)hdr_len;
	(void)buf;
	return 0;
}

int net_raw_socket_fd(const struct net_backend *b)
{
	return sluice_ring_fd(b->ring);
}

void net_flush(struct net_backend *b)
{
	sluice_ring_flush(b->ring);
}
