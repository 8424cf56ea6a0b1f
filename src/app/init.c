/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process 1 of the sandbox.
 *
 * Why a PID namespace, and not a launcher that is a subreaper: the end of process 1 is the end of all
 * processes of the namespace, at once and whatever they do (fork in a loop, change session, ignore
 * signals), and the kernel sees to it even when the launcher is killed. A subreaper would have to
 * hunt for its descendants in a race, the command could kill it, and the launcher's death by
 * SIGKILL would leave daemons behind. Besides, the command runs as the user who started it, and could
 * otherwise send signals to all of the user's processes.
 *
 * Process groups, job control and signals. A process group of the launcher's side has no number inside,
 * which shells do not all take well. So there are two ways:
 *
 * - On a terminal (standard input and output are it, and the launcher's group is in its foreground) init
 *   makes a group, which the command starts in and which gets the terminal. What the terminal then
 *   sends to this group, init tells the launcher, who sends it on to his own group: there may be a
 *   script that started him. When the command stops, the launcher stops his group; when that is
 *   continued, he gives the terminal back to the sandbox.
 * - Otherwise (a pipeline, in the background, without terminal) the command stays in the launcher's
 *   group, as it would with env(1): the other members of a pipeline may need the terminal. Init is
 *   in that group too and has all signals blocked, which makes it the witness of signals that were
 *   sent to the whole group: when the launcher passes on a signal that init has got as well, then the
 *   command has it already, unless it has moved to another group since. (Signals to a group are sent
 *   to its newest member first, so init is never later than the launcher.) Init believes no signal
 *   from inside: the command could make it a witness of what the launcher has not got yet.
 *
 * Of its capabilities init keeps the one to mount, to put back what the host takes away (covers.h); the
 * command, which has it not, can therefore not trace init.
 *
 * Invariants, with their tests in tests/integ/test_run_life.py: no process outlives init; init ends when
 * the launcher does (test_a_launcher_that_is_killed_*); a signal is delivered once (test_signals_*); a stop of the
 * command is reported (test_run_jobs.py).
 */
#include "app/init.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/magic.h>

#include "app/channel.h"
#include "app/clock.h"
#include "app/command_confine.h"
#include "app/complain.h"
#include "app/files.h"
#include "app/netns.h"
#include "app/process_title.h"
#include "app/witness.h"
#include "base/text.h"

struct init {
	const struct init_plan *plan;
	int signal_fd;
	pid_t command;
	struct covers covers;   /* mounts that are put back when the host takes them away */
	struct witness witness; /* signals that init got as a member of the process group */
};

/* Without the message the launcher has gone, or has given up and told why. */
static void wait_for(int channel, enum channel_type type)
{
	struct channel_message m;

	if (channel_receive(channel, &m, NULL) != 1 || m.type != type)
		_exit(0);
}

/* Echo requests by unprivileged programs, for the groups that exist in the namespace. */
static void allow_ping(void)
{
	char text[64];
	struct text t = text_init(text, sizeof(text));
	unsigned int group = (unsigned int)getegid();

	if (group == 0)
		text_str(&t, "0 2147483647");
	else
		text_printf(&t, "%u %u", group, group);
	if (file_write("/proc/sys/net/ipv4/ping_group_range", text) == 0)
		return;
	t = text_init(text, sizeof(text));
	text_printf(&t, "%u %u", group, group);
	if (file_write("/proc/sys/net/ipv4/ping_group_range", text) < 0)
		note("ping may not work: net.ipv4.ping_group_range cannot be set (%s)",
		    strerror(errno));
}

/* In a cgroup namespace of its own the command could mount the control groups anew, for writing. */
static void forbid_cgroup_namespaces(void)
{
	if (file_write("/proc/sys/user/max_cgroup_namespaces", "0") < 0)
		note("the command can make cgroup namespaces, and write to control groups of its "
		     "user "
		     "there: user.max_cgroup_namespaces cannot be set (%s)",
		    strerror(errno));
}

static int set_up_network(const struct init_plan *plan)
{
	uint32_t features;
	int tap;
	int sent;

	if (plan->netif == NULL)
		return netns_configure(NULL);
	tap = netns_open_tap(&features);
	if (tap < 0)
		return -1;
	/* Sent first: the engine's process is made while this one goes on. */
	sent = channel_send(
	    plan->channel, (struct channel_message){.type = CHANNEL_TAP, .value = features}, tap);
	close(tap);
	if (sent < 0)
		return -1;
	allow_ping();
	return netns_configure(plan->netif);
}

/* Whether a file of this name is in PATH. A directory there that may not be searched makes execvp() say
 * EACCES for any name; a shell says that the command is not found. */
static bool is_in_path(const char *name)
{
	const char *dir = getenv("PATH"); /* NOLINT(concurrency-mt-unsafe): one thread */
	char path[PATH_MAX];

	while (dir != NULL && *dir != '\0') {
		int len = (int)strcspn(dir, ":");
		struct text t = text_init(path, sizeof(path));

		text_printf(&t, "%.*s/%s", len > 0 ? len : 1, len > 0 ? dir : ".", name);
		if (!t.is_cut && access(path, F_OK) == 0)
			return true;
		dir += len + (dir[len] == ':' ? 1 : 0);
	}
	return false;
}

/* Tells why the command could not be run; its exit status. */
static int exec_status(const char *command)
{
	if (errno == ENOENT ||
	    (errno == EACCES && strchr(command, '/') == NULL && !is_in_path(command))) {
		complain("%s: not found", command);
		return EXIT_NOT_FOUND;
	}
	complain("%s: cannot be run: %s", command, strerror(errno));
	return EXIT_NOT_EXECUTABLE;
}

/* Whether the working directory shows processes, devices or control groups of the host. */
static bool is_in_kernel_view(void)
{
	struct statfs fs;

	if (statfs(".", &fs) < 0)
		return true;
	switch ((unsigned long)fs.f_type) {
	case PROC_SUPER_MAGIC:
	case SYSFS_MAGIC:
	case CGROUP_SUPER_MAGIC:
	case CGROUP2_SUPER_MAGIC:
		return true;
	default:
		return false;
	}
}

/* Enters the working directory again, as the old one may lie below what has been mounted over. One that
 * has no path (NULL) or cannot be entered by it stays, unless it leads to what the command must not see. */
static int enter_directory(const char *path)
{
	if (path != NULL && chdir(path) == 0)
		return 0;
	if (is_in_kernel_view())
		return complain("the working directory %s is not there in the sandbox; start the "
				"command from another one",
		    path != NULL ? path : "(removed)");
	if (path != NULL)
		note("the working directory %s cannot be entered again: %s", path, strerror(errno));
	return 0;
}

_Noreturn static void run_command(const struct init_plan *plan, mode_t mask)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	if (command_drop_caps(plan->mounts.is_root) < 0 ||
	    enter_directory(plan->caller.directory) < 0)
		_exit(EXIT_OWN_FAILURE);
	umask(mask);
	if (plan->caller.is_chld_ignored && sigaction(SIGCHLD, &ignore, NULL) < 0)
		_exit(EXIT_OWN_FAILURE);
	if (sigprocmask(SIG_SETMASK, &plan->caller.mask, NULL) < 0)
		_exit(EXIT_OWN_FAILURE);
	execvp(plan->command[0], plan->command);
	_exit(exec_status(plan->command[0]));
}

static void report(const struct init *i, enum channel_type type, int value)
{
	struct channel_message m = {.type = type, .value = (uint32_t)value};

	/* A launcher that has gone is noticed by the end of its channel. */
	if (channel_send(i->plan->channel, m, -1) < 0)
		return;
}

/* Takes note of all children that changed. Returns false when the command has ended. */
static bool reap(struct init *i)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED);

		if (pid <= 0)
			return true;
		if (pid != i->command)
			continue;
		if (WIFSTOPPED(status)) {
			report(i, CHANNEL_STOPPED, WSTOPSIG(status));
		} else if (WIFCONTINUED(status)) {
			report(i, CHANNEL_CONTINUED, 0);
		} else {
			report(i, CHANNEL_ENDED, status);
			return false;
		}
	}
}

/* What a terminal sends to the foreground group, but for stops, which are reported when they happen. */
static bool is_from_terminal(const struct signalfd_siginfo *info)
{
	return info->ssi_code == SI_KERNEL &&
	       (info->ssi_signo == SIGINT || info->ssi_signo == SIGQUIT ||
		   info->ssi_signo == SIGHUP || info->ssi_signo == SIGWINCH);
}

/* Senders in the sandbox have a number here, those outside have none. A forged one (sigqueue(3)) has
 * another code. */
static bool is_from_outside(const struct signalfd_siginfo *info)
{
	return info->ssi_pid == 0 && (info->ssi_code == SI_USER || info->ssi_code == SI_KERNEL);
}

/* Reads all pending signals. Returns false when the command has ended. */
static bool take_signals(struct init *i)
{
	struct signalfd_siginfo info;
	bool is_alive = true;

	while (read(i->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			is_alive = reap(i) && is_alive;
		else if (i->plan->has_own_group && is_from_terminal(&info))
			report(i, CHANNEL_TERMINAL, (int)info.ssi_signo);
		else if (!i->plan->has_own_group && is_from_outside(&info))
			witness_see(&i->witness, info.ssi_signo, clock_monotonic_ns());
	}
	return is_alive;
}

/* The launcher has got a signal that may be meant for the command. */
static void pass_on(struct init *i, const struct channel_message *m)
{
	uint32_t signal = m->value & ~CHANNEL_FROM_TERMINAL;
	bool is_for_job = (m->value & CHANNEL_FROM_TERMINAL) != 0 || signal == SIGCONT;

	if (signal == 0 || signal >= WITNESS_SIGNALS)
		return;
	if (witness_match(&i->witness, signal, m->time_ns) && getpgid(i->command) == getpgid(0))
		return;
	/* What the terminal sends, and a job's continuation, is for all of its processes. */
	if (i->plan->has_own_group && is_for_job)
		kill(0, (int)signal);
	if (!i->plan->has_own_group || !is_for_job || getpgid(i->command) != getpgid(0))
		kill(i->command, (int)signal);
}

/* Makes the process group of this process that of the terminal. SIGTTOU is blocked. */
static void take_terminal(const struct init *i)
{
	if (i->plan->has_own_group && tcsetpgrp(STDIN_FILENO, getpgrp()) < 0)
		note("the terminal cannot be given to the command: %s", strerror(errno));
}

static void supervise(struct init *i)
{
	struct pollfd fds[] = {
	    {.fd = i->signal_fd, .events = POLLIN}, {.fd = i->plan->channel, .events = POLLIN},
	    {.fd = i->covers.inotify, .events = POLLIN}, /* -1: left out */
	};
	struct channel_message m;

	for (;;) {
		if (poll(fds, sizeof(fds) / sizeof(fds[0]), -1) < 0 && errno != EINTR)
			return;
		if (fds[2].revents != 0)
			covers_renew(&i->covers);
		/* Signals first: pass_on() must know all that came before its message. */
		if (!take_signals(i))
			return;
		if (fds[1].revents == 0)
			continue;
		if (channel_receive(i->plan->channel, &m, NULL) != 1)
			return;
		if (m.type == CHANNEL_FOREGROUND)
			take_terminal(i);
		if (m.type == CHANNEL_SIGNAL) {
			if (!take_signals(i))
				return;
			pass_on(i, &m);
		}
	}
}

/* All that needs capabilities. The file mode mask is 0 meanwhile, as files are made. */
static int set_up(const struct init_plan *plan, struct covers *ret_covers)
{
	wait_for(plan->channel, CHANNEL_GO);
	forbid_cgroup_namespaces();
	if (set_up_network(plan) < 0 || mounts_set_up(&plan->mounts, ret_covers) < 0)
		return -1;
	return command_confine(plan->mounts.is_root, !plan->has_own_group);
}

void init_process(const struct init_plan *plan)
{
	struct init i = {.plan = plan};
	mode_t mask = umask(0);
	sigset_t all;

	if (set_up(plan, &i.covers) < 0)
		_exit(EXIT_OWN_FAILURE);
	/* After the change of credentials, which resets both. What the command could do to init it
	 * can do to itself, but it has no business in init's memory. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
		_exit(EXIT_OWN_FAILURE);
	sigfillset(&all);
	i.signal_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (i.signal_fd < 0) {
		complain("signals cannot be received: %s", strerror(errno));
		_exit(EXIT_OWN_FAILURE);
	}
	/* The launcher that has given up tells why, or has the engine's reason: see wait_for(). */
	if (channel_send(plan->channel, (struct channel_message){.type = CHANNEL_READY}, -1) < 0)
		_exit(0);
	wait_for(plan->channel, CHANNEL_START);
	if (plan->has_own_group && setpgid(0, 0) < 0)
		_exit(EXIT_OWN_FAILURE);
	take_terminal(&i);
	i.command = fork();
	if (i.command == 0)
		run_command(plan, mask);
	if (i.command < 0) {
		complain("no process can be made for the command: %s", strerror(errno));
		_exit(EXIT_OWN_FAILURE);
	}
	/* Not with "sluice" in it: a signal by that name (pkill -f sluice) must not look like one to the
	 * process group, which the command would have got itself. */
	process_title_set("sandbox-init");
	supervise(&i);
	_exit(0);
}
