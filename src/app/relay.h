/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries lines from a pipe of the engine to where a person or a program wants them: a file, a terminal, a
 * pipe. The engine never waits for that place, and the launcher does not either: it polls. Lines are
 * passed on whole, so that several writers can append to one file.
 */
#ifndef SLUICE_APP_RELAY_H
#define SLUICE_APP_RELAY_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

enum {
	RELAY_SIZE = 65536,
};

struct relay {
	const char *what; /* what to is, for messages; borrowed */
	int from;         /* non-blocking; -1: nothing (more) to carry */
	int to;           /* -1: lines are thrown away */
	bool is_shown;    /* a person reads it: control characters become '?' */
	size_t len;       /* bytes of buf */
	size_t ready;     /* of these, whole lines that wait to be written */
	char *buf;        /* RELAY_SIZE bytes */
};

/* Takes both descriptors. 0, or -1 with errno, and then takes nothing. */
__attribute__((warn_unused_result)) int relay_init(
    struct relay *r, const char *what, int from, int to, bool is_shown);
void relay_fini(struct relay *r);

/* What relay_run() waits for; fd is -1 when there is nothing (more) to carry. */
struct pollfd relay_pollfd(const struct relay *r);

/* Carries what can be carried without waiting. At the end of the pipe, from is closed and becomes -1; a
 * failure to write is told in one sentence, and what comes afterwards is thrown away. */
void relay_run(struct relay *r);

/* Carries the rest, waiting for the reader at most this long in all; what is lost is told. */
void relay_finish(struct relay *r, int max_ms);

#endif
