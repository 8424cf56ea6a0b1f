/* SPDX-License-Identifier: Apache-2.0 */
/* Small whole files; see files.h. */
#include "app/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	size_t len = strlen(text);
	ssize_t n;
	int saved_errno;

	if (fd < 0)
		return -1;
	n = write(fd, text, len);
	saved_errno = n < 0 ? errno : EIO;
	close(fd);
	errno = saved_errno;
	return n == (ssize_t)len ? 0 : -1;
}

ssize_t file_read(const char *path, char *buf, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = -1;
	int saved_errno;

	if (fd < 0)
		return -1;
	while (len < cap - 1) {
		n = read(fd, buf + len, cap - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	saved_errno = errno;
	close(fd);
	errno = saved_errno;
	buf[len] = '\0';
	return n < 0 ? -1 : (ssize_t)len;
}

long file_read_long(const char *path, long fallback)
{
	char text[32];
	char *end;
	long v;

	if (file_read(path, text, sizeof(text)) <= 0)
		return fallback;
	errno = 0;
	v = strtol(text, &end, 10);
	return end == text || errno != 0 ? fallback : v;
}
