/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forwarder between a virtual clock and servers that are silent, slow, lying or gone (behaviours D11, D12, D13;
 * threats D13, D14, D15, D16).
 */
#include <errno.h>

#include "names/forward.h"
#include "unit.h"

#define MS 1000000ULL
#define S  1000000000ULL

struct sent {
	uint32_t slot;
	struct endpoint to;
	bool is_tcp;
	size_t len;
	uint8_t bytes[512];
};

struct world {
	struct forward f;
	uint64_t now;
	uint64_t seed;
	struct endpoint slots[FORWARD_SLOTS];
	bool is_open[FORWARD_SLOTS];
	uint32_t opened;
	struct sent sent[256];
	uint32_t sent_count;
	uint32_t done;
	bool has_answer;
	uint8_t rcode;
	size_t answer_len;
	int open_error;
	uint8_t no_host; /* last byte of an address that cannot be reached */
};

static int op_open(void *ctx, uint32_t slot, const struct endpoint *to, bool is_tcp)
{
	struct world *w = ctx;

	assert_false(w->is_open[slot]);
	assert_int_equal(is_tcp, slot >= FORWARD_UDP_SLOTS);
	if (w->no_host != 0 && to->addr.b[15] == w->no_host)
		return -ENETUNREACH;
	w->is_open[slot] = true;
	w->slots[slot] = *to;
	w->opened++;
	return w->open_error;
}

static ssize_t op_send(void *ctx, uint32_t slot, uint8_t *bytes, size_t len)
{
	struct world *w = ctx;
	struct sent *s = &w->sent[w->sent_count++ % 256];

	assert_true(w->is_open[slot]);
	assert_true(len <= sizeof(s->bytes));
	*s = (struct sent){
	    .slot = slot, .to = w->slots[slot], .is_tcp = slot >= FORWARD_UDP_SLOTS, .len = len};
	memcpy(s->bytes, bytes, len);
	return (ssize_t)len;
}

static void op_close(void *ctx, uint32_t slot)
{
	struct world *w = ctx;

	assert_true(w->is_open[slot]);
	w->is_open[slot] = false;
}

static void op_random(void *ctx, void *buf, size_t len)
{
	struct world *w = ctx;
	uint8_t *to = buf;

	for (size_t i = 0; i < len; i++) {
		w->seed = w->seed * 6364136223846793005ULL + 1442695040888963407ULL;
		to[i] = (uint8_t)(w->seed >> 56);
	}
}

static void op_done(void *ctx, void *owner, const uint8_t *msg, size_t len)
{
	struct world *w = ctx;

	assert_ptr_equal(owner, w);
	w->done++;
	w->has_answer = msg != NULL;
	w->answer_len = len;
	w->rcode = msg ? msg[3] & 15 : 2;
}

static const struct forward_ops ops = {
    .open = op_open, .send = op_send, .close = op_close, .random = op_random, .done = op_done};

static void begin(struct world *w, uint32_t servers)
{
	struct endpoint to[4];

	memset(w, 0, sizeof(*w));
	w->now = 1000 * S;
	assert_int_equal(forward_init(&w->f, &ops, w, 5 * S, w->now), 0);
	for (uint32_t i = 0; i < servers; i++)
		to[i] = (struct endpoint){.addr = ip_addr_v4(0x09090901 + i), .port = 53};
	assert_int_equal(forward_set_group(&w->f, 0, to, servers), 0);
}

static void end(struct world *w)
{
	assert_true(forward_is_idle(&w->f));
	forward_rest(&w->f);
	for (uint32_t i = 0; i < FORWARD_SLOTS; i++)
		assert_false(w->is_open[i]);
	forward_fini(&w->f);
}

static int ask(struct world *w, const char *name)
{
	struct forward_question q = {.question = {.type = 1, .class = 1}, .owner = w};

	assert_int_equal(dns_name_from_text(name, &q.question.name), 0);
	return forward_ask(&w->f, &q, w->now);
}

/* Time passes, up to a time. */
static void run_until(struct world *w, uint64_t until)
{
	while (forward_next_ns(&w->f) <= until) {
		w->now = forward_next_ns(&w->f) > w->now ? forward_next_ns(&w->f) : w->now + 1;
		while (forward_on_time(&w->f, w->now, 16))
			;
	}
	w->now = until;
}

static const struct sent *last(const struct world *w)
{
	assert_true(w->sent_count > 0);
	return &w->sent[(w->sent_count - 1) % 256];
}

static uint8_t server_of(const struct sent *s)
{
	return s->to.addr.b[15];
}

/* What was sent, as an answer with a code and without records. */
static size_t answer_to(const struct sent *s, uint8_t rcode, uint8_t *out)
{
	memcpy(out, s->bytes, s->len);
	out[2] |= 0x80;
	out[3] = rcode;
	return s->len;
}

static void give(struct world *w, const struct sent *s, uint8_t rcode)
{
	uint8_t msg[512];
	size_t len = answer_to(s, rcode, msg);

	forward_on_datagram(&w->f, s->slot, msg, len, w->now);
}

static void a_question_goes_out_and_its_answer_comes_back(void **state)
{
	struct world w;
	struct sent first;

	(void)state;
	begin(&w, 2);
	assert_int_equal(ask(&w, "www.example.com"), 0);
	assert_int_equal(w.sent_count, 1);
	first = *last(&w);
	assert_int_equal(server_of(&first), 1);
	/* Recursion is wanted, and EDNS without options: nothing of the guest (threat D15). */
	assert_int_equal(first.len, 12 + 17 + 4 + 11);
	assert_int_equal(first.bytes[2], 1);
	assert_int_equal(first.bytes[first.len - 1], 0);
	w.now += 3 * MS;
	give(&w, &first, 0);
	assert_int_equal(w.done, 1);
	assert_true(w.has_answer);
	/* Again: nobody waits for it. */
	give(&w, &first, 0);
	assert_int_equal(w.done, 1);
	end(&w);
}

/* Threat D13: who does not see the question cannot guess identifier, port and letters' case. */
static void forged_answers_are_ignored_d13(void **state)
{
	struct world w;
	struct sent s;
	uint8_t msg[512];
	size_t len;

	(void)state;
	begin(&w, 2);
	assert_int_equal(ask(&w, "www.example.com"), 0);
	s = *last(&w);
	len = answer_to(&s, 0, msg);
	msg[1] ^= 1; /* the identifier */
	forward_on_datagram(&w.f, s.slot, msg, len, w.now);
	len = answer_to(&s, 0, msg);
	forward_on_datagram(&w.f, s.slot ^ 1, msg, len, w.now); /* the port */
	msg[2] &= 0x7f;                                         /* a question */
	forward_on_datagram(&w.f, s.slot, msg, len, w.now);
	len = answer_to(&s, 0, msg);
	msg[13] = 'x'; /* the name */
	forward_on_datagram(&w.f, s.slot, msg, len, w.now);
	len = answer_to(&s, 0, msg);
	msg[12 + 17 + 1] = 28; /* the type */
	forward_on_datagram(&w.f, s.slot, msg, len, w.now);
	len = answer_to(&s, 0, msg);
	msg[5] = 2; /* two questions */
	forward_on_datagram(&w.f, s.slot, msg, len, w.now);
	for (size_t cut = 0; cut < 12 + 17 + 4; cut++) {
		uint8_t *part = exact_copy(msg, cut);

		forward_on_datagram(&w.f, s.slot, part, cut, w.now);
		free(part);
	}
	assert_int_equal(w.done, 0);
	give(&w, &s, 0);
	assert_int_equal(w.done, 1);
	end(&w);
}

/* The identifier, the case of the letters, and mostly the port are others each time (threats D13, D16). */
static void no_two_questions_look_alike_d13(void **state)
{
	struct world w;
	uint32_t cases = 0;
	uint32_t ids = 0;

	(void)state;
	begin(&w, 1);
	for (int i = 0; i < 32; i++) {
		struct sent before = *(w.sent_count > 0 ? last(&w) : &(struct sent){0});
		uint32_t opened = w.opened;

		assert_int_equal(ask(&w, "wwwwwwwwwwwwwwwwwwwwwwwwww.example.com"), 0);
		cases += memcmp(before.bytes + 12, last(&w)->bytes + 12, 40) != 0;
		ids += memcmp(before.bytes, last(&w)->bytes, 2) != 0;
		if (i < FORWARD_SLOTS_PER_SERVER)
			assert_int_equal(w.opened, opened + 1);
	}
	assert_true(cases > 30);
	assert_true(ids > 30);
	assert_int_equal(w.opened, FORWARD_SLOTS_PER_SERVER);
	for (uint32_t i = 0; i < 32; i++)
		give(&w, &w.sent[i], 0);
	assert_int_equal(w.done, 32);
	end(&w);
}

/* A socket is not used for ever, however busy it is. */
static void a_socket_takes_a_bounded_number_of_questions(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 1);
	assert_int_equal(ask(&w, "held.example"), 0);
	for (uint32_t i = 0; i < 3000; i++) {
		assert_int_equal(ask(&w, "a.example"), 0);
		give(&w, last(&w), 0);
	}
	assert_true(w.opened >= 3000 / FORWARD_SLOT_USES);
	run_until(&w, w.now + 10 * S);
	end(&w);
}

/* D11: the answer comes from the other server, and the next question does not wait for the dead one. */
static void a_dead_server_is_waited_for_once_d11(void **state)
{
	struct world w;
	uint64_t from;

	(void)state;
	begin(&w, 2);
	from = w.now;
	assert_int_equal(ask(&w, "a.example"), 0);
	assert_int_equal(server_of(last(&w)), 1);
	while (server_of(last(&w)) == 1)
		run_until(&w, w.now + 10 * MS);
	assert_true(w.now - from < 500 * MS);
	give(&w, last(&w), 0);
	assert_int_equal(w.done, 1);
	for (int i = 0; i < 5; i++) {
		uint32_t count = w.sent_count;

		assert_int_equal(ask(&w, "b.example"), 0);
		assert_int_equal(server_of(last(&w)), 2);
		assert_int_equal(w.sent_count, count + 1);
		give(&w, last(&w), 0);
	}
	/* Later it is tried beside the other one; when it answers it is the first again. */
	run_until(&w, w.now + 3 * S);
	assert_int_equal(ask(&w, "c.example"), 0);
	assert_int_equal(server_of(last(&w)), 1);
	assert_int_equal(server_of(&w.sent[w.sent_count - 2]), 2);
	give(&w, last(&w), 0);
	assert_int_equal(w.done, 7);
	assert_int_equal(ask(&w, "d.example"), 0);
	assert_int_equal(server_of(last(&w)), 1);
	give(&w, last(&w), 0);
	end(&w);
}

static void a_server_that_cannot_be_reached_costs_no_time(void **state)
{
	struct world w;
	uint32_t count;

	(void)state;
	begin(&w, 2);
	w.no_host = 1;
	assert_int_equal(ask(&w, "a.example"), 0);
	assert_int_equal(server_of(last(&w)), 2);
	give(&w, last(&w), 0);
	assert_int_equal(w.done, 1);
	w.no_host = 0;
	/* ... also when the network tells it later, of both: then that is all. */
	run_until(&w, w.now + 100 * S);
	count = w.sent_count;
	assert_int_equal(ask(&w, "a.example"), 0);
	assert_int_equal(w.sent_count, count + 2);
	forward_on_error(&w.f, w.sent[count].slot, w.now);
	run_until(&w, w.now + MS);
	assert_int_equal(w.done, 1);
	forward_on_error(&w.f, w.sent[count + 1].slot, w.now);
	run_until(&w, w.now + MS);
	if (w.sent_count == count + 3)
		forward_on_error(&w.f, last(&w)->slot, w.now);
	run_until(&w, w.now + MS);
	assert_int_equal(w.done, 2);
	assert_false(w.has_answer);
	end(&w);
}

/* D12: nobody answers, and that is told after one timeout, however many servers there are. */
static void silence_ends_after_one_timeout_d12(void **state)
{
	(void)state;
	for (uint32_t servers = 1; servers <= 3; servers++) {
		struct world w;
		uint64_t from;

		begin(&w, servers);
		from = w.now;
		assert_int_equal(ask(&w, "a.example"), 0);
		while (w.done == 0)
			run_until(&w, w.now + 10 * MS);
		assert_false(w.has_answer);
		assert_true(w.now - from >= 5 * S && w.now - from < 6 * S);
		assert_true(w.sent_count >= servers && w.sent_count < 10);
		end(&w);
	}
}

/* D13: what a server says is final. */
static void servfail_is_final_d13(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 2);
	assert_int_equal(ask(&w, "a.example"), 0);
	give(&w, last(&w), 2);
	assert_int_equal(w.done, 1);
	assert_true(w.has_answer);
	assert_int_equal(w.rcode, 2);
	assert_int_equal(w.sent_count, 1);
	end(&w);
}

static void a_group_without_servers_is_refused(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 0);
	assert_int_equal(ask(&w, "a.example"), -ESRCH);
	end(&w);
}

/* Gives a connection bytes, as many at a time as said. */
static void stream(struct world *w, uint32_t slot, const uint8_t *bytes, size_t len, size_t piece)
{
	while (len > 0 && w->is_open[slot]) {
		size_t room = 0;
		uint8_t *to = forward_room(&w->f, slot, &room);
		size_t n = len < piece ? len : piece;

		if (!to)
			return;
		n = n < room ? n : room;
		memcpy(to, bytes, n);
		bytes += n;
		len -= n;
		if (!forward_on_bytes(&w->f, slot, n, w->now))
			return;
	}
}

static void truncated_answers_are_asked_for_by_tcp(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < 4; piece++) {
		struct world w;
		struct sent s;
		uint8_t msg[2 + 65535] = {0};
		size_t len;

		begin(&w, 2);
		assert_int_equal(ask(&w, "a.example"), 0);
		s = *last(&w);
		len = answer_to(&s, 0, msg);
		msg[2] |= 2;
		forward_on_datagram(&w.f, s.slot, msg, len, w.now);
		assert_int_equal(w.done, 0);
		assert_true(w.is_open[FORWARD_UDP_SLOTS]);
		forward_on_writable(&w.f, FORWARD_UDP_SLOTS, w.now);
		s = *last(&w);
		assert_true(s.is_tcp);
		assert_int_equal(s.bytes[0] << 8 | s.bytes[1], s.len - 2);
		/* 64 KiB, the most that there can be. */
		memcpy(msg, s.bytes, s.len);
		put_be16(msg, 65535);
		msg[4] |= 0x80;
		stream(&w, s.slot, msg, sizeof(msg), piece * 997);
		assert_int_equal(w.done, 1);
		assert_true(w.has_answer);
		assert_int_equal(w.answer_len, 65535);
		end(&w);
	}
}

/* More of them than there are connections: the others wait for one. */
static void truncated_answers_wait_for_a_connection(void **state)
{
	enum {
		COUNT = FORWARD_TCP_SLOTS + 10
	};
	struct world w;
	uint32_t taken;
	uint32_t late = 0;

	(void)state;
	begin(&w, 2);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(ask(&w, "a.example"), 0);
	taken = w.sent_count;
	for (uint32_t i = 0; i < taken; i++) {
		uint8_t msg[512];
		size_t len = answer_to(&w.sent[i], 0, msg);

		msg[2] |= 2;
		forward_on_datagram(&w.f, w.sent[i].slot, msg, len, w.now);
	}
	run_until(&w, w.now + S / 10);
	assert_int_equal(w.done, 0);
	assert_int_equal(w.f.servers[0].fails, 0);
	for (uint32_t turn = 0; turn < 100 && w.done < COUNT; turn++) {
		for (uint32_t slot = FORWARD_UDP_SLOTS; slot < FORWARD_SLOTS; slot++) {
			uint8_t msg[512];
			struct sent s;

			if (!w.is_open[slot])
				continue;
			forward_on_writable(&w.f, slot, w.now);
			s = *last(&w);
			assert_int_equal(s.slot, slot);
			memcpy(msg, s.bytes, s.len);
			msg[4] |= 0x80;
			stream(&w, slot, msg, s.len, s.len);
			late += w.has_answer;
		}
		run_until(&w, w.now + S / 10);
	}
	assert_int_equal(w.done, COUNT);
	assert_int_equal(late, COUNT);
	end(&w);
}

static void a_connection_that_ends_early_is_a_failure(void **state)
{
	(void)state;
	for (int how = 0; how < 4; how++) {
		struct world w;
		uint8_t msg[512];
		struct sent s;
		size_t room;
		size_t len;

		begin(&w, 1);
		assert_int_equal(ask(&w, "a.example"), 0);
		len = answer_to(last(&w), 0, msg);
		msg[2] |= 2;
		forward_on_datagram(&w.f, last(&w)->slot, msg, len, w.now);
		forward_on_writable(&w.f, FORWARD_UDP_SLOTS, w.now);
		s = *last(&w);
		if (how == 0)
			forward_on_error(&w.f, s.slot, w.now);
		else if (how == 1) /* end of file */
			assert_non_null(forward_room(&w.f, s.slot, &room));
		if (how == 1)
			assert_false(forward_on_bytes(&w.f, s.slot, 0, w.now));
		if (how == 2) /* nothing */
			stream(&w, s.slot, (const uint8_t *)"\0\0", 2, 2);
		if (how == 3) /* something else */
			stream(&w, s.slot, (const uint8_t *)"\0\1x", 3, 3);
		run_until(&w, w.now + MS);
		assert_int_equal(w.done, 1);
		assert_false(w.has_answer);
		end(&w);
	}
}

/* A server that sends back other letters is asked by TCP, which cannot be forged, and from then on without. */
static void a_server_that_changes_the_case_is_understood(void **state)
{
	struct world w;
	uint8_t msg[512];
	struct sent s;
	size_t len;

	(void)state;
	begin(&w, 1);
	assert_int_equal(ask(&w, "wwwwwwwwwwwwwwww.example"), 0);
	len = answer_to(last(&w), 0, msg);
	for (size_t i = 12; i < 38; i++)
		msg[i] |= msg[i] >= 'A' ? 0x20 : 0;
	forward_on_datagram(&w.f, last(&w)->slot, msg, len, w.now);
	assert_int_equal(w.done, 0);
	forward_on_writable(&w.f, FORWARD_UDP_SLOTS, w.now);
	s = *last(&w);
	memcpy(msg, s.bytes, s.len);
	msg[4] |= 0x80;
	for (size_t i = 14; i < 40; i++)
		msg[i] |= msg[i] >= 'A' ? 0x20 : 0;
	stream(&w, s.slot, msg, s.len, 100);
	assert_int_equal(w.done, 1);
	assert_int_equal(ask(&w, "wwwwwwwwwwwwwwww.example"), 0);
	for (size_t i = 12; i < 38; i++)
		assert_true(last(&w)->bytes[i] < 'A' || last(&w)->bytes[i] > 'Z');
	give(&w, last(&w), 0);
	assert_int_equal(w.done, 2);
	end(&w);
}

static void a_server_without_edns_is_asked_without(void **state)
{
	struct world w;
	uint8_t msg[512];

	(void)state;
	begin(&w, 1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ask(&w, "a.example"), 0);
		if (i == 0) {
			assert_int_equal(last(&w)->bytes[11], 1);
			(void)answer_to(last(&w), 1, msg);
			msg[11] = 0;
			forward_on_datagram(&w.f, last(&w)->slot, msg, 12 + 11 + 4, w.now);
		}
		assert_int_equal(last(&w)->bytes[11], 0);
		give(&w, last(&w), 0);
	}
	assert_int_equal(w.done, 2);
	end(&w);
}

/* D2: the server that the guest has addressed, and no other. */
static void a_given_server_is_the_only_one_asked_d2(void **state)
{
	struct world w;
	struct forward_question q = {.question = {.type = 1, .class = 1},
	    .owner = &w,
	    .has_server = true,
	    .server = {.addr = ip_addr_v4(0x01010107), .port = 53}};

	(void)state;
	begin(&w, 2);
	assert_int_equal(dns_name_from_text("a.example", &q.question.name), 0);
	assert_int_equal(forward_ask(&w.f, &q, w.now), 0);
	while (w.done == 0) {
		run_until(&w, w.now + 100 * MS);
		assert_int_equal(server_of(last(&w)), 7);
	}
	assert_false(w.has_answer);
	end(&w);
}

/* The host has other resolvers now: what is under way ends, the next question goes to them. */
/* It cannot be asked by TCP: a first answer in another case is taken for a forgery, and it is asked without. */
static void a_given_server_that_changes_the_case_is_asked_without_d2(void **state)
{
	struct world w;
	struct forward_question q = {.question = {.type = 1, .class = 1},
	    .owner = &w,
	    .has_server = true,
	    .server = {.addr = ip_addr_v4(0x01010107), .port = 53}};
	uint8_t msg[512];
	struct sent first;
	size_t len;

	(void)state;
	begin(&w, 0);
	assert_int_equal(dns_name_from_text("wwwwwwwwwwwwwwww.example", &q.question.name), 0);
	assert_int_equal(forward_ask(&w.f, &q, w.now), 0);
	first = *last(&w);
	len = answer_to(&first, 0, msg);
	for (size_t i = 12; i < 38; i++)
		msg[i] |= msg[i] >= 'A' ? 0x20 : 0;
	for (int i = 0; i < 2; i++)
		forward_on_datagram(&w.f, first.slot, msg, len, w.now);
	assert_int_equal(w.done, 0);
	run_until(&w, w.now + 400 * MS);
	assert_int_equal(w.sent_count, 2);
	for (size_t i = 12; i < 38; i++)
		assert_true(last(&w)->bytes[i] < 'A' || last(&w)->bytes[i] > 'Z');
	give(&w, last(&w), 0);
	assert_int_equal(w.done, 1);
	assert_true(w.has_answer);
	end(&w);
}

static void servers_are_replaced_while_questions_are_under_way(void **state)
{
	struct world w;
	struct sent s;
	struct endpoint other = {.addr = ip_addr_v4(0x09090909), .port = 53};

	(void)state;
	begin(&w, 2);
	assert_int_equal(ask(&w, "a.example"), 0);
	s = *last(&w);
	assert_int_equal(forward_set_group(&w.f, 0, &other, 1), 0);
	assert_int_equal(ask(&w, "b.example"), 0);
	assert_int_equal(server_of(last(&w)), 9);
	give(&w, &s, 0);
	assert_int_equal(w.done, 1);
	give(&w, last(&w), 0);
	assert_int_equal(w.done, 2);
	assert_int_equal(forward_set_group(&w.f, 0, NULL, 0), 0);
	assert_int_equal(ask(&w, "c.example"), -ESRCH);
	end(&w);
}

static void questions_under_way_are_bounded(void **state)
{
	struct world w;

	(void)state;
	begin(&w, 2);
	for (uint32_t i = 0; i < FORWARD_JOBS_MAX; i++)
		assert_int_equal(ask(&w, "a.example"), 0);
	assert_int_equal(ask(&w, "a.example"), -ENOSPC);
	assert_true(
	    w.opened <= 2 * FORWARD_SLOTS_PER_SERVER + FORWARD_JOBS_MAX / FORWARD_SLOT_USES);
	run_until(&w, w.now + 10 * S);
	assert_int_equal(w.done, FORWARD_JOBS_MAX);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_question_goes_out_and_its_answer_comes_back),
	    cmocka_unit_test(forged_answers_are_ignored_d13),
	    cmocka_unit_test(no_two_questions_look_alike_d13),
	    cmocka_unit_test(a_socket_takes_a_bounded_number_of_questions),
	    cmocka_unit_test(a_dead_server_is_waited_for_once_d11),
	    cmocka_unit_test(a_server_that_cannot_be_reached_costs_no_time),
	    cmocka_unit_test(silence_ends_after_one_timeout_d12),
	    cmocka_unit_test(servfail_is_final_d13),
	    cmocka_unit_test(a_group_without_servers_is_refused),
	    cmocka_unit_test(truncated_answers_are_asked_for_by_tcp),
	    cmocka_unit_test(truncated_answers_wait_for_a_connection),
	    cmocka_unit_test(a_connection_that_ends_early_is_a_failure),
	    cmocka_unit_test(a_server_that_changes_the_case_is_understood),
	    cmocka_unit_test(a_server_without_edns_is_asked_without),
	    cmocka_unit_test(a_given_server_is_the_only_one_asked_d2),
	    cmocka_unit_test(a_given_server_that_changes_the_case_is_asked_without_d2),
	    cmocka_unit_test(servers_are_replaced_while_questions_are_under_way),
	    cmocka_unit_test(questions_under_way_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
