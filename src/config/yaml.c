/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plain subset of YAML as tokens, by libyaml. Mappings, lists and scalars, block or flow style, comments. A
 * plain scalar is true, false, null or a JSON number, else a text; but words that YAML 1.1 and 1.2, or two programs,
 * read differently are refused: they are to be written in the one way, or in quotes.
 *
 * Tests: unit/test_config_reader.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/reader_internal.h"

static struct config_place place_of(const yaml_mark_t *mark)
{
	return (struct config_place){
	    .line = (uint32_t)mark->line + 1, .column = (uint32_t)mark->column + 1};
}

static int refuse_syntax(struct config_reader *r)
{
	const yaml_parser_t *p = &r->yaml;
	struct config_place place = place_of(&p->problem_mark);
	const char *problem = p->problem ? p->problem : "unknown";

	if (p->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (p->error == YAML_READER_ERROR) {
		/* It has no mark, and its offset counts bytes. */
		place = place_of(&p->mark);
		return config_reader_refuse(r, place, "this cannot be read as YAML: %s (byte %zu)",
		    problem, p->problem_offset + 1);
	}
	return config_reader_refuse(r, place, "this cannot be read as YAML: %s%s%s", problem,
	    p->context ? " " : "", p->context ? p->context : "");
}

/* Plain scalars that are read differently. */
static bool is_unclear(const char *text, size_t len)
{
	static const char *const words[] = {"~", "yes", "no", "on", "off", "y", "n", "true",
	    "false", "null", ".inf", "-.inf", "+.inf", ".nan"};
	size_t at = len > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;

	if (len == 0)
		return true;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i]) == len && strncasecmp(text, words[i], len) == 0)
			return true;
	/* +1, 010, 0x1f, 0b1, 0o7, 1_000: all of number-like characters */
	return at < len && text[at] >= '0' && text[at] <= '9' &&
	       strspn(text + at, "0123456789abcdefABCDEFxo_") == len - at &&
	       (at > 0 || text[0] == '0' || memchr(text, '_', len) != NULL);
}

static int plain(struct config_reader *r, struct config_token *t)
{
	char quoted[CONFIG_QUOTED_MAX];

	if (strcmp(t->text, "true") == 0)
		t->kind = CONFIG_TRUE;
	else if (strcmp(t->text, "false") == 0)
		t->kind = CONFIG_FALSE;
	else if (strcmp(t->text, "null") == 0)
		t->kind = CONFIG_NULL;
	else if (config_is_number(t->text, t->len))
		t->kind = CONFIG_NUMBER;
	else if (t->len == 0)
		return config_reader_refuse(
		    r, t->place, "no value: write one, or null, or \"\" for an empty text");
	else if (is_unclear(t->text, t->len))
		return config_reader_refuse(r, t->place,
		    "%s is read in different ways by programs: write true, false, null or a plain "
		    "decimal number, or put it in quotes",
		    config_quote(t->text, t->len, quoted));
	return 0;
}

static int refuse_decorated(
    struct config_reader *r, struct config_place place, const void *anchor, const void *tag)
{
	char quoted[CONFIG_QUOTED_MAX];
	const char *text = anchor ? anchor : tag;

	return config_reader_refuse(r, place, "%s %s: write the value itself",
	    anchor ? "an anchor" : "a tag", config_quote(text, strlen(text), quoted));
}

static int on_scalar(struct config_reader *r, struct config_token *t)
{
	const yaml_event_t *e = &r->event;
	size_t extent = e->end_mark.index - e->start_mark.index;
	bool is_plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

	if (e->data.scalar.anchor || e->data.scalar.tag)
		return refuse_decorated(r, t->place, e->data.scalar.anchor, e->data.scalar.tag);
	t->kind = CONFIG_TEXT;
	t->text = (const char *)e->data.scalar.value;
	t->len = e->data.scalar.length;
	if (t->len > CONFIG_TEXT_MAX)
		return config_reader_refuse(
		    r, t->place, "a text of more than %d bytes: make it shorter", CONFIG_TEXT_MAX);
	if (e->start_mark.line == e->end_mark.line && extent > 0)
		t->width = (uint32_t)extent;
	t->is_exact =
	    e->start_mark.line == e->end_mark.line && extent == t->len + (is_plain ? 0 : 2);
	t->text_column = t->place.column + (is_plain ? 0 : 1);
	return is_plain && !config_reader_wants_key(r) ? plain(r, t) : 0;
}

static int on_begin(struct config_reader *r, struct config_token *t, enum config_kind kind,
    const void *anchor, const void *tag)
{
	if (anchor || tag)
		return refuse_decorated(r, t->place, anchor, tag);
	t->kind = kind;
	return 0;
}

static int on_document(struct config_reader *r, const struct config_token *t)
{
	if (r->has_begun)
		return config_reader_refuse(
		    r, t->place, "a second document: one file has one document; remove it");
	if (r->event.data.document_start.version_directive ||
	    r->event.data.document_start.tag_directives.start !=
		r->event.data.document_start.tag_directives.end)
		return config_reader_refuse(r, t->place, "a directive ('%%'): remove it");
	return 0;
}

/* The event as a token. 0; 1: it is none; or an error. */
static int on_event(struct config_reader *r, struct config_token *t)
{
	const yaml_event_t *e = &r->event;
	int err;

	t->place = place_of(&e->start_mark);
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		return on_scalar(r, t);
	case YAML_MAPPING_START_EVENT:
		return on_begin(
		    r, t, CONFIG_MAP, e->data.mapping_start.anchor, e->data.mapping_start.tag);
	case YAML_SEQUENCE_START_EVENT:
		return on_begin(
		    r, t, CONFIG_LIST, e->data.sequence_start.anchor, e->data.sequence_start.tag);
	case YAML_MAPPING_END_EVENT:
		t->kind = CONFIG_MAP_END;
		return 0;
	case YAML_SEQUENCE_END_EVENT:
		t->kind = CONFIG_LIST_END;
		return 0;
	case YAML_ALIAS_EVENT:
		return config_reader_refuse(r, t->place, "an alias ('*'): write the value itself");
	case YAML_STREAM_END_EVENT:
		t->kind = CONFIG_END;
		return r->has_begun ? 0
				    : config_reader_refuse(
					  r, t->place, "the document is empty: write at least {}");
	case YAML_DOCUMENT_START_EVENT:
		err = on_document(r, t);
		return err ? err : 1;
	case YAML_STREAM_START_EVENT:
	case YAML_DOCUMENT_END_EVENT:
	case YAML_NO_EVENT:
		break;
	}
	return 1;
}

int config_yaml_next(struct config_reader *r, struct config_token *t)
{
	int err;

	if (!r->has_begun && r->end - r->text >= 3 && memcmp(r->text, "\xef\xbb\xbf", 3) == 0)
		return config_reader_refuse(r, (struct config_place){.line = 1, .column = 1},
		    "the document begins with a byte order mark: remove it");
	do {
		if (r->has_event)
			yaml_event_delete(&r->event);
		r->has_event = yaml_parser_parse(&r->yaml, &r->event) != 0;
		if (!r->has_event)
			return refuse_syntax(r);
		err = on_event(r, t);
	} while (err > 0);
	return err;
}
