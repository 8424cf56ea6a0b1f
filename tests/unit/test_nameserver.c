/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of resolvers (threats N11, N20). */
#include <errno.h>

#include "base/text.h"
#include "names/nameserver.h"
#include "unit.h"

enum {
	CAP = 3,
};

/* Joins what was read, as "address:port address:port". */
static void read_resolv_conf(const char *text, char *out, size_t cap, uint32_t *ret_skipped)
{
	char *copy = (char *)exact_copy(text, strlen(text) + 1);
	struct endpoint found[CAP];
	uint32_t count = nameserver_list(copy, found, CAP, ret_skipped);
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
		int result = nameserver_parse(copy, &e);

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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nameserver_lines_are_read),
	    cmocka_unit_test(nameserver_options_are_read_exactly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
