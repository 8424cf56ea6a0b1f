/* SPDX-License-Identifier: Apache-2.0 */
/* Address classes and embedded addresses: threats.md N13 to N18 and N24. */
#include "unit.h"

#include "policy/addr_class.h"

struct class_case {
	const char *addr;
	enum addr_class own; /* of the address as it stands */
	enum addr_class of;  /* with what it embeds */
};

static struct ip_addr addr_of(const char *text)
{
	struct ip_addr a;

	assert_int_equal(ip_addr_parse(text, &a), 0);
	return a;
}

static void check_cases(const struct class_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct ip_addr a = addr_of(cases[i].addr);

		if (addr_class_own(&a) != cases[i].own || addr_class_of(&a) != cases[i].of)
			fail_msg("%s is %s and %s", cases[i].addr,
			    addr_class_name(addr_class_own(&a)),
			    addr_class_name(addr_class_of(&a)));
	}
}

#define CHECK(cases) check_cases(cases, sizeof(cases) / sizeof((cases)[0]))

/* N18: first and last address of each special block, and its neighbours. */
static const struct {
	const char *addr;
	enum addr_class class;
} ipv4_cases[] = {
    {"0.0.0.0", ADDR_UNSPECIFIED},
    {"0.255.255.255", ADDR_UNSPECIFIED},
    {"1.0.0.0", ADDR_PUBLIC},
    {"9.255.255.255", ADDR_PUBLIC},
    {"10.0.0.0", ADDR_PRIVATE},
    {"10.255.255.255", ADDR_PRIVATE},
    {"11.0.0.0", ADDR_PUBLIC},
    {"100.63.255.255", ADDR_PUBLIC},
    {"100.64.0.0", ADDR_PRIVATE},
    {"100.100.100.199", ADDR_PRIVATE},
    {"100.100.100.200", ADDR_METADATA},
    {"100.100.100.201", ADDR_PRIVATE},
    {"100.127.255.255", ADDR_PRIVATE},
    {"100.128.0.0", ADDR_PUBLIC},
    {"126.255.255.255", ADDR_PUBLIC},
    {"127.0.0.0", ADDR_LOOPBACK},
    {"127.255.255.255", ADDR_LOOPBACK},
    {"128.0.0.0", ADDR_PUBLIC},
    {"168.63.129.15", ADDR_PUBLIC},
    {"168.63.129.16", ADDR_METADATA},
    {"168.63.129.17", ADDR_PUBLIC},
    {"169.253.255.255", ADDR_PUBLIC},
    {"169.254.0.0", ADDR_LINK_LOCAL},
    {"169.254.169.253", ADDR_LINK_LOCAL},
    {"169.254.169.254", ADDR_METADATA},
    {"169.254.169.255", ADDR_LINK_LOCAL},
    {"169.254.170.2", ADDR_METADATA},
    {"169.254.170.23", ADDR_METADATA},
    {"169.254.255.255", ADDR_LINK_LOCAL},
    {"169.255.0.0", ADDR_PUBLIC},
    {"172.15.255.255", ADDR_PUBLIC},
    {"172.16.0.0", ADDR_PRIVATE},
    {"172.31.255.255", ADDR_PRIVATE},
    {"172.32.0.0", ADDR_PUBLIC},
    {"191.255.255.255", ADDR_PUBLIC},
    {"192.0.0.0", ADDR_RESERVED},
    {"192.0.0.8", ADDR_RESERVED},
    {"192.0.0.9", ADDR_PUBLIC},
    {"192.0.0.10", ADDR_PUBLIC},
    {"192.0.0.11", ADDR_RESERVED},
    {"192.0.0.170", ADDR_RESERVED},
    {"192.0.0.192", ADDR_METADATA},
    {"192.0.0.255", ADDR_RESERVED},
    {"192.0.1.255", ADDR_PUBLIC},
    {"192.0.2.0", ADDR_RESERVED},
    {"192.0.2.255", ADDR_RESERVED},
    {"192.0.3.0", ADDR_PUBLIC},
    {"192.31.196.1", ADDR_PUBLIC},
    {"192.52.193.1", ADDR_PUBLIC},
    {"192.88.98.255", ADDR_PUBLIC},
    {"192.88.99.1", ADDR_RESERVED},
    {"192.88.100.0", ADDR_PUBLIC},
    {"192.167.255.255", ADDR_PUBLIC},
    {"192.168.0.0", ADDR_PRIVATE},
    {"192.168.255.255", ADDR_PRIVATE},
    {"192.169.0.0", ADDR_PUBLIC},
    {"192.175.48.1", ADDR_PUBLIC},
    {"198.17.255.255", ADDR_PUBLIC},
    {"198.18.0.0", ADDR_RESERVED},
    {"198.19.255.255", ADDR_RESERVED},
    {"198.20.0.0", ADDR_PUBLIC},
    {"198.51.99.255", ADDR_PUBLIC},
    {"198.51.100.0", ADDR_RESERVED},
    {"198.51.101.0", ADDR_PUBLIC},
    {"203.0.112.255", ADDR_PUBLIC},
    {"203.0.113.255", ADDR_RESERVED},
    {"203.0.114.0", ADDR_PUBLIC},
    {"223.255.255.255", ADDR_PUBLIC},
    {"224.0.0.0", ADDR_MULTICAST},
    {"239.255.255.255", ADDR_MULTICAST},
    {"240.0.0.0", ADDR_RESERVED},
    {"255.255.255.254", ADDR_RESERVED},
    {"255.255.255.255", ADDR_RESERVED},
};

static void ipv4_classes_follow_the_registry(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(ipv4_cases) / sizeof(ipv4_cases[0]); i++) {
		struct class_case both = {
		    ipv4_cases[i].addr, ipv4_cases[i].class, ipv4_cases[i].class};

		check_cases(&both, 1);
	}
}

static void ipv6_classes_follow_the_registry(void **state)
{
	static const struct class_case cases[] = {
	    {"::", ADDR_UNSPECIFIED, ADDR_UNSPECIFIED}, /* N13 */
	    {"::1", ADDR_LOOPBACK, ADDR_LOOPBACK},      /* and not 0.0.0.1 */
	    {"64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff", ADDR_RESERVED, ADDR_RESERVED},
	    {"64:ff9b:0:0:0:1::", ADDR_RESERVED, ADDR_RESERVED},
	    {"64:ff9b:1::", ADDR_RESERVED, ADDR_RESERVED},
	    {"64:ff9b:1:ffff:ffff:ffff:ffff:ffff", ADDR_RESERVED, ADDR_RESERVED},
	    {"100::1", ADDR_RESERVED, ADDR_RESERVED},
	    {"100:0:0:1::1", ADDR_RESERVED, ADDR_RESERVED},
	    {"1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ADDR_RESERVED, ADDR_RESERVED},
	    {"2000::", ADDR_PUBLIC, ADDR_PUBLIC},
	    {"2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ADDR_PUBLIC, ADDR_PUBLIC},
	    {"2001:1::", ADDR_RESERVED, ADDR_RESERVED},
	    {"2001:1::1", ADDR_PUBLIC, ADDR_PUBLIC},
	    {"2001:1::2", ADDR_PUBLIC, ADDR_PUBLIC},
	    {"2001:1::3", ADDR_PUBLIC, ADDR_PUBLIC},
	    {"2001:1::4", ADDR_RESERVED, ADDR_RESERVED},
	    {"2001:2::1", ADDR_RESERVED, ADDR_RESERVED},
	    {"2001:3::1", ADDR_PUBLIC, ADDR_PUBLIC},
	    {"2001:4::1", ADDR_RESERVED, ADDR_RESERVED},
	    {"2001:4:112::1", ADDR_PUBLIC, ADDR_PUBLIC},
	    {"2001:4:113::1", ADDR_RESERVED, ADDR_RESERVED},
	    {"2001:10::1", ADDR_RESERVED, ADDR_RESERVED},
	    {"2001:20::1", ADDR_PUBLIC, ADDR_PUBLIC},
	    {"2001:2f:ffff::1", ADDR_PUBLIC, ADDR_PUBLIC},
	    {"2001:30::1", ADDR_PUBLIC, ADDR_PUBLIC},
	    {"2001:40::1", ADDR_RESERVED, ADDR_RESERVED},
	    {"2001:1ff:ffff::1", ADDR_RESERVED, ADDR_RESERVED},
	    {"2001:200::1", ADDR_PUBLIC, ADDR_PUBLIC},
	    {"2001:db7:ffff::1", ADDR_PUBLIC, ADDR_PUBLIC},
	    {"2001:db8::1", ADDR_RESERVED, ADDR_RESERVED},
	    {"2001:db9::1", ADDR_PUBLIC, ADDR_PUBLIC},
	    {"2606:4700::1111", ADDR_PUBLIC, ADDR_PUBLIC},
	    {"2620:4f:8000::1", ADDR_PUBLIC, ADDR_PUBLIC},
	    {"3ffe:ffff::1", ADDR_PUBLIC, ADDR_PUBLIC},
	    {"3fff::1", ADDR_RESERVED, ADDR_RESERVED},
	    {"3fff:fff:ffff::1", ADDR_RESERVED, ADDR_RESERVED},
	    {"3fff:1000::1", ADDR_PUBLIC, ADDR_PUBLIC},
	    {"4000::", ADDR_RESERVED, ADDR_RESERVED},
	    {"5f00::1", ADDR_RESERVED, ADDR_RESERVED},
	    {"fbff::1", ADDR_RESERVED, ADDR_RESERVED},
	    {"fc00::1", ADDR_PRIVATE, ADDR_PRIVATE},
	    {"fdff:ffff::1", ADDR_PRIVATE, ADDR_PRIVATE},
	    {"fd00:ec2::253", ADDR_PRIVATE, ADDR_PRIVATE},
	    {"fd00:ec2::254", ADDR_METADATA, ADDR_METADATA}, /* N17 */
	    {"fd00:ec2::23", ADDR_METADATA, ADDR_METADATA},
	    {"fd20:ce::254", ADDR_METADATA, ADDR_METADATA},
	    {"fd00:c1::a9fe:a9fe", ADDR_METADATA, ADDR_METADATA},
	    {"fe00::1", ADDR_RESERVED, ADDR_RESERVED},
	    {"fe80::1", ADDR_LINK_LOCAL, ADDR_LINK_LOCAL},
	    {"febf:ffff::1", ADDR_LINK_LOCAL, ADDR_LINK_LOCAL},
	    {"fec0::1", ADDR_RESERVED, ADDR_RESERVED},
	    {"ff02::1", ADDR_MULTICAST, ADDR_MULTICAST},
	};

	(void)state;
	CHECK(cases);
}

/* N14, N15, N24: an address is at least as special as those that it embeds. */
static void embedding_never_makes_an_address_public(void **state)
{
	static const struct class_case cases[] = {
	    /* IPv4-mapped is IPv4 */
	    {"::ffff:10.0.0.1", ADDR_PRIVATE, ADDR_PRIVATE},
	    {"::ffff:8.8.8.8", ADDR_PUBLIC, ADDR_PUBLIC},
	    /* IPv4-compatible */
	    {"::8.8.8.8", ADDR_RESERVED, ADDR_RESERVED},
	    {"::127.0.0.1", ADDR_RESERVED, ADDR_LOOPBACK},
	    {"::0.0.0.2", ADDR_RESERVED, ADDR_UNSPECIFIED},
	    {"::169.254.169.254", ADDR_RESERVED, ADDR_METADATA},
	    /* IPv4-translated */
	    {"::ffff:0:8.8.8.8", ADDR_RESERVED, ADDR_RESERVED},
	    {"::ffff:0:10.0.0.1", ADDR_RESERVED, ADDR_PRIVATE},
	    /* NAT64 */
	    {"64:ff9b::8.8.8.8", ADDR_PUBLIC, ADDR_PUBLIC},
	    {"64:ff9b::10.0.0.1", ADDR_PUBLIC, ADDR_PRIVATE},
	    {"64:ff9b::127.0.0.1", ADDR_PUBLIC, ADDR_LOOPBACK},
	    {"64:ff9b::169.254.169.254", ADDR_PUBLIC, ADDR_METADATA},
	    {"64:ff9b::198.18.0.1", ADDR_PUBLIC, ADDR_RESERVED},
	    {"64:ff9b::", ADDR_PUBLIC, ADDR_UNSPECIFIED},
	    {"64:ff9b::224.0.0.1", ADDR_PUBLIC, ADDR_MULTICAST},
	    /* 6to4 */
	    {"2002:808:808::1", ADDR_RESERVED, ADDR_RESERVED},
	    {"2002:7f00:1::1", ADDR_RESERVED, ADDR_LOOPBACK},
	    {"2002:a9fe:a9fe::1", ADDR_RESERVED, ADDR_METADATA},
	    /* Teredo: server, then client with its bits inverted */
	    {"2001:0:808:808:0:0:f7f7:f7f7", ADDR_RESERVED, ADDR_RESERVED},
	    {"2001:0:7f00:1:0:0:f7f7:f7f7", ADDR_RESERVED, ADDR_LOOPBACK},
	    {"2001:0:808:808:0:0:80ff:fffe", ADDR_RESERVED, ADDR_LOOPBACK},
	    {"2001:0:808:808:0:0:f5ff:fffe", ADDR_RESERVED, ADDR_PRIVATE},
	    /* ISATAP under any prefix */
	    {"2606:4700::5efe:10.0.0.1", ADDR_PUBLIC, ADDR_PRIVATE},
	    {"2606:4700::200:5efe:10.0.0.1", ADDR_PUBLIC, ADDR_PRIVATE},
	    {"2606:4700::200:5efe:8.8.8.8", ADDR_PUBLIC, ADDR_PUBLIC},
	    {"2606:4700::100:5efe:10.0.0.1", ADDR_PUBLIC, ADDR_PUBLIC},
	    {"2606:4700::5eff:10.0.0.1", ADDR_PUBLIC, ADDR_PUBLIC},
	    {"fe80::5efe:127.0.0.1", ADDR_LINK_LOCAL, ADDR_LOOPBACK},
	    {"2002:808:808::5efe:127.0.0.1", ADDR_RESERVED, ADDR_LOOPBACK},
	};

	(void)state;
	CHECK(cases);
}

static void every_address_that_can_be_meant_is_found(void **state)
{
	static const struct {
		const char *addr;
		size_t count;
		const char *embedded[ADDR_EMBEDDED_MAX];
	} cases[] = {
	    {"1.2.3.4", 0, {NULL}},
	    {"::", 0, {NULL}},
	    {"::1", 0, {NULL}},
	    {"::2", 1, {"0.0.0.2"}},
	    {"::1.2.3.4", 1, {"1.2.3.4"}},
	    {"::1:102:304", 0, {NULL}},
	    {"::ffff:0:102:304", 1, {"1.2.3.4"}},
	    {"::fffe:0:102:304", 0, {NULL}},
	    {"64:ff9b::1.2.3.4", 1, {"1.2.3.4"}},
	    {"64:ff9b::1:102:304", 0, {NULL}},
	    {"64:ff9b:1::1.2.3.4", 0, {NULL}},
	    {"2002:102:304:5:6:7:8:9", 1, {"1.2.3.4"}},
	    {"2003:102:304::", 0, {NULL}},
	    {"2001:0:102:304::", 2, {"1.2.3.4", "255.255.255.255"}},
	    {"2001:0:102:304::fafa:fbf8", 2, {"1.2.3.4", "5.5.4.7"}},
	    {"2001:1:102:304::", 0, {NULL}},
	    {"2002:102:304::200:5efe:506:708", 2, {"1.2.3.4", "5.6.7.8"}},
	    {"2001:0:102:304:0:5efe:fafa:fbf8", 3, {"1.2.3.4", "5.5.4.7", "250.250.251.248"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ip_addr a = addr_of(cases[i].addr);
		struct ip_addr embedded[ADDR_EMBEDDED_MAX];
		char text[IP_ADDR_TEXT_MAX];

		if (addr_embedded(&a, embedded) != cases[i].count)
			fail_msg("%s embeds %zu", cases[i].addr, addr_embedded(&a, embedded));
		for (size_t k = 0; k < cases[i].count; k++)
			assert_string_equal(
			    ip_addr_format(&embedded[k], text), cases[i].embedded[k]);
	}
}

/* The examples of RFC 6052 2.4, for 192.0.2.33 under 2001:db8::/32 and longer. */
static void nat64_prefixes_of_every_length_are_read(void **state)
{
	static const struct {
		const char *addr;
		unsigned int len;
	} cases[] = {
	    {"2001:db8:c000:221::", 32},
	    {"2001:db8:1c0:2:21::", 40},
	    {"2001:db8:122:c000:2:2100::", 48},
	    {"2001:db8:122:3c0:0:221::", 56},
	    {"2001:db8:122:344:c0:2:2100::", 64},
	    {"2001:db8:122:344::192.0.2.33", 96},
	};
	char text[IP_ADDR_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ip_addr a = addr_of(cases[i].addr);
		struct ip_addr v4 = addr_nat64_embedded(&a, cases[i].len);

		assert_string_equal(ip_addr_format(&v4, text), "192.0.2.33");
	}
}

static void only_the_local_translation_prefix_embeds_the_unknown(void **state)
{
	static const char *const in[] = {"64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"};
	static const char *const out[] = {
	    "64:ff9b::1", "64:ff9b:2::", "64:ff9c:1::", "65:ff9b:1::", "0.0.0.1"};
	struct ip_addr a;

	(void)state;
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++) {
		a = addr_of(in[i]);
		assert_true(addr_embeds_unknown(&a));
	}
	for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++) {
		a = addr_of(out[i]);
		assert_false(addr_embeds_unknown(&a));
	}
}

static void every_class_has_a_name(void **state)
{
	(void)state;
	for (int i = 0; i < ADDR_CLASS_COUNT; i++)
		for (int k = 0; k < i; k++)
			assert_string_not_equal(addr_class_name((enum addr_class)i),
			    addr_class_name((enum addr_class)k));
	assert_string_equal(addr_class_name(ADDR_LINK_LOCAL), "link_local");
	assert_string_equal(addr_class_name(ADDR_CLASS_COUNT), "unknown");
}

/* The table has a line for all of IPv4 and one for all of IPv6, and no line twice. */
static void every_address_has_a_class(void **state)
{
	int whole = 0;

	(void)state;
	for (size_t i = 0; i < addr_class_table_len; i++) {
		const struct addr_class_prefix *p = &addr_class_table[i];

		whole += p->len == 0 || (p->len == 96 && ip_addr_is_v4(&p->prefix) &&
					    ip_addr_to_v4(&p->prefix) == 0);
		assert_int_not_equal(p->class, ADDR_HOST);
		for (size_t k = 0; k < i; k++)
			assert_false(p->len == addr_class_table[k].len &&
				     ip_addr_eq(&p->prefix, &addr_class_table[k].prefix));
	}
	assert_int_equal(whole, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ipv4_classes_follow_the_registry),
	    cmocka_unit_test(ipv6_classes_follow_the_registry),
	    cmocka_unit_test(embedding_never_makes_an_address_public),
	    cmocka_unit_test(every_address_that_can_be_meant_is_found),
	    cmocka_unit_test(nat64_prefixes_of_every_length_are_read),
	    cmocka_unit_test(only_the_local_translation_prefix_embeds_the_unknown),
	    cmocka_unit_test(every_class_has_a_name),
	    cmocka_unit_test(every_address_has_a_class),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
