/* SPDX-License-Identifier: Apache-2.0 */
/* The head of the first HTTP/1 request, as strict as a reader must be whose answer decides (threats.md H4, H8, H11, H20 to
 * H22, N6, N11). */
#include <stdio.h>

#include "unit.h"

#include "wire/http1_head.h"

/* In pieces of that many bytes, then the head. */
static enum hello_result read_in(const char *text, size_t len, size_t piece, struct http1_head *h)
{
	struct http1_lines l = {0};
	enum hello_result result = HELLO_MORE;
	size_t at = 0;
	uint8_t *copy;

	while (at < len && result == HELLO_MORE) {
		size_t take = len - at < piece ? len - at : piece;
		size_t used;

		copy = exact_copy(text + at, take);
		result = http1_lines_feed(&l, copy, take, &used);
		free(copy);
		at += used;
	}
	if (result != HELLO_NAME)
		return result;
	copy = exact_copy(text, at);
	result = http1_head_read(copy, at, h);
	free(copy);
	return result;
}

static enum hello_result read_text(const char *text, struct http1_head *h)
{
	struct http1_head other = {0};
	enum hello_result result = read_in(text, strlen(text), strlen(text) + 1, h);

	assert_int_equal(read_in(text, strlen(text), 1, &other), result);
	return result;
}

struct name_case {
	const char *text;
	const char *name;
	uint16_t port;
	bool is_connect;
};

static void host_is_read_in_all_forms_of_the_target(void **state)
{
	static const struct name_case cases[] = {
	    {"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example", 0, false},
	    {"GET /?q=HTTP/1.1 HTTP/1.0\r\nAccept: */*\r\nhOST:\t A.Example.:8080 \r\n\r\nmore",
		"a.example", 8080, false},
	    {"OPTIONS * HTTP/1.1\r\nHost: a.example:\r\n\r\n", "a.example", 0, false},
	    {"GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example", 0, false},
	    {"GET http://a.example:81?x HTTP/1.0\r\n\r\n", "a.example", 81, false},
	    {"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", "a.example", 443,
		true},
	    {"CONNECT a.example:443 HTTP/1.0\r\n\r\n", "a.example", 443, true},
	    {"x-own POST HTTP/1.1\r\nHost: a.example\r\n\r\n", NULL, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct http1_head h;
		enum hello_result got = read_text(cases[i].text, &h);

		assert_int_equal(got, cases[i].name ? HELLO_NAME : HELLO_BAD);
		if (!cases[i].name)
			continue;
		assert_string_equal(h.name.text, cases[i].name);
		assert_int_equal(h.port, cases[i].port);
		assert_int_equal(h.is_connect, cases[i].is_connect);
	}
}

static void address_and_missing_host_of_1_0_name_nothing_H21(void **state)
{
	static const char *const cases[] = {
	    "GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n",
	    "GET / HTTP/1.0\r\n\r\n",
	    "CONNECT 192.0.2.1:443 HTTP/1.1\r\nHost: 192.0.2.1:443\r\n\r\n",
	};
	struct http1_head h;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(read_text(cases[i], &h), HELLO_NO_NAME);
}

static void what_two_readers_could_read_in_two_ways_is_refused_H4_H8_H22(void **state)
{
	static const char *const cases[] = {
	    "GET / HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a.example\r\nhost: b.example\r\n\r\n",
	    "GET / HTTP/1.1\r\nAccept: x\r\n\r\n",
	    "GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n",
	    "GET http://a.example:81/ HTTP/1.1\r\nHost: a.example:82\r\n\r\n",
	    "CONNECT a.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n",
	    "CONNECT a.example HTTP/1.1\r\nHost: a.example\r\n\r\n",
	    "CONNECT a.example:65537 HTTP/1.1\r\nHost: a.example\r\n\r\n",
	    "CONNECT a.example:0443 HTTP/1.1\r\nHost: a.example\r\n\r\n",
	    "CONNECT a.example:+443 HTTP/1.1\r\nHost: a.example\r\n\r\n",
	    "GET / HTTP/1.1\nHost: a.example\n\n",
	    "GET / HTTP/1.1\r\nHost: a.example\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a.example\r\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a.example\r\n b.example\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost : a.example\r\n\r\n",
	    "GET / HTTP/1.1\r\n Host: a.example\r\n\r\n",
	    "GET / HTTP/1.1\r\n\tHost: a.example\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost\r\n\r\n",
	    "GET / HTTP/1.1\r\n: a.example\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a.example\x01\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: user@a.example\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost:\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a..example\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a.example%00\r\n\r\n",
	    "GET http://user@a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
	    "GET http:/a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
	    "GET a.example HTTP/1.1\r\nHost: a.example\r\n\r\n",
	    "GET /\xc3\xa4 HTTP/1.1\r\nHost: a.example\r\n\r\n",
	    "GET /a b HTTP/1.1\r\nHost: a.example\r\n\r\n",
	    "GET  / HTTP/1.1\r\nHost: a.example\r\n\r\n",
	    "GET / HTTP/1.1 \r\nHost: a.example\r\n\r\n",
	    "GET / http/1.1\r\nHost: a.example\r\n\r\n",
	    "GET / HTTP/1.2\r\nHost: a.example\r\n\r\n",
	    "GET / HTTP/2.0\r\nHost: a.example\r\n\r\n",
	    "GET / HTTP/1.1x\r\nHost: a.example\r\n\r\n",
	    "GET\t/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
	    "GET /\tHTTP/1.1\r\nHost: a.example\r\n\r\n",
	    "GET /\vHTTP/1.1\r\nHost: a.example\r\n\r\n",
	    "GET /\rHTTP/1.1\r\nHost: a.example\r\n\r\n",
	    " GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
	    "\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
	    "\n\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
	    "\rGET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
	    "GE\rT / HTTP/1.1\r\nHost: a.example\r\n\r\n",
	};
	struct http1_head h;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (read_text(cases[i], &h) != HELLO_BAD)
			fail_msg("case %zu: %s", i, cases[i]);
}

static void other_lines_are_told_when_they_end(void **state)
{
	static const char *const cases[] = {
	    "SSH-2.0-OpenSSH_9.2p1\r\n",
	    "EHLO mail.example\r\n",
	    "USER anonymous\r\n",
	    "GET /\r\n",
	    "PRI * HTTP/2.0\r\n",
	    "*1\r\n",
	    "\r\n\r\nhelo x\r\n",
	};
	static const char *const at_once[] = {"(", "\x13", "\xff", "GET(", "AMQP\x01"};
	struct http1_head h;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = strlen(cases[i]);

		assert_int_equal(read_in(cases[i], len - 1, 1, &h), HELLO_MORE);
		assert_int_equal(read_text(cases[i], &h), HELLO_NOT_TLS);
	}
	for (size_t i = 0; i < sizeof(at_once) / sizeof(at_once[0]); i++)
		assert_int_equal(read_text(at_once[i], &h), HELLO_NOT_TLS);
	assert_int_equal(read_in("a\0", 2, 1, &h), HELLO_NOT_TLS);
	assert_int_equal(read_in("a b\0\r\n", 6, 1, &h), HELLO_NOT_TLS);
}

/* Servers take a method of any length, and some a NUL. */
static void line_that_a_server_may_take_for_a_request_is_one_H22(void **state)
{
	static const char nul[] = "GET /\0 HTTP/1.1\r\nHost: a.example\r\n\r\n";
	char text[400];
	struct http1_head h;

	(void)state;
	for (int len = 1; len < 350; len += 7) {
		(void)snprintf(
		    text, sizeof(text), "%0*d / HTTP/1.1\r\nHost: a.example\r\n\r\n", len, 0);
		assert_int_equal(read_text(text, &h), HELLO_NAME);
		assert_string_equal(h.name.text, "a.example");
	}
	assert_int_equal(read_in(nul, sizeof(nul) - 1, 1, &h), HELLO_BAD);
}

/* What never has a blank is none. */
static void word_without_end_is_no_request(void **state)
{
	char *text = malloc(HTTP1_HEAD_MAX + 1);
	struct http1_head h;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', HTTP1_HEAD_MAX + 1);
	assert_int_equal(read_in(text, HTTP1_HEAD_MAX, 1000, &h), HELLO_MORE);
	assert_int_equal(read_in(text, HTTP1_HEAD_MAX + 1, 1000, &h), HELLO_NOT_TLS);
	free(text);
}

static void head_is_bounded_H20(void **state)
{
	static const char first[] = "GET / HTTP/1.1\r\nHost: a.example\r\nX: ";
	char *text = malloc(HTTP1_HEAD_MAX + 1);
	struct http1_head h;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', HTTP1_HEAD_MAX + 1);
	memcpy(text, first, strlen(first));
	assert_int_equal(read_in(text, HTTP1_HEAD_MAX, 1000, &h), HELLO_MORE);
	assert_int_equal(read_in(text, HTTP1_HEAD_MAX + 1, 1000, &h), HELLO_BAD);
	memcpy(text + HTTP1_HEAD_MAX - 4, "\r\n\r\n", 4);
	assert_int_equal(read_in(text, HTTP1_HEAD_MAX, 1000, &h), HELLO_NAME);
	free(text);
}

static void any_bytes_are_no_head(void **state)
{
	static const char head[] = "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n";
	struct http1_head h;

	(void)state;
	for (size_t len = 0; len < strlen(head); len++) {
		uint8_t *copy = exact_copy(head, len);

		assert_int_equal(http1_head_read(copy, len, &h), HELLO_BAD);
		free(copy);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(host_is_read_in_all_forms_of_the_target),
	    cmocka_unit_test(address_and_missing_host_of_1_0_name_nothing_H21),
	    cmocka_unit_test(what_two_readers_could_read_in_two_ways_is_refused_H4_H8_H22),
	    cmocka_unit_test(other_lines_are_told_when_they_end),
	    cmocka_unit_test(line_that_a_server_may_take_for_a_request_is_one_H22),
	    cmocka_unit_test(word_without_end_is_no_request),
	    cmocka_unit_test(head_is_bounded_H20),
	    cmocka_unit_test(any_bytes_are_no_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
