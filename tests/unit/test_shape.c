/* SPDX-License-Identifier: Apache-2.0 */
/* Rate limits of the guest's card: a shape in front of a device that is an array. */
#include "stack/shape.h"

#include <errno.h>
#include <stdio.h>

#include "base/list.h"
#include "base/wr.h"
#include "unit.h"

#define MS 1000000ULL

enum {
	FRAMES_MAX = 64,
};

/* Frames that the guest has sent, and what has become of them. */
struct device {
	struct nic nic;
	uint8_t *sent[FRAMES_MAX];
	uint32_t sent_len[FRAMES_MAX];
	struct iovec iov[FRAMES_MAX];
	uint16_t gso_size; /* of all of them */
	uint32_t count;
	uint32_t staged;   /* of them, so far */
	uint32_t released; /* likewise */
	uint32_t got;      /* frames to the guest */
	struct iovec body;
	uint8_t head[NIC_HEAD_MAX];
	uint8_t bytes[NIC_BODY_MAX];
};

static struct device *device_of(struct nic *nic)
{
	return container_of(nic, struct device, nic);
}

static int stage(struct nic *nic, struct frame *f)
{
	struct device *d = device_of(nic);
	struct iovec *iov = &d->iov[d->staged];

	if (d->staged == d->count)
		return 0;
	*iov = (struct iovec){.iov_base = d->sent[d->staged], .iov_len = d->sent_len[d->staged]};
	*f = (struct frame){
	    .head = iov->iov_base,
	    .head_len = (uint32_t)iov->iov_len,
	    .len = (uint32_t)iov->iov_len,
	    .iov = iov,
	    .iov_count = 1,
	    .vnet = {.flags = VNET_F_DATA_VALID}, /* no checksums here */
	};
	if (d->gso_size > 0)
		f->vnet = (struct vnet_hdr){.gso_type = VNET_GSO_TCP4, .gso_size = d->gso_size};
	d->staged++;
	return 1;
}

/* What was released is gone: whoever still looks at it is seen by a sanitizer. */
static void release(struct nic *nic, uint32_t count)
{
	struct device *d = device_of(nic);

	assert_true(count > 0 && d->released + count <= d->staged);
	for (; count > 0; count--) {
		free(d->sent[d->released]);
		d->sent[d->released++] = NULL;
	}
}

static int reserve(struct nic *nic, uint32_t head_len, uint32_t body_len, struct nic_slot *slot)
{
	struct device *d = device_of(nic);

	d->body = (struct iovec){.iov_base = d->bytes, .iov_len = body_len};
	*slot = (struct nic_slot){
	    .head = d->head, .body = &d->body, .body_count = 1, .head_len = head_len};
	return 0;
}

static void commit(
    struct nic *nic, struct nic_slot *slot, uint32_t body_len, const struct vnet_hdr *vnet)
{
	(void)vnet;
	device_of(nic)->got++;
	nic->counters.rx_frames++;
	nic->counters.rx_bytes += slot->head_len + body_len;
}

static void cancel(struct nic *nic, struct nic_slot *slot)
{
	(void)nic;
	(void)slot;
}

static void flush(struct nic *nic)
{
	(void)nic;
}

static const struct nic_ops device_ops = {
    .stage = stage,
    .release = release,
    .reserve = reserve,
    .commit = commit,
    .cancel = cancel,
    .flush = flush,
};

struct fixture {
	struct device device;
	struct shape shape;
};

static struct fixture *begin(const struct shape_config *cfg)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->device.nic = (struct nic){.ops = &device_ops,
	    .features = NIC_F_CSUM | NIC_F_TSO4 | NIC_F_TSO6 | NIC_F_USO,
	    .batch_max = 4};
	assert_true(shape_is_right(cfg));
	assert_int_equal(shape_init(&f->shape, cfg, &f->device.nic, 0), 0);
	return f;
}

static void end(struct fixture *f)
{
	for (uint32_t i = f->device.released; i < f->device.count; i++)
		free(f->device.sent[i]);
	shape_fini(&f->shape);
	free(f);
}

/* The guest sends a frame of len bytes, which are all its number. */
static void send(struct fixture *f, uint32_t len)
{
	struct device *d = &f->device;

	assert_true(d->count < FRAMES_MAX);
	d->sent[d->count] = malloc(len);
	assert_non_null(d->sent[d->count]);
	memset(d->sent[d->count], (int)d->count, len);
	d->sent_len[d->count++] = len;
}

/* A pass at this time: the numbers of the frames that pass, as text. */
static const char *pass(struct fixture *f, uint64_t now_ns)
{
	static char text[8 * FRAMES_MAX];
	struct nic *nic = &f->shape.nic;
	uint32_t held = 0;
	size_t len = 0;
	struct frame frame;
	int n;

	text[0] = '\0';
	(void)shape_begin(&f->shape, now_ns);
	while ((n = nic->ops->stage(nic, &frame)) != 0) {
		if (n == -ENOBUFS) {
			assert_true(held > 0);
			nic->ops->release(nic, held);
			held = 0;
			continue;
		}
		assert_int_equal(n, 1);
		for (uint32_t i = 0; i < frame.len; i++)
			assert_int_equal(frame.head[i], frame.head[0]);
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%u ", frame.head[0]);
		held++;
	}
	if (held > 0)
		nic->ops->release(nic, held);
	shape_end(&f->shape);
	return text;
}

static struct shape_config bytes(uint64_t size, uint64_t refill_ns, uint64_t burst)
{
	return (struct shape_config){
	    .bytes[SHAPE_EGRESS] = {.size = size, .refill_ns = refill_ns, .burst = burst}};
}

static void a_burst_is_spent_before_the_bucket_R1(void **state)
{
	struct shape_config cfg = bytes(1000, 1000 * MS, 500);
	struct fixture *f = begin(&cfg);

	(void)state;
	send(f, 1200);
	send(f, 100);
	send(f, 300);
	assert_string_equal(pass(f, 0), "0 1 ");
	assert_int_equal(shape_next_ns(&f->shape), 100 * MS); /* 200 are left */
	assert_string_equal(pass(f, 100 * MS - 1), "");
	assert_string_equal(pass(f, 100 * MS), "2 ");
	/* The burst does not come again. */
	send(f, 1000);
	send(f, 1);
	assert_string_equal(pass(f, 10000 * MS), "3 ");
	end(f);
}

static void frames_are_limited_likewise_R2(void **state)
{
	struct shape_config cfg = {.frames[SHAPE_EGRESS] = {.size = 2, .refill_ns = 1000 * MS}};
	struct fixture *f = begin(&cfg);

	(void)state;
	for (int i = 0; i < 4; i++)
		send(f, 60);
	assert_string_equal(pass(f, 0), "0 1 ");
	assert_int_equal(shape_next_ns(&f->shape), 500 * MS);
	assert_string_equal(pass(f, 500 * MS - 1), "");
	assert_string_equal(pass(f, 500 * MS), "2 ");
	assert_string_equal(pass(f, 1000 * MS), "3 ");
	end(f);
}

static void a_frame_above_the_bucket_passes_and_is_paid_afterwards_R3(void **state)
{
	struct shape_config cfg = bytes(1000, 1000 * MS, 0);
	struct fixture *f = begin(&cfg);

	(void)state;
	send(f, 1500);
	send(f, 1);
	send(f, 1500);
	send(f, 1500);
	assert_string_equal(pass(f, 0), "0 ");
	assert_int_equal(shape_next_ns(&f->shape), 501 * MS);
	assert_string_equal(pass(f, 501 * MS), "1 2 ");
	assert_string_equal(pass(f, 1501 * MS), "");
	assert_string_equal(pass(f, 2001 * MS), "3 ");
	end(f);
}

static void both_limits_must_pay_or_none_is_charged(void **state)
{
	struct shape_config cfg = bytes(1000, 1000 * MS, 0);
	struct fixture *f;

	(void)state;
	cfg.frames[SHAPE_EGRESS] = (struct limit_config){.size = 1, .refill_ns = 100 * MS};
	f = begin(&cfg);
	send(f, 600);
	send(f, 400);
	send(f, 100);
	assert_string_equal(pass(f, 0), "0 ");
	assert_string_equal(pass(f, 99 * MS), "");
	assert_string_equal(pass(f, 100 * MS), "1 ");
	assert_int_equal(shape_next_ns(&f->shape), 200 * MS); /* 100 bytes are there at 100 ms */
	end(f);
}

static void large_frames_count_as_their_segments(void **state)
{
	struct shape_config cfg = {.frames[SHAPE_EGRESS] = {.size = 10, .refill_ns = 1000 * MS}};
	struct fixture *f = begin(&cfg);

	(void)state;
	f->device.gso_size = 1000;
	send(f, 54 + 4000);
	send(f, 54 + 5001);
	send(f, 54 + 500);
	assert_string_equal(pass(f, 0), "0 1 ");
	assert_int_equal(shape_next_ns(&f->shape), 100 * MS);
	end(f);
}

/* Ethernet, IPv4, TCP: a segment with these flags and len bytes. */
static void send_segment(struct fixture *f, uint8_t flags, uint32_t len)
{
	struct device *d = &f->device;
	uint8_t *at;

	send(f, 54 + len);
	at = d->sent[d->count - 1];
	memset(at, 0, 54 + len);
	put_be16(at + 12, ETHERTYPE_IP4);
	at[14] = 0x45;
	put_be16(at + 16, (uint16_t)(40 + len));
	at[22] = 64;
	at[23] = PROTO_TCP;
	put_be32(at + 26, 0x64600002);
	put_be32(at + 30, 0x2d435901);
	put_be16(at + 24, 0);
	{
		uint32_t sum = 0;

		for (int i = 14; i < 34; i += 2)
			sum += (uint32_t)at[i] << 8 | at[i + 1];
		sum = (sum & 0xffff) + (sum >> 16);
		put_be16(at + 24, (uint16_t)~sum);
	}
	put_be16(at + 34, 1000);
	put_be16(at + 36, 80);
	at[46] = 0x50;
	at[47] = flags;
	d->gso_size = 0;
}

/* How many frames pass at this time. */
static int passing(struct fixture *f, uint64_t now_ns)
{
	struct nic *nic = &f->shape.nic;
	struct frame frame;
	int count = 0;

	(void)shape_begin(&f->shape, now_ns);
	while (nic->ops->stage(nic, &frame) == 1) {
		count++;
		nic->ops->release(nic, 1);
	}
	shape_end(&f->shape);
	return count;
}

static void what_only_acknowledges_is_free(void **state)
{
	struct shape_config cfg = {.frames[SHAPE_EGRESS] = {.size = 1, .refill_ns = 1000 * MS}};
	struct fixture *f = begin(&cfg);

	(void)state;
	send_segment(f, TCP_SYN, 0);
	send_segment(f, TCP_ACK, 0);
	send_segment(f, TCP_ACK, 0);
	send_segment(f, TCP_ACK | TCP_FIN, 0);
	assert_int_equal(passing(f, 0), 3);
	assert_int_equal(passing(f, 1000 * MS), 1);
	send_segment(f, TCP_ACK, 1);
	assert_int_equal(passing(f, 1000 * MS), 0);
	end(f);
}

static void nothing_is_lost_and_order_holds_R5(void **state)
{
	struct shape_config cfg = bytes(1500, 10 * MS, 0);
	struct fixture *f = begin(&cfg);
	uint32_t next = 0;

	(void)state;
	for (uint32_t i = 0; i < FRAMES_MAX; i++)
		send(f, 60 + i * 29);
	for (uint64_t now = 0; next < FRAMES_MAX; now = shape_next_ns(&f->shape)) {
		const char *text = pass(f, now);

		assert_int_equal(f->device.nic.is_held, shape_is_holding(&f->shape));
		for (char *at; *text != '\0'; text = at + 1)
			assert_int_equal(strtoul(text, &at, 10), next++);
		assert_true(next == FRAMES_MAX || shape_next_ns(&f->shape) > now);
		/* The device has back what is held here: it may lose its link. */
		assert_int_equal(f->device.released, f->device.staged);
	}
	assert_int_equal(f->device.released, FRAMES_MAX);
	assert_false(shape_is_holding(&f->shape));
	end(f);
}

static int give(struct fixture *f, uint32_t body_len)
{
	struct nic *nic = &f->shape.nic;
	struct nic_slot slot;
	int err = nic->ops->reserve(nic, 54, body_len, &slot);

	if (!err)
		nic->ops->commit(nic, &slot, body_len, NULL);
	return err;
}

static void towards_the_guest_there_is_no_room_until_the_debt_is_paid(void **state)
{
	struct shape_config cfg = {.bytes[SHAPE_INGRESS] = {.size = 1000, .refill_ns = 1000 * MS}};
	struct fixture *f = begin(&cfg);
	struct nic *inner = &f->device.nic;
	struct nic_slot slot;

	(void)state;
	assert_int_equal(give(f, 846), 0);  /* 900 */
	assert_int_equal(give(f, 1046), 0); /* 1100, of which 100 are there */
	assert_int_equal(give(f, 1), -EAGAIN);
	assert_int_equal(shape_next_ns(&f->shape), 1001 * MS);
	/* What only acknowledges, and what the link itself has to say, passes; the latter is charged. */
	assert_int_equal(give(f, 0), 0);
	assert_int_equal(inner->ops->reserve(inner, 54, 46, &slot), 0);
	inner->ops->commit(inner, &slot, 46, NULL);
	assert_true(shape_begin(&f->shape, 1001 * MS));
	assert_int_equal(give(f, 1), -EAGAIN);
	assert_int_equal(shape_next_ns(&f->shape), 1101 * MS);
	assert_true(shape_begin(&f->shape, 1101 * MS));
	assert_int_equal(give(f, 1), 0);
	assert_false(shape_begin(&f->shape, 5000 * MS));
	shape_end(&f->shape);
	assert_int_equal(f->shape.nic.counters.rx_frames, 5);
	end(f);
}

static void small_buckets_get_small_frames(void **state)
{
	struct shape_config cfg = {.bytes[SHAPE_INGRESS] = {.size = 1000, .refill_ns = MS}};
	struct fixture *f = begin(&cfg);

	(void)state;
	assert_int_equal(f->shape.nic.features, NIC_F_CSUM);
	cfg.bytes[SHAPE_INGRESS].size = 10 << 20;
	shape_set(&f->shape, &cfg, 0);
	assert_int_equal(f->shape.nic.features, f->device.nic.features);
	/* The guest may agree to less on the next link. */
	f->device.nic.features = 0;
	(void)shape_begin(&f->shape, MS);
	assert_int_equal(f->shape.nic.features, 0);
	end(f);
}

static void other_limits_hold_at_once(void **state)
{
	struct shape_config cfg = bytes(1000, 1000 * MS, 0);
	struct shape_config none = {0};
	struct fixture *f = begin(&cfg);

	(void)state;
	send(f, 1000);
	send(f, 1000);
	send(f, 1000);
	assert_string_equal(pass(f, 0), "0 ");
	cfg = bytes(1000, 100 * MS, 0);
	shape_set(&f->shape, &cfg, MS);
	assert_int_equal(shape_next_ns(&f->shape), MS);
	assert_string_equal(pass(f, MS), "1 ");
	assert_int_equal(shape_next_ns(&f->shape), 101 * MS);
	shape_set(&f->shape, &none, 2 * MS);
	assert_string_equal(pass(f, 2 * MS), "2 ");
	end(f);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_burst_is_spent_before_the_bucket_R1),
	    cmocka_unit_test(frames_are_limited_likewise_R2),
	    cmocka_unit_test(a_frame_above_the_bucket_passes_and_is_paid_afterwards_R3),
	    cmocka_unit_test(both_limits_must_pay_or_none_is_charged),
	    cmocka_unit_test(large_frames_count_as_their_segments),
	    cmocka_unit_test(what_only_acknowledges_is_free),
	    cmocka_unit_test(nothing_is_lost_and_order_holds_R5),
	    cmocka_unit_test(towards_the_guest_there_is_no_room_until_the_debt_is_paid),
	    cmocka_unit_test(small_buckets_get_small_frames),
	    cmocka_unit_test(other_limits_hold_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
