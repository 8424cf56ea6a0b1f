/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets of published ports; see published.h. */
#include "app/published.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/complain.h"
#include "host/listen.h"

static bool is_loopback(const struct ip_addr *a)
{
	return addr_class_own(a) == ADDR_LOOPBACK;
}

static void tell(const struct publish_spec *wanted, const struct publish_spec *s)
{
	const char *proto = s->proto == POLICY_UDP ? "UDP" : "TCP";
	char host[ENDPOINT_TEXT_MAX];

	(void)endpoint_format(&s->host, host);
	/* Who lets it be picked must be told, whatever else is told. */
	if (wanted->host.port == 0)
		complain("%s %s leads to port %u of the guest", proto, host, s->guest_port);
	else
		note("%s %s leads to port %u of the guest", proto, host, s->guest_port);
	if (!is_loopback(&s->host.addr))
		complain("warning: %s %s can be reached from other machines", proto, host);
}

static int open_one(
    struct published *p, const struct publish_options *o, size_t i, uint32_t keepalive_s)
{
	struct publish_spec *s = &p->specs[p->count];
	char text[PUBLISH_TEXT_MAX];
	int err;

	*s = o->specs[i];
	s->source = o->source;
	s->has_proxy_header = o->has_proxy_header && s->proto == POLICY_TCP;
	err = host_listen(s, keepalive_s, &p->fds[p->count]);
	if (err && o->texts)
		return complain(
		    "--publish %s is not possible: %s", o->texts[i], host_listen_reason(err));
	if (err)
		return complain("port %s of the document cannot be published: %s",
		    publish_spec_format(&o->specs[i], text), host_listen_reason(err));
	p->count++;
	tell(&o->specs[i], s);
	return 0;
}

/* Makes room. 0, or -1 with one sentence printed. */
static int grow(struct published *p, size_t count)
{
	struct publish_spec *specs = reallocarray(p->specs, p->count + count, sizeof(*specs));
	int *fds;

	if (specs != NULL)
		p->specs = specs;
	fds = reallocarray(p->fds, p->count + count, sizeof(*fds));
	if (fds != NULL)
		p->fds = fds;
	return specs == NULL || fds == NULL ? complain("out of memory") : 0;
}

int published_add(struct published *p, const struct publish_options *o, uint32_t keepalive_s)
{
	int result;

	if (o->count == 0)
		return 0;
	if (o->count > PUBLISH_MAX - p->count)
		return complain(
		    "more than %d ports are published, with those of the document; leave some away",
		    PUBLISH_MAX);
	result = grow(p, o->count);
	for (size_t i = 0; i < o->count && result == 0; i++)
		result = open_one(p, o, i, keepalive_s);
	return result;
}

void published_close(struct published *p)
{
	for (size_t i = 0; i < p->count; i++) {
		if (p->fds[i] >= 0)
			close(p->fds[i]);
		p->fds[i] = -1;
	}
}

void published_fini(struct published *p)
{
	published_close(p);
	free(p->specs);
	free(p->fds);
	*p = (struct published){.count = 0};
}
