/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intrusive doubly linked list. A node that is on no list points to itself, so that
 * list_remove() and list_is_linked() need no list and removing twice is harmless.
 */
#ifndef SLUICE_BASE_LIST_H
#define SLUICE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list_node {
	struct list_node *next;
	struct list_node *prev;
};

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(struct list_node *n)
{
	n->next = n;
	n->prev = n;
}

static inline bool list_is_linked(const struct list_node *n)
{
	return n->next != n;
}

static inline bool list_is_empty(const struct list_node *head)
{
	return head->next == head;
}

static inline void list_remove(struct list_node *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}

/* Appends n, which is on no list, at the tail. */
static inline void list_append(struct list_node *head, struct list_node *n)
{
	n->prev = head->prev;
	n->next = head;
	head->prev->next = n;
	head->prev = n;
}

/* Moves n, on this list or on none, to the tail. */
static inline void list_move_tail(struct list_node *head, struct list_node *n)
{
	list_remove(n);
	list_append(head, n);
}

/* Puts n, which is on no list, at the head. */
static inline void list_prepend(struct list_node *head, struct list_node *n)
{
	list_append(head->next, n);
}

static inline struct list_node *list_first(struct list_node *head)
{
	return list_is_empty(head) ? NULL : head->next;
}

/* Moves all of from to the tail of to, in order; from is empty afterwards. */
static inline void list_splice_tail(struct list_node *to, struct list_node *from)
{
	if (list_is_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#endif
