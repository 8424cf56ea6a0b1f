/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages. A message is one write(2), so that lines of several processes do not mix, and control
 * characters in it (from file names, from arguments) are shown as '?', so that they cannot colour
 * a terminal or fake a second line.
 */
#include "app/complain.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	MESSAGE_MAX = 2048,
};

/* The one switch of the program: set while options are read, before any process is forked. */
static bool is_verbose;

/* Nearly all that is done can meet the limit of open files, and the remedy is always the same. */
static size_t add_remedy(char line[MESSAGE_MAX], size_t len)
{
	static const char remedy[] = "; raise the limit of open files (ulimit -n)";

	line[len] = '\0';
	if (strstr(line, strerror(EMFILE)) == NULL || len + sizeof(remedy) >= MESSAGE_MAX)
		return len;
	memcpy(line + len, remedy, sizeof(remedy));
	return len + sizeof(remedy) - 1;
}

__attribute__((format(printf, 1, 0))) static void print_line(const char *format, va_list args)
{
	static const char prefix[] = "sluice: ";
	char line[MESSAGE_MAX];
	size_t len = sizeof(prefix) - 1;
	int n;

	memcpy(line, prefix, len);
	n = vsnprintf(line + len, sizeof(line) - len - 1, format, args);
	if (n < 0)
		return;
	len += (size_t)n < sizeof(line) - len - 1 ? (size_t)n : sizeof(line) - len - 2;
	len = add_remedy(line, len);
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	}
	line[len++] = '\n';
	/* Nobody is left to tell when standard error itself is gone. */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}

int complain(const char *format, ...)
{
	int saved_errno = errno;
	va_list args;

	va_start(args, format);
	print_line(format, args);
	va_end(args);
	errno = saved_errno;
	return -1;
}

void note(const char *format, ...)
{
	int saved_errno = errno;
	va_list args;

	if (!is_verbose)
		return;
	va_start(args, format);
	print_line(format, args);
	va_end(args);
	errno = saved_errno;
}

void note_enable(void)
{
	is_verbose = true;
}

bool note_is_enabled(void)
{
	return is_verbose;
}
