/* SPDX-License-Identifier: Apache-2.0 */
/* Settings by name (threat N11 for numbers). */
#include <errno.h>

#include "engine/settings.h"
#include "unit.h"

static int set(struct settings *s, const char *name, const char *value, char *error)
{
	char *n = (char *)exact_copy(name, strlen(name) + 1);
	char *v = (char *)exact_copy(value, strlen(value) + 1);
	int result = settings_set(s, n, v, error);

	free(n);
	free(v);
	return result;
}

static void every_setting_is_kept_in_its_unit(void **state)
{
	static const char *const values[][2] = {{"slot", "65535"}, {"ipv4-pool", "10.0.0.0/8"},
	    {"ipv6-pool", "fd00::/32"}, {"ipv4", "10.1.2.6"}, {"ipv6", "fd00::2"},
	    {"mac", "02:00:00:00:00:07"}, {"mtu", "65520"}, {"max-connections", "1000000"},
	    {"tcp-keepalive", "0"}, {"tcp-idle", "31536000"}, {"max-udp-flows", "1"},
	    {"udp-idle", "1"}, {"net-egress-bandwidth", "10M/1s"},
	    {"net-egress-bandwidth-burst", "5K"}, {"net-egress-ops", "1000/100ms"},
	    {"net-egress-ops-burst", "0"}, {"net-ingress-bandwidth", "1G/86400s"},
	    {"net-ingress-bandwidth-burst", "1"}, {"net-ingress-ops", "1/1ms"},
	    {"net-ingress-ops-burst", "7"}, {"dns-nameserver", "192.0.2.53"},
	    {"dns-query-timeout-ms", "60000"}, {"dns-domain", "Corp.Example=192.0.2.53"},
	    {"dns-grace", "60"}, {"dns-cache-size", "64"}, {"dns-rebind-protection", "off"}};
	struct settings s = settings_default("");
	char error[SETTINGS_ERROR_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		assert_string_equal(settings_name(i), values[i][0]);
		assert_int_equal(set(&s, values[i][0], values[i][1], error), 0);
	}
	assert_null(settings_name(sizeof(values) / sizeof(values[0])));
	assert_int_equal(s.addressing.slot, 65535);
	assert_int_equal(s.addressing.pool_v4.len, 8);
	assert_int_equal(s.addressing.pool_v6.len, 32);
	assert_int_equal(ip_addr_to_v4(&s.addressing.v4), 0x0a010206);
	assert_int_equal(s.addressing.v6.b[15], 2);
	assert_true(s.addressing.has_mac);
	assert_int_equal(s.addressing.mac.b[5], 7);
	assert_int_equal(s.addressing.mtu, 65520);
	assert_int_equal(s.engine.tcp_limit, 1000000);
	assert_int_equal(s.engine.tcp_keepalive_ns, 0);
	assert_int_equal(s.engine.tcp_idle_ns, 31536000000000000);
	assert_int_equal(s.engine.udp_limit, 1);
	assert_int_equal(s.engine.udp_idle_ns, 1000000000);
	assert_int_equal(s.engine.shape.bytes[SHAPE_EGRESS].size, 10000000);
	assert_int_equal(s.engine.shape.bytes[SHAPE_EGRESS].refill_ns, 1000000000);
	assert_int_equal(s.engine.shape.bytes[SHAPE_EGRESS].burst, 5000);
	assert_int_equal(s.engine.shape.frames[SHAPE_EGRESS].size, 1000);
	assert_int_equal(s.engine.shape.frames[SHAPE_EGRESS].refill_ns, 100000000);
	assert_int_equal(s.engine.shape.bytes[SHAPE_INGRESS].size, 1000000000);
	assert_int_equal(s.engine.shape.frames[SHAPE_INGRESS].burst, 7);
	assert_int_equal(settings_check(&s, error), 0);
	assert_int_equal(s.engine.resolver_count, 1);
	assert_int_equal(s.engine.resolvers[0].port, 53);
	assert_int_equal(s.engine.dns_timeout_ns, 60000000000);
	assert_int_equal(s.engine.dns_route_count, 1);
	assert_string_equal(s.engine.dns_routes[0].suffix.text, "corp.example");
	assert_int_equal(s.engine.dns_routes[0].server_count, 1);
	assert_int_equal(s.engine.dns_grace_ns, 60000000000);
	assert_int_equal(s.engine.dns_cache_bytes, 65536);
	assert_false(s.engine.dns_rebind_protection);
}

static void what_is_wrong_is_said_in_a_sentence_and_changes_nothing(void **state)
{
	static const struct {
		const char *name;
		const char *value;
		const char *error;
	} cases[] = {
	    {"slot", "65536", "--slot 65536 is not possible; use a number from 0 to 65535"},
	    {"mtu", "1279", "--mtu 1279 is not possible; use a number from 1280 to 65520"},
	    {"mtu", "", "--mtu  is not possible; use a number from 1280 to 65520"},
	    {"mtu", "+1500", "--mtu +1500 is not possible; use a number from 1280 to 65520"},
	    {"mtu", " 1500", "--mtu  1500 is not possible; use a number from 1280 to 65520"},
	    {"mtu", "1500 ", "--mtu 1500  is not possible; use a number from 1280 to 65520"},
	    {"mtu", "0x600", "--mtu 0x600 is not possible; use a number from 1280 to 65520"},
	    {"mtu", "18446744073709553116",
		"--mtu 18446744073709553116 is not possible; use a number from 1280 to 65520"},
	    {"max-connections", "0",
		"--max-connections 0 is not possible; use a number from 1 to 1000000"},
	    {"udp-idle", "0", "--udp-idle 0 is not possible; use a number from 1 to 31536000"},
	    {"ipv4", "fd00::2", "--ipv4 fd00::2 is not an IPv4 address; use one like 100.96.0.2"},
	    {"ipv6", "10.0.0.2",
		"--ipv6 10.0.0.2 is not an IPv6 address; use one like fd42:6d73:62::2"},
	    {"ipv4-pool", "10.0.0.1/8",
		"--ipv4-pool 10.0.0.1/8 has bits set behind its prefix; use the first address of "
		"the pool"},
	    {"ipv4-pool", "10.0.0.0/31",
		"--ipv4-pool 10.0.0.0/31 is not possible; use an IPv4 prefix of at most 30 bits, "
		"like 100.96.0.0/11"},
	    {"ipv6-pool", "10.0.0.0/8",
		"--ipv6-pool 10.0.0.0/8 is not possible; use an IPv6 prefix of at most 64 bits, "
		"like fd42:6d73:62::/48"},
	    {"mac", "02-00-00-00-00-07",
		"--mac 02-00-00-00-00-07 is not a MAC address; use one like 02:00:00:00:00:02"},
	    {"net-egress-bandwidth", "0/1s",
		"--net-egress-bandwidth 0/1s is not possible; use SIZE/TIME like 10M/1s or "
		"500/100ms, neither of them 0, up to 1099511627776 and a day"},
	    {"net-ingress-ops-burst", "1T",
		"--net-ingress-ops-burst 1T is not possible; use a number up to 1099511627776, "
		"like 500 or 10M"},
	    {"dns-domain", "corp.example",
		"--dns-domain corp.example is not possible; use a domain and the address of its "
		"server, like corp.example=192.0.2.53"},
	    {"dns-domain", "corp..example=192.0.2.53",
		"--dns-domain corp..example=192.0.2.53 is not possible; use a domain and the "
		"address of its server, like corp.example=192.0.2.53"},
	    {"dns-rebind-protection", "yes",
		"--dns-rebind-protection yes is not possible; use on or off"},
	    {"dns-cache-size", "1048577",
		"--dns-cache-size 1048577 is not possible; use a number from 0 to 1048576"},
	    {"dns-nameserver", "dns.example",
		"--dns-nameserver dns.example is not possible; use an address, with a port if need "
		"be: 192.0.2.53:5353 or [2001:db8::53]:5353"},
	};
	struct settings s = settings_default("--");
	struct settings before = s;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char error[SETTINGS_ERROR_MAX] = "";

		assert_int_equal(set(&s, cases[i].name, cases[i].value, error), -EINVAL);
		assert_string_equal(error, cases[i].error);
		assert_int_equal(s.addressing.mtu, before.addressing.mtu);
		assert_int_equal(s.engine.tcp_limit, before.engine.tcp_limit);
		assert_int_equal(s.engine.resolver_count, 0);
		assert_false(s.addressing.has_mac);
	}
}

static void limits_without_sense_are_refused_R4(void **state)
{
	static const char *const bad[] = {"", "10M", "10M/", "/1s", "10M/0s", "10M/0ms", "0/0s",
	    "10M/500us", "10M/1", "10M/1.5s", "1.5M/1s", "-1/1s", "10M/1s ", "10M /1s", "10m/1s",
	    "10KB/1s", "1100G/1s", "10M/86401s", "999999999999999999999/1s", "10M/1s/1s"};
	struct settings s = settings_default("--");
	char error[SETTINGS_ERROR_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(set(&s, "net-egress-bandwidth", bad[i], error), -EINVAL);
	assert_int_equal(settings_check(&s, error), 0);
	assert_false(shape_is_wanted(&s.engine.shape));
	assert_int_equal(set(&s, "net-ingress-ops-burst", "5", error), 0);
	assert_int_equal(settings_check(&s, error), -EINVAL);
	assert_string_equal(
	    error, "--net-ingress-ops-burst limits nothing by itself; give --net-ingress-ops too");
	assert_int_equal(set(&s, "net-ingress-ops", "5/1s", error), 0);
	assert_int_equal(settings_check(&s, error), 0);
}

static void a_long_value_is_cut_in_the_sentence(void **state)
{
	struct settings s = settings_default("");
	char error[SETTINGS_ERROR_MAX];
	char value[4096];

	(void)state;
	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	assert_int_equal(set(&s, "mac", value, error), -EINVAL);
	assert_non_null(strstr(error, "is not a MAC address; use one like 02:00:00:00:00:02"));
}

static void unknown_names_are_told_apart(void **state)
{
	struct settings s = settings_default("");
	char error[SETTINGS_ERROR_MAX];

	(void)state;
	assert_int_equal(set(&s, "MTU", "1500", error), -ENOENT);
	assert_int_equal(set(&s, "", "1500", error), -ENOENT);
}

static void the_ninth_resolver_is_one_too_many(void **state)
{
	struct settings s = settings_default("");
	char error[SETTINGS_ERROR_MAX];

	(void)state;
	for (int i = 0; i < ENGINE_RESOLVERS_MAX; i++)
		assert_int_equal(set(&s, "dns-nameserver", "192.0.2.53", error), 0);
	assert_int_equal(set(&s, "dns-nameserver", "192.0.2.53", error), -EINVAL);
	assert_string_equal(
	    error, "dns-nameserver 192.0.2.53 is one too many; at most 8 can be used");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_setting_is_kept_in_its_unit),
	    cmocka_unit_test(what_is_wrong_is_said_in_a_sentence_and_changes_nothing),
	    cmocka_unit_test(limits_without_sense_are_refused_R4),
	    cmocka_unit_test(a_long_value_is_cut_in_the_sentence),
	    cmocka_unit_test(unknown_names_are_told_apart),
	    cmocka_unit_test(the_ninth_resolver_is_one_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
