/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS: what becomes of an answer of a resolver; see resolve.h.
 *
 * It is read, judged and written anew (names/answer.h), its addresses are pinned to the name that was asked, and only
 * then do those hear of it who wait. What cannot be read is a failure of the resolver.
 */
#include <errno.h>

#include "engine/internal.h"

#define NS_PER_S 1000000000ULL

int resolve_pin(struct engine *e, const struct cache_key *key, const struct ip_addr *addrs,
    uint32_t count, uint64_t expiry_ns)
{
	uint64_t now = e->world.now_ns;
	/* A guest may use what it got for a second, however short its time (reference 1.8.20). */
	uint64_t until = expiry_ns > now + NS_PER_S ? expiry_ns : now + NS_PER_S;

	if ((key->type != DNS_TYPE_A && key->type != DNS_TYPE_AAAA) ||
	    !admit_makes_pins(e, &key->server))
		return 0;
	return pins_set(&e->resolve.pins, key->name, key->type == DNS_TYPE_A ? 4 : 6, addrs, count,
	    until + e->cfg.dns_grace_ns);
}

void resolve_forget(struct engine *e, struct resolve_lookup *l)
{
	htab_remove(&e->resolve.by_question, l->hash, l->head.index);
	pool_put(&e->resolve.lookups, l);
}

/* ---- judging ---- */

struct judge_ctx {
	struct engine *e;
	const struct name *name;
	bool is_tcp;
	struct policy_verdict refusal; /* the first one */
	bool has_refusal;
};

static bool judge_addr(void *ctx, const struct ip_addr *addr)
{
	struct judge_ctx *j = ctx;
	struct policy_verdict v = admit_answer(j->e, j->name, addr);

	if (v.action == POLICY_ALLOW)
		return true;
	if (!j->has_refusal)
		j->refusal = v;
	j->has_refusal = true;
	return false;
}

/* ---- telling ---- */

static void tell(struct engine *e, const struct resolve_lookup *l, const struct resolve_wait *w,
    const struct answer *answer, const struct judge_ctx *judge)
{
	struct resolve_client client = w->client;
	struct dns_reply reply = {
	    .rcode = answer->rcode,
	    .is_truncated = answer->is_truncated,
	    .ede = answer->is_refused ? (int)DNS_EDE_FILTERED : (int)DNS_EDE_NONE,
	    .is_authenticated = answer->is_authenticated,
	    .answer_count = answer->answer_count,
	    .authority_count = answer->authority_count,
	    .body = e->resolve.body,
	    .body_len = answer->body_len,
	};
	uint32_t count = answer->addr_count;

	if (answer->is_refused)
		client.verdict = judge->refusal;
	resolve_reply(e, &client, &w->query, &reply);
	account_query(e, &client,
	    &(struct event_query){.name = &l->name,
		.type = l->type,
		.rcode = answer->rcode,
		.addrs = answer->addrs,
		.addr_count = count});
}

static void read_answer(struct engine *e, const struct resolve_lookup *l, const uint8_t *msg,
    size_t len, struct judge_ctx *judge, struct answer *ret_answer)
{
	const struct answer_judge j = {.addr = judge_addr, .ctx = judge};

	if (msg && answer_read(msg, len, (l->flags & CACHE_DNSSEC) != 0, &j, e->resolve.body,
		       ANSWER_BODY_MAX, ret_answer) == 0)
		return;
	e->world.counters->dns_failures++;
	*ret_answer = (struct answer){.rcode = DNS_RCODE_SERVFAIL};
}

/* Before anybody hears of the answer. */
static void keep(struct engine *e, const struct resolve_lookup *l, struct answer *answer)
{
	struct cache_key key = {
	    .name = &l->name, .type = l->type, .flags = l->flags, .server = l->server};
	uint64_t now = e->world.now_ns;

	if ((answer->rcode != DNS_RCODE_NOERROR && answer->rcode != DNS_RCODE_NXDOMAIN) ||
	    answer->is_truncated)
		return;
	if (resolve_pin(
		e, &key, answer->addrs, answer->addr_count, now + answer->ttl_s * NS_PER_S)) {
		/* What could not be reached is not told. */
		*answer = (struct answer){.rcode = DNS_RCODE_SERVFAIL};
		return;
	}
	cache_put(&e->resolve.cache, &key, answer, e->resolve.body, now);
}

void resolve_on_done(void *engine, void *owner, const uint8_t *msg, size_t len)
{
	struct engine *e = engine;
	struct resolve_lookup *l = owner;
	struct judge_ctx judge = {.e = e, .name = &l->name};
	struct answer answer;
	struct list_node *n;

	if (msg)
		e->world.counters->dns_answers++;
	read_answer(e, l, msg, len, &judge, &answer);
	if (l->generation != e->generation) {
		/* The policy is another one than that which let the question out. */
		judge.refusal = admit_name(e, &l->name, false);
		if (judge.refusal.action != POLICY_ALLOW)
			answer = (struct answer){.rcode = DNS_RCODE_NXDOMAIN, .is_refused = true};
	}
	keep(e, l, &answer);
	while ((n = list_first(&l->waits)) != NULL) {
		struct resolve_wait *w = container_of(n, struct resolve_wait, of_lookup);

		list_remove(n);
		tell(e, l, w, &answer, &judge);
		pool_put(&e->resolve.waits, w);
	}
	resolve_forget(e, l);
}
