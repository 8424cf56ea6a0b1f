/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of a guest's link. A slot owns four IPv4 addresses (a /30) and one IPv6 /64 of the pools;
 * the gateway is the first usable address of each, the guest the second. Tests: A1 to A6 in
 * tests/unit/test_addressing.c.
 *
 * What is refused: pools too small for the slot, and addresses that cannot share a /30 or a /64 with
 * a gateway next to them.
 */
#include "engine/addressing.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
	MAPPED_BITS = 96, /* where an IPv4 address begins in struct ip_addr */
};

struct addressing addressing_default(void)
{
	struct addressing a = {.name_prefix = "", .mtu = NETIF_MTU_DEFAULT};
	int failed = ip_prefix_parse(ADDRESSING_POOL_V4, &a.pool_v4);

	failed |= ip_prefix_parse(ADDRESSING_POOL_V6, &a.pool_v6);
	if (failed != 0)
		a.slot = 0; /* cannot happen: both texts are constants, tested as A1 and A3 */
	return a;
}

__attribute__((format(printf, 2, 3))) static int refuse(char *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(error, ADDRESSING_ERROR_MAX, format, args);
	va_end(args);
	return -EINVAL;
}

/* A decimal number of one to three digits without leading zeros, up to max. */
static int parse_len(const char *text, unsigned int max, uint8_t *ret_len)
{
	unsigned int v = 0;
	size_t n = strlen(text);

	if (n == 0 || n > 3 || (n > 1 && text[0] == '0'))
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		v = v * 10 + (unsigned int)(text[i] - '0');
	}
	if (v > max)
		return -EINVAL;
	*ret_len = (uint8_t)v;
	return 0;
}

int ip_prefix_parse(const char *text, struct ip_prefix *ret_prefix)
{
	const char *slash = strchr(text, '/');
	char addr_text[IP_ADDR_TEXT_MAX];
	struct ip_prefix p;
	unsigned int bits;

	if (slash == NULL || (size_t)(slash - text) >= sizeof(addr_text))
		return -EINVAL;
	memcpy(addr_text, text, (size_t)(slash - text));
	addr_text[slash - text] = '\0';
	if (ip_addr_parse(addr_text, &p.addr) < 0 ||
	    parse_len(slash + 1, ip_addr_is_v4(&p.addr) ? 32 : 128, &p.len) < 0)
		return -EINVAL;
	bits = p.len + (ip_addr_is_v4(&p.addr) ? MAPPED_BITS : 0U);
	for (unsigned int i = bits; i < 128; i++) {
		if ((p.addr.b[i / 8] & 0x80U >> i % 8) != 0)
			return -EDOM;
	}
	*ret_prefix = p;
	return 0;
}

/* An address that a host on a link may have. */
static bool is_usable(const struct ip_addr *a)
{
	if (ip_addr_is_multicast(a))
		return false;
	if (ip_addr_is_v4(a)) {
		uint32_t v4 = ip_addr_to_v4(a);

		return v4 >> 24 != 0 && v4 >> 24 != 127 && v4 >> 28 != 15;
	}
	/* Not ::/8 (unspecified, loopback, translated), not link-local. */
	return a->b[0] != 0 && !(a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80);
}

static int derive_v4(const struct addressing *a, char *error, struct netif_config *c)
{
	char text[IP_ADDR_TEXT_MAX];
	uint32_t guest;

	if (!ip_addr_is_unset(&a->v4)) {
		guest = ip_addr_to_v4(&a->v4);
		ip_addr_format(&a->v4, text);
		if (!is_usable(&a->v4))
			return refuse(error,
			    "%sipv4 %s is no address for a machine; use a unicast address",
			    a->name_prefix, text);
		if (guest % 4 != 2) {
			return refuse(error,
			    "%sipv4 %s has no room for its gateway, the address before it, in one "
			    "/30; "
			    "use an address whose last number is 2 more than a multiple of 4",
			    a->name_prefix, text);
		}
	} else {
		uint64_t room = 1ULL << (ADDRESSING_V4_LEN - a->pool_v4.len);

		if (a->slot >= room) {
			return refuse(error,
			    "%sslot %u is outside of %sipv4-pool %s/%u (slots 0 to %llu); "
			    "use a larger pool or a smaller slot",
			    a->name_prefix, a->slot, a->name_prefix,
			    ip_addr_format(&a->pool_v4.addr, text), a->pool_v4.len,
			    (unsigned long long)room - 1);
		}
		guest = ip_addr_to_v4(&a->pool_v4.addr) + 4U * a->slot + 2;
	}
	c->has_v4 = true;
	c->guest_v4 = ip_addr_v4(guest);
	if (!is_usable(&c->guest_v4))
		return refuse(error,
		    "%sipv4-pool %s/%u has no addresses for machines; use a unicast pool",
		    a->name_prefix, ip_addr_format(&a->pool_v4.addr, text), a->pool_v4.len);
	c->gateway_v4 = ip_addr_v4(guest - 1);
	return 0;
}

static int derive_v6(const struct addressing *a, char *error, struct netif_config *c)
{
	char text[IP_ADDR_TEXT_MAX];
	struct ip_addr net;

	if (!ip_addr_is_unset(&a->v6)) {
		static const uint8_t gateway_id[8] = {[7] = 1};
		static const uint8_t anycast_id[8];
		const uint8_t *id = a->v6.b + 8;

		if (!is_usable(&a->v6) || memcmp(id, gateway_id, 8) == 0 ||
		    memcmp(id, anycast_id, 8) == 0) {
			return refuse(error,
			    "%sipv6 %s cannot be the guest's; use a global or unique local address "
			    "whose last 64 bits are not 0 and not 1 (the gateway)",
			    a->name_prefix, ip_addr_format(&a->v6, text));
		}
		net = a->v6;
		c->guest_v6 = a->v6;
	} else {
		unsigned int free_bits = ADDRESSING_V6_LEN - a->pool_v6.len;

		if (free_bits < 16 && a->slot >> free_bits != 0) {
			return refuse(error,
			    "%sslot %u is outside of %sipv6-pool %s/%u (slots 0 to %u); "
			    "use a larger pool or a smaller slot",
			    a->name_prefix, a->slot, a->name_prefix,
			    ip_addr_format(&a->pool_v6.addr, text), a->pool_v6.len,
			    (1U << free_bits) - 1);
		}
		net = a->pool_v6.addr;
		net.b[6] |= (uint8_t)(a->slot >> 8);
		net.b[7] |= (uint8_t)a->slot;
		c->guest_v6 = net;
		c->guest_v6.b[15] = 2;
	}
	if (!is_usable(&c->guest_v6))
		return refuse(error,
		    "%sipv6-pool %s/%u has no addresses for machines; use a unicast pool",
		    a->name_prefix, ip_addr_format(&a->pool_v6.addr, text), a->pool_v6.len);
	memset(net.b + 8, 0, 8);
	net.b[15] = 1;
	c->gateway_v6 = net;
	c->has_v6 = true;
	return 0;
}

/* fe80::/64 and the modified EUI-64 of the MAC (RFC 4291 2.5.1, A). */
static struct ip_addr link_local(const struct mac_addr *m)
{
	return (struct ip_addr){.b = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, (uint8_t)(m->b[0] ^ 2), m->b[1],
				    m->b[2], 0xff, 0xfe, m->b[3], m->b[4], m->b[5]}};
}

static struct mac_addr slot_mac(uint16_t slot, uint8_t host)
{
	return (struct mac_addr){{0x02, 0x6d, 0x73, (uint8_t)(slot >> 8), (uint8_t)slot, host}};
}

int addressing_derive(
    const struct addressing *a, char error[ADDRESSING_ERROR_MAX], struct netif_config *ret_config)
{
	static const struct mac_addr no_mac;
	struct netif_config c = {
	    .guest_mac = a->has_mac ? a->mac : slot_mac(a->slot, 2),
	    .gateway_mac = slot_mac(a->slot, 1),
	    .prefix_len_v4 = ADDRESSING_V4_LEN,
	    .prefix_len_v6 = ADDRESSING_V6_LEN,
	    .mtu = a->mtu,
	};

	if ((c.guest_mac.b[0] & 1) != 0 || mac_addr_eq(&c.guest_mac, &no_mac) ||
	    mac_addr_eq(&c.guest_mac, &c.gateway_mac)) {
		char text[MAC_TEXT_MAX];

		return refuse(error,
		    "%smac %s cannot be the guest's; use a unicast MAC that is not the gateway's",
		    a->name_prefix, mac_addr_format(&c.guest_mac, text));
	}
	c.gateway_ll = link_local(&c.gateway_mac);
	if ((!ip_addr_is_unset(&a->v4) || a->has_route_v4) && derive_v4(a, error, &c) < 0)
		return -EINVAL;
	if ((!ip_addr_is_unset(&a->v6) || a->has_route_v6) && derive_v6(a, error, &c) < 0)
		return -EINVAL;
	*ret_config = c;
	return 0;
}
