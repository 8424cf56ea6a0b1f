/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ClientHello: a stream is read the same in pieces of any size, and what is read of a message is a canonical name. The first
 * byte of the input is the size of the pieces.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "wire/tls_hello.h"

static void require(bool claim)
{
	if (!claim)
		abort();
}

static void check(const uint8_t *message, size_t len)
{
	struct tls_hello h;
	enum hello_result result = tls_hello_read(message, len, &h);
	struct name again;

	require(result == HELLO_NAME || result == HELLO_NO_NAME || result == HELLO_ECH ||
		result == HELLO_BAD);
	if (result == HELLO_NAME || (result == HELLO_ECH && h.name.len > 0)) {
		require(name_read(h.name.text, h.name.len, &again, NULL) == NAME_OK);
		require(name_eq(&h.name, &again));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls_frames whole = {0};
	struct tls_frames pieces = {0};
	struct tls_frames copied = {0};
	enum hello_result result;
	enum hello_result in_pieces = HELLO_MORE;
	uint8_t *out;

	if (size < 1)
		return 0;
	check(data + 1, size - 1);
	result = tls_frames_feed(&whole, data + 1, size - 1);
	for (size_t at = 1; at < size && in_pieces == HELLO_MORE;) {
		size_t take = data[0] % 64 + 1U < size - at ? data[0] % 64 + 1U : size - at;

		in_pieces = tls_frames_feed(&pieces, data + at, take);
		at += take;
	}
	require(in_pieces == result && (result == HELLO_BAD || pieces.have == whole.have));
	if (result != HELLO_NAME)
		return 0;
	out = malloc(whole.have);
	require(out != NULL);
	tls_frames_copy(&copied, data + 1, size - 1, out);
	require(copied.have == whole.have);
	check(out, copied.have);
	free(out);
	return 0;
}
