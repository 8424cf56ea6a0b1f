/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an edit of the rules opens and closes.
 *
 * The rules of both policies cut addresses and ports into ranges inside which nothing changes, and they
 * have a finite number of names. One address, port and name of each is judged by both policies: so what
 * is the same there is the same everywhere. Not looked at: addresses that embed others, beyond the first
 * of their range, which the rules about these can only narrow.
 * Invariant: two policies between which nothing is told judge alike (test_policy_diff:
 * what_is_not_told_has_not_changed).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/judge.h"

enum {
	BUDGET = 1 << 23,    /* probes of an exact comparison */
	THIN_PORTS_MAX = 64, /* ports that are probed if there are too many for one */
	ENTRIES_MAX = 32,    /* pairs of rules that change one target */
	COLUMN_COUNT = 3,    /* TCP, UDP, ICMP */
};

struct piece {
	struct ip_addr first;
	struct ip_addr last;
};

/* Ports of one protocol. */
struct port_list {
	uint32_t count;
	bool has_more;
	struct port_range ranges[POLICY_CHANGE_RANGES_MAX];
};

/* What a pair of rules changes for one target. */
struct entry {
	struct policy_verdict before;
	struct policy_verdict after;
	struct port_list ports[COLUMN_COUNT];
};

struct diffing {
	const struct policy *before;
	const struct policy *after;
	struct piece *pieces; /* ranges of addresses, ascending, IPv4 first */
	uint32_t piece_count;
	uint16_t *ports; /* first of each range, ascending */
	uint32_t port_count;
	uint32_t name_count;
	struct ip_addr other; /* that few rules are about */
	bool is_crossing;     /* names at each range of addresses are judged too */
	bool is_whole;

	struct entry entries[ENTRIES_MAX]; /* of the present target */
	uint32_t entry_count;

	bool is_asking_known; /* names without a rule change */
	struct policy_change asking;

	struct policy_change *changes;
	uint32_t change_count;
	size_t change_cap;
};

static struct ip_addr addr_of_key(struct addr_key key, enum addr_family family)
{
	struct ip_addr a;

	if (family == ADDR_IPV4)
		return ip_addr_v4((uint32_t)(key.hi >> 32));
	key.hi = htobe64(key.hi);
	key.lo = htobe64(key.lo);
	memcpy(a.b, &key.hi, sizeof(key.hi));
	memcpy(a.b + 8, &key.lo, sizeof(key.lo));
	return a;
}

static int compare_addrs(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct ip_addr));
}

/* The address before one that is not the first of its family. */
static struct ip_addr addr_before(struct ip_addr a)
{
	for (size_t i = sizeof(a.b); i-- > 0;)
		if (a.b[i]-- > 0)
			break;
	return a;
}

/* The starts of the ranges of a family in all layers of a policy, behind those that `out` has. */
static uint32_t add_starts(
    const struct policy *p, enum addr_family family, struct ip_addr *out, uint32_t count)
{
	for (; p; p = p->next) {
		const struct range_table *t = &p->places[family];

		for (uint32_t i = 0; i < t->count; i++) {
			struct addr_key key = {.hi = t->keys[i], .lo = t->lows ? t->lows[i] : 0};

			out[count++] = addr_of_key(key, family);
		}
	}
	return count;
}

static uint32_t count_starts(const struct policy *p)
{
	uint32_t count = 0;

	for (; p; p = p->next)
		for (int f = 0; f < ADDR_FAMILY_COUNT; f++)
			count += p->places[f].count;
	return count;
}

/* Makes the ranges of addresses of both policies. 0 or -ENOMEM. */
static int make_pieces(struct diffing *d)
{
	uint32_t max = count_starts(d->before) + count_starts(d->after);
	struct ip_addr *starts = calloc(max + 1U, sizeof(*starts));
	struct ip_addr top;

	d->pieces = calloc(max + 1U, sizeof(*d->pieces));
	if (!starts || !d->pieces) {
		free(starts);
		return -ENOMEM;
	}
	for (int f = 0; f < ADDR_FAMILY_COUNT; f++) {
		enum addr_family family = (enum addr_family)f;
		uint32_t n = add_starts(d->before, family, starts, 0);
		uint32_t first = d->piece_count;

		n = add_starts(d->after, family, starts, n);
		qsort(starts, n, sizeof(*starts), compare_addrs);
		for (uint32_t i = 0; i < n; i++) {
			if (i > 0 && ip_addr_eq(&starts[i], &starts[i - 1]))
				continue;
			if (d->piece_count > first)
				d->pieces[d->piece_count - 1].last = addr_before(starts[i]);
			d->pieces[d->piece_count++].first = starts[i];
		}
		memset(&top, 0xff, sizeof(top));
		d->pieces[d->piece_count - 1].last =
		    family == ADDR_IPV4 ? ip_addr_v4(UINT32_MAX) : top;
	}
	free(starts);
	return 0;
}

/* Makes the ranges of ports of both policies. 0 or -ENOMEM. */
static int make_ports(struct diffing *d)
{
	const struct policy *const policies[] = {d->before, d->after};
	uint8_t *is_start = calloc(UINT16_MAX + 2, 1);

	if (!is_start)
		return -ENOMEM;
	is_start[1] = 1;
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		for (const struct policy *p = policies[i]; p; p = p->next) {
			for (size_t k = 0; k < p->range_count; k++) {
				is_start[p->ranges[k].first] = 1;
				is_start[p->ranges[k].last + 1U] = 1;
			}
		}
	}
	for (uint32_t port = 1; port <= UINT16_MAX; port++)
		d->port_count += is_start[port];
	d->ports = calloc(d->port_count, sizeof(*d->ports));
	if (d->ports) {
		uint32_t n = 0;

		for (uint32_t port = 1; port <= UINT16_MAX; port++)
			if (is_start[port])
				d->ports[n++] = (uint16_t)port;
	}
	free(is_start);
	return d->ports ? 0 : -ENOMEM;
}

static uint32_t count_names(const struct policy *p)
{
	uint32_t count = 0;
	uint32_t offset;

	for (; p; p = p->next) {
		offset = NAME_RECORDS_START;
		while (name_index_next(&p->names, &offset))
			count++;
	}
	return count;
}

/* Decides how much is compared: all, or what the budget allows. */
static void plan(struct diffing *d)
{
	uint64_t each = 2ULL * d->port_count + 1;
	uint64_t plain;
	uint64_t crossed;

	d->name_count = count_names(d->before) + count_names(d->after);
	plain = 2 * each * (d->piece_count + 2ULL * d->name_count);
	crossed = plain + 4 * each * d->piece_count * d->name_count;
	d->is_crossing = crossed <= BUDGET;
	d->is_whole = d->is_crossing || d->name_count == 0;
	if (plain > BUDGET && d->port_count > THIN_PORTS_MAX) {
		d->port_count = THIN_PORTS_MAX;
		d->is_whole = false;
	}
}

static bool verdicts_equal(const struct policy_verdict *a, const struct policy_verdict *b)
{
	return a->rule == b->rule && a->layer == b->layer && a->action == b->action;
}

static struct entry *find_entry(
    struct diffing *d, const struct policy_verdict *before, const struct policy_verdict *after)
{
	struct entry *e;

	for (uint32_t i = 0; i < d->entry_count; i++)
		if (verdicts_equal(&d->entries[i].before, before) &&
		    verdicts_equal(&d->entries[i].after, after))
			return &d->entries[i];
	if (d->entry_count == ENTRIES_MAX) {
		d->is_whole = false;
		return NULL;
	}
	e = &d->entries[d->entry_count++];
	memset(e, 0, sizeof(*e));
	e->before = *before;
	e->after = *after;
	return e;
}

static void add_range(struct port_list *l, struct port_range range)
{
	if (l->count > 0 && !l->has_more && l->ranges[l->count - 1].last + 1U == range.first)
		l->ranges[l->count - 1].last = range.last;
	else if (l->count < POLICY_CHANGE_RANGES_MAX)
		l->ranges[l->count++] = range;
	else
		l->has_more = true;
}

/* Judges one query by both policies, and notes it if that differs. */
static void probe(
    struct diffing *d, const struct policy_query *q, unsigned int column, struct port_range range)
{
	struct policy_verdict before = policy_judge(d->before, q);
	struct policy_verdict after = policy_judge(d->after, q);
	struct entry *e;

	if (before.action == after.action)
		return;
	e = find_entry(d, &before, &after);
	if (e)
		add_range(&e->ports[column], range);
}

/* Judges all protocols and ports of a target. */
static void probe_all(struct diffing *d, struct policy_query *q)
{
	static const struct port_range all = {1, UINT16_MAX};

	d->entry_count = 0;
	q->has_first_flight = true;
	q->has_port = true;
	for (unsigned int column = 0; column < 2; column++) {
		q->proto = column == 0 ? POLICY_TCP : POLICY_UDP;
		for (uint32_t i = 0; i < d->port_count; i++) {
			uint16_t last =
			    i + 1 < d->port_count ? (uint16_t)(d->ports[i + 1] - 1) : UINT16_MAX;

			q->port = d->ports[i];
			probe(d, q, column, (struct port_range){q->port, last});
		}
	}
	q->has_port = false;
	q->proto = ip_addr_is_v4(&q->addr) ? POLICY_ICMP4 : POLICY_ICMP6;
	probe(d, q, 2, all);
}

static bool lists_equal(const struct port_list *a, const struct port_list *b)
{
	return a->count == b->count && a->has_more == b->has_more &&
	       memcmp(a->ranges, b->ranges, a->count * sizeof(a->ranges[0])) == 0;
}

static bool changes_equal(const struct policy_change *a, const struct policy_change *b)
{
	return a->is_opened == b->is_opened && a->is_asking == b->is_asking &&
	       a->direction == b->direction && verdicts_equal(&a->before, &b->before) &&
	       verdicts_equal(&a->after, &b->after) && a->protos == b->protos &&
	       a->has_more_ranges == b->has_more_ranges && a->range_count == b->range_count &&
	       memcmp(a->ranges, b->ranges, a->range_count * sizeof(a->ranges[0])) == 0;
}

/* Whether b is the addresses right behind a. */
static bool is_next(const struct policy_change_target *a, const struct policy_change_target *b)
{
	struct ip_addr before = addr_before(b->first);

	return a->name.len == 0 && b->name.len == 0 &&
	       ip_addr_is_v4(&a->last) == ip_addr_is_v4(&b->first) && ip_addr_eq(&a->last, &before);
}

/* Adds a target to a change that there is, or to a new one. 0 or -ENOMEM. */
static int add_change(struct diffing *d, const struct policy_change *change,
    const struct policy_change_target *target)
{
	struct policy_change *c = NULL;

	for (uint32_t i = 0; i < d->change_count && !c; i++)
		if (changes_equal(&d->changes[i], change))
			c = &d->changes[i];
	if (!c) {
		struct policy_change *grown;

		if (d->change_count == POLICY_CHANGES_MAX) {
			d->is_whole = false;
			return 0;
		}
		grown =
		    array_grow(d->changes, &d->change_cap, d->change_count + 1U, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		d->changes = grown;
		c = &d->changes[d->change_count++];
		*c = *change;
	}
	if (c->target_count > 0 && c->target_count <= POLICY_CHANGE_TARGETS_MAX &&
	    is_next(&c->targets[c->target_count - 1], target)) {
		c->targets[c->target_count - 1].last = target->last;
		return 0;
	}
	if (c->target_count < POLICY_CHANGE_TARGETS_MAX)
		c->targets[c->target_count] = *target;
	c->target_count++;
	return 0;
}

/* Makes changes of what was noted about a target. 0 or -ENOMEM. */
static int add_entries(
    struct diffing *d, enum policy_direction direction, const struct policy_change_target *target)
{
	for (uint32_t i = 0; i < d->entry_count; i++) {
		const struct entry *e = &d->entries[i];
		unsigned int done = 0;

		for (unsigned int a = 0; a < COLUMN_COUNT; a++) {
			const struct port_list *l = &e->ports[a];
			struct policy_change c = {.is_opened = e->after.action == POLICY_ALLOW,
			    .direction = direction,
			    .before = e->before,
			    .after = e->after};

			if (l->count == 0 || (done >> a & 1) != 0)
				continue;
			for (unsigned int b = a; b < COLUMN_COUNT; b++) {
				if (!lists_equal(l, &e->ports[b]))
					continue;
				done |= 1U << b;
				c.protos |= (uint8_t)(1U << b);
			}
			c.has_more_ranges = l->has_more;
			if (l->count > 1 || l->ranges[0].first > 1 ||
			    l->ranges[0].last < UINT16_MAX)
				c.range_count = l->count;
			memcpy(c.ranges, l->ranges, c.range_count * sizeof(c.ranges[0]));
			if (add_change(d, &c, target) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

static int diff_addresses(struct diffing *d)
{
	for (int dir = 0; dir < POLICY_DIRECTION_COUNT; dir++) {
		for (uint32_t i = 0; i < d->piece_count; i++) {
			struct policy_query q = {
			    .direction = (enum policy_direction)dir, .addr = d->pieces[i].first};
			struct policy_change_target target = {
			    .first = d->pieces[i].first, .last = d->pieces[i].last};

			probe_all(d, &q);
			if (add_entries(d, q.direction, &target) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

/* Whether a name may be asked; what is so for names without a rule is not said again. 0 or -ENOMEM. */
static int diff_asking(struct diffing *d, const struct policy_change_target *target)
{
	struct policy_change c = {.is_asking = true, .direction = POLICY_EGRESS};

	c.before = policy_judge_name(d->before, &target->name, POLICY_UDP);
	c.after = policy_judge_name(d->after, &target->name, POLICY_UDP);
	c.is_opened = c.after.action == POLICY_ALLOW;
	if (c.before.action == c.after.action ||
	    (d->is_asking_known && verdicts_equal(&c.before, &d->asking.before) &&
		verdicts_equal(&c.after, &d->asking.after)))
		return 0;
	return add_change(d, &c, target);
}

/* The same for names that no rule has. */
static int diff_other_names(struct diffing *d)
{
	static const struct name other = {.len = 13, .labels = 2, .text = "no-rule.names"};
	struct policy_change_target target = {.is_below = false};
	struct policy_change c = {.is_asking = true, .direction = POLICY_EGRESS};

	c.before = policy_judge_name(d->before, &other, POLICY_UDP);
	c.after = policy_judge_name(d->after, &other, POLICY_UDP);
	c.is_opened = c.after.action == POLICY_ALLOW;
	if (c.before.action == c.after.action)
		return 0;
	d->is_asking_known = true;
	d->asking = c;
	return add_change(d, &c, &target);
}

/* What was noted about a target. */
struct noted {
	struct entry entries[ENTRIES_MAX];
	uint32_t count;
};

static void take_notes(const struct diffing *d, struct noted *n)
{
	n->count = d->entry_count;
	memcpy(n->entries, d->entries, n->count * sizeof(n->entries[0]));
}

static bool entries_equal(const struct entry *a, const struct entry *b)
{
	for (unsigned int i = 0; i < COLUMN_COUNT; i++)
		if (!lists_equal(&a->ports[i], &b->ports[i]))
			return false;
	return verdicts_equal(&a->before, &b->before) && verdicts_equal(&a->after, &b->after);
}

/* Removes from what was noted what was noted elsewhere too. */
static void drop_known(struct diffing *d, const struct noted *known)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < d->entry_count; i++) {
		bool is_known = false;

		for (uint32_t k = 0; k < known->count; k++)
			is_known |= entries_equal(&known->entries[k], &d->entries[i]);
		if (!is_known)
			d->entries[n++] = d->entries[i];
	}
	d->entry_count = n;
}

/* A name at an address, where it led and where it did not: what is not known of the address alone, nor of
 * the name (NULL: nothing is), and of the first of these not again of the second. *ret_name: what was
 * noted where it led. 0 or -ENOMEM. */
static int diff_name_at(struct diffing *d, struct policy_change_target *target,
    const struct ip_addr *addr, const struct noted *name, struct noted *ret_name)
{
	const struct name *pin = &target->name;
	struct policy_query q = {.direction = POLICY_EGRESS, .addr = *addr};
	struct noted here;

	probe_all(d, &q);
	take_notes(d, &here);
	q.pins = &pin;
	q.claim = pin;
	for (int pinned = 1; pinned >= 0; pinned--) {
		target->is_pinned = pinned != 0;
		q.pin_count = (uint32_t)pinned;
		probe_all(d, &q);
		drop_known(d, &here);
		if (name)
			drop_known(d, name);
		if (!pinned)
			drop_known(d, ret_name);
		if (add_entries(d, POLICY_EGRESS, target) < 0)
			return -ENOMEM;
		if (pinned)
			take_notes(d, ret_name);
	}
	return 0;
}

/* All about one name. 0 or -ENOMEM. */
static int diff_name(struct diffing *d, struct policy_change_target *target)
{
	struct noted name;
	struct noted unused;

	target->is_pinned = true;
	if (diff_asking(d, target) < 0 || diff_name_at(d, target, &d->other, NULL, &name) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < d->piece_count && d->is_crossing; i++) {
		target->first = d->pieces[i].first;
		target->last = d->pieces[i].last;
		if (diff_name_at(d, target, &target->first, &name, &unused) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* A name below one that no rule has. False: there is none, the name is too long. */
static bool name_below(const struct diffing *d, const struct name *name, struct name *ret_below)
{
	char text[NAME_TEXT_MAX + 8];

	for (int c = 'a'; c <= 'z'; c++) {
		bool is_named = false;

		if (name->len + 2U >= NAME_TEXT_MAX)
			return false;
		text[0] = (char)c;
		text[1] = '.';
		memcpy(text + 2, name->text, name->len);
		if (name_read(text, name->len + 2U, ret_below, NULL) != NAME_OK)
			return false;
		for (const struct policy *p = d->before; p; p = p->next)
			is_named |= name_index_find(&p->names, ret_below) != NULL;
		for (const struct policy *p = d->after; p; p = p->next)
			is_named |= name_index_find(&p->names, ret_below) != NULL;
		if (!is_named)
			return true;
	}
	return false;
}

/* Whether a policy before the layer `end` has a name, and whether one at all has it with all below. */
static bool is_seen(const struct diffing *d, const struct policy *end, const struct name *name,
    bool *ret_has_suffix)
{
	const struct policy *const policies[] = {d->before, d->after};
	bool is_before = true;
	bool is_found = false;

	*ret_has_suffix = false;
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		for (const struct policy *p = policies[i]; p; p = p->next) {
			const struct name_record *r = name_index_find(&p->names, name);

			is_before = is_before && p != end;
			if (!r)
				continue;
			is_found |= is_before;
			*ret_has_suffix |= name_record_has_suffix(&p->names, r);
		}
	}
	return is_found;
}

static int diff_names_of(struct diffing *d, const struct policy *layer)
{
	uint32_t offset = NAME_RECORDS_START;
	const struct name_record *r;

	while ((r = name_index_next(&layer->names, &offset))) {
		struct policy_change_target target = {.is_below = false};
		bool has_suffix;

		if (name_read(r->text, r->len, &target.name, NULL) != NAME_OK ||
		    is_seen(d, layer, &target.name, &has_suffix))
			continue;
		if (diff_name(d, &target) < 0)
			return -ENOMEM;
		target = (struct policy_change_target){.is_below = true};
		if (has_suffix) {
			struct name name;

			if (name_read(r->text, r->len, &name, NULL) != NAME_OK ||
			    !name_below(d, &name, &target.name))
				continue;
			if (diff_name(d, &target) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

static int diff_all(struct diffing *d)
{
	if (make_pieces(d) < 0 || make_ports(d) < 0)
		return -ENOMEM;
	plan(d);
	if (diff_addresses(d) < 0 || diff_other_names(d) < 0)
		return -ENOMEM;
	for (const struct policy *p = d->before; p; p = p->next)
		if (diff_names_of(d, p) < 0)
			return -ENOMEM;
	for (const struct policy *p = d->after; p; p = p->next)
		if (diff_names_of(d, p) < 0)
			return -ENOMEM;
	return 0;
}

int policy_diff(const struct policy *before, const struct policy *after,
    void (*tell)(void *ctx, const struct policy_change *change), void *ctx, bool *ret_is_whole)
{
	struct diffing *d = calloc(1, sizeof(*d));
	int ret;

	if (!d)
		return -ENOMEM;
	d->before = before;
	d->after = after;
	d->other = policy_other_addr(after);
	ret = diff_all(d);
	for (uint32_t i = 0; i < d->change_count && ret == 0; i++)
		tell(ctx, &d->changes[i]);
	*ret_is_whole = d->is_whole;
	free(d->pieces);
	free(d->ports);
	free(d->changes);
	free(d);
	return ret;
}
