/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QUIC Initial packets. Datagrams stand in the input behind their lengths of two bytes. Protection is left out, as no input
 * would get past it: the primitives here open everything, into what was sealed as it stands.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "wire/quic_initial.h"

static void require(bool claim)
{
	if (!claim)
		abort();
}

static int hmac_sha256(
    const uint8_t *key, size_t key_len, const uint8_t *data, size_t len, uint8_t ret_mac[32])
{
	(void)key;
	(void)key_len;
	(void)data;
	(void)len;
	memset(ret_mac, 0, 32);
	return 0;
}

static int aes128_block(const uint8_t key[16], const uint8_t in[16], uint8_t ret_out[16])
{
	(void)key;
	(void)in;
	memset(ret_out, 0, 16);
	return 0;
}

/* An odd last byte is a wrong tag. */
static int aes128_gcm_open(
    const uint8_t key[16], const struct quic_sealed *sealed, uint8_t *ret_out)
{
	(void)key;
	require(sealed->len >= 16 && sealed->aad_len > 0);
	if (sealed->bytes[sealed->len - 1] % 2 != 0)
		return -1;
	memcpy(ret_out, sealed->bytes, sealed->len - 16);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct quic_crypto crypto = {.hmac_sha256 = hmac_sha256,
	    .aes128_block = aes128_block,
	    .aes128_gcm_open = aes128_gcm_open};
	struct rd r = rd_init(data, size);
	struct quic_initial q = {
	    .message = malloc(QUIC_HELLO_MAX), .have = calloc(1, QUIC_HAVE_SIZE)};
	struct tls_hello first = {0};
	bool has_first = false;

	require(q.message && q.have);
	while (rd_left(&r) > 2) {
		size_t len = rd_be16(&r);
		size_t take = len < rd_left(&r) ? len : rd_left(&r);
		const uint8_t *bytes = rd_bytes(&r, take);
		uint8_t *datagram = malloc(take > 0 ? take : 1);
		struct tls_hello h = {0};
		enum hello_result result;

		require(datagram && bytes);
		memcpy(datagram, bytes, take);
		result = quic_initial_read(&q, &crypto, datagram, take, &h);
		free(datagram);
		require(q.end <= QUIC_HELLO_MAX && q.whole <= q.end);
		if (result == HELLO_BAD || result == HELLO_OTHER)
			break;
		/* Once it is named, it stays what it is. */
		require(!has_first || result == HELLO_NO_NAME || name_eq(&first.name, &h.name));
		if (result == HELLO_NAME && !has_first) {
			first = h;
			has_first = true;
			free(q.have);
			q.have = NULL;
		}
	}
	free(q.message);
	free(q.have);
	return 0;
}
