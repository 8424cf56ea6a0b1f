/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rate limits of the guest's card; see shape.h.
 *
 * Invariants: at most one frame is held, and it is the next one that the stack gets; what the inner device
 * has delivered since shape_init() is charged before anything is let pass (tests/unit/test_shape.c).
 */
#include "stack/shape.h"

#include <errno.h>
#include <stdlib.h>

#include "base/list.h"
#include "wire/packet.h"

enum {
	SMALL_BUCKET =
	    1 << 20, /* bytes; below: frames of the MTU, so that each costs a small part of it */
	ACK_FRAME_MAX = ETH_HDR_SIZE + IP6_HDR_SIZE + 60, /* with all options */
};

static struct shape *shape_of(struct nic *nic)
{
	return container_of(nic, struct shape, nic);
}

bool shape_is_wanted(const struct shape_config *cfg)
{
	for (int d = 0; d < SHAPE_DIRECTION_COUNT; d++)
		if (cfg->bytes[d].size > 0 || cfg->frames[d].size > 0)
			return true;
	return false;
}

static bool is_right(const struct limit_config *c)
{
	if (c->size == 0)
		return c->refill_ns == 0 && c->burst == 0;
	return c->size <= LIMIT_SIZE_MAX && c->burst <= LIMIT_SIZE_MAX && c->refill_ns > 0 &&
	       c->refill_ns <= LIMIT_MS_MAX * 1000000ULL;
}

bool shape_is_right(const struct shape_config *cfg)
{
	for (int d = 0; d < SHAPE_DIRECTION_COUNT; d++)
		if (!is_right(&cfg->bytes[d]) || !is_right(&cfg->frames[d]))
			return false;
	return true;
}

/* Frames that this one is on a wire, by the headers of TCP over IPv4 without options. What the guest says of
 * them (hdr_len) is not believed. */
static uint32_t frames_of(uint32_t len, const struct vnet_hdr *vnet)
{
	enum {
		HEADERS = ETH_HDR_SIZE + IP4_HDR_SIZE + TCP_HDR_SIZE
	};

	if (vnet->gso_type == VNET_GSO_NONE || vnet->gso_size == 0 || len <= HEADERS)
		return 1;
	return (len - HEADERS + vnet->gso_size - 1) / vnet->gso_size;
}

static void charge(struct shape *s, enum shape_direction d, uint64_t bytes, uint64_t frames)
{
	limit_charge(&s->bytes[d], bytes, s->now_ns);
	limit_charge(&s->frames[d], frames, s->now_ns);
}

static uint64_t due(struct shape *s, enum shape_direction d, uint64_t bytes, uint64_t frames)
{
	uint64_t by_bytes = limit_due_ns(&s->bytes[d], bytes, s->now_ns);
	uint64_t by_frames = limit_due_ns(&s->frames[d], frames, s->now_ns);

	return by_bytes > by_frames ? by_bytes : by_frames;
}

/* Whether it is a TCP segment that only acknowledges. */
static bool is_pure_ack(const struct frame *f)
{
	struct packet p;

	return f->len <= ACK_FRAME_MAX && packet_parse(f, &p) == DROP_NONE &&
	       p.proto == PROTO_TCP && packet_parse_l4(&p) == DROP_NONE && p.payload_len == 0 &&
	       (p.tcp.flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK)) == TCP_ACK;
}

/* ---- from the guest ---- */

/* What is held, as the stack is to see it. */
static struct frame held_frame(struct shape *s)
{
	return (struct frame){
	    .head = s->held_iov.iov_base,
	    .head_len = (uint32_t)s->held_iov.iov_len,
	    .len = (uint32_t)s->held_iov.iov_len,
	    .iov = &s->held_iov,
	    .iov_count = 1,
	    .vnet = s->held_vnet,
	};
}

/* The device has the copied frame back when the stack has released those before it. */
static void release_copied(struct shape *s)
{
	if (s->is_to_release && s->staged == 0) {
		s->inner->ops->release(s->inner, 1);
		s->is_to_release = false;
	}
}

static void hold(struct shape *s, const struct frame *f, uint64_t due_ns)
{
	if (!shape_is_holding(s)) {
		frame_copy(f, 0, s->held, f->len);
		s->held_iov = (struct iovec){.iov_base = s->held, .iov_len = f->len};
		s->held_vnet = f->vnet;
		s->is_to_release = true;
		release_copied(s);
	}
	s->due_ns[SHAPE_EGRESS] = due_ns;
}

static int shape_stage(struct nic *nic, struct frame *ret_frame)
{
	struct shape *s = shape_of(nic);
	bool is_held = shape_is_holding(s);
	int n = 1;

	if (s->is_lent)
		return -ENOBUFS; /* its place is needed for the next that must be held */
	if (is_held)
		*ret_frame = held_frame(s);
	else
		n = s->inner->ops->stage(s->inner, ret_frame);
	if (n != 1)
		return n;
	if (!is_pure_ack(ret_frame)) {
		uint32_t frames = frames_of(ret_frame->len, &ret_frame->vnet);
		uint64_t due_ns = due(s, SHAPE_EGRESS, ret_frame->len, frames);

		if (due_ns > s->now_ns) {
			hold(s, ret_frame, due_ns);
			return 0;
		}
		charge(s, SHAPE_EGRESS, ret_frame->len, frames);
	}
	s->due_ns[SHAPE_EGRESS] = SHAPE_NEVER;
	s->is_lent = is_held;
	s->staged += is_held ? 0 : 1;
	return 1;
}

static void shape_release(struct nic *nic, uint32_t count)
{
	struct shape *s = shape_of(nic);

	if (s->is_lent) {
		s->is_lent = false;
		count--;
	}
	if (count > 0)
		s->inner->ops->release(s->inner, count);
	s->staged -= count;
	release_copied(s);
}

/* ---- to the guest ---- */

/* Charges what went to the guest past us. */
static void charge_others(struct shape *s)
{
	const struct nic_counters *c = &s->inner->counters;

	charge(s, SHAPE_INGRESS, c->rx_bytes - s->seen_bytes, c->rx_frames - s->seen_frames);
	s->seen_bytes = c->rx_bytes;
	s->seen_frames = c->rx_frames;
}

static int shape_reserve(
    struct nic *nic, uint32_t head_len, uint32_t body_len, struct nic_slot *ret_slot)
{
	struct shape *s = shape_of(nic);
	uint64_t due_ns;

	charge_others(s);
	due_ns = body_len > 0 ? due(s, SHAPE_INGRESS, 1, 1) : s->now_ns;
	if (due_ns > s->now_ns) {
		s->due_ns[SHAPE_INGRESS] = due_ns;
		return -EAGAIN;
	}
	return s->inner->ops->reserve(s->inner, head_len, body_len, ret_slot);
}

static void shape_commit(
    struct nic *nic, struct nic_slot *slot, uint32_t body_len, const struct vnet_hdr *vnet)
{
	struct shape *s = shape_of(nic);
	uint32_t len = slot->head_len + body_len;
	uint32_t frames = vnet ? frames_of(len, vnet) : 1;

	s->inner->ops->commit(s->inner, slot, body_len, vnet);
	if (body_len > 0)
		charge(s, SHAPE_INGRESS, len, frames);
	s->seen_bytes = s->inner->counters.rx_bytes;
	s->seen_frames = s->inner->counters.rx_frames;
}

static void shape_cancel(struct nic *nic, struct nic_slot *slot)
{
	struct shape *s = shape_of(nic);

	s->inner->ops->cancel(s->inner, slot);
}

static void shape_flush(struct nic *nic)
{
	struct shape *s = shape_of(nic);

	s->inner->ops->flush(s->inner);
}

static const struct nic_ops shape_ops = {
    .stage = shape_stage,
    .release = shape_release,
    .reserve = shape_reserve,
    .commit = shape_commit,
    .cancel = shape_cancel,
    .flush = shape_flush,
};

/* ---- both ---- */

/* What the guest's side has agreed on may change with each link. */
static void follow_inner(struct shape *s)
{
	const struct limit_config *bytes = &s->bytes[SHAPE_INGRESS].cfg;

	s->nic.features = s->inner->features;
	if (bytes->size > 0 && bytes->size < SMALL_BUCKET)
		s->nic.features &= ~(uint32_t)(NIC_F_TSO4 | NIC_F_TSO6 | NIC_F_USO);
	s->nic.is_level = s->inner->is_level;
	s->nic.batch_max = 1;
}

void shape_set(struct shape *s, const struct shape_config *cfg, uint64_t now_ns)
{
	for (int d = 0; d < SHAPE_DIRECTION_COUNT; d++) {
		s->bytes[d] = limit_init(&cfg->bytes[d], now_ns);
		s->frames[d] = limit_init(&cfg->frames[d], now_ns);
		if (s->due_ns[d] != SHAPE_NEVER)
			s->due_ns[d] = now_ns;
	}
	follow_inner(s);
}

int shape_init(struct shape *s, const struct shape_config *cfg, struct nic *inner, uint64_t now_ns)
{
	uint8_t *held = malloc(FRAME_LEN_MAX);

	if (!held)
		return -ENOMEM;
	*s = (struct shape){
	    .nic = {.ops = &shape_ops},
	    .inner = inner,
	    .held = held,
	    .now_ns = now_ns,
	    .due_ns = {SHAPE_NEVER, SHAPE_NEVER},
	    .seen_bytes = inner->counters.rx_bytes,
	    .seen_frames = inner->counters.rx_frames,
	};
	shape_set(s, cfg, now_ns);
	return 0;
}

void shape_fini(struct shape *s)
{
	free(s->held);
}

bool shape_begin(struct shape *s, uint64_t now_ns)
{
	bool is_room_due = s->due_ns[SHAPE_INGRESS] <= now_ns;

	s->now_ns = now_ns;
	follow_inner(s);
	if (is_room_due)
		s->due_ns[SHAPE_INGRESS] = SHAPE_NEVER;
	return is_room_due || s->due_ns[SHAPE_EGRESS] <= now_ns;
}

void shape_end(struct shape *s)
{
	s->nic.counters = s->inner->counters;
	s->inner->is_held = shape_is_holding(s);
}

uint64_t shape_next_ns(const struct shape *s)
{
	return s->due_ns[0] < s->due_ns[1] ? s->due_ns[0] : s->due_ns[1];
}
