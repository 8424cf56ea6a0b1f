/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user port: its life, its descriptors, which queues run; see vhost_user.h and vhost_user_internal.h.
 *
 * Descriptors of the front end are not trusted. Eventfds are told from files, pipes and sockets by fstat, as writing to
 * those could raise a signal or wait; kicks are watched edge-triggered and never read, because a read could wait where
 * the front end has read before. A call is a write to an eventfd that was made non-blocking. (A front end that takes
 * that flag away again and fills the counter stops its own engine, and nothing else.)
 *
 * What goes wrong costs as little as it can: a broken ring stops its queue until it is set up anew, a message that
 * makes no sense ends the connection, and the port waits for the next one. What was taken ahead from a queue is left
 * where it was, what was used has been published, so the successor goes on where we were, without loss.
 */
#include "port/vhost_user.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost_types.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "port/supply.h"
#include "port/vhost_user_internal.h"

enum {
	/* Tokens of the loop: queues by number, then these. */
	TOKEN_SUPPLY = 256,
	TOKEN_CONN = 257,

	NOTE_MAX = 160,

	/* Sparse: for all queues of the largest size. */
	INFLIGHT_NUM_MAX = VIRTQUEUE_NUM_MAX,
};

void vu_note(const struct vhost_user_port *p, const char *format, ...)
{
	char text[NOTE_MAX];
	va_list args;

	if (!p->cfg.on_note)
		return;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	p->cfg.on_note(p->cfg.note_ctx, text);
}

void vu_close_watched(struct vhost_user_port *p, int *fd)
{
	if (*fd < 0)
		return;
	if (p->loop)
		p->loop->unwatch(p->loop, *fd);
	(void)close(*fd);
	*fd = -1;
}

static void signal_fd(int fd)
{
	static const uint64_t one = 1;

	/* A full counter has not been read yet: the other side will look. */
	if (fd >= 0)
		(void)!write(fd, &one, sizeof(one));
}

void vu_queue_broken(struct vhost_user_port *p, uint32_t queue)
{
	struct vu_queue *q = &p->queues[queue];

	q->is_live = false;
	p->port.nic.counters.tx_broken++;
	if (!p->memory.is_lost)
		vu_note(p, "queue %u is broken: %s", queue, virtqueue_fault_text(q->vq.fault));
	signal_fd(q->err_fd);
}

/* ---- queues ---- */

static void flush_queues(struct vhost_user_port *p)
{
	for (uint32_t i = 0; p->put != 0; i++) {
		struct vu_queue *q = &p->queues[i];

		if ((p->put & 1U << i) == 0)
			continue;
		p->put &= ~(1U << i);
		if (!q->is_live)
			continue;
		virtqueue_publish(&q->vq, &p->memory);
		if (virtqueue_wants_call(&q->vq))
			signal_fd(q->call_fd);
	}
}

void vu_settle(struct vhost_user_port *p)
{
	assert(p->tx_staged == 0 && p->rx_open == 0);
	guest_memory_enter(&p->memory);
	flush_queues(p);
	for (uint32_t i = 0; i < p->queue_end; i += 2)
		vu_rx_drop(&p->queues[i]);
}

uint16_t vu_queue_stop(struct vhost_user_port *p, uint32_t queue)
{
	struct vu_queue *q = &p->queues[queue];

	if (q->is_begun)
		q->base = (uint16_t)(q->vq.next_avail - q->vq.replay_count);
	virtqueue_stop(&q->vq);
	q->is_live = false;
	q->is_begun = false;
	q->is_started = false;
	q->is_short = false;
	q->is_announced = false;
	q->vq.fault = VIRTQUEUE_FAULT_NONE;
	free(q->rx);
	q->rx = NULL;
	vu_close_watched(p, &q->kick_fd);
	vu_close_watched(p, &q->call_fd);
	return q->base;
}

void vu_reset_queues(struct vhost_user_port *p)
{
	for (uint32_t i = 0; i < p->queue_end; i++) {
		struct vu_queue *q = &p->queues[i];

		(void)vu_queue_stop(p, i);
		vu_close_watched(p, &q->err_fd);
		*q = (struct vu_queue){.kick_fd = -1, .call_fd = -1, .err_fd = -1};
	}
	p->queue_end = 0;
	p->put = 0;
	p->tx_queue = 1;
}

/* Takes the inflight region up: what a predecessor had in hand comes again, then what was made available later. 0, or a
 * negative value: the queue cannot run. */
static int resume_inflight(struct vhost_user_port *p, uint32_t queue)
{
	struct vu_queue *q = &p->queues[queue];
	uint16_t *heads;
	uint16_t count;
	int err;

	q->vq.inflight = NULL;
	if (p->inflight_num == 0 || queue >= p->inflight_queues || q->vq.num > p->inflight_num)
		return 0;
	err = inflight_init(
	    &q->inflight, p->inflight_at + queue * inflight_size(p->inflight_num), q->vq.num);
	if (!err)
		err = inflight_resume(&q->inflight, q->vq.used_idx, &heads, &count);
	if (err)
		return err;
	q->vq.inflight = &q->inflight;
	virtqueue_replay(&q->vq, heads, count);
	q->vq.next_avail = (uint16_t)(q->vq.used_idx + count);
	q->vq.avail_idx = q->vq.next_avail;
	return 0;
}

static int begin_queue(struct vhost_user_port *p, uint32_t queue)
{
	struct vu_queue *q = &p->queues[queue];
	int err;

	if (vu_is_rx(queue) && !q->rx) {
		q->rx = calloc(1, sizeof(*q->rx));
		if (!q->rx)
			return -ENOMEM;
	}
	q->vq.has_event_idx = vu_has(p, VIRTIO_RING_F_EVENT_IDX);
	q->vq.has_indirect = vu_has(p, VIRTIO_RING_F_INDIRECT_DESC);
	q->vq.next_avail = q->base;
	virtqueue_start(&q->vq);
	err = resume_inflight(p, queue);
	if (err)
		return err;
	q->is_short =
	    vu_is_rx(queue) && q->vq.num < VU_RX_NUM_LARGE && vu_has(p, VIRTIO_NET_F_MRG_RXBUF);
	q->is_begun = true;
	return 0;
}

/* Whether frames can flow now; says why not, once. */
static bool can_run(struct vhost_user_port *p, uint32_t queue)
{
	struct vu_queue *q = &p->queues[queue];
	bool is_enabled = q->is_enabled || !vu_has(p, VU_F_PROTOCOL_FEATURES);
	const char *why = NULL;

	if (!q->is_started || !is_enabled || q->vq.fault != VIRTQUEUE_FAULT_NONE)
		return false;
	if (!virtqueue_resolve(&q->vq, &p->memory))
		why = "its rings are not in the guest's memory";
	else if (!q->is_begun && begin_queue(p, queue))
		why = "its inflight region is not as it must be";
	if (why && !q->is_announced) {
		q->is_announced = true;
		vu_note(p, "queue %u cannot run: %s", queue, why);
		signal_fd(q->err_fd);
	}
	return !why;
}

void vu_update_features(struct vhost_user_port *p)
{
	bool is_short = false;
	uint32_t f = 0;

	for (uint32_t i = 0; i < p->queue_end; i += 2)
		is_short |= p->queues[i].is_live && p->queues[i].is_short;
	if (vu_has(p, VIRTIO_NET_F_GUEST_CSUM)) {
		f |= NIC_F_CSUM;
		f |= vu_has(p, VIRTIO_NET_F_GUEST_TSO4) ? (uint32_t)NIC_F_TSO4 : 0;
		f |= vu_has(p, VIRTIO_NET_F_GUEST_TSO6) ? (uint32_t)NIC_F_TSO6 : 0;
		f |= vu_has(p, VU_F_GUEST_USO4) && vu_has(p, VU_F_GUEST_USO6) ? (uint32_t)NIC_F_USO
									      : 0;
	}
	p->port.nic.features = is_short ? f & NIC_F_CSUM : f;
	p->hdr_len = vu_has(p, VIRTIO_F_VERSION_1) || vu_has(p, VIRTIO_NET_F_MRG_RXBUF)
			 ? (uint32_t)sizeof(struct virtio_net_hdr_mrg_rxbuf)
			 : (uint32_t)sizeof(struct virtio_net_hdr);
}

void vu_update(struct vhost_user_port *p)
{
	p->memory.is_logging = vu_has(p, VHOST_F_LOG_ALL) && p->memory.log.at != NULL;
	for (uint32_t i = 0; i < p->queue_end; i++)
		p->queues[i].is_live = can_run(p, i);
	vu_update_features(p);
}

/* ---- the front end ---- */

static void end_session(struct vhost_user_port *p, enum supply_end how)
{
	vu_settle(p);
	vu_reset_queues(p);
	vu_close_watched(p, &p->conn.fd);
	for (uint32_t i = 0; i < p->conn.fd_count; i++)
		(void)close(p->conn.fds[i]);
	p->conn.fd_count = 0;
	p->conn.len = 0;
	guest_memory_clear(&p->memory);
	p->inflight_num = 0;
	p->features = 0;
	p->protocol_features = 0;
	p->status = 0;
	vu_update(p);
	supply_report(p->cfg.supply, how, 0);
}

/* The next connection takes the place of one that is still there. */
static uint32_t on_supply(struct vhost_user_port *p)
{
	int fd = supply_take(p->cfg.supply);

	if (fd == -EAGAIN)
		return 0;
	if (fd < 0) {
		p->is_last = true;
		p->loop->unwatch(p->loop, p->cfg.supply);
		return p->conn.fd < 0 ? PORT_IS_GONE : 0;
	}
	if (p->conn.fd >= 0)
		end_session(p, SUPPLY_CLOSED);
	p->conn.fd = fd;
	p->port.nic.counters.links++;
	if (p->loop->watch(p->loop, fd, PORT_READABLE, TOKEN_CONN)) {
		vu_note(p, "out of memory");
		end_session(p, SUPPLY_BROKEN);
	}
	return PORT_IS_NEW;
}

static uint32_t on_conn(struct vhost_user_port *p)
{
	int result = vu_conn_read(p);

	if (result != 0)
		end_session(p, result > 0 ? SUPPLY_CLOSED : SUPPLY_BROKEN);
	if (p->conn.fd < 0 && p->is_last)
		return PORT_IS_GONE;
	/* A message may have made queues live, or changed where they are. */
	return PORT_HAS_FRAMES | PORT_HAS_ROOM;
}

static void flush(struct nic *nic)
{
	struct vhost_user_port *p = vu_of(nic);

	guest_memory_enter(&p->memory);
	if (p->put != 0)
		flush_queues(p);
	/* The connection ends where it is read, which this makes happen. */
	if (p->memory.is_lost && p->conn.fd >= 0)
		(void)shutdown(p->conn.fd, SHUT_RDWR);
}

static const struct nic_ops nic_ops = {
    .stage = vu_stage,
    .release = vu_release,
    .reserve = vu_reserve,
    .commit = vu_commit,
    .cancel = vu_cancel,
    .flush = flush,
};

/* ---- the port ---- */

static struct vhost_user_port *of_port(struct port *port)
{
	return vu_of(&port->nic);
}

static int start(struct port *port, struct port_loop *loop)
{
	struct vhost_user_port *p = of_port(port);

	p->loop = loop;
	return loop->watch(loop, p->cfg.supply, PORT_READABLE, TOKEN_SUPPLY);
}

static uint32_t on_ready(struct port *port, uint16_t token, uint32_t events)
{
	struct vhost_user_port *p = of_port(port);

	(void)events;
	if (token < VU_QUEUES_MAX)
		return vu_is_rx(token) ? PORT_HAS_ROOM : PORT_HAS_FRAMES;
	if (token == TOKEN_SUPPLY)
		return on_supply(p);
	return p->conn.fd >= 0 ? on_conn(p) : 0; /* it may have ended in this very wait */
}

static void stop(struct port *port)
{
	struct vhost_user_port *p = of_port(port);

	if (p->conn.fd >= 0)
		end_session(p, SUPPLY_CLOSED);
	if (!p->is_last)
		p->loop->unwatch(p->loop, p->cfg.supply);
	p->loop = NULL;
}

static void free_port(struct port *port)
{
	struct vhost_user_port *p = of_port(port);

	vu_reset_queues(p);
	guest_memory_fini(&p->memory);
	vu_close_watched(p, &p->cfg.supply);
	vu_close_watched(p, &p->cfg.inflight_fd);
	free(p->tx_bounce);
	free(p->rx_overflow);
	free(p);
}

static const struct port_ops port_ops = {
    .start = start,
    .on_ready = on_ready,
    .stop = stop,
    .free = free_port,
};

int vhost_user_port_new(const struct vhost_user_config *cfg, struct port **ret_port)
{
	struct vhost_user_port *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->port.ops = &port_ops;
	p->port.nic = (struct nic){.ops = &nic_ops, .batch_max = VU_RX_BATCH};
	p->cfg = (struct vhost_user_config){.supply = -1, .inflight_fd = -1};
	p->conn.fd = -1;
	for (uint32_t i = 0; i < VU_QUEUES_MAX; i++)
		p->queues[i] = (struct vu_queue){.kick_fd = -1, .call_fd = -1, .err_fd = -1};
	vu_reset_queues(p);
	p->tx_bounce = malloc(FRAME_LEN_MAX);
	p->rx_overflow = malloc(FRAME_LEN_MAX);
	err = guest_memory_init(&p->memory);
	if (!err && (!p->tx_bounce || !p->rx_overflow))
		err = -ENOMEM;
	if (err) {
		free_port(&p->port);
		return err;
	}
	p->cfg = *cfg;
	vu_update(p);
	*ret_port = &p->port;
	return 0;
}

/* ---- before the process is confined ---- */

int vhost_user_inflight_new(int *ret_fd)
{
	off_t size = (off_t)(VU_QUEUES_MAX * inflight_size(INFLIGHT_NUM_MAX));
	int fd = memfd_create("inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int err;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, size) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		err = -errno;
		(void)close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}
