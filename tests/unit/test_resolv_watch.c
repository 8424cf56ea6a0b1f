/* SPDX-License-Identifier: Apache-2.0 */
/* The host's resolver configuration, followed (reference 1.8.6, 1.8.9). */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/resolv_watch.h"
#include "unit.h"

static char place[] = "/tmp/sluice-resolv-XXXXXX";
static char etc[64];
static char run[64];
static char path[96];
static char target[96];
static char other[96];

static void write_file(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(close(fd), 0);
}

static int begin(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(place));
	(void)snprintf(etc, sizeof(etc), "%s/etc", place);
	(void)snprintf(run, sizeof(run), "%s/run", place);
	(void)snprintf(path, sizeof(path), "%s/resolv.conf", etc);
	(void)snprintf(other, sizeof(other), "%s/other", etc);
	(void)snprintf(target, sizeof(target), "%s/stub.conf", run);
	return mkdir(etc, 0700) | mkdir(run, 0700);
}

static int end(void **state)
{
	(void)state;
	(void)unlink(path);
	(void)unlink(target);
	(void)unlink(other);
	return rmdir(etc) | rmdir(run) | rmdir(place);
}

static void a_file_that_appears_is_replaced_and_goes_is_seen(void **state)
{
	int fd = resolv_watch_open(path);

	(void)state;
	assert_true(fd >= 0);
	assert_false(resolv_watch_on_ready(fd, path));
	write_file(path);
	assert_true(resolv_watch_on_ready(fd, path));
	assert_false(resolv_watch_on_ready(fd, path));
	write_file(other);
	assert_true(resolv_watch_on_ready(fd, path));
	assert_int_equal(rename(other, path), 0);
	assert_true(resolv_watch_on_ready(fd, path));
	write_file(path);
	assert_true(resolv_watch_on_ready(fd, path));
	assert_int_equal(unlink(path), 0);
	assert_true(resolv_watch_on_ready(fd, path));
	assert_int_equal(close(fd), 0);
}

static void what_a_link_points_to_is_seen_too(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(symlink("../run/stub.conf", path), 0);
	fd = resolv_watch_open(path);
	assert_true(fd >= 0);
	write_file(target);
	assert_true(resolv_watch_on_ready(fd, path));
	/* A link made later leads to a directory that is watched from then on. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(close(fd), 0);
	fd = resolv_watch_open(path);
	assert_true(fd >= 0);
	assert_int_equal(symlink(target, path), 0);
	assert_true(resolv_watch_on_ready(fd, path));
	write_file(target);
	assert_true(resolv_watch_on_ready(fd, path));
	assert_int_equal(close(fd), 0);
}

static void a_directory_that_is_not_there_is_an_error(void **state)
{
	(void)state;
	assert_true(resolv_watch_open("/nonexistent/dir/resolv.conf") < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_file_that_appears_is_replaced_and_goes_is_seen),
	    cmocka_unit_test(what_a_link_points_to_is_seen_too),
	    cmocka_unit_test(a_directory_that_is_not_there_is_an_error),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
