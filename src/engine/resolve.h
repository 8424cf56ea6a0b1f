/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DNS service of an engine: every question to port 53, whatever its address, ends here (behaviours.md 4).
 *
 *	resolve.c         questions: judged before anything is asked; local names, cache
 *	resolve_answer.c  answers: judged, pinned, then told to all who wait for them
 *	resolve_io.c      the sockets to the resolvers
 *	name_stream.c     the guest's connections by TCP
 */
#ifndef SLUICE_ENGINE_RESOLVE_H
#define SLUICE_ENGINE_RESOLVE_H

#include "base/wheel.h"
#include "engine/name_stream.h"
#include "names/cache.h"
#include "names/forward.h"
#include "names/pins.h"
#include "policy/policy.h"

enum {
	RESOLVE_WAITS_MAX = 4096,     /* questions of the guest that wait for an answer */
	RESOLVE_UDP_QUERY_MAX = 4096, /* bytes of one that are looked at */
	RESOLVE_UDP_ANSWER_MAX = 4096,
	RESOLVE_HEAD_ROOM = 8, /* before a message: UDP header, or length of a frame */
};

/* Who asked, and how the answer must look. */
enum resolve_client_kind {
	RESOLVE_UDP,
	RESOLVE_STREAM,
};

struct engine;

struct resolve_client {
	enum resolve_client_kind kind;
	uint8_t family; /* of the packet */
	struct endpoint guest;
	struct endpoint asked; /* the address that the guest sent its question to */
	struct pool_ref ref;   /* the stream */
	uint64_t start_ns;
	struct policy_verdict verdict; /* on the name */
};

/* One of those who wait. */
struct resolve_wait {
	struct pool_head head;
	struct list_node of_lookup;
	struct resolve_client client;
	struct dns_query query;
};

/* A question that is under way; the same question again waits with it. */
struct resolve_lookup {
	struct pool_head head;
	uint32_t hash;
	uint16_t type;
	uint8_t flags; /* enum cache_flag */
	struct endpoint server;
	bool is_tcp; /* the server is asked by TCP, as the guest has asked it */
	struct name name;
	struct list_node waits;
	uint32_t generation; /* of the policy that let it out */
};

struct resolve {
	struct forward forward;
	struct cache cache;
	struct pins pins;
	struct name_streams streams;
	struct siphash_key key;
	struct pool waits;
	struct pool lookups;
	struct htab by_question; /* lookups */
	struct name aliases[2];  /* of the host */
	struct timer timer;      /* TIMER_DNS */
	int socks[FORWARD_SLOTS];
	bool is_dirty[FORWARD_SLOTS]; /* the socket may have something */
	uint32_t dirty[FORWARD_SLOTS];
	uint32_t dirty_count;
	uint8_t *answer; /* RESOLVE_HEAD_ROOM + DNS_MSG_MAX bytes: a message to the guest */
	uint8_t *body;   /* ANSWER_BODY_MAX bytes: an answer that is being built */
};

#endif
