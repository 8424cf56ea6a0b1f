/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS forwarder: the guest's queries go to the host's resolvers, one after the other until one answers.
 *
 * No input or output of its own: it is given queries, answers and time, and says what to send where.
 * What goes out is built anew from the parsed query, with an identifier of its own; no byte of the
 * guest is passed on (threats.md D13, D15). One forwarder per engine.
 */
#ifndef SLUICE_NAMES_FORWARD_H
#define SLUICE_NAMES_FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/htab.h"
#include "base/list.h"
#include "base/pool.h"
#include "wire/dns.h"

enum {
	FORWARD_PENDING_MAX = 1024, /* queries without an answer yet */
	FORWARD_UDP_SIZE = 4096,    /* largest answer by UDP that resolvers may give us */
};

#define FORWARD_NEVER UINT64_MAX

/* Who asked, and how the answer must look. */
struct forward_client {
	struct endpoint guest;
	struct endpoint asked; /* the address that the guest sent its query to */
	uint8_t family;        /* of the packet */
};

struct forward_pending {
	struct pool_head head;
	struct list_node age;
	struct forward_client client;
	struct dns_query query; /* the guest's, with its identifier */
	uint16_t id;            /* ours */
	uint32_t resolver;      /* the one that is being asked */
	uint32_t tries;
	uint64_t due_ns; /* when the next one is asked */
};

struct forward {
	struct pool pool;
	struct htab by_id;
	struct list_node age; /* pending queries, the first to be due first */
	uint32_t resolver_count;
	uint32_t preferred; /* the resolver that answered last */
	uint64_t timeout_ns;
	struct forward_counters {
		uint64_t queries;
		uint64_t answers;
		uint64_t failures;
	} counters;
};

/* What to do next. */
enum forward_do {
	FORWARD_NOTHING,
	FORWARD_ASK,    /* send bytes to resolver */
	FORWARD_ANSWER, /* send bytes to client */
};

struct forward_action {
	enum forward_do what;
	uint32_t resolver;
	struct forward_client client;
	size_t len; /* bytes written to the caller's buffer */
};

/* resolver_count may be 0: then every query fails. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int forward_init(
    struct forward *f, uint32_t resolver_count, uint64_t timeout_ns);
void forward_fini(struct forward *f);

/* A good query of the guest (query->problem_rcode is 0). random_id is fresh from the random source. Fills
 * buf, of cap >= DNS_QUERY_SIZE_MAX bytes. FORWARD_NOTHING: too many are pending. */
struct forward_action forward_ask(struct forward *f, const struct dns_query *query,
    const struct forward_client *client, uint16_t random_id, uint64_t now_ns, uint8_t *buf,
    size_t cap);

/* A datagram of a resolver; buf may be the buffer that it lies in. Anything that is not the answer to a
 * pending query of this resolver is ignored. */
struct forward_action forward_on_answer(
    struct forward *f, uint32_t resolver, const uint8_t *msg, size_t len, uint8_t *buf, size_t cap);

/* The resolver cannot be reached: its queries become due at once. */
void forward_on_unreachable(struct forward *f, uint32_t resolver, uint64_t now_ns);

/* The next thing that is due; call until FORWARD_NOTHING. */
struct forward_action forward_on_time(struct forward *f, uint64_t now_ns, uint8_t *buf, size_t cap);

/* Whether no query waits for an answer. */
bool forward_is_idle(const struct forward *f);

/* When forward_on_time() is needed next, or FORWARD_NEVER. */
uint64_t forward_next_ns(struct forward *f);

#endif
