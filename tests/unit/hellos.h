/* SPDX-License-Identifier: Apache-2.0 */
/* ClientHellos of tests, written field by field so that each can be wrong. */
#ifndef SLUICE_TESTS_HELLOS_H
#define SLUICE_TESTS_HELLOS_H

#include <string.h>

#include "base/wr.h"
#include "wire/tls_hello.h"

/* What is in a hello. */
struct hello_spec {
	const char *name;       /* NULL: no SNI */
	const char *name_again; /* a second entry in the list */
	uint8_t name_type;
	bool has_two_sni; /* the extension twice */
	bool has_ech;
	bool has_no_extensions;
	const char *alpn;    /* one protocol; NULL: none */
	uint16_t padding;    /* bytes of an extension that means nothing */
	uint16_t count_more; /* empty extensions of other types */
	int list_lie;        /* added to the length of the SNI list */
	int name_lie;        /* ... of the name */
	int ext_lie;         /* ... of the extension */
	int all_lie;         /* ... of all extensions */
};

static inline void hello_put_zeros(struct wr *w, uint32_t count)
{
	for (; count > 0; count--)
		wr_u8(w, 0);
}

static inline void hello_put_sni(struct wr *w, const struct hello_spec *s)
{
	size_t len = strlen(s->name);
	size_t list = 3 + len + (s->name_again ? 3 + strlen(s->name_again) : 0);

	wr_be16(w, 0);
	wr_be16(w, (uint16_t)((int)list + 2 + s->ext_lie));
	wr_be16(w, (uint16_t)((int)list + s->list_lie));
	wr_u8(w, s->name_type);
	wr_be16(w, (uint16_t)((int)len + s->name_lie));
	wr_copy(w, s->name, len);
	if (s->name_again) {
		wr_u8(w, 0);
		wr_be16(w, (uint16_t)strlen(s->name_again));
		wr_copy(w, s->name_again, strlen(s->name_again));
	}
}

static inline void hello_put_extensions(struct wr *w, const struct hello_spec *s)
{
	wr_be16(w, 43); /* supported versions: 1.3, 1.2 */
	wr_be16(w, 5);
	wr_u8(w, 4);
	wr_be32(w, 0x03040303);
	if (s->padding > 0) {
		wr_be16(w, 21);
		wr_be16(w, s->padding);
		hello_put_zeros(w, s->padding);
	}
	if (s->name)
		hello_put_sni(w, s);
	if (s->name && s->has_two_sni)
		hello_put_sni(w, s);
	if (s->alpn) {
		size_t len = strlen(s->alpn);

		wr_be16(w, 16);
		wr_be16(w, (uint16_t)(len + 3));
		wr_be16(w, (uint16_t)(len + 1));
		wr_u8(w, (uint8_t)len);
		wr_copy(w, s->alpn, len);
	}
	if (s->has_ech) {
		wr_be16(w, 0xfe0d);
		wr_be16(w, 8);
		hello_put_zeros(w, 8);
	}
	for (uint32_t i = 0; i < s->count_more; i++) {
		wr_be16(w, (uint16_t)(0x8000 + i));
		wr_be16(w, 0);
	}
}

/* Writes the handshake message with its head. */
static inline void hello_put(struct wr *w, const struct hello_spec *s)
{
	uint8_t *start = w->pos;
	uint8_t *extensions;
	size_t len;

	wr_be32(w, 0x01000000);
	wr_be16(w, 0x0303);
	hello_put_zeros(w, 32);
	wr_u8(w, 0);
	wr_be16(w, 2);
	wr_be16(w, 0x1301);
	wr_be16(w, 0x0100);
	if (!s->has_no_extensions) {
		extensions = w->pos;
		wr_be16(w, 0);
		hello_put_extensions(w, s);
		len = (size_t)(w->pos - extensions) - 2;
		put_be16(extensions, (uint16_t)((int)len + s->all_lie));
	}
	len = (size_t)(w->pos - start) - 4;
	start[1] = (uint8_t)(len >> 16);
	put_be16(start + 2, (uint16_t)len);
}

/* Writes a message as records of at most per bytes. */
static inline void hello_put_records(struct wr *w, const uint8_t *message, size_t len, size_t per)
{
	while (len > 0) {
		size_t take = len < per ? len : per;

		wr_u8(w, 22);
		wr_be16(w, 0x0301);
		wr_be16(w, (uint16_t)take);
		wr_copy(w, message, take);
		message += take;
		len -= take;
	}
}

#endif
