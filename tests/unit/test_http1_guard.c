/* SPDX-License-Identifier: Apache-2.0 */
/* What passes to an HTTP/1 server on loopback (threats.md I3). */
#include <errno.h>
#include <stdio.h>

#include "unit.h"

#include "wire/http1_guard.h"

#define LOCAL "Host: localhost:8080\r\n"

/* Shown in exact-size copies, whole and then byte by byte. */
static int64_t pass(const char *text)
{
	size_t len = strlen(text);
	struct http1_guard g = {.left = 0};
	uint8_t *copy = exact_copy(text, len);
	int64_t whole = http1_guard_pass(&g, copy, len);
	int64_t done = 0;

	free(copy);
	g = (struct http1_guard){.left = 0};
	for (size_t end = 1; end <= len && done >= 0 && done != HTTP1_GUARD_ALL; end++) {
		int64_t n;

		if ((int64_t)end <= done)
			continue;
		copy = exact_copy(text + done, end - (size_t)done);
		n = http1_guard_pass(&g, copy, end - (size_t)done);
		free(copy);
		done = n < 0 || n == HTTP1_GUARD_ALL ? n : done + n;
	}
	assert_int_equal(done, whole);
	return whole;
}

static void passes(const char *text)
{
	int64_t n = pass(text);

	if (n != (int64_t)strlen(text))
		fail_msg("%s: %lld", text, (long long)n);
}

static void gives(const char *text, int64_t want)
{
	int64_t n = pass(text);

	if (n != want)
		fail_msg("%s: %lld", text, (long long)n);
}

static void requests_of_this_machine_pass(void **state)
{
	(void)state;
	passes("GET / HTTP/1.1\r\n" LOCAL "\r\n");
	passes("GET /a?b HTTP/1.1\r\nhOsT:LOCALHOST\r\n\r\n");
	passes("GET / HTTP/1.0\r\nHost: 127.0.0.1:80\r\n\r\n");
	passes("GET / HTTP/1.1\r\nHost: 127.9.8.7\r\n\r\n");
	passes("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n");
	passes("GET / HTTP/1.1\r\nHost: app.localhost:1\r\n\r\n");
	passes("OPTIONS * HTTP/1.1\r\n" LOCAL "\r\n");
	passes("POST / HTTP/1.1\r\n" LOCAL
	       "Origin: http://localhost:3000\r\nContent-Length: 5\r\n\r\nhello");
	passes("GET / HTTP/1.1\r\n" LOCAL "Origin: https://[::1]\r\n\r\n");
	passes("GET / HTTP/1.1\r\n" LOCAL "Sec-Fetch-Site: same-site\r\n\r\n");
	passes("GET / HTTP/1.1\r\n" LOCAL
	       "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n\r\n");
}

static void requests_of_other_sites_do_not(void **state)
{
	(void)state;
	gives("GET / HTTP/1.1\r\n\r\n", -EACCES);
	gives("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", -EACCES);
	gives("GET / HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", -EACCES);
	gives("GET / HTTP/1.1\r\nHost: evillocalhost\r\n\r\n", -EACCES);
	gives("GET / HTTP/1.1\r\nHost: .localhost.\r\n\r\n", -EACCES);
	gives("GET / HTTP/1.1\r\nHost: 128.0.0.1\r\n\r\n", -EACCES);
	gives("GET / HTTP/1.1\r\nHost: 127.1\r\n\r\n", -EACCES);
	gives("GET / HTTP/1.1\r\nHost: [::2]\r\n\r\n", -EACCES);
	gives("GET / HTTP/1.1\r\nHost: [localhost]\r\n\r\n", -EACCES);
	gives("GET / HTTP/1.1\r\nHost: localhost:80@evil\r\n\r\n", -EACCES);
	gives("GET / HTTP/1.1\r\nHost: localhost:\r\n\r\n", -EACCES);
	gives("GET / HTTP/1.1\r\nHost:\r\n\r\n", -EACCES);
	gives("GET / HTTP/1.1\r\n" LOCAL "Origin: null\r\n\r\n", -EACCES);
	gives("GET / HTTP/1.1\r\n" LOCAL "Origin: http://evil.example\r\n\r\n", -EACCES);
	gives("GET / HTTP/1.1\r\n" LOCAL "Origin: ftp://localhost\r\n\r\n", -EACCES);
	gives("GET / HTTP/1.1\r\n" LOCAL "Origin: http://localhost\r\nOrigin: http://evil\r\n\r\n",
	    -EACCES);
	gives("GET / HTTP/1.1\r\n" LOCAL
	      "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n\r\n",
	    -EACCES);
}

/* A connection is used by several pages: each request is looked at. */
static void every_request_is_looked_at(void **state)
{
	(void)state;
	gives("GET / HTTP/1.1\r\n" LOCAL "\r\nGET / HTTP/1.1\r\nHost: evil\r\n\r\n", -EACCES);
	gives("POST / HTTP/1.1\r\n" LOCAL
	      "Content-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: evil\r\n\r\n",
	    -EACCES);
	passes("POST / HTTP/1.1\r\n" LOCAL
	       "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n"
	       "GET / HTTP/1.1\r\n" LOCAL "\r\n");
	gives("POST / HTTP/1.1\r\n" LOCAL "Transfer-Encoding: chunked\r\n\r\n1A\r\n"
	      "abcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
	    -EACCES);
}

static void heads_are_held_until_they_are_whole(void **state)
{
	static char large[20000];

	(void)state;
	gives("GET / HT", 0);
	gives("GET / HTTP/1.1\r\n" LOCAL "\r", 0);
	gives("GET / HTTP/1.1\r\n" LOCAL "\r\nGET /", 40);
	memset(large, 'a', sizeof(large) - 1);
	gives(large, -EMSGSIZE);
}

/* Also where the end of the line is shown with it. */
static void lines_between_chunks_have_a_limit(void **state)
{
	static const char *const starts[] = {"1;", "0\r\nA: "};
	static char stream[8192];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		size_t len = (size_t)snprintf(stream, sizeof(stream),
		    "POST / HTTP/1.1\r\n" LOCAL "Transfer-Encoding: chunked\r\n\r\n%s", starts[i]);

		memset(stream + len, 'a', 4000);
		memcpy(stream + len + 4000, "\r\n", 3);
		passes(stream);
		memset(stream + len, 'a', 5000);
		memcpy(stream + len + 5000, "\r\n", 3);
		gives(stream, -EBADMSG);
	}
}

static void bodies_pass_before_they_come(void **state)
{
	(void)state;
	gives("POST / HTTP/1.1\r\n" LOCAL "Content-Length: 1000\r\n\r\nab", 63 + 1000);
}

static void everything_passes_behind_an_upgrade(void **state)
{
	(void)state;
	gives("GET / HTTP/1.1\r\n" LOCAL "Upgrade: websocket\r\n\r\n\x81\x01x", HTTP1_GUARD_ALL);
	gives("GET / HTTP/1.1\r\n" LOCAL "Upgrade: websocket\r\nOrigin: http://evil\r\n\r\nx",
	    -EACCES);
}

static void what_is_ambiguous_is_refused(void **state)
{
	static const char *const wrong[] = {
	    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	    "\x16\x03\x01\x02\r\n\r\n",
	    "GET http://localhost/ HTTP/1.1\r\n" LOCAL "\r\n",
	    "CONNECT localhost:80 HTTP/1.1\r\n" LOCAL "\r\n",
	    "GET  / HTTP/1.1\r\n" LOCAL "\r\n",
	    "GET / HTTP/1.1 \r\n" LOCAL "\r\n",
	    "GET /\r\n" LOCAL "\r\n",
	    "GET / HTTP/1.1\n" LOCAL "\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: localhost\nHost: evil\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
	    "GET / HTTP/1.1\r\n" LOCAL " evil\r\n\r\n",
	    "GET / HTTP/1.1\r\n" LOCAL LOCAL "\r\n",
	    "GET / HTTP/1.1\r\n" LOCAL "X: a\rb\r\n\r\n",
	    "GET / HTTP/1.1\r\n" LOCAL "nocolon\r\n\r\n",
	    "POST / HTTP/1.1\r\n" LOCAL "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
	    "POST / HTTP/1.1\r\n" LOCAL "Content-Length: +1\r\n\r\n",
	    "POST / HTTP/1.1\r\n" LOCAL "Content-Length: 1, 1\r\n\r\n",
	    "POST / HTTP/1.1\r\n" LOCAL "Content-Length: 9999999999999999999\r\n\r\n",
	    "POST / HTTP/1.1\r\n" LOCAL "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
	    "POST / HTTP/1.1\r\n" LOCAL "Transfer-Encoding: gzip, chunked\r\n\r\n",
	    "POST / HTTP/1.1\r\n" LOCAL "Transfer-Encoding: chunked\r\n\r\nx\r\n",
	    "POST / HTTP/1.1\r\n" LOCAL "Transfer-Encoding: chunked\r\n\r\n\r\n",
	    "POST / HTTP/1.1\r\n" LOCAL "Transfer-Encoding: chunked\r\n\r\n1\r\nabb\r\n",
	    "POST / HTTP/1.1\r\n" LOCAL "Transfer-Encoding: chunked\r\n\r\n1111111111111111\r\n",
	    "POST / HTTP/1.1\r\n" LOCAL "Transfer-Encoding: chunked\r\n\r\n1\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		gives(wrong[i], -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(requests_of_this_machine_pass),
	    cmocka_unit_test(requests_of_other_sites_do_not),
	    cmocka_unit_test(every_request_is_looked_at),
	    cmocka_unit_test(heads_are_held_until_they_are_whole),
	    cmocka_unit_test(lines_between_chunks_have_a_limit),
	    cmocka_unit_test(bodies_pass_before_they_come),
	    cmocka_unit_test(everything_passes_behind_an_upgrade),
	    cmocka_unit_test(what_is_ambiguous_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
