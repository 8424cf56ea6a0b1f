/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of resolvers: what is built of any message is a well-formed answer by itself, has no address that is
 * judged badly, lists exactly the addresses that it has, and reads as itself again.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "names/answer.h"

enum {
	BUF = DNS_MSG_MAX,
};

static void require(bool claim)
{
	if (!claim)
		abort();
}

/* Half of all addresses. */
static bool judge_addr(void *ctx, const struct ip_addr *addr)
{
	(void)ctx;
	return (addr->b[15] & 1) == 0;
}

static const struct answer_judge judge = {.addr = judge_addr};

static void check_records(const uint8_t *msg, size_t len, const struct answer *a)
{
	struct dns_head head;
	struct rd r = rd_init(msg, len);
	uint32_t addrs = 0;

	require(dns_parse_head(msg, len, &head) == 0 && head.has_question);
	require(head.answer_count == a->answer_count && head.authority_count == a->authority_count);
	rd_skip(&r, head.records_off);
	for (uint32_t i = 0; i < (uint32_t)a->answer_count + a->authority_count; i++) {
		struct dns_record record;

		require(dns_record_read(&r, msg, &record) == 0 && record.class == DNS_CLASS_IN);
		require(record.ttl_s <= ANSWER_TTL_MAX_S);
		require(answer_is_type_known(record.type) || record.type == DNS_TYPE_RRSIG ||
			record.type == DNS_TYPE_NSEC || record.type == DNS_TYPE_NSEC3);
		if (record.type != DNS_TYPE_A && record.type != DNS_TYPE_AAAA)
			continue;
		require(addrs < a->addr_count);
		require((msg[record.rdata_off + record.rdata_len - 1] & 1) == 0);
		require(a->addrs[addrs++].b[15] == msg[record.rdata_off + record.rdata_len - 1]);
	}
	require(rd_ok(&r) && rd_left(&r) == 0 && addrs == a->addr_count);
	for (uint32_t i = 0; i < a->ttl_count; i++)
		require(a->ttl_offs[i] + 4U <= a->body_len);
}

static void check(const uint8_t *data, size_t size, bool keeps_dnssec)
{
	uint8_t *body = malloc(BUF);
	uint8_t *msg = malloc(BUF);
	uint8_t *again = malloc(BUF);
	struct answer a;
	struct answer b;

	require(body && msg && again);
	if (answer_read(data, size, keeps_dnssec, &judge, body, BUF, &a) == 0) {
		struct dns_query q = {0};
		struct dns_reply reply = {.rcode = a.rcode,
		    .ede = DNS_EDE_NONE,
		    .answer_count = a.answer_count,
		    .authority_count = a.authority_count,
		    .body = body,
		    .body_len = a.body_len};
		struct wr w = wr_init(msg, BUF);

		require(dns_parse_head(data, size, &q.head) == 0);
		dns_build_answer(&q, &reply, &w);
		require(wr_ok(&w));
		check_records(msg, wr_len(&w), &a);
		if (!a.is_refused) {
			require(answer_read(
				    msg, wr_len(&w), keeps_dnssec, &judge, again, BUF, &b) == 0);
			require(b.answer_count == a.answer_count && b.addr_count == a.addr_count &&
				b.rcode == a.rcode);
		}
	}
	free(body);
	free(msg);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check(data, size, false);
	check(data, size, true);
	return 0;
}
