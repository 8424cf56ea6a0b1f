/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that rules by name decide: the first flight is held until it is known what it names, and then all of it
 * passes or none (behaviours.md C1, C4, C7, C8, C9, C12, C13, C17, C20; threats.md T1 to T9, T17, T19; design.md rules 1 to
 * 4). What the rules say of a name is decided here by a few lines; the real ones are tested in tests/unit.
 */
#include "sim_test.h"

#include "engine/internal.h"
#include "hellos.h"
#include "quicseal.h"

enum {
	STREAM_MAX = 200000,
	TLS_PORT = 443,
	PLAIN_PORT = 8080,
};

struct rules {
	const char *allow; /* one name; NULL: none */
	const char *deny;
	bool allows_others; /* what no name decides */
	uint32_t judged;
};

struct names {
	struct sim_world *w;
	struct rules rules;
	uint8_t stream[STREAM_MAX]; /* what the guest says first */
	size_t len;
	struct sim_tcp *conn;
};

static bool is_name(const struct name *n, const char *text)
{
	return n && text && strcmp(n->text, text) == 0;
}

static bool is_pinned(const struct policy_query *q, const char *text)
{
	for (uint32_t i = 0; i < q->pin_count; i++)
		if (is_name(q->pins[i], text))
			return true;
	return false;
}

/* As policy.h says of rules by name: deny before allow. */
static struct policy_verdict judge(const void *ctx, const struct policy_query *q)
{
	const struct rules *r = ctx;
	struct policy_verdict v = {.action = r->allows_others ? POLICY_ALLOW : POLICY_DENY,
	    .rule = POLICY_RULE_DEFAULT,
	    .why = POLICY_WHY_DEFAULT};
	bool is_final = q->has_first_flight || q->claim || q->proto == POLICY_ICMP4;

	if (!is_final) {
		if (r->allows_others ? r->deny != NULL : is_pinned(q, r->allow))
			v.action = POLICY_HOLD;
		return v;
	}
	if (q->claim ? is_name(q->claim, r->deny) : is_pinned(q, r->deny)) {
		v.action = POLICY_DENY;
		v.rule = 0;
		v.why = POLICY_WHY_RULE;
	} else if (is_pinned(q, r->allow) &&
		   (q->claim ? is_name(q->claim, r->allow) : !q->must_claim)) {
		v.action = POLICY_ALLOW;
		v.rule = 1;
		v.why = POLICY_WHY_RULE;
	} else if (!r->allows_others) {
		v.why = q->claim ? POLICY_WHY_OTHER_NAME : POLICY_WHY_NO_NAME;
	}
	return v;
}

static struct name name_of(const char *text)
{
	struct name n;

	assert_int_equal(name_read(text, strlen(text), &n, NULL), NAME_OK);
	return n;
}

/* The addresses of the world's remote sides are pinned to a name. */
static void pin(struct names *n, const char *text)
{
	struct name name = name_of(text);
	struct ip_addr v4 = ip_addr_v4(0xcb007107);
	struct ip_addr v6;
	struct pins *p = &n->w->engine->resolve.pins;

	assert_int_equal(ip_addr_parse("2001:db8::7", &v6), 0);
	assert_int_equal(pins_set(p, &name, 4, &v4, 1, 10000 * SIM_S), 0);
	assert_int_equal(pins_set(p, &name, 6, &v6, 1, 10000 * SIM_S), 0);
}

static void begin(struct names *n, const struct sim_config *cfg, const struct rules *rules)
{
	memset(n, 0, sizeof(*n));
	n->rules = *rules;
	n->w = sim_test_world(cfg);
	n->w->ctx = n;
	n->w->policy.judge = judge;
	n->w->policy.ctx = &n->rules;
	n->w->next_remote = PLAIN_PORT;
}

static void end(struct names *n)
{
	sim_world_expect_empty(n->w);
	sim_test_end(n->w);
	sim_pattern_begin(0, NULL, 0);
}

static void say(struct names *n, const void *bytes, size_t len)
{
	assert_true(n->len + len <= STREAM_MAX);
	memcpy(n->stream + n->len, bytes, len);
	n->len += len;
	sim_pattern_begin(1, n->stream, n->len);
}

static void say_text(struct names *n, const char *text)
{
	say(n, text, strlen(text));
}

static void say_hello(struct names *n, const struct hello_spec *s, size_t per_record)
{
	static uint8_t message[70000];
	static uint8_t records[STREAM_MAX];
	struct wr m = wr_init(message, sizeof(message));
	struct wr w = wr_init(records, sizeof(records));

	hello_put(&m, s);
	hello_put_records(&w, message, wr_len(&m), per_record);
	assert_true(wr_ok(&m) && wr_ok(&w));
	say(n, records, wr_len(&w));
}

static void say_name(struct names *n, const char *name)
{
	const struct hello_spec s = {.name = name};

	say_hello(n, &s, 16384);
}

/* A connection whose guest says what was said before, and more behind it, and whose server answers. */
static struct sim_conn_spec spec_of(const struct names *n, uint8_t family, uint64_t more)
{
	struct sim_conn_spec s = sim_conn_defaults(&n->w->cfg, family);

	s.guest.send_len = n->len + more;
	s.guest.close = SIM_CLOSE_EOF;
	s.remote.app.send_len = 5000;
	s.remote.app.start = SIM_START_RECEIVED;
	s.remote.app.start_at = n->len + more;
	s.remote.app.close = SIM_CLOSE_SENT;
	return s;
}

static void run(struct names *n, const struct sim_conn_spec *s)
{
	n->conn = sim_world_connect(n->w, s);
	(void)sim_world_run(n->w, n->w->sim.now_ns + 7000 * SIM_S);
}

static void expect_passed(struct names *n)
{
	sim_world_expect_complete(n->w, n->conn);
	assert_int_equal(n->w->denials, 0);
	assert_int_equal(n->w->ends[FLOW_END_CLOSED], 1);
}

/* The connection was opened, not a byte has been sent, and it has been reset both ways. */
static void expect_ended(struct names *n, const char *name, enum policy_why why)
{
	struct sim_sock *s = sim_world_sock(n->w, n->conn);

	assert_non_null(s);
	assert_int_equal(s->tx_total, 0);
	assert_int_equal(s->end, SIM_END_RESET);
	assert_true(n->conn->app.has_reset);
	assert_int_equal(n->w->denials, 1);
	assert_int_equal(n->w->counters.denied_tcp, 1);
	assert_int_equal(n->w->last_refusal.kind, EVENT_DENIED);
	assert_int_equal(n->w->last_refusal.verdict.action, POLICY_DENY);
	assert_int_equal(n->w->last_refusal.verdict.why, why);
	assert_string_equal(n->w->last_name.text, name);
	assert_int_equal(n->w->ends[FLOW_END_POLICY], 1);
}

static const struct rules only_a = {.allow = "a.example"};
static const struct rules all_but_e = {.deny = "e.example", .allows_others = true};

/* C1, C17: over both families, however the guest cuts it, and with much behind it. */
static void allowed_name_passes_in_any_pieces_C1_C17_T7(void **state)
{
	static const uint32_t chunks[] = {1, 7, 100, 0};
	static const size_t records[] = {1, 100, 16384};

	(void)state;
	for (uint32_t i = 0; i < 24; i++) {
		const struct hello_spec hello = {.name = "A.Example.", .padding = 300};
		struct sim_config cfg = sim_config_defaults(i);
		struct sim_conn_spec s;
		struct names n;

		begin(&n, &cfg, &only_a);
		pin(&n, "a.example");
		pin(&n, "b.example");
		say_hello(&n, &hello, records[i % 3]);
		s = spec_of(&n, i % 2 == 0 ? 4 : 6, chunks[i % 4] == 0 ? 300000 : 100);
		s.guest.send_chunk = chunks[i % 4];
		s.guest.send_gap_ns = chunks[i % 4] > 0 ? 20 * SIM_US : 0;
		n.w->next_remote = i % 5 == 0 ? TLS_PORT : PLAIN_PORT;
		run(&n, &s);
		expect_passed(&n);
		end(&n);
	}
}

/* The same over a link that loses, doubles and reorders: out-of-order data goes the same way. */
static void allowed_name_passes_over_a_bad_link_T7_T8(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 40; i++) {
		const struct hello_spec hello = {.name = "a.example", .padding = 9000};
		struct sim_config cfg = sim_config_defaults(100 + i);
		struct sim_conn_spec s;
		struct names n;

		cfg.tx.loss_permille = cfg.rx.loss_permille = 50;
		cfg.tx.reorder_permille = 100;
		cfg.tx.reorder_ns = 300 * SIM_US;
		cfg.tx.dup_permille = 20;
		begin(&n, &cfg, &only_a);
		pin(&n, "a.example");
		say_hello(&n, &hello, 16384);
		s = spec_of(&n, 4, 20000);
		run(&n, &s);
		sim_world_expect_complete(n.w, n.conn);
		assert_int_equal(n.w->denials, 0);
		sim_test_end(n.w);
		sim_pattern_begin(0, NULL, 0);
	}
}

static void other_name_at_the_same_address_is_ended_C7_T1_T5(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 40; i++) {
		struct sim_config cfg = sim_config_defaults(i);
		struct sim_conn_spec s;
		struct names n;

		if (i >= 8)
			cfg.tx.loss_permille = 200;
		begin(&n, &cfg, &only_a);
		pin(&n, "a.example");
		pin(&n, "b.example");
		say_name(&n, "b.example");
		s = spec_of(&n, i % 2 == 0 ? 4 : 6, i % 4 < 2 ? 0 : 50000);
		s.guest.send_chunk = i < 4 ? 0 : 10;
		s.guest.send_gap_ns = 20 * SIM_US;
		/* The server's events come in between. */
		s.remote.app.start = SIM_START_OPEN;
		s.remote.app.send_chunk = 100;
		s.remote.app.send_gap_ns = 30 * SIM_US;
		run(&n, &s);
		expect_ended(&n, "b.example", POLICY_WHY_OTHER_NAME);
		end(&n);
	}
}

/* C4, C12: a denied name needs no pin; everything else passes. */
static void denied_name_is_ended_where_all_else_passes_C4_C12(void **state)
{
	struct sim_config cfg = sim_config_defaults(1);
	struct sim_conn_spec s;
	struct names n;

	(void)state;
	begin(&n, &cfg, &all_but_e);
	say_name(&n, "E.example");
	s = spec_of(&n, 4, 1000);
	run(&n, &s);
	expect_ended(&n, "e.example", POLICY_WHY_RULE);
	end(&n);
	begin(&n, &cfg, &all_but_e);
	say_name(&n, "f.example");
	s = spec_of(&n, 4, 1000);
	run(&n, &s);
	expect_passed(&n);
	end(&n);
}

/* C8, C11: nothing is dialed for an address that no allowed name led to. */
static void unpinned_address_is_refused_at_once_C8_C11(void **state)
{
	struct sim_config cfg = sim_config_defaults(1);
	struct sim_conn_spec s;
	struct names n;

	(void)state;
	begin(&n, &cfg, &only_a);
	pin(&n, "b.example");
	say_name(&n, "a.example");
	s = spec_of(&n, 4, 0);
	run(&n, &s);
	assert_null(sim_world_sock(n.w, n.conn));
	assert_true(n.conn->app.has_reset);
	assert_int_equal(n.w->denials, 1);
	assert_string_equal(n.w->last_name.text, "b.example");
	end(&n);
}

static void host_of_http_counts_like_sni_C7(void **state)
{
	static const struct {
		const char *text;
		const char *name; /* NULL: it passes */
		enum policy_why why;
	} cases[] = {
	    {"GET / HTTP/1.1\r\nHost: A.example:8080\r\n\r\n", NULL, 0},
	    {"GET / HTTP/1.1\r\nHost: b.example\r\n\r\n", "b.example", POLICY_WHY_OTHER_NAME},
	    {"CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n", "b.example",
		POLICY_WHY_OTHER_NAME},
	    {"GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n", "",
		POLICY_WHY_NO_NAME},
	    {"GET / HTTP/1.0\r\n\r\n", "", POLICY_WHY_NO_NAME},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sim_config cfg = sim_config_defaults(i);
		struct sim_conn_spec s;
		struct names n;

		begin(&n, &cfg, &only_a);
		pin(&n, "a.example");
		say_text(&n, cases[i].text);
		s = spec_of(&n, 4, 0);
		s.guest.send_chunk = i % 2 == 0 ? 1 : 0;
		run(&n, &s);
		if (cases[i].name)
			expect_ended(&n, cases[i].name, cases[i].why);
		else
			expect_passed(&n);
		end(&n);
	}
}

/* Rule 4: a server that speaks first is heard at once, and a client that is no TLS is told by its first line. */
static void server_that_speaks_first_is_not_delayed(void **state)
{
	uint64_t end_ns[2];

	(void)state;
	for (int is_held = 0; is_held < 2; is_held++) {
		struct sim_config cfg = sim_config_defaults(1);
		struct sim_conn_spec s;
		struct names n;

		begin(&n, &cfg, &only_a);
		pin(&n, "a.example");
		if (is_held == 0)
			n.w->policy.judge = NULL;
		say_text(&n, "EHLO guest.example\r\n");
		s = spec_of(&n, 4, 0);
		s.remote.app.start = SIM_START_OPEN;
		s.guest.start = SIM_START_RECEIVED;
		s.guest.start_at = 5000;
		run(&n, &s);
		expect_passed(&n);
		end_ns[is_held] = n.conn->app.end_ns;
		assert_true(n.conn->app.first_write_ns < cfg.start_ns + SIM_MS);
		end(&n);
	}
	assert_int_equal(end_ns[0], end_ns[1]);
}

/* Issue: the added latency is at most one pass. It is none: what is held leaves in the pass in which its last byte came, so
 * that the answer comes when it would have come. */
static void first_flight_leaves_in_the_pass_in_which_it_is_known(void **state)
{
	(void)state;
	for (uint32_t size = 0; size <= 8000; size += 4000) {
		const struct hello_spec hello = {.name = "a.example", .padding = (uint16_t)size};
		uint64_t passes[2];
		uint64_t end_ns[2];

		for (int is_held = 0; is_held < 2; is_held++) {
			struct sim_config cfg = sim_config_defaults(1);
			struct sim_conn_spec s;
			struct names n;

			begin(&n, &cfg, &only_a);
			pin(&n, "a.example");
			if (is_held == 0)
				n.w->policy.judge = NULL;
			say_hello(&n, &hello, 16384);
			s = spec_of(&n, 4, 0);
			run(&n, &s);
			expect_passed(&n);
			passes[is_held] = n.w->counters.passes;
			end_ns[is_held] = n.conn->app.end_ns;
			end(&n);
		}
		assert_int_equal(end_ns[0], end_ns[1]);
		assert_in_range(passes[1], passes[0] - 2, passes[0] + 2);
	}
}

static void end_decides_what_is_not_known_yet_T7(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		bool passes;
	} cases[] = {
	    {"", 0, true},
	    {"PIN", 3, true},
	    {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 9, false},
	    {"GET / HTTP/1.1\r\nHost: a.exa", 27, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sim_config cfg = sim_config_defaults(i);
		struct sim_conn_spec s;
		struct names n;

		begin(&n, &cfg, &only_a);
		pin(&n, "a.example");
		say(&n, cases[i].text, cases[i].len);
		s = spec_of(&n, 4, 0);
		s.guest.close = SIM_CLOSE_SENT;
		s.remote.app.start = SIM_START_EOF;
		run(&n, &s);
		if (cases[i].passes)
			expect_passed(&n);
		else
			expect_ended(&n, "", POLICY_WHY_NO_NAME);
		end(&n);
	}
}

static void what_is_no_tls_on_its_port_is_ended_T17(void **state)
{
	static const char *const texts[] = {
	    "SSH-2.0-x\r\n", "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "\x01\x02"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct sim_config cfg = sim_config_defaults(i);
		struct sim_conn_spec s;
		struct names n;

		begin(&n, &cfg, &only_a);
		pin(&n, "a.example");
		n.w->next_remote = TLS_PORT;
		say_text(&n, texts[i]);
		s = spec_of(&n, 4, 0);
		run(&n, &s);
		expect_ended(&n, i == 1 ? "a.example" : "", POLICY_WHY_NO_NAME);
		end(&n);
	}
}

static void flight_without_a_name_to_trust_is_ended_T2_T6_T9(void **state)
{
	static const struct {
		struct hello_spec hello;
		const char *name;
	} cases[] = {
	    {{0}, ""},
	    {{.name = "a.example", .has_ech = true}, "a.example"},
	    {{.name = "a.example", .name_again = "b.example"}, ""},
	    {{.name = "a.example", .has_two_sni = true}, ""},
	    {{.name = "a.example", .name_type = 1}, ""},
	    {{.name = "a.example", .list_lie = 1}, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sim_config cfg = sim_config_defaults(i);
		struct sim_conn_spec s;
		struct names n;

		begin(&n, &cfg, &only_a);
		pin(&n, "a.example");
		say_hello(&n, &cases[i].hello, 16384);
		s = spec_of(&n, 4, 0);
		run(&n, &s);
		expect_ended(&n, cases[i].name, POLICY_WHY_NO_NAME);
		end(&n);
	}
}

/* Where all else is allowed, the same is not denied but for what contradicts itself. An encrypted name counts by what can
 * be read. */
static void flight_without_a_name_passes_where_others_may_T6_T9(void **state)
{
	static const struct {
		struct hello_spec hello;
		bool passes;
		const char *name;
		enum policy_why why;
	} cases[] = {
	    {{0}, true, NULL, 0},
	    {{.name = "f.example", .has_ech = true}, true, NULL, 0},
	    {{.name = "e.example", .has_ech = true}, false, "e.example", POLICY_WHY_RULE},
	    {{.name = "f.example", .name_again = "e.example"}, false, "", POLICY_WHY_UNREADABLE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sim_config cfg = sim_config_defaults(i);
		struct sim_conn_spec s;
		struct names n;

		begin(&n, &cfg, &all_but_e);
		say_hello(&n, &cases[i].hello, 16384);
		s = spec_of(&n, 4, 0);
		run(&n, &s);
		if (cases[i].passes)
			expect_passed(&n);
		else
			expect_ended(&n, cases[i].name, cases[i].why);
		end(&n);
	}
}

/* T7: what never ends is held in bounded memory, and ends when that is full. */
static void flight_that_fills_its_room_is_ended_T7(void **state)
{
	static const uint8_t head[] = {22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xfc};

	(void)state;
	for (int wscale = -1; wscale < 8; wscale += 8) {
		static uint8_t zeros[0x4000];
		const uint8_t record[] = {22, 3, 1, 0, 1, 0};
		struct sim_config cfg = sim_config_defaults(1);
		struct sim_conn_spec s;
		struct names n;

		begin(&n, &cfg, &only_a);
		pin(&n, "a.example");
		say(&n, head, sizeof(head));
		say(&n, zeros, 0x4000 - 4);
		/* records of one byte: 65532 bytes need six times as many */
		for (int i = 0; i < 25000; i++)
			say(&n, record, sizeof(record));
		s = spec_of(&n, 4, 0);
		s.tcp.wscale = wscale;
		run(&n, &s);
		expect_ended(&n, "", POLICY_WHY_NO_NAME);
		assert_in_range(n.w->counters.tcp_spilled_bytes, 60000, 140000);
		end(&n);
	}
}

static void largest_hello_passes_T7(void **state)
{
	const struct hello_spec hello = {.name = "a.example", .padding = 65400};
	struct sim_config cfg = sim_config_defaults(1);
	struct sim_conn_spec s;
	struct names n;

	(void)state;
	begin(&n, &cfg, &only_a);
	pin(&n, "a.example");
	say_hello(&n, &hello, 1000);
	assert_true(n.len > 65535);
	s = spec_of(&n, 4, 100000);
	run(&n, &s);
	expect_passed(&n);
	end(&n);
}

/* Either side may go while the flow is held. */
static void flow_may_end_while_it_is_held(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		struct sim_config cfg = sim_config_defaults(i);
		struct sim_conn_spec s;
		struct names n;

		begin(&n, &cfg, &only_a);
		pin(&n, "a.example");
		say_text(&n, "GET / HT");
		s = spec_of(&n, 4, 0);
		s.remote.app.start = SIM_START_OPEN;
		if (i == 0)
			s.guest.close = SIM_RESET_SENT;
		else if (i == 1)
			s.remote.app.close = SIM_RESET_SENT;
		else
			s.guest.close = SIM_CLOSE_NEVER;
		if (i == 3) /* the remote side's FIN is heard; only the guest's end is missing */
			cfg.idle_ns = SIM_S;
		n.conn = sim_world_connect(n.w, &s);
		(void)sim_world_run(n.w, cfg.start_ns + SIM_S);
		assert_int_equal(sim_world_sock(n.w, n.conn)->tx_total, 0);
		assert_int_equal(n.conn->app.received, i == 0 ? n.conn->app.received : 5000);
		assert_int_equal(n.w->counters.tcp_active, i < 2 ? 0 : 1);
		sim_test_end(n.w);
		sim_pattern_begin(0, NULL, 0);
	}
}

/* Issue: judged again after another policy, with the name that the first flight had. */
static void flow_is_judged_again_by_another_policy(void **state)
{
	(void)state;
	for (int is_denied = 0; is_denied < 2; is_denied++) {
		struct sim_config cfg = sim_config_defaults(1);
		struct sim_conn_spec s;
		struct names n;

		begin(&n, &cfg, &only_a);
		pin(&n, "a.example");
		say_name(&n, "a.example");
		s = spec_of(&n, 4, 1000000);
		s.guest.send_chunk = 1000;
		s.guest.send_gap_ns = SIM_MS;
		n.conn = sim_world_connect(n.w, &s);
		assert_true(sim_world_run(n.w, cfg.start_ns + 100 * SIM_MS));
		assert_true(sim_world_sock(n.w, n.conn)->tx_total > n.len);
		n.rules = is_denied ? (struct rules){.deny = "a.example", .allows_others = true}
				    : (struct rules){.deny = "b.example", .allows_others = true};
		engine_set_policy(n.w->engine, &n.w->policy);
		(void)sim_world_run(n.w, n.w->sim.now_ns + 7000 * SIM_S);
		if (is_denied) {
			assert_true(n.conn->app.has_reset);
			assert_int_equal(n.w->ends[FLOW_END_POLICY], 1);
			assert_int_equal(sim_world_sock(n.w, n.conn)->end, SIM_END_RESET);
		} else {
			expect_passed(&n);
		}
		end(&n);
	}
}

/* ---- UDP ---- */

struct quic {
	struct names n;
	uint8_t hello[4096];
	size_t hello_len;
	struct sim_sock *sock;
	uint32_t out;         /* datagrams that have left */
	uint32_t first_bytes; /* the first byte of each, the last in the low bits */
	uint32_t out_len;     /* of all */
	uint32_t prohibited;  /* ICMP to the guest */
	uint32_t in;          /* datagrams to the guest */
};

static void on_quic_datagram(void *ctx, struct sim_sock *s, const struct sim_sent_datagram *d)
{
	struct quic *q = ((struct sim_world *)ctx)->ctx;

	q->sock = s;
	q->out++;
	q->first_bytes = q->first_bytes << 8 | d->bytes[0];
	q->out_len += d->len;
}

static void on_quic_packet(void *ctx, const struct sim_packet *p)
{
	struct quic *q = ((struct sim_world *)ctx)->ctx;

	q->prohibited += p->family == 4 && p->proto == 1 && p->icmp_type == 3 && p->icmp_code == 13;
	q->in += p->family == 4 && p->proto == 17;
}

static void quic_hello(struct quic *q, const char *name)
{
	const struct hello_spec s = {.name = name, .alpn = "h3", .padding = 1400};
	struct wr w = wr_init(q->hello, sizeof(q->hello));

	hello_put(&w, &s);
	q->hello_len = wr_len(&w);
}

static void quic_begin(struct quic *q, const struct rules *rules, const char *name)
{
	struct sim_config cfg = sim_config_defaults(1);

	memset(q, 0, sizeof(*q));
	begin(&q->n, &cfg, rules);
	q->n.w->ctx = q;
	q->n.w->host.on_datagram = on_quic_datagram;
	q->n.w->guest.on_packet = on_quic_packet;
	quic_hello(q, name);
}

static void quic_end(struct quic *q)
{
	(void)sim_world_run(q->n.w, q->n.w->sim.now_ns + 1000 * SIM_S);
	end(&q->n);
}

static void quic_send(struct quic *q, const uint8_t *bytes, size_t len, uint16_t gso)
{
	struct ip_addr to = ip_addr_v4(0xcb007107);
	struct sim_packet p = sim_guest_packet(&q->n.w->guest, &to, 4, 17);
	struct sim_frame *f;

	p.src_port = 5000;
	p.dst_port = TLS_PORT;
	p.payload_len = (uint32_t)len;
	sim_pattern_begin(9, bytes, len);
	f = sim_build_udp(&p, 9, 0);
	sim_pattern_begin(0, NULL, 0);
	if (gso > 0)
		f->vnet = (struct sim_vnet){.flags = SIM_VNET_NEEDS_CSUM,
		    .gso_type = SIM_GSO_USO,
		    .gso_size = gso,
		    .hdr_len = SIM_ETH + SIM_IP4 + SIM_UDP,
		    .csum_start = SIM_ETH + SIM_IP4,
		    .csum_offset = 6};
	sim_world_inject(q->n.w, f);
	assert_true(sim_world_run(q->n.w, q->n.w->sim.now_ns + SIM_MS));
}

/* A piece of the hello in an Initial packet. */
static size_t quic_piece(
    struct quic *q, const struct quic_seal *s, uint32_t off, size_t len, uint8_t *out, size_t cap)
{
	uint8_t frames[1250] = {0};
	struct wr c = wr_init(frames, sizeof(frames));
	struct wr w = wr_init(out, cap);

	if (len > q->hello_len - off)
		len = q->hello_len - off;
	quic_seal_crypto(&c, off, q->hello + off, len);
	quic_seal_initial(&quic_crypto_plain, s, frames, 1180, &w);
	assert_true(wr_ok(&c) && wr_ok(&w));
	return wr_len(&w);
}

static const uint8_t cid_a[8] = {1, 2, 3, 4, 5, 6, 7, 8};
static const uint8_t cid_b[8] = {8, 7, 6, 5, 4, 3, 2, 1};

static void quic_send_piece(struct quic *q, const struct quic_seal *s, uint32_t off)
{
	uint8_t datagram[1400];
	size_t len = quic_piece(q, s, off, 1000, datagram, sizeof(datagram));

	quic_send(q, datagram, len, 0);
}

static struct quic_seal seal_of(const uint8_t *cid, uint32_t number)
{
	return (struct quic_seal){
	    .version = QUIC_V1, .cid = cid, .cid_len = 8, .number = number, .number_len = 1};
}

/* The whole flight in two datagrams. */
static void quic_send_flight(struct quic *q, const uint8_t *cid, uint32_t number)
{
	struct quic_seal first = seal_of(cid, number);
	struct quic_seal second = seal_of(cid, number + 1);

	quic_send_piece(q, &second, 1000);
	quic_send_piece(q, &first, 0);
}

/* T8, T19: nothing leaves before the name is known; then everything, in its order, and what follows. */
static void quic_is_held_until_its_name_is_known_T8_T19(void **state)
{
	struct quic_seal first = seal_of(cid_a, 0);
	struct quic_seal second = seal_of(cid_a, 1);
	struct quic q;

	(void)state;
	quic_begin(&q, &only_a, "a.example");
	pin(&q.n, "a.example");
	quic_send_piece(&q, &second, 1000);
	quic_send(&q, (const uint8_t *)"\xd0\0\0\0\1\10abcdefgh", 14, 0); /* 0-RTT, cut off */
	assert_int_equal(q.out, 0);
	quic_send_piece(&q, &first, 0);
	assert_int_equal(q.out, 3);
	assert_int_equal(q.first_bytes >> 8 & 0xff, 0xd0);
	quic_send(&q, (const uint8_t *)"\x40 short header", 14, 0);
	assert_int_equal(q.out, 4);
	quic_send_flight(&q, cid_a, 2); /* once more */
	assert_int_equal(q.out, 6);
	sim_peer_datagram(q.sock, NULL, 0, (const uint8_t *)"answer", 6, 0);
	quic_send(&q, (const uint8_t *)"\x41", 1, 0);
	assert_int_equal(q.in, 1);
	assert_int_equal(q.n.w->counters.udp_flows, 1);
	assert_int_equal(q.n.w->denials, 0);
	quic_end(&q);
}

/* With segmentation offload both datagrams come in one frame. */
static void quic_in_one_frame_is_read_T19(void **state)
{
	struct quic_seal first = seal_of(cid_a, 0);
	struct quic_seal second = seal_of(cid_a, 1);
	uint8_t both[2800];
	struct quic q;
	size_t len;

	(void)state;
	quic_begin(&q, &only_a, "a.example");
	pin(&q.n, "a.example");
	len = quic_piece(&q, &first, 0, 1000, both, sizeof(both));
	len += quic_piece(&q, &second, 1000, 1000, both + len, sizeof(both) - len);
	quic_send(&q, both, len, (uint16_t)(len / 2));
	assert_int_equal(q.out, 1);
	assert_int_equal(q.out_len, len);
	quic_end(&q);
}

static void quic_with_another_name_is_prohibited_C7_T19(void **state)
{
	struct quic q;

	(void)state;
	quic_begin(&q, &only_a, "b.example");
	pin(&q.n, "a.example");
	pin(&q.n, "b.example");
	quic_send_flight(&q, cid_a, 0);
	assert_int_equal(q.out, 0);
	assert_int_equal(q.prohibited, 1);
	assert_int_equal(q.n.w->denials, 1);
	assert_string_equal(q.n.w->last_name.text, "b.example");
	assert_int_equal(q.n.w->last_refusal.verdict.why, POLICY_WHY_OTHER_NAME);
	assert_int_equal(q.n.w->counters.udp_active, 0);
	quic_end(&q);
	/* the same by a rule that denies, unpinned: C4 */
	quic_begin(&q, &all_but_e, "e.example");
	quic_send_flight(&q, cid_a, 0);
	assert_int_equal(q.out, 0);
	assert_int_equal(q.prohibited, 1);
	quic_end(&q);
}

/* After a Retry the client begins anew with the id that the server gave it; with another name it would reach another
 * host by the same way. */
static void another_connection_in_the_same_flow_is_judged_T19(void **state)
{
	struct quic q;

	(void)state;
	quic_begin(&q, &only_a, "a.example");
	pin(&q.n, "a.example");
	pin(&q.n, "b.example");
	quic_send_flight(&q, cid_a, 0);
	assert_int_equal(q.out, 2);
	quic_send_flight(&q, cid_b, 2);
	assert_int_equal(q.out, 4);
	quic_hello(&q, "b.example");
	quic_send_flight(&q, cid_a, 4);
	assert_int_equal(q.out, 4);
	assert_int_equal(q.prohibited, 1);
	assert_int_equal(q.n.w->denials, 1);
	quic_end(&q);
}

/* Other bytes under the same id, which a server that has lost the first ones would take. */
static void other_bytes_in_the_same_flight_are_refused_T19(void **state)
{
	struct quic q;

	(void)state;
	quic_begin(&q, &only_a, "a.example");
	pin(&q.n, "a.example");
	quic_send_flight(&q, cid_a, 0);
	assert_int_equal(q.out, 2);
	quic_hello(&q, "b.example");
	quic_send_flight(&q, cid_a, 2);
	assert_true(q.out == 2 || q.out == 3); /* the second half is the same */
	assert_int_equal(q.prohibited, 1);
	assert_int_equal(q.n.w->last_refusal.verdict.why, POLICY_WHY_NO_NAME);
	quic_end(&q);
}

/* C20: what is not QUIC goes by pins alone; a version that is not known names nothing that can be read. */
static void other_datagrams_go_by_pins_alone_C20_T19(void **state)
{
	uint8_t version[1200] = {0xc0, 0xff, 0, 0, 0x1d, 8};
	struct quic q;

	(void)state;
	quic_begin(&q, &only_a, "a.example");
	pin(&q.n, "a.example");
	quic_send(&q, (const uint8_t *)"\1 something", 11, 0);
	assert_int_equal(q.out, 1);
	/* ... but QUIC that begins later is looked at. */
	quic_hello(&q, "b.example");
	quic_send_flight(&q, cid_a, 0);
	assert_int_equal(q.out, 1);
	assert_int_equal(q.prohibited, 1);
	quic_send(&q, version, sizeof(version), 0);
	assert_int_equal(q.out, 1);
	assert_int_equal(q.prohibited, 2);
	quic_end(&q);
	quic_begin(&q, &only_a, "a.example");
	quic_send(&q, (const uint8_t *)"\1 something", 11, 0);
	assert_int_equal(q.out, 0);
	assert_int_equal(q.prohibited, 1);
	quic_end(&q);
}

/* What is kept is bounded; the name is found all the same. */
static void held_datagrams_are_bounded(void **state)
{
	struct quic_seal second = seal_of(cid_a, 0);
	struct quic q;

	(void)state;
	quic_begin(&q, &only_a, "a.example");
	pin(&q.n, "a.example");
	for (uint32_t i = 0; i < 40; i++) {
		second.number = i;
		quic_send_piece(&q, &second, 1000);
	}
	assert_int_equal(q.out, 0);
	assert_int_equal(q.n.w->counters.drops[DROP_UDP_LIMIT], 24);
	second.number = 40;
	quic_send_piece(&q, &second, 0);
	assert_int_equal(q.out, 17);
	quic_end(&q);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(allowed_name_passes_in_any_pieces_C1_C17_T7),
	    cmocka_unit_test(allowed_name_passes_over_a_bad_link_T7_T8),
	    cmocka_unit_test(other_name_at_the_same_address_is_ended_C7_T1_T5),
	    cmocka_unit_test(denied_name_is_ended_where_all_else_passes_C4_C12),
	    cmocka_unit_test(unpinned_address_is_refused_at_once_C8_C11),
	    cmocka_unit_test(host_of_http_counts_like_sni_C7),
	    cmocka_unit_test(server_that_speaks_first_is_not_delayed),
	    cmocka_unit_test(first_flight_leaves_in_the_pass_in_which_it_is_known),
	    cmocka_unit_test(end_decides_what_is_not_known_yet_T7),
	    cmocka_unit_test(what_is_no_tls_on_its_port_is_ended_T17),
	    cmocka_unit_test(flight_without_a_name_to_trust_is_ended_T2_T6_T9),
	    cmocka_unit_test(flight_without_a_name_passes_where_others_may_T6_T9),
	    cmocka_unit_test(flight_that_fills_its_room_is_ended_T7),
	    cmocka_unit_test(largest_hello_passes_T7),
	    cmocka_unit_test(flow_may_end_while_it_is_held),
	    cmocka_unit_test(flow_is_judged_again_by_another_policy),
	    cmocka_unit_test(quic_is_held_until_its_name_is_known_T8_T19),
	    cmocka_unit_test(quic_in_one_frame_is_read_T19),
	    cmocka_unit_test(quic_with_another_name_is_prohibited_C7_T19),
	    cmocka_unit_test(another_connection_in_the_same_flow_is_judged_T19),
	    cmocka_unit_test(other_bytes_in_the_same_flight_are_refused_T19),
	    cmocka_unit_test(other_datagrams_go_by_pins_alone_C20_T19),
	    cmocka_unit_test(held_datagrams_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
