/* SPDX-License-Identifier: Apache-2.0 */
/* Words of the rule language; see words.h. */
#include "policy/words.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum {
	WORD_MAX = 16, /* longer text is near no word of the tables */
};

bool span_is(struct span s, const char *word)
{
	return strlen(word) == s.len && memcmp(s.at, word, s.len) == 0;
}

bool span_starts(struct span s, const char *word)
{
	size_t len = strlen(word);

	return s.len >= len && memcmp(s.at, word, len) == 0;
}

size_t span_until(struct span s, char c)
{
	const char *found = s.len > 0 ? memchr(s.at, c, s.len) : NULL;

	return found ? (size_t)(found - s.at) : s.len;
}

const char *span_quote(struct span s, char out[QUOTED_MAX])
{
	struct text t = text_init(out, QUOTED_MAX - 4); /* leaves room for "...'" */
	size_t i = 0;

	text_char(&t, '\'');
	for (; i < s.len && !t.is_cut; i++) {
		unsigned char c = (unsigned char)s.at[i];

		if (c < 0x20 || c > 0x7e)
			text_printf(&t, "\\x%02x", c);
		else
			text_char(&t, (char)c);
	}
	memcpy(out + t.len, t.is_cut ? "...'" : "'", t.is_cut ? 5 : 2);
	return out;
}

const struct word *word_find(const struct word *words, size_t count, struct span s)
{
	for (size_t i = 0; i < count; i++)
		if (span_is(s, words[i].text))
			return &words[i];
	return NULL;
}

static char lower(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	return c;
}

static unsigned int min3(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Optimal string alignment distance; both are at most WORD_MAX long. */
static unsigned int distance(struct span s, const char *word, size_t word_len)
{
	unsigned int d[WORD_MAX + 1][WORD_MAX + 1];

	for (size_t i = 0; i <= s.len; i++)
		d[i][0] = (unsigned int)i;
	for (size_t k = 0; k <= word_len; k++)
		d[0][k] = (unsigned int)k;
	for (size_t i = 1; i <= s.len; i++) {
		for (size_t k = 1; k <= word_len; k++) {
			char a = lower(s.at[i - 1]);
			char b = word[k - 1];

			d[i][k] =
			    min3(d[i - 1][k] + 1, d[i][k - 1] + 1, d[i - 1][k - 1] + (a != b));
			if (i > 1 && k > 1 && a == word[k - 2] && lower(s.at[i - 2]) == b)
				d[i][k] = min3(d[i][k], d[i - 2][k - 2] + 1, d[i][k]);
		}
	}
	return d[s.len][word_len];
}

const struct word *word_suggest(const struct word *words, size_t count, struct span s)
{
	const struct word *best = NULL;
	unsigned int best_distance = 3;

	if (s.len == 0 || s.len > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(words[i].text);
		unsigned int dist = distance(s, words[i].text, len);

		if (dist < best_distance && dist <= (len <= 4 ? 1U : 2U)) {
			best = &words[i];
			best_distance = dist;
		}
	}
	return best;
}

int policy_error_set(struct policy_error *err, size_t column, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vsnprintf(err->text, sizeof(err->text), format, args) < 0)
		err->text[0] = '\0';
	va_end(args);
	err->column = column;
	return -EINVAL;
}
