/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to the front end: cuts the stream into messages, gathers the descriptors that come beside each, and
 * answers.
 *
 * A message is read exactly, header and then payload, so that descriptors belong to the message that they came with.
 * Refused, and with it the connection: a header that cannot be followed, descriptors that are missing, too many or cut
 * off, a payload that does not fit its request, and a known request that cannot be done when no reply was asked
 * for in which to say so. An unknown request is answered or passed over.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "port/vhost_user_internal.h"

enum {
	MESSAGES_MAX = 64, /* in one go */
};

static void close_fds(struct vu_conn *c)
{
	for (uint32_t i = 0; i < c->fd_count; i++)
		if (c->fds[i] >= 0)
			(void)close(c->fds[i]);
	c->fd_count = 0;
}

/* Keeps the descriptors of one read. 0, or -EPROTO: more than a message may have. */
static int keep_fds(struct vu_conn *c, struct msghdr *msg)
{
	int err = (msg->msg_flags & MSG_CTRUNC) != 0 ? -EPROTO : 0;

	for (struct cmsghdr *m = CMSG_FIRSTHDR(msg); m; m = CMSG_NXTHDR(msg, m)) {
		size_t count = (m->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(m) + i * sizeof(fd), sizeof(fd));
			if (c->fd_count < VU_FDS_MAX) {
				c->fds[c->fd_count++] = fd;
			} else {
				(void)close(fd);
				err = -EPROTO;
			}
		}
	}
	return err;
}

/* Reads until there are want bytes in the buffer. 1; 0: not yet; -EPIPE: the end; -EPROTO. */
static int fill(struct vu_conn *c, uint32_t want)
{
	while (c->len < want) {
		union {
			char bytes[CMSG_SPACE((VU_FDS_MAX + 1) * sizeof(int))];
			struct cmsghdr align;
		} control;
		struct iovec iov = {.iov_base = c->buf + c->len, .iov_len = want - c->len};
		struct msghdr msg = {
		    .msg_iov = &iov,
		    .msg_iovlen = 1,
		    .msg_control = control.bytes,
		    .msg_controllen = sizeof(control.bytes),
		};
		ssize_t n = recvmsg(c->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
		if (keep_fds(c, &msg))
			return -EPROTO;
		if (n == 0)
			return -EPIPE;
		c->len += (uint32_t)n;
	}
	return 1;
}

/* A whole message. 1, 0, -EPIPE, -EPROTO. */
static int read_message(struct vu_conn *c, struct vhost_user_header *ret_header)
{
	int n = fill(c, VHOST_USER_HDR_SIZE);

	if (n <= 0)
		return n;
	if (vhost_user_parse_header(c->buf, ret_header))
		return -EPROTO;
	return fill(c, VHOST_USER_HDR_SIZE + ret_header->payload_len);
}

int vu_conn_reply(struct vhost_user_port *p, const uint8_t *reply, size_t len, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {.bytes = {0}};
	struct iovec iov = {.iov_base = p->conn.reply, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	memcpy(p->conn.reply, reply, len);
	if (fd >= 0) {
		struct cmsghdr *m = &control.align;

		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		m->cmsg_level = SOL_SOCKET;
		m->cmsg_type = SCM_RIGHTS;
		m->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(m), &fd, sizeof(fd));
	}
	/* A front end that lets replies pile up does not read them. */
	if (sendmsg(p->conn.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len)
		return -EPIPE;
	return 0;
}

static int acknowledge(struct vhost_user_port *p, const struct vhost_user_header *hdr, bool is_done)
{
	uint8_t reply[VHOST_USER_REPLY_MAX];

	return vu_conn_reply(
	    p, reply, vhost_user_build_u64(hdr->request, is_done ? 0 : 1, reply), -1);
}

static bool are_fds_right(const struct vhost_user_msg *m, uint32_t fd_count)
{
	/* Some send the region's descriptor again when it goes. */
	return fd_count == m->fd_count || (m->request == VHOST_USER_REM_MEM_REG && fd_count == 1);
}

/* 0, or negative: the connection is of no more use. */
static int handle(struct vhost_user_port *p, const struct vhost_user_header *hdr)
{
	struct vu_conn *c = &p->conn;
	bool wants_ack =
	    hdr->wants_ack && (p->protocol_features & VU_BIT(VHOST_USER_PROTOCOL_REPLY_ACK)) != 0;
	bool has_replied = false;
	struct vhost_user_msg m;
	int err = vhost_user_parse(hdr, c->buf + VHOST_USER_HDR_SIZE, &m);

	if (err == -ENOSYS) {
		vu_note(p, "request %u is not known", hdr->request);
		return wants_ack ? acknowledge(p, hdr, false) : 0;
	}
	if (err || !are_fds_right(&m, c->fd_count)) {
		vu_note(p, "request %u is malformed", hdr->request);
		return -EPROTO;
	}
	err = vu_message(p, &m, c->fds, &has_replied);
	if (p->memory.is_lost) {
		vu_note(p, "the memory of the guest has been taken away");
		return -EFAULT;
	}
	if (err)
		vu_note(p, "request %u cannot be done: %s", hdr->request, strerror(-err));
	if (has_replied)
		return err;
	return wants_ack ? acknowledge(p, hdr, !err) : err;
}

int vu_conn_read(struct vhost_user_port *p)
{
	struct vu_conn *c = &p->conn;

	if (p->memory.is_lost) {
		vu_note(p, "the memory of the guest has been taken away");
		return -EFAULT;
	}
	for (int i = 0; i < MESSAGES_MAX; i++) {
		struct vhost_user_header hdr;
		int n = read_message(c, &hdr);

		if (n == 0)
			return 0;
		if (n == -EPIPE)
			return 1;
		if (n < 0) {
			vu_note(p, "the front end does not speak vhost-user");
			return n;
		}
		n = handle(p, &hdr);
		close_fds(c);
		c->len = 0;
		if (n < 0)
			return n;
	}
	return 0;
}
