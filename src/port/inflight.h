/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inflight region of vhost-user (QEMU, docs/interop/vhost-user.rst, "Inflight I/O tracking"): which chains of a
 * split virtqueue the back end has in hand, in memory that the front end keeps when the back end ends, so that its
 * successor can take them up again.
 *
 * The front end can write the region; whatever is in it is checked.
 */
#ifndef SLUICE_PORT_INFLIGHT_H
#define SLUICE_PORT_INFLIGHT_H

#include <stddef.h>
#include <stdint.h>

/* The part of one queue. */
struct inflight_queue {
	uint8_t *at;      /* inflight_size() bytes */
	uint32_t num;     /* entries of the queue */
	uint64_t counter; /* of the next chain that is taken */
	uint16_t batch;   /* chains put and not yet published */
};

/* Bytes for a queue of num entries. */
size_t inflight_size(uint32_t num);

/* Takes the part at that place: a fresh one (zeros) or one that a back end left. 0, or -EINVAL: it is of another
 * version, another size, or not aligned. */
__attribute__((warn_unused_result)) int inflight_init(
    struct inflight_queue *q, uint8_t *at, uint32_t num);

/* What a predecessor had in hand, oldest first, when the driver saw used_idx. *ret_heads is from malloc(3), or NULL if
 * there is nothing. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int inflight_resume(
    struct inflight_queue *q, uint16_t used_idx, uint16_t **ret_heads, uint16_t *ret_count);

/* A chain is taken; is given back; all that were given back are shown to the driver, whose used index becomes used_idx. */
void inflight_take(struct inflight_queue *q, uint16_t head);
void inflight_put(struct inflight_queue *q, uint16_t head);
void inflight_publish(struct inflight_queue *q, uint16_t used_idx);

#endif
