/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a verdict costs: load time, memory and nanoseconds per policy_judge() for 10 to 100,000 rules.
 *
 * Rules are given as text, prefixes are spread over the whole public space. Most queries are for
 * addresses under the rules, in random order over 65,536 of them, so that caches and branch
 * prediction help as little as they would in a busy engine. Times are the median of blocks of 1,000
 * verdicts. "nested" is the worst case of the design: one chain of 129 prefixes, one inside the other,
 * each with rules for ports of its own.
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

static uint64_t now_ns(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_MONOTONIC, &t) != 0)
		abort();
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
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

int main(void)
{
	static const uint32_t counts[] = {10, 1000, 100000};

	for (int shape = SHAPE_IPV4; shape <= SHAPE_NESTED; shape++)
		for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
			run((enum shape)shape, counts[i]);
	return 0;
}
