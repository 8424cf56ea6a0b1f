/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of libkrun's NetBackend on a ring, kept by examples/net_backend.c: driven as that device does it, with
 * edge-triggered epoll for both directions. Rows 1.1.6 to 1.1.8 of reference.md are what goes wrong elsewhere.
 */
#include "unit.h"

#include <sys/epoll.h>
#include <unistd.h>

#include "frames.h"
#include "net_backend.h"

enum {
	PINGS = 3000,
	LEN = 98,
	QUEUE = 64,
};

struct device {
	struct sluice_engine *engine;
	struct net_backend backend;
	int epoll;
	uint8_t buf[SLUICE_FRAME_MAX];
};

static struct device device_new(uint32_t flags)
{
	static const struct sluice_option options[] = {{"ipv4", "100.96.0.2"}, {"net", "host"}};
	struct sluice_config c = SLUICE_CONFIG_INIT;
	struct device d = {.epoll = epoll_create1(EPOLL_CLOEXEC)};
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
	struct sluice_error error;

	c.options = options;
	c.option_count = 2;
	c.flags = flags;
	c.tx_frames = QUEUE;
	c.rx_frames = QUEUE;
	if (sluice_engine_new(&c, &d.engine, &error) != 0)
		fail_msg("%s", error.text);
	d.backend.ring = sluice_engine_ring(d.engine);
	assert_int_equal(epoll_ctl(d.epoll, EPOLL_CTL_ADD, net_raw_socket_fd(&d.backend), &ev), 0);
	assert_int_equal(epoll_wait(d.epoll, &ev, 1, 0), 1); /* it is writable */
	return d;
}

static void device_free(struct device *d)
{
	sluice_engine_free(d->engine);
	(void)close(d->epoll);
}

static void device_wait(struct device *d)
{
	struct epoll_event ev;

	net_flush(&d->backend);
	assert_int_equal(epoll_wait(d->epoll, &ev, 1, -1), 1);
	assert_int_equal(ev.events, EPOLLIN | EPOLLOUT);
}

/* A ping of the gateway, behind a header of hdr_len bytes. */
static size_t ping(uint8_t *out, size_t hdr_len, uint16_t number)
{
	uint8_t *f = out + hdr_len;

	memset(out, 0, hdr_len + LEN);
	(void)mk_ip4(f, MK_GUEST4, MK_GATEWAY4, 1, LEN - MK_IP4_L4, number, 0);
	(void)hex_put(f + MK_IP4_L4, "0800 0000 1234 0000");
	mk16(f + MK_IP4_L4 + 6, number);
	mk16(f + MK_IP4_L4 + 2, mk_l4_sum(f, MK_IP4_L4, LEN - MK_IP4_L4, 1));
	return hdr_len + LEN;
}

/* The gateway asks for the guest's MAC address first. */
static void answer_arp(struct device *d, const uint8_t *request)
{
	uint8_t reply[12 + 60] = {0};

	if (mk_get16(request + 12 + 12) != 0x0806)
		return;
	(void)hex_put(reply + 12, MK_GATEWAY_MAC MK_GUEST_MAC
	    "0806 0001 0800 06 04 0002" MK_GUEST_MAC MK_GUEST4 MK_GATEWAY_MAC MK_GATEWAY4);
	assert_int_equal(net_write_frame(&d->backend, 12, reply, sizeof(reply)), 0);
}

/* More frames than the queues hold, both ways at once: the device never sleeps for ever. A ping that finds no room
 * for its answer is not answered; what comes is in order. */
static void a_full_queue_goes_on(void **state)
{
	struct device d = device_new(SLUICE_OWN_THREAD);
	struct sluice_ring_counters counters = {.size = sizeof(counters)};
	uint8_t frame[12 + LEN];
	uint32_t written = 0;
	uint32_t last = 0; /* number of the newest answer */

	(void)state;
	assert_int_equal(sluice_ring_attach(d.backend.ring, 0), 0);
	while (last < PINGS) {
		int result = 0;
		long len;

		while (result == 0 && written < 2 * PINGS) {
			(void)ping(frame, 12, (uint16_t)(written + 1));
			result = net_write_frame(&d.backend, 12, frame, sizeof(frame));
			written += result == 0;
		}
		assert_true(result == 0 || result == NET_NOTHING_WRITTEN);
		assert_false(net_has_unfinished_write(&d.backend));
		while ((len = net_read_frame(&d.backend, d.buf, sizeof(d.buf))) > 0) {
			answer_arp(&d, d.buf);
			if (mk_get16(d.buf + 12 + 12) != 0x0800)
				continue;
			assert_int_equal(len, 12 + LEN);
			assert_true(mk_get16(d.buf + 12 + MK_IP4_L4 + 6) > last);
			last = (uint32_t)mk_get16(d.buf + 12 + MK_IP4_L4 + 6);
		}
		assert_int_equal(len, NET_NOTHING_READ);
		if (last < PINGS)
			device_wait(&d);
	}
	assert_int_equal(sluice_ring_counters(d.backend.ring, &counters), 0);
	assert_true(counters.tx_refused > 0);
	device_free(&d);
}

static void headers_of_each_length_are_understood(void **state)
{
	static const size_t lengths[] = {0, 10, 12};
	struct device d = device_new(SLUICE_OWN_THREAD);
	uint8_t frame[13 + LEN];

	(void)state;
	assert_int_equal(net_write_frame(&d.backend, 12, frame, 12 + LEN), NET_NOT_RUNNING);
	assert_int_equal(sluice_ring_attach(d.backend.ring, 0), 0);
	for (uint16_t i = 0; i < 3; i++) {
		size_t len = ping(frame, lengths[i], i);
		long got;

		assert_int_equal(net_write_frame(&d.backend, lengths[i], frame, len), 0);
		do {
			while ((got = net_read_frame(&d.backend, d.buf, sizeof(d.buf))) < 0)
				device_wait(&d);
			answer_arp(&d, d.buf);
		} while (mk_get16(d.buf + 12 + 12) != 0x0800);
		assert_int_equal(mk_get16(d.buf + 12 + MK_IP4_L4 + 6), i);
	}
	assert_int_equal(net_write_frame(&d.backend, 13, frame, 13 + LEN), NET_INTERNAL);
	assert_int_equal(net_write_frame(&d.backend, 12, frame, 11), NET_INTERNAL);
	/* What the guest has got wrong ends nothing. */
	assert_int_equal(net_write_frame(&d.backend, 12, frame, 20), 0);
	assert_int_equal(d.backend.malformed, 1);
	device_free(&d);
}

/* 1.1.8. */
static void a_frame_longer_than_the_buffer_is_dropped_and_counted(void **state)
{
	struct device d = device_new(0);
	uint8_t frame[12 + 60] = {0};

	(void)state;
	assert_int_equal(sluice_ring_attach(d.backend.ring, 0), 0);
	(void)hex_put(frame + 12,
	    "ffffffffffff" MK_GUEST_MAC "0806 0001 0800 06 04 0001" MK_GUEST_MAC MK_GUEST4
	    "000000000000" MK_GATEWAY4);
	assert_int_equal(net_write_frame(&d.backend, 12, frame, sizeof(frame)), 0);
	assert_int_equal(sluice_engine_turn(d.engine), 0);
	assert_int_equal(net_read_frame(&d.backend, d.buf, 71), NET_NOTHING_READ);
	assert_int_equal(d.backend.too_long, 1);
	assert_int_equal(net_write_frame(&d.backend, 12, frame, sizeof(frame)), 0);
	assert_int_equal(sluice_engine_turn(d.engine), 0);
	assert_int_equal(net_read_frame(&d.backend, d.buf, 72), 72);
	assert_int_equal(net_try_finish_write(&d.backend, 12, frame), 0);
	device_free(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_full_queue_goes_on),
	    cmocka_unit_test(headers_of_each_length_are_understood),
	    cmocka_unit_test(a_frame_longer_than_the_buffer_is_dropped_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
