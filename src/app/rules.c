/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From options to a policy. Explicit rules come first, then those of the profiles; with rules and no
 * profile nothing is implied (man page, RULES).
 */
#include "app/rules.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

#include "app/complain.h"

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

static int add_texts(struct policy_builder *b, const struct run_options *o)
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

static int add_gateway(struct policy_builder *b, const struct netif_config *n)
{
	int err = 0;

	if (n->has_v4)
		err |= policy_builder_add_host(b, &n->gateway_v4);
	if (n->has_v6) {
		err |= policy_builder_add_host(b, &n->gateway_v6);
		err |= policy_builder_add_host(b, &n->gateway_ll);
	}
	return err ? complain("there is no memory for the rules") : 0;
}

static int add_interface(struct policy_builder *b, const struct sockaddr *address)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct ip_addr addr;

	if (address == NULL)
		return 0;
	if (address->sa_family == AF_INET) {
		memcpy(&v4, address, sizeof(v4));
		addr = ip_addr_v4(ntohl(v4.sin_addr.s_addr));
	} else if (address->sa_family == AF_INET6) {
		memcpy(&v6, address, sizeof(v6));
		memcpy(addr.b, &v6.sin6_addr, sizeof(addr.b));
	} else {
		return 0;
	}
	return policy_builder_add_host(b, &addr);
}

/* The host is not only behind the gateway, but at each address of its interfaces (threat N19). An
 * address that it gets later is not known here, and keeps the class that it has by itself. */
static int add_interfaces(struct policy_builder *b)
{
	struct ifaddrs *list;
	int err = 0;

	if (getifaddrs(&list) < 0)
		return complain("the host's addresses cannot be listed: %s", strerror(errno));
	for (const struct ifaddrs *i = list; i != NULL && !err; i = i->ifa_next)
		err = add_interface(b, i->ifa_addr);
	freeifaddrs(list);
	return err ? complain("there is no memory for the rules") : 0;
}

static void note_warnings(const struct policy *p)
{
	struct policy_warning w;
	char line[LINE_MAX_LEN];
	uint32_t cursor = 0;

	while (note_is_enabled() && policy_warning_next(p, &cursor, &w))
		note("%s", policy_warning_text(p, &w, line, sizeof(line)));
}

int rules_compile(
    const struct run_options *o, const struct netif_config *netif, struct policy **ret_policy)
{
	struct policy_builder *b = policy_builder_new();
	int err = -1;

	if (!b)
		return complain("there is no memory for the rules");
	if (add_texts(b, o) == 0 && add_gateway(b, netif) == 0 && add_interfaces(b) == 0)
		err = policy_builder_compile(b, ret_policy)
			  ? complain("there is no memory for the rules")
			  : 0;
	policy_builder_free(b);
	if (!err)
		note_warnings(*ret_policy);
	return err;
}
