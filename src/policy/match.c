/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of one target: which is the first for a direction, a protocol and a port.
 *
 * Most targets have one rule, which is looked at as it is. Several become a map of eight cells. A cell
 * has the first rule without ports, which decides where none before it names the port, and
 * disjoint segments of ports for those before it. The segments are painted in the order of the
 * rules: a port keeps the colour of the first rule that reaches it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/snapshot.h"

enum {
	COVER_STEPS_MAX = 64, /* segments that match_covers() looks at for one range */
};

struct painted_range {
	struct port_range range;
	uint32_t rule;
};

struct match_builder {
	struct policy *policy;
	size_t map_cap;
	size_t cell_cap;
	size_t segment_cap;

	struct painted_range *painted; /* of the cell being made, by rule number */
	size_t painted_count;
	size_t painted_cap;

	/* Elementary intervals of ports: interval i is [bounds[i], bounds[i + 1]). */
	uint32_t *bounds;
	size_t bounds_cap;
	uint32_t *owners; /* rule of the interval, or RULE_NONE */
	size_t owners_cap;
	uint32_t *next; /* the first interval from here on that may have no owner yet */
	size_t next_cap;
};

void *array_grow(void *array, size_t *cap, size_t need, size_t size)
{
	size_t new_cap = *cap > 0 ? *cap : 16;
	void *grown;

	if (array && need <= *cap)
		return array;
	while (new_cap < need)
		new_cap *= 2;
	grown = reallocarray(array, new_cap, size);
	if (grown)
		*cap = new_cap;
	return grown;
}

struct match_builder *match_builder_new(struct policy *p)
{
	struct match_builder *b = calloc(1, sizeof(*b));

	if (b)
		b->policy = p;
	return b;
}

void match_builder_free(struct match_builder *b)
{
	if (!b)
		return;
	free(b->painted);
	free(b->bounds);
	free(b->owners);
	free(b->next);
	free(b);
}

static bool applies_to(
    const struct packed_rule *r, enum policy_direction direction, enum policy_proto proto)
{
	return (r->directions >> direction & 1) != 0 && (r->protos >> proto & 1) != 0;
}

/* Collects the ranges that count in a cell; returns the rule that ends it, or RULE_NONE. */
static int collect(
    struct match_builder *b, const uint32_t *rules, size_t count, int cell, uint32_t *ret_portless)
{
	const struct policy *p = b->policy;
	enum policy_direction direction = (enum policy_direction)(cell / POLICY_PROTO_COUNT);
	enum policy_proto proto = (enum policy_proto)(cell % POLICY_PROTO_COUNT);

	b->painted_count = 0;
	*ret_portless = RULE_NONE;
	for (size_t i = 0; i < count; i++) {
		const struct packed_rule *r = &p->rules[rules[i]];
		struct painted_range *grown;

		if (!applies_to(r, direction, proto))
			continue;
		if (r->range_count == 0) {
			*ret_portless = rules[i];
			return 0;
		}
		grown = array_grow(
		    b->painted, &b->painted_cap, b->painted_count + r->range_count, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		b->painted = grown;
		for (uint32_t k = 0; k < r->range_count; k++)
			b->painted[b->painted_count++] = (struct painted_range){
			    .range = p->ranges[r->first_range + k], .rule = rules[i]};
	}
	return 0;
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* The sorted, distinct bounds of the painted ranges; returns how many. */
static size_t make_bounds(struct match_builder *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->painted_count; i++) {
		b->bounds[2 * i] = b->painted[i].range.first;
		b->bounds[2 * i + 1] = b->painted[i].range.last + 1U;
	}
	qsort(b->bounds, 2 * b->painted_count, sizeof(*b->bounds), compare_u32);
	for (size_t i = 1; i < 2 * b->painted_count; i++)
		if (b->bounds[i] != b->bounds[n])
			b->bounds[++n] = b->bounds[i];
	return n + 1;
}

static size_t find_bound(const uint32_t *bounds, size_t count, uint32_t value)
{
	const uint32_t *found = bsearch(&value, bounds, count, sizeof(value), compare_u32);

	return (size_t)(found - bounds);
}

/* The first interval from i on without an owner; shortens the way for the next time. */
static uint32_t find_free(uint32_t *next, uint32_t i)
{
	uint32_t end = i;

	while (next[end] != end)
		end = next[end];
	while (next[i] != end) {
		uint32_t step = next[i];

		next[i] = end;
		i = step;
	}
	return end;
}

static int grow_u32(uint32_t **array, size_t *cap, size_t need)
{
	uint32_t *grown = array_grow(*array, cap, need, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	*array = grown;
	return 0;
}

static int reserve_intervals(struct match_builder *b, size_t count)
{
	if (grow_u32(&b->bounds, &b->bounds_cap, count) < 0 ||
	    grow_u32(&b->owners, &b->owners_cap, count) < 0 ||
	    grow_u32(&b->next, &b->next_cap, count) < 0)
		return -ENOMEM;
	return 0;
}

/* Gives each interval the first rule that reaches it. */
static void set_owners(struct match_builder *b, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		b->owners[i] = RULE_NONE;
		b->next[i] = (uint32_t)i;
	}
	for (size_t k = 0; k < b->painted_count; k++) {
		const struct painted_range *r = &b->painted[k];
		uint32_t i = (uint32_t)find_bound(b->bounds, count, r->range.first);

		/* Ends before the last bound, which is behind every range and never owned. */
		for (i = find_free(b->next, i); b->bounds[i] <= r->range.last;
		     i = find_free(b->next, i)) {
			b->owners[i] = r->rule;
			b->next[i] = i + 1;
		}
	}
}

/* Appends the segments of the painted ranges to the policy. */
static int paint(struct match_builder *b)
{
	struct policy *p = b->policy;
	struct match_segment *last = NULL;
	struct match_segment *grown;
	size_t count;

	if (b->painted_count == 0)
		return 0;
	if (reserve_intervals(b, 2 * b->painted_count) < 0)
		return -ENOMEM;
	count = make_bounds(b);
	set_owners(b, count);
	grown = array_grow(p->segments, &b->segment_cap, p->segment_count + count, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	p->segments = grown;
	for (size_t i = 0; i + 1 < count; i++) {
		uint16_t end = (uint16_t)(b->bounds[i + 1] - 1);

		if (b->owners[i] == RULE_NONE)
			continue;
		if (last && last->rule == b->owners[i] && last->last + 1U == b->bounds[i]) {
			last->last = end;
			continue;
		}
		last = &p->segments[p->segment_count++];
		*last = (struct match_segment){
		    .first = (uint16_t)b->bounds[i], .last = end, .rule = b->owners[i]};
	}
	return 0;
}

static bool cells_equal(
    const struct policy *p, const struct match_cell *a, const struct match_cell *b)
{
	return a->portless == b->portless && a->segment_count == b->segment_count &&
	       (a->segment_count == 0 ||
		   memcmp(&p->segments[a->first_segment], &p->segments[b->first_segment],
		       a->segment_count * sizeof(*p->segments)) == 0);
}

/* Makes the cell, or finds one of the same map from first_cell on that is equal. */
static int make_cell(struct match_builder *b, const uint32_t *rules, size_t count, int which,
    uint32_t first_cell, uint32_t *ret_cell)
{
	struct policy *p = b->policy;
	struct match_cell cell = {.first_segment = p->segment_count};
	struct match_cell *grown;

	if (collect(b, rules, count, which, &cell.portless) < 0 || paint(b) < 0)
		return -ENOMEM;
	cell.segment_count = p->segment_count - cell.first_segment;
	for (uint32_t i = first_cell; i < p->cell_count; i++) {
		if (!cells_equal(p, &cell, &p->cells[i]))
			continue;
		p->segment_count = cell.first_segment;
		*ret_cell = i;
		return 0;
	}
	grown = array_grow(p->cells, &b->cell_cap, p->cell_count + 1U, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	p->cells = grown;
	p->cells[p->cell_count] = cell;
	*ret_cell = p->cell_count++;
	return 0;
}

int match_build(struct match_builder *b, const uint32_t *rules, size_t count, uint32_t *ret_match)
{
	struct policy *p = b->policy;
	struct match_map map = {.cells = {{0}}};
	struct match_map *grown;
	uint32_t first_cell = p->cell_count;

	if (count <= 1) {
		*ret_match = count == 1 ? rules[0] : MATCH_NONE;
		return 0;
	}
	for (int i = 0; i < POLICY_DIRECTION_COUNT * POLICY_PROTO_COUNT; i++) {
		uint32_t *cell = &map.cells[i / POLICY_PROTO_COUNT][i % POLICY_PROTO_COUNT];

		if (make_cell(b, rules, count, i, first_cell, cell) < 0)
			return -ENOMEM;
	}
	grown = array_grow(p->maps, &b->map_cap, p->map_count + 1U, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	p->maps = grown;
	p->maps[p->map_count] = map;
	*ret_match = MATCH_IS_MAP | p->map_count++;
	return 0;
}

bool packed_rule_matches(
    const struct policy *p, const struct packed_rule *r, const struct policy_query *q)
{
	if (!applies_to(r, q->direction, q->proto))
		return false;
	if (r->range_count == 0)
		return true;
	for (uint32_t i = 0; q->has_port && i < r->range_count; i++)
		if (range_has(&p->ranges[r->first_range + i], q->port))
			return true;
	return false;
}

/* The last segment that begins at or before the port, or NULL. */
static const struct match_segment *find_segment(
    const struct policy *p, const struct match_cell *cell, uint16_t port)
{
	const struct match_segment *at = p->segments + cell->first_segment;
	uint32_t n = cell->segment_count;

	if (n == 0 || at->first > port)
		return NULL;
	while (n > 1) {
		uint32_t half = n / 2;

		at = at[half].first <= port ? at + half : at;
		n -= half;
	}
	return at;
}

uint32_t match_find(const struct policy *p, uint32_t match, const struct policy_query *q)
{
	const struct match_segment *segment;
	const struct match_cell *cell;

	if (match == MATCH_NONE)
		return RULE_NONE;
	if ((match & MATCH_IS_MAP) == 0)
		return packed_rule_matches(p, &p->rules[match], q) ? match : RULE_NONE;
	cell = &p->cells[p->maps[match & ~MATCH_IS_MAP].cells[q->direction][q->proto]];
	segment = q->has_port ? find_segment(p, cell, q->port) : NULL;
	return segment && q->port <= segment->last ? segment->rule : cell->portless;
}

/* The last rule before `rule` that is needed to cover the range in a cell, or RULE_NONE. */
static uint32_t cell_covers(const struct policy *p, const struct match_cell *cell,
    const struct port_range *range, uint32_t rule)
{
	const struct match_segment *end = p->segments + cell->first_segment + cell->segment_count;
	const struct match_segment *s = find_segment(p, cell, range->first);
	uint32_t port = range->first;
	uint32_t by = 0;

	if (cell->portless < rule)
		return cell->portless;
	for (int steps = 0; s && s < end && steps < COVER_STEPS_MAX; s++, steps++) {
		if (s->first > port || s->last < port || s->rule >= rule)
			return RULE_NONE;
		by = s->rule > by ? s->rule : by;
		if (s->last >= range->last)
			return by;
		port = s->last + 1U;
	}
	return RULE_NONE;
}

bool packed_rule_covers(
    const struct policy *p, const struct packed_rule *a, const struct packed_rule *b)
{
	if ((b->directions & ~a->directions) != 0 || (b->protos & ~a->protos) != 0)
		return false;
	if (a->range_count == 0)
		return true;
	for (uint32_t i = 0; i < b->range_count; i++) {
		const struct port_range *want = &p->ranges[b->first_range + i];
		bool is_found = false;

		for (uint32_t k = 0; k < a->range_count && !is_found; k++)
			is_found = range_has(&p->ranges[a->first_range + k], want->first) &&
				   range_has(&p->ranges[a->first_range + k], want->last);
		if (!is_found)
			return false;
	}
	return b->range_count > 0;
}

static uint32_t map_covers_cell(const struct policy *p, const struct match_cell *cell,
    const struct packed_rule *r, uint32_t rule)
{
	uint32_t by = 0;

	if (r->range_count == 0)
		return cell->portless < rule ? cell->portless : RULE_NONE;
	for (uint32_t i = 0; i < r->range_count; i++) {
		uint32_t part = cell_covers(p, cell, &p->ranges[r->first_range + i], rule);

		if (part == RULE_NONE)
			return RULE_NONE;
		by = part > by ? part : by;
	}
	return by;
}

uint32_t match_covers(const struct policy *p, uint32_t match, uint32_t rule)
{
	const struct packed_rule *r = &p->rules[rule];
	const struct match_map *map;
	uint32_t by = 0;

	if (match == MATCH_NONE)
		return RULE_NONE;
	if ((match & MATCH_IS_MAP) == 0)
		return match < rule && packed_rule_covers(p, &p->rules[match], r) ? match
										  : RULE_NONE;
	map = &p->maps[match & ~MATCH_IS_MAP];
	for (int i = 0; i < POLICY_DIRECTION_COUNT * POLICY_PROTO_COUNT; i++) {
		enum policy_direction direction = (enum policy_direction)(i / POLICY_PROTO_COUNT);
		enum policy_proto proto = (enum policy_proto)(i % POLICY_PROTO_COUNT);
		uint32_t part;

		if (!applies_to(r, direction, proto))
			continue;
		part = map_covers_cell(p, &p->cells[map->cells[direction][proto]], r, rule);
		if (part == RULE_NONE)
			return RULE_NONE;
		by = part > by ? part : by;
	}
	return by;
}
