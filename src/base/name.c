/* SPDX-License-Identifier: Apache-2.0 */
/* Names in canonical form: name.h. */
#include "base/name.h"

static char canonical(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c + ('a' - 'A'));
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')
		return c;
	return '\0';
}

/* The forms that inet_aton(3) reads, in each part: decimal, octal, hexadecimal. */
static bool is_number(const char *label, size_t len)
{
	size_t i = len >= 2 && label[0] == '0' && label[1] == 'x' ? 2 : 0;
	bool is_hex = i > 0;

	for (; i < len; i++) {
		char c = label[i];

		if (!(c >= '0' && c <= '9') && !(is_hex && c >= 'a' && c <= 'f'))
			return false;
	}
	return true;
}

static enum name_fault fault_at(enum name_fault fault, size_t at, size_t *ret_at)
{
	if (ret_at)
		*ret_at = at;
	return fault;
}

enum name_fault name_read(const char *text, size_t len, struct name *ret_name, size_t *ret_at)
{
	struct name n = {0};
	size_t label = 0; /* offset of the one being read */

	if (len > 1 && text[len - 1] == '.')
		len--;
	if (len == 0)
		return fault_at(NAME_EMPTY, 0, ret_at);
	for (size_t i = 0; i <= len; i++) {
		char c = '.';

		if (i < len)
			c = canonical(text[i]);

		if (i == len || text[i] == '.') {
			if (i == label)
				return fault_at(NAME_EMPTY, i, ret_at);
			n.labels++;
			if (i == len)
				break;
			label = i + 1;
			c = '.';
		} else if (c == '\0') {
			return fault_at(NAME_FOREIGN, i, ret_at);
		} else if (i - label >= NAME_LABEL_MAX) {
			return fault_at(NAME_LONG, label, ret_at);
		}
		if (i >= NAME_TEXT_MAX - 1)
			return fault_at(NAME_LONG, 0, ret_at);
		n.text[i] = c;
	}
	if (is_number(n.text + label, len - label))
		return fault_at(NAME_NUMBER, label, ret_at);
	n.len = (uint8_t)len;
	*ret_name = n;
	return NAME_OK;
}

const char *name_fault_text(enum name_fault fault)
{
	switch (fault) {
	case NAME_OK:
		break;
	case NAME_EMPTY:
		return "an empty label";
	case NAME_LONG:
		return "more than 63 bytes in a label, or 253 in all";
	case NAME_FOREIGN:
		return "a byte that is no letter, digit, hyphen, underscore or dot";
	case NAME_NUMBER:
		return "a number as its last label, as addresses have";
	}
	return "nothing";
}
