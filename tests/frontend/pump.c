/* SPDX-License-Identifier: Apache-2.0 */
/* A TAP as the processor of a machine; see pump.h. */
#include "pump.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	BURST = 32,      /* frames of one turn and direction */
	KICK_AFTER = 8,  /* frames after which the back end may begin */
	IOV_MAX_RX = 64, /* buffers of one frame to the guest */
	PIECE = 4096,
	TUN_USO = 0x60, /* TUN_F_USO4 | TUN_F_USO6, newer than the kernel headers */
	F_HOST_USO = 56,
};

static int open_tap(const char *name, bool is_multi)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	int little = 1;
	int err;

	if (fd < 0)
		return -errno;
	if (is_multi)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	(void)strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, TUNSETIFF, &ifr) || ioctl(fd, TUNSETVNETLE, &little)) {
		err = -errno;
		(void)close(fd);
		return err;
	}
	return fd;
}

int pump_init(struct pump *p, struct machine *m, const char *name)
{
	*p = (struct pump){.machine = m};
	for (uint32_t i = 0; i < MACHINE_PAIRS_MAX; i++)
		p->pairs[i].tap_fd = -1;
	for (uint32_t i = 0; i < m->cfg.pairs; i++) {
		struct pump_pair *pair = &p->pairs[i];

		pair->tap_fd = open_tap(name, m->cfg.pairs > 1);
		if (pair->tap_fd < 0)
			return pair->tap_fd;
		pair->free_list = calloc(m->cfg.num, sizeof(*pair->free_list));
		if (!pair->free_list)
			return -ENOMEM;
		for (uint32_t k = 0; k < m->cfg.num; k++)
			pair->free_list[pair->free_count++] = (uint16_t)k;
	}
	return 0;
}

void pump_fini(struct pump *p)
{
	for (uint32_t i = 0; i < MACHINE_PAIRS_MAX; i++) {
		if (p->pairs[i].tap_fd >= 0)
			(void)close(p->pairs[i].tap_fd);
		free(p->pairs[i].free_list);
	}
}

int pump_negotiated(struct pump *p)
{
	const struct machine *m = p->machine;
	int hdr = (int)machine_hdr(m);
	unsigned long f = 0;

	if (machine_has(m, VIRTIO_NET_F_CSUM)) {
		f |= TUN_F_CSUM;
		f |= machine_has(m, VIRTIO_NET_F_HOST_TSO4) ? TUN_F_TSO4 : 0;
		f |= machine_has(m, VIRTIO_NET_F_HOST_TSO6) ? TUN_F_TSO6 : 0;
		f |= machine_has(m, F_HOST_USO) ? TUN_USO : 0;
	}
	for (uint32_t i = 0; i < m->cfg.pairs; i++)
		if (ioctl(p->pairs[i].tap_fd, TUNSETVNETHDRSZ, &hdr) ||
		    ioctl(p->pairs[i].tap_fd, TUNSETOFFLOAD, f))
			return -errno;
	return 0;
}

/* ---- to the guest ---- */

/* The next frame, in all of its buffers. False: there is none yet. */
static bool take_frame(
    struct pump *p, uint32_t queue, struct iovec *iov, uint16_t *heads, uint32_t *ret_count)
{
	struct machine *m = p->machine;
	struct ring *r = &m->queues[queue].ring;
	uint32_t count = 1;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t head;
		uint32_t len;

		if (!ring_take(r, &head, &len)) {
			if (i > 0)
				abort(); /* a frame is published as a whole */
			return false;
		}
		if (head >= r->num || len > m->cfg.rx_buffer)
			abort();
		iov[i] = (struct iovec){.iov_base = machine_buffer(m, queue, head), .iov_len = len};
		heads[i] = (uint16_t)head;
		if (i == 0 && machine_has(m, VIRTIO_NET_F_MRG_RXBUF)) {
			uint16_t buffers;

			memcpy(&buffers, (uint8_t *)iov[0].iov_base + 10, sizeof(buffers));
			if (buffers == 0 || buffers > IOV_MAX_RX)
				abort();
			count = buffers;
		}
	}
	*ret_count = count;
	return true;
}

/* A driver takes VIRTIO_NET_HDR_F_DATA_VALID for what it says; a TAP does not know it, but does not verify a checksum
 * that is still to be finished either. The header and the first bytes of the frame are in one buffer. */
static void claim_valid(uint8_t *at, size_t len, uint32_t hdr_len)
{
	const uint8_t *eth = at + hdr_len;
	bool is_v6;
	uint8_t proto;
	uint16_t start;

	if ((at[0] & VIRTIO_NET_HDR_F_DATA_VALID) == 0 || len < hdr_len + 42)
		return;
	is_v6 = eth[12] == 0x86 && eth[13] == 0xdd;
	proto = eth[is_v6 ? 20 : 23];
	start = (uint16_t)(is_v6 ? 54 : 14 + 4 * (eth[14] & 15));
	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP)
		return;
	at[0] = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	memcpy(at + 6, &start, sizeof(start));
	at[8] = proto == IPPROTO_TCP ? 16 : 6;
	at[9] = 0;
}

static bool to_guest(struct pump *p, uint32_t pair)
{
	struct machine *m = p->machine;
	uint32_t queue = 2 * pair;
	struct ring *r = &m->queues[queue].ring;
	struct iovec iov[IOV_MAX_RX];
	uint16_t heads[IOV_MAX_RX];
	uint32_t frames = 0;
	uint32_t count;

	while (frames < BURST && take_frame(p, queue, iov, heads, &count)) {
		ssize_t n;

		claim_valid(iov[0].iov_base, iov[0].iov_len, machine_hdr(m));
		n = writev(p->pairs[pair].tap_fd, iov, (int)count);
		if (n < 0) {
			p->stats.rx_refused++;
		} else {
			p->stats.rx_frames++;
			p->stats.rx_bytes += (uint64_t)n - machine_hdr(m);
		}
		for (uint32_t i = 0; i < count; i++)
			ring_add(r, heads[i]);
		frames++;
		if (frames % KICK_AFTER == 0 && ring_publish(r)) {
			machine_kick(m, queue);
			p->stats.kicks++;
		}
	}
	if (ring_publish(r)) {
		machine_kick(m, queue);
		p->stats.kicks++;
	}
	return frames > 0;
}

/* ---- from the guest ---- */

void pump_recycle(struct pump *p, uint32_t pair)
{
	struct ring *r = &p->machine->queues[2 * pair + 1].ring;
	struct pump_pair *t = &p->pairs[pair];
	uint32_t head;
	uint32_t len;

	while (ring_take(r, &head, &len)) {
		if (head >= r->num || t->free_count == r->num)
			abort();
		t->free_list[t->free_count++] = (uint16_t)head;
	}
}

/* A frame of len bytes with its header lies in buffer i: one descriptor, or one for each page through an indirect table
 * at the end of the buffer, as a kernel has it. */
static void describe(struct pump *p, uint32_t queue, uint16_t i, uint32_t len)
{
	struct machine *m = p->machine;
	struct vring_desc *d = &m->queues[queue].ring.desc[i];
	uint8_t *at = machine_buffer(m, queue, i);
	struct vring_desc *table;
	uint32_t n = 0;

	*d = (struct vring_desc){.addr = machine_gpa(m, at), .len = len};
	if (p->pieces == 0 || len <= PIECE || !machine_has(m, VIRTIO_RING_F_INDIRECT_DESC))
		return;
	table = (struct vring_desc *)(void *)(at + m->cfg.tx_buffer - 1024);
	for (uint32_t off = 0; off < len; off += PIECE, n++)
		table[n] = (struct vring_desc){
		    .addr = machine_gpa(m, at + off),
		    .len = len - off < PIECE ? len - off : PIECE,
		    .flags = len - off > PIECE ? VRING_DESC_F_NEXT : 0,
		    .next = (uint16_t)(n + 1),
		};
	*d = (struct vring_desc){
	    .addr = machine_gpa(m, table),
	    .len = n * (uint32_t)sizeof(*table),
	    .flags = VRING_DESC_F_INDIRECT,
	};
}

static void show_tx(struct pump *p, uint32_t queue)
{
	if (ring_publish(&p->machine->queues[queue].ring)) {
		machine_kick(p->machine, queue);
		p->stats.kicks++;
	}
}

static bool from_guest(struct pump *p, uint32_t pair)
{
	struct machine *m = p->machine;
	struct pump_pair *t = &p->pairs[pair];
	uint32_t queue = 2 * pair + 1;
	uint32_t frames = 0;

	pump_recycle(p, pair);
	while (frames < BURST && t->free_count > 0) {
		uint16_t i = t->free_list[t->free_count - 1];
		ssize_t n = read(t->tap_fd, machine_buffer(m, queue, i), m->cfg.tx_buffer - 1024);

		if (n < (ssize_t)machine_hdr(m))
			break;
		t->free_count--;
		describe(p, queue, i, (uint32_t)n);
		ring_add(&m->queues[queue].ring, i);
		p->stats.tx_frames++;
		p->stats.tx_bytes += (uint64_t)n - machine_hdr(m);
		frames++;
		if (frames % KICK_AFTER == 0)
			show_tx(p, queue);
	}
	show_tx(p, queue);
	return frames > 0;
}

bool pump_turn(struct pump *p)
{
	bool was_busy = false;

	if (!p->is_linked)
		return false;
	for (uint32_t i = 0; i < p->machine->cfg.pairs; i++) {
		was_busy |= to_guest(p, i);
		was_busy |= from_guest(p, i);
	}
	return was_busy;
}

bool pump_arm(struct pump *p)
{
	bool has_more = false;

	p->stats.sleeps++;
	for (uint32_t i = 0; p->is_linked && i < p->machine->cfg.pairs; i++) {
		struct pump_pair *t = &p->pairs[i];
		struct ring *tx = &p->machine->queues[2 * i + 1].ring;

		has_more |= ring_arm(&p->machine->queues[2 * i].ring, 1);
		/* Without a free buffer nothing can be read from the TAP: half of them is worth a wake. */
		if (t->free_count == 0)
			has_more |= ring_arm(tx, (uint16_t)(tx->num / 2));
	}
	return has_more;
}

void pump_woken(struct pump *p)
{
	for (uint32_t i = 0; i < p->machine->cfg.pairs; i++) {
		ring_disarm(&p->machine->queues[2 * i].ring);
		ring_disarm(&p->machine->queues[2 * i + 1].ring);
	}
}
