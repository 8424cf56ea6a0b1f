/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines: what all commands of sluice have in common. */
#ifndef SLUICE_APP_OPTIONS_H
#define SLUICE_APP_OPTIONS_H

#include <argp.h>

/* Reads argv up to the first word that is no option. argv[0] is the name for messages and --help; parser may
 * have children, but these none. Ends the program for --help and --usage, and with EXIT_OWN_FAILURE and
 * one sentence on standard error for what cannot be understood, or if the help cannot be written. */
void options_parse(const struct argp *parser, int argc, char **argv, void *input);

#endif
