/* SPDX-License-Identifier: Apache-2.0 */
/* Lines about TCP segments. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

struct segment {
	uint8_t flags;
	bool is_push_told;
	uint32_t seq; /* relative */
	uint32_t len;
	bool has_ack;
	uint32_t ack; /* relative */
	bool has_wnd;
	uint32_t wnd;
	uint16_t urgent;
	uint16_t gso;
	uint32_t seed; /* of the payload */
	bool has_options;
	uint16_t mss;
	int wscale;
	bool has_sack;
	bool has_src;
	struct ip_addr src; /* in place of the guest's own */
	bool has_mac;
	struct mac_addr mac;
	uint8_t ttl;       /* 0: the usual */
	bool is_sum_wrong; /* the checksum */
};

static bool parse_flags(const struct script *s, const char *word, struct segment *seg)
{
	static const char letters[] = "FSRP.U";

	for (; *word != '\0'; word++) {
		const char *at = strchr(letters, *word);

		if (*word == '-')
			continue;
		if (!at)
			return script_fail(s, "'%c' is no flag", *word);
		seg->flags |= (uint8_t)(1U << (at - letters));
	}
	seg->is_push_told = (seg->flags & SIM_PSH) != 0;
	return true;
}

/* "1:1461(1460)" */
static bool parse_range(const struct script *s, const char *word, struct segment *seg)
{
	char *end;
	uint64_t to;

	seg->seq = (uint32_t)strtoll(word, &end, 10);
	if (*end != ':')
		return script_fail(s, "'%s' is not START:END(LENGTH)", word);
	to = (uint64_t)strtoll(end + 1, &end, 10);
	if (*end != '(')
		return script_fail(s, "'%s' is not START:END(LENGTH)", word);
	seg->len = (uint32_t)strtoul(end + 1, &end, 10);
	if (strcmp(end, ")") != 0 || seg->seq + seg->len != (uint32_t)to)
		return script_fail(s, "'%s': the numbers contradict each other", word);
	return true;
}

/* "<mss 1460,wscale 7,sackOK>", which is made blank in the line. */
static bool parse_options(const struct script *s, char *at, struct segment *seg)
{
	char *end = strchr(at, '>');
	char *rest = NULL;

	if (!end)
		return script_fail(s, "options without '>'");
	*end = '\0';
	seg->has_options = true;
	for (char *o = strtok_r(at + 1, ",", &rest); o; o = strtok_r(NULL, ",", &rest)) {
		if (strncmp(o, "mss ", 4) == 0)
			seg->mss = (uint16_t)strtoul(o + 4, NULL, 10);
		else if (strncmp(o, "wscale ", 7) == 0)
			seg->wscale = (int)strtoul(o + 7, NULL, 10);
		else if (strcmp(o, "sackOK") == 0)
			seg->has_sack = true;
		else
			return script_fail(s, "option '%s'", o);
	}
	memset(at, ' ', (size_t)(end - at) + 1);
	return true;
}

static bool parse_field(const struct script *s, const char *name, char **at, struct segment *seg)
{
	char *word = script_word(at);
	uint64_t v;

	if (strcmp(name, "bytes") == 0 && word && strcmp(word, "other") == 0) {
		seg->seed = SCRIPT_OTHER_SEED;
		return true;
	}
	if (strcmp(name, "sum") == 0 && word && strcmp(word, "wrong") == 0) {
		seg->is_sum_wrong = true;
		return true;
	}
	if (strcmp(name, "src") == 0) {
		seg->has_src = true;
		return (word && ip_addr_parse(word, &seg->src) == 0) ||
		       script_fail(s, "no address behind 'src'");
	}
	if (strcmp(name, "mac") == 0) {
		seg->has_mac = true;
		return (word && mac_addr_parse(word, &seg->mac) == 0) ||
		       script_fail(s, "no address behind 'mac'");
	}
	if (!word || !script_number(s, word, &v))
		return script_fail(s, "no number behind '%s'", name);
	if (strcmp(name, "ack") == 0) {
		seg->has_ack = true;
		seg->ack = (uint32_t)v;
	} else if (strcmp(name, "win") == 0) {
		seg->has_wnd = true;
		seg->wnd = (uint32_t)v;
	} else if (strcmp(name, "urg") == 0) {
		seg->urgent = (uint16_t)v;
	} else if (strcmp(name, "gso") == 0) {
		seg->gso = (uint16_t)v;
	} else if (strcmp(name, "ttl") == 0) {
		seg->ttl = (uint8_t)v;
	} else {
		return script_fail(s, "'%s' is nothing of a segment", name);
	}
	return true;
}

static bool parse_segment(const struct script *s, char *args, uint32_t seed, struct segment *seg)
{
	char *options = strchr(args, '<');
	char *word;

	*seg = (struct segment){.wscale = -1, .seed = seed};
	if (options && !parse_options(s, options, seg))
		return false;
	word = script_word(&args);
	if (!word || !parse_flags(s, word, seg))
		return false;
	word = script_word(&args);
	if (!word || !parse_range(s, word, seg))
		return word ? false : script_fail(s, "a segment without START:END(LENGTH)");
	while ((word = script_word(&args)) != NULL)
		if (!parse_field(s, word, &args, seg))
			return false;
	return true;
}

/* Where in its stream the first byte of a segment stands. Before the start too there is a pattern: the table
 * has a period of 65521 (sim.c). */
static uint64_t offset_of(const struct segment *seg)
{
	int64_t off = (int32_t)(seg->seq + ((seg->flags & SIM_SYN) != 0) - 1U);

	return (uint64_t)(off < 0 ? off + 65521LL * 65536 : off);
}

bool script_send_tcp(struct script *s, char *args)
{
	struct script_flow *f = s->flow;
	struct segment seg;
	struct sim_packet p;
	struct sim_frame *frame;

	if (!parse_segment(s, args, SCRIPT_GUEST_SEED, &seg))
		return false;
	p = sim_guest_packet(&s->world->guest, &f->remote.addr, f->family, 6);
	if (seg.has_src)
		p.src = seg.src;
	if (seg.has_mac)
		p.eth_src = seg.mac;
	p.src_port = f->port;
	p.dst_port = f->remote.port;
	p.flags = seg.flags;
	p.seq = f->iss + seg.seq;
	p.ack = seg.has_ack ? f->irs + seg.ack : 0;
	p.wnd = (uint16_t)seg.wnd;
	p.urgent = seg.urgent;
	p.mss = seg.mss;
	p.wscale = seg.wscale;
	p.has_sack = seg.has_sack;
	p.payload_len = seg.len;
	p.ttl = seg.ttl;
	frame = sim_build_tcp(&p, seg.seed, offset_of(&seg), seg.gso, false);
	if (seg.is_sum_wrong)
		frame->bytes[SIM_ETH + (f->family == 4 ? SIM_IP4 : SIM_IP6) + 16] ^= 1;
	sim_world_inject(s->world, frame);
	return true;
}

/* Compares one number; expects nothing where is_told is false. */
static bool same(const struct script *s, const char *what, bool is_told, uint64_t want,
    uint64_t got, const char *frame)
{
	if (!is_told || want == got)
		return true;
	return script_fail(s, "expected %s %llu, got %llu\n  in %s", what, (unsigned long long)want,
	    (unsigned long long)got, frame);
}

/* The first SYN-ACK tells where the engine's numbers begin. */
static void learn_start(struct script_flow *f, const struct sim_packet *p)
{
	if ((p->flags & (SIM_SYN | SIM_ACK)) == (SIM_SYN | SIM_ACK)) {
		f->has_irs = true;
		f->irs = p->seq;
	}
}

static bool compare(const struct script *s, const struct segment *seg, const struct sim_packet *p,
    const struct sim_frame *frame)
{
	const struct script_flow *f = s->flow;
	uint8_t mask = seg->is_push_told ? 0xff : (uint8_t)~SIM_PSH;
	char text[256];
	int n;

	(void)sim_describe(p, text, sizeof(text));
	n = (int)strlen(text);
	if (f->has_irs)
		(void)snprintf(text + n, sizeof(text) - (size_t)n, "\n  relative: %u:%u(%u) ack %u",
		    p->seq - f->irs, p->seq - f->irs + p->payload_len, p->payload_len,
		    p->ack - f->iss);
	if (p->family == 0 || p->proto != 6 || p->has_frag)
		return script_fail(s, "expected a TCP segment, got %s", text);
	if (p->family != f->family || p->dst_port != f->port || p->src_port != f->remote.port ||
	    !ip_addr_eq(&p->src, &f->remote.addr))
		return script_fail(s, "expected a segment of flow %s, got %s", f->name, text);
	if ((p->flags & mask) != (seg->flags & mask))
		return script_fail(s, "expected other flags, got %s", text);
	if (!same(s, "start", true, seg->seq, p->seq - f->irs, text) ||
	    !same(s, "length", true, seg->len, p->payload_len, text) ||
	    !same(s, "ack", seg->has_ack, seg->ack, p->ack - f->iss, text) ||
	    !same(s, "win", seg->has_wnd, seg->wnd, p->wnd, text) ||
	    !same(s, "gso", seg->gso > 0, seg->gso, frame->vnet.gso_size, text) ||
	    !same(s, "mss", seg->has_options, seg->mss, p->mss, text) ||
	    !same(
		s, "wscale", seg->has_options, (uint64_t)seg->wscale, (uint64_t)p->wscale, text) ||
	    !same(s, "sackOK", seg->has_options, seg->has_sack, p->has_sack, text))
		return false;
	if (!sim_pattern_check(seg->seed, offset_of(seg), p->payload, p->payload_len))
		return script_fail(s, "wrong bytes in %s", text);
	return true;
}

bool script_expect_tcp(struct script *s, char *args)
{
	struct segment seg;
	struct sim_packet p;
	struct sim_frame *frame;
	bool is_right;

	if (!parse_segment(s, args, SCRIPT_REMOTE_SEED, &seg))
		return false;
	frame = script_next_frame(s, &p);
	if (!frame)
		return false;
	if (p.proto == 6 && p.dst_port == s->flow->port)
		learn_start(s->flow, &p);
	is_right = compare(s, &seg, &p, frame);
	free(frame);
	return is_right;
}
