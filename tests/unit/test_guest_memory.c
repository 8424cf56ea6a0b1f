/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of a guest: tables of regions, holes, files that shrink (threats.md P19). */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "port/guest_memory.h"

enum {
	PAGE = 4096,
	FILE_PAGES = 16,
};

#define UVA 0x7f0000000000ULL

static int make_file(off_t size)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	return fd;
}

static int add(struct guest_memory *m, int fd, uint64_t gpa, uint64_t size, uint64_t offset)
{
	const struct vhost_user_region r = {
	    .gpa = gpa, .size = size, .uva = UVA + gpa, .mmap_offset = offset};

	return guest_memory_add(m, &r, fd);
}

static int remove_region(struct guest_memory *m, uint64_t gpa, uint64_t size)
{
	const struct vhost_user_region r = {.gpa = gpa, .size = size, .uva = UVA + gpa};

	return guest_memory_remove(m, &r);
}

struct fixture {
	struct guest_memory m;
	int fd;
	uint8_t *file; /* the guest's own view */
};

static void start(struct fixture *f)
{
	f->fd = make_file(FILE_PAGES * PAGE);
	f->file = mmap(NULL, FILE_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	assert_true(f->file != MAP_FAILED);
	for (size_t i = 0; i < FILE_PAGES; i++)
		f->file[i * PAGE] = (uint8_t)(i + 1);
	assert_int_equal(guest_memory_init(&f->m), 0);
	guest_memory_enter(&f->m);
}

static void end(struct fixture *f)
{
	guest_memory_fini(&f->m);
	assert_int_equal(munmap(f->file, FILE_PAGES * PAGE), 0);
	(void)close(f->fd);
}

static uint32_t slice(struct fixture *f, uint64_t gpa, uint64_t len, struct iovec iov[4])
{
	return guest_memory_slice(&f->m, gpa, len, iov, 4);
}

static void an_address_is_found_in_its_region_at_its_offset_of_the_file(void **state)
{
	struct iovec iov[4];
	struct fixture f;

	(void)state;
	start(&f);
	/* In another order than that of addresses; offsets need not be those of pages. */
	assert_int_equal(add(&f.m, f.fd, 0x100000, 2 * PAGE, 4 * PAGE), 0);
	assert_int_equal(add(&f.m, f.fd, 0, PAGE, 0), 0);
	assert_int_equal(add(&f.m, f.fd, 0x80000, PAGE, 100), 0);
	assert_int_equal(slice(&f, 0, PAGE, iov), 1);
	assert_int_equal(*(uint8_t *)iov[0].iov_base, 1);
	assert_int_equal(iov[0].iov_len, PAGE);
	assert_int_equal(slice(&f, 0x101000, 1, iov), 1);
	assert_int_equal(*(uint8_t *)iov[0].iov_base, 6);
	assert_int_equal(slice(&f, 0x80000 + PAGE - 100, 1, iov), 1);
	assert_int_equal(*(uint8_t *)iov[0].iov_base, 2);
	/* What is written there, the guest sees. */
	*(uint8_t *)iov[0].iov_base = 99;
	assert_int_equal(f.file[PAGE], 99);
	end(&f);
}

static void what_is_not_in_a_region_from_end_to_end_is_no_memory(void **state)
{
	struct iovec iov[4];
	struct fixture f;

	(void)state;
	start(&f);
	assert_int_equal(slice(&f, 0, 1, iov), 0);
	assert_int_equal(add(&f.m, f.fd, PAGE, PAGE, 0), 0);
	assert_int_equal(add(&f.m, f.fd, 4ULL * PAGE, PAGE, PAGE), 0);
	assert_int_equal(slice(&f, PAGE - 1, 1, iov), 0);
	assert_int_equal(slice(&f, PAGE - 1, 2, iov), 0);
	assert_int_equal(slice(&f, PAGE, 0, iov), 0);
	assert_int_equal(slice(&f, PAGE, PAGE, iov), 1);
	assert_int_equal(slice(&f, PAGE, PAGE + 1, iov), 0);
	assert_int_equal(slice(&f, 2 * PAGE - 1, 2, iov), 0);
	assert_int_equal(slice(&f, 2 * PAGE, 1, iov), 0);
	assert_int_equal(slice(&f, 3 * PAGE, 2 * PAGE, iov), 0);
	assert_int_equal(slice(&f, 5 * PAGE - 1, 1, iov), 1);
	assert_int_equal(slice(&f, 5 * PAGE, 1, iov), 0);
	assert_int_equal(slice(&f, UINT64_MAX, 2, iov), 0);
	assert_int_equal(slice(&f, PAGE, UINT64_MAX, iov), 0);
	assert_int_equal(slice(&f, 5 * PAGE - 1, UINT64_MAX - PAGE, iov), 0);
	end(&f);
}

static void a_buffer_that_crosses_regions_is_split(void **state)
{
	struct iovec iov[4];
	struct fixture f;

	(void)state;
	start(&f);
	/* Adjoining for the guest, apart in the file. */
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(add(&f.m, f.fd, i * PAGE, PAGE, 2 * i * PAGE), 0);
	assert_int_equal(slice(&f, PAGE - 10, 20, iov), 2);
	assert_int_equal(iov[0].iov_len, 10);
	assert_int_equal(iov[1].iov_len, 10);
	assert_int_equal(*(uint8_t *)iov[1].iov_base, 3);
	assert_int_equal(slice(&f, 10, 4 * PAGE - 10, iov), 4);
	assert_int_equal(slice(&f, 10, 4 * PAGE, iov), 0); /* five pieces, of four */
	end(&f);
}

static void addresses_of_the_front_end_must_lie_in_one_region(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	assert_int_equal(add(&f.m, f.fd, 0, PAGE, 0), 0);
	assert_int_equal(add(&f.m, f.fd, PAGE, PAGE, 3 * PAGE), 0);
	assert_int_equal(*(uint8_t *)guest_memory_at_uva(&f.m, UVA + PAGE, PAGE), 4);
	assert_non_null(guest_memory_at_uva(&f.m, UVA + PAGE - 8, 8));
	assert_null(guest_memory_at_uva(&f.m, UVA + PAGE - 8, 9));
	assert_null(guest_memory_at_uva(&f.m, UVA - 1, 1));
	assert_null(guest_memory_at_uva(&f.m, UVA + 2 * PAGE, 1));
	assert_null(guest_memory_at_uva(&f.m, UVA + PAGE, UINT64_MAX));
	assert_null(guest_memory_at_uva(&f.m, UINT64_MAX, 1));
	end(&f);
}

static void regions_that_overlap_are_refused(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	assert_int_equal(add(&f.m, f.fd, 2 * PAGE, 2 * PAGE, 0), 0);
	assert_int_equal(add(&f.m, f.fd, 2 * PAGE, 2 * PAGE, 0), -EEXIST);
	assert_int_equal(add(&f.m, f.fd, PAGE, PAGE + 1, 0), -EEXIST);
	assert_int_equal(add(&f.m, f.fd, 4 * PAGE - 1, PAGE, 0), -EEXIST);
	assert_int_equal(add(&f.m, f.fd, 0, 10 * PAGE, 0), -EEXIST);
	assert_int_equal(add(&f.m, f.fd, 3 * PAGE, 1, 0), -EEXIST);
	assert_int_equal(add(&f.m, f.fd, 4 * PAGE, PAGE, 0), 0);
	assert_int_equal(add(&f.m, f.fd, 0, 2 * PAGE, 0), 0);
	assert_int_equal(f.m.count, 3);
	end(&f);
}

static void a_region_that_its_file_does_not_hold_is_refused(void **state)
{
	struct fixture f;
	int pipes[2];
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	start(&f);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(add(&f.m, f.fd, 0, FILE_PAGES * PAGE + 1, 0), -EINVAL);
	assert_int_equal(add(&f.m, f.fd, 0, PAGE, FILE_PAGES * PAGE - PAGE + 1), -EINVAL);
	assert_int_equal(add(&f.m, f.fd, 0, PAGE, UINT64_MAX - PAGE), -EINVAL);
	assert_int_equal(add(&f.m, f.fd, 0, UINT64_MAX / 2, 0), -EINVAL);
	assert_int_equal(add(&f.m, pipes[0], 0, PAGE, 0), -EINVAL);
	assert_int_equal(add(&f.m, sock, 0, PAGE, 0), -EINVAL);
	assert_int_equal(add(&f.m, directory, 0, PAGE, 0), -EINVAL);
	assert_int_equal(add(&f.m, -1, 0, PAGE, 0), -EBADF);
	assert_int_equal(f.m.count, 0);
	assert_int_equal(add(&f.m, f.fd, 0, FILE_PAGES * PAGE, 0), 0);
	(void)close(pipes[0]);
	(void)close(pipes[1]);
	(void)close(sock);
	(void)close(directory);
	end(&f);
}

static void there_are_509_regions_at_most_in_any_order(void **state)
{
	struct iovec iov[4];
	struct fixture f;

	(void)state;
	start(&f);
	for (uint64_t i = 0; i < GUEST_MEMORY_SLOTS; i++) {
		uint64_t k = i * 7 % GUEST_MEMORY_SLOTS;

		assert_int_equal(add(&f.m, f.fd, k << 20, PAGE, k % FILE_PAGES * PAGE), 0);
	}
	assert_int_equal(add(&f.m, f.fd, 1ULL << 40, PAGE, 0), -ENOSPC);
	for (uint64_t i = 0; i < GUEST_MEMORY_SLOTS; i++) {
		assert_int_equal(slice(&f, i << 20, PAGE, iov), 1);
		assert_int_equal(*(uint8_t *)iov[0].iov_base, i % FILE_PAGES + 1);
	}
	end(&f);
}

static void a_removed_region_is_no_memory_any_more(void **state)
{
	struct iovec iov[4];
	struct fixture f;

	(void)state;
	start(&f);
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(add(&f.m, f.fd, i * PAGE, PAGE, i * PAGE), 0);
	assert_int_equal(remove_region(&f.m, PAGE, PAGE + 1), -ENOENT);
	assert_int_equal(remove_region(&f.m, PAGE + 1, PAGE), -ENOENT);
	assert_int_equal(remove_region(&f.m, 3 * PAGE, PAGE), -ENOENT);
	assert_int_equal(slice(&f, PAGE, PAGE, iov), 1);
	assert_int_equal(remove_region(&f.m, PAGE, PAGE), 0);
	assert_int_equal(remove_region(&f.m, PAGE, PAGE), -ENOENT);
	assert_int_equal(slice(&f, PAGE, PAGE, iov), 0);
	assert_int_equal(slice(&f, 0, PAGE, iov), 1);
	assert_int_equal(slice(&f, 2 * PAGE, PAGE, iov), 1);
	assert_int_equal(*(uint8_t *)iov[0].iov_base, 3);
	guest_memory_clear(&f.m);
	assert_int_equal(slice(&f, 0, PAGE, iov), 0);
	end(&f);
}

static void written_pages_are_noted_in_the_log_and_nothing_behind_its_end(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	assert_int_equal(guest_map_file(f.fd, PAGE, 8, &f.m.log), 0);
	f.m.log_bits = f.m.log.at + PAGE;
	f.m.log_size = 2; /* 16 pages */
	f.file[PAGE] = 0;
	guest_memory_mark(&f.m, 0, PAGE);
	assert_int_equal(f.file[PAGE], 0); /* nobody asked for it */
	f.m.is_logging = true;
	guest_memory_mark(&f.m, 0, 0);
	assert_int_equal(f.file[PAGE], 0);
	guest_memory_mark(&f.m, PAGE - 1, 1);
	assert_int_equal(f.file[PAGE], 1);
	guest_memory_mark(&f.m, 3 * PAGE - 1, 2);
	assert_int_equal(f.file[PAGE], 0x0d);
	guest_memory_mark(&f.m, 15 * PAGE, 100 * PAGE);
	guest_memory_mark(&f.m, UINT64_MAX, 1);
	guest_memory_mark(&f.m, UINT64_MAX - 10, 100);
	assert_int_equal(f.file[PAGE + 1], 0x80);
	assert_int_equal(f.file[PAGE + 2], 0);
	end(&f);
}

static void memory_that_vanishes_reads_as_zeros_and_the_owner_is_told(void **state)
{
	struct iovec iov[4];
	struct fixture f;
	volatile uint8_t *at;
	volatile uint8_t *other;
	int other_fd = make_file(PAGE);

	(void)state;
	start(&f);
	assert_int_equal(add(&f.m, f.fd, 0, 8 * PAGE, 0), 0);
	assert_int_equal(add(&f.m, other_fd, 8 * PAGE, PAGE, 0), 0);
	assert_int_equal(slice(&f, 0, 9 * PAGE, iov), 2);
	at = iov[0].iov_base;
	other = iov[1].iov_base;
	other[0] = 42;
	assert_int_equal(at[5 * PAGE], 6);
	assert_false(f.m.is_lost);
	assert_int_equal(ftruncate(f.fd, PAGE), 0);
	assert_int_equal(at[0], 1);
	assert_false(f.m.is_lost);
	assert_int_equal(at[5 * PAGE], 0);
	assert_true(f.m.is_lost);
	at[6 * PAGE] = 1; /* writing is harmless, too */
	assert_int_equal(at[0], 0);
	assert_int_equal(other[0], 42);
	guest_memory_clear(&f.m);
	assert_false(f.m.is_lost);
	(void)close(other_fd);
	end(&f);
}

static void a_log_that_vanishes_is_survived_as_well(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	assert_int_equal(guest_map_file(f.fd, 0, PAGE, &f.m.log), 0);
	f.m.log_bits = f.m.log.at;
	f.m.log_size = PAGE;
	f.m.is_logging = true;
	assert_int_equal(ftruncate(f.fd, 0), 0);
	guest_memory_mark(&f.m, 0, PAGE);
	assert_true(f.m.is_lost);
	assert_int_equal(ftruncate(f.fd, FILE_PAGES * PAGE), 0);
	end(&f);
}

/* Of memory that is nobody's, where nobody else takes the signal. */
static void die_of_another_mapping(void)
{
	int fd = make_file(PAGE);
	volatile uint8_t *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct guest_memory m;

	(void)signal(SIGBUS, SIG_DFL);
	if (guest_memory_init(&m) || ftruncate(fd, 0))
		_exit(1);
	at[0] = 1;
	_exit(2);
}

static void a_bus_error_elsewhere_is_not_hidden(void **state)
{
	struct fixture f;
	int status;
	pid_t child;

	(void)state;
	start(&f);
	assert_int_equal(add(&f.m, f.fd, 0, 8 * PAGE, 0), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		die_of_another_mapping();
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_address_is_found_in_its_region_at_its_offset_of_the_file),
	    cmocka_unit_test(what_is_not_in_a_region_from_end_to_end_is_no_memory),
	    cmocka_unit_test(a_buffer_that_crosses_regions_is_split),
	    cmocka_unit_test(addresses_of_the_front_end_must_lie_in_one_region),
	    cmocka_unit_test(regions_that_overlap_are_refused),
	    cmocka_unit_test(a_region_that_its_file_does_not_hold_is_refused),
	    cmocka_unit_test(there_are_509_regions_at_most_in_any_order),
	    cmocka_unit_test(a_removed_region_is_no_memory_any_more),
	    cmocka_unit_test(written_pages_are_noted_in_the_log_and_nothing_behind_its_end),
	    cmocka_unit_test(memory_that_vanishes_reads_as_zeros_and_the_owner_is_told),
	    cmocka_unit_test(a_log_that_vanishes_is_survived_as_well),
	    cmocka_unit_test(a_bus_error_elsewhere_is_not_hidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
