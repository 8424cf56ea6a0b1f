/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames as the simulated guest builds, reads and checks them: written from the RFCs, without any
 * code of sluice but its address types, so that a mistake is not made twice.
 */
#ifndef SLUICE_TESTS_SIM_WIRE_H
#define SLUICE_TESTS_SIM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

enum {
	SIM_ETH = 14,
	SIM_IP4 = 20,
	SIM_IP6 = 40,
	SIM_TCP = 20,
	SIM_UDP = 8,
	SIM_HEAD_MAX = SIM_ETH + SIM_IP6 + 60,
	SIM_FRAME_MAX = SIM_ETH + SIM_IP6 + 65535,

	SIM_FIN = 0x01,
	SIM_SYN = 0x02,
	SIM_RST = 0x04,
	SIM_PSH = 0x08,
	SIM_ACK = 0x10,
	SIM_URG = 0x20,

	/* virtio 1.2, 5.1.6 */
	SIM_VNET_NEEDS_CSUM = 1,
	SIM_GSO_NONE = 0,
	SIM_GSO_TCP4 = 1,
	SIM_GSO_UFO = 3,
	SIM_GSO_TCP6 = 4,
	SIM_GSO_USO = 5,
};

/* What travels before a frame. */
struct sim_vnet {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
	uint16_t hdr_len;     /* from the guest; it may say anything */
	uint16_t num_buffers; /* likewise */
};

struct sim_frame {
	struct sim_frame *next;
	struct sim_vnet vnet;
	uint64_t at_ns; /* when it was sent */
	uint32_t len;
	uint8_t bytes[];
};

/* One packet in host order. Building and reading use the same structure. */
struct sim_packet {
	struct mac_addr eth_dst;
	struct mac_addr eth_src;
	uint16_t ethertype;
	uint8_t family; /* 4, 6, or 0: neither (ethertype tells) */
	uint8_t proto;
	uint8_t ttl;
	bool has_df;       /* IPv4 */
	uint16_t ip_id;    /* IPv4 */
	uint32_t frag_off; /* bytes; of a fragment l4 is the piece */
	bool has_more;
	uint32_t frag_id; /* IPv6 */
	bool has_frag;    /* IPv6: a fragment header is there */
	struct ip_addr src;
	struct ip_addr dst;
	const uint8_t *l4; /* in the frame; for building: payload below */
	uint32_t l4_len;
	uint32_t l4_off; /* from the start of the frame */

	uint16_t src_port;
	uint16_t dst_port;
	uint32_t seq;
	uint32_t ack;
	uint16_t wnd;
	uint16_t urgent;
	uint8_t flags;
	uint16_t mss;        /* 0: none */
	int wscale;          /* -1: none */
	bool has_sack;       /* SACK permitted */
	bool has_timestamps; /* option seen */
	uint8_t icmp_type;
	uint8_t icmp_code;

	const uint8_t *payload;
	uint32_t payload_len;
};

/* What the guest and the link know, to check frames against. */
struct sim_link_facts {
	struct mac_addr guest_mac;
	struct mac_addr gateway_mac;
	uint32_t features; /* NIC_F_... of the frame device */
	uint32_t mtu;
};

struct sim_frame *sim_frame_new(uint32_t len);

/* The internet checksum of RFC 1071, not complemented, on top of sum. */
uint32_t sim_sum(uint32_t sum, const void *bytes, size_t len);

/* Reads a frame that is in one piece. NULL, or in words what is wrong with its lengths. */
const char *sim_parse(const uint8_t *bytes, uint32_t len, struct sim_packet *ret_packet);

/* Everything that must hold of a frame to the guest: lengths, padding, addresses, checksums or their partial
 * sums, segmentation. NULL, or in words what is wrong; *ret_packet is set in either case where the
 * frame could be read. */
const char *sim_check_to_guest(
    const struct sim_frame *f, const struct sim_link_facts *facts, struct sim_packet *ret_packet);

/* A TCP segment with the payload of the stream seed from off on (payload_len bytes of p). With gso_size > 0, or
 * is_partial, the checksum is left unfinished, as vnet then says. */
struct sim_frame *sim_build_tcp(
    const struct sim_packet *p, uint32_t seed, uint64_t off, uint16_t gso_size, bool is_partial);

/* Any upper layer, given as bytes with its checksum; fragments too. */
struct sim_frame *sim_build_ip(const struct sim_packet *p, const void *l4, uint32_t len);

/* Sets the upper-layer checksum at off of l4 (with the pseudo-header of p's addresses, but for ICMPv4). */
void sim_fill_csum(const struct sim_packet *p, uint8_t *l4, uint32_t len, uint32_t off);

/* UDP and ICMP echo with a payload of the stream seed. */
struct sim_frame *sim_build_udp(const struct sim_packet *p, uint32_t seed, uint64_t off);

uint16_t sim_get16(const uint8_t *at);
uint32_t sim_get32(const uint8_t *at);
void sim_put16(uint8_t *at, uint32_t v);
void sim_put32(uint8_t *at, uint32_t v);

/* One line about a frame, for failures and traces; returns out. */
const char *sim_describe(const struct sim_packet *p, char *out, size_t cap);

#endif
