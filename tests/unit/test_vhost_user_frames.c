/* SPDX-License-Identifier: Apache-2.0 */
/* Frames through the queues of the vhost-user port, both ways. */
#include "vuport.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

enum {
	TX = 1,
	RX = 0,
	HDR = 12,
	PIECES = 200,
};

#define BIT(n) (1ULL << (n))

static struct machine_config config(uint32_t num, uint32_t rx_buffer, uint64_t without)
{
	struct machine_config c = machine_config_default();

	c.num = num;
	c.rx_buffer = rx_buffer;
	c.regions = 1;
	c.features &= ~without;
	return c;
}

static void start(struct vuport *t, struct machine_config c)
{
	vuport_start(t, &c);
	for (uint32_t i = 0; i < c.pairs; i++) {
		memset(t->machine.queues[2 * i].buffers, 0xaa, (size_t)c.num * c.rx_buffer);
		machine_fill_rx(&t->machine, 2 * i);
	}
	(void)vuport_turn(t);
}

static struct nic *nic_of(struct vuport *t)
{
	return &t->port->nic;
}

/* ---- from the guest ---- */

/* Byte k of what frame i holds, header included. */
static uint8_t byte_of(uint32_t i, uint32_t k)
{
	return (uint8_t)(i * 37 + k * 11 + k / 256);
}

/* A frame of these pieces (lengths, 0: the end), through an indirect table. */
static void put_pieces(struct vuport *t, uint32_t queue, uint16_t i, const uint32_t *lens)
{
	struct machine *m = &t->machine;
	struct ring *r = &m->queues[queue].ring;
	uint8_t *at = machine_buffer(m, queue, i);
	struct vring_desc *table = (void *)(at + m->cfg.tx_buffer - PIECES * sizeof(*table));
	uint32_t off = 0;
	uint16_t n = 0;

	for (; lens[n] > 0; n++) {
		assert_true(n < PIECES);
		table[n] = (struct vring_desc){.addr = machine_gpa(m, at + off),
		    .len = lens[n],
		    .flags = VRING_DESC_F_NEXT,
		    .next = (uint16_t)(n + 1)};
		off += lens[n];
	}
	table[n - 1].flags = 0;
	for (uint32_t k = 0; k < off; k++)
		at[k] = byte_of(i, k);
	r->desc[i] = (struct vring_desc){.addr = machine_gpa(m, table),
	    .len = n * (uint32_t)sizeof(*table),
	    .flags = VRING_DESC_F_INDIRECT};
	ring_add(r, i);
	if (ring_publish(r))
		machine_kick(m, queue);
}

static void put(struct vuport *t, uint32_t queue, uint16_t i, uint32_t len)
{
	const uint32_t lens[] = {len, 0};

	put_pieces(t, queue, i, lens);
}

static void expect_bytes(const struct frame *f, uint16_t i, uint32_t hdr, uint32_t len)
{
	uint8_t *bytes = malloc(len + 1);

	assert_non_null(bytes);
	assert_int_equal(f->len, len);
	assert_int_equal(f->head_len, len < FRAME_HEAD_MIN ? len : FRAME_HEAD_MIN);
	frame_copy(f, 0, bytes, len);
	for (uint32_t k = 0; k < len; k++)
		assert_int_equal(bytes[k], byte_of(i, hdr + k));
	assert_memory_equal(bytes, f->head, f->head_len);
	free(bytes);
}

static void stage(struct vuport *t, struct frame *f)
{
	assert_int_equal(nic_of(t)->ops->stage(nic_of(t), f), 1);
}

static void done(struct vuport *t, uint32_t count)
{
	nic_of(t)->ops->release(nic_of(t), count);
	nic_of(t)->ops->flush(nic_of(t));
}

static void frames_of_any_pieces_are_whole(void **state)
{
	static const uint32_t cases[][PIECES] = {
	    {1514 + HDR},
	    {HDR, 1514},
	    {HDR, 14, 20, 20, 1460},
	    {1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
	    {HDR + 60},
	    {HDR + 1},
	    {HDR + FRAME_HEAD_MIN},
	    {HDR + FRAME_HEAD_MIN + 1},
	    {5, 5, 5, 60000},
	    {HDR, 4096, 4096, 4096, 4096, 4096},
	};
	struct vuport t;

	(void)state;
	start(&t, config(64, 4096, 0));
	for (uint16_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct frame f;
		uint32_t len = 0;

		for (uint32_t k = 0; cases[i][k] > 0; k++)
			len += cases[i][k];
		put_pieces(&t, TX, i, cases[i]);
		stage(&t, &f);
		expect_bytes(&f, i, HDR, len - HDR);
		assert_int_equal(f.vnet.flags, byte_of(i, 0));
		assert_int_equal(f.vnet.csum_offset, byte_of(i, 8) + 256 * byte_of(i, 9));
		done(&t, 1);
	}
	vuport_end(&t);
}

static void a_frame_in_more_pieces_than_fit_is_whole_as_well(void **state)
{
	struct vuport t;

	(void)state;
	start(&t, config(64, 4096, 0));
	for (uint32_t count = FRAME_IOV_MAX - 3; count < FRAME_IOV_MAX + 4; count++) {
		uint32_t lens[PIECES] = {0};
		struct frame f;

		for (uint32_t k = 0; k < count; k++)
			lens[k] = 300;
		put_pieces(&t, TX, (uint16_t)(count % 64), lens);
		stage(&t, &f);
		assert_true(f.iov_count <= FRAME_IOV_MAX);
		expect_bytes(&f, (uint16_t)(count % 64), HDR, count * 300 - HDR);
		done(&t, 1);
	}
	vuport_end(&t);
}

static void one_such_frame_at_a_time(void **state)
{
	uint32_t lens[PIECES] = {0};
	struct vuport t;
	struct frame f;

	(void)state;
	start(&t, config(64, 4096, 0));
	for (uint32_t k = 0; k < 150; k++)
		lens[k] = 100;
	put_pieces(&t, TX, 0, lens);
	put_pieces(&t, TX, 1, lens);
	stage(&t, &f);
	assert_int_equal(nic_of(&t)->ops->stage(nic_of(&t), &f), -ENOBUFS);
	done(&t, 1);
	stage(&t, &f);
	expect_bytes(&f, 1, HDR, 15000 - HDR);
	done(&t, 1);
	vuport_end(&t);
}

static void a_chain_shorter_than_its_header_is_an_empty_frame(void **state)
{
	struct vuport t;

	(void)state;
	start(&t, config(64, 4096, 0));
	for (uint32_t len = 1; len <= HDR; len++) {
		struct frame f;

		put(&t, TX, 1, len);
		stage(&t, &f);
		assert_int_equal(f.len, 0);
		assert_int_equal(f.vnet.flags, len == HDR ? byte_of(1, 0) : 0);
		done(&t, 1);
	}
	vuport_end(&t);
}

static void what_is_longer_than_any_frame_is_cut_off(void **state)
{
	static const uint32_t lens[] = {HDR + 100, FRAME_LEN_MAX - 100, 200, 0};
	struct machine_config c = config(8, 65536, 0);
	struct vuport t;
	struct frame f;

	(void)state;
	c.tx_buffer = 2 * 65536;
	start(&t, c);
	put_pieces(&t, TX, 0, lens);
	stage(&t, &f);
	expect_bytes(&f, 0, HDR, FRAME_LEN_MAX);
	done(&t, 1);
	vuport_end(&t);
}

/* P19: what has been judged cannot be changed any more. */
static void the_head_is_a_copy_that_the_guest_cannot_write(void **state)
{
	struct vuport t;
	struct frame f;

	(void)state;
	start(&t, config(64, 4096, 0));
	put(&t, TX, 0, HDR + 1000);
	stage(&t, &f);
	memset(machine_buffer(&t.machine, TX, 0), 0xee, HDR + FRAME_HEAD_MIN);
	expect_bytes(&f, 0, HDR, 1000);
	done(&t, 1);
	vuport_end(&t);
}

static void frames_are_given_back_in_order_and_the_guest_is_called_once(void **state)
{
	struct vuport t;
	struct ring *r = &t.machine.queues[TX].ring;

	(void)state;
	start(&t, config(64, 4096, 0));
	for (uint16_t i = 0; i < 10; i++)
		put(&t, TX, i, 100);
	for (uint16_t i = 0; i < 10; i++) {
		struct frame f;

		stage(&t, &f);
	}
	(void)ring_arm(r, 1);
	nic_of(&t)->ops->release(nic_of(&t), 4);
	nic_of(&t)->ops->release(nic_of(&t), 6);
	assert_int_equal(vuport_count(t.machine.queues[TX].call_fd), 0);
	nic_of(&t)->ops->flush(nic_of(&t));
	assert_int_equal(vuport_count(t.machine.queues[TX].call_fd), 1);
	for (uint16_t i = 0; i < 10; i++) {
		uint32_t head = 99;
		uint32_t len = 99;

		assert_true(ring_take(r, &head, &len));
		assert_int_equal(head, i);
		assert_int_equal(len, 0);
	}
	vuport_end(&t);
}

static void no_more_frames_are_staged_than_there_are_places_for(void **state)
{
	struct vuport t;
	struct frame f;
	uint16_t staged = 0;

	(void)state;
	start(&t, config(64, 4096, 0));
	for (uint16_t i = 0; i < 40; i++)
		put(&t, TX, i, 100);
	while (nic_of(&t)->ops->stage(nic_of(&t), &f) == 1)
		staged++;
	assert_int_equal(nic_of(&t)->ops->stage(nic_of(&t), &f), -ENOBUFS);
	assert_true(staged >= 8);
	done(&t, staged);
	for (; staged < 40; staged++) {
		stage(&t, &f);
		expect_bytes(&f, staged, HDR, 100 - HDR);
		done(&t, 1);
	}
	assert_int_equal(nic_of(&t)->ops->stage(nic_of(&t), &f), 0);
	vuport_end(&t);
}

static void the_guest_notifies_of_a_frame_only_when_there_was_none(void **state)
{
	struct vuport t;
	struct frame f;

	(void)state;
	start(&t, config(64, 4096, 0));
	assert_int_equal(nic_of(&t)->ops->stage(nic_of(&t), &f), 0);
	put(&t, TX, 0, 100);
	assert_int_equal(vuport_turn(&t), PORT_HAS_FRAMES);
	put(&t, TX, 1, 100);
	stage(&t, &f);
	put(&t, TX, 2, 100);
	stage(&t, &f);
	stage(&t, &f);
	assert_int_equal(vuport_turn(&t), 0);
	assert_int_equal(nic_of(&t)->ops->stage(nic_of(&t), &f), 0);
	put(&t, TX, 3, 100);
	assert_int_equal(vuport_turn(&t), PORT_HAS_FRAMES);
	done(&t, 3);
	vuport_end(&t);
}

static void queues_from_the_guest_have_their_turns(void **state)
{
	struct machine_config c = config(64, 4096, 0);
	uint32_t counts[4] = {0};
	struct vuport t;

	(void)state;
	c.pairs = 4;
	start(&t, c);
	for (uint32_t pair = 0; pair < 4; pair++)
		for (uint16_t i = 0; i < 40; i++)
			put(&t, 2 * pair + 1, i, 100 + pair);
	for (uint32_t i = 0; i < 160; i++) {
		struct frame f;
		uint32_t pair;

		stage(&t, &f);
		pair = f.len - (100 - HDR);
		assert_true(pair < 4);
		expect_bytes(&f, (uint16_t)counts[pair], HDR, f.len);
		counts[pair]++;
		done(&t, 1);
		/* None is more than its turn ahead of another. */
		for (uint32_t k = 0; k < 4; k++)
			assert_true(counts[pair] <= counts[k] + 16 || counts[k] == 40);
	}
	vuport_end(&t);
}

static void a_driver_of_old_has_a_shorter_header(void **state)
{
	struct vuport t;
	struct frame f;

	(void)state;
	start(&t, config(64, 4096, BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_NET_F_MRG_RXBUF)));
	put(&t, TX, 0, 10 + 100);
	stage(&t, &f);
	expect_bytes(&f, 0, 10, 100);
	assert_int_equal(f.vnet.num_buffers, 0);
	done(&t, 1);
	vuport_end(&t);
}

/* ---- to the guest ---- */

/* Room for a frame of len bytes in all. */
static int reserve(struct vuport *t, uint32_t len, struct nic_slot *s)
{
	uint32_t head_len = len < 54 ? len : 54;

	return nic_of(t)->ops->reserve(nic_of(t), head_len, len - head_len, s);
}

/* Fills the reservation with byte_of(i, ...) up to len bytes, and commits it. */
static void commit(struct vuport *t, struct nic_slot *s, uint32_t i, uint32_t len)
{
	const struct vnet_hdr vnet = {.flags = VNET_F_NEEDS_CSUM,
	    .gso_type = VNET_GSO_TCP4,
	    .gso_size = 1460,
	    .csum_start = 34};
	uint32_t k = 0;

	for (; k < s->head_len; k++)
		s->head[k] = byte_of(i, k);
	for (uint32_t p = 0; p < s->body_count; p++)
		for (size_t n = 0; n < s->body[p].iov_len && k < len; n++, k++)
			((uint8_t *)s->body[p].iov_base)[n] = byte_of(i, k);
	nic_of(t)->ops->commit(nic_of(t), s, len - s->head_len, &vnet);
}

/* The guest gets frame i: len bytes with padding, out of as many buffers as it says. */
static void expect_received(struct vuport *t, uint32_t i, uint32_t len)
{
	struct machine *m = &t->machine;
	struct ring *r = &m->queues[RX].ring;
	uint32_t padded = len < 60 ? 60 : len;
	uint32_t hdr_len = machine_hdr(m);
	uint8_t *bytes = calloc(1, hdr_len + padded);
	uint32_t got = 0;
	uint16_t buffers = 1;
	struct vnet_hdr h;

	assert_non_null(bytes);
	for (uint16_t n = 0; n < buffers; n++) {
		uint32_t head = 0;
		uint32_t part = 0;

		assert_true(ring_take(r, &head, &part));
		assert_true(got + part <= hdr_len + padded);
		memcpy(bytes + got, machine_buffer(m, RX, head), part);
		got += part;
		if (got >= HDR && machine_has(m, VIRTIO_NET_F_MRG_RXBUF))
			buffers = vnet_parse(bytes).num_buffers;
		else if (machine_has(m, VIRTIO_NET_F_MRG_RXBUF))
			buffers = (uint16_t)(n + 2);
	}
	assert_int_equal(got, hdr_len + padded);
	h = vnet_parse(bytes);
	assert_int_equal(h.gso_size, 1460);
	assert_int_equal(h.csum_start, 34);
	for (uint32_t k = 0; k < padded; k++)
		assert_int_equal(bytes[hdr_len + k], k < len ? byte_of(i, k) : 0);
	free(bytes);
}

static void expect_nothing_received(struct vuport *t)
{
	assert_int_equal(ring_used(&t->machine.queues[RX].ring), 0);
}

static void frames_lie_in_as_many_buffers_as_they_need(void **state)
{
	static const uint32_t lens[] = {60, 42, 14, 1514, 4084, 4085, 8180, 65549, 60};
	static const uint32_t buffers[] = {4096, 1600, 5000};
	struct vuport t;

	(void)state;
	for (size_t b = 0; b < 3; b++) {
		start(&t, config(256, buffers[b], 0));
		for (uint32_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
			struct nic_slot s;

			assert_int_equal(reserve(&t, lens[i], &s), 0);
			commit(&t, &s, i, lens[i]);
			expect_received(&t, i, lens[i]);
			nic_of(&t)->ops->flush(nic_of(&t));
		}
		expect_nothing_received(&t);
		assert_int_equal(nic_of(&t)->counters.rx_frames, 9);
		vuport_end(&t);
	}
}

/* Buffers of one byte, and of less than a header. */
static void buffers_may_be_tiny(void **state)
{
	static const uint32_t buffers[] = {1, 2, 11, 12, 13, 67};
	struct vuport t;

	(void)state;
	for (size_t b = 0; b < sizeof(buffers) / sizeof(buffers[0]); b++) {
		struct nic_slot s;

		start(&t, config(128, buffers[b], 0));
		assert_int_equal(reserve(&t, 64, &s), 0);
		commit(&t, &s, 1, 64);
		expect_received(&t, 1, 64);
		vuport_end(&t);
	}
}

static void room_that_was_not_used_is_given_out_again(void **state)
{
	struct vuport t;
	struct nic_slot s;

	(void)state;
	start(&t, config(64, 4096, 0));
	for (uint32_t i = 0; i < 60; i++) {
		assert_int_equal(reserve(&t, 65549, &s), 0);
		commit(&t, &s, i, 100);
		expect_received(&t, i, 100);
		/* For the guest the buffer is free again, at the end. */
		ring_add(&t.machine.queues[RX].ring, (uint16_t)(i % 64));
		(void)ring_publish(&t.machine.queues[RX].ring);
	}
	expect_nothing_received(&t);
	vuport_end(&t);
}

static void several_reservations_are_committed_in_order(void **state)
{
	static const uint32_t lens[] = {9000, 60, 30000, 4000};
	struct nic_slot s[4];
	struct vuport t;

	(void)state;
	start(&t, config(256, 4096, 0));
	for (uint32_t round = 0; round < 20; round++) {
		for (uint32_t i = 0; i < 4; i++)
			assert_int_equal(reserve(&t, lens[i], &s[i]), 0);
		/* The last is not needed, the one before is shorter than was thought. */
		nic_of(&t)->ops->cancel(nic_of(&t), &s[3]);
		commit(&t, &s[0], 0, lens[0]);
		commit(&t, &s[1], 1, lens[1]);
		commit(&t, &s[2], 2, lens[2] - 20000);
		nic_of(&t)->ops->flush(nic_of(&t));
		expect_received(&t, 0, lens[0]);
		expect_received(&t, 1, lens[1]);
		expect_received(&t, 2, lens[2] - 20000);
		/* The guest puts back what it has got. */
		for (uint16_t k = 0; k < 3 + 1 + 3; k++)
			ring_add(&t.machine.queues[RX].ring, (uint16_t)((round * 7 + k) % 256));
		(void)ring_publish(&t.machine.queues[RX].ring);
	}
	expect_nothing_received(&t);
	vuport_end(&t);
}

static void room_that_was_given_back_is_there_again(void **state)
{
	struct nic_slot s[4];
	struct vuport t;

	(void)state;
	start(&t, config(256, 4096, 0));
	for (uint32_t round = 0; round < 200; round++) {
		for (uint32_t i = 0; i < 3; i++)
			assert_int_equal(reserve(&t, 65549, &s[i]), 0);
		for (uint32_t i = 3; i-- > 0;)
			nic_of(&t)->ops->cancel(nic_of(&t), &s[i]);
	}
	/* And others stay as they are: a cancelled one among them does not take their place. */
	assert_int_equal(reserve(&t, 60000, &s[0]), 0);
	for (uint32_t round = 0; round < 200; round++) {
		assert_int_equal(reserve(&t, 65549, &s[1]), 0);
		nic_of(&t)->ops->cancel(nic_of(&t), &s[1]);
	}
	assert_int_equal(reserve(&t, 3000, &s[1]), 0);
	commit(&t, &s[0], 1, 60000);
	commit(&t, &s[1], 2, 3000);
	expect_received(&t, 1, 60000);
	expect_received(&t, 2, 3000);
	vuport_end(&t);
}

static void without_room_nothing_is_lost_and_the_guest_tells_of_more(void **state)
{
	struct vuport t;
	struct nic_slot s;
	uint32_t sent = 0;

	(void)state;
	start(&t, config(64, 4096, 0));
	while (reserve(&t, 1000, &s) == 0)
		commit(&t, &s, sent++, 1000);
	nic_of(&t)->ops->flush(nic_of(&t));
	assert_int_equal(sent, 64);
	assert_int_equal(vuport_turn(&t), 0);
	for (uint32_t i = 0; i < 64; i++)
		expect_received(&t, i, 1000);
	ring_add(&t.machine.queues[RX].ring, 0);
	if (ring_publish(&t.machine.queues[RX].ring))
		machine_kick(&t.machine, RX);
	assert_int_equal(vuport_turn(&t), PORT_HAS_ROOM);
	assert_int_equal(reserve(&t, 1000, &s), 0);
	commit(&t, &s, 77, 1000);
	expect_received(&t, 77, 1000);
	/* Room for a small frame is none for a large one. */
	for (uint16_t i = 1; i < 4; i++)
		ring_add(&t.machine.queues[RX].ring, i);
	(void)ring_publish(&t.machine.queues[RX].ring);
	assert_int_equal(reserve(&t, 20000, &s), -EAGAIN);
	for (uint16_t i = 4; i < 6; i++) {
		ring_add(&t.machine.queues[RX].ring, i);
		if (ring_publish(&t.machine.queues[RX].ring))
			machine_kick(&t.machine, RX);
	}
	assert_int_equal(vuport_turn(&t), PORT_HAS_ROOM);
	assert_int_equal(reserve(&t, 20000, &s), 0);
	commit(&t, &s, 78, 20000);
	expect_received(&t, 78, 20000);
	assert_int_equal(nic_of(&t)->counters.rx_lost, 0);
	vuport_end(&t);
}

static void the_guest_is_called_once_for_many_frames(void **state)
{
	struct vuport t;
	struct nic_slot s;

	(void)state;
	start(&t, config(64, 4096, 0));
	(void)ring_arm(&t.machine.queues[RX].ring, 1);
	for (uint32_t i = 0; i < 10; i++) {
		assert_int_equal(reserve(&t, 100, &s), 0);
		commit(&t, &s, i, 100);
	}
	assert_int_equal(vuport_count(t.machine.queues[RX].call_fd), 0);
	nic_of(&t)->ops->flush(nic_of(&t));
	assert_int_equal(vuport_count(t.machine.queues[RX].call_fd), 1);
	nic_of(&t)->ops->flush(nic_of(&t));
	assert_int_equal(vuport_count(t.machine.queues[RX].call_fd), 0);
	vuport_end(&t);
}

static void without_mergeable_buffers_a_frame_lies_in_one(void **state)
{
	struct vuport t;
	struct nic_slot s;

	(void)state;
	start(&t, config(64, 1600, BIT(VIRTIO_NET_F_MRG_RXBUF)));
	assert_int_equal(reserve(&t, 1514, &s), 0);
	commit(&t, &s, 1, 1514);
	expect_received(&t, 1, 1514);
	/* Room is asked for before it is known what comes: what comes then may fit. */
	assert_int_equal(reserve(&t, 65000, &s), 0);
	commit(&t, &s, 2, 1514);
	expect_received(&t, 2, 1514);
	vuport_end(&t);
}

static void a_frame_that_its_buffer_cannot_hold_is_counted_and_costs_no_buffer(void **state)
{
	struct vuport t;
	struct nic_slot s;

	(void)state;
	start(&t, config(64, 1600, BIT(VIRTIO_NET_F_MRG_RXBUF)));
	for (uint32_t i = 0; i < 200; i++) {
		assert_int_equal(reserve(&t, 9000, &s), 0);
		commit(&t, &s, i, 9000);
	}
	expect_nothing_received(&t);
	assert_int_equal(nic_of(&t)->counters.rx_lost, 200);
	assert_int_equal(reserve(&t, 1000, &s), 0);
	commit(&t, &s, 5, 1000);
	expect_received(&t, 5, 1000);
	vuport_end(&t);
}

static void a_queue_too_short_for_large_frames_takes_none(void **state)
{
	struct vuport t;
	struct nic_slot s;

	(void)state;
	start(&t, config(16, 1600, 0));
	assert_int_equal(nic_of(&t)->features, NIC_F_CSUM);
	assert_int_equal(reserve(&t, 65000, &s), 0);
	commit(&t, &s, 1, 1514);
	expect_received(&t, 1, 1514);
	vuport_end(&t);
	/* It may turn out later: 64 entries of little each. */
	start(&t, config(64, 512, 0));
	assert_int_equal(nic_of(&t)->features, NIC_F_CSUM | NIC_F_TSO4 | NIC_F_TSO6 | NIC_F_USO);
	assert_int_equal(reserve(&t, 65000, &s), 0);
	vuport_expect_note(&t, "queue 0 is too short for large frames");
	assert_int_equal(nic_of(&t)->features, NIC_F_CSUM);
	commit(&t, &s, 1, 1514);
	expect_received(&t, 1, 1514);
	vuport_end(&t);
}

/* It will never hold a frame of the link: else the engine would wait for ever. */
static void a_queue_too_short_for_any_frame_is_broken(void **state)
{
	struct vuport t;
	struct nic_slot s;

	(void)state;
	start(&t, config(64, 16, 0));
	assert_int_equal(reserve(&t, 1514, &s), -EAGAIN);
	assert_int_equal(t.note_count, 2);
	assert_int_equal(strncmp(t.notes[1], "queue 0 is broken", 17), 0);
	assert_int_equal(reserve(&t, 60, &s), -EAGAIN);
	vuport_end(&t);
}

static void what_the_guest_takes_is_what_it_has_agreed_to(void **state)
{
	static const struct {
		uint64_t without;
		uint32_t features;
	} cases[] = {
	    {0, NIC_F_CSUM | NIC_F_TSO4 | NIC_F_TSO6 | NIC_F_USO},
	    {BIT(VIRTIO_NET_F_GUEST_TSO4), NIC_F_CSUM | NIC_F_TSO6 | NIC_F_USO},
	    {BIT(VIRTIO_NET_F_GUEST_TSO6), NIC_F_CSUM | NIC_F_TSO4 | NIC_F_USO},
	    {BIT(54), NIC_F_CSUM | NIC_F_TSO4 | NIC_F_TSO6},
	    {BIT(55), NIC_F_CSUM | NIC_F_TSO4 | NIC_F_TSO6},
	    {BIT(VIRTIO_NET_F_GUEST_CSUM), 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vuport t;

		start(&t, config(256, 4096, cases[i].without));
		assert_int_equal(nic_of(&t)->features, cases[i].features);
		vmm_close(&t.machine.vmm);
		(void)vuport_turn(&t);
		assert_int_equal(nic_of(&t)->features, 0);
		vuport_end(&t);
	}
}

static void all_frames_go_to_the_first_queue_that_runs(void **state)
{
	struct machine_config c = config(64, 4096, 0);
	struct vuport t;
	struct nic_slot s;

	(void)state;
	c.pairs = 2;
	start(&t, c);
	for (uint16_t i = 0; i < 8; i++) {
		struct frame f;

		put(&t, i % 2 == 0 ? 1 : 3, i, 100);
		stage(&t, &f);
		done(&t, 1);
		assert_int_equal(reserve(&t, 100, &s), 0);
		commit(&t, &s, i, 100);
		expect_received(&t, i, 100);
	}
	assert_int_equal(vmm_set_vring(&t.machine.vmm, VHOST_USER_SET_VRING_ENABLE, 0, 0), 0);
	assert_int_equal(reserve(&t, 100, &s), 0);
	commit(&t, &s, 1, 100);
	assert_int_equal(ring_used(&t.machine.queues[2].ring), 1);
	vuport_end(&t);
}

static void a_queue_that_breaks_while_room_is_reserved_does_no_harm(void **state)
{
	struct vuport t;
	struct nic_slot s[2];

	(void)state;
	start(&t, config(64, 4096, 0));
	assert_int_equal(reserve(&t, 100, &s[0]), 0);
	for (uint16_t i = 1; i < 64; i++)
		t.machine.queues[RX].ring.desc[i].flags = 0; /* not to be written */
	assert_int_equal(reserve(&t, 100, &s[1]), -EAGAIN);
	vuport_expect_note(&t, "queue 0 is broken: a buffer has the wrong direction");
	commit(&t, &s[0], 0, 100);
	assert_int_equal(nic_of(&t)->counters.rx_lost, 1);
	expect_nothing_received(&t);
	vuport_end(&t);
}

static void a_driver_of_old_gets_a_shorter_header(void **state)
{
	struct vuport t;
	struct nic_slot s;

	(void)state;
	start(&t, config(64, 4096, BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_NET_F_MRG_RXBUF)));
	assert_int_equal(reserve(&t, 1000, &s), 0);
	commit(&t, &s, 3, 1000);
	expect_received(&t, 3, 1000);
	vuport_end(&t);
}

/* Bytes go between the guest's memory and the socket without a stop: all of a frame from the guest behind the copied
 * head, and all of a body to the guest, is the guest's own memory. */
static void what_is_between_guest_and_socket_is_the_guests_memory(void **state)
{
	struct vuport t;
	struct nic_slot s;
	struct frame f;
	uint8_t *at;

	(void)state;
	start(&t, config(64, 4096, 0));
	put(&t, TX, 0, HDR + 3000);
	stage(&t, &f);
	assert_int_equal(f.iov[0].iov_len, FRAME_HEAD_MIN);
	assert_int_equal(f.iov_count, 2);
	at = machine_buffer(&t.machine, TX, 0) + HDR + FRAME_HEAD_MIN;
	for (uint32_t k = 0; k < 3000 - FRAME_HEAD_MIN; k += 100) {
		at[k] ^= 0xff;
		assert_int_equal(((const uint8_t *)f.iov[1].iov_base)[k], at[k]);
	}
	done(&t, 1);
	assert_int_equal(nic_of(&t)->ops->reserve(nic_of(&t), 54, 2000, &s), 0);
	assert_int_equal(s.body_count, 1);
	assert_int_equal(s.body[0].iov_len, 2000);
	at = machine_buffer(&t.machine, RX, 0) + HDR + 54;
	for (uint32_t k = 0; k < 2000; k += 100) {
		((uint8_t *)s.body[0].iov_base)[k] = (uint8_t)k;
		assert_int_equal(at[k], (uint8_t)k);
	}
	nic_of(&t)->ops->cancel(nic_of(&t), &s);
	vuport_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(frames_of_any_pieces_are_whole),
	    cmocka_unit_test(a_frame_in_more_pieces_than_fit_is_whole_as_well),
	    cmocka_unit_test(one_such_frame_at_a_time),
	    cmocka_unit_test(a_chain_shorter_than_its_header_is_an_empty_frame),
	    cmocka_unit_test(what_is_longer_than_any_frame_is_cut_off),
	    cmocka_unit_test(the_head_is_a_copy_that_the_guest_cannot_write),
	    cmocka_unit_test(frames_are_given_back_in_order_and_the_guest_is_called_once),
	    cmocka_unit_test(no_more_frames_are_staged_than_there_are_places_for),
	    cmocka_unit_test(the_guest_notifies_of_a_frame_only_when_there_was_none),
	    cmocka_unit_test(queues_from_the_guest_have_their_turns),
	    cmocka_unit_test(a_driver_of_old_has_a_shorter_header),
	    cmocka_unit_test(frames_lie_in_as_many_buffers_as_they_need),
	    cmocka_unit_test(buffers_may_be_tiny),
	    cmocka_unit_test(room_that_was_not_used_is_given_out_again),
	    cmocka_unit_test(several_reservations_are_committed_in_order),
	    cmocka_unit_test(room_that_was_given_back_is_there_again),
	    cmocka_unit_test(without_room_nothing_is_lost_and_the_guest_tells_of_more),
	    cmocka_unit_test(the_guest_is_called_once_for_many_frames),
	    cmocka_unit_test(without_mergeable_buffers_a_frame_lies_in_one),
	    cmocka_unit_test(a_frame_that_its_buffer_cannot_hold_is_counted_and_costs_no_buffer),
	    cmocka_unit_test(a_queue_too_short_for_large_frames_takes_none),
	    cmocka_unit_test(a_queue_too_short_for_any_frame_is_broken),
	    cmocka_unit_test(what_the_guest_takes_is_what_it_has_agreed_to),
	    cmocka_unit_test(all_frames_go_to_the_first_queue_that_runs),
	    cmocka_unit_test(a_queue_that_breaks_while_room_is_reserved_does_no_harm),
	    cmocka_unit_test(a_driver_of_old_gets_a_shorter_header),
	    cmocka_unit_test(what_is_between_guest_and_socket_is_the_guests_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
