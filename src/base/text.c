/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded text building; see text.h. */
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct text text_init(char *buf, size_t cap)
{
	buf[0] = '\0';
	return (struct text){.buf = buf, .cap = cap};
}

static void add(struct text *t, const char *s, size_t len)
{
	if (t->is_cut || t->cap - t->len <= len) {
		t->is_cut = true;
		return;
	}
	memcpy(t->buf + t->len, s, len);
	t->len += len;
	t->buf[t->len] = '\0';
}

void text_str(struct text *t, const char *s)
{
	add(t, s, strlen(s));
}

void text_char(struct text *t, char c)
{
	add(t, &c, 1);
}

void text_u64(struct text *t, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	add(t, digits + at, sizeof(digits) - at);
}

void text_printf(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	if (t->is_cut)
		return;
	va_start(args, format);
	n = vsnprintf(t->buf + t->len, t->cap - t->len, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= t->cap - t->len) {
		t->buf[t->len] = '\0';
		t->is_cut = true;
		return;
	}
	t->len += (size_t)n;
}

void text_json_str(struct text *t, const char *s, size_t len)
{
	text_char(t, '"');
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)s[i];

		if (c == '"' || c == '\\') {
			text_char(t, '\\');
			text_char(t, (char)c);
		} else if (c < 0x20 || c > 0x7e) {
			text_printf(t, "\\u%04x", c);
		} else {
			text_char(t, (char)c);
		}
	}
	text_char(t, '"');
}
