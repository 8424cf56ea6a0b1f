/* SPDX-License-Identifier: Apache-2.0 */
/* ARP, neighbour discovery and router advertisements, as the engine offers packets to the link. */
#include "rxnic.h"

#include "stack/link.h"

#define ALL_NODES         "ff020000000000000000000000000001"
#define ALL_ROUTERS       "ff020000000000000000000000000002"
#define SOLICITED_GATEWAY "ff0200000000000000000001ff000001"
#define UNSET6            "00000000000000000000000000000000"
#define OTHER_MAC         "0a0000000007"
#define ZERO_MAC          "000000000000"
#define SLLA              "0101" MK_GUEST_MAC

/* Nothing is known that does not fit in here. */
enum {
	FRAME_MAX = 400,
	NO = -1, /* not the link's business */
};

static const uint64_t second = 1000000000;

struct world {
	struct rxnic *x;
	struct link link;
	uint64_t now;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->x = rxnic_new();
	w->now = 5 * second;
	link_init(&w->link, &w->x->netif);
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

/* Offers a frame; a drop reason, or NO. */
static int offer(struct world *w, const uint8_t *bytes, size_t len)
{
	struct mk_frame m;
	struct packet p;
	enum drop_reason why;
	bool is_links;

	(void)mk_stage(&m, bytes, len);
	why = packet_parse(&m.frame, &p);
	if (why == DROP_NONE && p.ethertype != ETHERTYPE_ARP)
		why = packet_parse_l4(&p);
	assert_int_equal(why, DROP_NONE);
	is_links = link_on_packet(&w->link, &p, w->now, &why);
	mk_unstage(&m);
	return is_links ? (int)why : NO;
}

static int offer_arp(
    struct world *w, const char *op, const char *sender_mac, const char *sender, const char *target)
{
	uint8_t f[FRAME_MAX];
	size_t len = mk_eth(f, "0806");

	(void)hex_put(f, "ffffffffffff");
	len += hex_put(f + len, "000108000604");
	len += hex_put(f + len, op);
	len += hex_put(f + len, sender_mac);
	len += hex_put(f + len, sender);
	len += hex_put(f + len, ZERO_MAC);
	len += hex_put(f + len, target);
	return offer(w, f, len);
}

/* An ICMPv6 message; its checksum field is zero in hex. */
static int offer_icmp6(
    struct world *w, const char *src, const char *dst, uint8_t hop_limit, const char *hex)
{
	uint8_t f[FRAME_MAX];
	uint8_t icmp[300];
	size_t n = hex_put(icmp, hex);
	size_t l4 = mk_ip6(f, src, dst, 58, n);

	f[21] = hop_limit;
	memcpy(f + l4, icmp, n);
	mk16(f + l4 + 2, mk_l4_sum(f, l4, n, 58));
	return offer(w, f, l4 + n);
}

/* The one frame that was sent: from gateway to guest, right checksum, of this content. */
static void assert_sent_icmp6(
    struct world *w, const char *src, const char *dst, const char *message_without_csum)
{
	const uint8_t *f = w->x->frames[0];
	size_t len = w->x->lens[0];
	uint8_t icmp[FRAME_MAX];

	assert_int_equal(w->x->count, 1);
	assert_hex(f, 14, MK_GUEST_MAC MK_GATEWAY_MAC "86dd");
	assert_hex(f + 14, 4, "60000000");
	assert_int_equal(mk_get16(f + 18), len - 54);
	assert_hex(f + 20, 2, "3aff"); /* hop limit 255, RFC 4861 4 */
	assert_hex(f + 22, 16, src);
	assert_hex(f + 38, 16, dst);
	assert_int_equal(mk_l4_sum(f, 54, len - 54, 58), 0);
	memcpy(icmp, f + 54, len - 54);
	mk16(icmp + 2, 0);
	assert_hex(icmp, len - 54, message_without_csum);
	rxnic_clear(w->x);
}

static void a8_gateway_answers_arp_for_itself(void **state)
{
	struct world *w = *state;

	assert_int_equal(offer_arp(w, "0001", MK_GUEST_MAC, MK_GUEST4, MK_GATEWAY4), DROP_NONE);
	assert_int_equal(w->x->count, 1);
	assert_hex(w->x->frames[0], w->x->lens[0],
	    MK_GUEST_MAC MK_GATEWAY_MAC
	    "0806 0001080006040002" MK_GATEWAY_MAC MK_GATEWAY4 MK_GUEST_MAC MK_GUEST4);
	assert_int_equal(w->x->counters.arp_replies, 1);
	rxnic_clear(w->x);
	/* RFC 5227: a probe of the gateway's address finds it taken. */
	assert_int_equal(offer_arp(w, "0001", MK_GUEST_MAC, "00000000", MK_GATEWAY4), DROP_NONE);
	assert_int_equal(w->x->count, 1);
	assert_hex(w->x->frames[0] + 22, 20, MK_GATEWAY_MAC MK_GATEWAY4 MK_GUEST_MAC "00000000");
}

static void a8_gateway_answers_arp_for_nobody_else(void **state)
{
	static const char *const others[] = {
	    MK_REMOTE4, "64600003", "64600000", "00000000", "ffffffff", "e0000001", "7f000001"};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(
		    offer_arp(w, "0001", MK_GUEST_MAC, MK_GUEST4, others[i]), DROP_ARP);
	assert_int_equal(w->x->count, 0);
	assert_int_equal(w->x->counters.arp_replies, 0);
}

static void arp_of_the_guest_about_itself_is_accepted_in_silence(void **state)
{
	struct world *w = *state;

	/* Probe, announcement as request and as reply, answer. */
	assert_int_equal(offer_arp(w, "0001", MK_GUEST_MAC, "00000000", MK_GUEST4), DROP_NONE);
	assert_int_equal(offer_arp(w, "0001", MK_GUEST_MAC, MK_GUEST4, MK_GUEST4), DROP_NONE);
	assert_int_equal(offer_arp(w, "0002", MK_GUEST_MAC, MK_GUEST4, MK_GUEST4), DROP_NONE);
	assert_int_equal(offer_arp(w, "0002", MK_GUEST_MAC, MK_GUEST4, MK_GATEWAY4), DROP_NONE);
	assert_int_equal(w->x->count, 0);
}

/* P13 */
static void foreign_arp_senders_are_refused(void **state)
{
	struct world *w = *state;

	for (int op = 1; op <= 2; op++) {
		const char *code = op == 1 ? "0001" : "0002";

		assert_int_equal(
		    offer_arp(w, code, OTHER_MAC, MK_GUEST4, MK_GATEWAY4), DROP_SRC_MAC);
		assert_int_equal(
		    offer_arp(w, code, MK_GATEWAY_MAC, MK_GUEST4, MK_GATEWAY4), DROP_SRC_MAC);
		assert_int_equal(
		    offer_arp(w, code, MK_GUEST_MAC, MK_GATEWAY4, MK_GATEWAY4), DROP_SRC_ADDR);
		assert_int_equal(
		    offer_arp(w, code, MK_GUEST_MAC, "64600003", MK_GATEWAY4), DROP_SRC_ADDR);
	}
	assert_int_equal(w->x->count, 0);
}

static void malformed_arp_is_refused(void **state)
{
	struct world *w = *state;
	uint8_t f[FRAME_MAX] = {0};
	size_t len = mk_eth(f, "0806");

	assert_int_equal(offer_arp(w, "0003", MK_GUEST_MAC, MK_GUEST4, MK_GATEWAY4), DROP_ARP);
	for (size_t n = len; n < len + 28; n++)
		assert_int_equal(offer(w, f, n), DROP_ARP);
	w->x->netif.cfg.has_v4 = false;
	assert_int_equal(
	    offer_arp(w, "0001", MK_GUEST_MAC, MK_GUEST4, MK_GATEWAY4), DROP_FAMILY_OFF);
	assert_int_equal(w->x->count, 0);
}

static void a9_gateway_answers_solicitations_for_itself(void **state)
{
	struct world *w = *state;

	assert_int_equal(
	    offer_icmp6(w, MK_GUEST6, SOLICITED_GATEWAY, 255, "8700000000000000" MK_GATEWAY6 SLLA),
	    DROP_NONE);
	assert_sent_icmp6(
	    w, MK_GATEWAY6, MK_GUEST6, "88000000e0000000" MK_GATEWAY6 "0201" MK_GATEWAY_MAC);
	/* A probe of reachability: unicast, without link-layer address. */
	assert_int_equal(
	    offer_icmp6(w, MK_GUEST_LL, MK_GATEWAY_LL, 255, "8700000000000000" MK_GATEWAY_LL),
	    DROP_NONE);
	assert_sent_icmp6(
	    w, MK_GATEWAY_LL, MK_GUEST_LL, "88000000e0000000" MK_GATEWAY_LL "0201" MK_GATEWAY_MAC);
	assert_int_equal(w->x->counters.ndp_replies, 2);
}

/* RFC 4862 5.4.3, RFC 4861 7.2.4: the guest wants to take the gateway's address. */
static void a9_duplicate_detection_of_the_gateways_address_finds_it(void **state)
{
	struct world *w = *state;

	assert_int_equal(
	    offer_icmp6(w, UNSET6, SOLICITED_GATEWAY, 255, "8700000000000000" MK_GATEWAY6),
	    DROP_NONE);
	assert_sent_icmp6(
	    w, MK_GATEWAY6, ALL_NODES, "88000000a0000000" MK_GATEWAY6 "0201" MK_GATEWAY_MAC);
}

static void a9_duplicate_detection_of_the_guests_own_address_is_silent(void **state)
{
	struct world *w = *state;

	assert_int_equal(offer_icmp6(w, UNSET6, "ff0200000000000000000001ff000002", 255,
			     "8700000000000000" MK_GUEST6),
	    DROP_NONE);
	assert_int_equal(offer_icmp6(w, UNSET6, "ff0200000000000000000001ff000002", 255,
			     "8700000000000000" MK_GUEST_LL),
	    DROP_NONE);
	/* A nonce against loops, as Linux sends (RFC 7527). */
	assert_int_equal(offer_icmp6(w, UNSET6, "ff0200000000000000000001ff000002", 255,
			     "8700000000000000" MK_GUEST6 "0e01010203040506"),
	    DROP_NONE);
	assert_int_equal(w->x->count, 0);
}

static void a9_gateway_answers_solicitations_for_nobody_else(void **state)
{
	static const char *const others[] = {
	    MK_REMOTE6, MK_GUEST6, "fd426d73006200000000000000000003",
	    "fe800000000000000000000000000007", UNSET6,
	    "00000000000000000000ffff64600001", /* the gateway's IPv4 address, mapped */
	};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		char hex[100];

		(void)snprintf(hex, sizeof(hex), "8700000000000000%s" SLLA, others[i]);
		assert_int_equal(offer_icmp6(w, MK_GUEST6, SOLICITED_GATEWAY, 255, hex), DROP_NDP);
	}
	assert_int_equal(w->x->count, 0);
}

/* RFC 4861 7.1.1, P13 */
static void wrong_solicitations_are_refused(void **state)
{
	struct world *w = *state;
	const char *plain = "8700000000000000" MK_GATEWAY6;
	char long_one[600];

	assert_int_equal(offer_icmp6(w, MK_GUEST6, SOLICITED_GATEWAY, 254, plain), DROP_NDP);
	assert_int_equal(
	    offer_icmp6(w, MK_GUEST6, SOLICITED_GATEWAY, 255, "8701000000000000" MK_GATEWAY6),
	    DROP_NDP);
	assert_int_equal(offer_icmp6(w, MK_GUEST6, SOLICITED_GATEWAY, 255,
			     "8700000000000000" MK_GATEWAY6 "0101" OTHER_MAC),
	    DROP_SRC_MAC);
	assert_int_equal(offer_icmp6(w, MK_REMOTE6, SOLICITED_GATEWAY, 255, plain), DROP_SRC_ADDR);
	assert_int_equal(offer_icmp6(w, MK_GATEWAY6, SOLICITED_GATEWAY, 255, plain), DROP_SRC_ADDR);
	assert_int_equal(
	    offer_icmp6(w, MK_GATEWAY_LL, SOLICITED_GATEWAY, 255, plain), DROP_SRC_ADDR);
	/* From ::, only to the solicited-node address, and without a link-layer address. */
	assert_int_equal(offer_icmp6(w, UNSET6, MK_GATEWAY6, 255, plain), DROP_NDP);
	assert_int_equal(offer_icmp6(w, UNSET6, ALL_NODES, 255, plain), DROP_NDP);
	assert_int_equal(
	    offer_icmp6(w, UNSET6, SOLICITED_GATEWAY, 255, "8700000000000000" MK_GATEWAY6 SLLA),
	    DROP_NDP);
	/* Longer than any that is meant. */
	(void)snprintf(long_one, sizeof(long_one), "%s0e1e%0*d", plain, 476, 0);
	assert_int_equal(offer_icmp6(w, MK_GUEST6, SOLICITED_GATEWAY, 255, long_one), DROP_NDP);
	w->x->netif.cfg.has_v6 = false;
	assert_int_equal(offer_icmp6(w, MK_GUEST6, SOLICITED_GATEWAY, 255, plain), DROP_FAMILY_OFF);
	assert_int_equal(w->x->count, 0);
}

static void announcements_of_the_guest_are_accepted_in_silence(void **state)
{
	struct world *w = *state;

	assert_int_equal(offer_icmp6(w, MK_GUEST6, ALL_NODES, 255,
			     "8800000020000000" MK_GUEST6 "0201" MK_GUEST_MAC),
	    DROP_NONE);
	assert_int_equal(
	    offer_icmp6(w, MK_GUEST_LL, MK_GATEWAY_LL, 255, "8800000040000000" MK_GUEST_LL),
	    DROP_NONE);
	assert_int_equal(w->x->count, 0);
}

/* P13 */
static void false_announcements_are_refused(void **state)
{
	struct world *w = *state;

	assert_int_equal(offer_icmp6(w, MK_GUEST6, ALL_NODES, 255,
			     "8800000020000000" MK_GATEWAY6 "0201" MK_GUEST_MAC),
	    DROP_SRC_ADDR);
	assert_int_equal(offer_icmp6(w, MK_GUEST6, ALL_NODES, 255,
			     "8800000020000000" MK_GATEWAY_LL "0201" MK_GUEST_MAC),
	    DROP_SRC_ADDR);
	assert_int_equal(offer_icmp6(w, MK_GUEST6, ALL_NODES, 255,
			     "8800000020000000" MK_GUEST6 "0201" OTHER_MAC),
	    DROP_SRC_MAC);
	assert_int_equal(offer_icmp6(w, MK_REMOTE6, ALL_NODES, 255,
			     "8800000020000000" MK_GUEST6 "0201" MK_GUEST_MAC),
	    DROP_SRC_ADDR);
	assert_int_equal(w->x->count, 0);
}

/* P13: the guest is no router. */
static void router_messages_of_the_guest_are_refused(void **state)
{
	struct world *w = *state;

	assert_int_equal(
	    offer_icmp6(w, MK_GUEST_LL, ALL_NODES, 255, "86000000404023280000000000000000"),
	    DROP_NDP);
	assert_int_equal(offer_icmp6(w, MK_GUEST_LL, MK_GATEWAY_LL, 255,
			     "8900000000000000" MK_GUEST_LL MK_REMOTE6),
	    DROP_NDP);
}

/* D7, P14 */
static void multicast_listener_messages_stay_on_the_link(void **state)
{
	static const char *const types[] = {"82", "83", "84", "8f"};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		char hex[80];

		(void)snprintf(hex, sizeof(hex), "%s00000000000000" ALL_NODES, types[i]);
		assert_int_equal(offer_icmp6(w, UNSET6, ALL_ROUTERS, 1, hex), DROP_MULTICAST);
	}
}

static void other_packets_are_not_the_links(void **state)
{
	struct world *w = *state;
	uint8_t f[FRAME_MAX];
	size_t len;

	assert_int_equal(offer_icmp6(w, MK_GUEST6, MK_GATEWAY6, 64, "8000000012340001"), NO);
	assert_int_equal(offer_icmp6(w, MK_GUEST6, MK_REMOTE6, 64, "0104000000000000"), NO);
	len = mk_udp(f, mk_ip4(f, MK_GUEST4, MK_REMOTE4, 17, 12, 1, 0), 68, 67, 4, 0);
	assert_int_equal(offer(w, f, len), NO);
	len = mk_udp(f, mk_ip4(f, MK_GUEST4, MK_GATEWAY4, 17, 12, 1, 0), 68, 53, 4, 0);
	assert_int_equal(offer(w, f, len), NO);
	len = mk_udp(f, mk_ip6(f, MK_GUEST6, MK_REMOTE6, 17, 12), 546, 547, 4, 0);
	assert_int_equal(offer(w, f, len), NO);
	len = mk_udp(f, mk_ip6(f, MK_GUEST6, MK_GATEWAY6, 17, 12), 68, 67, 4, 0);
	assert_int_equal(offer(w, f, len), NO);
	/* A fragment, whatever it says. */
	len = mk_ip6(f, MK_GUEST6, MK_GATEWAY6, 44, 16);
	(void)hex_put(f + len, "3a00000100000001 8500000000000000");
	{
		struct mk_frame m;
		struct packet p;
		enum drop_reason why;

		(void)mk_stage(&m, f, len + 16);
		assert_int_equal(packet_parse(&m.frame, &p), DROP_NONE);
		p.icmp.type = 133;
		assert_false(link_on_packet(&w->link, &p, w->now, &why));
		mk_unstage(&m);
	}
	assert_int_equal(w->x->count, 0);
}

#define ADVERT                                                                                     \
	"86000000 40402328 00000000 00000000 0101" MK_GATEWAY_MAC "0501000000000578"               \
	"030440c0 ffffffff ffffffff 00000000 fd426d73006200000000000000000000"                     \
	"19030000 ffffffff" MK_GATEWAY6

static void router_solicitation_is_answered_at_once(void **state)
{
	struct world *w = *state;

	w->x->netif.cfg.mtu = 1400;
	assert_int_equal(
	    offer_icmp6(w, MK_GUEST_LL, ALL_ROUTERS, 255, "8500000000000000" SLLA), DROP_NONE);
	assert_sent_icmp6(w, MK_GATEWAY_LL, MK_GUEST_LL, ADVERT);
	assert_int_equal(w->x->counters.ra_sent, 1);
	/* Before the guest has an address. */
	assert_int_equal(offer_icmp6(w, UNSET6, ALL_ROUTERS, 255, "8500000000000000"), DROP_NONE);
	assert_sent_icmp6(w, MK_GATEWAY_LL, ALL_NODES, ADVERT);
}

/* RFC 4861 6.1.1, P13 */
static void wrong_router_solicitations_are_refused(void **state)
{
	struct world *w = *state;
	const char *plain = "8500000000000000";

	assert_int_equal(offer_icmp6(w, MK_GUEST_LL, ALL_ROUTERS, 64, plain), DROP_NDP);
	assert_int_equal(
	    offer_icmp6(w, MK_GUEST_LL, ALL_ROUTERS, 255, "8501000000000000"), DROP_NDP);
	assert_int_equal(
	    offer_icmp6(w, UNSET6, ALL_ROUTERS, 255, "8500000000000000" SLLA), DROP_NDP);
	assert_int_equal(
	    offer_icmp6(w, MK_GUEST_LL, ALL_ROUTERS, 255, "8500000000000000 0101" OTHER_MAC),
	    DROP_SRC_MAC);
	assert_int_equal(offer_icmp6(w, MK_REMOTE6, ALL_ROUTERS, 255, plain), DROP_SRC_ADDR);
	assert_int_equal(offer_icmp6(w, MK_GATEWAY_LL, ALL_ROUTERS, 255, plain), DROP_SRC_ADDR);
	assert_int_equal(offer_icmp6(w, MK_GUEST_LL, MK_REMOTE6, 255, plain), DROP_NDP);
	w->x->netif.cfg.has_v6 = false;
	assert_int_equal(offer_icmp6(w, MK_GUEST_LL, ALL_ROUTERS, 255, plain), DROP_FAMILY_OFF);
	assert_int_equal(w->x->count, 0);
	assert_true(link_next_ns(&w->link) == LINK_NEVER);
}

/* R12: no timer for a guest that never asked. */
static void guest_that_never_asks_causes_no_timer(void **state)
{
	struct world *w = *state;

	assert_true(link_next_ns(&w->link) == LINK_NEVER);
	link_on_time(&w->link, 1000000 * second);
	assert_int_equal(w->x->count, 0);
}

/* The default route lives 9000 s; losing it after hours is kubevirt 13191. */
static void router_is_advertised_again_before_its_route_expires(void **state)
{
	struct world *w = *state;
	uint64_t due;

	assert_int_equal(offer_icmp6(w, MK_GUEST_LL, ALL_ROUTERS, 255, "8500000000000000"), 0);
	rxnic_clear(w->x);
	for (int i = 0; i < 30; i++) {
		due = link_next_ns(&w->link);
		/* Three times in its life, with a timer that may be late by an eighth. */
		assert_true(due > w->now && due <= w->now + 3000 * second);
		link_on_time(&w->link, due - 1);
		assert_int_equal(w->x->count, 0);
		w->now = due;
		link_on_time(&w->link, w->now);
		assert_int_equal(w->x->count, 1);
		assert_hex(w->x->frames[0] + 38, 16, ALL_NODES);
		assert_hex(w->x->frames[0] + 60, 2, "2328");
		rxnic_clear(w->x);
	}
}

static void advertisement_without_room_is_tried_again(void **state)
{
	struct world *w = *state;

	w->x->is_full = true;
	assert_int_equal(offer_icmp6(w, MK_GUEST_LL, ALL_ROUTERS, 255, "8500000000000000"), 0);
	assert_int_equal(w->x->counters.ra_sent, 0);
	assert_int_equal(w->x->counters.drops[DROP_NO_ROOM], 1);
	assert_true(link_next_ns(&w->link) == w->now + second);
	w->x->is_full = false;
	w->now += second;
	link_on_time(&w->link, w->now);
	assert_int_equal(w->x->count, 1);
	assert_int_equal(w->x->counters.ra_sent, 1);
	assert_true(link_next_ns(&w->link) == w->now + 3000 * second);
}

static void replies_without_room_are_counted_as_lost(void **state)
{
	struct world *w = *state;

	w->x->is_full = true;
	assert_int_equal(offer_arp(w, "0001", MK_GUEST_MAC, MK_GUEST4, MK_GATEWAY4), DROP_NONE);
	assert_int_equal(
	    offer_icmp6(w, MK_GUEST6, SOLICITED_GATEWAY, 255, "8700000000000000" MK_GATEWAY6),
	    DROP_NONE);
	assert_int_equal(w->x->counters.drops[DROP_NO_ROOM], 2);
	assert_int_equal(w->x->counters.arp_replies + w->x->counters.ndp_replies, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a8_gateway_answers_arp_for_itself),
	    TEST(a8_gateway_answers_arp_for_nobody_else),
	    TEST(arp_of_the_guest_about_itself_is_accepted_in_silence),
	    TEST(foreign_arp_senders_are_refused),
	    TEST(malformed_arp_is_refused),
	    TEST(a9_gateway_answers_solicitations_for_itself),
	    TEST(a9_duplicate_detection_of_the_gateways_address_finds_it),
	    TEST(a9_duplicate_detection_of_the_guests_own_address_is_silent),
	    TEST(a9_gateway_answers_solicitations_for_nobody_else),
	    TEST(wrong_solicitations_are_refused),
	    TEST(announcements_of_the_guest_are_accepted_in_silence),
	    TEST(false_announcements_are_refused),
	    TEST(router_messages_of_the_guest_are_refused),
	    TEST(multicast_listener_messages_stay_on_the_link),
	    TEST(other_packets_are_not_the_links),
	    TEST(router_solicitation_is_answered_at_once),
	    TEST(wrong_router_solicitations_are_refused),
	    TEST(guest_that_never_asks_causes_no_timer),
	    TEST(router_is_advertised_again_before_its_route_expires),
	    TEST(advertisement_without_room_is_tried_again),
	    TEST(replies_without_room_are_counted_as_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
