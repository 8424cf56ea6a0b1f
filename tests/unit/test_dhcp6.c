/* SPDX-License-Identifier: Apache-2.0 */
/* DHCPv6 codec. Golden bytes are those that scapy 2.5.0 makes. */
#include "hex.h"

#include <errno.h>

#include "wire/dhcp6.h"

#define CLIENT_ID  "0001000a 00030001026d73000002"
#define SERVER_ID  "0002000a 00030001026d73000001"
#define DNS_SERVER "00170010 fd426d73006200000000000000000001"
#define SOLICIT                                                                                    \
	"01abcdef" CLIENT_ID "0003000c123456780000000000000000 000800020000 000600040017 0018"     \
	"000e0000"
#define INFORMATION_REQUEST "0b010203" CLIENT_ID "000800020000 0006000400170018"

static const struct mac_addr gateway_mac = {.b = {0x02, 0x6d, 0x73, 0, 0, 1}};
static const struct ip_addr gateway = {.b = {0xfd, 0x42, 0x6d, 0x73, 0, 0x62, [15] = 1}};
static const struct ip_addr guest = {.b = {0xfd, 0x42, 0x6d, 0x73, 0, 0x62, [15] = 2}};

static int parse(const char *text, struct dhcp6_msg *m)
{
	size_t len;
	uint8_t *bytes = hex_bytes(text, &len);
	int err = dhcp6_parse(bytes, len, m);

	free(bytes);
	return err;
}

static void solicit_is_read(void **state)
{
	struct dhcp6_msg m;

	(void)state;
	assert_int_equal(parse(SOLICIT, &m), 0);
	assert_int_equal(m.type, DHCP6_SOLICIT);
	assert_int_equal(m.xid, 0xabcdef);
	assert_hex(m.client_id, m.client_id_len, "00030001026d73000002");
	assert_int_equal(m.server_id_len, 0);
	assert_true(m.wants_rapid_commit);
	assert_int_equal(m.ia_count, 1);
	assert_int_equal(m.ia[0].kind, DHCP6_OPT_IA_NA);
	assert_int_equal(m.ia[0].iaid, 0x12345678);
	assert_false(m.ia[0].has_addr);
}

static void information_request_is_read(void **state)
{
	struct dhcp6_msg m;

	(void)state;
	assert_int_equal(parse(INFORMATION_REQUEST, &m), 0);
	assert_int_equal(m.type, DHCP6_INFORMATION_REQUEST);
	assert_int_equal(m.xid, 0x010203);
	assert_int_equal(m.ia_count, 0);
	assert_false(m.wants_rapid_commit);
}

static void addresses_in_identity_associations_are_read(void **state)
{
	struct dhcp6_msg m;

	(void)state;
	assert_int_equal(
	    parse("03abcdef" SERVER_ID "00030028 00000001 0000000000000000"
		  "00050018 fd426d73006200000000000000000002 0000000000000000"
		  "0004002000000002 00050018 fd426d73006200000000000000000003 0000000000000000"
		  "0019000c 00000003 0000000000000000",
		&m),
	    0);
	assert_int_equal(m.ia_count, 3);
	assert_true(m.ia[0].has_addr && ip_addr_eq(&m.ia[0].addr, &guest));
	assert_int_equal(m.ia[1].kind, DHCP6_OPT_IA_TA);
	assert_int_equal(m.ia[1].iaid, 2);
	assert_true(m.ia[1].has_addr);
	assert_int_equal(m.ia[2].kind, DHCP6_OPT_IA_PD);
	assert_false(m.ia[2].has_addr);
	assert_hex(m.server_id, m.server_id_len, "00030001026d73000001");
}

static void surplus_identity_associations_are_not_read(void **state)
{
	char text[400] = "01abcdef";
	struct dhcp6_msg m;

	(void)state;
	for (int i = 0; i < DHCP6_IA_MAX + 2; i++) {
		size_t at = strlen(text);

		(void)snprintf(
		    text + at, sizeof(text) - at, "0003000c 000000%02x 0000000000000000", i);
	}
	assert_int_equal(parse(text, &m), 0);
	assert_int_equal(m.ia_count, DHCP6_IA_MAX);
	assert_int_equal(m.ia[DHCP6_IA_MAX - 1].iaid, DHCP6_IA_MAX - 1);
}

static void every_cut_is_refused_or_read(void **state)
{
	size_t len;
	uint8_t *bytes = hex_bytes(SOLICIT, &len);

	(void)state;
	for (size_t n = 0; n < len; n++) {
		uint8_t *cut = exact_copy(bytes, n);
		struct dhcp6_msg m;
		bool is_whole = n == 4 || n == 18 || n == 34 || n == 40 || n == 48;

		assert_int_equal(dhcp6_parse(cut, n, &m), is_whole ? 0 : -EBADMSG);
		free(cut);
	}
	free(bytes);
}

static void malformed_messages_are_refused(void **state)
{
	static const char *const texts[] = {
	    "02abcdef",                                                     /* types of a server */
	    "07abcdef",                                                     /* ... */
	    "0aabcdef",                                                     /* ... */
	    "0cabcdef",                                                     /* relay */
	    "00abcdef",                                                     /* unknown */
	    "0eabcdef",                                                     /* ... */
	    "01abcdef 00010000",                                            /* empty identifier */
	    "01abcdef 0003000b 0000000100000000000000",                     /* IA too short */
	    "01abcdef 00040003 000001",                                     /* ... */
	    "01abcdef 00030010 000000010000000000000000 00050000",          /* address too short */
	    "01abcdef 0003000e 000000010000000000000000 0005",              /* cut off inside */
	    "01abcdef 00030010 000000010000000000000000 00050018 00000000", /* out of its IA */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct dhcp6_msg m;

		assert_int_equal(parse(texts[i], &m), -EBADMSG);
	}
}

static void identifier_given_twice_is_refused(void **state)
{
	struct dhcp6_msg m;

	(void)state;
	assert_int_equal(parse("01abcdef" CLIENT_ID CLIENT_ID, &m), -EBADMSG);
	assert_int_equal(parse("03abcdef" SERVER_ID SERVER_ID, &m), -EBADMSG);
}

static void client_identifier_is_bounded(void **state)
{
	uint8_t *bytes = calloc(1, 4 + 4 + DHCP6_DUID_MAX + 1);
	struct dhcp6_msg m;

	(void)state;
	assert_non_null(bytes);
	(void)hex_put(bytes, "01abcdef00010082");
	assert_int_equal(dhcp6_parse(bytes, 8 + DHCP6_DUID_MAX, &m), 0);
	assert_int_equal(m.client_id_len, DHCP6_DUID_MAX);
	bytes[7]++;
	assert_int_equal(dhcp6_parse(bytes, 8 + DHCP6_DUID_MAX + 1, &m), -EBADMSG);
	free(bytes);
}

static void reply_to_an_information_request_is_written(void **state)
{
	const struct dhcp6_reply reply = {
	    .type = DHCP6_REPLY, .server_mac = gateway_mac, .has_dns = true, .dns = gateway};
	uint8_t buf[DHCP6_REPLY_SIZE_MAX];
	struct wr w = wr_init(buf, sizeof(buf));
	struct dhcp6_msg m;

	(void)state;
	assert_int_equal(parse(INFORMATION_REQUEST, &m), 0);
	dhcp6_build_reply(&m, &reply, &w);
	assert_true(wr_ok(&w));
	assert_hex(buf, wr_len(&w), "07010203" CLIENT_ID SERVER_ID DNS_SERVER);
}

static void reply_with_an_address_is_written(void **state)
{
	const struct dhcp6_reply reply = {
	    .type = DHCP6_REPLY,
	    .server_mac = gateway_mac,
	    .is_rapid_commit = true,
	    .has_dns = true,
	    .dns = gateway,
	    .ia_count = 1,
	    .ia = {{.kind = DHCP6_OPT_IA_NA, .iaid = 0x12345678, .has_addr = true, .addr = guest}},
	};
	uint8_t buf[DHCP6_REPLY_SIZE_MAX];
	struct wr w = wr_init(buf, sizeof(buf));
	struct dhcp6_msg m;

	(void)state;
	assert_int_equal(parse(SOLICIT, &m), 0);
	dhcp6_build_reply(&m, &reply, &w);
	assert_true(wr_ok(&w));
	assert_hex(buf, wr_len(&w),
	    "07abcdef" CLIENT_ID SERVER_ID "000e0000 00030028 12345678 ffffffff ffffffff"
	    "00050018 fd426d73006200000000000000000002 ffffffff ffffffff" DNS_SERVER);
}

static void refusals_are_written(void **state)
{
	const struct dhcp6_reply reply = {
	    .type = DHCP6_ADVERTISE,
	    .server_mac = gateway_mac,
	    .has_status = true,
	    .status = DHCP6_STATUS_NOT_ON_LINK,
	    .ia_count = 3,
	    .ia = {{.kind = DHCP6_OPT_IA_TA, .iaid = 1, .status = DHCP6_STATUS_NO_ADDRS},
		{.kind = DHCP6_OPT_IA_PD, .iaid = 2, .status = DHCP6_STATUS_NO_PREFIX},
		{.kind = DHCP6_OPT_IA_NA,
		    .iaid = 3,
		    .has_withdrawn = true,
		    .withdrawn = guest,
		    .status = DHCP6_STATUS_SUCCESS}},
	};
	uint8_t buf[DHCP6_REPLY_SIZE_MAX];
	struct wr w = wr_init(buf, sizeof(buf));
	struct dhcp6_msg m;

	(void)state;
	assert_int_equal(parse(SOLICIT, &m), 0);
	dhcp6_build_reply(&m, &reply, &w);
	assert_hex(buf, wr_len(&w),
	    "02abcdef" CLIENT_ID SERVER_ID "000d00020004"
	    "0004000a 00000001 000d00020002"
	    "00190012 00000002 00000000 00000000 000d00020006"
	    "00030028 00000003 00000000 00000000"
	    "00050018 fd426d73006200000000000000000002 00000000 00000000");
}

static void longest_reply_fits_the_stated_size(void **state)
{
	struct dhcp6_reply reply = {
	    .type = DHCP6_REPLY,
	    .has_status = true,
	    .is_rapid_commit = true,
	    .has_dns = true,
	    .ia_count = DHCP6_IA_MAX,
	};
	uint8_t buf[DHCP6_REPLY_SIZE_MAX];
	struct wr w = wr_init(buf, sizeof(buf));
	struct dhcp6_msg m;

	(void)state;
	assert_int_equal(parse(SOLICIT, &m), 0);
	m.client_id_len = DHCP6_DUID_MAX;
	memset(m.client_id, 0, sizeof(m.client_id));
	for (int i = 0; i < DHCP6_IA_MAX; i++)
		reply.ia[i] = (struct dhcp6_ia_reply){
		    .kind = DHCP6_OPT_IA_NA, .has_addr = true, .has_withdrawn = true};
	dhcp6_build_reply(&m, &reply, &w);
	assert_true(wr_ok(&w));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(solicit_is_read),
	    cmocka_unit_test(information_request_is_read),
	    cmocka_unit_test(addresses_in_identity_associations_are_read),
	    cmocka_unit_test(surplus_identity_associations_are_not_read),
	    cmocka_unit_test(every_cut_is_refused_or_read),
	    cmocka_unit_test(malformed_messages_are_refused),
	    cmocka_unit_test(identifier_given_twice_is_refused),
	    cmocka_unit_test(client_identifier_is_bounded),
	    cmocka_unit_test(reply_to_an_information_request_is_written),
	    cmocka_unit_test(reply_with_an_address_is_written),
	    cmocka_unit_test(refusals_are_written),
	    cmocka_unit_test(longest_reply_fits_the_stated_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
