/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS forwarder; see forward.h. Tests: unit/test_forward.c.
 *
 * Invariants: a job is in the pool, and has a timer; an attempt that is waited for is on the list of its slot
 * and in the index; a slot that is open has pending = length of its list.
 */
#include "names/forward.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MS_NS 1000000ULL
#define S_NS  1000000000ULL

static const uint64_t wait_unknown_ns = 300 * MS_NS; /* for a server that never answered */
static const uint64_t wait_min_ns = 200 * MS_NS;
static const uint64_t wait_max_ns = 1000 * MS_NS;
static const uint64_t wait_slot_ns = 20 * MS_NS; /* for a connection, where all are taken */

enum {
	DEAD_SHIFT_MAX = 6, /* a server that is silent is left alone for 2^n seconds */
};

int forward_init(struct forward *f, const struct forward_ops *ops, void *ctx, uint64_t timeout_ns,
    uint64_t now_ns)
{
	memset(f, 0, sizeof(*f));
	f->ops = ops;
	f->ctx = ctx;
	f->timeout_ns = timeout_ns;
	wheel_init(&f->wheel, now_ns);
	for (uint32_t i = 0; i < FORWARD_SLOTS; i++) {
		list_init(&f->slots[i].attempts);
		f->slots[i].is_tcp = i >= FORWARD_UDP_SLOTS;
	}
	if (pool_init(&f->pool, sizeof(struct forward_job), FORWARD_JOBS_MAX) ||
	    htab_init(&f->by_id, FORWARD_JOBS_MAX * FORWARD_ATTEMPTS_MAX)) {
		forward_fini(f);
		return -ENOMEM;
	}
	return 0;
}

static void close_slot(struct forward *f, uint32_t slot)
{
	struct forward_slot *s = &f->slots[slot];

	if (s->is_open)
		f->ops->close(f->ctx, slot);
	s->is_open = false;
	s->uses = 0;
	s->sent = 0;
	s->out_len = 0;
	s->got = 0;
	free(s->in);
	s->in = NULL;
}

void forward_fini(struct forward *f)
{
	for (uint32_t i = 0; i < FORWARD_SLOTS; i++)
		close_slot(f, i);
	pool_fini(&f->pool);
	htab_fini(&f->by_id);
}

int forward_set_group(
    struct forward *f, uint32_t group, const struct endpoint *servers, uint32_t count)
{
	struct forward_server old[FORWARD_SERVERS_MAX];
	uint32_t total = count;
	uint32_t at = 0;

	if (group >= FORWARD_GROUPS_MAX)
		return -ENOSPC;
	for (uint32_t g = 0; g < FORWARD_GROUPS_MAX; g++)
		total += g == group ? 0 : f->groups[g].count;
	if (total > FORWARD_SERVERS_MAX)
		return -ENOSPC;
	memcpy(old, f->servers, sizeof(old));
	memset(f->servers, 0, sizeof(f->servers));
	for (uint32_t g = 0; g < FORWARD_GROUPS_MAX; g++) {
		struct forward_group *to = &f->groups[g];

		if (g == group) {
			for (uint32_t i = 0; i < count; i++)
				f->servers[at + i].to = servers[i];
			to->count = count;
		} else if (to->count > 0) {
			memcpy(&f->servers[at], &old[to->first], to->count * sizeof(old[0]));
		}
		to->first = at;
		at += to->count;
	}
	f->server_count = at;
	/* What is under way does not speak for a server that has another number now. */
	for (uint32_t i = 0; i < FORWARD_SLOTS; i++) {
		struct forward_slot *s = &f->slots[i];

		s->server = FORWARD_SERVER_NONE;
		for (struct list_node *n = s->attempts.next; n != &s->attempts; n = n->next)
			container_of(n, struct forward_attempt, of_slot)->server =
			    FORWARD_SERVER_NONE;
		if (s->is_open && s->pending == 0)
			close_slot(f, i);
	}
	return 0;
}

/* ---- attempts ---- */

/* Identifiers and slots are spread by a multiplication: identifiers are random already. */
static uint32_t hash_of(uint32_t slot, uint16_t id)
{
	return (slot << 16 | id) * 2654435761U;
}

static uint32_t number_of(const struct forward_job *job, const struct forward_attempt *a)
{
	return job->head.index * FORWARD_ATTEMPTS_MAX + (uint32_t)(a - job->attempts);
}

static struct forward_job *job_of(const struct forward *f, uint32_t number)
{
	return (struct forward_job *)(void *)pool_at(&f->pool, number / FORWARD_ATTEMPTS_MAX);
}

static struct forward_attempt *find(
    const struct forward *f, uint32_t slot, uint16_t id, struct forward_job **ret_job)
{
	uint32_t hash = hash_of(slot, id);
	uint32_t pos = htab_start(&f->by_id, hash);
	uint32_t i;

	while ((i = htab_next(&f->by_id, hash, &pos)) != HTAB_NONE) {
		struct forward_job *job = job_of(f, i);
		struct forward_attempt *a = &job->attempts[i % FORWARD_ATTEMPTS_MAX];

		if (a->slot == slot && a->id == id) {
			*ret_job = job;
			return a;
		}
	}
	return NULL;
}

static void drop_attempt(struct forward *f, struct forward_job *job, struct forward_attempt *a)
{
	struct forward_slot *s = &f->slots[a->slot];

	if (!list_is_linked(&a->of_slot))
		return;
	htab_remove(&f->by_id, hash_of(a->slot, a->id), number_of(job, a));
	list_remove(&a->of_slot);
	s->pending--;
	if (s->pending == 0 &&
	    (s->is_tcp || s->uses >= FORWARD_SLOT_USES || s->server == FORWARD_SERVER_NONE))
		close_slot(f, a->slot);
}

static void end_job(struct forward *f, struct forward_job *job, const uint8_t *msg, size_t len)
{
	void *owner = job->q.owner;

	for (uint32_t i = 0; i < FORWARD_ATTEMPTS_MAX; i++)
		drop_attempt(f, job, &job->attempts[i]);
	wheel_cancel(&f->wheel, &job->timer);
	pool_put(&f->pool, job);
	if (msg)
		f->counters.answers++;
	else
		f->counters.failures++;
	f->ops->done(f->ctx, owner, msg, len);
}

static void on_silence(struct forward_server *s, uint64_t now_ns)
{
	uint32_t shift = s->fails < DEAD_SHIFT_MAX ? s->fails + 1 : (uint32_t)DEAD_SHIFT_MAX;

	s->fails++;
	s->dead_until_ns = now_ns + (S_NS << shift);
}

static void on_heard(struct forward *f, const struct forward_attempt *a, uint64_t now_ns)
{
	struct forward_server *s;
	uint64_t rtt = now_ns - a->sent_ns;

	if (a->server == FORWARD_SERVER_NONE)
		return;
	s = &f->servers[a->server];
	s->fails = 0;
	s->dead_until_ns = 0;
	s->heard_ns = now_ns;
	s->srtt_ns = s->srtt_ns == 0 ? rtt : s->srtt_ns - s->srtt_ns / 8 + rtt / 8;
}

/* ---- choosing ---- */

/* The first one of the group that answers, else the one that is left alone for the shortest time. */
static uint32_t first_server(const struct forward *f, const struct forward_group *g)
{
	uint32_t best = g->first;

	for (uint32_t i = g->first; i < g->first + g->count; i++) {
		if (f->servers[i].fails == 0)
			return i;
		if (f->servers[i].dead_until_ns < f->servers[best].dead_until_ns)
			best = i;
	}
	return best;
}

/* A server of the group that was left alone for long enough to be tried beside another one. */
static uint32_t server_to_try(
    const struct forward *f, const struct forward_group *g, uint32_t but, uint64_t now_ns)
{
	for (uint32_t i = g->first; i < g->first + g->count; i++) {
		if (i != but && f->servers[i].fails > 0 && f->servers[i].dead_until_ns <= now_ns)
			return i;
	}
	return FORWARD_SERVER_NONE;
}

static uint32_t free_slot(const struct forward *f, uint32_t first, uint32_t count)
{
	for (uint32_t i = first; i < first + count; i++) {
		if (!f->slots[i].is_open)
			return i;
	}
	return FORWARD_SLOTS;
}

/* A slot for a question to a server: a new socket, and at FORWARD_SLOTS_PER_SERVER any of these at random. Looks at
 * each slot once. FORWARD_SLOTS: there is none. */
static uint32_t choose_udp_slot(struct forward *f, uint32_t server)
{
	uint32_t found[FORWARD_UDP_SLOTS];
	uint32_t count = 0;
	uint32_t spare = FORWARD_SLOTS;
	uint32_t random;

	for (uint32_t i = 0; i < FORWARD_UDP_SLOTS; i++) {
		const struct forward_slot *s = &f->slots[i];

		if (!s->is_open)
			spare = i;
		else if (s->server == server && server != FORWARD_SERVER_NONE &&
			 s->uses < FORWARD_SLOT_USES)
			found[count++] = i;
	}
	if (spare != FORWARD_SLOTS && count < FORWARD_SLOTS_PER_SERVER)
		return spare;
	if (count == 0)
		return FORWARD_SLOTS;
	f->ops->random(f->ctx, &random, sizeof(random));
	return found[random % count];
}

/* ---- sending ---- */

static bool is_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The name with the letters' case of this job. Lengths of labels are below 64 and so no letters. */
static void apply_case(const struct forward_job *job, bool has_case, struct dns_name *name)
{
	for (uint32_t i = 0; i < name->len; i++) {
		if (!is_letter(name->wire[i]))
			continue;
		name->wire[i] |= 0x20;
		if (has_case && (job->case_bits[i / 8] >> i % 8 & 1) != 0)
			name->wire[i] &= 0xdf;
	}
}

/* Whether a server (NONE: the given one) sends back the letters' case, as far as is known. The given one cannot be asked by
 * TCP: where it has sent another case it is asked once more, without. */
static bool keeps_case(const struct forward *f, const struct forward_job *job, uint32_t server)
{
	if (job->q.has_server)
		return !job->is_case_odd;
	return server == FORWARD_SERVER_NONE || !f->servers[server].keeps_no_case;
}

static size_t build(
    const struct forward_job *job, const struct forward_attempt *a, uint8_t *buf, size_t cap)
{
	struct dns_question q = job->q.question;
	struct wr w = wr_init(buf, cap);

	apply_case(job, a->has_case, &q.name);
	dns_build_query(a->id, &q, a->has_edns ? (uint16_t)FORWARD_UDP_SIZE : 0,
	    job->q.is_dnssec_ok, job->q.is_checking_disabled, &w);
	return wr_len(&w);
}

static int open_slot(struct forward *f, uint32_t slot, const struct endpoint *to, uint32_t server)
{
	struct forward_slot *s = &f->slots[slot];
	int err = f->ops->open(f->ctx, slot, to, s->is_tcp);

	if (err)
		return err;
	s->is_open = true;
	s->server = server;
	return 0;
}

static int send_attempt(struct forward *f, struct forward_job *job, struct forward_attempt *a)
{
	struct forward_slot *s = &f->slots[a->slot];
	uint8_t buf[DNS_QUERY_SIZE_MAX];
	ssize_t sent;

	f->counters.sent++;
	if (s->is_tcp) {
		size_t len = build(job, a, s->out + 2, sizeof(s->out) - 2);

		put_be16(s->out, (uint16_t)len);
		s->out_len = (uint32_t)len + 2;
		return 0; /* when the connection stands */
	}
	sent = f->ops->send(f->ctx, a->slot, buf, build(job, a, buf, sizeof(buf)));
	return sent < 0 && sent != -EAGAIN ? (int)sent : 0;
}

/* Sends the question to a server. 0, or -errno: it cannot be reached by what is known now. */
static int attempt(struct forward *f, struct forward_job *job, uint32_t server, uint64_t now_ns)
{
	struct forward_attempt *a = &job->attempts[job->next];
	bool is_known = server != FORWARD_SERVER_NONE;
	const struct endpoint *to = is_known ? &f->servers[server].to : &job->q.server;
	struct forward_job *other;
	int err = 0;

	job->next = (job->next + 1) % FORWARD_ATTEMPTS_MAX;
	drop_attempt(f, job, a);
	a->server = server;
	a->sent_ns = now_ns;
	a->is_tcp = job->is_tcp;
	a->has_case = keeps_case(f, job, server);
	a->has_edns = !is_known || !f->servers[server].has_no_edns;
	a->slot = a->is_tcp ? free_slot(f, FORWARD_UDP_SLOTS, FORWARD_TCP_SLOTS)
			    : choose_udp_slot(f, server);
	if (a->slot == FORWARD_SLOTS)
		return -ENOSPC;
	if (!f->slots[a->slot].is_open)
		err = open_slot(f, a->slot, to, server);
	if (err)
		return err;
	f->ops->random(f->ctx, &a->id, sizeof(a->id));
	/* At most FORWARD_JOBS_MAX * FORWARD_ATTEMPTS_MAX of 65,536 identifiers are taken: this ends. */
	while (find(f, a->slot, a->id, &other))
		a->id++;
	if (htab_insert(&f->by_id, hash_of(a->slot, a->id), number_of(job, a)))
		return -ENOSPC;
	list_append(&f->slots[a->slot].attempts, &a->of_slot);
	f->slots[a->slot].pending++;
	f->slots[a->slot].uses++;
	err = send_attempt(f, job, a);
	if (err)
		drop_attempt(f, job, a);
	return err;
}

static uint64_t first_wait(const struct forward *f, uint32_t server)
{
	uint64_t wait = server == FORWARD_SERVER_NONE ? 0 : 4 * f->servers[server].srtt_ns;

	if (wait == 0)
		wait = wait_unknown_ns;
	else if (wait < wait_min_ns)
		wait = wait_min_ns;
	else if (wait > wait_max_ns)
		wait = wait_max_ns;
	return wait < f->timeout_ns / 2 ? wait : f->timeout_ns / 2;
}

static bool is_waiting(const struct forward_job *job)
{
	for (uint32_t i = 0; i < FORWARD_ATTEMPTS_MAX; i++) {
		if (list_is_linked(&job->attempts[i].of_slot))
			return true;
	}
	return false;
}

static void set_timer(struct forward *f, struct forward_job *job, uint64_t now_ns)
{
	uint64_t due = now_ns + job->wait_ns;

	wheel_set(&f->wheel, &job->timer, due < job->deadline_ns ? due : job->deadline_ns);
}

/* Asks the next server of the job's group, and at once the one after it where that cannot be reached. False: none of
 * them can. */
static bool ask_next(struct forward *f, struct forward_job *job, uint64_t now_ns)
{
	const struct forward_group *g = &f->groups[job->q.group];
	uint32_t tries = job->q.has_server ? 1 : g->count;
	int err;

	for (uint32_t i = 0; i < tries; i++) {
		uint32_t server = FORWARD_SERVER_NONE;

		if (!job->q.has_server) {
			bool is_of_group =
			    job->server >= g->first && job->server < g->first + g->count;

			server = job->tries == 0 || !is_of_group
				     ? first_server(f, g)
				     : g->first + (job->server + 1 - g->first) % g->count;
		}
		job->server = server;
		err = attempt(f, job, server, now_ns);
		/* All sockets are taken, which says nothing of the server: the timer tries again. */
		if (err == -ENOSPC)
			return true;
		job->tries++;
		if (err == 0)
			return true;
		if (server != FORWARD_SERVER_NONE)
			on_silence(&f->servers[server], now_ns);
	}
	return is_waiting(job);
}

int forward_ask(struct forward *f, const struct forward_question *q, uint64_t now_ns)
{
	struct forward_job *job;
	uint32_t other;

	if (!q->has_server && (q->group >= FORWARD_GROUPS_MAX || f->groups[q->group].count == 0))
		return -ESRCH;
	/* A wheel that has stood still for long is coarse. */
	if (f->pool.in_use == 0)
		(void)wheel_expire(&f->wheel, now_ns);
	job = pool_take(&f->pool);
	if (!job)
		return -ENOSPC;
	job->q = *q;
	job->is_tcp = q->has_server && q->is_tcp;
	job->deadline_ns = now_ns + f->timeout_ns;
	timer_init(&job->timer, 0);
	for (uint32_t i = 0; i < FORWARD_ATTEMPTS_MAX; i++)
		list_init(&job->attempts[i].of_slot);
	f->ops->random(f->ctx, job->case_bits, (q->question.name.len + 7U) / 8);
	if (!ask_next(f, job, now_ns)) {
		/* Told by the timer, as done() does not come before this returns. */
		wheel_set(&f->wheel, &job->timer, now_ns);
		job->deadline_ns = now_ns;
		return 0;
	}
	job->wait_ns = first_wait(f, job->server);
	set_timer(f, job, now_ns);
	if (q->has_server)
		return 0;
	other = server_to_try(f, &f->groups[q->group], job->server, now_ns);
	if (other != FORWARD_SERVER_NONE) {
		struct forward_server *s = &f->servers[other];

		/* Not again before its time, whatever becomes of this. */
		on_silence(s, now_ns);
		(void)attempt(f, job, other, now_ns);
	}
	return 0;
}

/* ---- answers ---- */

static bool is_same_case(const struct dns_name *a, const struct dns_name *b)
{
	return a->len == b->len && memcmp(a->wire, b->wire, a->len) == 0;
}

/* Asks the same server once more by TCP: a datagram was not enough, or could be forged. */
static void ask_by_tcp(struct forward *f, struct forward_job *job, uint32_t server, uint64_t now_ns)
{
	int err;

	f->counters.by_tcp++;
	for (uint32_t i = 0; i < FORWARD_ATTEMPTS_MAX; i++)
		drop_attempt(f, job, &job->attempts[i]);
	job->is_tcp = true;
	job->server = server;
	job->deadline_ns = now_ns + f->timeout_ns;
	job->wait_ns = f->timeout_ns;
	err = server == FORWARD_SERVER_NONE ? -ESRCH : attempt(f, job, server, now_ns);
	if (err == -ENOSPC)
		job->wait_ns = wait_slot_ns;
	else if (err)
		job->deadline_ns = now_ns;
	set_timer(f, job, now_ns);
}

/* RFC 6891 7: a server without EDNS. */
static bool refuses_edns(const struct forward_attempt *a, const struct dns_head *head)
{
	return a->has_edns && a->server != FORWARD_SERVER_NONE &&
	       (head->rcode == DNS_RCODE_FORMERR || head->rcode == DNS_RCODE_NOTIMP) &&
	       head->additional_count == 0;
}

static void on_message(struct forward *f, uint32_t slot, const uint8_t *msg, size_t len,
    bool is_datagram, uint64_t now_ns)
{
	struct forward_attempt *a = NULL;
	struct forward_job *job;
	struct dns_name sent;
	struct dns_head head;
	uint32_t server;

	if (dns_parse_head(msg, len, &head) == 0 && head.is_response && head.has_question)
		a = find(f, slot, head.id, &job);
	if (!a || head.question.type != job->q.question.type ||
	    head.question.class != job->q.question.class ||
	    !dns_name_eq(&head.question.name, &job->q.question.name)) {
		f->counters.ignored++;
		return;
	}
	sent = job->q.question.name;
	apply_case(job, a->has_case, &sent);
	server = a->server;
	if (is_datagram && a->has_case && !is_same_case(&sent, &head.question.name)) {
		/* A forgery, or a server that does not send back what it got: TCP tells. */
		job->is_case_odd = true;
		if (server == FORWARD_SERVER_NONE) {
			f->counters.ignored++;
			return;
		}
		ask_by_tcp(f, job, server, now_ns);
		return;
	}
	/* Who cannot be forged has the same odd case: that is how this server answers. */
	if (job->is_case_odd && a->is_tcp && server != FORWARD_SERVER_NONE)
		f->servers[server].keeps_no_case = !is_same_case(&sent, &head.question.name);
	on_heard(f, a, now_ns);
	if (refuses_edns(a, &head)) {
		f->servers[server].has_no_edns = true;
		drop_attempt(f, job, a);
		(void)attempt(f, job, server, now_ns);
		return;
	}
	if (head.is_truncated && !a->is_tcp && !job->q.has_server) {
		ask_by_tcp(f, job, server, now_ns);
		return;
	}
	end_job(f, job, msg, len);
}

void forward_on_datagram(
    struct forward *f, uint32_t slot, const uint8_t *msg, size_t len, uint64_t now_ns)
{
	on_message(f, slot, msg, len, true, now_ns);
}

void forward_on_error(struct forward *f, uint32_t slot, uint64_t now_ns)
{
	struct forward_slot *s = &f->slots[slot];
	struct list_node *n;

	if (!s->is_open)
		return;
	if (s->server != FORWARD_SERVER_NONE)
		on_silence(&f->servers[s->server], now_ns);
	/* It takes no more questions, and closes when it has none. */
	s->uses = FORWARD_SLOT_USES;
	if (s->pending == 0)
		close_slot(f, slot);
	while ((n = list_first(&s->attempts)) != NULL) {
		struct forward_attempt *a = container_of(n, struct forward_attempt, of_slot);
		struct forward_job *job;

		if (find(f, slot, a->id, &job) != a)
			return;
		drop_attempt(f, job, a);
		/* Others may still answer; where none is asked the next one is, now. */
		if (!is_waiting(job)) {
			if (job->tries >= f->groups[job->q.group].count || job->q.has_server ||
			    job->is_tcp)
				job->deadline_ns = now_ns;
			wheel_set(&f->wheel, &job->timer, now_ns);
		}
	}
}

/* ---- TCP ---- */

void forward_on_writable(struct forward *f, uint32_t slot, uint64_t now_ns)
{
	struct forward_slot *s = &f->slots[slot];

	if (!s->is_open || !s->is_tcp)
		return;
	while (s->sent < s->out_len) {
		ssize_t n = f->ops->send(f->ctx, slot, s->out + s->sent, s->out_len - s->sent);

		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			forward_on_error(f, slot, now_ns);
			return;
		}
		s->sent += (uint32_t)n;
	}
}

uint8_t *forward_room(struct forward *f, uint32_t slot, size_t *ret_room)
{
	struct forward_slot *s = &f->slots[slot];
	size_t want = 2;

	if (!s->is_open || !s->is_tcp)
		return NULL;
	if (!s->in)
		s->in = calloc(1, 2 + DNS_MSG_MAX);
	if (!s->in)
		return NULL;
	if (s->got >= 2) {
		struct rd r = rd_init(s->in, 2);

		want += rd_be16(&r);
	}
	*ret_room = want - s->got;
	return s->in + s->got;
}

bool forward_on_bytes(struct forward *f, uint32_t slot, size_t len, uint64_t now_ns)
{
	struct forward_slot *s = &f->slots[slot];
	struct rd r = rd_init(s->in, 2);
	uint32_t size;

	s->got += (uint32_t)len;
	if (len > 0 && s->got < 2)
		return true;
	size = len > 0 ? rd_be16(&r) : 0;
	if (len > 0 && s->got < 2 + size)
		return true;
	if (size > 0) {
		uint8_t *in = s->in;

		/* The slot may be closed before the message has been used. */
		s->in = NULL;
		s->got = 0;
		on_message(f, slot, in + 2, size, false, now_ns);
		free(in);
	}
	/* One connection, one question: what has not been answered by now is not. */
	if (s->is_open)
		forward_on_error(f, slot, now_ns);
	return false;
}

/* ---- time ---- */

static void on_due(struct forward *f, struct forward_job *job, uint64_t now_ns)
{
	struct forward_server *s;

	for (uint32_t i = 0; i < FORWARD_ATTEMPTS_MAX; i++) {
		const struct forward_attempt *a = &job->attempts[i];

		if (!list_is_linked(&a->of_slot) || a->server == FORWARD_SERVER_NONE)
			continue;
		s = &f->servers[a->server];
		if (s->heard_ns < a->sent_ns && s->dead_until_ns <= now_ns)
			on_silence(s, now_ns);
	}
	if (now_ns >= job->deadline_ns) {
		end_job(f, job, NULL, 0);
		return;
	}
	job->wait_ns *= 2;
	if (!ask_next(f, job, now_ns) && !is_waiting(job))
		job->deadline_ns = now_ns;
	set_timer(f, job, now_ns);
}

bool forward_on_time(struct forward *f, uint64_t now_ns, uint32_t max)
{
	for (uint32_t i = 0; i < max; i++) {
		struct timer *t = wheel_expire(&f->wheel, now_ns);

		if (!t)
			return false;
		on_due(f, container_of(t, struct forward_job, timer), now_ns);
	}
	return true;
}

bool forward_is_idle(const struct forward *f)
{
	return f->pool.in_use == 0;
}

void forward_rest(struct forward *f)
{
	for (uint32_t i = 0; i < FORWARD_SLOTS; i++)
		close_slot(f, i);
}

uint64_t forward_next_ns(struct forward *f)
{
	return forward_is_idle(f) ? FORWARD_NEVER : wheel_next_ns(&f->wheel);
}
