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
#include "base/name.h"
#include "flow/flow_end.h"
#include "policy/policy.h"
#include "wire/drop.h"

enum event_kind {
	EVENT_FLOW_END,  /* a flow that was let through has ended */
	EVENT_DENIED,    /* a connection, datagram flow or echo request was refused by policy */
	EVENT_REFUSED,   /* ... or by a limit of sluice itself; reason says which */
	EVENT_PUBLISHED, /* a port of the host (remote) leads to one of the guest from now on */
	EVENT_QUERY,     /* a name was asked for */
	EVENT_FLOW_ENDS_LIMITED, /* count ends of flows were not told; only kind, times and count are set */
};

/* What was asked, and what was answered. */
struct event_query {
	const struct name *name; /* empty: the root, or what is no name of a host */
	uint16_t type;           /* of record */
	uint16_t rcode;          /* of the answer */
	bool is_cached;          /* answered without asking outside */
	const struct ip_addr *addrs;
	uint32_t addr_count;
};

struct engine_event {
	enum event_kind kind;
	enum policy_proto proto;
	struct endpoint guest;         /* port 0 for ICMP */
	struct endpoint remote;        /* as the guest dialed it; or the client, if is_inbound */
	bool is_inbound;               /* a client of a published port has opened it */
	struct policy_verdict verdict; /* that let it through, or refused it */
	/* That it was for, as far as is known; NULL: none. For the call only. */
	const struct name *name;
	enum flow_end end;               /* EVENT_FLOW_END */
	enum drop_reason reason;         /* EVENT_REFUSED */
	const struct event_query *query; /* EVENT_QUERY, else NULL; borrowed */
	uint64_t start_ns;               /* monotonic clock of the engine */
	uint64_t end_ns;
	uint64_t tx_bytes; /* payload, guest to remote */
	uint64_t rx_bytes; /* payload, remote to guest */
	uint64_t count;    /* refusals or ends that this event stands for, >= 1 */
};

#endif
