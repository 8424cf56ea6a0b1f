/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a guest's connection comes from: the launcher's side of a port over sockets. It listens or connects, hands each
 * connection to the engine's process (port/supply.h), hears how it ended, and lets the next one in. One guest
 * at a time: others are turned away.
 */
#ifndef SLUICE_APP_GATE_H
#define SLUICE_APP_GATE_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "app/unix_socket.h"
#include "base/bucket.h"
#include "port/port_open.h"

enum {
	GATE_FDS = 3, /* of gate_poll() */
};

struct gate_config {
	enum port_kind kind; /* one with a supply */
	const char *path;    /* of the socket; borrowed. NULL: fd */
	int fd; /* inherited: connected, listening, or a bound datagram socket; taken over */
	bool is_connecting; /* to path, instead of listening */
	bool is_once;       /* the end of the first connection is the end */
};

struct gate {
	struct gate_config cfg;
	struct unix_socket file; /* what was made at the path */
	int type;                /* SOCK_... */
	int supply;              /* our end; -1: the port has gone */
	int listener;            /* a datagram socket: waits for the first message; -1: none */
	int link;                /* our copy of the connection that is served; -1: none */
	int process;             /* pidfd of the guest behind a datagram socket; -1: none */
	uint32_t given;          /* connections handed over */
	uint32_t ended;          /* of these, reported as ended */
	int64_t retry_ms; /* when to try again what has failed for now; INT64_MAX: nothing has */
	bool is_waiting_told;   /* that nobody listens yet */
	bool has_failed;        /* no guest will come any more, and that has been told */
	struct bucket tellings; /* sentences that others can cause */
};

/* Opens the socket, and connects if that is what is wanted and somebody listens. ret_port_end: the supply's end for
 * the port, the caller's. 0, or -1 with one sentence printed; gate_fini() is due in any case. */
__attribute__((warn_unused_result)) int gate_open(
    struct gate *g, const struct gate_config *cfg, int *ret_port_end);

/* What gate_run() waits for; unused places have -1. */
void gate_poll(const struct gate *g, struct pollfd fds[GATE_FDS]);

/* When gate_run() is due without any event, in milliseconds of CLOCK_MONOTONIC; INT64_MAX: never. */
int64_t gate_next_ms(const struct gate *g);

/* Does what can be done without waiting. False: no guest will come any more, and that has been told. */
__attribute__((warn_unused_result)) bool gate_run(struct gate *g);

/* Closes everything and removes the socket's file. */
void gate_fini(struct gate *g);

#endif
