/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text and prefix operations of addresses (RFC 4291, RFC 5952).
 *
 * Refused: numbers in short, octal, hexadecimal or single-integer form, zone ids, brackets, blanks.
 * inet_pton() is strict in just these respects; it and inet_ntop() are pure functions of libc.
 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

const struct mac_addr mac_broadcast = {.b = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

bool ip_addr_is_multicast(const struct ip_addr *a)
{
	if (ip_addr_is_v4(a))
		return (a->b[12] & 0xf0) == 0xe0;
	return a->b[0] == 0xff;
}

bool ip_addr_in_prefix(const struct ip_addr *a, const struct ip_addr *prefix, unsigned int len)
{
	unsigned int whole = len / 8;
	uint8_t mask = (uint8_t)(0xff00U >> (len % 8));

	if (memcmp(a->b, prefix->b, whole) != 0)
		return false;
	return len % 8 == 0 || ((a->b[whole] ^ prefix->b[whole]) & mask) == 0;
}

char *ip_addr_format(const struct ip_addr *a, char out[IP_ADDR_TEXT_MAX])
{
	bool is_v4 = ip_addr_is_v4(a);

	if (!inet_ntop(is_v4 ? AF_INET : AF_INET6, a->b + (is_v4 ? 12 : 0), out, IP_ADDR_TEXT_MAX))
		out[0] = '\0';
	return out;
}

int ip_addr_parse(const char *text, struct ip_addr *ret_addr)
{
	struct ip_addr a;
	uint8_t v4[4];

	if (inet_pton(AF_INET, text, v4) == 1) {
		*ret_addr = ip_addr_v4_wire(v4);
		return 0;
	}
	if (inet_pton(AF_INET6, text, a.b) == 1) {
		*ret_addr = a;
		return 0;
	}
	return -EINVAL;
}

char *endpoint_format(const struct endpoint *e, char out[ENDPOINT_TEXT_MAX])
{
	char addr[IP_ADDR_TEXT_MAX];
	bool is_v4 = ip_addr_is_v4(&e->addr);

	(void)snprintf(out, ENDPOINT_TEXT_MAX, is_v4 ? "%s:%u" : "[%s]:%u",
	    ip_addr_format(&e->addr, addr), (unsigned int)e->port);
	return out;
}

char *mac_addr_format(const struct mac_addr *m, char out[MAC_TEXT_MAX])
{
	(void)snprintf(out, MAC_TEXT_MAX, "%02x:%02x:%02x:%02x:%02x:%02x", m->b[0], m->b[1],
	    m->b[2], m->b[3], m->b[4], m->b[5]);
	return out;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int mac_addr_parse(const char *text, struct mac_addr *ret_mac)
{
	struct mac_addr m;

	if (strlen(text) != MAC_TEXT_MAX - 1)
		return -EINVAL;
	for (int i = 0; i < 6; i++, text += 3) {
		int high = hex_digit(text[0]);
		int low = hex_digit(text[1]);

		if (high < 0 || low < 0 || text[2] != (i < 5 ? ':' : '\0'))
			return -EINVAL;
		m.b[i] = (uint8_t)(high << 4 | low);
	}
	*ret_mac = m;
	return 0;
}
