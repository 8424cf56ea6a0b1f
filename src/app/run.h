/* SPDX-License-Identifier: Apache-2.0 */
/* sluice run: a command behind its own network. */
#ifndef SLUICE_APP_RUN_H
#define SLUICE_APP_RUN_H

/* Returns the exit status for the program, or does not return: a command that was killed by a
 * signal ends the program by the same signal. */
int run_main(int argc, char **argv);

#endif
