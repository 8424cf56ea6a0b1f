/* SPDX-License-Identifier: Apache-2.0 */
/* What two policies can tell apart; see diff_cells.h. */
#include "app/diff_cells.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "policy/addr_class.h"
#include "policy/rule.h"

#define HOST       "198.51.100.254"
#define STAND_IN   "11.255.255.1" /* public: what names lead to */
#define SOME_LABEL "any-name-below."
#define SOME_NAME  "no-rule-knows.example.invalid"

static struct ip_addr address(const char *text)
{
	struct ip_addr a = {0};

	(void)!ip_addr_parse(text, &a);
	return a;
}

struct ip_addr cells_host(void)
{
	return address(HOST);
}

static bool add_cell(struct cells *c, const struct cell *cell)
{
	if (c->count == c->cap) {
		size_t cap = c->cap > 0 ? 2 * c->cap : 64;
		struct cell *more = reallocarray(c->cell, cap, sizeof(*more));

		if (!more)
			return false;
		c->cell = more;
		c->cap = cap;
	}
	c->cell[c->count++] = *cell;
	return true;
}

static bool add_port(struct cells *c, uint32_t port)
{
	if (port > UINT16_MAX)
		return true;
	if (c->port_count == c->port_cap) {
		size_t cap = c->port_cap > 0 ? 2 * c->port_cap : 64;
		uint16_t *more = reallocarray(c->ports, cap, sizeof(*more));

		if (!more)
			return false;
		c->ports = more;
		c->port_cap = cap;
	}
	c->ports[c->port_count++] = (uint16_t)port;
	return true;
}

static bool add_name(struct cells *c, const struct policy_rule *r)
{
	struct cell cell = {.kind = r->target == POLICY_TARGET_NAME ? CELL_NAME : CELL_SUFFIX,
	    .addr = address(STAND_IN),
	    .name = r->name,
	    .example = r->name};
	char text[NAME_TEXT_MAX + sizeof(SOME_LABEL)];
	struct text t = text_init(text, sizeof(text));

	if (cell.kind == CELL_SUFFIX) {
		text_printf(&t, SOME_LABEL "%s", r->name.text);
		/* Too long: the name itself is one of them. */
		(void)!name_read(text, t.len, &cell.example, NULL);
	}
	return add_cell(c, &cell);
}

static bool add_rules(struct cells *c, const struct policy *p)
{
	bool is_good = true;

	for (uint32_t i = 0; i < policy_rule_count(p) && is_good; i++) {
		char text[POLICY_RULE_TEXT_MAX];
		struct rule_reader reader =
		    rule_reader_init(policy_rule_text(p, i, text, sizeof(text)));
		struct policy_rule r;
		struct policy_error err;

		if (rule_reader_next(&reader, &r, &err) != 1)
			continue;
		if (r.target == POLICY_TARGET_PREFIX)
			is_good = add_cell(
			    c, &(struct cell){
				   .kind = CELL_PREFIX, .prefix = r.prefix, .len = r.prefix_len});
		else if (r.target == POLICY_TARGET_NAME || r.target == POLICY_TARGET_SUFFIX)
			is_good = add_name(c, &r);
		for (uint32_t k = 0; k < r.range_count && is_good; k++)
			is_good =
			    add_port(c, r.ranges[k].first) && add_port(c, r.ranges[k].last + 1U);
	}
	return is_good;
}

static bool add_known(struct cells *c)
{
	bool is_good = add_port(c, 1);
	struct cell host = {.kind = CELL_HOST, .prefix = cells_host(), .len = 128};
	struct cell other = {.kind = CELL_OTHER_NAME, .addr = address(STAND_IN)};

	(void)!name_read(SOME_NAME, strlen(SOME_NAME), &other.example, NULL);
	for (size_t i = 0; i < addr_class_table_len && is_good; i++) {
		const struct addr_class_prefix *p = &addr_class_table[i];

		is_good = add_cell(c,
		    &(struct cell){
			.kind = CELL_CLASS, .class = p->class, .prefix = p->prefix, .len = p->len});
	}
	return is_good && add_cell(c, &host) && add_cell(c, &other);
}

/* ---- order ---- */

static bool has_name(const struct cell *c)
{
	return c->kind == CELL_NAME || c->kind == CELL_SUFFIX || c->kind == CELL_OTHER_NAME;
}

/* Prefixes before what lies in them, then names. */
static int compare_cells(const void *a, const void *b)
{
	const struct cell *x = a;
	const struct cell *y = b;
	int order;

	if (has_name(x) != has_name(y))
		return has_name(x) ? 1 : -1;
	if (x->kind != y->kind && (x->kind == CELL_OTHER_NAME || y->kind == CELL_OTHER_NAME))
		return x->kind == CELL_OTHER_NAME ? 1 : -1;
	order = has_name(x) ? strcmp(x->name.text, y->name.text)
			    : memcmp(x->prefix.b, y->prefix.b, sizeof(x->prefix.b));
	if (order == 0 && !has_name(x) && x->len != y->len)
		order = x->len < y->len ? -1 : 1;
	return order != 0 ? order : (x->kind > y->kind) - (x->kind < y->kind);
}

static int compare_ports(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

static bool is_same(const struct cell *a, const struct cell *b)
{
	if (has_name(a) != has_name(b))
		return false;
	if (has_name(a))
		return a->kind == b->kind && name_eq(&a->name, &b->name);
	return a->len == b->len && ip_addr_eq(&a->prefix, &b->prefix);
}

/* The first address behind a prefix. False: there is none. */
static bool behind(const struct ip_addr *prefix, unsigned int len, struct ip_addr *ret_addr)
{
	struct ip_addr a = *prefix;
	unsigned int carry = 1;

	for (int i = 15; i >= 0 && carry > 0; i--) {
		unsigned int first_bit = (unsigned int)i * 8;
		unsigned int step; /* the last bit of the prefix, if it is in this byte */

		if (first_bit >= len)
			continue;
		step = len - first_bit >= 8 ? 1U : 1U << (8 - (len - first_bit));
		carry = (a.b[i] + step * carry) >> 8;
		a.b[i] = (uint8_t)(a.b[i] + step);
	}
	*ret_addr = a;
	return len > 0 && carry == 0;
}

/* An address of the cell i that is in no later cell inside of it. False: there is none. */
static bool find_own_address(struct cells *c, size_t i)
{
	struct cell *cell = &c->cell[i];
	struct ip_addr at = cell->prefix;

	for (size_t k = i + 1; k < c->count && !has_name(&c->cell[k]); k++) {
		const struct cell *inner = &c->cell[k];

		if (!ip_addr_in_prefix(&inner->prefix, &cell->prefix, cell->len))
			break;
		if (memcmp(inner->prefix.b, at.b, sizeof(at.b)) > 0)
			break;
		if (ip_addr_in_prefix(&at, &inner->prefix, inner->len) &&
		    !behind(&inner->prefix, inner->len, &at))
			return false;
	}
	cell->addr = at;
	return ip_addr_in_prefix(&at, &cell->prefix, cell->len);
}

int cells_find(const struct policy *a, const struct policy *b, struct cells *ret_cells)
{
	struct cells *c = ret_cells;
	size_t n = 0;

	*c = (struct cells){0};
	if (!add_known(c) || !add_rules(c, a) || !add_rules(c, b))
		return -ENOMEM;
	qsort(c->cell, c->count, sizeof(*c->cell), compare_cells);
	for (size_t i = 0; i < c->count; i++)
		if (n == 0 || !is_same(&c->cell[n - 1], &c->cell[i]))
			c->cell[n++] = c->cell[i];
	c->count = n;
	n = 0;
	/* A cell is looked at before it is moved, and those behind it are still in place. */
	for (size_t i = 0; i < c->count; i++)
		if (has_name(&c->cell[i]) || find_own_address(c, i))
			c->cell[n++] = c->cell[i];
	c->count = n;
	qsort(c->ports, c->port_count, sizeof(*c->ports), compare_ports);
	n = 0;
	for (size_t i = 0; i < c->port_count; i++)
		if (n == 0 || c->ports[n - 1] != c->ports[i])
			c->ports[n++] = c->ports[i];
	c->port_count = n;
	return 0;
}

void cells_fini(struct cells *c)
{
	free(c->cell);
	free(c->ports);
	*c = (struct cells){0};
}

const char *cell_text(const struct cell *c, char out[CELL_TEXT_MAX])
{
	struct text t = text_init(out, CELL_TEXT_MAX);
	char addr[IP_ADDR_TEXT_MAX];
	bool is_v4 = ip_addr_is_v4(&c->prefix) && c->len >= 96;

	switch (c->kind) {
	case CELL_PREFIX:
	case CELL_CLASS:
		text_str(&t, ip_addr_format(&c->prefix, addr));
		if (c->len < 128)
			text_printf(&t, "/%d", c->len - (is_v4 ? 96 : 0));
		break;
	case CELL_HOST:
		text_str(&t, "host");
		break;
	case CELL_NAME:
		text_str(&t, c->name.text);
		break;
	case CELL_SUFFIX:
		text_printf(&t, "*.%s", c->name.text);
		break;
	case CELL_OTHER_NAME:
		text_str(&t, "all other names");
		break;
	}
	return out;
}
