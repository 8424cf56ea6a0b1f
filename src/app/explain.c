/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sluice explain FILE PROTO HOST[:PORT]: the verdict on one connection, by the judge that judges the guest's, and
 * what each rule has to do with it. The group `host` is this machine.
 *
 * For a name, the query is judged and then the connection, as if the name had led to policy_other_addr(), or to the
 * address of --address.
 */
#include "app/explain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/complain.h"
#include "app/document.h"
#include "app/options.h"
#include "app/rules.h"
#include "base/name.h"
#include "wire/dns.h"

enum {
	KEY_INGRESS = OPTION_KEY_OWN,
	KEY_ADDRESS,
	KEY_POLICY_FLOOR,

	REASON_TEXT_MAX = 2 * POLICY_RULE_TEXT_MAX,
	WORDS = 3,
};

struct explain {
	const char *words[WORDS]; /* FILE, PROTO, HOST[:PORT] */
	size_t word_count;
	const char *address;    /* --address; NULL: none */
	const char *floor_path; /* --policy-floor; NULL: none */
	bool is_ingress;

	struct policy_query query;
	struct name name; /* len 0: HOST is an address */
	bool has_name;

	struct document document;
	struct document floor;
	struct policy_builder *builder;
	struct policy *policy;
	struct policy_verdict verdict;
	uint32_t told; /* rules */
};

/* ---- what is asked ---- */

static void parse_proto(struct explain *x, const char *text)
{
	static const char *const names[] = {"tcp", "udp", "icmp", "icmpv6"};

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) == 0 || (i == 2 && strcmp(text, "icmpv4") == 0)) {
			x->query.proto = (enum policy_proto)i;
			x->query.has_port = i == POLICY_TCP || i == POLICY_UDP;
			return;
		}
	}
	options_refuse("the protocol %s is not known; use tcp, udp, icmp or icmpv6", text);
}

static uint16_t parse_port(const char *text)
{
	size_t len = strlen(text);
	unsigned int port = 0;

	for (size_t i = 0; i < len && i < 6; i++)
		port = port * 10 + (unsigned int)(text[i] - '0');
	if (len == 0 || len > 5 || strspn(text, "0123456789") != len || text[0] == '0' ||
	    port > UINT16_MAX)
		options_refuse("the port %s does not exist; use a number from 1 to 65535", text);
	return (uint16_t)port;
}

static void set_host(struct explain *x, const char *host)
{
	size_t at;
	enum name_fault fault;

	if (ip_addr_parse(host, &x->query.addr) == 0)
		return;
	fault = name_read(host, strlen(host), &x->name, &at);
	if (fault != NAME_OK)
		options_refuse(
		    "%s is neither an address nor a name: it has %s", host, name_fault_text(fault));
	if (x->is_ingress)
		options_refuse("with --ingress, HOST is the address of the peer, not a name");
	x->has_name = true;
	if (x->address != NULL && ip_addr_parse(x->address, &x->query.addr) < 0)
		options_refuse("--address %s is not an address", x->address);
}

/* HOST, HOST:PORT, [ADDRESS] or [ADDRESS]:PORT. */
static void parse_place(struct explain *x, const char *text)
{
	char *host = strdup(text);
	char *port = NULL;
	char *end;

	if (host == NULL)
		options_refuse("out of memory");
	if (host[0] == '[') {
		end = strchr(host, ']');
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			options_refuse("%s is no place; write [ADDRESS]:PORT", text);
		port = end[1] == ':' ? end + 2 : NULL;
		*end = '\0';
	} else if (strchr(host, ':') == strrchr(host, ':')) {
		port = strchr(host, ':');
		if (port != NULL)
			*port++ = '\0';
	}
	if (x->query.has_port && port == NULL)
		options_refuse("%s has no port; write HOST:PORT, and an IPv6 address in []", text);
	if (!x->query.has_port && port != NULL)
		options_refuse("%s has a port, which ICMP has not; leave it away", text);
	if (port != NULL)
		x->query.port = parse_port(port);
	set_host(x, host[0] == '[' ? host + 1 : host);
	free(host);
}

/* ---- the verdict ---- */

static int read_policy(struct explain *x)
{
	struct netif_config netif;
	int result;

	x->builder = policy_builder_new();
	if (x->builder == NULL)
		return complain("there is no memory for the rules");
	result = document_load(&x->document, x->words[0], x->builder);
	if (result > 0)
		return complain("the document %s cannot be used", x->words[0]);
	if (result == 0 && x->floor_path != NULL) {
		x->floor.is_quiet = true;
		result = document_load_floor(&x->floor, x->floor_path, x->builder);
	}
	if (result > 0)
		return complain("the document %s cannot be used", x->floor_path);
	if (result < 0 || net_plan_addresses(&x->document.config.settings, &netif) < 0)
		return -1;
	return rules_compile(x->builder, &netif, &x->policy);
}

static const char *action_text(const struct policy_verdict *v)
{
	switch (v->action) {
	case POLICY_ALLOW:
		return "allowed";
	case POLICY_HOLD:
		return "held until its first bytes say which name is meant";
	case POLICY_DENY:
		break;
	}
	return "denied";
}

/* " (agent.yaml:7:7)", or nothing for a rule of a profile. */
static void print_place(const struct explain *x, uint32_t rule)
{
	uint32_t number;
	bool is_own = policy_rule_layer(x->policy, rule, &number) == 0;
	const struct config *c = is_own ? &x->document.config : &x->floor.config;

	if (number < c->origin_count)
		(void)printf(" (%s:%u:%u)", c->files[c->origins[number].file],
		    c->origins[number].place.line, c->origins[number].place.column);
}

/* "rule 3, allow@public (agent.yaml:7:7)", or what decided in the place of a rule. */
static void print_rule(const struct explain *x, uint32_t rule)
{
	char text[POLICY_RULE_TEXT_MAX];
	uint32_t number;

	if (rule == POLICY_RULE_DEFAULT) {
		(void)printf("the default");
		return;
	}
	if (rule == POLICY_RULE_FLOOR) {
		(void)printf("what no rule can allow");
		return;
	}
	if (policy_rule_layer(x->policy, rule, &number) > 0)
		(void)printf("the floor's ");
	(void)printf("rule %u, ", number + 1);
	(void)printf("%s", policy_rule_text(x->policy, rule, text, sizeof(text)));
	print_place(x, rule);
}

static void print_verdict(const struct explain *x, const char *what, const struct policy_verdict *v)
{
	(void)printf("  %s: %s by ", what, action_text(v));
	print_rule(x, v->rule);
	if (v->rule == POLICY_RULE_DEFAULT && v->layer > 0)
		(void)printf(" of the floor");
	if (v->action == POLICY_DENY && v->why > POLICY_WHY_FLOOR)
		(void)printf(" (%s)", policy_why_name(v->why));
	(void)printf("\n");
	if (v->action != POLICY_DENY || v->near == POLICY_RULE_DEFAULT)
		return;
	(void)printf("    nearly allowed by ");
	print_rule(x, v->near);
	(void)printf("\n");
}

/* ---- the other rules ---- */

static void on_reason(void *ctx, const struct policy_reason *reason)
{
	struct explain *x = ctx;
	char text[REASON_TEXT_MAX];

	x->told++;
	if (reason->miss == POLICY_MISS_NONE)
		return; /* it decides, which was said */
	policy_reason_text(x->policy, &x->query, reason, text, sizeof(text));
	(void)printf("  %s", text);
	print_place(x, reason->rule);
	(void)printf("\n");
}

/* Names are asked of sluice alone. True: so the connection is refused, whatever the rules say. */
static bool print_name_port(const struct explain *x)
{
	bool is_refused = dns_is_other_port(x->query.proto == POLICY_UDP, x->query.port);

	if (x->is_ingress || !x->query.has_port)
		return false;
	if (is_refused)
		(void)printf(
		    "  port %u is: refused, whatever rules say: names are asked by port %d\n",
		    x->query.port, DNS_PORT);
	else if (x->query.port == DNS_PORT)
		(void)printf(
		    "  port %d is: answered here, name by name; the connection's verdict says "
		    "whether that server may be asked\n",
		    DNS_PORT);
	return is_refused;
}

static int judge(struct explain *x)
{
	const struct name *pin = &x->name;
	struct policy_verdict asked = {.action = POLICY_ALLOW};
	struct policy_verdict answered = {.action = POLICY_ALLOW};
	bool is_refused;
	uint32_t count;

	x->query.direction = x->is_ingress ? POLICY_INGRESS : POLICY_EGRESS;
	if (x->has_name) {
		x->query.pins = &pin;
		x->query.pin_count = 1;
		x->query.has_first_flight = true;
		x->query.claim = x->query.proto == POLICY_TCP ? pin : NULL;
		asked = policy_judge_name(x->policy, pin, POLICY_UDP);
		print_verdict(x, "its name is", &asked);
	}
	if (x->has_name && x->address != NULL &&
	    x->document.config.settings.engine.dns_rebind_protection) {
		answered = policy_judge_answer(x->policy, pin, &x->query.addr);
		print_verdict(x, "the address in an answer is", &answered);
	}
	if (x->has_name && x->address == NULL)
		x->query.addr = policy_other_addr(x->policy);
	x->verdict = policy_judge(x->policy, &x->query);
	print_verdict(x, "the connection is", &x->verdict);
	is_refused = print_name_port(x);
	(void)policy_explain(x->policy, &x->query, on_reason, x);
	count = policy_rule_count(x->policy);
	if (count > x->told)
		(void)printf("  %u other rule%s: about something else\n", count - x->told,
		    count - x->told == 1 ? "" : "s");
	x->query.pins = NULL;
	x->query.pin_count = 0;
	return !is_refused && asked.action == POLICY_ALLOW && answered.action == POLICY_ALLOW &&
		       x->verdict.action == POLICY_ALLOW
		   ? 0
		   : EXIT_DENIED;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct explain *x = state->input;

	switch (key) {
	case KEY_INGRESS:
		x->is_ingress = true;
		return 0;
	case KEY_POLICY_FLOOR:
		x->floor_path = arg;
		return 0;
	case KEY_ADDRESS:
		x->address = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (x->word_count == WORDS)
			options_refuse("'%s' is one word too many", arg);
		x->words[x->word_count++] = arg;
		return 0;
	case ARGP_KEY_END:
		if (x->word_count < WORDS)
			options_refuse(
			    "what is to be explained? sluice explain FILE PROTO HOST:PORT");
		parse_proto(x, x->words[1]);
		parse_place(x, x->words[2]);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int explain_main(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"address", KEY_ADDRESS, "ADDRESS", 0, "What the name leads to. Default: a public one",
		0},
	    {"ingress", KEY_INGRESS, NULL, 0,
		"A connection to the guest: HOST is the peer's address, PORT the guest's", 0},
	    {"policy-floor", KEY_POLICY_FLOOR, "FILE", 0, "A document that must allow it too", 0},
	    {0},
	};
	static const struct argp parser = {
	    .options = options,
	    .parser = parse,
	    .args_doc = "FILE PROTO HOST[:PORT]",
	    .doc = "Says what a configuration document does with one connection, and why.\v"
		   "PROTO is tcp, udp, icmp or icmpv6; HOST a name or an address, IPv6 in [].\n"
		   "Exit status: 0 allowed, 1 not allowed, 125 if sluice fails.\n"
		   "See sluice-explain(1).",
	};
	struct explain x = {.document = {.is_quiet = true}};
	int result = EXIT_OWN_FAILURE;

	options_parse(&parser, argc, argv, &x);
	if (read_policy(&x) == 0) {
		(void)printf("%s %s\n", x.words[1], x.words[2]);
		result = judge(&x);
	}
	if (fflush(stdout) != 0 || ferror(stdout) != 0) {
		complain("standard output cannot be written: %s", strerror(errno));
		result = EXIT_OWN_FAILURE;
	}
	policy_free(x.policy);
	policy_builder_free(x.builder);
	document_fini(&x.document);
	document_fini(&x.floor);
	return result;
}
