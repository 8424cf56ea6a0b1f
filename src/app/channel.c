/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between launcher and init; see channel.h. */
#include "app/channel.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for one descriptor, aligned as a control message must be. */
union control {
	struct cmsghdr head; /* for its alignment */
	char room[CMSG_SPACE(sizeof(int))];
};

int channel_open(int ret_ends[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_ends);
}

int channel_send(int end, struct channel_message message, int fd)
{
	struct iovec iov = {.iov_base = &message, .iov_len = sizeof(message)};
	struct msghdr head = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control = {.room = {0}};
	ssize_t n;

	if (fd >= 0) {
		struct cmsghdr *c;

		head.msg_control = &control;
		head.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&head);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	do {
		n = sendmsg(end, &head, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -1 : 0;
}

static int take_fd(struct msghdr *head)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(head);
	int fd;

	if (c == NULL || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof(int)))
		return -1;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

int channel_receive(int end, struct channel_message *ret_message, int *ret_fd)
{
	struct iovec iov = {.iov_base = ret_message, .iov_len = sizeof(*ret_message)};
	union control control = {.room = {0}};
	struct msghdr head = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = ret_fd != NULL ? sizeof(control) : 0};
	ssize_t n;

	/* ECONNRESET is told once, before messages that are still there: the other end has gone without
	 * reading all of ours. */
	do {
		n = recvmsg(end, &head, MSG_CMSG_CLOEXEC);
	} while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n <= 0)
		return (int)n;
	if (ret_fd != NULL)
		*ret_fd = take_fd(&head);
	if ((size_t)n != sizeof(*ret_message) || (head.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
		if (ret_fd != NULL && *ret_fd >= 0)
			close(*ret_fd);
		/* A descriptor is cut off when there is no room for it. */
		errno = (head.msg_flags & MSG_CTRUNC) != 0 && ret_fd != NULL ? EMFILE : EBADMSG;
		return -1;
	}
	return 1;
}
