/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A document as a row of tokens, each with its place. One reader for two notations: JSON (RFC 8259, strictly) if
 * the first byte that is no blank is '{' or '[', and a plain subset of YAML otherwise. What is read from one is
 * what is read from the other.
 *
 * Refused in both: a second document, a key twice in one mapping, texts with NUL, what is no UTF-8, mappings
 * and lists inside each other deeper than CONFIG_DEPTH_MAX, more than CONFIG_KEYS_MAX keys in a mapping. Refused in YAML:
 * anchors, aliases, tags, directives, and plain scalars that YAML programs read in different ways (yes, 010, ~).
 *
 * Memory does not grow with the document.
 */
#ifndef SLUICE_CONFIG_READER_H
#define SLUICE_CONFIG_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CONFIG_DEPTH_MAX = 16,
	CONFIG_KEYS_MAX = 64,
	CONFIG_KEY_MAX = 64,      /* bytes of a key with its NUL */
	CONFIG_TEXT_MAX = 262144, /* bytes of a text */
	CONFIG_PATH_MAX = 256,
	CONFIG_PROBLEM_MAX = 512,
};

/* Where something stands in a document; 0, 0: nowhere. */
struct config_place {
	uint32_t line;   /* from 1 */
	uint32_t column; /* from 1, in characters */
};

enum config_kind {
	CONFIG_END, /* behind the document, and after a problem */
	CONFIG_MAP,
	CONFIG_MAP_END,
	CONFIG_LIST,
	CONFIG_LIST_END,
	CONFIG_KEY,
	CONFIG_TEXT,
	CONFIG_NUMBER, /* text is a JSON number as it was written */
	CONFIG_TRUE,
	CONFIG_FALSE,
	CONFIG_NULL,
};

struct config_token {
	enum config_kind kind;
	struct config_place place;
	const char *text; /* KEY, TEXT, NUMBER: NUL-terminated, valid until the next token */
	size_t len;
	uint32_t width; /* characters that it takes, at least 1 */
	bool is_exact;  /* TEXT: byte i of text stands i columns behind text_column */
	uint32_t text_column;
};

struct config_reader;

/* A reader of text, which is borrowed, or NULL. */
struct config_reader *config_reader_new(const char *text, size_t len);
void config_reader_free(struct config_reader *r);

/* The next token. 0; -EINVAL: the document is wrong, config_reader_problem() says why, and there is nothing more
 * to read; -ENOMEM. */
__attribute__((warn_unused_result)) int config_reader_next(
    struct config_reader *r, struct config_token *ret_token);

/* One sentence without a full stop, printable ASCII. */
const char *config_reader_problem(const struct config_reader *r, struct config_place *ret_place);

/* Where in the document the last token is: "policy.rules[2].action"; "" at its top. Cut to CONFIG_PATH_MAX bytes;
 * returns out. */
char *config_reader_path(const struct config_reader *r, char out[CONFIG_PATH_MAX]);

#endif
