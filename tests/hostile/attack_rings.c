/* SPDX-License-Identifier: Apache-2.0 */
/* What can be wrong in the memory of a guest; see attack.h. Nothing here is undone. */
#include <linux/virtio_net.h>
#include <string.h>

#include "attack_internal.h"

enum {
	PAGE = 4096,
	VNET = 12,
	TABLE_MAX = 40, /* descriptors of an indirect table */
};

/* Numbers at which something changes. */
uint64_t attack_edge(struct dice *d)
{
	static const uint64_t edges[] = {0, 1, 2, 11, 12, 13, 14, 15, 16, 60, 127, 128, 255, 256,
	    4095, 4096, 65535, 65536, 65562, 65563, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff,
	    0x100000000, 0x7fffffffffffffff, 0x8000000000000000, 0xfffffffffffff000,
	    0xffffffffffffffff};

	if (dice_one_in(d, 4))
		return dice_u64(d);
	return edges[dice_below(d, sizeof(edges) / sizeof(edges[0]))];
}

/* An address around the ends of memory, in it, or anywhere. */
static uint64_t address(const struct machine *m, struct dice *d)
{
	uint64_t end = MACHINE_GPA + m->memory_size;

	switch (dice_below(d, 5)) {
	case 0:
		return end - dice_below(d, 64);
	case 1:
		return MACHINE_GPA - 32 + dice_below(d, 64);
	case 2:
		return MACHINE_GPA + m->memory_size / m->cfg.regions - dice_below(d, 64);
	case 3:
		return MACHINE_GPA + dice_u64(d) % m->memory_size;
	default:
		return attack_edge(d);
	}
}

static void spoil_desc(const struct machine *m, struct dice *d, struct vring_desc *desc)
{
	switch (dice_below(d, 6)) {
	case 0:
		desc->addr = address(m, d);
		break;
	case 1:
		desc->len = (uint32_t)attack_edge(d);
		break;
	case 2:
		desc->flags = (uint16_t)dice_below(d, 8);
		break;
	case 3:
		desc->flags |= VRING_DESC_F_NEXT; /* next is 0, or what it was */
		break;
	case 4:
		desc->flags |= VRING_DESC_F_NEXT;
		desc->next =
		    (uint16_t)(dice_one_in(d, 2) ? dice_below(d, m->cfg.num) : attack_edge(d));
		break;
	default:
		dice_fill(d, desc, sizeof(*desc));
		break;
	}
}

static void spoil_ring(struct machine *m, struct dice *d, struct ring *r)
{
	uint32_t i = dice_below(d, r->num);

	switch (dice_below(d, 8)) {
	case 0:
		r->avail->idx = (uint16_t)(r->avail->idx + dice_below(d, 2 * r->num + 2));
		break;
	case 1:
		r->avail->idx = (uint16_t)attack_edge(d);
		break;
	case 2:
		r->avail->ring[i] = (uint16_t)attack_edge(d);
		break;
	case 3: /* the same chain many times */
		for (uint32_t k = 0; k < r->num; k++)
			r->avail->ring[k] = (uint16_t)i;
		break;
	case 4:
		r->avail->flags = (uint16_t)attack_edge(d);
		r->avail->ring[r->num] = (uint16_t)attack_edge(d);
		break;
	case 5: /* what only the device writes */
		r->used->idx = (uint16_t)attack_edge(d);
		r->used->flags = (uint16_t)attack_edge(d);
		break;
	case 6:
		dice_fill(d, &r->used->ring[i], sizeof(r->used->ring[i]));
		break;
	default:
		spoil_desc(m, d, &r->desc[i]);
		break;
	}
}

/* A loop through all descriptors, or a part of them. */
static void make_loop(struct dice *d, struct ring *r)
{
	uint32_t first = dice_below(d, r->num);
	uint32_t count = 1 + dice_below(d, r->num - first);

	for (uint32_t i = 0; i < count; i++) {
		r->desc[first + i].flags |= VRING_DESC_F_NEXT;
		r->desc[first + i].next = (uint16_t)(first + (i + 1) % count);
	}
}

/* Descriptor i leads into a table in its buffer, in which one thing is wrong, or nothing. */
static void make_indirect(struct machine *m, struct dice *d, uint32_t queue)
{
	struct ring *r = &m->queues[queue].ring;
	uint32_t i = dice_below(d, r->num);
	uint8_t *buffer = machine_buffer(m, queue, i);
	struct vring_desc table[TABLE_MAX];
	uint32_t count = 1 + dice_below(d, TABLE_MAX);
	uint32_t room = queue % 2 == 0 ? m->cfg.rx_buffer : m->cfg.tx_buffer;

	for (uint32_t k = 0; k < count; k++)
		table[k] = (struct vring_desc){
		    .addr = machine_gpa(m, buffer),
		    .len = 1 + dice_below(d, 64),
		    .flags = (uint16_t)((queue % 2 == 0 ? VRING_DESC_F_WRITE : 0) |
					(k + 1 < count ? VRING_DESC_F_NEXT : 0)),
		    .next = (uint16_t)(k + 1),
		};
	if (dice_one_in(d, 2))
		spoil_desc(m, d, &table[dice_below(d, count)]);
	if (dice_one_in(d, 4))
		table[dice_below(d, count)].flags |= VRING_DESC_F_INDIRECT;
	if (count * sizeof(table[0]) <= room)
		memcpy(buffer, table, count * sizeof(table[0]));
	r->desc[i] = (struct vring_desc){
	    .addr = machine_gpa(m, buffer) + (dice_one_in(d, 4) ? dice_below(d, 16) : 0),
	    .len = (uint32_t)(dice_one_in(d, 4) ? attack_edge(d) : count * sizeof(table[0])),
	    .flags = (uint16_t)(VRING_DESC_F_INDIRECT | dice_below(d, 4)),
	    .next = (uint16_t)dice_below(d, r->num),
	};
	if (dice_one_in(d, 8))
		r->desc[i].addr = address(m, d);
}

void attack_corrupt(struct machine *m, struct dice *d)
{
	uint32_t queue = dice_below(d, 2 * m->cfg.pairs);
	struct ring *r = &m->queues[queue].ring;
	size_t at;

	switch (dice_below(d, 8)) {
	case 0:
		make_loop(d, r);
		break;
	case 1:
	case 2:
		make_indirect(m, d, queue);
		break;
	case 3:
		at = (size_t)(dice_u64(d) % (m->memory_size - 64));
		dice_fill(d, m->memory + at, 1 + dice_below(d, 64));
		break;
	default:
		spoil_ring(m, d, r);
		break;
	}
}

/* ---- frames ---- */

static const uint8_t arp[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8,
    0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 100, 96, 0, 2, 0, 0, 0, 0, 0, 0, 100, 96, 0, 1};
static const uint8_t ip4[] = {2, 0x6d, 0x73, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0, 0x45, 0, 0, 60, 0, 0,
    0x40, 0, 64, 17, 0, 0, 100, 96, 0, 2, 192, 0, 2, 9, 0x30, 0x39, 0, 53, 0, 40, 0, 0};
static const uint8_t ip6[] = {2, 0x6d, 0x73, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x86, 0xdd, 0x60, 0, 0, 0,
    0, 20, 6, 64, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0x20, 1, 0xd, 0xb8};

static void make_frame(struct dice *d, uint8_t *at, uint32_t room)
{
	static const struct {
		const uint8_t *bytes;
		uint32_t len;
	} kinds[] = {{arp, sizeof(arp)}, {ip4, sizeof(ip4)}, {ip6, sizeof(ip6)}};
	uint32_t kind = dice_below(d, 3);
	struct virtio_net_hdr v = {0};

	if (room < VNET + sizeof(ip6))
		return;
	/* P18: what a header says of the frame behind it need not be so. */
	if (dice_one_in(d, 2)) {
		v.flags = (uint8_t)dice_below(d, 4);
		v.gso_type = (uint8_t)(dice_one_in(d, 8) ? dice_u64(d) : dice_below(d, 6));
		v.hdr_len = (uint16_t)attack_edge(d);
		v.gso_size = (uint16_t)attack_edge(d);
		v.csum_start = (uint16_t)(dice_one_in(d, 2) ? 34 : attack_edge(d));
		v.csum_offset = (uint16_t)(dice_one_in(d, 2) ? 6 : attack_edge(d));
	}
	memset(at, 0, VNET);
	memcpy(at, &v, sizeof(v));
	memcpy(at + VNET, kinds[kind].bytes, kinds[kind].len);
	if (dice_one_in(d, 2))
		at[VNET + dice_below(d, kinds[kind].len)] = (uint8_t)dice_u64(d);
}

void attack_traffic(struct machine *m, struct dice *d)
{
	for (uint32_t queue = 0; queue < 2 * m->cfg.pairs; queue++) {
		struct ring *r = &m->queues[queue].ring;
		uint32_t count = dice_below(d, r->num + 1);

		for (uint32_t k = 0; k < count; k++) {
			uint32_t i = r->avail_idx & (r->num - 1);
			uint8_t *at = machine_buffer(m, queue, i);

			r->desc[i] = (struct vring_desc){
			    .addr = machine_gpa(m, at),
			    .len = queue % 2 == 0 ? m->cfg.rx_buffer : VNET + dice_below(d, 120),
			    .flags = queue % 2 == 0 ? VRING_DESC_F_WRITE : 0,
			};
			if (queue % 2 == 1)
				make_frame(d, at, m->cfg.tx_buffer);
			ring_add(r, (uint16_t)i);
		}
		if (ring_publish(r) || dice_one_in(d, 4))
			machine_kick(m, queue);
	}
}
