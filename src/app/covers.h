/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Covers: what is mounted over files and sockets of the host, and stays there when the host replaces
 * them. The kernel takes a mount away from all namespaces when the file below it is renamed over
 * or removed in one that does not have the mount (rename(2) over /etc/resolv.conf by a DHCP client, the
 * socket of a service that is started again). So the places are watched and covered again.
 */
#ifndef SLUICE_APP_COVERS_H
#define SLUICE_APP_COVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	COVER_LINKS_MAX = 8,                     /* symbolic links followed to a place */
	COVER_WATCHES_MAX = COVER_LINKS_MAX + 1, /* directories of the links, and of the place */
};

struct cover {
	const char *path;   /* borrowed; absolute; links in it are followed anew each time */
	const char *source; /* borrowed; the name of what lies on top, in the stage */
	mode_t type;        /* S_IFREG, S_IFSOCK: nothing else at the place is covered */
	int object;         /* watch of what is covered; -1: none */
	int dirs[COVER_WATCHES_MAX]; /* watches of directories on the way */
	size_t dir_count;
	bool is_in_doubt; /* something has happened to it */
	bool is_awaited;  /* nothing is there */
};

struct covers {
	int stage; /* directory of the sources, O_PATH; on a file system mounted in this namespace */
	int inotify;         /* -1: covers are not put back */
	struct cover *items; /* of count, room for cap */
	size_t count;
	size_t cap;
	uint32_t mode; /* IN_MASK_ADD; 0: watches get the events asked for only */
	bool has_told; /* that a watch is missing */
};

/* Takes over stage. Without inotify there is a note, and covers stay only until the host replaces what
 * they cover. */
void covers_init(struct covers *c, int stage);

/* Covers path by source, if something of the type is there, and keeps it so. Both names must live as
 * long as c. 0, also where nothing that can be reached is at path; or -1 with errno. Needs
 * CAP_SYS_ADMIN over the mount namespace, as does covers_renew(). */
__attribute__((warn_unused_result)) int covers_add(
    struct covers *c, const char *path, const char *source, mode_t type);

/* To be called when c->inotify is readable: puts back what was lost. */
void covers_renew(struct covers *c);

/* Attaches what stands at name below dir, with all that is mounted there, on top of what target_fd
 * names. 0, or -1 with errno. */
__attribute__((warn_unused_result)) int cover_attach(int dir, const char *name, int target_fd);

#endif
