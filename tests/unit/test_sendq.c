/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of frames to a guest behind a socket. */
#include "unit.h"

#include <errno.h>

#include "port/sendq.h"

enum {
	PREFIX = 4,
	HEAD = 54,
};

struct model {
	struct sendq q;
	struct nic_counters counters;
	uint32_t filled; /* frames whose bytes have been written, counted up */
};

static void set_up(struct model *m)
{
	*m = (struct model){0};
	assert_int_equal(sendq_init(&m->q, PREFIX), 0);
}

/* Every byte of frame number n. */
static uint8_t mark(uint32_t n)
{
	return (uint8_t)(n * 37 + 1);
}

static void fill(struct nic_slot *slot, uint32_t body_len, uint8_t byte)
{
	memset(slot->head - PREFIX, byte, PREFIX + slot->head_len);
	if (body_len > 0)
		memset(slot->body->iov_base, byte, body_len);
}

static int reserve(struct model *m, uint32_t body_len, struct nic_slot *slot)
{
	return sendq_reserve(&m->q, HEAD, body_len, slot);
}

static void commit(struct model *m, struct nic_slot *slot, uint32_t body_len)
{
	fill(slot, body_len, mark(m->filled++));
	(void)sendq_commit(&m->q, slot, body_len);
}

static int add(struct model *m, uint32_t body_len)
{
	struct nic_slot slot;
	int err = reserve(m, body_len, &slot);

	if (!err)
		commit(m, &slot, body_len);
	return err;
}

/* Takes one frame off the front and looks at each of its bytes. */
static void take(struct model *m, uint32_t number, uint32_t len)
{
	struct iovec iov[1];
	const uint8_t *bytes;

	assert_int_equal(sendq_frames(&m->q, iov, 1), 1);
	assert_int_equal(iov->iov_len, PREFIX + len);
	bytes = iov->iov_base;
	for (uint32_t i = 0; i < PREFIX + HEAD && i < iov->iov_len; i++)
		assert_int_equal(bytes[i], mark(number));
	assert_int_equal(bytes[iov->iov_len - 1], mark(number));
	sendq_frames_sent(&m->q, 1, &m->counters);
}

static void frames_in_a_row_leave_as_one_piece(void **state)
{
	struct iovec iov[8];
	struct model m;

	(void)state;
	set_up(&m);
	for (int i = 0; i < 5; i++)
		assert_int_equal(add(&m, 1000), 0);
	assert_int_equal(sendq_count(&m.q), 5);
	assert_int_equal(sendq_stream(&m.q, iov, 8), 1);
	assert_int_equal(iov[0].iov_len, 5 * (PREFIX + HEAD + 1000));
	/* A part of the second frame stays. */
	sendq_stream_sent(&m.q, PREFIX + HEAD + 1000 + 10, &m.counters);
	assert_int_equal(m.counters.rx_frames, 1);
	assert_int_equal(m.counters.rx_bytes, HEAD + 1000);
	assert_int_equal(sendq_stream(&m.q, iov, 8), 1);
	assert_int_equal(iov[0].iov_len, 4 * (PREFIX + HEAD + 1000) - 10);
	sendq_stream_sent(&m.q, iov[0].iov_len, &m.counters);
	assert_int_equal(sendq_count(&m.q), 0);
	assert_int_equal(m.counters.rx_frames, 5);
	sendq_fini(&m.q);
}

static void what_a_commit_leaves_of_its_room_makes_a_gap_or_is_given_back(void **state)
{
	struct nic_slot a;
	struct nic_slot b;
	struct iovec iov[8];
	struct model m;

	(void)state;
	set_up(&m);
	assert_int_equal(reserve(&m, 1000, &a), 0);
	assert_int_equal(reserve(&m, 1000, &b), 0);
	commit(&m, &a, 500); /* b is behind it */
	commit(&m, &b, 200); /* the newest */
	assert_int_equal(add(&m, 100), 0);
	assert_int_equal(sendq_stream(&m.q, iov, 8), 2);
	assert_int_equal(iov[0].iov_len, PREFIX + HEAD + 500);
	assert_int_equal(iov[1].iov_len, 2 * (PREFIX + HEAD) + 300);
	/* No more pieces than are asked for. */
	assert_int_equal(sendq_stream(&m.q, iov, 1), 1);
	assert_int_equal(iov[0].iov_len, PREFIX + HEAD + 500);
	sendq_fini(&m.q);
}

static void short_frames_are_padded_with_zeros(void **state)
{
	struct nic_slot slot;
	struct iovec iov[1];
	const uint8_t *bytes;
	struct model m;

	(void)state;
	set_up(&m);
	memset(m.q.arena, 0xee, 1000);
	assert_int_equal(sendq_reserve(&m.q, 42, 0, &slot), 0);
	fill(&slot, 0, 1);
	assert_int_equal(sendq_commit(&m.q, &slot, 0), ETH_MIN_FRAME);
	assert_int_equal(sendq_frames(&m.q, iov, 1), 1);
	assert_int_equal(iov->iov_len, PREFIX + ETH_MIN_FRAME);
	bytes = iov->iov_base;
	for (int i = 0; i < PREFIX + ETH_MIN_FRAME; i++)
		assert_int_equal(bytes[i], i < PREFIX + 42 ? 1 : 0);
	sendq_fini(&m.q);
}

static void a_cancelled_reservation_leaves_no_trace(void **state)
{
	struct nic_slot a;
	struct nic_slot b;
	struct model m;

	(void)state;
	set_up(&m);
	assert_int_equal(add(&m, 10), 0);
	assert_int_equal(reserve(&m, 60000, &a), 0);
	assert_int_equal(reserve(&m, 60000, &b), 0);
	sendq_cancel(&m.q);
	sendq_cancel(&m.q);
	assert_int_equal(reserve(&m, 10, &b), 0);
	assert_ptr_equal(a.head, b.head);
	commit(&m, &b, 10);
	take(&m, 0, HEAD + 10);
	take(&m, 1, HEAD + 10);
	sendq_fini(&m.q);
}

static void reservations_are_bounded_in_number(void **state)
{
	struct nic_slot slots[NIC_BATCH_MAX];
	struct nic_slot slot;
	struct model m;

	(void)state;
	set_up(&m);
	for (int i = 0; i < NIC_BATCH_MAX; i++)
		assert_int_equal(reserve(&m, 10, &slots[i]), 0);
	assert_int_equal(reserve(&m, 10, &slot), -EAGAIN);
	for (int i = 0; i < NIC_BATCH_MAX; i++)
		commit(&m, &slots[i], 10);
	for (int i = NIC_BATCH_MAX; i < SENDQ_FRAMES; i++)
		assert_int_equal(add(&m, 10), 0);
	assert_int_equal(add(&m, 10), -EAGAIN);
	assert_false(sendq_is_roomy(&m.q));
	take(&m, 0, HEAD + 10);
	assert_int_equal(add(&m, 10), 0);
	sendq_fini(&m.q);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525U + 1013904223U;
	return *seed >> 8;
}

/* Frames of all lengths, in and out in any order, many times around the arena: none is overwritten, and a queue
 * that refuses was really full. */
static void frames_survive_the_way_round(void **state)
{
	static uint32_t lens[1 << 16];
	uint32_t seed = 1;
	uint32_t taken = 0;
	uint32_t refused = 0;
	struct model m;

	(void)state;
	set_up(&m);
	while (m.filled < 20000) {
		uint32_t body = next_random(&seed) % (next_random(&seed) % 4 == 0 ? 65000 : 3000);

		if (next_random(&seed) % 5 < 3) {
			if (next_random(&seed) % 8 == 0) {
				struct nic_slot slot;

				if (!reserve(&m, body, &slot))
					sendq_cancel(&m.q);
			}
			lens[m.filled] = HEAD + body;
			if (add(&m, body) == -EAGAIN) {
				refused++;
				assert_false(sendq_is_roomy(&m.q));
			}
		} else if (sendq_count(&m.q) > 0) {
			uint32_t len = lens[taken] < ETH_MIN_FRAME ? 0 : lens[taken];

			if (len > 0)
				take(&m, taken, len);
			else
				sendq_frames_sent(&m.q, 1, &m.counters);
			taken++;
		}
	}
	assert_true(refused > 100);
	sendq_lose(&m.q, UINT32_MAX, &m.counters);
	assert_int_equal(m.counters.rx_frames + m.counters.rx_lost, m.filled);
	assert_int_equal(sendq_count(&m.q), 0);
	sendq_fini(&m.q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(frames_in_a_row_leave_as_one_piece),
	    cmocka_unit_test(what_a_commit_leaves_of_its_room_makes_a_gap_or_is_given_back),
	    cmocka_unit_test(short_frames_are_padded_with_zeros),
	    cmocka_unit_test(a_cancelled_reservation_leaves_no_trace),
	    cmocka_unit_test(reservations_are_bounded_in_number),
	    cmocka_unit_test(frames_survive_the_way_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
