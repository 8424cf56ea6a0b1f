/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS forwarder; see forward.h.
 *
 * A query is asked of the resolver that answered last, then of the others in turn, each once; when
 * all have been silent the guest hears SERVFAIL (behaviours.md D11, D12). An answer counts only
 * from the resolver that was asked, with our identifier and the same question (RFC 5452 9.1).
 *
 * Invariant: each pending query is in the pool, in the index and on the list of ages, which is sorted by
 * due_ns because every query waits equally long.
 */
#include "names/forward.h"

#include <errno.h>
#include <string.h>

int forward_init(struct forward *f, uint32_t resolver_count, uint64_t timeout_ns)
{
	*f = (struct forward){.resolver_count = resolver_count, .timeout_ns = timeout_ns};
	list_init(&f->age);
	if (pool_init(&f->pool, sizeof(struct forward_pending), FORWARD_PENDING_MAX) ||
	    htab_init(&f->by_id, FORWARD_PENDING_MAX)) {
		forward_fini(f);
		return -ENOMEM;
	}
	return 0;
}

void forward_fini(struct forward *f)
{
	pool_fini(&f->pool);
	htab_fini(&f->by_id);
}

/* Identifiers are spread by a multiplication: they are random already, and their low bits index. */
static uint32_t hash_of(uint16_t id)
{
	return id * 2654435761U;
}

static struct forward_pending *find(const struct forward *f, uint16_t id)
{
	uint32_t hash = hash_of(id);
	uint32_t pos = htab_start(&f->by_id, hash);
	uint32_t i;

	while ((i = htab_next(&f->by_id, hash, &pos)) != HTAB_NONE) {
		struct forward_pending *p = (struct forward_pending *)(void *)pool_at(&f->pool, i);

		if (p->id == id)
			return p;
	}
	return NULL;
}

static void forget(struct forward *f, struct forward_pending *p)
{
	htab_remove(&f->by_id, hash_of(p->id), p->head.index);
	list_remove(&p->age);
	pool_put(&f->pool, p);
}

static struct forward_action ask(
    struct forward *f, struct forward_pending *p, uint64_t now_ns, uint8_t *buf, size_t cap)
{
	struct wr w = wr_init(buf, cap);

	p->due_ns = now_ns + f->timeout_ns;
	list_move_tail(&f->age, &p->age);
	dns_build_query(p->id, &p->query.head.question,
	    p->query.has_edns ? (uint16_t)FORWARD_UDP_SIZE : 0, p->query.is_dnssec_ok, &w);
	return (struct forward_action){
	    .what = FORWARD_ASK, .resolver = p->resolver, .len = wr_len(&w)};
}

static struct forward_action fail(struct forward *f, const struct dns_query *query,
    const struct forward_client *client, uint8_t *buf, size_t cap)
{
	struct wr w = wr_init(buf, cap);

	f->counters.failures++;
	dns_build_reply(query, DNS_RCODE_SERVFAIL, false, &w);
	return (struct forward_action){
	    .what = FORWARD_ANSWER, .client = *client, .len = wr_len(&w)};
}

struct forward_action forward_ask(struct forward *f, const struct dns_query *query,
    const struct forward_client *client, uint16_t random_id, uint64_t now_ns, uint8_t *buf,
    size_t cap)
{
	struct forward_pending *p;
	uint16_t id = random_id;

	f->counters.queries++;
	if (f->resolver_count == 0)
		return fail(f, query, client, buf, cap);
	p = pool_take(&f->pool);
	if (!p)
		return (struct forward_action){.what = FORWARD_NOTHING};
	/* At most FORWARD_PENDING_MAX of 65,536 identifiers are taken: this ends. */
	while (find(f, id))
		id++;
	list_init(&p->age);
	p->id = id;
	p->client = *client;
	p->query = *query;
	p->resolver = f->preferred;
	if (htab_insert(&f->by_id, hash_of(id), p->head.index)) {
		pool_put(&f->pool, p);
		return (struct forward_action){.what = FORWARD_NOTHING};
	}
	return ask(f, p, now_ns, buf, cap);
}

struct forward_action forward_on_answer(
    struct forward *f, uint32_t resolver, const uint8_t *msg, size_t len, uint8_t *buf, size_t cap)
{
	struct forward_action a = {.what = FORWARD_ANSWER};
	struct forward_pending *p;
	struct dns_head head;
	struct wr w = wr_init(buf, cap);

	if (dns_parse_head(msg, len, &head) || !head.is_response || !head.has_question)
		return (struct forward_action){.what = FORWARD_NOTHING};
	p = find(f, head.id);
	if (!p || p->resolver != resolver ||
	    !dns_name_eq(&head.question.name, &p->query.head.question.name) ||
	    head.question.type != p->query.head.question.type ||
	    head.question.class != p->query.head.question.class)
		return (struct forward_action){.what = FORWARD_NOTHING};
	f->preferred = resolver;
	f->counters.answers++;
	a.client = p->client;
	if (len > p->query.udp_size || len > cap) {
		/* RFC 2181 9: the client asks again by TCP. */
		dns_build_reply(&p->query, head.rcode, true, &w);
		a.len = wr_len(&w);
	} else {
		memmove(buf, msg, len);
		put_be16(buf, p->query.head.id);
		a.len = len;
	}
	forget(f, p);
	return a;
}

void forward_on_unreachable(struct forward *f, uint32_t resolver, uint64_t now_ns)
{
	struct list_node *n = f->age.next;

	/* Few are pending at a resolver that refuses: each of them leaves it here. */
	while (n != &f->age) {
		struct forward_pending *p = container_of(n, struct forward_pending, age);

		n = n->next;
		if (p->resolver == resolver && p->due_ns > now_ns) {
			p->due_ns = now_ns;
			list_remove(&p->age);
			list_prepend(&f->age, &p->age);
		}
	}
}

struct forward_action forward_on_time(struct forward *f, uint64_t now_ns, uint8_t *buf, size_t cap)
{
	struct list_node *n = list_first(&f->age);
	struct forward_action a;
	struct forward_pending *p;

	if (!n)
		return (struct forward_action){.what = FORWARD_NOTHING};
	p = container_of(n, struct forward_pending, age);
	if (p->due_ns > now_ns)
		return (struct forward_action){.what = FORWARD_NOTHING};
	if (++p->tries < f->resolver_count) {
		p->resolver = (p->resolver + 1) % f->resolver_count;
		/* The next query does not wait for the one that is silent again (D11). */
		f->preferred = p->resolver;
		return ask(f, p, now_ns, buf, cap);
	}
	a = fail(f, &p->query, &p->client, buf, cap);
	forget(f, p);
	return a;
}

bool forward_is_idle(const struct forward *f)
{
	return f->pool.in_use == 0;
}

uint64_t forward_next_ns(struct forward *f)
{
	struct list_node *n = list_first(&f->age);

	return n ? container_of(n, struct forward_pending, age)->due_ns : FORWARD_NEVER;
}
