/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks at each frame that the engine gives to the frame device, before the link can spoil it: whether it
 * is right in itself, and whether the engine keeps its word about windows and sends nothing twice.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sim_world.h"

/* What the engine has told the guest about one connection. */
struct sim_watch {
	struct ip_addr remote;
	uint16_t remote_port;
	uint8_t family;
	bool is_known;  /* a SYN-ACK or SYN was seen */
	bool has_acked; /* edge and ack hold */
	bool has_fin;
	uint8_t shift;    /* of the windows told */
	uint32_t seq_max; /* one past the highest sent */
	uint32_t ack;
	uint32_t edge;
};

static bool is_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static void trace(struct sim_world *w, const char *way, const struct sim_packet *p)
{
	char text[256];

	if (w->sim.is_tracing)
		fprintf(stderr, "%12.6f %s %s\n", (double)w->sim.now_ns / 1e9, way,
		    sim_describe(p, text, sizeof(text)));
}

static void watch_synack(struct sim_world *w, struct sim_watch *t, const struct sim_packet *p)
{
	bool is_ours = (p->flags & SIM_ACK) == 0; /* repeated while the guest is silent */
	bool is_again =
	    !is_ours && t->is_known && t->remote_port == p->src_port && t->seq_max == p->seq + 1;

	if (is_again && w->is_lossless)
		sim_fail(&w->sim, "engine: port %u: SYN-ACK sent again", p->dst_port);
	*t = (struct sim_watch){
	    .remote = p->src,
	    .remote_port = p->src_port,
	    .family = p->family,
	    .is_known = true,
	    .has_acked = !is_ours,
	    .shift = p->wscale >= 0 ? (uint8_t)p->wscale : 0,
	    .seq_max = p->seq + 1,
	    .ack = p->ack,
	    .edge = p->ack + p->wnd,
	};
}

static void watch_window(struct sim_world *w, struct sim_watch *t, const struct sim_packet *p)
{
	uint32_t edge = p->ack + ((uint32_t)p->wnd << t->shift);
	uint32_t grain;

	if (!t->has_acked) {
		t->shift = w->watch_no_shift ? 0 : t->shift;
		edge = p->ack + ((uint32_t)p->wnd << t->shift);
		t->ack = p->ack;
		t->edge = edge;
		t->has_acked = true;
	}
	grain = 1U << t->shift;
	if (is_before(p->ack, t->ack))
		sim_fail(&w->sim, "engine: port %u: ACK moves back", p->dst_port);
	if (is_before(edge, t->edge) && t->edge - edge >= grain)
		sim_fail(&w->sim, "engine: port %u: right edge of the window moves left by %u",
		    p->dst_port, t->edge - edge);
	t->ack = p->ack;
	if (is_before(t->edge, edge))
		t->edge = edge;
}

static void watch_tcp(struct sim_world *w, const struct sim_packet *p)
{
	void **slot = sim_ports_at(&w->watches, p->dst_port);
	struct sim_watch *t;
	uint32_t end = p->seq + p->payload_len + ((p->flags & SIM_FIN) != 0);

	if (!*slot)
		*slot = sim_alloc(sizeof(*t));
	t = *slot;
	if ((p->flags & SIM_SYN) != 0) {
		watch_synack(w, t, p);
		return;
	}
	if (!t->is_known || t->remote_port != p->src_port || t->family != p->family ||
	    !ip_addr_eq(&t->remote, &p->src) || (p->flags & SIM_RST) != 0)
		return;
	watch_window(w, t, p);
	if (p->payload_len == 0 && (p->flags & SIM_FIN) == 0)
		return;
	if (is_before(t->seq_max, p->seq))
		sim_fail(&w->sim, "engine: port %u: leaves a hole of %u bytes", p->dst_port,
		    p->seq - t->seq_max);
	if (is_before(p->seq, t->seq_max) && w->is_lossless)
		sim_fail(&w->sim, "engine: port %u: %u bytes sent again", p->dst_port,
		    t->seq_max - p->seq);
	if (is_before(t->seq_max, end))
		t->seq_max = end;
}

void sim_watch_frame(struct sim_world *w, const struct sim_frame *f)
{
	struct sim_packet p;
	const char *wrong = sim_check_to_guest(f, &w->facts, &p);

	trace(w, ">", &p);
	if (wrong) {
		char text[256];

		sim_fail(&w->sim, "engine: %s in %s", wrong, sim_describe(&p, text, sizeof(text)));
		return;
	}
	if (p.family != 0 && p.proto == 6 && !p.has_frag)
		watch_tcp(w, &p);
}
