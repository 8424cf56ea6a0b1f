/* SPDX-License-Identifier: Apache-2.0 */
/* vhost-user messages: headers, payloads, replies. */
#include "unit.h"

#include <errno.h>
#include <stdio.h>

#include "wire/vhost_user.h"

enum {
	REGION = 32,
	VERSION = 1,
	REPLY = 4,
	NEED_REPLY = 8,
};

/* Native numbers, as the front end writes them. */
struct bytes {
	uint8_t at[VHOST_USER_PAYLOAD_MAX];
	uint32_t len;
};

static void add(struct bytes *b, const void *from, size_t len)
{
	assert_true(b->len + len <= sizeof(b->at));
	memcpy(b->at + b->len, from, len);
	b->len += (uint32_t)len;
}

static void add16(struct bytes *b, uint16_t v)
{
	add(b, &v, sizeof(v));
}

static void add32(struct bytes *b, uint32_t v)
{
	add(b, &v, sizeof(v));
}

static void add64(struct bytes *b, uint64_t v)
{
	add(b, &v, sizeof(v));
}

static int parse(
    uint32_t request, const uint8_t *payload, uint32_t len, struct vhost_user_msg *ret_msg)
{
	struct vhost_user_header h = {.request = request, .payload_len = len};
	uint8_t *exact = exact_copy(payload, len);
	int err = vhost_user_parse(&h, exact, ret_msg);

	free(exact);
	return err;
}

static int parse_header(uint32_t request, uint32_t flags, uint32_t len, struct vhost_user_header *h)
{
	const uint32_t words[3] = {request, flags, len};
	uint8_t *exact = exact_copy(words, sizeof(words));
	int err = vhost_user_parse_header(exact, h);

	free(exact);
	return err;
}

static void a_header_tells_request_length_and_whether_an_answer_is_wanted(void **state)
{
	struct vhost_user_header h;

	(void)state;
	assert_int_equal(parse_header(5, VERSION | NEED_REPLY, 40, &h), 0);
	assert_int_equal(h.request, 5);
	assert_int_equal(h.payload_len, 40);
	assert_true(h.wants_ack);
	assert_int_equal(parse_header(0xffffffff, VERSION, VHOST_USER_PAYLOAD_MAX, &h), 0);
	assert_int_equal(h.request, 0xffffffff);
	assert_false(h.wants_ack);
}

static void a_header_of_another_version_a_reply_and_an_endless_payload_are_refused(void **state)
{
	struct vhost_user_header h;

	(void)state;
	for (uint32_t flags = 0; flags < 16; flags++) {
		bool is_right = (flags & 3) == VERSION && (flags & REPLY) == 0;

		assert_int_equal(parse_header(1, flags, 0, &h), is_right ? 0 : -EPROTO);
	}
	assert_int_equal(parse_header(1, VERSION, VHOST_USER_PAYLOAD_MAX + 1, &h), -EPROTO);
	assert_int_equal(parse_header(1, VERSION, UINT32_MAX, &h), -EPROTO);
}

/* A right payload of each request. */
static void make_payload(uint32_t request, struct bytes *b)
{
	*b = (struct bytes){.len = 0};
	switch (request) {
	case VHOST_USER_SET_FEATURES:
	case VHOST_USER_SET_PROTOCOL_FEATURES:
	case VHOST_USER_SEND_RARP:
	case VHOST_USER_NET_SET_MTU:
	case VHOST_USER_SET_STATUS:
		add64(b, 0x123456789abcdef0);
		break;
	case VHOST_USER_SET_MEM_TABLE:
		add32(b, 2);
		add32(b, 0);
		for (uint64_t i = 1; i <= 2; i++) {
			add64(b, i << 32);
			add64(b, 0x1000 * i);
			add64(b, i << 40);
			add64(b, 0x2000 * i);
		}
		break;
	case VHOST_USER_SET_LOG_BASE:
		add64(b, 0x3000);
		add64(b, 0x1000);
		break;
	case VHOST_USER_SET_VRING_NUM:
	case VHOST_USER_SET_VRING_BASE:
	case VHOST_USER_GET_VRING_BASE:
	case VHOST_USER_SET_VRING_ENABLE:
		add32(b, 3);
		add32(b, 256);
		break;
	case VHOST_USER_SET_VRING_ADDR:
		add32(b, 3);
		add32(b, 1);
		for (uint64_t i = 1; i <= 4; i++)
			add64(b, i << 16);
		break;
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
		add64(b, 7);
		break;
	case VHOST_USER_GET_INFLIGHT_FD:
	case VHOST_USER_SET_INFLIGHT_FD:
		add64(b, 0x4000);
		add64(b, 0x40);
		add16(b, 4);
		add16(b, 1024);
		break;
	case VHOST_USER_ADD_MEM_REG:
	case VHOST_USER_REM_MEM_REG:
		add64(b, 0);
		for (uint64_t i = 1; i <= 4; i++)
			add64(b, i << 20);
		break;
	default:
		break;
	}
}

static bool is_known(uint32_t request)
{
	static const uint64_t known = 0x1f5801ffffe;

	return request < 64 && (known >> request & 1) != 0;
}

static void each_request_is_read_and_no_other_is_known(void **state)
{
	(void)state;
	for (uint32_t request = 0; request < 300; request++) {
		struct vhost_user_msg m = {.request = 0};
		struct bytes b;

		make_payload(request, &b);
		if (!is_known(request)) {
			assert_int_equal(parse(request, b.at, b.len, &m), -ENOSYS);
			continue;
		}
		assert_int_equal(parse(request, b.at, b.len, &m), 0);
		assert_int_equal(m.request, request);
		assert_int_equal(m.payload_len, b.len);
	}
}

static void a_payload_of_another_length_is_refused(void **state)
{
	(void)state;
	for (uint32_t request = 0; request < 64; request++) {
		struct vhost_user_msg m;
		struct bytes b;

		/* Whether the descriptor of a log comes with a number nobody agrees on. */
		if (!is_known(request) || request == VHOST_USER_SET_LOG_FD)
			continue;
		make_payload(request, &b);
		for (uint32_t len = 0; len < b.len; len++)
			assert_int_equal(parse(request, b.at, len, &m), -EBADMSG);
		b.at[b.len] = 0;
		assert_int_equal(parse(request, b.at, b.len + 1, &m), -EBADMSG);
	}
}

static void values_are_where_they_belong(void **state)
{
	struct vhost_user_msg m;
	struct bytes b;

	(void)state;
	make_payload(VHOST_USER_SET_FEATURES, &b);
	assert_int_equal(parse(VHOST_USER_SET_FEATURES, b.at, b.len, &m), 0);
	assert_int_equal(m.value, 0x123456789abcdef0);
	assert_int_equal(m.fd_count, 0);

	make_payload(VHOST_USER_SET_VRING_NUM, &b);
	assert_int_equal(parse(VHOST_USER_SET_VRING_NUM, b.at, b.len, &m), 0);
	assert_int_equal(m.vring.index, 3);
	assert_int_equal(m.vring.num, 256);

	make_payload(VHOST_USER_SET_VRING_ADDR, &b);
	assert_int_equal(parse(VHOST_USER_SET_VRING_ADDR, b.at, b.len, &m), 0);
	assert_int_equal(m.addr.index, 3);
	assert_true(m.addr.has_log);
	assert_int_equal(m.addr.desc_uva, 1 << 16);
	assert_int_equal(m.addr.used_uva, 2 << 16);
	assert_int_equal(m.addr.avail_uva, 3 << 16);
	assert_int_equal(m.addr.log_gpa, 4 << 16);

	make_payload(VHOST_USER_SET_LOG_BASE, &b);
	assert_int_equal(parse(VHOST_USER_SET_LOG_BASE, b.at, b.len, &m), 0);
	assert_int_equal(m.log.size, 0x3000);
	assert_int_equal(m.log.offset, 0x1000);
	assert_int_equal(m.fd_count, 1);
}

static void regions_are_read_in_order_each_with_a_descriptor(void **state)
{
	struct vhost_user_msg m;
	struct bytes b;

	(void)state;
	make_payload(VHOST_USER_SET_MEM_TABLE, &b);
	assert_int_equal(parse(VHOST_USER_SET_MEM_TABLE, b.at, b.len, &m), 0);
	assert_int_equal(m.table.count, 2);
	assert_int_equal(m.fd_count, 2);
	assert_int_equal(m.table.regions[1].gpa, 2ULL << 32);
	assert_int_equal(m.table.regions[1].size, 0x2000);
	assert_int_equal(m.table.regions[1].uva, 2ULL << 40);
	assert_int_equal(m.table.regions[1].mmap_offset, 0x4000);
	make_payload(VHOST_USER_ADD_MEM_REG, &b);
	assert_int_equal(parse(VHOST_USER_ADD_MEM_REG, b.at, b.len, &m), 0);
	assert_int_equal(m.region.mmap_offset, 4 << 20);
	assert_int_equal(m.fd_count, 1);
	assert_int_equal(parse(VHOST_USER_REM_MEM_REG, b.at, b.len, &m), 0);
	assert_int_equal(m.fd_count, 0);
}

static void a_table_of_more_regions_than_there_may_be_is_refused(void **state)
{
	struct vhost_user_msg m;

	(void)state;
	for (uint32_t count = 0; count <= VHOST_USER_TABLE_MAX + 1; count++) {
		struct bytes b = {.len = 0};
		bool is_right = count <= VHOST_USER_TABLE_MAX;

		add32(&b, count);
		add32(&b, 0);
		for (uint32_t i = 0; i < count; i++)
			for (uint32_t k = 0; k < 4; k++)
				add64(&b, 4096);
		assert_int_equal(
		    parse(VHOST_USER_SET_MEM_TABLE, b.at, b.len, &m), is_right ? 0 : -EBADMSG);
		/* More are announced than come, up to where the product would wrap. */
		for (uint32_t bit = 0; bit < 32; bit++) {
			uint32_t wrong = count ^ 1U << bit;

			memcpy(b.at, &wrong, sizeof(wrong));
			assert_int_equal(
			    parse(VHOST_USER_SET_MEM_TABLE, b.at, b.len, &m), -EBADMSG);
		}
	}
}

static void an_empty_region_and_one_that_wraps_around_are_refused(void **state)
{
	static const uint64_t cases[][4] = {
	    {0, 0, 0, 0},
	    {UINT64_MAX, 1, 0, 0},
	    {UINT64_MAX - 4095, 4096, 0, 0},
	    {0, 4096, UINT64_MAX - 4095, 0},
	    {0, 4096, 0, UINT64_MAX},
	    {0, UINT64_MAX, 1, 0},
	};
	struct vhost_user_msg m;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bytes b = {.len = 0};

		add64(&b, 0);
		add(&b, cases[i], sizeof(cases[i]));
		assert_int_equal(parse(VHOST_USER_ADD_MEM_REG, b.at, b.len, &m), -EBADMSG);
	}
}

static void a_log_without_length_or_that_wraps_around_is_refused(void **state)
{
	static const uint64_t cases[][2] = {{0, 0}, {0, 4096}, {UINT64_MAX, 1}, {1, UINT64_MAX}};
	struct vhost_user_msg m;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
		    parse(VHOST_USER_SET_LOG_BASE, (const uint8_t *)cases[i], sizeof(cases[i]), &m),
		    -EBADMSG);
}

static void the_index_of_a_queue_comes_with_whether_it_has_a_descriptor(void **state)
{
	struct vhost_user_msg m;
	uint64_t value = 0x105;

	(void)state;
	assert_int_equal(
	    parse(VHOST_USER_SET_VRING_CALL, (const uint8_t *)&value, sizeof(value), &m), 0);
	assert_int_equal(m.vring_fd.index, 5);
	assert_int_equal(m.fd_count, 0);
	value = 0xff;
	assert_int_equal(
	    parse(VHOST_USER_SET_VRING_CALL, (const uint8_t *)&value, sizeof(value), &m), 0);
	assert_int_equal(m.vring_fd.index, 255);
	assert_int_equal(m.fd_count, 1);
}

static void an_inflight_region_is_read_with_its_padding_and_without(void **state)
{
	struct vhost_user_msg m;
	struct bytes b;

	(void)state;
	make_payload(VHOST_USER_SET_INFLIGHT_FD, &b);
	assert_int_equal(b.len, 20);
	assert_int_equal(parse(VHOST_USER_SET_INFLIGHT_FD, b.at, b.len, &m), 0);
	assert_int_equal(m.inflight.mmap_size, 0x4000);
	assert_int_equal(m.inflight.mmap_offset, 0x40);
	assert_int_equal(m.inflight.queue_count, 4);
	assert_int_equal(m.inflight.queue_num, 1024);
	assert_int_equal(m.fd_count, 1);
	add32(&b, 0);
	assert_int_equal(parse(VHOST_USER_GET_INFLIGHT_FD, b.at, b.len, &m), 0);
	assert_int_equal(m.fd_count, 0);
	for (uint32_t len = 21; len < 24; len++)
		assert_int_equal(parse(VHOST_USER_GET_INFLIGHT_FD, b.at, len, &m), -EBADMSG);
}

static void replies_have_header_and_payload(void **state)
{
	const struct vhost_user_inflight inflight = {
	    .mmap_size = 0x10000, .mmap_offset = 64, .queue_count = 2, .queue_num = 256};
	uint8_t out[VHOST_USER_REPLY_MAX];
	struct bytes b = {.len = 0};

	(void)state;
	add32(&b, VHOST_USER_GET_FEATURES);
	add32(&b, VERSION | REPLY);
	add32(&b, 8);
	add64(&b, 0xfedcba9876543210);
	assert_int_equal(
	    vhost_user_build_u64(VHOST_USER_GET_FEATURES, 0xfedcba9876543210, out), b.len);
	assert_memory_equal(out, b.at, b.len);

	b.len = 0;
	add32(&b, VHOST_USER_GET_VRING_BASE);
	add32(&b, VERSION | REPLY);
	add32(&b, 8);
	add32(&b, 1);
	add32(&b, 77);
	assert_int_equal(vhost_user_build_vring(VHOST_USER_GET_VRING_BASE, 1, 77, out), b.len);
	assert_memory_equal(out, b.at, b.len);

	b.len = 0;
	add32(&b, VHOST_USER_GET_INFLIGHT_FD);
	add32(&b, VERSION | REPLY);
	add32(&b, 24);
	add64(&b, 0x10000);
	add64(&b, 64);
	add16(&b, 2);
	add16(&b, 256);
	add32(&b, 0);
	assert_int_equal(
	    vhost_user_build_inflight(VHOST_USER_GET_INFLIGHT_FD, &inflight, 24, out), b.len);
	assert_memory_equal(out, b.at, b.len);
	assert_int_equal(
	    vhost_user_build_inflight(VHOST_USER_GET_INFLIGHT_FD, &inflight, 20, out), b.len - 4);
	assert_int_equal(out[8], 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_header_tells_request_length_and_whether_an_answer_is_wanted),
	    cmocka_unit_test(
		a_header_of_another_version_a_reply_and_an_endless_payload_are_refused),
	    cmocka_unit_test(each_request_is_read_and_no_other_is_known),
	    cmocka_unit_test(a_payload_of_another_length_is_refused),
	    cmocka_unit_test(values_are_where_they_belong),
	    cmocka_unit_test(regions_are_read_in_order_each_with_a_descriptor),
	    cmocka_unit_test(a_table_of_more_regions_than_there_may_be_is_refused),
	    cmocka_unit_test(an_empty_region_and_one_that_wraps_around_are_refused),
	    cmocka_unit_test(a_log_without_length_or_that_wraps_around_is_refused),
	    cmocka_unit_test(the_index_of_a_queue_comes_with_whether_it_has_a_descriptor),
	    cmocka_unit_test(an_inflight_region_is_read_with_its_padding_and_without),
	    cmocka_unit_test(replies_have_header_and_payload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
