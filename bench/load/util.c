/* SPDX-License-Identifier: Apache-2.0 */
/* Clock, arguments, sockets and counting of the load generator. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

enum {
	SOCKET_BUFFER = 4 << 20, /* of UDP sockets; the kernel cuts it to rmem_max, wmem_max */
};

void fail(bool is_system, const char *format, ...)
{
	int error = errno;
	char text[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (is_system)
		(void)fprintf(stderr, "load: %s: %s\n", text, strerror(error));
	else
		(void)fprintf(stderr, "load: %s\n", text);
	exit(1);
}

uint64_t now_ns(void)
{
	struct timespec t;

	/* Cannot fail for this clock. */
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

void sleep_until_ns(uint64_t t)
{
	struct timespec until = {.tv_sec = (time_t)(t / NS_PER_S), .tv_nsec = (long)(t % NS_PER_S)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

struct meter meter_init(uint64_t start_ns, uint64_t end_ns)
{
	return (struct meter){.start_ns = start_ns, .end_ns = end_ns, .last_ns = start_ns};
}

static void meter_gap(struct meter *m, uint64_t until_ns)
{
	if (until_ns > m->last_ns && until_ns - m->last_ns > m->result.gap_ns)
		m->result.gap_ns = until_ns - m->last_ns;
	if (until_ns > m->last_ns)
		m->last_ns = until_ns;
}

void meter_add(struct meter *m, size_t bytes, size_t datagrams)
{
	uint64_t now = now_ns();

	m->result.total_bytes += bytes;
	if (now < m->start_ns)
		return;
	if (now >= m->end_ns) {
		meter_gap(m, m->end_ns);
		return;
	}
	meter_gap(m, now);
	m->result.window_bytes += bytes;
	m->result.datagrams += datagrams;
}

struct result meter_result(const struct meter *m)
{
	struct meter copy = *m;

	meter_gap(&copy, m->end_ns);
	return copy.result;
}

uint64_t arg_number(const char *name, const char *text, uint64_t min, uint64_t max)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno != 0 || *end != '\0' || end == text || v < min || v > max)
		fail(false, "%s %s is not a number from %llu to %llu", name, text,
		    (unsigned long long)min, (unsigned long long)max);
	return v;
}

double arg_seconds(const char *name, const char *text)
{
	char *end;
	double v = strtod(text, &end);

	if (*end != '\0' || end == text || !(v >= 0 && v <= 3600))
		fail(false, "%s %s is not a number of seconds up to an hour", name, text);
	return v;
}

static struct sockaddr_in parse_server(const char *text)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	char host[INET_ADDRSTRLEN];
	const char *colon = strrchr(text, ':');

	if (colon == NULL || (size_t)(colon - text) >= sizeof(host))
		fail(false, "%s is not ADDRESS:PORT", text);
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
		fail(false, "%s is not an IPv4 address", host);
	a.sin_port = htons((uint16_t)arg_number("port", colon + 1, 1, 65534));
	return a;
}

struct client_options client_options_parse(int argc, char **argv)
{
	static const struct option options[] = {
	    {"seconds", required_argument, NULL, 's'},
	    {"warmup", required_argument, NULL, 'w'},
	    {"up", required_argument, NULL, 'u'},
	    {"down", required_argument, NULL, 'd'},
	    {"count", required_argument, NULL, 'c'},
	    {"addresses", required_argument, NULL, 'a'},
	    {"size", required_argument, NULL, 'z'},
	    {"segments", required_argument, NULL, 'g'},
	    {"connect", no_argument, NULL, 'C'},
	    {0},
	};
	struct client_options o = {.seconds = 3, .warmup = 0.5, .addresses = 1, .size = 1472};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			o.seconds = arg_seconds("--seconds", optarg);
			break;
		case 'w':
			o.warmup = arg_seconds("--warmup", optarg);
			break;
		case 'u':
			o.up = (uint32_t)arg_number("--up", optarg, 0, 1024);
			break;
		case 'd':
			o.down = (uint32_t)arg_number("--down", optarg, 0, 1024);
			break;
		case 'c':
			o.count = (uint32_t)arg_number("--count", optarg, 1, 1000000);
			break;
		case 'a':
			o.addresses = (uint32_t)arg_number("--addresses", optarg, 1, 250);
			break;
		case 'z':
			o.size = (uint32_t)arg_number("--size", optarg, 1, DATAGRAM_MAX);
			break;
		case 'g':
			o.segments = (uint32_t)arg_number("--segments", optarg, 0, 128);
			break;
		case 'C':
			o.does_connect = true;
			break;
		default:
			exit(1);
		}
	}
	if (optind + 1 != argc)
		fail(false, "say the server's ADDRESS:PORT behind the options");
	o.server = parse_server(argv[optind]);
	return o;
}

int tcp_connect(const struct sockaddr_in *to)
{
	static const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail(true, "no socket can be made");
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		fail(true, "TCP_NODELAY");
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0) {
		char text[INET_ADDRSTRLEN];

		fail(true, "no connection to %s port %u",
		    inet_ntop(AF_INET, &to->sin_addr, text, sizeof(text)), ntohs(to->sin_port));
	}
	return fd;
}

void set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		fail(true, "O_NONBLOCK");
}

void set_buffers(int fd)
{
	static const int size = SOCKET_BUFFER;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) < 0)
		fail(true, "socket buffers");
}

void send_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			fail(true, "a connection broke");
		p += n;
		len -= (size_t)n;
	}
}

bool receive_all(int fd, void *data, size_t len)
{
	char *p = data;

	while (len > 0) {
		ssize_t n = recv(fd, p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

void watch(int epoll_fd, int op, int fd, uint32_t events, void *data)
{
	struct epoll_event ev = {.events = events, .data.ptr = data};

	if (epoll_ctl(epoll_fd, op, fd, &ev) < 0)
		fail(true, "epoll_ctl");
}
