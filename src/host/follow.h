/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows the addresses of the host's interfaces by rtnetlink(7) (threat N19): the kernel tells that something has
 * changed, all addresses are asked for, and if they are others than before their owner hears of it. The same
 * when the kernel could not tell everything (ENOBUFS). Nothing is sent or read while nothing changes.
 */
#ifndef SLUICE_HOST_FOLLOW_H
#define SLUICE_HOST_FOLLOW_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct host_follow;

/* The descriptor through which addresses are followed from now on: a process may be confined, or read the addresses,
 * after this. -errno. */
__attribute__((warn_unused_result)) int host_follow_open(void);

/* fd is borrowed. on_change is called with all addresses whenever they are others than the last time, and after
 * the first change. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int host_follow_new(int fd,
    void (*on_change)(void *ctx, const struct ip_addr *addrs, size_t count), void *ctx,
    struct host_follow **ret_follow);

/* NULL is allowed. */
void host_follow_free(struct host_follow *f);

int host_follow_fd(const struct host_follow *f);

/* The descriptor is readable. Reads what is there, in a bounded amount: it may still be readable then. */
void host_follow_on_ready(struct host_follow *f);

#endif
