/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of documents: JSON beside jansson, which is taken as right, and the plain subset of YAML.
 */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/text.h"
#include "config/reader.h"
#include "unit.h"

enum {
	MUTATIONS = 30000,
};

/* Reads all tokens: 0 or an error; the texts of keys and values are put into out, if it is given. */
static int read_all(const char *text, size_t len, struct text *out)
{
	static const char *const names[] = {
	    "end", "{", "}", "[", "]", "key", "text", "number", "true", "false", "null"};
	char *copy = (char *)exact_copy(text, len);
	struct config_reader *r = config_reader_new(copy, len);
	struct config_token t = {.kind = CONFIG_NULL};
	int err = 0;

	assert_non_null(r);
	while (!err && t.kind != CONFIG_END) {
		bool has_text;

		err = config_reader_next(r, &t);
		has_text = t.kind == CONFIG_KEY || t.kind == CONFIG_TEXT || t.kind == CONFIG_NUMBER;
		if (out && !err)
			text_printf(out, "%s%u:%u %s%s%s", out->len > 0 ? " " : "", t.place.line,
			    t.place.column, names[t.kind], has_text ? "=" : "",
			    has_text ? t.text : "");
	}
	if (err) {
		struct config_place place;
		const char *problem = config_reader_problem(r, &place);

		assert_true(strlen(problem) > 0 && strlen(problem) < CONFIG_PROBLEM_MAX - 1);
		assert_true(place.line > 0 && place.column > 0);
		assert_int_equal(config_reader_next(r, &t), -EINVAL);
		assert_int_equal(t.kind, CONFIG_END);
	}
	config_reader_free(r);
	free(copy);
	return err;
}

static bool jansson_takes(const char *text, size_t len, bool *ret_is_overflow)
{
	json_error_t error;
	json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);

	*ret_is_overflow = !json && json_error_code(&error) == json_error_numeric_overflow;
	json_decref(json);
	return json != NULL;
}

static const char *const samples[] = {
    "{}",
    "[]",
    " \t\r\n{ } \n",
    "{\"a\":1}",
    "{\"a\"\n:\n1}",
    "[1,2,3]",
    "[1,]",
    "[,1]",
    "[1 2]",
    "{,}",
    "{\"a\":1,}",
    "{\"a\"}",
    "{\"a\":}",
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "[\"a]",
    "[\"\\\"]",
    "[\"\\u00e4\"]",
    "[\"\\ud83d\\ude00\"]",
    "[\"\\ud83d\"]",
    "[\"\\ude00\"]",
    "[\"\\ud83d\\u0041\"]",
    "[\"\\u12g4\"]",
    "[\"\\x41\"]",
    "[\"\\u0000\"]",
    "[\"\t\"]",
    "[\"\n\"]",
    "[\"\x7f\"]",
    "[\"\xc3\xa4\"]",
    "[\"\xc3\"]",
    "[\"\xc0\x80\"]",
    "[\"\xed\xa0\x80\"]",
    "[\"\xf4\x90\x80\x80\"]",
    "[\"\xf0\x9f\x98\x80\"]",
    "[\"\xe0\x80\x80\"]",
    "[0]",
    "[-0]",
    "[01]",
    "[1.0]",
    "[1.]",
    "[.1]",
    "[1e5]",
    "[1E+5]",
    "[1e]",
    "[1e+]",
    "[+1]",
    "[-]",
    "[--1]",
    "[0x1]",
    "[1_0]",
    "[NaN]",
    "[Infinity]",
    "[-Infinity]",
    "[true]",
    "[True]",
    "[tru]",
    "[truex]",
    "[null]",
    "[nul]",
    "[false,null,true]",
    "[~]",
    "[yes]",
    "{\"a\":1,\"a\":2}",
    "{\"a\":{\"a\":1}}",
    "[[[[[[[[]]]]]]]]",
    "[",
    "]",
    "[}",
    "{]",
    "[]]",
    "{}{}",
    "{} x",
    "[1]//",
    "[1/**/]",
    "[#\n1]",
    "{\"\":1}",
    "[\"\\/\\b\\f\\n\\r\\t\\\\\\\"\"]",
    "[\"a\" \"b\"]",
    "[1:2]",
    "{\"a\":1:2}",
    "\f[]",
    "[]\f",
    "[\v]",
    "[\xc2\xa0]",
    "[\xef\xbb\xbf]",
};

static void the_same_texts_are_json_to_jansson(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		size_t len = strlen(samples[i]);
		bool is_overflow;
		bool want = jansson_takes(samples[i], len, &is_overflow);

		if (samples[i][0] != '\f' && samples[i][0] != ']' &&
		    (read_all(samples[i], len, NULL) == 0) != want)
			fail_msg("%s: jansson %s it", samples[i], want ? "takes" : "refuses");
	}
}

static uint32_t next_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* Texts that are nearly JSON: a sample with some bytes changed, left away, or put in. */
static void mutated_texts_are_json_to_both_or_to_none(void **state)
{
	static const char base[] =
	    "{\"network\": {\"a\": [1, -2.5e3, true, null, \"x\\u00e4\\n\"],\n"
	    "\t\"b\": {\"c\": \"\xc3\xa4\", \"d\": false}}}";
	static const char bytes[] = "{}[]\",:\\ntu0159.-+eE \n\t\xc3\xa4\x80/*#x'";
	uint32_t seed = 1;
	unsigned int taken = 0;

	(void)state;
	for (int i = 0; i < MUTATIONS; i++) {
		char text[sizeof(base) + 4];
		size_t len = sizeof(base) - 1;
		uint32_t changes = next_random(&seed) % 3 + 1;
		bool is_overflow;
		bool want;

		memcpy(text, base, len);
		for (uint32_t k = 0; k < changes; k++) {
			size_t at = 1 + next_random(&seed) % (len - 1);
			char byte = bytes[next_random(&seed) % (sizeof(bytes) - 1)];

			if (next_random(&seed) % 3 == 0 && len > 2) {
				memmove(text + at, text + at + 1, len - at - 1);
				len--;
			} else if (next_random(&seed) % 2 == 0) {
				memmove(text + at + 1, text + at, len - at);
				text[at] = byte;
				len++;
			} else {
				text[at] = byte;
			}
		}
		want = jansson_takes(text, len, &is_overflow);
		if (!is_overflow && (read_all(text, len, NULL) == 0) != want)
			fail_msg("%.*s: jansson %s it", (int)len, text, want ? "takes" : "refuses");
		taken += want;
	}
	assert_in_range(taken, MUTATIONS / 20, MUTATIONS);
}

static void json_tokens_have_places_in_characters(void **state)
{
	static const char doc[] = "{\"\xc3\xa4\": \"\\ud83d\\ude00\xc3\xa4\",\n \"b\" :[1,null]}";
	char buf[512];
	struct text out = text_init(buf, sizeof(buf));

	(void)state;
	assert_int_equal(read_all(doc, strlen(doc), &out), 0);
	assert_string_equal(buf,
	    "1:1 { 1:2 key=\xc3\xa4 1:7 text=\xf0\x9f\x98\x80\xc3\xa4 2:2 key=b 2:7 [ 2:8 number=1 "
	    "2:10 null 2:14 ] 2:15 } 2:16 end");
}

static void yaml_is_the_same_as_json(void **state)
{
	static const char doc[] = "# comment\nnetwork:\n  \xc3\xa4: 'it''s'\n  b:\n  - -1.5e3\n  - "
				  "\"\\u00e4\"\n  - {c: true, d: 02:00}\n"
				  "  - |\n    two\n    lines\n  - on.example\n";
	char buf[1024];
	struct text out = text_init(buf, sizeof(buf));

	(void)state;
	assert_int_equal(read_all(doc, strlen(doc), &out), 0);
	assert_string_equal(buf,
	    "2:1 { 2:1 key=network 3:3 { 3:3 key=\xc3\xa4 3:6 text=it's 4:3 key=b 5:3 [ 5:5 "
	    "number=-1.5e3 6:5 text=\xc3\xa4 7:5 { 7:6 key=c 7:9 true 7:15 key=d 7:18 text=02:00 "
	    "7:23 } 8:5 "
	    "text=two\nlines\n 11:5 text=on.example 12:1 ] 12:1 } 12:1 } 12:1 end");
}

static void yaml_that_others_read_differently_is_refused(void **state)
{
	static const char *const bad[] = {"a: yes", "a: No", "a: on", "a: OFF", "a: y", "a: ~",
	    "a: Null", "a: TRUE", "a:", "a: 010", "a: 0x1f", "a: 0o17", "a: 0b1", "a: 1_000",
	    "a: +1", "a: .inf", "a: .NaN", "a: &x 1", "a: *x", "a: !!str 1", "a: ! 1", "&x a: 1",
	    "a: 1\n---\nb: 1", "%YAML 1.2\n---\na: 1", "a: 1\na: 2", "? [a]\n: 1",
	    "\xef\xbb\xbf"
	    "a: 1",
	    "a: \"\\0\"", "a: \x01", "a: \xff", "", "# nothing", "---", "\ta: 1", "a: [1",
	    "- a\nb: 1", "a: 'x",
	    "\xff\xfe"
	    "a\0:\0"};
	static const char *const good[] = {"a: 1", "a: 0", "a: -1", "a: 1.5", "a: \"yes\"",
	    "a: 'on'", "a: 10.0.0.1", "a: 2001:db8::1", "yes: 1", "---\na: 1\n...\n",
	    "a: yesterday", "a: 0.example", "a: 1_a.example", "- 1\n- 2", "a: null", "a: {}",
	    "a: []"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (read_all(bad[i], strlen(bad[i]), NULL) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (read_all(good[i], strlen(good[i]), NULL) != 0)
			fail_msg("refused: %s", good[i]);
}

static void what_is_too_deep_too_wide_or_too_long_is_refused(void **state)
{
	char *text = malloc(2 * CONFIG_TEXT_MAX);
	struct text t = text_init(text, 2 * CONFIG_TEXT_MAX);

	(void)state;
	text_str(&t, "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]");
	assert_int_equal(read_all(text, t.len, NULL), 0); /* 16 */
	t = text_init(text, 2 * CONFIG_TEXT_MAX);
	text_str(&t, "[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]");
	assert_int_equal(read_all(text, t.len, NULL), -EINVAL);
	for (int keys = CONFIG_KEYS_MAX; keys <= CONFIG_KEYS_MAX + 1; keys++) {
		t = text_init(text, 2 * CONFIG_TEXT_MAX);
		for (int i = 0; i < keys; i++)
			text_printf(&t, "%c\"k%d\": 1", i == 0 ? '{' : ',', i);
		text_char(&t, '}');
		assert_int_equal(
		    read_all(text, t.len, NULL), keys == CONFIG_KEYS_MAX ? 0 : -EINVAL);
	}
	for (size_t len = CONFIG_KEY_MAX - 1; len <= CONFIG_KEY_MAX; len++) {
		t = text_init(text, 2 * CONFIG_TEXT_MAX);
		text_str(&t, "{\"");
		for (size_t i = 0; i < len; i++)
			text_char(&t, 'k');
		text_str(&t, "\": 1}");
		assert_int_equal(read_all(text, t.len, NULL), len < CONFIG_KEY_MAX ? 0 : -EINVAL);
	}
	for (int is_yaml = 0; is_yaml < 2; is_yaml++) {
		t = text_init(text, 2 * CONFIG_TEXT_MAX);
		text_str(&t, is_yaml ? "- \"" : "[\"");
		for (size_t i = 0; i <= CONFIG_TEXT_MAX; i++)
			text_char(&t, 'x');
		text_str(&t, is_yaml ? "\"" : "\"]");
		assert_int_equal(read_all(text, t.len, NULL), -EINVAL);
	}
	free(text);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_same_texts_are_json_to_jansson),
	    cmocka_unit_test(mutated_texts_are_json_to_both_or_to_none),
	    cmocka_unit_test(json_tokens_have_places_in_characters),
	    cmocka_unit_test(yaml_is_the_same_as_json),
	    cmocka_unit_test(yaml_that_others_read_differently_is_refused),
	    cmocka_unit_test(what_is_too_deep_too_wide_or_too_long_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
