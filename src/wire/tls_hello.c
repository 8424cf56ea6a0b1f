/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS ClientHello: tls_hello.h.
 *
 * Refused: records of another type before the message is complete (RFC 8446 5.1), empty records and those above 2^14
 * bytes, a message above TLS_HELLO_MAX, bytes behind the message in its record, and what tls_hello_read()
 * names. Every loop takes at least one byte of its input per turn.
 */
#include "wire/tls_hello.h"

#include "base/rd.h"

enum {
	RECORD_HANDSHAKE = 22,
	RECORD_MAX = 1 << 14,
	MESSAGE_CLIENT_HELLO = 1,
	MESSAGE_HEAD = 4,
	RANDOM_SIZE = 32,
	SESSION_ID_MAX = 32,
	EXT_SERVER_NAME = 0,
	EXT_ALPN = 16,
	EXT_ECH = 0xfe0d,
	EXT_ESNI = 0xffce, /* the draft before ECH */
	NAME_TYPE_HOST = 0,
};

static uint32_t message_len(const struct tls_frames *f)
{
	return MESSAGE_HEAD +
	       ((uint32_t)f->message[1] << 16 | (uint32_t)f->message[2] << 8 | f->message[3]);
}

/* One more byte of a record's head. */
static enum hello_result feed_head(struct tls_frames *f, uint8_t byte)
{
	uint32_t len;

	f->head[f->head_len++] = byte;
	if (f->head_len == 1 && byte != RECORD_HANDSHAKE)
		return f->have > 0 ? HELLO_BAD : HELLO_NOT_TLS;
	if (f->head_len == 2 && byte != 3)
		return f->have > 0 ? HELLO_BAD : HELLO_NOT_TLS;
	if (f->head_len < sizeof(f->head))
		return HELLO_MORE;
	len = (uint32_t)f->head[3] << 8 | f->head[4];
	if (len == 0 || len > RECORD_MAX)
		return HELLO_BAD;
	f->record_left = (uint16_t)len;
	return HELLO_MORE;
}

/* The head of the message is complete. */
static enum hello_result check_message(const struct tls_frames *f)
{
	bool is_right = f->message[0] == MESSAGE_CLIENT_HELLO && message_len(f) <= TLS_HELLO_MAX;

	return is_right ? HELLO_MORE : HELLO_BAD;
}

/* Bytes of the record's body, at most all that it has; *ret_used of them. */
static enum hello_result feed_body(
    struct tls_frames *f, const uint8_t *bytes, size_t len, uint8_t *out, size_t *ret_used)
{
	size_t take = len < f->record_left ? len : f->record_left;

	if (f->have < MESSAGE_HEAD) {
		take = 1;
		f->message[f->have] = bytes[0];
	} else if (take > message_len(f) - f->have) {
		return HELLO_BAD;
	}
	if (out)
		memcpy(out + f->have, bytes, take);
	f->have += (uint32_t)take;
	f->record_left = (uint16_t)(f->record_left - take);
	if (f->record_left == 0)
		f->head_len = 0;
	*ret_used = take;
	if (f->have == MESSAGE_HEAD && check_message(f) == HELLO_BAD)
		return HELLO_BAD;
	if (f->have < MESSAGE_HEAD || f->have < message_len(f))
		return HELLO_MORE;
	return f->record_left == 0 ? HELLO_NAME : HELLO_BAD;
}

static enum hello_result feed(struct tls_frames *f, const uint8_t *bytes, size_t len, uint8_t *out)
{
	enum hello_result result = HELLO_MORE;

	for (size_t at = 0; at < len && result == HELLO_MORE;) {
		size_t used = 1;

		if (f->record_left == 0)
			result = feed_head(f, bytes[at]);
		else
			result = feed_body(f, bytes + at, len - at, out, &used);
		at += used;
	}
	return result;
}

enum hello_result tls_frames_feed(struct tls_frames *f, const uint8_t *bytes, size_t len)
{
	return feed(f, bytes, len, NULL);
}

void tls_frames_copy(struct tls_frames *f, const uint8_t *bytes, size_t len, uint8_t *out)
{
	(void)feed(f, bytes, len, out);
}

/* What the extensions say. */
struct found {
	uint16_t types[TLS_EXTENSIONS_MAX]; /* that were seen */
	uint32_t count;
	bool has_name;
	bool has_ech;
	struct tls_hello hello;
};

/* False: seen before, or too many. */
static bool is_first(struct found *f, uint16_t type)
{
	if (f->count == TLS_EXTENSIONS_MAX)
		return false;
	for (uint32_t i = 0; i < f->count; i++)
		if (f->types[i] == type)
			return false;
	f->types[f->count++] = type;
	return true;
}

/* RFC 6066 3: a list, which has one entry of the only type that there is. */
static bool read_server_name(struct rd body, struct found *f)
{
	struct rd list = rd_sub(&body, rd_be16(&body));
	uint8_t type = rd_u8(&list);
	uint16_t len = rd_be16(&list);
	const uint8_t *text = rd_bytes(&list, len);

	if (!text || rd_left(&list) > 0 || rd_left(&body) > 0 || type != NAME_TYPE_HOST)
		return false;
	f->has_name = true;
	return name_read((const char *)text, len, &f->hello.name, NULL) == NAME_OK;
}

static uint8_t alpn_of(const uint8_t *protocol, size_t len)
{
	if (len == 2 && memcmp(protocol, "h2", 2) == 0)
		return TLS_ALPN_H2;
	if (len == 2 && memcmp(protocol, "h3", 2) == 0)
		return TLS_ALPN_H3;
	if (len == 8 &&
	    (memcmp(protocol, "http/1.1", 8) == 0 || memcmp(protocol, "http/1.0", 8) == 0))
		return TLS_ALPN_HTTP1;
	return TLS_ALPN_OTHER;
}

/* RFC 7301 3.1 */
static bool read_alpn(struct rd body, struct found *f)
{
	struct rd list = rd_sub(&body, rd_be16(&body));

	if (!rd_ok(&list) || rd_left(&list) == 0 || rd_left(&body) > 0)
		return false;
	while (rd_left(&list) > 0) {
		uint8_t len = rd_u8(&list);
		const uint8_t *protocol = rd_bytes(&list, len);

		if (!protocol || len == 0)
			return false;
		f->hello.alpn |= alpn_of(protocol, len);
	}
	return true;
}

static bool read_extensions(struct rd r, struct found *f)
{
	while (rd_left(&r) > 0) {
		uint16_t type = rd_be16(&r);
		struct rd body = rd_sub(&r, rd_be16(&r));

		if (!rd_ok(&body) || !is_first(f, type))
			return false;
		if (type == EXT_SERVER_NAME && !read_server_name(body, f))
			return false;
		if (type == EXT_ALPN && !read_alpn(body, f))
			return false;
		f->has_ech |= type == EXT_ECH || type == EXT_ESNI;
	}
	return rd_ok(&r);
}

/* What stands before the extensions. False: it is not right. */
static bool read_before_extensions(struct rd *r)
{
	uint16_t version = rd_be16(r);
	uint8_t session_len;
	uint16_t ciphers_len;
	uint8_t methods_len;

	rd_skip(r, RANDOM_SIZE);
	session_len = rd_u8(r);
	rd_skip(r, session_len);
	ciphers_len = rd_be16(r);
	rd_skip(r, ciphers_len);
	methods_len = rd_u8(r);
	rd_skip(r, methods_len);
	return rd_ok(r) && version >> 8 == 3 && session_len <= SESSION_ID_MAX && ciphers_len >= 2 &&
	       ciphers_len % 2 == 0 && methods_len >= 1;
}

enum hello_result tls_hello_read(const uint8_t *message, size_t len, struct tls_hello *ret_hello)
{
	struct rd r = rd_init(message, len);
	struct found f = {0};
	uint8_t type = rd_u8(&r);
	uint32_t body_len = (uint32_t)rd_u8(&r) << 16 | rd_be16(&r);

	if (!rd_ok(&r) || type != MESSAGE_CLIENT_HELLO || body_len != rd_left(&r) ||
	    !read_before_extensions(&r))
		return HELLO_BAD;
	/* RFC 5246 7.4.1.2: a client without extensions leaves out their length too. */
	if (rd_left(&r) > 0) {
		struct rd extensions = rd_sub(&r, rd_be16(&r));

		if (!rd_ok(&extensions) || rd_left(&r) > 0 || !read_extensions(extensions, &f))
			return HELLO_BAD;
	}
	*ret_hello = f.hello;
	if (f.has_ech)
		return HELLO_ECH;
	return f.has_name ? HELLO_NAME : HELLO_NO_NAME;
}
