/* SPDX-License-Identifier: Apache-2.0 */
/* What the host's network is, asked when an engine is set up; nothing is sent and nothing is changed. */
#ifndef SLUICE_HOST_FACTS_H
#define SLUICE_HOST_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "policy/policy.h"
#include "stack/netif.h"

/* Whether the host has a route to the internet in a family, AF_INET or AF_INET6 (A5): asked with an
 * address of the documentation range, by connecting a UDP socket, which sends nothing. */
bool host_has_route(int family);

/* Reads the resolvers of the host; 127.0.0.1 where it names none, as libc does. At most cap; their
 * number. *ret_skipped: how many more there are that are not used (too many, or with a zone). */
uint32_t host_resolvers(struct endpoint *out, uint32_t cap, uint32_t *ret_skipped);

/* Tells a policy which addresses are group host: the gateway's, and those of the host's interfaces now
 * (threat N19; follow.h tells of later ones); and gives it a random key. 0, -ENOMEM, or why the addresses cannot be listed. */
__attribute__((warn_unused_result)) int host_add_to_policy(
    struct policy_builder *b, const struct netif_config *netif);

/* The same with these addresses of the host, in place of all that were told before. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int host_change_policy(struct policy_builder *b,
    const struct netif_config *netif, const struct ip_addr *addrs, size_t count);

#endif
