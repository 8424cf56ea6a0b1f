/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the engine.
 *
 *	engine.c   life, one pass, timers
 *	input.c    what becomes of a frame
 *	admit.c    the one place that judges and the one place that dials
 *	resolve.c  DNS at the gateway
 *	account.c  events
 */
#ifndef SLUICE_ENGINE_INTERNAL_H
#define SLUICE_ENGINE_INTERNAL_H

#include "engine/engine.h"
#include "flow/echo.h"
#include "flow/flow.h"
#include "flow/tcp_flow.h"
#include "flow/udp_flow.h"
#include "names/forward.h"
#include "stack/icmp_out.h"
#include "stack/link.h"
#include "stack/reassembly.h"
#include "stack/shape.h"

/* DNS at the gateway: the forwarder and its sockets. */
struct resolve {
	struct forward forward;
	int socks[ENGINE_RESOLVERS_MAX];     /* one per resolver, while a query is pending */
	bool is_dirty[ENGINE_RESOLVERS_MAX]; /* the socket may have answers */
	struct timer timer;                  /* TIMER_DNS */
};

struct engine {
	struct engine_config cfg;
	struct netif netif;
	struct nic *nic;    /* the port's, or &shape.nic */
	struct shape shape; /* if has_shape */
	bool has_shape;
	struct wheel wheel;
	struct flow_world world;
	struct link link;
	struct timer link_timer; /* TIMER_LINK */
	struct reassembly reassembly;
	struct timer reassembly_timer; /* TIMER_REASSEMBLY */
	struct icmp_out icmp;
	struct tcp_table tcp;
	struct udp_table udp;
	struct echo echo;
	struct resolve resolve;
	bool has_guest_mac;         /* a link's first frame has come, or the MAC is not learned */
	bool has_frames;            /* the port has announced frames */
	uint8_t passes_untimed;     /* in a row, with timers that may be due */
	bool was_burst;             /* the last pass found several frames */
	bool is_udp_first;          /* the next time that flows are served */
	bool has_more_idle;         /* UDP flows that are to end */
	bool has_more_echo;         /* echo replies wait in a socket */
	bool has_more_answers;      /* answers of resolvers wait in a socket */
	bool has_told_echo;         /* that the host forbids echo sockets */
	uint32_t generation;        /* of the policy */
	struct bucket events;       /* events of denials and refusals */
	uint64_t events_suppressed; /* since the last one that was told */
	struct bucket ends;         /* events of ends of flows */
	struct bucket ends_limited; /* events that tell of more of these */
	uint64_t ends_suppressed;   /* since the last of those */
};

/* ---- engine.c ---- */

/* Sets a timer of the engine for when its owner needs it next, which may be never. */
void engine_arm(struct engine *e, struct timer *t, uint64_t due_ns);

/* ---- input.c ---- */

/* One frame of the guest, to its end. */
void engine_input(struct engine *e, const struct frame *frame);

/* ---- admit.c ---- */

/* A SYN that belongs to no flow: judges, and dials or refuses. */
void admit_tcp(struct engine *e, const struct packet *p, const struct flow_key *key, uint32_t hash);

/* The socket of a flow in SYN-HELD has something to tell. */
void admit_tcp_result(struct engine *e, struct tcp_flow *f, uint32_t events);

/* A datagram that belongs to no flow. */
void admit_udp(struct engine *e, const struct packet *p, const struct flow_key *key, uint32_t hash);

/* Whether a datagram of a flow that was let through by another policy would be let through now. */
bool admit_udp_again(const struct engine *e, const struct packet *p);

/* An echo request. */
void admit_echo(struct engine *e, const struct packet *p);

/* Whether a datagram is a DNS query that ends here, with the verdict on using the resolvers. These are all
 * to port 53 of an address of the host, not only of the gateway: allow@dns, which is about names, must
 * not reach what else listens there. */
bool admit_is_dns(
    const struct engine *e, const struct packet *p, struct policy_verdict *ret_verdict);

/* The socket for a resolver, which is opened when needed. 0 or -errno. */
int admit_resolver(struct engine *e, uint32_t resolver);

/* ---- resolve.c ---- */

int resolve_init(struct engine *e);
void resolve_fini(struct engine *e);
enum drop_reason resolve_on_query(
    struct engine *e, const struct packet *p, const struct policy_verdict *verdict);
void resolve_on_sock(struct engine *e, uint32_t resolver, uint32_t events);
void resolve_on_timer(struct engine *e);
/* Gives the guest the answers that have come. True if there is more. */
bool resolve_serve(struct engine *e);

/* ---- account.c ---- */

/* Tells what is left to be told. */
void account_fini(struct engine *e);

void account_tcp_end(void *engine, const struct tcp_flow *f, enum flow_end end);
void account_udp_end(void *engine, const struct udp_flow *f, enum flow_end end);

/* A packet that opens something was denied by policy, or refused by a limit. */
void account_denied(struct engine *e, const struct packet *p, const struct policy_verdict *v);
void account_refused(struct engine *e, const struct packet *p, const struct policy_verdict *v,
    enum drop_reason reason);

#endif
