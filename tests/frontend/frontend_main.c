/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A front end without a virtual machine: drives a vhost-user back end with the kernel of the network namespace that it is
 * started in as the guest.
 *
 *	vhost_frontend [OPTION VALUE]... PATH
 *
 * PATH is the back end's socket, or with `listens 1` where it connects to. The TAP must be brought up by others, after
 * "ready" has been printed. Lines on standard input: "leave" (without a word), "come" (again), "reconnect" (both),
 * "restart" (stop the queues in good order, leave, come back), "wait" (until the back end has left), "stats"; each is
 * answered by one line. End of file ends the program.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "pump.h"

enum {
	LINE_MAX_LEN = 64,
	EVENTS = 16,
};

struct options {
	const char *path;
	const char *tap;
	bool listens;
	bool has_poll;
	bool has_pieces;
	struct machine_config machine;
};

_Noreturn static void fail(const char *what, int err)
{
	(void)fprintf(stderr, "vhost_frontend: %s: %s\n", what, strerror(-err));
	exit(1);
}

static uint64_t number(const char *name, const char *text)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(text, &end, 0);
	if (errno != 0 || *text == '\0' || *end != '\0')
		fail(name, -EINVAL);
	return v;
}

static void set_option(struct options *o, const char *name, const char *text)
{
	uint64_t v = strcmp(name, "tap") == 0 ? 0 : number(name, text);

	if (strcmp(name, "tap") == 0)
		o->tap = text;
	else if (strcmp(name, "listens") == 0)
		o->listens = v != 0;
	else if (strcmp(name, "poll") == 0)
		o->has_poll = v != 0;
	else if (strcmp(name, "pieces") == 0)
		o->has_pieces = v != 0;
	else if (strcmp(name, "pairs") == 0 && v >= 1 && v <= MACHINE_PAIRS_MAX)
		o->machine.pairs = (uint32_t)v;
	else if (strcmp(name, "num") == 0 && v >= 2 && v <= 32768)
		o->machine.num = (uint32_t)v;
	else if (strcmp(name, "rx-buffer") == 0 && v >= 128 && v <= 69632)
		o->machine.rx_buffer = (uint32_t)v;
	else if (strcmp(name, "regions") == 0 && v >= 1 && v <= MACHINE_REGIONS_MAX)
		o->machine.regions = (uint32_t)v;
	else if (strcmp(name, "slots") == 0)
		o->machine.has_slots = v != 0;
	else if (strcmp(name, "without") == 0 && v < 64)
		o->machine.features &= ~(1ULL << v);
	else if (strcmp(name, "without-protocol") == 0 && v < 64)
		o->machine.protocol &= ~(1ULL << v);
	else
		fail(name, -EINVAL);
}

static struct options parse(int argc, char **argv)
{
	struct options o = {.tap = "eth0", .machine = machine_config_default()};
	int i = 1;

	for (; i + 1 < argc; i += 2)
		set_option(&o, argv[i], argv[i + 1]);
	if (i + 1 != argc)
		fail("usage: vhost_frontend [OPTION VALUE]... PATH", -EINVAL);
	o.path = argv[i];
	return o;
}

static int listen_at(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(addr.sun_path))
		fail(path, -ENAMETOOLONG);
	memcpy(addr.sun_path, path, strlen(path));
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 1))
		fail(path, -errno);
	return fd;
}

struct frontend {
	struct options o;
	struct machine machine;
	struct pump pump;
	int listen_fd;
	int epoll_fd;
	bool is_waiting; /* for the end of the connection, by the line "wait" */
	char line[LINE_MAX_LEN];
	size_t line_len;
};

static void watch(const struct frontend *f, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};

	if (epoll_ctl(f->epoll_fd, EPOLL_CTL_ADD, fd, &ev))
		fail("epoll", -errno);
}

static void link_up(struct frontend *f)
{
	int err = f->listen_fd >= 0 ? vmm_accept(&f->machine.vmm, f->listen_fd)
				    : vmm_connect(&f->machine.vmm, f->o.path);

	if (err)
		fail(f->o.path, err);
	err = machine_start(&f->machine);
	if (err)
		fail("set-up", err);
	err = pump_negotiated(&f->pump);
	if (err)
		fail("TUNSETOFFLOAD", err);
	watch(f, f->machine.vmm.fd, EPOLLIN | EPOLLRDHUP, 2);
	f->pump.is_linked = true;
	/* Whatever was made available while nobody looked. */
	for (uint32_t i = 0; i < 2 * f->o.machine.pairs; i++)
		machine_kick(&f->machine, i);
}

static void link_down(struct frontend *f, bool is_orderly)
{
	int err = is_orderly ? machine_stop(&f->machine) : 0;

	if (err)
		fail("stop", err);
	vmm_close(&f->machine.vmm);
	f->pump.is_linked = false;
}

static void print_stats(struct frontend *f)
{
	const struct pump_stats *s = &f->pump.stats;
	uint32_t free_count = 0;

	for (uint32_t i = 0; i < f->o.machine.pairs; i++) {
		pump_recycle(&f->pump, i);
		free_count += f->pump.pairs[i].free_count;
	}

	(void)printf(
	    "{\"tx_frames\": %llu, \"tx_bytes\": %llu, \"rx_frames\": %llu, \"rx_bytes\": "
	    "%llu, \"rx_refused\": %llu, \"kicks\": %llu, \"calls\": %llu, \"sleeps\": %llu, "
	    "\"tx_free\": %u, \"features\": %llu, \"protocol\": %llu}\n",
	    (unsigned long long)s->tx_frames, (unsigned long long)s->tx_bytes,
	    (unsigned long long)s->rx_frames, (unsigned long long)s->rx_bytes,
	    (unsigned long long)s->rx_refused, (unsigned long long)s->kicks,
	    (unsigned long long)s->calls, (unsigned long long)s->sleeps, free_count,
	    (unsigned long long)f->machine.features,
	    (unsigned long long)f->machine.vmm.protocol_features);
}

/* Answers "wait" when it is time. */
static void tell_gone(struct frontend *f)
{
	if (f->is_waiting && f->machine.vmm.fd < 0) {
		f->is_waiting = false;
		(void)printf("gone\n");
	}
}

static void obey(struct frontend *f)
{
	if (strcmp(f->line, "stats") == 0) {
		print_stats(f);
		return;
	}
	if (strcmp(f->line, "wait") == 0) {
		f->is_waiting = true;
		tell_gone(f);
		return;
	}
	if (strcmp(f->line, "leave") == 0) {
		link_down(f, false);
	} else if (strcmp(f->line, "come") == 0) {
		link_up(f);
	} else if (strcmp(f->line, "reconnect") == 0) {
		link_down(f, false);
		link_up(f);
	} else if (strcmp(f->line, "restart") == 0) {
		link_down(f, true);
		link_up(f);
	} else {
		fail(f->line, -EINVAL);
	}
	(void)printf("done\n");
}

/* False at the end of standard input. */
static bool read_input(struct frontend *f)
{
	char c;
	ssize_t n = read(STDIN_FILENO, &c, 1);

	if (n <= 0)
		return false;
	if (c != '\n') {
		if (f->line_len + 1 < sizeof(f->line))
			f->line[f->line_len++] = c;
		return true;
	}
	f->line[f->line_len] = '\0';
	f->line_len = 0;
	obey(f);
	return true;
}

/* Waits, or looks only. False: it is time to end. */
static bool events(struct frontend *f, int timeout_ms)
{
	struct epoll_event ev[EVENTS];
	int n = epoll_wait(f->epoll_fd, ev, EVENTS, timeout_ms);

	for (int i = 0; i < n; i++) {
		if (ev[i].data.u64 == 1 && !read_input(f))
			return false;
		if (ev[i].data.u64 == 2 && f->machine.vmm.fd >= 0) {
			(void)fprintf(stderr, "vhost_frontend: the back end has left\n");
			link_down(f, false);
			tell_gone(f);
		}
		if (ev[i].data.u64 >= 16)
			f->pump.stats.calls++;
	}
	return true;
}

static void turn(struct frontend *f)
{
	for (uint32_t idle = 0;;) {
		if (pump_turn(&f->pump)) {
			/* The other descriptors have their turn as well. */
			if (++idle % 64 == 0 && !events(f, 0))
				return;
			continue;
		}
		if (f->o.has_poll) {
			if (++idle % 1024 == 0 && !events(f, 0))
				return;
			continue;
		}
		if (pump_arm(&f->pump)) {
			pump_woken(&f->pump);
			continue;
		}
		if (!events(f, -1))
			return;
		pump_woken(&f->pump);
	}
}

int main(int argc, char **argv)
{
	static struct frontend f;
	int err;

	f.o = parse(argc, argv);
	f.listen_fd = f.o.listens ? listen_at(f.o.path) : -1;
	f.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	setvbuf(stdout, NULL, _IOLBF, 0);
	err = machine_init(&f.machine, &f.o.machine);
	if (err)
		fail("memory", err);
	err = pump_init(&f.pump, &f.machine, f.o.tap);
	if (err)
		fail(f.o.tap, err);
	f.pump.pieces = f.o.has_pieces;
	for (uint32_t i = 0; i < f.o.machine.pairs; i++) {
		machine_fill_rx(&f.machine, 2 * i);
		/* Edges: what a descriptor has told is remembered by the pump. */
		watch(&f, f.pump.pairs[i].tap_fd, EPOLLIN | EPOLLET, 3);
		watch(&f, f.machine.queues[2 * i].call_fd, EPOLLIN | EPOLLET, 16 + 2 * i);
		watch(&f, f.machine.queues[2 * i + 1].call_fd, EPOLLIN | EPOLLET, 17 + 2 * i);
	}
	watch(&f, STDIN_FILENO, EPOLLIN, 1);
	link_up(&f);
	(void)printf("ready\n");
	turn(&f);
	pump_fini(&f.pump);
	machine_fini(&f.machine);
	return 0;
}
