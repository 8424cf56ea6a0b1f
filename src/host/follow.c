/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of the host's interfaces; see follow.h.
 *
 * One socket both hears of changes and gets the answers to RTM_GETADDR. A change that is told while an answer is
 * under way makes it stale, and it is asked for again; so what on_change has been told last is what was
 * true after the last change. Messages of others than the kernel, and messages that are cut, are not
 * looked at. More than ADDRS_MAX addresses are told as what they are: those that were read first.
 *
 * Tests: tests/unit/test_follow.c, with a network namespace of its own.
 */
#include "host/follow.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	BUF_SIZE = 32 << 10, /* what the kernel fills at most with one piece of an answer */
	TURN_MESSAGES = 64,
	ADDRS_MAX = 65536,
	ADDRS_MIN = 64,
};

/* Addresses, in the order in which the kernel told them. */
struct addr_list {
	struct ip_addr *items;
	size_t count;
	size_t cap;
};

struct host_follow {
	int fd;
	void (*on_change)(void *ctx, const struct ip_addr *addrs, size_t count);
	void *ctx;
	uint32_t seq;           /* of the last question */
	bool is_asking;         /* its answer is not complete */
	bool is_stale;          /* something has changed since it was asked */
	bool is_broken;         /* the answer lacks something, for want of memory */
	bool has_told;          /* on_change has been called, with told */
	struct addr_list found; /* the answer so far */
	struct addr_list told;
	uint8_t buf[BUF_SIZE];
};

int host_follow_open(void)
{
	struct sockaddr_nl here = {
	    .nl_family = AF_NETLINK,
	    .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&here, sizeof(here)) < 0) {
		err = -errno;
		(void)close(fd);
		return err;
	}
	return fd;
}

int host_follow_new(int fd, void (*on_change)(void *ctx, const struct ip_addr *addrs, size_t count),
    void *ctx, struct host_follow **ret_follow)
{
	struct host_follow *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->fd = fd;
	f->on_change = on_change;
	f->ctx = ctx;
	*ret_follow = f;
	return 0;
}

void host_follow_free(struct host_follow *f)
{
	if (!f)
		return;
	free(f->found.items);
	free(f->told.items);
	free(f);
}

int host_follow_fd(const struct host_follow *f)
{
	return f->fd;
}

static void add(struct host_follow *f, const struct ip_addr *addr)
{
	struct addr_list *l = &f->found;

	if (l->count == ADDRS_MAX)
		return;
	if (l->count == l->cap) {
		size_t cap = l->cap > 0 ? 2 * l->cap : ADDRS_MIN;
		struct ip_addr *items = reallocarray(l->items, cap, sizeof(*items));

		f->is_broken |= !items;
		if (!items)
			return;
		l->items = items;
		l->cap = cap;
	}
	l->items[l->count++] = *addr;
}

/* The address of one RTM_NEWADDR, of which the body is here: IFA_LOCAL, or IFA_ADDRESS where it is the same. */
static void add_message(struct host_follow *f, const uint8_t *body, size_t len)
{
	struct ifaddrmsg head;
	struct ip_addr addr;
	bool has_addr = false;
	bool has_local = false;
	size_t at = NLMSG_ALIGN(sizeof(head));
	struct rtattr attr;

	if (len < sizeof(head))
		return;
	memcpy(&head, body, sizeof(head));
	/* Each turn passes one attribute, of at least the length of its head. */
	while (at + sizeof(attr) <= len) {
		size_t size = head.ifa_family == AF_INET ? 4 : 16;

		memcpy(&attr, body + at, sizeof(attr));
		if (attr.rta_len < sizeof(attr) || attr.rta_len > len - at)
			return;
		if ((attr.rta_type == IFA_LOCAL || (attr.rta_type == IFA_ADDRESS && !has_local)) &&
		    attr.rta_len == sizeof(attr) + size) {
			memset(&addr, 0, sizeof(addr));
			if (size == 4)
				memset(addr.b + 10, 0xff, 2);
			memcpy(addr.b + 16 - size, body + at + sizeof(attr), size);
			has_addr = true;
			has_local |= attr.rta_type == IFA_LOCAL;
		}
		at += RTA_ALIGN((size_t)attr.rta_len);
	}
	if (has_addr && (head.ifa_family == AF_INET || head.ifa_family == AF_INET6))
		add(f, &addr);
}

/* Asks for all addresses of both families. False: that was not possible; it is after the next change. */
static bool ask(struct host_follow *f)
{
	struct {
		struct nlmsghdr head;
		struct ifaddrmsg body;
	} question = {
	    .head = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg)),
		.nlmsg_type = RTM_GETADDR,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		.nlmsg_seq = ++f->seq},
	    .body = {.ifa_family = AF_UNSPEC},
	};

	f->found.count = 0;
	f->is_broken = false;
	if (send(f->fd, &question, question.head.nlmsg_len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return false;
	f->is_asking = true;
	f->is_stale = false;
	return true;
}

static bool is_told(const struct host_follow *f)
{
	size_t size = f->found.count * sizeof(*f->found.items);

	return f->has_told && f->told.count == f->found.count &&
	       (size == 0 || memcmp(f->told.items, f->found.items, size) == 0);
}

/* The answer is complete. */
static void finish(struct host_follow *f)
{
	struct addr_list spare = f->told;

	f->is_asking = false;
	if (f->is_stale || f->is_broken || is_told(f))
		return;
	f->told = f->found;
	f->found = spare;
	f->has_told = true;
	f->on_change(f->ctx, f->told.items, f->told.count);
}

static void on_message(struct host_follow *f, const struct nlmsghdr *head, const uint8_t *body)
{
	bool is_answer = f->is_asking && head->nlmsg_seq == f->seq && head->nlmsg_pid != 0;

	if (!is_answer) {
		f->is_stale |= head->nlmsg_type == RTM_NEWADDR || head->nlmsg_type == RTM_DELADDR;
		return;
	}
	f->is_stale |= (head->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
	if (head->nlmsg_type == RTM_NEWADDR)
		add_message(f, body, head->nlmsg_len - NLMSG_HDRLEN);
	else if (head->nlmsg_type == NLMSG_DONE)
		finish(f);
	else if (head->nlmsg_type == NLMSG_ERROR)
		f->is_asking = false;
}

static void on_messages(struct host_follow *f, size_t len)
{
	struct nlmsghdr head;
	size_t at = 0;

	/* Each turn passes one message, of at least the length of its head. */
	while (at + sizeof(head) <= len) {
		memcpy(&head, f->buf + at, sizeof(head));
		if (head.nlmsg_len < sizeof(head) || head.nlmsg_len > len - at)
			return;
		on_message(f, &head, f->buf + at + NLMSG_HDRLEN);
		at += NLMSG_ALIGN((size_t)head.nlmsg_len);
	}
}

void host_follow_on_ready(struct host_follow *f)
{
	for (int i = 0; i < TURN_MESSAGES; i++) {
		struct sockaddr_nl from = {0};
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(f->fd, f->buf, sizeof(f->buf), MSG_DONTWAIT | MSG_TRUNC,
		    (struct sockaddr *)&from, &from_len);

		if (n > (ssize_t)sizeof(f->buf) || (n < 0 && errno == ENOBUFS)) {
			f->is_stale = true;
		} else if (n < 0 && errno == EAGAIN) {
			/* The kernel answers at once: what has changed is known when this returns. */
			if (!f->is_stale || f->is_asking || !ask(f))
				return;
		} else if (n < 0 && errno != EINTR) {
			return;
		} else if (n > 0 && from.nl_pid == 0) {
			on_messages(f, (size_t)n);
		}
	}
}
