/* SPDX-License-Identifier: Apache-2.0 */
/* Counters as text. */
#ifndef SLUICE_APP_STATS_H
#define SLUICE_APP_STATS_H

#include "base/text.h"
#include "stack/counters.h"

enum {
	STATS_TEXT_MAX = 16384, /* enough for all counters */
};

/* One line for each counter that is not 0: name, value, and what it counts. */
void stats_format(struct text *t, const struct engine_counters *c);

#endif
