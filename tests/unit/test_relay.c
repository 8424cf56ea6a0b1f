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
	assert_int_equal(relay_init(&f.relay, pipe_ends[0], pair[1], is_foreign), 0);
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
	relay_run(&f.relay, "x");
	assert_written(&f, "one\ntwo\n");
	assert_written(&f, NULL);
	put(&f, "ee");
	relay_run(&f.relay, "x");
	assert_written(&f, NULL);
	put(&f, "\nfour");
	relay_run(&f.relay, "x");
	assert_written(&f, "three\n");
	close(f.in);
	f.in = -1;
	relay_run(&f.relay, "x");
	assert_written(&f, "four");
	assert_int_equal(f.relay.from, -1);
	relay_run(&f.relay, "x");
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
		relay_run(&f.relay, "x");
	}
	assert_int_equal(f.relay.len, 0);
	tear_down(&f);
}

static void control_characters_for_a_person_are_shown_as_question_marks(void **state)
{
	struct fixture f = set_up(true);

	(void)state;
	put(&f, "a\x1b[31m\r\x07\xc3\xa4\x7f\tb\n");
	relay_run(&f.relay, "x");
	assert_written(&f, "a?[31m??????b\n");
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
	relay_run(&f.relay, "(a failure is expected here)");
	assert_int_equal(f.relay.to, -1);
	put(&f, "two\n");
	relay_run(&f.relay, "x");
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
	    cmocka_unit_test(a_file_that_cannot_be_written_ends_writing_but_not_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
