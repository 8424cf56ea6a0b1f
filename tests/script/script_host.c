/* SPDX-License-Identifier: Apache-2.0 */
/* Lines about the host and the remote side of TCP connections. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "script.h"

static const struct {
	const char *name;
	int error;
} errors[] = {
    {"refused", ECONNREFUSED},
    {"unreachable", EHOSTUNREACH},
    {"ENETUNREACH", ENETUNREACH},
    {"EHOSTUNREACH", EHOSTUNREACH},
    {"ETIMEDOUT", ETIMEDOUT},
    {"EACCES", EACCES},
    {"EINVAL", EINVAL},
    {"EMFILE", EMFILE},
    {"ENOMEM", ENOMEM},
    {"EADDRNOTAVAIL", EADDRNOTAVAIL},
    {"ECONNRESET", ECONNRESET},
    {"EPIPE", EPIPE},
};

int script_errno(const char *name)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (strcmp(errors[i].name, name) == 0)
			return errors[i].error;
	return 0;
}

/* "connect ADDRESS:PORT -> ok|silent|ERROR": the engine has dialed, and this is what comes of it. */
static bool on_connect(struct script *s, char *args)
{
	struct sim_host *h = &s->world->host;
	char *address = script_word(&args);
	char *arrow = script_word(&args);
	char *result = script_word(&args);
	struct endpoint want;
	struct sim_sock *k;
	char text[ENDPOINT_TEXT_MAX];

	if (!address || !arrow || !result || strcmp(arrow, "->") != 0)
		return script_fail(s, "'host: connect ADDRESS:PORT -> RESULT'");
	if (!script_endpoint(s, address, &want))
		return false;
	if (s->socks_claimed == h->count)
		return script_fail(s, "expected a connect, got none");
	k = h->socks[s->socks_claimed++];
	if (!ip_addr_eq(&k->to.addr, &want.addr) || k->to.port != want.port)
		return script_fail(s, "got a connect to %s", endpoint_format(&k->to, text));
	s->flow->sock = k;
	if (strcmp(result, "ok") == 0) {
		sim_peer_accept(k);
	} else if (strcmp(result, "silent") != 0) {
		if (script_errno(result) == 0)
			return script_fail(s, "'%s' is no result of connecting", result);
		sim_peer_fail(k, script_errno(result));
	}
	return true;
}

/* "next ERROR": the next connect() fails at once. */
static bool on_next(struct script *s, char *args)
{
	char *word = script_word(&args);

	if (!word || script_errno(word) == 0)
		return script_fail(s, "'host: next ERROR'");
	s->next_remote.answer = SIM_ANSWER_ERROR;
	s->next_remote.error = script_errno(word);
	s->next_remote.is_sync = true;
	return true;
}

static bool number_of(const struct script *s, const char *what, char **args, uint64_t *ret_value)
{
	char *word = script_word(args);

	return word ? script_number(s, word, ret_value)
		    : script_fail(s, "no number behind 'host: %s'", what);
}

/* What the remote side does. */
static bool act(struct script *s, const char *what, char *args)
{
	struct sim_sock *k = s->flow->sock;
	uint64_t n;

	if (strcmp(what, "fin") == 0) {
		sim_peer_fin(k);
	} else if (strcmp(what, "rst") == 0) {
		sim_peer_reset(k);
	} else if (strcmp(what, "error") == 0) {
		char *word = script_word(&args);

		if (!word || script_errno(word) == 0)
			return script_fail(s, "'host: error ERROR'");
		sim_peer_fail(k, script_errno(word));
	} else if (!number_of(s, what, &args, &n)) {
		return false;
	} else if (strcmp(what, "answers-and-resets") == 0) {
		sim_peer_accept(k);
		(void)sim_peer_write(k, n);
		sim_peer_reset(k);
	} else if (strcmp(what, "send") == 0) {
		if (sim_peer_write(k, n) != n)
			return script_fail(
			    s, "the host's buffer does not take %llu bytes", (unsigned long long)n);
	} else if (strcmp(what, "read") == 0) {
		if (sim_peer_readable(k) < n)
			return script_fail(s, "expected at least %llu bytes, got %zu",
			    (unsigned long long)n, sim_peer_readable(k));
		sim_peer_read(k, n);
	} else if (strcmp(what, "recv") == 0) {
		if (sim_peer_readable(k) != n)
			return script_fail(s, "expected %llu bytes, got %zu", (unsigned long long)n,
			    sim_peer_readable(k));
		sim_peer_read(k, n);
	} else if (strcmp(what, "sndbuf") == 0) {
		k->remote.sndbuf = (uint32_t)n;
	} else if (strcmp(what, "urgent") == 0) {
		k->remote.urgent_at = n;
	} else {
		return script_fail(s, "'host: %s'", what);
	}
	return true;
}

/* What the engine has done to the socket. True if what is one of these. */
static bool check(struct script *s, const char *what, bool *ret_is_right)
{
	const struct sim_sock *k = s->flow->sock;

	if (strcmp(what, "eof") == 0) {
		*ret_is_right = sim_peer_is_at_eof(k) ||
				script_fail(s, "the remote side has not been told of the end");
	} else if (strcmp(what, "no-eof") == 0) {
		*ret_is_right =
		    !k->was_shut || script_fail(s, "the remote side was told of the end");
	} else if (strcmp(what, "open") == 0) {
		*ret_is_right = !k->is_closed || script_fail(s, "the socket was closed");
	} else if (strcmp(what, "closed") == 0) {
		*ret_is_right = k->end == SIM_END_FIN ||
				script_fail(s, "%s",
				    k->end == SIM_END_RESET ? "the socket was reset"
							    : "the socket is still open");
	} else if (strcmp(what, "reset") == 0) {
		*ret_is_right = k->end == SIM_END_RESET ||
				script_fail(s, "%s",
				    k->end == SIM_END_FIN ? "the socket was closed in order"
							  : "the socket is still open");
	} else {
		return false;
	}
	return true;
}

bool script_host(struct script *s, char *args)
{
	char first[SCRIPT_NAME_MAX] = "";
	char *at = args;
	char *what;
	bool is_right;

	if (sscanf(args, "%15s", first) != 1)
		return script_fail(s, "'host:' and nothing");
	if (script_is_host_other(first))
		return script_host_other(s, args);
	what = script_word(&at);
	if (strcmp(what, "connect") == 0)
		return on_connect(s, at);
	if (strcmp(what, "next") == 0)
		return on_next(s, at);
	if (!s->flow->sock)
		return script_fail(s, "flow %s has not been dialed", s->flow->name);
	if (check(s, what, &is_right))
		return is_right;
	if (s->flow->sock->is_closed && strcmp(what, "recv") != 0)
		return script_fail(s, "the socket is closed");
	return act(s, what, at);
}
