/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options that say what a guest's network is: rules, addresses, limits, names, what is told. Each command
 * that makes such a network has all of them.
 */
#ifndef SLUICE_APP_NET_OPTIONS_H
#define SLUICE_APP_NET_OPTIONS_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>

#include "app/published.h"
#include "engine/settings.h"
#include "policy/policy.h"

enum {
	OPTION_KEY_NET = 0x100, /* keys from here on are those of net_options_argp, */
	OPTION_KEY_OWN = 0x200, /* and from here on the command's own */

	OPTION_GROUP_FIRST = 1, /* groups of the command's own, in the order of --help: before */
	OPTION_GROUP_OWN = 10,  /* and behind those of net_options_argp */
};

/* A list of option values, in the order of the command line. */
struct string_list {
	const char **items; /* borrowed strings; the array is owned */
	size_t count;
};

struct net_options {
	/* what is allowed */
	struct string_list rules;    /* --net-rule */
	struct string_list profiles; /* --net */
	bool has_default[2];         /* --net-default-..., indexed by enum policy_direction */
	enum policy_action defaults[2];

	struct publish_options publish; /* --publish, ... */

	struct settings settings; /* addresses, limits, times, resolvers */
	struct string_list given; /* the options that these are from: name, value, name, ... */

	const char *floor;  /* --policy-floor: path; NULL: none */
	const char *config; /* --config: path, "-" for standard input, NULL: none */

	/* what is told */
	const char *events; /* --events: path, "-" for standard error, NULL: none */
	bool has_stats;
};

/* To be a child of a command's argp, with a struct net_options as its input. It ends the program, as
 * options_refuse() does, for a value that cannot be understood. */
extern const struct argp net_options_argp;

struct net_options net_options_default(void);
void net_options_fini(struct net_options *o);

/* Ends the program with EXIT_OWN_FAILURE and one sentence on standard error. */
__attribute__((format(printf, 1, 2), noreturn)) void options_refuse(const char *format, ...);

/* Ends the program when there is no memory. */
void string_list_add(struct string_list *list, const char *item);

#endif
