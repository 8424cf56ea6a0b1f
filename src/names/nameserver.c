/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of resolvers; see nameserver.h. Tests: unit/test_nameserver.c. */
#include "names/nameserver.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "wire/dns.h"

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

uint32_t nameserver_list(
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

int nameserver_parse(const char *text, struct endpoint *ret_endpoint)
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
