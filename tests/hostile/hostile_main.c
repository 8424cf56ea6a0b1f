/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile peers of a program that listens:
 *
 *	hostile vhost-user|stream|dgram|bess PATH SEED COUNT
 *
 * Attacks so many times, each with a connection of its own (dgram: all from one name), and tells how many of them were
 * let in. It does not judge: whether the program still serves a good guest is for others to see.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "attack.h"
#include "framing.h"

_Noreturn static void fail(const char *what, int error)
{
	(void)fprintf(stderr, "hostile: %s: %s\n", what, strerror(error));
	exit(1);
}

static struct sockaddr_un address(const char *path, const char *more)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s%s", path, more);

	if (n < 0 || (size_t)n >= sizeof(addr.sun_path))
		fail(path, ENAMETOOLONG);
	return addr;
}

static int open_socket(const char *path, int type)
{
	struct sockaddr_un addr = address(path, "");
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket", errno);
	if (type == SOCK_DGRAM) {
		struct sockaddr_un own = address(path, ".own");

		(void)unlink(own.sun_path);
		if (bind(fd, (const struct sockaddr *)&own, sizeof(own)))
			fail(own.sun_path, errno);
	}
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)))
		fail(path, errno);
	return fd;
}

/* Whether the back end serves this connection: it turns away a second one while it still has the first. */
static bool is_served(struct vmm *v)
{
	uint64_t number;

	return vmm_get(v, VHOST_USER_GET_QUEUE_NUM, &number) == 0;
}

static uint32_t attack_vhost_user(const char *path, uint64_t seed, uint32_t count)
{
	uint32_t done = 0;

	for (uint32_t i = 0; i < count; i++, seed++) {
		struct machine_config c = attack_machine(seed);
		struct machine m;
		int err = machine_init(&m, &c);

		if (err)
			fail("memory", -err);
		do {
			vmm_close(&m.vmm);
			err = vmm_connect(&m.vmm, path);
			if (err)
				fail(path, -err);
		} while (!is_served(&m.vmm));
		attack_run(&m, seed);
		machine_fini(&m);
		done++;
	}
	return done;
}

/* Waits for the end of what the program has to say. */
static void hang_up(int fd)
{
	struct timeval patience = {.tv_sec = VMM_PATIENCE_S};
	char bytes[4096];

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	(void)shutdown(fd, SHUT_WR);
	while (recv(fd, bytes, sizeof(bytes), 0) > 0)
		;
	(void)close(fd);
}

static uint32_t attack_framing(const char *path, int type, uint64_t seed, uint32_t count)
{
	int fd = type == SOCK_DGRAM ? open_socket(path, type) : -1;
	uint32_t done = 0;

	for (uint32_t i = 0; i < count; i++, seed++) {
		struct framing_peer p = {.type = type, .dice = {.state = seed}};

		p.fd = fd >= 0 ? fd : open_socket(path, type);
		framing_attack(&p);
		if (fd < 0)
			hang_up(p.fd);
		done += !p.is_over;
	}
	return done;
}

int main(int argc, char **argv)
{
	uint64_t seed;
	uint32_t count;
	uint32_t done;

	if (argc != 5)
		fail("usage: hostile KIND PATH SEED COUNT", EINVAL);
	seed = strtoull(argv[3], NULL, 0);
	count = (uint32_t)strtoul(argv[4], NULL, 0);
	if (strcmp(argv[1], "vhost-user") == 0)
		done = attack_vhost_user(argv[2], seed, count);
	else if (strcmp(argv[1], "stream") == 0)
		done = attack_framing(argv[2], SOCK_STREAM, seed, count);
	else if (strcmp(argv[1], "dgram") == 0)
		done = attack_framing(argv[2], SOCK_DGRAM, seed, count);
	else if (strcmp(argv[1], "bess") == 0)
		done = attack_framing(argv[2], SOCK_SEQPACKET, seed, count);
	else
		fail(argv[1], EINVAL);
	(void)printf("%u\n", done);
	return 0;
}
