/* SPDX-License-Identifier: Apache-2.0 */
/* Events as JSON lines: their exact form, and what happens when nobody reads (threats C15, C16). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "app/events.h"
#include "unit.h"

#define S  1000000000ULL
#define MS 1000000ULL

static struct endpoint endpoint(const char *addr, uint16_t port)
{
	struct endpoint e = {.port = port};

	assert_int_equal(ip_addr_parse(addr, &e.addr), 0);
	return e;
}

static struct engine_event flow_end(void)
{
	return (struct engine_event){
	    .kind = EVENT_FLOW_END,
	    .proto = POLICY_TCP,
	    .guest = endpoint("100.96.0.2", 40000),
	    .remote = endpoint("93.184.216.34", 443),
	    .verdict = {.action = POLICY_ALLOW, .rule = 1, .class = ADDR_PUBLIC},
	    .end = FLOW_END_CLOSED,
	    .start_ns = 5 * S,
	    .end_ns = 7 * S + 500 * MS,
	    .tx_bytes = 75,
	    .rx_bytes = 123456789012,
	};
}

static void assert_line(const struct engine_event *e, const char *rule, const char *expected)
{
	char buf[EVENT_LINE_MAX];
	struct text t = text_init(buf, sizeof(buf));

	event_format(&t, e, rule, 1795707885 * S + 123456789);
	assert_false(t.is_cut);
	assert_string_equal(buf, expected);
}

static void a_flow_is_told_at_its_end(void **state)
{
	struct engine_event e = flow_end();

	(void)state;
	assert_line(&e, "allow@public",
	    "{\"time\":\"2026-11-26T15:44:45.123456Z\",\"event\":\"flow_end\",\"proto\":\"tcp\","
	    "\"guest\":\"100.96.0.2\",\"guest_port\":40000,"
	    "\"remote\":\"93.184.216.34\",\"remote_port\":443,"
	    "\"class\":\"public\",\"verdict\":\"allow\",\"rule\":\"allow@public\",\"rule_number\":"
	    "1,"
	    "\"reason\":\"closed\",\"tx_bytes\":75,\"rx_bytes\":123456789012,"
	    "\"duration_us\":2500000}\n");
}

static void a_question_says_what_was_asked_and_answered(void **state)
{
	struct ip_addr addrs[] = {
	    endpoint("93.184.216.34", 0).addr, endpoint("93.184.216.35", 0).addr};
	struct name name;
	struct event_query query = {.name = &name, .type = 1, .addrs = addrs, .addr_count = 2};
	struct engine_event e = {
	    .kind = EVENT_QUERY,
	    .proto = POLICY_UDP,
	    .guest = endpoint("100.96.0.2", 40000),
	    .remote = endpoint("100.96.0.1", 53),
	    .verdict = {.action = POLICY_ALLOW, .rule = 0},
	    .query = &query,
	    .start_ns = 5 * S,
	    .end_ns = 5 * S + 3 * MS,
	    .count = 1,
	};

	(void)state;
	assert_int_equal(name_read("a.example", 9, &name, NULL), NAME_OK);
	assert_line(&e, "allow@dns",
	    "{\"time\":\"2026-11-26T15:44:45.123456Z\",\"event\":\"query\",\"proto\":\"udp\","
	    "\"guest\":\"100.96.0.2\",\"guest_port\":40000,"
	    "\"remote\":\"100.96.0.1\",\"remote_port\":53,"
	    "\"verdict\":\"allow\",\"rule\":\"allow@dns\",\"rule_number\":0,\"reason\":\"rule\","
	    "\"name\":\"a.example\",\"type\":\"A\",\"answer\":\"NOERROR\","
	    "\"addresses\":[\"93.184.216.34\",\"93.184.216.35\"],\"cached\":false,"
	    "\"duration_us\":3000,\"count\":1}\n");
	query.type = 64999;
	query.rcode = 3;
	query.addr_count = 0;
	query.is_cached = true;
	e.verdict = (struct policy_verdict){
	    .action = POLICY_DENY, .rule = POLICY_RULE_DEFAULT, .why = POLICY_WHY_DEFAULT};
	e.count = 12;
	assert_line(&e, "default",
	    "{\"time\":\"2026-11-26T15:44:45.123456Z\",\"event\":\"query\",\"proto\":\"udp\","
	    "\"guest\":\"100.96.0.2\",\"guest_port\":40000,"
	    "\"remote\":\"100.96.0.1\",\"remote_port\":53,"
	    "\"verdict\":\"deny\",\"rule\":\"default\",\"reason\":\"default\","
	    "\"name\":\"a.example\",\"type\":\"TYPE64999\",\"answer\":\"NXDOMAIN\","
	    "\"addresses\":[],\"cached\":true,\"duration_us\":3000,\"count\":12}\n");
}

static void a_denial_says_by_which_rule_and_how_often(void **state)
{
	struct engine_event e = {
	    .kind = EVENT_DENIED,
	    .proto = POLICY_UDP,
	    .guest = endpoint("fd42:6d73:62::2", 5353),
	    .remote = endpoint("fd00::1", 53),
	    .verdict = {.action = POLICY_DENY, .rule = POLICY_RULE_DEFAULT, .class = ADDR_PRIVATE},
	    .count = 12,
	};

	(void)state;
	assert_line(&e, "default",
	    "{\"time\":\"2026-11-26T15:44:45.123456Z\",\"event\":\"denied\",\"proto\":\"udp\","
	    "\"guest\":\"fd42:6d73:62::2\",\"guest_port\":5353,"
	    "\"remote\":\"fd00::1\",\"remote_port\":53,\"class\":\"private\",\"verdict\":\"deny\","
	    "\"rule\":\"default\",\"reason\":\"policy\",\"count\":12}\n");
}

static void a_refusal_by_a_limit_says_which(void **state)
{
	struct engine_event e = {
	    .kind = EVENT_REFUSED,
	    .proto = POLICY_TCP,
	    .guest = endpoint("100.96.0.2", 40000),
	    .remote = endpoint("93.184.216.34", 443),
	    .verdict = {.action = POLICY_ALLOW, .rule = 0, .class = ADDR_PUBLIC},
	    .reason = DROP_TCP_LIMIT,
	    .count = 1,
	};

	(void)state;
	assert_line(&e, "allow@any",
	    "{\"time\":\"2026-11-26T15:44:45.123456Z\",\"event\":\"refused\",\"proto\":\"tcp\","
	    "\"guest\":\"100.96.0.2\",\"guest_port\":40000,"
	    "\"remote\":\"93.184.216.34\",\"remote_port\":443,\"class\":\"public\","
	    "\"verdict\":\"allow\",\"rule\":\"allow@any\",\"rule_number\":0,"
	    "\"reason\":\"tcp_limit\",\"count\":1}\n");
}

static void ends_that_are_not_told_are_counted_c16(void **state)
{
	struct engine_event e = {.kind = EVENT_FLOW_ENDS_LIMITED, .count = 4711};

	(void)state;
	assert_line(&e, "default",
	    "{\"time\":\"2026-11-26T15:44:45.123456Z\",\"event\":\"flow_ends_limited\","
	    "\"count\":4711}\n");
}

static void echo_requests_have_no_ports(void **state)
{
	struct engine_event e = {
	    .kind = EVENT_DENIED,
	    .proto = POLICY_ICMP4,
	    .guest = endpoint("100.96.0.2", 0),
	    .remote = endpoint("169.254.169.254", 0),
	    .verdict = {.action = POLICY_DENY, .rule = POLICY_RULE_FLOOR, .class = ADDR_METADATA},
	    .count = 1,
	};

	(void)state;
	assert_line(&e, "floor",
	    "{\"time\":\"2026-11-26T15:44:45.123456Z\",\"event\":\"denied\",\"proto\":\"icmpv4\","
	    "\"guest\":\"100.96.0.2\",\"remote\":\"169.254.169.254\",\"class\":\"metadata\","
	    "\"verdict\":\"deny\",\"rule\":\"floor\",\"reason\":\"policy\",\"count\":1}\n");
}

static void foreign_text_cannot_end_a_line_or_colour_a_terminal_c15(void **state)
{
	struct engine_event e = flow_end();
	char buf[EVENT_LINE_MAX];
	struct text t = text_init(buf, sizeof(buf));

	(void)state;
	event_format(&t, &e, "a\"\n\x1b[31m\\", 0);
	assert_non_null(strstr(buf, "\"rule\":\"a\\\"\\u000a\\u001b[31m\\\\\""));
	assert_ptr_equal(strchr(buf, '\n'), buf + t.len - 1);
}

static void times_are_those_of_the_calendar(void **state)
{
	static const struct {
		uint64_t seconds;
		const char *text;
	} times[] = {
	    {0, "1970-01-01T00:00:00"},
	    {951782399, "2000-02-28T23:59:59"},
	    {951782400, "2000-02-29T00:00:00"},
	    {951868800, "2000-03-01T00:00:00"},
	    {1709164800, "2024-02-29T00:00:00"},
	    {1735689599, "2024-12-31T23:59:59"},
	    {1735689600, "2025-01-01T00:00:00"},
	    {4107542400, "2100-03-01T00:00:00"},
	};
	struct engine_event e = flow_end();

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		char buf[EVENT_LINE_MAX];
		struct text t = text_init(buf, sizeof(buf));

		event_format(&t, &e, "", times[i].seconds * S);
		assert_memory_equal(buf, "{\"time\":\"", 9);
		assert_memory_equal(buf + 9, times[i].text, 19);
		assert_memory_equal(buf + 28, ".000000Z\"", 9);
	}
}

/* A log on a pipe, and what has come out of it. */
struct fixture {
	struct policy *policy;
	struct event_log log;
	int out;
	char text[1 << 20];
	size_t len;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct policy_builder *b = policy_builder_new();
	int ends[2];

	assert_non_null(f);
	assert_non_null(b);
	assert_int_equal(policy_builder_compile(b, &f->policy), 0);
	policy_builder_free(b);
	assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
	assert_int_equal(event_log_init(&f->log, ends[1], f->policy), 0);
	f->out = ends[0];
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	event_log_fini(&f->log);
	if (f->out >= 0)
		close(f->out);
	policy_free(f->policy);
	free(f);
	return 0;
}

static void drain(struct fixture *f)
{
	ssize_t n;

	while ((n = read(f->out, f->text + f->len, sizeof(f->text) - f->len - 1)) > 0)
		f->len += (size_t)n;
	f->text[f->len] = '\0';
}

static size_t count_of(const struct fixture *f, const char *part)
{
	size_t count = 0;

	for (const char *at = f->text; (at = strstr(at, part)) != NULL; at++)
		count++;
	return count;
}

static void lines_wait_for_a_flush(void **state)
{
	struct fixture *f = *state;
	struct engine_event e = flow_end();

	event_log_add(&f->log, &e);
	drain(f);
	assert_int_equal(f->len, 0);
	event_log_flush(&f->log);
	drain(f);
	assert_int_equal(count_of(f, "\n"), 1);
	/* The default policy is profile public: rule 1 is allow@public. */
	assert_int_equal(count_of(f, "\"rule\":\"allow@public\""), 1);
}

static void what_nobody_reads_is_lost_but_counted_c16(void **state)
{
	static const size_t total = 5000;
	struct fixture *f = *state;
	struct engine_event e = flow_end();
	unsigned long lost = 0;
	size_t lines;

	for (size_t i = 0; i < total; i++) {
		event_log_add(&f->log, &e);
		event_log_flush(&f->log); /* never blocks */
	}
	assert_true(f->log.lost > 0);
	drain(f);
	event_log_flush(&f->log);
	drain(f);
	event_log_flush(&f->log);
	drain(f);
	assert_int_equal(f->log.lost, 0);
	assert_int_equal(f->log.len, 0);
	for (const char *at = f->text; (at = strstr(at, "events_lost\",\"count\":")) != NULL; at++)
		lost += strtoul(at + strlen("events_lost\",\"count\":"), NULL, 10);
	lines = count_of(f, "\"flow_end\"");
	assert_int_equal(lines + lost, total);
	/* Each line is whole. */
	assert_int_equal(count_of(f, "\n"), count_of(f, "{\"time\":\""));
	assert_int_equal(count_of(f, "}\n"), count_of(f, "{\"time\":\""));
}

static void a_reader_that_has_gone_is_no_failure(void **state)
{
	struct fixture *f = *state;
	struct engine_event e = flow_end();

	close(f->out);
	f->out = -1;
	event_log_add(&f->log, &e);
	event_log_flush(&f->log);
	assert_int_equal(f->log.fd, -1);
	event_log_add(&f->log, &e);
	event_log_flush(&f->log);
}

static void the_end_writes_what_waits(void **state)
{
	struct fixture *f = *state;
	struct engine_event e = flow_end();

	event_log_add(&f->log, &e);
	event_log_fini(&f->log);
	drain(f);
	assert_int_equal(count_of(f, "\n"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_flow_is_told_at_its_end),
	    cmocka_unit_test(a_question_says_what_was_asked_and_answered),
	    cmocka_unit_test(a_denial_says_by_which_rule_and_how_often),
	    cmocka_unit_test(a_refusal_by_a_limit_says_which),
	    cmocka_unit_test(ends_that_are_not_told_are_counted_c16),
	    cmocka_unit_test(echo_requests_have_no_ports),
	    cmocka_unit_test(foreign_text_cannot_end_a_line_or_colour_a_terminal_c15),
	    cmocka_unit_test(times_are_those_of_the_calendar),
	    cmocka_unit_test_setup_teardown(lines_wait_for_a_flush, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		what_nobody_reads_is_lost_but_counted_c16, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		a_reader_that_has_gone_is_no_failure, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(the_end_writes_what_waits, set_up, tear_down),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
