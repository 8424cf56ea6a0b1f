/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sluice serve: the network of a guest that has a card already. The launcher opens the port, starts the engine's
 * process, and then lets guests in and passes on what the engine tells, until it is asked to end. It never
 * reads what the guest sends.
 *
 * The end: the engine is told, delivers what the guest has sent before, resets what is open and exits; asked
 * again, or after a while, it exits at once. When a guest that can come only once has gone, the
 * engine ends by itself.
 */
#include "app/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/clock.h"
#include "app/complain.h"
#include "app/gate.h"
#include "app/host_probe.h"
#include "app/network.h"
#include "app/serve_options.h"
#include "app/tap_device.h"
#include "base/text.h"
#include "port/vhost_user.h"

enum {
	DELIVERY_MAX_MS = 10000, /* for the engine to deliver what the guest has sent */
	ENGINE_GRACE_MS = 5000,  /* for the engine to exit at once */
	READER_GRACE_MS = 5000,  /* for who reads the events to take some */

	NETNS_PATH_MAX = 512,

	POLL_SIGNALS = 0,
	POLL_EVENTS,
	POLL_MESSAGES,
	POLL_RESOLVERS,
	POLL_GATE,
	POLL_COUNT = POLL_GATE + GATE_FDS,
};

enum phase {
	PHASE_SERVE,
	PHASE_DELIVERY, /* the engine has been asked to end */
	PHASE_ABORT,    /* it has been told to exit at once */
	PHASE_OVER,
};

struct serve {
	struct serve_options options;
	struct network net;
	struct gate gate;
	bool has_gate;
	struct port_config port; /* its descriptor is ours until the engine runs */
	int signals;             /* signalfd, non-blocking; -1: none */
	enum phase phase;
	int64_t deadline_ms; /* of the phase; INT64_MAX: none */
	bool has_failed;     /* and has told why */
};

static int64_t now_ms(void)
{
	return (int64_t)(clock_monotonic_ns() / 1000000);
}

/* ---- start ---- */

static int take_signals(struct serve *s)
{
	static const int taken[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGCHLD};
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		sigaddset(&set, taken[i]);
	if (sigprocmask(SIG_SETMASK, &set, NULL) < 0 || sigaction(SIGCHLD, &dfl, NULL) < 0 ||
	    sigaction(SIGPIPE, &ignore, NULL) < 0)
		return complain("signals cannot be blocked: %s", strerror(errno));
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signals < 0 ? complain("signals cannot be received: %s", strerror(errno)) : 0;
}

static int open_tap(struct serve *s)
{
	const struct serve_options *o = &s->options;
	uint16_t mtu = s->net.config.netif.mtu;
	const char *netns = o->netns;
	struct tap_device tap = {.fd = -1};
	char path[NETNS_PATH_MAX];
	struct text t = text_init(path, sizeof(path));
	int result;

	/* A bare name is one of ip-netns(8). */
	if (netns != NULL && strchr(netns, '/') == NULL) {
		text_printf(&t, "/run/netns/%s", netns);
		netns = path;
	}
	if (t.is_cut)
		return complain("the name of the network namespace is too long");
	result = o->port.fd >= 0 ? tap_device_adopt(o->port.fd, &tap)
				 : tap_device_attach(o->port.where, netns, mtu, &tap);
	if (result < 0)
		return -1;
	s->port.fd = tap.fd;
	s->port.features = tap.features;
	s->port.has_vnet = tap.has_vnet;
	return 0;
}

static int open_gate(struct serve *s)
{
	const struct serve_options *o = &s->options;
	const struct gate_config cfg = {
	    .kind = o->port.kind,
	    .path = o->port.where,
	    .fd = o->port.fd,
	    .is_connecting = o->is_connecting,
	    .is_once = o->is_once,
	};

	s->has_gate = true;
	s->port.features = o->offload;
	s->port.has_vnet = o->has_vnet;
	return gate_open(&s->gate, &cfg, &s->port.fd);
}

/* What a monitor keeps for it is made here, as the engine's process can make no files. */
static int open_vhost_user(struct serve *s)
{
	int err = vhost_user_inflight_new(&s->port.inflight_fd);

	if (err)
		return complain("no memory file can be made: %s", strerror(-err));
	s->port.mtu = s->net.config.netif.mtu;
	return open_gate(s);
}

static int open_port(struct serve *s)
{
	s->port = (struct port_config){.kind = s->options.port.kind, .fd = -1, .inflight_fd = -1};
	switch (s->port.kind) {
	case PORT_KIND_TAP:
		return open_tap(s);
	case PORT_KIND_VHOST_USER:
		return open_vhost_user(s);
	case PORT_KIND_STREAM:
	case PORT_KIND_DGRAM:
	case PORT_KIND_BESS:
		break;
	}
	return open_gate(s);
}

static void close_port(struct serve *s)
{
	if (s->port.fd >= 0)
		close(s->port.fd);
	if (s->port.inflight_fd >= 0)
		close(s->port.inflight_fd);
	s->port.fd = s->port.inflight_fd = -1;
}

static int plan(struct serve *s)
{
	const struct net_options *o = &s->options.net;
	struct net_plan plan;
	int result = net_plan_make(o, &plan);

	if (result == 0 && o->config != NULL && !plan.is_enabled)
		result = complain(
		    "%s says that there is to be no network; then there is nothing to serve",
		    o->config);
	if (result == 0)
		result = network_plan(&s->net, &plan);
	/* The guest has a card with an address of its own, which its first frame tells. */
	s->net.config.netif.learns_guest_mac = !plan.settings.addressing.has_mac;
	net_plan_fini(&plan);
	return result;
}

static int start(struct serve *s)
{
	int result;

	if (open_port(s) < 0)
		return -1;
	network_tell(&s->net, "guest");
	if (network_open(&s->net, &s->options.net) < 0)
		return -1;
	result = network_start_engine(&s->net, &s->port);
	network_close_engine_ends(&s->net);
	close_port(s);
	return result == 0 ? network_wait_for_engine(&s->net) : -1;
}

/* ---- while it runs ---- */

static void enter(struct serve *s, enum phase phase, int64_t max_ms)
{
	s->phase = phase;
	s->deadline_ms = max_ms == INT64_MAX ? INT64_MAX : now_ms() + max_ms;
}

static void begin_delivery(struct serve *s)
{
	enter(s, PHASE_DELIVERY, DELIVERY_MAX_MS);
	network_end_engine(&s->net, HOST_STOP_DISMISS);
}

static void begin_abort(struct serve *s)
{
	enter(s, PHASE_ABORT, ENGINE_GRACE_MS);
	network_abort_engine(&s->net);
}

static void on_deadline(struct serve *s)
{
	if (s->phase == PHASE_DELIVERY) {
		note("not all that the guest has sent could be delivered within %d s",
		    DELIVERY_MAX_MS / 1000);
		begin_abort(s);
	} else {
		kill(s->net.engine, SIGKILL);
		s->deadline_ms = INT64_MAX;
	}
}

static void on_engine_end(struct serve *s, int status)
{
	s->net.engine = -1;
	relay_run(&s->net.messages);
	if (WIFSIGNALED(status) && !(s->phase == PHASE_ABORT && WTERMSIG(status) == SIGKILL)) {
		complain("the engine was killed by signal %d (%s); the guest has no network any "
			 "more",
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
		s->has_failed = true;
	} else if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
		/* It has told why. */
		s->has_failed = true;
	} else if (s->phase == PHASE_SERVE) {
		note("the guest has gone");
	}
	enter(s, PHASE_OVER, INT64_MAX);
}

static void on_request_to_end(struct serve *s)
{
	if (s->phase == PHASE_SERVE)
		begin_delivery(s);
	else if (s->phase == PHASE_DELIVERY)
		begin_abort(s);
}

static void on_signals(struct serve *s)
{
	struct signalfd_siginfo info;

	while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		int status;

		if (info.ssi_signo != SIGCHLD)
			on_request_to_end(s);
		else if (s->net.engine > 0 &&
			 waitpid(s->net.engine, &status, WNOHANG) == s->net.engine)
			on_engine_end(s, status);
	}
}

static int timeout_ms(const struct serve *s)
{
	int64_t next = s->deadline_ms;
	int64_t left;

	if (s->has_gate && gate_next_ms(&s->gate) < next)
		next = gate_next_ms(&s->gate);
	if (next == INT64_MAX)
		return -1;
	left = next - now_ms();
	return left < 0 ? 0 : (int)(left < INT_MAX ? left : INT_MAX);
}

static void poll_once(struct serve *s)
{
	struct pollfd fds[POLL_COUNT];

	for (int i = 0; i < POLL_COUNT; i++)
		fds[i] = (struct pollfd){.fd = -1};
	fds[POLL_SIGNALS] = (struct pollfd){.fd = s->signals, .events = POLLIN};
	fds[POLL_EVENTS] = relay_pollfd(&s->net.events);
	fds[POLL_MESSAGES] = relay_pollfd(&s->net.messages);
	fds[POLL_RESOLVERS] = network_pollfd(&s->net);
	if (s->has_gate)
		gate_poll(&s->gate, fds + POLL_GATE);
	if (poll(fds, POLL_COUNT, timeout_ms(s)) < 0)
		return;
	if (fds[POLL_EVENTS].revents != 0)
		relay_run(&s->net.events);
	if (fds[POLL_MESSAGES].revents != 0)
		relay_run(&s->net.messages);
	if (fds[POLL_RESOLVERS].revents != 0)
		network_on_resolvers(&s->net);
	if (fds[POLL_SIGNALS].revents != 0)
		on_signals(s);
}

static void loop(struct serve *s)
{
	while (s->phase != PHASE_OVER) {
		poll_once(s);
		if (s->phase == PHASE_SERVE && s->has_gate && !gate_run(&s->gate)) {
			s->has_failed = true;
			begin_delivery(s);
		}
		if (now_ms() >= s->deadline_ms)
			on_deadline(s);
	}
	relay_finish(&s->net.events, READER_GRACE_MS);
	relay_finish(&s->net.messages, READER_GRACE_MS);
}

/* After a failed start: the engine, if there is one, ends without its control pipe; it may have told why. */
static void clean_up(struct serve *s)
{
	network_abort_engine(&s->net);
	network_close_engine_ends(&s->net);
	close_port(s);
	if (s->net.engine > 0)
		(void)waitpid(s->net.engine, NULL, 0);
	s->net.engine = -1;
	relay_run(&s->net.messages);
}

int serve_main(int argc, char **argv)
{
	struct serve s = {.net = network_none(),
	    .port = {.fd = -1, .inflight_fd = -1},
	    .signals = -1,
	    .phase = PHASE_SERVE,
	    .deadline_ms = INT64_MAX,
	    .has_failed = true};

	serve_options_parse(argc, argv, &s.options);
	if (host_probe_keep_places() == 0 && take_signals(&s) == 0 && plan(&s) == 0 &&
	    start(&s) == 0) {
		s.has_failed = false;
		note("ready");
		loop(&s);
	}
	clean_up(&s);
	if (s.has_gate)
		gate_fini(&s.gate);
	if (s.options.net.has_stats)
		network_print_stats(&s.net);
	network_fini(&s.net);
	serve_options_fini(&s.options);
	if (s.signals >= 0)
		close(s.signals);
	return s.has_failed ? EXIT_OWN_FAILURE : 0;
}
