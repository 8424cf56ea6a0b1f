/* SPDX-License-Identifier: Apache-2.0 */
/* What ps(1) shows for the processes that are forked from the launcher. */
#ifndef SLUICE_APP_PROCESS_TITLE_H
#define SLUICE_APP_PROCESS_TITLE_H

/* Remembers where the kernel looks for the command line. Before anything changes argv. */
void process_title_init(int argc, char **argv);

/* Names the calling process, in its short form (at most 15 characters) and as its command line. The
 * strings of argv are lost. */
void process_title_set(const char *title);

#endif
