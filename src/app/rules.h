/* SPDX-License-Identifier: Apache-2.0 */
/* From options and the configuration document to settings and a compiled policy. */
#ifndef SLUICE_APP_RULES_H
#define SLUICE_APP_RULES_H

#include "app/net_options.h"
#include "policy/policy.h"
#include "stack/netif.h"

/* What options and document say together. */
struct net_plan {
	struct settings settings;
	struct policy_builder
	    *builder; /* owned; rules, profiles and defaults, without addresses of the host */
	struct publish_spec *ports; /* owned; of the document, without those of options */
	size_t port_count;
	bool is_enabled; /* there is to be a network */
};

/* Reads --config, if it is given, and puts the options over it: settings of the command line replace the document's,
 * its rules stand before those of the document, profiles of both add up, its defaults replace them. 0, or -1 after
 * telling why not. To be given to net_plan_fini() in any case. */
__attribute__((warn_unused_result)) int net_plan_make(
    const struct net_options *o, struct net_plan *ret_plan);
void net_plan_fini(struct net_plan *plan);

/* Whether the settings fit together, and the rest of a network's addresses, for families of which the host has a route. 0, or -1 after a
 * sentence. */
__attribute__((warn_unused_result)) int net_plan_addresses(
    const struct settings *s, struct netif_config *ret_config);

/* Compiles the rules; the gateway's addresses in netif are the group `host`. Rules that can never decide
 * anything are noted. 0, or -1 after a sentence. */
__attribute__((warn_unused_result)) int rules_compile(
    struct policy_builder *b, const struct netif_config *netif, struct policy **ret_policy);

#endif
