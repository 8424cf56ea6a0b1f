/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TAP devices; see tap_device.h.
 *
 * A TAP belongs to the network namespace of the process that has opened the device, so one in another
 * namespace is opened by a child that enters it, and its descriptor is passed back. A namespace that
 * belongs to another user namespace can be worked in only from there: the child enters that first.
 */
#include "app/tap_device.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/nsfs.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/channel.h"
#include "app/complain.h"
#include "stack/nic.h"

#ifndef TUN_F_USO4 /* Linux 6.2 */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define TUN_DEVICE "/dev/net/tun"

enum {
	KEPT_FLAGS = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR,

	LINK_MESSAGE_MAX = 16384,
};

static int complain_about_tun(void)
{
	switch (errno) {
	case ENOENT:
		return complain(
		    "%s is missing, which the guest's network card is made with; load the "
		    "module (modprobe tun), or in a container pass the device in "
		    "(--device " TUN_DEVICE ")",
		    TUN_DEVICE);
	case EACCES:
	case EPERM:
		return complain(
		    "%s may not be opened (%s); give it mode 0666, as Debian does, or in a "
		    "container allow the device (--device " TUN_DEVICE ")",
		    TUN_DEVICE, strerror(errno));
	case ENODEV:
	case ENXIO:
		return complain("%s has no driver; load the module (modprobe tun)", TUN_DEVICE);
	default:
		return complain("%s cannot be opened: %s", TUN_DEVICE, strerror(errno));
	}
}

int tap_device_open(void)
{
	int fd = open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	return fd < 0 ? complain_about_tun() : fd;
}

int tap_device_set_up(int fd, uint32_t *ret_features)
{
	static const unsigned int csum_tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
	int header_size = VNET_HDR_SIZE;
	int little_endian = 1;

	if (ioctl(fd, TUNSETVNETHDRSZ, &header_size) < 0 ||
	    ioctl(fd, TUNSETVNETLE, &little_endian) < 0)
		return complain(
		    "the TAP does not take virtio-net headers (%s); sluice needs Linux 5.10 "
		    "or newer",
		    strerror(errno));
	*ret_features = NIC_F_CSUM | NIC_F_TSO4 | NIC_F_TSO6 | NIC_F_USO;
	/* The two USO flags are only taken together, and not before Linux 6.2. */
	if (ioctl(fd, TUNSETOFFLOAD, csum_tso | TUN_F_USO4 | TUN_F_USO6) < 0) {
		*ret_features &= ~(uint32_t)NIC_F_USO;
		if (ioctl(fd, TUNSETOFFLOAD, csum_tso) < 0)
			return complain(
			    "the TAP does not take segmentation offload (%s); sluice needs "
			    "Linux 5.10 or newer",
			    strerror(errno));
	}
	return 0;
}

/* ---- by name ---- */

static int complain_about_attaching(const char *name, bool was_there)
{
	switch (errno) {
	case EBUSY:
		return complain("the TAP %s is in use by another program", name);
	case EPERM:
	case EACCES:
		if (was_there)
			return complain("the TAP %s belongs to somebody else (%s); make it with "
					"`ip tuntap add %s mode tap user %u`",
			    name, strerror(errno), name, (unsigned int)getuid());
		return complain("the TAP %s cannot be made (%s); that takes CAP_NET_ADMIN: give it "
				"--netns, or have it made by `ip tuntap add %s mode tap user %u`",
		    name, strerror(errno), name, (unsigned int)getuid());
	case EINVAL:
		return complain(
		    "%s is there and is no TAP, but an interface of another kind", name);
	default:
		return complain("the TAP %s cannot be had: %s", name, strerror(errno));
	}
}

/* The attribute of this type between two addresses, or NULL. */
static const struct nlattr *find_attribute(const void *from, const void *end, uint16_t type)
{
	const struct nlattr *a = from;

	while (mnl_attr_ok(a, (int)((const char *)end - (const char *)a))) {
		if (mnl_attr_get_type(a) == type)
			return a;
		a = mnl_attr_next(a);
	}
	return NULL;
}

static const struct nlattr *find_nested(const struct nlattr *in, uint16_t type)
{
	const char *from;

	if (in == NULL)
		return NULL;
	from = mnl_attr_get_payload(in);
	return find_attribute(from, from + mnl_attr_get_payload_len(in), type);
}

/* Queues that are attached to the TAP of this message; 1 where the kernel does not say. */
static uint32_t queues_in(const struct nlmsghdr *n)
{
	const struct nlattr *info =
	    find_attribute(mnl_nlmsg_get_payload_offset(n, sizeof(struct ifinfomsg)),
		mnl_nlmsg_get_payload_tail(n), IFLA_LINKINFO);
	const struct nlattr *count =
	    find_nested(find_nested(info, IFLA_INFO_DATA), IFLA_TUN_NUM_QUEUES);

	return count != NULL ? mnl_attr_get_u32(count) : 1;
}

/* Likewise for a name; 1 also where the kernel cannot be asked. */
static uint32_t count_queues(const char *name)
{
	_Alignas(struct nlmsghdr) char buf[LINK_MESSAGE_MAX];
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	struct nlmsghdr *n = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *link;
	uint32_t count = 1;
	ssize_t got = -1;

	n->nlmsg_type = RTM_GETLINK;
	n->nlmsg_flags = NLM_F_REQUEST;
	link = mnl_nlmsg_put_extra_header(n, sizeof(*link));
	link->ifi_index = (int)if_nametoindex(name);
	if (s != NULL && mnl_socket_sendto(s, n, n->nlmsg_len) >= 0)
		got = mnl_socket_recvfrom(s, buf, sizeof(buf));
	if (got > 0 && mnl_nlmsg_ok(n, (int)got) && n->nlmsg_type == RTM_NEWLINK)
		count = queues_in(n);
	if (s != NULL)
		mnl_socket_close(s);
	return count;
}

/* One that was made for several queues is only had as such, and only whole: another program would get a part of the
 * frames through its queue, and has chosen their format. */
static int attach(int fd, const char *name)
{
	bool was_there = if_nametoindex(name) != 0;
	struct ifreq request = {.ifr_flags = KEPT_FLAGS};

	memcpy(request.ifr_name, name, strlen(name) + 1);
	if (ioctl(fd, TUNSETIFF, &request) == 0)
		return 0;
	if (errno == EINVAL && was_there) {
		request.ifr_flags = KEPT_FLAGS | IFF_MULTI_QUEUE;
		if (ioctl(fd, TUNSETIFF, &request) == 0) {
			if (count_queues(name) == 1)
				return 0;
			errno = EBUSY;
		}
	}
	return complain_about_attaching(name, was_there);
}

/* The MTU of a TAP of ours; that others do as they please. */
static void bring_up(const char *name, bool is_ours, uint16_t mtu)
{
	int s = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_mtu = mtu};

	if (s < 0)
		s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	memcpy(request.ifr_name, name, strlen(name) + 1);
	if (is_ours && ioctl(s, SIOCSIFMTU, &request) < 0)
		note("the MTU of %s cannot be set: %s", name, strerror(errno));
	if (ioctl(s, SIOCGIFFLAGS, &request) < 0) {
		note("%s cannot be asked whether it is up: %s", name, strerror(errno));
	} else if ((request.ifr_flags & IFF_UP) == 0) {
		request.ifr_flags |= IFF_UP;
		if (ioctl(s, SIOCSIFFLAGS, &request) < 0)
			note("%s is down and cannot be brought up (%s); nothing goes through until "
			     "it is",
			    name, strerror(errno));
	}
	if (s >= 0)
		close(s);
}

static int attach_here(const char *name, uint16_t mtu, struct tap_device *ret_tap)
{
	bool is_ours = if_nametoindex(name) == 0;
	struct tap_device t = {.fd = tap_device_open(), .has_vnet = true};

	if (t.fd < 0)
		return -1;
	if (attach(t.fd, name) < 0 || tap_device_set_up(t.fd, &t.features) < 0) {
		close(t.fd);
		return -1;
	}
	bring_up(name, is_ours, mtu);
	*ret_tap = t;
	return 0;
}

/* ---- in another namespace ---- */

static bool is_same_file(int a, int b)
{
	struct stat st_a;
	struct stat st_b;

	return fstat(a, &st_a) == 0 && fstat(b, &st_b) == 0 && st_a.st_dev == st_b.st_dev &&
	       st_a.st_ino == st_b.st_ino;
}

/* Enters the user namespace that owns a network namespace, if it is not ours. */
static int enter_owner(int netns)
{
	int own = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	int owner = ioctl(netns, NS_GET_USERNS);
	int result = 0;

	/* Not even asking is allowed for one that is not below ours; entering it tells. */
	if (own >= 0 && owner >= 0 && !is_same_file(own, owner))
		result = setns(owner, CLONE_NEWUSER);
	if (own >= 0)
		close(own);
	if (owner >= 0)
		close(owner);
	return result;
}

static int enter(const char *path)
{
	int netns = open(path, O_RDONLY | O_CLOEXEC);
	int result = 0;

	if (netns < 0)
		return complain("the network namespace %s cannot be opened: %s", path,
		    errno == ENOENT ? "there is none" : strerror(errno));
	if (enter_owner(netns) < 0 || setns(netns, CLONE_NEWNET) < 0)
		result = complain("the network namespace %s cannot be entered: %s", path,
		    errno == EINVAL ? "it is something else" : strerror(errno));
	close(netns);
	return result;
}

_Noreturn static void attach_there(int channel, const char *name, const char *netns, uint16_t mtu)
{
	struct channel_message m = {.type = CHANNEL_TAP};
	struct tap_device t;

	if (enter(netns) < 0 || attach_here(name, mtu, &t) < 0)
		_exit(EXIT_OWN_FAILURE);
	m.value = t.features;
	_exit(channel_send(channel, m, t.fd) < 0 ? EXIT_OWN_FAILURE : 0);
}

static int attach_in(const char *name, const char *netns, uint16_t mtu, struct tap_device *ret_tap)
{
	struct channel_message m = {0};
	int ends[2];
	int fd = -1;
	int got;
	pid_t pid;

	if (channel_open(ends) < 0)
		return complain("no channel can be made: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		attach_there(ends[1], name, netns, mtu);
	close(ends[1]);
	got = pid < 0 ? complain("no process can be made: %s", strerror(errno))
		      : channel_receive(ends[0], &m, &fd);
	close(ends[0]);
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	/* Without a message, the child has told why. */
	if (got != 1 || fd < 0)
		return -1;
	*ret_tap = (struct tap_device){.fd = fd, .features = m.value, .has_vnet = true};
	return 0;
}

int tap_device_attach(const char *name, const char *netns, uint16_t mtu, struct tap_device *ret_tap)
{
	size_t len = strlen(name);

	if (len == 0 || len >= IFNAMSIZ || strpbrk(name, "/% \t\n:") != NULL ||
	    strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return complain("'%s' cannot be the name of a TAP; use up to %d characters without "
				"blanks, slashes and %%",
		    name, IFNAMSIZ - 1);
	return netns != NULL ? attach_in(name, netns, mtu, ret_tap)
			     : attach_here(name, mtu, ret_tap);
}

/* ---- by descriptor ---- */

/* Whether packet information stands before each frame. TUNGETIFF tells by IFF_NO_PI, but also says by that very
 * bit that there is no filter (IFF_NOFILTER); so there is one while it is asked. A filter of the owner's, which is
 * longer, is left alone. */
static bool has_packet_information(int fd)
{
	struct sock_filter all = {.code = BPF_RET | BPF_K, .k = UINT32_MAX};
	struct sock_fprog owners = {.len = 0};
	struct sock_fprog ours = {.len = 1, .filter = &all};
	struct ifreq request = {.ifr_flags = 0};
	bool is_ours = ioctl(fd, TUNGETFILTER, &owners) == 0 && owners.len <= 1 &&
		       ioctl(fd, TUNATTACHFILTER, &ours) == 0;
	bool result = ioctl(fd, TUNGETIFF, &request) == 0 && (request.ifr_flags & IFF_NO_PI) == 0;

	if (is_ours && ioctl(fd, TUNDETACHFILTER, NULL) < 0)
		note("the filter of descriptor %d cannot be taken off: %s", fd, strerror(errno));
	return result;
}

int tap_device_adopt(int fd, struct tap_device *ret_tap)
{
	struct tap_device t = {.fd = fd};
	struct ifreq request = {.ifr_flags = 0};
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return complain("descriptor %d is not open", fd);
	if (ioctl(fd, TUNGETIFF, &request) < 0 || (request.ifr_flags & IFF_TAP) == 0)
		return complain("descriptor %d is no TAP", fd);
	if (has_packet_information(fd))
		return complain("the TAP of descriptor %d has packet information in front of its "
				"frames; attach to it with IFF_NO_PI",
		    fd);
	if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return complain("descriptor %d cannot be used: %s", fd, strerror(errno));
	t.has_vnet = (request.ifr_flags & IFF_VNET_HDR) != 0;
	if (t.has_vnet && tap_device_set_up(fd, &t.features) < 0)
		return -1;
	*ret_tap = t;
	return 0;
}
