/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words of the rule language: pieces of a text, tables of words, suggestions, error sentences.
 * Internal to the policy layer.
 */
#ifndef SLUICE_POLICY_WORDS_H
#define SLUICE_POLICY_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/policy.h"

enum {
	QUOTED_MAX = 48, /* longest quotation of foreign text, with quotes and NUL */
};

/* A piece of a longer text; borrows it. */
struct span {
	const char *at;
	size_t len;
};

struct word {
	const char *text;
	int value;
};

bool span_is(struct span s, const char *word);
bool span_starts(struct span s, const char *word);

/* The number of bytes before the first c, or len if there is none. */
size_t span_until(struct span s, char c);

/* s without its first n bytes; n is at most its length. */
static inline struct span span_from(struct span s, size_t n)
{
	return (struct span){.at = s.at + n, .len = s.len - n};
}

static inline struct span span_cut(struct span s, size_t len)
{
	return (struct span){.at = s.at, .len = len};
}

/* 'text' in single quotes, printable ASCII only, cut with "..." to QUOTED_MAX; returns out. */
const char *span_quote(struct span s, char out[QUOTED_MAX]);

/* The entry that is exactly s, or NULL. */
const struct word *word_find(const struct word *words, size_t count, struct span s);

/* The entry that s was probably meant to be, whatever its case, or NULL: the nearest with an edit
 * distance of at most 2, or 1 for words of up to four letters, the first of several. A swap of two
 * neighbours counts as one edit. */
const struct word *word_suggest(const struct word *words, size_t count, struct span s);

/* Writes the sentence, cut if need be, and returns -EINVAL. */
__attribute__((format(printf, 3, 4))) int policy_error_set(
    struct policy_error *err, size_t column, const char *format, ...);

#endif
