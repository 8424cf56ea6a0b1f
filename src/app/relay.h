/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries lines from a pipe of the engine to a descriptor that may block (a file, a terminal), so that
 * the engine itself never does. Lines are passed on whole, so that several writers can append to
 * one file.
 */
#ifndef SLUICE_APP_RELAY_H
#define SLUICE_APP_RELAY_H

#include <stdbool.h>
#include <stddef.h>

enum {
	RELAY_SIZE = 65536,
};

struct relay {
	int from;        /* non-blocking; -1: nothing (more) to carry */
	int to;          /* -1: lines are thrown away */
	bool is_foreign; /* what is carried goes to a person: control characters become '?' */
	size_t len;      /* bytes of buf: the begin of a line */
	char *buf;       /* RELAY_SIZE bytes */
};

/* Takes both descriptors. 0, or -1 with errno, and then takes nothing. */
__attribute__((warn_unused_result)) int relay_init(
    struct relay *r, int from, int to, bool is_foreign);
void relay_fini(struct relay *r);

/* Carries what is there. At the end of the pipe, or when nothing can be written any more, from is closed
 * and becomes -1; the first failure to write is told in one sentence that names what. */
void relay_run(struct relay *r, const char *what);

#endif
