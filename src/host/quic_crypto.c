/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HMAC-SHA256, AES-128 and AES-128-GCM by libcrypto (OpenSSL 3): quic_crypto.h.
 *
 * The keys are those of QUIC Initial packets, which anybody can derive; nothing here is secret.
 */
#include "host/quic_crypto.h"

#include <errno.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>

enum {
	TAG_SIZE = 16,
	MAC_SIZE = 32,
};

struct primitives {
	OSSL_LIB_CTX *lib;
	EVP_MAC *hmac;
	EVP_CIPHER *ecb;
	EVP_CIPHER *gcm;
	EVP_MAC_CTX *mac_ctx;
	EVP_CIPHER_CTX *cipher_ctx;
};

static int hmac_sha256(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *data,
    size_t len, uint8_t ret_mac[MAC_SIZE])
{
	const struct primitives *p = ctx;
	char digest[] = "SHA256";
	const OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
	    OSSL_PARAM_construct_end(),
	};
	size_t mac_len;
	bool is_done = EVP_MAC_init(p->mac_ctx, key, key_len, params) == 1 &&
		       EVP_MAC_update(p->mac_ctx, data, len) == 1 &&
		       EVP_MAC_final(p->mac_ctx, ret_mac, &mac_len, MAC_SIZE) == 1;

	return is_done ? 0 : -ENOMEM;
}

static int aes128_block(void *ctx, const uint8_t key[16], const uint8_t in[16], uint8_t ret_out[16])
{
	const struct primitives *p = ctx;
	int len;
	bool is_done = EVP_EncryptInit_ex2(p->cipher_ctx, p->ecb, key, NULL, NULL) == 1 &&
		       EVP_CIPHER_CTX_set_padding(p->cipher_ctx, 0) == 1 &&
		       EVP_EncryptUpdate(p->cipher_ctx, ret_out, &len, in, 16) == 1;

	return is_done ? 0 : -ENOMEM;
}

static int aes128_gcm_open(
    void *ctx, const uint8_t key[16], const struct quic_sealed *sealed, uint8_t *ret_out)
{
	EVP_CIPHER_CTX *c = ((const struct primitives *)ctx)->cipher_ctx;
	const EVP_CIPHER *gcm = ((const struct primitives *)ctx)->gcm;
	uint8_t tag[TAG_SIZE];
	uint8_t none;
	int len;
	int out_len;
	bool is_done;

	if (sealed->len < TAG_SIZE || sealed->len > INT_MAX || sealed->aad_len > INT_MAX)
		return -EBADMSG;
	len = (int)(sealed->len - TAG_SIZE);
	memcpy(tag, sealed->bytes + len, TAG_SIZE);
	is_done = EVP_DecryptInit_ex2(c, gcm, key, sealed->nonce, NULL) == 1 &&
		  EVP_DecryptUpdate(c, NULL, &out_len, sealed->aad, (int)sealed->aad_len) == 1 &&
		  EVP_DecryptUpdate(c, ret_out, &out_len, sealed->bytes, len) == 1 &&
		  EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) == 1 &&
		  EVP_DecryptFinal_ex(c, &none, &out_len) == 1;
	return is_done ? 0 : -EBADMSG;
}

static void primitives_free(struct primitives *p)
{
	EVP_MAC_CTX_free(p->mac_ctx);
	EVP_CIPHER_CTX_free(p->cipher_ctx);
	EVP_MAC_free(p->hmac);
	EVP_CIPHER_free(p->ecb);
	EVP_CIPHER_free(p->gcm);
	OSSL_LIB_CTX_free(p->lib);
	free(p);
}

/* Each primitive once, so that whatever the library makes at first use is made. */
static bool try_all(const struct quic_crypto *c)
{
	static const uint8_t zero[32];
	const struct quic_sealed sealed = {
	    .nonce = zero, .aad = zero, .aad_len = 1, .bytes = zero, .len = sizeof(zero)};
	uint8_t out[MAC_SIZE];

	return c->hmac_sha256(c->ctx, zero, sizeof(zero), zero, sizeof(zero), out) == 0 &&
	       c->aes128_block(c->ctx, zero, zero, out) == 0 &&
	       c->aes128_gcm_open(c->ctx, zero, &sealed, out) == -EBADMSG;
}

int host_quic_crypto_init(struct quic_crypto *ret_crypto)
{
	struct primitives *p = calloc(1, sizeof(*p));
	struct quic_crypto c = {
	    .ctx = p,
	    .hmac_sha256 = hmac_sha256,
	    .aes128_block = aes128_block,
	    .aes128_gcm_open = aes128_gcm_open,
	};

	if (!p)
		return -ENOMEM;
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL) == 1)
		p->lib = OSSL_LIB_CTX_new();
	if (p->lib) {
		p->hmac = EVP_MAC_fetch(p->lib, "HMAC", NULL);
		p->ecb = EVP_CIPHER_fetch(p->lib, "AES-128-ECB", NULL);
		p->gcm = EVP_CIPHER_fetch(p->lib, "AES-128-GCM", NULL);
		p->mac_ctx = p->hmac ? EVP_MAC_CTX_new(p->hmac) : NULL;
		p->cipher_ctx = EVP_CIPHER_CTX_new();
	}
	if (!p->mac_ctx || !p->ecb || !p->gcm || !p->cipher_ctx || !try_all(&c)) {
		primitives_free(p);
		return -ENOMEM;
	}
	*ret_crypto = c;
	return 0;
}

void host_quic_crypto_fini(struct quic_crypto *c)
{
	if (c->ctx)
		primitives_free(c->ctx);
	*c = (struct quic_crypto){0};
}
