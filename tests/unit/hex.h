/* SPDX-License-Identifier: Apache-2.0 */
/* Packets as hexadecimal text, with blanks anywhere between bytes. */
#ifndef SLUICE_TESTS_HEX_H
#define SLUICE_TESTS_HEX_H

#include <stdio.h>

#include "unit.h"

static inline int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Writes the bytes that text says at out; returns how many. */
static inline size_t hex_put(uint8_t *out, const char *text)
{
	size_t len = 0;

	while (*text != '\0') {
		if (*text == ' ') {
			text++;
			continue;
		}
		assert_true(hex_value(text[0]) >= 0 && hex_value(text[1]) >= 0);
		out[len++] = (uint8_t)(hex_value(text[0]) << 4 | hex_value(text[1]));
		text += 2;
	}
	return len;
}

/* A heap block of exactly the bytes that text says. */
static inline uint8_t *hex_bytes(const char *text, size_t *ret_len)
{
	uint8_t *bytes = malloc(strlen(text) / 2 + 1);
	uint8_t *exact;
	size_t len;

	if (!bytes)
		abort();
	len = hex_put(bytes, text);
	exact = exact_copy(bytes, len);
	free(bytes);
	*ret_len = len;
	return exact;
}

/* Fails unless the bytes are what text says. */
static inline void assert_hex(const uint8_t *bytes, size_t len, const char *text)
{
	size_t want_len;
	uint8_t *want = hex_bytes(text, &want_len);

	assert_int_equal(len, want_len);
	assert_memory_equal(bytes, want, want_len);
	free(want);
}

#endif
