/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What passes to an HTTP/1 server on loopback: a stream is judged the same in pieces of any length, nothing is read behind
 * what is shown, and a head passes only with a Host of this machine. The first byte tells how long the pieces are.
 */
#include "fuzz.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wire/http1_guard.h"

static void require(bool claim)
{
	if (!claim)
		abort();
}

/* In a copy of exactly this size, of which a sanitizer sees one byte too far. */
static int64_t show(struct http1_guard *g, const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	int64_t n;

	require(copy != NULL);
	if (len > 0)
		memcpy(copy, data, len);
	n = http1_guard_pass(g, copy, len);
	free(copy);
	require(n >= 0 || n == -EACCES || n == -EBADMSG || n == -EMSGSIZE);
	return n;
}

/* As the relay does it: what has not passed is shown again with more behind it, at most a head's length at once. */
static int64_t pass_in_pieces(const uint8_t *data, size_t len, size_t piece)
{
	struct http1_guard g = {.left = 0};
	uint64_t done = 0;
	size_t end = 0;

	while (end < len) {
		int64_t n;

		end = len - end < piece ? len : end + piece;
		if (end <= done)
			continue;
		n = show(&g, data + done, end - (size_t)done);
		if (n < 0 || n == HTTP1_GUARD_ALL)
			return n;
		done += (uint64_t)n;
	}
	return (int64_t)done;
}

static bool names_a_local_host(const uint8_t *data, size_t len)
{
	static const char *const hosts[] = {"localhost", "127.", "::", "[0"};
	bool has_host = false;

	for (size_t i = 0; i + 5 <= len && !has_host; i++)
		has_host = strncasecmp((const char *)data + i, "host:", 5) == 0;
	for (size_t k = 0; k < sizeof(hosts) / sizeof(hosts[0]) && has_host; k++)
		for (size_t i = 0; i + strlen(hosts[k]) <= len; i++)
			if (strncasecmp((const char *)data + i, hosts[k], strlen(hosts[k])) == 0)
				return true;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http1_guard g = {.left = 0};
	int64_t whole;

	/* More than a head is not shown at once. */
	if (size < 1 || size > HTTP1_GUARD_HEAD_MAX + 1)
		return 0;
	whole = show(&g, data + 1, size - 1);
	require(pass_in_pieces(data + 1, size - 1, (size_t)data[0] + 1) == whole);
	require(pass_in_pieces(data + 1, size - 1, 1) == whole);
	/* Two bytes in front of a head may pass alone. */
	if (g.state != HTTP1_GUARD_HEAD || whole == HTTP1_GUARD_ALL)
		require(whole < 0 || names_a_local_host(data + 1, size - 1));
	return 0;
}
