/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of parts that do not exist yet. They are accepted as long as they ask for nothing, as in a document that
 * another program has written with all its defaults; else they are refused, not ignored.
 */
#include "config/load.h"

#define COUNT(keys) (sizeof(keys) / sizeof((keys)[0]))

static void skip_any(struct loading *l, const struct load_key *key, void *ctx)
{
	(void)key;
	(void)ctx;
	load_skip(l);
}

void load_only_null(struct loading *l, const struct load_key *key, void *ctx)
{
	(void)ctx;
	if (l->token.kind != CONFIG_NULL)
		load_refuse_value(l, "%s: remove the key, or write null", key->detail);
}

void load_only_false(struct loading *l, const struct load_key *key, void *ctx)
{
	bool value = false;

	(void)ctx;
	if (l->token.kind == CONFIG_TRUE)
		load_refuse_value(l, "%s: remove the key, or write false", key->detail);
	else
		(void)load_bool(l, &value);
}

/* A list that must be empty. */
static void only_empty(struct loading *l, const struct load_key *key, void *ctx)
{
	struct config_token list = l->token;

	(void)ctx;
	if (list.kind != CONFIG_LIST) {
		load_refuse_value(l, "a list must stand here");
		return;
	}
	load_step(l);
	if (l->token.kind == CONFIG_LIST_END || l->token.kind == CONFIG_END)
		return;
	load_refuse(l, list.place, list.width, "%s: remove the key, or write []", key->detail);
	while (l->token.kind != CONFIG_LIST_END && l->token.kind != CONFIG_END) {
		load_skip(l);
		load_step(l);
	}
}

void load_tls(struct loading *l, const struct load_key *key, void *ctx)
{
	static const struct load_key keys[] = {
	    {"enabled", load_only_false, "this version does not intercept TLS"},
	    {"intercepted_ports", skip_any, NULL},
	    {"bypass", skip_any, NULL},
	    {"verify_upstream", skip_any, NULL},
	    {"block_quic_on_intercept", skip_any, NULL},
	    {"upstream_ca_cert", skip_any, NULL},
	    {"scoped_upstream_ca_cert", skip_any, NULL},
	    {"scoped_verify_upstream", skip_any, NULL},
	    {"intercept_ca", skip_any, NULL},
	    {"ca", skip_any, NULL},
	    {"cache", skip_any, NULL},
	};

	(void)key;
	(void)load_map(l, keys, COUNT(keys), ctx, NULL);
}

void load_secrets(struct loading *l, const struct load_key *key, void *ctx)
{
	static const struct load_key keys[] = {
	    {"secrets", only_empty, "this version knows no secrets"},
	    {"on_violation", skip_any, NULL},
	};

	(void)key;
	(void)load_map(l, keys, COUNT(keys), ctx, NULL);
}
