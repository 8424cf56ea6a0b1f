/* SPDX-License-Identifier: Apache-2.0 */
/* Lines about everything but TCP: UDP, ICMP, ARP, raw frames. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

enum {
	ECHO_SEED = 7,
};

bool script_is_other(const char *word)
{
	static const char *const words[] = {"udp", "echo", "echo-reply", "icmp", "arp", "raw"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i], word) == 0)
			return true;
	return false;
}

bool script_is_host_other(const char *word)
{
	return strcmp(word, "udp") == 0 || strcmp(word, "ping") == 0;
}

static bool next_number(const struct script *s, char **args, uint64_t *ret_value)
{
	char *word = script_word(args);

	return word ? script_number(s, word, ret_value) : script_fail(s, "a number is missing");
}

/* Words behind the numbers of a line: "df", "nodf", "gso N", "ufo", "mtu N". */
struct extras {
	bool has_df;
	bool is_df_told;
	bool is_ufo; /* gso is the size of fragments, not of datagrams */
	uint16_t gso;
	uint32_t mtu;
};

static bool parse_extras(const struct script *s, char *args, struct extras *x)
{
	char *word;

	*x = (struct extras){.has_df = true};
	while ((word = script_word(&args)) != NULL) {
		uint64_t v = 0;

		if (strcmp(word, "df") == 0 || strcmp(word, "nodf") == 0) {
			x->has_df = word[0] == 'd';
			x->is_df_told = true;
		} else if (strcmp(word, "ufo") == 0) {
			x->is_ufo = true;
		} else if (strcmp(word, "gso") == 0) {
			if (!next_number(s, &args, &v))
				return false;
			x->gso = (uint16_t)v;
		} else if (strcmp(word, "mtu") == 0) {
			if (!next_number(s, &args, &v))
				return false;
			x->mtu = (uint32_t)v;
		} else {
			return script_fail(s, "'%s' is nothing of a datagram", word);
		}
	}
	return true;
}

/* ---- from the guest ---- */

static bool send_udp(struct script *s, char *args)
{
	struct script_flow *f = s->flow;
	struct sim_packet p = sim_guest_packet(&s->world->guest, &f->remote.addr, f->family, 17);
	struct sim_frame *frame;
	struct extras x;
	uint64_t len;

	if (!next_number(s, &args, &len) || !parse_extras(s, args, &x))
		return false;
	p.src_port = f->port;
	p.dst_port = f->remote.port;
	p.has_df = x.has_df;
	p.payload_len = (uint32_t)len;
	frame = sim_build_udp(&p, SCRIPT_GUEST_SEED, f->udp_sent);
	if (x.gso > 0) {
		frame->vnet = (struct sim_vnet){.flags = SIM_VNET_NEEDS_CSUM,
		    .gso_type = x.is_ufo ? SIM_GSO_UFO : SIM_GSO_USO,
		    .gso_size = x.gso,
		    .csum_start = SIM_ETH + (f->family == 4 ? (int)SIM_IP4 : (int)SIM_IP6),
		    .csum_offset = 6};
	}
	f->udp_sent += len;
	sim_world_inject(s->world, frame);
	return true;
}

/* "echo ADDRESS ID SEQ LENGTH" */
static bool parse_echo(
    const struct script *s, char *args, struct ip_addr *addr, uint64_t ret_numbers[3])
{
	char *word = script_word(&args);

	if (!word || ip_addr_parse(word, addr))
		return script_fail(s, "an address is missing");
	for (int i = 0; i < 3; i++)
		if (!next_number(s, &args, &ret_numbers[i]))
			return false;
	return true;
}

static bool send_echo(struct script *s, char *args)
{
	struct ip_addr to;
	uint64_t n[3];
	uint8_t family;
	struct sim_packet p;
	uint8_t *l4;

	if (!parse_echo(s, args, &to, n))
		return false;
	family = ip_addr_is_v4(&to) ? 4 : 6;
	p = sim_guest_packet(&s->world->guest, &to, family, family == 4 ? 1 : 58);
	l4 = sim_alloc(8 + n[2]);
	l4[0] = family == 4 ? 8 : 128;
	sim_put16(l4 + 4, (uint32_t)n[0]);
	sim_put16(l4 + 6, (uint32_t)n[1]);
	sim_pattern_fill(ECHO_SEED, n[1], l4 + 8, n[2]);
	sim_fill_csum(&p, l4, (uint32_t)(8 + n[2]), 2);
	sim_world_inject(s->world, sim_build_ip(&p, l4, (uint32_t)(8 + n[2])));
	free(l4);
	return true;
}

static bool send_arp(struct script *s, char *args)
{
	static const uint8_t head[] = {0, 1, 8, 0, 6, 4, 0, 1};
	struct sim_guest *g = &s->world->guest;
	char *word = script_word(&args);
	struct ip_addr who;
	struct sim_frame *f;

	if (!word || ip_addr_parse(word, &who))
		return script_fail(s, "'arp ADDRESS'");
	f = sim_frame_new(60);
	memset(f->bytes, 0xff, 6);
	memcpy(f->bytes + 6, g->mac.b, 6);
	sim_put16(f->bytes + 12, 0x0806);
	memcpy(f->bytes + 14, head, sizeof(head));
	memcpy(f->bytes + 22, g->mac.b, 6);
	memcpy(f->bytes + 28, g->addr4.b + 12, 4);
	memcpy(f->bytes + 38, who.b + 12, 4);
	sim_world_inject(s->world, f);
	return true;
}

/* "raw HEX...": a whole frame. */
static bool send_raw(struct script *s, char *args)
{
	uint8_t bytes[SCRIPT_LINE_MAX];
	uint32_t len = 0;
	struct sim_frame *f;
	char *word;

	while ((word = script_word(&args)) != NULL) {
		for (; word[0] != '\0' && word[1] != '\0'; word += 2) {
			const char pair[3] = {word[0], word[1], '\0'};
			char *end;

			bytes[len++] = (uint8_t)strtoul(pair, &end, 16);
			if (*end != '\0')
				return script_fail(s, "'%s' is not hexadecimal", word);
		}
	}
	f = sim_frame_new(len);
	memcpy(f->bytes, bytes, len);
	sim_world_inject(s->world, f);
	return true;
}

bool script_send_other(struct script *s, char *args)
{
	char *what = script_word(&args);

	if (strcmp(what, "udp") == 0)
		return send_udp(s, args);
	if (strcmp(what, "echo") == 0)
		return send_echo(s, args);
	if (strcmp(what, "arp") == 0)
		return send_arp(s, args);
	if (strcmp(what, "raw") == 0)
		return send_raw(s, args);
	return script_fail(s, "the guest does not send '%s'", what);
}

/* ---- to the guest ---- */

static bool expect_udp(
    struct script *s, char *args, const struct sim_packet *p, const struct sim_frame *frame)
{
	struct script_flow *f = s->flow;
	struct extras x;
	uint64_t len;

	if (!next_number(s, &args, &len) || !parse_extras(s, args, &x))
		return false;
	if (p->proto != 17 || p->src_port != f->remote.port || p->dst_port != f->port ||
	    !ip_addr_eq(&p->src, &f->remote.addr))
		return script_fail(s, "expected a datagram of flow %s", f->name);
	if (p->payload_len != len || frame->vnet.gso_size != x.gso)
		return script_fail(s, "got %u bytes, gso %u", p->payload_len, frame->vnet.gso_size);
	if (!sim_pattern_check(SCRIPT_REMOTE_SEED, f->udp_received, p->payload, p->payload_len))
		return script_fail(s, "wrong bytes");
	f->udp_received += len;
	return true;
}

static bool expect_echo(struct script *s, char *args, const struct sim_packet *p)
{
	struct ip_addr from;
	uint64_t n[3];

	if (!parse_echo(s, args, &from, n))
		return false;
	if ((p->proto != 1 || p->icmp_type != 0) && (p->proto != 58 || p->icmp_type != 129))
		return script_fail(s, "expected an echo reply");
	if (!ip_addr_eq(&p->src, &from))
		return script_fail(s, "reply from another address");
	if (sim_get16(p->l4 + 4) != n[0] || sim_get16(p->l4 + 6) != n[1] || p->payload_len != n[2])
		return script_fail(s, "got id %u seq %u length %u", sim_get16(p->l4 + 4),
		    sim_get16(p->l4 + 6), p->payload_len);
	if (!sim_pattern_check(ECHO_SEED, n[1], p->payload, p->payload_len))
		return script_fail(s, "wrong bytes");
	return true;
}

/* "icmp TYPE CODE [mtu N]": an error about a packet of this line's flow. */
static bool expect_icmp(struct script *s, char *args, const struct sim_packet *p)
{
	uint64_t type;
	uint64_t code;
	struct extras x;
	uint32_t mtu;

	if (!next_number(s, &args, &type) || !next_number(s, &args, &code) ||
	    !parse_extras(s, args, &x))
		return false;
	if ((p->proto != 1 && p->proto != 58) || p->icmp_type != type || p->icmp_code != code)
		return script_fail(
		    s, "got proto %u type %u code %u", p->proto, p->icmp_type, p->icmp_code);
	mtu = p->proto == 1 ? sim_get16(p->l4 + 6) : sim_get32(p->l4 + 4);
	if (x.mtu > 0 && mtu != x.mtu)
		return script_fail(s, "got mtu %u", mtu);
	return true;
}

static bool expect_arp(
    struct script *s, char *args, const struct sim_packet *p, const struct sim_frame *frame)
{
	char *word = script_word(&args);
	struct ip_addr who;

	if (!word || ip_addr_parse(word, &who))
		return script_fail(s, "'arp ADDRESS'");
	if (p->ethertype != 0x0806 || frame->len < 42 || sim_get16(frame->bytes + 20) != 2)
		return script_fail(s, "expected an ARP reply");
	if (memcmp(frame->bytes + 28, who.b + 12, 4) != 0 ||
	    memcmp(frame->bytes + 22, s->world->netif.gateway_mac.b, 6) != 0)
		return script_fail(s, "ARP reply about something else");
	return true;
}

bool script_expect_other(struct script *s, char *args)
{
	char *what = script_word(&args);
	struct sim_packet p;
	struct sim_frame *frame = script_next_frame(s, &p);
	bool is_right;

	if (!frame)
		return false;
	if (strcmp(what, "udp") == 0)
		is_right = expect_udp(s, args, &p, frame);
	else if (strcmp(what, "echo-reply") == 0)
		is_right = expect_echo(s, args, &p);
	else if (strcmp(what, "icmp") == 0)
		is_right = expect_icmp(s, args, &p);
	else if (strcmp(what, "arp") == 0)
		is_right = expect_arp(s, args, &p, frame);
	else
		is_right = script_fail(s, "the guest does not get '%s'", what);
	free(frame);
	return is_right;
}

/* ---- the host ---- */

/* The oldest datagram that no line has claimed; NULL and a message if there is none. The caller frees it. */
static struct script_sent *claim(struct script *s)
{
	struct script_sent *d = s->sent;

	if (!d) {
		script_say(s, "expected a datagram, got none");
		return NULL;
	}
	s->sent = d->next;
	if (!s->sent)
		s->sent_end = &s->sent;
	if ((uint32_t)d->sock->number >= s->socks_claimed)
		s->socks_claimed = (uint32_t)d->sock->number + 1;
	s->flow->sock = d->sock;
	return d;
}

static bool expect_datagram(struct script *s, char *args)
{
	struct script_sent *d = claim(s);
	struct extras x;
	uint64_t len;
	bool is_right = d && next_number(s, &args, &len) && parse_extras(s, args, &x);

	if (is_right && (d->len != len || d->gso_size != x.gso))
		is_right = script_fail(s, "got %u bytes, gso %u", d->len, d->gso_size);
	if (is_right && x.is_df_told && d->has_df != x.has_df)
		is_right = script_fail(s, "got %s", d->has_df ? "df" : "nodf");
	if (is_right &&
	    (!ip_addr_eq(&d->to.addr, &s->flow->remote.addr) || d->to.port != s->flow->remote.port))
		is_right = script_fail(s, "datagram to somewhere else");
	free(d);
	return is_right;
}

static bool send_datagram(struct script *s, char *args)
{
	struct script_flow *f = s->flow;
	struct extras x;
	uint64_t len;
	uint8_t *bytes;

	if (!next_number(s, &args, &len) || !parse_extras(s, args, &x))
		return false;
	bytes = sim_alloc(len);
	sim_pattern_fill(SCRIPT_REMOTE_SEED, f->udp_replied, bytes, len);
	f->udp_replied += len;
	sim_peer_datagram(f->sock, NULL, 0, bytes, (uint32_t)len, x.gso);
	free(bytes);
	return true;
}

/* "error TYPE CODE [mtu N]": the network says so of what was sent. */
static bool send_error(struct script *s, char *args)
{
	struct sock_error e = {.is_icmp = true, .family = s->flow->family};
	uint64_t type;
	uint64_t code;
	struct extras x;

	if (!next_number(s, &args, &type) || !next_number(s, &args, &code) ||
	    !parse_extras(s, args, &x))
		return false;
	e.type = (uint8_t)type;
	e.code = (uint8_t)code;
	e.mtu = x.mtu;
	e.error = x.mtu > 0 ? EMSGSIZE : ECONNREFUSED;
	sim_peer_error(s->flow->sock, &e, NULL);
	return true;
}

static bool expect_ping(struct script *s, char *args)
{
	char *word = script_word(&args);
	struct script_sent *d = claim(s);
	struct ip_addr to;
	uint64_t len;
	bool is_right = d && word && ip_addr_parse(word, &to) == 0 && next_number(s, &args, &len);

	if (is_right && (!ip_addr_eq(&d->to.addr, &to) || d->len != len))
		is_right = script_fail(s, "got %u bytes to another address", d->len);
	free(d);
	return is_right;
}

/* "reply ADDRESS NUMBER SEQ LENGTH": answers the engine's echo request of this number, counted from 0, with the
 * payload of the guest's request SEQ. */
static bool send_ping(struct script *s, char *args)
{
	struct endpoint from = {.port = 0};
	uint64_t n[3];
	uint8_t *bytes;

	if (!parse_echo(s, args, &from.addr, n))
		return false;
	bytes = sim_alloc(n[2]);
	sim_pattern_fill(ECHO_SEED, n[1], bytes, n[2]);
	sim_peer_datagram(s->flow->sock, &from, (uint16_t)n[0], bytes, (uint32_t)n[2], 0);
	free(bytes);
	return true;
}

bool script_host_other(struct script *s, char *args)
{
	char *kind = script_word(&args);
	bool is_udp = kind && strcmp(kind, "udp") == 0;
	char *what = script_word(&args);

	if (!what)
		return script_fail(s, "'host: %s' and nothing", is_udp ? "udp" : "ping");
	if (strcmp(what, "recv") == 0)
		return is_udp ? expect_datagram(s, args) : expect_ping(s, args);
	if (!s->flow->sock)
		return script_fail(s, "no socket yet");
	if (is_udp && strcmp(what, "send") == 0)
		return send_datagram(s, args);
	if (is_udp && strcmp(what, "error") == 0)
		return send_error(s, args);
	if (is_udp && strcmp(what, "refuses") == 0) {
		char *word = script_word(&args);

		s->flow->sock->send_error = word ? script_errno(word) : 0;
		return s->flow->sock->send_error != 0 ||
		       script_fail(s, "'host: udp refuses ERROR'");
	}
	if (is_udp && strcmp(what, "mtu") == 0) {
		uint64_t v;

		if (!next_number(s, &args, &v))
			return false;
		s->flow->sock->mtu = (uint32_t)v;
		return true;
	}
	if (!is_udp && strcmp(what, "reply") == 0)
		return send_ping(s, args);
	return script_fail(s, "'host: %s %s'", is_udp ? "udp" : "ping", what);
}
