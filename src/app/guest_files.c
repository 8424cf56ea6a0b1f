/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of and about resolvers and host names; see guest_files.h. Tests: unit/test_guest_files.c. */
#include "app/guest_files.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum {
	NAME_MAX_LEN = 64, /* HOST_NAME_MAX of Linux */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The address of a line "nameserver ADDRESS". 1: one was read; 0: another line; -EINVAL. */
static int parse_line(const char *line, size_t len, struct endpoint *ret_endpoint)
{
	static const char keyword[] = "nameserver";
	char text[IP_ADDR_TEXT_MAX];
	size_t at = sizeof(keyword) - 1;
	size_t end;

	if (len <= at || memcmp(line, keyword, at) != 0 || !is_blank(line[at]))
		return 0;
	while (at < len && is_blank(line[at]))
		at++;
	end = at;
	while (end < len && !is_blank(line[end]) && line[end] != '\r')
		end++;
	if (end - at >= sizeof(text))
		return -EINVAL;
	memcpy(text, line + at, end - at);
	text[end - at] = '\0';
	if (ip_addr_parse(text, &ret_endpoint->addr) < 0)
		return -EINVAL;
	ret_endpoint->port = DNS_PORT;
	return 1;
}

uint32_t guest_files_nameservers(
    const char *text, struct endpoint *out, uint32_t cap, uint32_t *ret_skipped)
{
	uint32_t count = 0;
	uint32_t skipped = 0;

	while (*text != '\0') {
		size_t len = strcspn(text, "\n");
		struct endpoint e;
		int got = parse_line(text, len, &e);

		if (got < 0 || (got > 0 && count == cap))
			skipped++;
		else if (got > 0)
			out[count++] = e;
		text += len + (text[len] == '\n' ? 1 : 0);
	}
	*ret_skipped = skipped;
	return count;
}

/* A port: 1 to 65535, in decimal, without sign and leading zeros (threat N11). */
static int parse_port(const char *text, uint16_t *ret_port)
{
	uint32_t v = 0;
	size_t n = strlen(text);

	if (n == 0 || n > 5 || text[0] == '0')
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		v = v * 10 + (uint32_t)(text[i] - '0');
	}
	if (v > UINT16_MAX)
		return -EINVAL;
	*ret_port = (uint16_t)v;
	return 0;
}

int guest_files_parse_nameserver(const char *text, struct endpoint *ret_endpoint)
{
	struct endpoint e = {.port = DNS_PORT};
	const char *addr = text;
	const char *addr_end;
	char copy[IP_ADDR_TEXT_MAX];

	if (ip_addr_parse(text, &e.addr) == 0)
		goto out;
	if (text[0] == '[') {
		addr = text + 1;
		addr_end = strchr(addr, ']');
		if (addr_end == NULL || (addr_end[1] != '\0' && addr_end[1] != ':'))
			return -EINVAL;
		if (addr_end[1] == ':' && parse_port(addr_end + 2, &e.port) < 0)
			return -EINVAL;
	} else {
		addr_end = strrchr(text, ':');
		if (addr_end == NULL || parse_port(addr_end + 1, &e.port) < 0)
			return -EINVAL;
	}
	if ((size_t)(addr_end - addr) >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, addr, (size_t)(addr_end - addr));
	copy[addr_end - addr] = '\0';
	/* Brackets are for IPv6 only, and IPv6 with a port needs them. */
	if (ip_addr_parse(copy, &e.addr) < 0 || (strchr(copy, ':') != NULL) != (text[0] == '['))
		return -EINVAL;
out:
	*ret_endpoint = e;
	return 0;
}

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
