/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents: any text is loaded or refused with sentences that can be printed anywhere and have a place in it; what
 * is loaded prints as a document that loads, and prints as the same again.
 */
#include "fuzz.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/print.h"

static void require(bool claim)
{
	if (!claim)
		abort();
}

struct told {
	uint32_t lines; /* of the text */
	unsigned int errors;
};

static void on_message(void *ctx, const struct config_message *m)
{
	struct told *t = ctx;
	size_t len = strlen(m->text);

	require(len > 0 && len < CONFIG_SENTENCE_MAX);
	for (size_t i = 0; i < len; i++)
		require(m->text[i] >= 0x20 && m->text[i] <= 0x7e);
	require(m->place.line >= 1 && m->place.line <= t->lines + 1);
	require(m->place.column >= 1 && m->width >= 1);
	t->errors += !m->is_warning;
}

/* Loads the text; *ret_out is what it prints as. False: it was refused. */
static bool load(const char *text, size_t len, char **ret_out)
{
	struct policy_builder *b = policy_builder_new();
	struct config c = config_init(b);
	struct config_text document = {.name = "document", .text = text, .len = len};
	struct told told = {.lines = 1};
	struct config_sink sink = {.tell = on_message, .ctx = &told};
	struct policy *p = NULL;
	size_t out_len;
	FILE *out;
	int err;

	/* What libyaml takes for the end of a line. */
	for (size_t i = 0; i < len; i++)
		told.lines += text[i] == '\n' || text[i] == '\r' || (text[i] & 0x80) != 0;
	require(b != NULL);
	err = config_load(&c, &document, &sink);
	require(err == 0 || err == -EINVAL);
	require((err == 0) == (told.errors == 0));
	if (err == 0) {
		require(policy_builder_compile(b, &p) == 0);
		out = open_memstream(ret_out, &out_len);
		require(out && config_print(&c, p, out) == 0 && fclose(out) == 0);
		policy_free(p);
	}
	config_fini(&c);
	policy_builder_free(b);
	return err == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size > 0 ? size : 1);
	char *first = NULL;
	char *second = NULL;

	require(text != NULL);
	if (size > 0)
		memcpy(text, data, size);
	if (load(text, size, &first)) {
		require(load(first, strlen(first), &second));
		require(strcmp(first, second) == 0);
	}
	free(second);
	free(first);
	free(text);
	return 0;
}
