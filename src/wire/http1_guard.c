/* SPDX-License-Identifier: Apache-2.0 */
/* What passes to an HTTP/1 server on loopback; see http1_guard.h. Tests: tests/unit/test_http1_guard.c. */
#include "wire/http1_guard.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/addr.h"

enum {
	LINE_MAX_LEN = 4096, /* of a chunk's size with its extensions, or of a trailer */
	HEX_DIGITS_MAX = 15,
	DEC_DIGITS_MAX = 18,
};

struct span {
	const uint8_t *at;
	size_t len;
};

/* What a head says. */
struct head {
	bool has_host;
	bool has_length;
	bool is_chunked;
	bool is_upgrade;
	bool is_cross_site;
	bool is_navigation;
	bool is_foreign; /* Host or Origin are none of ours */
	uint64_t length;
};

static bool is_text(struct span s, const char *text)
{
	return s.len == strlen(text) && strncasecmp((const char *)s.at, text, s.len) == 0;
}

static bool begins(struct span s, const char *text)
{
	return s.len >= strlen(text) && strncasecmp((const char *)s.at, text, strlen(text)) == 0;
}

static struct span from(struct span s, size_t off)
{
	return (struct span){.at = s.at + off, .len = s.len - off};
}

/* RFC 9110 5.6.2. */
static bool is_token_char(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c != 0 && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_number(struct span s, size_t digits_max)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] < '0' || s.at[i] > '9')
			return false;
	return s.len > 0 && s.len <= digits_max;
}

/* ---- who is meant ---- */

static bool is_local_address(struct span host)
{
	static const struct ip_addr loopback6 = {.b = {[15] = 1}};
	char text[IP_ADDR_TEXT_MAX];
	struct ip_addr a;

	if (host.len >= sizeof(text))
		return false;
	memcpy(text, host.at, host.len);
	text[host.len] = '\0';
	if (ip_addr_parse(text, &a))
		return false;
	return ip_addr_is_v4(&a) ? a.b[12] == 127 : ip_addr_eq(&a, &loopback6);
}

/* HOST[:PORT] */
static bool is_local(struct span authority)
{
	struct span host = authority;
	bool has_brackets = host.len > 0 && host.at[0] == '[';
	const uint8_t *end =
	    has_brackets ? memchr(host.at, ']', host.len) : memchr(host.at, ':', host.len);

	if (has_brackets && !end)
		return false;
	if (end) {
		size_t used = (size_t)(end - host.at) + has_brackets;

		host.len = (size_t)(end - host.at);
		if (used < authority.len &&
		    (authority.at[used] != ':' || !is_number(from(authority, used + 1), 5)))
			return false;
	}
	if (has_brackets)
		return memchr(host.at + 1, ':', host.len - 1) && is_local_address(from(host, 1));
	if (is_text(host, "localhost") ||
	    (host.len > strlen(".localhost") &&
		is_text(from(host, host.len - strlen(".localhost")), ".localhost")))
		return true;
	return is_local_address(host);
}

static bool is_local_origin(struct span origin)
{
	if (begins(origin, "http://"))
		return is_local(from(origin, strlen("http://")));
	return begins(origin, "https://") && is_local(from(origin, strlen("https://")));
}

/* ---- a head ---- */

/* METHOD SP TARGET SP HTTP/1.x */
static bool read_request_line(struct span line)
{
	size_t at = 0;
	size_t target;

	while (at < line.len && is_token_char(line.at[at]))
		at++;
	if (at == 0 || at == line.len || line.at[at] != ' ')
		return false;
	target = ++at;
	while (at < line.len && line.at[at] > ' ' && line.at[at] != 0x7f)
		at++;
	if (at == target || (line.at[target] != '/' && (line.at[target] != '*' || at > target + 1)))
		return false;
	return line.len == at + strlen(" HTTP/1.1") &&
	       memcmp(line.at + at, " HTTP/1.", strlen(" HTTP/1.")) == 0 &&
	       (line.at[line.len - 1] == '0' || line.at[line.len - 1] == '1');
}

static int read_length(struct head *h, struct span value)
{
	if (h->has_length || !is_number(value, DEC_DIGITS_MAX))
		return -EBADMSG;
	h->has_length = true;
	for (size_t i = 0; i < value.len; i++)
		h->length = h->length * 10 + (uint64_t)(value.at[i] - '0');
	return 0;
}

static int read_field(struct head *h, struct span name, struct span value)
{
	if (is_text(name, "host")) {
		if (h->has_host)
			return -EBADMSG;
		h->has_host = true;
		h->is_foreign |= !is_local(value);
	} else if (is_text(name, "origin")) {
		h->is_foreign |= !is_local_origin(value);
	} else if (is_text(name, "content-length")) {
		return read_length(h, value);
	} else if (is_text(name, "transfer-encoding")) {
		if (h->is_chunked || !is_text(value, "chunked"))
			return -EBADMSG;
		h->is_chunked = true;
	} else if (is_text(name, "upgrade")) {
		h->is_upgrade = true;
	} else if (is_text(name, "sec-fetch-site")) {
		h->is_cross_site |= is_text(value, "cross-site");
	} else if (is_text(name, "sec-fetch-mode")) {
		h->is_navigation |= is_text(value, "navigate");
	}
	return 0;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static int read_line(struct head *h, struct span line)
{
	struct span value;
	size_t at = 0;

	while (at < line.len && is_token_char(line.at[at]))
		at++;
	if (at == 0 || at == line.len || line.at[at] != ':')
		return -EBADMSG;
	value = from(line, at + 1);
	while (value.len > 0 && is_blank(value.at[0]))
		value = from(value, 1);
	while (value.len > 0 && is_blank(value.at[value.len - 1]))
		value.len--;
	return read_field(h, (struct span){.at = line.at, .len = at}, value);
}

/* The next line of s, which ends with CRLF and has no other CR, LF or NUL. */
static bool next_line(struct span *s, struct span *ret_line)
{
	const uint8_t *end = memchr(s->at, '\n', s->len);
	size_t len = end ? (size_t)(end - s->at) : 0;

	if (len == 0 || s->at[len - 1] != '\r' || memchr(s->at, '\r', len - 1) ||
	    memchr(s->at, '\0', len))
		return false;
	*ret_line = (struct span){.at = s->at, .len = len - 1};
	*s = from(*s, len + 1);
	return true;
}

/* A whole head, with the empty line behind it. 0 or why it does not pass. */
static int judge(struct http1_guard *g, struct span s)
{
	struct head h = {.has_host = false};
	struct span line;
	int err = 0;

	if (!next_line(&s, &line) || !read_request_line(line))
		return -EBADMSG;
	while (!err) {
		if (!next_line(&s, &line))
			return -EBADMSG;
		if (line.len == 0)
			break;
		err = read_line(&h, line);
	}
	if (err || (h.has_length && h.is_chunked))
		return -EBADMSG;
	if (!h.has_host || h.is_foreign || (h.is_cross_site && !h.is_navigation))
		return -EACCES;
	g->left = h.length;
	if (h.is_upgrade)
		g->state = HTTP1_GUARD_OPAQUE;
	else if (h.is_chunked)
		g->state = HTTP1_GUARD_CHUNK_SIZE;
	else if (h.length > 0)
		g->state = HTTP1_GUARD_BODY;
	return 0;
}

/* ---- one step in each state: how many bytes pass, 0: not enough of them, or why nothing does ---- */

static int64_t pass_head(struct http1_guard *g, struct span s)
{
	static const uint8_t end_of_head[4] = "\r\n\r\n";
	const uint8_t *end;
	int err;

	/* RFC 9112 2.2: an empty line in front is no harm. */
	if (s.len >= 2 && s.at[0] == '\r' && s.at[1] == '\n')
		return 2;
	if (!is_token_char(s.at[0]) && s.at[0] != '\r')
		return -EBADMSG;
	end = memmem(s.at, s.len, end_of_head, sizeof(end_of_head));
	if (!end)
		return s.len >= HTTP1_GUARD_HEAD_MAX ? -EMSGSIZE : 0;
	s.len = (size_t)(end - s.at) + sizeof(end_of_head);
	err = judge(g, s);
	return err ? err : (int64_t)s.len;
}

/* However much is shown at once, the same lines are too long. */
static bool has_line(struct span s)
{
	return memchr(s.at, '\n', s.len < LINE_MAX_LEN ? s.len : LINE_MAX_LEN) != NULL;
}

static int64_t pass_chunk_size(struct http1_guard *g, struct span s)
{
	struct span rest = s;
	struct span line;
	uint64_t size = 0;
	size_t at = 0;

	if (!has_line(s))
		return s.len >= LINE_MAX_LEN ? -EBADMSG : 0;
	if (!next_line(&rest, &line))
		return -EBADMSG;
	for (; at < line.len && at <= HEX_DIGITS_MAX; at++) {
		static const char digits[] = "0123456789abcdef";
		const char *d = line.at[at] != 0 ? strchr(digits, line.at[at] | 0x20) : NULL;

		if (!d || line.at[at] < '0')
			break;
		size = size * 16 + (uint64_t)(d - digits);
	}
	if (at == 0 || at > HEX_DIGITS_MAX || (at < line.len && line.at[at] != ';'))
		return -EBADMSG;
	g->left = size;
	g->state = size > 0 ? HTTP1_GUARD_CHUNK : HTTP1_GUARD_TRAILER;
	return (int64_t)(s.len - rest.len);
}

/* What of the body is there, or beyond. */
static int64_t pass_left(struct http1_guard *g)
{
	int64_t left = (int64_t)g->left;

	g->left = 0;
	return left;
}

static int64_t pass_chunk(struct http1_guard *g, struct span s)
{
	if (g->left > 0)
		return pass_left(g);
	if (s.len < 2)
		return 0;
	if (s.at[0] != '\r' || s.at[1] != '\n')
		return -EBADMSG;
	g->state = HTTP1_GUARD_CHUNK_SIZE;
	return 2;
}

static int64_t pass_trailer(struct http1_guard *g, struct span s)
{
	struct span rest = s;
	struct span line;

	if (!has_line(s))
		return s.len >= LINE_MAX_LEN ? -EBADMSG : 0;
	if (!next_line(&rest, &line))
		return -EBADMSG;
	if (line.len == 0)
		g->state = HTTP1_GUARD_HEAD;
	return (int64_t)(s.len - rest.len);
}

static int64_t step(struct http1_guard *g, struct span s)
{
	switch (g->state) {
	case HTTP1_GUARD_HEAD:
		return pass_head(g, s);
	case HTTP1_GUARD_BODY:
		g->state = HTTP1_GUARD_HEAD;
		return pass_left(g);
	case HTTP1_GUARD_CHUNK_SIZE:
		return pass_chunk_size(g, s);
	case HTTP1_GUARD_CHUNK:
		return pass_chunk(g, s);
	case HTTP1_GUARD_TRAILER:
		return pass_trailer(g, s);
	case HTTP1_GUARD_OPAQUE:
		break;
	}
	return HTTP1_GUARD_ALL;
}

int64_t http1_guard_pass(struct http1_guard *g, const uint8_t *bytes, size_t len)
{
	int64_t done = 0;

	while ((uint64_t)done < len) {
		struct span s = {.at = bytes + done, .len = len - (size_t)done};
		int64_t n = step(g, s);

		if (n < 0 || n == HTTP1_GUARD_ALL)
			return n;
		if (n == 0)
			break;
		done += n;
	}
	return done;
}
