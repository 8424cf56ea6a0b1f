/* SPDX-License-Identifier: Apache-2.0 */
/* Why a flow ended: the words of events. */
#ifndef SLUICE_FLOW_FLOW_END_H
#define SLUICE_FLOW_FLOW_END_H

/* X(symbol, "name") */
#define FLOW_ENDS(X)                                                                               \
	X(CLOSED, "closed")                   /* both sides closed in order */                     \
	X(GUEST_RESET, "guest_reset")         /* RST by the guest */                               \
	X(REMOTE_RESET, "remote_reset")       /* RST by the remote side */                         \
	X(REFUSED, "refused")                 /* connect: RST */                                   \
	X(UNREACHABLE, "unreachable")         /* no route, or ICMP unreachable */                  \
	X(CONNECT_TIMEOUT, "connect_timeout") /* connect: no answer */                             \
	X(GUEST_TIMEOUT, "guest_timeout")     /* the guest does not answer any more */             \
	X(REMOTE_TIMEOUT, "remote_timeout")   /* the remote side does not answer any more */       \
	X(IDLE, "idle")                       /* idle limit, the normal end of a UDP flow */       \
	X(EVICTED, "evicted")                 /* made room for another flow */                     \
	X(POLICY, "policy")                   /* not allowed any more */                           \
	X(CONFLICT, "conflict")               /* retransmission with other bytes */                \
	X(HOST_ERROR, "host_error")           /* the host's socket failed otherwise */             \
	X(SHUTDOWN, "shutdown")               /* the engine ended */

enum flow_end {
#define X(symbol, name) FLOW_END_##symbol,
	FLOW_ENDS(X)
#undef X
	FLOW_END_COUNT
};

const char *flow_end_name(enum flow_end end);

#endif
