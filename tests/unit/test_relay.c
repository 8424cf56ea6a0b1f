/* SPDX-License-Identifier: Apache-2.0 */
/* Lines from the engine's pipes to files. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/relay.h"
#include "unit.h"

/* A relay between a pipe and a socket pair of messages, so that each write can be seen by itself. */
struct fixture {
	struct relay relay;
	int in; /* -1: closed */
	int out;
};

static struct fixture set_up(bool is_foreign)
{
	struct fixture f;
	int pipe_ends[2];
	int pair[2];

	assert_int_equal(pipe2(pipe_ends, O_NONBLOCK | O_CLOEXEC), 0);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(relay_init(&f.relay, "(a failure to write is expected here)", pipe_ends[0],
			     pair[1], is_foreign),
	    0);
	f.in = pipe_ends[1];
	f.out = pair[0];
	return f;
}

static void tear_down(struct fixture *f)
{
	relay_fini(&f->relay);
	if (f->in >= 0)
		close(f->in);
	if (f->out >= 0)
		close(f->out);
}

static void put(const struct fixture *f, const char *text)
{
	assert_int_equal(write(f->in, text, strlen(text)), (ssize_t)strlen(text));
}

/* The next write of the relay must have been this; NULL: there was none. */
static void assert_written(const struct fixture *f, const char *expected)
{
	static char got[RELAY_SIZE + 1];
	ssize_t n = recv(f->out, got, sizeof(got) - 1, 0);

	if (expected == NULL) {
		assert_int_equal(n, -1);
		return;
	}
	assert_true(n >= 0);
	got[n] = '\0';
	assert_string_equal(got, expected);
}

static void lines_are_written_whole(void **state)
{
	struct fixture f = set_up(false);

	(void)state;
	put(&f, "one\ntwo\nthr");
	relay_run(&f.relay);
	assert_written(&f, "one\ntwo\n");
	assert_written(&f, NULL);
	put(&f, "ee");
	relay_run(&f.relay);
	assert_written(&f, NULL);
	put(&f, "\nfour");
	relay_run(&f.relay);
	assert_written(&f, "three\n");
	close(f.in);
	f.in = -1;
	relay_run(&f.relay);
	assert_written(&f, "four");
	assert_int_equal(f.relay.from, -1);
	relay_run(&f.relay);
	tear_down(&f);
}

static void a_line_without_end_is_written_when_the_buffer_is_full(void **state)
{
	struct fixture f = set_up(false);
	static char part[4096 + 1];

	(void)state;
	memset(part, 'x', 4096);
	for (size_t i = 0; i < RELAY_SIZE / 4096; i++) {
		assert_written(&f, NULL);
		put(&f, part);
		relay_run(&f.relay);
	}
	/* Each write is a message here, and only a few of them are kept. */
	while (f.relay.len > 0) {
		assert_true(recv(f.out, part, 4096, 0) > 0);
		relay_run(&f.relay);
	}
	tear_down(&f);
}

static void control_characters_for_a_person_are_shown_as_question_marks(void **state)
{
	struct fixture f = set_up(true);

	(void)state;
	put(&f, "a\x1b[31m\r\x07\xc3\xa4\x7f\tb\n");
	relay_run(&f.relay);
	assert_written(&f, "a?[31m??????b\n");
	tear_down(&f);
}

static void a_reader_who_does_not_read_is_waited_for_without_blocking(void **state)
{
	struct fixture f = set_up(false);
	int slow[2];
	char line[1001];
	size_t put_in = 0;
	size_t taken = 0;
	static char got[1 << 16];
	ssize_t n;

	(void)state;
	memset(line, 'x', 999);
	line[999] = '\n';
	line[1000] = '\0';
	assert_int_equal(pipe2(slow, O_CLOEXEC), 0); /* a blocking one */
	close(f.relay.to);
	f.relay.to = slow[1];
	while (write(f.in, line, 1000) == 1000 && put_in < 300000) {
		put_in += 1000;
		relay_run(&f.relay);
	}
	assert_true(f.relay.ready > 0);
	assert_int_equal(relay_pollfd(&f.relay).fd, slow[1]);
	assert_int_equal(relay_pollfd(&f.relay).events, POLLOUT);
	close(f.in);
	f.in = -1;
	assert_int_equal(fcntl(slow[0], F_SETFL, O_NONBLOCK), 0);
	while (f.relay.from >= 0 || f.relay.ready > 0) {
		while ((n = read(slow[0], got, sizeof(got))) > 0)
			taken += (size_t)n;
		relay_run(&f.relay);
	}
	while ((n = read(slow[0], got, sizeof(got))) > 0)
		taken += (size_t)n;
	assert_int_equal(taken, put_in);
	close(slow[0]);
	tear_down(&f);
}

static void at_the_end_the_rest_is_written_or_its_loss_told(void **state)
{
	struct fixture f = set_up(false);
	char full[4096];
	int slow[2];

	(void)state;
	assert_int_equal(pipe2(slow, O_CLOEXEC | O_NONBLOCK), 0);
	memset(full, 'x', sizeof(full));
	while (write(slow[1], full, sizeof(full)) > 0)
		;
	close(f.relay.to);
	f.relay.to = slow[1];
	put(&f, "one\n");
	relay_finish(&f.relay, 0);
	assert_int_equal(f.relay.ready, 4);
	while (read(slow[0], full, sizeof(full)) > 0)
		;
	relay_finish(&f.relay, 0);
	assert_int_equal(f.relay.ready, 0);
	assert_int_equal(read(slow[0], full, sizeof(full)), 4);
	close(slow[0]);
	tear_down(&f);
}

static void a_file_that_cannot_be_written_ends_writing_but_not_reading(void **state)
{
	struct fixture f = set_up(false);
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	assert_true(full >= 0);
	close(f.relay.to);
	f.relay.to = full;
	put(&f, "one\n");
	relay_run(&f.relay);
	assert_int_equal(f.relay.to, -1);
	put(&f, "two\n");
	relay_run(&f.relay);
	assert_int_equal(f.relay.len, 0);
	assert_true(f.relay.from >= 0);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lines_are_written_whole),
	    cmocka_unit_test(a_line_without_end_is_written_when_the_buffer_is_full),
	    cmocka_unit_test(control_characters_for_a_person_are_shown_as_question_marks),
	    cmocka_unit_test(a_reader_who_does_not_read_is_waited_for_without_blocking),
	    cmocka_unit_test(at_the_end_the_rest_is_written_or_its_loss_told),
	    cmocka_unit_test(a_file_that_cannot_be_written_ends_writing_but_not_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
