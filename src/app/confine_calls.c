/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls of the engine: those of an event loop over a TAP and internet sockets, and those that
 * libc (and a sanitizer) needs to allocate memory and to abort. Nothing is here for later: without
 * bind(2), for example, nothing comes in but what was dialed, or comes to a port that the launcher has bound. Sockets and their options are checked by argument,
 * memory cannot be made executable, and the only process that can be signalled is the engine itself,
 * to abort. All else is a violation and ends the process.
 */
#include "app/confine_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/complain.h"

#ifndef SO_PEEK_OFF
#define SO_PEEK_OFF 42
#endif

/* Allowed whatever their arguments are. */
static const int plain_calls[] = {
    SCMP_SYS(brk),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(close),
    SCMP_SYS(connect),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(futex),
    SCMP_SYS(getpid),
    SCMP_SYS(getrandom),
    SCMP_SYS(getsockname),
    SCMP_SYS(gettid),
    SCMP_SYS(madvise),
    SCMP_SYS(mremap),
    SCMP_SYS(munmap),
    SCMP_SYS(read),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(shutdown),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(write),
    SCMP_SYS(writev),
};

/* Besides, where ports are published. */
static const int listener_calls[] = {
    SCMP_SYS(accept4),
};

/* Besides, for ports of messages. */
static const int message_calls[] = {
    SCMP_SYS(recvmmsg),
    SCMP_SYS(sendmmsg),
};

struct socket_kind {
	int family;
	int type;
	int protocol;
};

static const struct socket_kind socket_kinds[] = {
    {AF_INET, SOCK_STREAM, 0},
    {AF_INET, SOCK_STREAM, IPPROTO_TCP},
    {AF_INET, SOCK_DGRAM, 0},
    {AF_INET, SOCK_DGRAM, IPPROTO_UDP},
    {AF_INET, SOCK_DGRAM, IPPROTO_ICMP},
    {AF_INET6, SOCK_STREAM, 0},
    {AF_INET6, SOCK_STREAM, IPPROTO_TCP},
    {AF_INET6, SOCK_DGRAM, 0},
    {AF_INET6, SOCK_DGRAM, IPPROTO_UDP},
    {AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6},
};

struct socket_option {
	int level;
	int name;
};

static const struct socket_option set_options[] = {
    {SOL_SOCKET, SO_KEEPALIVE},
    {SOL_SOCKET, SO_LINGER},
    {SOL_SOCKET, SO_OOBINLINE},
    {SOL_SOCKET, SO_PEEK_OFF},
    {SOL_SOCKET, SO_RCVBUF},
    {IPPROTO_TCP, TCP_KEEPIDLE},
    {IPPROTO_TCP, TCP_NODELAY},
    {IPPROTO_UDP, UDP_GRO},
    {IPPROTO_IP, IP_MTU_DISCOVER},
    {IPPROTO_IP, IP_RECVERR},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER},
    {IPPROTO_IPV6, IPV6_RECVERR},
};

static const struct socket_option read_options[] = {
    {SOL_SOCKET, SO_ERROR},
    {IPPROTO_IP, IP_MTU},
    {IPPROTO_IPV6, IPV6_MTU},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct scmp_arg_cmp equals(unsigned int arg, int value)
{
	return SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, UINT32_MAX, (uint32_t)value);
}

static int add_plain(scmp_filter_ctx filter, const int *calls, size_t count)
{
	int failed = 0;

	for (size_t i = 0; i < count && failed == 0; i++)
		failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	return failed;
}

/* For descriptors that others pass: of which kind they are, and that a write does not wait. */
static int add_descriptor_calls(scmp_filter_ctx filter)
{
	static const int commands[] = {F_GETFL, F_SETFL};
	int failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fstat), 0);

	for (size_t i = 0; i < COUNT(commands) && failed == 0; i++)
		failed = seccomp_rule_add(
		    filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, equals(1, commands[i]));
	return failed;
}

static int add_port(scmp_filter_ctx filter, enum port_kind kind)
{
	switch (kind) {
	case PORT_KIND_TAP:
	case PORT_KIND_STREAM:
		return 0;
	case PORT_KIND_DGRAM:
	case PORT_KIND_BESS:
		return add_plain(filter, message_calls, COUNT(message_calls));
	case PORT_KIND_VHOST_USER:
		return add_descriptor_calls(filter);
	}
	return -EINVAL;
}

static int add_sockets(scmp_filter_ctx filter)
{
	static const uint64_t type_mask = 0xf; /* without SOCK_NONBLOCK and SOCK_CLOEXEC */
	int failed = 0;

	for (size_t i = 0; i < COUNT(socket_kinds) && failed == 0; i++) {
		const struct socket_kind *k = &socket_kinds[i];

		failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 3,
		    equals(0, k->family),
		    SCMP_CMP64(1, SCMP_CMP_MASKED_EQ, type_mask, (uint64_t)k->type),
		    equals(2, k->protocol));
	}
	return failed;
}

static int add_options(
    scmp_filter_ctx filter, int call, const struct socket_option *options, size_t count)
{
	int failed = 0;

	for (size_t i = 0; i < count && failed == 0; i++)
		failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 2,
		    equals(1, options[i].level), equals(2, options[i].name));
	return failed;
}

static int add_memory(scmp_filter_ctx filter)
{
	static const int calls[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
	int failed = 0;

	for (size_t i = 0; i < COUNT(calls) && failed == 0; i++)
		failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 1,
		    SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return failed;
}

static int add_rules(scmp_filter_ctx filter, enum port_kind kind, bool has_listeners)
{
	int failed = add_plain(filter, plain_calls, COUNT(plain_calls));

	if (failed == 0)
		failed = add_port(filter, kind);
	if (failed == 0 && has_listeners)
		failed = add_plain(filter, listener_calls, COUNT(listener_calls));
	if (failed == 0)
		failed = add_sockets(filter);
	if (failed == 0)
		failed = add_options(filter, SCMP_SYS(setsockopt), set_options, COUNT(set_options));
	if (failed == 0)
		failed =
		    add_options(filter, SCMP_SYS(getsockopt), read_options, COUNT(read_options));
	if (failed == 0)
		failed = add_memory(filter);
	/* abort(3), for a failed assertion to be seen as one. */
	if (failed == 0)
		failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 2,
		    equals(0, getpid()), equals(2, SIGABRT));
	return failed;
}

int confine_calls(enum port_kind kind, bool has_listeners)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int failed;

	if (filter == NULL)
		return complain("out of memory");
	failed = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (failed == 0)
		failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (failed == 0)
		failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	if (failed == 0)
		failed = add_rules(filter, kind, has_listeners);
	if (failed == 0)
		failed = seccomp_load(filter);
	seccomp_release(filter);
	if (failed != 0)
		return complain(
		    "the engine's system calls cannot be filtered (%s); the kernel needs "
		    "CONFIG_SECCOMP_FILTER",
		    strerror(-failed));
	return 0;
}
