/* SPDX-License-Identifier: Apache-2.0 */
/* What the host's network is; see facts.h. */
#include "host/facts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/host.h"
#include "names/nameserver.h"
#include "wire/dns.h"

enum {
	PROBE_PORT = 443,
	RESOLV_CONF_MAX = 65536,
};

bool host_has_route(int family)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(PROBE_PORT)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(PROBE_PORT)};
	bool has_route;
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	if (family == AF_INET)
		has_route = inet_pton(AF_INET, "192.0.2.1", &v4.sin_addr) == 1 &&
			    connect(fd, (const struct sockaddr *)&v4, sizeof(v4)) == 0;
	else
		has_route = inet_pton(AF_INET6, "2001:db8::1", &v6.sin6_addr) == 1 &&
			    connect(fd, (const struct sockaddr *)&v6, sizeof(v6)) == 0;
	(void)close(fd);
	return has_route;
}

/* The start of a regular file, with a NUL behind it. The text is the caller's, or NULL. */
static char *read_text(const char *path, size_t cap)
{
	/* Not to wait for a writer, if it is a pipe. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	bool is_file = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	char *text = is_file ? malloc(cap) : NULL;
	size_t len = 0;

	while (text != NULL && len < cap - 1) {
		ssize_t n = read(fd, text + len, cap - 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	if (text != NULL)
		text[len] = '\0';
	if (fd >= 0)
		(void)close(fd);
	return text;
}

uint32_t host_resolvers(struct endpoint *out, uint32_t cap, uint32_t *ret_skipped)
{
	char *text = read_text("/etc/resolv.conf", RESOLV_CONF_MAX);
	uint32_t count = 0;

	*ret_skipped = 0;
	if (text != NULL)
		count = nameserver_list(text, out, cap, ret_skipped);
	free(text);
	if (count > 0 || cap == 0)
		return count;
	out[0] = (struct endpoint){.addr = ip_addr_v4(INADDR_LOOPBACK), .port = DNS_PORT};
	return 1;
}

static int add_interface(struct policy_builder *b, const struct sockaddr *address)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct ip_addr addr;

	if (address == NULL)
		return 0;
	if (address->sa_family == AF_INET) {
		memcpy(&v4, address, sizeof(v4));
		addr = ip_addr_v4(ntohl(v4.sin_addr.s_addr));
	} else if (address->sa_family == AF_INET6) {
		memcpy(&v6, address, sizeof(v6));
		memcpy(addr.b, &v6.sin6_addr, sizeof(addr.b));
	} else {
		return 0;
	}
	return policy_builder_add_host(b, &addr);
}

static int add_gateway(struct policy_builder *b, const struct netif_config *n)
{
	int err = 0;

	if (n->has_v4)
		err = policy_builder_add_host(b, &n->gateway_v4);
	if (n->has_v6 && !err)
		err = policy_builder_add_host(b, &n->gateway_v6);
	if (n->has_v6 && !err)
		err = policy_builder_add_host(b, &n->gateway_ll);
	return err;
}

int host_change_policy(struct policy_builder *b, const struct netif_config *netif,
    const struct ip_addr *addrs, size_t count)
{
	int err;

	policy_builder_clear_hosts(b);
	err = add_gateway(b, netif);
	for (size_t i = 0; i < count && !err; i++)
		err = policy_builder_add_host(b, &addrs[i]);
	return err;
}

int host_add_to_policy(struct policy_builder *b, const struct netif_config *netif)
{
	int err = add_gateway(b, netif);
	struct siphash_key key;
	struct ifaddrs *list;

	host_sock_ops.random(NULL, &key, sizeof(key));
	policy_builder_set_key(b, &key);
	if (err)
		return err;
	if (getifaddrs(&list) < 0)
		return -errno;
	for (const struct ifaddrs *i = list; i != NULL && !err; i = i->ifa_next)
		err = add_interface(b, i->ifa_addr);
	freeifaddrs(list);
	return err;
}
