/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confinement of the command: capabilities, and a small system call filter. The filter refuses, with
 * an error that programs know how to take, only what would lead around the guest's network:
 *
 * - sockets of families that are not, or not certainly, bound to a network namespace (vsock
 *   reaches the hypervisor of a virtual machine, Bluetooth the radio, ...). Left are the families of
 *   an ordinary program;
 * - io_uring, whose requests no filter sees;
 * - requests for keys that the kernel would have made by a program of the host (request-key(8)), which
 *   for a key of type dns_resolver asks the host's resolver;
 * - pushing characters into the terminal (TIOCSTI, TIOCLINUX), which the shell outside would read
 *   as commands once the command has ended.
 *
 * Signals to processes outside: none has a number here, but kill(0) reaches the process group, which may
 * be that of the script that started sluice. Landlock keeps signals in the sandbox (Linux 6.12), and
 * besides abstract Unix sockets that an inherited socket could reach; where it cannot, and the
 * group is shared, kill(0) is refused. So are, in any case, a new priority and I/O priority for the whole group.
 *
 * On x86 a 32-bit program can make sockets by a call whose arguments a filter cannot see (socketcall):
 * that one call is refused as a whole.
 *
 * A command that is not root gets no_new_privs, so that set-user-id programs and file capabilities
 * give nothing. A command of root keeps the default capabilities of a Docker container, which
 * count only in its user namespace. Tests: tests/integ/test_run.py, test_command_*.
 */
#include "app/command_confine.h"

#include <errno.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <asm/ioctls.h>
#include <linux/ioprio.h>
#include <linux/landlock.h>

#include "app/caps.h"
#include "app/complain.h"

enum {
	FAMILY_COUNT = 64, /* more than the kernel knows (46 in Linux 6.18) */
	LANDLOCK_ABI_SCOPES = 6,
};

/* struct landlock_ruleset_attr of Linux 6.12; our headers may be older. */
struct ruleset {
	uint64_t handled_access_fs;  /* 0: none */
	uint64_t handled_access_net; /* 0: none */
	uint64_t scoped;             /* what must not leave */
};

#define SCOPE_ABSTRACT_UNIX_SOCKET 1U
#define SCOPE_SIGNAL               2U

/* From here on signals and new connections to abstract sockets stay among this process and those that it
 * makes. False where the kernel cannot do it. Needs CAP_SYS_ADMIN or no_new_privs. */
static bool scope_landlock(void)
{
	static const struct ruleset rules = {.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL};
	bool has_done;
	long fd;

	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) <
	    LANDLOCK_ABI_SCOPES)
		return false;
	fd = syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
	if (fd < 0)
		return false;
	has_done = syscall(SYS_landlock_restrict_self, (int)fd, 0) == 0;
	close((int)fd);
	return has_done;
}

static bool is_family_allowed(int family)
{
	switch (family) {
	case AF_UNIX:
	case AF_INET:
	case AF_INET6:
	case AF_NETLINK:
	case AF_PACKET:
	case AF_ALG:
		return true;
	default:
		return false;
	}
}

/* Arguments are compared in their lower half only: the kernel takes them as int. */
static struct scmp_arg_cmp equals(unsigned int arg, unsigned int value)
{
	return SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, UINT32_MAX, value);
}

/* What acts on the process group of the caller, which reaches outside. A group that is named by its number is
 * one of the sandbox. */
static int add_group_rules(scmp_filter_ctx filter, bool is_scoped)
{
	int failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(setpriority), 2,
	    equals(0, PRIO_PGRP), equals(1, 0));

	failed |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioprio_set), 2,
	    equals(0, IOPRIO_WHO_PGRP), equals(1, 0));
	if (!is_scoped)
		failed |= seccomp_rule_add(
		    filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(kill), 1, equals(0, 0));
	return failed;
}

static int add_rules(scmp_filter_ctx filter)
{
	int failed = 0;

	for (int family = 0; family < FAMILY_COUNT; family++) {
		if (!is_family_allowed(family))
			failed |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT),
			    SCMP_SYS(socket), 1, equals(0, (unsigned int)family));
	}
	failed |=
	    seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1, equals(1, TIOCSTI));
	failed |= seccomp_rule_add(
	    filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1, equals(1, TIOCLINUX));
	failed |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(io_uring_setup), 0);
	/* An inherited one. */
	failed |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(io_uring_enter), 0);
	/* Without a text for that program, only keys that are there already are looked for. */
	failed |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOKEY), SCMP_SYS(request_key), 1,
	    SCMP_CMP64(2, SCMP_CMP_NE, 0, 0));
	return failed;
}

static int add_foreign_archs(scmp_filter_ctx filter)
{
#if defined(__x86_64__)
	return seccomp_arch_add(filter, SCMP_ARCH_X86) | seccomp_arch_add(filter, SCMP_ARCH_X32);
#elif defined(__aarch64__)
	return seccomp_arch_add(filter, SCMP_ARCH_ARM);
#else
	(void)filter;
	return 0;
#endif
}

/* no_new_privs must not be set for root: there the filter is loaded with CAP_SYS_ADMIN. */
static int load_filter(bool is_root, bool is_scoped, bool is_group_shared)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int failed;

	if (filter == NULL)
		return complain("out of memory");
	failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, is_root ? 0 : 1);
	failed |= seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	failed |= add_foreign_archs(filter);
	failed |= add_rules(filter);
	if (is_group_shared)
		failed |= add_group_rules(filter, is_scoped);
	if (failed == 0)
		failed = seccomp_load(filter);
	seccomp_release(filter);
	if (failed != 0)
		return complain(
		    "the command's system calls cannot be filtered (%s); the kernel needs "
		    "CONFIG_SECCOMP_FILTER",
		    strerror(-failed));
	return 0;
}

static uint64_t held_caps(bool is_root)
{
	return is_root ? CAPS_CONTAINER : 0;
}

static int limit_caps(uint64_t held)
{
	if (caps_limit(CAPS_CONTAINER, held) < 0)
		return complain(
		    "the command's capabilities cannot be dropped: %s", strerror(errno));
	return 0;
}

int command_confine(bool is_root, bool is_group_shared)
{
	bool is_scoped = scope_landlock();

	if (!is_scoped && is_group_shared)
		note("the kernel cannot keep signals in the sandbox (Landlock of Linux 6.12): the "
		     "command cannot signal its process group");
	if (load_filter(is_root, is_scoped, is_group_shared) < 0)
		return -1;
	/* A program that asks for a file capability outside of the bounding set cannot be started: for
	 * ping's sake the set is not empty, even for a command that will never get any of it. */
	return limit_caps(held_caps(is_root) | CAPS_BIT(CAP_SYS_ADMIN));
}

int command_drop_caps(bool is_root)
{
	return limit_caps(held_caps(is_root));
}
