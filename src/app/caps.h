/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capability sets of the calling thread, as masks (bit n is capability n).
 *
 * Own code and no library, as libcap-ng looks at /proc, which at these moments is absent or shows other
 * PIDs, and then silently keeps what is newer than its headers.
 */
#ifndef SLUICE_APP_CAPS_H
#define SLUICE_APP_CAPS_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/capability.h>

#define CAPS_BIT(cap) (1ULL << (cap))

/* What a Docker container has by default. */
#define CAPS_CONTAINER                                                                             \
	(CAPS_BIT(CAP_CHOWN) | CAPS_BIT(CAP_DAC_OVERRIDE) | CAPS_BIT(CAP_FSETID) |                 \
	    CAPS_BIT(CAP_FOWNER) | CAPS_BIT(CAP_MKNOD) | CAPS_BIT(CAP_NET_RAW) |                   \
	    CAPS_BIT(CAP_SETGID) | CAPS_BIT(CAP_SETUID) | CAPS_BIT(CAP_SETFCAP) |                  \
	    CAPS_BIT(CAP_SETPCAP) | CAPS_BIT(CAP_NET_BIND_SERVICE) | CAPS_BIT(CAP_SYS_CHROOT) |    \
	    CAPS_BIT(CAP_KILL) | CAPS_BIT(CAP_AUDIT_WRITE))

/* Whether all of mask are effective. */
bool caps_have(uint64_t mask);

/* Cuts the bounding set down to bounding and the effective and permitted sets to held, and empties the
 * inheritable and ambient sets. Needs CAP_SETPCAP. 0, or -1 with errno. */
__attribute__((warn_unused_result)) int caps_limit(uint64_t bounding, uint64_t held);

#endif
