/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life of an engine, in turns of the caller or in a thread of its own.
 *
 * Invariants: nothing of an engine is outside of its structure; after sluice_engine_free() no descriptor, no
 * thread and no byte of it is left, and memory that was lent is not touched again (tests/unit/test_lib.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "app/events.h"
#include "host/facts.h"
#include "lib/lib_internal.h"

enum {
	SOCK_LIMIT_MAX = 1 << 30, /* as host.h has it */
};

const char *sluice_version(void)
{
	return SLUICE_VERSION;
}

/* ---- what the engine tells ---- */

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	/* Cannot fail for the two clocks that are asked for. */
	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static void on_event(void *ctx, const struct engine_event *event)
{
	const struct sluice_engine *e = ctx;
	char rule[POLICY_RULE_TEXT_MAX];
	char buf[EVENT_LINE_MAX];
	struct text line = text_init(buf, sizeof(buf));
	uint64_t now = host_now_ns();
	uint64_t ago = now > event->end_ns ? now - event->end_ns : 0;

	event_format(&line, event,
	    policy_rule_text(e->policy, event->verdict.rule, rule, sizeof(rule)),
	    clock_ns(CLOCK_REALTIME) - ago);
	if (!line.is_cut)
		e->config.on_event(e->config.ctx, line.buf, line.len);
}

/* A driver has come, in the engine's thread. */
static void on_attach(void *ctx, uint32_t features)
{
	struct sluice_engine *e = ctx;

	host_set_udp_gro(e->host, (features & NIC_F_USO) != 0);
}

/* ---- the host's addresses ---- */

/* What has gone wrong, or that all has ended: sluice_engine_turn() tells. */
static void set_result(struct sluice_engine *e, int result)
{
	static const uint64_t one = 1;

	atomic_store(&e->result, result);
	if (e->ended_fd >= 0 && write(e->ended_fd, &one, sizeof(one)) < 0)
		abort(); /* never: the count is far from its limit */
}

/* Group host of the policy is another one (threat N19). */
static void on_addresses(void *ctx, const struct ip_addr *addrs, size_t count)
{
	struct sluice_engine *e = ctx;
	struct policy *policy;

	if (host_change_policy(e->builder, &e->engine_config.netif, addrs, count) ||
	    policy_builder_compile(e->builder, &policy)) {
		set_result(e, -ENOMEM);
		return;
	}
	engine_set_policy(e->engine, policy);
	policy_free(e->policy);
	e->policy = policy;
}

static int follow(struct sluice_engine *e)
{
	int err = host_follow_new(e->addresses_fd, on_addresses, e, &e->follow);

	if (!err)
		host_set_follow(e->host, e->follow);
	return err;
}

/* ---- a thread of its own ---- */

static void *run_thread(void *arg)
{
	struct sluice_engine *e = arg;
	int result = host_loop(e->host, e->engine, ring_port(e->ring), e->stop_read, NULL, NULL);

	set_result(e, result ? result : SLUICE_ENDED);
	return NULL;
}

/* Signals are for the other threads of the process. */
static int start_thread(struct sluice_engine *e)
{
	sigset_t all;
	sigset_t old;
	int pipes[2];
	int err;

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	e->stop_read = pipes[0];
	e->stop_write = pipes[1];
	e->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (e->ended_fd < 0)
		return -errno;
	sigfillset(&all);
	err = pthread_sigmask(SIG_SETMASK, &all, &old);
	if (!err) {
		err = pthread_create(&e->thread, NULL, run_thread, e);
		e->has_thread = !err;
		(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	return -err;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

/* The loop ends at the end of file of its pipe. */
static void end_thread(struct sluice_engine *e)
{
	close_fd(&e->stop_write);
	if (e->has_thread)
		(void)pthread_join(e->thread, NULL);
	e->has_thread = false;
	close_fd(&e->stop_read);
	close_fd(&e->ended_fd);
}

/* ---- life ---- */

static uint32_t sock_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur > SOCK_LIMIT_MAX)
		return SOCK_LIMIT_MAX;
	return (uint32_t)files.rlim_cur;
}

static int make_ring(struct sluice_engine *e)
{
	struct ring_config c = {
	    .tx_frames = e->config.tx_frames,
	    .rx_frames = e->config.rx_frames,
	    .mtu = e->engine_config.netif.mtu,
	    .is_rx_posted = (e->config.flags & SLUICE_POST_RX) != 0,
	    .on_attach = on_attach,
	    .ctx = e,
	};

	return ring_new(&c, &e->ring);
}

static int make_host(struct sluice_engine *e)
{
	struct host_config c = {
	    .sock_limit = sock_limit(),
	    .keepalive_s = (uint32_t)(e->engine_config.tcp_keepalive_ns / 1000000000),
	};

	return host_new(&c, &e->host);
}

static int make_parts(struct sluice_engine *e)
{
	int err = make_host(e);

	if (!err)
		err = make_ring(e);
	if (err)
		return err;
	if (e->config.on_event) {
		e->engine_config.on_event = on_event;
		e->engine_config.event_ctx = e;
	}
	err = engine_new(&e->engine_config, &ring_port(e->ring)->nic, &host_sock_ops, e->host,
	    &e->counters, host_now_ns(), &e->engine);
	if (!err)
		err = follow(e);
	if (!err)
		err = lib_publish_start(e);
	if (err)
		return err;
	if ((e->config.flags & SLUICE_OWN_THREAD) != 0)
		return start_thread(e);
	return host_turn_new(e->host, e->engine, ring_port(e->ring), &e->turn);
}

int sluice_engine_new(const struct sluice_config *config, struct sluice_engine **ret_engine,
    struct sluice_error *error)
{
	struct sluice_engine *e = calloc(1, sizeof(*e));
	int err;

	if (!e)
		return lib_refuse(error, -ENOMEM, "there is no memory for an engine");
	e->stop_read = -1;
	e->stop_write = -1;
	e->ended_fd = -1;
	e->addresses_fd = -1;
	err = lib_copy_in(&e->config, sizeof(e->config), sizeof(e->config), config);
	if (err == -E2BIG)
		(void)lib_refuse(error, err,
		    "the configuration has fields that libsluice %s does not know", SLUICE_VERSION);
	else if (err)
		(void)lib_refuse(error, err,
		    "the configuration has no right size; begin with SLUICE_CONFIG_INIT");
	else
		err = lib_configure(e, error);
	if (err) {
		sluice_engine_free(e);
		return err;
	}
	e->config.options = NULL;
	e->config.option_count = 0;
	lib_describe(e);
	err = make_parts(e);
	if (err) {
		sluice_engine_free(e);
		return lib_refuse(
		    error, err, "the engine cannot be made: %s", strerrordesc_np(-err));
	}
	*ret_engine = e;
	return 0;
}

void sluice_engine_free(struct sluice_engine *e)
{
	if (!e)
		return;
	end_thread(e);
	host_turn_free(e->turn);
	engine_free(e->engine, host_now_ns());
	lib_publish_fini(&e->published);
	host_follow_free(e->follow);
	close_fd(&e->addresses_fd);
	if (e->ring)
		port_free(ring_port(e->ring));
	host_free(e->host);
	policy_free(e->policy);
	policy_builder_free(e->builder);
	free(e);
}

/* ---- turns ---- */

int sluice_engine_fd(const struct sluice_engine *e)
{
	return e->turn ? host_turn_fd(e->turn) : e->ended_fd;
}

int sluice_engine_turn(struct sluice_engine *e)
{
	int result;

	if (e->turn) {
		result = host_turn_run(e->turn);
		if (result != 0)
			return result == HOST_TURN_ENDED ? SLUICE_ENDED : result;
	}
	return atomic_load(&e->result);
}

void sluice_engine_finish(struct sluice_engine *e)
{
	if (e->turn) {
		host_turn_finish(e->turn);
		return;
	}
	/* A full pipe has asked already; without a reader the thread has ended. */
	while (write(e->stop_write, "", 1) < 0 && errno == EINTR)
		;
}

/* ---- counters ---- */

struct counter {
	const char *name;
	size_t offset; /* in struct engine_counters */
};

#define COUNTER(name, field)                                                                       \
	{                                                                                          \
		name, offsetof(struct engine_counters, field)                                      \
	}

static const struct counter counters[] = {COUNTER("nic_tx_frames", nic.tx_frames),
    COUNTER("nic_tx_bytes", nic.tx_bytes), COUNTER("nic_rx_frames", nic.rx_frames),
    COUNTER("nic_rx_bytes", nic.rx_bytes), COUNTER("nic_rx_lost", nic.rx_lost),
#define X(name, text) COUNTER(#name, name),
    ENGINE_COUNTERS(X)
#undef X
#define X(symbol, name, text) COUNTER("drop_" name, drops[DROP_##symbol]),
	DROP_REASONS(X)
#undef X
};

int sluice_engine_counter(
    const struct sluice_engine *e, uint32_t index, const char **ret_name, uint64_t *ret_value)
{
	const char *bytes = (const char *)&e->counters;

	if (index >= sizeof(counters) / sizeof(counters[0]))
		return -ENOENT;
	*ret_name = counters[index].name;
	*ret_value = __atomic_load_n(
	    (const uint64_t *)(const void *)(bytes + counters[index].offset), __ATOMIC_RELAXED);
	return 0;
}
