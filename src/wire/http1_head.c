/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of an HTTP/1 request: http1_head.h.
 *
 * Refused: bare CR or LF, NUL and other controls, folded lines, a blank before a colon, empty lines before the request,
 * more or fewer than three words in the first line, two Host fields, a Host that differs from the target's,
 * userinfo, a port that is no number from 1 to 65535, HTTP/1.1 without Host, a head above HTTP1_HEAD_MAX.
 * Every loop takes at least one byte of its input per turn.
 */
#include "wire/http1_head.h"

#include "base/rd.h"

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f';
}

/* RFC 9110 5.6.2 */
static bool is_token(uint8_t c)
{
	if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
		return true;
	return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/* ---- the stream ---- */

/* The newest bytes are a blank and "HTTP/" in any case. */
static bool is_at_version(const struct http1_lines *l)
{
	const uint8_t *t = l->tail + sizeof(l->tail) - 6;
	static const char want[] = "http/";

	if (!is_blank(t[0]) && t[0] != '\r')
		return false;
	for (size_t i = 0; i < sizeof(want) - 1; i++)
		if (lower(t[i + 1]) != (uint8_t)want[i])
			return false;
	return true;
}

/* The first line has ended, as the newest byte says. */
static enum hello_result end_first_line(struct http1_lines *l)
{
	const uint8_t *t = l->tail + sizeof(l->tail) - 10;
	bool is_strict =
	    memcmp(t, " HTTP/1.", 8) == 0 && (t[8] == '0' || t[8] == '1') && t[9] == '\r';

	if (!l->has_version)
		return HELLO_NOT_TLS;
	/* The preface of HTTP/2 (RFC 9113 3.4): another protocol. */
	if (memcmp(l->tail, "PRI * HTTP/2.0\r", sizeof(l->tail)) == 0 &&
	    l->len == sizeof(l->tail) + 1)
		return HELLO_NOT_TLS;
	if (!is_strict || l->is_odd || l->words != 2)
		return HELLO_BAD;
	l->is_request = true;
	l->in_line = 0;
	return HELLO_MORE;
}

static void remember(struct http1_lines *l, uint8_t c)
{
	memmove(l->tail, l->tail + 1, sizeof(l->tail) - 1);
	l->tail[sizeof(l->tail) - 1] = c;
}

static enum hello_result feed_first_line(struct http1_lines *l, uint8_t c)
{
	enum hello_result result;

	if (c == '\n' && l->words == 0 && !l->has_method && l->in_line == 0) {
		l->is_odd = true; /* an empty line before it */
		return HELLO_MORE;
	}
	if (c == '\n') {
		result = end_first_line(l);
		remember(l, c);
		return result;
	}
	remember(l, c);
	if (c == '\0' && !l->has_method)
		return HELLO_NOT_TLS;
	l->is_odd |= c == '\0';
	if (is_blank(c)) {
		l->is_odd |= c != ' ' || l->in_line == 0;
		l->has_method = true;
		if (l->words < UINT8_MAX)
			l->words++;
	} else if (!l->has_method && c != '\r') {
		if (!is_token(c))
			return HELLO_NOT_TLS;
		l->in_line = 1;
	}
	l->has_version |= is_at_version(l);
	return HELLO_MORE;
}

static enum hello_result feed_field_line(struct http1_lines *l, uint8_t c)
{
	bool is_after_cr = l->tail[sizeof(l->tail) - 1] == '\r';

	remember(l, c);
	if (is_after_cr != (c == '\n') || c == '\0')
		return HELLO_BAD;
	if (c == '\n') {
		bool is_end = l->in_line == 0;

		l->in_line = 0;
		return is_end ? HELLO_NAME : HELLO_MORE;
	}
	if (c != '\r')
		l->in_line = 1;
	return HELLO_MORE;
}

enum hello_result http1_lines_feed(
    struct http1_lines *l, const uint8_t *bytes, size_t len, size_t *ret_used)
{
	enum hello_result result = HELLO_MORE;
	size_t at = 0;

	while (at < len && result == HELLO_MORE) {
		if (l->len == HTTP1_HEAD_MAX)
			return l->has_method ? HELLO_BAD : HELLO_NOT_TLS;
		l->len++;
		result =
		    l->is_request ? feed_field_line(l, bytes[at]) : feed_first_line(l, bytes[at]);
		at++;
	}
	*ret_used = at;
	return result;
}

/* ---- the head ---- */

/* Where a request is for. */
struct authority {
	bool is_set;
	bool has_name; /* else an address */
	struct name name;
	uint16_t port; /* 0: none */
};

/* A piece of the head. */
struct span {
	const uint8_t *at;
	size_t len;
};

/* The bytes up to the next sep, which is skipped, or up to the end. */
static struct span take_until(struct rd *r, uint8_t sep)
{
	struct span s = {.at = r->pos};
	size_t left = rd_left(r);

	while (s.len < left && s.at[s.len] != sep)
		s.len++;
	rd_skip(r, s.len < left ? s.len + 1 : s.len);
	return s;
}

/* threats.md N11 */
static bool read_port(const uint8_t *text, size_t len, uint16_t *ret_port)
{
	uint32_t port = 0;

	if (len == 0 || len > 5 || text[0] == '0')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		port = port * 10 + (uint32_t)(text[i] - '0');
	}
	if (port > UINT16_MAX)
		return false;
	*ret_port = (uint16_t)port;
	return true;
}

static bool is_address_literal(const uint8_t *text, size_t len)
{
	if (len < 4 || text[0] != '[' || text[len - 1] != ']')
		return false;
	for (size_t i = 1; i + 1 < len; i++) {
		uint8_t c = lower(text[i]);

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f') && c != ':' && c != '.')
			return false;
	}
	return true;
}

/* host [ ":" port ] */
static bool read_authority(struct span s, struct authority *ret_authority)
{
	struct authority a = {.is_set = true};
	size_t host = s.len;
	enum name_fault fault;

	while (host > 0 && s.at[host - 1] >= '0' && s.at[host - 1] <= '9')
		host--;
	if (host > 0 && s.at[host - 1] == ':') {
		/* "host:" without a port is allowed by RFC 3986 and means the same as none. */
		if (host < s.len && !read_port(s.at + host, s.len - host, &a.port))
			return false;
		host--;
	} else {
		host = s.len;
	}
	if (!is_address_literal(s.at, host)) {
		fault = name_read((const char *)s.at, host, &a.name, NULL);
		if (fault != NAME_OK && fault != NAME_NUMBER)
			return false;
		a.has_name = fault == NAME_OK;
	}
	*ret_authority = a;
	return true;
}

/* The authority of a target in absolute form. False: it has none. */
static bool read_absolute(struct span target, struct authority *ret_authority)
{
	struct rd r = rd_init(target.at, target.len);
	struct span scheme = take_until(&r, ':');
	struct span authority;
	uint16_t slashes = rd_be16(&r);

	for (size_t i = 0; i < scheme.len; i++) {
		uint8_t c = lower(scheme.at[i]);

		if (!(c >= 'a' && c <= 'z') && (i == 0 || !is_token(c)))
			return false;
	}
	if (scheme.len == 0 || !rd_ok(&r) || slashes != 0x2f2f)
		return false;
	authority.at = r.pos;
	authority.len = 0;
	while (authority.len < rd_left(&r) && !strchr("/?#", authority.at[authority.len]))
		authority.len++;
	return read_authority(authority, ret_authority);
}

/* RFC 9112 3.2: the target and what it says of the host. */
static bool read_target(struct span target, bool is_connect, struct authority *ret_authority)
{
	for (size_t i = 0; i < target.len; i++)
		if (target.at[i] <= ' ' || target.at[i] >= 0x7f)
			return false;
	if (target.len == 0)
		return false;
	if (is_connect)
		return read_authority(target, ret_authority) && ret_authority->port != 0;
	if (target.at[0] == '/' || (target.len == 1 && target.at[0] == '*'))
		return true;
	return read_absolute(target, ret_authority);
}

static bool is_span(struct span s, const char *text)
{
	if (s.len != strlen(text))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (lower(s.at[i]) != (uint8_t)text[i])
			return false;
	return true;
}

/* One line of a field, without its end. */
static bool read_field(struct span line, struct authority *host)
{
	struct rd r = rd_init(line.at, line.len);
	struct span name = take_until(&r, ':');
	struct span value = {.at = r.pos, .len = rd_left(&r)};

	/* A line that begins with a blank would continue the one before; there is no name then. */
	if (name.len == 0 || name.len == line.len)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!is_token(name.at[i]))
			return false;
	for (size_t i = 0; i < value.len; i++)
		if ((value.at[i] < ' ' && value.at[i] != '\t') || value.at[i] == 0x7f)
			return false;
	if (!is_span(name, "host"))
		return true;
	while (value.len > 0 && is_blank(value.at[0])) {
		value.at++;
		value.len--;
	}
	while (value.len > 0 && is_blank(value.at[value.len - 1]))
		value.len--;
	return !host->is_set && read_authority(value, host);
}

static bool is_same(const struct authority *a, const struct authority *b)
{
	if (a->has_name != b->has_name || (a->port != b->port && a->port != 0 && b->port != 0))
		return false;
	return name_eq(&a->name, &b->name);
}

static bool is_method(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_token(s.at[i]))
			return false;
	return s.len > 0;
}

/* The next line, without its end, which is CRLF: http1_lines_feed() has seen to it. */
static struct span take_line(struct rd *r)
{
	struct span line = take_until(r, '\n');

	line.len -= line.len > 0;
	return line;
}

enum hello_result http1_head_read(const uint8_t *bytes, size_t len, struct http1_head *ret_head)
{
	struct rd r = rd_init(bytes, len);
	struct span first = take_line(&r);
	struct rd words = rd_init(first.at, first.len);
	struct span method = take_until(&words, ' ');
	struct span target = take_until(&words, ' ');
	struct span version = {.at = words.pos, .len = rd_left(&words)};
	struct authority of_target = {0};
	struct authority host = {0};
	struct http1_head head = {.is_connect = is_span(method, "connect")};

	if (len < 4 || memcmp(bytes + len - 4, "\r\n\r\n", 4) != 0)
		return HELLO_BAD;
	if (!is_method(method) || version.len != 8 || memcmp(version.at, "HTTP/1.", 7) != 0 ||
	    !read_target(target, head.is_connect, &of_target))
		return HELLO_BAD;
	for (struct span line = take_line(&r); line.len > 0; line = take_line(&r))
		if (!read_field(line, &host))
			return HELLO_BAD;
	if (rd_left(&r) > 0 || (!host.is_set && version.at[7] == '1'))
		return HELLO_BAD;
	if (host.is_set && of_target.is_set && !is_same(&host, &of_target))
		return HELLO_BAD;
	if (!of_target.is_set)
		of_target = host;
	head.name = of_target.name;
	head.port = of_target.port;
	*ret_head = head;
	return of_target.has_name ? HELLO_NAME : HELLO_NO_NAME;
}
