/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names that rules have; see name_index.h.
 *
 * Open addressing with steps of one. The table has room for all names and more, so that a walk over slots
 * always ends at an empty one.
 */
#include "policy/name_index.h"

#include <assert.h>
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

struct name_slot *name_index_slot(
    const struct name_index *x, const char *text, size_t len, uint64_t hash)
{
	uint32_t tag = (uint32_t)(hash >> 32);

	for (uint32_t i = (uint32_t)hash & x->slot_mask;; i = (i + 1) & x->slot_mask) {
		struct name_slot *slot = &x->slots[i];
		const struct name_record *r;

		if (slot->record == 0)
			return slot;
		if (slot->tag != tag)
			continue;
		r = name_record_at(x, slot->record);
		if (r->len == len && memcmp(r->text, text, len) == 0)
			return slot;
	}
}

/* Where the label that ends before `end` starts. */
static size_t label_start(const char *text, size_t end)
{
	const char *dot = memrchr(text, '.', end);

	return dot ? (size_t)(dot - text) + 1 : 0;
}

struct name_record *name_index_add(struct name_index *x, const char *text, size_t len)
{
	struct name_record *r;
	struct name_slot *slot;
	unsigned int labels = 0;
	uint64_t hash = 0;

	for (size_t end = len + 1; end > 0; labels++) {
		size_t start = label_start(text, end - 1);

		hash = name_hash(&x->key, hash, text + start, end - 1 - start);
		end = start;
	}
	slot = name_index_slot(x, text, len, hash);
	if (slot->record != 0)
		return (struct name_record *)(void *)(x->records + slot->record);
	slot->tag = (uint32_t)(hash >> 32);
	slot->record = x->record_bytes;
	x->depths[labels >> 6 & 1] |= (uint64_t)1 << (labels & 63);
	r = (struct name_record *)(void *)(x->records + x->record_bytes);
	*r = (struct name_record){.ref = UINT32_MAX, .len = (uint8_t)len};
	memcpy(r->text, text, len);
	x->record_bytes += record_size(len);
	return r;
}

const struct name_record *name_walk_next(struct name_walk *w, bool *ret_is_whole)
{
	const struct name_index *x = w->index;
	const char *text = w->name->text;

	while (x->slots && w->name->len > 0 && w->start > 0) {
		size_t end = w->start - 1;
		const struct name_slot *slot;

		w->start = label_start(text, end);
		w->hash = name_hash(&x->key, w->hash, text + w->start, end - w->start);
		w->labels++;
		if (!name_index_has_depth(x, w->labels))
			continue;
		slot = name_index_slot(x, text + w->start, w->name->len - w->start, w->hash);
		if (slot->record == 0)
			continue;
		*ret_is_whole = w->start == 0;
		return name_record_at(x, slot->record);
	}
	return NULL;
}
