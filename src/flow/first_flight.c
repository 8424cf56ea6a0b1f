/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first flight of a TCP connection: first_flight.h.
 *
 * A message that is complete is put together once, in memory that is freed at once. Without memory it is HELLO_BAD: what
 * cannot be read is not let through.
 */
#include "flow/first_flight.h"

#include <stdlib.h>

enum {
	RECORD_HANDSHAKE = 22,
};

static enum hello_result read_tls(
    const struct first_flight *f, const struct chain *c, struct flight_claim *claim)
{
	uint8_t *message = malloc(f->tls.have);
	struct tls_frames frames = {0};
	struct tls_hello hello = {0};
	enum hello_result result;

	if (!message)
		return HELLO_BAD;
	for (size_t at = 0; at < f->seen;) {
		struct iovec piece = chain_piece(c, at);
		size_t len = piece.iov_len < f->seen - at ? piece.iov_len : f->seen - at;

		tls_frames_copy(&frames, piece.iov_base, len, message);
		at += len;
	}
	result = tls_hello_read(message, f->tls.have, &hello);
	free(message);
	if (result != HELLO_BAD)
		claim->name = hello.name;
	return result;
}

static enum hello_result read_http(
    const struct first_flight *f, const struct chain *c, struct flight_claim *claim)
{
	uint8_t *bytes = malloc(f->http.len);
	struct http1_head head;
	enum hello_result result;
	size_t at = 0;

	if (!bytes)
		return HELLO_BAD;
	while (at < f->http.len) {
		struct iovec piece = chain_piece(c, at);
		size_t len = piece.iov_len < f->http.len - at ? piece.iov_len : f->http.len - at;

		memcpy(bytes + at, piece.iov_base, len);
		at += len;
	}
	result = http1_head_read(bytes, f->http.len, &head);
	free(bytes);
	if (result != HELLO_BAD) {
		claim->name = head.name;
		claim->is_connect = head.is_connect;
	}
	return result;
}

/* The next piece. */
static enum hello_result feed(struct first_flight *f, const struct iovec *piece)
{
	const uint8_t *bytes = piece->iov_base;
	size_t used;

	if (f->kind == FLIGHT_NONE)
		f->kind = bytes[0] == RECORD_HANDSHAKE ? FLIGHT_TLS : FLIGHT_HTTP1;
	if (f->kind == FLIGHT_TLS)
		return tls_frames_feed(&f->tls, bytes, piece->iov_len);
	return http1_lines_feed(&f->http, bytes, piece->iov_len, &used);
}

/* What an end of the stream makes of what has come. */
static enum hello_result end_of(const struct first_flight *f)
{
	bool is_begun = f->kind == FLIGHT_TLS || f->http.has_version;

	return is_begun ? HELLO_BAD : HELLO_NOT_TLS;
}

bool first_flight_look(
    struct first_flight *f, const struct chain *c, bool is_final, struct flight_claim *ret_claim)
{
	enum hello_result result = HELLO_MORE;

	while (result == HELLO_MORE && f->seen < c->len) {
		struct iovec piece = chain_piece(c, f->seen);

		result = feed(f, &piece);
		f->seen += piece.iov_len;
	}
	if (result == HELLO_MORE && is_final)
		result = end_of(f);
	if (result == HELLO_MORE)
		return false;
	*ret_claim =
	    (struct flight_claim){.is_tls = f->kind == FLIGHT_TLS && result != HELLO_NOT_TLS};
	if (result == HELLO_NAME)
		result =
		    f->kind == FLIGHT_TLS ? read_tls(f, c, ret_claim) : read_http(f, c, ret_claim);
	ret_claim->result = result;
	return true;
}
