/* SPDX-License-Identifier: Apache-2.0 */
/* ClientHellos over any segmentation, and hellos that lie (threats.md T6 to T9; behaviours.md C17). */
#include "unit.h"

#include "hellos.h"
#include "wire/tls_hello.h"

enum {
	STREAM_MAX = 512 << 10,
};

/* Puts the stream through in pieces of that many bytes, each an exact copy. */
static enum hello_result feed(const uint8_t *stream, size_t len, size_t piece, size_t *ret_fed)
{
	struct tls_frames f = {0};
	enum hello_result result = HELLO_MORE;
	size_t at = 0;

	while (at < len && result == HELLO_MORE) {
		size_t take = len - at < piece ? len - at : piece;
		uint8_t *copy = exact_copy(stream + at, take);

		result = tls_frames_feed(&f, copy, take);
		free(copy);
		at += take;
	}
	*ret_fed = at;
	return result;
}

/* The whole way of a stream: frames, then the message. */
static enum hello_result read_stream(
    const uint8_t *stream, size_t len, size_t piece, struct tls_hello *ret_hello)
{
	struct tls_frames f = {0};
	uint8_t *out = malloc(TLS_HELLO_MAX);
	uint8_t *message;
	size_t fed;
	enum hello_result result = feed(stream, len, piece, &fed);

	assert_non_null(out);
	if (result == HELLO_NAME) {
		assert_int_equal(fed, len);
		tls_frames_copy(&f, stream, len, out);
		message = exact_copy(out, f.have);
		result = tls_hello_read(message, f.have, ret_hello);
		free(message);
	}
	free(out);
	return result;
}

static enum hello_result read_spec(
    const struct hello_spec *s, size_t per_record, size_t piece, struct tls_hello *ret_hello)
{
	uint8_t *message = malloc(STREAM_MAX);
	uint8_t *stream = malloc(STREAM_MAX);
	struct wr m = wr_init(message, STREAM_MAX);
	struct wr w = wr_init(stream, STREAM_MAX);
	enum hello_result result;

	assert_true(message && stream);
	hello_put(&m, s);
	hello_put_records(&w, message, wr_len(&m), per_record);
	assert_true(wr_ok(&m) && wr_ok(&w));
	result = read_stream(stream, wr_len(&w), piece, ret_hello);
	free(message);
	free(stream);
	return result;
}

static void name_is_read_over_any_segmentation_T7(void **state)
{
	static const size_t sizes[] = {1, 2, 3, 5, 7, 50, 100, 16384};
	const struct hello_spec s = {.name = "Api.Example.COM.", .alpn = "h2"};

	(void)state;
	for (size_t r = 0; r < sizeof(sizes) / sizeof(sizes[0]); r++)
		for (size_t p = 0; p < sizeof(sizes) / sizeof(sizes[0]); p++) {
			struct tls_hello h;

			assert_int_equal(read_spec(&s, sizes[r], sizes[p], &h), HELLO_NAME);
			assert_string_equal(h.name.text, "api.example.com");
			assert_int_equal(h.alpn, TLS_ALPN_H2);
		}
}

static void hello_of_post_quantum_size_is_read_T8(void **state)
{
	const struct hello_spec s = {.name = "a.example", .padding = 12000};
	struct tls_hello h;

	(void)state;
	assert_int_equal(read_spec(&s, 16384, 1460, &h), HELLO_NAME);
	assert_string_equal(h.name.text, "a.example");
}

static void largest_hello_is_read_and_a_larger_one_refused_T7(void **state)
{
	struct tls_frames f = {0};
	uint8_t head[] = {22, 3, 1, 0x40, 0, 1, 1, 0, 0};
	struct tls_hello h;
	struct hello_spec s = {.name = "a.example", .padding = 65000};

	(void)state;
	assert_int_equal(read_spec(&s, 16384, 1460, &h), HELLO_NAME);
	/* 65536 bytes behind the head of the message. */
	assert_int_equal(tls_frames_feed(&f, head, sizeof(head)), HELLO_BAD);
	f = (struct tls_frames){0};
	head[6] = 0;
	head[7] = 0xff;
	head[8] = 0xfc;
	assert_int_equal(tls_frames_feed(&f, head, sizeof(head)), HELLO_MORE);
	f = (struct tls_frames){0};
	head[8] = 0xfd;
	assert_int_equal(tls_frames_feed(&f, head, sizeof(head)), HELLO_BAD);
}

static void hello_without_name_is_told_apart_T2(void **state)
{
	struct hello_spec s = {0};
	struct tls_hello h;

	(void)state;
	assert_int_equal(read_spec(&s, 16384, 100, &h), HELLO_NO_NAME);
	s.has_no_extensions = true;
	assert_int_equal(read_spec(&s, 16384, 100, &h), HELLO_NO_NAME);
	assert_int_equal(h.name.len, 0);
	assert_int_equal(h.alpn, 0);
}

static void encrypted_hello_is_told_apart_T6(void **state)
{
	struct hello_spec s = {.name = "outer.example", .has_ech = true};
	struct tls_hello h;

	(void)state;
	assert_int_equal(read_spec(&s, 16384, 100, &h), HELLO_ECH);
	assert_string_equal(h.name.text, "outer.example");
	s.name = NULL;
	assert_int_equal(read_spec(&s, 16384, 100, &h), HELLO_ECH);
	assert_int_equal(h.name.len, 0);
}

static void two_names_and_names_of_other_types_are_refused_T9(void **state)
{
	static const struct hello_spec wrong[] = {
	    {.name = "a.example", .name_again = "b.example"},
	    {.name = "a.example", .name_again = "a.example"},
	    {.name = "a.example", .has_two_sni = true},
	    {.name = "a.example", .name_type = 1},
	    {.name = ""},
	    {.name = "a..example"},
	    {.name = "a.example.."},
	    {.name = "192.0.2.1"},
	    {.name = "a b.example"},
	    {.name = "\xc3\xa4.example"},
	};
	struct tls_hello h;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(read_spec(&wrong[i], 16384, 4096, &h), HELLO_BAD);
}

static void lengths_that_lie_are_refused_T9(void **state)
{
	struct tls_hello h;

	(void)state;
	for (int lie = -3; lie <= 3; lie++) {
		struct hello_spec list = {.name = "a.example", .list_lie = lie};
		struct hello_spec name = {.name = "a.example", .name_lie = lie};
		struct hello_spec ext = {.name = "a.example", .ext_lie = lie};
		struct hello_spec all = {.name = "a.example", .all_lie = lie};
		enum hello_result want = lie == 0 ? HELLO_NAME : HELLO_BAD;

		assert_int_equal(read_spec(&list, 16384, 4096, &h), want);
		assert_int_equal(read_spec(&name, 16384, 4096, &h), want);
		assert_int_equal(read_spec(&ext, 16384, 4096, &h), want);
		assert_int_equal(read_spec(&all, 16384, 4096, &h), want);
	}
}

static void number_of_extensions_is_bounded_T9(void **state)
{
	/* There are two more. */
	struct hello_spec s = {.name = "a.example", .count_more = TLS_EXTENSIONS_MAX - 2};
	struct tls_hello h;

	(void)state;
	assert_int_equal(read_spec(&s, 16384, 4096, &h), HELLO_NAME);
	s.count_more++;
	assert_int_equal(read_spec(&s, 16384, 4096, &h), HELLO_BAD);
}

static void every_shorter_message_is_refused_T9(void **state)
{
	const struct hello_spec s = {.name = "a.example", .alpn = "http/1.1"};
	uint8_t message[512];
	struct wr w = wr_init(message, sizeof(message));
	struct tls_hello h;

	(void)state;
	hello_put(&w, &s);
	for (size_t len = 0; len < wr_len(&w); len++) {
		uint8_t *copy = exact_copy(message, len);

		assert_int_equal(tls_hello_read(copy, len, &h), HELLO_BAD);
		/* Also where the message's own length agrees, and there are no extensions then. */
		if (len > 50) {
			copy[3] = (uint8_t)(len - 4);
			assert_int_equal(tls_hello_read(copy, len, &h), HELLO_BAD);
		}
		free(copy);
	}
}

static void other_protocols_are_told_at_their_first_bytes_T17(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		enum hello_result want;
		size_t fed;
	} cases[] = {
	    {"SSH-2.0", 7, HELLO_NOT_TLS, 1},
	    {"\x80\x2e\x01\x03\x01", 5, HELLO_NOT_TLS, 1},
	    {"\x16\x02", 2, HELLO_NOT_TLS, 2},
	    {"\x15\x03\x01\x00\x02", 5, HELLO_NOT_TLS, 1},
	    {"\x16\x03\x01\x00\x00", 5, HELLO_BAD, 5},
	    {"\x16\x03\x01\x40\x01", 5, HELLO_BAD, 5},
	    {"\x16\x03\x01\x00\x04\x02\x00\x00\x00", 9, HELLO_BAD, 9},
	    /* an alert between two records of one message */
	    {"\x16\x03\x01\x00\x01\x01\x15\x03\x01\x00\x02", 11, HELLO_BAD, 7},
	    {"\x16\x03\x01\x00\x01\x01\x16\x02\x01\x00\x02", 11, HELLO_BAD, 8},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t fed;
		enum hello_result got =
		    feed((const uint8_t *)cases[i].bytes, cases[i].len, 1, &fed);

		assert_int_equal(got, cases[i].want);
		assert_int_equal(fed, cases[i].fed);
	}
}

/* A second message in the record of the first is none of a client's. */
static void bytes_behind_the_message_in_its_record_are_refused_T9(void **state)
{
	const struct hello_spec s = {.name = "a.example"};
	uint8_t message[512];
	uint8_t stream[600];
	struct wr m = wr_init(message, sizeof(message));
	struct wr w = wr_init(stream, sizeof(stream));
	size_t fed;

	(void)state;
	hello_put(&m, &s);
	wr_u8(&m, 0);
	hello_put_records(&w, message, wr_len(&m), 16384);
	assert_int_equal(feed(stream, wr_len(&w), 1, &fed), HELLO_BAD);
	assert_int_equal(feed(stream, wr_len(&w), 600, &fed), HELLO_BAD);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(name_is_read_over_any_segmentation_T7),
	    cmocka_unit_test(hello_of_post_quantum_size_is_read_T8),
	    cmocka_unit_test(largest_hello_is_read_and_a_larger_one_refused_T7),
	    cmocka_unit_test(hello_without_name_is_told_apart_T2),
	    cmocka_unit_test(encrypted_hello_is_told_apart_T6),
	    cmocka_unit_test(two_names_and_names_of_other_types_are_refused_T9),
	    cmocka_unit_test(lengths_that_lie_are_refused_T9),
	    cmocka_unit_test(number_of_extensions_is_bounded_T9),
	    cmocka_unit_test(every_shorter_message_is_refused_T9),
	    cmocka_unit_test(other_protocols_are_told_at_their_first_bytes_T17),
	    cmocka_unit_test(bytes_behind_the_message_in_its_record_are_refused_T9),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
