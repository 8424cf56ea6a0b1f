/* SPDX-License-Identifier: Apache-2.0 */
/* Counters as text: one line each, so that a script can read the first two words. */
#include "app/stats.h"

#include <inttypes.h>

static void line(
    struct text *t, const char *prefix, const char *name, uint64_t value, const char *what)
{
	char full[64];
	struct text f = text_init(full, sizeof(full));

	if (value == 0)
		return;
	text_str(&f, prefix);
	text_str(&f, name);
	text_printf(t, "%-28s %12" PRIu64 "  %s\n", full, value, what);
}

void stats_format(struct text *t, const struct engine_counters *c)
{
	line(t, "nic_", "tx_frames", c->nic.tx_frames, "frames taken from the guest");
	line(t, "nic_", "tx_bytes", c->nic.tx_bytes, "bytes of them");
	line(t, "nic_", "rx_frames", c->nic.rx_frames, "frames given to the guest");
	line(t, "nic_", "rx_bytes", c->nic.rx_bytes, "bytes of them");
	line(t, "nic_", "rx_lost", c->nic.rx_lost, "frames that the guest's side did not take");
	line(t, "nic_", "tx_broken", c->nic.tx_broken,
	    "frames that the guest's side framed wrongly");
	line(t, "nic_", "links", c->nic.links, "connections of the guest's side");
#define X(name, text) line(t, "", #name, c->name, text);
	ENGINE_COUNTERS(X)
#undef X
	for (unsigned int i = 0; i < DROP_REASON_COUNT; i++) {
		line(t, "drop_", drop_reason_name((enum drop_reason)i), c->drops[i],
		    drop_reason_text((enum drop_reason)i));
	}
}
