/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that a virtual machine monitor does with libsluice: it makes an engine, tells the guest its
 * addresses, and carries frames between the guest's network card and the ring.
 *
 *	vmm_stub [--thread] [NAME=VALUE]...
 *
 * NAME=VALUE are options of sluice run. The guest here is no virtual machine, but two frames: it asks for the
 * gateway's MAC address and pings it. (With the option net=host; otherwise the gateway is silent.)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/sluice.h>

enum {
	OPTIONS_MAX = 32,
	FRAME_MAX = 128,
};

struct vmm {
	struct sluice_engine *engine;
	struct sluice_ring *ring;
	struct sluice_interface interface;
	int answers; /* that the guest got */
};

static void die(const char *what, int err)
{
	fprintf(stderr, "vmm_stub: %s: %s\n", what, strerror(-err));
	exit(1);
}

/* ---- the guest: a driver that sends two frames, one after the other's answer ---- */

/* Internet checksum of an even number of bytes. */
static uint16_t checksum(const uint8_t *bytes, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static size_t ethernet(const struct vmm *v, uint8_t *f, const uint8_t *to, uint16_t type)
{
	uint16_t wire = htons(type);

	memcpy(f, to, 6);
	memcpy(f + 6, v->interface.guest_mac, 6);
	memcpy(f + 12, &wire, 2);
	return 14;
}

static size_t arp_request(const struct vmm *v, uint8_t *f)
{
	static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t fixed[8] = {0, 1, 8, 0, 6, 4, 0, 1};
	size_t at = ethernet(v, f, broadcast, 0x0806);

	memcpy(f + at, fixed, 8);
	memcpy(f + at + 8, v->interface.guest_mac, 6);
	memcpy(f + at + 14, v->interface.guest_v4, 4);
	memset(f + at + 18, 0, 6);
	memcpy(f + at + 24, v->interface.gateway_v4, 4);
	return at + 28;
}

static size_t echo_request(const struct vmm *v, uint8_t *f)
{
	static const uint8_t ip[12] = {0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0};
	static const uint8_t icmp[8] = {8, 0, 0, 0, 0x12, 0x34, 0, 1};
	size_t at = ethernet(v, f, v->interface.gateway_mac, 0x0800);
	uint16_t sum;

	memcpy(f + at, ip, 12);
	memcpy(f + at + 12, v->interface.guest_v4, 4);
	memcpy(f + at + 16, v->interface.gateway_v4, 4);
	memcpy(f + at + 20, icmp, 8);
	sum = checksum(f + at, 20);
	memcpy(f + at + 10, &sum, 2);
	sum = checksum(f + at + 20, 8);
	memcpy(f + at + 22, &sum, 2);
	return at + 28;
}

/* The guest's next frame; its length. */
static size_t guest_says(const struct vmm *v, uint8_t *f)
{
	return v->answers == 0 ? arp_request(v, f) : echo_request(v, f);
}

static void guest_hears(struct vmm *v, const uint8_t *f, size_t len)
{
	if (v->answers == 0 && len >= 42 && f[12] == 8 && f[13] == 6 && f[21] == 2) {
		printf("the gateway has the MAC address "
		       "%02x:%02x:%02x:%02x:%02x:%02x\n",
		    f[22], f[23], f[24], f[25], f[26], f[27]);
		v->answers = 1;
	} else if (v->answers == 1 && len >= 42 && f[12] == 8 && f[13] == 0 && f[34] == 0) {
		printf("the gateway has answered a ping\n");
		v->answers = 2;
	}
}

/* ---- the device ---- */

/* The driver has put a frame into its queue. */
static void transmit(struct vmm *v)
{
	uint8_t header[SLUICE_HEADER_LEN] = {0};
	uint8_t frame[FRAME_MAX];
	struct iovec iov[2] = {{.iov_base = header, .iov_len = sizeof(header)},
	    {.iov_base = frame, .iov_len = guest_says(v, frame)}};
	int err = sluice_ring_push(v->ring, iov, 2);

	/* A device leaves the frame where it is, and goes on at SLUICE_EVENT_ROOM. */
	if (err)
		die("the ring has refused a frame", err);
}

/* Gives the driver all frames that there are. */
static void receive(struct vmm *v)
{
	struct sluice_frame f;

	while (sluice_ring_stage(v->ring, &f) == 1) {
		guest_hears(v, f.bytes + SLUICE_HEADER_LEN, f.len - SLUICE_HEADER_LEN);
		sluice_ring_consume(v->ring);
	}
}

/* Waits for the engine, if it runs here, and for frames. */
static void wait_and_turn(struct vmm *v)
{
	struct pollfd p[2] = {{.fd = sluice_ring_fd(v->ring), .events = POLLIN},
	    {.fd = sluice_engine_fd(v->engine), .events = POLLIN}};

	sluice_ring_flush(v->ring);
	if (poll(p, 2, -1) < 0 && errno != EINTR)
		die("poll", -errno);
	if (p[0].revents != 0)
		(void)sluice_ring_events(v->ring);
	if (p[1].revents != 0) {
		int result = sluice_engine_turn(v->engine);

		if (result < 0)
			die("the engine has failed", result);
	}
}

static void run(struct vmm *v)
{
	/* What the driver has accepted of sluice_ring_features(): here, nothing. */
	int err = sluice_ring_attach(v->ring, 0);

	if (err)
		die("the ring cannot be attached", err);
	while (v->answers < 2) {
		int answers = v->answers;

		transmit(v);
		/* Only what was asked for is told: so first all is taken that there is. */
		for (receive(v); v->answers == answers; receive(v))
			wait_and_turn(v);
	}
}

/* ---- start ---- */

static void read_option(char *arg, struct sluice_config *c, struct sluice_option *options)
{
	char *value = strchr(arg, '=');

	if (strcmp(arg, "--thread") == 0) {
		c->flags |= SLUICE_OWN_THREAD;
		return;
	}
	if (!value || c->option_count == OPTIONS_MAX) {
		fprintf(stderr, "vmm_stub: '%s' is no NAME=VALUE, or one too many\n", arg);
		exit(1);
	}
	*value = '\0';
	options[c->option_count++] = (struct sluice_option){.name = arg, .value = value + 1};
}

static void print_counters(const struct vmm *v)
{
	const char *name;
	uint64_t value;

	for (uint32_t i = 0; sluice_engine_counter(v->engine, i, &name, &value) == 0; i++)
		if (value > 0)
			printf("%-28s %12llu\n", name, (unsigned long long)value);
}

int main(int argc, char **argv)
{
	struct sluice_option options[OPTIONS_MAX];
	struct sluice_config config = SLUICE_CONFIG_INIT;
	struct vmm v = {.interface = {.size = sizeof(v.interface)}};
	struct sluice_error error;

	config.options = options;
	for (int i = 1; i < argc; i++)
		read_option(argv[i], &config, options);
	if (sluice_engine_new(&config, &v.engine, &error) < 0) {
		fprintf(stderr, "vmm_stub: %s\n", error.text);
		return 1;
	}
	v.ring = sluice_engine_ring(v.engine);
	if (sluice_engine_interface(v.engine, &v.interface) < 0 || !v.interface.has_v4) {
		fprintf(stderr, "vmm_stub: there is no IPv4; use the option ipv4=ADDRESS\n");
		return 1;
	}
	for (const char *const *e = sluice_engine_environment(v.engine); *e; e++)
		printf("%s\n", *e);
	run(&v);
	if ((config.flags & SLUICE_OWN_THREAD) == 0)
		print_counters(&v);
	sluice_engine_free(v.engine);
	return 0;
}
