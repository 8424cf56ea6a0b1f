/* SPDX-License-Identifier: Apache-2.0 */
/* How long a command takes, from before it is spawned until it has been waited for. */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "load.h"

int start_main(int argc, char **argv)
{
	uint64_t count;

	if (argc < 3)
		fail(false, "say how often, and the command");
	count = arg_number("count", argv[1], 1, 100000);
	printf("{\"us\": [");
	for (uint64_t i = 0; i < count; i++) {
		uint64_t start = now_ns();
		int status;
		pid_t pid;
		int error = posix_spawnp(&pid, argv[2], NULL, NULL, argv + 2, environ);

		if (error != 0)
			fail(false, "%s cannot be run: %s", argv[2], strerror(error));
		if (waitpid(pid, &status, 0) != pid)
			fail(true, "waitpid");
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			fail(false, "%s ended with status %#x", argv[2], (unsigned int)status);
		printf("%s%.1f", i > 0 ? ", " : "", (double)(now_ns() - start) / 1e3);
	}
	printf("]}\n");
	return 0;
}
