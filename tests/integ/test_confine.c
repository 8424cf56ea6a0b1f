/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engine's process can still do once it is confined: each call is made in a process of its own,
 * which must live through it, or die by SIGSYS. As root, all is done twice: as root and as a user.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../unit/unit.h"
#include "app/confine.h"

enum {
	USER_ID = 23456, /* of nobody in particular */
	PASSED = 0,
	FAILED = 1,
	NOT_CONFINED = 2,
};

static bool as_user; /* the children give root's identity away first */

/* The descriptors that a confined child keeps: a pipe to say that it is ready, one to wait on. */
struct pipes {
	int ready[2];
	int go[2];
};

/* Makes a confined process which runs body and ends with its result. */
static pid_t start(const struct pipes *p, int (*body)(const struct pipes *p))
{
	pid_t parent = getpid();
	struct confinement c = {.fds = {-1, -1, -1, -1, -1, -1}, .parent = parent};
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	if (as_user && (setgroups(0, NULL) < 0 || setresgid(USER_ID, USER_ID, USER_ID) < 0 ||
			   setresuid(USER_ID, USER_ID, USER_ID) < 0))
		_exit(NOT_CONFINED);
	/* A change of identity makes a process untraceable, and its files in /proc root's. */
	if (prctl(PR_SET_DUMPABLE, 1) < 0)
		_exit(NOT_CONFINED);
	if (p != NULL) {
		c.fds[0] = p->ready[1];
		c.fds[1] = p->go[0];
	}
	if (confine_engine(&c) < 0)
		_exit(NOT_CONFINED);
	_exit(body(p));
}

static int status_of(int (*body)(const struct pipes *p))
{
	int status;
	pid_t pid = start(NULL, body);

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Calls that must end the process. */

static int try_open(const struct pipes *p)
{
	(void)p;
	return open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 ? PASSED : FAILED;
}

static int try_open_by_number(const struct pipes *p)
{
	(void)p;
#ifdef SYS_open
	return syscall(SYS_open, "/", O_RDONLY) < 0 ? PASSED : FAILED;
#else
	return try_open(p);
#endif
}

static int try_stat(const struct pipes *p)
{
	struct stat st;

	(void)p;
	return stat("/", &st) < 0 ? PASSED : FAILED;
}

static int try_unlink(const struct pipes *p)
{
	(void)p;
	return unlink("/etc/passwd") < 0 ? PASSED : FAILED;
}

static int try_execve(const struct pipes *p)
{
	char *const argv[] = {(char[]){"true"}, NULL};

	(void)p;
	return execve("/bin/true", argv, NULL);
}

static int try_fork(const struct pipes *p)
{
	(void)p;
	return fork() < 0 ? PASSED : FAILED;
}

static int try_ptrace(const struct pipes *p)
{
	(void)p;
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? PASSED : FAILED;
}

static int try_kill_parent(const struct pipes *p)
{
	(void)p;
	return kill(getppid(), 0) < 0 ? PASSED : FAILED;
}

static int try_tgkill_other_signal(const struct pipes *p)
{
	(void)p;
	return syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGWINCH) < 0 ? PASSED : FAILED;
}

static int try_unix_socket(const struct pipes *p)
{
	(void)p;
	return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? PASSED : FAILED;
}

static int try_socketpair(const struct pipes *p)
{
	int pair[2];

	(void)p;
	return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 ? PASSED : FAILED;
}

static int try_netlink_socket(const struct pipes *p)
{
	(void)p;
	return socket(AF_NETLINK, SOCK_RAW, 0) < 0 ? PASSED : FAILED;
}

static int try_raw_socket(const struct pipes *p)
{
	(void)p;
	return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0 ? PASSED : FAILED;
}

static int try_sctp_socket(const struct pipes *p)
{
	(void)p;
	return socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP) < 0 ? PASSED : FAILED;
}

static int try_vsock_in_disguise(const struct pipes *p)
{
	(void)p;
	/* The kernel looks at the lower half of an argument only. */
	return syscall(SYS_socket, 40L | 1L << 33, SOCK_STREAM, 0) < 0 ? PASSED : FAILED;
}

static int try_listen(const struct pipes *p)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)p;
	return listen(fd, 1) < 0 ? PASSED : FAILED;
}

static int try_bind(const struct pipes *p)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)p;
	return bind(fd, (const struct sockaddr *)&any, sizeof(any));
}

static int try_share_port(const struct pipes *p)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int one = 1;

	(void)p;
	return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
}

static int try_bind_to_device(const struct pipes *p)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)p;
	return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) < 0 ? PASSED : FAILED;
}

static int try_packet_filter(const struct pipes *p)
{
	static const int ipt_so_set_replace = 64;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)p;
	return setsockopt(fd, IPPROTO_IP, ipt_so_set_replace, "", 0) < 0 ? PASSED : FAILED;
}

static int try_executable_memory(const struct pipes *p)
{
	(void)p;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
		       MAP_FAILED
		   ? PASSED
		   : FAILED;
}

static int try_make_memory_executable(const struct pipes *p)
{
	void *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)p;
	return mprotect(m, 4096, PROT_READ | PROT_EXEC) < 0 ? PASSED : FAILED;
}

static int try_unshare(const struct pipes *p)
{
	(void)p;
	return unshare(CLONE_NEWUSER) < 0 ? PASSED : FAILED;
}

static int try_setns(const struct pipes *p)
{
	(void)p;
	return setns(STDERR_FILENO, 0) < 0 ? PASSED : FAILED;
}

static int try_mount(const struct pipes *p)
{
	(void)p;
	return (int)syscall(SYS_mount, "none", "/", "tmpfs", 0, NULL);
}

static int try_dumpable(const struct pipes *p)
{
	(void)p;
	return prctl(PR_SET_DUMPABLE, 1);
}

static int try_limit(const struct pipes *p)
{
	struct rlimit l = {.rlim_cur = 1, .rlim_max = 1};

	(void)p;
	return setrlimit(RLIMIT_NOFILE, &l);
}

static int try_foreign_ioctl(const struct pipes *p)
{
	static const unsigned long tiocsti = 0x5412;

	(void)p;
	return (int)syscall(SYS_ioctl, STDERR_FILENO, tiocsti, "x");
}

static int try_io_uring(const struct pipes *p)
{
	(void)p;
	return (int)syscall(SYS_io_uring_setup, 1, NULL);
}

static int try_process_memory(const struct pipes *p)
{
	(void)p;
	return (int)syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
}

struct named_body {
	const char *name;
	int (*body)(const struct pipes *p);
};

#define NAMED(body)                                                                                \
	{                                                                                          \
#body, body                                                                        \
	}
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void forbidden_calls_end_the_process(void **state)
{
	static const struct named_body calls[] = {NAMED(try_open), NAMED(try_open_by_number),
	    NAMED(try_stat), NAMED(try_unlink), NAMED(try_execve), NAMED(try_fork),
	    NAMED(try_ptrace), NAMED(try_kill_parent), NAMED(try_tgkill_other_signal),
	    NAMED(try_unix_socket), NAMED(try_socketpair), NAMED(try_netlink_socket),
	    NAMED(try_raw_socket), NAMED(try_sctp_socket), NAMED(try_vsock_in_disguise),
	    NAMED(try_listen), NAMED(try_bind), NAMED(try_share_port), NAMED(try_bind_to_device),
	    NAMED(try_packet_filter), NAMED(try_executable_memory),
	    NAMED(try_make_memory_executable), NAMED(try_unshare), NAMED(try_setns),
	    NAMED(try_mount), NAMED(try_dumpable), NAMED(try_limit), NAMED(try_foreign_ioctl),
	    NAMED(try_io_uring), NAMED(try_process_memory)};

	(void)state;
	for (size_t i = 0; i < COUNT(calls); i++) {
		int status = status_of(calls[i].body);

		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s: wait status %#x", calls[i].name, (unsigned int)status);
	}
}

/* What an engine does must go on working. */
static int do_an_engines_work(const struct pipes *p)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(1)};
	struct timespec now;
	int one = 1;
	int tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int tcp6 = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN};
	char *memory = malloc(1 << 24);
	char byte;

	(void)p;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (tcp < 0 || tcp6 < 0 || udp < 0 || epoll < 0 || memory == NULL)
		return FAILED;
	memset(memory, 1, 1 << 24);
	free(memory);
	if (setsockopt(tcp, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
	    setsockopt(tcp, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)) < 0)
		return FAILED;
	if (connect(udp, (const struct sockaddr *)&to, sizeof(to)) < 0 ||
	    (connect(tcp, (const struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS &&
		errno != ECONNREFUSED && errno != ENETUNREACH))
		return FAILED;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, udp, &event) < 0 || epoll_wait(epoll, &event, 1, 0) < 0)
		return FAILED;
	if (clock_gettime(CLOCK_MONOTONIC, &now) < 0 || getrandom(&byte, 1, 0) != 1)
		return FAILED;
	(void)send(udp, "x", 1, MSG_NOSIGNAL);
	(void)recv(udp, &byte, 1, MSG_DONTWAIT);
	(void)shutdown(tcp, SHUT_WR);
	return close(tcp) == 0 && close(tcp6) == 0 && close(udp) == 0 ? PASSED : FAILED;
}

static void the_work_of_an_engine_goes_on(void **state)
{
	(void)state;
	assert_int_equal(status_of(do_an_engines_work), 0);
}

static int do_abort(const struct pipes *p)
{
	(void)p;
	abort();
}

static void a_failed_assertion_is_seen_as_one(void **state)
{
	int status = status_of(do_abort);

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_false(WCOREDUMP(status));
}

/* Says that it is ready, and waits for the other end to be closed. */
static int wait_for_end(const struct pipes *p)
{
	char byte;

	if (write(p->ready[1], "x", 1) != 1)
		return FAILED;
	return read(p->go[0], &byte, 1) == 0 ? PASSED : FAILED;
}

/* A confined process that waits. */
static pid_t start_waiting(struct pipes *p)
{
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(p->ready, O_CLOEXEC), 0);
	assert_int_equal(pipe2(p->go, O_CLOEXEC), 0);
	pid = start(p, wait_for_end);
	close(p->ready[1]);
	close(p->go[0]);
	if (read(p->ready[0], &byte, 1) != 1)
		fail_msg("the process is not ready");
	return pid;
}

static void end_waiting(struct pipes *p, pid_t pid)
{
	int status;

	close(p->go[1]);
	close(p->ready[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* The value of a line of /proc/PID/status. */
static void assert_status(pid_t pid, const char *key, const char *expected)
{
	char path[64];
	char line[256];
	bool is_found = false;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (!is_found && fgets(line, sizeof(line), f) != NULL) {
		size_t len = strlen(key);

		if (strncmp(line, key, len) != 0 || line[len] != ':')
			continue;
		is_found = true;
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line + len + 2, expected) != 0)
			fail_msg("%s: %s, not %s", key, line + len + 2, expected);
	}
	(void)fclose(f);
	assert_true(is_found);
}

static size_t count_entries(pid_t pid, const char *name)
{
	char path[64];
	size_t count = 0;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	dir = opendir(path);
	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count - 2; /* . and .. */
}

static void nothing_is_left_of_rights_and_surroundings(void **state)
{
	static const char none[] = "0000000000000000";
	struct pipes p;
	pid_t pid = start_waiting(&p);

	(void)state;
	assert_status(pid, "Seccomp", "2");
	assert_status(pid, "NoNewPrivs", "1");
	assert_status(pid, "CapInh", none);
	assert_status(pid, "CapPrm", none);
	assert_status(pid, "CapEff", none);
	assert_status(pid, "CapBnd", none);
	assert_status(pid, "CapAmb", none);
	assert_int_equal(getsid(pid), pid);
	if (geteuid() == 0) {
		assert_status(pid, "Uid",
		    as_user ? "23456\t23456\t23456\t23456" : "65534\t65534\t65534\t65534");
		assert_status(pid, "Gid",
		    as_user ? "23456\t23456\t23456\t23456" : "65534\t65534\t65534\t65534");
		assert_status(pid, "Groups", " ");
		/* Only who may trace the process sees these. */
		assert_int_equal(count_entries(pid, "root"), 0);
		assert_int_equal(count_entries(pid, "cwd"), 0);
		assert_int_equal(count_entries(pid, "fd"), 5);
	}
	end_waiting(&p, pid);
}

static void the_process_ends_with_its_parent(void **state)
{
	struct pipes p;
	struct pollfd end;
	char byte;
	pid_t middle;

	(void)state;
	assert_int_equal(pipe2(p.ready, O_CLOEXEC), 0);
	assert_int_equal(pipe2(p.go, O_CLOEXEC), 0);
	middle = fork();
	assert_true(middle >= 0);
	if (middle == 0) {
		(void)start(&p, wait_for_end);
		for (;;)
			pause();
	}
	close(p.ready[1]);
	assert_int_equal(read(p.ready[0], &byte, 1), 1);
	assert_int_equal(kill(middle, SIGKILL), 0);
	assert_int_equal(waitpid(middle, NULL, 0), middle);
	/* Its end of the pipe goes with it. */
	end = (struct pollfd){.fd = p.ready[0], .events = POLLIN};
	assert_int_equal(poll(&end, 1, 60000), 1);
	assert_int_equal(read(p.ready[0], &byte, 1), 0);
	close(p.ready[0]);
	close(p.go[0]);
	close(p.go[1]);
}

static void a_parent_that_has_gone_already_is_noticed(void **state)
{
	struct confinement c = {.fds = {-1, -1, -1, -1, -1, -1}, .parent = 1};
	int status;
	pid_t pid;

	(void)state;
	c.parent = getppid(); /* not the parent of the child */
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(confine_engine(&c) < 0 ? PASSED : FAILED);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(forbidden_calls_end_the_process),
	    cmocka_unit_test(the_work_of_an_engine_goes_on),
	    cmocka_unit_test(a_failed_assertion_is_seen_as_one),
	    cmocka_unit_test(nothing_is_left_of_rights_and_surroundings),
	    cmocka_unit_test(the_process_ends_with_its_parent),
	    cmocka_unit_test(a_parent_that_has_gone_already_is_noticed),
	};
	int failed = cmocka_run_group_tests_name("as it was started", tests, NULL, NULL);

	if (geteuid() == 0) {
		as_user = true;
		failed += cmocka_run_group_tests_name("as a user", tests, NULL, NULL);
	}
	return failed;
}
