/* SPDX-License-Identifier: Apache-2.0 */
/* Frames over a stream socket, and connections that come and go. */
#include "sockport.h"

#include "base/wr.h"

static void start(struct sockport *t, bool has_vnet)
{
	sockport_start(t, (struct port_config){.kind = PORT_KIND_STREAM, .has_vnet = has_vnet});
	sockport_connect(t, SOCK_STREAM);
}

static void put(struct sockport *t, const void *bytes, size_t len)
{
	assert_int_equal(send(t->peer, bytes, len, MSG_DONTWAIT), len);
}

static void put_length(struct sockport *t, uint32_t len)
{
	uint8_t wire[4];

	put_be32(wire, len);
	put(t, wire, sizeof(wire));
}

/* The peer sends a frame of len bytes, all of them this one. */
static void put_frame(struct sockport *t, uint32_t len, uint8_t byte)
{
	uint8_t *wire = malloc(4U + len);

	assert_non_null(wire);
	put_be32(wire, len);
	memset(wire + 4, byte, len);
	put(t, wire, 4U + len);
	free(wire);
}

/* The peer reads a frame of len bytes, all of them this one. */
static void get_frame(struct sockport *t, uint32_t len, uint8_t byte)
{
	uint8_t *wire = malloc(4U + len);
	uint8_t prefix[4];

	assert_non_null(wire);
	put_be32(prefix, len);
	assert_int_equal(recv(t->peer, wire, 4U + len, MSG_WAITALL), 4U + len);
	assert_memory_equal(wire, prefix, 4);
	for (uint32_t i = 0; i < len; i++)
		assert_int_equal(wire[4 + i], byte);
	free(wire);
}

static void frames_come_in_order_whatever_their_length(void **state)
{
	static const uint32_t lens[] = {60, 1514, 1, 14, 60, FRAME_LEN_MAX, 1514};
	struct sockport t;

	(void)state;
	start(&t, false);
	for (uint8_t i = 0; i < 7; i++)
		put_frame(&t, lens[i], i);
	assert_int_equal(sockport_turn(&t), PORT_HAS_FRAMES);
	for (uint8_t i = 0; i < 7; i++)
		sockport_expect(&t, lens[i], i);
	sockport_expect_none(&t);
	assert_true(sockport_is_idle(&t));
	assert_int_equal(t.port->nic.counters.tx_frames, 7);
	assert_int_equal(
	    t.port->nic.counters.tx_bytes, 60 + 1514 + 1 + 14 + 60 + FRAME_LEN_MAX + 1514);
	sockport_end(&t);
}

static void a_frame_may_come_byte_by_byte(void **state)
{
	static const uint8_t wire[] = {0, 0, 0, 14, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7};
	struct sockport t;

	(void)state;
	start(&t, false);
	for (size_t i = 0; i < sizeof(wire); i++) {
		put(&t, &wire[i], 1);
		assert_int_equal(sockport_turn(&t), PORT_HAS_FRAMES);
		if (i + 1 < sizeof(wire))
			sockport_expect_none(&t);
	}
	sockport_expect(&t, 14, 7);
	sockport_end(&t);
}

static void staged_frames_stay_where_they_are_until_released(void **state)
{
	struct frame frames[300];
	struct sockport t;
	uint32_t staged = 0;
	uint32_t sent = 0;
	int n = 0;

	(void)state;
	start(&t, false);
	/* As many as fit, again and again, until the buffer must be released. */
	while (n != -ENOBUFS && staged < 300) {
		put_frame(&t, 5000, (uint8_t)sent++);
		(void)sockport_turn(&t);
		n = sockport_stage(&t, &frames[staged]);
		staged += n == 1;
	}
	assert_int_equal(n, -ENOBUFS);
	assert_true((uint64_t)staged * 5000 >= 128 << 10);
	for (uint32_t i = 0; i < staged; i++) {
		assert_int_equal(frames[i].len, 5000);
		for (uint32_t k = 0; k < 5000; k++)
			assert_int_equal(frames[i].head[k], (uint8_t)i);
	}
	sockport_release(&t, staged);
	for (uint32_t i = staged; i < sent; i++)
		sockport_expect(&t, 5000, (uint8_t)i);
	sockport_end(&t);
}

static void many_small_frames_are_bounded_too(void **state)
{
	static uint8_t wire[400][24];
	struct frame f;
	struct sockport t;
	uint32_t staged = 0;
	int n;

	(void)state;
	start(&t, false);
	memset(wire, 1, sizeof(wire));
	for (int i = 0; i < 400; i++)
		put_be32(wire[i], 20);
	put(&t, wire, sizeof(wire));
	(void)sockport_turn(&t);
	while ((n = sockport_stage(&t, &f)) == 1)
		staged++;
	assert_int_equal(n, -ENOBUFS);
	sockport_release(&t, staged);
	while (sockport_stage(&t, &f) == 1) {
		staged++;
		sockport_release(&t, 1);
	}
	assert_int_equal(staged, 400);
	sockport_end(&t);
}

/* Threat P20. */
static void a_length_that_no_frame_has_ends_the_connection(void **state)
{
	static const uint32_t bad[] = {0, FRAME_LEN_MAX + 1, 0x01000000, UINT32_MAX};
	struct sockport t;

	(void)state;
	sockport_start(&t, (struct port_config){.kind = PORT_KIND_STREAM});
	for (size_t i = 0; i < 4; i++) {
		char byte;

		sockport_connect(&t, SOCK_STREAM);
		put_frame(&t, 100, 1);
		put_length(&t, bad[i]);
		put_frame(&t, 100, 2);
		(void)sockport_turn(&t);
		sockport_expect(&t, 100, 1); /* what came before is good */
		sockport_expect_none(&t);
		assert_int_equal(t.port->nic.counters.tx_broken, i + 1);
		sockport_hear(&t, SUPPLY_BAD_LENGTH, bad[i]);
		assert_true(recv(t.peer, &byte, 1, 0) <= 0);
		sockport_hang_up(&t);
		assert_true(sockport_is_idle(&t));
	}
	sockport_end(&t);
}

static void a_peer_may_close_and_another_one_come(void **state)
{
	struct sockport t;

	(void)state;
	start(&t, false);
	put_frame(&t, 100, 1);
	sockport_hang_up(&t);
	assert_int_equal(sockport_turn(&t) & PORT_HAS_FRAMES, PORT_HAS_FRAMES);
	sockport_expect(&t, 100, 1);
	assert_int_equal(sockport_turn(&t), PORT_HAS_FRAMES);
	sockport_expect_none(&t);
	sockport_hear(&t, SUPPLY_CLOSED, 0);
	assert_true(sockport_is_idle(&t));
	assert_int_equal(sockport_commit(&t, 60, 1), -EAGAIN);
	sockport_connect(&t, SOCK_STREAM);
	assert_int_equal(sockport_commit(&t, 60, 1), 0);
	sockport_flush(&t);
	get_frame(&t, 60, 1);
	put_frame(&t, 100, 2);
	(void)sockport_turn(&t);
	sockport_expect(&t, 100, 2);
	assert_int_equal(t.port->nic.counters.links, 2);
	sockport_end(&t);
}

static void a_peer_that_closes_in_a_frame_has_cut_it(void **state)
{
	struct sockport t;

	(void)state;
	start(&t, false);
	put_length(&t, 100);
	put(&t, "123456", 6);
	sockport_hang_up(&t);
	(void)sockport_turn(&t);
	sockport_expect_none(&t);
	(void)sockport_turn(&t);
	sockport_expect_none(&t);
	sockport_hear(&t, SUPPLY_CUT, 10);
	assert_int_equal(t.port->nic.counters.tx_broken, 1);
	/* Nothing of it is left for the next peer. */
	sockport_connect(&t, SOCK_STREAM);
	put_frame(&t, 100, 3);
	(void)sockport_turn(&t);
	sockport_expect(&t, 100, 3);
	sockport_end(&t);
}

static void what_a_peer_sent_before_it_stopped_reading_is_still_taken(void **state)
{
	struct sockport t;

	(void)state;
	start(&t, false);
	put_frame(&t, 100, 1);
	put_frame(&t, 100, 2);
	sockport_hang_up(&t);
	assert_int_equal(sockport_commit(&t, 100, 9), 0);
	sockport_flush(&t);
	assert_int_equal(t.port->nic.counters.rx_lost, 1);
	assert_int_equal(sockport_commit(&t, 100, 9), -EAGAIN);
	assert_int_equal(sockport_turn(&t) & PORT_HAS_FRAMES, PORT_HAS_FRAMES);
	sockport_expect(&t, 100, 1);
	sockport_expect(&t, 100, 2);
	sockport_expect_none(&t);
	assert_true(sockport_is_idle(&t));
	assert_int_equal(t.port->nic.counters.rx_frames, 0);
	sockport_end(&t);
}

static void a_peer_that_only_stops_reading_is_lost(void **state)
{
	struct supply_report r;
	struct sockport t;

	(void)state;
	start(&t, false);
	assert_int_equal(shutdown(t.peer, SHUT_RD), 0);
	assert_int_equal(sockport_commit(&t, 100, 9), 0);
	sockport_flush(&t);
	assert_int_equal(sockport_turn(&t), PORT_HAS_FRAMES);
	sockport_expect_none(&t);
	assert_int_equal(supply_hear(t.supply, &r), 1);
	assert_int_equal(r.end, SUPPLY_CLOSED);
	assert_true(sockport_is_idle(&t));
	sockport_end(&t);
}

static void the_last_connection_is_the_end_of_the_port(void **state)
{
	struct frame f;
	struct sockport t;

	(void)state;
	start(&t, false);
	supply_finish(t.supply);
	assert_int_equal(sockport_turn(&t) & PORT_IS_GONE, 0);
	put_frame(&t, 100, 1);
	sockport_hang_up(&t);
	(void)sockport_turn(&t);
	sockport_expect(&t, 100, 1);
	(void)sockport_turn(&t);
	assert_int_equal(sockport_stage(&t, &f), -EPIPE);
	sockport_hear(&t, SUPPLY_CLOSED, 0);
	sockport_end(&t);
}

static void a_supply_that_ends_without_a_connection_is_the_end_of_the_port(void **state)
{
	struct sockport t;

	(void)state;
	sockport_start(&t, (struct port_config){.kind = PORT_KIND_STREAM});
	supply_finish(t.supply);
	assert_int_equal(sockport_turn(&t), PORT_IS_GONE);
	sockport_end(&t);
}

static void frames_leave_at_the_flush_in_one_piece(void **state)
{
	struct pollfd p = {.events = POLLIN};
	struct sockport t;

	(void)state;
	start(&t, false);
	p.fd = t.peer;
	for (uint8_t i = 0; i < 20; i++)
		assert_int_equal(sockport_commit(&t, 1514, i), 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	sockport_flush(&t);
	for (uint8_t i = 0; i < 20; i++)
		get_frame(&t, 1514, i);
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(t.port->nic.counters.rx_frames, 20);
	assert_int_equal(t.port->nic.counters.rx_bytes, 20 * 1514);
	sockport_end(&t);
}

static void short_frames_are_padded(void **state)
{
	uint8_t wire[64];
	struct sockport t;

	(void)state;
	start(&t, false);
	assert_int_equal(sockport_commit(&t, 42, 5), 0);
	sockport_flush(&t);
	assert_int_equal(recv(t.peer, wire, sizeof(wire), 0), 64);
	assert_memory_equal(wire, "\0\0\0\x3c", 4);
	for (int i = 0; i < 60; i++)
		assert_int_equal(wire[4 + i], i < 42 ? 5 : 0);
	sockport_end(&t);
}

/* Rule 3: a peer that does not read holds frames back; it loses none. */
static void a_slow_peer_gets_every_frame(void **state)
{
	struct sockport t;
	uint32_t committed = 0;
	uint32_t got = 0;

	(void)state;
	start(&t, false);
	while (committed < 3000) {
		int err = sockport_commit(&t, 1514, (uint8_t)committed);

		if (!err) {
			committed++;
			continue;
		}
		assert_int_equal(err, -EAGAIN);
		/* Without room nothing is tried in vain. */
		assert_true(sockport_is_idle(&t));
		for (uint32_t what = 0; (what & PORT_HAS_ROOM) == 0;) {
			for (int i = 0; i < 10; i++)
				get_frame(&t, 1514, (uint8_t)got++);
			what = sockport_turn(&t);
			assert_int_equal(what & ~(uint32_t)PORT_HAS_ROOM, 0);
		}
	}
	sockport_flush(&t);
	while (got < committed) {
		get_frame(&t, 1514, (uint8_t)got++);
		(void)sockport_turn(&t);
	}
	assert_true(sockport_is_idle(&t));
	assert_int_equal(t.port->nic.counters.rx_frames, 3000);
	assert_int_equal(t.port->nic.counters.rx_lost, 0);
	sockport_end(&t);
}

static void frames_that_a_peer_left_are_lost_with_it(void **state)
{
	struct sockport t;
	uint32_t committed = 0;

	(void)state;
	start(&t, false);
	while (sockport_commit(&t, 1514, 1) == 0)
		committed++;
	sockport_hang_up(&t);
	(void)sockport_turn(&t);
	sockport_expect_none(&t);
	assert_int_equal(t.port->nic.counters.rx_frames + t.port->nic.counters.rx_lost, committed);
	assert_true(t.port->nic.counters.rx_lost > 100);
	/* The next one begins with a whole frame. */
	sockport_connect(&t, SOCK_STREAM);
	assert_int_equal(sockport_commit(&t, 100, 2), 0);
	sockport_flush(&t);
	get_frame(&t, 100, 2);
	sockport_end(&t);
}

static void without_a_header_checksums_are_not_looked_at(void **state)
{
	struct frame f;
	struct sockport t;

	(void)state;
	start(&t, false);
	put_frame(&t, 100, 1);
	(void)sockport_turn(&t);
	assert_int_equal(sockport_stage(&t, &f), 1);
	assert_int_equal(f.vnet.flags, VNET_F_DATA_VALID);
	assert_int_equal(f.vnet.gso_type, VNET_GSO_NONE);
	sockport_end(&t);
}

/* Whatever the guest's driver was given: nothing would tell it which checksums are not finished. */
static void without_a_header_checksums_are_finished(void **state)
{
	struct port_config c = {.kind = PORT_KIND_STREAM, .features = NIC_F_CSUM | NIC_F_TSO4};
	struct sockport t;

	(void)state;
	sockport_start(&t, c);
	assert_int_equal(t.port->nic.features, NIC_F_TSO4);
	sockport_end(&t);
	c.has_vnet = true;
	sockport_start(&t, c);
	assert_int_equal(t.port->nic.features, NIC_F_CSUM | NIC_F_TSO4);
	sockport_end(&t);
}

static void a_header_may_stand_before_each_frame(void **state)
{
	static const uint8_t hdr[VNET_HDR_SIZE] = {1, 1, 54, 0, 0xb4, 5, 34, 0, 16, 0, 0, 0};
	const struct vnet_hdr out = {.flags = 1, .gso_type = 4, .gso_size = 1440, .csum_start = 54};
	uint8_t frame[VNET_HDR_SIZE + 100];
	uint8_t wire[200];
	struct nic_slot slot;
	struct frame f;
	struct sockport t;

	(void)state;
	start(&t, true);
	memcpy(frame, hdr, sizeof(hdr));
	memset(frame + sizeof(hdr), 3, 100);
	put_length(&t, sizeof(frame));
	put(&t, frame, sizeof(frame));
	(void)sockport_turn(&t);
	assert_int_equal(sockport_stage(&t, &f), 1);
	assert_int_equal(f.len, 100);
	assert_int_equal(f.head[0], 3);
	assert_int_equal(f.vnet.flags, VNET_F_NEEDS_CSUM);
	assert_int_equal(f.vnet.gso_size, 1460);
	assert_int_equal(f.vnet.csum_offset, 16);
	assert_int_equal(t.port->nic.counters.tx_bytes, 100);
	sockport_release(&t, 1);

	assert_int_equal(t.port->nic.ops->reserve(&t.port->nic, 100, 0, &slot), 0);
	memset(slot.head, 4, 100);
	t.port->nic.ops->commit(&t.port->nic, &slot, 0, &out);
	sockport_flush(&t);
	assert_int_equal(recv(t.peer, wire, sizeof(wire), 0), 4 + VNET_HDR_SIZE + 100);
	assert_memory_equal(wire, "\0\0\0\x70\1\4\0\0\xa0\5\x36\0\0\0\0\0\4\4", 18);

	/* The header alone is no frame. */
	put_length(&t, VNET_HDR_SIZE);
	put(&t, hdr, sizeof(hdr));
	(void)sockport_turn(&t);
	sockport_expect_none(&t);
	sockport_hear(&t, SUPPLY_BAD_LENGTH, VNET_HDR_SIZE);
	sockport_end(&t);
}

static void a_new_connection_takes_the_place_of_the_old_one(void **state)
{
	struct sockport t;
	int old;

	(void)state;
	start(&t, false);
	put_length(&t, 100);
	(void)sockport_turn(&t);
	sockport_expect_none(&t);
	old = t.peer;
	sockport_connect(&t, SOCK_STREAM);
	put_frame(&t, 50, 1);
	(void)sockport_turn(&t);
	sockport_expect(&t, 50, 1);
	(void)close(old);
	sockport_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(frames_come_in_order_whatever_their_length),
	    cmocka_unit_test(a_frame_may_come_byte_by_byte),
	    cmocka_unit_test(staged_frames_stay_where_they_are_until_released),
	    cmocka_unit_test(many_small_frames_are_bounded_too),
	    cmocka_unit_test(a_length_that_no_frame_has_ends_the_connection),
	    cmocka_unit_test(a_peer_may_close_and_another_one_come),
	    cmocka_unit_test(a_peer_that_closes_in_a_frame_has_cut_it),
	    cmocka_unit_test(what_a_peer_sent_before_it_stopped_reading_is_still_taken),
	    cmocka_unit_test(a_peer_that_only_stops_reading_is_lost),
	    cmocka_unit_test(the_last_connection_is_the_end_of_the_port),
	    cmocka_unit_test(a_supply_that_ends_without_a_connection_is_the_end_of_the_port),
	    cmocka_unit_test(frames_leave_at_the_flush_in_one_piece),
	    cmocka_unit_test(short_frames_are_padded),
	    cmocka_unit_test(a_slow_peer_gets_every_frame),
	    cmocka_unit_test(frames_that_a_peer_left_are_lost_with_it),
	    cmocka_unit_test(without_a_header_checksums_are_not_looked_at),
	    cmocka_unit_test(without_a_header_checksums_are_finished),
	    cmocka_unit_test(a_header_may_stand_before_each_frame),
	    cmocka_unit_test(a_new_connection_takes_the_place_of_the_old_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
