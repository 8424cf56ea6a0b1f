/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supply of connections; see supply.h.
 *
 * A message from the launcher is one byte: MESSAGE_NEXT with exactly one descriptor, without which it is skipped, or
 * MESSAGE_OVER. Reports are of fixed size.
 */
#include "port/supply.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	MESSAGE_NEXT = 0,
	MESSAGE_OVER = 1,
};

/* Room for one descriptor, aligned as a control message must be. */
union control {
	struct cmsghdr head; /* for its alignment */
	char room[CMSG_SPACE(sizeof(int))];
};

int supply_pair(int ret_ends[2])
{
	static const int type = SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK;

	return socketpair(AF_UNIX, type, 0, ret_ends) < 0 ? -errno : 0;
}

int supply_give(int end, int fd)
{
	char byte = MESSAGE_NEXT;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	union control control = {.room = {0}};
	struct msghdr head = {
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&head);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(end, &head, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void supply_hang_up(int end)
{
	static const char byte = MESSAGE_OVER;

	/* Fails only when the port has gone, or does not look for long. */
	(void)send(end, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void supply_finish(int end)
{
	/* Fails only when the port has gone. */
	(void)shutdown(end, SHUT_WR);
}

int supply_hear(int end, struct supply_report *ret_report)
{
	struct supply_report r;
	ssize_t n = recv(end, &r, sizeof(r), MSG_DONTWAIT);

	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	if (n == 0)
		return 0;
	if ((size_t)n != sizeof(r))
		return -EBADMSG;
	*ret_report = r;
	return 1;
}

static int fd_in(struct msghdr *head)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(head);
	int fd;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof(int)))
		return -EAGAIN;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

int supply_take(int end)
{
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	union control control = {.room = {0}};
	struct msghdr head = {
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(end, &head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : -EPIPE;
	if (n == 0)
		return -EPIPE;
	return byte == MESSAGE_OVER ? -ENOTCONN : fd_in(&head);
}

void supply_report(int end, enum supply_end how, uint32_t value)
{
	struct supply_report r = {.end = (uint32_t)how, .value = value};

	(void)send(end, &r, sizeof(r), MSG_DONTWAIT | MSG_NOSIGNAL);
}
