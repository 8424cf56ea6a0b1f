/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a reader: what the notations share. Internal to reader.c, json.c, yaml.c. */
#ifndef SLUICE_CONFIG_READER_INTERNAL_H
#define SLUICE_CONFIG_READER_INTERNAL_H

#include <yaml.h>

#include "config/reader.h"

/* A mapping or list that is open. */
struct config_frame {
	bool is_map;
	bool has_key;   /* the value of the last key comes next */
	uint32_t count; /* items so far */
	uint32_t keys;  /* entries of key */
	char (*key)
	    [CONFIG_KEY_MAX]; /* CONFIG_KEYS_MAX of them, made when first used; kept for the next of this depth */
};

struct config_reader {
	const char *text;
	const char *end;
	bool is_json;
	bool has_begun; /* the first token has been read */
	bool is_broken;
	struct config_frame frames[CONFIG_DEPTH_MAX];
	uint32_t depth;

	char *scratch; /* the text of the last token; CONFIG_TEXT_MAX bytes and a NUL at most */
	size_t scratch_cap;

	/* JSON */
	const char *at;
	const char *seen; /* line and column are those of this byte */
	struct config_place seen_place;

	/* YAML */
	yaml_parser_t yaml;
	yaml_event_t event; /* whose text the last token borrows */
	bool has_event;

	char problem[CONFIG_PROBLEM_MAX];
	struct config_place problem_place;
};

static inline struct config_frame *config_reader_top(struct config_reader *r)
{
	return r->depth > 0 ? &r->frames[r->depth - 1] : NULL;
}

/* Whether a key comes next, if no end does. */
static inline bool config_reader_wants_key(struct config_reader *r)
{
	struct config_frame *f = config_reader_top(r);

	return f && f->is_map && !f->has_key;
}

/* Notes the problem; returns -EINVAL. */
__attribute__((format(printf, 3, 4))) int config_reader_refuse(
    struct config_reader *r, struct config_place place, const char *format, ...);

/* Makes room for len bytes and a NUL in scratch. 0, -EINVAL for more than CONFIG_TEXT_MAX, -ENOMEM. */
__attribute__((warn_unused_result)) int config_reader_room(
    struct config_reader *r, struct config_place place, size_t len);

/* 'text' in quotes for a problem: printable ASCII, cut. Returns out. */
enum {
	CONFIG_QUOTED_MAX = 64,
};
const char *config_quote(const char *text, size_t len, char out[CONFIG_QUOTED_MAX]);

/* The bytes of the character of UTF-8 at text: 1 to 4, or 0 if it is none. */
size_t config_utf8_len(const char *text, const char *end);

/* Whether text is a number as JSON writes it. */
bool config_is_number(const char *text, size_t len);

/* The next token without regard to keys: CONFIG_TEXT where a key is to be. Errors as config_reader_next(). */
__attribute__((warn_unused_result)) int config_json_next(
    struct config_reader *r, struct config_token *t);
__attribute__((warn_unused_result)) int config_yaml_next(
    struct config_reader *r, struct config_token *t);

#endif
