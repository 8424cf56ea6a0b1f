/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a verdict costs: load time, memory and nanoseconds per policy_judge() for 10 to 100,000 rules.
 *
 * Rules are given as text, prefixes are spread over the whole public space. Most queries are for
 * addresses under the rules, in random order over 65,536 of them, so that caches and branch
 * prediction help as little as they would in a busy engine. Times are the median of blocks of 1,000
 * verdicts. "nested" is the worst case of the design: one chain of 129 prefixes, one inside the other,
 * each with rules for ports of its own.
 *
 * The last lines are a list of 1,000,000 names beside 100,000 prefixes, loaded in one go: what a connection, a
 * name that is asked and an address cost then, over working sets of a size that fits into the caches
 * ("warm") and of one that does not.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/policy.h"

enum {
	QUERIES = 1 << 16,
	BLOCK = 1000,
	BLOCKS = 1001,
	RULE_TEXT_MAX = 96,
};

static uint64_t rng_state = 0x9e3779b97f4a7c15ULL;

static uint32_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return (uint32_t)(rng_state >> 32);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t) != 0)
		abort();
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* Processor time, for what takes long enough to be interrupted. */
static uint64_t cpu_ns(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

enum shape {
	SHAPE_IPV4,   /* prefixes of /24 to /32 */
	SHAPE_IPV6,   /* prefixes of /32 to /64 */
	SHAPE_MIXED,  /* both, a third with ports, one in a hundred is broad and holds others */
	SHAPE_PORTS,  /* one target, a port each */
	SHAPE_NESTED, /* prefixes of every length of one address, a port each */
};

static const char *const shape_names[] = {
    "IPv4 prefixes", "IPv6 prefixes", "mixed", "ports", "nested"};

static struct ip_addr random_addr(bool is_v6)
{
	struct ip_addr a = ip_addr_v4(0x01000000U + rng() % 0xdf000000U);

	if (!is_v6)
		return a;
	for (int i = 0; i < 16; i++)
		a.b[i] = (uint8_t)rng();
	a.b[0] = 0x2a;
	a.b[1] &= 0x0f;
	return a;
}

static void make_query(struct policy_query *q, const struct ip_addr *addr)
{
	*q = (struct policy_query){.direction = POLICY_EGRESS,
	    .proto = rng() % 4 ? POLICY_TCP : POLICY_UDP,
	    .has_port = true,
	    .port = (uint16_t)(1 + rng() % 65535),
	    .addr = *addr};
	if (rng() % 2)
		q->port = 443;
}

/* One rule of the shape as text; *ret_addr lies under it. */
static int put_rule(char *out, enum shape shape, uint32_t number, struct ip_addr *ret_addr)
{
	bool is_v6 = shape == SHAPE_IPV6 || (shape == SHAPE_MIXED && rng() % 2);
	unsigned int len = is_v6 ? 32 + rng() % 33 : 24 + rng() % 9;
	const char *action = number % 2 ? "allow" : "deny";
	const char *ports = "";
	char text[IP_ADDR_TEXT_MAX];
	char port[16];
	struct ip_addr a = random_addr(is_v6);
	struct ip_addr base;

	if (shape == SHAPE_PORTS) {
		*ret_addr = random_addr(rng() % 2);
		return snprintf(
		    out, RULE_TEXT_MAX, "%s@any:tcp:%" PRIu32, action, 1 + number * 7919 % 65535);
	}
	if (shape == SHAPE_MIXED && rng() % 100 == 0)
		len = is_v6 ? 12 + rng() % 20 : 8 + rng() % 16;
	if (shape == SHAPE_MIXED && rng() % 3 == 0)
		ports = rng() % 2 ? ":tcp:443" : ":any:1-1023+8080";
	*ret_addr = a;
	base = a;
	len += is_v6 ? 0 : 96;
	if (shape == SHAPE_NESTED) {
		for (size_t i = 0; i < sizeof(base.b); i++)
			base.b[i] = (uint8_t)(0x2a + 7 * i);
		*ret_addr = base;
		is_v6 = true;
		len = number % 129;
		(void)snprintf(port, sizeof(port), ":tcp:%" PRIu32, 1 + rng() % 65535);
		ports = port;
	}
	for (unsigned int bit = len; bit < 128; bit++)
		base.b[bit / 8] &= (uint8_t) ~(0x80U >> bit % 8);
	return snprintf(out, RULE_TEXT_MAX, is_v6 ? "%s@[%s]/%u%s" : "%s@%s/%u%s", action,
	    ip_addr_format(&base, text), len - (is_v6 ? 0 : 96), ports);
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static double median_judge_ns(const struct policy *p, const struct policy_query *queries)
{
	static uint64_t times[BLOCKS];
	uint32_t sum = 0;
	uint32_t at = 0;
	uint64_t median;

	for (int i = 0; i < BLOCKS; i++) {
		uint64_t start = now_ns();

		for (int k = 0; k < BLOCK; k++)
			sum += policy_judge(p, &queries[at++ % QUERIES]).rule;
		times[i] = now_ns() - start;
	}
	qsort(times, BLOCKS, sizeof(times[0]), compare_u64);
	if (sum == 42)
		puts(""); /* the verdicts are used */
	median = times[BLOCKS / 2];
	return (double)median / BLOCK;
}

static void run(enum shape shape, uint32_t count)
{
	char *text = malloc((size_t)count * RULE_TEXT_MAX + 1);
	struct ip_addr *under = calloc(count, sizeof(*under)); /* an address per rule */
	struct policy_query *queries = calloc(QUERIES, sizeof(*queries));
	struct policy_builder *b = policy_builder_new();
	struct policy_error err;
	struct policy *p;
	size_t len = 0;
	uint64_t start;
	double load_ms;

	if (!text || !under || !queries || !b)
		abort();
	for (uint32_t i = 0; i < count; i++) {
		if (i > 0)
			text[len++] = ',';
		len += (size_t)put_rule(text + len, shape, i, &under[i]);
	}
	for (uint32_t i = 0; i < QUERIES; i++) {
		struct ip_addr a = random_addr(rng() % 2);

		make_query(&queries[i], rng() % 4 ? &under[rng() % count] : &a);
	}
	start = now_ns();
	if (policy_builder_add_rules(b, text, &err) < 0) {
		fprintf(stderr, "policy_bench: column %zu: %s\n", err.column, err.text);
		exit(1);
	}
	if (policy_builder_compile(b, &p) < 0)
		abort();
	load_ms = (double)(now_ns() - start) / 1e6;
	policy_builder_free(b);
	printf("%-14s %8" PRIu32 " rules %9.1f ms load %10.1f KiB %8.1f ns per verdict\n",
	    shape_names[shape], count, load_ms, (double)policy_memory(p) / 1024,
	    median_judge_ns(p, queries));
	policy_free(p);
	free(queries);
	free(under);
	free(text);
}

enum {
	NAME_RULES = 1000000,
	PREFIX_RULES = 100000,
	NAME_RULE_MAX = 96,
	WARM = 1 << 8,
	LARGE = 1 << 16,
};

/* A name of two to four labels, as lists of trackers have them. */
static size_t put_name(char *out)
{
	static const char *const tops[] = {"com", "net", "org", "io", "co.uk", "example", "dev"};
	uint32_t labels = 1U + (rng() % 4 != 0) + (rng() % 8 == 0);
	size_t len = 0;

	for (uint32_t i = 0; i < labels; i++) {
		for (uint32_t k = 4 + rng() % 9; k > 0; k--)
			out[len++] = (char)('a' + (int)(rng() % 26));
		out[len++] = '.';
	}
	return len + (size_t)sprintf(out + len, "%s", tops[rng() % 7]);
}

/* What is measured on the large policy. */
enum mode {
	MODE_OPEN,   /* the first packet to an address that a name led to */
	MODE_CLAIM,  /* the same connection with its first flight read */
	MODE_DENIED, /* a connection to an address that no name led to */
	MODE_NAME,   /* a name that is asked */
	MODE_ADDR,   /* an address under a prefix */
	MODE_COUNT
};

static const char *const mode_names[] = {"connect, first packet, pinned", "connect, pin and claim",
    "connect, claim without pin", "DNS name", "connect, prefix"};

struct name_case {
	struct policy_query query;
	const struct name *pin;
	struct name name;
};

static uint32_t judge_case(const struct policy *p, const struct name_case *c, enum mode mode)
{
	if (mode == MODE_NAME)
		return policy_judge_name(p, &c->name, POLICY_UDP).rule;
	return policy_judge(p, &c->query).rule;
}

static void make_case(
    struct name_case *c, enum mode mode, const char *text, size_t len, const struct ip_addr *under)
{
	struct ip_addr addr = mode == MODE_ADDR ? *under : random_addr(false);

	c->query = (struct policy_query){.direction = POLICY_EGRESS,
	    .proto = POLICY_TCP,
	    .has_port = true,
	    .port = 443,
	    .addr = addr};
	if (name_read(text, len, &c->name, NULL) != NAME_OK)
		abort();
	c->pin = &c->name;
	if (mode == MODE_OPEN || mode == MODE_CLAIM) {
		c->query.pins = &c->pin;
		c->query.pin_count = 1;
	}
	if (mode == MODE_CLAIM || mode == MODE_DENIED)
		c->query.claim = &c->name;
}

/* The median over blocks of 1,000 verdicts. */
static double median_case_ns(
    const struct policy *p, const struct name_case *cases, uint32_t count, enum mode mode)
{
	static uint64_t times[BLOCKS];
	uint32_t sum = 0;
	uint32_t at = 0;
	uint64_t median;

	for (int i = 0; i < BLOCKS; i++) {
		uint64_t start = now_ns();

		for (int k = 0; k < BLOCK; k++)
			sum += judge_case(p, &cases[at++ % count], mode);
		times[i] = now_ns() - start;
	}
	qsort(times, BLOCKS, sizeof(times[0]), compare_u64);
	if (sum == 42)
		puts(""); /* the verdicts are used */
	median = times[BLOCKS / 2];
	return (double)median / BLOCK;
}

/* The text of the rules; where the name of each is, and an address under each prefix. */
static char *make_name_rules(size_t *names, uint8_t *lens, struct ip_addr *under)
{
	char *text = malloc((size_t)(NAME_RULES + PREFIX_RULES) * NAME_RULE_MAX);
	uint32_t prefixes = 0;
	size_t len = 0;

	if (!text)
		abort();
	for (uint32_t i = 0; i < NAME_RULES; i++) {
		len += (size_t)sprintf(text + len, "%s%s@%s", i > 0 ? "," : "",
		    i % 3 == 0 ? "deny" : "allow", i % 2 ? "*." : "");
		names[i] = len;
		lens[i] = (uint8_t)put_name(text + len);
		len += lens[i];
		if (i % 4 == 0)
			len += (size_t)sprintf(text + len, ":tcp:443");
		if (i % (NAME_RULES / PREFIX_RULES) != 0)
			continue;
		text[len++] = ',';
		len += (size_t)put_rule(text + len, SHAPE_IPV4, prefixes, &under[prefixes]);
		prefixes++;
	}
	return text;
}

static void measure_names(const struct policy *p, const char *text, const size_t *names,
    const uint8_t *lens, const struct ip_addr *under)
{
	struct name_case *cases = calloc(LARGE, sizeof(*cases));

	if (!cases)
		abort();
	for (int mode = 0; mode < MODE_COUNT; mode++) {
		double warm;
		double large;

		for (uint32_t i = 0; i < LARGE; i++) {
			uint32_t n = rng() % NAME_RULES;
			char other[NAME_RULE_MAX];
			size_t len = put_name(other);
			bool is_other = rng() % 4 == 0; /* a name that no rule has */

			make_case(&cases[i], (enum mode)mode, is_other ? other : text + names[n],
			    is_other ? len : lens[n], &under[rng() % PREFIX_RULES]);
		}
		warm = median_case_ns(p, cases, WARM, (enum mode)mode);
		large = median_case_ns(p, cases, LARGE, (enum mode)mode);
		printf("  %-30s %8.1f ns warm %8.1f ns over %d cases\n", mode_names[mode], warm,
		    large, LARGE);
	}
	free(cases);
}

static void run_names(void)
{
	size_t *names = calloc(NAME_RULES, sizeof(*names));
	uint8_t *lens = calloc(NAME_RULES, sizeof(*lens));
	struct ip_addr *under = calloc(PREFIX_RULES, sizeof(*under));
	struct siphash_key key = {.k = {0x736c75696365ULL, 42}};
	struct policy_builder *b = policy_builder_new();
	struct policy_error err;
	struct policy *p;
	uint64_t wall;
	uint64_t start;
	uint64_t parsed;
	uint64_t end;
	char *text;

	if (!names || !lens || !under || !b)
		abort();
	text = make_name_rules(names, lens, under);
	policy_builder_set_key(b, &key);
	wall = now_ns();
	start = cpu_ns();
	if (policy_builder_add_rules(b, text, &err) < 0) {
		fprintf(stderr, "policy_bench: column %zu: %s\n", err.column, err.text);
		exit(1);
	}
	parsed = cpu_ns();
	if (policy_builder_compile(b, &p) < 0)
		abort();
	end = cpu_ns();
	wall = now_ns() - wall;
	policy_builder_free(b);
	printf("names %d, prefixes %d: %.0f ms load, of the processor %.0f ms (%.0f parse, %.0f "
	       "compile), %.1f MiB\n",
	    NAME_RULES, PREFIX_RULES, (double)wall / 1e6, (double)(end - start) / 1e6,
	    (double)(parsed - start) / 1e6, (double)(end - parsed) / 1e6,
	    (double)policy_memory(p) / (1024.0 * 1024.0));
	measure_names(p, text, names, lens, under);
	policy_free(p);
	free(names);
	free(lens);
	free(under);
	free(text);
}

int main(int argc, char **argv)
{
	static const uint32_t counts[] = {10, 1000, 100000};

	if (argc > 1 && strcmp(argv[1], "names") == 0) {
		run_names();
		return 0;
	}
	for (int shape = SHAPE_IPV4; shape <= SHAPE_NESTED; shape++)
		for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
			run((enum shape)shape, counts[i]);
	run_names();
	return 0;
}
