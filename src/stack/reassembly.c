/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reassembly of fragments: RFC 791 3.2, RFC 815, RFC 5722, RFC 8200 4.5.
 *
 * Refused: fragments of other protocols than UDP and ICMP, pieces of nothing, pieces but the last
 * whose length is no multiple of eight, first pieces without a whole header, what reaches beyond 64 KiB
 * or beyond the last piece, and any overlap. An exact duplicate is an overlap too: on this link
 * nothing duplicates frames but a sender that means it. A set with a refused fragment is dead:
 * it holds no data, and swallows the rest of its datagram until it is as old as any set may become
 * (RFC 5722 4). A whole datagram must be a UDP datagram of just that length, or an echo request;
 * fragmented neighbour discovery is thus refused (RFC 6980).
 *
 * Invariants: each fragment is either held, part of a completed datagram, or counted under one drop
 * reason; memory <= REASSEMBLY_MEMORY_MAX (tests/unit/test_reassembly.c).
 */
#include "stack/reassembly.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/csum.h"
#include "base/wr.h"
#include "wire/icmp.h"

enum {
	CAP_MIN = 4096, /* of a set's buffer: most datagrams that are fragmented need more */
	FIRST_PIECE_MIN = 8,
	IP4_DF = 0x4000,
};

struct piece {
	uint32_t from;
	uint32_t to; /* one past the last byte */
};

struct frag_set {
	struct ip_addr src;
	struct ip_addr dst;
	uint32_t id;
	uint8_t family;
	uint8_t proto;
	enum drop_reason dead; /* why it is dead; DROP_NONE: it is not */
	uint64_t due_ns;       /* end of its time */

	uint32_t total;    /* bytes behind the IP header, or 0 before the last piece is in */
	uint32_t received; /* bytes held */
	uint32_t count;    /* pieces held */
	struct piece pieces[REASSEMBLY_PIECES_MAX]; /* in order, without overlap */

	uint8_t *bytes; /* Ethernet and IP header, then the data; NULL: dead or empty */
	uint32_t cap;   /* of bytes */
};

static void free_bytes(struct reassembly *r, struct frag_set *s)
{
	r->memory -= s->cap;
	free(s->bytes);
	s->bytes = NULL;
	s->cap = 0;
}

/* Frees the set in that place. */
static void free_set(struct reassembly *r, uint32_t at)
{
	free_bytes(r, r->sets[at]);
	free(r->sets[at]);
	r->set_count--;
	memmove(r->sets + at, r->sets + at + 1, (r->set_count - at) * sizeof(struct frag_set *));
}

/* Counts what the set holds as dropped. */
static void drop_pieces(struct reassembly *r, struct frag_set *s, enum drop_reason why)
{
	r->netif->counters->drops[why] += s->count;
	s->count = 0;
}

static void drop_set(struct reassembly *r, uint32_t at, enum drop_reason why)
{
	drop_pieces(r, r->sets[at], why);
	free_set(r, at);
}

/* Lets go of the data; the set stays, to swallow what is still to come. */
static enum drop_reason kill_set(struct reassembly *r, struct frag_set *s, enum drop_reason why)
{
	drop_pieces(r, s, why);
	free_bytes(r, s);
	s->dead = why;
	return why;
}

void reassembly_init(struct reassembly *r, struct netif *n, struct icmp_out *icmp)
{
	*r = (struct reassembly){.netif = n, .icmp = icmp};
}

void reassembly_fini(struct reassembly *r)
{
	while (r->set_count > 0)
		free_set(r, r->set_count - 1);
	reassembly_release(r);
}

void reassembly_release(struct reassembly *r)
{
	free(r->whole_bytes);
	r->whole_bytes = NULL;
}

uint64_t reassembly_next_ns(const struct reassembly *r)
{
	return r->set_count > 0 ? r->sets[0]->due_ns : REASSEMBLY_NEVER;
}

static bool is_icmp(const struct frag_set *s)
{
	return s->proto == (s->family == 4 ? PROTO_ICMP4 : PROTO_ICMP6);
}

/* ICMP time exceeded, if the first piece is there to be quoted; of ICMP only about echo requests. */
static void tell_timeout(const struct reassembly *r, const struct frag_set *s, uint64_t now_ns)
{
	struct icmp_quote q = {
	    .family = s->family,
	    .proto = s->proto,
	    .src = &s->src,
	    .dst = &s->dst,
	};
	struct icmp_error e;
	const uint8_t *l4;

	if (!r->icmp || s->count == 0 || s->pieces[0].from > 0)
		return;
	l4 = s->bytes + netif_ip_head_len(s->family);
	if (is_icmp(s) && l4[0] != (s->family == 4 ? ICMP4_ECHO_REQUEST : ICMP6_ECHO_REQUEST))
		return;
	memcpy(q.l4, l4, sizeof(q.l4));
	q.l4_len = s->total > 0 ? s->total : s->pieces[0].to;
	q.payload = l4 + sizeof(q.l4);
	q.payload_len = s->pieces[0].to - (uint32_t)sizeof(q.l4);
	if (icmp_error_of(ICMP_CAUSE_REASSEMBLY, s->family, 0, &e))
		(void)icmp_out_quote(r->icmp, &q, &e, now_ns);
}

void reassembly_on_time(struct reassembly *r, uint64_t now_ns)
{
	while (reassembly_next_ns(r) <= now_ns) {
		tell_timeout(r, r->sets[0], now_ns);
		drop_set(r, 0, DROP_FRAGMENT_TIMEOUT);
	}
}

/* The place of the packet's set, or set_count. There are few, so that looking at each is as fast as a
 * table. */
static uint32_t find_set(const struct reassembly *r, const struct packet *p)
{
	uint32_t at;

	for (at = 0; at < r->set_count; at++) {
		const struct frag_set *s = r->sets[at];

		if (s->id == p->frag_id && s->family == p->family && s->proto == p->proto &&
		    ip_addr_eq(&s->src, &p->src) && ip_addr_eq(&s->dst, &p->dst))
			break;
	}
	return at;
}

/* Makes the newest set. */
static bool make_set(struct reassembly *r, const struct packet *p, uint64_t now_ns)
{
	struct frag_set *s;

	if (r->set_count == REASSEMBLY_SETS_MAX)
		drop_set(r, 0, DROP_FRAGMENT_LIMIT);
	s = malloc(sizeof(*s));
	if (!s)
		return false;
	/* Field by field: pieces are set one by one. */
	s->src = p->src;
	s->dst = p->dst;
	s->id = p->frag_id;
	s->family = p->family;
	s->proto = p->proto;
	s->dead = DROP_NONE;
	s->due_ns = now_ns + REASSEMBLY_TIME_NS;
	s->total = 0;
	s->received = 0;
	s->count = 0;
	s->bytes = NULL;
	s->cap = 0;
	r->sets[r->set_count++] = s;
	return true;
}

/* Most bytes behind the IP header. */
static uint32_t total_max(uint8_t family)
{
	return family == 4 ? IP_PACKET_MAX - IP4_HDR_SIZE : IP_PACKET_MAX;
}

/* What can be said of a fragment by itself. */
static enum drop_reason check_fragment(const struct packet *p)
{
	if (p->frame->vnet.gso_type != VNET_GSO_NONE ||
	    (p->frame->vnet.flags & VNET_F_NEEDS_CSUM) != 0)
		return DROP_VNET; /* a fragment has neither segments nor a checksum to finish */
	if (p->proto != PROTO_UDP && p->proto != (p->family == 4 ? PROTO_ICMP4 : PROTO_ICMP6))
		return DROP_FRAGMENT;
	if (p->l4_len == 0 || (p->has_more && p->l4_len % 8 != 0) ||
	    p->frag_off + p->l4_len > total_max(p->family) ||
	    (p->frag_off == 0 && p->l4_len < FIRST_PIECE_MIN))
		return DROP_FRAGMENT;
	return DROP_NONE;
}

/* Where the piece goes among those held; -1 if it overlaps one. */
static int find_place(const struct frag_set *s, const struct piece *new)
{
	uint32_t at = s->count;

	while (at > 0 && s->pieces[at - 1].from >= new->to)
		at--;
	return at == 0 || s->pieces[at - 1].to <= new->from ? (int)at : -1;
}

/* What the new piece says of the end of the datagram must fit what is known. */
static bool fits_end(const struct frag_set *s, const struct packet *p, const struct piece *new)
{
	uint32_t last = s->count > 0 ? s->pieces[s->count - 1].to : 0;

	if (s->total > 0)
		return p->has_more ? new->to <= s->total : false;
	return p->has_more || new->to >= last;
}

/* Makes the buffer large enough for len bytes of data. */
static enum drop_reason grow(struct reassembly *r, struct frag_set *s, uint32_t len)
{
	uint32_t head_len = netif_ip_head_len(s->family);
	uint32_t need = head_len + (s->total > len ? s->total : len);
	uint32_t cap = 2 * s->cap > CAP_MIN ? 2 * s->cap : CAP_MIN;
	uint8_t *bytes;

	if (need <= s->cap)
		return DROP_NONE;
	if (s->total > 0 || cap < need)
		cap = need;
	if (cap > head_len + total_max(s->family))
		cap = head_len + total_max(s->family);
	while (r->memory - s->cap + cap > REASSEMBLY_MEMORY_MAX) {
		assert(r->set_count > 1); /* one set alone never needs so much */
		drop_set(r, r->sets[0] == s ? 1 : 0, DROP_FRAGMENT_LIMIT);
	}
	bytes = realloc(s->bytes, cap);
	if (!bytes)
		return DROP_NO_MEMORY;
	r->memory += cap - s->cap;
	s->bytes = bytes;
	s->cap = cap;
	return DROP_NONE;
}

static enum drop_reason add_piece(struct reassembly *r, struct frag_set *s, const struct packet *p)
{
	const struct piece new = {.from = p->frag_off, .to = p->frag_off + p->l4_len};
	int at = find_place(s, &new);
	enum drop_reason why;

	if (at < 0)
		return DROP_FRAGMENT_OVERLAP;
	if (!fits_end(s, p, &new))
		return DROP_FRAGMENT;
	if (s->count == REASSEMBLY_PIECES_MAX)
		return DROP_FRAGMENT_LIMIT;
	if (!p->has_more)
		s->total = new.to;
	why = grow(r, s, new.to);
	if (why != DROP_NONE)
		return why;
	frame_copy(
	    p->frame, p->l4_off, s->bytes + netif_ip_head_len(s->family) + new.from, p->l4_len);
	memmove(
	    s->pieces + at + 1, s->pieces + at, (s->count - (uint32_t)at) * sizeof(s->pieces[0]));
	s->pieces[at] = new;
	s->count++;
	s->received += p->l4_len;
	return DROP_NONE;
}

static void build_head(const struct frag_set *s, const struct packet *last)
{
	uint8_t *ip = s->bytes + ETH_HDR_SIZE;

	memcpy(s->bytes, last->eth_dst.b, sizeof(last->eth_dst.b));
	memcpy(s->bytes + 6, last->eth_src.b, sizeof(last->eth_src.b));
	put_be16(s->bytes + 12, last->ethertype);
	if (s->family == 6) {
		put_be32(ip, 6U << 28);
		put_be16(ip + 4, (uint16_t)s->total);
		ip[6] = s->proto;
		ip[7] = last->ttl;
		memcpy(ip + 8, s->src.b, sizeof(s->src.b));
		memcpy(ip + 24, s->dst.b, sizeof(s->dst.b));
		return;
	}
	put_be16(ip, 0x4500);
	put_be16(ip + 2, (uint16_t)(IP4_HDR_SIZE + s->total));
	put_be16(ip + 4, (uint16_t)s->id);
	put_be16(ip + 6, last->has_df ? IP4_DF : 0);
	ip[8] = last->ttl;
	ip[9] = s->proto;
	put_be16(ip + 10, 0);
	memcpy(ip + 12, s->src.b + 12, 4);
	memcpy(ip + 16, s->dst.b + 12, 4);
	put_be16(ip + 10, csum_of(ip, IP4_HDR_SIZE));
}

/* Reads the completed datagram like a frame from the guest. */
static enum drop_reason parse_whole(struct reassembly *r, uint32_t len)
{
	enum drop_reason why;

	r->whole_iov = (struct iovec){.iov_base = r->whole_bytes, .iov_len = len};
	r->whole_frame = (struct frame){.head = r->whole_bytes,
	    .head_len = len,
	    .len = len,
	    .iov = &r->whole_iov,
	    .iov_count = 1};
	why = packet_parse(&r->whole_frame, &r->whole);
	if (why == DROP_NONE)
		why = packet_parse_l4(&r->whole);
	if (why != DROP_NONE)
		return why;
	/* What the guest has cut itself may be cut again: IPv6 has no other way to say so. */
	if (r->whole.family == 6)
		r->whole.has_df = false;
	if (r->whole.proto == PROTO_UDP)
		return r->whole.payload_len + UDP_HDR_SIZE == r->whole.l4_len ? DROP_NONE
									      : DROP_FRAGMENT;
	return r->whole.icmp.type ==
		       (r->whole.family == 4 ? ICMP4_ECHO_REQUEST : ICMP6_ECHO_REQUEST)
		   ? DROP_NONE
		   : DROP_FRAGMENT;
}

/* Takes the bytes off a complete set, which ends. */
static enum drop_reason complete(struct reassembly *r, uint32_t at, const struct packet *last)
{
	struct frag_set *s = r->sets[at];
	uint32_t len = netif_ip_head_len(s->family) + s->total;
	uint32_t before = s->count - 1; /* the last fragment is counted by the caller */
	enum drop_reason why;

	build_head(s, last);
	r->whole_bytes = s->bytes;
	r->memory -= s->cap;
	s->bytes = NULL;
	s->cap = 0;
	free_set(r, at);
	why = parse_whole(r, len);
	if (why != DROP_NONE) {
		r->netif->counters->drops[why] += before;
		reassembly_release(r);
		return why;
	}
	r->netif->counters->reassembled++;
	return DROP_NONE;
}

enum drop_reason reassembly_on_fragment(
    struct reassembly *r, const struct packet *p, uint64_t now_ns, const struct packet **ret_whole)
{
	enum drop_reason why = check_fragment(p);
	struct frag_set *s;
	uint32_t at;

	r->netif->counters->fragments++;
	*ret_whole = NULL;
	reassembly_release(r);
	reassembly_on_time(r, now_ns);
	at = find_set(r, p);
	if (at == r->set_count) {
		if (why != DROP_NONE)
			return why;
		if (!make_set(r, p, now_ns))
			return DROP_NO_MEMORY;
		at = r->set_count - 1;
	}
	s = r->sets[at];
	if (s->dead != DROP_NONE)
		return s->dead;
	if (why == DROP_NONE)
		why = add_piece(r, s, p);
	if (why != DROP_NONE)
		return kill_set(r, s, why);
	if (s->total == 0 || s->received < s->total)
		return DROP_NONE;
	why = complete(r, find_set(r, p), p); /* others may have given way to it */
	if (why == DROP_NONE)
		*ret_whole = &r->whole;
	return why;
}
