/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Neighbour discovery codec. The golden bytes are those that scapy 2.5.0 makes, with the checksum
 * cleared where we write.
 */
#include "hex.h"

#include <errno.h>

#include "wire/ndp.h"

#define ROUTER_SOLICIT    "8500944f 00000000 0101 026d73000002"
#define NEIGHBOUR_SOLICIT "87002dfb 00000000 fd426d73006200000000000000000001 0101 026d73000002"
#define NEIGHBOUR_ADVERT  "88000000 e0000000 fd426d73006200000000000000000001 0201 026d73000001"
#define ROUTER_ADVERT                                                                              \
	"86000000 40402328 00000000 00000000 0101026d73000001 05010000000005dc"                    \
	"030440c0ffffffffffffffff00000000 fd426d73006200000000000000000000"                        \
	"19030000ffffffff fd426d73006200000000000000000001"

static const struct mac_addr guest_mac = {.b = {0x02, 0x6d, 0x73, 0, 0, 2}};
static const struct mac_addr gateway_mac = {.b = {0x02, 0x6d, 0x73, 0, 0, 1}};
static const struct ip_addr gateway = {.b = {0xfd, 0x42, 0x6d, 0x73, 0, 0x62, [15] = 1}};

static int parse(const char *text, struct ndp_msg *m)
{
	size_t len;
	uint8_t *bytes = hex_bytes(text, &len);
	int err = ndp_parse(bytes, len, m);

	free(bytes);
	return err;
}

static void router_solicitation_is_read(void **state)
{
	struct ndp_msg m;

	(void)state;
	assert_int_equal(parse(ROUTER_SOLICIT, &m), 0);
	assert_int_equal(m.type, NDP_ROUTER_SOLICIT);
	assert_true(m.has_source_mac);
	assert_false(m.has_target_mac);
	assert_true(mac_addr_eq(&m.source_mac, &guest_mac));
	assert_int_equal(parse("85000000 00000000", &m), 0);
	assert_false(m.has_source_mac);
}

static void neighbour_solicitation_is_read(void **state)
{
	struct ndp_msg m;

	(void)state;
	assert_int_equal(parse(NEIGHBOUR_SOLICIT, &m), 0);
	assert_int_equal(m.type, NDP_NEIGHBOUR_SOLICIT);
	assert_true(ip_addr_eq(&m.target, &gateway));
	assert_true(m.has_source_mac);
	assert_true(mac_addr_eq(&m.source_mac, &guest_mac));
	assert_false(m.is_router || m.is_solicited || m.is_override);
}

static void neighbour_advertisement_is_read_and_written(void **state)
{
	uint8_t buf[NDP_MSG_SIZE_MAX];
	struct wr w = wr_init(buf, sizeof(buf));
	struct ndp_msg m;

	(void)state;
	assert_int_equal(parse(NEIGHBOUR_ADVERT, &m), 0);
	assert_true(m.is_router && m.is_solicited && m.is_override);
	assert_true(m.has_target_mac && !m.has_source_mac);
	assert_true(mac_addr_eq(&m.target_mac, &gateway_mac));
	ndp_build(&m, &w);
	assert_true(wr_ok(&w));
	assert_hex(buf, wr_len(&w), NEIGHBOUR_ADVERT);
}

static void flags_of_an_advertisement_are_told_apart(void **state)
{
	static const char *const rest = "000000 fd426d73006200000000000000000001";
	struct ndp_msg m;
	char text[80];

	(void)state;
	for (unsigned int bits = 0; bits < 8; bits++) {
		(void)snprintf(text, sizeof(text), "88000000 %02x%s", bits << 5, rest);
		assert_int_equal(parse(text, &m), 0);
		assert_int_equal(m.is_router, (bits & 4) != 0);
		assert_int_equal(m.is_solicited, (bits & 2) != 0);
		assert_int_equal(m.is_override, (bits & 1) != 0);
	}
}

static void router_advertisement_is_written(void **state)
{
	struct ndp_ra ra = {
	    .hop_limit = 64,
	    .is_other_config = true,
	    .router_lifetime_s = 9000,
	    .source_mac = gateway_mac,
	    .mtu_bytes = 1500,
	    .prefix = {.b = {0xfd, 0x42, 0x6d, 0x73, 0, 0x62, [15] = 2}},
	    .prefix_len = 64,
	    .prefix_valid_s = NDP_LIFETIME_INFINITE,
	    .prefix_preferred_s = NDP_LIFETIME_INFINITE,
	    .dns = gateway,
	    .dns_lifetime_s = NDP_LIFETIME_INFINITE,
	};
	uint8_t buf[NDP_RA_SIZE_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	(void)state;
	ndp_build_ra(&ra, &w);
	assert_true(wr_ok(&w));
	assert_hex(buf, wr_len(&w), ROUTER_ADVERT);
}

static void solicitations_are_written(void **state)
{
	struct ndp_msg m = {.type = NDP_NEIGHBOUR_SOLICIT,
	    .is_router = true,
	    .target = gateway,
	    .has_source_mac = true,
	    .source_mac = guest_mac};
	uint8_t buf[NDP_MSG_SIZE_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	(void)state;
	ndp_build(&m, &w);
	assert_hex(buf, wr_len(&w),
	    "87000000 00000000 fd426d73006200000000000000000001 0101 026d73000002");
	m.type = NDP_ROUTER_SOLICIT;
	w = wr_init(buf, sizeof(buf));
	ndp_build(&m, &w);
	assert_hex(buf, wr_len(&w), "85000000 00000000 0101 026d73000002");
}

/* RFC 4862 5.5.3: an autonomous prefix of another length than 64 would be ignored, with a log line. */
static void slaac_is_offered_for_a_64_prefix_only(void **state)
{
	struct ndp_ra ra = {.prefix = {.b = {0xfd, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}}};
	uint8_t buf[NDP_RA_SIZE_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	(void)state;
	ra.prefix_len = 68;
	ndp_build_ra(&ra, &w);
	assert_int_equal(buf[34], 68);
	assert_int_equal(buf[35], 0x80);
	assert_hex(buf + 48, 16, "fd000000000000 00f0 00000000000000");
}

static void every_shorter_message_is_refused(void **state)
{
	static const char *const texts[] = {ROUTER_SOLICIT, NEIGHBOUR_SOLICIT, NEIGHBOUR_ADVERT};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		size_t len;
		uint8_t *bytes = hex_bytes(texts[i], &len);

		for (size_t n = 0; n < len; n++) {
			uint8_t *cut = exact_copy(bytes, n);
			struct ndp_msg m;

			/* Without its one option the message is whole again. */
			assert_int_equal(ndp_parse(cut, n, &m), n == len - 8 ? 0 : -EBADMSG);
			free(cut);
		}
		free(bytes);
	}
}

/* RFC 4861 4.6, 6.1.1, 7.1.1. */
static void malformed_messages_are_refused(void **state)
{
	static const char *const texts[] = {
	    "85010000 00000000",                                    /* code */
	    "85000000 00000000 0100 026d73000002",                  /* empty option */
	    "85000000 00000000 0102 026d73000002",                  /* option beyond the end */
	    "85000000 00000000 0102 026d73000002 0000000000000000", /* of another link layer */
	    "85000000 00000000 0101026d73000002 0101026d73000002",  /* twice */
	    "85000000 00000000 01",                                 /* half an option header */
	    "87000000 00000000 ff020000000000000000000000000001",   /* multicast target */
	    "88000000 00000000 ff020000000000000000000000000001",   /* likewise */
	    "86000000 40402328 0000000000000000",                   /* advertisement of a router */
	    "89000000 00000000",                                    /* redirect */
	    "80000000 00010001",                                    /* echo */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct ndp_msg m;

		assert_int_equal(parse(texts[i], &m), -EBADMSG);
	}
}

static void unknown_options_are_skipped(void **state)
{
	struct ndp_msg m;

	(void)state;
	/* A nonce (RFC 3971 5.3.2), as Linux sends with enhanced duplicate detection. */
	assert_int_equal(parse("85000000 00000000 0e01010203040506 0101 026d73000002", &m), 0);
	assert_true(mac_addr_eq(&m.source_mac, &guest_mac));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(router_solicitation_is_read),
	    cmocka_unit_test(neighbour_solicitation_is_read),
	    cmocka_unit_test(neighbour_advertisement_is_read_and_written),
	    cmocka_unit_test(flags_of_an_advertisement_are_told_apart),
	    cmocka_unit_test(router_advertisement_is_written),
	    cmocka_unit_test(solicitations_are_written),
	    cmocka_unit_test(slaac_is_offered_for_a_64_prefix_only),
	    cmocka_unit_test(every_shorter_message_is_refused),
	    cmocka_unit_test(malformed_messages_are_refused),
	    cmocka_unit_test(unknown_options_are_skipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
