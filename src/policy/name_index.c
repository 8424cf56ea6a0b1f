/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names that rules have; see name_index.h.
 *
 * Open addressing with steps of one. The table has room for all names and more, so that a walk over slots
 * always ends at an empty one.
 */
#include "policy/name_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	SLOTS_MIN = 8,
};

static uint32_t record_size(size_t text_len)
{
	size_t size = sizeof(struct name_record) + text_len;

	return (uint32_t)((size + NAME_RECORD_ALIGN - 1) / NAME_RECORD_ALIGN * NAME_RECORD_ALIGN);
}

int name_index_init(
    struct name_index *x, const struct siphash_key *key, uint32_t count, size_t text_bytes)
{
	uint64_t slots = SLOTS_MIN;

	memset(x, 0, sizeof(*x));
	x->key = *key;
	if (count == 0)
		return 0;
	while (slots * 3 < (uint64_t)count * 4)
		slots *= 2;
	x->slots = calloc(slots, sizeof(*x->slots));
	x->records = malloc(NAME_RECORDS_START + text_bytes +
			    (size_t)count * (sizeof(struct name_record) + NAME_RECORD_ALIGN - 1));
	if (!x->slots || !x->records)
		return -ENOMEM;
	x->slot_mask = (uint32_t)(slots - 1);
	x->record_bytes = NAME_RECORDS_START;
	return 0;
}

void name_index_fini(struct name_index *x)
{
	free(x->slots);
	free(x->records);
	free(x->nodes);
	memset(x, 0, sizeof(*x));
}

size_t name_index_memory(const struct name_index *x)
{
	return (x->slots ? (x->slot_mask + (size_t)1) * sizeof(*x->slots) : 0) + x->record_bytes +
	       x->node_count * sizeof(*x->nodes);
}

/* The hash of a name of which rest is that of all labels but the first (0: there are none). */
static uint64_t hash_label(
    const struct siphash_key *key, uint64_t rest, const char *label, size_t len)
{
	struct siphash_key chained = {.k = {key->k[0] ^ rest, key->k[1]}};

	return siphash13(&chained, label, len);
}

/* The slot of a name, or the empty one where it belongs. */
static struct name_slot *find_slot(
    const struct name_index *x, const char *text, size_t len, uint32_t slot, uint32_t tag)
{
	for (uint32_t i = slot;; i = (i + 1) & x->slot_mask) {
		const struct name_record *r;

		if (x->slots[i].record == 0)
			return &x->slots[i];
		if (x->slots[i].tag != tag)
			continue;
		r = name_record_at(x, x->slots[i].record);
		if (r->len == len && memcmp(r->text, text, len) == 0)
			return &x->slots[i];
	}
}

/* Where the label that ends before `end` starts. */
static uint32_t label_start(const char *text, uint32_t end)
{
	while (end > 0 && text[end - 1] != '.')
		end--;
	return end;
}

struct name_record *name_index_add(struct name_index *x, const char *text, size_t len)
{
	struct name_record *r;
	struct name_slot *slot;
	uint32_t labels = 0;
	uint64_t hash = 0;
	uint32_t tag;

	for (uint32_t end = (uint32_t)len + 1; end > 0; labels++) {
		uint32_t start = label_start(text, end - 1);

		hash = hash_label(&x->key, hash, text + start, end - 1 - start);
		end = start;
	}
	tag = (uint32_t)(hash >> 32);
	slot = find_slot(x, text, len, (uint32_t)hash & x->slot_mask, tag);
	if (slot->record != 0)
		return (struct name_record *)(void *)(x->records + slot->record);
	slot->tag = tag;
	slot->record = x->record_bytes;
	x->depths[labels >> 6 & 1] |= (uint64_t)1 << (labels & 63);
	r = (struct name_record *)(void *)(x->records + x->record_bytes);
	*r = (struct name_record){.ref = UINT32_MAX, .len = (uint8_t)len};
	memcpy(r->text, text, len);
	x->record_bytes += record_size(len);
	return r;
}

/* Hashes on until there is no place more, or the name ends. */
static void walk_on(struct name_walk *w)
{
	const struct name_index *x = w->index;
	const char *text = w->name->text;

	w->place_at = 0;
	w->place_count = 0;
	while (w->start > 0 && w->place_count < NAME_PLACES) {
		uint32_t end = w->start - 1;
		struct name_place *place;

		w->start = label_start(text, end);
		w->hash = hash_label(&x->key, w->hash, text + w->start, end - w->start);
		w->labels++;
		if (!name_index_has_depth(x, w->labels))
			continue;
		place = &w->places[w->place_count++];
		place->slot = (uint32_t)w->hash & x->slot_mask;
		place->tag = (uint32_t)(w->hash >> 32);
		place->start = w->start;
		__builtin_prefetch(&x->slots[place->slot]);
	}
}

void name_walk_init(struct name_walk *w, const struct name_index *index, const struct name *name)
{
	w->index = index;
	w->name = name;
	w->hash = 0;
	w->start = index->slots && name->len > 0 ? name->len + 1U : 0;
	w->labels = 0;
	walk_on(w);
}

void name_walk_fetch(const struct name_walk *w)
{
	const struct name_index *x = w->index;

	for (uint32_t i = w->place_at; i < w->place_count; i++) {
		const struct name_slot *slot = &x->slots[w->places[i].slot];

		if (slot->record != 0 && slot->tag == w->places[i].tag)
			__builtin_prefetch(x->records + slot->record);
	}
}

const struct name_record *name_walk_next(struct name_walk *w, bool *ret_is_whole)
{
	const struct name_index *x = w->index;

	while (w->place_count > 0) {
		const struct name_place *place;
		const struct name_slot *slot;

		if (w->place_at == w->place_count) {
			walk_on(w);
			continue;
		}
		place = &w->places[w->place_at++];
		slot = find_slot(x, w->name->text + place->start, w->name->len - place->start,
		    place->slot, place->tag);
		if (slot->record == 0)
			continue;
		*ret_is_whole = place->start == 0;
		return name_record_at(x, slot->record);
	}
	return NULL;
}

const struct name_record *name_index_next(const struct name_index *x, uint32_t *offset)
{
	const struct name_record *r;

	if (*offset >= x->record_bytes)
		return NULL;
	r = name_record_at(x, *offset);
	*offset += record_size(r->len);
	return r;
}

const struct name_record *name_index_find(const struct name_index *x, const struct name *name)
{
	const struct name_record *r;
	struct name_walk w;
	bool is_whole;

	name_walk_init(&w, x, name);
	while ((r = name_walk_next(&w, &is_whole)))
		if (is_whole)
			return r;
	return NULL;
}

bool name_record_has_suffix(const struct name_index *x, const struct name_record *r)
{
	const uint32_t *match;

	if ((r->flags & NAME_RECORD_NODE) == 0)
		return (r->flags & NAME_RECORD_SUFFIX) != 0;
	match = x->nodes[r->ref].match[NAME_SUFFIX];
	return (match[0] & match[1]) != UINT32_MAX; /* both are MATCH_NONE */
}
