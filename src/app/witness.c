/* SPDX-License-Identifier: Apache-2.0 */
/* Signals to a group; see witness.h. Tests: unit/test_witness.c. */
#include "app/witness.h"

void witness_see(struct witness *w, uint32_t signal, uint64_t now_ns)
{
	if (signal == 0 || signal >= WITNESS_SIGNALS)
		return;
	w->seen[signal].count++;
	w->seen[signal].last_ns = now_ns;
}

bool witness_match(struct witness *w, uint32_t signal, uint64_t before_ns)
{
	if (signal == 0 || signal >= WITNESS_SIGNALS || w->seen[signal].count == 0)
		return false;
	if (w->seen[signal].last_ns <= before_ns) {
		/* Copies of signals that were merged into one for the messenger. */
		w->seen[signal].count = 0;
		return false;
	}
	w->seen[signal].count--;
	return true;
}
