/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-process port, both sides on one thread: reference.md 1.1.2 to 1.1.13. Rows of that table are named where
 * a test is their counterpart.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>

#include "port/ring.h"
#include "unit.h"
#include "wire/vnet.h"

enum {
	MTU = 1500,
	TEXT_MAX = 256,
	BIG = 65000,
};

static struct ring *make(const struct ring_config *cfg)
{
	struct ring *r;

	assert_int_equal(ring_new(cfg, &r), 0);
	return r;
}

/* The engine's turn: it looks, and does not wait. */
static uint32_t look(struct ring *r)
{
	struct port *p = ring_port(r);

	return p->ops->poll(p, false);
}

/* The engine is about to wait. True: it may. */
static bool falls_asleep(struct ring *r)
{
	struct port *p = ring_port(r);

	return p->ops->poll(p, true) == 0;
}

static struct ring *make_attached(uint32_t frames, uint32_t features)
{
	struct ring_config cfg = {.tx_frames = frames, .rx_frames = frames, .mtu = MTU};
	struct ring *r = make(&cfg);

	assert_int_equal(ring_attach(r, features, false), 0);
	(void)look(r);
	(void)ring_events(r);
	return r;
}

static struct ring *make_posted(uint32_t features, bool is_mergeable)
{
	struct ring_config cfg = {.rx_frames = 64, .mtu = MTU, .is_rx_posted = true};
	struct ring *r = make(&cfg);

	assert_int_equal(ring_attach(r, features, is_mergeable), 0);
	(void)look(r);
	return r;
}

static bool is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* A frame of len bytes whose bytes tell its number, with a header that tells it too. */
static uint8_t *frame_new(uint32_t number, uint32_t len)
{
	struct vnet_hdr h = {.gso_size = (uint16_t)number};
	uint8_t *f = malloc(VNET_HDR_SIZE + len);

	assert_non_null(f);
	vnet_build(&h, f);
	for (uint32_t i = 0; i < len; i++)
		f[VNET_HDR_SIZE + i] = (uint8_t)(number * 7 + i);
	return f;
}

static int push(struct ring *r, uint32_t number, uint32_t len)
{
	uint8_t *f = frame_new(number, len);
	struct iovec iov = {.iov_base = f, .iov_len = VNET_HDR_SIZE + len};
	int result = ring_tx_push(r, &iov, 1);

	free(f);
	return result;
}

static void assert_frame(const struct frame *f, uint32_t number, uint32_t len)
{
	uint8_t *expected = frame_new(number, len);
	uint8_t *copy = malloc(len);
	uint32_t head = len < FRAME_HEAD_MIN ? len : FRAME_HEAD_MIN;

	assert_non_null(copy);
	assert_int_equal(f->len, len);
	assert_true(f->head_len >= head);
	assert_int_equal(f->vnet.gso_size, (uint16_t)number);
	assert_memory_equal(f->head, expected + VNET_HDR_SIZE, head);
	frame_copy(f, 0, copy, len);
	assert_memory_equal(copy, expected + VNET_HDR_SIZE, len);
	free(copy);
	free(expected);
}

/* The engine takes one frame. */
static void assert_staged(struct ring *r, uint32_t number, uint32_t len)
{
	struct nic *nic = &ring_port(r)->nic;
	struct frame f;

	assert_int_equal(nic->ops->stage(nic, &f), 1);
	assert_frame(&f, number, len);
	nic->ops->release(nic, 1);
}

static void flush_engine(struct ring *r)
{
	struct nic *nic = &ring_port(r)->nic;

	nic->ops->flush(nic);
}

/* The engine sends a frame that carries a number; -EAGAIN: no room. */
static int send(struct ring *r, uint32_t number, uint32_t len, uint32_t reserved)
{
	struct nic *nic = &ring_port(r)->nic;
	struct vnet_hdr h = {.gso_size = (uint16_t)number};
	uint8_t *f = frame_new(number, len);
	struct nic_slot slot;
	uint32_t at = ETH_HDR_SIZE;
	int err = nic->ops->reserve(nic, ETH_HDR_SIZE, reserved - ETH_HDR_SIZE, &slot);

	if (!err) {
		memcpy(slot.head, f + VNET_HDR_SIZE, ETH_HDR_SIZE);
		for (uint32_t i = 0; i < slot.body_count && at < len; i++) {
			uint32_t take = slot.body[i].iov_len < len - at
					    ? (uint32_t)slot.body[i].iov_len
					    : len - at;

			memcpy(slot.body[i].iov_base, f + VNET_HDR_SIZE + at, take);
			at += take;
		}
		assert_int_equal(at, len);
		nic->ops->commit(nic, &slot, len - ETH_HDR_SIZE, &h);
	}
	free(f);
	return err;
}

/* What a guest finds: header and frame. */
static void assert_received(
    const uint8_t *bytes, uint32_t got, uint32_t number, uint32_t len, uint16_t buffers)
{
	uint8_t *expected = frame_new(number, len);
	uint32_t padded = len < ETH_MIN_FRAME ? ETH_MIN_FRAME : len;
	struct vnet_hdr h = vnet_parse(bytes);

	assert_int_equal(got, VNET_HDR_SIZE + padded);
	assert_int_equal(h.gso_size, (uint16_t)number);
	assert_int_equal(h.num_buffers, buffers);
	assert_memory_equal(bytes + VNET_HDR_SIZE, expected + VNET_HDR_SIZE, len);
	for (uint32_t i = len; i < padded; i++)
		assert_int_equal(bytes[VNET_HDR_SIZE + i], 0);
	free(expected);
}

static void assert_rx(struct ring *r, uint32_t number, uint32_t len)
{
	struct ring_frame f;

	assert_int_equal(ring_rx_stage(r, &f), 1);
	assert_received(f.bytes, f.len, number, len, 1);
	ring_rx_consume(r);
}

/* ---- tx ---- */

static void frames_come_in_order_with_their_headers(void **state)
{
	struct ring *r = make_attached(0, 0);
	struct frame f;

	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(push(r, i, 14 + i * 13), 0);
	assert_int_equal(look(r), PORT_HAS_FRAMES);
	for (uint32_t i = 0; i < 100; i++)
		assert_staged(r, i, 14 + i * 13);
	assert_int_equal(ring_port(r)->nic.ops->stage(&ring_port(r)->nic, &f), 0);
	assert_int_equal(look(r), 0);
	port_free(ring_port(r));
}

static void a_frame_in_pieces_is_put_together(void **state)
{
	struct ring *r = make_attached(0, 0);
	uint8_t *f = frame_new(5, 400);
	struct iovec iov[] = {{.iov_base = f, .iov_len = 5}, {.iov_base = NULL, .iov_len = 0},
	    {.iov_base = f + 5, .iov_len = 30}, {.iov_base = f + 35, .iov_len = 377}};

	(void)state;
	assert_int_equal(ring_tx_push(r, iov, 4), 0);
	assert_staged(r, 5, 400);
	free(f);
	port_free(ring_port(r));
}

/* 1.1.2: the default is 1024 frames each way. 1.1.6, 1.1.7: a full queue is told, counted, and resumes by event. */
static void a_full_queue_refuses_and_tells_when_there_is_room(void **state)
{
	struct ring *r = make_attached(0, 0);
	uint32_t i = 0;

	(void)state;
	while (push(r, i, 64) == 0)
		i++;
	assert_int_equal(i, RING_FRAMES_DEFAULT);
	assert_int_equal(push(r, i, 64), -EAGAIN);
	assert_int_equal(ring_counters(r)->tx_refused, 2);
	assert_int_equal(ring_counters(r)->tx_frames, 1024);
	assert_int_equal(ring_counters(r)->tx_bytes, 1024 * 64);
	assert_false(is_readable(ring_fd(r)));
	/* Not at each frame, but when half of them are gone. */
	for (i = 0; i < 511; i++)
		assert_staged(r, i, 64);
	flush_engine(r);
	assert_false(is_readable(ring_fd(r)));
	assert_staged(r, i, 64);
	flush_engine(r);
	assert_true(is_readable(ring_fd(r)));
	assert_int_equal(ring_events(r), RING_EVENT_ROOM);
	assert_false(is_readable(ring_fd(r)));
	for (i = 0; i < 512; i++)
		assert_int_equal(push(r, 1024 + i, 64), 0);
	assert_int_equal(push(r, i, 64), -EAGAIN);
	for (i = 512; i < 1536; i++)
		assert_staged(r, i, 64);
	assert_int_equal(ring_port(r)->nic.counters.tx_frames, 1536);
	assert_int_equal(ring_port(r)->nic.counters.tx_bytes, 1536 * 64);
	port_free(ring_port(r));
}

static void bytes_limit_too_and_an_empty_queue_takes_the_largest_frame(void **state)
{
	struct ring *r = make_attached(8, 0);
	uint32_t i = 0;

	(void)state;
	while (push(r, i, FRAME_LEN_MAX) == 0)
		i++;
	assert_int_equal(i, 4);
	assert_int_equal(push(r, 9, 64), -EAGAIN);
	for (i = 0; i < 4; i++)
		assert_staged(r, i, FRAME_LEN_MAX);
	assert_int_equal(push(r, 9, FRAME_LEN_MAX), 0);
	assert_staged(r, 9, FRAME_LEN_MAX);
	port_free(ring_port(r));
}

/* The arena is walked around many times in steps of all sizes, never more than the queue holds. */
static void order_and_bytes_hold_around_the_end(void **state)
{
	struct ring *r = make_attached(16, 0);
	uint32_t random = 1;
	uint32_t pushed = 0;
	uint32_t taken = 0;
	uint32_t lens[64];

	(void)state;
	while (taken < 20000) {
		random = random * 1103515245 + 12345;
		if (random >> 31 || taken == pushed) {
			uint32_t len = 14 + (random >> 8) % (random % 3 == 0 ? BIG : 1500);

			if (push(r, pushed, len) == 0)
				lens[pushed++ % 64] = len;
			assert_true(pushed - taken <= 16);
		} else {
			assert_staged(r, taken, lens[taken % 64]);
			taken++;
			flush_engine(r);
		}
	}
	port_free(ring_port(r));
}

static void frames_of_wrong_sizes_are_refused(void **state)
{
	struct ring *r = make_attached(0, 0);
	struct iovec huge[2] = {{.iov_len = SIZE_MAX}, {.iov_len = 64}};

	(void)state;
	assert_int_equal(push(r, 0, 13), -EMSGSIZE);
	assert_int_equal(push(r, 0, 14), 0);
	assert_int_equal(push(r, 1, FRAME_LEN_MAX + 1), -EMSGSIZE);
	assert_int_equal(push(r, 1, FRAME_LEN_MAX), 0);
	assert_int_equal(ring_tx_push(r, huge, 2), -EMSGSIZE);
	assert_int_equal(ring_tx_lend(r, huge, 2, 0), -EMSGSIZE);
	assert_int_equal(ring_tx_push(r, NULL, 0), -EMSGSIZE);
	assert_int_equal(ring_tx_lend(r, NULL, 0, 0), -EINVAL);
	assert_staged(r, 0, 14);
	assert_staged(r, 1, FRAME_LEN_MAX);
	port_free(ring_port(r));
}

/* 1.1.10: several may be staged, each stays as it is until it is released. */
static void staged_frames_stay_until_released(void **state)
{
	struct ring *r = make_attached(64, 0);
	struct nic *nic = &ring_port(r)->nic;
	struct frame f[17];

	(void)state;
	for (uint32_t i = 0; i < 32; i++)
		assert_int_equal(push(r, i, 100), 0);
	for (uint32_t i = 0; i < 16; i++)
		assert_int_equal(nic->ops->stage(nic, &f[i]), 1);
	assert_int_equal(nic->ops->stage(nic, &f[16]), -ENOBUFS);
	for (uint32_t i = 32; i < 64; i++)
		assert_int_equal(push(r, i, 100), 0);
	for (uint32_t i = 0; i < 16; i++)
		assert_frame(&f[i], i, 100);
	nic->ops->release(nic, 16);
	assert_staged(r, 16, 100);
	port_free(ring_port(r));
}

/* ---- lent tx ---- */

struct lent {
	uint8_t *bytes;
	struct iovec iov[RING_IOV_MAX];
	size_t count;
};

/* A frame in pieces of a size, the header in a piece of its own if header is that size. */
static struct lent lent_new(uint32_t number, uint32_t len, uint32_t header, uint32_t piece)
{
	struct lent l = {.bytes = frame_new(number, len)};
	uint32_t left = VNET_HDR_SIZE + len;
	uint8_t *at = l.bytes;

	while (left > 0) {
		uint32_t take = l.count == 0 ? header : piece;

		if (take > left || l.count == RING_IOV_MAX - 1)
			take = left;
		l.iov[l.count++] = (struct iovec){.iov_base = at, .iov_len = take};
		at += take;
		left -= take;
	}
	return l;
}

static void lent_frames_are_read_in_place_and_come_back(void **state)
{
	static const uint32_t headers[] = {1, 11, 12, 13, 100, 268, 2000};
	static const uint32_t pieces[] = {1, 5, 200, 5000};
	struct ring *r = make_attached(4, 0);
	uint64_t cookies[4];

	(void)state;
	for (size_t i = 0; i < 7; i++) {
		for (size_t k = 0; k < 4; k++) {
			uint32_t len = pieces[k] == 1 ? 40 : 3000;
			struct lent l = lent_new(9, len, headers[i], pieces[k]);

			assert_int_equal(ring_tx_lend(r, l.iov, l.count, i * 100 + k), 0);
			assert_int_equal(ring_tx_reclaim(r, cookies, 4), 0);
			assert_staged(r, 9, len);
			assert_int_equal(ring_tx_reclaim(r, cookies, 4), 1);
			assert_int_equal(cookies[0], i * 100 + k);
			free(l.bytes);
		}
	}
	port_free(ring_port(r));
}

/* A scatter list may have pieces of no bytes, and these have no address. */
static void pieces_of_no_bytes_are_none(void **state)
{
	struct ring *r = make_attached(4, 0);
	uint8_t *bytes = frame_new(9, 100);
	const struct iovec none = {.iov_base = NULL, .iov_len = 0};
	const struct iovec iov[] = {none, {.iov_base = bytes, .iov_len = 5}, none,
	    {.iov_base = bytes + 5, .iov_len = VNET_HDR_SIZE - 5}, none,
	    {.iov_base = bytes + VNET_HDR_SIZE, .iov_len = 100}, none};
	struct nic *nic = &ring_port(r)->nic;
	struct frame f;

	(void)state;
	assert_int_equal(ring_tx_lend(r, iov, 7, 1), 0);
	assert_int_equal(nic->ops->stage(nic, &f), 1);
	assert_int_equal(f.iov_count, 1);
	assert_ptr_equal(f.iov[0].iov_base, bytes + VNET_HDR_SIZE);
	assert_int_equal(f.iov[0].iov_len, 100);
	assert_memory_equal(f.head, bytes + VNET_HDR_SIZE, f.head_len);
	nic->ops->release(nic, 1);
	port_free(ring_port(r));
	free(bytes);
}

static void the_headers_of_a_lent_frame_cannot_change_under_the_reader(void **state)
{
	struct ring *r = make_attached(4, 0);
	struct nic *nic = &ring_port(r)->nic;
	struct lent l = lent_new(3, 1000, 12, 100);
	uint8_t *expected = frame_new(3, 1000);
	struct frame f;

	(void)state;
	assert_int_equal(ring_tx_lend(r, l.iov, l.count, 1), 0);
	assert_int_equal(nic->ops->stage(nic, &f), 1);
	memset(l.bytes, 0xff, VNET_HDR_SIZE + 1000);
	assert_int_equal(f.vnet.gso_size, 3);
	assert_int_equal(f.head_len, FRAME_HEAD_MIN);
	assert_memory_equal(f.head, expected + VNET_HDR_SIZE, FRAME_HEAD_MIN);
	nic->ops->release(nic, 1);
	free(expected);
	free(l.bytes);
	port_free(ring_port(r));
}

static void lent_and_copied_frames_mix_and_cookies_come_in_order(void **state)
{
	struct ring *r = make_attached(8, 0);
	struct lent l[4];
	uint64_t cookies[8];

	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		l[i] = lent_new(2 * i, 500, 12, 128);
		assert_int_equal(ring_tx_lend(r, l[i].iov, l[i].count, 70 + i), 0);
		assert_int_equal(push(r, 2 * i + 1, 200), 0);
	}
	assert_int_equal(push(r, 9, 200), -EAGAIN);
	assert_staged(r, 0, 500);
	/* Consumed, but not taken back: no room, and no event would come. */
	assert_int_equal(push(r, 9, 200), -EBUSY);
	assert_int_equal(ring_tx_reclaim(r, cookies, 1), 1);
	assert_int_equal(cookies[0], 70);
	assert_int_equal(push(r, 8, 200), 0);
	for (uint32_t i = 0; i < 3; i++) {
		assert_staged(r, 2 * i + 1, 200);
		assert_staged(r, 2 * i + 2, 500);
	}
	assert_staged(r, 7, 200);
	assert_staged(r, 8, 200);
	assert_int_equal(ring_tx_reclaim(r, cookies, 8), 3);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(cookies[i], 71 + i);
	for (uint32_t i = 0; i < 4; i++)
		free(l[i].bytes);
	port_free(ring_port(r));
}

static void nothing_to_take_back_is_followed_by_an_event(void **state)
{
	struct ring *r = make_attached(8, 0);
	struct lent l = lent_new(0, 500, 12, 128);
	uint64_t cookie;

	(void)state;
	assert_int_equal(ring_tx_lend(r, l.iov, l.count, 42), 0);
	assert_int_equal(ring_tx_reclaim(r, &cookie, 1), 0);
	assert_false(is_readable(ring_fd(r)));
	assert_staged(r, 0, 500);
	flush_engine(r);
	assert_true(is_readable(ring_fd(r)));
	assert_int_equal(ring_events(r), RING_EVENT_BACK);
	assert_int_equal(ring_tx_reclaim(r, &cookie, 1), 1);
	assert_int_equal(cookie, 42);
	free(l.bytes);
	port_free(ring_port(r));
}

/* ---- rx ---- */

/* 1.1.10, at the VMM's side. */
static void staging_again_returns_the_same_frame_until_it_is_consumed_or_dropped(void **state)
{
	struct ring *r = make_attached(0, 0);
	struct ring_frame a;
	struct ring_frame b;

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(send(r, i, 100, 200), 0);
	assert_int_equal(ring_rx_stage(r, &a), 1);
	assert_int_equal(ring_rx_stage(r, &b), 1);
	assert_ptr_equal(a.bytes, b.bytes);
	ring_rx_drop(r);
	assert_rx(r, 1, 100);
	assert_rx(r, 2, 100);
	assert_int_equal(ring_rx_stage(r, &a), 0);
	ring_rx_consume(r); /* nothing is staged: nothing happens */
	ring_rx_drop(r);
	assert_int_equal(ring_counters(r)->rx_frames, 2);
	assert_int_equal(ring_counters(r)->rx_bytes, 200);
	assert_int_equal(ring_counters(r)->rx_dropped, 1);
	port_free(ring_port(r));
}

/* A15: at least 60 bytes. 1.1.12: exactly what was delivered is counted. */
static void short_frames_are_padded_and_counted_so(void **state)
{
	struct ring *r = make_attached(0, 0);

	(void)state;
	assert_int_equal(send(r, 1, 42, 42), 0);
	assert_rx(r, 1, 42);
	assert_int_equal(ring_port(r)->nic.counters.rx_frames, 1);
	assert_int_equal(ring_port(r)->nic.counters.rx_bytes, 60);
	assert_int_equal(ring_counters(r)->rx_bytes, 60);
	port_free(ring_port(r));
}

/* 1.1.11: without room nothing is built, not even a reply, and the engine resumes when there is some. */
static void the_engine_waits_for_room_and_is_woken(void **state)
{
	struct ring *r = make_attached(8, 0);
	uint64_t wakes = ring_counters(r)->wakes;
	uint32_t i = 0;

	(void)state;
	while (send(r, i, 100, 100) == 0)
		i++;
	assert_int_equal(i, 8);
	flush_engine(r);
	assert_true(falls_asleep(r));
	for (i = 0; i < 3; i++)
		assert_rx(r, i, 100);
	ring_flush(r);
	assert_int_equal(ring_counters(r)->wakes, wakes);
	assert_rx(r, 3, 100);
	ring_flush(r);
	assert_int_equal(ring_counters(r)->wakes, wakes + 1);
	assert_int_equal(look(r), PORT_HAS_ROOM);
	assert_int_equal(look(r), 0);
	assert_int_equal(send(r, 8, 100, 100), 0);
	for (i = 4; i < 9; i++)
		assert_rx(r, i, 100);
	port_free(ring_port(r));
}

static void what_a_reservation_does_not_use_is_free_again(void **state)
{
	struct ring *r = make_attached(0, 0);
	struct nic *nic = &ring_port(r)->nic;
	struct nic_slot slots[3];

	(void)state;
	/* 1024 frames of 100 bytes, each with room for 64 KiB reserved, in 2 MiB. */
	for (uint32_t i = 0; i < RING_FRAMES_DEFAULT; i++)
		assert_int_equal(send(r, i, 100, BIG), 0);
	assert_int_equal(send(r, 0, 100, 100), -EAGAIN);
	for (uint32_t i = 0; i < RING_FRAMES_DEFAULT; i++)
		assert_rx(r, i, 100);
	/* Also when a frame is committed while others are open, which are then cancelled. */
	for (uint32_t i = 0; i < 200; i++) {
		for (int k = 0; k < 3; k++)
			assert_int_equal(nic->ops->reserve(nic, ETH_HDR_SIZE, BIG, &slots[k]), 0);
		nic->ops->commit(nic, &slots[0], 86, NULL);
		nic->ops->cancel(nic, &slots[2]);
		nic->ops->cancel(nic, &slots[1]);
	}
	port_free(ring_port(r));
}

static void rx_order_and_bytes_hold_around_the_end(void **state)
{
	struct ring *r = make_attached(16, 0);
	uint32_t random = 7;
	uint32_t sent = 0;
	uint32_t taken = 0;
	uint32_t lens[64];

	(void)state;
	while (taken < 20000) {
		random = random * 1103515245 + 12345;
		if (random >> 31 || taken == sent) {
			uint32_t len = 14 + (random >> 8) % (random % 3 == 0 ? BIG : 1500);

			if (send(r, sent, len, random % 5 == 0 ? BIG + 14 : len) == 0)
				lens[sent++ % 64] = len;
			assert_true(sent - taken <= 16);
		} else {
			assert_rx(r, taken, lens[taken % 64]);
			taken++;
		}
	}
	port_free(ring_port(r));
}

/* ---- wakes ---- */

/* 1.1.5, 1.1.13: one wake for a pass, however many frames; none while the other side is awake. */
static void one_pass_wakes_once(void **state)
{
	struct ring *r = make_attached(0, 0);
	struct ring_frame f;
	uint64_t wakes = ring_counters(r)->wakes;

	(void)state;
	assert_int_equal(ring_rx_stage(r, &f), 0);
	for (uint32_t i = 0; i < 50; i++)
		assert_int_equal(send(r, i, 100, 100), 0);
	assert_false(is_readable(ring_fd(r)));
	flush_engine(r);
	assert_true(is_readable(ring_fd(r)));
	assert_int_equal(ring_events(r), RING_EVENT_RX);
	assert_int_equal(ring_rx_stage(r, &f), 1);
	assert_int_equal(send(r, 50, 100, 100), 0);
	flush_engine(r);
	assert_false(is_readable(ring_fd(r)));

	/* Towards the engine. */
	assert_int_equal(push(r, 0, 64), 0);
	ring_flush(r);
	assert_int_equal(ring_counters(r)->wakes, wakes);
	assert_int_equal(look(r), PORT_HAS_FRAMES);
	assert_false(falls_asleep(r));
	assert_staged(r, 0, 64);
	assert_true(falls_asleep(r));
	for (uint32_t i = 0; i < 50; i++)
		assert_int_equal(push(r, i, 64), 0);
	ring_flush(r);
	ring_flush(r);
	assert_int_equal(ring_counters(r)->wakes, wakes + 1);
	assert_int_equal(push(r, 50, 64), 0);
	ring_flush(r);
	assert_int_equal(ring_counters(r)->wakes, wakes + 1);
	port_free(ring_port(r));
}

/* 1.1.8: the descriptor tells as long as there is something to tell, and is read once per wake at most. */
static void the_descriptor_is_level_true(void **state)
{
	struct ring *r = make_attached(0, 0);
	struct ring_frame f;

	(void)state;
	assert_int_equal(ring_rx_stage(r, &f), 0);
	assert_int_equal(send(r, 0, 100, 100), 0);
	flush_engine(r);
	assert_true(is_readable(ring_fd(r)));
	assert_true(is_readable(ring_fd(r)));
	/* Found without having asked: the event is still told once, and the wish is not forgotten. */
	assert_rx(r, 0, 100);
	assert_int_equal(ring_rx_stage(r, &f), 0);
	assert_true(is_readable(ring_fd(r)));
	assert_int_equal(ring_events(r), 0);
	assert_false(is_readable(ring_fd(r)));
	assert_int_equal(send(r, 1, 100, 100), 0);
	flush_engine(r);
	assert_true(is_readable(ring_fd(r)));
	assert_int_equal(ring_events(r), RING_EVENT_RX);
	port_free(ring_port(r));
}

static void frames_are_not_announced_to_who_takes_none(void **state)
{
	struct ring *r = make_attached(0, 0);
	struct port *p = ring_port(r);
	uint64_t wakes = ring_counters(r)->wakes;

	(void)state;
	assert_int_equal(push(r, 0, 64), 0);
	p->nic.is_held = true;
	assert_int_equal(p->ops->poll(p, false), 0);
	assert_int_equal(p->ops->poll(p, true), 0);
	assert_int_equal(push(r, 1, 64), 0);
	ring_flush(r);
	assert_int_equal(ring_counters(r)->wakes, wakes);
	p->nic.is_held = false;
	assert_int_equal(p->ops->poll(p, true), PORT_HAS_FRAMES);
	port_free(p);
}

static void an_event_of_one_kind_does_not_swallow_another(void **state)
{
	struct ring *r = make_attached(2, 0);
	struct ring_frame f;

	(void)state;
	assert_int_equal(push(r, 0, 64), 0);
	assert_int_equal(push(r, 1, 64), 0);
	assert_int_equal(push(r, 2, 64), -EAGAIN);
	assert_staged(r, 0, 64);
	flush_engine(r);
	/* The wake for room is out; asking for frames must not take it away. */
	assert_int_equal(ring_rx_stage(r, &f), 0);
	assert_true(is_readable(ring_fd(r)));
	assert_int_equal(ring_events(r), RING_EVENT_ROOM);
	assert_int_equal(send(r, 0, 100, 100), 0);
	flush_engine(r);
	assert_true(is_readable(ring_fd(r)));
	assert_int_equal(ring_events(r), RING_EVENT_RX);
	port_free(ring_port(r));
}

/* ---- posted buffers ---- */

struct buffers {
	uint8_t *bytes[64]; /* exact size */
	uint32_t len;
	uint32_t count;
};

/* Posts buffers of len bytes in pieces, the first of which has first bytes. */
static void post(
    struct ring *r, struct buffers *b, uint32_t count, uint32_t len, uint32_t first, uint32_t piece)
{
	b->len = len;
	for (uint32_t i = 0; i < count; i++) {
		struct iovec iov[RING_IOV_MAX];
		uint32_t at = 0;
		size_t pieces = 0;
		uint8_t *bytes = malloc(len);

		assert_non_null(bytes);
		memset(bytes, 0xee, len);
		while (at < len) {
			uint32_t take = pieces == 0 ? first : piece;

			if (take > len - at || pieces == RING_IOV_MAX - 1)
				take = len - at;
			iov[pieces++] = (struct iovec){.iov_base = bytes + at, .iov_len = take};
			at += take;
		}
		b->bytes[b->count] = bytes;
		assert_int_equal(ring_rx_post(r, iov, pieces, b->count), 0);
		b->count++;
	}
}

static void buffers_free(struct buffers *b)
{
	for (uint32_t i = 0; i < b->count; i++)
		free(b->bytes[i]);
}

/* Takes one frame out of posted buffers and checks it. */
static void assert_taken(struct ring *r, const struct buffers *b, uint64_t first_cookie,
    uint16_t buffers, uint32_t number, uint32_t len)
{
	struct ring_done done[RING_BUFFERS_MAX];
	uint32_t padded = VNET_HDR_SIZE + (len < ETH_MIN_FRAME ? ETH_MIN_FRAME : len);
	uint8_t *whole = malloc(padded);
	uint32_t at = 0;

	assert_non_null(whole);
	assert_int_equal(ring_rx_take(r, done, buffers), buffers);
	for (uint32_t i = 0; i < buffers; i++) {
		assert_int_equal(done[i].cookie, first_cookie + i);
		assert_int_equal(done[i].buffers, i == 0 ? buffers : 0);
		assert_true(at + done[i].len <= padded);
		memcpy(whole + at, b->bytes[done[i].cookie], done[i].len);
		at += done[i].len;
	}
	assert_received(whole, at, number, len, buffers);
	free(whole);
}

static void posted_buffers_are_filled_in_place(void **state)
{
	static const uint32_t firsts[] = {1, 12, 13, 26, 40, 70000};
	static const uint32_t pieces[] = {4096, 1500};

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		for (size_t k = 0; k < 2; k++) {
			struct ring *r = make_posted(NIC_F_CSUM | NIC_F_TSO4, false);
			struct buffers b = {0};

			post(r, &b, 3, 70000, firsts[i], pieces[k]);
			assert_int_equal(send(r, 1, 42, 42), 0);
			assert_int_equal(send(r, 2, BIG, BIG), 0);
			assert_int_equal(send(r, 3, 100, BIG), 0);
			assert_int_equal(send(r, 4, 100, 100), -EAGAIN);
			assert_taken(r, &b, 0, 1, 1, 42);
			assert_taken(r, &b, 1, 1, 2, BIG);
			assert_taken(r, &b, 2, 1, 3, 100);
			assert_int_equal(ring_counters(r)->rx_frames, 3);
			assert_int_equal(ring_counters(r)->rx_bytes, 60 + BIG + 100);
			buffers_free(&b);
			port_free(ring_port(r));
		}
	}
}

static void a_frame_uses_as_many_buffers_as_it_needs(void **state)
{
	struct ring *r = make_posted(NIC_F_CSUM | NIC_F_TSO4, true);
	struct buffers b = {0};

	(void)state;
	post(r, &b, 60, 1526, 12, 2000);
	assert_int_equal(send(r, 1, 42, 42), 0);
	assert_int_equal(send(r, 2, 1514, BIG), 0);
	assert_int_equal(send(r, 3, 1515, BIG), 0);
	assert_int_equal(send(r, 4, 20000, BIG), 0);
	assert_taken(r, &b, 0, 1, 1, 42);
	assert_taken(r, &b, 1, 1, 2, 1514);
	assert_taken(r, &b, 2, 2, 3, 1515);
	assert_taken(r, &b, 4, 14, 4, 20000);
	/* 42 are left: not enough for what could be received. */
	assert_int_equal(send(r, 5, 100, BIG), -EAGAIN);
	assert_int_equal(send(r, 5, 100, 40000), 0);
	assert_taken(r, &b, 18, 1, 5, 100);
	assert_int_equal(ring_counters(r)->rx_frames, 5);
	buffers_free(&b);
	port_free(ring_port(r));
}

static void several_reservations_in_posted_buffers(void **state)
{
	struct ring *r = make_posted(NIC_F_CSUM | NIC_F_TSO4, true);
	struct nic *nic = &ring_port(r)->nic;
	struct buffers b = {0};
	struct nic_slot s[4];
	struct ring_done done[64];

	(void)state;
	post(r, &b, 40, 4096, 4096, 4096);
	for (int i = 0; i < 4; i++)
		assert_int_equal(nic->ops->reserve(nic, ETH_HDR_SIZE, 30000, &s[i]), 0);
	nic->ops->cancel(nic, &s[3]);
	/* A short one between two others: what it does not use comes back unused. */
	nic->ops->commit(nic, &s[0], 30000, NULL);
	nic->ops->commit(nic, &s[1], 5000, NULL);
	nic->ops->commit(nic, &s[2], 100, NULL);
	assert_int_equal(ring_rx_take(r, done, 64), 17);
	assert_int_equal(done[0].buffers, 8);
	assert_int_equal(done[8].buffers, 2);
	assert_int_equal(done[9].len, VNET_HDR_SIZE + ETH_HDR_SIZE + 5000 - 4096);
	for (int i = 10; i < 16; i++) {
		assert_int_equal(done[i].len, 0);
		assert_int_equal(done[i].buffers, 0);
	}
	assert_int_equal(done[16].buffers, 1);
	/* What the last one did not use is used next. */
	assert_int_equal(send(r, 7, 100, 100), 0);
	assert_taken(r, &b, 17, 1, 7, 100);
	assert_int_equal(ring_counters(r)->rx_frames, 4);
	buffers_free(&b);
	port_free(ring_port(r));
}

/* Buffers of one frame of the MTU, of which a frame may use one, hold what a guest without offloads gets,
 * whatever could be received. */
static void small_buffers_hold_small_frames(void **state)
{
	static const bool mergeable[] = {false, true};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct ring *r = make_posted(0, mergeable[i]);
		struct buffers b = {0};

		post(r, &b, 2, 1526, 12, 2000);
		assert_int_equal(send(r, 1, 1514, BIG), 0);
		assert_int_equal(send(r, 2, 42, BIG), 0);
		assert_int_equal(send(r, 3, 42, BIG), -EAGAIN);
		assert_taken(r, &b, 0, 1, 1, 1514);
		assert_taken(r, &b, 1, 1, 2, 42);
		buffers_free(&b);
		port_free(ring_port(r));
	}
}

static void a_frame_that_no_buffer_holds_is_lost_and_counted(void **state)
{
	struct ring *r = make_posted(NIC_F_CSUM | NIC_F_TSO4, false);
	struct buffers b = {0};

	(void)state;
	post(r, &b, 1, 1526, 12, 2000);
	assert_int_equal(send(r, 1, BIG, BIG), 0);
	assert_int_equal(ring_port(r)->nic.counters.rx_lost, 1);
	assert_int_equal(ring_port(r)->nic.counters.rx_frames, 0);
	assert_int_equal(send(r, 2, 1000, BIG), 0);
	assert_taken(r, &b, 0, 1, 2, 1000);
	buffers_free(&b);
	port_free(ring_port(r));
}

static void more_pieces_than_a_batch_holds_are_right_too(void **state)
{
	struct ring *r = make_posted(NIC_F_CSUM | NIC_F_TSO4, true);
	struct buffers b = {0};

	(void)state;
	post(r, &b, 20, 4000, 12, 64); /* 63 pieces each */
	assert_int_equal(send(r, 1, 20000, BIG), 0);
	assert_taken(r, &b, 0, 6, 1, 20000);
	buffers_free(&b);
	port_free(ring_port(r));
}

static void the_engine_waits_for_buffers_and_is_woken(void **state)
{
	struct ring *r = make_posted(0, false);
	struct buffers b = {0};
	struct ring_done done;
	uint64_t wakes = ring_counters(r)->wakes;

	(void)state;
	assert_int_equal(send(r, 1, 100, 100), -EAGAIN);
	assert_true(falls_asleep(r));
	post(r, &b, 1, 2000, 12, 2000);
	assert_int_equal(ring_counters(r)->wakes, wakes);
	ring_flush(r);
	assert_int_equal(ring_counters(r)->wakes, wakes + 1);
	assert_int_equal(look(r), PORT_HAS_ROOM);
	assert_int_equal(ring_rx_take(r, &done, 1), 0);
	assert_int_equal(send(r, 1, 100, 100), 0);
	flush_engine(r);
	assert_int_equal(ring_events(r), RING_EVENT_RX);
	assert_taken(r, &b, 0, 1, 1, 100);
	buffers_free(&b);
	port_free(ring_port(r));
}

static void wrong_buffers_are_refused(void **state)
{
	struct ring *posted = make_posted(0, false);
	struct ring *copied = make_attached(0, 0);
	uint8_t bytes[RING_BUFFER_MIN];
	struct iovec iov[RING_IOV_MAX + 1] = {{.iov_base = bytes, .iov_len = sizeof(bytes) - 1}};
	struct ring_frame f;
	struct ring_done done;
	uint32_t count = 0;

	(void)state;
	assert_int_equal(ring_rx_post(posted, iov, 1, 0), -EMSGSIZE);
	iov[0].iov_len = 1UL << 31;
	assert_int_equal(ring_rx_post(posted, iov, 1, 0), -EMSGSIZE);
	iov[0].iov_len = sizeof(bytes);
	assert_int_equal(ring_rx_post(posted, iov, 0, 0), -EINVAL);
	assert_int_equal(ring_rx_post(posted, iov, RING_IOV_MAX + 1, 0), -EINVAL);
	assert_int_equal(ring_rx_post(copied, iov, 1, 0), -ENOTSUP);
	assert_int_equal(ring_rx_stage(posted, &f), -ENOTSUP);
	assert_int_equal(ring_rx_take(copied, &done, 1), 0);
	while (ring_rx_post(posted, iov, 1, count) == 0)
		count++;
	assert_int_equal(count, 64);
	assert_int_equal(ring_rx_post(posted, iov, 1, count), -EAGAIN);
	assert_int_equal(send(posted, 0, 60, 60), 0);
	assert_int_equal(ring_rx_post(posted, iov, 1, count), -EBUSY);
	assert_int_equal(ring_rx_take(posted, &done, 1), 1);
	assert_int_equal(ring_rx_post(posted, iov, 1, count), 0);
	port_free(ring_port(posted));
	port_free(ring_port(copied));
}

/* ---- the driver ---- */

struct attached {
	uint32_t features;
	int times;
};

static void on_attach(void *ctx, uint32_t features)
{
	struct attached *a = ctx;

	a->features = features;
	a->times++;
}

static void without_a_driver_nothing_passes(void **state)
{
	struct ring_config cfg = {.mtu = MTU};
	struct ring *r = make(&cfg);

	(void)state;
	assert_int_equal(push(r, 0, 64), -ENOTCONN);
	assert_int_equal(send(r, 0, 64, 64), -EAGAIN);
	assert_int_equal(ring_detach(r), 0);
	port_free(ring_port(r));
}

static void features_are_the_drivers_and_end_with_it(void **state)
{
	struct attached a = {0};
	struct ring_config cfg = {.mtu = MTU, .on_attach = on_attach, .ctx = &a};
	struct ring *r = make(&cfg);
	struct nic *nic = &ring_port(r)->nic;

	(void)state;
	assert_int_equal(nic->features, 0);
	assert_int_equal(send(r, 0, 64, 64), -EAGAIN);
	assert_true(falls_asleep(r));
	assert_int_equal(ring_attach(r, NIC_F_CSUM | NIC_F_TSO6, true), 0);
	assert_int_equal(ring_attach(r, NIC_F_CSUM, true), -EISCONN);
	assert_int_equal(ring_counters(r)->wakes, 1);
	assert_int_equal(look(r), PORT_HAS_FRAMES | PORT_HAS_ROOM | PORT_IS_NEW);
	assert_int_equal(nic->features, NIC_F_CSUM | NIC_F_TSO6);
	assert_int_equal(a.features, NIC_F_CSUM | NIC_F_TSO6);
	assert_int_equal(a.times, 1);
	assert_true(falls_asleep(r));
	assert_int_equal(ring_detach(r), -EINPROGRESS);
	assert_int_equal(ring_detach(r), -EINPROGRESS);
	assert_int_equal(ring_attach(r, 0, false), -EBUSY);
	assert_int_equal(push(r, 0, 64), -ENOTCONN);
	assert_int_equal(ring_counters(r)->wakes, 2);
	(void)look(r);
	assert_int_equal(nic->features, 0);
	assert_int_equal(send(r, 0, 64, 64), -EAGAIN);
	assert_true(is_readable(ring_fd(r)));
	assert_int_equal(ring_events(r), RING_EVENT_DOWN);
	assert_int_equal(ring_detach(r), 0);
	assert_int_equal(ring_attach(r, 0, false), 0);
	(void)look(r);
	assert_int_equal(a.times, 2);
	assert_int_equal(send(r, 0, 64, 64), 0);
	port_free(ring_port(r));
}

/* A driver that comes and goes before the engine has looked. */
static void the_engine_may_miss_a_driver(void **state)
{
	struct ring_config cfg = {.mtu = MTU};
	struct ring *r = make(&cfg);

	(void)state;
	assert_int_equal(ring_attach(r, NIC_F_CSUM, false), 0);
	assert_int_equal(push(r, 0, 64), 0);
	assert_int_equal(ring_detach(r), -EINPROGRESS);
	assert_int_equal(look(r), PORT_HAS_FRAMES | PORT_HAS_ROOM);
	assert_int_equal(ring_port(r)->nic.features, 0);
	assert_int_equal(ring_detach(r), 0);
	assert_int_equal(look(r), 0);
	port_free(ring_port(r));
}

static void a_driver_that_goes_gets_everything_back(void **state)
{
	struct ring *r = make_posted(0, false);
	struct buffers b = {0};
	struct lent l = lent_new(1, 500, 12, 100);
	struct ring_done done[4];
	uint64_t cookies[4];

	(void)state;
	post(r, &b, 3, 2000, 12, 2000);
	assert_int_equal(ring_tx_lend(r, l.iov, l.count, 9), 0);
	assert_int_equal(push(r, 2, 100), 0);
	assert_int_equal(send(r, 3, 100, 100), 0);
	assert_int_equal(ring_detach(r), -EINPROGRESS);
	(void)look(r);
	assert_int_equal(ring_detach(r), 0);
	assert_int_equal(ring_tx_reclaim(r, cookies, 4), 1);
	assert_int_equal(cookies[0], 9);
	assert_int_equal(ring_rx_take(r, done, 4), 3);
	assert_int_equal(done[0].len, 112);
	assert_int_equal(done[1].len, 0);
	assert_int_equal(done[2].len, 0);
	assert_int_equal(ring_attach(r, 0, false), 0);
	(void)look(r);
	assert_int_equal(push(r, 4, 100), 0);
	assert_staged(r, 4, 100);
	free(l.bytes);
	buffers_free(&b);
	port_free(ring_port(r));
}

static void frames_that_wait_for_a_driver_that_goes_are_dropped_and_counted(void **state)
{
	struct ring *r = make_attached(0, 0);
	struct ring_frame f;

	(void)state;
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(send(r, i, 100, 100), 0);
	assert_int_equal(ring_detach(r), -EINPROGRESS);
	(void)look(r);
	assert_int_equal(ring_detach(r), 0);
	assert_int_equal(ring_counters(r)->rx_dropped, 5);
	assert_int_equal(ring_rx_stage(r, &f), 0);
	port_free(ring_port(r));
}

static void sizes_are_checked_and_rounded_up(void **state)
{
	struct ring_config cfg = {.tx_frames = RING_FRAMES_MAX + 1};
	struct ring *r;
	uint32_t count = 0;

	(void)state;
	assert_int_equal(ring_new(&cfg, &r), -EINVAL);
	cfg = (struct ring_config){.rx_frames = RING_FRAMES_MAX + 1};
	assert_int_equal(ring_new(&cfg, &r), -EINVAL);
	r = make_attached(5, 0);
	while (push(r, count, 64) == 0)
		count++;
	assert_int_equal(count, 8);
	port_free(ring_port(r));
	port_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(frames_come_in_order_with_their_headers),
	    cmocka_unit_test(a_frame_in_pieces_is_put_together),
	    cmocka_unit_test(a_full_queue_refuses_and_tells_when_there_is_room),
	    cmocka_unit_test(bytes_limit_too_and_an_empty_queue_takes_the_largest_frame),
	    cmocka_unit_test(order_and_bytes_hold_around_the_end),
	    cmocka_unit_test(frames_of_wrong_sizes_are_refused),
	    cmocka_unit_test(staged_frames_stay_until_released),
	    cmocka_unit_test(lent_frames_are_read_in_place_and_come_back),
	    cmocka_unit_test(pieces_of_no_bytes_are_none),
	    cmocka_unit_test(the_headers_of_a_lent_frame_cannot_change_under_the_reader),
	    cmocka_unit_test(lent_and_copied_frames_mix_and_cookies_come_in_order),
	    cmocka_unit_test(nothing_to_take_back_is_followed_by_an_event),
	    cmocka_unit_test(staging_again_returns_the_same_frame_until_it_is_consumed_or_dropped),
	    cmocka_unit_test(short_frames_are_padded_and_counted_so),
	    cmocka_unit_test(the_engine_waits_for_room_and_is_woken),
	    cmocka_unit_test(what_a_reservation_does_not_use_is_free_again),
	    cmocka_unit_test(rx_order_and_bytes_hold_around_the_end),
	    cmocka_unit_test(one_pass_wakes_once),
	    cmocka_unit_test(the_descriptor_is_level_true),
	    cmocka_unit_test(frames_are_not_announced_to_who_takes_none),
	    cmocka_unit_test(an_event_of_one_kind_does_not_swallow_another),
	    cmocka_unit_test(posted_buffers_are_filled_in_place),
	    cmocka_unit_test(a_frame_uses_as_many_buffers_as_it_needs),
	    cmocka_unit_test(several_reservations_in_posted_buffers),
	    cmocka_unit_test(small_buffers_hold_small_frames),
	    cmocka_unit_test(a_frame_that_no_buffer_holds_is_lost_and_counted),
	    cmocka_unit_test(more_pieces_than_a_batch_holds_are_right_too),
	    cmocka_unit_test(the_engine_waits_for_buffers_and_is_woken),
	    cmocka_unit_test(wrong_buffers_are_refused),
	    cmocka_unit_test(without_a_driver_nothing_passes),
	    cmocka_unit_test(features_are_the_drivers_and_end_with_it),
	    cmocka_unit_test(the_engine_may_miss_a_driver),
	    cmocka_unit_test(a_driver_that_goes_gets_everything_back),
	    cmocka_unit_test(frames_that_wait_for_a_driver_that_goes_are_dropped_and_counted),
	    cmocka_unit_test(sizes_are_checked_and_rounded_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
