/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration: a document and the options of `sluice run`, with the same meaning, the same order and the same
 * refusals as there: rules of options stand before those of the document, other options replace what it says.
 *
 * What is refused: names that are no options, values that sluice run would refuse, a document that sluice check
 * would refuse, or that wants no network, fields of a newer version that are not zero.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "config/config.h"
#include "engine/settings.h"
#include "host/facts.h"
#include "lib/lib_internal.h"

static const char *const option_names[] = {
    "net",
    "net-rule",
    "net-default-egress",
    "net-default-ingress",
    "publish",
    "publish-source",
    "publish-proxy",
    "slot",
    "ipv4-pool",
    "ipv6-pool",
    "ipv4",
    "ipv6",
    "mac",
    "mtu",
    "max-connections",
    "tcp-keepalive",
    "tcp-idle",
    "max-udp-flows",
    "udp-idle",
    "net-egress-bandwidth",
    "net-egress-bandwidth-burst",
    "net-egress-ops",
    "net-egress-ops-burst",
    "net-ingress-bandwidth",
    "net-ingress-bandwidth-burst",
    "net-ingress-ops",
    "net-ingress-ops-burst",
    "dns-nameserver",
    "dns-query-timeout-ms",
    "dns-domain",
    "dns-grace",
    "dns-cache-size",
    "dns-rebind-protection",
    NULL,
};

const char *const *sluice_options(void)
{
	return option_names;
}

/* A value of the caller's could colour a terminal, or fake a second line. */
static void make_printable(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

int lib_refuse(struct sluice_error *error, int code, const char *format, ...)
{
	va_list args;
	size_t len;

	if (!error)
		return code;
	error->code = code;
	va_start(args, format);
	(void)vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	/* Where it is met says little; what to do is always the same. */
	len = strlen(error->text);
	if (code == -EMFILE)
		(void)snprintf(error->text + len, sizeof(error->text) - len,
		    "; raise the limit of open files (RLIMIT_NOFILE)");
	make_printable(error->text);
	return code;
}

/* Larger than any structure of ours will be: what lies in a size that nobody has set is seldom less. */
#define STRUCTURE_MAX 4096U

int lib_copy_in(void *own, size_t own_size, size_t min_size, const void *callers)
{
	const uint8_t *bytes = callers;
	size_t size;

	memcpy(&size, callers, sizeof(size));
	if (size < min_size || size > STRUCTURE_MAX)
		return -EINVAL;
	for (size_t i = own_size; i < size; i++)
		if (bytes[i] != 0)
			return -E2BIG;
	memset(own, 0, own_size);
	memcpy(own, callers, size < own_size ? size : own_size);
	return 0;
}

int lib_copy_out(void *callers, const void *own, size_t own_size, size_t min_size)
{
	uint8_t *to = callers;
	size_t size;
	size_t known;

	memcpy(&size, callers, sizeof(size));
	if (size < min_size || size > STRUCTURE_MAX)
		return -EINVAL;
	known = size < own_size ? size : own_size;
	memcpy(to + sizeof(size), (const uint8_t *)own + sizeof(size), known - sizeof(size));
	memset(to + known, 0, size - known);
	return 0;
}

/* What is being read. */
struct reading {
	struct policy_builder *builder;
	struct settings settings;
	struct lib_published *published;
	struct sluice_error *error;
	bool has_resolver; /* an option has named one */
	bool has_domain;   /* an option has named servers of one */
};

static int refuse_memory(struct sluice_error *error)
{
	return lib_refuse(error, -ENOMEM, "there is no memory for the rules");
}

/* The result of the builder. */
static int builder_result(
    struct reading *r, const struct sluice_option *o, int err, const struct policy_error *why)
{
	if (err == -ENOMEM)
		return refuse_memory(r->error);
	if (err && why->column > 0)
		return lib_refuse(r->error, err, "option %s '%.100s', column %zu: %s", o->name,
		    o->value, why->column, why->text);
	if (err)
		return lib_refuse(
		    r->error, err, "option %s '%.100s': %s", o->name, o->value, why->text);
	return 0;
}

static int set_default(
    struct reading *r, const struct sluice_option *o, enum policy_direction direction)
{
	bool is_allow = strcmp(o->value, "allow") == 0;

	if (!is_allow && strcmp(o->value, "deny") != 0)
		return lib_refuse(r->error, -EINVAL,
		    "option %s %.100s is not possible; use allow or deny", o->name, o->value);
	policy_builder_set_default(r->builder, direction, is_allow ? POLICY_ALLOW : POLICY_DENY);
	return 0;
}

static int read_option(struct reading *r, const struct sluice_option *o)
{
	char text[SETTINGS_ERROR_MAX];
	struct policy_error why;
	int err;

	if (!o->name || !o->value)
		return lib_refuse(r->error, -EINVAL, "an option has no name or no value");
	if (strcmp(o->name, "net") == 0)
		return builder_result(
		    r, o, policy_builder_add_profile(r->builder, o->value, &why), &why);
	if (strcmp(o->name, "net-rule") == 0)
		return builder_result(
		    r, o, policy_builder_add_rules(r->builder, o->value, &why), &why);
	if (strcmp(o->name, "net-default-egress") == 0)
		return set_default(r, o, POLICY_EGRESS);
	if (strcmp(o->name, "net-default-ingress") == 0)
		return set_default(r, o, POLICY_INGRESS);
	/* The first one begins a list of its own. */
	if (strcmp(o->name, "dns-nameserver") == 0 && !r->has_resolver) {
		r->has_resolver = true;
		r->settings.engine.resolver_count = 0;
	}
	if (strcmp(o->name, "dns-domain") == 0 && !r->has_domain) {
		r->has_domain = true;
		memset(r->settings.engine.dns_routes, 0, sizeof(r->settings.engine.dns_routes));
		r->settings.engine.dns_route_count = 0;
	}
	if (strcmp(o->name, "publish") == 0)
		return lib_publish_option(r->published, o, r->error);
	if (strcmp(o->name, "publish-source") == 0)
		return lib_publish_source(r->published, o, r->error);
	if (strcmp(o->name, "publish-proxy") == 0)
		return lib_publish_proxy(r->published, o, r->error);
	err = settings_set(&r->settings, o->name, o->value, text);
	if (err == -ENOENT)
		return lib_refuse(r->error, -EINVAL,
		    "there is no option %.100s; sluice_options() lists them", o->name);
	return err ? lib_refuse(r->error, err, "%s", text) : 0;
}

/* The first mistake of the document. */
static void on_message(void *ctx, const struct config_message *m)
{
	struct reading *r = ctx;

	if (!m->is_warning && r->error && r->error->text[0] == '\0')
		(void)lib_refuse(r->error, -EINVAL, "document, line %u, column %u: %s",
		    m->place.line, m->place.column, m->text);
}

static int read_document(struct reading *r, const char *text)
{
	const struct config_text document = {.name = "document", .text = text, .len = strlen(text)};
	const struct config_sink sink = {.tell = on_message, .ctx = r};
	struct config c = config_init(r->builder);
	int err;

	if (r->error)
		r->error->text[0] = '\0';
	err = config_load(&c, &document, &sink);
	if (err == -ENOMEM)
		err = refuse_memory(r->error);
	else if (!err && !c.is_enabled)
		err = lib_refuse(r->error, -EINVAL,
		    "the document says that there is to be no network; then there is no engine");
	if (!err)
		err = lib_publish_document(r->published, c.ports, c.port_count, r->error);
	r->settings = c.settings;
	r->settings.addressing.name_prefix = "option ";
	config_fini(&c);
	return err;
}

/* Rules of options come before those of the document, all else behind it. */
static bool is_rule(const struct sluice_option *o)
{
	return o->name && strcmp(o->name, "net-rule") == 0;
}

static int read_options(struct reading *r, const struct sluice_config *c)
{
	int err = 0;

	if ((c->flags & ~(SLUICE_OWN_THREAD | SLUICE_POST_RX)) != 0)
		return lib_refuse(r->error, -EINVAL, "flags %#x has bits of no meaning", c->flags);
	if (c->tx_frames > RING_FRAMES_MAX || c->rx_frames > RING_FRAMES_MAX)
		return lib_refuse(r->error, -EINVAL,
		    "a queue of %u frames is not possible; use at most %d",
		    c->tx_frames > RING_FRAMES_MAX ? c->tx_frames : c->rx_frames, RING_FRAMES_MAX);
	for (size_t i = 0; i < c->option_count && !err; i++)
		if (is_rule(&c->options[i]))
			err = read_option(r, &c->options[i]);
	if (!err && c->document)
		err = read_document(r, c->document);
	for (size_t i = 0; i < c->option_count && !err; i++)
		if (!is_rule(&c->options[i]))
			err = read_option(r, &c->options[i]);
	return err;
}

/* Addresses, resolvers and rules, with what the host has. */
static int combine(struct sluice_engine *e, struct reading *r)
{
	struct engine_config *c = &e->engine_config;
	char text[ADDRESSING_ERROR_MAX];
	char why[SETTINGS_ERROR_MAX];
	uint32_t skipped;
	int err = settings_check(&r->settings, why);

	if (err)
		return lib_refuse(r->error, err, "%s", why);

	*c = r->settings.engine;
	r->settings.addressing.has_route_v4 = host_has_route(AF_INET);
	r->settings.addressing.has_route_v6 = host_has_route(AF_INET6);
	err = addressing_derive(&r->settings.addressing, text, &c->netif);
	if (err)
		return lib_refuse(r->error, err, "%s", text);
	if (c->resolver_count == 0)
		c->resolver_count = host_resolvers(c->resolvers, ENGINE_RESOLVERS_MAX, &skipped);
	/* Before they are read, so that no change is missed. */
	e->addresses_fd = host_follow_open();
	err = e->addresses_fd < 0 ? e->addresses_fd : host_add_to_policy(r->builder, &c->netif);
	if (err && err != -ENOMEM)
		return lib_refuse(r->error, err, "the host's addresses cannot be listed: %s",
		    strerrordesc_np(-err));
	if (err || policy_builder_compile(r->builder, &e->policy))
		return refuse_memory(r->error);
	c->policy = e->policy;
	return 0;
}

int lib_configure(struct sluice_engine *e, struct sluice_error *error)
{
	struct reading r = {.builder = policy_builder_new(),
	    .settings = settings_default("option "),
	    .published = &e->published,
	    .error = error};
	struct siphash_key key;
	int err;

	if (!r.builder)
		return refuse_memory(error);
	e->builder = r.builder;
	if (getrandom(&key, sizeof(key), 0) != (ssize_t)sizeof(key))
		return lib_refuse(error, -EIO, "there are no random numbers");
	policy_builder_set_key(r.builder, &key);
	err = read_options(&r, &e->config);
	if (!err)
		err = combine(e, &r);
	if (!err)
		err = lib_publish_open(e, error);
	return err;
}
