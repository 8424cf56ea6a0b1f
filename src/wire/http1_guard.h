/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of HTTP/1 (RFC 9112) on their way to a server on loopback, of which only those pass that were meant for it:
 * a page of another site in a browser of the same machine can send requests there too (threats.md I3), by a name
 * of its own that it has let point to 127.0.0.1, or across sites. The browser tells: in Host, in Origin, in Sec-Fetch-Site.
 *
 * Passes: Host is localhost, a name under it, 127.0.0.0/8 or [::1]; Origin, if there is one, is http or https of such a
 * host; and what another site has caused is at most a navigation. Every request of a connection is looked at, whatever
 * lies between; behind one that asks to upgrade everything passes.
 *
 * Refused besides: what is not HTTP/1 (HTTP/2, TLS), heads of more than 16 KiB, absolute targets and CONNECT, and all that
 * two readers could understand differently: bare CR or LF, folded lines, blanks in front of a colon, a second Host, Content-
 * Length twice or beside Transfer-Encoding, codings but chunked.
 *
 * Terminates: each turn of the loop takes bytes, changes from a state that took none, or returns.
 */
#ifndef SLUICE_WIRE_HTTP1_GUARD_H
#define SLUICE_WIRE_HTTP1_GUARD_H

#include <stddef.h>
#include <stdint.h>

enum {
	HTTP1_GUARD_HEAD_MAX = 16384, /* bytes of a head, and what must be shown at once */
};

#define HTTP1_GUARD_ALL INT64_MAX /* everything passes from now on */

enum http1_guard_state {
	HTTP1_GUARD_HEAD,
	HTTP1_GUARD_BODY,       /* left bytes */
	HTTP1_GUARD_CHUNK_SIZE, /* a line */
	HTTP1_GUARD_CHUNK,      /* left bytes and CRLF */
	HTTP1_GUARD_TRAILER,    /* lines up to an empty one */
	HTTP1_GUARD_OPAQUE,
};

/* Begins as all zero. */
struct http1_guard {
	enum http1_guard_state state;
	uint64_t left; /* of a body or chunk, bytes */
};

/* Shows what comes next, from the first byte that has not passed. How many bytes pass: fewer than len where a head is not
 * complete (it is shown again, with what follows), more than len where a body goes on. -EACCES: meant for another host,
 * or sent by another site; -EBADMSG: not HTTP/1, or ambiguous; -EMSGSIZE: too long a head. */
int64_t http1_guard_pass(struct http1_guard *g, const uint8_t *bytes, size_t len);

#endif
