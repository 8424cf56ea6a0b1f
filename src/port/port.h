/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A port: one attachment of a guest. It is a frame device (stack/nic.h) and whatever descriptors that
 * needs: a TAP, a socket and its listener, the eventfds of virtqueues.
 *
 * The loop (host/loop.c) owns epoll. A port asks it to watch its descriptors, level-triggered, and is told
 * when one is ready; its answer says what that means for the engine. Descriptors may come and go
 * at any time. All functions are called by the engine's thread.
 */
#ifndef SLUICE_PORT_PORT_H
#define SLUICE_PORT_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/nic.h"

enum {
	PORT_READABLE = 1, /* or at its end of file, or in error */
	PORT_WRITABLE = 2,
	PORT_PAUSES =
	    4, /* with PORT_READABLE, for one descriptor: it need not be told as long as the engine
			  * takes no frames (nic.is_held) */
	PORT_EDGE = 8, /* with the others: told once per change, so that nothing need be read */

	/* What has happened, for the engine. */
	PORT_HAS_FRAMES = 1, /* stage() may have something */
	PORT_HAS_ROOM = 2,   /* reserve() may succeed again */
	PORT_IS_GONE = 4,    /* the guest will not come back: the port is done */
	PORT_IS_NEW = 16,    /* the link stands again, perhaps with another guest */
};

struct port;

/* The loop as a port sees it. */
struct port_loop {
	/* Watches fd for PORT_READABLE and PORT_WRITABLE; token (0 .. 65535, the port's own) comes back. Again for
	 * the same fd: changes events and token. 0 or -errno. */
	int (*watch)(struct port_loop *l, int fd, uint32_t events, uint16_t token);
	/* Before fd is closed. */
	void (*unwatch)(struct port_loop *l, int fd);
};

struct port_ops {
	/* Begins: watches what is to be watched. 0 or -errno. */
	int (*start)(struct port *p, struct port_loop *loop);
	/* A watched descriptor is ready (PORT_READABLE, PORT_WRITABLE). Returns PORT_HAS_..., PORT_IS_GONE. */
	uint32_t (*on_ready)(struct port *p, uint16_t token, uint32_t events);
	/* What has come that no descriptor tells, as on_ready(). Asked in each turn, and with is_waiting before the
	 * loop waits: from now on a descriptor must tell; but if the answer is not 0, it does not wait. With
	 * nic.is_held frames are no answer. May be NULL. */
	uint32_t (*poll)(struct port *p, bool is_waiting);
	/* Watches nothing any more. Called once after start() has succeeded; the loop is gone afterwards. */
	void (*stop)(struct port *p);
	/* Closes everything; after stop(), if it was started. */
	void (*free)(struct port *p);
};

/* First member of each port. */
struct port {
	struct nic nic;
	const struct port_ops *ops;
};

/* NULL is allowed. */
static inline void port_free(struct port *p)
{
	if (p)
		p->ops->free(p);
}

#endif
