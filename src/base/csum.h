/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Internet checksum (RFC 1071) over pieces of any length.
 *
 * struct csum holds a running one's complement sum. Values given and returned are in host order, as
 * wr_be16() and put_be16() take them.
 */
#ifndef SLUICE_BASE_CSUM_H
#define SLUICE_BASE_CSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct csum {
	uint64_t sum; /* one's complement sum of 16-bit words in wire order, not folded */
	bool is_odd;  /* an odd number of bytes has been added */
};

/* Adds bytes that follow those added before. */
void csum_add(struct csum *c, const void *bytes, size_t len);

/* Adds one 16-bit value of the header; only at an even position. */
void csum_add_u16(struct csum *c, uint16_t host_order);

/* Adds the pseudo-header of RFC 793 3.1 (IPv4) or RFC 8200 8.1 (IPv6); the family is that of the
 * addresses. len is the length of the upper-layer packet in bytes. */
void csum_add_pseudo(struct csum *c, const struct ip_addr *src, const struct ip_addr *dst,
    uint8_t proto, uint32_t len);

/* The folded sum, not complemented: what goes into the checksum field of a packet whose checksum the
 * receiver is asked to finish (VIRTIO_NET_HDR_F_NEEDS_CSUM). */
uint16_t csum_partial(const struct csum *c);

/* The checksum: the complement of the folded sum. */
uint16_t csum_finish(const struct csum *c);

/* The checksum of one piece. It is 0 if the piece contains its own right checksum. */
uint16_t csum_of(const void *bytes, size_t len);

#endif
