/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other side of wire/quic_initial.h: Initial packets as a client makes them. Keys come from the code under test, which
 * the vectors of RFC 9001 and RFC 9369 prove; AES-GCM is sealed with libcrypto here.
 */
#ifndef SLUICE_TESTS_QUICSEAL_H
#define SLUICE_TESTS_QUICSEAL_H

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/wr.h"
#include "wire/quic_initial.h"

#define QUIC_V1 0x00000001U
#define QUIC_V2 0x6b3343cfU

struct quic_seal {
	uint32_t version;
	const uint8_t *cid; /* destination */
	uint8_t cid_len;
	const uint8_t *key_cid; /* that the keys are derived from; NULL: cid */
	uint8_t key_cid_len;
	uint32_t number;
	uint8_t number_len; /* 1..4 */
	const uint8_t *token;
	uint8_t token_len; /* below 64 */
};

static inline void quic_seal_require(int is_right)
{
	if (!is_right)
		abort();
}

static inline void quic_seal_gcm(const struct quic_keys *k, const uint8_t *nonce,
    const uint8_t *aad, size_t aad_len, const uint8_t *in, size_t len, uint8_t *out)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n;

	quic_seal_require(c &&
			  EVP_EncryptInit_ex2(c, EVP_aes_128_gcm(), k->key, nonce, NULL) == 1 &&
			  EVP_EncryptUpdate(c, NULL, &n, aad, (int)aad_len) == 1 &&
			  EVP_EncryptUpdate(c, out, &n, in, (int)len) == 1 &&
			  EVP_EncryptFinal_ex(c, out + n, &n) == 1 &&
			  EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, out + len) == 1);
	EVP_CIPHER_CTX_free(c);
}

/* Writes one Initial packet with these frames, which are at least 4 bytes. */
static inline void quic_seal_initial(const struct quic_crypto *c, const struct quic_seal *s,
    const uint8_t *frames, size_t len, struct wr *w)
{
	struct quic_keys k;
	uint8_t nonce[12];
	uint8_t mask[16];
	uint8_t *start = w->pos;
	uint8_t *number;
	uint8_t type = s->version == QUIC_V2 ? 0x10 : 0;

	quic_seal_require(quic_client_keys(c, s->version, s->key_cid ? s->key_cid : s->cid,
			      s->key_cid ? s->key_cid_len : s->cid_len, &k) == 0);
	wr_u8(w, (uint8_t)(0xc0 | type | (s->number_len - 1)));
	wr_be32(w, s->version);
	wr_u8(w, s->cid_len);
	wr_copy(w, s->cid, s->cid_len);
	wr_u8(w, 0);
	wr_u8(w, s->token_len);
	wr_copy(w, s->token, s->token_len);
	wr_be16(w, (uint16_t)(0x4000 | (s->number_len + len + 16)));
	number = w->pos;
	for (int i = s->number_len - 1; i >= 0; i--)
		wr_u8(w, (uint8_t)(s->number >> (8 * i)));
	memcpy(nonce, k.iv, sizeof(nonce));
	for (int i = 0; i < 4; i++)
		nonce[11 - i] ^= (uint8_t)(s->number >> (8 * i));
	{
		size_t head_len = (size_t)(w->pos - start);
		uint8_t *body = wr_room(w, len + 16);

		quic_seal_require(body != NULL);
		quic_seal_gcm(&k, nonce, start, head_len, frames, len, body);
	}
	quic_seal_require(c->aes128_block(k.hp, number + 4, mask) == 0);
	start[0] ^= mask[0] & 0x0f;
	for (int i = 0; i < s->number_len; i++)
		number[i] ^= mask[i + 1];
}

/* Writes a CRYPTO frame. */
static inline void quic_seal_crypto(struct wr *w, uint32_t off, const uint8_t *bytes, size_t len)
{
	wr_u8(w, 6);
	wr_be32(w, 0x80000000U | off);
	wr_be16(w, (uint16_t)(0x4000 | len));
	wr_copy(w, bytes, len);
}

#endif
