/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of an HTTP/1 request: a stream is read the same byte by byte, any bytes are a head or none, and what is read is
 * a canonical name.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "wire/http1_head.h"

static void require(bool claim)
{
	if (!claim)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http1_lines whole = {0};
	struct http1_lines pieces = {0};
	struct http1_head h;
	struct name again;
	size_t used = 0;
	size_t at = 0;
	enum hello_result result = http1_lines_feed(&whole, data, size, &used);
	enum hello_result in_pieces = HELLO_MORE;

	while (at < size && in_pieces == HELLO_MORE) {
		size_t one;

		in_pieces = http1_lines_feed(&pieces, data + at, 1, &one);
		at++;
	}
	require(in_pieces == result && at == used);
	result = http1_head_read(data, size, &h);
	require(result == HELLO_NAME || result == HELLO_NO_NAME || result == HELLO_BAD);
	if (result == HELLO_NAME)
		require(name_read(h.name.text, h.name.len, &again, NULL) == NAME_OK &&
			name_eq(&h.name, &again));
	/* What is read of a complete head ends where the lines say. */
	if (in_pieces == HELLO_NAME && used == size)
		require(http1_head_read(data, used, &h) == result);
	return 0;
}
