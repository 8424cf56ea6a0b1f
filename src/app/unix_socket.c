/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unix sockets in the file system; see unix_socket.h.
 *
 * Whether somebody still holds a socket file is asked by connecting with a datagram socket, which is not seen at the
 * other end, whatever type that is of.
 */
#include "app/unix_socket.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/complain.h"

enum {
	BACKLOG = 16,
};

static int make_address(const char *path, struct sockaddr_un *ret_address)
{
	size_t len = strlen(path);

	*ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (len == 0)
		return complain("the path of a socket is missing");
	if (len >= sizeof(ret_address->sun_path))
		return complain("the path %s is too long for a socket, which takes %zu characters",
		    path, sizeof(ret_address->sun_path) - 1);
	memcpy(ret_address->sun_path, path, len);
	return 0;
}

static const struct sockaddr *generic(const struct sockaddr_un *a)
{
	return (const struct sockaddr *)(const void *)a;
}

/* Whether the file is a socket that nobody holds. */
static bool is_stale(const struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;
	bool result;

	if (fd < 0)
		return false;
	result = lstat(a->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
		 connect(fd, generic(a), sizeof(*a)) < 0 && errno == ECONNREFUSED;
	close(fd);
	return result;
}

static int complain_about_place(const char *path)
{
	struct stat st;

	if (errno == EADDRINUSE && lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return complain("%s is there already and is no socket; choose another path, or "
				"remove it",
		    path);
	if (errno == EADDRINUSE)
		return complain("the socket %s is in use by another program", path);
	return complain("the socket %s cannot be made: %s", path, strerror(errno));
}

/* For our user only, from the first moment on. */
static int bind_privately(int fd, const struct sockaddr_un *a)
{
	mode_t before = umask(S_IRWXG | S_IRWXO);
	int result = bind(fd, generic(a), sizeof(*a));

	if (result < 0 && errno == EADDRINUSE) {
		if (is_stale(a) && unlink(a->sun_path) == 0)
			result = bind(fd, generic(a), sizeof(*a));
		else
			errno = EADDRINUSE;
	}
	(void)umask(before);
	return result;
}

int unix_socket_bind(const char *path, int type, struct unix_socket *ret_socket)
{
	struct sockaddr_un a;
	struct stat st = {0};
	int fd;

	if (make_address(path, &a) < 0)
		return -1;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return complain("no Unix socket can be made: %s", strerror(errno));
	if (bind_privately(fd, &a) < 0) {
		complain_about_place(path);
		close(fd);
		return -1;
	}
	if (lstat(path, &st) == 0)
		*ret_socket =
		    (struct unix_socket){.path = path, .device = st.st_dev, .inode = st.st_ino};
	if (type != SOCK_DGRAM && listen(fd, BACKLOG) < 0) {
		complain("the socket %s cannot listen: %s", path, strerror(errno));
		unix_socket_remove(ret_socket);
		close(fd);
		return -1;
	}
	return fd;
}

void unix_socket_remove(struct unix_socket *s)
{
	struct stat st;

	if (s->path != NULL && lstat(s->path, &st) == 0 && st.st_dev == s->device &&
	    st.st_ino == s->inode && unlink(s->path) < 0)
		note("%s cannot be removed: %s", s->path, strerror(errno));
	s->path = NULL;
}

static int connect_error(const char *path)
{
	switch (errno) {
	case ENOENT:
	case ECONNREFUSED:
	case EAGAIN:
		return -EAGAIN;
	case EPROTOTYPE:
		return complain(
		    "the socket %s is of another type than that kind of port has", path);
	case ENOTSOCK:
		return complain("%s is no socket", path);
	default:
		return complain("nothing can be connected to at %s: %s", path, strerror(errno));
	}
}

int unix_socket_connect(const char *path, int type)
{
	struct sockaddr_un a;
	struct stat st;
	int result;
	int fd;

	if (make_address(path, &a) < 0)
		return -1;
	if (stat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return complain("%s is no socket", path);
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return complain("no Unix socket can be made: %s", strerror(errno));
	if (connect(fd, generic(&a), sizeof(a)) == 0)
		return fd;
	result = connect_error(path);
	close(fd);
	return result;
}

int unix_socket_type(int fd)
{
	int domain = 0;
	int type = 0;
	socklen_t len = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || domain != AF_UNIX)
		return -1;
	len = sizeof(type);
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ? -1 : type;
}
