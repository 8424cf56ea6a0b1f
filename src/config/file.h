/* SPDX-License-Identifier: Apache-2.0 */
/* Files of documents. */
#ifndef SLUICE_CONFIG_FILE_H
#define SLUICE_CONFIG_FILE_H

#include <stddef.h>

enum {
	CONFIG_FILE_MAX = 1 << 29, /* bytes of a document */
};

/* Reads a regular file or a pipe to its end; "-" is standard input. The text is the caller's. 0 or -errno: -EFBIG for
 * more than CONFIG_FILE_MAX bytes, -EISDIR. */
__attribute__((warn_unused_result)) int config_file_read(
    const char *path, char **ret_text, size_t *ret_len);

/* The same for a regular file that nobody but root and this user can change; -EPERM if others can. */
__attribute__((warn_unused_result)) int config_file_read_own(
    const char *path, char **ret_text, size_t *ret_len);

#endif
