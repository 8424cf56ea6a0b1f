/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated frame device; see sim_nic.h. */
#include "sim_nic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct sim_nic *nic_of(struct nic *nic)
{
	return (struct sim_nic *)(void *)nic;
}

void sim_queue_init(struct sim_queue *q)
{
	*q = (struct sim_queue){0};
	q->end = &q->first;
}

void sim_queue_put(struct sim_queue *q, struct sim_frame *f)
{
	f->next = NULL;
	*q->end = f;
	q->end = &f->next;
	q->count++;
}

struct sim_frame *sim_queue_take(struct sim_queue *q)
{
	struct sim_frame *f = q->first;

	if (!f)
		return NULL;
	q->first = f->next;
	if (!q->first)
		q->end = &q->first;
	q->count--;
	f->next = NULL;
	return f;
}

void sim_queue_clear(struct sim_queue *q)
{
	struct sim_frame *f;

	while ((f = sim_queue_take(q)) != NULL)
		free(f);
}

/* Cuts len bytes into blocks of their own; from may be NULL. */
static struct iovec *cut(const uint8_t *from, uint32_t len, uint32_t piece, uint32_t *ret_count)
{
	uint32_t step = piece > 0 ? piece : len > 0 ? len : 1;
	uint32_t count = (len + step - 1) / step;
	struct iovec *iov = sim_alloc((count > 0 ? count : 1) * sizeof(*iov));

	for (uint32_t i = 0; i < count; i++) {
		uint32_t take = len - i * step < step ? len - i * step : step;

		iov[i] = (struct iovec){.iov_base = sim_alloc(take), .iov_len = take};
		if (from)
			memcpy(iov[i].iov_base, from + (size_t)i * step, take);
	}
	*ret_count = count;
	return iov;
}

static void free_pieces(struct iovec *iov, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		free(iov[i].iov_base);
	free(iov);
}

/* ---- from the guest ---- */

bool sim_nic_push(struct sim_nic *n, struct sim_frame *f)
{
	if (n->tx.count >= n->cfg.tx_depth) {
		n->is_tx_full = true;
		return false;
	}
	sim_queue_put(&n->tx, f);
	n->is_tx_new = true;
	return true;
}

bool sim_nic_has_frames(struct sim_nic *n)
{
	bool has = n->cfg.is_level ? n->tx.count > 0 : n->is_tx_new;

	n->is_tx_new = false;
	return has || n->is_broken;
}

static int nic_stage(struct nic *nic, struct frame *ret_frame)
{
	struct sim_nic *n = nic_of(nic);
	struct sim_staged *s = &n->staged[(n->staged_first + n->staged_count) % SIM_STAGED_MAX];
	struct sim_frame *f;
	uint32_t head_len;
	uint32_t piece = n->cfg.tx_piece;

	if (n->is_broken)
		return -EPIPE;
	if (n->staged_count == SIM_STAGED_MAX)
		return -ENOBUFS;
	f = sim_queue_take(&n->tx);
	if (!f)
		return 0;
	if (piece > 0 && f->len / piece >= FRAME_IOV_MAX)
		piece = f->len / (FRAME_IOV_MAX - 1) + 1;
	head_len = f->len < FRAME_HEAD_MIN ? f->len : FRAME_HEAD_MIN;
	s->frame = f;
	s->head = sim_alloc(head_len);
	memcpy(s->head, f->bytes, head_len);
	s->iov = cut(f->bytes, f->len, piece, &s->iov_count);
	n->staged_count++;
	*ret_frame = (struct frame){
	    .head = s->head,
	    .head_len = head_len,
	    .len = f->len,
	    .iov = s->iov,
	    .iov_count = s->iov_count,
	    .vnet = {.flags = f->vnet.flags,
		.gso_type = f->vnet.gso_type,
		.gso_size = f->vnet.gso_size,
		.csum_start = f->vnet.csum_start,
		.csum_offset = f->vnet.csum_offset,
		.hdr_len = f->vnet.hdr_len,
		.num_buffers = f->vnet.num_buffers},
	};
	n->nic.counters.tx_frames++;
	n->nic.counters.tx_bytes += f->len;
	return 1;
}

static void nic_release(struct nic *nic, uint32_t count)
{
	struct sim_nic *n = nic_of(nic);

	if (count > n->staged_count) {
		sim_fail(n->sim, "nic: released %u frames of %u", count, n->staged_count);
		count = n->staged_count;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct sim_staged *s = &n->staged[n->staged_first];

		free(s->frame);
		free(s->head);
		free_pieces(s->iov, s->iov_count);
		n->staged_first = (n->staged_first + 1) % SIM_STAGED_MAX;
		n->staged_count--;
	}
	if (n->is_tx_full && n->tx.count < n->cfg.tx_depth) {
		n->is_tx_full = false;
		if (n->on_tx_room)
			n->on_tx_room(n->ctx);
	}
}

/* ---- to the guest ---- */

static int nic_reserve(
    struct nic *nic, uint32_t head_len, uint32_t body_len, struct nic_slot *ret_slot)
{
	struct sim_nic *n = nic_of(nic);
	uint32_t id = (n->room_first + n->room_count) % NIC_BATCH_MAX;
	struct sim_room *r = &n->rooms[id];
	uint32_t piece = n->cfg.rx_piece;

	if (head_len < SIM_ETH || head_len > NIC_HEAD_MAX || body_len > NIC_BODY_MAX)
		sim_fail(n->sim, "nic: reserves %u + %u bytes", head_len, body_len);
	if (n->rx.count + n->built.count + n->room_count >= n->cfg.rx_depth) {
		n->is_rx_full = true;
		n->has_room = false;
		return -EAGAIN;
	}
	if (n->room_count >= n->nic.batch_max) {
		sim_fail(n->sim, "nic: more than %u reservations", n->nic.batch_max);
		return -EAGAIN;
	}
	/* All open bodies together have at most NIC_IOV_MAX pieces. */
	if (piece > 0 && body_len / piece >= NIC_IOV_MAX / n->nic.batch_max)
		piece = body_len / (NIC_IOV_MAX / n->nic.batch_max - 1) + 1;
	r->head = sim_alloc(head_len);
	r->head_len = head_len;
	r->body_len = body_len;
	r->body = cut(NULL, body_len, piece, &r->body_count);
	n->room_count++;
	*ret_slot = (struct nic_slot){
	    .head = r->head,
	    .body = r->body,
	    .body_count = r->body_count,
	    .head_len = head_len,
	    .id = id,
	};
	return 0;
}

static void free_room(struct sim_room *r)
{
	free(r->head);
	free_pieces(r->body, r->body_count);
	*r = (struct sim_room){0};
}

static struct sim_frame *frame_of_room(const struct sim_room *r, uint32_t body_len)
{
	uint32_t len = r->head_len + body_len;
	struct sim_frame *f = sim_frame_new(len < 60 ? 60 : len);
	uint8_t *out = f->bytes + r->head_len;

	memcpy(f->bytes, r->head, r->head_len);
	for (uint32_t i = 0; body_len > 0; i++) {
		uint32_t take =
		    r->body[i].iov_len < body_len ? (uint32_t)r->body[i].iov_len : body_len;

		memcpy(out, r->body[i].iov_base, take);
		out += take;
		body_len -= take;
	}
	return f;
}

static void nic_commit(
    struct nic *nic, struct nic_slot *slot, uint32_t body_len, const struct vnet_hdr *vnet)
{
	struct sim_nic *n = nic_of(nic);
	struct sim_room *r = &n->rooms[n->room_first];
	struct sim_frame *f;

	if (n->room_count == 0 || slot->id != n->room_first || body_len > r->body_len) {
		sim_fail(n->sim, "nic: commits %u bytes of what is not the oldest reservation",
		    body_len);
		return;
	}
	f = frame_of_room(r, body_len);
	if (vnet)
		f->vnet = (struct sim_vnet){
		    .flags = vnet->flags,
		    .gso_type = vnet->gso_type,
		    .gso_size = vnet->gso_size,
		    .csum_start = vnet->csum_start,
		    .csum_offset = vnet->csum_offset,
		};
	f->at_ns = n->sim->now_ns;
	free_room(r);
	n->room_first = (n->room_first + 1) % NIC_BATCH_MAX;
	n->room_count--;
	n->nic.counters.rx_frames++;
	n->nic.counters.rx_bytes += f->len;
	sim_queue_put(&n->built, f);
	if (n->on_commit)
		n->on_commit(n->ctx, f);
}

static void nic_cancel(struct nic *nic, struct nic_slot *slot)
{
	struct sim_nic *n = nic_of(nic);
	uint32_t newest = (n->room_first + n->room_count - 1) % NIC_BATCH_MAX;

	if (n->room_count == 0 || slot->id != newest) {
		sim_fail(n->sim, "nic: cancels what is not the newest reservation");
		return;
	}
	free_room(&n->rooms[newest]);
	n->room_count--;
}

static void nic_flush(struct nic *nic)
{
	struct sim_nic *n = nic_of(nic);
	struct sim_frame *f;
	bool has_any = n->built.count > 0;

	if (n->room_count > 0)
		sim_fail(n->sim, "nic: flush with %u reservations open", n->room_count);
	while ((f = sim_queue_take(&n->built)) != NULL)
		sim_queue_put(&n->rx, f);
	if (has_any && n->on_rx)
		n->on_rx(n->ctx);
}

struct sim_frame *sim_nic_take(struct sim_nic *n)
{
	struct sim_frame *f = sim_queue_take(&n->rx);

	if (f && n->is_rx_full) {
		n->is_rx_full = false;
		n->has_room = true;
	}
	return f;
}

bool sim_nic_has_room(struct sim_nic *n)
{
	bool has = n->has_room;

	n->has_room = false;
	return has;
}

static const struct nic_ops sim_nic_ops = {
    .stage = nic_stage,
    .release = nic_release,
    .reserve = nic_reserve,
    .commit = nic_commit,
    .cancel = nic_cancel,
    .flush = nic_flush,
};

void sim_nic_init(struct sim_nic *n, struct sim *sim, const struct sim_nic_config *cfg)
{
	*n = (struct sim_nic){.sim = sim, .cfg = *cfg};
	n->nic = (struct nic){
	    .ops = &sim_nic_ops,
	    .features = cfg->features,
	    .is_level = cfg->is_level,
	    .batch_max = cfg->batch_max,
	};
	sim_queue_init(&n->tx);
	sim_queue_init(&n->built);
	sim_queue_init(&n->rx);
}

void sim_nic_fini(struct sim_nic *n)
{
	if (n->staged_count > 0)
		nic_release(&n->nic, n->staged_count);
	while (n->room_count > 0)
		free_room(&n->rooms[(n->room_first + --n->room_count) % NIC_BATCH_MAX]);
	sim_queue_clear(&n->tx);
	sim_queue_clear(&n->built);
	sim_queue_clear(&n->rx);
}
