/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sluice run. The order of things:
 *
 *	launcher                            init (new namespaces)       engine
 *	read options, ask the host
 *	clone ----------------------------> wait
 *	write id maps, GO ----------------> make TAP, pass it
 *	fork ------------------------------------------------------> confine itself
 *	wait for READY and for the engine   network, mounts, confinement
 *	START ----------------------------> run the command
 *	supervise
 *
 * The launcher stays in the namespaces of the host. It reads options, messages of fixed size
 * from init, and counters; what the guest sends never comes near it. All descriptors made here are
 * close-on-exec.
 */
#include "app/run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/channel.h"
#include "app/complain.h"
#include "app/engine_process.h"
#include "app/guest_files.h"
#include "app/host_probe.h"
#include "app/host_sockets.h"
#include "app/id_map.h"
#include "app/init.h"
#include "app/rules.h"
#include "app/run_options.h"
#include "app/sandbox.h"
#include "app/stats.h"
#include "app/supervise.h"
#include "host/facts.h"

enum {
	RESOLV_CONF_MAX = 512,
	HOSTS_MAX = 1024,
	MACHINE_NAME_MAX = 256,
	PIPE_SIZE = 1 << 20, /* of events; a burst of about 3000 */
};

struct run {
	struct run_options options;
	bool has_network;
	struct engine_config config;
	struct policy *policy; /* owned; config borrows it. NULL without network */
	char resolv_conf[RESOLV_CONF_MAX];
	char hosts[HOSTS_MAX];
	struct host_sockets sockets;
	struct caller_state caller;
	struct engine_counters *counters; /* shared with the engine */
	int events_write;                 /* the engine's ends; -1: none */
	int messages_write;
	struct supervisor supervisor;
};

/* --net none and nothing that could allow anything: no network card at all. */
static bool is_without_network(const struct run_options *o)
{
	if (o->rules.count > 0 || o->has_default[POLICY_EGRESS] || o->profiles.count == 0)
		return false;
	for (size_t i = 0; i < o->profiles.count; i++) {
		if (strcmp(o->profiles.items[i], "none") != 0)
			return false;
	}
	return true;
}

static int plan_addresses(struct run *r)
{
	char error[ADDRESSING_ERROR_MAX];

	r->options.settings.addressing.has_route_v4 = host_has_route(AF_INET);
	r->options.settings.addressing.has_route_v6 = host_has_route(AF_INET6);
	if (addressing_derive(&r->options.settings.addressing, error, &r->config.netif) < 0)
		return complain("%s", error);
	return 0;
}

static int plan_policy(struct run *r)
{
	if (rules_compile(&r->options, &r->config.netif, &r->policy) < 0)
		return -1;
	r->config.policy = r->policy;
	return 0;
}

static void plan_resolvers(struct run *r)
{
	struct engine_config *c = &r->config;
	uint32_t skipped = 0;

	if (c->resolver_count == 0)
		c->resolver_count = host_resolvers(c->resolvers, ENGINE_RESOLVERS_MAX, &skipped);
	if (skipped > 0)
		note("%u of the host's nameservers are not used (too many, or with a zone)",
		    skipped);
}

static int plan_files(struct run *r)
{
	const struct netif_config *netif = r->has_network ? &r->config.netif : NULL;
	struct text resolv_conf = text_init(r->resolv_conf, sizeof(r->resolv_conf));
	struct text hosts = text_init(r->hosts, sizeof(r->hosts));
	char machine[MACHINE_NAME_MAX] = "";

	if (gethostname(machine, sizeof(machine) - 1) < 0)
		machine[0] = '\0';
	guest_files_resolv_conf(&resolv_conf, netif);
	guest_files_hosts(&hosts, netif, machine);
	if (r->options.keeps_all_sockets)
		return 0;
	return host_sockets_list(
	    r->options.keep_sockets.items, r->options.keep_sockets.count, &r->sockets);
}

static void tell_plan(const struct run *r)
{
	const struct netif_config *c = &r->config.netif;
	char guest[IP_ADDR_TEXT_MAX];
	char gateway[IP_ADDR_TEXT_MAX];

	if (!r->has_network) {
		note("no network: the command gets no network card");
		return;
	}
	if (c->has_v4)
		note("IPv4: command %s/%u, gateway %s", ip_addr_format(&c->guest_v4, guest),
		    c->prefix_len_v4, ip_addr_format(&c->gateway_v4, gateway));
	if (c->has_v6)
		note("IPv6: command %s/%u, gateway %s", ip_addr_format(&c->guest_v6, guest),
		    c->prefix_len_v6, ip_addr_format(&c->gateway_v6, gateway));
	if (!c->has_v4 && !c->has_v6)
		note("the host has no route, so the command gets no address; --ipv4 and --ipv6 "
		     "give it "
		     "one");
	for (uint32_t i = 0; i < r->config.resolver_count; i++) {
		char resolver[ENDPOINT_TEXT_MAX];

		note("resolver: %s", endpoint_format(&r->config.resolvers[i], resolver));
	}
}

static int plan(struct run *r)
{
	r->config = r->options.settings.engine;
	r->has_network = !is_without_network(&r->options);
	if (r->has_network) {
		if (plan_addresses(r) < 0 || plan_policy(r) < 0)
			return -1;
		plan_resolvers(r);
	}
	if (plan_files(r) < 0)
		return -1;
	if (note_is_enabled())
		tell_plan(r);
	return 0;
}

/* Where --events goes, or -1 with a sentence. */
static int open_events(const char *path)
{
	/* Not to wait for somebody who opens a named pipe for reading. */
	static const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	int fd;

	if (strcmp(path, "-") == 0)
		fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	else
		fd = open(path, flags, 0600);
	if (fd < 0)
		return complain(
		    "--events %s cannot be opened for appending: %s", path, strerror(errno));
	return fd;
}

/* Pipes of the engine: its messages, and its events. */
static int open_pipes(struct run *r)
{
	int pipes[2];
	int to = -1;

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0)
		return complain("no pipe can be made: %s", strerror(errno));
	r->messages_write = pipes[1];
	to = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	/* Without a standard error (to is -1), messages go nowhere. */
	if (relay_init(&r->supervisor.messages, "standard error", pipes[0], to, true) < 0)
		return complain("out of memory");
	if (r->options.events == NULL)
		return 0;
	to = open_events(r->options.events);
	if (to < 0)
		return -1;
	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0)
		return complain("no pipe can be made: %s", strerror(errno));
	r->events_write = pipes[1];
	if (fcntl(pipes[1], F_SETPIPE_SZ, PIPE_SIZE) < 0)
		note("the pipe for events stays small: %s", strerror(errno));
	if (relay_init(&r->supervisor.events, "the events file", pipes[0], to, false) < 0)
		return complain("out of memory");
	return 0;
}

/* What the command is to find as the launcher found it; from here on signals wait. */
static int take_caller_state(struct run *r)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	struct sigaction old;
	sigset_t all;

	sigfillset(&all);
	if (sigprocmask(SIG_SETMASK, &all, &r->caller.mask) < 0 ||
	    sigaction(SIGCHLD, &dfl, &old) < 0)
		return complain("signals cannot be blocked: %s", strerror(errno));
	r->caller.is_chld_ignored = old.sa_handler == SIG_IGN;
	r->supervisor.has_own_group = isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 &&
				      tcgetpgrp(STDIN_FILENO) == getpgrp();
	r->caller.directory = getcwd(NULL, 0);
	r->supervisor.signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (r->supervisor.signals < 0)
		return complain("signals cannot be received: %s", strerror(errno));
	return 0;
}

static int share_counters(struct run *r)
{
	r->counters = mmap(
	    NULL, sizeof(*r->counters), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r->counters == MAP_FAILED) {
		r->counters = NULL;
		return complain("out of memory");
	}
	return 0;
}

/* Process 1 of the sandbox. The counters are the engine's: it must not see them. */
_Noreturn static void be_init(const struct run *r, int channel, bool is_root)
{
	const struct init_plan p = {
	    .netif = r->has_network ? &r->config.netif : NULL,
	    .mounts = {.resolv_conf = r->resolv_conf,
		.hosts = r->hosts,
		.sockets = r->sockets.paths,
		.socket_count = r->sockets.count,
		.is_root = is_root},
	    .caller = r->caller,
	    .has_own_group = r->supervisor.has_own_group,
	    .command = r->options.command,
	    .channel = channel,
	};

	if (munmap(r->counters, sizeof(*r->counters)) < 0)
		_exit(EXIT_OWN_FAILURE);
	init_process(&p);
}

static int start_init(struct run *r)
{
	bool is_root = geteuid() == 0; /* in the new user namespace nobody is, at first */
	int ends[2];
	pid_t pid;

	if (channel_open(ends) < 0)
		return complain("no channel can be made: %s", strerror(errno));
	pid = sandbox_clone();
	if (pid == 0) {
		close(ends[0]);
		be_init(r, ends[1], is_root);
	}
	close(ends[1]);
	r->supervisor.channel = ends[0];
	if (pid < 0)
		return -1;
	r->supervisor.init = pid;
	if (id_map_write(pid) < 0)
		return -1;
	return channel_send(ends[0], (struct channel_message){.type = CHANNEL_GO}, -1);
}

/* The TAP and what it can. Init tells itself why there is none. */
static int take_tap(struct run *r, int *ret_tap, uint32_t *ret_features)
{
	struct channel_message m;

	if (channel_receive(r->supervisor.channel, &m, ret_tap) != 1)
		return -1;
	if (m.type != CHANNEL_TAP || *ret_tap < 0)
		return complain("the sandbox has sent something else than its network card");
	*ret_features = m.value;
	note("offloads: checksum, TCP segmentation%s",
	    (m.value & NIC_F_USO) != 0 ? ", UDP segmentation" : "");
	return 0;
}

/* Makes the engine's process; *ret_ready tells when it can take frames. */
static int start_engine(struct run *r, int tap, uint32_t features, int *ret_ready)
{
	int control[2] = {-1, -1};
	int ready[2] = {-1, -1};
	struct engine_params p = {.tap_fd = tap,
	    .events_fd = r->events_write,
	    .counters = r->counters,
	    .nic_features = features,
	    .config = r->config,
	    .launcher = getpid()};
	pid_t pid;

	if (pipe2(control, O_CLOEXEC) < 0 || pipe2(ready, O_CLOEXEC) < 0)
		return complain("no pipe can be made: %s", strerror(errno));
	p.control_fd = control[0];
	p.ready_fd = ready[1];
	pid = fork();
	if (pid == 0) {
		if (dup2(r->messages_write, STDERR_FILENO) < 0)
			_exit(EXIT_OWN_FAILURE);
		engine_process(&p);
	}
	close(control[0]);
	close(ready[1]);
	r->supervisor.control = control[1];
	*ret_ready = ready[0];
	if (pid < 0)
		return complain("no process can be made for the engine: %s", strerror(errno));
	r->supervisor.engine = pid;
	return 0;
}

/* Waits until the engine is confined and listens. It tells itself why it is not. */
static int wait_for_engine(int ready)
{
	char byte;
	ssize_t n;

	do {
		n = read(ready, &byte, 1);
	} while (n < 0 && errno == EINTR);
	close(ready);
	return n == 1 ? 0 : -1;
}

static int wait_for_init(int channel)
{
	struct channel_message m;

	return channel_receive(channel, &m, NULL) == 1 && m.type == CHANNEL_READY ? 0 : -1;
}

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int start(struct run *r)
{
	int ready = -1;
	int result = 0;

	if (start_init(r) < 0)
		return -1;
	if (r->has_network) {
		uint32_t features = 0;
		int tap = -1;

		result = take_tap(r, &tap, &features);
		if (result == 0)
			result = start_engine(r, tap, features, &ready);
		close_end(&tap);
	}
	/* The engine's ends; when it is gone, so is the pipe. */
	close_end(&r->events_write);
	close_end(&r->messages_write);
	if (result == 0 && ready >= 0)
		result = wait_for_engine(ready);
	return result == 0 ? wait_for_init(r->supervisor.channel) : -1;
}

/* Ends what a failed start has left, after giving each process the time to say why. One reason is enough:
 * when init has told one, the engine's is most likely the same. */
static void clean_up(struct run *r)
{
	struct supervisor *s = &r->supervisor;
	int status = 0;

	close_end(&s->channel);
	close_end(&s->control);
	close_end(&r->events_write);
	close_end(&r->messages_write);
	if (s->init > 0)
		(void)waitpid(s->init, &status, 0);
	if (s->engine > 0)
		(void)waitpid(s->engine, NULL, 0);
	if (status == 0)
		relay_run(&s->messages);
	relay_fini(&s->messages);
	relay_fini(&s->events);
	close_end(&s->signals);
}

static void print_stats(const struct run *r)
{
	static char buf[STATS_TEXT_MAX];
	struct text t = text_init(buf, sizeof(buf));

	stats_format(&t, r->counters);
	if (write(STDERR_FILENO, buf, t.len) < 0)
		return;
}

/* Ends the program as the command ended. */
static int exit_like(int status)
{
	static const struct rlimit no_core = {0, 0};
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	sigset_t one;
	int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	if (signal == 0)
		return WEXITSTATUS(status);
	/* The core, if any, was the command's. */
	if (setrlimit(RLIMIT_CORE, &no_core) == 0 && prctl(PR_SET_DUMPABLE, 0) == 0) {
		(void)sigaction(signal, &dfl, NULL);
		sigemptyset(&one);
		sigaddset(&one, signal);
		(void)raise(signal);
		(void)sigprocmask(SIG_UNBLOCK, &one, NULL);
	}
	return 128 + signal; /* a signal that does not end a process */
}

int run_main(int argc, char **argv)
{
	struct run r = {.events_write = -1,
	    .messages_write = -1,
	    .supervisor = {.init = -1,
		.engine = -1,
		.channel = -1,
		.control = -1,
		.signals = -1,
		.events = {.from = -1, .to = -1},
		.messages = {.from = -1, .to = -1}}};
	int status = -1;

	run_options_parse(argc, argv, &r.options);
	if (host_probe_inherited_fds() == 0 && plan(&r) == 0 && share_counters(&r) == 0 &&
	    take_caller_state(&r) == 0 && open_pipes(&r) == 0 && start(&r) == 0)
		status = supervise(&r.supervisor);
	clean_up(&r);
	if (r.options.has_stats && r.counters != NULL)
		print_stats(&r);
	policy_free(r.policy);
	host_sockets_fini(&r.sockets);
	run_options_fini(&r.options);
	free(r.caller.directory);
	return status < 0 ? EXIT_OWN_FAILURE : exit_like(status);
}
