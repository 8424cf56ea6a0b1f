/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded text building for messages and JSON: like wr.h, a write past the end sets a sticky mark
 * and writes nothing. The buffer is always NUL-terminated.
 */
#ifndef SLUICE_BASE_TEXT_H
#define SLUICE_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
	char *buf;
	size_t cap;  /* bytes of buf, >= 1 */
	size_t len;  /* characters so far, without the NUL */
	bool is_cut; /* something did not fit; sticky */
};

struct text text_init(char *buf, size_t cap);

void text_str(struct text *t, const char *s);
void text_char(struct text *t, char c);
void text_u64(struct text *t, uint64_t v);
__attribute__((format(printf, 2, 3))) void text_printf(struct text *t, const char *format, ...);

/* A JSON string (RFC 8259 7) with its quotes. Bytes that are not printable ASCII are written as
 * \u00XX, so that foreign bytes cannot end a line, colour a terminal or break the document. */
void text_json_str(struct text *t, const char *s, size_t len);

#endif
