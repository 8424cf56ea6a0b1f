/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published ports inside of the engine: clients of the host come to a socket that is bound there, and are led to a
 * port of the guest.
 */
#ifndef SLUICE_ENGINE_PUBLISH_H
#define SLUICE_ENGINE_PUBLISH_H

#include "base/list.h"
#include "base/pool.h"
#include "base/wheel.h"
#include "engine/publish_spec.h"
#include "flow/tcp_flow.h"
#include "flow/udp_flow.h"

struct engine;

struct publish_port {
	struct pool_head head;
	struct publish_spec spec;
	int sock;               /* listening, or bound; owned */
	uint32_t dialing;       /* connections on their way to the guest */
	bool has_waiting;       /* somebody may wait at the socket */
	struct list_node ready; /* publish.ready, .stalled, .udp_ready or none */
};

struct publish {
	struct pool ports;        /* struct publish_port */
	struct list_node ready;   /* ports that are to be served, in turn */
	struct list_node stalled; /* ports for whose clients there was no descriptor or memory */
	struct timer retry;       /* TIMER_PUBLISH: these are tried again */
	uint64_t draws;           /* of gateway ports */

	/* UDP: made with the first port of it */
	struct list_node udp_ready; /* ports with datagrams */
	struct udp_table udp;       /* of clients */
	uint16_t *udp_guest_ports; /* how often each is published, 65536 numbers; NULL: none ever */
};

/* 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int publish_init(struct engine *e);
void publish_fini(struct engine *e);

/* The socket of a port is ready. */
void publish_on_sock(struct engine *e, struct pool_ref ref, uint32_t events);

/* Takes in who waits, a bounded number. True if there is more to do at once. */
bool publish_serve(struct engine *e);

void publish_on_timer(struct engine *e);

/* Gives the guest the datagrams that have come, a bounded number. False: no room towards it. */
bool publish_udp_serve(struct engine *e);

/* A datagram of the guest: true if it is the answer of a published port, with what became of it. */
bool publish_on_datagram(struct engine *e, const struct packet *p, enum drop_reason *ret_why);

/* For tcp_table.on_dialed; ctx is the engine. */
void publish_on_dialed(void *ctx, const struct tcp_flow *f);

/* ---- between publish.c and publish_udp.c ---- */

/* The family in which the guest is asked. */
uint8_t publish_family(const struct engine *e, const struct publish_port *port);

struct policy_verdict publish_judge(
    const struct engine *e, const struct publish_port *port, const struct endpoint *peer);

/* Whether a TCP flow of a client would be let in by the policy of now. */
bool publish_judge_again(const struct engine *e, const struct tcp_flow *f);

/* Tells that a client was refused; DROP_POLICY: denied. */
void publish_refuse(struct engine *e, const struct publish_port *port, const struct endpoint *peer,
    const struct policy_verdict *verdict, enum drop_reason why);

/* Both ends as the guest is to see them, which is_free() finds unused. False: there is no port left. */
bool publish_draw_key(struct engine *e, const struct publish_port *port,
    const struct endpoint *peer, enum addr_class class,
    bool (*is_free)(const struct engine *e, const struct flow_key *key, uint32_t *ret_hash),
    struct flow_key *ret_key, uint32_t *ret_hash);

__attribute__((warn_unused_result)) int publish_udp_init(struct engine *e);
void publish_udp_fini(struct engine *e);
void publish_udp_forget(struct engine *e, struct pool_ref ref);

#endif
