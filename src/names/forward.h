/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS forwarder: questions go to resolvers until one of them answers.
 *
 * What goes out is built anew from the question: its own identifier, a port that few other questions share, the
 * letters' case at random; an answer counts only if all of it comes back from where it was sent (threats.md D13,
 * D15, D16; RFC 5452). No byte of the guest is passed on.
 *
 * A resolver that is silent is asked again, and the next one beside it, at growing intervals; the next questions do
 * not wait for it (behaviours.md D11). Every question ends after one timeout (D12). What a resolver says is final, be
 * it SERVFAIL (D13). An answer that does not fit a datagram is asked for again by TCP.
 *
 * No input or output of its own: sockets are an ops table, time is an argument. One forwarder per engine.
 */
#ifndef SLUICE_NAMES_FORWARD_H
#define SLUICE_NAMES_FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/addr.h"
#include "base/htab.h"
#include "base/list.h"
#include "base/name.h"
#include "base/pool.h"
#include "base/wheel.h"
#include "wire/dns.h"

enum {
	FORWARD_SERVERS_MAX = 32, /* of all groups */
	FORWARD_GROUPS_MAX = 16,
	FORWARD_JOBS_MAX = 4096,  /* questions without an answer */
	FORWARD_ATTEMPTS_MAX = 4, /* of one question that are waited for */
	FORWARD_UDP_SLOTS = 64,   /* sockets at once */
	FORWARD_TCP_SLOTS = 32,   /* connections at once */
	FORWARD_SLOTS = FORWARD_UDP_SLOTS + FORWARD_TCP_SLOTS,
	FORWARD_SLOTS_PER_SERVER =
	    16,                  /* UDP sockets to one server, over which questions are spread */
	FORWARD_SLOT_USES = 64,  /* questions by one UDP socket */
	FORWARD_UDP_SIZE = 1232, /* largest answer by UDP that is asked for: no fragments */
	FORWARD_UDP_RECV = 4096, /* ... that is taken, where a server does not keep to that */
};

#define FORWARD_NEVER UINT64_MAX

/* The sockets, by the number of their slot. Results are 0 or -errno. */
struct forward_ops {
	int (*open)(void *ctx, uint32_t slot, const struct endpoint *to, bool is_tcp);
	/* A datagram, or by TCP bytes of which the number taken is returned. */
	ssize_t (*send)(void *ctx, uint32_t slot, uint8_t *bytes, size_t len);
	void (*close)(void *ctx, uint32_t slot);
	void (*random)(void *ctx, void *buf, size_t len);
	/* The question of a job has its answer, or with msg NULL none; the job is gone when this returns. */
	void (*done)(void *ctx, void *owner, const uint8_t *msg, size_t len);
};

struct forward_question {
	struct dns_question question;
	bool is_dnssec_ok;         /* DO */
	bool is_checking_disabled; /* CD */
	bool has_server;           /* only this one is asked, once, and no other way */
	bool is_tcp;               /* ... by TCP */
	struct endpoint server;
	uint32_t group; /* of servers, unless has_server */
	void *owner;    /* comes back */
};

/* One message that was sent for a job. */
struct forward_attempt {
	struct list_node of_slot; /* not linked: none */
	uint32_t slot;
	uint32_t server; /* number, or FORWARD_SERVER_NONE */
	uint64_t sent_ns;
	uint16_t id;
	bool has_edns;
	bool has_case; /* the letters' case is at random */
	bool is_tcp;
};

#define FORWARD_SERVER_NONE 0xffffffffU

struct forward_job {
	struct pool_head head;
	struct forward_question q;
	struct timer timer;
	uint64_t deadline_ns;
	uint64_t wait_ns; /* until the next attempt */
	uint32_t tries;   /* attempts made */
	uint32_t next;    /* attempts[next] is used next */
	uint32_t server;  /* tried last */
	bool is_tcp;      /* a datagram is not enough */
	bool is_case_odd; /* ... because its letters' case was another than was sent */
	uint8_t case_bits[(DNS_NAME_MAX + 7) / 8]; /* letters that were sent in upper case */
	struct forward_attempt attempts[FORWARD_ATTEMPTS_MAX];
};

struct forward_server {
	uint64_t srtt_ns;  /* 0: not known */
	uint64_t heard_ns; /* last answer */
	uint64_t dead_until_ns;
	struct endpoint to;
	bool has_no_edns;   /* it refuses EDNS */
	bool keeps_no_case; /* it does not send back the letters' case */
	uint32_t fails;     /* in a row; 0: it answers */
};

struct forward_slot {
	struct list_node attempts;
	uint32_t server;
	uint32_t pending;
	uint32_t uses;
	bool is_open;
	bool is_tcp;
	/* TCP */
	uint32_t sent;
	uint32_t out_len;
	uint32_t got;
	uint8_t out[2 + DNS_QUERY_SIZE_MAX];
	uint8_t *in; /* 2 + DNS_MSG_MAX bytes, made when needed */
};

struct forward_group {
	uint32_t first; /* server */
	uint32_t count;
};

struct forward {
	const struct forward_ops *ops;
	void *ctx;
	uint64_t timeout_ns;
	struct pool pool; /* struct forward_job */
	struct htab by_id;
	struct wheel wheel;
	struct forward_server servers[FORWARD_SERVERS_MAX];
	uint32_t server_count;
	struct forward_group groups[FORWARD_GROUPS_MAX];
	struct forward_slot slots[FORWARD_SLOTS];
	struct forward_counters {
		uint64_t sent;     /* messages to servers */
		uint64_t answers;  /* that counted */
		uint64_t ignored;  /* messages that answer nothing */
		uint64_t failures; /* questions without an answer */
		uint64_t by_tcp;   /* asked again by TCP */
	} counters;
};

/* 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int forward_init(struct forward *f,
    const struct forward_ops *ops, void *ctx, uint64_t timeout_ns, uint64_t now_ns);
/* Closes what is open, tells no owner anything. Also for a forwarder that is all zero. */
void forward_fini(struct forward *f);

/* The servers of a group, in order, in place of those before; groups not set have none. What is under way goes on.
 * 0, or -ENOSPC. */
__attribute__((warn_unused_result)) int forward_set_group(
    struct forward *f, uint32_t group, const struct endpoint *servers, uint32_t count);

/* Asks. 0: done() follows, not before this returns; -ESRCH: the group has no servers; -ENOSPC: too many questions. */
__attribute__((warn_unused_result)) int forward_ask(
    struct forward *f, const struct forward_question *q, uint64_t now_ns);

/* A datagram has come by a slot's socket. Anything that is not the answer to what was asked there is ignored. */
void forward_on_datagram(
    struct forward *f, uint32_t slot, const uint8_t *msg, size_t len, uint64_t now_ns);

/* A slot's socket has failed, or by UDP the server has been told to be unreachable. */
void forward_on_error(struct forward *f, uint32_t slot, uint64_t now_ns);

/* A slot's connection takes bytes. */
void forward_on_writable(struct forward *f, uint32_t slot, uint64_t now_ns);

/* Where bytes of a slot's connection are to be put, *ret_room of them at most; NULL: none are wanted. */
uint8_t *forward_room(struct forward *f, uint32_t slot, size_t *ret_room);
/* They are there; len 0: end of file. False: the connection is not needed any more, and closed. */
bool forward_on_bytes(struct forward *f, uint32_t slot, size_t len, uint64_t now_ns);

/* What is due now, at most max; true if there may be more. */
bool forward_on_time(struct forward *f, uint64_t now_ns, uint32_t max);

/* Whether no question waits for an answer. Then forward_rest() closes all sockets: the next question leaves by other
 * ports, and from the address that the host has then. */
bool forward_is_idle(const struct forward *f);
void forward_rest(struct forward *f);

/* When forward_on_time() is needed next, or FORWARD_NEVER. */
uint64_t forward_next_ns(struct forward *f);

#endif
