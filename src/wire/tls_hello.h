/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first flight of a TLS client: its ClientHello (RFC 8446 4.1.2, RFC 5246 7.4.1.2), over any number of records and
 * any segmentation, and the name that it asks for (SNI, RFC 6066 3).
 *
 * Two steps, neither of which keeps bytes of its own: struct tls_frames looks at the stream as it comes and tells when
 * the message is complete; tls_hello_read() then reads the message, which the caller has put together with
 * tls_frames_copy().
 *
 * Encrypted ClientHello (RFC 9849, threats.md T6): the name that the server will see is not the one that can be read.
 * A browser that has no key for the server sends the same extension filled with random bytes (GREASE), which
 * is made to be indistinguishable. So HELLO_ECH says only that the readable name proves nothing: it is reason enough
 * to deny, and none to allow.
 */
#ifndef SLUICE_WIRE_TLS_HELLO_H
#define SLUICE_WIRE_TLS_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/name.h"

/* What a first flight is known to be; of TLS, QUIC and HTTP alike. */
enum hello_result {
	HELLO_MORE,    /* not known yet */
	HELLO_NAME,    /* it names a host */
	HELLO_NO_NAME, /* it is one, and names no host, or an address */
	HELLO_ECH,     /* it may name another host than can be read, in encrypted form */
	HELLO_NOT_TLS, /* it is something else (of HTTP: not HTTP, of QUIC: not QUIC) */
	HELLO_BAD,     /* it contradicts itself or its protocol */
	HELLO_OTHER,   /* of QUIC: another connection begins */
};

enum {
	TLS_HELLO_MAX = 65536, /* bytes of the message with its head of four bytes */
	TLS_EXTENSIONS_MAX = 128,
	TLS_ALPN_H3 = 1, /* bits of tls_hello.alpn */
	TLS_ALPN_H2 = 2,
	TLS_ALPN_HTTP1 = 4,
	TLS_ALPN_OTHER = 8,
};

/* Where a stream of records stands. Zeroed: before its first byte. */
struct tls_frames {
	uint8_t head[5];      /* of the record */
	uint8_t head_len;     /* bytes of it that have come */
	uint8_t message[4];   /* head of the message */
	uint16_t record_left; /* bytes of the record that have not come */
	uint32_t have;        /* bytes of the message that have come */
};

/* Looks at the next len bytes of the stream. HELLO_MORE: goes on. HELLO_NAME: here the message ends (what it
 * says is not known yet; nothing is to be fed any more). HELLO_NOT_TLS, HELLO_BAD. */
enum hello_result tls_frames_feed(struct tls_frames *f, const uint8_t *bytes, size_t len);

/* The same for bytes for which tls_frames_feed() has said HELLO_MORE or HELLO_NAME, from the first one on: copies
 * the message without the records to out, which has room for TLS_HELLO_MAX bytes. f->have counts them. */
void tls_frames_copy(struct tls_frames *f, const uint8_t *bytes, size_t len, uint8_t *out);

struct tls_hello {
	struct name
	    name;     /* HELLO_NAME; HELLO_ECH: the readable one, of length 0 if there is none */
	uint8_t alpn; /* TLS_ALPN_...: protocols that are offered; 0: none are */
};

/* Reads a whole message, its head included. HELLO_NAME, HELLO_NO_NAME, HELLO_ECH or HELLO_BAD: not a
 * ClientHello, a length that does not fit, an extension twice, more than one name, a name of another
 * type, or one that is no name of a host (threats.md T9). *ret_hello is set but for HELLO_BAD. */
enum hello_result tls_hello_read(const uint8_t *message, size_t len, struct tls_hello *ret_hello);

#endif
