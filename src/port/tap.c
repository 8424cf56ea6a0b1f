/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TAP port; see tap.h.
 *
 * One read or write per frame is what the kernel has; frames are up to 64 KiB whatever the MTU.
 * A read needs room for the largest frame, so frames are laid into an arena one behind the
 * other until less than that is left; then the engine must release them. Writing is done at
 * commit: the kernel takes each frame to the end of its receive path before write() returns, and
 * loses one only when it has no memory or the interface is down.
 */
#include "port/tap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/list.h"

enum {
	TX_FRAME_MAX = VNET_HDR_SIZE + FRAME_LEN_MAX,
	TX_LARGE = 4,   /* largest frames that fit the arena at once */
	TX_STAGED = 64, /* frames staged at once */
	TX_ALIGN = 64,

	RX_SLOTS = 4,
	RX_HEAD = 192, /* offset of the body in a slot: header room, a multiple of a cache line */
	RX_SLOT_LEN = RX_HEAD + NIC_BODY_MAX + 1,
};

struct tap_port {
	struct port port;
	struct port_loop *loop; /* while started */
	int fd;
	uint32_t hdr_len; /* of the virtio-net header in front of each frame, 0: there is none */
	uint32_t staged;  /* frames that the engine holds */
	uint32_t first;   /* the oldest of them */
	size_t tx_pos;    /* where the next frame is read to */
	struct iovec tx_iov[TX_STAGED];
	uint32_t rx_first; /* oldest reservation */
	uint32_t rx_open;  /* reservations */
	struct iovec rx_body[RX_SLOTS];
	uint8_t *tx_arena; /* TX_LARGE * TX_FRAME_MAX, each rounded up */
	uint8_t *rx_arena; /* RX_SLOTS * RX_SLOT_LEN */
};

enum {
	TX_ARENA = TX_LARGE * ((TX_FRAME_MAX + TX_ALIGN - 1) / TX_ALIGN * TX_ALIGN),
};

static struct tap_port *port_of(struct nic *nic)
{
	return container_of(nic, struct tap_port, port.nic);
}

static int tap_stage(struct nic *nic, struct frame *ret_frame)
{
	struct tap_port *t = port_of(nic);
	struct iovec *iov = &t->tx_iov[(t->first + t->staged) % TX_STAGED];
	uint8_t *at = t->tx_arena + t->tx_pos;
	ssize_t n;

	if (t->staged == TX_STAGED || t->tx_pos + TX_FRAME_MAX > TX_ARENA)
		return -ENOBUFS;
	n = read(t->fd, at, TX_FRAME_MAX);
	if (n <= 0 || (size_t)n < t->hdr_len) {
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		return -EPIPE; /* the interface is gone */
	}
	*iov = (struct iovec){.iov_base = at + t->hdr_len, .iov_len = (size_t)n - t->hdr_len};
	*ret_frame = (struct frame){
	    .head = iov->iov_base,
	    .head_len = (uint32_t)iov->iov_len,
	    .len = (uint32_t)iov->iov_len,
	    .iov = iov,
	    .iov_count = 1,
	};
	if (t->hdr_len > 0)
		ret_frame->vnet = vnet_parse(at);
	t->tx_pos += ((size_t)n + TX_ALIGN - 1) / TX_ALIGN * TX_ALIGN;
	t->staged++;
	nic->counters.tx_frames++;
	nic->counters.tx_bytes += iov->iov_len;
	return 1;
}

static void tap_release(struct nic *nic, uint32_t count)
{
	struct tap_port *t = port_of(nic);

	t->first = (t->first + count) % TX_STAGED;
	t->staged -= count;
	if (t->staged == 0)
		t->tx_pos = 0;
}

static int tap_reserve(
    struct nic *nic, uint32_t head_len, uint32_t body_len, struct nic_slot *ret_slot)
{
	struct tap_port *t = port_of(nic);
	uint32_t id = (t->rx_first + t->rx_open) % RX_SLOTS;
	uint8_t *body = t->rx_arena + (size_t)id * RX_SLOT_LEN + RX_HEAD;

	if (t->rx_open == RX_SLOTS)
		return -EAGAIN;
	t->rx_open++;
	t->rx_body[id] = (struct iovec){.iov_base = body, .iov_len = body_len};
	*ret_slot = (struct nic_slot){
	    .head = body - head_len,
	    .body = &t->rx_body[id],
	    .body_count = 1,
	    .head_len = head_len,
	    .id = id,
	};
	return 0;
}

static void tap_commit(
    struct nic *nic, struct nic_slot *slot, uint32_t body_len, const struct vnet_hdr *vnet)
{
	struct tap_port *t = port_of(nic);
	static const struct vnet_hdr none;
	uint8_t *start = slot->head - t->hdr_len;
	uint32_t len = slot->head_len + body_len;

	t->rx_first = (t->rx_first + 1) % RX_SLOTS;
	t->rx_open--;
	if (t->hdr_len > 0)
		vnet_build(vnet ? vnet : &none, start);
	if (len < ETH_MIN_FRAME) {
		memset(slot->head + len, 0, ETH_MIN_FRAME - len);
		len = ETH_MIN_FRAME;
	}
	if (write(t->fd, start, t->hdr_len + len) < 0) {
		nic->counters.rx_lost++;
		return;
	}
	nic->counters.rx_frames++;
	nic->counters.rx_bytes += len;
}

static void tap_cancel(struct nic *nic, struct nic_slot *slot)
{
	(void)slot;
	port_of(nic)->rx_open--;
}

static void tap_flush(struct nic *nic)
{
	(void)nic;
}

static const struct nic_ops tap_ops = {
    .stage = tap_stage,
    .release = tap_release,
    .reserve = tap_reserve,
    .commit = tap_commit,
    .cancel = tap_cancel,
    .flush = tap_flush,
};

static int tap_start(struct port *p, struct port_loop *loop)
{
	struct tap_port *t = port_of(&p->nic);

	t->loop = loop;
	return loop->watch(loop, t->fd, PORT_READABLE | PORT_PAUSES, 0);
}

static uint32_t tap_on_ready(struct port *p, uint16_t token, uint32_t events)
{
	(void)p;
	(void)token;
	(void)events;
	return PORT_HAS_FRAMES;
}

static void tap_stop(struct port *p)
{
	struct tap_port *t = port_of(&p->nic);

	t->loop->unwatch(t->loop, t->fd);
	t->loop = NULL;
}

static void tap_free(struct port *p)
{
	struct tap_port *t = port_of(&p->nic);

	if (t->fd >= 0)
		(void)close(t->fd);
	free(t->tx_arena);
	free(t->rx_arena);
	free(t);
}

static const struct port_ops tap_port_ops = {
    .start = tap_start,
    .on_ready = tap_on_ready,
    .stop = tap_stop,
    .free = tap_free,
};

int tap_port_new(int fd, uint32_t features, bool has_vnet, struct port **ret_port)
{
	struct tap_port *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->fd = -1;
	t->port.ops = &tap_port_ops;
	t->tx_arena = malloc(TX_ARENA);
	t->rx_arena = malloc((size_t)RX_SLOTS * RX_SLOT_LEN);
	if (!t->tx_arena || !t->rx_arena) {
		tap_free(&t->port);
		return -ENOMEM;
	}
	t->fd = fd;
	t->hdr_len = has_vnet ? VNET_HDR_SIZE : 0;
	t->port.nic = (struct nic){
	    .ops = &tap_ops, .features = features, .is_level = true, .batch_max = RX_SLOTS};
	*ret_port = &t->port;
	return 0;
}
