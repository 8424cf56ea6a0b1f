/* SPDX-License-Identifier: Apache-2.0 */
/* Following the host's addresses (threat N19), in a network namespace of the test's own. */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/follow.h"

enum {
	LOOPBACK = 1, /* index of the interface */
};

struct heard {
	uint32_t times;
	size_t count;
	struct ip_addr addrs[4096];
};

static bool has_namespace;

static void on_change(void *ctx, const struct ip_addr *addrs, size_t count)
{
	struct heard *h = ctx;

	assert_true(count <= 4096);
	h->times++;
	h->count = count;
	if (count > 0)
		memcpy(h->addrs, addrs, count * sizeof(*addrs));
}

static bool has(const struct heard *h, const char *text)
{
	struct ip_addr a;

	assert_int_equal(ip_addr_parse(text, &a), 0);
	for (size_t i = 0; i < h->count; i++)
		if (ip_addr_eq(&h->addrs[i], &a))
			return true;
	return false;
}

/* Adds an address to the loopback interface, or takes it away. */
static void change(uint16_t type, const char *text, uint8_t prefix_len)
{
	struct {
		struct nlmsghdr head;
		struct ifaddrmsg body;
		struct rtattr attr;
		uint8_t addr[16];
	} m;
	struct {
		struct nlmsghdr head;
		struct nlmsgerr body;
	} answer;
	struct ip_addr a;
	bool is_v4;
	size_t size;
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	assert_return_code(fd, errno);
	assert_int_equal(ip_addr_parse(text, &a), 0);
	is_v4 = ip_addr_is_v4(&a);
	size = is_v4 ? 4 : 16;
	memset(&m, 0, sizeof(m));
	m.head.nlmsg_len = (uint32_t)(NLMSG_LENGTH(sizeof(m.body)) + RTA_LENGTH(size));
	m.head.nlmsg_type = type;
	m.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	if (type == RTM_NEWADDR)
		m.head.nlmsg_flags |= NLM_F_CREATE;
	m.body.ifa_family = is_v4 ? AF_INET : AF_INET6;
	m.body.ifa_prefixlen = prefix_len;
	m.body.ifa_index = LOOPBACK;
	m.body.ifa_flags = IFA_F_NODAD;
	m.attr.rta_type = IFA_LOCAL;
	m.attr.rta_len = (uint16_t)RTA_LENGTH(size);
	memcpy(m.addr, a.b + 16 - size, size);
	assert_int_equal(send(fd, &m, m.head.nlmsg_len, 0), m.head.nlmsg_len);
	assert_return_code(recv(fd, &answer, sizeof(answer), 0), errno);
	assert_int_equal(answer.head.nlmsg_type, NLMSG_ERROR);
	assert_int_equal(answer.body.error, 0);
	(void)close(fd);
}

/* Works on what is there; returns at rest. */
static void settle(struct host_follow *f)
{
	struct pollfd p = {.fd = host_follow_fd(f), .events = POLLIN};

	while (poll(&p, 1, 0) == 1)
		host_follow_on_ready(f);
}

/* The kernel tells of an IPv6 address a moment later. */
static void await(struct host_follow *f, const struct heard *h, const char *text, bool is_there)
{
	struct pollfd p = {.fd = host_follow_fd(f), .events = POLLIN};

	while (has(h, text) != is_there) {
		assert_int_equal(poll(&p, 1, -1), 1);
		host_follow_on_ready(f);
	}
	settle(f);
}

static struct host_follow *follow(struct heard *h)
{
	struct host_follow *f;
	int fd = host_follow_open();

	assert_return_code(fd, errno);
	assert_int_equal(host_follow_new(fd, on_change, h, &f), 0);
	return f;
}

static void end(struct host_follow *f)
{
	(void)close(host_follow_fd(f));
	host_follow_free(f);
}

static void n19_addresses_that_come_and_go_are_told(void **state)
{
	struct heard h = {0};
	struct host_follow *f;

	(void)state;
	if (!has_namespace)
		skip();
	f = follow(&h);
	settle(f);
	assert_int_equal(h.times, 0); /* nothing has changed */
	change(RTM_NEWADDR, "203.0.113.9", 32);
	settle(f);
	assert_int_equal(h.times, 1);
	assert_true(has(&h, "203.0.113.9"));
	change(RTM_NEWADDR, "2001:db8::9", 128);
	await(f, &h, "2001:db8::9", true);
	assert_true(has(&h, "203.0.113.9"));
	change(RTM_DELADDR, "203.0.113.9", 32);
	settle(f);
	assert_false(has(&h, "203.0.113.9"));
	assert_true(has(&h, "2001:db8::9"));
	change(RTM_DELADDR, "2001:db8::9", 128);
	await(f, &h, "2001:db8::9", false);
	assert_int_equal(h.times, 4);
	end(f);
}

static void change_that_leaves_all_as_it_was_is_not_told(void **state)
{
	struct heard h = {0};
	struct host_follow *f;

	(void)state;
	if (!has_namespace)
		skip();
	f = follow(&h);
	change(RTM_NEWADDR, "203.0.113.9", 32);
	settle(f);
	assert_int_equal(h.times, 1);
	change(RTM_DELADDR, "203.0.113.9", 32);
	change(RTM_NEWADDR, "203.0.113.9", 32);
	settle(f);
	assert_int_equal(h.times, 1);
	change(RTM_DELADDR, "203.0.113.9", 32);
	end(f);
}

static void addresses_are_asked_for_anew_after_an_overflow(void **state)
{
	struct heard h = {0};
	struct host_follow *f;
	int small = 1;
	char text[IP_ADDR_TEXT_MAX];
	struct ip_addr a;

	(void)state;
	if (!has_namespace)
		skip();
	f = follow(&h);
	assert_return_code(
	    setsockopt(host_follow_fd(f), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), errno);
	for (uint32_t i = 0; i < 300; i++) {
		a = ip_addr_v4(0xcb007100 + i);
		change(RTM_NEWADDR, ip_addr_format(&a, text), 32);
	}
	settle(f);
	assert_int_equal(h.times, 1);
	assert_true(has(&h, "203.0.113.0"));
	assert_true(has(&h, "203.0.114.43")); /* the last one */
	for (uint32_t i = 0; i < 300; i++) {
		a = ip_addr_v4(0xcb007100 + i);
		change(RTM_DELADDR, ip_addr_format(&a, text), 32);
	}
	settle(f);
	assert_false(has(&h, "203.0.114.43"));
	end(f);
}

static void message_of_another_process_is_not_heard(void **state)
{
	struct heard h = {0};
	struct host_follow *f;
	struct sockaddr_nl to = {.nl_family = AF_NETLINK};
	struct nlmsghdr m = {.nlmsg_len = sizeof(m), .nlmsg_type = RTM_NEWADDR};
	socklen_t len = sizeof(to);
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	(void)state;
	if (!has_namespace)
		skip();
	f = follow(&h);
	assert_return_code(getsockname(host_follow_fd(f), (struct sockaddr *)&to, &len), errno);
	(void)sendto(fd, &m, sizeof(m), 0, (struct sockaddr *)&to, sizeof(to));
	settle(f);
	assert_int_equal(h.times, 0);
	(void)close(fd);
	end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(n19_addresses_that_come_and_go_are_told),
	    cmocka_unit_test(change_that_leaves_all_as_it_was_is_not_told),
	    cmocka_unit_test(addresses_are_asked_for_anew_after_an_overflow),
	    cmocka_unit_test(message_of_another_process_is_not_heard),
	};

	has_namespace = unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
