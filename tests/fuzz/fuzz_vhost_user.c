/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vhost-user port as a whole: messages in any order, with any payload and descriptors, cut anywhere; memory of the
 * guest that changes and shrinks; kicks; and an engine that reads each frame and fills all room in between. No
 * descriptor may be left behind.
 *
 * Input: operations, each a byte and what belongs to it (enum op).
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "base/rd.h"
#include "port/supply.h"
#include "port/vhost_user.h"
#include "wire/vhost_user.h"

enum op {
	OP_MESSAGE, /* request, flags, descriptors, length, payload */
	OP_RAW,     /* length, bytes of the stream */
	OP_WRITE,   /* offset (16 bits), length, bytes of memory */
	OP_KICK,    /* queue */
	OP_TURN,    /* head, body (16 bits) */
	OP_SHRINK,  /* pages */
	OP_AGAIN,   /* a new connection */
	OP_END,
};

enum {
	MEMORY_SIZE = 1 << 16,
	FDS = 8,
	FDS_MAX = 12, /* beside one message */
	BYTES_MAX = 512,
	TURN_FRAMES = 24,
	QUEUES = 32,
	FDS_COUNTED = 128, /* those with the lowest numbers */
};

struct world {
	struct port_loop loop;
	struct port *port;
	int supply;
	int peer;
	int watched_supply;
	uint16_t token; /* of the connection */
	bool is_shrunk;
	uint64_t checksum;
};

static int memory_fd;
static uint8_t *memory;
static int palette[FDS];

static void require(bool claim)
{
	if (!claim)
		abort();
}

/* Descriptors of all kinds, once. */
static void open_palette(void)
{
	int pipes[2];

	if (memory)
		return;
	memory_fd = memfd_create("guest", MFD_CLOEXEC);
	require(memory_fd >= 0 && ftruncate(memory_fd, MEMORY_SIZE) == 0 && pipe(pipes) == 0);
	memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
	require(memory != MAP_FAILED);
	palette[0] = memory_fd;
	palette[1] = palette[2] = eventfd(0, EFD_NONBLOCK);
	palette[3] = eventfd(0, 0);
	palette[4] = pipes[0];
	palette[5] = pipes[1];
	palette[6] = memfd_create("short", MFD_CLOEXEC);
	palette[7] = socket(AF_UNIX, SOCK_DGRAM, 0);
}

static int watch(struct port_loop *l, int fd, uint32_t events, uint16_t token)
{
	struct world *w = container_of(l, struct world, loop);

	(void)events;
	if (fd != w->watched_supply && token >= QUEUES)
		w->token = token;
	return 0;
}

static void unwatch(struct port_loop *l, int fd)
{
	(void)l;
	(void)fd;
}

static void connect_port(struct world *w)
{
	struct supply_report report;
	int ends[2];

	if (w->peer >= 0)
		(void)close(w->peer);
	while (supply_hear(w->supply, &report) == 1)
		;
	require(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	require(supply_give(w->supply, ends[0]) == 0);
	(void)close(ends[0]);
	w->peer = ends[1];
	require(w->port->ops->on_ready(w->port, QUEUES * 8, PORT_READABLE) == PORT_IS_NEW);
}

static void start(struct world *w)
{
	struct vhost_user_config cfg = {.mtu = 1500};
	int ends[2];

	*w = (struct world){.loop = {.watch = watch, .unwatch = unwatch}, .peer = -1};
	require(supply_pair(ends) == 0);
	w->supply = ends[0];
	w->watched_supply = cfg.supply = ends[1];
	require(vhost_user_inflight_new(&cfg.inflight_fd) == 0);
	require(vhost_user_port_new(&cfg, &w->port) == 0);
	require(w->port->ops->start(w->port, &w->loop) == 0);
	connect_port(w);
}

/* ---- operations ---- */

static void send_bytes(
    struct world *w, const void *bytes, size_t len, const int *fds, uint32_t count)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
	uint8_t replies[BYTES_MAX];
	union {
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = {.bytes = {0}};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (count > 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, count * sizeof(int));
	}
	(void)sendmsg(w->peer, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)w->port->ops->on_ready(w->port, w->token, PORT_READABLE);
	while (recv(w->peer, replies, sizeof(replies), MSG_DONTWAIT) > 0)
		;
}

static void send_message(struct world *w, struct rd *r)
{
	uint8_t bytes[VHOST_USER_HDR_SIZE + BYTES_MAX];
	uint32_t header[3] = {rd_u8(r), rd_u8(r)};
	uint8_t kinds = rd_u8(r);
	uint32_t count = kinds % (FDS_MAX + 1);
	uint8_t len = rd_u8(r);
	size_t take = len < rd_left(r) ? len : rd_left(r);
	int fds[FDS_MAX];

	header[2] = len;
	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes, header, sizeof(header));
	rd_copy(r, bytes + sizeof(header), take);
	for (uint32_t i = 0; i < count; i++)
		fds[i] = palette[kinds / (FDS_MAX + 1) % FDS];
	send_bytes(w, bytes, sizeof(header) + len, fds, count);
}

static void send_raw(struct world *w, struct rd *r)
{
	uint8_t len = rd_u8(r);
	size_t take = len < rd_left(r) ? len : rd_left(r);
	const uint8_t *bytes = rd_bytes(r, take);

	if (take > 0)
		send_bytes(w, bytes, take, NULL, 0);
}

static void write_memory(const struct world *w, struct rd *r)
{
	uint16_t at = rd_be16(r);
	uint8_t len = rd_u8(r);
	size_t take = len < rd_left(r) ? len : rd_left(r);

	if (take > (size_t)MEMORY_SIZE - at)
		take = (size_t)MEMORY_SIZE - at;
	if (!w->is_shrunk)
		rd_copy(r, memory + at, take);
}

static void take_frames(struct world *w)
{
	struct nic *nic = &w->port->nic;
	uint32_t held = 0;
	struct frame f;

	for (uint32_t i = 0; i < TURN_FRAMES; i++) {
		int n = nic->ops->stage(nic, &f);
		uint64_t len = 0;

		require(n == 1 || n == 0 || (n == -ENOBUFS && held > 0));
		if (n != 1)
			break;
		held++;
		require(f.len <= FRAME_LEN_MAX && f.iov_count <= FRAME_IOV_MAX);
		for (uint32_t k = 0; k < f.iov_count; k++) {
			const volatile uint8_t *at = f.iov[k].iov_base;

			len += f.iov[k].iov_len;
			if (f.iov[k].iov_len > 0)
				w->checksum += (uint64_t)at[0] + at[f.iov[k].iov_len - 1];
		}
		require(len == f.len);
	}
	nic->ops->release(nic, held);
}

static void give_frames(struct world *w, uint32_t head_len, uint32_t body_len)
{
	struct nic *nic = &w->port->nic;
	struct nic_slot slots[NIC_BATCH_MAX];
	uint32_t count = 0;

	while (count < nic->batch_max &&
	       nic->ops->reserve(nic, head_len, body_len, &slots[count]) == 0)
		count++;
	if (count > 1)
		nic->ops->cancel(nic, &slots[--count]);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t len = 0;

		memset(slots[i].head, 0x55, head_len);
		for (uint32_t k = 0; k < slots[i].body_count; k++) {
			memset(slots[i].body[k].iov_base, 0x66, slots[i].body[k].iov_len);
			len += slots[i].body[k].iov_len;
		}
		require(len == body_len);
		nic->ops->commit(nic, &slots[i], i == 0 ? body_len : body_len / 2, NULL);
	}
}

static void turn(struct world *w, struct rd *r)
{
	uint32_t head_len = 14 + rd_u8(r) % (NIC_HEAD_MAX - 14U);
	uint32_t body_len = rd_be16(r) % (NIC_BODY_MAX - NIC_HEAD_MAX);

	take_frames(w);
	give_frames(w, head_len, body_len);
	w->port->nic.ops->flush(&w->port->nic);
	(void)w->port->ops->on_ready(w->port, w->token, PORT_READABLE);
}

static void operate(struct world *w, struct rd *r)
{
	switch ((enum op)(rd_u8(r) % OP_END)) {
	case OP_MESSAGE:
		send_message(w, r);
		break;
	case OP_RAW:
		send_raw(w, r);
		break;
	case OP_WRITE:
		write_memory(w, r);
		break;
	case OP_KICK:
		(void)w->port->ops->on_ready(w->port, rd_u8(r) % QUEUES, PORT_READABLE);
		break;
	case OP_TURN:
	case OP_END:
		turn(w, r);
		break;
	case OP_SHRINK:
		require(ftruncate(memory_fd, rd_u8(r) % 17 * 4096) == 0);
		w->is_shrunk = true;
		break;
	case OP_AGAIN:
		connect_port(w);
		break;
	}
}

static int open_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < FDS_COUNTED; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);
	struct world w;
	int before;

	open_palette();
	before = open_descriptors();
	require(ftruncate(memory_fd, 0) == 0 && ftruncate(memory_fd, MEMORY_SIZE) == 0);
	start(&w);
	while (rd_left(&r) > 0)
		operate(&w, &r);
	w.port->ops->stop(w.port);
	port_free(w.port);
	(void)close(w.peer);
	(void)close(w.supply);
	require(open_descriptors() == before);
	return 0;
}
