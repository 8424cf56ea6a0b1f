/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of a guest, made by hand from the layouts in the RFCs and without any builder of ours, so
 * that a mistake is not made twice; and struct frame around them.
 */
#ifndef SLUICE_TESTS_FRAMES_H
#define SLUICE_TESTS_FRAMES_H

#include "hex.h"

#include "wire/packet.h"

enum {
	MK_MAX = 70000,     /* longest frame made here */
	MK_PIECES_MAX = 64, /* pieces of a split frame */
	MK_IP4_L4 = 34,     /* where the upper layer starts without options */
	MK_IP6_L4 = 54,
};

/* Addresses of behaviours.md A1, A3, A4 for slot 0. */
#define MK_GUEST_MAC   "026d73000002"
#define MK_GATEWAY_MAC "026d73000001"
#define MK_GUEST4      "64600002"
#define MK_GATEWAY4    "64600001"
#define MK_GUEST6      "fd426d73006200000000000000000002"
#define MK_GATEWAY6    "fd426d73006200000000000000000001"
#define MK_GUEST_LL    "fe80000000000000006d73fffe000002"
#define MK_GATEWAY_LL  "fe80000000000000006d73fffe000001"
#define MK_REMOTE4     "c0000209"
#define MK_REMOTE6     "20010db8000000000000000000000009"

static inline void mk16(uint8_t *at, size_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static inline size_t mk_get16(const uint8_t *at)
{
	return (size_t)at[0] << 8 | at[1];
}

/* RFC 1071, as its section 4.1 has it. */
static inline uint32_t mk_sum(uint32_t sum, const uint8_t *bytes, size_t len)
{
	for (; len > 1; len -= 2, bytes += 2)
		sum += (uint32_t)mk_get16(bytes);
	if (len > 0)
		sum += (uint32_t)bytes[0] << 8;
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Writes the Ethernet header at out: from the guest to the gateway. */
static inline size_t mk_eth(uint8_t *out, const char *ethertype)
{
	size_t len = hex_put(out, MK_GATEWAY_MAC);

	len += hex_put(out + len, MK_GUEST_MAC);
	return len + hex_put(out + len, ethertype);
}

/* Computes the IPv4 header checksum of the frame again. */
static inline void mk_ip4_csum(uint8_t *frame)
{
	size_t len = (frame[14] & 0xfU) * 4U;

	mk16(frame + 24, 0);
	mk16(frame + 24, ~mk_sum(0, frame + 14, len) & 0xffff);
}

/* Ethernet and IPv4 header without options. frag: the flags and the offset as they are on the wire. */
static inline size_t mk_ip4(uint8_t *out, const char *src, const char *dst, uint8_t proto,
    size_t l4_len, uint16_t id, uint16_t frag)
{
	(void)mk_eth(out, "0800");
	(void)hex_put(out + 14, "4500 0000 0000 0000 4000 0000");
	mk16(out + 16, 20 + l4_len);
	mk16(out + 18, id);
	mk16(out + 20, frag);
	out[23] = proto;
	(void)hex_put(out + 26, src);
	(void)hex_put(out + 30, dst);
	mk_ip4_csum(out);
	return MK_IP4_L4;
}

/* Ethernet and IPv6 header; payload_len counts extension headers. */
static inline size_t mk_ip6(
    uint8_t *out, const char *src, const char *dst, uint8_t next, size_t payload_len)
{
	(void)mk_eth(out, "86dd");
	(void)hex_put(out + 14, "60000000 0000 00 40");
	mk16(out + 18, payload_len);
	out[20] = next;
	(void)hex_put(out + 22, src);
	(void)hex_put(out + 38, dst);
	return MK_IP6_L4;
}

/* The checksum that the upper layer of the frame should have in a field that is zero now. */
static inline uint16_t mk_l4_sum(const uint8_t *frame, size_t l4_off, size_t l4_len, uint8_t proto)
{
	uint32_t sum = 0;

	if (proto != 1) {
		sum = frame[14] >> 4 == 4 ? mk_sum(0, frame + 26, 8) : mk_sum(0, frame + 22, 32);
		sum += proto + (uint32_t)l4_len;
	}
	return (uint16_t)~mk_sum(sum, frame + l4_off, l4_len);
}

/* A UDP header and len bytes of payload, counting up from fill; sets the checksum. */
static inline size_t mk_udp(
    uint8_t *frame, size_t l4_off, uint16_t src_port, uint16_t dst_port, size_t len, uint8_t fill)
{
	uint8_t *udp = frame + l4_off;

	mk16(udp, src_port);
	mk16(udp + 2, dst_port);
	mk16(udp + 4, 8 + len);
	mk16(udp + 6, 0);
	for (size_t i = 0; i < len; i++)
		udp[8 + i] = (uint8_t)(fill + i);
	mk16(udp + 6, mk_l4_sum(frame, l4_off, 8 + len, 17));
	return l4_off + 8 + len;
}

/* A frame as a port stages it, in blocks of exact size. */
struct mk_frame {
	struct frame frame;
	uint8_t *head;
	uint8_t *pieces[MK_PIECES_MAX];
	struct iovec iov[MK_PIECES_MAX];
};

/* In one piece, head and body the same. */
static inline const struct frame *mk_stage(struct mk_frame *m, const uint8_t *bytes, size_t len)
{
	m->head = NULL;
	m->pieces[0] = exact_copy(bytes, len);
	m->iov[0] = (struct iovec){.iov_base = m->pieces[0], .iov_len = len};
	m->frame = (struct frame){.head = m->pieces[0],
	    .head_len = (uint32_t)len,
	    .len = (uint32_t)len,
	    .iov = m->iov,
	    .iov_count = 1};
	return &m->frame;
}

/* In pieces of piece bytes, with a copy of the head of the least length that a port may give. */
static inline const struct frame *mk_stage_split(
    struct mk_frame *m, const uint8_t *bytes, size_t len, size_t piece)
{
	size_t head_len = len < FRAME_HEAD_MIN ? len : FRAME_HEAD_MIN;
	uint32_t n = 0;

	m->head = exact_copy(bytes, head_len);
	for (size_t off = 0; off < len; off += piece) {
		size_t take = len - off < piece ? len - off : piece;

		m->pieces[n] = exact_copy(bytes + off, take);
		m->iov[n] = (struct iovec){.iov_base = m->pieces[n], .iov_len = take};
		n++;
	}
	m->frame = (struct frame){.head = m->head,
	    .head_len = (uint32_t)head_len,
	    .len = (uint32_t)len,
	    .iov = m->iov,
	    .iov_count = n};
	return &m->frame;
}

static inline void mk_unstage(struct mk_frame *m)
{
	free(m->head);
	for (uint32_t i = 0; i < m->frame.iov_count; i++)
		free(m->pieces[i]);
}

#endif
