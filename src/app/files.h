/* SPDX-License-Identifier: Apache-2.0 */
/* Small whole files: those of /proc, and the ones that the command is shown. */
#ifndef SLUICE_APP_FILES_H
#define SLUICE_APP_FILES_H

#include <stddef.h>
#include <sys/types.h>

/* Writes text to an existing file in one write. 0, or -1 with errno. */
__attribute__((warn_unused_result)) int file_write(const char *path, const char *text);

/* Reads at most cap - 1 bytes and ends them with a NUL. The length, or -1 with errno. */
__attribute__((warn_unused_result)) ssize_t file_read(const char *path, char *buf, size_t cap);

/* Reads a number at the start of a file; fallback where there is none. */
long file_read_long(const char *path, long fallback);

#endif
