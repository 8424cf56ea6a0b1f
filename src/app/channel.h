/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel between the launcher and the sandbox's init process: messages of fixed size on a
 * socket pair of type SOCK_SEQPACKET. The launcher treats what comes from init as foreign: init
 * shares a user namespace with the command.
 */
#ifndef SLUICE_APP_CHANNEL_H
#define SLUICE_APP_CHANNEL_H

#include <stdint.h>

enum channel_type {
	/* launcher to init */
	CHANNEL_GO = 1,     /* the id maps are written */
	CHANNEL_START,      /* the network works: run the command */
	CHANNEL_SIGNAL,     /* value: a signal that the launcher got */
	CHANNEL_FOREGROUND, /* take the terminal: the launcher's group has been given it */
	/* init to launcher */
	CHANNEL_TAP,       /* value: NIC_F_...; carries the TAP's descriptor */
	CHANNEL_READY,     /* all namespaces are set up */
	CHANNEL_STOPPED,   /* the command has stopped; value: by which signal */
	CHANNEL_CONTINUED, /* it runs again */
	CHANNEL_TERMINAL,  /* the terminal has sent this signal to the sandbox's process group */
	CHANNEL_ENDED,     /* the command has ended; value: its wait status */
};

#define CHANNEL_FROM_TERMINAL 0x100U /* the terminal has sent it, to the launcher's group */

#define CHANNEL_OWN UINT64_MAX /* as time_ns: a signal of the launcher himself */

struct channel_message {
	uint32_t type; /* enum channel_type */
	uint32_t value;
	uint64_t time_ns; /* CHANNEL_SIGNAL: when the launcher got this signal before; 0: never */
};

/* Makes the pair: both ends close-on-exec. 0, or -1 with errno. */
__attribute__((warn_unused_result)) int channel_open(int ret_ends[2]);

/* Sends a message, with a descriptor unless fd is -1. 0, or -1 with errno; no SIGPIPE. */
__attribute__((warn_unused_result)) int channel_send(
    int end, struct channel_message message, int fd);

/* Waits for a message. 1 and a message, with *ret_fd a close-on-exec descriptor or -1; 0 when the other
 * end has gone; -1 with errno (EBADMSG: not a message;
 * EMFILE: no room for its descriptor). ret_fd may be NULL: a descriptor is then
 * refused. */
__attribute__((warn_unused_result)) int channel_receive(
    int end, struct channel_message *ret_message, int *ret_fd);

#endif
