/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Targets of rules: groups, addresses, prefixes; and each way in which one can be wrong.
 *
 * Refused, each with its own sentence: addresses in forms that programs read differently (short,
 * octal, hexadecimal, single numbers; threats.md N12), prefixes with host bits, IPv6 without
 * brackets, brackets around anything else (N5), zone identifiers (N20), URLs and their parts (N6),
 * names outside of ASCII (N4), wildcards over everything or a top-level domain (N8).
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "policy/rule_parse.h"

enum {
	TARGET_ANY = -1,
	TARGET_DNS = -2,

	PREFIX_TEXT_MAX = 4, /* "/128" */
};

/* Values: a class, or one of the above. */
static const struct word targets[] = {
    {"any", TARGET_ANY},
    {"public", ADDR_PUBLIC},
    {"private", ADDR_PRIVATE},
    {"host", ADDR_HOST},
    {"dns", TARGET_DNS},
    {"loopback", ADDR_LOOPBACK},
    {"link_local", ADDR_LINK_LOCAL},
    {"link-local", ADDR_LINK_LOCAL},
    {"metadata", ADDR_METADATA},
    {"meta", ADDR_METADATA},
    {"multicast", ADDR_MULTICAST},
};

static const struct word name_keys[] = {{"domain", 0}, {"suffix", 1}};

enum {
	TARGET_COUNT = sizeof(targets) / sizeof(targets[0]),
	NAME_KEY_COUNT = sizeof(name_keys) / sizeof(name_keys[0]),
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool all_digits(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_digit(s.at[i]))
			return false;
	return s.len > 0;
}

/* Reads s as an address: 4 or 6, or 0 if it is none. */
static int parse_addr(struct span s, struct ip_addr *ret_addr)
{
	char text[IP_ADDR_TEXT_MAX];

	if (s.len >= sizeof(text) || span_until(s, '\0') < s.len)
		return 0;
	memcpy(text, s.at, s.len);
	text[s.len] = '\0';
	if (ip_addr_parse(text, ret_addr) < 0)
		return 0;
	return span_until(s, ':') < s.len ? 6 : 4;
}

/* A prefix length of 0 .. max. */
static int parse_len(
    const struct rule_parse *p, struct span s, unsigned int max, unsigned int *ret_len)
{
	char quoted[QUOTED_MAX];
	unsigned int len = 0;

	if (s.len > 0 && s.len <= 3 && all_digits(s) && (s.at[0] != '0' || s.len == 1)) {
		for (size_t i = 0; i < s.len; i++)
			len = len * 10 + (unsigned int)(s.at[i] - '0');
		if (len <= max) {
			*ret_len = len;
			return 0;
		}
	}
	return policy_error_set(p->err, rule_column(p, s.at),
	    "prefix length %s: write a number from 0 to %u behind the '/'", span_quote(s, quoted),
	    max);
}

/* Sets the rule's target; len counts in the 16-byte form. s is the whole text for messages. */
static int set_prefix(const struct rule_parse *p, struct span s, const struct ip_addr *addr,
    unsigned int len, struct policy_rule *rule)
{
	char quoted[QUOTED_MAX];
	char right[POLICY_RULE_TEXT_MAX];
	struct policy_rule whole = {.action = POLICY_ALLOW,
	    .target = POLICY_TARGET_PREFIX,
	    .directions = POLICY_DIR_EGRESS,
	    .protos = POLICY_PROTO_ANY};

	rule->target = POLICY_TARGET_PREFIX;
	rule->prefix = policy_prefix_base(addr, len);
	rule->prefix_len = (uint8_t)len;
	if (ip_addr_eq(&rule->prefix, addr))
		return 0;
	whole.prefix = rule->prefix;
	whole.prefix_len = rule->prefix_len;
	return policy_error_set(p->err, rule_column(p, s.at),
	    "%s has bits set behind its prefix: write %s for the network, or the address alone",
	    span_quote(s, quoted),
	    policy_rule_format(&whole, right, sizeof(right)) + strlen("allow@"));
}

static int bad_ipv6(const struct rule_parse *p, struct span s)
{
	char quoted[QUOTED_MAX];
	struct ip_addr addr;

	span_quote(s, quoted);
	if (span_until(s, '%') < s.len)
		return policy_error_set(p->err, rule_column(p, s.at),
		    "%s has a zone identifier: addresses of one link only cannot be a target; "
		    "remove the '%%' and what follows",
		    quoted);
	if (parse_addr(s, &addr) == 4)
		return policy_error_set(p->err, rule_column(p, s.at),
		    "IPv4 address %s in brackets: write it without the brackets", quoted);
	return policy_error_set(p->err, rule_column(p, s.at),
	    "%s is not an IPv6 address: only these stand in brackets, as in [2001:db8::1]", quoted);
}

/* "[addr]", "[addr]/len" or "[addr/len]". */
static int parse_bracketed(const struct rule_parse *p, struct span s, struct policy_rule *rule)
{
	size_t close = span_until(s, ']');
	struct span inner = span_cut(span_from(s, 1), close - 1);
	struct span addr_text = span_cut(inner, span_until(inner, '/'));
	struct span len_text = span_from(inner, addr_text.len);
	struct span rest = span_from(s, close < s.len ? close + 1 : close);
	char quoted[QUOTED_MAX];
	struct ip_addr addr;
	unsigned int len = 128;

	if (close == s.len)
		return policy_error_set(p->err, rule_column(p, s.at),
		    "'[' without ']': write the IPv6 address in brackets, as in [2001:db8::1]");
	if (parse_addr(addr_text, &addr) != 6)
		return bad_ipv6(p, addr_text);
	if (rest.len > 0 && rest.at[0] != '/')
		return policy_error_set(p->err, rule_column(p, rest.at),
		    "%s behind ']': only '/' and a prefix length, or ':' and a protocol may follow",
		    span_quote(rest, quoted));
	if (rest.len > 0 && len_text.len > 0)
		return policy_error_set(p->err, rule_column(p, rest.at),
		    "a second prefix length %s: write one, inside or behind the brackets",
		    span_quote(rest, quoted));
	if (rest.len > 0)
		len_text = rest;
	if (len_text.len > 0 && parse_len(p, span_from(len_text, 1), 128, &len) < 0)
		return -EINVAL;
	if (ip_addr_is_v4(&addr) && len < 96)
		return policy_error_set(p->err, rule_column(p, s.at),
		    "%s is IPv4 in IPv6 form, with a prefix that reaches beyond IPv4: write the "
		    "IPv4 prefix, as in 192.0.2.0/24",
		    span_quote(s, quoted));
	return set_prefix(p, s, &addr, len, rule);
}

/* Whether programs take s for a number, and so for an IPv4 address: its last label is one. */
static bool ends_in_number(struct span s)
{
	size_t from = 0;

	if (s.len > 0 && s.at[s.len - 1] == '.')
		s.len--;
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] == '.')
			from = i + 1;
	s = span_from(s, from);
	if (s.len < 2 || s.at[0] != '0' || (s.at[1] != 'x' && s.at[1] != 'X'))
		return all_digits(s);
	for (size_t i = 2; i < s.len; i++) {
		char c = s.at[i];

		if (!is_digit(c) && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F'))
			return false;
	}
	return true;
}

static int bad_number(const struct rule_parse *p, struct span s)
{
	char quoted[QUOTED_MAX];
	bool has_four_numbers = true;
	struct span rest = s;

	for (int i = 0; i < 4; i++) {
		size_t len = span_until(rest, '.');

		has_four_numbers = has_four_numbers && all_digits(span_cut(rest, len)) &&
				   (len < rest.len) == (i < 3);
		rest = span_from(rest, len < rest.len ? len + 1 : len);
	}
	if (has_four_numbers)
		return policy_error_set(p->err, rule_column(p, s.at),
		    "%s is not an IPv4 address: each number is 0 to 255 without leading zeros",
		    span_quote(s, quoted));
	return policy_error_set(p->err, rule_column(p, s.at),
	    "%s is a number that programs read in different ways: write an IPv4 address as four "
	    "decimal numbers, as in 192.0.2.1",
	    span_quote(s, quoted));
}

/* "addr" or "addr/len", and whatever else has a '/'. */
static int parse_ipv4(const struct rule_parse *p, struct span s, struct policy_rule *rule)
{
	struct span addr_text = span_cut(s, span_until(s, '/'));
	struct span len_text = span_from(s, addr_text.len);
	char quoted[QUOTED_MAX];
	char word[QUOTED_MAX];
	struct ip_addr addr;
	unsigned int len = 32;

	if (parse_addr(addr_text, &addr) != 4) {
		if (ends_in_number(addr_text))
			return bad_number(p, addr_text);
		if (word_find(targets, TARGET_COUNT, addr_text))
			return policy_error_set(p->err, rule_column(p, len_text.at),
			    "prefix length %s behind %s: only addresses have one",
			    span_quote(len_text, quoted), span_quote(addr_text, word));
		return policy_error_set(p->err, rule_column(p, len_text.at),
		    "%s has a '/', as URLs do: a target is an address, a prefix, a group or a name",
		    span_quote(s, quoted));
	}
	if (len_text.len > 0 && parse_len(p, span_from(len_text, 1), 32, &len) < 0)
		return -EINVAL;
	return set_prefix(p, s, &addr, 96 + len, rule);
}

static int bad_name_char(const struct rule_parse *p, struct span name, size_t i)
{
	char quoted[QUOTED_MAX];
	struct span c = span_cut(span_from(name, i), 1);

	span_quote(c, quoted);
	if ((unsigned char)c.at[0] > 0x7e)
		return policy_error_set(p->err, rule_column(p, c.at),
		    "a name has the byte %s: write names outside of ASCII in their 'xn--' form",
		    quoted);
	if (strchr("@/?#%\\", c.at[0]))
		return policy_error_set(p->err, rule_column(p, c.at),
		    "a name has %s, as URLs do: write the bare host name, without user, path or "
		    "query",
		    quoted);
	if (c.at[0] == '*')
		return policy_error_set(p->err, rule_column(p, c.at),
		    "'*' inside a name: it can only be the whole first label, as in "
		    "'*.example.com'");
	return policy_error_set(p->err, rule_column(p, c.at),
	    "a name has %s: a host name has letters, digits, '-', '_' and '.'", quoted);
}

static int check_label(const struct rule_parse *p, struct span label)
{
	char quoted[QUOTED_MAX];

	if (label.len == 0)
		return policy_error_set(p->err, rule_column(p, label.at),
		    "a name has an empty label: write one '.' between labels");
	if (label.len > NAME_LABEL_MAX)
		return policy_error_set(p->err, rule_column(p, label.at),
		    "label %s of a name has %zu bytes: at most %d are allowed",
		    span_quote(label, quoted), label.len, NAME_LABEL_MAX);
	if (label.at[0] == '-' || label.at[label.len - 1] == '-')
		return policy_error_set(p->err, rule_column(p, label.at),
		    "label %s of a name begins or ends with '-'", span_quote(label, quoted));
	return 0;
}

/* Checks a name (RFC 1123 2.1, and '_'). One dot at the end is allowed. The number of its labels, or
 * -EINVAL. */
static int check_name(const struct rule_parse *p, struct span name)
{
	struct span rest = name;
	char quoted[QUOTED_MAX];
	struct ip_addr addr;
	bool has_more = true;
	int labels = 0;

	for (size_t i = 0; i < name.len; i++) {
		char c = name.at[i];

		if (!is_letter(c) && !is_digit(c) && c != '-' && c != '_' && c != '.')
			return bad_name_char(p, name, i);
	}
	if (name.len > 1 && name.at[name.len - 1] == '.')
		rest.len--;
	if (rest.len >= NAME_TEXT_MAX)
		return policy_error_set(p->err, rule_column(p, name.at),
		    "a name has %zu bytes: at most %d are allowed", rest.len, NAME_TEXT_MAX - 1);
	if (parse_addr(name, &addr) == 4)
		return policy_error_set(p->err, rule_column(p, name.at),
		    "%s is an address and no name: write the address alone",
		    span_quote(name, quoted));
	if (ends_in_number(rest))
		return bad_number(p, name);
	while (has_more) {
		struct span label = span_cut(rest, span_until(rest, '.'));

		if (check_label(p, label) < 0)
			return -EINVAL;
		has_more = label.len < rest.len;
		rest = span_from(rest, label.len + has_more);
		labels++;
	}
	return labels;
}

/* Sets the rule's target. whole: it as it was written. */
static int set_name(const struct rule_parse *p, struct span whole, struct span name, bool is_suffix,
    struct policy_rule *rule)
{
	char quoted[QUOTED_MAX];
	int labels = check_name(p, name);
	enum name_fault fault;

	if (labels < 0)
		return labels;
	if (is_suffix && labels == 1)
		return policy_error_set(p->err, rule_column(p, whole.at),
		    "%s is a whole top-level domain: name one with two labels or more, as in "
		    "'*.example.com'",
		    span_quote(whole, quoted));
	fault = name_read(name.at, name.len, &rule->name, NULL);
	assert(fault == NAME_OK);
	rule->target = is_suffix ? POLICY_TARGET_SUFFIX : POLICY_TARGET_NAME;
	return 0;
}

/* "domain=name" and "suffix=name". */
static int parse_key(const struct rule_parse *p, struct span s, struct policy_rule *rule)
{
	size_t len = span_until(s, '=');
	struct span key = span_cut(s, len);
	struct span name = span_from(s, len + 1);
	const struct word *word = word_find(name_keys, NAME_KEY_COUNT, key);
	char quoted[QUOTED_MAX];

	if (!word) {
		const struct word *near = word_suggest(name_keys, NAME_KEY_COUNT, key);

		return policy_error_set(p->err, rule_column(p, s.at),
		    near ? "unknown kind of target %s: did you mean '%s='?"
			 : "unknown kind of target %s: '=' follows 'domain' or 'suffix' only",
		    span_quote(key, quoted), near ? near->text : "");
	}
	if (name.len == 0)
		return policy_error_set(p->err, rule_column(p, name.at),
		    "no name behind '%s=': write one, as in %s=example.com", word->text,
		    word->text);
	if (word->value == 1 && name.len > 1 && name.at[0] == '.')
		name = span_from(name, 1);
	return set_name(p, s, name, word->value == 1, rule);
}

/* Whether tail begins with an IPv6 address that misses its brackets, and how long that is. */
static size_t bare_ipv6_len(struct span tail)
{
	struct span s = tail;
	struct ip_addr addr;

	if (span_until(tail, ':') > 4)
		return 0; /* more digits than a group has */
	/* The whole, without the protocol, without protocol and ports. */
	for (int cut = 0; cut < 3; cut++) {
		struct span head = span_cut(s, span_until(s, '/'));
		size_t last = s.len;

		head.len = span_until(head, '%');
		if (parse_addr(head, &addr) == 6)
			return head.len;
		while (last > 0 && s.at[last - 1] != ':')
			last--;
		if (last == 0)
			break;
		s.len = last - 1;
	}
	return 0;
}

static int bad_label(const struct rule_parse *p, struct span s)
{
	const struct word *near = word_suggest(targets, TARGET_COUNT, s);
	char quoted[QUOTED_MAX];

	if (near)
		return policy_error_set(p->err, rule_column(p, s.at),
		    "unknown target %s: did you mean '%s'?", span_quote(s, quoted), near->text);
	if (check_name(p, s) < 0)
		return -EINVAL;
	return policy_error_set(p->err, rule_column(p, s.at),
	    "unknown target %s: write any, public, private, host, dns, loopback, link_local, "
	    "metadata, multicast, an address, a prefix or a name with a '.' in it (domain=NAME for "
	    "one without)",
	    span_quote(s, quoted));
}

size_t rule_target_extent(struct span tail)
{
	size_t close = tail.len > 0 && tail.at[0] == '[' ? span_until(tail, ']') : 0;

	return close + span_until(span_from(tail, close), ':');
}

static int parse_unusual(
    const struct rule_parse *p, struct span tail, struct span s, struct policy_rule *rule)
{
	char quoted[QUOTED_MAX];
	size_t bare = bare_ipv6_len(tail);

	if (bare > 0) {
		struct span rest = span_from(tail, bare);
		struct span len = span_cut(rest, span_until(rest, ':'));

		/* Only what has been looked at is repeated without quotation. */
		if (len.len < 2 || len.len > PREFIX_TEXT_MAX || len.at[0] != '/' ||
		    !all_digits(span_from(len, 1)))
			len.len = 0;
		return policy_error_set(p->err, rule_column(p, tail.at),
		    "IPv6 address %s without brackets: write [%.*s]%.*s",
		    span_quote(span_cut(tail, bare), quoted), (int)bare, tail.at, (int)len.len,
		    len.at);
	}
	if (s.len == 0)
		return policy_error_set(p->err, rule_column(p, s.at),
		    "no target behind '@': write any, an address, a prefix, a group or a name");
	if (span_starts(span_from(tail, s.len), "://"))
		return policy_error_set(p->err, rule_column(p, s.at),
		    "%s is a URL: write the bare host name or address, and the port behind it as "
		    "in tcp:443",
		    span_quote(tail, quoted));
	if (span_is(s, "*"))
		return policy_error_set(p->err, rule_column(p, s.at),
		    "'*' could mean all addresses or all names: write 'any' for every address, or "
		    "'*.example.com' for the names of a domain");
	if (span_until(s, '=') < s.len)
		return parse_key(p, s, rule);
	if (span_starts(s, "*."))
		return set_name(p, s, span_from(s, 2), true, rule);
	if (span_until(s, '.') < s.len)
		return set_name(p, s, s, false, rule);
	return bad_label(p, s);
}

int rule_target_parse(const struct rule_parse *p, struct span tail, struct span s,
    struct policy_rule *rule, bool *ret_is_dns)
{
	const struct word *word = word_find(targets, TARGET_COUNT, s);
	bool is_name;

	*ret_is_dns = false;
	if (word && word->value == TARGET_ANY) {
		rule->target = POLICY_TARGET_ANY;
		return 0;
	}
	if (word) {
		*ret_is_dns = word->value == TARGET_DNS;
		rule->target = POLICY_TARGET_GROUP;
		rule->group = *ret_is_dns ? ADDR_HOST : (enum addr_class)word->value;
		return 0;
	}
	if (s.len > 0 && s.at[0] == '[')
		return parse_bracketed(p, s, rule);
	is_name = span_until(s, '=') < s.len || span_starts(s, "*.");
	if (!is_name && bare_ipv6_len(tail) == 0 &&
	    (ends_in_number(s) || (span_until(s, '/') < s.len && s.at[0] != '/')))
		return parse_ipv4(p, s, rule);
	return parse_unusual(p, tail, s, rule);
}
