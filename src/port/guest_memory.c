/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory; see guest_memory.h.
 *
 * Refused are files that are neither regular nor a character device, that are shorter than the region they hold, and
 * regions that overlap. An address is looked up with its length: what does not lie in regions without a gap is no
 * memory.
 *
 * A file that shrinks after it was mapped: the kernel itself answers EFAULT where it is handed such a page (sendmsg,
 * recvmsg); our own access raises SIGBUS. The seal F_SEAL_SHRINK is not asked for, because hugetlbfs and plain files,
 * which front ends use as well, do not have it, and a handler is needed for those anyway. The handler puts zeros in
 * the place of the whole mapping and returns, so that the access is repeated and every function runs to its end as if
 * the guest had written zeros, which is no worse than what a guest can write; is_lost then tells the owner, who ends
 * the connection. Jumping out of the handler instead would leave rings and flows half changed. The whole mapping and
 * not a page, because pages of hugetlbfs have other sizes, and no part of it is of use any more.
 *
 * The handler finds the mapping through the memory that its thread has entered: a signal of this kind comes in the
 * thread that made the access. That pointer, the handler and what was installed before it are the only state of the
 * process here. A SIGBUS elsewhere goes to whoever had it before.
 *
 * Tests: tests/unit/test_guest_memory.c.
 */
#include "port/guest_memory.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	PAGE = 4096,
	PAGE_MAX = 1 << 30, /* of hugetlbfs */
};

static _Thread_local struct guest_memory *entered;
static struct sigaction previous;
static pthread_mutex_t installing = PTHREAD_MUTEX_INITIALIZER;

static bool holds(const struct guest_map *map, const void *at)
{
	const uint8_t *p = at;

	return map->at && p >= map->at && p < map->at + map->len;
}

static const struct guest_map *map_of(const struct guest_memory *m, const void *at)
{
	if (holds(&m->log, at))
		return &m->log;
	if (holds(&m->inflight, at))
		return &m->inflight;
	for (uint32_t i = 0; i < m->count; i++)
		if (holds(&m->regions[i].map, at))
			return &m->regions[i].map;
	return NULL;
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
	struct guest_memory *m = entered;
	const struct guest_map *map = m ? map_of(m, info->si_addr) : NULL;

	(void)number;
	(void)context;
	if (map &&
	    mmap(map->at, map->len, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED)
		m->is_lost = 1;
	else
		(void)sigaction(SIGBUS, &previous, NULL); /* the access is repeated */
}

/* Whoever has replaced the handler since the last time gets what is not ours from now on. */
static void install(void)
{
	struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
	struct sigaction current;

	(void)pthread_mutex_lock(&installing);
	if (sigaction(SIGBUS, NULL, &current) == 0 && current.sa_sigaction != on_bus_error) {
		previous = current;
		(void)sigaction(SIGBUS, &action, NULL);
	}
	(void)pthread_mutex_unlock(&installing);
}

int guest_memory_init(struct guest_memory *m)
{
	*m = (struct guest_memory){.regions = calloc(GUEST_MEMORY_SLOTS, sizeof(*m->regions))};
	if (!m->regions)
		return -ENOMEM;
	install();
	return 0;
}

void guest_memory_clear_regions(struct guest_memory *m)
{
	for (uint32_t i = 0; i < m->count; i++)
		guest_map_drop(&m->regions[i].map);
	m->count = 0;
	m->last = 0;
}

void guest_memory_clear(struct guest_memory *m)
{
	guest_memory_clear_regions(m);
	m->is_logging = false;
	guest_map_drop(&m->log);
	guest_map_drop(&m->inflight);
	m->is_lost = 0;
}

void guest_memory_fini(struct guest_memory *m)
{
	guest_memory_clear(m);
	free(m->regions);
	m->regions = NULL;
	if (entered == m)
		entered = NULL;
}

void guest_memory_enter(struct guest_memory *m)
{
	entered = m;
}

/* The plain call: fstat(3) is one with a path, which a confined process may not make. */
static int file_status(int fd, struct stat *ret_status)
{
#ifdef SYS_fstat
	return syscall(SYS_fstat, fd, ret_status) ? -errno : 0;
#else
	return fstat(fd, ret_status) ? -errno : 0;
#endif
}

int guest_map_file(int fd, uint64_t offset, uint64_t size, struct guest_map *ret_map)
{
	uint64_t end = offset + size;
	uint64_t page = PAGE;
	struct stat status;
	void *at;
	int err = file_status(fd, &status);

	if (err)
		return err;
	if (size == 0 || end < size || end > SIZE_MAX / 2)
		return -EINVAL;
	if (S_ISREG(status.st_mode) ? (uint64_t)status.st_size < end : !S_ISCHR(status.st_mode))
		return -EINVAL;
	/* From the start of the file: an offset need not be a multiple of a (huge) page. The length must be one, as
	 * a mapping of huge pages is not unmapped by less. */
	if (status.st_blksize > PAGE && status.st_blksize <= PAGE_MAX &&
	    (status.st_blksize & (status.st_blksize - 1)) == 0)
		page = (uint64_t)status.st_blksize;
	end = (end + page - 1) / page * page;
	at = mmap(NULL, end, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	*ret_map = (struct guest_map){.at = at, .len = end};
	return 0;
}

void guest_map_drop(struct guest_map *map)
{
	if (map->at)
		(void)munmap(map->at, map->len);
	*map = (struct guest_map){0};
}

/* The first region that ends behind the address. */
static uint32_t search(const struct guest_memory *m, uint64_t gpa)
{
	uint32_t low = 0;
	uint32_t high = m->count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;
		const struct guest_region *r = &m->regions[middle];

		if (gpa - r->gpa < r->size || gpa < r->gpa)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

int guest_memory_add(struct guest_memory *m, const struct vhost_user_region *region, int fd)
{
	uint32_t i = search(m, region->gpa);
	struct guest_region r = {.gpa = region->gpa, .uva = region->uva, .size = region->size};
	int err;

	if (m->count == GUEST_MEMORY_SLOTS)
		return -ENOSPC;
	if (i < m->count && m->regions[i].gpa < region->gpa + region->size)
		return -EEXIST;
	err = guest_map_file(fd, region->mmap_offset, region->size, &r.map);
	if (err)
		return err;
	r.at = r.map.at + region->mmap_offset;
	memmove(&m->regions[i + 1], &m->regions[i], (m->count - i) * sizeof(r));
	m->regions[i] = r;
	m->count++;
	return 0;
}

int guest_memory_remove(struct guest_memory *m, const struct vhost_user_region *region)
{
	uint32_t i = search(m, region->gpa);
	struct guest_region *r = &m->regions[i];

	if (i == m->count || r->gpa != region->gpa || r->size != region->size ||
	    r->uva != region->uva)
		return -ENOENT;
	guest_map_drop(&r->map);
	m->count--;
	m->last = 0;
	memmove(r, r + 1, (m->count - i) * sizeof(*r));
	return 0;
}

void *guest_memory_at_uva(struct guest_memory *m, uint64_t uva, uint64_t len)
{
	for (uint32_t i = 0; i < m->count; i++) {
		const struct guest_region *r = &m->regions[i];
		uint64_t offset = uva - r->uva;

		if (uva >= r->uva && offset < r->size && len <= r->size - offset)
			return r->at + offset;
	}
	return NULL;
}

uint32_t guest_memory_slice(
    struct guest_memory *m, uint64_t gpa, uint64_t len, struct iovec *iov, uint32_t max)
{
	uint32_t n = 0;
	uint32_t i = m->last;

	if (i >= m->count || gpa - m->regions[i].gpa >= m->regions[i].size)
		i = search(m, gpa);
	m->last = i;
	for (; len > 0; i++) {
		const struct guest_region *r = &m->regions[i];
		uint64_t offset;
		uint64_t take;

		if (i == m->count || gpa < r->gpa || gpa - r->gpa >= r->size || n == max)
			return 0;
		offset = gpa - r->gpa;
		take = len < r->size - offset ? len : r->size - offset;
		iov[n++] = (struct iovec){.iov_base = r->at + offset, .iov_len = take};
		gpa += take;
		len -= take;
	}
	return n;
}

void guest_memory_mark_logged(struct guest_memory *m, uint64_t gpa, uint64_t len)
{
	for (uint64_t page = gpa / GUEST_MEMORY_PAGE;
	     len > 0 && page <= (gpa + len - 1) / GUEST_MEMORY_PAGE && page / 8 < m->log_size;
	     page++) {
		uint8_t *at = m->log_bits + page / 8;
		uint8_t bit = (uint8_t)(1U << page % 8);

		if ((__atomic_load_n(at, __ATOMIC_RELAXED) & bit) == 0)
			(void)__atomic_fetch_or(at, bit, __ATOMIC_SEQ_CST);
	}
}
