/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that do nothing. Each has exchanged one byte, so that it stands from end to end. When all do,
 * "ready" is printed; they are kept until standard input ends.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "load.h"

int conns_main(int argc, char **argv)
{
	struct client_options o = client_options_parse(argc, argv);
	uint32_t base = ntohl(o.server.sin_addr.s_addr);
	struct sockaddr_in to = o.server;
	int *fds = calloc(o.count, sizeof(*fds));
	char byte = 'x';

	if (fds == NULL || o.count == 0)
		fail(false, "say --count");
	to.sin_port = htons((uint16_t)(ntohs(to.sin_port) + 1));
	for (uint32_t i = 0; i < o.count; i++) {
		to.sin_addr.s_addr = htonl(base + i % o.addresses);
		fds[i] = tcp_connect(&to);
		send_all(fds[i], &byte, 1);
		if (!receive_all(fds[i], &byte, 1))
			fail(false, "connection %u is not answered", i);
	}
	printf("ready\n");
	if (fflush(stdout) != 0)
		fail(true, "standard output");
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	for (uint32_t i = 0; i < o.count; i++)
		close(fds[i]);
	free(fds);
	return 0;
}
