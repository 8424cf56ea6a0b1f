/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first flight of an HTTP/1 client (RFC 9112): the head of its first request, and the host that it is for.
 *
 * Two steps, as for TLS: struct http1_lines looks at the stream as it comes and tells when the head is complete, or that
 * this is not HTTP; http1_head_read() reads the head, which is in one piece.
 *
 * Whatever a lenient server could take for a request of HTTP/1 is one here, and then it has to be a strict one: what
 * two readers could read in two ways is HELLO_BAD (threats.md H4, H8, H22). Any other line of text, as SSH, SMTP or FTP
 * have it, is HELLO_NOT_TLS as soon as it ends, or as soon as its first word has a byte that no method has, or is as long as
 * a head may be: servers take methods of any length.
 */
#ifndef SLUICE_WIRE_HTTP1_HEAD_H
#define SLUICE_WIRE_HTTP1_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/tls_hello.h"

enum {
	HTTP1_HEAD_MAX = 65536,
};

/* Where a stream of lines stands. Zeroed: before its first byte. */
struct http1_lines {
	uint8_t tail[15]; /* the last bytes that have come, the newest last */
	uint8_t words;    /* blanks in the first line so far, up to 255 */
	uint8_t in_line;  /* whether the method, or a header line, has any bytes */
	uint32_t len;     /* bytes that have come */
	bool has_method;  /* the first blank has come */
	bool has_version; /* the first line has "HTTP/" behind a blank */
	bool is_odd;      /* the first line is none of a strict request */
	bool is_request;  /* the first line was that of a request */
};

/* Looks at the next len bytes of the stream. HELLO_MORE: goes on. HELLO_NAME: here the head ends; *ret_used of the bytes
 * belong to it. HELLO_NOT_TLS: not HTTP/1. HELLO_BAD. */
enum hello_result http1_lines_feed(
    struct http1_lines *l, const uint8_t *bytes, size_t len, size_t *ret_used);

struct http1_head {
	struct name
	    name; /* HELLO_NAME: of Host, or of the target if that has one, which are the same */
	uint16_t port;   /* of that, 0: none is said */
	bool is_connect; /* the request is CONNECT: name and port are where it leads */
};

/* Reads a head that http1_lines_feed() has found complete. HELLO_NAME; HELLO_NO_NAME: an address instead of a
 * name, or a request of HTTP/1.0 without Host; HELLO_BAD. *ret_head is set but for HELLO_BAD. */
enum hello_result http1_head_read(const uint8_t *bytes, size_t len, struct http1_head *ret_head);

#endif
