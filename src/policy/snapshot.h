/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a compiled policy. Internal to the policy layer.
 *
 * The addresses of each family are cut into ranges inside which the most specific prefix of the rules
 * and the class of the address are the same (range_table.h). Each prefix that rules name is a
 * node, linked to the next shorter one that holds it. The rules of one target (a node, a group,
 * `any`) are a match: one rule, or a map from (direction, protocol, port) to the first rule. The
 * verdict is the lowest rule number over the match of `any`, that of the class, and those of the
 * nodes from the most specific one up (at most 129).
 *
 * Everything is sized by what the rules hold: a rule with r port ranges leaves at most 16 r segments,
 * a prefix two ranges. Nothing is copied from a prefix to those inside of it.
 */
#ifndef SLUICE_POLICY_SNAPSHOT_H
#define SLUICE_POLICY_SNAPSHOT_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/addr.h"
#include "policy/name_index.h"
#include "policy/policy.h"
#include "policy/range_table.h"
#include "policy/rule.h"

#define RULE_NONE POLICY_RULE_DEFAULT /* larger than every rule number */

enum {
	POLICY_DIRECTION_COUNT = 2,
};

enum addr_family {
	ADDR_IPV4,
	ADDR_IPV6,
	ADDR_FAMILY_COUNT
};

static inline enum addr_family addr_family_of(const struct ip_addr *a)
{
	return ip_addr_is_v4(a) ? ADDR_IPV4 : ADDR_IPV6;
}

static inline uint64_t addr_half(const uint8_t *at)
{
	uint64_t half;

	memcpy(&half, at, sizeof(half));
	return be64toh(half);
}

/* The address as range_table.h wants it. */
static inline struct addr_key addr_key_of(const struct ip_addr *a)
{
	if (ip_addr_is_v4(a))
		return (struct addr_key){.hi = (uint64_t)ip_addr_to_v4(a) << 32, .lo = 0};
	return (struct addr_key){.hi = addr_half(a->b), .lo = addr_half(a->b + 8)};
}

/* A rule as it is kept: 28 bytes. */
struct packed_rule {
	struct ip_addr prefix;
	uint32_t first_range; /* in the array of ranges */
	uint8_t range_count;  /* 0: any port */
	uint8_t prefix_len;   /* of the 16-byte form */
	uint8_t target;       /* enum policy_target */
	uint8_t group;        /* enum addr_class */
	uint8_t action;       /* enum policy_action */
	uint8_t directions;   /* POLICY_DIR_... bits */
	uint8_t protos;       /* bits 1 << enum policy_proto */
};

/* The name of a rule that has one is elsewhere: its prefix is an offset, its prefix_len the length. In a
 * builder the offset is that of the text, in a snapshot that of the record (name_index.h). */
static inline bool packed_rule_has_name(const struct packed_rule *r)
{
	return r->target == POLICY_TARGET_NAME || r->target == POLICY_TARGET_SUFFIX;
}

static inline uint32_t packed_rule_name(const struct packed_rule *r)
{
	uint32_t offset;

	memcpy(&offset, r->prefix.b, sizeof(offset));
	return offset;
}

static inline void packed_rule_set_name(struct packed_rule *r, uint32_t offset, uint8_t len)
{
	memset(&r->prefix, 0, sizeof(r->prefix));
	memcpy(r->prefix.b, &offset, sizeof(offset));
	r->prefix_len = len;
}

/* The rules of one target: MATCH_NONE, the number of the only rule, or MATCH_IS_MAP and the number of
 * a map. */
#define MATCH_IS_MAP 0x80000000U
#define MATCH_NONE   0xffffffffU

/* Which cell decides, by direction and protocol. */
struct match_map {
	uint32_t cells[POLICY_DIRECTION_COUNT][POLICY_PROTO_COUNT];
};

/* The first rule by port. */
struct match_cell {
	uint32_t portless;      /* first rule without ports, or RULE_NONE */
	uint32_t first_segment; /* ports of rules before it: disjoint, ascending */
	uint32_t segment_count;
};

struct match_segment {
	uint16_t first;
	uint16_t last;
	uint32_t rule;
};

#define NODE_NONE   0x0fffffffU
#define CLASS_MIXED 0xff

/* A prefix that rules name: 20 bytes. */
struct policy_node {
	uint32_t match;
	uint32_t parent;     /* next shorter prefix with rules that holds it, or NODE_NONE */
	uint32_t first_up;   /* lowest rule of this node and those above */
	uint8_t prefix_len;  /* of the 16-byte form */
	uint8_t class;       /* enum addr_class of all its addresses, or CLASS_MIXED */
	uint8_t directions;  /* of its rules together; with NODE_IS_PLAIN */
	uint8_t protos;      /* of its rules together */
	uint16_t port_first; /* of a plain node: 0 if the rule has no ports */
	uint16_t port_last;
};

/* In directions: one rule with at most one range of ports, of which the node tells all. */
#define NODE_IS_PLAIN 0x80

struct nat64_prefix {
	struct ip_addr prefix;
	unsigned int len; /* bits */
};

struct policy {
	struct packed_rule *rules;
	struct port_range *ranges;
	uint32_t rule_count;
	uint32_t own_count; /* rules before those of the profile */
	size_t range_count;
	enum policy_action defaults[POLICY_DIRECTION_COUNT];

	uint8_t *allows; /* a bit for each rule that allows */

	struct name_index names;                      /* of the rules that have some */
	uint32_t named[2];                            /* match of all rules by name, by action */
	uint32_t any;                                 /* match of target `any` */
	uint32_t groups[ADDR_CLASS_COUNT];            /* matches of the groups */
	struct range_table places[ADDR_FAMILY_COUNT]; /* class << 28 | node, by address */
	struct policy_node *nodes;
	uint32_t node_count;

	struct match_map *maps;
	struct match_cell *cells;
	struct match_segment *segments;
	uint32_t map_count;
	uint32_t cell_count;
	uint32_t segment_count;

	struct nat64_prefix nat64[POLICY_NAT64_MAX];
	uint32_t nat64_count;

	struct policy *next; /* the next layer, or NULL */
	uint32_t layer;      /* number of this one */
	uint32_t rule_base;  /* rules in those before it */
};

static inline enum addr_class place_class(uint32_t place)
{
	return (enum addr_class)(place >> 28);
}

static inline uint32_t place_node(uint32_t place)
{
	return place & NODE_NONE;
}

/* What the policy knows of an address: class and most specific node. */
static inline uint32_t policy_place(const struct policy *p, const struct ip_addr *a)
{
	return range_table_find(&p->places[addr_family_of(a)], addr_key_of(a));
}

static inline bool range_has(const struct port_range *r, uint16_t port)
{
	return r->first <= port && port <= r->last;
}

/* The first rule of a match for the query, or RULE_NONE. */
uint32_t match_find(const struct policy *p, uint32_t match, const struct policy_query *q);

/* Whether a rule is for the direction, protocol and port of the query, its target left aside. */
bool packed_rule_matches(
    const struct policy *p, const struct packed_rule *r, const struct policy_query *q);

/* Whether the rules before `rule` in a match leave nothing for it to decide there: the last of those
 * that are needed for it, else RULE_NONE. */
uint32_t match_covers(const struct policy *p, uint32_t match, uint32_t rule);

/* Whether the rule a matches all that rule b does, if their targets are left aside. */
bool packed_rule_covers(
    const struct policy *p, const struct packed_rule *a, const struct packed_rule *b);

void packed_rule_expand(
    const struct policy *p, const struct packed_rule *packed, struct policy_rule *ret_rule);

/* Makes matches; owns the memory that this needs in between. */
struct match_builder;
struct match_builder *match_builder_new(struct policy *p);
void match_builder_free(struct match_builder *b);

/* The match of rules (numbers, ascending) of one target. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int match_build(
    struct match_builder *b, const uint32_t *rules, size_t count, uint32_t *ret_match);

/* The layer that has a rule; its number there is *rule then. NULL: no layer has. */
const struct policy *policy_layer_of(const struct policy *p, uint32_t *rule);

/* The first rule of a record for egress, whatever its protocols and ports; or RULE_NONE. */
uint32_t name_record_asked(
    const struct policy *p, const struct name_record *r, enum name_kind kind);

/* Makes the index of the names; name_text is what the names of the rules are offsets in. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int names_compile(struct policy *p, struct match_builder *b,
    const struct siphash_key *key, const char *name_text);

/* What policy_compile() borrows. */
struct compile_input {
	const struct ip_addr *hosts;   /* addresses of group host */
	size_t host_count;             /* of them */
	const char *name_text;         /* what the names of the rules are offsets in */
	const struct siphash_key *key; /* of the tables of names */
};

/* Completes a policy of which rules, ranges, defaults and nat64 are set. 0 or -ENOMEM; the caller frees
 * the policy in either case. */
__attribute__((warn_unused_result)) int policy_compile(
    struct policy *p, const struct compile_input *in);

/* The array of size-byte elements with room for need of them, grown if it had less (*cap, which is
 * moved then); or NULL without memory, and the array as it was. */
__attribute__((warn_unused_result)) void *array_grow(
    void *array, size_t *cap, size_t need, size_t size);

#endif
