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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(loss_is_seen_by_its_acks_however_much_was_sent_before),
	    cmocka_unit_test(loss_is_seen_once_for_what_was_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
