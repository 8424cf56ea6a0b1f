/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The launcher's loop. It sleeps until something happens, and never looks at what the guest sends.
 *
 * Signals: all are blocked and read from a signalfd. Each is passed to init, which knows whether the
 * command has got it already; process groups are explained in init.c. Stops: the launcher stops when
 * the command does, by the same signal, and not before: a program that handles Ctrl-Z itself
 * decides. The shell outside then sees its job stopped, and continues the whole group.
 *
 * The end: when the command has ended, init ends and with it all other processes of the sandbox. The
 * engine is told, delivers what the command has sent before, and exits; the second time a person
 * asks for the end (Ctrl-C), it exits at once. When the engine ends unasked, the command has lost its
 * network: it gets SIGTERM, and after a grace time SIGKILL.
 */
#include "app/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "app/channel.h"
#include "app/clock.h"
#include "app/complain.h"
#include "app/witness.h"

enum {
	COMMAND_GRACE_MS = 5000, /* from SIGTERM to SIGKILL, when the engine has died */
	DELIVERY_MAX_MS = 60000, /* for the engine to deliver what the command has sent */
	ENGINE_GRACE_MS = 5000,  /* for the engine to exit at once */
	READER_GRACE_MS = 5000,  /* for who reads the events to take some */
	NEVER_MS = -1,
};

enum phase {
	PHASE_COMMAND,    /* the command runs */
	PHASE_TERMINATED, /* ... without network: it has been asked to end */
	PHASE_DELIVERY,   /* the sandbox has gone, the engine delivers */
	PHASE_ABORT,      /* the engine has been told to exit at once */
	PHASE_OVER,
};

/* The controlling terminal as it was at the start. */
struct terminal {
	int fd;               /* -1: none */
	bool is_ours;         /* our process group was in the foreground */
	bool has_modes;       /* modes is set */
	struct termios modes; /* to be restored when the command was killed */
};

struct state {
	struct supervisor *s;
	struct terminal terminal;
	enum phase phase;
	int64_t deadline_ms;                /* of the phase; INT64_MAX: none */
	bool is_stopped;                    /* the command */
	uint64_t taken_ns[WITNESS_SIGNALS]; /* when each signal was taken last; 0: never */
	bool has_status;
	int status; /* the command's */
	bool has_failed;
};

static int64_t now_ms(void)
{
	return (int64_t)(clock_monotonic_ns() / 1000000);
}

static void enter(struct state *st, enum phase phase, int max_ms)
{
	st->phase = phase;
	st->deadline_ms = max_ms == NEVER_MS ? INT64_MAX : now_ms() + max_ms;
}

static struct terminal terminal_save(void)
{
	struct terminal t = {.fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)};

	if (t.fd < 0)
		return t;
	t.is_ours = tcgetpgrp(t.fd) == getpgrp();
	t.has_modes = tcgetattr(t.fd, &t.modes) == 0;
	return t;
}

/* The sandbox may have left the terminal to a process group that is gone; a command that was killed has
 * left it in whatever state. While another group has it, it is not touched: we are in the
 * background. SIGTTOU is blocked, as all signals are. */
static void terminal_restore(struct terminal *t, bool was_killed)
{
	pid_t group;

	if (t->fd < 0)
		return;
	group = tcgetpgrp(t->fd);
	if (t->is_ours && group != getpgrp() && kill(-group, 0) < 0 && errno == ESRCH) {
		if (tcsetpgrp(t->fd, getpgrp()) < 0)
			note("the terminal's process group is not restored: %s", strerror(errno));
		group = getpgrp();
	}
	if (was_killed && t->has_modes && group == getpgrp() &&
	    tcsetattr(t->fd, TCSADRAIN, &t->modes) < 0)
		note("the terminal's modes are not restored: %s", strerror(errno));
	close(t->fd);
	t->fd = -1;
}

static void tell_init(struct state *st, enum channel_type type, uint32_t value, uint64_t time_ns)
{
	struct channel_message m = {.type = type, .value = value, .time_ns = time_ns};

	if (st->s->channel >= 0 && channel_send(st->s->channel, m, -1) < 0)
		note("the sandbox does not listen: %s", strerror(errno));
}

/* Asks the engine to deliver and exit. Without an engine, or after its end, all is over. */
static void begin_delivery(struct state *st)
{
	if (st->s->net->engine < 0) {
		enter(st, PHASE_OVER, NEVER_MS);
		return;
	}
	enter(st, PHASE_DELIVERY, DELIVERY_MAX_MS);
	network_end_engine(st->s->net, HOST_STOP_DELIVER);
}

static void begin_abort(struct state *st)
{
	enter(st, PHASE_ABORT, ENGINE_GRACE_MS);
	network_abort_engine(st->s->net);
}

static void on_deadline(struct state *st)
{
	switch (st->phase) {
	case PHASE_TERMINATED:
		kill(st->s->init, SIGKILL);
		st->deadline_ms = INT64_MAX;
		break;
	case PHASE_DELIVERY:
		complain(
		    "data that the command has sent could not be delivered within %d s after its "
		    "end and is lost",
		    DELIVERY_MAX_MS / 1000);
		begin_abort(st);
		break;
	case PHASE_ABORT:
		kill(st->s->net->engine, SIGKILL);
		st->deadline_ms = INT64_MAX;
		break;
	case PHASE_COMMAND:
	case PHASE_OVER:
		break;
	}
}

/* The terminal has sent a signal to the sandbox instead of our group. Our own copy is recognised by its
 * sender. */
static void share_signal(uint32_t signal)
{
	if (signal == SIGINT || signal == SIGQUIT || signal == SIGHUP || signal == SIGWINCH)
		kill(0, (int)signal);
}

/* Reads all messages of init. Returns the signal by which the command is stopped, or 0. */
static int read_messages(struct state *st)
{
	struct pollfd more = {.fd = st->s->channel, .events = POLLIN};
	struct channel_message m;
	int stop = 0;

	while (st->s->channel >= 0 && poll(&more, 1, 0) > 0) {
		if (channel_receive(st->s->channel, &m, NULL) != 1) {
			/* Init is ending; SIGCHLD tells the rest. */
			close(st->s->channel);
			st->s->channel = -1;
		} else if (m.type == CHANNEL_STOPPED) {
			st->is_stopped = true;
			stop = (int)m.value;
		} else if (m.type == CHANNEL_CONTINUED) {
			st->is_stopped = false;
			stop = 0;
		} else if (m.type == CHANNEL_TERMINAL && st->s->has_own_group) {
			share_signal(m.value);
		} else if (m.type == CHANNEL_ENDED) {
			st->has_status = true;
			st->status = (int)m.value;
		}
	}
	return stop;
}

static void on_init_end(struct state *st, int status)
{
	(void)read_messages(st);
	st->s->init = -1;
	if (st->s->channel >= 0)
		close(st->s->channel);
	st->s->channel = -1;
	if (!st->has_status && !st->has_failed) {
		st->has_failed = true;
		/* With its own exit status it has told why. */
		if (WIFSIGNALED(status))
			complain("the sandbox was killed by signal %d (%s); the command is gone",
			    WTERMSIG(status), strsignal(WTERMSIG(status)));
	}
	begin_delivery(st);
}

static void on_engine_end(struct state *st, int status)
{
	bool is_wanted = st->phase == PHASE_DELIVERY || st->phase == PHASE_ABORT;

	st->s->net->engine = -1;
	relay_run(&st->s->net->messages);
	if (WIFSIGNALED(status) && !(st->phase == PHASE_ABORT && WTERMSIG(status) == SIGKILL)) {
		complain("the engine was killed by signal %d (%s)%s", WTERMSIG(status),
		    strsignal(WTERMSIG(status)),
		    is_wanted ? "" : "; the command has no network any more and is ended");
		st->has_failed = true;
	} else if (!is_wanted || (WIFEXITED(status) && WEXITSTATUS(status) != 0)) {
		complain("the engine ended with status %d%s", WEXITSTATUS(status),
		    is_wanted ? "" : "; the command has no network any more and is ended");
		st->has_failed = true;
	}
	if (is_wanted) {
		enter(st, PHASE_OVER, NEVER_MS);
		return;
	}
	tell_init(st, CHANNEL_SIGNAL, SIGTERM, CHANNEL_OWN);
	tell_init(st, CHANNEL_SIGNAL, SIGCONT, CHANNEL_OWN);
	enter(st, PHASE_TERMINATED, COMMAND_GRACE_MS);
}

static void reap(struct state *st)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid <= 0)
			return;
		if (pid == st->s->init)
			on_init_end(st, status);
		else if (pid == st->s->net->engine)
			on_engine_end(st, status);
	}
}

static bool is_request_to_end(uint32_t signal)
{
	return signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT;
}

/* Continued in the foreground: the shell has given the terminal to our group, but it is the sandbox's. */
static void return_terminal(struct state *st)
{
	if (st->s->has_own_group && st->terminal.fd >= 0 && tcgetpgrp(st->terminal.fd) == getpgrp())
		tell_init(st, CHANNEL_FOREGROUND, 0, 0);
}

static bool is_stop(uint32_t signal)
{
	return signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

/* Passes a signal on. */
static void on_signal(struct state *st, const struct signalfd_siginfo *info, uint64_t now_ns)
{
	uint32_t value = info->ssi_signo;
	uint64_t *taken_ns = &st->taken_ns[value < WITNESS_SIGNALS ? value : 0];
	uint64_t before_ns = *taken_ns;

	*taken_ns = now_ns;

	if (info->ssi_code == SI_KERNEL)
		value |= CHANNEL_FROM_TERMINAL;
	if (info->ssi_signo == SIGCONT) {
		st->is_stopped = false;
		return_terminal(st);
	}
	tell_init(st, CHANNEL_SIGNAL, value, before_ns);
}

/* Returns the stop signal that has come last, if no SIGCONT has come since; or 0. */
static uint32_t take_signals(struct state *st)
{
	struct signalfd_siginfo info;
	uint64_t now_ns = clock_monotonic_ns(); /* not later than the signal is taken */
	uint32_t stop = 0;

	while (read(st->s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD) {
			reap(st);
		} else if (info.ssi_code == SI_USER && info.ssi_pid == (uint32_t)getpid()) {
			continue; /* from share_signal() or stop_self() */
		} else if (st->phase == PHASE_DELIVERY) {
			if (is_request_to_end(info.ssi_signo))
				begin_abort(st);
		} else {
			on_signal(st, &info, now_ns);
			if (is_stop(info.ssi_signo))
				stop = info.ssi_signo;
			else if (info.ssi_signo == SIGCONT)
				stop = 0;
		}
		now_ns = clock_monotonic_ns();
	}
	return stop;
}

/* Stops this process as the command was stopped, until somebody continues it; and its whole group, if that
 * is what the terminal would have done. */
static void stop_self(int signal, bool is_group)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	struct sigaction old;
	sigset_t one;

	if (!is_stop((uint32_t)signal)) {
		(void)raise(SIGSTOP);
		return;
	}
	sigemptyset(&one);
	sigaddset(&one, signal);
	if (sigaction(signal, &dfl, &old) < 0)
		return;
	kill(is_group ? 0 : getpid(), signal);
	/* Stops here. */
	sigprocmask(SIG_UNBLOCK, &one, NULL);
	sigprocmask(SIG_BLOCK, &one, NULL);
	if (sigaction(signal, &old, NULL) < 0)
		note("signal %d keeps its default", signal);
}

/* Stops this process if the command is stopped, until both are continued. A stop signal that we got when the
 * command was stopped already means the same: it has taken back the SIGCONT before it. */
static void follow_stop(struct state *st, int reported)
{
	uint32_t got = take_signals(st);

	if (reported > 0)
		got = (uint32_t)reported;
	if (got == 0 || !st->is_stopped || st->terminal.fd < 0)
		return;
	stop_self((int)got, st->s->has_own_group);
	(void)take_signals(st);
	if (!st->is_stopped)
		return;
	/* Not continued: the kernel has not stopped us, as our group is one that nobody would continue
	 * (an orphaned one, as that of a session's leader). So the command must go on too. */
	st->is_stopped = false;
	return_terminal(st);
	tell_init(st, CHANNEL_SIGNAL, SIGCONT, CHANNEL_OWN);
}

static int timeout_ms(const struct state *st)
{
	int64_t left;

	if (st->deadline_ms == INT64_MAX)
		return NEVER_MS;
	left = st->deadline_ms - now_ms();
	return left < 0 ? 0 : (int)(left < INT_MAX ? left : INT_MAX);
}

static void loop(struct state *st)
{
	struct supervisor *s = st->s;

	while (st->phase != PHASE_OVER) {
		struct pollfd fds[] = {
		    {.fd = s->signals, .events = POLLIN},
		    {.fd = s->channel, .events = POLLIN},
		    relay_pollfd(&s->net->events),
		    relay_pollfd(&s->net->messages),
		    network_pollfd(s->net),
		};
		int n = poll(fds, sizeof(fds) / sizeof(fds[0]), timeout_ms(st));

		if (n == 0)
			on_deadline(st);
		if (n <= 0)
			continue;
		follow_stop(st, fds[1].revents != 0 ? read_messages(st) : 0);
		if (fds[2].revents != 0)
			relay_run(&s->net->events);
		if (fds[3].revents != 0)
			relay_run(&s->net->messages);
		if (fds[4].revents != 0)
			network_on_resolvers(s->net);
	}
}

int supervise(struct supervisor *s)
{
	struct state st = {.s = s, .deadline_ms = INT64_MAX, .terminal = terminal_save()};

	tell_init(&st, CHANNEL_START, 0, 0);
	loop(&st);
	relay_finish(&s->net->events, READER_GRACE_MS);
	relay_finish(&s->net->messages, READER_GRACE_MS);
	terminal_restore(&st.terminal, st.has_status && WIFSIGNALED(st.status));
	network_abort_engine(s->net);
	close(s->signals);
	s->signals = -1;
	return st.has_failed || !st.has_status ? -1 : st.status;
}
