/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration document (sluice-config(5)): what the options of the command line say, in a file. It is the
 * reference's NetworkConfig and more: documents written for that load unchanged, but what is unknown is
 * refused, and so is what asks for a part that does not exist yet.
 *
 * Documents are read before the guest's first byte, by the process that the user started.
 */
#ifndef SLUICE_CONFIG_CONFIG_H
#define SLUICE_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/reader.h"
#include "engine/publish_spec.h"
#include "engine/settings.h"
#include "policy/policy.h"

enum {
	CONFIG_MESSAGES_MAX = 20, /* errors of one document that are told */
	CONFIG_SENTENCE_MAX = 640,
};

/* What is wrong or strange in a document. */
struct config_message {
	bool is_warning;
	const char *file; /* as given */
	struct config_place place;
	uint32_t width;   /* characters from there on that are meant, at least 1 */
	const char *line; /* of the document, line_len bytes, not terminated; NULL: there is none */
	size_t line_len;
	const char *text; /* one sentence behind the path of the key; printable ASCII */
};

struct config_sink {
	void (*tell)(void *ctx, const struct config_message *m);
	void *ctx;
};

/* The line-th line of a text, without its end, or NULL. */
const char *config_line(const char *text, size_t len, uint32_t line, size_t *ret_len);

struct config_text {
	const char *name; /* the file, for messages */
	const char *text;
	size_t len;
};

/* Where a rule stands. */
struct config_origin {
	uint32_t file; /* index of config.files */
	struct config_place place;
};

struct config {
	struct settings settings; /* defaults, and over them what the document says */
	struct policy_builder
	    *builder; /* borrowed: rules and profiles are added behind what it has */
	bool is_enabled;
	bool has_policy; /* the document has the key */
	bool is_floor;   /* set by the caller: a document with a policy and nothing else is read */

	const char *
	    presets; /* directories, separated by ':', in which they are; borrowed; NULL: none can be included */
	unsigned int includes; /* so far */

	struct publish_spec *ports; /* owned: what is published, with the gateway as its source */
	size_t port_count;

	struct config_origin *origins; /* of the rules that were added, in order */
	size_t origin_count;
	size_t origin_cap;
	char **files; /* names, the document first */
	size_t file_count;
};

/* An empty configuration, as of a document {}; borrows the builder. */
struct config config_init(struct policy_builder *builder);
void config_fini(struct config *c);

/* Reads a document. 0; -EINVAL: at least one error was told, and the configuration is of no use; -ENOMEM. */
__attribute__((warn_unused_result)) int config_load(
    struct config *c, const struct config_text *document, const struct config_sink *sink);

#endif
