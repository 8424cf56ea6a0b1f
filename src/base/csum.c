/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Internet checksum (RFC 1071).
 *
 * The sum is kept in the byte order of the machine, which RFC 1071 2(B) shows to be equivalent, and
 * swapped once at the end. Four accumulators of 64 bits take 32-bit words: none can overflow before
 * 2^32 words, and the compiler is free to use vector instructions.
 */
#include "base/csum.h"

#include <endian.h>
#include <string.h>

static uint64_t sum_words(const uint8_t *p, size_t len)
{
	uint64_t acc[4] = {0};
	uint64_t sum = 0;
	uint16_t last = 0;

	for (; len >= 32; len -= 32, p += 32) {
		uint32_t w[8];

		memcpy(w, p, sizeof(w));
		acc[0] += (uint64_t)w[0] + w[4];
		acc[1] += (uint64_t)w[1] + w[5];
		acc[2] += (uint64_t)w[2] + w[6];
		acc[3] += (uint64_t)w[3] + w[7];
	}
	for (int i = 0; i < 4; i++)
		sum += (acc[i] & 0xffffffff) + (acc[i] >> 32);
	for (; len >= 2; len -= 2, p += 2) {
		uint16_t w;

		memcpy(&w, p, sizeof(w));
		sum += w;
	}
	if (len > 0) {
		memcpy(&last, p, 1); /* padded with a zero byte, RFC 1071 4.1 */
		sum += last;
	}
	return sum;
}

static uint16_t fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint16_t swap16(uint16_t v)
{
	return (uint16_t)(v << 8 | v >> 8);
}

void csum_add(struct csum *c, const void *bytes, size_t len)
{
	uint16_t piece = fold(sum_words(bytes, len));

	c->sum += c->is_odd ? swap16(piece) : piece;
	c->is_odd ^= len & 1U;
}

void csum_add_u16(struct csum *c, uint16_t host_order)
{
	c->sum += htobe16(host_order);
}

void csum_add_pseudo(struct csum *c, const struct ip_addr *src, const struct ip_addr *dst,
    uint8_t proto, uint32_t len)
{
	size_t skip = ip_addr_is_v4(src) && ip_addr_is_v4(dst) ? 12 : 0;

	csum_add(c, src->b + skip, sizeof(src->b) - skip);
	csum_add(c, dst->b + skip, sizeof(dst->b) - skip);
	csum_add_u16(c, (uint16_t)(len >> 16));
	csum_add_u16(c, (uint16_t)len);
	csum_add_u16(c, proto);
}

uint16_t csum_partial(const struct csum *c)
{
	return be16toh(fold(c->sum));
}

uint16_t csum_finish(const struct csum *c)
{
	return (uint16_t)~csum_partial(c);
}

uint16_t csum_of(const void *bytes, size_t len)
{
	struct csum c = {0};

	csum_add(&c, bytes, len);
	return csum_finish(&c);
}
