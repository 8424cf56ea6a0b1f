/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process titles. The kernel shows as command line what stands in the memory of the argument strings at
 * the start, so that is overwritten.
 */
#include "app/process_title.h"

#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>

/* The memory of the argument strings: one piece, set once at the start. */
static char *area;
static size_t area_len;

void process_title_init(int argc, char **argv)
{
	char *end = argv[0];

	for (int i = 0; i < argc && argv[i] == end; i++)
		end += strlen(argv[i]) + 1;
	area = argv[0];
	area_len = (size_t)(end - argv[0]);
}

void process_title_set(const char *title)
{
	/* Fails for a bad address only. */
	(void)prctl(PR_SET_NAME, title);
	if (area_len == 0)
		return;
	memset(area, 0, area_len);
	for (size_t i = 0; i + 1 < area_len && title[i] != '\0'; i++)
		area[i] = title[i];
}
