/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of a guest's network; see net_options.h. An argp parser that commands take in as their child.
 */
#include "app/net_options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/complain.h"

enum {
	KEY_NET = OPTION_KEY_NET,
	KEY_NET_RULE,
	KEY_NET_DEFAULT_EGRESS,
	KEY_NET_DEFAULT_INGRESS,
	KEY_MTU,
	KEY_SLOT,
	KEY_IPV4_POOL,
	KEY_IPV6_POOL,
	KEY_IPV4,
	KEY_IPV6,
	KEY_MAC,
	KEY_MAX_CONNECTIONS,
	KEY_TCP_KEEPALIVE,
	KEY_TCP_IDLE,
	KEY_MAX_UDP_FLOWS,
	KEY_UDP_IDLE,
	KEY_EGRESS_BANDWIDTH,
	KEY_EGRESS_BANDWIDTH_BURST,
	KEY_EGRESS_OPS,
	KEY_EGRESS_OPS_BURST,
	KEY_INGRESS_BANDWIDTH,
	KEY_INGRESS_BANDWIDTH_BURST,
	KEY_INGRESS_OPS,
	KEY_INGRESS_OPS_BURST,
	KEY_DNS_NAMESERVER,
	KEY_DNS_QUERY_TIMEOUT,
	KEY_DNS_DOMAIN,
	KEY_DNS_GRACE,
	KEY_DNS_CACHE_SIZE,
	KEY_DNS_REBIND_PROTECTION,
	KEY_EVENTS,
	KEY_STATS,
	KEY_CONFIG,
	KEY_POLICY_FLOOR,
	KEY_VERBOSE = 'v',
	KEY_PUBLISH = 'p',
	KEY_PUBLISH_SOURCE = KEY_POLICY_FLOOR + 1,
	KEY_PUBLISH_PROXY,

	GROUP_POLICY = OPTION_GROUP_FIRST + 1,
	GROUP_PUBLISH,
	GROUP_ADDRESS,
	GROUP_LIMIT,
	GROUP_DNS,
	GROUP_WATCH,
};

static const struct argp_option option_table[] = {
    {NULL, 0, NULL, 0, "What the guest may reach:", GROUP_POLICY},
    {"config", KEY_CONFIG, "FILE", 0,
	"Read a configuration document, JSON or YAML; options here stand before it, or replace it",
	0},
    {"net", KEY_NET, "PROFILE[,...]", 0,
	"public, private, host, or all, or none. Default: public, unless there are rules", 0},
    {"net-rule", KEY_NET_RULE, "RULE[,...]", 0,
	"allow|deny[:egress|ingress|any]@TARGET[:PROTO[:PORTS]], first match decides; may be "
	"repeated",
	0},
    {"net-default-egress", KEY_NET_DEFAULT_EGRESS, "allow|deny", 0,
	"What happens to outgoing traffic that no rule matches", 0},
    {"policy-floor", KEY_POLICY_FLOOR, "FILE", 0,
	"What the policy of this document does not allow is denied, whatever else is said", 0},
    {"net-default-ingress", KEY_NET_DEFAULT_INGRESS, "allow|deny", 0,
	"What happens to incoming traffic that no rule matches", 0},

    {NULL, 0, NULL, 0, "How the guest is reached:", GROUP_PUBLISH},
    {"publish", KEY_PUBLISH, "[ADDRESS:]PORT:GUEST-PORT[/udp|/http]", 0,
	"Lead a port of the host to one of the guest; may be repeated. Default address: 127.0.0.1; "
	"port 0: one is picked and told",
	0},
    {"publish-source", KEY_PUBLISH_SOURCE, "gateway|client", 0,
	"Whom the guest sees as its peer. Default: gateway", 0},
    {"publish-proxy", KEY_PUBLISH_PROXY, NULL, 0,
	"Tell the guest each TCP client in a PROXY header, version 2", 0},

    {NULL, 0, NULL, 0, "Addresses of the guest's network:", GROUP_ADDRESS},
    {"slot", KEY_SLOT, "N", 0, "Which addresses of the pools, 0 to 65535. Default: 0", 0},
    {"ipv4-pool", KEY_IPV4_POOL, "CIDR", 0, "Default: " ADDRESSING_POOL_V4, 0},
    {"ipv6-pool", KEY_IPV6_POOL, "CIDR", 0, "Default: " ADDRESSING_POOL_V6, 0},
    {"ipv4", KEY_IPV4, "ADDRESS", 0, "IPv4 address; the gateway's is the one before it", 0},
    {"ipv6", KEY_IPV6, "ADDRESS", 0, "IPv6 address; the gateway's ends in ::1", 0},
    {"mac", KEY_MAC, "MAC", 0, "MAC address of the guest's card", 0},
    {"mtu", KEY_MTU, "BYTES", 0, "1280 to 65520. Default: 1500", 0},

    {NULL, 0, NULL, 0, "Limits:", GROUP_LIMIT},
    {"max-connections", KEY_MAX_CONNECTIONS, "N", 0,
	"TCP connections at once, 1 to 1000000. Default: 4096", 0},
    {"tcp-keepalive", KEY_TCP_KEEPALIVE, "SECONDS", 0,
	"Probe the peers of a silent TCP connection after this time; 0: never", 0},
    {"tcp-idle", KEY_TCP_IDLE, "SECONDS", 0,
	"Reset a silent TCP connection after this time; 0: never", 0},
    {"max-udp-flows", KEY_MAX_UDP_FLOWS, "N", 0, "UDP flows at once, 1 to 1000000. Default: 4096",
	0},
    {"udp-idle", KEY_UDP_IDLE, "SECONDS", 0, "Forget a silent UDP flow after this time", 0},
    {"net-egress-bandwidth", KEY_EGRESS_BANDWIDTH, "SIZE/TIME", 0,
	"Bytes that the guest may send, like 10M/1s", 0},
    {"net-egress-bandwidth-burst", KEY_EGRESS_BANDWIDTH_BURST, "SIZE", 0, "Further bytes, once", 0},
    {"net-egress-ops", KEY_EGRESS_OPS, "N/TIME", 0, "Frames that the guest may send, like 1000/1s",
	0},
    {"net-egress-ops-burst", KEY_EGRESS_OPS_BURST, "N", 0, "Further frames, once", 0},
    {"net-ingress-bandwidth", KEY_INGRESS_BANDWIDTH, "SIZE/TIME", 0,
	"The same for what the guest gets", 0},
    {"net-ingress-bandwidth-burst", KEY_INGRESS_BANDWIDTH_BURST, "SIZE", 0, "Further bytes, once",
	0},
    {"net-ingress-ops", KEY_INGRESS_OPS, "N/TIME", 0, "Likewise", 0},
    {"net-ingress-ops-burst", KEY_INGRESS_OPS_BURST, "N", 0, "Likewise", 0},

    {NULL, 0, NULL, 0, "Names:", GROUP_DNS},
    {"dns-nameserver", KEY_DNS_NAMESERVER, "ADDRESS[:PORT]", 0,
	"Ask this resolver; may be repeated. Default: the host's", 0},
    {"dns-query-timeout-ms", KEY_DNS_QUERY_TIMEOUT, "N", 0,
	"How long to wait for an answer, 1 to 60000", 0},
    {"dns-domain", KEY_DNS_DOMAIN, "DOMAIN=ADDRESS", 0,
	"Ask this resolver for names under a domain; may be repeated", 0},
    {"dns-grace", KEY_DNS_GRACE, "SECONDS", 0,
	"How long an address counts for its name after its time. Default: 300", 0},
    {"dns-cache-size", KEY_DNS_CACHE_SIZE, "KIB", 0,
	"Memory for answers; 0: keep none. Default: 4096", 0},
    {"dns-rebind-protection", KEY_DNS_REBIND_PROTECTION, "on|off", 0,
	"Refuse answers with addresses that are not public and not in a rule. Default: on", 0},

    {NULL, 0, NULL, 0, "What is told:", GROUP_WATCH},
    {"events", KEY_EVENTS, "FILE", 0, "Append flows and denials as JSON lines; - is standard error",
	0},
    {"stats", KEY_STATS, NULL, 0, "Print counters to standard error at the end", 0},
    {"verbose", KEY_VERBOSE, NULL, 0, "Tell what is set up", 0},
    {0},
};

/* argp has no other way that leaves no trace of the reading behind. */
void options_refuse(const char *format, ...)
{
	char message[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	complain("%s", message);
	exit(EXIT_OWN_FAILURE);
}

void string_list_add(struct string_list *list, const char *item)
{
	const char **items =
	    reallocarray((void *)list->items, list->count + 1, sizeof(*list->items));

	if (items == NULL)
		options_refuse("out of memory");
	list->items = items;
	list->items[list->count++] = item;
}

static enum policy_action action(const char *option, const char *text)
{
	if (strcmp(text, "allow") == 0)
		return POLICY_ALLOW;
	if (strcmp(text, "deny") != 0)
		options_refuse("--%s %s is not possible; use allow or deny", option, text);
	return POLICY_DENY;
}

/* Options that are settings, by their name in the table. False: another one. */
static bool parse_setting(int key, const char *arg, struct net_options *all)
{
	char error[SETTINGS_ERROR_MAX];

	for (const struct argp_option *o = option_table; o->name != NULL || o->group != 0; o++) {
		int result = -ENOENT;

		if (o->name != NULL && o->key == key && arg != NULL)
			result = settings_set(&all->settings, o->name, arg, error);
		if (result == 0) {
			string_list_add(&all->given, o->name);
			string_list_add(&all->given, arg);
			return true;
		}
		if (result == -EINVAL)
			options_refuse("%s", error);
	}
	return false;
}

static void add_publish(struct publish_options *p, const char *text)
{
	struct publish_spec *specs = reallocarray(p->specs, p->count + 1, sizeof(*specs));
	const char **texts;
	char error[PUBLISH_ERROR_MAX];

	if (specs != NULL)
		p->specs = specs;
	texts = reallocarray((void *)p->texts, p->count + 1, sizeof(*texts));
	if (texts != NULL)
		p->texts = texts;
	if (specs == NULL || texts == NULL)
		options_refuse("out of memory");
	if (p->count == PUBLISH_MAX)
		options_refuse("--publish %s is one too many; at most %d ports can be published",
		    text, PUBLISH_MAX);
	if (publish_spec_parse(text, &p->specs[p->count], error) < 0)
		options_refuse("--publish %s %s", text, error);
	p->texts[p->count++] = text;
}

static enum publish_source publish_source(const char *text)
{
	if (strcmp(text, "client") == 0)
		return PUBLISH_SOURCE_CLIENT;
	if (strcmp(text, "gateway") != 0)
		options_refuse("--publish-source %s is not possible; use gateway or client", text);
	return PUBLISH_SOURCE_GATEWAY;
}

static void set_default(
    struct net_options *o, enum policy_direction direction, const char *option, const char *arg)
{
	o->has_default[direction] = true;
	o->defaults[direction] = action(option, arg);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct net_options *o = state->input;

	if (parse_setting(key, arg, o))
		return 0;
	switch (key) {
	case KEY_NET:
		string_list_add(&o->profiles, arg);
		return 0;
	case KEY_NET_RULE:
		string_list_add(&o->rules, arg);
		return 0;
	case KEY_NET_DEFAULT_EGRESS:
		set_default(o, POLICY_EGRESS, "net-default-egress", arg);
		return 0;
	case KEY_NET_DEFAULT_INGRESS:
		set_default(o, POLICY_INGRESS, "net-default-ingress", arg);
		return 0;
	case KEY_CONFIG:
		if (o->config != NULL)
			options_refuse("--config is given twice; use one document");
		o->config = arg;
		return 0;
	case KEY_POLICY_FLOOR:
		if (o->floor != NULL)
			options_refuse("--policy-floor is given twice; use one document");
		o->floor = arg;
		return 0;
	case KEY_PUBLISH:
		add_publish(&o->publish, arg);
		return 0;
	case KEY_PUBLISH_SOURCE:
		o->publish.source = publish_source(arg);
		return 0;
	case KEY_PUBLISH_PROXY:
		o->publish.has_proxy_header = true;
		return 0;
	case KEY_EVENTS:
		o->events = arg;
		return 0;
	case KEY_STATS:
		o->has_stats = true;
		return 0;
	case KEY_VERBOSE:
		note_enable();
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp net_options_argp = {.options = option_table, .parser = parse};

struct net_options net_options_default(void)
{
	return (struct net_options){.settings = settings_default("--")};
}

void net_options_fini(struct net_options *o)
{
	free((void *)o->rules.items);
	free((void *)o->profiles.items);
	free((void *)o->given.items);
	free(o->publish.specs);
	free((void *)o->publish.texts);
}
