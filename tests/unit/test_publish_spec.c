/* SPDX-License-Identifier: Apache-2.0 */
/* Specifications of published ports: what is read, and each wrong form refused in words. */
#include <errno.h>

#include "unit.h"

#include "engine/publish_spec.h"

static void reads(const char *text, const char *canonical)
{
	struct publish_spec s;
	char error[PUBLISH_ERROR_MAX] = "";
	char out[PUBLISH_TEXT_MAX];

	if (publish_spec_parse(text, &s, error))
		fail_msg("%s: %s", text, error);
	assert_string_equal(publish_spec_format(&s, out), canonical);
}

static void refuses(const char *text, const char *part)
{
	struct publish_spec s;
	char error[PUBLISH_ERROR_MAX] = "";

	assert_int_equal(publish_spec_parse(text, &s, error), -EINVAL);
	if (!strstr(error, part) || strchr(error, '\n'))
		fail_msg("%s: %s", text, error);
}

static void right_forms_are_read(void **state)
{
	(void)state;
	reads("8080:80", "127.0.0.1:8080:80/tcp");
	reads("8080:80/tcp", "127.0.0.1:8080:80/tcp");
	reads("0.0.0.0:5353:53/udp", "0.0.0.0:5353:53/udp");
	reads("[::1]:9000:9001", "[::1]:9000:9001/tcp");
	reads("[::]:9000:9000/udp", "[::]:9000:9000/udp");
	reads("8080:80/http", "127.0.0.1:8080:80/http");
	reads("[::1]:8080:80/http", "[::1]:8080:80/http");
	reads("0:80", "127.0.0.1:0:80/tcp");
	reads("65535:65535", "127.0.0.1:65535:65535/tcp");
	reads("192.0.2.1:1:2", "192.0.2.1:1:2/tcp");
}

static void wrong_forms_are_refused_in_words(void **state)
{
	static const struct {
		const char *text;
		const char *part;
	} cases[] = {
	    {"", "names one port only"},
	    {"80", "names one port only"},
	    {"80/udp", "names one port only"},
	    {"/udp", "names one port only"},
	    {":", "nothing for the guest's port"},
	    {":80", "nothing for the host's port"},
	    {"80:", "nothing for the guest's port"},
	    {"8080:0", "0 for the guest's port"},
	    {"8080:65536", "65536 for the guest's port"},
	    {"65536:80", "65536 for the host's port"},
	    {"8080:080", "080 for the guest's port"},
	    {"+80:80", "+80 for the host's port"},
	    {"-1:80", "-1 for the host's port"},
	    {" 80:80", " 80 for the host's port"},
	    {"80:80 ", "80  for the guest's port"},
	    {"80:http", "http for the guest's port"},
	    {"1e3:80", "1e3 for the host's port"},
	    {"99999999999999999999:80", "for the host's port"},
	    {"80:80/sctp", "/sctp for a protocol"},
	    {"80:80/", "/ for a protocol"},
	    {"80:80/udp/tcp", "/udp/tcp for a protocol"},
	    {"80:80/UDP", "/UDP for a protocol"},
	    {":80:80", "nothing where an address"},
	    {"localhost:80:80", "localhost where an address"},
	    {"::1:80:80", "without brackets"},
	    {"[::1:80:80", "where an address"},
	    {"[]:80:80", "nothing where an address"},
	    {"[127.0.0.1]:80:80", "IPv4 address in brackets"},
	    {"127.0.0.01:80:80", "where an address"},
	    {"127.0.0.1:80:80:80", "where an address"},
	    {"[fe80::1%eth0]:80:80", "where an address"},
	    {"0.0.0.0:80:80/http", "others can reach"},
	    {"[::]:80:80/http", "others can reach"},
	    {"224.0.0.1:80:80", "multicast"},
	    {"[ff02::1]:80:80", "multicast"},
	    {"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:80:80",
		"address of the host"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refuses(cases[i].text, cases[i].part);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(right_forms_are_read),
	    cmocka_unit_test(wrong_forms_are_refused_in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
