/* SPDX-License-Identifier: Apache-2.0 */
/* Resolver configuration in and out, and the hosts file (threats D18, N11, N20). */
#include <errno.h>

#include "app/guest_files.h"
#include "unit.h"

enum {
	CAP = 3,
};

/* Joins what was read, as "address:port address:port". */
static void read_resolv_conf(const char *text, char *out, size_t cap, uint32_t *ret_skipped)
{
	char *copy = (char *)exact_copy(text, strlen(text) + 1);
	struct endpoint found[CAP];
	uint32_t count = guest_files_nameservers(copy, found, CAP, ret_skipped);
	struct text t = text_init(out, cap);

	for (uint32_t i = 0; i < count; i++) {
		char one[ENDPOINT_TEXT_MAX];

		text_str(&t, i > 0 ? " " : "");
		text_str(&t, endpoint_format(&found[i], one));
	}
	free(copy);
}

static void nameserver_lines_are_read(void **state)
{
	static const struct {
		const char *text;
		const char *found;
		uint32_t skipped;
	} cases[] = {
	    {"", "", 0},
	    {"nameserver 192.0.2.53\n", "192.0.2.53:53", 0},
	    {"nameserver 192.0.2.53", "192.0.2.53:53", 0},
	    {"nameserver\t192.0.2.53 \t\nnameserver  2001:db8::53\r\n",
		"192.0.2.53:53 [2001:db8::53]:53", 0},
	    {"# nameserver 192.0.2.1\n;nameserver 192.0.2.1\n nameserver 192.0.2.1\n"
	     "search nameserver\nnameservers 192.0.2.1\nnameserver192.0.2.1\nnameserver\n",
		"", 0},
	    {"nameserver fe80::1%eth0\nnameserver 192.0.2.53\n", "192.0.2.53:53", 1},
	    {"nameserver 192.0.2\nnameserver x\nnameserver \n", "", 3},
	    {"nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n"
	     "nameserver 192.0.2.4\n",
		"192.0.2.1:53 192.0.2.2:53 192.0.2.3:53", 1},
	    {"nameserver "
	     "0000000000000000000000000000000000000000000000000000000000000000000001\n",
		"", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char found[256];
		uint32_t skipped;

		read_resolv_conf(cases[i].text, found, sizeof(found), &skipped);
		assert_string_equal(found, cases[i].found);
		assert_int_equal(skipped, cases[i].skipped);
	}
}

static void nameserver_options_are_read_exactly(void **state)
{
	static const struct {
		const char *text;
		const char *found; /* NULL: refused */
	} cases[] = {
	    {"192.0.2.53", "192.0.2.53:53"},
	    {"192.0.2.53:5353", "192.0.2.53:5353"},
	    {"2001:db8::53", "[2001:db8::53]:53"},
	    {"[2001:db8::53]", "[2001:db8::53]:53"},
	    {"[2001:db8::53]:65535", "[2001:db8::53]:65535"},
	    {"192.0.2.53:1", "192.0.2.53:1"},
	    {"", NULL},
	    {":", NULL},
	    {":53", NULL},
	    {"192.0.2.53:", NULL},
	    {"192.0.2.53:0", NULL},
	    {"192.0.2.53:053", NULL},
	    {"192.0.2.53:65536", NULL},
	    {"192.0.2.53:+53", NULL},
	    {"192.0.2.53: 53", NULL},
	    {"192.0.2.53:53 ", NULL},
	    {"192.0.2.53:53:53", NULL},
	    {"[192.0.2.53]", NULL},
	    {"[192.0.2.53]:53", NULL},
	    {"[2001:db8::53", NULL},
	    {"[2001:db8::53]53", NULL},
	    {"[2001:db8::53]:", NULL},
	    {"[]", NULL},
	    {"fe80::1%eth0", NULL},
	    {"dns.example", NULL},
	    {"dns.example:53", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *copy = (char *)exact_copy(cases[i].text, strlen(cases[i].text) + 1);
		char text[ENDPOINT_TEXT_MAX];
		struct endpoint e;
		int result = guest_files_parse_nameserver(copy, &e);

		free(copy);
		if (cases[i].found == NULL) {
			if (result != -EINVAL)
				fail_msg("\"%s\" is not refused", cases[i].text);
			continue;
		}
		if (result != 0)
			fail_msg("\"%s\" is refused", cases[i].text);
		assert_string_equal(endpoint_format(&e, text), cases[i].found);
	}
}

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
	    cmocka_unit_test(nameserver_lines_are_read),
	    cmocka_unit_test(nameserver_options_are_read_exactly),
	    cmocka_unit_test(resolv_conf_names_the_gateway_per_family_and_no_search_list_d18),
	    cmocka_unit_test(hosts_names_localhost_the_machine_and_the_gateway),
	    cmocka_unit_test(a_machine_name_that_is_none_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
