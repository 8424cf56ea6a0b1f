/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS: what becomes of a question of the guest; see resolve.h.
 *
 * The order of the checks is that of reference 1.8.15: one question, policy on the name, policy on the server, type,
 * family, alias, cache, and only then is anything asked. Every question gets an answer; what is no question at all
 * is dropped. What is denied is told as NXDOMAIN: the C libraries and Go give up at once on that, while they ask
 * again, or ask others, after SERVFAIL and REFUSED (behaviours.md D28). A type that is not passed on is told as
 * "there is none of this type", so that the name's other types go on working.
 */
#include "engine/resolve.h"

#include <errno.h>
#include <stdlib.h>

#include "base/wr.h"
#include "engine/internal.h"

enum {
	ALIAS_TTL_S = 60,
	UDP_OVERHEAD = IP6_HDR_SIZE + UDP_HDR_SIZE,
};

#define NS_PER_S 1000000000ULL

static const char *const alias_texts[] = {"host.microsandbox.internal", "host.sluice.internal"};

static bool on_stream_message(void *engine, struct name_stream *s, const uint8_t *msg, size_t len)
{
	struct engine *e = engine;
	struct resolve_client client = {
	    .kind = RESOLVE_STREAM,
	    .family = s->family,
	    .guest = s->guest,
	    .asked = s->asked,
	    .ref = pool_ref_of(s),
	};
	enum drop_reason why = resolve_question(e, &client, msg, len);

	if (why != DROP_NONE)
		netif_drop(&e->netif, why);
	return why == DROP_NONE;
}

static int init_servers(struct engine *e)
{
	struct resolve *r = &e->resolve;
	int err = forward_set_group(&r->forward, 0, e->cfg.resolvers, e->cfg.resolver_count);

	for (uint32_t i = 0; i < e->cfg.dns_route_count; i++)
		err |= forward_set_group(&r->forward, i + 1, e->cfg.dns_routes[i].servers,
		    e->cfg.dns_routes[i].server_count);
	return err;
}

int resolve_init(struct engine *e)
{
	struct resolve *r = &e->resolve;
	struct pins_limits limits = {.names = PINS_NAMES_DEFAULT, .pins = PINS_DEFAULT};
	int err = 0;

	timer_init(&r->timer, TIMER_DNS);
	for (int i = 0; i < FORWARD_SLOTS; i++)
		r->socks[i] = SOCK_NONE;
	for (size_t i = 0; i < sizeof(alias_texts) / sizeof(alias_texts[0]); i++)
		(void)!name_read(alias_texts[i], strlen(alias_texts[i]), &r->aliases[i], NULL);
	e->world.ops->random(e->world.host, &r->key, sizeof(r->key));
	r->streams.on_message = on_stream_message;
	r->streams.ctx = e;
	/* Each of them, whatever became of the others: resolve_fini() needs all of them begun. */
	err |= forward_init(
	    &r->forward, &resolve_forward_ops, e, e->cfg.dns_timeout_ns, e->world.now_ns);
	err |= cache_init(&r->cache, e->cfg.dns_cache_bytes, &r->key);
	err |= pins_init(&r->pins, &limits, &r->key);
	err |= pool_init(&r->waits, sizeof(struct resolve_wait), RESOLVE_WAITS_MAX);
	err |= pool_init(&r->lookups, sizeof(struct resolve_lookup), FORWARD_JOBS_MAX);
	err |= htab_init(&r->by_question, FORWARD_JOBS_MAX);
	r->answer = malloc(RESOLVE_HEAD_ROOM + DNS_MSG_MAX);
	r->body = malloc(ANSWER_BODY_MAX);
	if (err || !r->answer || !r->body)
		return -ENOMEM;
	return init_servers(e);
}

void resolve_fini(struct engine *e)
{
	struct resolve *r = &e->resolve;

	forward_fini(&r->forward);
	cache_fini(&r->cache);
	pins_fini(&r->pins);
	pool_fini(&r->waits);
	pool_fini(&r->lookups);
	htab_fini(&r->by_question);
	free(r->answer);
	free(r->body);
}

/* ---- answers ---- */

/* Most bytes of a message by UDP: what the guest takes, without fragments. */
static size_t udp_limit(const struct engine *e, const struct dns_query *q)
{
	size_t limit = e->cfg.netif.mtu - (size_t)UDP_OVERHEAD;

	if (limit > RESOLVE_UDP_ANSWER_MAX)
		limit = RESOLVE_UDP_ANSWER_MAX;
	return q->udp_size < limit ? q->udp_size : limit;
}

static void send_udp(struct engine *e, const struct resolve_client *client, uint8_t *l4, size_t len)
{
	struct netif_ip ip = {
	    .family = client->family,
	    .proto = PROTO_UDP,
	    .src = &client->asked.addr,
	    .dst = &client->guest.addr,
	    .l4_len = (uint32_t)(UDP_HDR_SIZE + len),
	};

	put_be16(l4, client->asked.port);
	put_be16(l4 + 2, client->guest.port);
	put_be16(l4 + 4, (uint16_t)ip.l4_len);
	put_be16(l4 + 6, 0);
	(void)netif_send_l4(&e->netif, &ip, l4, UDP_CSUM_OFF);
}

void resolve_reply(struct engine *e, const struct resolve_client *client, const struct dns_query *q,
    const struct dns_reply *reply)
{
	struct resolve *r = &e->resolve;
	uint8_t *msg = r->answer + RESOLVE_HEAD_ROOM;
	bool is_udp = client->kind == RESOLVE_UDP;
	struct name_stream *s = NULL;
	struct wr w;

	if (client->kind == RESOLVE_STREAM)
		s = name_stream_find(&r->streams, client->ref);
	if (!is_udp && !s)
		return;
	w = wr_init(msg, is_udp ? udp_limit(e, q) : (size_t)DNS_MSG_MAX);
	dns_build_answer(q, reply, &w);
	if (!wr_ok(&w) || (s && name_streams_are_full(&r->streams))) {
		/* RFC 2181 9: the client asks again by TCP. There it is only too much at once. */
		w = wr_init(msg, DNS_MSG_MAX);
		dns_build_reply(
		    q, is_udp ? reply->rcode : (uint16_t)DNS_RCODE_SERVFAIL, is_udp, &w);
	}
	if (is_udp)
		send_udp(e, client, msg - UDP_HDR_SIZE, wr_len(&w));
	else
		name_stream_answer(&r->streams, s, msg - NAME_STREAM_FRAME_SIZE, wr_len(&w));
}

/* An answer without addresses has been given. */
static void tell_bare(struct engine *e, const struct resolve_client *client,
    const struct name *name, uint16_t type, uint16_t rcode)
{
	struct event_query query = {.name = name, .type = type, .rcode = rcode};

	account_query(e, client, &query);
}

static void reply_bare(struct engine *e, const struct resolve_client *client,
    const struct dns_query *q, uint16_t rcode, int ede)
{
	struct dns_reply reply = {.rcode = rcode, .ede = ede};

	resolve_reply(e, client, q, &reply);
}

/* ---- names ---- */

/* The name in its canonical form, by which it is judged and kept; false: it has none. */
static bool read_name(const struct dns_name *wire, struct name *ret_name)
{
	char text[DNS_NAME_TEXT_MAX];

	if (dns_name_to_text(wire, text))
		return false;
	if (wire->len == 1) {
		*ret_name = (struct name){0};
		return true;
	}
	return name_read(text, strlen(text), ret_name, NULL) == NAME_OK;
}

/* An address of a family that the guest does not have is no help (behaviours.md A5, D24). */
static bool is_family_off(const struct engine *e, uint16_t type)
{
	return (type == DNS_TYPE_A && !e->cfg.netif.has_v4) ||
	       (type == DNS_TYPE_AAAA && !e->cfg.netif.has_v6);
}

static bool is_alias(const struct resolve *r, const struct name *name)
{
	return name_eq(name, &r->aliases[0]) || name_eq(name, &r->aliases[1]);
}

/* One address record for the name that was asked. */
static void reply_addr(struct engine *e, const struct resolve_client *client,
    const struct dns_query *q, const struct ip_addr *addr, uint32_t ttl_s, bool is_authoritative)
{
	uint8_t body[2 + 10 + 16];
	struct wr w = wr_init(body, sizeof(body));
	bool is_v4 = q->head.question.type == DNS_TYPE_A;
	struct dns_reply reply = {
	    .ede = DNS_EDE_NONE,
	    .is_authoritative = is_authoritative,
	    .answer_count = 1,
	    .body = body,
	};

	wr_be16(&w, 0xc000 | DNS_HDR_SIZE);
	wr_be16(&w, q->head.question.type);
	wr_be16(&w, DNS_CLASS_IN);
	wr_be32(&w, ttl_s);
	wr_be16(&w, is_v4 ? 4 : 16);
	wr_copy(&w, is_v4 ? addr->b + 12 : addr->b, is_v4 ? 4 : 16);
	reply.body_len = wr_len(&w);
	resolve_reply(e, client, q, &reply);
}

static void reply_alias(struct engine *e, const struct resolve_client *client,
    const struct dns_query *q, const struct name *name)
{
	bool is_v4 = q->head.question.type == DNS_TYPE_A;
	const struct ip_addr *addr = is_v4 ? &e->cfg.netif.gateway_v4 : &e->cfg.netif.gateway_v6;
	struct cache_key key = {.name = name, .type = q->head.question.type};
	int err = resolve_pin(e, &key, addr, 1, e->world.now_ns + ALIAS_TTL_S * NS_PER_S);

	if (err) {
		reply_bare(e, client, q, DNS_RCODE_SERVFAIL, DNS_EDE_NONE);
		return;
	}
	reply_addr(e, client, q, addr, ALIAS_TTL_S, true);
	account_query(e, client,
	    &(struct event_query){
		.name = name, .type = q->head.question.type, .addrs = addr, .addr_count = 1});
}

static void reply_cached(struct engine *e, const struct resolve_client *client,
    const struct dns_query *q, const struct name *name, const struct cache_entry *entry)
{
	struct dns_reply reply = {
	    .rcode = entry->rcode,
	    .ede = DNS_EDE_NONE,
	    .is_authenticated = entry->is_authenticated,
	    .answer_count = entry->answer_count,
	    .authority_count = entry->authority_count,
	    .body = cache_copy_body(entry, e->world.now_ns, e->resolve.body),
	    .body_len = entry->body_len,
	};
	struct cache_key key = {.name = name, .type = entry->type, .server = entry->server};

	e->world.counters->dns_cached++;
	if (resolve_pin(e, &key, entry->addrs, entry->addr_count, entry->expiry_ns)) {
		reply_bare(e, client, q, DNS_RCODE_SERVFAIL, DNS_EDE_NONE);
		return;
	}
	resolve_reply(e, client, q, &reply);
	account_query(e, client,
	    &(struct event_query){.name = name,
		.type = key.type,
		.rcode = entry->rcode,
		.is_cached = true,
		.addrs = entry->addrs,
		.addr_count = entry->addr_count});
}

/* ---- asking ---- */

static uint32_t hash_of(const struct resolve *r, const struct cache_key *key)
{
	uint64_t hash = siphash13(&r->key, key->name->text, key->name->len);

	if (!ip_addr_is_unset(&key->server.addr))
		hash ^= siphash13(&r->key, &key->server, sizeof(key->server));
	return (uint32_t)hash ^ ((uint32_t)key->type << 2 | key->flags) * 2654435761U;
}

static struct resolve_lookup *find_lookup(
    const struct resolve *r, const struct cache_key *key, uint32_t hash, bool is_tcp)
{
	uint32_t pos = htab_start(&r->by_question, hash);
	uint32_t i;

	while ((i = htab_next(&r->by_question, hash, &pos)) != HTAB_NONE) {
		struct resolve_lookup *l = (struct resolve_lookup *)(void *)pool_at(&r->lookups, i);

		if (l->type == key->type && l->flags == key->flags && l->is_tcp == is_tcp &&
		    ip_addr_eq(&l->server.addr, &key->server.addr) &&
		    l->server.port == key->server.port && name_eq(&l->name, key->name))
			return l;
	}
	return NULL;
}

/* The servers that know about names under some domains. */
static uint32_t group_of(const struct engine *e, const struct name *name)
{
	uint32_t best = 0;
	uint8_t labels = 0;

	for (uint32_t i = 0; i < e->cfg.dns_route_count; i++) {
		const struct name *suffix = &e->cfg.dns_routes[i].suffix;

		if (suffix->labels >= labels && name_is_under(name, suffix)) {
			best = i + 1;
			labels = suffix->labels;
		}
	}
	return best;
}

static struct resolve_lookup *new_lookup(struct engine *e, const struct dns_query *q,
    const struct cache_key *key, uint32_t hash, bool is_tcp)
{
	struct resolve *r = &e->resolve;
	struct resolve_lookup *l = pool_take(&r->lookups);
	struct forward_question f = {
	    .question = q->head.question,
	    .is_dnssec_ok = (key->flags & CACHE_DNSSEC) != 0,
	    .is_checking_disabled = (key->flags & CACHE_CHECKING_DISABLED) != 0,
	    .has_server = !ip_addr_is_unset(&key->server.addr),
	    .is_tcp = is_tcp,
	    .server = key->server,
	    .group = group_of(e, key->name),
	    .owner = l,
	};

	if (!l)
		return NULL;
	l->hash = hash;
	l->type = key->type;
	l->flags = key->flags;
	l->server = key->server;
	l->is_tcp = is_tcp;
	l->name = *key->name;
	l->generation = e->generation;
	list_init(&l->waits);
	if (htab_insert(&r->by_question, hash, l->head.index)) {
		pool_put(&r->lookups, l);
		return NULL;
	}
	if (forward_ask(&r->forward, &f, e->world.now_ns)) {
		resolve_forget(e, l);
		return NULL;
	}
	return l;
}

/* Asks outside, or waits with who has asked the same. DROP_NONE: an answer comes. */
static enum drop_reason ask(struct engine *e, const struct resolve_client *client,
    const struct dns_query *q, const struct cache_key *key)
{
	struct resolve *r = &e->resolve;
	uint32_t hash = hash_of(r, key);
	/* What a server says by UDP may be too little for who has asked it by TCP. */
	bool is_tcp = client->kind == RESOLVE_STREAM && !ip_addr_is_unset(&key->server.addr);
	struct resolve_lookup *l = find_lookup(r, key, hash, is_tcp);
	struct resolve_wait *w = pool_take(&r->waits);

	if (!w)
		return DROP_DNS_LIMIT;
	if (!l)
		l = new_lookup(e, q, key, hash, is_tcp);
	if (!l) {
		pool_put(&r->waits, w);
		return DROP_DNS_LIMIT;
	}
	w->client = *client;
	w->query = *q;
	list_append(&l->waits, &w->of_lookup);
	e->world.counters->dns_queries++;
	engine_arm(e, &r->timer, forward_next_ns(&r->forward));
	return DROP_NONE;
}

/* ---- questions ---- */

static void deny(struct engine *e, const struct resolve_client *client, const struct dns_query *q,
    const struct name *name, const struct policy_verdict *verdict)
{
	struct resolve_client c = *client;

	c.verdict = *verdict;
	c.verdict.action = POLICY_DENY;
	e->world.counters->dns_denied++;
	reply_bare(e, client, q, DNS_RCODE_NXDOMAIN, DNS_EDE_BLOCKED);
	tell_bare(e, &c, name, q->head.question.type, DNS_RCODE_NXDOMAIN);
}

/* The server that is to be asked, and no other, because the guest has addressed it. False: policy forbids it. */
static bool choose_server(struct engine *e, const struct resolve_client *client,
    struct policy_verdict *ret_verdict, struct endpoint *ret_server)
{
	enum policy_proto proto = client->kind == RESOLVE_STREAM ? POLICY_TCP : POLICY_UDP;

	*ret_server = (struct endpoint){0};
	if (admit_is_own(e, &client->asked.addr))
		return true;
	*ret_verdict = admit_server(e, proto, &client->asked);
	*ret_server = client->asked;
	return ret_verdict->action == POLICY_ALLOW;
}

static enum drop_reason answer_question(struct engine *e, struct resolve_client *client,
    const struct dns_query *q, const struct name *name)
{
	const struct cache_entry *entry;
	struct policy_verdict verdict;
	struct cache_key key = {.name = name, .type = q->head.question.type};
	enum drop_reason why;

	client->verdict = admit_name(e, name, client->kind == RESOLVE_STREAM);
	if (client->verdict.action != POLICY_ALLOW) {
		deny(e, client, q, name, &client->verdict);
		return DROP_NONE;
	}
	if (!choose_server(e, client, &verdict, &key.server)) {
		deny(e, client, q, name, &verdict);
		return DROP_NONE;
	}
	if (!answer_is_type_known(key.type) || is_family_off(e, key.type)) {
		bool is_known = answer_is_type_known(key.type);

		reply_bare(
		    e, client, q, DNS_RCODE_NOERROR, is_known ? DNS_EDE_NONE : DNS_EDE_FILTERED);
		tell_bare(e, client, name, key.type, DNS_RCODE_NOERROR);
		return DROP_NONE;
	}
	if ((key.type == DNS_TYPE_A || key.type == DNS_TYPE_AAAA) && is_alias(&e->resolve, name)) {
		reply_alias(e, client, q, name);
		return DROP_NONE;
	}
	key.flags = (uint8_t)((q->is_dnssec_ok ? CACHE_DNSSEC : 0) |
			      (q->head.is_checking_disabled ? CACHE_CHECKING_DISABLED : 0));
	entry = cache_find(&e->resolve.cache, &key, e->world.now_ns);
	if (entry) {
		reply_cached(e, client, q, name, entry);
		return DROP_NONE;
	}
	if (ip_addr_is_unset(&key.server.addr) &&
	    e->resolve.forward.groups[group_of(e, name)].count == 0) {
		e->world.counters->dns_failures++;
		reply_bare(e, client, q, DNS_RCODE_SERVFAIL, DNS_EDE_NONE);
		tell_bare(e, client, name, key.type, DNS_RCODE_SERVFAIL);
		return DROP_NONE;
	}
	why = ask(e, client, q, &key);
	if (why != DROP_NONE && client->kind == RESOLVE_STREAM) {
		reply_bare(e, client, q, DNS_RCODE_SERVFAIL, DNS_EDE_NONE);
		netif_drop(&e->netif, why);
		return DROP_NONE;
	}
	return why;
}

enum drop_reason resolve_question(
    struct engine *e, struct resolve_client *client, const uint8_t *msg, size_t len)
{
	static const struct policy_verdict no_name = {
	    .action = POLICY_DENY, .rule = POLICY_RULE_FLOOR, .why = POLICY_WHY_FLOOR};
	struct dns_query q;
	struct name name = {0};

	if (dns_parse_query(msg, len, &q))
		return DROP_DNS;
	client->start_ns = e->world.now_ns;
	if (q.problem_rcode != DNS_RCODE_NOERROR) {
		reply_bare(e, client, &q, q.problem_rcode, DNS_EDE_NONE);
		return DROP_NONE;
	}
	if (q.head.question.class != DNS_CLASS_IN) {
		reply_bare(e, client, &q, DNS_RCODE_REFUSED, DNS_EDE_NONE);
		return DROP_NONE;
	}
	if (!read_name(&q.head.question.name, &name)) {
		deny(e, client, &q, &name, &no_name);
		return DROP_NONE;
	}
	return answer_question(e, client, &q, &name);
}

enum drop_reason resolve_on_query(struct engine *e, const struct packet *p)
{
	struct resolve_client client = {
	    .kind = RESOLVE_UDP,
	    .guest = {.addr = p->src, .port = p->udp.src_port},
	    .asked = {.addr = p->dst, .port = p->udp.dst_port},
	    .family = p->family,
	};
	uint8_t msg[RESOLVE_UDP_QUERY_MAX];
	uint32_t len = p->payload_len < sizeof(msg) ? p->payload_len : (uint32_t)sizeof(msg);

	frame_copy(p->frame, p->payload_off, msg, len);
	return resolve_question(e, &client, msg, len);
}

int resolve_open_stream(struct engine *e, struct tcp_flow *f)
{
	struct sock_owner owner = {.kind = SOCK_TCP, .ref = pool_ref_of(f)};
	struct name_stream *s;
	int err = name_stream_open(&e->resolve.streams, owner, &s, &f->sock);

	if (err)
		return err;
	s->guest = (struct endpoint){.addr = f->key.guest, .port = f->key.guest_port};
	s->asked = (struct endpoint){.addr = f->key.remote, .port = f->key.remote_port};
	s->family = f->key.family;
	return 0;
}
