/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Codec of vhost-user messages (QEMU, docs/interop/vhost-user.rst): the control connection between a virtual
 * machine monitor, the front end, and what serves its virtqueues, the back end. Numbers are in the byte order of the
 * machine that both run on.
 *
 * A message is a header of 12 bytes and its payload; file descriptors travel beside it. The header is judged first,
 * so that a stream of bytes can be cut into messages; what the payload must be follows from the request.
 */
#ifndef SLUICE_WIRE_VHOST_USER_H
#define SLUICE_WIRE_VHOST_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	VHOST_USER_HDR_SIZE = 12,
	VHOST_USER_PAYLOAD_MAX = 4096, /* longest payload that is read, known request or not */
	VHOST_USER_TABLE_MAX = 8,      /* regions in SET_MEM_TABLE */
	VHOST_USER_REPLY_MAX = 64,     /* longest reply, header and all */
};

enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_RESET_OWNER = 4,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_LOG_BASE = 6,
	VHOST_USER_SET_LOG_FD = 7,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_SEND_RARP = 19,
	VHOST_USER_NET_SET_MTU = 20,
	VHOST_USER_GET_INFLIGHT_FD = 31,
	VHOST_USER_SET_INFLIGHT_FD = 32,
	VHOST_USER_RESET_DEVICE = 34,
	VHOST_USER_GET_MAX_MEM_SLOTS = 36,
	VHOST_USER_ADD_MEM_REG = 37,
	VHOST_USER_REM_MEM_REG = 38,
	VHOST_USER_SET_STATUS = 39,
	VHOST_USER_GET_STATUS = 40,
};

/* Bits of the protocol features. */
enum vhost_user_protocol {
	VHOST_USER_PROTOCOL_MQ = 0,
	VHOST_USER_PROTOCOL_LOG_SHMFD = 1,
	VHOST_USER_PROTOCOL_RARP = 2,
	VHOST_USER_PROTOCOL_REPLY_ACK = 3,
	VHOST_USER_PROTOCOL_MTU = 4,
	VHOST_USER_PROTOCOL_INFLIGHT_SHMFD = 12,
	VHOST_USER_PROTOCOL_RESET_DEVICE = 13,
	VHOST_USER_PROTOCOL_CONFIGURE_MEM_SLOTS = 15,
	VHOST_USER_PROTOCOL_STATUS = 16,
};

struct vhost_user_header {
	uint32_t request;     /* may be one that vhost_user_parse() does not know */
	bool wants_ack;       /* need_reply: counts only once REPLY_ACK has been negotiated */
	uint32_t payload_len; /* at most VHOST_USER_PAYLOAD_MAX */
};

/* Memory of the guest, in bytes. */
struct vhost_user_region {
	uint64_t gpa;         /* guest physical address */
	uint64_t size;        /* not 0 */
	uint64_t uva;         /* where the front end itself has it */
	uint64_t mmap_offset; /* in the file */
};

struct vhost_user_vring_addr {
	uint32_t index;
	bool has_log;      /* writes to the used ring are logged from log_gpa on */
	uint64_t desc_uva; /* addresses in the front end */
	uint64_t used_uva;
	uint64_t avail_uva;
	uint64_t log_gpa;
};

struct vhost_user_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t queue_count;
	uint16_t queue_num; /* entries of each */
};

struct vhost_user_msg {
	enum vhost_user_request request;
	bool wants_ack;
	uint32_t payload_len;
	uint32_t fd_count; /* descriptors that must come with it */
	union {
		uint64_t value; /* features, status, MTU, MAC address, log descriptor */
		struct {
			uint32_t index;
			uint32_t num;
		} vring; /* SET_VRING_NUM, BASE, ENABLE; GET_VRING_BASE */
		struct {
			uint32_t
			    index; /* 0 .. 255; fd_count 0: there is no descriptor on purpose */
		} vring_fd;
		struct vhost_user_vring_addr addr;
		struct {
			uint32_t count;
			struct vhost_user_region regions[VHOST_USER_TABLE_MAX];
		} table;
		struct vhost_user_region region; /* ADD_MEM_REG, REM_MEM_REG */
		struct {
			uint64_t size;
			uint64_t offset;
		} log;
		struct vhost_user_inflight inflight;
	};
};

/* 0, or -EPROTO: no header of a request of version 1, or an endless payload; the stream cannot be followed. */
__attribute__((warn_unused_result)) int vhost_user_parse_header(
    const uint8_t bytes[VHOST_USER_HDR_SIZE], struct vhost_user_header *ret_header);

/* The payload of hdr->payload_len bytes. 0; -ENOSYS: a request that is not in the list above; -EBADMSG: the payload
 * is not one of this request (length, number of regions, a region that wraps around). */
__attribute__((warn_unused_result)) int vhost_user_parse(
    const struct vhost_user_header *hdr, const uint8_t *payload, struct vhost_user_msg *ret_msg);

/* Replies, written at out; each returns its length. */
size_t vhost_user_build_u64(uint32_t request, uint64_t value, uint8_t out[VHOST_USER_REPLY_MAX]);
size_t vhost_user_build_vring(
    uint32_t request, uint32_t index, uint32_t num, uint8_t out[VHOST_USER_REPLY_MAX]);

/* payload_len: that of the request, 20 or 24; front ends differ in whether they count the padding. */
size_t vhost_user_build_inflight(uint32_t request, const struct vhost_user_inflight *inflight,
    uint32_t payload_len, uint8_t out[VHOST_USER_REPLY_MAX]);

#endif
