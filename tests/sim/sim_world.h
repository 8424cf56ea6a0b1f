/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole engine between the simulated guest and the simulated host, turned by a loop like that of
 * src/host/loop.c, and the properties that hold in every run whatever happens:
 *
 *	- each frame to the guest is right in itself (sim_check_to_guest());
 *	- the right edge of the window that the guest is told never moves left by as much as one unit of its
 *	  scale (RFC 7323 2.4);
 *	- nothing is sent to the guest again on a link that loses nothing;
 *	- what waits in the engine is bounded by what was promised;
 *	- lists and counters of the tables agree with the flows (sim_check.c);
 *	- the engine comes to rest: it does not spin.
 *
 * Bytes, windows and order are checked by guest and host as they come.
 */
#ifndef SLUICE_TESTS_SIM_WORLD_H
#define SLUICE_TESTS_SIM_WORLD_H

#include "engine/engine.h"
#include "sim.h"
#include "sim_guest.h"
#include "sim_host.h"
#include "sim_link.h"
#include "sim_nic.h"

enum {
	SIM_PORT_FIRST = 10000, /* of the remote sides of sim_world_connect() */
};

/* The policy of tests: see sim_policy.c. */
struct policy {
	bool denies_all;
	uint16_t denied_port;    /* 0: none */
	struct name denied_name; /* with all below it; empty: none */
	/* Judges instead; NULL: the others do. */
	struct policy_verdict (*judge)(const void *ctx, const struct policy_query *q);
	const void *ctx;
};

struct sim_config {
	uint64_t seed;
	uint64_t start_ns;
	uint16_t mtu;
	struct sim_nic_config nic;
	struct sim_impair tx; /* from the guest */
	struct sim_impair rx;
	bool is_segmented;      /* large frames are cut before they reach the guest */
	uint32_t guest_batch;   /* frames that the guest takes at once */
	uint64_t guest_poll_ns; /* time between two batches */
	uint64_t wake_ns;       /* from an event to the engine's turn */
	uint64_t pass_ns;       /* time that one turn takes */
	uint32_t host_batch;    /* socket events in one turn; 0: many */
	bool has_no_peek_offset;
	bool has_checks_off;  /* the guest breaks rules: retransmissions are no failure */
	uint32_t check_every; /* turns between two looks at all flows; 0: one */

	uint32_t tcp_limit; /* 0: defaults of the engine */
	uint32_t tcp_backlog;
	uint64_t keepalive_ns; /* SIM_NEVER: none */
	uint64_t idle_ns;
	uint32_t udp_limit;
	uint64_t udp_idle_ns;
	bool has_no_v4;
	bool has_no_v6;
	uint32_t resolver_count;
	bool learns_mac; /* the engine does not know the guest's MAC address */
};

/* An ordinary world: MTU 1500, a frame device with all offloads. */
struct sim_config sim_config_defaults(uint64_t seed);

struct sim_conn_spec {
	uint8_t family;
	struct sim_tcp_config tcp;
	struct sim_app_plan guest;
	struct sim_remote remote; /* with the remote program */
	uint16_t port;            /* the guest's; 0: one that was not used yet */
};

/* A connection with both programs idle: nothing sent, closed when the other side closes. */
struct sim_conn_spec sim_conn_defaults(const struct sim_config *cfg, uint8_t family);

struct sim_world {
	struct sim sim;
	struct sim_config cfg;
	struct sim_nic nic;
	struct sim_host host;
	struct sim_guest guest;
	struct sim_dir tx;
	struct sim_dir rx;
	struct sim_queue waiting; /* frames of the guest that found the device full */
	struct sim_link_facts facts;
	struct netif_config netif;
	struct policy policy;
	struct engine *engine;
	struct engine_counters counters;
	struct sim_ports watches; /* struct sim_watch, by the guest's port */
	struct sim_ports remotes; /* struct sim_remote, by the remote side's port; NULL: silent */
	uint16_t next_port;
	uint16_t next_remote;

	struct sim_timer poll_timer; /* the guest takes frames */
	uint64_t turn_ns;            /* when the engine has its turn; SIM_NEVER: not yet known */
	uint64_t busy_until_ns;
	uint64_t turns;
	uint32_t idle_turns; /* in a row: nothing came and nothing went, and yet there was more */
	bool is_lossless;    /* neither direction loses, doubles or reorders */

	uint64_t ends[FLOW_END_COUNT]; /* events of flows by end */
	uint64_t denials;
	uint64_t refusals;
	uint64_t queries; /* names that were asked for */
	uint64_t published;
	bool watch_no_shift;   /* the guest's servers do not scale windows */
	uint64_t ends_limited; /* that were not told */
	uint64_t limit_events; /* ... by so many events */
	struct engine_event last_end;
	struct engine_event last_refusal;
	struct name last_name; /* of that; of length 0: none */
	void (*on_flow_end)(void *ctx, const struct engine_event *e);
	void *ctx;
};

void sim_world_init(struct sim_world *w, const struct sim_config *cfg);
/* Frees the engine, which resets what is left, and everything else. */
void sim_world_fini(struct sim_world *w);

/* What is at a remote port, whatever the address. */
void sim_world_serve(struct sim_world *w, uint16_t port, const struct sim_remote *remote);

/* Publishes a port of the guest: the socket of the host, whose clients come by sim_host_client() or
 * sim_peer_datagram(); ret_port may be NULL. */
struct sim_sock *sim_world_publish(
    struct sim_world *w, const struct publish_spec *spec, struct pool_ref *ret_port);

/* Opens a connection to a remote port of its own, where the spec's remote program is. */
struct sim_tcp *sim_world_connect(struct sim_world *w, const struct sim_conn_spec *spec);

/* The host's socket of the connection, or NULL. */
struct sim_sock *sim_world_sock(struct sim_world *w, const struct sim_tcp *c);

/* Sends a frame from the guest, past the link. */
void sim_world_inject(struct sim_world *w, struct sim_frame *f);

/* Runs until nothing more will happen, or until the time; false: something went wrong. */
bool sim_world_run(struct sim_world *w, uint64_t until_ns);
/* Runs until done says so, at most until the time; false also when it was not reached. */
bool sim_world_run_until(struct sim_world *w, bool (*done)(struct sim_world *w), uint64_t until_ns);

/* Nothing will happen any more. */
bool sim_world_is_idle(struct sim_world *w);

/* Fails unless both programs of the connection have what the other one sent, and their ends. */
void sim_world_expect_complete(struct sim_world *w, const struct sim_tcp *c);
/* ... unless no flow, socket, byte or timer is left. */
void sim_world_expect_empty(struct sim_world *w);

uint32_t sim_world_flows(const struct sim_world *w); /* in the table, TIME-WAIT included */

/* ---- sim_check.c ---- */

/* Fails where the engine's structures contradict each other. */
void sim_check_engine(struct sim_world *w);

/* ---- sim_watch.c ---- */

/* A frame that the engine has committed. */
void sim_watch_frame(struct sim_world *w, const struct sim_frame *f);

#endif
