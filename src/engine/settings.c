/* SPDX-License-Identifier: Apache-2.0 */
/* Settings by name; see settings.h. Tests: unit/test_settings.c. */
#include "engine/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "names/nameserver.h"

enum {
	SECONDS_MAX = 31536000, /* a year */
	DNS_TIMEOUT_MAX_MS = 60000,
	DNS_CACHE_MAX_KIB = 1 << 20,
	DIGITS_MAX = 12,
};

#define NS_PER_S  1000000000ULL
#define NS_PER_MS 1000000ULL

/* One call of settings_set(). */
struct setting {
	struct settings *all;
	const char *name;
	const char *value;
	char *error;
};

__attribute__((format(printf, 2, 3))) static int refuse(
    const struct setting *s, const char *format, ...)
{
	int len = snprintf(s->error, SETTINGS_ERROR_MAX, "%s%s %.100s ",
	    s->all->addressing.name_prefix, s->name, s->value);
	va_list args;

	va_start(args, format);
	if (len >= 0 && len < SETTINGS_ERROR_MAX)
		(void)vsnprintf(s->error + len, SETTINGS_ERROR_MAX - (size_t)len, format, args);
	va_end(args);
	return -EINVAL;
}

static int number(const struct setting *s, uint64_t min, uint64_t max, uint64_t *ret_number)
{
	size_t len = strlen(s->value);
	bool is_good = len > 0 && len <= DIGITS_MAX;
	uint64_t v = 0;

	for (size_t i = 0; i < len && is_good; i++) {
		is_good = s->value[i] >= '0' && s->value[i] <= '9';
		v = v * 10 + (uint64_t)(s->value[i] - '0');
	}
	if (!is_good || v < min || v > max)
		return refuse(
		    s, "is not possible; use a number from %" PRIu64 " to %" PRIu64, min, max);
	*ret_number = v;
	return 0;
}

static int number16(const struct setting *s, uint16_t min, uint16_t max, uint16_t *ret_number)
{
	uint64_t v = 0;
	int err = number(s, min, max, &v);

	if (!err)
		*ret_number = (uint16_t)v;
	return err;
}

static int number32(const struct setting *s, uint32_t min, uint32_t max, uint32_t *ret_number)
{
	uint64_t v = 0;
	int err = number(s, min, max, &v);

	if (!err)
		*ret_number = (uint32_t)v;
	return err;
}

static int duration(
    const struct setting *s, uint64_t min, uint64_t max, uint64_t unit_ns, uint64_t *ret_ns)
{
	uint64_t v = 0;
	int err = number(s, min, max, &v);

	if (!err)
		*ret_ns = v * unit_ns;
	return err;
}

static int address(const struct setting *s, bool is_v4, struct ip_addr *ret_addr)
{
	struct ip_addr a;

	if (ip_addr_parse(s->value, &a) < 0 || ip_addr_is_v4(&a) != is_v4)
		return refuse(s, "is not an %s address; use one like %s", is_v4 ? "IPv4" : "IPv6",
		    is_v4 ? "100.96.0.2" : "fd42:6d73:62::2");
	*ret_addr = a;
	return 0;
}

static int pool(const struct setting *s, bool is_v4, struct ip_prefix *ret_prefix)
{
	unsigned int max_len = is_v4 ? ADDRESSING_V4_LEN : ADDRESSING_V6_LEN;
	struct ip_prefix p = {0};
	int result = ip_prefix_parse(s->value, &p);

	if (result == -EDOM)
		return refuse(
		    s, "has bits set behind its prefix; use the first address of the pool");
	if (result < 0 || ip_addr_is_v4(&p.addr) != is_v4 || p.len > max_len)
		return refuse(s, "is not possible; use an %s prefix of at most %u bits, like %s",
		    is_v4 ? "IPv4" : "IPv6", max_len,
		    is_v4 ? ADDRESSING_POOL_V4 : ADDRESSING_POOL_V6);
	*ret_prefix = p;
	return 0;
}

/* ---- one function per setting ---- */

static int set_slot(const struct setting *s)
{
	return number16(s, 0, ADDRESSING_SLOT_MAX, &s->all->addressing.slot);
}

static int set_ipv4_pool(const struct setting *s)
{
	return pool(s, true, &s->all->addressing.pool_v4);
}

static int set_ipv6_pool(const struct setting *s)
{
	return pool(s, false, &s->all->addressing.pool_v6);
}

static int set_ipv4(const struct setting *s)
{
	return address(s, true, &s->all->addressing.v4);
}

static int set_ipv6(const struct setting *s)
{
	return address(s, false, &s->all->addressing.v6);
}

static int set_mac(const struct setting *s)
{
	if (mac_addr_parse(s->value, &s->all->addressing.mac) < 0)
		return refuse(s, "is not a MAC address; use one like 02:00:00:00:00:02");
	s->all->addressing.has_mac = true;
	return 0;
}

static int set_mtu(const struct setting *s)
{
	return number16(s, NETIF_MTU_MIN, NETIF_MTU_MAX, &s->all->addressing.mtu);
}

static int set_max_connections(const struct setting *s)
{
	return number32(s, 1, ENGINE_TCP_LIMIT_MAX, &s->all->engine.tcp_limit);
}

static int set_tcp_keepalive(const struct setting *s)
{
	return duration(s, 0, SECONDS_MAX, NS_PER_S, &s->all->engine.tcp_keepalive_ns);
}

static int set_tcp_idle(const struct setting *s)
{
	return duration(s, 0, SECONDS_MAX, NS_PER_S, &s->all->engine.tcp_idle_ns);
}

static int set_max_udp_flows(const struct setting *s)
{
	return number32(s, 1, ENGINE_UDP_LIMIT_MAX, &s->all->engine.udp_limit);
}

static int set_udp_idle(const struct setting *s)
{
	return duration(s, 1, SECONDS_MAX, NS_PER_S, &s->all->engine.udp_idle_ns);
}

static int add_nameserver(const struct setting *s)
{
	struct engine_config *e = &s->all->engine;

	if (e->resolver_count == ENGINE_RESOLVERS_MAX)
		return refuse(s, "is one too many; at most %d can be used", ENGINE_RESOLVERS_MAX);
	if (nameserver_parse(s->value, &e->resolvers[e->resolver_count]) < 0)
		return refuse(s, "is not possible; use an address, with a port if need be: "
				 "192.0.2.53:5353 or [2001:db8::53]:5353");
	e->resolver_count++;
	return 0;
}

static int set_dns_timeout(const struct setting *s)
{
	return duration(s, 1, DNS_TIMEOUT_MAX_MS, NS_PER_MS, &s->all->engine.dns_timeout_ns);
}

/* ---- rate limits ---- */

/* Decimal digits and a unit of the list, whose factors are in the same order. -1: no such text. */
static int with_unit(const char **text, const char *const units[], const uint64_t factors[],
    uint64_t max, uint64_t *ret_value)
{
	size_t digits = strspn(*text, "0123456789");
	uint64_t v = 0;

	if (digits == 0 || digits > DIGITS_MAX)
		return -1;
	for (size_t i = 0; i < digits; i++)
		v = v * 10 + (uint64_t)((*text)[i] - '0');
	*text += digits;
	for (size_t i = 0; units[i]; i++) {
		size_t len = strlen(units[i]);

		if (strncmp(*text, units[i], len) == 0) {
			*text += len;
			*ret_value = v * factors[i];
			return v <= max / factors[i] ? 0 : -1;
		}
	}
	return -1;
}

static int size_of(const char **text, uint64_t *ret_size)
{
	static const char *const units[] = {"K", "M", "G", "", NULL};
	static const uint64_t factors[] = {1000, 1000000, 1000000000, 1};

	return with_unit(text, units, factors, LIMIT_SIZE_MAX, ret_size);
}

/* SIZE/TIME. */
static int set_limit(const struct setting *s, struct limit_config *c)
{
	static const char *const units[] = {"ms", "s", NULL};
	static const uint64_t factors[] = {NS_PER_MS, NS_PER_S};
	const char *at = s->value;
	uint64_t size = 0;
	uint64_t ns = 0;

	if (size_of(&at, &size) < 0 || *at++ != '/' ||
	    with_unit(&at, units, factors, LIMIT_MS_MAX * NS_PER_MS, &ns) < 0 || *at != '\0' ||
	    size == 0 || ns == 0)
		return refuse(s,
		    "is not possible; use SIZE/TIME like 10M/1s or 500/100ms, neither "
		    "of them 0, up to %llu and a day",
		    LIMIT_SIZE_MAX);
	c->size = size;
	c->refill_ns = ns;
	return 0;
}

static int set_burst(const struct setting *s, struct limit_config *c)
{
	const char *at = s->value;
	uint64_t size = 0;

	if (size_of(&at, &size) < 0 || *at != '\0')
		return refuse(
		    s, "is not possible; use a number up to %llu, like 500 or 10M", LIMIT_SIZE_MAX);
	c->burst = size;
	return 0;
}

static int set_egress_bandwidth(const struct setting *s)
{
	return set_limit(s, &s->all->engine.shape.bytes[SHAPE_EGRESS]);
}

static int set_egress_bandwidth_burst(const struct setting *s)
{
	return set_burst(s, &s->all->engine.shape.bytes[SHAPE_EGRESS]);
}

static int set_egress_ops(const struct setting *s)
{
	return set_limit(s, &s->all->engine.shape.frames[SHAPE_EGRESS]);
}

static int set_egress_ops_burst(const struct setting *s)
{
	return set_burst(s, &s->all->engine.shape.frames[SHAPE_EGRESS]);
}

static int set_ingress_bandwidth(const struct setting *s)
{
	return set_limit(s, &s->all->engine.shape.bytes[SHAPE_INGRESS]);
}

static int set_ingress_bandwidth_burst(const struct setting *s)
{
	return set_burst(s, &s->all->engine.shape.bytes[SHAPE_INGRESS]);
}

static int set_ingress_ops(const struct setting *s)
{
	return set_limit(s, &s->all->engine.shape.frames[SHAPE_INGRESS]);
}

static int set_ingress_ops_burst(const struct setting *s)
{
	return set_burst(s, &s->all->engine.shape.frames[SHAPE_INGRESS]);
}

static int set_dns_grace(const struct setting *s)
{
	return duration(s, 0, SECONDS_MAX, NS_PER_S, &s->all->engine.dns_grace_ns);
}

static int set_dns_cache_size(const struct setting *s)
{
	uint64_t kib = 0;
	int err = number(s, 0, DNS_CACHE_MAX_KIB, &kib);

	if (!err)
		s->all->engine.dns_cache_bytes = (size_t)kib << 10;
	return err;
}

static int set_dns_rebind_protection(const struct setting *s)
{
	bool is_on = strcmp(s->value, "on") == 0;

	if (!is_on && strcmp(s->value, "off") != 0)
		return refuse(s, "is not possible; use on or off");
	s->all->engine.dns_rebind_protection = is_on;
	return 0;
}

/* DOMAIN=ADDRESS: servers of one domain add up. */
static int add_dns_domain(const struct setting *s)
{
	struct engine_config *e = &s->all->engine;
	const char *is = strchr(s->value, '=');
	struct engine_dns_route *route = NULL;
	struct endpoint server;
	struct name suffix;

	if (!is || name_read(s->value, (size_t)(is - s->value), &suffix, NULL) != NAME_OK ||
	    nameserver_parse(is + 1, &server) < 0)
		return refuse(s, "is not possible; use a domain and the address of its server, "
				 "like corp.example=192.0.2.53");
	for (uint32_t i = 0; i < e->dns_route_count; i++) {
		if (name_eq(&e->dns_routes[i].suffix, &suffix))
			route = &e->dns_routes[i];
	}
	if (!route && e->dns_route_count == ENGINE_DNS_ROUTES_MAX)
		return refuse(
		    s, "is one too many; at most %d domains can be used", ENGINE_DNS_ROUTES_MAX);
	if (!route) {
		route = &e->dns_routes[e->dns_route_count++];
		route->suffix = suffix;
	}
	if (route->server_count == ENGINE_DNS_ROUTE_SERVERS_MAX)
		return refuse(s, "is one too many; at most %d servers of one domain can be used",
		    ENGINE_DNS_ROUTE_SERVERS_MAX);
	route->servers[route->server_count++] = server;
	return 0;
}

static const struct {
	const char *name;
	int (*set)(const struct setting *s);
} table[] = {
    {"slot", set_slot},
    {"ipv4-pool", set_ipv4_pool},
    {"ipv6-pool", set_ipv6_pool},
    {"ipv4", set_ipv4},
    {"ipv6", set_ipv6},
    {"mac", set_mac},
    {"mtu", set_mtu},
    {"max-connections", set_max_connections},
    {"tcp-keepalive", set_tcp_keepalive},
    {"tcp-idle", set_tcp_idle},
    {"max-udp-flows", set_max_udp_flows},
    {"udp-idle", set_udp_idle},
    {"net-egress-bandwidth", set_egress_bandwidth},
    {"net-egress-bandwidth-burst", set_egress_bandwidth_burst},
    {"net-egress-ops", set_egress_ops},
    {"net-egress-ops-burst", set_egress_ops_burst},
    {"net-ingress-bandwidth", set_ingress_bandwidth},
    {"net-ingress-bandwidth-burst", set_ingress_bandwidth_burst},
    {"net-ingress-ops", set_ingress_ops},
    {"net-ingress-ops-burst", set_ingress_ops_burst},
    {"dns-nameserver", add_nameserver},
    {"dns-query-timeout-ms", set_dns_timeout},
    {"dns-domain", add_dns_domain},
    {"dns-grace", set_dns_grace},
    {"dns-cache-size", set_dns_cache_size},
    {"dns-rebind-protection", set_dns_rebind_protection},
};

struct settings settings_default(const char *name_prefix)
{
	struct settings s = {.addressing = addressing_default()};

	engine_config_defaults(&s.engine);
	s.addressing.name_prefix = name_prefix;
	return s;
}

int settings_set(
    struct settings *s, const char *name, const char *value, char error[SETTINGS_ERROR_MAX])
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct setting one = {
		    .all = s, .name = table[i].name, .value = value, .error = error};

		if (strcmp(table[i].name, name) == 0)
			return table[i].set(&one);
	}
	return -ENOENT;
}

int settings_check(const struct settings *s, char error[SETTINGS_ERROR_MAX])
{
	static const char *const names[SHAPE_DIRECTION_COUNT] = {"net-egress", "net-ingress"};
	const struct shape_config *c = &s->engine.shape;

	for (int d = 0; d < SHAPE_DIRECTION_COUNT; d++) {
		bool is_bytes = c->bytes[d].burst > 0 && c->bytes[d].size == 0;
		bool is_frames = c->frames[d].burst > 0 && c->frames[d].size == 0;
		const char *what = is_bytes ? "bandwidth" : "ops";

		if (!is_bytes && !is_frames)
			continue;
		(void)snprintf(error, SETTINGS_ERROR_MAX,
		    "%s%s-%s-burst limits nothing by itself; give %s%s-%s too",
		    s->addressing.name_prefix, names[d], what, s->addressing.name_prefix, names[d],
		    what);
		return -EINVAL;
	}
	return 0;
}

const char *settings_name(size_t index)
{
	return index < sizeof(table) / sizeof(table[0]) ? table[index].name : NULL;
}
