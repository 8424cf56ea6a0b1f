/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libsluice as a VMM sees it: the shared library through its public header. The guest is a few frames made by hand;
 * what the engine forwards goes to a name server of this test on the loopback. Rows of reference.md are named
 * where a test is their counterpart.
 */
#include "unit.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/settings.h"
#include "frames.h"
#include "sluice/sluice.h"

enum {
	OPTIONS_MAX = 16,
	LINES_MAX = 4096,
	ENGINES = 20,
	FLOOD = 32768, /* the largest queue */
	CSUM = 1 << 1, /* VIRTIO_NET_F_GUEST_CSUM */
};

/* Both families in use, whatever the machine that the test runs on has. */
#define BOTH_FAMILIES                                                                              \
	{"ipv4", "100.96.0.2"},                                                                    \
	{                                                                                          \
		"ipv6", "fd42:6d73:62::2"                                                          \
	}

struct guest {
	struct sluice_engine *engine;
	struct sluice_ring *ring;
	bool has_thread;
	uint8_t got[2000]; /* the last frame, without its virtio-net header */
	size_t got_len;
};

static struct sluice_config config_of(
    const struct sluice_option *options, size_t count, uint32_t flags)
{
	struct sluice_config c = SLUICE_CONFIG_INIT;

	c.options = options;
	c.option_count = count;
	c.flags = flags;
	return c;
}

static struct guest guest_of(const struct sluice_config *c)
{
	struct guest g = {.has_thread = (c->flags & SLUICE_OWN_THREAD) != 0};
	struct sluice_error error;

	if (sluice_engine_new(c, &g.engine, &error) != 0)
		fail_msg("%s", error.text);
	g.ring = sluice_engine_ring(g.engine);
	assert_int_equal(sluice_ring_attach(g.ring, CSUM), 0);
	return g;
}

static struct guest guest_new(uint32_t flags)
{
	static const struct sluice_option options[] = {BOTH_FAMILIES, {"net", "host"}};
	struct sluice_config c = config_of(options, 3, flags);

	return guest_of(&c);
}

static bool is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* ---- frames ---- */

static void send_frame(struct guest *g, uint8_t *frame, size_t len)
{
	uint8_t header[SLUICE_HEADER_LEN] = {0};
	struct iovec iov[2] = {
	    {.iov_base = header, .iov_len = sizeof(header)}, {.iov_base = frame, .iov_len = len}};

	assert_int_equal(sluice_ring_push(g->ring, iov, 2), 0);
	sluice_ring_flush(g->ring);
}

/* Waits for what there is to wait for, and does it. */
static void turn(struct guest *g)
{
	struct pollfd p[2] = {{.fd = sluice_ring_fd(g->ring), .events = POLLIN},
	    {.fd = sluice_engine_fd(g->engine), .events = POLLIN}};

	while (poll(p, 2, -1) < 0)
		assert_int_equal(errno, EINTR);
	if (p[0].revents != 0)
		(void)sluice_ring_events(g->ring);
	if (p[1].revents != 0)
		assert_int_equal(sluice_engine_turn(g->engine), 0);
}

/* The next frame for the guest that is of this ethertype; others are dropped. */
static void receive(struct guest *g, uint16_t ethertype)
{
	struct sluice_frame f;

	for (;;) {
		bool is_wanted;

		while (sluice_ring_stage(g->ring, &f) == 0)
			turn(g);
		g->got_len = f.len - SLUICE_HEADER_LEN;
		assert_true(g->got_len <= sizeof(g->got));
		memcpy(g->got, f.bytes + SLUICE_HEADER_LEN, g->got_len);
		is_wanted = mk_get16(g->got + 12) == ethertype;
		if (is_wanted)
			sluice_ring_consume(g->ring);
		else
			sluice_ring_drop(g->ring);
		if (is_wanted)
			return;
	}
}

/* The guest finds the gateway. */
static void resolve(struct guest *g)
{
	uint8_t frame[60] = {0};

	(void)hex_put(frame,
	    "ffffffffffff" MK_GUEST_MAC "0806 0001 0800 06 04 0001" MK_GUEST_MAC MK_GUEST4
	    "000000000000" MK_GATEWAY4);
	send_frame(g, frame, sizeof(frame));
	receive(g, 0x0806);
	assert_int_equal(mk_get16(g->got + 20), 2);
	(void)hex_put(frame, MK_GATEWAY_MAC);
	assert_memory_equal(g->got + 22, frame, 6);
}

static void ping_gateway(struct guest *g)
{
	uint8_t frame[98] = {0};

	(void)mk_ip4(frame, MK_GUEST4, MK_GATEWAY4, 1, 64, 1, 0);
	(void)hex_put(frame + MK_IP4_L4, "0800 0000 1234 0001");
	for (size_t i = 0; i < 56; i++)
		frame[MK_IP4_L4 + 8 + i] = (uint8_t)i;
	mk16(frame + MK_IP4_L4 + 2, mk_l4_sum(frame, MK_IP4_L4, 64, 1));
	send_frame(g, frame, sizeof(frame));
	receive(g, 0x0800);
	assert_int_equal(g->got_len, sizeof(frame));
	assert_int_equal(g->got[MK_IP4_L4], 0);
	assert_memory_equal(g->got + MK_IP4_L4 + 4, frame + MK_IP4_L4 + 4, 60);
}

static uint64_t counter(const struct guest *g, const char *wanted)
{
	const char *name;
	uint64_t value;

	for (uint32_t i = 0; sluice_engine_counter(g->engine, i, &name, &value) == 0; i++)
		if (strcmp(name, wanted) == 0)
			return value;
	fail_msg("there is no counter %s", wanted);
	return 0;
}

/* ---- a name server ---- */

static int nameserver_new(char text[32])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	(void)snprintf(text, 32, "127.0.0.1:%u", ntohs(a.sin_port));
	return fd;
}

/* Answers one query with 93.184.216.34. */
static void answer(int fd)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	uint8_t m[512];
	ssize_t n = recvfrom(fd, m, sizeof(m), 0, (struct sockaddr *)&from, &len);
	size_t end = 12;

	assert_true(n > 12);
	while (m[end] != 0)
		end += 1U + m[end];
	end += 5;
	(void)hex_put(m + 2, "8180 0001 0001 0000 0000");
	end += hex_put(m + end, "c00c 0001 0001 0000003c 0004 5db8d822");
	assert_int_equal(sendto(fd, m, end, 0, (struct sockaddr *)&from, len), end);
}

static size_t dns_query(uint8_t *frame)
{
	size_t len = 12 + 13 + 4;

	(void)mk_ip4(frame, MK_GUEST4, MK_GATEWAY4, 17, 8 + len, 2, 0);
	(void)mk_udp(frame, MK_IP4_L4, 40000, 53, len, 0);
	(void)hex_put(frame + MK_IP4_L4 + 8, "4242 0100 0001 0000 0000 0000"
					     "07 6578616d706c65 03 636f6d 00 0001 0001");
	mk16(frame + MK_IP4_L4 + 6, 0);
	mk16(frame + MK_IP4_L4 + 6, mk_l4_sum(frame, MK_IP4_L4, 8 + len, 17));
	return MK_IP4_L4 + 8 + len;
}

/* A query goes out and its answer comes in, through the host's sockets; the next ones are answered at once. */
static void resolve_name(struct guest *g, int server, bool is_cached)
{
	uint8_t frame[128] = {0};
	size_t len = dns_query(frame);

	send_frame(g, frame, len);
	while (!is_cached && !g->has_thread && !is_readable(server))
		turn(g);
	if (!is_cached)
		answer(server);
	receive(g, 0x0800);
	assert_int_equal(mk_get16(g->got + MK_IP4_L4), 53);
	assert_int_equal(mk_get16(g->got + MK_IP4_L4 + 8), 0x4242);
	(void)hex_put(frame, "5db8d822");
	assert_memory_equal(g->got + g->got_len - 4, frame, 4);
}

/* ---- configuration ---- */

static void wrong_configurations_are_refused_in_one_sentence(void **state)
{
	static const struct {
		struct sluice_option option;
		const char *text;
	} wrong[] = {
	    {{"mtu", "99"}, "option mtu 99 is not possible; use a number from 1280 to 65520"},
	    {{"mtu", ""}, "option mtu  is not possible; use a number from 1280 to 65520"},
	    {{"nonsense", "1"}, "there is no option nonsense; sluice_options() lists them"},
	    {{"non\nsense", "1"}, "there is no option non?sense; sluice_options() lists them"},
	    {{"mtu", "\33[31m\177"},
		"option mtu ?[31m? is not possible; use a number from 1280 to 65520"},
	    {{"--mtu", "1500"}, "there is no option --mtu; sluice_options() lists them"},
	    {{NULL, "1500"}, "an option has no name or no value"},
	    {{"mtu", NULL}, "an option has no name or no value"},
	    {{"net-default-egress", "maybe"},
		"option net-default-egress maybe is not possible; use allow or deny"},
	    {{"publish", "80"},
		"option publish 80 names one port only; use [ADDRESS:]PORT:GUEST-PORT"
		"[/tcp|/udp|/http], with IPv6 addresses in brackets"},
	    {{"publish-source", "me"},
		"option publish-source me is not possible; use gateway or client"},
	    {{"publish-proxy", "1"}, "option publish-proxy 1 is not possible; use on or off"},
	    {{"ipv4", "100.96.0.3"},
		"option ipv4 100.96.0.3 has no room for its gateway, the address before it, in one "
		"/30; use an address whose last number is 2 more than a multiple of 4"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct sluice_config c = config_of(&wrong[i].option, 1, 0);
		struct sluice_engine *e = NULL;
		struct sluice_error error;

		assert_int_equal(sluice_engine_new(&c, &e, &error), -EINVAL);
		assert_int_equal(error.code, -EINVAL);
		assert_string_equal(error.text, wrong[i].text);
		assert_null(e);
		assert_int_equal(sluice_engine_new(&c, &e, NULL), -EINVAL);
	}
}

/* Which most VMMs meet first: an engine has some descriptors, and each of its connections one. */
static void too_few_descriptors_are_told_with_the_remedy(void **state)
{
	struct sluice_config c = config_of(NULL, 0, 0);
	struct rlimit before;
	struct rlimit few;
	struct sluice_engine *e;
	struct sluice_error error;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(sluice_engine_new(&c, &e, &error), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(error.code, -EMFILE);
	assert_non_null(strstr(error.text, "Too many open files; raise the limit of open files"));
}

static void a_wrong_rule_is_shown_with_its_place(void **state)
{
	struct sluice_option o[] = {{"net-rule", "allow@example.com:tcq"}, {"net", "publik"}};
	struct sluice_config c = config_of(o, 1, 0);
	struct sluice_engine *e;
	struct sluice_error error;

	(void)state;
	assert_int_equal(sluice_engine_new(&c, &e, &error), -EINVAL);
	assert_non_null(strstr(error.text, "option net-rule 'allow@example.com:tcq', column "));
	c.options = o + 1;
	assert_int_equal(sluice_engine_new(&c, &e, &error), -EINVAL);
	assert_non_null(strstr(error.text, "option net 'publik', column 1: "));
}

static void fields_of_another_version_are_refused_unless_they_are_zero(void **state)
{
	struct {
		struct sluice_config c;
		uint64_t newer;
	} c = {.c = {.size = sizeof(c)}, .newer = 1};
	struct sluice_config old = {.size = sizeof(old) - 1};
	struct sluice_config unset = {.size = SIZE_MAX};
	struct sluice_interface interface = {.size = SIZE_MAX - 1};
	struct sluice_config other = SLUICE_CONFIG_INIT;
	struct sluice_engine *e;
	struct sluice_error error;

	(void)state;
	assert_int_equal(sluice_engine_new(&c.c, &e, &error), -E2BIG);
	assert_string_equal(
	    error.text, "the configuration has fields that libsluice 0.1.0 does not know");
	c.newer = 0;
	assert_int_equal(sluice_engine_new(&c.c, &e, &error), 0);
	sluice_engine_free(e);
	assert_int_equal(sluice_engine_new(&old, &e, &error), -EINVAL);
	assert_string_equal(
	    error.text, "the configuration has no right size; begin with SLUICE_CONFIG_INIT");
	assert_int_equal(sluice_engine_new(&unset, &e, &error), -EINVAL);
	assert_int_equal(sluice_engine_new(&other, &e, &error), 0);
	assert_int_equal(sluice_engine_interface(e, &interface), -EINVAL);
	sluice_engine_free(e);
	other.flags = 1U << 31;
	assert_int_equal(sluice_engine_new(&other, &e, &error), -EINVAL);
	other.flags = 0;
	other.tx_frames = 32769;
	assert_int_equal(sluice_engine_new(&other, &e, &error), -EINVAL);
	assert_string_equal(
	    error.text, "a queue of 32769 frames is not possible; use at most 32768");
}

/* Options go over the document: settings replace, a list of resolvers as a whole, rules come before. */
static void a_document_says_what_options_do_not(void **state)
{
	static const struct sluice_option options[] = {{"ipv4", "100.96.0.6"}, {"mtu", "1400"}};
	struct sluice_config c = config_of(options, 2, 0);
	struct sluice_interface i = {.size = sizeof(i)};
	struct sluice_engine *e;
	struct sluice_error error;

	(void)state;
	c.document =
	    "interface: {mtu: 9000, ipv4_address: 100.96.0.10, mac: \"02:00:00:00:00:09\"}\n"
	    "policy: {rules: [allow@example.com]}\n";
	if (sluice_engine_new(&c, &e, &error) != 0)
		fail_msg("%s", error.text);
	assert_int_equal(sluice_engine_interface(e, &i), 0);
	assert_int_equal(i.mtu, 1400);
	assert_int_equal(i.guest_v4[3], 6);
	assert_int_equal(i.guest_mac[5], 9);
	sluice_engine_free(e);
	c.document = "policy:\n  rules: [allow@public]\n  rulez: []\n  defualt: 1\n";
	assert_int_equal(sluice_engine_new(&c, &e, &error), -EINVAL);
	assert_string_equal(error.text,
	    "document, line 3, column 3: policy.rulez: unknown key: did you "
	    "mean 'rules'?");
	c.document = "enabled: false";
	assert_int_equal(sluice_engine_new(&c, &e, &error), -EINVAL);
	assert_string_equal(error.text,
	    "the document says that there is to be no network; then there is no engine");
}

/* What the library takes is what the command line takes. */
static void all_settings_are_options(void **state)
{
	const char *const *names = sluice_options();
	size_t first = 7; /* behind those about rules and published ports */
	size_t i = first;

	(void)state;
	assert_string_equal(sluice_version(), "0.1.0");
	for (; settings_name(i - first); i++)
		assert_string_equal(names[i], settings_name(i - first));
	assert_null(names[i]);
}

/* ---- published ports ---- */

static void take_port(void *ctx, const char *line, size_t len)
{
	const char *at = strstr(line, "\"host_port\":");

	(void)len;
	if (at)
		*(long *)ctx = strtol(at + 12, NULL, 10);
}

/* F1: a client of the host is a SYN from the gateway; a refusal of the guest resets the client. */
static void a_published_port_leads_to_the_guest(void **state)
{
	static const struct sluice_option options[] = {BOTH_FAMILIES, {"publish", "0:80"}};
	struct sluice_config c = config_of(options, 3, 0);
	struct sockaddr_in to = {.sin_family = AF_INET};
	uint8_t frame[54];
	uint8_t gateway[4];
	long port = 0;
	struct guest g;
	int client = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	c.on_event = take_port;
	c.ctx = &port;
	g = guest_of(&c);
	assert_in_range(port, 1, 65535);
	to.sin_port = htons((uint16_t)port);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(client, (struct sockaddr *)&to, sizeof(to)), 0);
	receive(&g, 0x0800);
	(void)hex_put(gateway, MK_GATEWAY4);
	assert_memory_equal(g.got + 26, gateway, 4);
	assert_int_equal(mk_get16(g.got + MK_IP4_L4 + 2), 80);
	assert_int_equal(g.got[MK_IP4_L4 + 13], 2); /* SYN */
	(void)mk_ip4(frame, MK_GUEST4, MK_GATEWAY4, 6, 20, 1, 0);
	memset(frame + MK_IP4_L4, 0, 20);
	memcpy(frame + MK_IP4_L4, g.got + MK_IP4_L4 + 2, 2);
	memcpy(frame + MK_IP4_L4 + 2, g.got + MK_IP4_L4, 2);
	memcpy(frame + MK_IP4_L4 + 8, g.got + MK_IP4_L4 + 4, 4);
	frame[MK_IP4_L4 + 11]++;
	frame[MK_IP4_L4 + 12] = 0x50;
	frame[MK_IP4_L4 + 13] = 0x14; /* RST, ACK */
	mk16(frame + MK_IP4_L4 + 16, mk_l4_sum(frame, MK_IP4_L4, 20, 6));
	send_frame(&g, frame, sizeof(frame));
	while (!is_readable(client))
		turn(&g);
	assert_int_equal(recv(client, frame, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(client);
	sluice_engine_free(g.engine);
}

static void a_port_in_use_is_an_error(void **state)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t len = sizeof(at);
	char document[64];
	char text[64];
	struct sluice_option o = {"publish", text};
	struct sluice_config c = config_of(&o, 1, 0);
	struct sluice_engine *e = NULL;
	struct sluice_error error;
	int taken = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(taken, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(taken, 1), 0);
	assert_int_equal(getsockname(taken, (struct sockaddr *)&at, &len), 0);
	(void)snprintf(text, sizeof(text), "%u:80", ntohs(at.sin_port));
	assert_int_equal(sluice_engine_new(&c, &e, &error), -EADDRINUSE);
	assert_non_null(strstr(error.text, "the port is in use already"));

	(void)snprintf(document, sizeof(document),
	    "{\"ports\": [{\"host_port\": %u, \"guest_port\": 80}]}", ntohs(at.sin_port));
	c.document = document;
	c.option_count = 0;
	assert_int_equal(sluice_engine_new(&c, &e, &error), -EADDRINUSE);
	(void)snprintf(
	    text, sizeof(text), "ports: 127.0.0.1:%u:80/tcp is not possible", ntohs(at.sin_port));
	assert_non_null(strstr(error.text, text));
	close(taken);
}

static int knock(uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	int client = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(client, (struct sockaddr *)&to, sizeof(to)) == 0)
		return client;
	assert_int_equal(errno, ECONNREFUSED);
	close(client);
	return -1;
}

static void ports_come_and_go_while_the_engine_runs(void **state)
{
	struct guest g = guest_new(0);
	struct sluice_error error;
	uint64_t first;
	uint64_t second;
	uint16_t host_port = 0;
	char text[32];
	int client;

	(void)state;
	assert_int_equal(sluice_publish_remove(g.engine, 0), -ENOENT);
	assert_int_equal(sluice_publish_add(g.engine, "80", &first, NULL, &error), -EINVAL);
	assert_non_null(strstr(error.text, "port 80 names one port only"));
	assert_int_equal(sluice_publish_add(g.engine, "0:80", &first, &host_port, &error), 0);
	assert_int_not_equal(host_port, 0);
	(void)snprintf(text, sizeof(text), "%u:81", host_port);
	assert_int_equal(sluice_publish_add(g.engine, text, &second, NULL, &error), -EADDRINUSE);
	assert_int_equal(sluice_publish_add(g.engine, "0:81/udp", &second, NULL, NULL), 0);
	client = knock(host_port);
	assert_true(client >= 0);
	receive(&g, 0x0800);
	assert_int_equal(mk_get16(g.got + MK_IP4_L4 + 2), 80);
	assert_int_equal(sluice_publish_remove(g.engine, first), 0);
	assert_int_equal(knock(host_port), -1);
	assert_int_equal(sluice_publish_remove(g.engine, first), -ENOENT);
	assert_int_equal(sluice_publish_remove(g.engine, first + (1ULL << 32)), -ENOENT);
	assert_int_equal(sluice_publish_remove(g.engine, first + (1ULL << 31)), -ENOENT);
	assert_int_equal(sluice_publish_add(g.engine, text, &first, NULL, &error), 0);
	assert_int_equal(sluice_publish_remove(g.engine, second), 0);
	close(client);
	sluice_engine_free(g.engine);
}

static void an_engine_with_a_thread_takes_no_ports_while_it_runs(void **state)
{
	struct guest g = guest_new(SLUICE_OWN_THREAD);
	uint64_t port;

	(void)state;
	assert_int_equal(sluice_publish_add(g.engine, "0:80", &port, NULL, NULL), -ENOTSUP);
	assert_int_equal(sluice_publish_remove(g.engine, 1ULL << 32), -ENOTSUP);
	sluice_engine_free(g.engine);
}

/* ---- what the guest is told ---- */

/* 1.2.2, 1.2.3, 1.2.5, 1.2.7. */
static void the_interface_is_told_in_values(void **state)
{
	static const struct sluice_option options[] = {
	    {"slot", "513"}, {"ipv4", "10.1.2.6"}, {"ipv6", "fd00::1:2"}, {"mtu", "9000"}};
	struct sluice_config c = config_of(options, 4, 0);
	struct guest g = guest_of(&c);
	struct {
		struct sluice_interface i;
		uint64_t newer;
	} wide = {.i.size = sizeof(wide), .newer = 5};
	struct sluice_interface i = {.size = sizeof(i)};
	uint8_t expected[16];

	(void)state;
	assert_int_equal(sluice_engine_interface(g.engine, &i), 0);
	(void)hex_put(expected, "026d73020102");
	assert_memory_equal(i.guest_mac, expected, 6);
	(void)hex_put(expected, "026d73020101");
	assert_memory_equal(i.gateway_mac, expected, 6);
	assert_int_equal(i.mtu, 9000);
	assert_int_equal(i.has_v4, 1);
	assert_int_equal(i.has_v6, 1);
	assert_int_equal(i.prefix_len_v4, 30);
	assert_int_equal(i.prefix_len_v6, 64);
	(void)hex_put(expected, "0a010206");
	assert_memory_equal(i.guest_v4, expected, 4);
	(void)hex_put(expected, "0a010205");
	assert_memory_equal(i.gateway_v4, expected, 4);
	(void)hex_put(expected, "fd000000000000000000000000010002");
	assert_memory_equal(i.guest_v6, expected, 16);
	(void)hex_put(expected, "fd000000000000000000000000000001");
	assert_memory_equal(i.gateway_v6, expected, 16);

	assert_int_equal(sluice_engine_interface(g.engine, &wide.i), 0);
	assert_int_equal(wide.i.mtu, 9000);
	assert_int_equal(wide.newer, 0);
	i.size--;
	assert_int_equal(sluice_engine_interface(g.engine, &i), -EINVAL);
	sluice_engine_free(g.engine);
}

/* 1.2.9. */
static void the_interface_is_told_in_the_strings_of_the_reference(void **state)
{
	struct guest g = guest_new(0);
	const char *const *env = sluice_engine_environment(g.engine);
	char text[300];
	int len;

	(void)state;
	assert_string_equal(env[0], "MSB_NET=iface=eth0,mac=02:6d:73:00:00:02,mtu=1500");
	assert_string_equal(env[1], "MSB_NET_IPV4=addr=100.96.0.2/30,gw=100.96.0.1,dns=100.96.0.1");
	assert_string_equal(env[2], "MSB_NET_IPV6=addr=fd42:6d73:62::2/64,gw=fd42:6d73:62::1,dns="
				    "fd42:6d73:62::1");
	assert_string_equal(env[3], "MSB_HOST_ALIAS=host.microsandbox.internal");
	assert_null(env[4]);

	len = sluice_engine_resolv_conf(g.engine, text, sizeof(text));
	assert_int_equal(len, strlen(text));
	assert_non_null(strstr(text, "\nnameserver 100.96.0.1\nnameserver fd42:6d73:62::1\n"));
	assert_int_equal(sluice_engine_resolv_conf(g.engine, text, (size_t)len + 1), len);
	assert_int_equal(sluice_engine_resolv_conf(g.engine, text, (size_t)len), -ENOSPC);
	assert_int_equal(sluice_engine_resolv_conf(g.engine, text, 0), -ENOSPC);
	len = sluice_engine_hosts(g.engine, "box", text, sizeof(text));
	assert_int_equal(len, strlen(text));
	assert_non_null(strstr(text, "\n127.0.1.1\tbox\n"));
	assert_non_null(strstr(text, "100.96.0.1\thost.sluice.internal"));
	assert_true(sluice_engine_hosts(g.engine, NULL, text, sizeof(text)) < len);
	sluice_engine_free(g.engine);
}

/* ---- running ---- */

/* 1.1.1: one thread, or none of its own, does all. */
static void frames_and_names_pass_in_the_callers_thread(void **state)
{
	struct sluice_option options[] = {BOTH_FAMILIES, {"dns-nameserver", NULL}};
	struct sluice_config c = config_of(options, 3, 0);
	char server_text[32];
	int server = nameserver_new(server_text);
	struct guest g;

	(void)state;
	options[2].value = server_text;
	g = guest_of(&c);
	resolve(&g);
	for (int i = 0; i < 3; i++)
		resolve_name(&g, server, i > 0);
	sluice_engine_free(g.engine);
	(void)close(server);
}

static void frames_and_names_pass_with_a_thread_of_its_own(void **state)
{
	struct sluice_option options[] = {BOTH_FAMILIES, {"dns-nameserver", NULL}};
	struct sluice_config c = config_of(options, 3, SLUICE_OWN_THREAD);
	char server_text[32];
	int server = nameserver_new(server_text);
	struct guest g;

	(void)state;
	options[2].value = server_text;
	g = guest_of(&c);
	resolve(&g);
	for (int i = 0; i < 3; i++)
		resolve_name(&g, server, i > 0);
	assert_int_equal(sluice_engine_turn(g.engine), 0);
	sluice_engine_free(g.engine);
	(void)close(server);
}

/* 1.1.14: what comes from outside does not wait until all that the guest has sent is done. */
static void a_guest_that_floods_does_not_starve_what_comes_to_it(void **state)
{
	struct sluice_option options[] = {BOTH_FAMILIES, {"dns-nameserver", NULL}};
	struct sluice_config c = config_of(options, 3, 0);
	uint8_t header[SLUICE_HEADER_LEN] = {0};
	uint8_t frame[128] = {0};
	struct iovec iov[2] = {
	    {.iov_base = header, .iov_len = sizeof(header)}, {.iov_base = frame, .iov_len = 60}};
	char server_text[32];
	int server = nameserver_new(server_text);
	bool is_answered = false;
	uint64_t pushed = 2;
	struct sluice_frame f;
	struct guest g;

	(void)state;
	options[2].value = server_text;
	c.tx_frames = FLOOD;
	g = guest_of(&c);
	resolve(&g);
	send_frame(&g, frame, dns_query(frame));
	memset(frame, 0, sizeof(frame)); /* of no ethertype */
	(void)hex_put(frame, MK_GATEWAY_MAC MK_GUEST_MAC);
	while (sluice_ring_push(g.ring, iov, 2) == 0)
		pushed++;
	assert_true(pushed >= FLOOD);
	while (sluice_ring_stage(g.ring, &f) == 0) {
		assert_int_equal(sluice_engine_turn(g.engine), 0);
		if (!is_answered && is_readable(server)) {
			answer(server);
			is_answered = true;
		}
	}
	assert_int_equal(mk_get16(f.bytes + 12 + MK_IP4_L4), 53);
	assert_true(counter(&g, "nic_tx_frames") < pushed);
	sluice_engine_free(g.engine);
	(void)close(server);
}

/* 1.1.15: nothing wakes an idle engine. */
static void an_idle_engine_is_not_readable(void **state)
{
	struct guest g = guest_new(0);

	(void)state;
	while (is_readable(sluice_engine_fd(g.engine)))
		assert_int_equal(sluice_engine_turn(g.engine), 0);
	resolve(&g);
	while (is_readable(sluice_engine_fd(g.engine)))
		assert_int_equal(sluice_engine_turn(g.engine), 0);
	for (int i = 0; i < 100; i++)
		assert_false(is_readable(sluice_engine_fd(g.engine)));
	ping_gateway(&g);
	sluice_engine_free(g.engine);
}

/* 1.1.17: an engine ends when it is asked, in both ways of running. */
static void an_engine_that_is_asked_to_finish_ends(void **state)
{
	static const uint32_t flags[] = {0, SLUICE_OWN_THREAD};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct guest g = guest_new(flags[i]);
		int result = 0;

		resolve(&g);
		sluice_engine_finish(g.engine);
		sluice_engine_finish(g.engine);
		while (result == 0) {
			struct pollfd p = {.fd = sluice_engine_fd(g.engine), .events = POLLIN};

			if (g.has_thread)
				assert_int_equal(poll(&p, 1, -1), 1);
			result = sluice_engine_turn(g.engine);
		}
		assert_int_equal(result, SLUICE_ENDED);
		sluice_engine_free(g.engine);
	}
	sluice_engine_free(NULL);
}

static int count_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(d);
	while (readdir(d))
		count++;
	(void)closedir(d);
	return count;
}

/* Rule 12 of the design: no globals, and every guest may have the same addresses. */
static void many_engines_live_in_one_process(void **state)
{
	struct guest g[ENGINES];
	int descriptors = count_descriptors();

	(void)state;
	for (int i = 0; i < ENGINES; i++)
		g[i] = guest_new(i % 2 == 0 ? 0 : SLUICE_OWN_THREAD);
	for (int i = 0; i < ENGINES; i++)
		resolve(&g[i]);
	for (int i = ENGINES - 1; i >= 0; i -= 2)
		sluice_engine_free(g[i].engine);
	for (int i = 0; i < ENGINES; i += 2) {
		ping_gateway(&g[i]);
		sluice_engine_free(g[i].engine);
	}
	assert_int_equal(count_descriptors(), descriptors);
}

/* ---- offloads ---- */

/* The flags in the header of a segment to a guest whose driver has accepted these features: whether its checksum is to be
 * finished. If not, it is. */
static uint8_t flags_of_segment(uint64_t features)
{
	static const struct sluice_option options[] = {BOTH_FAMILIES, {"net", "none"}};
	struct sluice_config c = config_of(options, 3, 0);
	uint8_t frame[54] = {0};
	struct sluice_frame f;
	struct guest g;
	uint8_t flags;

	g = guest_of(&c);
	while (sluice_ring_detach(g.ring) == -EINPROGRESS)
		turn(&g);
	assert_int_equal(sluice_ring_attach(g.ring, features), 0);
	resolve(&g);
	(void)mk_ip4(frame, MK_GUEST4, MK_REMOTE4, 6, 20, 1, 0);
	(void)hex_put(frame + MK_IP4_L4, "c000 01bb 00000001 00000000 5002 ffff 0000 0000");
	mk16(frame + MK_IP4_L4 + 16, mk_l4_sum(frame, MK_IP4_L4, 20, 6));
	send_frame(&g, frame, sizeof(frame));
	while (sluice_ring_stage(g.ring, &f) == 0)
		turn(&g);
	assert_int_equal(f.bytes[12 + MK_IP4_L4 + 13] & 0x04, 0x04); /* a reset */
	flags = f.bytes[0];
	assert_int_equal(mk_l4_sum(f.bytes + 12, MK_IP4_L4, 20, 6) == 0, flags == 0);
	sluice_engine_free(g.engine);
	return flags;
}

/* 1.1.4: what may be offered, and what of it was accepted. */
static void offloads_are_those_that_the_driver_accepts(void **state)
{
	const uint64_t offered = 1ULL << 0 | 1ULL << 1 | 1ULL << 3 | 1ULL << 5 | 1ULL << 7 |
				 1ULL << 8 | 1ULL << 11 | 1ULL << 12 | 1ULL << 14 | 1ULL << 32 |
				 1ULL << 54 | 1ULL << 55 | 1ULL << 56;
	struct guest g = guest_new(0);

	(void)state;
	assert_int_equal(sluice_ring_features(g.ring), offered);
	sluice_engine_free(g.engine);
	g = guest_new(SLUICE_POST_RX);
	assert_int_equal(sluice_ring_features(g.ring), offered | 1ULL << 15);
	sluice_engine_free(g.engine);
	/* virtio 1.2, 5.1.3.1: offloads towards the guest need GUEST_CSUM. */
	assert_int_equal(flags_of_segment(0), 0);
	assert_int_equal(flags_of_segment(offered & ~(1ULL << 1)), 0);
	assert_int_equal(flags_of_segment(CSUM), 1);
}

/* ---- what is told ---- */

struct lines {
	char text[LINES_MAX];
	size_t len;
};

static void on_event(void *ctx, const char *line, size_t len)
{
	struct lines *l = ctx;

	assert_true(l->len + len < sizeof(l->text));
	memcpy(l->text + l->len, line, len);
	l->len += len;
}

/* 1.1.12: what was taken and delivered is counted, at both ends of the ring. */
static void denials_are_told_and_everything_is_counted(void **state)
{
	static const struct sluice_option options[] = {BOTH_FAMILIES, {"net", "none"}};
	struct sluice_config c = config_of(options, 3, 0);
	struct sluice_ring_counters counters = {.size = sizeof(counters)};
	struct lines lines = {.len = 0};
	uint8_t frame[54] = {0};
	struct guest g;

	(void)state;
	c.on_event = on_event;
	c.ctx = &lines;
	g = guest_of(&c);
	resolve(&g);
	(void)mk_ip4(frame, MK_GUEST4, MK_REMOTE4, 6, 20, 1, 0);
	(void)hex_put(frame + MK_IP4_L4, "c000 01bb 00000001 00000000 5002 ffff 0000 0000");
	mk16(frame + MK_IP4_L4 + 16, mk_l4_sum(frame, MK_IP4_L4, 20, 6));
	send_frame(&g, frame, sizeof(frame));
	receive(&g, 0x0800);
	assert_int_equal(counter(&g, "denied_tcp"), 1);
	assert_int_equal(counter(&g, "nic_tx_frames"), 2);
	assert_int_equal(counter(&g, "nic_tx_bytes"), 60 + 54);
	assert_int_equal(counter(&g, "nic_rx_frames"), 2);
	assert_int_equal(counter(&g, "drop_policy"), 1);
	sluice_engine_free(g.engine);
	lines.text[lines.len] = '\0';
	assert_non_null(strstr(lines.text, "\"event\":\"denied\""));
	assert_non_null(strstr(lines.text, "\"remote\":\"192.0.2.9\",\"remote_port\":443"));
	assert_int_equal(lines.text[lines.len - 1], '\n');

	g = guest_new(0);
	resolve(&g);
	assert_int_equal(sluice_ring_counters(g.ring, &counters), 0);
	assert_int_equal(counters.tx_frames, 1);
	assert_int_equal(counters.tx_bytes, 60);
	assert_int_equal(counters.rx_bytes, 60);
	assert_true(counters.wakes <= 2);
	counters.size = 8;
	assert_int_equal(sluice_ring_counters(g.ring, &counters), -EINVAL);
	sluice_engine_free(g.engine);
}

/* ---- memory of the VMM ---- */

static void lent_memory_and_posted_buffers_come_back(void **state)
{
	struct guest g = guest_new(SLUICE_POST_RX);
	uint8_t frame[12 + 60] = {0};
	uint8_t buffer[2048];
	struct iovec tx[2] = {
	    {.iov_base = frame, .iov_len = 12}, {.iov_base = frame + 12, .iov_len = 60}};
	struct iovec rx = {.iov_base = buffer, .iov_len = sizeof(buffer)};
	struct sluice_done done[SLUICE_BUFFERS_MAX];
	uint64_t cookie;

	(void)state;
	assert_true((sluice_ring_features(g.ring) & (1U << 15)) != 0);
	(void)hex_put(frame + 12,
	    "ffffffffffff" MK_GUEST_MAC "0806 0001 0800 06 04 0001" MK_GUEST_MAC MK_GUEST4
	    "000000000000" MK_GATEWAY4);
	assert_int_equal(sluice_ring_post(g.ring, &rx, 1, 11), 0);
	assert_int_equal(sluice_ring_lend(g.ring, tx, 2, 22), 0);
	sluice_ring_flush(g.ring);
	while (sluice_ring_take(g.ring, done, SLUICE_BUFFERS_MAX) == 0)
		turn(&g);
	assert_int_equal(done[0].cookie, 11);
	assert_int_equal(done[0].len, 72);
	assert_int_equal(done[0].buffers, 1);
	assert_int_equal(mk_get16(buffer + 12 + 20), 2); /* a reply */
	assert_int_equal(sluice_ring_reclaim(g.ring, &cookie, 1), 1);
	assert_int_equal(cookie, 22);
	assert_int_equal(sluice_ring_detach(g.ring), -EINPROGRESS);
	while (sluice_ring_detach(g.ring) == -EINPROGRESS)
		turn(&g);
	assert_int_equal(sluice_ring_attach(g.ring, 0), 0);
	sluice_engine_free(g.engine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(wrong_configurations_are_refused_in_one_sentence),
	    cmocka_unit_test(too_few_descriptors_are_told_with_the_remedy),
	    cmocka_unit_test(a_wrong_rule_is_shown_with_its_place),
	    cmocka_unit_test(fields_of_another_version_are_refused_unless_they_are_zero),
	    cmocka_unit_test(a_document_says_what_options_do_not),
	    cmocka_unit_test(all_settings_are_options),
	    cmocka_unit_test(a_published_port_leads_to_the_guest),
	    cmocka_unit_test(ports_come_and_go_while_the_engine_runs),
	    cmocka_unit_test(an_engine_with_a_thread_takes_no_ports_while_it_runs),
	    cmocka_unit_test(a_port_in_use_is_an_error),
	    cmocka_unit_test(the_interface_is_told_in_values),
	    cmocka_unit_test(the_interface_is_told_in_the_strings_of_the_reference),
	    cmocka_unit_test(frames_and_names_pass_in_the_callers_thread),
	    cmocka_unit_test(frames_and_names_pass_with_a_thread_of_its_own),
	    cmocka_unit_test(a_guest_that_floods_does_not_starve_what_comes_to_it),
	    cmocka_unit_test(an_idle_engine_is_not_readable),
	    cmocka_unit_test(an_engine_that_is_asked_to_finish_ends),
	    cmocka_unit_test(many_engines_live_in_one_process),
	    cmocka_unit_test(offloads_are_those_that_the_driver_accepts),
	    cmocka_unit_test(denials_are_told_and_everything_is_counted),
	    cmocka_unit_test(lent_memory_and_posted_buffers_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
