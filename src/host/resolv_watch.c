/* SPDX-License-Identifier: Apache-2.0 */
/* The host's resolver configuration, followed; see resolv_watch.h. Tests: unit/test_resolv_watch.c. */
#include "host/resolv_watch.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum {
	LINKS_MAX = 8,
	TURN_READS = 64,
};

/* Changes in a directory that can make a file in it another one. */
static const uint32_t changes =
    IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM | IN_ONLYDIR;

/* Replaces path, a symbolic link, by what it points to. False: it is none. */
static bool step(char path[PATH_MAX])
{
	char target[PATH_MAX];
	char dir[PATH_MAX];
	ssize_t len = readlink(path, target, sizeof(target) - 1);
	int n;

	if (len <= 0)
		return false;
	target[len] = '\0';
	memcpy(dir, path, PATH_MAX);
	if (target[0] == '/')
		n = snprintf(path, PATH_MAX, "%s", target);
	else
		n = snprintf(path, PATH_MAX, "%s/%s", dirname(dir), target);
	return n > 0 && n < PATH_MAX;
}

/* Watches the directory of each link on the way, and that of the file. The same directory twice is one watch. One that
 * does not exist is not watched: when the link changes, it is looked for again. 0, or -errno for the first. */
static int watch(int fd, const char *path)
{
	char at[PATH_MAX];
	int result = 0;

	if (snprintf(at, sizeof(at), "%s", path) >= PATH_MAX)
		return -ENAMETOOLONG;
	for (int i = 0; i < LINKS_MAX; i++) {
		char dir[PATH_MAX];

		memcpy(dir, at, sizeof(dir));
		if (inotify_add_watch(fd, dirname(dir), changes) < 0 && i == 0)
			result = -errno;
		if (!step(at))
			break;
	}
	return result;
}

int resolv_watch_open(const char *path)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	int err;

	if (fd < 0)
		return -errno;
	err = watch(fd, path);
	if (err) {
		(void)close(fd);
		return err;
	}
	return fd;
}

bool resolv_watch_on_ready(int fd, const char *path)
{
	_Alignas(struct inotify_event) char buf[4096];
	bool has_changed = false;

	/* Which file it was is not looked at: changes in these directories are rare. */
	for (int i = 0; i < TURN_READS && read(fd, buf, sizeof(buf)) > 0; i++)
		has_changed = true;
	if (has_changed)
		(void)watch(fd, path);
	return has_changed;
}
