/* SPDX-License-Identifier: Apache-2.0 */
/* A machine without a processor; see machine.h. */
#include "machine.h"

#include <errno.h>
#include <linux/vhost_types.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	PAGE = 4096,
	F_PROTOCOL_FEATURES = 30,
	F_GUEST_USO4 = 54, /* newer than the kernel headers */
	F_GUEST_USO6 = 55,
	F_HOST_USO = 56,
};

#define BIT(n) (1ULL << (n))

struct machine_config machine_config_default(void)
{
	return (struct machine_config){
	    .pairs = 1,
	    .num = 256,
	    .rx_buffer = 4096,
	    .tx_buffer = 69632,
	    .regions = 2,
	    .features = BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) |
			BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) |
			BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) |
			BIT(F_HOST_USO) | BIT(F_GUEST_USO4) | BIT(F_GUEST_USO6) |
			BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_MQ) |
			BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_RING_F_INDIRECT_DESC) |
			BIT(VIRTIO_F_VERSION_1),
	    .protocol =
		BIT(VHOST_USER_PROTOCOL_MQ) | BIT(VHOST_USER_PROTOCOL_REPLY_ACK) |
		BIT(VHOST_USER_PROTOCOL_INFLIGHT_SHMFD) | BIT(VHOST_USER_PROTOCOL_LOG_SHMFD) |
		BIT(VHOST_USER_PROTOCOL_CONFIGURE_MEM_SLOTS) | BIT(VHOST_USER_PROTOCOL_STATUS),
	};
}

static size_t page_up(size_t n)
{
	return (n + PAGE - 1) / PAGE * PAGE;
}

static size_t queue_bytes(const struct machine_config *c, uint32_t queue)
{
	return page_up(ring_size(c->num)) +
	       page_up((size_t)c->num * (queue % 2 == 0 ? c->rx_buffer : c->tx_buffer));
}

int machine_init(struct machine *m, const struct machine_config *cfg)
{
	size_t at = 0;

	*m = (struct machine){.cfg = *cfg, .vmm = {.fd = -1}, .inflight_fd = -1};
	for (uint32_t i = 0; i < 2 * cfg->pairs; i++)
		m->memory_size += queue_bytes(cfg, i);
	m->memory_size = page_up(m->memory_size);
	for (uint32_t i = 0; i < MACHINE_QUEUES_MAX; i++)
		m->queues[i].kick_fd = m->queues[i].call_fd = -1;
	m->memory_fd = memfd_create("guest", MFD_CLOEXEC);
	if (m->memory_fd < 0 || ftruncate(m->memory_fd, (off_t)m->memory_size))
		return -errno;
	m->memory = mmap(NULL, m->memory_size, PROT_READ | PROT_WRITE, MAP_SHARED, m->memory_fd, 0);
	if (m->memory == MAP_FAILED)
		return -errno;
	for (uint32_t i = 0; i < 2 * cfg->pairs; i++) {
		struct machine_queue *q = &m->queues[i];

		q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		q->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (q->kick_fd < 0 || q->call_fd < 0)
			return -errno;
		ring_init(&q->ring, cfg->num, m->memory + at,
		    (cfg->features & BIT(VIRTIO_RING_F_EVENT_IDX)) != 0);
		q->buffers = m->memory + at + page_up(ring_size(cfg->num));
		at += queue_bytes(cfg, i);
	}
	return 0;
}

void machine_fini(struct machine *m)
{
	vmm_close(&m->vmm);
	if (m->memory && m->memory != MAP_FAILED)
		(void)munmap(m->memory, m->memory_size);
	for (uint32_t i = 0; i < MACHINE_QUEUES_MAX; i++) {
		if (m->queues[i].kick_fd >= 0)
			(void)close(m->queues[i].kick_fd);
		if (m->queues[i].call_fd >= 0)
			(void)close(m->queues[i].call_fd);
	}
	if (m->memory_fd >= 0)
		(void)close(m->memory_fd);
	if (m->inflight_fd >= 0)
		(void)close(m->inflight_fd);
}

uint32_t machine_hdr(const struct machine *m)
{
	return machine_has(m, VIRTIO_F_VERSION_1) || machine_has(m, VIRTIO_NET_F_MRG_RXBUF)
		   ? sizeof(struct virtio_net_hdr_mrg_rxbuf)
		   : sizeof(struct virtio_net_hdr);
}

int machine_negotiate(struct machine *m)
{
	uint64_t offered;
	uint64_t protocol = 0;
	int err = vmm_get(&m->vmm, VHOST_USER_GET_FEATURES, &offered);

	if (!err)
		err = vmm_ask(&m->vmm, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0);
	if (err)
		return err;
	m->features = offered & (m->cfg.features | BIT(F_PROTOCOL_FEATURES));
	if ((offered & BIT(F_PROTOCOL_FEATURES)) != 0) {
		err = vmm_get(&m->vmm, VHOST_USER_GET_PROTOCOL_FEATURES, &protocol);
		protocol &= m->cfg.protocol;
		if (!err)
			err = vmm_set(&m->vmm, VHOST_USER_SET_PROTOCOL_FEATURES, protocol);
		if (err)
			return err;
		m->vmm.protocol_features = protocol;
	}
	for (uint32_t i = 0; i < 2 * m->cfg.pairs; i++)
		m->queues[i].ring.has_event_idx = machine_has(m, VIRTIO_RING_F_EVENT_IDX);
	return vmm_set(&m->vmm, VHOST_USER_SET_FEATURES, m->features);
}

static bool has_protocol(const struct machine *m, unsigned int bit)
{
	return (m->vmm.protocol_features & BIT(bit)) != 0;
}

static int add_regions(struct machine *m, uint64_t (*regions)[4], uint32_t count)
{
	int err = 0;

	for (uint32_t i = 0; i < count && !err; i++) {
		uint64_t payload[5] = {0};

		memcpy(payload + 1, regions[i], sizeof(regions[i]));
		err = vmm_ask(
		    &m->vmm, VHOST_USER_ADD_MEM_REG, payload, sizeof(payload), &m->memory_fd, 1);
	}
	return err;
}

int machine_share_memory(struct machine *m)
{
	uint32_t count = m->cfg.regions;
	uint8_t payload[8 + MACHINE_REGIONS_MAX * 32];
	uint64_t regions[MACHINE_REGIONS_MAX][4];
	int fds[MACHINE_REGIONS_MAX];
	size_t step = page_up(m->memory_size / count);
	const uint32_t head[2] = {count, 0};

	for (uint32_t i = 0; i < count; i++) {
		size_t off = i * step;
		size_t len = i == count - 1 ? m->memory_size - off : step;

		regions[i][0] = MACHINE_GPA + off;
		regions[i][1] = len;
		regions[i][2] = machine_uva(m->memory + off);
		regions[i][3] = off;
		fds[i] = m->memory_fd;
	}
	if (m->cfg.has_slots && has_protocol(m, VHOST_USER_PROTOCOL_CONFIGURE_MEM_SLOTS))
		return add_regions(m, regions, count);
	memcpy(payload, head, sizeof(head));
	memcpy(payload + sizeof(head), regions, count * sizeof(regions[0]));
	return vmm_ask(&m->vmm, VHOST_USER_SET_MEM_TABLE, payload,
	    (uint32_t)(sizeof(head) + count * sizeof(regions[0])), fds, count);
}

static int exchange_inflight(struct machine *m)
{
	uint16_t counts[4] = {(uint16_t)(2 * m->cfg.pairs), (uint16_t)m->cfg.num};
	int n;

	if (!has_protocol(m, VHOST_USER_PROTOCOL_INFLIGHT_SHMFD))
		return 0;
	if (m->inflight_fd >= 0)
		return vmm_ask(&m->vmm, VHOST_USER_SET_INFLIGHT_FD, m->inflight,
		    sizeof(m->inflight), &m->inflight_fd, 1);
	memset(m->inflight, 0, sizeof(m->inflight));
	memcpy(&m->inflight[2], counts, sizeof(counts));
	n = vmm_send(&m->vmm, VHOST_USER_GET_INFLIGHT_FD, VMM_VERSION, m->inflight,
	    sizeof(m->inflight), NULL, 0);
	if (n)
		return n;
	n = vmm_receive(
	    &m->vmm, VHOST_USER_GET_INFLIGHT_FD, m->inflight, sizeof(m->inflight), &m->inflight_fd);
	if (n != sizeof(m->inflight) || m->inflight_fd < 0)
		return n < 0 ? n : -EBADMSG;
	return vmm_ask(&m->vmm, VHOST_USER_SET_INFLIGHT_FD, m->inflight, sizeof(m->inflight),
	    &m->inflight_fd, 1);
}

int machine_start_queue(struct machine *m, uint32_t queue)
{
	struct machine_queue *q = &m->queues[queue];
	const struct ring *r = &q->ring;
	const uint32_t head[2] = {queue, 0};
	const uint64_t addr[4] = {
	    machine_uva(r->desc), machine_uva(r->used), machine_uva(r->avail), 0};
	uint8_t payload[sizeof(head) + sizeof(addr)];
	int err;

	memcpy(payload, head, sizeof(head));
	memcpy(payload + sizeof(head), addr, sizeof(addr));
	err = vmm_set_vring(&m->vmm, VHOST_USER_SET_VRING_NUM, queue, r->num);
	if (!err)
		err = vmm_set_vring(&m->vmm, VHOST_USER_SET_VRING_BASE, queue,
		    __atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE));
	if (!err)
		err =
		    vmm_ask(&m->vmm, VHOST_USER_SET_VRING_ADDR, payload, sizeof(payload), NULL, 0);
	if (!err)
		err = vmm_set_vring_fd(&m->vmm, VHOST_USER_SET_VRING_KICK, queue, q->kick_fd);
	if (!err)
		err = vmm_set_vring_fd(&m->vmm, VHOST_USER_SET_VRING_CALL, queue, q->call_fd);
	if (!err && machine_has(m, F_PROTOCOL_FEATURES))
		err = vmm_set_vring(&m->vmm, VHOST_USER_SET_VRING_ENABLE, queue, 1);
	return err;
}

int machine_start(struct machine *m)
{
	int err = machine_negotiate(m);

	if (!err)
		err = machine_share_memory(m);
	if (!err)
		err = exchange_inflight(m);
	for (uint32_t i = 0; i < 2 * m->cfg.pairs && !err; i++)
		err = machine_start_queue(m, i);
	return err;
}

int machine_stop(struct machine *m)
{
	int err = 0;

	for (uint32_t i = 0; i < 2 * m->cfg.pairs && !err; i++) {
		uint32_t base;

		if (machine_has(m, F_PROTOCOL_FEATURES))
			err = vmm_set_vring(&m->vmm, VHOST_USER_SET_VRING_ENABLE, i, 0);
		if (!err)
			err = vmm_get_vring_base(&m->vmm, i, &base);
	}
	return err;
}

void machine_fill_rx(struct machine *m, uint32_t queue)
{
	struct ring *r = &m->queues[queue].ring;

	for (uint32_t i = 0; i < r->num; i++) {
		r->desc[i] = (struct vring_desc){
		    .addr = machine_gpa(m, machine_buffer(m, queue, i)),
		    .len = m->cfg.rx_buffer,
		    .flags = VRING_DESC_F_WRITE,
		};
		ring_add(r, (uint16_t)i);
	}
	if (ring_publish(r))
		machine_kick(m, queue);
}

void machine_kick(const struct machine *m, uint32_t queue)
{
	static const uint64_t one = 1;

	(void)!write(m->queues[queue].kick_fd, &one, sizeof(one));
}
