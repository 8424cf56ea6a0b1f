/* SPDX-License-Identifier: Apache-2.0 */
/* How the programs of sluice speak to the person who started them, and their own exit statuses. */
#ifndef SLUICE_APP_COMPLAIN_H
#define SLUICE_APP_COMPLAIN_H

#include <stdbool.h>

enum {
	EXIT_OWN_FAILURE = 125, /* sluice could not do its part */
	EXIT_NOT_EXECUTABLE = 126,
	EXIT_NOT_FOUND = 127,
};

/* Prints "sluice: " and one sentence on standard error: what failed, with which value, and what to
 * do. Returns -1, so that a caller can `return complain(...)`. errno is kept. */
__attribute__((format(printf, 1, 2))) int complain(const char *format, ...);

/* The same for --verbose: nothing unless note_enable() was called. */
__attribute__((format(printf, 1, 2))) void note(const char *format, ...);
void note_enable(void);
bool note_is_enabled(void);

#endif
