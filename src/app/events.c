/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events as JSON lines. All text in them is our own, or escaped: nothing that a guest sends can end a line
 * or begin an escape sequence (threat C15). A flood of events costs a bounded buffer and is counted
 * (threat C16). The clock of the wall is only read here, and never decides anything.
 *
 * The calendar is computed by hand: gmtime_r() opens the file of the time zone, which ends a process that
 * may not open files.
 */
#include "app/events.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "wire/dns.h"

enum {
	ADDRS_TOLD_MAX = 16, /* of one answer */
};

#define NS_PER_S 1000000000ULL

/* Days since 1970 to year, month, day in the proleptic Gregorian calendar. The year begins in March here,
 * so that the leap day is its last: 153 days are any five months from March or August on. */
static void civil(
    uint64_t days, unsigned int *ret_year, unsigned int *ret_month, unsigned int *ret_day)
{
	uint64_t z = days + 719468; /* since 0000-03-01 */
	uint64_t era = z / 146097;  /* of 400 years */
	unsigned int day_of_era = (unsigned int)(z % 146097);
	unsigned int year_of_era =
	    (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	unsigned int day_of_year =
	    day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	unsigned int march_month = (5 * day_of_year + 2) / 153;

	*ret_day = day_of_year - (153 * march_month + 2) / 5 + 1;
	*ret_month = march_month < 10 ? march_month + 3 : march_month - 9;
	*ret_year = (unsigned int)(era * 400) + year_of_era + (*ret_month <= 2 ? 1 : 0);
}

/* RFC 3339, to the microsecond. */
static void add_time(struct text *t, uint64_t wall_ns)
{
	uint64_t seconds = wall_ns / NS_PER_S;
	unsigned int of_day = (unsigned int)(seconds % 86400);
	unsigned int year;
	unsigned int month;
	unsigned int day;

	civil(seconds / 86400, &year, &month, &day);
	text_printf(t, "{\"time\":\"%04u-%02u-%02uT%02u:%02u:%02u.%06uZ\"", year, month, day,
	    of_day / 3600, of_day / 60 % 60, of_day % 60,
	    (unsigned int)(wall_ns % NS_PER_S / 1000));
}

static void add_string(struct text *t, const char *key, const char *value)
{
	text_printf(t, ",\"%s\":", key);
	text_json_str(t, value, strlen(value));
}

static void add_number(struct text *t, const char *key, uint64_t value)
{
	text_printf(t, ",\"%s\":%" PRIu64, key, value);
}

static void add_endpoint(
    struct text *t, const char *key, const char *port_key, const struct endpoint *e)
{
	char addr[IP_ADDR_TEXT_MAX];

	add_string(t, key, ip_addr_format(&e->addr, addr));
	if (e->port != 0)
		add_number(t, port_key, e->port);
}

static const char *kind_name(enum event_kind kind)
{
	switch (kind) {
	case EVENT_FLOW_END:
		return "flow_end";
	case EVENT_DENIED:
		return "denied";
	case EVENT_REFUSED:
		return "refused";
	case EVENT_QUERY:
		return "query";
	case EVENT_PUBLISHED:
		return "published";
	case EVENT_FLOW_ENDS_LIMITED:
		return "flow_ends_limited";
	}
	return "unknown";
}

static const char *verdict_name(enum policy_action action)
{
	switch (action) {
	case POLICY_DENY:
		return "deny";
	case POLICY_ALLOW:
		return "allow";
	case POLICY_HOLD:
		return "hold";
	}
	return "unknown";
}

static const char *proto_name(enum policy_proto proto)
{
	switch (proto) {
	case POLICY_TCP:
		return "tcp";
	case POLICY_UDP:
		return "udp";
	case POLICY_ICMP4:
		return "icmpv4";
	case POLICY_ICMP6:
		return "icmpv6";
	case POLICY_PROTO_COUNT:
		break;
	}
	return "unknown";
}

static const char *reason_name(const struct engine_event *e)
{
	switch (e->kind) {
	case EVENT_FLOW_END:
		return flow_end_name(e->end);
	case EVENT_DENIED:
		return drop_reason_name(DROP_POLICY);
	case EVENT_REFUSED:
		return drop_reason_name(e->reason);
	case EVENT_QUERY:
		return policy_why_name(e->verdict.why);
	case EVENT_PUBLISHED:
	case EVENT_FLOW_ENDS_LIMITED:
		break;
	}
	return "unknown";
}

static const char *type_name(uint16_t type, char other[16])
{
	switch (type) {
	case DNS_TYPE_A:
		return "A";
	case DNS_TYPE_NS:
		return "NS";
	case DNS_TYPE_CNAME:
		return "CNAME";
	case DNS_TYPE_SOA:
		return "SOA";
	case DNS_TYPE_PTR:
		return "PTR";
	case DNS_TYPE_MX:
		return "MX";
	case DNS_TYPE_TXT:
		return "TXT";
	case DNS_TYPE_AAAA:
		return "AAAA";
	case DNS_TYPE_SRV:
		return "SRV";
	case DNS_TYPE_SVCB:
		return "SVCB";
	case DNS_TYPE_HTTPS:
		return "HTTPS";
	case DNS_TYPE_ANY:
		return "ANY";
	default:
		/* RFC 3597 5 */
		(void)snprintf(other, 16, "TYPE%u", type);
		return other;
	}
}

static const char *rcode_name(uint16_t rcode)
{
	switch (rcode) {
	case DNS_RCODE_NOERROR:
		return "NOERROR";
	case DNS_RCODE_NXDOMAIN:
		return "NXDOMAIN";
	case DNS_RCODE_REFUSED:
		return "REFUSED";
	default:
		return "SERVFAIL";
	}
}

static uint64_t duration_us(const struct engine_event *e)
{
	return e->end_ns > e->start_ns ? (e->end_ns - e->start_ns) / 1000 : 0;
}

/* Names are canonical: no byte of them needs to be escaped, and it is done all the same. */
static void add_query(struct text *t, const struct engine_event *e)
{
	const struct event_query *q = e->query;
	char other[16];

	add_string(t, "name", q->name->text);
	add_string(t, "type", type_name(q->type, other));
	add_string(t, "answer", rcode_name(q->rcode));
	text_str(t, ",\"addresses\":[");
	for (uint32_t i = 0; i < q->addr_count && i < ADDRS_TOLD_MAX; i++) {
		char addr[IP_ADDR_TEXT_MAX];

		text_printf(t, "%s\"%s\"", i > 0 ? "," : "", ip_addr_format(&q->addrs[i], addr));
	}
	text_str(t, "]");
	text_str(t, q->is_cached ? ",\"cached\":true" : ",\"cached\":false");
	add_number(t, "duration_us", duration_us(e));
	add_number(t, "count", e->count);
}

void event_format(struct text *t, const struct engine_event *e, const char *rule, uint64_t wall_ns)
{
	add_time(t, wall_ns);
	add_string(t, "event", kind_name(e->kind));
	if (e->kind == EVENT_FLOW_ENDS_LIMITED) {
		add_number(t, "count", e->count);
		text_str(t, "}\n");
		return;
	}
	add_string(t, "proto", proto_name(e->proto));
	if (e->is_inbound)
		add_string(t, "direction", "ingress");
	add_endpoint(t, "guest", "guest_port", &e->guest);
	if (e->kind == EVENT_PUBLISHED) {
		add_endpoint(t, "host", "host_port", &e->remote);
		text_str(t, "}\n");
		return;
	}
	add_endpoint(t, "remote", "remote_port", &e->remote);
	if (e->kind != EVENT_QUERY)
		add_string(t, "class", addr_class_name(e->verdict.class));
	if (e->name != NULL)
		add_string(t, "name", e->name->text);
	add_string(t, "verdict", verdict_name(e->verdict.action));
	add_string(t, "rule", rule);
	if (e->verdict.rule < POLICY_RULE_FLOOR)
		add_number(t, "rule_number", e->verdict.rule);
	add_string(t, "reason", reason_name(e));
	/* Where the rule alone does not say it. */
	if (e->kind == EVENT_DENIED && e->verdict.why > POLICY_WHY_FLOOR)
		add_string(t, "why", policy_why_name(e->verdict.why));
	if (e->kind == EVENT_QUERY) {
		add_query(t, e);
	} else if (e->kind == EVENT_FLOW_END) {
		add_number(t, "tx_bytes", e->tx_bytes);
		add_number(t, "rx_bytes", e->rx_bytes);
		add_number(t, "duration_us", duration_us(e));
	} else {
		add_number(t, "count", e->count);
	}
	text_str(t, "}\n");
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	/* Cannot fail for the two clocks that are asked for. */
	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

int event_log_init(struct event_log *log, int fd, const struct policy *policy)
{
	char *buf = malloc(EVENT_LOG_SIZE);

	if (buf == NULL)
		return -ENOMEM;
	*log = (struct event_log){.fd = fd, .policy = policy, .buf = buf};
	return 0;
}

/* Puts a line behind those that wait. False: there is no room for it. */
static bool append(struct event_log *log, const struct text *line)
{
	if (line->is_cut || log->len + line->len > EVENT_LOG_SIZE)
		return false;
	memcpy(log->buf + log->len, line->buf, line->len);
	log->len += line->len;
	return true;
}

static bool append_lost(struct event_log *log)
{
	char buf[EVENT_LINE_MAX];
	struct text line = text_init(buf, sizeof(buf));

	add_time(&line, clock_ns(CLOCK_REALTIME));
	add_string(&line, "event", "events_lost");
	add_number(&line, "count", log->lost);
	text_str(&line, "}\n");
	if (!append(log, &line))
		return false;
	log->lost = 0;
	return true;
}

void event_log_add(void *ctx, const struct engine_event *e)
{
	struct event_log *log = ctx;
	char rule[POLICY_RULE_TEXT_MAX];
	char buf[EVENT_LINE_MAX];
	struct text line = text_init(buf, sizeof(buf));
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	uint64_t ago = now > e->end_ns ? now - e->end_ns : 0;

	if (log->fd < 0)
		return;
	event_format(&line, e, policy_rule_text(log->policy, e->verdict.rule, rule, sizeof(rule)),
	    clock_ns(CLOCK_REALTIME) - ago);
	if (log->len + line.len > EVENT_LOG_SIZE)
		event_log_flush(log);
	if ((log->lost > 0 && !append_lost(log)) || !append(log, &line))
		log->lost++;
}

void event_log_flush(void *ctx)
{
	struct event_log *log = ctx;
	size_t done = 0;

	if (log->lost > 0)
		(void)append_lost(log);
	while (log->fd >= 0 && done < log->len) {
		ssize_t n = write(log->fd, log->buf + done, log->len - done);

		if (n > 0) {
			done += (size_t)n;
		} else if (n == 0 || errno == EAGAIN) {
			break;
		} else if (errno != EINTR) {
			/* Nobody reads any more. */
			close(log->fd);
			log->fd = -1;
		}
	}
	if (done == 0)
		return;
	memmove(log->buf, log->buf + done, log->len - done);
	log->len -= done;
}

void event_log_fini(struct event_log *log)
{
	event_log_flush(log);
	if (log->fd >= 0)
		close(log->fd);
	free(log->buf);
	*log = (struct event_log){.fd = -1};
}
