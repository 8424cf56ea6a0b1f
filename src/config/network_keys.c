/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of a NetworkConfig but those of its policy: most are settings under another name. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/name.h"
#include "config/load.h"

#define COUNT(keys) (sizeof(keys) / sizeof((keys)[0]))

enum {
	DOMAIN_SERVERS_MAX = 3,
};

#define NS_PER_MS 1000000ULL

/* Gives a value to the setting. What settings_set() says begins with name and value. */
static void set(struct loading *l, const char *name, const char *value)
{
	char error[SETTINGS_ERROR_MAX];
	int err = settings_set(&l->config->settings, name, value, error);
	size_t prefix = strlen(name) + 1;

	if (err == -ENOENT)
		load_refuse_value(l, "this version has no setting %s: remove the key", name);
	else if (err)
		load_refuse_value(l, "%s", strlen(error) > prefix ? error + prefix : error);
}

/* A text that is the value of the setting key->detail; null leaves the default. */
static void read_text(struct loading *l, const struct load_key *key, void *ctx)
{
	(void)ctx;
	if (l->token.kind != CONFIG_NULL && load_text(l))
		set(l, key->detail, l->token.text);
}

static void read_number(struct loading *l, const struct load_key *key, void *ctx)
{
	(void)ctx;
	if (l->token.kind == CONFIG_NULL)
		return;
	if (l->token.kind == CONFIG_NUMBER)
		set(l, key->detail, l->token.text);
	else
		load_refuse_value(l, "a number must stand here");
}

/* ---- interface ---- */

struct mac_bytes {
	struct mac_addr mac;
	size_t count;
};

static void read_mac_byte(struct loading *l, void *ctx)
{
	struct mac_bytes *m = ctx;
	uint64_t value;

	if (load_number(l, 0, 255, &value) && m->count < sizeof(m->mac.b))
		m->mac.b[m->count] = (uint8_t)value;
	m->count++;
}

/* A list of six numbers, as the reference writes it, or a text. */
static void read_mac(struct loading *l, const struct load_key *key, void *ctx)
{
	struct config_token first = l->token;
	struct mac_bytes m = {.count = 0};
	uint32_t errors = l->errors;

	if (first.kind != CONFIG_LIST) {
		read_text(l, key, ctx);
		return;
	}
	if (!load_list(l, read_mac_byte, &m) || l->errors > errors)
		return;
	if (m.count != sizeof(m.mac.b)) {
		load_refuse(l, first.place, first.width,
		    "a MAC address has six bytes: write six numbers, or \"02:00:00:00:00:02\"");
		return;
	}
	l->config->settings.addressing.mac = m.mac;
	l->config->settings.addressing.has_mac = true;
}

static void read_interface(struct loading *l, const struct load_key *key, void *ctx)
{
	static const struct load_key keys[] = {
	    {"mac", read_mac, "mac"},
	    {"mtu", read_number, "mtu"},
	    {"ipv4_address", read_text, "ipv4"},
	    {"ipv4_pool", read_text, "ipv4-pool"},
	    {"ipv6_address", read_text, "ipv6"},
	    {"ipv6_pool", read_text, "ipv6-pool"},
	    {"slot", read_number, "slot"},
	};

	(void)key;
	(void)load_map(l, keys, COUNT(keys), ctx, NULL);
}

/* ---- dns ---- */

static void read_nameserver(struct loading *l, void *ctx)
{
	(void)ctx;
	if (load_text(l))
		set(l, "dns-nameserver", l->token.text);
}

static void read_nameservers(struct loading *l, const struct load_key *key, void *ctx)
{
	(void)key;
	(void)load_list(l, read_nameserver, ctx);
}

static void read_switch(struct loading *l, const struct load_key *key, void *ctx)
{
	bool value;

	(void)ctx;
	if (load_bool(l, &value))
		set(l, key->detail, value ? "on" : "off");
}

/* A domain and its servers, of which each is one setting. */
struct domain {
	char name[NAME_TEXT_MAX];         /* "": not read yet */
	struct endpoint_text *servers;    /* DOMAIN_SERVERS_MAX of them */
	struct config_token server_token; /* place of the first */
	uint32_t count;
};

struct endpoint_text {
	char text[ENDPOINT_TEXT_MAX];
};

static void read_domain_name(struct loading *l, const struct load_key *key, void *ctx)
{
	struct domain *d = ctx;
	struct name name;

	(void)key;
	if (!load_text(l))
		return;
	if (name_read(l->token.text, l->token.len, &name, NULL) == NAME_OK)
		memcpy(d->name, name.text, sizeof(d->name));
	else
		load_refuse_value(l, "this is no name of a domain: write one like corp.example");
}

static void read_domain_server(struct loading *l, void *ctx)
{
	struct domain *d = ctx;

	if (d->count == 0)
		d->server_token = l->token;
	if (!load_text(l))
		return;
	if (l->token.len >= sizeof(d->servers->text) || d->count == DOMAIN_SERVERS_MAX) {
		load_refuse_value(l,
		    "this is no address, or one too many: write at most %d addresses, like "
		    "192.0.2.53",
		    DOMAIN_SERVERS_MAX);
		return;
	}
	memcpy(d->servers[d->count++].text, l->token.text, l->token.len + 1);
}

static void read_domain_servers(struct loading *l, const struct load_key *key, void *ctx)
{
	(void)key;
	(void)load_list(l, read_domain_server, ctx);
}

static void read_domain(struct loading *l, void *ctx)
{
	static const struct load_key keys[] = {
	    {"domain", read_domain_name, NULL}, {"nameservers", read_domain_servers, NULL}};
	struct endpoint_text servers[DOMAIN_SERVERS_MAX];
	struct domain d = {.servers = servers};
	struct config_token first = l->token;
	uint32_t errors = l->errors;
	char value[NAME_TEXT_MAX + ENDPOINT_TEXT_MAX];
	char error[SETTINGS_ERROR_MAX];

	(void)ctx;
	if (!load_map(l, keys, COUNT(keys), &d, NULL) || l->errors > errors)
		return;
	if (d.name[0] == '\0' || d.count == 0) {
		load_refuse(l, first.place, first.width,
		    "an entry has a domain and its nameservers: write both");
		return;
	}
	for (uint32_t i = 0; i < d.count && l->errors == errors; i++) {
		(void)snprintf(value, sizeof(value), "%s=%s", d.name, servers[i].text);
		if (settings_set(&l->config->settings, "dns-domain", value, error) != 0)
			load_refuse(l, d.server_token.place, d.server_token.width, "%s",
			    error + strlen("dns-domain "));
	}
}

static void read_domains(struct loading *l, const struct load_key *key, void *ctx)
{
	(void)key;
	(void)load_list(l, read_domain, ctx);
}

static void read_dns(struct loading *l, const struct load_key *key, void *ctx)
{
	static const struct load_key keys[] = {
	    {"rebind_protection", read_switch, "dns-rebind-protection"},
	    {"nameservers", read_nameservers, NULL},
	    {"query_timeout_ms", read_number, "dns-query-timeout-ms"},
	    {"grace_s", read_number, "dns-grace"},
	    {"cache_kib", read_number, "dns-cache-size"},
	    {"domains", read_domains, NULL},
	    {"blocked_domains", load_blocked, "domain="},
	    {"blocked_suffixes", load_blocked, "suffix="},
	};

	(void)key;
	(void)load_map(l, keys, COUNT(keys), ctx, NULL);
}

/* ---- rate_limiter ---- */

enum bucket_value {
	BUCKET_SIZE,
	BUCKET_REFILL,
	BUCKET_BURST,
};

static void read_bucket_value(struct loading *l, enum bucket_value value, struct limit_config *c)
{
	uint64_t v = 0;

	switch (value) {
	case BUCKET_SIZE:
		(void)load_number(l, 1, LIMIT_SIZE_MAX, &c->size);
		break;
	case BUCKET_REFILL:
		if (load_number(l, 1, LIMIT_MS_MAX, &v))
			c->refill_ns = v * NS_PER_MS;
		break;
	case BUCKET_BURST:
		if (l->token.kind != CONFIG_NULL)
			(void)load_number(l, 0, LIMIT_SIZE_MAX, &c->burst);
		break;
	}
}

static void read_size(struct loading *l, const struct load_key *key, void *ctx)
{
	(void)key;
	read_bucket_value(l, BUCKET_SIZE, ctx);
}

static void read_refill(struct loading *l, const struct load_key *key, void *ctx)
{
	(void)key;
	read_bucket_value(l, BUCKET_REFILL, ctx);
}

static void read_burst(struct loading *l, const struct load_key *key, void *ctx)
{
	(void)key;
	read_bucket_value(l, BUCKET_BURST, ctx);
}

/* null, or a bucket. */
static void read_bucket(struct loading *l, struct limit_config *c)
{
	static const struct load_key keys[] = {
	    {"size", read_size, NULL},
	    {"refill_time_ms", read_refill, NULL},
	    {"one_time_burst", read_burst, NULL},
	};
	struct config_token first = l->token;
	uint32_t errors = l->errors;
	uint64_t seen = 0;

	if (first.kind == CONFIG_NULL)
		return;
	if (load_map(l, keys, COUNT(keys), c, &seen) && l->errors == errors && (seen & 3) != 3)
		load_refuse(l, first.place, first.width,
		    "a bucket has a size and a refill_time_ms: write both");
}

static void read_bytes(struct loading *l, const struct load_key *key, void *ctx)
{
	enum shape_direction *direction = ctx;

	(void)key;
	read_bucket(l, &l->config->settings.engine.shape.bytes[*direction]);
}

static void read_frames(struct loading *l, const struct load_key *key, void *ctx)
{
	enum shape_direction *direction = ctx;

	(void)key;
	read_bucket(l, &l->config->settings.engine.shape.frames[*direction]);
}

/* null, or buckets of one direction, at least one. */
static void read_limiter(struct loading *l, enum shape_direction direction)
{
	static const struct load_key keys[] = {
	    {"bandwidth", read_bytes, NULL}, {"ops", read_frames, NULL}};
	const struct shape_config *c = &l->config->settings.engine.shape;
	struct config_token first = l->token;
	uint32_t errors = l->errors;

	if (first.kind == CONFIG_NULL)
		return;
	if (load_map(l, keys, COUNT(keys), &direction, NULL) && l->errors == errors &&
	    c->bytes[direction].size == 0 && c->frames[direction].size == 0)
		load_refuse(l, first.place, first.width,
		    "a limiter that limits nothing: write bandwidth, ops or both");
}

static void read_egress(struct loading *l, const struct load_key *key, void *ctx)
{
	(void)key;
	(void)ctx;
	read_limiter(l, SHAPE_EGRESS);
}

static void read_ingress(struct loading *l, const struct load_key *key, void *ctx)
{
	(void)key;
	(void)ctx;
	read_limiter(l, SHAPE_INGRESS);
}

static bool limits_something(const struct shape_config *c)
{
	for (int d = 0; d < SHAPE_DIRECTION_COUNT; d++)
		if (c->bytes[d].size > 0 || c->frames[d].size > 0)
			return true;
	return false;
}

/* What limits nothing was not meant so: it is refused (R4). */
static void read_rate_limiter(struct loading *l, const struct load_key *key, void *ctx)
{
	static const struct load_key keys[] = {
	    {"egress", read_egress, NULL}, {"ingress", read_ingress, NULL}};
	struct config_token first = l->token;
	uint32_t errors = l->errors;

	(void)key;
	if (first.kind == CONFIG_NULL)
		return;
	if (load_map(l, keys, COUNT(keys), ctx, NULL) && l->errors == errors &&
	    !limits_something(&l->config->settings.engine.shape))
		load_refuse(l, first.place, first.width,
		    "a limiter that limits nothing: write egress, ingress or both");
}

/* ---- the rest ---- */

static void read_limits(struct loading *l, const struct load_key *key, void *ctx)
{
	static const struct load_key keys[] = {
	    {"max_udp_flows", read_number, "max-udp-flows"},
	    {"tcp_keepalive_s", read_number, "tcp-keepalive"},
	    {"tcp_idle_s", read_number, "tcp-idle"},
	    {"udp_idle_s", read_number, "udp-idle"},
	};

	(void)key;
	(void)load_map(l, keys, COUNT(keys), ctx, NULL);
}

static void read_enabled(struct loading *l, const struct load_key *key, void *ctx)
{
	(void)key;
	(void)ctx;
	(void)load_bool(l, &l->config->is_enabled);
}

const struct load_key load_network_keys[] = {
    {"enabled", read_enabled, NULL},
    {"interface", read_interface, NULL},
    {"policy", load_policy, NULL},
    {"dns", read_dns, NULL},
    {"max_connections", read_number, "max-connections"},
    {"limits", read_limits, NULL},
    {"ports", load_ports, NULL},
    {"tls", load_tls, NULL},
    {"secrets", load_secrets, NULL},
    {"rate_limiter", read_rate_limiter, NULL},
    {"trust_host_cas", load_only_false, "this version gives no certificates to the guest"},
    {"strict", load_only_false, "this version has no strict mode"},
    {"outbound_proxy", load_only_null, "this version dials through no proxy"},
};
const size_t load_network_key_count = COUNT(load_network_keys);
