/* SPDX-License-Identifier: Apache-2.0 */
/* Frames as messages: datagrams and SOCK_SEQPACKET. */
#include "sockport.h"

static void start(struct sockport *t, enum port_kind kind, bool has_vnet)
{
	sockport_start(t, (struct port_config){.kind = kind, .has_vnet = has_vnet});
	sockport_connect(t, kind == PORT_KIND_BESS ? SOCK_SEQPACKET : SOCK_DGRAM);
}

/* Both kinds of sockets. */
static const enum port_kind kinds[] = {PORT_KIND_DGRAM, PORT_KIND_BESS};

static void put_frame(struct sockport *t, uint32_t len, uint8_t byte)
{
	uint8_t *bytes = malloc(len > 0 ? len : 1);

	assert_non_null(bytes);
	memset(bytes, byte, len);
	assert_int_equal(send(t->peer, bytes, len, MSG_DONTWAIT), len);
	free(bytes);
}

static void get_frame(struct sockport *t, uint32_t len, uint8_t byte)
{
	static uint8_t bytes[1 << 17];

	assert_int_equal(recv(t->peer, bytes, sizeof(bytes), MSG_DONTWAIT), len);
	for (uint32_t i = 0; i < len; i++)
		assert_int_equal(bytes[i], byte);
}

static void frames_come_in_order_whatever_their_length(void **state)
{
	static const uint32_t lens[] = {60, 1514, 1, 14, 60, FRAME_LEN_MAX, 1514};
	struct sockport t;

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		start(&t, kinds[k], false);
		for (uint8_t i = 0; i < 7; i++)
			put_frame(&t, lens[i], i);
		assert_int_equal(sockport_turn(&t), PORT_HAS_FRAMES);
		for (uint8_t i = 0; i < 7; i++)
			sockport_expect(&t, lens[i], i);
		sockport_expect_none(&t);
		assert_true(sockport_is_idle(&t));
		assert_int_equal(t.port->nic.counters.tx_frames, 7);
		sockport_end(&t);
	}
}

static void the_greeting_of_vfkit_is_no_frame(void **state)
{
	struct frame f;
	struct sockport t;

	(void)state;
	start(&t, PORT_KIND_DGRAM, false);
	assert_int_equal(send(t.peer, "VFKT", 4, 0), 4);
	put_frame(&t, 60, 1);
	assert_int_equal(send(t.peer, "VFKT", 4, 0), 4);
	(void)sockport_turn(&t);
	sockport_expect(&t, 60, 1);
	/* Only as the first. */
	assert_int_equal(sockport_stage(&t, &f), 1);
	assert_int_equal(f.len, 4);
	sockport_release(&t, 1);
	assert_int_equal(t.port->nic.counters.tx_broken, 0);
	/* Of each connection. */
	sockport_hang_up(&t);
	sockport_connect(&t, SOCK_DGRAM);
	assert_int_equal(send(t.peer, "VFKT", 4, 0), 4);
	(void)sockport_turn(&t);
	sockport_expect_none(&t);
	sockport_end(&t);
}

static void staged_frames_stay_where_they_are_until_released(void **state)
{
	struct frame frames[64];
	struct sockport t;
	uint32_t staged = 0;
	uint32_t sent = 0;
	int n = 1;

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		start(&t, kinds[k], false);
		staged = sent = 0;
		for (n = 1; n == 1;) {
			put_frame(&t, 500, (uint8_t)sent++);
			(void)sockport_turn(&t);
			n = sockport_stage(&t, &frames[staged]);
			staged += n == 1;
		}
		assert_int_equal(n, -ENOBUFS);
		assert_true(staged >= 16);
		for (uint32_t i = 0; i < staged; i++)
			assert_int_equal(frames[i].head[499], i);
		/* Half of them, then the other half. */
		sockport_release(&t, staged / 2);
		for (uint32_t i = staged / 2; i < staged; i++)
			assert_int_equal(frames[i].head[499], i);
		sockport_release(&t, staged - staged / 2);
		for (uint32_t i = staged; i < sent; i++)
			sockport_expect(&t, 500, (uint8_t)i);
		sockport_end(&t);
	}
}

static void what_is_no_frame_is_skipped_and_takes_no_room(void **state)
{
	struct frame f;
	struct sockport t;

	(void)state;
	start(&t, PORT_KIND_DGRAM, true);
	/* Too short for the header, or too long. */
	for (int i = 0; i < 100; i++) {
		put_frame(
		    &t, i % 2 == 0 ? VNET_HDR_SIZE - 1 : VNET_HDR_SIZE + FRAME_LEN_MAX + 1, 1);
		(void)sockport_turn(&t);
		sockport_expect_none(&t);
	}
	assert_int_equal(t.port->nic.counters.tx_broken, 100);
	/* Between good ones. */
	for (uint8_t i = 0; i < 20; i++) {
		put_frame(&t, VNET_HDR_SIZE + 60, i);
		put_frame(&t, 1, 0xff);
	}
	(void)sockport_turn(&t);
	for (uint8_t i = 0; i < 10; i++) {
		assert_int_equal(sockport_stage(&t, &f), 1);
		assert_int_equal(f.head[59], i);
	}
	sockport_release(&t, 10);
	for (uint8_t i = 10; i < 20; i++)
		sockport_expect(&t, 60, i);
	sockport_expect_none(&t);
	assert_int_equal(t.port->nic.counters.tx_broken, 120);
	sockport_end(&t);
}

static void an_empty_datagram_is_an_empty_frame(void **state)
{
	struct frame f;
	struct sockport t;

	(void)state;
	start(&t, PORT_KIND_DGRAM, false);
	put_frame(&t, 0, 0);
	put_frame(&t, 60, 1);
	(void)sockport_turn(&t);
	assert_int_equal(sockport_stage(&t, &f), 1);
	assert_int_equal(f.len, 0);
	sockport_release(&t, 1);
	sockport_expect(&t, 60, 1);
	sockport_end(&t);
}

static void the_end_of_a_packet_connection_is_noticed(void **state)
{
	struct sockport t;

	(void)state;
	start(&t, PORT_KIND_BESS, false);
	put_frame(&t, 60, 1);
	sockport_hang_up(&t);
	(void)sockport_turn(&t);
	sockport_expect(&t, 60, 1);
	(void)sockport_turn(&t);
	sockport_expect_none(&t);
	sockport_hear(&t, SUPPLY_CLOSED, 0);
	assert_true(sockport_is_idle(&t));
	sockport_connect(&t, SOCK_SEQPACKET);
	put_frame(&t, 60, 2);
	(void)sockport_turn(&t);
	sockport_expect(&t, 60, 2);
	sockport_end(&t);
}

static void the_end_of_a_datagram_peer_is_noticed_when_it_is_written_to(void **state)
{
	struct sockport t;

	(void)state;
	start(&t, PORT_KIND_DGRAM, false);
	sockport_hang_up(&t);
	assert_int_equal(sockport_commit(&t, 60, 1), 0);
	sockport_flush(&t);
	assert_int_equal(sockport_turn(&t), PORT_HAS_FRAMES);
	sockport_expect_none(&t);
	assert_true(sockport_is_idle(&t));
	sockport_hear(&t, SUPPLY_CLOSED, 0);
	assert_int_equal(t.port->nic.counters.rx_lost, 1);
	sockport_end(&t);
}

/* Who watches the peer's process knows earlier than the socket does. */
static void what_a_peer_has_sent_is_read_after_its_end_was_told(void **state)
{
	struct sockport t;

	(void)state;
	start(&t, PORT_KIND_DGRAM, false);
	put_frame(&t, 60, 1);
	put_frame(&t, 60, 2);
	assert_int_equal(sockport_commit(&t, 60, 1), 0);
	supply_hang_up(t.supply);
	assert_int_equal(sockport_turn(&t), PORT_HAS_FRAMES);
	assert_int_equal(t.port->nic.counters.rx_lost, 1);
	assert_int_equal(sockport_commit(&t, 60, 1), -EAGAIN);
	sockport_expect(&t, 60, 1);
	sockport_expect(&t, 60, 2);
	sockport_expect_none(&t);
	sockport_hear(&t, SUPPLY_CLOSED, 0);
	/* Told twice, or too late. */
	supply_hang_up(t.supply);
	assert_int_equal(sockport_turn(&t), PORT_HAS_FRAMES);
	sockport_expect_none(&t);
	assert_true(sockport_is_idle(&t));
	sockport_end(&t);
}

static void each_frame_leaves_as_one_message(void **state)
{
	struct sockport t;

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		start(&t, kinds[k], false);
		for (uint8_t i = 0; i < 10; i++)
			assert_int_equal(sockport_commit(&t, 60 + 100U * i, i), 0);
		sockport_flush(&t);
		for (uint8_t i = 0; i < 10; i++)
			get_frame(&t, 60 + 100U * i, i);
		assert_int_equal(sockport_commit(&t, 14, 1), 0);
		sockport_flush(&t);
		assert_int_equal(recv(t.peer, (uint8_t[100]){0}, 100, 0), 60);
		assert_int_equal(t.port->nic.counters.rx_frames, 11);
		sockport_end(&t);
	}
}

/* Rule 3. */
static void a_slow_peer_gets_every_frame(void **state)
{
	struct sockport t;

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		uint32_t committed = 0;
		uint32_t got = 0;

		start(&t, kinds[k], false);
		while (committed < 3000) {
			if (sockport_commit(&t, 1514, (uint8_t)committed) == 0) {
				committed++;
				continue;
			}
			assert_true(sockport_is_idle(&t));
			for (uint32_t what = 0; (what & PORT_HAS_ROOM) == 0;) {
				for (int i = 0; i < 10; i++)
					get_frame(&t, 1514, (uint8_t)got++);
				what = sockport_turn(&t);
			}
		}
		sockport_flush(&t);
		while (got < committed) {
			get_frame(&t, 1514, (uint8_t)got++);
			(void)sockport_turn(&t);
		}
		assert_int_equal(t.port->nic.counters.rx_frames, 3000);
		assert_int_equal(t.port->nic.counters.rx_lost, 0);
		sockport_end(&t);
	}
}

static void a_frame_that_no_socket_takes_is_lost_alone(void **state)
{
	static const int small = 4608;
	struct sockport t;
	int ends[2];

	(void)state;
	sockport_start(&t, (struct port_config){.kind = PORT_KIND_DGRAM});
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
	assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	assert_int_equal(supply_give(t.supply, ends[0]), 0);
	(void)close(ends[0]);
	t.peer = ends[1];
	(void)sockport_turn(&t);
	assert_int_equal(sockport_commit(&t, 60, 1), 0);
	assert_int_equal(sockport_commit(&t, 60000, 2), 0);
	assert_int_equal(sockport_commit(&t, 60, 3), 0);
	sockport_flush(&t);
	get_frame(&t, 60, 1);
	get_frame(&t, 60, 3);
	assert_int_equal(t.port->nic.counters.rx_frames, 2);
	assert_int_equal(t.port->nic.counters.rx_lost, 1);
	sockport_end(&t);
}

static void a_header_may_stand_before_each_frame(void **state)
{
	uint8_t wire[VNET_HDR_SIZE + 60] = {2, 0};
	struct frame f;
	struct sockport t;

	(void)state;
	start(&t, PORT_KIND_DGRAM, true);
	assert_int_equal(send(t.peer, wire, sizeof(wire), 0), sizeof(wire));
	(void)sockport_turn(&t);
	assert_int_equal(sockport_stage(&t, &f), 1);
	assert_int_equal(f.len, 60);
	assert_int_equal(f.vnet.flags, VNET_F_DATA_VALID);
	sockport_release(&t, 1);
	assert_int_equal(sockport_commit(&t, 60, 7), 0);
	sockport_flush(&t);
	assert_int_equal(recv(t.peer, wire, sizeof(wire), MSG_TRUNC), sizeof(wire));
	assert_int_equal(wire[0], 0);
	assert_int_equal(wire[VNET_HDR_SIZE], 7);
	sockport_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(frames_come_in_order_whatever_their_length),
	    cmocka_unit_test(the_greeting_of_vfkit_is_no_frame),
	    cmocka_unit_test(staged_frames_stay_where_they_are_until_released),
	    cmocka_unit_test(what_is_no_frame_is_skipped_and_takes_no_room),
	    cmocka_unit_test(an_empty_datagram_is_an_empty_frame),
	    cmocka_unit_test(the_end_of_a_packet_connection_is_noticed),
	    cmocka_unit_test(the_end_of_a_datagram_peer_is_noticed_when_it_is_written_to),
	    cmocka_unit_test(what_a_peer_has_sent_is_read_after_its_end_was_told),
	    cmocka_unit_test(each_frame_leaves_as_one_message),
	    cmocka_unit_test(a_slow_peer_gets_every_frame),
	    cmocka_unit_test(a_frame_that_no_socket_takes_is_lost_alone),
	    cmocka_unit_test(a_header_may_stand_before_each_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
