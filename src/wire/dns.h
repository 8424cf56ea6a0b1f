/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS messages (RFC 1035, RFC 6891): names, header, question and EDNS of queries; answers without
 * records. A message starts at its header, behind the UDP header or the two bytes of length.
 */
#ifndef SLUICE_WIRE_DNS_H
#define SLUICE_WIRE_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rd.h"
#include "base/wr.h"

enum {
	DNS_PORT = 53,

	DNS_HDR_SIZE = 12,
	DNS_NAME_MAX = 255, /* bytes on the wire, with the root's */
	DNS_LABEL_MAX = 63,
	DNS_NAME_TEXT_MAX = 254, /* longest text with its NUL */
	DNS_UDP_SIZE_MIN = 512,  /* what each client takes by UDP */
	DNS_OPT_SIZE = 11,       /* an OPT record without options */
	DNS_EDE_SIZE = 6,        /* option Extended DNS Error without text, RFC 8914 */
	DNS_QUERY_SIZE_MAX = DNS_HDR_SIZE + DNS_NAME_MAX + 4 + DNS_OPT_SIZE, /* dns_build_query() */
	DNS_REPLY_SIZE_MAX = DNS_QUERY_SIZE_MAX + DNS_EDE_SIZE,              /* dns_build_reply() */
	DNS_MSG_MAX = 65535,

	DNS_TYPE_A = 1,
	DNS_TYPE_NS = 2,
	DNS_TYPE_CNAME = 5,
	DNS_TYPE_SOA = 6,
	DNS_TYPE_PTR = 12,
	DNS_TYPE_MX = 15,
	DNS_TYPE_TXT = 16,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_SRV = 33,
	DNS_TYPE_NAPTR = 35,
	DNS_TYPE_OPT = 41,
	DNS_TYPE_DS = 43,
	DNS_TYPE_SSHFP = 44,
	DNS_TYPE_RRSIG = 46,
	DNS_TYPE_NSEC = 47,
	DNS_TYPE_DNSKEY = 48,
	DNS_TYPE_NSEC3 = 50,
	DNS_TYPE_TLSA = 52,
	DNS_TYPE_SVCB = 64,
	DNS_TYPE_HTTPS = 65,
	DNS_TYPE_ANY = 255,
	DNS_TYPE_CAA = 257,

	DNS_CLASS_IN = 1,

	DNS_OPCODE_QUERY = 0,

	DNS_RCODE_NOERROR = 0,
	DNS_RCODE_FORMERR = 1,
	DNS_RCODE_SERVFAIL = 2,
	DNS_RCODE_NXDOMAIN = 3,
	DNS_RCODE_NOTIMP = 4,
	DNS_RCODE_REFUSED = 5,
	DNS_RCODE_BADVERS = 16, /* needs EDNS */

	DNS_EDE_NONE = -1,
	DNS_EDE_BLOCKED = 15,  /* by the policy of who runs the resolver */
	DNS_EDE_FILTERED = 17, /* what the answer had in it was refused */
};

/* Whether a port is that of another way to resolve names (behaviours.md D18, D20): DNS over TLS (RFC 7858), DNS over QUIC
 * (RFC 9250); by UDP also mDNS, LLMNR, NetBIOS. */
static inline bool dns_is_other_port(bool is_udp, uint16_t port)
{
	return port == 853 || (is_udp && (port == 5353 || port == 5355 || port == 137));
}

/* A name in wire form, without compression, with the case that it came in. */
struct dns_name {
	uint8_t len; /* bytes in wire, 1 (the root) .. 255 */
	uint8_t wire[DNS_NAME_MAX];
};

/* Reads the name at r, which reads the message that starts at msg. Leaves r behind the name. A
 * pointer must point backwards, before the labels that it ends, and not into the header. 0 or -EBADMSG:
 * cut off, longer than 255 bytes, another label type, a wrong pointer. */
__attribute__((warn_unused_result)) int dns_name_read(
    struct rd *r, const uint8_t *msg, struct dns_name *ret_name);

/* Whether the names are the same (RFC 1035 2.3.3: ASCII case does not count). */
bool dns_name_eq(const struct dns_name *a, const struct dns_name *b);

/* Lower-case text without the last dot; "." is the root. 0 or -EINVAL: a byte that is no letter,
 * digit, hyphen or underscore (threats.md N1, N4). */
__attribute__((warn_unused_result)) int dns_name_to_text(
    const struct dns_name *n, char ret_text[DNS_NAME_TEXT_MAX]);

/* The reverse; one trailing dot is allowed. 0 or -EINVAL: a byte as above, an empty label, a label
 * or a name that is too long. */
__attribute__((warn_unused_result)) int dns_name_from_text(
    const char *text, struct dns_name *ret_name);

struct dns_question {
	struct dns_name name;
	uint16_t type;
	uint16_t class;
};

/* What stands before the records. */
struct dns_head {
	uint16_t id;
	uint8_t opcode;
	uint8_t rcode; /* the four bits of the header */
	bool is_response;
	bool is_authoritative;
	bool is_truncated;
	bool is_recursion_desired;
	bool is_recursion_available;
	bool is_authenticated; /* AD */
	bool is_checking_disabled;
	uint16_t question_count;
	uint16_t answer_count;
	uint16_t authority_count;
	uint16_t additional_count;
	bool has_question; /* there is one question, and it is well-formed */
	struct dns_question question;
	size_t records_off; /* if has_question: offset of what stands behind it */
};

/* Reads the head of any message. 0, or -EBADMSG if it is shorter than a header. */
__attribute__((warn_unused_result)) int dns_parse_head(
    const uint8_t *msg, size_t len, struct dns_head *ret_head);

/* A client's query. */
struct dns_query {
	struct dns_head head;
	bool has_edns;
	bool is_dnssec_ok;      /* DO */
	uint16_t udp_size;      /* largest answer by UDP that the client takes, >= 512 */
	uint16_t problem_rcode; /* DNS_RCODE_NOERROR, or the answer that the query deserves: FORMERR
				 * (not exactly one question, a malformed name or record, bytes
				 * left over), NOTIMP (another opcode), BADVERS */
};

/* 0, or -EBADMSG: what must not be answered: shorter than a header, or itself an answer. */
__attribute__((warn_unused_result)) int dns_parse_query(
    const uint8_t *msg, size_t len, struct dns_query *ret_query);

/* One record of a message. */
struct dns_record {
	struct dns_name owner;
	uint16_t type;
	uint16_t class;
	uint32_t ttl_s;
	size_t rdata_off; /* in the message */
	uint16_t rdata_len;
};

/* Reads the record at r, which reads the message that starts at msg, and leaves r behind it. 0 or -EBADMSG. */
__attribute__((warn_unused_result)) int dns_record_read(
    struct rd *r, const uint8_t *msg, struct dns_record *ret_record);

/* What stands in an answer besides the question. */
struct dns_reply {
	uint16_t rcode;
	bool is_truncated;
	bool is_authoritative;
	bool is_authenticated; /* AD */
	int ede; /* Extended DNS Error (RFC 8914), told to who has EDNS; DNS_EDE_NONE */
	uint16_t answer_count; /* records that the caller has put into the body */
	uint16_t authority_count;
	const uint8_t *body; /* records of both, as they stand behind the question */
	size_t body_len;
};

/* Writes an answer to q: its id, its question (where it has a good one), the body, an OPT record if the query
 * has one. */
void dns_build_answer(const struct dns_query *q, const struct dns_reply *reply, struct wr *w);

/* The same without records. */
void dns_build_reply(const struct dns_query *q, uint16_t rcode, bool is_truncated, struct wr *w);

/* Writes a recursive query of our own. udp_size 0: without EDNS. */
void dns_build_query(uint16_t id, const struct dns_question *question, uint16_t udp_size,
    bool is_dnssec_ok, bool is_checking_disabled, struct wr *w);

#endif
