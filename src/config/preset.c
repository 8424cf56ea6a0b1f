/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Presets: named sets of rules in files of their own, of which each rule says whether strangers can write to where
 * it leads.
 *
 * A preset is named, not located: its file is NAME.yaml or NAME.json in the first directory of the search path that has
 * one. Refused: names that are paths, files that others than root and this user can change, presets that include
 * each other, another version than the one that was asked for.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/file.h"
#include "config/load.h"
#include "config/reader_internal.h"

enum {
	NAME_MAX_LEN = 40,
	NESTING_MAX = 8,
	INCLUDES_MAX = 1000, /* in one document, also through each other */
	PATH_MAX_LEN = 4096,
};

struct preset {
	const char *name; /* as it was included */
	uint64_t version; /* of the file; 0: not read yet */
	bool has_name;
	bool has_rules;
};

/* An entry of a preset's rules. */
struct entry {
	struct include include;
	bool has_rule;
	bool has_strangers;
	bool can_strangers_write;
	struct config_token rule; /* its place */
};

/* ---- finding the file ---- */

static bool is_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= NAME_MAX_LEN && name[0] != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == len;
}

static bool is_open(const struct loading *l, const char *name)
{
	for (; l; l = l->outer)
		if (l->preset && strcmp(l->preset, name) == 0)
			return true;
	return false;
}

static unsigned int nesting(const struct loading *l)
{
	unsigned int n = 0;

	for (; l->outer; l = l->outer)
		n++;
	return n;
}

/* Reads NAME.yaml or NAME.json of one directory. 0 with its path, or -errno with that of the file at fault. */
static int read_in(const char *dir, size_t dir_len, const char *name, char path[PATH_MAX_LEN],
    char **ret_text, size_t *ret_len)
{
	static const char *const endings[] = {"yaml", "json"};
	int err = -ENOENT;

	for (size_t i = 0; i < 2 && err == -ENOENT; i++) {
		int n =
		    snprintf(path, PATH_MAX_LEN, "%.*s/%s.%s", (int)dir_len, dir, name, endings[i]);

		err = n < 0 || n >= PATH_MAX_LEN ? -ENAMETOOLONG
						 : config_file_read_own(path, ret_text, ret_len);
	}
	return err;
}

static int find(
    const char *dirs, const char *name, char path[PATH_MAX_LEN], char **ret_text, size_t *ret_len)
{
	int err = -ENOENT;

	while (dirs[0] != '\0' && err == -ENOENT) {
		size_t len = strcspn(dirs, ":");

		if (len > 0)
			err = read_in(dirs, len, name, path, ret_text, ret_len);
		dirs += len + (dirs[len] == ':' ? 1 : 0);
	}
	return err;
}

/* ---- reading it ---- */

static void read_own_name(struct loading *l, const struct load_key *key, void *ctx)
{
	struct preset *p = ctx;

	(void)key;
	p->has_name = true;
	if (load_text(l) && strcmp(l->token.text, p->name) != 0)
		load_refuse_value(l, "this is not the name of the file: write '%s'", p->name);
}

static void read_own_version(struct loading *l, const struct load_key *key, void *ctx)
{
	struct preset *p = ctx;

	(void)key;
	(void)load_number(l, 1, UINT32_MAX, &p->version);
}

static void read_words(struct loading *l, const struct load_key *key, void *ctx)
{
	(void)key;
	(void)ctx;
	(void)load_text(l);
}

static void read_entry_rule(struct loading *l, const struct load_key *key, void *ctx)
{
	struct entry *e = ctx;

	(void)key;
	e->has_rule = true;
	e->rule = l->token;
	if (load_text(l))
		load_rule_text(l);
}

static void read_strangers(struct loading *l, const struct load_key *key, void *ctx)
{
	struct entry *e = ctx;

	(void)key;
	e->has_strangers = true;
	(void)load_bool(l, &e->can_strangers_write);
}

static void read_entry_include(struct loading *l, const struct load_key *key, void *ctx)
{
	struct entry *e = ctx;

	load_include_key(l, key, &e->include);
}

static void read_entry(struct loading *l, void *ctx)
{
	static const struct load_key keys[] = {
	    {"rule", read_entry_rule, NULL},
	    {"strangers_write", read_strangers, NULL},
	    {"note", read_words, NULL},
	    {"include", read_entry_include, NULL},
	    {"version", read_entry_include, "version"},
	};
	struct entry e = {.has_rule = false};
	struct config_token first = l->token;
	uint32_t errors = l->errors;

	(void)ctx;
	if (!load_map(l, keys, sizeof(keys) / sizeof(keys[0]), &e, NULL) || l->errors > errors)
		return;
	if (e.include.name[0] != '\0' && !e.has_rule && !e.has_strangers)
		load_include(l, &first, &e.include);
	else if (!e.has_rule || e.include.name[0] != '\0' || e.include.version > 0)
		load_refuse(l, first.place, first.width,
		    "an entry has a rule, or includes a preset: write one of them");
	else if (!e.has_strangers)
		load_refuse(l, first.place, first.width,
		    "can strangers write to where this rule leads? write strangers_write: true or "
		    "false");
	else if (e.can_strangers_write)
		load_warn(l, e.rule.place, e.rule.width,
		    "strangers can write there, so what the guest has can leave by it");
}

static void read_rules(struct loading *l, const struct load_key *key, void *ctx)
{
	struct preset *p = ctx;

	(void)key;
	p->has_rules = load_list(l, read_entry, NULL);
}

static void read_preset(struct loading *l, struct preset *p)
{
	static const struct load_key keys[] = {
	    {"preset", read_own_name, NULL},
	    {"version", read_own_version, NULL},
	    {"about", read_words, NULL},
	    {"rules", read_rules, NULL},
	};
	struct config_token first = l->token;
	uint32_t errors = l->errors;

	if (!load_map(l, keys, sizeof(keys) / sizeof(keys[0]), p, NULL) || l->errors > errors)
		return;
	if (!p->has_name || p->version == 0 || !p->has_rules)
		load_refuse(l, first.place, first.width, "a preset without %s: write it",
		    !p->has_name      ? "preset, its name"
		    : p->version == 0 ? "version"
				      : "rules");
	load_step(l);
}

/* Loads the text of a preset behind the rules before it. */
static void load_preset(struct loading *l, const struct config_text *text, struct preset *p)
{
	struct loading inner = {.config = l->config,
	    .document = text,
	    .sink = l->sink,
	    .file_index = (uint32_t)l->config->file_count,
	    .errors = l->errors,
	    .outer = l,
	    .preset = p->name};

	inner.reader = config_reader_new(text->text, text->len);
	if (!inner.reader || load_add_file(l->config, text->name) != 0) {
		config_reader_free(inner.reader);
		load_fail(l);
		return;
	}
	load_step(&inner);
	read_preset(&inner, p);
	config_reader_free(inner.reader);
	l->errors = inner.errors;
	if (inner.failed == -ENOMEM)
		load_fail(l);
}

/* ---- including it ---- */

void load_include_key(struct loading *l, const struct load_key *key, struct include *i)
{
	if (key->detail) {
		i->version_token = l->token;
		(void)load_number(l, 1, UINT32_MAX, &i->version);
		return;
	}
	i->token = l->token;
	if (!load_text(l))
		return;
	if (!is_name(l->token.text)) {
		load_refuse_value(l,
		    "a preset has a name of letters a-z, digits, '-' and '_', and no path: "
		    "its file is looked for in the search path only");
		return;
	}
	memcpy(i->name, l->token.text, l->token.len + 1);
}

static void refuse_file(struct loading *l, const struct include *i, int err, const char *path)
{
	char quoted[CONFIG_QUOTED_MAX];

	config_quote(path, strlen(path), quoted);
	switch (err) {
	case -ENOENT:
		load_refuse(l, i->token.place, i->token.width,
		    "there is no preset '%s' in %s: set SLUICE_PRESETS to its directory", i->name,
		    l->config->presets[0] != '\0' ? l->config->presets : "the empty search path");
		break;
	case -EPERM:
		load_refuse(l, i->token.place, i->token.width,
		    "the file of preset '%s' can be changed by others than root and you: chown it, "
		    "or chmod go-w it",
		    i->name);
		break;
	default:
		load_refuse(l, i->token.place, i->token.width,
		    "the file of preset '%s' cannot be read: %s", i->name, strerror(-err));
		break;
	}
}

void load_include(struct loading *l, const struct config_token *at, const struct include *i)
{
	struct preset p = {.name = i->name};
	struct config_text text = {0};
	char path[PATH_MAX_LEN] = "";
	char *bytes = NULL;
	uint32_t errors = l->errors;
	int err;

	if (!l->config->presets)
		load_refuse(l, at->place, at->width, "presets cannot be included here");
	else if (is_open(l, i->name))
		load_refuse(l, i->token.place, i->token.width,
		    "the preset '%s' includes itself: remove one of the includes", i->name);
	else if (nesting(l) == NESTING_MAX || ++l->config->includes > INCLUDES_MAX)
		load_refuse(l, i->token.place, i->token.width,
		    "too many presets: at most %d in a document, and %d inside each other",
		    INCLUDES_MAX, NESTING_MAX);
	if (l->errors > errors)
		return;
	err = find(l->config->presets, i->name, path, &bytes, &text.len);
	if (err == -ENOMEM) {
		load_fail(l);
		return;
	}
	if (err) {
		refuse_file(l, i, err, path);
		return;
	}
	text.name = path;
	text.text = bytes;
	load_preset(l, &text, &p);
	free(bytes);
	if (l->errors > errors)
		load_refuse(l, i->token.place, i->token.width,
		    "the preset '%s' has errors: they stand above", i->name);
	else if (i->version > 0 && i->version != p.version && !l->failed)
		load_refuse(l, i->version_token.place, i->version_token.width,
		    "the preset '%s' has version %llu: look at what has changed, then write that",
		    i->name, (unsigned long long)p.version);
}
