/* SPDX-License-Identifier: Apache-2.0 */
/* Names in canonical form. */
#include "hex.h"

#include <string.h>

#include "base/name.h"

static enum name_fault read_bytes(const char *bytes, size_t len, struct name *n, size_t *at)
{
	char *copy = (char *)exact_copy(bytes, len);
	enum name_fault fault = name_read(copy, len, n, at);

	free(copy);
	return fault;
}

static enum name_fault fault_of(const char *text)
{
	struct name n;

	return read_bytes(text, strlen(text), &n, NULL);
}

static struct name name(const char *text)
{
	struct name n;

	assert_int_equal(read_bytes(text, strlen(text), &n, NULL), NAME_OK);
	return n;
}

static void case_and_one_trailing_dot_do_not_count_N2_N3_C17(void **state)
{
	struct name n = name("Api.GitHub.COM.");

	(void)state;
	assert_string_equal(n.text, "api.github.com");
	assert_int_equal(n.len, 14);
	assert_int_equal(n.labels, 3);
	assert_int_equal(fault_of("a.com.."), NAME_EMPTY);
	assert_int_equal(fault_of(".a.com"), NAME_EMPTY);
	assert_int_equal(fault_of("a..com"), NAME_EMPTY);
	assert_int_equal(fault_of("."), NAME_EMPTY);
	assert_int_equal(fault_of(""), NAME_EMPTY);
}

static void bytes_that_names_do_not_have_are_refused_N1_N4_N5_N6_N20(void **state)
{
	static const char *const bad[] = {"user@a.com", "a.com#", "a.com?", "a%23.com", "a\\b.com",
	    "a.com:80", "[a.com]", "a.com/x", "a b.com", "caf\xc3\xa9.com", "a\343\200\202com",
	    "\xe2\x84\xaa.com", "*.a.com", "fe80::1%eth0", "a,b.com"};
	struct name n;
	size_t at;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(fault_of(bad[i]), NAME_FOREIGN);
	assert_int_equal(read_bytes("evil\0.a.com", 11, &n, &at), NAME_FOREIGN);
	assert_int_equal(at, 4);
}

static void lengths_are_those_of_the_wire(void **state)
{
	char text[256];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[63] = '\0';
	assert_int_equal(fault_of(text), NAME_OK);
	text[63] = 'a';
	text[64] = '\0';
	assert_int_equal(fault_of(text), NAME_LONG);
	text[64] = 'a';
	for (size_t i = 1; i < 254; i += 2)
		text[i] = '.';
	text[253] = '\0';
	assert_int_equal(name(text).labels, NAME_LABELS_MAX);
	text[253] = '.';
	text[254] = '\0';
	assert_int_equal(fault_of(text), NAME_OK);
	text[254] = 'a';
	text[255] = '\0';
	assert_int_equal(fault_of(text), NAME_LONG);
}

static void names_that_read_as_addresses_are_refused_N12(void **state)
{
	(void)state;
	assert_int_equal(fault_of("2130706433"), NAME_NUMBER);
	assert_int_equal(fault_of("0x7f.1"), NAME_NUMBER);
	assert_int_equal(fault_of("127.1"), NAME_NUMBER);
	assert_int_equal(fault_of("a.0X7F"), NAME_NUMBER);
	assert_int_equal(fault_of("a.0x"), NAME_NUMBER);
	assert_int_equal(fault_of("10.0.0.1."), NAME_NUMBER);
	assert_int_equal(fault_of("1.a"), NAME_OK);
	assert_int_equal(fault_of("a.b1"), NAME_OK);
}

static void what_is_under_a_name_ends_at_labels_N7_C5(void **state)
{
	struct name apex = name("x.y");
	struct name same = name("x.y");
	struct name under = name("a.x.y");
	struct name evil = name("evilx.y");
	struct name shorter = name("y");

	(void)state;
	assert_true(name_is_under(&same, &apex));
	assert_true(name_is_under(&under, &apex));
	assert_false(name_is_under(&evil, &apex));
	assert_false(name_is_under(&shorter, &apex));
	assert_true(name_eq(&same, &apex));
	assert_false(name_eq(&under, &apex));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(case_and_one_trailing_dot_do_not_count_N2_N3_C17),
	    cmocka_unit_test(bytes_that_names_do_not_have_are_refused_N1_N4_N5_N6_N20),
	    cmocka_unit_test(lengths_are_those_of_the_wire),
	    cmocka_unit_test(names_that_read_as_addresses_are_refused_N12),
	    cmocka_unit_test(what_is_under_a_name_ends_at_labels_N7_C5),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
