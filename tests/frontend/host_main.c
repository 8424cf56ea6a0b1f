/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine behind a vhost-user port, as a program for tests: host, engine and port put together, nothing else. All is
 * allowed by its policy, but for what no policy can allow.
 *
 *	vhost_host [OPTION VALUE]... PATH
 *
 * Prints "ready" when front ends can connect to PATH (or with `connects 1`, when it has connected there); on standard error
 * what happens to the connection, and its counters at the end. It ends when standard input does, or delivers
 * first what the guest has sent when a byte comes there. Addresses: the guest is 100.96.0.2/30 and fd42:6d73:62::2/64,
 * 02:6d:73:00:00:02; the gateway is 1 less in each.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/stats.h"
#include "engine/addressing.h"
#include "host/host.h"
#include "port/supply.h"
#include "port/vhost_user.h"

struct options {
	const char *path;
	uint16_t mtu;
	bool connects;
	bool has_inflight;
};

_Noreturn static void fail(const char *what, int err)
{
	(void)fprintf(stderr, "vhost_host: %s: %s\n", what, strerror(-err));
	exit(1);
}

static struct options parse(int argc, char **argv)
{
	struct options o = {.mtu = NETIF_MTU_DEFAULT, .has_inflight = true};
	int i = 1;

	for (; i + 1 < argc; i += 2) {
		long v = strtol(argv[i + 1], NULL, 10);

		if (strcmp(argv[i], "mtu") == 0 && v >= NETIF_MTU_MIN && v <= NETIF_MTU_MAX)
			o.mtu = (uint16_t)v;
		else if (strcmp(argv[i], "connects") == 0)
			o.connects = v != 0;
		else if (strcmp(argv[i], "inflight") == 0)
			o.has_inflight = v != 0;
		else
			fail(argv[i], -EINVAL);
	}
	if (i + 1 != argc)
		fail("usage: vhost_host [OPTION VALUE]... PATH", -EINVAL);
	o.path = argv[i];
	return o;
}

static void on_note(void *ctx, const char *text)
{
	(void)ctx;
	(void)fprintf(stderr, "vhost_host: %s\n", text);
}

static struct policy *allow_all(void)
{
	struct policy_builder *b = policy_builder_new();
	struct policy *p = NULL;
	int err = b ? 0 : -ENOMEM;

	if (!err) {
		policy_builder_set_default(b, POLICY_EGRESS, POLICY_ALLOW);
		err = policy_builder_compile(b, &p);
	}
	policy_builder_free(b);
	if (err)
		fail("policy", err);
	return p;
}

static int unix_socket(const char *path, struct sockaddr_un *ret_addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*ret_addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (fd < 0 || strlen(path) >= sizeof(ret_addr->sun_path))
		fail(path, -EINVAL);
	memcpy(ret_addr->sun_path, path, strlen(path));
	return fd;
}

/* Lets one front end in after the other, for as long as the engine runs. */
_Noreturn static void keep_gate(int fd, int supply)
{
	struct pollfd poll_fd = {.fd = supply, .events = POLLIN};
	struct supply_report report;

	for (;;) {
		int link = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (link < 0 || supply_give(supply, link))
			_exit(1);
		(void)close(link);
		if (poll(&poll_fd, 1, -1) != 1 || supply_hear(supply, &report) != 1)
			_exit(0);
	}
}

/* Returns the port's end of a supply. */
static int make_supply(const struct options *o)
{
	struct sockaddr_un addr;
	int fd = unix_socket(o->path, &addr);
	const struct sockaddr *at = (const struct sockaddr *)&addr;
	int ends[2];
	pid_t child;

	if (supply_pair(ends))
		fail("supply", -errno);
	if (o->connects) {
		if (connect(fd, at, sizeof(addr)) || supply_give(ends[0], fd))
			fail(o->path, -errno);
		supply_finish(ends[0]);
		(void)close(fd);
		return ends[1];
	}
	if (bind(fd, at, sizeof(addr)) || listen(fd, 8))
		fail(o->path, -errno);
	child = fork();
	if (child < 0)
		fail("fork", -errno);
	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)close(ends[1]);
		keep_gate(fd, ends[0]);
	}
	(void)close(fd);
	(void)close(ends[0]);
	return ends[1];
}

static struct port *make_port(const struct options *o)
{
	struct vhost_user_config cfg = {
	    .supply = make_supply(o),
	    .inflight_fd = -1,
	    .mtu = o->mtu,
	    .on_note = on_note,
	};
	struct port *port;
	int err = o->has_inflight ? vhost_user_inflight_new(&cfg.inflight_fd) : 0;

	if (!err)
		err = vhost_user_port_new(&cfg, &port);
	if (err)
		fail(o->path, err);
	return port;
}

static struct host *make_host(void)
{
	struct host_config cfg = {.keepalive_s = 7200, .has_udp_gro = true};
	struct rlimit files;
	struct host *h;
	int err = getrlimit(RLIMIT_NOFILE, &files) ? -errno : 0;

	cfg.sock_limit = files.rlim_cur < 65536 ? (uint32_t)files.rlim_cur : 65536;
	if (!err)
		err = host_new(&cfg, &h);
	if (err)
		fail("host", err);
	return h;
}

static struct engine_config make_config(const struct options *o, const struct policy *policy)
{
	struct addressing a = addressing_default();
	char error[ADDRESSING_ERROR_MAX];
	struct engine_config cfg;

	engine_config_defaults(&cfg);
	a.mtu = o->mtu;
	a.has_route_v4 = true;
	a.has_route_v6 = true;
	if (addressing_derive(&a, error, &cfg.netif) < 0)
		fail(error, -EINVAL);
	cfg.policy = policy;
	return cfg;
}

static void print_stats(const struct engine_counters *c)
{
	static char buf[STATS_TEXT_MAX];
	struct text t = text_init(buf, sizeof(buf));

	stats_format(&t, c);
	(void)fputs(buf, stderr);
}

int main(int argc, char **argv)
{
	struct options o = parse(argc, argv);
	struct engine_counters counters = {0};
	struct policy *policy = allow_all();
	struct engine_config cfg = make_config(&o, policy);
	struct port *port = make_port(&o);
	struct host *h = make_host();
	struct engine *e;
	int err = engine_new(&cfg, &port->nic, &host_sock_ops, h, &counters, host_now_ns(), &e);

	if (err)
		fail("engine", err);
	setvbuf(stdout, NULL, _IOLBF, 0);
	(void)printf("ready\n");
	err = host_loop(h, e, port, STDIN_FILENO, NULL, NULL);
	engine_free(e, host_now_ns());
	port_free(port);
	host_free(h);
	policy_free(policy);
	if (!o.connects)
		(void)unlink(o.path);
	print_stats(&counters);
	if (err)
		fail("the loop", err);
	return 0;
}
