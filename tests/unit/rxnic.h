/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame device that keeps what was sent to the guest, and a gateway interface on it with the
 * addresses of frames.h.
 */
#ifndef SLUICE_TESTS_RXNIC_H
#define SLUICE_TESTS_RXNIC_H

#include <errno.h>

#include "frames.h"

#include "stack/netif.h"

enum {
	RXNIC_MAX = 64, /* frames kept */
};

struct rxnic {
	struct nic nic;
	struct engine_counters counters;
	struct netif netif;
	bool is_full;         /* no room towards the guest */
	uint32_t room;        /* frames that there is still room for; 0: no limit */
	uint32_t first_piece; /* bytes of the body in a piece of its own; 0: one piece */
	uint32_t count;
	uint8_t *frames[RXNIC_MAX]; /* exact size */
	size_t lens[RXNIC_MAX];
	struct vnet_hdr vnets[RXNIC_MAX];
	/* the one reservation that may be open */
	uint8_t *head;
	uint8_t *body;
	struct iovec body_iov[2];
};

static inline int rxnic_reserve(
    struct nic *nic, uint32_t head_len, uint32_t body_len, struct nic_slot *ret_slot)
{
	struct rxnic *x = (struct rxnic *)(void *)nic;

	if (x->is_full || x->count == RXNIC_MAX || (x->room > 0 && x->count == x->room))
		return -EAGAIN;
	assert_null(x->head);
	x->head = malloc(head_len > 0 ? head_len : 1);
	x->body = malloc(body_len > 0 ? body_len : 1);
	x->body_iov[0] = (struct iovec){.iov_base = x->body, .iov_len = body_len};
	if (x->first_piece > 0 && x->first_piece < body_len) {
		x->body_iov[0].iov_len = x->first_piece;
		x->body_iov[1] = (struct iovec){
		    .iov_base = x->body + x->first_piece, .iov_len = body_len - x->first_piece};
	}
	*ret_slot = (struct nic_slot){.head = x->head,
	    .body = x->body_iov,
	    .body_count = x->body_iov[0].iov_len < body_len ? 2 : 1,
	    .head_len = head_len};
	return 0;
}

static inline void rxnic_cancel(struct nic *nic, struct nic_slot *slot)
{
	struct rxnic *x = (struct rxnic *)(void *)nic;

	(void)slot;
	free(x->head);
	free(x->body);
	x->head = NULL;
	x->body = NULL;
}

static inline void rxnic_commit(
    struct nic *nic, struct nic_slot *slot, uint32_t body_len, const struct vnet_hdr *vnet)
{
	struct rxnic *x = (struct rxnic *)(void *)nic;
	uint8_t *frame = malloc(slot->head_len + body_len);

	if (!frame)
		abort();
	memcpy(frame, x->head, slot->head_len);
	memcpy(frame + slot->head_len, x->body, body_len);
	x->frames[x->count] = frame;
	x->lens[x->count] = slot->head_len + body_len;
	x->vnets[x->count] = vnet ? *vnet : (struct vnet_hdr){0};
	x->count++;
	rxnic_cancel(nic, slot);
}

static inline void rxnic_addr(struct ip_addr *a, const char *hex)
{
	uint8_t bytes[16];

	if (hex_put(bytes, hex) == 4)
		*a = ip_addr_v4_wire(bytes);
	else
		memcpy(a->b, bytes, 16);
}

static inline struct rxnic *rxnic_new(void)
{
	static const struct nic_ops ops = {
	    .reserve = rxnic_reserve, .commit = rxnic_commit, .cancel = rxnic_cancel};
	struct rxnic *x = calloc(1, sizeof(*x));
	struct netif_config *c;

	if (!x)
		abort();
	x->nic.ops = &ops;
	x->nic.batch_max = 1;
	x->netif.nic = &x->nic;
	x->netif.counters = &x->counters;
	c = &x->netif.cfg;
	(void)hex_put(c->guest_mac.b, MK_GUEST_MAC);
	(void)hex_put(c->gateway_mac.b, MK_GATEWAY_MAC);
	c->has_v4 = true;
	c->has_v6 = true;
	rxnic_addr(&c->guest_v4, MK_GUEST4);
	rxnic_addr(&c->gateway_v4, MK_GATEWAY4);
	rxnic_addr(&c->guest_v6, MK_GUEST6);
	rxnic_addr(&c->gateway_v6, MK_GATEWAY6);
	rxnic_addr(&c->gateway_ll, MK_GATEWAY_LL);
	c->prefix_len_v4 = 30;
	c->prefix_len_v6 = 64;
	c->mtu = 1500;
	return x;
}

static inline void rxnic_clear(struct rxnic *x)
{
	while (x->count > 0)
		free(x->frames[--x->count]);
}

static inline void rxnic_free(struct rxnic *x)
{
	assert_null(x->head);
	rxnic_clear(x);
	free(x);
}

#endif
