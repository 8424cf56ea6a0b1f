/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `sluice serve`. */
#ifndef SLUICE_APP_SERVE_OPTIONS_H
#define SLUICE_APP_SERVE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "app/net_options.h"
#include "port/port_open.h"

/* What --port says: KIND:PATH, KIND:fd:N or tap:NAME. */
struct port_place {
	enum port_kind kind;
	const char *kind_name; /* as given in the table */
	const char *where;     /* path or name, borrowed from argv; NULL: fd */
	int fd;                /* inherited descriptor; -1: none */
};

struct serve_options {
	struct net_options net;
	struct port_place port; /* kind_name is NULL until --port has been read */
	bool is_connecting;     /* --connect */
	bool is_once;           /* --once */
	const char *netns;      /* --netns, NULL: ours */
	bool has_vnet;          /* --vnet-header */
	bool has_offload;       /* --peer-offload was given */
	uint32_t offload;       /* NIC_F_... of it */
};

/* Reads argv (argv[0] is the name for messages). Ends the program for --help and --usage, and with
 * EXIT_OWN_FAILURE and one sentence on standard error for what cannot be understood or does not fit together. */
void serve_options_parse(int argc, char **argv, struct serve_options *ret_options);

void serve_options_fini(struct serve_options *o);

#endif
