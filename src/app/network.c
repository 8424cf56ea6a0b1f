/* SPDX-License-Identifier: Apache-2.0 */
/* One guest's network; see network.h. All descriptors made here are close-on-exec. */
#include "app/network.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/complain.h"
#include "app/engine_process.h"
#include "app/stats.h"
#include "host/facts.h"
#include "host/follow.h"
#include "host/resolv_watch.h"

enum {
	PIPE_SIZE = 1 << 20, /* of events; a burst of about 3000 */
};

struct network network_none(void)
{
	return (struct network){
	    .addresses = -1,
	    .resolvers = -1,
	    .engine = -1,
	    .control = -1,
	    .ready = -1,
	    .events_write = -1,
	    .messages_write = -1,
	    .events = {.from = -1, .to = -1},
	    .messages = {.from = -1, .to = -1},
	};
}

#define RESOLV_CONF "/etc/resolv.conf"

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* ---- plan ---- */

static void plan_resolvers(struct network *n)
{
	struct engine_config *c = &n->config;
	uint32_t skipped = 0;

	if (c->resolver_count == 0) {
		/* Before they are read, so that no change is missed. Without, they stay what they are. */
		n->resolvers = resolv_watch_open(RESOLV_CONF);
		if (n->resolvers < 0)
			note("changes of the host's nameservers are not followed: %s",
			    strerror(-n->resolvers));
		c->resolver_count = host_resolvers(c->resolvers, ENGINE_RESOLVERS_MAX, &skipped);
	}
	if (skipped > 0)
		note("%u of the host's nameservers are not used (too many, or with a zone)",
		    skipped);
}

int network_plan(struct network *n, struct net_plan *plan)
{
	n->builder = plan->builder;
	plan->builder = NULL;
	n->ports = plan->ports;
	n->port_count = plan->port_count;
	plan->ports = NULL;
	n->config = plan->settings.engine;
	if (net_plan_addresses(&plan->settings, &n->config.netif) < 0)
		return -1;
	/* Before they are read, so that no change is missed. */
	n->addresses = host_follow_open();
	if (n->addresses < 0)
		return complain(
		    "the host's addresses cannot be followed: %s", strerror(-n->addresses));
	if (rules_compile(n->builder, &n->config.netif, &n->policy) < 0)
		return -1;
	n->config.policy = n->policy;
	plan_resolvers(n);
	return 0;
}

void network_tell(const struct network *n, const char *guest_name)
{
	const struct netif_config *c = &n->config.netif;
	char guest[IP_ADDR_TEXT_MAX];
	char gateway[IP_ADDR_TEXT_MAX];

	if (!note_is_enabled())
		return;
	if (c->has_v4)
		note("IPv4: %s %s/%u, gateway %s", guest_name, ip_addr_format(&c->guest_v4, guest),
		    c->prefix_len_v4, ip_addr_format(&c->gateway_v4, gateway));
	if (c->has_v6)
		note("IPv6: %s %s/%u, gateway %s", guest_name, ip_addr_format(&c->guest_v6, guest),
		    c->prefix_len_v6, ip_addr_format(&c->gateway_v6, gateway));
	if (!c->has_v4 && !c->has_v6)
		note("the host has no route, so the %s gets no address; --ipv4 and --ipv6 give it "
		     "one",
		    guest_name);
	for (uint32_t i = 0; i < n->config.resolver_count; i++) {
		char resolver[ENDPOINT_TEXT_MAX];

		note("resolver: %s", endpoint_format(&n->config.resolvers[i], resolver));
	}
}

/* ---- pipes ---- */

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
	if (fd < 0 && errno == ENXIO)
		return complain(
		    "--events %s: nobody reads this pipe; start its reader first", path);
	if (fd < 0)
		return complain("--events %s cannot be opened for appending: %s%s", path,
		    strerror(errno), errno == ENOENT ? "; make its directory first" : "");
	return fd;
}

static int open_events_pipe(struct network *n, const char *path)
{
	int pipes[2];
	int to = open_events(path);

	if (to < 0)
		return -1;
	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0)
		return complain("no pipe can be made: %s", strerror(errno));
	n->events_write = pipes[1];
	if (fcntl(pipes[1], F_SETPIPE_SZ, PIPE_SIZE) < 0)
		note("the pipe for events stays small: %s", strerror(errno));
	if (relay_init(&n->events, "the events file", pipes[0], to, false) < 0)
		return complain("out of memory");
	return 0;
}

/* Those of the document, and behind them those of the command line, of which the companions count for all. */
static int open_ports(struct network *n, const struct publish_options *o)
{
	const struct publish_options document = {
	    .specs = n->ports,
	    .count = n->port_count,
	    .source = o->source,
	    .has_proxy_header = o->has_proxy_header,
	};
	uint32_t keepalive_s = (uint32_t)(n->config.tcp_keepalive_ns / 1000000000);
	int result = published_add(&n->published, &document, keepalive_s);

	return result == 0 ? published_add(&n->published, o, keepalive_s) : result;
}

int network_open(struct network *n, const struct net_options *options)
{
	int pipes[2];
	int to;

	n->counters = mmap(
	    NULL, sizeof(*n->counters), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (n->counters == MAP_FAILED) {
		n->counters = NULL;
		return complain("out of memory");
	}
	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0)
		return complain("no pipe can be made: %s", strerror(errno));
	n->messages_write = pipes[1];
	to = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	/* Without a standard error (to is -1), messages go nowhere. */
	if (relay_init(&n->messages, "standard error", pipes[0], to, true) < 0)
		return complain("out of memory");
	if (options->events != NULL && open_events_pipe(n, options->events) < 0)
		return -1;
	return open_ports(n, &options->publish);
}

/* ---- the engine's process ---- */

int network_start_engine(struct network *n, const struct port_config *port)
{
	int control[2] = {-1, -1};
	int ready[2] = {-1, -1};
	struct engine_params p = {
	    .port = *port,
	    .events_fd = n->events_write,
	    .addresses_fd = n->addresses,
	    .published = &n->published,
	    .builder = n->builder,
	    .counters = n->counters,
	    .config = n->config,
	    .launcher = getpid(),
	};
	pid_t pid;

	if (pipe2(control, O_CLOEXEC) < 0 || pipe2(ready, O_CLOEXEC) < 0)
		return complain("no pipe can be made: %s", strerror(errno));
	p.control_fd = control[0];
	p.ready_fd = ready[1];
	pid = fork();
	if (pid == 0) {
		if (dup2(n->messages_write, STDERR_FILENO) < 0)
			_exit(EXIT_OWN_FAILURE);
		engine_process(&p);
	}
	close(control[0]);
	close(ready[1]);
	n->control = control[1];
	n->ready = ready[0];
	if (pid < 0)
		return complain("no process can be made for the engine: %s", strerror(errno));
	n->engine = pid;
	return 0;
}

void network_close_engine_ends(struct network *n)
{
	close_end(&n->addresses);
	close_end(&n->events_write);
	close_end(&n->messages_write);
	published_close(&n->published);
}

int network_wait_for_engine(struct network *n)
{
	char byte;
	ssize_t len;

	do {
		len = read(n->ready, &byte, 1);
	} while (len < 0 && errno == EINTR);
	close_end(&n->ready);
	return len == 1 ? 0 : -1;
}

void network_end_engine(struct network *n, enum host_stop how)
{
	uint8_t byte = (uint8_t)how;

	if (write(n->control, &byte, 1) < 0)
		note("the engine does not listen: %s", strerror(errno));
}

void network_abort_engine(struct network *n)
{
	close_end(&n->control);
}

struct pollfd network_pollfd(const struct network *n)
{
	return (struct pollfd){.fd = n->control >= 0 ? n->resolvers : -1, .events = POLLIN};
}

void network_on_resolvers(struct network *n)
{
	struct endpoint found[ENGINE_RESOLVERS_MAX] = {0};
	struct host_resolvers_message m = {.order = HOST_RESOLVERS};
	uint32_t skipped;

	if (!resolv_watch_on_ready(n->resolvers, RESOLV_CONF))
		return;
	m.count = host_resolvers(found, ENGINE_RESOLVERS_MAX, &skipped);
	if (m.count == n->config.resolver_count &&
	    memcmp(found, n->config.resolvers, m.count * sizeof(found[0])) == 0)
		return;
	memcpy(n->config.resolvers, found, sizeof(found));
	memcpy(m.servers, found, sizeof(found));
	n->config.resolver_count = m.count;
	note("the host's nameservers have changed");
	/* At most PIPE_BUF bytes: all of it or nothing. */
	if (write(n->control, &m, sizeof(m)) < 0)
		note("the engine does not listen: %s", strerror(errno));
}

void network_print_stats(const struct network *n)
{
	static char buf[STATS_TEXT_MAX];
	struct text t = text_init(buf, sizeof(buf));

	if (n->counters == NULL)
		return;
	stats_format(&t, n->counters);
	if (write(STDERR_FILENO, buf, t.len) < 0)
		return;
}

void network_fini(struct network *n)
{
	close_end(&n->control);
	close_end(&n->ready);
	close_end(&n->resolvers);
	network_close_engine_ends(n);
	if (n->engine > 0)
		(void)waitpid(n->engine, NULL, 0);
	n->engine = -1;
	published_fini(&n->published);
	free(n->ports);
	n->ports = NULL;
	relay_fini(&n->messages);
	relay_fini(&n->events);
	policy_free(n->policy);
	n->policy = NULL;
	policy_builder_free(n->builder);
	n->builder = NULL;
	if (n->counters != NULL)
		(void)munmap(n->counters, sizeof(*n->counters));
	n->counters = NULL;
}
