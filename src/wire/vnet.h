/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio-net header that travels with each frame (virtio 1.2, 5.1.6): unfinished checksums and
 * frames larger than the MTU.
 */
#ifndef SLUICE_WIRE_VNET_H
#define SLUICE_WIRE_VNET_H

#include <stdint.h>

enum {
	VNET_HDR_SIZE = 12, /* with num_buffers, as VIRTIO_F_VERSION_1 has it */

	VNET_F_NEEDS_CSUM = 1, /* the checksum from csum_start on is not finished */
	VNET_F_DATA_VALID = 2, /* the checksum has been verified */

	VNET_GSO_NONE = 0,
	VNET_GSO_TCP4 = 1,
	VNET_GSO_UDP = 3, /* UFO: one datagram, to be fragmented */
	VNET_GSO_TCP6 = 4,
	VNET_GSO_USO = 5,    /* UDP_L4: several datagrams of gso_size bytes of payload */
	VNET_GSO_ECN = 0x80, /* flag: CWR is set in the first segment only */
};

struct vnet_hdr {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;     /* hint only; never trusted */
	uint16_t gso_size;    /* bytes of payload per segment */
	uint16_t csum_start;  /* offset from the start of the frame */
	uint16_t csum_offset; /* offset of the checksum field from csum_start */
	uint16_t num_buffers; /* towards the guest, with mergeable buffers; else 0 or 1 */
};

/* Little-endian on the wire. All 12 bytes are read or written; any value is legal here, as only
 * the frame can tell what contradicts it (packet_parse_l4()). */
struct vnet_hdr vnet_parse(const uint8_t wire[VNET_HDR_SIZE]);
void vnet_build(const struct vnet_hdr *h, uint8_t wire[VNET_HDR_SIZE]);

#endif
