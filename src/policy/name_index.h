/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names that rules have: which of them are about a given name? Internal to the policy layer.
 *
 * One hash table has a slot for each name that a rule names. A name is looked up label by label, from the
 * last one on; the hash of a name is that of its first label and of the hash of the rest, so that one
 * pass over the text gives the hashes of all its ends. The hash is keyed (siphash.h): lists of names
 * come from strangers. The text is always compared too.
 */
#ifndef SLUICE_POLICY_NAME_INDEX_H
#define SLUICE_POLICY_NAME_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/name.h"
#include "base/siphash.h"

enum name_kind {
	NAME_EXACT,  /* the name itself */
	NAME_SUFFIX, /* it and all below it */
	NAME_KIND_COUNT
};

/* In name_record.flags. */
enum {
	NAME_RECORD_SUFFIX = 1, /* one rule: kind */
	NAME_RECORD_ALLOW = 2,  /* one rule: action */
	NAME_RECORD_PORTS = 4,  /* one rule: it has several ranges of ports, see there */
	NAME_RECORD_NODE = 8,   /* several rules: ref is the number of a node */
};

/* A name that rules have, with its rule if it is the only one. */
struct name_record {
	uint32_t ref;        /* number of a rule or node */
	uint8_t len;         /* bytes of text */
	uint8_t flags;       /* NAME_RECORD_... */
	uint8_t directions;  /* one rule: POLICY_DIR_... bits */
	uint8_t protos;      /* one rule: bits 1 << enum policy_proto */
	uint16_t port_first; /* one rule: 0 if it has no ports */
	uint16_t port_last;
	char text[]; /* canonical, without NUL */
};

/* The rules of a name that has several. */
struct name_node {
	uint32_t match[NAME_KIND_COUNT][2]; /* by kind and action (snapshot.h) */
	uint32_t asked[NAME_KIND_COUNT];    /* first rule for egress, whatever protocol and port */
};

struct name_slot {
	uint32_t tag;    /* of the hash */
	uint32_t record; /* offset; 0: empty */
};

struct name_index {
	struct name_slot *slots; /* NULL: no rule has a name */
	uint32_t slot_mask;      /* number of slots - 1 */
	uint8_t *records;        /* one behind the other, from NAME_RECORDS_START on */
	uint32_t record_bytes;
	struct name_node *nodes;
	uint32_t node_count;
	uint64_t depths[2];     /* a bit for each number of labels that a name in here has */
	struct siphash_key key; /* of the hash */
};

enum {
	NAME_RECORD_ALIGN = 4,
	NAME_RECORDS_START = 4, /* 0 is the offset of none */
	NAME_PLACES = 6,        /* look-ups that are under way at the same time */
};

static inline const struct name_record *name_record_at(const struct name_index *x, uint32_t offset)
{
	return (const struct name_record *)(const void *)(x->records + offset);
}

static inline bool name_index_has_depth(const struct name_index *x, unsigned int labels)
{
	return (x->depths[labels >> 6 & 1] >> (labels & 63) & 1) != 0;
}

/* An end of a name that may have a record. */
struct name_place {
	uint32_t slot; /* where it would be */
	uint32_t tag;
	uint32_t start; /* in the text of the name */
};

/* Walks over the records of a name: of itself and of each end of it. */
struct name_walk {
	const struct name_index *index;
	const struct name *name;
	uint64_t hash;     /* of what has been hashed */
	uint32_t start;    /* of that in the text */
	uint32_t labels;   /* in that */
	uint32_t place_at; /* next of places */
	uint32_t place_count;
	struct name_place places[NAME_PLACES]; /* hashed and not looked at yet; fetched ahead */
};

/* Begins a walk, and lets the memory come that it will need. */
void name_walk_init(struct name_walk *w, const struct name_index *index, const struct name *name);

/* In between, as early as the memory may have come: lets the records come. */
void name_walk_fetch(const struct name_walk *w);

/* The next record, the shortest end first; NULL: no more. *ret_is_whole: it is the name itself. */
const struct name_record *name_walk_next(struct name_walk *w, bool *ret_is_whole);

/* Makes the index empty, with room for count names of text_bytes together. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int name_index_init(
    struct name_index *x, const struct siphash_key *key, uint32_t count, size_t text_bytes);
void name_index_fini(struct name_index *x);

/* The record of a name, new with ref UINT32_MAX if there was none. There must be room. */
struct name_record *name_index_add(struct name_index *x, const char *text, size_t len);

static inline uint32_t name_record_offset(
    const struct name_index *x, const struct name_record *record)
{
	return (uint32_t)((const uint8_t *)record - x->records);
}

/* Whether the name is one that the record's name stands for. */
static inline bool name_record_has(
    const struct name_record *r, enum name_kind kind, const struct name *name)
{
	size_t rest = (size_t)name->len - r->len;

	if (name->len < r->len || memcmp(name->text + rest, r->text, r->len) != 0)
		return false;
	return rest == 0 || (kind == NAME_SUFFIX && name->text[rest - 1] == '.');
}

/* The record at *offset (NAME_RECORDS_START at first), which it moves on; NULL behind the last. */
const struct name_record *name_index_next(const struct name_index *x, uint32_t *offset);

/* The record of a name itself, or NULL. */
const struct name_record *name_index_find(const struct name_index *x, const struct name *name);

/* Whether rules of a record are about the names below it. */
bool name_record_has_suffix(const struct name_index *x, const struct name_record *r);

/* Bytes of memory that it holds, without struct name_index. */
size_t name_index_memory(const struct name_index *x);

#endif
