/* SPDX-License-Identifier: Apache-2.0 */
/* sluice diff: what an edit of a document opens, and what it closes. */
#ifndef SLUICE_APP_DIFF_H
#define SLUICE_APP_DIFF_H

enum {
	EXIT_DIFFERENT = 1, /* of diff: something is opened or closed */
};

/* argv[0] is the name for messages. Returns the exit status. */
int diff_main(int argc, char **argv);

#endif
