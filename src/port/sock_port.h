/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ports over a socket have in common: connections come from a supply (port/supply.h) or, the only
 * one, at the start; frames to the guest wait in a send queue; a lost connection is not the
 * end of the guest as long as another may come. The framing is the port's own.
 *
 * A peer that closes has said all it will: what it has sent is still read. Frames that it did
 * not take are lost with the connection, and counted; TCP sends them again on the next.
 */
#ifndef SLUICE_PORT_SOCK_PORT_H
#define SLUICE_PORT_SOCK_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "port/port.h"
#include "port/sendq.h"
#include "port/supply.h"

struct sock_port;

struct sock_framing {
	struct nic_ops nic; /* stage and release; the others are filled in by sock_port_init() */
	/* Writes committed frames until there are none (0) or the socket takes no more (-EAGAIN). Any other value:
	 * the peer takes nothing any more. */
	int (*send)(struct sock_port *s);
	/* Writes the framing that ends in front of at, for a frame of len bytes there. NULL: there is none. */
	void (*build_prefix)(uint8_t *at, uint32_t len);
	/* Forgets what has been read of the last connection and not been staged. */
	void (*reset)(struct sock_port *s);
	void (*free)(struct sock_port *s);
};

/* First member of each port over a socket. */
struct sock_port {
	struct port port;
	struct sock_framing framing;
	struct port_loop *loop; /* while started */
	int supply;
	int fd;          /* the connection; -1: none now */
	bool is_last;    /* no connection will come after this one */
	bool has_vnet;   /* a virtio-net header stands before each frame */
	bool has_more;   /* fd may have something to read */
	bool is_blocked; /* fd takes nothing; PORT_WRITABLE is awaited */
	bool is_deaf;    /* the peer takes nothing any more */
	bool wants_room; /* the engine waits for room */
	uint32_t unsent; /* bytes committed since the last attempt to send */
	struct sendq out;
};

struct sock_port_config {
	int supply;        /* the port's end; taken over */
	uint32_t features; /* NIC_F_... that the peer takes; NIC_F_CSUM needs the header */
	bool has_vnet;
};

/* s is zeroed. prefix_len: bytes of framing in front of each frame, without virtio-net header. Takes the
 * supply when it succeeds. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int sock_port_init(struct sock_port *s,
    const struct sock_port_config *cfg, const struct sock_framing *framing, uint32_t prefix_len);

static inline struct sock_port *sock_port_of(struct nic *nic)
{
	return container_of(nic, struct sock_port, port.nic);
}

/* The connection has ended. The supply is told. */
void sock_port_lose(struct sock_port *s, enum supply_end how, uint32_t value);

/* What stage() returns when there is nothing to stage: 0, or -EPIPE when nothing will ever come. */
int sock_port_none(const struct sock_port *s);

/* Reading has failed with errno, or ended (0); bytes: of an unfinished frame. Whether the connection is over. */
bool sock_port_read_failed(struct sock_port *s, int error, uint32_t bytes);

#endif
