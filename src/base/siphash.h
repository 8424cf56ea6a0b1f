/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012), with one compression
 * and three finalisation rounds: keyed, so that a guest that chooses its ports and addresses
 * cannot choose where they fall in a table.
 */
#ifndef SLUICE_BASE_SIPHASH_H
#define SLUICE_BASE_SIPHASH_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct siphash_key {
	uint64_t k[2]; /* random, secret, one per engine */
};

struct siphash_state {
	uint64_t v[4];
};

static inline uint64_t siphash_rotl(uint64_t v, int by)
{
	return v << by | v >> (64 - by);
}

static inline void siphash_round(struct siphash_state *s)
{
	s->v[0] += s->v[1];
	s->v[2] += s->v[3];
	s->v[1] = siphash_rotl(s->v[1], 13) ^ s->v[0];
	s->v[3] = siphash_rotl(s->v[3], 16) ^ s->v[2];
	s->v[0] = siphash_rotl(s->v[0], 32);
	s->v[2] += s->v[1];
	s->v[0] += s->v[3];
	s->v[1] = siphash_rotl(s->v[1], 17) ^ s->v[2];
	s->v[3] = siphash_rotl(s->v[3], 21) ^ s->v[0];
	s->v[2] = siphash_rotl(s->v[2], 32);
}

static inline uint64_t siphash13(const struct siphash_key *key, const void *bytes, size_t len)
{
	struct siphash_state s = {.v = {
				      key->k[0] ^ 0x736f6d6570736575ULL,
				      key->k[1] ^ 0x646f72616e646f6dULL,
				      key->k[0] ^ 0x6c7967656e657261ULL,
				      key->k[1] ^ 0x7465646279746573ULL,
				  }};
	const uint8_t *p = bytes;
	uint64_t word;
	uint64_t last = (uint64_t)len << 56;

	for (; len >= 8; len -= 8, p += 8) {
		memcpy(&word, p, 8);
		word = le64toh(word);
		s.v[3] ^= word;
		siphash_round(&s);
		s.v[0] ^= word;
	}
	for (size_t i = 0; i < len; i++)
		last |= (uint64_t)p[i] << (8 * i);
	s.v[3] ^= last;
	siphash_round(&s);
	s.v[0] ^= last;
	s.v[2] ^= 0xff;
	siphash_round(&s);
	siphash_round(&s);
	siphash_round(&s);
	return s.v[0] ^ s.v[1] ^ s.v[2] ^ s.v[3];
}

#endif
