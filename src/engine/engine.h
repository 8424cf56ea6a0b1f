/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: one guest's network, without input or output of its own.
 *
 * The owner (src/host/loop.c, the tests' simulator) calls it with the time when something
 * happens, and asks when it next needs to be called. Time is nanoseconds of a monotonic clock. All
 * functions of one engine are called by one thread at a time; engines share nothing.
 */
#ifndef SLUICE_ENGINE_ENGINE_H
#define SLUICE_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/name.h"
#include "base/pool.h"
#include "engine/event.h"
#include "engine/publish_spec.h"
#include "flow/sock.h"
#include "policy/policy.h"
#include "stack/counters.h"
#include "stack/netif.h"
#include "stack/nic.h"
#include "stack/shape.h"

enum {
	ENGINE_RESOLVERS_MAX = 8,
	ENGINE_DNS_ROUTES_MAX = 8,
	ENGINE_DNS_ROUTE_SERVERS_MAX = 3,

	ENGINE_TCP_LIMIT_DEFAULT = 4096,
	ENGINE_TCP_LIMIT_MAX = 1000000,
	ENGINE_TCP_BACKLOG_DEFAULT = 1024,
	ENGINE_UDP_LIMIT_DEFAULT = 4096,
	ENGINE_UDP_LIMIT_MAX = 1000000,
};

#define ENGINE_NEVER UINT64_MAX

/* Servers for the names under a domain, in place of the host's. */
struct engine_dns_route {
	struct name suffix;
	struct endpoint servers[ENGINE_DNS_ROUTE_SERVERS_MAX];
	uint32_t server_count; /* > 0 */
};

struct engine_config {
	struct netif_config netif;
	const struct policy *policy; /* borrowed */

	uint32_t tcp_limit;        /* TCP connections at once */
	uint32_t tcp_backlog;      /* of these, being opened */
	uint64_t tcp_keepalive_ns; /* probe a guest after this idle time; 0: never */
	uint64_t tcp_idle_ns;      /* end a connection after this idle time; 0: never */
	uint32_t udp_limit;        /* UDP flows at once */
	uint64_t udp_idle_ns;      /* end a UDP flow after this idle time */

	struct shape_config shape; /* rate limits of the guest's card */

	struct endpoint resolvers[ENGINE_RESOLVERS_MAX]; /* the host's, in order */
	uint32_t resolver_count;
	uint64_t dns_timeout_ns; /* until a question has failed */
	uint64_t dns_grace_ns;   /* that an address is reachable by its name after its time */
	size_t dns_cache_bytes;  /* 0: answers are not kept */
	bool
	    dns_rebind_protection; /* answers with addresses that policy does not name are refused */
	struct engine_dns_route dns_routes[ENGINE_DNS_ROUTES_MAX];
	uint32_t dns_route_count;

	void (*on_event)(void *ctx, const struct engine_event *event); /* may be NULL */
	void *event_ctx;
};

/* The documented defaults of all limits and times; addresses and policy are left unset. */
void engine_config_defaults(struct engine_config *cfg);

struct engine;

/* nic, sock_ops and counters (zeroed by the caller) are borrowed until engine_free(). 0, -ENOMEM, or
 * -EINVAL for a configuration out of range. */
__attribute__((warn_unused_result)) int engine_new(const struct engine_config *cfg, struct nic *nic,
    const struct sock_ops *sock_ops, void *sock_ctx, struct engine_counters *counters,
    uint64_t now_ns, struct engine **ret_engine);

/* Ends every connection, by RST where the remote side has not got all from the guest, reports each as
 * FLOW_END_SHUTDOWN, and frees everything. NULL is allowed. */
void engine_free(struct engine *e, uint64_t now_ns);

/* From now on this policy judges (borrowed). What was let through before is judged again when the guest uses it, with
 * the name that its first flight had: what is not allowed any more ends. */
void engine_set_policy(struct engine *e, const struct policy *policy);

/* Other rate limits from now on, with full buckets. 0, -EINVAL for values out of range, or -ENOMEM. */
__attribute__((warn_unused_result)) int engine_set_limits(
    struct engine *e, const struct shape_config *limits, uint64_t now_ns);

/* From now on these are the host's resolvers, at most ENGINE_RESOLVERS_MAX. What was learned from others is forgotten; what
 * is under way goes on. */
void engine_set_resolvers(struct engine *e, const struct endpoint *servers, uint32_t count);

/* Publishes a port from now on. sock is bound, and for TCP listening, and belongs to the engine from here on if 0 is
 * returned; -ENOMEM, -ENOSPC (PUBLISH_MAX), or why it cannot be watched. ret_port names the port. */
__attribute__((warn_unused_result)) int engine_publish_add(
    struct engine *e, const struct publish_spec *spec, int sock, struct pool_ref *ret_port);

/* No more clients are let in; connections that stand or are being opened stay. 0 or -ENOENT. Not from on_event. */
int engine_publish_remove(struct engine *e, struct pool_ref port);

/* The port may have frames, or has room again. */
void engine_on_frames(struct engine *e);
void engine_on_room(struct engine *e);

/* The link stands, perhaps with another guest than before: what the guest has not been told of, as its MAC
 * address, is learned anew. Flows stay; a guest that does not know them resets them. */
void engine_on_link_new(struct engine *e);

/* A socket is ready: events of SOCK_... */
void engine_on_sock(struct engine *e, struct sock_owner owner, uint32_t events, uint64_t now_ns);

/* One pass: frames, sockets, timers, in bounded amounts. True if there is more to do at once. Returns
 * -EPIPE when the guest's link is gone, 1 if there is more to do at once, else 0. */
__attribute__((warn_unused_result)) int engine_run(struct engine *e, uint64_t now_ns);

/* The guest will not be heard again: its link is gone, or engine_run() has returned -EPIPE. What it
 * has sent is still delivered. */
void engine_on_link_gone(struct engine *e, uint64_t now_ns);

/* The guest will not be heard again, because the owner ends: connections that it has not ended are reset, which it is
 * told. Otherwise as engine_on_link_gone(). */
void engine_dismiss_guest(struct engine *e, uint64_t now_ns);

/* Whether everything that the guest has sent by TCP has been given to the remote sides. */
bool engine_is_delivered(const struct engine *e);

/* When engine_run() is needed again if nothing happens before, or ENGINE_NEVER. */
uint64_t engine_next_ns(struct engine *e);

#endif
