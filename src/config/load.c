/* SPDX-License-Identifier: Apache-2.0 */
/* Typed reading of a document's tokens; see load.h. */
#include "config/load.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "config/reader_internal.h"

enum {
	DISTANCE_MAX = 2,
	LIST_MAX = 400, /* bytes of a list of words in a sentence */
};

__attribute__((format(printf, 5, 0))) static void tell(struct loading *l, bool is_warning,
    struct config_place place, uint32_t width, const char *format, va_list args)
{
	char text[CONFIG_SENTENCE_MAX];
	char path[CONFIG_PATH_MAX];
	struct config_message m = {
	    .is_warning = is_warning,
	    .file = l->document->name,
	    .place = place,
	    .width = width > 0 ? width : 1,
	    .text = text,
	};
	size_t len;

	m.line = config_line(l->document->text, l->document->len, place.line, &m.line_len);
	config_reader_path(l->reader, path);
	(void)snprintf(text, sizeof(text), "%s%s", path, path[0] != '\0' ? ": " : "");
	len = strlen(text);
	(void)vsnprintf(text + len, sizeof(text) - len, format, args);
	/* What others have quoted of the document. */
	for (size_t i = 0; text[i] != '\0'; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c > 0x7e)
			text[i] = '?';
	}
	if (!is_warning)
		l->errors++;
	if (is_warning || l->errors <= CONFIG_MESSAGES_MAX)
		l->sink->tell(l->sink->ctx, &m);
}

void load_refuse(
    struct loading *l, struct config_place place, uint32_t width, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell(l, false, place, width, format, args);
	va_end(args);
}

void load_warn(
    struct loading *l, struct config_place place, uint32_t width, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell(l, true, place, width, format, args);
	va_end(args);
}

void load_refuse_value(struct loading *l, const char *format, ...)
{
	va_list args;

	if (l->token.kind == CONFIG_END)
		return; /* which was told */
	va_start(args, format);
	tell(l, false, l->token.place, l->token.width, format, args);
	va_end(args);
	load_skip(l);
}

void load_fail(struct loading *l)
{
	l->failed = -ENOMEM;
	l->token = (struct config_token){.kind = CONFIG_END};
}

void load_step(struct loading *l)
{
	struct config_place place;
	int err;

	if (l->failed)
		return;
	err = config_reader_next(l->reader, &l->token);
	if (err == -ENOMEM) {
		load_fail(l);
	} else if (err) {
		const char *problem = config_reader_problem(l->reader, &place);

		load_refuse(l, place, 1, "%s", problem);
		l->failed = err;
	}
}

void load_skip(struct loading *l)
{
	uint32_t depth = 0;

	do {
		switch (l->token.kind) {
		case CONFIG_MAP:
		case CONFIG_LIST:
			depth++;
			break;
		case CONFIG_MAP_END:
		case CONFIG_LIST_END:
			depth--;
			break;
		case CONFIG_END:
			return;
		case CONFIG_KEY:
		case CONFIG_TEXT:
		case CONFIG_NUMBER:
		case CONFIG_TRUE:
		case CONFIG_FALSE:
		case CONFIG_NULL:
			break;
		}
		if (depth > 0)
			load_step(l);
	} while (depth > 0);
}

/* ---- suggestions ---- */

/* Edit distance, where a swap of neighbours counts as one; more than CONFIG_KEY_MAX bytes are far from all. */
static unsigned int distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned int rows[3][CONFIG_KEY_MAX + 1];

	if (a_len > CONFIG_KEY_MAX || b_len > CONFIG_KEY_MAX)
		return CONFIG_KEY_MAX;
	for (size_t k = 0; k <= b_len; k++)
		rows[0][k] = (unsigned int)k;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned int *row = rows[i % 3];
		const unsigned int *above = rows[(i + 2) % 3];
		const unsigned int *above2 = rows[(i + 1) % 3];

		row[0] = (unsigned int)i;
		for (size_t k = 1; k <= b_len; k++) {
			unsigned int best = above[k - 1] + (a[i - 1] != b[k - 1]);

			if (above[k] + 1 < best)
				best = above[k] + 1;
			if (row[k - 1] + 1 < best)
				best = row[k - 1] + 1;
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] &&
			    above2[k - 2] + 1 < best)
				best = above2[k - 2] + 1;
			row[k] = best;
		}
	}
	return rows[a_len % 3][b_len];
}

/* A key as it would be written here. */
static char fold(char c)
{
	if (c == '-')
		return '_';
	return (char)tolower((unsigned char)c);
}

const char *load_suggest(const char *text, const void *words, size_t count,
    const char *(*word)(const void *words, size_t i))
{
	const char *best = NULL;
	unsigned int best_distance = DISTANCE_MAX + 1;
	char folded[CONFIG_KEY_MAX];
	size_t len = strlen(text);

	if (len == 0 || len >= sizeof(folded))
		return NULL;
	for (size_t i = 0; i <= len; i++)
		folded[i] = fold(text[i]);
	for (size_t i = 0; i < count; i++) {
		const char *w = word(words, i);
		size_t w_len = strlen(w);
		unsigned int d = distance(folded, len, w, w_len);

		if (d < best_distance && d <= (w_len <= 4 ? 1U : 2U)) {
			best = w;
			best_distance = d;
		}
	}
	return best;
}

static const char *key_name(const void *keys, size_t i)
{
	return ((const struct load_key *)keys)[i].name;
}

static const char *plain_word(const void *words, size_t i)
{
	return ((const char *const *)words)[i];
}

static const char *list_of(const void *words, size_t count,
    const char *(*word)(const void *words, size_t i), char out[LIST_MAX])
{
	struct text t = text_init(out, LIST_MAX);

	for (size_t i = 0; i < count; i++)
		text_printf(&t, "%s%s",
		    i == 0           ? ""
		    : i + 1 == count ? " or "
				     : ", ",
		    word(words, i));
	return out;
}

/* ---- mappings and lists ---- */

/* The path that is told ends with the key. */
static void refuse_key(struct loading *l, const struct load_key *keys, size_t count)
{
	const char *near = load_suggest(l->token.text, keys, count, key_name);
	char list[LIST_MAX];

	if (near)
		load_refuse(
		    l, l->token.place, l->token.width, "unknown key: did you mean '%s'?", near);
	else
		load_refuse(l, l->token.place, l->token.width, "unknown key: there is %s here",
		    list_of(keys, count, key_name, list));
	load_step(l);
	load_skip(l);
}

static void read_key(
    struct loading *l, const struct load_key *keys, size_t count, void *ctx, uint64_t *seen)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(keys[i].name, l->token.text) != 0)
			continue;
		*seen |= 1ULL << i;
		load_step(l);
		keys[i].read(l, &keys[i], ctx);
		return;
	}
	refuse_key(l, keys, count);
}

bool load_map(
    struct loading *l, const struct load_key *keys, size_t count, void *ctx, uint64_t *ret_seen)
{
	uint64_t seen = 0;

	if (l->token.kind != CONFIG_MAP) {
		load_refuse_value(l, "a mapping of keys and values must stand here");
		return false;
	}
	load_step(l);
	while (l->token.kind == CONFIG_KEY) {
		read_key(l, keys, count, ctx, &seen);
		load_step(l);
	}
	if (ret_seen)
		*ret_seen = seen;
	return true;
}

bool load_list(struct loading *l, void (*item)(struct loading *l, void *ctx), void *ctx)
{
	if (l->token.kind != CONFIG_LIST) {
		load_refuse_value(l, "a list must stand here");
		return false;
	}
	load_step(l);
	while (l->token.kind != CONFIG_LIST_END && l->token.kind != CONFIG_END) {
		item(l, ctx);
		load_step(l);
	}
	return true;
}

/* ---- values ---- */

bool load_bool(struct loading *l, bool *ret_value)
{
	if (l->token.kind != CONFIG_TRUE && l->token.kind != CONFIG_FALSE) {
		load_refuse_value(l, "true or false must stand here");
		return false;
	}
	*ret_value = l->token.kind == CONFIG_TRUE;
	return true;
}

bool load_number(struct loading *l, uint64_t min, uint64_t max, uint64_t *ret_value)
{
	bool is_good = l->token.kind == CONFIG_NUMBER && l->token.len <= 18;
	uint64_t v = 0;

	for (size_t i = 0; is_good && i < l->token.len; i++) {
		is_good = l->token.text[i] >= '0' && l->token.text[i] <= '9';
		v = v * 10 + (uint64_t)(l->token.text[i] - '0');
	}
	if (min == max && (!is_good || v != min)) {
		load_refuse_value(l, "%" PRIu64 " must stand here", min);
		return false;
	}
	if (!is_good || v < min || v > max) {
		load_refuse_value(
		    l, "a number from %" PRIu64 " to %" PRIu64 " must stand here", min, max);
		return false;
	}
	*ret_value = v;
	return true;
}

bool load_text(struct loading *l)
{
	if (l->token.kind == CONFIG_TEXT)
		return true;
	if (l->token.kind == CONFIG_NUMBER || l->token.kind == CONFIG_TRUE ||
	    l->token.kind == CONFIG_FALSE)
		load_refuse_value(l, "a text must stand here: put it in \"\"");
	else
		load_refuse_value(l, "a text must stand here");
	return false;
}

int load_word(struct loading *l, const char *const *words, size_t count)
{
	char quoted[CONFIG_QUOTED_MAX];
	char list[LIST_MAX];
	const char *near;

	if (!load_text(l))
		return -1;
	for (size_t i = 0; i < count; i++)
		if (strcmp(words[i], l->token.text) == 0)
			return (int)i;
	near = load_suggest(l->token.text, words, count, plain_word);
	config_quote(l->token.text, l->token.len, quoted);
	if (near)
		load_refuse_value(l, "%s is unknown: did you mean '%s'?", quoted, near);
	else
		load_refuse_value(
		    l, "%s is unknown: write %s", quoted, list_of(words, count, plain_word, list));
	return -1;
}
