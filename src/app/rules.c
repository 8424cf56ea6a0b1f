/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From options to a policy. Explicit rules come first, then those of the profiles; with rules and no
 * profile nothing is implied (man page, RULES).
 */
#include "app/rules.h"

#include <errno.h>
#include <string.h>

#include "app/complain.h"
#include "host/facts.h"

enum {
	LINE_MAX_LEN = 512,
};

static int refuse(const char *option, const char *value, int err, const struct policy_error *e)
{
	if (err == -ENOMEM)
		return complain("there is no memory for the rules");
	if (e->column > 0)
		return complain("%s '%s', column %zu: %s", option, value, e->column, e->text);
	return complain("%s '%s': %s", option, value, e->text);
}

static int add_texts(struct policy_builder *b, const struct net_options *o)
{
	struct policy_error e;

	for (size_t i = 0; i < o->rules.count; i++) {
		int err = policy_builder_add_rules(b, o->rules.items[i], &e);

		if (err)
			return refuse("--net-rule", o->rules.items[i], err, &e);
	}
	for (size_t i = 0; i < o->profiles.count; i++) {
		int err = policy_builder_add_profile(b, o->profiles.items[i], &e);

		if (err)
			return refuse("--net", o->profiles.items[i], err, &e);
	}
	for (int d = POLICY_EGRESS; d <= POLICY_INGRESS; d++)
		if (o->has_default[d])
			policy_builder_set_default(b, (enum policy_direction)d, o->defaults[d]);
	return 0;
}

static int add_host(struct policy_builder *b, const struct netif_config *netif)
{
	int err = host_add_to_policy(b, netif);

	if (err == -ENOMEM)
		return complain("there is no memory for the rules");
	return err ? complain("the host's addresses cannot be listed: %s", strerror(-err)) : 0;
}

static void note_warnings(const struct policy *p)
{
	struct policy_warning w;
	char line[LINE_MAX_LEN];
	uint32_t cursor = 0;

	while (note_is_enabled() && policy_warning_next(p, &cursor, &w))
		note("%s", policy_warning_text(p, &w, line, sizeof(line)));
}

int rules_compile(const struct net_options *o, const struct netif_config *netif,
    struct policy_builder **ret_builder, struct policy **ret_policy)
{
	struct policy_builder *b = policy_builder_new();
	int err = -1;

	if (!b)
		return complain("there is no memory for the rules");
	if (add_texts(b, o) == 0 && add_host(b, netif) == 0)
		err = policy_builder_compile(b, ret_policy)
			  ? complain("there is no memory for the rules")
			  : 0;
	if (err) {
		policy_builder_free(b);
		return err;
	}
	*ret_builder = b;
	note_warnings(*ret_policy);
	return 0;
}
