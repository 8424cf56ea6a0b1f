/* SPDX-License-Identifier: Apache-2.0 */
/* What each message of a front end does to the port, in good order and in none (threats.md P19, P20). */
#include "vuport.h"

#include <fcntl.h>
#include <linux/vhost_types.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

enum {
	TX = 1,
	RX = 0,
	F_PROTOCOL = 30,
};

#define BIT(n) (1ULL << (n))

static struct machine_config small(void)
{
	struct machine_config c = machine_config_default();

	c.num = 64;
	c.regions = 1;
	return c;
}

static void begin(struct vuport *t)
{
	struct machine_config c = small();

	vuport_begin(t, &c, true);
}

static void start(struct vuport *t)
{
	struct machine_config c = small();

	vuport_start(t, &c);
	assert_int_equal(t->note_count, 0);
}

static struct vmm *vmm_of(struct vuport *t)
{
	return &t->machine.vmm;
}

/* The port has answered with a refusal, told why, and goes on. */
static void expect_refusal(struct vuport *t, int result, const char *note)
{
	assert_int_equal(result, -EREMOTEIO);
	vuport_expect_note(t, note);
	assert_true(vuport_is_open(t));
}

/* The port has had enough, and waits for the next front end. */
static void expect_end(struct vuport *t, const char *note)
{
	char byte;

	(void)vuport_turn(t);
	vuport_expect_note(t, note);
	vuport_hear(t, SUPPLY_BROKEN);
	assert_true(recv(t->machine.vmm.fd, &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET);
	vmm_close(vmm_of(t));
	vuport_connect(t);
	assert_int_equal(machine_start(&t->machine), 0);
	vuport_end(t);
}

/* ---- frames, as few as are needed to see whether they flow ---- */

static void put_frame(struct vuport *t, uint16_t i)
{
	struct machine *m = &t->machine;
	struct ring *r = &m->queues[TX].ring;
	uint8_t *at = machine_buffer(m, TX, i);

	memset(at, 0, machine_hdr(m));
	memset(at + machine_hdr(m), i, 100);
	r->desc[i] = (struct vring_desc){.addr = machine_gpa(m, at), .len = machine_hdr(m) + 100};
	ring_add(r, i);
	if (ring_publish(r))
		machine_kick(m, TX);
}

static void expect_frame(struct vuport *t, uint16_t i)
{
	struct nic *nic = &t->port->nic;
	struct frame f;

	assert_int_equal(nic->ops->stage(nic, &f), 1);
	assert_int_equal(f.len, 100);
	assert_int_equal(f.head[99], (uint8_t)i);
	nic->ops->release(nic, 1);
	nic->ops->flush(nic);
}

static void expect_no_frame(struct vuport *t)
{
	struct frame f;

	assert_int_equal(t->port->nic.ops->stage(&t->port->nic, &f), 0);
}

static int send_frame(struct vuport *t, uint8_t byte)
{
	struct nic *nic = &t->port->nic;
	struct nic_slot s;
	int err = nic->ops->reserve(nic, 64, 0, &s);

	if (err)
		return err;
	memset(s.head, byte, 64);
	nic->ops->commit(nic, &s, 0, NULL);
	nic->ops->flush(nic);
	return 0;
}

static void expect_received(struct vuport *t, uint8_t byte)
{
	struct machine *m = &t->machine;
	uint32_t head = 0;
	uint32_t len = 0;

	assert_true(ring_take(&m->queues[RX].ring, &head, &len));
	assert_int_equal(len, machine_hdr(m) + 64);
	assert_int_equal(machine_buffer(m, RX, head)[machine_hdr(m) + 63], byte);
}

/* ---- what is offered ---- */

static void the_features_are_these(void **state)
{
	static const uint64_t wanted =
	    BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4) |
	    BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_HOST_TSO4) |
	    BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_UFO) | BIT(54) | BIT(55) | BIT(56) |
	    BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_MTU) | BIT(VIRTIO_NET_F_MQ) |
	    BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_RING_F_EVENT_IDX) |
	    BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_F_VERSION_1) | BIT(VHOST_F_LOG_ALL) |
	    BIT(F_PROTOCOL);
	struct vuport t;
	uint64_t value;

	(void)state;
	begin(&t);
	assert_int_equal(vmm_get(vmm_of(&t), VHOST_USER_GET_FEATURES, &value), 0);
	assert_int_equal(value, wanted);
	vuport_end(&t);
}

static void the_protocol_features_are_these_and_inflight_where_there_is_a_file(void **state)
{
	static const uint64_t wanted =
	    BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(13) | BIT(15) | BIT(16);
	struct machine_config c = small();
	struct vuport t;
	uint64_t value;

	(void)state;
	for (int with = 0; with < 2; with++) {
		vuport_begin(&t, &c, with == 1);
		assert_int_equal(vmm_get(vmm_of(&t), VHOST_USER_GET_PROTOCOL_FEATURES, &value), 0);
		assert_int_equal(value, wanted | (with == 1 ? BIT(12) : 0));
		vuport_end(&t);
	}
}

/* QEMU reads the number as pairs of queues, cloud-hypervisor as queues: 16 of each are there. */
static void numbers_of_queues_and_memory_slots_are_told(void **state)
{
	struct vuport t;
	uint64_t value;

	(void)state;
	begin(&t);
	assert_int_equal(vmm_get(vmm_of(&t), VHOST_USER_GET_QUEUE_NUM, &value), 0);
	assert_int_equal(value, 16);
	assert_int_equal(vmm_get(vmm_of(&t), VHOST_USER_GET_MAX_MEM_SLOTS, &value), 0);
	assert_int_equal(value, 509);
	vuport_end(&t);
}

static void what_is_not_offered_cannot_be_had(void **state)
{
	struct vuport t;

	(void)state;
	begin(&t);
	assert_int_equal(vmm_set(vmm_of(&t), VHOST_USER_SET_PROTOCOL_FEATURES, BIT(3)), 0);
	vmm_of(&t)->protocol_features = BIT(VHOST_USER_PROTOCOL_REPLY_ACK);
	expect_refusal(
	    &t, vmm_set(vmm_of(&t), VHOST_USER_SET_FEATURES, BIT(34)), "request 2 cannot");
	expect_refusal(
	    &t, vmm_set(vmm_of(&t), VHOST_USER_SET_PROTOCOL_FEATURES, BIT(9)), "request 16 cannot");
	vuport_end(&t);
}

static void the_link_must_hold_what_is_sent(void **state)
{
	struct vuport t;

	(void)state;
	begin(&t);
	assert_int_equal(machine_negotiate(&t.machine), 0);
	assert_int_equal(vmm_set(vmm_of(&t), VHOST_USER_NET_SET_MTU, VU_MTU), 0);
	assert_int_equal(vmm_set(vmm_of(&t), VHOST_USER_NET_SET_MTU, 65535), 0);
	expect_refusal(
	    &t, vmm_set(vmm_of(&t), VHOST_USER_NET_SET_MTU, VU_MTU - 1), "request 20 cannot");
	expect_refusal(&t, vmm_set(vmm_of(&t), VHOST_USER_NET_SET_MTU, 65536), "request 20 cannot");
	vuport_end(&t);
}

/* ---- acknowledgements ---- */

static void every_message_is_acknowledged_where_that_was_agreed(void **state)
{
	struct vuport t;

	(void)state;
	start(&t);
	assert_int_equal(vmm_set(vmm_of(&t), VHOST_USER_SEND_RARP, 0x026d73000002), 0);
	assert_int_equal(vmm_ask(vmm_of(&t), VHOST_USER_SET_OWNER, NULL, 0, NULL, 0), 0);
	assert_int_equal(vmm_ask(vmm_of(&t), VHOST_USER_RESET_OWNER, NULL, 0, NULL, 0), 0);
	vuport_end(&t);
}

static void an_unknown_request_is_refused_or_passed_over(void **state)
{
	struct vuport t;

	(void)state;
	begin(&t);
	/* Without agreement the wish for an answer is none. */
	assert_int_equal(
	    vmm_send(vmm_of(&t), 99, VMM_VERSION | VMM_NEED_REPLY, "12345", 5, NULL, 0), 0);
	assert_true(vuport_is_open(&t));
	vuport_expect_note(&t, "request 99 is not known");
	assert_int_equal(machine_start(&t.machine), 0);
	expect_refusal(&t, vmm_ask(vmm_of(&t), 99, "12345", 5, NULL, 0), "request 99 is not known");
	expect_refusal(&t, vmm_ask(vmm_of(&t), 0, NULL, 0, NULL, 0), "request 0 is not known");
	expect_refusal(
	    &t, vmm_ask(vmm_of(&t), UINT32_MAX, NULL, 0, NULL, 0), "request 4294967295 is");
	vuport_end(&t);
}

static void what_cannot_be_done_ends_a_connection_that_has_no_acknowledgements(void **state)
{
	struct vuport t;

	(void)state;
	begin(&t);
	assert_int_equal(vmm_set_vring(vmm_of(&t), VHOST_USER_SET_VRING_NUM, 0, 3), 0);
	expect_end(&t, "request 8 cannot be done");
}

/* ---- queues ---- */

static void values_out_of_range_are_refused(void **state)
{
	static const struct {
		uint32_t request;
		uint32_t index;
		uint32_t num;
	} wrong[] = {
	    {VHOST_USER_SET_VRING_NUM, 0, 0},
	    {VHOST_USER_SET_VRING_NUM, 0, 65536},
	    {VHOST_USER_SET_VRING_NUM, 0, 48},
	    {VHOST_USER_SET_VRING_NUM, 32, 64},
	    {VHOST_USER_SET_VRING_NUM, UINT32_MAX, 64},
	    {VHOST_USER_SET_VRING_BASE, 0, 65536},
	    {VHOST_USER_SET_VRING_BASE, 32, 0},
	    {VHOST_USER_SET_VRING_ENABLE, 0, 2},
	    {VHOST_USER_SET_VRING_ENABLE, 32, 1},
	};
	struct vuport t;
	uint32_t base;
	int fd = eventfd(0, 0);

	(void)state;
	begin(&t);
	assert_int_equal(machine_negotiate(&t.machine), 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		expect_refusal(&t,
		    vmm_set_vring(vmm_of(&t), wrong[i].request, wrong[i].index, wrong[i].num),
		    "request ");
	for (uint32_t r = VHOST_USER_SET_VRING_KICK; r <= VHOST_USER_SET_VRING_ERR; r++)
		expect_refusal(&t, vmm_set_vring_fd(vmm_of(&t), r, 32, fd), "request ");
	expect_refusal(&t, vmm_set(vmm_of(&t), VHOST_USER_SET_STATUS, 256), "request 39 cannot");
	(void)close(fd);
	/* There is no reply that could say so. */
	assert_int_equal(vmm_get_vring_base(vmm_of(&t), 31, &base), 0);
	assert_int_equal(base, 0);
	vuport_end(&t);
}

static void a_queue_begins_when_it_has_all_in_whatever_order(void **state)
{
	struct vuport t;

	(void)state;
	begin(&t);
	assert_int_equal(machine_negotiate(&t.machine), 0);
	assert_int_equal(machine_start_queue(&t.machine, TX), 0);
	vuport_expect_note(&t, "queue 1 cannot run: its rings are not in the guest's memory");
	put_frame(&t, 5);
	expect_no_frame(&t);
	assert_int_equal(machine_share_memory(&t.machine), 0);
	expect_frame(&t, 5);
	vuport_end(&t);
}

static void a_queue_that_is_off_gives_and_takes_nothing(void **state)
{
	struct vuport t;

	(void)state;
	start(&t);
	machine_fill_rx(&t.machine, RX);
	assert_int_equal(vmm_set_vring(vmm_of(&t), VHOST_USER_SET_VRING_ENABLE, TX, 0), 0);
	assert_int_equal(vmm_set_vring(vmm_of(&t), VHOST_USER_SET_VRING_ENABLE, RX, 0), 0);
	put_frame(&t, 7);
	(void)vuport_turn(&t);
	expect_no_frame(&t);
	assert_int_equal(send_frame(&t, 1), -EAGAIN);
	assert_int_equal(vmm_set_vring(vmm_of(&t), VHOST_USER_SET_VRING_ENABLE, TX, 1), 0);
	assert_int_equal(vmm_set_vring(vmm_of(&t), VHOST_USER_SET_VRING_ENABLE, RX, 1), 0);
	/* The engine must look again, as no descriptor will tell. */
	assert_int_equal(vuport_turn(&t), PORT_HAS_FRAMES | PORT_HAS_ROOM);
	expect_frame(&t, 7);
	assert_int_equal(send_frame(&t, 2), 0);
	expect_received(&t, 2);
	vuport_end(&t);
}

static void without_protocol_features_a_queue_is_on_from_the_start(void **state)
{
	struct machine_config c = small();
	struct vuport t;

	(void)state;
	c.protocol = 0;
	vuport_begin(&t, &c, true);
	assert_int_equal(machine_negotiate(&t.machine), 0);
	/* Nor is the bit acknowledged that says so. */
	t.machine.features &= ~BIT(F_PROTOCOL);
	assert_int_equal(vmm_set(vmm_of(&t), VHOST_USER_SET_FEATURES, t.machine.features), 0);
	assert_int_equal(machine_share_memory(&t.machine), 0);
	assert_int_equal(machine_start_queue(&t.machine, TX), 0);
	put_frame(&t, 9);
	expect_frame(&t, 9);
	vuport_end(&t);
}

static void a_stopped_queue_tells_where_to_go_on(void **state)
{
	struct vuport t;
	uint32_t base;

	(void)state;
	start(&t);
	for (uint16_t i = 0; i < 5; i++)
		put_frame(&t, i);
	for (uint16_t i = 0; i < 3; i++)
		expect_frame(&t, i);
	assert_int_equal(vmm_get_vring_base(vmm_of(&t), TX, &base), 0);
	assert_int_equal(base, 3);
	expect_no_frame(&t);
	/* What is taken ahead to write into was not used. */
	machine_fill_rx(&t.machine, RX);
	assert_int_equal(send_frame(&t, 1), 0);
	assert_int_equal(vmm_get_vring_base(vmm_of(&t), RX, &base), 0);
	assert_int_equal(base, 1);
	assert_int_equal(machine_start_queue(&t.machine, TX), 0);
	expect_frame(&t, 3);
	expect_frame(&t, 4);
	vuport_end(&t);
}

static void a_running_queue_keeps_its_size_and_its_place(void **state)
{
	struct vuport t;

	(void)state;
	start(&t);
	expect_refusal(
	    &t, vmm_set_vring(vmm_of(&t), VHOST_USER_SET_VRING_NUM, TX, 32), "request 8 cannot");
	expect_refusal(
	    &t, vmm_set_vring(vmm_of(&t), VHOST_USER_SET_VRING_BASE, TX, 1), "request 10 cannot");
	assert_int_equal(vmm_set_vring(vmm_of(&t), VHOST_USER_SET_VRING_NUM, TX, 64), 0);
	put_frame(&t, 1);
	expect_frame(&t, 1);
	vuport_end(&t);
}

static void descriptors_of_a_queue_must_be_eventfds(void **state)
{
	struct vuport t;
	int pipes[2];
	int file = memfd_create("x", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	start(&t);
	for (uint32_t r = VHOST_USER_SET_VRING_KICK; r <= VHOST_USER_SET_VRING_ERR; r++) {
		expect_refusal(&t, vmm_set_vring_fd(vmm_of(&t), r, TX, pipes[1]), "request ");
		expect_refusal(&t, vmm_set_vring_fd(vmm_of(&t), r, TX, file), "request ");
		expect_refusal(
		    &t, vmm_set_vring_fd(vmm_of(&t), r, TX, t.machine.vmm.fd), "request ");
	}
	/* A queue that must be looked at all the time is not served. */
	expect_refusal(&t, vmm_set_vring_fd(vmm_of(&t), VHOST_USER_SET_VRING_KICK, TX, -1),
	    "request 12 cannot");
	put_frame(&t, 1);
	expect_frame(&t, 1);
	vuport_end(&t);
	(void)close(pipes[0]);
	(void)close(pipes[1]);
	(void)close(file);
}

static void a_call_descriptor_is_exchanged_while_frames_flow(void **state)
{
	struct vuport t;
	int other = eventfd(0, EFD_NONBLOCK);
	int first;

	(void)state;
	start(&t);
	first = t.machine.queues[TX].call_fd;
	assert_false(ring_arm(&t.machine.queues[TX].ring, 1));
	put_frame(&t, 0);
	expect_frame(&t, 0);
	assert_int_equal(vuport_count(first), 1);
	assert_int_equal(vmm_set_vring_fd(vmm_of(&t), VHOST_USER_SET_VRING_CALL, TX, other), 0);
	put_frame(&t, 1);
	(void)ring_arm(&t.machine.queues[TX].ring, 2);
	expect_frame(&t, 1);
	assert_int_equal(vuport_count(first), 0);
	assert_int_equal(vuport_count(other), 1);
	assert_int_equal(vmm_set_vring_fd(vmm_of(&t), VHOST_USER_SET_VRING_CALL, TX, -1), 0);
	put_frame(&t, 2);
	(void)ring_arm(&t.machine.queues[TX].ring, 3);
	expect_frame(&t, 2);
	assert_int_equal(vuport_count(other), 0);
	vuport_end(&t);
	(void)close(other);
}

/* A full counter must not make the engine wait. */
static void a_call_that_nobody_takes_is_none(void **state)
{
	static const uint64_t most = UINT64_MAX - 1;
	struct vuport t;
	int fd = eventfd(0, 0);

	(void)state;
	start(&t);
	assert_int_equal(write(fd, &most, sizeof(most)), sizeof(most));
	assert_int_equal(vmm_set_vring_fd(vmm_of(&t), VHOST_USER_SET_VRING_CALL, TX, fd), 0);
	assert_false(ring_arm(&t.machine.queues[TX].ring, 1));
	put_frame(&t, 0);
	expect_frame(&t, 0);
	vuport_end(&t);
	(void)close(fd);
}

static void a_reset_forgets_the_queues_and_not_the_rest(void **state)
{
	static const uint32_t resets[] = {VHOST_USER_RESET_DEVICE, VHOST_USER_SET_STATUS};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct vuport t;
		uint64_t status;

		start(&t);
		assert_int_equal(vmm_set(vmm_of(&t), VHOST_USER_SET_STATUS, 15), 0);
		assert_int_equal(vmm_get(vmm_of(&t), VHOST_USER_GET_STATUS, &status), 0);
		assert_int_equal(status, 15);
		put_frame(&t, 1);
		if (i == 0)
			assert_int_equal(vmm_ask(vmm_of(&t), resets[i], NULL, 0, NULL, 0), 0);
		else
			assert_int_equal(vmm_set(vmm_of(&t), resets[i], 0), 0);
		expect_no_frame(&t);
		assert_int_equal(machine_start_queue(&t.machine, TX), 0);
		expect_frame(&t, 1);
		vuport_end(&t);
	}
}

static void a_broken_queue_stands_still_until_it_is_set_up_anew(void **state)
{
	struct vuport t;
	int err_fd = eventfd(0, EFD_NONBLOCK);
	uint32_t base;

	(void)state;
	start(&t);
	machine_fill_rx(&t.machine, RX);
	assert_int_equal(vmm_set_vring_fd(vmm_of(&t), VHOST_USER_SET_VRING_ERR, TX, err_fd), 0);
	put_frame(&t, 0);
	t.machine.queues[TX].ring.desc[0].addr = 0;
	expect_no_frame(&t);
	vuport_expect_note(&t, "queue 1 is broken: an address is not in the guest's memory");
	assert_int_equal(vuport_count(err_fd), 1);
	assert_int_equal(t.port->nic.counters.tx_broken, 1);
	put_frame(&t, 1);
	expect_no_frame(&t);
	/* Other messages do not make it run again; the other queue has not noticed. */
	assert_int_equal(vmm_set_vring(vmm_of(&t), VHOST_USER_SET_VRING_ENABLE, TX, 1), 0);
	expect_no_frame(&t);
	assert_int_equal(send_frame(&t, 3), 0);
	expect_received(&t, 3);
	assert_int_equal(vmm_get_vring_base(vmm_of(&t), TX, &base), 0);
	assert_int_equal(base, 1);
	t.machine.queues[TX].ring.last_used = 0;
	t.machine.queues[TX].ring.used->idx = 1;
	assert_int_equal(machine_start_queue(&t.machine, TX), 0);
	expect_frame(&t, 1);
	vuport_end(&t);
	(void)close(err_fd);
}

/* ---- memory ---- */

static void memory_may_be_shared_anew_while_frames_flow(void **state)
{
	struct vuport t;
	struct nic_slot s;

	(void)state;
	start(&t);
	machine_fill_rx(&t.machine, RX);
	assert_int_equal(send_frame(&t, 1), 0);
	put_frame(&t, 0);
	/* Buffers are held that were not needed. */
	assert_int_equal(t.port->nic.ops->reserve(&t.port->nic, 64, 20000, &s), 0);
	t.port->nic.ops->cancel(&t.port->nic, &s);
	t.machine.cfg.regions = 4;
	assert_int_equal(machine_share_memory(&t.machine), 0);
	expect_frame(&t, 0);
	assert_int_equal(send_frame(&t, 2), 0);
	expect_received(&t, 1);
	expect_received(&t, 2);
	vuport_end(&t);
}

static void regions_come_and_go_one_by_one(void **state)
{
	struct machine_config c = small();
	struct vuport t;
	uint64_t region[5] = {0, 1ULL << 40, 4096, 1ULL << 41, 0};
	int fd = memfd_create("more", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, 4096), 0);
	c.has_slots = true;
	c.regions = 8;
	vuport_start(&t, &c);
	put_frame(&t, 0);
	expect_frame(&t, 0);
	assert_int_equal(
	    vmm_ask(vmm_of(&t), VHOST_USER_ADD_MEM_REG, region, sizeof(region), &fd, 1), 0);
	expect_refusal(&t,
	    vmm_ask(vmm_of(&t), VHOST_USER_ADD_MEM_REG, region, sizeof(region), &fd, 1),
	    "request 37");
	/* A frame in it. */
	put_frame(&t, 1);
	t.machine.queues[TX].ring.desc[1].addr = region[1];
	t.machine.queues[TX].ring.desc[1].len = 112;
	expect_frame(&t, 0);
	assert_int_equal(
	    vmm_ask(vmm_of(&t), VHOST_USER_REM_MEM_REG, region, sizeof(region), &fd, 1), 0);
	expect_refusal(&t,
	    vmm_ask(vmm_of(&t), VHOST_USER_REM_MEM_REG, region, sizeof(region), NULL, 0),
	    "request 38");
	put_frame(&t, 2);
	expect_frame(&t, 2);
	put_frame(&t, 3);
	t.machine.queues[TX].ring.desc[3].addr = region[1];
	expect_no_frame(&t);
	vuport_expect_note(&t, "queue 1 is broken");
	vuport_end(&t);
	(void)close(fd);
}

static void a_table_that_cannot_be_mapped_leaves_no_memory(void **state)
{
	struct vuport t;
	uint64_t table[5] = {1, 0x100000, 1ULL << 40, 0, 0};

	(void)state;
	start(&t);
	assert_int_equal(vmm_ask(vmm_of(&t), VHOST_USER_SET_MEM_TABLE, table, sizeof(table),
			     &t.machine.memory_fd, 1),
	    -EREMOTEIO);
	/* Each queue has lost its rings, and is told of once. */
	assert_int_equal(t.note_count, 3);
	put_frame(&t, 0);
	expect_no_frame(&t);
	assert_int_equal(vmm_set_vring(vmm_of(&t), VHOST_USER_SET_VRING_ENABLE, TX, 1), 0);
	assert_int_equal(t.note_count, 3);
	assert_int_equal(machine_share_memory(&t.machine), 0);
	expect_frame(&t, 0);
	vuport_end(&t);
}

static void memory_that_is_taken_away_ends_the_connection(void **state)
{
	struct vuport t;
	struct frame f;

	(void)state;
	start(&t);
	put_frame(&t, 0);
	assert_int_equal(ftruncate(t.machine.memory_fd, 0), 0);
	assert_int_equal(t.port->nic.ops->stage(&t.port->nic, &f), 0);
	t.port->nic.ops->flush(&t.port->nic);
	(void)vuport_turn(&t);
	vuport_expect_note(&t, "the memory of the guest has been taken away");
	vuport_hear(&t, SUPPLY_BROKEN);
	/* Nor does another message find it: a machine with memory is served as if nothing had been. */
	vmm_close(vmm_of(&t));
	machine_fini(&t.machine);
	assert_int_equal(machine_init(&t.machine, &t.machine.cfg), 0);
	vuport_connect(&t);
	assert_int_equal(machine_start(&t.machine), 0);
	put_frame(&t, 0);
	expect_frame(&t, 0);
	vuport_end(&t);
}

/* ---- migration ---- */

static void what_is_written_is_logged(void **state)
{
	struct vuport t;
	struct machine *m = &t.machine;
	int fd = memfd_create("log", MFD_CLOEXEC);
	uint64_t log[2] = {4096, 4096};
	uint64_t page;
	uint64_t reply;
	uint8_t *bits;

	(void)state;
	start(&t);
	machine_fill_rx(m, RX);
	assert_int_equal(ftruncate(fd, 8192), 0);
	bits = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(bits != MAP_FAILED);
	/* Answered by a number of its own, acknowledgements or not. */
	assert_int_equal(
	    vmm_send(vmm_of(&t), VHOST_USER_SET_LOG_BASE, VMM_VERSION, log, sizeof(log), &fd, 1),
	    0);
	assert_int_equal(
	    vmm_receive(vmm_of(&t), VHOST_USER_SET_LOG_BASE, &reply, sizeof(reply), NULL), 8);
	assert_int_equal(send_frame(&t, 1), 0);
	page = machine_gpa(m, machine_buffer(m, RX, 0)) / 4096;
	assert_true(page / 8 < 4096);
	assert_int_equal(bits[4096 + page / 8] >> page % 8 & 1, 0);
	assert_int_equal(
	    vmm_set(vmm_of(&t), VHOST_USER_SET_FEATURES, m->features | BIT(VHOST_F_LOG_ALL)), 0);
	assert_int_equal(send_frame(&t, 2), 0);
	page = machine_gpa(m, machine_buffer(m, RX, 1)) / 4096;
	assert_int_equal(bits[4096 + page / 8] >> page % 8 & 1, 1);
	/* Nothing else: the frame is short, and the ring has no log of its own. */
	for (uint32_t i = 0, ones = 0; i < 4096; i++) {
		ones += (uint32_t)__builtin_popcount(bits[4096 + i]);
		assert_true(ones <= 1);
	}
	vuport_end(&t);
	(void)munmap(bits, 8192);
	(void)close(fd);
}

/* ---- chains in flight ---- */

static void the_inflight_region_is_given_out_and_taken_back(void **state)
{
	struct vuport t;
	uint64_t region[3] = {0};
	uint16_t counts[4] = {2, 64};
	int fd;

	(void)state;
	begin(&t);
	assert_int_equal(machine_negotiate(&t.machine), 0);
	memcpy(&region[2], counts, sizeof(counts));
	assert_int_equal(vmm_send(vmm_of(&t), VHOST_USER_GET_INFLIGHT_FD, VMM_VERSION, region,
			     sizeof(region), NULL, 0),
	    0);
	assert_int_equal(
	    vmm_receive(vmm_of(&t), VHOST_USER_GET_INFLIGHT_FD, region, sizeof(region), &fd), 24);
	assert_true(fd >= 0);
	assert_int_equal(region[0], 2 * (16 + 64 * 16 + 48));
	assert_int_equal(region[1], 0);
	/* It cannot be made smaller, nor larger. */
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(
	    vmm_ask(vmm_of(&t), VHOST_USER_SET_INFLIGHT_FD, region, sizeof(region), &fd, 1), 0);
	region[0] -= 1;
	expect_refusal(&t,
	    vmm_ask(vmm_of(&t), VHOST_USER_SET_INFLIGHT_FD, region, sizeof(region), &fd, 1),
	    "request 32");
	(void)close(fd);
	vuport_end(&t);
}

static void a_region_for_too_many_queues_is_refused_in_the_reply(void **state)
{
	static const uint16_t wrong[][2] = {{0, 64}, {2, 0}, {33, 64}, {2, 32769}, {65535, 65535}};
	struct vuport t;

	(void)state;
	begin(&t);
	assert_int_equal(machine_negotiate(&t.machine), 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		uint64_t region[3] = {0};
		int fd;

		memcpy(&region[2], wrong[i], sizeof(wrong[i]));
		assert_int_equal(vmm_send(vmm_of(&t), VHOST_USER_GET_INFLIGHT_FD, VMM_VERSION,
				     region, sizeof(region), NULL, 0),
		    0);
		assert_int_equal(vmm_receive(vmm_of(&t), VHOST_USER_GET_INFLIGHT_FD, region,
				     sizeof(region), &fd),
		    24);
		assert_int_equal(region[0], 0);
		assert_int_equal(fd, -1);
	}
	vuport_end(&t);
}

/* The first back end ends with frames in the engine's hands: the next gives them again, first. */
static void frames_in_hand_come_again_to_the_next_back_end(void **state)
{
	struct vuport t;
	struct vuport next;
	struct frame f;
	uint32_t base;

	(void)state;
	start(&t);
	for (uint16_t i = 0; i < 6; i++)
		put_frame(&t, i);
	expect_frame(&t, 0);
	assert_int_equal(t.port->nic.ops->stage(&t.port->nic, &f), 1);
	assert_int_equal(t.port->nic.ops->stage(&t.port->nic, &f), 1);
	/* The machine goes over as it is; what becomes of the first back end it does not see. */
	begin(&next);
	machine_fini(&next.machine);
	next.machine = t.machine;
	vuport_connect(&next);
	assert_int_equal(machine_start(&next.machine), 0);
	assert_int_equal(vmm_get_vring_base(vmm_of(&next), TX, &base), 0);
	assert_int_equal(base, 1);
	assert_int_equal(machine_start_queue(&next.machine, TX), 0);
	for (uint16_t i = 1; i < 6; i++)
		expect_frame(&next, i);
	expect_no_frame(&next);
	put_frame(&next, 6);
	expect_frame(&next, 6);
	t.port->nic.ops->release(&t.port->nic, 2);
	assert_int_equal(machine_init(&t.machine, &next.machine.cfg), 0);
	vuport_end(&next);
	vuport_end(&t);
}

static void a_queue_whose_region_is_of_another_size_does_not_run(void **state)
{
	struct vuport t;
	uint8_t *at;

	(void)state;
	begin(&t);
	assert_int_equal(machine_start(&t.machine), 0);
	at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, t.machine.inflight_fd, 0);
	assert_true(at != MAP_FAILED);
	at[10] = 32; /* entries */
	vmm_close(vmm_of(&t));
	(void)vuport_turn(&t);
	vuport_connect(&t);
	assert_int_equal(machine_start(&t.machine), 0);
	vuport_expect_note(&t, "queue 0 cannot run: its inflight region is not as it must be");
	put_frame(&t, 1);
	expect_frame(&t, 1);
	assert_int_equal(send_frame(&t, 1), -EAGAIN);
	(void)munmap(at, 4096);
	vuport_end(&t);
}

/* ---- the connection ---- */

static void a_front_end_that_leaves_is_reported_and_the_next_one_is_served(void **state)
{
	struct vuport t;

	(void)state;
	start(&t);
	for (uint8_t i = 0; i < 3; i++) {
		machine_fill_rx(&t.machine, RX);
		put_frame(&t, i);
		vmm_close(vmm_of(&t));
		assert_int_equal(vuport_turn(&t) & PORT_IS_GONE, 0);
		vuport_hear(&t, SUPPLY_CLOSED);
		expect_no_frame(&t);
		assert_int_equal(send_frame(&t, 1), -EAGAIN);
		machine_fini(&t.machine);
		assert_int_equal(machine_init(&t.machine, &t.machine.cfg), 0);
		vuport_connect(&t);
		assert_int_equal(machine_start(&t.machine), 0);
	}
	assert_int_equal(t.port->nic.counters.links, 4);
	assert_int_equal(t.note_count, 0);
	vuport_end(&t);
}

static void the_last_connection_is_the_end_of_the_port(void **state)
{
	struct vuport t;

	(void)state;
	start(&t);
	supply_finish(t.supply);
	assert_int_equal(vuport_turn(&t) & PORT_IS_GONE, 0);
	put_frame(&t, 0);
	expect_frame(&t, 0);
	vmm_close(vmm_of(&t));
	assert_int_equal(vuport_turn(&t) & PORT_IS_GONE, PORT_IS_GONE);
	vuport_end(&t);
}

static void a_new_connection_takes_the_place_of_the_old_one(void **state)
{
	struct vuport t;
	int old;

	(void)state;
	start(&t);
	old = t.machine.vmm.fd;
	vuport_connect(&t);
	assert_int_equal(machine_start(&t.machine), 0);
	put_frame(&t, 0);
	expect_frame(&t, 0);
	vuport_hear(&t, SUPPLY_CLOSED);
	(void)close(old);
	vuport_end(&t);
}

static void a_message_may_come_byte_by_byte(void **state)
{
	struct vuport t;
	uint32_t message[5] = {VHOST_USER_SET_VRING_NUM, VMM_VERSION | VMM_NEED_REPLY, 8, 3, 128};
	uint64_t reply = 1;

	(void)state;
	start(&t);
	for (size_t i = 0; i < sizeof(message); i++) {
		assert_int_equal(send(t.machine.vmm.fd, (uint8_t *)message + i, 1, 0), 1);
		(void)vuport_turn(&t);
	}
	assert_int_equal(
	    vmm_receive(vmm_of(&t), VHOST_USER_SET_VRING_NUM, &reply, sizeof(reply), NULL), 8);
	assert_int_equal(reply, 0);
	vuport_end(&t);
}

static void many_messages_may_come_at_once(void **state)
{
	struct vuport t;
	uint32_t message[5] = {VHOST_USER_SET_VRING_NUM, VMM_VERSION | VMM_NEED_REPLY, 8, 3, 128};

	(void)state;
	start(&t);
	for (int i = 0; i < 200; i++)
		assert_int_equal(
		    send(t.machine.vmm.fd, message, sizeof(message), 0), sizeof(message));
	(void)vuport_turn(&t);
	for (int i = 0; i < 200; i++) {
		uint64_t reply = 1;

		assert_int_equal(
		    vmm_receive(vmm_of(&t), VHOST_USER_SET_VRING_NUM, &reply, sizeof(reply), NULL),
		    8);
		assert_int_equal(reply, 0);
	}
	assert_true(vuport_is_open(&t));
	vuport_end(&t);
}

static void a_front_end_that_reads_no_answers_is_left(void **state)
{
	struct vuport t;
	uint32_t message[3] = {VHOST_USER_GET_FEATURES, VMM_VERSION, 0};
	struct supply_report r;
	int n = 0;

	(void)state;
	start(&t);
	for (; n < 100000 && supply_hear(t.supply, &r) == -EAGAIN; n++) {
		(void)send(t.machine.vmm.fd, message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL);
		(void)vuport_turn(&t);
	}
	assert_true(n < 100000);
	vuport_end(&t);
}

static void a_header_that_is_none_ends_the_connection(void **state)
{
	struct vuport t;

	(void)state;
	start(&t);
	assert_int_equal(send(t.machine.vmm.fd, "GET / HTTP/1.1\r\n", 16, 0), 16);
	expect_end(&t, "the front end does not speak vhost-user");
	start(&t);
	assert_int_equal(vmm_send(vmm_of(&t), 1, VMM_VERSION | 4, NULL, 0, NULL, 0), 0);
	expect_end(&t, "the front end does not speak vhost-user");
}

static void a_payload_that_does_not_fit_its_request_ends_the_connection(void **state)
{
	struct vuport t;

	(void)state;
	start(&t);
	assert_int_equal(
	    vmm_send(vmm_of(&t), VHOST_USER_SET_VRING_NUM, VMM_VERSION, "1234", 4, NULL, 0), 0);
	expect_end(&t, "request 8 is malformed");
}

static void descriptors_must_be_as_many_as_the_message_says(void **state)
{
	struct vuport t;
	uint64_t region[5] = {0, 1ULL << 40, 4096, 1ULL << 41, 0};
	uint64_t zero = 0;
	int fds[VMM_FDS_MAX];

	(void)state;
	for (size_t i = 0; i < VMM_FDS_MAX; i++)
		fds[i] = STDIN_FILENO;
	/* None where there must be one, one where there must be none, two for one, more than fit. */
	start(&t);
	(void)vmm_send(
	    vmm_of(&t), VHOST_USER_ADD_MEM_REG, VMM_VERSION, region, sizeof(region), NULL, 0);
	expect_end(&t, "request 37 is malformed");
	start(&t);
	(void)vmm_send(vmm_of(&t), VHOST_USER_GET_FEATURES, VMM_VERSION, NULL, 0, fds, 1);
	expect_end(&t, "request 1 is malformed");
	start(&t);
	(void)vmm_send(
	    vmm_of(&t), VHOST_USER_SET_VRING_CALL, VMM_VERSION, &zero, sizeof(zero), fds, 2);
	expect_end(&t, "request 13 is malformed");
	start(&t);
	(void)vmm_send(
	    vmm_of(&t), VHOST_USER_SET_VRING_CALL, VMM_VERSION, &zero, sizeof(zero), fds, 9);
	expect_end(&t, "the front end does not speak vhost-user");
	start(&t);
	(void)vmm_send(vmm_of(&t), VHOST_USER_SET_VRING_CALL, VMM_VERSION, &zero, sizeof(zero), fds,
	    VMM_FDS_MAX);
	expect_end(&t, "the front end does not speak vhost-user");
}

static int open_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 512; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void no_descriptor_is_left_behind(void **state)
{
	struct vuport t;
	uint64_t zero = 0;
	int before = open_descriptors();
	int fds[VMM_FDS_MAX];

	(void)state;
	for (size_t i = 0; i < VMM_FDS_MAX; i++)
		fds[i] = STDIN_FILENO;
	for (uint32_t request = 0; request < 50; request++) {
		for (uint32_t count = 0; count < 12; count += 3) {
			start(&t);
			(void)vmm_send(
			    vmm_of(&t), request, VMM_VERSION, &zero, sizeof(zero), fds, count);
			(void)vuport_turn(&t);
			t.note_count = 0;
			vuport_end(&t);
		}
	}
	assert_int_equal(open_descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_features_are_these),
	    cmocka_unit_test(the_protocol_features_are_these_and_inflight_where_there_is_a_file),
	    cmocka_unit_test(numbers_of_queues_and_memory_slots_are_told),
	    cmocka_unit_test(what_is_not_offered_cannot_be_had),
	    cmocka_unit_test(the_link_must_hold_what_is_sent),
	    cmocka_unit_test(every_message_is_acknowledged_where_that_was_agreed),
	    cmocka_unit_test(an_unknown_request_is_refused_or_passed_over),
	    cmocka_unit_test(what_cannot_be_done_ends_a_connection_that_has_no_acknowledgements),
	    cmocka_unit_test(values_out_of_range_are_refused),
	    cmocka_unit_test(a_queue_begins_when_it_has_all_in_whatever_order),
	    cmocka_unit_test(a_queue_that_is_off_gives_and_takes_nothing),
	    cmocka_unit_test(without_protocol_features_a_queue_is_on_from_the_start),
	    cmocka_unit_test(a_stopped_queue_tells_where_to_go_on),
	    cmocka_unit_test(a_running_queue_keeps_its_size_and_its_place),
	    cmocka_unit_test(descriptors_of_a_queue_must_be_eventfds),
	    cmocka_unit_test(a_call_descriptor_is_exchanged_while_frames_flow),
	    cmocka_unit_test(a_call_that_nobody_takes_is_none),
	    cmocka_unit_test(a_reset_forgets_the_queues_and_not_the_rest),
	    cmocka_unit_test(a_broken_queue_stands_still_until_it_is_set_up_anew),
	    cmocka_unit_test(memory_may_be_shared_anew_while_frames_flow),
	    cmocka_unit_test(regions_come_and_go_one_by_one),
	    cmocka_unit_test(a_table_that_cannot_be_mapped_leaves_no_memory),
	    cmocka_unit_test(memory_that_is_taken_away_ends_the_connection),
	    cmocka_unit_test(what_is_written_is_logged),
	    cmocka_unit_test(the_inflight_region_is_given_out_and_taken_back),
	    cmocka_unit_test(a_region_for_too_many_queues_is_refused_in_the_reply),
	    cmocka_unit_test(frames_in_hand_come_again_to_the_next_back_end),
	    cmocka_unit_test(a_queue_whose_region_is_of_another_size_does_not_run),
	    cmocka_unit_test(a_front_end_that_leaves_is_reported_and_the_next_one_is_served),
	    cmocka_unit_test(the_last_connection_is_the_end_of_the_port),
	    cmocka_unit_test(a_new_connection_takes_the_place_of_the_old_one),
	    cmocka_unit_test(a_message_may_come_byte_by_byte),
	    cmocka_unit_test(many_messages_may_come_at_once),
	    cmocka_unit_test(a_front_end_that_reads_no_answers_is_left),
	    cmocka_unit_test(a_header_that_is_none_ends_the_connection),
	    cmocka_unit_test(a_payload_that_does_not_fit_its_request_ends_the_connection),
	    cmocka_unit_test(descriptors_must_be_as_many_as_the_message_says),
	    cmocka_unit_test(no_descriptor_is_left_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
