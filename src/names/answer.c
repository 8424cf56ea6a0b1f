/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers read and written anew; see answer.h. Tests: unit/test_answer.c, fuzz/fuzz_answer.c.
 *
 * An address that is judged badly is left out; an answer of which nothing is left says NXDOMAIN. Of HTTPS and SVCB
 * records (RFC 9460) those stay that speak of the name itself and its usual port, without addresses and without the
 * keys of Encrypted Client Hello: the guest asks for addresses as always, and shows the name that it connects to.
 * Signatures stay with what has not been touched. All else of the authority section but what denies, and the
 * additional section, are left out.
 *
 * Ends: each record is read once into a bounded list; the list is walked once for each name of a bounded chain.
 */
#include "names/answer.h"

#include <errno.h>
#include <string.h>

enum {
	SVC_MANDATORY = 0,
	SVC_ALPN = 1,
	SVC_NO_DEFAULT_ALPN = 2,
	SVC_PORT = 3,
	SOA_NUMBERS_SIZE = 20,
	POINTER = 0xc000,
	POINTER_MAX = 0x3fff,
};

/* A record, still in its message. */
struct place {
	size_t at; /* of its owner */
	uint16_t type;
	bool is_usable; /* of class IN */
};

struct build {
	const uint8_t *msg;
	size_t len;
	const struct answer_judge *judge;
	bool keeps_dnssec;
	struct dns_head head;
	struct place places[ANSWER_RECORDS_MAX];
	uint32_t count;
	struct wr w;
	struct dns_name name; /* of the chain: where it has led to */
	size_t name_at;       /* offset of that in the new message */
	uint32_t found;       /* records that it has of the type that was asked */
	struct answer *out;
};

bool answer_is_type_known(uint16_t type)
{
	switch (type) {
	case DNS_TYPE_A:
	case DNS_TYPE_AAAA:
	case DNS_TYPE_CNAME:
	case DNS_TYPE_HTTPS:
	case DNS_TYPE_SVCB:
	/* ---- */
	case DNS_TYPE_NS:
	case DNS_TYPE_SOA:
	case DNS_TYPE_PTR:
	case DNS_TYPE_MX:
	case DNS_TYPE_TXT:
	case DNS_TYPE_SRV:
	case DNS_TYPE_NAPTR:
	case DNS_TYPE_DS:
	case DNS_TYPE_SSHFP:
	case DNS_TYPE_DNSKEY:
	case DNS_TYPE_TLSA:
	case DNS_TYPE_CAA:
		return true;
	default:
		return false;
	}
}

/* ---- reading ---- */

static int list_section(struct build *b, struct rd *r, uint32_t count)
{
	b->count = 0;
	if (count > ANSWER_RECORDS_MAX)
		return -EBADMSG;
	for (uint32_t i = 0; i < count; i++) {
		struct dns_record record;
		size_t at = (size_t)(r->pos - b->msg);

		if (dns_record_read(r, b->msg, &record))
			return -EBADMSG;
		b->places[b->count++] = (struct place){
		    .at = at, .type = record.type, .is_usable = record.class == DNS_CLASS_IN};
	}
	return 0;
}

/* The record at a place, which has been read before. */
static void read_at(const struct build *b, const struct place *p, struct dns_record *ret_record)
{
	struct rd r = rd_init(b->msg, b->len);

	rd_skip(&r, p->at);
	if (dns_record_read(&r, b->msg, ret_record))
		*ret_record = (struct dns_record){0};
}

static struct rd rdata_of(const struct build *b, const struct dns_record *record)
{
	return rd_init(b->msg + record->rdata_off, record->rdata_len);
}

/* A name in the data of a record, which may point to what stands before. */
static int read_name(const struct build *b, struct rd *r, struct dns_name *ret_name)
{
	return dns_name_read(r, b->msg, ret_name);
}

/* ---- writing ---- */

/* Offset in the new message of what is written next. */
static size_t at_now(const struct build *b)
{
	return DNS_HDR_SIZE + b->head.question.name.len + 4U + wr_len(&b->w);
}

/* Whether name is apex or under it; *ret_off: of apex in name. */
static bool is_under(const struct dns_name *name, const struct dns_name *apex, size_t *ret_off)
{
	size_t off = 0;

	/* Each turn skips a label of at least two bytes. */
	while (name->len - off > apex->len)
		off += 1U + name->wire[off];
	if (name->len - off != apex->len)
		return false;
	for (size_t i = 0; i < apex->len; i++) {
		uint8_t x = name->wire[off + i];
		uint8_t y = apex->wire[i];

		x = x >= 'A' && x <= 'Z' ? (uint8_t)(x | 0x20) : x;
		y = y >= 'A' && y <= 'Z' ? (uint8_t)(y | 0x20) : y;
		if (x != y)
			return false;
	}
	*ret_off = off;
	return true;
}

/* The owner of a record: a pointer to the question or to the chain's last name, where it is one of these. */
static void write_owner(struct build *b, const struct dns_name *owner)
{
	size_t off;

	if (owner->len > 1 && is_under(&b->head.question.name, owner, &off))
		wr_be16(&b->w, (uint16_t)(POINTER | (DNS_HDR_SIZE + off)));
	else if (owner->len > 1 && b->name_at <= POINTER_MAX && is_under(&b->name, owner, &off) &&
		 b->name_at + off <= POINTER_MAX)
		wr_be16(&b->w, (uint16_t)(POINTER | (b->name_at + off)));
	else
		wr_copy(&b->w, owner->wire, owner->len);
}

/* Everything before the data; returns where the length of the data stands. */
static uint8_t *write_head(struct build *b, const struct dns_record *record, uint32_t ttl_s)
{
	size_t ttl_off;

	write_owner(b, &record->owner);
	wr_be16(&b->w, record->type);
	wr_be16(&b->w, DNS_CLASS_IN);
	ttl_off = wr_len(&b->w);
	wr_be32(&b->w, ttl_s);
	if (b->out->ttl_count == ANSWER_KEPT_MAX || ttl_off > UINT16_MAX)
		b->w.is_bad = true;
	else
		b->out->ttl_offs[b->out->ttl_count++] = (uint16_t)ttl_off;
	if (ttl_s < b->out->ttl_s)
		b->out->ttl_s = ttl_s;
	return wr_room(&b->w, 2);
}

static void write_len(struct build *b, uint8_t *len_at)
{
	if (wr_ok(&b->w))
		put_be16(len_at, (uint16_t)(b->w.pos - len_at - 2));
}

/* RFC 2181 8: one that seems negative is zero. */
static uint32_t ttl_of(const struct dns_record *record)
{
	if (record->ttl_s > INT32_MAX)
		return 0;
	return record->ttl_s < ANSWER_TTL_MAX_S ? record->ttl_s : (uint32_t)ANSWER_TTL_MAX_S;
}

/* Data that starts with some bytes, then has names, then other bytes; 0 or -EBADMSG. */
static int write_names(struct build *b, const struct dns_record *record, struct rd r, size_t before,
    uint32_t names, size_t after)
{
	uint8_t *len_at = write_head(b, record, ttl_of(record));
	const uint8_t *bytes = rd_bytes(&r, before);

	if (bytes)
		wr_copy(&b->w, bytes, before);
	for (uint32_t i = 0; i < names; i++) {
		struct dns_name name;

		if (read_name(b, &r, &name))
			return -EBADMSG;
		wr_copy(&b->w, name.wire, name.len);
	}
	bytes = rd_bytes(&r, after);
	if (bytes)
		wr_copy(&b->w, bytes, after);
	write_len(b, len_at);
	return rd_ok(&r) && rd_left(&r) == 0 ? 0 : -EBADMSG;
}

/* NAPTR (RFC 3403 4.1): two numbers, three strings, a name. */
static int write_naptr(struct build *b, const struct dns_record *record)
{
	struct rd r = rdata_of(b, record);
	struct rd strings = r;
	size_t before;

	rd_skip(&strings, 4);
	for (int i = 0; i < 3; i++)
		rd_skip(&strings, rd_u8(&strings));
	if (!rd_ok(&strings))
		return -EBADMSG;
	before = rd_left(&r) - rd_left(&strings);
	return write_names(b, record, r, before, 1, 0);
}

static int write_any(struct build *b, const struct dns_record *record)
{
	struct rd r = rdata_of(b, record);

	switch (record->type) {
	case DNS_TYPE_NS:
	case DNS_TYPE_CNAME:
	case DNS_TYPE_PTR:
		return write_names(b, record, r, 0, 1, 0);
	case DNS_TYPE_MX:
		return write_names(b, record, r, 2, 1, 0);
	case DNS_TYPE_SRV:
		return write_names(b, record, r, 6, 1, 0);
	case DNS_TYPE_SOA:
		return write_names(b, record, r, 0, 2, SOA_NUMBERS_SIZE);
	case DNS_TYPE_NAPTR:
		return write_naptr(b, record);
	default:
		/* No names in it, or none that may be compressed (RFC 3597 4). */
		return write_names(b, record, r, record->rdata_len, 0, 0);
	}
}

static int write_addr(struct build *b, const struct dns_record *record)
{
	struct rd r = rdata_of(b, record);
	const uint8_t *bytes = rd_bytes(&r, record->type == DNS_TYPE_A ? 4 : 16);
	struct answer *out = b->out;
	struct ip_addr addr;

	if (!bytes || rd_left(&r) > 0)
		return -EBADMSG;
	if (record->type == DNS_TYPE_A)
		addr = ip_addr_v4_wire(bytes);
	else
		memcpy(addr.b, bytes, sizeof(addr.b));
	if (!b->judge->addr(b->judge->ctx, &addr)) {
		out->is_filtered = true;
		return 0;
	}
	if (out->addr_count == ANSWER_ADDRS_MAX) {
		out->is_filtered = true;
		return 0;
	}
	out->addrs[out->addr_count++] = addr;
	out->answer_count++;
	return write_any(b, record);
}

/* Whether a list of mandatory keys has only such that are kept. */
static bool are_kept(struct rd keys)
{
	while (rd_left(&keys) > 0) {
		uint16_t key = rd_be16(&keys);

		if (key != SVC_ALPN && key != SVC_NO_DEFAULT_ALPN)
			return false;
	}
	return rd_ok(&keys);
}

/* Copies those parameters that are kept. 0, -EBADMSG, or -EPERM: the record is nothing without the others. */
static int write_params(struct build *b, struct rd r)
{
	int32_t last = -1;

	while (rd_left(&r) > 0) {
		uint16_t key = rd_be16(&r);
		uint16_t len = rd_be16(&r);
		struct rd value = rd_sub(&r, len);

		if (!rd_ok(&r) || (int32_t)key <= last)
			return -EBADMSG;
		last = key;
		if (key == SVC_PORT || (key == SVC_MANDATORY && !are_kept(value)))
			return -EPERM;
		if (key > SVC_NO_DEFAULT_ALPN)
			continue;
		wr_be16(&b->w, key);
		wr_be16(&b->w, len);
		if (len > 0)
			wr_copy(&b->w, value.pos, len);
	}
	return 0;
}

static int write_service(struct build *b, const struct dns_record *record)
{
	struct rd r = rdata_of(b, record);
	uint16_t priority = rd_be16(&r);
	struct wr before = b->w;
	uint32_t ttl_count = b->out->ttl_count;
	uint32_t ttl_s = ttl_of(record);
	struct dns_name target;
	uint8_t *len_at;
	int err;

	if (!rd_ok(&r) || read_name(b, &r, &target))
		return -EBADMSG;
	b->out->is_filtered = true;
	/* Also where the record is left out: so long holds that there is nothing. */
	b->out->ttl_s = ttl_s < b->out->ttl_s ? ttl_s : b->out->ttl_s;
	/* Another name, or another name's endpoints. */
	if (priority == 0 || (target.len > 1 && !dns_name_eq(&target, &record->owner)))
		return 0;
	len_at = write_head(b, record, ttl_s);
	wr_be16(&b->w, priority);
	wr_u8(&b->w, 0);
	err = write_params(b, r);
	if (err == -EPERM) {
		b->w = before;
		b->out->ttl_count = ttl_count;
		return 0;
	}
	write_len(b, len_at);
	b->out->answer_count++;
	return err;
}

static int write_record(struct build *b, const struct dns_record *record)
{
	switch (record->type) {
	case DNS_TYPE_A:
	case DNS_TYPE_AAAA:
		return write_addr(b, record);
	case DNS_TYPE_HTTPS:
	case DNS_TYPE_SVCB:
		return write_service(b, record);
	default:
		b->out->answer_count++;
		return write_any(b, record);
	}
}

/* ---- the answer section ---- */

static uint16_t covered_type(const struct build *b, const struct dns_record *signature)
{
	struct rd r = rdata_of(b, signature);

	return rd_be16(&r);
}

/* The signatures of what the name has of a type. */
static int write_signatures(struct build *b, uint16_t type)
{
	for (uint32_t i = 0; i < b->count; i++) {
		struct dns_record record;
		int err;

		if (b->places[i].type != DNS_TYPE_RRSIG || !b->places[i].is_usable)
			continue;
		read_at(b, &b->places[i], &record);
		if (!dns_name_eq(&record.owner, &b->name) || covered_type(b, &record) != type)
			continue;
		err = write_any(b, &record);
		if (err)
			return err;
		b->out->answer_count++;
	}
	return 0;
}

/* The records of the name that are of the type that was asked. */
static int write_wanted(struct build *b)
{
	uint16_t type = b->head.question.type;

	for (uint32_t i = 0; i < b->count; i++) {
		struct dns_record record;
		int err;

		if (b->places[i].type != type || !b->places[i].is_usable)
			continue;
		read_at(b, &b->places[i], &record);
		if (!dns_name_eq(&record.owner, &b->name))
			continue;
		b->found++;
		err = write_record(b, &record);
		if (err)
			return err;
	}
	if (b->found > 0 && b->keeps_dnssec && !b->out->is_filtered)
		return write_signatures(b, type);
	return 0;
}

/* Follows the name's CNAME record. 1: there is one; 0: there is none; -EBADMSG; -EPERM: it must not lead there. */
static int follow(struct build *b)
{
	for (uint32_t i = 0; i < b->count; i++) {
		struct dns_record record;
		struct dns_name target;
		struct rd r;
		int err;

		if (b->places[i].type != DNS_TYPE_CNAME || !b->places[i].is_usable)
			continue;
		read_at(b, &b->places[i], &record);
		if (!dns_name_eq(&record.owner, &b->name))
			continue;
		r = rdata_of(b, &record);
		if (read_name(b, &r, &target))
			return -EBADMSG;
		if (b->judge->alias && !b->judge->alias(b->judge->ctx, &target))
			return -EPERM;
		err = write_record(b, &record);
		if (!err && b->keeps_dnssec)
			err = write_signatures(b, DNS_TYPE_CNAME);
		if (err)
			return err;
		b->name = target;
		/* Where the last record would be a signature, its owner is written out. */
		b->name_at = b->keeps_dnssec ? (size_t)POINTER_MAX + 1 : at_now(b) - target.len;
		return 1;
	}
	return 0;
}

/* Forgets what has been written: nothing of it may be told. */
static void refuse(struct build *b)
{
	b->w = wr_init(b->w.start, (size_t)(b->w.end - b->w.start));
	b->out->answer_count = 0;
	b->out->ttl_count = 0;
	b->out->addr_count = 0;
	b->out->is_filtered = true;
	b->out->is_refused = true;
	b->out->rcode = DNS_RCODE_NXDOMAIN;
}

static int read_answers(struct build *b)
{
	uint16_t before;

	for (int i = 0; b->head.question.type != DNS_TYPE_CNAME; i++) {
		int more = follow(b);

		if (more == -EPERM) {
			refuse(b);
			return 0;
		}
		if (more < 0)
			return more;
		if (more == 0)
			break;
		if (i == ANSWER_CHAIN_MAX)
			return -EBADMSG; /* a loop, or as good as one */
	}
	before = b->out->answer_count;
	if (write_wanted(b))
		return -EBADMSG;
	if (b->found > 0 && b->out->answer_count == before &&
	    (b->head.question.type == DNS_TYPE_A || b->head.question.type == DNS_TYPE_AAAA))
		refuse(b);
	return 0;
}

/* ---- the authority section: what says that there is nothing ---- */

static bool is_denial(uint16_t type)
{
	return type == DNS_TYPE_NSEC || type == DNS_TYPE_NSEC3;
}

static bool is_wanted_denial(const struct build *b, const struct dns_record *record, bool *has_soa)
{
	uint16_t type = record->type;
	size_t off;

	if (!is_under(&b->name, &record->owner, &off) && !is_denial(type) && type != DNS_TYPE_RRSIG)
		return false;
	if (type == DNS_TYPE_SOA) {
		bool is_first = !*has_soa;

		*has_soa = true;
		return is_first;
	}
	if (!b->keeps_dnssec || b->out->is_filtered)
		return false;
	if (type == DNS_TYPE_RRSIG)
		type = covered_type(b, record);
	return is_denial(type) || (type == DNS_TYPE_SOA && record->type == DNS_TYPE_RRSIG);
}

/* RFC 2308 5: its own TTL, or its last number. */
static uint32_t negative_ttl(const struct build *b, const struct dns_record *soa)
{
	struct rd r = rdata_of(b, soa);
	uint32_t ttl = ttl_of(soa);
	uint32_t minimum;

	if (soa->rdata_len < SOA_NUMBERS_SIZE)
		return 0;
	rd_skip(&r, (size_t)soa->rdata_len - 4);
	minimum = rd_be32(&r);
	ttl = minimum < ttl ? minimum : ttl;
	return ttl < ANSWER_NEGATIVE_TTL_MAX_S ? ttl : (uint32_t)ANSWER_NEGATIVE_TTL_MAX_S;
}

static int read_authority(struct build *b)
{
	bool has_soa = false;

	for (uint32_t i = 0; i < b->count; i++) {
		struct dns_record record;
		int err;

		if (!b->places[i].is_usable)
			continue;
		read_at(b, &b->places[i], &record);
		if (!is_wanted_denial(b, &record, &has_soa))
			continue;
		if (record.type == DNS_TYPE_SOA)
			record.ttl_s = negative_ttl(b, &record);
		err = write_any(b, &record);
		if (err)
			return err;
		b->out->authority_count++;
	}
	if (!has_soa)
		b->out->ttl_s = 0;
	return 0;
}

int answer_read(const uint8_t *msg, size_t len, bool keeps_dnssec, const struct answer_judge *judge,
    uint8_t *body, size_t cap, struct answer *ret_answer)
{
	struct answer *out = ret_answer;
	struct build b;
	struct rd r = rd_init(msg, len);
	bool is_negative;

	if (dns_parse_head(msg, len, &b.head) || !b.head.has_question ||
	    !answer_is_type_known(b.head.question.type))
		return -EBADMSG;
	out->rcode = b.head.rcode;
	out->is_authenticated = false;
	out->is_filtered = false;
	out->is_refused = false;
	out->is_truncated = b.head.is_truncated;
	out->answer_count = 0;
	out->authority_count = 0;
	out->ttl_s = ANSWER_TTL_MAX_S;
	out->addr_count = 0;
	out->ttl_count = 0;
	out->body_len = 0;
	if (out->rcode != DNS_RCODE_NOERROR && out->rcode != DNS_RCODE_NXDOMAIN) {
		out->rcode =
		    out->rcode == DNS_RCODE_REFUSED ? DNS_RCODE_REFUSED : DNS_RCODE_SERVFAIL;
		out->is_truncated = false;
		out->ttl_s = 0;
		return 0;
	}
	if (out->is_truncated) {
		out->ttl_s = 0;
		return 0;
	}
	b.msg = msg;
	b.len = len;
	b.judge = judge;
	b.keeps_dnssec = keeps_dnssec;
	b.w = wr_init(body, cap < ANSWER_BODY_MAX ? cap : (size_t)ANSWER_BODY_MAX);
	b.name = b.head.question.name;
	b.name_at = DNS_HDR_SIZE;
	b.found = 0;
	b.out = out;
	rd_skip(&r, b.head.records_off);
	if (list_section(&b, &r, b.head.answer_count) || read_answers(&b))
		return -EBADMSG;
	is_negative = out->rcode == DNS_RCODE_NXDOMAIN || b.found == 0;
	if (out->is_refused)
		out->ttl_s = 0;
	else if (is_negative &&
		 (list_section(&b, &r, b.head.authority_count) || read_authority(&b)))
		return -EBADMSG;
	if (!wr_ok(&b.w))
		return -EBADMSG;
	out->is_authenticated = b.head.is_authenticated && !out->is_filtered;
	out->body_len = wr_len(&b.w);
	return 0;
}
