/* SPDX-License-Identifier: Apache-2.0 */
/* Resolver configuration and hosts file of a command (threat D18). */
#include "app/guest_files.h"
#include "unit.h"

static struct netif_config netif(bool has_v4, bool has_v6)
{
	struct netif_config c = {.has_v4 = has_v4, .has_v6 = has_v6};

	assert_int_equal(ip_addr_parse("100.96.0.1", &c.gateway_v4), 0);
	assert_int_equal(ip_addr_parse("fd42:6d73:62::1", &c.gateway_v6), 0);
	return c;
}

#define COMMENT "# The network of this command is sluice: sluice(1).\n"

static void resolv_conf_names_the_gateway_per_family_and_no_search_list_d18(void **state)
{
	struct netif_config both = netif(true, true);
	struct netif_config v6 = netif(false, true);
	char buf[512];
	struct text t = text_init(buf, sizeof(buf));

	(void)state;
	guest_files_resolv_conf(&t, &both);
	assert_string_equal(buf, COMMENT "nameserver 100.96.0.1\nnameserver fd42:6d73:62::1\n"
					 "options edns0\n");
	t = text_init(buf, sizeof(buf));
	guest_files_resolv_conf(&t, &v6);
	assert_string_equal(buf, COMMENT "nameserver fd42:6d73:62::1\noptions edns0\n");
	t = text_init(buf, sizeof(buf));
	guest_files_resolv_conf(&t, NULL);
	assert_string_equal(buf, COMMENT);
}

static void hosts_names_localhost_the_machine_and_the_gateway(void **state)
{
	struct netif_config both = netif(true, true);
	char buf[1024];
	struct text t = text_init(buf, sizeof(buf));

	(void)state;
	guest_files_hosts(&t, &both, "machine.example");
	assert_string_equal(buf,
	    "127.0.0.1\tlocalhost\n"
	    "::1\tlocalhost ip6-localhost ip6-loopback\n"
	    "127.0.1.1\tmachine.example\n"
	    "100.96.0.1\thost.sluice.internal host.microsandbox.internal\n"
	    "fd42:6d73:62::1\thost.sluice.internal host.microsandbox.internal\n");
	assert_false(t.is_cut);
}

static void a_machine_name_that_is_none_is_left_out(void **state)
{
	static const char *const names[] = {"", "localhost", "a b", "a\n1.2.3.4 bank.example",
	    "a\tb", "(none)", "0123456789012345678901234567890123456789012345678901234567890123x"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char buf[1024];
		struct text t = text_init(buf, sizeof(buf));

		guest_files_hosts(&t, NULL, names[i]);
		assert_string_equal(buf, "127.0.0.1\tlocalhost\n"
					 "::1\tlocalhost ip6-localhost ip6-loopback\n");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(resolv_conf_names_the_gateway_per_family_and_no_search_list_d18),
	    cmocka_unit_test(hosts_names_localhost_the_machine_and_the_gateway),
	    cmocka_unit_test(a_machine_name_that_is_none_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
