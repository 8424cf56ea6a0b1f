/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams, sent as fast as the sender can; what counts is what arrives. Without segmentation a call
 * sends BATCH messages of one datagram each; with it (--segments) one message of so many datagrams, and
 * the receiver takes several at once as well (UDP_GRO). A TCP connection beside them opens the window
 * and, towards the server, brings back the result.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "load.h"

enum {
	BATCH = 64,       /* messages of one call */
	GRO_BATCH = 8,    /* with UDP_GRO */
	GRO_SIZE = 65536, /* of a buffer then */
	POKE_MS = 20,     /* between datagrams that open the way back */
};

size_t udp_send_batch(const struct udp_sender *s, const struct sockaddr_in *to)
{
	static char payload[DATAGRAM_MAX];
	static struct mmsghdr messages[BATCH];
	struct sockaddr_in peer;
	struct iovec iov = {.iov_base = payload, .iov_len = s->size};
	union {
		char bytes[CMSG_SPACE(sizeof(uint16_t))];
		struct cmsghdr align;
	} control = {0};
	unsigned int count = s->segments > 0 ? 1 : BATCH;
	int sent;

	for (unsigned int i = 0; i < count; i++) {
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1};
		if (to != NULL) {
			peer = *to;
			messages[i].msg_hdr.msg_name = &peer;
			messages[i].msg_hdr.msg_namelen = sizeof(peer);
		}
	}
	if (s->segments > 0) {
		uint16_t size = (uint16_t)s->size;
		struct cmsghdr *c;

		messages[0].msg_hdr.msg_control = control.bytes;
		messages[0].msg_hdr.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&messages[0].msg_hdr);
		c->cmsg_level = SOL_UDP;
		c->cmsg_type = UDP_SEGMENT;
		c->cmsg_len = CMSG_LEN(sizeof(size));
		memcpy(CMSG_DATA(c), &size, sizeof(size));
		iov.iov_len = (size_t)s->size * s->segments;
	}
	sent = sendmmsg(s->fd, messages, count, 0);
	/* ECONNREFUSED and the like are an earlier datagram's: UDP goes on. */
	if (sent < 0 && (errno == EINVAL || errno == EMSGSIZE || errno == EIO))
		fail(true, "datagrams of %u bytes, %u at once", s->size, s->segments);
	return sent < 0 ? 0 : (size_t)sent * (s->segments > 0 ? s->segments : 1);
}

/* The size of the datagrams that one received message holds; 0: it is one. */
static size_t gro_size(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
			int size;

			memcpy(&size, CMSG_DATA(c), sizeof(size));
			return size > 0 ? (size_t)size : 0;
		}
	}
	return 0;
}

size_t udp_receive_batch(int fd, bool has_gro, struct meter *m, struct sockaddr_in *ret_from)
{
	static char buffers[GRO_BATCH * GRO_SIZE];
	static char control[BATCH][CMSG_SPACE(sizeof(int))];
	static struct iovec iov[BATCH];
	static struct mmsghdr messages[BATCH];
	unsigned int count = has_gro ? GRO_BATCH : BATCH;
	size_t bytes = 0;
	size_t datagrams = 0;
	int n;

	for (unsigned int i = 0; i < count; i++) {
		iov[i].iov_len = sizeof(buffers) / count;
		iov[i].iov_base = buffers + i * iov[i].iov_len;
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i],
		    .msg_iovlen = 1,
		    .msg_control = control[i],
		    .msg_controllen = sizeof(control[i])};
	}
	if (ret_from != NULL) {
		messages[0].msg_hdr.msg_name = ret_from;
		messages[0].msg_hdr.msg_namelen = sizeof(*ret_from);
	}
	n = recvmmsg(fd, messages, count, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		size_t size = gro_size(&messages[i].msg_hdr);

		bytes += messages[i].msg_len;
		datagrams += size > 0 ? (messages[i].msg_len + size - 1) / size : 1;
	}
	if (datagrams > 0)
		meter_add(m, bytes, datagrams);
	return datagrams;
}

int udp_socket(bool has_gro)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail(true, "no UDP socket can be made");
	set_buffers(fd);
	if (has_gro)
		udp_allow_gro(fd);
	return fd;
}

void udp_allow_gro(int fd)
{
	static const int on = 1;

	if (setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof(on)) < 0)
		fail(true, "UDP_GRO");
}

static struct result send_up(int fd, int control, const struct hello *h)
{
	struct udp_sender s = {.fd = fd, .size = h->size, .segments = h->segments};
	struct result result;

	while (now_ns() < h->end_ns)
		(void)udp_send_batch(&s, NULL);
	if (shutdown(control, SHUT_WR) < 0 || !receive_all(control, &result, sizeof(result)))
		fail(true, "the server did not tell what it got");
	return result;
}

static struct result receive_down(int fd, const struct hello *h)
{
	struct meter m = meter_init(h->start_ns, h->end_ns);
	uint64_t poked = 0;

	while (now_ns() < h->end_ns) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		uint64_t now = now_ns();

		if (m.result.total_bytes == 0 && now - poked > POKE_MS * 1000000ULL) {
			/* A refused one is sent again. */
			(void)!send(fd, "", 1, MSG_NOSIGNAL);
			poked = now;
		}
		if (udp_receive_batch(fd, h->segments > 0, &m, NULL) == 0)
			(void)poll(&p, 1, POKE_MS);
	}
	return meter_result(&m);
}

int udp_main(int argc, char **argv)
{
	struct client_options o = client_options_parse(argc, argv);
	struct hello hello = {.magic = HELLO_MAGIC,
	    .op = o.up > 0 ? OP_UDP_SINK : OP_UDP_SOURCE,
	    .size = o.size,
	    .segments = o.segments};
	struct result result;
	int control;
	int fd;

	if ((o.up > 0) == (o.down > 0))
		fail(false, "say --up 1 or --down 1");
	if (o.segments > 0 && o.size * o.segments > DATAGRAM_MAX)
		fail(false, "%u datagrams of %u bytes are more than one message holds", o.segments,
		    o.size);
	hello.start_ns = now_ns() + (uint64_t)(o.warmup * 1e9);
	hello.end_ns = hello.start_ns + (uint64_t)(o.seconds * 1e9);
	control = tcp_connect(&o.server);
	fd = udp_socket(o.down > 0 && o.segments > 0);
	if (connect(fd, (const struct sockaddr *)&o.server, sizeof(o.server)) < 0)
		fail(true, "no route to the server");
	send_all(control, &hello, sizeof(hello));
	result = o.up > 0 ? send_up(fd, control, &hello) : receive_down(fd, &hello);
	printf("{\"seconds\": %.6f, \"window_bytes\": %" PRIu64 ", \"total_bytes\": %" PRIu64
	       ", \"datagrams\": %" PRIu64 ", \"longest_gap_ms\": %.3f}\n",
	    o.seconds, result.window_bytes, result.total_bytes, result.datagrams,
	    (double)result.gap_ns / 1e6);
	close(fd);
	close(control);
	return 0;
}
