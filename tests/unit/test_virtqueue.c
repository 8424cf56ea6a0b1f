/* SPDX-License-Identifier: Apache-2.0 */
/* The device's side of a split virtqueue, against drivers that keep to virtio and drivers that do not (threats.md P19). */
#include "vqueue.h"

enum {
	NEXT = VRING_DESC_F_NEXT,
	WRITE = VRING_DESC_F_WRITE,
	INDIRECT = VRING_DESC_F_INDIRECT,
};

/* A chain of one descriptor, which is shown. */
static void show_simple(struct vqueue *t, uint16_t i)
{
	vqueue_desc(t, i, VQ_DATA + i * 256U, 100, 0, 0);
	(void)vqueue_show(t, i);
}

static void expect_fault(struct vqueue *t, enum virtqueue_fault fault)
{
	assert_int_equal(vqueue_take(t, false), -EPROTO);
	assert_int_equal(t->vq.fault, fault);
	vqueue_end(t);
}

/* ---- taking ---- */

static void chains_are_taken_in_the_order_in_which_they_were_made_available(void **state)
{
	static const uint16_t order[] = {3, 0, 15, 7};
	struct vqueue t;

	(void)state;
	vqueue_start(&t, VQ_NUM, true);
	assert_int_equal(vqueue_take(&t, false), 0);
	for (size_t i = 0; i < 4; i++)
		show_simple(&t, order[i]);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(vqueue_take(&t, false), 1);
		assert_int_equal(t.chain.head, order[i]);
		assert_int_equal(t.chain.count, 1);
		assert_int_equal(t.chain.len, 100);
		vqueue_expect_piece(&t, 0, VQ_DATA + order[i] * 256U, 100);
	}
	assert_int_equal(vqueue_take(&t, false), 0);
	vqueue_end(&t);
}

static void a_chain_has_all_of_its_descriptors(void **state)
{
	struct vqueue t;

	(void)state;
	vqueue_start(&t, VQ_NUM, true);
	vqueue_desc(&t, 2, VQ_DATA, 10, NEXT | WRITE, 9);
	vqueue_desc(&t, 9, VQ_DATA + VQ_PAGE, 0, NEXT | WRITE, 1); /* is nothing */
	vqueue_desc(&t, 1, VQ_DATA + 2 * VQ_PAGE, 30, WRITE, 2);
	(void)vqueue_show(&t, 2);
	assert_int_equal(vqueue_take(&t, true), 1);
	assert_int_equal(t.chain.count, 2);
	assert_int_equal(t.chain.len, 40);
	vqueue_expect_piece(&t, 0, VQ_DATA, 10);
	vqueue_expect_piece(&t, 1, VQ_DATA + 2 * VQ_PAGE, 30);
	vqueue_end(&t);
}

static void a_chain_may_use_the_whole_table(void **state)
{
	struct vqueue t;

	(void)state;
	vqueue_start(&t, VQ_NUM, true);
	for (uint16_t i = 0; i < VQ_NUM; i++)
		vqueue_desc(
		    &t, i, VQ_DATA + i * 256U, 1, i + 1 < VQ_NUM ? NEXT : 0, (uint16_t)(i + 1));
	(void)vqueue_show(&t, 0);
	assert_int_equal(vqueue_take(&t, false), 1);
	assert_int_equal(t.chain.count, VQ_NUM);
	vqueue_end(&t);
}

static void a_buffer_over_two_regions_is_two_pieces(void **state)
{
	struct vqueue t;

	(void)state;
	vqueue_start(&t, VQ_NUM, true);
	vqueue_desc(&t, 0, VQ_SPLIT - 10, 30, 0, 0);
	(void)vqueue_show(&t, 0);
	assert_int_equal(vqueue_take(&t, false), 1);
	assert_int_equal(t.chain.count, 2);
	vqueue_expect_piece(&t, 0, VQ_SPLIT - 10, 10);
	vqueue_expect_piece(&t, 1, VQ_SPLIT, 20);
	vqueue_end(&t);
}

static void more_available_than_the_queue_holds_breaks_it(void **state)
{
	struct vqueue t;

	(void)state;
	vqueue_start(&t, VQ_NUM, true);
	__atomic_store_n(&t.ring.avail->idx, VQ_NUM + 1, __ATOMIC_RELEASE);
	expect_fault(&t, VIRTQUEUE_FAULT_AVAIL);
	vqueue_start(&t, VQ_NUM, true);
	__atomic_store_n(&t.ring.avail->idx, 0xffff, __ATOMIC_RELEASE);
	expect_fault(&t, VIRTQUEUE_FAULT_AVAIL);
}

static void a_head_beyond_the_table_breaks_the_queue(void **state)
{
	struct vqueue t;

	(void)state;
	vqueue_start(&t, VQ_NUM, true);
	(void)vqueue_show(&t, VQ_NUM);
	expect_fault(&t, VIRTQUEUE_FAULT_HEAD);
	vqueue_start(&t, VQ_NUM, true);
	(void)vqueue_show(&t, 0xffff);
	expect_fault(&t, VIRTQUEUE_FAULT_HEAD);
	vqueue_start(&t, VQ_NUM, true);
	vqueue_desc(&t, 0, VQ_DATA, 1, NEXT, VQ_NUM);
	(void)vqueue_show(&t, 0);
	expect_fault(&t, VIRTQUEUE_FAULT_HEAD);
}

static void a_chain_without_end_breaks_the_queue(void **state)
{
	struct vqueue t;

	(void)state;
	vqueue_start(&t, VQ_NUM, true);
	vqueue_desc(&t, 5, VQ_DATA, 1, NEXT, 5);
	(void)vqueue_show(&t, 5);
	expect_fault(&t, VIRTQUEUE_FAULT_LOOP);
	vqueue_start(&t, VQ_NUM, true);
	for (uint16_t i = 0; i < VQ_NUM; i++)
		vqueue_desc(&t, i, VQ_DATA, 0, NEXT, (uint16_t)((i + 1) % VQ_NUM));
	(void)vqueue_show(&t, 0);
	expect_fault(&t, VIRTQUEUE_FAULT_LOOP);
}

static void an_address_outside_of_memory_breaks_the_queue(void **state)
{
	static const uint64_t wrong[] = {VQ_PAGES * VQ_PAGE, VQ_PAGES * VQ_PAGE - 99, 0ULL - VQ_GPA,
	    UINT64_MAX - VQ_GPA, UINT64_MAX - VQ_GPA - 50, 1ULL << 40};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct vqueue t;

		vqueue_start(&t, VQ_NUM, true);
		vqueue_desc(&t, 0, wrong[i], 100, 0, 0);
		(void)vqueue_show(&t, 0);
		expect_fault(&t, VIRTQUEUE_FAULT_ADDRESS);
	}
}

static void a_buffer_of_the_other_direction_breaks_the_queue(void **state)
{
	struct vqueue t;

	(void)state;
	vqueue_start(&t, VQ_NUM, true);
	vqueue_desc(&t, 0, VQ_DATA, 1, NEXT, 1);
	vqueue_desc(&t, 1, VQ_DATA, 1, WRITE, 0);
	(void)vqueue_show(&t, 0);
	expect_fault(&t, VIRTQUEUE_FAULT_DIRECTION);
	vqueue_start(&t, VQ_NUM, true);
	vqueue_desc(&t, 0, VQ_DATA, 1, 0, 0);
	(void)vqueue_show(&t, 0);
	assert_int_equal(vqueue_take(&t, true), -EPROTO);
	assert_int_equal(t.vq.fault, VIRTQUEUE_FAULT_DIRECTION);
	vqueue_end(&t);
}

static void a_chain_without_a_byte_or_with_too_many_pieces_breaks_the_queue(void **state)
{
	struct vqueue t;

	(void)state;
	vqueue_start(&t, VQ_NUM, true);
	vqueue_desc(&t, 0, VQ_DATA, 0, 0, 0);
	(void)vqueue_show(&t, 0);
	expect_fault(&t, VIRTQUEUE_FAULT_PIECES);
	vqueue_start(&t, VQ_NUM, true);
	for (uint16_t i = 0; i < 5; i++)
		vqueue_desc(&t, i, VQ_DATA, 1, i < 4 ? NEXT : 0, (uint16_t)(i + 1));
	(void)vqueue_show(&t, 0);
	assert_int_equal(virtqueue_take(&t.vq, &t.m, false, t.iov, t.gpa, 4, &t.chain), -EPROTO);
	assert_int_equal(t.vq.fault, VIRTQUEUE_FAULT_PIECES);
	vqueue_end(&t);
}

static void lengths_that_add_up_beyond_32_bits_break_the_queue(void **state)
{
	const uint64_t size = 0x80000000;
	const struct vhost_user_region large = {.gpa = 0x100000000, .size = size, .uva = 0};
	struct vqueue t;
	int fd = memfd_create("large", MFD_CLOEXEC);

	(void)state;
	vqueue_start(&t, VQ_NUM, true);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(guest_memory_add(&t.m, &large, fd), 0);
	for (uint16_t i = 0; i < 3; i++) {
		vqueue_desc(&t, i, 0, 0x7fffffff, i < 2 ? NEXT : 0, (uint16_t)(i + 1));
		t.ring.desc[i].addr = large.gpa;
	}
	(void)vqueue_show(&t, 1);
	assert_int_equal(vqueue_take(&t, false), 1);
	assert_int_equal(t.chain.len, 0xfffffffe);
	(void)vqueue_show(&t, 0);
	(void)close(fd);
	expect_fault(&t, VIRTQUEUE_FAULT_PIECES);
}

/* ---- indirect tables ---- */

/* Descriptor k of a table at an offset in memory. */
static void table_desc(struct vqueue *t, uint64_t table, uint16_t k, struct vring_desc d)
{
	d.addr += VQ_GPA;
	memcpy(t->at + table + k * sizeof(d), &d, sizeof(d));
}

static void make_table(struct vqueue *t, uint64_t table, uint16_t count)
{
	for (uint16_t k = 0; k < count; k++)
		table_desc(t, table, k,
		    (struct vring_desc){.addr = VQ_DATA + k * 64U,
			.len = 10,
			.flags = k + 1 < count ? NEXT : 0,
			.next = (uint16_t)(k + 1)});
}

static void an_indirect_table_is_read_wherever_it_lies(void **state)
{
	/* In one piece, over two regions, over two regions in the middle of a descriptor, not aligned. */
	static const uint64_t tables[] = {
	    30 * VQ_PAGE, VQ_SPLIT - 32, 30 * VQ_PAGE + 8, 30 * VQ_PAGE + 16};

	(void)state;
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		struct vqueue t;

		vqueue_start(&t, VQ_NUM, true);
		make_table(&t, tables[i], 40); /* more than the queue has entries */
		vqueue_desc(&t, 0, tables[i], 40 * 16, INDIRECT, 0);
		(void)vqueue_show(&t, 0);
		assert_int_equal(vqueue_take(&t, false), 1);
		assert_int_equal(t.chain.count, 40);
		assert_int_equal(t.chain.len, 400);
		for (uint32_t k = 0; k < 40; k++)
			vqueue_expect_piece(&t, k, VQ_DATA + k * 64U, 10);
		vqueue_end(&t);
	}
}

static void descriptors_may_come_before_an_indirect_table(void **state)
{
	struct vqueue t;

	(void)state;
	vqueue_start(&t, VQ_NUM, true);
	make_table(&t, 30 * VQ_PAGE, 2);
	vqueue_desc(&t, 0, VQ_DATA + VQ_PAGE, 12, NEXT, 1);
	vqueue_desc(&t, 1, 30 * VQ_PAGE, 32, INDIRECT, 0);
	(void)vqueue_show(&t, 0);
	assert_int_equal(vqueue_take(&t, false), 1);
	assert_int_equal(t.chain.count, 3);
	assert_int_equal(t.chain.len, 32);
	vqueue_end(&t);
}

static void an_indirect_table_that_is_not_as_it_must_be_breaks_the_queue(void **state)
{
	static const struct {
		uint32_t len;
		uint16_t flags;
	} wrong[] = {{0, INDIRECT}, {15, INDIRECT}, {33, INDIRECT}, {32, INDIRECT | NEXT}};
	struct vqueue t;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		vqueue_start(&t, VQ_NUM, true);
		make_table(&t, 30 * VQ_PAGE, 2);
		vqueue_desc(&t, 0, 30 * VQ_PAGE, wrong[i].len, wrong[i].flags, 1);
		(void)vqueue_show(&t, 0);
		expect_fault(&t, VIRTQUEUE_FAULT_INDIRECT);
	}
	/* Not negotiated. */
	vqueue_start(&t, VQ_NUM, true);
	t.vq.has_indirect = false;
	make_table(&t, 30 * VQ_PAGE, 2);
	vqueue_desc(&t, 0, 30 * VQ_PAGE, 32, INDIRECT, 0);
	(void)vqueue_show(&t, 0);
	expect_fault(&t, VIRTQUEUE_FAULT_INDIRECT);
	/* In an indirect table. */
	vqueue_start(&t, VQ_NUM, true);
	table_desc(&t, 30 * VQ_PAGE, 0,
	    (struct vring_desc){.addr = 30 * VQ_PAGE, .len = 16, .flags = INDIRECT});
	vqueue_desc(&t, 0, 30 * VQ_PAGE, 16, INDIRECT, 0);
	(void)vqueue_show(&t, 0);
	expect_fault(&t, VIRTQUEUE_FAULT_INDIRECT);
}

static void indexes_in_an_indirect_table_stay_in_it(void **state)
{
	struct vqueue t;

	(void)state;
	vqueue_start(&t, VQ_NUM, true);
	table_desc(&t, 30 * VQ_PAGE, 0,
	    (struct vring_desc){.addr = VQ_DATA, .len = 1, .flags = NEXT, .next = 2});
	vqueue_desc(&t, 0, 30 * VQ_PAGE, 32, INDIRECT, 0);
	(void)vqueue_show(&t, 0);
	expect_fault(&t, VIRTQUEUE_FAULT_HEAD);
	vqueue_start(&t, VQ_NUM, true);
	table_desc(&t, 30 * VQ_PAGE, 0,
	    (struct vring_desc){.addr = VQ_DATA, .len = 1, .flags = NEXT, .next = 0});
	vqueue_desc(&t, 0, 30 * VQ_PAGE, 32, INDIRECT, 0);
	(void)vqueue_show(&t, 0);
	expect_fault(&t, VIRTQUEUE_FAULT_LOOP);
	/* A table whose end is in no region, whole and descriptor by descriptor. */
	vqueue_start(&t, VQ_NUM, true);
	make_table(&t, VQ_PAGES * VQ_PAGE - 32, 2);
	table_desc(&t, VQ_PAGES * VQ_PAGE - 32, 1,
	    (struct vring_desc){.addr = VQ_DATA, .len = 1, .flags = NEXT, .next = 2});
	vqueue_desc(&t, 0, VQ_PAGES * VQ_PAGE - 32, 48, INDIRECT, 0);
	(void)vqueue_show(&t, 0);
	expect_fault(&t, VIRTQUEUE_FAULT_ADDRESS);
}

/* ---- giving back ---- */

static void what_was_put_is_seen_by_the_driver_when_it_is_published(void **state)
{
	struct vqueue t;

	(void)state;
	vqueue_start(&t, VQ_NUM, true);
	for (uint16_t i = 0; i < 3; i++)
		show_simple(&t, i);
	for (uint16_t i = 0; i < 3; i++)
		assert_int_equal(vqueue_take(&t, false), 1);
	virtqueue_put(&t.vq, &t.m, 2, 0);
	virtqueue_put(&t.vq, &t.m, 0, 77);
	vqueue_expect_none_used(&t);
	virtqueue_publish(&t.vq, &t.m);
	vqueue_expect_used(&t, 2, 0);
	vqueue_expect_used(&t, 0, 77);
	vqueue_expect_none_used(&t);
	vqueue_end(&t);
}

static void indexes_wrap_around(void **state)
{
	struct vqueue t;

	(void)state;
	for (int with = 0; with < 2; with++) {
		vqueue_start(&t, VQ_NUM, with == 1);
		for (uint32_t n = 0; n < 70000; n++) {
			uint16_t i = (uint16_t)(n * 5 % VQ_NUM);

			assert_false(virtqueue_arm(&t.vq, &t.m));
			vqueue_desc(&t, i, VQ_DATA, 64, 0, 0);
			assert_true(vqueue_show(&t, i));
			assert_false(ring_arm(&t.ring, 1));
			assert_int_equal(vqueue_take(&t, false), 1);
			assert_int_equal(t.chain.head, i);
			virtqueue_put(&t.vq, &t.m, i, n);
			virtqueue_publish(&t.vq, &t.m);
			assert_true(virtqueue_wants_call(&t.vq));
			vqueue_expect_used(&t, i, n);
		}
		vqueue_end(&t);
	}
}

static void the_used_ring_is_logged_where_the_front_end_says(void **state)
{
	struct vqueue t;

	(void)state;
	vqueue_start(&t, VQ_NUM, true);
	t.vq.addr.has_log = true;
	t.vq.addr.log_gpa = 5ULL * GUEST_MEMORY_PAGE;
	assert_int_equal(guest_map_file(t.fd, 50ULL * VQ_PAGE, VQ_PAGE, &t.m.log), 0);
	t.m.log_bits = t.m.log.at + 50L * VQ_PAGE;
	t.m.log_size = VQ_PAGE;
	show_simple(&t, 0);
	assert_int_equal(vqueue_take(&t, false), 1);
	virtqueue_put(&t.vq, &t.m, 0, 0);
	virtqueue_publish(&t.vq, &t.m);
	assert_int_equal(t.at[50 * VQ_PAGE], 0);
	t.m.is_logging = true;
	show_simple(&t, 0);
	assert_int_equal(vqueue_take(&t, false), 1);
	virtqueue_put(&t.vq, &t.m, 0, 0);
	virtqueue_publish(&t.vq, &t.m);
	assert_int_equal(t.at[50 * VQ_PAGE], 1 << 5);
	vqueue_end(&t);
}

/* What tells the driver when to notify lies in the used ring as well, in front of its entries and behind them. */
static void wishes_for_notifications_are_logged(void **state)
{
	struct vqueue t;

	(void)state;
	for (int has_event_idx = 0; has_event_idx < 2; has_event_idx++) {
		vqueue_start(&t, VQ_NUM, has_event_idx == 1);
		t.vq.addr.has_log = true;
		t.vq.addr.log_gpa = 5ULL * GUEST_MEMORY_PAGE;
		assert_int_equal(guest_map_file(t.fd, 50ULL * VQ_PAGE, VQ_PAGE, &t.m.log), 0);
		t.m.log_bits = t.m.log.at + 50L * VQ_PAGE;
		t.m.log_size = VQ_PAGE;
		t.m.is_logging = true;
		assert_false(virtqueue_arm(&t.vq, &t.m));
		assert_int_equal(t.at[50 * VQ_PAGE], 1 << 5);
		/* Taking turns it off again, which only a flag says. */
		t.at[50 * VQ_PAGE] = 0;
		show_simple(&t, 0);
		assert_int_equal(vqueue_take(&t, false), 1);
		assert_int_equal(t.at[50 * VQ_PAGE], has_event_idx == 1 ? 0 : 1 << 5);
		vqueue_end(&t);
	}
}

/* ---- notifications ---- */

static void a_driver_without_event_indexes_is_told_by_flags(void **state)
{
	struct vqueue t;

	(void)state;
	vqueue_start(&t, VQ_NUM, false);
	assert_false(virtqueue_arm(&t.vq, &t.m));
	vqueue_desc(&t, 0, VQ_DATA, 1, 0, 0);
	assert_true(vqueue_show(&t, 0));
	assert_true(vqueue_show(&t, 0)); /* nobody has looked yet */
	assert_int_equal(vqueue_take(&t, false), 1);
	assert_false(vqueue_show(&t, 0)); /* not while we look */
	ring_disarm(&t.ring);
	virtqueue_put(&t.vq, &t.m, 0, 0);
	virtqueue_publish(&t.vq, &t.m);
	assert_false(virtqueue_wants_call(&t.vq));
	assert_true(ring_arm(&t.ring, 1));
	virtqueue_put(&t.vq, &t.m, 0, 0);
	virtqueue_publish(&t.vq, &t.m);
	assert_true(virtqueue_wants_call(&t.vq));
	assert_false(virtqueue_wants_call(&t.vq)); /* nothing new */
	vqueue_end(&t);
}

static void a_driver_with_event_indexes_notifies_once(void **state)
{
	struct vqueue t;

	(void)state;
	vqueue_start(&t, VQ_NUM, true);
	vqueue_desc(&t, 0, VQ_DATA, 1, 0, 0);
	assert_false(virtqueue_arm(&t.vq, &t.m));
	assert_true(vqueue_show(&t, 0));
	assert_false(vqueue_show(&t, 0));
	assert_int_equal(vqueue_take(&t, false), 1);
	assert_false(vqueue_show(&t, 0));
	while (vqueue_take(&t, false) == 1)
		;
	assert_false(virtqueue_arm(&t.vq, &t.m));
	assert_true(vqueue_show(&t, 0));
	vqueue_end(&t);
}

static void a_driver_that_was_faster_than_the_question_is_seen(void **state)
{
	struct vqueue t;

	(void)state;
	for (int with = 0; with < 2; with++) {
		vqueue_start(&t, VQ_NUM, with == 1);
		assert_int_equal(vqueue_take(&t, false), 0);
		vqueue_desc(&t, 0, VQ_DATA, 1, 0, 0);
		(void)vqueue_show(&t, 0);
		assert_true(virtqueue_arm(&t.vq, &t.m));
		assert_int_equal(vqueue_take(&t, false), 1);
		vqueue_end(&t);
	}
}

static void a_driver_is_called_when_it_has_asked_for_that_entry(void **state)
{
	struct vqueue t;

	(void)state;
	vqueue_start(&t, VQ_NUM, true);
	for (uint16_t i = 0; i < 8; i++)
		show_simple(&t, i);
	for (uint16_t i = 0; i < 8; i++)
		assert_int_equal(vqueue_take(&t, false), 1);
	assert_false(ring_arm(&t.ring, 4));
	for (uint16_t i = 0; i < 8; i++) {
		virtqueue_put(&t.vq, &t.m, i, 0);
		virtqueue_publish(&t.vq, &t.m);
		assert_int_equal(virtqueue_wants_call(&t.vq), i == 3);
	}
	vqueue_end(&t);
}

/* ---- the rest ---- */

static void chains_that_are_left_come_again(void **state)
{
	struct vqueue t;

	(void)state;
	vqueue_start(&t, VQ_NUM, true);
	for (uint16_t i = 0; i < 5; i++) {
		vqueue_desc(&t, i, VQ_DATA, 1, WRITE, 0);
		(void)vqueue_show(&t, i);
	}
	for (uint16_t i = 0; i < 5; i++)
		assert_int_equal(vqueue_take(&t, true), 1);
	assert_false(virtqueue_arm(&t.vq, &t.m));
	virtqueue_untake(&t.vq, 3, 0);
	for (uint16_t i = 2; i < 5; i++) {
		assert_int_equal(vqueue_take(&t, true), 1);
		assert_int_equal(t.chain.head, i);
	}
	/* And then one asks anew: the driver does not notify of what it has shown before. */
	assert_false(virtqueue_arm(&t.vq, &t.m));
	vqueue_desc(&t, 5, VQ_DATA, 1, WRITE, 0);
	assert_true(vqueue_show(&t, 5));
	vqueue_end(&t);
}

static void chains_of_a_predecessor_come_first(void **state)
{
	uint16_t *heads = malloc(2 * sizeof(*heads));
	struct vqueue t;

	(void)state;
	vqueue_start(&t, VQ_NUM, true);
	heads[0] = 9;
	heads[1] = 4;
	for (uint16_t i = 0; i < 16; i++)
		vqueue_desc(&t, i, VQ_DATA, 1, WRITE, 0);
	virtqueue_replay(&t.vq, heads, 2);
	(void)vqueue_show(&t, 1);
	assert_int_equal(vqueue_take(&t, true), 1);
	assert_int_equal(t.chain.head, 9);
	assert_true(t.chain.is_replay);
	assert_int_equal(vqueue_take(&t, true), 1);
	assert_int_equal(t.chain.head, 4);
	assert_int_equal(vqueue_take(&t, true), 1);
	assert_int_equal(t.chain.head, 1);
	assert_false(t.chain.is_replay);
	virtqueue_untake(&t.vq, 1, 1);
	assert_int_equal(vqueue_take(&t, true), 1);
	assert_int_equal(t.chain.head, 4);
	assert_int_equal(vqueue_take(&t, true), 1);
	assert_int_equal(t.chain.head, 1);
	assert_int_equal(vqueue_take(&t, true), 0);
	vqueue_end(&t);
}

static void rings_that_are_not_whole_in_memory_or_not_aligned_are_not_used(void **state)
{
	static const uint64_t wrong[] = {0, VQ_UVA - 16, VQ_UVA + VQ_PAGES * VQ_PAGE - 16,
	    VQ_UVA + VQ_SPLIT - 16, UINT64_MAX - 8, VQ_UVA + VQ_PAGE + 1};
	struct virtqueue_addr right;
	struct vqueue t;

	(void)state;
	vqueue_start(&t, VQ_NUM, true);
	right = t.vq.addr;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		t.vq.addr.desc_uva = wrong[i];
		assert_false(virtqueue_resolve(&t.vq, &t.m));
		t.vq.addr = right;
		t.vq.addr.avail_uva = wrong[i];
		assert_false(virtqueue_resolve(&t.vq, &t.m));
		t.vq.addr = right;
		t.vq.addr.used_uva = wrong[i];
		assert_false(virtqueue_resolve(&t.vq, &t.m));
		t.vq.addr = right;
	}
	t.vq.addr.desc_uva = VQ_UVA + 8;
	assert_false(virtqueue_resolve(&t.vq, &t.m));
	t.vq.addr = right;
	t.vq.addr.used_uva += 2;
	assert_false(virtqueue_resolve(&t.vq, &t.m));
	t.vq.addr = right;
	assert_true(virtqueue_resolve(&t.vq, &t.m));
	vqueue_end(&t);
}

static void a_size_that_is_no_power_of_two_is_none(void **state)
{
	static const uint32_t wrong[] = {0, 3, 6, 65536, 0x80000000, UINT32_MAX};
	struct vqueue t;

	(void)state;
	vqueue_start(&t, VQ_NUM, true);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		t.vq.num = wrong[i];
		assert_false(virtqueue_resolve(&t.vq, &t.m));
	}
	t.vq.num = 1;
	assert_true(virtqueue_resolve(&t.vq, &t.m));
	vqueue_end(&t);
}

static void rings_may_begin_at_any_index(void **state)
{
	struct vqueue t;

	(void)state;
	vqueue_start(&t, VQ_NUM, true);
	t.ring.avail_idx = 65530;
	t.ring.last_used = 65530;
	t.ring.used->idx = 65530;
	t.vq.next_avail = 65530;
	(void)ring_publish(&t.ring);
	virtqueue_start(&t.vq);
	assert_int_equal(vqueue_take(&t, false), 0);
	for (uint16_t i = 0; i < VQ_NUM; i++)
		show_simple(&t, i);
	for (uint16_t i = 0; i < VQ_NUM; i++) {
		assert_int_equal(vqueue_take(&t, false), 1);
		virtqueue_put(&t.vq, &t.m, i, 0);
	}
	virtqueue_publish(&t.vq, &t.m);
	for (uint16_t i = 0; i < VQ_NUM; i++)
		vqueue_expect_used(&t, i, 0);
	vqueue_end(&t);
}

static void every_fault_has_a_text(void **state)
{
	(void)state;
	for (int i = VIRTQUEUE_FAULT_AVAIL; i <= VIRTQUEUE_FAULT_PIECES; i++) {
		assert_true(strlen(virtqueue_fault_text((enum virtqueue_fault)i)) > 10);
		for (int k = VIRTQUEUE_FAULT_NONE; k < i; k++)
			assert_string_not_equal(virtqueue_fault_text((enum virtqueue_fault)i),
			    virtqueue_fault_text((enum virtqueue_fault)k));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(chains_are_taken_in_the_order_in_which_they_were_made_available),
	    cmocka_unit_test(a_chain_has_all_of_its_descriptors),
	    cmocka_unit_test(a_chain_may_use_the_whole_table),
	    cmocka_unit_test(a_buffer_over_two_regions_is_two_pieces),
	    cmocka_unit_test(more_available_than_the_queue_holds_breaks_it),
	    cmocka_unit_test(a_head_beyond_the_table_breaks_the_queue),
	    cmocka_unit_test(a_chain_without_end_breaks_the_queue),
	    cmocka_unit_test(an_address_outside_of_memory_breaks_the_queue),
	    cmocka_unit_test(a_buffer_of_the_other_direction_breaks_the_queue),
	    cmocka_unit_test(a_chain_without_a_byte_or_with_too_many_pieces_breaks_the_queue),
	    cmocka_unit_test(lengths_that_add_up_beyond_32_bits_break_the_queue),
	    cmocka_unit_test(an_indirect_table_is_read_wherever_it_lies),
	    cmocka_unit_test(descriptors_may_come_before_an_indirect_table),
	    cmocka_unit_test(an_indirect_table_that_is_not_as_it_must_be_breaks_the_queue),
	    cmocka_unit_test(indexes_in_an_indirect_table_stay_in_it),
	    cmocka_unit_test(what_was_put_is_seen_by_the_driver_when_it_is_published),
	    cmocka_unit_test(indexes_wrap_around),
	    cmocka_unit_test(the_used_ring_is_logged_where_the_front_end_says),
	    cmocka_unit_test(wishes_for_notifications_are_logged),
	    cmocka_unit_test(a_driver_without_event_indexes_is_told_by_flags),
	    cmocka_unit_test(a_driver_with_event_indexes_notifies_once),
	    cmocka_unit_test(a_driver_that_was_faster_than_the_question_is_seen),
	    cmocka_unit_test(a_driver_is_called_when_it_has_asked_for_that_entry),
	    cmocka_unit_test(chains_that_are_left_come_again),
	    cmocka_unit_test(chains_of_a_predecessor_come_first),
	    cmocka_unit_test(rings_that_are_not_whole_in_memory_or_not_aligned_are_not_used),
	    cmocka_unit_test(a_size_that_is_no_power_of_two_is_none),
	    cmocka_unit_test(rings_may_begin_at_any_index),
	    cmocka_unit_test(every_fault_has_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
