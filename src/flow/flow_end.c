/* SPDX-License-Identifier: Apache-2.0 */
/* Words of events. */
#include "flow/flow_end.h"

const char *flow_end_name(enum flow_end end)
{
	static const char *const names[FLOW_END_COUNT] = {
#define X(symbol, name) [FLOW_END_##symbol] = (name),
	    FLOW_ENDS(X)
#undef X
	};

	return end < FLOW_END_COUNT ? names[end] : "unknown";
}
