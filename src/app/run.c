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
#include "app/guest_files.h"
#include "app/host_probe.h"
#include "app/host_sockets.h"
#include "app/id_map.h"
#include "app/init.h"
#include "app/network.h"
#include "app/run_options.h"
#include "app/sandbox.h"
#include "app/supervise.h"

enum {
	RESOLV_CONF_MAX = 512,
	HOSTS_MAX = 1024,
	MACHINE_NAME_MAX = 256,
};

struct run {
	struct run_options options;
	bool has_network;
	struct network net; /* without policy and engine if there is none */
	char resolv_conf[RESOLV_CONF_MAX];
	char hosts[HOSTS_MAX];
	struct host_sockets sockets;
	struct caller_state caller;
	struct supervisor supervisor;
};

static int plan_files(struct run *r)
{
	const struct netif_config *netif = r->has_network ? &r->net.config.netif : NULL;
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

static int plan(struct run *r)
{
	struct net_plan plan;
	int result = net_plan_make(&r->options.net, &plan);

	r->has_network = plan.is_enabled;
	if (result == 0 && r->has_network)
		result = network_plan(&r->net, &plan);
	net_plan_fini(&plan);
	if (result < 0 || plan_files(r) < 0)
		return -1;
	if (r->has_network)
		network_tell(&r->net, "command");
	else
		note("no network: the command gets no network card");
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

/* Process 1 of the sandbox. What tells of the host is the engine's: it must not see it. */
_Noreturn static void be_init(const struct run *r, int channel, bool is_root)
{
	const struct init_plan p = {
	    .netif = r->has_network ? &r->net.config.netif : NULL,
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

	for (size_t i = 0; i < r->net.published.count; i++)
		close(r->net.published.fds[i]);
	if (munmap(r->net.counters, sizeof(*r->net.counters)) < 0)
		_exit(EXIT_OWN_FAILURE);
	if (r->net.addresses >= 0)
		close(r->net.addresses);
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
	int result = channel_receive(r->supervisor.channel, &m, ret_tap);

	if (result < 0)
		return complain("the network card cannot be taken over: %s", strerror(errno));
	if (result == 0)
		return -1;
	if (m.type != CHANNEL_TAP || *ret_tap < 0)
		return complain("the sandbox has sent something else than its network card");
	*ret_features = m.value;
	note("offloads: checksum, TCP segmentation%s",
	    (m.value & NIC_F_USO) != 0 ? ", UDP segmentation" : "");
	return 0;
}

static int wait_for_init(int channel)
{
	struct channel_message m;

	return channel_receive(channel, &m, NULL) == 1 && m.type == CHANNEL_READY ? 0 : -1;
}

static int start_engine(struct run *r)
{
	struct port_config port = {.kind = PORT_KIND_TAP, .fd = -1, .has_vnet = true};
	int result = take_tap(r, &port.fd, &port.features);

	if (result == 0)
		result = network_start_engine(&r->net, &port);
	if (port.fd >= 0)
		close(port.fd);
	return result;
}

static int start(struct run *r)
{
	int result;

	if (start_init(r) < 0)
		return -1;
	result = r->has_network ? start_engine(r) : 0;
	network_close_engine_ends(&r->net);
	if (result == 0 && r->has_network)
		result = network_wait_for_engine(&r->net);
	return result == 0 ? wait_for_init(r->supervisor.channel) : -1;
}

/* Ends what a failed start has left, after giving each process the time to say why. One reason is enough:
 * when init has told one, the engine's is most likely the same. */
static void clean_up(struct run *r)
{
	struct supervisor *s = &r->supervisor;
	int status = 0;

	if (s->channel >= 0)
		close(s->channel);
	network_abort_engine(&r->net);
	network_close_engine_ends(&r->net);
	if (s->init > 0)
		(void)waitpid(s->init, &status, 0);
	if (r->net.engine > 0)
		(void)waitpid(r->net.engine, NULL, 0);
	r->net.engine = -1;
	if (status == 0)
		relay_run(&r->net.messages);
	if (s->signals >= 0)
		close(s->signals);
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
	struct run r = {.net = network_none(),
	    .supervisor = {.net = &r.net, .init = -1, .channel = -1, .signals = -1}};
	int status = -1;

	run_options_parse(argc, argv, &r.options);
	if (host_probe_inherited_fds() == 0 && plan(&r) == 0 && take_caller_state(&r) == 0 &&
	    network_open(&r.net, &r.options.net) == 0 && start(&r) == 0)
		status = supervise(&r.supervisor);
	clean_up(&r);
	if (r.options.net.has_stats)
		network_print_stats(&r.net);
	network_fini(&r.net);
	host_sockets_fini(&r.sockets);
	run_options_fini(&r.options);
	free(r.caller.directory);
	return status < 0 ? EXIT_OWN_FAILURE : exit_like(status);
}
