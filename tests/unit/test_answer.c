/* SPDX-License-Identifier: Apache-2.0 */
/* Answers read and written anew (behaviours D7 to D10, D26, C19; threats D4, D8, D10, D11, D14, D21). */
#include <errno.h>
#include <stdio.h>

#include "hex.h"
#include "names/answer.h"
#include "unit.h"

/* A question for a.test and type, then counts and records as hexadecimal text. */
#define HEAD(flags, answers, authority) "1234" flags "0001" answers authority "0000"
#define QUESTION(type)                  "01 61 04 74657374 00" type "0001"
#define NAME_A                          "c00c"
#define IN(type, ttl, len)              type "0001" ttl len

static bool is_public(void *ctx, const struct ip_addr *addr)
{
	(void)ctx;
	return ip_addr_is_v4(addr) ? addr->b[12] != 10 : addr->b[0] != 0xfd;
}

static bool is_not_c(void *ctx, const struct dns_name *name)
{
	(void)ctx;
	return name->wire[1] != 'c';
}

static const struct answer_judge judge = {.addr = is_public};

static int read_with(const struct answer_judge *j, bool keeps_dnssec, const char *text,
    struct answer *ret, char *hex, size_t cap)
{
	uint8_t buf[2048];
	uint8_t body[2048];
	size_t len = hex_put(buf, text);
	uint8_t *msg = exact_copy(buf, len);
	int err = answer_read(msg, len, keeps_dnssec, j, body, sizeof(body), ret);

	free(msg);
	hex[0] = '\0';
	for (size_t i = 0; !err && i < ret->body_len && 2 * i + 2 < cap; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", body[i]);
	return err;
}

static void assert_body(
    const char *text, bool keeps_dnssec, const char *expected, struct answer *ret)
{
	char hex[4096];
	char want[4096];
	uint8_t bytes[2048];
	size_t len = hex_put(bytes, expected);

	assert_int_equal(read_with(&judge, keeps_dnssec, text, ret, hex, sizeof(hex)), 0);
	want[0] = '\0';
	for (size_t i = 0; i < len; i++)
		(void)snprintf(want + 2 * i, 3, "%02x", bytes[i]);
	assert_string_equal(hex, want);
}

static void addresses_are_passed_on_and_listed(void **state)
{
	struct answer a;

	(void)state;
	assert_body(HEAD("8180", "0002", "0000") QUESTION("0001") NAME_A IN("0001", "0000003c",
			"0004") "5db8d822" NAME_A IN("0001", "0000001e", "0004") "5db8d823",
	    false,
	    NAME_A IN("0001", "0000003c", "0004") "5db8d822" NAME_A IN(
		"0001", "0000001e", "0004") "5db8d823",
	    &a);
	assert_int_equal(a.rcode, DNS_RCODE_NOERROR);
	assert_int_equal(a.answer_count, 2);
	assert_int_equal(a.addr_count, 2);
	assert_int_equal(a.ttl_s, 30);
	assert_int_equal(a.ttl_count, 2);
	assert_int_equal(a.ttl_offs[1], 16 + 6);
	assert_false(a.is_filtered);
}

/* A chain, with a record of another name and one of another type between: they stay out (C19, reference 1.8.21). */
static void only_what_the_chain_leads_to_is_kept_c19(void **state)
{
	struct answer a;

	(void)state;
	assert_body(HEAD("8180", "0005", "0000") QUESTION("0001")
	    /* a.test CNAME b.test, at 0x22 */
	    NAME_A IN("0005", "0000000a",
		"0004") "0162 c00e"
			/* x.test A: not ours; a.test TXT: not asked for */
			"0178 c00e" IN("0001", "0000003c", "0004") "01010101" NAME_A IN("0010",
			    "0000003c",
			    "0002") "0161"
				    /* B.TEST A, written out, and one of class CH */
				    "0142 0454455354 00" IN("0001", "0000003c",
					"0004") "5db8d822"
						"0162 c00e 0001 0003 0000003c 0004 5db8d823",
	    false,
	    NAME_A IN("0005", "0000000a", "0008") "0162 0474657374 00"
						  "c024" IN("0001", "0000003c", "0004") "5db8d822",
	    &a);
	assert_int_equal(a.addr_count, 1);
	assert_int_equal(a.ttl_s, 10);
}

/* D7 and threat D10: each address is judged; without any left there is no such name. */
static void bad_addresses_are_left_out_d7_d10(void **state)
{
	struct answer a;

	(void)state;
	assert_body(HEAD("8180", "0002", "0000") QUESTION("0001") NAME_A IN("0001", "0000003c",
			"0004") "0a000001" NAME_A IN("0001", "0000003c", "0004") "5db8d822",
	    false, NAME_A IN("0001", "0000003c", "0004") "5db8d822", &a);
	assert_true(a.is_filtered);
	assert_false(a.is_refused);
	assert_int_equal(a.addr_count, 1);
	assert_body(HEAD("8180", "0002", "0000") QUESTION("0001") NAME_A IN("0005", "0000003c",
			"0004") "0162 c00e 0162 c00e" IN("0001", "0000003c", "0004") "0a000001",
	    false, "", &a);
	assert_true(a.is_refused);
	assert_int_equal(a.rcode, DNS_RCODE_NXDOMAIN);
	assert_int_equal(a.addr_count, 0);
	assert_int_equal(a.answer_count, 0);
	assert_int_equal(a.ttl_s, 0);
	/* An IPv4 address in the clothes of IPv6 (D9). */
	assert_body(HEAD("8180", "0001", "0000") QUESTION("001c")
			NAME_A IN("001c", "0000003c", "0010") "00000000000000000000ffff0a000001",
	    false, "", &a);
	assert_true(a.is_refused);
}

/* D2 and D15: a server that the guest has addressed itself is not asked again by TCP, but by the guest. */
static void a_truncated_answer_says_so_and_nothing_else_d15(void **state)
{
	struct answer a;

	(void)state;
	assert_body(HEAD("8380", "0001", "0000") QUESTION("0001")
			NAME_A IN("0001", "0000003c", "0004") "5db8d822",
	    false, "", &a);
	assert_true(a.is_truncated);
	assert_int_equal(a.rcode, DNS_RCODE_NOERROR);
	assert_int_equal(a.answer_count, 0);
	assert_int_equal(a.addr_count, 0);
	assert_int_equal(a.ttl_s, 0);
	/* ... also where it has been cut in the middle of a record. */
	assert_body(HEAD("8380", "0001", "0000") QUESTION("0001") NAME_A "0001", false, "", &a);
	assert_true(a.is_truncated);
}

static void a_chain_through_a_denied_name_is_refused_threat_d11(void **state)
{
	static const struct answer_judge strict = {.addr = is_public, .alias = is_not_c};
	const char *text = HEAD("8180", "0003", "0000") QUESTION("0001") NAME_A IN("0005",
	    "0000000a", "0004") "0162 c00e"
				"0162 c00e" IN("0005", "0000000a",
				    "0004") "0163 c00e"
					    "0163 c00e" IN("0001", "0000003c", "0004") "5db8d822";
	struct answer a;
	char hex[512];

	(void)state;
	assert_int_equal(read_with(&judge, false, text, &a, hex, sizeof(hex)), 0);
	assert_int_equal(a.addr_count, 1);
	assert_int_equal(read_with(&strict, false, text, &a, hex, sizeof(hex)), 0);
	assert_true(a.is_refused);
	assert_int_equal(a.addr_count, 0);
}

/* RFC 2308: the SOA tells how long there is nothing; its last number counts too. */
static void nothing_is_told_with_its_time(void **state)
{
	struct answer a;
	const char *soa = "0474657374 00" IN(
	    "0006", "00000e10", "0019") "016e c00e 00 00000001 00000002 00000003 00000004 0000001e";
	char text[512];

	(void)state;
	(void)snprintf(
	    text, sizeof(text), "%s%s%s", HEAD("8183", "0000", "0001"), QUESTION("0001"), soa);
	assert_body(text, false,
	    "c00e" IN("0006", "0000001e",
		"001d") "016e 0474657374 00 00 00000001 00000002 00000003 00000004"
			"0000001e",
	    &a);
	assert_int_equal(a.rcode, DNS_RCODE_NXDOMAIN);
	assert_int_equal(a.authority_count, 1);
	assert_int_equal(a.ttl_s, 30);
	/* Without it nothing is known about the time. */
	assert_body(HEAD("8180", "0000", "0000") QUESTION("0001"), false, "", &a);
	assert_int_equal(a.rcode, DNS_RCODE_NOERROR);
	assert_int_equal(a.ttl_s, 0);
	/* The SOA of a stranger says nothing. */
	assert_body(HEAD("8183", "0000", "0001") QUESTION("0001") "056f74686572 00" IN("0006",
			"00000e10", "0016") "00 00 00000001 00000002 00000003 00000004 0000001e",
	    false, "", &a);
	assert_int_equal(a.ttl_s, 0);
}

/* Threat D21: no keys of ECH, no addresses, no other endpoints. */
static void https_records_speak_of_the_name_itself_d21(void **state)
{
	struct answer a;

	(void)state;
	assert_body(HEAD("8180", "0001", "0000") QUESTION("0041") NAME_A IN(
			"0041", "0000003c", "0020") "0001 00 0001 0003 026832 0004 0004 01020304 "
						    "0005 0002 beef 0006 0004 00000000",
	    false, NAME_A IN("0041", "0000003c", "000a") "0001 00 0001 0003 026832", &a);
	assert_int_equal(a.addr_count, 0);
	/* Alias, another target, another port, a mandatory key that is not kept. */
	assert_body(HEAD("8180", "0004", "0000") QUESTION("0041")
			NAME_A IN("0041", "0000003c", "0005") "0000 0162 00" NAME_A IN(
			    "0041", "0000003c", "0005") "0001 0162 00" NAME_A IN("0041", "0000003c",
			    "0009") "0001 00 0003 0002 20fb" NAME_A IN("0041", "0000000f",
			    "000f") "0001 00 0000 0002 0004 0004 0002 0102",
	    false, "", &a);
	assert_int_equal(a.rcode, DNS_RCODE_NOERROR);
	assert_int_equal(a.answer_count, 0);
	assert_int_equal(a.ttl_s, 15);
}

static void signatures_stay_with_what_is_untouched_d26(void **state)
{
	struct answer a;
	const char *signature = NAME_A IN("002e", "0000003c", "0004") "0001 aabb" NAME_A IN(
	    "002e", "0000003c", "0004") "001c aabb";
	char text[512];

	(void)state;
	(void)snprintf(text, sizeof(text), "%s%s%s%s", HEAD("81a0", "0003", "0000"),
	    QUESTION("0001"), NAME_A IN("0001", "0000003c", "0004") "5db8d822", signature);
	assert_body(text, true,
	    NAME_A IN("0001", "0000003c", "0004") "5db8d822" NAME_A IN(
		"002e", "0000003c", "0004") "0001 aabb",
	    &a);
	assert_true(a.is_authenticated);
	assert_body(text, false, NAME_A IN("0001", "0000003c", "0004") "5db8d822", &a);
	(void)snprintf(text, sizeof(text), "%s%s%s%s", HEAD("81a0", "0004", "0000"),
	    QUESTION("0001"),
	    NAME_A IN("0001", "0000003c", "0004") "5db8d822" NAME_A IN(
		"0001", "0000003c", "0004") "0a000001",
	    signature);
	assert_body(text, true, NAME_A IN("0001", "0000003c", "0004") "5db8d822", &a);
	assert_false(a.is_authenticated);
}

static void names_in_data_are_written_out(void **state)
{
	struct answer a;

	(void)state;
	assert_body(HEAD("8180", "0001", "0000") QUESTION("000f")
			NAME_A IN("000f", "0000003c", "0006") "000a 016d c00e",
	    false, NAME_A IN("000f", "0000003c", "000a") "000a 016d 0474657374 00", &a);
	assert_body(HEAD("8180", "0001", "0000") QUESTION("0021")
			NAME_A IN("0021", "0000003c", "000a") "0001 0002 01bb 016d c00e",
	    false, NAME_A IN("0021", "0000003c", "000e") "0001 0002 01bb 016d 0474657374 00", &a);
	assert_body(HEAD("8180", "0001", "0000") QUESTION("0010")
			NAME_A IN("0010", "0000003c", "0003") "02c00c",
	    false, NAME_A IN("0010", "0000003c", "0003") "02c00c", &a);
}

/* RFC 2181 8, and no time without end. */
static void times_are_bounded(void **state)
{
	struct answer a;

	(void)state;
	assert_body(HEAD("8180", "0001", "0000") QUESTION("0001")
			NAME_A IN("0001", "7fffffff", "0004") "5db8d822",
	    false, NAME_A IN("0001", "00015180", "0004") "5db8d822", &a);
	assert_int_equal(a.ttl_s, 86400);
	assert_body(HEAD("8180", "0001", "0000") QUESTION("0001")
			NAME_A IN("0001", "80000000", "0004") "5db8d822",
	    false, NAME_A IN("0001", "00000000", "0004") "5db8d822", &a);
	assert_int_equal(a.ttl_s, 0);
}

static void failures_are_told_without_records_d13(void **state)
{
	static const struct {
		const char *flags;
		uint16_t rcode;
	} cases[] = {{"8182", 2}, {"8185", 5}, {"8181", 2}, {"8184", 2}, {"8189", 2}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct answer a;
		char text[512];

		(void)snprintf(text, sizeof(text), "1234%s000100010000 0000%s%s", cases[i].flags,
		    QUESTION("0001"), NAME_A IN("0001", "0000003c", "0004") "5db8d822");
		assert_body(text, false, "", &a);
		assert_int_equal(a.rcode, cases[i].rcode);
		assert_int_equal(a.ttl_s, 0);
	}
}

/* Threat D14: loops, records that are cut off, lengths that do not fit. */
static void what_is_malformed_is_refused_d14(void **state)
{
	static const char *const cases[] = {
	    /* fewer records than are counted */
	    HEAD("8180", "0002", "0000") QUESTION("0001")
		NAME_A IN("0001", "0000003c", "0004") "5db8d822",
	    /* data cut off, too short, too long */
	    HEAD("8180", "0001", "0000") QUESTION("0001")
		NAME_A IN("0001", "0000003c", "0004") "5db8d8",
	    HEAD("8180", "0001", "0000") QUESTION("0001")
		NAME_A IN("0001", "0000003c", "0003") "5db8d8",
	    HEAD("8180", "0001", "0000") QUESTION("0001")
		NAME_A IN("0001", "0000003c", "0005") "5db8d82200",
	    /* an owner that points to itself */
	    HEAD("8180", "0001", "0000")
		QUESTION("0001") "c018" IN("0001", "0000003c", "0004") "5db8d822",
	    /* a chain that bites its tail */
	    HEAD("8180", "0002", "0000") QUESTION("0001") NAME_A IN(
		"0005", "0000003c", "0004") "0162c00e"
					    "0162c00e" IN("0005", "0000003c", "0002") "c00c",
	    /* a name behind which there are bytes */
	    HEAD("8180", "0001", "0000") QUESTION("0001")
		NAME_A IN("0005", "0000003c", "0005") "0162c00e00",
	    /* more records than are looked at */
	    HEAD("8180", "0201", "0000") QUESTION("0001"),
	    /* parameters out of order, cut off */
	    HEAD("8180", "0001", "0000") QUESTION("0041")
		NAME_A IN("0041", "0000003c", "000d") "0001 00 0002 0000 0001 0002 0168",
	    HEAD("8180", "0001", "0000") QUESTION("0041")
		NAME_A IN("0041", "0000003c", "0008") "0001 00 0001 0003 02",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct answer a;
		char hex[512];

		if (read_with(&judge, true, cases[i], &a, hex, sizeof(hex)) != -EBADMSG)
			fail_msg("case %zu was taken", i);
	}
}

/* No prefix of a good answer is a good one, and none reads past its end. */
static void each_cut_is_refused(void **state)
{
	const char *text = HEAD("8180", "0002", "0000") QUESTION("0001") NAME_A IN(
	    "0005", "0000000a", "0004") "0162 c00e"
					"0162 c00e" IN("0001", "0000003c", "0004") "5db8d822";
	uint8_t buf[256];
	uint8_t body[256];
	size_t len = hex_put(buf, text);
	struct answer a;

	(void)state;
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *msg = exact_copy(buf, cut);

		assert_int_equal(
		    answer_read(msg, cut, false, &judge, body, sizeof(body), &a), -EBADMSG);
		free(msg);
	}
	/* ... nor does it write past the end of what there is for it. */
	for (size_t cap = 0; cap < 36; cap++) {
		uint8_t *to = exact_copy(buf, cap);

		(void)!answer_read(buf, len, false, &judge, to, cap, &a);
		free(to);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(addresses_are_passed_on_and_listed),
	    cmocka_unit_test(only_what_the_chain_leads_to_is_kept_c19),
	    cmocka_unit_test(bad_addresses_are_left_out_d7_d10),
	    cmocka_unit_test(a_truncated_answer_says_so_and_nothing_else_d15),
	    cmocka_unit_test(a_chain_through_a_denied_name_is_refused_threat_d11),
	    cmocka_unit_test(nothing_is_told_with_its_time),
	    cmocka_unit_test(https_records_speak_of_the_name_itself_d21),
	    cmocka_unit_test(signatures_stay_with_what_is_untouched_d26),
	    cmocka_unit_test(names_in_data_are_written_out),
	    cmocka_unit_test(times_are_bounded),
	    cmocka_unit_test(failures_are_told_without_records_d13),
	    cmocka_unit_test(what_is_malformed_is_refused_d14),
	    cmocka_unit_test(each_cut_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
