/* SPDX-License-Identifier: Apache-2.0 */
/* Changes between two policies in words; see diff.c. */
#include <assert.h>
#include <string.h>

#include "base/text.h"
#include "policy/snapshot.h"

/* The length of the prefix that is exactly first .. last, in bits of the 16-byte form; 0 if there is none but
 * that of everything. */
static unsigned int prefix_of(const struct ip_addr *first, const struct ip_addr *last)
{
	unsigned int len = 0;

	while (len < 128 && ((first->b[len / 8] ^ last->b[len / 8]) >> (7 - len % 8) & 1) == 0)
		len++;
	for (unsigned int bit = len; bit < 128; bit++)
		if ((first->b[bit / 8] >> (7 - bit % 8) & 1) != 0 ||
		    (last->b[bit / 8] >> (7 - bit % 8) & 1) == 0)
			return 0;
	return len;
}

static void put_addresses(struct text *t, const struct ip_addr *first, const struct ip_addr *last)
{
	unsigned int len = prefix_of(first, last);
	bool is_v4 = ip_addr_is_v4(first);
	char addr[IP_ADDR_TEXT_MAX];

	if (len == 128) {
		text_str(t, ip_addr_format(first, addr));
	} else if ((is_v4 && len == 96) || (!is_v4 && len == 0 && ip_addr_is_unset(first))) {
		text_str(t, is_v4 ? "all IPv4 addresses" : "all IPv6 addresses");
	} else if (len > 0) {
		text_printf(t, "%s/%u", ip_addr_format(first, addr), len - (is_v4 ? 96U : 0U));
	} else {
		text_str(t, ip_addr_format(first, addr));
		text_printf(t, "-%s", ip_addr_format(last, addr));
	}
}

static void put_target(
    struct text *t, const struct policy_change *c, const struct policy_change_target *target)
{
	bool has_addresses = !ip_addr_is_unset(&target->first) || !ip_addr_is_unset(&target->last);
	const char *name = target->name.text;

	if (target->name.len == 0 && !has_addresses) {
		text_str(t, "names without a rule");
		return;
	}
	if (target->name.len == 0) {
		put_addresses(t, &target->first, &target->last);
		return;
	}
	if (target->is_below)
		text_printf(t, "other names below %s", strchr(name, '.') + 1);
	else
		text_str(t, name);
	if (has_addresses) {
		text_str(t, target->is_pinned ? " led to " : " at ");
		put_addresses(t, &target->first, &target->last);
	} else if (!target->is_pinned && !c->is_asking) {
		text_str(t, " at other addresses");
	}
}

static void put_ports(struct text *t, const struct policy_change *c)
{
	static const char *const protos[] = {"tcp", "udp", "icmp"};
	const char *sep = " ";

	if (c->protos == 7) {
		if (c->range_count == 0)
			return;
		text_str(t, " any");
	}
	for (unsigned int i = 0; i < sizeof(protos) / sizeof(protos[0]) && c->protos != 7; i++) {
		if ((c->protos >> i & 1) == 0)
			continue;
		text_printf(t, "%s%s", sep, protos[i]);
		sep = "+";
	}
	for (uint32_t i = 0; i < c->range_count; i++) {
		text_char(t, i > 0 ? '+' : ':');
		text_u64(t, c->ranges[i].first);
		if (c->ranges[i].last > c->ranges[i].first)
			text_printf(t, "-%u", (unsigned int)c->ranges[i].last);
	}
	if (c->has_more_ranges)
		text_str(t, "+...");
}

static void put_verdict(struct text *t, const struct policy *p, const struct policy_verdict *v)
{
	char rule[POLICY_RULE_TEXT_MAX];
	uint32_t number = v->rule;

	if (v->layer > 0)
		text_printf(t, "layer %u, ", v->layer);
	if (v->rule == POLICY_RULE_DEFAULT)
		text_printf(t, "default %s", v->action == POLICY_ALLOW ? "allow" : "deny");
	else if (v->rule == POLICY_RULE_FLOOR)
		text_str(t, "never allowed");
	else if (policy_layer_of(p, &number))
		text_printf(
		    t, "rule %u, %s", number + 1, policy_rule_text(p, v->rule, rule, sizeof(rule)));
}

const char *policy_change_text(const struct policy *before, const struct policy *after,
    const struct policy_change *change, char *out, size_t cap)
{
	uint32_t kept = change->target_count < POLICY_CHANGE_TARGETS_MAX
			    ? change->target_count
			    : POLICY_CHANGE_TARGETS_MAX;
	struct text t = text_init(out, cap);

	text_str(&t, change->is_opened ? "opens" : "closes");
	if (change->is_asking) {
		text_str(&t, " asking for");
	} else {
		text_str(&t, change->direction == POLICY_EGRESS ? " egress" : " ingress");
		put_ports(&t, change);
		text_str(&t, change->direction == POLICY_EGRESS ? " to" : " from");
	}
	for (uint32_t i = 0; i < kept; i++) {
		text_str(&t, i > 0 ? ", " : " ");
		put_target(&t, change, &change->targets[i]);
	}
	if (change->target_count > kept)
		text_printf(&t, " and %u more", change->target_count - kept);
	text_str(&t, ": ");
	put_verdict(&t, after, &change->after);
	text_str(&t, "; before: ");
	put_verdict(&t, before, &change->before);
	return out;
}
