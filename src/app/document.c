/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration document for commands; see document.h. Messages look as those of compilers, so that editors
 * find the place:
 *
 *	agent.yaml:3:13: error: policy.rules[0]: unknown target 'pubic': did you mean 'public'?
 *	    3 |     - allow@pubic
 *	      |             ^
 */
#include "app/document.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/complain.h"
#include "base/text.h"
#include "config/file.h"

enum {
	LINE_SHOWN_MAX = 120, /* characters of a line */
	SHOWN_MAX = 4096,
};

/* One character of the line, so that it takes one column; returns its bytes. */
static size_t put_char(struct text *t, const char *at, size_t room)
{
	unsigned char c = (unsigned char)*at;
	size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	if (len > room)
		len = room;
	if (c == '\t')
		text_char(t, ' ');
	else if (c < 0x20 || c == 0x7f || len > 1)
		text_char(t, '?'); /* wide ones would move the mark */
	else
		text_char(t, (char)c);
	return len;
}

/* The line with a mark below, or the part of it that has the place. */
static void put_line(struct text *t, const struct config_message *m)
{
	uint32_t first = m->place.column > LINE_SHOWN_MAX / 2 && m->line_len > LINE_SHOWN_MAX
			     ? m->place.column - LINE_SHOWN_MAX / 2
			     : 1;
	uint32_t column = 1;
	uint32_t marks = m->width;
	size_t at = 0;

	text_printf(t, "%5u | ", m->place.line);
	for (; at < m->line_len && column < first + LINE_SHOWN_MAX; column++) {
		char scratch[8];
		struct text skipped = text_init(scratch, sizeof(scratch));

		at += put_char(column < first ? &skipped : t, m->line + at, m->line_len - at);
	}
	text_str(t, "\n      | ");
	for (uint32_t i = first; i < m->place.column; i++)
		text_char(t, ' ');
	text_char(t, '^');
	if (m->place.column < column && marks > column - m->place.column)
		marks = column - m->place.column;
	for (uint32_t i = 1; i < marks && i < LINE_SHOWN_MAX; i++)
		text_char(t, '~');
	text_char(t, '\n');
}

void document_show(const struct config_message *m)
{
	char buf[SHOWN_MAX];
	struct text t = text_init(buf, sizeof(buf));

	text_printf(&t, "%s:%u:%u: %s: %s\n", m->file, m->place.line, m->place.column,
	    m->is_warning ? "warning" : "error", m->text);
	if (m->line)
		put_line(&t, m);
	/* Nobody is left to tell when standard error itself is gone. */
	if (write(STDERR_FILENO, buf, t.len) < 0)
		return;
}

static void on_message(void *ctx, const struct config_message *m)
{
	struct document *d = ctx;

	if (m->is_warning)
		d->warnings++;
	else
		d->errors++;
	if (!m->is_warning || !d->is_quiet)
		document_show(m);
}

void document_warn(struct document *d, const struct config_origin *at, const char *text)
{
	struct config_message m = {.is_warning = true,
	    .file = d->config.files[at->file],
	    .place = at->place,
	    .width = 1,
	    .text = text};

	if (at->file == 0)
		m.line = config_line(d->text, d->len, at->place.line, &m.line_len);
	on_message(d, &m);
}

static int load(struct document *d, const char *path, struct policy_builder *b, bool is_floor)
{
	struct config_text text = {.name = strcmp(path, "-") == 0 ? "<stdin>" : path};
	const struct config_sink sink = {.tell = on_message, .ctx = d};
	const char *presets = getenv("SLUICE_PRESETS");
	int err;

	d->name = text.name;
	d->config = config_init(b);
	d->config.is_floor = is_floor;
	d->config.presets = presets != NULL ? presets : SLUICE_PRESETS;
	err = config_file_read(path, &d->text, &d->len);
	if (err == -EFBIG)
		return complain(
		    "%s is larger than %d bytes; use a smaller document", path, CONFIG_FILE_MAX);
	if (err)
		return complain("%s cannot be read: %s", path, strerror(-err));
	text.text = d->text;
	text.len = d->len;
	err = config_load(&d->config, &text, &sink);
	if (err == -ENOMEM)
		return complain("there is no memory for the document %s", path);
	return err ? 1 : 0;
}

int document_load(struct document *d, const char *path, struct policy_builder *b)
{
	return load(d, path, b, false);
}

int document_load_floor(struct document *d, const char *path, struct policy_builder *b)
{
	struct policy_builder *layer = policy_builder_add_layer(b);

	return layer == NULL ? complain("there is no memory for the rules")
			     : load(d, path, layer, true);
}

void document_fini(struct document *d)
{
	config_fini(&d->config);
	free(d->text);
	d->text = NULL;
}
