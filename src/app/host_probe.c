/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to the host.
 *
 * Inherited descriptors: a socket belongs for ever to the network namespace that it was made in. A TCP
 * socket of the host that a command got could be disconnected and connected anew, past all rules; a
 * directory leads to the host's mounts, past what was covered. So neither is handed on.
 */
#include "app/host_probe.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/complain.h"
#include "app/files.h"
#include "app/guest_files.h"

enum {
	PROBE_PORT = 443,
	RESOLV_CONF_MAX = 65536,
};

bool host_probe_has_route(int family)
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
	close(fd);
	return has_route;
}

uint32_t host_probe_resolvers(struct endpoint *out, uint32_t cap)
{
	char *text = malloc(RESOLV_CONF_MAX);
	uint32_t skipped = 0;
	uint32_t count = 0;

	if (text != NULL && file_read("/etc/resolv.conf", text, RESOLV_CONF_MAX) >= 0)
		count = guest_files_nameservers(text, out, cap, &skipped);
	free(text);
	if (skipped > 0)
		note("%u of the host's nameservers are not used (too many, or with a zone)",
		    skipped);
	if (count > 0 || cap == 0)
		return count;
	out[0] = (struct endpoint){.addr = ip_addr_v4(INADDR_LOOPBACK), .port = DNS_PORT};
	return 1;
}

/* Whether a descriptor leads out of the sandbox, and how to call it. */
static const char *leak_name(int fd)
{
	struct stat st;
	int domain;
	socklen_t len = sizeof(domain);

	if (fstat(fd, &st) < 0)
		return NULL;
	if (S_ISDIR(st.st_mode))
		return "a directory";
	if (S_ISSOCK(st.st_mode) &&
	    (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || domain != AF_UNIX))
		return "a network socket";
	return NULL;
}

static int check_fd(int fd)
{
	const char *name = leak_name(fd);

	if (name == NULL)
		return 0;
	if (fd <= STDERR_FILENO)
		return complain(
		    "descriptor %d is %s of the host, by which the command would get around "
		    "its rules; pass a pipe or a file instead",
		    fd, name);
	note("descriptor %d is %s of the host and is not passed on", fd, name);
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return complain(
		    "descriptor %d cannot be kept from the command: %s", fd, strerror(errno));
	return 0;
}

/* A standard descriptor that is closed would be taken by the next file that is opened, which would then
 * be read or written as the terminal. Its place is kept, and is free again for the command. */
static int keep_places(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/* The lowest free number is this one. */
		if (open("/dev/null", O_RDWR | O_CLOEXEC) != fd)
			return -1;
	}
	return 0;
}

int host_probe_inherited_fds(void)
{
	const struct dirent *entry;
	int result = 0;
	DIR *dir;

	if (keep_places() < 0)
		return complain("/dev/null cannot be opened: %s", strerror(errno));
	dir = opendir("/proc/self/fd");
	if (dir == NULL)
		return complain("/proc is not mounted; mount it (mount -t proc proc /proc)");
	while (result == 0 && (entry = readdir(dir)) != NULL) {
		char *end;
		long fd = strtol(entry->d_name, &end, 10);

		if (*end == '\0' && end != entry->d_name && fd != dirfd(dir) && fd <= INT_MAX)
			result = check_fd((int)fd);
	}
	closedir(dir);
	return result;
}
