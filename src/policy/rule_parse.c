/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rule language (grammar in rule.h): lists, actions, directions, protocols, ports.
 *
 * Each mistake has its own sentence, which says what is wrong, quotes it and says what to write.
 * Refused in particular: ports with signs, leading zeros or blanks, and above 65535 (threats.md
 * N11); ICMP with ports or for ingress. Terminates because each step takes at least one byte.
 */
#include "policy/rule_parse.h"

#include <errno.h>
#include <string.h>

static const struct word actions[] = {{"allow", POLICY_ALLOW}, {"deny", POLICY_DENY}};

static const struct word directions[] = {
    {"egress", POLICY_DIR_EGRESS},
    {"ingress", POLICY_DIR_INGRESS},
    {"any", POLICY_DIR_ANY},
};

static const struct word protos[] = {
    {"any", POLICY_PROTO_ANY},
    {"tcp", 1 << POLICY_TCP},
    {"udp", 1 << POLICY_UDP},
    {"icmpv4", 1 << POLICY_ICMP4},
    {"icmpv6", 1 << POLICY_ICMP6},
    {"icmp", POLICY_PROTO_ICMP},
};

enum {
	ACTION_COUNT = sizeof(actions) / sizeof(actions[0]),
	DIRECTION_COUNT = sizeof(directions) / sizeof(directions[0]),
	PROTO_COUNT = sizeof(protos) / sizeof(protos[0]),
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Whether s was meant to be ports: it begins with a digit, maybe behind a sign, and has nothing that
 * ports do not have. */
static bool looks_like_ports(struct span s)
{
	size_t digits = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (is_digit(s.at[i]))
			digits++;
		else if (s.at[i] != '-' && s.at[i] != '+')
			return false;
	}
	return digits > 0;
}

/* The word of a table that must be there, or NULL and an error. what: "action", ...; all: the words as
 * a list. */
static const struct word *parse_word(const struct rule_parse *p, const struct word *words,
    size_t count, struct span s, const char *what, const char *all)
{
	const struct word *word = word_find(words, count, s);
	const struct word *near;
	char quoted[QUOTED_MAX];

	if (word)
		return word;
	near = word_suggest(words, count, s);
	span_quote(s, quoted);
	if (near)
		policy_error_set(p->err, rule_column(p, s.at), "unknown %s %s: did you mean '%s'?",
		    what, quoted, near->text);
	else
		policy_error_set(
		    p->err, rule_column(p, s.at), "unknown %s %s: write %s", what, quoted, all);
	return NULL;
}

/* What stands before the '@': action and direction. */
static int parse_head(const struct rule_parse *p, struct span head, struct policy_rule *rule)
{
	struct span action = span_cut(head, span_until(head, ':'));
	struct span direction = span_from(head, action.len);
	struct span rest;
	const struct word *word;
	char quoted[QUOTED_MAX];

	if (action.len == 0)
		return policy_error_set(p->err, rule_column(p, head.at),
		    "no action before the target: write allow or deny");
	word = parse_word(p, actions, ACTION_COUNT, action, "action", "allow or deny");
	if (!word)
		return -EINVAL;
	rule->action = (enum policy_action)word->value;
	rule->directions = POLICY_DIR_EGRESS;
	if (direction.len == 0)
		return 0;

	direction = span_from(direction, 1);
	rest = span_from(direction, span_until(direction, ':'));
	direction.len -= rest.len;
	if (direction.len == 0)
		return policy_error_set(p->err, rule_column(p, direction.at),
		    "no direction behind ':': write egress, ingress or any, or remove the ':'");
	word = parse_word(
	    p, directions, DIRECTION_COUNT, direction, "direction", "egress, ingress or any");
	if (!word)
		return -EINVAL;
	rule->directions = (uint8_t)word->value;
	if (rest.len > 0)
		return policy_error_set(p->err, rule_column(p, rest.at),
		    "%s behind the direction: '@' and the target come next",
		    span_quote(rest, quoted));
	return 0;
}

static int parse_protos(const struct rule_parse *p, struct span s, struct policy_rule *rule)
{
	char quoted[QUOTED_MAX];
	size_t column = rule_column(p, s.at);
	bool has_more = true;

	if (looks_like_ports(s))
		return policy_error_set(p->err, column,
		    "port %s in the place of the protocol: write the protocol first, as in tcp:443 "
		    "or any:443",
		    span_quote(s, quoted));
	rule->protos = 0;
	while (has_more) {
		struct span item = span_cut(s, span_until(s, '+'));
		const struct word *word;

		if (item.len == 0)
			return policy_error_set(p->err, rule_column(p, item.at),
			    "no protocol: write any, tcp, udp, icmp, icmpv4 or icmpv6");
		if (span_until(item, '/') < item.len)
			return policy_error_set(p->err, rule_column(p, item.at),
			    "unknown protocol %s: ports follow the protocol behind ':', as in "
			    "tcp:443",
			    span_quote(item, quoted));
		word = parse_word(p, protos, PROTO_COUNT, item, "protocol",
		    "any, tcp, udp, icmp, icmpv4 or icmpv6");
		if (!word)
			return -EINVAL;
		rule->protos |= (uint8_t)word->value;
		has_more = item.len < s.len;
		s = span_from(s, item.len + has_more);
	}
	if ((rule->protos & POLICY_PROTO_ICMP) != 0 && rule->protos != POLICY_PROTO_ANY &&
	    rule->directions != POLICY_DIR_EGRESS)
		return policy_error_set(p->err, column,
		    "ICMP in a rule that is not for egress: no echo request reaches the guest from "
		    "outside; remove the direction or the protocol");
	return 0;
}

static int parse_port(const struct rule_parse *p, struct span s, uint16_t *ret_port)
{
	unsigned int port = 0;
	char quoted[QUOTED_MAX];

	for (size_t i = 0; i < s.len; i++) {
		if (!is_digit(s.at[i]))
			return policy_error_set(p->err, rule_column(p, s.at),
			    "port %s is not a number: write a number from 1 to 65535",
			    span_quote(s, quoted));
		if (port <= UINT16_MAX)
			port = port * 10 + (unsigned int)(s.at[i] - '0');
	}
	if (s.len > 1 && s.at[0] == '0')
		return policy_error_set(p->err, rule_column(p, s.at),
		    "port %s has a leading zero: write it without", span_quote(s, quoted));
	if (port == 0 || port > UINT16_MAX)
		return policy_error_set(p->err, rule_column(p, s.at),
		    "port %s does not exist: write a number from 1 to 65535",
		    span_quote(s, quoted));
	*ret_port = (uint16_t)port;
	return 0;
}

/* "port" or "first-last". */
static int parse_range(
    const struct rule_parse *p, struct span s, bool is_later, struct port_range *ret_range)
{
	struct span first = span_cut(s, span_until(s, '-'));
	struct span last = span_from(s, first.len);
	struct port_range range;
	char quoted[QUOTED_MAX];

	if (s.len == 0)
		return policy_error_set(p->err, rule_column(p, s.at),
		    is_later ? "no port next to '+': it joins ports, as in 80+443, and is no sign"
			     : "no port behind ':': write a port, a range, or any");
	if (first.len == 0 || last.len == 1)
		return policy_error_set(p->err, rule_column(p, s.at),
		    "%s is half a port range: write both ends, as in 8000-8080",
		    span_quote(s, quoted));
	if (parse_port(p, first, &range.first) < 0)
		return -EINVAL;
	range.last = range.first;
	if (last.len > 0 && parse_port(p, span_from(last, 1), &range.last) < 0)
		return -EINVAL;
	if (range.first > range.last)
		return policy_error_set(p->err, rule_column(p, s.at),
		    "port range %s is the wrong way round: write %u-%u", span_quote(s, quoted),
		    (unsigned int)range.last, (unsigned int)range.first);
	*ret_range = range;
	return 0;
}

static int parse_ports(const struct rule_parse *p, struct span s, struct policy_rule *rule)
{
	bool is_set = span_until(s, '+') < s.len;
	bool has_more = true;

	if (span_is(s, "any"))
		return 0;
	if ((rule->protos & POLICY_PROTO_ICMP) != 0 && rule->protos != POLICY_PROTO_ANY)
		return policy_error_set(p->err, rule_column(p, s.at),
		    "ICMP has no ports: remove them, or write tcp, udp or any for the protocol");
	while (has_more) {
		struct span item = span_cut(s, span_until(s, '+'));

		if (rule->range_count == POLICY_PORT_RANGES_MAX)
			return policy_error_set(p->err, rule_column(p, item.at),
			    "a rule has more than %d port ranges: make several rules of it",
			    POLICY_PORT_RANGES_MAX);
		if (parse_range(p, item, is_set, &rule->ranges[rule->range_count]) < 0)
			return -EINVAL;
		rule->range_count++;
		has_more = item.len < s.len;
		s = span_from(s, item.len + has_more);
	}
	return 0;
}

/* `dns` stands for a group, a direction, two protocols and a port. */
static int complete_dns(const struct rule_parse *p, struct span s, struct policy_rule *rule)
{
	bool has_other_port =
	    rule->range_count > 0 &&
	    (rule->range_count > 1 || rule->ranges[0].first != 53 || rule->ranges[0].last != 53);

	if (rule->directions != POLICY_DIR_EGRESS)
		return policy_error_set(p->err, rule_column(p, s.at),
		    "target 'dns' is for egress only: remove the direction");
	if ((rule->protos & POLICY_PROTO_ICMP) != 0 && rule->protos != POLICY_PROTO_ANY)
		return policy_error_set(p->err, rule_column(p, s.at),
		    "target 'dns' is for tcp and udp only: remove the protocol");
	if (has_other_port)
		return policy_error_set(p->err, rule_column(p, s.at),
		    "target 'dns' is port 53 only: remove the port, or write 'host' for other "
		    "ports");
	rule->range_count = 1;
	rule->ranges[0] = (struct port_range){.first = 53, .last = 53};
	return 0;
}

/* What stands behind the '@': target, protocol, ports. */
static int parse_tail(const struct rule_parse *p, struct span tail, struct policy_rule *rule)
{
	struct span target = span_cut(tail, rule_target_extent(tail));
	struct span rest = span_from(tail, target.len);
	char quoted[QUOTED_MAX];
	bool is_dns;

	if (rule_target_parse(p, tail, target, rule, &is_dns) < 0)
		return -EINVAL;
	rule->protos = POLICY_PROTO_ANY;
	rule->range_count = 0;
	if (rest.len > 0) {
		struct span proto = span_from(rest, 1);

		proto.len = span_until(proto, ':');
		rest = span_from(rest, proto.len + 1);
		if (parse_protos(p, proto, rule) < 0)
			return -EINVAL;
	}
	if (rest.len > 0) {
		struct span ports = span_from(rest, 1);

		ports.len = span_until(ports, ':');
		rest = span_from(rest, ports.len + 1);
		if (parse_ports(p, ports, rule) < 0)
			return -EINVAL;
	}
	if (rest.len > 0)
		return policy_error_set(p->err, rule_column(p, rest.at),
		    "%s behind the ports: a rule ends with them", span_quote(rest, quoted));
	return is_dns ? complete_dns(p, target, rule) : 0;
}

static int bad_without_at(const struct rule_parse *p, struct span s, bool is_first)
{
	char quoted[QUOTED_MAX];

	span_quote(s, quoted);
	if (!is_first && looks_like_ports(s))
		return policy_error_set(p->err, rule_column(p, s.at),
		    "%s is no rule: a comma starts the next rule; join ports with '+', as in "
		    "tcp:80+443",
		    quoted);
	return policy_error_set(p->err, rule_column(p, s.at),
	    "%s has no '@': a rule is <action>[:<direction>]@<target>[:<proto>[:<ports>]], as in "
	    "allow@public:tcp:443",
	    quoted);
}

static int parse_rule(
    const struct rule_parse *p, struct span s, bool is_first, struct policy_rule *rule)
{
	size_t head_len = span_until(s, '@');

	if (s.len == 0)
		return policy_error_set(p->err, rule_column(p, s.at),
		    p->text[0] == '\0' ? "no rule: write at least one, as in allow@public"
				       : "empty rule: write a rule between commas, as in "
					 "allow@public,allow@dns");
	for (size_t i = 0; i < s.len; i++)
		if (is_blank(s.at[i]))
			return policy_error_set(p->err, rule_column(p, s.at + i),
			    "blank inside or behind a rule: remove it");
	if (head_len == s.len)
		return bad_without_at(p, s, is_first);
	if (parse_head(p, span_cut(s, head_len), rule) < 0)
		return -EINVAL;
	return parse_tail(p, span_from(s, head_len + 1), rule);
}

int rule_reader_next(struct rule_reader *r, struct policy_rule *ret_rule, struct policy_error *err)
{
	struct rule_parse p = {.text = r->text, .err = err};
	bool is_first = r->next == r->text;
	struct policy_rule rule;
	struct span s;

	if (!r->next)
		return 0;
	s = (struct span){.at = r->next, .len = strcspn(r->next, ",")};
	r->next = s.at[s.len] == ',' ? s.at + s.len + 1 : NULL;
	while (s.len > 0 && is_blank(s.at[0]))
		s = span_from(s, 1);
	memset(&rule, 0, sizeof(rule));
	if (parse_rule(&p, s, is_first, &rule) < 0 || rule_settle(&rule, err) < 0) {
		r->next = NULL;
		return -EINVAL;
	}
	*ret_rule = rule;
	return 1;
}
