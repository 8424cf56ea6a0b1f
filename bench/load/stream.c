/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP streams. Each flow is a connection in one direction; all of them run at once in one thread. A flow
 * towards the server is shut down at the end of the window and the server tells what it got; what is
 * missing then is told as lost.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load.h"

struct flow {
	int fd;
	bool is_up;         /* towards the server */
	bool is_shut;       /* all is written */
	uint64_t sent;      /* bytes */
	struct meter meter; /* of a flow from the server */
	struct result result;
	size_t result_len; /* bytes of the result that are here */
};

struct stream {
	int epoll_fd;
	struct flow *flows;
	uint32_t count;
	uint32_t open; /* flows that have no result yet */
	uint64_t end_ns;
};

static char chunk[CHUNK_SIZE];

static void flow_open(struct stream *s, struct flow *f, const struct client_options *o,
    const struct hello *window, bool is_up)
{
	struct hello hello = *window;

	hello.op = is_up ? OP_SINK : OP_SOURCE;
	f->is_up = is_up;
	f->meter = meter_init(window->start_ns, window->end_ns);
	f->fd = tcp_connect(&o->server);
	send_all(f->fd, &hello, sizeof(hello));
	set_nonblocking(f->fd);
	watch(s->epoll_fd, EPOLL_CTL_ADD, f->fd, is_up ? EPOLLOUT : EPOLLIN, f);
}

static void flow_close(struct stream *s, struct flow *f)
{
	close(f->fd);
	f->fd = -1;
	s->open--;
}

static void flow_write(struct flow *f)
{
	ssize_t n = send(f->fd, chunk, sizeof(chunk), MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		fail(true, "a stream to the server broke");
	if (n > 0)
		f->sent += (uint64_t)n;
}

static void flow_shut(struct stream *s, struct flow *f)
{
	if (shutdown(f->fd, SHUT_WR) < 0)
		fail(true, "a stream to the server cannot be shut down");
	f->is_shut = true;
	watch(s->epoll_fd, EPOLL_CTL_MOD, f->fd, EPOLLIN, f);
}

/* The server's word on a flow that is shut. */
static void flow_read_result(struct stream *s, struct flow *f)
{
	char *at = (char *)&f->result + f->result_len;
	ssize_t n = recv(f->fd, at, sizeof(f->result) - f->result_len, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		fail(n < 0, "a stream to the server ended without a result");
	f->result_len += (size_t)n;
	if (f->result_len < sizeof(f->result))
		return;
	flow_close(s, f);
}

static void flow_read(struct stream *s, struct flow *f)
{
	ssize_t n = recv(f->fd, chunk, sizeof(chunk), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0)
		fail(true, "a stream from the server broke");
	if (n > 0) {
		meter_add(&f->meter, (size_t)n, 0);
		return;
	}
	if (now_ns() < s->end_ns)
		fail(false, "a stream from the server ended early");
	f->result = meter_result(&f->meter);
	flow_close(s, f);
}

static void on_event(struct stream *s, struct flow *f)
{
	if (!f->is_up)
		flow_read(s, f);
	else if (f->is_shut)
		flow_read_result(s, f);
	else if (now_ns() >= s->end_ns)
		flow_shut(s, f);
	else
		flow_write(f);
}

/* Flows that get no event any more are shut down as well. */
static void shut_all(struct stream *s)
{
	for (uint32_t i = 0; i < s->count; i++) {
		if (s->flows[i].is_up && !s->flows[i].is_shut)
			flow_shut(s, &s->flows[i]);
	}
}

static void run(struct stream *s)
{
	uint64_t deadline = s->end_ns + GRACE_S * NS_PER_S;
	bool is_over = false;

	while (s->open > 0) {
		struct epoll_event events[64];
		uint64_t now = now_ns();
		uint64_t until = is_over ? deadline : s->end_ns;
		int n;

		if (is_over && now >= deadline)
			fail(false, "%u of %u streams did not end within %d s", s->open, s->count,
			    GRACE_S);
		n = epoll_wait(
		    s->epoll_fd, events, 64, until > now ? (int)((until - now) / 1000000) + 1 : 0);
		for (int i = 0; i < n; i++)
			on_event(s, events[i].data.ptr);
		if (!is_over && now_ns() >= s->end_ns) {
			shut_all(s);
			is_over = true;
		}
	}
}

static void print_direction(const struct stream *s, const char *name, bool is_up)
{
	uint64_t window = 0;
	uint64_t total = 0;
	uint64_t gap = 0;
	uint64_t lost = 0;
	const char *separator = "";

	for (uint32_t i = 0; i < s->count; i++) {
		if (s->flows[i].is_up != is_up)
			continue;
		window += s->flows[i].result.window_bytes;
		total += s->flows[i].result.total_bytes;
		lost += is_up ? s->flows[i].sent - s->flows[i].result.total_bytes : 0;
		if (s->flows[i].result.gap_ns > gap)
			gap = s->flows[i].result.gap_ns;
	}
	printf("\"%s\": {\"window_bytes\": %" PRIu64 ", \"total_bytes\": %" PRIu64
	       ", \"lost_bytes\": %" PRIu64 ", \"longest_gap_ms\": %.3f, \"flows\": [",
	    name, window, total, lost, (double)gap / 1e6);
	for (uint32_t i = 0; i < s->count; i++) {
		if (s->flows[i].is_up != is_up)
			continue;
		printf("%s%" PRIu64, separator, s->flows[i].result.window_bytes);
		separator = ", ";
	}
	printf("]}");
}

int stream_main(int argc, char **argv)
{
	struct client_options o = client_options_parse(argc, argv);
	struct stream s = {.count = o.up + o.down, .open = o.up + o.down};
	struct hello window = {.magic = HELLO_MAGIC};

	if (s.count == 0)
		fail(false, "say --up, --down or both");
	s.flows = calloc(s.count, sizeof(*s.flows));
	s.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s.flows == NULL || s.epoll_fd < 0)
		fail(true, "no memory");
	window.start_ns = now_ns() + (uint64_t)(o.warmup * 1e9);
	window.end_ns = window.start_ns + (uint64_t)(o.seconds * 1e9);
	s.end_ns = window.end_ns;
	for (uint32_t i = 0; i < s.count; i++)
		flow_open(&s, &s.flows[i], &o, &window, i < o.up);
	run(&s);
	printf("{\"seconds\": %.6f, ", o.seconds);
	print_direction(&s, "up", true);
	printf(", ");
	print_direction(&s, "down", false);
	printf("}\n");
	free(s.flows);
	return 0;
}
