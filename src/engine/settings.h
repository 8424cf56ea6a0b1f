/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of one guest's network by name and text: the options of the command line and the keys of the
 * library are the same. What is about rules is not here but in policy/policy.h. Pure.
 */
#ifndef SLUICE_ENGINE_SETTINGS_H
#define SLUICE_ENGINE_SETTINGS_H

#include "engine/addressing.h"
#include "engine/engine.h"

enum {
	SETTINGS_ERROR_MAX = 512,
};

struct settings {
	struct addressing addressing; /* has_route_... are not set here */
	struct engine_config engine;  /* limits, times, resolvers; the defaults where not set */
};

/* name_prefix: what stands before names in errors ("--" for a command line); borrowed. */
struct settings settings_default(const char *name_prefix);

/* Sets what name (without prefix) says. Numbers are decimal, without sign or leading blanks, within the range
 * that the error names; nothing is rounded, cut or ignored. 0; -ENOENT: there is no such setting; -EINVAL
 * with one sentence in error, without a full stop. */
__attribute__((warn_unused_result)) int settings_set(
    struct settings *s, const char *name, const char *value, char error[SETTINGS_ERROR_MAX]);

/* What each setting by itself cannot tell: that they fit together. 0, or -EINVAL as above. */
__attribute__((warn_unused_result)) int settings_check(
    const struct settings *s, char error[SETTINGS_ERROR_MAX]);

/* The names of all settings, in order; NULL behind the last one. */
const char *settings_name(size_t index);

#endif
