/* SPDX-License-Identifier: Apache-2.0 */
/* DNS codec. Golden messages are those that scapy 2.5.0 makes. */
#include "hex.h"

#include <errno.h>

#include "wire/dns.h"

#define QUESTION "03417069074578616d706c6503636f6d00 001c 0001"
#define OPT      "00 0029 04d0 00008000 0000"
#define QUERY    "1234 0100 0001 0000 0000 0001" QUESTION OPT

static int parse(const char *text, struct dns_query *q)
{
	size_t len;
	uint8_t *bytes = hex_bytes(text, &len);
	int err = dns_parse_query(bytes, len, q);

	free(bytes);
	return err;
}

static uint16_t problem(const char *text)
{
	struct dns_query q;

	assert_int_equal(parse(text, &q), 0);
	return q.problem_rcode;
}

static void query_is_read(void **state)
{
	struct dns_query q;
	char text[DNS_NAME_TEXT_MAX];

	(void)state;
	assert_int_equal(parse(QUERY, &q), 0);
	assert_int_equal(q.problem_rcode, DNS_RCODE_NOERROR);
	assert_int_equal(q.head.id, 0x1234);
	assert_true(q.head.is_recursion_desired);
	assert_false(q.head.is_response || q.head.is_truncated || q.head.is_checking_disabled);
	assert_true(q.head.has_question);
	assert_int_equal(q.head.question.type, DNS_TYPE_AAAA);
	assert_int_equal(q.head.question.class, DNS_CLASS_IN);
	assert_int_equal(dns_name_to_text(&q.head.question.name, text), 0);
	assert_string_equal(text, "api.example.com");
	assert_true(q.has_edns);
	assert_true(q.is_dnssec_ok);
	assert_int_equal(q.udp_size, 1232);
}

static void query_without_edns_takes_512_bytes(void **state)
{
	struct dns_query q;

	(void)state;
	assert_int_equal(parse("1234 0110 0001 0000 0000 0000" QUESTION, &q), 0);
	assert_false(q.has_edns || q.is_dnssec_ok);
	assert_true(q.head.is_checking_disabled);
	assert_int_equal(q.udp_size, 512);
	/* RFC 6891 6.2.3: smaller sizes mean 512. */
	assert_int_equal(
	    parse("1234 0100 0001 0000 0000 0001" QUESTION "00 0029 0010 00000000 0000", &q), 0);
	assert_int_equal(q.udp_size, 512);
}

/* D17 */
static void what_is_no_query_gets_no_answer(void **state)
{
	size_t len;
	uint8_t *bytes = hex_bytes(QUERY, &len);
	struct dns_query q;

	(void)state;
	for (size_t n = 0; n < DNS_HDR_SIZE; n++) {
		uint8_t *cut = exact_copy(bytes, n);

		assert_int_equal(dns_parse_query(cut, n, &q), -EBADMSG);
		free(cut);
	}
	bytes[2] |= 0x80;
	assert_int_equal(dns_parse_query(bytes, len, &q), -EBADMSG);
	free(bytes);
}

static void each_cut_behind_the_header_is_a_format_error(void **state)
{
	size_t len;
	uint8_t *bytes = hex_bytes(QUERY, &len);

	(void)state;
	for (size_t n = DNS_HDR_SIZE; n < len; n++) {
		uint8_t *cut = exact_copy(bytes, n);
		struct dns_query q;

		assert_int_equal(dns_parse_query(cut, n, &q), 0);
		assert_int_equal(q.problem_rcode, DNS_RCODE_FORMERR);
		free(cut);
	}
	free(bytes);
}

/* D14 */
static void other_than_one_question_is_a_format_error(void **state)
{
	(void)state;
	assert_int_equal(
	    problem("1234 0100 0002 0000 0000 0000" QUESTION QUESTION), DNS_RCODE_FORMERR);
	assert_int_equal(problem("1234 0100 0000 0000 0000 0000"), DNS_RCODE_FORMERR);
	assert_int_equal(problem("1234 0100 ffff ffff ffff ffff" QUESTION), DNS_RCODE_FORMERR);
}

/* threats.md D14 */
static void malformed_names_and_records_are_format_errors(void **state)
{
	static const char *const tails[] = {
	    "0001 0000 0000 0000 c00c 0001 0001",      /* pointer to itself */
	    "0001 0000 0000 0000 c000 0001 0001",      /* into the header */
	    "0001 0000 0000 0000 c00b 0001 0001",      /* ... */
	    "0001 0000 0000 0000 c010 0001 0001 0000", /* forwards */
	    "0001 0000 0000 0000 0161c00c 0001 0001",  /* loop of a label */
	    "0001 0000 0000 0000 c0",                  /* half a pointer */
	    "0001 0000 0000 0000 4061 00 0001 0001",   /* label type 01 */
	    "0001 0000 0000 0000 8061 00 0001 0001",   /* label type 10 */
	    "0001 0000 0000 0000 0261",                /* cut label */
	    "0001 0000 0000 0001" QUESTION "c00c 0001 0001 00000000 0005 01020304", /* RDLENGTH */
	    "0001 0000 0000 0001" QUESTION OPT "00",                                /* left over */
	    "0001 0000 0000 0000" QUESTION "00",                                    /* left over */
	    "0001 0000 0000 0002" QUESTION OPT OPT,                                 /* two OPT */
	    "0001 0000 0000 0001" QUESTION "0161" OPT, /* OPT not of the root */
	    "0001 0001 0000 0000" QUESTION OPT,        /* OPT as an answer */
	    "0001 0000 0001 0000" QUESTION OPT,        /* OPT as authority */
	    "0001 0000 0000 0001" QUESTION "00 0029 04d0 00000000 0004 0000", /* its RDLENGTH */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		char text[400];

		(void)snprintf(text, sizeof(text), "1234 0100 %s", tails[i]);
		assert_int_equal(problem(text), DNS_RCODE_FORMERR);
	}
}

static void other_records_in_a_query_are_skipped(void **state)
{
	struct dns_query q;

	(void)state;
	/* A record with a compressed name, then OPT with a cookie option. */
	assert_int_equal(
	    parse("1234 0100 0001 0000 0001 0001" QUESTION "c010 0006 0001 00000000 0003 010203"
		  "00 0029 1000 00000000 000c 000a0008 0102030405060708",
		&q),
	    0);
	assert_int_equal(q.problem_rcode, DNS_RCODE_NOERROR);
	assert_int_equal(q.udp_size, 4096);
	assert_false(q.is_dnssec_ok);
}

static void other_opcodes_and_edns_versions_are_named(void **state)
{
	struct dns_query q;

	(void)state;
	assert_int_equal(parse("1234 2800 0001 0000 0000 0000" QUESTION, &q), 0);
	assert_int_equal(q.problem_rcode, DNS_RCODE_NOTIMP);
	assert_int_equal(q.head.opcode, 5);
	assert_int_equal(
	    problem("1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 00010000 0000"),
	    DNS_RCODE_BADVERS);
}

static struct dns_name name_of(const char *hex, int want)
{
	size_t len;
	uint8_t *bytes = hex_bytes(hex, &len);
	struct rd r = rd_init(bytes, len);
	struct dns_name n = {0};

	assert_int_equal(dns_name_read(&r, bytes, &n), want);
	free(bytes);
	return n;
}

static void compressed_names_are_followed(void **state)
{
	/* At 12 "a.b", at 17 "c" + pointer to "b", at 21 pointer to 17. */
	size_t len;
	uint8_t *bytes = hex_bytes("000000000000000000000000 0161016200 0163c00e c011 ff", &len);
	struct rd r = rd_init(bytes, len);
	struct dns_name n;
	char text[DNS_NAME_TEXT_MAX];

	(void)state;
	rd_skip(&r, 17);
	assert_int_equal(dns_name_read(&r, bytes, &n), 0);
	assert_int_equal(rd_left(&r), 3);
	assert_int_equal(dns_name_to_text(&n, text), 0);
	assert_string_equal(text, "c.b");
	assert_int_equal(dns_name_read(&r, bytes, &n), 0);
	assert_int_equal(rd_left(&r), 1);
	assert_int_equal(dns_name_to_text(&n, text), 0);
	assert_string_equal(text, "c.b");
	free(bytes);
}

static void pointers_reach_as_far_as_fourteen_bits_say(void **state)
{
	/* "a" at the first legal place, and at 0x1203 a pointer to each of two names. */
	uint8_t *m = calloc(1, 0x1203 + 4);
	struct rd r = rd_init(m, 0x1203 + 4);
	struct dns_name n;

	(void)state;
	(void)hex_put(m + 12, "016100");
	(void)hex_put(m + 0x1155, "016200");
	(void)hex_put(m + 0x1203, "c00c d155");
	rd_skip(&r, 0x1203);
	assert_int_equal(dns_name_read(&r, m, &n), 0);
	assert_hex(n.wire, n.len, "016100");
	assert_int_equal(dns_name_read(&r, m, &n), 0);
	assert_hex(n.wire, n.len, "016200");
	free(m);
}

/* Writes piece count times, and a NUL. */
static void repeat(char *out, const char *piece, size_t count)
{
	size_t len = strlen(piece);

	for (size_t i = 0; i < count; i++)
		memcpy(out + i * len, piece, len);
	out[count * len] = '\0';
}

/* threats.md D14: 255 bytes and no more, however they are put together. */
static void long_names_are_refused(void **state)
{
	char hex[1200];
	struct dns_name n;
	char text[DNS_NAME_TEXT_MAX];

	(void)state;
	repeat(hex, "0161", 127);
	repeat(hex + 508, "00", 1);
	n = name_of(hex, 0);
	assert_int_equal(n.len, 255);
	assert_int_equal(dns_name_to_text(&n, text), 0);
	assert_int_equal(strlen(text), 253);
	repeat(hex + 508, "016100", 1);
	(void)name_of(hex, -EBADMSG);
}

static void long_names_made_by_pointers_are_refused(void **state)
{
	/* Behind the header a name of 201 bytes, then 60 bytes and a pointer to it: 261. */
	uint8_t *m = calloc(1, 12 + 201 + 60 + 2);
	struct rd r;
	struct dns_name n;

	(void)state;
	assert_non_null(m);
	for (int i = 0; i < 4; i++)
		m[12 + i * 50] = 49;
	m[213] = 59;
	m[273] = 0xc0;
	m[274] = 12;
	r = rd_init(m, 275);
	rd_skip(&r, 213);
	assert_int_equal(dns_name_read(&r, m, &n), -EBADMSG);
	/* Without its first label the first name is short enough. */
	m[274] = 12 + 50;
	r = rd_init(m, 275);
	rd_skip(&r, 213);
	assert_int_equal(dns_name_read(&r, m, &n), 0);
	assert_int_equal(n.len, 60 + 151);
	free(m);
}

static void names_are_compared_without_case(void **state)
{
	struct dns_name a = name_of("03417069 03636f6d 00", 0);
	struct dns_name b = name_of("03617049 03434f4d 00", 0);
	struct dns_name c = name_of("03617049 03434f4e 00", 0);
	struct dns_name d = name_of("03617049 00", 0);

	(void)state;
	assert_true(dns_name_eq(&a, &b));
	assert_false(dns_name_eq(&a, &c));
	assert_false(dns_name_eq(&a, &d));
	/* '@' and '`' differ by the same bit as letters do. */
	a = name_of("0140 00", 0);
	b = name_of("0160 00", 0);
	assert_false(dns_name_eq(&a, &b));
}

/* N1, N4 */
static void names_with_other_bytes_have_no_text(void **state)
{
	static const uint8_t bad[] = {
	    0, '.', ' ', '*', '/', ':', '@', '[', '`', '{', 0x7f, 0x80, 0xff};
	char text[DNS_NAME_TEXT_MAX];
	struct dns_name n = {.len = 3, .wire = {1, 'x', 0}};

	(void)state;
	for (const char *c = "abcdefghijklmnopqrstuvwxyz0123456789-_"; *c != '\0'; c++) {
		n.wire[1] = (uint8_t)*c;
		assert_int_equal(dns_name_to_text(&n, text), 0);
		assert_int_equal(text[0], *c);
	}
	for (int c = 'A'; c <= 'Z'; c++) {
		n.wire[1] = (uint8_t)c;
		assert_int_equal(dns_name_to_text(&n, text), 0);
		assert_int_equal(text[0], c - 'A' + 'a');
	}
	for (size_t i = 0; i < sizeof(bad); i++) {
		n.wire[1] = bad[i];
		assert_int_equal(dns_name_to_text(&n, text), -EINVAL);
	}
	n = name_of("00", 0);
	assert_int_equal(dns_name_to_text(&n, text), 0);
	assert_string_equal(text, ".");
}

/* N2 */
static void text_is_made_a_name_strictly(void **state)
{
	static const char *const bad[] = {
	    "", "..", ".a", "a..", "a..b", "a b", "a*", "\xc3\xa9", "a.b\n"};
	struct dns_name n;
	struct dns_name want = name_of("03417069 015f 00", 0);
	char label[80];
	char longest[300];
	struct rd r;

	(void)state;
	memset(&n, 0xff, sizeof(n));
	assert_int_equal(dns_name_from_text("Api._", &n), 0);
	assert_int_equal(n.len, want.len);
	assert_memory_equal(n.wire, want.wire, n.len);
	assert_int_equal(dns_name_from_text("Api._.", &n), 0);
	assert_int_equal(n.len, want.len);
	memset(&n, 0xff, sizeof(n));
	assert_int_equal(dns_name_from_text(".", &n), 0);
	assert_hex(n.wire, n.len, "00");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(dns_name_from_text(bad[i], &n), -EINVAL);
	memset(label, 'a', sizeof(label));
	label[63] = '\0';
	assert_int_equal(dns_name_from_text(label, &n), 0);
	assert_int_equal(n.wire[0], 63);
	r = rd_init(n.wire, n.len);
	assert_int_equal(dns_name_read(&r, n.wire, &want), 0);
	assert_int_equal(want.len, 65);
	label[63] = 'a';
	label[64] = '\0';
	assert_int_equal(dns_name_from_text(label, &n), -EINVAL);
	repeat(longest, "a.", 127);
	longest[253] = '\0';
	assert_int_equal(dns_name_from_text(longest, &n), 0);
	assert_int_equal(n.len, 255);
	repeat(longest + 253, "a", 1);
	assert_int_equal(dns_name_from_text(longest, &n), -EINVAL);
	repeat(longest + 253, ".a", 1);
	assert_int_equal(dns_name_from_text(longest, &n), -EINVAL);
}

static void assert_reply(const char *query, uint16_t rcode, bool is_truncated, const char *want)
{
	uint8_t buf[DNS_REPLY_SIZE_MAX];
	struct wr w = wr_init(buf, sizeof(buf));
	struct dns_query q;

	assert_int_equal(parse(query, &q), 0);
	dns_build_reply(&q, rcode, is_truncated, &w);
	assert_true(wr_ok(&w));
	assert_hex(buf, wr_len(&w), want);
}

/* D1, D12, D15: id and question as they came, case included. */
static void empty_answer_keeps_id_and_question(void **state)
{
	(void)state;
	assert_reply(
	    QUERY, DNS_RCODE_SERVFAIL, false, "1234 8182 0001 0000 0000 0001" QUESTION OPT);
	assert_reply("1234 0000 0001 0000 0000 0000" QUESTION, DNS_RCODE_NXDOMAIN, false,
	    "1234 8083 0001 0000 0000 0000" QUESTION);
	assert_reply("1234 0110 0001 0000 0000 0000" QUESTION, DNS_RCODE_NOERROR, true,
	    "1234 8390 0001 0000 0000 0000" QUESTION);
	assert_reply("1234 0100 0001 0000 0000 0000" QUESTION, DNS_RCODE_REFUSED, false,
	    "1234 8185 0001 0000 0000 0000" QUESTION);
}

static void answer_to_a_bad_query_has_no_question(void **state)
{
	(void)state;
	assert_reply("1234 0100 0002 0000 0000 0000" QUESTION QUESTION, DNS_RCODE_FORMERR, false,
	    "1234 8181 0000 0000 0000 0000");
	assert_reply("1234 2000 0000 0000 0000 0000", DNS_RCODE_NOTIMP, false,
	    "1234 a084 0000 0000 0000 0000");
}

static void extended_code_goes_into_the_opt_record(void **state)
{
	(void)state;
	assert_reply("1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 00010000 0000",
	    DNS_RCODE_BADVERS, false,
	    "1234 8180 0001 0000 0000 0001" QUESTION "00 0029 04d0 01000000 0000");
}

static void query_of_our_own_is_written(void **state)
{
	uint8_t buf[DNS_QUERY_SIZE_MAX];
	struct wr w = wr_init(buf, sizeof(buf));
	struct dns_query q;

	(void)state;
	assert_int_equal(parse(QUERY, &q), 0);
	dns_build_query(0x1234, &q.head.question, 1232, true, false, &w);
	assert_hex(buf, wr_len(&w), QUERY);
	w = wr_init(buf, sizeof(buf));
	dns_build_query(0x1234, &q.head.question, 0, false, false, &w);
	assert_hex(buf, wr_len(&w), "1234 0100 0001 0000 0000 0000" QUESTION);
}

static void head_of_an_answer_is_read(void **state)
{
	size_t len;
	uint8_t *bytes = hex_bytes("1234 8783 0001 0002 0003 0004" QUESTION "c00c", &len);
	struct dns_head h;

	(void)state;
	assert_int_equal(dns_parse_head(bytes, len, &h), 0);
	assert_true(h.is_response && h.is_authoritative && h.is_truncated);
	assert_true(h.is_recursion_desired && h.is_recursion_available);
	assert_int_equal(h.rcode, DNS_RCODE_NXDOMAIN);
	assert_int_equal(h.question_count, 1);
	assert_int_equal(h.answer_count, 2);
	assert_int_equal(h.authority_count, 3);
	assert_int_equal(h.additional_count, 4);
	assert_true(h.has_question);
	assert_int_equal(h.records_off, len - 2);
	(void)hex_put(bytes + 2, "8000");
	assert_int_equal(dns_parse_head(bytes, len, &h), 0);
	assert_true(h.is_response);
	assert_false(h.is_authoritative || h.is_truncated || h.is_recursion_desired);
	assert_false(h.is_recursion_available || h.is_checking_disabled);
	(void)hex_put(bytes + 12, "ff");
	assert_int_equal(dns_parse_head(bytes, len, &h), 0);
	assert_false(h.has_question);
	assert_int_equal(h.records_off, 0);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(query_is_read),
	    cmocka_unit_test(query_without_edns_takes_512_bytes),
	    cmocka_unit_test(what_is_no_query_gets_no_answer),
	    cmocka_unit_test(each_cut_behind_the_header_is_a_format_error),
	    cmocka_unit_test(other_than_one_question_is_a_format_error),
	    cmocka_unit_test(malformed_names_and_records_are_format_errors),
	    cmocka_unit_test(other_records_in_a_query_are_skipped),
	    cmocka_unit_test(other_opcodes_and_edns_versions_are_named),
	    cmocka_unit_test(compressed_names_are_followed),
	    cmocka_unit_test(pointers_reach_as_far_as_fourteen_bits_say),
	    cmocka_unit_test(long_names_are_refused),
	    cmocka_unit_test(long_names_made_by_pointers_are_refused),
	    cmocka_unit_test(names_are_compared_without_case),
	    cmocka_unit_test(names_with_other_bytes_have_no_text),
	    cmocka_unit_test(text_is_made_a_name_strictly),
	    cmocka_unit_test(empty_answer_keeps_id_and_question),
	    cmocka_unit_test(answer_to_a_bad_query_has_no_question),
	    cmocka_unit_test(extended_code_goes_into_the_opt_record),
	    cmocka_unit_test(query_of_our_own_is_written),
	    cmocka_unit_test(head_of_an_answer_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
