/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load generator of bench/run: a server, and clients for each kind of traffic.
 *
 * Client and server run on one machine, so they share CLOCK_MONOTONIC: a measurement is a window of that
 * clock, named by the client, and what counts is what the receiving application has got in it. Numbers
 * on the wire are in the machine's byte order. Results are one line of JSON on standard output; an error
 * is one sentence on standard error and exit status 1. IPv4 only.
 */
#ifndef SLUICE_BENCH_LOAD_H
#define SLUICE_BENCH_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CHUNK_SIZE = 256 * 1024, /* of one read or write of a stream */
	DATAGRAM_MAX = 65507,
	GRACE_S = 15, /* from the end of the window until a client gives up */

	HELLO_MAGIC = 0x10ad10ad,
};

#define NS_PER_S 1000000000ULL

/* What the server does with a connection to its first port; the second port echoes. */
enum op {
	OP_SINK = 1,   /* read until end of file, then send a struct result */
	OP_SOURCE,     /* write until the end of the window, then close */
	OP_UDP_SINK,   /* count datagrams until end of file, then send a struct result */
	OP_UDP_SOURCE, /* send datagrams to where one came from, until the end of the window */
};

struct hello {
	uint32_t magic;    /* HELLO_MAGIC */
	uint32_t op;       /* enum op */
	uint64_t start_ns; /* the window: from here */
	uint64_t end_ns;   /* to here */
	uint32_t size;     /* payload of a datagram, bytes */
	uint32_t segments; /* datagrams per message (UDP_SEGMENT); 0: one, without segmentation */
};

struct result {
	uint64_t total_bytes;  /* received at all */
	uint64_t window_bytes; /* ... in the window */
	uint64_t datagrams;    /* in the window; streams: 0 */
	uint64_t gap_ns;       /* longest time in the window without anything received */
};

/* Counts what a receiver gets. */
struct meter {
	uint64_t start_ns;
	uint64_t end_ns;
	uint64_t last_ns; /* of the last thing received */
	struct result result;
};

struct meter meter_init(uint64_t start_ns, uint64_t end_ns);
void meter_add(struct meter *m, size_t bytes, size_t datagrams);
/* The result, with the gap that the end of the window closes. */
struct result meter_result(const struct meter *m);

/* Prints one sentence and ends the program; with errno's text if is_system. */
__attribute__((format(printf, 2, 3))) _Noreturn void fail(bool is_system, const char *format, ...);

uint64_t now_ns(void);
void sleep_until_ns(uint64_t t);

/* The next decimal number of argv, from min to max. */
uint64_t arg_number(const char *name, const char *text, uint64_t min, uint64_t max);
double arg_seconds(const char *name, const char *text);

/* Options that most clients share. */
struct client_options {
	struct sockaddr_in server; /* first port */
	double seconds;            /* length of the window */
	double warmup;             /* before it, seconds */
	uint32_t up;               /* flows or datagrams towards the server */
	uint32_t down;             /* from it */
	uint32_t count;            /* connections */
	uint32_t addresses;        /* consecutive addresses that the server has */
	uint32_t size;             /* payload of a datagram */
	uint32_t segments;         /* as in struct hello */
	bool does_connect;         /* a connection per request */
};

struct client_options client_options_parse(int argc, char **argv);

/* Sockets that cannot be made end the program. */
int tcp_connect(const struct sockaddr_in *to);
void set_nonblocking(int fd);
void set_buffers(int fd);
void send_all(int fd, const void *data, size_t len);
/* False at end of file or an error. */
bool receive_all(int fd, void *data, size_t len);

/* Epoll in the shape that client and server need: one pointer per descriptor. */
void watch(int epoll_fd, int op, int fd, uint32_t events, void *data);

int server_main(int argc, char **argv);
int stream_main(int argc, char **argv);
int rr_main(int argc, char **argv);
int udp_main(int argc, char **argv);
int conns_main(int argc, char **argv);
int start_main(int argc, char **argv);

/* Parts of UDP that both ends have. */
struct udp_sender {
	int fd;
	uint32_t size;     /* payload of a datagram */
	uint32_t segments; /* as in struct hello */
};

/* Sends one batch to the peer, or to where the socket is connected (NULL). Returns the number of
 * datagrams that the kernel took. */
size_t udp_send_batch(const struct udp_sender *s, const struct sockaddr_in *to);
/* Receives what is there, at most a batch, and counts it. has_gro: the socket has UDP_GRO. ret_from may
 * be NULL. Returns the number of datagrams; 0: nothing was there. */
size_t udp_receive_batch(int fd, bool has_gro, struct meter *m, struct sockaddr_in *ret_from);
/* A socket with large buffers, and UDP_GRO if wanted. */
int udp_socket(bool has_gro);
void udp_allow_gro(int fd);

#endif
