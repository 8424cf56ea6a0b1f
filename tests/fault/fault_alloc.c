/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations that fail; see fault_alloc.h. */
#include "fault_alloc.h"

#include <errno.h>
#include <stddef.h>

#include "sim.h"

/* The linker's names. NOLINTBEGIN(readability-identifier-naming) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
/* NOLINTEND(readability-identifier-naming) */

static uint64_t count;    /* allocations since fault_alloc_set() */
static uint64_t fail_nth; /* 0: none */
static bool fails_on;     /* those behind it too */
static bool has_failed;

void fault_alloc_set(uint64_t nth, bool lasts)
{
	count = 0;
	fail_nth = nth;
	fails_on = lasts;
	has_failed = false;
}

bool fault_alloc_has_failed(void)
{
	return has_failed;
}

static bool fails(void)
{
	if (sim_is_allocating || fail_nth == 0)
		return false;
	count++;
	if (count != fail_nth && (count < fail_nth || !fails_on))
		return false;
	has_failed = true;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(old, n, size);
}
