/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's interface: whose addresses are whose, headers and checksums of frames to the guest,
 * fragmentation. */
#include "rxnic.h"

static int setup(void **state)
{
	*state = rxnic_new();
	return 0;
}

static int teardown(void **state)
{
	rxnic_free(*state);
	return 0;
}

static bool is_guest(const struct rxnic *x, const char *hex, uint8_t family)
{
	struct ip_addr a;

	rxnic_addr(&a, hex);
	return netif_is_guest_addr(&x->netif, &a, family);
}

static bool is_gateway(const struct rxnic *x, const char *hex)
{
	struct ip_addr a;

	rxnic_addr(&a, hex);
	return netif_is_gateway_addr(&x->netif, &a);
}

/* A15, P13 */
static void a15_source_addresses_of_the_guest_are_known(void **state)
{
	struct rxnic *x = *state;

	assert_true(is_guest(x, MK_GUEST4, 4));
	assert_true(is_guest(x, MK_GUEST6, 6));
	assert_true(is_guest(x, MK_GUEST_LL, 6));
	assert_true(is_guest(x, "fd426d7300620000006d73fffe000002", 6)); /* by SLAAC */
	assert_true(is_guest(x, "fe800000000000001234567890abcdef", 6));

	assert_false(is_guest(x, MK_GATEWAY4, 4));
	assert_false(is_guest(x, "64600003", 4));
	assert_false(is_guest(x, "00000000", 4));
	assert_false(is_guest(x, MK_GATEWAY6, 6));
	assert_false(is_guest(x, MK_GATEWAY_LL, 6));
	assert_false(is_guest(x, "fd426d73006200010000000000000002", 6)); /* the next /64 */
	assert_false(is_guest(x, "fe800000000000010000000000000002", 6));
	assert_false(is_guest(x, "00000000000000000000000000000000", 6));
	assert_false(is_guest(x, "00000000000000000000000000000001", 6));
	assert_false(is_guest(x, "00000000000000000000ffff64600002", 6)); /* its IPv4 one, mapped */
}

static void families_that_are_off_have_no_addresses(void **state)
{
	struct rxnic *x = *state;

	x->netif.cfg.has_v4 = false;
	assert_false(is_guest(x, MK_GUEST4, 4));
	assert_false(is_gateway(x, MK_GATEWAY4));
	assert_true(is_guest(x, MK_GUEST6, 6));
	assert_true(is_gateway(x, MK_GATEWAY6));
	x->netif.cfg.has_v4 = true;
	x->netif.cfg.has_v6 = false;
	assert_true(is_guest(x, MK_GUEST4, 4));
	assert_true(is_gateway(x, MK_GATEWAY4));
	assert_false(is_guest(x, MK_GUEST6, 6));
	assert_false(is_guest(x, MK_GUEST_LL, 6));
	assert_false(is_gateway(x, MK_GATEWAY6));
	assert_false(is_gateway(x, MK_GATEWAY_LL));
}

static void addresses_of_the_gateway_are_known(void **state)
{
	struct rxnic *x = *state;

	assert_true(is_gateway(x, MK_GATEWAY4));
	assert_true(is_gateway(x, MK_GATEWAY6));
	assert_true(is_gateway(x, MK_GATEWAY_LL));
	/* C21: an IPv6 packet to the mapped address means the gateway too. */
	assert_true(is_gateway(x, "00000000000000000000ffff64600001"));
	assert_false(is_gateway(x, MK_GUEST4));
	assert_false(is_gateway(x, MK_GUEST6));
	assert_false(is_gateway(x, MK_REMOTE4));
	assert_false(is_gateway(x, "00000000000000000000000000000000"));
}

static void headers_are_built(void **state)
{
	struct rxnic *x = *state;
	struct ip_addr src;
	struct ip_addr dst;
	struct netif_ip ip = {.family = 4, .proto = 6, .has_df = true, .l4_len = 1000};
	uint8_t out[54];

	memset(out, 0xff, sizeof(out));
	ip.src = &src;
	ip.dst = &dst;
	rxnic_addr(&src, MK_REMOTE4);
	rxnic_addr(&dst, MK_GUEST4);
	netif_build_ip(&x->netif, &ip, out);
	assert_int_equal(mk_sum(0, out + 14, 20), 0xffff);
	mk16(out + 24, 0);
	assert_hex(out, 34,
	    MK_GUEST_MAC MK_GATEWAY_MAC "0800 4500 03fc 0000 4000 40 06 0000" MK_REMOTE4 MK_GUEST4);
	/* Without DF each packet has an identification of its own (RFC 6864). */
	ip.has_df = false;
	ip.ttl = 3;
	x->netif.next_ip4_id = 0xffff;
	netif_build_ip(&x->netif, &ip, out);
	assert_hex(out + 18, 5, "ffff 0000 03");
	netif_build_ip(&x->netif, &ip, out);
	assert_hex(out + 18, 4, "0000 0000");

	rxnic_addr(&src, MK_REMOTE6);
	rxnic_addr(&dst, MK_GUEST6);
	ip.family = 6;
	ip.ttl = 0;
	netif_build_ip(&x->netif, &ip, out);
	assert_hex(
	    out, 54, MK_GUEST_MAC MK_GATEWAY_MAC "86dd 60000000 03e8 06 40" MK_REMOTE6 MK_GUEST6);
	ip.ttl = 255;
	netif_build_ip(&x->netif, &ip, out);
	assert_int_equal(out[21], 255);
}

/* Commits a UDP datagram of 8 + body bytes in a slot. */
static void commit_udp(struct rxnic *x, uint8_t family, uint32_t body_len, uint32_t first_piece,
    uint8_t gso_type, uint16_t gso_size)
{
	uint32_t l4 = netif_ip_head_len(family);
	struct ip_addr src;
	struct ip_addr dst;
	struct netif_ip ip = {.family = family, .proto = 17, .has_df = true};
	struct nic_slot slot;

	rxnic_addr(&src, family == 4 ? MK_REMOTE4 : MK_REMOTE6);
	rxnic_addr(&dst, family == 4 ? MK_GUEST4 : MK_GUEST6);
	ip.src = &src;
	ip.dst = &dst;
	ip.l4_len = 8 + body_len;
	x->first_piece = first_piece;
	assert_int_equal(x->nic.ops->reserve(&x->nic, l4 + 8, body_len + 100, &slot), 0);
	mk16(slot.head + l4, 53);
	mk16(slot.head + l4 + 2, 40000);
	mk16(slot.head + l4 + 4, 8 + body_len);
	mk16(slot.head + l4 + 6, 0);
	for (uint32_t i = 0; i < body_len; i++)
		x->body[i] = (uint8_t)(i * 7);
	netif_commit_l4(&x->netif, &slot, &ip, 8, 6, gso_type, gso_size);
}

static void checksum_is_computed_over_any_pieces(void **state)
{
	static const uint32_t pieces[] = {0, 1, 2, 3, 99, 100, 101, 150};
	struct rxnic *x = *state;

	for (uint8_t family = 4; family <= 6; family += 2) {
		for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
			uint32_t l4 = netif_ip_head_len(family);

			commit_udp(x, family, 101, pieces[i], VNET_GSO_NONE, 0);
			assert_int_equal(x->count, 1);
			assert_int_equal(x->lens[0], l4 + 8 + 101);
			assert_int_equal(mk_l4_sum(x->frames[0], l4, 8 + 101, 17), 0);
			assert_int_equal(x->vnets[0].flags, 0);
			rxnic_clear(x);
		}
	}
}

/* virtio 1.2, 5.1.6.2: the sum of the pseudo-header is in the field already. */
static void checksum_is_left_to_a_guest_that_takes_that(void **state)
{
	struct rxnic *x = *state;

	x->nic.features = NIC_F_CSUM;
	commit_udp(x, 4, 101, 3, VNET_GSO_NONE, 0);
	assert_int_equal(x->vnets[0].flags, VNET_F_NEEDS_CSUM);
	assert_int_equal(x->vnets[0].csum_start, 34);
	assert_int_equal(x->vnets[0].csum_offset, 6);
	assert_int_equal(x->vnets[0].hdr_len, 42);
	assert_int_equal(x->vnets[0].gso_type, VNET_GSO_NONE);
	/* What the guest does: sums from csum_start on, with the field as it is. */
	mk16(x->frames[0] + 40, ~mk_sum(0, x->frames[0] + 34, 109) & 0xffff);
	assert_int_equal(mk_l4_sum(x->frames[0], 34, 109, 17), 0);
	rxnic_clear(x);

	commit_udp(x, 6, 3000, 3, VNET_GSO_USO, 1000);
	assert_int_equal(x->vnets[0].csum_start, 54);
	assert_int_equal(x->vnets[0].hdr_len, 62);
	assert_int_equal(x->vnets[0].gso_type, VNET_GSO_USO);
	assert_int_equal(x->vnets[0].gso_size, 1000);
	mk16(x->frames[0] + 60, ~mk_sum(0, x->frames[0] + 54, 3008) & 0xffff);
	assert_int_equal(mk_l4_sum(x->frames[0], 54, 3008, 17), 0);
}

static void whole_frame_is_sent_as_it_is(void **state)
{
	struct rxnic *x = *state;
	uint8_t frame[50];

	for (size_t i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)i;
	assert_int_equal(netif_send_frame(&x->netif, frame, sizeof(frame)), 0);
	assert_int_equal(x->lens[0], sizeof(frame));
	assert_memory_equal(x->frames[0], frame, sizeof(frame));
	x->is_full = true;
	assert_int_equal(netif_send_frame(&x->netif, frame, sizeof(frame)), -EAGAIN);
	assert_int_equal(x->count, 1);
	assert_int_equal(x->counters.drops[DROP_NO_ROOM], 1);
}

/* Sends len upper-layer bytes from the remote side. */
static int send_l4(struct rxnic *x, uint8_t family, uint8_t proto, uint8_t *l4, uint32_t len)
{
	struct ip_addr src;
	struct ip_addr dst;
	struct netif_ip ip = {
	    .family = family, .proto = proto, .has_df = true, .src = &src, .dst = &dst};

	rxnic_addr(&src, family == 4 ? MK_REMOTE4 : MK_REMOTE6);
	rxnic_addr(&dst, family == 4 ? MK_GUEST4 : MK_GUEST6);
	ip.l4_len = len;
	return netif_send_l4(&x->netif, &ip, l4, proto == 17 ? 6 : 2);
}

static void checksums_of_control_packets_are_filled_in(void **state)
{
	static const struct {
		uint8_t family;
		uint8_t proto;
	} rows[] = {{4, 1}, {4, 17}, {6, 58}, {6, 17}};
	struct rxnic *x = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t l4 = netif_ip_head_len(rows[i].family);
		uint8_t bytes[31] = {1, 2, 0, 0, 0, 0, 0, 0, 9};

		assert_int_equal(
		    send_l4(x, rows[i].family, rows[i].proto, bytes, sizeof(bytes)), 0);
		assert_int_equal(x->lens[0], l4 + sizeof(bytes));
		assert_int_equal(mk_l4_sum(x->frames[0], l4, sizeof(bytes), rows[i].proto), 0);
		rxnic_clear(x);
	}
}

/* RFC 768 */
static void udp_checksum_of_zero_is_sent_as_all_ones(void **state)
{
	struct rxnic *x = *state;
	uint8_t bytes[10] = {0};

	assert_int_equal(send_l4(x, 4, 17, bytes, sizeof(bytes)), 0);
	/* A payload that is the checksum makes the sum zero. */
	memcpy(bytes + 8, x->frames[0] + 40, 2);
	mk16(bytes + 6, 0);
	rxnic_clear(x);
	assert_int_equal(send_l4(x, 4, 17, bytes, sizeof(bytes)), 0);
	assert_int_equal(mk_get16(x->frames[0] + 40), 0xffff);
	rxnic_clear(x);
	/* ICMP has no such rule. */
	memset(bytes, 0, sizeof(bytes));
	mk16(bytes + 4, 0xffff);
	assert_int_equal(send_l4(x, 4, 1, bytes, sizeof(bytes)), 0);
	assert_int_equal(mk_get16(x->frames[0] + 36), 0);
}

/* Puts fragments together by hand: checks each header, returns the length. */
static size_t join4(const struct rxnic *x, uint8_t *data, size_t mtu)
{
	size_t at = 0;

	for (uint32_t i = 0; i < x->count; i++) {
		const uint8_t *f = x->frames[i];
		size_t len = x->lens[i] - 34;
		bool is_last = i + 1 == x->count;

		assert_hex(f, 14, MK_GUEST_MAC MK_GATEWAY_MAC "0800");
		assert_int_equal(mk_sum(0, f + 14, 20), 0xffff);
		assert_int_equal(mk_get16(f + 16), x->lens[i] - 14);
		assert_true(x->lens[i] - 14 <= mtu);
		assert_int_equal(mk_get16(f + 18), mk_get16(x->frames[0] + 18));
		assert_int_equal(mk_get16(f + 20), at / 8 | (is_last ? 0 : 0x2000U));
		/* Not last: the most that fits. */
		assert_true(is_last || (len % 8 == 0 && 20 + len + 8 > mtu));
		assert_hex(f + 26, 8, MK_REMOTE4 MK_GUEST4);
		memcpy(data + at, f + 34, len);
		at += len;
	}
	return at;
}

static size_t join6(const struct rxnic *x, uint8_t *data, size_t mtu)
{
	size_t at = 0;

	for (uint32_t i = 0; i < x->count; i++) {
		const uint8_t *f = x->frames[i];
		size_t len = x->lens[i] - 62;
		bool is_last = i + 1 == x->count;

		assert_hex(f, 14, MK_GUEST_MAC MK_GATEWAY_MAC "86dd");
		assert_int_equal(mk_get16(f + 18), x->lens[i] - 54);
		assert_true(x->lens[i] - 14 <= mtu);
		assert_int_equal(f[20], 44);
		assert_hex(f + 22, 32, MK_REMOTE6 MK_GUEST6);
		assert_hex(f + 54, 2, "1100");
		assert_int_equal(mk_get16(f + 56), at | (is_last ? 0 : 1U));
		assert_memory_equal(f + 58, x->frames[0] + 58, 4);
		assert_true(is_last || (len % 8 == 0 && 48 + len + 8 > mtu));
		memcpy(data + at, f + 62, len);
		at += len;
	}
	return at;
}

/* E2: towards the guest. */
static void e2_datagrams_above_the_mtu_are_fragmented(void **state)
{
	static const uint32_t lens[] = {1473, 1480, 1481, 2952, 2960, 2961, 8008, 65515};
	static const uint16_t mtus[] = {1280, 1281, 1500, 1501, 9000};
	struct rxnic *x = *state;
	uint8_t *bytes = calloc(1, 70000);
	uint8_t *out = calloc(1, 70000);

	for (size_t m = 0; m < sizeof(mtus) / sizeof(mtus[0]); m++) {
		for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
			uint32_t len = lens[i];

			x->netif.cfg.mtu = mtus[m];
			x->first_piece = (uint32_t)(i * 100);
			for (uint32_t k = 8; k < len; k++)
				bytes[k] = (uint8_t)(k * 3);
			mk16(bytes + 6, 0);
			assert_int_equal(send_l4(x, 4, 17, bytes, len), 0);
			if (len + 20 > mtus[m]) {
				assert_true(x->count > 1);
				assert_int_equal(join4(x, out, mtus[m]), len);
				assert_memory_equal(out, bytes, len);
			} else {
				assert_int_equal(x->count, 1);
				assert_hex(x->frames[0] + 20, 2, "4000");
			}
			rxnic_clear(x);
			mk16(bytes + 6, 0);
			assert_int_equal(send_l4(x, 6, 17, bytes, len), 0);
			if (len + 40 > mtus[m]) {
				assert_true(x->count > 1);
				assert_int_equal(join6(x, out, mtus[m]), len);
				assert_memory_equal(out, bytes, len);
			} else {
				assert_int_equal(x->count, 1);
				assert_int_equal(x->frames[0][20], 17);
			}
			rxnic_clear(x);
		}
	}
	free(bytes);
	free(out);
}

static void datagram_at_the_mtu_is_not_fragmented(void **state)
{
	struct rxnic *x = *state;
	uint8_t bytes[1480] = {0};

	assert_int_equal(send_l4(x, 4, 17, bytes, 1480), 0);
	assert_int_equal(x->count, 1);
	assert_int_equal(x->lens[0], 1514);
	rxnic_clear(x);
	mk16(bytes + 6, 0);
	assert_int_equal(send_l4(x, 6, 17, bytes, 1460), 0);
	assert_int_equal(x->count, 1);
	assert_int_equal(x->lens[0], 1514);
}

static void fragments_of_two_datagrams_have_different_identifications(void **state)
{
	struct rxnic *x = *state;
	uint8_t bytes[2000] = {0};

	for (int i = 0; i < 2; i++) {
		mk16(bytes + 6, 0);
		assert_int_equal(send_l4(x, 4, 17, bytes, sizeof(bytes)), 0);
		mk16(bytes + 6, 0);
		assert_int_equal(send_l4(x, 6, 17, bytes, sizeof(bytes)), 0);
	}
	assert_int_equal(x->count, 8);
	assert_int_equal(x->netif.next_ip4_id, 2);
	assert_int_equal(x->netif.next_ip6_frag_id, 2);
	assert_memory_equal(x->frames[0] + 18, x->frames[1] + 18, 2);
	assert_memory_not_equal(x->frames[0] + 18, x->frames[4] + 18, 2);
	assert_memory_equal(x->frames[2] + 58, x->frames[3] + 58, 4);
	assert_memory_not_equal(x->frames[2] + 58, x->frames[6] + 58, 4);
}

static void fragmentation_ends_where_there_is_no_room(void **state)
{
	struct rxnic *x = *state;
	uint8_t bytes[5000] = {0};

	x->room = 2;
	assert_int_equal(send_l4(x, 4, 17, bytes, sizeof(bytes)), -EAGAIN);
	assert_int_equal(x->count, 2);
	assert_int_equal(x->counters.drops[DROP_NO_ROOM], 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a15_source_addresses_of_the_guest_are_known),
	    TEST(families_that_are_off_have_no_addresses),
	    TEST(addresses_of_the_gateway_are_known),
	    TEST(headers_are_built),
	    TEST(checksum_is_computed_over_any_pieces),
	    TEST(checksum_is_left_to_a_guest_that_takes_that),
	    TEST(whole_frame_is_sent_as_it_is),
	    TEST(checksums_of_control_packets_are_filled_in),
	    TEST(udp_checksum_of_zero_is_sent_as_all_ones),
	    TEST(e2_datagrams_above_the_mtu_are_fragmented),
	    TEST(datagram_at_the_mtu_is_not_fragmented),
	    TEST(fragments_of_two_datagrams_have_different_identifications),
	    TEST(fragmentation_ends_where_there_is_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
