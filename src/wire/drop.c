/* SPDX-License-Identifier: Apache-2.0 */
/* Names of drop reasons. */
#include "wire/drop.h"

static const char *const names[DROP_REASON_COUNT] = {
#define X(symbol, name, text) [DROP_##symbol] = (name),
    DROP_REASONS(X)
#undef X
};

static const char *const texts[DROP_REASON_COUNT] = {
#define X(symbol, name, text) [DROP_##symbol] = (text),
    DROP_REASONS(X)
#undef X
};

const char *drop_reason_name(enum drop_reason reason)
{
	return reason < DROP_REASON_COUNT ? names[reason] : "unknown";
}

const char *drop_reason_text(enum drop_reason reason)
{
	return reason < DROP_REASON_COUNT ? texts[reason] : "unknown";
}
