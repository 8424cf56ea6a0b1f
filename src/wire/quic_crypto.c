/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The primitives of QUIC's Initial packets: HMAC-SHA256 (RFC 2104, FIPS 180-4), AES-128 (FIPS 197) and opening
 * AES-128-GCM (NIST SP 800-38D).
 *
 * Why not a library: the keys are in the packet for everybody to derive, so that there is nothing to keep secret and no time
 * to be made constant; and a library for it would double the time that the program takes to start, and bring its
 * global state into every engine. Small before fast: some 30 microseconds for a datagram.
 *
 * Tests: unit/test_quic_initial.c (the vectors of RFC 9001 and RFC 9369, and libcrypto beside it). Every loop is bounded by
 * the length of its input.
 */
#include <errno.h>

#include "base/rd.h"
#include "base/wr.h"
#include "wire/quic_initial.h"

enum {
	SHA_BLOCK = 64,
	SHA_SIZE = 32,
	AES_BLOCK = 16,
	AES_ROUNDS = 10,
	TAG_SIZE = 16,
};

/* ---- SHA-256, FIPS 180-4 6.2 ---- */

struct sha256 {
	uint32_t h[8];
	uint8_t block[SHA_BLOCK];
	uint64_t len; /* bytes so far */
};

static const uint32_t sha_k[64] = {0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b,
    0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74,
    0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
    0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3,
    0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354,
    0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
    0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3,
    0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa,
    0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t ror(uint32_t x, unsigned int n)
{
	return x >> n | x << (32 - n);
}

static void sha_begin(struct sha256 *s)
{
	*s = (struct sha256){.h = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
				 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

static void sha_block(struct sha256 *s)
{
	struct rd r = rd_init(s->block, SHA_BLOCK);
	uint32_t w[64];
	uint32_t v[8];

	for (int i = 0; i < 16; i++)
		w[i] = rd_be32(&r);
	for (int i = 16; i < 64; i++)
		w[i] = w[i - 16] + w[i - 7] +
		       (ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3) +
		       (ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10);
	memcpy(v, s->h, sizeof(v));
	for (int i = 0; i < 64; i++) {
		uint32_t e = v[4];
		uint32_t a = v[0];
		uint32_t t1 = v[7] + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) +
			      ((e & v[5]) ^ (~e & v[6])) + sha_k[i] + w[i];
		uint32_t t2 = (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) +
			      ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));

		memmove(v + 1, v, 7 * sizeof(v[0]));
		v[4] += t1;
		v[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++)
		s->h[i] += v[i];
}

static void sha_add(struct sha256 *s, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		s->block[s->len++ % SHA_BLOCK] = bytes[i];
		if (s->len % SHA_BLOCK == 0)
			sha_block(s);
	}
}

static void sha_end(struct sha256 *s, uint8_t ret_hash[SHA_SIZE])
{
	static const uint8_t pad[SHA_BLOCK] = {0x80};
	uint64_t bits = s->len * 8;
	uint8_t tail[8];

	sha_add(s, pad, 1 + (SHA_BLOCK + 55 - s->len % SHA_BLOCK) % SHA_BLOCK);
	put_be32(tail, (uint32_t)(bits >> 32));
	put_be32(tail + 4, (uint32_t)bits);
	sha_add(s, tail, sizeof(tail));
	for (int i = 0; i < 8; i++)
		put_be32(ret_hash + (size_t)4 * (size_t)i, s->h[i]);
}

/* RFC 2104; a key is at most one block. */
static int hmac_sha256(
    const uint8_t *key, size_t key_len, const uint8_t *data, size_t len, uint8_t ret_mac[SHA_SIZE])
{
	uint8_t pad[SHA_BLOCK] = {0};
	uint8_t inner[SHA_SIZE];
	struct sha256 s;

	if (key_len > SHA_BLOCK)
		return -EINVAL;
	memcpy(pad, key, key_len);
	for (int i = 0; i < SHA_BLOCK; i++)
		pad[i] ^= 0x36;
	sha_begin(&s);
	sha_add(&s, pad, sizeof(pad));
	sha_add(&s, data, len);
	sha_end(&s, inner);
	for (int i = 0; i < SHA_BLOCK; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	sha_begin(&s);
	sha_add(&s, pad, sizeof(pad));
	sha_add(&s, inner, sizeof(inner));
	sha_end(&s, ret_mac);
	return 0;
}

/* ---- AES-128, FIPS 197: a block is 16 bytes, column after column ---- */

static const uint8_t aes_sbox[256] = {0x63, 0x7c, 0x77, 0x7b, 0xf2, 0x6b, 0x6f, 0xc5, 0x30, 0x01,
    0x67, 0x2b, 0xfe, 0xd7, 0xab, 0x76, 0xca, 0x82, 0xc9, 0x7d, 0xfa, 0x59, 0x47, 0xf0, 0xad, 0xd4,
    0xa2, 0xaf, 0x9c, 0xa4, 0x72, 0xc0, 0xb7, 0xfd, 0x93, 0x26, 0x36, 0x3f, 0xf7, 0xcc, 0x34, 0xa5,
    0xe5, 0xf1, 0x71, 0xd8, 0x31, 0x15, 0x04, 0xc7, 0x23, 0xc3, 0x18, 0x96, 0x05, 0x9a, 0x07, 0x12,
    0x80, 0xe2, 0xeb, 0x27, 0xb2, 0x75, 0x09, 0x83, 0x2c, 0x1a, 0x1b, 0x6e, 0x5a, 0xa0, 0x52, 0x3b,
    0xd6, 0xb3, 0x29, 0xe3, 0x2f, 0x84, 0x53, 0xd1, 0x00, 0xed, 0x20, 0xfc, 0xb1, 0x5b, 0x6a, 0xcb,
    0xbe, 0x39, 0x4a, 0x4c, 0x58, 0xcf, 0xd0, 0xef, 0xaa, 0xfb, 0x43, 0x4d, 0x33, 0x85, 0x45, 0xf9,
    0x02, 0x7f, 0x50, 0x3c, 0x9f, 0xa8, 0x51, 0xa3, 0x40, 0x8f, 0x92, 0x9d, 0x38, 0xf5, 0xbc, 0xb6,
    0xda, 0x21, 0x10, 0xff, 0xf3, 0xd2, 0xcd, 0x0c, 0x13, 0xec, 0x5f, 0x97, 0x44, 0x17, 0xc4, 0xa7,
    0x7e, 0x3d, 0x64, 0x5d, 0x19, 0x73, 0x60, 0x81, 0x4f, 0xdc, 0x22, 0x2a, 0x90, 0x88, 0x46, 0xee,
    0xb8, 0x14, 0xde, 0x5e, 0x0b, 0xdb, 0xe0, 0x32, 0x3a, 0x0a, 0x49, 0x06, 0x24, 0x5c, 0xc2, 0xd3,
    0xac, 0x62, 0x91, 0x95, 0xe4, 0x79, 0xe7, 0xc8, 0x37, 0x6d, 0x8d, 0xd5, 0x4e, 0xa9, 0x6c, 0x56,
    0xf4, 0xea, 0x65, 0x7a, 0xae, 0x08, 0xba, 0x78, 0x25, 0x2e, 0x1c, 0xa6, 0xb4, 0xc6, 0xe8, 0xdd,
    0x74, 0x1f, 0x4b, 0xbd, 0x8b, 0x8a, 0x70, 0x3e, 0xb5, 0x66, 0x48, 0x03, 0xf6, 0x0e, 0x61, 0x35,
    0x57, 0xb9, 0x86, 0xc1, 0x1d, 0x9e, 0xe1, 0xf8, 0x98, 0x11, 0x69, 0xd9, 0x8e, 0x94, 0x9b, 0x1e,
    0x87, 0xe9, 0xce, 0x55, 0x28, 0xdf, 0x8c, 0xa1, 0x89, 0x0d, 0xbf, 0xe6, 0x42, 0x68, 0x41, 0x99,
    0x2d, 0x0f, 0xb0, 0x54, 0xbb, 0x16};

static uint8_t times_2(uint8_t x)
{
	return (uint8_t)(x << 1 ^ ((x >> 7) * 0x1b));
}

/* The round keys, one behind the other. */
static void aes_expand(const uint8_t key[16], uint8_t keys[AES_BLOCK * (AES_ROUNDS + 1)])
{
	uint8_t constant = 1;

	memcpy(keys, key, AES_BLOCK);
	for (size_t i = AES_BLOCK; i < (size_t)AES_BLOCK * (AES_ROUNDS + 1); i += 4) {
		uint8_t word[4];

		memcpy(word, keys + i - 4, 4);
		if (i % AES_BLOCK == 0) {
			uint8_t first = word[0];

			word[0] = aes_sbox[word[1]] ^ constant;
			word[1] = aes_sbox[word[2]];
			word[2] = aes_sbox[word[3]];
			word[3] = aes_sbox[first];
			constant = times_2(constant);
		}
		for (size_t k = 0; k < 4; k++)
			keys[i + k] = keys[i + k - AES_BLOCK] ^ word[k];
	}
}

static void aes_mix_columns(uint8_t b[AES_BLOCK])
{
	for (int c = 0; c < AES_BLOCK; c += 4) {
		uint8_t all = b[c] ^ b[c + 1] ^ b[c + 2] ^ b[c + 3];
		uint8_t first = b[c];

		b[c] ^= all ^ times_2(b[c] ^ b[c + 1]);
		b[c + 1] ^= all ^ times_2(b[c + 1] ^ b[c + 2]);
		b[c + 2] ^= all ^ times_2(b[c + 2] ^ b[c + 3]);
		b[c + 3] ^= all ^ times_2(b[c + 3] ^ first);
	}
}

static void aes_encrypt(
    const uint8_t keys[AES_BLOCK * (AES_ROUNDS + 1)], const uint8_t in[AES_BLOCK], uint8_t *out)
{
	uint8_t b[AES_BLOCK];

	for (size_t i = 0; i < AES_BLOCK; i++)
		b[i] = in[i] ^ keys[i];
	for (size_t round = 1; round <= AES_ROUNDS; round++) {
		uint8_t shifted[AES_BLOCK];

		for (size_t i = 0; i < AES_BLOCK; i++)
			shifted[i] = aes_sbox[b[(i + 4 * (i % 4)) % AES_BLOCK]];
		if (round < AES_ROUNDS)
			aes_mix_columns(shifted);
		for (size_t i = 0; i < AES_BLOCK; i++)
			b[i] = shifted[i] ^ keys[AES_BLOCK * round + i];
	}
	memcpy(out, b, AES_BLOCK);
}

static int aes128_block(const uint8_t key[16], const uint8_t in[16], uint8_t ret_out[16])
{
	uint8_t keys[AES_BLOCK * (AES_ROUNDS + 1)];

	aes_expand(key, keys);
	aes_encrypt(keys, in, ret_out);
	return 0;
}

/* ---- GCM, NIST SP 800-38D ---- */

/* An element of the field: the first bit of a block is the highest of hi. */
struct ghash {
	uint64_t key_hi;
	uint64_t key_lo;
	uint64_t hi;
	uint64_t lo;
};

static uint64_t read_64(const uint8_t *at)
{
	struct rd r = rd_init(at, 8);
	uint64_t hi = rd_be32(&r);

	return hi << 32 | rd_be32(&r);
}

/* 6.3: multiplies by the key. */
static void ghash_multiply(struct ghash *g)
{
	uint64_t v_hi = g->key_hi;
	uint64_t v_lo = g->key_lo;
	uint64_t hi = 0;
	uint64_t lo = 0;

	for (unsigned int i = 0; i < 128; i++) {
		uint64_t word = i < 64 ? g->hi : g->lo;
		uint64_t is_set = 0 - (word >> (63 - i % 64) & 1);
		uint64_t carry = 0 - (v_lo & 1);

		hi ^= v_hi & is_set;
		lo ^= v_lo & is_set;
		v_lo = v_lo >> 1 | v_hi << 63;
		v_hi = v_hi >> 1 ^ (carry & 0xe100000000000000);
	}
	g->hi = hi;
	g->lo = lo;
}

/* 6.4: whole blocks, the last one filled up with zeros. */
static void ghash_add(struct ghash *g, const uint8_t *bytes, size_t len)
{
	for (size_t at = 0; at < len; at += AES_BLOCK) {
		uint8_t block[AES_BLOCK] = {0};

		memcpy(block, bytes + at, len - at < AES_BLOCK ? len - at : AES_BLOCK);
		g->hi ^= read_64(block);
		g->lo ^= read_64(block + 8);
		ghash_multiply(g);
	}
}

/* What the tag is masked with is the counter's first block. */
static void gcm_tag(const uint8_t *keys, const uint8_t counter[AES_BLOCK],
    const struct quic_sealed *sealed, uint8_t ret_tag[TAG_SIZE])
{
	size_t len = sealed->len - TAG_SIZE;
	uint8_t block[AES_BLOCK] = {0};
	struct ghash g = {0};

	aes_encrypt(keys, block, block);
	g.key_hi = read_64(block);
	g.key_lo = read_64(block + 8);
	ghash_add(&g, sealed->aad, sealed->aad_len);
	ghash_add(&g, sealed->bytes, len);
	g.hi ^= (uint64_t)sealed->aad_len * 8;
	g.lo ^= (uint64_t)len * 8;
	ghash_multiply(&g);
	aes_encrypt(keys, counter, ret_tag);
	for (unsigned int i = 0; i < 8; i++) {
		ret_tag[i] ^= (uint8_t)(g.hi >> (56 - 8 * i));
		ret_tag[8 + i] ^= (uint8_t)(g.lo >> (56 - 8 * i));
	}
}

static int aes128_gcm_open(
    const uint8_t key[16], const struct quic_sealed *sealed, uint8_t *ret_out)
{
	uint8_t keys[AES_BLOCK * (AES_ROUNDS + 1)];
	uint8_t counter[AES_BLOCK] = {0};
	uint8_t block[AES_BLOCK];
	uint32_t number = 1;

	if (sealed->len < TAG_SIZE)
		return -EBADMSG;
	aes_expand(key, keys);
	memcpy(counter, sealed->nonce, QUIC_NONCE_SIZE);
	put_be32(counter + QUIC_NONCE_SIZE, number);
	gcm_tag(keys, counter, sealed, block);
	if (memcmp(block, sealed->bytes + sealed->len - TAG_SIZE, TAG_SIZE) != 0)
		return -EBADMSG;
	for (size_t at = 0; at < sealed->len - TAG_SIZE; at++) {
		if (at % AES_BLOCK == 0) {
			put_be32(counter + QUIC_NONCE_SIZE, ++number);
			aes_encrypt(keys, counter, block);
		}
		ret_out[at] = sealed->bytes[at] ^ block[at % AES_BLOCK];
	}
	return 0;
}

const struct quic_crypto quic_crypto_plain = {
    .hmac_sha256 = hmac_sha256,
    .aes128_block = aes128_block,
    .aes128_gcm_open = aes128_gcm_open,
};
