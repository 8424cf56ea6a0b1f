/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first flight of a QUIC client: its ClientHello out of the CRYPTO frames of its Initial packets (RFC 9000, RFC 9001
 * for version 1, RFC 9369 for version 2), over any number of frames, packets and datagrams, in any order.
 *
 * The protection of Initial packets has keys that follow from the packet itself (quic_crypto.c).
 *
 * What counts is what the server will see. A datagram that a server must discard, and perhaps does not, is HELLO_BAD: one
 * below 1200 bytes, a connection id below 8, an Initial packet that does not decrypt. A client that gets no
 * answer sends the same bytes again under the same id; other bytes at the same place are HELLO_BAD.
 */
#ifndef SLUICE_WIRE_QUIC_INITIAL_H
#define SLUICE_WIRE_QUIC_INITIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/tls_hello.h"

enum {
	QUIC_PORT = 443,
	QUIC_HELLO_MAX = 16384, /* bytes of a ClientHello with its head */
	QUIC_HAVE_SIZE = QUIC_HELLO_MAX / 8,
	QUIC_DATAGRAM_MIN = 1200, /* RFC 9000 14.1: servers discard Initials in smaller ones */
	QUIC_DATAGRAM_MAX =
	    9216, /* an Initial packet in a larger one is not looked at: HELLO_BAD */
	QUIC_CID_MAX = 20,
	QUIC_NONCE_SIZE = 12,
};

/* What AES-128-GCM has sealed. */
struct quic_sealed {
	const uint8_t *nonce; /* QUIC_NONCE_SIZE bytes */
	const uint8_t *aad;
	size_t aad_len;
	const uint8_t *bytes; /* with the tag of 16 bytes at the end */
	size_t len;
};

/* The primitives. 0 or -errno; -EBADMSG where what is opened is not authentic. */
struct quic_crypto {
	int (*hmac_sha256)(const uint8_t *key, size_t key_len, const uint8_t *data, size_t len,
	    uint8_t ret_mac[32]);
	int (*aes128_block)(const uint8_t key[16], const uint8_t in[16], uint8_t ret_out[16]);
	/* ret_out has 16 bytes less than what is sealed. */
	int (*aes128_gcm_open)(
	    const uint8_t key[16], const struct quic_sealed *sealed, uint8_t *ret_out);
};

/* quic_crypto.c; tests have others. */
extern const struct quic_crypto quic_crypto_plain;

/* The keys of one direction of one connection. */
struct quic_keys {
	uint8_t key[16];
	uint8_t iv[QUIC_NONCE_SIZE];
	uint8_t hp[16];
};

/* The first flight of one connection. Before its first datagram all is zero but for message and have. */
struct quic_initial {
	uint32_t version; /* 0: no Initial packet has come yet */
	uint8_t cid_len;  /* of the connection id that the client has chosen */
	uint8_t cid[QUIC_CID_MAX];
	bool has_packet; /* largest is set */
	struct quic_keys keys;
	uint64_t largest; /* packet number that has come */
	uint32_t end;     /* one past the last byte of the message that has come */
	uint32_t whole;   /* length of the message once it is complete; 0: it is not */
	/* The caller's. Once the message is complete, have may be given back (NULL), and message may be cut to whole
	 * bytes. */
	uint8_t *message; /* QUIC_HELLO_MAX bytes */
	uint8_t
	    *have; /* QUIC_HAVE_SIZE bytes, zeroed: a bit for each byte of message that has come */
};

/* Keys that a client protects its Initial packets with. 0 or -errno. */
__attribute__((warn_unused_result)) int quic_client_keys(const struct quic_crypto *c,
    uint32_t version, const uint8_t *cid, size_t cid_len, struct quic_keys *ret_keys);

/* Whether the datagram may have an Initial packet, by its first byte: all others may pass once a flow's first flight has
 * been judged. */
static inline bool quic_is_long(const uint8_t *datagram, size_t len)
{
	return len > 0 && (datagram[0] & 0x80) != 0;
}

/*
 * Reads one datagram of the client. Once the message is complete its name is in *ret_hello, and every later datagram gives
 * the same answer again, or HELLO_BAD.
 *
 *	HELLO_MORE     the message is not complete; so far nothing is wrong
 *	HELLO_NAME, HELLO_NO_NAME, HELLO_ECH, HELLO_BAD
 *	               as tls_hello_read() says
 *	HELLO_NO_NAME  also: a version that is not known
 *	HELLO_BAD      also: what is named above, frames that an Initial packet may not have
 *	HELLO_OTHER    an Initial packet that begins another connection, as after a Retry
 *	HELLO_NOT_TLS  the first datagram is no QUIC packet with a long header
 */
enum hello_result quic_initial_read(struct quic_initial *q, const struct quic_crypto *c,
    const uint8_t *datagram, size_t len, struct tls_hello *ret_hello);

#endif
