/* SPDX-License-Identifier: Apache-2.0 */
/* Texts: the resolver configuration of the host, and the files that the command sees instead. Pure. */
#ifndef SLUICE_APP_GUEST_FILES_H
#define SLUICE_APP_GUEST_FILES_H

#include <stdint.h>

#include "base/addr.h"
#include "base/text.h"
#include "stack/netif.h"

#define GUEST_FILES_HOST_NAME  "host.sluice.internal"
#define GUEST_FILES_HOST_ALIAS "host.microsandbox.internal" /* the reference's */

enum {
	DNS_PORT = 53,
};

/* Takes the addresses of the "nameserver" lines of a resolv.conf(5) text, at most cap, and returns their
 * number. Addresses with a zone and unreadable ones are left out; *ret_skipped counts them. */
uint32_t guest_files_nameservers(
    const char *text, struct endpoint *out, uint32_t cap, uint32_t *ret_skipped);

/* Reads ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT. 0 or -EINVAL. */
__attribute__((warn_unused_result)) int guest_files_parse_nameserver(
    const char *text, struct endpoint *ret_endpoint);

/* resolv.conf for the command: the gateway's addresses; no search list, as a suffix added to a private
 * name would tell it to somebody else (threat D18). c is NULL: without network. */
void guest_files_resolv_conf(struct text *t, const struct netif_config *c);

/* hosts for the command: localhost, the machine's name unless it is no host name, the gateway. */
void guest_files_hosts(struct text *t, const struct netif_config *c, const char *machine);

#endif
