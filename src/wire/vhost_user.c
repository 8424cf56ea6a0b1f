/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user message codec; see vhost_user.h.
 *
 * Refused are headers of another version, replies, payloads above VHOST_USER_PAYLOAD_MAX, payloads of another length
 * than their request has, regions that are empty or wrap around. What values mean, and whether a request is in order
 * now, is for the receiver. Each payload is read front to back once, at most VHOST_USER_TABLE_MAX regions.
 */
#include "wire/vhost_user.h"

#include <errno.h>
#include <string.h>

#include "base/rd.h"

enum {
	FLAG_VERSION_MASK = 3,
	FLAG_VERSION = 1,
	FLAG_REPLY = 4,
	FLAG_NEED_REPLY = 8,

	VRING_FD_INDEX = 0xff,
	VRING_FD_NONE = 0x100,
	ADDR_LOG = 1,

	REGION_LEN = 32,
	INFLIGHT_LEN = 20,
	INFLIGHT_LEN_PADDED = 24,
};

static uint16_t rd_ne16(struct rd *r)
{
	uint16_t v;

	rd_copy(r, &v, sizeof(v));
	return v;
}

static uint32_t rd_ne32(struct rd *r)
{
	uint32_t v;

	rd_copy(r, &v, sizeof(v));
	return v;
}

static uint64_t rd_ne64(struct rd *r)
{
	uint64_t v;

	rd_copy(r, &v, sizeof(v));
	return v;
}

int vhost_user_parse_header(
    const uint8_t bytes[VHOST_USER_HDR_SIZE], struct vhost_user_header *ret_header)
{
	struct rd r = rd_init(bytes, VHOST_USER_HDR_SIZE);
	uint32_t request = rd_ne32(&r);
	uint32_t flags = rd_ne32(&r);
	uint32_t len = rd_ne32(&r);

	if ((flags & FLAG_VERSION_MASK) != FLAG_VERSION || (flags & FLAG_REPLY) != 0 ||
	    len > VHOST_USER_PAYLOAD_MAX)
		return -EPROTO;
	*ret_header = (struct vhost_user_header){
	    .request = request,
	    .wants_ack = (flags & FLAG_NEED_REPLY) != 0,
	    .payload_len = len,
	};
	return 0;
}

static struct vhost_user_region read_region(struct rd *r)
{
	struct vhost_user_region region = {
	    .gpa = rd_ne64(r),
	    .size = rd_ne64(r),
	    .uva = rd_ne64(r),
	    .mmap_offset = rd_ne64(r),
	};

	if (region.size == 0 || region.gpa + region.size < region.gpa ||
	    region.uva + region.size < region.uva ||
	    region.mmap_offset + region.size < region.mmap_offset)
		r->is_bad = true;
	return region;
}

static void read_table(struct rd *r, struct vhost_user_msg *m)
{
	uint32_t count = rd_ne32(r);

	rd_skip(r, 4); /* padding */
	if (count > VHOST_USER_TABLE_MAX || rd_left(r) != (size_t)count * REGION_LEN) {
		r->is_bad = true;
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		m->table.regions[i] = read_region(r);
	m->table.count = count;
	m->fd_count = count;
}

static void read_addr(struct rd *r, struct vhost_user_msg *m)
{
	m->addr.index = rd_ne32(r);
	m->addr.has_log = (rd_ne32(r) & ADDR_LOG) != 0;
	m->addr.desc_uva = rd_ne64(r);
	m->addr.used_uva = rd_ne64(r);
	m->addr.avail_uva = rd_ne64(r);
	m->addr.log_gpa = rd_ne64(r);
}

static void read_vring_fd(struct rd *r, struct vhost_user_msg *m)
{
	uint64_t value = rd_ne64(r);

	m->vring_fd.index = (uint32_t)(value & VRING_FD_INDEX);
	m->fd_count = (value & VRING_FD_NONE) != 0 ? 0 : 1;
}

static void read_vring(struct rd *r, struct vhost_user_msg *m)
{
	m->vring.index = rd_ne32(r);
	m->vring.num = rd_ne32(r);
}

static void read_log(struct rd *r, struct vhost_user_msg *m)
{
	m->log.size = rd_ne64(r);
	m->log.offset = rd_ne64(r);
	m->fd_count = 1;
	if (m->log.size == 0 || m->log.size + m->log.offset < m->log.size)
		r->is_bad = true;
}

static void read_inflight(struct rd *r, struct vhost_user_msg *m)
{
	m->inflight.mmap_size = rd_ne64(r);
	m->inflight.mmap_offset = rd_ne64(r);
	m->inflight.queue_count = rd_ne16(r);
	m->inflight.queue_num = rd_ne16(r);
	if (m->payload_len == INFLIGHT_LEN_PADDED)
		rd_skip(r, INFLIGHT_LEN_PADDED - INFLIGHT_LEN);
	m->fd_count = m->request == VHOST_USER_SET_INFLIGHT_FD ? 1 : 0;
}

static void read_mem_reg(struct rd *r, struct vhost_user_msg *m)
{
	rd_skip(r, 8); /* padding */
	m->region = read_region(r);
	m->fd_count = m->request == VHOST_USER_ADD_MEM_REG ? 1 : 0;
}

static void read_value(struct rd *r, struct vhost_user_msg *m)
{
	m->value = rd_ne64(r);
}

static void read_nothing(struct rd *r, struct vhost_user_msg *m)
{
	(void)r;
	(void)m;
}

/* A descriptor without a payload that matters: some front ends send one, others do not. */
static void read_log_fd(struct rd *r, struct vhost_user_msg *m)
{
	rd_skip(r, rd_left(r));
	m->fd_count = 1;
}

typedef void read_payload(struct rd *r, struct vhost_user_msg *m);

static read_payload *const readers[] = {
    [VHOST_USER_GET_FEATURES] = read_nothing,
    [VHOST_USER_SET_FEATURES] = read_value,
    [VHOST_USER_SET_OWNER] = read_nothing,
    [VHOST_USER_RESET_OWNER] = read_nothing,
    [VHOST_USER_SET_MEM_TABLE] = read_table,
    [VHOST_USER_SET_LOG_BASE] = read_log,
    [VHOST_USER_SET_LOG_FD] = read_log_fd,
    [VHOST_USER_SET_VRING_NUM] = read_vring,
    [VHOST_USER_SET_VRING_ADDR] = read_addr,
    [VHOST_USER_SET_VRING_BASE] = read_vring,
    [VHOST_USER_GET_VRING_BASE] = read_vring,
    [VHOST_USER_SET_VRING_KICK] = read_vring_fd,
    [VHOST_USER_SET_VRING_CALL] = read_vring_fd,
    [VHOST_USER_SET_VRING_ERR] = read_vring_fd,
    [VHOST_USER_GET_PROTOCOL_FEATURES] = read_nothing,
    [VHOST_USER_SET_PROTOCOL_FEATURES] = read_value,
    [VHOST_USER_GET_QUEUE_NUM] = read_nothing,
    [VHOST_USER_SET_VRING_ENABLE] = read_vring,
    [VHOST_USER_SEND_RARP] = read_value,
    [VHOST_USER_NET_SET_MTU] = read_value,
    [VHOST_USER_GET_INFLIGHT_FD] = read_inflight,
    [VHOST_USER_SET_INFLIGHT_FD] = read_inflight,
    [VHOST_USER_RESET_DEVICE] = read_nothing,
    [VHOST_USER_GET_MAX_MEM_SLOTS] = read_nothing,
    [VHOST_USER_ADD_MEM_REG] = read_mem_reg,
    [VHOST_USER_REM_MEM_REG] = read_mem_reg,
    [VHOST_USER_SET_STATUS] = read_value,
    [VHOST_USER_GET_STATUS] = read_nothing,
};

int vhost_user_parse(
    const struct vhost_user_header *hdr, const uint8_t *payload, struct vhost_user_msg *ret_msg)
{
	struct rd r = rd_init(payload, hdr->payload_len);
	struct vhost_user_msg m = {
	    .request = (enum vhost_user_request)hdr->request,
	    .wants_ack = hdr->wants_ack,
	    .payload_len = hdr->payload_len,
	};

	if (hdr->request >= sizeof(readers) / sizeof(readers[0]) || !readers[hdr->request])
		return -ENOSYS;
	readers[hdr->request](&r, &m);
	if (!rd_ok(&r) || rd_left(&r) > 0)
		return -EBADMSG;
	*ret_msg = m;
	return 0;
}

static size_t build(uint32_t request, const void *payload, uint32_t len, uint8_t *out)
{
	const uint32_t header[3] = {request, FLAG_VERSION | FLAG_REPLY, len};

	memcpy(out, header, sizeof(header));
	memcpy(out + sizeof(header), payload, len);
	return sizeof(header) + len;
}

size_t vhost_user_build_u64(uint32_t request, uint64_t value, uint8_t out[VHOST_USER_REPLY_MAX])
{
	return build(request, &value, sizeof(value), out);
}

size_t vhost_user_build_vring(
    uint32_t request, uint32_t index, uint32_t num, uint8_t out[VHOST_USER_REPLY_MAX])
{
	const uint32_t payload[2] = {index, num};

	return build(request, payload, sizeof(payload), out);
}

size_t vhost_user_build_inflight(uint32_t request, const struct vhost_user_inflight *inflight,
    uint32_t payload_len, uint8_t out[VHOST_USER_REPLY_MAX])
{
	uint8_t payload[INFLIGHT_LEN_PADDED] = {0};

	memcpy(payload, &inflight->mmap_size, 8);
	memcpy(payload + 8, &inflight->mmap_offset, 8);
	memcpy(payload + 16, &inflight->queue_count, 2);
	memcpy(payload + 18, &inflight->queue_num, 2);
	return build(request, payload,
	    payload_len == INFLIGHT_LEN ? (uint32_t)INFLIGHT_LEN : (uint32_t)INFLIGHT_LEN_PADDED,
	    out);
}
