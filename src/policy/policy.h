/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy: ordered rules, compiled to an immutable snapshot that is judged in a time that does not
 * depend on the number of rules.
 *
 * policy_judge() is the one function that computes verdicts. A snapshot is read by any number of
 * threads; it changes only by being replaced. A builder belongs to one thread.
 */
#ifndef SLUICE_POLICY_POLICY_H
#define SLUICE_POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/name.h"
#include "base/siphash.h"
#include "policy/addr_class.h"

struct policy;
struct policy_builder;
struct policy_rule;

enum policy_action {
	POLICY_DENY,
	POLICY_ALLOW,
	POLICY_HOLD, /* a verdict only: what the first flight names decides (policy_judge()) */
};

enum policy_direction {
	POLICY_EGRESS,  /* the guest opens; the address is the destination */
	POLICY_INGRESS, /* the outside opens; the address is the peer's */
};

enum policy_proto {
	POLICY_TCP,
	POLICY_UDP,
	POLICY_ICMP4,
	POLICY_ICMP6,
	POLICY_PROTO_COUNT
};

#define POLICY_RULE_DEFAULT 0xffffffffU /* no rule matched: the direction's default */
#define POLICY_RULE_FLOOR                                                                          \
	0xfffffffeU /* refused whatever the rules say (unspecified address, ...) */

enum {
	POLICY_RULES_MAX = 1 << 22,  /* rules in one policy */
	POLICY_LAYERS_MAX = 4,       /* in one policy, its own rules among them */
	POLICY_NAT64_MAX = 4,        /* translation prefixes in one policy */
	POLICY_RULE_TEXT_MAX = 1280, /* longest text of a rule, with its NUL */
};

struct port_range {
	uint16_t first; /* 1 .. last */
	uint16_t last;
};

/* Why a rule or a profile was refused: one sentence for the person who wrote it. What it quotes of
 * their text is cut and escaped, so that it can be printed anywhere. */
struct policy_error {
	char text[256];
	size_t column; /* of the mistake in the text, in bytes from 1; 0: no place in a text */
};

/*
 * Building
 */

/* A builder without rules, or NULL. */
struct policy_builder *policy_builder_new(void);
void policy_builder_free(struct policy_builder *b);

/* Adds a list of rules in the rule language (rule.h) behind those added before. 0, -EINVAL and *err,
 * or -ENOMEM; then none of the list is added. */
__attribute__((warn_unused_result)) int policy_builder_add_rules(
    struct policy_builder *b, const char *text, struct policy_error *err);

/* Adds one rule behind those added before. Errors as above; the column is 0. */
__attribute__((warn_unused_result)) int policy_builder_add_rule(
    struct policy_builder *b, const struct policy_rule *rule, struct policy_error *err);

/* Adds a profile: a list of `public`, `private`, `host`, or `all`, or `none`; lists of several calls
 * add up. A profile's rules stand behind all others, in this order whatever the text's: allow@dns,
 * allow@public, allow@private, allow@host, for those that are named. `all` has no rules but allows by
 * default; `none` has no rules. 0 or -EINVAL and *err. */
__attribute__((warn_unused_result)) int policy_builder_add_profile(
    struct policy_builder *b, const char *text, struct policy_error *err);

/* What happens where no rule matches, whatever the profile says. Without this call: ingress is
 * allowed; egress is allowed by profile `all` and denied otherwise. */
void policy_builder_set_default(
    struct policy_builder *b, enum policy_direction direction, enum policy_action action);

/* Adds an address of group host: the gateway's addresses, those of the host itself. An address that
 * is never right on a wire (loopback, unspecified, multicast) keeps its class. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int policy_builder_add_host(
    struct policy_builder *b, const struct ip_addr *addr);

/* The key of the hash tables of names, random and secret, so that the author of a list of names cannot
 * choose where they fall. Without this call it is zero. */
void policy_builder_set_key(struct policy_builder *b, const struct siphash_key *key);

/* Forgets the addresses of group host. */
void policy_builder_clear_hosts(struct policy_builder *b);

/* Adds a prefix under which the local network translates to IPv4 (RFC 6052; found by RFC 7050): the
 * embedded addresses are judged too. len is one of 32, 40, 48, 56, 64, 96. 0, -EINVAL, or -ENOSPC
 * behind POLICY_NAT64_MAX. 64:ff9b::/96 is known and need not be added. */
__attribute__((warn_unused_result)) int policy_builder_add_nat64(
    struct policy_builder *b, const struct ip_addr *prefix, unsigned int len);

/* Adds a layer: what the rules before it allow must be allowed by its rules too, so that a platform can
 * set a floor that a tenant cannot widen. Returns its builder, for rules, profiles and defaults; it
 * belongs to b, whose host addresses, NAT64 prefixes and key count in all layers. NULL without
 * memory or behind POLICY_LAYERS_MAX. Layers have numbers from 1 on, b's own rules are layer 0; rules
 * are numbered on from one layer to the next. */
struct policy_builder *policy_builder_add_layer(struct policy_builder *b);

/* Compiles a snapshot; the builder can be used on. If neither a rule, nor a profile, nor a default
 * for egress was given to a layer, its profile is `public`. 0 or -ENOMEM. The caller frees the snapshot. */
__attribute__((warn_unused_result)) int policy_builder_compile(
    const struct policy_builder *b, struct policy **ret_policy);

/* NULL is allowed. */
void policy_free(struct policy *p);

/*
 * Judging
 */

struct policy_query {
	enum policy_direction direction;
	enum policy_proto proto;
	bool has_port; /* false for ICMP: a rule with ports does not match */
	uint16_t port; /* egress: destination port; ingress: the guest's port. Host order */
	struct ip_addr addr;

	const struct name *const
	    *pins; /* names that the address was an answer for and that hold now */
	uint32_t pin_count;
	bool has_first_flight;    /* it was read, or never will be: claim is final */
	bool must_claim;          /* it is of a protocol that names hosts (TLS, HTTP) */
	const struct name *claim; /* what it names (SNI, Host); NULL: nothing, or not known yet */
};

enum policy_why {
	POLICY_WHY_RULE,       /* the rule itself */
	POLICY_WHY_DEFAULT,    /* no rule matched */
	POLICY_WHY_FLOOR,      /* refused whatever the rules say */
	POLICY_WHY_NOT_PINNED, /* a rule allows names, of which none led to this address */
	POLICY_WHY_OTHER_NAME, /* a rule allows the name that led here; the first flight has another */
	POLICY_WHY_NO_NAME,    /* a rule allows the name that led here; the first flight has none */
	POLICY_WHY_METADATA, /* a name of a metadata service, without a rule about these */
	POLICY_WHY_REBIND,   /* an answer leads to an address that is not public, without a rule */
	POLICY_WHY_UNREADABLE, /* the first flight contradicts itself: set by who read it */
	POLICY_WHY_COUNT
};

struct policy_verdict {
	enum policy_action action;
	uint32_t rule; /* number of the deciding rule from 0, or POLICY_RULE_... */
	uint32_t near; /* the rule that nearly allowed, for why NOT_PINNED to NO_NAME; or DEFAULT */
	enum addr_class class; /* of the address that decided; ADDR_PUBLIC for a name */
	enum policy_why why;   /* of a denial */
	uint32_t layer;        /* that decided, from 0 */
};

/*
 * The first rule that matches decides, else the default of the direction; but whatever the rules
 * say, these are denied with POLICY_RULE_FLOOR:
 *  - the unspecified addresses, in both directions;
 *  - loopback, multicast and 255.255.255.255 as destinations: they are never right on a wire. The
 *    group `loopback` is for ingress, where peers on the host have such addresses;
 *  - 64:ff9b:1::/48, which may lead to any IPv4 address, unless the deciding rule names a prefix inside
 *    of it or policy_builder_add_nat64() has told how to read it.
 *
 * An IPv6 address that embeds IPv4 addresses (addr_embedded()) is allowed only if it would be allowed
 * itself and each of the embedded addresses would be allowed too, with ICMPv6 read as ICMP for
 * IPv4. So an embedding can only narrow what the rules allow, never widen it. If all are allowed the
 * verdict is that of the address itself, else that of the first that is not.
 *
 * Rules by name:
 *  - `allow` matches if a pin is among its names, and the claim too if there is one, or if there
 *    must be one; a name alone opens no address, and an address no name;
 *  - `deny` matches if the claim is among its names, pinned or not; without a claim, if a pin is.
 * ICMP and ingress have no claim. Where rules by name could still change the verdict when the claim
 * is known, the action is POLICY_HOLD, and `rule` is the first of these: connect, give the guest what
 * the server says, keep what the guest says, and judge again with has_first_flight. A caller that
 * never looks sets it at once. No verdict of a query with has_first_flight is POLICY_HOLD.
 *
 * All layers must allow; the verdict is that of the first that denies, else of the first that holds, else of
 * layer 0.
 */
struct policy_verdict policy_judge(const struct policy *p, const struct policy_query *q);

/* Whether a name may be asked outside, by UDP or TCP: the first rule about it, whatever its protocols and
 * ports; rules of `any` and group host count with protocol and port 53, those of other addresses
 * never. The names of metadata services are of group metadata in the place of group host. */
struct policy_verdict policy_judge_name(
    const struct policy *p, const struct name *name, enum policy_proto proto);

/* Whether an answer for the name may hold the address: one that is public, and so are all that it embeds
 * (addr_embedded()), or which a rule without ports, about a prefix or a group, allows by TCP or by UDP before
 * another matches. Nothing opens what policy_judge() never allows. */
struct policy_verdict policy_judge_answer(
    const struct policy *p, const struct name *name, const struct ip_addr *addr);

/* The reason as words for a log: "rule", "default", "floor", "not_pinned", ... */
const char *policy_why_name(enum policy_why why);

/*
 * Telling
 */

/* Writes the deciding rule as one line of the rule grammar ("default", "floor" where there is none),
 * cut to cap bytes; returns out. */
const char *policy_rule_text(const struct policy *p, uint32_t rule, char *out, size_t cap);

/* Rules of the snapshot in all layers, those of the profiles included. */
uint32_t policy_rule_count(const struct policy *p);

/* The layer of a rule; *ret_number: its number in that layer, from 0. */
uint32_t policy_rule_layer(const struct policy *p, uint32_t rule, uint32_t *ret_number);

/* The default of layer 0. */
enum policy_action policy_default(const struct policy *p, enum policy_direction direction);

/* Bytes of memory that the snapshot holds. */
size_t policy_memory(const struct policy *p);

enum policy_warning_kind {
	POLICY_WARN_COVERED,   /* `by` matches all that it does before: it decides nothing */
	POLICY_WARN_FLOOR,     /* it allows only what is never allowed */
	POLICY_WARN_PINNED,    /* a deny by name: `by` allows its names where they led */
	POLICY_WARN_ADDRESSES, /* a deny by name: `by` allows most addresses before */
	POLICY_WARN_UNASKED,   /* an allow by name: `by` denies that its names are asked */
};

/* A rule that decides nothing, or less than it seems. */
struct policy_warning {
	uint32_t rule;
	uint32_t by;   /* the earlier rule that is in its way, or POLICY_RULE_FLOOR */
	bool is_alone; /* COVERED: false: `by` together with rules before it */
	enum policy_warning_kind kind;
};

/* The next warning about the rules from *cursor on (0 at first), which it moves; false: no more. Rules
 * of a profile are not looked at. A rule that earlier rules cover only together is found where these
 * have the same target. */
bool policy_warning_next(
    const struct policy *p, uint32_t *cursor, struct policy_warning *ret_warning);

/* Writes the warning as one sentence, cut to cap bytes; returns out. */
const char *policy_warning_text(
    const struct policy *p, const struct policy_warning *w, char *out, size_t cap);

/*
 * Explaining
 */

/* Why a rule does not decide. */
enum policy_miss {
	POLICY_MISS_NONE,      /* it decides */
	POLICY_MISS_HELD,      /* what the first flight names decides whether it matches */
	POLICY_MISS_LATER,     /* it matches too, but one before it decides */
	POLICY_MISS_LAYER,     /* it matches, but another layer decides */
	POLICY_MISS_FLOOR,     /* it matches, but the destination is never allowed */
	POLICY_MISS_PIN,       /* none of its names led to the address */
	POLICY_MISS_CLAIM,     /* the first flight names another, or none */
	POLICY_MISS_DIRECTION, /* it is for the other direction */
	POLICY_MISS_PROTO,     /* it is for other protocols */
	POLICY_MISS_PORT,      /* it is for other ports */
	POLICY_MISS_TARGET,    /* it is about other addresses or names */
};

struct policy_reason {
	uint32_t rule;
	enum policy_miss miss;
};

enum {
	POLICY_REASONS_MAX = 24, /* told about one query */
};

/* Judges, and tells of the rules that are near to the query, in their order, why each does not decide: those
 * that match but for one thing first, and at most POLICY_REASONS_MAX. Looks at every rule: not for the path of
 * packets. For a destination that is only known by name: the name is the pin and the claim, and the address is
 * policy_other_addr(). */
struct policy_verdict policy_explain(const struct policy *p, const struct policy_query *q,
    void (*tell)(void *ctx, const struct policy_reason *reason), void *ctx);

/* Writes a reason as one sentence, cut to cap bytes; returns out. */
const char *policy_reason_text(const struct policy *p, const struct policy_query *q,
    const struct policy_reason *reason, char *out, size_t cap);

/* A public IPv4 address that as few rules as can be are about. */
struct ip_addr policy_other_addr(const struct policy *p);

/*
 * Comparing
 */

enum {
	POLICY_CHANGE_TARGETS_MAX = 4, /* kept of those that a change is about */
	POLICY_CHANGE_RANGES_MAX = 8,  /* kept of its ports */
	POLICY_CHANGES_MAX = 1024,     /* told about one edit */
};

/* Addresses, or a name, or a name at addresses. */
struct policy_change_target {
	struct ip_addr first; /* :: if it is about a name only */
	struct ip_addr last;
	struct name name; /* of no bytes: addresses only, or all names without a rule */
	bool is_below;    /* it stands for all names of its parent that no rule has */
	bool is_pinned;   /* a name: where it led; else at other addresses */
};

/* What an edit of the rules opens or closes. */
struct policy_change {
	bool is_opened; /* else closed */
	bool is_asking; /* whether names are asked outside; protos and ports have no meaning */
	enum policy_direction direction;
	struct policy_verdict before;
	struct policy_verdict after;
	uint8_t protos; /* bits 1 << enum policy_proto; ICMP4 stands for ICMP of the address */
	bool has_more_ranges;
	uint32_t range_count; /* 0: all ports */
	struct port_range ranges[POLICY_CHANGE_RANGES_MAX];
	uint32_t target_count; /* more than are kept, maybe */
	struct policy_change_target targets[POLICY_CHANGE_TARGETS_MAX];
};

/* Tells what changes between two policies, one change for each pair of rules that decided and decide, and the
 * same protocols and ports. Judges one address of each range and one port of each range that rules of either
 * cut, and each name that they have, so that no change is missed; *ret_is_whole: false if that were too many
 * and only some were judged, or there were more changes than are told. Not for the path of packets. 0 or
 * -ENOMEM. */
__attribute__((warn_unused_result)) int policy_diff(const struct policy *before,
    const struct policy *after, void (*tell)(void *ctx, const struct policy_change *change),
    void *ctx, bool *ret_is_whole);

/* Writes a change as one sentence, cut to cap bytes; returns out. */
const char *policy_change_text(const struct policy *before, const struct policy *after,
    const struct policy_change *change, char *out, size_t cap);

#endif
