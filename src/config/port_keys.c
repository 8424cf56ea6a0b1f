/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key ports: which ports of the host lead to the guest, as --publish says on a command line.
 *
 * Refused: one without both ports, names of hosts, multicast, http with UDP or at an address that others can reach,
 * the same port of the host twice. Tests: unit/test_config.c (golden/config), R9.
 */
#include <stdlib.h>
#include <string.h>

#include "config/load.h"
#include "policy/addr_class.h"

#define COUNT(keys) (sizeof(keys) / sizeof((keys)[0]))

#define SEEN_HOST_PORT  1U
#define SEEN_GUEST_PORT 2U

/* Places of what is judged when all keys are there. */
struct port_reading {
	struct publish_spec spec;
	struct config_token http;
};

static void read_host_port(struct loading *l, const struct load_key *key, void *ctx)
{
	struct port_reading *p = ctx;
	uint64_t value;

	(void)key;
	if (load_number(l, 0, UINT16_MAX, &value))
		p->spec.host.port = (uint16_t)value;
}

static void read_guest_port(struct loading *l, const struct load_key *key, void *ctx)
{
	struct port_reading *p = ctx;
	uint64_t value;

	(void)key;
	if (load_number(l, 1, UINT16_MAX, &value))
		p->spec.guest_port = (uint16_t)value;
}

/* R9: old documents write a capital. */
static void read_protocol(struct loading *l, const struct load_key *key, void *ctx)
{
	static const char *const words[] = {"tcp", "udp"};
	struct port_reading *p = ctx;
	int word;

	(void)key;
	if (l->token.kind == CONFIG_TEXT &&
	    (strcmp(l->token.text, "Tcp") == 0 || strcmp(l->token.text, "Udp") == 0))
		word = l->token.text[0] == 'U';
	else
		word = load_word(l, words, COUNT(words));
	if (word >= 0)
		p->spec.proto = word == 0 ? POLICY_TCP : POLICY_UDP;
}

static void read_bind(struct loading *l, const struct load_key *key, void *ctx)
{
	struct port_reading *p = ctx;

	(void)key;
	if (!load_text(l))
		return;
	if (ip_addr_parse(l->token.text, &p->spec.host.addr))
		load_refuse_value(l,
		    "an address of the host must stand here, as \"127.0.0.1\", or \"0.0.0.0\" "
		    "for all of IPv4");
	else if (ip_addr_is_multicast(&p->spec.host.addr))
		load_refuse_value(
		    l, "a multicast address, at which nobody can be reached: write another one");
}

static void read_http(struct loading *l, const struct load_key *key, void *ctx)
{
	struct port_reading *p = ctx;

	(void)key;
	p->http = l->token;
	(void)load_bool(l, &p->spec.checks_http);
}

/* Port 0 is another one each time. */
static bool is_published(const struct config *c, const struct publish_spec *s)
{
	for (size_t i = 0; i < c->port_count; i++)
		if (s->host.port != 0 && c->ports[i].proto == s->proto &&
		    c->ports[i].host.port == s->host.port &&
		    ip_addr_eq(&c->ports[i].host.addr, &s->host.addr))
			return true;
	return false;
}

/* What its keys say together. */
static bool is_good(struct loading *l, const struct config_token *first,
    const struct port_reading *p, uint64_t seen)
{
	const uint64_t needed = SEEN_HOST_PORT | SEEN_GUEST_PORT;
	uint32_t errors = l->errors;

	if ((seen & needed) != needed)
		load_refuse(l, first->place, first->width,
		    "an entry has a host_port and a guest_port: write both");
	else if (p->spec.checks_http && p->spec.proto == POLICY_UDP)
		load_refuse(l, p->http.place, p->http.width,
		    "http for a port of UDP: remove it, or the protocol");
	else if (p->spec.checks_http && addr_class_own(&p->spec.host.addr) != ADDR_LOOPBACK)
		load_refuse(l, p->http.place, p->http.width,
		    "http for an address that others can reach, who have other names for it: "
		    "remove it, or host_bind");
	else if (is_published(l->config, &p->spec))
		load_refuse(l, first->place, first->width,
		    "this port of the host is published twice: remove one");
	else if (l->config->port_count == PUBLISH_MAX)
		load_refuse(l, first->place, first->width,
		    "one too many: at most %d ports can be published", PUBLISH_MAX);
	return l->errors == errors;
}

static void read_port(struct loading *l, void *ctx)
{
	static const struct load_key keys[] = {
	    {"host_port", read_host_port, NULL},
	    {"guest_port", read_guest_port, NULL},
	    {"protocol", read_protocol, NULL},
	    {"host_bind", read_bind, NULL},
	    {"http", read_http, NULL},
	};
	struct port_reading p = {
	    .spec = {.proto = POLICY_TCP, .host.addr = ip_addr_v4(0x7f000001)}};
	struct config_token first = l->token;
	struct config *c = l->config;
	uint32_t errors = l->errors;
	struct publish_spec *ports;
	uint64_t seen;

	(void)ctx;
	if (!load_map(l, keys, COUNT(keys), &p, &seen) || l->errors > errors ||
	    !is_good(l, &first, &p, seen))
		return;
	ports = reallocarray(c->ports, c->port_count + 1, sizeof(*ports));
	if (!ports) {
		load_fail(l);
		return;
	}
	c->ports = ports;
	c->ports[c->port_count++] = p.spec;
}

void load_ports(struct loading *l, const struct load_key *key, void *ctx)
{
	(void)key;
	(void)load_list(l, read_port, ctx);
}
