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

static int open_one(struct published *p, const struct publish_options *o, uint32_t keepalive_s)
{
	size_t i = p->count;
	int err;

	p->specs[i] = o->specs[i];
	p->specs[i].source = o->source;
	p->specs[i].has_proxy_header = o->has_proxy_header && o->specs[i].proto == POLICY_TCP;
	err = host_listen(&p->specs[i], keepalive_s, &p->fds[i]);
	if (err)
		return complain(
		    "--publish %s is not possible: %s", o->texts[i], host_listen_reason(err));
	p->count++;
	tell(&o->specs[i], &p->specs[i]);
	return 0;
}

int published_open(struct published *p, const struct publish_options *o, uint32_t keepalive_s)
{
	int result = 0;

	*p = (struct published){.count = 0};
	if (o->count == 0)
		return 0;
	p->specs = calloc(o->count, sizeof(*p->specs));
	p->fds = calloc(o->count, sizeof(*p->fds));
	if (p->specs == NULL || p->fds == NULL)
		return complain("out of memory");
	for (size_t i = 0; i < o->count && result == 0; i++)
		result = open_one(p, o, keepalive_s);
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
