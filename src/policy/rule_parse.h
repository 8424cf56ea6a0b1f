/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the rule parser; internal to rule_parse.c and rule_target.c. */
#ifndef SLUICE_POLICY_RULE_PARSE_H
#define SLUICE_POLICY_RULE_PARSE_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/rule.h"
#include "policy/words.h"

/* What each part of the parser needs to tell of a mistake. */
struct rule_parse {
	const char *text; /* the whole list of rules: columns count from here */
	struct policy_error *err;
};

/* The column of a byte of the text. */
static inline size_t rule_column(const struct rule_parse *p, const char *at)
{
	return (size_t)(at - p->text) + 1;
}

/* How much of what stands behind the '@' is the target: up to the ':' before the protocol. */
size_t rule_target_extent(struct span tail);

/* Parses the target s, which is the first part of tail. Sets target, prefix, prefix_len and group of
 * the rule; *ret_is_dns if it is `dns`, which has a say in the other fields too. 0 or -EINVAL. */
__attribute__((warn_unused_result)) int rule_target_parse(const struct rule_parse *p,
    struct span tail, struct span s, struct policy_rule *rule, bool *ret_is_dns);

/* What policy_rule_check() does for a rule whose target is right. */
__attribute__((warn_unused_result)) int rule_settle(
    struct policy_rule *rule, struct policy_error *err);

#endif
