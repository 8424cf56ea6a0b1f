/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first flight of a QUIC connection, and what else passes by UDP where rules by name decide: udp_flow.h.
 *
 * Datagrams are kept until the client's Initial packets say which host they are for, and then all leave in their order, or
 * none does. Later datagrams with a long header are still looked at: one that begins another connection between
 * the same ends, as after a Retry, is held and judged like the first (threats.md T19). All others are not looked at.
 *
 * Bounded: UDP_HELD_MAX flows at once, of each UDP_KEPT_MAX datagrams and UDP_KEPT_BYTES. What is beyond is dropped, as any
 * datagram may be, and the client sends it again; it has been read all the same.
 */
#include <errno.h>
#include <stdlib.h>

#include "flow/udp_flow.h"

enum {
	UDP_HELD_MAX = 512,
	UDP_KEPT_MAX = 16,
	UDP_KEPT_BYTES = 24 << 10,
};

struct kept {
	uint8_t *bytes;
	uint32_t len;
	uint16_t gso_size;
	bool has_df;
};

struct udp_flight {
	bool is_held;
	uint32_t kept_count;
	uint32_t kept_bytes;
	struct kept kept[UDP_KEPT_MAX];
	struct quic_initial quic;
};

static void forget_kept(struct udp_flight *fl)
{
	for (uint32_t i = 0; i < fl->kept_count; i++)
		free(fl->kept[i].bytes);
	fl->kept_count = 0;
	fl->kept_bytes = 0;
}

static void forget_quic(struct udp_flight *fl)
{
	free(fl->quic.message);
	free(fl->quic.have);
	fl->quic = (struct quic_initial){0};
}

/* Room for a whole message, unless it is there. */
static bool has_buffers(struct udp_flight *fl)
{
	if (fl->quic.whole > 0)
		return true;
	if (!fl->quic.message)
		fl->quic.message = malloc(QUIC_HELLO_MAX);
	if (!fl->quic.have)
		fl->quic.have = calloc(1, QUIC_HAVE_SIZE);
	return fl->quic.message && fl->quic.have;
}

/* A message that was read keeps its bytes, for comparison. */
static void cut_buffers(struct udp_flight *fl)
{
	uint8_t *cut;

	if (fl->quic.whole == 0) {
		forget_quic(fl);
		return;
	}
	free(fl->quic.have);
	fl->quic.have = NULL;
	cut = realloc(fl->quic.message, fl->quic.whole);
	if (cut)
		fl->quic.message = cut;
}

static void set_held(struct udp_table *t, struct udp_flight *fl, bool is_held)
{
	t->held += is_held && !fl->is_held;
	t->held -= !is_held && fl->is_held;
	fl->is_held = is_held;
}

int udp_flow_hold(struct udp_table *t, struct udp_flow *f, bool is_held)
{
	if (is_held && t->held >= UDP_HELD_MAX)
		return -ENOSPC;
	f->flight = calloc(1, sizeof(*f->flight));
	if (!f->flight)
		return -ENOMEM;
	set_held(t, f->flight, is_held);
	return 0;
}

void udp_flow_forget_flight(struct udp_table *t, struct udp_flow *f)
{
	if (f->flight) {
		set_held(t, f->flight, false);
		forget_kept(f->flight);
		forget_quic(f->flight);
	}
	free(f->flight);
	f->flight = NULL;
	free(f->claim);
	f->claim = NULL;
}

bool udp_flow_is_held(const struct udp_flow *f)
{
	return f->flight && f->flight->is_held;
}

static uint16_t gso_of(const struct packet *p)
{
	return (p->frame->vnet.gso_type & (uint8_t)~VNET_GSO_ECN) == VNET_GSO_USO
		   ? p->frame->vnet.gso_size
		   : 0;
}

/* The payload in one piece, which lasts until the table's scratch is used again. NULL without memory. */
static const uint8_t *gather(struct udp_table *t, const struct packet *p)
{
	struct iovec iov[FRAME_IOV_MAX];
	uint32_t count = frame_slice(p->frame, p->payload_off, p->payload_len, iov, FRAME_IOV_MAX);
	uint8_t *bytes = udp_table_scratch(t);
	uint32_t at = 0;

	for (uint32_t i = 0; i < count && bytes; i++) {
		memcpy(bytes + at, iov[i].iov_base, iov[i].iov_len);
		at += (uint32_t)iov[i].iov_len;
	}
	return bytes;
}

/* Whether one of the datagrams has a long header. */
static bool has_long(const struct packet *p, uint32_t unit)
{
	for (uint32_t at = 0; at < p->payload_len; at += unit) {
		struct iovec iov;

		if (frame_slice(p->frame, p->payload_off + at, 1, &iov, 1) == 1 &&
		    quic_is_long(iov.iov_base, 1))
			return true;
	}
	return false;
}

/* Reads the datagrams of a frame; what the last of them that was read says counts, unless one is wrong. */
static enum hello_result read_all(struct udp_flight *fl, const uint8_t *bytes, uint32_t len,
    uint32_t unit, struct tls_hello *ret_hello)
{
	enum hello_result result = HELLO_NOT_TLS;

	for (uint32_t at = 0; at < len; at += unit) {
		uint32_t piece = len - at < unit ? len - at : unit;

		if (fl->quic.version != 0 && !quic_is_long(bytes + at, piece))
			continue;
		result =
		    quic_initial_read(&fl->quic, &quic_crypto_plain, bytes + at, piece, ret_hello);
		if (result != HELLO_MORE && result != HELLO_NAME && result != HELLO_ECH)
			break;
	}
	return result;
}

/* The same, where another connection may begin. HELLO_MORE: that, or the first one, is to be held. */
static enum hello_result look(struct udp_flight *fl, const uint8_t *bytes, uint32_t len,
    uint32_t unit, struct tls_hello *ret_hello)
{
	enum hello_result result = HELLO_BAD;

	if (has_buffers(fl))
		result = read_all(fl, bytes, len, unit, ret_hello);
	if (result == HELLO_OTHER && !fl->is_held) {
		forget_quic(fl);
		result = HELLO_BAD;
		if (has_buffers(fl))
			result = read_all(fl, bytes, len, unit, ret_hello);
	}
	return result == HELLO_OTHER ? HELLO_BAD : result;
}

static enum drop_reason keep(
    struct udp_table *t, struct udp_flight *fl, const uint8_t *bytes, const struct packet *p)
{
	struct kept *k = &fl->kept[fl->kept_count];

	if (!fl->is_held && t->held >= UDP_HELD_MAX)
		return DROP_UDP_LIMIT;
	set_held(t, fl, true);
	if (fl->kept_count == UDP_KEPT_MAX || fl->kept_bytes + p->payload_len > UDP_KEPT_BYTES)
		return DROP_UDP_LIMIT;
	*k = (struct kept){.bytes = malloc(p->payload_len > 0 ? p->payload_len : 1),
	    .len = p->payload_len,
	    .gso_size = gso_of(p),
	    .has_df = p->has_df};
	if (!k->bytes)
		return DROP_NO_MEMORY;
	memcpy(k->bytes, bytes, p->payload_len);
	fl->kept_count++;
	fl->kept_bytes += p->payload_len;
	return DROP_NONE;
}

static void send_kept(struct flow_world *w, struct udp_flow *f, const struct kept *k)
{
	struct iovec iov = {.iov_base = k->bytes, .iov_len = k->len};

	if (w->ops->udp_send(w->host, f->sock, &iov, 1, k->gso_size, k->has_df) < 0) {
		netif_drop(w->netif, DROP_UDP_SEND);
		return;
	}
	f->tx_bytes += k->len;
	w->counters->udp_tx_bytes += k->len;
	w->counters->udp_tx_datagrams +=
	    k->gso_size > 0 ? (k->len + k->gso_size - 1) / k->gso_size : 1;
}

static void let_pass(struct udp_table *t, struct flow_world *w, struct udp_flow *f)
{
	struct udp_flight *fl = f->flight;

	for (uint32_t i = 0; i < fl->kept_count; i++)
		send_kept(w, f, &fl->kept[i]);
	forget_kept(fl);
	cut_buffers(fl);
	set_held(t, fl, false);
}

/* Whether the flow was let through with just this. */
static bool is_known(
    const struct udp_flow *f, enum hello_result result, const struct tls_hello *hello)
{
	return !f->flight->is_held && f->claim && f->claim->result == result &&
	       name_eq(&f->claim->name, &hello->name);
}

/* Asks whether the flow may pass with this claim. */
static bool may_pass(struct udp_table *t, struct udp_flow *f, enum hello_result result,
    const struct tls_hello *hello, const struct packet *p)
{
	if (!f->claim)
		f->claim = calloc(1, sizeof(*f->claim));
	if (!f->claim)
		return false;
	f->claim->result = result;
	f->claim->is_tls = result != HELLO_NOT_TLS;
	f->claim->name = hello->name;
	return t->on_flight(t->ctx, f, p);
}

enum drop_reason udp_flight_send(
    struct udp_table *t, struct flow_world *w, struct udp_flow *f, const struct packet *p)
{
	struct udp_flight *fl = f->flight;
	uint32_t unit = gso_of(p) > 0 ? gso_of(p) : p->payload_len;
	struct tls_hello hello = {0};
	enum hello_result result;
	const uint8_t *bytes;

	if (!fl->is_held && !has_long(p, unit))
		return udp_flow_send(t, w, f, p);
	bytes = gather(t, p);
	if (!bytes)
		return DROP_NO_MEMORY;
	udp_flow_touch(t, w, f);
	result = look(fl, bytes, p->payload_len, unit, &hello);
	if (result == HELLO_MORE)
		return keep(t, fl, bytes, p);
	if (is_known(f, result, &hello))
		return udp_flow_send(t, w, f, p);
	if (!may_pass(t, f, result, &hello, p)) {
		udp_flow_close(t, w, f, FLOW_END_POLICY);
		return DROP_NONE;
	}
	let_pass(t, w, f);
	return udp_flow_send(t, w, f, p);
}
