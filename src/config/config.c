/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration document; see config.h. Its tokens are read as they come and nothing is kept of them, so that a
 * document with a million rules needs the memory of its text and of its rules.
 *
 * Tests: unit/test_config.c, golden/config.
 */
#include "config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/load.h"

enum {
	TOP_KEYS_MAX = 32,
};

struct config config_init(struct policy_builder *builder)
{
	return (struct config){
	    .settings = settings_default(""), .builder = builder, .is_enabled = true};
}

void config_fini(struct config *c)
{
	for (size_t i = 0; i < c->file_count; i++)
		free(c->files[i]);
	free((void *)c->files);
	free(c->origins);
	free(c->ports);
	c->ports = NULL;
	c->port_count = 0;
	c->files = NULL;
	c->origins = NULL;
	c->file_count = c->origin_count = c->origin_cap = 0;
}

const char *config_line(const char *text, size_t len, uint32_t line, size_t *ret_len)
{
	const char *end = text + len;
	const char *at = text;
	const char *stop;

	if (line == 0)
		return NULL;
	for (uint32_t i = 1; i < line; i++) {
		at = memchr(at, '\n', (size_t)(end - at));
		if (!at)
			return NULL;
		at++;
	}
	stop = memchr(at, '\n', (size_t)(end - at));
	*ret_len = (size_t)((stop ? stop : end) - at);
	return at;
}

int load_add_file(struct config *c, const char *name)
{
	char **files = reallocarray((void *)c->files, c->file_count + 1, sizeof(*files));
	char *copy = strdup(name);

	if (files)
		c->files = files;
	if (!files || !copy) {
		free(copy);
		return -ENOMEM;
	}
	c->files[c->file_count++] = copy;
	return 0;
}

/* ---- the first pass: names that must be denied before all rules ---- */

static void scan_dns(struct loading *l, const struct load_key *key, void *ctx)
{
	static const struct load_key keys[] = {
	    {"blocked_domains", load_blocked, "domain="},
	    {"blocked_suffixes", load_blocked, "suffix="},
	};

	(void)key;
	(void)load_map(l, keys, sizeof(keys) / sizeof(keys[0]), ctx, NULL);
}

static void scan_network(struct loading *l, const struct load_key *key, void *ctx)
{
	static const struct load_key keys[] = {{"dns", scan_dns, NULL}};

	(void)key;
	(void)load_map(l, keys, 1, ctx, NULL);
}

static void ignore_message(void *ctx, const struct config_message *m)
{
	(void)ctx;
	(void)m;
}

static int scan(struct loading *l, const struct config_text *document)
{
	static const struct load_key keys[] = {
	    {"dns", scan_dns, NULL}, {"network", scan_network, NULL}};
	static const struct config_sink nobody = {.tell = ignore_message};
	struct loading first = *l;

	if (!memmem(document->text, document->len, "blocked_", strlen("blocked_")))
		return 0;
	first.reader = config_reader_new(document->text, document->len);
	if (!first.reader)
		return -ENOMEM;
	first.is_scan = true;
	first.sink = &nobody;
	load_step(&first);
	(void)load_map(&first, keys, sizeof(keys) / sizeof(keys[0]), NULL, NULL);
	config_reader_free(first.reader);
	return first.failed == -ENOMEM ? -ENOMEM : 0;
}

/* ---- the document ---- */

/* Of a floor, the rules count alone. */
static const struct load_key floor_keys[] = {{"policy", load_policy, NULL}};

static void read_network(struct loading *l, const struct load_key *key, void *ctx)
{
	(void)key;
	if (l->config->is_floor)
		(void)load_map(l, floor_keys, 1, ctx, NULL);
	else
		(void)load_map(l, load_network_keys, load_network_key_count, ctx, NULL);
}

static void read_schema(struct loading *l, const struct load_key *key, void *ctx)
{
	(void)key;
	(void)ctx;
	(void)load_text(l);
}

static void read_version(struct loading *l, const struct load_key *key, void *ctx)
{
	uint64_t version;

	(void)key;
	(void)ctx;
	(void)load_number(l, 1, 1, &version);
}

/* A NetworkConfig, or a mapping with one under `network`. */
static void read_top(struct loading *l)
{
	static const struct load_key own[] = {
	    {"network", read_network, NULL},
	    {"$schema", read_schema, NULL},
	    {"version", read_version, NULL},
	};
	static const size_t own_count = sizeof(own) / sizeof(own[0]);
	bool is_floor = l->config->is_floor;
	size_t count = is_floor ? 1 : load_network_key_count;
	struct load_key keys[TOP_KEYS_MAX];
	struct config_token first = l->token;
	uint64_t seen = 0;

	memcpy(keys, own, sizeof(own));
	memcpy(
	    keys + own_count, is_floor ? floor_keys : load_network_keys, count * sizeof(keys[0]));
	if (!load_map(l, keys, own_count + count, NULL, &seen))
		return;
	if (is_floor && !l->config->has_policy && l->token.kind != CONFIG_END)
		load_refuse(l, first.place, 1, "a floor without policy: write it");
	if ((seen & 1) != 0 && seen >> own_count != 0)
		load_refuse(l, first.place, 1,
		    "keys of the network stand beside 'network': put all of them inside");
	load_step(l);
}

int config_load(
    struct config *c, const struct config_text *document, const struct config_sink *sink)
{
	struct loading l = {
	    .config = c, .sink = sink, .document = document, .file_index = (uint32_t)c->file_count};
	int err = load_add_file(c, document->name);

	if (!err)
		err = scan(&l, document);
	if (err)
		return err;
	l.reader = config_reader_new(document->text, document->len);
	if (!l.reader)
		return -ENOMEM;
	load_step(&l);
	read_top(&l);
	config_reader_free(l.reader);
	if (l.failed == -ENOMEM)
		return -ENOMEM;
	return l.errors > 0 || l.failed ? -EINVAL : 0;
}
