/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about documents alone: sluice check, sluice config. */
#ifndef SLUICE_APP_CHECK_H
#define SLUICE_APP_CHECK_H

enum {
	EXIT_NOT_GOOD = 1, /* of check: a document has errors */
};

/* argv[0] is the name for messages. Return the exit status. */
int check_main(int argc, char **argv);
int config_main(int argc, char **argv);

#endif
