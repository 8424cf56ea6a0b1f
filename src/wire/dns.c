/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS codec: RFC 1035 section 4, RFC 6891 (EDNS), RFC 9619 (one question).
 *
 * Names end: each turn of the loop takes a label of at least two bytes out of 255, or follows a
 * pointer to a strictly smaller offset (threats.md D14). Records end: each takes at least eleven bytes
 * of the message.
 */
#include "wire/dns.h"

#include <errno.h>

enum {
	POINTER_BITS = 0xc0,
	RECORD_FIXED_SIZE = 10, /* type, class, TTL, length */

	FLAG_RESPONSE = 0x8000,
	FLAG_AUTHORITATIVE = 0x0400,
	FLAG_TRUNCATED = 0x0200,
	FLAG_RECURSION_DESIRED = 0x0100,
	FLAG_RECURSION_AVAILABLE = 0x0080,
	FLAG_AUTHENTICATED = 0x0020,
	FLAG_CHECKING_DISABLED = 0x0010,
	OPCODE_SHIFT = 11,
	OPCODE_MASK = 0xf,
	RCODE_MASK = 0xf,

	OPT_DNSSEC_OK = 0x8000,
	OPT_VERSION_SHIFT = 16,
	OPT_RCODE_SHIFT = 24,
	OUR_UDP_SIZE = 1232, /* what fits any link without fragments */
	OPTION_EDE = 15,     /* RFC 8914 */
};

int dns_name_read(struct rd *r, const uint8_t *msg, struct dns_name *ret_name)
{
	struct rd at = *r;
	const uint8_t *lowest = r->pos; /* pointers go below this */
	bool has_jumped = false;
	struct dns_name n;
	uint8_t label;

	n.len = 0;
	do {
		const uint8_t *from = at.pos;

		label = rd_u8(&at);
		if (!rd_ok(&at))
			return -EBADMSG;
		if (label >= POINTER_BITS) {
			size_t target = (label & 0x3fU) << 8 | rd_u8(&at);

			if (!rd_ok(&at) || target < DNS_HDR_SIZE ||
			    target >= (size_t)(lowest - msg))
				return -EBADMSG;
			if (!has_jumped)
				*r = at;
			has_jumped = true;
			lowest = msg + target;
			at = rd_init(lowest, (size_t)(at.end - lowest));
			continue;
		}
		if (label > DNS_LABEL_MAX || n.len + 1U + label > DNS_NAME_MAX)
			return -EBADMSG;
		rd_skip(&at, label);
		if (!rd_ok(&at))
			return -EBADMSG;
		memcpy(n.wire + n.len, from, 1U + label);
		n.len = (uint8_t)(n.len + 1U + label);
	} while (label != 0);
	if (!has_jumped)
		*r = at;
	/* Field by field: what stands behind the name is not set. */
	ret_name->len = n.len;
	memcpy(ret_name->wire, n.wire, n.len);
	return 0;
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

bool dns_name_eq(const struct dns_name *a, const struct dns_name *b)
{
	if (a->len != b->len)
		return false;
	/* Lengths of labels are below 64 and so no letters. */
	for (uint8_t i = 0; i < a->len; i++) {
		if (lower(a->wire[i]) != lower(b->wire[i]))
			return false;
	}
	return true;
}

static bool is_host_char(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

int dns_name_to_text(const struct dns_name *n, char ret_text[DNS_NAME_TEXT_MAX])
{
	char text[DNS_NAME_MAX + 1];
	size_t out = 0;
	uint8_t left = 0; /* of the label */

	for (uint8_t i = 0; i < n->len; i++) {
		uint8_t c = lower(n->wire[i]);

		if (left == 0) {
			left = n->wire[i];
			if (i > 0 && left > 0)
				text[out++] = '.';
			continue;
		}
		if (!is_host_char(c))
			return -EINVAL;
		text[out++] = (char)c;
		left--;
	}
	if (out == 0)
		text[out++] = '.';
	text[out++] = '\0';
	memcpy(ret_text, text, out);
	return 0;
}

int dns_name_from_text(const char *text, struct dns_name *ret_name)
{
	struct dns_name n;
	size_t len_at = 0; /* where the length of this label stands */

	if (strcmp(text, ".") == 0) {
		ret_name->len = 1;
		ret_name->wire[0] = 0;
		return 0;
	}
	n.len = 1;
	for (const char *c = text;; c++) {
		if (*c == '.' || *c == '\0') {
			size_t label = n.len - len_at - 1;

			if (label == 0 || label > DNS_LABEL_MAX || n.len == DNS_NAME_MAX)
				return -EINVAL;
			n.wire[len_at] = (uint8_t)label;
			len_at = n.len++;
			if (*c == '\0' || c[1] == '\0')
				break;
			continue;
		}
		if (!is_host_char(lower((uint8_t)*c)) || n.len == DNS_NAME_MAX)
			return -EINVAL;
		n.wire[n.len++] = (uint8_t)*c;
	}
	n.wire[len_at] = 0;
	ret_name->len = n.len;
	memcpy(ret_name->wire, n.wire, n.len);
	return 0;
}

int dns_parse_head(const uint8_t *msg, size_t len, struct dns_head *ret_head)
{
	struct rd r = rd_init(msg, len);
	uint16_t id = rd_be16(&r);
	uint16_t flags = rd_be16(&r);
	struct dns_head *h = ret_head;

	if (len < DNS_HDR_SIZE)
		return -EBADMSG;
	h->id = id;
	h->opcode = (uint8_t)(flags >> OPCODE_SHIFT & OPCODE_MASK);
	h->rcode = (uint8_t)(flags & RCODE_MASK);
	h->is_response = (flags & FLAG_RESPONSE) != 0;
	h->is_authoritative = (flags & FLAG_AUTHORITATIVE) != 0;
	h->is_truncated = (flags & FLAG_TRUNCATED) != 0;
	h->is_recursion_desired = (flags & FLAG_RECURSION_DESIRED) != 0;
	h->is_recursion_available = (flags & FLAG_RECURSION_AVAILABLE) != 0;
	h->is_authenticated = (flags & FLAG_AUTHENTICATED) != 0;
	h->is_checking_disabled = (flags & FLAG_CHECKING_DISABLED) != 0;
	h->question_count = rd_be16(&r);
	h->answer_count = rd_be16(&r);
	h->authority_count = rd_be16(&r);
	h->additional_count = rd_be16(&r);
	h->has_question = false;
	h->records_off = 0;
	if (h->question_count != 1 || dns_name_read(&r, msg, &h->question.name) != 0)
		return 0;
	h->question.type = rd_be16(&r);
	h->question.class = rd_be16(&r);
	if (!rd_ok(&r))
		return 0;
	h->has_question = true;
	h->records_off = len - rd_left(&r);
	return 0;
}

/* Reads an OPT record; its name and its type have been read. */
static bool parse_opt(struct rd *r, const struct dns_name *name, struct dns_query *q)
{
	uint16_t size = rd_be16(r);
	uint32_t flags = rd_be32(r);

	rd_skip(r, rd_be16(r));
	if (q->has_edns || name->len != 1)
		return false; /* RFC 6891 6.1.1: at most one, owned by the root */
	q->has_edns = true;
	q->udp_size = size > DNS_UDP_SIZE_MIN ? size : DNS_UDP_SIZE_MIN;
	q->is_dnssec_ok = (flags & OPT_DNSSEC_OK) != 0;
	if ((flags >> OPT_VERSION_SHIFT & 0xff) != 0)
		q->problem_rcode = DNS_RCODE_BADVERS;
	return true;
}

/* Reads all records behind the question, for the OPT record among the additional ones. */
static bool parse_records(struct rd r, const uint8_t *msg, struct dns_query *q)
{
	uint32_t others = (uint32_t)q->head.answer_count + q->head.authority_count;
	uint32_t count = others + q->head.additional_count;

	for (uint32_t i = 0; i < count; i++) {
		struct dns_name name;
		uint16_t type;

		if (dns_name_read(&r, msg, &name) != 0)
			return false;
		type = rd_be16(&r);
		if (type == DNS_TYPE_OPT) {
			if (i < others || !parse_opt(&r, &name, q))
				return false;
			continue;
		}
		rd_skip(&r, RECORD_FIXED_SIZE - 4);
		rd_skip(&r, rd_be16(&r));
	}
	return rd_ok(&r) && rd_left(&r) == 0;
}

int dns_parse_query(const uint8_t *msg, size_t len, struct dns_query *ret_query)
{
	struct dns_query *q = ret_query;
	struct rd r = rd_init(msg, len);

	if (dns_parse_head(msg, len, &q->head) != 0 || q->head.is_response)
		return -EBADMSG;
	q->has_edns = false;
	q->is_dnssec_ok = false;
	q->udp_size = DNS_UDP_SIZE_MIN;
	q->problem_rcode = DNS_RCODE_NOERROR;
	if (q->head.opcode != DNS_OPCODE_QUERY) {
		q->problem_rcode = DNS_RCODE_NOTIMP;
		return 0;
	}
	if (!q->head.has_question) {
		q->problem_rcode = DNS_RCODE_FORMERR;
		return 0;
	}
	rd_skip(&r, q->head.records_off);
	if (!parse_records(r, msg, q))
		q->problem_rcode = DNS_RCODE_FORMERR;
	return 0;
}

int dns_record_read(struct rd *r, const uint8_t *msg, struct dns_record *ret_record)
{
	struct dns_record *record = ret_record;

	if (dns_name_read(r, msg, &record->owner))
		return -EBADMSG;
	record->type = rd_be16(r);
	record->class = rd_be16(r);
	record->ttl_s = rd_be32(r);
	record->rdata_len = rd_be16(r);
	record->rdata_off = (size_t)(r->pos - msg);
	rd_skip(r, record->rdata_len);
	return rd_ok(r) ? 0 : -EBADMSG;
}

static void build_question(const struct dns_question *q, struct wr *w)
{
	wr_copy(w, q->name.wire, q->name.len);
	wr_be16(w, q->type);
	wr_be16(w, q->class);
}

static void build_opt(uint16_t udp_size, uint16_t rcode, bool is_dnssec_ok, int ede, struct wr *w)
{
	wr_u8(w, 0); /* the root */
	wr_be16(w, DNS_TYPE_OPT);
	wr_be16(w, udp_size);
	wr_be32(w, (uint32_t)(rcode >> 4) << OPT_RCODE_SHIFT |
		       (is_dnssec_ok ? (uint32_t)OPT_DNSSEC_OK : 0));
	wr_be16(w, ede == DNS_EDE_NONE ? 0 : DNS_EDE_SIZE);
	if (ede == DNS_EDE_NONE)
		return;
	wr_be16(w, OPTION_EDE);
	wr_be16(w, 2);
	wr_be16(w, (uint16_t)ede);
}

static uint16_t flags_of(const struct dns_head *h, const struct dns_reply *reply)
{
	unsigned int flags = FLAG_RESPONSE | FLAG_RECURSION_AVAILABLE |
			     (unsigned int)h->opcode << OPCODE_SHIFT | (reply->rcode & RCODE_MASK);

	if (reply->is_truncated)
		flags |= FLAG_TRUNCATED;
	if (reply->is_authoritative)
		flags |= FLAG_AUTHORITATIVE;
	if (reply->is_authenticated)
		flags |= FLAG_AUTHENTICATED;
	if (h->is_recursion_desired)
		flags |= FLAG_RECURSION_DESIRED;
	if (h->is_checking_disabled)
		flags |= FLAG_CHECKING_DISABLED;
	return (uint16_t)flags;
}

void dns_build_answer(const struct dns_query *q, const struct dns_reply *reply, struct wr *w)
{
	const struct dns_head *h = &q->head;

	wr_be16(w, h->id);
	wr_be16(w, flags_of(h, reply));
	wr_be16(w, h->has_question ? 1 : 0);
	wr_be16(w, reply->answer_count);
	wr_be16(w, reply->authority_count);
	wr_be16(w, q->has_edns ? 1 : 0);
	if (h->has_question)
		build_question(&h->question, w);
	if (reply->body_len > 0)
		wr_copy(w, reply->body, reply->body_len);
	if (q->has_edns)
		build_opt(OUR_UDP_SIZE, reply->rcode, q->is_dnssec_ok, reply->ede, w);
}

void dns_build_reply(const struct dns_query *q, uint16_t rcode, bool is_truncated, struct wr *w)
{
	struct dns_reply reply = {
	    .rcode = rcode, .is_truncated = is_truncated, .ede = DNS_EDE_NONE};

	dns_build_answer(q, &reply, w);
}

void dns_build_query(uint16_t id, const struct dns_question *question, uint16_t udp_size,
    bool is_dnssec_ok, bool is_checking_disabled, struct wr *w)
{
	wr_be16(w, id);
	wr_be16(w, (uint16_t)(FLAG_RECURSION_DESIRED |
			      (is_checking_disabled ? FLAG_CHECKING_DISABLED : 0)));
	wr_be16(w, 1);
	wr_be32(w, 0); /* answers, authority */
	wr_be16(w, udp_size > 0 ? 1 : 0);
	build_question(question, w);
	if (udp_size > 0)
		build_opt(udp_size, 0, is_dnssec_ok, DNS_EDE_NONE, w);
}
