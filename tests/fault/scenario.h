/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One of everything that a guest does, in a simulated world: TCP each way and both, quick and slow, in order and
 * not; datagrams small, large and in fragments; echo requests near and far; questions to the resolvers. A test
 * runs it once with something failing and once more without.
 */
#ifndef SLUICE_TESTS_FAULT_SCENARIO_H
#define SLUICE_TESTS_FAULT_SCENARIO_H

#include "sim_world.h"

enum {
	SCENARIO_CONNS = 5,
	SCENARIO_ASKED = 4, /* times that each question is asked */
};

/* Questions that are asked in single packets, and their answers. */
enum scenario_kind {
	SCENARIO_SMALL,    /* a datagram, answered by one */
	SCENARIO_LARGE,    /* ... answered by one larger than the link */
	SCENARIO_JOINED,   /* ... answered by several that came as one */
	SCENARIO_FRAGMENT, /* a datagram in fragments */
	SCENARIO_CLOSED,   /* ... to a closed port: the answer is ICMP */
	SCENARIO_GATEWAY,  /* an echo request to the gateway */
	SCENARIO_ECHO,     /* ... to the outside */
	SCENARIO_ECHO6,
	SCENARIO_NAME, /* a question to the resolvers */
	SCENARIO_KINDS
};

struct scenario {
	struct sim_world *w;
	struct sim_timer timer;
	struct sim_tcp *conns[SCENARIO_CONNS];
	uint32_t rounds; /* of questions in this run */
	uint32_t answers[SCENARIO_KINDS];
};

/* A world for it. is_disordered: the guest's segments come out of order, and what it says first is held. */
struct sim_config scenario_config(bool is_disordered);

/* Takes over the world's functions, until scenario_end(). */
void scenario_begin(struct scenario *s, struct sim_world *w);

/* Runs it to its end, or until the simulation has failed; counts begin at 0. */
void scenario_run(struct scenario *s);

/* Connections that both programs have ended with all bytes of the other one. */
uint32_t scenario_complete(const struct scenario *s);

/* The other connections are over too, and the guest knows. */
bool scenario_is_over(const struct scenario *s);

/* Questions without an answer. */
uint32_t scenario_unanswered(const struct scenario *s);

void scenario_end(struct scenario *s);

#endif
