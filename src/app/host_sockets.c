/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which sockets of the host the command must not reach.
 *
 * A network namespace has its own abstract Unix sockets, but a socket in the file system is reached by
 * whoever can open its path. Behind one, a service of the host acts for the command in the host's
 * network: resolves names, starts containers, runs commands (threats D24, I6). As nobody can know all
 * such services, all listening sockets are covered that the kernel lists for our network
 * namespace, besides well-known ones whose service may run in another. What this cannot do is said
 * in docs/THREAT.md.
 */
#include "app/host_sockets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/complain.h"
#include "base/text.h"

enum {
	PATH_CAP = 128,           /* more than the 108 bytes of a Unix socket address */
	FLAG_LISTENING = 0x10000, /* __SO_ACCEPTCON of the kernel */
	FIELDS_BEFORE_PATH = 7,
	FLAGS_FIELD = 3,
};

static const char *const well_known[] = {
    /* name resolution and user lookup that asks the network */
    "/run/nscd/socket",
    "/run/systemd/resolve/io.systemd.Resolve",
    "/run/systemd/resolve/io.systemd.Resolve.Monitor",
    "/run/avahi-daemon/socket",
    /* message buses and service managers */
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
    "/run/systemd/io.systemd.sysext",
    /* containers and virtual machines */
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/run/crio/crio.sock",
    "/run/cri-dockerd.sock",
    "/run/buildkit/buildkitd.sock",
    "/run/libvirt/libvirt-sock",
    "/run/libvirt/virtqemud-sock",
    "/run/incus/unix.socket",
    "/var/lib/incus/unix.socket",
    "/var/lib/lxd/unix.socket",
    "/var/snap/lxd/common/lxd/unix.socket",
    /* others that fetch or connect on request */
    "/run/snapd.socket",
    "/run/snapd-snap.socket",
    "/run/cups/cups.sock",
    "/run/tailscale/tailscaled.sock",
    "/run/tor/socks",
};

/* In the directory of a user's session, /run/user/UID. */
static const char *const well_known_of_user[] = {
    "bus",
    "systemd/private",
    "docker.sock",
    "podman/podman.sock",
    "containerd/containerd.sock",
    "containerd-rootless/api.sock",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int add(struct host_sockets *list, const char *path)
{
	if (list->count == list->cap) {
		size_t cap = list->cap > 0 ? 2 * list->cap : 64;
		char **paths = reallocarray(list->paths, cap, sizeof(*paths));

		if (paths == NULL)
			return -1;
		list->paths = paths;
		list->cap = cap;
	}
	list->paths[list->count] = strdup(path);
	if (list->paths[list->count] == NULL)
		return -1;
	list->count++;
	return 0;
}

static int add_well_known(struct host_sockets *list)
{
	char path[PATH_CAP];

	for (size_t i = 0; i < COUNT(well_known); i++) {
		if (add(list, well_known[i]) < 0)
			return -1;
	}
	for (size_t i = 0; i < COUNT(well_known_of_user); i++) {
		struct text t = text_init(path, sizeof(path));

		text_printf(&t, "/run/user/%u/%s", (unsigned int)getuid(), well_known_of_user[i]);
		if (add(list, path) < 0)
			return -1;
	}
	return 0;
}

/* The path of a listening socket in a line of /proc/net/unix, or NULL. A path that is relative to some
 * process's directory, or abstract, is none. */
static const char *path_in_line(char *line)
{
	char *at = line;

	for (int field = 0; field < FIELDS_BEFORE_PATH; field++) {
		at += strspn(at, " ");
		if (field == FLAGS_FIELD && (strtoul(at, NULL, 16) & FLAG_LISTENING) == 0)
			return NULL;
		at += strcspn(at, " \n");
	}
	if (at[0] != ' ' || at[1] != '/')
		return NULL;
	at[strcspn(at, "\n")] = '\0';
	return at + 1;
}

static int add_listening(struct host_sockets *list)
{
	FILE *f = fopen("/proc/net/unix", "re");
	char *line = NULL;
	size_t cap = 0;
	int result = 0;

	if (f == NULL)
		return -1;
	while (result == 0 && getline(&line, &cap, f) > 0) {
		const char *path = path_in_line(line);

		if (path != NULL)
			result = add(list, path);
	}
	free(line);
	(void)fclose(f);
	return result;
}

/* Takes out what names the same file as path. */
static void remove_kept(struct host_sockets *list, const struct stat *kept)
{
	size_t to = 0;

	for (size_t i = 0; i < list->count; i++) {
		struct stat st;

		if (stat(list->paths[i], &st) == 0 && st.st_dev == kept->st_dev &&
		    st.st_ino == kept->st_ino)
			free(list->paths[i]);
		else
			list->paths[to++] = list->paths[i];
	}
	list->count = to;
}

int host_sockets_list(const char *const *keep, size_t keep_count, struct host_sockets *ret_list)
{
	struct host_sockets list = {0};

	if (add_well_known(&list) < 0 || add_listening(&list) < 0) {
		host_sockets_fini(&list);
		return complain("the sockets of the host's services cannot be listed (%s); "
				"--keep-host-sockets does without",
		    strerror(errno));
	}
	for (size_t i = 0; i < keep_count; i++) {
		struct stat st;

		if (stat(keep[i], &st) < 0 || !S_ISSOCK(st.st_mode)) {
			host_sockets_fini(&list);
			return complain("--keep-socket %s: there is no such socket", keep[i]);
		}
		remove_kept(&list, &st);
	}
	*ret_list = list;
	return 0;
}

void host_sockets_fini(struct host_sockets *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->paths[i]);
	free(list->paths);
	*list = (struct host_sockets){0};
}
