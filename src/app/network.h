/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One guest's network, as its launcher makes and holds it: from options to an engine's process, and what comes
 * out of that. The order of calls is that of this file.
 */
#ifndef SLUICE_APP_NETWORK_H
#define SLUICE_APP_NETWORK_H

#include <sys/types.h>

#include "app/net_options.h"
#include "app/published.h"
#include "app/relay.h"
#include "app/rules.h"
#include "engine/engine.h"
#include "host/host.h"
#include "port/port_open.h"

struct network {
	struct engine_config config;
	struct policy *policy;            /* owned; config borrows it. NULL: no network */
	struct policy_builder *builder;   /* owned; of the policy */
	int addresses;                    /* tells changes of the host's addresses; -1: none */
	struct engine_counters *counters; /* shared with the engine; NULL: not yet */
	pid_t engine;                     /* its process; -1: none */
	int control;                      /* to the engine; -1: none */
	int resolvers;                    /* tells changes of the host's resolvers; -1: none */
	int ready;                        /* from the engine, until it is ready; -1: none */
	int events_write;                 /* the engine's ends; -1: none */
	int messages_write;
	struct publish_spec *ports; /* owned: those of the document */
	size_t port_count;
	struct published published; /* ports of the host that lead to the guest */
	struct relay events;        /* from the engine to the events file */
	struct relay messages;      /* from the engine's standard error to ours */
};

struct network network_none(void);

/* Addresses, policy and resolvers; takes the builder and the ports of the plan. 0, or -1 with one sentence printed. */
__attribute__((warn_unused_result)) int network_plan(struct network *n, struct net_plan *plan);

/* Notes what was planned; guest: what the guest is called. */
void network_tell(const struct network *n, const char *guest);

/* Counters, published ports, and pipes for what the engine tells; without events if options.events is NULL. 0, or -1 with one
 * sentence printed. */
__attribute__((warn_unused_result)) int network_open(
    struct network *n, const struct net_options *options);

/* Makes the engine's process. 0, or -1 with one sentence printed. */
__attribute__((warn_unused_result)) int network_start_engine(
    struct network *n, const struct port_config *port);

/* Closes the engine's ends of the pipes, and its sockets: when it is gone, so are they. */
void network_close_engine_ends(struct network *n);

/* Waits until the engine is confined and can take frames. 0, or -1: it tells itself why not. */
__attribute__((warn_unused_result)) int network_wait_for_engine(struct network *n);

/* Asks the engine to deliver what the guest has sent, and to exit. */
void network_end_engine(struct network *n, enum host_stop how);

/* Tells the engine to exit at once. */
void network_abort_engine(struct network *n);

/* What to poll for, and what to do then: the host may have other resolvers, of which the engine is told. */
struct pollfd network_pollfd(const struct network *n);
void network_on_resolvers(struct network *n);

/* Prints all counters, if there are any. */
void network_print_stats(const struct network *n);

/* Waits for the engine's process if it is still there, and gives everything back. */
void network_fini(struct network *n);

#endif
