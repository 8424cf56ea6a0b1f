/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Request and response: one byte to the server's second port and back, one after the other, on one
 * connection or with a new connection for each. Then the time is that of connect, request, response and
 * close together. With --addresses the connections go round the server's addresses, so that ports in
 * TIME-WAIT do not run out.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include "load.h"

enum {
	SAMPLES_MAX = 1 << 23, /* in one window; more are an error */
};

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* A response that never comes must not hang the bench. */
static void limit_waiting(int fd)
{
	struct timeval t = {.tv_sec = GRACE_S};

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) < 0)
		fail(true, "SO_RCVTIMEO");
}

static void exchange(int fd)
{
	char byte = 'x';

	if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
		fail(true, "a request could not be sent");
	if (!receive_all(fd, &byte, 1))
		fail(true, "a response did not come");
}

static uint32_t one(const struct client_options *o, int fd, uint64_t number)
{
	struct sockaddr_in to = o->server;
	uint64_t start = now_ns();
	uint64_t took;

	if (o->does_connect) {
		to.sin_addr.s_addr =
		    htonl(ntohl(to.sin_addr.s_addr) + (uint32_t)(number % o->addresses));
		fd = tcp_connect(&to);
		limit_waiting(fd);
		exchange(fd);
		close(fd);
	} else {
		exchange(fd);
	}
	took = now_ns() - start;
	return took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
}

static void print_distribution(uint32_t *samples, size_t count, double seconds)
{
	double sum = 0;
	size_t middle = count / 2;
	size_t last_hundredth = count - 1 - count / 100;

	if (count == 0)
		fail(false, "nothing was exchanged");
	qsort(samples, count, sizeof(samples[0]), compare_u32);
	for (size_t i = 0; i < count; i++)
		sum += samples[i];
	printf("{\"count\": %zu, \"rate\": %.1f, \"mean_us\": %.3f, \"p50_us\": %.3f, "
	       "\"p99_us\": %.3f, \"max_us\": %.3f}\n",
	    count, (double)count / seconds, sum / (double)count / 1e3,
	    (double)samples[middle] / 1e3, (double)samples[last_hundredth] / 1e3,
	    (double)samples[count - 1] / 1e3);
}

int rr_main(int argc, char **argv)
{
	struct client_options o = client_options_parse(argc, argv);
	uint32_t *samples = calloc(SAMPLES_MAX, sizeof(*samples));
	uint64_t number = 0;
	size_t count = 0;
	uint64_t start;
	uint64_t end;
	int fd = -1;

	if (samples == NULL)
		fail(true, "no memory");
	o.server.sin_port = htons((uint16_t)(ntohs(o.server.sin_port) + 1));
	if (!o.does_connect) {
		fd = tcp_connect(&o.server);
		limit_waiting(fd);
	}
	start = now_ns() + (uint64_t)(o.warmup * 1e9);
	end = start + (uint64_t)(o.seconds * 1e9);
	while (now_ns() < start)
		(void)one(&o, fd, number++);
	while (now_ns() < end) {
		if (count == SAMPLES_MAX)
			fail(false, "more than %d exchanges: use fewer --seconds", SAMPLES_MAX);
		samples[count++] = one(&o, fd, number++);
	}
	print_distribution(samples, count, o.seconds);
	free(samples);
	return 0;
}
