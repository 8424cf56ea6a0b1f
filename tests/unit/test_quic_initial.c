/* SPDX-License-Identifier: Apache-2.0 */
/* Initial packets of QUIC clients: the examples of RFC 9001 A and RFC 9369 A, and what can be done to a flight
 * (threats.md T8, T9, T19). */
#include "hex.h"

#include <errno.h>

#include <openssl/hmac.h>

#include "hellos.h"
#include "quicseal.h"
#include "wire/quic_initial.h"

#define CID "8394c8f03e515708"

/* RFC 9001 A.2 and RFC 9369 A.2: the CRYPTO frame of both. */
#define RFC_FRAME                                                                                  \
	"060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e868"                         \
	"04fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578"                         \
	"616d706c652e636f6dff01000100000a00080006001d00170018001000070005"                         \
	"04616c706e000500050100000000003300260024001d00209370b2c9caa47fba"                         \
	"baf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b000302030400"                         \
	"0d0010000e0403050306030203080408050806002d00020101001c0002400100"                         \
	"3900320408ffffffffffffffff05048000ffff07048000ffff08011001048000"                         \
	"75300901100f088394c8f03e51570806048000ffff"

static const uint8_t cid_a[8] = {1, 2, 3, 4, 5, 6, 7, 8};
static const uint8_t cid_b[8] = {8, 7, 6, 5, 4, 3, 2, 1};

struct fixture {
	struct quic_initial q;
	uint8_t hello[4096]; /* a message of a.example */
	size_t hello_len;
	struct tls_hello got;
};

static void forget(struct fixture *f)
{
	uint8_t *message = f->q.message;
	uint8_t *have = f->q.have;

	memset(have, 0, QUIC_HAVE_SIZE);
	f->q = (struct quic_initial){.message = message, .have = have};
	f->got = (struct tls_hello){0};
}

static void make_hello(struct fixture *f, const struct hello_spec *s)
{
	struct wr w = wr_init(f->hello, sizeof(f->hello));

	hello_put(&w, s);
	assert_true(wr_ok(&w));
	f->hello_len = wr_len(&w);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct hello_spec s = {.name = "a.example", .alpn = "h3", .padding = 1500};

	assert_non_null(f);
	f->q.message = malloc(QUIC_HELLO_MAX);
	f->q.have = calloc(1, QUIC_HAVE_SIZE);
	assert_true(f->q.message && f->q.have);
	make_hello(f, &s);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	free(f->q.message);
	free(f->q.have);
	free(f);
	return 0;
}

static enum hello_result feed(struct fixture *f, const uint8_t *datagram, size_t len)
{
	uint8_t *copy = exact_copy(datagram, len);
	enum hello_result result = quic_initial_read(&f->q, &quic_crypto_plain, copy, len, &f->got);

	free(copy);
	return result;
}

/* One datagram of 1200 bytes or more with one Initial packet with these frames. */
static enum hello_result feed_frames(
    struct fixture *f, const struct quic_seal *s, const uint8_t *frames, size_t len)
{
	uint8_t body[2048] = {0};
	uint8_t datagram[2500];
	struct wr w = wr_init(datagram, sizeof(datagram));
	size_t want = 1180;

	assert_true(len <= sizeof(body));
	memcpy(body, frames, len);
	quic_seal_initial(&quic_crypto_plain, s, body, len > want ? len : want, &w);
	assert_true(wr_ok(&w) && wr_len(&w) >= QUIC_DATAGRAM_MIN);
	return feed(f, datagram, wr_len(&w));
}

static struct quic_seal seal_of(uint32_t version, uint32_t number)
{
	return (struct quic_seal){
	    .version = version, .cid = cid_a, .cid_len = 8, .number = number, .number_len = 2};
}

/* A piece of the hello. */
static enum hello_result feed_piece(
    struct fixture *f, const struct quic_seal *s, uint32_t off, size_t len)
{
	uint8_t frames[2048];
	struct wr w = wr_init(frames, sizeof(frames));

	quic_seal_crypto(&w, off, f->hello + off, len);
	return feed_frames(f, s, frames, wr_len(&w));
}

/* Lengths around blocks, so that each way to fill up the last one is met. */
static void primitives_are_those_of_libcrypto(void **state)
{
	uint8_t bytes[300];
	uint32_t x = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++) {
		x = x * 1103515245 + 12345;
		bytes[i] = (uint8_t)(x >> 16);
	}
	for (size_t len = 0; len < 200; len++) {
		const struct quic_crypto *c = &quic_crypto_plain;
		struct quic_keys keys;
		uint8_t mac[32];
		uint8_t want[32];
		uint8_t out[200];
		uint8_t *sealed = malloc(len + 16);
		uint8_t *aad = exact_copy(bytes + 50, len % 50);
		struct quic_sealed s = {.nonce = bytes + 3,
		    .aad = aad,
		    .aad_len = len % 50,
		    .bytes = sealed,
		    .len = len + 16};

		assert_int_equal(c->hmac_sha256(bytes, len % 65, bytes + 20, len, mac), 0);
		assert_non_null(
		    HMAC(EVP_sha256(), bytes, (int)(len % 65), bytes + 20, len, want, NULL));
		assert_memory_equal(mac, want, 32);
		memcpy(keys.key, bytes + len, 16);
		quic_seal_gcm(&keys, s.nonce, aad, s.aad_len, bytes + 60, len, sealed);
		assert_int_equal(c->aes128_gcm_open(keys.key, &s, out), 0);
		assert_memory_equal(out, bytes + 60, len);
		sealed[len * 7 % (len + 16)] ^= 0x10;
		assert_int_equal(c->aes128_gcm_open(keys.key, &s, out), -EBADMSG);
		free(sealed);
		free(aad);
	}
	assert_int_equal(quic_crypto_plain.hmac_sha256(bytes, 65, bytes, 1, bytes + 100), -EINVAL);
}

static void keys_are_those_of_RFC_9001_A_1_and_RFC_9369_A_1(void **state)
{
	struct quic_keys k;
	uint8_t cid[8];

	(void)state;
	assert_int_equal(hex_put(cid, CID), 8);
	assert_int_equal(quic_client_keys(&quic_crypto_plain, QUIC_V1, cid, 8, &k), 0);
	assert_hex(k.key, 16, "1f369613dd76d5467730efcbe3b1a22d");
	assert_hex(k.iv, 12, "fa044b2f42a3fd3b46fb255c");
	assert_hex(k.hp, 16, "9f50449e04a0e810283a1e9933adedd2");
	assert_int_equal(quic_client_keys(&quic_crypto_plain, QUIC_V2, cid, 8, &k), 0);
	assert_hex(k.key, 16, "8b1a0bc121284290a29e0971b5cd045d");
	assert_hex(k.iv, 12, "91f73e2351d8fa91660e909f");
	assert_hex(k.hp, 16, "45b95e15235d6f45a6b19cbcb0294ba9");
}

/* The packets of the RFCs are 1200 bytes; made here of their frames, they begin and end as there. */
static void client_initials_of_the_RFCs_are_read_T19(void **state)
{
	static const struct {
		uint32_t version;
		const char *begin;
		const char *end;
	} cases[] = {
	    {QUIC_V1, "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11",
		"e221af44860018ab0856972e194cd934"},
	    {QUIC_V2, "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485",
		"a18b2faa745b6fe189cf772a9f84cbfc"},
	};
	struct fixture *f = *state;
	uint8_t cid[8];

	assert_int_equal(hex_put(cid, CID), 8);
	for (size_t i = 0; i < 2; i++) {
		struct quic_seal s = {.version = cases[i].version,
		    .cid = cid,
		    .cid_len = 8,
		    .number = 2,
		    .number_len = 4};
		uint8_t frames[1162] = {0};
		uint8_t datagram[1300];
		struct wr w = wr_init(datagram, sizeof(datagram));

		forget(f);
		assert_int_equal(hex_put(frames, RFC_FRAME), 245);
		quic_seal_initial(&quic_crypto_plain, &s, frames, sizeof(frames), &w);
		assert_int_equal(wr_len(&w), 1200);
		assert_hex(datagram, 32, cases[i].begin);
		assert_hex(datagram + 1200 - 16, 16, cases[i].end);
		assert_int_equal(feed(f, datagram, 1200), HELLO_NAME);
		assert_string_equal(f->got.name.text, "example.com");
		assert_int_equal(f->got.alpn, TLS_ALPN_OTHER);
		/* Sent again, it says the same. */
		assert_int_equal(feed(f, datagram, 1200), HELLO_NAME);
	}
}

static void hello_over_datagrams_in_any_order_is_read_T8_T19(void **state)
{
	struct fixture *f = *state;
	size_t part = 600;

	for (int order = 0; order < 6; order++) {
		static const uint8_t orders[6][3] = {
		    {0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
		uint32_t version = order % 2 == 0 ? QUIC_V1 : QUIC_V2;

		forget(f);
		for (uint32_t i = 0; i < 3; i++) {
			uint32_t off = (uint32_t)(orders[order][i] * part);
			struct quic_seal s = seal_of(version, i);
			size_t len = f->hello_len - off < part ? f->hello_len - off : part;

			assert_int_equal(
			    feed_piece(f, &s, off, len), i < 2 ? HELLO_MORE : HELLO_NAME);
		}
		assert_string_equal(f->got.name.text, "a.example");
		assert_int_equal(f->got.alpn, TLS_ALPN_H3);
	}
}

/* As a browser shuffles them: frames of one packet out of order, with PING and PADDING between, overlapping. */
static void frames_out_of_order_within_a_packet_are_read_T19(void **state)
{
	const struct hello_spec small = {.name = "b.example"};
	struct fixture *f = *state;
	struct quic_seal s = seal_of(QUIC_V1, 0);
	uint8_t frames[1024];
	struct wr w = wr_init(frames, sizeof(frames));

	make_hello(f, &small);
	quic_seal_crypto(&w, 40, f->hello + 40, f->hello_len - 40);
	wr_u8(&w, 1);
	wr_u8(&w, 0);
	quic_seal_crypto(&w, 0, f->hello, 10);
	quic_seal_crypto(&w, 5, f->hello + 5, 40);
	assert_int_equal(feed_frames(f, &s, frames, wr_len(&w)), HELLO_NAME);
	assert_string_equal(f->got.name.text, "b.example");
}

static void coalesced_packets_are_read_T19(void **state)
{
	const struct hello_spec small = {.name = "b.example"};
	struct fixture *f = *state;
	/* 0-RTT, then Initial, then bytes that are no packet */
	static const uint8_t early[] = {
	    0xd0, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 4, 1, 2, 3, 4};
	struct quic_seal s = seal_of(QUIC_V1, 0);
	uint8_t frames[1200] = {0};
	uint8_t datagram[1500];
	struct wr c = wr_init(frames, sizeof(frames));
	struct wr w = wr_init(datagram, sizeof(datagram));

	make_hello(f, &small);
	quic_seal_crypto(&c, 0, f->hello, f->hello_len);
	wr_copy(&w, early, sizeof(early));
	quic_seal_initial(&quic_crypto_plain, &s, frames, sizeof(frames), &w);
	wr_zero(&w, 30);
	assert_int_equal(feed(f, datagram, wr_len(&w)), HELLO_NAME);
	assert_string_equal(f->got.name.text, "b.example");
}

static void token_and_all_lengths_of_numbers_are_read_T19(void **state)
{
	const struct hello_spec small = {.name = "b.example"};
	struct fixture *f = *state;
	static const uint8_t token[40] = {7};
	uint8_t frames[600];

	make_hello(f, &small);
	for (uint8_t len = 1; len <= 4; len++) {
		struct quic_seal s = seal_of(QUIC_V1, 0x7f);
		struct wr w = wr_init(frames, sizeof(frames));

		forget(f);
		s.number_len = len;
		s.token = token;
		s.token_len = sizeof(token);
		quic_seal_crypto(&w, 0, f->hello, f->hello_len);
		assert_int_equal(feed_frames(f, &s, frames, wr_len(&w)), HELLO_NAME);
	}
}

/* Numbers are cut short against the largest that has come (RFC 9000 A.3). */
static void numbers_are_completed(void **state)
{
	struct fixture *f = *state;
	struct quic_seal s = seal_of(QUIC_V1, 250);

	assert_int_equal(feed_piece(f, &s, 0, 600), HELLO_MORE);
	s.number = 260;
	s.number_len = 1;
	assert_int_equal(feed_piece(f, &s, 600, 600), HELLO_MORE);
	s.number = 249;
	assert_int_equal(feed_piece(f, &s, 1200, f->hello_len - 1200), HELLO_NAME);
}

static void other_bytes_at_the_same_place_are_refused_T19(void **state)
{
	struct fixture *f = *state;
	struct quic_seal s = seal_of(QUIC_V1, 0);
	struct quic_seal t = seal_of(QUIC_V1, 1);

	assert_int_equal(feed_piece(f, &s, 0, 600), HELLO_MORE);
	f->hello[599] ^= 1;
	assert_int_equal(feed_piece(f, &t, 599, 400), HELLO_BAD);
}

/* Also when the message is complete, and its buffers have been given back. */
static void other_bytes_behind_a_whole_message_are_refused_T19(void **state)
{
	const struct hello_spec small = {.name = "b.example"};
	const struct hello_spec evil = {.name = "e.example"};
	struct fixture *f = *state;
	struct quic_seal s = seal_of(QUIC_V1, 0);
	uint8_t *cut;

	make_hello(f, &small);
	assert_int_equal(feed_piece(f, &s, 0, f->hello_len), HELLO_NAME);
	assert_int_equal(f->q.whole, f->hello_len);
	cut = exact_copy(f->q.message, f->q.whole);
	free(f->q.message);
	free(f->q.have);
	f->q.message = cut;
	f->q.have = NULL;
	s.number = 1;
	assert_int_equal(feed_piece(f, &s, 0, f->hello_len), HELLO_NAME);
	s.number = 2;
	assert_int_equal(feed_piece(f, &s, 10, f->hello_len), HELLO_NAME); /* and some behind it */
	make_hello(f, &evil);
	s.number = 3;
	assert_int_equal(feed_piece(f, &s, 0, f->hello_len), HELLO_BAD);
}

static void another_connection_is_told_apart_T19(void **state)
{
	struct fixture *f = *state;
	struct quic_seal s = seal_of(QUIC_V1, 0);
	struct quic_seal other = seal_of(QUIC_V1, 0);
	struct quic_seal server = seal_of(QUIC_V1, 1);

	assert_int_equal(feed_piece(f, &s, 0, 600), HELLO_MORE);
	/* The id that the server has chosen, with the keys that stay: nothing new. */
	server.cid = cid_b;
	server.key_cid = cid_a;
	server.key_cid_len = 8;
	server.cid_len = 4;
	assert_int_equal(feed_piece(f, &server, 600, 600), HELLO_MORE);
	/* Another of the client's, as after a Retry, or with another version. */
	other.cid = cid_b;
	assert_int_equal(feed_piece(f, &other, 0, 600), HELLO_OTHER);
	other = seal_of(QUIC_V2, 0);
	assert_int_equal(feed_piece(f, &other, 0, 600), HELLO_OTHER);
}

/* What a server must discard must not be what decides. */
static void packets_that_servers_discard_are_refused_T19(void **state)
{
	const struct hello_spec small = {.name = "b.example"};
	struct fixture *f = *state;
	struct quic_seal s = seal_of(QUIC_V1, 0);
	uint8_t frames[600] = {0};
	uint8_t datagram[1500];
	struct wr c = wr_init(frames, sizeof(frames));
	struct wr w = wr_init(datagram, sizeof(datagram));

	make_hello(f, &small);
	quic_seal_crypto(&c, 0, f->hello, f->hello_len);
	quic_seal_initial(&quic_crypto_plain, &s, frames, sizeof(frames), &w);
	assert_int_equal(feed(f, datagram, wr_len(&w)), HELLO_BAD); /* too short */
	forget(f);
	s.cid_len = 7;
	assert_int_equal(feed_piece(f, &s, 0, f->hello_len), HELLO_BAD);
	forget(f);
	s.cid_len = 8;
	s.key_cid = cid_b; /* it does not decrypt */
	s.key_cid_len = 8;
	assert_int_equal(feed_piece(f, &s, 0, f->hello_len), HELLO_BAD);
	forget(f);
	s.key_cid = NULL;
	assert_int_equal(feed_piece(f, &s, 0, f->hello_len), HELLO_NAME);
}

static void frames_that_an_initial_may_not_have_are_refused_T9(void **state)
{
	static const char *const wrong[] = {
	    "08",                  /* STREAM */
	    "1e",                  /* HANDSHAKE_DONE */
	    "06 00 ffff",          /* cut off */
	    "06 7fff 04 01020304", /* an offset beyond every hello: 16383 and 4 bytes */
	    "02 00 00 4001",       /* cut off in the ranges; behind it PADDING is read as ranges */
	    "06 00 04 02000000",   /* another message */
	    "06 00 04 01004000",   /* a message above QUIC_HELLO_MAX */
	};
	static const char *const right[] = {
	    "01",
	    "02 00 00 00 00",
	    "03 05 00 01 00 00 00 01 02 03",
	    "1c 00 00 02 6869",
	    "06 7ffc 04 00000000",
	};
	struct fixture *f = *state;
	struct quic_seal s = seal_of(QUIC_V1, 0);
	uint8_t frames[1180];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		size_t len = hex_put(frames, wrong[i]);

		forget(f);
		if (i == 4) {
			/* 16385 ranges and nothing behind them */
			memset(frames, 0, sizeof(frames));
			(void)hex_put(frames, "02 00 00 7fff");
			len = sizeof(frames);
		}
		if (feed_frames(f, &s, frames, len) != HELLO_BAD)
			fail_msg("%s", wrong[i]);
	}
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		size_t len = hex_put(frames, right[i]);

		forget(f);
		if (feed_frames(f, &s, frames, len) != HELLO_MORE)
			fail_msg("%s", right[i]);
	}
}

static void what_is_no_quic_and_other_versions_are_told_apart_T19(void **state)
{
	struct fixture *f = *state;
	uint8_t datagram[1200] = {0};
	struct quic_seal s = seal_of(QUIC_V1, 0);

	assert_int_equal(feed(f, datagram, 0), HELLO_NOT_TLS);
	assert_int_equal(
	    feed(f, datagram, 1200), HELLO_NOT_TLS); /* as STUN, DTLS, WireGuard begin */
	datagram[0] = 0xc0;
	assert_int_equal(feed(f, datagram, 3), HELLO_NOT_TLS);
	datagram[1] = 0xff; /* a draft */
	assert_int_equal(feed(f, datagram, 1200), HELLO_NO_NAME);
	datagram[1] = 0; /* version negotiation, which no client sends */
	assert_int_equal(feed(f, datagram, 1200), HELLO_NO_NAME);
	/* A version that is not known, behind a flight that is. */
	assert_int_equal(feed_piece(f, &s, 0, 600), HELLO_MORE);
	assert_int_equal(feed(f, datagram, 1200), HELLO_NO_NAME);
}

static void every_shorter_datagram_is_refused_or_waited_for(void **state)
{
	struct fixture *f = *state;
	struct quic_seal s = seal_of(QUIC_V1, 0);
	uint8_t frames[1180] = {0};
	uint8_t datagram[1500];
	struct wr c = wr_init(frames, sizeof(frames));
	struct wr w = wr_init(datagram, sizeof(datagram));
	const struct hello_spec small = {.name = "b.example"};

	make_hello(f, &small);
	quic_seal_crypto(&c, 0, f->hello, f->hello_len);
	quic_seal_initial(&quic_crypto_plain, &s, frames, sizeof(frames), &w);
	for (size_t len = 0; len < wr_len(&w); len++) {
		forget(f);
		assert_int_equal(feed(f, datagram, len), len < 7 ? HELLO_NOT_TLS : HELLO_MORE);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(primitives_are_those_of_libcrypto),
	    T(keys_are_those_of_RFC_9001_A_1_and_RFC_9369_A_1),
	    T(client_initials_of_the_RFCs_are_read_T19),
	    T(hello_over_datagrams_in_any_order_is_read_T8_T19),
	    T(frames_out_of_order_within_a_packet_are_read_T19),
	    T(coalesced_packets_are_read_T19),
	    T(token_and_all_lengths_of_numbers_are_read_T19),
	    T(numbers_are_completed),
	    T(other_bytes_at_the_same_place_are_refused_T19),
	    T(other_bytes_behind_a_whole_message_are_refused_T19),
	    T(another_connection_is_told_apart_T19),
	    T(packets_that_servers_discard_are_refused_T19),
	    T(frames_that_an_initial_may_not_have_are_refused_T9),
	    T(what_is_no_quic_and_other_versions_are_told_apart_T19),
	    T(every_shorter_datagram_is_refused_or_waited_for),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
