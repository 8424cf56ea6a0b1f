/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of a guest's link: rows A1 to A6 of the behaviours. */
#include <errno.h>

#include "engine/addressing.h"
#include "unit.h"

static void assert_addr(const struct ip_addr *a, const char *text)
{
	char got[IP_ADDR_TEXT_MAX];

	assert_string_equal(ip_addr_format(a, got), text);
}

static void assert_mac(const struct mac_addr *m, const char *text)
{
	char got[MAC_TEXT_MAX];

	assert_string_equal(mac_addr_format(m, got), text);
}

static struct ip_prefix prefix(const char *text)
{
	struct ip_prefix p;

	assert_int_equal(ip_prefix_parse(text, &p), 0);
	return p;
}

static struct addressing online(void)
{
	struct addressing a = addressing_default();

	a.has_route_v4 = true;
	a.has_route_v6 = true;
	return a;
}

static struct netif_config derive(const struct addressing *a)
{
	struct netif_config c;
	char error[ADDRESSING_ERROR_MAX] = "";
	int result = addressing_derive(a, error, &c);

	if (result < 0)
		print_error("%s\n", error);
	assert_int_equal(result, 0);
	return c;
}

/* What is wrong must be said in a sentence with this in it. */
static void assert_refused(const struct addressing *a, const char *part)
{
	struct netif_config c;
	char error[ADDRESSING_ERROR_MAX] = "";

	assert_int_equal(addressing_derive(a, error, &c), -EINVAL);
	if (strstr(error, part) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", error, part);
}

static void a1_slots_own_four_ipv4_addresses_each(void **state)
{
	struct addressing a = online();
	struct netif_config c = derive(&a);

	(void)state;
	assert_addr(&c.guest_v4, "100.96.0.2");
	assert_addr(&c.gateway_v4, "100.96.0.1");
	assert_int_equal(c.prefix_len_v4, 30);
	a.slot = 1;
	c = derive(&a);
	assert_addr(&c.guest_v4, "100.96.0.6");
	assert_addr(&c.gateway_v4, "100.96.0.5");
	a.pool_v4 = prefix("172.16.0.0/12");
	c = derive(&a);
	assert_addr(&c.guest_v4, "172.16.0.6");
	assert_addr(&c.gateway_v4, "172.16.0.5");
	a.slot = 65535;
	c = derive(&a);
	assert_addr(&c.guest_v4, "172.19.255.254");
}

static void a2_the_ipv4_pool_can_be_chosen(void **state)
{
	struct addressing a = online();
	struct netif_config c;

	(void)state;
	a.pool_v4 = prefix("10.200.0.0/16");
	a.slot = 3;
	c = derive(&a);
	assert_addr(&c.guest_v4, "10.200.0.14");
	assert_addr(&c.gateway_v4, "10.200.0.13");
}

static void a3_slots_own_an_ipv6_64_each(void **state)
{
	struct addressing a = online();
	struct netif_config c;

	(void)state;
	a.slot = 0x12;
	c = derive(&a);
	assert_addr(&c.guest_v6, "fd42:6d73:62:12::2");
	assert_addr(&c.gateway_v6, "fd42:6d73:62:12::1");
	assert_int_equal(c.prefix_len_v6, 64);
	a.slot = 0xabcd;
	a.pool_v6 = prefix("fd00:1:2::/48");
	c = derive(&a);
	assert_addr(&c.guest_v6, "fd00:1:2:abcd::2");
}

static void a4_macs_come_from_the_slot(void **state)
{
	struct addressing a = online();
	struct netif_config c;

	(void)state;
	a.slot = 258;
	c = derive(&a);
	assert_mac(&c.guest_mac, "02:6d:73:01:02:02");
	assert_mac(&c.gateway_mac, "02:6d:73:01:02:01");
	assert_addr(&c.gateway_ll, "fe80::6d:73ff:fe01:201");
	a.has_mac = true;
	assert_int_equal(mac_addr_parse("52:54:00:12:34:56", &a.mac), 0);
	c = derive(&a);
	assert_mac(&c.guest_mac, "52:54:00:12:34:56");
	assert_mac(&c.gateway_mac, "02:6d:73:01:02:01");
}

static void a5_a_family_without_a_route_is_not_in_use(void **state)
{
	struct addressing a = addressing_default();
	struct netif_config c;

	(void)state;
	a.has_route_v4 = true;
	c = derive(&a);
	assert_true(c.has_v4);
	assert_false(c.has_v6);
	a.has_route_v4 = false;
	c = derive(&a);
	assert_false(c.has_v4);
	assert_false(c.has_v6);
	assert_int_equal(c.mtu, 1500);
}

static void a6_a_given_address_makes_its_family_active(void **state)
{
	struct addressing a = addressing_default();
	struct netif_config c;

	(void)state;
	assert_int_equal(ip_addr_parse("2001:470:1:2::99", &a.v6), 0);
	c = derive(&a);
	assert_false(c.has_v4);
	assert_true(c.has_v6);
	assert_addr(&c.guest_v6, "2001:470:1:2::99");
	assert_addr(&c.gateway_v6, "2001:470:1:2::1");
	assert_int_equal(ip_addr_parse("10.0.0.6", &a.v4), 0);
	c = derive(&a);
	assert_addr(&c.guest_v4, "10.0.0.6");
	assert_addr(&c.gateway_v4, "10.0.0.5");
}

static void slots_outside_of_a_pool_are_refused(void **state)
{
	struct addressing a = online();
	struct netif_config c;

	(void)state;
	a.pool_v4 = prefix("10.0.0.0/30");
	a.slot = 1;
	assert_refused(&a, "slots 0 to 0");
	a.slot = 0;
	c = derive(&a);
	assert_addr(&c.guest_v4, "10.0.0.2");
	a.pool_v6 = prefix("fd00::/60");
	a.slot = 0;
	a.pool_v4 = prefix("10.0.0.0/8");
	c = derive(&a);
	assert_addr(&c.guest_v6, "fd00::2");
	a.slot = 16;
	assert_refused(&a, "slots 0 to 15");
	a.pool_v6 = prefix("fd00::/64");
	a.slot = 1;
	assert_refused(&a, "ipv6-pool fd00::/64");
	/* Large pools hold any slot. */
	a.pool_v4 = prefix("64.0.0.0/2");
	a.pool_v6 = prefix("2000::/3");
	a.slot = 65535;
	c = derive(&a);
	assert_addr(&c.guest_v4, "64.3.255.254");
	assert_addr(&c.guest_v6, "2000:0:0:ffff::2");
}

static void pools_without_unicast_addresses_are_refused(void **state)
{
	static const char *const v4[] = {"0.0.0.0/0", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/8"};
	static const char *const v6[] = {"::/0", "fe80::/16", "ff00::/8"};
	struct addressing a = online();

	(void)state;
	for (size_t i = 0; i < sizeof(v4) / sizeof(v4[0]); i++) {
		a.pool_v4 = prefix(v4[i]);
		assert_refused(&a, v4[i]);
	}
	a = online();
	for (size_t i = 0; i < sizeof(v6) / sizeof(v6[0]); i++) {
		a.pool_v6 = prefix(v6[i]);
		assert_refused(&a, v6[i]);
	}
}

static void addresses_no_machine_can_have_are_refused(void **state)
{
	static const char *const v4[] = {"127.0.0.2", "0.0.0.2", "224.0.0.2", "255.255.255.254",
	    "10.0.0.1", "10.0.0.3", "10.0.0.4"};
	static const char *const v6[] = {
	    "fe80::2", "ff02::2", "::2", "2001:db8::", "2001:db8::1", "64::ffff"};
	struct addressing a = addressing_default();

	(void)state;
	for (size_t i = 0; i < sizeof(v4) / sizeof(v4[0]); i++) {
		assert_int_equal(ip_addr_parse(v4[i], &a.v4), 0);
		assert_refused(&a, v4[i]);
	}
	a = addressing_default();
	for (size_t i = 0; i < sizeof(v6) / sizeof(v6[0]); i++) {
		assert_int_equal(ip_addr_parse(v6[i], &a.v6), 0);
		assert_refused(&a, v6[i]);
	}
	a = addressing_default();
	a.has_mac = true;
	assert_refused(&a, "00:00:00:00:00:00");
	assert_int_equal(mac_addr_parse("01:00:5e:00:00:01", &a.mac), 0);
	assert_refused(&a, "unicast");
	assert_int_equal(mac_addr_parse("02:6d:73:00:00:01", &a.mac), 0);
	assert_refused(&a, "gateway");
}

static void prefixes_are_read_exactly(void **state)
{
	static const char *const bad[] = {"", "/", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33",
	    "10.0.0.0/08", "10.0.0.0/+8", "10.0.0.0/8 ", "10.0.0.0/8/8", "10.0.0/8", "fd00::/129",
	    "fd00::/1280", "[fd00::]/64", "fe80::1%eth0/64",
	    "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111/64"};
	struct ip_prefix p;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *copy = (char *)exact_copy(bad[i], strlen(bad[i]) + 1);

		if (ip_prefix_parse(copy, &p) != -EINVAL)
			fail_msg("\"%s\" is not refused", bad[i]);
		free(copy);
	}
	assert_int_equal(ip_prefix_parse("10.0.0.1/8", &p), -EDOM);
	assert_int_equal(ip_prefix_parse("fd00::1/64", &p), -EDOM);
	assert_int_equal(ip_prefix_parse("0.0.0.0/0", &p), 0);
	assert_int_equal(ip_prefix_parse("255.255.255.255/32", &p), 0);
	assert_int_equal(p.len, 32);
	assert_int_equal(ip_prefix_parse("::1/128", &p), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a1_slots_own_four_ipv4_addresses_each),
	    cmocka_unit_test(a2_the_ipv4_pool_can_be_chosen),
	    cmocka_unit_test(a3_slots_own_an_ipv6_64_each),
	    cmocka_unit_test(a4_macs_come_from_the_slot),
	    cmocka_unit_test(a5_a_family_without_a_route_is_not_in_use),
	    cmocka_unit_test(a6_a_given_address_makes_its_family_active),
	    cmocka_unit_test(slots_outside_of_a_pool_are_refused),
	    cmocka_unit_test(pools_without_unicast_addresses_are_refused),
	    cmocka_unit_test(addresses_no_machine_can_have_are_refused),
	    cmocka_unit_test(prefixes_are_read_exactly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
