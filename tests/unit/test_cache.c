/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of answers: times, keys, bounds (threats C16, D16). */
#include <stdio.h>

#include "names/cache.h"
#include "unit.h"

#define S 1000000000ULL

static const struct siphash_key hash_key = {.k = {3, 4}};

static struct name name_of(const char *text)
{
	struct name n;

	assert_int_equal(name_read(text, strlen(text), &n, NULL), NAME_OK);
	return n;
}

/* An answer of one record, of which the last four bytes are an address and a TTL stands at 6. */
static void put(
    struct cache *c, const struct cache_key *key, uint32_t ttl_s, uint8_t tag, uint64_t now)
{
	uint8_t body[16] = {0xc0, 12, 0, 1, 0, 1, 0, 0, (uint8_t)(ttl_s >> 8), (uint8_t)ttl_s, 0, 4,
	    93, 184, 216, tag};
	struct answer a = {.answer_count = 1,
	    .ttl_s = ttl_s,
	    .addr_count = 1,
	    .ttl_count = 1,
	    .ttl_offs = {6},
	    .body_len = sizeof(body)};

	a.addrs[0] = ip_addr_v4(0x5db8d800U + tag);
	cache_put(c, key, &a, body, now);
}

static int tag_of(struct cache *c, const struct cache_key *key, uint64_t now)
{
	const struct cache_entry *e = cache_find(c, key, now);

	if (!e)
		return -1;
	assert_int_equal(e->addrs[0].b[15], e->body[15]);
	return e->body[15];
}

static void an_answer_is_kept_for_its_time(void **state)
{
	struct cache c;
	struct name n = name_of("a.example");
	struct cache_key key = {.name = &n, .type = 1};
	const struct cache_entry *e;
	uint8_t body[16];

	(void)state;
	assert_int_equal(cache_init(&c, 100000, &hash_key), 0);
	assert_int_equal(tag_of(&c, &key, S), -1);
	put(&c, &key, 300, 7, S);
	e = cache_find(&c, &key, S + 299 * S);
	assert_non_null(e);
	/* What is left of it is told. */
	assert_int_equal(cache_copy_body(e, S + 299 * S, body)[9], 1);
	assert_int_equal(body[8], 0);
	assert_int_equal(cache_copy_body(e, S + 44 * S, body)[8], 1);
	assert_int_equal(body[9], 0);
	assert_int_equal(tag_of(&c, &key, S + 300 * S), -1);
	assert_int_equal(c.pool.in_use, 0);
	assert_int_equal(c.bytes, 0);
	/* No time: not kept, and what was there is gone. */
	put(&c, &key, 300, 7, S);
	put(&c, &key, 0, 8, S);
	assert_int_equal(tag_of(&c, &key, S), -1);
	cache_fini(&c);
}

static void entries_differ_by_all_that_was_asked(void **state)
{
	struct cache c;
	struct name n = name_of("a.example");
	struct name m = name_of("b.example");
	const struct cache_key keys[] = {
	    {.name = &n, .type = 1},
	    {.name = &m, .type = 1},
	    {.name = &n, .type = 28},
	    {.name = &n, .type = 1, .flags = CACHE_DNSSEC},
	    {.name = &n, .type = 1, .flags = CACHE_CHECKING_DISABLED},
	    {.name = &n, .type = 1, .server = {.addr = ip_addr_v4(0x01010101), .port = 53}},
	    {.name = &n, .type = 1, .server = {.addr = ip_addr_v4(0x01010102), .port = 53}},
	};
	const uint8_t count = sizeof(keys) / sizeof(keys[0]);

	(void)state;
	assert_int_equal(cache_init(&c, 100000, &hash_key), 0);
	for (uint8_t i = 0; i < count; i++)
		put(&c, &keys[i], 60, i, S);
	for (uint8_t i = 0; i < count; i++)
		assert_int_equal(tag_of(&c, &keys[i], S), i);
	put(&c, &keys[2], 60, 99, S);
	assert_int_equal(tag_of(&c, &keys[2], S), 99);
	assert_int_equal(c.pool.in_use, count);
	cache_clear(&c);
	for (uint8_t i = 0; i < count; i++)
		assert_int_equal(tag_of(&c, &keys[i], S), -1);
	assert_int_equal(c.bytes, 0);
	cache_fini(&c);
}

/* A guest that asks for names without end: memory is bounded, and the ones used last stay. */
static void the_answers_used_longest_ago_make_place(void **state)
{
	struct cache c;
	struct name first = name_of("first.example");
	struct cache_key first_key = {.name = &first, .type = 1};
	size_t most = 0;

	(void)state;
	assert_int_equal(cache_init(&c, 20000, &hash_key), 0);
	put(&c, &first_key, 60, 1, S);
	for (int i = 0; i < 1000; i++) {
		char text[32];
		struct name n;
		struct cache_key key = {.name = &n, .type = 1};

		(void)snprintf(text, sizeof(text), "n%d.example", i);
		n = name_of(text);
		put(&c, &key, 60, 2, S);
		assert_int_equal(tag_of(&c, &key, S), 2);
		assert_int_equal(tag_of(&c, &first_key, S), 1);
		assert_true(c.bytes <= 20000);
		most = c.bytes > most ? c.bytes : most;
	}
	assert_true(most > 8000);
	assert_true(c.counters.evicted > 900);
	cache_fini(&c);
}

static void a_cache_without_room_keeps_nothing(void **state)
{
	struct cache c;
	struct name n = name_of("a.example");
	struct cache_key key = {.name = &n, .type = 1};

	(void)state;
	assert_int_equal(cache_init(&c, 0, &hash_key), 0);
	put(&c, &key, 60, 1, S);
	assert_int_equal(tag_of(&c, &key, S), -1);
	cache_fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_answer_is_kept_for_its_time),
	    cmocka_unit_test(entries_differ_by_all_that_was_asked),
	    cmocka_unit_test(the_answers_used_longest_ago_make_place),
	    cmocka_unit_test(a_cache_without_room_keeps_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
