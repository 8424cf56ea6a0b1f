/* SPDX-License-Identifier: Apache-2.0 */
/* The front end's half of vhost-user; see vmm.h. */
#include "vmm.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int prepare(struct vmm *v, int fd)
{
	struct timeval patience = {.tv_sec = VMM_PATIENCE_S};

	*v = (struct vmm){.fd = fd};
	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ? -errno : 0;
}

int vmm_connect(struct vmm *v, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;
	int err;

	v->fd = -1;
	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) ? -errno : prepare(v, fd);
	if (err)
		(void)close(fd);
	return err;
}

int vmm_accept(struct vmm *v, int listen_fd)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

	v->fd = -1;
	return fd < 0 ? -errno : prepare(v, fd);
}

void vmm_close(struct vmm *v)
{
	if (v->fd >= 0)
		(void)close(v->fd);
	v->fd = -1;
}

int vmm_send(struct vmm *v, uint32_t request, uint32_t flags, const void *payload, uint32_t len,
    const int *fds, uint32_t fd_count)
{
	uint8_t bytes[VHOST_USER_HDR_SIZE + VHOST_USER_PAYLOAD_MAX];
	uint32_t header[3] = {request, flags, len};
	struct iovec iov = {.iov_base = bytes, .iov_len = sizeof(header) + len};
	union {
		char bytes[CMSG_SPACE(VMM_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = {.bytes = {0}};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (len > VHOST_USER_PAYLOAD_MAX || fd_count > VMM_FDS_MAX)
		return -EINVAL;
	memcpy(bytes, header, sizeof(header));
	if (len > 0)
		memcpy(bytes + sizeof(header), payload, len);
	if (fd_count > 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, fd_count * sizeof(int));
	}
	n = sendmsg(v->fd, &msg, MSG_NOSIGNAL);
	if (n < 0)
		return -errno;
	if (v->turn)
		v->turn(v->turn_ctx);
	return (size_t)n == iov.iov_len ? 0 : -EIO;
}

static int receive_exactly(struct vmm *v, void *to, size_t len, int *ret_fd)
{
	size_t done = 0;

	while (done < len) {
		union {
			char bytes[CMSG_SPACE(sizeof(int))];
			struct cmsghdr align;
		} control = {.bytes = {0}};
		struct iovec iov = {.iov_base = (uint8_t *)to + done, .iov_len = len - done};
		struct msghdr msg = {
		    .msg_iov = &iov,
		    .msg_iovlen = 1,
		    .msg_control = control.bytes,
		    .msg_controllen = sizeof(control.bytes),
		};
		ssize_t n = recvmsg(v->fd, &msg, MSG_CMSG_CLOEXEC);
		struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

		if (n < 0)
			return errno == ECONNRESET ? -EPIPE : -errno;
		if (n == 0)
			return -EPIPE;
		if (c && c->cmsg_type == SCM_RIGHTS) {
			int fd;

			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
			if (ret_fd)
				*ret_fd = fd;
			else
				(void)close(fd);
		}
		done += (size_t)n;
	}
	return 0;
}

int vmm_receive(struct vmm *v, uint32_t request, void *payload, uint32_t cap, int *ret_fd)
{
	uint32_t header[3];
	int err;

	if (ret_fd)
		*ret_fd = -1;
	err = receive_exactly(v, header, sizeof(header), ret_fd);
	if (err)
		return err;
	if (header[0] != request || (header[1] & 7) != (4 | VMM_VERSION) || header[2] > cap)
		return -EBADMSG;
	err = receive_exactly(v, payload, header[2], ret_fd);
	return err ? err : (int)header[2];
}

int vmm_get(struct vmm *v, uint32_t request, uint64_t *ret_value)
{
	int n = vmm_send(v, request, VMM_VERSION, NULL, 0, NULL, 0);

	if (n)
		return n;
	n = vmm_receive(v, request, ret_value, sizeof(*ret_value), NULL);
	if (n < 0)
		return n;
	return n == sizeof(*ret_value) ? 0 : -EBADMSG;
}

int vmm_ask(struct vmm *v, uint32_t request, const void *payload, uint32_t len, const int *fds,
    uint32_t fd_count)
{
	bool has_ack = (v->protocol_features & 1ULL << VHOST_USER_PROTOCOL_REPLY_ACK) != 0;
	uint32_t flags = has_ack ? (uint32_t)VMM_VERSION | VMM_NEED_REPLY : (uint32_t)VMM_VERSION;
	int n = vmm_send(v, request, flags, payload, len, fds, fd_count);
	uint64_t result = 0;

	if (n || !has_ack)
		return n;
	n = vmm_receive(v, request, &result, sizeof(result), NULL);
	if (n < 0)
		return n;
	return n != sizeof(result) ? -EBADMSG : result != 0 ? -EREMOTEIO : 0;
}

int vmm_set(struct vmm *v, uint32_t request, uint64_t value)
{
	return vmm_ask(v, request, &value, sizeof(value), NULL, 0);
}

int vmm_set_vring(struct vmm *v, uint32_t request, uint32_t index, uint32_t num)
{
	const uint32_t payload[2] = {index, num};

	return vmm_ask(v, request, payload, sizeof(payload), NULL, 0);
}

int vmm_set_vring_fd(struct vmm *v, uint32_t request, uint32_t index, int fd)
{
	uint64_t payload = index | (fd < 0 ? 0x100U : 0U);

	return vmm_ask(v, request, &payload, sizeof(payload), &fd, fd < 0 ? 0 : 1);
}

int vmm_get_vring_base(struct vmm *v, uint32_t index, uint32_t *ret_base)
{
	uint32_t payload[2] = {index, 0};
	int n =
	    vmm_send(v, VHOST_USER_GET_VRING_BASE, VMM_VERSION, payload, sizeof(payload), NULL, 0);

	if (n)
		return n;
	n = vmm_receive(v, VHOST_USER_GET_VRING_BASE, payload, sizeof(payload), NULL);
	if (n < 0)
		return n;
	if (n != sizeof(payload) || payload[0] != index)
		return -EBADMSG;
	*ret_base = payload[1];
	return 0;
}
