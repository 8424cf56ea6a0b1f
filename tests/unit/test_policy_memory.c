/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies without memory: the n-th allocation fails, for every n. The caller is told, nothing leaks (a
 * sanitizer sees to that), and the builder is as it was before the call that failed.
 *
 * The allocation functions are wrapped by the linker.
 */
#include "unit.h"

#include <errno.h>

#include "policy/policy.h"

/* The linker's names. NOLINTBEGIN(readability-identifier-naming) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
/* NOLINTEND(readability-identifier-naming) */

static long left = -1; /* allocations until one fails; negative: none does */

static bool fails(void)
{
	return left >= 0 && left-- == 0;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
	return fails() ? NULL : __real_reallocarray(old, count, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	return fails() ? NULL : __real_aligned_alloc(align, size);
}

static const char rules[] =
    "deny@10.0.0.0/8:tcp:22,allow@10.0.0.0/8:tcp:1-100,allow@10.1.0.0/16,deny@[2001:db8::]/32,"
    "deny@any:udp:1+3+5+7+9,deny@any:udp:2,allow@private:tcp:443,deny@private:tcp:80,"
    "allow@a.example,deny@a.example:tcp:80,allow@*.b.example:tcp:443,deny@c.example";

/* Builds the policy with the n-th allocation failing; true if there was none to fail. */
static bool build(long n)
{
	struct policy_error err = {.column = 0};
	struct ip_addr host = ip_addr_v4(0x64600001);
	struct policy_builder *layer;
	struct policy_builder *b;
	struct policy *p = NULL;
	bool has_failed = false;

	left = n;
	b = policy_builder_new();
	if (!b)
		return false;
	for (int i = 0; i < 8; i++) { /* enough for the arrays to grow */
		int ret = policy_builder_add_rules(b, rules, &err);

		assert_true(ret == 0 || ret == -ENOMEM);
		if (ret < 0) {
			has_failed = true;
			assert_int_equal(policy_builder_add_rules(b, rules, &err), 0);
		}
	}
	if (policy_builder_add_host(b, &host) < 0) {
		has_failed = true;
		assert_int_equal(policy_builder_add_host(b, &host), 0);
	}
	assert_int_equal(policy_builder_add_profile(b, "public", &err), 0);
	layer = policy_builder_add_layer(b);
	if (!layer) {
		has_failed = true;
		layer = policy_builder_add_layer(b);
	}
	assert_non_null(layer);
	if (policy_builder_add_rules(layer, rules, &err) < 0) {
		has_failed = true;
		assert_int_equal(policy_builder_add_rules(layer, rules, &err), 0);
	}
	if (policy_builder_compile(b, &p) < 0) {
		has_failed = true;
		assert_null(p);
		assert_int_equal(policy_builder_compile(b, &p), 0);
	}
	/* A shrinking that fails leaves the larger array. */
	has_failed = has_failed || left < 0;
	left = -1;
	assert_int_equal(policy_rule_count(p), 9 * 12 + 2);
	policy_free(p);
	policy_builder_free(b);
	return !has_failed;
}

static void every_allocation_may_fail(void **state)
{
	long n = 0;

	(void)state;
	while (!build(n))
		n++;
	assert_true(n > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
