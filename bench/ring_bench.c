/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the in-process ring costs: frames of 64 bytes one way on one processor, and the time from wake to wake between two
 * threads, beside the same with bare eventfds.
 *
 * Throughput is told per second of processor time of the thread that does all, so that other load on the machine
 * does not count. Of latencies, rounds of both kinds alternate, and the median of each is told.
 *
 * Usage: ring_bench [ROUNDS]
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/csum.h"
#include "port/ring.h"
#include "sluice/sluice.h"

enum {
	FRAME = 64,
	BATCH = 64, /* frames pushed at once */
	BATCHES = 20000,
	PING_PONGS = 5000,
	ROUNDS = 9,
	ROUNDS_MAX = 101,
};

#define NS_PER_S 1e9

static double seconds(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / NS_PER_S;
}

static void need(bool is_good, const char *what)
{
	if (is_good)
		return;
	(void)fprintf(stderr, "ring_bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int compare(const void *a, const void *b)
{
	const double *x = a;
	const double *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(double *values, int count)
{
	qsort(values, (size_t)count, sizeof(*values), compare);
	return values[count / 2];
}

/* ---- frames of a guest ---- */

static const uint8_t guest_mac[6] = {0x02, 0x6d, 0x73, 0, 0, 0x02};
static const uint8_t gateway_mac[6] = {0x02, 0x6d, 0x73, 0, 0, 0x01};

/* A virtio-net header, and UDP from 100.96.0.2 to dst. */
static void make_frame(uint8_t out[VNET_HDR_SIZE + FRAME], const uint8_t dst[4])
{
	uint8_t *f = out + VNET_HDR_SIZE;
	static const uint8_t ip[] = {
	    0x45, 0, 0, FRAME - 14, 0, 0, 0x40, 0, 64, 17, 0, 0, 100, 96, 0, 2};
	static const uint8_t udp[] = {0x9c, 0x40, 0x01, 0xbb, 0, FRAME - 34, 0, 0};
	uint16_t sum;

	memset(out, 0, VNET_HDR_SIZE + FRAME);
	memcpy(f, gateway_mac, 6);
	memcpy(f + 6, guest_mac, 6);
	f[12] = 8;
	memcpy(f + 14, ip, sizeof(ip));
	memcpy(f + 30, dst, 4);
	memcpy(f + 34, udp, sizeof(udp)); /* a checksum of 0: none */
	sum = csum_of(f + 14, 20);
	f[24] = (uint8_t)(sum >> 8);
	f[25] = (uint8_t)sum;
}

/* ---- one way, one processor ---- */

struct way {
	const char *name;
	uint8_t dst[4];
	bool is_lent;
	bool is_bare; /* frames are taken from the queue and not looked at */
};

static void push_batch(struct sluice_ring *r, const struct way *w, uint8_t *frame, uint64_t cookie)
{
	struct iovec iov[2] = {{.iov_base = frame, .iov_len = VNET_HDR_SIZE},
	    {.iov_base = frame + VNET_HDR_SIZE, .iov_len = FRAME}};
	uint64_t cookies[BATCH];

	for (int i = 0; i < BATCH; i++) {
		int err =
		    w->is_lent ? sluice_ring_lend(r, iov, 2, cookie) : sluice_ring_push(r, iov, 2);

		need(err == 0, "a frame was refused");
	}
	/* What the engine has taken in the turn before. */
	if (w->is_lent)
		(void)sluice_ring_reclaim(r, cookies, BATCH);
}

/* Through an engine: checked, classified, refused. Frames per second of processor time. */
static double through_engine(const struct way *w)
{
	static const struct sluice_option options[] = {{"ipv4", "100.96.0.2"}, {"net", "none"}};
	struct sluice_config c = SLUICE_CONFIG_INIT;
	uint8_t frame[VNET_HDR_SIZE + FRAME];
	struct sluice_engine *e;
	struct sluice_error error;
	double start;
	double end;

	c.options = options;
	c.option_count = 2;
	need(sluice_engine_new(&c, &e, &error) == 0, "no engine");
	need(sluice_ring_attach(sluice_engine_ring(e), 0) == 0, "no ring");
	make_frame(frame, w->dst);
	start = seconds(CLOCK_THREAD_CPUTIME_ID);
	for (int i = 0; i < BATCHES; i++) {
		push_batch(sluice_engine_ring(e), w, frame, (uint64_t)i);
		need(sluice_engine_turn(e) == 0, "the engine has failed");
	}
	end = seconds(CLOCK_THREAD_CPUTIME_ID);
	sluice_engine_free(e);
	return BATCH * (double)BATCHES / (end - start);
}

/* Through the queue only. */
static double through_queue(const struct way *w)
{
	struct ring_config c = {.mtu = 1500};
	uint8_t frame[VNET_HDR_SIZE + FRAME];
	struct iovec iov[2] = {{.iov_base = frame, .iov_len = VNET_HDR_SIZE},
	    {.iov_base = frame + VNET_HDR_SIZE, .iov_len = FRAME}};
	struct ring *r;
	struct nic *nic;
	double start;
	double end;

	need(ring_new(&c, &r) == 0 && ring_attach(r, 0, false) == 0, "no ring");
	nic = &ring_port(r)->nic;
	make_frame(frame, w->dst);
	start = seconds(CLOCK_THREAD_CPUTIME_ID);
	for (int i = 0; i < BATCHES; i++) {
		struct frame f;

		for (int k = 0; k < BATCH; k++)
			need(ring_tx_push(r, iov, 2) == 0, "a frame was refused");
		(void)ring_port(r)->ops->poll(ring_port(r), false);
		while (nic->ops->stage(nic, &f) == 1)
			nic->ops->release(nic, 1);
		nic->ops->flush(nic);
	}
	end = seconds(CLOCK_THREAD_CPUTIME_ID);
	port_free(ring_port(r));
	return BATCH * (double)BATCHES / (end - start);
}

static void measure_frames(int rounds)
{
	static const struct way ways[] = {
	    {"queue alone, copied", {192, 0, 2, 9}, .is_bare = true},
	    {"queue and classification, copied", {224, 0, 0, 251}, .is_lent = false},
	    {"queue and classification, lent", {224, 0, 0, 251}, .is_lent = true},
	    {"... and a verdict (denied UDP)", {192, 0, 2, 9}, .is_lent = false},
	};
	double values[ROUNDS_MAX];

	printf("64-byte frames one way, one processor%15s\n", "Mframes/s");
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		for (int k = 0; k < rounds; k++)
			values[k] =
			    (ways[i].is_bare ? through_queue(&ways[i]) : through_engine(&ways[i])) /
			    1e6;
		printf("  %-40s%10.2f\n", ways[i].name, median(values, rounds));
	}
}

/* ---- wake to wake ---- */

struct pair {
	int cpus[2];
	int fds[2]; /* bare eventfds, one per direction */
	bool polls; /* wait with poll(), then read, on non-blocking eventfds; else read and block */
	struct ring *ring;
	int engine_fd; /* as the port asked to watch it */
};

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	need(sched_setaffinity(0, sizeof(set), &set) == 0, "a thread cannot be pinned");
}

static void wait_bare(const struct pair *p, int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	uint64_t count;

	if (p->polls)
		need(poll(&pfd, 1, -1) == 1, "poll");
	need(read(fd, &count, sizeof(count)) > 0, "read");
}

static void wake_bare(int fd)
{
	static const uint64_t one = 1;

	need(write(fd, &one, sizeof(one)) > 0, "write");
}

static void *answer_bare(void *arg)
{
	const struct pair *p = arg;

	pin(p->cpus[1]);
	for (int i = 0; i < PING_PONGS; i++) {
		wait_bare(p, p->fds[0]);
		wake_bare(p->fds[1]);
	}
	return NULL;
}

/* Half of a round trip, in seconds. */
static double bare(const int cpus[2], bool polls)
{
	int flags = EFD_CLOEXEC | (polls ? EFD_NONBLOCK : 0);
	struct pair p = {.cpus = {cpus[0], cpus[1]},
	    .fds = {eventfd(0, flags), eventfd(0, flags)},
	    .polls = polls};
	pthread_t other;
	double start;
	double end;

	need(p.fds[0] >= 0 && p.fds[1] >= 0, "eventfd");
	need(pthread_create(&other, NULL, answer_bare, &p) == 0, "no thread");
	start = seconds(CLOCK_MONOTONIC);
	for (int i = 0; i < PING_PONGS; i++) {
		wake_bare(p.fds[0]);
		wait_bare(&p, p.fds[1]);
	}
	end = seconds(CLOCK_MONOTONIC);
	(void)pthread_join(other, NULL);
	(void)close(p.fds[0]);
	(void)close(p.fds[1]);
	return (end - start) / (2.0 * PING_PONGS);
}

static struct pair *watching; /* the pair that is set up: the port has no other context here */

static int watch(struct port_loop *l, int fd, uint32_t events, uint16_t token)
{
	(void)l;
	(void)events;
	(void)token;
	watching->engine_fd = fd;
	return 0;
}

static void unwatch(struct port_loop *l, int fd)
{
	(void)l;
	(void)fd;
}

/* The engine's side, as host/loop.c turns it: one wait for an edge, frames, one wake. */
static void *answer_ring(void *arg)
{
	const struct pair *p = arg;
	struct port *port = ring_port(p->ring);
	struct nic *nic = &port->nic;
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct nic_slot slot;
	struct frame f;

	pin(p->cpus[1]);
	need(epoll_ctl(epoll, EPOLL_CTL_ADD, p->engine_fd, &ev) == 0, "epoll");
	for (int done = 0; done < PING_PONGS;) {
		if (port->ops->poll(port, true) == 0)
			need(epoll_wait(epoll, &ev, 1, -1) == 1, "epoll_wait");
		(void)port->ops->poll(port, false);
		while (nic->ops->stage(nic, &f) == 1) {
			need(nic->ops->reserve(nic, 14, FRAME - 14, &slot) == 0, "no room");
			memcpy(slot.head, f.head, 14);
			nic->ops->commit(nic, &slot, FRAME - 14, NULL);
			nic->ops->release(nic, 1);
			done++;
		}
		nic->ops->flush(nic);
	}
	(void)close(epoll);
	return NULL;
}

static void ping_pong(struct ring *r, const struct iovec *iov)
{
	struct pollfd pfd = {.fd = ring_fd(r), .events = POLLIN};
	struct ring_frame f;

	need(ring_tx_push(r, iov, 1) == 0, "a frame was refused");
	while (ring_rx_stage(r, &f) == 0) {
		need(poll(&pfd, 1, -1) == 1, "poll");
		(void)ring_events(r);
	}
	ring_rx_consume(r);
}

static double ringed(const int cpus[2])
{
	struct ring_config c = {.mtu = 1500};
	struct pair p = {.cpus = {cpus[0], cpus[1]}};
	struct port_loop loop = {.watch = watch, .unwatch = unwatch};
	static const uint8_t anywhere[4] = {192, 0, 2, 9};
	uint8_t frame[VNET_HDR_SIZE + FRAME];
	struct iovec iov = {.iov_base = frame, .iov_len = sizeof(frame)};
	pthread_t other;
	double start;
	double end;

	make_frame(frame, anywhere);
	watching = &p;
	need(ring_new(&c, &p.ring) == 0 && ring_attach(p.ring, 0, false) == 0, "no ring");
	need(ring_port(p.ring)->ops->start(ring_port(p.ring), &loop) == 0, "no ring");
	need(pthread_create(&other, NULL, answer_ring, &p) == 0, "no thread");
	start = seconds(CLOCK_MONOTONIC);
	for (int i = 0; i < PING_PONGS; i++)
		ping_pong(p.ring, &iov);
	end = seconds(CLOCK_MONOTONIC);
	(void)pthread_join(other, NULL);
	port_free(ring_port(p.ring));
	return (end - start) / (2.0 * PING_PONGS);
}

static void measure_latency(const char *name, const int cpus[2], int rounds)
{
	double blocking[ROUNDS_MAX];
	double polling[ROUNDS_MAX];
	double ring[ROUNDS_MAX];
	double base;
	double base_poll;
	double own;

	pin(cpus[0]);
	for (int i = 0; i < rounds; i++) {
		blocking[i] = bare(cpus, false) * 1e6;
		polling[i] = bare(cpus, true) * 1e6;
		ring[i] = ringed(cpus) * 1e6;
	}
	base = median(blocking, rounds);
	base_poll = median(polling, rounds);
	own = median(ring, rounds);
	printf("wake to wake, %-35s%10s%8s\n", name, "us", "ratio");
	printf("  %-40s%18.2f\n", "ring, with a frame each way", own);
	printf("  %-40s%18.2f%8.2f\n", "eventfds, poll() and read()", base_poll, own / base_poll);
	printf("  %-40s%18.2f%8.2f\n", "eventfds, blocking read()", base, own / base);
}

int main(int argc, char **argv)
{
	static const int apart[2] = {0, 1};
	static const int together[2] = {0, 0};
	int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : ROUNDS;

	if (rounds < 1 || rounds > ROUNDS_MAX) {
		(void)fprintf(
		    stderr, "ring_bench: use 1 to %d rounds, not '%s'\n", ROUNDS_MAX, argv[1]);
		return 1;
	}
	measure_frames(rounds);
	measure_latency("one processor", together, rounds);
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		measure_latency("two processors", apart, rounds);
	return 0;
}
