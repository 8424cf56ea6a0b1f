/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of resolvers, read and written anew: what the guest gets is made of what was understood and judged, and no
 * byte of another server reaches it unread (behaviours.md D7 to D10, C19; threats.md D4, D8, D10, D11, D14, D21).
 *
 * Kept are the chain of CNAME records that starts at the name that was asked, and behind it the records of the type
 * that was asked, where that is one of answer_is_type_known(); all else is left out. Pure.
 */
#ifndef SLUICE_NAMES_ANSWER_H
#define SLUICE_NAMES_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "wire/dns.h"

enum {
	ANSWER_RECORDS_MAX = 512, /* of one section that are looked at; more are refused */
	ANSWER_CHAIN_MAX = 12,    /* CNAME records in a row */
	ANSWER_ADDRS_MAX = 64,    /* addresses that are passed on, the first of them */
	ANSWER_KEPT_MAX = 256,    /* records that are passed on */
	ANSWER_BODY_MAX = DNS_MSG_MAX - DNS_QUERY_SIZE_MAX - DNS_EDE_SIZE,

	ANSWER_TTL_MAX_S = 86400,
	ANSWER_NEGATIVE_TTL_MAX_S = 3600,
};

/* Whether what an answer says may be told. */
struct answer_judge {
	bool (*addr)(void *ctx, const struct ip_addr *addr);
	/* A name that a CNAME record leads to; NULL: any. */
	bool (*alias)(void *ctx, const struct dns_name *name);
	void *ctx;
};

struct answer {
	uint16_t rcode; /* NOERROR, NXDOMAIN, SERVFAIL or REFUSED */
	bool is_authenticated;
	bool is_filtered;  /* something was left out because it was judged so */
	bool is_refused;   /* ... and nothing is left that was asked for */
	bool is_truncated; /* the server has more, by TCP; nothing of it is here */
	uint16_t answer_count;
	uint16_t authority_count;
	uint32_t ttl_s; /* how long all of it holds; 0: it is not to be kept */
	uint32_t addr_count;
	uint32_t ttl_count;
	struct ip_addr addrs[ANSWER_ADDRS_MAX];
	uint16_t ttl_offs[ANSWER_KEPT_MAX]; /* where TTLs stand in the body */
	size_t body_len;
};

/* The types of records that a guest may ask for: A, AAAA, CNAME, HTTPS, SVCB, and those below the line of answer.c
 * that say nothing about where to connect. */
bool answer_is_type_known(uint16_t type);

/* Reads the answer msg to a question, of which the caller has seen that it is one, and writes the body of the answer
 * for the guest, as it stands behind that question, to body (cap bytes). keeps_dnssec: signatures are wanted. 0, or
 * -EBADMSG: malformed, beyond the bounds above, or to a question for another type. */
__attribute__((warn_unused_result)) int answer_read(const uint8_t *msg, size_t len,
    bool keeps_dnssec, const struct answer_judge *judge, uint8_t *body, size_t cap,
    struct answer *ret_answer);

#endif
