/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the engine.
 *
 *	engine.c   life, one pass, timers
 *	input.c    what becomes of a frame
 *	admit.c    the one place that judges and the one place that dials
 *	account.c  events
 */
#ifndef SLUICE_ENGINE_INTERNAL_H
#define SLUICE_ENGINE_INTERNAL_H

#include "engine/engine.h"
#include "flow/flow.h"
#include "flow/tcp_flow.h"

struct engine {
	struct engine_config cfg;
	struct netif netif;
	struct nic *nic;
	struct wheel wheel;
	struct flow_world world;
	struct tcp_table tcp;
	bool has_frames;            /* the port has announced frames */
	bool was_burst;             /* the last pass found several frames */
	bool is_rx_blocked;         /* no room towards the guest: engine_on_room() is awaited */
	struct bucket events;       /* events of denials and refusals */
	uint64_t events_suppressed; /* since the last one that was told */
};

/* ---- input.c ---- */

/* One frame of the guest, to its end. */
void engine_input(struct engine *e, const struct frame *frame);

/* ---- admit.c ---- */

/* A SYN that belongs to no flow: judges, and dials or refuses. */
void admit_tcp(struct engine *e, const struct packet *p, const struct flow_key *key, uint32_t hash);

/* The socket of a flow in SYN-HELD has something to tell. */
void admit_tcp_result(struct engine *e, struct tcp_flow *f, uint32_t events);

/* ---- account.c ---- */

void account_flow_end(void *engine, const struct tcp_flow *f, enum flow_end end);

/* A packet that opens something was denied by policy, or refused by a limit. */
void account_denied(struct engine *e, const struct packet *p, const struct policy_verdict *v);
void account_refused(struct engine *e, const struct packet *p, const struct policy_verdict *v,
    enum drop_reason reason);

#endif
