/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TAP of a guest and the configuration of its network namespace.
 *
 * All that rtnetlink is told goes in one message batch: requests are processed in order, each is
 * acknowledged, and the first refusal is named. Invariants, with the tests in
 * tests/integ/test_run.py: addresses are usable at once (no duplicate address detection), the kernel
 * takes no configuration from router advertisements, nothing is routed but by the gateway.
 *
 * The TAP is made persistent: a TAP that goes away with its descriptor costs its last holder tens of
 * milliseconds (the device is unregistered under RCU grace periods), one that goes away with its
 * namespace is taken down by the kernel's own worker, after the last process has gone.
 */
#include "app/netns.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "app/complain.h"
#include "app/files.h"
#include "app/sandbox.h"
#include "app/tap_device.h"

enum {
	LO_INDEX = 1,
	BATCH_SIZE = 4096,
	STEPS_MAX = 8,
};

static int make_tap(int fd)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};

	memcpy(request.ifr_name, NETNS_NIC, sizeof(NETNS_NIC));
	if (ioctl(fd, TUNSETIFF, &request) == 0)
		return 0;
	if (errno == EPERM || errno == EACCES)
		return complain("the TAP " NETNS_NIC " cannot be made in new namespaces: %s; %s",
		    strerror(errno), sandbox_denial_remedy());
	return complain(
	    "the TAP " NETNS_NIC
	    " cannot be made: %s; is /dev/net/tun the right device (10, 200), and the kernel "
	    "built with CONFIG_TUN?",
	    strerror(errno));
}

int netns_open_tap(uint32_t *ret_features)
{
	int fd = tap_device_open();

	if (fd < 0)
		return -1;
	if (make_tap(fd) < 0 || tap_device_set_up(fd, ret_features) < 0) {
		close(fd);
		return -1;
	}
	if (ioctl(fd, TUNSETPERSIST, 1) < 0) {
		complain("the TAP cannot be tied to its namespace: %s", strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

/* Requests under construction. */
struct batch {
	struct mnl_nlmsg_batch *mnl;
	const char *steps[STEPS_MAX]; /* what each request does; its index is its sequence number */
	unsigned int count;
	int nic_index;
};

static struct nlmsghdr *begin(struct batch *b, const char *step, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *n = mnl_nlmsg_put_header(mnl_nlmsg_batch_current(b->mnl));

	n->nlmsg_type = type;
	n->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	n->nlmsg_seq = b->count;
	b->steps[b->count++] = step;
	return n;
}

/* Room is never short: STEPS_MAX small requests fit into BATCH_SIZE by far. */
static void end(struct batch *b)
{
	bool has_room = mnl_nlmsg_batch_next(b->mnl);

	(void)has_room;
}

static void add_link_up(struct batch *b, int index, const struct netif_config *c)
{
	struct ifinfomsg *link;
	struct nlmsghdr *n;

	n = begin(b, c == NULL ? "lo up" : NETNS_NIC " up", RTM_NEWLINK, 0);
	link = mnl_nlmsg_put_extra_header(n, sizeof(*link));
	link->ifi_family = AF_UNSPEC;
	link->ifi_index = index;
	link->ifi_flags = IFF_UP;
	link->ifi_change = IFF_UP;
	if (c != NULL) {
		mnl_attr_put(n, IFLA_ADDRESS, sizeof(c->guest_mac.b), c->guest_mac.b);
		mnl_attr_put_u32(n, IFLA_MTU, c->mtu);
		mnl_attr_put_u32(n, IFLA_TXQLEN, NETNS_TAP_QUEUE);
	}
	end(b);
}

static const uint8_t *family_bytes(const struct ip_addr *a, int family)
{
	return family == AF_INET ? a->b + 12 : a->b;
}

static size_t family_size(int family)
{
	return family == AF_INET ? 4 : 16;
}

static void add_addr(struct batch *b, int family, const struct ip_addr *addr, uint8_t prefix_len)
{
	struct ifaddrmsg *a;
	struct nlmsghdr *n;

	n = begin(b, family == AF_INET ? "IPv4 address" : "IPv6 address", RTM_NEWADDR,
	    NLM_F_CREATE | NLM_F_EXCL);
	a = mnl_nlmsg_put_extra_header(n, sizeof(*a));
	a->ifa_family = (uint8_t)family;
	a->ifa_prefixlen = prefix_len;
	a->ifa_scope = RT_SCOPE_UNIVERSE;
	a->ifa_index = (unsigned int)b->nic_index;
	a->ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0;
	mnl_attr_put(n, IFA_LOCAL, family_size(family), family_bytes(addr, family));
	mnl_attr_put(n, IFA_ADDRESS, family_size(family), family_bytes(addr, family));
	end(b);
}

static void add_default_route(struct batch *b, int family, const struct ip_addr *gateway)
{
	struct nlmsghdr *n;
	struct rtmsg *r;

	n = begin(b, family == AF_INET ? "IPv4 default route" : "IPv6 default route", RTM_NEWROUTE,
	    NLM_F_CREATE | NLM_F_EXCL);
	r = mnl_nlmsg_put_extra_header(n, sizeof(*r));
	r->rtm_family = (uint8_t)family;
	r->rtm_table = RT_TABLE_MAIN;
	r->rtm_protocol = RTPROT_BOOT;
	r->rtm_scope = RT_SCOPE_UNIVERSE;
	r->rtm_type = RTN_UNICAST;
	mnl_attr_put(n, RTA_GATEWAY, family_size(family), family_bytes(gateway, family));
	mnl_attr_put_u32(n, RTA_OIF, (uint32_t)b->nic_index);
	end(b);
}

/* Sends the batch and waits until each request is acknowledged. The kernel answers requests while it
 * takes them, so all answers are there when the send returns. */
static int run_batch(struct batch *b, struct mnl_socket *nl)
{
	char answers[BATCH_SIZE];
	unsigned int done = 0;

	if (mnl_socket_sendto(nl, mnl_nlmsg_batch_head(b->mnl), mnl_nlmsg_batch_size(b->mnl)) < 0)
		return complain("the guest's network cannot be set up: %s", strerror(errno));
	while (done < b->count) {
		ssize_t len = mnl_socket_recvfrom(nl, answers, sizeof(answers));
		int left = (int)len;

		if (len <= 0)
			return complain(
			    "the guest's network cannot be set up: %s", strerror(errno));
		for (const struct nlmsghdr *n = (const struct nlmsghdr *)(const void *)answers;
		     mnl_nlmsg_ok(n, left); n = mnl_nlmsg_next(n, &left)) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(n);

			if (n->nlmsg_type != NLMSG_ERROR || n->nlmsg_seq >= b->count)
				continue;
			if (e->error != 0)
				return complain("the guest's network cannot be set up (%s): %s",
				    b->steps[n->nlmsg_seq], strerror(-e->error));
			done++;
		}
	}
	return 0;
}

/* Settings that have no rtnetlink form. They are comforts, and in a container whose /proc/sys is
 * read-only they cannot be had: the guest works without. */
static void write_sysctls(const struct netif_config *c)
{
	static const char dir[] = "/proc/sys/net/ipv6/conf/" NETNS_NIC "/";
	static const char *const with_v6[] = {"accept_ra", "accept_dad", NULL};
	static const char *const without_v6[] = {"disable_ipv6", NULL};
	char path[sizeof(dir) + 16];

	for (const char *const *name = c->has_v6 ? with_v6 : without_v6; *name != NULL; name++) {
		memcpy(path, dir, sizeof(dir) - 1);
		memcpy(path + sizeof(dir) - 1, *name, strlen(*name) + 1);
		if (file_write(path, c->has_v6 ? "0" : "1") < 0)
			note("%s cannot be set: %s", path, strerror(errno));
	}
}

int netns_configure(const struct netif_config *c)
{
	char buffer[2 * BATCH_SIZE];
	struct batch b = {0};
	struct mnl_socket *nl;
	int result = -1;

	if (c != NULL) {
		b.nic_index = (int)if_nametoindex(NETNS_NIC);
		write_sysctls(c);
	}
	b.mnl = mnl_nlmsg_batch_start(buffer, BATCH_SIZE);
	nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (b.mnl == NULL || nl == NULL) {
		complain("rtnetlink cannot be used: %s", strerror(errno));
		goto out;
	}
	add_link_up(&b, LO_INDEX, NULL);
	if (c != NULL) {
		add_link_up(&b, b.nic_index, c);
		if (c->has_v4) {
			add_addr(&b, AF_INET, &c->guest_v4, c->prefix_len_v4);
			add_default_route(&b, AF_INET, &c->gateway_v4);
		}
		if (c->has_v6) {
			add_addr(&b, AF_INET6, &c->guest_v6, c->prefix_len_v6);
			add_default_route(&b, AF_INET6, &c->gateway_v6);
		}
	}
	result = run_batch(&b, nl);
out:
	if (nl != NULL)
		mnl_socket_close(nl);
	if (b.mnl != NULL)
		mnl_nlmsg_batch_stop(b.mnl);
	return result;
}
