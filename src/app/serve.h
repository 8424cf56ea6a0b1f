/* SPDX-License-Identifier: Apache-2.0 */
/* The command `sluice serve`. */
#ifndef SLUICE_APP_SERVE_H
#define SLUICE_APP_SERVE_H

/* argv[0] is the name for messages. Returns the exit status of the program. */
int serve_main(int argc, char **argv);

#endif
