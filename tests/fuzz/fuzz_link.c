/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The services of the link: a guest sends any frames, one after the other, and each goes through the
 * link, reassembly and the ICMP errors. One frame of the guest causes at most one answer by each; what
 * is sent is within the MTU, to the guest, and would itself be accepted by a strict parser.
 * Input: for each frame two bytes of length, one of time (the exponent of nanoseconds), the frame.
 */
#include "fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "stack/icmp_out.h"
#include "stack/link.h"
#include "stack/reassembly.h"

enum {
	SLOT_SIZE = 65600,
	MTU = 1500,
};

struct world {
	struct nic nic;
	struct engine_counters counters;
	struct netif netif;
	struct link link;
	struct icmp_out icmp;
	struct reassembly reassembly;
	uint64_t now_ns;
	uint32_t sent; /* since the last frame */
	uint8_t head[NIC_HEAD_MAX];
	uint8_t body[SLOT_SIZE];
	struct iovec body_iov;
};

static void require(bool claim)
{
	if (!claim)
		abort();
}

static struct world *world_of(struct nic *nic)
{
	return (struct world *)(void *)nic;
}

static int reserve(struct nic *nic, uint32_t head_len, uint32_t body_len, struct nic_slot *ret_slot)
{
	struct world *w = world_of(nic);

	require(head_len <= NIC_HEAD_MAX && body_len <= SLOT_SIZE);
	w->body_iov = (struct iovec){.iov_base = w->body, .iov_len = body_len};
	*ret_slot = (struct nic_slot){
	    .head = w->head, .body = &w->body_iov, .body_count = 1, .head_len = head_len};
	return 0;
}

static void commit(
    struct nic *nic, struct nic_slot *slot, uint32_t body_len, const struct vnet_hdr *vnet)
{
	struct world *w = world_of(nic);
	uint32_t len = slot->head_len + body_len;
	uint8_t *bytes = malloc(len);
	struct iovec iov = {.iov_base = bytes, .iov_len = len};
	struct frame f = {.head = bytes, .head_len = len, .len = len, .iov = &iov, .iov_count = 1};
	struct packet p;

	require(bytes && len <= MTU + ETH_HDR_SIZE && !vnet);
	memcpy(bytes, w->head, slot->head_len);
	memcpy(bytes + slot->head_len, w->body, body_len);
	require(packet_parse(&f, &p) == DROP_NONE);
	require(mac_addr_eq(&p.eth_dst, &w->netif.cfg.guest_mac));
	require(mac_addr_eq(&p.eth_src, &w->netif.cfg.gateway_mac));
	if (p.ethertype != ETHERTYPE_ARP)
		require(packet_parse_l4(&p) == DROP_NONE);
	free(bytes);
	w->sent++;
}

static const struct nic_ops ops = {.reserve = reserve, .commit = commit};

static struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));
	struct netif_config *c;

	require(w != NULL);
	w->nic.ops = &ops;
	w->netif.nic = &w->nic;
	w->netif.counters = &w->counters;
	c = &w->netif.cfg;
	c->guest_mac = (struct mac_addr){.b = {0x02, 0x6d, 0x73, 0, 0, 2}};
	c->gateway_mac = (struct mac_addr){.b = {0x02, 0x6d, 0x73, 0, 0, 1}};
	c->has_v4 = true;
	c->has_v6 = true;
	c->guest_v4 = ip_addr_v4(0x64600002);
	c->gateway_v4 = ip_addr_v4(0x64600001);
	c->prefix_len_v4 = 30;
	c->guest_v6 = (struct ip_addr){.b = {0xfd, 0x42, 0x6d, 0x73, 0, 0x62, [15] = 2}};
	c->gateway_v6 = (struct ip_addr){.b = {0xfd, 0x42, 0x6d, 0x73, 0, 0x62, [15] = 1}};
	c->gateway_ll = (struct ip_addr){.b = {0xfe, 0x80, [9] = 0x6d, 0x73, 0xff, 0xfe, [15] = 1}};
	c->prefix_len_v6 = 64;
	c->mtu = MTU;
	link_init(&w->link, &w->netif);
	icmp_out_init(&w->icmp, &w->netif);
	reassembly_init(&w->reassembly, &w->netif, NULL);
	return w;
}

static void input(struct world *w, const uint8_t *bytes, uint32_t len)
{
	struct iovec iov;
	struct frame f = {.head = bytes, .head_len = len, .len = len, .iov = &iov, .iov_count = 1};
	const struct packet *whole = NULL;
	struct packet p;
	enum drop_reason why;

	memcpy(&iov.iov_base, &bytes, sizeof(bytes));
	iov.iov_len = len;
	if (packet_parse(&f, &p) != DROP_NONE)
		return;
	if (p.ethertype != ETHERTYPE_ARP && !p.is_fragment && packet_parse_l4(&p) != DROP_NONE)
		return;
	w->sent = 0;
	if (link_on_packet(&w->link, &p, w->now_ns, &why)) {
		require(w->sent <= 1 && (w->sent == 0 || why == DROP_NONE));
		return;
	}
	require(w->sent == 0);
	if (p.is_fragment) {
		why = reassembly_on_fragment(&w->reassembly, &p, w->now_ns, &whole);
		require(w->reassembly.memory <= REASSEMBLY_MEMORY_MAX);
		require(!whole || (why == DROP_NONE && !whole->is_fragment));
		if (!whole)
			return;
	}
	(void)icmp_out_packet(
	    &w->icmp, whole ? whole : &p, (enum icmp_cause)(len % 8), len, w->now_ns);
	require(w->sent <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world *w = world_new();
	struct rd r = rd_init(data, size);

	while (rd_left(&r) > 0) {
		uint16_t len = rd_be16(&r);
		uint8_t step = rd_u8(&r);
		const uint8_t *bytes = rd_bytes(&r, len);
		uint8_t *exact;

		if (!bytes)
			break;
		exact = malloc(len + 1U);
		require(exact != NULL);
		memcpy(exact, bytes, len);
		w->now_ns += 1ULL << (step % 44);
		link_on_time(&w->link, w->now_ns);
		input(w, exact, len);
		free(exact);
		require(link_next_ns(&w->link) > w->now_ns);
	}
	reassembly_on_time(&w->reassembly, UINT64_MAX - 1);
	require(w->reassembly.memory == 0 && w->reassembly.set_count == 0);
	reassembly_fini(&w->reassembly);
	free(w);
	return 0;
}
