/* SPDX-License-Identifier: Apache-2.0 */
/* The link; see sim_link.h. */
#include "sim_link.h"

#include <stdlib.h>
#include <string.h>

struct sim_flight {
	struct sim_timer timer;
	struct sim_dir *dir;
	struct sim_frame *frame;
	uint32_t at; /* place among sim_dir.flights */
};

bool sim_impair_is_lossy(const struct sim_impair *i)
{
	return i->lose[0] > 0 || i->loss_permille > 0 || i->dup_permille > 0 ||
	       i->reorder_permille > 0;
}

void sim_dir_init(struct sim_dir *d, struct sim *sim, const struct sim_impair *impair)
{
	*d = (struct sim_dir){.sim = sim, .impair = *impair};
}

void sim_dir_fini(struct sim_dir *d)
{
	for (uint32_t i = 0; i < d->in_flight; i++) {
		sim_timer_cancel(d->sim, &d->flights[i]->timer);
		free(d->flights[i]->frame);
		free(d->flights[i]);
	}
	free(d->flights);
}

static void on_arrival(void *arg)
{
	struct sim_flight *fl = arg;
	struct sim_dir *d = fl->dir;
	struct sim_frame *f = fl->frame;

	d->flights[fl->at] = d->flights[--d->in_flight];
	d->flights[fl->at]->at = fl->at;
	free(fl);
	d->deliver(d->ctx, f);
}

static void fly(struct sim_dir *d, struct sim_frame *f)
{
	const struct sim_impair *i = &d->impair;
	struct sim_flight *fl = sim_alloc(sizeof(*fl));
	uint64_t due = d->sim->now_ns + i->delay_ns;

	if (i->jitter_ns > 0)
		due += sim_random_below(d->sim, i->jitter_ns);
	if (i->stall_to_ns > 0 && due >= i->stall_from_ns && due < i->stall_to_ns)
		due = i->stall_to_ns;
	if (sim_chance(d->sim, i->reorder_permille)) {
		due += i->reorder_ns;
	} else {
		if (due < d->last_due_ns)
			due = d->last_due_ns;
		d->last_due_ns = due;
	}
	fl->dir = d;
	fl->frame = f;
	d->flights = sim_grow(d->flights, d->in_flight, &d->cap, sizeof(struct sim_flight *));
	fl->at = d->in_flight;
	d->flights[d->in_flight++] = fl;
	sim_timer_init(&fl->timer, on_arrival, fl);
	sim_timer_set(d->sim, &fl->timer, due);
}

void sim_dir_send(struct sim_dir *d, struct sim_frame *f)
{
	const struct sim_impair *i = &d->impair;
	bool is_lost = sim_chance(d->sim, i->loss_permille);

	d->count++;
	for (int k = 0; k < SIM_LOSE_MAX; k++)
		is_lost |= i->lose[k] == d->count;
	if (is_lost) {
		d->lost++;
		free(f);
		return;
	}
	if (sim_chance(d->sim, i->dup_permille)) {
		struct sim_frame *twin = sim_frame_new(f->len);

		memcpy(twin, f, sizeof(*f) + f->len);
		fly(d, twin);
	}
	fly(d, f);
}

void sim_segment(
    const struct sim_frame *f, void (*emit)(void *ctx, struct sim_frame *piece), void *ctx)
{
	struct sim_packet p;
	uint32_t off = 0;

	if (sim_parse(f->bytes, f->len, &p) || p.proto != 6 || f->vnet.gso_size == 0)
		return;
	while (off < p.payload_len) {
		uint32_t left = p.payload_len - off;
		uint32_t len = left < f->vnet.gso_size ? left : f->vnet.gso_size;
		uint32_t hdr = (uint32_t)(p.payload - p.l4);
		uint8_t *l4 = sim_alloc(hdr + len);

		memcpy(l4, p.l4, hdr);
		memcpy(l4 + hdr, p.payload + off, len);
		sim_put32(l4 + 4, p.seq + off);
		if (len < left)
			l4[13] &= (uint8_t) ~(SIM_FIN | SIM_PSH);
		sim_fill_csum(&p, l4, hdr + len, 16);
		emit(ctx, sim_build_ip(&p, l4, hdr + len));
		free(l4);
		off += len;
	}
}
