/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One frame of the guest, parsed once: offsets and host-order fields.
 *
 * packet_parse() reads Ethernet and IP, packet_parse_l4() reads TCP, UDP or ICMP of a packet that is
 * no fragment. Both are total: whatever the bytes are, they return a drop reason or DROP_NONE and
 * a packet whose offsets lie inside the frame. Nothing in the frame is changed or copied; a packet
 * is valid as long as its frame is.
 */
#ifndef SLUICE_WIRE_PACKET_H
#define SLUICE_WIRE_PACKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/addr.h"
#include "wire/drop.h"
#include "wire/vnet.h"

enum {
	ETH_HDR_SIZE = 14,
	ETH_MIN_FRAME = 60, /* shorter frames are padded, IEEE 802.3 without its check sequence */
	ETHERTYPE_IP4 = 0x0800,
	ETHERTYPE_ARP = 0x0806,
	ETHERTYPE_IP6 = 0x86dd,

	IP4_HDR_SIZE = 20,
	IP6_HDR_SIZE = 40,
	TCP_HDR_SIZE = 20,
	UDP_HDR_SIZE = 8,
	UDP_LEN_OFF = 4,
	UDP_CSUM_OFF = 6,
	ICMP_HDR_SIZE = 8,
	IP_PACKET_MAX = 65535,

	PROTO_ICMP4 = 1,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_ICMP6 = 58,

	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
	TCP_URG = 0x20,

	/* A port gives at least this much of each frame in one piece (or the whole of a shorter frame):
	 * Ethernet, IPv6 with extension headers, TCP with options. Headers that do not fit are refused. */
	FRAME_HEAD_MIN = 256,
	FRAME_IOV_MAX = 64, /* most pieces of one frame */
	FRAME_LEN_MAX = ETH_HDR_SIZE + IP6_HDR_SIZE + IP_PACKET_MAX,
};

/* A frame as a port stages it. The bytes at head must not change under the reader: a port whose
 * frames lie in memory that the guest can write gives a copy of the head. The bytes behind iov may
 * change at any time, and are therefore only copied, never interpreted twice. */
struct frame {
	const uint8_t *head;     /* the first bytes of the frame, from the Ethernet header on */
	uint32_t head_len;       /* bytes at head: min(len, FRAME_HEAD_MIN) or more */
	uint32_t len;            /* bytes in the frame, without the virtio-net header */
	const struct iovec *iov; /* the whole frame; adds up to len */
	uint32_t iov_count;
	struct vnet_hdr vnet; /* zero where the port has none */
};

struct packet {
	const struct frame *frame;

	struct mac_addr eth_src;
	struct mac_addr eth_dst;
	uint16_t ethertype;

	/* IP; not set for ARP */
	struct ip_addr src;
	struct ip_addr dst;
	uint8_t family;       /* 4 or 6: the version of the IP header */
	uint8_t proto;        /* of the upper layer, behind all extension headers */
	uint8_t ttl;          /* or hop limit */
	bool is_fragment;     /* frag_off != 0 or has_more */
	bool has_more;        /* more fragments */
	bool has_df;          /* IPv4: don't fragment; IPv6: always, but where reassembled */
	uint32_t frag_off;    /* bytes */
	uint32_t frag_id;     /* 16 bits for IPv4 */
	uint32_t l4_off;      /* from the start of the frame; for a fragment its data */
	uint32_t l4_len;      /* bytes from l4_off to the end of the IP packet */
	uint32_t payload_off; /* set by packet_parse_l4() */
	uint32_t payload_len;

	union {
		struct {
			uint16_t src_port;
			uint16_t dst_port;
			uint32_t seq;
			uint32_t ack;
			uint16_t wnd; /* as in the header, not scaled */
			uint8_t flags;
			uint8_t hdr_len; /* bytes, 20..60 */
			uint16_t
			    opt_mss; /* 0: not given. Options are read from SYN segments only */
			uint8_t opt_wscale; /* shift, 0..14 */
			bool has_wscale;
			bool has_sack_permitted;
		} tcp;
		struct {
			uint16_t src_port;
			uint16_t dst_port;
		} udp;
		struct {
			uint8_t type;
			uint8_t code;
			uint16_t id; /* of an echo message */
			uint16_t seq;
		} icmp;
	};
};

/* Ethernet, and IP if that is what it is. */
__attribute__((warn_unused_result)) enum drop_reason packet_parse(
    const struct frame *frame, struct packet *ret_packet);

/* TCP, UDP or ICMP header and checksum (which is not looked at when the virtio-net header says
 * that it is unfinished or already verified), and what the virtio-net header says of segmentation.
 * The payload of a UDP packet is what its length field says. PROTO other than these: PROTOCOL. */
__attribute__((warn_unused_result)) enum drop_reason packet_parse_l4(struct packet *packet);

/* Copies len bytes from offset off of the frame; off + len lies inside. */
void frame_copy(const struct frame *frame, uint32_t off, void *to, uint32_t len);

/* The pieces of frame bytes off .. off + len - 1, which lie inside; returns how many of iov (of max)
 * are used: 0 if max is too small, or for a len of 0. */
uint32_t frame_slice(
    const struct frame *frame, uint32_t off, uint32_t len, struct iovec *iov, uint32_t max);

#endif
