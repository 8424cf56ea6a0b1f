/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile peer of the ports over sockets (threats.md P20): frames that are too short, too long, empty, cut into pieces
 * anywhere or not finished, other protocols, and bytes without sense. The seed says which.
 */
#ifndef SLUICE_TESTS_FRAMING_H
#define SLUICE_TESTS_FRAMING_H

#include "dice.h"

struct framing_peer {
	int fd;       /* a connected socket */
	int type;     /* SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET */
	bool is_over; /* the other side has left */
	struct dice dice;
	/* Where the other side runs in the same thread: lets it run. NULL: it runs by itself. */
	void (*turn)(void *ctx);
	void *ctx;
};

/* Sends all that it has to send, or until the other side has left. The socket stays open. */
void framing_attack(struct framing_peer *p);

#endif
