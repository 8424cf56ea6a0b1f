/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP errors to the guest: form, sender, what is quoted, when none may be sent. */
#include "rxnic.h"

#include "stack/icmp_out.h"

enum {
	FRAME_MAX = 4000,
};

struct world {
	struct rxnic *x;
	struct icmp_out out;
	uint64_t now;
};

static uint8_t f[FRAME_MAX];

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->x = rxnic_new();
	w->now = 77;
	icmp_out_init(&w->out, &w->x->netif);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	rxnic_free(w->x);
	free(w);
	return 0;
}

static bool about(struct world *w, size_t len, enum icmp_cause cause, uint32_t mtu)
{
	struct mk_frame m;
	struct packet p;
	bool is_sent;

	(void)mk_stage_split(&m, f, len, 100);
	assert_int_equal(packet_parse(&m.frame, &p), DROP_NONE);
	if (!p.is_fragment)
		assert_int_equal(packet_parse_l4(&p), DROP_NONE);
	is_sent = icmp_out_packet(&w->out, &p, cause, mtu, w->now);
	mk_unstage(&m);
	return is_sent;
}

static size_t udp4(const char *dst, size_t payload)
{
	size_t l4 = mk_ip4(f, MK_GUEST4, dst, 17, 8 + payload, 1, 0x4000);

	return mk_udp(f, l4, 40000, 53, payload, 1);
}

static size_t udp6(const char *dst, size_t payload)
{
	return mk_udp(f, mk_ip6(f, MK_GUEST6, dst, 17, 8 + payload), 40000, 53, payload, 1);
}

static size_t echo4(uint8_t type, const char *dst)
{
	size_t l4 = mk_ip4(f, MK_GUEST4, dst, 1, 16, 1, 0);

	(void)hex_put(f + l4, "0000 0000 1234 0007 0102030405060708");
	f[l4] = type;
	mk16(f + l4 + 2, mk_l4_sum(f, l4, 16, 1));
	return l4 + 16;
}

/* The one error: headers; returns the ICMP message. */
static const uint8_t *error4(struct world *w, const char *src, const char *first8)
{
	const uint8_t *e = w->x->frames[0];
	size_t len = w->x->lens[0];
	uint8_t head[8];

	assert_int_equal(w->x->count, 1);
	assert_hex(e, 14, MK_GUEST_MAC MK_GATEWAY_MAC "0800");
	assert_int_equal(mk_get16(e + 16), len - 14);
	assert_int_equal(mk_sum(0, e + 14, 20), 0xffff);
	assert_int_equal(e[23], 1);
	assert_hex(e + 26, 4, src);
	assert_hex(e + 30, 4, MK_GUEST4);
	assert_int_equal(mk_l4_sum(e, 34, len - 34, 1), 0);
	memcpy(head, e + 34, 8);
	mk16(head + 2, 0);
	assert_hex(head, 8, first8);
	return e + 34;
}

static const uint8_t *error6(struct world *w, const char *src, const char *dst, const char *first8)
{
	const uint8_t *e = w->x->frames[0];
	size_t len = w->x->lens[0];
	uint8_t head[8];

	assert_int_equal(w->x->count, 1);
	assert_hex(e, 14, MK_GUEST_MAC MK_GATEWAY_MAC "86dd");
	assert_int_equal(mk_get16(e + 18), len - 54);
	assert_int_equal(e[20], 58);
	assert_hex(e + 22, 16, src);
	assert_hex(e + 38, 16, dst);
	assert_int_equal(mk_l4_sum(e, 54, len - 54, 58), 0);
	memcpy(head, e + 54, 8);
	mk16(head + 2, 0);
	assert_hex(head, 8, first8);
	return e + 54;
}

/* E5 */
static void e5_fragmentation_needed_comes_from_the_destination(void **state)
{
	struct world *w = *state;
	size_t len = udp4(MK_REMOTE4, 1472);
	const uint8_t *icmp;

	assert_true(about(w, len, ICMP_CAUSE_TOO_BIG, 1400));
	icmp = error4(w, MK_REMOTE4, "0304000000000578");
	assert_int_equal(w->x->lens[0], 34 + 8 + 28);
	assert_memory_equal(icmp + 8, f + 14, 28);
	assert_int_equal(w->x->counters.icmp_errors, 1);
}

/* E5: IP header with its options, and 8 bytes. */
static void quote_has_the_whole_ip4_header(void **state)
{
	struct world *w = *state;
	size_t len = udp4(MK_REMOTE4, 100);
	const uint8_t *icmp;

	memmove(f + 34 + 40, f + 34, len - 34);
	memset(f + 34, 1, 40);
	f[14] = 0x4f;
	mk16(f + 16, len - 14 + 40);
	mk_ip4_csum(f);
	assert_true(about(w, len + 40, ICMP_CAUSE_PORT, 0));
	icmp = error4(w, MK_REMOTE4, "0303000000000000");
	assert_int_equal(w->x->lens[0], 34 + 8 + 68);
	assert_memory_equal(icmp + 8, f + 14, 68);
}

/* E6 */
static void e6_packet_too_big_fits_the_minimum_mtu(void **state)
{
	struct world *w = *state;
	size_t len = udp6(MK_REMOTE6, 1452);
	const uint8_t *icmp;

	assert_true(about(w, len, ICMP_CAUSE_TOO_BIG, 1400));
	icmp = error6(w, MK_REMOTE6, MK_GUEST6, "0200000000000578");
	assert_int_equal(w->x->lens[0], 14 + 1280);
	assert_memory_equal(icmp + 8, f + 14, 1280 - 48);
	rxnic_clear(w->x);
	/* All of a short packet. */
	len = udp6(MK_REMOTE6, 10);
	assert_true(about(w, len, ICMP_CAUSE_PORT, 0));
	icmp = error6(w, MK_REMOTE6, MK_GUEST6, "0104000000000000");
	assert_int_equal(w->x->lens[0], 54 + 8 + len - 14);
	assert_memory_equal(icmp + 8, f + 14, len - 14);
}

/* E6, P17 */
static void e6_mtu_below_1280_is_never_reported(void **state)
{
	struct world *w = *state;

	assert_false(about(w, udp6(MK_REMOTE6, 1000), ICMP_CAUSE_TOO_BIG, 1279));
	assert_false(about(w, udp6(MK_REMOTE6, 1000), ICMP_CAUSE_TOO_BIG, 0));
	assert_false(about(w, udp4(MK_REMOTE4, 1000), ICMP_CAUSE_TOO_BIG, 67));
	assert_int_equal(w->x->count, 0);
}

/* E9, E10: nobody listens there; denied here. */
static void errors_come_from_whom_they_concern(void **state)
{
	static const struct {
		enum icmp_cause cause;
		const char *src4;
		const char *head4;
		const char *src6;
		const char *head6;
	} rows[] = {
	    {ICMP_CAUSE_PORT, MK_REMOTE4, "0303000000000000", MK_REMOTE6, "0104000000000000"},
	    {ICMP_CAUSE_PROTOCOL, MK_REMOTE4, "0302000000000000", MK_REMOTE6, "0401000000000006"},
	    {ICMP_CAUSE_NO_ROUTE, MK_GATEWAY4, "0300000000000000", MK_GATEWAY6, "0100000000000000"},
	    {ICMP_CAUSE_HOST, MK_GATEWAY4, "0301000000000000", MK_GATEWAY6, "0103000000000000"},
	    {ICMP_CAUSE_PROHIBITED, MK_GATEWAY4, "030d000000000000", MK_GATEWAY6,
		"0101000000000000"},
	    {ICMP_CAUSE_HOP_LIMIT, MK_GATEWAY4, "0b00000000000000", MK_GATEWAY6,
		"0300000000000000"},
	};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(about(w, udp4(MK_REMOTE4, 4), rows[i].cause, 0));
		(void)error4(w, rows[i].src4, rows[i].head4);
		rxnic_clear(w->x);
		assert_true(about(w, udp6(MK_REMOTE6, 4), rows[i].cause, 0));
		(void)error6(w, rows[i].src6, MK_GUEST6, rows[i].head6);
		rxnic_clear(w->x);
	}
}

static void link_local_guest_hears_the_link_local_gateway(void **state)
{
	struct world *w = *state;
	size_t len = mk_udp(f, mk_ip6(f, MK_GUEST_LL, MK_REMOTE6, 17, 12), 40000, 53, 4, 1);

	assert_true(about(w, len, ICMP_CAUSE_PROHIBITED, 0));
	(void)error6(w, MK_GATEWAY_LL, MK_GUEST_LL, "0101000000000000");
}

static void echo_requests_and_tcp_get_errors(void **state)
{
	struct world *w = *state;
	const uint8_t *icmp;
	size_t l4;

	assert_true(about(w, echo4(8, MK_REMOTE4), ICMP_CAUSE_HOST, 0));
	icmp = error4(w, MK_GATEWAY4, "0301000000000000");
	assert_hex(icmp + 28 + 4, 4, "12340007");
	rxnic_clear(w->x);
	l4 = mk_ip4(f, MK_GUEST4, MK_REMOTE4, 6, 20, 1, 0x4000);
	(void)hex_put(f + l4, "9c40 01bb 01020304 00000000 5002 ffee 0000 0000");
	mk16(f + l4 + 16, mk_l4_sum(f, l4, 20, 6));
	assert_true(about(w, l4 + 20, ICMP_CAUSE_NO_ROUTE, 0));
	icmp = error4(w, MK_GATEWAY4, "0300000000000000");
	assert_hex(icmp + 28, 8, "9c4001bb01020304");
	rxnic_clear(w->x);
	l4 = mk_ip6(f, MK_GUEST6, MK_REMOTE6, 58, 8);
	(void)hex_put(f + l4, "8000 0000 1234 0007");
	mk16(f + l4 + 2, mk_l4_sum(f, l4, 8, 58));
	assert_true(about(w, l4 + 8, ICMP_CAUSE_HOST, 0));
	icmp = error6(w, MK_GATEWAY6, MK_GUEST6, "0103000000000000");
	assert_hex(icmp + 52, 4, "12340007");
}

/* RFC 1122 3.2.2 */
static void no_error_about_ip4_packets_that_must_not_be_answered(void **state)
{
	static const uint8_t types[] = {0, 3, 4, 5, 11, 12, 13, 14, 17, 18};
	static const char *const many[] = {
	    "e0000001", "effffffa", "ffffffff", "00000000", "00000001"};
	struct world *w = *state;
	size_t len;

	for (size_t i = 0; i < sizeof(types); i++)
		assert_false(about(w, echo4(types[i], MK_REMOTE4), ICMP_CAUSE_PORT, 0));
	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++)
		assert_false(about(w, udp4(many[i], 4), ICMP_CAUSE_PORT, 0));
	/* Sent to many by the link layer. */
	len = udp4(MK_REMOTE4, 4);
	(void)hex_put(f, "ffffffffffff");
	assert_false(about(w, len, ICMP_CAUSE_PORT, 0));
	(void)hex_put(f, "01005e000001");
	assert_false(about(w, len, ICMP_CAUSE_PORT, 0));
	/* Not from the guest. */
	len = udp4(MK_REMOTE4, 4);
	(void)hex_put(f + 26, "64600003");
	mk_ip4_csum(f);
	mk16(f + 40, 0);
	assert_false(about(w, len, ICMP_CAUSE_PORT, 0));
	/* A fragment but the first. */
	len = udp4(MK_REMOTE4, 8);
	mk16(f + 20, 0x0001);
	mk_ip4_csum(f);
	assert_false(about(w, len, ICMP_CAUSE_REASSEMBLY, 0));
	mk16(f + 20, 0x2000);
	mk_ip4_csum(f);
	assert_true(about(w, len, ICMP_CAUSE_REASSEMBLY, 0));
	assert_int_equal(w->x->count, 1);
	assert_int_equal(w->x->counters.icmp_errors, 1);
	assert_int_equal(w->x->counters.icmp_errors_limited, 0);
}

/* RFC 4443 2.4(e) */
static void no_error_about_ip6_packets_that_must_not_be_answered(void **state)
{
	static const uint8_t types[] = {1, 2, 3, 4, 127, 129, 133, 135, 136, 137, 143};
	struct world *w = *state;
	size_t len;

	for (size_t i = 0; i < sizeof(types); i++) {
		size_t l4 = mk_ip6(f, MK_GUEST6, MK_REMOTE6, 58, 8);

		(void)hex_put(f + l4, "0000 0000 1234 0007");
		f[l4] = types[i];
		mk16(f + l4 + 2, mk_l4_sum(f, l4, 8, 58));
		assert_false(about(w, l4 + 8, ICMP_CAUSE_PORT, 0));
	}
	assert_false(about(w, udp6("ff020000000000000000000000000001", 4), ICMP_CAUSE_PORT, 0));
	assert_false(about(w, udp6("00000000000000000000000000000000", 4), ICMP_CAUSE_PORT, 0));
	len = udp6(MK_REMOTE6, 4);
	(void)hex_put(f, "333300000001");
	assert_false(about(w, len, ICMP_CAUSE_PORT, 0));
	len = mk_udp(f, mk_ip6(f, MK_REMOTE6, MK_GUEST6, 17, 12), 1, 2, 4, 0);
	assert_false(about(w, len, ICMP_CAUSE_PORT, 0));
	assert_int_equal(w->x->count, 0);
}

static void errors_are_rare(void **state)
{
	struct world *w = *state;
	size_t len = udp4(MK_REMOTE4, 4);
	int sent = 0;

	for (int i = 0; i < 300; i++) {
		sent += about(w, len, ICMP_CAUSE_PROHIBITED, 0);
		rxnic_clear(w->x);
	}
	assert_int_equal(sent, 100);
	assert_int_equal(w->x->counters.icmp_errors, 100);
	assert_int_equal(w->x->counters.icmp_errors_limited, 200);
	/* One more with each millisecond. */
	w->now += 999999;
	assert_false(about(w, len, ICMP_CAUSE_PROHIBITED, 0));
	w->now += 1;
	assert_true(about(w, len, ICMP_CAUSE_PROHIBITED, 0));
	assert_false(about(w, len, ICMP_CAUSE_PROHIBITED, 0));
}

static void error_without_room_is_not_counted_as_sent(void **state)
{
	struct world *w = *state;

	w->x->is_full = true;
	assert_false(about(w, udp4(MK_REMOTE4, 4), ICMP_CAUSE_PORT, 0));
	assert_int_equal(w->x->counters.icmp_errors, 0);
	assert_int_equal(w->x->counters.drops[DROP_NO_ROOM], 1);
}

/* E5, E9: the error came later, the packet is gone. */
static void error_about_a_flow_quotes_what_is_remembered(void **state)
{
	struct world *w = *state;
	struct ip_addr src;
	struct ip_addr dst;
	struct icmp_quote q = {.family = 4, .has_df = true, .src = &src, .dst = &dst};
	struct icmp_error e = {.type = 3, .code = 3};
	const uint8_t *icmp;

	rxnic_addr(&src, MK_GUEST4);
	rxnic_addr(&dst, MK_REMOTE4);
	q.l4_len = 108;
	icmp_quote_udp(&q, 40000, 53);
	assert_true(icmp_out_quote(&w->out, &q, &e, w->now));
	icmp = error4(w, MK_REMOTE4, "0303000000000000");
	assert_int_equal(w->x->lens[0], 34 + 8 + 28);
	assert_hex(icmp + 8, 28, "45000080000040004011140264600002c0000209 9c400035006c0000");
	rxnic_clear(w->x);
	e = (struct icmp_error){.type = 3, .code = 1};
	assert_true(icmp_out_quote(&w->out, &q, &e, w->now));
	(void)error4(w, MK_GATEWAY4, "0301000000000000");
}

/* E6 */
static void error_about_an_ip6_flow_fits_the_minimum_mtu(void **state)
{
	struct world *w = *state;
	struct ip_addr src;
	struct ip_addr dst;
	uint8_t *payload = malloc(1400);
	struct icmp_quote q = {.family = 6, .src = &src, .dst = &dst};
	struct icmp_error e = {.type = 2, .info = 1400};
	const uint8_t *icmp;

	rxnic_addr(&src, MK_GUEST6);
	rxnic_addr(&dst, MK_REMOTE6);
	memset(payload, 0x5a, 1400);
	q.payload = payload;
	q.payload_len = 1400;
	q.l4_len = 1460;
	icmp_quote_udp(&q, 40000, 53);
	assert_true(icmp_out_quote(&w->out, &q, &e, w->now));
	icmp = error6(w, MK_REMOTE6, MK_GUEST6, "0200000000000578");
	assert_int_equal(w->x->lens[0], 14 + 1280);
	assert_hex(icmp + 8, 48, "6000000005b41140" MK_GUEST6 MK_REMOTE6 "9c40003505b40000");
	for (size_t i = 56; i < 1240; i++)
		assert_int_equal(icmp[i], 0x5a);
	free(payload);
}

static void errors_about_flows_are_rare_too(void **state)
{
	struct world *w = *state;
	struct ip_addr src;
	struct ip_addr dst;
	struct icmp_quote q = {.family = 4, .src = &src, .dst = &dst, .l4_len = 8};
	struct icmp_error e = {.type = 3, .code = 3};
	int sent = 0;

	rxnic_addr(&src, MK_GUEST4);
	rxnic_addr(&dst, MK_REMOTE4);
	icmp_quote_udp(&q, 40000, 53);
	for (int i = 0; i < 150; i++) {
		sent += icmp_out_quote(&w->out, &q, &e, w->now);
		rxnic_clear(w->x);
	}
	assert_int_equal(sent, 100);
	assert_int_equal(w->x->counters.icmp_errors_limited, 50);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(e5_fragmentation_needed_comes_from_the_destination),
	    TEST(quote_has_the_whole_ip4_header),
	    TEST(e6_packet_too_big_fits_the_minimum_mtu),
	    TEST(e6_mtu_below_1280_is_never_reported),
	    TEST(errors_come_from_whom_they_concern),
	    TEST(link_local_guest_hears_the_link_local_gateway),
	    TEST(echo_requests_and_tcp_get_errors),
	    TEST(no_error_about_ip4_packets_that_must_not_be_answered),
	    TEST(no_error_about_ip6_packets_that_must_not_be_answered),
	    TEST(errors_are_rare),
	    TEST(error_without_room_is_not_counted_as_sent),
	    TEST(error_about_a_flow_quotes_what_is_remembered),
	    TEST(error_about_an_ip6_flow_fits_the_minimum_mtu),
	    TEST(errors_about_flows_are_rare_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
