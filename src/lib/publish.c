/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published ports of an engine in the process of a VMM: read with the other options, bound before the engine is
 * made, then the engine's own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/listen.h"
#include "lib/lib_internal.h"

/* Room for one more behind the others, or NULL with error. */
static struct lib_published_port *grow(struct lib_published *p, struct sluice_error *error)
{
	struct lib_published_port *ports = reallocarray(p->ports, p->count + 1, sizeof(*ports));

	if (!ports) {
		(void)lib_refuse(error, -ENOMEM, "there is no memory for the options");
		return NULL;
	}
	p->ports = ports;
	ports[p->count] = (struct lib_published_port){.fd = -1};
	return &ports[p->count];
}

int lib_publish_document(struct lib_published *p, const struct publish_spec *specs, size_t count,
    struct sluice_error *error)
{
	for (size_t i = 0; i < count; i++) {
		struct lib_published_port *port = grow(p, error);

		if (!port)
			return -ENOMEM;
		port->spec = specs[i];
		port->is_document = true;
		p->count++;
	}
	return 0;
}

int lib_publish_option(
    struct lib_published *p, const struct sluice_option *o, struct sluice_error *error)
{
	struct lib_published_port *port;
	char text[PUBLISH_ERROR_MAX];

	if (p->count == PUBLISH_MAX)
		return lib_refuse(error, -EINVAL,
		    "option publish %.100s is one too many; at most %d ports can be published",
		    o->value, PUBLISH_MAX);
	port = grow(p, error);
	if (!port)
		return -ENOMEM;
	if (publish_spec_parse(o->value, &port->spec, text))
		return lib_refuse(error, -EINVAL, "option publish %.100s %s", o->value, text);
	p->count++;
	return 0;
}

static int refuse_word(const struct sluice_option *o, const char *words, struct sluice_error *error)
{
	return lib_refuse(
	    error, -EINVAL, "option %s %.100s is not possible; use %s", o->name, o->value, words);
}

int lib_publish_source(
    struct lib_published *p, const struct sluice_option *o, struct sluice_error *error)
{
	if (strcmp(o->value, "client") != 0 && strcmp(o->value, "gateway") != 0)
		return refuse_word(o, "gateway or client", error);
	p->source =
	    strcmp(o->value, "client") == 0 ? PUBLISH_SOURCE_CLIENT : PUBLISH_SOURCE_GATEWAY;
	return 0;
}

int lib_publish_proxy(
    struct lib_published *p, const struct sluice_option *o, struct sluice_error *error)
{
	if (strcmp(o->value, "on") != 0 && strcmp(o->value, "off") != 0)
		return refuse_word(o, "on or off", error);
	p->has_proxy_header = strcmp(o->value, "on") == 0;
	return 0;
}

int lib_publish_open(struct sluice_engine *e, struct sluice_error *error)
{
	uint32_t keepalive_s = (uint32_t)(e->engine_config.tcp_keepalive_ns / 1000000000);

	for (size_t i = 0; i < e->published.count; i++) {
		struct lib_published_port *port = &e->published.ports[i];
		char text[PUBLISH_TEXT_MAX];
		int err;

		(void)publish_spec_format(&port->spec, text);
		port->spec.source = e->published.source;
		port->spec.has_proxy_header =
		    e->published.has_proxy_header && port->spec.proto == POLICY_TCP;
		err = host_listen(&port->spec, keepalive_s, &port->fd);
		if (err)
			return lib_refuse(error, err, "%s %s is not possible: %s",
			    port->is_document ? "document, ports:" : "option publish", text,
			    host_listen_reason(err));
	}
	return 0;
}

int lib_publish_start(struct sluice_engine *e)
{
	struct pool_ref ref;
	int err = 0;

	for (size_t i = 0; i < e->published.count && !err; i++) {
		struct lib_published_port *port = &e->published.ports[i];

		err = engine_publish_add(e->engine, &port->spec, port->fd, &ref);
		if (!err)
			port->fd = -1; /* the engine closes it */
	}
	return err;
}

void lib_publish_fini(struct lib_published *p)
{
	for (size_t i = 0; i < p->count; i++)
		if (p->ports[i].fd >= 0)
			(void)close(p->ports[i].fd);
	free(p->ports);
	*p = (struct lib_published){.count = 0};
}
