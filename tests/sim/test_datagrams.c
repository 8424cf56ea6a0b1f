/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams through a whole engine: bursts lose nothing and keep their order (behaviours.md E12), large ones go through in
 * fragments both ways (E2), in any order of these (E4), and what breaks the rules of fragments leaves nothing outside (E3;
 * threats.md P6).
 */
#include "sim_test.h"

enum {
	BURST = 255, /* datagrams; the n-th has n bytes */
	LARGE = 8000,
	SEED = 3,
};

struct traffic {
	struct sim_world *w;
	struct sim_sock *sock; /* the last that the engine has sent to */
	uint32_t out;          /* datagrams that have left */
	uint32_t out_len;      /* of the last */
	uint32_t disordered;   /* not one byte longer than the one before, either way */
	uint32_t in;           /* datagrams, and last fragments, to the guest */
	uint32_t in_len;       /* of the last datagram, or of all fragments with their UDP header */
};

static void on_datagram(void *ctx, struct sim_sock *s, const struct sim_sent_datagram *d)
{
	struct traffic *t = ((struct sim_world *)ctx)->ctx;

	t->sock = s;
	t->out++;
	t->disordered += d->len != t->out_len + 1;
	t->out_len = d->len;
	assert_true(sim_pattern_check(SEED, 0, d->bytes, d->len));
}

static void on_packet(void *ctx, const struct sim_packet *p)
{
	struct traffic *t = ((struct sim_world *)ctx)->ctx;

	if (p->family == 0 || p->proto != 17)
		return;
	if (p->has_frag) {
		assert_true(p->l4_len + (p->family == 4 ? SIM_IP4 : SIM_IP6 + 8) <= 1500);
		assert_int_equal(p->frag_off, t->in_len);
		t->in_len += p->l4_len;
		t->in += !p->has_more;
		return;
	}
	t->disordered += p->payload_len != t->in_len + 1;
	t->in_len = p->payload_len;
	t->in++;
}

static void begin(struct traffic *t, const struct sim_config *cfg)
{
	*t = (struct traffic){.w = sim_test_world(cfg)};
	t->w->ctx = t;
	t->w->host.on_datagram = on_datagram;
	t->w->guest.on_packet = on_packet;
}

static void settle(struct traffic *t)
{
	if (!sim_world_run(t->w, t->w->sim.now_ns + SIM_S))
		fail_msg("%s", t->w->sim.failure);
}

static struct sim_packet packet_of(struct traffic *t, uint8_t family)
{
	struct ip_addr to = ip_addr_v4(0xcb007107);
	struct sim_packet p;

	if (family == 6)
		assert_int_equal(ip_addr_parse("2001:db8::7", &to), 0);
	p = sim_guest_packet(&t->w->guest, &to, family, 17);
	p.src_port = 5000;
	p.dst_port = 7000;
	return p;
}

static void send_small(struct traffic *t, uint8_t family, uint32_t len)
{
	struct sim_packet p = packet_of(t, family);

	p.payload_len = len;
	sim_world_inject(t->w, sim_build_udp(&p, SEED, 0));
}

/* E12: 255 at once, each way; also where the guest's ring is short: then they wait in the host's socket. */
static void bursts_lose_nothing_and_keep_their_order(void **state)
{
	static const uint8_t zeros[BURST];

	(void)state;
	for (uint32_t depth = 256; depth >= 4; depth /= 8) {
		struct sim_config cfg = sim_config_defaults(1);
		struct traffic t;

		cfg.nic.rx_depth = depth;
		cfg.guest_batch = 4;
		begin(&t, &cfg);
		for (uint32_t n = 1; n <= BURST; n++)
			send_small(&t, depth == 32 ? 6 : 4, n);
		settle(&t);
		assert_int_equal(t.out, BURST);
		for (uint32_t n = 1; n <= BURST; n++)
			sim_peer_datagram(t.sock, NULL, 0, zeros, n, 0);
		settle(&t);
		assert_int_equal(t.in, BURST);
		assert_int_equal(t.disordered, 0);
		sim_test_end(t.w);
	}
}

/* ---- fragments ---- */

struct piece {
	uint32_t from;
	uint32_t len;
	bool is_last;
	bool is_odd; /* with other bytes */
};

/* The pieces, in this order, of a datagram of LARGE bytes. */
static void send_pieces(
    struct traffic *t, uint8_t family, uint32_t id, const struct piece *pieces, uint32_t count)
{
	struct sim_packet p = packet_of(t, family);
	uint8_t l4[8 + LARGE] = {0};

	sim_put16(l4, p.src_port);
	sim_put16(l4 + 2, p.dst_port);
	sim_put16(l4 + 4, sizeof(l4));
	sim_pattern_fill(SEED, 0, l4 + 8, LARGE);
	sim_fill_csum(&p, l4, sizeof(l4), 6);
	p.has_frag = true;
	p.frag_id = id;
	p.ip_id = (uint16_t)id;
	for (uint32_t i = 0; i < count; i++) {
		struct sim_frame *f;

		p.frag_off = pieces[i].from;
		p.has_more = !pieces[i].is_last;
		f = sim_build_ip(&p, l4 + pieces[i].from, pieces[i].len);
		if (pieces[i].is_odd)
			f->bytes[f->len - 1] ^= 1;
		sim_world_inject(t->w, f);
	}
	settle(t);
}

static const struct piece in_order[] = {{.from = 0, .len = 1480}, {.from = 1480, .len = 1480},
    {.from = 2960, .len = 1480}, {.from = 4440, .len = 1480}, {.from = 5920, .len = 1480},
    {.from = 7400, .len = 608, .is_last = true}};

enum {
	PIECES = sizeof(in_order) / sizeof(in_order[0]),
};

/* E2: whole outside, in fragments of the guest's MTU back. */
static void large_datagrams_go_in_fragments_both_ways(void **state)
{
	static const uint8_t zeros[LARGE];

	(void)state;
	for (uint8_t family = 4; family <= 6; family += 2) {
		struct sim_config cfg = sim_config_defaults(1);
		struct piece pieces[PIECES];
		struct traffic t;

		begin(&t, &cfg);
		memcpy(pieces, in_order, sizeof(pieces));
		send_pieces(&t, family, 1, pieces, PIECES);
		assert_int_equal(t.out, 1);
		assert_int_equal(t.out_len, LARGE);
		sim_peer_datagram(t.sock, NULL, 0, zeros, LARGE, 0);
		settle(&t);
		assert_int_equal(t.in, 1);
		assert_int_equal(t.in_len, 8 + LARGE);
		sim_test_end(t.w);
	}
}

/* E4: last first, and any other order: delivered once. */
static void fragments_may_come_in_any_order(void **state)
{
	struct sim_config cfg = sim_config_defaults(1);
	struct traffic t;

	(void)state;
	begin(&t, &cfg);
	for (uint32_t n = 0; n < 200; n++) {
		struct piece pieces[PIECES];

		for (uint32_t i = 0; i < PIECES; i++)
			pieces[i] = in_order[PIECES - 1 - i];
		for (uint32_t i = PIECES; n > 0 && i > 1; i--) {
			uint32_t k = (uint32_t)sim_random_below(&t.w->sim, i);
			struct piece swapped = pieces[k];

			pieces[k] = pieces[i - 1];
			pieces[i - 1] = swapped;
		}
		send_pieces(&t, n % 2 == 0 ? 4 : 6, n, pieces, PIECES);
		assert_int_equal(t.out, n + 1);
		assert_int_equal(t.out_len, LARGE);
	}
	sim_test_end(t.w);
}

/* E3: nothing outside, neither at once nor later, and what is held goes away. */
static void fragments_that_break_rules_leave_nothing_outside(void **state)
{
	static const struct {
		const char *what;
		struct piece extra; /* sent before the last piece */
		enum drop_reason why;
	} rows[] = {
	    {"a piece again", {.from = 1480, .len = 1480}, DROP_FRAGMENT_OVERLAP},
	    {"a piece again, other bytes", {.from = 1480, .len = 1480, .is_odd = true},
		DROP_FRAGMENT_OVERLAP},
	    {"one byte of overlap", {.from = 1472, .len = 8}, DROP_FRAGMENT_OVERLAP},
	    {"the first piece again, tiny", {.from = 0, .len = 8}, DROP_FRAGMENT_OVERLAP},
	    {"an end before the end", {.from = 2960, .len = 8, .is_last = true},
		DROP_FRAGMENT_OVERLAP},
	    {"no whole eights", {.from = 7400, .len = 7}, DROP_FRAGMENT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (uint8_t family = 4; family <= 6; family += 2) {
			struct sim_config cfg = sim_config_defaults(1);
			struct piece pieces[PIECES + 1];
			struct traffic t;

			begin(&t, &cfg);
			memcpy(pieces, in_order, sizeof(in_order));
			pieces[PIECES] = pieces[PIECES - 1];
			pieces[PIECES - 1] = rows[i].extra;
			send_pieces(&t, family, 1, pieces, PIECES + 1);
			if (t.out > 0 || t.w->counters.drops[rows[i].why] == 0)
				sim_fail(
				    &t.w->sim, "%s: IPv%u: %u left", rows[i].what, family, t.out);
			(void)sim_world_run(t.w, t.w->sim.now_ns + 100 * SIM_S);
			assert_int_equal(t.out, 0);
			/* The next one with the same identifier is right. */
			send_pieces(&t, family, 1, in_order, PIECES);
			assert_int_equal(t.out, 1);
			sim_test_end(t.w);
		}
}

/* E3: a gap; more than 64 sets; older than 10 s. */
static void incomplete_sets_are_bounded_in_number_and_time(void **state)
{
	struct sim_config cfg = sim_config_defaults(1);
	struct traffic t;

	(void)state;
	begin(&t, &cfg);
	for (uint32_t id = 1; id <= 100; id++) {
		struct sim_packet p = packet_of(&t, 4);
		uint8_t l4[1480] = {0};

		p.has_frag = p.has_more = true;
		p.ip_id = (uint16_t)id;
		sim_world_inject(t.w, sim_build_ip(&p, l4, sizeof(l4)));
	}
	settle(&t);
	assert_int_equal(t.w->counters.drops[DROP_FRAGMENT_LIMIT], 100 - 64);
	assert_int_equal(t.w->counters.drops[DROP_FRAGMENT_TIMEOUT], 0);
	(void)sim_world_run(t.w, t.w->sim.now_ns + 12 * SIM_S);
	assert_int_equal(t.w->counters.drops[DROP_FRAGMENT_TIMEOUT], 64);
	/* All but the last piece are too late. */
	send_pieces(&t, 4, 200, in_order, PIECES - 1);
	(void)sim_world_run(t.w, t.w->sim.now_ns + 12 * SIM_S);
	send_pieces(&t, 4, 200, in_order + PIECES - 1, 1);
	assert_int_equal(t.out, 0);
	sim_test_end(t.w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bursts_lose_nothing_and_keep_their_order),
	    cmocka_unit_test(large_datagrams_go_in_fragments_both_ways),
	    cmocka_unit_test(fragments_may_come_in_any_order),
	    cmocka_unit_test(fragments_that_break_rules_leave_nothing_outside),
	    cmocka_unit_test(incomplete_sets_are_bounded_in_number_and_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
