/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events: what the engine tells about flows and denials. The receiver (src/app/events.c) writes
 * them as JSON lines.
 */
#ifndef SLUICE_ENGINE_EVENT_H
#define SLUICE_ENGINE_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "policy/policy.h"
#include "wire/drop.h"

enum event_kind {
	EVENT_FLOW_END, /* a flow that was let through has ended */
	EVENT_DENIED,   /* a connection, datagram flow or echo request was refused by policy */
	EVENT_REFUSED,  /* ... or by a limit of sluice itself; reason says which */
};

/* Why a flow ended. X(symbol, "name") */
#define FLOW_ENDS(X)                                                                               \
	X(CLOSED, "closed")                   /* both sides closed in order */                     \
	X(GUEST_RESET, "guest_reset")         /* RST by the guest */                               \
	X(REMOTE_RESET, "remote_reset")       /* RST by the remote side */                         \
	X(REFUSED, "refused")                 /* connect: RST */                                   \
	X(UNREACHABLE, "unreachable")         /* connect: no route, or ICMP unreachable */         \
	X(CONNECT_TIMEOUT, "connect_timeout") /* connect: no answer */                             \
	X(GUEST_TIMEOUT, "guest_timeout")     /* the guest does not answer any more */             \
	X(REMOTE_TIMEOUT, "remote_timeout")   /* the remote side does not answer any more */       \
	X(IDLE, "idle")                       /* idle limit, the normal end of a UDP flow */       \
	X(EVICTED, "evicted")                 /* made room for another flow */                     \
	X(HOST_ERROR, "host_error")           /* the host's socket failed otherwise */             \
	X(SHUTDOWN, "shutdown")               /* the engine ended */

enum flow_end {
#define X(symbol, name) FLOW_END_##symbol,
	FLOW_ENDS(X)
#undef X
	FLOW_END_COUNT
};

const char *flow_end_name(enum flow_end end);

struct engine_event {
	enum event_kind kind;
	enum policy_proto proto;
	struct endpoint guest;         /* port 0 for ICMP */
	struct endpoint remote;        /* as the guest dialed it */
	struct policy_verdict verdict; /* that let it through, or refused it */
	enum flow_end end;             /* EVENT_FLOW_END */
	enum drop_reason reason;       /* EVENT_REFUSED */
	uint64_t start_ns;             /* monotonic clock of the engine */
	uint64_t end_ns;
	uint64_t tx_bytes; /* payload, guest to remote */
	uint64_t rx_bytes; /* payload, remote to guest */
	uint64_t count;    /* refusals that this event stands for, >= 1 */
};

#endif
