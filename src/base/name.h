/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of hosts in one canonical form, whatever they came from: lower-case ASCII letters, digits, hyphens and
 * underscores in labels of 1 to 63 bytes, with dots between them and none at the ends, 253 bytes at most. What has no
 * such form has no meaning for policy, and is refused (threats.md N1 to N6, N12).
 */
#ifndef SLUICE_BASE_NAME_H
#define SLUICE_BASE_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	NAME_TEXT_MAX = 254, /* longest text with its NUL */
	NAME_LABEL_MAX = 63,
	NAME_LABELS_MAX = 127,
};

struct name {
	uint8_t len;              /* bytes of text without the NUL; 0: the root */
	uint8_t labels;           /* 0: the root */
	char text[NAME_TEXT_MAX]; /* canonical, NUL-terminated */
};

/* Why a text is no name. */
enum name_fault {
	NAME_OK,
	NAME_EMPTY,   /* no byte, or an empty label */
	NAME_LONG,    /* a label above 63 bytes, or the whole above 253 */
	NAME_FOREIGN, /* a byte that is none of a name: not ASCII, a blank, NUL, a part of a URL */
	NAME_NUMBER,  /* reads as an IPv4 address in some notation: its last label is a number */
};

/* Reads len bytes, with one trailing dot or none. *ret_at, which may be NULL, is the offset of what is wrong.
 * Only for NAME_OK *ret_name is set. */
__attribute__((warn_unused_result)) enum name_fault name_read(
    const char *text, size_t len, struct name *ret_name, size_t *ret_at);

/* What is wrong, for a sentence: "an empty label", ... */
const char *name_fault_text(enum name_fault fault);

static inline bool name_eq(const struct name *a, const struct name *b)
{
	return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

/* Whether name is apex, or lies under it; borders are those of labels (threats.md N7). */
static inline bool name_is_under(const struct name *name, const struct name *apex)
{
	size_t rest = (size_t)name->len - apex->len;

	if (apex->len == 0)
		return true;
	return name->len >= apex->len && memcmp(name->text + rest, apex->text, apex->len) == 0 &&
	       (rest == 0 || name->text[rest - 1] == '.');
}

#endif
