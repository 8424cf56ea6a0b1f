/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-net header codec; see vnet.h. */
#include "wire/vnet.h"

static uint16_t get_le16(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static void put_le16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)v;
	at[1] = (uint8_t)(v >> 8);
}

struct vnet_hdr vnet_parse(const uint8_t wire[VNET_HDR_SIZE])
{
	return (struct vnet_hdr){
	    .flags = wire[0],
	    .gso_type = wire[1],
	    .hdr_len = get_le16(wire + 2),
	    .gso_size = get_le16(wire + 4),
	    .csum_start = get_le16(wire + 6),
	    .csum_offset = get_le16(wire + 8),
	    .num_buffers = get_le16(wire + 10),
	};
}

void vnet_build(const struct vnet_hdr *h, uint8_t wire[VNET_HDR_SIZE])
{
	wire[0] = h->flags;
	wire[1] = h->gso_type;
	put_le16(wire + 2, h->hdr_len);
	put_le16(wire + 4, h->gso_size);
	put_le16(wire + 6, h->csum_start);
	put_le16(wire + 8, h->csum_offset);
	put_le16(wire + 10, h->num_buffers);
}
