/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames on their way to a guest behind a socket; see sendq.h.
 *
 * The arena is used in a circle. A frame lies in one piece, so the end of the arena stays unused when the
 * next does not fit there; and so does what a commit leaves of its reservation while a newer one
 * is open. Invariants (tests/unit/test_sendq.c): frames do not overlap; their order in the
 * arena is that of the queue, with at most one step back to the start; the end never meets the
 * oldest frame, so that a full queue is told from an empty one.
 */
#include "port/sendq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct sendq_frame *frame_at(struct sendq *q, uint32_t index)
{
	return &q->frames[index % SENDQ_FRAMES];
}

static const struct sendq_frame *frame_of(const struct sendq *q, uint32_t index)
{
	return &q->frames[index % SENDQ_FRAMES];
}

int sendq_init(struct sendq *q, uint32_t prefix_len)
{
	*q = (struct sendq){.prefix_len = prefix_len, .arena = malloc(SENDQ_BYTES)};
	return q->arena ? 0 : -ENOMEM;
}

void sendq_fini(struct sendq *q)
{
	free(q->arena);
	q->arena = NULL;
}

/* Where len bytes fit behind the newest frame, or -1. */
static int64_t find_room(const struct sendq *q, uint32_t len)
{
	uint32_t oldest;

	if (q->first == q->next)
		return len <= SENDQ_BYTES ? 0 : -1;
	oldest = frame_of(q, q->first)->at;
	if (q->end <= oldest)
		return oldest - q->end > len ? (int64_t)q->end : -1;
	if (SENDQ_BYTES - q->end >= len)
		return (int64_t)q->end;
	return oldest > len ? 0 : -1;
}

int sendq_reserve(struct sendq *q, uint32_t head_len, uint32_t body_len, struct nic_slot *ret_slot)
{
	uint32_t len = q->prefix_len + head_len + body_len;
	uint32_t wanted = len < q->prefix_len + ETH_MIN_FRAME ? q->prefix_len + ETH_MIN_FRAME : len;
	struct iovec *body = &q->bodies[q->next % NIC_BATCH_MAX];
	int64_t at = find_room(q, wanted);

	if (at < 0 || q->next - q->first == SENDQ_FRAMES || q->next - q->committed == NIC_BATCH_MAX)
		return -EAGAIN;
	*frame_at(q, q->next) = (struct sendq_frame){.at = (uint32_t)at, .len = wanted};
	*body = (struct iovec){
	    .iov_base = q->arena + at + q->prefix_len + head_len, .iov_len = body_len};
	*ret_slot = (struct nic_slot){
	    .head = q->arena + at + q->prefix_len,
	    .body = body,
	    .body_count = 1,
	    .head_len = head_len,
	    .id = q->next,
	};
	q->next++;
	q->end = (uint32_t)at + wanted;
	return 0;
}

uint32_t sendq_commit(struct sendq *q, struct nic_slot *slot, uint32_t body_len)
{
	struct sendq_frame *f = frame_at(q, q->committed);
	uint32_t len = slot->head_len + body_len;

	if (len < ETH_MIN_FRAME) {
		memset(slot->head + len, 0, ETH_MIN_FRAME - len);
		len = ETH_MIN_FRAME;
	}
	f->len = q->prefix_len + len;
	q->committed++;
	if (q->committed == q->next)
		q->end = f->at + f->len;
	return len;
}

void sendq_cancel(struct sendq *q)
{
	q->next--;
	q->end = frame_of(q, q->next)->at;
}

bool sendq_is_roomy(const struct sendq *q)
{
	uint32_t oldest;
	uint32_t taken;

	if (q->first == q->next)
		return true;
	oldest = frame_of(q, q->first)->at;
	taken = q->end > oldest ? q->end - oldest : SENDQ_BYTES - (oldest - q->end);
	return taken <= SENDQ_BYTES / 2 && q->next - q->first <= SENDQ_FRAMES / 2;
}

uint32_t sendq_stream(const struct sendq *q, struct iovec *iov, uint32_t max)
{
	const uint8_t *end = NULL;
	uint32_t skip = q->sent;
	uint32_t count = 0;

	for (uint32_t i = q->first; i != q->committed; i++) {
		const struct sendq_frame *f = frame_of(q, i);
		uint8_t *from = q->arena + f->at + skip;

		if (from == end) {
			iov[count - 1].iov_len += f->len;
		} else if (count == max) {
			break;
		} else {
			iov[count++] = (struct iovec){.iov_base = from, .iov_len = f->len - skip};
		}
		end = from + (f->len - skip);
		skip = 0;
	}
	return count;
}

static void count_sent(const struct sendq *q, struct nic_counters *counters)
{
	counters->rx_frames++;
	counters->rx_bytes += frame_of(q, q->first)->len - q->prefix_len;
}

void sendq_stream_sent(struct sendq *q, uint64_t bytes, struct nic_counters *counters)
{
	while (bytes > 0) {
		uint32_t left = frame_of(q, q->first)->len - q->sent;

		if (bytes < left) {
			q->sent += (uint32_t)bytes;
			return;
		}
		bytes -= left;
		count_sent(q, counters);
		q->sent = 0;
		q->first++;
	}
}

uint32_t sendq_frames(const struct sendq *q, struct iovec *iov, uint32_t max)
{
	uint32_t count = sendq_count(q) < max ? sendq_count(q) : max;

	for (uint32_t i = 0; i < count; i++) {
		const struct sendq_frame *f = frame_of(q, q->first + i);

		iov[i] = (struct iovec){.iov_base = q->arena + f->at, .iov_len = f->len};
	}
	return count;
}

void sendq_frames_sent(struct sendq *q, uint32_t count, struct nic_counters *counters)
{
	for (uint32_t i = 0; i < count; i++) {
		count_sent(q, counters);
		q->first++;
	}
}

void sendq_lose(struct sendq *q, uint32_t count, struct nic_counters *counters)
{
	uint32_t lost = sendq_count(q) < count ? sendq_count(q) : count;

	counters->rx_lost += lost;
	q->first += lost;
	q->sent = 0;
}
