/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each message of the front end does.
 *
 * Before any of them what the queues hold is settled, after it is decided anew which of them run; so each handler only
 * changes set-up. A queue that is begun keeps its place through changes of memory, addresses and enabling until
 * GET_VRING_BASE or a reset; its size and base cannot be changed meanwhile. Refused are values outside of what is
 * offered, queues that there are not, and descriptors of a wrong kind.
 *
 * GET_QUEUE_NUM is read as a number of queues by cloud-hypervisor and of pairs by QEMU: the answer, half of the queues
 * that there are, is right for both.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost_types.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "port/vhost_user_internal.h"

uint64_t vu_features(void)
{
	/* CTRL_VQ: cloud-hypervisor serves that queue itself, but only has it if we offer it. */
	return VU_BIT(VIRTIO_NET_F_CSUM) | VU_BIT(VIRTIO_NET_F_GUEST_CSUM) |
	       VU_BIT(VIRTIO_NET_F_HOST_TSO4) | VU_BIT(VIRTIO_NET_F_HOST_TSO6) |
	       VU_BIT(VIRTIO_NET_F_GUEST_TSO4) | VU_BIT(VIRTIO_NET_F_GUEST_TSO6) |
	       VU_BIT(VIRTIO_NET_F_HOST_UFO) | VU_BIT(VU_F_HOST_USO) | VU_BIT(VU_F_GUEST_USO4) |
	       VU_BIT(VU_F_GUEST_USO6) | VU_BIT(VIRTIO_NET_F_MRG_RXBUF) | VU_BIT(VIRTIO_NET_F_MTU) |
	       VU_BIT(VIRTIO_NET_F_MQ) | VU_BIT(VIRTIO_NET_F_CTRL_VQ) |
	       VU_BIT(VIRTIO_RING_F_EVENT_IDX) | VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
	       VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VHOST_F_LOG_ALL) |
	       VU_BIT(VU_F_PROTOCOL_FEATURES);
}

uint64_t vu_protocol_features(const struct vhost_user_port *p)
{
	return VU_BIT(VHOST_USER_PROTOCOL_MQ) | VU_BIT(VHOST_USER_PROTOCOL_LOG_SHMFD) |
	       VU_BIT(VHOST_USER_PROTOCOL_RARP) | VU_BIT(VHOST_USER_PROTOCOL_REPLY_ACK) |
	       VU_BIT(VHOST_USER_PROTOCOL_MTU) | VU_BIT(VHOST_USER_PROTOCOL_RESET_DEVICE) |
	       VU_BIT(VHOST_USER_PROTOCOL_CONFIGURE_MEM_SLOTS) |
	       VU_BIT(VHOST_USER_PROTOCOL_STATUS) |
	       (p->cfg.inflight_fd >= 0 ? VU_BIT(VHOST_USER_PROTOCOL_INFLIGHT_SHMFD) : 0);
}

static int reply_u64(struct vhost_user_port *p, uint32_t request, uint64_t value)
{
	uint8_t reply[VHOST_USER_REPLY_MAX];

	return vu_conn_reply(p, reply, vhost_user_build_u64(request, value, reply), -1);
}

/* ---- memory ---- */

static int set_mem_table(struct vhost_user_port *p, const struct vhost_user_msg *m, const int *fds)
{
	int err = 0;

	guest_memory_clear_regions(&p->memory);
	for (uint32_t i = 0; i < m->table.count && !err; i++)
		err = guest_memory_add(&p->memory, &m->table.regions[i], fds[i]);
	if (err)
		guest_memory_clear_regions(&p->memory);
	return err;
}

static int set_log_base(struct vhost_user_port *p, const struct vhost_user_msg *m, int fd)
{
	struct guest_map map;
	int err = guest_map_file(fd, m->log.offset, m->log.size, &map);

	if (err)
		return err;
	guest_map_drop(&p->memory.log);
	p->memory.log = map;
	p->memory.log_bits = map.at + m->log.offset;
	p->memory.log_size = m->log.size;
	return 0;
}

/* ---- chains in flight ---- */

static int map_inflight(
    struct vhost_user_port *p, const struct vhost_user_inflight *r, int fd, uint64_t size)
{
	struct guest_map map;
	int err;

	for (uint32_t i = 0; i < p->queue_end; i++)
		if (p->queues[i].is_begun)
			return -EBUSY;
	err = guest_map_file(fd, r->mmap_offset, size, &map);
	if (err)
		return err;
	guest_map_drop(&p->memory.inflight);
	p->memory.inflight = map;
	p->inflight_at = map.at + r->mmap_offset;
	p->inflight_num = r->queue_num;
	p->inflight_queues = r->queue_count;
	return 0;
}

static uint64_t inflight_total(const struct vhost_user_inflight *r)
{
	return r->queue_count * inflight_size(r->queue_num);
}

static bool is_inflight_right(const struct vhost_user_inflight *r)
{
	return r->queue_num > 0 && r->queue_num <= VIRTQUEUE_NUM_MAX && r->queue_count > 0 &&
	       r->queue_count <= VU_QUEUES_MAX;
}

/* A fresh region, whose descriptor the front end keeps for our successor. */
static int get_inflight(struct vhost_user_port *p, const struct vhost_user_msg *m)
{
	struct vhost_user_inflight r = m->inflight;
	uint8_t reply[VHOST_USER_REPLY_MAX];
	int fd = p->cfg.inflight_fd;
	int err = is_inflight_right(&r) && fd >= 0 ? 0 : -EINVAL;

	r.mmap_offset = 0;
	r.mmap_size = inflight_total(&r);
	if (!err)
		err = map_inflight(p, &r, fd, r.mmap_size);
	if (err) {
		r.mmap_size = 0; /* says that there is none */
		fd = -1;
	} else {
		memset(p->inflight_at, 0, r.mmap_size);
	}
	return vu_conn_reply(
	    p, reply, vhost_user_build_inflight(m->request, &r, m->payload_len, reply), fd);
}

static int set_inflight(struct vhost_user_port *p, const struct vhost_user_msg *m, int fd)
{
	const struct vhost_user_inflight *r = &m->inflight;

	if (!is_inflight_right(r) || r->mmap_size < inflight_total(r))
		return -EINVAL;
	return map_inflight(p, r, fd, r->mmap_size);
}

/* ---- queues ---- */

/* The queue of this number, or NULL. It counts from now on. */
static struct vu_queue *find_queue(struct vhost_user_port *p, uint32_t index)
{
	if (index >= VU_QUEUES_MAX)
		return NULL;
	if (p->queue_end <= index)
		p->queue_end = index + 1;
	return &p->queues[index];
}

static int set_num(struct vu_queue *q, uint32_t num)
{
	if (num == 0 || num > VIRTQUEUE_NUM_MAX || (num & (num - 1)) != 0)
		return -EINVAL;
	if (q->is_begun && num != q->vq.num)
		return -EBUSY;
	q->vq.num = num;
	return 0;
}

static int set_addr(struct vhost_user_port *p, const struct vhost_user_vring_addr *a)
{
	struct vu_queue *q = find_queue(p, a->index);

	if (!q)
		return -EINVAL;
	q->vq.addr = (struct virtqueue_addr){
	    .desc_uva = a->desc_uva,
	    .avail_uva = a->avail_uva,
	    .used_uva = a->used_uva,
	    .log_gpa = a->log_gpa,
	    .has_log = a->has_log,
	};
	return 0;
}

static int set_base(struct vu_queue *q, uint32_t base)
{
	if (base > UINT16_MAX)
		return -EINVAL;
	if (q->is_begun)
		return -EBUSY;
	q->base = (uint16_t)base;
	return 0;
}

static int get_base(struct vhost_user_port *p, const struct vhost_user_msg *m)
{
	uint8_t reply[VHOST_USER_REPLY_MAX];

	if (!find_queue(p, m->vring.index))
		return -EINVAL;
	return vu_conn_reply(p, reply,
	    vhost_user_build_vring(
		m->request, m->vring.index, vu_queue_stop(p, m->vring.index), reply),
	    -1);
}

/* Eventfds have no type of file. */
static bool is_eventfd(int fd)
{
#ifdef SYS_fstat
	struct stat status;

	return syscall(SYS_fstat, fd, &status) == 0 && (status.st_mode & S_IFMT) == 0;
#else
	struct stat status;

	return fstat(fd, &status) == 0 && (status.st_mode & S_IFMT) == 0;
#endif
}

/* A write to it must not wait. */
static int make_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	if ((flags & O_NONBLOCK) == 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

static int set_vring_fd(struct vhost_user_port *p, const struct vhost_user_msg *m, int *fd)
{
	struct vu_queue *q = find_queue(p, m->vring_fd.index);
	bool is_kick = m->request == VHOST_USER_SET_VRING_KICK;
	int *to;
	int err = 0;

	if (!q)
		return -EINVAL;
	if (m->fd_count == 0 && is_kick)
		return -EOPNOTSUPP; /* such a queue would have to be looked at all the time */
	if (m->fd_count > 0 && !is_eventfd(*fd))
		return -EINVAL;
	to = is_kick                                   ? &q->kick_fd
	     : m->request == VHOST_USER_SET_VRING_CALL ? &q->call_fd
						       : &q->err_fd;
	if (is_kick)
		err = p->loop->watch(
		    p->loop, *fd, PORT_READABLE | PORT_EDGE, (uint16_t)m->vring_fd.index);
	else if (m->fd_count > 0)
		err = make_nonblocking(*fd);
	if (err)
		return err;
	vu_close_watched(p, to);
	if (m->fd_count > 0) {
		*to = *fd;
		*fd = -1;
	}
	q->is_started |= is_kick;
	return 0;
}

static int set_enable(struct vu_queue *q, uint32_t value)
{
	if (value > 1)
		return -EINVAL;
	q->is_enabled = value == 1;
	return 0;
}

static int set_vring(struct vhost_user_port *p, const struct vhost_user_msg *m)
{
	struct vu_queue *q = find_queue(p, m->vring.index);

	if (!q)
		return -EINVAL;
	if (m->request == VHOST_USER_SET_VRING_NUM)
		return set_num(q, m->vring.num);
	if (m->request == VHOST_USER_SET_VRING_BASE)
		return set_base(q, m->vring.num);
	return set_enable(q, m->vring.num);
}

/* ---- the device ---- */

static int set_features(struct vhost_user_port *p, uint64_t value)
{
	if ((value & ~vu_features()) != 0)
		return -EINVAL;
	p->features = value;
	return 0;
}

static int set_protocol_features(struct vhost_user_port *p, uint64_t value)
{
	if ((value & ~vu_protocol_features(p)) != 0)
		return -EINVAL;
	p->protocol_features = value;
	return 0;
}

static int set_status(struct vhost_user_port *p, uint64_t value)
{
	if (value > UINT8_MAX)
		return -EINVAL;
	if (value == 0)
		vu_reset_queues(p);
	p->status = (uint8_t)value;
	return 0;
}

/* The monitor's MTU must hold what we send. */
static int set_mtu(const struct vhost_user_port *p, uint64_t value)
{
	return value >= p->cfg.mtu && value <= IP_PACKET_MAX ? 0 : -EINVAL;
}

static int dispatch(struct vhost_user_port *p, const struct vhost_user_msg *m, int *fds)
{
	switch (m->request) {
	case VHOST_USER_GET_FEATURES:
		return reply_u64(p, m->request, vu_features());
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		return reply_u64(p, m->request, vu_protocol_features(p));
	case VHOST_USER_GET_QUEUE_NUM:
		return reply_u64(p, m->request, VU_PAIRS_MAX);
	case VHOST_USER_GET_MAX_MEM_SLOTS:
		return reply_u64(p, m->request, GUEST_MEMORY_SLOTS);
	case VHOST_USER_GET_STATUS:
		return reply_u64(p, m->request, p->status);
	case VHOST_USER_GET_VRING_BASE:
		return get_base(p, m);
	case VHOST_USER_GET_INFLIGHT_FD:
		return get_inflight(p, m);
	case VHOST_USER_SET_FEATURES:
		return set_features(p, m->value);
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		return set_protocol_features(p, m->value);
	case VHOST_USER_SET_STATUS:
		return set_status(p, m->value);
	case VHOST_USER_NET_SET_MTU:
		return set_mtu(p, m->value);
	case VHOST_USER_SET_MEM_TABLE:
		return set_mem_table(p, m, fds);
	case VHOST_USER_ADD_MEM_REG:
		return guest_memory_add(&p->memory, &m->region, fds[0]);
	case VHOST_USER_REM_MEM_REG:
		return guest_memory_remove(&p->memory, &m->region);
	case VHOST_USER_SET_LOG_BASE:
		return set_log_base(p, m, fds[0]);
	case VHOST_USER_SET_INFLIGHT_FD:
		return set_inflight(p, m, fds[0]);
	case VHOST_USER_SET_VRING_NUM:
	case VHOST_USER_SET_VRING_BASE:
	case VHOST_USER_SET_VRING_ENABLE:
		return set_vring(p, m);
	case VHOST_USER_SET_VRING_ADDR:
		return set_addr(p, &m->addr);
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
		return set_vring_fd(p, m, &fds[0]);
	case VHOST_USER_RESET_DEVICE:
		vu_reset_queues(p);
		return 0;
	case VHOST_USER_SET_OWNER:
	case VHOST_USER_RESET_OWNER: /* deprecated, and front ends differ in what they expect */
	case VHOST_USER_SET_LOG_FD:  /* for who waits for the log; nobody does */
	case VHOST_USER_SEND_RARP:   /* nobody but us is on the link */
		return 0;
	}
	return -EINVAL;
}

static bool has_own_reply(enum vhost_user_request request)
{
	static const uint64_t replying =
	    VU_BIT(VHOST_USER_GET_FEATURES) | VU_BIT(VHOST_USER_GET_PROTOCOL_FEATURES) |
	    VU_BIT(VHOST_USER_GET_QUEUE_NUM) | VU_BIT(VHOST_USER_GET_MAX_MEM_SLOTS) |
	    VU_BIT(VHOST_USER_GET_STATUS) | VU_BIT(VHOST_USER_GET_VRING_BASE) |
	    VU_BIT(VHOST_USER_GET_INFLIGHT_FD);

	return (replying >> request & 1) != 0;
}

int vu_message(
    struct vhost_user_port *p, const struct vhost_user_msg *m, int *fds, bool *ret_has_replied)
{
	int err;

	vu_settle(p);
	err = dispatch(p, m, fds);
	vu_update(p);
	*ret_has_replied = has_own_reply(m->request);
	/* Its answer is a reply of its own to those who share the log. */
	if (m->request == VHOST_USER_SET_LOG_BASE && !err &&
	    (p->protocol_features & VU_BIT(VHOST_USER_PROTOCOL_LOG_SHMFD)) != 0) {
		*ret_has_replied = true;
		err = reply_u64(p, m->request, 0);
	}
	return err;
}
