/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines from a pipe to a file; see relay.h.
 *
 * Where the lines go may be shared with others, as standard error is, so it cannot be made non-blocking. But
 * it is written only when poll(2) says that there is room, and not more at once than a pipe with room
 * always takes. A line longer than the buffer is cut into several writes.
 */
#include "app/relay.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/complain.h"

int relay_init(struct relay *r, const char *what, int from, int to, bool is_shown)
{
	char *buf = malloc(RELAY_SIZE);

	if (buf == NULL)
		return -1;
	*r = (struct relay){.what = what, .from = from, .to = to, .is_shown = is_shown, .buf = buf};
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

struct pollfd relay_pollfd(const struct relay *r)
{
	if (r->ready > 0)
		return (struct pollfd){.fd = r->to, .events = POLLOUT};
	return (struct pollfd){.fd = r->from, .events = POLLIN};
}

static void forget(struct relay *r, size_t len)
{
	if (len == 0)
		return; /* there may be no buffer yet */
	memmove(r->buf, r->buf + len, r->len - len);
	r->len -= len;
	r->ready -= len;
}

static void stop_writing(struct relay *r)
{
	complain(
	    "%s cannot be written (%s); nothing more is written there", r->what, strerror(errno));
	close(r->to);
	r->to = -1;
}

/* Writes lines that wait, as far as there is room. */
static void write_ready(struct relay *r)
{
	while (r->ready > 0 && r->to >= 0) {
		struct pollfd room = {.fd = r->to, .events = POLLOUT};
		size_t len = r->ready < PIPE_BUF ? r->ready : PIPE_BUF;
		ssize_t n;

		if (poll(&room, 1, 0) == 0)
			return;
		n = write(r->to, r->buf, len);
		if (n > 0)
			forget(r, (size_t)n);
		else if (n < 0 && errno == EAGAIN)
			return;
		else if (n == 0 || errno != EINTR)
			stop_writing(r);
	}
	forget(r, r->ready);
}

/* Marks the first len bytes as ready. */
static void make_ready(struct relay *r, size_t len)
{
	for (size_t i = r->ready; r->is_shown && i < len; i++) {
		unsigned char c = (unsigned char)r->buf[i];

		if ((c < 0x20 && c != '\n') || c >= 0x7f)
			r->buf[i] = '?';
	}
	r->ready = len;
}

void relay_run(struct relay *r)
{
	for (;;) {
		const char *line_end;
		ssize_t n;

		write_ready(r);
		if (r->ready > 0 || r->from < 0)
			return;
		n = read(r->from, r->buf + r->len, RELAY_SIZE - r->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			make_ready(r, r->len);
			close(r->from);
			r->from = -1;
			continue;
		}
		r->len += (size_t)n;
		line_end = memrchr(r->buf, '\n', r->len);
		if (line_end != NULL)
			make_ready(r, (size_t)(line_end - r->buf) + 1);
		else if (r->len == RELAY_SIZE)
			make_ready(r, r->len);
	}
}

void relay_finish(struct relay *r, int max_ms)
{
	relay_run(r);
	/* A reader that takes some from time to time is waited for again. */
	while (r->ready > 0) {
		struct pollfd room = relay_pollfd(r);

		if (poll(&room, 1, max_ms) == 0) {
			complain(
			    "%s is not read; what was to be written there last is lost", r->what);
			return;
		}
		relay_run(r);
	}
}
