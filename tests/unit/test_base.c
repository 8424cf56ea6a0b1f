/* SPDX-License-Identifier: Apache-2.0 */
/* Small parts of base: reader, writer, checksum, hash, index, pool, chain, bucket, addresses, text. */
#include "unit.h"

#include <errno.h>

#include "base/addr.h"
#include "base/bucket.h"
#include "base/chain.h"
#include "base/csum.h"
#include "base/htab.h"
#include "base/pool.h"
#include "base/rd.h"
#include "base/siphash.h"
#include "base/text.h"
#include "base/wr.h"

static uint32_t rng_state = 2463534242U;

static uint32_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 17;
	rng_state ^= rng_state << 5;
	return rng_state;
}

static void reader_gives_zero_past_the_end_for_good(void **state)
{
	uint8_t *bytes = exact_copy("\x01\x02\x03\x04\x05", 5);
	struct rd r = rd_init(bytes, 5);

	(void)state;
	assert_int_equal(rd_be32(&r), 0x01020304);
	assert_int_equal(rd_left(&r), 1);
	assert_int_equal(rd_be16(&r), 0);
	assert_false(rd_ok(&r));
	assert_int_equal(rd_u8(&r), 0); /* although one byte is left */
	assert_int_equal(rd_left(&r), 0);
	free(bytes);
}

static void sub_reader_cannot_leave_its_body(void **state)
{
	uint8_t *bytes = exact_copy("\x01\x02\x03", 3);
	struct rd r = rd_init(bytes, 3);
	struct rd sub = rd_sub(&r, 2);
	struct rd none;

	(void)state;
	assert_int_equal(rd_be16(&sub), 0x0102);
	assert_int_equal(rd_u8(&sub), 0);
	assert_false(rd_ok(&sub));
	assert_int_equal(rd_u8(&r), 3);
	none = rd_sub(&r, 1);
	assert_false(rd_ok(&none));
	assert_false(rd_ok(&r));
	free(bytes);
}

static void writer_stops_at_the_end(void **state)
{
	uint8_t *buf = exact_copy("xxxxx", 5);
	struct wr w = wr_init(buf, 5);

	(void)state;
	wr_be32(&w, 0x01020304);
	wr_be16(&w, 0x0506);
	assert_false(wr_ok(&w));
	wr_u8(&w, 7);
	assert_int_equal(wr_len(&w), 4);
	assert_memory_equal(buf, "\x01\x02\x03\x04x", 5);
	free(buf);
}

/* The definition in RFC 1071, word by word. */
static uint16_t slow_csum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void checksum_equals_its_definition_in_any_pieces(void **state)
{
	(void)state;
	for (int round = 0; round < 2000; round++) {
		size_t len = rng() % 300;
		uint8_t bytes[300];
		struct csum c = {0};
		size_t at = 0;

		for (size_t i = 0; i < len; i++)
			bytes[i] = round % 3 == 0 ? 0xff : (uint8_t)rng();
		while (at < len) {
			size_t step = 1 + rng() % (len - at);
			uint8_t *piece = exact_copy(bytes + at, step);

			csum_add(&c, piece, step);
			at += step;
			free(piece);
		}
		assert_int_equal(csum_finish(&c), slow_csum(bytes, len));
		assert_int_equal(csum_of(bytes, len), slow_csum(bytes, len));
	}
}

static void checksum_of_rfc1071_example(void **state)
{
	(void)state;
	assert_int_equal((uint16_t)~csum_of("\x00\x01\xf2\x03\xf4\xf5\xf6\xf7", 8), 0xddf2);
}

static void pseudo_header_of_both_families(void **state)
{
	struct ip_addr a = ip_addr_v4(0xc0000201);
	struct ip_addr b = ip_addr_v4(0xc6336401);
	struct ip_addr six;
	struct csum c = {0};
	uint8_t expect4[12] = {192, 0, 2, 1, 198, 51, 100, 1, 0, 17, 0, 9};
	uint8_t expect6[40] = {0};

	(void)state;
	csum_add_pseudo(&c, &a, &b, 17, 9);
	assert_int_equal(csum_finish(&c), slow_csum(expect4, sizeof(expect4)));

	assert_int_equal(ip_addr_parse("2001:db8::7", &six), 0);
	c = (struct csum){0};
	csum_add_pseudo(&c, &six, &a, 6, 70000);
	memcpy(expect6, six.b, 16);
	memcpy(expect6 + 16, a.b, 16);
	put_be32(expect6 + 32, 70000);
	expect6[39] = 6;
	assert_int_equal(csum_finish(&c), slow_csum(expect6, sizeof(expect6)));
}

static void siphash13_of_known_vectors(void **state)
{
	/* Key 00..0f, message 00 01 02 …; from the rust and OpenBSD implementations of 1-3. */
	struct siphash_key key = {.k = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL}};
	uint8_t msg[16];

	(void)state;
	for (int i = 0; i < 16; i++)
		msg[i] = (uint8_t)i;
	assert_true(siphash13(&key, msg, 0) == 0xabac0158050fc4dcULL);
	assert_true(siphash13(&key, msg, 1) == 0xc9f49bf37d57ca93ULL);
	assert_true(siphash13(&key, msg, 8) == 0x369095118d299a8eULL);
}

static void index_finds_what_is_in_it_and_nothing_else(void **state)
{
	enum {
		ENTRIES = 1000
	};
	bool is_in[ENTRIES] = {false};
	uint32_t hash[ENTRIES];
	struct htab t;

	(void)state;
	assert_int_equal(htab_init(&t, ENTRIES), 0);
	for (int round = 0; round < 50000; round++) {
		uint32_t i = rng() % ENTRIES;
		uint32_t pos;
		uint32_t found;

		if (is_in[i]) {
			htab_remove(&t, hash[i], i);
		} else {
			hash[i] = rng() % 64 == 0 ? 7 : rng() & 0xfff; /* collisions wanted */
			assert_int_equal(htab_insert(&t, hash[i], i), 0);
		}
		is_in[i] = !is_in[i];

		i = rng() % ENTRIES;
		if (!is_in[i])
			continue;
		pos = htab_start(&t, hash[i]);
		do {
			found = htab_next(&t, hash[i], &pos);
			assert_int_not_equal(found, HTAB_NONE);
		} while (found != i);
	}
	for (uint32_t i = 0; i < ENTRIES; i++)
		if (is_in[i])
			htab_remove(&t, hash[i], i);
	assert_int_equal(t.count, 0);
	for (uint32_t i = 0; i <= t.mask; i++)
		assert_int_equal(t.slots[i].entry_plus_1, 0);
	htab_fini(&t);
}

static void index_refuses_more_than_its_limit(void **state)
{
	struct htab t;

	(void)state;
	assert_int_equal(htab_init(&t, 2), 0);
	assert_int_equal(htab_insert(&t, 1, 0), 0);
	assert_int_equal(htab_insert(&t, 1, 1), 0);
	assert_int_equal(htab_insert(&t, 1, 2), -ENOSPC);
	htab_fini(&t);
}

struct thing {
	struct pool_head head;
	uint32_t value;
};

static void stale_handles_find_nothing(void **state)
{
	struct pool p;
	struct thing *t;
	struct pool_ref old;

	(void)state;
	assert_int_equal(pool_init(&p, sizeof(struct thing), 100), 0);
	t = pool_take(&p);
	t->value = 5;
	old = pool_ref_of(t);
	assert_ptr_equal(pool_find(&p, old), t);
	pool_put(&p, t);
	assert_null(pool_find(&p, old));
	t = pool_take(&p);
	assert_int_equal(t->value, 0);
	assert_int_equal(t->head.index, old.index); /* the same place, */
	assert_null(pool_find(&p, old));            /* another object */
	assert_null(pool_find(&p, (struct pool_ref){0}));
	assert_null(pool_find(&p, (struct pool_ref){.index = 99, .gen = 1}));
	pool_put(&p, t);
	for (int i = 0; i < 100; i++)
		assert_non_null(pool_take(&p));
	assert_null(pool_take(&p));
	assert_int_equal(p.in_use, 100);
	pool_fini(&p);
}

static void chain_gives_back_the_same_bytes(void **state)
{
	struct chain c = {0};
	uint32_t in = 0;
	uint32_t out = 0;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		struct iovec iov[4];
		uint8_t piece[9000];
		size_t len = rng() % 100 == 0 ? rng() % sizeof(piece) : rng() % 100;
		size_t n;
		size_t taken = 0;

		for (size_t i = 0; i < len; i++)
			piece[i] = (uint8_t)((in + i) * 7 >> 3);
		assert_int_equal(chain_append(&c, piece, len), 0);
		in += (uint32_t)len;
		/* One block's slack at either end, and a header for each block. */
		assert_true(c.memory <= c.len + 2 * 4096 + 64 * (c.len / 4000 + 2) + 9000);
		n = chain_peek(&c, iov, 4);
		for (size_t i = 0; i < n; i++)
			for (size_t k = 0; k < iov[i].iov_len; k++, taken++)
				assert_int_equal(((uint8_t *)iov[i].iov_base)[k],
				    (uint8_t)((out + taken) * 7 >> 3));
		taken = taken > 0 ? rng() % (taken + 1) : 0;
		chain_consume(&c, taken);
		out += (uint32_t)taken;
		assert_int_equal(c.len, in - out);
	}
	chain_clear(&c);
	assert_int_equal(c.memory, 0);
	assert_null(c.first);
}

static void bucket_allows_a_burst_and_then_its_rate(void **state)
{
	struct bucket b = {.interval_ns = 100, .burst = 3};

	(void)state;
	assert_true(bucket_take(&b, 1000));
	assert_true(bucket_take(&b, 1000));
	assert_true(bucket_take(&b, 1000));
	assert_false(bucket_take(&b, 1000));
	assert_false(bucket_take(&b, 1099));
	assert_true(bucket_take(&b, 1100));
	assert_false(bucket_take(&b, 1100));
	assert_true(bucket_take(&b, 100000));
	assert_true(bucket_take(&b, 100000));
	assert_true(bucket_take(&b, 100000));
	assert_false(bucket_take(&b, 100000));
}

static void addresses_have_one_spelling_each(void **state)
{
	static const char *const bad[] = {"", "1.2.3", "1.2.3.4.5", "01.2.3.4", "0x7f.0.0.1",
	    "127.1", "2130706433", "1.2.3.256", " 1.2.3.4", "1.2.3.4 ", "[::1]", "fe80::1%eth0",
	    ":::", "1::2::3", "12345::", "::1/128"};
	static const char *const good[][2] = {{"192.0.2.1", "192.0.2.1"}, {"::", "::"},
	    {"::1", "::1"}, {"2001:DB8:0:0::1", "2001:db8::1"}, {"::ffff:10.0.0.1", "10.0.0.1"},
	    {"0.0.0.0", "0.0.0.0"}};
	char text[IP_ADDR_TEXT_MAX];
	struct ip_addr a;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ip_addr_parse(bad[i], &a), -EINVAL);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(ip_addr_parse(good[i][0], &a), 0);
		assert_string_equal(ip_addr_format(&a, text), good[i][1]);
	}
}

static void prefixes_match_at_bit_borders(void **state)
{
	struct ip_addr prefix = ip_addr_v4(0xac100000); /* 172.16.0.0/12 */
	struct ip_addr in = ip_addr_v4(0xac1fffff);
	struct ip_addr out = ip_addr_v4(0xac200000);

	(void)state;
	assert_true(ip_addr_in_prefix(&in, &prefix, 96 + 12));
	assert_false(ip_addr_in_prefix(&out, &prefix, 96 + 12));
	assert_true(ip_addr_in_prefix(&out, &prefix, 0));
	assert_true(ip_addr_in_prefix(&in, &in, 128));
	assert_false(ip_addr_in_prefix(&in, &out, 128));
}

static void macs_are_read_strictly(void **state)
{
	static const char *const bad[] = {"", "02:6d:73:00:00:0", "02:6d:73:00:00:0g",
	    "02-6d-73-00-00-02", "02:6d:73:00:00:02:", "2:6d:73:00:00:02x"};
	struct mac_addr m;
	char text[MAC_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(mac_addr_parse(bad[i], &m), -EINVAL);
	assert_int_equal(mac_addr_parse("02:6D:73:01:02:ff", &m), 0);
	assert_string_equal(mac_addr_format(&m, text), "02:6d:73:01:02:ff");
}

static void text_is_cut_not_overrun(void **state)
{
	char *buf = (char *)exact_copy("xxxxxx", 6);
	struct text t;

	(void)state;
	t = text_init(buf, 6);
	text_str(&t, "abc");
	text_printf(&t, "%d", 12345);
	assert_true(t.is_cut);
	text_str(&t, "x");
	assert_string_equal(buf, "abc");
	free(buf);
}

static void json_strings_cannot_be_left(void **state)
{
	char buf[100];
	struct text t = text_init(buf, sizeof(buf));

	(void)state;
	text_json_str(&t, "a\"b\\\n\x1b[0m\xc3\xa4", 11);
	assert_string_equal(buf, "\"a\\\"b\\\\\\u000a\\u001b[0m\\u00c3\\u00a4\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reader_gives_zero_past_the_end_for_good),
	    cmocka_unit_test(sub_reader_cannot_leave_its_body),
	    cmocka_unit_test(writer_stops_at_the_end),
	    cmocka_unit_test(checksum_equals_its_definition_in_any_pieces),
	    cmocka_unit_test(checksum_of_rfc1071_example),
	    cmocka_unit_test(pseudo_header_of_both_families),
	    cmocka_unit_test(siphash13_of_known_vectors),
	    cmocka_unit_test(index_finds_what_is_in_it_and_nothing_else),
	    cmocka_unit_test(index_refuses_more_than_its_limit),
	    cmocka_unit_test(stale_handles_find_nothing),
	    cmocka_unit_test(chain_gives_back_the_same_bytes),
	    cmocka_unit_test(bucket_allows_a_burst_and_then_its_rate),
	    cmocka_unit_test(addresses_have_one_spelling_each),
	    cmocka_unit_test(prefixes_match_at_bit_borders),
	    cmocka_unit_test(macs_are_read_strictly),
	    cmocka_unit_test(text_is_cut_not_overrun),
	    cmocka_unit_test(json_strings_cannot_be_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
