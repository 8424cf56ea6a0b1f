/* SPDX-License-Identifier: Apache-2.0 */
/* Pins of names to addresses (behaviours C7, C18; threats D9, D12). */
#include <errno.h>
#include <stdio.h>

#include "names/pins.h"
#include "unit.h"

static const struct siphash_key key = {.k = {1, 2}};

static void init(struct pins *p, uint32_t names, uint32_t pins)
{
	assert_int_equal(
	    pins_init(p, &(struct pins_limits){.names = names, .pins = pins}, &key), 0);
}

static struct name name_of(const char *text)
{
	struct name n;

	assert_int_equal(name_read(text, strlen(text), &n, NULL), NAME_OK);
	return n;
}

static struct ip_addr addr_of(const char *text)
{
	struct ip_addr a;

	assert_int_equal(ip_addr_parse(text, &a), 0);
	return a;
}

static int set(struct pins *p, const char *name, const char *addr, uint64_t until)
{
	struct name n = name_of(name);
	struct ip_addr a = addr_of(addr);

	return pins_set(p, &n, ip_addr_is_v4(&a) ? 4 : 6, &a, 1, until);
}

static void clear(struct pins *p, const char *name, uint8_t family)
{
	struct name n = name_of(name);

	assert_int_equal(pins_set(p, &n, family, NULL, 0, 0), 0);
}

/* The names of an address, joined by blanks. */
static const char *names_of(struct pins *p, const char *addr, uint64_t now)
{
	static char text[4096];
	const struct name *found[PINS_PER_ADDR_MAX];
	struct ip_addr a = addr_of(addr);
	uint32_t count = pins_find(p, &a, now, found, PINS_PER_ADDR_MAX);

	text[0] = '\0';
	for (uint32_t i = 0; i < count; i++) {
		strcat(text, i > 0 ? " " : "");
		strcat(text, found[i]->text);
	}
	return text;
}

static void a_pin_holds_until_its_time_is_over_c18(void **state)
{
	struct pins p;

	(void)state;
	init(&p, 8, 64);
	assert_int_equal(set(&p, "a.example", "192.0.2.1", 100), 0);
	assert_string_equal(names_of(&p, "192.0.2.1", 99), "a.example");
	assert_string_equal(names_of(&p, "192.0.2.2", 99), "");
	assert_string_equal(names_of(&p, "192.0.2.1", 100), "");
	assert_int_equal(p.pins.in_use, 0);
	assert_int_equal(p.names.in_use, 0);
	assert_int_equal(p.addrs.in_use, 0);
	pins_fini(&p);
}

static void an_address_has_the_names_of_all_its_answers_c7(void **state)
{
	struct pins p;

	(void)state;
	init(&p, 8, 64);
	assert_int_equal(set(&p, "a.example", "192.0.2.1", 100), 0);
	assert_int_equal(set(&p, "b.example", "192.0.2.1", 50), 0);
	assert_int_equal(set(&p, "b.example", "2001:db8::1", 50), 0);
	assert_string_equal(names_of(&p, "192.0.2.1", 10), "b.example a.example");
	assert_string_equal(names_of(&p, "2001:db8::1", 10), "b.example");
	assert_string_equal(names_of(&p, "192.0.2.1", 60), "a.example");
	pins_fini(&p);
}

static void addresses_of_an_older_answer_keep_their_own_time(void **state)
{
	struct pins p;

	(void)state;
	init(&p, 8, 64);
	assert_int_equal(set(&p, "a.example", "192.0.2.1", 100), 0);
	assert_int_equal(set(&p, "a.example", "192.0.2.2", 200), 0);
	assert_string_equal(names_of(&p, "192.0.2.1", 99), "a.example");
	assert_string_equal(names_of(&p, "192.0.2.1", 100), "");
	assert_string_equal(names_of(&p, "192.0.2.2", 100), "a.example");
	/* A shorter time does not take away what was given. */
	assert_int_equal(set(&p, "a.example", "192.0.2.2", 150), 0);
	assert_string_equal(names_of(&p, "192.0.2.2", 199), "a.example");
	pins_fini(&p);
}

static void no_addresses_clear_one_family(void **state)
{
	struct pins p;

	(void)state;
	init(&p, 8, 64);
	assert_int_equal(set(&p, "a.example", "192.0.2.1", 100), 0);
	assert_int_equal(set(&p, "a.example", "2001:db8::1", 100), 0);
	clear(&p, "a.example", 6);
	assert_string_equal(names_of(&p, "192.0.2.1", 1), "a.example");
	assert_string_equal(names_of(&p, "2001:db8::1", 1), "");
	clear(&p, "a.example", 4);
	clear(&p, "a.example", 4);
	assert_int_equal(p.names.in_use, 0);
	assert_int_equal(p.addrs.in_use, 0);
	pins_fini(&p);
}

static void a_living_flow_keeps_the_pins_of_its_address(void **state)
{
	struct pins p;
	struct ip_addr a = addr_of("192.0.2.1");

	(void)state;
	init(&p, 8, 64);
	assert_false(pins_hold(&p, &a));
	assert_int_equal(set(&p, "a.example", "192.0.2.1", 100), 0);
	assert_true(pins_hold(&p, &a));
	assert_true(pins_hold(&p, &a));
	assert_int_equal(set(&p, "b.example", "192.0.2.1", 300), 0);
	assert_string_equal(names_of(&p, "192.0.2.1", 1000), "b.example a.example");
	pins_release(&p, &a);
	assert_string_equal(names_of(&p, "192.0.2.1", 1000), "b.example a.example");
	pins_release(&p, &a);
	assert_string_equal(names_of(&p, "192.0.2.1", 200), "b.example");
	pins_fini(&p);
}

static void a_cleared_pin_holds_as_long_as_its_flow(void **state)
{
	struct pins p;
	struct ip_addr a = addr_of("192.0.2.1");

	(void)state;
	init(&p, 8, 64);
	assert_int_equal(set(&p, "a.example", "192.0.2.1", 100), 0);
	assert_int_equal(set(&p, "b.example", "192.0.2.1", 100), 0);
	assert_true(pins_hold(&p, &a));
	clear(&p, "a.example", 4);
	assert_string_equal(names_of(&p, "192.0.2.1", 1), "b.example a.example");
	pins_release(&p, &a);
	assert_string_equal(names_of(&p, "192.0.2.1", 1), "b.example");
	assert_true(pins_hold(&p, &a));
	clear(&p, "b.example", 4);
	pins_release(&p, &a);
	assert_int_equal(p.names.in_use, 0);
	assert_int_equal(p.addrs.in_use, 0);
	pins_fini(&p);
}

static void the_oldest_name_without_a_flow_makes_place(void **state)
{
	struct pins p;
	struct ip_addr held = addr_of("192.0.2.1");

	(void)state;
	init(&p, 3, 64);
	assert_int_equal(set(&p, "a.example", "192.0.2.1", 100), 0);
	assert_int_equal(set(&p, "b.example", "192.0.2.2", 100), 0);
	assert_int_equal(set(&p, "c.example", "192.0.2.3", 100), 0);
	assert_true(pins_hold(&p, &held));
	assert_int_equal(set(&p, "b.example", "192.0.2.4", 100), 0);
	assert_int_equal(set(&p, "d.example", "192.0.2.5", 100), 0);
	assert_int_equal(p.evicted, 1);
	assert_string_equal(names_of(&p, "192.0.2.1", 1), "a.example");
	assert_string_equal(names_of(&p, "192.0.2.2", 1), "b.example");
	assert_string_equal(names_of(&p, "192.0.2.3", 1), "");
	assert_string_equal(names_of(&p, "192.0.2.5", 1), "d.example");
	pins_fini(&p);
}

static void names_that_all_lead_to_flows_refuse_a_new_one(void **state)
{
	struct pins p;
	struct ip_addr held = addr_of("192.0.2.1");

	(void)state;
	init(&p, 1, 64);
	assert_int_equal(set(&p, "a.example", "192.0.2.1", 100), 0);
	assert_true(pins_hold(&p, &held));
	assert_int_equal(set(&p, "b.example", "192.0.2.2", 100), -ENOSPC);
	assert_int_equal(set(&p, "a.example", "192.0.2.2", 100), 0);
	pins_release(&p, &held);
	assert_int_equal(set(&p, "b.example", "192.0.2.2", 100), 0);
	assert_string_equal(names_of(&p, "192.0.2.2", 1), "b.example");
	pins_fini(&p);
}

static void an_address_keeps_the_last_names_and_a_name_the_last_addresses(void **state)
{
	struct pins p;
	struct ip_addr addrs[PINS_PER_NAME_MAX + 2];
	const struct name *found[PINS_PER_ADDR_MAX];
	struct ip_addr a = addr_of("192.0.2.1");
	struct name n = name_of("many.example");

	(void)state;
	init(&p, 200, 256);
	for (int i = 0; i < PINS_PER_ADDR_MAX + 2; i++) {
		char text[32];

		(void)snprintf(text, sizeof(text), "n%d.example", i);
		assert_int_equal(set(&p, text, "192.0.2.1", 100), 0);
	}
	assert_int_equal(pins_find(&p, &a, 1, found, PINS_PER_ADDR_MAX), PINS_PER_ADDR_MAX);
	assert_string_equal(found[0]->text, "n65.example");
	assert_string_equal(found[PINS_PER_ADDR_MAX - 1]->text, "n2.example");
	assert_int_equal(p.names.in_use, PINS_PER_ADDR_MAX);
	for (uint32_t i = 0; i < PINS_PER_NAME_MAX + 2; i++)
		addrs[i] = ip_addr_v4(0x0a000000 + i);
	assert_int_equal(pins_set(&p, &n, 4, addrs, PINS_PER_NAME_MAX + 2, 100), 0);
	assert_string_equal(names_of(&p, "10.0.0.1", 1), "");
	assert_string_equal(names_of(&p, "10.0.0.2", 1), "many.example");
	assert_int_equal(set(&p, "many.example", "2001:db8::1", 100), 0);
	assert_string_equal(names_of(&p, "10.0.0.2", 1), "");
	assert_string_equal(names_of(&p, "10.0.0.3", 1), "many.example");
	pins_fini(&p);
}

/* A guest that asks for names without end (threat C16): memory stays, and all lists stay consistent. */
static void any_order_of_calls_stays_within_its_bounds(void **state)
{
	struct pins p;
	struct ip_addr held[32];
	uint32_t held_count = 0;
	uint32_t seed = 1;

	(void)state;
	init(&p, 16, 64);
	for (uint64_t i = 1; i < 20000; i++) {
		const struct name *found[PINS_PER_ADDR_MAX];
		char text[32];
		struct name n;
		struct ip_addr addrs[3];
		int err;

		seed = seed * 1103515245 + 12345;
		(void)snprintf(text, sizeof(text), "n%u.example", seed >> 16 & 31);
		n = name_of(text);
		for (uint32_t k = 0; k < 3; k++)
			addrs[k] = ip_addr_v4((seed >> 20) % 61 + k);
		if ((seed >> 9 & 7) == 0)
			err = pins_set(&p, &n, 4, NULL, 0, 0);
		else
			err = pins_set(&p, &n, 4, addrs, 3, i + 20);
		assert_true(err == 0 || err == -ENOSPC || err == -ENOMEM);
		(void)pins_find(&p, &addrs[1], i, found, PINS_PER_ADDR_MAX);
		if (held_count < 32 && (seed >> 12 & 3) == 0 && pins_hold(&p, &addrs[2]))
			held[held_count++] = addrs[2];
		else if (held_count > 0 && (seed >> 12 & 3) != 0)
			pins_release(&p, &held[--held_count]);
		assert_true(p.names.in_use <= 16 && p.pins.in_use <= 64);
	}
	while (held_count > 0)
		pins_release(&p, &held[--held_count]);
	for (uint32_t k = 0; k < 32; k++) {
		char text[32];

		(void)snprintf(text, sizeof(text), "n%u.example", k);
		clear(&p, text, 4);
	}
	assert_int_equal(p.names.in_use, 0);
	assert_int_equal(p.pins.in_use, 0);
	assert_int_equal(p.addrs.in_use, 0);
	assert_true(list_is_empty(&p.age));
	pins_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_pin_holds_until_its_time_is_over_c18),
	    cmocka_unit_test(an_address_has_the_names_of_all_its_answers_c7),
	    cmocka_unit_test(addresses_of_an_older_answer_keep_their_own_time),
	    cmocka_unit_test(no_addresses_clear_one_family),
	    cmocka_unit_test(a_living_flow_keeps_the_pins_of_its_address),
	    cmocka_unit_test(a_cleared_pin_holds_as_long_as_its_flow),
	    cmocka_unit_test(the_oldest_name_without_a_flow_makes_place),
	    cmocka_unit_test(names_that_all_lead_to_flows_refuse_a_new_one),
	    cmocka_unit_test(an_address_keeps_the_last_names_and_a_name_the_last_addresses),
	    cmocka_unit_test(any_order_of_calls_stays_within_its_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
