/* SPDX-License-Identifier: Apache-2.0 */
/* The transmission control block by itself: what takes too long, or too many bytes, for a script. */
#include "unit.h"

#include "stack/tcp.h"

enum {
	MSS = 1460,
	WINDOW = 60000,
	ISS = 1000,
};

static struct packet segment(uint32_t ack)
{
	static struct frame frame;

	return (struct packet){
	    .frame = &frame,
	    .family = 4,
	    .proto = PROTO_TCP,
	    .tcp = {.seq = 1, .ack = ack, .flags = TCP_ACK, .wnd = WINDOW, .hdr_len = TCP_HDR_SIZE},
	};
}

/* An established connection to which nothing has been sent. */
static struct tcp_conn established(void)
{
	struct packet p = segment(0);
	struct tcp_conn c;
	struct tcp_in in;

	p.tcp.seq = 0;
	p.tcp.flags = TCP_SYN;
	p.tcp.opt_mss = MSS;
	tcp_open(&c, &p, ISS, MSS, 1);
	tcp_accept(&c, 65535, 2);
	p = segment(ISS + 1);
	tcp_input(&c, &p, 3, &in);
	assert_int_equal(in.flags & TCP_IN_ESTABLISHED, TCP_IN_ESTABLISHED);
	return c;
}

/* Sends a window's worth, of which the guest acknowledges the same ack three times more. */
static uint32_t lose_one(struct tcp_conn *c)
{
	uint32_t una = c->snd_una;
	uint32_t flags = 0;

	tcp_sent(c, 10 * MSS, false, 4);
	for (int i = 0; i < 3; i++) {
		struct packet p = segment(una);
		struct tcp_in in;

		tcp_input(c, &p, 5, &in);
		flags |= in.flags;
	}
	return flags;
}

/* RFC 6582 3.2: sequence numbers go round. A loss after 3 GiB is seen as quickly as the first one. */
static void loss_is_seen_by_its_acks_however_much_was_sent_before(void **state)
{
	struct tcp_conn c = established();

	(void)state;
	for (uint32_t i = 0; i < 3U * 1024 * 1024 / 32; i++) {
		struct packet p;
		struct tcp_in in;

		tcp_sent(&c, 32 << 10, false, 4);
		p = segment(c.snd_max);
		tcp_input(&c, &p, 4, &in);
		assert_int_equal(in.acked, 32 << 10);
	}
	assert_int_equal(lose_one(&c) & TCP_IN_REXMIT, TCP_IN_REXMIT);
	tcp_fini(&c);
}

/* RFC 6582 3.2: what was sent before a loss does not count as another one. */
static void loss_is_seen_once_for_what_was_under_way(void **state)
{
	struct tcp_conn c = established();
	struct packet p;
	struct tcp_in in;

	(void)state;
	assert_int_equal(lose_one(&c) & TCP_IN_REXMIT, TCP_IN_REXMIT);
	tcp_sent(&c, 5 * MSS, false, 6);
	p = segment(c.snd_una + MSS);
	tcp_input(&c, &p, 7, &in);
	for (int i = 0; i < 4; i++) {
		tcp_input(&c, &p, 8, &in);
		assert_int_equal(in.flags & TCP_IN_REXMIT, 0);
	}
	tcp_fini(&c);
}

/* A connection to the guest, whose SYN is out. */
static struct tcp_conn dialed(void)
{
	struct tcp_conn c;

	tcp_dial(&c, ISS, MSS, 60000, 1);
	return c;
}

static struct packet syn(uint8_t flags, uint32_t ack)
{
	struct packet p = segment(ack);

	p.tcp.seq = 7;
	p.tcp.flags = flags;
	p.tcp.opt_mss = 1000;
	return p;
}

static uint32_t input(struct tcp_conn *c, struct packet p)
{
	struct tcp_in in;

	tcp_input(c, &p, 3, &in);
	return in.flags;
}

/* RFC 9293 3.10.7.3. */
static void syn_is_answered(void **state)
{
	struct tcp_conn c = dialed();

	(void)state;
	assert_int_equal(
	    input(&c, syn(TCP_SYN | TCP_ACK, ISS + 1)) & TCP_IN_ESTABLISHED, TCP_IN_ESTABLISHED);
	assert_int_equal(c.state, TCPS_ESTABLISHED);
	assert_int_equal(c.rcv_nxt, 8);
	assert_int_equal(c.rcv_adv, 8 + 60000);
	assert_int_equal(c.mss, 1000);
	assert_int_equal(c.rcv_shift, 0); /* the guest has not agreed */
	assert_true(c.is_ack_due);
}

static void syn_is_refused_only_by_a_reset_that_acknowledges_it(void **state)
{
	struct tcp_conn c = dialed();

	(void)state;
	assert_int_equal(input(&c, syn(TCP_RST, 0)), 0);
	assert_int_equal(input(&c, syn(TCP_RST | TCP_ACK, ISS)), 0);
	assert_int_equal(input(&c, syn(TCP_ACK, ISS + 1)), 0);
	assert_int_equal(input(&c, syn(TCP_RST | TCP_ACK, ISS + 1)), TCP_IN_RESET);
	assert_int_equal(c.state, TCPS_SYN_SENT);
}

/* Of an older connection with these ends (RFC 9293 3.5.1): it is reset. */
static void wrong_answer_to_a_syn_is_reset(void **state)
{
	struct tcp_conn c = dialed();

	(void)state;
	assert_int_equal(input(&c, syn(TCP_ACK, ISS)), TCP_IN_SEND_RESET);
	assert_int_equal(input(&c, syn(TCP_SYN | TCP_ACK, ISS + 2)), TCP_IN_SEND_RESET);
	assert_int_equal(c.state, TCPS_SYN_SENT);
}

/* RFC 9293 3.5, P10: each side sends SYN, then SYN-ACK. */
static void both_may_open_at_once(void **state)
{
	struct tcp_conn c = dialed();

	(void)state;
	assert_int_equal(input(&c, syn(TCP_SYN, 0)), TCP_IN_SEND_SYNACK);
	assert_int_equal(c.state, TCPS_SYN_RECEIVED);
	assert_int_equal(
	    input(&c, syn(TCP_SYN | TCP_ACK, ISS + 1)) & TCP_IN_ESTABLISHED, TCP_IN_ESTABLISHED);
	assert_int_equal(c.state, TCPS_ESTABLISHED);
	assert_true(c.is_ack_due);
}

/* A guest that never answers is asked for about a minute, at growing intervals. */
static void syn_is_repeated_for_a_minute(void **state)
{
	const struct tcp_times times = {0};
	struct tcp_conn c = dialed();
	uint64_t last = 1;
	enum tcp_due due;
	uint32_t count = 0;

	(void)state;
	do {
		uint64_t now = tcp_next_ns(&c, &times);

		assert_in_range(now - last, 100000000, 2000000000);
		last = now;
		due = tcp_on_time(&c, &times, now);
		count += due == TCP_DUE_SYNACK;
	} while (due == TCP_DUE_SYNACK);
	assert_int_equal(due, TCP_DUE_GIVE_UP);
	assert_in_range(count, 30, 100);
	assert_in_range(last, 50000000000, 75000000000);
}

/* F7: a guest whose queue is full drops the ACK, and may not even say so. It is repeated until the guest is heard. */
static void ack_of_a_handshake_is_repeated(void **state)
{
	const struct tcp_times times = {0};
	struct tcp_conn c = dialed();
	uint64_t last = 3;
	enum tcp_due due;
	uint32_t count = 0;

	(void)state;
	(void)input(&c, syn(TCP_SYN | TCP_ACK, ISS + 1));
	do {
		uint64_t now = tcp_next_ns(&c, &times);

		assert_in_range(now - last, 200000000, 26000000000);
		last = now;
		due = tcp_on_time(&c, &times, now);
		count += due == TCP_DUE_ACK;
	} while (due == TCP_DUE_ACK);
	assert_int_equal(due, TCP_DUE_NONE);
	assert_int_equal(count, 7);
	assert_true(tcp_next_ns(&c, &times) == UINT64_MAX);
}

static void guest_that_is_heard_ends_that(void **state)
{
	const struct tcp_times times = {0};
	struct tcp_conn c = dialed();
	struct packet p = segment(ISS + 1);

	(void)state;
	(void)input(&c, syn(TCP_SYN | TCP_ACK, ISS + 1));
	p.tcp.seq = 8;
	(void)input(&c, p);
	assert_false(c.is_unconfirmed);
	assert_true(tcp_next_ns(&c, &times) == UINT64_MAX);
}

/* Its first data is repeated every 100 ms and a little, not after doubled times. */
static void first_data_is_repeated_soon(void **state)
{
	const struct tcp_times times = {0};
	struct tcp_conn c = dialed();
	uint64_t now = 0;

	(void)state;
	(void)input(&c, syn(TCP_SYN | TCP_ACK, ISS + 1));
	c.snd_wnd = 1000;
	tcp_sent(&c, 10, false, 5);
	for (int i = 0; i < 10; i++) {
		now = tcp_next_ns(&c, &times);
		assert_int_equal(tcp_on_time(&c, &times, now), TCP_DUE_REXMIT);
		tcp_sent(&c, 10, false, now);
	}
	assert_in_range(now, 1000000000, 3500000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ack_of_a_handshake_is_repeated),
	    cmocka_unit_test(guest_that_is_heard_ends_that),
	    cmocka_unit_test(first_data_is_repeated_soon),
	    cmocka_unit_test(syn_is_answered),
	    cmocka_unit_test(syn_is_refused_only_by_a_reset_that_acknowledges_it),
	    cmocka_unit_test(wrong_answer_to_a_syn_is_reset),
	    cmocka_unit_test(both_may_open_at_once),
	    cmocka_unit_test(syn_is_repeated_for_a_minute),
	    cmocka_unit_test(loss_is_seen_by_its_acks_however_much_was_sent_before),
	    cmocka_unit_test(loss_is_seen_once_for_what_was_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
