/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confinement of the engine, in layers that each hold if another fails:
 *
 * 1. its own session: signals of the terminal do not reach it; it dies with its parent;
 * 2. no descriptor but its own few; none of them leads to a file;
 * 3. an own mount namespace whose root is an empty, read-only file system, own IPC and UTS
 *    namespaces; an own user namespace unless started by real root, who becomes nobody instead;
 * 4. no capabilities, and no way to get any (securebits, no_new_privs);
 * 5. not traceable, no core dump, no file may grow;
 * 6. a list of allowed system calls; any other ends the process. None of them names a file. Sockets
 *    are TCP, UDP and ICMP echo; options are those of the list.
 *
 * It stays in the network namespace of the host, in order to dial. Each layer is required: where
 * one cannot be had, the engine does not start. Tests: tests/integ/test_confine.c.
 */
#include "app/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "app/caps.h"
#include "app/complain.h"
#include "app/confine_calls.h"
#include "app/sandbox.h"

enum {
	NOBODY = 65534,
	FD_LIMIT_WANTED = 1048576, /* descriptors; more than ENGINE_TCP_LIMIT_MAX sockets */
};

static int set_limits(void)
{
	static const struct rlimit zero = {0, 0};
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return -1;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		return -1;
	return setrlimit(RLIMIT_CORE, &zero) < 0 || setrlimit(RLIMIT_FSIZE, &zero) < 0 ? -1 : 0;
}

static bool is_kept(const struct confinement *c, int fd)
{
	for (int i = 0; i < CONFINE_FDS_MAX; i++) {
		if (c->fds[i] == fd)
			return true;
	}
	for (size_t i = 0; i < c->listener_count; i++) {
		if (c->listeners[i] == fd)
			return true;
	}
	return false;
}

/* Standard input and output become /dev/null. */
static int leave_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		return complain("/dev/null cannot be opened: %s", strerror(errno));
	return 0; /* the descriptor is closed with the others */
}

/* Closes everything above standard error but what is kept. */
static int close_others(const struct confinement *c)
{
	int last = STDERR_FILENO;
	unsigned int from = STDERR_FILENO + 1;

	for (int i = 0; i < CONFINE_FDS_MAX; i++)
		last = c->fds[i] > last ? c->fds[i] : last;
	for (size_t i = 0; i < c->listener_count; i++)
		last = c->listeners[i] > last ? c->listeners[i] : last;
	for (unsigned int fd = from; fd <= (unsigned int)last; fd++) {
		if (!is_kept(c, (int)fd))
			continue;
		if (fd > from && close_range(from, fd - 1, 0) < 0)
			return -1;
		from = fd + 1;
	}
	return close_range(from, ~0U, 0);
}

/* The root directory becomes an empty file system. */
static int empty_root(void)
{
	static const char place[] = "/proc"; /* any directory that is always there */

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("sluice", place, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
		"mode=0555,nr_inodes=2") < 0)
		return -1;
	if (chdir(place) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return -1;
	/* The old root lies on top of the new one now: pivot_root(2), "pivot_root . .". */
	return umount2(".", MNT_DETACH) < 0 || chdir("/") < 0 ? -1 : 0;
}

static int complain_about_root(void)
{
	if (errno == ENOENT)
		return complain("the engine's root cannot be emptied: there is no /proc");
	return complain("the engine's root cannot be emptied: %s; %s", strerror(errno),
	    sandbox_denial_remedy());
}

/* Fails in a user namespace where nobody has no number (EINVAL) or groups are fixed (EPERM). */
static int become_nobody(void)
{
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0)
		return -1;
	return setresuid(NOBODY, NOBODY, NOBODY);
}

/* With these, capabilities come and go by caps_limit() only: not with user ids, not by programs. */
static int set_secure_bits(void)
{
	static const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED |
					  SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |
					  SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
					  SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

	return prctl(PR_SET_SECUREBITS, bits, 0, 0, 0);
}

/* Real root gives its identity away and makes the namespaces with the capabilities that it has. All others,
 * and the root of a namespace in which nobody has no number, make them in a user namespace. */
static int leave_system(void)
{
	static const int spaces = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
	bool is_admin = caps_have(CAPS_BIT(CAP_SYS_ADMIN) | CAPS_BIT(CAP_SETUID) |
				  CAPS_BIT(CAP_SETGID) | CAPS_BIT(CAP_SETPCAP));
	bool is_nobody = is_admin && set_secure_bits() == 0 && become_nobody() == 0;

	if (unshare(is_nobody ? spaces : spaces | CLONE_NEWUSER) < 0)
		return sandbox_complain(errno);
	if (empty_root() < 0)
		return complain_about_root();
	if ((!is_nobody && set_secure_bits() < 0) || caps_limit(0, 0) < 0)
		return complain("the engine's rights cannot be dropped: %s", strerror(errno));
	return 0;
}

/* The process must not outlive its parent, which may have died before this call took effect. */
static int tie_to_parent(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return complain("the engine cannot be tied to its launcher: %s", strerror(errno));
	return getppid() == parent ? 0 : -1;
}

int confine_engine(const struct confinement *c)
{
	if (leave_terminal() < 0)
		return -1;
	if (setsid() < 0 || set_limits() < 0 || close_others(c) < 0)
		return complain("the engine cannot be set apart: %s", strerror(errno));
	if (leave_system() < 0 || tie_to_parent(c->parent) < 0)
		return -1;
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return complain("the engine cannot be protected: %s", strerror(errno));
	return confine_calls(c->port, c->listener_count > 0);
}
