/* SPDX-License-Identifier: Apache-2.0 */
/* DHCPv4 codec. Golden bytes behind the fixed header are those that scapy 2.5.0 makes. */
#include "hex.h"

#include <errno.h>

#include "wire/dhcp4.h"

enum {
	FIXED = 236,
	SNAME_AT = 44,
	FILE_AT = 108,
	COOKIE = 4,
};

#define CLIENT_ID "3d0701026d73000002"
#define DISCOVER  "350101" CLIENT_ID "390205dc 37040103061a ff"
#define REQUEST   "350103 320464600002 360464600001 ff"

static const struct mac_addr guest_mac = {.b = {0x02, 0x6d, 0x73, 0, 0, 2}};

/* A request with the given options behind the cookie, in a block of its exact size. */
static uint8_t *message(const char *options, size_t *ret_len)
{
	size_t len;
	uint8_t *tail = hex_bytes(options, &len);
	uint8_t *m = calloc(1, FIXED + COOKIE + len);

	if (!m)
		abort();
	(void)hex_put(m, "0101060011223344");
	memcpy(m + 28, guest_mac.b, 6);
	(void)hex_put(m + FIXED, "63825363");
	memcpy(m + FIXED + COOKIE, tail, len);
	free(tail);
	*ret_len = FIXED + COOKIE + len;
	return m;
}

static int parse(const char *options, struct dhcp4_msg *m)
{
	size_t len;
	uint8_t *bytes = message(options, &len);
	int err = dhcp4_parse(bytes, len, m);

	free(bytes);
	return err;
}

static void discover_is_read(void **state)
{
	struct dhcp4_msg m;

	(void)state;
	assert_int_equal(parse(DISCOVER, &m), 0);
	assert_int_equal(m.type, DHCP4_DISCOVER);
	assert_int_equal(m.xid, 0x11223344);
	assert_true(mac_addr_eq(&m.mac, &guest_mac));
	assert_false(m.wants_broadcast);
	assert_false(m.has_requested);
	assert_false(m.has_server);
	assert_int_equal(ip_addr_to_v4(&m.client), 0);
	assert_int_equal(ip_addr_to_v4(&m.relay), 0);
	assert_hex(m.client_id, m.client_id_len, "01026d73000002");
}

static void request_is_read(void **state)
{
	struct dhcp4_msg m;
	size_t len;
	uint8_t *bytes = message(REQUEST, &len);

	(void)state;
	(void)hex_put(bytes + 10, "8000");
	(void)hex_put(bytes + 12, "64600003");
	(void)hex_put(bytes + 24, "0a000001");
	assert_int_equal(dhcp4_parse(bytes, len, &m), 0);
	assert_int_equal(m.type, DHCP4_REQUEST);
	assert_true(m.wants_broadcast);
	assert_true(m.has_requested && m.has_server);
	assert_int_equal(ip_addr_to_v4(&m.requested), 0x64600002);
	assert_int_equal(ip_addr_to_v4(&m.server), 0x64600001);
	assert_int_equal(ip_addr_to_v4(&m.client), 0x64600003);
	assert_int_equal(ip_addr_to_v4(&m.relay), 0x0a000001);
	assert_int_equal(m.client_id_len, 0);
	free(bytes);
}

static void each_message_of_a_client_is_read(void **state)
{
	static const uint8_t types[] = {1, 3, 4, 7, 8};

	(void)state;
	for (size_t i = 0; i < sizeof(types); i++) {
		struct dhcp4_msg m;
		char text[16];

		(void)snprintf(text, sizeof(text), "3501%02xff", types[i]);
		assert_int_equal(parse(text, &m), 0);
		assert_int_equal(m.type, types[i]);
		assert_int_equal(ip_addr_to_v4(&m.requested), 0);
		assert_int_equal(ip_addr_to_v4(&m.server), 0);
	}
}

/* RFC 2132 9.3: file, then sname. */
static void options_go_on_in_the_overloaded_fields(void **state)
{
	struct dhcp4_msg m;
	size_t len;
	uint8_t *bytes = message("340103 ff", &len);

	(void)state;
	(void)hex_put(bytes + FILE_AT, "350103ff");
	(void)hex_put(bytes + SNAME_AT, "320464600002ff");
	assert_int_equal(dhcp4_parse(bytes, len, &m), 0);
	assert_int_equal(m.type, DHCP4_REQUEST);
	assert_int_equal(ip_addr_to_v4(&m.requested), 0x64600002);
	/* Not told to, nothing is read there. */
	bytes[FIXED + COOKIE + 2] = 1;
	assert_int_equal(dhcp4_parse(bytes, len, &m), 0);
	assert_false(m.has_requested);
	bytes = realloc(bytes, len + 3);
	(void)hex_put(bytes + FIXED + COOKIE, "340102 350103 ff");
	bytes[FILE_AT] = 0x35;
	bytes[FILE_AT + 1] = 0;
	assert_int_equal(dhcp4_parse(bytes, len + 3, &m), 0);
	assert_true(m.has_requested);
	(void)hex_put(bytes + FIXED + COOKIE, "340101 ff");
	/* Overload inside an overloaded field counts for nothing; a contradiction is refused. */
	(void)hex_put(bytes + FILE_AT, "340102350103ff");
	assert_int_equal(dhcp4_parse(bytes, len, &m), 0);
	assert_false(m.has_requested);
	bytes[FIXED + COOKIE + 2] = 4;
	assert_int_equal(dhcp4_parse(bytes, len, &m), -EBADMSG);
	free(bytes);
}

/* RFC 3396 */
static void client_identifier_in_pieces_is_put_together(void **state)
{
	struct dhcp4_msg m;

	(void)state;
	assert_int_equal(parse("350101 3d020102 00 3d020304 ff", &m), 0);
	assert_hex(m.client_id, m.client_id_len, "01020304");
}

static void client_identifier_is_bounded(void **state)
{
	struct dhcp4_msg m;
	uint8_t *bytes;
	size_t len;
	char text[600 * 2];
	size_t at = (size_t)snprintf(text, sizeof(text), "350101 3dff");

	(void)state;
	for (int i = 0; i < 255; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "aa");
	bytes = message(text, &len);
	assert_int_equal(dhcp4_parse(bytes, len, &m), 0);
	assert_int_equal(m.client_id_len, 255);
	free(bytes);
	(void)snprintf(text + at, sizeof(text) - at, "3d01aa");
	assert_int_equal(parse(text, &m), -EBADMSG);
}

static void every_cut_in_the_options_is_refused_or_read(void **state)
{
	size_t len;
	uint8_t *bytes = message(REQUEST, &len);

	(void)state;
	for (size_t n = 0; n < len; n++) {
		uint8_t *cut = exact_copy(bytes, n);
		struct dhcp4_msg m;
		size_t options = n > FIXED + COOKIE ? n - FIXED - COOKIE : 0;
		bool is_whole = options == 3 || options == 9 || options == 15;

		assert_int_equal(dhcp4_parse(cut, n, &m), is_whole ? 0 : -EBADMSG);
		free(cut);
	}
	free(bytes);
}

static void malformed_messages_are_refused(void **state)
{
	static const char *const texts[] = {
	    "ff",                                  /* BOOTP: no type */
	    "350200 01 ff",                        /* lengths */
	    "3500 ff",                             /* ... */
	    "350103 3203646000 ff",                /* ... */
	    "350103 360564600001 00 ff",           /* ... */
	    "350100 ff",                           /* types */
	    "350102 ff",                           /* ... of a server */
	    "350105 ff",                           /* ... */
	    "350106 ff",                           /* ... */
	    "350109 ff",                           /* ... unknown */
	    "350103 350101 ff",                    /* two types */
	    "350103 320464600002 320464600003 ff", /* two addresses */
	    "350103 32",                           /* cut off */
	    "350103 3204",                         /* ... */
	    "350103 34020101 ff",                  /* overload of two bytes */
	};
	static const struct {
		size_t at;
		uint8_t value;
	} wrong[] = {{0, 2}, {1, 6}, {2, 16}, {2, 5}, {FIXED, 0}, {FIXED + 3, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct dhcp4_msg m;

		assert_int_equal(parse(texts[i], &m), -EBADMSG);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		size_t len;
		uint8_t *bytes = message(REQUEST, &len);
		struct dhcp4_msg m;

		bytes[wrong[i].at] = wrong[i].value;
		assert_int_equal(dhcp4_parse(bytes, len, &m), -EBADMSG);
		free(bytes);
	}
}

static void ack_is_written(void **state)
{
	const struct dhcp4_reply reply = {
	    .type = DHCP4_ACK,
	    .has_lease = true,
	    .address = ip_addr_v4(0x64600002),
	    .lease_s = 7200,
	    .server = ip_addr_v4(0x64600001),
	    .prefix_len = 30,
	    .router = ip_addr_v4(0x64600001),
	    .dns = ip_addr_v4(0x64600001),
	    .mtu_bytes = 1500,
	};
	uint8_t buf[DHCP4_REPLY_SIZE_MAX];
	struct wr w = wr_init(buf, sizeof(buf));
	struct dhcp4_msg m;

	(void)state;
	assert_int_equal(parse(REQUEST, &m), 0);
	dhcp4_build_reply(&m, &reply, &w);
	assert_true(wr_ok(&w));
	assert_int_equal(wr_len(&w), 300);
	assert_hex(
	    buf, 34, "02010600 11223344 00000000 00000000 64600002 00000000 00000000 026d73000002");
	for (size_t i = 34; i < FIXED; i++)
		assert_int_equal(buf[i], 0);
	assert_hex(buf + FIXED, 54,
	    "63825363 350105 360464600001 330400001c20 3a0400000e10 3b040000189c 0104fffffffc"
	    "030464600001 060464600001 1a0205dc ff");
}

static void infinite_lease_has_no_renewal_times(void **state)
{
	const struct dhcp4_reply reply = {
	    .type = DHCP4_OFFER,
	    .has_lease = true,
	    .lease_s = DHCP4_LEASE_INFINITE,
	    .server = ip_addr_v4(0x64600001),
	    .prefix_len = 32,
	};
	uint8_t buf[DHCP4_REPLY_SIZE_MAX];
	struct wr w = wr_init(buf, sizeof(buf));
	struct dhcp4_msg m;

	(void)state;
	assert_int_equal(parse(REQUEST, &m), 0);
	dhcp4_build_reply(&m, &reply, &w);
	assert_hex(buf + FIXED + COOKIE, 21, "350102 360464600001 3304ffffffff 0104ffffffff");
}

/* RFC 2131 table 3; RFC 6842: the client's identifier comes back. */
static void nak_carries_identifiers_only(void **state)
{
	const struct dhcp4_reply reply = {
	    .type = DHCP4_NAK,
	    .has_lease = true,
	    .address = ip_addr_v4(0x64600002),
	    .server = ip_addr_v4(0x64600001),
	};
	uint8_t buf[DHCP4_REPLY_SIZE_MAX];
	struct wr w = wr_init(buf, sizeof(buf));
	struct dhcp4_msg m;

	(void)state;
	assert_int_equal(parse("350103" CLIENT_ID "ff", &m), 0);
	m.client = ip_addr_v4(0x64600007);
	dhcp4_build_reply(&m, &reply, &w);
	assert_hex(buf + 12, 8, "00000000 00000000");
	assert_hex(buf + FIXED + COOKIE, 19, "350106 360464600001" CLIENT_ID "ff");
}

static void longest_reply_fits_the_stated_size(void **state)
{
	const struct dhcp4_reply reply = {.type = DHCP4_ACK, .has_lease = true, .lease_s = 60};
	uint8_t buf[DHCP4_REPLY_SIZE_MAX];
	struct wr w = wr_init(buf, sizeof(buf));
	struct dhcp4_msg m;

	(void)state;
	assert_int_equal(parse(REQUEST, &m), 0);
	memset(m.client_id, 1, sizeof(m.client_id));
	m.client_id_len = DHCP4_CLIENT_ID_MAX;
	dhcp4_build_reply(&m, &reply, &w);
	assert_true(wr_ok(&w));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(discover_is_read),
	    cmocka_unit_test(request_is_read),
	    cmocka_unit_test(each_message_of_a_client_is_read),
	    cmocka_unit_test(options_go_on_in_the_overloaded_fields),
	    cmocka_unit_test(client_identifier_in_pieces_is_put_together),
	    cmocka_unit_test(client_identifier_is_bounded),
	    cmocka_unit_test(every_cut_in_the_options_is_refused_or_read),
	    cmocka_unit_test(malformed_messages_are_refused),
	    cmocka_unit_test(ack_is_written),
	    cmocka_unit_test(infinite_lease_has_no_renewal_times),
	    cmocka_unit_test(nak_carries_identifiers_only),
	    cmocka_unit_test(longest_reply_fits_the_stated_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
