/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of published ports, which are bound before the engine's process gives up the right to do so. */
#ifndef SLUICE_HOST_LISTEN_H
#define SLUICE_HOST_LISTEN_H

#include "engine/publish_spec.h"

/* Binds, and for TCP listens on, what spec says; its port, if 0, becomes the one that was picked. keepalive_s as in
 * struct host_config. The socket is non-blocking and close-on-exec. 0 or -errno. */
__attribute__((warn_unused_result)) int host_listen(
    struct publish_spec *spec, uint32_t keepalive_s, int *ret_fd);

/* In words why that was not possible, with the remedy; err as returned. */
const char *host_listen_reason(int err);

#endif
