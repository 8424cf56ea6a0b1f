/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sluice diff OLD NEW: for all that the two policies can tell apart (diff_cells.h), both judge; what has changed is
 * told, with the rules that decide. A name is judged as if it led to a public address of which no rule knows.
 */
#include "app/diff.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/complain.h"
#include "app/diff_cells.h"
#include "app/document.h"
#include "app/net_options.h"
#include "app/options.h"
#include "base/text.h"

enum {
	PROTOS_MAX = 32,
};

struct side {
	const char *path;
	struct document document;
	struct policy_builder *builder;
	struct policy *policy;
};

struct diff {
	struct side sides[2]; /* old, new */
	size_t path_count;
	struct cells cells;
	uint32_t changes;
};

/* ---- sides ---- */

/* A document without a network allows nothing. 0, or -1 after a sentence. */
static int deny_all(struct side *s)
{
	policy_builder_free(s->builder);
	s->builder = policy_builder_new();
	if (s->builder == NULL)
		return complain("there is no memory for the rules");
	policy_builder_set_default(s->builder, POLICY_EGRESS, POLICY_DENY);
	policy_builder_set_default(s->builder, POLICY_INGRESS, POLICY_DENY);
	return 0;
}

static int read_side(struct side *s)
{
	struct ip_addr host = cells_host();
	int result;

	s->document.is_quiet = true;
	s->builder = policy_builder_new();
	if (s->builder == NULL)
		return complain("there is no memory for the rules");
	result = document_load(&s->document, s->path, s->builder);
	if (result > 0)
		return complain("the document %s cannot be used", s->document.name);
	if (result < 0 || (!s->document.config.is_enabled && deny_all(s) < 0))
		return -1;
	if (policy_builder_add_host(s->builder, &host) != 0 ||
	    policy_builder_compile(s->builder, &s->policy) != 0)
		return complain("there is no memory for the rules");
	return 0;
}

static void side_fini(struct side *s)
{
	policy_free(s->policy);
	policy_builder_free(s->builder);
	document_fini(&s->document);
}

/* ---- what has changed ---- */

static int openness(const struct policy_verdict *v)
{
	switch (v->action) {
	case POLICY_ALLOW:
		return 2;
	case POLICY_HOLD:
		return 1;
	case POLICY_DENY:
		break;
	}
	return 0;
}

static void put_verdict(FILE *out, const struct side *s, const struct policy_verdict *v)
{
	static const char *const words[] = {"denied", "held", "allowed"};
	const struct config *c = &s->document.config;
	char text[POLICY_RULE_TEXT_MAX];

	(void)fprintf(out, "%s by ", words[openness(v)]);
	if (v->rule == POLICY_RULE_DEFAULT)
		(void)fprintf(out, "the default");
	else if (v->rule < c->origin_count)
		(void)fprintf(out, "%s:%u:%u %s", c->files[c->origins[v->rule].file],
		    c->origins[v->rule].place.line, c->origins[v->rule].place.column,
		    policy_rule_text(s->policy, v->rule, text, sizeof(text)));
	else
		(void)fprintf(out, "%s", policy_rule_text(s->policy, v->rule, text, sizeof(text)));
}

static struct policy_verdict judge(
    const struct side *s, const struct cell *c, const struct policy_query *q)
{
	const struct name *pin = &c->example;
	struct policy_query query = *q;

	query.addr = c->addr;
	if (pin->len > 0) {
		query.pins = &pin;
		query.pin_count = 1;
		query.has_first_flight = true;
		query.claim = q->proto == POLICY_TCP ? pin : NULL;
	}
	return policy_judge(s->policy, &query);
}

/* One line: 'o' or 'c', the ports, both verdicts. */
static void put_change(const struct diff *d, FILE *out, uint32_t first, uint32_t last,
    const struct policy_verdict verdicts[2])
{
	(void)fputc(openness(&verdicts[1]) > openness(&verdicts[0]) ? 'o' : 'c', out);
	if (last > 0 && (first > 1 || last < UINT16_MAX))
		(void)fprintf(out, first == last ? " port %u" : " ports %u-%u", first, last);
	(void)fprintf(out, ": ");
	put_verdict(out, &d->sides[0], &verdicts[0]);
	(void)fprintf(out, " -> ");
	put_verdict(out, &d->sides[1], &verdicts[1]);
	(void)fputc('\n', out);
}

/* What both say of all that no rule is about is told once. */
static bool is_told_elsewhere(const struct policy_verdict v[2])
{
	return v[0].rule == POLICY_RULE_DEFAULT && v[1].rule == POLICY_RULE_DEFAULT;
}

static bool same_verdicts(const struct policy_verdict a[2], const struct policy_verdict b[2])
{
	for (int i = 0; i < 2; i++)
		if (a[i].action != b[i].action || a[i].rule != b[i].rule)
			return false;
	return true;
}

/* Writes what has changed for one protocol: a line for each row of ports with the same verdicts. */
static void put_protocol(
    const struct diff *d, const struct cell *c, struct policy_query q, FILE *out)
{
	struct policy_verdict row[2];
	size_t ports = q.has_port ? d->cells.port_count : 1;
	size_t first = 0;

	for (size_t i = 0; i <= ports; i++) {
		struct policy_verdict now[2] = {{0}};

		q.port = q.has_port && i < ports ? d->cells.ports[i] : 0;
		for (int s = 0; s < 2 && i < ports; s++)
			now[s] = judge(&d->sides[s], c, &q);
		if (i > 0 && i < ports && same_verdicts(now, row))
			continue;
		if (i > 0 && row[0].action != row[1].action && !is_told_elsewhere(row))
			put_change(d, out, q.has_port ? d->cells.ports[first] : 0,
			    !q.has_port ? 0
			    : i < ports ? d->cells.ports[i] - 1U
					: UINT16_MAX,
			    row);
		memcpy(row, now, sizeof(row));
		first = i;
	}
}

/* Prints the lines with what they are of in front: protocols, or an ingress. */
static void print_lines(struct diff *d, FILE *out, const char *what, const char *lines)
{
	while (*lines != '\0') {
		size_t len = strcspn(lines, "\n");

		(void)fprintf(out, "  %s %s%.*s\n", lines[0] == 'o' ? "opens " : "closes", what,
		    (int)len - 1, lines + 1);
		lines += len + 1;
		d->changes++;
	}
}

/* What has changed for a cell in one direction, protocols that agree in one. */
static int put_direction(
    struct diff *d, const struct cell *c, enum policy_direction direction, FILE *out)
{
	static const char *const names[] = {"tcp", "udp", "icmp", "icmpv6"};
	char *lines[POLICY_PROTO_COUNT] = {NULL};
	size_t sizes[POLICY_PROTO_COUNT];
	int result = 0;

	for (unsigned int p = 0; p < POLICY_PROTO_COUNT && result == 0; p++) {
		struct policy_query q = {.direction = direction,
		    .proto = (enum policy_proto)p,
		    .has_port = p == POLICY_TCP || p == POLICY_UDP};
		FILE *f = open_memstream(&lines[p], &sizes[p]);
		bool is_icmp = !q.has_port;
		bool is_other_family = (p == POLICY_ICMP4) != ip_addr_is_v4(&c->addr);

		if (f == NULL) {
			result = -1;
			break;
		}
		if (!is_icmp || (!is_other_family && direction == POLICY_EGRESS))
			put_protocol(d, c, q, f);
		result = fclose(f);
	}
	for (unsigned int p = 0; p < POLICY_PROTO_COUNT && result == 0; p++) {
		char text[PROTOS_MAX];
		struct text t = text_init(text, sizeof(text));

		if (lines[p] == NULL || lines[p][0] == '\0')
			continue;
		text_printf(&t, "%s%s", direction == POLICY_INGRESS ? "from it " : "", names[p]);
		for (unsigned int k = p + 1; k < POLICY_PROTO_COUNT; k++) {
			if (lines[k] == NULL || strcmp(lines[k], lines[p]) != 0)
				continue;
			text_printf(&t, "+%s", names[k]);
			lines[k][0] = '\0';
		}
		print_lines(d, out, text, lines[p]);
	}
	for (unsigned int p = 0; p < POLICY_PROTO_COUNT; p++)
		free(lines[p]);
	return result;
}

/* Whether the name may be asked. */
static void put_question(struct diff *d, const struct cell *c, FILE *out)
{
	struct policy_verdict v[2];
	char *line = NULL;
	size_t size;
	FILE *f = open_memstream(&line, &size);

	if (f == NULL)
		return;
	for (int s = 0; s < 2; s++)
		v[s] = policy_judge_name(d->sides[s].policy, &c->example, POLICY_UDP);
	if (v[0].action != v[1].action && !is_told_elsewhere(v))
		put_change(d, f, 0, 0, v);
	if (fclose(f) == 0)
		print_lines(d, out, "asking for it", line);
	free(line);
}

/* What has changed for a cell, as text. NULL: there is no memory. */
static char *cell_changes(struct diff *d, const struct cell *c)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int result;

	if (out == NULL)
		return NULL;
	if (c->example.len > 0)
		put_question(d, c, out);
	result = put_direction(d, c, POLICY_EGRESS, out);
	if (result == 0 && c->example.len == 0)
		result = put_direction(d, c, POLICY_INGRESS, out);
	if (fclose(out) == 0 && result == 0)
		return text;
	free(text);
	return NULL;
}

/* ---- printing ---- */

/* Prints the cell i and all later ones of the same class with the same changes under one heading. */
static void print_cell(struct diff *d, char **changes, size_t i)
{
	const struct cell *c = &d->cells.cell[i];
	char text[CELL_TEXT_MAX];

	if (c->kind == CELL_CLASS)
		(void)printf("%s: ", addr_class_name(c->class));
	(void)printf("%s", cell_text(c, text));
	for (size_t k = i + 1; k < d->cells.count && c->kind == CELL_CLASS; k++) {
		const struct cell *other = &d->cells.cell[k];

		if (other->kind != CELL_CLASS || other->class != c->class || changes[k] == NULL ||
		    strcmp(changes[k], changes[i]) != 0)
			continue;
		(void)printf(", %s", cell_text(other, text));
		changes[k][0] = '\0';
	}
	(void)printf("\n%s", changes[i]);
}

static void print_defaults(struct diff *d)
{
	static const char *const what[] = {"connections of the guest", "connections to the guest"};
	static const char *const words[] = {"denied", "allowed"};
	bool has_heading = false;

	for (int i = POLICY_EGRESS; i <= POLICY_INGRESS; i++) {
		enum policy_action old =
		    policy_default(d->sides[0].policy, (enum policy_direction)i);
		enum policy_action new =
		    policy_default(d->sides[1].policy, (enum policy_direction)i);

		if (old == new)
			continue;
		if (!has_heading)
			(void)printf("what no rule is about\n");
		has_heading = true;
		(void)printf("  %s %s: %s -> %s\n", new == POLICY_ALLOW ? "opens " : "closes",
		    what[i], words[old == POLICY_ALLOW], words[new == POLICY_ALLOW]);
		d->changes++;
	}
}

static int compare(struct diff *d)
{
	size_t count;
	char **changes;
	int result = 0;

	if (cells_find(d->sides[0].policy, d->sides[1].policy, &d->cells) != 0)
		return complain("there is no memory for the comparison");
	count = d->cells.count;
	changes = calloc(count, sizeof(*changes));
	if (changes == NULL)
		return complain("there is no memory for the comparison");
	for (size_t i = 0; i < count && result == 0; i++) {
		changes[i] = cell_changes(d, &d->cells.cell[i]);
		if (changes[i] == NULL)
			result = complain("there is no memory for the comparison");
	}
	if (result == 0)
		print_defaults(d);
	for (size_t i = 0; i < count && result == 0; i++) {
		if (changes[i] != NULL && changes[i][0] != '\0')
			print_cell(d, changes, i);
	}
	for (size_t i = 0; i < count; i++)
		free(changes[i]);
	free((void *)changes);
	return result;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct diff *d = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (d->path_count == 2)
			options_refuse("'%s' is one file too many; diff takes two", arg);
		d->sides[d->path_count++].path = arg;
		return 0;
	case ARGP_KEY_END:
		if (d->path_count < 2)
			options_refuse("which documents? sluice diff OLD NEW");
		if (strcmp(d->sides[0].path, "-") == 0 && strcmp(d->sides[1].path, "-") == 0)
			options_refuse("standard input can be one of the documents, not both");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int diff_main(int argc, char **argv)
{
	static const struct argp_option no_options[] = {{0}};
	static const struct argp parser = {
	    .options = no_options,
	    .parser = parse,
	    .args_doc = "OLD NEW",
	    .doc = "Says what the document NEW opens that OLD does not, and what it closes.\v"
		   "Exit status: 0 nothing, 1 something, 125 if sluice fails.\n"
		   "See sluice-diff(1).",
	};
	struct diff d = {0};
	int result = EXIT_OWN_FAILURE;

	options_parse(&parser, argc, argv, &d);
	if (read_side(&d.sides[0]) == 0 && read_side(&d.sides[1]) == 0 && compare(&d) == 0)
		result = d.changes > 0 ? EXIT_DIFFERENT : 0;
	if (fflush(stdout) != 0 || ferror(stdout) != 0) {
		complain("standard output cannot be written: %s", strerror(errno));
		result = EXIT_OWN_FAILURE;
	}
	cells_fini(&d.cells);
	side_fini(&d.sides[0]);
	side_fini(&d.sides[1]);
	return result;
}
