/* SPDX-License-Identifier: Apache-2.0 */
/* Parser of the guest's frames, and the virtio-net header codec. */
#include "frames.h"

#include "wire/vnet.h"

static uint8_t buf[MK_MAX];

/* Parses one frame in exact blocks; a drop reason of either step. */
static enum drop_reason parse_vnet(
    const uint8_t *bytes, size_t len, struct vnet_hdr vnet, struct packet *p)
{
	struct mk_frame m;
	enum drop_reason why;

	(void)mk_stage(&m, bytes, len);
	m.frame.vnet = vnet;
	memset(p, 0xa5, sizeof(*p)); /* the parser sets whatever counts */
	why = packet_parse(&m.frame, p);
	if (why == DROP_NONE && p->ethertype != ETHERTYPE_ARP && !p->is_fragment)
		why = packet_parse_l4(p);
	mk_unstage(&m);
	return why;
}

static enum drop_reason parse(const uint8_t *bytes, size_t len, struct packet *p)
{
	return parse_vnet(bytes, len, (struct vnet_hdr){0}, p);
}

static void assert_addr(const struct ip_addr *a, const char *hex)
{
	uint8_t want[16] = {[10] = 0xff, [11] = 0xff};
	uint8_t bytes[16];
	size_t len = hex_put(bytes, hex);

	memcpy(want + 16 - len, bytes, len);
	assert_memory_equal(a->b, want, 16);
}

static size_t udp4(size_t payload)
{
	size_t l4 = mk_ip4(buf, MK_GUEST4, MK_REMOTE4, 17, 8 + payload, 1, 0);

	return mk_udp(buf, l4, 40000, 53, payload, 1);
}

static size_t udp6(size_t payload)
{
	size_t l4 = mk_ip6(buf, MK_GUEST6, MK_REMOTE6, 17, 8 + payload);

	return mk_udp(buf, l4, 40000, 53, payload, 1);
}

/* A TCP segment with options and no payload. */
static size_t tcp4(uint8_t flags, const char *options)
{
	uint8_t opts[40];
	size_t opts_len = hex_put(opts, options);
	size_t l4 = mk_ip4(buf, MK_GUEST4, MK_REMOTE4, 6, 20 + opts_len, 1, 0x4000);

	(void)hex_put(buf + l4, "9c40 01bb 01020304 05060708 5000 ffee 0000 0000");
	buf[l4 + 12] = (uint8_t)((5 + opts_len / 4) << 4);
	buf[l4 + 13] = flags;
	memcpy(buf + l4 + 20, opts, opts_len);
	mk16(buf + l4 + 16, mk_l4_sum(buf, l4, 20 + opts_len, 6));
	return l4 + 20 + opts_len;
}

static size_t tcp6(void)
{
	size_t l4 = mk_ip6(buf, MK_GUEST6, MK_REMOTE6, 6, 23);

	(void)hex_put(buf + l4, "9c40 01bb 01020304 05060708 5010 ffee 0000 0000 aabbcc");
	mk16(buf + l4 + 16, mk_l4_sum(buf, l4, 23, 6));
	return l4 + 23;
}

static size_t echo4(size_t payload)
{
	size_t l4 = mk_ip4(buf, MK_GUEST4, MK_REMOTE4, 1, 8 + payload, 1, 0);

	(void)hex_put(buf + l4, "0800 0000 1234 0007");
	memset(buf + l4 + 8, 0x55, payload);
	mk16(buf + l4 + 2, mk_l4_sum(buf, l4, 8 + payload, 1));
	return l4 + 8 + payload;
}

static size_t echo6(void)
{
	size_t l4 = mk_ip6(buf, MK_GUEST6, MK_REMOTE6, 58, 8);

	(void)hex_put(buf + l4, "8000 0000 1234 0007");
	mk16(buf + l4 + 2, mk_l4_sum(buf, l4, 8, 58));
	return l4 + 8;
}

/* RFC 1122 3.2.1.7, RFC 8200 3: where a packet ends, a hop limit that is used up is no reason to drop it. */
static void hop_limit_does_not_matter(void **state)
{
	struct packet p;

	(void)state;
	for (int ttl = 0; ttl < 2; ttl++) {
		size_t len = udp4(5);

		buf[22] = (uint8_t)ttl;
		mk_ip4_csum(buf);
		assert_int_equal(parse(buf, len, &p), DROP_NONE);
		assert_int_equal(p.ttl, ttl);
	}
}

static void udp_over_ip4_is_read(void **state)
{
	size_t len = udp4(5);
	struct packet p;

	(void)state;
	buf[22] = 63;
	mk_ip4_csum(buf);
	assert_int_equal(parse(buf, len, &p), DROP_NONE);
	assert_int_equal(p.ethertype, ETHERTYPE_IP4);
	assert_memory_equal(p.eth_dst.b, buf, 6);
	assert_memory_equal(p.eth_src.b, buf + 6, 6);
	assert_int_equal(p.family, 4);
	assert_int_equal(p.proto, PROTO_UDP);
	assert_int_equal(p.ttl, 63);
	assert_addr(&p.src, MK_GUEST4);
	assert_addr(&p.dst, MK_REMOTE4);
	assert_false(p.is_fragment || p.has_more || p.has_df);
	assert_int_equal(p.frag_off, 0);
	assert_int_equal(p.frag_id, 1);
	assert_int_equal(p.l4_off, 34);
	assert_int_equal(p.l4_len, 13);
	assert_int_equal(p.payload_off, 42);
	assert_int_equal(p.payload_len, 5);
	assert_int_equal(p.udp.src_port, 40000);
	assert_int_equal(p.udp.dst_port, 53);
}

static void udp_over_ip6_is_read(void **state)
{
	size_t len = udp6(5);
	struct packet p;

	(void)state;
	assert_int_equal(parse(buf, len, &p), DROP_NONE);
	assert_int_equal(p.family, 6);
	assert_int_equal(p.proto, PROTO_UDP);
	assert_int_equal(p.ttl, 64);
	assert_addr(&p.src, MK_GUEST6);
	assert_addr(&p.dst, MK_REMOTE6);
	assert_true(p.has_df);
	assert_false(p.is_fragment || p.has_more);
	assert_int_equal(p.frag_off, 0);
	assert_int_equal(p.frag_id, 0);
	assert_int_equal(p.l4_off, 54);
	assert_int_equal(p.payload_off, 62);
	assert_int_equal(p.payload_len, 5);
	len = udp6(0);
	assert_int_equal(parse(buf, len, &p), DROP_NONE);
	assert_int_equal(p.payload_len, 0);
}

static void tcp_and_the_options_of_a_syn_are_read(void **state)
{
	struct packet p;
	size_t len = tcp4(TCP_SYN, "020405b4 0402 080a0000000100000000 01 030307");

	(void)state;
	assert_int_equal(parse(buf, len, &p), DROP_NONE);
	assert_true(p.has_df);
	assert_int_equal(p.tcp.src_port, 40000);
	assert_int_equal(p.tcp.dst_port, 443);
	assert_int_equal(p.tcp.seq, 0x01020304);
	assert_int_equal(p.tcp.ack, 0x05060708);
	assert_int_equal(p.tcp.wnd, 0xffee);
	assert_int_equal(p.tcp.flags, TCP_SYN);
	assert_int_equal(p.tcp.hdr_len, 40);
	assert_int_equal(p.tcp.opt_mss, 1460);
	assert_true(p.tcp.has_wscale);
	assert_int_equal(p.tcp.opt_wscale, 7);
	assert_true(p.tcp.has_sack_permitted);
	assert_int_equal(p.payload_len, 0);
	assert_int_equal(p.payload_off, len);
	/* RFC 7323 2.3: a larger shift is taken for 14. */
	len = tcp4(TCP_SYN, "03030f 00");
	assert_int_equal(parse(buf, len, &p), DROP_NONE);
	assert_int_equal(p.tcp.opt_wscale, 14);
	assert_int_equal(p.tcp.opt_mss, 0);
	assert_false(p.tcp.has_sack_permitted);
}

static void tcp_payload_is_found(void **state)
{
	struct packet p;
	size_t len = tcp6();

	(void)state;
	assert_int_equal(parse(buf, len, &p), DROP_NONE);
	assert_int_equal(p.family, 6);
	assert_int_equal(p.payload_off, 74);
	assert_int_equal(p.payload_len, 3);
	assert_false(p.tcp.has_wscale || p.tcp.has_sack_permitted);
	assert_int_equal(p.tcp.opt_wscale, 0);
	assert_int_equal(p.tcp.opt_mss, 0);
}

static void options_of_other_segments_are_not_read(void **state)
{
	struct packet p;
	size_t len = tcp4(TCP_ACK, "020405b4 03030700");

	(void)state;
	assert_int_equal(parse(buf, len, &p), DROP_NONE);
	assert_int_equal(p.tcp.opt_mss, 0);
	assert_false(p.tcp.has_wscale);
}

static void malformed_tcp_headers_are_dropped(void **state)
{
	static const char *const options[] = {
	    "02000000", /* length 0 */
	    "02010000", /* length 1 */
	    "01010102", /* no length */
	    "020605b4", /* reaches out of the header */
	};
	struct packet p;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		len = tcp4(TCP_SYN, options[i]);
		assert_int_equal(parse(buf, len, &p), DROP_L4_HEADER);
	}
	/* An option of another length than its own is another option. */
	len = tcp4(TCP_SYN, "0203ff 01 0302 0403ff 0504ffff 000000");
	assert_int_equal(parse(buf, len, &p), DROP_NONE);
	assert_int_equal(p.tcp.opt_mss, 0);
	assert_false(p.tcp.has_wscale || p.tcp.has_sack_permitted);
	len = tcp4(TCP_ACK, "");
	buf[MK_IP4_L4 + 12] = 0x40;
	assert_int_equal(parse(buf, len, &p), DROP_L4_HEADER);
	buf[MK_IP4_L4 + 12] = 0x60;
	assert_int_equal(parse(buf, len, &p), DROP_L4_HEADER);
	/* Nor does the header reach into the padding of the frame. */
	memset(buf + len, 0, 20);
	assert_int_equal(parse(buf, len + 20, &p), DROP_L4_HEADER);
}

static void echo_is_read_in_both_families(void **state)
{
	struct packet p;
	size_t len = echo4(3);

	(void)state;
	assert_int_equal(parse(buf, len, &p), DROP_NONE);
	assert_int_equal(p.icmp.type, 8);
	assert_int_equal(p.icmp.code, 0);
	assert_int_equal(p.icmp.id, 0x1234);
	assert_int_equal(p.icmp.seq, 7);
	assert_int_equal(p.payload_off, 42);
	assert_int_equal(p.payload_len, 3);
	len = echo6();
	assert_int_equal(parse(buf, len, &p), DROP_NONE);
	assert_int_equal(p.icmp.type, 128);
	assert_int_equal(p.icmp.id, 0x1234);
	assert_int_equal(p.payload_len, 0);
}

/* P5; ICMP of the other family is a foreign protocol too. */
static void other_protocols_are_dropped(void **state)
{
	static const uint8_t protos[] = {
	    0, 2, 4, 41, 43, 44, 46, 47, 50, 51, 58, 59, 60, 132, 139, 255};
	struct packet p;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(protos); i++) {
		len = mk_ip4(buf, MK_GUEST4, MK_REMOTE4, protos[i], 20, 1, 0) + 20;
		assert_int_equal(parse(buf, len, &p), DROP_PROTOCOL);
	}
	for (size_t i = 0; i < sizeof(protos); i++) {
		uint8_t n = protos[i];

		if (n == 0 || n == 43 || n == 44 || n == 60 || n == 58)
			continue;
		len = mk_ip6(buf, MK_GUEST6, MK_REMOTE6, n, 20) + 20;
		assert_int_equal(parse(buf, len, &p), DROP_PROTOCOL);
	}
	len = mk_ip6(buf, MK_GUEST6, MK_REMOTE6, 1, 20) + 20;
	assert_int_equal(parse(buf, len, &p), DROP_PROTOCOL);
}

/* A16 */
static void ethertypes_that_are_not_spoken_are_dropped(void **state)
{
	static const char *const types[] = {
	    "0000", "05dc", "05ff", "0801", "0807", "8100", "88a8", "8847", "8863", "86dc", "ffff"};
	struct packet p;

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		size_t len = udp4(20);

		(void)hex_put(buf + 12, types[i]);
		assert_int_equal(parse(buf, len, &p), DROP_ETHERTYPE);
	}
	(void)hex_put(buf + 12, "0806");
	assert_int_equal(parse(buf, 60, &p), DROP_NONE);
	assert_int_equal(p.ethertype, ETHERTYPE_ARP);
	assert_int_equal(p.family, 0);
	assert_false(p.is_fragment);
	assert_int_equal(p.payload_len, 0);
}

/* A16: no cut of a frame is read beyond its end, nor taken for whole. */
static void every_runt_is_dropped(void **state)
{
	struct packet p;
	size_t len;

	(void)state;
	len = udp4(20);
	for (size_t n = 0; n < len; n++)
		assert_int_equal(parse(buf, n, &p), DROP_RUNT);
	len = udp6(20);
	for (size_t n = 0; n < len; n++)
		assert_int_equal(parse(buf, n, &p), DROP_RUNT);
	len = tcp4(TCP_SYN, "020405b4");
	for (size_t n = 0; n < len; n++)
		assert_int_equal(parse(buf, n, &p), DROP_RUNT);
	len = echo6();
	for (size_t n = 0; n < len; n++)
		assert_int_equal(parse(buf, n, &p), DROP_RUNT);
}

/* A16: a packet whose own length ends in the middle of a header. */
static void every_short_upper_layer_is_dropped(void **state)
{
	struct packet p;

	(void)state;
	for (uint8_t n = 0; n < 8; n++) {
		(void)udp4(20);
		mk16(buf + 16, 20U + n);
		mk_ip4_csum(buf);
		assert_int_equal(parse(buf, 62, &p), DROP_L4_HEADER);
		(void)echo4(20);
		mk16(buf + 16, 20U + n);
		mk_ip4_csum(buf);
		assert_int_equal(parse(buf, 62, &p), DROP_L4_HEADER);
		(void)udp6(20);
		mk16(buf + 18, n);
		assert_int_equal(parse(buf, 82, &p), n == 0 ? DROP_IP_HEADER : DROP_L4_HEADER);
	}
	for (uint8_t n = 0; n < 20; n++) {
		(void)tcp4(TCP_ACK, "");
		mk16(buf + 16, 20U + n);
		mk_ip4_csum(buf);
		assert_int_equal(parse(buf, 54, &p), DROP_L4_HEADER);
	}
}

static void padding_is_no_payload(void **state)
{
	size_t len = udp4(1);
	struct packet p;

	(void)state;
	memset(buf + len, 0xee, 60 - len);
	assert_int_equal(parse(buf, 60, &p), DROP_NONE);
	assert_int_equal(p.payload_len, 1);
	len = udp6(1);
	memset(buf + len, 0xee, 10);
	assert_int_equal(parse(buf, len + 10, &p), DROP_NONE);
	assert_int_equal(p.payload_len, 1);
}

/* RFC 768: the length field counts; bytes of the IP packet behind it are none of the datagram's. */
static void udp_length_field_bounds_the_payload(void **state)
{
	size_t len = udp4(10);
	struct packet p;

	(void)state;
	mk16(buf + 38, 8 + 4);
	mk16(buf + 40, 0);
	mk16(buf + 40, mk_l4_sum(buf, 34, 12, 17));
	assert_int_equal(parse(buf, len, &p), DROP_NONE);
	assert_int_equal(p.payload_len, 4);
	/* ... nor are they summed up, wherever the pieces of the frame end. */
	for (size_t piece = 15; piece < len; piece++) {
		struct mk_frame m;

		(void)mk_stage_split(&m, buf, len, piece);
		assert_int_equal(packet_parse(&m.frame, &p), DROP_NONE);
		assert_int_equal(packet_parse_l4(&p), DROP_NONE);
		mk_unstage(&m);
	}
	mk16(buf + 38, 8 + 11);
	assert_int_equal(parse(buf, len, &p), DROP_L4_HEADER);
	mk16(buf + 38, 7);
	assert_int_equal(parse(buf, len, &p), DROP_L4_HEADER);
	mk16(buf + 38, 0);
	assert_int_equal(parse(buf, len, &p), DROP_L4_HEADER);
}

/* A16 */
static void ip4_header_is_checked(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		enum drop_reason why;
	} rows[] = {
	    {14, 0x55, DROP_IP_HEADER}, /* version 5 */
	    {14, 0x65, DROP_IP_HEADER}, /* version 6 under the ethertype of 4 */
	    {14, 0x44, DROP_IP_HEADER}, /* header of 16 bytes */
	    {14, 0x40, DROP_IP_HEADER}, /* of none */
	    {14, 0x4f, DROP_IP_HEADER}, /* of more than the packet */
	    {16, 0x10, DROP_RUNT},      /* total length beyond the frame */
	    {17, 19, DROP_IP_HEADER},   /* ... below the header */
	};
	struct packet p;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		len = udp4(4);
		buf[rows[i].at] = rows[i].value;
		memset(buf + len, 0, 60 - len);
		if (rows[i].at != 14)
			mk_ip4_csum(buf);
		assert_int_equal(parse(buf, 60, &p), rows[i].why);
	}
	len = udp4(4);
	for (size_t at = 14; at < 34; at++) {
		buf[at] ^= 0x01;
		assert_int_not_equal(parse(buf, len, &p), DROP_NONE);
		buf[at] ^= 0x01;
	}
	buf[18] ^= 1;
	assert_int_equal(parse(buf, len, &p), DROP_IP_CHECKSUM);
}

/* Inserts IPv4 options behind the header of a UDP frame. */
static size_t udp4_with_options(const char *options)
{
	uint8_t opts[44];
	size_t n = hex_put(opts, options);
	size_t len = udp4(4);

	memmove(buf + 34 + n, buf + 34, len - 34);
	memcpy(buf + 34, opts, n);
	buf[14] = (uint8_t)(0x45 + n / 4);
	mk16(buf + 16, len - 14 + n);
	mk_ip4_csum(buf);
	return len + n;
}

/* RFC 7126: source routing is refused, other options are passed over. */
static void ip4_options_are_checked(void **state)
{
	static const struct {
		const char *options;
		enum drop_reason why;
	} rows[] = {
	    {"01010101", DROP_NONE},
	    {"00ffffff", DROP_NONE},         /* behind the end of the options anything may stand */
	    {"94040000", DROP_NONE},         /* router alert */
	    {"0707040000000000", DROP_NONE}, /* record route */
	    {"94020101", DROP_NONE},         /* of nothing */
	    {"83070400000000 00", DROP_IP_OPTION},
	    {"89070400000000 00", DROP_IP_OPTION},
	    {"01010189", DROP_IP_HEADER},
	    {"94000000", DROP_IP_HEADER},
	    {"94010000", DROP_IP_HEADER},
	    {"94050000", DROP_IP_HEADER},
	    {"8904000089040000890400008904000089040000890400008904000089040000890400008904"
	     "0000",
		DROP_IP_OPTION},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = udp4_with_options(rows[i].options);
		struct packet p;

		assert_int_equal(parse(buf, len, &p), rows[i].why);
		if (rows[i].why == DROP_NONE)
			assert_int_equal(p.payload_len, 4);
	}
}

/* A16 */
static void ip6_header_is_checked(void **state)
{
	struct packet p;
	size_t len = udp6(4);

	(void)state;
	buf[14] = 0x40;
	assert_int_equal(parse(buf, len, &p), DROP_IP_HEADER);
	len = udp6(4);
	mk16(buf + 18, 13);
	assert_int_equal(parse(buf, len, &p), DROP_RUNT);
	mk16(buf + 18, 0);
	assert_int_equal(parse(buf, len, &p), DROP_IP_HEADER);
}

/* UDP over IPv6 with the given extension headers in front, the last of which must name UDP. */
static size_t udp6_behind(uint8_t first, const char *headers)
{
	uint8_t ext[512];
	size_t n = hex_put(ext, headers);

	(void)udp6(4);
	memmove(buf + 54 + n, buf + 54, 12);
	memcpy(buf + 54, ext, n);
	buf[20] = first;
	mk16(buf + 18, n + 12);
	return 54 + n + 12;
}

#define EXT(next) next "00010400000000"

/* P6 */
static void extension_headers_are_walked(void **state)
{
	static const struct {
		size_t first;
		const char *headers;
		enum drop_reason why;
	} rows[] = {
	    {0, EXT("11"), DROP_NONE},                            /* hop by hop */
	    {60, EXT("11"), DROP_NONE},                           /* destination */
	    {0, EXT("3c") EXT("11"), DROP_NONE},                  /* both */
	    {60, EXT("00") EXT("11"), DROP_IP_HEADER},            /* in the wrong order */
	    {0, EXT("00") EXT("11"), DROP_IP_HEADER},             /* twice */
	    {43, "1100000000000000", DROP_NONE},                  /* routing, no segments left */
	    {43, "1100000100000000", DROP_IP_OPTION},             /* RFC 5095 */
	    {44, "1100000000000001", DROP_NONE},                  /* atomic, RFC 6946 */
	    {44, "1100000200000001", DROP_FRAGMENT},              /* reserved bits */
	    {44, "1100000400000001", DROP_FRAGMENT},              /* ... */
	    {60, "1101010c 000000000000000000000000", DROP_NONE}, /* of 16 bytes */
	    {60, "11ff0000 00000000", DROP_IP_HEADER},            /* longer than the packet */
	    {60, "1103", DROP_IP_HEADER},                         /* ... with what follows */
	    {51, "1100000000000000", DROP_PROTOCOL},              /* authentication header */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = udp6_behind((uint8_t)rows[i].first, rows[i].headers);
		struct packet p;

		assert_int_equal(parse(buf, len, &p), rows[i].why);
		if (rows[i].why == DROP_NONE) {
			assert_int_equal(p.proto, PROTO_UDP);
			assert_false(p.is_fragment);
			assert_int_equal(p.l4_off, len - 12);
			assert_int_equal(p.payload_len, 4);
		}
	}
}

static void eight_extension_headers_are_the_most(void **state)
{
	struct packet p;
	char headers[200];
	size_t len;

	(void)state;
	(void)snprintf(headers, sizeof(headers), "%s",
	    EXT("3c") EXT("3c") EXT("3c") EXT("3c") EXT("3c") EXT("3c") EXT("3c") EXT("11"));
	len = udp6_behind(60, headers);
	assert_int_equal(parse(buf, len, &p), DROP_NONE);
	(void)snprintf(headers, sizeof(headers), "%s",
	    EXT("3c") EXT("3c") EXT("3c") EXT("3c") EXT("3c") EXT("3c") EXT("3c") EXT("3c")
		EXT("11"));
	len = udp6_behind(60, headers);
	assert_int_equal(parse(buf, len, &p), DROP_IP_OPTION);
}

/* Headers that do not fit the head which a port gives are refused, not read from shared memory. */
static void headers_behind_the_head_are_dropped(void **state)
{
	struct mk_frame m;
	struct packet p;
	size_t len = 54 + 208 + 12;

	(void)state;
	(void)udp6_behind(60, "1119 0104 00000000");
	/* One destination header of 208 bytes: UDP starts 262 bytes into the frame. */
	memset(buf + 62, 0, 300);
	mk16(buf + 18, 208 + 12);
	(void)mk_stage_split(&m, buf, len, 100);
	assert_int_equal(packet_parse(&m.frame, &p), DROP_IP_HEADER);
	mk_unstage(&m);
	/* Of 200 bytes: the UDP header is cut by the end of the head. */
	buf[55] = 24;
	mk16(buf + 18, 200 + 12);
	len = 54 + 200 + 12;
	(void)mk_stage_split(&m, buf, len, 100);
	assert_int_equal(packet_parse(&m.frame, &p), DROP_NONE);
	assert_int_equal(packet_parse_l4(&p), DROP_L4_HEADER);
	mk_unstage(&m);
}

static void fragments_are_recognised(void **state)
{
	struct packet p;
	size_t len = udp4(16);

	(void)state;
	mk16(buf + 20, 0x2000);
	mk_ip4_csum(buf);
	assert_int_equal(parse(buf, len, &p), DROP_NONE);
	assert_true(p.is_fragment && p.has_more);
	assert_int_equal(p.frag_off, 0);
	assert_int_equal(p.l4_off, 34);
	assert_int_equal(p.l4_len, 24);
	mk16(buf + 20, 0x1fff);
	mk_ip4_csum(buf);
	assert_int_equal(parse(buf, len, &p), DROP_NONE);
	assert_true(p.is_fragment && !p.has_more);
	assert_int_equal(p.frag_off, 65528);
	/* E3: the reserved bit, which means nothing in a whole packet. */
	mk16(buf + 20, 0xa000);
	mk_ip4_csum(buf);
	assert_int_equal(parse(buf, len, &p), DROP_FRAGMENT);
	mk16(buf + 20, 0x8000);
	mk_ip4_csum(buf);
	assert_int_equal(parse(buf, len, &p), DROP_NONE);

	len = udp6_behind(44, "1100 1238 deadbeef");
	assert_int_equal(parse(buf, len, &p), DROP_NONE);
	assert_true(p.is_fragment && !p.has_more);
	assert_int_equal(p.frag_off, 0x1238);
	assert_int_equal(p.frag_id, 0xdeadbeef);
	assert_int_equal(p.proto, 17);
	assert_int_equal(p.l4_off, 62);
	assert_int_equal(p.l4_len, 12);
	len = udp6_behind(60, "2c00010400000000 1100 0001 deadbeef");
	assert_int_equal(parse(buf, len, &p), DROP_NONE);
	assert_true(p.is_fragment && p.has_more);
	assert_int_equal(p.frag_off, 0);
	assert_int_equal(p.l4_off, 70);
}

/* A16 */
static void wrong_upper_checksums_are_dropped(void **state)
{
	struct packet p;
	size_t len = udp4(5);

	(void)state;
	for (size_t at = 34; at < len; at++) {
		buf[at] ^= 0x10;
		assert_int_not_equal(parse(buf, len, &p), DROP_NONE);
		buf[at] ^= 0x10;
	}
	buf[len - 1] ^= 1;
	assert_int_equal(parse(buf, len, &p), DROP_L4_CHECKSUM);
	len = tcp4(TCP_ACK, "");
	buf[MK_IP4_L4 + 4] ^= 1;
	assert_int_equal(parse(buf, len, &p), DROP_L4_CHECKSUM);
	len = echo4(2);
	buf[len - 1] ^= 1;
	assert_int_equal(parse(buf, len, &p), DROP_L4_CHECKSUM);
	len = echo6();
	buf[len - 1] ^= 1;
	assert_int_equal(parse(buf, len, &p), DROP_L4_CHECKSUM);
	/* The pseudo-header counts: another address, same header checksum. */
	len = udp6(5);
	buf[53] ^= 1;
	assert_int_equal(parse(buf, len, &p), DROP_L4_CHECKSUM);
}

/* RFC 768, RFC 8200 8.1 */
static void udp_without_checksum_is_ip4_only(void **state)
{
	struct packet p;
	size_t len = udp4(5);

	(void)state;
	mk16(buf + 40, 0);
	assert_int_equal(parse(buf, len, &p), DROP_NONE);
	len = udp6(5);
	mk16(buf + 60, 0);
	assert_int_equal(parse(buf, len, &p), DROP_L4_CHECKSUM);
	/* One byte of zero is not that. */
	len = udp4(5);
	buf[40] = 0;
	assert_int_equal(parse(buf, len, &p), DROP_L4_CHECKSUM);
}

/* RFC 768: a sum of zero is sent as ffff. */
static void udp_checksum_of_all_ones_is_right(void **state)
{
	struct packet p;
	size_t len = udp4(2);
	size_t sum = mk_get16(buf + 40);

	(void)state;
	/* Adding the checksum to the payload makes the rest sum up to zero. */
	mk16(buf + 42, (mk_get16(buf + 42) + sum) % 0xffff);
	mk16(buf + 40, 0);
	assert_int_equal(mk_l4_sum(buf, 34, 10, 17), 0);
	mk16(buf + 40, 0xffff);
	assert_int_equal(parse(buf, len, &p), DROP_NONE);
}

/* C21: addresses in the form ::ffff:a.b.c.d have an IPv6 checksum all the same. */
static void mapped_addresses_in_ip6_packets_are_summed_right(void **state)
{
	struct packet p;
	size_t l4 = mk_ip6(
	    buf, "00000000000000000000ffff64600002", "00000000000000000000ffffc0000209", 17, 13);
	size_t len = mk_udp(buf, l4, 1, 2, 5, 0);

	(void)state;
	assert_int_equal(parse(buf, len, &p), DROP_NONE);
	assert_int_equal(p.family, 6);
	assert_true(ip_addr_is_v4(&p.dst));
}

/* Any cut of a frame into pieces, odd ones too, gives the same packet. */
static void frames_in_pieces_are_read(void **state)
{
	size_t len = udp4(601);

	(void)state;
	for (size_t piece = 11; piece <= len; piece++) {
		struct mk_frame m;
		struct packet p;

		(void)mk_stage_split(&m, buf, len, piece);
		assert_int_equal(packet_parse(&m.frame, &p), DROP_NONE);
		assert_int_equal(packet_parse_l4(&p), DROP_NONE);
		assert_int_equal(p.payload_len, 601);
		mk_unstage(&m);
	}
}

static void pieces_of_a_frame_are_copied_and_sliced(void **state)
{
	size_t len = udp4(601);
	struct mk_frame m;

	(void)state;
	(void)mk_stage_split(&m, buf, len, 50);
	for (uint32_t off = 0; off < len; off += 7) {
		for (uint32_t n = 1; off + n <= len; n += 43) {
			uint8_t *copy = malloc(n);
			struct iovec iov[MK_PIECES_MAX];
			uint32_t count = frame_slice(&m.frame, off, n, iov, MK_PIECES_MAX);
			uint32_t at = off;

			frame_copy(&m.frame, off, copy, n);
			assert_memory_equal(copy, buf + off, n);
			for (uint32_t i = 0; i < count; i++) {
				assert_true(iov[i].iov_len > 0);
				assert_memory_equal(iov[i].iov_base, buf + at, iov[i].iov_len);
				at += (uint32_t)iov[i].iov_len;
			}
			assert_int_equal(at, off + n);
			assert_int_equal(frame_slice(&m.frame, off, n, iov, count - 1), 0);
			assert_int_equal(frame_slice(&m.frame, off, n, iov, count), count);
			free(copy);
		}
	}
	assert_int_equal(frame_slice(&m.frame, 0, 0, NULL, 0), 0);
	frame_copy(&m.frame, 0, NULL, 0);
	mk_unstage(&m);
}

static void unfinished_and_verified_checksums_are_not_looked_at(void **state)
{
	struct vnet_hdr v = {.flags = VNET_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6};
	struct packet p;
	size_t len = udp4(5);

	(void)state;
	mk16(buf + 40, 0x1234);
	assert_int_equal(parse_vnet(buf, len, v, &p), DROP_NONE);
	v = (struct vnet_hdr){.flags = VNET_F_DATA_VALID};
	assert_int_equal(parse_vnet(buf, len, v, &p), DROP_NONE);
	v.flags = 4;
	assert_int_equal(parse_vnet(buf, len, v, &p), DROP_L4_CHECKSUM);
}

/* P18 */
static void lying_checksum_offload_is_dropped(void **state)
{
	static const struct {
		uint16_t start;
		uint16_t offset;
		enum drop_reason why;
	} rows[] = {
	    {34, 16, DROP_NONE},
	    {33, 16, DROP_VNET},
	    {35, 16, DROP_VNET},
	    {0, 16, DROP_VNET},
	    {34, 6, DROP_VNET},
	    {34, 17, DROP_VNET},
	    {34, 0xffff, DROP_VNET},
	    {0xffff, 16, DROP_VNET},
	    {0xffff, 0xffff, DROP_VNET},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vnet_hdr v = {.flags = VNET_F_NEEDS_CSUM,
		    .csum_start = rows[i].start,
		    .csum_offset = rows[i].offset};
		struct packet p;
		size_t len = tcp4(TCP_ACK, "");

		assert_int_equal(parse_vnet(buf, len, v, &p), rows[i].why);
	}
}

/* P18 */
static void lying_segmentation_offload_is_dropped(void **state)
{
	enum {
		TCP,
		TCP6,
		UDP,
		UDP6,
		ECHO,
	};
	static const struct {
		int packet;
		int gso_type;
		int gso_size;
		int has_csum;
		enum drop_reason why;
	} rows[] = {
	    {TCP, VNET_GSO_TCP4, 1448, true, DROP_NONE},
	    {TCP, VNET_GSO_TCP4 | VNET_GSO_ECN, 1448, true, DROP_NONE},
	    {TCP, VNET_GSO_TCP4, 0, true, DROP_VNET},     /* segments of nothing */
	    {TCP, VNET_GSO_TCP4, 1448, false, DROP_VNET}, /* each needs its own checksum */
	    {TCP, VNET_GSO_TCP6, 1448, true, DROP_VNET},
	    {TCP6, VNET_GSO_TCP6, 1428, true, DROP_NONE},
	    {TCP6, VNET_GSO_TCP4, 1428, true, DROP_VNET},
	    {UDP6, VNET_GSO_TCP6, 1428, true, DROP_VNET},
	    {TCP, VNET_GSO_UDP, 1448, true, DROP_VNET},
	    {TCP, VNET_GSO_USO, 1448, true, DROP_VNET},
	    {TCP, 2, 1448, true, DROP_VNET},
	    {TCP, 6, 1448, true, DROP_VNET},
	    {TCP, 0x7f, 1448, true, DROP_VNET},
	    {TCP, VNET_GSO_ECN, 0, true, DROP_VNET},
	    {TCP, VNET_GSO_NONE, 1448, true, DROP_NONE}, /* size without type means nothing */
	    {UDP, VNET_GSO_USO, 1472, true, DROP_NONE},
	    {UDP, VNET_GSO_UDP, 1472, true, DROP_NONE},
	    {UDP, VNET_GSO_USO, 0, true, DROP_VNET},
	    {UDP, VNET_GSO_USO, 1472, false, DROP_VNET},
	    {UDP, VNET_GSO_TCP4, 1472, true, DROP_VNET},
	    {UDP, VNET_GSO_USO | VNET_GSO_ECN, 1472, true, DROP_VNET},
	    {UDP, VNET_GSO_UDP | VNET_GSO_ECN, 1472, true, DROP_VNET},
	    {UDP6, VNET_GSO_USO, 1452, true, DROP_NONE},
	    {ECHO, VNET_GSO_USO, 1472, true, DROP_VNET},
	    {ECHO, VNET_GSO_UDP, 1472, true, DROP_VNET},
	    {ECHO, VNET_GSO_TCP4, 1472, true, DROP_VNET},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vnet_hdr v = {
		    .gso_type = (uint8_t)rows[i].gso_type, .gso_size = (uint16_t)rows[i].gso_size};
		struct packet p;
		size_t len = 0;

		switch (rows[i].packet) {
		case TCP:
			len = tcp4(TCP_ACK, "");
			break;
		case TCP6:
			len = tcp6();
			break;
		case UDP:
			len = udp4(3000);
			break;
		case UDP6:
			len = udp6(3000);
			break;
		default:
			len = echo4(3000);
			break;
		}
		if (rows[i].has_csum) {
			v.flags = VNET_F_NEEDS_CSUM;
			v.csum_start = buf[14] >> 4 == 6 ? 54 : 34;
			v.csum_offset = buf[14] >> 4 == 6 ? buf[20] : buf[23];
			v.csum_offset = v.csum_offset == 6 ? 16 : v.csum_offset == 17 ? 6 : 2;
		}
		assert_int_equal(parse_vnet(buf, len, v, &p), rows[i].why);
	}
}

/* Linux leaves the length of the first segment, or of the whole, in the header. */
static void udp_segmentation_takes_the_length_of_the_ip_packet(void **state)
{
	struct vnet_hdr v = {.flags = VNET_F_NEEDS_CSUM,
	    .gso_type = VNET_GSO_USO,
	    .gso_size = 1000,
	    .csum_start = 34,
	    .csum_offset = 6};
	struct packet p;
	size_t len = udp4(3000);

	(void)state;
	mk16(buf + 38, 1008);
	assert_int_equal(parse_vnet(buf, len, v, &p), DROP_NONE);
	assert_int_equal(p.payload_len, 3000);
}

static void vnet_header_is_little_endian(void **state)
{
	uint8_t wire[VNET_HDR_SIZE];
	uint8_t out[VNET_HDR_SIZE];
	struct vnet_hdr v;

	(void)state;
	(void)hex_put(wire, "0185 0201 0403 0605 0807 0a09");
	v = vnet_parse(wire);
	assert_int_equal(v.flags, 0x01);
	assert_int_equal(v.gso_type, 0x85);
	assert_int_equal(v.hdr_len, 0x0102);
	assert_int_equal(v.gso_size, 0x0304);
	assert_int_equal(v.csum_start, 0x0506);
	assert_int_equal(v.csum_offset, 0x0708);
	assert_int_equal(v.num_buffers, 0x090a);
	vnet_build(&v, out);
	assert_memory_equal(out, wire, sizeof(wire));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hop_limit_does_not_matter),
	    cmocka_unit_test(udp_over_ip4_is_read),
	    cmocka_unit_test(udp_over_ip6_is_read),
	    cmocka_unit_test(tcp_and_the_options_of_a_syn_are_read),
	    cmocka_unit_test(tcp_payload_is_found),
	    cmocka_unit_test(options_of_other_segments_are_not_read),
	    cmocka_unit_test(malformed_tcp_headers_are_dropped),
	    cmocka_unit_test(echo_is_read_in_both_families),
	    cmocka_unit_test(other_protocols_are_dropped),
	    cmocka_unit_test(ethertypes_that_are_not_spoken_are_dropped),
	    cmocka_unit_test(every_runt_is_dropped),
	    cmocka_unit_test(every_short_upper_layer_is_dropped),
	    cmocka_unit_test(padding_is_no_payload),
	    cmocka_unit_test(udp_length_field_bounds_the_payload),
	    cmocka_unit_test(ip4_header_is_checked),
	    cmocka_unit_test(ip4_options_are_checked),
	    cmocka_unit_test(ip6_header_is_checked),
	    cmocka_unit_test(extension_headers_are_walked),
	    cmocka_unit_test(eight_extension_headers_are_the_most),
	    cmocka_unit_test(headers_behind_the_head_are_dropped),
	    cmocka_unit_test(fragments_are_recognised),
	    cmocka_unit_test(wrong_upper_checksums_are_dropped),
	    cmocka_unit_test(udp_without_checksum_is_ip4_only),
	    cmocka_unit_test(udp_checksum_of_all_ones_is_right),
	    cmocka_unit_test(mapped_addresses_in_ip6_packets_are_summed_right),
	    cmocka_unit_test(frames_in_pieces_are_read),
	    cmocka_unit_test(pieces_of_a_frame_are_copied_and_sliced),
	    cmocka_unit_test(unfinished_and_verified_checksums_are_not_looked_at),
	    cmocka_unit_test(lying_checksum_offload_is_dropped),
	    cmocka_unit_test(lying_segmentation_offload_is_dropped),
	    cmocka_unit_test(udp_segmentation_takes_the_length_of_the_ip_packet),
	    cmocka_unit_test(vnet_header_is_little_endian),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
