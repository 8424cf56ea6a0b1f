/* SPDX-License-Identifier: Apache-2.0 */
/* The effective configuration as a document. */
#ifndef SLUICE_CONFIG_PRINT_H
#define SLUICE_CONFIG_PRINT_H

#include <stdio.h>

#include "config/config.h"

/* Writes the configuration as JSON that reads back as the same one: each value, also those that the document did not
 * name, and the rules of profiles as rules. p is the policy compiled from it. 0 or -EIO. */
__attribute__((warn_unused_result)) int config_print(
    const struct config *c, const struct policy *p, FILE *out);

#endif
