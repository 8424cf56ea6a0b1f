/* SPDX-License-Identifier: Apache-2.0 */
/* Reassembly: what is put together, what is refused, all its limits, and that every fragment is
 * accounted for. */
#include "rxnic.h"

#include "stack/reassembly.h"

enum {
	DATA_MAX = 65535, /* upper-layer bytes */
};

static const uint64_t second = 1000000000;

struct world {
	struct rxnic *x;
	struct reassembly r;
	struct icmp_out icmp;
	uint64_t now;
	uint64_t told;              /* drop reasons returned to us */
	bool has_sets;              /* memory for sets */
	bool has_buffers;           /* memory for their data */
	const struct packet *whole; /* what the last fragment completed */
	struct mk_frame staged;     /* the last fragment; overwritten before the result is read */
};

/* The linker's names. NOLINTBEGIN(readability-identifier-naming) */
void *__real_malloc(size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *old, size_t size);
/* NOLINTEND(readability-identifier-naming) */

static bool has_malloc = true;
static bool has_realloc = true;

void *__wrap_malloc(size_t size)
{
	return has_malloc ? __real_malloc(size) : NULL;
}

void *__wrap_realloc(void *old, size_t size)
{
	return has_realloc ? __real_realloc(old, size) : NULL;
}

/* The datagram that is cut into pieces: upper layer only. */
static uint8_t data[DATA_MAX + 8];

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->x = rxnic_new();
	w->now = 100 * second;
	w->has_sets = true;
	w->has_buffers = true;
	icmp_out_init(&w->icmp, &w->x->netif);
	reassembly_init(&w->r, &w->x->netif, &w->icmp);
	*state = w;
	return 0;
}

/* Each fragment is part of a whole, or has a reason. */
static void assert_accounts(const struct world *w, uint64_t in_wholes)
{
	uint64_t drops = w->told;

	for (int i = 0; i < DROP_REASON_COUNT; i++)
		drops += w->x->counters.drops[i];
	assert_int_equal(w->x->counters.fragments, drops + in_wholes);
}

static int teardown(void **state)
{
	struct world *w = *state;

	reassembly_on_time(&w->r, UINT64_MAX - 1);
	assert_int_equal(w->r.set_count, 0);
	assert_int_equal(w->r.memory, 0);
	assert_true(reassembly_next_ns(&w->r) == REASSEMBLY_NEVER);
	reassembly_fini(&w->r);
	rxnic_free(w->x);
	free(w);
	return 0;
}

static enum drop_reason offer(
    struct world *w, const uint8_t *bytes, size_t len, struct vnet_hdr vnet)
{
	struct packet p;
	enum drop_reason why;

	(void)mk_stage_split(&w->staged, bytes, len, len > 3000 ? len / 2 : 100);
	w->staged.frame.vnet = vnet;
	assert_int_equal(packet_parse(&w->staged.frame, &p), DROP_NONE);
	assert_true(p.is_fragment);
	has_malloc = w->has_sets;
	has_realloc = w->has_buffers;
	why = reassembly_on_fragment(&w->r, &p, w->now, &w->whole);
	has_malloc = true;
	has_realloc = true;
	mk_unstage(&w->staged); /* nothing of the frame may be used afterwards */
	if (why != DROP_NONE) {
		assert_null(w->whole);
		w->told++;
	}
	return why;
}

/* One piece of data as an IPv4 fragment. */
static enum drop_reason piece4_of(
    struct world *w, uint8_t proto, uint16_t id, size_t from, size_t to, bool has_more)
{
	static uint8_t f[DATA_MAX + 100];
	size_t l4 = mk_ip4(f, MK_GUEST4, MK_REMOTE4, proto, to - from, id,
	    (uint16_t)(from / 8 | (has_more ? 0x2000U : 0U)));

	assert_int_equal(from % 8, 0);
	memcpy(f + l4, data + from, to - from);
	return offer(w, f, l4 + to - from, (struct vnet_hdr){0});
}

static enum drop_reason piece4(struct world *w, uint16_t id, size_t from, size_t to, bool has_more)
{
	return piece4_of(w, 17, id, from, to, has_more);
}

static enum drop_reason piece6(struct world *w, uint32_t id, size_t from, size_t to, bool has_more)
{
	static uint8_t f[DATA_MAX + 100];
	size_t l4 = mk_ip6(f, MK_GUEST6, MK_REMOTE6, 44, 8 + to - from);

	(void)hex_put(f + l4, "1100 0000 0000 0000");
	mk16(f + l4 + 2, from | (has_more ? 1 : 0));
	mk16(f + l4 + 4, id >> 16);
	mk16(f + l4 + 6, id & 0xffff);
	memcpy(f + l4 + 8, data + from, to - from);
	return offer(w, f, l4 + 8 + to - from, (struct vnet_hdr){0});
}

/* Makes data a UDP datagram of len bytes, header included, with the checksum of that family. */
static void make_udp(const char *src, const char *dst, size_t len)
{
	static uint8_t f[DATA_MAX + 100];
	size_t l4 =
	    strlen(src) == 8 ? mk_ip4(f, src, dst, 17, len, 1, 0) : mk_ip6(f, src, dst, 17, len);

	(void)mk_udp(f, l4, 40000, 5000, len - 8, 3);
	memcpy(data, f + l4, len);
}

static void make_udp4(size_t len)
{
	make_udp(MK_GUEST4, MK_REMOTE4, len);
}

static void make_udp6(size_t len)
{
	make_udp(MK_GUEST6, MK_REMOTE6, len);
}

/* The datagram came out as it went in. */
static void assert_whole(struct world *w, size_t len, uint8_t family)
{
	const struct packet *p = w->whole;
	uint8_t *copy = malloc(len);

	assert_non_null(p);
	assert_int_equal(p->family, family);
	assert_false(p->is_fragment);
	assert_int_equal(p->l4_len, len);
	assert_int_equal(p->payload_len, len - 8);
	assert_int_equal(p->udp.src_port, 40000);
	assert_int_equal(p->udp.dst_port, 5000);
	assert_int_equal(p->frame->len, p->l4_off + len);
	frame_copy(p->frame, p->l4_off, copy, (uint32_t)len);
	assert_memory_equal(copy, data, len);
	free(copy);
}

/* E2 */
static void e2_datagram_of_8000_bytes_is_put_together(void **state)
{
	struct world *w = *state;
	struct ip_addr addr;
	size_t len = 8008;
	uint64_t pieces = 0;

	make_udp4(len);
	for (size_t from = 0; from < len; from += 1480) {
		size_t to = from + 1480 < len ? from + 1480 : len;

		assert_null(w->whole);
		assert_int_equal(piece4(w, 7, from, to, to < len), DROP_NONE);
		pieces++;
	}
	assert_whole(w, len, 4);
	rxnic_addr(&addr, MK_GUEST4);
	assert_true(ip_addr_eq(&w->whole->src, &addr));
	rxnic_addr(&addr, MK_REMOTE4);
	assert_true(ip_addr_eq(&w->whole->dst, &addr));
	assert_true(mac_addr_eq(&w->whole->eth_src, &w->x->netif.cfg.guest_mac));
	assert_true(mac_addr_eq(&w->whole->eth_dst, &w->x->netif.cfg.gateway_mac));
	assert_int_equal(w->whole->ttl, 64);
	assert_int_equal(w->whole->frag_id, 7);
	assert_int_equal(w->x->counters.reassembled, 1);
	assert_accounts(w, pieces);

	make_udp6(len);
	for (size_t from = 0; from < len; from += 1448) {
		size_t to = from + 1448 < len ? from + 1448 : len;

		assert_int_equal(piece6(w, 0xdeadbeef, from, to, to < len), DROP_NONE);
		pieces++;
	}
	assert_whole(w, len, 6);
	assert_int_equal(w->whole->ttl, 64);
	assert_int_equal(w->x->counters.reassembled, 2);
	assert_accounts(w, pieces);
}

/* E4, any order. */
static void e4_fragments_in_any_order_make_one_datagram(void **state)
{
	static const uint8_t orders[][4] = {{3, 2, 1, 0}, {3, 0, 1, 2}, {1, 0, 3, 2}, {2, 3, 0, 1},
	    {0, 2, 1, 3}, {0, 1, 2, 3}, {1, 3, 0, 2}};
	struct world *w = *state;
	size_t len = 3 * 1480 + 333;

	make_udp4(len);
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		for (size_t k = 0; k < 4; k++) {
			size_t from = (size_t)orders[i][k] * 1480;
			size_t to = from + 1480 < len ? from + 1480 : len;

			assert_int_equal(piece4(w, (uint16_t)i, from, to, to < len), DROP_NONE);
			assert_true((w->whole != NULL) == (k == 3));
		}
		assert_whole(w, len, 4);
	}
	assert_int_equal(w->r.set_count, 0);
	assert_accounts(w, 28);
}

static void datagrams_between_each_other_are_told_apart(void **state)
{
	struct world *w = *state;

	make_udp4(24);
	assert_int_equal(piece4(w, 1, 0, 16, true), DROP_NONE);
	assert_int_equal(piece4(w, 2, 0, 16, true), DROP_NONE);
	assert_int_equal(piece6(w, 1, 0, 16, true), DROP_NONE);
	assert_int_equal(piece4_of(w, 1, 1, 0, 16, true), DROP_NONE);
	assert_int_equal(w->r.set_count, 4);
	assert_int_equal(piece4(w, 2, 16, 24, false), DROP_NONE);
	assert_whole(w, 24, 4);
	assert_int_equal(w->whole->frag_id, 2);
	assert_int_equal(piece4(w, 1, 16, 24, false), DROP_NONE);
	assert_whole(w, 24, 4);
	assert_int_equal(w->whole->frag_id, 1);
	assert_int_equal(w->r.set_count, 2);
}

static void other_addresses_are_other_datagrams(void **state)
{
	struct world *w = *state;
	uint8_t f[200];
	size_t l4;

	make_udp4(24);
	assert_int_equal(piece4(w, 1, 0, 16, true), DROP_NONE);
	l4 = mk_ip4(f, MK_GUEST4, "c000020a", 17, 8, 1, 2);
	memcpy(f + l4, data + 16, 8);
	assert_int_equal(offer(w, f, l4 + 8, (struct vnet_hdr){0}), DROP_NONE);
	l4 = mk_ip4(f, "64600003", MK_REMOTE4, 17, 8, 1, 2);
	assert_int_equal(offer(w, f, l4 + 8, (struct vnet_hdr){0}), DROP_NONE);
	assert_null(w->whole);
	assert_int_equal(w->r.set_count, 3);
}

/* E3, P6: any overlap, of one byte or of all, from either side. */
static void e3_overlapping_fragments_drop_the_set(void **state)
{
	static const struct {
		size_t from;
		size_t to;
		bool has_more;
	} rows[] = {
	    {16, 32, true},  /* the same again */
	    {16, 24, true},  /* its start */
	    {24, 32, true},  /* its end */
	    {8, 24, true},   /* over its start */
	    {24, 40, true},  /* over its end */
	    {8, 40, true},   /* around it */
	    {8, 17, false},  /* by one byte */
	    {24, 64, false}, /* with the last piece */
	};
	struct world *w = *state;

	make_udp4(64);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint16_t id = (uint16_t)i;

		assert_int_equal(piece4(w, id, 16, 32, true), DROP_NONE);
		assert_int_equal(piece4(w, id, rows[i].from, rows[i].to, rows[i].has_more),
		    DROP_FRAGMENT_OVERLAP);
		/* The one that was held is counted by the reassembly, the other by its caller. */
		assert_int_equal(w->x->counters.drops[DROP_FRAGMENT_OVERLAP], i + 1);
		/* RFC 5722: nor do those that are still to come make a datagram. */
		assert_int_equal(piece4(w, id, 0, 16, true), DROP_FRAGMENT_OVERLAP);
		assert_int_equal(piece4(w, id, 16, 32, true), DROP_FRAGMENT_OVERLAP);
		assert_int_equal(piece4(w, id, 32, 64, false), DROP_FRAGMENT_OVERLAP);
	}
	assert_int_equal(w->x->counters.reassembled, 0);
	assert_int_equal(w->r.memory, 0);
	assert_accounts(w, 0);
	/* After its time the identification is free again. */
	w->now += 10 * second;
	reassembly_on_time(&w->r, w->now);
	assert_accounts(w, 0);
	assert_int_equal(piece4(w, 0, 0, 32, true), DROP_NONE);
	assert_int_equal(piece4(w, 0, 32, 64, false), DROP_NONE);
	assert_whole(w, 64, 4);
}

static void overlap_is_seen_among_many_pieces(void **state)
{
	struct world *w = *state;

	make_udp6(1000);
	for (size_t from = 0; from < 800; from += 32)
		assert_int_equal(piece6(w, 1, from, from + 16, true), DROP_NONE);
	/* Between them there is room; anything longer overlaps. */
	assert_int_equal(piece6(w, 1, 400, 416, true), DROP_NONE);
	assert_int_equal(piece6(w, 1, 592, 616, true), DROP_FRAGMENT_OVERLAP);
	assert_int_equal(w->x->counters.drops[DROP_FRAGMENT_OVERLAP], 26);
	assert_accounts(w, 0);
}

/* E3 */
static void e3_gap_is_never_filled_in(void **state)
{
	struct world *w = *state;

	make_udp4(64);
	assert_int_equal(piece4(w, 1, 0, 16, true), DROP_NONE);
	assert_int_equal(piece4(w, 1, 32, 64, false), DROP_NONE);
	assert_null(w->whole);
	w->now += 10 * second - 1;
	reassembly_on_time(&w->r, w->now);
	assert_int_equal(w->r.set_count, 1);
	w->now += 1;
	assert_true(reassembly_next_ns(&w->r) == w->now);
	reassembly_on_time(&w->r, w->now);
	assert_int_equal(w->r.set_count, 0);
	assert_int_equal(w->x->counters.drops[DROP_FRAGMENT_TIMEOUT], 2);
	assert_accounts(w, 0);
}

/* RFC 792, RFC 8200 4.5: the first fragment is quoted. */
static void timeout_is_told_if_the_first_fragment_was_there(void **state)
{
	static const uint8_t exceeded[] = {11, 1};
	static const uint8_t exceeded6[] = {3, 1};
	struct world *w = *state;
	struct rxnic *x = w->x;

	make_udp4(64);
	assert_int_equal(piece4(w, 1, 0, 16, true), DROP_NONE);
	assert_int_equal(piece4(w, 2, 16, 32, true), DROP_NONE);
	assert_int_equal(piece4(w, 3, 0, 16, true), DROP_NONE);
	assert_int_equal(piece4(w, 3, 8, 24, true), DROP_FRAGMENT_OVERLAP);
	w->now += 10 * second;
	reassembly_on_time(&w->r, w->now);
	assert_int_equal(x->count, 1);
	assert_int_equal(x->lens[0], 14 + 20 + 8 + 20 + 8);
	assert_memory_equal(x->frames[0] + 34, exceeded, 2);
	assert_memory_equal(x->frames[0] + 14 + 20 + 8 + 20, data, 8);

	make_udp6(1000);
	assert_int_equal(piece6(w, 1, 0, 496, true), DROP_NONE);
	w->now += 10 * second;
	reassembly_on_time(&w->r, w->now);
	assert_int_equal(x->count, 2);
	assert_int_equal(x->lens[1], 14 + 40 + 8 + 40 + 496);
	assert_memory_equal(x->frames[1] + 54, exceeded6, 2);
	assert_memory_equal(x->frames[1] + 14 + 40 + 8 + 40, data, 496);
	assert_accounts(w, 0);
}

/* RFC 1122 3.2.2: no error about an error. */
static void timeout_is_not_told_of_an_icmp_error(void **state)
{
	struct world *w = *state;

	make_udp4(64);
	data[0] = 3;
	assert_int_equal(piece4_of(w, 1, 1, 0, 16, true), DROP_NONE);
	w->now += 10 * second;
	reassembly_on_time(&w->r, w->now);
	assert_int_equal(w->x->count, 0);
	data[0] = 8; /* echo request */
	assert_int_equal(piece4_of(w, 1, 1, 0, 16, true), DROP_NONE);
	w->now += 10 * second;
	reassembly_on_time(&w->r, w->now);
	assert_int_equal(w->x->count, 1);
}

/* E3: absolute, not since the last fragment; and without a timer that fires in time. */
static void e3_set_lives_ten_seconds_from_its_first_fragment(void **state)
{
	struct world *w = *state;

	make_udp4(64);
	assert_int_equal(piece4(w, 1, 0, 16, true), DROP_NONE);
	w->now += 9 * second;
	assert_int_equal(piece4(w, 1, 16, 32, true), DROP_NONE);
	w->now += 1 * second;
	assert_int_equal(piece4(w, 1, 32, 64, false), DROP_NONE);
	assert_null(w->whole);
	assert_int_equal(w->x->counters.drops[DROP_FRAGMENT_TIMEOUT], 2);
	assert_int_equal(w->r.set_count, 1);
	assert_true(reassembly_next_ns(&w->r) == w->now + 10 * second);
}

/* E3 */
static void e3_sixty_fifth_set_displaces_the_oldest(void **state)
{
	struct world *w = *state;

	make_udp4(64);
	for (uint16_t id = 0; id < 64; id++) {
		assert_int_equal(piece4(w, id, 0, 32, true), DROP_NONE);
		w->now++;
	}
	assert_int_equal(w->x->counters.drops[DROP_FRAGMENT_LIMIT], 0);
	assert_int_equal(piece4(w, 64, 0, 32, true), DROP_NONE);
	assert_int_equal(w->r.set_count, 64);
	assert_int_equal(w->x->counters.drops[DROP_FRAGMENT_LIMIT], 1);
	assert_true(reassembly_next_ns(&w->r) == 101 * second + 1 + 9 * second);
	/* The second oldest is still there, the oldest is not. */
	assert_int_equal(piece4(w, 1, 32, 64, false), DROP_NONE);
	assert_whole(w, 64, 4);
	assert_int_equal(piece4(w, 0, 32, 64, false), DROP_NONE);
	assert_null(w->whole);
	assert_int_equal(w->r.set_count, 64);
	assert_accounts(w, 2 + 64);
	/* 64 sets hold what is neither: they are given back at the end. */
	w->now += 11 * second;
	reassembly_on_time(&w->r, w->now);
	assert_accounts(w, 2);
}

static void set_of_129_fragments_is_dropped(void **state)
{
	struct world *w = *state;
	const size_t len = 1032; /* 129 pieces */

	make_udp4(len);
	for (size_t i = 0; i < 128; i++)
		assert_int_equal(piece4(w, 1, i * 8, i * 8 + 8, true), DROP_NONE);
	assert_int_equal(piece4(w, 1, 1024, len, false), DROP_FRAGMENT_LIMIT);
	assert_null(w->whole);
	assert_int_equal(w->x->counters.drops[DROP_FRAGMENT_LIMIT], 128);
	assert_accounts(w, 0);
}

/* 128 fragments are allowed. */
static void set_of_128_fragments_is_put_together(void **state)
{
	struct world *w = *state;

	make_udp4(1024);
	for (size_t i = 128; i-- > 0;)
		assert_int_equal(piece4(w, 1, i * 8, i * 8 + 8, i < 127), DROP_NONE);
	assert_whole(w, 1024, 4);
}

static void memory_of_all_sets_is_bounded(void **state)
{
	struct world *w = *state;

	make_udp4(65000);
	for (uint16_t id = 0; id < 200; id++) {
		/* Last pieces first: each wants a buffer of its full size. */
		assert_int_equal(piece4(w, id, 64000, 65000, false), DROP_NONE);
		assert_true(w->r.memory <= REASSEMBLY_MEMORY_MAX);
		assert_true(w->r.set_count >= (id < 15 ? id + 1U : 15U));
	}
	/* What was displaced is counted; the newest are all right. */
	assert_int_equal(w->x->counters.drops[DROP_FRAGMENT_LIMIT], 200 - w->r.set_count);
	assert_int_equal(piece4(w, 199, 0, 64000, true), DROP_NONE);
	assert_whole(w, 65000, 4);
	reassembly_release(&w->r);
	w->now += 11 * second;
	reassembly_on_time(&w->r, w->now);
	assert_accounts(w, 2);
}

/* A growing set displaces others, but never itself. */
static void growing_set_displaces_others(void **state)
{
	struct world *w = *state;

	make_udp4(65000);
	assert_int_equal(piece4(w, 1000, 0, 8, true), DROP_NONE); /* the oldest */
	for (uint16_t id = 0; id < 16; id++)
		assert_int_equal(piece4(w, id, 64000, 65000, false), DROP_NONE);
	assert_int_equal(w->x->counters.drops[DROP_FRAGMENT_LIMIT], 0);
	assert_int_equal(piece4(w, 1000, 8, 64000, true), DROP_NONE);
	assert_true(w->r.memory <= REASSEMBLY_MEMORY_MAX);
	assert_int_equal(piece4(w, 1000, 64000, 65000, false), DROP_NONE);
	assert_whole(w, 65000, 4);
	assert_true(w->x->counters.drops[DROP_FRAGMENT_LIMIT] > 0);
}

/* No datagram needs more, however its buffer has grown. */
static void buffer_of_one_set_is_bounded(void **state)
{
	struct world *w = *state;

	make_udp4(65515);
	for (size_t from = 0; from < 65512; from += 1480) {
		size_t to = from + 1480 < 65512 ? from + 1480 : 65512;

		assert_int_equal(piece4(w, 1, from, to, true), DROP_NONE);
		assert_true(w->r.memory <= 14 + 65535);
		assert_true(w->r.memory <= 3 * (to + 4096));
	}
	assert_int_equal(piece4(w, 1, 65512, 65515, false), DROP_NONE);
	assert_whole(w, 65515, 4);
}

/* P6: more than 64 KiB; exactly as much is fine. */
static void datagrams_end_at_64_kib(void **state)
{
	struct world *w = *state;

	make_udp4(65515);
	assert_int_equal(piece4(w, 1, 0, 65512, true), DROP_NONE);
	assert_int_equal(piece4(w, 1, 65512, 65515, false), DROP_NONE);
	assert_whole(w, 65515, 4);
	assert_int_equal(w->whole->frame->len, 14 + 65535);
	assert_int_equal(piece4(w, 2, 0, 65512, true), DROP_NONE);
	assert_int_equal(piece4(w, 2, 65512, 65516, false), DROP_FRAGMENT);
	assert_int_equal(w->x->counters.drops[DROP_FRAGMENT], 1);
	assert_int_equal(piece4(w, 3, 65528, 65536, true), DROP_FRAGMENT);

	make_udp6(65535);
	assert_int_equal(piece6(w, 1, 0, 65520, true), DROP_NONE);
	assert_int_equal(piece6(w, 1, 65520, 65535, false), DROP_NONE);
	assert_whole(w, 65535, 6);
	assert_int_equal(piece6(w, 2, 65528, 65536, false), DROP_FRAGMENT);
}

/* P6: the whole header must be in the first piece. */
static void tiny_first_fragment_is_refused(void **state)
{
	struct world *w = *state;

	make_udp4(64);
	for (size_t n = 1; n < 8; n++)
		assert_int_equal(piece4(w, (uint16_t)n, 0, n, true), DROP_FRAGMENT);
	assert_int_equal(piece4(w, 9, 0, 8, true), DROP_NONE);
	assert_int_equal(w->r.set_count, 1);
}

static void piece_lengths_are_checked(void **state)
{
	struct world *w = *state;

	make_udp4(64);
	assert_int_equal(piece4(w, 1, 0, 17, true), DROP_FRAGMENT);
	assert_int_equal(piece4(w, 1, 8, 8, true), DROP_FRAGMENT);
	assert_int_equal(piece4(w, 1, 8, 8, false), DROP_FRAGMENT);
	assert_int_equal(w->r.set_count, 0);
	/* A bad piece ends the set that it belongs to. */
	assert_int_equal(piece4(w, 1, 0, 16, true), DROP_NONE);
	assert_int_equal(piece4(w, 1, 16, 33, true), DROP_FRAGMENT);
	assert_int_equal(piece4(w, 1, 16, 64, false), DROP_FRAGMENT);
	assert_int_equal(w->x->counters.drops[DROP_FRAGMENT], 1);
	assert_accounts(w, 0);
}

/* What is said of the end must be the same each time. */
static void contradicting_ends_drop_the_set(void **state)
{
	struct world *w = *state;

	make_udp4(64);
	/* Two last pieces. */
	assert_int_equal(piece4(w, 1, 32, 48, false), DROP_NONE);
	assert_int_equal(piece4(w, 1, 48, 64, false), DROP_FRAGMENT);
	/* A last piece before one that is held. */
	assert_int_equal(piece4(w, 2, 32, 48, true), DROP_NONE);
	assert_int_equal(piece4(w, 2, 16, 32, false), DROP_FRAGMENT);
	/* More behind the last one. */
	assert_int_equal(piece4(w, 3, 16, 32, false), DROP_NONE);
	assert_int_equal(piece4(w, 3, 32, 48, true), DROP_FRAGMENT);
	/* A last piece before the last one. */
	assert_int_equal(piece4(w, 4, 32, 48, false), DROP_NONE);
	assert_int_equal(piece4(w, 4, 16, 32, false), DROP_FRAGMENT);
	assert_int_equal(w->x->counters.drops[DROP_FRAGMENT], 4);
	assert_accounts(w, 0);
}

static void only_udp_and_icmp_are_put_together(void **state)
{
	struct world *w = *state;
	uint8_t f[200];
	size_t l4;

	make_udp4(64);
	assert_int_equal(piece4_of(w, 6, 1, 0, 32, true), DROP_FRAGMENT);
	assert_int_equal(piece4_of(w, 58, 1, 0, 32, true), DROP_FRAGMENT);
	assert_int_equal(piece4_of(w, 47, 1, 0, 32, true), DROP_FRAGMENT);
	/* P6: an extension header behind the fragment header. */
	l4 = mk_ip6(f, MK_GUEST6, MK_REMOTE6, 44, 24);
	(void)hex_put(f + l4, "3c00000100000001 11000104 00000000 0000000000000000");
	assert_int_equal(offer(w, f, l4 + 24, (struct vnet_hdr){0}), DROP_FRAGMENT);
	/* ... or another fragment header. */
	f[l4] = 44;
	assert_int_equal(offer(w, f, l4 + 24, (struct vnet_hdr){0}), DROP_FRAGMENT);
	/* ICMP of the other family. */
	f[l4] = 1;
	assert_int_equal(offer(w, f, l4 + 24, (struct vnet_hdr){0}), DROP_FRAGMENT);
	assert_int_equal(w->r.set_count, 0);
}

/* P18: a fragment cannot ask for segmentation or an unfinished checksum. */
static void fragments_with_offload_are_refused(void **state)
{
	struct world *w = *state;
	uint8_t f[200];
	size_t l4 = mk_ip4(f, MK_GUEST4, MK_REMOTE4, 17, 16, 1, 0x2000);

	assert_int_equal(
	    offer(w, f, l4 + 16, (struct vnet_hdr){.gso_type = VNET_GSO_USO, .gso_size = 8}),
	    DROP_VNET);
	assert_int_equal(
	    offer(w, f, l4 + 16,
		(struct vnet_hdr){.flags = VNET_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6}),
	    DROP_VNET);
	assert_int_equal(
	    offer(w, f, l4 + 16, (struct vnet_hdr){.flags = VNET_F_DATA_VALID}), DROP_NONE);
}

static void whole_datagram_is_checked_like_any_other(void **state)
{
	struct world *w = *state;

	/* Checksum over all pieces. */
	make_udp4(64);
	data[40] ^= 1;
	assert_int_equal(piece4(w, 1, 0, 32, true), DROP_NONE);
	assert_int_equal(piece4(w, 1, 32, 64, false), DROP_L4_CHECKSUM);
	assert_int_equal(w->x->counters.drops[DROP_L4_CHECKSUM], 1);
	/* Reference 1.6.11: the length field is the total. */
	make_udp4(56);
	assert_int_equal(piece4(w, 2, 0, 32, true), DROP_NONE);
	assert_int_equal(piece4(w, 2, 32, 64, false), DROP_FRAGMENT);
	make_udp4(64);
	mk16(data + 4, 65);
	assert_int_equal(piece4(w, 3, 0, 32, true), DROP_NONE);
	assert_int_equal(piece4(w, 3, 32, 64, false), DROP_L4_HEADER);
	assert_int_equal(w->r.set_count, 0);
	assert_int_equal(w->x->counters.reassembled, 0);
	assert_accounts(w, 0);
}

/* Fills in an echo message of len bytes and its checksum. */
static void make_icmp4(uint8_t type, size_t len)
{
	memset(data, 0x33, len);
	(void)hex_put(data, "0000 0000 1234 0007");
	data[0] = type;
	mk16(data + 2, ~mk_sum(0, data, len) & 0xffff);
}

static void echo_request_is_put_together(void **state)
{
	struct world *w = *state;

	make_icmp4(8, 3008);
	assert_int_equal(piece4_of(w, 1, 1, 0, 1480, true), DROP_NONE);
	assert_int_equal(piece4_of(w, 1, 1, 2960, 3008, false), DROP_NONE);
	assert_int_equal(piece4_of(w, 1, 1, 1480, 2960, true), DROP_NONE);
	assert_non_null(w->whole);
	assert_int_equal(w->whole->icmp.type, 8);
	assert_int_equal(w->whole->icmp.id, 0x1234);
	assert_int_equal(w->whole->icmp.seq, 7);
	assert_int_equal(w->whole->payload_len, 3000);
}

/* RFC 6980: neighbour discovery never comes in fragments. */
static void other_icmp_is_not_put_together(void **state)
{
	struct world *w = *state;
	uint8_t f[200];
	size_t l4 = mk_ip6(f, MK_GUEST_LL, MK_GATEWAY_LL, 58, 24);

	make_icmp4(0, 64);
	assert_int_equal(piece4_of(w, 1, 1, 0, 32, true), DROP_NONE);
	assert_int_equal(piece4_of(w, 1, 1, 32, 64, false), DROP_FRAGMENT);

	/* A neighbour solicitation of 24 bytes in two fragments. */
	(void)hex_put(f + l4, "8700 0000 00000000" MK_GATEWAY_LL);
	mk16(f + l4 + 2, mk_l4_sum(f, l4, 24, 58));
	memcpy(data, f + l4, 24);
	(void)mk_ip6(f, MK_GUEST_LL, MK_GATEWAY_LL, 44, 24);
	(void)hex_put(f + l4, "3a00 0001 00000001");
	memcpy(f + l4 + 8, data, 16);
	assert_int_equal(offer(w, f, l4 + 24, (struct vnet_hdr){0}), DROP_NONE);
	(void)mk_ip6(f, MK_GUEST_LL, MK_GATEWAY_LL, 44, 16);
	(void)hex_put(f + l4, "3a00 0010 00000001");
	memcpy(f + l4 + 8, data + 16, 8);
	assert_int_equal(offer(w, f, l4 + 16, (struct vnet_hdr){0}), DROP_FRAGMENT);
	assert_int_equal(w->x->counters.drops[DROP_FRAGMENT], 2);
	assert_accounts(w, 0);
}

/* The reassembled packet can be answered by an ICMP error or a flow: DF is kept for E5. */
static void header_fields_of_the_last_fragment_are_kept(void **state)
{
	struct world *w = *state;
	uint8_t f[200];
	size_t l4;

	make_udp4(32);
	l4 = mk_ip4(f, MK_GUEST4, MK_REMOTE4, 17, 16, 5, 0x6000);
	memcpy(f + l4, data, 16);
	assert_int_equal(offer(w, f, l4 + 16, (struct vnet_hdr){0}), DROP_NONE);
	l4 = mk_ip4(f, MK_GUEST4, MK_REMOTE4, 17, 16, 5, 0x4002);
	memcpy(f + l4, data + 16, 16);
	f[22] = 9;
	mk_ip4_csum(f);
	assert_int_equal(offer(w, f, l4 + 16, (struct vnet_hdr){0}), DROP_NONE);
	assert_whole(w, 32, 4);
	assert_true(w->whole->has_df);
	assert_int_equal(w->whole->ttl, 9);
}

static void memory_is_given_back_by_release_and_by_fini(void **state)
{
	struct world *w = *state;

	make_udp4(64);
	assert_int_equal(piece4(w, 1, 0, 32, true), DROP_NONE);
	assert_true(w->r.memory > 0);
	assert_int_equal(piece4(w, 1, 32, 64, false), DROP_NONE);
	assert_int_equal(w->r.memory, 0);
	assert_non_null(w->r.whole_bytes);
	reassembly_release(&w->r);
	assert_null(w->r.whole_bytes);
	reassembly_release(&w->r);
	/* What is left over is the leak sanitizer's to find. */
	assert_int_equal(piece4(w, 2, 0, 32, true), DROP_NONE);
	assert_int_equal(piece4(w, 2, 32, 64, false), DROP_NONE);
	assert_int_equal(piece4(w, 3, 0, 32, true), DROP_NONE);
	reassembly_fini(&w->r);
	reassembly_init(&w->r, &w->x->netif, &w->icmp);
}

/* Without memory fragments are dropped, nothing else happens, and later ones are fine. */
static void failing_allocations_drop_the_set(void **state)
{
	struct world *w = *state;

	make_udp4(8000);
	w->has_sets = false;
	assert_int_equal(piece4(w, 1, 0, 1480, true), DROP_NO_MEMORY);
	assert_int_equal(w->r.set_count, 0);
	w->has_sets = true;
	w->has_buffers = false;
	assert_int_equal(piece4(w, 1, 0, 1480, true), DROP_NO_MEMORY);
	assert_int_equal(w->r.memory, 0);
	/* In the middle of a datagram: what was held is lost. */
	w->has_buffers = true;
	assert_int_equal(piece4(w, 2, 0, 1480, true), DROP_NONE);
	w->has_buffers = false;
	assert_int_equal(piece4(w, 2, 1480, 6400, true), DROP_NO_MEMORY);
	assert_int_equal(w->x->counters.drops[DROP_NO_MEMORY], 1);
	assert_int_equal(w->r.memory, 0);
	w->has_buffers = true;
	assert_int_equal(piece4(w, 2, 6400, 8000, false), DROP_NO_MEMORY);
	assert_accounts(w, 0);
	assert_int_equal(piece4(w, 3, 0, 6400, true), DROP_NONE);
	assert_int_equal(piece4(w, 3, 6400, 8000, false), DROP_NONE);
	assert_whole(w, 8000, 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(e2_datagram_of_8000_bytes_is_put_together),
	    TEST(e4_fragments_in_any_order_make_one_datagram),
	    TEST(datagrams_between_each_other_are_told_apart),
	    TEST(other_addresses_are_other_datagrams),
	    TEST(e3_overlapping_fragments_drop_the_set),
	    TEST(overlap_is_seen_among_many_pieces),
	    TEST(e3_gap_is_never_filled_in),
	    TEST(timeout_is_told_if_the_first_fragment_was_there),
	    TEST(timeout_is_not_told_of_an_icmp_error),
	    TEST(e3_set_lives_ten_seconds_from_its_first_fragment),
	    TEST(e3_sixty_fifth_set_displaces_the_oldest),
	    TEST(set_of_129_fragments_is_dropped),
	    TEST(set_of_128_fragments_is_put_together),
	    TEST(memory_of_all_sets_is_bounded),
	    TEST(growing_set_displaces_others),
	    TEST(buffer_of_one_set_is_bounded),
	    TEST(datagrams_end_at_64_kib),
	    TEST(tiny_first_fragment_is_refused),
	    TEST(piece_lengths_are_checked),
	    TEST(contradicting_ends_drop_the_set),
	    TEST(only_udp_and_icmp_are_put_together),
	    TEST(fragments_with_offload_are_refused),
	    TEST(whole_datagram_is_checked_like_any_other),
	    TEST(echo_request_is_put_together),
	    TEST(other_icmp_is_not_put_together),
	    TEST(header_fields_of_the_last_fragment_are_kept),
	    TEST(failing_allocations_drop_the_set),
	    TEST(memory_is_given_back_by_release_and_by_fini),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
