/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts fragmented UDP datagrams and echo requests of the guest together again (behaviours.md E2 to E4,
 * threats.md P6). One struct reassembly per engine; its owner calls all functions from one thread.
 *
 * Limits: REASSEMBLY_SETS_MAX datagrams at once, each of at most REASSEMBLY_PIECES_MAX fragments and
 * REASSEMBLY_TIME_NS old, REASSEMBLY_MEMORY_MAX bytes for all. Where there would be more, the oldest
 * gives way.
 */
#ifndef SLUICE_STACK_REASSEMBLY_H
#define SLUICE_STACK_REASSEMBLY_H

#include <stddef.h>
#include <stdint.h>

#include "stack/icmp_out.h"
#include "stack/netif.h"

enum {
	REASSEMBLY_SETS_MAX = 64,
	REASSEMBLY_PIECES_MAX = 128,
	REASSEMBLY_MEMORY_MAX = 1024 * 1024,
};

#define REASSEMBLY_TIME_NS 10000000000ULL
#define REASSEMBLY_NEVER   UINT64_MAX

struct frag_set;

/* Not to be moved while a completed datagram is out. */
struct reassembly {
	struct netif *netif;                        /* borrowed */
	struct icmp_out *icmp;                      /* borrowed; NULL: the guest is not told */
	struct frag_set *sets[REASSEMBLY_SETS_MAX]; /* oldest first */
	uint32_t set_count;
	size_t memory; /* bytes of fragments held, with the slack of their buffers */

	/* the datagram that was completed last, until it is released */
	uint8_t *whole_bytes; /* NULL: none */
	struct iovec whole_iov;
	struct frame whole_frame;
	struct packet whole;
};

void reassembly_init(struct reassembly *r, struct netif *n, struct icmp_out *icmp);
void reassembly_fini(struct reassembly *r);

/* Takes a fragment, whose addresses have been judged. DROP_NONE and *ret_whole == NULL: kept, more is
 * needed. DROP_NONE and a packet, with packet_parse_l4() done: the datagram is complete; the packet is
 * valid until reassembly_release() or the next call. Otherwise the fragment is refused, to be
 * counted by the caller; fragments that were kept before and are lost with it are counted here. */
__attribute__((warn_unused_result)) enum drop_reason reassembly_on_fragment(
    struct reassembly *r, const struct packet *p, uint64_t now_ns, const struct packet **ret_whole);

/* Gives back the memory of the completed datagram, if there is one. */
void reassembly_release(struct reassembly *r);

/* When reassembly_on_time() is needed next, or REASSEMBLY_NEVER. */
uint64_t reassembly_next_ns(const struct reassembly *r);

/* Drops what is too old, and tells the guest of a datagram whose first fragment was there (RFC 792, RFC 8200 4.5). */
void reassembly_on_time(struct reassembly *r, uint64_t now_ns);

#endif
