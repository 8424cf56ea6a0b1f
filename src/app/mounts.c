/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the command sees in the file system. Everything is the host's, but for:
 *
 * - /etc/resolv.conf and /etc/hosts, over which our texts are bound. Where such a file is missing, is a
 *   dangling link or no regular file, /etc itself is replaced by a tmpfs with all its entries
 *   bound into it and the file beside them; the host's file system is never written.
 * - sockets of host services, over which a socket is bound that nobody listens on: connect() then fails
 *   with ECONNREFUSED, as if the service did not run (threats D24 and I6).
 * - /proc and /sys, which are those of the command's own namespaces. Where the kernel refuses to mount
 *   them, because a container runtime has masked parts of the present ones, those stay.
 * - control groups, which are read-only.
 * - for root: kernel settings, which the files' owner may write whatever his capabilities
 *   are (/proc/sys/kernel/core_pattern, /sys/kernel/uevent_helper, ...), are read-only.
 *
 * The namespace was made together with a user namespace. So the kernel has made all mounts slaves of the
 * host's (nothing of ours gets out, the host's unmounts come in) and has locked them together: the
 * command cannot take our mounts away, having no capability in the user namespace that owns them.
 *
 * Our files lie on a tmpfs that stands at /proc: it is the one directory which is there on each machine and is
 * mounted over afterwards anyway. Below that mount it stays, out of reach: init takes from it what it has
 * to cover again, when the host has replaced a file below one of ours (covers.h).
 */
#include "app/mounts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/complain.h"
#include "app/covers.h"
#include "app/sandbox.h"
#include "base/text.h"

#define CGROUPS       "/sys/fs/cgroup"
#define STAGE         "/proc"
#define STAGE_SIZE    "16m"     /* the command may fill it, if /etc had to be replaced */
#define NOTHING       "nothing" /* a socket that nobody listens on */
#define STAGE_NOTHING STAGE "/" NOTHING
#define STAGE_ETC     STAGE "/etc"
#define STAGE_RESOLV  STAGE "/resolv.conf"
#define STAGE_HOSTS   STAGE "/hosts"

static int create_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	size_t len = strlen(text);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, text, len);
	close(fd);
	return n == (ssize_t)len ? 0 : -1;
}

static int attach(const char *from, const char *to)
{
	int target = open(to, O_PATH | O_CLOEXEC);
	int result;

	if (target < 0)
		return -1;
	result = cover_attach(AT_FDCWD, from, target);
	close(target);
	return result;
}

/* Whether a file can be bound over path. */
static bool is_regular(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Puts one entry of /etc into the tmpfs that is to replace it. */
static int copy_entry(const char *name)
{
	char from[PATH_MAX];
	char to[PATH_MAX];
	char link[PATH_MAX];
	struct text from_text = text_init(from, sizeof(from));
	struct text to_text = text_init(to, sizeof(to));
	struct stat st;
	ssize_t len;

	text_printf(&from_text, "/etc/%s", name);
	text_printf(&to_text, STAGE_ETC "/%s", name);
	if (lstat(from, &st) < 0)
		return errno == ENOENT ? 0 : -1;
	if (S_ISLNK(st.st_mode)) {
		len = readlink(from, link, sizeof(link) - 1);
		if (len < 0)
			return -1;
		link[len] = '\0';
		return symlink(link, to);
	}
	if (S_ISDIR(st.st_mode) ? mkdir(to, 0755) < 0 : create_file(to, "", 0444) < 0)
		return -1;
	return attach(from, to);
}

/* Replaces /etc by a tmpfs with the same entries, but with own files for those that are given. */
static int replace_etc(const char *resolv_conf, const char *hosts)
{
	const struct dirent *entry;
	int result = 0;
	DIR *dir;

	note("/etc is shown through a temporary file system, as /etc/%s does not exist",
	    resolv_conf != NULL ? "resolv.conf" : "hosts");
	if (mkdir(STAGE_ETC, 0755) < 0)
		return -1;
	dir = opendir("/etc");
	if (dir == NULL)
		return -1;
	while (result == 0 && (entry = readdir(dir)) != NULL) {
		const char *name = entry->d_name;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
		    (resolv_conf != NULL && strcmp(name, "resolv.conf") == 0) ||
		    (hosts != NULL && strcmp(name, "hosts") == 0))
			continue;
		result = copy_entry(name);
	}
	closedir(dir);
	if (result == 0 && resolv_conf != NULL)
		result = create_file(STAGE_ETC "/resolv.conf", resolv_conf, 0644);
	if (result == 0 && hosts != NULL)
		result = create_file(STAGE_ETC "/hosts", hosts, 0644);
	return result == 0 ? attach(STAGE_ETC, "/etc") : -1;
}

static int show_file(struct covers *covers, const char *path, const char *source, const char *text)
{
	if (create_file(source, text, 0644) < 0 ||
	    covers_add(covers, path, source + sizeof(STAGE), S_IFREG) < 0)
		return complain("%s cannot be replaced for the command: %s", path, strerror(errno));
	return 0;
}

static int show_files(const struct mounts_plan *plan, struct covers *covers)
{
	bool has_resolv = is_regular("/etc/resolv.conf");
	bool has_hosts = is_regular("/etc/hosts");

	if ((!has_resolv || !has_hosts) &&
	    replace_etc(has_resolv ? NULL : plan->resolv_conf, has_hosts ? NULL : plan->hosts) < 0)
		return complain("/etc cannot be completed for the command: %s", strerror(errno));
	if (has_resolv &&
	    show_file(covers, "/etc/resolv.conf", STAGE_RESOLV, plan->resolv_conf) < 0)
		return -1;
	return has_hosts ? show_file(covers, "/etc/hosts", STAGE_HOSTS, plan->hosts) : 0;
}

static int cover_sockets(const struct mounts_plan *plan, struct covers *covers)
{
	if (plan->socket_count > 0 && mknod(STAGE_NOTHING, S_IFSOCK | 0666, 0) < 0)
		return complain("nothing can be made to cover sockets with: %s", strerror(errno));
	for (size_t i = 0; i < plan->socket_count; i++) {
		if (covers_add(covers, plan->sockets[i], NOTHING, S_IFSOCK) < 0)
			return complain(
			    "the host's socket %s cannot be hidden from the command (%s); "
			    "--keep-socket %s leaves it open",
			    plan->sockets[i], strerror(errno), plan->sockets[i]);
	}
	return 0;
}

/* Makes what is at path, and mounted below it, read-only. 0, also where nothing is there; or -1. */
static int make_read_only(const char *path)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	int tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	int result;
	int saved_errno;

	if (tree < 0)
		return errno == ENOENT ? 0 : -1;
	result = mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr));
	if (result == 0)
		result = move_mount(tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH);
	saved_errno = errno;
	close(tree);
	errno = saved_errno;
	return result;
}

/* Control groups that are the user's (a session's) can be read, but not written: to write there can freeze or
 * kill processes of the host. Before Linux 5.12 they cannot be read either. */
static int protect_cgroups(const struct covers *covers)
{
	int target;
	int result;

	if (make_read_only(CGROUPS) == 0)
		return 0;
	note(CGROUPS " cannot be made read-only (%s) and is hidden", strerror(errno));
	target = open(CGROUPS, O_PATH | O_CLOEXEC);
	if (target < 0)
		return -1;
	result = mkdirat(covers->stage, "empty", 0555);
	if (result == 0)
		result = cover_attach(covers->stage, "empty", target);
	close(target);
	return result;
}

/* Shows the kernel's view of the new namespaces. host_proc: what /proc was before. */
static int mount_kernel_views(int host_proc, const struct covers *covers)
{
	static const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	int cgroups;

	if (mount("proc", "/proc", "proc", flags, NULL) < 0) {
		if (errno != EPERM ||
		    move_mount(host_proc, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH) < 0)
			return complain("/proc cannot be mounted: %s", strerror(errno));
		note("/proc stays the host's, as parts of it are masked here; process numbers "
		     "in it are not those that the command sees");
	}
	cgroups = open_tree(AT_FDCWD, CGROUPS, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (mount("sysfs", "/sys", "sysfs", flags, NULL) < 0)
		note("/sys stays the host's (%s)", strerror(errno));
	else if (cgroups >= 0 &&
		 move_mount(cgroups, "", AT_FDCWD, CGROUPS, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		note(CGROUPS " cannot be shown (%s)", strerror(errno));
	if (cgroups >= 0)
		close(cgroups);
	if (protect_cgroups(covers) < 0)
		return complain(
		    CGROUPS " can neither be made read-only nor be hidden: %s", strerror(errno));
	return 0;
}

static int protect_settings(void)
{
	static const char *const paths[] = {
	    "/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/sys", NULL};

	for (const char *const *path = paths; *path != NULL; path++) {
		if (make_read_only(*path) < 0)
			return complain(
			    "%s cannot be made read-only for a command of root (%s); run "
			    "the command as another user, or use Linux 5.12 or newer",
			    *path, strerror(errno));
	}
	return 0;
}

/* All that needs the stage, which is at /proc. */
static int cover_host(const struct mounts_plan *plan, struct covers *covers)
{
	int stage;

	if (mount("sluice", STAGE, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		"mode=0755,size=" STAGE_SIZE) < 0)
		return complain(
		    "a temporary file system cannot be mounted in new namespaces: %s; %s",
		    strerror(errno), sandbox_denial_remedy());
	stage = open(STAGE, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (stage < 0)
		return complain(STAGE " cannot be opened: %s", strerror(errno));
	covers_init(covers, stage);
	if (show_files(plan, covers) < 0)
		return -1;
	return cover_sockets(plan, covers);
}

int mounts_set_up(const struct mounts_plan *plan, struct covers *ret_covers)
{
	int host_proc =
	    open_tree(AT_FDCWD, "/proc", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	int result = cover_host(plan, ret_covers);

	if (result == 0)
		result = mount_kernel_views(host_proc, ret_covers);
	if (host_proc >= 0)
		close(host_proc);
	if (result < 0)
		return -1;
	return plan->is_root ? protect_settings() : 0;
}
