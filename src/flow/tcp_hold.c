/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first flight of a TCP flow, while it is held.
 *
 * Nothing of it is decided by time: it is held as long as it may still become known, and the flow's own limits end it
 * (design.md rule 4). Its memory is the window that the guest was promised. A first flight that fills all of that
 * without being known is HELLO_BAD.
 *
 * Invariants (tests/sim/test_names.c): not a byte reaches the socket while the flow is held; what passes does so in the
 * pass in which its last byte came.
 */
#include <errno.h>
#include <stdlib.h>

#include "flow/tcp_flow.h"

enum {
	/* A ClientHello may have TLS_HELLO_MAX bytes, and records of its own around them. */
	HELD_MAX = 2 * TLS_HELLO_MAX,
};

int tcp_flow_hold(struct tcp_flow *f)
{
	f->flight = calloc(1, sizeof(*f->flight));
	return f->flight ? 0 : -ENOMEM;
}

bool tcp_flow_let_pass(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f)
{
	free(f->flight);
	f->flight = NULL;
	return tcp_flow_drain(t, w, f);
}

/* The window is full, and it is not known yet what comes. True: there is more room now. */
static bool grow(struct tcp_table *t, struct tcp_flow *f)
{
	uint32_t max = f->conn.rcv_shift > 0 ? (uint32_t)HELD_MAX : (uint32_t)TCP_WND_INITIAL;
	uint32_t step = f->wnd_target;

	if (f->wnd_target >= max || step > t->wnd_spare)
		return false;
	if (step > max - f->wnd_target)
		step = max - f->wnd_target;
	f->wnd_target += step;
	t->wnd_spare -= step;
	f->conn.is_ack_due = true;
	tcp_flow_mark(t, f);
	return true;
}

bool tcp_flow_look(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f)
{
	struct flight_claim claim;

	if (f->is_remote_dead)
		return tcp_flow_let_pass(t, w, f); /* to nobody */
	if (!first_flight_look(f->flight, &f->spill, f->has_guest_fin, &claim)) {
		if (tcp_flow_room(f) > 0 || grow(t, f))
			return true;
		claim = (struct flight_claim){.result = HELLO_BAD};
	}
	f->claim = malloc(sizeof(*f->claim));
	if (!f->claim) {
		netif_drop(w->netif, DROP_NO_MEMORY);
		tcp_flow_abort(t, w, f, FLOW_END_POLICY, true);
		return false;
	}
	*f->claim = claim;
	if (!t->on_flight(t->ctx, f)) {
		tcp_flow_abort(t, w, f, FLOW_END_POLICY, true);
		return false;
	}
	return tcp_flow_let_pass(t, w, f);
}
