/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives each file of the directories named on the command line to a fuzz target, so that what fuzzing
 * has found stays found without a fuzzer. A target fails by ending the process; the name of the file
 * is on standard error then.
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PATH_SIZE = 4096,
	FILE_SIZE_MAX = 1 << 20,
};

/* The target gets a block of exactly the file's size, so that a sanitizer sees one byte too far. */
static int replay_file(const char *path)
{
	static uint8_t buf[FILE_SIZE_MAX];
	FILE *f = fopen(path, "rb");
	uint8_t *exact;
	bool is_whole;
	size_t size;

	fprintf(stderr, "%s\n", path);
	if (!f)
		return -1;
	size = fread(buf, 1, sizeof(buf), f);
	is_whole = feof(f) && !ferror(f);
	if (fclose(f) != 0 || !is_whole)
		return -1;
	exact = malloc(size > 0 ? size : 1);
	if (!exact)
		return -1;
	memcpy(exact, buf, size);
	(void)LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	return 0;
}

/* How many files there were, or -1. */
static int replay_directory(const char *name)
{
	DIR *dir = opendir(name);
	struct dirent *entry;
	char path[PATH_SIZE];
	int count = 0;

	if (!dir)
		return -1;
	while (count >= 0 && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", name, entry->d_name) >= PATH_SIZE ||
		    replay_file(path) < 0)
			count = -1;
		else
			count++;
	}
	return closedir(dir) == 0 ? count : -1;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		int count = replay_directory(argv[i]);

		if (count <= 0) {
			fprintf(stderr, "%s: %s\n", argv[i],
			    count == 0 ? "no files" : "cannot be read");
			return 1;
		}
		printf("%s: %d files\n", argv[i], count);
	}
	return argc < 2;
}
