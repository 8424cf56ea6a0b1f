/* SPDX-License-Identifier: Apache-2.0 */
/* A hostile front end; see attack.h. */
#include "attack.h"

#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "attack_internal.h"

enum {
	PAGE = 4096,
	TRACKING_SIZE = 1 << 17,
	ROUNDS_MAX = 6,
	CORRUPTIONS_MAX = 6,
};

struct machine_config attack_machine(uint64_t seed)
{
	static const uint32_t sizes[] = {1, 2, 4, 16, 64, 256};
	static const uint32_t rx_buffers[] = {1, 12, 64, 1526, 4096, 65562};
	struct dice d = {.state = ~seed};
	struct machine_config c = machine_config_default();

	c.pairs = 1 + dice_below(&d, 2);
	c.num = sizes[dice_below(&d, 6)];
	c.rx_buffer = rx_buffers[dice_below(&d, c.num > 64 ? 5 : 6)];
	c.tx_buffer = 2048;
	c.regions = 1 + dice_below(&d, MACHINE_REGIONS_MAX);
	c.has_slots = dice_one_in(&d, 2);
	for (int i = 0; i < 64; i++)
		if (dice_one_in(&d, 8) && i != VIRTIO_F_VERSION_1)
			c.features &= ~(1ULL << i);
	for (int i = 0; i < 32; i++)
		if (dice_one_in(&d, 8))
			c.protocol &= ~(1ULL << i);
	return c;
}

static int memory_file(struct dice *d)
{
	uint8_t bytes[256];
	int fd = memfd_create("tracking", MFD_CLOEXEC);

	dice_fill(d, bytes, sizeof(bytes));
	if (fd >= 0 && (ftruncate(fd, TRACKING_SIZE) || pwrite(fd, bytes, sizeof(bytes), 0) < 0)) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

/* A file too short for anything, what is no file, and descriptors that look like eventfds. */
static void open_junk(int junk[ATTACK_JUNK])
{
	int pipes[2] = {-1, -1};

	(void)!pipe2(pipes, O_CLOEXEC);
	junk[0] = pipes[0];
	junk[1] = pipes[1];
	junk[2] = memfd_create("short", MFD_CLOEXEC);
	junk[3] = open("/dev/null", O_RDWR | O_CLOEXEC);
	junk[4] = epoll_create1(EPOLL_CLOEXEC);
	junk[5] = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
}

/* Some of the file's pages go, while they are in use. */
static void shrink(struct attack *a)
{
	size_t pages = a->machine->memory_size / PAGE;
	size_t keep = dice_one_in(&a->dice, 2) ? 0 : dice_below(&a->dice, (uint32_t)pages);

	a->is_shrunk = true;
	(void)!ftruncate(a->machine->memory_fd, (off_t)(keep * PAGE));
	for (uint32_t i = 0; i < 2 * a->machine->cfg.pairs; i++)
		machine_kick(a->machine, i);
}

static void turn(const struct attack *a)
{
	if (a->machine->vmm.turn)
		a->machine->vmm.turn(a->machine->vmm.turn_ctx);
}

static void one_round(struct attack *a)
{
	uint32_t corruptions = dice_below(&a->dice, CORRUPTIONS_MAX + 1);

	if (!a->is_shrunk)
		attack_traffic(a->machine, &a->dice);
	if (dice_one_in(&a->dice, 4))
		turn(a);
	for (; corruptions > 0 && !a->is_shrunk; corruptions--)
		attack_corrupt(a->machine, &a->dice);
	if (dice_one_in(&a->dice, 8))
		shrink(a);
	machine_kick(a->machine, dice_below(&a->dice, 2 * a->machine->cfg.pairs));
	turn(a);
	if (dice_one_in(&a->dice, 4))
		attack_send_any(a);
}

/* Until the back end has done what came before. */
static void synchronise(struct attack *a)
{
	uint8_t reply[VHOST_USER_HDR_SIZE + sizeof(uint64_t)];
	struct vmm *v = &a->machine->vmm;

	if (a->is_spoilt || a->is_over || v->turn)
		return;
	if (vmm_send(v, VHOST_USER_GET_QUEUE_NUM, VMM_VERSION, NULL, 0, NULL, 0) == 0)
		(void)recv(v->fd, reply, sizeof(reply), 0);
}

void attack_run(struct machine *m, uint64_t seed)
{
	static struct attack a;

	a = (struct attack){.dice = {.state = seed}, .machine = m};
	open_junk(a.junk);
	a.log_fd = memory_file(&a.dice);
	a.inflight_fd = memory_file(&a.dice);
	attack_write_script(&a);
	attack_send_script(&a);
	synchronise(&a);
	for (uint32_t n = dice_below(&a.dice, ROUNDS_MAX + 1); n > 0 && !a.is_over; n--)
		one_round(&a);
	synchronise(&a);
	vmm_close(&m->vmm);
	turn(&a);
	for (int i = 0; i < ATTACK_JUNK; i++)
		(void)close(a.junk[i]);
	(void)close(a.log_fd);
	(void)close(a.inflight_fd);
}
