/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring's functions. They are those of port/ring.h under public names; a struct sluice_ring is a struct ring
 * that the caller cannot see into. Constants and layouts that both sides have are checked here.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

#include "lib/lib_internal.h"

/* Newer than the kernel headers that we build with. */
#define F_GUEST_USO4 54
#define F_GUEST_USO6 55
#define F_HOST_USO   56

#define BIT(n) (1ULL << (n))

#define SAME(public, own) _Static_assert((public) == (own), #public)

SAME((int)SLUICE_HEADER_LEN, (int)VNET_HDR_SIZE);
SAME((int)SLUICE_FRAME_MIN, (int)RING_FRAME_MIN);
SAME((int)SLUICE_FRAME_MAX, (int)RING_FRAME_MAX);
SAME((int)SLUICE_BUFFER_MIN, (int)RING_BUFFER_MIN);
SAME((int)SLUICE_IOV_MAX, (int)RING_IOV_MAX);
SAME((int)SLUICE_BUFFERS_MAX, (int)RING_BUFFERS_MAX);
SAME((int)SLUICE_EVENT_RX, (int)RING_EVENT_RX);
SAME((int)SLUICE_EVENT_ROOM, (int)RING_EVENT_ROOM);
SAME((int)SLUICE_EVENT_BACK, (int)RING_EVENT_BACK);
SAME((int)SLUICE_EVENT_DOWN, (int)RING_EVENT_DOWN);
SAME(sizeof(struct sluice_done), sizeof(struct ring_done));
SAME(offsetof(struct sluice_done, cookie), offsetof(struct ring_done, cookie));
SAME(offsetof(struct sluice_done, len), offsetof(struct ring_done, len));
SAME(offsetof(struct sluice_done, buffers), offsetof(struct ring_done, buffers));

static struct ring *own(struct sluice_ring *r)
{
	return (struct ring *)(void *)r;
}

static const struct ring *own_const(const struct sluice_ring *r)
{
	return (const struct ring *)(const void *)r;
}

struct sluice_ring *sluice_engine_ring(struct sluice_engine *e)
{
	return (struct sluice_ring *)(void *)e->ring;
}

int sluice_ring_fd(const struct sluice_ring *r)
{
	return ring_fd(own_const(r));
}

uint32_t sluice_ring_events(struct sluice_ring *r)
{
	return ring_events(own(r));
}

/* ---- the driver ---- */

uint64_t sluice_ring_features(const struct sluice_ring *r)
{
	uint64_t features = BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) |
			    BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_UFO) |
			    BIT(F_HOST_USO) | BIT(VIRTIO_NET_F_GUEST_CSUM) |
			    BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) |
			    BIT(F_GUEST_USO4) | BIT(F_GUEST_USO6) | BIT(VIRTIO_NET_F_MTU) |
			    BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_F_VERSION_1);

	return ring_is_posted(own_const(r)) ? features | BIT(VIRTIO_NET_F_MRG_RXBUF) : features;
}

/* virtio 1.2, 5.1.3.1: each needs GUEST_CSUM. The engine has one bit for both families of UDP. */
static uint32_t nic_features(uint64_t virtio)
{
	uint32_t f = NIC_F_CSUM;

	if ((virtio & BIT(VIRTIO_NET_F_GUEST_CSUM)) == 0)
		return 0;
	if ((virtio & BIT(VIRTIO_NET_F_GUEST_TSO4)) != 0)
		f |= NIC_F_TSO4;
	if ((virtio & BIT(VIRTIO_NET_F_GUEST_TSO6)) != 0)
		f |= NIC_F_TSO6;
	if ((virtio & BIT(F_GUEST_USO4)) != 0 && (virtio & BIT(F_GUEST_USO6)) != 0)
		f |= NIC_F_USO;
	return f;
}

int sluice_ring_attach(struct sluice_ring *r, uint64_t virtio_features)
{
	return ring_attach(own(r), nic_features(virtio_features),
	    (virtio_features & BIT(VIRTIO_NET_F_MRG_RXBUF)) != 0);
}

int sluice_ring_detach(struct sluice_ring *r)
{
	return ring_detach(own(r));
}

/* ---- frames ---- */

int sluice_ring_push(struct sluice_ring *r, const struct iovec *iov, size_t iov_count)
{
	return ring_tx_push(own(r), iov, iov_count);
}

int sluice_ring_lend(
    struct sluice_ring *r, const struct iovec *iov, size_t iov_count, uint64_t cookie)
{
	return ring_tx_lend(own(r), iov, iov_count, cookie);
}

uint32_t sluice_ring_reclaim(struct sluice_ring *r, uint64_t *cookies, uint32_t max)
{
	return ring_tx_reclaim(own(r), cookies, max);
}

int sluice_ring_stage(struct sluice_ring *r, struct sluice_frame *ret_frame)
{
	struct ring_frame f;
	int result = ring_rx_stage(own(r), &f);

	if (result == 1)
		*ret_frame = (struct sluice_frame){.bytes = f.bytes, .len = f.len};
	return result;
}

void sluice_ring_consume(struct sluice_ring *r)
{
	ring_rx_consume(own(r));
}

void sluice_ring_drop(struct sluice_ring *r)
{
	ring_rx_drop(own(r));
}

int sluice_ring_post(
    struct sluice_ring *r, const struct iovec *iov, size_t iov_count, uint64_t cookie)
{
	return ring_rx_post(own(r), iov, iov_count, cookie);
}

uint32_t sluice_ring_take(struct sluice_ring *r, struct sluice_done *done, uint32_t max)
{
	return ring_rx_take(own(r), (struct ring_done *)(void *)done, max);
}

void sluice_ring_flush(struct sluice_ring *r)
{
	ring_flush(own(r));
}

int sluice_ring_counters(const struct sluice_ring *r, struct sluice_ring_counters *ret_counters)
{
	const struct ring_counters *c = ring_counters(own_const(r));
	struct sluice_ring_counters out = {
	    .tx_frames = c->tx_frames,
	    .tx_bytes = c->tx_bytes,
	    .tx_refused = c->tx_refused,
	    .rx_frames = c->rx_frames,
	    .rx_bytes = c->rx_bytes,
	    .rx_dropped = c->rx_dropped,
	    .wakes = c->wakes,
	};

	return lib_copy_out(ret_counters, &out, sizeof(out), sizeof(out));
}
