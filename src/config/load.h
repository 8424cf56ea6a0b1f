/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed reading of a document's tokens. Internal to the config layer.
 *
 * A function that reads a value finds its first token in l->token and leaves its last one there, also when it refuses
 * the value; so that one run tells of all that is wrong. Behind a mistake of syntax l->token is CONFIG_END,
 * which ends every loop.
 */
#ifndef SLUICE_CONFIG_LOAD_H
#define SLUICE_CONFIG_LOAD_H

#include "config/config.h"

struct loading {
	struct config *config;
	struct config_reader *reader;
	struct config_token token;
	const struct config_sink *sink;
	const struct config_text *document;
	uint32_t file_index; /* of it, in config->files */
	uint32_t errors;
	int failed;                  /* -ENOMEM, -EINVAL behind a mistake of syntax, or 0 */
	const struct loading *outer; /* what includes this preset; NULL: nothing */
	const char *preset;          /* its name; NULL: a document */
	bool is_scan;                /* the pass that adds blocked names only */
};

struct load_key {
	const char *name;
	void (*read)(struct loading *l, const struct load_key *key, void *ctx);
	const char *detail; /* what read() wants to know, or NULL */
};

/* Reads the next token. */
void load_step(struct loading *l);

/* Goes to the last token of the value whose first one is there. */
void load_skip(struct loading *l);

/* There is no memory: nothing is read any more. */
void load_fail(struct loading *l);

/* Tells of an error or a warning at the place. */
__attribute__((format(printf, 4, 5))) void load_refuse(
    struct loading *l, struct config_place place, uint32_t width, const char *format, ...);
__attribute__((format(printf, 4, 5))) void load_warn(
    struct loading *l, struct config_place place, uint32_t width, const char *format, ...);

/* The same at the token that is there; then skips its value. */
__attribute__((format(printf, 2, 3))) void load_refuse_value(
    struct loading *l, const char *format, ...);

/* Reads a mapping with these keys; ctx is passed to their functions. *ret_seen, which may be NULL, gets a bit for
 * each key that was there. False: there is no mapping, which was told. */
bool load_map(
    struct loading *l, const struct load_key *keys, size_t count, void *ctx, uint64_t *ret_seen);

/* Reads a list; item() reads each. False: there is no list, which was told. */
bool load_list(struct loading *l, void (*item)(struct loading *l, void *ctx), void *ctx);

/* Read one value. False: it is something else, which was told. */
bool load_bool(struct loading *l, bool *ret_value);
bool load_number(struct loading *l, uint64_t min, uint64_t max, uint64_t *ret_value);
bool load_text(struct loading *l); /* the text is in l->token */

/* The index of the word that the text is, or -1, which was told. */
int load_word(struct loading *l, const char *const *words, size_t count);

/* The nearest of the words, or NULL. word(words, i) is the i-th. */
const char *load_suggest(const char *text, const void *words, size_t count,
    const char *(*word)(const void *words, size_t i));

/* Keys of the mapping that a NetworkConfig is. */
extern const struct load_key load_network_keys[];
extern const size_t load_network_key_count;

/* Adds the rules of the text that is there. */
void load_rule_text(struct loading *l);

/* What a document includes in the place of a rule. */
struct include {
	char name[CONFIG_KEY_MAX]; /* "": nothing */
	uint64_t version;          /* which it must have; 0: any */
	struct config_token token; /* of the name */
	struct config_token version_token;
};

/* Reads the name, or the version if key->detail is set. */
void load_include_key(struct loading *l, const struct load_key *key, struct include *i);

/* Adds the rules of the preset; at: the place of the whole. */
void load_include(struct loading *l, const struct config_token *at, const struct include *i);

/* Adds a name to config->files. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int load_add_file(struct config *c, const char *name);

/* Readers of parts; ctx is not used. */
void load_policy(struct loading *l, const struct load_key *key, void *ctx);
/* A list of names that are denied before all rules; key->detail is the kind of target. */
void load_blocked(struct loading *l, const struct load_key *key, void *ctx);
void load_tls(struct loading *l, const struct load_key *key, void *ctx);
void load_secrets(struct loading *l, const struct load_key *key, void *ctx);
void load_ports(struct loading *l, const struct load_key *key, void *ctx);
/* A value that asks for something is refused with key->detail: anything but null, and anything but false. */
void load_only_null(struct loading *l, const struct load_key *key, void *ctx);
void load_only_false(struct loading *l, const struct load_key *key, void *ctx);

#endif
