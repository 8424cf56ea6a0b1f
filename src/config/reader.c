/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of a document: what both notations share; see reader.h. Tests: unit/test_config_reader.c. */
#include "config/reader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "config/reader_internal.h"

enum {
	SCRATCH_MIN = 256,
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_printable(char c)
{
	return (unsigned char)c >= 0x20 && (unsigned char)c <= 0x7e;
}

struct config_reader *config_reader_new(const char *text, size_t len)
{
	struct config_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->text = r->at = r->seen = text;
	r->end = text + len;
	r->seen_place = (struct config_place){.line = 1, .column = 1};
	while (r->at < r->end && is_blank(*r->at))
		r->at++;
	r->is_json = r->at < r->end && (*r->at == '{' || *r->at == '[');
	if (r->is_json)
		return r;
	if (!yaml_parser_initialize(&r->yaml)) {
		free(r);
		return NULL;
	}
	yaml_parser_set_encoding(&r->yaml, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r->yaml, (const unsigned char *)text, len);
	return r;
}

void config_reader_free(struct config_reader *r)
{
	if (!r)
		return;
	if (r->has_event)
		yaml_event_delete(&r->event);
	if (!r->is_json)
		yaml_parser_delete(&r->yaml);
	for (int i = 0; i < CONFIG_DEPTH_MAX; i++)
		free(r->frames[i].key);
	free(r->scratch);
	free(r);
}

int config_reader_refuse(
    struct config_reader *r, struct config_place place, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(r->problem, sizeof(r->problem), format, args);
	va_end(args);
	r->problem_place = place;
	return -EINVAL;
}

int config_reader_room(struct config_reader *r, struct config_place place, size_t len)
{
	size_t cap = r->scratch_cap > 0 ? r->scratch_cap : SCRATCH_MIN;
	char *scratch;

	if (len > CONFIG_TEXT_MAX)
		return config_reader_refuse(
		    r, place, "a text of more than %d bytes: make it shorter", CONFIG_TEXT_MAX);
	while (cap < len + 1)
		cap *= 2;
	if (cap == r->scratch_cap)
		return 0;
	scratch = realloc(r->scratch, cap);
	if (!scratch)
		return -ENOMEM;
	r->scratch = scratch;
	r->scratch_cap = cap;
	return 0;
}

const char *config_quote(const char *text, size_t len, char out[CONFIG_QUOTED_MAX])
{
	struct text t = text_init(out, CONFIG_QUOTED_MAX - 4); /* leaves room for "...'" */

	text_char(&t, '\'');
	for (size_t i = 0; i < len && !t.is_cut; i++) {
		unsigned char c = (unsigned char)text[i];

		if (is_printable(text[i]))
			text_char(&t, text[i]);
		else
			text_printf(&t, "\\x%02x", c);
	}
	memcpy(out + t.len, t.is_cut ? "...'" : "'", t.is_cut ? 5 : 2);
	return out;
}

size_t config_utf8_len(const char *text, const char *end)
{
	const unsigned char *u = (const unsigned char *)text;
	size_t room = (size_t)(end - text);
	size_t len;
	uint32_t c;

	if (u[0] < 0x80)
		return 1;
	if (u[0] < 0xc2 || u[0] > 0xf4)
		return 0;
	len = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
	if (room < len)
		return 0;
	c = u[0] & (0x7fU >> len);
	for (size_t i = 1; i < len; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (u[i] & 0x3fU);
	}
	if ((len == 3 && c < 0x800) || (len == 4 && (c < 0x10000 || c > 0x10ffff)) ||
	    (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return len;
}

static size_t digits(const char *text, size_t len)
{
	size_t n = 0;

	while (n < len && text[n] >= '0' && text[n] <= '9')
		n++;
	return n;
}

bool config_is_number(const char *text, size_t len)
{
	size_t at = len > 0 && text[0] == '-' ? 1 : 0;
	size_t n = digits(text + at, len - at);

	if (n == 0 || (n > 1 && text[at] == '0'))
		return false;
	at += n;
	if (at < len && text[at] == '.') {
		n = digits(text + at + 1, len - at - 1);
		if (n == 0)
			return false;
		at += 1 + n;
	}
	if (at < len && (text[at] == 'e' || text[at] == 'E')) {
		at++;
		if (at < len && (text[at] == '+' || text[at] == '-'))
			at++;
		n = digits(text + at, len - at);
		if (n == 0)
			return false;
		at += n;
	}
	return at == len;
}

static int push(struct config_reader *r, const struct config_token *t)
{
	struct config_frame *f;

	if (r->depth == CONFIG_DEPTH_MAX)
		return config_reader_refuse(r, t->place,
		    "more than %d mappings and lists inside each other", CONFIG_DEPTH_MAX);
	f = &r->frames[r->depth];
	f->is_map = t->kind == CONFIG_MAP;
	f->has_key = false;
	f->count = f->keys = 0;
	if (f->is_map && !f->key) {
		f->key = calloc(CONFIG_KEYS_MAX, sizeof(*f->key));
		if (!f->key)
			return -ENOMEM;
	}
	r->depth++;
	return 0;
}

/* A text that is a key. */
static int add_key(struct config_reader *r, struct config_frame *f, struct config_token *t)
{
	char quoted[CONFIG_QUOTED_MAX];

	if (t->kind != CONFIG_TEXT || !t->text)
		return config_reader_refuse(r, t->place, "a key that is no text: write its name");
	if (t->len >= CONFIG_KEY_MAX)
		return config_reader_refuse(r, t->place, "unknown key %s: no key is that long",
		    config_quote(t->text, t->len, quoted));
	for (uint32_t i = 0; i < f->keys; i++)
		if (strcmp(f->key[i], t->text) == 0) {
			memcpy(f->key[f->keys - 1], t->text, t->len + 1); /* for the path */
			return config_reader_refuse(
			    r, t->place, "this key stands in its mapping twice: remove one");
		}
	if (f->keys == CONFIG_KEYS_MAX)
		return config_reader_refuse(
		    r, t->place, "more than %d keys in a mapping", CONFIG_KEYS_MAX);
	memcpy(f->key[f->keys++], t->text, t->len + 1);
	f->has_key = true;
	t->kind = CONFIG_KEY;
	return 0;
}

static int place_token(struct config_reader *r, struct config_token *t)
{
	struct config_frame *f = config_reader_top(r);

	switch (t->kind) {
	case CONFIG_MAP_END:
	case CONFIG_LIST_END:
		r->depth--;
		return 0;
	case CONFIG_END:
		return 0;
	case CONFIG_MAP:
	case CONFIG_LIST:
	case CONFIG_TEXT:
	case CONFIG_NUMBER:
	case CONFIG_TRUE:
	case CONFIG_FALSE:
	case CONFIG_NULL:
	case CONFIG_KEY:
		break;
	}
	if (f && f->is_map && !f->has_key)
		return add_key(r, f, t);
	if (f) {
		f->has_key = false;
		f->count++;
	}
	return t->kind == CONFIG_MAP || t->kind == CONFIG_LIST ? push(r, t) : 0;
}

int config_reader_next(struct config_reader *r, struct config_token *ret_token)
{
	struct config_token t = {.width = 1};
	int err;

	if (r->is_broken) {
		*ret_token = t;
		return -EINVAL;
	}
	err = r->is_json ? config_json_next(r, &t) : config_yaml_next(r, &t);
	if (!err && t.text && memchr(t.text, '\0', t.len))
		err = config_reader_refuse(r, t.place, "a text with a NUL character: remove it");
	if (!err)
		err = place_token(r, &t);
	if (err)
		t.kind = CONFIG_END;
	r->is_broken = err != 0;
	r->has_begun = true;
	*ret_token = t;
	return err;
}

const char *config_reader_problem(const struct config_reader *r, struct config_place *ret_place)
{
	*ret_place = r->problem_place;
	return r->problem;
}

char *config_reader_path(const struct config_reader *r, char out[CONFIG_PATH_MAX])
{
	struct text t = text_init(out, CONFIG_PATH_MAX);

	for (uint32_t i = 0; i < r->depth; i++) {
		const struct config_frame *f = &r->frames[i];

		if (!f->is_map && f->count > 0)
			text_printf(&t, "[%u]", f->count - 1);
		if (!f->is_map || f->keys == 0)
			continue;
		if (t.len > 0)
			text_char(&t, '.');
		for (const char *c = f->key[f->keys - 1]; *c != '\0'; c++)
			if (is_printable(*c))
				text_char(&t, *c);
			else
				text_char(&t, '?');
	}
	return out;
}
