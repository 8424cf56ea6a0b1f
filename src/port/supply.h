/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supply of connections: how a port in a confined process gets descriptors that it could not open
 * itself. The launcher listens or dials, and hands over one connected descriptor; the port serves it and says
 * how it ended; then the launcher may hand over the next. So a guest's link can come back while its
 * flows stay.
 *
 * It is a pair of SOCK_SEQPACKET sockets. The launcher's end takes no descriptors: what the port's process
 * would send back is closed by the kernel.
 */
#ifndef SLUICE_PORT_SUPPLY_H
#define SLUICE_PORT_SUPPLY_H

#include <stdint.h>

/* How a connection ended. */
enum supply_end {
	SUPPLY_CLOSED = 1, /* by the peer; value: 0, or the errno by which that was noticed */
	SUPPLY_CUT,        /* by the peer in the middle of a frame; value: bytes of it that came */
	SUPPLY_BAD_LENGTH, /* by us: the peer announced a frame of value bytes */
	SUPPLY_BROKEN,     /* by us: the peer broke the protocol otherwise; value: the port's own */
};

struct supply_report {
	uint32_t end;   /* enum supply_end */
	uint32_t value; /* see there */
};

/* Makes a pair, close-on-exec and non-blocking: [0] for the launcher, [1] for the port. 0 or -errno. */
__attribute__((warn_unused_result)) int supply_pair(int ret_ends[2]);

/* Launcher: hands a descriptor over, keeping its own. 0 or -errno. */
__attribute__((warn_unused_result)) int supply_give(int end, int fd);

/* Launcher: the connection that was handed over last is over, which the port may not see for itself. */
void supply_hang_up(int end);

/* Launcher: no more will come; the port is done when what it has got has ended. */
void supply_finish(int end);

/* Launcher: how a connection ended. 1; 0: the port has gone; -EAGAIN: nothing has been said; other -errno. */
__attribute__((warn_unused_result)) int supply_hear(int end, struct supply_report *ret_report);

/* Port: the next descriptor, close-on-exec. -EAGAIN: none now; -ENOTCONN: the last one is over; -EPIPE: no more will
 * come. */
__attribute__((warn_unused_result)) int supply_take(int end);

/* Port: how the connection has ended; the launcher is free not to listen. */
void supply_report(int end, enum supply_end how, uint32_t value);

#endif
