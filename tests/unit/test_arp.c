/* SPDX-License-Identifier: Apache-2.0 */
/* ARP codec. The golden bytes are those that scapy 2.5.0 makes. */
#include "hex.h"

#include <errno.h>

#include "wire/arp.h"

#define REQUEST "0001080006040001 026d73000002 64600002 000000000000 64600001"
#define REPLY   "0001080006040002 026d73000001 64600001 026d73000002 64600002"

static void request_is_read(void **state)
{
	const struct mac_addr guest = {.b = {0x02, 0x6d, 0x73, 0, 0, 2}};
	struct ip_addr sender = ip_addr_v4(0x64600002);
	struct ip_addr target = ip_addr_v4(0x64600001);
	size_t len;
	uint8_t *bytes = hex_bytes(REQUEST, &len);
	struct arp a;

	(void)state;
	assert_int_equal(arp_parse(bytes, len, &a), 0);
	assert_int_equal(a.op, ARP_REQUEST);
	assert_true(mac_addr_eq(&a.sender_mac, &guest));
	assert_true(ip_addr_eq(&a.sender, &sender));
	assert_true(ip_addr_eq(&a.target, &target));
	free(bytes);
}

static void padding_behind_the_message_is_ignored(void **state)
{
	size_t len;
	uint8_t *bytes = hex_bytes(REQUEST " 0000000000000000000000000000", &len);
	struct arp a;

	(void)state;
	assert_int_equal(arp_parse(bytes, len, &a), 0);
	free(bytes);
}

static void reply_is_written(void **state)
{
	const struct arp a = {
	    .op = ARP_REPLY,
	    .sender_mac = {.b = {0x02, 0x6d, 0x73, 0, 0, 1}},
	    .sender = ip_addr_v4(0x64600001),
	    .target_mac = {.b = {0x02, 0x6d, 0x73, 0, 0, 2}},
	    .target = ip_addr_v4(0x64600002),
	};
	uint8_t buf[ARP_SIZE];
	struct wr w = wr_init(buf, sizeof(buf));

	(void)state;
	arp_build(&a, &w);
	assert_true(wr_ok(&w));
	assert_hex(buf, wr_len(&w), REPLY);
}

static void every_shorter_message_is_refused(void **state)
{
	size_t len;
	uint8_t *bytes = hex_bytes(REQUEST, &len);

	(void)state;
	for (size_t n = 0; n < len; n++) {
		uint8_t *cut = exact_copy(bytes, n);
		struct arp a;

		assert_int_equal(arp_parse(cut, n, &a), -EBADMSG);
		free(cut);
	}
	free(bytes);
}

/* A16: other address types, lengths and operations. */
static void each_other_fixed_field_is_refused(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} wrong[] = {{0, 1}, {1, 6}, {2, 0x86}, {3, 0xdd}, {4, 8}, {5, 16}, {6, 1}, {7, 0}, {7, 3}};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		size_t len;
		uint8_t *bytes = hex_bytes(REQUEST, &len);
		struct arp a;

		bytes[wrong[i].at] = wrong[i].value;
		assert_int_equal(arp_parse(bytes, len, &a), -EBADMSG);
		free(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(request_is_read),
	    cmocka_unit_test(padding_behind_the_message_is_ignored),
	    cmocka_unit_test(reply_is_written),
	    cmocka_unit_test(every_shorter_message_is_refused),
	    cmocka_unit_test(each_other_fixed_field_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
