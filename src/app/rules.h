/* SPDX-License-Identifier: Apache-2.0 */
/* From options to a compiled policy. */
#ifndef SLUICE_APP_RULES_H
#define SLUICE_APP_RULES_H

#include "app/net_options.h"
#include "policy/policy.h"
#include "stack/netif.h"

/* Compiles --net-rule, --net and the defaults; the gateway's addresses in netif are the group `host`.
 * Rules that can never decide anything are noted. The builder is that from which the policy was made. 0, or -1
 * after a sentence. */
int rules_compile(const struct net_options *o, const struct netif_config *netif,
    struct policy_builder **ret_builder, struct policy **ret_policy);

#endif
