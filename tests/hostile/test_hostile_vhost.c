/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile front ends against the vhost-user port in this process, so that a sanitizer sees everything: whatever one does,
 * it costs itself its queues or its connection, and the good one behind it gets its bytes (threats.md P18, P19, P20).
 *
 * Arguments: number of attacks, first seed. A failure names its seed.
 */
#include "unit/vuport.h"

#include <pthread.h>

#include "attack.h"
#include "exerciser.h"

enum {
	ATTACKS = 3000,
	RACES = 200,
	FRAME = 100,
};

static uint64_t first_seed = 1;
static uint32_t attacks = ATTACKS;

struct rig {
	struct vuport v;
	struct exerciser engine;
	uint64_t told; /* which of complaints[] have been heard */
};

/* What the port must have complained of in the course of many attacks: else they do not reach it. */
static const char *const complaints[] = {
    "more is available than the queue holds",
    "a descriptor is beyond its table",
    "a chain has no end",
    "an indirect table is not as it must be",
    "an address is not in the guest's memory",
    "a buffer has the wrong direction",
    "a chain is empty or has too many pieces",
    "its rings are not in the guest's memory",
    "its inflight region is not as it must be",
    "is too short for large frames",
    "is not known",
    "is malformed",
    "cannot be done",
    "the front end does not speak vhost-user",
    "the memory of the guest has been taken away",
};

#define COMPLAINTS (sizeof(complaints) / sizeof(complaints[0]))

/* Takes note of what has been told. */
static void hear_notes(struct rig *r)
{
	for (uint32_t i = 0; i < r->v.note_count && i < VU_NOTES_MAX; i++)
		for (size_t k = 0; k < COMPLAINTS; k++)
			if (strstr(r->v.notes[i], complaints[k]))
				r->told |= 1ULL << k;
	r->v.note_count = 0;
}

static void turn(void *ctx)
{
	struct rig *r = ctx;
	struct supply_report report;

	vuport_run(&r->v);
	hear_notes(r);
	exerciser_take(&r->engine);
	exerciser_give(&r->engine);
	vuport_run(&r->v);
	hear_notes(r);
	while (supply_hear(r->v.supply, &report) == 1)
		;
}

/* ---- who comes behind ---- */

static void renew(struct rig *r, const struct machine_config *c)
{
	vmm_close(&r->v.machine.vmm);
	machine_fini(&r->v.machine);
	assert_int_equal(machine_init(&r->v.machine, c), 0);
	vuport_connect(&r->v);
}

static void expect_from_guest(struct rig *r, uint8_t byte)
{
	struct nic *nic = &r->v.port->nic;
	struct machine *m = &r->v.machine;
	uint8_t *at = machine_buffer(m, 1, 0);
	struct frame f;

	memset(at, 0, machine_hdr(m));
	memset(at + machine_hdr(m), byte, FRAME);
	m->queues[1].ring.desc[0] =
	    (struct vring_desc){.addr = machine_gpa(m, at), .len = machine_hdr(m) + FRAME};
	ring_add(&m->queues[1].ring, 0);
	if (ring_publish(&m->queues[1].ring))
		machine_kick(m, 1);
	assert_int_equal(nic->ops->stage(nic, &f), 1);
	assert_int_equal(f.len, FRAME);
	assert_int_equal(f.head[FRAME / 2], byte);
	nic->ops->release(nic, 1);
}

static void expect_to_guest(struct rig *r, uint8_t byte)
{
	struct nic *nic = &r->v.port->nic;
	struct machine *m = &r->v.machine;
	struct nic_slot s;
	uint32_t head = 0;
	uint32_t len = 0;

	machine_fill_rx(m, 0);
	assert_int_equal(nic->ops->reserve(nic, FRAME, 0, &s), 0);
	memset(s.head, byte, FRAME);
	nic->ops->commit(nic, &s, 0, NULL);
	nic->ops->flush(nic);
	assert_true(ring_take(&m->queues[0].ring, &head, &len));
	assert_int_equal(len, machine_hdr(m) + FRAME);
	assert_int_equal(machine_buffer(m, 0, head)[machine_hdr(m) + FRAME / 2], byte);
}

static void serve_a_good_one(struct rig *r, uint8_t byte)
{
	struct machine_config c = machine_config_default();

	c.num = 16;
	c.tx_buffer = 2048;
	renew(r, &c);
	assert_int_equal(machine_start(&r->v.machine), 0);
	expect_from_guest(r, byte);
	expect_to_guest(r, byte);
	r->v.note_count = 0;
}

static void begin(struct rig *r)
{
	struct machine_config c = machine_config_default();

	c.num = 16;
	c.tx_buffer = 2048;
	*r = (struct rig){0};
	vuport_begin(&r->v, &c, true);
	r->engine = (struct exerciser){.nic = &r->v.port->nic, .dice = {.state = first_seed}};
}

/* ---- */

static void a_hostile_front_end_costs_itself_its_link_and_nobody_else(void **state)
{
	static struct rig r;

	(void)state;
	begin(&r);
	for (uint64_t seed = first_seed; seed < first_seed + attacks; seed++) {
		struct machine_config c = attack_machine(seed);

		renew(&r, &c);
		r.v.machine.vmm.turn = turn;
		r.v.machine.vmm.turn_ctx = &r;
		attack_run(&r.v.machine, seed);
		serve_a_good_one(&r, (uint8_t)seed);
	}
	vuport_end(&r.v);
	for (size_t k = 0; attacks >= ATTACKS && k < COMPLAINTS; k++)
		if ((r.told & 1ULL << k) == 0)
			fail_msg("no attack has caused '%s'", complaints[k]);
}

struct scribbler {
	struct machine *machine;
	struct dice dice;
	bool is_asked_to_end;
};

static void *scribble(void *ctx)
{
	struct scribbler *s = ctx;

	while (!__atomic_load_n(&s->is_asked_to_end, __ATOMIC_ACQUIRE))
		attack_corrupt(s->machine, &s->dice);
	return NULL;
}

/* P19: what was checked once must be what is used. */
static void fields_may_change_while_they_are_read(void **state)
{
	static struct rig r;

	(void)state;
	begin(&r);
	for (uint64_t seed = first_seed; seed < first_seed + RACES; seed++) {
		struct machine_config c = attack_machine(seed);
		struct scribbler s = {.machine = &r.v.machine, .dice = {.state = seed}};
		pthread_t thread;

		c.num = 16;
		c.regions = 1 + (uint32_t)seed % 2;
		renew(&r, &c);
		assert_int_equal(machine_start(&r.v.machine), 0);
		assert_int_equal(pthread_create(&thread, NULL, scribble, &s), 0);
		for (uint32_t i = 0; i < 16; i++) {
			for (uint32_t q = 0; q < 2 * c.pairs; q++)
				r.v.machine.queues[q].ring.avail->idx++;
			turn(&r);
			/* A broken queue is set up anew. */
			for (uint32_t q = 0; q < 2 * c.pairs; q++)
				(void)vmm_set_vring_fd(&r.v.machine.vmm, VHOST_USER_SET_VRING_KICK,
				    q, r.v.machine.queues[q].kick_fd);
		}
		__atomic_store_n(&s.is_asked_to_end, true, __ATOMIC_RELEASE);
		assert_int_equal(pthread_join(thread, NULL), 0);
		serve_a_good_one(&r, (uint8_t)seed);
	}
	vuport_end(&r.v);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_hostile_front_end_costs_itself_its_link_and_nobody_else),
	    cmocka_unit_test(fields_may_change_while_they_are_read),
	};

	if (argc > 1)
		attacks = (uint32_t)strtoul(argv[1], NULL, 0);
	if (argc > 2)
		first_seed = strtoull(argv[2], NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
