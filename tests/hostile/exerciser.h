/* SPDX-License-Identifier: Apache-2.0 */
/* An engine that reads every byte of every frame and fills whatever it is given room for, so that a sanitizer sees where
 * they lie, and that asserts what stack/nic.h promises. */
#ifndef SLUICE_TESTS_EXERCISER_H
#define SLUICE_TESTS_EXERCISER_H

#include "unit/unit.h"

#include <errno.h>

#include "dice.h"
#include "stack/nic.h"

enum {
	EXERCISER_FRAMES = 64, /* staged in one turn */
};

struct exerciser {
	struct nic *nic;
	struct dice dice;
	uint64_t checksum; /* of all bytes that were read */
};

static inline void exerciser_read(struct exerciser *e, const struct frame *f)
{
	uint64_t len = 0;

	assert_true(f->len <= FRAME_LEN_MAX && f->head_len <= f->len);
	assert_true(f->head_len >= f->len || f->head_len >= FRAME_HEAD_MIN);
	assert_true(f->iov_count <= FRAME_IOV_MAX);
	for (uint32_t i = 0; i < f->head_len; i++)
		e->checksum += f->head[i];
	for (uint32_t i = 0; i < f->iov_count; i++) {
		const volatile uint8_t *at = f->iov[i].iov_base;

		len += f->iov[i].iov_len;
		for (size_t k = 0; k < f->iov[i].iov_len; k++)
			e->checksum += at[k];
	}
	assert_int_equal(len, f->len);
}

static inline void exerciser_take(struct exerciser *e)
{
	const struct nic_ops *ops = e->nic->ops;
	uint32_t held = 0;
	struct frame f;
	int n = 1;

	for (uint32_t i = 0; i < EXERCISER_FRAMES && n != 0 && n != -EPIPE; i++) {
		n = ops->stage(e->nic, &f);
		assert_true(n == 1 || n == 0 || n == -EPIPE || (n == -ENOBUFS && held > 0));
		if (n == 1) {
			held++;
			exerciser_read(e, &f);
		}
		if (n == -ENOBUFS || (held > 0 && dice_one_in(&e->dice, 8))) {
			ops->release(e->nic, held);
			held = 0;
		}
	}
	if (held > 0)
		ops->release(e->nic, held);
}

static inline void exerciser_fill(struct exerciser *e, struct nic_slot *s, uint32_t body_len)
{
	const struct vnet_hdr vnet = {.gso_size = 1448};
	uint32_t len = body_len > 0 ? dice_below(&e->dice, body_len + 1) : 0;
	uint32_t left = len;

	memset(s->head, 0x55, s->head_len);
	for (uint32_t i = 0; i < s->body_count; i++) {
		uint32_t take = s->body[i].iov_len < left ? (uint32_t)s->body[i].iov_len : left;

		memset(s->body[i].iov_base, 0x66, take);
		left -= take;
	}
	assert_int_equal(left, 0);
	e->nic->ops->commit(e->nic, s, len, &vnet);
}

static inline void exerciser_give(struct exerciser *e)
{
	const struct nic_ops *ops = e->nic->ops;
	struct nic_slot slots[NIC_BATCH_MAX];
	bool is_small = dice_one_in(&e->dice, 2);
	uint32_t body_len = dice_below(&e->dice, is_small ? 1500U : NIC_BODY_MAX - 200U);
	uint32_t count = 0;

	while (count < e->nic->batch_max &&
	       ops->reserve(e->nic, 14 + dice_below(&e->dice, 60), body_len, &slots[count]) == 0)
		count++;
	while (count > 0 && dice_one_in(&e->dice, 4))
		ops->cancel(e->nic, &slots[--count]);
	for (uint32_t i = 0; i < count; i++)
		exerciser_fill(e, &slots[i], body_len);
	ops->flush(e->nic);
}

#endif
