/* SPDX-License-Identifier: Apache-2.0 */
/* The load generator: which part of it is meant. See load.h. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "load.h"

/* Keeps a namespace alive; the argument, if any, is for whoever looks for the process. */
static int hold_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	while (pause() < 0)
		;
	return 0;
}

struct part {
	const char *name;
	int (*main)(int argc, char **argv);
	const char *usage;
};

static const struct part parts[] = {
    {"server", server_main, "PORT: serve all of the others, also on PORT+1"},
    {"stream", stream_main,
	"[--up FLOWS] [--down FLOWS] [--seconds S] [--warmup S] ADDRESS:PORT: TCP streams"},
    {"rr", rr_main,
	"[--connect] [--addresses N] [--seconds S] [--warmup S] ADDRESS:PORT: one byte there and "
	"back"},
    {"udp", udp_main,
	"--up 1 | --down 1 [--size BYTES] [--segments N] [--seconds S] [--warmup S] ADDRESS:PORT: "
	"datagrams"},
    {"conns", conns_main,
	"--count N [--addresses N] ADDRESS:PORT: open connections, hold them until end of file"},
    {"start", start_main, "COUNT COMMAND [ARGUMENT...]: how long a command takes"},
    {"hold", hold_main, "[NAME]: do nothing"},
};

int main(int argc, char **argv)
{
	static const size_t count = sizeof(parts) / sizeof(parts[0]);

	for (size_t i = 0; argc >= 2 && i < count; i++) {
		if (strcmp(argv[1], parts[i].name) == 0)
			return parts[i].main(argc - 1, argv + 1);
	}
	for (size_t i = 0; i < count; i++)
		(void)fprintf(stderr, "load %s %s\n", parts[i].name, parts[i].usage);
	return 1;
}
