/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP errors: causes, translation between families, quotes. Golden quotes are scapy 2.5.0's. */
#include "hex.h"

#include <errno.h>

#include "wire/icmp.h"
#include "wire/packet.h"

struct wire_error {
	uint8_t type;
	uint8_t code;
	uint32_t info;
};

static void assert_error(const struct icmp_error *e, struct wire_error want)
{
	assert_int_equal(e->type, want.type);
	assert_int_equal(e->code, want.code);
	assert_int_equal(e->info, want.info);
}

static void each_cause_has_its_type_and_code(void **state)
{
	static const struct {
		enum icmp_cause cause;
		struct wire_error v4;
		struct wire_error v6;
	} rows[] = {
	    {ICMP_CAUSE_NO_ROUTE, {3, 0, 0}, {1, 0, 0}},
	    {ICMP_CAUSE_HOST, {3, 1, 0}, {1, 3, 0}},
	    {ICMP_CAUSE_PROTOCOL, {3, 2, 0}, {4, 1, 6}},
	    {ICMP_CAUSE_PORT, {3, 3, 0}, {1, 4, 0}},
	    {ICMP_CAUSE_TOO_BIG, {3, 4, 1400}, {2, 0, 1400}},
	    {ICMP_CAUSE_PROHIBITED, {3, 13, 0}, {1, 1, 0}},
	    {ICMP_CAUSE_HOP_LIMIT, {11, 0, 0}, {3, 0, 0}},
	    {ICMP_CAUSE_REASSEMBLY, {11, 1, 0}, {3, 1, 0}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct icmp_error e;

		assert_true(icmp_error_of(rows[i].cause, 4, 1400, &e));
		assert_error(&e, rows[i].v4);
		assert_true(icmp_error_of(rows[i].cause, 6, 1400, &e));
		assert_error(&e, rows[i].v6);
	}
}

/* E6, P17 */
static void mtu_below_the_family_minimum_is_never_reported(void **state)
{
	struct icmp_error e;

	(void)state;
	assert_true(icmp_error_of(ICMP_CAUSE_TOO_BIG, 6, 1280, &e));
	assert_false(icmp_error_of(ICMP_CAUSE_TOO_BIG, 6, 1279, &e));
	assert_true(icmp_error_of(ICMP_CAUSE_TOO_BIG, 4, 68, &e));
	assert_false(icmp_error_of(ICMP_CAUSE_TOO_BIG, 4, 67, &e));
	assert_false(icmp_error_of(ICMP_CAUSE_TOO_BIG, 4, 0, &e));
	/* RFC 1191: sixteen bits. */
	assert_true(icmp_error_of(ICMP_CAUSE_TOO_BIG, 4, 100000, &e));
	assert_int_equal(e.info, 65535);
}

static void errno_values_have_causes(void **state)
{
	(void)state;
	assert_int_equal(icmp_cause_of_errno(ECONNREFUSED), ICMP_CAUSE_PORT);
	assert_int_equal(icmp_cause_of_errno(EHOSTUNREACH), ICMP_CAUSE_HOST);
	assert_int_equal(icmp_cause_of_errno(ENETUNREACH), ICMP_CAUSE_NO_ROUTE);
	assert_int_equal(icmp_cause_of_errno(EMSGSIZE), ICMP_CAUSE_TOO_BIG);
	assert_int_equal(icmp_cause_of_errno(EACCES), ICMP_CAUSE_PROHIBITED);
	assert_int_equal(icmp_cause_of_errno(ENOPROTOOPT), ICMP_CAUSE_PROTOCOL);
	assert_int_equal(icmp_cause_of_errno(EIO), ICMP_CAUSE_HOST);
}

static void error_within_a_family_keeps_type_and_code(void **state)
{
	(void)state;
	for (uint8_t code = 0; code <= 15; code++) {
		const struct icmp_error from = {.type = 3, .code = code, .info = 1400};
		struct icmp_error e;

		assert_true(icmp_error_translate(4, &from, 4, &e));
		assert_error(&e, (struct wire_error){3, code, code == 4 ? 1400 : 0});
	}
	for (uint8_t code = 0; code <= 6; code++) {
		const struct icmp_error from = {.type = 1, .code = code};
		struct icmp_error e;

		assert_true(icmp_error_translate(6, &from, 6, &e));
		assert_error(&e, (struct wire_error){1, code, 0});
	}
}

/* B17: the service answered in the other family. RFC 7915 4.2, 5.2. */
static void error_of_the_other_family_is_translated(void **state)
{
	static const struct {
		uint8_t family;
		struct icmp_error from;
		struct wire_error to;
	} rows[] = {
	    {4, {3, 3, 0}, {1, 4, 0}},
	    {4, {3, 2, 0}, {4, 1, 6}},
	    {4, {3, 1, 0}, {1, 3, 0}},
	    {4, {3, 0, 0}, {1, 0, 0}},
	    {4, {3, 13, 0}, {1, 1, 0}},
	    {4, {3, 10, 0}, {1, 1, 0}},
	    {4, {3, 5, 0}, {1, 0, 0}},
	    {4, {3, 6, 0}, {1, 0, 0}},
	    {4, {3, 7, 0}, {1, 3, 0}},
	    {4, {3, 11, 0}, {1, 0, 0}},
	    {4, {3, 12, 0}, {1, 3, 0}},
	    {4, {11, 1, 0}, {3, 1, 0}},
	    {4, {11, 0, 0}, {3, 0, 0}},
	    {4, {3, 4, 1400}, {2, 0, 1420}},
	    {6, {1, 4, 0}, {3, 3, 0}},
	    {6, {1, 0, 0}, {3, 0, 0}},
	    {6, {1, 3, 0}, {3, 1, 0}},
	    {6, {1, 1, 0}, {3, 13, 0}},
	    {6, {3, 0, 0}, {11, 0, 0}},
	    {6, {3, 1, 0}, {11, 1, 0}},
	    {6, {1, 2, 0}, {3, 1, 0}},
	    {6, {1, 5, 0}, {3, 13, 0}},
	    {6, {1, 6, 0}, {3, 13, 0}},
	    {6, {4, 1, 6}, {3, 2, 0}},
	    {6, {2, 0, 1400}, {3, 4, 1380}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct icmp_error e;

		assert_true(icmp_error_translate(
		    rows[i].family, &rows[i].from, rows[i].family == 4 ? 6 : 4, &e));
		assert_error(&e, rows[i].to);
	}
}

/* P17: what the outside sends is not told on unless it is an error of delivery. */
static void other_messages_are_not_translated(void **state)
{
	static const struct {
		uint8_t family;
		struct icmp_error from;
	} rows[] = {
	    {4, {4, 0, 0}},    /* source quench */
	    {4, {5, 1, 0}},    /* redirect */
	    {4, {0, 0, 0}},    /* echo reply */
	    {4, {3, 16, 0}},   /* unknown code */
	    {4, {11, 2, 0}},   /* unknown code */
	    {4, {12, 0, 0}},   /* parameter problem */
	    {4, {3, 4, 67}},   /* lying MTU */
	    {6, {2, 0, 1279}}, /* lying MTU */
	    {6, {1, 7, 0}},    /* unknown code */
	    {6, {3, 2, 0}},    /* unknown code */
	    {6, {4, 0, 0}},    /* erroneous header */
	    {6, {137, 0, 0}},  /* redirect */
	    {6, {129, 0, 0}},  /* echo reply */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct icmp_error e;

		assert_false(
		    icmp_error_translate(rows[i].family, &rows[i].from, rows[i].family, &e));
	}
}

/* RFC 1122 3.2.2, RFC 4443 2.4(e): an error is never answered by an error. */
static void error_types_are_known(void **state)
{
	(void)state;
	for (int type = 0; type < 256; type++) {
		bool is_error4 = type == 3 || type == 4 || type == 5 || type == 11 || type == 12;

		assert_int_equal(icmp_is_error(4, (uint8_t)type), is_error4);
		assert_int_equal(icmp_is_error(6, (uint8_t)type), type < 128);
	}
}

static void error_header_is_written(void **state)
{
	const struct icmp_error e = {.type = 3, .code = 4, .info = 1400};
	uint8_t buf[8];
	struct wr w = wr_init(buf, sizeof(buf));

	(void)state;
	icmp_build_error(&e, &w);
	assert_true(wr_ok(&w));
	assert_hex(buf, wr_len(&w), "03040000 00000578");
}

/* E5: the quote is IP header and 8 bytes. */
static void quote_of_an_ip4_datagram_is_header_and_eight_bytes(void **state)
{
	struct ip_addr src = ip_addr_v4(0x64600002);
	struct ip_addr dst = ip_addr_v4(0xc0000209);
	struct icmp_quote q = {
	    .family = 4, .has_df = true, .src = &src, .dst = &dst, .l4_len = 108};
	uint8_t payload[100] = {0x78};
	uint8_t buf[100];
	struct wr w = wr_init(buf, sizeof(buf));

	(void)state;
	memset(q.l4, 0xff, sizeof(q.l4));
	q.payload = payload;
	q.payload_len = sizeof(payload);
	icmp_quote_udp(&q, 40000, 53);
	icmp_build_quote(&q, &w);
	assert_hex(buf, wr_len(&w), "45000080000040004011140264600002c0000209 9c400035006c0000");
}

/* E6: as much of the datagram as there is room for. */
static void quote_of_an_ip6_datagram_takes_the_payload_that_fits(void **state)
{
	struct ip_addr src = {.b = {0xfd, 0x42, 0x6d, 0x73, 0, 0x62, [15] = 2}};
	struct ip_addr dst = {.b = {0x20, 0x01, 0x0d, 0xb8, [15] = 9}};
	struct icmp_quote q = {.family = 6, .src = &src, .dst = &dst, .l4_len = 108};
	uint8_t *payload = malloc(20);
	uint8_t buf[148];

	(void)state;
	memset(payload, 0x78, 20);
	q.payload = payload;
	q.payload_len = 20;
	icmp_quote_udp(&q, 40000, 53);
	for (size_t cap = 48; cap < 80; cap++) {
		struct wr w = wr_init(buf, cap);

		icmp_build_quote(&q, &w);
		assert_true(wr_ok(&w));
		assert_int_equal(wr_len(&w), cap < 68 ? cap : 68);
		assert_hex(buf, 48,
		    "60000000006c1140fd426d73006200000000000000000002"
		    "20010db8000000000000000000000009 9c400035006c0000");
		for (size_t i = 48; i < wr_len(&w); i++)
			assert_int_equal(buf[i], 0x78);
	}
	free(payload);
}

static void quotes_of_tcp_and_echo_carry_what_finds_their_socket(void **state)
{
	struct ip_addr src = ip_addr_v4(0x64600002);
	struct ip_addr dst = ip_addr_v4(0xc0000209);
	struct icmp_quote q = {.family = 4, .src = &src, .dst = &dst, .l4_len = 20};

	(void)state;
	icmp_quote_tcp(&q, 40000, 443, 0xdeadbeef);
	assert_int_equal(q.proto, 6);
	assert_hex(q.l4, 8, "9c4001bb deadbeef");
	icmp_quote_echo(&q, 0x1234, 7);
	assert_int_equal(q.proto, 1);
	assert_hex(q.l4, 8, "08000000 12340007");
	q.family = 6;
	icmp_quote_echo(&q, 0x1234, 7);
	assert_int_equal(q.proto, 58);
	assert_hex(q.l4, 8, "80000000 12340007");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_cause_has_its_type_and_code),
	    cmocka_unit_test(mtu_below_the_family_minimum_is_never_reported),
	    cmocka_unit_test(errno_values_have_causes),
	    cmocka_unit_test(error_within_a_family_keeps_type_and_code),
	    cmocka_unit_test(error_of_the_other_family_is_translated),
	    cmocka_unit_test(other_messages_are_not_translated),
	    cmocka_unit_test(error_types_are_known),
	    cmocka_unit_test(error_header_is_written),
	    cmocka_unit_test(quote_of_an_ip4_datagram_is_header_and_eight_bytes),
	    cmocka_unit_test(quote_of_an_ip6_datagram_takes_the_payload_that_fits),
	    cmocka_unit_test(quotes_of_tcp_and_echo_carry_what_finds_their_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
