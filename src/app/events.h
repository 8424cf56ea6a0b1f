/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events as JSON lines (RFC 8259, one object per line), as sluice(1) documents them.
 */
#ifndef SLUICE_APP_EVENTS_H
#define SLUICE_APP_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "engine/event.h"

enum {
	EVENT_LINE_MAX = 4096, /* longest line with its line break, and a NUL */
	EVENT_LOG_SIZE = 65536,
};

/* Writes one event with its line break. rule: the text of the deciding rule. wall_ns: when the event
 * ended, nanoseconds since 1970 in UTC. */
void event_format(struct text *t, const struct engine_event *e, const char *rule, uint64_t wall_ns);

/* Lines on their way to a descriptor that never blocks. What does not fit is lost, but counted: a line
 * "events_lost" tells how many, before the next one that fits. */
struct event_log {
	int fd;                      /* non-blocking; -1: nothing is written any more */
	const struct policy *policy; /* borrowed: the texts of rules */
	uint64_t lost;               /* events since the last line that fitted */
	size_t len;                  /* bytes that wait */
	char *buf;                   /* EVENT_LOG_SIZE bytes */
};

/* Takes the descriptor when it succeeds. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int event_log_init(
    struct event_log *log, int fd, const struct policy *policy);

/* Writes what can be written and closes the descriptor. */
void event_log_fini(struct event_log *log);

/* For engine_config.on_event; ctx is the log. */
void event_log_add(void *ctx, const struct engine_event *e);

/* For host_loop()'s on_idle: writes what can be written without waiting. */
void event_log_flush(void *ctx);

#endif
