/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published ports of an engine in the process of a VMM: read with the other options, bound before the engine is
 * made, then the engine's own; or bound and given to it while it runs.
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

static int bind_port(const struct sluice_engine *e, struct publish_spec *spec, const char *what,
    int *ret_fd, struct sluice_error *error)
{
	uint32_t keepalive_s = (uint32_t)(e->engine_config.tcp_keepalive_ns / 1000000000);
	char text[PUBLISH_TEXT_MAX];
	int err;

	(void)publish_spec_format(spec, text);
	spec->source = e->published.source;
	spec->has_proxy_header = e->published.has_proxy_header && spec->proto == POLICY_TCP;
	err = host_listen(spec, keepalive_s, ret_fd);
	return err ? lib_refuse(error, err, "%s %s is not possible: %s", what, text,
			 host_listen_reason(err))
		   : 0;
}

int lib_publish_open(struct sluice_engine *e, struct sluice_error *error)
{
	int err = 0;

	for (size_t i = 0; i < e->published.count && !err; i++) {
		struct lib_published_port *port = &e->published.ports[i];

		err = bind_port(e, &port->spec,
		    port->is_document ? "document, ports:" : "option publish", &port->fd, error);
	}
	return err;
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

/* ---- while the engine runs ---- */

int sluice_publish_add(struct sluice_engine *e, const char *spec, uint64_t *ret_port,
    uint16_t *ret_host_port, struct sluice_error *error)
{
	struct publish_spec s;
	char text[PUBLISH_ERROR_MAX];
	struct pool_ref ref;
	int fd = -1;
	int err;

	if (!e->turn)
		return lib_refuse(error, -ENOTSUP,
		    "ports cannot be published while an engine runs in a thread of its own");
	if (publish_spec_parse(spec, &s, text))
		return lib_refuse(error, -EINVAL, "port %.100s %s", spec, text);
	err = bind_port(e, &s, "port", &fd, error);
	if (err)
		return err;
	err = engine_publish_add(e->engine, &s, fd, &ref);
	if (err) {
		(void)close(fd);
		return lib_refuse(error, err, "port %.100s is not possible: %s", spec,
		    err == -ENOSPC ? "as many are published as can be" : strerrordesc_np(-err));
	}
	*ret_port = (uint64_t)ref.gen << 32 | ref.index;
	if (ret_host_port)
		*ret_host_port = s.host.port;
	return 0;
}

int sluice_publish_remove(struct sluice_engine *e, uint64_t port)
{
	const struct pool_ref ref = {.index = (uint32_t)port, .gen = (uint32_t)(port >> 32)};

	return e->turn ? engine_publish_remove(e->engine, ref) : -ENOTSUP;
}
