/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address classes by the IANA registries "IPv4 Special-Purpose Address Space" and "IPv6
 * Special-Purpose Address Space" (RFC 6890, RFC 8190) as of 2025, "IPv4 Multicast Address Space" and
 * "Internet Protocol Version 6 Address Space".
 *
 * ADDR_PUBLIC is the complement of everything special: what a registry does not call globally
 * reachable is not public, and IPv6 outside of 2000::/3 is not either. What is in no group of the
 * rule language (documentation, benchmarking, protocol assignments, deprecated and unallocated
 * space) is ADDR_RESERVED: only `any` and an explicit prefix match it.
 * Invariant: the table covers every address (test_policy_class: every_address_has_a_class).
 */
#include "policy/addr_class.h"

/* clang-format off */
#define V4(a, b, c, d) {{[10] = 0xff, [11] = 0xff, [12] = (a), [13] = (b), [14] = (c), [15] = (d)}}
#define V6(a, b, c, d, e, f, g, h)                                                                 \
	{{(a) >> 8, (a) & 0xff, (b) >> 8, (b) & 0xff, (c) >> 8, (c) & 0xff, (d) >> 8, (d) & 0xff, \
	       (e) >> 8, (e) & 0xff, (f) >> 8, (f) & 0xff, (g) >> 8, (g) & 0xff, (h) >> 8, (h) & 0xff}}
#define V4_LEN(len) (96 + (len))

const struct addr_class_prefix addr_class_table[] = {
	{V4(0, 0, 0, 0), V4_LEN(0), ADDR_PUBLIC},
	{V4(0, 0, 0, 0), V4_LEN(8), ADDR_UNSPECIFIED},       /* "this network", RFC 791 */
	{V4(10, 0, 0, 0), V4_LEN(8), ADDR_PRIVATE},          /* RFC 1918 */
	{V4(100, 64, 0, 0), V4_LEN(10), ADDR_PRIVATE},       /* shared address space, RFC 6598 */
	{V4(127, 0, 0, 0), V4_LEN(8), ADDR_LOOPBACK},        /* RFC 1122 */
	{V4(169, 254, 0, 0), V4_LEN(16), ADDR_LINK_LOCAL},   /* RFC 3927 */
	{V4(172, 16, 0, 0), V4_LEN(12), ADDR_PRIVATE},       /* RFC 1918 */
	{V4(192, 0, 0, 0), V4_LEN(24), ADDR_RESERVED},       /* protocol assignments, RFC 6890 */
	{V4(192, 0, 0, 9), V4_LEN(32), ADDR_PUBLIC},         /* port control anycast, RFC 7723 */
	{V4(192, 0, 0, 10), V4_LEN(32), ADDR_PUBLIC},        /* TURN anycast, RFC 8155 */
	{V4(192, 0, 2, 0), V4_LEN(24), ADDR_RESERVED},       /* documentation, RFC 5737 */
	{V4(192, 88, 99, 0), V4_LEN(24), ADDR_RESERVED},     /* 6to4 relay anycast, RFC 7526 */
	{V4(192, 168, 0, 0), V4_LEN(16), ADDR_PRIVATE},      /* RFC 1918 */
	{V4(198, 18, 0, 0), V4_LEN(15), ADDR_RESERVED},      /* benchmarking, RFC 2544 */
	{V4(198, 51, 100, 0), V4_LEN(24), ADDR_RESERVED},    /* documentation, RFC 5737 */
	{V4(203, 0, 113, 0), V4_LEN(24), ADDR_RESERVED},     /* documentation, RFC 5737 */
	{V4(224, 0, 0, 0), V4_LEN(4), ADDR_MULTICAST},       /* RFC 1112 */
	{V4(240, 0, 0, 0), V4_LEN(4), ADDR_RESERVED},        /* RFC 1112; with the broadcast address */

	{V6(0, 0, 0, 0, 0, 0, 0, 0), 0, ADDR_RESERVED},      /* not allocated, RFC 4291 */
	{V6(0, 0, 0, 0, 0, 0, 0, 0), 128, ADDR_UNSPECIFIED}, /* RFC 4291 */
	{V6(0, 0, 0, 0, 0, 0, 0, 1), 128, ADDR_LOOPBACK},    /* RFC 4291 */
	{V6(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, ADDR_PUBLIC}, /* NAT64, RFC 6052 */
	{V6(0x2000, 0, 0, 0, 0, 0, 0, 0), 3, ADDR_PUBLIC},   /* global unicast, RFC 4291 */
	{V6(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, ADDR_RESERVED}, /* assignments, RFC 2928; Teredo */
	{V6(0x2001, 1, 0, 0, 0, 0, 0, 1), 128, ADDR_PUBLIC}, /* port control anycast, RFC 7723 */
	{V6(0x2001, 1, 0, 0, 0, 0, 0, 2), 128, ADDR_PUBLIC}, /* TURN anycast, RFC 8155 */
	{V6(0x2001, 1, 0, 0, 0, 0, 0, 3), 128, ADDR_PUBLIC}, /* service registration, RFC 9665 */
	{V6(0x2001, 3, 0, 0, 0, 0, 0, 0), 32, ADDR_PUBLIC},  /* AMT, RFC 7450 */
	{V6(0x2001, 4, 0x112, 0, 0, 0, 0, 0), 48, ADDR_PUBLIC}, /* AS112, RFC 7535 */
	{V6(0x2001, 0x20, 0, 0, 0, 0, 0, 0), 28, ADDR_PUBLIC}, /* ORCHIDv2, RFC 7343 */
	{V6(0x2001, 0x30, 0, 0, 0, 0, 0, 0), 28, ADDR_PUBLIC}, /* drone identities, RFC 9374 */
	{V6(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, ADDR_RESERVED}, /* documentation, RFC 3849 */
	{V6(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, ADDR_RESERVED}, /* 6to4, RFC 3056, RFC 7526 */
	{V6(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, ADDR_RESERVED}, /* documentation, RFC 9637 */
	{V6(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, ADDR_PRIVATE},  /* unique local, RFC 4193 */
	{V6(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, ADDR_LINK_LOCAL}, /* RFC 4291 */
	{V6(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, ADDR_MULTICAST}, /* RFC 4291 */
	/* Outside of 2000::/3 and so reserved without a line of their own: IPv4-compatible and
	 * IPv4-translated addresses, 64:ff9b:1::/48, 100::/64, 100:0:0:1::/64, 5f00::/16, fec0::/10. */

	/* Services that give instances their identity and credentials. */
	{V4(169, 254, 169, 254), V4_LEN(32), ADDR_METADATA}, /* EC2, GCE, Azure, OpenStack, OCI, ... */
	{V4(169, 254, 170, 2), V4_LEN(32), ADDR_METADATA},   /* Amazon ECS task credentials */
	{V4(169, 254, 170, 23), V4_LEN(32), ADDR_METADATA},  /* Amazon EKS Pod Identity */
	{V4(100, 100, 100, 200), V4_LEN(32), ADDR_METADATA}, /* Alibaba Cloud ECS */
	{V4(168, 63, 129, 16), V4_LEN(32), ADDR_METADATA},   /* Azure WireServer */
	{V4(192, 0, 0, 192), V4_LEN(32), ADDR_METADATA},     /* Oracle Cloud Classic */
	{V6(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128, ADDR_METADATA}, /* EC2 */
	{V6(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23), 128, ADDR_METADATA},  /* Amazon EKS Pod Identity */
	{V6(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128, ADDR_METADATA},  /* GCE */
	{V6(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), 128, ADDR_METADATA}, /* OCI */
};
/* clang-format on */

const size_t addr_class_table_len = sizeof(addr_class_table) / sizeof(addr_class_table[0]);

const char *addr_class_name(enum addr_class class)
{
	static const char *const names[ADDR_CLASS_COUNT] = {
	    [ADDR_PUBLIC] = "public",
	    [ADDR_HOST] = "host",
	    [ADDR_METADATA] = "metadata",
	    [ADDR_LOOPBACK] = "loopback",
	    [ADDR_PRIVATE] = "private",
	    [ADDR_LINK_LOCAL] = "link_local",
	    [ADDR_MULTICAST] = "multicast",
	    [ADDR_UNSPECIFIED] = "unspecified",
	    [ADDR_RESERVED] = "reserved",
	};

	return (unsigned int)class < ADDR_CLASS_COUNT ? names[class] : "unknown";
}

enum addr_class addr_class_own(const struct ip_addr *a)
{
	enum addr_class class = ADDR_RESERVED;
	bool is_v4 = ip_addr_is_v4(a);
	int longest = -1;

	for (size_t i = 0; i < addr_class_table_len; i++) {
		const struct addr_class_prefix *p = &addr_class_table[i];

		if (ip_addr_is_v4(&p->prefix) == is_v4 && p->len > longest &&
		    ip_addr_in_prefix(a, &p->prefix, p->len)) {
			class = p->class;
			longest = p->len;
		}
	}
	return class;
}

/* Larger: more special. What is never right on a wire stands above what may be. */
static int rank(enum addr_class class)
{
	static const uint8_t ranks[ADDR_CLASS_COUNT] = {
	    [ADDR_PUBLIC] = 0,
	    [ADDR_RESERVED] = 1,
	    [ADDR_LINK_LOCAL] = 2,
	    [ADDR_PRIVATE] = 3,
	    [ADDR_METADATA] = 4,
	    [ADDR_HOST] = 5,
	    [ADDR_MULTICAST] = 6,
	    [ADDR_LOOPBACK] = 7,
	    [ADDR_UNSPECIFIED] = 8,
	};

	return ranks[class];
}

enum addr_class addr_class_of(const struct ip_addr *a)
{
	struct ip_addr embedded[ADDR_EMBEDDED_MAX];
	size_t count = addr_embedded(a, embedded);
	enum addr_class class = addr_class_own(a);

	for (size_t i = 0; i < count; i++) {
		enum addr_class inner = addr_class_own(&embedded[i]);

		if (rank(inner) > rank(class))
			class = inner;
	}
	return class;
}

/* Sixteen bits of the address, from the left. */
static unsigned int hextet(const struct ip_addr *a, size_t i)
{
	return (unsigned int)a->b[2 * i] << 8 | a->b[2 * i + 1];
}

static bool hextets_are_zero(const struct ip_addr *a, size_t from, size_t to)
{
	unsigned int any = 0;

	for (size_t i = from; i < to; i++)
		any |= hextet(a, i);
	return any == 0;
}

/* The forms whose last 32 bits are an IPv4 address whatever that is. */
static bool is_translated(const struct ip_addr *a)
{
	/* IPv4-translated, RFC 2765 2.1 */
	if (hextets_are_zero(a, 0, 4) && hextet(a, 4) == 0xffff && hextet(a, 5) == 0)
		return true;
	/* NAT64, RFC 6052 2.1 */
	return hextet(a, 0) == 0x64 && hextet(a, 1) == 0xff9b && hextets_are_zero(a, 2, 6);
}

size_t addr_embedded(const struct ip_addr *a, struct ip_addr ret_embedded[ADDR_EMBEDDED_MAX])
{
	struct ip_addr low = ip_addr_v4_wire(a->b + 12);
	size_t n = 0;

	if (ip_addr_is_v4(a))
		return 0;
	if (is_translated(a)) {
		ret_embedded[n++] = low;
	} else if (hextets_are_zero(a, 0, 6)) {
		/* IPv4-compatible, RFC 4291 2.5.5.1; :: and ::1 are what they are. */
		if (ip_addr_to_v4(&low) > 1)
			ret_embedded[n++] = low;
	} else if (hextet(a, 0) == 0x2002) {
		ret_embedded[n++] = ip_addr_v4_wire(a->b + 2); /* 6to4, RFC 3056 2 */
	} else if (hextet(a, 0) == 0x2001 && hextet(a, 1) == 0) {
		/* Teredo, RFC 4380 4: the server, and the client's address with all bits inverted. */
		struct ip_addr client = low;

		for (int i = 0; i < 4; i++)
			client.b[12 + i] ^= 0xff;
		ret_embedded[n++] = ip_addr_v4_wire(a->b + 4);
		ret_embedded[n++] = client;
	}
	/* ISATAP, RFC 5214 6.1: an interface identifier, whatever the prefix is. */
	if ((hextet(a, 4) & ~0x0200U) == 0 && hextet(a, 5) == 0x5efe)
		ret_embedded[n++] = low;
	return n;
}

bool addr_embeds_unknown(const struct ip_addr *a)
{
	return hextet(a, 0) == 0x64 && hextet(a, 1) == 0xff9b && hextet(a, 2) == 1;
}

struct ip_addr addr_nat64_embedded(const struct ip_addr *a, unsigned int len)
{
	unsigned int from = len / 8;
	uint8_t wire[4];

	for (int i = 0; i < 4; i++) {
		if (from == 8)
			from++; /* bits 64 to 71 are zero */
		wire[i] = a->b[from++];
	}
	return ip_addr_v4_wire(wire);
}

bool addr_is_limited_broadcast(const struct ip_addr *a)
{
	return ip_addr_is_v4(a) && ip_addr_to_v4(a) == 0xffffffffU;
}
