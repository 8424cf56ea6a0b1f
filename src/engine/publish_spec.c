/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Specifications of published ports; see publish_spec.h.
 *
 * Refused: anything but decimal numbers from 0 (the guest's from 1) to 65535, names of hosts, IPv6 addresses
 * without brackets, zones, multicast. Tests: tests/unit/test_publish_spec.c.
 */
#include "engine/publish_spec.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
	PORT_DIGITS_MAX = 5,
};

#define FORM "use [ADDRESS:]PORT:GUEST-PORT[/tcp|/udp|/http], with IPv6 addresses in brackets"

__attribute__((format(printf, 2, 3))) static int refuse(
    char error[PUBLISH_ERROR_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(error, PUBLISH_ERROR_MAX, format, args);
	va_end(args);
	return -EINVAL;
}

/* Decimal digits up to end, without a sign or leading zeros. */
static bool parse_port(const char *from, const char *end, uint16_t *ret_port)
{
	uint32_t v = 0;

	if (from == end || end - from > PORT_DIGITS_MAX || (*from == '0' && end - from > 1))
		return false;
	for (; from < end; from++) {
		if (*from < '0' || *from > '9')
			return false;
		v = v * 10 + (uint32_t)(*from - '0');
	}
	*ret_port = (uint16_t)v;
	return v <= UINT16_MAX;
}

/* Where the protocol begins, or the end of the text; NULL: it is none of the three. */
static const char *parse_proto(const char *text, struct publish_spec *s)
{
	const char *slash = strchr(text, '/');

	s->proto = POLICY_TCP;
	if (!slash)
		return text + strlen(text);
	if (strcmp(slash, "/udp") == 0)
		s->proto = POLICY_UDP;
	else if (strcmp(slash, "/http") == 0)
		s->checks_http = true;
	else if (strcmp(slash, "/tcp") != 0)
		return NULL;
	return slash;
}

static int parse_address(
    const char *from, const char *end, struct ip_addr *ret_addr, char error[PUBLISH_ERROR_MAX])
{
	bool has_brackets = end - from >= 2 && *from == '[' && end[-1] == ']';
	size_t len = (size_t)(end - from) - 2 * (size_t)has_brackets;
	char text[IP_ADDR_TEXT_MAX];

	if (len >= sizeof(text))
		return refuse(error, "has no address of the host in front of its ports; " FORM);
	memcpy(text, from + has_brackets, len);
	text[len] = '\0';
	if (ip_addr_parse(text, ret_addr))
		return refuse(error, "has %.60s where an address of the host belongs; " FORM,
		    len > 0 ? text : "nothing");
	if (!ip_addr_is_v4(ret_addr) && !has_brackets)
		return refuse(error, "has an IPv6 address without brackets; " FORM);
	if (ip_addr_is_v4(ret_addr) && has_brackets)
		return refuse(error, "has an IPv4 address in brackets; " FORM);
	if (ip_addr_is_multicast(ret_addr))
		return refuse(error, "has a multicast address, at which nobody can be reached");
	return 0;
}

static bool is_loopback(const struct ip_addr *a)
{
	static const struct ip_addr loopback6 = {.b = {[15] = 1}};

	return ip_addr_is_v4(a) ? a->b[12] == 127 : ip_addr_eq(a, &loopback6);
}

int publish_spec_parse(
    const char *text, struct publish_spec *ret_spec, char error[PUBLISH_ERROR_MAX])
{
	struct publish_spec s = {.host.addr = ip_addr_v4(0x7f000001)};
	const char *end = parse_proto(text, &s);
	const char *guest;
	const char *host;

	if (!end)
		return refuse(
		    error, "has %.20s for a protocol; use /tcp, /udp or /http", strchr(text, '/'));
	for (guest = end; guest > text && guest[-1] != ':'; guest--)
		;
	if (guest == text)
		return refuse(error, "names one port only; " FORM);
	for (host = guest - 1; host > text && host[-1] != ':'; host--)
		;
	if (!parse_port(guest, end, &s.guest_port) || s.guest_port == 0)
		return refuse(error, "has %.*s for the guest's port; use a number from 1 to 65535",
		    guest == end ? 7 : (int)(end - guest < 20 ? end - guest : 20),
		    guest == end ? "nothing" : guest);
	if (!parse_port(host, guest - 1, &s.host.port))
		return refuse(error,
		    "has %.*s for the host's port; use a number from 1 to 65535, or 0 to have one "
		    "picked",
		    guest - 1 == host ? 7 : (int)(guest - 1 - host < 20 ? guest - 1 - host : 20),
		    guest - 1 == host ? "nothing" : host);
	if (host > text) {
		int err = parse_address(text, host - 1, &s.host.addr, error);

		if (err)
			return err;
	}
	if (s.checks_http && !is_loopback(&s.host.addr))
		return refuse(error,
		    "has /http for an address that others can reach, who have other "
		    "names for it; use /tcp there");
	*ret_spec = s;
	return 0;
}

char *publish_spec_format(const struct publish_spec *s, char out[PUBLISH_TEXT_MAX])
{
	char host[ENDPOINT_TEXT_MAX];

	(void)snprintf(out, PUBLISH_TEXT_MAX, "%s:%u%s", endpoint_format(&s->host, host),
	    s->guest_port,
	    s->proto == POLICY_UDP ? "/udp"
	    : s->checks_http       ? "/http"
				   : "/tcp");
	return out;
}
