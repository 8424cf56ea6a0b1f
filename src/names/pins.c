/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pins of names to addresses; see pins.h. Tests: unit/test_pins.c.
 *
 * A pin is on the list of its name and on that of its address. Invariants: a name has at least one pin; an
 * address has at least one, or is held; the address's newest pin is the last of its list, and so with names; a
 * name is on the list of ages if and only if none of its addresses is held, in the order of pins_set().
 */
#include "names/pins.h"

#include <assert.h>
#include <errno.h>

struct pin_name {
	struct pool_head head;
	uint32_t hash;
	uint32_t count;        /* pins */
	uint32_t held;         /* pins of addresses that are held */
	struct list_node pins; /* pin.of_name */
	struct list_node age;
	struct name name;
};

struct pin_addr {
	struct pool_head head;
	uint32_t hash;
	uint32_t count;        /* pins */
	uint32_t holds;        /* living flows */
	struct list_node pins; /* pin.of_addr */
	struct ip_addr addr;
};

struct pin {
	struct pool_head head;
	uint32_t hash;
	struct list_node of_name;
	struct list_node of_addr;
	struct pin_name *name;
	struct pin_addr *addr;
	uint64_t valid_until_ns; /* 0: only as long as the address is held */
};

int pins_init(struct pins *p, const struct pins_limits *limits, const struct siphash_key *key)
{
	*p = (struct pins){.key = *key};
	list_init(&p->age);
	if (pool_init(&p->names, sizeof(struct pin_name), limits->names) ||
	    pool_init(&p->addrs, sizeof(struct pin_addr), limits->pins) ||
	    pool_init(&p->pins, sizeof(struct pin), limits->pins) ||
	    htab_init(&p->by_name, limits->names) || htab_init(&p->by_addr, limits->pins) ||
	    htab_init(&p->by_pair, limits->pins)) {
		pins_fini(p);
		return -ENOMEM;
	}
	return 0;
}

void pins_fini(struct pins *p)
{
	pool_fini(&p->names);
	pool_fini(&p->addrs);
	pool_fini(&p->pins);
	htab_fini(&p->by_name);
	htab_fini(&p->by_addr);
	htab_fini(&p->by_pair);
}

static uint32_t hash_of(const struct pins *p, const void *bytes, size_t len)
{
	return (uint32_t)siphash13(&p->key, bytes, len);
}

static struct pin_name *find_name(const struct pins *p, const struct name *name, uint32_t hash)
{
	uint32_t pos = htab_start(&p->by_name, hash);
	uint32_t i;

	while ((i = htab_next(&p->by_name, hash, &pos)) != HTAB_NONE) {
		struct pin_name *n = (struct pin_name *)(void *)pool_at(&p->names, i);

		if (name_eq(&n->name, name))
			return n;
	}
	return NULL;
}

static struct pin_addr *find_addr(const struct pins *p, const struct ip_addr *addr, uint32_t hash)
{
	uint32_t pos = htab_start(&p->by_addr, hash);
	uint32_t i;

	while ((i = htab_next(&p->by_addr, hash, &pos)) != HTAB_NONE) {
		struct pin_addr *a = (struct pin_addr *)(void *)pool_at(&p->addrs, i);

		if (ip_addr_eq(&a->addr, addr))
			return a;
	}
	return NULL;
}

static uint32_t hash_of_pair(
    const struct pins *p, const struct pin_name *name, const struct pin_addr *addr)
{
	uint32_t pair[2] = {name->head.index, addr->head.index};

	return hash_of(p, pair, sizeof(pair));
}

static struct pin *find_pin(
    const struct pins *p, const struct pin_name *name, const struct pin_addr *addr)
{
	uint32_t hash = hash_of_pair(p, name, addr);
	uint32_t pos = htab_start(&p->by_pair, hash);
	uint32_t i;

	while ((i = htab_next(&p->by_pair, hash, &pos)) != HTAB_NONE) {
		struct pin *pin = (struct pin *)(void *)pool_at(&p->pins, i);

		if (pin->name == name && pin->addr == addr)
			return pin;
	}
	return NULL;
}

static void free_name_if_bare(struct pins *p, struct pin_name *n)
{
	if (n->count > 0)
		return;
	htab_remove(&p->by_name, n->hash, n->head.index);
	list_remove(&n->age);
	pool_put(&p->names, n);
}

static void free_addr_if_bare(struct pins *p, struct pin_addr *a)
{
	if (a->count > 0 || a->holds > 0)
		return;
	htab_remove(&p->by_addr, a->hash, a->head.index);
	pool_put(&p->addrs, a);
}

/* The name may be left without a pin: free_name_if_bare(). */
static void drop_pin(struct pins *p, struct pin *pin)
{
	struct pin_name *n = pin->name;
	struct pin_addr *a = pin->addr;

	htab_remove(&p->by_pair, pin->hash, pin->head.index);
	list_remove(&pin->of_name);
	list_remove(&pin->of_addr);
	n->count--;
	a->count--;
	if (a->holds > 0 && --n->held == 0)
		list_append(&p->age, &n->age);
	pool_put(&p->pins, pin);
	free_addr_if_bare(p, a);
}

/* Forgets the name that was set longest ago, but for this one. False: there is none without a living flow. */
static bool evict(struct pins *p, const struct pin_name *but)
{
	struct list_node *node = list_first(&p->age);
	struct pin_name *n;

	if (!node)
		return false;
	n = container_of(node, struct pin_name, age);
	if (n == but)
		return false;
	while (n->count > 0)
		drop_pin(p, container_of(n->pins.next, struct pin, of_name));
	free_name_if_bare(p, n);
	p->evicted++;
	return true;
}

static struct pin_name *take_name(struct pins *p, const struct name *name, uint32_t hash)
{
	struct pin_name *n;

	if (p->names.in_use == p->names.limit && !evict(p, NULL))
		return NULL;
	n = pool_take(&p->names);
	if (!n)
		return NULL;
	n->hash = hash;
	n->name = *name;
	list_init(&n->pins);
	list_init(&n->age);
	if (htab_insert(&p->by_name, hash, n->head.index)) {
		pool_put(&p->names, n);
		return NULL;
	}
	return n;
}

static struct pin_addr *take_addr(struct pins *p, const struct ip_addr *addr, uint32_t hash)
{
	struct pin_addr *a = pool_take(&p->addrs);

	if (!a)
		return NULL;
	a->hash = hash;
	a->addr = *addr;
	list_init(&a->pins);
	if (htab_insert(&p->by_addr, hash, a->head.index)) {
		pool_put(&p->addrs, a);
		return NULL;
	}
	return a;
}

/* Joins a name and an address that are not joined yet. NULL: no memory. */
static struct pin *take_pin(struct pins *p, struct pin_name *n, struct pin_addr *a)
{
	struct pin *pin = pool_take(&p->pins);

	if (!pin)
		return NULL;
	pin->hash = hash_of_pair(p, n, a);
	pin->name = n;
	pin->addr = a;
	if (htab_insert(&p->by_pair, pin->hash, pin->head.index)) {
		pool_put(&p->pins, pin);
		return NULL;
	}
	list_append(&n->pins, &pin->of_name);
	list_append(&a->pins, &pin->of_addr);
	n->count++;
	a->count++;
	if (a->holds > 0 && n->held++ == 0)
		list_remove(&n->age);
	return pin;
}

/* The oldest pin of the list gives way to a newer one. */
static void drop_oldest_of_addr(struct pins *p, struct pin_addr *a, const struct pin_name *but)
{
	struct pin *oldest = container_of(a->pins.next, struct pin, of_addr);
	struct pin_name *n = oldest->name;

	drop_pin(p, oldest);
	if (n != but)
		free_name_if_bare(p, n);
}

static int set_one(
    struct pins *p, struct pin_name *n, const struct ip_addr *addr, uint64_t valid_until_ns)
{
	uint32_t hash = hash_of(p, addr, sizeof(*addr));
	struct pin_addr *a = find_addr(p, addr, hash);
	struct pin *pin = a ? find_pin(p, n, a) : NULL;

	if (!pin) {
		if (n->count == PINS_PER_NAME_MAX)
			drop_pin(p, container_of(n->pins.next, struct pin, of_name));
		if ((p->pins.in_use == p->pins.limit || p->addrs.in_use == p->addrs.limit) &&
		    !evict(p, n))
			return -ENOSPC;
		/* What has been dropped may have been the last pin of this address. */
		a = find_addr(p, addr, hash);
		if (a && a->count == PINS_PER_ADDR_MAX)
			drop_oldest_of_addr(p, a, n);
		a = find_addr(p, addr, hash);
		if (!a)
			a = take_addr(p, addr, hash);
		if (!a)
			return -ENOMEM;
		pin = take_pin(p, n, a);
		if (!pin) {
			free_addr_if_bare(p, a);
			return -ENOMEM;
		}
	}
	list_move_tail(&n->pins, &pin->of_name);
	list_move_tail(&a->pins, &pin->of_addr);
	if (pin->valid_until_ns < valid_until_ns)
		pin->valid_until_ns = valid_until_ns;
	return 0;
}

static void clear_family(struct pins *p, struct pin_name *n, uint8_t family)
{
	struct list_node *node = n->pins.next;

	/* At most PINS_PER_NAME_MAX. */
	while (node != &n->pins) {
		struct pin *pin = container_of(node, struct pin, of_name);

		node = node->next;
		if (ip_addr_is_v4(&pin->addr->addr) != (family == 4))
			continue;
		pin->valid_until_ns = 0;
		if (pin->addr->holds == 0)
			drop_pin(p, pin);
	}
	free_name_if_bare(p, n);
}

int pins_set(struct pins *p, const struct name *name, uint8_t family, const struct ip_addr *addrs,
    uint32_t count, uint64_t valid_until_ns)
{
	uint32_t hash = hash_of(p, name->text, name->len);
	struct pin_name *n = find_name(p, name, hash);
	uint32_t first = count > PINS_PER_NAME_MAX ? count - PINS_PER_NAME_MAX : 0;
	int err = 0;

	if (count == 0) {
		if (n)
			clear_family(p, n, family);
		return 0;
	}
	if (!n)
		n = take_name(p, name, hash);
	if (!n)
		return p->names.in_use == p->names.limit ? -ENOSPC : -ENOMEM;
	if (n->held == 0)
		list_move_tail(&p->age, &n->age);
	for (uint32_t i = first; i < count && !err; i++)
		err = set_one(p, n, &addrs[i], valid_until_ns);
	free_name_if_bare(p, n);
	return err;
}

uint32_t pins_find(struct pins *p, const struct ip_addr *addr, uint64_t now_ns,
    const struct name **out, uint32_t cap)
{
	struct pin_addr *a = find_addr(p, addr, hash_of(p, addr, sizeof(*addr)));
	struct list_node *node;
	uint32_t count = 0;
	bool is_last;

	if (!a)
		return 0;
	/* At most PINS_PER_ADDR_MAX; dropping the last pin of an address that is not held frees the address. */
	node = a->pins.prev;
	is_last = node == &a->pins;
	while (!is_last && count < cap) {
		struct pin *pin = container_of(node, struct pin, of_addr);

		node = node->prev;
		is_last = node == &a->pins;
		if (a->holds > 0 || pin->valid_until_ns > now_ns) {
			out[count++] = &pin->name->name;
		} else {
			struct pin_name *n = pin->name;

			drop_pin(p, pin);
			free_name_if_bare(p, n);
		}
	}
	return count;
}

bool pins_hold(struct pins *p, const struct ip_addr *addr)
{
	struct pin_addr *a = find_addr(p, addr, hash_of(p, addr, sizeof(*addr)));

	if (!a)
		return false;
	if (a->holds++ > 0)
		return true;
	for (struct list_node *node = a->pins.next; node != &a->pins; node = node->next) {
		struct pin_name *n = container_of(node, struct pin, of_addr)->name;

		if (n->held++ == 0)
			list_remove(&n->age);
	}
	return true;
}

void pins_release(struct pins *p, const struct ip_addr *addr)
{
	struct pin_addr *a = find_addr(p, addr, hash_of(p, addr, sizeof(*addr)));
	struct list_node *node;

	assert(a && a->holds > 0);
	if (--a->holds > 0)
		return;
	/* So that dropping its last pin does not free it under this loop. */
	a->count++;
	node = a->pins.next;
	while (node != &a->pins) {
		struct pin *pin = container_of(node, struct pin, of_addr);
		struct pin_name *n = pin->name;

		node = node->next;
		if (--n->held == 0)
			list_append(&p->age, &n->age);
		if (pin->valid_until_ns == 0) {
			drop_pin(p, pin);
			free_name_if_bare(p, n);
		}
	}
	a->count--;
	free_addr_if_bare(p, a);
}
