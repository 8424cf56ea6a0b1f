/* SPDX-License-Identifier: Apache-2.0 */
/* The program: which command of sluice is meant. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "app/check.h"
#include "app/complain.h"
#include "app/diff.h"
#include "app/explain.h"
#include "app/process_title.h"
#include "app/run.h"
#include "app/serve.h"

struct subcommand {
	const char *name;
	int (*main)(int argc, char **argv);
	char *full_name; /* for messages and --help */
	const char *what;
};

static char run_name[] = "sluice run";
static char serve_name[] = "sluice serve";
static char check_name[] = "sluice check";
static char explain_name[] = "sluice explain";
static char diff_name[] = "sluice diff";
static char config_name[] = "sluice config";

static const struct subcommand subcommands[] = {
    {"run", run_main, run_name, "Run a command behind its own network"},
    {"serve", serve_main, serve_name, "Be the network of a virtual machine"},
    {"check", check_main, check_name, "Say what is wrong with configuration documents"},
    {"explain", explain_main, explain_name,
	"Say what a document does with one connection, and why"},
    {"diff", diff_main, diff_name, "Say what an edit of a document opens and closes"},
    {"config", config_main, config_name, "Print what a document says, with all defaults"},
};

#define SUBCOMMAND_COUNT (sizeof(subcommands) / sizeof(subcommands[0]))

static int end_output(bool has_failed)
{
	if (!has_failed && fflush(stdout) == 0)
		return 0;
	complain("standard output cannot be written: %s", strerror(errno));
	return EXIT_OWN_FAILURE;
}

static int print_help(void)
{
	int failed = printf("Usage: sluice COMMAND [OPTION...]\n"
			    "A user-mode network for code that you do not trust.\n"
			    "\n") < 0;

	for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
		failed |=
		    printf("  sluice %-8s %s\n", subcommands[i].name, subcommands[i].what) < 0;
	failed |=
	    printf("\n"
		   "`sluice COMMAND --help` lists a command's options; sluice(1) tells the rest.\n"
		   "  --help     print this\n"
		   "  --version  print the version\n") < 0;
	return end_output(failed != 0);
}

static int print_version(void)
{
	return end_output(printf("sluice %s\n", SLUICE_VERSION) < 0);
}

int main(int argc, char **argv)
{
	process_title_init(argc, argv);
	if (argc < 2) {
		complain("which command? `sluice --help` lists them");
		return EXIT_OWN_FAILURE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
		return print_help();
	if (strcmp(argv[1], "--version") == 0)
		return print_version();
	for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
		if (strcmp(argv[1], subcommands[i].name) == 0) {
			argv[1] = subcommands[i].full_name;
			return subcommands[i].main(argc - 1, argv + 1);
		}
	}
	complain("there is no command %s; `sluice --help` lists them", argv[1]);
	return EXIT_OWN_FAILURE;
}
