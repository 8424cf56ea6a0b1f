/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of a guest, as a front end of vhost-user shares it: regions of guest physical addresses, each mapped
 * from a file, and other mappings of files that the front end owns (log of dirty pages, inflight region).
 *
 * Nothing in it can be relied on: any byte may change at any time, and the files may shrink, which makes a page
 * vanish under the reader. See guest_memory.c for what happens then.
 *
 * A memory is used by one thread at a time.
 */
#ifndef SLUICE_PORT_GUEST_MEMORY_H
#define SLUICE_PORT_GUEST_MEMORY_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "wire/vhost_user.h"

enum {
	GUEST_MEMORY_SLOTS = 509, /* regions, as many as QEMU may have */
	GUEST_MEMORY_PAGE = 4096, /* of the log */
};

/* A mapping of a file of the front end. */
struct guest_map {
	uint8_t *at; /* NULL: none */
	size_t len;
};

struct guest_region {
	uint64_t gpa;         /* guest physical address */
	uint64_t uva;         /* address in the front end */
	uint64_t size;        /* bytes, not 0 */
	uint8_t *at;          /* the first of them here */
	struct guest_map map; /* in which they lie */
};

struct guest_memory {
	struct guest_region *regions; /* by gpa, which do not overlap; GUEST_MEMORY_SLOTS */
	uint32_t count;
	uint32_t last;                 /* where the last address was found */
	struct guest_map log;          /* a bit for each page that was written */
	bool is_logging;               /* it is to be written */
	uint8_t *log_bits;             /* in it */
	uint64_t log_size;             /* bytes at log_bits */
	struct guest_map inflight;     /* see inflight.h */
	volatile sig_atomic_t is_lost; /* a page vanished: all of this is zeros now and of no use */
};

/* 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int guest_memory_init(struct guest_memory *m);

/* Unmaps everything. Of a zeroed struct, too. */
void guest_memory_fini(struct guest_memory *m);

/* Unmaps the regions. */
void guest_memory_clear_regions(struct guest_memory *m);

/* Unmaps everything, as if new. */
void guest_memory_clear(struct guest_memory *m);

/* Makes this memory the one that the calling thread works on. To be called before any of it is touched, by
 * whomever, until another memory is entered. */
void guest_memory_enter(struct guest_memory *m);

/* Maps a region of a file, which may be closed afterwards. 0; -EEXIST: it overlaps another one; -ENOSPC: too many
 * regions; -EINVAL: the file is none that can be mapped or is too short; other -errno of mmap(2). */
__attribute__((warn_unused_result)) int guest_memory_add(
    struct guest_memory *m, const struct vhost_user_region *region, int fd);

/* Unmaps the region with these addresses and this size. 0 or -ENOENT. */
__attribute__((warn_unused_result)) int guest_memory_remove(
    struct guest_memory *m, const struct vhost_user_region *region);

/* The place of len bytes at an address of the front end, which lie in one region; else NULL. */
void *guest_memory_at_uva(struct guest_memory *m, uint64_t uva, uint64_t len);

/* The pieces of len bytes at a guest physical address. Returns how many of iov (of max) they are; 0: not all of
 * them are mapped, or max is too small, or len is 0. */
uint32_t guest_memory_slice(
    struct guest_memory *m, uint64_t gpa, uint64_t len, struct iovec *iov, uint32_t max);

/* Maps size bytes at an offset of a file, for the log or for inflight. 0 or -errno. */
__attribute__((warn_unused_result)) int guest_map_file(
    int fd, uint64_t offset, uint64_t size, struct guest_map *ret_map);
void guest_map_drop(struct guest_map *map);

/* Notes in the log, if there is one, that these bytes of the guest have been written. */
void guest_memory_mark_logged(struct guest_memory *m, uint64_t gpa, uint64_t len);

static inline void guest_memory_mark(struct guest_memory *m, uint64_t gpa, uint64_t len)
{
	if (m->is_logging)
		guest_memory_mark_logged(m, gpa, len);
}

#endif
