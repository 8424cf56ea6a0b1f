/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts that are put back; see covers.h.
 *
 * How a loss is noticed: the file below a cover is watched itself, as it loses a link (IN_ATTRIB) or is
 * moved when the cover comes off. The directories above are watched for their own removal only, so
 * nothing wakes this process while nothing happens to what is covered, however busy they are.
 * From then on that the place is empty, its directory (or the nearest one above that exists) is watched
 * for new entries; so are, from the start, directories with a symbolic link on the way, and those of a
 * file that may not be watched.
 *
 * Each watch is made before the look at what it watches, so that no change falls in between. A second look
 * follows the watch for new entries.
 *
 * What remains: between the moment when something new stands at the place and the moment when it is
 * covered it can be opened (docs/THREAT.md). A new entry at a place is never covered by something of another
 * type, so a command that moves directories about gains nothing by it.
 *
 * Tests: tests/integ/test_run_sandbox.py, Replaced.
 */
#include "app/covers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/complain.h"
#include "base/text.h"

enum {
	EVENTS_SIZE = 4096, /* room for events, each at most 16 + NAME_MAX + 1 bytes */
};

#define SELF_GONE    (IN_DELETE_SELF | IN_MOVE_SELF)
#define OBJECT_GONE  (SELF_GONE | IN_ATTRIB)
#define ENTRY_CHANGE (SELF_GONE | IN_CREATE | IN_DELETE | IN_MOVE)

int cover_attach(int dir, const char *name, int target_fd)
{
	int tree = open_tree(
	    dir, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW);
	int result;
	int saved_errno;

	if (tree < 0)
		return -1;
	result =
	    move_mount(tree, "", target_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
	saved_errno = errno;
	close(tree);
	errno = saved_errno;
	return result;
}

void covers_init(struct covers *c, int stage)
{
	*c = (struct covers){.stage = stage,
	    .inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK),
	    .mode = IN_MASK_ADD};
	if (c->inotify < 0)
		note("files cannot be watched (%s): when the host replaces /etc/resolv.conf, "
		     "/etc/hosts or a "
		     "socket, the command sees the new one; raise fs.inotify.max_user_instances",
		    strerror(errno));
}

/* A watch on path, besides what is watched there already (but for narrow()); or -1. */
static int watch(const struct covers *c, const char *path, uint32_t events)
{
	return c->inotify < 0 ? -1 : inotify_add_watch(c->inotify, path, events | c->mode);
}

/* Cuts path down to its directory. */
static void cut_to_directory(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash == path)
		slash++;
	*slash = '\0';
}

static void remember(struct cover *item, int wd)
{
	for (size_t i = 0; i < item->dir_count; i++) {
		if (item->dirs[i] == wd)
			return;
	}
	if (item->dir_count < COVER_WATCHES_MAX)
		item->dirs[item->dir_count++] = wd;
}

static void tell_missing(struct covers *c, const char *dir)
{
	if (!c->has_told)
		note("%s cannot be watched (%s): what the host replaces there is seen by the "
		     "command",
		    dir, strerror(errno));
	c->has_told = true;
}

/* Watches the directory of path for events and those above it for others; where one is missing, all that
 * exist for what comes and goes in them. (Not only the nearest: a directory that is removed while
 * something in it is still in use does not tell.) Returns the nearest one's watch, or -1. */
static int watch_chain(
    struct covers *c, struct cover *item, const char *path, uint32_t events, uint32_t above)
{
	char dir[PATH_MAX];
	struct text t = text_init(dir, sizeof(dir));
	int nearest = -1;

	text_str(&t, path);
	do {
		int wd;

		cut_to_directory(dir);
		wd = watch(c, dir, events | IN_ONLYDIR);
		if (wd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
			events = above = ENTRY_CHANGE;
			continue;
		}
		if (wd >= 0)
			remember(item, wd);
		else if (nearest < 0 && events == ENTRY_CHANGE)
			tell_missing(c, dir);
		if (nearest < 0)
			nearest = wd;
		events = above;
	} while (strcmp(dir, "/") != 0);
	return nearest;
}

static void watch_directories(
    struct covers *c, struct cover *item, const char *path, uint32_t events, uint32_t above)
{
	int before;
	int nearest = -1;

	if (c->inotify < 0)
		return;
	/* Again, as a nearer one may have been made before the watch for it. */
	do {
		before = nearest;
		nearest = watch_chain(c, item, path, events, above);
	} while (nearest != before);
}

/* Replaces path, a symbolic link, by what it points to. False: it is none, or cannot be followed. */
static bool follow(char path[PATH_MAX])
{
	char link[PATH_MAX];
	char dir[PATH_MAX];
	struct text t;
	ssize_t len = readlink(path, link, sizeof(link) - 1);

	if (len <= 0)
		return false;
	link[len] = '\0';
	memcpy(dir, path, sizeof(dir));
	cut_to_directory(dir);
	t = text_init(path, PATH_MAX);
	if (link[0] != '/')
		text_printf(&t, "%s/", dir);
	text_str(&t, link);
	return !t.is_cut;
}

/* Watches all directories that decide what is found at the place; events: in that of the last link's
 * target and those above. */
static void watch_way(struct covers *c, struct cover *item, uint32_t events)
{
	char path[PATH_MAX];
	char next[PATH_MAX];
	struct text t = text_init(path, sizeof(path));

	item->dir_count = 0;
	text_str(&t, item->path);
	for (int links = 0; links < COVER_LINKS_MAX; links++) {
		memcpy(next, path, sizeof(next));
		if (!follow(next))
			break;
		watch_directories(c, item, path, ENTRY_CHANGE, SELF_GONE);
		/* Anew, as it may have changed before the watch. */
		(void)follow(path);
	}
	watch_directories(c, item, path, events, events);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool is_covered(const struct covers *c, const struct cover *item)
{
	struct stat source;
	struct stat st;

	return fstatat(c->stage, item->source, &source, AT_SYMLINK_NOFOLLOW) == 0 &&
	       stat(item->path, &st) == 0 && is_same(&st, &source);
}

/* Covers what is at the place. 1: it is covered; 0: there is nothing to cover; -1 with errno. */
static int cover(const struct covers *c, struct cover *item)
{
	struct stat st;
	int target;
	int saved_errno;
	int result = 0;

	if (is_covered(c, item))
		return 1;
	item->object = watch(c, item->path, OBJECT_GONE);
	target = open(item->path, O_PATH | O_CLOEXEC);
	if (target < 0)
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -1 : 0;
	if (fstat(target, &st) < 0)
		result = -1;
	else if ((st.st_mode & S_IFMT) == item->type)
		result = cover_attach(c->stage, item->source, target) < 0 ? -1 : 1;
	saved_errno = errno;
	close(target);
	errno = saved_errno;
	/* It has gone meanwhile, and what comes next is told. */
	return result < 0 && errno == ENOENT ? 0 : result;
}

/* Covers the place, now or as soon as there is something. As cover(). */
static int keep(struct covers *c, struct cover *item)
{
	int result;

	watch_way(c, item, SELF_GONE);
	result = cover(c, item);
	if (result < 0 || (result == 1 && item->object >= 0))
		return result;
	watch_way(c, item, ENTRY_CHANGE);
	/* It may have come before the watch. */
	return result == 0 ? cover(c, item) : result;
}

int covers_add(struct covers *c, const char *path, const char *source, mode_t type)
{
	struct cover item = {.path = path, .source = source, .type = type, .object = -1};
	int result;

	/* The same place by another path. */
	if (is_covered(c, &item))
		return 0;
	result = cover(c, &item);
	if (result <= 0)
		return result;
	if (c->count == c->cap) {
		size_t cap = c->cap > 0 ? 2 * c->cap : 16;
		struct cover *items = reallocarray(c->items, cap, sizeof(*items));

		if (items == NULL)
			return -1;
		c->items = items;
		c->cap = cap;
	}
	c->items[c->count++] = item;
	return keep(c, &c->items[c->count - 1]) < 0 ? -1 : 0;
}

static bool is_concerned(const struct cover *item, const struct inotify_event *event)
{
	if ((event->mask & IN_Q_OVERFLOW) != 0 || item->object == event->wd)
		return true;
	for (size_t i = 0; i < item->dir_count; i++) {
		if (item->dirs[i] == event->wd)
			return true;
	}
	return false;
}

/* Marks what the events in buf are about. */
static void mark(struct covers *c, const char *buf, size_t len)
{
	struct inotify_event event;

	for (size_t at = 0; at + sizeof(event) <= len; at += sizeof(event) + event.len) {
		memcpy(&event, buf + at, sizeof(event));
		for (size_t i = 0; i < c->count; i++)
			c->items[i].is_in_doubt |= is_concerned(&c->items[i], &event);
	}
}

static void keep_or_tell(struct covers *c, struct cover *item)
{
	int result = keep(c, item);

	item->is_in_doubt = false;
	item->is_awaited = result == 0;
	if (result < 0)
		complain("%s of the host is not hidden from the command any more (%s)", item->path,
		    strerror(errno));
}

/* Something has come that was awaited: nobody need be woken any more by what happens in the directories
 * above it, unless another one is awaited there. */
static void narrow(struct covers *c)
{
	c->mode = 0;
	for (size_t i = 0; i < c->count; i++)
		watch_way(c, &c->items[i], SELF_GONE);
	c->mode = IN_MASK_ADD;
	for (size_t i = 0; i < c->count; i++)
		keep_or_tell(c, &c->items[i]);
}

void covers_renew(struct covers *c)
{
	char buf[EVENTS_SIZE];
	ssize_t len;
	bool has_come = false;

	while ((len = read(c->inotify, buf, sizeof(buf))) > 0)
		mark(c, buf, (size_t)len);
	for (size_t i = 0; i < c->count; i++) {
		struct cover *item = &c->items[i];
		bool was_awaited = item->is_awaited;

		if (!item->is_in_doubt)
			continue;
		keep_or_tell(c, item);
		has_come |= was_awaited && !item->is_awaited;
	}
	if (has_come)
		narrow(c);
}
