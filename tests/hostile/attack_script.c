/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of a hostile front end; see attack.h. */
#include <errno.h>
#include <linux/vhost_types.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attack_internal.h"

enum {
	F_PROTOCOL = 30,
	NO_FD = 0x100,
	REQUESTS_END = 50,
	SPOILS_MAX = 4,
};

#define BIT(n) (1ULL << (n))

/* ---- what a front end says in its right mind ---- */

static struct attack_message *say(
    struct attack *a, uint32_t request, const void *payload, uint32_t len)
{
	struct attack_message *m = &a->script[a->count];

	if (a->count + 1 < ATTACK_SCRIPT_MAX)
		a->count++;
	*m = (struct attack_message){.request = request, .flags = VMM_VERSION, .len = len};
	if (dice_one_in(&a->dice, 2))
		m->flags |= VMM_NEED_REPLY;
	if (len > 0)
		memcpy(m->payload, payload, len);
	return m;
}

static void say_u64(struct attack *a, uint32_t request, uint64_t value)
{
	(void)say(a, request, &value, sizeof(value));
}

static void add_fd(struct attack_message *m, int fd)
{
	if (m->fd_count <= VHOST_USER_TABLE_MAX)
		m->fds[m->fd_count++] = fd;
}

static void say_vring(struct attack *a, uint32_t request, uint32_t queue, uint32_t num)
{
	const uint32_t payload[2] = {queue, num};

	(void)say(a, request, payload, sizeof(payload));
}

static void say_vring_fd(struct attack *a, uint32_t request, uint32_t queue, int fd)
{
	uint64_t payload = fd < 0 ? queue | (uint32_t)NO_FD : queue;
	struct attack_message *m = say(a, request, &payload, sizeof(payload));

	if (fd >= 0)
		add_fd(m, fd);
}

static void say_memory(struct attack *a, bool has_slots)
{
	const struct machine *m = a->machine;
	uint64_t regions[MACHINE_REGIONS_MAX][4];
	uint64_t payload[1 + MACHINE_REGIONS_MAX * 4] = {m->cfg.regions};
	size_t step = m->memory_size / m->cfg.regions / 4096 * 4096;
	struct attack_message *msg;

	for (uint32_t i = 0; i < m->cfg.regions; i++) {
		size_t off = i * step;
		size_t len = i + 1 == m->cfg.regions ? m->memory_size - off : step;

		regions[i][0] = MACHINE_GPA + off;
		regions[i][1] = len;
		regions[i][2] = machine_uva(m->memory + off);
		regions[i][3] = off;
	}
	if (!has_slots) {
		memcpy(payload + 1, regions, m->cfg.regions * sizeof(regions[0]));
		msg = say(a, VHOST_USER_SET_MEM_TABLE, payload,
		    (uint32_t)(sizeof(uint64_t) + m->cfg.regions * sizeof(regions[0])));
		for (uint32_t i = 0; i < m->cfg.regions; i++)
			add_fd(msg, m->memory_fd);
		return;
	}
	payload[0] = 0;
	for (uint32_t i = 0; i < m->cfg.regions; i++) {
		memcpy(payload + 1, regions[i], sizeof(regions[i]));
		add_fd(say(a, VHOST_USER_ADD_MEM_REG, payload, 5 * sizeof(uint64_t)), m->memory_fd);
	}
}

static void say_queue(struct attack *a, uint32_t queue)
{
	const struct machine_queue *q = &a->machine->queues[queue];
	const uint64_t addr[5] = {queue | (uint64_t)dice_below(&a->dice, 2) << 32,
	    machine_uva(q->ring.desc), machine_uva(q->ring.used), machine_uva(q->ring.avail),
	    MACHINE_GPA};

	say_vring(a, VHOST_USER_SET_VRING_NUM, queue, q->ring.num);
	say_vring(a, VHOST_USER_SET_VRING_BASE, queue, 0);
	(void)say(a, VHOST_USER_SET_VRING_ADDR, addr, sizeof(addr));
	say_vring_fd(a, VHOST_USER_SET_VRING_KICK, queue, q->kick_fd);
	say_vring_fd(a, VHOST_USER_SET_VRING_CALL, queue, q->call_fd);
	say_vring_fd(a, VHOST_USER_SET_VRING_ERR, queue, -1);
	say_vring(a, VHOST_USER_SET_VRING_ENABLE, queue, 1);
}

static void say_tracking(struct attack *a, uint64_t protocol)
{
	const uint64_t log[2] = {1 << 16, 0};
	uint64_t inflight[3] = {0};
	const uint16_t counts[4] = {
	    (uint16_t)(2 * a->machine->cfg.pairs), (uint16_t)a->machine->cfg.num};

	memcpy(&inflight[2], counts, sizeof(counts));
	if ((protocol & BIT(VHOST_USER_PROTOCOL_INFLIGHT_SHMFD)) != 0) {
		(void)say(a, VHOST_USER_GET_INFLIGHT_FD, inflight, sizeof(inflight));
		inflight[0] = 1 << 16;
		if (dice_one_in(&a->dice, 2))
			add_fd(say(a, VHOST_USER_SET_INFLIGHT_FD, inflight, sizeof(inflight)),
			    a->inflight_fd);
	}
	if ((protocol & BIT(VHOST_USER_PROTOCOL_LOG_SHMFD)) != 0)
		add_fd(say(a, VHOST_USER_SET_LOG_BASE, log, sizeof(log)), a->log_fd);
}

/* ---- what it says out of it ---- */

static int any_fd(struct attack *a)
{
	uint32_t i = dice_below(&a->dice, ATTACK_JUNK + 4);

	if (i < ATTACK_JUNK)
		return a->junk[i];
	return i == ATTACK_JUNK       ? a->machine->memory_fd
	       : i == ATTACK_JUNK + 1 ? a->machine->queues[0].kick_fd
	       : i == ATTACK_JUNK + 2 ? a->inflight_fd
				      : a->log_fd;
}

static void spoil_fds(struct attack *a, struct attack_message *m)
{
	m->fd_count = dice_below(&a->dice, VHOST_USER_TABLE_MAX + 2);
	for (uint32_t i = 0; i < m->fd_count; i++)
		m->fds[i] = any_fd(a);
}

/* One word of the payload, of 32 or 64 bits. */
static void spoil_word(struct attack *a, struct attack_message *m)
{
	uint64_t value = attack_edge(&a->dice);
	uint32_t at;

	if (m->len < 8 || m->len > ATTACK_PAYLOAD_MAX)
		return;
	at = dice_below(&a->dice, m->len / 4 - 1) * 4;
	memcpy(m->payload + at, &value, dice_one_in(&a->dice, 2) ? 4 : 8);
}

static void spoil_message(struct attack *a, struct attack_message *m)
{
	switch (dice_below(&a->dice, 8)) {
	case 0:
		m->request = dice_one_in(&a->dice, 8) ? (uint32_t)attack_edge(&a->dice)
						      : dice_below(&a->dice, REQUESTS_END);
		break;
	case 1:
		m->flags = dice_one_in(&a->dice, 2) ? (uint32_t)attack_edge(&a->dice)
						    : dice_below(&a->dice, 16);
		break;
	case 2:
		m->len = (uint32_t)attack_edge(&a->dice);
		break;
	case 3:
		spoil_fds(a, m);
		break;
	default:
		spoil_word(a, m);
		break;
	}
}

static void spoil_script(struct attack *a)
{
	struct dice *d = &a->dice;
	uint32_t i = dice_below(d, a->count);
	uint32_t k = dice_below(d, a->count);
	struct attack_message spare = a->script[i];

	switch (dice_below(d, 6)) {
	case 0: /* left out */
		a->count--;
		memmove(&a->script[i], &a->script[i + 1], (a->count - i) * sizeof(spare));
		break;
	case 1: /* in another order */
		a->script[i] = a->script[k];
		a->script[k] = spare;
		break;
	case 2: /* again */
		a->script[k] = spare;
		break;
	case 3: /* the end comes early */
		a->count = i + 1;
		break;
	default:
		spoil_message(a, &a->script[i]);
		break;
	}
}

void attack_write_script(struct attack *a)
{
	struct machine *m = a->machine;
	bool has_protocol = !dice_one_in(&a->dice, 8);
	uint64_t protocol = m->cfg.protocol;

	m->features = m->cfg.features;
	if (has_protocol)
		m->features |= BIT(F_PROTOCOL);
	if (dice_one_in(&a->dice, 2))
		m->features |= BIT(VHOST_F_LOG_ALL);
	(void)say(a, VHOST_USER_GET_FEATURES, NULL, 0);
	(void)say(a, VHOST_USER_SET_OWNER, NULL, 0);
	if (has_protocol) {
		(void)say(a, VHOST_USER_GET_PROTOCOL_FEATURES, NULL, 0);
		say_u64(a, VHOST_USER_SET_PROTOCOL_FEATURES, protocol);
	}
	say_u64(a, VHOST_USER_SET_FEATURES, m->features);
	say_memory(a, m->cfg.has_slots);
	if (has_protocol)
		say_tracking(a, protocol);
	for (uint32_t i = 0; i < 2 * m->cfg.pairs; i++)
		say_queue(a, i);
	if (!dice_one_in(&a->dice, 2))
		return;
	a->is_spoilt = true;
	for (uint32_t n = 1 + dice_below(&a->dice, SPOILS_MAX); n > 0 && a->count > 1; n--)
		spoil_script(a);
}

/* ---- saying it ---- */

/* What the back end answers is of no interest, but must not pile up. */
static void drain(struct attack *a)
{
	uint8_t bytes[512];
	ssize_t n;

	do {
		n = recv(a->machine->vmm.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	} while (n > 0);
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		a->is_over = true;
}

static void turn(const struct attack *a)
{
	if (a->machine->vmm.turn)
		a->machine->vmm.turn(a->machine->vmm.turn_ctx);
}

/* Some bytes of a message, the descriptors beside the first of them. */
static void send_part(
    struct attack *a, const uint8_t *bytes, size_t len, const int *fds, uint32_t count)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
	union {
		char bytes[CMSG_SPACE((VHOST_USER_TABLE_MAX + 1) * sizeof(int))];
		struct cmsghdr align;
	} control = {.bytes = {0}};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (count > 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, count * sizeof(int));
	}
	if (sendmsg(a->machine->vmm.fd, &msg, MSG_NOSIGNAL) != (ssize_t)len)
		a->is_over = true;
	turn(a);
	if (!a->is_over)
		drain(a);
}

static void send_message(struct attack *a, const struct attack_message *m)
{
	uint8_t bytes[VHOST_USER_HDR_SIZE + ATTACK_PAYLOAD_MAX];
	const uint32_t header[3] = {m->request, m->flags, m->len};
	size_t len = VHOST_USER_HDR_SIZE;
	size_t cut;

	memcpy(bytes, header, sizeof(header));
	memcpy(bytes + sizeof(header), m->payload, sizeof(m->payload));
	len += m->len < ATTACK_PAYLOAD_MAX ? m->len : (size_t)ATTACK_PAYLOAD_MAX;
	cut = dice_one_in(&a->dice, 8) ? dice_below(&a->dice, (uint32_t)len) : 0;
	if (cut > 0)
		send_part(a, bytes, cut, m->fds, m->fd_count);
	if (!a->is_over)
		send_part(a, bytes + cut, len - cut, m->fds, cut > 0 ? 0 : m->fd_count);
}

void attack_send_script(struct attack *a)
{
	for (uint32_t i = 0; i < a->count && !a->is_over; i++)
		send_message(a, &a->script[i]);
}

void attack_send_any(struct attack *a)
{
	struct attack_message m = {.request = dice_below(&a->dice, REQUESTS_END),
	    .flags = VMM_VERSION | (dice_one_in(&a->dice, 2) ? VMM_NEED_REPLY : 0),
	    .len = 8 * dice_below(&a->dice, 8)};

	/* The right message at a wrong time, or any. */
	if (a->count > 0 && !dice_one_in(&a->dice, 4))
		m = a->script[dice_below(&a->dice, a->count)];
	else
		dice_fill(&a->dice, m.payload, m.len);
	if (dice_one_in(&a->dice, 4)) {
		a->is_spoilt = true;
		spoil_message(a, &m);
	}
	send_message(a, &m);
}
