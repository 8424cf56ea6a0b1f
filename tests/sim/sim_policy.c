/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy of the simulation, in place of src/policy: what the engine does with a verdict is tested
 * here, how verdicts are made is tested elsewhere.
 */
#include <stdio.h>

#include "sim_world.h"

struct policy_verdict policy_judge(const struct policy *p, const struct policy_query *q)
{
	bool is_denied = p->denies_all || (q->has_port && p->denied_port == q->port);

	return (struct policy_verdict){
	    .action = is_denied ? POLICY_DENY : POLICY_ALLOW,
	    .rule = is_denied ? 0 : POLICY_RULE_DEFAULT,
	};
}

const char *policy_rule_text(const struct policy *p, uint32_t rule, char *out, size_t cap)
{
	(void)p;
	(void)snprintf(out, cap, "rule %u", rule);
	return out;
}
