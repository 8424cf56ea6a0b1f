/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS: each query gets an answer that is itself a well-formed message with the same id and question, a
 * name with a text is what its text says, and what we ask ourselves is read as a good query.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "wire/dns.h"

static void require(bool claim)
{
	if (!claim)
		abort();
}

static void check_name(const struct dns_name *n)
{
	char text[DNS_NAME_TEXT_MAX];
	struct dns_name again;
	struct rd r = rd_init(n->wire, n->len);

	require(n->len >= 1 && n->wire[n->len - 1] == 0);
	require(dns_name_read(&r, n->wire, &again) == 0 && rd_left(&r) == 0);
	require(dns_name_eq(n, &again));
	if (dns_name_to_text(n, text) != 0)
		return;
	require(strlen(text) < sizeof(text));
	require(dns_name_from_text(text, &again) == 0 && dns_name_eq(n, &again));
}

static void check_reply(const struct dns_query *q)
{
	uint8_t *buf = malloc(DNS_REPLY_SIZE_MAX);
	struct wr w = wr_init(buf, DNS_REPLY_SIZE_MAX);
	struct dns_head h;

	require(buf != NULL);
	dns_build_reply(q, q->problem_rcode, false, &w);
	require(wr_ok(&w) && dns_parse_head(buf, wr_len(&w), &h) == 0);
	require(h.is_response && h.id == q->head.id && h.opcode == q->head.opcode);
	require(h.has_question == q->head.has_question && h.answer_count == 0);
	if (h.has_question)
		require(memcmp(h.question.name.wire, q->head.question.name.wire,
			    h.question.name.len) == 0 &&
			h.question.type == q->head.question.type &&
			h.question.class == q->head.question.class);
	free(buf);
}

static void check_own_query(const struct dns_question *question, uint16_t udp_size)
{
	uint8_t buf[DNS_QUERY_SIZE_MAX];
	struct wr w = wr_init(buf, sizeof(buf));
	struct dns_query q;

	dns_build_query(1, question, udp_size, true, false, &w);
	require(wr_ok(&w) && dns_parse_query(buf, wr_len(&w), &q) == 0);
	require(q.problem_rcode == DNS_RCODE_NOERROR && q.has_edns == (udp_size > 0));
	require(dns_name_eq(&q.head.question.name, &question->name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_head h;
	struct dns_query q;

	if (dns_parse_head(data, size, &h) != 0)
		return 0;
	if (h.has_question) {
		require(h.records_off > DNS_HDR_SIZE && h.records_off <= size);
		check_name(&h.question.name);
	}
	if (dns_parse_query(data, size, &q) != 0)
		return 0;
	require(q.udp_size >= DNS_UDP_SIZE_MIN);
	check_reply(&q);
	if (q.problem_rcode == DNS_RCODE_NOERROR)
		check_own_query(&q.head.question, q.has_edns ? q.udp_size : 0);
	return 0;
}
