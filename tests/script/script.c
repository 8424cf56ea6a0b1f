/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs one script; see script.h and README.md. Exit status 0: everything was as the script says; 1: it was
 * not, or the script is wrong, which is said with file and line.
 */
#include "script.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"

void script_say(const struct script *s, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s:%d: %s\n  ", s->file, s->line, s->text);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	if (s->world)
		fprintf(stderr, "  at %.6f s, line before at %.6f s\n",
		    (double)(s->world->sim.now_ns - s->cfg.start_ns) / 1e9,
		    (double)(s->base_ns - s->cfg.start_ns) / 1e9);
}

char *script_word(char **at)
{
	char *word = *at + strspn(*at, " \t\n");
	size_t len = strcspn(word, " \t\n");

	if (len == 0)
		return NULL;
	*at = word + len;
	if (**at != '\0')
		*(*at)++ = '\0';
	return word;
}

bool script_number(const struct script *s, const char *word, uint64_t *ret_value)
{
	char *end;

	errno = 0;
	*ret_value = strtoull(word, &end, 0);
	if (errno != 0 || end == word || *end != '\0')
		return script_fail(s, "'%s' is no number", word);
	return true;
}

/* "ADDRESS:PORT" or "[ADDRESS]:PORT" */
bool script_endpoint(const struct script *s, char *word, struct endpoint *ret_endpoint)
{
	char *colon = strrchr(word, ':');
	uint64_t port;

	if (!colon)
		return script_fail(s, "'%s' has no port", word);
	*colon = '\0';
	if (word[0] == '[' && colon[-1] == ']') {
		colon[-1] = '\0';
		word++;
	}
	if (ip_addr_parse(word, &ret_endpoint->addr))
		return script_fail(s, "'%s' is no address", word);
	if (!script_number(s, colon + 1, &port))
		return false;
	ret_endpoint->port = (uint16_t)port;
	return true;
}

/* ---- the world ---- */

/* A remote side that does what the script says. */
static const struct sim_remote manual_remote = {
    .answer = SIM_ANSWER_SILENT,
    .is_manual = true,
    .from_seed = SCRIPT_GUEST_SEED,
    .app = {.seed = SCRIPT_REMOTE_SEED},
};

static bool find_remote(void *ctx, const struct endpoint *to, struct sim_remote *ret_remote)
{
	struct script *s = ((struct sim_world *)ctx)->ctx;

	(void)to;
	*ret_remote = s->next_remote;
	s->next_remote = manual_remote;
	return true;
}

static void on_datagram(void *ctx, struct sim_sock *sock, const struct sim_sent_datagram *d)
{
	struct script *s = ((struct sim_world *)ctx)->ctx;
	struct script_sent *sent = sim_alloc(sizeof(*sent));

	*sent = (struct script_sent){.sock = sock,
	    .to = d->to,
	    .len = d->len,
	    .gso_size = d->gso_size,
	    .seq = d->seq,
	    .has_df = d->has_df};
	*s->sent_end = sent;
	s->sent_end = &sent->next;
}

/* The guest takes frames at once, unless it is stalled. */
static void on_rx(void *ctx)
{
	struct script *s = ctx;
	struct sim_frame *f;

	while (!s->is_stalled && (f = sim_nic_take(&s->world->nic)) != NULL) {
		f->at_ns = s->world->sim.now_ns;
		sim_queue_put(&s->got, f);
	}
}

static void on_commit(void *ctx, const struct sim_frame *f)
{
	struct script *s = ctx;

	sim_watch_frame(s->world, f);
}

static void start(struct script *s)
{
	s->world = sim_alloc(sizeof(*s->world));
	sim_world_init(s->world, &s->cfg);
	s->world->policy.denied_port = s->denied_port;
	s->world->policy.denies_all = s->denies_all;
	s->world->nic.on_commit = on_commit;
	s->world->nic.on_rx = on_rx;
	s->world->nic.ctx = s;
	s->world->nic.on_tx_room = NULL;
	s->world->host.find = find_remote;
	s->world->host.on_datagram = on_datagram;
	s->world->ctx = s; /* of the host's functions: their own is the world */
	s->base_ns = s->cfg.start_ns;
}

bool script_settle(struct script *s)
{
	if (!sim_world_run(s->world, s->world->sim.now_ns))
		return script_fail(s, "%s", s->world->sim.failure);
	return true;
}

/* How much later than asked a timer of the engine may fire (base/wheel.h). */
static uint64_t late_ns(uint64_t span_ns)
{
	return span_ns / 7 + 200 * SIM_US;
}

struct sim_frame *script_next_frame(struct script *s, struct sim_packet *ret_packet)
{
	uint64_t from = s->base_ns + s->delay_ns;
	uint64_t to = from + s->slack_ns;
	struct sim_frame *f;

	while (s->got.count == 0) {
		uint64_t next = engine_next_ns(s->world->engine);
		uint64_t other = sim_next_ns(&s->world->sim);

		next = other < next ? other : next;
		if (!sim_world_run(s->world, next < to ? next : to)) {
			script_say(s, "%s", s->world->sim.failure);
			return NULL;
		}
		if (s->got.count == 0 && s->world->sim.now_ns >= to) {
			script_say(s, "expected a frame, got none");
			return NULL;
		}
		if (s->got.count == 0 && next > to)
			s->world->sim.now_ns = to;
	}
	f = sim_queue_take(&s->got);
	if (sim_parse(f->bytes, f->len, ret_packet)) {
		script_say(s, "a frame that cannot be read");
		free(f);
		return NULL;
	}
	if (f->at_ns < from) {
		char text[256];

		script_say(s, "frame came at +%.6f: %s", (double)(f->at_ns - s->base_ns) / 1e9,
		    sim_describe(ret_packet, text, sizeof(text)));
		free(f);
		return NULL;
	}
	return f;
}

bool script_expect_no_frame(struct script *s)
{
	struct sim_packet p;
	char text[256];

	if (s->got.count == 0)
		return true;
	(void)sim_parse(s->got.first->bytes, s->got.first->len, &p);
	return script_fail(s, "a frame that no line expects, at +%.6f: %s",
	    (double)(s->got.first->at_ns - s->base_ns) / 1e9, sim_describe(&p, text, sizeof(text)));
}

/* ---- lines that set the world up ---- */

static bool set_features(struct script *s, char *args)
{
	static const struct {
		const char *name;
		uint32_t feature;
	} features[] = {{"none", 0}, {"csum", NIC_F_CSUM}, {"tso4", NIC_F_TSO4},
	    {"tso6", NIC_F_TSO6}, {"uso", NIC_F_USO}};
	char *word;

	s->cfg.nic.features = 0;
	while ((word = script_word(&args)) != NULL) {
		size_t i = 0;

		while (i < 5 && strcmp(features[i].name, word) != 0)
			i++;
		if (i == 5)
			return script_fail(s, "'%s' is no feature", word);
		s->cfg.nic.features |= features[i].feature;
	}
	return true;
}

static bool set(struct script *s, char *args)
{
	char *name = script_word(&args);
	char *word;
	uint64_t v;

	if (!name)
		return script_fail(s, "'set' and nothing");
	if (s->world)
		return script_fail(s, "'set' behind the first line that is none");
	if (strcmp(name, "features") == 0)
		return set_features(s, args);
	word = script_word(&args);
	if (!word || !script_number(s, word, &v))
		return word ? false : script_fail(s, "no number behind 'set %s'", name);
	if (strcmp(name, "mtu") == 0)
		s->cfg.mtu = (uint16_t)v;
	else if (strcmp(name, "iss") == 0)
		s->flows[0].iss = (uint32_t)v;
	else if (strcmp(name, "keepalive") == 0)
		s->cfg.keepalive_ns = v > 0 ? v * SIM_S : SIM_NEVER;
	else if (strcmp(name, "idle") == 0)
		s->cfg.idle_ns = v * SIM_S;
	else if (strcmp(name, "tcp_limit") == 0)
		s->cfg.tcp_limit = (uint32_t)v;
	else if (strcmp(name, "backlog") == 0)
		s->cfg.tcp_backlog = (uint32_t)v;
	else if (strcmp(name, "rx_depth") == 0)
		s->cfg.nic.rx_depth = (uint32_t)v;
	else if (strcmp(name, "udp_limit") == 0)
		s->cfg.udp_limit = (uint32_t)v;
	else if (strcmp(name, "udp_idle") == 0)
		s->cfg.udp_idle_ns = v * SIM_S;
	else if (strcmp(name, "peek_offset") == 0)
		s->cfg.has_no_peek_offset = v == 0;
	else if (strcmp(name, "v6") == 0)
		s->cfg.has_no_v6 = v == 0;
	else if (strcmp(name, "learn_mac") == 0)
		s->cfg.learns_mac = v != 0;
	else if (strcmp(name, "deny_port") == 0)
		s->denied_port = (uint16_t)v;
	else if (strcmp(name, "deny_all") == 0)
		s->denies_all = v != 0;
	else
		return script_fail(s, "'set %s'", name);
	return true;
}

/* "flow NAME PORT ADDRESS:PORT" */
static bool add_flow(struct script *s, char *args)
{
	struct script_flow *f = &s->flows[s->flow_count];
	char *name = script_word(&args);
	char *port = script_word(&args);
	char *remote = script_word(&args);
	uint64_t v;

	if (!name || !port || !remote || strlen(name) >= SCRIPT_NAME_MAX)
		return script_fail(s, "'flow NAME PORT ADDRESS:PORT'");
	if (s->flow_count == SCRIPT_FLOWS_MAX)
		return script_fail(s, "too many flows");
	if (!script_number(s, port, &v))
		return false;
	*f = (struct script_flow){.port = (uint16_t)v, .iss = s->flows[0].iss};
	memcpy(f->name, name, strlen(name) + 1);
	/* An IPv4-mapped address goes in an IPv6 packet. */
	f->family = remote[0] == '[' ? 6 : 4;
	if (!script_endpoint(s, remote, &f->remote))
		return false;
	s->flow_count++;
	return true;
}

/* ---- lines that look into the engine ---- */

static struct tcp_flow *tcp_flow_of(const struct script *s)
{
	const struct engine *e = s->world->engine;
	struct flow_key key = {
	    .guest = s->flow->family == 4 ? s->world->netif.guest_v4 : s->world->netif.guest_v6,
	    .remote = s->flow->remote.addr,
	    .guest_port = s->flow->port,
	    .remote_port = s->flow->remote.port,
	    .family = s->flow->family,
	    .proto = 6,
	};

	return tcp_flow_find(&e->tcp, &key, flow_hash(&e->world, &key));
}

static bool expect_state(struct script *s, char *args)
{
	char *want = script_word(&args);
	const struct tcp_flow *f = tcp_flow_of(s);
	const char *got = f ? tcp_state_name((enum tcp_state)f->conn.state) : "NONE";

	if (!want || strcmp(want, got) != 0)
		return script_fail(s, "expected %s, got %s", want ? want : "a state", got);
	return true;
}

static bool expect_count(struct script *s, char *args, const char *what, uint64_t got)
{
	char *word = script_word(&args);
	uint64_t want;

	if (!word || !script_number(s, word, &want))
		return word ? false : script_fail(s, "'%s NUMBER'", what);
	return want == got || script_fail(s, "expected %llu %s, got %llu", (unsigned long long)want,
				  what, (unsigned long long)got);
}

static bool expect_drop(struct script *s, char *args)
{
	char *name = script_word(&args);
	char *word = script_word(&args);
	uint64_t want = 1;
	int i = 0;

	while (name && i < DROP_REASON_COUNT &&
	       strcmp(drop_reason_name((enum drop_reason)i), name) != 0)
		i++;
	if (!name || i == DROP_REASON_COUNT)
		return script_fail(s, "no such reason");
	if (word && !script_number(s, word, &want))
		return false;
	s->drops_claimed[i] += want;
	if (s->drops_claimed[i] != s->world->counters.drops[i])
		return script_fail(s, "expected %llu, got %llu since the start",
		    (unsigned long long)s->drops_claimed[i],
		    (unsigned long long)s->world->counters.drops[i]);
	return true;
}

static bool expect_counter(struct script *s, char *args)
{
	static const struct {
		const char *name;
		size_t offset;
	} counters[] = {
#define X(symbol, text) {#symbol, offsetof(struct engine_counters, symbol)},
	    ENGINE_COUNTERS(X)
#undef X
	};
	char *name = script_word(&args);

	for (size_t i = 0; name && i < sizeof(counters) / sizeof(counters[0]); i++) {
		uint64_t got;

		if (strcmp(counters[i].name, name) != 0)
			continue;
		memcpy(&got, (const char *)&s->world->counters + counters[i].offset, sizeof(got));
		return expect_count(s, args, name, got);
	}
	return script_fail(s, "no such counter");
}

/* "event end NAME", "event denied", "event refused REASON": one more of these. */
static bool expect_event(struct script *s, char *args)
{
	const struct sim_world *w = s->world;
	char *kind = script_word(&args);
	char *name = script_word(&args);
	uint64_t total = w->denials + w->refusals;
	const char *got = NULL;

	for (int i = 0; i < FLOW_END_COUNT; i++)
		total += w->ends[i];
	if (total != ++s->events_claimed)
		return script_fail(s, "expected %llu events since the start, got %llu",
		    (unsigned long long)s->events_claimed, (unsigned long long)total);
	if (kind && strcmp(kind, "end") == 0)
		got = flow_end_name(w->last_end.end);
	else if (kind && strcmp(kind, "refused") == 0)
		got = drop_reason_name(w->last_refusal.reason);
	else if (kind && strcmp(kind, "denied") == 0)
		return w->denials > 0 || script_fail(s, "nothing was denied");
	if (!got || !name || strcmp(got, name) != 0)
		return script_fail(s, "got %s", got ? got : "another kind");
	return true;
}

static bool expect_idle(struct script *s)
{
	uint64_t next = engine_next_ns(s->world->engine);

	if (next == ENGINE_NEVER)
		return true;
	return script_fail(s, "the engine wants to be woken in %.6f s",
	    (double)(next - s->world->sim.now_ns) / 1e9);
}

static bool look(struct script *s, const char *what, char *args)
{
	if (strcmp(what, "state:") == 0)
		return expect_state(s, args);
	if (strcmp(what, "flows:") == 0)
		return expect_count(s, args, "flows", sim_world_flows(s->world));
	if (strcmp(what, "active:") == 0)
		return expect_count(s, args, "active flows", s->world->counters.tcp_active);
	if (strcmp(what, "drop:") == 0)
		return expect_drop(s, args);
	if (strcmp(what, "counter:") == 0)
		return expect_counter(s, args);
	if (strcmp(what, "event:") == 0)
		return expect_event(s, args);
	if (strcmp(what, "idle") == 0)
		return expect_idle(s);
	return script_fail(s, "no such line");
}

/* ---- lines ---- */

/* Time passes until this line's; what comes meanwhile must be claimed by later lines. */
static bool wait_for_line(struct script *s)
{
	uint64_t at = s->base_ns + s->delay_ns;

	if (!sim_world_run(s->world, at))
		return script_fail(s, "%s", s->world->sim.failure);
	if (s->world->sim.now_ns < at)
		s->world->sim.now_ns = at;
	return true;
}

static bool guest_line(struct script *s, const char *what, char *args)
{
	char first[SCRIPT_NAME_MAX] = "";
	bool is_other;

	if (sscanf(args, "%15s", first) != 1)
		return script_fail(s, "'%s' and nothing", what);
	is_other = script_is_other(first);
	if (what[0] == '>')
		return is_other ? script_expect_other(s, args) : script_expect_tcp(s, args);
	if (!(is_other ? script_send_other(s, args) : script_send_tcp(s, args)))
		return false;
	return true;
}

/* The guest's side of the frame device. */
static bool guest_does(struct script *s, char *args)
{
	char *word = script_word(&args);

	if (word && strcmp(word, "connects") == 0)
		engine_on_link_new(s->world->engine);
	s->is_stalled = word && strcmp(word, "stalls") == 0;
	on_rx(s);
	if (sim_nic_has_room(&s->world->nic))
		engine_on_room(s->world->engine);
	s->world->turn_ns = s->world->sim.now_ns;
	return script_settle(s);
}

/* "policy: deny PORT", 0 for none: another policy, while everything runs. */
static bool change_policy(struct script *s, char *args)
{
	char *action = script_word(&args);
	char *word = script_word(&args);
	uint64_t v;

	if (!action || !word || strcmp(action, "deny") != 0)
		return script_fail(s, "'policy: deny PORT'");
	if (!script_number(s, word, &v))
		return false;
	s->world->policy.denied_port = (uint16_t)v;
	engine_set_policy(s->world->engine, &s->world->policy);
	return true;
}

static bool do_line(struct script *s, char *what, char *args)
{
	bool is_expectation = strcmp(what, ">") == 0;
	bool is_right;

	if (!s->world)
		start(s);
	if (!is_expectation && s->delay_ns > 0 && !script_expect_no_frame(s))
		return false;
	if (!is_expectation && (!wait_for_line(s) || !script_settle(s)))
		return false;
	if (strcmp(what, "silence") == 0) {
		is_right = script_expect_no_frame(s);
	} else if (strcmp(what, "<") == 0) {
		is_right =
		    script_expect_no_frame(s) && guest_line(s, what, args) && script_settle(s);
	} else if (strcmp(what, "host:") == 0) {
		is_right = script_host(s, args) && script_settle(s);
	} else if (is_expectation) {
		is_right = guest_line(s, what, args);
	} else if (strcmp(what, "policy:") == 0) {
		is_right = change_policy(s, args);
	} else if (strcmp(what, "guest:") == 0) {
		is_right = guest_does(s, args);
	} else {
		is_right = look(s, what, args);
	}
	s->base_ns = s->world->sim.now_ns;
	return is_right;
}

/* Finds the flow that a word like "b<" or "b.host:" names, and cuts its name off. */
static char *choose_flow(struct script *s, char *word)
{
	s->flow = &s->flows[0];
	for (uint32_t i = 0; i < s->flow_count; i++) {
		size_t len = strlen(s->flows[i].name);

		if (strncmp(word, s->flows[i].name, len) != 0)
			continue;
		if (word[len] == '<' || word[len] == '>') {
			s->flow = &s->flows[i];
			return word + len;
		}
		if (word[len] == '.') {
			s->flow = &s->flows[i];
			return word + len + 1;
		}
	}
	return word;
}

static bool run_line(struct script *s, char *line)
{
	char *word;

	line[strcspn(line, "#\n")] = '\0';
	(void)snprintf(s->text, sizeof(s->text), "%s", line);
	word = script_word(&line);
	if (!word)
		return true;
	s->delay_ns = 0;
	s->slack_ns = 0;
	if (word[0] == '+') {
		char *slack;

		s->delay_ns = (uint64_t)(strtod(word + 1, &slack) * 1e9 + 0.5);
		if (*slack == '~')
			s->slack_ns = (uint64_t)(strtod(slack + 1, NULL) * 1e9 + 0.5);
		else if (s->delay_ns > 0)
			s->slack_ns = late_ns(s->delay_ns);
		word = script_word(&line);
		if (!word)
			return script_fail(s, "a time and nothing");
	}
	if (strcmp(word, "set") == 0)
		return set(s, line);
	if (strcmp(word, "flow") == 0)
		return add_flow(s, line);
	word = choose_flow(s, word);
	return do_line(s, word, line);
}

/* Nothing may be left that no line has claimed. */
static bool finish(struct script *s)
{
	const struct sim_world *w = s->world;

	(void)snprintf(s->text, sizeof(s->text), "end of the script");
	s->flow = &s->flows[0];
	if (!w)
		return script_fail(s, "nothing happened");
	if (!script_settle(s) || !script_expect_no_frame(s))
		return false;
	if (s->socks_claimed != w->host.count)
		return script_fail(
		    s, "%u sockets that no line expects", w->host.count - s->socks_claimed);
	if (s->sent)
		return script_fail(s, "datagrams to the host that no line expects");
	for (int i = 0; i < DROP_REASON_COUNT; i++)
		if (s->drops_claimed[i] != w->counters.drops[i])
			return script_fail(s, "%llu drops of %s that no line expects",
			    (unsigned long long)(w->counters.drops[i] - s->drops_claimed[i]),
			    drop_reason_name((enum drop_reason)i));
	return true;
}

static void init(struct script *s, const char *file)
{
	*s = (struct script){
	    .file = file, .cfg = sim_config_defaults(1), .next_remote = manual_remote};
	s->cfg.tx = (struct sim_impair){0};
	s->cfg.rx = (struct sim_impair){0};
	s->cfg.wake_ns = 0;
	s->cfg.pass_ns = 0;
	s->cfg.has_checks_off = true;
	s->sent_end = &s->sent;
	sim_queue_init(&s->got);
	s->flows[0] = (struct script_flow){
	    .name = "a",
	    .family = 4,
	    .port = 40000,
	    .remote = {.addr = ip_addr_v4(0xcb007107), .port = 80},
	    .iss = 1000000,
	};
	s->flow_count = 1;
}

static bool run_file(struct script *s, FILE *f)
{
	char line[SCRIPT_LINE_MAX];

	while (fgets(line, sizeof(line), f)) {
		s->line++;
		if (!run_line(s, line))
			return false;
	}
	return finish(s);
}

static bool fini(struct script *s)
{
	bool is_right = true;

	while (s->sent) {
		struct script_sent *d = s->sent;

		s->sent = d->next;
		free(d);
	}
	if (s->world) {
		sim_world_fini(s->world);
		is_right = !s->world->sim.has_failed || script_fail(s, "%s", s->world->sim.failure);
	}
	sim_queue_clear(&s->got);
	free(s->world);
	return is_right;
}

int main(int argc, char **argv)
{
	struct script s;
	bool is_right;
	FILE *f;

	if (argc != 2) {
		fprintf(stderr, "usage: %s SCRIPT\n", argv[0]);
		return 1;
	}
	f = fopen(argv[1], "r");
	if (!f) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	init(&s, argv[1]);

	is_right = run_file(&s, f);
	is_right = fini(&s) && is_right;
	(void)fclose(f);
	return is_right ? 0 : 1;
}
