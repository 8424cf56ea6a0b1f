/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the engine.
 *
 *	engine.c   life, one pass, timers
 *	input.c    what becomes of a frame
 *	admit.c    the one place that judges and the one place that dials
 *	resolve.c  DNS; see resolve.h
 *	publish.c, publish_udp.c  published ports: clients of the host on their way to the guest
 *	account.c  events
 */
#ifndef SLUICE_ENGINE_INTERNAL_H
#define SLUICE_ENGINE_INTERNAL_H

#include "engine/engine.h"
#include "engine/publish.h"
#include "engine/resolve.h"
#include "flow/echo.h"
#include "flow/flow.h"
#include "flow/tcp_flow.h"
#include "flow/udp_flow.h"
#include "stack/icmp_out.h"
#include "stack/link.h"
#include "stack/reassembly.h"
#include "stack/shape.h"

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
	struct publish publish;
	bool has_guest_mac;          /* a link's first frame has come, or the MAC is not learned */
	bool has_frames;             /* the port has announced frames */
	uint8_t passes_untimed;      /* in a row, with timers that may be due */
	bool was_burst;              /* the last pass found several frames */
	uint8_t first_kind;          /* the next time that flows are served; enum flow_kind */
	bool has_more_idle;          /* UDP flows that are to end */
	bool has_more_echo;          /* echo replies wait in a socket */
	bool has_more_answers;       /* answers of resolvers wait in a socket */
	bool has_told_echo;          /* that the host forbids echo sockets */
	uint32_t generation;         /* of the policy */
	struct bucket events;        /* events of denials and refusals */
	uint64_t events_suppressed;  /* since the last one that was told */
	struct bucket queries;       /* events of questions */
	uint64_t queries_suppressed; /* since the last one that was told */
	struct bucket ends;          /* events of ends of flows */
	struct bucket ends_limited;  /* events that tell of more of these */
	uint64_t ends_suppressed;    /* since the last of those */
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

/* Whether a connection that another policy let through would be let through now. */
bool admit_tcp_again(struct engine *e, struct tcp_flow *f);

/* tcp_table.on_flight, udp_table.on_flight */
bool admit_tcp_flight(void *engine, struct tcp_flow *f);
bool admit_udp_flight(void *engine, struct udp_flow *f, const struct packet *p);

/* A datagram that belongs to no flow. */
void admit_udp(struct engine *e, const struct packet *p, const struct flow_key *key, uint32_t hash);

/* Whether a flow that another policy let through would be let through now. */
bool admit_udp_again(struct engine *e, struct udp_flow *f);

/* An echo request. */
void admit_echo(struct engine *e, const struct packet *p);

/* Whether an address is the gateway's or the host's: DNS there means the configured resolvers. */
bool admit_is_own(const struct engine *e, const struct ip_addr *addr);

/* Whether the guest may ask another server than those. */
struct policy_verdict admit_server(
    const struct engine *e, enum policy_proto proto, const struct endpoint *server);

/* Whether the answers of a server make pins: a configured one, or unset. Another one that the guest may ask is perhaps its
 * own, and could lead an allowed name to any address (threats.md T1, D13). */
bool admit_makes_pins(const struct engine *e, const struct endpoint *server);

/* Whether a name may be asked, and whether an answer for it may hold an address. */
struct policy_verdict admit_name(const struct engine *e, const struct name *name, bool is_tcp);
struct policy_verdict admit_answer(
    const struct engine *e, const struct name *name, const struct ip_addr *addr);

/* Opens a socket to a server of DNS, SOCK_DNS or SOCK_DNS_TCP: one of the configured ones, or one that the guest
 * may ask. 0 or -errno. */
int admit_resolver(
    struct engine *e, const struct endpoint *to, struct sock_owner owner, int *ret_sock);

/* ---- resolve.c ---- */

int resolve_init(struct engine *e);
void resolve_fini(struct engine *e);

/* A datagram to port 53. */
enum drop_reason resolve_on_query(struct engine *e, const struct packet *p);

/* A question. DROP_NONE: it has its answer, or will; else it is dropped. */
enum drop_reason resolve_question(
    struct engine *e, struct resolve_client *client, const uint8_t *msg, size_t len);

/* Binds a flow to port 53 to a stream, in place of a socket of the host. 0, -ENOSPC, -ENOMEM. */
int resolve_open_stream(struct engine *e, struct tcp_flow *f);

/* Tells a client; nothing if it has gone. */
void resolve_reply(struct engine *e, const struct resolve_client *client, const struct dns_query *q,
    const struct dns_reply *reply);

/* ---- resolve_answer.c ---- */

/* The name of the key has these addresses of its type, until some time and the grace after, if its server makes pins.
 * 0 or -errno of pins_set(). */
__attribute__((warn_unused_result)) int resolve_pin(struct engine *e, const struct cache_key *key,
    const struct ip_addr *addrs, uint32_t count, uint64_t expiry_ns);
void resolve_forget(struct engine *e, struct resolve_lookup *l);
void resolve_on_done(void *engine, void *owner, const uint8_t *msg, size_t len);

/* ---- resolve_io.c ---- */

extern const struct forward_ops resolve_forward_ops;

void resolve_on_sock(struct engine *e, uint32_t slot, uint32_t events);
void resolve_on_timer(struct engine *e);
/* Gives the guest the answers that have come. True if there is more. */
bool resolve_serve(struct engine *e);
/* What the streams have to tell their flows. */
void resolve_serve_streams(struct engine *e);

/* ---- account.c ---- */

/* Tells what is left to be told. */
void account_fini(struct engine *e);

void account_tcp_end(void *engine, const struct tcp_flow *f, enum flow_end end);
void account_udp_end(void *engine, const struct udp_flow *f, enum flow_end end);

/* A packet that opens something was denied by policy, or refused by a limit. name: that it was for, or NULL. */
void account_denied(struct engine *e, const struct packet *p, const struct policy_verdict *v);
void account_denied_name(struct engine *e, const struct packet *p, const struct policy_verdict *v,
    const struct name *name);
void account_refused(struct engine *e, const struct packet *p, const struct policy_verdict *v,
    enum drop_reason reason);

/* A question has been answered. */
void account_query(
    struct engine *e, const struct resolve_client *client, const struct event_query *query);
/* A flow was denied by what it named. */
void account_flow_denied(struct engine *e, const struct flow_key *key,
    const struct policy_verdict *v, const struct name *name);

/* The same for a client of a published port; DROP_POLICY: denied. */
void account_inbound_refused(struct engine *e, enum policy_proto proto,
    const struct endpoint *guest, const struct endpoint *peer, const struct policy_verdict *v,
    enum drop_reason reason);

/* A port is published from now on. */
void account_published(struct engine *e, const struct publish_spec *spec);

#endif
