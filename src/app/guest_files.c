/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that name resolvers and hosts; see guest_files.h. Tests: unit/test_guest_files.c. */
#include "app/guest_files.h"

#include <stdbool.h>
#include <string.h>

enum {
	NAME_MAX_LEN = 64, /* HOST_NAME_MAX of Linux */
};

void guest_files_resolv_conf(struct text *t, const struct netif_config *c)
{
	char addr[IP_ADDR_TEXT_MAX];

	text_str(t, "# The network of this command is sluice: sluice(1).\n");
	if (c == NULL)
		return;
	if (c->has_v4)
		text_printf(t, "nameserver %s\n", ip_addr_format(&c->gateway_v4, addr));
	if (c->has_v6)
		text_printf(t, "nameserver %s\n", ip_addr_format(&c->gateway_v6, addr));
	text_str(t, "options edns0\n");
}

/* Letters, digits, hyphens and dots (RFC 1123 2.1): nothing that could make a second line. */
static bool is_host_name(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > NAME_MAX_LEN)
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") ==
	       len;
}

void guest_files_hosts(struct text *t, const struct netif_config *c, const char *machine)
{
	char addr[IP_ADDR_TEXT_MAX];

	text_str(t, "127.0.0.1\tlocalhost\n"
		    "::1\tlocalhost ip6-localhost ip6-loopback\n");
	if (is_host_name(machine) && strcmp(machine, "localhost") != 0)
		text_printf(t, "127.0.1.1\t%s\n", machine);
	if (c == NULL)
		return;
	if (c->has_v4)
		text_printf(t, "%s\t" GUEST_FILES_HOST_NAME " " GUEST_FILES_HOST_ALIAS "\n",
		    ip_addr_format(&c->gateway_v4, addr));
	if (c->has_v6)
		text_printf(t, "%s\t" GUEST_FILES_HOST_NAME " " GUEST_FILES_HOST_ALIAS "\n",
		    ip_addr_format(&c->gateway_v6, addr));
}
