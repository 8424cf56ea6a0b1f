/* SPDX-License-Identifier: Apache-2.0 */
/* The DHCP servers, as the engine offers packets to the link. */
#include "rxnic.h"

#include "stack/link.h"

#define BROADCAST   "ffffffff"
#define UNSET4      "00000000"
#define ALL_SERVERS "ff020000000000000000000000010002"
#define CLIENT_ID6  "0001000a 00030001" MK_GUEST_MAC
#define SERVER_ID6  "0002000a 00030001" MK_GATEWAY_MAC
#define DNS6        "00170010" MK_GATEWAY6

enum {
	FIXED = 236,
	COOKIE = 4,
	L4 = 42, /* where DHCPv4 starts in a frame */
	FRAME_MAX = 2000,
};

struct world {
	struct rxnic *x;
	struct link link;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->x = rxnic_new();
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

/* Offers a UDP datagram; it must be the link's business. */
static enum drop_reason offer(struct world *w, const uint8_t *bytes, size_t len)
{
	struct mk_frame m;
	struct packet p;
	enum drop_reason why;

	(void)mk_stage(&m, bytes, len);
	assert_int_equal(packet_parse(&m.frame, &p), DROP_NONE);
	assert_int_equal(packet_parse_l4(&p), DROP_NONE);
	assert_true(link_on_packet(&w->link, &p, 0, &why));
	mk_unstage(&m);
	return why;
}

/* A DHCPv4 message of the guest. */
struct msg4 {
	const char *src;
	const char *dst;
	const char *ciaddr;
	const char *flags;
	const char *giaddr;
	const char *chaddr;
	const char *options;
};

static enum drop_reason offer4(struct world *w, const struct msg4 *m)
{
	uint8_t f[FRAME_MAX] = {0};
	uint8_t *d = f + L4;
	size_t n = FIXED + COOKIE + hex_put(d + FIXED + COOKIE, m->options);
	size_t l4 =
	    mk_ip4(f, m->src ? m->src : UNSET4, m->dst ? m->dst : BROADCAST, 17, 8 + n, 1, 0);

	(void)hex_put(d, "01010600 deadbeef 0000");
	(void)hex_put(d + 10, m->flags ? m->flags : "0000");
	(void)hex_put(d + 12, m->ciaddr ? m->ciaddr : UNSET4);
	(void)hex_put(d + 24, m->giaddr ? m->giaddr : UNSET4);
	(void)hex_put(d + 28, m->chaddr ? m->chaddr : MK_GUEST_MAC);
	(void)hex_put(d + FIXED, "63825363");
	mk16(f + l4, 68);
	mk16(f + l4 + 2, 67);
	mk16(f + l4 + 4, 8 + n);
	mk16(f + l4 + 6, mk_l4_sum(f, l4, 8 + n, 17));
	return offer(w, f, l4 + 8 + n);
}

/* The one reply: frame, addresses and ports; returns its DHCP message. */
static const uint8_t *reply4(struct world *w, const char *dst)
{
	const uint8_t *f = w->x->frames[0];
	size_t len = w->x->lens[0];

	assert_int_equal(w->x->count, 1);
	assert_hex(f, 14, MK_GUEST_MAC MK_GATEWAY_MAC "0800");
	assert_int_equal(mk_sum(0, f + 14, 20), 0xffff);
	assert_int_equal(mk_get16(f + 16), len - 14);
	assert_hex(f + 26, 4, MK_GATEWAY4);
	assert_hex(f + 30, 4, dst);
	assert_hex(f + 34, 4, "00430044");
	assert_int_equal(mk_get16(f + 38), len - 34);
	assert_int_equal(mk_l4_sum(f, 34, len - 34, 17), 0);
	assert_hex(f + L4, 8, "02010600 deadbeef");
	assert_hex(f + L4 + 28, 6, MK_GUEST_MAC);
	assert_hex(f + L4 + FIXED, 4, "63825363");
	return f + L4;
}

/* What stands behind type and server identifier in an offer or an acknowledgment of a lease. */
#define LEASE "3304ffffffff 0104fffffffc 0304" MK_GATEWAY4 "0604" MK_GATEWAY4 "1a0205dc ff"

static void discover_is_answered_by_an_offer_of_the_guests_address(void **state)
{
	struct world *w = *state;
	const uint8_t *d;

	assert_int_equal(offer4(w, &(struct msg4){.options = "350101 37020103 ff"}), DROP_NONE);
	d = reply4(w, MK_GUEST4);
	assert_hex(d + 16, 4, MK_GUEST4);
	assert_hex(d + FIXED + COOKIE, 38, "350102 3604" MK_GATEWAY4 LEASE);
	assert_int_equal(w->x->counters.dhcp4_replies, 1);
}

/* RFC 2131 4.1 */
static void offer_is_broadcast_to_a_client_that_wants_it(void **state)
{
	struct world *w = *state;
	const uint8_t *d;

	assert_int_equal(
	    offer4(w, &(struct msg4){.flags = "8000", .options = "350101 ff"}), DROP_NONE);
	d = reply4(w, BROADCAST);
	assert_hex(d + 10, 2, "8000");
	assert_hex(d + 16, 4, MK_GUEST4);
}

static void request_of_the_offered_address_is_acknowledged(void **state)
{
	struct world *w = *state;
	const uint8_t *d;

	assert_int_equal(
	    offer4(w, &(struct msg4){.options = "350103 3204" MK_GUEST4 "3604" MK_GATEWAY4
						"3d07 01" MK_GUEST_MAC "ff"}),
	    DROP_NONE);
	d = reply4(w, MK_GUEST4);
	assert_hex(d + 12, 8, UNSET4 MK_GUEST4);
	assert_hex(d + FIXED + COOKIE, 47, "350105 3604" MK_GATEWAY4 "3d07 01" MK_GUEST_MAC LEASE);
}

/* RFC 2131 4.3.2: INIT-REBOOT, RENEWING, REBINDING. */
static void known_address_is_acknowledged_again(void **state)
{
	struct world *w = *state;

	assert_int_equal(offer4(w, &(struct msg4){.options = "350103 3204" MK_GUEST4 "ff"}), 0);
	assert_int_equal(reply4(w, MK_GUEST4)[FIXED + COOKIE + 2], 5);
	rxnic_clear(w->x);
	assert_int_equal(offer4(w, &(struct msg4){.src = MK_GUEST4,
				       .dst = MK_GATEWAY4,
				       .ciaddr = MK_GUEST4,
				       .flags = "8000",
				       .options = "350103 ff"}),
	    DROP_NONE);
	/* To the address that the client uses, whatever it wants. */
	assert_int_equal(reply4(w, MK_GUEST4)[FIXED + COOKIE + 2], 5);
	assert_hex(reply4(w, MK_GUEST4) + 12, 4, MK_GUEST4);
	rxnic_clear(w->x);
	assert_int_equal(
	    offer4(
		w, &(struct msg4){.src = MK_GUEST4, .ciaddr = MK_GUEST4, .options = "350103 ff"}),
	    DROP_NONE);
	assert_int_equal(reply4(w, MK_GUEST4)[FIXED + COOKIE + 2], 5);
}

/* RFC 2131 4.3.2: also to a guest that comes with the lease of another place. */
static void request_of_another_address_is_refused_by_broadcast(void **state)
{
	static const struct msg4 requests[] = {
	    {.options = "350103 320464600003 3604" MK_GATEWAY4 "ff"},
	    {.options = "350103 3204c0a80102 ff"},
	    {.src = "c0a80102", .ciaddr = "c0a80102", .options = "350103 ff"},
	    {.src = "c0a80102", .dst = MK_GATEWAY4, .ciaddr = "c0a80102", .options = "350103 ff"},
	};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		const uint8_t *d;

		assert_int_equal(offer4(w, &requests[i]), DROP_NONE);
		d = reply4(w, BROADCAST);
		assert_hex(d + 12, 8, UNSET4 UNSET4);
		assert_hex(d + FIXED + COOKIE, 10, "350106 3604" MK_GATEWAY4 "ff");
		rxnic_clear(w->x);
	}
}

static void inform_is_answered_without_a_lease(void **state)
{
	struct world *w = *state;
	const uint8_t *d;

	assert_int_equal(
	    offer4(
		w, &(struct msg4){.src = MK_GUEST4, .ciaddr = MK_GUEST4, .options = "350108 ff"}),
	    DROP_NONE);
	d = reply4(w, MK_GUEST4);
	assert_hex(d + 12, 8, MK_GUEST4 UNSET4);
	assert_hex(d + FIXED + COOKIE, 32,
	    "350105 3604" MK_GATEWAY4 "0104fffffffc 0304" MK_GATEWAY4 "0604" MK_GATEWAY4
	    "1a0205dc ff");
}

static void mtu_option_is_the_links(void **state)
{
	struct world *w = *state;

	w->x->netif.cfg.mtu = 65520;
	assert_int_equal(offer4(w, &(struct msg4){.options = "350101 ff"}), DROP_NONE);
	assert_hex(reply4(w, MK_GUEST4) + FIXED + COOKIE + 33, 5, "1a02fff0ff");
}

static void messages_that_need_no_answer_get_none(void **state)
{
	struct world *w = *state;

	assert_int_equal(
	    offer4(w, &(struct msg4){.options = "350104 3204" MK_GUEST4 "3604" MK_GATEWAY4 "ff"}),
	    DROP_NONE);
	assert_int_equal(offer4(w, &(struct msg4){.src = MK_GUEST4,
				       .dst = MK_GATEWAY4,
				       .ciaddr = MK_GUEST4,
				       .options = "350107 3604" MK_GATEWAY4 "ff"}),
	    DROP_NONE);
	assert_int_equal(w->x->count, 0);
	assert_int_equal(w->x->counters.dhcp4_replies, 0);
}

/* P13 */
static void messages_that_are_not_the_guests_are_refused(void **state)
{
	static const struct {
		struct msg4 m;
		enum drop_reason why;
	} rows[] = {
	    {{.chaddr = MK_GATEWAY_MAC, .options = "350101 ff"}, DROP_SRC_MAC},
	    {{.chaddr = "026d73000003", .options = "350103 3204" MK_GUEST4 "ff"}, DROP_SRC_MAC},
	    {{.giaddr = "0a000001", .options = "350101 ff"}, DROP_DHCP},
	    {{.options = "350103 3204" MK_GUEST4 "3604c0a80101 ff"}, DROP_DHCP},
	    {{.options = "350103 ff"}, DROP_DHCP},
	    {{.options = "350108 ff"}, DROP_DHCP},
	    {{.ciaddr = "c0a80102", .options = "350108 ff"}, DROP_DHCP},
	    {{.options = "350102 ff"}, DROP_DHCP},
	    {{.options = "ff"}, DROP_DHCP},
	};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(offer4(w, &rows[i].m), rows[i].why);
	assert_int_equal(w->x->count, 0);
	w->x->netif.cfg.has_v4 = false;
	assert_int_equal(offer4(w, &(struct msg4){.options = "350101 ff"}), DROP_FAMILY_OFF);
	assert_int_equal(w->x->count, 0);
}

static void messages_longer_than_a_packet_are_refused(void **state)
{
	struct world *w = *state;
	uint8_t f[FRAME_MAX] = {0};
	size_t len = mk_ip4(f, UNSET4, BROADCAST, 17, 8 + 1501, 1, 0);

	len = mk_udp(f, len, 68, 67, 1501, 0);
	assert_int_equal(offer(w, f, len), DROP_DHCP);
	len = mk_udp(f, mk_ip6(f, MK_GUEST_LL, ALL_SERVERS, 17, 8 + 1501), 546, 547, 1501, 0);
	assert_int_equal(offer(w, f, len), DROP_DHCP);
}

static void reply_without_room_is_counted_as_lost(void **state)
{
	struct world *w = *state;

	w->x->is_full = true;
	assert_int_equal(offer4(w, &(struct msg4){.options = "350101 ff"}), DROP_NONE);
	assert_int_equal(w->x->counters.dhcp4_replies, 0);
	assert_int_equal(w->x->counters.drops[DROP_NO_ROOM], 1);
}

static enum drop_reason offer6_from(
    struct world *w, const char *src, const char *dst, const char *hex)
{
	uint8_t f[FRAME_MAX];
	size_t n = hex_put(f + 62, hex);
	size_t l4 = mk_ip6(f, src, dst, 17, 8 + n);

	mk16(f + l4, 546);
	mk16(f + l4 + 2, 547);
	mk16(f + l4 + 4, 8 + n);
	mk16(f + l4 + 6, 0);
	mk16(f + l4 + 6, mk_l4_sum(f, l4, 8 + n, 17));
	return offer(w, f, l4 + 8 + n);
}

static enum drop_reason offer6(struct world *w, const char *hex)
{
	return offer6_from(w, MK_GUEST_LL, ALL_SERVERS, hex);
}

static void assert_reply6(struct world *w, const char *hex)
{
	const uint8_t *f = w->x->frames[0];
	size_t len = w->x->lens[0];

	assert_int_equal(w->x->count, 1);
	assert_hex(f, 14, MK_GUEST_MAC MK_GATEWAY_MAC "86dd");
	assert_int_equal(mk_get16(f + 18), len - 54);
	assert_hex(f + 22, 32, MK_GATEWAY_LL MK_GUEST_LL);
	assert_hex(f + 54, 4, "02230222");
	assert_int_equal(mk_get16(f + 58), len - 54);
	assert_int_equal(mk_l4_sum(f, 54, len - 54, 17), 0);
	assert_hex(f + 62, len - 62, hex);
	rxnic_clear(w->x);
}

static void information_request_is_answered_with_the_resolver(void **state)
{
	struct world *w = *state;

	assert_int_equal(
	    offer6(w, "0b010203" CLIENT_ID6 "000800020000 0006000400170018"), DROP_NONE);
	assert_reply6(w, "07010203" CLIENT_ID6 SERVER_ID6 DNS6);
	/* RFC 8415 18.3.6: without an identifier too. */
	assert_int_equal(offer6(w, "0b010203"), DROP_NONE);
	assert_reply6(w, "07010203" SERVER_ID6 DNS6);
	assert_int_equal(offer6(w, "0b010203" SERVER_ID6), DROP_NONE);
	assert_reply6(w, "07010203" SERVER_ID6 DNS6);
	assert_int_equal(w->x->counters.dhcp6_replies, 3);
}

#define IA(iaid)          "0003000c 000000" iaid "0000000000000000"
#define IA_OF(iaid, addr) "00030028 000000" iaid "0000000000000000 00050018" addr "0000000000000000"
#define GIVEN(iaid)       "00030028 000000" iaid "ffffffffffffffff 00050018" MK_GUEST6 "ffffffffffffffff"

static void solicit_is_answered_with_the_guests_address(void **state)
{
	struct world *w = *state;

	assert_int_equal(offer6(w, "01abcdef" CLIENT_ID6 IA("07")), DROP_NONE);
	assert_reply6(w, "02abcdef" CLIENT_ID6 SERVER_ID6 GIVEN("07") DNS6);
	/* RFC 8415 18.3.1: at once, if the client agrees. */
	assert_int_equal(offer6(w, "01abcdef" CLIENT_ID6 "000e0000" IA("07")), DROP_NONE);
	assert_reply6(w, "07abcdef" CLIENT_ID6 SERVER_ID6 "000e0000" GIVEN("07") DNS6);
}

static void request_renew_and_rebind_give_the_guests_address(void **state)
{
	struct world *w = *state;

	assert_int_equal(
	    offer6(w, "03abcdef" CLIENT_ID6 SERVER_ID6 IA_OF("07", MK_GUEST6)), DROP_NONE);
	assert_reply6(w, "07abcdef" CLIENT_ID6 SERVER_ID6 GIVEN("07") DNS6);
	assert_int_equal(
	    offer6(w, "05abcdef" CLIENT_ID6 SERVER_ID6 IA_OF("07", MK_GUEST6)), DROP_NONE);
	assert_reply6(w, "07abcdef" CLIENT_ID6 SERVER_ID6 GIVEN("07") DNS6);
	assert_int_equal(offer6(w, "06abcdef" CLIENT_ID6 IA_OF("07", MK_GUEST6)), DROP_NONE);
	assert_reply6(w, "07abcdef" CLIENT_ID6 SERVER_ID6 GIVEN("07") DNS6);
}

/* RFC 8415 18.3.4: lifetimes of zero for what is not to be used any more. */
static void another_address_is_withdrawn(void **state)
{
	struct world *w = *state;

	assert_int_equal(
	    offer6(w, "05abcdef" CLIENT_ID6 SERVER_ID6 IA_OF("07", MK_REMOTE6)), DROP_NONE);
	assert_reply6(w,
	    "07abcdef" CLIENT_ID6 SERVER_ID6 "00030044 00000007 ffffffffffffffff 00050018" MK_GUEST6
	    "ffffffffffffffff 00050018" MK_REMOTE6 "0000000000000000" DNS6);
}

static void more_than_one_address_is_not_available(void **state)
{
	struct world *w = *state;

	assert_int_equal(offer6(w, "01abcdef" CLIENT_ID6 "0019000c 00000001 0000000000000000"
				   "00040004 00000002" IA("03") IA_OF("04", MK_GUEST6)),
	    DROP_NONE);
	assert_reply6(w,
	    "02abcdef" CLIENT_ID6 SERVER_ID6 "00190012 00000001 0000000000000000 000d00020006"
	    "0004000a 00000002 000d00020002" GIVEN(
		"03") "0003002e 00000004 0000000000000000 00050018" MK_GUEST6
		      "0000000000000000 000d00020002" DNS6);
}

/* RFC 8415 18.3.3 */
static void confirm_says_whether_addresses_are_of_the_link(void **state)
{
	struct world *w = *state;

	assert_int_equal(offer6(w, "04abcdef" CLIENT_ID6 IA_OF("07", MK_GUEST6)), DROP_NONE);
	assert_reply6(w, "07abcdef" CLIENT_ID6 SERVER_ID6 "000d00020000" DNS6);
	assert_int_equal(offer6(w, "04abcdef" CLIENT_ID6 IA("01") IA_OF("07", MK_GUEST6)
				       IA_OF("08", MK_REMOTE6)),
	    DROP_NONE);
	assert_reply6(w, "07abcdef" CLIENT_ID6 SERVER_ID6 "000d00020004" DNS6);
	assert_int_equal(offer6(w, "04abcdef" CLIENT_ID6 IA("07")), DROP_DHCP);
	assert_int_equal(w->x->count, 0);
}

static void release_and_decline_are_confirmed(void **state)
{
	struct world *w = *state;

	assert_int_equal(
	    offer6(w, "08abcdef" CLIENT_ID6 SERVER_ID6 IA_OF("07", MK_GUEST6)), DROP_NONE);
	assert_reply6(w, "07abcdef" CLIENT_ID6 SERVER_ID6 "000d00020000" DNS6);
	assert_int_equal(
	    offer6(w, "09abcdef" CLIENT_ID6 SERVER_ID6 IA_OF("07", MK_GUEST6)), DROP_NONE);
	assert_reply6(w, "07abcdef" CLIENT_ID6 SERVER_ID6 "000d00020000" DNS6);
}

/* RFC 8415 16 */
static void messages_that_must_be_discarded_are(void **state)
{
	static const char *const texts[] = {
	    "01abcdef" IA("07"),                                     /* no client */
	    "01abcdef" CLIENT_ID6 SERVER_ID6 IA("07"),               /* a server in a solicit */
	    "03abcdef" CLIENT_ID6 IA("07"),                          /* no server in a request */
	    "03abcdef" SERVER_ID6 IA("07"),                          /* no client */
	    "03abcdef" CLIENT_ID6 "0002000a 00030001026d73000009",   /* another server */
	    "03abcdef" CLIENT_ID6 "00020009 00030001026d730000",     /* likewise */
	    "04abcdef" CLIENT_ID6 SERVER_ID6 IA_OF("07", MK_GUEST6), /* a server in a confirm */
	    "05abcdef" CLIENT_ID6 IA("07"),                          /* none in a renew */
	    "06abcdef" CLIENT_ID6 SERVER_ID6 IA("07"),               /* one in a rebind */
	    "06abcdef" IA("07"),                                     /* no client */
	    "08abcdef" CLIENT_ID6 IA("07"),                          /* no server in a release */
	    "09abcdef" CLIENT_ID6 IA("07"),                          /* none in a decline */
	    "0babcdef" CLIENT_ID6 IA("07"),                          /* an address wanted here */
	    "0babcdef" CLIENT_ID6 "0002000a 00030001026d73000009",   /* another server */
	    "07abcdef" CLIENT_ID6 SERVER_ID6,                        /* a server's message */
	    "01abcd",                                                /* cut off */
	};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(offer6(w, texts[i]), DROP_DHCP);
	assert_int_equal(w->x->count, 0);
}

/* P13; RFC 8415 18.4 */
static void dhcp6_is_for_the_guest_by_multicast(void **state)
{
	struct world *w = *state;

	assert_int_equal(offer6_from(w, MK_REMOTE6, ALL_SERVERS, "0b010203"), DROP_SRC_ADDR);
	assert_int_equal(offer6_from(w, MK_GATEWAY_LL, ALL_SERVERS, "0b010203"), DROP_SRC_ADDR);
	assert_int_equal(offer6_from(w, MK_GUEST_LL, MK_GATEWAY_LL, "0b010203"), DROP_DHCP);
	assert_int_equal(offer6_from(w, MK_GUEST6, MK_GATEWAY6, "0b010203"), DROP_DHCP);
	w->x->netif.cfg.has_v6 = false;
	assert_int_equal(offer6(w, "0b010203"), DROP_FAMILY_OFF);
	assert_int_equal(w->x->count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(discover_is_answered_by_an_offer_of_the_guests_address),
	    TEST(offer_is_broadcast_to_a_client_that_wants_it),
	    TEST(request_of_the_offered_address_is_acknowledged),
	    TEST(known_address_is_acknowledged_again),
	    TEST(request_of_another_address_is_refused_by_broadcast),
	    TEST(inform_is_answered_without_a_lease),
	    TEST(mtu_option_is_the_links),
	    TEST(messages_that_need_no_answer_get_none),
	    TEST(messages_that_are_not_the_guests_are_refused),
	    TEST(messages_longer_than_a_packet_are_refused),
	    TEST(reply_without_room_is_counted_as_lost),
	    TEST(information_request_is_answered_with_the_resolver),
	    TEST(solicit_is_answered_with_the_guests_address),
	    TEST(request_renew_and_rebind_give_the_guests_address),
	    TEST(another_address_is_withdrawn),
	    TEST(more_than_one_address_is_not_available),
	    TEST(confirm_says_whether_addresses_are_of_the_link),
	    TEST(release_and_decline_are_confirmed),
	    TEST(messages_that_must_be_discarded_are),
	    TEST(dhcp6_is_for_the_guest_by_multicast),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
