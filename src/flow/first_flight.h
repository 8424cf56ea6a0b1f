/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest says first on a connection that rules by name may decide: the host that it names (TLS, HTTP/1), or that it
 * names none. The bytes lie in the flow's spill meanwhile and are looked at once each, as they come.
 */
#ifndef SLUICE_FLOW_FIRST_FLIGHT_H
#define SLUICE_FLOW_FIRST_FLIGHT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/chain.h"
#include "base/name.h"
#include "wire/http1_head.h"
#include "wire/tls_hello.h"

/* What a first flight has been found to be; it does not change any more. */
struct flight_claim {
	enum hello_result result; /* not HELLO_MORE */
	bool is_tls;              /* it is TLS, or QUIC */
	bool is_connect;          /* a request to a proxy; name is where it leads */
	struct name name;         /* of HELLO_NAME; of HELLO_ECH the readable one, or of length 0 */
};

enum flight_kind {
	FLIGHT_NONE, /* nothing has come yet */
	FLIGHT_TLS,
	FLIGHT_HTTP1, /* or any other text, until its first line has ended */
};

/* Zeroed: before the first byte. */
struct first_flight {
	enum flight_kind kind;
	size_t seen; /* bytes of the chain that were looked at */
	struct tls_frames tls;
	struct http1_lines http;
};

/* Looks at what the chain has that was not seen yet. False: it cannot be told yet. is_final: there will be no more, so that
 * it can: what is incomplete of TLS, or of a request, is HELLO_BAD. */
bool first_flight_look(
    struct first_flight *f, const struct chain *c, bool is_final, struct flight_claim *ret_claim);

#endif
