/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of resolvers, as people and resolv.conf(5) write them. Pure. */
#ifndef SLUICE_NAMES_NAMESERVER_H
#define SLUICE_NAMES_NAMESERVER_H

#include <stdint.h>

#include "base/addr.h"

/* Takes the addresses of the "nameserver" lines of a resolv.conf(5) text, at most cap, and returns their
 * number. Addresses with a zone and unreadable ones are left out; *ret_skipped counts them. */
uint32_t nameserver_list(
    const char *text, struct endpoint *out, uint32_t cap, uint32_t *ret_skipped);

/* Reads ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT. 0 or -EINVAL. */
__attribute__((warn_unused_result)) int nameserver_parse(
    const char *text, struct endpoint *ret_endpoint);

#endif
