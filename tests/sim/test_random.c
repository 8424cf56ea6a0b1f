/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worlds by lot: frame devices, links, guests, remote programs and ways to end a connection, mixed by a
 * seed. What must hold in each is in sim_world.h; a failure prints the seed.
 *
 *	SIM_RUNS=100000 test_sim_random     more of them
 *	SIM_SEED=17 SIM_TRACE=1 ...         this one, with its frames
 */
#include <stdio.h>

#include "sim_test.h"

enum {
	RUNS_DEFAULT = 1500,
	CONNS_MAX = 6,
};

static struct sim *dice;

static uint64_t below(uint64_t n)
{
	return sim_random_below(dice, n);
}

static bool chance(uint32_t percent)
{
	return sim_chance(dice, 10 * percent);
}

/* Between 1 and max, every order of magnitude equally likely. */
static uint64_t some(uint64_t max)
{
	uint64_t v = max >> below(64 - (uint64_t)__builtin_clzll(max));

	return v > 1 ? 1 + below(v) : 1;
}

static void choose_nic(struct sim_nic_config *n)
{
	static const uint32_t features[] = {0, NIC_F_CSUM, NIC_F_CSUM | NIC_F_TSO4 | NIC_F_TSO6,
	    NIC_F_CSUM | NIC_F_TSO4 | NIC_F_TSO6 | NIC_F_USO};

	n->features = features[below(4)];
	n->is_level = chance(50);
	n->batch_max = (uint32_t)(1 + below(NIC_BATCH_MAX));
	n->rx_depth = chance(40) ? (uint32_t)(1 + below(6)) : 256;
	n->rx_piece = chance(30) ? (uint32_t)some(4096) : 0;
	n->tx_depth = chance(30) ? (uint32_t)(1 + below(4)) : 256;
	n->tx_piece = chance(30) ? (uint32_t)some(4096) : 0;
}

static void choose_link(struct sim_impair *i, bool is_lossy)
{
	i->delay_ns = some(100 * SIM_US);
	i->jitter_ns = chance(30) ? some(50 * SIM_US) : 0;
	if (!is_lossy)
		return;
	i->loss_permille = chance(60) ? (uint32_t)some(200) : 0;
	i->dup_permille = chance(30) ? (uint32_t)some(200) : 0;
	i->reorder_permille = chance(30) ? (uint32_t)some(300) : 0;
	i->reorder_ns = some(500 * SIM_US);
}

static void choose_world(struct sim_config *c, bool is_lossy)
{
	static const uint16_t mtus[] = {1280, 1500, 9000, 65520};

	c->mtu = mtus[below(4)];
	choose_nic(&c->nic);
	choose_link(&c->tx, is_lossy);
	choose_link(&c->rx, is_lossy);
	c->is_segmented = chance(30);
	c->guest_batch = (uint32_t)some(64);
	c->guest_poll_ns = some(20 * SIM_US);
	c->wake_ns = some(50 * SIM_US);
	c->pass_ns = some(20 * SIM_US);
	c->host_batch = chance(30) ? (uint32_t)(1 + below(3)) : 0;
	c->has_no_peek_offset = chance(30);
	if (is_lossy)
		c->keepalive_ns = 30 * SIM_S;
}

static void choose_program(struct sim_app_plan *p, uint64_t size)
{
	p->seed = (uint32_t)below(1000);
	p->send_len = chance(15) ? 0 : some(size);
	p->send_chunk = chance(40) ? (uint32_t)some(size) : 0;
	if (p->send_len / 300 > p->send_chunk)
		p->send_chunk = 0;
	p->send_gap_ns = chance(30) ? some(3 * SIM_MS) : 0;
	p->read_chunk = chance(30) ? (uint32_t)some(size) : 0;
	if (size / 300 > p->read_chunk)
		p->read_chunk = 0;
	p->read_gap_ns = p->read_chunk > 0 && chance(50) ? some(SIM_MS) : 0;
	if (chance(15)) {
		p->stall_at = below(size);
		p->stall_ns = some(3 * SIM_S);
	}
	p->close = chance(50) ? SIM_CLOSE_SENT : SIM_CLOSE_EOF;
	p->close_delay_ns = chance(20) ? some(5 * SIM_MS) : 0;
	if (chance(7)) {
		p->close = chance(50) ? SIM_RESET_SENT : SIM_RESET_RECEIVED;
		p->close_at = below(size);
	}
}

/* Never do both wait for the other. */
static void settle(struct sim_app_plan *guest, struct sim_app_plan *remote)
{
	if (chance(25) && remote->send_len > 0) {
		guest->start = SIM_START_RECEIVED;
		guest->start_at = 1 + below(remote->send_len);
	} else if (chance(25) && guest->send_len > 0) {
		remote->start = SIM_START_RECEIVED;
		remote->start_at = 1 + below(guest->send_len);
	} else if (chance(20)) {
		remote->start = SIM_START_EOF;
	}
	if (remote->start == SIM_START_EOF && guest->close != SIM_RESET_SENT)
		guest->close = SIM_CLOSE_SENT;
	if (guest->close == SIM_CLOSE_EOF && remote->close == SIM_CLOSE_EOF)
		guest->close = SIM_CLOSE_SENT;
	if (guest->close == SIM_RESET_RECEIVED && guest->close_at > remote->send_len)
		guest->close_at = remote->send_len;
	if (remote->close == SIM_RESET_RECEIVED && remote->close_at > guest->send_len)
		remote->close_at = guest->send_len;
}

static struct sim_conn_spec choose_conn(const struct sim_config *cfg)
{
	struct sim_conn_spec s = sim_conn_defaults(cfg, chance(50) ? 4 : 6);
	uint64_t size = some(1 << 18);

	if (chance(30))
		s.tcp.mss = (uint16_t)(536 + below(s.tcp.mss - 535U));
	s.tcp.wscale = chance(20) ? -1 : (int)below(15);
	s.tcp.rcvbuf = chance(50) ? (uint32_t)(s.tcp.mss + some(1 << 18)) : 1 << 20;
	s.tcp.sndbuf = chance(50) ? (uint32_t)(1000 + some(1 << 18)) : 1 << 20;
	s.tcp.tso_max = chance(50) ? 0 : (uint32_t)some(65000);
	s.tcp.is_partial = chance(50);
	s.tcp.delack_ns = chance(30) ? 0 : 40 * SIM_MS;
	if (cfg->keepalive_ns > 0)
		s.tcp.keepalive_ns = 20 * SIM_S;
	s.remote.answer_ns = some(10 * SIM_MS);
	s.remote.delay_ns = some(SIM_MS);
	s.remote.rcvbuf = chance(50) ? (uint32_t)(2000 + some(1 << 18)) : 0;
	s.remote.sndbuf = chance(50) ? (uint32_t)(2000 + some(1 << 18)) : 0;
	s.remote.skb_len = chance(50) ? (uint32_t)(500 + some(1 << 16)) : 0;
	choose_program(&s.guest, size);
	choose_program(&s.remote.app, size);
	settle(&s.guest, &s.remote.app);
	if (chance(10))
		s.remote.urgent_at = below(1 + s.remote.app.send_len);
	return s;
}

static bool resets(const struct sim_app_plan *p)
{
	return p->close == SIM_RESET_SENT || p->close == SIM_RESET_RECEIVED;
}

/* Where one side resets, the other must hear of it, behind all that came before. */
static void expect_end(struct sim_world *w, const struct sim_tcp *c)
{
	struct sim_sock *s = sim_world_sock(w, c);

	if (!s || (!resets(&c->app.plan) && !resets(&s->app.plan))) {
		sim_world_expect_complete(w, c);
		return;
	}
	if (!sim_app_is_done(&c->app))
		sim_fail(&w->sim, "port %u: the guest has not heard of the end", c->port);
	if (!sim_app_is_done(&s->app))
		sim_fail(&w->sim, "port %u: the remote side has not heard of the end", c->port);
	if (s->app.did_reset && !c->app.did_reset && w->is_lossless) {
		if (!c->app.has_reset && !(c->app.is_shut && c->app.has_eof))
			sim_fail(&w->sim, "port %u: the reset came as something else", c->port);
		if (c->app.received != s->app.sent)
			sim_fail(&w->sim, "port %u: %llu bytes of %llu before the reset", c->port,
			    (unsigned long long)c->app.received, (unsigned long long)s->app.sent);
	}
}

static bool run(uint64_t seed)
{
	struct sim lot;
	struct sim_config cfg;
	struct sim_world *w;
	struct sim_tcp *conns[CONNS_MAX];
	bool is_lossy;
	uint64_t count;
	bool is_right;

	sim_init(&lot, seed, 0);
	dice = &lot;
	is_lossy = chance(30);
	cfg = sim_config_defaults(seed);
	choose_world(&cfg, is_lossy);
	w = sim_test_world(&cfg);
	count = 1 + below(CONNS_MAX);
	for (uint64_t i = 0; i < count; i++) {
		struct sim_conn_spec spec = choose_conn(&cfg);

		conns[i] = sim_world_connect(w, &spec);
	}
	(void)sim_world_run(w, cfg.start_ns + 7000 * SIM_S);
	for (uint64_t i = 0; i < count; i++)
		expect_end(w, conns[i]);
	sim_world_expect_empty(w);
	sim_world_fini(w);
	is_right = !w->sim.has_failed;
	if (!is_right)
		print_error("%s\n", w->sim.failure);
	free(w);
	return is_right;
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 10) : otherwise;
}

static void any_world_keeps_what_every_run_must_keep(void **state)
{
	uint64_t first = setting("SIM_SEED", 1);
	uint64_t runs = setting("SIM_RUNS", getenv("SIM_SEED") ? 1 : RUNS_DEFAULT);
	uint64_t failed = 0;

	(void)state;
	for (uint64_t i = 0; i < runs && failed < 20; i++)
		failed += !run(first + i);
	assert_int_equal(failed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(any_world_keeps_what_every_run_must_keep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
