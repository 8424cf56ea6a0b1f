/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is published: a port of the host that leads to a port of the guest. Text and back; pure.
 */
#ifndef SLUICE_ENGINE_PUBLISH_SPEC_H
#define SLUICE_ENGINE_PUBLISH_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "policy/policy.h"

enum {
	PUBLISH_MAX = 1024, /* ports of one engine */
	PUBLISH_ERROR_MAX = 256,
	PUBLISH_TEXT_MAX = 80, /* longest text of a specification, with its NUL */
};

/* Whom the guest sees as its peer. */
enum publish_source {
	PUBLISH_SOURCE_GATEWAY,
	PUBLISH_SOURCE_CLIENT, /* the client itself, where its answers find back; else the gateway */
};

struct publish_spec {
	enum policy_proto proto; /* POLICY_TCP or POLICY_UDP */
	struct endpoint host;    /* where it is bound; port 0: one that the host picks */
	uint16_t guest_port;
	enum publish_source source;
	bool checks_http;      /* TCP: requests of other sites do not pass (wire/http1_guard.h) */
	bool has_proxy_header; /* TCP: the guest first gets a PROXY protocol header, version 2 */
};

/* Reads "[ADDRESS:]PORT:GUEST_PORT[/tcp|/udp|/http]", IPv6 addresses in brackets; without an address 127.0.0.1; /http,
 * which sets checks_http, with one of loopback only. 0, or -EINVAL
 * with what is wrong, a sentence without its subject and full stop, in error. */
__attribute__((warn_unused_result)) int publish_spec_parse(
    const char *text, struct publish_spec *ret_spec, char error[PUBLISH_ERROR_MAX]);

/* Writes the canonical text; returns out. */
char *publish_spec_format(const struct publish_spec *s, char out[PUBLISH_TEXT_MAX]);

#endif
