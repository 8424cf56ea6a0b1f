/* SPDX-License-Identifier: Apache-2.0 */
/* sluice explain: what a document does with one connection, by which rule, and why not by the others. */
#ifndef SLUICE_APP_EXPLAIN_H
#define SLUICE_APP_EXPLAIN_H

enum {
	EXIT_DENIED = 1, /* of explain: the connection would not be allowed */
};

/* argv[0] is the name for messages. Returns the exit status. */
int explain_main(int argc, char **argv);

#endif
