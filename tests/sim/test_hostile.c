/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests that break the rules of the link: malformed frames of every kind, and virtio-net headers that lie in each of
 * their fields (behaviours.md A15, A16; threats.md P5, P6, P13, P18; design.md rules 9, 11). Each frame that is
 * wrong is counted once, for its own reason; nothing leaves because of it; and a connection beside it never
 * notices.
 */
#include "sim_test.h"

enum {
	DENIED_PORT = 81,
	BATCH = 32, /* frames between two turns of the world */
};

enum base {
	UDP4,
	UDP6,
	SYN4, /* to a port that is denied */
	SYN6,
	ECHO4,
	ARP,
	BASE_COUNT
};

struct hostile {
	struct sim_world *w;
	struct sim_tcp *busy;
	uint64_t datagrams; /* that have reached the host */
	uint64_t segments;  /* ... in these, with segmentation */
	uint32_t batch;
};

static void on_datagram(void *ctx, struct sim_sock *s, const struct sim_sent_datagram *d)
{
	struct hostile *h = ((struct sim_world *)ctx)->ctx;

	(void)s;
	h->datagrams++;
	h->segments += d->gso_size > 0 ? (d->len + d->gso_size - 1U) / d->gso_size : 1;
}

static void begin(struct hostile *h)
{
	struct sim_config cfg = sim_config_defaults(3);
	struct sim_conn_spec spec = sim_conn_defaults(&cfg, 4);

	cfg.check_every = 64;
	*h = (struct hostile){.w = sim_test_world(&cfg)};
	h->w->ctx = h;
	h->w->host.on_datagram = on_datagram;
	h->w->policy.denied_port = DENIED_PORT;
	spec.guest.send_len = spec.remote.app.send_len = 300000;
	spec.guest.send_chunk = spec.remote.app.send_chunk = 500;
	spec.guest.send_gap_ns = spec.remote.app.send_gap_ns = 20 * SIM_US;
	spec.guest.close = SIM_CLOSE_SENT;
	h->busy = sim_world_connect(h->w, &spec);
	assert_true(sim_world_run(h->w, cfg.start_ns + SIM_MS));
}

/* The connection has all its bytes, without a segment sent twice. */
static void end(struct hostile *h)
{
	(void)sim_world_run(h->w, h->w->sim.now_ns + 1000 * SIM_S);
	sim_world_expect_complete(h->w, h->busy);
	sim_test_end(h->w);
}

static void settle(struct hostile *h)
{
	if (!sim_world_run(h->w, h->w->sim.now_ns + 100 * SIM_US))
		fail_msg("%s", h->w->sim.failure);
}

static void send_frame(struct hostile *h, struct sim_frame *f)
{
	sim_world_inject(h->w, f);
	if (++h->batch % BATCH == 0)
		settle(h);
}

static uint64_t all_drops(const struct sim_world *w)
{
	uint64_t n = 0;

	for (int i = 0; i < DROP_REASON_COUNT; i++)
		n += w->counters.drops[i];
	return n;
}

/* ---- frames ---- */

static struct sim_packet packet_of(struct hostile *h, enum base base)
{
	static const uint8_t protos[] = {17, 17, 6, 6, 1, 0};
	uint8_t family = base == UDP6 || base == SYN6 ? 6 : 4;
	struct ip_addr to = ip_addr_v4(0xcb007107);
	struct sim_packet p;

	if (family == 6)
		assert_int_equal(ip_addr_parse("2001:db8::7", &to), 0);
	p = sim_guest_packet(&h->w->guest, &to, family, protos[base]);
	p.src_port = 5000;
	p.dst_port = protos[base] == 6 ? DENIED_PORT : 7000;
	p.payload_len = protos[base] == 17 ? 1200 : 0;
	p.flags = SIM_SYN;
	p.mss = 1460;
	return p;
}

static struct sim_frame *build_arp(struct hostile *h)
{
	static const uint8_t head[] = {0, 1, 8, 0, 6, 4, 0, 1};
	struct sim_frame *f = sim_frame_new(SIM_ETH + 28);
	uint8_t *arp = f->bytes + SIM_ETH;

	memset(f->bytes, 0xff, 6);
	memcpy(f->bytes + 6, h->w->netif.guest_mac.b, 6);
	sim_put16(f->bytes + 12, 0x0806);
	memcpy(arp, head, sizeof(head));
	memcpy(arp + 8, h->w->netif.guest_mac.b, 6);
	memcpy(arp + 14, h->w->netif.guest_v4.b + 12, 4);
	memcpy(arp + 24, h->w->netif.gateway_v4.b + 12, 4);
	return f;
}

static struct sim_frame *build(struct hostile *h, enum base base)
{
	struct sim_packet p = packet_of(h, base);
	uint8_t echo[16] = {8, [5] = 1, [7] = 1};

	if (base == ARP)
		return build_arp(h);
	if (base == UDP4 || base == UDP6)
		return sim_build_udp(&p, 3, 0);
	if (base == SYN4 || base == SYN6)
		return sim_build_tcp(&p, 0, 0, 0, false);
	sim_fill_csum(&p, echo, sizeof(echo), 2);
	return sim_build_ip(&p, echo, sizeof(echo));
}

/* ---- malformed frames ---- */

struct bad {
	enum base base;
	uint32_t len;     /* the frame is cut to this; 0: whole */
	uint32_t at;      /* bytes from here on ... */
	const char *with; /* ... become these */
	uint32_t with_len;
	bool has_right_sum; /* the IPv4 header's checksum is made right */
	bool has_right_l4;  /* ICMP's is, too */
	bool is_verified;   /* the virtio-net header says that the upper layer's is right */
	enum drop_reason why;
};

#define WITH(text) .with = (text), .with_len = sizeof(text) - 1

static const struct bad bads[] = {
    /* lengths */
    {.base = UDP4, .len = 1, .why = DROP_RUNT},
    {.base = UDP4, .len = 13, .why = DROP_RUNT},
    {.base = UDP4, .len = 14, .why = DROP_RUNT},
    {.base = UDP4, .len = 33, .why = DROP_RUNT},
    {.base = UDP4, .len = 41, .why = DROP_RUNT},
    {.base = UDP6, .len = 53, .why = DROP_RUNT},
    {.base = UDP6, .len = 100, .why = DROP_RUNT},
    {.base = UDP4, .at = 16, WITH("\xff\xff"), .has_right_sum = true, .why = DROP_RUNT},
    {.base = UDP6, .at = 18, WITH("\xff\xff"), .why = DROP_RUNT},
    {.base = UDP4, .at = 16, WITH("\0\x13"), .has_right_sum = true, .why = DROP_IP_HEADER},
    {.base = UDP6, .at = 18, WITH("\0\0"), .why = DROP_IP_HEADER},
    {.base = UDP4, .at = 16, WITH("\0\x1b"), .has_right_sum = true, .why = DROP_L4_HEADER},
    {.base = SYN4, .at = 16, WITH("\0\x27"), .has_right_sum = true, .why = DROP_L4_HEADER},
    {.base = ECHO4, .at = 16, WITH("\0\x1b"), .has_right_sum = true, .why = DROP_L4_HEADER},
    {.base = ARP, .len = 41, .why = DROP_ARP},
    /* Ethernet */
    {.base = UDP4, .at = 12, WITH("\x88\xcc"), .why = DROP_ETHERTYPE},
    {.base = UDP4, .at = 12, WITH("\x81\x00"), .why = DROP_ETHERTYPE}, /* a VLAN tag */
    {.base = UDP4, .at = 12, WITH("\x02\x00"), .why = DROP_ETHERTYPE}, /* 802.3 */
    {.base = UDP4, .at = 6, WITH("\x02\x11"), .why = DROP_SRC_MAC},
    {.base = UDP4, .at = 0, WITH("\x02\x11"), .why = DROP_DST_MAC},
    {.base = UDP4, .at = 0, WITH("\xff\xff\xff\xff\xff\xff"), .why = DROP_MULTICAST},
    {.base = ARP, .at = 6, WITH("\x02\x11"), .why = DROP_SRC_MAC},
    {.base = ARP, .at = 14, WITH("\0\6"), .why = DROP_ARP},
    {.base = ARP, .at = 18, WITH("\x8"), .why = DROP_ARP},
    {.base = ARP, .at = 28, WITH("\xcb\0\x71\x7"), .why = DROP_SRC_ADDR},
    /* IPv4 */
    {.base = UDP4, .at = 14, WITH("\x55"), .has_right_sum = true, .why = DROP_IP_HEADER},
    {.base = UDP4, .at = 14, WITH("\x44"), .has_right_sum = true, .why = DROP_IP_HEADER},
    {.base = UDP4, .at = 14, WITH("\x40"), .has_right_sum = true, .why = DROP_IP_HEADER},
    {.base = UDP4, .at = 22, WITH("\x01"), .why = DROP_IP_CHECKSUM},
    {.base = UDP4, .at = 24, WITH("\0\0"), .why = DROP_IP_CHECKSUM},
    {.base = UDP4, .at = 23, WITH("\x2f"), .has_right_sum = true, .why = DROP_PROTOCOL}, /* GRE */
    {.base = UDP4, .at = 23, WITH("\x29"), .has_right_sum = true, .why = DROP_PROTOCOL}, /* 6in4 */
    {.base = UDP4, .at = 23, WITH("\x84"), .has_right_sum = true, .why = DROP_PROTOCOL}, /* SCTP */
    {.base = UDP4, .at = 20, WITH("\xa0"), .has_right_sum = true, .why = DROP_FRAGMENT},
    {.base = SYN4, .at = 20, WITH("\x20"), .has_right_sum = true, .why = DROP_FRAGMENT},
    {.base = UDP4, .at = 20, WITH("\x1f\xff"), .has_right_sum = true, .why = DROP_FRAGMENT},
    {.base = UDP4,
	.at = 26,
	WITH("\x64\x60\0\1"),
	.has_right_sum = true,
	.is_verified = true,
	.why = DROP_SRC_ADDR},
    {.base = UDP4,
	.at = 26,
	WITH("\x7f"),
	.has_right_sum = true,
	.is_verified = true,
	.why = DROP_SRC_ADDR},
    {.base = UDP4,
	.at = 30,
	WITH("\xe0"),
	.has_right_sum = true,
	.is_verified = true,
	.why = DROP_MULTICAST},
    /* IPv6 */
    {.base = UDP6, .at = 14, WITH("\x50"), .why = DROP_IP_HEADER},
    {.base = UDP6, .at = 20, WITH("\x3b"), .why = DROP_PROTOCOL}, /* nothing follows */
    {.base = UDP6, .at = 20, WITH("\x32"), .why = DROP_PROTOCOL}, /* ESP */
    {.base = UDP6, .at = 20, WITH("\x01"), .why = DROP_PROTOCOL}, /* ICMPv4 */
    {.base = UDP6, .at = 20, WITH("\x2c"), .why = DROP_FRAGMENT}, /* reserved bits */
    {.base = UDP6, .at = 22, WITH("\x20\x01"), .is_verified = true, .why = DROP_SRC_ADDR},
    {.base = UDP6, .at = 38, WITH("\xff\x02"), .is_verified = true, .why = DROP_MULTICAST},
    /* TCP, UDP, ICMP */
    {.base = UDP4, .at = 38, WITH("\0\x7"), .why = DROP_L4_HEADER},
    {.base = UDP4, .at = 38, WITH("\xff\xff"), .why = DROP_L4_HEADER},
    {.base = UDP4, .at = 40, WITH("\x12\x34"), .why = DROP_L4_CHECKSUM},
    {.base = UDP4, .at = 900, WITH("\1\2\3"), .why = DROP_L4_CHECKSUM},
    {.base = UDP6, .at = 60, WITH("\0\0"), .why = DROP_L4_CHECKSUM},
    {.base = SYN4, .at = 46, WITH("\x40"), .why = DROP_L4_HEADER},
    {.base = SYN4, .at = 46, WITH("\xf0"), .why = DROP_L4_HEADER},
    {.base = SYN4, .at = 55, WITH("\0"), .why = DROP_L4_HEADER}, /* an option without end */
    {.base = SYN4, .at = 55, WITH("\xc8"), .why = DROP_L4_HEADER},
    {.base = SYN4, .at = 38, WITH("\7\7"), .why = DROP_L4_CHECKSUM},
    {.base = SYN6, .at = 70, WITH("\7\7"), .why = DROP_L4_CHECKSUM},
    {.base = ECHO4, .at = 34, WITH("\xd"), .has_right_l4 = true, .why = DROP_ICMP_TYPE},
    {.base = ECHO4, .at = 34, WITH("\5\1"), .has_right_l4 = true, .why = DROP_ICMP_TYPE},
    {.base = ECHO4, .at = 35, WITH("\1"), .has_right_l4 = true, .why = DROP_ICMP_TYPE},
    {.base = ECHO4, .at = 36, WITH("\7\7"), .why = DROP_L4_CHECKSUM},
};

static struct sim_frame *spoil(struct hostile *h, const struct bad *b)
{
	struct sim_packet p = packet_of(h, b->base);
	struct sim_frame *f = build(h, b->base);
	uint8_t *ip = f->bytes + SIM_ETH;

	if (b->len > 0)
		f->len = b->len;
	if (b->with_len > 0)
		memcpy(f->bytes + b->at, b->with, b->with_len);
	if (b->is_verified)
		f->vnet.flags = 2;
	if (b->has_right_sum) {
		sim_put16(ip + 10, 0);
		sim_put16(ip + 10, ~sim_sum(0, ip, SIM_IP4) & 0xffff);
	}
	if (b->has_right_l4) {
		sim_put16(ip + SIM_IP4 + 2, 0);
		sim_fill_csum(&p, ip + SIM_IP4, f->len - SIM_ETH - SIM_IP4, 2);
	}
	return f;
}

/* A16: each is dropped for its reason, counted once, and nothing leaves. */
static void malformed_frames_are_counted_by_reason(void **state)
{
	const size_t count = sizeof(bads) / sizeof(bads[0]);
	struct hostile h;

	(void)state;
	begin(&h);
	for (size_t i = 0; i < count; i++) {
		const struct bad *b = &bads[i];
		uint64_t before = h.w->counters.drops[b->why];

		send_frame(&h, spoil(&h, b));
		settle(&h);
		if (h.w->counters.drops[b->why] != before + 1 || all_drops(h.w) != i + 1)
			sim_fail(&h.w->sim, "frame %zu is not dropped as %s", i,
			    drop_reason_name(b->why));
	}
	assert_int_equal(h.datagrams, 0);
	assert_int_equal(h.w->host.count, 1); /* the connection's */
	end(&h);
}

/* Every byte of every kind of frame is changed in every bit, and every frame is cut everywhere: whatever becomes of
 * it, the connection stays. */
static void any_bit_may_be_wrong(void **state)
{
	struct hostile h;

	(void)state;
	begin(&h);
	for (int base = 0; base < BASE_COUNT; base++) {
		uint32_t len = 0;

		for (uint32_t bit = 0; bit == 0 || bit < 8 * len; bit++) {
			struct sim_frame *f = build(&h, (enum base)base);

			len = f->len < 80 ? f->len : 80;
			f->bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
			send_frame(&h, f);
		}
		for (uint32_t cut = 0; cut < len; cut++) {
			struct sim_frame *f = build(&h, (enum base)base);

			f->len = cut;
			send_frame(&h, f);
		}
	}
	end(&h);
}

/* ---- lies of the virtio-net header ---- */

/* Whether virtio 1.2, 5.1.6.2 lets a driver say this of the frame. */
static bool is_legal(enum base base, const struct sim_frame *f)
{
	const struct sim_vnet *v = &f->vnet;
	bool is_udp = base == UDP4 || base == UDP6;
	uint16_t start = base == UDP6 || base == SYN6 ? 54 : 34;
	uint8_t tcp = base == SYN4 ? SIM_GSO_TCP4 : SIM_GSO_TCP6;

	if ((v->flags & SIM_VNET_NEEDS_CSUM) != 0 &&
	    (v->csum_start != start || v->csum_offset != (is_udp ? 6 : 16)))
		return false;
	if (v->gso_type == SIM_GSO_NONE)
		return true;
	if ((v->flags & SIM_VNET_NEEDS_CSUM) == 0 || v->gso_size == 0)
		return false;
	if (!is_udp)
		return (v->gso_type & 0x7f) == tcp;
	if (v->gso_type == SIM_GSO_USO)
		return 1200 <= 128 * v->gso_size; /* no more than Linux puts into one frame */
	return v->gso_type == 3;
}

/* What a header says that is right. */
static struct sim_vnet right_vnet(enum base base)
{
	bool is_udp = base == UDP4 || base == UDP6;

	return (struct sim_vnet){
	    .flags = SIM_VNET_NEEDS_CSUM,
	    .gso_type = is_udp         ? SIM_GSO_USO
			: base == SYN4 ? SIM_GSO_TCP4
				       : SIM_GSO_TCP6,
	    .gso_size = 600,
	    .csum_start = base == UDP6 || base == SYN6 ? 54 : 34,
	    .csum_offset = is_udp ? 6 : 16,
	    .hdr_len = 54,
	};
}

/* Sets the field to the value: 0 flags, 1 gso_type, 2 flags and gso_type, then the others. */
static void set_field(struct sim_vnet *v, int field, uint16_t value)
{
	uint16_t *wide[] = {
	    &v->gso_size, &v->csum_start, &v->csum_offset, &v->hdr_len, &v->num_buffers};

	if (field == 0 || field == 2)
		v->flags = (uint8_t)value;
	if (field == 1 || field == 2)
		v->gso_type = (uint8_t)(field == 2 ? value >> 8 : value);
	if (field > 2)
		*wide[field - 3] = value;
}

/* P18: every field takes every kind of value, with everything else right. Lies are dropped, the rest is sent. */
static void every_field_of_the_virtio_header_may_lie(void **state)
{
	struct hostile h;
	uint64_t lies = 0;
	uint64_t sent = 0;
	uint64_t refused = 0;

	(void)state;
	begin(&h);
	for (int base = UDP4; base <= SYN6; base++)
		for (int field = 0; field < 8; field++)
			for (uint32_t v = 0; v < 65536; v += v < 300 ? 1 : 251) {
				struct sim_frame *f = build(&h, (enum base)base);

				f->vnet = right_vnet((enum base)base);
				set_field(&f->vnet, field, (uint16_t)v);
				if (!is_legal((enum base)base, f))
					lies++;
				else if (base == UDP4 || base == UDP6)
					sent++;
				else
					refused++;
				send_frame(&h, f);
			}
	settle(&h);
	assert_int_equal(h.w->counters.drops[DROP_VNET], lies);
	assert_int_equal(h.w->counters.drops[DROP_POLICY], refused);
	assert_int_equal(all_drops(h.w), lies + refused);
	assert_int_equal(h.datagrams, sent);
	assert_true(lies > 1000 && sent > 1000 && refused > 1000);
	assert_int_equal(h.w->host.count, 3); /* the connection's, and one per family */
	end(&h);
}

/* P18: a frame that stands for tens of thousands of datagrams would keep the engine from everything else. */
static void one_frame_is_not_thousands_of_datagrams(void **state)
{
	struct hostile h;

	(void)state;
	begin(&h);
	for (uint16_t size = 1; size <= 600; size++) {
		struct sim_packet p = packet_of(&h, UDP4);
		struct sim_frame *f;

		p.payload_len = 65000;
		f = sim_build_udp(&p, 3, 0);
		f->vnet = right_vnet(UDP4);
		f->vnet.gso_size = size;
		h.segments = 0;
		send_frame(&h, f);
		settle(&h);
		assert_true(h.segments <= 128);
	}
	assert_true(h.datagrams > 0);
	end(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(malformed_frames_are_counted_by_reason),
	    cmocka_unit_test(any_bit_may_be_wrong),
	    cmocka_unit_test(every_field_of_the_virtio_header_may_lie),
	    cmocka_unit_test(one_frame_is_not_thousands_of_datagrams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
