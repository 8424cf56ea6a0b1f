/* SPDX-License-Identifier: Apache-2.0 */
/* Lines from a pipe to a file; see relay.h. A line longer than the buffer is cut into several writes. */
#include "app/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/complain.h"

int relay_init(struct relay *r, int from, int to, bool is_foreign)
{
	char *buf = malloc(RELAY_SIZE);

	if (buf == NULL)
		return -1;
	*r = (struct relay){.from = from, .to = to, .is_foreign = is_foreign, .buf = buf};
	return 0;
}

void relay_fini(struct relay *r)
{
	if (r->from >= 0)
		close(r->from);
	if (r->to >= 0)
		close(r->to);
	free(r->buf);
	*r = (struct relay){.from = -1, .to = -1};
}

static void stop_writing(struct relay *r, const char *what)
{
	complain("%s cannot be written (%s); nothing more is written there", what, strerror(errno));
	close(r->to);
	r->to = -1;
}

/* Writes the first len bytes of the buffer and moves the rest to its front. */
static void write_out(struct relay *r, size_t len, const char *what)
{
	size_t done = 0;

	if (r->is_foreign) {
		for (size_t i = 0; i < len; i++) {
			unsigned char c = (unsigned char)r->buf[i];

			if ((c < 0x20 && c != '\n') || c >= 0x7f)
				r->buf[i] = '?';
		}
	}
	while (r->to >= 0 && done < len) {
		ssize_t n = write(r->to, r->buf + done, len - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			stop_writing(r, what);
	}
	memmove(r->buf, r->buf + len, r->len - len);
	r->len -= len;
}

void relay_run(struct relay *r, const char *what)
{
	while (r->from >= 0) {
		ssize_t n = read(r->from, r->buf + r->len, RELAY_SIZE - r->len);
		const char *line_end;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			write_out(r, r->len, what);
			close(r->from);
			r->from = -1;
			return;
		}
		r->len += (size_t)n;
		line_end = memrchr(r->buf, '\n', r->len);
		if (line_end != NULL)
			write_out(r, (size_t)(line_end - r->buf) + 1, what);
		else if (r->len == RELAY_SIZE)
			write_out(r, r->len, what);
	}
}
