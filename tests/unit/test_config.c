/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration document: R6, R7, R9, and tests/golden/config/. Arguments: errors.txt, then documents that
 * load; each has an expectation beside it, NAME.out, which must read back as itself. With -p in front, what should
 * be in the files is printed, for a person to read: errors.txt if it is the only one, else the .out of the first.
 */
#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "config/print.h"
#include "unit.h"

enum {
	FILE_MAX = 65536,
};

static char **documents; /* errors.txt, then the others; NULL behind the last */

struct told {
	char buf[16384];
	struct text text;
};

static void tell(void *ctx, const struct config_message *m)
{
	struct told *t = ctx;

	assert_true(strlen(m->text) < CONFIG_SENTENCE_MAX - 1);
	for (const char *c = m->text; *c; c++)
		assert_in_range(*c, 0x20, 0x7e);
	text_printf(&t->text, "%c %u:%u:%u %s\n", m->is_warning ? '?' : '!', m->place.line,
	    m->place.column, m->width, m->text);
}

/* Loads a text; if ret_out is given, it gets the effective document. */
static int load(const char *text, size_t len, struct told *told, char **ret_out)
{
	struct policy_builder *b = policy_builder_new();
	struct config c = config_init(b);
	char *copy = (char *)exact_copy(text, len);
	struct config_text document = {.name = "doc", .text = copy, .len = len};
	struct config_sink sink = {.tell = tell, .ctx = told};
	struct policy *p = NULL;
	size_t out_len = 0;
	FILE *out;
	int err;

	assert_non_null(b);
	told->text = text_init(told->buf, sizeof(told->buf));
	err = config_load(&c, &document, &sink);
	if (!err && ret_out) {
		assert_int_equal(policy_builder_compile(b, &p), 0);
		out = open_memstream(ret_out, &out_len);
		assert_non_null(out);
		assert_int_equal(config_print(&c, p, out), 0);
		assert_int_equal(fclose(out), 0);
		policy_free(p);
	}
	config_fini(&c);
	policy_builder_free(b);
	free(copy);
	return err;
}

static char *read_file(const char *path, size_t *ret_len)
{
	char *buf = malloc(FILE_MAX);
	FILE *f = fopen(path, "r");

	if (!f)
		fail_msg("%s cannot be read", path);
	*ret_len = fread(buf, 1, FILE_MAX - 1, f);
	buf[*ret_len] = '\0';
	fclose(f);
	return buf;
}

/* ---- documents that load ---- */

static char *out_path(const char *document)
{
	char *path = NULL;

	assert_true(asprintf(&path, "%s.out", document) > 0);
	return path;
}

static char *effective(const char *path, struct told *told)
{
	size_t len;
	char *text = read_file(path, &len);
	char *out = NULL;

	if (load(text, len, told, &out) != 0)
		fail_msg("%s: %s", path, told->buf);
	free(text);
	return out;
}

/* R7, R9, and the documents of both versions of the reference. */
static void documents_load_and_their_effective_form_reads_back_as_itself(void **state)
{
	static struct told told;

	(void)state;
	for (char **d = documents + 1; *d; d++) {
		char *out = effective(*d, &told);
		char *path = out_path(*d);
		char *again;
		size_t len;
		char *want = read_file(path, &len);

		assert_string_equal(out, want);
		again = effective(path, &told);
		assert_string_equal(again, want);
		free(again);
		free(want);
		free(path);
		free(out);
	}
}

/* ---- documents that do not ---- */

struct block {
	struct text document;
	char buf[8192];
};

/* Runs over errors.txt: for each block, its document is loaded; with a printing stream, what should be there is
 * written, else compared. */
static void each_block(const char *path, FILE *printing)
{
	static struct told told;
	static struct block b;
	size_t len;
	char *text = read_file(path, &len);
	char *rest = text;
	char *line;
	char want[8192] = "";
	struct text w = text_init(want, sizeof(want));
	int number = 0;

	b.document = text_init(b.buf, sizeof(b.buf));
	do {
		line = strsep(&rest, "\n");
		number++;
		if (line && line[0] == ' ') {
			text_printf(&b.document, "%s\n", line + 1);
			if (printing)
				fprintf(printing, "%s\n", line);
		} else if (line && (line[0] == '!' || line[0] == '?')) {
			text_printf(&w, "%s\n", line);
		} else if (b.document.len > 0) {
			int err = load(b.buf, b.document.len, &told, NULL);

			if (printing)
				fprintf(printing, "%s%s", told.buf, err ? "" : "(loads)\n");
			else if (strcmp(told.buf, want) != 0)
				fail_msg("%s:%d: told is\n%s", path, number, told.buf);
			b.document = text_init(b.buf, sizeof(b.buf));
			w = text_init(want, sizeof(want));
		}
		if (printing && line && (line[0] == '#' || (line[0] == '\0' && rest)))
			fprintf(printing, "%s\n", line);
	} while (line);
	assert_false(b.document.is_cut || w.is_cut);
	free(text);
}

static void what_is_wrong_is_told_with_its_place(void **state)
{
	(void)state;
	each_block(documents[0], NULL);
}

static void a_document_of_one_error_told_often_is_told_up_to_a_limit(void **state)
{
	static struct told told;
	char doc[4096];
	struct text t = text_init(doc, sizeof(doc));
	size_t lines = 0;

	(void)state;
	text_str(&t, "{\"policy\": {\"rules\": [1");
	for (int i = 1; i < 3 * CONFIG_MESSAGES_MAX; i++)
		text_str(&t, ", 1");
	text_str(&t, "]}}");
	assert_int_equal(load(doc, t.len, &told, NULL), -EINVAL);
	for (const char *c = told.buf; *c; c++)
		lines += *c == '\n';
	assert_int_equal(lines, CONFIG_MESSAGES_MAX);
}

/* The rules of the blocked names stand before the others, wherever the key stands; each rule has its place. */
static void rules_know_where_they_stand(void **state)
{
	static const char doc[] = "policy:\n  rules:\n  - allow@10.0.0.0/8, deny@any\n"
				  "  - {direction: egress, destination: any, action: deny}\n";
	struct policy_builder *b = policy_builder_new();
	struct config c = config_init(b);
	struct config_text document = {.name = "doc", .text = doc, .len = strlen(doc)};
	static struct told told;
	struct config_sink sink = {.tell = tell, .ctx = &told};

	(void)state;
	told.text = text_init(told.buf, sizeof(told.buf));
	assert_int_equal(config_load(&c, &document, &sink), 0);
	assert_int_equal(c.origin_count, 3);
	assert_int_equal(c.origins[0].place.line, 3);
	assert_int_equal(c.origins[1].place.line, 3);
	assert_int_equal(c.origins[2].place.line, 4);
	assert_int_equal(c.origins[2].place.column, 5);
	assert_string_equal(c.files[c.origins[2].file], "doc");
	config_fini(&c);
	policy_builder_free(b);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(documents_load_and_their_effective_form_reads_back_as_itself),
	    cmocka_unit_test(what_is_wrong_is_told_with_its_place),
	    cmocka_unit_test(a_document_of_one_error_told_often_is_told_up_to_a_limit),
	    cmocka_unit_test(rules_know_where_they_stand),
	};

	documents = argv + 1;
	if (argc > 2 && strcmp(argv[1], "-p") == 0) {
		static struct told told;

		if (strstr(argv[2], "errors"))
			each_block(argv[2], stdout);
		else
			fputs(effective(argv[2], &told), stdout);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
