/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON (RFC 8259) as tokens. Everything that the RFC does not have is refused: trailing commas, comments, single
 * quotes, NaN, leading zeros, lone surrogates, text behind the document.
 *
 * Not libyaml, which reads most of JSON too: it refuses surrogate pairs, tabs before the document and keys
 * whose colon is on the next line, takes much that is no JSON, and needs six times as long. Terminates
 * because each call takes at least one byte. Tests: unit/test_config_reader.c (beside jansson).
 */
#include <errno.h>
#include <string.h>

#include "config/reader_internal.h"

/* Line and column of a byte; they are counted on from the byte that was asked for before. */
static struct config_place place_of(struct config_reader *r, const char *at)
{
	for (; r->seen < at; r->seen++) {
		if (*r->seen == '\n') {
			r->seen_place.line++;
			r->seen_place.column = 1;
		} else if (((unsigned char)*r->seen & 0xc0) != 0x80) {
			r->seen_place.column++;
		}
	}
	return r->seen_place;
}

static void skip_blanks(struct config_reader *r)
{
	while (
	    r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
		r->at++;
}

/* What stands at r->at is not what must. */
static int refuse_here(struct config_reader *r, const char *wanted)
{
	char quoted[CONFIG_QUOTED_MAX];
	size_t len;

	if (r->at == r->end)
		return config_reader_refuse(
		    r, place_of(r, r->at), "the document ends where %s must follow", wanted);
	len = config_utf8_len(r->at, r->end);
	return config_reader_refuse(r, place_of(r, r->at), "%s where %s must follow",
	    config_quote(r->at, len > 0 ? len : 1, quoted), wanted);
}

static int hex4(const char *at, const char *end, uint32_t *ret_unit)
{
	uint32_t unit = 0;

	if (end - at < 4)
		return -EINVAL;
	for (int i = 0; i < 4; i++) {
		char c = at[i];
		uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
				 : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
				 : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10
							: 16;

		if (digit == 16)
			return -EINVAL;
		unit = unit << 4 | digit;
	}
	*ret_unit = unit;
	return 0;
}

/* Writes a character as UTF-8; returns how many bytes. */
static size_t put_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* \uXXXX, maybe a pair of them, at r->at, which is behind the 'u'. */
static int unescape_unicode(struct config_reader *r, size_t *len)
{
	uint32_t c;
	uint32_t low;

	if (hex4(r->at, r->end, &c) < 0)
		return config_reader_refuse(
		    r, place_of(r, r->at), "\\u without four hexadecimal digits behind it");
	r->at += 4;
	if (c >= 0xd800 && c <= 0xdbff && r->end - r->at >= 6 && memcmp(r->at, "\\u", 2) == 0 &&
	    hex4(r->at + 2, r->end, &low) == 0 && low >= 0xdc00 && low <= 0xdfff) {
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		r->at += 6;
	}
	if (c >= 0xd800 && c <= 0xdfff)
		return config_reader_refuse(r, place_of(r, r->at - 6),
		    "\\u%04x is half of a character: the other half is missing", c);
	*len += put_utf8(r->scratch + *len, c);
	return 0;
}

/* The escape at r->at, which is behind the backslash. */
static int unescape(struct config_reader *r, size_t *len)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	const char *found = r->at < r->end && *r->at != '\0' ? strchr(from, *r->at) : NULL;
	char quoted[CONFIG_QUOTED_MAX];

	if (r->at < r->end && *r->at == 'u') {
		r->at++;
		return unescape_unicode(r, len);
	}
	if (!found)
		return config_reader_refuse(r, place_of(r, r->at),
		    "%s behind a backslash: JSON has \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX",
		    r->at < r->end ? config_quote(r->at, 1, quoted) : "nothing");
	r->scratch[(*len)++] = to[found - from];
	r->at++;
	return 0;
}

/* The bytes at r->at that stand for themselves: a row of ASCII, or one other character. */
static size_t plain_len(const struct config_reader *r)
{
	const char *at = r->at;

	while (at < r->end && (unsigned char)*at >= 0x20 && (unsigned char)*at < 0x80 &&
	       *at != '"' && *at != '\\')
		at++;
	return at > r->at ? (size_t)(at - r->at) : config_utf8_len(r->at, r->end);
}

static int parse_string(struct config_reader *r, struct config_token *t)
{
	size_t len = 0;
	bool has_escape = false;
	int err = 0;

	r->at++;
	while (!err && r->at < r->end && *r->at != '"') {
		size_t n = plain_len(r);

		err = config_reader_room(r, t->place, len + n + 4);
		if (err)
			return err;
		if ((unsigned char)*r->at < 0x20)
			return config_reader_refuse(r, place_of(r, r->at),
			    "a control character (0x%02x) in a text: write \\u%04x",
			    (unsigned int)*r->at, (unsigned int)*r->at);
		if (*r->at == '\\') {
			has_escape = true;
			r->at++;
			err = unescape(r, &len);
		} else if (n == 0) {
			return config_reader_refuse(
			    r, place_of(r, r->at), "a text that is not UTF-8");
		} else {
			memcpy(r->scratch + len, r->at, n);
			len += n;
			r->at += n;
		}
	}
	if (err)
		return err;
	if (r->at == r->end)
		return config_reader_refuse(
		    r, t->place, "a text that does not end: '\"' is missing");
	err = config_reader_room(r, t->place, len);
	if (err)
		return err;
	r->at++;
	r->scratch[len] = '\0';
	t->kind = CONFIG_TEXT;
	t->text = r->scratch;
	t->len = len;
	t->is_exact = !has_escape;
	t->text_column = t->place.column + 1;
	t->width = place_of(r, r->at).column - t->place.column;
	return 0;
}

/* A number or one of the words; all that looks like one word is taken, so that a wrong one is told whole. */
static int parse_word(struct config_reader *r, struct config_token *t)
{
	const char *begin = r->at;
	char quoted[CONFIG_QUOTED_MAX];
	size_t len;
	int err;

	while (r->at < r->end && (unsigned char)*r->at > 0x20 && !strchr(",:{}[]\"", *r->at))
		r->at++;
	len = (size_t)(r->at - begin);
	if (len == 0)
		return refuse_here(r, "a value");
	err = config_reader_room(r, t->place, len);
	if (err)
		return err;
	memcpy(r->scratch, begin, len);
	r->scratch[len] = '\0';
	t->text = r->scratch;
	t->len = len;
	t->width = (uint32_t)len;
	if (strcmp(r->scratch, "true") == 0)
		t->kind = CONFIG_TRUE;
	else if (strcmp(r->scratch, "false") == 0)
		t->kind = CONFIG_FALSE;
	else if (strcmp(r->scratch, "null") == 0)
		t->kind = CONFIG_NULL;
	else if (config_is_number(begin, len))
		t->kind = CONFIG_NUMBER;
	else
		return config_reader_refuse(r, t->place,
		    "%s is no JSON: write a number, true, false, null, or a text in \"\"",
		    config_quote(begin, len, quoted));
	return 0;
}

static int parse_value(struct config_reader *r, struct config_token *t)
{
	skip_blanks(r);
	t->place = place_of(r, r->at);
	if (r->at == r->end)
		return refuse_here(r, "a value");
	switch (*r->at) {
	case '{':
		t->kind = CONFIG_MAP;
		r->at++;
		return 0;
	case '[':
		t->kind = CONFIG_LIST;
		r->at++;
		return 0;
	case '"':
		return parse_string(r, t);
	default:
		return parse_word(r, t);
	}
}

/* The next thing inside a mapping or list: its end, or what stands behind a comma. */
static int parse_inside(struct config_reader *r, struct config_frame *f, struct config_token *t)
{
	char close = f->is_map ? '}' : ']';
	bool is_first = f->is_map ? f->keys == 0 : f->count == 0;

	skip_blanks(r);
	if (r->at < r->end && *r->at == close) {
		t->place = place_of(r, r->at);
		t->kind = f->is_map ? CONFIG_MAP_END : CONFIG_LIST_END;
		r->at++;
		return 0;
	}
	if (!is_first) {
		if (r->at == r->end || *r->at != ',')
			return refuse_here(r, f->is_map ? "',' or '}'" : "',' or ']'");
		r->at++;
		skip_blanks(r);
		if (r->at < r->end && *r->at == close)
			return config_reader_refuse(r, place_of(r, r->at),
			    "'%c' behind a comma: JSON has no comma behind the last item", close);
	}
	if (f->is_map && (r->at == r->end || *r->at != '"'))
		return refuse_here(r, "a key in \"\"");
	return parse_value(r, t);
}

int config_json_next(struct config_reader *r, struct config_token *t)
{
	struct config_frame *f = config_reader_top(r);

	skip_blanks(r);
	if (!f && !r->has_begun)
		return parse_value(r, t);
	if (!f) {
		t->place = place_of(r, r->at);
		t->kind = CONFIG_END;
		return r->at < r->end ? refuse_here(r, "the end of the document") : 0;
	}
	if (!f->has_key)
		return parse_inside(r, f, t);
	if (r->at == r->end || *r->at != ':')
		return refuse_here(r, "':'");
	r->at++;
	return parse_value(r, t);
}
