/* SPDX-License-Identifier: Apache-2.0 */
/* Files of documents; see file.h. */
#include "config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	FIRST_READ = 65536,
};

/* Grows the buffer so that there is room for more. 0 or -errno. */
static int make_room(char **text, size_t *cap, size_t len, size_t want)
{
	char *more;

	if (*cap > len)
		return 0;
	if (want <= len)
		want = 2 * len;
	if (len > CONFIG_FILE_MAX)
		return -EFBIG;
	more = realloc(*text, want);
	if (!more)
		return -ENOMEM;
	*text = more;
	*cap = want;
	return 0;
}

static int read_all(int fd, char **ret_text, size_t *ret_len)
{
	struct stat st;
	char *text = NULL;
	size_t want = FIRST_READ;
	size_t cap = 0;
	size_t len = 0;
	int err = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size > CONFIG_FILE_MAX)
		return -EFBIG;
	if (S_ISREG(st.st_mode) && st.st_size >= FIRST_READ)
		want = (size_t)st.st_size + 1; /* and one to see its end */
	for (;;) {
		ssize_t n;

		err = make_room(&text, &cap, len, want);
		if (err)
			break;
		n = read(fd, text + len, cap - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err = -errno;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	if (err) {
		free(text);
		return err;
	}
	*ret_text = text;
	*ret_len = len;
	return 0;
}

int config_file_read(const char *path, char **ret_text, size_t *ret_len)
{
	bool is_input = strcmp(path, "-") == 0;
	int fd = is_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int err;

	if (fd < 0)
		return -errno;
	err = read_all(fd, ret_text, ret_len);
	if (!is_input)
		close(fd);
	return err;
}

int config_file_read_own(const char *path, char **ret_text, size_t *ret_len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	int err = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		err = -errno;
	else if (S_ISDIR(st.st_mode))
		err = -EISDIR;
	else if (!S_ISREG(st.st_mode))
		err = -EINVAL;
	else if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0 ||
		 (st.st_uid != 0 && st.st_uid != geteuid()))
		err = -EPERM;
	if (!err)
		err = read_all(fd, ret_text, ret_len);
	close(fd);
	return err;
}
