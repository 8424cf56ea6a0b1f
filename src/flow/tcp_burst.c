/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data of one flow that came in several frames goes to the socket in one call.
 *
 * The pieces stay in the frames, which the engine releases after tcp_burst_flush(); nothing is copied but
 * what the socket does not take. The data counts as received when it is added: no ACK leaves before the
 * flush, so that bytes for which there is no memory can still be given back to the guest.
 *
 * Invariants (tests/sim): a burst belongs to one flow, which has no spill and is not freed meanwhile; no
 * segment of that flow is looked at before the flush but plain data that follows.
 */
#include <errno.h>
#include <string.h>

#include "flow/tcp_flow.h"

/* Appends what lies behind the first skip bytes of the burst to the spill; returns how many bytes found
 * memory. */
static uint32_t spill_rest(struct tcp_flow *f, const struct tcp_burst *b, uint32_t skip)
{
	uint32_t stored = 0;

	for (uint32_t i = 0; i < b->count; i++) {
		uint32_t len = (uint32_t)b->iov[i].iov_len;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		if (chain_append(&f->spill, (const uint8_t *)b->iov[i].iov_base + skip, len - skip))
			break;
		stored += len - skip;
		skip = 0;
	}
	return stored;
}

void tcp_burst_flush(struct tcp_table *t, struct flow_world *w)
{
	struct tcp_burst *b = &t->burst;
	struct tcp_flow *f = b->flow;
	uint32_t done = b->len;
	ssize_t n;

	if (!f)
		return;
	b->flow = NULL;
	n = w->ops->tcp_send(w->host, f->sock, b->iov, b->count);
	if (n >= 0 || n == -EAGAIN)
		done = n > 0 ? (uint32_t)n : 0;
	else
		tcp_flow_on_dead(t, f, (int)-n);
	if (done < b->len) {
		uint32_t stored = spill_rest(f, b, done);

		w->counters->tcp_spilled_bytes += stored;
		done += stored;
	}
	if (done < b->len) {
		netif_drop(w->netif, DROP_NO_MEMORY);
		tcp_unreceived(&f->conn, b->len - done);
	}
	f->tx_bytes += done;
	w->counters->tcp_tx_bytes += done;
}

void tcp_burst_add(struct tcp_table *t, struct flow_world *w, struct tcp_flow *f,
    const struct frame *frame, uint32_t off, uint32_t len)
{
	struct tcp_burst *b = &t->burst;
	uint32_t count;

	if (!b->flow)
		b->count = b->len = 0;
	b->flow = f;
	count = frame_slice(frame, off, len, b->iov + b->count, TCP_BURST_IOV - b->count);
	b->count += count;
	b->len += len;
	tcp_received(&f->conn, len, w->now_ns);
	if (b->len >= TCP_BURST_BYTES)
		tcp_burst_flush(t, w);
}
