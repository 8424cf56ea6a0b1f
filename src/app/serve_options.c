/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `sluice serve`. */
#include "app/serve_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "app/complain.h"
#include "app/options.h"
#include "base/text.h"
#include "stack/nic.h"

enum {
	KEY_PORT = OPTION_KEY_OWN,
	KEY_CONNECT,
	KEY_ONCE,
	KEY_NETNS,
	KEY_VNET_HEADER,
	KEY_PEER_OFFLOAD,

	FD_DIGITS_MAX = 6,
	LIST_MAX = 256,
};

static const struct argp_option option_table[] = {
    {NULL, 0, NULL, 0, "Where the guest is:", OPTION_GROUP_FIRST},
    {"port", KEY_PORT, "KIND:WHERE", 0,
	"vhost-user:PATH, stream:PATH, dgram:PATH, bess:PATH, tap:NAME, or KIND:fd:N", 0},
    {"connect", KEY_CONNECT, NULL, 0, "Connect to the path instead of listening", 0},
    {"once", KEY_ONCE, NULL, 0, "End when the first guest disconnects", 0},
    {"netns", KEY_NETNS, "PATH|NAME", 0, "The network namespace of the TAP. Default: ours", 0},
    {"vnet-header", KEY_VNET_HEADER, NULL, 0,
	"A virtio-net header of 12 bytes stands before each frame", 0},
    {"peer-offload", KEY_PEER_OFFLOAD, "LIST", 0,
	"What the guest's card takes: csum, tso4, tso6, uso. Default: nothing", 0},
    {0},
};

static const struct {
	const char *name;
	enum port_kind kind;
} kinds[] = {
    {"vhost-user", PORT_KIND_VHOST_USER},
    {"stream", PORT_KIND_STREAM},
    {"dgram", PORT_KIND_DGRAM},
    {"bess", PORT_KIND_BESS},
    {"seqpacket", PORT_KIND_BESS},
    {"tap", PORT_KIND_TAP},
};

enum {
	KIND_COUNT = sizeof(kinds) / sizeof(kinds[0]),
};

static const struct {
	const char *name;
	uint32_t feature;
} offloads[] = {
    {"csum", NIC_F_CSUM},
    {"tso4", NIC_F_TSO4},
    {"tso6", NIC_F_TSO6},
    {"uso", NIC_F_USO},
};

enum {
	OFFLOAD_COUNT = sizeof(offloads) / sizeof(offloads[0]),
};

__attribute__((noreturn)) static void refuse_kind(const char *arg)
{
	char list[LIST_MAX];
	struct text t = text_init(list, sizeof(list));

	for (size_t i = 0; i < KIND_COUNT; i++)
		text_printf(&t, "%s%s", i == 0 ? "" : ", ", kinds[i].name);
	if (strncmp(arg, "fd:", 3) == 0)
		options_refuse(
		    "--port %s does not say the kind; use KIND:%s with one of %s", arg, arg, list);
	options_refuse(
	    "--port %s is of no kind that there is; use KIND:WHERE with one of %s", arg, list);
}

/* The number of a descriptor, or -1. */
static int parse_fd(const char *text)
{
	size_t len = strlen(text);
	int fd = 0;

	if (len == 0 || len > FD_DIGITS_MAX || strspn(text, "0123456789") != len)
		return -1;
	for (size_t i = 0; i < len; i++)
		fd = fd * 10 + (text[i] - '0');
	return fd;
}

static void parse_port(struct port_place *p, const char *arg)
{
	const char *where = strchr(arg, ':');
	size_t i = 0;

	if (p->kind_name != NULL)
		options_refuse("--port is given twice; one engine serves one guest");
	while (where != NULL && i < KIND_COUNT &&
	       (strlen(kinds[i].name) != (size_t)(where - arg) ||
		   strncmp(kinds[i].name, arg, (size_t)(where - arg)) != 0))
		i++;
	if (where == NULL || i == KIND_COUNT)
		refuse_kind(arg);
	where++;
	*p = (struct port_place){
	    .kind = kinds[i].kind, .kind_name = kinds[i].name, .where = where, .fd = -1};
	if (strncmp(where, "fd:", 3) == 0) {
		p->where = NULL;
		p->fd = parse_fd(where + 3);
		if (p->fd < 0)
			options_refuse("--port %s names no descriptor; use a number", arg);
	} else if (*where == '\0') {
		options_refuse("--port %s does not say where", arg);
	}
}

static uint32_t parse_offload(const char *arg)
{
	uint32_t features = 0;

	if (strcmp(arg, "none") == 0)
		return 0;
	while (*arg != '\0') {
		size_t len = strcspn(arg, ",");
		size_t i = 0;

		while (i < OFFLOAD_COUNT && (strlen(offloads[i].name) != len ||
						strncmp(offloads[i].name, arg, len) != 0))
			i++;
		if (i == OFFLOAD_COUNT)
			options_refuse("--peer-offload %.*s is not known; use none, or some of "
				       "csum, tso4, tso6, uso",
			    (int)len, arg);
		features |= offloads[i].feature;
		arg += len + (arg[len] == ',' ? 1 : 0);
	}
	return features;
}

/* What does not fit together. */
static void check(const struct serve_options *o)
{
	enum port_kind kind = o->port.kind;

	if (o->port.kind_name == NULL)
		options_refuse("where is the guest? say it by --port KIND:WHERE");
	if (o->is_connecting &&
	    (kind == PORT_KIND_TAP || kind == PORT_KIND_DGRAM || o->port.fd >= 0))
		options_refuse("--connect is for a path of --port vhost-user, stream or bess");
	if (o->netns != NULL && (kind != PORT_KIND_TAP || o->port.fd >= 0))
		options_refuse("--netns is for --port tap:NAME only");
	if (o->is_once && kind == PORT_KIND_TAP)
		options_refuse("--once is for sockets; a TAP has no connections");
	if ((o->has_vnet || o->has_offload) &&
	    (kind == PORT_KIND_TAP || kind == PORT_KIND_VHOST_USER))
		options_refuse("--%s is for stream, dgram and bess; the others agree on it "
			       "with the guest's side",
		    o->has_vnet ? "vnet-header" : "peer-offload");
	if (!o->has_vnet && (o->offload & NIC_F_USO) != 0)
		options_refuse("--peer-offload uso needs --vnet-header: nothing else tells where "
			       "datagrams begin");
	if (o->has_vnet && o->offload != 0 && (o->offload & NIC_F_CSUM) == 0)
		options_refuse("with --vnet-header, --peer-offload tso4, tso6 and uso need csum");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct serve_options *o = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &o->net;
		return 0;
	case KEY_PORT:
		parse_port(&o->port, arg);
		return 0;
	case KEY_CONNECT:
		o->is_connecting = true;
		return 0;
	case KEY_ONCE:
		o->is_once = true;
		return 0;
	case KEY_NETNS:
		o->netns = arg;
		return 0;
	case KEY_VNET_HEADER:
		o->has_vnet = true;
		return 0;
	case KEY_PEER_OFFLOAD:
		o->has_offload = true;
		o->offload = parse_offload(arg);
		return 0;
	case ARGP_KEY_ARG:
		options_refuse("'%s' is no option; sluice serve takes only options", arg);
	case ARGP_KEY_END:
		check(o);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {{&net_options_argp, 0, NULL, 0}, {0}};

static const struct argp parser = {
    .options = option_table,
    .parser = parse,
    .children = children,
    .doc = "Is the network of a virtual machine, or of whatever has a network card.\v"
	   "Ends by SIGTERM, SIGINT or SIGHUP. Exit status: 0; 125 if sluice fails.\n"
	   "See sluice-serve(1) for kinds of ports and examples, sluice(1) for rules.",
};

void serve_options_parse(int argc, char **argv, struct serve_options *ret_options)
{
	struct serve_options o = {.net = net_options_default(), .port = {.fd = -1}};

	options_parse(&parser, argc, argv, &o);
	*ret_options = o;
}

void serve_options_fini(struct serve_options *o)
{
	net_options_fini(&o->net);
}
