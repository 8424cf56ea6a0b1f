/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration document for commands: read from a file, its mistakes shown to a person. */
#ifndef SLUICE_APP_DOCUMENT_H
#define SLUICE_APP_DOCUMENT_H

#include "config/config.h"

struct document {
	const char *name; /* for messages: the path, or <stdin> */
	char *text;
	size_t len;
	struct config config; /* borrows the builder */
	unsigned int errors;
	unsigned int warnings;
	bool is_quiet; /* warnings are not shown */
};

/* Reads the file and loads it behind what the builder has. 0; 1: errors of the document were shown; -1 after a
 * sentence: it cannot be read, or there is no memory. To be given to document_fini() in any case. */
__attribute__((warn_unused_result)) int document_load(
    struct document *d, const char *path, struct policy_builder *b);

/* The same for a document that is a floor under the rules of b: it has a policy only, which must allow too. */
__attribute__((warn_unused_result)) int document_load_floor(
    struct document *d, const char *path, struct policy_builder *b);
void document_fini(struct document *d);

/* Shows a warning about what stands at the place, in the document's own text if that is where it is. */
void document_warn(struct document *d, const struct config_origin *at, const char *text);

/* Shows a message: file, line, column, sentence, and below that the line with a mark. */
void document_show(const struct config_message *m);

#endif
