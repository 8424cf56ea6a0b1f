/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confinement of the command: capabilities, and a small system call filter. The filter refuses, with
 * an error that programs know how to take, only what would lead around the guest's network:
 *
 * - sockets of families that are not, or not certainly, bound to a network namespace (vsock
 *   reaches the hypervisor of a virtual machine, Bluetooth the radio, ...). Left are the families of
 *   an ordinary program;
 * - io_uring, whose requests no filter sees;
 * - pushing characters into the terminal (TIOCSTI, TIOCLINUX), which the shell outside would read
 *   as commands once the command has ended.
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
#include <sys/socket.h>

#include <asm/ioctls.h>

#include "app/caps.h"
#include "app/complain.h"

enum {
	FAMILY_COUNT = 64, /* more than the kernel knows (46 in Linux 6.18) */
};

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
static int load_filter(bool is_root)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int failed;

	if (filter == NULL)
		return complain("out of memory");
	failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, is_root ? 0 : 1);
	failed |= seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	failed |= add_foreign_archs(filter);
	failed |= add_rules(filter);
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

int command_confine(bool is_root)
{
	if (load_filter(is_root) < 0)
		return -1;
	/* A program that asks for a file capability outside of the bounding set cannot be started: for
	 * ping's sake the set is not empty, even for a command that will never get any of it. */
	if (caps_limit(CAPS_CONTAINER, is_root ? CAPS_CONTAINER : 0) < 0)
		return complain(
		    "the command's capabilities cannot be dropped: %s", strerror(errno));
	return 0;
}
