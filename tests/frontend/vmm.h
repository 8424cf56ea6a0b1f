/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front end's half of a vhost-user connection: sends requests, receives replies. It says what it is told to say, so
 * that tests can also say what no monitor would.
 */
#ifndef SLUICE_TESTS_VMM_H
#define SLUICE_TESTS_VMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/vhost_user.h"

enum {
	VMM_PATIENCE_S = 60, /* for a reply: only keeps a failing test from hanging */
	VMM_FDS_MAX = 64,    /* with one message */
	VMM_NEED_REPLY = 8,  /* flags of a header */
	VMM_VERSION = 1,
};

struct vmm {
	int fd;                     /* -1: not connected */
	uint64_t protocol_features; /* negotiated */
	/* Where the back end runs in the same thread: lets it run, after each message. NULL: it runs by itself. */
	void (*turn)(void *ctx);
	void *turn_ctx;
};

/* Connects to a back end, or takes its connection at a listening socket. 0 or -errno. */
int vmm_connect(struct vmm *v, const char *path);
int vmm_accept(struct vmm *v, int listen_fd);
void vmm_close(struct vmm *v);

/* A message, as it is. 0 or -errno. */
int vmm_send(struct vmm *v, uint32_t request, uint32_t flags, const void *payload, uint32_t len,
    const int *fds, uint32_t fd_count);

/* The reply to a request; ret_fd may be NULL. Returns the length of its payload, or -errno; -EPIPE: the back end has
 * closed the connection. */
int vmm_receive(struct vmm *v, uint32_t request, void *payload, uint32_t cap, int *ret_fd);

/* Requests whose reply is a number. 0 or -errno. */
int vmm_get(struct vmm *v, uint32_t request, uint64_t *ret_value);

/* Requests that are acknowledged where REPLY_ACK has been negotiated. 0; -errno; -EREMOTEIO: refused. */
int vmm_ask(struct vmm *v, uint32_t request, const void *payload, uint32_t len, const int *fds,
    uint32_t fd_count);
int vmm_set(struct vmm *v, uint32_t request, uint64_t value);
int vmm_set_vring(struct vmm *v, uint32_t request, uint32_t index, uint32_t num);

/* A descriptor of a queue; -1: none on purpose. */
int vmm_set_vring_fd(struct vmm *v, uint32_t request, uint32_t index, int fd);
int vmm_get_vring_base(struct vmm *v, uint32_t index, uint32_t *ret_base);

#endif
