/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames: whatever the bytes and the virtio-net header are, the parser ends, and what it lets through lies
 * inside the frame, headers inside its head.
 * Input: one byte (length of the pieces of the frame), a virtio-net header, a frame.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "wire/packet.h"

enum {
	PIECES_MAX = 64,
};

static void require(bool claim)
{
	if (!claim)
		abort();
}

/* The head in a block of its own, the body in pieces, as a port with shared memory gives them. */
static void stage(
    struct frame *f, struct iovec iov[PIECES_MAX], const uint8_t *bytes, size_t len, size_t piece)
{
	size_t head_len = len < FRAME_HEAD_MIN ? len : FRAME_HEAD_MIN;
	uint8_t *head = malloc(head_len + 1);

	require(head != NULL);
	memcpy(head, bytes, head_len);
	*f = (struct frame){
	    .head = head, .head_len = (uint32_t)head_len, .len = (uint32_t)len, .iov = iov};
	for (size_t off = 0; off < len; off += iov[f->iov_count++].iov_len) {
		size_t take =
		    len - off < piece || f->iov_count == PIECES_MAX - 1 ? len - off : piece;
		uint8_t *copy = malloc(take);

		require(copy != NULL);
		memcpy(copy, bytes + off, take);
		iov[f->iov_count] = (struct iovec){.iov_base = copy, .iov_len = take};
	}
}

static void unstage(struct frame *f, struct iovec iov[PIECES_MAX])
{
	uint8_t *head;

	memcpy(&head, &f->head, sizeof(head));
	free(head);
	for (uint32_t i = 0; i < f->iov_count; i++)
		free(iov[i].iov_base);
}

static void check_l4(const struct packet *p)
{
	const struct frame *f = p->frame;
	struct iovec iov[PIECES_MAX];
	uint32_t l4_end = p->l4_off + p->l4_len;
	uint8_t *copy = malloc(p->payload_len + 1U);
	uint32_t at = 0;
	uint32_t n;

	require(copy != NULL);
	require(p->payload_off >= p->l4_off + 8 && p->payload_off <= f->head_len);
	require(p->payload_off <= l4_end && p->payload_len <= l4_end - p->payload_off);
	n = frame_slice(f, p->payload_off, p->payload_len, iov, PIECES_MAX);
	require((n == 0) == (p->payload_len == 0));
	frame_copy(f, p->payload_off, copy, p->payload_len);
	for (uint32_t i = 0; i < n; i++) {
		require(memcmp(copy + at, iov[i].iov_base, iov[i].iov_len) == 0);
		at += (uint32_t)iov[i].iov_len;
	}
	require(at == p->payload_len);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct iovec iov[PIECES_MAX];
	struct frame f;
	struct packet p;

	if (size < 1 + VNET_HDR_SIZE || size > FRAME_LEN_MAX)
		return 0;
	stage(&f, iov, data + 1 + VNET_HDR_SIZE, size - 1 - VNET_HDR_SIZE, data[0] + 1U);
	f.vnet = vnet_parse(data + 1);
	if (packet_parse(&f, &p) == DROP_NONE && p.ethertype != ETHERTYPE_ARP) {
		require(p.l4_off <= f.head_len && p.l4_off >= ETH_HDR_SIZE + IP4_HDR_SIZE);
		require(p.l4_len <= f.len - p.l4_off);
		require(p.is_fragment == (p.has_more || p.frag_off > 0));
		require(p.frag_off <= 65528 && p.frag_off % 8 == 0);
		if (!p.is_fragment && packet_parse_l4(&p) == DROP_NONE)
			check_l4(&p);
	}
	unstage(&f, iov);
	return 0;
}
