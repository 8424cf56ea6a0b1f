/* SPDX-License-Identifier: Apache-2.0 */
/* Texts: the files that the command sees instead of the host's. Pure. */
#ifndef SLUICE_APP_GUEST_FILES_H
#define SLUICE_APP_GUEST_FILES_H

#include "base/text.h"
#include "stack/netif.h"

#define GUEST_FILES_HOST_NAME  "host.sluice.internal"
#define GUEST_FILES_HOST_ALIAS "host.microsandbox.internal" /* the reference's */

/* resolv.conf for the command: the gateway's addresses; no search list, as a suffix added to a private
 * name would tell it to somebody else (threat D18). c is NULL: without network. */
void guest_files_resolv_conf(struct text *t, const struct netif_config *c);

/* hosts for the command: localhost, the machine's name unless it is no host name, the gateway. */
void guest_files_hosts(struct text *t, const struct netif_config *c, const char *machine);

#endif
