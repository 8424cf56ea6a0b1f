/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole engine between a hostile guest and a hostile host (threats.md P5 to P20): the input says what frames come
 * with what virtio-net headers, how time passes, what sockets do, which calls fail. Half of the frames are raw; the others have
 * right checksums and lengths and aim at the windows of the connections that exist.
 *
 * After each step: nothing has crashed, the engine has come to rest, its structures agree (sim_check.c), each
 * frame to the guest is right in itself, holds the right bytes of its stream, and takes back no promise
 * (sim_watch.c). At the end nothing is left.
 */
#include "fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "engine/internal.h"
#include "sim_world.h"

enum {
	STEPS_MAX = 400,
	PORTS = 6,        /* the guest's, and so many remote ones */
	SOCKS_MAX = 2000, /* sockets opened in one run */
	GUEST_SEED = 1,
	REMOTE_SEED = 2,
	ASKED_MAX = 600,
	DGRAM_MAX = 9000,
};

struct fuzz {
	struct sim_world *w;
	struct rd in;
	bool is_stalled;          /* the guest takes no frames */
	bool is_gone;             /* the link has ended */
	uint32_t irs[2][PORTS];   /* by family and the guest's port: ours */
	uint8_t asked[ASKED_MAX]; /* the last datagram to a resolver */
	uint32_t asked_len;
	struct sim_sock *asked_sock;
};

static void require(bool claim, const char *what)
{
	if (claim)
		return;
	fprintf(stderr, "fuzz_engine: %s\n", what);
	abort();
}

/* ---- what the engine meets ---- */

static bool find_remote(void *ctx, const struct endpoint *to, struct sim_remote *ret_remote)
{
	/* The port decides how connecting goes; all else is in the input. */
	*ret_remote = (struct sim_remote){
	    .answer = SIM_ANSWER_SILENT,
	    .is_manual = true,
	    .sndbuf = to->port % 3 == 0 ? 3000 : 200000,
	    .rcvbuf = 200000,
	    .from_seed = GUEST_SEED,
	    .app = {.seed = REMOTE_SEED},
	};
	(void)ctx;
	if (to->port % 5 == 4) {
		ret_remote->answer = SIM_ANSWER_ERROR;
		ret_remote->error = to->port % 2 == 0 ? ENETUNREACH : EMFILE;
		ret_remote->is_sync = true;
	}
	return true;
}

static void on_datagram(void *ctx, struct sim_sock *s, const struct sim_sent_datagram *d)
{
	struct fuzz *z = ((struct sim_world *)ctx)->ctx;

	if (s->owner.kind != SOCK_DNS || d->len > ASKED_MAX)
		return;
	memcpy(z->asked, d->bytes, d->len);
	z->asked_len = d->len;
	z->asked_sock = s;
}

static void check_payload(struct fuzz *z, const struct sim_packet *p)
{
	uint32_t port = p->dst_port % PORTS;
	uint32_t *irs = &z->irs[p->family == 6][port];
	uint32_t off;

	if ((p->flags & SIM_SYN) != 0) {
		*irs = p->seq;
		return;
	}
	off = p->seq - *irs - 1;
	if (p->payload_len > 0 && off < 1U << 30)
		require(sim_pattern_check(REMOTE_SEED, off, p->payload, p->payload_len),
		    "wrong bytes to the guest");
}

static void on_commit(void *ctx, const struct sim_frame *f)
{
	struct fuzz *z = ctx;
	struct sim_packet p;

	sim_watch_frame(z->w, f);
	if (!sim_parse(f->bytes, f->len, &p) && p.family != 0 && p.proto == 6 && !p.has_frag)
		check_payload(z, &p);
}

static void on_rx(void *ctx)
{
	struct fuzz *z = ctx;
	struct sim_frame *f;

	while (!z->is_stalled && (f = sim_nic_take(&z->w->nic)) != NULL)
		free(f);
}

/* ---- input ---- */

static uint32_t below(struct fuzz *z, uint32_t n)
{
	return rd_u8(&z->in) % n;
}

static struct ip_addr remote_of(const struct fuzz *z, uint32_t n, uint8_t family)
{
	const struct netif_config *c = &z->w->netif;
	struct ip_addr a = {.b = {0x20, 1, 0x0d, 0xb8, [15] = (uint8_t)n}};

	if (family == 4)
		return n % 4 == 3 ? c->gateway_v4 : ip_addr_v4(0xcb007100 + n);
	if (n % 4 == 3)
		return n % 8 == 7 ? c->gateway_ll : c->gateway_v6;
	return n % 4 == 2 ? ip_addr_v4(0xcb007100 + n) : a; /* IPv4-mapped in IPv6 */
}

static struct sim_packet packet_of(struct fuzz *z, uint8_t proto, uint8_t family, uint32_t remote)
{
	struct ip_addr to = remote_of(z, remote, family);
	struct sim_packet p = sim_guest_packet(&z->w->guest, &to, family, proto);

	p.src_port = (uint16_t)(39996 + remote % PORTS); /* the same rest by PORTS */
	p.dst_port = (uint16_t)(80 + remote);
	return p;
}

static struct tcp_flow *flow_of(struct fuzz *z, const struct sim_packet *p)
{
	const struct engine *e = z->w->engine;
	struct flow_key key = {
	    .guest = p->src,
	    .remote = p->dst,
	    .guest_port = p->src_port,
	    .remote_port = p->dst_port,
	    .family = p->family,
	    .proto = 6,
	};

	return tcp_flow_find(&e->tcp, &key, flow_hash(&e->world, &key));
}

/* Lets the engine have turns until it is at rest; what takes too many has failed. */
static void settle(struct fuzz *z)
{
	struct sim_world *w = z->w;

	if (!sim_world_run(w, w->sim.now_ns))
		require(false, w->sim.failure);
}

static void send_frame(struct fuzz *z, struct sim_frame *f)
{
	sim_world_inject(z->w, f);
}

/* ---- steps: frames ---- */

static struct sim_vnet read_vnet(struct fuzz *z)
{
	struct sim_vnet v = {.flags = rd_u8(&z->in)};

	if ((v.flags & 0x80) == 0)
		return (struct sim_vnet){.flags = v.flags & 3};
	v.flags &= 0x7f;
	v.gso_type = rd_u8(&z->in);
	v.gso_size = rd_be16(&z->in);
	v.csum_start = rd_be16(&z->in);
	v.csum_offset = rd_u8(&z->in);
	return v;
}

/* Any bytes; the MACs are right in half of them. Contents of streams cannot be told any more. */
static void step_raw(struct fuzz *z)
{
	struct sim_vnet vnet = read_vnet(z);
	uint32_t len = rd_be16(&z->in) % 2048;
	struct sim_frame *f = sim_frame_new(len);

	rd_copy(&z->in, f->bytes, len < rd_left(&z->in) ? len : rd_left(&z->in));
	if (len >= 12 && (len & 1) == 0) {
		memcpy(f->bytes, z->w->netif.gateway_mac.b, 6);
		memcpy(f->bytes + 6, z->w->netif.guest_mac.b, 6);
	}
	f->vnet = vnet;
	z->w->host.is_unchecked = true;
	send_frame(z, f);
}

/* A right IP header around any bytes, fragments too; the upper layer's checksum may be made right. */
static void step_ip(struct fuzz *z)
{
	static const uint8_t protos[] = {1, 6, 17, 58, 0, 43, 44, 60};
	uint8_t how = rd_u8(&z->in);
	struct sim_packet p =
	    packet_of(z, protos[how & 7], (how & 8) != 0 ? 6 : 4, below(z, PORTS));
	uint32_t len = rd_be16(&z->in) % 3000;
	uint8_t *l4 = sim_alloc(len);
	struct sim_frame *f;

	rd_copy(&z->in, l4, len < rd_left(&z->in) ? len : rd_left(&z->in));
	if ((how & 0x10) != 0) {
		uint16_t frag = rd_be16(&z->in);

		p.has_frag = true;
		p.has_more = (frag & 1) != 0;
		p.frag_off = (frag & 0x7ffU) * 8;
		p.ip_id = (frag >> 13);
		p.frag_id = frag >> 13;
		p.has_df = false;
	}
	if ((how & 0x20) != 0 && len >= 20)
		sim_fill_csum(&p, l4, len, p.proto == 6 ? 16 : p.proto == 17 ? 6 : 2);
	z->w->host.is_unchecked = true;
	f = sim_build_ip(&p, l4, len);
	free(l4);
	send_frame(z, f);
}

/* Where in the guest's stream the payload of a segment stands: the engine's RCV.NXT is behind what it has taken.
 * A place before the start has a byte too, as the pattern's period is 65521 (sim.c). */
static uint64_t offset_of(const struct tcp_flow *f, const struct sim_packet *p)
{
	uint64_t off = 65521ULL * 65536 + ((p->flags & SIM_SYN) != 0);

	if (!f)
		return off;
	off += f->tx_bytes;
	return seq_lt(p->seq, f->conn.rcv_nxt) ? off - (f->conn.rcv_nxt - p->seq)
					       : off + (p->seq - f->conn.rcv_nxt);
}

/* A segment near the windows of a connection, or its SYN. */
static void step_tcp(struct fuzz *z)
{
	uint8_t how = rd_u8(&z->in);
	struct sim_packet p = packet_of(z, 6, (how & 1) != 0 ? 6 : 4, below(z, PORTS));
	struct tcp_flow *f = flow_of(z, &p);
	uint32_t seed = (how & 0x1e) == 0x1e ? GUEST_SEED + 8 : GUEST_SEED;
	uint16_t gso = 0;

	p.flags = rd_u8(&z->in);
	p.wnd = rd_be16(&z->in);
	p.payload_len = rd_be16(&z->in) % 4000;
	if ((how & 0x20) != 0)
		gso = (uint16_t)(1 + below(z, 200) * 8);
	if ((how & 0x40) != 0)
		p.flags = SIM_ACK | (p.flags & SIM_PSH);
	p.seq = f ? f->conn.rcv_nxt : 0;
	p.ack = f ? f->conn.snd_nxt : 0;
	if ((how & 4) != 0)
		p.seq += (uint32_t)rd_be16(&z->in) - 0x8000U;
	if ((how & 8) != 0)
		p.ack += (uint32_t)rd_be16(&z->in) - 0x8000U;
	if ((how & 0x10) != 0)
		p.seq += rd_u8(&z->in) % 8 * 1000;
	if ((p.flags & SIM_SYN) != 0) {
		p.mss = rd_be16(&z->in);
		p.wscale = (int)below(z, 17) - 1;
	}
	if (p.payload_len <= gso || p.payload_len == 0)
		gso = 0;
	if (seed != GUEST_SEED)
		z->w->host.is_unchecked = true;
	send_frame(z, sim_build_tcp(&p, seed, offset_of(f, &p), gso, (how & 0x80) != 0));
}

/* A datagram, which may be one of several in a frame. */
static void step_udp(struct fuzz *z)
{
	uint8_t how = rd_u8(&z->in);
	uint32_t remote = below(z, PORTS);
	struct sim_packet p = packet_of(z, 17, (how & 1) != 0 ? 6 : 4, remote);
	struct sim_frame *f;

	if ((how & 2) != 0)
		p.src_port = (uint16_t)(50000 + rd_u8(&z->in) % 40);
	p.has_df = (how & 4) != 0;
	p.payload_len = rd_be16(&z->in) % DGRAM_MAX;
	f = sim_build_udp(&p, GUEST_SEED, 0);
	if ((how & 8) != 0)
		f->vnet = (struct sim_vnet){.flags = SIM_VNET_NEEDS_CSUM,
		    .gso_type = SIM_GSO_USO,
		    .gso_size = (uint16_t)(1 + below(z, 100) * 15),
		    .csum_start = (uint16_t)(p.family == 4 ? 34 : 54),
		    .csum_offset = 6};
	send_frame(z, f);
}

/* Any bytes to the gateway's port for names. */
static void step_dns(struct fuzz *z)
{
	uint8_t how = rd_u8(&z->in);
	uint8_t family = (how & 1) != 0 ? 6 : 4;
	struct sim_packet p = sim_guest_packet(&z->w->guest,
	    family == 4 ? &z->w->netif.gateway_v4 : &z->w->netif.gateway_v6, family, 17);
	uint32_t len = rd_be16(&z->in) % 512;
	uint8_t *l4 = sim_alloc(8 + len);

	sim_put16(l4, 5353U + (how >> 4));
	sim_put16(l4 + 2, 53);
	sim_put16(l4 + 4, 8 + len);
	rd_copy(&z->in, l4 + 8, len < rd_left(&z->in) ? len : rd_left(&z->in));
	sim_fill_csum(&p, l4, 8 + len, 6);
	send_frame(z, sim_build_ip(&p, l4, 8 + len));
	free(l4);
}

/* An answer to the last query, spoiled here and there. */
static void step_answer(struct fuzz *z)
{
	uint8_t buf[ASKED_MAX + 64];
	uint32_t len = z->asked_len;
	uint32_t spoiled = below(z, 4);
	uint32_t more = below(z, 64);

	if (!z->asked_sock || z->asked_sock->is_closed || len < 12)
		return;
	memcpy(buf, z->asked, len);
	buf[2] |= 0x80;
	rd_copy(&z->in, buf + len, more < rd_left(&z->in) ? more : rd_left(&z->in));
	len += more;
	for (uint32_t i = 0; i < spoiled; i++)
		buf[rd_be16(&z->in) % len] ^= rd_u8(&z->in);
	sim_peer_datagram(z->asked_sock, NULL, 0, buf, len, 0);
}

static void step_echo(struct fuzz *z)
{
	uint8_t how = rd_u8(&z->in);
	uint8_t family = (how & 1) != 0 ? 6 : 4;
	struct sim_packet p = packet_of(z, family == 4 ? 1 : 58, family, below(z, PORTS));
	uint32_t len = rd_be16(&z->in) % 4000;
	uint8_t *l4 = sim_alloc(8 + len);

	l4[0] = family == 4 ? 8 : 128;
	sim_put32(l4 + 4, rd_be32(&z->in));
	sim_fill_csum(&p, l4, 8 + len, 2);
	send_frame(z, sim_build_ip(&p, l4, 8 + len));
	free(l4);
}

/* ---- steps: host and time ---- */

/* The n-th youngest socket that is open, or NULL. */
static struct sim_sock *sock_of(struct fuzz *z, uint32_t n)
{
	const struct sim_host *h = &z->w->host;

	for (uint32_t i = h->count; i > 0; i--)
		if (!h->socks[i - 1]->is_closed && n-- == 0)
			return h->socks[i - 1];
	return NULL;
}

static void tcp_host_step(struct fuzz *z, struct sim_sock *s, uint8_t what)
{
	static const int errors[] = {
	    ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, ECONNRESET, EPIPE, EACCES, ENOMEM};

	switch (what) {
	case 0:
		sim_peer_accept(s);
		break;
	case 1:
		sim_peer_fail(s, errors[below(z, 8)]);
		break;
	case 2:
		(void)sim_peer_write(s, rd_be16(&z->in));
		break;
	case 3:
		sim_peer_fin(s);
		break;
	case 4:
		if (s->state == SIM_SOCK_OPEN)
			sim_peer_reset(s);
		break;
	case 5:
		sim_peer_read(s, sim_peer_readable(s));
		break;
	case 6:
		s->remote.urgent_at = s->rx_base + rd_be16(&z->in);
		break;
	default: { /* an edge for nothing */
		sim_sock_wake(s);
		break;
	}
	}
}

static void dgram_host_step(struct fuzz *z, struct sim_sock *s, uint8_t what)
{
	static uint8_t buf[65536];
	struct endpoint from = {.addr = remote_of(z, below(z, PORTS), s->family == 6 ? 6 : 4)};
	struct sock_error e = {.is_icmp = true, .family = ip_addr_is_v4(&s->to.addr) ? 4 : 6};
	uint16_t gso = 0;
	uint32_t len;

	switch (what % 4) {
	case 0:
		len = rd_be16(&z->in);
		if (s->owner.kind == SOCK_PING)
			len %= 2000;
		if (len > (e.family == 4 ? 65507 : 65527)) /* no more fits an IP packet */
			len = e.family == 4 ? 65507 : 65527;
		if (s->owner.kind == SOCK_UDP && (what & 4) != 0)
			gso = (uint16_t)(1 + below(z, 250) * 5);
		sim_peer_datagram(s, &from, rd_be16(&z->in), buf, len, gso < len ? gso : 0);
		break;
	case 1:
		e.type = rd_u8(&z->in);
		e.code = rd_u8(&z->in);
		e.mtu = rd_be16(&z->in);
		e.error = (what & 4) != 0 ? EMSGSIZE : ECONNREFUSED;
		e.is_icmp = e.code != 77;
		e.seq = rd_u8(&z->in);
		e.to = s->to;
		e.len = rd_u8(&z->in);
		sim_peer_error(s, &e, buf);
		break;
	case 2:
		s->error = ECONNREFUSED;
		sim_sock_wake(s);
		break;
	default:
		s->mtu = rd_be16(&z->in);
		break;
	}
}

static void step_host(struct fuzz *z)
{
	uint8_t what = rd_u8(&z->in);
	struct sim_sock *s = sock_of(z, what >> 4);

	if (!s)
		return;
	if (s->owner.kind == SOCK_TCP)
		tcp_host_step(z, s, what & 7);
	else
		dgram_host_step(z, s, what & 7);
}

/* From microseconds to days. */
static void step_time(struct fuzz *z)
{
	uint8_t v = rd_u8(&z->in);
	uint64_t span = (uint64_t)(1 + (v & 7)) << (10 + v / 8);

	if (!sim_world_run(z->w, z->w->sim.now_ns + span))
		require(false, z->w->sim.failure);
}

static void step_guest(struct fuzz *z)
{
	z->is_stalled = below(z, 2) != 0;
	on_rx(z);
	if (sim_nic_has_room(&z->w->nic))
		engine_on_room(z->w->engine);
	z->w->turn_ns = z->w->sim.now_ns;
}

static void end_link(struct fuzz *z)
{
	if (z->is_gone)
		return;
	z->is_gone = true;
	engine_on_link_gone(z->w->engine, z->w->sim.now_ns);
	z->w->turn_ns = z->w->sim.now_ns;
}

/* The link ends, or the next call of one of the host's functions fails. */
static void step_failure(struct fuzz *z)
{
	static const int errors[] = {EMFILE, ENOMEM, ENOBUFS, ECONNRESET, EPIPE, ETIMEDOUT,
	    EHOSTUNREACH, ENETUNREACH, ENETDOWN, EACCES, ENOTCONN, EINVAL};
	struct sim_host *h = &z->w->host;
	uint8_t what = rd_u8(&z->in);

	if (what == 0x5a) {
		end_link(z);
		return;
	}
	h->fail_op = (enum sim_op)(what % SIM_OP_COUNT);
	h->fail_error = errors[below(z, sizeof(errors) / sizeof(errors[0]))];
	h->fail_nth = h->calls[h->fail_op] + 1;
}

/* ---- one run ---- */

static struct sim_config read_config(struct fuzz *z)
{
	static const uint16_t mtus[] = {1280, 1500, 9000, 65520};
	struct sim_config c = sim_config_defaults(1);
	uint8_t a = rd_u8(&z->in);
	uint8_t b = rd_u8(&z->in);

	c.tx = (struct sim_impair){0};
	c.rx = (struct sim_impair){0};
	c.wake_ns = 0;
	c.pass_ns = 0;
	c.has_checks_off = true;
	c.nic.features = a & 15;
	if ((c.nic.features & NIC_F_CSUM) == 0)
		c.nic.features = 0;
	c.nic.is_level = (a & 0x10) != 0;
	c.nic.rx_depth = (a & 0x20) != 0 ? 2 : 256;
	c.nic.rx_piece = (a & 0x40) != 0 ? 999 : 0;
	c.nic.tx_piece = (a & 0x80) != 0 ? 61 : 0;
	c.mtu = mtus[b & 3];
	c.has_no_peek_offset = (b & 4) != 0;
	c.has_no_v6 = (b & 0x38) == 0x38;
	c.tcp_limit = (b & 8) != 0 ? 3 : 8;
	c.tcp_backlog = (b & 0x10) != 0 ? 2 : 8;
	c.udp_limit = 4;
	c.keepalive_ns = (b & 0x20) != 0 ? 100 * SIM_S : SIM_NEVER;
	c.idle_ns = (b & 0x40) != 0 ? 500 * SIM_S : 0;
	c.resolver_count = (b & 0x80) != 0 ? 2 : 0;
	return c;
}

static void step(struct fuzz *z)
{
	static void (*const steps[])(struct fuzz * z) = {
	    step_tcp,
	    step_host,
	    step_tcp,
	    step_host,
	    step_time,
	    step_raw,
	    step_ip,
	    step_udp,
	    step_dns,
	    step_answer,
	    step_echo,
	    step_guest,
	    step_failure,
	};

	steps[below(z, sizeof(steps) / sizeof(steps[0]))](z);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz z = {.in = rd_init(data, size)};
	struct sim_config cfg = read_config(&z);

	z.w = sim_alloc(sizeof(*z.w));
	sim_world_init(z.w, &cfg);
	z.w->ctx = &z;
	z.w->policy.denied_port = 81;
	z.w->nic.on_commit = on_commit;
	z.w->nic.on_rx = on_rx;
	z.w->nic.ctx = &z;
	z.w->nic.on_tx_room = NULL;
	z.w->host.find = find_remote;
	z.w->host.on_datagram = on_datagram;
	for (int i = 0; i < STEPS_MAX && rd_left(&z.in) > 0 && z.w->host.count < SOCKS_MAX; i++) {
		step(&z);
		settle(&z);
	}
	sim_world_fini(z.w);
	require(!z.w->sim.has_failed, z.w->sim.failure);
	free(z.w);
	return 0;
}
