/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy of the simulation, in place of src/policy: what the engine does with a verdict is tested
 * here, how verdicts are made is tested elsewhere.
 */
#include <stdio.h>

#include "sim_world.h"

struct policy_verdict policy_judge(const struct policy *p, const struct policy_query *q)
{
	bool is_loopback = ip_addr_is_v4(&q->addr) && q->addr.b[12] == 127;
	bool is_denied = p->denies_all || (q->has_port && p->denied_port == q->port);

	if (p->judge)
		return p->judge(p->ctx, q);
	return (struct policy_verdict){
	    .action = is_denied ? POLICY_DENY : POLICY_ALLOW,
	    .rule = is_denied ? 0 : POLICY_RULE_DEFAULT,
	    .class = is_loopback ? ADDR_LOOPBACK : ADDR_PUBLIC,
	};
}

struct policy_verdict policy_judge_name(
    const struct policy *p, const struct name *name, enum policy_proto proto)
{
	bool is_denied =
	    p->denies_all || (p->denied_name.len > 0 && name_is_under(name, &p->denied_name));

	(void)proto;
	return (struct policy_verdict){
	    .action = is_denied ? POLICY_DENY : POLICY_ALLOW,
	    .rule = is_denied ? 1 : POLICY_RULE_DEFAULT,
	};
}

struct policy_verdict policy_judge_answer(
    const struct policy *p, const struct name *name, const struct ip_addr *addr)
{
	static const struct ip_addr inside = {.b = {[10] = 0xff, 0xff, 10}};
	bool is_denied = ip_addr_in_prefix(addr, &inside, 104); /* 10.0.0.0/8 */

	(void)p;
	(void)name;
	return (struct policy_verdict){
	    .action = is_denied ? POLICY_DENY : POLICY_ALLOW,
	    .rule = POLICY_RULE_DEFAULT,
	    .why = POLICY_WHY_REBIND,
	};
}

const char *policy_rule_text(const struct policy *p, uint32_t rule, char *out, size_t cap)
{
	(void)p;
	(void)snprintf(out, cap, "rule %u", rule);
	return out;
}
