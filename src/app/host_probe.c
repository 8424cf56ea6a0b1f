/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to the host.
 *
 * Inherited descriptors: a socket belongs for ever to the network namespace that it was made in. A TCP
 * socket of the host that a command got could be disconnected and connected anew, past all rules; a
 * directory leads to the host's mounts, past what was covered. So neither is handed on.
 */
#include "app/host_probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/complain.h"

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

/* The place is free again for a command. */
int host_probe_keep_places(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/* The lowest free number is this one. */
		if (open("/dev/null", O_RDWR | O_CLOEXEC) != fd)
			return complain("/dev/null cannot be opened: %s", strerror(errno));
	}
	return 0;
}

int host_probe_inherited_fds(void)
{
	const struct dirent *entry;
	int result = 0;
	DIR *dir;

	if (host_probe_keep_places() < 0)
		return -1;
	dir = opendir("/proc/self/fd");
	if (dir == NULL && errno != ENOENT)
		return complain("/proc/self/fd cannot be listed: %s", strerror(errno));
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
