/* SPDX-License-Identifier: Apache-2.0 */
/* The effective configuration as a document; see print.h. Tests: golden/config (each .out reads back as itself). */
#include "config/print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/text.h"

#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

static const char *null_or_quoted(const char *text, bool is_set, char *out, size_t cap)
{
	struct text t = text_init(out, cap);

	text_printf(&t, is_set ? "\"%s\"" : "null", text);
	return out;
}

static const char *pool_text(const struct ip_prefix *p, char *out, size_t cap)
{
	char addr[IP_ADDR_TEXT_MAX];
	struct text t = text_init(out, cap);

	text_printf(&t, "\"%s/%u\"", ip_addr_format(&p->addr, addr), p->len);
	return out;
}

static void print_interface(const struct addressing *a, FILE *out)
{
	char addr[IP_ADDR_TEXT_MAX];
	char mac[MAC_TEXT_MAX];
	char text[2 * IP_ADDR_TEXT_MAX];

	(void)fprintf(out, "  \"interface\": {\n    \"mac\": %s,\n    \"mtu\": %u,\n",
	    null_or_quoted(mac_addr_format(&a->mac, mac), a->has_mac, text, sizeof(text)), a->mtu);
	(void)fprintf(out, "    \"ipv4_address\": %s,\n",
	    null_or_quoted(
		ip_addr_format(&a->v4, addr), !ip_addr_is_unset(&a->v4), text, sizeof(text)));
	(void)fprintf(out, "    \"ipv4_pool\": %s,\n", pool_text(&a->pool_v4, text, sizeof(text)));
	(void)fprintf(out, "    \"ipv6_address\": %s,\n",
	    null_or_quoted(
		ip_addr_format(&a->v6, addr), !ip_addr_is_unset(&a->v6), text, sizeof(text)));
	(void)fprintf(out, "    \"ipv6_pool\": %s,\n    \"slot\": %u\n  },\n",
	    pool_text(&a->pool_v6, text, sizeof(text)), a->slot);
}

static void print_ports(const struct config *c, FILE *out)
{
	char addr[IP_ADDR_TEXT_MAX];

	(void)fprintf(out, "  \"ports\": [");
	for (size_t i = 0; i < c->port_count; i++) {
		const struct publish_spec *s = &c->ports[i];

		(void)fprintf(out,
		    "%s\n    {\"host_port\": %u, \"guest_port\": %u, \"protocol\": \"%s\", "
		    "\"host_bind\": \"%s\", \"http\": %s}",
		    i == 0 ? "" : ",", s->host.port, s->guest_port,
		    s->proto == POLICY_UDP ? "udp" : "tcp", ip_addr_format(&s->host.addr, addr),
		    s->checks_http ? "true" : "false");
	}
	(void)fprintf(out, "%s],\n", c->port_count == 0 ? "" : "\n  ");
}

static const char *action_text(const struct policy *p, enum policy_direction direction)
{
	return policy_default(p, direction) == POLICY_ALLOW ? "allow" : "deny";
}

static void print_policy(const struct policy *p, FILE *out)
{
	uint32_t count = policy_rule_count(p);
	char rule[POLICY_RULE_TEXT_MAX];
	char line[POLICY_RULE_TEXT_MAX + 2];

	(void)fprintf(out,
	    "  \"policy\": {\n    \"default_egress\": \"%s\",\n    \"default_ingress\": \"%s\",\n"
	    "    \"rules\": [",
	    action_text(p, POLICY_EGRESS), action_text(p, POLICY_INGRESS));
	for (uint32_t i = 0; i < count; i++) {
		struct text t = text_init(line, sizeof(line));

		policy_rule_text(p, i, rule, sizeof(rule));
		text_json_str(&t, rule, strlen(rule));
		(void)fprintf(out, "%s\n      %s", i == 0 ? "" : ",", line);
	}
	(void)fprintf(out, "%s]\n  },\n", count == 0 ? "" : "\n    ");
}

static void print_dns(const struct engine_config *e, FILE *out)
{
	char text[ENDPOINT_TEXT_MAX];

	(void)fprintf(out, "  \"dns\": {\n    \"nameservers\": [");
	for (uint32_t i = 0; i < e->resolver_count; i++)
		(void)fprintf(
		    out, "%s\"%s\"", i == 0 ? "" : ", ", endpoint_format(&e->resolvers[i], text));
	(void)fprintf(out,
	    "],\n    \"query_timeout_ms\": %" PRIu64 ",\n    \"rebind_protection\": %s,\n"
	    "    \"grace_s\": %" PRIu64 ",\n    \"cache_kib\": %zu,\n    \"domains\": [",
	    e->dns_timeout_ns / NS_PER_MS, e->dns_rebind_protection ? "true" : "false",
	    e->dns_grace_ns / NS_PER_S, e->dns_cache_bytes >> 10);
	for (uint32_t i = 0; i < e->dns_route_count; i++) {
		const struct engine_dns_route *r = &e->dns_routes[i];

		(void)fprintf(out, "%s\n      {\"domain\": \"%s\", \"nameservers\": [",
		    i == 0 ? "" : ",", r->suffix.text);
		for (uint32_t k = 0; k < r->server_count; k++)
			(void)fprintf(out, "%s\"%s\"", k == 0 ? "" : ", ",
			    endpoint_format(&r->servers[k], text));
		(void)fprintf(out, "]}");
	}
	(void)fprintf(out, "%s]\n  },\n", e->dns_route_count == 0 ? "" : "\n    ");
}

static void print_bucket(const char *name, const struct limit_config *c, const char *end, FILE *out)
{
	(void)fprintf(out, "\"%s\": ", name);
	if (c->size == 0)
		(void)fprintf(out, "null%s", end);
	else
		(void)fprintf(out,
		    "{\"size\": %" PRIu64 ", \"refill_time_ms\": %" PRIu64
		    ", \"one_time_burst\": %" PRIu64 "}%s",
		    c->size, c->refill_ns / NS_PER_MS, c->burst, end);
}

static void print_rate_limiter(const struct shape_config *c, FILE *out)
{
	static const char *const names[SHAPE_DIRECTION_COUNT] = {"egress", "ingress"};
	bool has_any = false;

	(void)fprintf(out, "  \"rate_limiter\": ");
	for (int d = 0; d < SHAPE_DIRECTION_COUNT; d++) {
		if (c->bytes[d].size == 0 && c->frames[d].size == 0)
			continue;
		(void)fprintf(out, "%s\n    \"%s\": {", has_any ? "," : "{", names[d]);
		print_bucket("bandwidth", &c->bytes[d], ", ", out);
		print_bucket("ops", &c->frames[d], "}", out);
		has_any = true;
	}
	(void)fprintf(out, has_any ? "\n  },\n" : "null,\n");
}

int config_print(const struct config *c, const struct policy *p, FILE *out)
{
	const struct engine_config *e = &c->settings.engine;

	(void)fprintf(out, "{\n  \"enabled\": %s,\n", c->is_enabled ? "true" : "false");
	print_interface(&c->settings.addressing, out);
	print_ports(c, out);
	print_policy(p, out);
	print_dns(e, out);
	print_rate_limiter(&e->shape, out);
	(void)fprintf(out,
	    "  \"max_connections\": %u,\n  \"limits\": {\n    \"max_udp_flows\": %u,\n"
	    "    \"tcp_keepalive_s\": %" PRIu64 ",\n    \"tcp_idle_s\": %" PRIu64 ",\n"
	    "    \"udp_idle_s\": %" PRIu64 "\n  }\n}\n",
	    e->tcp_limit, e->udp_limit, e->tcp_keepalive_ns / NS_PER_S, e->tcp_idle_ns / NS_PER_S,
	    e->udp_idle_ns / NS_PER_S);
	return fflush(out) != 0 || ferror(out) != 0 ? -EIO : 0;
}
