/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Id maps. The command keeps the ids that it would have without sluice, in both cases: the maps are
 * identities. As root the map covers what the own user namespace covers (usually all ids).
 *
 * A single-id map forbids setgroups() first, as the kernel demands it of unprivileged writers; the
 * supplementary groups stay in effect, though they show as "nogroup".
 */
#include "app/id_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/complain.h"
#include "app/files.h"
#include "base/text.h"

enum {
	PATH_SIZE = 64,
	MAP_SIZE = 4096, /* the kernel takes less than a page */
};

static int write_of(pid_t pid, const char *name, const char *text)
{
	char path[PATH_SIZE];
	struct text t = text_init(path, sizeof(path));

	text_printf(&t, "/proc/%d/%s", (int)pid, name);
	return file_write(path, text);
}

/* Turns lines "inside outside count" of the own namespace into "inside inside count". 0 or -1. */
static int identity_map(const char *own_path, char *map, size_t cap)
{
	struct text t = text_init(map, cap);
	unsigned int inside;
	unsigned int outside;
	unsigned int count;
	FILE *f = fopen(own_path, "re");

	if (f == NULL)
		return -1;
	/* The kernel writes this file: its numbers are in range. NOLINTNEXTLINE(cert-err34-c) */
	while (fscanf(f, "%u %u %u", &inside, &outside, &count) == 3)
		text_printf(&t, "%u %u %u\n", inside, inside, count);
	(void)fclose(f);
	return t.is_cut || t.len == 0 ? -1 : 0;
}

static int write_full(pid_t pid)
{
	char uids[MAP_SIZE];
	char gids[MAP_SIZE];

	if (identity_map("/proc/self/uid_map", uids, sizeof(uids)) < 0 ||
	    identity_map("/proc/self/gid_map", gids, sizeof(gids)) < 0)
		return -1;
	/* Groups first: where one of the two is refused, it is this one, and nothing is set yet. */
	if (write_of(pid, "gid_map", gids) < 0)
		return -1;
	return write_of(pid, "uid_map", uids);
}

static int write_single(pid_t pid)
{
	char map[PATH_SIZE];
	struct text t;

	if (write_of(pid, "setgroups", "deny") < 0)
		return -1;
	t = text_init(map, sizeof(map));
	text_printf(&t, "%u %u 1\n", (unsigned int)getegid(), (unsigned int)getegid());
	if (write_of(pid, "gid_map", map) < 0)
		return -1;
	t = text_init(map, sizeof(map));
	text_printf(&t, "%u %u 1\n", (unsigned int)geteuid(), (unsigned int)geteuid());
	return write_of(pid, "uid_map", map);
}

int id_map_write(pid_t pid)
{
	if (geteuid() == 0 && write_full(pid) == 0)
		return 0;
	if (write_single(pid) == 0)
		return 0;
	if (errno == ENOENT)
		return complain(
		    "/proc does not show the processes of this machine; mount it (mount -t "
		    "proc proc /proc)");
	return complain("the user namespace's id maps cannot be written: %s", strerror(errno));
}
