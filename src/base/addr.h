/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses. An IP address is 16 bytes in network order; an IPv4 address is kept in its IPv4-mapped
 * form ::ffff:a.b.c.d (RFC 4291 2.5.5.2), so that one type serves both families. An IPv6 packet
 * to an IPv4-mapped address is thus judged, and dialed, as what it means; the family of its header
 * is kept beside the address wherever an answer must go back the same way.
 */
#ifndef SLUICE_BASE_ADDR_H
#define SLUICE_BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	IP_ADDR_TEXT_MAX = 46,  /* longest text of an address, with its NUL */
	MAC_TEXT_MAX = 18,      /* "02:6d:73:01:02:02" with its NUL */
	ENDPOINT_TEXT_MAX = 54, /* "[address]:port" with its NUL */
};

struct ip_addr {
	uint8_t b[16]; /* network order */
};

struct mac_addr {
	uint8_t b[6];
};

struct endpoint {
	struct ip_addr addr;
	uint16_t port; /* host order */
};

extern const struct mac_addr mac_broadcast;

static inline struct ip_addr ip_addr_v4(uint32_t host_order)
{
	return (struct ip_addr){
	    .b = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, (uint8_t)(host_order >> 24),
		(uint8_t)(host_order >> 16), (uint8_t)(host_order >> 8), (uint8_t)host_order}};
}

/* The address whose four bytes, in network order, are at wire. */
static inline struct ip_addr ip_addr_v4_wire(const uint8_t wire[4])
{
	struct ip_addr a = {.b = {[10] = 0xff, [11] = 0xff}};

	memcpy(a.b + 12, wire, 4);
	return a;
}

static inline bool ip_addr_is_v4(const struct ip_addr *a)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(a->b, mapped, sizeof(mapped)) == 0;
}

/* The IPv4 address in host order; only for an address of which ip_addr_is_v4() is true. */
static inline uint32_t ip_addr_to_v4(const struct ip_addr *a)
{
	return (uint32_t)a->b[12] << 24 | (uint32_t)a->b[13] << 16 | (uint32_t)a->b[14] << 8 |
	       a->b[15];
}

static inline bool ip_addr_eq(const struct ip_addr *a, const struct ip_addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

static inline bool mac_addr_eq(const struct mac_addr *a, const struct mac_addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

/* ::, the value of "no address" where a field may be unset. Note that 0.0.0.0 is another value. */
static inline bool ip_addr_is_unset(const struct ip_addr *a)
{
	static const struct ip_addr zero;

	return ip_addr_eq(a, &zero);
}

/* True for 224.0.0.0/4 and ff00::/8. */
bool ip_addr_is_multicast(const struct ip_addr *a);

/* True if the first len bits (0..128, counted in the 16-byte form) are equal. */
bool ip_addr_in_prefix(const struct ip_addr *a, const struct ip_addr *prefix, unsigned int len);

/* Writes the canonical text (RFC 5952; dotted quad for IPv4) and returns out. */
char *ip_addr_format(const struct ip_addr *a, char out[IP_ADDR_TEXT_MAX]);

/* Reads exactly one address: a dotted quad of decimal numbers without leading zeros, or RFC 4291
 * text without zone and brackets. IPv4-mapped IPv6 text gives the IPv4 address. 0 or -EINVAL. */
__attribute__((warn_unused_result)) int ip_addr_parse(const char *text, struct ip_addr *ret_addr);

/* "a.b.c.d:port" or "[v6]:port"; returns out. */
char *endpoint_format(const struct endpoint *e, char out[ENDPOINT_TEXT_MAX]);

char *mac_addr_format(const struct mac_addr *m, char out[MAC_TEXT_MAX]);

/* Six two-digit hexadecimal numbers separated by colons. 0 or -EINVAL. */
__attribute__((warn_unused_result)) int mac_addr_parse(const char *text, struct mac_addr *ret_mac);

#endif
