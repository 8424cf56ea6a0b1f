/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's sockets behind struct sock_ops, and the loop that turns an engine.
 */
#ifndef SLUICE_HOST_HOST_H
#define SLUICE_HOST_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"
#include "flow/sock.h"
#include "port/port.h"

struct host;

struct host_config {
	uint32_t sock_limit;  /* descriptors are below this, at most 1 << 30 */
	uint32_t keepalive_s; /* TCP: probe the remote side after this idle time; 0: never */
	bool has_udp_gro;     /* the guest takes several datagrams in one frame */
	bool no_peek_offset;  /* do without SO_PEEK_OFF (kernels before 6.9), for tests */
};

/* Opens an epoll instance and learns what the kernel can do. 0 or -errno. */
__attribute__((warn_unused_result)) int host_new(
    const struct host_config *cfg, struct host **ret_host);
void host_free(struct host *h);

/* Changes has_udp_gro for sockets that are opened from now on. */
void host_set_udp_gro(struct host *h, bool has_udp_gro);

extern const struct sock_ops host_sock_ops;

/* The host's loop works on f (borrowed) too, if not NULL. Before the loop begins. */
struct host_follow;
void host_set_follow(struct host *h, struct host_follow *f);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t host_now_ns(void);

/* A byte on stop_fd. */
enum host_stop {
	HOST_STOP_DELIVER = 0, /* no more will come from the guest */
	HOST_STOP_DISMISS =
	    1, /* the guest is still there: reset what it has not ended, and leave it */
	HOST_RESOLVERS = 2, /* nothing stops: the host's resolvers are others, as in the message */
};

/* What follows a byte HOST_RESOLVERS, written together with it; the descriptor is a pipe then. */
struct host_resolvers_message {
	uint8_t order; /* HOST_RESOLVERS */
	uint32_t count;
	struct endpoint servers[ENGINE_RESOLVERS_MAX];
};

/* Runs the engine over the port. A byte on stop_fd (enum host_stop), or the end of the guest's link, asks it to
 * deliver what the guest has sent and then to return 0; end of file on stop_fd to return 0 at once. -errno:
 * waiting failed. on_idle, which may be NULL, is called before each wait. */
__attribute__((warn_unused_result)) int host_loop(struct host *h, struct engine *e,
    struct port *port, int stop_fd, void (*on_idle)(void *ctx), void *ctx);

/*
 * The same for an owner who waits himself, among other things: he calls host_turn_run() when the descriptor is
 * readable, which it stays as long as there is something to do. A turn makes no system call but
 * epoll_wait(), and timerfd_settime() when the engine's next timer comes sooner than was known.
 */
struct host_turn;

enum {
	HOST_TURN_ENDED = 1, /* the guest is gone, and what it has sent has been delivered */
};

/* Starts the port. 0 or -errno. */
__attribute__((warn_unused_result)) int host_turn_new(
    struct host *h, struct engine *e, struct port *port, struct host_turn **ret_turn);

/* Stops the port; before the engine, the port and the host are freed. NULL is allowed. */
void host_turn_free(struct host_turn *t);

/* Readable when host_turn_run() is needed. It belongs to the host. */
int host_turn_fd(const struct host_turn *t);

/* Does what can be done without waiting, in a bounded amount. 0, HOST_TURN_ENDED, or -errno. */
__attribute__((warn_unused_result)) int host_turn_run(struct host_turn *t);

/* Asks to deliver what the guest has sent, and then to end. */
void host_turn_finish(struct host_turn *t);

#endif
