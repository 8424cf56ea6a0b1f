/* SPDX-License-Identifier: Apache-2.0 */
/* A hostile peer of the ports over sockets; see framing.h. */
#include "framing.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

enum {
	ITEMS_MAX = 24,
	ITEM_MAX = 70000,
	PATIENCE_MS = 60000, /* only keeps a failing test from hanging */
};

static void turn(const struct framing_peer *p)
{
	if (p->turn)
		p->turn(p->ctx);
}

/* Frames to us are of no interest; sometimes they may pile up. */
static void drain(struct framing_peer *p)
{
	static uint8_t bytes[ITEM_MAX];
	ssize_t n;

	do {
		n = recv(p->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	} while (n > 0);
	if ((n == 0 && p->type == SOCK_STREAM) || (n < 0 && errno != EAGAIN))
		p->is_over = true;
}

/* Sends in one piece, as far as it goes. */
static size_t push(struct framing_peer *p, const uint8_t *bytes, size_t len)
{
	for (;;) {
		struct pollfd pfd = {.fd = p->fd, .events = POLLIN | POLLOUT};
		ssize_t n = send(p->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		int error = n < 0 ? errno : 0;

		turn(p);
		if (n >= 0)
			return (size_t)n;
		if (error == EMSGSIZE)
			return len;
		if (error != EAGAIN && error != ENOBUFS) {
			p->is_over = true;
			return 0;
		}
		if (!p->turn && poll(&pfd, 1, PATIENCE_MS) <= 0)
			p->is_over = true;
		drain(p);
		if (p->is_over)
			return 0;
	}
}

/* Bytes in pieces, if the socket has no frames of its own. */
static void push_pieces(struct framing_peer *p, const uint8_t *bytes, size_t len)
{
	bool is_cut = p->type == SOCK_STREAM && dice_one_in(&p->dice, 2);

	while (len > 0 && !p->is_over) {
		uint32_t most = is_cut ? dice_below(&p->dice, 1U << dice_below(&p->dice, 12)) + 1
				       : (uint32_t)len;
		size_t n = push(p, bytes, most < len ? most : len);

		bytes += n;
		len -= n;
	}
}

static uint32_t any_length(struct dice *d)
{
	static const uint32_t edges[] = {0, 1, 3, 4, 11, 12, 13, 14, 15, 59, 60, 61, 1513, 1514,
	    1515, 9000, 65535, 65549, 65550, 65551, 65561, 65562, 65563, 69632};

	return dice_one_in(d, 2) ? 1 + dice_below(d, 1514)
				 : edges[dice_below(d, sizeof(edges) / sizeof(edges[0]))];
}

/* A frame, more or less, from 4 on. */
static void fill(struct dice *d, uint8_t *item, uint32_t len)
{
	static const uint8_t start[] = {0x02, 0x6d, 0x73, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0, 0x45};

	dice_fill(d, item, len < 128 ? len : 128);
	if (len > 128)
		memset(item + 128, 0x5a, len - 128);
	if (len > sizeof(start) + 12 && dice_one_in(d, 2))
		memcpy(item + (dice_one_in(d, 2) ? 12 : 0), start, sizeof(start));
}

static uint32_t wrong_length(struct dice *d)
{
	static const uint32_t lens[] = {
	    0, 65551, 65563, 69633, 0x10000, 0x1000000, 0x7fffffff, 0x80000000, 0xffffffff};

	return dice_one_in(d, 3) ? (uint32_t)dice_u64(d)
				 : lens[dice_below(d, sizeof(lens) / sizeof(lens[0]))];
}

static void put_be32(uint8_t at[4], uint32_t v)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* Of a stream: most of the time a frame, so that something goes on. Returns its bytes. */
static uint32_t stream_item(struct dice *d, uint8_t *item)
{
	static const char *const others[] = {
	    "GET / HTTP/1.1\r\n\r\n", "VMN3T\0\0\0", "\1\0\0\0\1\0\0\0\0\0\0\0"};
	uint32_t len = any_length(d);

	fill(d, item + 4, len);
	put_be32(item, len);
	switch (dice_below(d, 24)) {
	case 0:
		put_be32(item, wrong_length(d));
		return 4 + len;
	case 1: /* not finished */
		return dice_below(d, 4 + len) + 1;
	case 2:
		memcpy(item, others[dice_below(d, 3)], 8);
		return 8;
	default:
		return 4 + len;
	}
}

void framing_attack(struct framing_peer *p)
{
	static uint8_t item[4 + ITEM_MAX];
	uint32_t items = dice_below(&p->dice, ITEMS_MAX + 1);

	for (uint32_t i = 0; i < items && !p->is_over; i++) {
		uint32_t len;

		if (p->type == SOCK_STREAM) {
			push_pieces(p, item, stream_item(&p->dice, item));
		} else if (dice_one_in(&p->dice, 16)) {
			(void)push(p, (const uint8_t *)"VFKT", 4);
		} else {
			len = any_length(&p->dice);
			fill(&p->dice, item, len);
			(void)push(p, item, len);
		}
		if (dice_one_in(&p->dice, 4))
			drain(p);
	}
}
