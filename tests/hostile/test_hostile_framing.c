/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile peers against the ports over sockets in this process: whatever one sends, it costs itself its connection, and
 * the good one behind it gets its bytes (threats.md P18, P20).
 *
 * Arguments: number of attacks of each kind, first seed.
 */
#include "unit/sockport.h"

#include "exerciser.h"
#include "framing.h"

enum {
	ATTACKS = 1500,
	FRAME = 100,
};

static uint64_t first_seed = 1;
static uint32_t attacks = ATTACKS;

struct rig {
	struct sockport s;
	struct exerciser engine;
};

static void turn(void *ctx)
{
	struct rig *r = ctx;
	struct supply_report report;

	(void)sockport_turn(&r->s);
	exerciser_take(&r->engine);
	if (dice_one_in(&r->engine.dice, 4))
		exerciser_give(&r->engine);
	(void)sockport_turn(&r->s);
	while (supply_hear(r->s.supply, &report) == 1)
		;
}

/* Until it has read all that was sent, and noticed the end. */
static void settle(struct rig *r)
{
	for (int i = 0; i < 4; i++)
		turn(r);
}

/* A frame each way on a new connection. */
static void serve_a_good_one(struct rig *r, int type, bool has_vnet, uint8_t byte)
{
	uint32_t prefix =
	    (type == SOCK_STREAM ? 4U : 0U) + (has_vnet ? (uint32_t)VNET_HDR_SIZE : 0U);
	uint8_t bytes[4 + VNET_HDR_SIZE + FRAME] = {0};
	uint8_t got[sizeof(bytes)] = {0};

	sockport_connect(&r->s, type);
	if (type == SOCK_STREAM)
		bytes[3] = (uint8_t)(prefix - 4 + FRAME);
	memset(bytes + prefix, byte, FRAME);
	assert_int_equal(send(r->s.peer, bytes, prefix + FRAME, 0), prefix + FRAME);
	(void)sockport_turn(&r->s);
	sockport_expect(&r->s, FRAME, byte);
	sockport_expect_none(&r->s);
	assert_int_equal(sockport_commit(&r->s, FRAME, byte), 0);
	r->s.port->nic.ops->flush(&r->s.port->nic);
	assert_int_equal(recv(r->s.peer, got, sizeof(got), MSG_DONTWAIT), prefix + FRAME);
	assert_memory_equal(got + prefix, bytes + prefix, FRAME);
	sockport_hang_up(&r->s);
	settle(r);
}

static void check(enum port_kind kind, int type, bool has_vnet)
{
	struct port_config cfg = {.kind = kind, .has_vnet = has_vnet};
	static struct rig r;

	sockport_start(&r.s, cfg);
	r.engine = (struct exerciser){.nic = &r.s.port->nic, .dice = {.state = first_seed}};
	for (uint64_t seed = first_seed; seed < first_seed + attacks; seed++) {
		struct framing_peer p = {
		    .type = type, .dice = {.state = seed}, .turn = turn, .ctx = &r};

		sockport_connect(&r.s, type);
		p.fd = r.s.peer;
		framing_attack(&p);
		sockport_hang_up(&r.s);
		settle(&r);
		serve_a_good_one(&r, type, has_vnet, (uint8_t)seed);
	}
	/* The attacks have reached it, and frames have come through. */
	if (attacks >= ATTACKS) {
		assert_true(r.s.port->nic.counters.tx_broken > attacks / 8);
		assert_true(r.s.port->nic.counters.tx_frames > 2ULL * attacks);
		assert_true(r.s.port->nic.counters.rx_frames > attacks);
	}
	sockport_end(&r.s);
}

static void a_hostile_stream_costs_itself_its_connection(void **state)
{
	(void)state;
	check(PORT_KIND_STREAM, SOCK_STREAM, false);
	check(PORT_KIND_STREAM, SOCK_STREAM, true);
}

static void hostile_datagrams_cost_nothing_but_themselves(void **state)
{
	(void)state;
	check(PORT_KIND_DGRAM, SOCK_DGRAM, false);
	check(PORT_KIND_DGRAM, SOCK_DGRAM, true);
}

static void hostile_packets_cost_nothing_but_themselves(void **state)
{
	(void)state;
	check(PORT_KIND_BESS, SOCK_SEQPACKET, false);
	check(PORT_KIND_BESS, SOCK_SEQPACKET, true);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_hostile_stream_costs_itself_its_connection),
	    cmocka_unit_test(hostile_datagrams_cost_nothing_but_themselves),
	    cmocka_unit_test(hostile_packets_cost_nothing_but_themselves),
	};

	if (argc > 1)
		attacks = (uint32_t)strtoul(argv[1], NULL, 0);
	if (argc > 2)
		first_seed = strtoull(argv[2], NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
