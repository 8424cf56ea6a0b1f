/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From options and the document to settings and a policy. Explicit rules come first, those of the command line
 * before those of the document, then those of the profiles; with rules and no profile nothing is implied (man page,
 * RULES).
 */
#include "app/rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "app/complain.h"
#include "app/document.h"
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

static int add_rules(struct policy_builder *b, const struct net_options *o)
{
	struct policy_error e;

	for (size_t i = 0; i < o->rules.count; i++) {
		int err = policy_builder_add_rules(b, o->rules.items[i], &e);

		if (err)
			return refuse("--net-rule", o->rules.items[i], err, &e);
	}
	return 0;
}

static int add_profiles(struct policy_builder *b, const struct net_options *o)
{
	struct policy_error e;

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

/* --net none and nothing that could allow anything. */
static bool is_without_network(const struct net_options *o)
{
	if (o->rules.count > 0 || o->has_default[POLICY_EGRESS] || o->profiles.count == 0 ||
	    o->publish.count > 0)
		return false;
	for (size_t i = 0; i < o->profiles.count; i++) {
		if (strcmp(o->profiles.items[i], "none") != 0)
			return false;
	}
	return true;
}

/* The settings of the command line again, over those of the document. They were good before. */
static int repeat_settings(const struct net_options *o, struct settings *s)
{
	bool has_resolver = false;
	bool has_domain = false;
	char error[SETTINGS_ERROR_MAX];

	s->addressing.name_prefix = "--";
	for (size_t i = 0; i < o->given.count; i += 2) {
		const char *name = o->given.items[i];

		/* The first one begins a list of its own. */
		if (strcmp(name, "dns-nameserver") == 0 && !has_resolver) {
			has_resolver = true;
			s->engine.resolver_count = 0;
		}
		if (strcmp(name, "dns-domain") == 0 && !has_domain) {
			has_domain = true;
			memset(s->engine.dns_routes, 0, sizeof(s->engine.dns_routes));
			s->engine.dns_route_count = 0;
		}
		if (settings_set(s, name, o->given.items[i + 1], error) != 0)
			return complain("%s", error);
	}
	return 0;
}

static int read_document(const struct net_options *o, struct net_plan *plan)
{
	struct document d = {.is_quiet = !note_is_enabled()};
	int result = document_load(&d, o->config, plan->builder);

	if (result > 0)
		result =
		    complain("the document %s cannot be used; `sluice check` tells more about it",
			o->config);
	if (result == 0 && (d.config.has_policy || d.config.port_count > 0) &&
	    is_without_network(o))
		result = complain("--net none does not go together with the %s of %s; leave one "
				  "of them away, or write \"enabled\": false",
		    d.config.has_policy ? "policy" : "ports", o->config);
	plan->ports = d.config.ports;
	plan->port_count = d.config.port_count;
	d.config.ports = NULL; /* they are the plan's */
	plan->settings = d.config.settings;
	plan->is_enabled = plan->is_enabled && d.config.is_enabled;
	document_fini(&d);
	return result < 0 ? -1 : repeat_settings(o, &plan->settings);
}

static int read_floor(const struct net_options *o, struct net_plan *plan)
{
	struct document d = {.is_quiet = true};
	int result = document_load_floor(&d, o->floor, plan->builder);

	if (result > 0)
		result = complain("the document %s cannot be used", o->floor);
	document_fini(&d);
	return result;
}

int net_plan_make(const struct net_options *o, struct net_plan *ret_plan)
{
	struct siphash_key key;

	*ret_plan = (struct net_plan){.settings = o->settings,
	    .builder = policy_builder_new(),
	    .is_enabled = !is_without_network(o)};
	if (!ret_plan->builder)
		return complain("there is no memory for the rules");
	if (getrandom(&key, sizeof(key), 0) != (ssize_t)sizeof(key))
		return complain("there are no random numbers: %s", strerror(errno));
	policy_builder_set_key(ret_plan->builder, &key);
	if (add_rules(ret_plan->builder, o) < 0 ||
	    (o->config != NULL && read_document(o, ret_plan) < 0) ||
	    (o->floor != NULL && read_floor(o, ret_plan) < 0))
		return -1;
	return add_profiles(ret_plan->builder, o);
}

void net_plan_fini(struct net_plan *plan)
{
	policy_builder_free(plan->builder);
	plan->builder = NULL;
	free(plan->ports);
	plan->ports = NULL;
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

int net_plan_addresses(const struct settings *s, struct netif_config *ret_config)
{
	struct addressing a = s->addressing;
	char error[SETTINGS_ERROR_MAX];

	if (settings_check(s, error) < 0)
		return complain("%s", error);
	a.has_route_v4 = host_has_route(AF_INET);
	a.has_route_v6 = host_has_route(AF_INET6);
	if (addressing_derive(&a, error, ret_config) < 0)
		return complain("%s", error);
	return 0;
}

int rules_compile(
    struct policy_builder *b, const struct netif_config *netif, struct policy **ret_policy)
{
	if (add_host(b, netif) < 0)
		return -1;
	if (policy_builder_compile(b, ret_policy))
		return complain("there is no memory for the rules");
	note_warnings(*ret_policy);
	return 0;
}
