/* SPDX-License-Identifier: Apache-2.0 */
/* Out-of-order data of a TCP connection, against a plain array of what has come. */
#include "unit.h"

#include "base/chain.h"
#include "frames.h"
#include "stack/tcp_ooo.h"

enum {
	SPAN = 4096,
	ROUNDS = 300,
	SEGMENTS = 60,
	SEGMENT_MAX = 200,
};

static const uint32_t base_seq = 0xfffff800; /* the numbers wrap within the span */

static uint8_t byte_at(uint32_t off)
{
	return (uint8_t)(off * 11 + off / 256);
}

static uint32_t rng = 1;

static uint32_t random_below(uint32_t below)
{
	rng = rng * 1664525 + 1013904223;
	return (rng >> 8) % below;
}

static enum drop_reason insert(struct tcp_ooo *q, uint32_t off, uint32_t len, uint8_t change)
{
	uint8_t bytes[SPAN];
	struct mk_frame m;
	enum drop_reason why;

	for (uint32_t i = 0; i < len; i++)
		bytes[i] = byte_at(off + i) ^ change;
	why = tcp_ooo_insert(q, base_seq + off, mk_stage(&m, bytes, len), 0, len);
	mk_unstage(&m);
	return why;
}

/* Takes what follows off without a hole, which must be len bytes of the stream. */
static void take(struct tcp_ooo *q, uint32_t off, uint32_t len)
{
	struct chain to = {0};
	struct iovec iov[64];
	size_t count;

	assert_int_equal(tcp_ooo_take(q, base_seq + off, &to), len);
	assert_int_equal(to.len, len);
	while (to.len > 0) {
		count = chain_peek(&to, iov, 64);
		for (size_t i = 0; i < count; i++) {
			for (size_t k = 0; k < iov[i].iov_len; k++)
				assert_int_equal(((uint8_t *)iov[i].iov_base)[k], byte_at(off++));
			len = (uint32_t)iov[i].iov_len;
			chain_consume(&to, len);
		}
	}
	chain_clear(&to);
}

static uint32_t count_of(const bool *has)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < SPAN; i++)
		n += has[i];
	return n;
}

static void whatever_the_order_each_byte_is_kept_once(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct tcp_ooo q = {0};
		bool has[SPAN] = {false};
		uint32_t at = 0;

		for (int i = 0; i < SEGMENTS; i++) {
			uint32_t off = 1 + random_below(SPAN - SEGMENT_MAX - 1);
			uint32_t len = 1 + random_below(SEGMENT_MAX);

			assert_int_equal(insert(&q, off, len, 0), DROP_NONE);
			memset(has + off, true, len);
			assert_int_equal(q.len, count_of(has));
		}
		/* Each hole is filled from elsewhere, then what follows it is there. */
		while (at < SPAN) {
			uint32_t end = at;

			if (!has[at]) {
				at++;
				continue;
			}
			assert_int_equal(tcp_ooo_first_seq(&q), base_seq + at);
			while (end < SPAN && has[end])
				end++;
			take(&q, at, end - at);
			at = end;
		}
		assert_int_equal(q.len, 0);
		assert_int_equal(q.pieces, 0);
		assert_null(q.first);
		assert_null(q.last);
	}
}

static void segments_in_order_behind_a_hole_follow_the_last_one(void **state)
{
	struct tcp_ooo q = {0};

	(void)state;
	for (uint32_t i = 0; i < TCP_OOO_PIECES_MAX; i++) {
		struct tcp_ooo_piece *before = q.last;

		assert_int_equal(insert(&q, 10 + 16 * i, 16, 0), DROP_NONE);
		assert_ptr_not_equal(q.last, before);
	}
	assert_int_equal(insert(&q, 10 + 16 * TCP_OOO_PIECES_MAX, 1, 0), DROP_TCP_OOO_LIMIT);
	take(&q, 10, 16 * TCP_OOO_PIECES_MAX);
	/* The end is found again after the queue was empty. */
	assert_int_equal(insert(&q, 50, 10, 0), DROP_NONE);
	assert_int_equal(insert(&q, 60, 10, 0), DROP_NONE);
	assert_int_equal(insert(&q, 40, 10, 0), DROP_NONE);
	take(&q, 40, 30);
	tcp_ooo_clear(&q);
}

/* P7 */
static void copy_with_another_byte_is_a_conflict(void **state)
{
	struct tcp_ooo q = {0};

	(void)state;
	assert_int_equal(insert(&q, 100, 50, 0), DROP_NONE);
	assert_int_equal(insert(&q, 120, 10, 0), DROP_NONE);
	assert_int_equal(insert(&q, 149, 1, 1), DROP_TCP_CONFLICT);
	assert_int_equal(insert(&q, 90, 11, 1), DROP_TCP_CONFLICT);
	assert_int_equal(insert(&q, 150, 10, 0), DROP_NONE);
	assert_int_equal(insert(&q, 159, 1, 1), DROP_TCP_CONFLICT);
	tcp_ooo_clear(&q);
	assert_null(q.last);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(whatever_the_order_each_byte_is_kept_once),
	    cmocka_unit_test(segments_in_order_behind_a_hole_follow_the_last_one),
	    cmocka_unit_test(copy_with_another_byte_is_a_conflict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
