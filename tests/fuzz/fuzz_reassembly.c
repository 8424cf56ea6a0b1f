/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reassembly, with well-formed fragments in any pattern: whatever comes out is what a sender put in, whole
 * and once; memory stays bounded; each fragment is accounted for.
 * Input: two bytes of datagram length, then four bytes per fragment: identification and flags, offset in
 * units of eight bytes (two), length in units of 4 or 256 bytes.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/csum.h"
#include "base/rd.h"
#include "base/wr.h"
#include "stack/reassembly.h"

enum {
	DATA_MAX = 65536 + 2048,
	ID_MASK = 0x0f,
	FLAG_MORE = 0x10,
	FLAG_LONG = 0x20,  /* the length counts 256 bytes, not 4 */
	FLAG_LATER = 0x40, /* time passes before it */
	HEAD_LEN = ETH_HDR_SIZE + IP4_HDR_SIZE,
};

struct world {
	struct engine_counters counters;
	struct netif netif;
	struct reassembly r;
	uint64_t now_ns;
	uint64_t told;     /* refusals that were returned */
	uint8_t *datagram; /* DATA_MAX bytes: UDP header and a pattern */
	uint32_t total;    /* its length field */
};

static void require(bool claim)
{
	if (!claim)
		abort();
}

static uint64_t drops(const struct world *w)
{
	uint64_t sum = w->told;

	for (int i = 0; i < DROP_REASON_COUNT; i++)
		sum += w->counters.drops[i];
	return sum;
}

static void check_whole(const struct world *w, const struct packet *p)
{
	uint8_t *copy = malloc(p->l4_len);

	require(copy && p->proto == PROTO_UDP && p->l4_len == w->total);
	frame_copy(p->frame, p->l4_off, copy, p->l4_len);
	require(memcmp(copy, w->datagram, p->l4_len) == 0);
	free(copy);
}

static void build_head(uint8_t *at, uint32_t len, uint8_t id, uint16_t frag)
{
	struct wr w = wr_init(at, HEAD_LEN);

	wr_zero(&w, 12);
	wr_be16(&w, ETHERTYPE_IP4);
	wr_be16(&w, 0x4500);
	wr_be16(&w, (uint16_t)(IP4_HDR_SIZE + len));
	wr_be16(&w, id);
	wr_be16(&w, frag);
	wr_be32(&w, 0x40110000);
	wr_be32(&w, 0x64600002);
	wr_be32(&w, 0xc0000209);
	put_be16(at + ETH_HDR_SIZE + 10, csum_of(at + ETH_HDR_SIZE, IP4_HDR_SIZE));
}

static void fragment(struct world *w, uint8_t flags, uint32_t off, uint32_t len)
{
	uint8_t *bytes = malloc(HEAD_LEN + len);
	struct iovec iov = {.iov_base = bytes, .iov_len = HEAD_LEN + len};
	struct frame f = {.head = bytes,
	    .head_len = HEAD_LEN + len,
	    .len = HEAD_LEN + len,
	    .iov = &iov,
	    .iov_count = 1};
	const struct packet *whole = NULL;
	enum drop_reason why;
	struct packet p;

	require(bytes != NULL);
	build_head(bytes, len, flags & ID_MASK,
	    (uint16_t)(off / 8 | ((flags & FLAG_MORE) != 0 ? 0x2000U : 0U)));
	memcpy(bytes + HEAD_LEN, w->datagram + off, len);
	require(packet_parse(&f, &p) == DROP_NONE);
	if (p.is_fragment) {
		why = reassembly_on_fragment(&w->r, &p, w->now_ns, &whole);
		if (why != DROP_NONE)
			w->told++;
		require(!whole || why == DROP_NONE);
	}
	free(bytes);
	if (whole)
		check_whole(w, whole);
	require(w->r.memory <= REASSEMBLY_MEMORY_MAX && w->r.set_count <= REASSEMBLY_SETS_MAX);
	require(drops(w) <= w->counters.fragments);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = {.now_ns = 1};
	struct rd r = rd_init(data, size);

	w.netif.counters = &w.counters;
	reassembly_init(&w.r, &w.netif, NULL);
	w.total = rd_be16(&r);
	w.datagram = malloc(DATA_MAX);
	require(w.datagram != NULL);
	for (uint32_t i = 0; i < DATA_MAX; i++)
		w.datagram[i] = (uint8_t)(i ^ i >> 8);
	put_be16(w.datagram + UDP_LEN_OFF, (uint16_t)w.total);
	put_be16(w.datagram + UDP_CSUM_OFF, 0); /* not computed: any datagram is right */
	while (rd_left(&r) >= 4) {
		uint8_t flags = rd_u8(&r);
		uint32_t off = (rd_be16(&r) & 0x1fffU) * 8U;
		uint32_t len = rd_u8(&r) * ((flags & FLAG_LONG) != 0 ? 256U : 4U);

		if (off + len > DATA_MAX)
			len = DATA_MAX - off;
		if (len > IP_PACKET_MAX - IP4_HDR_SIZE)
			len = IP_PACKET_MAX - IP4_HDR_SIZE;
		if ((flags & FLAG_LATER) != 0)
			w.now_ns += REASSEMBLY_TIME_NS / 4;
		fragment(&w, flags, off, len);
	}
	reassembly_on_time(&w.r, UINT64_MAX - 1);
	/* What is neither dropped nor held was at least two fragments of each datagram. */
	require(w.counters.fragments - drops(&w) >= 2 * w.counters.reassembled);
	require(w.counters.reassembled > 0 || w.counters.fragments == drops(&w));
	reassembly_fini(&w.r);
	free(w.datagram);
	return 0;
}
